/* The whole service over gRPC, between a store, an evaluator and nodes of the test's own (fakes.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fakes.h"
#include "log/log.h"
#include "moecap/v1/scheduler.rpc.h"
#include "rpc/rpc.h"
#include "scheduler/service.h"

#define STATE(name) MOECAP__V1__RUN_STATE__RUN_STATE_##name

enum { ID_MAX = CAP_ID_BYTES, WAIT_MS_MAX = 20000 };

enum { NODES_MAX = 4 };

struct house {
    struct fake_store store;
    struct fake_evaluator evaluator;
    struct sched_service scheduler;
    struct cap_rpc_server *server;
    int port;
    char store_target[32], evaluator_target[32];
    struct cap_rpc_channel *channel; /* to the scheduler */
    struct fake_node *nodes[NODES_MAX];
    int node_count;
};

/* ---- the house ---- */

static void start_scheduler(struct house *house)
{
    const struct sched_settings settings = {.store = house->store_target,
                                            .evaluator = house->evaluator_target,
                                            .attempts_max = 3,
                                            .beat_ms = 40,
                                            .lease_ms = 700,
                                            .silent_ms_max = 400,
                                            .ageing_ms = 60000,
                                            .retry_ms = 20,
                                            .tick_ms = 20,
                                            .nodes_max = 8,
                                            .prompt_batch = 16};
    struct cap_err err = {0};
    char address[32];

    snprintf(house->store_target, sizeof house->store_target, "127.0.0.1:%d", house->store.port);
    snprintf(house->evaluator_target, sizeof house->evaluator_target, "127.0.0.1:%d",
             house->evaluator.port);
    house->server = cap_rpc_server_new(&(struct cap_rpc_server_options){0});
    sched_service_start(&house->scheduler, &settings, house->server);
    snprintf(address, sizeof address, "127.0.0.1:%d", house->port);
    assert_true(cap_rpc_server_listen(house->server, address, &house->port, &err));
    cap_rpc_server_start(house->server);
}

static void stop_scheduler(struct house *house)
{
    sched_service_drain(&house->scheduler);
    cap_rpc_server_drain(house->server, 0);
    cap_rpc_server_free(house->server);
    sched_service_stop(&house->scheduler);
}

static int build(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    char target[32];

    fake_store_start(&house->store);
    fake_evaluator_start(&house->evaluator);
    start_scheduler(house);
    snprintf(target, sizeof target, "127.0.0.1:%d", house->port);
    house->channel = cap_rpc_channel_new(target, NULL);
    *state = house;
    return 0;
}

/* On the same port; the test's own channel may wait before it dials again. */
static void come_back(struct house *house)
{
    struct cap_err err = {0};

    start_scheduler(house);
    if (!cap_rpc_channel_wait(house->channel, 20000, &err))
        fail_msg("%s", err.text);
}

static int leave(void **state)
{
    struct house *house = *state;

    for (int i = 0; i < house->node_count; i++) /* of a test that failed */
        if (!house->nodes[i]->ending)
            fake_node_stop(house->nodes[i]);
    cap_rpc_channel_free(house->channel);
    stop_scheduler(house);
    fake_evaluator_stop(&house->evaluator);
    fake_store_done(&house->store);
    free(house);
    return 0;
}

/* `node` outlives the test, which may fail and leave it running. */
static void add_node(struct house *house, struct fake_node *node, const char *name)
{
    assert_true(house->node_count < NODES_MAX);
    house->nodes[house->node_count++] = node;
    node->name = name;
    node->scheduler_port = house->port;
    fake_node_start(node);
}

/* ---- a user ---- */

static bool submit(struct house *house, uint64_t seed, uint32_t repeats, bool dry_run,
                   struct cap_arena *arena, Moecap__V1__SubmitReply **out, struct cap_err *err)
{
    static char *tasks[] = {"counting"};
    Moecap__V1__SubmitRequest request = MOECAP__V1__SUBMIT_REQUEST__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;

