/* submit, cancel, queue, node list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cmd.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "suite.h"

enum { MODEL_CONFIG_BYTES_MAX = 1 << 20 };

struct cli_submit_options cli_submit_options = {.concurrency = 1};
struct cli_cancel_options cli_cancel_options;

/* ---- submit ---- */

struct parts {
    Moecap__V1__EvaluationSpec spec;
    Moecap__V1__Hardware hardware;
    Moecap__V1__Parallelism parallelism;
    Moecap__V1__Load load;
    Moecap__V1__Generation generation;
    Moecap__V1__External external;
};

static char *text(const char *value)
{
    return (char *)(value ? value : "");
}

static void fill_generation(struct parts *p, const struct cli_submit_options *o)
{
    moecap__v1__generation__init(&p->generation);
    p->generation.max_tokens = (uint32_t)o->max_tokens;
    p->generation.top_k = (uint32_t)o->top_k;
    p->generation.ignore_eos = o->ignore_eos;
    if (o->has_temperature) {
        p->generation.opt_temperature_case = MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE;
        p->generation.temperature = o->temperature;
    }
    if (o->has_top_p) {
        p->generation.opt_top_p_case = MOECAP__V1__GENERATION__OPT_TOP_P_TOP_P;
        p->generation.top_p = o->top_p;
    }
}

static void fill_load(struct parts *p, const struct cli_submit_options *o)
{
    moecap__v1__load__init(&p->load);
    p->load.kind_case =
        o->has_rate ? MOECAP__V1__LOAD__KIND_RATE_PER_S : MOECAP__V1__LOAD__KIND_CONCURRENCY;
    if (o->has_rate)
        p->load.rate_per_s = o->rate;
    else
        p->load.concurrency = (uint32_t)o->concurrency;
}

static void fill_machine(struct parts *p, const struct cli_submit_options *o)
{
    moecap__v1__hardware__init(&p->hardware);
    moecap__v1__parallelism__init(&p->parallelism);
    p->hardware.description = text(o->hardware);
    p->hardware.device = text(o->device);
    p->parallelism.tensor = (uint32_t)o->tensor;
    p->parallelism.pipeline = (uint32_t)o->pipeline;
    p->parallelism.data = (uint32_t)o->data;
    p->parallelism.expert = (uint32_t)o->expert;
}

/* What is no JSON is told here, not by a node after a wait in the queue. */
static bool check_json(const char *path, const char *text, struct cap_err *err)
{
    json_error_t where;
    json_t *json = json_loads(text, 0, &where);

    if (!json)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s is no JSON: line %d: %s", path, where.line,
                        where.text);
    json_decref(json);
    return true;
}

/* config.json itself, or the folder that holds it */
static bool fill_external(struct parts *p, const struct cli_submit_options *o,
                          struct cap_arena *arena, struct cap_err *err)
{
    const char *path = o->model_config;
    CAP_AUTO_MEM char *config = NULL;

    moecap__v1__external__init(&p->external);
    p->external.url = text(o->url);
    p->external.served_model = text(o->served_model);
    p->external.api_key_env = text(o->api_key_env);
    if (!path)
        return true;
    if (!strstr(path, ".json"))
        path = cap_arena_printf(arena, "%s/config.json", path);
    config = cap_file_read(path, MODEL_CONFIG_BYTES_MAX, NULL, err);
    if (!config || !check_json(path, config, err))
        return false;
    p->external.model_config = cap_arena_strdup(arena, config);
    return true;
}

static bool fill_spec(struct parts *p, const struct cli_submit_options *o, struct cap_arena *arena,
                      struct cap_err *err)
{
    Moecap__V1__EvaluationSpec *spec = &p->spec;
    char *user = getenv("USER");

