/* state.h — what is behind struct sched_state; for step.c and order.c only. */
#ifndef SCHED_STATE_H
#define SCHED_STATE_H

#include "base/map.h"
#include "step.h"

struct sched_state {
    struct sched_policy policy;
    struct cap_map *runs;        /* id -> struct sched_run */
    struct cap_map *nodes;       /* id -> struct sched_node */
    struct cap_map *last_served; /* submitter -> struct served */
};

/* When a submitter's run was leased last, for fair share. */
struct served {
    int64_t at_ms;
};

#endif
