/* A node against a scheduler that this test plays over real gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "inference/node/hardware.h"
#include "inference/node/stream.h"
#include "inference/node/worker.h"
#include "moecap/v1/scheduler.rpc.h"

enum { ANSWERS_MAX = 2000, PROMPTS = 400, CHAT_MESSAGES = 700 };

/* What the scheduler does on the nth stream, and what it saw. */
struct scheduler {
    pthread_mutex_t lock; /* guards everything */
    int streams;
    int drop_after_batches; /* > 0: the first stream breaks after so many, none acknowledged */
    bool stop_when_running;
    int mute_streams; /* the first ones get no welcome */
    bool refuse;      /* every hello, for good */
    int hellos;
    bool assigned;
    int seen[ANSWERS_MAX];
    uint32_t chat_tokens;   /* of the first prompt, which is a long conversation */
    uint8_t sha256[64][32]; /* by seq */
    int times_sent[64];
    int changed; /* batches sent again with other bytes */
    char hello_name[64];
    int hello_engines;
    bool hello_moe_gen, hello_ktransformers, hello_moe_gen_by_url, hello_vllm;
    int beats, beats_with_lease, progress;
    bool done, stopped;
    int64_t stop_ms, stopped_ms;
    char failed[512];
};

struct fixture {
    struct scheduler scheduler;
    struct cap_rpc_server *server;
    char address[64];
    struct infer_work *work;
    struct infer_queue *queue;
    struct infer_models *models;
    struct infer_hardware hardware;
    struct infer_worker *worker;
    struct infer_hello hello;
    struct infer_work_client *client;
    int welcome_ms_max; /* 0 = as in life */
};

/* ---- the scheduler ---- */

static void send_welcome(struct cap_rpc_call *call)
{
    Moecap__V1__NodeCommand command = MOECAP__V1__NODE_COMMAND__INIT;
    Moecap__V1__Welcome welcome = MOECAP__V1__WELCOME__INIT;

    welcome.node_id = "node-test";
    welcome.beat_ms = 50;
    command.body_case = MOECAP__V1__NODE_COMMAND__BODY_WELCOME;
    command.welcome = &welcome;
    scheduler_rpc_work_send_reply(call, &command);
}

static void send_assign(struct cap_rpc_call *call)
{
    Moecap__V1__NodeCommand command = MOECAP__V1__NODE_COMMAND__INIT;
    Moecap__V1__Assign assign = MOECAP__V1__ASSIGN__INIT;
    Moecap__V1__LeaseRef lease = MOECAP__V1__LEASE_REF__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__Load load = MOECAP__V1__LOAD__INIT;

    lease.run_id = "run-1";
    lease.fence = 7;
    spec.engine = "null";
    spec.model = "any";
    load.kind_case = MOECAP__V1__LOAD__KIND_CONCURRENCY;
    load.concurrency = 4;
    spec.load = &load;
    assign.lease = &lease;
    assign.spec = &spec;
    assign.seq_next = 3;
    assign.samples_left = PROMPTS;
    command.body_case = MOECAP__V1__NODE_COMMAND__BODY_ASSIGN;
    command.assign = &assign;
    scheduler_rpc_work_send_reply(call, &command);
}

/* One token each, for the null engine. */
static void set_conversation(Moecap__V1__Prompt *prompt)
{
    static Moecap__V1__ChatMessage messages[CHAT_MESSAGES], *pointers[CHAT_MESSAGES];

    for (int i = 0; i < CHAT_MESSAGES; i++) {
        moecap__v1__chat_message__init(&messages[i]);
        messages[i].role = i % 2 ? "assistant" : "user";
        messages[i].content = "hi";
        pointers[i] = &messages[i];
    }
    prompt->messages = pointers;
    prompt->n_messages = CHAT_MESSAGES;
    prompt->text = "";
}

