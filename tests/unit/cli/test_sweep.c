/* Sweeps and service levels: words to values, and the table of what came of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "cli/cmd_sweep_rpc.c" // NOLINT(bugprone-suspicious-include)
#include "cli/sweep.h"

static struct cap_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = cap_arena_new(1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

/* ---- words ---- */

static void a_sweep_runs_every_value_once_in_the_order_of_its_seed(void **state)
{
    struct cli_sweep first, again, other;
    struct cap_err err = {0};
    int seen = 0, moved = 0;

    (void)state;
    assert_true(cli_sweep_read("concurrency=1,2,4,8,16", 1, arena, &first, &err));
    assert_true(cli_sweep_read("batch-size=1,2,4,8,16", 1, arena, &again, &err));
    assert_true(cli_sweep_read("batch-size=1,2,4,8,16", 2, arena, &other, &err));
    assert_int_equal(first.knob, CAP_KNOB_concurrency);
    assert_int_equal(first.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(first.values[i], again.values[i]);
        seen |= atoi(first.values[i]);
        moved += strcmp(first.values[i], other.values[i]) != 0;
    }
    assert_int_equal(seen, 1 + 2 + 4 + 8 + 16);
    assert_true(moved > 0);
}

static void a_sweep_that_is_none_says_why(void **state)
{
    static const char *const cases[][2] = {
        {"rate", "--sweep \"rate\" has no values; try concurrency=1,2,4 or rate=1,2,4"},
        {"rate=1,,2", "--sweep has an empty value"},
        {"rate=1,2,1", "--sweep has the value 1 twice"},
        {"speed=1,2", "--sweep \"speed\" is not an option of submit; try concurrency=1,2,4 or "
                      "rate=1,2,4"},
        {"ignore-eos=1", "--sweep cannot sweep --ignore-eos: it has no values"},
        {"rent=1,2", "--sweep cannot change --rent: it changes nothing of what is run"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        struct cli_sweep sweep;
        struct cap_err err = {0};

        assert_false(cli_sweep_read(cases[i][0], 1, arena, &sweep, &err));
        assert_string_equal(err.text, cases[i][1]);
    }
}

static void a_service_level_is_read_with_its_units(void **state)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    struct cap_spec_faults faults = {.count = 0};
    struct cap_err err = {0};

    (void)state;
    assert_true(cli_slo_set("ttft=500ms,tpot=50,e2e=2.5s", &spec, arena, &faults, &err));
    assert_int_equal(faults.count, 0);
    assert_true(spec.slo->ttft_ms == 500 && spec.slo->tpot_ms == 50 && spec.slo->e2e_ms == 2500);
    assert_false(cli_slo_set("itl=5ms", &spec, arena, &faults, &err));
    assert_string_equal(err.text, "--slo \"itl=5ms\" is not one of ttft, tpot and e2e: "
                                  "ttft=500ms,tpot=50ms");
    cap_err_clear(&err);
    assert_false(cli_slo_set("ttft=5min", &spec, arena, &faults, &err));
    assert_string_equal(err.text, "--slo ttft=5min is not a time such as ttft=500ms or ttft=2s");
    cap_err_clear(&err);
    assert_false(cli_slo_set("ttft=5ms,tpot=1ms,ttft=6ms", &spec, arena, &faults, &err));
    assert_string_equal(err.text, "--slo has ttft twice");
}

/* ---- the search ---- */

/* Against a machine that meets the objective up to `limit`. */
static struct cli_search search_up_to(const char *text, double limit)
{
    struct cli_search search;
    struct cap_err err = {0};
    double value;

    assert_true(cli_search_read(text, arena, &search, &err));
    while (cli_search_next(&search, &value))
        cli_search_told(&search, value, value <= limit);
    return search;
}

static void a_search_closes_in_on_the_highest_load(void **state)
{
    (void)state;
    for (int i = 0; i < 17; i++) {
        double limit = pow(1.3, i);
        struct cli_search search = search_up_to("rate=1..100", limit);

        assert_true(search.runs <= CLI_SEARCH_RUNS_MAX);
        assert_true(search.low_met && search.low <= limit);
        assert_true(search.high_failed && search.high > limit);
        assert_true(search.high <= 1.1 * search.low);
    }
    for (int limit = 1; limit < 64; limit++) {
        struct cli_search search = search_up_to("concurrency=1..64", limit);

        assert_true(search.low == limit && search.high == limit + 1);
    }
}

static void a_search_whose_bounds_answer_it_ends_with_them(void **state)
{
    struct cli_search none = search_up_to("rate=2..64", 1), all = search_up_to("rate=2..64", 100);

    (void)state;
    assert_int_equal(none.runs, 1);
    assert_false(none.low_met);
    assert_int_equal(all.runs, 2);
    assert_true(all.low == 64 && !all.high_failed);
}

