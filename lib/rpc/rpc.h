/* rpc.h — gRPC for C services: typed stubs, blocking handlers, memory that dies with the call.
 *
 * The only directory that names gRPC. Stubs and tables come from tools/protoc-gen-moecap: for a
 * `service Store` in moecap/v1/store.proto it writes moecap/v1/store.rpc.h with
 *
 *     struct store_rpc_handlers { ... };                      one function a method, see below
 *     extern const struct cap_rpc_service store_rpc_service;
 *     bool store_rpc_append(channel, options, request, arena, &reply, err);        unary
 *     struct cap_rpc_call *store_rpc_watch_open(channel, options[, request]);  streaming
 *     ..._send_request(call, msg)  ..._next_reply(call)       the client's side of a stream
 *     ..._next_request(call)       ..._send_reply(call, msg)  the server's side
 *
 * Handlers, by kind of method (false = failed, and `err` becomes the call's status):
 *     unary          bool f(call, const Req *req, Reply *reply, err)
 *     server stream  bool f(call, const Req *req, err)
 *     client stream  bool f(call, Reply *reply, err)
 *     bidirectional  bool f(call, err)
 *
 * Threads. Handlers run on a bounded pool of workers and may block. Pollers, one a server and one
 * for all clients, never run user code. A call may be sent on from any thread, received from by one
 * thread at a time, cancelled from any; a handler's call is over when the handler returns, so it
 * first joins the threads it gave the call to. Memory. A handler's arena lives until the reply is
 * sent; what a `..._next_...` returns lives until the next one. Deadlines. Every call has one; give
 * `parent` to let a handler's deadline and cancellation cascade to the calls it makes. Fork nothing
 * after cap_rpc_init. How a call flows and why: docs/rpc.md.
 */
#ifndef CAP_RPC_H
#define CAP_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "rpc/method.h"

struct cap_rpc_channel;
struct cap_rpc_server;

void cap_rpc_init(void); /* once per process, before any other call; sets malloc thresholds */
void cap_rpc_shutdown(void);

/* To unpack into an arena: protobuf-c's allocator over it, living in it; free is a no-op. Of a full
 * arena it refuses everything, so that unpacking gives NULL. */
ProtobufCAllocator *cap_rpc_allocator(struct cap_arena *arena);
/* A copy of the message, all of it in `arena`; NULL when that has no room. */
ProtobufCMessage *cap_rpc_copy(const ProtobufCMessage *message, struct cap_arena *arena);

/* ---- server ---- */

struct cap_rpc_server_options { /* zero means the default in brackets */
    int workers_max;            /* [64] handler threads, made when needed */
    int queue_max;              /* [256] calls waiting for a worker; one more is refused */
    int streams_max;            /* [3/4 of workers_max] streams open at once; each holds a worker */
    int connection_streams_max; /* [1/2 of workers_max, at least 4] those of one connection */
    int watchers_max;           /* [1/8 of workers_max, at least 2] Health.Watch among them */
    int stream_idle_ms;       /* [2000] a client that owes a message for so long gives its stream's
                                   place to another when there is none left */
    size_t receive_bytes_max; /* [8 MiB] largest message accepted */
    size_t arena_bytes_max;   /* [64 MiB] what one handler may allocate; 16x its bytes, at least
                                   4 MiB, of that may go into unpacking a message */
    size_t send_mark_bytes;   /* [64 KiB] a sender waits while more is queued on its call */
    int min_ping_ms;          /* [10000] keepalive pings may come this often */
    int keepalive_ms;         /* [20000] ours; a client silent for 5 s more is gone */
    /* Called once for each call, refused ones too (path "unknown method" if it is), by the thread
     * that ends it, which may be the poller: must not block. */
    void (*done)(void *arg, const char *path, enum cap_code code, int64_t duration_us);
    void *done_arg;
};

struct cap_rpc_server *cap_rpc_server_new(const struct cap_rpc_server_options *options);
void cap_rpc_server_free(struct cap_rpc_server *server); /* drains with no grace if still running */
CAP_DEFINE_AUTO(cap_rpc_server)

/* Before start. `handlers` is the generated struct, borrowed; cap_rpc_self returns `self`. */
void cap_rpc_server_add(struct cap_rpc_server *server, const struct cap_rpc_service *service,
                        const void *handlers, void *self);
/* The handler of this unary method never blocks: run it on the poller. After add, before start. */
void cap_rpc_server_inline(struct cap_rpc_server *server, const char *path);

/* "127.0.0.1:0", "[::1]:7861", "unix:/path". Fails when the port is taken. */
bool cap_rpc_server_listen(struct cap_rpc_server *server, const char *address, int *out_port,
                           struct cap_err *err);
/* Begins to serve; gRPC health v1 is answered for "" and for every added service. */
void cap_rpc_server_start(struct cap_rpc_server *server);
/* Health becomes NOT_SERVING, new calls are refused, running ones may finish for grace_ms, then are
 * cancelled and waited for. True when all finished by themselves. */
bool cap_rpc_server_drain(struct cap_rpc_server *server, int64_t grace_ms);
void cap_rpc_health_set(struct cap_rpc_server *server, const char *service, bool serving);

/* ---- inside a handler ---- */

void *cap_rpc_self(struct cap_rpc_call *call);
struct cap_arena *cap_rpc_arena(struct cap_rpc_call *call);
const char *cap_rpc_peer(struct cap_rpc_call *call); /* "ipv4:127.0.0.1:40118" */
/* Adds a message to google.rpc.Status.details of a failing call; packs it at once. Details beyond
 * 4 KiB are dropped, as headers have a limit. */