static void send_prompts(struct cap_rpc_call *call)
{
    for (int from = 0; from < PROMPTS; from += 100) {
        Moecap__V1__NodeCommand command = MOECAP__V1__NODE_COMMAND__INIT;
        Moecap__V1__PromptBatch batch = MOECAP__V1__PROMPT_BATCH__INIT;
        Moecap__V1__Prompt prompts[100], *pointers[100];

        for (int i = 0; i < 100; i++) {
            moecap__v1__prompt__init(&prompts[i]);
            prompts[i].ordinal = (uint32_t)(from + i);
            prompts[i].uid = "u";
            prompts[i].text = "how many?";
            prompts[i].max_tokens = 16;
            pointers[i] = &prompts[i];
        }
        if (from == 0)
            set_conversation(&prompts[0]);
        batch.run_id = "run-1";
        batch.n_prompts = 100;
        batch.prompts = pointers;
        batch.last = from + 100 == PROMPTS;
        command.body_case = MOECAP__V1__NODE_COMMAND__BODY_PROMPTS;
        command.prompts = &batch;
        scheduler_rpc_work_send_reply(call, &command);
    }
}

static void send_ack(struct cap_rpc_call *call, uint64_t seq)
{
    Moecap__V1__NodeCommand command = MOECAP__V1__NODE_COMMAND__INIT;
    Moecap__V1__Ack ack = MOECAP__V1__ACK__INIT;

    ack.run_id = "run-1";
    ack.seq = seq;
    command.body_case = MOECAP__V1__NODE_COMMAND__BODY_ACK;
    command.ack = &ack;
    scheduler_rpc_work_send_reply(call, &command);
}

static void send_stop(struct cap_rpc_call *call, uint64_t fence)
{
    Moecap__V1__NodeCommand command = MOECAP__V1__NODE_COMMAND__INIT;
    Moecap__V1__Stop stop = MOECAP__V1__STOP__INIT;

    stop.run_id = "run-1";
    stop.fence = fence;
    stop.reason = "the test says so";
    command.body_case = MOECAP__V1__NODE_COMMAND__BODY_STOP;
    command.stop = &stop;
    scheduler_rpc_work_send_reply(call, &command);
}

static void see_batch(struct scheduler *scheduler, const Moecap__V1__AnswerBatch *batch)
{
    Moecap__V1__AnswerRows *rows;
    int slot = (int)batch->seq;

    if (slot >= 64 || batch->sha256.len != 32)
        return;
    if (scheduler->times_sent[slot]++) {
        scheduler->changed += memcmp(scheduler->sha256[slot], batch->sha256.data, 32) != 0;
        return;
    }
    memcpy(scheduler->sha256[slot], batch->sha256.data, 32);
    rows = moecap__v1__answer_rows__unpack(NULL, batch->rows.len, batch->rows.data);
    for (size_t i = 0; rows && i < rows->n_answers; i++) {
        scheduler->seen[rows->answers[i]->ordinal]++;
        if (rows->answers[i]->ordinal == 0)
            scheduler->chat_tokens = rows->answers[i]->prompt_tokens;
    }
    if (rows)
        moecap__v1__answer_rows__free_unpacked(rows, NULL);
}

/* False when the stream is to break now. */
static bool take(struct scheduler *scheduler, struct cap_rpc_call *call, int stream,
                 const Moecap__V1__NodeMessage *message)
{
    switch (message->body_case) {
    case MOECAP__V1__NODE_MESSAGE__BODY_BEAT:
        scheduler->beats++;
        scheduler->beats_with_lease += message->beat->n_leases > 0;
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_PROGRESS:
        scheduler->progress++;
        if (scheduler->stop_when_running && !scheduler->stop_ms &&
            strcmp(message->progress->phase, "running") == 0) {
            scheduler->stop_ms = cap_clock_ms(cap_clock_system());
            send_stop(call, 6); /* of the lease before this one: ignored */
            send_stop(call, 7);
        }
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_ANSWERS:
        see_batch(scheduler, message->answers);
        if (stream == 1 && scheduler->drop_after_batches)
            return --scheduler->drop_after_batches > 0;
        send_ack(call, message->answers->seq);
        scheduler->done |= message->answers->last;
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_FAILED:
        snprintf(scheduler->failed, sizeof scheduler->failed, "%s", message->failed->reason);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_STOPPED:
        scheduler->stopped_ms = cap_clock_ms(cap_clock_system());
        scheduler->stopped = true;
        break;
    default:
        break;
    }
    return true;
}