    spec.model = "none";
    spec.engine = "null";
    spec.tasks = tasks;
    spec.n_tasks = 1;
    spec.seed = seed;
    spec.repeats = repeats;
    request.spec = &spec;
    request.dry_run = dry_run;
    return scheduler_rpc_submit(house->channel, NULL, &request, arena, out, err);
}

/* Queues one run and keeps its id. */
static void submit_one(struct house *house, uint64_t seed, char run_id[ID_MAX])
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};

    if (!submit(house, seed, 1, false, arena, &reply, &err))
        fail_msg("submit: %s", err.text);
    assert_int_equal(reply->n_runs, 1);
    snprintf(run_id, ID_MAX, "%s", reply->runs[0]->run_id);
}

static void cancel(struct house *house, const char *id, size_t expected)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__CancelRequest request = MOECAP__V1__CANCEL_REQUEST__INIT;
    Moecap__V1__CancelReply *reply = NULL;
    struct cap_err err = {0};

    request.id = (char *)id;
    request.reason = "not needed";
    if (!scheduler_rpc_cancel(house->channel, NULL, &request, arena, &reply, &err))
        fail_msg("cancel: %s", err.text);
    assert_int_equal(reply->n_run_ids, expected);
}

/* What the scheduler says last of this run, when all of `id` has ended. */
static int watch(struct house *house, const char *id, char reason[512])
{
    const struct cap_rpc_options options = {.timeout_ms = WAIT_MS_MAX};
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    struct cap_rpc_call *call;
    Moecap__V1__Progress *progress;
    struct cap_err err = {0};
    int state = 0;
    bool ended = false;

    request.id = (char *)id;
    call = scheduler_rpc_watch_open(house->channel, &options, &request);
    while ((progress = scheduler_rpc_watch_next_reply(call)) != NULL) {
        assert_false(ended);
        assert_true(progress->n_runs > 0);
        ended = progress->ended;
        state = (int)progress->runs[0]->state;
        if (reason)
            snprintf(reason, 512, "%s", progress->runs[0]->reason);
    }
    if (!cap_rpc_close(call, &err))
        fail_msg("watch %s: %s", id, err.text);
    assert_true(ended);
    return state;
}

static void assert_all_stored_once(struct house *house, const char *run_id)
{
    struct fake_run run = fake_store_run(&house->store, run_id);

    for (uint32_t i = 0; i < run.total; i++)
        assert_int_equal(run.stored[i], 1);
    assert_int_equal(run.graded, run.total);
}

static void wait_until(struct house *house, bool (*holds)(struct house *, const void *),
                       const void *arg)
{
    int64_t until = cap_clock_ms(cap_clock_system()) + WAIT_MS_MAX;

    while (!holds(house, arg)) {
        assert_true(cap_clock_ms(cap_clock_system()) < until);
        cap_sleep_ms(5);
    }
}

static bool some_answers(struct house *house, const void *run_id)
{
    return fake_store_run(&house->store, run_id).answered > 0;
}

static bool is_grading(struct house *house, const void *run_id)
{
    return fake_store_run(&house->store, run_id).state == STATE(GRADING);
}

static bool is_cancelled(struct house *house, const void *run_id)
{
    return fake_store_run(&house->store, run_id).state == STATE(CANCELLED);
}

/* ---- tests ---- */

static void a_run_goes_all_the_way(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {0};
    char run_id[ID_MAX];

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(house->evaluator.rendered, FAKE_SAMPLES);
    assert_int_equal(house->evaluator.evidence_answers, FAKE_SAMPLES);
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 1);
    fake_node_stop(&node);
}

