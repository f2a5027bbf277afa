/* `render`: a task's prompts as lines of JSON, made as an evaluation's are, without services.
 *
 * The first line tells the task and how many prompts follow, so that a reader of a pipe sees when
 * one is missing. Gold answers are in none of them. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/file.h"
#include "base/plain.h"
#include "kept.h"
#include "render.h"
#include "service.h"

enum {
    DATA_BYTES_MAX = 1 << 30,
    LINE_ARENA_BYTES = 256 << 20,
    TASK_PATH_BYTES = EVAL_TASK_PATH_BYTES,
};

static const char usage[] =
    "usage: moecap render TASK [options]\n"
    "\n"
    "The prompts of a task, as an evaluation of it makes them, as JSON lines. The first line\n"
    "tells the task and how many follow.\n"
    "\n"
    "  --limit N         the first N samples; default: all\n"
    "  --num-fewshot N   examples in each prompt; default: the task's\n"
    "  --chat            messages, to be put through a chat template\n"
    "  --data FILE       JSONL of the samples, when it is not beside the YAML\n"
    "  --fewshot FILE    JSONL of the few-shot examples, likewise\n"
    "  --tasks DIR       where NAME.yaml lies; default: $MOECAP_TASKS, ./tasks, the program's own\n"
    "\n"
    "TASK is the name of a task or a YAML file.\n"
    "\n"
    "  moecap render gsm-mini --limit 3\n";

struct render_options {
    const char *task, *data, *fewshot, *tasks;
    long limit, num_fewshot; /* 0: all; -1: the task's */
    bool chat;
};

/* ---- the task and its files ---- */

/* `name` beside the YAML, unless the user says where the file is. */
static char *read_beside(const char *yaml, const char *name, const char *said, struct cap_err *err)
{
    const char *slash = strrchr(yaml, '/');
    char path[2 * TASK_PATH_BYTES];

    if (said)
        return cap_file_read_regular(said, DATA_BYTES_MAX, NULL, err);
    snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - yaml) + 1 : 0, yaml, name);
    return cap_file_read_regular(path, DATA_BYTES_MAX, NULL, err);
}

/* The next line that is not blank, cut out of *io_text; NULL: there are no more. */
static char *next_line(char **io_text)
{
    char *line = *io_text;

    while (line) {
        char *end = strchr(line, '\n');

        if (end)
            *end++ = '\0';
        *io_text = end;
        if (line[strspn(line, " \t\r")] != '\0')
            return line;
        line = end;
    }
    return NULL;
}

/* Byte order marks are no part of a first line. */
static char *first_byte(char *text)
{
    return strncmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;
}

static bool add_pool(struct eval_kit *kit, const char *yaml, const struct render_options *o,
                     struct cap_err *err)
{
    CAP_AUTO_MEM char *text = NULL;
    char *rest, *line, uid[32];
    size_t count = 0;

    if (!*kit->task->fewshot_file && !o->fewshot)
        return eval_kit_end(kit, err);
    if (!(text = read_beside(yaml, kit->task->fewshot_file, o->fewshot, err)))
        return false;
    rest = first_byte(text);
    while ((line = next_line(&rest))) {
        snprintf(uid, sizeof uid, "%zu", count++);
        if (!eval_pool_add(kit->pool, uid, line, err))
            return cap_fail_in(err, "few-shot example %zu", count);
    }
    return eval_kit_end(kit, err);
}

static struct eval_kit *open_kit(const char *yaml, const struct render_options *o,
                                 struct cap_err *err)
{
    struct eval_task_source source;
    struct eval_kit *kit;

    if (!eval_task_load(yaml, &source, err))
        return NULL;
    kit = eval_kit_open(source.definition, err);
    eval_task_source_done(&source);
    if (kit && o->num_fewshot != 0 && !add_pool(kit, yaml, o, err)) {
        eval_kit_free(kit);
        return NULL;
    }
    return kit;
}

/* ---- one prompt ---- */

static void print_line(json_t *line)
{
    CAP_AUTO_MEM char *text = json_dumps(line, JSON_COMPACT);

    json_decref(line);
    if (!text)
        abort();
    cap_plain_json(stdout, text);
    putchar('\n');
}

static json_t *texts_of(char *const *items, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

static json_t *messages_of(const Moecap__V1__Prompt *prompt)
{
    json_t *list = json_array();

    for (size_t i = 0; i < prompt->n_messages; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "role", prompt->messages[i]->role,
                                              "content", prompt->messages[i]->content));
    return list;
}

