/* The stream to the scheduler. Three threads, of which two live as long as one connection:
 *
 *     client thread: dial -> hello -> await the welcome -> take commands until the end -> pause
 *     sender thread: from the welcome on: infer_work_next() -> send, until its generation is over
 *     watch thread:  while the welcome is awaited: cancels a call that says nothing
 *
 * Messages are made and read here and nowhere else on a node. Locks: client->lock guards the call
 * that may have to be cancelled, and the flags around it; it is never held while something is sent
 * or received, nor while work.c is called.
 *
 * What can interleave: infer_work_client_free() may come at any moment; it cancels the call that
 * is open, and the client thread finds `ending` before it dials again. The sender may be inside a
 * send when the stream breaks: the send fails, the batch stays in the outbox, the next sender
 * sends it again. */
#include "node/stream.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "counters.h"
#include "engine.h"
#include "log/log.h"
#include "moecap/v1/scheduler.rpc.h"
#include "node/worker.h"
#include "service/service.h"
#include "words/words.h"

/* ---- when to dial again ---- */

static bool is_final(const struct cap_err *reason)
{
    switch (reason->code) {
    case CAP_INVALID_ARGUMENT:
    case CAP_FAILED_PRECONDITION:
    case CAP_NOT_FOUND:
    case CAP_PERMISSION_DENIED:
    case CAP_UNAUTHENTICATED:
    case CAP_UNIMPLEMENTED:
    case CAP_OUT_OF_RANGE:
        return true;
    default:
        return false;
    }
}

static int64_t within(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

bool infer_redial_ended(struct infer_redial *redial, int64_t welcomed_ms,
                        const struct cap_err *reason)
{
    bool lived = welcomed_ms >= INFER_REDIAL_STREAM_MS_MIN;
    const char *text = reason->code == CAP_OK ? INFER_REDIAL_HUNG_UP : reason->text;
    int64_t most = is_final(reason) ? INFER_REDIAL_REFUSED_MS_MAX : INFER_REDIAL_MS_MAX;

    redial->pause_ms =
        lived ? INFER_REDIAL_MS_MIN : within(2 * redial->pause_ms, INFER_REDIAL_MS_MIN, most);
    if (!lived && strcmp(redial->reason, text) == 0) {
        redial->untold++;
        return false;
    }
    snprintf(redial->reason, sizeof redial->reason, "%s", text);
    redial->untold = 0;
    return true;
}

/* ---- the hello ---- */

static bool has_command(const struct infer_hello *hello, const char *kind)
{
    for (int i = 0; i < hello->command_count; i++)
        if (strcmp(hello->commands[i].kind, kind) == 0)
            return *hello->commands[i].command != '\0';
    return false;
}

/* A server at a URL can be asked by any node; one that has to be started only by a node that has a
 * command for it. */
static void add_engines(Moecap__V1__NodeHello *message, const struct infer_hello *hello,
                        struct cap_arena *arena)
{
    size_t count = 0;

    while (infer_engine_at((int)count))
        count++;
    message->engines = cap_arena_array(arena, count, sizeof *message->engines);
    message->url_engines = cap_arena_array(arena, count, sizeof *message->url_engines);
    for (size_t i = 0; i < count; i++) {
        const char *name = infer_engine_at((int)i)->name;
        const struct cap_engine *engine = cap_engine_find(name);

        if (engine->server)
            message->url_engines[message->n_url_engines++] = (char *)name;
        if (!engine->started || has_command(hello, name))
            message->engines[message->n_engines++] = (char *)name;
    }
}

static void add_precisions(Moecap__V1__NodeHello *message, const char *const *precisions)
{
    message->precisions = (char **)precisions;
    while (precisions[message->n_precisions])
        message->n_precisions++;
}

static void add_models(Moecap__V1__NodeHello *message, struct infer_models *models,
                       struct cap_arena *arena)
{
    size_t count = (size_t)models->count, told = 0;

    message->models = cap_arena_array(arena, count, sizeof *message->models);
    message->n_models = count;
    for (size_t i = 0; i < count; i++) {
        const struct infer_model *model = &models->list[i];
        Moecap__V1__NodeModel *out = cap_arena_alloc(arena, sizeof *out);

        moecap__v1__node_model__init(out);
        out->name = model->name;
        out->path = model->path;
        out->family = model->family;
        out->sha256 = cap_arena_alloc(arena, CAP_SHA256_HEX_BYTES);
        infer_models_sha256(models, (int)i, out->sha256);
        out->bytes = model->bytes;
        if (model->context_max > 0) {
            out->opt_context_case = MOECAP__V1__NODE_MODEL__OPT_CONTEXT_CONTEXT_TOKENS;
            out->context_tokens = (uint32_t)model->context_max;
        }
        out->problem = model->problem;
        if (told + strlen(model->config) <= INFER_MODELS_CONFIGS_BYTES_MAX)
            out->config = model->config;
        told += strlen(out->config);
        message->models[i] = out;
    }
}

static Moecap__V1__NodeHello *make_hello(const struct infer_hello *hello, struct cap_arena *arena)
{
    Moecap__V1__NodeHello *message = cap_arena_alloc(arena, sizeof *message);
    struct infer_hardware_message *hardware = cap_arena_alloc(arena, sizeof *hardware);

    moecap__v1__node_hello__init(message);
    message->name = (char *)hello->name;
    message->version = MOECAP_VERSION;
    message->endpoint = (char *)hello->endpoint;
    message->any_model_path = hello->any_model_path;
    message->link_local = hello->link_local;
    message->hardware = infer_hardware_to_wire(hello->hardware, hardware);
    add_engines(message, hello, arena);
    add_precisions(message, hello->precisions);
    add_models(message, hello->models, arena);
    return message;
}

/* ---- commands ---- */

static void lease_from_wire(const Moecap__V1__LeaseRef *in, struct infer_lease *out)
{
    *out = (struct infer_lease){.shard = in->shard, .fence = in->fence};
    snprintf(out->run_id, sizeof out->run_id, "%s", in->run_id);
}

static int int_from_wire(uint32_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int)value;
}

