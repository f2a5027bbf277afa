/* What a machine costs by the hour and what runs on it cost: published examples, the predecessors'
 * wrong formulas beside ours, and a reason wherever there is no figure. */
#include "vectors.h"

#include <math.h>

#include "evaluator/measure.h"
#include "spec/spec.h"

static struct cap_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = cap_arena_new(16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fmax(1e-9, fabs(expected))))
        fail_msg("%.17g is not %.17g", value, expected);
}

/* ---- the hour ---- */

static struct eval_cost_run run_on(const char *hardware, unsigned parallel)
{
    struct eval_cost_run run = {.alone = false};

    assert_true(eval_cost_machine_declared(hardware, parallel, arena, &run.machine));
    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        run.given[i] = NAN;
    return run;
}

static struct eval_cost_hour hour_of(const struct eval_cost_run *run)
{
    struct eval_cost_term terms[EVAL_COST_INPUTS];

    eval_cost_terms(&run->machine, run->given, terms);
    return eval_cost_of_hour(terms, run->machine.devices);
}

/* TEASBench's own example: 8 H100 at 27,000 and 700 W, two Xeons at 7,214 and 350 W. */
static void teasbenchs_purchase_is_reproduced(void **state)
{
    struct eval_cost_run run = run_on("8x H100-SXM", 8);
    struct eval_cost_hour hour = hour_of(&run);

    (void)state;
    assert_true(hour.is_known && !hour.rented);
    assert_near(hour.devices + hour.host, (216000.0 + 14428) * 1.2 / 39420);
    assert_true(fabs(hour.devices + hour.host - 7.0146) < 5e-5);
    assert_near(hour.energy, 0.945);
    assert_true(fabs(hour.total - 7.9596) < 5e-5);
}

static void a_rent_is_by_device_and_covers_everything(void **state)
{
    struct eval_cost_run run = run_on("8x H100-SXM", 8);
    struct eval_cost_hour hour;

    (void)state;
    run.given[EVAL_COST_rent] = 2.1622;
    run.given[EVAL_COST_tariff] = 99;
    hour = hour_of(&run);
    assert_true(hour.is_known && hour.rented);
    assert_near(hour.total, 8 * 2.1622);
    assert_near(hour.energy + hour.host, 0);
}

/* Of every input that counts, more of it costs more, or less, as it says. */
static void every_input_changes_the_hour_in_its_direction(void **state)
{
    static const int direction[EVAL_COST_INPUTS] = {
        [EVAL_COST_price] = 1,        [EVAL_COST_device_watts] = 1, [EVAL_COST_lifetime_hours] = -1,
        [EVAL_COST_utilisation] = -1, [EVAL_COST_overhead] = 1,     [EVAL_COST_pue] = 1,
        [EVAL_COST_tariff] = 1,       [EVAL_COST_host_price] = 1,   [EVAL_COST_host_watts] = 1};

    (void)state;
    for (int i = EVAL_COST_price; i < EVAL_COST_INPUTS; i++) {
        struct eval_cost_run run = run_on("2x MI355X", 1);
        double before = hour_of(&run).total;
        struct eval_cost_term terms[EVAL_COST_INPUTS];

        eval_cost_terms(&run.machine, run.given, terms);
        run.given[i] = terms[i].value * 1.01;
        if (!((hour_of(&run).total - before) * direction[i] > 0))
            fail_msg("%s: %g after %g", eval_cost_input_id((enum eval_cost_input)i),
                     hour_of(&run).total, before);
    }
}