static void print_prompt(const Moecap__V1__Prompt *prompt)
{
    json_t *line =
        json_pack("{s:I,s:I,s:f,s:I,s:I,s:o}", "ordinal", (json_int_t)prompt->ordinal, "max_tokens",
                  (json_int_t)prompt->max_tokens, "temperature", prompt->temperature, "top_k",
                  (json_int_t)prompt->top_k, "seed", (json_int_t)prompt->seed, "stop",
                  texts_of(prompt->stop, prompt->n_stop));

    if (!line)
        abort();
    if (prompt->n_messages > 0)
        json_object_set_new(line, "messages", messages_of(prompt));
    else
        json_object_set_new(line, "text", json_string(prompt->text));
    if (prompt->n_continuations > 0)
        json_object_set_new(line, "continuations",
                            texts_of(prompt->continuations, prompt->n_continuations));
    if (prompt->opt_top_p_case)
        json_object_set_new(line, "top_p", json_real(prompt->top_p));
    print_line(line);
}

/* ---- all of them ---- */

static size_t count_lines(const char *text)
{
    size_t count = 0;

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        count += line[strspn(line, " \t\r")] != '\n' && line[strspn(line, " \t\r")] != '\0';
    }
    return count;
}

static bool render_all(struct eval_kit *kit, char *text, const struct render_options *o,
                       struct cap_err *err)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    CAP_AUTO(cap_arena) arena = cap_arena_new(LINE_ARENA_BYTES);
    CAP_AUTO(eval_render) render = NULL;
    size_t there = count_lines(text), count = there;
    char *rest = text, *line;

    if (o->limit > 0 && (size_t)o->limit < count)
        count = (size_t)o->limit;
    if (o->num_fewshot >= 0) {
        spec.opt_num_fewshot_case = MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT;
        spec.num_fewshot = (uint32_t)o->num_fewshot;
    }
    spec.prompt_format = o->chat ? "chat" : "text";
    if (!(render = eval_render_open(kit->task, kit->pool, &spec, 0, err)))
        return false;
    print_line(json_pack("{s:s,s:s,s:I}", "task", kit->task->name, "output_type",
                         eval_output_name(kit->task->output), "prompts", (json_int_t)count));
    for (size_t i = 0; i < count && (line = next_line(&rest)); i++) {
        Moecap__V1__TaskDoc doc = MOECAP__V1__TASK_DOC__INIT;
        Moecap__V1__Prompt prompt;

        doc.ordinal = (uint32_t)i;
        doc.uid = "";
        doc.json = line;
        cap_arena_reset(arena);
        if (!eval_render_prompt(render, &doc, arena, &prompt, err))
            return false;
        print_prompt(&prompt);
    }
    return true;
}

static bool run(const struct render_options *o, struct cap_err *err)
{
    CAP_AUTO(eval_kit) kit = NULL;
    CAP_AUTO_MEM char *text = NULL;
    char yaml[TASK_PATH_BYTES];

    if (!eval_task_locate(o->task, o->tasks, yaml, err) || !(kit = open_kit(yaml, o, err)) ||
        !(text = read_beside(yaml, kit->task->samples_file, o->data, err)) ||
        !render_all(kit, first_byte(text), o, err))
        return false;
    return (fflush(stdout) == 0 && !ferror(stdout)) ||
           cap_fail(err, CAP_UNAVAILABLE, "could not write the prompts: %s", strerror(errno));
}

/* ---- the command ---- */

static bool read_number(const char *text, long max, long *out)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    return !errno && end != text && !*end && *out >= 0 && *out <= max;
}

static bool read_options(int argc, char **argv, struct render_options *o, struct cap_err *err)
{
    static const struct option longs[] = {{"limit", 1, NULL, 'l'},
                                          {"num-fewshot", 1, NULL, 'n'},
                                          {"chat", 0, NULL, 'c'},
                                          {"data", 1, NULL, 'd'},
                                          {"fewshot", 1, NULL, 'f'},
                                          {"tasks", 1, NULL, 't'},
                                          {0}};
    bool ok = true;

    opterr = 0;
    for (int c; ok && (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'l')
            ok = read_number(optarg, EVAL_ORDINAL_MAX, &o->limit);
        else if (c == 'n')
            ok = read_number(optarg, EVAL_FEWSHOT_MAX, &o->num_fewshot);
        else if (c == 'c')
            o->chat = true;
        else if (c == 'd')
            o->data = optarg;
        else if (c == 'f')
            o->fewshot = optarg;
        else if (c == 't')
            o->tasks = optarg;
        else
            ok = false;
    }
    if (!ok)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is not accepted here", argv[optind - 1]);
    if (optind != argc - 1)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "name one task");
    o->task = argv[optind];
    return true;
}

int eval_cmd_render(int argc, char **argv)
{
    struct render_options options = {.num_fewshot = -1};
    struct cap_err err = {0};

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return CAP_EXIT_OK;
    }
    if (!read_options(argc, argv, &options, &err)) {
        cap_plain_line(stderr, "moecap render: %s", err.text);
        return CAP_EXIT_USAGE;
    }
    if (run(&options, &err))
        return CAP_EXIT_OK;
    cap_plain_line(stderr, "moecap render: %s", err.text);
    return (int)cap_exit_of_input(err.code);
}
