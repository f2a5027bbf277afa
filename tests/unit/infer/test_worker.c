/* The worker with the null engine. The test plays the scheduler: it calls infer_work directly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "inference/node/hardware.h"
#include "inference/node/work.h"
#include "inference/node/worker.h"
#include "inference/serve/queue.h"
#include "moecap/v1/inference.pb-c.h"

enum { ANSWERS_MAX = 4096 };

struct node {
    struct infer_work *work;
    struct infer_queue *queue;
    struct infer_models *models;
    struct infer_hardware hardware;
    struct infer_power *power;
    struct infer_worker *worker;
    uint64_t generation;
    struct infer_lease lease;
    /* what was sent */
    int answers, completed, batches, seq_last;
    char texts[ANSWERS_MAX][64];
    char errors[ANSWERS_MAX][96];
    int seen[ANSWERS_MAX]; /* by ordinal */
    bool last;
    Moecap__V1__AnswerRows *last_rows;
};

static void wake(void *arg)
{
    infer_work_poke(arg);
}

static int start_node(void **state)
{
    struct node *node = calloc(1, sizeof *node);
    struct infer_worker_options options;
    struct infer_power_options power = {.rapl = "/there/is/none",
                                        .nvml = "",
                                        .url = "",
                                        .gpus = "",
                                        .dev = "/there/is/none",
                                        .interval_ms = 10,
                                        .idle_ms = 1000,
                                        .clock = cap_clock_system()};

    node->power = infer_power_open(&power);
    node->work = infer_work_new(cap_clock_system(), 1 << 24, 1 << 24);
    node->queue = infer_queue_new(4, wake, node->work);
    node->models = infer_models_open("", "", 0);
    options = (struct infer_worker_options){.work = node->work,
                                            .queue = node->queue,
                                            .models = node->models,
                                            .hardware = &node->hardware,
                                            .power = node->power,
                                            .open_loop_in_flight_max = 16,
                                            .silence_ms_max = 10000,
                                            .serve_engine = "null",
                                            .serve_precision = "",
                                            .serve_concurrency = 2};
    node->worker = infer_worker_start(&options);
    node->generation = infer_work_connected(node->work, 1000, 0);
    snprintf(node->lease.run_id, sizeof node->lease.run_id, "run-1");
    node->lease.fence = 1;
    *state = node;
    return 0;
}

static int stop_node(void **state)
{
    static const char *const names[] = {"TOKENS",     "DELAY_US",   "TEXT",
                                        "FAIL_EVERY", "LOST_AFTER", "LOAD_MS"};
    struct node *node = *state;
    char name[64];

    infer_work_close(node->work);
    infer_worker_free(node->worker);
    infer_power_free(node->power);
    infer_queue_free(node->queue);
    infer_work_free(node->work);
    infer_models_free(node->models);
    if (node->last_rows)
        moecap__v1__answer_rows__free_unpacked(node->last_rows, NULL);
    free(node);
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        snprintf(name, sizeof name, "MOECAP_NULL_%s", names[i]);
        unsetenv(name);
    }
    return 0;
}

/* ---- the scheduler's part ---- */

static void assign(struct node *node, const struct infer_spec *spec, int prompts)
{
    infer_work_assign(node->work, &node->lease, spec, 1, prompts, false);
}

static void add_prompts(struct node *node, int count, int continuations, int max_tokens)
{
    static const char *const choices[] = {" A", " B", " C", " D"};

    for (int i = 0; i < count; i++) {
        char uid[32], text[64];
        struct infer_prompt prompt = {.ordinal = (uint32_t)i, .uid = uid};

        snprintf(uid, sizeof uid, "sample-%d", i);
        snprintf(text, sizeof text, "What is %d + 1?", i);
        prompt.request = (struct infer_request){.text = text,
                                                .continuations = choices,
                                                .continuation_count = continuations,
                                                .max_tokens = max_tokens,
                                                .top_p = 1};
        infer_work_prompt(node->work, node->lease.run_id, node->lease.shard, &prompt);
    }
    infer_work_prompts_end(node->work, node->lease.run_id, node->lease.shard);
}