    moecap__v1__evaluation_spec__init(spec);
    fill_generation(p, o);
    fill_load(p, o);
    fill_machine(p, o);
    if (!fill_external(p, o, arena, err))
        return false;
    spec->generation = &p->generation;
    spec->load = &p->load;
    spec->hardware = &p->hardware;
    spec->parallelism = &p->parallelism;
    spec->external = &p->external;
    spec->model = text(o->model);
    spec->revision = text(o->revision);
    spec->engine = text(o->engine);
    spec->precision = text(o->precision);
    spec->n_tasks = o->tasks.count;
    spec->tasks = (char **)o->tasks.items;
    spec->limit = (uint32_t)o->limit;
    spec->repeats = (uint32_t)o->repeats;
    spec->seed = (uint64_t)o->seed;
    spec->priority = (int32_t)o->priority;
    spec->prompt_format = o->chat ? "chat" : "text";
    spec->submitter = o->submitter ? text(o->submitter) : text(user);
    spec->note = text(o->note);
    if (o->has_fewshot) {
        spec->opt_num_fewshot_case = MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT;
        spec->num_fewshot = (uint32_t)o->fewshot;
    }
    if (o->has_sampling) {
        spec->opt_sampling_case = MOECAP__V1__EVALUATION_SPEC__OPT_SAMPLING_SAMPLING;
        spec->sampling = o->sampling;
    }
    return true;
}

/* The wire's fields are unsigned: what would wrap is refused here. */
static bool check_signs(const struct cli_submit_options *o, struct cap_err *err)
{
    const struct {
        const char *name;
        int64_t value;
    } fields[] = {{"batch-size", o->concurrency},
                  {"max-tokens", o->max_tokens},
                  {"limit", o->limit},
                  {"repeats", o->repeats},
                  {"num-fewshot", o->fewshot},
                  {"seed", o->seed},
                  {"top-k", o->top_k},
                  {"tensor-parallel", o->tensor},
                  {"pipeline-parallel", o->pipeline},
                  {"data-parallel", o->data},
                  {"expert-parallel", o->expert}};

    for (size_t i = 0; i < CAP_COUNT_OF(fields); i++) {
        bool is_seed = strcmp(fields[i].name, "seed") == 0;
        int64_t max = is_seed ? INT64_MAX : UINT32_MAX;

        if (fields[i].value < 0 || fields[i].value > max)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s %lld is not from 0 to %lld",
                            fields[i].name, (long long)fields[i].value, (long long)max);
    }
    if (o->priority < INT32_MIN || o->priority > INT32_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--priority %lld is not from -100 to 100",
                        (long long)o->priority);
    return true;
}

static void print_plan(const struct cli_submit_options *o, const Moecap__V1__SubmitReply *reply)
{
    for (size_t i = 0; i < reply->n_warnings; i++)
        cli_warn("%s", reply->warnings[i]);
    if (o->quiet) {
        cli_say("%s", o->dry_run ? reply->config_hash : reply->evaluation_id);
        return;
    }
    if (o->dry_run)
        cli_say("would run (config %.12s):", reply->config_hash);
    else if (reply->duplicate)
        cli_say("%s is queued or running with this configuration already (config %.12s):",
                reply->evaluation_id, reply->config_hash);
    else
        cli_say("%s (config %.12s):", reply->evaluation_id, reply->config_hash);
    for (size_t i = 0; i < reply->n_runs; i++)
        cli_say("  %s%s%s, repeat %u, %u samples", reply->runs[i]->run_id,
                *reply->runs[i]->run_id ? "  " : "", reply->runs[i]->task, reply->runs[i]->repeat,
                reply->runs[i]->samples);
    if (!o->dry_run && !o->watch)
        cli_say("follow it: moecap watch %s", reply->evaluation_id);
}

