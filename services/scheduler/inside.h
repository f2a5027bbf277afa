/* inside.h — what is behind struct sched_conduct; for conduct.c, carry.c and views.c only. */
#ifndef SCHED_INSIDE_H
#define SCHED_INSIDE_H

#include <pthread.h>

#include "base/map.h"
#include "conduct.h"

/* Actions that may wait for different things wait in different lanes, so that an absent evaluator
 * holds up no lease and a slow node no Stop. Threads are made when needed. */
enum sched_lane_name { SCHED_LANE_STORE, SCHED_LANE_ASSIGN, SCHED_LANE_STOP, SCHED_LANE_GRADE };
enum { SCHED_LANE_COUNT = 4, SCHED_LANE_THREADS_MAX = 64 };

struct sched_task { /* an action that waits for a thread */
    struct sched_task *next;
    struct sched_action action;
};

struct sched_lane {
    struct sched_conduct *conduct;
    pthread_cond_t came;
    struct sched_task *head, **tail;
    int waiting, idle, thread_count, thread_max;
    pthread_t threads[SCHED_LANE_THREADS_MAX];
};

struct sched_conduct {
    struct sched_conduct_options options;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t changed;
    struct sched_state *state;
    struct cap_map *jobs; /* run id -> job, also of ended runs, the oldest forgotten first */
    struct sched_lane lanes[SCHED_LANE_COUNT];
    pthread_t ticker;
    uint64_t version;
    bool stopping;
};

/* Carries one action out and feeds back what comes of it. Any thread; may block for long. */
void sched_carry_out(struct sched_conduct *conduct, const struct sched_action *action);

#endif
