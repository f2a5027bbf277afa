/* One thread dials and reads; one beats and sends batches, the next when the last is acknowledged.
 */
#include "node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "digest/digest.h"
#include "moecap/v1/scheduler.rpc.h"
#include "rpc/rpc.h"

enum { BEAT_MS = 40, STEP_MS = 5, REDIAL_MS = 50, BATCH = 8, ROWS_BYTES_MAX = 4096 };

static int64_t now_ms(void)
{
    return cap_clock_ms(cap_clock_system());
}

/* ---- saying ---- */

static void fill_lease(const struct node *node, Moecap__V1__LeaseRef *lease)
{
    moecap__v1__lease_ref__init(lease);
    lease->run_id = (char *)node->run_id;
    lease->fence = node->fence;
}

static void send_hello(struct node *node, struct cap_rpc_call *call)
{
    static char *engines[] = {"null"};
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;

    hello.name = (char *)node->name;
    hello.engines = engines;
    hello.n_engines = 1;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    scheduler_rpc_work_send_request(call, &message);
}

static void send_beat_locked(struct node *node)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeBeat beat = MOECAP__V1__NODE_BEAT__INIT;
    Moecap__V1__LeaseRef lease, *leases = &lease;

    fill_lease(node, &lease);
    beat.leases = &leases;
    beat.n_leases = node->holds;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_BEAT;
    message.beat = &beat;
    scheduler_rpc_work_send_request(node->call, &message);
}

static void send_failed_locked(struct node *node)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__ShardFailed failed = MOECAP__V1__SHARD_FAILED__INIT;
    Moecap__V1__LeaseRef lease;

    fill_lease(node, &lease);
    failed.lease = &lease;
    failed.reason = (char *)node->fail_with;
    failed.code = node->fail_for_good ? CAP_INVALID_ARGUMENT : CAP_RESOURCE_EXHAUSTED;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_FAILED;
    message.failed = &failed;
    scheduler_rpc_work_send_request(node->call, &message);
    node->holds = false;
}

static void send_stopped_locked(struct node *node)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__LeaseRef lease;

    fill_lease(node, &lease);
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_STOPPED;
    message.stopped = &lease;
    scheduler_rpc_work_send_request(node->call, &message);
}

static size_t pack_rows_locked(struct node *node, uint8_t *out)
{
    Moecap__V1__AnswerRows rows = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__SampleAnswer answers[BATCH], *list[BATCH];

    rows.answers = list;
    for (uint32_t i = node->at; i < node->count && rows.n_answers < BATCH; i++) {
        Moecap__V1__SampleAnswer *answer = list[rows.n_answers] = &answers[rows.n_answers];

        moecap__v1__sample_answer__init(answer);
        answer->ordinal = node->ordinals[i];
        answer->uid = node->uids[i];
        answer->status = node->fails_samples ? MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED
                                             : MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
        answer->error = node->fails_samples ? "the server is out of tokens" : "";
        rows.n_answers++;
    }
    node->sent = (uint32_t)rows.n_answers;
    return moecap__v1__answer_rows__pack(&rows, out);
}

static void send_batch_locked(struct node *node)
{
    uint8_t packed[ROWS_BYTES_MAX], digest[CAP_SHA256_BYTES];
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__LeaseRef lease;
    size_t bytes = pack_rows_locked(node, packed);

    cap_sha256(packed, bytes, digest);
    fill_lease(node, &lease);
    batch.lease = &lease;
    batch.seq = node->seq;
    batch.rows = (ProtobufCBinaryData){bytes, packed};
    batch.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    batch.answers = node->sent;
    batch.completed = node->fails_samples ? 0 : node->sent;
    batch.last = node->at + node->sent == node->count;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_ANSWERS;
    message.answers = &batch;
    for (int i = 0; i <= node->twice; i++)
        scheduler_rpc_work_send_request(node->call, &message);
    node->waiting_ack = true;
    node->batches++;
}

static void send_progress_locked(struct node *node)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeProgress progress = MOECAP__V1__NODE_PROGRESS__INIT;
    Moecap__V1__LeaseRef lease;

    fill_lease(node, &lease);
    progress.lease = &lease;
    progress.phase = (char *)node->says;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_PROGRESS;
    message.progress = &progress;
    scheduler_rpc_work_send_request(node->call, &message);
}

static void work_locked(struct node *node)
{
    if (!node->holds || !node->complete || node->waiting_ack || node->lazy)
        return;
    if (node->says) {
        send_progress_locked(node);
        cap_sleep_ms(50); /* so that it is heard before the stream breaks */
        node->holds = false;
        cap_rpc_cancel(node->call);
        return;
    }
    if (node->fail_with) {
        send_failed_locked(node);
        return;
    }
    send_batch_locked(node);
    if (node->die_after > 0 && --node->die_after == 0) {
        node->holds = false;
        cap_rpc_cancel(node->call);
    }
}

