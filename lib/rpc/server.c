/* A server: what it offers, where it listens, how it accepts calls and how it drains.
 *
 * The poller accepts calls and starts their batches. A call is refused before its message is read
 * when nobody has its method, when it is a stream above its share (shares.c), or when every worker
 * is busy and the queue is full. The poller itself runs only the inline handlers; other calls go
 * through a bounded queue to workers (handler.c), which run them.
 *
 * A drain first tells health watchers, then refuses new calls, waits for those that live, cancels
 * what is left after the grace, and waits again, without limit: a handler must look at
 * cap_rpc_cancelled, or at what receive and send return.
 */
#include <assert.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "rpc/inside.h"

enum {
    ACCEPT_SLOTS = 4, /* more did not help */
    WORKERS_MAX_DEFAULT = 64,
    QUEUE_MAX_DEFAULT = 256,
    STREAMS_PER_CONNECTION_MAX = 1024,
    MIN_PING_MS_DEFAULT = 10000,
};

/* ---- life ---- */

static void fill_defaults(struct cap_rpc_server_options *o)
{
    o->workers_max = o->workers_max ? o->workers_max : WORKERS_MAX_DEFAULT;
    o->queue_max = o->queue_max ? o->queue_max : QUEUE_MAX_DEFAULT;
    rpc_shares_fill_defaults(o);
    o->receive_bytes_max = o->receive_bytes_max ? o->receive_bytes_max : RECEIVE_BYTES_MAX_DEFAULT;
    o->arena_bytes_max = o->arena_bytes_max ? o->arena_bytes_max : ARENA_BYTES_MAX_DEFAULT;
    o->send_mark_bytes = o->send_mark_bytes ? o->send_mark_bytes : SEND_MARK_DEFAULT;
    o->min_ping_ms = o->min_ping_ms ? o->min_ping_ms : MIN_PING_MS_DEFAULT;
    o->keepalive_ms = o->keepalive_ms ? o->keepalive_ms : KEEPALIVE_MS_DEFAULT;
}

static grpc_server *create_grpc_server(const struct cap_rpc_server_options *o)
{
    grpc_arg args[] = {
        rpc_integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)o->receive_bytes_max),
        /* with it on, a second server would bind the same port without a word */
        rpc_integer_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        rpc_integer_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_PER_CONNECTION_MAX),
        /* a client that pings more often than this is sent away ("Too many pings") */
        rpc_integer_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, o->min_ping_ms),
        rpc_integer_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        /* a machine that vanishes sends no FIN: our own pings find out */
        rpc_integer_arg(GRPC_ARG_KEEPALIVE_TIME_MS, o->keepalive_ms),
        rpc_integer_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
        rpc_integer_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
    };
    grpc_channel_args list = {CAP_COUNT_OF(args), args};

    return grpc_server_create(&list, NULL);
}

struct cap_rpc_server *cap_rpc_server_new(const struct cap_rpc_server_options *options)
{
    struct cap_rpc_server *server = calloc(1, sizeof *server);

    if (!server)
        abort();
    if (options)
        server->options = *options;
    fill_defaults(&server->options);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->work_came, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->queue_tail = &server->queue_head;
    server->bindings = cap_map_new();
    server->connection_streams = cap_map_new();
    server->workers = calloc((size_t)server->options.workers_max, sizeof *server->workers);
    if (!server->workers)
        abort();
    server->grpc = create_grpc_server(&server->options);
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
    cap_map_free(server->connection_streams);
    rpc_health_free(server->health);
    free(server->workers);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->work_came);
    pthread_cond_destroy(&server->changed);
    free(server);
}

/* ---- what it offers ---- */

void cap_rpc_server_add(struct cap_rpc_server *server, const struct cap_rpc_service *service,
                        const void *handlers, void *self)
{
    assert(server->service_count < SERVICES_MAX);
    server->services[server->service_count++] = service->name;
    for (size_t i = 0; i < service->method_count; i++) {
        struct rpc_binding *binding = calloc(1, sizeof *binding);

        if (!binding)
            abort();
        *binding = (struct rpc_binding){&service->methods[i], handlers, self, false};
        free(cap_map_put(server->bindings, service->methods[i].path, binding));
    }
}

void cap_rpc_server_inline(struct cap_rpc_server *server, const char *path)
{
    struct rpc_binding *binding = cap_map_get(server->bindings, path);

    assert(binding && binding->method->kind == CAP_RPC_UNARY);
    binding->is_inline = true;
}

