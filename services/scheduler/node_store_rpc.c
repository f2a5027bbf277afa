/* From connected nodes to the store, beside the threads that read the nodes' streams.
 *
 * What it guarantees. Batches of one node are appended in the order in which they came. The store
 * has a batch before the run moves on, and the run moves on before the node may forget the batch.
 * After a batch that the store never took, nothing of that stream is stored: the node sends it
 * again on its next stream. A lease whose batch was refused for good is stored no more. A lease
 * that is noted while the store is asked goes with the next call.
 *
 * Threads. One for each node that has sent answers, and one that renews for all nodes. The reader
 * of a stream takes a queue's lock for a moment; it waits only when the queue is full.
 *
 * Locks. Each queue and the list of leases have their own lock. Neither is held while the store,
 * the dispatcher or a node is called, and neither is taken under the other. `refused_run` and
 * `refused_fence` have none: they belong to the thread that stores.
 *
 * What can interleave. A lease may end or go to another node while its batch waits: the dispatcher
 * is asked just before the append, and the store, which compares fences, has the last word. The
 * stream may end at any time: what waits is stored for LAST_APPENDS_MS_MAX more, then dropped. A
 * renewal may cross the end of its lease: the store names it as lost, and the dispatcher ignores
 * that when the run has another fence by now. */
#include "node_store_rpc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/map.h"
#include "dispatcher.h"
#include "log/log.h"
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

/* No lease can be ended for it; the node goes on sending it, so the log must know why. */
static void drop_nameless(struct sched_append *a)
{
    int untold;

    if (sched_stream_may_log(a->options.service->streams, a->options.stream, &untold))
        cap_log(WARN, "answers_refused", "node=%s reason=%s untold=%d", a->options.node_name,
                CAP_LOG_Q("the batch names no lease, or is too large to be copied"), untold);
}

void sched_append_put(struct sched_append *a, const Moecap__V1__AnswerBatch *message)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (!batch)
        abort();
    batch->arena = cap_arena_new(BATCH_ARENA_BYTES);
    batch->message = (Moecap__V1__AnswerBatch *)cap_rpc_copy(&message->base, batch->arena);
    batch->bytes = message->rows.len + sizeof *message;
    if (!batch->message || !message->lease) {
        drop_nameless(a);
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

/* ==== leases, renewed together ====
 *
 * The leases that are due lie in a map by run, so that two beats of a node are one renewal. The
 * thread takes up to RENEW_CALL_MAX of them, renews them with one call, and looks again. What a
 * reply calls lost becomes an event of the dispatcher. */

enum { RENEW_ARENA_BYTES = 8 << 20, RENEW_CALL_MAX = 1024 /* leases; the store takes 4096 */ };

struct sched_renewals {
    struct cap_rpc_channel *store;
    struct sched_dispatcher *dispatcher;
    int64_t lease_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; held for no call */
    pthread_cond_t came;
    struct cap_map *due; /* run id -> struct due */
    bool ending;
};

struct due {
    char run_id[CAP_ID_BYTES];
    uint64_t fence;
};

/* What is due now, at most RENEW_CALL_MAX; 0 = the program ends. */
static size_t wait_for_due(struct sched_renewals *r, struct due out[RENEW_CALL_MAX])
{
    size_t count = 0;

    pthread_mutex_lock(&r->lock);
    while (cap_map_count(r->due) == 0 && !r->ending)
        pthread_cond_wait(&r->came, &r->lock);
    while (cap_map_count(r->due) > 0 && count < RENEW_CALL_MAX && !r->ending) {
        struct due *due = cap_map_value_at(r->due, cap_map_count(r->due) - 1);

        out[count++] = *due;
        cap_map_remove(r->due, due->run_id);
        free(due);
    }
    pthread_mutex_unlock(&r->lock);
    return count;
}

static void tell_lost(struct sched_renewals *r, const Moecap__V1__RenewReply *reply)
{
    for (size_t i = 0; i < reply->n_lost; i++) {
        const struct sched_event lost = {.kind = SCHED_LEASE_LOST,
                                         .run_id = reply->lost[i]->run_id,
                                         .fence = reply->lost[i]->fence};

        sched_dispatcher_event(r->dispatcher, &lost);
    }
}

static void renew(struct sched_renewals *r, const struct due *due, size_t count)
{
    const struct cap_rpc_options options = {.timeout_ms = r->lease_ms};
    CAP_AUTO(cap_arena) arena = cap_arena_new(RENEW_ARENA_BYTES);
    Moecap__V1__RenewRequest request = MOECAP__V1__RENEW_REQUEST__INIT;
    Moecap__V1__LeaseRef refs[RENEW_CALL_MAX], *list[RENEW_CALL_MAX];
    Moecap__V1__RenewReply *reply;
    struct cap_err err = {0};

    for (size_t i = 0; i < count; i++) {
        list[i] = &refs[i];
        moecap__v1__lease_ref__init(list[i]);
        list[i]->run_id = (char *)due[i].run_id;
        list[i]->shard = SCHED_SHARD;
        list[i]->fence = due[i].fence;
    }
    request.leases = list;
    request.n_leases = count;
    request.lease_ms = (uint32_t)r->lease_ms;
    if (store_rpc_renew(r->store, &options, &request, arena, &reply, &err))
        tell_lost(r, reply);
    else
        cap_log(WARN, "renew_failed", "leases=%zu reason=%s", count, CAP_LOG_Q(err.text));
}

static void *renew_due(void *argument)
{
    struct sched_renewals *r = argument;
    struct due due[RENEW_CALL_MAX];
    size_t count;

    while ((count = wait_for_due(r, due)) > 0)
        renew(r, due, count);
    return NULL;
}

void sched_renewals_note(struct sched_renewals *r, const char *run_id, uint64_t fence)
{
    struct due *due = calloc(1, sizeof *due);

    if (!due)
        abort();
    snprintf(due->run_id, sizeof due->run_id, "%s", run_id);
    due->fence = fence;
    pthread_mutex_lock(&r->lock);
    free(cap_map_put(r->due, due->run_id, due)); /* the latest lease of a run is the one it has */
    pthread_cond_signal(&r->came);
    pthread_mutex_unlock(&r->lock);
}

struct sched_renewals *sched_renewals_new(struct cap_rpc_channel *store,
                                          struct sched_dispatcher *dispatcher, int64_t lease_ms)
{
    struct sched_renewals *r = calloc(1, sizeof *r);

    if (!r)
        abort();
    r->store = store;
    r->dispatcher = dispatcher;
    r->lease_ms = lease_ms;
    r->due = cap_map_new();
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->came, NULL);
    if (pthread_create(&r->thread, NULL, renew_due, r) != 0)
        abort();
    return r;
}

void sched_renewals_free(struct sched_renewals *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_signal(&r->came);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    for (size_t i = 0; i < cap_map_count(r->due); i++)
        free(cap_map_value_at(r->due, i));
    cap_map_free(r->due);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->came);
    free(r);
}
