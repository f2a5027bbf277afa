/* The messages of a call: two queues, one each way.
 *
 * Sending. One message is in gRPC's hands at a time, the rest waits here. A write is marked with
 * BUFFER_HINT while another is behind it, so that small messages share a packet: waiting for each
 * write instead costs ten times the CPU a message. Header, messages and end travel in as few
 * batches as there are moments with something to send.
 *
 * Receiving. The poller itself asks for the next message until RECEIVE_MARK bytes wait here, so
 * that a stream of small ones costs its reader no thread switch each. Beyond the mark gRPC's flow
 * control slows the sender. A message's memory is an arena that the next message resets, so that
 * long streams stay flat.
 *
 * Both queues are guarded by the call's lock (inside.h). */
#include <string.h>

#include "base/clock.h"
#include "rpc/inside.h"

/* ==== sending ==== */

/* ---- the next batch ---- */

/* A server's header waits for something to carry it, since cap_rpc_header may still add to it; a
 * client's goes out at once. */
static size_t add_headers(struct cap_rpc_call *call, grpc_op *op)
{
    if (call->headers_sent || (call->server && !call->out.head && !call->finish_wanted))
        return 0;
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    op->data.send_initial_metadata.count = call->headers.count;
    op->data.send_initial_metadata.metadata = call->headers.entries;
    op->flags = call->header_flags;
    call->headers_sent = true;
    return 1;
}

static size_t add_message(struct cap_rpc_call *call, grpc_op *op)
{
    call->sending = rpc_queue_pop(&call->out);
    if (!call->sending)
        return 0;
    op->op = GRPC_OP_SEND_MESSAGE;
    op->flags = call->out.head ? GRPC_WRITE_BUFFER_HINT : 0;
    op->data.send_message.send_message = call->sending;
    return 1;
}

static size_t add_status(struct cap_rpc_call *call, grpc_op *op)
{
    if (!call->finish_wanted || call->finish_sent || call->out.head)
        return 0;
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op->data.send_status_from_server.status = call->status_code;
    op->data.send_status_from_server.trailing_metadata = call->trailers.entries;
    op->data.send_status_from_server.trailing_metadata_count = call->trailers.count;
    op->data.send_status_from_server.status_details = &call->status_text;
    call->finish_sent = true;
    return 1;
}

static size_t add_half_close(struct cap_rpc_call *call, grpc_op *op)
{
    if (!call->half_close_wanted || call->half_close_sent || call->out.head)
        return 0;
    op->op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    call->half_close_sent = true;
    return 1;
}

/* A sender that reached the mark sleeps until half of it is gone: waking it for each message would
 * cost two thread switches a message. */
static bool has_room_again(const struct cap_rpc_call *call)
{
    return call->out.bytes <= call->send_mark_bytes / 2;
}

static void on_send(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    pthread_mutex_lock(&call->lock);
    grpc_byte_buffer_destroy(call->sending);
    call->sending = NULL;
    call->send_busy = false;
    call->send_broken = call->send_broken || !ok;
    rpc_send_pump_locked(call);
    if (call->send_broken || has_room_again(call))
        pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

void rpc_send_pump_locked(struct cap_rpc_call *call)
{
    grpc_op ops[3];
    size_t count = 0;

    if (call->send_busy)
        return;
    if (call->send_broken)
        rpc_queue_drop(&call->out);
    memset(ops, 0, sizeof ops);
    count += add_headers(call, &ops[count]);
    count += add_message(call, &ops[count]);
    count += call->server ? add_status(call, &ops[count]) : add_half_close(call, &ops[count]);
    if (count == 0)
        return;
    call->send_busy = true;
    rpc_call_batch_locked(call, ops, count, &call->on_send, on_send);
}

/* ---- what users call ---- */

static bool may_send(const struct cap_rpc_call *call)
{
    return !call->send_broken && !call->cancelled && !call->ended && !call->finish_wanted &&
           !call->half_close_wanted;
}

bool cap_rpc_send(struct cap_rpc_call *call, const ProtobufCMessage *message)
{
    grpc_byte_buffer *bytes = rpc_pack(message);
    bool taken;

    pthread_mutex_lock(&call->lock);
    if (call->out.bytes > call->send_mark_bytes)
        while (may_send(call) && !has_room_again(call))
            pthread_cond_wait(&call->changed, &call->lock);
    taken = may_send(call);
    if (taken) {
        rpc_queue_push(&call->out, bytes);
        rpc_send_pump_locked(call);
    }
    pthread_mutex_unlock(&call->lock);
    if (!taken)
        grpc_byte_buffer_destroy(bytes);
    return taken;
}

bool cap_rpc_send_done(struct cap_rpc_call *call)
{
    bool ok;

    pthread_mutex_lock(&call->lock);
    call->half_close_wanted = true;
    rpc_send_pump_locked(call);
    ok = !call->send_broken && !call->cancelled && !call->ended;
    pthread_mutex_unlock(&call->lock);
    return ok;
}

/* ==== receiving ==== */

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
    rpc_memory_give(call, &call->message_held, 0);
    if (!call->server ||
        rpc_memory_take(call, grpc_byte_buffer_length(bytes), &call->message_held, &err))
        message = rpc_unpack(call->server ? method->request : method->reply, call->message_arena,
                             bytes, &err);
    grpc_byte_buffer_destroy(bytes);
    rpc_memory_give(call, &call->message_held, cap_arena_used(call->message_arena));
    if (!message)
        fail_call(call, &err);
    return message;
}
