/* The server's side: accept, dispatch to workers, finish, drain.
 *
 * The poller accepts calls and starts their batches; it runs no handler but the inline ones. A call
 * whose handler may run goes into a bounded queue; workers are made when a call finds none idle, up
 * to workers_max. One more call than the queue holds is refused at once. Every accepted call is in
 * the `live` list from acceptance until its last reference is gone, so that a drain can wait for
 * all. lock order: server, then call; never the other way round.
 */
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "rpc/internal.h"

enum {
    ACCEPT_SLOTS = 4, /* more brought nothing */
    WORKERS_MAX_DEFAULT = 64,
    QUEUE_MAX_DEFAULT = 256,
    MIN_PING_MS_DEFAULT = 10000,
    WORKER_STACK_BYTES = 1 << 20,
    SERVICES_MAX = 32,
};

struct cap_rpc_server {
    grpc_server *grpc;
    struct rpc_poller poller;
    struct cap_rpc_server_options options;
    struct cap_map *bindings; /* path -> struct rpc_binding; fixed before start */
    const char *services[SERVICES_MAX];
    size_t service_count;
    struct rpc_health *health;
    bool started;

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t work_came, call_gone;
    struct cap_rpc_call *queue_head, **queue_tail;
    int queued, idle_workers, worker_count;
    pthread_t *workers;
    struct cap_rpc_call *live;
    long live_count;
    bool stopping, draining, shut_down;
    struct rpc_tag on_shutdown;
};

static const struct cap_rpc_server_options defaults = {
    .workers_max = WORKERS_MAX_DEFAULT,
    .queue_max = QUEUE_MAX_DEFAULT,
    .receive_bytes_max = RECEIVE_BYTES_MAX_DEFAULT,
    .send_mark_bytes = SEND_MARK_DEFAULT,
    .min_ping_ms = MIN_PING_MS_DEFAULT,
};

static void fill_defaults(struct cap_rpc_server_options *o)
{
    if (o->workers_max == 0)
        o->workers_max = defaults.workers_max;
    if (o->queue_max == 0)
        o->queue_max = defaults.queue_max;
    if (o->receive_bytes_max == 0)
        o->receive_bytes_max = defaults.receive_bytes_max;
    if (o->send_mark_bytes == 0)
        o->send_mark_bytes = defaults.send_mark_bytes;
    if (o->min_ping_ms == 0)
        o->min_ping_ms = defaults.min_ping_ms;
}

/* ---- life ---- */

struct cap_rpc_server *cap_rpc_server_new(const struct cap_rpc_server_options *options)
{
    struct cap_rpc_server *server = calloc(1, sizeof *server);

    if (!server)
        abort();
    if (options)
        server->options = *options;
    fill_defaults(&server->options);
    grpc_arg args[] = {
        {GRPC_ARG_INTEGER,
         GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         {.integer = (int)server->options.receive_bytes_max}},
        /* with it on, a second server would bind the same port without a word */
        {GRPC_ARG_INTEGER, GRPC_ARG_ALLOW_REUSEPORT, {.integer = 0}},
        {GRPC_ARG_INTEGER,
         GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
         {.integer = server->options.min_ping_ms}},
        {GRPC_ARG_INTEGER, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, {.integer = 1}},
    };
    grpc_channel_args list = {CAP_COUNT_OF(args), args};

    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->work_came, NULL);
    pthread_cond_init(&server->call_gone, NULL);
    server->queue_tail = &server->queue_head;
    server->bindings = cap_map_new();
    server->workers = calloc((size_t)server->options.workers_max, sizeof *server->workers);
    server->grpc = grpc_server_create(&list, NULL);
    rpc_poller_start(&server->poller);
    grpc_server_register_completion_queue(server->grpc, server->poller.queue, NULL);
    server->health = rpc_health_new();
    return server;
}

