/* Values: making, finding, comparing and printing them. Lists and dictionaries may hold
 * themselves, and share parts, so every walk goes through jinja_descend() and pays for what it
 * visits. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#include "jinja/inside.h"

/* ---- characters of UTF-8 ---- */

size_t jinja_utf8_next(const char *text, size_t length)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const uint8_t *)text, (utf8proc_ssize_t)length, &c);

    return n > 0 ? (size_t)n : 1;
}

size_t jinja_utf8_count(struct run *run, struct value s)
{
    size_t count = 0;

    if (!jinja_charge(run, s.s.length))
        return 0;
    for (size_t at = 0; at < s.s.length; count++)
        at += jinja_utf8_next(s.s.text + at, s.s.length - at);
    return count;
}

size_t jinja_utf8_offset(const char *text, size_t length, size_t characters)
{
    size_t at = 0;

    while (characters-- > 0 && at < length)
        at += jinja_utf8_next(text + at, length - at);
    return at < length ? at : length;
}

struct value jinja_change_case(struct run *run, struct value s, bool upper)
{
    CAP_AUTO_BUF(out, TEMPLATE_BYTES_MAX);

    if (!jinja_charge(run, 2 * s.s.length))
        return s;
    for (size_t at = 0; at < s.s.length;) {
        size_t n = jinja_utf8_next(s.s.text + at, s.s.length - at);
        utf8proc_int32_t c;
        uint8_t bytes[4];

        if (utf8proc_iterate((const uint8_t *)s.s.text + at, (utf8proc_ssize_t)n, &c) <= 0) {
            cap_buf_add(&out, s.s.text + at, n);
        } else if (upper && c == 0xdf) { /* the only common letter whose capital is two */
            cap_buf_add_str(&out, "SS");
        } else {
            c = upper ? utf8proc_toupper(c) : utf8proc_tolower(c);
            cap_buf_add(&out, bytes, (size_t)utf8proc_encode_char(c, bytes));
        }
        at += n;
    }
    return jinja_take_buf(run, &out);
}

bool jinja_utf8_is_letter(const char *text, size_t length)
{
    utf8proc_int32_t c = -1;

    if (utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &c) <= 0)
        return false;
    return utf8proc_category(c) >= UTF8PROC_CATEGORY_LU &&
           utf8proc_category(c) <= UTF8PROC_CATEGORY_LO;
}

/* ---- making ---- */

struct value jinja_str(const char *text, size_t length)
{
    return (struct value){.kind = V_STR, .s = {text, length}};
}

struct value jinja_cstr(const char *text)
{
    return jinja_str(text, strlen(text));
}

struct value jinja_int(int64_t i)
{
    return (struct value){.kind = V_INT, .i = i};
}

struct value jinja_bool(bool b)
{
    return (struct value){.kind = V_BOOL, .b = b};
}

struct value jinja_none(void)
{
    return (struct value){.kind = V_NONE};
}

static bool fail_memory(struct run *run)
{
    return jinja_fail(run, "the template needs more memory than it may have");
}

struct value jinja_list(struct run *run, size_t capacity, bool tuple)
{
    static struct list empty; /* what a failure returns; nothing is ever added to it */
    struct list *list = cap_arena_alloc(run->arena, sizeof *list);
    struct value *items = cap_arena_array(run->arena, capacity, sizeof *items);

    if (!list || !items) {
        fail_memory(run);
        return (struct value){.kind = V_LIST, .list = &empty};
    }
    *list = (struct list){.items = items, .capacity = capacity, .tuple = tuple};
    return (struct value){.kind = V_LIST, .list = list};
}

struct value jinja_dict(struct run *run)
{
    static struct dict empty;
    struct dict *dict = cap_arena_alloc(run->arena, sizeof *dict);

    if (!dict)
        fail_memory(run);
    return (struct value){.kind = V_DICT, .dict = dict ? dict : &empty};
}

