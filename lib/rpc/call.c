/* What both sides of a call share: references, the send queue, receiving, cancellation. */
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/internal.h"

/* ---- life ---- */

static void on_send(struct rpc_tag *tag, bool ok);
static void on_receive(struct rpc_tag *tag, bool ok);

struct cap_rpc_call *rpc_call_new(void)
{
    struct cap_rpc_call *call = calloc(1, sizeof *call);

    if (!call)
        abort();
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->changed, NULL);
    call->references = 1;
    call->out_tail = &call->out_head;
    call->on_send = (struct call_tag){{on_send}, call};
    call->on_receive = (struct call_tag){{on_receive}, call};
    call->status_text = call->status_details = call->status_message = grpc_empty_slice();
    grpc_metadata_array_init(&call->in_metadata);
    grpc_metadata_array_init(&call->in_trailers);
    grpc_call_details_init(&call->details);
    return call;
}

static void drop_queue(struct cap_rpc_call *call)
{
    struct rpc_out *out = call->out_head;

    while (out) {
        struct rpc_out *next = out->next;

        grpc_byte_buffer_destroy(out->bytes);
        free(out);
        out = next;
    }
    call->out_head = NULL;
    call->out_tail = &call->out_head;
    call->out_bytes = 0;
}

static void free_metadata(grpc_metadata *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(list[i].key);
        grpc_slice_unref(list[i].value);
    }
}

static void free_call(struct cap_rpc_call *call)
{
    drop_queue(call);
    if (call->sending)
        grpc_byte_buffer_destroy(call->sending);
    if (call->incoming)
        grpc_byte_buffer_destroy(call->incoming);
    free_metadata(call->out_metadata, call->out_metadata_count);
    free_metadata(call->out_trailers, call->out_trailer_count);
    grpc_slice_unref(call->status_text);
    grpc_slice_unref(call->status_details);
    grpc_slice_unref(call->status_message);
    grpc_metadata_array_destroy(&call->in_metadata);
    grpc_metadata_array_destroy(&call->in_trailers);
    grpc_call_details_destroy(&call->details);
    gpr_free(call->peer);
    if (call->grpc)
        grpc_call_unref(call->grpc);
    cap_arena_free(call->message_arena);
    cap_arena_free(call->arena);
    free(call->detail_messages);
    pthread_mutex_destroy(&call->lock);
    pthread_cond_destroy(&call->changed);
    free(call);
}

void rpc_call_unreference(struct cap_rpc_call *call)
{
    struct cap_rpc_server *server;
    bool last;

    pthread_mutex_lock(&call->lock);
    last = --call->references == 0;
    server = call->grpc ? call->server : NULL;
    pthread_mutex_unlock(&call->lock);
    if (!last)
        return;
    if (server)
        rpc_server_forget(server, call);
    free_call(call);
}

void rpc_call_batch_locked(struct cap_rpc_call *call, const grpc_op *ops, size_t count,
                           struct call_tag *tag)
{
    call->references++;
    /* an error here is a mistake of this layer, never of a peer */
    if (grpc_call_start_batch(call->grpc, ops, count, &tag->tag, NULL) != GRPC_CALL_OK)
        abort();
}

/* ---- sending ---- */

static size_t add_headers(struct cap_rpc_call *call, grpc_op *op)
{
    if (call->headers_sent)
        return 0;
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    op->data.send_initial_metadata.count = call->out_metadata_count;
    op->data.send_initial_metadata.metadata = call->out_metadata;
    op->flags = call->header_flags;
    call->headers_sent = true;
    return 1;
}

static size_t add_message(struct cap_rpc_call *call, grpc_op *op)
{
    struct rpc_out *out = call->out_head;

    if (!out)
        return 0;
    call->out_head = out->next;
    if (!call->out_head)
        call->out_tail = &call->out_head;
    call->out_bytes -= out->length;
    call->sending = out->bytes;
    free(out);
    op->op = GRPC_OP_SEND_MESSAGE;
    op->flags = call->out_head ? GRPC_WRITE_BUFFER_HINT : 0;
    op->data.send_message.send_message = call->sending;
    return 1;
}

static size_t add_status(struct cap_rpc_call *call, grpc_op *op)
{
    if (!call->finish_wanted || call->finish_sent || call->out_head)
        return 0;
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op->data.send_status_from_server.status = (grpc_status_code)call->status.code;
    op->data.send_status_from_server.trailing_metadata = call->out_trailers;
    op->data.send_status_from_server.trailing_metadata_count = call->out_trailer_count;
    op->data.send_status_from_server.status_details = &call->status_text;
    call->finish_sent = true;
    return 1;
}

static size_t add_half_close(struct cap_rpc_call *call, grpc_op *op)
{
    if (!call->half_close_wanted || call->half_close_sent || call->out_head)
        return 0;
    op->op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    call->half_close_sent = true;
    return 1;
}

void rpc_call_pump_locked(struct cap_rpc_call *call)
{
    grpc_op ops[4];
    size_t count = 0;

    if (call->send_busy)
        return;
    if (call->send_broken)
        drop_queue(call);
    memset(ops, 0, sizeof ops);
    /* headers alone only when nothing else will carry them: the client's go out at once */
    if (call->out_head || call->finish_wanted || !call->server)
        count += add_headers(call, &ops[count]);
    count += add_message(call, &ops[count]);
    count += call->server ? add_status(call, &ops[count]) : add_half_close(call, &ops[count]);
    if (count == 0)
        return;
    call->send_busy = true;
    rpc_call_batch_locked(call, ops, count, &call->on_send);
}

