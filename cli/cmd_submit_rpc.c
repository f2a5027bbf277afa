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
#include <unistd.h>

#include "base/file.h"
#include "base/plain.h"
#include "cmd.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "suite.h"
#include "sweep.h"

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

    if (knob->or_run && strncmp(path, "run-", 4) == 0 && access(path, F_OK) != 0) {
        cap_spec_set_text(spec, id, path, arena, io_faults);
        return;
    }
    if (knob->in_folder && !strstr(path, ".json"))
        path = cap_arena_printf(arena, "%s/%s", path, knob->in_folder);
    content = cap_file_read_text(path, (size_t)knob->max, &err);
    if (content && !*content) /* an empty text is a knob that is not given */
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s: \"%.200s\" is empty",
                       knob->path, path);
    else if (content)
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

/* One evaluation of those that a command submits. */
struct one {
    const struct cli_sweep *sweep; /* NULL: it is the only one */
    const char *value;             /* of the knob that is swept */
    bool check_only;               /* nothing is queued or printed */
};

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

static void print_plan(const struct cli_submit_options *o, const struct one *one,
                       const Moecap__V1__SubmitReply *reply)
{
    CAP_AUTO_BUF(label, 256);

    if (one->sweep)
        cap_buf_printf(&label, "%s %.64s: ", cap_knobs[one->sweep->knob].flag, one->value);
    for (size_t i = 0; i < reply->n_warnings; i++)
        cli_warn("%s", reply->warnings[i]);
    if (reply->no_node && !o->dry_run)
        cli_warn("moecap cancel %s takes it back", reply->evaluation_id);
    if (o->quiet) {
        cli_say("%s", o->dry_run ? reply->config_hash : reply->evaluation_id);
        return;
    }
    if (o->dry_run)
        cli_say("%swould run (config %.12s):", label.data, reply->config_hash);
    else if (reply->duplicate)
        cli_say("%s%s is queued or running with this configuration already (config %.12s):",
                label.data, reply->evaluation_id, reply->config_hash);
    else
        cli_say("%s%s (config %.12s):", label.data, reply->evaluation_id, reply->config_hash);
    for (size_t i = 0; i < reply->n_runs; i++)
        print_planned(reply, reply->runs[i]);
    if (!o->dry_run && !o->watch && !one->sweep)
        cli_say("follow it: moecap watch %s", reply->evaluation_id);
}

/* What was written, knob by knob. */
static bool read_spec(const struct cli_submit_options *o, struct cap_arena *arena,
                      Moecap__V1__EvaluationSpec *spec, struct cap_spec_faults *io_faults,
                      struct cap_err *err)
{
    for (int id = 0; id < CAP_KNOB_COUNT; id++)
        set_knob(spec, (enum cap_knob_id)id, o, arena, io_faults);
    if (!*spec->model || spec->n_tasks == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "submit needs --model and at least one --task");
    return !o->slo || cli_slo_set(o->slo, spec, arena, io_faults, err);
}

static int submit_one(struct cli_context *context, const struct one *one, const char **out_id,
                      struct cap_err *err)
{
    const struct cli_submit_options *o = &cli_submit_options;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__SubmitRequest request = MOECAP__V1__SUBMIT_REQUEST__INIT;
    struct cap_spec_faults faults = {.count = 0};
    Moecap__V1__SubmitReply *reply = NULL;
    CAP_AUTO(cli_suite) suite = NULL;
    CAP_AUTO(cap_arena) arena = cap_arena_new(SPEC_ARENA_BYTES);

    if (!read_spec(o, arena, &spec, &faults, err))
        return CLI_USAGE;
    if (one->sweep)
        cap_spec_set_text(&spec, one->sweep->knob, one->value, arena, &faults);
    request.spec = &spec;
    request.dry_run = o->dry_run || one->check_only || faults.count > 0;
    suite = cli_suite_open(context, err);
    if (!suite || !submit_spec(suite, &request, &reply, &faults, err))
        return faults.count > 0 ? cli_refuse(context, &faults, err) : cli_exit_of(err->code);
    if (one->check_only)
        return CLI_OK;
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_plan(o, one, reply);
    fflush(stdout);
    *out_id = strdup(reply->evaluation_id);
    return CLI_OK;
}

/* ---- several ---- */

static bool read_sweep(struct cap_arena *arena, struct cli_sweep *out, struct cap_err *err)
{
    const struct cli_submit_options *o = &cli_submit_options;
    const char *seed = o->texts[CAP_KNOB_seed];

    if (!cli_sweep_read(o->sweep, seed ? strtoull(seed, NULL, 10) : 0, arena, out, err))
        return false;
    if (o->texts[out->knob])
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--sweep sets --%s itself: leave one of them out",
                        cap_knobs[out->knob].flag);
    return true;
}

