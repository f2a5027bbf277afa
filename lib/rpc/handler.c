/* Around a handler, and the threads that run handlers.
 *
 * Around one: its arena and request before it, reply and status after it, and what it may ask of
 * its call in between. The threads are made when a call finds none idle, up to workers_max, and
 * kept. Behind them wait at most queue_max calls; one more is refused, at once rather than at its
 * deadline. Their queue is guarded by the server's lock, which is not held while a handler runs. */
#include <ctype.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "log/log.h"
#include "rpc/inside.h"

/* Queues reply and status; they go out after what the handler has sent, if possible as one batch.
 */
static void finish(struct cap_rpc_call *call, const ProtobufCMessage *reply,
                   const struct cap_err *err)
{
    grpc_byte_buffer *bytes = err->code == CAP_OK && reply ? rpc_pack(reply) : NULL;

    pthread_mutex_lock(&call->lock);
    if (bytes)
        rpc_queue_push(&call->out, bytes);
    call->status_code = (grpc_status_code)err->code;
    call->status_text = grpc_slice_from_copied_string(err->text);
    rpc_fault_add_detail(call, err);
    rpc_status_add_trailer_locked(call, err);
    call->finish_wanted = true;
    rpc_send_pump_locked(call);
    pthread_mutex_unlock(&call->lock);
}

static void report_done(struct cap_rpc_call *call, enum cap_code code)
{
    const struct cap_rpc_server_options *options = &call->server->options;
    gpr_timespec spent = gpr_time_sub(gpr_now(GPR_CLOCK_MONOTONIC), call->accepted_at);

    if (options->done)
        options->done(options->done_arg, call->method->path, code,
                      spent.tv_sec * 1000000 + spent.tv_nsec / 1000);
}

static void end(struct cap_rpc_call *call, const ProtobufCMessage *reply, const struct cap_err *err)
{
    finish(call, reply, err);
    rpc_share_give(call);
    report_done(call, err->code);
    rpc_call_unreference(call);
}

void rpc_handler_refuse(struct cap_rpc_call *call, const struct cap_err *why)
{
    end(call, NULL, why);
}

static ProtobufCMessage *unpack_request(struct cap_rpc_call *call, struct cap_err *err)
{
    grpc_byte_buffer *bytes = rpc_receive_bytes(call);
    ProtobufCMessage *request;

    if (!bytes) {
        cap_fail(err, CAP_CANCELLED, "cancelled while it waited for a worker");
        return NULL;
    }
    request = rpc_memory_take(call, grpc_byte_buffer_length(bytes), &call->arena_held, err)
                  ? rpc_unpack(call->method->request, call->arena, bytes, err)
                  : NULL;
    grpc_byte_buffer_destroy(bytes);
    rpc_memory_give(call, &call->arena_held, cap_arena_used(call->arena));
    return request;
}

static ProtobufCMessage *new_reply(struct cap_rpc_call *call, struct cap_err *err)
{
    const ProtobufCMessageDescriptor *type = call->method->reply;
    ProtobufCMessage *reply = cap_arena_alloc(call->arena, type->sizeof_message);

    if (reply)
        protobuf_c_message_init(type, reply);
    else
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "no room for a %s", type->name);
    return reply;
}

static bool call_handler(struct cap_rpc_call *call, ProtobufCMessage **out_reply,
                         struct cap_err *err)
{
    const struct cap_rpc_method *method = call->method;
    ProtobufCMessage *request = NULL;

    call->arena = cap_arena_new(call->server->options.arena_bytes_max);
    rpc_trace_begin(call);
    if (rpc_has_one_request(method) && !(request = unpack_request(call, err)))
        return false;
    if (rpc_has_one_reply(method) && !(*out_reply = new_reply(call, err)))
        return false;
    return method->call(call->binding->handlers, call, request, *out_reply, err);
}

void rpc_handler_run(struct cap_rpc_call *call)
{
    ProtobufCMessage *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    rpc_share_busy(call);
    ok = call_handler(call, &reply, &err);

    if (!ok && err.code == CAP_OK)
        cap_fail(&err, CAP_INTERNAL, "%s failed without a reason", call->method->path);
    pthread_mutex_lock(&call->lock);
    if (call->failure.code != CAP_OK)
        err = call->failure; /* the handler saw only the end of its stream */
    pthread_mutex_unlock(&call->lock);
    end(call, reply, &err);
    rpc_trace_end();
}

/* ---- what a handler asks ---- */

void *cap_rpc_self(struct cap_rpc_call *call)
{
    return call->binding->self;
}

const char *cap_rpc_peer(struct cap_rpc_call *call)
{
    return call->peer;
}

