/* job.h — what is known about a run beside what decisions need: who asked, what for, how far it is.
 *
 * Immutable but for the part marked; that one is guarded by the dispatcher's lock. Freed when the
 * dispatcher forgets the run; users hold a reference meanwhile.
 */
#ifndef SCHED_JOB_H
#define SCHED_JOB_H

#include <stdint.h>

#include "base/auto.h"
#include "base/rand.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "spec/spec.h"
#include "step.h"

/* What the store gave with a lease. */
struct sched_grant {
    uint64_t fence, seq_next;
    uint32_t *ordinals_left; /* malloc'ed */
    size_t ordinal_count;
    uint32_t total, attempt;
};

struct sched_job {
    char run_id[CAP_ID_BYTES], evaluation_id[CAP_ID_BYTES];
    char *task;
    uint64_t task_id;
    uint32_t repeat;
    Moecap__V1__EvaluationSpec *spec;
    _Atomic int references;
    /* the evaluator ended, or did not answer in time, when it was asked for this run last: the next
     * call for it is made alone (clients.h) */
    _Atomic bool suspect;

    /* under the dispatcher's lock */
    int64_t queued_at_ms, started_at_ms, ended_at_ms; /* Unix time; 0 = not yet */
    char node_name[SCHED_NAME_BYTES], phase[SCHED_PHASE_BYTES];
    double output_tokens_per_s;
    int moves_pending; /* moves of ours that the store does not have yet */
    bool ended;
    struct sched_job *next_ended;
    struct sched_grant grant; /* of the latest lease; who uses it later makes a copy */
};

struct sched_job *sched_job_new(void);
struct sched_job *sched_job_hold(struct sched_job *job); /* one more reference */
void sched_job_free(struct sched_job *job);              /* drops a reference; the last one frees */
CAP_DEFINE_AUTO(sched_job)

Moecap__V1__RunState sched_state_to_wire(enum sched_run_state state);
enum sched_run_state sched_state_from_wire(Moecap__V1__RunState state);

/* What a node must have to run it. */
void sched_needs_of(const Moecap__V1__EvaluationSpec *spec, struct sched_needs *out);
/* A job with a copy of everything it needs; the caller's reference. */
struct sched_job *sched_job_from_wire(const Moecap__V1__EvaluationSpec *spec, const char *run_id,
                                      const char *evaluation_id, const char *task, uint64_t task_id,
                                      uint32_t repeat);
/* A run of it that waits. */
void sched_run_from_spec(const Moecap__V1__EvaluationSpec *spec, const struct sched_job *job,
                         struct sched_run *out);

#endif
