/* One queue and one thread for each node's stream; append_rpc.h says why.
 *
 * What it guarantees
 *   Batches are stored in the order in which they came. A batch is acknowledged only after the
 *   store has it and the dispatcher knows it (store_batch). A batch is taken only from the node
 *   that holds the lease. One that the store refuses for good ends the lease, and what follows of
 *   that lease is not stored. While the store is away, the same batch is tried again with growing
 *   pauses, and nothing overtakes it.
 *
 * Locks: one, over the queue, and it is held for no call. The reader of the stream waits under it
 * only while the queue is full. `refused_run` and `refused_fence` belong to the thread that stores.
 *
 * What can interleave
 *   The stream may end while a batch is tried: what waits then gets LAST_APPENDS_MS_MAX at most,
 *   and the node sends the rest again on its next stream. The lease may go to another node between
 *   the look at its holder and Append: the store's fence refuses the batch.
 */
#include "append_rpc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "log/log.h"
#include "metrics.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

enum {
    BATCH_ARENA_BYTES = 64 << 20,
    PAUSE_GROWTH_MAX = 8,
    LAST_APPENDS_MS_MAX = 3000, /* what is still stored of a stream that has ended */
};

struct batch {
    struct batch *next;
    struct cap_arena *arena; /* holds the message */
    Moecap__V1__AnswerBatch *message;
    size_t bytes;
};

struct sched_append {
    struct sched_append_options options;
    pthread_t thread;
    bool threaded;
    /* of the last lease whose batch was refused for good: the rest of it is not asked for */
    char refused_run[CAP_ID_BYTES];
    uint64_t refused_fence;

    pthread_mutex_t lock; /* guards what follows; held for no call */
    pthread_cond_t changed;
    struct batch *head, **tail;
    size_t bytes;  /* of the batches here and of the one being stored */
    bool ending;   /* the stream has ended */
    int64_t until; /* then: when the rest is dropped */
};

/* ---- the queue ---- */

static void free_batch(struct batch *batch)
{
    cap_arena_free(batch->arena);
    free(batch);
}

/* While nobody reads what the node says, its silence is ours. */
static void say_waiting(struct sched_append *a, bool waiting)
{
    const struct sched_event event = {.kind = waiting ? SCHED_NODE_WAITS : SCHED_NODE_HEARD,
                                      .node_id = a->options.node_id};

    sched_dispatcher_event(a->options.service->dispatcher, &event);
}

static void wait_for_room_locked(struct sched_append *a, const struct batch *batch)
{
    const struct sched_service *service = a->options.service;
    const Moecap__V1__LeaseRef *lease = batch->message->lease;

    while (a->bytes > 0 && a->bytes + batch->bytes > SCHED_APPEND_QUEUE_BYTES_MAX &&
           !cap_rpc_cancelled(sched_stream_call(a->options.stream)) && !service->draining) {
        pthread_mutex_unlock(&a->lock);
        say_waiting(a, true);
        sched_renewals_note(service->renewals, lease->run_id, lease->fence);
        pthread_mutex_lock(&a->lock);
        cap_wait_ms(&a->changed, &a->lock, service->beat_ms);
    }
}

static void *store_batches(void *argument);

void sched_append_put(struct sched_append *a, const Moecap__V1__AnswerBatch *message)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (!batch)
        abort();
    batch->arena = cap_arena_new(BATCH_ARENA_BYTES);
    batch->message = (Moecap__V1__AnswerBatch *)cap_rpc_copy(&message->base, batch->arena);
    batch->bytes = message->rows.len + sizeof *message;
    if (!batch->message || !message->lease) {
        free_batch(batch);
        return;
    }
    pthread_mutex_lock(&a->lock);
    wait_for_room_locked(a, batch);
    *a->tail = batch;
    a->tail = &batch->next;
    a->bytes += batch->bytes;
    if (!a->threaded && pthread_create(&a->thread, NULL, store_batches, a) != 0)
        abort();
    a->threaded = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

/* The next batch to store; NULL when the stream has ended and nothing is left worth storing. */
static struct batch *next_batch(struct sched_append *a)
{
    struct batch *batch;

    pthread_mutex_lock(&a->lock);
    while (!a->head && !a->ending)
        pthread_cond_wait(&a->changed, &a->lock);
    batch = a->head;
    if (a->ending && (a->options.service->draining || cap_clock_ms(cap_clock_system()) > a->until))
        batch = NULL;
    if (batch) {
        a->head = batch->next;
        if (!a->head)
            a->tail = &a->head;
    }
    pthread_mutex_unlock(&a->lock);
    return batch;
}

static void note_stored(struct sched_append *a, struct batch *batch)
{
    pthread_mutex_lock(&a->lock);
    a->bytes -= batch->bytes;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    free_batch(batch);
}

/* ---- storing ---- */

