/* Scheduler.Work: one handler a node, for as long as it is connected. It reads; others send. An
 * answer is acknowledged only when the store has it, and while the store is away the handler waits
 * with it, so that the node keeps what is not stored yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "handlers_rpc.h"
#include "log/log.h"
#include "metrics.h"
#include "moecap/v1/store.rpc.h"

enum { APPEND_ARENA_BYTES = 64 << 20, PROMPT_ARENA_BYTES = 512 << 20 };

struct work {
    struct sched_service *service;
    struct cap_rpc_call *call;
    struct sched_link *link;
    char node_id[CAP_ID_BYTES];
    char name[SCHED_NAME_BYTES];
    struct cap_arena *arena; /* what the node said of itself, for as long as it is connected */
};

static bool send(struct cap_rpc_call *call, Moecap__V1__NodeCommand__BodyCase what, void *body)
{
    Moecap__V1__NodeCommand command = MOECAP__V1__NODE_COMMAND__INIT;

    command.body_case = what;
    command.welcome = body; /* the members of the union are all pointers */
    return scheduler_rpc_work_send_reply(call, &command);
}

bool sched_work_stop(struct cap_rpc_call *call, const char *run_id, const char *reason)
{
    Moecap__V1__Stop stop = MOECAP__V1__STOP__INIT;

    stop.run_id = (char *)run_id;
    stop.shard = SCHED_SHARD;
    stop.reason = (char *)reason;
    return send(call, MOECAP__V1__NODE_COMMAND__BODY_STOP, &stop);
}

/* ---- assignment ---- */

static bool send_assign(struct cap_rpc_call *call, const struct sched_job *job, uint64_t fence,
                        struct cap_arena *arena, struct cap_err *err)
{
    Moecap__V1__Assign assign = MOECAP__V1__ASSIGN__INIT;
    Moecap__V1__LeaseRef lease = MOECAP__V1__LEASE_REF__INIT;

    lease.run_id = (char *)job->run_id;
    lease.shard = SCHED_SHARD;
    lease.fence = fence;
    assign.lease = &lease;
    assign.seq_next = job->seq_next;
    assign.samples_total = job->shard_total;
    assign.samples_left = (uint32_t)job->ordinal_count;
    assign.task = job->task;
    assign.repeat = job->repeat;
    assign.resumed = job->resumed;
    assign.spec =
        moecap__v1__evaluation_spec__unpack(cap_rpc_allocator(arena), job->spec_bytes, job->spec);
    if (!assign.spec)
        return cap_fail(err, CAP_INTERNAL, "the evaluation of run %s cannot be read", job->run_id);
    return send(call, MOECAP__V1__NODE_COMMAND__BODY_ASSIGN, &assign) ||
           cap_fail(err, CAP_UNAVAILABLE, "the node has gone");
}

static bool send_prompts(const struct sched_outside *outside, struct cap_rpc_call *call,
                         const struct sched_job *job, size_t from, size_t count, bool last,
                         struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(PROMPT_ARENA_BYTES);
    Moecap__V1__PromptBatch batch = MOECAP__V1__PROMPT_BATCH__INIT;
    Moecap__V1__RenderReply *rendered;

    if (count > 0 && !sched_outside_render(outside, job, job->ordinals_left + from, count, arena,
                                           &rendered, err))
        return false;
    batch.run_id = (char *)job->run_id;
    batch.shard = SCHED_SHARD;
    batch.n_prompts = count > 0 ? rendered->n_prompts : 0;
    batch.prompts = count > 0 ? rendered->prompts : NULL;
    batch.last = last;
    if (batch.n_prompts != count)
        return cap_fail(err, CAP_INTERNAL, "the evaluator rendered %zu prompts of %zu",
                        batch.n_prompts, count);
    return send(call, MOECAP__V1__NODE_COMMAND__BODY_PROMPTS, &batch) ||
           cap_fail(err, CAP_UNAVAILABLE, "the node has gone");
}

bool sched_work_assign(const struct sched_outside *outside, struct cap_rpc_call *call,
                       const struct sched_job *job, uint64_t fence, int prompt_batch,
                       bool (*still_wanted)(void *arg), void *arg, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(PROMPT_ARENA_BYTES);
    size_t step = (size_t)prompt_batch, at = 0;

    if (!send_assign(call, job, fence, arena, err))
        return false;
    do {
        size_t count = job->ordinal_count - at < step ? job->ordinal_count - at : step;

        if (!still_wanted(arg))
            return true;
        if (!send_prompts(outside, call, job, at, count, at + count == job->ordinal_count, err))
            return false;
        at += count;
    } while (at < job->ordinal_count);
    return true;
}

/* ---- what a node says ---- */

