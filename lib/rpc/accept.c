/* Accepting calls; all of it on the server's poller. A call is refused before its message is read
 * when nobody has its method or every worker is busy and the queue full. */
#include <grpc/support/time.h>
#include <string.h>

#include "base/map.h"
#include "rpc/internal.h"

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
        cap_fail(&err, CAP_CANCELLED, "the request never came");
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

    cap_fail(&err, CAP_UNIMPLEMENTED, "there is no method %.*s",
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
    call->deadline = call->details.deadline;
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
