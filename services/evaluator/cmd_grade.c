/* `grade`: a line of JSON in, a verdict out.
 *
 * The lines need not come from us: what a line says of gold, choices and answers takes the place of
 * what a document and a node would say. A line that cannot be graded is named, the others are
 * graded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/exit.h"
#include "base/plain.h"
#include "grade.h"
#include "keys.h"
#include "moecap/v1/evaluator.rpc.h"
#include "service.h"
#include "task.h"

enum { LINE_BYTES_MAX = 16 << 20, LINE_ARENA_BYTES = 256 << 20, BAD_LINES_SHOWN = 20 };

struct command {
    const char *name, *filter, *tasks;
    bool cut;
};

struct grading {
    const struct command *command;
    struct eval_task *task;
    size_t column;
    struct eval_regex_work *work;
    struct cap_arena *arena; /* of one line */
    size_t line, bad;
};

static void print_help(FILE *out)
{
    CAP_AUTO_BUF(list, 1 << 16);

    eval_grader_list(&list);
    fprintf(
        out,
        "moecap grade TASK|GRADER [--filter NAME] [--tasks DIR] [--cut] < in.jsonl > out.jsonl\n\n"
        "Grades answers made anywhere. Lines in:  {\"id\": ..., \"text\": \"...\", \"gold\": ...}\n"
        "or, for choices by log-likelihood,       {\"id\": ..., \"scores\": [-1.2, -0.3], "
        "\"gold\": "
        "1}\n"
        "Lines out: {\"id\": ..., \"verdict\": \"correct\", \"extracted\": \"18\", \"reason\": "
        "\"\"};\n"
        "a verdict is correct, wrong or undecided. A line that cannot be graded is named on\n"
        "standard error, the others are graded, and the exit status is 1.\n\n"
        "  --filter NAME  which filter or metric of the task; default: its first\n"
        "  --tasks DIR    where NAME.yaml lies; default: $MOECAP_TASKS, ./tasks, the program's "
        "own\n"
        "  --cut          cut the texts at the task's stop strings first\n\n"
        "  \"texts\": [...] instead of \"text\" gives several answers to filters that vote;\n"
        "  \"choices\": [...] names the choices where the task does not.\n\n"
        "TASK is the name of a task or a YAML file. GRADER is one of:\n%s\n"
        "  echo '{\"id\": 1, \"text\": \"so #### 18\", \"gold\": \"18\"}' | moecap grade "
        "gsm8k-strict\n",
        list.data);
}

/* ---- one line ---- */

static bool read_scores(struct grading *g, const json_t *list, struct eval_answer *out,
                        struct cap_err *err)
{
    struct eval_score *scores = cap_arena_array(g->arena, json_array_size(list), sizeof *scores);
    json_t *entry;
    size_t i;

    if (!list)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "there are no \"scores\": this grader compares log-likelihoods of choices");
    if (!json_is_array(list) || !scores)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "scores must be a list of numbers");
    json_array_foreach((json_t *)list, i, entry)
    {
        const json_t *sum =
            json_is_object(entry) ? json_object_get(entry, "log_likelihood") : entry;

        if (!json_is_number(sum))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "scores: entry %zu is not a number", i + 1);
        scores[i].log_likelihood = json_number_value(sum);
        scores[i].greedy = json_is_true(json_object_get(entry, "greedy"));
    }
    out->scores = scores;
    out->score_count = json_array_size(list);
    return true;
}

static bool read_texts(struct grading *g, const json_t *line, struct eval_answer *out,
                       struct cap_err *err)
{
    const json_t *one = json_object_get(line, "text"), *list = json_object_get(line, "texts");
    size_t count = list ? json_array_size(list) : 1;
    struct eval_text *texts = cap_arena_array(g->arena, count, sizeof *texts);

    if ((!one && !list) || (list && (!json_is_array(list) || count == 0)) ||
        count > EVAL_RESPONSES_MAX || !texts)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no \"text\"");
    for (size_t i = 0; i < count; i++) {
        const json_t *text = list ? json_array_get(list, i) : one;

        if (!json_is_string(text) && !json_is_null(text))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "\"text\" is not a text");
        texts[i] = json_is_string(text) ? eval_json_text(text) : eval_text_of("");
        if (g->command->cut)
            texts[i] = eval_answer_text(g->task, texts[i]);
    }
    out->texts = texts;
    out->text_count = count;
    return true;
}

/* Where neither task nor line names the choices they are letters. */
static void add_letters(json_t *line)
{
    size_t count = json_array_size(json_object_get(line, "scores"));
    json_t *letters;

    if (json_object_get(line, "choices") || count == 0 || count > 26)
        return;
    letters = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(letters, json_sprintf("%c", (char)('A' + i)));
    json_object_set_new(line, "choices", letters);
}

static bool read_answer(struct grading *g, const json_t *line, struct eval_answer *out,
                        struct cap_err *err)
{
    out->error = json_string_value(json_object_get(line, "error"));
    out->failed = out->error && *out->error;
    out->finish_reason = json_string_value(json_object_get(line, "finish_reason"));
    if (out->failed)
        return true;
    if (g->task->output == EVAL_MULTIPLE_CHOICE)
        return read_scores(g, json_object_get(line, "scores"), out, err);
    return read_texts(g, line, out, err);
}

static bool grade_doc(struct grading *g, struct eval_doc *doc, const json_t *line,
                      struct eval_verdict *out, struct cap_err *err)
{
    json_t *gold_value = json_object_get(line, "gold");
    struct eval_answer answer = {0};
    struct eval_gold gold;