static void a_search_without_a_range_says_so(void **state)
{
    static const char *const wrong[] = {"rate",      "rate=1",     "rate=4..1",
                                        "rate=1..",  "rate=..4",   "rate=1..2x",
                                        "rate=0..4", "limit=1..4", "speed=1..4"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(wrong); i++) {
        struct cli_search search;
        struct cap_err err = {0};

        assert_false(cli_search_read(wrong[i], arena, &search, &err));
        assert_non_null(strstr(err.text, "--s"));
    }
}

/* ---- the table ---- */

struct made {
    Moecap__V1__BoardRow row;
    Moecap__V1__EvaluationSpec spec;
    Moecap__V1__Load load;
    Moecap__V1__Figure met, *figures[1];
};

static void make(struct made *made, double rate, double met, char *run_id)
{
    moecap__v1__board_row__init(&made->row);
    moecap__v1__evaluation_spec__init(&made->spec);
    moecap__v1__load__init(&made->load);
    moecap__v1__figure__init(&made->met);
    made->load.kind_case = MOECAP__V1__LOAD__KIND_RATE_PER_S;
    made->load.rate_per_s = rate;
    made->spec.load = &made->load;
    made->spec.model = "m";
    made->row.spec = &made->spec;
    made->row.run_id = run_id;
    made->row.state = MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED;
    made->met.id = "slo_met";
    made->met.value = met;
    if (met >= 0)
        made->met.opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    made->figures[0] = &made->met;
    made->row.figures = made->figures;
    made->row.n_figures = 1;
}

static const char *table_of(const double (*runs)[2], int count, double attain)
{
    static const char *const ids[] = {"run-1", "run-2", "run-3", "run-4"};
    struct made made[4];
    const Moecap__V1__BoardRow *items[4];
    struct rows rows = {.items = items};
    CAP_AUTO_BUF(out, 1 << 16);

    for (int i = 0; i < count; i++) {
        make(&made[i], runs[i][0], runs[i][1], (char *)ids[i]);
        items[rows.count++] = &made[i].row;
    }
    render_sweep(&rows, attain, 0, &out);
    return cap_arena_strdup(arena, out.data);
}

static void the_highest_rate_within_the_objective_is_told_with_the_next_one(void **state)
{
    static const double runs[][2] = {{8, 0.61}, {2, 1}, {10, 0.2}, {4, 0.995}};
    const char *text = table_of(runs, 4, 0.99);

    (void)state;
    assert_non_null(strstr(text, "highest rate at which 99 % of the requests meet the objective: 4 "
                                 "(at 8 it is 61.0 %)\n"));
    /* by the swept value, whatever the order in which they ran */
    assert_true(strstr(text, "run-2") < strstr(text, "run-4"));
    assert_true(strstr(text, "run-4") < strstr(text, "run-1"));
    assert_true(strstr(text, "run-1") < strstr(text, "run-3"));
}

static void every_repeat_and_every_lower_rate_must_meet_it(void **state)
{
    static const double repeats[][2] = {{2, 1}, {4, 1}, {4, 0.5}};
    static const double gap[][2] = {{2, 0.5}, {4, 1}};
    static const double all[][2] = {{2, 1}, {4, 1}};
    static const double none[][2] = {{2, -1}, {4, -1}};
    static const double hole[][2] = {{2, 1}, {4, -1}, {8, 1}};
    static const double first[][2] = {{2, -1}, {4, 1}};

    (void)state;
    assert_non_null(strstr(table_of(repeats, 3, 0.99), "objective: 2 (at 4 it is 50.0 %)"));
    assert_non_null(
        strstr(table_of(gap, 2, 0.99),
               "objective: none of these (at 2 it is 50.0 %); that 4 meets it may be luck"));
    assert_null(strstr(table_of(repeats, 3, 0.99), "luck"));
    assert_non_null(strstr(table_of(all, 2, 0.99),
                           "objective: 4 (nothing above it was run: it may be higher)"));
    assert_null(strstr(table_of(none, 2, 0.99), "highest"));
    assert_non_null(
        strstr(table_of(hole, 3, 0.99), "objective: 2 (at 4 it is not known); that 8 meets it"));
    assert_non_null(strstr(table_of(first, 2, 0.99), "objective: none of these (at 2 it is not "
                                                     "known); that 4 meets it may be luck"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_runs_every_value_once_in_the_order_of_its_seed),
        cmocka_unit_test(a_sweep_that_is_none_says_why),
        cmocka_unit_test(a_service_level_is_read_with_its_units),
        cmocka_unit_test(a_search_closes_in_on_the_highest_load),
        cmocka_unit_test(a_search_whose_bounds_answer_it_ends_with_them),
        cmocka_unit_test(a_search_without_a_range_says_so),
        cmocka_unit_test(the_highest_rate_within_the_objective_is_told_with_the_next_one),
        cmocka_unit_test(every_repeat_and_every_lower_rate_must_meet_it),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
