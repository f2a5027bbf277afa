/* The connected nodes, by id, and what several threads share of each stream.
 *
 * A stream has its handler, which made it, and users, which found it by its id. sched_stream_close
 * takes it out of the map and then waits for the users, so nobody is left with a freed stream.
 *
 * Locks. streams->lock guards the map, the users and the limits on log lines; nothing that may
 * block is called under it. A stream's `order` is held while something is sent, which may take long
 * when the node does not read: `sending_since_ms` says since when, and sched_streams_drop_stuck
 * reads it without that lock. A stream's `beat_lock` guards its last beat. Nothing here takes a
 * lock while it holds another; a sender may take the dispatcher's while it holds `order`
 * (dispatcher.c).
 */
#include "stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "log/log.h"
#include "rpc/rpc.h"

struct sched_stream {
    char node_id[CAP_ID_BYTES];
    struct cap_rpc_call *call;
    void *hello;
    size_t hello_bytes;
    int64_t since_ms;
    pthread_mutex_t order;     /* guards no field: held while sending */
    pthread_mutex_t beat_lock; /* guards the next two */
    void *beat;
    size_t beat_bytes;
    _Atomic int64_t sending_since_ms; /* by the clock that never goes back; 0 = nothing is sent */
    _Atomic bool stopping;            /* a Stop waits to be sent */
    int users;
    struct cap_log_limit log;
};

struct sched_streams {
    pthread_mutex_t lock; /* guards the map, the version and every stream's users and log */
    uint64_t version;
    pthread_cond_t unused;
    struct cap_map *by_node;
};

struct sched_streams *sched_streams_new(void)
{
    struct sched_streams *streams = calloc(1, sizeof *streams);

    if (!streams)
        abort();
    pthread_mutex_init(&streams->lock, NULL);
    pthread_cond_init(&streams->unused, NULL);
    streams->by_node = cap_map_new();
    return streams;
}

void sched_streams_free(struct sched_streams *streams)
{
    if (!streams)
        return;
    cap_map_free(streams->by_node);
    pthread_mutex_destroy(&streams->lock);
    pthread_cond_destroy(&streams->unused);
    free(streams);
}

struct sched_stream *sched_stream_open(struct sched_streams *streams, struct cap_rpc_call *call,
                                       const void *hello, size_t hello_bytes,
                                       char out_node_id[CAP_ID_BYTES])
{
    struct sched_stream *stream = calloc(1, sizeof *stream);

    if (!stream || !(stream->hello = malloc(hello_bytes + 1)))
        abort();
    memcpy(stream->hello, hello, hello_bytes);
    stream->hello_bytes = hello_bytes;
    stream->call = call;
    stream->since_ms = cap_clock_wall_ms(cap_clock_system());
    pthread_mutex_init(&stream->order, NULL);
    pthread_mutex_init(&stream->beat_lock, NULL);
    cap_rand_id("node", stream->node_id);
    memcpy(out_node_id, stream->node_id, CAP_ID_BYTES);
    pthread_mutex_lock(&streams->lock);
    cap_map_put(streams->by_node, stream->node_id, stream);
    streams->version++;
    pthread_mutex_unlock(&streams->lock);
    return stream;
}

void sched_stream_close(struct sched_streams *streams, struct sched_stream *stream)
{
    pthread_mutex_lock(&streams->lock);
    cap_map_remove(streams->by_node, stream->node_id);
    streams->version++;
    while (stream->users > 0)
        pthread_cond_wait(&streams->unused, &streams->lock);
    pthread_mutex_unlock(&streams->lock);
    pthread_mutex_destroy(&stream->order);
    pthread_mutex_destroy(&stream->beat_lock);
    free(stream->hello);
    free(stream->beat);
    free(stream);
}

uint64_t sched_streams_version(struct sched_streams *streams)
{
    uint64_t version;

    pthread_mutex_lock(&streams->lock);
    version = streams->version;
    pthread_mutex_unlock(&streams->lock);
    return version;
}

struct sched_stream *sched_stream_use(struct sched_streams *streams, const char *node_id)
{
    struct sched_stream *stream;