static void many_runs_on_several_nodes_end_although_the_store_fails_now_and_then(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    static struct fake_node nodes[3] = {{.twice = true}, {.pace_ms = 3}, {.die_after = 4}};
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};

    for (int i = 0; i < 3; i++)
        add_node(house, &nodes[i], i == 0 ? "twice" : i == 1 ? "slow" : "dying");
    assert_true(submit(house, 1, 12, false, arena, &reply, &err));
    house->store.fail_percent = 15;
    house->store.lose_percent = 10;
    assert_int_equal(watch(house, reply->evaluation_id, NULL), STATE(FINISHED));
    for (size_t i = 0; i < reply->n_runs; i++)
        assert_all_stored_once(house, reply->runs[i]->run_id);
    print_message("%d calls failed, %d batches repeated, %d leases for 12 runs\n",
                  house->store.calls_failed, house->store.repeated, house->store.leases);
    assert_true(house->store.calls_failed > 0);
    assert_true(house->store.repeated > 0);
    for (int i = 0; i < 3; i++)
        fake_node_stop(&nodes[i]);
}

static void a_node_that_vanishes_is_replaced_and_nothing_is_done_twice(void **state)
{
    struct house *house = *state;
    static struct fake_node first = {.die_after = 2, .pace_ms = 10}, second = {0};
    char run_id[ID_MAX];

    add_node(house, &first, "first");
    submit_one(house, 1, run_id);
    wait_until(house, some_answers, run_id);
    add_node(house, &second, "second");
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_true(fake_store_run(&house->store, run_id).attempts >= 2);
    fake_node_stop(&first);
    fake_node_stop(&second);
}

static void a_silent_node_loses_its_run_and_registers_anew(void **state)
{
    struct house *house = *state;
    static struct fake_node silent = {.pace_ms = 30}, other = {0};
    char run_id[ID_MAX];

    add_node(house, &silent, "silent");
    submit_one(house, 1, run_id);
    wait_until(house, some_answers, run_id);
    silent.deaf = true;
    add_node(house, &other, "other");
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_true(other.batches > 0);
    silent.deaf = false;
    for (int i = 0; i < 1000 && silent.streams < 2; i++)
        cap_sleep_ms(5);
    assert_true(silent.streams >= 2);
    fake_node_stop(&other);
    submit_one(house, 2, run_id); /* and takes work again */
    silent.pace_ms = 0;
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    fake_node_stop(&silent);
}

/* Each Append takes longer than a lease lasts and than a node may be silent. */
static void a_node_that_beats_keeps_its_lease_however_long_the_store_takes(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {0};
    char run_id[ID_MAX];

    house->store.append_ms = 1000;
    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 1);
    assert_int_equal(node.streams, 1);
    fake_node_stop(&node);
}

/* ---- a node that speaks for another ---- */

static struct cap_rpc_call *open_stranger(struct house *house)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;
    struct cap_rpc_call *call = scheduler_rpc_work_open(house->channel, NULL);

    hello.name = (char *)"stranger";
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    assert_true(scheduler_rpc_work_send_request(call, &message));
    assert_non_null(scheduler_rpc_work_next_reply(call)); /* the welcome */
    return call;
}

/* An answer to sample 39 under a lease that is another node's. */
static void send_forged(struct cap_rpc_call *call, const char *run_id, uint64_t seq)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__AnswerRows rows = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT, *answers = &answer;
    Moecap__V1__LeaseRef lease = MOECAP__V1__LEASE_REF__INIT;
    uint8_t packed[256];

    answer.ordinal = FAKE_SAMPLES - 1;
    rows.answers = &answers;
    rows.n_answers = 1;
    lease.run_id = (char *)run_id;
    lease.fence = 1;
    batch.lease = &lease;
    batch.seq = seq;
    batch.rows = (ProtobufCBinaryData){moecap__v1__answer_rows__pack(&rows, packed), packed};
    batch.answers = 1;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_ANSWERS;
    message.answers = &batch;
    scheduler_rpc_work_send_request(call, &message);
}

