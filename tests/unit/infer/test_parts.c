/* The node's small parts, each alone: traffic shape, time stamps, text, outbox, assignments,
 * models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "inference/node/hardware.h"
#include "inference/node/models.h"
#include "inference/node/shard.h"
#include "inference/node/work.h"
#include "inference/text/output.h"

/* ---- load ---- */

static void closed_loop_keeps_exactly_n_in_flight(void **state)
{
    struct infer_load load;
    int64_t due;

    (void)state;
    infer_load_closed(&load, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(infer_load_due(&load, 100, &due));
        assert_int_equal(due, 100);
        infer_load_started(&load);
    }
    assert_false(infer_load_due(&load, 100, &due));
    assert_true(infer_load_wait_ns(&load, 100) == INT64_MAX);
    infer_load_ended(&load);
    assert_true(infer_load_due(&load, 250, &due));
    assert_int_equal(due, 250);
}

static void open_loop_starts_are_poisson_at_the_rate_and_the_same_for_a_seed(void **state)
{
    enum { ARRIVALS = 20000 };
    const struct cap_arrivals_form fifty = {.rate_per_s = 50};
    struct infer_load a, b;
    int64_t now = 0, due = 0, due_b, before = 0;
    double sum = 0, sum_of_squares = 0, mean;

    (void)state;
    infer_load_open(&a, &fifty, ARRIVALS, 7, 0);
    infer_load_open(&b, &fifty, ARRIVALS, 7, 0);
    for (int i = 0; i < ARRIVALS; i++) {
        now += infer_load_wait_ns(&a, now);
        assert_true(infer_load_due(&a, now, &due));
        assert_true(infer_load_due(&b, now, &due_b));
        assert_int_equal(due, due_b);
        infer_load_started(&a);
        infer_load_started(&b);
        sum += (double)(due - before) / 1e9;
        sum_of_squares += (double)(due - before) / 1e9 * (double)(due - before) / 1e9;
        before = due;
    }
    mean = sum / ARRIVALS;
    assert_true(mean > 0.0194 && mean < 0.0206); /* 1/50 s; 4 standard errors are 0.0006 */
    /* exponential gaps: the variance is the square of the mean */
    assert_true(sum_of_squares / ARRIVALS - mean * mean > 0.9 * mean * mean);
    assert_true(sum_of_squares / ARRIVALS - mean * mean < 1.1 * mean * mean);
}

static void open_loop_counts_a_late_start_from_when_it_was_due(void **state)
{
    const struct cap_arrivals_form ten = {.rate_per_s = 10};
    struct infer_load load;
    int64_t first, second;

    (void)state;
    infer_load_open(&load, &ten, 1, 1, 0);
    assert_true(infer_load_due(&load, INT64_MAX / 2, &first));
    infer_load_started(&load);
    assert_false(infer_load_due(&load, INT64_MAX / 2, &second)); /* the engine is full */
    infer_load_ended(&load);
    assert_true(infer_load_due(&load, INT64_MAX / 2, &second));
    assert_true(second > first && second < INT64_MAX / 4);
    assert_int_equal(load.held_count, 1); /* however often it was asked for */
}

/* A made-up engine that answers after a random while: the number in flight is never above the
 * concurrency, and never below it while work is left. */
static void closed_loop_is_never_above_and_full_while_work_is_left(void **state)
{
    enum { CONCURRENCY = 7, REQUESTS = 5000 };
    struct infer_load load;
    struct cap_rand rand;
    int started = 0;
    int64_t now = 0, due;

    (void)state;
    cap_rand_seed(&rand, 1);
    infer_load_closed(&load, CONCURRENCY);
    while (started < REQUESTS) {
        while (started < REQUESTS && infer_load_due(&load, now, &due)) {
            assert_int_equal(due, now);
            infer_load_started(&load);
            started++;
        }
        assert_int_equal(load.in_flight, CONCURRENCY);
        now += (int64_t)cap_rand_below(&rand, 1000);
        for (uint64_t ended = cap_rand_below(&rand, CONCURRENCY); ended > 0; ended--)
            infer_load_ended(&load);
    }
}

/* An open loop that waited for answers would send no faster than they come: coordinated omission.
 * Here none ever comes. */
