/* state.h — what is behind struct sched_state; for step.c and order.c only. */
#ifndef SCHED_STATE_H
#define SCHED_STATE_H

#include "base/map.h"
#include "step.h"

struct sched_state {
    struct sched_policy policy;
    struct cap_map *runs;                  /* id -> struct sched_run */
    struct cap_map *nodes;                 /* id -> struct sched_node */
    struct cap_map *shares;                /* submitter -> struct sched_share */
    int64_t store_away_until;              /* no lease is asked for before */
    char store_reason[SCHED_REASON_BYTES]; /* why it gave no lease when asked last; "" = it did */
};

/* What fair share is judged by. */
struct sched_share {
    int64_t served_ms; /* when a run of this submitter was leased last */
    int active;        /* runs on nodes; counted anew for each order */
};

struct sched_share *sched_share_of(struct cap_map *shares, const char *submitter);

#endif
