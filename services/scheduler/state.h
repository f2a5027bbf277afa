/* state.h — what is behind struct sched_state; for step.c, queue.c, match.c and state.c only.
 *
 * Runs that have not ended are each in one place, by which they are found without looking at the
 * others:
 *
 *     LINE   waits, may be leased now      in the line of its class, submitter and priority
 *     LATER  waits, not before a time      in state->later, by that time
 *     BUSY   being leased, leased, running or grading     in state->busy
 *
 * A *class* is what runs need of a node; the runs of one class can run on the same nodes. Within a
 * class, the runs of one submitter and one priority form a *line*: at any time, and however often
 * others were served, the one that was queued first comes first. So choosing a run for a node
 * compares the heads of the lines of the classes it can run, never the runs behind them.
 *
 * Nodes find classes by what they offer (sched_queue.buckets), classes find nodes among the idle.
 * One rule keeps a beat cheap: at the end of each step, no idle node could take a run that waits in
 * a line. Only what becomes idle, and only a class that had an empty line, has to be looked at.
 */
#ifndef SCHED_STATE_H
#define SCHED_STATE_H

#include "base/map.h"
#include "base/sorted.h"
#include "step.h"

struct sched_state {
    struct sched_policy policy;
    struct cap_map *runs;            /* id -> struct sched_run */
    struct cap_map *nodes;           /* id -> struct sched_node */
    struct cap_map *shares;          /* submitter -> struct sched_share */
    struct cap_map *classes;         /* what is needed, as text -> struct sched_class */
    struct cap_map *buckets;         /* engine and model -> struct sched_bucket */
    struct cap_sorted *later, *busy; /* runs */
    struct cap_sorted *idle;         /* nodes: ready, without a run; the first to join first */
    /* until the end of the step: idle nodes that may take a run, and classes whose first line came
     * in it, which idle nodes may not have seen */
    struct sched_node **woken;
    struct sched_class **fresh;
    size_t woken_count, woken_room, fresh_count, fresh_room;
    uint64_t nodes_joined;
    uint64_t nodes_version; /* changes with what nodes can do or whether they are held up */
    size_t shares_swept;    /* submitters that were left when they were looked through last */
    size_t waiting, open;   /* runs that wait; that have not ended */
    uint64_t looked_at; /* runs, lines, classes and nodes: by this tests hold what a step costs */
    int64_t store_away_until;              /* no lease is asked for before */
    bool store_was_away;                   /* idle nodes were passed over meanwhile */
    char store_reason[SCHED_REASON_BYTES]; /* why it gave no lease when asked last; "" = it did */
};

/* What fair share is judged by. */
struct sched_share {
    char submitter[SCHED_NAME_BYTES];
    int64_t served_ms; /* when a run of this submitter was leased last */
    int active;        /* runs on nodes */
    int lines;
};

struct sched_line {
    struct sched_class *class;
    struct sched_share *share;
    int priority;
    struct cap_sorted *runs; /* never empty */
};

struct sched_class {
    char *key;
    struct sched_needs needs;
    size_t runs;           /* that have not ended; the class goes with the last */
    struct cap_map *lines; /* submitter and priority -> struct sched_line */
    struct sched_bucket *bucket;
    size_t at; /* in its bucket */
    /* for people, as of nodes_version */
    uint64_t told_version;
    char why_none[SCHED_REASON_BYTES];
    size_t able, held_up;
};

struct sched_bucket {
    char *key;
    struct sched_class **classes;
    size_t count, room;
};

/* ---- queue.c ---- */

/* A run that is new here. */
void sched_queue_add(struct sched_state *state, struct sched_run *run, int64_t now_ms);
/* To its place, after its state, `leasing` or `not_before_ms` has changed. */
void sched_queue_place(struct sched_state *state, struct sched_run *run, int64_t now_ms);
/* Runs whose time has come leave `later`. */
void sched_queue_wake_due(struct sched_state *state, int64_t now_ms);
/* To or from the idle, after its run or `ready` has changed. */
void sched_queue_place_node(struct sched_state *state, struct sched_node *node);
void sched_queue_remove_node(struct sched_state *state, struct sched_node *node);
/* Every idle node may take a run before the step ends. */
void sched_queue_wake_all(struct sched_state *state);
/* The run that this node should take, or NULL. */
struct sched_run *sched_queue_best(struct sched_state *state, const struct sched_node *node,
                                   int64_t now_ms);
/* The next idle node that may take a run in this step, or NULL: then the step is at its end. */
struct sched_node *sched_queue_next_woken(struct sched_state *state);
/* This node has taken a run: fresh classes that it was woken for look for another one. */
void sched_queue_pass_on(struct sched_state *state, const struct sched_node *node);

struct sched_class *sched_find_class(const struct sched_state *state,
                                     const struct sched_needs *needs);
int sched_compare_queued(const void *left, const void *right); /* runs, by queued_at_ms */
int sched_compare_due(const void *left, const void *right);    /* runs, by not_before_ms */
int sched_compare_joined(const void *left, const void *right); /* nodes */
void sched_queue_free(struct sched_state *state);

/* ---- match.c ---- */

/* The class with why_none, able and held_up as they are now. */
const struct sched_class *sched_tell_class(struct sched_state *state, struct sched_class *class);

#endif
