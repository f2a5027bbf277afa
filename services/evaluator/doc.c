#include "doc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the document needs too much memory");
}

/* The expression's value, kept by the view. */
static json_t *value_of(struct eval_doc *doc, const struct eval_expr *expr, const char *key,
                        bool *out_rendered, struct cap_err *err)
{
    json_t *value = eval_expr_value(expr, doc->json, out_rendered, err);

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

    if (!doc->task->choice)
        return true;
    if (!(list = value_of(doc, doc->task->choice, "doc_to_choice", NULL, err)))
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

bool eval_doc_open_json(struct eval_doc *doc, const struct eval_task *task, json_t *json,
                        struct cap_arena *arena, struct cap_err *err)
{
    *doc = (struct eval_doc){.task = task, .arena = arena, .values = json_array()};
    if (!json_is_object(json)) {
        eval_doc_done(doc);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the document is no JSON object");
    }
    doc->json = json_incref(json);
    if (make_choices(doc, err))
        return true;
    eval_doc_done(doc);
    return false;
}

bool eval_doc_open(struct eval_doc *doc, const struct eval_task *task, const char *json,
                   size_t length, struct cap_arena *arena, struct cap_err *err)
{
    json_error_t where;
    json_t *parsed;
    bool ok;

    if (length > EVAL_DOC_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the document has %zu bytes, at most %d", length,
                        EVAL_DOC_BYTES_MAX);
    parsed = json_loadb(json, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (!parsed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the document is not JSON: %.200s", where.text);
    ok = eval_doc_open_json(doc, task, parsed, arena, err);
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

bool eval_doc_text(struct eval_doc *doc, struct eval_text *out, struct cap_err *err)
{
    return text_value(doc, doc->task->text, "doc_to_text", out, err);
}

bool eval_doc_description(struct eval_doc *doc, struct eval_text *out, struct cap_err *err)
{
    *out = eval_text_of("");
    return !doc->task->description ||
           text_value(doc, doc->task->description, "description", out, err);
}

/* ---- what is right ---- */

/* The index that a value means: a number, digits, or the text of a choice; -1 when it is none. */
static long choice_index(const struct eval_doc *doc, const json_t *value)
{
    struct eval_text text;

    if (json_is_integer(value)) {
        json_int_t i = json_integer_value(value);

        return i >= 0 && (size_t)i < doc->choice_count ? (long)i : -1;
    }
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

    if (!doc->task->choice || !json_is_string(value))
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

/* Where there are choices, a number means the text of a choice. */
static bool make_texts(struct eval_doc *doc, const json_t *list, struct eval_gold *out,
                       struct cap_err *err)
{
    struct eval_text *texts = cap_arena_array(doc->arena, json_array_size(list), sizeof *texts);

    if (!texts)
        return fail_full(err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        long index = doc->choice_count && json_is_integer(value) ? choice_index(doc, value) : -1;

        if (doc->choice_count && json_is_integer(value) && index < 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "the right answer %lld is none of the %zu choices",
                            (long long)json_integer_value(value), doc->choice_count);
        texts[i] = index >= 0 ? doc->choices[index] : eval_json_str(doc->arena, value);
        if (!texts[i].data)
            return fail_full(err);
    }
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
    json_t *value = value_of(doc, doc->task->target, "doc_to_target", &rendered, err);

    return value && make_gold(doc, value, rendered, out, err);
}

bool eval_doc_shown_target(struct eval_doc *doc, struct eval_text *out, struct cap_err *err)
{
    struct eval_gold gold = {0};

    if (!eval_doc_gold(doc, &gold, err))
        return false;
    assert(gold.index_count > 0 || gold.text_count > 0);
    *out = gold.index_count ? gold.choices[gold.indices[0]] : gold.texts[0];
    return true;
}
