/* profile: which experts a task's answers wake, batch by batch, without a service.
 *
 * Prompts come in as `moecap render` writes them. They are answered in batches: as many prompts at
 * once as the batch is large, until the last of them has ended, then the next ones. So all
 * sequences of a batch are at the same step, and a step's experts are those of its tokens alone:
 * there is no padding, a sequence that has ended is in no step any more, and the passes that read
 * prompts are not counted. The engine says per pass which experts its router chose.
 *
 * Two files come out, as the recorder of the Open MoE LLM Leaderboard laid them out. Both are
 * written when all is done, beside their place and then renamed: whatever ends the program earlier
 * leaves no half a file. */
#include "offline/offline.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/exit.h"
#include "base/file.h"
#include "base/plain.h"
#include "offline/prompts.h"

enum {
    BATCH_MAX = 4096,
    TENSOR_PARALLEL_MAX = 1024,
    CSV_BYTES_MAX = 64 << 20,
    PATH_BYTES = PATH_MAX + 512,
    WAIT_MS = 1000,
    PROGRESS_MS = 5000 /* a line on stderr that often */
};

static const char usage[] =
    "usage: moecap-inference profile --model DIR --batch-size N --prompts FILE [options]\n"
    "\n"
    "Counts which experts the answers to a task's prompts use. moecap profile makes the prompts\n"
    "and calls this.\n"
    "\n"
    "  --model DIR       a checkpoint; its last two folders are ORG and NAME of the files\n"
    "  --name ORG/NAME   other names\n"
    "  --batch-size N    prompts answered at once, 1 to 4096\n"
    "  --prompts FILE    as moecap render writes them; - is standard input\n"
    "  --tp N            put _tpN into the file's name; the counts are the whole model's\n"
    "  --precision P     f32, bf16 (default), int8\n"
    "  --threads N       default: every core\n"
    "  --output DIR      where the two files go; default: this folder\n"
    "  --json            the summary as one JSON object\n";

static const char verb[] = "profile";
static const char heading[] = "dataset,batch_size,average_activated_experts";

struct profile_options {
    const char *model, *name, *prompts, *output;
    struct infer_engine_options engine;
    int batch, tp; /* tp 0: not said */
};

/* Sums over decode passes. */
struct sums {
    int moe_layers, experts, top_k;
    int *layer_ids;        /* [moe_layers] */
    uint64_t *chosen;      /* [moe_layers][experts] selections */
    uint64_t passes, rows; /* rows: tokens that were fed */
    uint64_t distinct;     /* over passes and layers */
};

struct profiling {
    const struct profile_options *options;
    struct infer_prompts *prompts;
    struct infer_engine *engine;
    struct sums sums;
    size_t ended, failed;
    char failure[CAP_ERR_TEXT_BYTES_MAX]; /* of the last that failed */
    int64_t started_ms, told_ms;
};

/* ---- passes ---- */

/* The shape is known from the first pass on. */
static void learn_shape(struct sums *sums, const struct infer_pass *pass)
{
    size_t layers = (size_t)pass->moe_layers;

    sums->moe_layers = pass->moe_layers;
    sums->experts = pass->experts;
    sums->layer_ids = calloc(layers, sizeof *sums->layer_ids);
    sums->chosen = calloc(layers * (size_t)pass->experts, sizeof *sums->chosen);
    if (!sums->layer_ids || !sums->chosen)
        abort();
    memcpy(sums->layer_ids, pass->moe_layer_ids, layers * sizeof *sums->layer_ids);
}

static void add_pass(struct sums *sums, const struct infer_pass *pass)
{
    if (pass->phase != INFER_DECODE || pass->moe_layers == 0)
        return;
    if (!sums->layer_ids)
        learn_shape(sums, pass);
    sums->passes++;
    sums->rows += (uint64_t)pass->tokens;
    for (int i = 0; i < sums->moe_layers; i++)
        sums->distinct += pass->distinct_experts[i];
    for (size_t i = 0; i < (size_t)sums->moe_layers * (size_t)sums->experts; i++)
        sums->chosen[i] += pass->expert_counts[i];
}

static double mean_activated(const struct sums *sums)
{
    return (double)sums->distinct / (double)sums->passes / sums->moe_layers;
}

/* ---- batches ---- */

static void count_failure(struct profiling *p, const char *text)
{
    p->failed++;
    p->ended++;
    snprintf(p->failure, sizeof p->failure, "%s", text);
}