static void an_open_loop_sends_when_due_whatever_is_in_flight(void **state)
{
    const struct cap_arrivals_form form = {.process = CAP_ARRIVALS_CONSTANT, .rate_per_s = 1000};
    struct infer_load load;
    int64_t due;

    (void)state;
    infer_load_open(&load, &form, 1000, 1, 5);
    for (int64_t i = 1; i <= 1000; i++) {
        assert_false(infer_load_due(&load, 5 + i * 1000000 - 1, &due));
        assert_true(infer_load_due(&load, 5 + i * 1000000, &due));
        assert_int_equal(due, 5 + i * 1000000);
        infer_load_started(&load);
    }
    assert_int_equal(load.held_count, 0);
}

/* A server would have put the request into its queue while the pass ran; so does this. */
static void what_a_pass_delays_is_the_engines_queue_and_not_the_nodes_delay(void **state)
{
    (void)state;
    assert_int_equal(infer_load_sent_ns(150, 210, 100, 200), 160);
    assert_int_equal(infer_load_sent_ns(100, 210, 100, 200), 110);
    assert_int_equal(infer_load_sent_ns(200, 210, 100, 200), 210); /* due after the pass */
    assert_int_equal(infer_load_sent_ns(90, 210, 100, 200), 210);  /* late before it began */
    assert_int_equal(infer_load_sent_ns(90, 95, 0, 0), 95);
}

static void a_replay_ends_with_its_times(void **state)
{
    static const double times[] = {0, 0.5};
    const struct cap_arrivals_form form = {.times_s = times, .time_count = 2};
    struct infer_load load;
    int64_t due;

    (void)state;
    infer_load_open(&load, &form, 4, 1, 100);
    assert_true(infer_load_due(&load, 100, &due));
    infer_load_started(&load);
    assert_true(infer_load_wait_ns(&load, 100) == 500000000);
    infer_load_started(&load);
    assert_false(infer_load_due(&load, INT64_MAX / 2, &due));
}

/* ---- the load generator of itself ---- */

static int64_t self_now_ns;

static int64_t self_clock_ns(const struct cap_clock *clock)
{
    (void)clock;
    return self_now_ns;
}

static void the_node_is_busy_when_neither_in_the_engine_nor_asleep(void **state)
{
    const struct cap_clock clock = {.monotonic_ns = self_clock_ns};
    struct infer_self_report report;
    struct infer_self self;

    (void)state;
    self_now_ns = 1000;
    infer_self_start(&self, &clock, true);
    for (int i = 0; i < 10; i++) {
        self_now_ns += 5; /* own work */
        infer_self_out(&self);
        self_now_ns += 95;
        infer_self_back(&self);
    }
    infer_self_look(&self);
    infer_self_report(&self, &report);
    assert_true(report.busy_share == 0.05);
    assert_true(report.host_cores > 0);
}

static void runnable_threads_are_read_from_the_kernels_line(void **state)
{
    (void)state;
    assert_int_equal(infer_runnable("5.08 4.18 2.92 6/172 17802\n"), 6);
    assert_int_equal(infer_runnable("5.08 4.18"), -1);
    assert_int_equal(infer_runnable(""), -1);
}

/* ---- timing ---- */

/* Chunks of a server, 1 ms apart; the last one may only say "ended". */
static size_t gaps_of_chunks(int chunks, bool closing, int output_tokens, int64_t *out_last_ns)
{
    struct infer_timing timing;
    const uint32_t *gaps;
    size_t count;

    infer_timing_start(&timing, 0, 0);
    for (int i = 1; i <= chunks; i++)
        infer_timing_tokens(&timing, i * 1000000, 0);
    if (closing)
        infer_timing_closing(&timing);
    infer_timing_end(&timing, output_tokens);
    count = infer_timing_gaps(&timing, &gaps);
    *out_last_ns = timing.last_ns;
    infer_timing_done(&timing);
    return count;
}

static void chunks_pass_for_tokens_only_if_they_are_as_many(void **state)
{
    int64_t last_ns;

    (void)state;
    assert_int_equal(gaps_of_chunks(48, false, 48, &last_ns), 47);
    assert_int_equal(gaps_of_chunks(99, false, 100, &last_ns), 98); /* within 2 % */
    assert_int_equal(gaps_of_chunks(97, false, 100, &last_ns), 0);
    assert_int_equal(gaps_of_chunks(48, false, -1, &last_ns), 0); /* nobody says */
    assert_int_equal(gaps_of_chunks(24, true, 48, &last_ns), 0);
}

