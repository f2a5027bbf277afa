#include "spec_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sched_spec_from_wire(const Moecap__V1__EvaluationSpec *wire, struct cap_arena *arena,
                          struct sched_spec *out, struct cap_err *err)
{
    const Moecap__V1__Hardware no_hardware = MOECAP__V1__HARDWARE__INIT, *h = wire->hardware;
    const Moecap__V1__Parallelism no_parallelism = MOECAP__V1__PARALLELISM__INIT,
                                  *p = wire->parallelism;
    const Moecap__V1__Load no_load = MOECAP__V1__LOAD__INIT, *l = wire->load;
    const Moecap__V1__Generation no_generation = MOECAP__V1__GENERATION__INIT,
                                 *g = wire->generation;
    const Moecap__V1__External no_external = MOECAP__V1__EXTERNAL__INIT, *e = wire->external;
    const char **tasks = cap_arena_array(arena, wire->n_tasks + 1, sizeof *tasks);

    if (!tasks)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation names too many tasks");
    for (size_t i = 0; i < wire->n_tasks; i++)
        tasks[i] = wire->tasks[i];
    h = h ? h : &no_hardware;
    p = p ? p : &no_parallelism;
    l = l ? l : &no_load;
    g = g ? g : &no_generation;
    e = e ? e : &no_external;
    *out = (struct sched_spec){
        .model = wire->model,
        .revision = wire->revision,
        .engine = wire->engine,
        .precision = wire->precision,
        .hardware = h->description,
        .device = h->device,
        .device_count = h->device_count,
        .tensor = p->tensor,
        .pipeline = p->pipeline,
        .data = p->data,
        .expert = p->expert,
        .tasks = tasks,
        .task_count = wire->n_tasks,
        .has_load = l->kind_case != MOECAP__V1__LOAD__KIND__NOT_SET,
        .open_loop = l->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S,
        .max_tokens = g->max_tokens,
        .has_temperature =
            g->opt_temperature_case == MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE,
        .has_top_p = g->opt_top_p_case == MOECAP__V1__GENERATION__OPT_TOP_P_TOP_P,
        .top_k = g->top_k,
        .ignore_eos = g->ignore_eos,
        .has_fewshot =
            wire->opt_num_fewshot_case == MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT,
        .has_sampling =
            wire->opt_sampling_case == MOECAP__V1__EVALUATION_SPEC__OPT_SAMPLING_SAMPLING,
        .limit = wire->limit,
        .repeats = wire->repeats,
        .seed = wire->seed,
        .prompt_format = wire->prompt_format,
        .url = e->url,
        .served_model = e->served_model,
        .model_config = e->model_config,
        .api_key_env = e->api_key_env,
        .submitter = wire->submitter,
        .note = wire->note,
        .priority = wire->priority,
    };
    if (out->open_loop)
        out->rate_per_s = l->rate_per_s;
    else if (l->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY)
        out->concurrency = l->concurrency;
    out->temperature = out->has_temperature ? g->temperature : 0;
    out->top_p = out->has_top_p ? g->top_p : 1;
    out->num_fewshot = out->has_fewshot ? wire->num_fewshot : 0;
    out->sampling = out->has_sampling ? wire->sampling : 1;
    return true;
}

void sched_spec_to_wire(const struct sched_spec *spec, Moecap__V1__EvaluationSpec *io_wire,
                        struct cap_arena *arena)
{
    io_wire->engine = (char *)spec->engine;
    io_wire->precision = (char *)spec->precision;
    io_wire->prompt_format = (char *)spec->prompt_format;
    io_wire->submitter = (char *)spec->submitter;
    io_wire->repeats = (uint32_t)spec->repeats;
    if (!io_wire->load && (io_wire->load = cap_arena_alloc(arena, sizeof *io_wire->load)))
        moecap__v1__load__init(io_wire->load);
    if (io_wire->load && !spec->open_loop) {
        io_wire->load->kind_case = MOECAP__V1__LOAD__KIND_CONCURRENCY;
        io_wire->load->concurrency = (uint32_t)spec->concurrency;
    }
}

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

void sched_needs_of(const struct sched_spec *spec, struct sched_needs *out)
{
    *out = (struct sched_needs){.model_on_node = strcmp(spec->engine, "native") == 0};
    snprintf(out->engine, sizeof out->engine, "%s", spec->engine);
    snprintf(out->precision, sizeof out->precision, "%s", spec->precision);
    snprintf(out->device, sizeof out->device, "%s", spec->device);
    out->device_count = spec->device_count;
    snprintf(out->model, sizeof out->model, "%s", spec->model);
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

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
    job->model = copy_text(spec->model);
    job->engine = copy_text(spec->engine);
    job->precision = copy_text(spec->precision);
    job->task_id = task_id;
    job->repeat = repeat;
    if (spec->load && spec->load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY)
        job->concurrency = spec->load->concurrency;
    job->spec_bytes = moecap__v1__evaluation_spec__get_packed_size(spec);
    job->spec = malloc(job->spec_bytes + 1);
    if (!job->spec)
        abort();
    moecap__v1__evaluation_spec__pack(spec, job->spec);
    return job;
}

void sched_run_from_spec(const struct sched_spec *spec, const struct sched_job *job,
                         struct sched_run *out)
{
    *out = (struct sched_run){.state = SCHED_RUN_QUEUED, .priority = (int)spec->priority};
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
    out->model = job->model;
    out->engine = job->engine;
    out->precision = job->precision;
    out->concurrency = (uint32_t)job->concurrency;
}
