/* Who may hold how much of a server: a stream holds its worker for as long as it lives, so one
 * client with idle streams could keep every worker, and nothing else would be served.
 *
 * Three limits, all counted from the moment a stream is accepted until its handler is done:
 *
 *     streams_max              of all streams together; the other workers are left to unary calls
 *     connection_streams_max   of the streams of one connection
 *     watchers_max             of Health.Watch, whose handlers only wait
 *
 * A stream above the last two is refused at once (RESOURCE_EXHAUSTED, with the limit in the
 * sentence). Above the first, the stream that has waited longest for its client to say something is
 * ended in its favour, if it waited stream_idle_ms or more. A client that works keeps its place,
 * one that only holds it loses it to those who ask. The scheduler gives nodes, which beat every 3
 * s, longer.
 *
 * server->lock guards the list and the counts. A call stays in the list until its handler is done,
 * so its grpc_call may be cancelled under that lock; gRPC tells of the cancellation on the poller.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "rpc/inside.h"

enum { STREAM_IDLE_MS_DEFAULT = 2000 };

#define EVICTED "the stream was idle while other calls waited for its place"

void rpc_shares_fill_defaults(struct cap_rpc_server_options *o)
{
    int workers = o->workers_max;

    if (!o->streams_max)
        o->streams_max = workers - workers / 4;
    if (!o->connection_streams_max)
        o->connection_streams_max = workers < 8 ? 4 : workers / 2;
    if (!o->watchers_max)
        o->watchers_max = workers < 16 ? 2 : workers / 8;
    if (!o->stream_idle_ms)
        o->stream_idle_ms = STREAM_IDLE_MS_DEFAULT;
}

/* The peer's name tells connections apart by their port; of a Unix socket it does not. */
const char *rpc_connection_of(const struct cap_rpc_call *call)
{
    return call->peer && strncmp(call->peer, "ipv", 3) == 0 ? call->peer : "";
}

static bool is_watch(const struct cap_rpc_call *call)
{
    return strcmp(call->method->path, "/grpc.health.v1.Health/Watch") == 0;
}

/* ---- counts ---- */

static int count_of_locked(struct cap_rpc_server *server, const char *connection)
{
    return *connection ? (int)(intptr_t)cap_map_get(server->connection_streams, connection) : 0;
}

static void add_to_count_locked(struct cap_rpc_server *server, const char *connection, int change)
{
    int count = count_of_locked(server, connection) + change;

    if (!*connection)
        return;
    if (count > 0)
        cap_map_put(server->connection_streams, connection, (void *)(intptr_t)count);
    else
        cap_map_remove(server->connection_streams, connection);
}

static void add_locked(struct cap_rpc_server *server, struct cap_rpc_call *call)
{
    call->holds_share = true;
    call->share_next = server->streams;
    call->share_link = &server->streams;
    if (server->streams)
        server->streams->share_link = &call->share_next;
    server->streams = call;
    server->stream_count++;
    server->watcher_count += is_watch(call);
    add_to_count_locked(server, rpc_connection_of(call), 1);
}

static void remove_locked(struct cap_rpc_server *server, struct cap_rpc_call *call)
{
    call->holds_share = false;
    *call->share_link = call->share_next;
    if (call->share_next)
        call->share_next->share_link = call->share_link;
    server->stream_count--;
    server->watcher_count -= is_watch(call);
    add_to_count_locked(server, rpc_connection_of(call), -1);
}

/* ---- idle streams ---- */

void rpc_share_idle(struct cap_rpc_call *call)
{
    atomic_store(&call->idle_since_ms, cap_clock_ms(cap_clock_system()));
}

void rpc_share_busy(struct cap_rpc_call *call)
{
    atomic_store(&call->idle_since_ms, 0);
}

/* Ends the stream that has been idle the longest; its place is free from now on, although its
 * worker needs a moment to notice. */
static bool evict_locked(struct cap_rpc_server *server)
{
    int64_t oldest_ms = cap_clock_ms(cap_clock_system()) - server->options.stream_idle_ms;
    struct cap_rpc_call *idle = NULL;

    for (struct cap_rpc_call *call = server->streams; call; call = call->share_next) {
        int64_t since_ms = atomic_load(&call->idle_since_ms);

        if (since_ms != 0 && since_ms <= oldest_ms) {
            oldest_ms = since_ms;
            idle = call;
        }
    }
    if (!idle)
        return false;
    remove_locked(server, idle);
    grpc_call_cancel_with_status(idle->grpc, GRPC_STATUS_RESOURCE_EXHAUSTED, EVICTED, NULL);
    return true;
}

/* ---- taking and giving back ---- */

bool rpc_share_take(struct cap_rpc_call *call, struct cap_err *err)
{
    struct cap_rpc_server *server = call->server;
    const struct cap_rpc_server_options *o = &server->options;
    const char *path = call->method->path, *connection = rpc_connection_of(call);

    rpc_share_idle(call); /* until its handler runs */
    pthread_mutex_lock(&server->lock);
    if (count_of_locked(server, connection) >= o->connection_streams_max)
        cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                 "%s: this connection has %d open streams already, the most", path,
                 o->connection_streams_max);
    else if (is_watch(call) && server->watcher_count >= o->watchers_max)
        cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                 "%s: %d watchers are connected already, the most; call Check instead", path,
                 o->watchers_max);
    else if (server->stream_count >= o->streams_max && !evict_locked(server))
        cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                 "%s: the server has %d open streams already, the most; try again later", path,
                 o->streams_max);
    else
        add_locked(server, call);
    pthread_mutex_unlock(&server->lock);
    return err->code == CAP_OK;
}

void rpc_share_give(struct cap_rpc_call *call)
{
    struct cap_rpc_server *server = call->server;

    pthread_mutex_lock(&server->lock);
    if (call->holds_share)
        remove_locked(server, call);
    pthread_mutex_unlock(&server->lock);
}
