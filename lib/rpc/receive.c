/* Receiving is a queue as well: the poller itself asks for the next message until RECEIVE_MARK
 * bytes wait here, so that a stream of small ones costs its reader no thread switch each. Beyond
 * the mark gRPC's flow control slows the sender. A message's memory is an arena that the next
 * message resets, so that long streams stay flat. */
#include "base/wait.h"
#include "rpc/inside.h"

static bool more_may_follow(const struct cap_rpc_call *call)
{
    return call->server ? !rpc_has_one_request(call->method) : !rpc_has_one_reply(call->method);
}

static void on_receive(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    pthread_mutex_lock(&call->lock);
    if (rpc_receive_note_locked(call, ok) && more_may_follow(call))
        rpc_receive_start_locked(call, on_receive);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

void rpc_receive_start_locked(struct cap_rpc_call *call, rpc_event *on_event)
{
    grpc_op op = {GRPC_OP_RECV_MESSAGE, 0, NULL, {{0}}};

    if (call->receiving || call->receive_ended || call->in.bytes > RECEIVE_MARK)
        return; /* one at a time, none after the end */
    op.data.recv_message.recv_message = &call->arriving;
    call->receiving = true;
    rpc_call_batch_locked(call, &op, 1, &call->on_receive, on_event);
}

bool rpc_receive_note_locked(struct cap_rpc_call *call, bool ok)
{
    bool came = ok && call->arriving;

    call->receiving = false;
    if (came) {
        rpc_queue_push(&call->in, call->arriving);
        call->arriving = NULL;
    }
    call->receive_ended = !came;
    /* A client that has finished sending and one that has died both end our receiving. The event
     * that tells of the death may come a moment later; the handler must not take the one for the
     * other in between. */
    if (!came && call->server && grpc_call_failed_before_recv_message(call->grpc))
        call->cancelled = true;
    pthread_cond_broadcast(&call->changed);
    return came;
}

/* Reads on after the only message of a unary side, too: then the end is what comes. */
grpc_byte_buffer *rpc_receive_bytes(struct cap_rpc_call *call)
{
    grpc_byte_buffer *bytes = NULL;

    pthread_mutex_lock(&call->lock);
    if (!call->in.head)
        rpc_receive_start_locked(call, on_receive);
    rpc_share_idle(call);
    while (!call->in.head && call->receiving && !call->cancelled)
        pthread_cond_wait(&call->changed, &call->lock);
    rpc_share_busy(call);
    if (!call->cancelled)
        bytes = rpc_queue_pop(&call->in);
    if (bytes && more_may_follow(call))
        rpc_receive_start_locked(call, on_receive);
    pthread_mutex_unlock(&call->lock);
    return bytes;
}

bool cap_rpc_wait(struct cap_rpc_call *call, int64_t wait_ms)
{
    struct timespec end = cap_wait_end(wait_ms);
    bool due;

    pthread_mutex_lock(&call->lock);
    if (!call->in.head)
        rpc_receive_start_locked(call, on_receive);
    while (!(due = call->in.head || !call->receiving || call->cancelled))
        if (!cap_wait_until(&call->changed, &call->lock, &end))
            break;
    pthread_mutex_unlock(&call->lock);
    return due;
}

/* The stream ends here: a server's handler gets NULL and its call this status; a client's call is
 * cancelled and says it when closed. */
static void fail_call(struct cap_rpc_call *call, const struct cap_err *why)
{
    pthread_mutex_lock(&call->lock);
    call->failure = *why;
    pthread_mutex_unlock(&call->lock);
    if (!call->server)
        cap_rpc_cancel(call);
}

ProtobufCMessage *cap_rpc_receive(struct cap_rpc_call *call)
{
    const struct cap_rpc_method *method = call->method;
    struct cap_err err = {0};
    grpc_byte_buffer *bytes;
    ProtobufCMessage *message = NULL;

    if (call->failure.code != CAP_OK || !(bytes = rpc_receive_bytes(call)))
        return NULL;
    if (call->message_arena)
        cap_arena_reset(call->message_arena);
    else
        call->message_arena = cap_arena_new(ARENA_BYTES_MAX_DEFAULT);
    rpc_memory_give(&call->message_held, 0);
    if (!call->server || rpc_memory_take(grpc_byte_buffer_length(bytes), &call->message_held, &err))
        message = rpc_unpack(call->server ? method->request : method->reply, call->message_arena,
                             bytes, &err);
    grpc_byte_buffer_destroy(bytes);
    rpc_memory_give(&call->message_held, cap_arena_used(call->message_arena));
    if (!message)
        fail_call(call, &err);
    return message;
}
