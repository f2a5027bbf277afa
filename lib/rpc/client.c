/* The client's side: channels and calls.
 *
 * A channel is a target, the connection to it that gRPC keeps, and the defaults of its calls. Every
 * client call of the process is driven by one poller. A caller that blocks waits on its call's
 * condition, so that any thread may send, cancel or wake it.
 */
#include <assert.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/inside.h"

enum {
    TIMEOUT_MS_DEFAULT = 30000,
    RECONNECT_MS_MIN = 100,
    RECONNECT_MS_MAX = 5000,
    CONNECT_MS = 2000, /* for a connection to be made, handshakes included */
};

static void fill_defaults(struct cap_rpc_channel_options *o)
{
    o->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS_DEFAULT;
    o->receive_bytes_max = o->receive_bytes_max ? o->receive_bytes_max : RECEIVE_BYTES_MAX_DEFAULT;
    o->keepalive_ms = o->keepalive_ms ? o->keepalive_ms : KEEPALIVE_MS_DEFAULT;
}

static grpc_channel *create_grpc_channel(const char *target,
                                         const struct cap_rpc_channel_options *o)
{
    /* the place for TLS: other credentials here and in server.c */
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_arg args[] = {
        rpc_integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)o->receive_bytes_max),
        rpc_integer_arg(GRPC_ARG_KEEPALIVE_TIME_MS, o->keepalive_ms),
        rpc_integer_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
        rpc_integer_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_integer_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        /* the default waits a second, then up to two minutes: long for services that restart */
        rpc_integer_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_MS_MIN),
        /* not a pause, whatever its name: what each attempt is given at least */
        rpc_integer_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS),
        rpc_integer_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MS_MAX),
        rpc_integer_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
    };
    grpc_channel_args list = {CAP_COUNT_OF(args), args};
    grpc_channel *channel = grpc_channel_create(target, credentials, &list);

    grpc_channel_credentials_release(credentials);
    return channel;
}

struct cap_rpc_channel *cap_rpc_channel_new(const char *target,
                                            const struct cap_rpc_channel_options *options)
{
    struct cap_rpc_channel *channel = calloc(1, sizeof *channel);

    if (!channel || !(channel->target = strdup(target)))
        abort();
    if (options)
        channel->options = *options;
    fill_defaults(&channel->options);
    channel->grpc = create_grpc_channel(target, &channel->options);
    return channel;
}

void cap_rpc_channel_free(struct cap_rpc_channel *channel)
{
    if (!channel)
        return;
    grpc_channel_destroy(channel->grpc);
    free(channel->target);
    free(channel);
}

/* ---- waiting for a connection ---- */

struct watch {
    struct rpc_tag tag;
    pthread_mutex_t lock; /* guards `fired` */
    pthread_cond_t changed;
    bool fired;
};

static void on_watch(struct rpc_tag *tag, bool ok)
{
    struct watch *watch = (struct watch *)tag;

    (void)ok;
    pthread_mutex_lock(&watch->lock);
    watch->fired = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

/* Waits until the state is no longer `state`, or until the deadline. */
static void wait_for_change(struct cap_rpc_channel *channel, grpc_connectivity_state state,
                            gpr_timespec deadline)
{
    struct watch watch = {.fired = false};

    pthread_mutex_init(&watch.lock, NULL);
    pthread_cond_init(&watch.changed, NULL);
    grpc_channel_watch_connectivity_state(channel->grpc, state, deadline, rpc_client_queue(),
                                          rpc_tag_arm(&watch.tag, on_watch));
    pthread_mutex_lock(&watch.lock);
    while (!watch.fired)
        pthread_cond_wait(&watch.changed, &watch.lock);
    pthread_mutex_unlock(&watch.lock);
    pthread_mutex_destroy(&watch.lock);
    pthread_cond_destroy(&watch.changed);
}

bool cap_rpc_channel_wait(struct cap_rpc_channel *channel, int64_t wait_ms, struct cap_err *err)
{
    gpr_timespec deadline = rpc_deadline_after_ms(wait_ms);

    for (;;) {
        grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel->grpc, 1);

        if (state == GRPC_CHANNEL_READY)
            return true;
        if (gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), deadline) >= 0)
            return cap_fail(err, CAP_UNAVAILABLE, "could not reach %s within %lld ms",
                            channel->target, (long long)wait_ms);
        wait_for_change(channel, state, deadline);
    }
}

/* ---- a call begins ---- */