static bool lists(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int open_stream(struct scheduler *scheduler, struct cap_rpc_call *call,
                       const Moecap__V1__NodeHello *hello)
{
    int stream = ++scheduler->streams;

    snprintf(scheduler->hello_name, sizeof scheduler->hello_name, "%s", hello->name);
    scheduler->hello_engines = (int)hello->n_engines;
    scheduler->hello_moe_gen = lists(hello->engines, hello->n_engines, "moe-gen");
    scheduler->hello_ktransformers = lists(hello->engines, hello->n_engines, "ktransformers");
    scheduler->hello_moe_gen_by_url = lists(hello->url_engines, hello->n_url_engines, "moe-gen");
    scheduler->hello_vllm = lists(hello->engines, hello->n_engines, "vllm");
    send_welcome(call);
    if (!scheduler->assigned) {
        scheduler->assigned = true;
        send_assign(call);
        send_prompts(call);
    }
    return stream;
}

static bool work(struct cap_rpc_call *call, struct cap_err *err)
{
    struct scheduler *scheduler = cap_rpc_self(call);
    Moecap__V1__NodeMessage *message = scheduler_rpc_work_next_request(call);
    int stream;
    bool ok = true;

    if (!message || message->body_case != MOECAP__V1__NODE_MESSAGE__BODY_HELLO)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the first message is not a hello");
    pthread_mutex_lock(&scheduler->lock);
    scheduler->hellos++;
    if (scheduler->refuse) {
        pthread_mutex_unlock(&scheduler->lock);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "no such name is wanted here");
    }
    if (scheduler->hellos <= scheduler->mute_streams) {
        pthread_mutex_unlock(&scheduler->lock);
        while (scheduler_rpc_work_next_request(call) != NULL)
            ;
        return cap_fail(err, CAP_CANCELLED, "the node has gone");
    }
    stream = open_stream(scheduler, call, message->hello);
    pthread_mutex_unlock(&scheduler->lock);
    while (ok && (message = scheduler_rpc_work_next_request(call)) != NULL) {
        pthread_mutex_lock(&scheduler->lock);
        ok = take(scheduler, call, stream, message);
        pthread_mutex_unlock(&scheduler->lock);
    }
    return ok || cap_fail(err, CAP_UNAVAILABLE, "the test breaks the stream");
}

static const struct scheduler_rpc_handlers handlers = {.work = work};

static void start_scheduler(struct fixture *fixture, const char *address)
{
    struct cap_err err = {0};
    int port;

    fixture->server = cap_rpc_server_new(&(struct cap_rpc_server_options){0});
    cap_rpc_server_add(fixture->server, &scheduler_rpc_service, &handlers, &fixture->scheduler);
    assert_true(cap_rpc_server_listen(fixture->server, address, &port, &err));
    cap_rpc_server_start(fixture->server);
    snprintf(fixture->address, sizeof fixture->address, "127.0.0.1:%d", port);
}

static void stop_scheduler(struct fixture *fixture)
{
    cap_rpc_server_drain(fixture->server, 0);
    cap_rpc_server_free(fixture->server);
}

/* ---- the node ---- */

static void wake(void *arg)
{
    infer_work_poke(arg);
}

