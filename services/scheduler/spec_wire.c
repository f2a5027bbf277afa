#include "spec_wire.h"
#include "words/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Moecap__V1__RunState wire_states[SCHED_RUN_STATE_COUNT] = {
    [SCHED_RUN_QUEUED] = MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED,
    [SCHED_RUN_LEASED] = MOECAP__V1__RUN_STATE__RUN_STATE_LEASED,
    [SCHED_RUN_RUNNING] = MOECAP__V1__RUN_STATE__RUN_STATE_RUNNING,
    [SCHED_RUN_GRADING] = MOECAP__V1__RUN_STATE__RUN_STATE_GRADING,
    [SCHED_RUN_FINISHED] = MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED,
    [SCHED_RUN_FAILED] = MOECAP__V1__RUN_STATE__RUN_STATE_FAILED,
    [SCHED_RUN_CANCELLED] = MOECAP__V1__RUN_STATE__RUN_STATE_CANCELLED,
    [SCHED_RUN_INVALID] = MOECAP__V1__RUN_STATE__RUN_STATE_INVALID,
};

Moecap__V1__RunState sched_state_to_wire(enum sched_run_state state)
{
    return wire_states[state];
}

enum sched_run_state sched_state_from_wire(Moecap__V1__RunState state)
{
    for (int i = 0; i < SCHED_RUN_STATE_COUNT; i++)
        if (wire_states[i] == state)
            return (enum sched_run_state)i;
    return SCHED_RUN_INVALID;
}

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

void sched_view_to_wire(const struct sched_view *view, Moecap__V1__RunProgress *out)
{
    const struct sched_job *job = view->job;

    moecap__v1__run_progress__init(out);
    out->run_id = (char *)view->run.id;
    out->evaluation_id = (char *)view->run.evaluation_id;
    out->task = job->task;
    out->repeat = job->repeat;
    out->state = sched_state_to_wire(view->run.state);
    out->reason = (char *)view->run.reason;
    out->samples_total = view->run.total;
    out->samples_answered = view->run.answered;
    out->samples_graded = view->run.graded;
    out->node = (char *)view->node;
    out->phase = (char *)view->phase;
    out->output_tokens_per_s = view->output_tokens_per_s;
    out->queued_at_ms = view->queued_at_ms;
    out->started_at_ms = view->started_at_ms;
    out->ended_at_ms = view->ended_at_ms;
    out->attempts = (uint32_t)view->run.attempts;
    out->model = job->spec->model;
    out->engine = job->spec->engine;
    out->precision = job->spec->precision;
    out->concurrency = (uint32_t)cap_spec_get(job->spec, CAP_KNOB_concurrency).whole;
}