static void load_from_wire(const Moecap__V1__Load *in, struct infer_spec *out)
{
    if (in->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY)
        out->concurrency = in->concurrency > INT32_MAX ? 0 : (int)in->concurrency;
    if (in->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S)
        out->rate_per_s = in->rate_per_s;
    if (in->kind_case == MOECAP__V1__LOAD__KIND_REPLAY)
        out->replay = in->replay;
    out->arrivals = in->arrivals;
    out->input_tokens = int_from_wire(in->input_tokens);
    if (in->opt_burstiness_case == MOECAP__V1__LOAD__OPT_BURSTINESS_BURSTINESS)
        out->burstiness = in->burstiness;
    if (in->opt_ramp_to_case == MOECAP__V1__LOAD__OPT_RAMP_TO_RAMP_TO_PER_S)
        out->ramp_to_per_s = in->ramp_to_per_s;
    if (in->opt_ramp_s_case == MOECAP__V1__LOAD__OPT_RAMP_S_RAMP_S)
        out->ramp_s = in->ramp_s;
}

static void spec_from_wire(const Moecap__V1__EvaluationSpec *in, struct infer_spec *out)
{
    *out = (struct infer_spec){.engine = in->engine,
                               .model = in->model,
                               .precision = in->precision,
                               .device = in->hardware ? in->hardware->device : "",
                               .seed = in->seed,
                               .no_audit = in->no_audit};
    if (in->load)
        load_from_wire(in->load, out);
    if (in->external) {
        out->url = in->external->url;
        out->served_model = in->external->served_model;
        out->api_key_env = in->external->api_key_env;
        out->model_config = in->external->model_config;
    }
}

static void take_assign(struct infer_work *work, const Moecap__V1__Assign *in)
{
    struct infer_lease lease;
    struct infer_spec spec;

    if (!in->lease || !in->spec) {
        cap_log(ERROR, "bad_assign", "reason=\"it has no lease or no spec\"");
        return;
    }
    lease_from_wire(in->lease, &lease);
    spec_from_wire(in->spec, &spec);
    infer_work_assign(work, &lease, &spec, in->seq_next, (int)in->samples_left, in->resumed);
}

/* Counts past an assignment's limits are refused there. */
static int int_from_size(size_t count)
{
    return count > INT32_MAX ? INT32_MAX : (int)count;
}