static void a_batch_is_taken_from_the_node_that_holds_the_lease_only(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {.pace_ms = 20};
    char run_id[ID_MAX];
    struct cap_rpc_call *stranger = open_stranger(house);
    struct cap_err err = {0};

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    wait_until(house, some_answers, run_id);
    for (uint64_t seq = 0; seq < 8; seq++)
        send_forged(stranger, run_id, seq);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 1);
    cap_rpc_cancel(stranger);
    cap_rpc_close(stranger, &err);
    fake_node_stop(&node);
}

static void cancel_stops_the_node_within_a_second(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {.pace_ms = 200};
    char run_id[ID_MAX], next_id[ID_MAX], reason[512];
    int64_t asked_at;

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    wait_until(house, some_answers, run_id);
    asked_at = cap_clock_ms(cap_clock_system());
    cancel(house, run_id, 1);
    assert_int_equal(watch(house, run_id, reason), STATE(CANCELLED));
    assert_string_equal(reason, "not needed");
    wait_until(house, is_cancelled, run_id);
    for (int i = 0; i < 200 && node.stops == 0; i++)
        cap_sleep_ms(5);
    assert_true(node.stops > 0 && node.stopped_at_ms - asked_at < 1000);
    cancel(house, run_id, 0); /* again: it has ended */
    node.pace_ms = 0;
    submit_one(house, 2, next_id);
    assert_int_equal(watch(house, next_id, NULL), STATE(FINISHED));
    fake_node_stop(&node);
}

static void a_run_in_the_queue_says_why_it_waits_and_can_be_cancelled(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *queue = NULL;
    struct cap_err err = {0};
    char run_id[ID_MAX];

    submit_one(house, 1, run_id);
    assert_true(scheduler_rpc_list_queue(house->channel, NULL, &request, arena, &queue, &err));
    assert_int_equal(queue->queued, 1);
    assert_string_equal(queue->entries[0]->waiting_for, "no node is connected");
    assert_int_equal(queue->entries[0]->position, 1);
    cancel(house, run_id, 1);
    assert_int_equal(watch(house, run_id, NULL), STATE(CANCELLED));
    wait_until(house, is_cancelled, run_id);
}

/* One page; what was refused leaves NULL and `err`. */
static Moecap__V1__ListQueueReply *queue_page(struct house *house, uint32_t limit,
                                              const char *after, struct cap_arena *arena,
                                              struct cap_err *err)
{
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply = NULL;

    request.limit = limit;
    request.by_arrival = true;
    request.after = (char *)after;
    return scheduler_rpc_list_queue(house->channel, NULL, &request, arena, &reply, err) ? reply
                                                                                        : NULL;
}

static void pages_of_the_queue_neither_repeat_nor_drop_a_run(void **state)
{
    enum { RUNS = 11, PAGE = 3 };
    CAP_AUTO(cap_arena) arena = cap_arena_new(16 << 20);
    struct house *house = *state;
    char run_ids[RUNS][ID_MAX], later[ID_MAX];
    Moecap__V1__ListQueueReply *page = NULL;
    struct cap_err err = {0};
    const char *after = "";
    size_t seen = 0, pages = 0;

    for (int i = 0; i < RUNS; i++) {
        submit_one(house, (uint64_t)i + 1, run_ids[i]);
        cap_sleep_ms(2); /* so that the order of arrival is that of the submissions */
    }
    do {
        page = queue_page(house, PAGE, after, arena, &err);
        assert_non_null(page);
        for (size_t i = 0; i < page->n_entries && seen < RUNS; i++, seen++)
            assert_string_equal(page->entries[i]->run->run_id, run_ids[seen]);
        after = page->next_after;
        submit_one(house, 100 + pages++, later); /* comes behind them all */
        if (pages == 2)
            cancel(house, run_ids[0], 1); /* the place that was seen goes away */
    } while (seen < RUNS);
    page = queue_page(house, 1, "", arena, &err);
    assert_non_null(page);
    assert_int_equal(page->queued, RUNS - 1 + pages);
    assert_int_equal(page->n_entries, 1);
    assert_string_equal(page->entries[0]->run->run_id, run_ids[1]);
    page = queue_page(house, 1000, page->next_after, arena, &err);
    assert_int_equal(page->n_entries, RUNS - 2 + pages);
    assert_int_equal(page->opt_next_case, MOECAP__V1__LIST_QUEUE_REPLY__OPT_NEXT__NOT_SET);
    for (size_t i = 0; i < 4; i++) {
        const char *places[] = {"run-1", "12", ".run-1", "-5.run-1"};

        assert_null(queue_page(house, 1, places[i], arena, &err));
        assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
        assert_string_equal(err.field, "after");
        cap_err_clear(&err);
    }
}

