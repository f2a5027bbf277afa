/* inside.h — the RPC layer's own view of itself; included in lib/rpc only.
 *
 * A call has one lock. gRPC wants batches of one kind to be serialised; we start all of them under
 * that lock. A batch is outstanding from its start until the poller hands its tag back; each holds
 * a reference on the call, and so does the owner (the handler, or the opener of the call). The
 * poller calls the tag's function, which locks the call, notes what came and drops the reference.
 * Lock order: none; a server's lock and a call's are never held together.
 *
 * Reading order: call.c (life), messages.c (sending, receiving), then server.c (accepting too),
 * shares.c, handler.c (and the threads that run handlers), then client.c (channels and calls);
 * poller.c, wire.c, status.c, memory.c, health.c serve them.
 */
#ifndef CAP_RPC_INSIDE_H
#define CAP_RPC_INSIDE_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rpc/rpc.h"

enum {
    RECEIVE_BYTES_MAX_DEFAULT = 8 << 20,
    ARENA_BYTES_MAX_DEFAULT = 64 << 20,
    UNPACK_BYTES_MIN = 4 << 20, /* memory any message may take, and more: */
    UNPACK_TIMES_MESSAGE = 16,
    SEND_MARK_DEFAULT = 64 << 10,
    RECEIVE_MARK = 64 << 10,        /* read ahead while less is waiting */
    STATUS_DETAIL_BYTES_MAX = 4096, /* with the text: header blocks are limited to 8 KiB */
    DETAILS_MAX = 16,
    METADATA_MAX = 16,
    KEEPALIVE_MS_DEFAULT = 20000,
    KEEPALIVE_TIMEOUT_MS = 5000,
};

/* ---- poller.c: one thread that takes events from a completion queue and never runs user code ----
 */

struct rpc_tag;
typedef void rpc_event(struct rpc_tag *tag, bool ok);

/* What a batch hands to gRPC and the poller gets back. Atomic, so that what was written before the
 * batch is seen by the poller by the rules of C, not only by those of gRPC's queue. */
struct rpc_tag {
    rpc_event *_Atomic on_event;
};

void *rpc_tag_arm(struct rpc_tag *tag, rpc_event *on_event);

struct rpc_poller {
    grpc_completion_queue *queue;
    pthread_t thread;
};

void rpc_poller_start(struct rpc_poller *poller);
/* Ends the thread once every outstanding tag has come back. */
void rpc_poller_stop(struct rpc_poller *poller);
/* Shared by all channels of the process; runs between cap_rpc_init and cap_rpc_shutdown. */
grpc_completion_queue *rpc_client_queue(void);

/* ---- memory.c: what large messages may take together ---- */

/* The most that a message of this many bytes, come for a server's call, may cost; waits for it.
 * Nothing for a small one. */
bool rpc_memory_take(struct cap_rpc_call *call, size_t message_bytes, size_t *out_held,
                     struct cap_err *err);
/* Gives back what is not needed any more. */
void rpc_memory_give(struct cap_rpc_call *call, size_t *io_held, size_t still_held);

/* ---- wire.c: messages, metadata, deadlines ---- */

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message);
/* NULL with err: bytes that are not such a message, or more structure than they may need. */
ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, struct cap_arena *arena,
                             grpc_byte_buffer *bytes, struct cap_err *err);
gpr_timespec rpc_deadline_after_ms(int64_t ms);
grpc_arg rpc_integer_arg(const char *key, int64_t value);

/* What we send: at most METADATA_MAX entries, more are dropped. */
struct rpc_metadata_list {
    grpc_metadata entries[METADATA_MAX];
    size_t count;
};

void rpc_metadata_add(struct rpc_metadata_list *list, const char *key, const void *value,
                      size_t length);
void rpc_metadata_done(struct rpc_metadata_list *list);
const char *rpc_metadata_find(const grpc_metadata_array *array, const char *key,
                              size_t *out_length);

/* A method that a server offers. */
struct rpc_binding {
    const struct cap_rpc_method *method;
    const void *handlers;
    void *self;
    bool is_inline;
};

/* Messages in order; owns what is in it. */
struct rpc_queue {
    struct rpc_queued *head, **tail;
    size_t bytes;
};

