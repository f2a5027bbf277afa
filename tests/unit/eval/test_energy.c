/* Energy of a run: the worked vector of docs/energy.md, and the reason where there is none. */
#include "vectors.h"

#include <math.h>

#include "evaluator/measure.h"

static struct cap_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = cap_arena_new(64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

static char *metrics[] = {"acc"};

enum { READINGS = 4 };

/* A header with readings: gpu0 and gpu1, a package, and no memory that tells. */
struct told {
    Moecap__V1__EvidenceHeader header;
    Moecap__V1__TaskInfo task;
    Moecap__V1__ShardReport report;
    Moecap__V1__EnergyReading readings[READINGS], *at[READINGS];
};

static void tell(Moecap__V1__EnergyReading *r, const char *device, const char *kind, double joules,
                 double idle_watts)
{
    moecap__v1__energy_reading__init(r);
    r->device = (char *)device;
    r->kind = (char *)kind;
    r->source = "nvml";
    r->validity = MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_OK;
    r->seconds = 20;
    r->opt_joules_case = MOECAP__V1__ENERGY_READING__OPT_JOULES_JOULES;
    r->joules = joules;
    r->opt_idle_case = MOECAP__V1__ENERGY_READING__OPT_IDLE_IDLE_WATTS;
    r->idle_watts = idle_watts;
}

static void lose(Moecap__V1__EnergyReading *r, Moecap__V1__PowerValidity validity, const char *why)
{
    r->validity = validity;
    r->reason = (char *)why;
    r->opt_joules_case = MOECAP__V1__ENERGY_READING__OPT_JOULES__NOT_SET;
}

static void worked(struct told *t)
{
    moecap__v1__evidence_header__init(&t->header);
    moecap__v1__task_info__init(&t->task);
    moecap__v1__shard_report__init(&t->report);
    t->header.task = &t->task;
    t->header.report = &t->report;
    t->header.attempted = 4;
    t->header.attempts = 1;
    t->task.output_type = "generate_until";
    t->task.metrics = metrics;
    t->task.n_metrics = 1;
    tell(&t->readings[0], "gpu0", "gpu", 8000.5, 75);
    tell(&t->readings[1], "gpu1", "gpu", 7000, 80);
    tell(&t->readings[2], "package-0", "cpu", 3000, 60);
    moecap__v1__energy_reading__init(&t->readings[3]);
    t->readings[3].kind = "dram";
    lose(&t->readings[3], MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_NO_SOURCE,
         "rapl tells nothing of it here");
    for (int i = 0; i < READINGS; i++)
        t->at[i] = &t->readings[i];
    t->report.energy = t->at;
    t->report.n_energy = READINGS;
}

static void add_answer(struct eval_evidence *e, uint32_t prompt, uint32_t output)
{
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;

    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    answer.finish_reason = "stop";
    answer.opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
    answer.prompt_tokens = prompt;
    if (output) {
        answer.opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
        answer.output_tokens = output;
    }
    eval_evidence_add_answer(e, &answer);
}

static void add_verdict(struct eval_evidence *e, bool correct)
{
    Moecap__V1__Verdict verdict = MOECAP__V1__VERDICT__INIT;

    verdict.metric = "acc";
    verdict.kind = correct ? MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT
                           : MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG;
    eval_evidence_add_verdict(e, &verdict);
}

/* Four samples: three answered with 150 prompt and 100 output tokens, two of them right; one failed. */
static struct eval_evidence *evidence_of(const struct told *t, int correct)
{
    const Moecap__V1__SampleAnswer failed = MOECAP__V1__SAMPLE_ANSWER__INIT;
    struct eval_run run;
    struct cap_err err = {0};
    struct eval_evidence *e;

    if (!eval_run_read(&t->header, arena, &run, &err))
        fail_msg("%s", err.text);
    e = eval_evidence_new(&run);
    add_answer(e, 50, 30);
    add_answer(e, 50, 30);
    add_answer(e, 50, 40);
    eval_evidence_add_answer(e, &failed);
    for (int i = 0; i < 4; i++)
        add_verdict(e, i < correct);
    return e;
}

static Moecap__V1__Summary *summary_of(const struct told *t, int correct)
{
    Moecap__V1__Summary *summary = cap_arena_alloc(arena, sizeof *summary);
    CAP_AUTO(eval_evidence) e = evidence_of(t, correct);

    assert_true(eval_measure(e, arena, summary));
    return summary;
}

static const Moecap__V1__Figure *figure(const Moecap__V1__Summary *summary, const char *id)
{
    for (size_t i = 0; i < summary->n_figures; i++)
        if (strcmp(summary->figures[i]->id, id) == 0)
            return summary->figures[i];
    fail_msg("there is no figure %s", id);
    return NULL;
}

static void assert_value(const Moecap__V1__Summary *summary, const char *id, double expected)
{
    const Moecap__V1__Figure *f = figure(summary, id);

    if (!f->opt_value_case || !(fabs(f->value - expected) <= 1e-9 * fabs(expected)))
        fail_msg("%s is %.17g (%s), expected %.17g", id, f->value, f->reason, expected);
    assert_string_equal(f->reason, "");
    assert_string_equal(f->basis, "measured");
    assert_false(f->invalid);
}

static void assert_none(const Moecap__V1__Summary *summary, const char *id, const char *reason)
{
    const Moecap__V1__Figure *f = figure(summary, id);

    if (f->opt_value_case || strcmp(f->reason, reason) != 0)
        fail_msg("%s has value %d, reason \"%s\", expected \"%s\"", id, f->opt_value_case,
                 f->reason, reason);
    assert_string_equal(f->basis, "unavailable");
}

static void assert_invalid(const Moecap__V1__Summary *summary, const char *id, const char *reason)
{
    const Moecap__V1__Figure *f = figure(summary, id);

    if (!f->invalid || strcmp(f->reason, reason) != 0)
        fail_msg("%s is invalid %d, reason \"%s\", expected \"%s\"", id, f->invalid, f->reason,
                 reason);
}

static void the_worked_run_gives_the_worked_energy(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    s = summary_of(&t, 2);
    assert_value(s, "energy_j", 18000.5);
    assert_value(s, "energy_j_gpu", 15000.5);
    assert_value(s, "energy_j_cpu", 3000);
    assert_none(s, "energy_j_dram", "rapl tells nothing of it here");
    assert_value(s, "power_w_mean", 900.025);
    assert_value(s, "power_w_idle", 215);
    assert_value(s, "j_per_output_token", 180.005);
    assert_value(s, "j_per_token", 72.002);
    assert_value(s, "j_per_request", 18000.5 / 3);
    assert_value(s, "j_per_correct", 9000.25);
}

static void trap_e2_idle_power_is_taken_off_and_kept_beside_the_whole(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    s = summary_of(&t, 2);
    assert_value(s, "energy_j_above_idle", 18000.5 - 215 * 20);
    assert_value(s, "energy_j_gpu_above_idle", 15000.5 - 155 * 20);
    assert_value(s, "power_w_mean_above_idle", 900.025 - 215);
    assert_value(s, "j_per_output_token_above_idle", 137.005);
    assert_value(s, "j_per_correct_above_idle", 13700.5 / 2);
}

/* Upstream keeps whole watts: 0.4 W would be 0, and 1.9 W 1. */
static void trap_c7_small_energies_are_not_rounded(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    tell(&t.readings[0], "gpu0", "gpu", 0.25, 0.001);
    tell(&t.readings[1], "gpu1", "gpu", 0.5, 0.002);
    tell(&t.readings[2], "package-0", "cpu", 0.125, 0.003);
    s = summary_of(&t, 2);
    assert_value(s, "energy_j", 0.875);
    assert_value(s, "power_w_mean", 0.04375);
    assert_value(s, "energy_j_above_idle", 0.875 - 0.006 * 20);
}

/* L18: the reader multiplied power by 100. A figure is in its unit, all the way. */
static void trap_l18_watts_are_watts(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    s = summary_of(&t, 2);
    assert_string_equal(figure(s, "power_w_mean")->unit, "W");
    assert_string_equal(figure(s, "energy_j")->unit, "J");
    assert_true(figure(s, "power_w_mean")->value * 20 == figure(s, "energy_j")->value);
}

static void no_right_answer_has_no_energy_of_one(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    assert_none(summary_of(&t, 0), "j_per_correct", "no correct answer");
    assert_none(summary_of(&t, 0), "j_per_correct_above_idle", "no correct answer");
}

static void one_unknown_device_leaves_its_kind_unknown(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    lose(&t.readings[1], MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_GAPS,
         "5 s without a new value; at most 3 s");
    s = summary_of(&t, 2);
    assert_none(s, "energy_j_gpu", "gpu1: 5 s without a new value; at most 3 s");
    assert_none(s, "energy_j", "gpu1: 5 s without a new value; at most 3 s");
    assert_none(s, "j_per_output_token", "gpu1: 5 s without a new value; at most 3 s");
    assert_value(s, "energy_j_cpu", 3000);
    worked(&t);
    tell(&t.readings[3], "package-1", "cpu", 0, 60);
    lose(&t.readings[3], MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_WRAPPED, "wrapped");
    s = summary_of(&t, 2); /* half of the processors are not a kind */
    assert_none(s, "energy_j_cpu", "package-1: wrapped");
    assert_value(s, "energy_j", 15000.5);
}

static void a_total_needs_the_kind_that_computes(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    t.report.energy = t.at + 2; /* no GPU took part: the processor computes */
    t.report.n_energy = 2;
    s = summary_of(&t, 2);
    assert_value(s, "energy_j", 3000);
    assert_none(s, "energy_j_gpu", "no GPU took part");
    worked(&t);
    lose(&t.readings[2], MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_NO_SOURCE, "no RAPL");
    t.readings[2].device = "";
    s = summary_of(&t, 2); /* the rest is known, and said to be all there is */
    assert_value(s, "energy_j", 15000.5);
    assert_none(s, "energy_j_cpu", "no RAPL");
}

static void an_interrupted_run_has_no_energy(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.header.attempts = 2;
    assert_none(summary_of(&t, 2), "energy_j", "interrupted");
    assert_none(summary_of(&t, 2), "j_per_correct_above_idle", "interrupted");
}

static void a_node_that_does_not_measure_says_so(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.report.n_energy = 0;
    assert_none(summary_of(&t, 2), "energy_j", "the node did not measure power");
    t.header.report = NULL;
    assert_none(summary_of(&t, 2), "power_w_idle", "the node did not measure power");
}

static void idle_power_that_is_unknown_leaves_the_whole(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    t.readings[1].opt_idle_case = 0;
    t.readings[1].idle_unknown = "the node was never idle";
    s = summary_of(&t, 2);
    assert_value(s, "energy_j", 18000.5);
    assert_none(s, "energy_j_above_idle", "the node was never idle");
    assert_none(s, "power_w_idle", "the node was never idle");
}

static void less_than_idle_is_marked(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.readings[0].idle_watts = 5000;
    assert_invalid(summary_of(&t, 2), "energy_j_above_idle",
                   "less than it drew before the run: it was not idle then");
    assert_value(summary_of(&t, 2), "energy_j", 18000.5);
}

static void power_beyond_the_boards_limit_is_invalid(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.readings[0].opt_limit_case = MOECAP__V1__ENERGY_READING__OPT_LIMIT_LIMIT_WATTS;
    t.readings[0].limit_watts = 700;
    t.readings[0].opt_watts_max_case = MOECAP__V1__ENERGY_READING__OPT_WATTS_MAX_WATTS_MAX;
    t.readings[0].watts_max = 840;
    assert_value(summary_of(&t, 2), "energy_j", 18000.5);
    t.readings[0].watts_max = 841;
    assert_invalid(summary_of(&t, 2), "energy_j",
                   "gpu0 drew 841 W, more than 1.2 times its limit of 700 W");
    assert_invalid(summary_of(&t, 2), "j_per_output_token_above_idle",
                   "gpu0 drew 841 W, more than 1.2 times its limit of 700 W");
    assert_value(summary_of(&t, 2), "energy_j_cpu", 3000);
    t.readings[0].opt_watts_max_case = 0; /* the mean alone is 20 kW */
    t.readings[0].joules = 400000;
    assert_invalid(summary_of(&t, 2), "energy_j_gpu",
                   "gpu0 drew 2e+04 W, more than 1.2 times its limit of 700 W");
}

static void power_below_zero_is_invalid(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.readings[2].opt_watts_min_case = MOECAP__V1__ENERGY_READING__OPT_WATTS_MIN_WATTS_MIN;
    t.readings[2].watts_min = -1;
    assert_invalid(summary_of(&t, 2), "energy_j", "package-0 drew -1 W, which cannot be");
    t.readings[2].opt_watts_min_case = 0;
    t.readings[2].joules = -20;
    assert_invalid(summary_of(&t, 2), "energy_j_cpu", "package-0 drew -1 W, which cannot be");
}

static void trap_e6_two_accounts_that_disagree_are_invalid(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.readings[1].opt_integrated_case =
        MOECAP__V1__ENERGY_READING__OPT_INTEGRATED_INTEGRATED_JOULES;
    t.readings[1].integrated_joules = 7350;
    assert_value(summary_of(&t, 2), "energy_j_gpu", 15000.5);
    t.readings[1].integrated_joules = 7351;
    assert_invalid(summary_of(&t, 2), "energy_j_gpu",
                   "gpu1 drew 7000 J by its counter and 7351 J by its power over time: more than "
                   "5 % apart");
    t.readings[1].seconds = 9; /* too short to be compared: sensors lag */
    assert_false(figure(summary_of(&t, 2), "energy_j_gpu")->invalid);
}

static void tokens_that_are_unknown_leave_no_energy_of_one(void **state)
{
    struct told t;
    Moecap__V1__Summary *summary = cap_arena_alloc(arena, sizeof *summary);

    (void)state;
    worked(&t);
    CAP_AUTO(eval_evidence) e = evidence_of(&t, 2);
    add_answer(e, 50, 0);
    assert_true(eval_measure(e, arena, summary));
    assert_none(summary, "j_per_output_token", "token counts are not known");
    assert_none(summary, "j_per_token", "token counts are not known");
    assert_value(summary, "energy_j", 18000.5);
}

static void scoring_has_energy_per_token_but_none_per_output_token(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.task.output_type = "multiple_choice";
    assert_none(summary_of(&t, 2), "j_per_output_token", "no decode");
    assert_true(figure(summary_of(&t, 2), "j_per_token")->opt_value_case);
}

/* ---- marks, nameplate ---- */

static const char *mark(const Moecap__V1__Summary *summary, const char *id)
{
    for (size_t i = 0; i < summary->n_marks; i++)
        if (strcmp(summary->marks[i]->id, id) == 0)
            return summary->marks[i]->text;
    return NULL;
}

static void energy_without_a_kind_is_marked(void **state)
{
    struct told t;
    const char *text;

    (void)state;
    worked(&t);
    text = mark(summary_of(&t, 2), "energy-in-part");
    assert_non_null(text);
    assert_non_null(strstr(text, "without that of memory (rapl tells nothing of it here)"));
    lose(&t.readings[2], MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_NO_SOURCE, "no RAPL");
    t.readings[2].device = "";
    text = mark(summary_of(&t, 2), "energy-in-part");
    assert_non_null(strstr(text, "without that of processors and memory (no RAPL)"));
    tell(&t.readings[2], "package-0", "cpu", 3000, 60);
    tell(&t.readings[3], "dram-0", "dram", 100, 1);
    assert_null(mark(summary_of(&t, 2), "energy-in-part"));
    t.report.n_energy = 0; /* no energy at all needs no mark */
    assert_null(mark(summary_of(&t, 2), "energy-in-part"));
}

/* Two stretches of idling differ by themselves. */
static void a_run_that_idles_is_noise_and_no_fault(void **state)
{
    struct told t;
    Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    assert_null(mark(summary_of(&t, 2), "energy-idle"));
    t.report.n_energy = 1; /* 8,000.5 J in 20 s */
    t.readings[0].idle_watts = 402;
    s = summary_of(&t, 2);
    assert_value(s, "energy_j_above_idle", 8000.5 - 402 * 20);
    assert_value(s, "j_per_correct_above_idle", (8000.5 - 402 * 20) / 2);
    assert_non_null(strstr(mark(s, "energy-idle"), "to within 5 %"));
    t.readings[0].idle_watts = 422; /* 8,000.5 is 94.8 % of it */
    s = summary_of(&t, 2);
    assert_invalid(s, "energy_j_above_idle",
                   "less than it drew before the run: it was not idle then");
    assert_null(mark(s, "energy-idle"));
    t.readings[0].idle_watts = -1;
    assert_invalid(summary_of(&t, 2), "energy_j_above_idle",
                   "gpu0 drew -1 W while idle, which cannot be");
    assert_invalid(summary_of(&t, 2), "energy_j", "gpu0 drew -1 W while idle, which cannot be");
}

static void energy_of_an_exporter_is_marked(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    assert_null(mark(summary_of(&t, 2), "energy-as-exported"));
    t.readings[0].source = "prometheus";
    assert_non_null(mark(summary_of(&t, 2), "energy-as-exported"));
}

static void energy_of_a_busy_host_is_marked(void **state)
{
    struct told t;

    (void)state;
    worked(&t);
    t.report.timing_boundary = "engine";
    t.report.threads = 4;
    t.report.opt_host_load_case = MOECAP__V1__SHARD_REPORT__OPT_HOST_LOAD_HOST_LOAD;
    t.report.host_load = 4.9;
    assert_null(mark(summary_of(&t, 2), "energy-shared"));
    t.report.host_load = 5.1;
    assert_non_null(strstr(mark(summary_of(&t, 2), "energy-shared"), "5.1 threads on average"));
    t.report.timing_boundary = "http"; /* nobody knows which are the server's */
    assert_null(mark(summary_of(&t, 2), "energy-shared"));
}

static void what_a_node_cannot_have_measured_of_itself_is_unknown(void **state)
{
    static const double impossible[] = {-1, NAN, INFINITY};
    struct told t;

    (void)state;
    worked(&t);
    t.report.opt_client_cpu_case = MOECAP__V1__SHARD_REPORT__OPT_CLIENT_CPU_CLIENT_CPU_SHARE;
    t.report.opt_client_busy_case = MOECAP__V1__SHARD_REPORT__OPT_CLIENT_BUSY_CLIENT_BUSY_SHARE;
    t.report.opt_host_load_case = MOECAP__V1__SHARD_REPORT__OPT_HOST_LOAD_HOST_LOAD;
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        const Moecap__V1__Summary *s;

        t.report.client_cpu_share = t.report.client_busy_share = t.report.host_load = impossible[i];
        s = summary_of(&t, 2);
        assert_none(s, "client_cpu_share", "the node did not measure it");
        assert_none(s, "client_busy_share", "the node did not measure it");
        assert_none(s, "host_load", "the node did not measure it");
        assert_null(mark(s, "client-bound"));
        assert_null(mark(s, "noisy-host"));
    }
}

