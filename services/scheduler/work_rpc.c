/* Scheduler.Work: one handler for each node, for as long as it is connected.
 *
 * Threads. The handler's thread reads the node's stream and does nothing that may take long: a beat
 * changes the state in O(1) and notes the lease for renewal, a batch goes into a queue
 * (node_store_rpc.h for both). Others send on the stream: the thread that stores batches sends
 * acknowledgements, the dispatcher's pools send assignments, prompts and stops. Sends of one stream
 * that must keep their order hold the stream's order lock (stream.h).
 *
 * What it guarantees. A node is heard however long the store takes, so a beat always keeps its
 * lease. An answer is acknowledged only when the store has it. Answers are taken only from the node
 * that holds the lease. When the stream ends, the node's batches that are here are stored first,
 * then the dispatcher hears that the node has left, so that the next node begins after them.
 *
 * What can interleave. A Stop and the acknowledgement of the last batch may cross; both are true. A
 * beat that was sent before an assignment arrived names no lease; it takes nothing away. A node
 * that dials again before its old stream has ended is another node here: the old one's lease ends
 * with the old stream.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "log/log.h"
#include "moecap/v1/store.rpc.h"
#include "node_store_rpc.h"
#include "service.h"
#include "words/words.h"

enum {
    PROMPT_ARENA_BYTES = 512 << 20,
    SMALL_ARENA_BYTES = 1 << 20,
    PROMPT_BYTES_MAX = 7 << 20, /* a node takes messages of 8 MiB */
    TRIES_ALONE_MAX = 10,       /* of a single prompt for which there is no room */
    PAUSE_GROWTH_MAX = 8,
    WANTED_STEP_MS = 20, /* a pause ends so soon after the run is no longer wanted */
    HELLO_NAMES_MAX = 1024,
    METRICS_MAX = 256,
    METRICS_BYTES_MAX = 64 << 10,
};

struct work {
    struct sched_service *service;
    struct sched_append *append;
    struct cap_rpc_call *call;
    struct sched_stream *stream;
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

void sched_work_stop(struct sched_stream *stream, const char *run_id, uint64_t fence,
                     const char *reason)
{
    Moecap__V1__Stop stop = MOECAP__V1__STOP__INIT;

    stop.run_id = (char *)run_id;
    stop.shard = SCHED_SHARD;
    stop.fence = fence;
    stop.reason = (char *)reason;
    sched_stream_hold_order(stream);
    send(sched_stream_call(stream), MOECAP__V1__NODE_COMMAND__BODY_STOP, &stop);
    sched_stream_let_go(stream);
}

void sched_work_ack(struct sched_stream *stream, const char *run_id, uint64_t seq)
{
    Moecap__V1__Ack ack = MOECAP__V1__ACK__INIT;

    ack.run_id = (char *)run_id;
    ack.shard = SCHED_SHARD;
    ack.seq = seq;
    sched_stream_hold_order(stream);
    send(sched_stream_call(stream), MOECAP__V1__NODE_COMMAND__BODY_ACK, &ack);
    sched_stream_let_go(stream);
}

/* ---- assignment ---- */

/* Nothing is sent, and that is fine, when the run is no longer this node's. */
static bool send_if_wanted(const struct sched_assignment *a, struct sched_stream *stream,
                           Moecap__V1__NodeCommand__BodyCase what, void *body, struct cap_err *err)
{
    bool sent;

    sched_stream_hold_order(stream);
    sent = !a->wanted(a->arg) || send(sched_stream_call(stream), what, body);
    sched_stream_let_go(stream);
    return sent || cap_fail(err, CAP_UNAVAILABLE, "the node has gone");
}

static bool send_assign(const struct sched_assignment *a, struct sched_stream *stream,
                        struct cap_err *err)
{
    const struct sched_job *job = a->job;
    Moecap__V1__Assign assign = MOECAP__V1__ASSIGN__INIT;
    Moecap__V1__LeaseRef lease = MOECAP__V1__LEASE_REF__INIT;

