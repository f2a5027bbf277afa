/* spec_wire.h — EvaluationSpec to the scheduler's own struct, and jobs from what the store has. */
#ifndef SCHED_SPEC_WIRE_H
#define SCHED_SPEC_WIRE_H

#include "base/arena.h"
#include "dispatcher.h"
#include "job.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "spec.h"
#include "step.h"

/* Strings are borrowed from the message. False past the arena's limit. */
bool sched_spec_from_wire(const Moecap__V1__EvaluationSpec *wire, struct cap_arena *arena,
                          struct sched_spec *out, struct cap_err *err);
/* The message with the defaults that sched_spec_fill put in: what travels on. */
void sched_spec_to_wire(const struct sched_spec *spec, Moecap__V1__EvaluationSpec *io_wire,
                        struct cap_arena *arena);

Moecap__V1__RunState sched_state_to_wire(enum sched_run_state state);
enum sched_run_state sched_state_from_wire(Moecap__V1__RunState state);

void sched_needs_of(const struct sched_spec *spec, struct sched_needs *out);
/* A job with a copy of everything it needs; the caller's reference. */
struct sched_job *sched_job_from_wire(const Moecap__V1__EvaluationSpec *spec, const char *run_id,
                                      const char *evaluation_id, const char *task, uint64_t task_id,
                                      uint32_t repeat);
void sched_run_from_spec(const struct sched_spec *spec, const struct sched_job *job,
                         struct sched_run *out);
/* A view as people see it. Strings are borrowed from the view. */
void sched_view_to_wire(const struct sched_view *view, Moecap__V1__RunProgress *out);

#endif
