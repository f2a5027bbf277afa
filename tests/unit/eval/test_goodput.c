/* Goodput: which requests are good enough, at which rate, and when nobody can say. */
#include "measuring.h"

/* Ten requests one after the other, each 100 ms: TTFT 10 ms, then 9 tokens of 10 ms; the last two
 * wait 50 ms for their first token. Samples with an even number are right. */
static struct eval_evidence *ten(const struct eval_slo *slo)
{
    struct eval_run header = generating(10);
    struct eval_evidence *e;

    header.slo = *slo;
    e = eval_evidence_new(&header);
    for (uint32_t i = 0; i < 10; i++) {
        Moecap__V1__Verdict verdict = MOECAP__V1__VERDICT__INIT;
        struct told told = {i * 100000,
                            i * 100000 + (i < 8 ? 10000 : 50000),
                            i * 100000 + (i < 8 ? 100000 : 95000),
                            (i + 1) * 100000,
                            5,
                            10,
                            1};

        told.ordinal = i;
        add_told(e, &told);
        verdict.ordinal = i;
        verdict.metric = (char *)metrics[0];
        verdict.kind = i % 2 ? MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG
                             : MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
        eval_evidence_add_verdict(e, &verdict);
    }
    return e;
}

static void good_requests_meet_every_limit_and_quality_counts_the_right_ones(void **state)
{
    CAP_AUTO(eval_evidence) first = ten(&(struct eval_slo){.ttft_ms = 20});
    CAP_AUTO(eval_evidence) pace = ten(&(struct eval_slo){.ttft_ms = 20, .tpot_ms = 9.9});
    CAP_AUTO(eval_evidence) all = ten(&(struct eval_slo){.e2e_ms = 100});

    (void)state;
    assert_value(first, "slo_met", 0.8);
    assert_value(first, "goodput_per_s", 8);
    assert_value(first, "quality_goodput_per_s", 4);
    assert_true(figure(first, "slo_met")->low < 0.8 && figure(first, "slo_met")->high > 0.8);
    assert_true(figure(first, "goodput_per_s")->low <= 8);
    assert_value(pace, "goodput_per_s", 0); /* measured, and none */
    assert_value(all, "slo_met", 1);
    assert_value(all, "quality_goodput_per_s", 5);
}

static void without_an_objective_nothing_is_good_or_bad(void **state)
{
    static const char reason[] = "no objective was asked for; --slo says what a good request is";
    CAP_AUTO(eval_evidence) e = ten(&(struct eval_slo){0});

    (void)state;
    assert_none(e, "slo_met", reason);
    assert_none(e, "goodput_per_s", reason);
    assert_none(e, "quality_goodput_per_s", reason);
    assert_none(e, "goodput_per_kj", reason);
    /* the price is missing first */
    assert_false(figure(e, "goodput_per_usd")->opt_value_case);
}

static void failures_do_not_meet_an_objective(void **state)
{
    struct eval_run header = generating(2);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.slo.e2e_ms = 10;
    e = eval_evidence_new(&header);
    add_answer(e, 0, 1000, 2000, 3000, 5, 2);
    add_failed(e);
    assert_value(e, "slo_met", 0.5);
    assert_none(e, "quality_goodput_per_s", "not every sample is graded");
}

static void a_limit_on_what_nobody_saw_is_neither_met_nor_missed(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) ttft = NULL;
    CAP_AUTO(eval_evidence) tpot = NULL;
    CAP_AUTO(eval_evidence) one = NULL;

    (void)state;
    header.slo.ttft_ms = 5;
    ttft = eval_evidence_new(&header);
    add_told(ttft, &(struct told){0, -1, -1, 3000, 5, 5, -1});
    assert_none(ttft, "goodput_per_s", "the objective limits TTFT, and not every request has one");
    header.slo = (struct eval_slo){.tpot_ms = 5};
    tpot = eval_evidence_new(&header);
    add_told(tpot, &(struct told){0, 1000, -1, 3000, 5, -1, -1});
    assert_none(tpot, "goodput_per_s",
                "the objective limits TPOT, and it is not known for every request");
    one = eval_evidence_new(&header); /* one token has no time per token, and cannot miss it */
    add_answer(one, 0, 1000, 1000, 3000, 5, 1);
    assert_value(one, "slo_met", 1);
}

static void goodput_has_a_price_and_needs_energy(void **state)
{
    struct eval_figures *f = eval_figures_new(arena);
    struct eval_cost_run run = {.alone = true, .machine = eval_cost_machine_unknown(1)};

    (void)state;
    assert_non_null(f);
    for (int id = 0; id < EVAL_FIGURE_COUNT; id++)
        eval_figure_none(f, (enum eval_figure_id)id, "not measured");
    eval_figure_set(f, EVAL_FIGURE_goodput_per_s, 2);
    eval_figure_between(f, EVAL_FIGURE_goodput_per_s, 1, 3);
    run.given[EVAL_COST_rent] = 3600; /* a dollar a second */
    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        if (i != EVAL_COST_rent)
            run.given[i] = NAN;
    eval_cost_figures(&run, f);
    assert_true(fabs(f->rows[EVAL_FIGURE_goodput_per_usd].value - 2) < 1e-12);
    assert_true(fabs(f->rows[EVAL_FIGURE_goodput_per_usd].high - 3) < 1e-12);
    assert_string_equal(f->rows[EVAL_FIGURE_quality_goodput_per_usd].reason, "not measured");
    run.given[EVAL_COST_rent] = 0;
    eval_cost_figures(&run, f);
    assert_string_equal(f->rows[EVAL_FIGURE_goodput_per_usd].reason, "the machine costs nothing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_meet_every_limit_and_quality_counts_the_right_ones),
        cmocka_unit_test(without_an_objective_nothing_is_good_or_bad),
        cmocka_unit_test(failures_do_not_meet_an_objective),
        cmocka_unit_test(a_limit_on_what_nobody_saw_is_neither_met_nor_missed),
        cmocka_unit_test(goodput_has_a_price_and_needs_energy),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