static void run(struct node *node, int prompts, int concurrency)
{
    struct infer_spec spec = {
        .engine = "null", .model = "any", .precision = "bf16", .concurrency = concurrency};

    assign(node, &spec, prompts);
    add_prompts(node, prompts, 0, 64);
}

static void take_rows(struct node *node, const struct infer_batch *batch)
{
    Moecap__V1__AnswerRows *rows =
        moecap__v1__answer_rows__unpack(NULL, batch->length, batch->rows);
    uint8_t sha256[CAP_SHA256_BYTES];

    assert_non_null(rows);
    cap_sha256(batch->rows, batch->length, sha256);
    assert_memory_equal(sha256, batch->sha256, sizeof sha256);
    assert_int_equal(rows->n_answers, batch->answers);
    for (size_t i = 0; i < rows->n_answers; i++) {
        Moecap__V1__SampleAnswer *row = rows->answers[i];

        node->seen[row->ordinal]++;
        snprintf(node->texts[row->ordinal], sizeof node->texts[0], "%s", row->text);
        snprintf(node->errors[row->ordinal], sizeof node->errors[0], "%s", row->error);
    }
    node->answers += (int)batch->answers;
    node->completed += (int)batch->completed;
    node->batches++;
    node->last = batch->last;
    if (node->last_rows)
        moecap__v1__answer_rows__free_unpacked(node->last_rows, NULL);
    node->last_rows = rows;
}

/* Takes what the node sends, beats and progress aside. */
static void next(struct node *node, struct infer_outgoing *out)
{
    do
        assert_true(infer_work_next(node->work, node->generation, out));
    while (out->kind == INFER_SEND_BEAT || out->kind == INFER_SEND_PROGRESS);
}

/* Stores and acknowledges batches until the last one. */
static void drain(struct node *node)
{
    struct infer_outgoing out;

    while (!node->last) {
        next(node, &out);
        assert_int_equal(out.kind, INFER_SEND_BATCH);
        take_rows(node, &out.batch);
        infer_work_ack(node->work, out.lease.run_id, out.lease.shard, out.batch.seq);
        infer_outgoing_done(&out);
    }
}

static void wait_for_state(struct node *node, enum infer_work_state wanted)
{
    for (int i = 0; i < 500 && infer_work_state(node->work) != wanted; i++)
        cap_sleep_ms(10);
    assert_int_equal(infer_work_state(node->work), wanted);
}

/* ---- tests ---- */

static void every_sample_is_answered_exactly_once(void **state)
{
    struct node *node = *state;

    run(node, 500, 7);
    drain(node);
    assert_int_equal(node->answers, 500);
    assert_int_equal(node->completed, 500);
    for (int i = 0; i < 500; i++)
        assert_int_equal(node->seen[i], 1);
    wait_for_state(node, INFER_WORK_IDLE);
}

static void the_last_batch_carries_the_report(void **state)
{
    struct node *node = *state;
    Moecap__V1__ShardReport *report;

    run(node, 3, 1);
    drain(node);
    report = node->last_rows->report;
    assert_non_null(report);
    assert_string_equal(report->timing_boundary, "engine");
    assert_int_equal(report->opt_parameters_case,
                     MOECAP__V1__SHARD_REPORT__OPT_PARAMETERS__NOT_SET);
    assert_true(report->started_wall_ms > 1600000000000);
    assert_int_equal(node->last_rows->n_passes, 0); /* no experts, no passes */
    assert_string_equal(report->routing_unknown, "the null engine reports no routing");
    assert_string_equal(report->routing_source, "simulated");
}