bool cap_rpc_server_listen(struct cap_rpc_server *server, const char *address, int *out_port,
                           struct cap_err *err)
{
    /* the place for TLS: other credentials here and in client.c */
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

void cap_rpc_server_start(struct cap_rpc_server *server)
{
    rpc_health_add(server->health, server); /* the place for reflection: one more such service */
    for (size_t i = 0; i < server->service_count; i++)
        rpc_health_set(server->health, server->services[i], true);
    rpc_health_set(server->health, "", true);
    grpc_server_start(server->grpc);
    for (int i = 0; i < ACCEPT_SLOTS; i++)
        rpc_accept_one(server);
}

/* ---- drain ---- */

void rpc_server_forget(struct cap_rpc_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->live_calls--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void on_shutdown(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_server *server =
        (struct cap_rpc_server *)((char *)tag - offsetof(struct cap_rpc_server, on_shutdown));

    (void)ok;
    pthread_mutex_lock(&server->lock);
    server->shut_down = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

/* Waits until no call lives and gRPC has let go of every connection. After the grace, both are
 * forced: a client that is silent would hold its connection for long. */
static bool wait_until_empty_locked(struct cap_rpc_server *server, int64_t grace_ms)
{
    int64_t end_ms = cap_clock_ms(cap_clock_system()) + grace_ms, left_ms = grace_ms;
    bool clean;

    while ((server->live_calls > 0 || !server->shut_down) && left_ms > 0) {
        cap_wait_ms(&server->changed, &server->lock, left_ms);
        left_ms = end_ms - cap_clock_ms(cap_clock_system());
    }
    clean = server->live_calls == 0;
    if (clean && server->shut_down)
        return true;
    pthread_mutex_unlock(&server->lock);
    grpc_server_cancel_all_calls(server->grpc);
    pthread_mutex_lock(&server->lock);
    while (server->live_calls > 0 || !server->shut_down)
        pthread_cond_wait(&server->changed, &server->lock);
    return clean;
}

bool cap_rpc_server_drain(struct cap_rpc_server *server, int64_t grace_ms)
{
    bool clean = true;

    pthread_mutex_lock(&server->lock);
    if (server->draining) {
        pthread_mutex_unlock(&server->lock);
        return true;
    }
    server->draining = true;
    pthread_mutex_unlock(&server->lock);
    rpc_health_drain(server->health);
    grpc_server_shutdown_and_notify(server->grpc, server->poller.queue,
                                    rpc_tag_arm(&server->on_shutdown, on_shutdown));
    pthread_mutex_lock(&server->lock);
    clean = wait_until_empty_locked(server, grace_ms);
    pthread_mutex_unlock(&server->lock);
    rpc_workers_stop(server);
    return clean;
}

/* ---- accepting, all of it on the server's poller ---- */

static void refuse_overload(struct cap_rpc_call *call)
{
    struct cap_err err = {0};

    cap_fail(&err, CAP_RESOURCE_EXHAUSTED, "%s: the server is overloaded; try again later",
             call->method->path);
    rpc_handler_refuse(call, &err);
}

static void dispatch(struct cap_rpc_call *call)
{
    if (call->binding->is_inline)
        rpc_handler_run(call);
    else if (!rpc_workers_enqueue(call->server, call))
        refuse_overload(call);
}

/* The only request of a unary or server-streaming call is here, or will never come. */
static void on_request(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;
    struct cap_err err = {0};
    bool ready;

    pthread_mutex_lock(&call->lock);
    ready = rpc_receive_note_locked(call, ok);
    pthread_mutex_unlock(&call->lock);
    if (ready) {
        dispatch(call);
    } else {
        cap_fail(&err, CAP_CANCELLED, "the request never arrived");
        rpc_handler_refuse(call, &err);
    }
    rpc_call_unreference(call);
}

/* Cancelled by the peer, its deadline or its death; also at a normal end: only the flag tells. */
static void on_close(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    (void)ok;
    pthread_mutex_lock(&call->lock);
    call->cancelled = call->cancelled || call->closed_cancelled != 0;
    call->ended = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

/* First of all batches, and alone in its batch: otherwise nobody would tell us of a cancellation
 * before the handler is done. */
static void watch_close(struct cap_rpc_call *call)
{
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    close.data.recv_close_on_server.cancelled = &call->closed_cancelled;
    pthread_mutex_lock(&call->lock);
    rpc_call_batch_locked(call, &close, 1, &call->on_end, on_close);
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

static void refuse_unknown(struct cap_rpc_call *call)
{
    struct cap_err err = {0};

    cap_fail(&err, CAP_UNIMPLEMENTED, "unknown method %.*s",
             (int)GRPC_SLICE_LENGTH(call->details.method),
             (const char *)GRPC_SLICE_START_PTR(call->details.method));
    rpc_handler_refuse(call, &err);
}

static void read_request(struct cap_rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    rpc_receive_start_locked(call, on_request);
    pthread_mutex_unlock(&call->lock);
}

static void on_accept(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call =
        (struct cap_rpc_call *)((char *)tag - offsetof(struct cap_rpc_call, on_accept));
    struct cap_rpc_server *server = call->server;
    struct cap_err no_share = {0};

    if (!ok) { /* the server is shutting down: an empty slot comes back */
        rpc_call_unreference(call);
        return;
    }
    pthread_mutex_lock(&server->lock);
    server->live_calls++;
    pthread_mutex_unlock(&server->lock);
    rpc_accept_one(server);
    call->accepted_at = gpr_now(GPR_CLOCK_MONOTONIC);
    call->in_headers_ready = true;
    call->peer = grpc_call_get_peer(call->grpc);
    find_binding(call);
    watch_close(call);
    if (!call->binding)
        refuse_unknown(call);
    else if (call->method->kind != CAP_RPC_UNARY && !rpc_share_take(call, &no_share))
        rpc_handler_refuse(call, &no_share);
    else if (!rpc_has_one_request(call->method))
        dispatch(call);
    else if (!call->binding->is_inline && rpc_workers_full(server))
        refuse_overload(call);
    else
        read_request(call);
}

void rpc_accept_one(struct cap_rpc_server *server)
{
    struct cap_rpc_call *call = rpc_call_new();

    call->server = server;
    call->send_mark_bytes = server->options.send_mark_bytes;
    if (grpc_server_request_call(server->grpc, &call->grpc, &call->details, &call->in_headers,
                                 server->poller.queue, server->poller.queue,
                                 rpc_tag_arm(&call->on_accept, on_accept)) != GRPC_CALL_OK)
        rpc_call_unreference(call); /* shut down in between */
}
