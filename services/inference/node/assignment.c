/* Copies of what came over the wire, in one arena whose limit is the setting prompt_mib_max;
 * checks of what a node must know before it runs anything. */
#include "node/work.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct infer_assignment *infer_assignment_new(const struct infer_lease *lease, size_t bytes_max)
{
    struct infer_assignment *assignment = calloc(1, sizeof *assignment);

    assert(assignment);
    assignment->lease = *lease;
    assignment->arena = cap_arena_new(bytes_max);
    return assignment;
}

void infer_assignment_free(struct infer_assignment *assignment)
{
    if (!assignment)
        return;
    cap_arena_free(assignment->arena);
    free(assignment->prompts);
    free(assignment);
}

bool infer_lease_same(const struct infer_lease *a, const struct infer_lease *b)
{
    return a->fence == b->fence && a->shard == b->shard && strcmp(a->run_id, b->run_id) == 0;
}

/* NULL stays NULL; sets *io_full when the arena is. */
static const char *copy_text(struct infer_assignment *assignment, const char *text, bool *io_full)
{
    const char *copy;

    if (!text)
        return NULL;
    copy = cap_arena_strdup(assignment->arena, text);
    *io_full |= !copy;
    return copy;
}

static const char *const *copy_list(struct infer_assignment *assignment, const char *const *list,
                                    int count, bool *io_full)
{
    const char **copy = cap_arena_array(assignment->arena, (size_t)count, sizeof *copy);

    *io_full |= count && !copy;
    for (int i = 0; i < count && copy; i++)
        copy[i] = copy_text(assignment, list[i], io_full);
    return copy;
}

static const struct infer_message *copy_messages(struct infer_assignment *assignment,
                                                 const struct infer_message *list, int count,
                                                 bool *io_full)
{
    struct infer_message *copy = cap_arena_array(assignment->arena, (size_t)count, sizeof *copy);

    *io_full |= count && !copy;
    for (int i = 0; i < count && copy; i++)
        copy[i] = (struct infer_message){copy_text(assignment, list[i].role, io_full),
                                         copy_text(assignment, list[i].content, io_full)};
    return copy;
}

static bool fail_full(const struct infer_assignment *assignment, struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                    "the prompts of this shard need more than %zu MiB on the node "
                    "(setting prompt_mib_max); %d arrived",
                    cap_arena_used(assignment->arena) >> 20, assignment->prompt_count);
}

/* The times of a replay as numbers, in the arena. */
static bool read_replay(struct infer_assignment *assignment, const char *text, struct cap_err *err)
{
    CAP_AUTO_MEM double *times = NULL;
    double *copy;
    size_t count;

    if (!cap_replay_read(text, &times, &count, err))
        return cap_fail_in(err, "the load's replay");
    copy = cap_arena_array(assignment->arena, count, sizeof *copy);
    if (!copy)
        return fail_full(assignment, err);
    memcpy(copy, times, count * sizeof *copy);
    assignment->arrivals.times_s = copy;
    assignment->arrivals.time_count = count;
    return true;
}

static bool set_load(struct infer_assignment *assignment, const struct infer_spec *spec,
                     struct cap_err *err)
{
    bool is_replay = spec->replay && *spec->replay;

    if (spec->concurrency <= 0 && !(spec->rate_per_s > 0) && !is_replay)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the load has neither a concurrency nor a rate above 0");
    if (spec->concurrency > INFER_CONCURRENCY_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a concurrency of %d is more than %d",
                        spec->concurrency, INFER_CONCURRENCY_MAX);
    assignment->arrivals = (struct cap_arrivals_form){
        .rate_per_s = spec->rate_per_s,
        .ramp_to_per_s = spec->ramp_to_per_s,
        .ramp_s = spec->ramp_to_per_s > 0 ? spec->ramp_s : 0,
    };
    return cap_arrivals_process(spec->arrivals ? spec->arrivals : "", spec->burstiness,
                                &assignment->arrivals, err) &&
           (!is_replay || read_replay(assignment, spec->replay, err));
}

bool infer_assignment_spec(struct infer_assignment *assignment, const struct infer_spec *spec,
                           struct cap_err *err)
{
    struct infer_spec *mine = &assignment->spec;
    bool full = false;

    if (!set_load(assignment, spec, err))
        return false;
    *mine = *spec;
    mine->arrivals = mine->replay = NULL; /* read */
    mine->engine = copy_text(assignment, spec->engine, &full);
    mine->model = copy_text(assignment, spec->model, &full);
    mine->precision = copy_text(assignment, spec->precision, &full);
    mine->device = copy_text(assignment, spec->device, &full);
    mine->url = copy_text(assignment, spec->url, &full);
    mine->served_model = copy_text(assignment, spec->served_model, &full);
    mine->api_key_env = copy_text(assignment, spec->api_key_env, &full);
    mine->model_config = copy_text(assignment, spec->model_config, &full);
    return !full || fail_full(assignment, err);
}

static bool check_prompt(const struct infer_prompt *prompt, struct cap_err *err)
{
    const struct infer_request *request = &prompt->request;

    if (request->message_count > INFER_MESSAGES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "prompt %s has %d messages; at most %d",
                        prompt->uid, request->message_count, INFER_MESSAGES_MAX);
    if (request->stop_count > INFER_STOPS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "prompt %s has %d stop strings; at most %d",
                        prompt->uid, request->stop_count, INFER_STOPS_MAX);
    if (request->continuation_count > INFER_CONTINUATIONS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "prompt %s has %d continuations; at most %d",
                        prompt->uid, request->continuation_count, INFER_CONTINUATIONS_MAX);
    return true;
}

static void grow(struct infer_assignment *assignment)
{
    if (assignment->prompt_count < assignment->prompt_capacity)
        return;
    assignment->prompt_capacity =
        assignment->prompt_capacity ? 2 * assignment->prompt_capacity : 64;
    assignment->prompts = realloc(assignment->prompts, (size_t)assignment->prompt_capacity *
                                                           sizeof *assignment->prompts);
    assert(assignment->prompts);
}

bool infer_assignment_add(struct infer_assignment *assignment, const struct infer_prompt *prompt,
                          struct cap_err *err)
{
    struct infer_prompt copy = *prompt;
    struct infer_request *request = &copy.request;
    bool full = false;

    if (!check_prompt(prompt, err))
        return false;
    copy.uid = copy_text(assignment, prompt->uid, &full);
    request->text = copy_text(assignment, request->text, &full);
    request->messages = copy_messages(assignment, request->messages, request->message_count, &full);
    request->continuations =
        copy_list(assignment, request->continuations, request->continuation_count, &full);
    request->stop = copy_list(assignment, request->stop, request->stop_count, &full);
    request->id = (uint64_t)assignment->prompt_count + 1;
    if (full)
        return fail_full(assignment, err);
    grow(assignment);
    assignment->prompts[assignment->prompt_count++] = copy;
    return true;
}