bool jinja_append(struct run *run, struct list *list, struct value item)
{
    if (!jinja_charge(run, sizeof item))
        return false;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        struct value *items = cap_arena_array(run->arena, capacity, sizeof *items);

        if (!items)
            return fail_memory(run);
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return true;
}

/* Adds a key that the dictionary does not have yet. */
static bool add_pair(struct run *run, struct dict *dict, struct value key, struct value value)
{
    if (!jinja_charge(run, sizeof(struct pair)))
        return false;
    if (dict->count == dict->capacity) {
        size_t capacity = dict->capacity ? dict->capacity * 2 : 8;
        struct pair *pairs = cap_arena_array(run->arena, capacity, sizeof *pairs);

        if (!pairs)
            return fail_memory(run);
        if (dict->count > 0)
            memcpy(pairs, dict->pairs, dict->count * sizeof *pairs);
        dict->pairs = pairs;
        dict->capacity = capacity;
    }
    dict->pairs[dict->count++] = (struct pair){key, value};
    return true;
}

bool jinja_put(struct run *run, struct dict *dict, struct value key, struct value value)
{
    for (size_t i = 0; i < dict->count; i++) {
        if (jinja_equal(run, &dict->pairs[i].key, &key)) {
            dict->pairs[i].value = value;
            return true;
        }
    }
    return add_pair(run, dict, key, value);
}

bool jinja_find(struct run *run, const struct dict *dict, const char *key, size_t length,
                struct value *out)
{
    if (!jinja_charge(run, dict->count * sizeof(void *) + length))
        return false;
    for (size_t i = 0; i < dict->count; i++) {
        const struct value *k = &dict->pairs[i].key;

        if (k->kind == V_STR && k->s.length == length && memcmp(k->s.text, key, length) == 0) {
            *out = dict->pairs[i].value;
            return true;
        }
    }
    return false;
}

struct value jinja_take_buf(struct run *run, struct cap_buf *buf)
{
    const char *text =
        buf->overflowed ? NULL : cap_arena_strndup(run->arena, buf->data, buf->length);

    if (!text)
        fail_memory(run);
    return jinja_str(text ? text : "", text ? buf->length : 0);
}

const char *jinja_copy(struct run *run, struct value text)
{
    const char *copy = text.kind != V_STR || !jinja_charge(run, text.s.length)
                           ? ""
                           : cap_arena_strndup(run->arena, text.s.text, text.s.length);

    if (!copy)
        fail_memory(run);
    return copy ? copy : "";
}

/* ---- JSON in ---- */

static bool list_from_json(struct run *run, const json_t *json, struct value *out)
{
    size_t count = json_array_size(json);

    *out = jinja_list(run, count, false);
    for (size_t i = 0; i < count; i++) {
        struct value item;

        if (!jinja_from_json(run, json_array_get(json, i), &item) ||
            !jinja_append(run, out->list, item))
            return false;
    }
    return true;
}

static bool dict_from_json(struct run *run, const json_t *json, struct value *out)
{
    const char *key;
    json_t *member;

    *out = jinja_dict(run);
    json_object_foreach((json_t *)json, key, member)
    {
        struct value value;

        if (!jinja_from_json(run, member, &value) ||
            !add_pair(run, out->dict, jinja_cstr(key), value))
            return false;
    }
    return true;
}

static bool value_from_json(struct run *run, const json_t *json, struct value *out)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return dict_from_json(run, json, out);
    case JSON_ARRAY:
        return list_from_json(run, json, out);
    case JSON_STRING:
        *out = jinja_str(json_string_value(json), json_string_length(json));
        return true;
    case JSON_INTEGER:
        *out = jinja_int(json_integer_value(json));
        return true;
    case JSON_REAL:
        *out = (struct value){.kind = V_FLOAT, .f = json_real_value(json)};
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = jinja_bool(json_is_true(json));
        return true;
    case JSON_NULL:
        *out = jinja_none();
        return true;
    }
    return false;
}