/* Values are submitted in the order in which they are to run. All are checked before one is queued:
 * half a sweep is none. */
static int submit_sweep(struct cli_context *context, const char **out_ids, int *out_count,
                        struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(SPEC_ARENA_BYTES);
    struct cli_sweep sweep;
    int status = CLI_OK;

    if (!read_sweep(arena, &sweep, err))
        return CLI_USAGE;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < sweep.count && status == CLI_OK; i++) {
            const struct one one = {&sweep, sweep.values[i], pass == 0};

            status = submit_one(context, &one, &out_ids[i], err);
        }
    *out_count = sweep.count;
    return status;
}

/* Both ends of a search are checked before its first run. */
static int check_ends(struct cli_context *context, const struct cli_search *search,
                      struct cap_err *err)
{
    const struct cli_sweep sweep = {.knob = search->knob};
    const double ends[] = {search->low, search->high};
    int status = CLI_OK;

    for (size_t i = 0; i < CAP_COUNT_OF(ends) && status == CLI_OK; i++) {
        char text[32];
        const char *ignored = NULL;

        snprintf(text, sizeof text, "%.4g", ends[i]);
        status = submit_one(context, &(struct one){&sweep, text, true}, &ignored, err);
    }
    return status;
}

/* One value after the other: the next depends on what came of the last. */
static int search(struct cli_context *context, const char **out_ids, int *out_count,
                  struct cap_err *err)
{
    const struct cli_submit_options *o = &cli_submit_options;
    CAP_AUTO(cap_arena) arena = cap_arena_new(SPEC_ARENA_BYTES);
    struct cli_search search = {.runs = 0};
    int status = CLI_OK;
    double value;

    if (!cli_search_read(o->search, arena, &search, err))
        return CLI_USAGE;
    if (!o->slo && !o->texts[CAP_KNOB_slo_ttft] && !o->texts[CAP_KNOB_slo_tpot] &&
        !o->texts[CAP_KNOB_slo_e2e]) {
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "--search needs a service level, e.g. --slo ttft=500ms");
        return CLI_USAGE;
    }
    status = check_ends(context, &search, err);
    while (status == CLI_OK && cli_search_next(&search, &value)) {
        const struct cli_sweep sweep = {.knob = search.knob};
        char text[32];
        bool met = false;

        snprintf(text, sizeof text, "%.4g", value);
        status =
            submit_one(context, &(struct one){&sweep, text, false}, &out_ids[search.runs], err);
        if (status != CLI_OK || o->dry_run)
            return status;
        *out_count = search.runs + 1;
        status = cli_watch_ids(context, &out_ids[search.runs], 1, err);
        if (status == CLI_OK &&
            !cli_meets_slo(context, out_ids[search.runs], CLI_ATTAIN_DEFAULT, &met, err))
            return cli_exit_of(err->code);
        cli_search_told(&search, strtod(text, NULL), met);
    }
    return status;
}

static void say_table(const char *const *ids, int count)
{
    CAP_AUTO_BUF(line, 8192);

    for (int i = 0; i < count; i++)
        cap_buf_printf(&line, " %.64s", ids[i]);
    cli_say("the table: moecap sweep%s", line.data);
}

static int follow(struct cli_context *context, const char *const *ids, int count,
                  struct cap_err *err)
{
    const struct cli_submit_options *o = &cli_submit_options;
    int status = CLI_OK;

    if (o->watch && !o->dry_run && !o->search)
        status = cli_watch_ids(context, ids, count, err);
    if ((!o->sweep && !o->search) || o->dry_run)
        return status;
    if ((o->watch || o->search) && (status == CLI_OK || status == CLI_NEGATIVE) &&
        !context->globals.json)
        (void)cli_print_sweep(context, ids, count, CLI_ATTAIN_DEFAULT, err);
    else if (!o->quiet && !context->globals.json)
        say_table(ids, count);
    return status;
}

int cli_cmd_submit(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    const char *ids[CLI_SWEEP_VALUES_MAX] = {NULL};
    int count = 1, status;

    (void)words;
    if (cli_submit_options.sweep && cli_submit_options.search) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "--sweep excludes --search: one of them is meant");
        status = CLI_USAGE;
    } else if (cli_submit_options.search)
        status = search(context, ids, &count, err);
    else if (cli_submit_options.sweep)
        status = submit_sweep(context, ids, &count, err);
    else
        status = submit_one(context, &(struct one){.sweep = NULL}, &ids[0], err);
    if (status == CLI_OK)
        status = follow(context, ids, count, err);
    for (int i = 0; i < CLI_SWEEP_VALUES_MAX; i++)
        free((char *)ids[i]);
    return status;
}
