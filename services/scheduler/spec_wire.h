/* spec_wire.h — what decisions need of an evaluation, and runs and jobs from what the store has. */
#ifndef SCHED_SPEC_WIRE_H
#define SCHED_SPEC_WIRE_H

#include "base/arena.h"
#include "dispatcher.h"
#include "job.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "spec/spec.h"
#include "step.h"

Moecap__V1__RunState sched_state_to_wire(enum sched_run_state state);
enum sched_run_state sched_state_from_wire(Moecap__V1__RunState state);

void sched_needs_of(const Moecap__V1__EvaluationSpec *spec, struct sched_needs *out);
/* A job with a copy of everything it needs; the caller's reference. */
struct sched_job *sched_job_from_wire(const Moecap__V1__EvaluationSpec *spec, const char *run_id,
                                      const char *evaluation_id, const char *task, uint64_t task_id,
                                      uint32_t repeat);
void sched_run_from_spec(const Moecap__V1__EvaluationSpec *spec, const struct sched_job *job,
                         struct sched_run *out);
/* A view as people see it. Strings are borrowed from the view. */
void sched_view_to_wire(const struct sched_view *view, Moecap__V1__RunProgress *out);

#endif