static void a_shard_without_prompts_is_only_a_report(void **state)
{
    struct node *node = *state;

    run(node, 0, 4);
    drain(node);
    assert_int_equal(node->answers, 0);
    assert_int_equal(node->batches, 1);
}

static void tokens_are_timed_one_by_one(void **state)
{
    struct node *node = *state;
    Moecap__V1__SampleAnswer *row;
    int64_t gaps_us = 0;

    setenv("MOECAP_NULL_DELAY_US", "3000", 1);
    setenv("MOECAP_NULL_TOKENS", "5", 1);
    run(node, 1, 1);
    drain(node);
    row = node->last_rows->answers[0];
    assert_int_equal(row->output_tokens, 5);
    assert_int_equal(row->n_output_ids, 5);
    assert_int_equal(row->timing->n_itl_us, 4);
    for (int i = 0; i < 4; i++)
        gaps_us += row->timing->itl_us[i];
    assert_true(llabs(gaps_us - (row->timing->last_token_us - row->timing->first_token_us)) <= 4);
    assert_true(row->timing->first_token_us - row->timing->submitted_us >= 2900);
    /* not from the first token: on a busy machine that one may be seen late */
    assert_true(row->timing->last_token_us - row->timing->submitted_us >= 14900);
}

static void stop_strings_end_the_answer(void **state)
{
    struct node *node = *state;
    static const char *const stops[] = {"\n####"};
    struct infer_spec spec = {.engine = "null", .model = "any", .concurrency = 1};
    struct infer_prompt prompt = {.uid = "u",
                                  .request = {.text = "q", .stop = stops, .stop_count = 1}};

    assign(node, &spec, 1);
    infer_work_prompt(node->work, "run-1", 0, &prompt);
    infer_work_prompts_end(node->work, "run-1", 0);
    drain(node);
    assert_string_equal(node->last_rows->answers[0]->text, "The answer is as good as any other.");
    assert_string_equal(node->last_rows->answers[0]->finish_reason, "stop");
}

static void scores_come_one_per_continuation(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = {.engine = "null", .model = "any", .concurrency = 2};
    Moecap__V1__SampleAnswer *row;

    assign(node, &spec, 2);
    add_prompts(node, 2, 4, 0);
    drain(node);
    row = node->last_rows->answers[0];
    assert_int_equal(row->n_scores, 4);
    assert_true(row->scores[0]->log_likelihood < 0);
    assert_int_equal(row->timing->opt_first_case, MOECAP__V1__TIMING__OPT_FIRST__NOT_SET);
}

static void a_failing_sample_is_an_answer_with_its_reason(void **state)
{
    struct node *node = *state;

    setenv("MOECAP_NULL_FAIL_EVERY", "3", 1); /* the warm-up request counts */
    run(node, 8, 1);
    drain(node);
    assert_int_equal(node->answers, 8);
    assert_int_equal(node->completed, 5);
    assert_string_equal(node->errors[1], "the null engine was told to fail every 3 requests");
    assert_string_equal(node->errors[0], "");
}

static void a_lost_engine_fails_the_shard_after_delivering_what_was_answered(void **state)
{
    struct node *node = *state;
    struct infer_outgoing out;

    setenv("MOECAP_NULL_LOST_AFTER", "5", 1); /* the warm-up request and 4 samples */
    run(node, 10, 1);
    next(node, &out);
    assert_int_equal(out.kind, INFER_SEND_BATCH);
    take_rows(node, &out.batch);
    assert_int_equal(node->answers, 4);
    infer_work_ack(node->work, "run-1", 0, out.batch.seq);
    infer_outgoing_done(&out);
    next(node, &out);
    assert_int_equal(out.kind, INFER_SEND_FAILED);
    assert_int_equal(out.failure.code, CAP_UNAVAILABLE);
    assert_string_equal(out.failure.text, "the null engine was told to be lost after 5 requests");
    wait_for_state(node, INFER_WORK_IDLE);
}

