/* expr.h — doc_to_text, doc_to_target, doc_to_choice: what a task makes of one document.
 *
 * Written as the name of a field, a Jinja template, a number, or a list. A text is the name of a
 * field if the document has such a field, and a template otherwise, as in lm-evaluation-harness.
 * Immutable; any thread.
 */
#ifndef EVAL_EXPR_H
#define EVAL_EXPR_H

#include <jansson.h>

#include "base/auto.h"
#include "base/err.h"

enum { EVAL_EXPR_BYTES_MAX = 4 << 20 }; /* of what a template may produce */

struct eval_expr;

struct eval_expr *eval_expr_open(const json_t *written, struct cap_err *err);
void eval_expr_free(struct eval_expr *expr);
CAP_DEFINE_AUTO(eval_expr)

/* A new reference: a text for templates (then *out_rendered is true), any JSON for fields, numbers
 * and lists. out_rendered may be NULL. */
json_t *eval_expr_value(const struct eval_expr *expr, const json_t *doc, bool *out_rendered,
                        struct cap_err *err);

#endif