static void start_node(struct fixture *fixture)
{
    static const char *const precisions[] = {"bf16", NULL};
    static const struct infer_server_command commands[] = {{"moe-gen", "exec serve"},
                                                           {"ktransformers", ""}};
    struct infer_worker_options options;

    fixture->work = infer_work_new(cap_clock_system(), 1 << 24, 1 << 24);
    fixture->queue = infer_queue_new(4, wake, fixture->work);
    fixture->models = infer_models_open("", "", 0);
    infer_hardware_read(&fixture->hardware, false);
    options = (struct infer_worker_options){.work = fixture->work,
                                            .queue = fixture->queue,
                                            .models = fixture->models,
                                            .hardware = &fixture->hardware,
                                            .open_loop_in_flight_max = 16,
                                            .silence_ms_max = 10000,
                                            .serve_engine = "null",
                                            .serve_concurrency = 2};
    fixture->worker = infer_worker_start(&options);
    fixture->hello = (struct infer_hello){.name = "test-node",
                                          .commands = commands,
                                          .command_count = CAP_COUNT_OF(commands),
                                          .precisions = precisions,
                                          .models = fixture->models,
                                          .hardware = &fixture->hardware,
                                          .endpoint = ""};
    fixture->client = infer_work_client_start(fixture->work, fixture->address, &fixture->hello,
                                              fixture->welcome_ms_max);
}

static void stop_node(struct fixture *fixture)
{
    infer_work_close(fixture->work);
    infer_work_client_free(fixture->client);
    infer_worker_free(fixture->worker);
    infer_queue_free(fixture->queue);
    infer_work_free(fixture->work);
    infer_models_free(fixture->models);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    pthread_mutex_init(&fixture->scheduler.lock, NULL);
    unsetenv("MOECAP_NULL_DELAY_US");
    start_scheduler(fixture, "127.0.0.1:0");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    stop_node(fixture);
    stop_scheduler(fixture);
    free(fixture);
    return 0;
}

static bool flag(struct scheduler *scheduler, const bool *value)
{
    bool copy;

    pthread_mutex_lock(&scheduler->lock);
    copy = *value;
    pthread_mutex_unlock(&scheduler->lock);
    return copy;
}

static void wait_for(struct scheduler *scheduler, const bool *value)
{
    for (int i = 0; i < 2000 && !flag(scheduler, value); i++)
        cap_sleep_ms(5);
    assert_true(flag(scheduler, value));
}

static void assert_each_answered_once(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    for (int i = 0; i < PROMPTS; i++)
        assert_int_equal(scheduler->seen[i], 1);
    assert_int_equal(scheduler->changed, 0);
    pthread_mutex_unlock(&scheduler->lock);
}

/* ---- tests ---- */

static void a_shard_travels_from_assignment_to_last_acknowledgement(void **state)
{
    struct fixture *fixture = *state;

    start_node(fixture);
    wait_for(&fixture->scheduler, &fixture->scheduler.done);
    assert_each_answered_once(&fixture->scheduler);
    assert_int_equal(fixture->scheduler.chat_tokens, CHAT_MESSAGES); /* none is cut off */
    assert_string_equal(fixture->scheduler.hello_name, "test-node");
    assert_true(fixture->scheduler.hello_engines >= 1);
    assert_true(fixture->scheduler.hello_vllm);           /* at the URL of a run */
    assert_true(fixture->scheduler.hello_moe_gen);        /* this node has a command for it */
    assert_false(fixture->scheduler.hello_ktransformers); /* and none for this */
    assert_true(fixture->scheduler.hello_moe_gen_by_url);
    assert_int_equal(fixture->scheduler.times_sent[3], 1); /* numbered from seq_next */
    assert_int_equal(fixture->scheduler.times_sent[2], 0);
    for (int i = 0; i < 200 && infer_work_state(fixture->work) != INFER_WORK_IDLE; i++)
        cap_sleep_ms(5);
    assert_int_equal(infer_work_state(fixture->work), INFER_WORK_IDLE);
}

