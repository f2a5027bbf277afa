/* Channels, and the client's side of a call. Every client call of the process is driven by one
 * poller; a caller that blocks waits on its call's condition. */
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/internal.h"

enum {
    TIMEOUT_MS_DEFAULT = 30000,
    KEEPALIVE_MS_DEFAULT = 20000,
    KEEPALIVE_TIMEOUT_MS = 5000,
    RECONNECT_MS_MIN = 100,
    RECONNECT_MS_MAX = 5000,
};

struct cap_rpc_channel {
    grpc_channel *grpc;
    char *target;
    struct cap_rpc_channel_options options;
};

/* ---- channels ---- */

static grpc_arg integer_arg(const char *key, int value)
{
    return (grpc_arg){GRPC_ARG_INTEGER, (char *)key, {.integer = value}};
}

struct cap_rpc_channel *cap_rpc_channel_new(const char *target,
                                            const struct cap_rpc_channel_options *options)
{
    struct cap_rpc_channel *channel = calloc(1, sizeof *channel);
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();

    if (!channel)
        abort();
    if (options)
        channel->options = *options;
    if (channel->options.timeout_ms == 0)
        channel->options.timeout_ms = TIMEOUT_MS_DEFAULT;
    if (channel->options.receive_bytes_max == 0)
        channel->options.receive_bytes_max = RECEIVE_BYTES_MAX_DEFAULT;
    if (channel->options.keepalive_ms == 0)
        channel->options.keepalive_ms = KEEPALIVE_MS_DEFAULT;
    grpc_arg args[] = {
        integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)channel->options.receive_bytes_max),
        integer_arg(GRPC_ARG_KEEPALIVE_TIME_MS, channel->options.keepalive_ms),
        integer_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
        integer_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        integer_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        integer_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_MS_MIN),
        integer_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, RECONNECT_MS_MIN),
        integer_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MS_MAX),
        integer_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
    };
    grpc_channel_args list = {CAP_COUNT_OF(args), args};

    channel->target = strdup(target);
    channel->grpc = grpc_channel_create(target, credentials, &list);
    grpc_channel_credentials_release(credentials);
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

struct watch {
    struct rpc_tag tag;
    pthread_mutex_t lock;
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
    struct watch watch = {.tag = {on_watch}};