    lease.run_id = (char *)job->run_id;
    lease.shard = SCHED_SHARD;
    lease.fence = a->grant.fence;
    assign.lease = &lease;
    assign.seq_next = a->grant.seq_next;
    assign.samples_total = a->grant.total;
    assign.samples_left = (uint32_t)a->grant.ordinal_count;
    assign.task = job->task;
    assign.repeat = job->repeat;
    assign.resumed = a->grant.attempt > 1 && a->grant.ordinal_count < a->grant.total;
    assign.spec = job->spec;
    return send_if_wanted(a, stream, MOECAP__V1__NODE_COMMAND__BODY_ASSIGN, &assign, err);
}

static bool send_prompts(const struct sched_assignment *a, struct sched_stream *stream, size_t from,
                         size_t count, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(PROMPT_ARENA_BYTES);
    Moecap__V1__PromptBatch batch = MOECAP__V1__PROMPT_BATCH__INIT;
    Moecap__V1__RenderReply *rendered;
    const struct sched_ordinals which = {a->grant.ordinals_left + from, count};

    batch.run_id = (char *)a->job->run_id;
    batch.shard = SCHED_SHARD;
    batch.last = from + count == a->grant.ordinal_count;
    if (count > 0) {
        if (!sched_evaluator_render(a->evaluator, a->job, &which, arena, &rendered, err))
            return false;
        batch.n_prompts = rendered->n_prompts;
        batch.prompts = rendered->prompts;
    }
    if (moecap__v1__prompt_batch__get_packed_size(&batch) > PROMPT_BYTES_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%zu prompts do not fit one message", count);
    return send_if_wanted(a, stream, MOECAP__V1__NODE_COMMAND__BODY_PROMPTS, &batch, err);
}

struct patience {
    const struct sched_assignment *assignment;
    size_t batch; /* prompts to send at a time; fewer where they are long */
    int tries, alone;
};

/* True when it makes sense to try again, after a pause. While the store or the evaluator is away
 * the node keeps its lease and waits with us. */
static bool be_patient(struct patience *p, struct sched_stream *stream, struct cap_err *err)
{
    const struct sched_assignment *a = p->assignment;
    int growth = p->tries < 3 ? 1 << p->tries : PAUSE_GROWTH_MAX;
    int64_t until;

    if (!sched_may_pass(err) || cap_rpc_cancelled(sched_stream_call(stream)))
        return false;
    if (err->code == CAP_RESOURCE_EXHAUSTED && p->batch == 1 && ++p->alone > TRIES_ALONE_MAX)
        return false;
    p->batch = sched_smaller_batch((uint32_t)p->batch, err);
    p->tries++;
    sched_count(SCHED_METRIC_store_retries_total, 1);
    cap_log(WARN, "retry", "what=prompts run=%s reason=%s", a->job->run_id, CAP_LOG_Q(err->text));
    until = cap_clock_ms(cap_clock_system()) + a->retry_ms * growth;
    while (cap_clock_ms(cap_clock_system()) < until && a->wanted(a->arg))
        cap_sleep_ms(WANTED_STEP_MS);
    cap_err_clear(err);
    return true;
}

bool sched_work_assign(const struct sched_assignment *a, struct sched_stream *stream,
                       struct cap_err *err)
{
    struct patience patience = {.assignment = a, .batch = (size_t)a->prompt_batch};
    size_t at = 0, total = a->grant.ordinal_count;

    if (!send_assign(a, stream, err))
        return false;
    a->sent(a->arg, false);
    do {
        size_t count = total - at < patience.batch ? total - at : patience.batch;

        if (!a->wanted(a->arg))
            return true;
        if (send_prompts(a, stream, at, count, err)) {
            at += count;
            patience.tries = patience.alone = 0;
            if (count == 0)
                break;
        } else if (!be_patient(&patience, stream, err)) {
            return false;
        }
    } while (at < total);
    a->sent(a->arg, true);
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

/* A model that the node announces with a problem can be asked for: the run then fails with that
 * problem as its reason, which helps more than "unknown". */
static const char *const *copy_models(struct cap_arena *arena, const Moecap__V1__NodeHello *hello)
{
    const char **copy = cap_arena_array(arena, hello->n_models + 1, sizeof *copy);

    for (size_t i = 0; copy && i < hello->n_models; i++)
        copy[i] = cap_arena_strdup(arena, hello->models[i]->name);
    return copy;
}

/* As match.c wants them. A node that is older than url_engines says all that it has as engines. */
static const char *const *copy_engines(struct cap_arena *arena, const Moecap__V1__NodeHello *hello)
{
    bool old = hello->n_url_engines == 0;
    size_t count = 0, at_url = old ? hello->n_engines : hello->n_url_engines;
    char **names = old ? hello->engines : hello->url_engines;
    const char **copy = cap_arena_array(arena, hello->n_engines + at_url + 1, sizeof *copy);

    for (size_t i = 0; copy && i < hello->n_engines; i++)
        copy[count++] = cap_arena_strdup(arena, hello->engines[i]);
    for (size_t i = 0; copy && i < at_url; i++) {
        const struct cap_engine *engine = cap_engine_find(names[i]);

        if (engine && engine->started)
            copy[count++] = cap_arena_printf(arena, "%s" SCHED_AT_URL, names[i]);
    }
    return copy;
}

static void tell_store(struct work *w, Moecap__V1__NodeHello *hello, bool connected)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(SMALL_ARENA_BYTES);
    Moecap__V1__PutNodeRequest request = MOECAP__V1__PUT_NODE_REQUEST__INIT;
    Moecap__V1__Empty *reply;
    struct cap_err err = {0};

    request.node_id = w->node_id;
    request.hello = hello;
    request.connected = connected;
    if (!store_rpc_put_node(w->service->clients.store, NULL, &request, arena, &reply, &err))
        cap_log(WARN, "node_not_recorded", "node=%s reason=%s", w->name, CAP_LOG_Q(err.text));
}

/* While its handler asks the store the node is not listened to: its silence says nothing. */
static void say_waiting(struct work *w, bool waiting)
{
    const struct sched_event event = {.kind = waiting ? SCHED_NODE_WAITS : SCHED_NODE_HEARD,
                                      .node_id = w->node_id};

    sched_dispatcher_event(w->service->dispatcher, &event);
}

static void join(struct work *w, Moecap__V1__NodeHello *hello)
{
    struct sched_node node = {.any_model_path = hello->any_model_path,
                              .device_count =
                                  hello->hardware ? (int64_t)hello->hardware->n_devices : 0};
    struct sched_event event = {.kind = SCHED_NODE_JOINED, .node = &node};

    memcpy(node.id, w->node_id, sizeof node.id);
    snprintf(node.name, sizeof node.name, "%s", hello->name);
    snprintf(w->name, sizeof w->name, "%s", hello->name);
    node.engines = copy_engines(w->arena, hello);
    node.precisions = copy_names(w->arena, hello->precisions, hello->n_precisions);
    node.models = copy_models(w->arena, hello);
    cap_log(INFO, "node_joined", "node=%s id=%s peer=%s models=%zu", node.name, node.id,
            cap_rpc_peer(w->call), hello->n_models);
    cap_metric_set(sched_metrics(), SCHED_METRIC_nodes, w->service->node_count);
    sched_dispatcher_event(w->service->dispatcher, &event);
    say_waiting(w, true);
    tell_store(w, hello, true);
    say_waiting(w, false);
}

static bool welcome(struct work *w)
{
    Moecap__V1__Welcome message = MOECAP__V1__WELCOME__INIT;

    message.node_id = w->node_id;
    message.beat_ms = (uint32_t)w->service->beat_ms;
    message.lease_ms = (uint32_t)w->service->lease_ms;
    message.window_bytes = SCHED_WINDOW_BYTES;
    return send(w->call, MOECAP__V1__NODE_COMMAND__BODY_WELCOME, &message);
}

/* A node holds one lease at most. */
static void feed_beat(struct work *w, const Moecap__V1__LeaseRef *lease)
{
    const struct sched_event event = {.kind = SCHED_NODE_BEAT,
                                      .node_id = w->node_id,
                                      .run_id = lease ? lease->run_id : NULL,
                                      .fence = lease ? lease->fence : 0};

    sched_dispatcher_event(w->service->dispatcher, &event);
}

/* For people: kept until the next beat. */
static void note_metrics(struct work *w, const Moecap__V1__NodeBeat *beat)
{
    size_t bytes = moecap__v1__node_beat__get_packed_size(beat);
    CAP_AUTO_MEM uint8_t *packed = NULL;

    if (beat->n_metrics > METRICS_MAX || bytes > METRICS_BYTES_MAX || !(packed = malloc(bytes + 1)))
        return;
    moecap__v1__node_beat__pack(beat, packed);
    sched_stream_note_beat(w->stream, packed, bytes);
}

/* A beat extends the node's lease, if it is the node's. */
static void on_beat(struct work *w, const Moecap__V1__NodeBeat *beat)
{
    const Moecap__V1__LeaseRef *lease = beat->n_leases > 0 ? beat->leases[0] : NULL;

    note_metrics(w, beat);
    feed_beat(w, lease);
    if (lease && sched_dispatcher_holder(w->service->dispatcher, w->node_id, lease->run_id,
                                         lease->fence) != SCHED_HELD_BY_ANOTHER)
        sched_renewals_note(w->service->renewals, lease->run_id, lease->fence);
}

/* What a node may get over by itself, or another node may do better, is tried again. */
static void on_failed(struct work *w, const Moecap__V1__ShardFailed *failed)
{
    const struct cap_err why = {.code = (enum cap_code)failed->code};
    const struct sched_event event = {.kind = SCHED_SHARD_FAILED,
                                      .run_id = failed->lease ? failed->lease->run_id : "",
                                      .node_id = w->node_id,
                                      .fence = failed->lease ? failed->lease->fence : 0,
                                      .reason = failed->reason,
                                      .final = !sched_may_pass(&why),
                                      .away = why.code == CAP_UNAVAILABLE};

    cap_log(WARN, "shard_failed", "run=%s node=%s reason=%s", event.run_id, w->name,
            CAP_LOG_Q(failed->reason));
    sched_dispatcher_event(w->service->dispatcher, &event);
}

static void on_stopped(struct work *w, const Moecap__V1__LeaseRef *lease)
{
    const struct sched_event event = {.kind = SCHED_NODE_STOPPED,
                                      .run_id = lease->run_id,
                                      .node_id = w->node_id,
                                      .fence = lease->fence};

    sched_dispatcher_event(w->service->dispatcher, &event);
}

static void take_message(struct work *w, Moecap__V1__NodeMessage *message)
{
    switch ((int)message->body_case) {
    case MOECAP__V1__NODE_MESSAGE__BODY_BEAT:
        on_beat(w, message->beat);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_ANSWERS:
        sched_append_put(w->append, message->answers);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_FAILED:
        on_failed(w, message->failed);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_PROGRESS:
        if (message->progress->lease)
            sched_dispatcher_note(w->service->dispatcher, w->node_id,
                                  message->progress->lease->run_id, message->progress->phase,
                                  message->progress->output_tokens_per_s);
        break;
    case MOECAP__V1__NODE_MESSAGE__BODY_STOPPED:
        on_stopped(w, message->stopped);
        break;
    default:
        break; /* a newer node says more than we understand */
    }
}

static bool is_name(const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || text[i] == '"')
            return false;
    return length > 0 && length < SCHED_NAME_BYTES && cap_utf8_bad(text, length) == length;
}

static bool check_hello(const Moecap__V1__NodeHello *hello, struct cap_err *err)
{
    if (!is_name(hello->name))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a node's name has 1 to %d bytes, without blanks, quotes or control "
                        "characters",
                        SCHED_NAME_BYTES - 1);
    /* every submit looks through them, under the lock */
    if (hello->n_models > HELLO_NAMES_MAX || hello->n_engines > HELLO_NAMES_MAX ||
        hello->n_url_engines > HELLO_NAMES_MAX || hello->n_precisions > HELLO_NAMES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a node names %zu models, %zu engines and %zu precisions; at most %d each",
                        hello->n_models, hello->n_engines, hello->n_precisions, HELLO_NAMES_MAX);
    return true;
}