static void a_closing_chunk_is_a_token_if_the_count_says_so(void **state)
{
    int64_t last_ns;

    (void)state;
    assert_int_equal(gaps_of_chunks(10, true, 10, &last_ns), 9); /* the end token's own */
    assert_int_equal(last_ns, 10000000);
    assert_int_equal(gaps_of_chunks(10, true, 9, &last_ns), 8); /* comes after the last token */
    assert_int_equal(last_ns, 9000000);
    assert_int_equal(gaps_of_chunks(1, true, 1, &last_ns), 0);
    assert_int_equal(last_ns, 1000000);
}

static void gaps_are_between_tokens(void **state)
{
    struct infer_timing timing;
    const uint32_t *gaps;

    (void)state;
    infer_timing_start(&timing, 1000, 1000);
    infer_timing_tokens(&timing, 10000000, 1);
    infer_timing_tokens(&timing, 12000000, 1);
    infer_timing_tokens(&timing, 15000400, 1);
    assert_int_equal(timing.first_ns, 10000000);
    assert_int_equal(timing.last_ns, 15000400);
    assert_int_equal(infer_timing_gaps(&timing, &gaps), 2);
    assert_int_equal(gaps[0], 2000);
    assert_int_equal(gaps[1], 3000);
    infer_timing_done(&timing);
}

static void a_chunk_of_several_tokens_is_never_a_gap(void **state)
{
    struct infer_timing timing;
    const uint32_t *gaps;

    (void)state;
    infer_timing_start(&timing, 0, 0);
    infer_timing_tokens(&timing, 1000000, 1);
    infer_timing_tokens(&timing, 2000000, 3);
    infer_timing_tokens(&timing, 3000000, 1);
    assert_int_equal(infer_timing_gaps(&timing, &gaps), 0);
    assert_int_equal(timing.last_ns, 3000000);
    infer_timing_done(&timing);
}

/* ---- text ---- */

/* Feeds `bytes` in pieces of `step` bytes; the shown text into out. */
static bool flow_by(const char *bytes, size_t step, const char *const *stops, int stop_count,
                    struct cap_buf *out)
{
    struct infer_output_text flow;
    size_t length = strlen(bytes);
    bool stopped;

    cap_buf_clear(out);
    infer_output_text_start(&flow, stops, stop_count);
    for (size_t at = 0; at < length; at += step) {
        size_t n = length - at < step ? length - at : step;

        cap_buf_add_str(out, infer_output_text_feed(&flow, bytes + at, n, at + n == length));
    }
    stopped = flow.stopped;
    infer_output_text_done(&flow);
    return stopped;
}

static void a_stop_string_is_cut_wherever_tokens_end(void **state)
{
    static const char *const stops[] = {"\n\nQ:", "</s>"};
    CAP_AUTO_BUF(out, 1000);

    (void)state;
    for (size_t step = 1; step < 20; step++) {
        assert_true(flow_by("It is 7.\n\nQ: what", step, stops, 2, &out));
        assert_string_equal(out.data, "It is 7.");
        assert_true(flow_by("a</s</s>b", step, stops, 2, &out));
        assert_string_equal(out.data, "a</s");
        assert_false(flow_by("almost \n\nQ", step, stops, 2, &out));
        assert_string_equal(out.data, "almost \n\nQ");
    }
}

static void of_two_stop_strings_the_one_complete_first_wins(void **state)
{
    static const char *const stops[] = {"abc", "b"};
    CAP_AUTO_BUF(out, 1000);

    (void)state;
    for (size_t step = 1; step < 8; step++) {
        assert_true(flow_by("xabcy", step, stops, 2, &out));
        assert_string_equal(out.data, "xa");
    }
}

static void characters_come_out_whole(void **state)
{
    struct infer_output_text flow;

    (void)state;
    infer_output_text_start(&flow, NULL, 0);
    assert_string_equal(infer_output_text_feed(&flow, "\xE2", 1, false), "");
    assert_string_equal(infer_output_text_feed(&flow, "\x82", 1, false), "");
    assert_string_equal(infer_output_text_feed(&flow, "\xAC!", 2, false), "\xE2\x82\xAC!");
    assert_string_equal(infer_output_text_feed(&flow, "\xF0\x9F", 2, true), "\xEF\xBF\xBD");
    infer_output_text_done(&flow);
}