static void on_headers(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    pthread_mutex_lock(&call->lock);
    call->in_headers_ready = ok;
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

static void on_status(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    (void)ok; /* always true for this operation */
    pthread_mutex_lock(&call->lock);
    call->ended = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
    rpc_call_unreference(call);
}

static grpc_op headers_op(struct cap_rpc_call *call)
{
    grpc_op op = {GRPC_OP_RECV_INITIAL_METADATA, 0, NULL, {{0}}};

    op.data.recv_initial_metadata.recv_initial_metadata = &call->in_headers;
    return op;
}

static grpc_op status_op(struct cap_rpc_call *call)
{
    grpc_op op = {GRPC_OP_RECV_STATUS_ON_CLIENT, 0, NULL, {{0}}};

    op.data.recv_status_on_client.trailing_metadata = &call->in_trailers;
    op.data.recv_status_on_client.status = &call->status_code;
    op.data.recv_status_on_client.status_details = &call->status_text;
    return op;
}

/* A header always goes out at once, so that the handler begins; a single request with it. */
static void begin(struct cap_rpc_call *call, const ProtobufCMessage *request_or_null)
{
    grpc_byte_buffer *bytes = request_or_null ? rpc_pack(request_or_null) : NULL;
    grpc_op headers = headers_op(call), status = status_op(call);

    pthread_mutex_lock(&call->lock);
    rpc_call_batch_locked(call, &headers, 1, &call->on_headers, on_headers);
    rpc_call_batch_locked(call, &status, 1, &call->on_end, on_status);
    if (bytes) {
        rpc_queue_push(&call->out, bytes);
        call->half_close_wanted = true;
    }
    rpc_send_pump_locked(call);
    pthread_mutex_unlock(&call->lock);
}

/* A unary call whose caller waits is one batch, so one event and one thread switch. */
static void begin_unary(struct cap_rpc_call *call, const ProtobufCMessage *request)
{
    grpc_op send = {.op = GRPC_OP_SEND_INITIAL_METADATA, .flags = call->header_flags};
    grpc_op message = {.op = GRPC_OP_SEND_MESSAGE};
    grpc_op close = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    grpc_op reply = {.op = GRPC_OP_RECV_MESSAGE};

    call->sending = rpc_pack(request);
    send.data.send_initial_metadata.count = call->headers.count;
    send.data.send_initial_metadata.metadata = call->headers.entries;
    message.data.send_message.send_message = call->sending;
    reply.data.recv_message.recv_message = &call->arriving;

    const grpc_op ops[] = {send, message, close, headers_op(call), reply, status_op(call)};

    pthread_mutex_lock(&call->lock);
    rpc_call_batch_locked(call, ops, CAP_COUNT_OF(ops), &call->on_end, on_status);
    pthread_mutex_unlock(&call->lock);
}

static void take_options(struct cap_rpc_call *call, const struct cap_rpc_options *options)
{
    if (options->wait_for_ready)
        call->header_flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                             GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    for (size_t i = 0; i < options->metadata_count; i++) {
        const struct cap_rpc_metadata *m = &options->metadata[i];

        rpc_metadata_add(&call->headers, m->key, m->value,
                         m->length ? m->length : strlen(m->value));
    }
    rpc_trace_send(call);
}

static struct cap_rpc_call *create(struct cap_rpc_channel *channel,
                                   const struct cap_rpc_method *method,
                                   const struct cap_rpc_options *options)
{
    static const struct cap_rpc_options none;
    struct cap_rpc_call *call = rpc_call_new();
    gpr_timespec deadline;

    options = options ? options : &none;
    assert(!options->parent || options->parent->server); /* only a handler's call has children */
    call->method = method;
    call->target = channel->target;
    call->send_mark_bytes = SEND_MARK_DEFAULT;
    deadline = rpc_deadline_after_ms(options->timeout_ms ? options->timeout_ms
                                                         : channel->options.timeout_ms);
    take_options(call, options);
    call->grpc = grpc_channel_create_call(
        channel->grpc, options->parent ? options->parent->grpc : NULL, GRPC_PROPAGATE_DEFAULTS,
        rpc_client_queue(), grpc_slice_from_static_string(method->path), NULL, deadline, NULL);
    return call;
}

struct cap_rpc_call *cap_rpc_open(struct cap_rpc_channel *channel,
                                  const struct cap_rpc_method *method,
                                  const struct cap_rpc_options *options,
                                  const ProtobufCMessage *request_or_null)
{
    struct cap_rpc_call *call = create(channel, method, options);

    begin(call, request_or_null);
    return call;
}

/* ---- a call ends ---- */

static void copy_details(const struct cap_rpc_call *call, const struct cap_rpc_options *options,
                         struct cap_arena *arena)
{
    const char *details;
    size_t length;

    details = rpc_metadata_find(&call->in_trailers, "grpc-status-details-bin", &length);
    details = details ? cap_arena_strndup(arena, details, length) : NULL;
    if (details) {
        *options->out_details = (const uint8_t *)details;
        *options->out_details_length = length;
    }
}

/* Waits for the status; a failure found here goes before the server's. */
static bool take_status(struct cap_rpc_call *call, const struct cap_rpc_options *options,
                        struct cap_arena *arena, struct cap_err *err)
{
    pthread_mutex_lock(&call->lock);
    while (!call->ended)
        pthread_cond_wait(&call->changed, &call->lock);
    pthread_mutex_unlock(&call->lock);
    if (call->failure.code != CAP_OK)
        return cap_fail(err, call->failure.code, "%s", call->failure.text);
    if (call->status_code == GRPC_STATUS_OK)
        return true;
    if (options && options->out_details)
        copy_details(call, options, arena);
    if (options && options->out_faults)
        rpc_fault_read(call, arena, options->out_faults);
    rpc_fault_read_first(call, err);
    return rpc_status_fail(call, err);
}

bool cap_rpc_close(struct cap_rpc_call *call, struct cap_err *err)
{
    grpc_byte_buffer *bytes;
    bool ok;

    cap_rpc_send_done(call);
    while ((bytes = rpc_receive_bytes(call)) != NULL)
        grpc_byte_buffer_destroy(bytes);
    ok = take_status(call, NULL, NULL, err);
    rpc_call_unreference(call);
    return ok;
}

bool cap_rpc_unary(struct cap_rpc_channel *channel, const struct cap_rpc_method *method,
                   const struct cap_rpc_options *options, const ProtobufCMessage *request,
                   struct cap_arena *arena, ProtobufCMessage **out_reply, struct cap_err *err)
{
    struct cap_rpc_call *call = create(channel, method, options);
    ProtobufCMessage *reply = NULL;
    bool ok;

    begin_unary(call, request);
    ok = take_status(call, options, arena, err);
    if (ok && !call->arriving)
        ok = cap_fail(err, CAP_INTERNAL, "%s answered without a message", method->path);
    if (ok)
        ok = (reply = rpc_unpack(method->reply, arena, call->arriving, err)) != NULL;
    rpc_call_unreference(call);
    if (ok)
        *out_reply = reply;
    return ok;
}