int cli_cmd_submit(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    const struct cli_submit_options *o = &cli_submit_options;
    CAP_AUTO(cli_suite) suite = NULL;
    Moecap__V1__SubmitRequest request = MOECAP__V1__SUBMIT_REQUEST__INIT;
    Moecap__V1__SubmitReply *reply;
    struct parts parts;

    (void)words;
    if (!o->model || o->tasks.count == 0) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "submit needs --model and at least one --task");
        return CLI_USAGE;
    }
    if (!check_signs(o, err) || !(suite = cli_suite_open(context, err)) ||
        !fill_spec(&parts, o, suite->arena, err))
        return cli_exit_of(err->code);
    request.spec = &parts.spec;
    request.dry_run = o->dry_run;
    if (!scheduler_rpc_submit(suite->scheduler, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_plan(o, reply);
    fflush(stdout);
    if (o->watch && !o->dry_run)
        return cli_watch_ids(context, (const char *const[]){reply->evaluation_id}, 1, err);
    return CLI_OK;
}

/* ---- cancel ---- */

int cli_cmd_cancel(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    Moecap__V1__CancelRequest request = MOECAP__V1__CANCEL_REQUEST__INIT;
    size_t cancelled = 0;

    if (!suite)
        return cli_exit_of(err->code);
    for (int i = 0; i < words->count; i++) {
        Moecap__V1__CancelReply *reply;

        request.id = (char *)words->items[i];
        request.reason = text(cli_cancel_options.reason ? cli_cancel_options.reason
                                                        : "cancelled on the command line");
        if (!scheduler_rpc_cancel(suite->scheduler, NULL, &request, suite->arena, &reply, err))
            return cli_exit_of(err->code);
        cancelled += reply->n_run_ids;
        if (context->globals.json) {
            cli_print_json(cap_wire_to_json(&reply->base));
            continue;
        }
        for (size_t k = 0; k < reply->n_run_ids; k++)
            cli_say("%s cancelled", reply->run_ids[k]);
        for (size_t k = 0; k < reply->n_ended_ids; k++)
            cli_say("%s had already ended", reply->ended_ids[k]);
    }
    return cancelled > 0 ? CLI_OK : CLI_NEGATIVE;
}

/* ---- queue ---- */

static void print_queue(const Moecap__V1__ListQueueReply *reply)
{
    static const char *const head[] = {"",          "run",  "model", "precision", "task",
                                       "submitter", "done", "node",  "state"};
    CAP_AUTO_BUF(out, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), 1u | 1u << 6);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (size_t i = 0; i < reply->n_entries; i++) {
        const Moecap__V1__QueueEntry *e = reply->entries[i];

        if (e->position > 0)
            cli_table_addf(&table, "%u", e->position);
        else
            cli_table_add(&table, "*");
        cli_table_add(&table, e->run->run_id);
        cli_table_add(&table, e->run->model);
        cli_table_add(&table, e->run->precision);
        cli_table_add(&table, e->run->task);
        cli_table_add(&table, e->submitter);
        cli_table_addf(&table, "%u/%u", e->run->samples_answered, e->run->samples_total);
        cli_table_add(&table, e->run->node);
        if (*e->waiting_for)
            cli_table_addf(&table, "waits for: %s", e->waiting_for);
        else
            cli_table_add(&table, *e->run->phase ? e->run->phase : "grading");
    }
    cli_table_print(&table, &out);
    printf("%s%u waiting, %u running\n", reply->n_entries ? out.data : "", reply->queued,
           reply->running);
    cli_table_done(&table);
}

int cli_cmd_queue(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply;

    (void)words;
    request.limit = 1000;
    if (!suite ||
        !scheduler_rpc_list_queue(suite->scheduler, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_queue(reply);
    return CLI_OK;
}

/* ---- nodes ---- */

static void add_names(struct cli_table_out *table, char *const *names, size_t count)
{
    CAP_AUTO_BUF(list, 4000);

    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&list, "%s%s", i ? "," : "", names[i]);
    cli_table_add(table, list.data);
}

static void print_nodes(const Moecap__V1__ListNodesReply *reply)
{
    static const char *const head[] = {"node",   "engines",  "precisions",
                                       "models", "works on", "beat"};
    CAP_AUTO_BUF(out, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), 1u << 5);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (size_t i = 0; i < reply->n_nodes; i++) {
        const Moecap__V1__NodeEntry *n = reply->nodes[i];
        CAP_AUTO_BUF(models, 4000);

        cli_table_add(&table, n->hello->name);
        add_names(&table, n->hello->engines, n->hello->n_engines);
        add_names(&table, n->hello->precisions, n->hello->n_precisions);
        for (size_t k = 0; k < n->hello->n_models; k++)
            cap_buf_printf(&models, "%s%s", k ? "," : "", n->hello->models[k]->name);
        cli_table_add(&table, models.data);
        cli_table_add(&table, *n->run_id ? n->run_id : "nothing");
        cli_table_addf(&table, "%.1f s ago", (double)n->last_beat_ms_ago / 1000);
    }
    cli_table_print(&table, &out);
    printf("%s%zu connected\n", reply->n_nodes ? out.data : "", reply->n_nodes);
    cli_table_done(&table);
}

int cli_cmd_node_list(struct cli_context *context, const struct cli_words *words,
                      struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    Moecap__V1__ListNodesRequest request = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *reply;

    (void)words;
    if (!suite ||
        !scheduler_rpc_list_nodes(suite->scheduler, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_nodes(reply);
    return CLI_OK;
}