static void take_prompt(struct infer_work *work, const Moecap__V1__PromptBatch *batch,
                        const Moecap__V1__Prompt *in)
{
    size_t count = in->n_messages;
    CAP_AUTO_MEM struct infer_message *messages = calloc(count + 1, sizeof *messages);
    struct infer_prompt prompt = {.ordinal = in->ordinal, .uid = in->uid};

    assert(messages);
    for (size_t i = 0; i < count; i++)
        messages[i] = (struct infer_message){in->messages[i]->role, in->messages[i]->content};
    prompt.request = (struct infer_request){
        .text = count ? NULL : in->text,
        .messages = count ? messages : NULL,
        .message_count = int_from_size(count),
        .continuations = (const char *const *)in->continuations,
        .continuation_count = int_from_size(in->n_continuations),
        .stop = (const char *const *)in->stop,
        .stop_count = int_from_size(in->n_stop),
        .max_tokens = int_from_wire(in->max_tokens),
        .temperature = in->temperature,
        .top_p = in->opt_top_p_case == MOECAP__V1__PROMPT__OPT_TOP_P_TOP_P ? in->top_p : 1,
        .top_k = int_from_wire(in->top_k),
        .seed = in->seed,
        .ignore_eos = in->ignore_eos,
    };
    infer_work_prompt(work, batch->run_id, batch->shard, &prompt);
}

static void take_prompts(struct infer_work *work, const Moecap__V1__PromptBatch *in)
{
    for (size_t i = 0; i < in->n_prompts; i++)
        take_prompt(work, in, in->prompts[i]);
    if (in->last)
        infer_work_prompts_end(work, in->run_id, in->shard);
}

/* A stop that stops nothing is not worth a line: a scheduler may send any number of them. */
static void take_stop(struct infer_work *work, const Moecap__V1__Stop *in)
{
    if (infer_work_stop(work, in->run_id, in->shard, in->fence))
        cap_log(INFO, "stop", "run=%s shard=%u fence=%llu reason=%s", in->run_id, in->shard,
                (unsigned long long)in->fence, CAP_LOG_Q(in->reason));
    else
        cap_log(DEBUG, "stop_ignored", "run=%s shard=%u fence=%llu", CAP_LOG_Q(in->run_id),
                in->shard, (unsigned long long)in->fence);
}

static void take_command(struct infer_work *work, const Moecap__V1__NodeCommand *command)
{
    switch (command->body_case) {
    case MOECAP__V1__NODE_COMMAND__BODY_ASSIGN:
        take_assign(work, command->assign);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_PROMPTS:
        take_prompts(work, command->prompts);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_ACK:
        infer_work_ack(work, command->ack->run_id, command->ack->shard, command->ack->seq);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_STOP:
        take_stop(work, command->stop);
        break;
    default:
        break;
    }
}

/* ---- the stream: one thread receives and, per connection, one sends ---- */

enum { HELLO_BYTES_MAX = 1 << 20, METRICS_ARENA_BYTES = 64 << 10 };

struct infer_work_client {
    struct infer_work *work;
    struct cap_rpc_channel *channel;
    const char *scheduler;
    const struct infer_hello *hello;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows: cancelling needs a call that is still open */
    pthread_cond_t changed;
    struct cap_rpc_call *call;
    bool ending;
    bool awaiting, mute; /* the welcome; it did not come in time */
    /* fixed, or the thread's */
    int welcome_ms_max;
    struct infer_redial redial;
    int64_t welcomed_at_ms; /* of this stream; -1 = not yet */
};

/* ---- sending ---- */

struct sender {
    struct infer_work *work;
    struct cap_rpc_call *call;
    uint64_t generation;
};

static void set_lease(Moecap__V1__LeaseRef *out, const struct infer_lease *lease)
{
    moecap__v1__lease_ref__init(out);
    out->run_id = (char *)lease->run_id;
    out->shard = lease->shard;
    out->fence = lease->fence;
}

/* `body` is what `what` names. */
static bool send_as(struct cap_rpc_call *call, Moecap__V1__NodeMessage__BodyCase what, void *body)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;

    message.body_case = what;
    message.hello = body; /* the members of the union are all pointers */
    return scheduler_rpc_work_send_request(call, &message);
}

static bool send_beat(struct cap_rpc_call *call, const struct infer_outgoing *out,
                      Moecap__V1__LeaseRef *lease)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(METRICS_ARENA_BYTES);
    Moecap__V1__NodeBeat beat = MOECAP__V1__NODE_BEAT__INIT;

    beat.leases = &lease;
    beat.n_leases = out->has_lease;
    cap_metrics_to_wire(&infer_counters, arena, &beat.metrics, &beat.n_metrics);
    return send_as(call, MOECAP__V1__NODE_MESSAGE__BODY_BEAT, &beat);
}

