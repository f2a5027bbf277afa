/* The leases that are due lie in a map by run, so that two beats of a node are one renewal. The
 * thread takes up to RENEW_CALL_MAX of them, renews them with one call, and looks again. The lock
 * guards the map and is held for no call; what a reply calls lost becomes an event of the
 * dispatcher. */
#include "renew.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/map.h"
#include "dispatcher.h"
#include "log/log.h"
#include "moecap/v1/store.rpc.h"

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

static void *run(void *argument)
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
    if (pthread_create(&r->thread, NULL, run, r) != 0)
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