static void bytes_that_are_no_text_become_the_replacement_character(void **state)
{
    CAP_AUTO_BUF(out, 1000);

    (void)state;
    for (size_t step = 1; step < 8; step++) {
        flow_by("a\xFFz", step, NULL, 0, &out);
        assert_string_equal(out.data, "a\xEF\xBF\xBDz");
        flow_by("\xC0\xAF", step, NULL, 0, &out); /* overlong */
        assert_string_equal(out.data, "\xEF\xBF\xBD\xEF\xBF\xBD");
        flow_by("\xE2\x82z", step, NULL, 0, &out); /* cut short */
        assert_string_equal(out.data, "\xEF\xBF\xBDz");
        flow_by("\xED\xA0\x80", step, NULL, 0, &out); /* a surrogate */
        assert_string_equal(out.data, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    }
}

/* ---- outbox ---- */

static struct infer_batch batch(uint64_t seq, size_t length)
{
    return (struct infer_batch){.seq = seq, .rows = calloc(1, length + 1), .length = length};
}

static void a_batch_is_kept_until_acknowledged_and_sent_again_after_a_rewind(void **state)
{
    CAP_AUTO(infer_outbox) outbox = infer_outbox_new(100);
    struct infer_batch first = batch(4, 60), second = batch(5, 60);

    (void)state;
    infer_outbox_put(outbox, &first);
    assert_true(infer_outbox_has_room(outbox));
    infer_outbox_put(outbox, &second);
    assert_false(infer_outbox_has_room(outbox));
    assert_int_equal(infer_outbox_next(outbox)->seq, 4);
    assert_int_equal(infer_outbox_next(outbox)->seq, 5);
    assert_null(infer_outbox_next(outbox));
    infer_outbox_ack(outbox, 4);
    assert_true(infer_outbox_has_room(outbox)); /* 60 of 100 */
    infer_outbox_rewind(outbox, 0);
    assert_int_equal(infer_outbox_next(outbox)->seq, 5);
    infer_outbox_ack(outbox, 9);
    assert_int_equal(infer_outbox_count(outbox), 0);
}

static void batches_on_their_way_stay_within_the_window(void **state)
{
    CAP_AUTO(infer_outbox) outbox = infer_outbox_new(1000);

    (void)state;
    infer_outbox_rewind(outbox, 100);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        struct infer_batch one = batch(seq, seq == 4 ? 300 : 50);
        infer_outbox_put(outbox, &one);
    }
    assert_int_equal(infer_outbox_next(outbox)->seq, 1);
    assert_int_equal(infer_outbox_next(outbox)->seq, 2);
    assert_null(infer_outbox_next(outbox)); /* 150 bytes would be on their way */
    infer_outbox_ack(outbox, 1);
    assert_int_equal(infer_outbox_next(outbox)->seq, 3);
    assert_null(infer_outbox_next(outbox));
    infer_outbox_ack(outbox, 3);
    assert_int_equal(infer_outbox_next(outbox)->seq, 4); /* larger than the window: alone it goes */
    infer_outbox_rewind(outbox, 100);
    assert_int_equal(infer_outbox_next(outbox)->seq, 4);
}

/* ---- assignments ---- */

/* Refused as a whole: a conversation without its end is another question. */
static void a_prompt_past_a_limit_is_refused_and_not_cut(void **state)
{
    struct infer_lease lease = {.run_id = "run-a"};
    CAP_AUTO(infer_assignment) assignment = infer_assignment_new(&lease, 1 << 20);
    struct infer_prompt prompts[] = {{.uid = "u1", .request.message_count = 4097},
                                     {.uid = "u1", .request.stop_count = 17},
                                     {.uid = "u1", .request.continuation_count = 257}};
    static const char *const sentences[] = {"prompt u1 has 4097 messages; at most 4096",
                                            "prompt u1 has 17 stop strings; at most 16",
                                            "prompt u1 has 257 continuations; at most 256"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(prompts); i++) {
        struct cap_err err = {0};

        assert_false(infer_assignment_add(assignment, &prompts[i], &err));
        assert_string_equal(err.text, sentences[i]);
    }
}

static void prompts_past_the_limit_are_refused_with_its_setting(void **state)
{
    struct infer_lease lease = {.run_id = "run-a"};
    CAP_AUTO(infer_assignment) assignment = infer_assignment_new(&lease, 1 << 20);
    CAP_AUTO_MEM char *text = calloc(1, 300001);
    struct infer_prompt prompt = {.uid = "u", .request = {.text = text}};
    struct cap_err err = {0};
    int taken = 0;

    (void)state;
    memset(text, 'x', 300000);
    while (infer_assignment_add(assignment, &prompt, &err))
        taken++;
    assert_in_range(taken, 1, 3);
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "prompt_mib_max"));
}

