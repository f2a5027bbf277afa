/* Two questions to a submission before it is queued.
 *
 * Can it run here? The table of knobs has judged each value by itself (cap_spec_check). What is
 * asked now needs to know what exists: tasks and their few-shot examples from the store; models,
 * their contexts and what a node may ask for from the nodes that are connected. What a node would
 * find out with the first prompt is said at once.
 *
 * Which samples does a run take? A share is drawn by seed and task, so that every repeat and every
 * machine takes the same ones; then the first `limit` of those. The draw never changes between
 * versions, or results of the same config hash would be of different samples. */
#include "admit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "digest/digest.h"
#include "hardware/hardware.h"
#include "http/url.h"

/* ---- can it run here? ---- */

static void admit_model(const Moecap__V1__EvaluationSpec *spec, const struct sched_known *known,
                        struct cap_spec_faults *io_faults)
{
    const char *model = spec->model;

    /* a path, a server's model and the null engine's are nobody's to announce; with no node
     * connected nothing can be known yet */
    if (!*model || *model == '/' || strcmp(spec->engine, "native") != 0 || known->nodes == 0 ||
        cap_words_has(known->models, model))
        return;
    if (*model == '.' || *model == '~')
        cap_spec_blame(
            io_faults, CAP_INVALID_ARGUMENT, "model",
            "model \"%.200s\" is not a name; give a directory on the node by its absolute "
            "path",
            model);
    else
        cap_spec_blame_unknown(io_faults, "model", "model", model, known->models);
}

static void admit_tasks(const Moecap__V1__EvaluationSpec *spec, const struct sched_known *known,
                        struct cap_spec_faults *io_faults)
{
    for (size_t i = 0; i < spec->n_tasks && i < (size_t)cap_knobs[CAP_KNOB_tasks].max; i++) {
        struct cap_knob_value fewshot = cap_spec_get(spec, CAP_KNOB_fewshot);
        size_t at = cap_words_find(known->tasks, spec->tasks[i]);
        char field[32];

        snprintf(field, sizeof field, "tasks[%zu]", i);
        if (at == known->tasks.count)
            cap_spec_blame_unknown(io_faults, field, "task", spec->tasks[i], known->tasks);
        else if (fewshot.whole > known->task_pools[at] &&
                 fewshot.whole <= cap_knobs[CAP_KNOB_fewshot].max)
            cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, "num_fewshot",
                           "num_fewshot %lld is more than task \"%s\" has examples, %u",
                           (long long)fewshot.whole, spec->tasks[i], known->task_pools[at]);
    }
}

/* A prompt has one token at least. */
static void admit_length(const Moecap__V1__EvaluationSpec *spec, const struct sched_known *known,
                         struct cap_spec_faults *io_faults)
{
    size_t at = cap_words_find(known->models, spec->model);
    uint32_t context = at < known->models.count ? known->model_contexts[at] : 0;
    int64_t wanted = cap_spec_get(spec, CAP_KNOB_max_tokens).whole;

    int64_t fixed = cap_spec_get(spec, CAP_KNOB_input_tokens).whole +
                    cap_spec_get(spec, CAP_KNOB_output_tokens).whole;

    if (strcmp(spec->engine, "native") == 0 && context > 0 && fixed > context)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, "load.input_tokens",
                       "load.input_tokens and load.output_tokens are %lld together: the context of "
                       "model \"%.200s\" is %u tokens",
                       (long long)fixed, spec->model, context);
    if (strcmp(spec->engine, "native") == 0 && context > 0 && wanted >= context)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, "generation.max_tokens",
                       "generation.max_tokens %lld never fits: the context of model \"%.200s\" is "
                       "%u tokens, the prompt's included",
                       (long long)wanted, spec->model, context);
}

/* The node asks it for the submitter, from where it stands. */
static void admit_url(const Moecap__V1__EvaluationSpec *spec, const struct sched_known *known,
                      struct cap_spec_faults *io_faults)
{
    const char *url = cap_spec_get(spec, CAP_KNOB_url).text;