static void a_lost_stream_is_resumed_and_no_answer_is_lost_or_changed(void **state)
{
    struct fixture *fixture = *state;

    setenv("MOECAP_NULL_DELAY_US", "300", 1);
    fixture->scheduler.drop_after_batches = 2;
    start_node(fixture);
    wait_for(&fixture->scheduler, &fixture->scheduler.done);
    assert_each_answered_once(&fixture->scheduler);
    assert_int_equal(fixture->scheduler.streams, 2);
    assert_int_equal(fixture->scheduler.times_sent[3], 2);
    assert_int_equal(fixture->scheduler.times_sent[4], 2);
}

static void a_node_outlives_its_scheduler(void **state)
{
    struct fixture *fixture = *state;
    char address[64];

    setenv("MOECAP_NULL_DELAY_US", "1000", 1);
    start_node(fixture);
    cap_sleep_ms(400);
    memcpy(address, fixture->address, sizeof address);
    stop_scheduler(fixture);
    cap_sleep_ms(300);
    start_scheduler(fixture, address);
    wait_for(&fixture->scheduler, &fixture->scheduler.done);
    assert_each_answered_once(&fixture->scheduler);
    assert_true(fixture->scheduler.streams >= 2);
}

static void beats_carry_the_lease_and_a_stop_is_confirmed_within_a_second(void **state)
{
    struct fixture *fixture = *state;
    struct scheduler *scheduler = &fixture->scheduler;

    setenv("MOECAP_NULL_DELAY_US", "100000", 1);
    scheduler->stop_when_running = true;
    start_node(fixture);
    wait_for(scheduler, &scheduler->stopped);
    assert_true(scheduler->stopped_ms - scheduler->stop_ms < 1000);
    assert_true(scheduler->beats_with_lease > 0);
    assert_int_equal(infer_work_state(fixture->work), INFER_WORK_IDLE);
}

static void a_mute_scheduler_is_dialled_anew(void **state)
{
    struct fixture *fixture = *state;

    fixture->scheduler.mute_streams = 2;
    fixture->welcome_ms_max = 1000;
    start_node(fixture);
    wait_for(&fixture->scheduler, &fixture->scheduler.done);
    assert_true(fixture->scheduler.hellos >= 3);
    assert_each_answered_once(&fixture->scheduler);
}

/* 0.2, 0.4, 0.8, 1.6 s: five hellos in 3 s, and the node still ends at once. */
static void a_refused_node_backs_off_and_still_ends_at_once(void **state)
{
    struct fixture *fixture = *state;
    int64_t started_ms;

    fixture->scheduler.refuse = true;
    start_node(fixture);
    cap_sleep_ms(3000);
    pthread_mutex_lock(&fixture->scheduler.lock);
    assert_in_range(fixture->scheduler.hellos, 2, 5);
    pthread_mutex_unlock(&fixture->scheduler.lock);
    started_ms = cap_clock_ms(cap_clock_system());
    stop_node(fixture);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 1000);
    start_node(fixture); /* for tear_down */
}

static void a_node_ends_while_its_scheduler_is_away(void **state)
{
    struct fixture *fixture = *state;
    int64_t started_ms = cap_clock_ms(cap_clock_system());

    stop_scheduler(fixture);
    start_node(fixture);
    cap_sleep_ms(300);
    stop_node(fixture);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 2000);
    start_scheduler(fixture, "127.0.0.1:0");
    fixture->scheduler.assigned = true;
    start_node(fixture); /* for tear_down */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_shard_travels_from_assignment_to_last_acknowledgement,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lost_stream_is_resumed_and_no_answer_is_lost_or_changed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_outlives_its_scheduler, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            beats_carry_the_lease_and_a_stop_is_confirmed_within_a_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_ends_while_its_scheduler_is_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mute_scheduler_is_dialled_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_node_backs_off_and_still_ends_at_once, set_up,
                                        tear_down),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
