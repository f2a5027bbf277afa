/* dispatcher_inside.h — what is behind struct sched_dispatcher; for dispatcher.c and actions.c
 * only. */
#ifndef SCHED_DISPATCHER_INSIDE_H
#define SCHED_DISPATCHER_INSIDE_H

#include <pthread.h>

#include "base/map.h"
#include "base/sorted.h"
#include "dispatcher.h"

/* Actions that may wait for different things wait in different pools, so that an absent evaluator
 * holds up no lease, a slow node no Stop, and a node that does not read no other node's end.
 * Threads are made when needed. */
enum sched_pool_name {
    SCHED_POOL_STORE,
    SCHED_POOL_ASSIGN,
    SCHED_POOL_STOP,
    SCHED_POOL_DROP, /* waits for nobody */
    SCHED_POOL_GRADE,
    SCHED_POOL_COUNT
};
enum { SCHED_POOL_THREADS_MAX = 64 };

struct sched_waiting_action { /* an action that waits for a thread */
    struct sched_waiting_action *next;
    struct sched_action action;
};

struct sched_pool {
    struct sched_dispatcher *dispatcher;
    pthread_cond_t came;
    struct sched_waiting_action *head, **tail;
    int waiting, idle, thread_count, thread_max;
    pthread_t threads[SCHED_POOL_THREADS_MAX];
};

struct sched_evaluation {
    struct sched_job **jobs; /* in the order in which they were added */
    size_t count, room;
};

struct sched_dispatcher {
    struct sched_dispatcher_options options;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t changed;
    struct sched_state *state;
    struct cap_map *jobs;        /* run id -> job */
    struct cap_map *evaluations; /* evaluation id -> struct sched_evaluation */
    struct cap_sorted *arrivals; /* jobs that have not ended, by queued_at_ms, then run id */
    struct sched_job
        *first_ended; /* kept for those who watch; the first to end is forgotten first */
    struct sched_job **last_ended;
    size_t ended_count;
    struct sched_pool pools[SCHED_POOL_COUNT];
    pthread_t ticker;
    uint64_t version;
    bool stopping;
};

/* Carries one action out and feeds back what comes of it. Any thread; may block for long. */
void sched_action_perform(struct sched_dispatcher *dispatcher, const struct sched_action *action);

#endif
