/* What a task makes of one document, as the harness makes it.
 *
 * An expression gives a value; the rules below turn values into a question, choices and what is
 * right. They are Python's rules where Python's kinds matter: true is the number 1, the digits that
 * a template gives are a number where there are choices, a text in brackets is a list. */
#include "doc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "jinja/jinja.h"
#include "keys.h"

/* ---- expressions ---- */

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

static json_t *expr_value(const struct eval_expr *expr, const json_t *doc,
                          const struct cap_jinja_stop *stop, bool *out_rendered,
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
    if (!cap_jinja_render_until(expr->template, doc, stop, &text, err))
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

/* ---- values of one document ---- */

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the document needs too much memory");
}

/* The expression's value, kept by the view. */
static json_t *value_of(struct eval_doc *doc, const struct eval_expr *expr, const char *key,
                        bool *out_rendered, struct cap_err *err)
{
    json_t *value = expr_value(expr, doc->json, doc->stop, out_rendered, err);

    if (!value) {
        cap_fail_in(err, "%s", key);
        return NULL;
    }
    json_array_append_new(doc->values, value);
    return value;
}

/* Texts of a list, each as Python's str() has it. */
static bool texts_of(struct eval_doc *doc, const json_t *list, const struct eval_text **out,
                     size_t *out_count, struct cap_err *err)
{
    size_t count = json_array_size(list);
    struct eval_text *texts = cap_arena_array(doc->arena, count + 1, sizeof *texts);

    if (!texts)
        return fail_full(err);
    for (size_t i = 0; i < count; i++) {
        texts[i] = eval_json_str(doc->arena, json_array_get(list, i));
        if (!texts[i].data)
            return fail_full(err);
    }
    *out = texts;
    *out_count = count;
    return true;
}

/* ---- choices ---- */

static bool make_choices(struct eval_doc *doc, struct cap_err *err)
{
    json_t *list;

    if (!doc->form->choice)
        return true;
    if (!(list = value_of(doc, doc->form->choice, "doc_to_choice", NULL, err)))
        return false;
    if (json_is_string(list)) {
        list = eval_python_list(eval_json_text(list));
        json_array_append_new(doc->values, list ? list : json_null());
    }
    if (!json_is_array(list))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_choice gives no list");
    if (json_array_size(list) == 0 || json_array_size(list) > EVAL_CHOICES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_choice gives %zu choices, not 1 to %d",
                        json_array_size(list), EVAL_CHOICES_MAX);
    return texts_of(doc, list, &doc->choices, &doc->choice_count, err);
}

bool eval_doc_open_json(struct eval_doc *doc, const struct eval_task *task,
                        const struct eval_form *form, json_t *json, struct cap_arena *arena,
                        struct cap_err *err)
{
    *doc = (struct eval_doc){.task = task, .form = form, .arena = arena, .values = json_array()};
    if (!json_is_object(json)) {
        eval_doc_done(doc);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the document is not a JSON object");
    }
    doc->json = json_incref(json);
    if (make_choices(doc, err))
        return true;
    eval_doc_done(doc);
    return false;
}

json_t *eval_doc_parse(const char *json, size_t length, struct cap_err *err)
{
    json_error_t where;
    json_t *parsed;

    if (length > EVAL_DOC_BYTES_MAX) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "the document has %zu bytes, at most %d", length,
                 EVAL_DOC_BYTES_MAX);
        return NULL;
    }
    parsed = json_loadb(json, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (!parsed)
        parsed = eval_python_json(json, length);
    if (!parsed)
        cap_fail(err, CAP_INVALID_ARGUMENT, "the document is not JSON: %.200s", where.text);
    return parsed;
}

bool eval_doc_open(struct eval_doc *doc, const struct eval_task *task, const struct eval_form *form,
                   const char *json, size_t length, struct cap_arena *arena, struct cap_err *err)
{
    json_t *parsed = eval_doc_parse(json, length, err);
    bool ok = parsed && eval_doc_open_json(doc, task, form, parsed, arena, err);

    json_decref(parsed);
    return ok;
}