    pthread_mutex_lock(&streams->lock);
    stream = cap_map_get(streams->by_node, node_id);
    if (stream)
        stream->users++;
    pthread_mutex_unlock(&streams->lock);
    return stream;
}

void sched_stream_done(struct sched_streams *streams, struct sched_stream *stream)
{
    pthread_mutex_lock(&streams->lock);
    stream->users--;
    pthread_cond_broadcast(&streams->unused);
    pthread_mutex_unlock(&streams->lock);
}

struct cap_rpc_call *sched_stream_call(const struct sched_stream *stream)
{
    return stream->call;
}

const void *sched_stream_hello(const struct sched_stream *stream, size_t *out_bytes)
{
    *out_bytes = stream->hello_bytes;
    return stream->hello;
}

void sched_stream_note_beat(struct sched_stream *stream, const void *beat, size_t bytes)
{
    void *copy = malloc(bytes + 1);

    if (!copy)
        abort();
    memcpy(copy, beat, bytes);
    pthread_mutex_lock(&stream->beat_lock);
    free(stream->beat);
    stream->beat = copy;
    stream->beat_bytes = bytes;
    pthread_mutex_unlock(&stream->beat_lock);
}

const void *sched_stream_beat(struct sched_stream *stream, struct cap_arena *arena,
                              size_t *out_bytes)
{
    void *copy = NULL;

    pthread_mutex_lock(&stream->beat_lock);
    if (stream->beat && (copy = cap_arena_alloc(arena, stream->beat_bytes + 1))) {
        memcpy(copy, stream->beat, stream->beat_bytes);
        *out_bytes = stream->beat_bytes;
    }
    pthread_mutex_unlock(&stream->beat_lock);
    return copy;
}

int64_t sched_stream_since_ms(const struct sched_stream *stream)
{
    return stream->since_ms;
}

void sched_stream_hold_order(struct sched_stream *stream)
{
    pthread_mutex_lock(&stream->order);
    stream->sending_since_ms = cap_clock_ms(cap_clock_system());
}

void sched_stream_let_go(struct sched_stream *stream)
{
    stream->sending_since_ms = 0;
    pthread_mutex_unlock(&stream->order);
}

bool sched_stream_begin_stop(struct sched_stream *stream)
{
    bool waits = false;

    return atomic_compare_exchange_strong(&stream->stopping, &waits, true);
}

void sched_stream_end_stop(struct sched_stream *stream)
{
    stream->stopping = false;
}

bool sched_stream_may_log(struct sched_streams *streams, struct sched_stream *stream,
                          int *out_untold)
{
    bool may;

    pthread_mutex_lock(&streams->lock);
    may = cap_log_may(&stream->log, cap_clock_ms(cap_clock_system()), out_untold);
    pthread_mutex_unlock(&streams->lock);
    return may;
}

void sched_streams_drop(struct sched_streams *streams, const char *node_id)
{
    struct sched_stream *stream = sched_stream_use(streams, node_id);

    if (!stream)
        return;
    cap_rpc_cancel(stream->call);
    sched_stream_done(streams, stream);
}

void sched_streams_drop_stuck(struct sched_streams *streams, int64_t sending_ms_max)
{
    int64_t now_ms = cap_clock_ms(cap_clock_system());

    pthread_mutex_lock(&streams->lock);
    for (size_t i = 0; i < cap_map_count(streams->by_node); i++) {
        struct sched_stream *stream = cap_map_value_at(streams->by_node, i);
        int64_t since_ms = stream->sending_since_ms;

        if (since_ms == 0 || now_ms - since_ms <= sending_ms_max)
            continue;
        cap_log(WARN, "node_dropped", "id=%s reason=\"it does not read\"", stream->node_id);
        stream->sending_since_ms = 0; /* once */
        cap_rpc_cancel(stream->call);
    }
    pthread_mutex_unlock(&streams->lock);
}

void sched_streams_cancel(struct sched_streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    for (size_t i = 0; i < cap_map_count(streams->by_node); i++)
        cap_rpc_cancel(((struct sched_stream *)cap_map_value_at(streams->by_node, i))->call);
    pthread_mutex_unlock(&streams->lock);
}