void rpc_queue_init(struct rpc_queue *queue);
void rpc_queue_push(struct rpc_queue *queue, grpc_byte_buffer *bytes);
grpc_byte_buffer *rpc_queue_pop(struct rpc_queue *queue); /* NULL when empty */
void rpc_queue_drop(struct rpc_queue *queue);

/* ---- handler.c: the id of a chain of calls ---- */

#define RPC_TRACE_KEY "moecap-call"

/* Around a handler, on its thread; the call has its arena. */
void rpc_trace_begin(struct cap_rpc_call *call);
void rpc_trace_end(void);
/* Sends the thread's id along with a call that it makes. */
void rpc_trace_send(struct cap_rpc_call *call);

/* ---- call.c, messages.c ---- */

struct call_tag {
    struct rpc_tag tag;
    struct cap_rpc_call *call;
};

struct cap_rpc_call {
    /* fixed before others see the call */
    grpc_call *grpc;
    const struct cap_rpc_method *method;
    size_t send_mark_bytes;
    struct cap_arena *arena; /* the handler's; on a client, copies of metadata */
    struct call_tag on_send, on_receive, on_headers, on_end;

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t changed;
    int references;

    /* sending */
    struct rpc_queue out;
    grpc_byte_buffer *sending; /* in gRPC's hands */
    bool send_busy, headers_sent, send_broken;
    struct rpc_metadata_list headers, trailers;
    uint32_t header_flags;
    bool half_close_wanted, half_close_sent; /* client */
    bool finish_wanted, finish_sent;         /* server */

    /* receiving */
    struct rpc_queue in;
    grpc_byte_buffer *arriving; /* gRPC writes it */
    bool receiving, receive_ended;
    struct cap_arena *message_arena; /* of the message received last */
    size_t arena_held, message_held; /* server: taken from the budget for these two, see memory.c */
    struct cap_err failure;          /* found by us, e.g. a message that cannot be unpacked */
    grpc_metadata_array in_headers, in_trailers;
    bool in_headers_ready;

    /* the end; status_* is what a server sends and a client receives */
    bool ended; /* server: cancelled or finished; client: the status has come */
    bool cancelled;
    grpc_status_code status_code;
    grpc_slice status_text;

    /* server only */
    struct cap_rpc_server *server;
    const struct rpc_binding *binding;
    grpc_call_details details;
    struct rpc_tag on_accept;
    int closed_cancelled; /* written by gRPC before on_end */
    struct Google__Rpc__Status *rich_status;
    struct Google__Rpc__BadRequest *bad_request;
    char *peer;
    gpr_timespec accepted_at;
    struct cap_rpc_call *queue_next;
    /* shares.c; server->lock guards the three */
    struct cap_rpc_call *share_next, **share_link;
    bool holds_share;
    _Atomic int64_t idle_since_ms; /* since when the client owes a message; 0 = it does not */

    /* client only */
    const char *target; /* the channel's */
};

struct cap_rpc_call *rpc_call_new(void);
void rpc_call_unreference(struct cap_rpc_call *call);
/* Starts a batch whose end is told to `tag`; takes a reference. Caller holds the lock. */
void rpc_call_batch_locked(struct cap_rpc_call *call, const grpc_op *ops, size_t count,
                           struct call_tag *tag, rpc_event *on_event);

/* Starts the next write, if one may start. Caller holds the lock. */
void rpc_send_pump_locked(struct cap_rpc_call *call);

/* Asks gRPC for the next message. `on_event` begins with rpc_receive_note_locked, which is true
 * when a message has come. */
void rpc_receive_start_locked(struct cap_rpc_call *call, rpc_event *on_event);
bool rpc_receive_note_locked(struct cap_rpc_call *call, bool ok);
/* The next message's bytes, the caller's; NULL at the end. Blocks. */
grpc_byte_buffer *rpc_receive_bytes(struct cap_rpc_call *call);

static inline bool rpc_has_one_request(const struct cap_rpc_method *method)
{
    return method->kind == CAP_RPC_UNARY || method->kind == CAP_RPC_SERVER_STREAM;
}

static inline bool rpc_has_one_reply(const struct cap_rpc_method *method)
{
    return method->kind == CAP_RPC_UNARY || method->kind == CAP_RPC_CLIENT_STREAM;
}

