/* A server's life: what it offers, where it listens, how it drains.
 *
 * The poller accepts calls and starts their batches (accept.c); it runs no handler but the inline
 * ones. Other calls go through a bounded queue to workers (workers.c), where handler.c runs them. A
 * drain first tells health watchers, then refuses new calls, waits for those that live, cancels
 * what is left after the grace, and waits again, without limit: a handler must look at
 * cap_rpc_cancelled, or at what receive and send return.
 */
#include <assert.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/wait.h"
#include "rpc/internal.h"

enum {
    ACCEPT_SLOTS = 4, /* more brought nothing */
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
    /* the place for TLS: other credentials here and in channel.c */
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