/* Its hello, checked and kept packed with the stream: what it is, for ListNodes. */
static Moecap__V1__NodeHello *receive_hello(struct work *w, struct cap_err *err)
{
    Moecap__V1__NodeMessage *message = scheduler_rpc_work_next_request(w->call);
    CAP_AUTO_MEM uint8_t *packed = NULL;
    size_t bytes;

    if (!message || message->body_case != MOECAP__V1__NODE_MESSAGE__BODY_HELLO) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "a node's first message must be its hello");
        return NULL;
    }
    if (!check_hello(message->hello, err))
        return NULL;
    bytes = moecap__v1__node_hello__get_packed_size(message->hello);
    packed = malloc(bytes + 1);
    if (!packed)
        abort();
    moecap__v1__node_hello__pack(message->hello, packed);
    w->stream = sched_stream_open(w->service->streams, w->call, packed, bytes, w->node_id);
    return message->hello;
}

static bool serve(struct work *w, struct cap_err *err)
{
    struct sched_event left = {
        .kind = SCHED_NODE_LEFT, .node_id = w->node_id, .reason = "the node has gone"};
    struct sched_append_options append = {.service = w->service};
    Moecap__V1__NodeMessage *message;
    Moecap__V1__NodeHello *hello = receive_hello(w, err);

    if (!hello)
        return false;
    welcome(w);
    join(w, hello);
    append.stream = w->stream;
    append.node_id = w->node_id;
    append.node_name = w->name;
    w->append = sched_append_new(&append);
    while ((message = scheduler_rpc_work_next_request(w->call)) != NULL)
        take_message(w, message);
    sched_append_free(w->append);
    cap_log(INFO, "node_left", "node=%s id=%s", w->name, w->node_id);
    left.final = w->service->draining; /* it works on, and the next scheduler hears of it */
    sched_dispatcher_event(w->service->dispatcher, &left);
    tell_store(w, NULL, false);
    sched_stream_close(w->service->streams, w->stream);
    return true;
}

bool sched_handle_work(struct cap_rpc_call *call, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct work w = {.service = service, .call = call, .arena = cap_rpc_arena(call)};
    bool ok = false;

    if (!sched_restore_wait(service, call, err))
        return false;
    if (++service->node_count > service->nodes_max)
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d nodes are connected, no more are accepted",
                 service->nodes_max);
    else
        ok = serve(&w, err);
    cap_metric_set(sched_metrics(), SCHED_METRIC_nodes, --service->node_count);
    return ok;
}
