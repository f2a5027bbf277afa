/* What both sides of a call share: its life, and what may be asked of it. */
#include <assert.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdlib.h>

#include "rpc/inside.h"

/* ---- life ---- */

struct cap_rpc_call *rpc_call_new(void)
{
    struct cap_rpc_call *call = calloc(1, sizeof *call);

    if (!call)
        abort();
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->changed, NULL);
    call->references = 1;
    rpc_queue_init(&call->out);
    rpc_queue_init(&call->in);
    call->on_send.call = call->on_receive.call = call;
    call->on_headers.call = call->on_end.call = call;
    call->status_text = grpc_empty_slice();
    grpc_metadata_array_init(&call->in_headers);
    grpc_metadata_array_init(&call->in_trailers);
    grpc_call_details_init(&call->details);
    return call;
}

static void free_call(struct cap_rpc_call *call)
{
    rpc_queue_drop(&call->out);
    rpc_queue_drop(&call->in);
    grpc_byte_buffer_destroy(call->sending);
    grpc_byte_buffer_destroy(call->arriving);
    rpc_metadata_done(&call->headers);
    rpc_metadata_done(&call->trailers);
    grpc_slice_unref(call->status_text);
    grpc_metadata_array_destroy(&call->in_headers);
    grpc_metadata_array_destroy(&call->in_trailers);
    grpc_call_details_destroy(&call->details);
    if (call->grpc)
        grpc_call_unref(call->grpc);
    cap_arena_free(call->message_arena);
    cap_arena_free(call->arena);
    rpc_memory_give(call, &call->message_held, 0);
    rpc_memory_give(call, &call->arena_held, 0);
    gpr_free(call->peer);
    pthread_mutex_destroy(&call->lock);
    pthread_cond_destroy(&call->changed);
    free(call);
}

void rpc_call_unreference(struct cap_rpc_call *call)
{
    struct cap_rpc_server *accepted_by;
    bool last;

    pthread_mutex_lock(&call->lock);
    last = --call->references == 0;
    accepted_by = call->grpc ? call->server : NULL; /* an empty slot was never accepted */
    pthread_mutex_unlock(&call->lock);
    if (!last)
        return;
    free_call(call);
    if (accepted_by)
        rpc_server_forget(accepted_by);
}

void rpc_call_batch_locked(struct cap_rpc_call *call, const grpc_op *ops, size_t count,
                           struct call_tag *tag, rpc_event *on_event)
{
    grpc_call_error error =
        grpc_call_start_batch(call->grpc, ops, count, rpc_tag_arm(&tag->tag, on_event), NULL);

    /* an error here is a mistake of this layer, never of a peer */
    if (error != GRPC_CALL_OK)
        abort();
    call->references++;
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
    call->cancelled = true;
    grpc_call_cancel(call->grpc, NULL);
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

/* Header first, then trailer; copied, because the originals are not NUL-terminated. */
static const char *find_locked(struct cap_rpc_call *call, const char *key, size_t *out_length)
{
    enum { CLIENT_COPIES_BYTES_MAX = 64 << 10 };
    const char *value = NULL;

    if (call->in_headers_ready)
        value = rpc_metadata_find(&call->in_headers, key, out_length);
    if (!value && !call->server && call->ended)
        value = rpc_metadata_find(&call->in_trailers, key, out_length);
    if (!value)
        return NULL;
    if (!call->arena)
        call->arena = cap_arena_new(CLIENT_COPIES_BYTES_MAX);
    return cap_arena_strndup(call->arena, value, *out_length);
}

const char *cap_rpc_metadata(struct cap_rpc_call *call, const char *key, size_t *out_length)
{
    const char *value;
    size_t length;

    pthread_mutex_lock(&call->lock);
    /* a stream that has ended is followed by its trailer at once: wait for it */
    while (!call->server && call->receive_ended && !call->ended)
        pthread_cond_wait(&call->changed, &call->lock);
    value = find_locked(call, key, &length);
    pthread_mutex_unlock(&call->lock);
    if (value && out_length)
        *out_length = length;
    return value;
}

struct cap_arena *cap_rpc_arena(struct cap_rpc_call *call)
{
    return call->arena;
}