void cap_rpc_detail(struct cap_rpc_call *call, const ProtobufCMessage *detail);
/* Tells the caller of a failing call of one wrong field of its request, for each that is wrong;
 * err->field is told without it. At most CAP_RPC_FAULTS_MAX in 3 KiB, the rest is dropped. */
void cap_rpc_fault(struct cap_rpc_call *call, const char *field, const char *sentence);
/* Metadata: keys are lower case; values of keys that end in -bin are raw bytes, others printable
 * ASCII (anything else becomes '?'). At most 16 each; a header before the first message. */
void cap_rpc_header(struct cap_rpc_call *call, const char *key, const void *value, size_t length);
void cap_rpc_trailer(struct cap_rpc_call *call, const char *key, const void *value, size_t length);

/* ---- a call, either side ---- */

/* Packs at once, so the caller may reuse its message; blocks only above the send mark. False when
 * the call has ended. Any thread. Prefer the typed stubs. */
bool cap_rpc_send(struct cap_rpc_call *call, const ProtobufCMessage *message);
/* NULL at the end of the stream, when the call has failed, or when it was cancelled: on a server
 * cap_rpc_cancelled tells, on a client cap_rpc_close. */
ProtobufCMessage *cap_rpc_receive(struct cap_rpc_call *call);
/* Waits until cap_rpc_receive has something to say, a message or the end; false when wait_ms passed
 * before. For a caller that has something else to do in the meantime; call it on the thread that
 * receives. */
bool cap_rpc_wait(struct cap_rpc_call *call, int64_t wait_ms);
/* Server: by the client, its deadline or its death. Client: by cap_rpc_cancel. */
bool cap_rpc_cancelled(struct cap_rpc_call *call);
void cap_rpc_cancel(struct cap_rpc_call *call);
/* The id of the chain of calls that this thread works for, "" outside a handler. It is in each line
 * that the thread logs (call=...) and goes along with the calls it makes; a caller from outside may
 * choose it by the metadata "moecap-call". */
enum { CAP_RPC_TRACE_BYTES = 33 };
const char *cap_rpc_trace(void);
/* Metadata received with the request (server), or with the reply's header (client, after the first
 * message) or trailer (after the last); NULL when absent. Copied into the call's arena, so on a
 * server only for the handler's thread. */
const char *cap_rpc_metadata(struct cap_rpc_call *call, const char *key, size_t *out_length);

/* ---- client ---- */

struct cap_rpc_channel_options { /* zero means the default in brackets */
    int64_t timeout_ms;          /* [30000] deadline of calls that name none */
    size_t receive_bytes_max;    /* [8 MiB] */
    int keepalive_ms;            /* [20000] pings; not below the server's min_ping_ms */
};

/* Connects when first used, reconnects by itself (0.1 s to 5 s). "host:port" or "unix:/path". */
struct cap_rpc_channel *cap_rpc_channel_new(const char *target,
                                            const struct cap_rpc_channel_options *options);
void cap_rpc_channel_free(struct cap_rpc_channel *channel); /* after all its calls are closed */
CAP_DEFINE_AUTO(cap_rpc_channel)
/* Waits until connected; UNAVAILABLE with the target's name when that takes longer. */
bool cap_rpc_channel_wait(struct cap_rpc_channel *channel, int64_t wait_ms, struct cap_err *err);

struct cap_rpc_metadata {
    const char *key;
    const void *value;
    size_t length; /* 0: strlen(value) */
};

enum { CAP_RPC_NO_DEADLINE = -1, CAP_RPC_FAULTS_MAX = 64 };

struct cap_rpc_faults {
    struct cap_rpc_fault {
        const char *field, *sentence;
    } * items;
    size_t count;
};

struct cap_rpc_options { /* may be NULL wherever one is asked for; used during the call only */
    int64_t timeout_ms;  /* 0: the channel's; CAP_RPC_NO_DEADLINE for streams that live long */
    bool wait_for_ready; /* until the deadline, instead of failing while nobody listens */
    struct cap_rpc_call *parent; /* a handler's call whose deadline and cancellation cascade */
    const struct cap_rpc_metadata *metadata;
    size_t metadata_count;
    /* Unary only; filled on failure with details: packed google.rpc.Status, in `arena`. */
    const uint8_t **out_details;
    size_t *out_details_length;
    struct cap_rpc_faults *out_faults; /* unary only; on failure the wrong fields, in `arena` */
};

/* The untyped forms under the generated stubs. */
bool cap_rpc_unary(struct cap_rpc_channel *channel, const struct cap_rpc_method *method,
                   const struct cap_rpc_options *options, const ProtobufCMessage *request,
                   struct cap_arena *arena, ProtobufCMessage **out_reply, struct cap_err *err);
/* Returns at once, connected or not; never NULL. With a request for server streams (and for unary
 * calls whose metadata is wanted), NULL otherwise. */
struct cap_rpc_call *cap_rpc_open(struct cap_rpc_channel *channel,
                                  const struct cap_rpc_method *method,
                                  const struct cap_rpc_options *options,
                                  const ProtobufCMessage *request_or_null);
/* No more requests from us. */
bool cap_rpc_send_done(struct cap_rpc_call *call);
/* Ends sending, drops replies not read, waits for the status and frees the call. False with the
 * server's status otherwise. To end a call early, cap_rpc_cancel first. */
bool cap_rpc_close(struct cap_rpc_call *call, struct cap_err *err);

#endif