static void an_unknown_engine_fails_the_shard_with_the_known_ones(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = {.engine = "warp", .model = "any", .concurrency = 1};
    struct infer_outgoing out;

    assign(node, &spec, 1);
    add_prompts(node, 1, 0, 8);
    next(node, &out);
    assert_int_equal(out.kind, INFER_SEND_FAILED);
    assert_non_null(
        strstr(out.failure.text, "this node has no engine \"warp\"; it has: native, null"));
}

/* Without a source of power each kind says what was tried; a GPU is not asked for. */
static void a_report_says_why_there_is_no_energy(void **state)
{
    struct node *node = *state;
    const Moecap__V1__ShardReport *report;

    run(node, 4, 2);
    drain(node);
    report = node->last_rows->report;
    assert_int_equal(report->n_energy, 2);
    for (size_t i = 0; i < report->n_energy; i++) {
        assert_int_equal(report->energy[i]->validity,
                         MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_NO_SOURCE);
        assert_non_null(strstr(report->energy[i]->reason, "no RAPL at /there/is/none"));
        assert_int_equal(report->energy[i]->opt_joules_case, 0);
    }
    assert_string_equal(report->energy[0]->kind, "cpu");
    assert_string_equal(report->energy[1]->kind, "dram");
}

static void a_missing_prompt_fails_the_shard(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = {.engine = "null", .model = "any", .concurrency = 1};
    struct infer_outgoing out;

    assign(node, &spec, 3);
    add_prompts(node, 2, 0, 8);
    next(node, &out);
    assert_int_equal(out.kind, INFER_SEND_FAILED);
    assert_string_equal(out.failure.text, "2 prompts arrived of the 3 announced");
}

static void a_stop_takes_effect_within_a_second(void **state)
{
    struct node *node = *state;
    struct infer_outgoing out;
    int64_t started_ms;

    setenv("MOECAP_NULL_DELAY_US", "20000", 1);
    setenv("MOECAP_NULL_TOKENS", "100000", 1);
    run(node, 50, 4);
    wait_for_state(node, INFER_WORK_RUNNING);
    cap_sleep_ms(100);
    started_ms = cap_clock_ms(cap_clock_system());
    assert_true(infer_work_stop(node->work, "run-1", 0, node->lease.fence));
    next(node, &out);
    assert_int_equal(out.kind, INFER_SEND_STOPPED);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 1000);
    assert_int_equal(infer_work_state(node->work), INFER_WORK_IDLE);
}

static void a_stop_that_an_assignment_overtook_is_ignored(void **state)
{
    struct node *node = *state;

    setenv("MOECAP_NULL_DELAY_US", "20000", 1);
    node->lease.fence = 4;
    run(node, 4, 4);
    wait_for_state(node, INFER_WORK_RUNNING);
    assert_false(infer_work_stop(node->work, "run-1", 0, 3));
    assert_false(infer_work_stop(node->work, "run-1", 1, 4));
    assert_false(infer_work_stop(node->work, "run-2", 0, 4));
    drain(node);
    assert_int_equal(node->answers, 4);
}

static void a_stop_while_the_model_loads_is_confirmed_at_once(void **state)
{
    struct node *node = *state;
    struct infer_outgoing out;
    int64_t started_ms;

    setenv("MOECAP_NULL_LOAD_MS", "1500", 1);
    run(node, 5, 1);
    wait_for_state(node, INFER_WORK_RUNNING);
    cap_sleep_ms(100);
    started_ms = cap_clock_ms(cap_clock_system());
    assert_true(infer_work_stop(node->work, "run-1", 0, 0)); /* an older scheduler names none */
    next(node, &out);
    assert_int_equal(out.kind, INFER_SEND_STOPPED);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 500);
}

