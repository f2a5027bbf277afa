/* A run beside decisions: made from what the store has of it, kept as long as somebody looks at it.
 */
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words/words.h"

/* ---- life ---- */

struct sched_job *sched_job_new(void)
{
    struct sched_job *job = calloc(1, sizeof *job);

    if (!job)
        abort();
    job->references = 1;
    return job;
}

struct sched_job *sched_job_hold(struct sched_job *job)
{
    job->references++;
    return job;
}

void sched_job_free(struct sched_job *job)
{
    if (!job || --job->references > 0)
        return;
    free(job->task);
    if (job->spec)
        moecap__v1__evaluation_spec__free_unpacked(job->spec, NULL);
    free(job->grant.ordinals_left);
    free(job);
}

/* ---- states ---- */

_Static_assert((int)SCHED_RUN_QUEUED + 1 == (int)MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED &&
                   (int)SCHED_RUN_INVALID + 1 == (int)MOECAP__V1__RUN_STATE__RUN_STATE_INVALID,
               "the states are the wire's, in its order");

Moecap__V1__RunState sched_state_to_wire(enum sched_run_state state)
{
    return (Moecap__V1__RunState)(state + 1);
}

enum sched_run_state sched_state_from_wire(Moecap__V1__RunState state)
{
    bool is_known = state >= MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED &&
                    state <= MOECAP__V1__RUN_STATE__RUN_STATE_INVALID;

    return is_known ? (enum sched_run_state)(state - 1) : SCHED_RUN_INVALID;
}

/* ---- from an evaluation ---- */

void sched_needs_of(const Moecap__V1__EvaluationSpec *spec, struct sched_needs *out)
{
    const struct cap_engine *engine = cap_engine_find(spec->engine);
    bool started = engine && engine->started, has_url = spec->external && *spec->external->url;

    *out = (struct sched_needs){.model_on_node = strcmp(spec->engine, "native") == 0,
                                .starts_server = started && !has_url};
    snprintf(out->engine, sizeof out->engine, "%s%s", spec->engine,
             started && has_url ? SCHED_AT_URL : "");
    snprintf(out->precision, sizeof out->precision, "%s", spec->precision);
    snprintf(out->device, sizeof out->device, "%s", cap_spec_get(spec, CAP_KNOB_device).text);
    out->device_count = cap_spec_get(spec, CAP_KNOB_device_count).whole;
    snprintf(out->model, sizeof out->model, "%s", spec->model);
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        abort();
    return copy;
}

/* Not in an arena: there may be a hundred thousand runs, and a block of an arena is larger. */
static Moecap__V1__EvaluationSpec *copy_spec(const Moecap__V1__EvaluationSpec *spec)
{
    size_t bytes = moecap__v1__evaluation_spec__get_packed_size(spec);
    CAP_AUTO_MEM uint8_t *packed = malloc(bytes + 1);
    Moecap__V1__EvaluationSpec *copy = NULL;

    if (packed) {
        moecap__v1__evaluation_spec__pack(spec, packed);
        copy = moecap__v1__evaluation_spec__unpack(NULL, bytes, packed);
    }
    if (!copy)
        abort();
    return copy;
}

struct sched_job *sched_job_from_wire(const Moecap__V1__EvaluationSpec *spec, const char *run_id,
                                      const char *evaluation_id, const char *task, uint64_t task_id,
                                      uint32_t repeat)
{
    struct sched_job *job = sched_job_new();

    snprintf(job->run_id, sizeof job->run_id, "%s", run_id);
    snprintf(job->evaluation_id, sizeof job->evaluation_id, "%s", evaluation_id);
    job->task = copy_text(task);
    job->task_id = task_id;
    job->repeat = repeat;
    job->spec = copy_spec(spec);
    return job;
}

void sched_run_from_spec(const Moecap__V1__EvaluationSpec *spec, const struct sched_job *job,
                         struct sched_run *out)
{
    *out = (struct sched_run){.state = SCHED_RUN_QUEUED, .priority = spec->priority};
    memcpy(out->id, job->run_id, sizeof out->id);
    memcpy(out->evaluation_id, job->evaluation_id, sizeof out->evaluation_id);
    snprintf(out->submitter, sizeof out->submitter, "%s", spec->submitter);
    sched_needs_of(spec, &out->needs);
}
