/* Server-sent events.
 *
 * What all streams do: at most watchers_max at a time, each with its connection's thread, which
 * waits in steps. So a reader who has left frees his place within one step, and one who is still
 * there hears a comment when nothing happened for heartbeat_ms.
 *
 * GET /api/v1/watch/ID: progress, the first message at once, then one for each change, until
 * everything has ended. The last event is named "end" (or "error", with the reason). EventSource
 * reconnects by itself when we restart.
 *
 * GET /api/v1/queue/watch: the queue whenever it has changed, for as long as the reader stays. The
 * scheduler is asked at most once in FEED_MS, however many watch: the thread that finds the answer
 * too old asks, without the lock; the others go on with the answer that is there. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "moecap/v1/scheduler.rpc.h"
#include "service.h"
#include "wire/json.h"

enum {
    STEP_MS = 1000,
    RETRY_MS = 2000,
    FEED_MS = 1000,
    ASK_MS = 3000,
    ENTRIES_MAX = 1000,
    ARENA_BYTES = 64 << 20,
};

static const char *const no_parameters[] = {NULL};

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

    if (!stream->begun) /* when a browser that loses us comes back */
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

static void end_stream(struct cap_http_request *http, void *arg)
{
    struct stream *stream = arg;

    (void)http;
    stream->ops->end(stream->state);
    leave(stream->service);
}

static void refuse_stream(struct cap_http_request *http, const struct gate_service *service)
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
        refuse_stream(http, service);
        return;
    }
    *stream = (struct stream){.ops = ops,
                              .state = state,
                              .service = service,
                              .said_ms = cap_clock_ms(cap_clock_system())};
    cap_http_reply_header(http, "Cache-Control", "no-store");
    cap_http_reply_stream(http, 200, "text/event-stream",
                          &(struct cap_http_stream){next, end_stream, stream});
}

/* ---- progress ---- */

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

/* ---- the queue ---- */

struct gate_feed {
    struct cap_rpc_channel *scheduler;
    pthread_mutex_t lock; /* guards everything below */
    char *text;           /* the queue as JSON */
    uint64_t version;     /* of the text, counted from 1; 0 = nothing was told yet */
    int64_t asked_ms;
    bool asking;            /* somebody does */
    struct cap_err failure; /* of the last question */
};

struct reader {
    struct gate_feed *feed;
    uint64_t seen; /* version */
};

struct gate_feed *gate_feed_new(struct cap_rpc_channel *scheduler)
{
    struct gate_feed *feed = calloc(1, sizeof *feed);

    if (!feed)
        abort();
    pthread_mutex_init(&feed->lock, NULL);
    feed->scheduler = scheduler;
    feed->asked_ms = INT64_MIN;
    return feed;
}

void gate_feed_free(struct gate_feed *feed)
{
    if (!feed)
        return;
    pthread_mutex_destroy(&feed->lock);
    free(feed->text);
    free(feed);
}

static void keep_locked(struct gate_feed *feed, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    if (!text)
        abort();
    if (feed->text && strcmp(text, feed->text) == 0) {
        free(text);
        return;
    }
    free(feed->text);
    feed->text = text;
    feed->version++;
}

/* NULL with err when the scheduler does not tell. Takes up to ASK_MS. */
static json_t *ask(struct gate_feed *feed, struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = ASK_MS};
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES);
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply;

    request.limit = ENTRIES_MAX;
    request.by_arrival = true;
    return scheduler_rpc_list_queue(feed->scheduler, &options, &request, arena, &reply, err)
               ? cap_wire_to_json(&reply->base)
               : NULL;
}

/* True for the one who is to ask now. */
static bool claim(struct gate_feed *feed)
{
    bool mine;

    pthread_mutex_lock(&feed->lock);
    mine = !feed->asking && feed->asked_ms <= cap_clock_ms(cap_clock_system()) - FEED_MS;
    if (mine)
        feed->asking = true;
    pthread_mutex_unlock(&feed->lock);
    return mine;
}

static void refresh(struct gate_feed *feed)
{
    struct cap_err err = {0};
    json_t *json;

    if (!claim(feed))
        return;
    json = ask(feed, &err);
    pthread_mutex_lock(&feed->lock);
    if (json)
        keep_locked(feed, json);
    feed->failure = err;
    feed->asked_ms = cap_clock_ms(cap_clock_system());
    feed->asking = false;
    pthread_mutex_unlock(&feed->lock);
}

static bool has_news(const struct reader *reader)
{
    struct gate_feed *feed = reader->feed;
    bool news;

    refresh(feed);
    pthread_mutex_lock(&feed->lock);
    news = feed->failure.code != CAP_OK || feed->version != reader->seen;
    pthread_mutex_unlock(&feed->lock);
    return news;
}

static bool wait_queue(void *state, int64_t wait_ms)
{
    if (has_news(state))
        return true;
    cap_sleep_ms(wait_ms);
    return has_news(state);
}

static bool add_queue(void *state, struct cap_buf *out)
{
    struct reader *reader = state;
    struct gate_feed *feed = reader->feed;
    bool ok;

    pthread_mutex_lock(&feed->lock);
    ok = feed->failure.code == CAP_OK;
    if (ok) {
        cap_buf_add_str(out, "data: ");
        cap_buf_add_str(out, feed->text);
        cap_buf_add_str(out, "\n\n");
    } else {
        gate_add_error_event(out, &feed->failure);
    }
    reader->seen = feed->version;
    pthread_mutex_unlock(&feed->lock);
    return ok;
}

static void end_queue(void *state)
{
    (void)state;
}

void gate_watch_queue(struct cap_http_request *http, void *self)
{
    static const struct gate_stream_ops ops = {wait_queue, add_queue, end_queue};
    struct gate_service *service = self;
    struct reader *reader;

    if (!gate_accept(http, no_parameters))
        return;
    reader = cap_arena_alloc(cap_http_arena(http), sizeof *reader);
    if (!reader)
        abort();
    *reader = (struct reader){.feed = service->queue_feed};
    gate_stream(http, service, &ops, reader);
}
