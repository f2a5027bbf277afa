/* doc.h — a document seen through its task: question, choices, what is right.
 *
 * Everything returned lives in the arena, or in the JSON values that the view keeps until
 * eval_doc_done. One user at a time.
 */
#ifndef EVAL_DOC_H
#define EVAL_DOC_H

#include "task.h"

enum { EVAL_DOC_BYTES_MAX = 1 << 20 };

struct eval_doc {
    const struct eval_task *task;
    struct cap_arena *arena;
    json_t *json;   /* the document */
    json_t *values; /* a list that keeps what expressions gave */
    const struct eval_text *choices;
    size_t choice_count;
};

/* Parses `json` and makes the choices. */
bool eval_doc_open(struct eval_doc *doc, const struct eval_task *task, const char *json,
                   size_t length, struct cap_arena *arena, struct cap_err *err);
/* The same with the JSON's object, borrowed. */
bool eval_doc_open_json(struct eval_doc *doc, const struct eval_task *task, json_t *json,
                        struct cap_arena *arena, struct cap_err *err);
void eval_doc_done(struct eval_doc *doc);

/* doc_to_text, as a text. */
bool eval_doc_text(struct eval_doc *doc, struct eval_text *out, struct cap_err *err);
bool eval_doc_description(struct eval_doc *doc, struct eval_text *out, struct cap_err *err);
/* doc_to_target: what is right. Fails when it is none of the choices. */
bool eval_doc_gold(struct eval_doc *doc, struct eval_gold *out, struct cap_err *err);
/* The same of a value that came with an answer instead of the document (`grade`). */
bool eval_doc_gold_of(struct eval_doc *doc, json_t *value, struct eval_gold *out,
                      struct cap_err *err);
/* The right answer as a few-shot example shows it. */
bool eval_doc_shown_target(struct eval_doc *doc, struct eval_text *out, struct cap_err *err);

#endif