static void *run_sender(void *arg)
{
    struct node *node = arg;
    int64_t beat_at = 0, work_at = 0;
    bool up = true;

    while (up) {
        pthread_mutex_lock(&node->lock);
        up = node->up;
        if (up && !node->deaf && now_ms() >= beat_at) {
            send_beat_locked(node);
            beat_at = now_ms() + BEAT_MS;
        }
        if (up && !node->deaf && now_ms() >= work_at) {
            work_locked(node);
            work_at = now_ms() + node->pace_ms;
        }
        pthread_mutex_unlock(&node->lock);
        cap_sleep_ms(STEP_MS);
    }
    return NULL;
}

/* ---- listening ---- */

static void take_assign_locked(struct node *node, const Moecap__V1__Assign *assign)
{
    snprintf(node->run_id, sizeof node->run_id, "%s", assign->lease->run_id);
    node->fence = assign->lease->fence;
    node->seq = assign->seq_next;
    node->count = node->at = 0;
    node->holds = true;
    node->complete = node->waiting_ack = false;
    node->assigned++;
}

static void take_prompts_locked(struct node *node, const Moecap__V1__PromptBatch *batch)
{
    if (!node->holds || strcmp(node->run_id, batch->run_id) != 0)
        return;
    for (size_t i = 0; i < batch->n_prompts; i++) {
        assert_true(node->count < SUITE_SAMPLES);
        node->ordinals[node->count] = batch->prompts[i]->ordinal;
        snprintf(node->uids[node->count], sizeof node->uids[0], "%s", batch->prompts[i]->uid);
        node->count++;
    }
    node->complete = batch->last;
}

static void take_ack_locked(struct node *node, const Moecap__V1__Ack *ack)
{
    if (!node->holds || ack->seq != node->seq || strcmp(node->run_id, ack->run_id) != 0 ||
        !node->waiting_ack)
        return;
    node->acks++;
    if (node->store_has && node->acks > *node->store_has)
        node->early_acks++;
    node->seq++;
    node->at += node->sent;
    node->waiting_ack = false;
    if (node->at == node->count)
        node->holds = false;
}

static void take_stop_locked(struct node *node, const Moecap__V1__Stop *stop)
{
    node->stops++;
    node->stopped_at_ms = now_ms();
    if (!node->holds || strcmp(node->run_id, stop->run_id) != 0)
        return;
    node->holds = false;
    send_stopped_locked(node);
}

static void take_locked(struct node *node, const Moecap__V1__NodeCommand *command)
{
    switch ((int)command->body_case) {
    case MOECAP__V1__NODE_COMMAND__BODY_ASSIGN:
        take_assign_locked(node, command->assign);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_PROMPTS:
        take_prompts_locked(node, command->prompts);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_ACK:
        take_ack_locked(node, command->ack);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_STOP:
        take_stop_locked(node, command->stop);
        break;
    default:
        break;
    }
}

static void converse(struct node *node, struct cap_rpc_call *call)
{
    Moecap__V1__NodeCommand *command = scheduler_rpc_work_next_reply(call);
    pthread_t sender;

    if (!command || command->body_case != MOECAP__V1__NODE_COMMAND__BODY_WELCOME)
        return;
    pthread_mutex_lock(&node->lock);
    node->up = true;
    node->streams++;
    node->waiting_ack = false; /* what was not acknowledged goes out again */
    if (!node->complete)
        node->holds = false;
    pthread_mutex_unlock(&node->lock);
    assert_int_equal(pthread_create(&sender, NULL, run_sender, node), 0);
    while ((command = scheduler_rpc_work_next_reply(call)) != NULL) {
        while (node->deaf && !node->ending)
            cap_sleep_ms(STEP_MS);
        pthread_mutex_lock(&node->lock);
        take_locked(node, command);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_lock(&node->lock);
    node->up = false;
    pthread_mutex_unlock(&node->lock);
    pthread_join(sender, NULL);
}

static void *run_node(void *arg)
{
    const struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    struct node *node = arg;
    struct cap_rpc_channel *channel;

    channel = cap_rpc_channel_new(node->scheduler, NULL);
    while (!node->ending) {
        struct cap_rpc_call *call = scheduler_rpc_work_open(channel, &options);
        struct cap_err err = {0};

        pthread_mutex_lock(&node->lock);
        node->call = call;
        pthread_mutex_unlock(&node->lock);
        send_hello(node, call);
        converse(node, call);
        pthread_mutex_lock(&node->lock);
        node->call = NULL;
        pthread_mutex_unlock(&node->lock);
        cap_rpc_cancel(call);
        cap_rpc_close(call, &err);
        cap_sleep_ms(REDIAL_MS);
    }
    cap_rpc_channel_free(channel);
    return NULL;
}

void node_start(struct node *node)
{
    pthread_mutex_init(&node->lock, NULL);
    assert_int_equal(pthread_create(&node->thread, NULL, run_node, node), 0);
}

void node_stop(struct node *node)
{
    node->ending = true;
    pthread_mutex_lock(&node->lock);
    if (node->call)
        cap_rpc_cancel(node->call);
    pthread_mutex_unlock(&node->lock);
    pthread_join(node->thread, NULL);
    pthread_mutex_destroy(&node->lock);
}