static void a_new_stream_gets_unacknowledged_batches_again_byte_for_byte(void **state)
{
    struct node *node = *state;
    struct infer_outgoing first, again;

    run(node, 10, 2);
    next(node, &first);
    assert_int_equal(first.kind, INFER_SEND_BATCH);
    infer_work_disconnected(node->work);
    node->generation = infer_work_connected(node->work, 1000, 0);
    assert_true(infer_work_next(node->work, node->generation, &again));
    assert_int_equal(again.kind, INFER_SEND_BEAT); /* says first what it holds */
    assert_true(again.has_lease);
    next(node, &again);
    assert_int_equal(again.batch.seq, first.batch.seq);
    assert_memory_equal(again.batch.sha256, first.batch.sha256, CAP_SHA256_BYTES);
    assert_int_equal(again.batch.length, first.batch.length);
    assert_memory_equal(again.batch.rows, first.batch.rows, first.batch.length);
    infer_outgoing_done(&first);
    infer_outgoing_done(&again);
}

static void a_lease_without_all_its_prompts_is_given_up_when_the_stream_breaks(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = {.engine = "null", .model = "any", .concurrency = 1};

    assign(node, &spec, 100);
    assert_int_equal(infer_work_state(node->work), INFER_WORK_COLLECTING);
    infer_work_disconnected(node->work);
    assert_int_equal(infer_work_state(node->work), INFER_WORK_IDLE);
}

static void a_newer_lease_replaces_the_one_that_runs(void **state)
{
    struct node *node = *state;

    setenv("MOECAP_NULL_DELAY_US", "20000", 1);
    setenv("MOECAP_NULL_TOKENS", "1000", 1);
    run(node, 5, 1);
    wait_for_state(node, INFER_WORK_RUNNING);
    node->lease.fence = 2;
    setenv("MOECAP_NULL_DELAY_US", "0", 1);
    struct infer_spec spec = {.engine = "null", .model = "another", .concurrency = 1};
    assign(node, &spec, 3);
    add_prompts(node, 3, 0, 4);
    drain(node);
    assert_int_equal(node->answers, 3);
}

static void no_new_request_starts_while_the_spool_is_full(void **state)
{
    struct node *node = *state;
    struct infer_outgoing out;
    CAP_AUTO_MEM char *text = calloc(1, 400001);
    int unacknowledged = 0;

    memset(text, 'x', 400000);
    setenv("MOECAP_NULL_TEXT", text, 1); /* 64 KiB each; the spool holds 16 MiB */
    run(node, 600, 1);
    do {
        next(node, &out);
        assert_int_equal(out.kind, INFER_SEND_BATCH);
        unacknowledged += (int)out.batch.length;
        node->answers += (int)out.batch.answers;
        node->seq_last = (int)out.batch.seq;
        infer_outgoing_done(&out);
    } while (unacknowledged < 1 << 24);
    cap_sleep_ms(700); /* long enough for a batch by age, if anything went on */
    assert_true(node->answers < 300);
    infer_work_ack(node->work, "run-1", 0, (uint64_t)node->seq_last);
    while (!node->last) {
        next(node, &out);
        take_rows(node, &out.batch);
        infer_work_ack(node->work, "run-1", 0, out.batch.seq);
        infer_outgoing_done(&out);
    }
    assert_int_equal(node->answers, 600);
    assert_string_equal(node->last_rows->report->notes[0],
                        "the load paused while answers waited to be stored");
}

static void open_loop_requests_are_submitted_when_due(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = {.engine = "null", .model = "any", .rate_per_s = 200, .seed = 3};

    assign(node, &spec, 40);
    add_prompts(node, 40, 0, 4);
    drain(node);
    assert_int_equal(node->completed, 40);
    assert_true(node->last_rows->report->ended_us > 80000);
    assert_true(node->last_rows->report->client_busy_share > 0);
    assert_true(node->last_rows->report->client_busy_share < 1);
}

/* ---- served requests ---- */

static void read_all(struct node *node, struct infer_served *served, struct cap_buf *out)
{
    while (infer_queue_next(node->queue, served, 1000, out) != INFER_NEXT_END)
        ;
}

