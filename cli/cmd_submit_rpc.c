/* submit, cancel, queue, node list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/plain.h"
#include "cmd.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "suite.h"

enum { SPEC_ARENA_BYTES = 4 << 20 };

struct cli_submit_options cli_submit_options;
struct cli_cancel_options cli_cancel_options;

static char *text(const char *value)
{
    return (char *)(value ? value : "");
}

/* ---- submit ---- */

/* What stands in the file, or in config.json of the folder. */
static void set_file(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const char *path,
                     struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    const struct cap_knob *knob = &cap_knobs[id];
    CAP_AUTO_MEM char *content = NULL;
    struct cap_err err = {0};

    if (!strstr(path, ".json"))
        path = cap_arena_printf(arena, "%s/config.json", path);
    content = cap_file_read(path, (size_t)knob->max, NULL, &err);
    if (content)
        cap_spec_set_text(spec, id, content, arena, io_faults);
    else
        cap_spec_blame(io_faults, err.code, knob->path, "%s: %s", knob->path, err.text);
}

static void set_knob(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id,
                     const struct cli_submit_options *o, struct cap_arena *arena,
                     struct cap_spec_faults *io_faults)
{
    const struct cap_knob *knob = &cap_knobs[id];
    const char *value = o->texts[id];

    if (!value && knob->env)
        value = getenv(knob->env);
    for (size_t i = 0; i < o->lists[id].count; i++)
        cap_spec_set_text(spec, id, o->lists[id].items[i], arena, io_faults);
    if (o->switches[id]) /* --chat sets the word "chat" */
        cap_spec_set_text(spec, id, knob->flag, arena, io_faults);
    else if (value && knob->kind == CAP_KNOB_FILE)
        set_file(spec, id, value, arena, io_faults);
    else if (value)
        cap_spec_set_text(spec, id, value, arena, io_faults);
}

/* The scheduler says what is wrong with values that could be read and sent; together with those that
 * could not. Otherwise its answer is the reason. */
static bool submit_spec(struct cli_suite *suite, const Moecap__V1__SubmitRequest *request,
                        Moecap__V1__SubmitReply **out_reply, struct cap_spec_faults *io_faults,
                        struct cap_err *err)
{
    struct cap_rpc_faults told = {0};
    const struct cap_rpc_options options = {.out_faults = &told};
    bool ok =
        scheduler_rpc_submit(suite->scheduler, &options, request, suite->arena, out_reply, err);

    for (size_t i = 0; i < told.count; i++)
        cap_spec_add_told(io_faults, err->code, told.items[i].field, told.items[i].sentence);
    return ok && io_faults->count == 0;
}

/* Every fault on its line, with the names of options; the last one is the failure. A value that is not
 * even of its option's kind is a wrong command line. */
static int refuse(const struct cli_context *context, const struct cap_spec_faults *faults,
                  struct cap_err *err)
{
    int status = cli_exit_of(faults->items[0].code);
    CAP_AUTO_BUF(all, CAP_SPEC_FAULTS_MAX * sizeof faults->items[0].sentence);

    cap_err_clear(err);
    for (size_t i = 0; i < faults->count; i++) {
        CAP_AUTO_BUF(sentence, 2 * sizeof faults->items[0].sentence);

        cap_spec_as_options(faults->items[i].sentence, &sentence);
        if (faults->items[i].unreadable)
            status = CLI_USAGE;
        cap_buf_printf(&all, "%s%s", i ? "; " : "", sentence.data);
        if (!context->globals.json && i + 1 < faults->count)
            cap_plain_line(stderr, "moecap: %s", sentence.data);
        else if (!context->globals.json)
            cap_fail(err, faults->items[0].code, "%s", sentence.data);
    }
    if (context->globals.json)
        cap_fail(err, faults->items[0].code, "%s", all.data);
    return status;
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
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__SubmitRequest request = MOECAP__V1__SUBMIT_REQUEST__INIT;
    struct cap_spec_faults faults = {.count = 0};
    Moecap__V1__SubmitReply *reply = NULL;
    CAP_AUTO(cli_suite) suite = NULL;
    CAP_AUTO(cap_arena) arena = cap_arena_new(SPEC_ARENA_BYTES);

    (void)words;
    for (int id = 0; id < CAP_KNOB_COUNT; id++)
        set_knob(&spec, (enum cap_knob_id)id, o, arena, &faults);
    if (!*spec.model || spec.n_tasks == 0) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "submit needs --model and at least one --task");
        return CLI_USAGE;
    }
    request.spec = &spec;
    request.dry_run = o->dry_run || faults.count > 0;
    suite = cli_suite_open(context, err);
    if (!suite || !submit_spec(suite, &request, &reply, &faults, err))
        return faults.count > 0 ? refuse(context, &faults, err) : cli_exit_of(err->code);
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