static void tell_progress(struct profiling *p)
{
    int64_t now_ms = cap_clock_ms(cap_clock_system());

    if (now_ms - p->told_ms < PROGRESS_MS)
        return;
    p->told_ms = now_ms;
    fprintf(stderr, "profile: %zu of %zu prompts, %" PRIu64 " steps in %lld s\n", p->ended,
            p->prompts->count, p->sums.passes, (long long)(now_ms - p->started_ms) / 1000);
}

/* A prompt that does not fit the context fails at once; the others of its batch go on. */
static size_t submit_batch(struct profiling *p, size_t from, size_t count)
{
    size_t in_flight = 0;

    for (size_t i = from; i < from + count; i++) {
        struct cap_err err = {0};

        if (p->engine->ops->submit(p->engine, &p->prompts->items[i], &err))
            in_flight++;
        else
            count_failure(p, err.text);
    }
    return in_flight;
}

static bool take_event(struct profiling *p, const struct infer_event *event)
{
    if (event->kind == INFER_PASS)
        add_pass(&p->sums, &event->pass);
    if (event->kind == INFER_FAILED)
        count_failure(p, event->failure.text);
    if (event->kind == INFER_DONE)
        p->ended++;
    return event->kind == INFER_DONE || event->kind == INFER_FAILED;
}

static bool run_batch(struct profiling *p, size_t from, size_t count, struct cap_err *err)
{
    size_t in_flight = submit_batch(p, from, count);

    while (in_flight > 0) {
        struct infer_event event;

        if (p->engine->ops->wait(p->engine, WAIT_MS, &event, err))
            in_flight -= take_event(p, &event);
        else if (err->code != CAP_OK)
            return false;
        tell_progress(p);
    }
    return true;
}

static bool run_batches(struct profiling *p, struct cap_err *err)
{
    size_t batch = (size_t)p->options->batch;

    for (size_t from = 0; from < p->prompts->count; from += batch) {
        size_t left = p->prompts->count - from;

        if (!run_batch(p, from, left < batch ? left : batch, err))
            return false;
    }
    if (p->sums.passes > 0)
        return true;
    if (p->failed > 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "no answer has a decode step; %zu prompts "
                        "failed, the last one because: %.300s",
                        p->failed, p->failure);
    return cap_fail(err, CAP_FAILED_PRECONDITION,
                    "no answer has a decode step: all ended with their first token");
}

/* ---- names of the files ---- */

/* ORG/NAME of a folder: its last two parts. In a cache of Hugging Face's hub these are
 * models--ORG--NAME/snapshots/COMMIT. */
static bool name_of(const char *dir, char out[PATH_BYTES], struct cap_err *err)
{
    char path[PATH_MAX], *hub, *end, *slash;

    if (!realpath(dir, path))
        return cap_fail(err, CAP_NOT_FOUND, "there is no \"%s\"", dir);
    if ((hub = strstr(path, "/models--")) && (end = strstr(hub + 1, "/snapshots/"))) {
        char *dashes = strstr(hub + strlen("/models--"), "--");

        *end = '\0';
        if (dashes && dashes < end) {
            snprintf(out, PATH_BYTES, "%.*s/%s", (int)(dashes - hub) - (int)strlen("/models--"),
                     hub + strlen("/models--"), dashes + 2);
            return true;
        }
        *end = '/';
    }
    if (!(slash = strrchr(path, '/')) || slash == path)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "\"%s\" has no folder above it to name its files by; pass --name ORG/NAME",
                        dir);
    while (slash > path && slash[-1] != '/')
        slash--;
    snprintf(out, PATH_BYTES, "%s", slash);
    return true;
}

static bool is_name(const char *name)
{
    const char *slash = strchr(name, '/');

    return slash && slash > name && slash[1] && !strchr(slash + 1, '/') && *name != '.' &&
           slash[1] != '.';
}

static bool make_parent(char *path, struct cap_err *err)
{
    char *slash = strrchr(path, '/');
    bool ok;

    *slash = '\0';
    ok = cap_dir_make(path, err);
    *slash = '/';
    return ok;
}

struct paths {
    char name[PATH_BYTES];
    char results[2 * PATH_BYTES], counts[2 * PATH_BYTES];
};

static bool find_paths(const struct profile_options *o, const char *task, struct paths *out,
                       struct cap_err *err)
{
    char tp[32] = "";