bool jinja_from_json(struct run *run, const json_t *json, struct value *out)
{
    bool ok = jinja_descend(run) && value_from_json(run, json, out);

    jinja_ascend(run);
    return ok;
}

/* ---- asking ---- */

const char *jinja_kind_name(const struct value *v)
{
    static const char *const names[] = {"undefined", "none", "bool", "int",   "float",
                                        "str",       "list", "dict", "macro", "function"};

    return names[v->kind];
}

bool jinja_truthy(const struct value *v)
{
    switch (v->kind) {
    case V_UNDEFINED:
    case V_NONE:
        return false;
    case V_BOOL:
        return v->b;
    case V_INT:
        return v->i != 0;
    case V_FLOAT:
        return v->f != 0;
    case V_STR:
        return v->s.length > 0;
    case V_LIST:
        return v->list->count > 0;
    case V_DICT:
        return v->dict->is_namespace || v->dict->count > 0;
    default:
        return true;
    }
}

static bool is_number(const struct value *v)
{
    return v->kind == V_BOOL || v->kind == V_INT || v->kind == V_FLOAT;
}

static double number(const struct value *v)
{
    return v->kind == V_FLOAT ? v->f : v->kind == V_INT ? (double)v->i : v->b;
}

static bool lists_equal(struct run *run, const struct list *a, const struct list *b)
{
    if (a->count != b->count || a->tuple != b->tuple)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!jinja_equal(run, &a->items[i], &b->items[i]))
            return false;
    return true;
}

static bool dicts_equal(struct run *run, const struct dict *a, const struct dict *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        bool found = false;

        for (size_t k = 0; k < b->count && !found; k++)
            found = jinja_equal(run, &a->pairs[i].key, &b->pairs[k].key) &&
                    jinja_equal(run, &a->pairs[i].value, &b->pairs[k].value);
        if (!found)
            return false;
    }
    return true;
}

static bool equal(struct run *run, const struct value *a, const struct value *b)
{
    if (is_number(a) && is_number(b))
        return a->kind == V_INT && b->kind == V_INT ? a->i == b->i : number(a) == number(b);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case V_STR:
        return a->s.length == b->s.length && jinja_charge(run, a->s.length) &&
               memcmp(a->s.text, b->s.text, a->s.length) == 0;
    case V_LIST:
        return a->list == b->list || lists_equal(run, a->list, b->list);
    case V_DICT:
        return a->dict == b->dict || dicts_equal(run, a->dict, b->dict);
    case V_MACRO:
        return a->macro == b->macro;
    default:
        return true;
    }
}

bool jinja_equal(struct run *run, const struct value *a, const struct value *b)
{
    bool same = jinja_descend(run) && equal(run, a, b);

    jinja_ascend(run);
    return same && run->err->code == CAP_OK;
}

bool jinja_compare(struct run *run, const struct value *a, const struct value *b, int *out_order)
{
    *out_order = 0;
    if (is_number(a) && is_number(b)) {
        double x = number(a), y = number(b);

        *out_order = a->kind == V_INT && b->kind == V_INT ? (a->i > b->i) - (a->i < b->i)
                                                          : (x > y) - (x < y);
        return jinja_charge(run, sizeof(void *));
    }
    if (a->kind == V_STR && b->kind == V_STR) {
        size_t shorter = a->s.length < b->s.length ? a->s.length : b->s.length;
        int order;

        if (!jinja_charge(run, sizeof(void *) + shorter))
            return false;
        order = memcmp(a->s.text, b->s.text, shorter);
        *out_order = order ? order : (a->s.length > b->s.length) - (a->s.length < b->s.length);
        return true;
    }
    return false;
}

/* ---- printing, as Python would ---- */