void cap_rpc_header(struct cap_rpc_call *call, const char *key, const void *value, size_t length)
{
    pthread_mutex_lock(&call->lock);
    if (!call->headers_sent)
        rpc_metadata_add(&call->headers, key, value, length);
    pthread_mutex_unlock(&call->lock);
}

void cap_rpc_trailer(struct cap_rpc_call *call, const char *key, const void *value, size_t length)
{
    pthread_mutex_lock(&call->lock);
    if (!call->finish_wanted)
        rpc_metadata_add(&call->trailers, key, value, length);
    pthread_mutex_unlock(&call->lock);
}

/* ---- the id of a chain of calls ----
 *
 * One id for a chain of calls: made where it enters the suite, sent along with every call that a
 * handler makes, and in each line that the handler's thread logs. grep it in all logs at once.
 */

static _Thread_local char trace[CAP_RPC_TRACE_BYTES];

const char *cap_rpc_trace(void)
{
    return trace;
}

/* It goes into our logs, and on: nothing but letters, digits and dashes, and not without end. */
static bool is_trace(const char *id)
{
    size_t length = strlen(id);

    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)id[i]) && id[i] != '-')
            return false;
    return length > 0 && length < CAP_RPC_TRACE_BYTES;
}

void rpc_trace_begin(struct cap_rpc_call *call)
{
    const char *id = cap_rpc_metadata(call, RPC_TRACE_KEY, NULL);
    char made[CAP_ID_BYTES], fields[CAP_RPC_TRACE_BYTES + 8];

    if (!id || !is_trace(id)) {
        cap_rand_id("c", made);
        id = made;
    }
    snprintf(trace, sizeof trace, "%s", id);
    snprintf(fields, sizeof fields, "call=%s", trace);
    cap_log_context(fields);
}

void rpc_trace_end(void)
{
    trace[0] = '\0';
    cap_log_context(NULL);
}

void rpc_trace_send(struct cap_rpc_call *call)
{
    if (*trace)
        rpc_metadata_add(&call->headers, RPC_TRACE_KEY, trace, strlen(trace));
}

/* ==== the threads that run handlers ==== */

enum { WORKER_STACK_BYTES = 1 << 20 };

static bool full_locked(const struct cap_rpc_server *server)
{
    const struct cap_rpc_server_options *o = &server->options;

    return server->running + server->queued >= o->workers_max + o->queue_max;
}

bool rpc_workers_full(struct cap_rpc_server *server)
{
    bool full;

    pthread_mutex_lock(&server->lock);
    full = full_locked(server);
    pthread_mutex_unlock(&server->lock);
    return full;
}

static struct cap_rpc_call *pop_locked(struct cap_rpc_server *server)
{
    struct cap_rpc_call *call;

    while (!server->queue_head && !server->workers_ending) {
        server->idle_workers++;
        pthread_cond_wait(&server->work_came, &server->lock);
        server->idle_workers--;
    }
    call = server->queue_head;
    if (!call)
        return NULL;
    server->queue_head = call->queue_next;
    if (!server->queue_head)
        server->queue_tail = &server->queue_head;
    server->queued--;
    return call;
}

static void *work(void *argument)
{
    struct cap_rpc_server *server = argument;
    struct cap_rpc_call *call;

    pthread_mutex_lock(&server->lock);
    while ((call = pop_locked(server)) != NULL) {
        server->running++;
        pthread_mutex_unlock(&server->lock);
        rpc_handler_run(call);
        pthread_mutex_lock(&server->lock);
        server->running--;
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* When the system gives no more threads, those that are there take the work. */
static void add_worker_locked(struct cap_rpc_server *server)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
    if (pthread_create(&server->workers[server->worker_count], &attributes, work, server) == 0)
        server->worker_count++;
    pthread_attr_destroy(&attributes);
}

bool rpc_workers_enqueue(struct cap_rpc_server *server, struct cap_rpc_call *call)
{
    bool taken;

    pthread_mutex_lock(&server->lock);
    if (server->queued >= server->idle_workers &&
        server->worker_count < server->options.workers_max)
        add_worker_locked(server);
    taken = !full_locked(server) && server->worker_count > 0;
    if (taken) {
        call->queue_next = NULL;
        *server->queue_tail = call;
        server->queue_tail = &call->queue_next;
        server->queued++;
        pthread_cond_signal(&server->work_came);
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

void rpc_workers_stop(struct cap_rpc_server *server)
{
    int count;

    pthread_mutex_lock(&server->lock);
    server->workers_ending = true;
    count = server->worker_count;
    pthread_cond_broadcast(&server->work_came);
    pthread_mutex_unlock(&server->lock);
    for (int i = 0; i < count; i++)
        pthread_join(server->workers[i], NULL);
}