/* An answer that took 20 s, on a machine of the table. */
static Moecap__V1__Summary *plated(struct told *t, const char *hardware)
{
    Moecap__V1__Summary *summary = cap_arena_alloc(arena, sizeof *summary);
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__Hardware declared = MOECAP__V1__HARDWARE__INIT;
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;
    Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;

    spec.engine = "openai";
    spec.hardware = &declared;
    declared.description = (char *)hardware;
    t->header.spec = &spec;
    t->report.timing_boundary = "http";
    timing.ended_us = 20 * 1000 * 1000;
    answer.timing = &timing;
    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    answer.finish_reason = "stop";
    answer.opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
    answer.prompt_tokens = 50;
    answer.opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
    answer.output_tokens = 100;
    CAP_AUTO(eval_evidence) e = evidence_of(t, 2);
    eval_evidence_add_answer(e, &answer);
    assert_true(eval_measure(e, arena, summary));
    t->header.spec = NULL;
    return summary;
}

static void nameplate_power_is_a_labelled_fallback_and_in_no_measured_figure(void **state)
{
    struct told t;
    const Moecap__V1__Summary *s;

    (void)state;
    worked(&t);
    s = plated(&t, "8x H100-SXM");
    assert_none(s, "energy_j_nameplate", "energy_j is measured");
    t.report.n_energy = 0;
    s = plated(&t, "8x H100-SXM"); /* 700 W each */
    assert_none(s, "energy_j", "the node did not measure power");
    assert_true(figure(s, "energy_j_nameplate")->value == 8 * 700 * 20);
    assert_string_equal(figure(s, "energy_j_nameplate")->basis, "declared"); /* so is the machine */
    assert_true(figure(s, "j_per_output_token_nameplate")->value == 8 * 700 * 20 / 200.0);
    assert_true(figure(s, "j_per_correct_nameplate")->value == 8 * 700 * 20 / 2.0);
    s = plated(&t, "a box of my own");
    assert_none(s, "energy_j_nameplate", "no board power known for a box of my own");
}