static void pages_of_nodes_come_by_name(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(16 << 20);
    struct house *house = *state;
    static struct fake_node nodes[3] = {{0}};
    static const char *const names[] = {"c:1", "a", "b"}, *const sorted[] = {"a", "b", "c:1"};
    Moecap__V1__ListNodesRequest request = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *page = NULL;
    struct cap_err err = {0};
    size_t seen = 0;

    for (int i = 0; i < 3; i++)
        add_node(house, &nodes[i], names[i]);
    do {
        cap_sleep_ms(5);
        assert_true(scheduler_rpc_list_nodes(house->channel, NULL, &request, arena, &page, &err));
    } while (page->n_nodes < 3);
    request.limit = 1;
    do {
        assert_true(scheduler_rpc_list_nodes(house->channel, NULL, &request, arena, &page, &err));
        assert_int_equal(page->n_nodes, 1);
        assert_string_equal(page->nodes[0]->hello->name, sorted[seen]);
        request.after = page->next_after;
    } while (++seen < 3);
    assert_int_equal(page->opt_next_case, MOECAP__V1__LIST_NODES_REPLY__OPT_NEXT__NOT_SET);
    request.after = "nowhere";
    assert_false(scheduler_rpc_list_nodes(house->channel, NULL, &request, arena, &page, &err));
    assert_string_equal(err.field, "after");
    for (int i = 0; i < 3; i++)
        fake_node_stop(&nodes[i]);
}

static void a_node_that_fails_for_good_fails_the_run_with_its_sentence(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {.fail_with = "model.safetensors: tensor x is cut off",
                                    .fail_for_good = true};
    char run_id[ID_MAX], reason[512];

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    assert_int_equal(watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "model.safetensors: tensor x is cut off");
    fake_node_stop(&node);
}

static void attempts_come_to_an_end(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {.fail_with = "out of memory"};
    char run_id[ID_MAX], reason[512];

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    assert_int_equal(watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "failed after 3 attempts: out of memory");
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 3);
    fake_node_stop(&node);
}

static void an_evaluator_that_is_away_costs_time_and_nothing_else(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {0};
    char run_id[ID_MAX], next_id[ID_MAX];

    house->evaluator.away = true;
    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    cap_sleep_ms(900); /* longer than a lease: the beats keep it */
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 1);
    house->evaluator.away = false;
    node.pace_ms = 5;
    wait_until(house, some_answers, run_id);
    house->evaluator.away = true;
    node.pace_ms = 0;
    wait_until(house, is_grading, run_id); /* the node is free although nobody grades */
    house->evaluator.away = false;
    submit_one(house, 2, next_id);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_int_equal(watch(house, next_id, NULL), STATE(FINISHED));
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 1);
    fake_node_stop(&node);
}

static void what_can_never_be_rendered_or_graded_fails_with_the_sentence(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {0};
    char run_id[ID_MAX], reason[512];

    add_node(house, &node, "one");
    house->evaluator.unreadable = true;
    submit_one(house, 1, run_id);
    assert_int_equal(watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "render: doc_to_text: no field \"question\"");
    house->evaluator.unreadable = false;
    house->evaluator.poison = true;
    submit_one(house, 2, run_id);
    assert_int_equal(watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "grade: metric \"bleu\" is unknown");
    assert_int_equal(fake_store_run(&house->store, run_id).answered, FAKE_SAMPLES); /* kept */
    fake_node_stop(&node);
}

