/* profile: the evaluator renders the task's prompts into a temporary file, then we become the
 * node's verb that answers them and counts. Neither program knows of the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/auto.h"
#include "cmd.h"
#include "suite.h"

struct cli_profile_options cli_profile_options;

enum {
    ARGUMENTS_MAX = 32,
    ARENA_BYTES = 1 << 20,
    BATCH_MAX = 4096,
    TENSOR_PARALLEL_MAX = 1024,
    SAMPLES_MAX = 1000 * 1000,
};

/* A command line of another program; NULL after the last. */
struct line {
    char *words[ARGUMENTS_MAX];
    size_t count;
    struct cap_arena *arena;
};

static void add(struct line *line, const char *word)
{
    line->words[line->count++] = (char *)word;
}

static void add_text(struct line *line, const char *option, const char *value)
{
    if (!value)
        return;
    add(line, option);
    add(line, value);
}

static void add_number(struct line *line, const char *option, int64_t value)
{
    add_text(line, option, cap_arena_printf(line->arena, "%lld", (long long)value));
}

static void make_render(const struct cli_profile_options *o, struct line *out)
{
    add(out, "render");
    add(out, o->task);
    if (o->has_limit)
        add_number(out, "--limit", o->limit);
    if (o->has_fewshot)
        add_number(out, "--num-fewshot", o->num_fewshot);
    if (o->chat)
        add(out, "--chat");
    add_text(out, "--data", o->data);
    add_text(out, "--fewshot", o->fewshot);
    add_text(out, "--tasks", o->tasks);
}

/* A folder; a name without one is a model that comes with the program. */
static const char *find_model(const struct cli_context *context, const char *model,
                              struct cap_arena *arena)
{
    char shipped[CLI_PATH_BYTES];
    const char *path;

    if (strchr(model, '/') || access(model, F_OK) == 0 ||
        !cli_find_shipped(context, "models", shipped))
        return model;
    path = cap_arena_printf(arena, "%s/%s", shipped, model);
    return path && access(path, F_OK) == 0 ? path : model;
}

static void make_profile(const struct cli_context *context, const struct cli_profile_options *o,
                         struct line *out)
{
    add(out, "profile");
    add_text(out, "--model", find_model(context, o->model, out->arena));
    add_text(out, "--name", o->name);
    add_number(out, "--batch-size", o->batch_size);
    add_text(out, "--prompts", "-");
    if (o->has_tp)
        add_number(out, "--tp", o->tp);
    add_text(out, "--precision", o->precision);
    if (o->threads)
        add_number(out, "--threads", o->threads);
    add_text(out, "--output", o->output);
    if (context->globals.json)
        add(out, "--json");
}

static bool check_range(const char *option, int64_t value, int64_t most, struct cap_err *err)
{
    return (value >= 1 && value <= most) ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "%s %lld is not from 1 to %lld", option,
                    (long long)value, (long long)most);
}

static bool check(const struct cli_profile_options *o, struct cap_err *err)
{
    if (!o->model || !o->task || !o->has_batch_size || o->task[0] == '-')
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "pass --model DIR, --task NAME and --batch-size N");
    return check_range("--batch-size", o->batch_size, BATCH_MAX, err) &&
           (!o->has_limit || check_range("--limit", o->limit, SAMPLES_MAX, err)) &&
           (!o->has_tp || check_range("--tp", o->tp, TENSOR_PARALLEL_MAX, err));
}

int cli_cmd_profile(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    const struct cli_profile_options *o = &cli_profile_options;
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES);
    CAP_AUTO_STREAM FILE *prompts = tmpfile();
    struct line render = {.arena = arena}, profile = {.arena = arena};
    int status;

    (void)words;
    if (!check(o, err))
        return CLI_USAGE;
    if (!prompts) {
        cap_fail(err, CAP_UNAVAILABLE, "could not make a temporary file for the prompts");
        return cli_exit_of(err->code);
    }
    make_render(o, &render);
    make_profile(context, o, &profile);
    status = cli_run_evaluator(context, (int)render.count, render.words, prompts, err);
    if (status != CLI_OK)
        return status;
    if (lseek(fileno(prompts), 0, SEEK_SET) != 0 || dup2(fileno(prompts), STDIN_FILENO) < 0) {
        cap_fail(err, CAP_INTERNAL, "could not hand the prompts over");
        return CLI_INTERNAL;
    }
    return cli_become_inference(context, (int)profile.count, profile.words, err);
}
