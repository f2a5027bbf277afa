/* internal.h — the RPC layer's own view of itself; included in lib/rpc only.
 *
 * A call has one lock. gRPC wants batches of one kind to be serialised; we start all of them under
 * that lock. A batch is outstanding from its start until the poller hands its tag back; each holds
 * a reference on the call, and so does the owner (the handler, or whoever opened the call). The
 * poller locks the call, lets the tag's function look, and drops the reference. Sending is a queue:
 * one message is in gRPC's hands at a time, the rest waits here, and a write is marked with
 * BUFFER_HINT while another is behind it, so that small messages share a packet.
 */
#ifndef CAP_RPC_INTERNAL_H
#define CAP_RPC_INTERNAL_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rpc/rpc.h"

enum {
    RECEIVE_BYTES_MAX_DEFAULT = 8 << 20,
    ARENA_BYTES_MIN = 1 << 20,
    ARENA_TIMES_MESSAGE = 16,
    SEND_MARK_DEFAULT = 64 << 10,
    STATUS_TEXT_BYTES_MAX = 1024, /* header blocks are limited to 8 KiB */
    STATUS_DETAIL_BYTES_MAX = 4096,
    METADATA_MAX = 16,
};

/* ---- poller.c: one thread that takes events from a completion queue and never runs user code ----
 */

struct rpc_tag {
    void (*on_event)(struct rpc_tag *tag, bool ok);
};

struct rpc_poller {
    grpc_completion_queue *queue;
    pthread_t thread;
};

void rpc_poller_start(struct rpc_poller *poller);
/* Ends the thread once every outstanding tag has come back. */
void rpc_poller_stop(struct rpc_poller *poller);
/* Shared by all channels of the process; runs between cap_rpc_init and cap_rpc_shutdown. */
grpc_completion_queue *rpc_client_queue(void);

/* ---- wire.c: messages, metadata, status ---- */

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message);
/* NULL with err: bytes that are no such message, or more structure than the arena may hold. */
ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, struct cap_arena *arena,
                             grpc_byte_buffer *bytes, struct cap_err *err);
size_t rpc_arena_limit(size_t option, size_t message_bytes);
gpr_timespec rpc_deadline_after_ms(int64_t ms);
void rpc_set_metadata(grpc_metadata *slot, const char *key, const void *value, size_t length);
const char *rpc_find_metadata(const grpc_metadata_array *array, const char *key,
                              size_t *out_length);
/* Packed google.rpc.Status of code, text and the packed Any details; empty slice without details.
 */
grpc_slice rpc_pack_status(enum cap_code code, const char *text,
                           const ProtobufCMessage *const *details, size_t detail_count);

/* A method that a server offers. */
struct rpc_binding {
    const struct cap_rpc_method *method;
    const void *handlers;
    void *self;
    bool is_inline;
};

/* ---- call.c ---- */

struct rpc_out {
    struct rpc_out *next;
    grpc_byte_buffer *bytes;
    size_t length;
};

struct call_tag {
    struct rpc_tag tag;
    struct cap_rpc_call *call;
};

struct cap_rpc_call {
    pthread_mutex_t lock; /* guards everything below that changes after the start */
    pthread_cond_t changed;
    int references;
    grpc_call *grpc;
    const struct cap_rpc_method *method;
    gpr_timespec deadline;
    size_t send_mark_bytes, receive_bytes_max, arena_bytes_max;

    struct rpc_out *out_head, **out_tail;
    size_t out_bytes;
    grpc_byte_buffer *sending;
    bool send_busy, headers_sent, send_broken;

    grpc_byte_buffer *incoming;
    bool receiving, incoming_ready, receive_ended;
    struct cap_arena *message_arena; /* of the message received last */
    struct cap_err failure;          /* found by us, e.g. a message that cannot be unpacked */

    grpc_metadata out_metadata[METADATA_MAX], out_trailers[METADATA_MAX];
    size_t out_metadata_count, out_trailer_count;
    grpc_metadata_array in_metadata;
    bool in_metadata_ready;
    uint32_t header_flags;
    struct cap_arena *arena;

    bool ended; /* server: cancelled or finished; client: the status has come */
    bool cancelled;
    struct call_tag on_send, on_receive, on_end, on_headers;

    /* server */
    struct cap_rpc_server *server;
    const struct rpc_binding *binding;
    grpc_call_details details;
    struct rpc_tag on_accept;
    int closed_cancelled; /* written by gRPC before on_end */
    bool finish_wanted, finish_sent;
    struct cap_err status;
    const ProtobufCMessage **detail_messages;
    size_t detail_count;
    grpc_slice status_text, status_details;
    char *peer;
    gpr_timespec accepted_at;
    struct cap_rpc_call *queue_next, *live_next, *live_previous;

    /* client */
    bool half_close_wanted, half_close_sent;
    grpc_metadata_array in_trailers;
    grpc_status_code status_code;
    grpc_slice status_message;
};

struct cap_rpc_call *rpc_call_new(void);
void rpc_call_unreference(struct cap_rpc_call *call);
/* Starts a batch whose end is told to `tag`; takes a reference. Caller holds the lock. */
void rpc_call_batch_locked(struct cap_rpc_call *call, const grpc_op *ops, size_t count,
                           struct call_tag *tag);
/* Starts the next write, if one may start. Caller holds the lock. */
void rpc_call_pump_locked(struct cap_rpc_call *call);
/* The next message's bytes, the caller's; NULL at the end. Blocks. */
grpc_byte_buffer *rpc_call_take_bytes(struct cap_rpc_call *call);
void rpc_call_start_receive_locked(struct cap_rpc_call *call);
/* Server: called once when the reference count reaches zero. */
void rpc_server_forget(struct cap_rpc_server *server, struct cap_rpc_call *call);

/* ---- health.c ---- */
struct rpc_health;
struct rpc_health *rpc_health_new(void);
void rpc_health_free(struct rpc_health *health);
void rpc_health_add(struct rpc_health *health, struct cap_rpc_server *server);
void rpc_health_set(struct rpc_health *health, const char *service, bool serving);
/* Every service becomes NOT_SERVING and watchers end. */
void rpc_health_drain(struct rpc_health *health);

#endif
