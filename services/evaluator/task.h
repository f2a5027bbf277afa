/* task.h — a task's definition: read from YAML files, then ready to be used, with templates and
 * patterns compiled and all checked.
 *
 * A definition is the canonical JSON that task_read.c makes of a task's YAML files (keys as in
 * lm-evaluation-harness, docs/tasks.md). Opened tasks are immutable: any number of threads.
 *
 *     CAP_AUTO(eval_task) task = eval_task_open(definition, NULL, err);
 *     ok = task && eval_doc_open(&doc, &task->form, json, length, arena, err);
 */
#ifndef EVAL_TASK_H
#define EVAL_TASK_H

#include <jansson.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "graders.h"

enum eval_output {
    EVAL_GENERATE_UNTIL, /* text, cut at stop strings */
    EVAL_MULTIPLE_CHOICE /* log-likelihood of each choice */
};

enum {
    EVAL_DEFINITION_BYTES_MAX = 1 << 20,
    EVAL_FEWSHOT_MAX = 64,
    EVAL_STOPS_MAX = 16,
    EVAL_CHOICES_MAX = 256,
    EVAL_COLUMNS_MAX = 64,
    EVAL_MAX_TOKENS_DEFAULT = 256,
    EVAL_MAX_TOKENS_MAX = 1 << 20,
};

/* What a verdict is about: a filter's text under a metric. The first is the task's headline. */
struct eval_column {
    char *id;        /* "exact_match,strict-match"; "acc" where there is no named filter */
    size_t pipeline; /* unused with EVAL_NEEDS_SCORES */
    size_t metric;
};

struct eval_expr; /* doc.h */

/* What a task makes of a document. */
struct eval_form {
    struct eval_expr *text, *target, *choice, *gen_prefix; /* the last two may be NULL */
    struct eval_text target_delimiter;                     /* before an answer */
};

/* How few-shot examples are chosen, and what they look like. */
struct eval_shots {
    long count;                 /* where the evaluation does not say */
    bool first;                 /* the first of the pool instead of drawn ones */
    bool draws_one_more;        /* drawn with the document's own example in mind, see fewshot.h */
    bool same_documents;        /* the pool is what is evaluated: ordinals mean the same */
    const json_t *samples;      /* the pool, where the definition itself holds it; else NULL */
    struct eval_text delimiter; /* after each example */
    struct eval_form form;
};

struct eval_task {
    json_t *definition; /* owns the texts below, but for version */
    char *version;
    const char *name, *split, *samples_file, *fewshot_file;
    enum eval_output output;
    struct eval_form form;
    struct eval_expr *description; /* may be NULL */
    struct eval_shots shots;
    struct eval_text fewshot_delimiter; /* of the task: what an answer ends with, by default */
    struct eval_text think_end;         /* empty = none: what a model thinks ends with this */
    struct eval_text stops[EVAL_STOPS_MAX];
    size_t stop_count;
    long max_tokens;
    double temperature, top_p; /* top_p 0: none */
    struct eval_pipeline **pipelines;
    size_t pipeline_count;
    struct eval_metric *metrics;
    size_t metric_count;
    struct eval_column columns[EVAL_COLUMNS_MAX];
    size_t column_count;
};

/* On failure *out_key (which may be NULL) names the top-level key at fault, a static text or NULL.
 */
struct eval_task *eval_task_open(const char *definition, const char **out_key, struct cap_err *err);
struct eval_task *eval_task_open_json(const json_t *definition, const char **out_key,
                                      struct cap_err *err);
void eval_task_free(struct eval_task *task);
CAP_DEFINE_AUTO(eval_task)

/* The column of a filter's name (the first of that name) or of a whole id; -1: there is none. */
int eval_task_column(const struct eval_task *task, const char *name);

const char *eval_output_name(enum eval_output output);

/* NULL-terminated: every key that a definition may have, and its "include" before it is read. */
extern const char *const eval_task_keys[];

/* ---- from YAML files to a definition (task_read.c) ----
 *
 * eval_task_read opens no file: the caller brings them, and brings what is missing on a second call
 * (includes may include). Failures name file and line. Any thread.
 */

enum { EVAL_TASK_FILES_MAX = 32, EVAL_TASK_FILE_NAME_BYTES_MAX = 256 };

struct eval_task_file {
    const char *name; /* relative to the task's folder */
    const void *text;
    size_t length;
};

struct eval_task_source {
    char missing[EVAL_TASK_FILES_MAX][EVAL_TASK_FILE_NAME_BYTES_MAX]; /* files to bring as well */
    size_t missing_count;
    struct eval_task *task; /* NULL while files are missing */
    char *definition;       /* its canonical JSON: sorted keys, no blanks */
};

/* On success free with eval_task_source_done. */
bool eval_task_read(const char *main_name, const struct eval_task_file *files, size_t file_count,
                    struct eval_task_source *out, struct cap_err *err);
void eval_task_source_done(struct eval_task_source *source);

/* ---- found by name, for work without services ---- */

enum { EVAL_TASK_PATH_BYTES = 4096 };

/* Where the YAML of a task lies: NAME.yaml in `folder`, or in one of the usual ones; a path is one
 * already. `folder` may be NULL. */
bool eval_task_locate(const char *name, const char *folder, char out[EVAL_TASK_PATH_BYTES],
                      struct cap_err *err);
/* The task or grader of that name; `folder` may be NULL. */
struct eval_task *eval_task_find(const char *name, const char *folder, struct cap_err *err);
/* A task's YAML with everything it includes. On success free with eval_task_source_done. */
bool eval_task_load(const char *path, struct eval_task_source *out, struct cap_err *err);
/* "  name   what it does" a line, of the built-in graders. */
void eval_grader_list(struct cap_buf *out);

#endif
