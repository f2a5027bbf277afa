/* Channels: a target, the connection to it that gRPC keeps, and the defaults of its calls. */
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/internal.h"

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
