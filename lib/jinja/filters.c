/* The filters, a row each. */
#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/internal.h"

typedef bool filter_function(struct run *run, struct value in, const struct arguments *args,
                             struct value *out);

static bool fail_kind(struct run *run, const char *filter, const struct value *v)
{
    return jinja_fail(run, "%s cannot work on a %s", filter, jinja_kind_name(v));
}

static struct value as_text(struct run *run, struct value v)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    if (v.kind == V_STR)
        return v;
    jinja_print(&v, &text);
    return jinja_take_buf(run, &text);
}

/* ---- texts ---- */

static bool f_trim(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    struct value set = jinja_argument(args, 0, "chars");
    const char *chars =
        set.kind == V_STR ? cap_arena_strndup(run->arena, set.s.text, set.s.length) : NULL;

    *out = jinja_strip(as_text(run, in), chars, true, true);
    return true;
}

static bool f_upper(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    (void)args;
    *out = jinja_change_case(run, as_text(run, in), true);
    return true;
}

static bool f_lower(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    (void)args;
    *out = jinja_change_case(run, as_text(run, in), false);
    return true;
}

static bool f_string(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    (void)args;
    *out = as_text(run, in);
    return true;
}

static bool f_capitalize(struct run *run, struct value in, const struct arguments *args,
                         struct value *out)
{
    return jinja_method(run, as_text(run, in), "capitalize", args, out);
}

static bool f_title(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    return jinja_method(run, as_text(run, in), "title", args, out);
}

static bool f_replace(struct run *run, struct value in, const struct arguments *args,
                      struct value *out)
{
    *out = jinja_replace(run, as_text(run, in), as_text(run, jinja_argument(args, 0, "old")),
                         as_text(run, jinja_argument(args, 1, "new")));
    return true;
}

static void add_blanks(struct cap_buf *out, int64_t count)
{
    for (int64_t i = 0; i < count && !out->overflowed; i++)
        cap_buf_add_char(out, ' ');
}

/* indent(width=4, first=false, blank=false) */
static bool f_indent(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    struct value width = jinja_argument(args, 0, "width"), first = jinja_argument(args, 1, "first"),
                 blank = jinja_argument(args, 2, "blank"), text = as_text(run, in);
    int64_t count = width.kind == V_INT ? width.i : 4;
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    for (size_t at = 0; at <= text.s.length;) {
        const char *line = text.s.text + at;
        const char *end = memchr(line, '\n', text.s.length - at);
        size_t length = end ? (size_t)(end - line) : text.s.length - at;

        if ((at > 0 || jinja_truthy(&first)) && (length > 0 || jinja_truthy(&blank)))
            add_blanks(&buf, count);
        cap_buf_add(&buf, line, length);
        if (end)
            cap_buf_add_char(&buf, '\n');
        at += length + 1;
    }
    *out = jinja_take_buf(run, &buf);
    return true;
}

static bool f_format(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);
    size_t next = 0;

    if (in.kind != V_STR)
        return fail_kind(run, "format", &in);
    for (size_t i = 0; i < in.s.length; i++) {
        char c = in.s.text[i], verb = i + 1 < in.s.length ? in.s.text[i + 1] : 0;

        if (c != '%' || !verb) {
            cap_buf_add_char(&buf, c);
            continue;
        }
        i++;
        if (verb == '%')
            cap_buf_add_char(&buf, '%');
        else if (verb != 's' && verb != 'd' && verb != 'r')
            return jinja_fail(run, "format understands %%s, %%d and %%r, not %%%c", verb);
        else if (next >= args->count)
            return jinja_fail(run, "format has not enough arguments");
        else if (verb == 'r')
            jinja_repr(&args->positional[next++], &buf);
        else
            jinja_print(&args->positional[next++], &buf);
    }
    *out = jinja_take_buf(run, &buf);
    return true;
}

static bool f_tojson(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    struct value indent = jinja_argument(args, 0, "indent");
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    jinja_to_json(&in, indent.kind == V_INT ? (int)indent.i : -1, 0, &buf);
    *out = jinja_take_buf(run, &buf);
    return true;
}