static void given_wins_over_measured_over_the_table_over_defaults(void **state)
{
    struct eval_cost_run run = run_on("2x H100-SXM", 1);
    struct eval_cost_term terms[EVAL_COST_INPUTS];

    (void)state;
    eval_cost_terms(&run.machine, run.given, terms);
    assert_int_equal(terms[EVAL_COST_device_watts].source, EVAL_COST_TABLE);
    assert_int_equal(terms[EVAL_COST_tariff].source, EVAL_COST_DEFAULT);
    assert_int_equal(terms[EVAL_COST_rent].source, EVAL_COST_UNKNOWN);
    run.machine.measured_w = 900; /* of both */
    eval_cost_terms(&run.machine, run.given, terms);
    assert_int_equal(terms[EVAL_COST_device_watts].source, EVAL_COST_MEASURED);
    assert_near(terms[EVAL_COST_device_watts].value, 450);
    run.given[EVAL_COST_device_watts] = 0;
    eval_cost_terms(&run.machine, run.given, terms);
    assert_int_equal(terms[EVAL_COST_device_watts].source, EVAL_COST_GIVEN);
    assert_near(terms[EVAL_COST_device_watts].value, 0);
}

static void inputs_are_the_knobs_of_cost_and_their_defaults_are_told(void **state)
{
    struct eval_cost_machine none = eval_cost_machine_unknown(1);
    double given[EVAL_COST_INPUTS];
    struct eval_cost_term terms[EVAL_COST_INPUTS];
    int input = 0;

    (void)state;
    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        given[i] = NAN;
    eval_cost_terms(&none, given, terms);
    for (int id = 0; id < CAP_KNOB_COUNT; id++) {
        const struct cap_knob *knob = &cap_knobs[id];
        char *end;

        if (knob->group != CAP_GROUP_COST)
            continue;
        assert_true(input < EVAL_COST_INPUTS);
        assert_string_equal(knob->id, eval_cost_input_id((enum eval_cost_input)input));
        if (strtod(knob->unset, &end) > 0 && end != knob->unset)
            assert_near(terms[input].value, strtod(knob->unset, NULL));
        else
            assert_false(terms[input].source == EVAL_COST_DEFAULT &&
                         input != EVAL_COST_host_price && input != EVAL_COST_host_watts);
        input++;
    }
    assert_int_equal(input, EVAL_COST_INPUTS);
}

/* ---- the machine ---- */

static void a_declared_count_must_hold_the_declared_parallelism(void **state)
{
    struct eval_cost_run run = run_on("H100-SXM", 8);

    (void)state;
    assert_int_equal(run.machine.devices, 8); /* it says nothing of how many */
    assert_null(run.machine.problem);
    run = run_on("8x H100-SXM", 4);
    assert_int_equal(run.machine.devices, 8); /* the whole machine is reserved */
    assert_null(run.machine.problem);
    run = run_on("1x H100-SXM", 8);
    assert_non_null(run.machine.problem);
    assert_non_null(
        strstr(run.machine.problem, "parallelism needs 8 devices, \"1x H100-SXM\" says 1"));
}

static void hosts_are_those_of_the_table(void **state)
{
    struct eval_cost_run run = run_on("16x B300", 16);

    (void)state;
    assert_near(run.machine.host_price, 4 * 5208); /* two machines of two */
    run = run_on("GB10", 1);
    assert_near(run.machine.host_price, 0);
    run = run_on("CS-3", 1);
    assert_near(run.machine.host_price, 0);
    assert_near(run.machine.overhead, 1);
    run = run_on("RTX A6000", 1);
    assert_true(isnan(run.machine.host_price)); /* the default */
}

static void a_rent_is_by_device_of_a_kind_that_nobody_knows(void **state)
{
    struct eval_cost_run run = run_on("8x Wafer-9000", 1);

    (void)state;
    run.given[EVAL_COST_rent] = 2;
    assert_near(hour_of(&run).total, 16);
}

static struct eval_cost_machine found(const char *text, unsigned count, unsigned cores)
{
    struct eval_cost_machine m;

    assert_true(eval_cost_machine_found(text, count, cores, arena, &m));
    return m;
}