static void a_store_that_is_away_for_longer_than_a_lease_loses_nothing(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {.pace_ms = 20};
    char run_id[ID_MAX];

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    wait_until(house, some_answers, run_id);
    fake_store_stop(&house->store);
    cap_sleep_ms(1500);
    fake_store_start(&house->store);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 1); /* nor its timing */
    assert_int_equal(node.streams, 1);
    fake_node_stop(&node);
}

static void a_node_goes_on_with_its_run_when_the_scheduler_comes_back(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {.pace_ms = 20};
    char run_id[ID_MAX], waiting_id[ID_MAX];

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    submit_one(house, 2, waiting_id);
    wait_until(house, some_answers, run_id);
    stop_scheduler(house);
    come_back(house);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(fake_store_run(&house->store, run_id).attempts, 1);
    assert_int_equal(watch(house, waiting_id, NULL), STATE(FINISHED));
    fake_node_stop(&node);
}

static void grading_goes_on_when_the_scheduler_comes_back(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {0};
    char run_id[ID_MAX];

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    wait_until(house, some_answers, run_id);
    house->evaluator.away = true;
    wait_until(house, is_grading, run_id);
    stop_scheduler(house);
    house->evaluator.away = false;
    come_back(house);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    fake_node_stop(&node);
}

static void the_same_configuration_is_answered_with_its_ids(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    Moecap__V1__SubmitReply *first, *second, *dry;
    struct cap_err err = {0};

    assert_true(submit(house, 1, 2, true, arena, &dry, &err));
    assert_int_equal(dry->n_runs, 2);
    assert_string_equal(dry->runs[0]->run_id, "");
    assert_int_equal(dry->runs[0]->samples, FAKE_SAMPLES);
    assert_true(dry->no_node);
    assert_string_equal(dry->warnings[0],
                        "no connected node can run this now: no node is connected");
    assert_true(submit(house, 1, 2, false, arena, &first, &err));
    assert_false(first->duplicate);
    assert_true(submit(house, 1, 2, false, arena, &second, &err));
    assert_true(second->duplicate);
    assert_string_equal(first->evaluation_id, second->evaluation_id);
    assert_string_equal(first->runs[1]->run_id, second->runs[1]->run_id);
    assert_string_equal(first->config_hash, dry->config_hash);
}

/* Whatever a submitter is told, the runs that the store took are conducted. */
static void a_submission_whose_reply_is_lost_is_conducted_all_the_same(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    static struct fake_node node = {0};
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};
    char run_id[ID_MAX];

    house->store.lose_percent = 100;
    assert_false(submit(house, 1, 1, false, arena, &reply, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    house->store.lose_percent = 0;
    add_node(house, &node, "one");
    submit_one(house, 1, run_id); /* the user tries again */
    assert_int_equal(house->store.run_count, 1);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    fake_node_stop(&node);
}

static void what_ended_before_the_restart_can_still_be_watched(void **state)
{
    struct house *house = *state;
    static struct fake_node node = {0};
    struct cap_err err = {0};
    struct cap_rpc_call *call;
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    char run_id[ID_MAX], evaluation_id[ID_MAX];

    add_node(house, &node, "one");
    submit_one(house, 1, run_id);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    memcpy(evaluation_id, fake_store_run(&house->store, run_id).evaluation_id, ID_MAX);
    stop_scheduler(house);
    come_back(house);
    assert_int_equal(watch(house, run_id, NULL), STATE(FINISHED));
    assert_int_equal(watch(house, evaluation_id, NULL), STATE(FINISHED));
    cancel(house, run_id, 0);
    request.id = "run-nothing";
    call = scheduler_rpc_watch_open(house->channel, NULL, &request);
    assert_null(scheduler_rpc_watch_next_reply(call));
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_NOT_FOUND);
    fake_node_stop(&node);
}