/* ---- status.c ---- */

/* Adds the packed google.rpc.Status to the trailers, if the handler gave details. */
void rpc_status_add_trailer_locked(struct cap_rpc_call *call, const struct cap_err *err);
/* Turns a status received into err; gRPC's own texts become sentences. Caller has the call alone.
 */
bool rpc_status_fail(const struct cap_rpc_call *call, struct cap_err *err);

/* ---- status.c: wrong fields ---- */

/* Puts the wrong fields that were told, or else err->field, among the details; before the trailer
 * is made of them. */
void rpc_fault_add_detail(struct cap_rpc_call *call, const struct cap_err *err);
/* What a status received says of the request's fields. Caller has the call alone. */
void rpc_fault_read(const struct cap_rpc_call *call, struct cap_arena *arena,
                    struct cap_rpc_faults *out_faults);
void rpc_fault_read_first(const struct cap_rpc_call *call, struct cap_err *err);

/* ---- server.c, shares.c, handler.c ---- */

enum { SERVICES_MAX = 32 };

struct cap_rpc_server {
    grpc_server *grpc;
    struct rpc_poller poller;
    struct cap_rpc_server_options options;
    struct cap_map *bindings; /* path -> struct rpc_binding; fixed before start */
    const char *services[SERVICES_MAX];
    size_t service_count;
    struct rpc_health *health;
    struct rpc_tag on_shutdown;

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t work_came, changed;
    struct cap_rpc_call *queue_head, **queue_tail;
    int queued, running, idle_workers, worker_count;
    pthread_t *workers;
    struct cap_rpc_call *streams; /* those that hold a share; shares.c */
    int stream_count, watcher_count;
    struct cap_map *connection_streams; /* peer -> number of its streams, as a pointer */
    long live_calls;                    /* accepted, last reference not yet gone */
    bool workers_ending;                /* when the queue is empty */
    bool draining, shut_down;
};

/* Hands gRPC an empty call to fill; its arrival arms the next one. */
void rpc_accept_one(struct cap_rpc_server *server);
/* The last reference of an accepted call is gone. */
void rpc_server_forget(struct cap_rpc_server *server);

/* ---- shares.c: how much of a server its streams may hold ---- */

void rpc_shares_fill_defaults(struct cap_rpc_server_options *options);
/* A place for an accepted stream, or why there is none. Given back when the handler is done. */
bool rpc_share_take(struct cap_rpc_call *call, struct cap_err *err);
void rpc_share_give(struct cap_rpc_call *call); /* nothing happens when the call holds none */
/* What tells connections apart; "" of a peer that has no such thing, a Unix socket's. */
const char *rpc_connection_of(const struct cap_rpc_call *call);
/* Around the wait for the client's next message in cap_rpc_receive. A handler that waits with
 * cap_rpc_wait has something to do meanwhile, and judges its client's silence itself. */
void rpc_share_idle(struct cap_rpc_call *call);
void rpc_share_busy(struct cap_rpc_call *call);

bool rpc_workers_full(struct cap_rpc_server *server);
/* Takes the handler's reference; false when the queue is full. */
bool rpc_workers_enqueue(struct cap_rpc_server *server, struct cap_rpc_call *call);
void rpc_workers_stop(struct cap_rpc_server *server);

/* Runs the handler and finishes the call; drops the handler's reference. */
void rpc_handler_run(struct cap_rpc_call *call);
/* Finishes a call that no handler will see; drops the handler's reference. */
void rpc_handler_refuse(struct cap_rpc_call *call, const struct cap_err *why);

/* ---- client.c ---- */

struct cap_rpc_channel {
    grpc_channel *grpc;
    char *target;
    struct cap_rpc_channel_options options;
};

/* ---- health.c ---- */

struct rpc_health;
struct rpc_health *rpc_health_new(void);
void rpc_health_free(struct rpc_health *health);
void rpc_health_add(struct rpc_health *health, struct cap_rpc_server *server);
void rpc_health_set(struct rpc_health *health, const char *service, bool serving);
/* Every service becomes NOT_SERVING and watchers end. */
void rpc_health_drain(struct rpc_health *health);

#endif