    if (*url && !known->link_local && !cap_spec_is_blamed(io_faults, "spec.external.url") &&
        cap_url_is_link_local(url))
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, "external.url",
                       "external.url \"%.200s\" is link-local, where clouds keep a machine's "
                       "credentials; no connected node has link_local = true",
                       url);
}

void sched_admit(const Moecap__V1__EvaluationSpec *spec, const struct sched_known *known,
                 struct cap_spec_faults *io_faults)
{
    cap_spec_check(spec, io_faults);
    admit_model(spec, known, io_faults);
    admit_tasks(spec, known, io_faults);
    admit_length(spec, known, io_faults);
    admit_url(spec, known, io_faults);
}

/* ---- is its hardware known? ---- */

static unsigned devices_of(const Moecap__V1__EvaluationSpec *spec)
{
    static const enum cap_knob_id factors[] = {CAP_KNOB_tensor, CAP_KNOB_pipeline, CAP_KNOB_data};
    unsigned devices = 1;

    for (size_t i = 0; i < CAP_COUNT_OF(factors); i++) {
        struct cap_knob_value value = cap_spec_get(spec, factors[i]);

        if (value.is_set && value.whole > 0)
            devices *= (unsigned)value.whole;
    }
    return devices;
}

const char *sched_hardware_doubt(const Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena)
{
    const char *text = spec->hardware ? spec->hardware->description : "";
    unsigned needed = devices_of(spec);
    struct cap_hardware found;
    struct cap_err why = {0};

    if (!*text)
        return NULL;
    if (!cap_hardware_find(text, 0, &found, &why))
        return cap_arena_printf(arena,
                                "hardware: %s; without --peak-bandwidth and --peak-flops the runs "
                                "have no utilisation, without --rent or --price no cost",
                                why.text);
    if (found.counted && needed > found.count)
        return cap_arena_printf(arena,
                                "hardware: \"%.120s\" says %u, parallelism needs %u devices; "
                                "correct one, or the runs have no utilisation and no cost",
                                text, found.count, needed);
    return NULL;
}

/* ---- which samples? ---- */

/* The seed of a task's draw: another task of the same evaluation draws differently. */
static uint64_t task_seed(uint64_t seed, const char *task)
{
    uint8_t digest[CAP_SHA256_BYTES];
    uint64_t mixed;

    cap_sha256(task, strlen(task), digest);
    memcpy(&mixed, digest, sizeof mixed);
    return seed ^ mixed;
}

/* Knuth's selection sampling (The Art of Computer Programming 2, 3.4.2, algorithm S): `wanted` of
 * `total`, in order. */
static void draw(uint64_t seed, uint32_t total, uint32_t wanted, struct sched_selection *out)
{
    struct cap_rand rand;

    cap_rand_seed(&rand, seed);
    for (uint32_t i = 0; i < total && out->count < wanted; i++)
        if (cap_rand_below(&rand, total - i) < wanted - out->count)
            out->ordinals[out->count++] = i;
}

bool sched_select(const Moecap__V1__EvaluationSpec *spec, const char *task, uint32_t samples,
                  struct cap_arena *arena, struct sched_selection *out, struct cap_err *err)
{
    struct sched_selection all = {cap_arena_array(arena, (size_t)samples + 1, sizeof(uint32_t)), 0};
    struct cap_knob_value sampling = cap_spec_get(spec, CAP_KNOB_sampling);
    uint32_t wanted = (uint32_t)lround((sampling.is_set ? sampling.real : 1) * samples);

    if (!all.ordinals)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "task \"%s\" has too many samples: %u", task,
                        samples);
    if (wanted == 0 && samples > 0)
        wanted = 1; /* a share above zero is at least one sample */
    draw(task_seed(spec->seed, task), samples, wanted, &all);
    if (spec->limit > 0 && all.count > spec->limit)
        all.count = spec->limit;
    if (all.count == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "task \"%s\" has no samples", task);
    *out = all;
    return true;
}