static const char *const *copy_names(struct cap_arena *arena, char *const *names, size_t count)
{
    const char **copy = cap_arena_array(arena, count + 1, sizeof *copy);

    for (size_t i = 0; copy && i < count; i++)
        copy[i] = cap_arena_strdup(arena, names[i]);
    return copy;
}

/* Models with a problem are announced but cannot be asked for. */
static const char *const *copy_models(struct cap_arena *arena, const Moecap__V1__NodeHello *hello)
{
    const char **copy = cap_arena_array(arena, hello->n_models + 1, sizeof *copy);
    size_t count = 0;

    for (size_t i = 0; copy && i < hello->n_models; i++)
        if (!*hello->models[i]->problem)
            copy[count++] = cap_arena_strdup(arena, hello->models[i]->name);
    return copy;
}

static void tell_store(struct work *w, Moecap__V1__NodeHello *hello, bool connected)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__PutNodeRequest request = MOECAP__V1__PUT_NODE_REQUEST__INIT;
    Moecap__V1__Empty *reply;
    struct cap_err err = {0};

    request.node_id = w->node_id;
    request.hello = hello;
    request.connected = connected;
    if (!store_rpc_put_node(w->service->outside.store, NULL, &request, arena, &reply, &err))
        cap_log(WARN, "node_not_recorded", "node=%s reason=%s", w->name, CAP_LOG_Q(err.text));
}

static void join(struct work *w, Moecap__V1__NodeHello *hello)
{
    struct sched_node node = {.any_model_path = hello->any_model_path,
                              .has_cuda = hello->hardware && hello->hardware->n_devices > 0};
    struct sched_event event = {.kind = SCHED_NODE_JOINED, .node = &node};

    memcpy(node.id, w->node_id, sizeof node.id);
    snprintf(node.name, sizeof node.name, "%s", hello->name);
    snprintf(w->name, sizeof w->name, "%s", hello->name);
    node.engines = copy_names(w->arena, hello->engines, hello->n_engines);
    node.precisions = copy_names(w->arena, hello->precisions, hello->n_precisions);
    node.models = copy_models(w->arena, hello);
    tell_store(w, hello, true);
    cap_log(INFO, "node_joined", "node=%s id=%s peer=%s models=%zu", node.name, node.id,
            cap_rpc_peer(w->call), hello->n_models);
    sched_conduct_event(w->service->conduct, &event);
}

static bool welcome(struct work *w)
{
    Moecap__V1__Welcome message = MOECAP__V1__WELCOME__INIT;

    message.node_id = w->node_id;
    message.beat_ms = (uint32_t)w->service->beat_ms;
    message.lease_ms = (uint32_t)w->service->lease_ms;
    return send(w->call, MOECAP__V1__NODE_COMMAND__BODY_WELCOME, &message);
}

/* A beat extends the node's leases; of those that the store no longer knows it is told to let go.
 */
static void on_beat(struct work *w, const Moecap__V1__NodeBeat *beat)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    const struct sched_event event = {.kind = SCHED_NODE_BEAT, .node_id = w->node_id};
    Moecap__V1__RenewRequest request = MOECAP__V1__RENEW_REQUEST__INIT;
    Moecap__V1__RenewReply *reply;
    struct cap_err err = {0};

    sched_conduct_event(w->service->conduct, &event);
    if (beat->n_leases == 0)
        return;
    request.leases = beat->leases;
    request.n_leases = beat->n_leases;
    request.lease_ms = (uint32_t)w->service->lease_ms;
    if (!store_rpc_renew(w->service->outside.store, NULL, &request, arena, &reply, &err)) {
        cap_log(WARN, "renew_failed", "node=%s reason=%s", w->name, CAP_LOG_Q(err.text));
        return;
    }
    for (size_t i = 0; i < reply->n_lost; i++) {
        const struct sched_event lost = {.kind = SCHED_LEASE_LOST,
                                         .run_id = reply->lost[i]->run_id,
                                         .fence = reply->lost[i]->fence};

        sched_work_stop(w->call, reply->lost[i]->run_id, "the lease has ended");
        sched_conduct_event(w->service->conduct, &lost);
    }
}

/* True when stored; false when the store refuses for good or the stream has ended. */
static bool append(struct work *w, Moecap__V1__AnswerBatch *batch, struct cap_arena *arena,
                   Moecap__V1__AppendReply **out_reply)
{
    Moecap__V1__AppendRequest request = MOECAP__V1__APPEND_REQUEST__INIT;

    request.batch = batch;
    while (!cap_rpc_cancelled(w->call)) {
        struct cap_err err = {0};

        if (store_rpc_append(w->service->outside.store, NULL, &request, arena, out_reply, &err))
            return true;
        cap_log(WARN, "append_failed", "run=%s seq=%llu reason=%s", batch->lease->run_id,
                (unsigned long long)batch->seq, CAP_LOG_Q(err.text));
        if (!cap_code_retryable(err.code) && err.code != CAP_DEADLINE_EXCEEDED) {
            sched_count(SCHED_METRIC_batches_refused_total, 1);
            sched_work_stop(w->call, batch->lease->run_id, err.text);
            return false;
        }
        cap_sleep_ms(w->service->retry_ms);
    }
    return false;
}