static void print_float(struct run *run, double f, struct cap_buf *out)
{
    char text[40];

    if (!jinja_charge(run, FLOAT_WORK))
        return;

    if (isnan(f) || isinf(f)) {
        cap_buf_add_str(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) { /* the shortest that reads back */
        double back;

        snprintf(text, sizeof text, "%.*g", digits, f);
        if (sscanf(text, "%lf", &back) == 1 && back == f)
            break;
    }
    if (strchr(text, 'e') && fabs(f) < 1e16 && fabs(f) >= 1e-4)
        snprintf(text, sizeof text, "%.1f", f);
    cap_buf_add_str(out, text);
    if (!strpbrk(text, ".e"))
        cap_buf_add_str(out, ".0");
}

/* False once what is written cannot be used: a walk over a list ends there. */
static bool go_on(struct run *run, const struct cap_buf *out)
{
    return !out->overflowed && jinja_charge(run, sizeof(struct value));
}

static void repr_string(struct run *run, const struct value *v, struct cap_buf *out)
{
    static const char hex[] = "0123456789abcdef";
    bool has_single = memchr(v->s.text, '\'', v->s.length) != NULL;
    bool has_double = memchr(v->s.text, '"', v->s.length) != NULL;
    char quote = has_single && !has_double ? '"' : '\'';

    if (!jinja_charge(run, v->s.length))
        return;
    cap_buf_add_char(out, quote);
    for (size_t i = 0; i < v->s.length && !out->overflowed; i++) {
        char c = v->s.text[i];

        if (c == quote || c == '\\')
            cap_buf_add(out, (char[]){'\\', c}, 2);
        else if (c == '\n')
            cap_buf_add_str(out, "\\n");
        else if (c == '\t')
            cap_buf_add_str(out, "\\t");
        else if (c == '\r')
            cap_buf_add_str(out, "\\r");
        else if ((unsigned char)c < 32)
            cap_buf_add(out, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
        else
            cap_buf_add_char(out, c);
    }
    cap_buf_add_char(out, quote);
}

static void repr_list(struct run *run, const struct list *list, struct cap_buf *out)
{
    cap_buf_add_char(out, list->tuple ? '(' : '[');
    for (size_t i = 0; i < list->count && go_on(run, out); i++) {
        if (i > 0)
            cap_buf_add_str(out, ", ");
        jinja_repr(run, &list->items[i], out);
    }
    if (list->tuple && list->count == 1)
        cap_buf_add_char(out, ',');
    cap_buf_add_char(out, list->tuple ? ')' : ']');
}

static void repr_dict(struct run *run, const struct dict *dict, struct cap_buf *out)
{
    cap_buf_add_char(out, '{');
    for (size_t i = 0; i < dict->count && go_on(run, out); i++) {
        if (i > 0)
            cap_buf_add_str(out, ", ");
        jinja_repr(run, &dict->pairs[i].key, out);
        cap_buf_add_str(out, ": ");
        jinja_repr(run, &dict->pairs[i].value, out);
    }
    cap_buf_add_char(out, '}');
}

void jinja_repr(struct run *run, const struct value *v, struct cap_buf *out)
{
    if (v->kind == V_STR)
        repr_string(run, v, out);
    else if (v->kind == V_UNDEFINED)
        cap_buf_add_str(out, "Undefined");
    else
        jinja_print(run, v, out);
}

static void print_value(struct run *run, const struct value *v, struct cap_buf *out)
{
    switch (v->kind) {
    case V_UNDEFINED:
        break;
    case V_NONE:
        cap_buf_add_str(out, "None");
        break;
    case V_BOOL:
        cap_buf_add_str(out, v->b ? "True" : "False");
        break;
    case V_INT:
        cap_buf_printf(out, "%lld", (long long)v->i);
        break;
    case V_FLOAT:
        print_float(run, v->f, out);
        break;
    case V_STR:
        if (jinja_charge(run, v->s.length))
            cap_buf_add(out, v->s.text, v->s.length);
        break;
    case V_LIST:
        repr_list(run, v->list, out);
        break;
    case V_DICT:
        repr_dict(run, v->dict, out);
        break;
    case V_MACRO:
        cap_buf_printf(out, "<Macro '%s'>", v->macro->name);
        break;
    case V_FUNCTION:
        cap_buf_printf(out, "<function %s>", v->name);
        break;
    }
}

void jinja_print(struct run *run, const struct value *v, struct cap_buf *out)
{
    if (jinja_descend(run))
        print_value(run, v, out);
    jinja_ascend(run);
}

/* ---- tojson: keys in their order, no HTML escapes, as json.dumps(ensure_ascii=False) ---- */

void jinja_pad(struct run *run, char c, int64_t count, struct cap_buf *out)
{
    if (count <= 0 || !jinja_charge(run, (size_t)count))
        return;
    while (count-- > 0 && !out->overflowed)
        cap_buf_add_char(out, c);
}

static void json_string_out(struct run *run, const struct value *v, struct cap_buf *out)
{
    if (!jinja_charge(run, v->s.length))
        return;
    cap_buf_add_char(out, '"');
    for (size_t i = 0; i < v->s.length && !out->overflowed; i++) {
        unsigned char c = (unsigned char)v->s.text[i];
        static const char hex[] = "0123456789abcdef";
        static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
        const char *special = c ? strchr(from, c) : NULL;

        if (special)
            cap_buf_add(out, (char[]){'\\', to[special - from]}, 2);
        else if (c < 32)
            cap_buf_add(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        else
            cap_buf_add_char(out, (char)c);
    }
    cap_buf_add_char(out, '"');
}

static void json_out(struct run *run, const struct value *v, int64_t indent, int level,
                     struct cap_buf *out);

/* Before an item (`index` tells whether it is the first), or before the closing bracket. */
static void break_line(struct run *run, bool comma, int64_t indent, int level, struct cap_buf *out)
{
    int64_t blanks = 0;

    if (comma)
        cap_buf_add_str(out, indent < 0 ? ", " : ",");
    if (indent < 0)
        return;
    cap_buf_add_char(out, '\n');
    if (__builtin_mul_overflow(indent, level, &blanks))
        blanks = INT64_MAX;
    jinja_pad(run, ' ', blanks, out);
}

static void json_list_out(struct run *run, const struct list *list, int64_t indent, int level,
                          struct cap_buf *out)
{
    cap_buf_add_char(out, '[');
    for (size_t i = 0; i < list->count && go_on(run, out); i++) {
        break_line(run, i > 0, indent, level + 1, out);
        json_out(run, &list->items[i], indent, level + 1, out);
    }
    if (list->count > 0)
        break_line(run, false, indent, level, out);
    cap_buf_add_char(out, ']');
}

static void json_dict_out(struct run *run, const struct dict *dict, int64_t indent, int level,
                          struct cap_buf *out)
{
    cap_buf_add_char(out, '{');
    for (size_t i = 0; i < dict->count && go_on(run, out); i++) {
        break_line(run, i > 0, indent, level + 1, out);
        json_out(run, &dict->pairs[i].key, indent, level + 1, out);
        cap_buf_add_str(out, ": ");
        json_out(run, &dict->pairs[i].value, indent, level + 1, out);
    }
    if (dict->count > 0)
        break_line(run, false, indent, level, out);
    cap_buf_add_char(out, '}');
}

static void json_out(struct run *run, const struct value *v, int64_t indent, int level,
                     struct cap_buf *out)
{
    if (jinja_descend(run)) {
        if (v->kind == V_STR)
            json_string_out(run, v, out);
        else if (v->kind == V_LIST)
            json_list_out(run, v->list, indent, level, out);
        else if (v->kind == V_DICT)
            json_dict_out(run, v->dict, indent, level, out);
        else if (v->kind == V_BOOL)
            cap_buf_add_str(out, v->b ? "true" : "false");
        else if (v->kind == V_INT || v->kind == V_FLOAT)
            jinja_print(run, v, out);
        else
            cap_buf_add_str(out, "null");
    }
    jinja_ascend(run);
}

void jinja_to_json(struct run *run, const struct value *v, int64_t indent, struct cap_buf *out)
{
    json_out(run, v, indent, 0, out);
}