static void on_send(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    pthread_mutex_lock(&call->lock);
    if (call->sending)
        grpc_byte_buffer_destroy(call->sending);
    call->sending = NULL;
    call->send_busy = false;
    call->send_broken = call->send_broken || !ok;
    rpc_call_pump_locked(call);
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

static bool may_send(const struct cap_rpc_call *call)
{
    return !call->send_broken && !call->cancelled && !call->ended && !call->finish_wanted &&
           !call->half_close_wanted;
}

static void append_out(struct cap_rpc_call *call, grpc_byte_buffer *bytes)
{
    struct rpc_out *out = malloc(sizeof *out);

    if (!out)
        abort();
    *out = (struct rpc_out){NULL, bytes, grpc_byte_buffer_length(bytes)};
    *call->out_tail = out;
    call->out_tail = &out->next;
    call->out_bytes += out->length;
}

bool cap_rpc_send(struct cap_rpc_call *call, const ProtobufCMessage *message)
{
    grpc_byte_buffer *bytes = rpc_pack(message);
    bool taken;

    pthread_mutex_lock(&call->lock);
    while (may_send(call) && call->out_bytes > call->send_mark_bytes)
        pthread_cond_wait(&call->changed, &call->lock);
    taken = may_send(call);
    if (taken) {
        append_out(call, bytes);
        rpc_call_pump_locked(call);
    }
    pthread_mutex_unlock(&call->lock);
    if (!taken)
        grpc_byte_buffer_destroy(bytes);
    return taken;
}

/* ---- receiving ---- */

void rpc_call_start_receive_locked(struct cap_rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    if (call->receiving || call->incoming_ready || call->receive_ended)
        return;
    op.data.recv_message.recv_message = &call->incoming;
    call->receiving = true;
    rpc_call_batch_locked(call, &op, 1, &call->on_receive);
}

static void on_receive(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    pthread_mutex_lock(&call->lock);
    call->receiving = false;
    if (ok && call->incoming)
        call->incoming_ready = true;
    else
        call->receive_ended = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

grpc_byte_buffer *rpc_call_take_bytes(struct cap_rpc_call *call)
{
    grpc_byte_buffer *bytes = NULL;

    pthread_mutex_lock(&call->lock);
    rpc_call_start_receive_locked(call);
    while (!call->incoming_ready && !call->receive_ended && !call->cancelled)
        pthread_cond_wait(&call->changed, &call->lock);
    if (call->incoming_ready && !call->cancelled) {
        bytes = call->incoming;
        call->incoming = NULL;
        call->incoming_ready = false;
        /* read ahead by one, but not behind the only message of a unary request or reply */
        if (call->method->kind == CAP_RPC_BIDI ||
            call->method->kind == (call->server ? CAP_RPC_CLIENT_STREAM : CAP_RPC_SERVER_STREAM))
            rpc_call_start_receive_locked(call);
    }
    pthread_mutex_unlock(&call->lock);
    return bytes;
}

ProtobufCMessage *cap_rpc_receive(struct cap_rpc_call *call)
{
    const struct cap_rpc_method *method = call->method;
    grpc_byte_buffer *bytes = rpc_call_take_bytes(call);
    ProtobufCMessage *message;
    struct cap_err err = {0};

    if (!bytes)
        return NULL;
    cap_arena_free(call->message_arena);
    call->message_arena =
        cap_arena_new(rpc_arena_limit(call->arena_bytes_max, grpc_byte_buffer_length(bytes)));
    message = rpc_unpack(call->server ? method->request : method->reply, call->message_arena, bytes,
                         &err);
    grpc_byte_buffer_destroy(bytes);
    if (!message) {
        pthread_mutex_lock(&call->lock);
        call->failure = err;
        pthread_mutex_unlock(&call->lock);
        cap_rpc_cancel(call);
    }
    return message;
}

/* ---- state ---- */

bool cap_rpc_cancelled(struct cap_rpc_call *call)
{
    bool cancelled;

    pthread_mutex_lock(&call->lock);
    cancelled = call->cancelled;
    pthread_mutex_unlock(&call->lock);
    return cancelled;
}

void cap_rpc_cancel(struct cap_rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    if (!call->server || call->failure.code == CAP_OK)
        grpc_call_cancel(call->grpc, NULL);
    call->cancelled = call->cancelled || call->server == NULL;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

int64_t cap_rpc_time_left_ms(struct cap_rpc_call *call)
{
    gpr_timespec deadline = gpr_convert_clock_type(call->deadline, GPR_CLOCK_MONOTONIC);
    gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);

    if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return INT64_MAX;
    if (gpr_time_cmp(deadline, now) <= 0)
        return 0;
    return (int64_t)(gpr_timespec_to_micros(gpr_time_sub(deadline, now)) / 1000.0);
}

const char *cap_rpc_metadata(struct cap_rpc_call *call, const char *key, size_t *out_length)
{
    const char *value = NULL;
    size_t length = 0;

    pthread_mutex_lock(&call->lock);
    if (call->in_metadata_ready)
        value = rpc_find_metadata(&call->in_metadata, key, &length);
    if (value && !call->arena)
        call->arena = cap_arena_new(ARENA_BYTES_MIN);
    if (value)
        value = cap_arena_strndup(call->arena, value, length);
    pthread_mutex_unlock(&call->lock);
    if (value && out_length)
        *out_length = length;
    return value;
}

struct cap_arena *cap_rpc_arena(struct cap_rpc_call *call)
{
    return call->arena;
}