static bool f_wordcount(struct run *run, struct value in, const struct arguments *args,
                        struct value *out)
{
    struct value words;
    const struct arguments none = {NULL, 0, args->named};

    if (!jinja_method(run, as_text(run, in), "split", &none, &words))
        return false;
    *out = jinja_int((int64_t)words.list->count);
    return true;
}

static bool f_escape(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    struct value text = as_text(run, in);
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    (void)args;
    for (size_t i = 0; i < text.s.length; i++) {
        char c = text.s.text[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&#34;"
                             : c == '\'' ? "&#39;"
                                         : NULL;

        if (entity)
            cap_buf_add_str(&buf, entity);
        else
            cap_buf_add_char(&buf, c);
    }
    *out = jinja_take_buf(run, &buf);
    return true;
}

/* regex_replace(pattern, replacement): \1 in the replacement is the first group. */
static bool f_regex_replace(struct run *run, struct value in, const struct arguments *args,
                            struct value *out)
{
    struct value text = as_text(run, in), pattern = as_text(run, jinja_argument(args, 0, "find")),
                 with = as_text(run, jinja_argument(args, 1, "replace")),
                 backslash = jinja_cstr("\\"), dollar = jinja_cstr("$");
    PCRE2_SIZE offset, length = text.s.length * 2 + with.s.length * 64 + 64;
    pcre2_code *code;
    char *result;
    int number, rc;

    code = pcre2_compile((PCRE2_SPTR)pattern.s.text, pattern.s.length, PCRE2_UTF | PCRE2_UCP,
                         &number, &offset, NULL);
    if (!code)
        return jinja_fail(run, "regex_replace: the pattern is wrong at %zu", (size_t)offset);
    with = jinja_replace(run, with, backslash, dollar);
    result = cap_arena_alloc(run->arena, length + 1);
    rc = !result ? PCRE2_ERROR_NOMEMORY
                 : pcre2_substitute(code, (PCRE2_SPTR)text.s.text, text.s.length, 0,
                                    PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_EXTENDED, NULL, NULL,
                                    (PCRE2_SPTR)with.s.text, with.s.length, (PCRE2_UCHAR *)result,
                                    &length);
    pcre2_code_free(code);
    if (rc < 0)
        return jinja_fail(run, "regex_replace failed with PCRE2's error %d", rc);
    *out = jinja_str(result, length);
    return true;
}

/* ---- numbers ---- */

static bool f_int(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    struct value fallback = jinja_argument(args, 0, "default");
    char *end, *text;
    double f;

    *out = fallback.kind == V_UNDEFINED ? jinja_int(0) : fallback;
    if (in.kind == V_INT || in.kind == V_BOOL)
        *out = jinja_int(in.kind == V_INT ? in.i : in.b);
    else if (in.kind == V_FLOAT)
        *out = jinja_int((int64_t)in.f);
    else if (in.kind == V_STR) {
        struct value bare = jinja_strip(in, NULL, true, true);

        text = cap_arena_strndup(run->arena, bare.s.text, bare.s.length);
        f = text ? strtod(text, &end) : 0;
        if (text && *text && !*end)
            *out = jinja_int((int64_t)f);
    }
    return true;
}

static bool f_float(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    char *end, *text;

    (void)args;
    *out = (struct value){.kind = V_FLOAT, .f = 0};
    if (in.kind == V_INT)
        out->f = (double)in.i;
    else if (in.kind == V_FLOAT)
        out->f = in.f;
    else if (in.kind == V_STR) {
        text = cap_arena_strndup(run->arena, in.s.text, in.s.length);
        if (text)
            out->f = strtod(text, &end);
    }
    return true;
}

static bool f_abs(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    (void)args;
    if (in.kind != V_INT && in.kind != V_FLOAT)
        return fail_kind(run, "abs", &in);
    *out = in;
    if (in.kind == V_INT)
        out->i = in.i < 0 ? -in.i : in.i;
    else
        out->f = fabs(in.f);
    return true;
}

static bool f_round(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    struct value digits = jinja_argument(args, 0, "precision");
    double scale = pow(10, digits.kind == V_INT ? (double)digits.i : 0);

    if (in.kind != V_INT && in.kind != V_FLOAT)
        return fail_kind(run, "round", &in);
    *out = (struct value){.kind = V_FLOAT, .f = in.kind == V_INT ? (double)in.i : in.f};
    out->f = rint(out->f * scale) / scale;
    return true;
}

/* ---- lists ---- */

static bool to_list(struct run *run, const struct value *in, struct value *out)
{
    *out = jinja_list(run, 8, false);
    if (in->kind == V_LIST) {
        for (size_t i = 0; i < in->list->count; i++)
            if (!jinja_append(run, out->list, in->list->items[i]))
                return false;
        return true;
    }
    if (in->kind == V_DICT) {
        for (size_t i = 0; i < in->dict->count; i++)
            if (!jinja_append(run, out->list, in->dict->pairs[i].key))
                return false;
        return true;
    }
    if (in->kind == V_STR) {
        for (size_t at = 0; at < in->s.length;) {
            size_t n = jinja_utf8_next(in->s.text + at, in->s.length - at);

            if (!jinja_append(run, out->list, jinja_str(in->s.text + at, n)))
                return false;
            at += n;
        }
        return true;
    }
    return in->kind == V_UNDEFINED || fail_kind(run, "list", in);
}

static bool f_list(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    (void)args;
    return to_list(run, &in, out);
}

static bool f_length(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    (void)args;
    if (in.kind == V_STR)
        *out = jinja_int((int64_t)jinja_utf8_count(in.s.text, in.s.length));
    else if (in.kind == V_LIST)
        *out = jinja_int((int64_t)in.list->count);
    else if (in.kind == V_DICT)
        *out = jinja_int((int64_t)in.dict->count);
    else if (in.kind == V_UNDEFINED)
        *out = jinja_int(0);
    else
        return fail_kind(run, "length", &in);
    return true;
}

static bool end_item(struct run *run, struct value in, bool last, struct value *out)
{
    struct value list;

    if (!to_list(run, &in, &list))
        return false;
    *out = (struct value){.kind = V_UNDEFINED, .name = last ? "last" : "first"};
    if (list.list->count > 0)
        *out = list.list->items[last ? list.list->count - 1 : 0];
    return true;
}

static bool f_first(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    (void)args;
    return end_item(run, in, false, out);
}

static bool f_last(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    (void)args;
    return end_item(run, in, true, out);
}

static bool f_join(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    struct value between = jinja_argument(args, 0, "d"),
                 attribute = jinja_argument(args, 1, "attribute");
    struct value list;
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    if (!to_list(run, &in, &list))
        return false;
    for (size_t i = 0; i < list.list->count; i++) {
        struct value item = list.list->items[i];

        if (attribute.kind != V_UNDEFINED && !jinja_get(run, item, attribute, &item))
            return false;
        if (i > 0)
            jinja_print(&between, &buf);
        jinja_print(&item, &buf);
    }
    *out = jinja_take_buf(run, &buf);
    return true;
}

static bool f_reverse(struct run *run, struct value in, const struct arguments *args,
                      struct value *out)
{
    struct value list, reversed = jinja_list(run, 8, false);

    if (!to_list(run, &in, &list))
        return false;
    for (size_t i = list.list->count; i > 0; i--)
        if (!jinja_append(run, reversed.list, list.list->items[i - 1]))
            return false;
    *out = reversed;
    if (in.kind == V_STR) {
        const struct arguments none = {NULL, 0, args->named};

        return f_join(run, reversed, &none, out);
    }
    return true;
}

/* A stable insertion sort: lists in templates are short. */
static bool f_sort(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    struct value backwards = jinja_argument(args, 0, "reverse"),
                 attribute = jinja_argument(args, 2, "attribute");
    struct value *items;

    if (!to_list(run, &in, out))
        return false;
    items = out->list->items;
    for (size_t i = 1; i < out->list->count; i++) {
        struct value moving = items[i], a, b;
        size_t k = i;

        for (; k > 0; k--) {
            int order;

            a = items[k - 1];
            b = moving;
            if (attribute.kind != V_UNDEFINED &&
                (!jinja_get(run, a, attribute, &a) || !jinja_get(run, b, attribute, &b)))
                return false;
            if (!jinja_compare(&a, &b, &order))
                return jinja_fail(run, "cannot order %s and %s", jinja_kind_name(&a),
                                  jinja_kind_name(&b));
            if (jinja_truthy(&backwards) ? order >= 0 : order <= 0)
                break;
            items[k] = items[k - 1];
        }
        items[k] = moving;
        if (++run->steps > RENDER_STEPS_MAX)
            return jinja_fail(run, "the template takes too many steps");
    }
    return true;
}

static bool f_unique(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    struct value list;

    (void)args;
    if (!to_list(run, &in, &list))
        return false;
    *out = jinja_list(run, 8, false);
    for (size_t i = 0; i < list.list->count; i++) {
        bool seen = false;

        for (size_t k = 0; k < out->list->count && !seen; k++)
            seen = jinja_equal(&out->list->items[k], &list.list->items[i]);
        if (!seen && !jinja_append(run, out->list, list.list->items[i]))
            return false;
    }
    return true;
}

static bool extreme(struct run *run, struct value in, int sign, struct value *out)
{
    struct value list;

    if (!to_list(run, &in, &list))
        return false;
    *out = (struct value){.kind = V_UNDEFINED, .name = "item"};
    for (size_t i = 0; i < list.list->count; i++) {
        int order;

        if (i > 0 && !jinja_compare(&list.list->items[i], out, &order))
            return jinja_fail(run, "the items cannot be ordered");
        if (i == 0 || order * sign > 0)
            *out = list.list->items[i];
    }
    return true;
}

static bool f_max(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    (void)args;
    return extreme(run, in, 1, out);
}

static bool f_min(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    (void)args;
    return extreme(run, in, -1, out);
}

static bool f_sum(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    double total = 0;
    bool whole = true;
    struct value list;

    (void)args;
    if (!to_list(run, &in, &list))
        return false;
    for (size_t i = 0; i < list.list->count; i++) {
        const struct value *v = &list.list->items[i];

        if (v->kind != V_INT && v->kind != V_FLOAT)
            return fail_kind(run, "sum", v);
        whole = whole && v->kind == V_INT;
        total += v->kind == V_INT ? (double)v->i : v->f;
    }
    *out = whole ? jinja_int((int64_t)total) : (struct value){.kind = V_FLOAT, .f = total};
    return true;
}

static bool f_map(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    struct value attribute = jinja_argument(args, 99, "attribute"),
                 fallback = jinja_argument(args, 99, "default"),
                 name = jinja_argument(args, 0, NULL), list;
    const struct arguments rest = {args->positional + 1, args->count > 0 ? args->count - 1 : 0,
                                   args->named};

    if (!to_list(run, &in, &list))
        return false;
    *out = jinja_list(run, list.list->count, false);
    for (size_t i = 0; i < list.list->count; i++) {
        struct value item = list.list->items[i];

        if (attribute.kind != V_UNDEFINED) {
            if (!jinja_get(run, item, attribute, &item))
                return false;
            if (item.kind == V_UNDEFINED && fallback.kind != V_UNDEFINED)
                item = fallback;
        } else if (name.kind != V_STR ||
                   !jinja_filter(run, cap_arena_strndup(run->arena, name.s.text, name.s.length),
                                 item, &rest, &item)) {
            return jinja_fail(run, "map needs the name of a filter or attribute=");
        }
        if (!jinja_append(run, out->list, item))
            return false;
    }
    return true;
}

/* selectattr('a', 'test', value), select('test', value) and their opposites. */
static bool choose(struct run *run, struct value in, const struct arguments *args,
                   bool by_attribute, bool keep, struct value *out)
{
    size_t first = by_attribute ? 1 : 0;
    struct value name = jinja_argument(args, first, NULL), list;
    const struct arguments rest = {args->positional + first + 1,
                                   args->count > first + 1 ? args->count - first - 1 : 0,
                                   args->named};

    if (!to_list(run, &in, &list))
        return false;
    *out = jinja_list(run, 8, false);
    for (size_t i = 0; i < list.list->count; i++) {
        struct value item = list.list->items[i];
        bool holds;

        if (by_attribute && !jinja_get(run, item, jinja_argument(args, 0, NULL), &item))
            return false;
        holds = jinja_truthy(&item);
        if (name.kind == V_STR &&
            !jinja_test(run, cap_arena_strndup(run->arena, name.s.text, name.s.length), item, &rest,
                        &holds))
            return false;
        if (holds == keep && !jinja_append(run, out->list, list.list->items[i]))
            return false;
    }
    return true;
}

static bool f_selectattr(struct run *run, struct value in, const struct arguments *args,
                         struct value *out)
{
    return choose(run, in, args, true, true, out);
}

static bool f_rejectattr(struct run *run, struct value in, const struct arguments *args,
                         struct value *out)
{
    return choose(run, in, args, true, false, out);
}

static bool f_select(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    return choose(run, in, args, false, true, out);
}

static bool f_reject(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    return choose(run, in, args, false, false, out);
}

/* ---- dictionaries and the rest ---- */

static bool f_items(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    if (in.kind == V_UNDEFINED) {
        *out = jinja_list(run, 0, false);
        return true;
    }
    return jinja_method(run, in, "items", args, out);
}

static bool f_dictsort(struct run *run, struct value in, const struct arguments *args,
                       struct value *out)
{
    struct dict attribute = {0};
    struct pair pair = {jinja_cstr("attribute"), jinja_int(0)};
    const struct arguments by_key = {NULL, 0, &attribute};

    (void)args;
    attribute.pairs = &pair;
    attribute.count = 1;
    return f_items(run, in, &by_key, out) && f_sort(run, *out, &by_key, out);
}

static bool f_default(struct run *run, struct value in, const struct arguments *args,
                      struct value *out)
{
    struct value fallback = jinja_argument(args, 0, "default_value"),
                 also_false = jinja_argument(args, 1, "boolean");
    bool use = in.kind == V_UNDEFINED || (jinja_truthy(&also_false) && !jinja_truthy(&in));

    (void)run;
    *out = !use ? in : fallback.kind == V_UNDEFINED ? jinja_cstr("") : fallback;
    return true;
}

static bool f_attr(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    return jinja_get(run, in, jinja_argument(args, 0, "name"), out);
}

static bool f_safe(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    (void)run;
    (void)args;
    *out = in;
    return true;
}

static const struct {
    const char *name;
    filter_function *function;
} filters[] = {
    {"abs", f_abs},
    {"attr", f_attr},
    {"capitalize", f_capitalize},
    {"count", f_length},
    {"d", f_default},
    {"default", f_default},
    {"dictsort", f_dictsort},
    {"e", f_escape},
    {"escape", f_escape},
    {"first", f_first},
    {"float", f_float},
    {"format", f_format},
    {"indent", f_indent},
    {"int", f_int},
    {"items", f_items},
    {"join", f_join},
    {"last", f_last},
    {"length", f_length},
    {"list", f_list},
    {"lower", f_lower},
    {"map", f_map},
    {"max", f_max},
    {"min", f_min},
    {"regex_replace", f_regex_replace},
    {"reject", f_reject},
    {"rejectattr", f_rejectattr},
    {"replace", f_replace},
    {"reverse", f_reverse},
    {"round", f_round},
    {"safe", f_safe},
    {"select", f_select},
    {"selectattr", f_selectattr},
    {"sort", f_sort},
    {"string", f_string},
    {"sum", f_sum},
    {"title", f_title},
    {"tojson", f_tojson},
    {"trim", f_trim},
    {"unique", f_unique},
    {"upper", f_upper},
    {"wordcount", f_wordcount},
};

static filter_function *find_filter(const char *name)
{
    for (size_t i = 0; i < CAP_COUNT_OF(filters); i++)
        if (strcmp(filters[i].name, name) == 0)
            return filters[i].function;
    return NULL;
}

bool jinja_has_filter(const char *name)
{
    return find_filter(name) != NULL;
}

bool jinja_filter(struct run *run, const char *name, struct value in, const struct arguments *args,
                  struct value *out)
{
    filter_function *function = find_filter(name);

    if (!function)
        return jinja_fail(run, "there is no filter %s", name);
    return function(run, in, args, out) && run->err->code == CAP_OK;
}
