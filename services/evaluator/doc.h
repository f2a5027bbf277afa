/* doc.h — a document seen through its task: question, choices, what is right.
 *
 * An expression is what a task writes in doc_to_text, doc_to_target, doc_to_choice, gen_prefix and
 * description: the name of a field, a Jinja template, a number, or a list. A text is the name of a
 * field if the document has such a field, and a template otherwise, as in lm-evaluation-harness.
 * Expressions are immutable: any thread. A view of a document (struct eval_doc) has one user at a
 * time; all that it returns lives in the arena, or in JSON values that it keeps until
 * eval_doc_done.
 */
#ifndef EVAL_DOC_H
#define EVAL_DOC_H

#include "task.h"

struct cap_jinja_stop;

enum {
    EVAL_DOC_BYTES_MAX = 1 << 20,
    EVAL_EXPR_BYTES_MAX = 4 << 20 /* of what a template may produce */
};

struct eval_expr *eval_expr_open(const json_t *written, struct cap_err *err);
void eval_expr_free(struct eval_expr *expr);

struct eval_doc {
    const struct eval_task *task;
    const struct eval_form *form;
    struct cap_arena *arena;
    json_t *json;   /* the document */
    json_t *values; /* a list that keeps what expressions gave */
    const struct eval_text *choices;
    size_t choice_count;
    const struct cap_jinja_stop *stop; /* of the expressions; the caller may set it after opening */
};

/* Parses `json` and makes the choices. `form` is the task's, or that of its few-shot examples. */
bool eval_doc_open(struct eval_doc *doc, const struct eval_task *task, const struct eval_form *form,
                   const char *json, size_t length, struct cap_arena *arena, struct cap_err *err);
/* The same with the JSON's object, borrowed. */
bool eval_doc_open_json(struct eval_doc *doc, const struct eval_task *task,
                        const struct eval_form *form, json_t *json, struct cap_arena *arena,
                        struct cap_err *err);
void eval_doc_done(struct eval_doc *doc);
/* A document as JSON values (new reference), read as Python reads it: a byte order mark is dropped,
 * NaN and Infinity are taken. */
json_t *eval_doc_parse(const char *json, size_t length, struct cap_err *err);

/* doc_to_text, as a text. */
bool eval_doc_text(struct eval_doc *doc, struct eval_text *out, struct cap_err *err);
bool eval_doc_description(struct eval_doc *doc, struct eval_text *out, struct cap_err *err);
/* What an answer begins with; empty where the task has no gen_prefix. */
bool eval_doc_prefix(struct eval_doc *doc, struct eval_text *out, struct cap_err *err);
/* doc_to_target: what is right. Fails when it is none of the choices. */
bool eval_doc_gold(struct eval_doc *doc, struct eval_gold *out, struct cap_err *err);
/* The same of a value that came with an answer instead of the document (`grade`). */
bool eval_doc_gold_of(struct eval_doc *doc, json_t *value, struct eval_gold *out,
                      struct cap_err *err);
/* The right answer as a few-shot example shows it: any text, not only one of the choices. */
bool eval_doc_shown_target(struct eval_doc *doc, struct eval_text *out, struct cap_err *err);
/* The document's field "choices", where it is a list; otherwise what doc_to_choice gives. */
bool eval_doc_listed_choices(struct eval_doc *doc, const struct eval_text **out, size_t *out_count,
                             struct cap_err *err);

#endif