static void on_answers(struct work *w, Moecap__V1__AnswerBatch *batch)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(APPEND_ARENA_BYTES);
    Moecap__V1__Ack ack = MOECAP__V1__ACK__INIT;
    struct sched_event event = {.kind = SCHED_ANSWERS_STORED};
    Moecap__V1__AppendReply *reply;

    if (!batch->lease || !append(w, batch, arena, &reply))
        return;
    ack.run_id = batch->lease->run_id;
    ack.shard = batch->lease->shard;
    ack.seq = batch->seq;
    send(w->call, MOECAP__V1__NODE_COMMAND__BODY_ACK, &ack);
    sched_count(SCHED_METRIC_batches_total, 1);
    event.run_id = batch->lease->run_id;
    event.fence = batch->lease->fence;
    event.count = reply->samples_answered;
    event.final = reply->run_done;
    sched_conduct_event(w->service->conduct, &event);
}

static void on_failed(struct work *w, const Moecap__V1__ShardFailed *failed)
{
    const struct sched_event event = {.kind = SCHED_SHARD_FAILED,
                                      .run_id = failed->lease ? failed->lease->run_id : "",
                                      .node_id = w->node_id,
                                      .reason = failed->reason,
                                      .final = !cap_code_retryable((enum cap_code)failed->code)};

    cap_log(WARN, "shard_failed", "run=%s node=%s reason=%s", event.run_id, w->name,
            CAP_LOG_Q(failed->reason));
    sched_conduct_event(w->service->conduct, &event);
}

static void on_stopped(struct work *w, const Moecap__V1__LeaseRef *lease)
{
    const struct sched_event event = {
        .kind = SCHED_NODE_STOPPED, .run_id = lease->run_id, .node_id = w->node_id};

    sched_conduct_event(w->service->conduct, &event);
}

static void take_message(struct work *w, Moecap__V1__NodeMessage *message)
{
    switch ((int)message->body_case) {
    case MOECAP__V1__NODE_MESSAGE__BODY_BEAT:
        on_beat(w, message->beat);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_ANSWERS:
        on_answers(w, message->answers);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_FAILED:
        on_failed(w, message->failed);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_PROGRESS:
        if (message->progress->lease)
            sched_conduct_note(w->service->conduct, message->progress->lease->run_id,
                               message->progress->phase, message->progress->output_tokens_per_s);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_STOPPED:
        on_stopped(w, message->stopped);
        break;
    default:
        break; /* a newer node says more than we understand */
    }
}

static bool serve(struct work *w, struct cap_err *err)
{
    Moecap__V1__NodeMessage *message = scheduler_rpc_work_next_request(w->call);
    struct sched_event left = {.kind = SCHED_NODE_LEFT, .node_id = w->node_id};

    if (!message || message->body_case != MOECAP__V1__NODE_MESSAGE__BODY_HELLO)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a node's first message must be its hello");
    if (!*message->hello->name || strlen(message->hello->name) >= SCHED_NAME_BYTES)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a node's name has 1 to %d bytes",
                        SCHED_NAME_BYTES - 1);
    welcome(w);
    join(w, message->hello);
    while ((message = scheduler_rpc_work_next_request(w->call)) != NULL)
        take_message(w, message);
    cap_log(INFO, "node_left", "node=%s id=%s", w->name, w->node_id);
    left.reason = "the node has gone";
    sched_conduct_event(w->service->conduct, &left);
    tell_store(w, NULL, false);
    return true;
}

bool sched_handle_work(struct cap_rpc_call *call, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct work w = {.service = service, .call = call, .arena = cap_rpc_arena(call)};
    bool ok;

    if (service->draining)
        return cap_fail(err, CAP_UNAVAILABLE, "the scheduler is going away");
    if (++service->node_count > service->nodes_max) {
        --service->node_count;
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d nodes are connected, no more are accepted",
                        service->nodes_max);
    }
    w.link = sched_link_open(service->links, call, w.node_id);
    cap_metric_set(sched_metrics(), SCHED_METRIC_nodes, service->node_count);
    ok = serve(&w, err);
    sched_link_close(service->links, w.link);
    cap_metric_set(sched_metrics(), SCHED_METRIC_nodes, --service->node_count);
    return ok;
}