static void refuse_lease(struct sched_append *a, const Moecap__V1__LeaseRef *lease,
                         const char *reason)
{
    const struct sched_event event = {.kind = SCHED_SHARD_REFUSED,
                                      .run_id = lease->run_id,
                                      .node_id = a->options.node_id,
                                      .fence = lease->fence,
                                      .reason = reason};

    cap_log(WARN, "answers_refused", "run=%s node=%s reason=%s", lease->run_id,
            a->options.node_name, CAP_LOG_Q(reason));
    snprintf(a->refused_run, sizeof a->refused_run, "%s", lease->run_id);
    a->refused_fence = lease->fence;
    sched_count(SCHED_METRIC_batches_refused_total, 1);
    sched_dispatcher_event(a->options.service->dispatcher, &event);
}

static bool has_ended(struct sched_append *a)
{
    bool ending;

    pthread_mutex_lock(&a->lock);
    ending = a->ending;
    pthread_mutex_unlock(&a->lock);
    return ending || a->options.service->draining;
}

/* What comes behind a batch that was not stored has no place in the order. */
static void drop_rest(struct sched_append *a)
{
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    a->until = INT64_MIN;
    pthread_mutex_unlock(&a->lock);
}

/* True when the store has the batch; false when it refuses for good, or when the stream ends before
 * the store, which is away, is back: then the node sends it again on its next stream. */
static bool append(struct sched_append *a, struct batch *batch, const char *node_id,
                   Moecap__V1__AppendReply **out_reply)
{
    const struct sched_service *service = a->options.service;
    Moecap__V1__AppendRequest request = MOECAP__V1__APPEND_REQUEST__INIT;
    int64_t pause_ms = service->retry_ms;
    bool waited = false, stored;
    struct cap_err err = {0};

    request.batch = batch->message;
    request.node_id = (char *)node_id;
    while (!(stored = store_rpc_append(service->clients.store, NULL, &request, batch->arena,
                                       out_reply, &err))) {
        if (!sched_may_pass(&err)) {
            refuse_lease(a, batch->message->lease, err.text);
            break;
        }
        cap_log(WARN, "append_failed", "run=%s seq=%llu reason=%s", batch->message->lease->run_id,
                (unsigned long long)batch->message->seq, CAP_LOG_Q(err.text));
        if (!waited)
            say_waiting(a, true);
        waited = true;
        if (has_ended(a) || !sched_dispatcher_pause(service->dispatcher, pause_ms)) {
            drop_rest(a);
            break;
        }
        if (pause_ms < service->retry_ms * PAUSE_GROWTH_MAX)
            pause_ms *= 2;
        cap_err_clear(&err);
    }
    if (waited)
        say_waiting(a, false);
    return stored;
}

/* The order matters: the store has the batch, then the run moves on, then the node may forget. */
static void store_batch(struct sched_append *a, struct batch *batch)
{
    struct sched_service *service = a->options.service;
    const Moecap__V1__LeaseRef *lease = batch->message->lease;
    struct sched_event event = {.kind = SCHED_ANSWERS_STORED, .run_id = lease->run_id};
    enum sched_holder holder = sched_dispatcher_holder(service->dispatcher, a->options.node_id,
                                                       lease->run_id, lease->fence);
    Moecap__V1__AppendReply *reply;

    if (a->refused_fence == lease->fence && strcmp(a->refused_run, lease->run_id) == 0)
        return;
    if (holder == SCHED_HELD_BY_ANOTHER) {
        refuse_lease(a, lease, "the lease is another node's");
        return;
    }
    /* the store knows a node that came back after the scheduler's death by its id before */
    if (!append(a, batch, holder == SCHED_HELD_SINCE_BEFORE ? "" : a->options.node_id, &reply))
        return;
    event.fence = lease->fence;
    event.count = reply->samples_answered;
    event.final = reply->run_done;
    sched_dispatcher_event(service->dispatcher, &event);
    sched_count(SCHED_METRIC_batches_total, 1);
    sched_work_ack(a->options.stream, lease->run_id, batch->message->seq);
}

static void *store_batches(void *argument)
{
    struct sched_append *a = argument;
    struct batch *batch;

    while ((batch = next_batch(a)) != NULL) {
        store_batch(a, batch);
        note_stored(a, batch);
    }
    return NULL;
}

/* ---- life ---- */

struct sched_append *sched_append_new(const struct sched_append_options *options)
{
    struct sched_append *a = calloc(1, sizeof *a);

    if (!a)
        abort();
    a->options = *options;
    a->tail = &a->head;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    return a;
}

void sched_append_free(struct sched_append *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    if (!a->ending)
        a->until = cap_clock_ms(cap_clock_system()) + LAST_APPENDS_MS_MAX;
    a->ending = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->threaded)
        pthread_join(a->thread, NULL);
    while (a->head) {
        struct batch *next = a->head->next;

        free_batch(a->head);
        a->head = next;
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->changed);
    free(a);
}