static void a_part_of_a_processor_has_no_price(void **state)
{
    struct eval_cost_machine whole = found("Intel(R) Xeon(R) Platinum 8468", 2, 96),
                             part = found("Intel(R) Xeon(R) Platinum 8468", 1, 2),
                             laptop = found("some laptop", 0, 8);

    (void)state;
    assert_near(whole.price, 7214);
    assert_near(whole.host_price, 0);
    assert_int_equal(whole.devices, 2);
    assert_true(isnan(part.price) && isnan(part.watts));
    assert_string_equal(part.device, "2 of the 48 cores of Xeon-Platinum-8468");
    assert_true(isnan(laptop.price));
    assert_false(whole.declared);
}

static void cards_of_a_node_sit_in_their_usual_host(void **state)
{
    struct eval_cost_machine m = found("NVIDIA H100 80GB HBM3", 8, 0);

    (void)state;
    assert_int_equal(m.devices, 8);
    assert_near(m.price, 27000);
    assert_near(m.host_price, 14428);
}

/* ---- the run ---- */

/* A run of 100 requests in 50 s: 300,000 tokens in, 100,000 out, 80 right. Of its passes 10 s were
 * prefill and 30 s decode. */
static struct eval_figures *worked_figures(void)
{
    struct eval_figures *f = eval_figures_new(arena);

    assert_non_null(f);
    eval_figure_set(f, EVAL_FIGURE_accuracy, 0.8);
    eval_figure_set(f, EVAL_FIGURE_attempted, 100);
    eval_figure_set(f, EVAL_FIGURE_completed, 100);
    eval_figure_set(f, EVAL_FIGURE_wall_s, 50);
    eval_figure_set(f, EVAL_FIGURE_requests_per_s, 2);
    eval_figure_set(f, EVAL_FIGURE_input_tokens_per_s, 6000);
    eval_figure_set(f, EVAL_FIGURE_output_tokens_per_s, 2000);
    eval_figure_set(f, EVAL_FIGURE_total_tokens_per_s, 8000);
    eval_figure_set(f, EVAL_FIGURE_prefill_s, 10);
    eval_figure_set(f, EVAL_FIGURE_decode_s, 30);
    eval_figure_set(f, EVAL_FIGURE_prefill_batch_mean, 2);
    eval_figure_set(f, EVAL_FIGURE_decode_batch_mean, 16);
    eval_figure_set(f, EVAL_FIGURE_ttft_ms_mean, 200);
    eval_figure_set(f, EVAL_FIGURE_tpot_ms_mean, 8);
    return f;
}

static void assert_value(const struct eval_figures *f, enum eval_figure_id id, double expected)
{
    if (!eval_figure_has(f, id))
        fail_msg("%s: %s", f->rows[id].id, f->rows[id].reason);
    assert_false(f->rows[id].invalid);
    assert_near(eval_figure_value(f, id), expected);
}

static void assert_none(const struct eval_figures *f, enum eval_figure_id id, const char *reason)
{
    assert_false(eval_figure_has(f, id));
    assert_string_equal(f->rows[id].reason, reason);
    assert_string_equal(f->rows[id].basis, "unavailable");
}

/* The worked vector of docs/cost.md: 3.60 USD an hour, a tenth of a cent a second. */
static struct eval_cost_run worked_run(void)
{
    struct eval_cost_run run = run_on("2x H100-SXM", 2);

    run.given[EVAL_COST_rent] = 1.8;
    return run;
}

static void the_worked_run_costs_what_the_page_says(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour, 3.6);
    assert_value(f, EVAL_FIGURE_run_cost, 0.05);
    assert_value(f, EVAL_FIGURE_cost_per_request, 0.0005);
    assert_value(f, EVAL_FIGURE_cost_per_correct, 0.000625);
    assert_value(f, EVAL_FIGURE_cost_per_1m_tokens, 0.125);
    assert_value(f, EVAL_FIGURE_cost_per_1m_input_tokens, 0.25 * 0.001 / 6000 * 1e6);
    assert_value(f, EVAL_FIGURE_cost_per_1m_output_tokens, 0.75 * 0.001 / 2000 * 1e6);
    assert_value(f, EVAL_FIGURE_cost_per_request_busy, (0.2 / 2 + 0.008 * 1000 / 16) * 0.001);
    assert_value(f, EVAL_FIGURE_cost_per_1m_output_tokens_busy, 0.008 / 16 * 1e6 * 0.001);
    assert_value(f, EVAL_FIGURE_machine_price, 2 * 27000 + 2 * 7214);
    assert_none(f, EVAL_FIGURE_cost_per_hour_energy, "the rent covers it");
}