void cap_rpc_server_free(struct cap_rpc_server *server)
{
    if (!server)
        return;
    cap_rpc_server_drain(server, 0);
    grpc_server_destroy(server->grpc);
    rpc_poller_stop(&server->poller);
    for (size_t i = 0; i < cap_map_count(server->bindings); i++)
        free(cap_map_value_at(server->bindings, i));
    cap_map_free(server->bindings);
    rpc_health_free(server->health);
    free(server->workers);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->work_came);
    pthread_cond_destroy(&server->call_gone);
    free(server);
}

void cap_rpc_server_add(struct cap_rpc_server *server, const struct cap_rpc_service *service,
                        const void *handlers, void *self)
{
    for (size_t i = 0; i < service->method_count; i++) {
        struct rpc_binding *binding = calloc(1, sizeof *binding);

        if (!binding)
            abort();
        *binding = (struct rpc_binding){&service->methods[i], handlers, self, false};
        free(cap_map_put(server->bindings, service->methods[i].path, binding));
    }
    if (server->service_count < SERVICES_MAX)
        server->services[server->service_count++] = service->name;
}

void cap_rpc_server_inline(struct cap_rpc_server *server, const char *path)
{
    struct rpc_binding *binding = cap_map_get(server->bindings, path);

    if (binding && binding->method->kind == CAP_RPC_UNARY)
        binding->is_inline = true;
}

bool cap_rpc_server_listen(struct cap_rpc_server *server, const char *address, int *out_port,
                           struct cap_err *err)
{
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server->grpc, address, credentials);

    grpc_server_credentials_release(credentials);
    if (port == 0)
        return cap_fail(err, CAP_UNAVAILABLE,
                        "could not listen on %s: the address is taken or not ours", address);
    if (out_port)
        *out_port = port;
    return true;
}

void cap_rpc_health_set(struct cap_rpc_server *server, const char *service, bool serving)
{
    rpc_health_set(server->health, service, serving);
}

/* ---- the end of a call ---- */

static const char *clipped(char out[STATUS_TEXT_BYTES_MAX], const char *text)
{
    size_t length = strnlen(text, STATUS_TEXT_BYTES_MAX - 1);

    memcpy(out, text, length);
    out[length] = '\0';
    return out;
}

/* Queues reply and status; they go out behind what the handler has sent. */
static void finish(struct cap_rpc_call *call, const ProtobufCMessage *reply,
                   const struct cap_err *err)
{
    char text[STATUS_TEXT_BYTES_MAX];

    if (err->code == CAP_OK && reply)
        cap_rpc_send(call, reply);
    pthread_mutex_lock(&call->lock);
    call->status = *err;
    call->status_text = grpc_slice_from_copied_string(clipped(text, err->text));
    call->status_details =
        rpc_pack_status(err->code, text, call->detail_messages, call->detail_count);
    if (call->detail_count > 0 && err->code != CAP_OK && call->out_trailer_count < METADATA_MAX)
        rpc_set_metadata(&call->out_trailers[call->out_trailer_count++], "grpc-status-details-bin",
                         GRPC_SLICE_START_PTR(call->status_details),
                         GRPC_SLICE_LENGTH(call->status_details));
    call->finish_wanted = true;
    rpc_call_pump_locked(call);
    pthread_mutex_unlock(&call->lock);
}

static void report_done(struct cap_rpc_call *call, enum cap_code code)
{
    const struct cap_rpc_server_options *options = &call->server->options;
    gpr_timespec spent = gpr_time_sub(gpr_now(GPR_CLOCK_MONOTONIC), call->accepted_at);

    if (options->done)
        options->done(options->done_arg, call->method->path, code,
                      (int64_t)gpr_timespec_to_micros(spent));
}

void rpc_server_forget(struct cap_rpc_server *server, struct cap_rpc_call *call)
{
    pthread_mutex_lock(&server->lock);
    if (call->live_previous)
        call->live_previous->live_next = call->live_next;
    else
        server->live = call->live_next;
    if (call->live_next)
        call->live_next->live_previous = call->live_previous;
    server->live_count--;
    pthread_cond_broadcast(&server->call_gone);
    pthread_mutex_unlock(&server->lock);
}

