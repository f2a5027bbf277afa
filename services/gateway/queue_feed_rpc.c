/* GET /api/v1/queue/watch: the queue whenever it has changed, for as long as the reader stays. The
 * scheduler is asked at most once in FEED_MS, however many watch: whoever finds the answer too old
 * asks, without the lock; the others go on with what there is. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "moecap/v1/scheduler.rpc.h"
#include "service.h"
#include "wire/json.h"

enum { FEED_MS = 1000, ASK_MS = 3000, ENTRIES_MAX = 1000, ARENA_BYTES = 64 << 20 };

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
    static const char *const no_parameters[] = {NULL};
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