static bool send_batch(struct cap_rpc_call *call, const struct infer_outgoing *out,
                       Moecap__V1__LeaseRef *lease)
{
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;

    batch.lease = lease;
    batch.seq = out->batch.seq;
    batch.sha256 = (ProtobufCBinaryData){CAP_SHA256_BYTES, (uint8_t *)out->batch.sha256};
    batch.rows = (ProtobufCBinaryData){out->batch.length, out->batch.rows};
    batch.answers = out->batch.answers;
    batch.completed = out->batch.completed;
    batch.last = out->batch.last;
    return send_as(call, MOECAP__V1__NODE_MESSAGE__BODY_ANSWERS, &batch);
}

static bool send_progress(struct cap_rpc_call *call, const struct infer_outgoing *out,
                          Moecap__V1__LeaseRef *lease)
{
    Moecap__V1__NodeProgress progress = MOECAP__V1__NODE_PROGRESS__INIT;

    progress.lease = lease;
    progress.phase = (char *)out->progress.phase;
    progress.in_flight = (uint32_t)out->progress.in_flight;
    progress.output_tokens_per_s = out->progress.output_tokens_per_s;
    return send_as(call, MOECAP__V1__NODE_MESSAGE__BODY_PROGRESS, &progress);
}

static bool send_failed(struct cap_rpc_call *call, const struct infer_outgoing *out,
                        Moecap__V1__LeaseRef *lease)
{
    Moecap__V1__ShardFailed failed = MOECAP__V1__SHARD_FAILED__INIT;

    failed.lease = lease;
    failed.reason = (char *)out->failure.text;
    failed.code = out->failure.code;
    return send_as(call, MOECAP__V1__NODE_MESSAGE__BODY_FAILED, &failed);
}

static bool send_one(struct cap_rpc_call *call, const struct infer_outgoing *out)
{
    Moecap__V1__LeaseRef lease;

    set_lease(&lease, &out->lease);
    switch (out->kind) {
    case INFER_SEND_BEAT:
        return send_beat(call, out, &lease);
    case INFER_SEND_BATCH:
        return send_batch(call, out, &lease);
    case INFER_SEND_PROGRESS:
        return send_progress(call, out, &lease);
    case INFER_SEND_FAILED:
        return send_failed(call, out, &lease);
    case INFER_SEND_STOPPED:
        return send_as(call, MOECAP__V1__NODE_MESSAGE__BODY_STOPPED, &lease);
    }
    return false;
}

static void *run_sender(void *arg)
{
    struct sender *sender = arg;
    struct infer_outgoing out;
    bool ok = true;

    while (ok && infer_work_next(sender->work, sender->generation, &out)) {
        ok = send_one(sender->call, &out);
        if (out.kind == INFER_SEND_BATCH) {
            infer_count(INFER_M_batches_sent_total, 1);
            infer_count(INFER_M_batch_bytes_total, (int64_t)out.batch.length);
        }
        infer_outgoing_done(&out);
    }
    return NULL;
}

/* ---- receiving ---- */

static bool send_hello(const struct infer_work_client *client, struct cap_rpc_call *call)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(HELLO_BYTES_MAX);

    return send_as(call, MOECAP__V1__NODE_MESSAGE__BODY_HELLO, make_hello(client->hello, arena));
}

/* Between Welcome and the end of the stream. */
static void converse(struct infer_work_client *client, struct cap_rpc_call *call,
                     const Moecap__V1__Welcome *welcome)
{
    struct sender sender = {.work = client->work, .call = call};
    Moecap__V1__NodeCommand *command;
    pthread_t thread;

    infer_count(INFER_M_streams_total, 1);
    infer_count(INFER_M_connected, 1);
    sender.generation =
        infer_work_connected(client->work, (int)welcome->beat_ms, welcome->window_bytes);
    if (pthread_create(&thread, NULL, run_sender, &sender) != 0)
        abort();
    while ((command = scheduler_rpc_work_next_reply(call)) != NULL)
        take_command(client->work, command);
    infer_work_disconnected(client->work);
    pthread_join(thread, NULL);
    infer_count(INFER_M_connected, -1);
}