/* ---- power over time ---- */

static const Moecap__V1__Curve *power_curve(const Moecap__V1__Summary *summary)
{
    for (size_t i = 0; i < summary->n_curves; i++)
        if (strcmp(summary->curves[i]->id, "power_over_time") == 0)
            return summary->curves[i];
    return NULL;
}

static void power_over_time_adds_up_the_devices(void **state)
{
    struct told t;
    Moecap__V1__Summary *summary = cap_arena_alloc(arena, sizeof *summary);
    const Moecap__V1__Curve *curve;

    (void)state;
    worked(&t);
    CAP_AUTO(eval_evidence) e = evidence_of(&t, 2);
    eval_power_add(&e->power, "gpu0", 1500000, 100); /* 1.5 s at 100 W, 1.5 s at 300 W */
    eval_power_add(&e->power, "gpu0", 3000000, 300);
    eval_power_add(&e->power, "gpu1", 2500000, 10);
    eval_power_add(&e->power, "gpu1", 2500000, 1e9); /* the same moment again */
    eval_power_add(&e->power, "gpu1", -1, 1e9);
    assert_true(eval_measure(e, arena, summary));
    curve = power_curve(summary);
    assert_non_null(curve);
    assert_int_equal(curve->n_x, 2); /* of the third second gpu1 tells only half */
    assert_true(curve->x[0] == 0.5 && curve->x[1] == 1.5);
    assert_true(fabs(curve->y[0] - 110) < 1e-9);
    assert_true(fabs(curve->y[1] - 210) < 1e-9);
    assert_true(curve->reference[1] == 215);
    e->run.attempts = 2; /* times of two attempts are not one curve */
    assert_true(eval_measure(e, arena, summary));
    assert_null(power_curve(summary));
}