/* The store's board is read page by page: the fake one's have two rows. */
static void every_run_of_an_evaluation_is_found_after_the_restart(void **state)
{
    enum { RUNS = 5 };
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    Moecap__V1__SubmitReply *made;
    Moecap__V1__Progress *progress;
    struct cap_rpc_call *call;
    struct cap_err err = {0};

    assert_true(submit(house, 1, RUNS, false, arena, &made, &err));
    cancel(house, made->evaluation_id, RUNS);
    stop_scheduler(house);
    come_back(house);
    request.id = made->evaluation_id;
    call = scheduler_rpc_watch_open(house->channel, NULL, &request);
    progress = scheduler_rpc_watch_next_reply(call);
    assert_non_null(progress);
    assert_true(progress->ended);
    assert_int_equal(progress->n_runs, RUNS);
    for (size_t i = 0; i < RUNS; i++)
        assert_string_equal(progress->runs[i]->run_id, made->runs[i]->run_id);
    assert_true(cap_rpc_close(call, &err));
}

static void nodes_are_listed_with_what_they_said_of_themselves(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    static struct fake_node node = {0};
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ListNodesRequest list = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *nodes = NULL;
    Moecap__V1__InfoReply *info = NULL;
    struct cap_err err = {0};

    add_node(house, &node, "one");
    do {
        cap_sleep_ms(5);
        cap_arena_reset(arena);
        assert_true(scheduler_rpc_list_nodes(house->channel, NULL, &list, arena, &nodes, &err));
    } while (nodes->n_nodes == 0);
    assert_string_equal(nodes->nodes[0]->hello->name, "one");
    assert_string_equal(nodes->nodes[0]->hello->engines[0], "null");
    assert_true(nodes->nodes[0]->connected_at_ms > 0);
    assert_non_null(strstr(nodes->nodes[0]->peer, "127.0.0.1"));
    assert_true(scheduler_rpc_info(house->channel, NULL, &request, arena, &info, &err));
    assert_string_equal(info->tasks[0], "counting");
    assert_string_equal(info->store_address, house->store_target);
    fake_node_stop(&node);
}

static void expect_refused_hello(struct house *house, Moecap__V1__NodeHello *hello,
                                 const char *sentence)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    struct cap_rpc_call *call = scheduler_rpc_work_open(house->channel, NULL);
    struct cap_err err = {0};

    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = hello;
    scheduler_rpc_work_send_request(call, &message);
    assert_null(scheduler_rpc_work_next_reply(call));
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, sentence));
}

static void a_hello_that_names_too_much_or_nothing_is_refused(void **state)
{
    static char *many[1025];
    struct house *house = *state;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;

    expect_refused_hello(house, &hello, "a node's name has 1 to 64 bytes");
    hello.name = (char *)"one\ntwo";
    expect_refused_hello(house, &hello, "without blanks, quotes or control characters");
    hello.name = (char *)"one";
    for (size_t i = 0; i < CAP_COUNT_OF(many); i++)
        many[i] = (char *)"e";
    hello.engines = many;
    hello.n_engines = CAP_COUNT_OF(many);
    expect_refused_hello(house, &hello, "1025 engines and 0 precisions; at most 1024 each");
}

enum { WIDE_NODES = 5, WIDE_MODELS = 1024 };

/* A stream whose hello names WIDE_MODELS models of its own. */
static struct cap_rpc_call *open_wide_node(struct house *house, int number)
{
    static char names[WIDE_NODES][WIDE_MODELS][24];
    static Moecap__V1__NodeModel models[WIDE_MODELS], *list[WIDE_MODELS];
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;
    struct cap_rpc_call *call = scheduler_rpc_work_open(house->channel, NULL);
    char name[16];