    if (!gold_value || json_is_null(gold_value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no \"gold\"");
    return eval_doc_gold_of(doc, gold_value, &gold, err) && read_answer(g, line, &answer, err) &&
           eval_grade_column(&(struct eval_grade_input){doc, &gold, &answer, g->work}, g->column,
                             out, err);
}

static void print_verdict(const json_t *id, const struct eval_verdict *v)
{
    json_t *out = json_object();
    char *text;

    json_object_set(out, "id", id ? (json_t *)id : json_null());
    json_object_set_new(out, "verdict",
                        json_string(verdict_kind_word((Moecap__V1__VerdictKind)v->kind)));
    json_object_set_new(out, "extracted", json_stringn(v->extracted.data, v->extracted.length));
    json_object_set_new(out, "reason", json_string(v->reason));
    if (v->unanswered)
        json_object_set_new(out, "unanswered", json_true());
    if (v->truncated)
        json_object_set_new(out, "truncated", json_true());
    text = json_dumps(out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(out);
    if (!text)
        abort();
    cap_plain_json(stdout, text);
    putchar('\n');
    free(text);
}

static bool grade_line(struct grading *g, const char *text, size_t length, struct cap_err *err)
{
    json_error_t where;
    json_t *line = json_loadb(text, length, JSON_ALLOW_NUL, &where);
    struct eval_verdict verdict = {0};
    struct eval_doc doc;
    bool ok;

    if (!line)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "not JSON: %.200s, column %d", where.text,
                        where.column);
    if (json_is_object(line))
        add_letters(line);
    ok = eval_doc_open_json(&doc, g->task, &g->task->form, line, g->arena, err);
    if (ok) {
        ok = grade_doc(g, &doc, line, &verdict, err);
        if (ok)
            print_verdict(json_object_get(line, "id"), &verdict);
        eval_doc_done(&doc);
    }
    json_decref(line);
    return ok;
}

/* ---- all lines ---- */

static bool is_blank(const char *text, size_t length)
{
    return strspn(text, " \t\r\n") >= length;
}

static void take_line(struct grading *g, const char *text, size_t length)
{
    struct cap_err err = {0};

    g->line++;
    if (is_blank(text, length))
        return;
    cap_arena_reset(g->arena);
    if (length > LINE_BYTES_MAX)
        cap_fail(&err, CAP_INVALID_ARGUMENT, "the line has %zu bytes, at most %d", length,
                 LINE_BYTES_MAX);
    else
        grade_line(g, text, length, &err);
    if (err.code == CAP_OK)
        return;
    if (g->bad++ < BAD_LINES_SHOWN)
        cap_plain_line(stderr, "grade: line %zu: %s", g->line, err.text);
}

static int grade_all(struct grading *g)
{
    CAP_AUTO_MEM char *text = NULL;
    size_t room = 0;
    ssize_t length;

    while ((length = getline(&text, &room, stdin)) > 0)
        take_line(g, text, (size_t)length);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("grade: could not write the verdicts");
        return 1;
    }
    if (g->bad > 0)
        fprintf(stderr, "grade: %zu of %zu lines could not be graded\n", g->bad, g->line);
    return g->bad > 0;
}

/* ---- the command ---- */

static bool read_flag(int argc, char **argv, int *io_index, const char *flag, const char **out)
{
    size_t length = strlen(flag);
    const char *argument = argv[*io_index];

    if (strncmp(argument, flag, length) != 0)
        return false;
    if (argument[length] == '=')
        *out = argument + length + 1;
    else if (argument[length] == '\0' && *io_index + 1 < argc)
        *out = argv[++*io_index];
    else
        return false;
    return true;
}

static bool read_command(int argc, char **argv, struct command *out, struct cap_err *err)
{
    for (int i = 1; i < argc; i++) {
        if (read_flag(argc, argv, &i, "--filter", &out->filter) ||
            read_flag(argc, argv, &i, "--tasks", &out->tasks))
            continue;
        if (strcmp(argv[i], "--cut") == 0)
            out->cut = true;
        else if (argv[i][0] == '-')
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "unknown flag \"%s\", or its value is missing", argv[i]);
        else if (out->name)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "one task or grader, not also \"%s\"",
                            argv[i]);
        else
            out->name = argv[i];
    }
    return out->name ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "name a task or a grader; see grade --help");
}

static bool pick_column(const struct eval_task *task, const char *filter, size_t *out,
                        struct cap_err *err)
{
    CAP_AUTO_BUF(known, 1 << 12);
    int column = filter ? eval_task_column(task, filter) : 0;

    if (column < 0) {
        for (size_t i = 0; i < task->column_count; i++)
            cap_buf_printf(&known, "%s%s", i ? ", " : "", task->columns[i].id);
        return cap_fail(err, CAP_NOT_FOUND, "\"%s\" has no filter \"%.80s\"; it has %s", task->name,
                        filter, known.data);
    }
    *out = (size_t)column;
    return true;
}

int eval_cmd_grade(int argc, char **argv)
{
    struct command command = {0};
    struct cap_err err = {0};
    CAP_AUTO(eval_task) task = NULL;
    CAP_AUTO(eval_regex_work) work = eval_regex_work_new();
    CAP_AUTO(cap_arena) arena = cap_arena_new(LINE_ARENA_BYTES);
    struct grading g = {.command = &command, .work = work, .arena = arena};

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (!read_command(argc, argv, &command, &err)) {
        cap_plain_line(stderr, "grade: %s", err.text);
        return CAP_EXIT_USAGE;
    }
    if (!(task = g.task = eval_task_find(command.name, command.tasks, &err)) ||
        !pick_column(task, command.filter, &g.column, &err)) {
        cap_plain_line(stderr, "grade: %s", err.text);
        return (int)cap_exit_of_input(err.code);
    }
    return grade_all(&g);
}
