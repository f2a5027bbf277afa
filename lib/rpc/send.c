/* Sending is a queue: one message is in gRPC's hands at a time, the rest waits here. A write is
 * marked with BUFFER_HINT while another is behind it, so that small messages share a packet:
 * waiting for each write instead costs ten times the CPU a message. Header, messages and end travel
 * in as few batches as there are moments with something to send. */
#include <string.h>

#include "rpc/inside.h"

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