    pthread_mutex_init(&watch.lock, NULL);
    pthread_cond_init(&watch.changed, NULL);
    grpc_channel_watch_connectivity_state(channel->grpc, state, deadline, rpc_client_queue(),
                                          &watch.tag);
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

/* ---- a call ---- */

static void on_headers(struct rpc_tag *tag, bool ok)
{
    struct cap_rpc_call *call = ((struct call_tag *)tag)->call;

    pthread_mutex_lock(&call->lock);
    call->in_metadata_ready = ok;
    pthread_cond_broadcast(&call->changed);
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

static void start_status_locked(struct cap_rpc_call *call)
{
    grpc_op headers = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

    headers.data.recv_initial_metadata.recv_initial_metadata = &call->in_metadata;
    status.data.recv_status_on_client.trailing_metadata = &call->in_trailers;
    status.data.recv_status_on_client.status = &call->status_code;
    status.data.recv_status_on_client.status_details = &call->status_message;
    call->on_headers = (struct call_tag){{on_headers}, call};
    call->on_end = (struct call_tag){{on_status}, call};
    rpc_call_batch_locked(call, &headers, 1, &call->on_headers);
    rpc_call_batch_locked(call, &status, 1, &call->on_end);
}

static void take_options(struct cap_rpc_call *call, struct cap_rpc_channel *channel,
                         const struct cap_rpc_options *options)
{
    int64_t timeout_ms =
        options && options->timeout_ms ? options->timeout_ms : channel->options.timeout_ms;

    call->deadline = rpc_deadline_after_ms(timeout_ms);
    if (options && options->wait_for_ready)
        call->header_flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                             GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    for (size_t i = 0; options && i < options->metadata_count && i < METADATA_MAX; i++) {
        const struct cap_rpc_metadata *m = &options->metadata[i];

        rpc_set_metadata(&call->out_metadata[call->out_metadata_count++], m->key, m->value,
                         m->length ? m->length : strlen(m->value));
    }
}

struct cap_rpc_call *cap_rpc_open(struct cap_rpc_channel *channel,
                                  const struct cap_rpc_method *method,
                                  const struct cap_rpc_options *options,
                                  const ProtobufCMessage *request_or_null)
{
    struct cap_rpc_call *call = rpc_call_new();
    grpc_call *parent = options && options->parent ? options->parent->grpc : NULL;

    call->method = method;
    call->send_mark_bytes = SEND_MARK_DEFAULT;
    call->receive_bytes_max = channel->options.receive_bytes_max;
    take_options(call, channel, options);
    call->grpc = grpc_channel_create_call(
        channel->grpc, parent, GRPC_PROPAGATE_DEFAULTS, rpc_client_queue(),
        grpc_slice_from_static_string(method->path), NULL, call->deadline, NULL);
    if (request_or_null)
        cap_rpc_send(call, request_or_null);
    pthread_mutex_lock(&call->lock);
    call->half_close_wanted = request_or_null != NULL;
    start_status_locked(call);
    rpc_call_pump_locked(call);
    pthread_mutex_unlock(&call->lock);
    return call;
}

bool cap_rpc_send_done(struct cap_rpc_call *call)
{
    bool ok;

    pthread_mutex_lock(&call->lock);
    call->half_close_wanted = true;
    rpc_call_pump_locked(call);
    ok = !call->send_broken && !call->ended;
    pthread_mutex_unlock(&call->lock);
    return ok;
}

/* Waits for the status and writes a failure to err; call->failure, found here, goes first. */
static bool take_status(struct cap_rpc_call *call, const struct cap_rpc_options *options,
                        struct cap_arena *arena, struct cap_err *err)
{
    const char *details;
    size_t length;

    pthread_mutex_lock(&call->lock);
    while (!call->ended)
        pthread_cond_wait(&call->changed, &call->lock);
    pthread_mutex_unlock(&call->lock);
    if (call->failure.code != CAP_OK)
        return cap_fail(err, call->failure.code, "%s", call->failure.text);
    if (call->status_code == GRPC_STATUS_OK)
        return true;
    details = rpc_find_metadata(&call->in_trailers, "grpc-status-details-bin", &length);
    if (details && options && options->out_details && arena) {
        *options->out_details = (const uint8_t *)cap_arena_strndup(arena, details, length);
        *options->out_details_length = length;
    }
    return cap_fail(err, (enum cap_code)call->status_code, "%.*s",
                    (int)GRPC_SLICE_LENGTH(call->status_message),
                    (const char *)GRPC_SLICE_START_PTR(call->status_message));
}

static void drop_replies(struct cap_rpc_call *call)
{
    grpc_byte_buffer *bytes;

    while ((bytes = rpc_call_take_bytes(call)) != NULL)
        grpc_byte_buffer_destroy(bytes);
}

bool cap_rpc_close(struct cap_rpc_call *call, struct cap_err *err)
{
    bool ok;

    cap_rpc_send_done(call);
    drop_replies(call);
    ok = take_status(call, NULL, NULL, err);
    rpc_call_unreference(call);
    return ok;
}

bool cap_rpc_unary(struct cap_rpc_channel *channel, const struct cap_rpc_method *method,
                   const struct cap_rpc_options *options, const ProtobufCMessage *request,
                   struct cap_arena *arena, ProtobufCMessage **out_reply, struct cap_err *err)
{
    struct cap_rpc_call *call = cap_rpc_open(channel, method, options, request);
    grpc_byte_buffer *bytes = rpc_call_take_bytes(call);
    ProtobufCMessage *reply = NULL;
    bool ok;

    if (bytes) {
        reply = rpc_unpack(method->reply, arena, bytes, &call->failure);
        grpc_byte_buffer_destroy(bytes);
    }
    ok = take_status(call, options, arena, err);
    if (ok && !reply)
        ok = cap_fail(err, CAP_INTERNAL, "%s answered without a message", method->path);
    rpc_call_unreference(call);
    if (ok)
        *out_reply = reply;
    return ok;
}
