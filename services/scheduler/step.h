/* step.h — every decision of the scheduler, as one pure function over explicit state.
 *
 *     sched_step(state, &event, now_ms, &actions);
 *
 * The caller (dispatcher.c) feeds what happened and carries out what comes back; a simulation does
 * the same with a made-up world. No I/O, no clock, no lock in here. The state belongs to one thread
 * at a time. A run's state is written by move() in step.c alone; the store's own table of legal
 * moves guards the same rules once more.
 *
 * One run is one shard (number SCHED_SHARD) on one node, because runs measure performance.
 */
#ifndef SCHED_STEP_H
#define SCHED_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/rand.h"

enum { SCHED_SHARD = 0, SCHED_REASON_BYTES = 512, SCHED_NAME_BYTES = 65, SCHED_MODEL_BYTES = 513 };
enum { SCHED_PHASE_BYTES = 64, SCHED_FAILURE_BYTES = 128 };

enum sched_run_state {
    SCHED_RUN_QUEUED,   /* no lease; `leasing` while the store is asked for one */
    SCHED_RUN_LEASED,   /* its node has it and loads the model; no answer is stored yet */
    SCHED_RUN_RUNNING,  /* its node has it; answers are stored */
    SCHED_RUN_GRADING,  /* every answer is stored; no node */
    SCHED_RUN_FINISHED, /* the store has the summary */
    SCHED_RUN_FAILED,   /* reason says why, as for the next two */
    SCHED_RUN_CANCELLED,
    SCHED_RUN_INVALID,
    SCHED_RUN_STATE_COUNT,
};

/* What a node must offer. Empty = anything. */
/* Behind the name of an engine that a node may start, for a run that brings a URL: every node has
 * it so, and those with a command also without. */
#define SCHED_AT_URL " at a URL"

struct sched_needs {
    char engine[SCHED_NAME_BYTES];
    bool starts_server; /* the node must start the engine's server: no URL is given */
    /* of the native engine only: the node itself loads the model */
    bool model_on_node;
    char precision[SCHED_NAME_BYTES], device[SCHED_NAME_BYTES];
    int64_t device_count;
    char model[SCHED_MODEL_BYTES]; /* a name, or a path when it begins with '/' */
};

enum sched_place { SCHED_PLACE_NONE, SCHED_PLACE_LINE, SCHED_PLACE_LATER, SCHED_PLACE_BUSY };

struct sched_run {
    char id[CAP_ID_BYTES], evaluation_id[CAP_ID_BYTES];
    char submitter[SCHED_NAME_BYTES];
    int priority;
    int64_t queued_at_ms; /* on the caller's clock, for ageing */
    struct sched_needs needs;

    enum sched_run_state state;
    char reason[SCHED_REASON_BYTES];
    /* leasing, leased, running: its node, "" otherwise; also "" for a lease that was alive when the
     * scheduler started, until a beat says who holds it */
    char node_id[CAP_ID_BYTES];
    uint64_t fence;
    /* of a lease that was alive when the scheduler started: the name of its node, "" = unknown; and
     * the lease is held by a node that came back with it */
    char holder[SCHED_NAME_BYTES];
    bool adopted;
    bool leasing, cancelling, grading, finishing;
    int attempts;          /* leases so far */
    int fruitless;         /* leases since an answer was last stored */
    int64_t not_before_ms; /* back-off after a refusal or failure */
    uint32_t total, answered, graded;

    char phase[SCHED_PHASE_BYTES]; /* what its node says it is doing, "" = nothing yet */
    /* of this lease: the node was told of it; has every prompt; when it last named the run in a
     * beat, and when its last batch was stored */
    bool told, prompted;
    int64_t named_at_ms, progress_at_ms;
    /* nodes that ended in a row while they ran it, in the same phase, without an answer between;
     * and failures of its server in a row that said the same */
    int nodes_ended, same_failures;
    char ended_phase[SCHED_PHASE_BYTES];
    char last_failure[SCHED_FAILURE_BYTES]; /* the beginning of what it said */