    if (o->name)
        snprintf(out->name, sizeof out->name, "%s", o->name);
    else if (!name_of(o->model, out->name, err))
        return false;
    if (o->tp > 0)
        snprintf(tp, sizeof tp, "_tp%d", o->tp);
    snprintf(out->results, sizeof out->results, "%s/activation_profiling_results/%s.csv", o->output,
             out->name);
    snprintf(out->counts, sizeof out->counts,
             "%s/activation_profiling_expert_count/%s_dataset_%s_bs%d%s_expert_counts.csv",
             o->output, out->name, task, o->batch, tp);
    return make_parent(out->results, err) && make_parent(out->counts, err);
}

/* ---- the files ---- */

static bool write_counts(const struct sums *sums, const char *path, struct cap_err *err)
{
    CAP_AUTO_BUF(text, CSV_BYTES_MAX);

    cap_buf_add_str(&text, "layer_id");
    for (int e = 0; e < sums->experts; e++)
        cap_buf_printf(&text, ",expert_%d", e);
    cap_buf_add_char(&text, '\n');
    for (int i = 0; i < sums->moe_layers; i++) {
        cap_buf_printf(&text, "%d", sums->layer_ids[i]);
        for (int e = 0; e < sums->experts; e++)
            cap_buf_printf(&text, ",%" PRIu64,
                           sums->chosen[(size_t)i * (size_t)sums->experts + (size_t)e]);
        cap_buf_add_char(&text, '\n');
    }
    if (text.overflowed)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the expert counts are too large");
    return cap_file_write(path, text.data, text.length, err);
}

/* What the file holds but for the line of this task and batch, which is about to be replaced. */
static bool keep_others(const char *path, const char *task, int batch, struct cap_buf *out,
                        struct cap_err *err)
{
    CAP_AUTO_MEM char *text = NULL;
    char prefix[512];
    char *line, *rest;

    snprintf(prefix, sizeof prefix, "%s,%d,", task, batch);
    if (!cap_file_exists(path))
        return true;
    if (!(text = cap_file_read_regular(path, CSV_BYTES_MAX, NULL, err)))
        return false;
    rest = text;
    line = strsep(&rest, "\n");
    if (strcmp(line, heading) != 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "\"%s\" is no profile: its first line is not \"%s\"; move it away", path,
                        heading);
    while ((line = strsep(&rest, "\n")))
        if (*line && strncmp(line, prefix, strlen(prefix)) != 0)
            cap_buf_printf(out, "%s\n", line);
    return true;
}

/* Known before the work, not after it. */
static bool check_results(const struct profiling *p, const char *path, struct cap_err *err)
{
    CAP_AUTO_BUF(ignored, CSV_BYTES_MAX);

    return keep_others(path, p->prompts->task, p->options->batch, &ignored, err);
}

static bool write_results(const struct profiling *p, const char *path, struct cap_err *err)
{
    CAP_AUTO_BUF(text, CSV_BYTES_MAX);

    cap_buf_printf(&text, "%s\n", heading);
    if (!keep_others(path, p->prompts->task, p->options->batch, &text, err))
        return false;
    cap_buf_printf(&text, "%s,%d,%.12g\n", p->prompts->task, p->options->batch,
                   mean_activated(&p->sums));
    if (text.overflowed)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "\"%s\" is too large", path);
    return cap_file_write(path, text.data, text.length, err);
}

/* ---- the summary ---- */

static void print_summary(const struct profiling *p, const struct paths *paths, bool as_json)
{
    const struct sums *s = &p->sums;
    double mean_batch = (double)s->rows / (double)s->passes;

    if (as_json) {
        json_t *summary = json_pack(
            "{s:s,s:s,s:i,s:f,s:i,s:i,s:I,s:f,s:I,s:I,s:s,s:s}", "model", paths->name, "dataset",
            p->prompts->task, "batch_size", p->options->batch, "average_activated_experts",
            mean_activated(s), "experts", s->experts, "top_k", s->top_k, "decode_steps",
            (json_int_t)s->passes, "mean_batch", mean_batch, "prompts",
            (json_int_t)p->prompts->count, "failed", (json_int_t)p->failed, "results",
            paths->results, "expert_counts", paths->counts);
        infer_say_json(summary);
        json_decref(summary);
        return;
    }
    cap_plain_line(
        stdout, "%s, batch %d: %.4g of %d experts of a layer in a decode step, %d for each token",
        p->prompts->task, p->options->batch, mean_activated(s), s->experts, s->top_k);
    cap_plain_line(stdout, "%zu prompts, %" PRIu64 " steps, %.4g sequences in a step on average",
                   p->prompts->count, s->passes, mean_batch);
    if (p->failed > 0)
        cap_plain_line(stdout, "%zu prompts failed and are not in it, the last one because: %s",
                       p->failed, p->failure);
    cap_plain_line(stdout, "wrote %s", paths->results);
    cap_plain_line(stdout, "wrote %s", paths->counts);
}

