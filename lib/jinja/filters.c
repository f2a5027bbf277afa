/* Filters on lists and dictionaries, and the table of all. */
#include <string.h>

#include "jinja/inside.h"

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
    return in->kind == V_UNDEFINED || jinja_fail_kind(run, "list", in);
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
        *out = jinja_int((int64_t)jinja_utf8_count(run, in));
    else if (in.kind == V_LIST)
        *out = jinja_int((int64_t)in.list->count);
    else if (in.kind == V_DICT)
        *out = jinja_int((int64_t)in.dict->count);
    else if (in.kind == V_UNDEFINED)
        *out = jinja_int(0);
    else
        return jinja_fail_kind(run, "length", &in);
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
            jinja_print(run, &between, &buf);
        jinja_print(run, &item, &buf);
        if (buf.overflowed || run->err->code != CAP_OK)
            break;
    }
    *out = jinja_take_buf(run, &buf);
    return run->err->code == CAP_OK;
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

/* What an item is sorted by, beside the item: computed once. */
struct keyed {
    struct value key, item;
};

/* A text is ordered without regard to case unless case_sensitive is true. */
static bool make_key(struct run *run, struct value item, const struct value *attribute,
                     bool by_case, struct value *out)
{
    *out = item;
    if (attribute->kind != V_UNDEFINED && !jinja_get(run, item, *attribute, out))
        return false;
    if (out->kind == V_STR && !by_case)
        *out = jinja_change_case(run, *out, false);
    return run->err->code == CAP_OK;
}

/* Merges the sorted halves [0, middle) and [middle, count) of `from` into `to`. Equal items keep
 * their order, also backwards. */
static bool merge(struct run *run, const struct keyed *from, size_t middle, size_t count,
                  bool backwards, struct keyed *to)
{
    size_t left = 0, right = middle;

    for (size_t i = 0; i < count; i++) {
        int order = 0;

        if (left < middle && right < count &&
            !jinja_compare(run, &from[left].key, &from[right].key, &order))
            return jinja_fail(run, "cannot order %s and %s", jinja_kind_name(&from[left].key),
                              jinja_kind_name(&from[right].key));
        if (right == count || (left < middle && (backwards ? order >= 0 : order <= 0)))
            to[i] = from[left++];
        else
            to[i] = from[right++];
    }
    return true;
}

/* sort(reverse=false, case_sensitive=false, attribute): merges runs of 1, 2, 4, ... items. */
static bool f_sort(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    struct value backwards = jinja_argument(args, 0, "reverse"),
                 by_case = jinja_argument(args, 1, "case_sensitive"),
                 attribute = jinja_argument(args, 2, "attribute");
    struct keyed *from, *to;
    size_t count;

    if (!to_list(run, &in, out))
        return false;
    count = out->list->count;
    from = cap_arena_array(run->arena, count, sizeof *from);
    to = cap_arena_array(run->arena, count, sizeof *to);
    if (!from || !to)
        return jinja_fail(run, "the template needs more memory than it may have");
    for (size_t i = 0; i < count; i++) {
        from[i].item = out->list->items[i];
        if (!make_key(run, from[i].item, &attribute, jinja_truthy(&by_case), &from[i].key))
            return false;
    }
    for (size_t width = 1; width < count; width *= 2) {
        struct keyed *other = from;

        for (size_t i = 0; i < count; i += 2 * width) {
            size_t rest = count - i;

            if (!merge(run, from + i, width < rest ? width : rest,
                       2 * width < rest ? 2 * width : rest, jinja_truthy(&backwards), to + i))
                return false;
        }
        from = to;
        to = other;
    }
    for (size_t i = 0; i < count; i++)
        out->list->items[i] = from[i].item;
    return true;
}

/* Equal, or the same text but for the case of its letters. */
static bool same_item(struct run *run, struct value a, struct value b, bool by_case)
{
    if (by_case || a.kind != V_STR || b.kind != V_STR)
        return jinja_equal(run, &a, &b);
    a = jinja_change_case(run, a, false);
    b = jinja_change_case(run, b, false);
    return jinja_equal(run, &a, &b);
}

static bool f_unique(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    struct value by_case = jinja_argument(args, 0, "case_sensitive"), list;

    if (!to_list(run, &in, &list))
        return false;
    *out = jinja_list(run, 8, false);
    for (size_t i = 0; i < list.list->count; i++) {
        bool seen = false;

        for (size_t k = 0; k < out->list->count && !seen; k++)
            seen = same_item(run, out->list->items[k], list.list->items[i], jinja_truthy(&by_case));
        if (!seen && !jinja_append(run, out->list, list.list->items[i]))
            return false;
    }
    return true;
}

/* min and max(case_sensitive=false, attribute) */
static bool extreme(struct run *run, struct value in, const struct arguments *args, int sign,
                    struct value *out)
{
    struct value by_case = jinja_argument(args, 0, "case_sensitive"),
                 attribute = jinja_argument(args, 1, "attribute"), list, key, best;