static void an_outside_request_is_answered_piece_by_piece(void **state)
{
    struct node *node = *state;
    struct infer_served served = {.model = "any", .request = {.text = "hello", .max_tokens = 4}};
    struct cap_err err = {0};
    CAP_AUTO_BUF(text, 1000);

    assert_true(infer_queue_submit(node->queue, &served, &err));
    read_all(node, &served, &text);
    assert_int_equal(served.failure.code, CAP_OK);
    assert_int_equal(served.piece_count, 4);
    assert_string_equal(served.finish_reason, "length");
    assert_non_null(strstr(text.data, "The answer is"));
    infer_queue_leave(node->queue, &served);
}

static void a_client_that_leaves_cancels_its_request(void **state)
{
    struct node *node = *state;
    struct infer_served served = {.model = "any", .request = {.text = "hello"}};
    struct infer_served second = {.model = "any", .request = {.text = "hello", .max_tokens = 1}};
    struct cap_err err = {0};
    int64_t started_ms;
    CAP_AUTO_BUF(text, 1000);

    setenv("MOECAP_NULL_DELAY_US", "10000", 1);
    setenv("MOECAP_NULL_TOKENS", "100000", 1);
    assert_true(infer_queue_submit(node->queue, &served, &err));
    assert_int_equal(infer_queue_next(node->queue, &served, 2000, &text), INFER_NEXT_PIECE);
    started_ms = cap_clock_ms(cap_clock_system());
    infer_queue_leave(node->queue, &served);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 1000);
    assert_true(infer_queue_submit(node->queue, &second, &err));
    read_all(node, &second, &text);
    infer_queue_leave(node->queue, &second);
}

static void outside_requests_are_refused_while_a_run_is_measured(void **state)
{
    struct node *node = *state;
    struct infer_served served = {.model = "any", .request = {.text = "hello"}};
    struct cap_err err = {0};

    setenv("MOECAP_NULL_DELAY_US", "20000", 1);
    setenv("MOECAP_NULL_TOKENS", "1000", 1);
    run(node, 5, 1);
    wait_for_state(node, INFER_WORK_RUNNING);
    cap_sleep_ms(50);
    assert_false(infer_queue_submit(node->queue, &served, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_string_equal(err.text, "this node is measuring a run; try again when it has ended");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_node, stop_node)
    const struct CMUnitTest tests[] = {
        TEST(every_sample_is_answered_exactly_once),
        TEST(the_last_batch_carries_the_report),
        TEST(a_shard_without_prompts_is_only_a_report),
        TEST(tokens_are_timed_one_by_one),
        TEST(stop_strings_end_the_answer),
        TEST(scores_come_one_per_continuation),
        TEST(a_failing_sample_is_an_answer_with_its_reason),
        TEST(a_lost_engine_fails_the_shard_after_delivering_what_was_answered),
        TEST(an_unknown_engine_fails_the_shard_with_the_known_ones),
        TEST(a_report_says_why_there_is_no_energy),
        TEST(a_missing_prompt_fails_the_shard),
        TEST(a_stop_takes_effect_within_a_second),
        TEST(a_stop_that_an_assignment_overtook_is_ignored),
        TEST(a_stop_while_the_model_loads_is_confirmed_at_once),
        TEST(a_new_stream_gets_unacknowledged_batches_again_byte_for_byte),
        TEST(a_lease_without_all_its_prompts_is_given_up_when_the_stream_breaks),
        TEST(a_newer_lease_replaces_the_one_that_runs),
        TEST(no_new_request_starts_while_the_spool_is_full),
        TEST(open_loop_requests_are_submitted_when_due),
        TEST(an_outside_request_is_answered_piece_by_piece),
        TEST(a_client_that_leaves_cancels_its_request),
        TEST(outside_requests_are_refused_while_a_run_is_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
