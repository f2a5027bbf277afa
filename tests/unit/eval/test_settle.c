/* Runs made up request by request: those that settle, drift, burst or are too short; and what is
 * left out of times and rates then. */
#include "measuring.h"

#include "stats/stats.h"

/* A closed loop: each place serves one request after the other. */
struct loop {
    size_t requests, in_flight;
    double service_us, spread; /* spread: a share of it, up or down */
    double drift;              /* of the time to first token, from the first to the last */
    double cold;               /* the time to first token of the first of each place, times this */
    uint64_t seed;
    size_t stall; /* requests in the middle that wait twenty times as long */
};

static uint64_t state_of_noise;

static double noise(void) /* -1..1 */
{
    state_of_noise = state_of_noise * 6364136223846793005u + 1442695040888963407u;
    return (double)(state_of_noise >> 11) / 4503599627370496.0 - 1;
}

static size_t first_free(const double *free_at, size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (free_at[i] < free_at[best])
            best = i;
    return best;
}

static struct eval_evidence *run_of(const struct loop *loop)
{
    struct eval_run header = generating((uint32_t)loop->requests);
    struct eval_evidence *e;
    double free_at[64] = {0};

    header.concurrency = (uint32_t)loop->in_flight;
    e = eval_evidence_new(&header);
    state_of_noise = 42 + 7919 * loop->seed;
    for (size_t i = 0; i < loop->requests; i++) {
        size_t place = first_free(free_at, loop->in_flight);
        double at = free_at[place], share = (double)i / (double)loop->requests;
        double ttft = 1000 * (1 + loop->drift * share) * (1 + loop->spread * noise());
        double service = loop->service_us * (1 + loop->spread * noise());

        if (i < loop->in_flight && loop->cold > 0)
            ttft *= loop->cold;
        if (i >= loop->requests / 2 && i < loop->requests / 2 + loop->stall)
            ttft *= 20;
        free_at[place] = at + ttft + service;
        add_answer(e, (int64_t)at, (int64_t)(at + ttft), (int64_t)(at + ttft + service),
                   (int64_t)free_at[place], 10, 5);
    }
    return e;
}

static const Moecap__V1__Mark *mark_of(struct eval_evidence *e)
{
    Moecap__V1__Summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_marks; i++)
        if (strstr(summary.marks[i]->id, "settled"))
            return summary.marks[i];
    fail_msg("no verdict");
    return NULL;
}

/* ---- the verdict ---- */

static void a_run_in_a_steady_state_settles_after_two_rounds(void **state)
{
    CAP_AUTO(eval_evidence) e = run_of(&(struct loop){200, 8, 9000, 0.05, 0, 0});

    (void)state;
    assert_value(e, "warm_up_requests", 16);
    assert_string_equal(mark_of(e)->id, "settled");
    assert_false(mark_of(e)->bad);
    assert_int_equal(e->ttft.count, 184);
    /* 8 places, each a request every 10 ms */
    assert_true(fabs(figure(e, "requests_per_s")->value - 800) < 40);
    assert_true(figure(e, "requests_per_s")->low < figure(e, "requests_per_s")->value);
}

/* 95 % is the confidence of one look; a run may be looked at again with a longer warm-up. */
static void noise_is_rarely_taken_for_a_drift_and_a_drift_rarely_for_noise(void **state)
{
    int settled = 0, missed = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        CAP_AUTO(eval_evidence)
        noisy = run_of(&(struct loop){150, 8, 9000, 0.5, 0, 0, seed});
        CAP_AUTO(eval_evidence)
        drifts = run_of(&(struct loop){150, 8, 9000, 0.2, 0.8, 0, seed});
        cap_arena_reset(arena);
        settled += strcmp(mark_of(noisy)->id, "settled") == 0;
        missed += strcmp(mark_of(drifts)->id, "settled") == 0;
    }
    if (settled < 95 || missed > 5)
        fail_msg("%d of 100 steady runs settled, %d of 100 drifting ones", settled, missed);
}

static void a_run_that_drifts_is_unsettled_and_leaves_nothing_out(void **state)
{
    CAP_AUTO(eval_evidence) e = run_of(&(struct loop){200, 8, 9000, 0.1, 1, 0});

    (void)state;
    assert_string_equal(mark_of(e)->id, "unsettled");
    assert_true(mark_of(e)->bad);
    assert_non_null(strstr(mark_of(e)->text, "the time to first token changes by +"));
    assert_value(e, "warm_up_requests", 0);
    assert_int_equal(e->ttft.count, 200);
    assert_value(e, "measured_s", figure(e, "wall_s")->value);
    assert_value(e, "requests_per_s", 200 / figure(e, "wall_s")->value);
}