static void measured_power_takes_the_place_of_the_nameplate(void **state)
{
    struct eval_cost_run run = run_on("2x H100-SXM", 2);
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour_energy, (1400 + 700) / 1000.0 * 0.15);
    eval_figure_set(f, EVAL_FIGURE_energy_j, 60000); /* of all, in 50 s */
    eval_figure_set(f, EVAL_FIGURE_power_w_mean, 1200);
    eval_figure_set(f, EVAL_FIGURE_energy_j_gpu, 45000);
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour_energy, (900 + 700) / 1000.0 * 0.15);
    eval_figure_set(f, EVAL_FIGURE_energy_j_cpu, 12500);
    eval_figure_set(f, EVAL_FIGURE_energy_j_dram, 2500);
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour_energy, (900 + 300) / 1000.0 * 0.15);
    /* a reading that cannot be is none */
    eval_figure_invalid(f, EVAL_FIGURE_energy_j_gpu, "above the board's limit");
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour_energy, (1400 + 300) / 1000.0 * 0.15);
    /* a processor is the device: nothing is counted twice */
    run.machine = found("Intel(R) Xeon(R) Platinum 8468", 2, 96);
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour_energy, 300 / 1000.0 * 0.15);
}

static void passes_that_do_both_are_not_shared_out(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    assert_non_null(strstr(eval_cost_sharing(f), "as prefill and decode passes share"));
    eval_figure_set(f, EVAL_FIGURE_mixed_s, 5);
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_1m_output_tokens, 0.125);
    assert_non_null(strstr(eval_cost_sharing(f), "every token costs the same"));
}

static void intervals_of_rates_are_intervals_of_costs_the_other_way_round(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();
    double low, high;

    (void)state;
    eval_figure_between(f, EVAL_FIGURE_total_tokens_per_s, 4000, 10000);
    eval_cost_figures(&run, f);
    assert_true(eval_figure_interval(f, EVAL_FIGURE_cost_per_1m_tokens, &low, &high));
    assert_near(low, 0.1);
    assert_near(high, 0.25);
    assert_false(eval_figure_interval(f, EVAL_FIGURE_cost_per_correct, &low, &high));
    /* a right answer: by the accuracy alone, then by the rate as well */
    eval_figure_between(f, EVAL_FIGURE_accuracy, 0.64, 1);
    eval_cost_figures(&run, f);
    assert_true(eval_figure_interval(f, EVAL_FIGURE_cost_per_correct, &low, &high));
    assert_near(low, 0.000625 * 0.8);
    assert_near(high, 0.000625 / 0.8);
    eval_figure_between(f, EVAL_FIGURE_requests_per_s, 1.6, 2.5);
    eval_cost_figures(&run, f);
    assert_true(eval_figure_interval(f, EVAL_FIGURE_cost_per_correct, &low, &high));
    assert_near(low, 0.000625 * exp(-sqrt(2) * log(1.25)));
    assert_near(high, 0.000625 * exp(sqrt(2) * log(1.25)));
    /* no right answer is possible, too: no upper end */
    eval_figure_between(f, EVAL_FIGURE_accuracy, 0, 1);
    eval_cost_figures(&run, f);
    assert_false(eval_figure_interval(f, EVAL_FIGURE_cost_per_correct, &low, &high));
}

