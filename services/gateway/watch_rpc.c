/* GET /api/v1/watch/ID: progress as server-sent events, one a change, until everything has ended.
 * The last event is named "end" (or "error", with the reason). EventSource reconnects by itself
 * when we restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moecap/v1/scheduler.rpc.h"
#include "service.h"
#include "wire/json.h"

static const char watch_prefix[] = "/api/v1/watch/";

struct watch {
    struct cap_rpc_call *call;
    bool ended;
};

static void add_event(struct cap_buf *out, const char *name, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    if (!text)
        abort();
    if (name)
        cap_buf_printf(out, "event: %s\n", name);
    cap_buf_printf(out, "data: %s\n\n", text);
    free(text);
    json_decref(json);
}

static bool next_event(struct cap_http_request *http, void *state, struct cap_buf *out)
{
    struct watch *watch = state;
    Moecap__V1__Progress *progress =
        watch->ended ? NULL : scheduler_rpc_watch_next_reply(watch->call);
    struct cap_err err = {0};

    (void)http;
    if (progress) {
        watch->ended = progress->ended;
        add_event(out, watch->ended ? "end" : NULL, cap_wire_to_json(&progress->base));
        return !watch->ended;
    }
    if (!cap_rpc_close(cap_take(watch->call), &err))
        add_event(out, "error",
                  json_pack("{s:s,s:s}", "code", cap_code_name(err.code), "message", err.text));
    return false;
}

static void end_watch(struct cap_http_request *http, void *state)
{
    struct watch *watch = state;
    struct cap_err ignored = {0};

    (void)http;
    if (watch->call) {
        cap_rpc_cancel(watch->call);
        cap_rpc_close(watch->call, &ignored);
    }
    gate_count(GATE_METRIC_watchers, -1);
}

void gate_watch(struct cap_http_request *http, void *self)
{
    const struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    static const char *const no_parameters[] = {NULL};
    struct gate_service *service = self;
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    struct watch *watch;

    if (!gate_accept(http, service, no_parameters))
        return;
    watch = cap_arena_alloc(cap_http_arena(http), sizeof *watch);
    if (!watch)
        abort();
    request.id = (char *)cap_http_path(http) + strlen(watch_prefix);
    watch->call = scheduler_rpc_watch_open(service->scheduler, &options, &request);
    gate_count(GATE_METRIC_watchers, 1);
    cap_http_reply_header(http, "Cache-Control", "no-store");
    cap_http_reply_stream(http, 200, "text/event-stream",
                          &(struct cap_http_stream){next_event, end_watch, watch});
}
