/* submit: queues an evaluation.
 *
 * Its options are the rows of lib/spec/spec.def (commands.c makes them), so nothing here knows a
 * knob. What was written goes into the message knob by knob. A value that cannot be read, or has no
 * room in its field, is left out and told together with what the scheduler says of the rest, which
 * is then only asked for a plan. Sentences come with paths of the message and are printed with
 * options. */
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

/* ---- submit ---- */

/* What stands in the file, or in the file of that name in the folder. */
static void set_file(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const char *path,
                     struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    const struct cap_knob *knob = &cap_knobs[id];
    CAP_AUTO_MEM char *content = NULL;
    struct cap_err err = {0};

    if (knob->in_folder && !strstr(path, ".json"))
        path = cap_arena_printf(arena, "%s/%s", path, knob->in_folder);
    content = cap_file_read(path, (size_t)knob->max, NULL, &err);
    if (content)
        cap_spec_set_text(spec, id, content, arena, io_faults);
    else
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s: %s", knob->path, err.text);
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

/* The scheduler says what is wrong with values that could be read and sent; together with those
 * that could not. Otherwise its answer is the reason. */
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

/* A value that is not even of its option's kind is a wrong command line. */
int cli_refuse(const struct cli_context *context, const struct cap_spec_faults *faults,
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

/* "run-a2b3  gsm-mini, 600 samples (repeat 1 of 2)" */
static void print_planned(const Moecap__V1__SubmitReply *reply, const Moecap__V1__PlannedRun *run)
{
    CAP_AUTO_BUF(line, 1024);
    unsigned repeats = 0;

    for (size_t i = 0; i < reply->n_runs; i++)
        repeats += strcmp(reply->runs[i]->task, run->task) == 0;
    cap_buf_printf(&line, "%s%s%.256s, %u sample%s", run->run_id, *run->run_id ? "  " : "",
                   run->task, run->samples, run->samples == 1 ? "" : "s");
    if (repeats > 1)
        cap_buf_printf(&line, " (repeat %u of %u)", run->repeat + 1, repeats);
    cli_say("  %s", line.data);
}

static void print_plan(const struct cli_submit_options *o, const Moecap__V1__SubmitReply *reply)
{
    for (size_t i = 0; i < reply->n_warnings; i++)
        cli_warn("%s", reply->warnings[i]);
    if (reply->no_node && !o->dry_run)
        cli_warn("moecap cancel %s takes it back", reply->evaluation_id);
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
        print_planned(reply, reply->runs[i]);
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
        return faults.count > 0 ? cli_refuse(context, &faults, err) : cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_plan(o, reply);
    fflush(stdout);
    if (o->watch && !o->dry_run)
        return cli_watch_ids(context, (const char *const[]){reply->evaluation_id}, 1, err);
    return CLI_OK;
}