/* Whatever the shares, input and output together pay for the run, no more and no less. */
static void input_and_output_pay_for_the_whole_run(void **state)
{
    struct eval_cost_run run = worked_run();

    (void)state;
    for (int known = 0; known < 2; known++) {
        struct eval_figures *f = worked_figures();

        if (!known)
            eval_figure_none(f, EVAL_FIGURE_decode_s, "engine does not report passes");
        eval_cost_figures(&run, f);
        assert_near(eval_figure_value(f, EVAL_FIGURE_cost_per_1m_input_tokens) * 0.3 +
                        eval_figure_value(f, EVAL_FIGURE_cost_per_1m_output_tokens) * 0.1,
                    eval_figure_value(f, EVAL_FIGURE_run_cost));
    }
}

static void with_machine_of_cap26(struct eval_cost_run *run)
{
    *run = run_on("A100-SXM4-80GB", 1);
    run->given[EVAL_COST_price] = 19000;
    run->given[EVAL_COST_host_price] = 7214;
    run->given[EVAL_COST_host_watts] = 350;
}

/* D7: the whole purchase was charged to every run, with the two factors swapped, so an hour cost as
 * much as a second. */
static void trap_d7_time_always_changes_the_cost(void **state)
{
    struct eval_cost_run run;
    double last = 0;

    (void)state;
    with_machine_of_cap26(&run);
    for (double seconds = 0.001; seconds < 1e6; seconds *= 3) {
        struct eval_figures *f = worked_figures();
        double wrong = 1.25 * (19000 + 7214) + 1.2 * ((400 + 350) / 1000.0 * 0.15 * seconds / 3600);

        eval_figure_set(f, EVAL_FIGURE_wall_s, seconds);
        eval_cost_figures(&run, f);
        assert_value(f, EVAL_FIGURE_run_cost,
                     eval_figure_value(f, EVAL_FIGURE_cost_per_hour) * seconds / 3600);
        assert_true(eval_figure_value(f, EVAL_FIGURE_run_cost) > 2 * last);
        assert_true(wrong > 32767.5 && eval_figure_value(f, EVAL_FIGURE_run_cost) < wrong);
        last = eval_figure_value(f, EVAL_FIGURE_run_cost);
    }
    /* the published number for one hour, which is not ours */
    assert_true(fabs(1.25 * (19000 + 7214) + 1.2 * 0.75 * 0.15 - 32767.64) < 0.0051);
    assert_true(hour_of(&run).total < 1);
}

/* D7, second part: the table had H100 under a name that no machine reports. */
static void trap_d7_h100_has_a_price_under_every_name(void **state)
{
    static const char *const names[] = {"NVIDIA H100 80GB HBM3", "H100-SXM", "8x H100 SXM5",
                                        "NVIDIA-H100-HBM3-80GB"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        assert_near(run_on(names[i], 1).machine.price, 27000);
}

/* T5: with many requests in flight a token was priced at TPOT times the second. */
static void trap_t5_a_batch_that_is_not_known_is_not_a_batch_of_one(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_figure_none(f, EVAL_FIGURE_prefill_batch_mean, "engine does not report passes");
    eval_figure_none(f, EVAL_FIGURE_decode_batch_mean, "engine does not report passes");
    eval_figure_none(f, EVAL_FIGURE_prefill_s, "engine does not report passes");
    eval_figure_none(f, EVAL_FIGURE_decode_s, "engine does not report passes");
    eval_cost_figures(&run, f);
    assert_none(f, EVAL_FIGURE_cost_per_request_busy,
                "how many requests shared a pass is not known");
    assert_none(f, EVAL_FIGURE_cost_per_1m_output_tokens_busy,
                "how many requests shared a pass is not known");
    /* 1 / TPOT would be 8 USD */
    assert_value(f, EVAL_FIGURE_cost_per_1m_output_tokens, 0.125);
    run.alone = true;
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_request_busy, (0.2 + 8) * 0.001);
    assert_value(f, EVAL_FIGURE_cost_per_1m_output_tokens_busy, 8);
}

