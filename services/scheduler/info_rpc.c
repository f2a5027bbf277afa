/* What this suite accepts now: for Submit to check against, and for Info to tell.
 *
 * Tasks are asked from the store for each call; models and engines are gathered from the
 * hellos of the nodes that are connected, a model once however many nodes offer it; ranges, words
 * and defaults from the table of knobs (lib/spec). Info answers without the store, too, and says
 * what is missing; Submit cannot. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "admit.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

enum { OFFERS_ARENA_BYTES = 256 << 20 };

/* ---- models, each once, however many nodes offer it ---- */

struct models {
    Moecap__V1__ModelChoice **list; /* by name; room for all that the nodes name */
    size_t count;
    bool any_path, link_local;
    size_t nodes;
};

/* Where the name is in the list, or belongs. */
static size_t place_of(const struct models *models, const char *name)
{
    size_t low = 0, high = models->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(models->list[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The model of that name, made when there is none yet; NULL when the arena is full. */
static Moecap__V1__ModelChoice *model_named(struct models *models, char *name,
                                            struct cap_arena *arena)
{
    size_t at = place_of(models, name);
    Moecap__V1__ModelChoice *made;

    if (at < models->count && strcmp(models->list[at]->name, name) == 0)
        return models->list[at];
    if (!(made = cap_arena_alloc(arena, sizeof *made)))
        return NULL;
    moecap__v1__model_choice__init(made);
    made->name = name;
    memmove(&models->list[at + 1], &models->list[at], (models->count - at) * sizeof made);
    models->list[at] = made;
    models->count++;
    return made;
}

/* The longest context that any node announces; one that does not say may take more. */
static void merge_context(Moecap__V1__ModelChoice *choice, const Moecap__V1__NodeModel *model)
{
    if (model->opt_context_case != MOECAP__V1__NODE_MODEL__OPT_CONTEXT_CONTEXT_TOKENS)
        choice->opt_context_case = MOECAP__V1__MODEL_CHOICE__OPT_CONTEXT__NOT_SET;
    else if (choice->nodes == 0 ||
             (choice->opt_context_case && choice->context_tokens < model->context_tokens)) {
        choice->opt_context_case = MOECAP__V1__MODEL_CHOICE__OPT_CONTEXT_CONTEXT_TOKENS;
        choice->context_tokens = model->context_tokens;
    }
}

static bool merge_model(struct models *models, const Moecap__V1__NodeModel *model,
                        struct cap_arena *arena)
{
    Moecap__V1__ModelChoice *choice = model_named(models, model->name, arena);

    if (!choice)
        return false;
    if (*model->problem) {
        if (choice->nodes == 0)
            choice->problem = model->problem;
        return true;
    }
    merge_context(choice, model);
    choice->problem = (char *)"";
    choice->family = model->family;
    choice->bytes = model->bytes;
    choice->nodes++;
    return true;
}

static bool gather_models(Moecap__V1__NodeEntry *const *nodes, size_t count,
                          struct cap_arena *arena, struct models *out, struct cap_err *err)
{
    size_t named = 0;

    for (size_t i = 0; i < count; i++)
        named += nodes[i]->hello->n_models;
    *out = (struct models){.nodes = count,
                           .list = cap_arena_array(arena, named + 1, sizeof *out->list)};
    if (!out->list)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many models to list");
    for (size_t i = 0; i < count; i++) {
        const Moecap__V1__NodeHello *hello = nodes[i]->hello;

        out->any_path = out->any_path || hello->any_model_path;
        out->link_local = out->link_local || hello->link_local;
        for (size_t m = 0; m < hello->n_models; m++)
            if (!merge_model(out, hello->models[m], arena))
                return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many models to list");
    }
    return true;
}

/* ---- tasks, without their definitions: ten thousand fit one reply ---- */

static bool list_tasks(struct sched_service *service, struct cap_arena *arena,
                       Moecap__V1__ListTasksReply **out_tasks, struct cap_err *err)
{
    Moecap__V1__ListTasksRequest request = MOECAP__V1__LIST_TASKS_REQUEST__INIT;

    request.without_definition = true;
    return store_rpc_list_tasks(service->clients.store, NULL, &request, arena, out_tasks, err);
}

/* ---- for Submit ---- */

static bool know_tasks(const Moecap__V1__ListTasksReply *tasks, struct cap_arena *arena,
                       struct sched_known *out)
{
    const char **names = cap_arena_array(arena, tasks->n_tasks + 1, sizeof *names);
    uint32_t *pools = cap_arena_array(arena, tasks->n_tasks + 1, sizeof *pools);

    for (size_t i = 0; names && pools && i < tasks->n_tasks; i++) {
        names[i] = tasks->tasks[i]->name;
        pools[i] = tasks->tasks[i]->fewshot_samples;
    }
    out->tasks = (struct cap_words){names, tasks->n_tasks};
    out->task_pools = pools;
    return names && pools;
}

/* What all nodes offer, gathered when a node has come or gone, not with every submission. */
struct sched_offers {
    pthread_mutex_t lock; /* guards everything */
    uint64_t version;     /* of the streams; UINT64_MAX = nothing is gathered */
    struct cap_arena *arena;
    struct models models;
};

struct sched_offers *sched_offers_new(void)
{
    struct sched_offers *offers = calloc(1, sizeof *offers);

    if (!offers)
        abort();
    offers->version = UINT64_MAX;
    pthread_mutex_init(&offers->lock, NULL);
    return offers;
}

void sched_offers_free(struct sched_offers *offers)
{
    if (!offers)
        return;
    cap_arena_free(offers->arena);
    pthread_mutex_destroy(&offers->lock);
    free(offers);
}

static bool gather_offers_locked(struct sched_service *service, struct cap_err *err)
{
    struct sched_offers *offers = service->offers;
    uint64_t version = sched_streams_version(service->streams);
    Moecap__V1__NodeEntry **nodes = NULL;
    size_t count;

    if (offers->version == version)
        return true;
    offers->version = UINT64_MAX;
    cap_arena_free(offers->arena);
    offers->arena = cap_arena_new(OFFERS_ARENA_BYTES);
    if (!sched_node_entries(service, offers->arena, &nodes, &count, err) ||
        !gather_models(nodes, count, offers->arena, &offers->models, err))
        return false;
    offers->version = version;
    return true;
}

static bool know_models(const struct models *models, struct cap_arena *arena,
                        struct sched_known *out)
{
    const char **names = cap_arena_array(arena, models->count + 1, sizeof *names);
    uint32_t *contexts = cap_arena_array(arena, models->count + 1, sizeof *contexts);

    for (size_t i = 0; names && contexts && i < models->count; i++) {
        names[i] = cap_arena_strdup(arena, models->list[i]->name);
        if (!names[i])
            return false;
        contexts[i] = models->list[i]->opt_context_case ? models->list[i]->context_tokens : 0;
    }
    out->models = (struct cap_words){names, models->count};
    out->model_contexts = contexts;
    out->any_model_path = models->any_path;
    out->link_local = models->link_local;
    out->nodes = models->nodes;
    return names && contexts;
}

bool sched_gather_known(struct sched_service *service, struct cap_arena *arena,
                        struct sched_known *out, struct cap_err *err)
{
    Moecap__V1__ListTasksReply *tasks;
    bool ok;

    if (!list_tasks(service, arena, &tasks, err))
        return cap_fail_in(err, "store");
    pthread_mutex_lock(&service->offers->lock);
    ok = gather_offers_locked(service, err) &&
         ((know_tasks(tasks, arena, out) && know_models(&service->offers->models, arena, out)) ||
          cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many tasks to list"));
    pthread_mutex_unlock(&service->offers->lock);
    return ok;
}

/* ---- for Info ---- */

static void set_names(struct cap_words names, char ***out, size_t *out_count)
{
    *out = (char **)names.items;
    *out_count = names.count;
}

static bool lists(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Nodes that can open it, if only at a URL. */
static uint32_t count_offers(Moecap__V1__NodeEntry *const *nodes, size_t count, const char *engine)
{
    uint32_t offers = 0;

    for (size_t i = 0; i < count; i++) {
        const Moecap__V1__NodeHello *hello = nodes[i]->hello;

        offers += lists(hello->engines, hello->n_engines, engine) ||
                  lists(hello->url_engines, hello->n_url_engines, engine);
    }
    return offers;
}

static bool tell_engines(Moecap__V1__InfoReply *reply, Moecap__V1__NodeEntry *const *nodes,
                         size_t count, struct cap_arena *arena)
{
    reply->engine_choices =
        cap_arena_array(arena, reply->n_engines + 1, sizeof *reply->engine_choices);
    for (size_t i = 0; reply->engine_choices && i < reply->n_engines; i++) {
        Moecap__V1__EngineChoice *choice = cap_arena_alloc(arena, sizeof *choice);

        if (!choice)
            return false;
        moecap__v1__engine_choice__init(choice);
        choice->name = reply->engines[i];
        choice->needs_url = cap_engine_find(choice->name)->server;
        choice->nodes = count_offers(nodes, count, choice->name);
        choice->offered = choice->nodes > 0;
        reply->engine_choices[reply->n_engine_choices++] = choice;
    }
    return reply->engine_choices != NULL;
}

static bool tell_models(Moecap__V1__InfoReply *reply, const struct models *models,
                        struct cap_arena *arena)
{
    reply->model_choices = models->list;
    reply->n_model_choices = models->count;
    reply->models = cap_arena_array(arena, models->count + 1, sizeof *reply->models);
    for (size_t i = 0; reply->models && i < models->count; i++)
        reply->models[reply->n_models++] = models->list[i]->name;
    return reply->models != NULL;
}

static Moecap__V1__TaskChoice *task_choice(const Moecap__V1__TaskInfo *task,
                                           struct cap_arena *arena)
{
    Moecap__V1__TaskChoice *choice = cap_arena_alloc(arena, sizeof *choice);

    if (!choice)
        return NULL;
    moecap__v1__task_choice__init(choice);
    choice->name = task->name;
    choice->description = task->description;
    choice->output_type = task->output_type;
    choice->samples = task->samples;
    choice->num_fewshot = task->num_fewshot;
    choice->fewshot_samples = task->fewshot_samples;
    return choice;
}

/* Without the store the rest is still worth knowing. */
static bool tell_tasks(struct cap_rpc_call *call, Moecap__V1__InfoReply *reply)
{
    struct sched_service *service = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    Moecap__V1__ListTasksReply *tasks;
    struct cap_err err = {0};

    if (!list_tasks(service, arena, &tasks, &err)) {
        reply->tasks_missing = cap_arena_printf(arena, "store: %s", err.text);
        return reply->tasks_missing != NULL;
    }
    reply->tasks = cap_arena_array(arena, tasks->n_tasks + 1, sizeof *reply->tasks);
    reply->task_choices = cap_arena_array(arena, tasks->n_tasks + 1, sizeof *reply->task_choices);
    if (!reply->tasks || !reply->task_choices)
        return false;
    for (size_t i = 0; i < tasks->n_tasks; i++) {
        reply->tasks[reply->n_tasks++] = tasks->tasks[i]->name;
        reply->task_choices[i] = task_choice(tasks->tasks[i], arena);
        if (!reply->task_choices[i])
            return false;
        reply->n_task_choices++;
    }
    return true;
}

static bool tell_limits(Moecap__V1__InfoReply *reply, struct cap_arena *arena)
{
    reply->limits = cap_arena_alloc(arena, sizeof *reply->limits);
    if (!reply->limits)
        return false;
    cap_spec_limits(reply->limits);
    reply->limits->samples_max = SCHED_SAMPLES_MAX;
    return true;
}

static void tell_range(const struct cap_knob *knob, Moecap__V1__Knob *out)
{
    bool is_real = knob->kind == CAP_KNOB_REAL, is_whole = knob->kind == CAP_KNOB_WHOLE;

    if (is_real || is_whole) {
        out->opt_least_case = MOECAP__V1__KNOB__OPT_LEAST_LEAST;
        out->least = is_real ? knob->low : (double)knob->min;
    }
    if (knob->kind != CAP_KNOB_SWITCH) {
        out->opt_most_case = MOECAP__V1__KNOB__OPT_MOST_MOST;
        out->most = is_real ? knob->high : (double)knob->max;
    }
    out->above_least = knob->above_low;
}

static Moecap__V1__Knob *knob_of(const struct cap_knob *knob, struct cap_arena *arena)
{
    Moecap__V1__Knob *out = cap_arena_alloc(arena, sizeof *out);

    if (!out)
        return NULL;
    moecap__v1__knob__init(out);
    out->path = (char *)knob->path;
    out->kind = (char *)cap_knob_kind_word(knob->kind);
    out->label = (char *)knob->label;
    out->help = (char *)knob->help;
    out->unit = (char *)(knob->unit ? knob->unit : "");
    out->unset = (char *)knob->unset;
    out->preset = (char *)(knob->preset ? knob->preset : "");
    out->example = (char *)(knob->example ? knob->example : "");
    out->words_when = (char *)cap_knob_when_word(knob->words_when);
    out->when = (char *)cap_knob_when_word(knob->when);
    out->group = (char *)cap_knob_group_title(knob->group);
    out->option = cap_arena_printf(arena, "--%s", knob->flag);
    out->hashed = knob->hash != CAP_NOT_HASHED;
    if (knob->words)
        set_names(knob->words(), &out->words, &out->n_words);
    tell_range(knob, out);
    return out->option ? out : NULL;
}

static bool tell_knobs(Moecap__V1__InfoReply *reply, struct cap_arena *arena)
{
    reply->knobs = cap_arena_array(arena, CAP_KNOB_COUNT, sizeof *reply->knobs);
    for (int i = 0; reply->knobs && i < CAP_KNOB_COUNT; i++) {
        reply->knobs[i] = knob_of(&cap_knobs[i], arena);
        if (!reply->knobs[i])
            return false;
        reply->n_knobs++;
    }
    return reply->knobs != NULL;
}

/* An empty evaluation with everything filled in that may be left out. */
static bool tell_defaults(Moecap__V1__InfoReply *reply, struct cap_arena *arena)
{
    reply->defaults = cap_arena_alloc(arena, sizeof *reply->defaults);
    if (!reply->defaults)
        return false;
    moecap__v1__evaluation_spec__init(reply->defaults);
    return cap_spec_fill(reply->defaults, arena);
}

static void tell_fixed(const struct sched_service *service, Moecap__V1__InfoReply *reply)
{
    reply->version = MOECAP_VERSION;
    reply->store_address = (char *)service->store_address;
    reply->evaluator_address = (char *)service->evaluator_address;
    reply->started_at_ms = service->started_at_ms;
    set_names(cap_engine_words(), &reply->engines, &reply->n_engines);
    set_names(cap_precision_computed(), &reply->precisions, &reply->n_precisions);
    set_names(cap_knobs[CAP_KNOB_format].words(), &reply->prompt_formats, &reply->n_prompt_formats);
    set_names(cap_knobs[CAP_KNOB_device].words(), &reply->devices, &reply->n_devices);
}

bool sched_handle_info(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                       Moecap__V1__InfoReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    Moecap__V1__NodeEntry **nodes = NULL;
    struct models models;
    size_t count;

    (void)request;
    tell_fixed(service, reply);
    if (!sched_node_entries(service, arena, &nodes, &count, err) ||
        !gather_models(nodes, count, arena, &models, err))
        return false;
    reply->nodes = (uint32_t)count;
    return (tell_engines(reply, nodes, count, arena) && tell_models(reply, &models, arena) &&
            tell_tasks(call, reply) && tell_limits(reply, arena) && tell_defaults(reply, arena) &&
            tell_knobs(reply, arena)) ||
           cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there is too much to tell in one reply");
}