/* ---- models ---- */

struct folder {
    char path[64];
};

static void make_model(const char *root, const char *name, const char *config)
{
    char path[256];
    struct cap_err err = {0};

    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_true(cap_dir_make(path, &err));
    snprintf(path, sizeof path, "%s/%s/config.json", root, name);
    assert_true(cap_file_write(path, config, strlen(config), &err));
}

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);

    snprintf(folder->path, sizeof folder->path, "/tmp/moecap-models-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    make_model(folder->path, "good", "{\"model_type\": \"qwen3_moe\"}");
    make_model(folder->path, "broken", "{\"model_type\": ");
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    char path[256];
    static const char *const names[] = {"good/config.json",
                                        "broken/config.json",
                                        "good",
                                        "broken",
                                        "state/model-digests",
                                        "state",
                                        "cpu/cpu.cfs_quota_us",
                                        "cpu/cpu.cfs_period_us",
                                        "cpu",
                                        "memory/memory.limit_in_bytes",
                                        "memory",
                                        "cpu.max",
                                        "memory.max",
                                        ""};

    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder->path, names[i]);
        remove(path);
    }
    free(folder);
    return 0;
}

static void a_broken_model_is_offered_with_its_problem(void **state)
{
    struct folder *folder = *state;
    CAP_AUTO(infer_models) models = infer_models_open(folder->path, "", 1 << 20);

    assert_int_equal(models->count, 2);
    assert_string_equal(models->list[0].name, "broken");
    assert_non_null(strstr(models->list[0].problem, "broken/config.json"));
    assert_string_equal(models->list[1].family, "qwen3_moe");
    assert_string_equal(models->list[1].problem, "");
    assert_int_equal(strlen(models->list[1].sha256), 64);
}

static void an_unknown_model_is_answered_with_the_known_names(void **state)
{
    struct folder *folder = *state;
    CAP_AUTO(infer_models) models = infer_models_open(folder->path, "", 0);
    struct cap_err err = {0};

    assert_non_null(infer_models_resolve(models, "good", false, &err));
    assert_null(infer_models_resolve(models, "bad", false, &err));
    assert_string_equal(err.text, "this node has no model \"bad\"; it has: broken, good");
    cap_err_clear(&err);
    assert_null(infer_models_resolve(models, "/elsewhere", false, &err));
    cap_err_clear(&err);
    assert_string_equal(infer_models_resolve(models, "/elsewhere", true, &err), "/elsewhere");
}

static void a_digest_is_remembered_until_the_file_changes(void **state)
{
    struct folder *folder = *state;
    char state_dir[128], cache[160], first[CAP_SHA256_HEX_BYTES], second[CAP_SHA256_HEX_BYTES];
    struct cap_err err = {0};

    snprintf(state_dir, sizeof state_dir, "%s/state", folder->path);
    snprintf(cache, sizeof cache, "%s/model-digests", state_dir);
    assert_true(cap_dir_make(state_dir, &err));
    for (int i = 0; i < 2; i++) {
        CAP_AUTO(infer_models) models = infer_models_open(folder->path, state_dir, 1 << 20);

        snprintf(i ? second : first, sizeof first, "%s", models->list[1].sha256);
        assert_true(cap_file_exists(cache));
    }
    assert_string_equal(first, second);
    make_model(folder->path, "good", "{\"model_type\": \"mixtral\"}");
    CAP_AUTO(infer_models) models = infer_models_open(folder->path, state_dir, 1 << 20);
    assert_string_not_equal(models->list[1].sha256, first);
}

static void write_limit(const struct folder *folder, const char *name, const char *text)
{
    char path[600];
    struct cap_err err = {0};

    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    assert_true(cap_file_write(path, text, strlen(text), &err));
}