/* ---- handlers ---- */

static ProtobufCMessage *new_reply(struct cap_rpc_call *call)
{
    const ProtobufCMessageDescriptor *type = call->method->reply;
    ProtobufCMessage *reply = cap_arena_alloc(call->arena, type->sizeof_message);

    if (reply)
        protobuf_c_message_init(type, reply);
    return reply;
}

static bool one_request(const struct cap_rpc_method *method)
{
    return method->kind == CAP_RPC_UNARY || method->kind == CAP_RPC_SERVER_STREAM;
}

static bool one_reply(const struct cap_rpc_method *method)
{
    return method->kind == CAP_RPC_UNARY || method->kind == CAP_RPC_CLIENT_STREAM;
}

static bool run_thunk(struct cap_rpc_call *call, ProtobufCMessage **out_reply, struct cap_err *err)
{
    const struct cap_rpc_method *method = call->method;
    ProtobufCMessage *request = NULL;
    size_t bytes = call->incoming ? grpc_byte_buffer_length(call->incoming) : 0;

    call->arena = cap_arena_new(rpc_arena_limit(call->arena_bytes_max, bytes));
    if (one_request(method)) {
        grpc_byte_buffer *incoming = rpc_call_take_bytes(call);

        if (!incoming)
            return cap_fail(err, CAP_CANCELLED, "the request never came");
        request = rpc_unpack(method->request, call->arena, incoming, err);
        grpc_byte_buffer_destroy(incoming);
        if (!request)
            return false;
    }
    if (one_reply(method) && !(*out_reply = new_reply(call)))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "no room for a reply");
    return method->call(call->binding->handlers, call, request, *out_reply, err);
}

static void run_handler(struct cap_rpc_call *call)
{
    ProtobufCMessage *reply = NULL;
    struct cap_err err = {0};
    bool ok = run_thunk(call, &reply, &err);

    if (!ok && err.code == CAP_OK)
        cap_fail(&err, CAP_INTERNAL, "%s failed without a reason", call->method->path);
    if (call->failure.code != CAP_OK)
        err = call->failure;
    finish(call, reply, &err);
    report_done(call, err.code);
    rpc_call_unreference(call);
}