    if (!to_list(run, &in, &list))
        return false;
    *out = (struct value){.kind = V_UNDEFINED, .name = "item"};
    for (size_t i = 0; i < list.list->count; i++) {
        int order = 0;

        if (!make_key(run, list.list->items[i], &attribute, jinja_truthy(&by_case), &key))
            return false;
        if (i > 0 && !jinja_compare(run, &key, &best, &order))
            return jinja_fail(run, "the items cannot be ordered");
        if (i > 0 && order * sign <= 0)
            continue;
        *out = list.list->items[i];
        best = key;
    }
    return true;
}

static bool f_max(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    return extreme(run, in, args, 1, out);
}

static bool f_min(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    return extreme(run, in, args, -1, out);
}

/* sum(attribute, start=0) */
static bool f_sum(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    struct value attribute = jinja_argument(args, 0, "attribute"),
                 start = jinja_argument(args, 1, "start"), total = jinja_int(0), list;

    if (start.kind != V_UNDEFINED)
        total = start;
    if (!to_list(run, &in, &list))
        return false;
    for (size_t i = 0; i < list.list->count; i++) {
        struct value item = list.list->items[i];

        if (attribute.kind != V_UNDEFINED && !jinja_get(run, item, attribute, &item))
            return false;
        if (!jinja_apply(run, O_ADD, &total, &item, &total))
            return false;
    }
    *out = total;
    return true;
}

static bool f_map(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    struct value attribute = jinja_argument(args, 99, "attribute"),
                 fallback = jinja_argument(args, 99, "default"),
                 name = jinja_argument(args, 0, NULL), list;
    const struct arguments rest = {args->positional + 1, args->count > 0 ? args->count - 1 : 0,
                                   args->named};

    const char *filter = jinja_copy(run, name);

    if (attribute.kind == V_UNDEFINED && name.kind != V_STR)
        return jinja_fail(run, "map needs the name of a filter or attribute=");
    if (!to_list(run, &in, &list))
        return false;
    *out = jinja_list(run, 8, false);
    for (size_t i = 0; i < list.list->count; i++) {
        struct value item = list.list->items[i];

        if (attribute.kind != V_UNDEFINED) {
            if (!jinja_get(run, item, attribute, &item))
                return false;
            if (item.kind == V_UNDEFINED && fallback.kind != V_UNDEFINED)
                item = fallback;
        } else if (!jinja_filter(run, filter, item, &rest, &item)) {
            return false;
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

    const char *test = jinja_copy(run, name);

    if (!to_list(run, &in, &list))
        return false;
    *out = jinja_list(run, 8, false);
    for (size_t i = 0; i < list.list->count; i++) {
        struct value item = list.list->items[i];
        bool holds;

        if (by_attribute && !jinja_get(run, item, jinja_argument(args, 0, NULL), &item))
            return false;
        holds = jinja_truthy(&item);
        if (name.kind == V_STR && !jinja_test(run, test, item, &rest, &holds))
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

/* dictsort(case_sensitive=false, by='key', reverse=false): a list of pairs */
static bool f_dictsort(struct run *run, struct value in, const struct arguments *args,
                       struct value *out)
{
    struct value by = jinja_argument(args, 1, "by"), reverse = jinja_argument(args, 2, "reverse");
    bool by_value = by.kind == V_STR && by.s.length == 5;
    struct pair pairs[] = {{jinja_cstr("attribute"), jinja_int(by_value)},
                           {jinja_cstr("reverse"), jinja_bool(jinja_truthy(&reverse))}};
    struct dict named = {.pairs = pairs, .count = CAP_COUNT_OF(pairs)};
    const struct arguments how = {NULL, 0, &named}, none = {NULL, 0, args->named};

    return f_items(run, in, &none, out) && f_sort(run, *out, &how, out);
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
    {"abs", jinja_f_abs},
    {"attr", f_attr},
    {"capitalize", jinja_f_capitalize},
    {"count", f_length},
    {"d", f_default},
    {"default", f_default},
    {"dictsort", f_dictsort},
    {"e", jinja_f_escape},
    {"escape", jinja_f_escape},
    {"first", f_first},
    {"float", jinja_f_float},
    {"format", jinja_f_format},
    {"indent", jinja_f_indent},
    {"int", jinja_f_int},
    {"items", f_items},
    {"join", f_join},
    {"last", f_last},
    {"length", f_length},
    {"list", f_list},
    {"lower", jinja_f_lower},
    {"map", f_map},
    {"max", f_max},
    {"min", f_min},
    {"regex_replace", jinja_f_regex_replace},
    {"reject", f_reject},
    {"rejectattr", f_rejectattr},
    {"replace", jinja_f_replace},
    {"reverse", f_reverse},
    {"round", jinja_f_round},
    {"safe", f_safe},
    {"select", f_select},
    {"selectattr", f_selectattr},
    {"sort", f_sort},
    {"string", jinja_f_string},
    {"sum", f_sum},
    {"title", jinja_f_title},
    {"tojson", jinja_f_tojson},
    {"trim", jinja_f_trim},
    {"unique", f_unique},
    {"upper", jinja_f_upper},
    {"wordcount", jinja_f_wordcount},
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
    bool ok;

    if (!function)
        return jinja_fail(run, "there is no filter %s", name);
    ok = jinja_descend(run) && jinja_charge(run, CALL_WORK + args->named->count * STEP_WORK) &&
         function(run, in, args, out);
    jinja_ascend(run);
    return ok && run->err->code == CAP_OK;
}
