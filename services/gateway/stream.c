/* Server-sent events: what all our streams do. The connection's thread waits in steps, so that a
 * reader who has left frees his place within one, and one who is still there hears from us. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "service.h"

enum { STEP_MS = 1000, RETRY_MS = 2000 };

struct stream {
    const struct gate_stream_ops *ops;
    void *state;
    struct gate_service *service;
    int64_t said_ms; /* when something was sent last */
    bool begun;
};

void gate_add_event(struct cap_buf *out, const char *name, json_t *json)
{
    CAP_AUTO_MEM char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    if (!text)
        abort();
    if (name)
        cap_buf_printf(out, "event: %s\n", name);
    cap_buf_add_str(out, "data: ");
    cap_buf_add_str(out, text);
    cap_buf_add_str(out, "\n\n");
}

void gate_add_error_event(struct cap_buf *out, const struct cap_err *err)
{
    json_t *json = json_pack("{s:s,s:s}", "code", cap_code_name(err->code), "message", err->text);

    gate_add_event(out, "error", json ? json : json_object());
}

static bool enter(struct gate_service *service)
{
    if (atomic_fetch_add(&service->watchers, 1) >= service->watchers_max) {
        atomic_fetch_sub(&service->watchers, 1);
        return false;
    }
    gate_count(GATE_METRIC_watchers, 1);
    return true;
}

static void leave(struct gate_service *service)
{
    atomic_fetch_sub(&service->watchers, 1);
    gate_count(GATE_METRIC_watchers, -1);
}

static bool next(struct cap_http_request *http, void *arg, struct cap_buf *out)
{
    struct stream *stream = arg;

    if (!stream->begun) /* a browser that loses us comes back after so long */
        cap_buf_printf(out, "retry: %d\n\n", RETRY_MS);
    stream->begun = true;
    while (!stream->ops->wait(stream->state, STEP_MS)) {
        if (cap_http_gone(http))
            return false;
        if (cap_clock_ms(cap_clock_system()) - stream->said_ms >= stream->service->heartbeat_ms) {
            cap_buf_add_str(out, ": still here\n\n");
            stream->said_ms = cap_clock_ms(cap_clock_system());
            return true;
        }
    }
    stream->said_ms = cap_clock_ms(cap_clock_system());
    return stream->ops->add(stream->state, out);
}

static void end(struct cap_http_request *http, void *arg)
{
    struct stream *stream = arg;

    (void)http;
    stream->ops->end(stream->state);
    leave(stream->service);
}

static void refuse(struct cap_http_request *http, const struct gate_service *service)
{
    struct cap_err err = {0};

    cap_fail(&err, CAP_RESOURCE_EXHAUSTED,
             "%d event streams are open, which is the limit; see --watchers-max",
             service->watchers_max);
    cap_http_reply_header(http, "Retry-After", "5");
    gate_reply_error(http, &err);
}

void gate_stream(struct cap_http_request *http, struct gate_service *service,
                 const struct gate_stream_ops *ops, void *state)
{
    struct stream *stream = cap_arena_alloc(cap_http_arena(http), sizeof *stream);

    if (!stream)
        abort();
    if (!enter(service)) {
        ops->end(state);
        refuse(http, service);
        return;
    }
    *stream = (struct stream){.ops = ops,
                              .state = state,
                              .service = service,
                              .said_ms = cap_clock_ms(cap_clock_system())};
    cap_http_reply_header(http, "Cache-Control", "no-store");
    cap_http_reply_stream(http, 200, "text/event-stream",
                          &(struct cap_http_stream){next, end, stream});
}