/* A burst of slow requests is what the run was like: it moves no slope, and stays in the tail. */
static void a_stall_is_no_drift_and_is_not_left_out(void **state)
{
    CAP_AUTO(eval_evidence)
    e = run_of(&(struct loop){800, 8, 9000, 0.1, 0, 0, .stall = 24});

    (void)state;
    assert_string_equal(mark_of(e)->id, "settled");
    assert_true(figure(e, "ttft_ms_p99")->value > 15);
    assert_true(figure(e, "ttft_ms_p50")->high < 1.1);
}

/* Slower by 3 % of the mean, as certain as can be: nobody would act on it. */
static void a_drift_that_nobody_would_notice_is_none(void **state)
{
    CAP_AUTO(eval_evidence) e = run_of(&(struct loop){400, 8, 9000, 0, 0.03, 0});

    (void)state;
    assert_string_equal(mark_of(e)->id, "settled");
}

static void a_run_too_short_to_settle_says_how_much_it_needs(void **state)
{
    CAP_AUTO(eval_evidence) e = run_of(&(struct loop){50, 16, 9000, 0.1, 0, 0});

    (void)state;
    assert_string_equal(mark_of(e)->id, "unsettled");
    assert_string_equal(mark_of(e)->text,
                        "50 of 64 requests needed: 32 to warm up with 16 in flight, and 32 to "
                        "measure; times and rates are of all requests");
    assert_value(e, "warm_up_requests", 0);
    assert_true(figure(e, "ttft_ms_p50")->opt_value_case); /* the figures stay */
}

/* A server that is asked faster than it answers: the queue grows, and no percentile of it means
 * anything. Times may hide it, the number in flight does not. */
static void a_queue_that_grows_is_unsettled(void **state)
{
    struct eval_run header = generating(300);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    for (int i = 0; i < 300; i++) /* every 1 ms, answered every 1.5 ms, the first token at once */
        add_answer(e, i * 1000, i * 1000 + 100, i * 1500 + 900, i * 1500 + 1000, 10, 5);
    assert_string_equal(mark_of(e)->id, "unsettled");
    assert_non_null(strstr(mark_of(e)->text, "number of requests in flight changes by +"));
}

static void requests_that_all_come_at_once_have_no_steady_state(void **state)
{
    struct eval_run header = generating(100);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.concurrency = 4;
    e = eval_evidence_new(&header);
    for (int i = 0; i < 100; i++)
        add_answer(e, 0, 1000, 2000 + i, 3000 + i, 10, 5);
    assert_string_equal(mark_of(e)->id, "unsettled");
    assert_non_null(strstr(mark_of(e)->text, "there is no steady state"));
    assert_value(e, "requests_per_s", 100 / 0.003099);
}

/* ---- what is left out ---- */

/* The warm-up is told by the order of requests alone: one that is as large and slow as any later
 * one is left out, and a later one that looks like the first ones is not. */
static void trap_c8_warm_up_is_told_by_the_request_and_not_by_its_size(void **state)
{
    struct eval_run header = generating(64);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.concurrency = 1;
    e = eval_evidence_new(&header);
    for (int i = 63; i >= 0; i--) /* evidence comes in any order */
        add_answer(e, i * 10000, i * 10000 + (i == 40 ? 1 : 5000), i * 10000 + 8000,
                   i * 10000 + 9000, i == 40 ? 1 : 100, 5);
    assert_value(e, "warm_up_requests", 2);
    assert_int_equal(e->ttft.count, 62);
    assert_true(e->requests.items[0].warm_up && e->requests.items[1].warm_up);
    assert_false(e->requests.items[40].warm_up);
    assert_value(e, "ttft_ms_mean", (61 * 5 + 0.001) / 62);
    assert_value(e, "measured_s", 0.61);
    assert_true(fabs(figure(e, "requests_per_s")->value - 100) < 1e-9); /* 61 of them */
}

/* A closed loop starts with a burst that no later request meets. */
static void trap_c8_the_burst_at_the_start_is_in_no_percentile(void **state)
{
    CAP_AUTO(eval_evidence) e = run_of(&(struct loop){800, 8, 9000, 0.05, 0, 30});
    CAP_AUTO(eval_evidence) shorter = run_of(&(struct loop){40, 8, 9000, 0.05, 0, 30});

    (void)state;
    assert_true(figure(e, "ttft_ms_p99")->value < 1.1);
    assert_true(figure(e, "ttft_ms_mean")->high < 1.1);
    assert_string_equal(mark_of(shorter)->id, "unsettled"); /* with it, and says so */
    assert_true(figure(shorter, "ttft_ms_mean")->value > 5);
}