/* C20: one name was the wall, a share of it, or a mean latency; a cost by any of them differs. */
static void trap_c20_costs_rest_on_the_wall_and_on_rates_by_it(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_figure_set(f, EVAL_FIGURE_e2e_ms_mean, 8200);
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_request, 0.001 * 50 / 100);
    eval_figure_set(f, EVAL_FIGURE_e2e_ms_mean, 1);
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_request, 0.001 * 50 / 100);
}

/* ---- no figure ---- */

static void what_is_not_known_is_null_and_says_what_to_give(void **state)
{
    struct eval_cost_run run = run_on("", 1);
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_cost_figures(&run, f);
    for (unsigned id = EVAL_FIGURE_cost_per_hour; id <= EVAL_FIGURE_cost_per_correct; id++)
        assert_none(f, (enum eval_figure_id)id,
                    "it is not known what the run ran on; give --rent, or --hardware and --price");
    run = run_on("RTX 4090", 1);
    eval_cost_figures(&run, f);
    assert_none(f, EVAL_FIGURE_cost_per_hour,
                "no price known for RTX-4090-24GB; give --price or --rent");
    run.given[EVAL_COST_price] = 1600;
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour,
                 (1600 + 7214) * 1.2 / 39420 + (450 + 350) / 1000.0 * 0.15);
    run = run_on("MI250X", 1);
    run.given[EVAL_COST_price] = 9000;
    eval_cost_figures(&run, f);
    assert_none(f, EVAL_FIGURE_cost_per_hour,
                "no power known for MI250X-128GB; give --device-watts or --rent");
    assert_value(f, EVAL_FIGURE_machine_price, 9000 + 7214);
}

static void a_machine_that_contradicts_itself_is_not_priced(void **state)
{
    struct eval_cost_run run = run_on("1x H100-SXM", 8);
    struct eval_figures *f = worked_figures();

    (void)state;
    for (int rented = 0; rented < 2; rented++) {
        run.given[EVAL_COST_rent] = rented ? 2 : NAN;
        eval_cost_figures(&run, f);
        assert_none(f, EVAL_FIGURE_cost_per_hour, run.machine.problem);
        assert_none(f, EVAL_FIGURE_machine_price, run.machine.problem);
    }
}

static void a_run_without_times_has_a_price_by_the_hour_alone(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    for (unsigned id = EVAL_FIGURE_wall_s; id <= EVAL_FIGURE_total_tokens_per_s; id++)
        eval_figure_none(f, (enum eval_figure_id)id, "interrupted");
    eval_cost_figures(&run, f);
    assert_value(f, EVAL_FIGURE_cost_per_hour, 3.6);
    assert_none(f, EVAL_FIGURE_run_cost, "interrupted");
    assert_none(f, EVAL_FIGURE_cost_per_1m_output_tokens, "interrupted");
    assert_none(f, EVAL_FIGURE_cost_per_correct, "interrupted");
}

static void without_a_right_answer_none_has_a_price(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_figure_set(f, EVAL_FIGURE_accuracy, 0);
    eval_cost_figures(&run, f);
    assert_none(f, EVAL_FIGURE_cost_per_correct, "no right answer");
    eval_figure_none(f, EVAL_FIGURE_accuracy, "not every sample is graded");
    eval_cost_figures(&run, f);
    assert_none(f, EVAL_FIGURE_cost_per_correct, "not every sample is graded");
}

static void a_wrong_rate_makes_a_wrong_cost(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_figure_invalid(f, EVAL_FIGURE_output_tokens_per_s, "the run took no time");
    eval_cost_figures(&run, f);
    assert_true(f->rows[EVAL_FIGURE_cost_per_1m_output_tokens].invalid);
    assert_string_equal(f->rows[EVAL_FIGURE_cost_per_1m_output_tokens].reason,
                        "the run took no time");
}

