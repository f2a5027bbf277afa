/* Figures of the load: the worked vector of docs/load.md, what a closed loop has not, and the marks
 * of a client or a host that is part of what it measures. */
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

static struct eval_run open_loop(void)
{
    static const char *const metrics[] = {"acc"};

    return (struct eval_run){
        .attempted = 4,
        .attempts = 1,
        .metrics = metrics,
        .metric_count = 1,
        .reported = true,
        .in_engine = true,
        .is_open = true,
        .client = {.cpu_share = 0.004, .busy_share = 0.01, .host_load = 1.5, .host_cores = 2}};
}

/* In microseconds; below 0: not said. */
struct times {
    int64_t due, sent, started, first, ended;
};

static void add(struct eval_evidence *e, const struct times *t)
{
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;
    Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;

    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    answer.finish_reason = "stop";
    answer.timing = &timing;
    timing.submitted_us = t->due;
    timing.ended_us = t->ended;
    timing.opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
    timing.first_token_us = t->first;
    if (t->sent >= 0) {
        timing.opt_sent_case = MOECAP__V1__TIMING__OPT_SENT_SENT_US;
        timing.sent_us = t->sent;
    }
    if (t->started >= 0) {
        timing.opt_started_case = MOECAP__V1__TIMING__OPT_STARTED_STARTED_US;
        timing.started_us = t->started;
    }
    eval_evidence_add_answer(e, &answer);
}

static const struct times worked[] = {
    {0, 100, 1000, 11000, 50000},
    {100000, 100200, 102000, 112000, 150000},
    {200000, 200000, 220000, 230000, 250000},
    {300000, 303000, 310000, 320000, 350000},
};

static struct eval_evidence *run_of(const struct eval_run *run, const struct times *list, int count)
{
    struct eval_evidence *e = eval_evidence_new(run);

    for (int i = 0; i < count; i++)
        add(e, &list[i]);
    return e;
}

static struct eval_evidence *worked_run(void)
{
    const struct eval_run run = open_loop();

    return run_of(&run, worked, 4);
}

static const Moecap__V1__Figure *figure(struct eval_evidence *e, const char *id)
{
    Moecap__V1__Summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_figures; i++)
        if (strcmp(summary.figures[i]->id, id) == 0)
            return summary.figures[i];
    fail_msg("there is no figure %s", id);
    return NULL;
}

static void assert_value(struct eval_evidence *e, const char *id, double expected)
{
    const Moecap__V1__Figure *f = figure(e, id);

    if (!f->opt_value_case || fabs(f->value - expected) > 1e-9 * fmax(1, fabs(expected)))
        fail_msg("%s is %.17g (%s), expected %.17g", id, f->value, f->reason, expected);
}

static void assert_none(struct eval_evidence *e, const char *id, const char *reason)
{
    const Moecap__V1__Figure *f = figure(e, id);

    assert_int_equal(f->opt_value_case, 0);
    assert_string_equal(f->reason, reason);
}

static const char *mark(struct eval_evidence *e, const char *id)
{
    Moecap__V1__Summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_marks; i++)
        if (strcmp(summary.marks[i]->id, id) == 0)
            return summary.marks[i]->text;
    return NULL;
}

/* ---- the schedule ---- */

static void the_worked_schedule_gives_the_worked_figures(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_run();

    (void)state;
    assert_value(e, "rate_asked", 10);
    assert_value(e, "rate_achieved", 3 / 0.3029);
    assert_value(e, "schedule_delay_ms_mean", 0.825);
    assert_value(e, "schedule_delay_ms_max", 3);
    assert_value(e, "client_cpu_share", 0.004);
    assert_value(e, "client_busy_share", 0.01);
    assert_value(e, "host_load", 1.5);
}

/* A request waits in the client, then in the engine's queue; only what follows is the engine's speed.
 * One figure for all of it makes a server look slow that was only busy. */
static void trap_c40_time_in_the_queue_is_told_apart_from_the_service(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_run();

    (void)state;
    assert_value(e, "queue_ms_mean", 8.25);
    assert_value(e, "service_ttft_ms_mean", 10);
    assert_value(e, "service_ttft_ms_p50", 10);
    assert_value(e, "ttft_ms_mean", 8.25 + 10);
}

static void a_closed_loop_has_no_schedule_but_a_queue(void **state)
{
    struct eval_run run = open_loop();
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    run.is_open = false;
    e = run_of(&run, worked, 4);
    assert_none(e, "rate_asked", "closed loop: nothing was due at a time");
    assert_none(e, "schedule_delay_ms_p99", "closed loop: nothing was due at a time");
    assert_value(e, "queue_ms_mean", 8.25);
}

static void what_a_node_or_a_server_does_not_say_is_null(void **state)
{
    static const struct times silent[] = {{0, -1, -1, 5, 9}, {10, -1, -1, 15, 19}};
    struct eval_run run = open_loop();
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    run.in_engine = false;
    run.client = (struct eval_client){.cpu_share = -1, .busy_share = -1, .host_load = -1};
    e = run_of(&run, silent, 2);
    assert_none(e, "rate_achieved", "the node did not say when requests were sent");
    assert_none(e, "queue_ms_mean", "the server does not say when it began");
    assert_none(e, "client_cpu_share", "the node did not measure it");
    assert_none(e, "host_load", "the node did not measure it");
    assert_null(mark(e, "client-bound"));
    assert_null(mark(e, "noisy-host"));
}