static void accuracy_keeps_the_samples_of_the_warm_up(void **state)
{
    CAP_AUTO(eval_evidence) e = run_of(&(struct loop){64, 1, 9000, 0, 0, 0});

    (void)state;
    for (int i = 0; i < 64; i++)
        add_verdicts(e, i < 2, false);
    assert_value(e, "warm_up_requests", 2);
    assert_true(fabs(figure(e, "acc")->value - 2.0 / 64) < 1e-12);
    assert_value(e, "completed", 64);
}

/* ---- intervals ---- */

/* Whole runs with other noise: the true mean lies in 95 % of the intervals. */
static void trap_d17_intervals_hold_what_they_promise(void **state)
{
    enum { RUNS = 200 };
    int mean = 0, median = 0, p90 = 0;

    (void)state;
    for (int run = 0; run < RUNS; run++) {
        struct eval_run header = generating(100);
        CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

        cap_arena_reset(arena);
        state_of_noise = (uint64_t)run * 7919 + 1;
        for (int i = 0; i < 100; i++) { /* uniform from 1 to 3 ms */
            int64_t first = 2000 + (int64_t)(1000 * noise());
            add_answer(e, 0, first, first + 1000, first + 2000, 1, 2);
        }
        const Moecap__V1__Figure *f = figure(e, "ttft_ms_mean");
        mean += f->low <= 2 && 2 <= f->high;
        f = figure(e, "ttft_ms_p50");
        median += f->low <= 2 && 2 <= f->high;
        f = figure(e, "ttft_ms_p90");
        p90 += f->low <= 2.8 && 2.8 <= f->high;
        assert_true(f->certified >= f->value);
    }
    if (mean < 180 || median < 180 || p90 < 180 || mean == RUNS)
        fail_msg("covered: mean %d, median %d, p90 %d of %d", mean, median, p90, RUNS);
}

static void gaps_of_one_request_are_one_observation(void **state)
{
    struct eval_run header = generating(20);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    for (int i = 0; i < 20; i++) /* 60 gaps each, all as long: ten requests of 1 ms, ten of 2 ms */
        add_answer(e, 0, 1000, 1000 + 60000 * (1 + i % 2), 200000, 1, 61);
    const Moecap__V1__Figure *f = figure(e, "itl_ms_mean");
    double half = cap_stats_t975(19) * sqrt(0.25 / 19);
    assert_true(fabs(f->value - 1.5) < 1e-9);
    assert_true(fabs(f->high - 1.5 - half) < 1e-9);
    f = figure(e, "itl_ms_p50"); /* half of the requests are above: 1,200 gaps do not narrow that */
    assert_true(f->low == 1 && f->high == 2);
    assert_true(figure(e, "itl_ms_p99")->opt_value_case); /* of 1,200 gaps */
    assert_false(figure(e, "itl_ms_p99")->opt_certified_case);
}

static void rates_of_passes_have_intervals(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    state_of_noise = 3;
    for (int i = 0; i < 5000; i++)
        add_pass(e, EVAL_DECODE, 8, (uint64_t)(1000000 * (1 + 0.5 * noise())), 4, 5, false);
    const Moecap__V1__Figure *f = figure(e, "decode_tokens_per_s");
    assert_true(f->low < f->value && f->value < f->high);
    assert_true(f->high - f->low > 0.005 * f->value && f->high - f->low < 0.05 * f->value);
    f = figure(e, "activated_experts_decode");
    assert_true(f->low == 4.5 && f->high == 4.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_in_a_steady_state_settles_after_two_rounds),
        cmocka_unit_test(noise_is_rarely_taken_for_a_drift_and_a_drift_rarely_for_noise),
        cmocka_unit_test(a_run_that_drifts_is_unsettled_and_leaves_nothing_out),
        cmocka_unit_test(a_stall_is_no_drift_and_is_not_left_out),
        cmocka_unit_test(a_drift_that_nobody_would_notice_is_none),
        cmocka_unit_test(a_run_too_short_to_settle_says_how_much_it_needs),
        cmocka_unit_test(a_queue_that_grows_is_unsettled),
        cmocka_unit_test(requests_that_all_come_at_once_have_no_steady_state),
        cmocka_unit_test(trap_c8_warm_up_is_told_by_the_request_and_not_by_its_size),
        cmocka_unit_test(trap_c8_the_burst_at_the_start_is_in_no_percentile),
        cmocka_unit_test(accuracy_keeps_the_samples_of_the_warm_up),
        cmocka_unit_test(trap_d17_intervals_hold_what_they_promise),
        cmocka_unit_test(gaps_of_one_request_are_one_observation),
        cmocka_unit_test(rates_of_passes_have_intervals),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
