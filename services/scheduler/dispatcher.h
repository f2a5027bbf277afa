/* dispatcher.h — feeds sched_step with what happens and carries out what it decides.
 *
 * One lock guards the state; it is never held while another program is asked. Actions are handed to
 * threads in pools (dispatcher_inside.h), which carry them out (actions.c); what comes of them is
 * fed back. What people see is copied out under the lock. Nothing is kept that the store does not
 * know: after a restart, sched_restore reads it again. Any thread.
 */
#ifndef SCHED_DISPATCHER_H
#define SCHED_DISPATCHER_H

#include "clients.h"
#include "job.h"
#include "step.h"
#include "stream.h"

struct sched_dispatcher;

/* A run to hand to a node. */
struct sched_assignment {
    struct sched_job *job;
    struct sched_grant grant;
    struct sched_evaluator *evaluator;
    int prompt_batch;
    int64_t retry_ms;
    bool (*wanted)(void *arg); /* does the node still have the run under this fence? */
    /* the node has been told of the run; complete: every prompt was sent, too */
    void (*sent)(void *arg, bool complete);
    void *arg; /* of both */
};

struct sched_dispatcher_options {
    struct sched_policy policy;
    int64_t lease_ms, tick_ms;
    int prompt_batch;
    struct sched_clients clients;
    struct sched_streams *streams;
    /* Sends assignment and prompts / a stop to a node; in work_rpc.c. False: err says why. */
    bool (*assign)(const struct sched_assignment *assignment, struct sched_stream *stream,
                   struct cap_err *err);
    void (*stop_shard)(struct sched_stream *stream, const char *run_id, uint64_t fence,
                       const char *reason);
};

struct sched_dispatcher *sched_dispatcher_new(const struct sched_dispatcher_options *options);
void sched_dispatcher_stop(struct sched_dispatcher *dispatcher); /* ends the threads */
void sched_dispatcher_free(struct sched_dispatcher *dispatcher);

/* Takes the job's reference. */
void sched_dispatcher_add(struct sched_dispatcher *dispatcher, struct sched_job *job,
                          const struct sched_run *run);
void sched_dispatcher_event(struct sched_dispatcher *dispatcher, const struct sched_event *event);
bool sched_dispatcher_knows(struct sched_dispatcher *dispatcher, const char *run_id);
/* Who has the run under this fence, as seen from this node. */
enum sched_holder {
    SCHED_HELD,              /* the node: the lease was given to it */
    SCHED_HELD_SINCE_BEFORE, /* the node, since before this scheduler; or the run is complete */
    SCHED_HELD_BY_ANOTHER,
    SCHED_HELD_BY_NOBODY, /* as far as is known here */
};
enum sched_holder sched_dispatcher_holder(struct sched_dispatcher *dispatcher, const char *node_id,
                                          const char *run_id, uint64_t fence);
/* What a node says it is doing; ignored when the run is not that node's. */
void sched_dispatcher_note(struct sched_dispatcher *dispatcher, const char *node_id,
                           const char *run_id, const char *phase, double output_tokens_per_s);
/* False when the program ends meanwhile. */
bool sched_dispatcher_pause(struct sched_dispatcher *dispatcher, int64_t wait_ms);
/* May this failure pass by itself? Whoever is asked is away or overloaded. */
bool sched_may_pass(const struct cap_err *err);
/* How many to ask for at a time after this failure. */
uint32_t sched_smaller_batch(uint32_t batch, const struct cap_err *err);

/* A view of one run for people. Strings are in the arena or borrowed from the job (hold it). */
struct sched_view {
    struct sched_job *job; /* a reference, the caller's to free */
    struct sched_run run;
    int64_t queued_at_ms, started_at_ms, ended_at_ms;
    char node[SCHED_NAME_BYTES], phase[SCHED_REASON_BYTES];
    double output_tokens_per_s;
    uint32_t position; /* in the queue, 1 = next; 0 = not queued */
    bool stored;       /* the store knows of the state, so that no death of ours undoes it */
};

/* The run or the runs of the evaluation with that id, in the order in which they were added. *out
 * is the caller's: sched_views_free. */
size_t sched_dispatcher_views(struct sched_dispatcher *dispatcher, const char *id,
                              struct sched_view **out);
/* Runs that have not ended: by arrival (queued_at_ms, then run id) from after a place in that
 * order, or those on nodes first and then by position. */
struct sched_page {
    bool by_arrival;
    int64_t after_ms; /* INT64_MIN, "" = from the beginning */
    char after_run_id[CAP_ID_BYTES];
    size_t limit;
    /* filled in: */
    struct sched_view *views; /* the caller's: sched_views_free */
    size_t count;
    bool more;
    size_t waiting, open; /* of all runs: that wait; that have not ended */
};
void sched_dispatcher_page(struct sched_dispatcher *dispatcher, struct sched_page *page);
void sched_views_free(struct sched_view *views, size_t count);
/* As the wire tells it. Strings are borrowed from the view. */
void sched_view_to_wire(const struct sched_view *view, Moecap__V1__RunProgress *out);
/* Waits until something changed since *io_version or wait_ms passed. */
void sched_dispatcher_wait(struct sched_dispatcher *dispatcher, uint64_t *io_version,
                           int64_t wait_ms);
/* The reason why no connected node can run this; "" = one can. */
void sched_dispatcher_why_none(struct sched_dispatcher *dispatcher, const struct sched_needs *needs,
                               char out[SCHED_REASON_BYTES]);
/* Calls `visit` for each connected node, under the lock: copy what you need. */
void sched_dispatcher_nodes(struct sched_dispatcher *dispatcher,
                            void (*visit)(void *arg, const struct sched_node *node), void *arg);

#endif