static void *work(void *argument)
{
    struct cap_rpc_server *server = argument;

    pthread_mutex_lock(&server->lock);
    for (;;) {
        struct cap_rpc_call *call;

        while (!server->queue_head && !server->stopping) {
            server->idle_workers++;
            pthread_cond_wait(&server->work_came, &server->lock);
            server->idle_workers--;
        }
        if (!server->queue_head)
            break;
        call = server->queue_head;
        server->queue_head = call->queue_next;
        if (!server->queue_head)
            server->queue_tail = &server->queue_head;
        server->queued--;
        pthread_mutex_unlock(&server->lock);
        run_handler(call);
        pthread_mutex_lock(&server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static void add_worker_locked(struct cap_rpc_server *server)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
    if (pthread_create(&server->workers[server->worker_count], &attributes, work, server) == 0)
        server->worker_count++;
    pthread_attr_destroy(&attributes);
}

/* False when the queue is full. */
static bool enqueue(struct cap_rpc_server *server, struct cap_rpc_call *call)
{
    bool taken;

    pthread_mutex_lock(&server->lock);
    if (server->queued >= server->idle_workers &&
        server->worker_count < server->options.workers_max)
        add_worker_locked(server);
    taken = server->queued - server->idle_workers < server->options.queue_max;
    if (taken) {
        call->queue_next = NULL;
        *server->queue_tail = call;
        server->queue_tail = &call->queue_next;
        server->queued++;
        pthread_cond_signal(&server->work_came);
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

/* ---- accepting; on the poller ---- */

/* Ends a call that no handler will see, and drops the handler's reference. */
static void refuse(struct cap_rpc_call *call, const struct cap_err *why)
{
    finish(call, NULL, why);
    rpc_call_unreference(call);
}

static void dispatch(struct cap_rpc_call *call)
{
    struct cap_err err = {0};

    if (call->binding->is_inline) {
        run_handler(call);
    } else if (!enqueue(call->server, call)) {
        cap_fail(&err, CAP_RESOURCE_EXHAUSTED, "%s: the server is overloaded; try again later",
                 call->method->path);
        refuse(call, &err);
    }
}

/* The only request of a unary or server-streaming call is here (or will never come). */
static void on_first_message(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    pthread_mutex_lock(&call->lock);
    call->receiving = false;
    call->incoming_ready = ok && call->incoming;
    call->receive_ended = !call->incoming_ready;
    pthread_mutex_unlock(&call->lock);
    dispatch(call);
    rpc_call_unreference(call);
}

/* Cancelled by the peer, its deadline or its death; also at a normal end: only the flag tells. */
static void on_close(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    (void)ok;
    pthread_mutex_lock(&call->lock);
    call->cancelled = call->closed_cancelled != 0;
    call->ended = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

static void start_call(struct cap_rpc_call *call)
{
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    close.data.recv_close_on_server.cancelled = &call->closed_cancelled;
    call->on_end = (struct call_tag){{on_close}, call};
    pthread_mutex_lock(&call->lock);
    rpc_call_batch_locked(call, &close, 1, &call->on_end);
    if (call->binding && one_request(call->method)) {
        /* no second message is ever received on such a call */
        call->on_receive = (struct call_tag){{on_first_message}, call};
        rpc_call_start_receive_locked(call);
    }
    pthread_mutex_unlock(&call->lock);
}

static void find_binding(struct cap_rpc_call *call)
{
    static const struct cap_rpc_method unknown = {.path = "unknown method"};
    grpc_slice path = call->details.method;

    call->binding = cap_map_get_n(call->server->bindings, (const char *)GRPC_SLICE_START_PTR(path),
                                  GRPC_SLICE_LENGTH(path));
    call->method = call->binding ? call->binding->method : &unknown;
}

static void make_live(struct cap_rpc_server *server, struct cap_rpc_call *call)
{
    pthread_mutex_lock(&server->lock);
    call->live_next = server->live;
    if (server->live)
        server->live->live_previous = call;
    server->live = call;
    server->live_count++;
    pthread_mutex_unlock(&server->lock);
}

static void accept_one(struct cap_rpc_server *server);

static void on_accept(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call =
        (struct cap_rpc_call *)((char *)tag - offsetof(struct cap_rpc_call, on_accept));
    struct cap_err err = {0};

    if (!ok) { /* the server is shutting down: an empty slot comes back */
        rpc_call_unreference(call);
        return;
    }
    make_live(call->server, call);
    accept_one(call->server);
    call->deadline = call->details.deadline;
    call->accepted_at = gpr_now(GPR_CLOCK_MONOTONIC);
    call->in_metadata_ready = true;
    call->peer = grpc_call_get_peer(call->grpc);
    find_binding(call);
    start_call(call);
    if (!call->binding) {
        cap_fail(&err, CAP_UNIMPLEMENTED, "there is no method %.*s",
                 (int)GRPC_SLICE_LENGTH(call->details.method),
                 (const char *)GRPC_SLICE_START_PTR(call->details.method));
        refuse(call, &err);
    } else if (!one_request(call->method)) {
        dispatch(call);
    }
}

static void accept_one(struct cap_rpc_server *server)
{
    struct cap_rpc_call *call = rpc_call_new();

    call->server = server;
    call->send_mark_bytes = server->options.send_mark_bytes;
    call->arena_bytes_max = server->options.arena_bytes_max;
    call->on_accept.on_event = on_accept;
    if (grpc_server_request_call(server->grpc, &call->grpc, &call->details, &call->in_metadata,
                                 server->poller.queue, server->poller.queue,
                                 &call->on_accept) != GRPC_CALL_OK)
        rpc_call_unreference(call);
}

void cap_rpc_server_start(struct cap_rpc_server *server)
{
    rpc_health_add(server->health, server);
    for (size_t i = 0; i < server->service_count; i++)
        rpc_health_set(server->health, server->services[i], true);
    rpc_health_set(server->health, "", true);
    grpc_server_start(server->grpc);
    server->started = true;
    for (int i = 0; i < ACCEPT_SLOTS; i++)
        accept_one(server);
}

/* ---- drain ---- */

static void on_shutdown(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_server *server =
        (struct cap_rpc_server *)((char *)tag - offsetof(struct cap_rpc_server, on_shutdown));

    (void)ok;
    pthread_mutex_lock(&server->lock);
    server->shut_down = true;
    pthread_cond_broadcast(&server->call_gone);
    pthread_mutex_unlock(&server->lock);
}

/* Waits until no call lives; false when grace_ms passed first (negative: wait for ever). */
static bool wait_for_calls(struct cap_rpc_server *server, int64_t grace_ms)
{
    int64_t until = cap_clock_wall_ms(cap_clock_system()) + grace_ms;
    struct timespec deadline = {until / 1000, (until % 1000) * 1000000};
    bool gone;

    pthread_mutex_lock(&server->lock);
    while (server->live_count > 0) {
        if (grace_ms < 0)
            pthread_cond_wait(&server->call_gone, &server->lock);
        else if (pthread_cond_timedwait(&server->call_gone, &server->lock, &deadline) != 0)
            break;
    }
    gone = server->live_count == 0;
    pthread_mutex_unlock(&server->lock);
    return gone;
}

static void stop_workers(struct cap_rpc_server *server)
{
    pthread_mutex_lock(&server->lock);
    while (!server->shut_down)
        pthread_cond_wait(&server->call_gone, &server->lock);
    server->stopping = true;
    pthread_cond_broadcast(&server->work_came);
    pthread_mutex_unlock(&server->lock);
    for (int i = 0; i < server->worker_count; i++)
        pthread_join(server->workers[i], NULL);
}

bool cap_rpc_server_drain(struct cap_rpc_server *server, int64_t grace_ms)
{
    bool clean;

    if (server->draining)
        return true;
    server->draining = true;
    rpc_health_drain(server->health);
    server->on_shutdown.on_event = on_shutdown;
    grpc_server_shutdown_and_notify(server->grpc, server->poller.queue, &server->on_shutdown);
    clean = wait_for_calls(server, grace_ms);
    if (!clean) {
        grpc_server_cancel_all_calls(server->grpc);
        wait_for_calls(server, -1);
    }
    stop_workers(server);
    return clean;
}

/* ---- what a handler asks ---- */

void *cap_rpc_self(struct cap_rpc_call *call)
{
    return call->binding->self;
}

const char *cap_rpc_peer(struct cap_rpc_call *call)
{
    return call->peer;
}

void cap_rpc_detail(struct cap_rpc_call *call, const ProtobufCMessage *detail)
{
    if (call->detail_count == METADATA_MAX)
        return;
    if (!call->detail_messages)
        call->detail_messages = calloc(METADATA_MAX, sizeof *call->detail_messages);
    if (!call->detail_messages)
        abort();
    call->detail_messages[call->detail_count++] = detail;
}

void cap_rpc_header(struct cap_rpc_call *call, const char *key, const void *value, size_t length)
{
    pthread_mutex_lock(&call->lock);
    if (!call->headers_sent && call->out_metadata_count < METADATA_MAX)
        rpc_set_metadata(&call->out_metadata[call->out_metadata_count++], key, value, length);
    pthread_mutex_unlock(&call->lock);
}

void cap_rpc_trailer(struct cap_rpc_call *call, const char *key, const void *value, size_t length)
{
    pthread_mutex_lock(&call->lock);
    if (call->out_trailer_count < METADATA_MAX)
        rpc_set_metadata(&call->out_trailers[call->out_trailer_count++], key, value, length);
    pthread_mutex_unlock(&call->lock);
}