static void scoring_has_a_cost_of_input_alone(void **state)
{
    struct eval_cost_run run = worked_run();
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_figure_none(f, EVAL_FIGURE_output_tokens_per_s, "no decode");
    eval_figure_none(f, EVAL_FIGURE_decode_s, "no decode");
    eval_figure_set(f, EVAL_FIGURE_total_tokens_per_s, 6000);
    eval_cost_figures(&run, f);
    assert_none(f, EVAL_FIGURE_cost_per_1m_output_tokens, "no decode");
    assert_value(f, EVAL_FIGURE_cost_per_1m_input_tokens, 0.001 / 6000 * 1e6);
}

static void what_somebody_said_is_declared_and_the_table_is_derived(void **state)
{
    struct eval_cost_run run = run_on("H100-SXM", 1);
    struct eval_figures *f = worked_figures();

    (void)state;
    eval_cost_figures(&run, f);
    assert_string_equal(f->rows[EVAL_FIGURE_cost_per_request].basis, "declared");
    assert_string_equal(f->rows[EVAL_FIGURE_machine_price].basis, "declared");
    run.machine.declared = false;
    eval_cost_figures(&run, f);
    assert_string_equal(f->rows[EVAL_FIGURE_cost_per_request].basis, "derived");
    assert_string_equal(f->rows[EVAL_FIGURE_machine_price].basis, "derived");
    run.given[EVAL_COST_tariff] = 0.2;
    eval_cost_figures(&run, f);
    assert_string_equal(f->rows[EVAL_FIGURE_cost_per_request].basis, "declared");
    assert_string_equal(f->rows[EVAL_FIGURE_machine_price].basis, "derived");
    run.given[EVAL_COST_tariff] = NAN;
    run.given[EVAL_COST_rent] = 2;
    eval_cost_figures(&run, f);
    assert_string_equal(f->rows[EVAL_FIGURE_cost_per_request].basis, "declared");
    assert_string_equal(f->rows[EVAL_FIGURE_machine_price].basis, "derived");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(teasbenchs_purchase_is_reproduced),
        cmocka_unit_test(a_rent_is_by_device_and_covers_everything),
        cmocka_unit_test(every_input_changes_the_hour_in_its_direction),
        cmocka_unit_test(given_wins_over_measured_over_the_table_over_defaults),
        cmocka_unit_test(inputs_are_the_knobs_of_cost_and_their_defaults_are_told),
        cmocka_unit_test(a_declared_count_must_hold_the_declared_parallelism),
        cmocka_unit_test(hosts_are_those_of_the_table),
        cmocka_unit_test(a_rent_is_by_device_of_a_kind_that_nobody_knows),
        cmocka_unit_test(a_part_of_a_processor_has_no_price),
        cmocka_unit_test(cards_of_a_node_sit_in_their_usual_host),
        cmocka_unit_test(the_worked_run_costs_what_the_page_says),
        cmocka_unit_test(measured_power_takes_the_place_of_the_nameplate),
        cmocka_unit_test(passes_that_do_both_are_not_shared_out),
        cmocka_unit_test(intervals_of_rates_are_intervals_of_costs_the_other_way_round),
        cmocka_unit_test(input_and_output_pay_for_the_whole_run),
        cmocka_unit_test(trap_d7_time_always_changes_the_cost),
        cmocka_unit_test(trap_d7_h100_has_a_price_under_every_name),
        cmocka_unit_test(trap_t5_a_batch_that_is_not_known_is_not_a_batch_of_one),
        cmocka_unit_test(trap_c20_costs_rest_on_the_wall_and_on_rates_by_it),
        cmocka_unit_test(what_is_not_known_is_null_and_says_what_to_give),
        cmocka_unit_test(a_machine_that_contradicts_itself_is_not_priced),
        cmocka_unit_test(a_run_without_times_has_a_price_by_the_hour_alone),
        cmocka_unit_test(without_a_right_answer_none_has_a_price),
        cmocka_unit_test(a_wrong_rate_makes_a_wrong_cost),
        cmocka_unit_test(scoring_has_a_cost_of_input_alone),
        cmocka_unit_test(what_somebody_said_is_declared_and_the_table_is_derived),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