    /* of queue.c */
    enum sched_place place;
    struct sched_class *class;
    struct sched_line *line;
    int64_t later_ms;
    bool counted; /* in its submitter's share */
};

struct sched_node {
    char id[CAP_ID_BYTES], name[SCHED_NAME_BYTES];
    bool any_model_path;
    const char *const *engines, *const *precisions, *const *models; /* NULL-terminated, borrowed */
    int64_t device_count;                                           /* GPUs */

    /* of step.c */
    int64_t beat_at_ms;
    uint64_t fence;
    char run_id[CAP_ID_BYTES]; /* what it works on; "" = idle */
    bool stopping;             /* a Stop is on its way: idle only when it says so */
    bool ready; /* has said, with its first beat, what it still holds; gets no work before */
    bool waits; /* the store does not take its answers: silence is not the node's */
    int64_t stop_sent_ms; /* the last Stop that it was sent for what it should not hold */

    /* of queue.c */
    uint64_t number; /* in the order in which nodes joined */
    bool idle, woken;
};

struct sched_policy {
    int attempts_max;        /* leases of one run that store nothing before it fails */
    int64_t silent_ms_max;   /* a node without a beat for so long is gone */
    int64_t ageing_ms;       /* waiting so long is worth one level of priority */
    int64_t retry_ms;        /* pause before a run is leased again */
    int64_t progress_ms_max; /* a node that stores nothing for so long loses the run; 0 = never */
    int64_t claim_ms_max;    /* how long a lease from before this scheduler waits for its node */
};

/* What ends the same way so often in a row, with nothing stored between, is the run's own doing. */
enum { SCHED_ENDINGS_MAX = 2 };

struct sched_state;

enum sched_event_kind {
    SCHED_RUN_ADDED,      /* run (copied): new, or as the store knows it after a restart */
    SCHED_NODE_JOINED,    /* node (copied; its lists stay borrowed until it leaves) */
    SCHED_NODE_LEFT,      /* node_id, reason; final: it is we who go, its run stays its own */
    SCHED_NODE_BEAT,      /* node_id; run_id and fence of what it holds, NULL = nothing */
    SCHED_NODE_WAITS,     /* node_id: nobody listens to it until it is heard or beats */
    SCHED_NODE_HEARD,     /* node_id: somebody listens again */
    SCHED_NODE_SAYS,      /* node_id, run_id, reason: the phase it is in */
    SCHED_TICK,           /* time has passed */
    SCHED_LEASE_GRANTED,  /* run_id, fence: the store said yes */
    SCHED_LEASE_REFUSED,  /* run_id, reason; final: there is no such run; away: nobody answered */
    SCHED_ASSIGN_SENT,    /* run_id, fence: the node was told; final: every prompt was sent */
    SCHED_STORE_SAYS,     /* run_id, seen, count, graded, reason: the run's state in the store */
    SCHED_ANSWERS_STORED, /* run_id, fence, count answered; final: the run is complete */
    SCHED_SHARD_FAILED,   /* node_id, run_id, fence, reason: the node gave up; final: for good;
                             away: whom it asked, a server for example, did not answer */
    SCHED_SHARD_REFUSED,  /* the same, by us: its prompts cannot be made, its answers not taken */
    SCHED_LEASE_LOST,     /* run_id, fence: the store has taken it away */
    SCHED_NODE_STOPPED,   /* node_id, run_id, fence: a Stop has taken effect */
    SCHED_GRADED,         /* run_id, count graded; final: all are */
    SCHED_GRADING_FAILED, /* run_id, reason; final: trying again is no use; else: given up */
    SCHED_RUN_DONE,       /* run_id: the summary is stored; reason: no sample completed, the first
                             error */
    SCHED_CANCEL_ASKED,   /* run_id, reason */
    SCHED_EVENT_COUNT,
};