void eval_doc_done(struct eval_doc *doc)
{
    json_decref(doc->values);
    json_decref(doc->json);
    doc->values = doc->json = NULL;
}

/* ---- question ---- */

static bool text_value(struct eval_doc *doc, const struct eval_expr *expr, const char *key,
                       struct eval_text *out, struct cap_err *err)
{
    json_t *value = value_of(doc, expr, key, NULL, err);

    if (!value)
        return false;
    if (json_is_array(value) || json_is_object(value) || json_is_null(value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s gives no text", key);
    *out = eval_json_str(doc->arena, value);
    return out->data ? true : fail_full(err);
}

/* In a task with choices the harness takes a whole number for one of several questions, each of
 * which is to be scored (as in winogrande). A prompt "1" would be a wrong one. */
bool eval_doc_text(struct eval_doc *doc, struct eval_text *out, struct cap_err *err)
{
    bool rendered;
    json_t *value = value_of(doc, doc->form->text, "doc_to_text", &rendered, err);

    if (!value)
        return false;
    if (json_is_array(value) || json_is_object(value) || json_is_null(value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_text gives no text");
    if (doc->form->choice && (json_is_integer(value) || json_is_boolean(value) ||
                              (rendered && eval_text_is_number(eval_json_text(value)))))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "doc_to_text gives a number, which names one of several questions; such "
                        "tasks are not supported: write the question into doc_to_text");
    *out = eval_json_str(doc->arena, value);
    return out->data ? true : fail_full(err);
}

bool eval_doc_description(struct eval_doc *doc, struct eval_text *out, struct cap_err *err)
{
    *out = eval_text_of("");
    return !doc->task->description ||
           text_value(doc, doc->task->description, "description", out, err);
}

bool eval_doc_prefix(struct eval_doc *doc, struct eval_text *out, struct cap_err *err)
{
    *out = eval_text_of("");
    return !doc->form->gen_prefix || text_value(doc, doc->form->gen_prefix, "gen_prefix", out, err);
}

bool eval_doc_listed_choices(struct eval_doc *doc, const struct eval_text **out, size_t *out_count,
                             struct cap_err *err)
{
    const json_t *list = json_object_get(doc->json, "choices");

    if (json_is_array(list) && json_array_size(list) <= EVAL_CHOICES_MAX)
        return texts_of(doc, list, out, out_count, err);
    *out = doc->choices;
    *out_count = doc->choice_count;
    return true;
}

/* ---- what is right ---- */

static bool is_whole(const json_t *value)
{
    return json_is_integer(value) || json_is_boolean(value);
}

/* The choice that a whole number means, true being 1; -1 when there is no such choice. */
static long numbered_choice(const struct eval_doc *doc, const json_t *value)
{
    json_int_t i = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);

    return i >= 0 && (size_t)i < doc->choice_count ? (long)i : -1;
}

/* The choice that a value means: its number, or its text; -1 when it is none. */
static long choice_index(const struct eval_doc *doc, const json_t *value)
{
    struct eval_text text;

    if (is_whole(value))
        return numbered_choice(doc, value);
    if (!json_is_string(value))
        return -1;
    text = eval_json_text(value);
    for (size_t i = 0; i < doc->choice_count; i++)
        if (eval_text_equal(text, doc->choices[i]))
            return (long)i;
    return -1;
}

/* Where there are choices, digits are a number: always those of a template, as in the harness;
 * those of a field only when they are none of the choices. */
static json_t *as_number(struct eval_doc *doc, json_t *value, bool rendered)
{
    struct eval_text text;

    if (!doc->form->choice || !json_is_string(value))
        return value;
    text = eval_json_text(value);
    if (!eval_text_is_number(text) || text.length > 9 ||
        (!rendered && choice_index(doc, value) >= 0))
        return value;
    value = json_integer(strtol(text.data, NULL, 10));
    json_array_append_new(doc->values, value);
    return value;
}

/* doc_to_target's value: one thing, or a list of things that are all right. */
static bool as_list(struct eval_doc *doc, json_t *value, bool rendered, json_t **out_list,
                    struct cap_err *err)
{
    json_t *list = NULL;

    if (json_is_null(value) || json_is_object(value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_target gives no answer");
    if (json_is_array(value)) {
        list = json_incref(value);
    } else if (rendered && json_string_length(value) > 1 && json_string_value(value)[0] == '[' &&
               json_string_value(value)[json_string_length(value) - 1] == ']') {
        list = eval_python_list(eval_json_text(value));
    }
    if (!list)
        list = json_pack("[O]", as_number(doc, value, rendered));
    json_array_append_new(doc->values, list);
    if (json_array_size(list) == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_target gives an empty list");
    *out_list = list;
    return true;
}

static bool make_indices(struct eval_doc *doc, const json_t *list, struct eval_gold *out,
                         struct cap_err *err)
{
    size_t *indices = cap_arena_array(doc->arena, json_array_size(list), sizeof *indices);

    if (!indices)
        return fail_full(err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        long index = choice_index(doc, json_array_get(list, i));

        if (index < 0) {
            struct eval_text shown = eval_json_str(doc->arena, json_array_get(list, i));

            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "the right answer \"%.*s\" is none of the %zu choices",
                            shown.length > 60 ? 60 : (int)shown.length,
                            shown.data ? shown.data : "", doc->choice_count);
        }
        indices[i] = (size_t)index;
    }
    out->indices = indices;
    out->index_count = json_array_size(list);
    return true;
}

/* A value as a text; where there are choices, a number means the text of a choice. */
static bool answer_text(struct eval_doc *doc, const json_t *value, struct eval_text *out,
                        struct cap_err *err)
{
    if (doc->choice_count && is_whole(value)) {
        long index = numbered_choice(doc, value);

        if (index < 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "the right answer %lld is none of the %zu choices",
                            (long long)json_integer_value(value), doc->choice_count);
        *out = doc->choices[index];
        return true;
    }
    *out = eval_json_str(doc->arena, value);
    return out->data ? true : fail_full(err);
}

static bool make_texts(struct eval_doc *doc, const json_t *list, struct eval_gold *out,
                       struct cap_err *err)
{
    struct eval_text *texts = cap_arena_array(doc->arena, json_array_size(list), sizeof *texts);

    if (!texts)
        return fail_full(err);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!answer_text(doc, json_array_get(list, i), &texts[i], err))
            return false;
    out->texts = texts;
    out->text_count = json_array_size(list);
    return true;
}

static bool make_gold(struct eval_doc *doc, json_t *value, bool rendered, struct eval_gold *out,
                      struct cap_err *err)
{
    struct eval_gold gold = {.choices = doc->choices, .choice_count = doc->choice_count};
    json_t *list = NULL;

    if (!as_list(doc, value, rendered, &list, err) ||
        !(doc->task->output == EVAL_MULTIPLE_CHOICE ? make_indices(doc, list, &gold, err)
                                                    : make_texts(doc, list, &gold, err)))
        return false;
    *out = gold;
    return true;
}

bool eval_doc_gold_of(struct eval_doc *doc, json_t *value, struct eval_gold *out,
                      struct cap_err *err)
{
    return make_gold(doc, value, false, out, err);
}

bool eval_doc_gold(struct eval_doc *doc, struct eval_gold *out, struct cap_err *err)
{
    bool rendered;
    json_t *value = value_of(doc, doc->form->target, "doc_to_target", &rendered, err);

    return value && make_gold(doc, value, rendered, out, err);
}

bool eval_doc_shown_target(struct eval_doc *doc, struct eval_text *out, struct cap_err *err)
{
    bool rendered;
    json_t *value = value_of(doc, doc->form->target, "doc_to_target", &rendered, err);
    json_t *list = NULL;

    if (json_is_string(value) && !rendered) { /* the digits of a field stay a text here */
        *out = eval_json_text(value);
        return true;
    }
    return value && as_list(doc, value, rendered, &list, err) &&
           answer_text(doc, json_array_get(list, 0), out, err);
}
