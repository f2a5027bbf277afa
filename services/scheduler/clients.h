/* clients.h — the store and the evaluator, as the scheduler asks them.
 *
 * Blocking calls; any thread. UNAVAILABLE and its like mean: try again. Everything here may be
 * repeated safely.
 */
#ifndef SCHED_CLIENTS_H
#define SCHED_CLIENTS_H

#include "base/arena.h"
#include "base/err.h"
#include "job.h"
#include "moecap/v1/evaluator.pb-c.h"
#include "step.h"

struct cap_rpc_channel;
struct sched_evaluator;

/* ---- the store: leases, states ---- */

struct sched_clients {
    struct cap_rpc_channel *store;
    struct sched_evaluator *evaluator;
};

/* The grant's list is the caller's to free(). */
bool sched_client_lease(const struct sched_clients *clients, const char *run_id,
                        const char *node_id, const char *node_name, int64_t lease_ms,
                        struct sched_grant *out_grant, struct cap_err *err);
bool sched_client_release(const struct sched_clients *clients, const char *run_id, uint64_t fence,
                          const char *outcome, struct cap_err *err);
bool sched_client_move(const struct sched_clients *clients, const char *run_id,
                       enum sched_run_state from, enum sched_run_state to, const char *reason,
                       struct cap_err *err);

struct sched_seen {
    enum sched_run_state state;
    uint32_t answered, graded;
    char reason[SCHED_REASON_BYTES];
};
/* How the store has the run. */
bool sched_client_look(const struct sched_clients *clients, const char *run_id,
                       struct sched_seen *out_seen, struct cap_err *err);
/* Is the store there? */
bool sched_client_reach(const struct sched_clients *clients);
struct sched_lost {
    char run_id[CAP_ID_BYTES];
    uint64_t fence;
};
/* Leases that the database clock has ended. *out_lost is the caller's to free(). */
bool sched_client_sweep(const struct sched_clients *clients, struct sched_lost **out_lost,
                        size_t *out_count, struct cap_err *err);

/* ---- the evaluator: prompts, verdicts, figures ----
 *
 * A task is sent once. The evaluator keeps it, compiled, with its few-shot pool, under digests that
 * it answers with; calls name the task by these. When it says NOT_FOUND, because it was restarted
 * or has forgotten, the task is read from the store and sent again.
 *
 * What ends the evaluator is found out. An evaluator that ends, or does not answer in time, while
 * it works for several runs at once says nothing about which of them did it. So each of these runs
 * is *suspect*, and the next call for a suspect is made alone: it waits until no other call is on
 * its way, and others wait until it is over. If the evaluator, there before, is gone after it, the
 * run is to blame: the call fails for good, with that sentence, and the others go on. A call that
 * succeeds clears its run. An evaluator that is away when it is asked blames nobody.
 *
 * Messages are handed on as they are, so that what a newer program put into them survives. After
 * RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED, try again in smaller pieces.
 */

/* `store` is borrowed: tasks and documents come from there. */
struct sched_evaluator *sched_evaluator_new(const char *address, struct cap_rpc_channel *store);
void sched_evaluator_free(struct sched_evaluator *evaluator);

struct sched_ordinals {
    const uint32_t *items;
    size_t count;
};

/* Prompts of these samples of the run's task, in order; in the arena. */
bool sched_evaluator_render(struct sched_evaluator *evaluator, struct sched_job *job,
                            const struct sched_ordinals *which, struct cap_arena *arena,
                            Moecap__V1__RenderReply **out_reply, struct cap_err *err);
/* Grades at most `batch` answers that the store has; *out_all: nothing is left. */
bool sched_evaluator_grade(struct sched_evaluator *evaluator, struct sched_job *job, uint32_t batch,
                           uint32_t *out_graded, bool *out_all, struct cap_err *err);
/* The channel, for a call that is of no run that waits (routing_rpc.c). */
struct cap_rpc_channel *sched_evaluator_channel(struct sched_evaluator *evaluator);
/* Evidence to figures to the store. out_invalid: why the run is not a measurement; "" = it is one.
 * */
bool sched_evaluator_finish(struct sched_evaluator *evaluator, struct sched_job *job,
                            char out_invalid[SCHED_REASON_BYTES], struct cap_err *err);

/* What the evaluator makes of runs that repeat each other, and of two runs. */
bool sched_evaluator_repeats(struct sched_evaluator *evaluator,
                             const Moecap__V1__RepeatsRequest *request, struct cap_arena *arena,
                             Moecap__V1__RepeatsReply **out_reply, struct cap_err *err);
bool sched_evaluator_compare(struct sched_evaluator *evaluator,
                             const Moecap__V1__CompareRequest *request, struct cap_arena *arena,
                             Moecap__V1__CompareReply **out_reply, struct cap_err *err);

#endif