    for (int i = 0; i < WIDE_MODELS; i++) {
        snprintf(names[number][i], sizeof names[number][i], "model-%d-%d", number, i);
        moecap__v1__node_model__init(&models[i]);
        models[i].name = names[number][i];
        list[i] = &models[i];
    }
    snprintf(name, sizeof name, "wide-%d", number);
    hello.name = name;
    hello.models = list;
    hello.n_models = WIDE_MODELS;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    assert_true(scheduler_rpc_work_send_request(call, &message));
    assert_non_null(scheduler_rpc_work_next_reply(call)); /* the welcome */
    return call;
}

/* How many models Info tells while all wide nodes are there. */
static size_t count_wide_models(struct house *house)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(64 << 20);
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__InfoReply *info = NULL;
    struct cap_rpc_call *calls[WIDE_NODES];
    struct cap_err err = {0}, ended = {0};

    for (int i = 0; i < WIDE_NODES; i++)
        calls[i] = open_wide_node(house, i);
    assert_true(scheduler_rpc_info(house->channel, NULL, &request, arena, &info, &err));
    for (size_t i = 1; i < info->n_models; i++)
        assert_true(strcmp(info->models[i - 1], info->models[i]) < 0);
    for (int i = 0; i < WIDE_NODES; i++) {
        cap_rpc_cancel(calls[i]);
        cap_rpc_close(calls[i], &ended);
        cap_err_clear(&ended);
    }
    return info->n_models;
}

/* The nodes never beat: on a busy machine the first may be gone when the last has come. */
static void every_model_of_every_node_is_known(void **state)
{
    size_t count = 0;

    for (int tries = 0; tries < 20 && count < WIDE_NODES * WIDE_MODELS; tries++)
        count = count_wide_models(*state);
    assert_int_equal(count, WIDE_NODES * WIDE_MODELS);
}

#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, build, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_HOUSE(a_run_goes_all_the_way),
        IN_HOUSE(many_runs_on_several_nodes_end_although_the_store_fails_now_and_then),
        IN_HOUSE(a_hello_that_names_too_much_or_nothing_is_refused),
        IN_HOUSE(a_node_that_vanishes_is_replaced_and_nothing_is_done_twice),
        IN_HOUSE(a_silent_node_loses_its_run_and_registers_anew),
        IN_HOUSE(a_node_that_beats_keeps_its_lease_however_long_the_store_takes),
        IN_HOUSE(a_batch_is_taken_from_the_node_that_holds_the_lease_only),
        IN_HOUSE(cancel_stops_the_node_within_a_second),
        IN_HOUSE(a_run_in_the_queue_says_why_it_waits_and_can_be_cancelled),
        IN_HOUSE(pages_of_the_queue_neither_repeat_nor_drop_a_run),
        IN_HOUSE(pages_of_nodes_come_by_name),
        IN_HOUSE(a_node_that_fails_for_good_fails_the_run_with_its_sentence),
        IN_HOUSE(attempts_come_to_an_end),
        IN_HOUSE(an_evaluator_that_is_away_costs_time_and_nothing_else),
        IN_HOUSE(what_can_never_be_rendered_or_graded_fails_with_the_sentence),
        IN_HOUSE(a_store_that_is_away_for_longer_than_a_lease_loses_nothing),
        IN_HOUSE(a_node_goes_on_with_its_run_when_the_scheduler_comes_back),
        IN_HOUSE(grading_goes_on_when_the_scheduler_comes_back),
        IN_HOUSE(the_same_configuration_is_answered_with_its_ids),
        IN_HOUSE(a_submission_whose_reply_is_lost_is_conducted_all_the_same),
        IN_HOUSE(what_ended_before_the_restart_can_still_be_watched),
        IN_HOUSE(every_run_of_an_evaluation_is_found_after_the_restart),
        IN_HOUSE(every_model_of_every_node_is_known),
        IN_HOUSE(nodes_are_listed_with_what_they_said_of_themselves),
    };
    struct cap_err err = {0};
    int failed;

    cap_log_init("scheduler");
    cap_log_set_levels(getenv("MOECAP_LOG") ? getenv("MOECAP_LOG") : "error", &err);
    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