static void *watch_welcome(void *arg)
{
    struct infer_work_client *client = arg;
    struct timespec end = cap_wait_end(client->welcome_ms_max);

    pthread_mutex_lock(&client->lock);
    while (client->awaiting && cap_wait_until(&client->changed, &client->lock, &end))
        ;
    client->mute = client->awaiting;
    if (client->mute)
        cap_rpc_cancel(client->call);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

static void set_awaiting(struct infer_work_client *client, bool awaiting)
{
    pthread_mutex_lock(&client->lock);
    client->awaiting = awaiting;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* The first command. A scheduler that takes the call and says nothing would hold the node for ever,
 * without a word; one whose store is away takes its time. */
static Moecap__V1__NodeCommand *await_welcome(struct infer_work_client *client,
                                              struct cap_rpc_call *call)
{
    Moecap__V1__NodeCommand *command;
    pthread_t watch;

    set_awaiting(client, true);
    if (pthread_create(&watch, NULL, watch_welcome, client) != 0)
        abort();
    command = scheduler_rpc_work_next_reply(call);
    set_awaiting(client, false);
    pthread_join(watch, NULL);
    return command;
}

/* The hello, the welcome, and what follows it. */
static void talk(struct infer_work_client *client, struct cap_rpc_call *call)
{
    Moecap__V1__NodeCommand *command;

    client->welcomed_at_ms = -1;
    if (!send_hello(client, call))
        return;
    command = await_welcome(client, call);
    if (!command || command->body_case != MOECAP__V1__NODE_COMMAND__BODY_WELCOME)
        return;
    client->welcomed_at_ms = cap_clock_ms(cap_clock_system());
    if (client->redial.untold == 0)
        cap_log(INFO, "connected", "scheduler=%s node=%s", client->scheduler,
                command->welcome->node_id);
    converse(client, call, command->welcome);
}

static bool open_call(struct infer_work_client *client, struct cap_rpc_call **out_call)
{
    struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    bool ok;

    pthread_mutex_lock(&client->lock);
    ok = !client->ending;
    if (ok)
        *out_call = client->call = scheduler_rpc_work_open(client->channel, &options);
    pthread_mutex_unlock(&client->lock);
    return ok;
}

/* Why the stream has ended, unless we end it. */
static void tell_end(struct infer_work_client *client, const struct cap_err *reason)
{
    bool welcomed = client->welcomed_at_ms >= 0;
    int64_t lived_ms = welcomed ? cap_clock_ms(cap_clock_system()) - client->welcomed_at_ms : -1;
    int untold = client->redial.untold;

    if (infer_redial_ended(&client->redial, lived_ms, reason))
        cap_log(WARN, welcomed ? "disconnected" : "no_scheduler",
                "scheduler=%s reason=%s untold=%d", client->scheduler,
                CAP_LOG_Q(client->redial.reason), untold);
}

static void close_call(struct infer_work_client *client, struct cap_rpc_call *call)
{
    struct cap_err err = {0};
    bool ending, mute;

    pthread_mutex_lock(&client->lock);
    client->call = NULL;
    ending = client->ending;
    mute = client->mute;
    client->mute = false;
    pthread_mutex_unlock(&client->lock);
    cap_rpc_cancel(call);
    cap_rpc_close(call, &err);
    if (mute) {
        cap_err_clear(&err);
        cap_fail(&err, CAP_UNAVAILABLE, "the scheduler has not welcomed this node for %d s",
                 client->welcome_ms_max / 1000);
    }
    if (!ending)
        tell_end(client, &err);
}

/* False when the program ends. */
static bool pause_ms(struct infer_work_client *client, int64_t wait_ms)
{
    bool ending;

    pthread_mutex_lock(&client->lock);
    if (!client->ending)
        cap_wait_ms(&client->changed, &client->lock, wait_ms);
    ending = client->ending;
    pthread_mutex_unlock(&client->lock);
    return !ending;
}

static void *run_client(void *arg)
{
    struct infer_work_client *client = arg;
    struct cap_rpc_call *call;

    while (open_call(client, &call)) {
        talk(client, call);
        close_call(client, call);
        if (!pause_ms(client, client->redial.pause_ms))
            break;
    }
    return NULL;
}

struct infer_work_client *infer_work_client_start(struct infer_work *work, const char *scheduler,
                                                  const struct infer_hello *hello,
                                                  int welcome_ms_max)
{
    struct infer_work_client *client = calloc(1, sizeof *client);

    assert(client);
    client->work = work;
    client->scheduler = scheduler;
    client->hello = hello;
    client->welcome_ms_max = welcome_ms_max ? welcome_ms_max : INFER_WELCOME_MS_MAX;
    client->channel = cap_rpc_channel_new(scheduler, NULL);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    if (pthread_create(&client->thread, NULL, run_client, client) != 0)
        abort();
    return client;
}

void infer_work_client_free(struct infer_work_client *client)
{
    if (!client)
        return;
    pthread_mutex_lock(&client->lock);
    client->ending = true;
    if (client->call)
        cap_rpc_cancel(client->call);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    pthread_join(client->thread, NULL);
    cap_rpc_channel_free(client->channel);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client);
}