/* ---- the verb ---- */

static bool check_prompts(const struct infer_prompts *prompts, struct cap_err *err)
{
    if (strcmp(prompts->output_type, "generate_until") != 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "task \"%s\" scores choices by log-likelihood: nothing is decoded",
                        prompts->task);
    return true;
}

static bool open_engine(struct profiling *p, struct cap_err *err)
{
    struct infer_engine_report report;

    p->engine = infer_engine_find("native")->open(&p->options->engine, err);
    if (!p->engine)
        return false;
    p->engine->ops->report(p->engine, &report);
    p->sums.top_k = report.top_k;
    return report.moe_layers > 0 ||
           cap_fail(err, CAP_FAILED_PRECONDITION, "the model has no experts");
}

static bool profile(struct profiling *p, struct paths *paths, struct cap_err *err)
{
    p->started_ms = p->told_ms = cap_clock_ms(cap_clock_system());
    return infer_prompts_read(p->options->prompts, &p->prompts, err) &&
           check_prompts(p->prompts, err) && open_engine(p, err) &&
           find_paths(p->options, p->prompts->task, paths, err) &&
           check_results(p, paths->results, err) && run_batches(p, err) &&
           write_counts(&p->sums, paths->counts, err) && write_results(p, paths->results, err);
}

static void close_profiling(struct profiling *p)
{
    if (p->engine)
        p->engine->ops->free(p->engine);
    infer_prompts_free(p->prompts);
    free(p->sums.layer_ids);
    free(p->sums.chosen);
}

static bool read_count(const char *text, int most, int *out)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > most)
        return false;
    *out = (int)value;
    return true;
}

static bool take_option(int c, struct profile_options *o)
{
    switch (c) {
    case 'm':
        o->model = o->engine.model = optarg;
        return true;
    case 'N':
        o->name = optarg;
        return is_name(optarg);
    case 'b':
        return read_count(optarg, BATCH_MAX, &o->batch);
    case 'P':
        o->prompts = optarg;
        return true;
    case 't':
        return read_count(optarg, TENSOR_PARALLEL_MAX, &o->tp);
    case 'p':
        o->engine.precision = optarg;
        return true;
    case 'n':
        return read_count(optarg, 1024, &o->engine.threads);
    case 'o':
        o->output = optarg;
        return true;
    default:
        return c == 'j';
    }
}

/* -1 to go on, else the exit status. */
static int read_arguments(int argc, char **argv, bool as_json, struct profile_options *o)
{
    static const struct option longs[] = {{"model", 1, NULL, 'm'},
                                          {"name", 1, NULL, 'N'},
                                          {"batch-size", 1, NULL, 'b'},
                                          {"prompts", 1, NULL, 'P'},
                                          {"tp", 1, NULL, 't'},
                                          {"precision", 1, NULL, 'p'},
                                          {"threads", 1, NULL, 'n'},
                                          {"output", 1, NULL, 'o'},
                                          {"json", 0, NULL, 'j'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    int c;

    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return CAP_EXIT_OK;
        }
        if (!take_option(c, o))
            return infer_say_usage(as_json, verb, usage, "\"%s\" is not accepted here",
                                   c == '?' ? argv[optind - 1] : optarg);
    }
    if (optind != argc || !o->model || !o->batch || !o->prompts)
        return infer_say_usage(as_json, verb, usage,
                               "--model, --batch-size and --prompts are needed, and no other word");
    o->engine.concurrency = o->batch;
    return -1;
}

int infer_cmd_profile(int argc, char **argv)
{
    bool as_json = infer_says_json(argc, argv);
    struct profile_options options = {.output = ".", .engine = {.precision = "bf16", .device = ""}};
    struct profiling p = {.options = &options};
    struct cap_err err = {0};
    struct paths *paths;
    int status = read_arguments(argc, argv, as_json, &options);
    bool ok;

    if (status >= 0)
        return status;
    if (!(paths = calloc(1, sizeof *paths)))
        abort();
    ok = profile(&p, paths, &err);
    if (ok)
        print_summary(&p, paths, as_json);
    else
        infer_say_failure(as_json, verb, &err);
    close_profiling(&p);
    free(paths);
    return ok ? CAP_EXIT_OK : cap_exit_of_input(err.code);
}