static void times_that_go_back_make_times_invalid(void **state)
{
    static const struct times before_due[] = {{100, 50, 120, 130, 140}, {0, 0, 1, 2, 3}};
    static const struct times begun_after_first[] = {{0, 0, 50, 40, 60}, {0, 0, 1, 2, 3}};
    const struct eval_run run = open_loop();

    (void)state;
    for (int i = 0; i < 2; i++) {
        CAP_AUTO(eval_evidence) e = run_of(&run, i ? begun_after_first : before_due, 2);

        assert_true(figure(e, "ttft_ms_mean")->invalid);
    }
}

/* ---- fixed lengths ---- */

static struct eval_evidence *fixed_run(bool in_engine, const int *prompt_tokens, int count)
{
    struct eval_run run = open_loop();
    struct eval_evidence *e;

    run.attempted = (uint32_t)count;
    run.in_engine = in_engine;
    run.exact_input = 200;
    run.exact_tokens = 2;
    e = eval_evidence_new(&run);
    for (int i = 0; i < count; i++) {
        Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;
        Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;
        Moecap__V1__Verdict verdict = MOECAP__V1__VERDICT__INIT;

        answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
        answer.finish_reason = "length";
        answer.timing = &timing;
        timing.opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
        timing.first_token_us = 100;
        timing.ended_us = 200;
        answer.opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
        answer.output_tokens = 2;
        if (prompt_tokens[i] > 0) {
            answer.opt_prompt_tokens_case =
                MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
            answer.prompt_tokens = (uint32_t)prompt_tokens[i];
        }
        eval_evidence_add_answer(e, &answer);
        verdict.metric = "acc";
        verdict.kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG;
        eval_evidence_add_verdict(e, &verdict);
    }
    return e;
}

/* Nobody asked a question: 0 % would be a lie. */
static void trap_d9_random_text_has_no_accuracy(void **state)
{
    CAP_AUTO(eval_evidence) e = fixed_run(true, (int[]){200, 200}, 2);

    (void)state;
    assert_none(e, "accuracy", "random text: no answer is right or wrong");
    assert_none(e, "acc", "random text: no answer is right or wrong");
    assert_none(e, "unanswered", "random text: no answer is right or wrong");
    assert_value(e, "completed", 2);
    assert_non_null(mark(e, "random-text"));
    assert_null(mark(e, "lengths-about"));
    assert_false(figure(e, "ttft_ms_mean")->invalid);
}

static void prompts_of_another_length_make_times_invalid(void **state)
{
    CAP_AUTO(eval_evidence) ours = fixed_run(true, (int[]){200, 201}, 2);
    CAP_AUTO(eval_evidence) near = fixed_run(false, (int[]){200, 197}, 2);
    CAP_AUTO(eval_evidence) far = fixed_run(false, (int[]){200, 190}, 2);
    CAP_AUTO(eval_evidence) silent = fixed_run(false, (int[]){200, 0}, 2);

    (void)state;
    assert_string_equal(figure(ours, "ttft_ms_mean")->reason,
                        "1 prompts are up to 1 tokens away from the 200 that were asked for");
    assert_false(figure(near, "ttft_ms_mean")->invalid);
    assert_string_equal(mark(near, "lengths-about"),
                        "prompts have 200 tokens, give or take 3: the server's usage counts them");
    assert_true(figure(far, "e2e_ms_mean")->invalid);
    assert_null(mark(far, "lengths-about"));
    assert_string_equal(mark(silent, "lengths-unknown"),
                        "the server did not count the tokens of 1 prompts: whether they have 200 "
                        "is not known");
}

/* ---- marks ---- */

static void a_late_client_is_part_of_the_latency_and_says_so(void **state)
{
    struct times in_time[4];
    const struct eval_run run = open_loop();
    CAP_AUTO(eval_evidence) late = worked_run();
    CAP_AUTO(eval_evidence) punctual = NULL;

    (void)state;
    assert_string_equal(mark(late, "client-bound"),
                        "requests were sent 0.825 ms late on average, 4.5 % of the latency");
    memcpy(in_time, worked, sizeof in_time);
    for (int i = 0; i < 4; i++)
        in_time[i].sent = in_time[i].due + 300; /* 1.6 % of 18.25 ms */
    punctual = run_of(&run, in_time, 4);
    assert_null(mark(punctual, "client-bound"));
}

static void a_busy_client_a_full_node_and_a_noisy_host_are_marked(void **state)
{
    struct eval_run run = open_loop();
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    run.is_open = false;
    run.client = (struct eval_client){.cpu_share = 0.03,
                                      .busy_share = 0.021,
                                      .host_load = 2.5,
                                      .host_cores = 2,
                                      .held_arrivals = 7};
    e = run_of(&run, worked, 4);
    assert_string_equal(mark(e, "client-bound"),
                        "the load generator was busy with its own work for 2.1 % of the time, "
                        "which is part of the latencies");
    assert_string_equal(mark(e, "load-limited"),
                        "7 requests were due and waited: the node allows no more in flight "
                        "(open_loop_in_flight_max)");
    assert_string_equal(mark(e, "noisy-host"),
                        "2.5 threads on average wanted the 2 cores of the node's host");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_schedule_gives_the_worked_figures),
        cmocka_unit_test(trap_c40_time_in_the_queue_is_told_apart_from_the_service),
        cmocka_unit_test(a_closed_loop_has_no_schedule_but_a_queue),
        cmocka_unit_test(what_a_node_or_a_server_does_not_say_is_null),
        cmocka_unit_test(times_that_go_back_make_times_invalid),
        cmocka_unit_test(trap_d9_random_text_has_no_accuracy),
        cmocka_unit_test(prompts_of_another_length_make_times_invalid),
        cmocka_unit_test(a_late_client_is_part_of_the_latency_and_says_so),
        cmocka_unit_test(a_busy_client_a_full_node_and_a_noisy_host_are_marked),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
