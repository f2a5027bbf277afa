#include "expr.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "jinja/jinja.h"

struct eval_expr {
    json_t *written;
    struct cap_jinja *template; /* of a text; NULL where it is neither text nor template */
};

struct eval_expr *eval_expr_open(const json_t *written, struct cap_err *err)
{
    CAP_AUTO(cap_jinja) template = NULL;
    struct eval_expr *expr;

    if (json_is_string(written)) {
        if (json_string_length(written) != strlen(json_string_value(written))) {
            cap_fail(err, CAP_INVALID_ARGUMENT, "a template cannot hold U+0000");
            return NULL;
        }
        if (!(template = cap_jinja_compile(json_string_value(written), &cap_jinja_task, err)))
            return NULL;
    } else if (!json_is_integer(written) && !json_is_array(written)) {
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "it must be the name of a field, a template, a whole number or a list");
        return NULL;
    }
    if (!(expr = calloc(1, sizeof *expr)))
        abort();
    expr->written = json_deep_copy(written);
    expr->template = cap_take(template);
    return expr;
}

void eval_expr_free(struct eval_expr *expr)
{
    if (!expr)
        return;
    json_decref(expr->written);
    cap_jinja_free(expr->template);
    free(expr);
}

json_t *eval_expr_value(const struct eval_expr *expr, const json_t *doc, bool *out_rendered,
                        struct cap_err *err)
{
    CAP_AUTO_BUF(text, EVAL_EXPR_BYTES_MAX);
    json_t *field, *value;

    if (out_rendered)
        *out_rendered = false;
    if (!expr->template)
        return json_deep_copy(expr->written);
    field = json_object_get(doc, json_string_value(expr->written));
    if (field)
        return json_deep_copy(field);
    if (!cap_jinja_render(expr->template, doc, &text, err))
        return NULL;
    if (text.overflowed) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "the text exceeds %d bytes", EVAL_EXPR_BYTES_MAX);
        return NULL;
    }
    value = json_stringn(text.data, text.length);
    if (!value)
        cap_fail(err, CAP_INVALID_ARGUMENT, "the text is not UTF-8");
    if (out_rendered)
        *out_rendered = value != NULL;
    return value;
}