struct sched_event {
    enum sched_event_kind kind;
    const char *run_id, *node_id, *reason;
    const struct sched_run *run;
    const struct sched_node *node;
    uint64_t fence;
    uint32_t count, graded;
    enum sched_run_state seen;
    bool final, away;
};

enum sched_action_kind {
    SCHED_DO_LEASE,   /* ask the store: run_id for node_id */
    SCHED_DO_ASSIGN,  /* tell node_id to work on run_id under fence, and send it prompts */
    SCHED_DO_STOP,    /* tell node_id to stop run_id; reason */
    SCHED_DO_DROP,    /* end the stream of node_id, so that it registers again; reason */
    SCHED_DO_RELEASE, /* tell the store that the lease under fence has ended; reason */
    SCHED_DO_GRADE,   /* grade what is not graded yet */
    SCHED_DO_FINISH,  /* measure and store the summary */
    SCHED_DO_MOVE,    /* tell the store: run_id from `from` to `to`; reason */
    SCHED_NOTE_MOVE,  /* for the record: run_id went from `from` to `to`; reason */
    SCHED_ACTION_COUNT,
};

struct sched_action {
    enum sched_action_kind kind;
    char run_id[CAP_ID_BYTES], node_id[CAP_ID_BYTES];
    uint64_t fence;
    enum sched_run_state from, to;
    char reason[SCHED_REASON_BYTES];
};

struct sched_actions { /* grows; the caller frees with sched_actions_done */
    struct sched_action *list;
    size_t count, capacity;
};

struct sched_state *sched_state_new(const struct sched_policy *policy);
void sched_state_free(struct sched_state *state);
CAP_DEFINE_AUTO(sched_state)

/* An event that no longer fits (late, repeated, of a run or node unknown) changes nothing. */
void sched_step(struct sched_state *state, const struct sched_event *event, int64_t now_ms,
                struct sched_actions *out);
void sched_actions_done(struct sched_actions *actions);

/* Reading. Pointers are valid until the next step. */
const struct sched_run *sched_find_run(const struct sched_state *state, const char *run_id);
const struct sched_node *sched_find_node(const struct sched_state *state, const char *node_id);
size_t sched_run_count(const struct sched_state *state);
const struct sched_run *sched_run_at(const struct sched_state *state, size_t index);
size_t sched_node_count(const struct sched_state *state);
const struct sched_node *sched_node_at(const struct sched_state *state, size_t index);
/* Forgets an ended run. */
void sched_forget(struct sched_state *state, const char *run_id);

bool sched_state_ended(enum sched_run_state run_state);
bool sched_may_move(enum sched_run_state from, enum sched_run_state to);
const char *sched_state_name(enum sched_run_state run_state);

/* Runs that wait, in the order in which an idle node that can take each would; out holds room. */
size_t sched_order(const struct sched_state *state, int64_t now_ms, const struct sched_run **out,
                   size_t room);
/* Its place in that order, 1 = next; 0 = it does not wait. */
size_t sched_position(const struct sched_state *state, const struct sched_run *run, int64_t now_ms);
size_t sched_waiting_count(const struct sched_state *state);
size_t sched_open_count(const struct sched_state *state); /* have not ended */
/* The next run that neither waits nor has ended, by when it was queued; NULL = the first / none. */
const struct sched_run *sched_busy_after(const struct sched_state *state,
                                         const struct sched_run *run);
/* How many runs, lines, classes and nodes have been looked at so far: what steps cost. */
uint64_t sched_looked_at(const struct sched_state *state);
bool sched_can_run(const struct sched_node *node, const struct sched_needs *needs);
/* Why no connected node can run this, as a sentence; "" when one can. */
void sched_why_none(const struct sched_state *state, const struct sched_needs *needs,
                    char out[SCHED_REASON_BYTES]);
/* What a queued run waits for: a free node, a retry, the store, or a node that can run it. */
void sched_waiting_for(struct sched_state *state, const struct sched_run *run, int64_t now_ms,
                       char out[SCHED_REASON_BYTES]);

#endif
