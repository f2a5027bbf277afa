/* GET /api/v1/watch/ID: progress as server-sent events, the first at once, then one a change, until
 * everything has ended. The last event is named "end" (or "error", with the reason). EventSource
 * reconnects by itself when we restart. */
#include <stdlib.h>
#include <string.h>

#include "moecap/v1/scheduler.rpc.h"
#include "service.h"
#include "wire/json.h"

static const char watch_prefix[] = "/api/v1/watch/";

struct watch {
    struct cap_rpc_call *call; /* NULL once it is closed */
};

static bool wait_progress(void *state, int64_t wait_ms)
{
    struct watch *watch = state;

    return cap_rpc_wait(watch->call, wait_ms);
}

static bool add_progress(void *state, struct cap_buf *out)
{
    struct watch *watch = state;
    Moecap__V1__Progress *progress = scheduler_rpc_watch_next_reply(watch->call);
    struct cap_err err = {0};

    if (progress) {
        gate_add_event(out, progress->ended ? "end" : NULL, cap_wire_to_json(&progress->base));
        return !progress->ended;
    }
    if (!cap_rpc_close(cap_take(watch->call), &err))
        gate_add_error_event(out, &err);
    return false;
}

static void end_watch(void *state)
{
    struct watch *watch = state;
    struct cap_err ignored = {0};

    if (!watch->call)
        return;
    cap_rpc_cancel(watch->call);
    cap_rpc_close(watch->call, &ignored);
}

void gate_watch(struct cap_http_request *http, void *self)
{
    static const struct gate_stream_ops ops = {wait_progress, add_progress, end_watch};
    static const char *const no_parameters[] = {NULL};
    const struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    struct gate_service *service = self;
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    struct watch *watch;

    if (!gate_accept(http, no_parameters))
        return;
    watch = cap_arena_alloc(cap_http_arena(http), sizeof *watch);
    if (!watch)
        abort();
    request.id = (char *)cap_http_path(http) + strlen(watch_prefix);
    watch->call = scheduler_rpc_watch_open(service->scheduler, &options, &request);
    gate_stream(http, service, &ops, watch);
}