static void power_of_a_long_run_keeps_its_energy(void **state)
{
    struct eval_evidence *e = eval_evidence_new(&(struct eval_run){.attempts = 1});
    double s[EVAL_POWER_STRETCHES], watts[EVAL_POWER_STRETCHES], joules = 0;
    size_t count;

    (void)state;
    for (int64_t i = 1; i <= 4096; i++)
        eval_power_add(&e->power, "gpu0", i * 1000000, (double)(i % 7));
    count = eval_power_points(e, s, watts);
    assert_int_equal(count, 512);
    for (size_t i = 0; i < count; i++)
        joules += watts[i] * 8;
    assert_true(fabs(joules - 12286) < 1e-6);        /* the sum of i % 7 */
    eval_power_add(&e->power, "gpu0", INT64_MAX, 1); /* no such time */
    assert_int_equal(eval_power_points(e, s, watts), 512);
    eval_evidence_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_run_gives_the_worked_energy),
        cmocka_unit_test(trap_e2_idle_power_is_taken_off_and_kept_beside_the_whole),
        cmocka_unit_test(trap_c7_small_energies_are_not_rounded),
        cmocka_unit_test(trap_l18_watts_are_watts),
        cmocka_unit_test(no_right_answer_has_no_energy_of_one),
        cmocka_unit_test(one_unknown_device_leaves_its_kind_unknown),
        cmocka_unit_test(a_total_needs_the_kind_that_computes),
        cmocka_unit_test(an_interrupted_run_has_no_energy),
        cmocka_unit_test(a_node_that_does_not_measure_says_so),
        cmocka_unit_test(idle_power_that_is_unknown_leaves_the_whole),
        cmocka_unit_test(less_than_idle_is_marked),
        cmocka_unit_test(a_run_that_idles_is_noise_and_no_fault),
        cmocka_unit_test(power_beyond_the_boards_limit_is_invalid),
        cmocka_unit_test(power_below_zero_is_invalid),
        cmocka_unit_test(trap_e6_two_accounts_that_disagree_are_invalid),
        cmocka_unit_test(tokens_that_are_unknown_leave_no_energy_of_one),
        cmocka_unit_test(energy_without_a_kind_is_marked),
        cmocka_unit_test(energy_of_an_exporter_is_marked),
        cmocka_unit_test(energy_of_a_busy_host_is_marked),
        cmocka_unit_test(what_a_node_cannot_have_measured_of_itself_is_unknown),
        cmocka_unit_test(nameplate_power_is_a_labelled_fallback_and_in_no_measured_figure),
        cmocka_unit_test(power_over_time_adds_up_the_devices),
        cmocka_unit_test(power_of_a_long_run_keeps_its_energy),
        cmocka_unit_test(scoring_has_energy_per_token_but_none_per_output_token),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