static void a_container_has_what_its_limits_leave(void **state)
{
    const struct folder *folder = *state;
    struct infer_allowed none, some;
    char path[600];
    struct cap_err err = {0};

    infer_allowed_read("/nonexistent", &none);
    assert_true(none.cores >= 1 && none.memory_bytes == UINT64_MAX);
    for (int i = 0; i < 2; i++) { /* version 1 first: where there is version 2, it wins */
        snprintf(path, sizeof path, "%s/%s", folder->path, i ? "memory" : "cpu");
        assert_true(cap_dir_make(path, &err));
    }
    write_limit(folder, "cpu/cpu.cfs_quota_us", "-1\n");
    write_limit(folder, "cpu/cpu.cfs_period_us", "100000\n");
    write_limit(folder, "memory/memory.limit_in_bytes", "536870912\n");
    infer_allowed_read(folder->path, &some);
    assert_int_equal(some.cores, none.cores);
    assert_true(some.memory_bytes == 512 << 20);
    write_limit(folder, "cpu/cpu.cfs_quota_us", "50000\n");
    infer_allowed_read(folder->path, &some);
    assert_int_equal(some.cores, 1);
    write_limit(folder, "cpu.max", "max 100000\n");
    write_limit(folder, "memory.max", "1073741824\n");
    infer_allowed_read(folder->path, &some);
    assert_int_equal(some.cores, none.cores);
    assert_true(some.memory_bytes == 1 << 30);
    write_limit(folder, "cpu.max", "100000000 100000\n"); /* more than there are */
    infer_allowed_read(folder->path, &some);
    assert_int_equal(some.cores, none.cores);
    write_limit(folder, "cpu.max", "1000 100000\n");
    infer_allowed_read(folder->path, &some);
    assert_int_equal(some.cores, 1);
}

static void the_machine_describes_itself(void **state)
{
    struct infer_hardware hardware;

    (void)state;
    infer_hardware_read(&hardware, false);
    assert_true(hardware.cores > 0 && hardware.memory_bytes > 0);
    assert_true(hardware.read_bandwidth_gb_s == 0);
    assert_non_null(strstr(hardware.kernel, "Linux"));
    assert_int_equal(hardware.device_count, 0); /* no backend of this build has devices */
}

static void devices_reach_the_message_of_a_nodes_hardware(void **state)
{
    struct infer_hardware hardware = {
        .device_count = 2, .devices = {"GPU a", "GPU b"}, .device_memory_bytes = 7};
    struct infer_hardware_message message;
    const Moecap__V1__NodeHardware *wire = infer_hardware_to_wire(&hardware, &message);

    (void)state;
    assert_int_equal(wire->n_devices, 2);
    assert_string_equal(wire->devices[1], "GPU b");
    assert_int_equal(wire->device_memory_bytes, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_pass_for_tokens_only_if_they_are_as_many),
        cmocka_unit_test(a_closing_chunk_is_a_token_if_the_count_says_so),
        cmocka_unit_test(closed_loop_keeps_exactly_n_in_flight),
        cmocka_unit_test(open_loop_starts_are_poisson_at_the_rate_and_the_same_for_a_seed),
        cmocka_unit_test(open_loop_counts_a_late_start_from_when_it_was_due),
        cmocka_unit_test(closed_loop_is_never_above_and_full_while_work_is_left),
        cmocka_unit_test(an_open_loop_sends_when_due_whatever_is_in_flight),
        cmocka_unit_test(what_a_pass_delays_is_the_engines_queue_and_not_the_nodes_delay),
        cmocka_unit_test(a_replay_ends_with_its_times),
        cmocka_unit_test(the_node_is_busy_when_neither_in_the_engine_nor_asleep),
        cmocka_unit_test(runnable_threads_are_read_from_the_kernels_line),
        cmocka_unit_test(gaps_are_between_tokens),
        cmocka_unit_test(a_chunk_of_several_tokens_is_never_a_gap),
        cmocka_unit_test(a_stop_string_is_cut_wherever_tokens_end),
        cmocka_unit_test(of_two_stop_strings_the_one_complete_first_wins),
        cmocka_unit_test(characters_come_out_whole),
        cmocka_unit_test(bytes_that_are_no_text_become_the_replacement_character),
        cmocka_unit_test(a_batch_is_kept_until_acknowledged_and_sent_again_after_a_rewind),
        cmocka_unit_test(batches_on_their_way_stay_within_the_window),
        cmocka_unit_test(a_prompt_past_a_limit_is_refused_and_not_cut),
        cmocka_unit_test(prompts_past_the_limit_are_refused_with_its_setting),
        cmocka_unit_test_setup_teardown(a_broken_model_is_offered_with_its_problem, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(an_unknown_model_is_answered_with_the_known_names,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_digest_is_remembered_until_the_file_changes, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_container_has_what_its_limits_leave, make_folder,
                                        remove_folder),
        cmocka_unit_test(the_machine_describes_itself),
        cmocka_unit_test(devices_reach_the_message_of_a_nodes_hardware),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
