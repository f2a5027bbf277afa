/* Methods of strings, lists and dictionaries, and the global functions. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "jinja/inside.h"

/* ---- strings ---- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

/* U+0085, U+00A0, U+2000..200A and their like are blanks to Python's strip. */
static size_t wide_blank(const char *at, size_t length)
{
    static const char *const blanks[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80",
                                         "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
                                         "\xe2\x81\x9f", "\xe3\x80\x80"};

    for (size_t i = 0; i < CAP_COUNT_OF(blanks); i++) {
        size_t n = strlen(blanks[i]);

        if (length >= n && memcmp(at, blanks[i], n) == 0)
            return n;
    }
    if (length >= 3 && memcmp(at, "\xe2\x80", 2) == 0 && (unsigned char)at[2] >= 0x80 &&
        (unsigned char)at[2] <= 0x8a)
        return 3;
    return 0;
}

/* Whether strip takes the character of `n` bytes away. */
static bool is_stripped(struct run *run, const char *at, size_t n, const struct value *set)
{
    if (set->kind != V_STR)
        return n == 1 ? is_blank(*at) : wide_blank(at, n) == n;
    return jinja_charge(run, set->s.length) && memmem(set->s.text, set->s.length, at, n) != NULL;
}

struct value jinja_strip(struct run *run, struct value s, struct value set, bool left, bool right)
{
    const char *from = s.s.text, *to = from + s.s.length;

    while (left && from < to && jinja_charge(run, 1)) {
        size_t n = jinja_utf8_next(from, (size_t)(to - from));

        if (!is_stripped(run, from, n, &set))
            break;
        from += n;
    }
    while (right && to > from && jinja_charge(run, 1)) {
        size_t n = 1;

        while (n < 4 && (size_t)(to - from) > n && ((unsigned char)to[-(long)n] & 0xc0) == 0x80)
            n++;
        if (!is_stripped(run, to - n, n, &set))
            break;
        to -= n;
    }
    return jinja_str(from, (size_t)(to - from));
}

/* Whether the text has `part` here, of which `rest` bytes are left. A long one is paid for only
 * where its beginning fits. */
static bool is_here(struct run *run, const char *at, size_t rest, struct value part)
{
    size_t head = part.s.length < 16 ? part.s.length : 16;

    return part.s.length <= rest && memcmp(at, part.s.text, head) == 0 &&
           jinja_charge(run, part.s.length) && memcmp(at, part.s.text, part.s.length) == 0;
}

/* Where the text first has `part`; NULL when nowhere. It costs what lies before it, not what lies
 * after: so looking for all of them costs the text once. (memmem() may look at all of it.) */
static const char *find_first(struct run *run, const char *at, const char *end, struct value part)
{
    const char *from = at;

    if (part.s.length == 0)
        return at;
    while (jinja_charge(run, 1) &&
           (from = memchr(from, part.s.text[0], (size_t)(end - from))) != NULL) {
        if (is_here(run, from, (size_t)(end - from), part))
            break;
        from++;
    }
    return jinja_charge(run, (size_t)((from ? from : end) - at)) ? from : NULL;
}

struct value jinja_replace(struct run *run, struct value s, struct value from, struct value to,
                           int64_t most)
{
    CAP_AUTO_BUF(out, TEMPLATE_BYTES_MAX);
    const char *at = s.s.text, *end = at + s.s.length;

    if (from.s.length == 0)
        return s;
    while (at < end && !out.overflowed) {
        const char *hit = most-- > 0 ? find_first(run, at, end, from) : NULL;

        cap_buf_add(&out, at, (size_t)((hit ? hit : end) - at));
        if (!hit)
            break;
        if (!jinja_charge(run, to.s.length))
            return s;
        cap_buf_add(&out, to.s.text, to.s.length);
        at = hit + from.s.length;
    }
    return jinja_take_buf(run, &out);
}

static bool split_blanks(struct run *run, struct value s, struct value *out)
{
    const char *at = s.s.text, *end = at + s.s.length;

    if (!jinja_charge(run, s.s.length))
        return false;

    while (at < end) {
        const char *start;

        while (at < end && is_blank(*at))
            at++;
        start = at;
        while (at < end && !is_blank(*at))
            at++;
        if (at > start && !jinja_append(run, out->list, jinja_str(start, (size_t)(at - start))))
            return false;
    }
    return true;
}

static bool split(struct run *run, struct value s, const struct arguments *args, struct value *out)
{
    struct value by = jinja_argument(args, 0, "sep"), most = jinja_argument(args, 1, "maxsplit");
    int64_t left = most.kind == V_INT && most.i >= 0 ? most.i : INT64_MAX;
    const char *at = s.s.text, *end = at + s.s.length;

    *out = jinja_list(run, 8, false);
    if (by.kind != V_STR)
        return split_blanks(run, s, out);
    if (by.s.length == 0)
        return jinja_fail(run, "split needs a separator that is not empty");
    for (;;) {
        const char *hit = left-- > 0 ? find_first(run, at, end, by) : NULL;

        if (!jinja_append(run, out->list, jinja_str(at, (size_t)((hit ? hit : end) - at))))
            return false;
        if (!hit)
            return true;
        at = hit + by.s.length;
    }
}

/* From the right, so that the first part is the one left whole. */
static bool rsplit(struct run *run, struct value s, const struct arguments *args, struct value *out)
{
    struct value by = jinja_argument(args, 0, "sep"), most = jinja_argument(args, 1, "maxsplit");
    struct value parts, head = s;
    size_t keep;

    if (!split(run, s, &(struct arguments){&by, 1, args->named}, &parts) || most.kind != V_INT ||
        most.i < 0 || by.kind != V_STR || (int64_t)parts.list->count <= most.i + 1) {
        *out = parts;
        return run->err->code == CAP_OK;
    }
    keep = parts.list->count - (size_t)most.i;
    head.s.length = (size_t)(parts.list->items[keep - 1].s.text - s.s.text) +
                    parts.list->items[keep - 1].s.length;
    *out = jinja_list(run, (size_t)most.i + 1, false);
    if (!jinja_append(run, out->list, head))
        return false;
    for (size_t i = keep; i < parts.list->count; i++)
        if (!jinja_append(run, out->list, parts.list->items[i]))
            return false;
    return true;
}

/* (before, separator, after); all of it is before when the separator is not there. */
static bool partition(struct run *run, struct value s, struct value by, struct value *out)
{
    const char *hit =
        by.kind == V_STR ? find_first(run, s.s.text, s.s.text + s.s.length, by) : NULL;
    size_t before = hit ? (size_t)(hit - s.s.text) : s.s.length;
    size_t behind = hit ? before + by.s.length : s.s.length;

    *out = jinja_list(run, 3, true);
    return jinja_append(run, out->list, jinja_str(s.s.text, before)) &&
           jinja_append(run, out->list, hit ? by : jinja_cstr("")) &&
           jinja_append(run, out->list, jinja_str(s.s.text + behind, s.s.length - behind));
}

/* ljust, rjust, center and zfill: to a width in characters. */
static bool justify(struct run *run, struct value s, const char *name, const struct arguments *args,
                    struct value *out)
{
    struct value width = jinja_argument(args, 0, "width"), fill = jinja_argument(args, 1, NULL);
    int64_t count = (int64_t)jinja_utf8_count(run, s);
    int64_t missing = width.kind == V_INT && width.i > count ? width.i - count : 0;
    int64_t left = name[0] == 'l'   ? 0
                   : name[0] == 'c' ? missing / 2 + (missing & width.i & 1)
                                    : missing;
    bool sign = name[0] == 'z' && s.s.length > 0 && (s.s.text[0] == '-' || s.s.text[0] == '+');
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    if (fill.kind != V_STR)
        fill = jinja_cstr(name[0] == 'z' ? "0" : " ");
    if (jinja_utf8_count(run, fill) != 1)
        return jinja_fail(run, "%s fills with exactly one character", name);
    if (!jinja_charge(run, (size_t)missing * fill.s.length + s.s.length))
        return false;
    cap_buf_add(&buf, s.s.text, sign);
    for (int64_t i = 0; i < left && !buf.overflowed; i++)
        cap_buf_add(&buf, fill.s.text, fill.s.length);
    cap_buf_add(&buf, s.s.text + sign, s.s.length - sign);
    for (int64_t i = left; i < missing && !buf.overflowed; i++)
        cap_buf_add(&buf, fill.s.text, fill.s.length);
    *out = jinja_take_buf(run, &buf);
    return run->err->code == CAP_OK;
}

static bool splitlines(struct run *run, struct value s, struct value *out)
{
    const char *at = s.s.text, *end = at + s.s.length;

    *out = jinja_list(run, 8, false);
    while (at < end) {
        const char *hit = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((hit ? hit : end) - at);

        if (!jinja_charge(run, length) ||
            !jinja_append(run, out->list,
                          jinja_str(at, length - (length > 0 && at[length - 1] == '\r'))))
            return false;
        at += length + 1;
    }
    return true;
}

/* capitalize: the first character up, the rest down; title: so for every word. */
static struct value change_words(struct run *run, struct value s, bool every)
{
    struct value low = jinja_change_case(run, s, false);
    CAP_AUTO_BUF(out, TEMPLATE_BYTES_MAX);
    bool start = true;

    for (size_t at = 0; at < low.s.length && jinja_charge(run, 2);) {
        size_t n = jinja_utf8_next(low.s.text + at, low.s.length - at);
        struct value c = jinja_str(low.s.text + at, n);
        bool letter = n > 1 || isalpha((unsigned char)*c.s.text);

        if (start && letter)
            c = jinja_change_case(run, c, true);
        cap_buf_add(&out, c.s.text, c.s.length);
        start = every ? !letter : false;
        at += n;
    }
    return jinja_take_buf(run, &out);
}

static bool has_end(struct run *run, struct value s, struct value part, bool at_start)
{
    if (part.kind == V_LIST) {
        bool has = false;

        if (jinja_descend(run))
            for (size_t i = 0; i < part.list->count && !has && jinja_charge(run, STEP_WORK); i++)
                has = has_end(run, s, part.list->items[i], at_start);
        jinja_ascend(run);
        return has;
    }
    return part.kind == V_STR && part.s.length <= s.s.length && jinja_charge(run, part.s.length) &&
           memcmp(at_start ? s.s.text : s.s.text + s.s.length - part.s.length, part.s.text,
                  part.s.length) == 0;
}

bool jinja_only_case(struct run *run, struct value s, bool upper)
{
    bool letters = false;

    if (!jinja_charge(run, s.s.length))
        return false;

    for (size_t i = 0; i < s.s.length; i++) {
        unsigned char c = (unsigned char)s.s.text[i];

        if (upper ? islower(c) : isupper(c))
            return false;
        letters = letters || isalpha(c);
    }
    return letters;
}

/* Every character is of the kind, and there is one. Letters beyond ASCII are asked of utf8proc. */
static bool all_of(struct run *run, struct value s, bool letters, bool digits, bool blanks)
{
    if (!jinja_charge(run, 2 * s.s.length))
        return false;
    for (size_t at = 0; at < s.s.length;) {
        size_t n = jinja_utf8_next(s.s.text + at, s.s.length - at);
        unsigned char c = (unsigned char)s.s.text[at];
        bool wide = n > 1;

        if (!(letters && (wide ? jinja_utf8_is_letter(s.s.text + at, n) : isalpha(c))) &&
            !(digits && !wide && isdigit(c)) &&
            !(blanks && (wide ? wide_blank(s.s.text + at, n) > 0 : is_blank((char)c))))
            return false;
        at += n;
    }
    return s.s.length > 0;
}

static int64_t find_text(struct run *run, struct value s, struct value part, bool last)
{
    const char *at = s.s.text, *end = at + s.s.length, *hit = NULL;

    if (part.kind != V_STR)
        return -1;
    if (!last)
        hit = find_first(run, at, end, part);
    for (size_t i = s.s.length + 1; last && !hit && i > 0 && jinja_charge(run, 1); i--)
        if (is_here(run, at + i - 1, s.s.length + 1 - i, part))
            hit = at + i - 1;
    return hit ? (int64_t)jinja_utf8_count(run, jinja_str(at, (size_t)(hit - at))) : -1;
}

static int64_t count_text(struct run *run, struct value s, struct value part)
{
    const char *at = s.s.text, *end = at + s.s.length;
    int64_t count = 0;

    while (part.kind == V_STR && part.s.length > 0 &&
           (at = find_first(run, at, end, part)) != NULL) {
        count++;
        at += part.s.length;
    }
    return count;
}

static bool join(struct run *run, struct value between, const struct arguments *args,
                 struct value *out)
{
    struct arguments filter_args = {&between, 1, args->named};

    return jinja_filter(run, "join", jinja_argument(args, 0, NULL), &filter_args, out);
}

static bool strip(struct run *run, struct value s, const char *name, const struct arguments *args,
                  struct value *out)
{
    *out = jinja_strip(run, s, jinja_argument(args, 0, "chars"), name[0] != 'r', name[0] != 'l');
    return true;
}

static bool remove_end(struct run *run, struct value s, struct value part, bool at_start,
                       struct value *out)
{
    *out = s;
    if (part.kind == V_STR && has_end(run, s, part, at_start))
        *out = jinja_str(s.s.text + (at_start ? part.s.length : 0), s.s.length - part.s.length);
    return true;
}

/* Methods whose result is a truth or a number; false when the name is none of them. */
static bool string_question(struct run *run, struct value s, const char *name, struct value arg,
                            struct value *out)
{
    if (strcmp(name, "startswith") == 0)
        *out = jinja_bool(has_end(run, s, arg, true));
    else if (strcmp(name, "endswith") == 0)
        *out = jinja_bool(has_end(run, s, arg, false));
    else if (strcmp(name, "isupper") == 0)
        *out = jinja_bool(jinja_only_case(run, s, true));
    else if (strcmp(name, "islower") == 0)
        *out = jinja_bool(jinja_only_case(run, s, false));
    else if (strcmp(name, "isdigit") == 0 || strcmp(name, "isnumeric") == 0)
        *out = jinja_bool(all_of(run, s, false, true, false));
    else if (strcmp(name, "isalpha") == 0)
        *out = jinja_bool(all_of(run, s, true, false, false));
    else if (strcmp(name, "isalnum") == 0)
        *out = jinja_bool(all_of(run, s, true, true, false));
    else if (strcmp(name, "isspace") == 0)
        *out = jinja_bool(all_of(run, s, false, false, true));
    else if (strcmp(name, "find") == 0)
        *out = jinja_int(find_text(run, s, arg, false));
    else if (strcmp(name, "rfind") == 0)
        *out = jinja_int(find_text(run, s, arg, true));
    else if (strcmp(name, "count") == 0)
        *out = jinja_int(count_text(run, s, arg));
    else
        return false;
    return true;
}

static int64_t replace_count(const struct arguments *args)
{
    struct value count = jinja_argument(args, 2, "count");

    return count.kind == V_INT && count.i >= 0 ? count.i : INT64_MAX;
}

static bool string_method(struct run *run, struct value s, const char *name,
                          const struct arguments *args, struct value *out)
{
    struct value first = jinja_argument(args, 0, NULL);

    if (string_question(run, s, name, first, out))
        return true;
    if (strcmp(name, "strip") == 0 || strcmp(name, "lstrip") == 0 || strcmp(name, "rstrip") == 0)
        return strip(run, s, name, args, out);
    if (strcmp(name, "split") == 0)
        return split(run, s, args, out);
    if (strcmp(name, "rsplit") == 0)
        return rsplit(run, s, args, out);
    if (strcmp(name, "partition") == 0)
        return partition(run, s, first, out);
    if (strcmp(name, "ljust") == 0 || strcmp(name, "rjust") == 0 || strcmp(name, "center") == 0 ||
        strcmp(name, "zfill") == 0)
        return justify(run, s, name, args, out);
    if (strcmp(name, "splitlines") == 0)
        return splitlines(run, s, out);
    if (strcmp(name, "join") == 0)
        return join(run, s, args, out);
    if (strcmp(name, "removeprefix") == 0 || strcmp(name, "removesuffix") == 0)
        return remove_end(run, s, first, name[6] == 'p', out);
    if (strcmp(name, "format") == 0)
        return jinja_format_braces(run, s, args, out);
    if (strcmp(name, "upper") == 0 || strcmp(name, "lower") == 0)
        *out = jinja_change_case(run, s, name[0] == 'u');
    else if (strcmp(name, "capitalize") == 0 || strcmp(name, "title") == 0)
        *out = change_words(run, s, name[0] == 't');
    else if (strcmp(name, "replace") == 0 && first.kind == V_STR && args->count > 1 &&
             args->positional[1].kind == V_STR)
        *out = jinja_replace(run, s, first, args->positional[1], replace_count(args));
    else if (strcmp(name, "index") == 0 && find_text(run, s, first, false) >= 0)
        *out = jinja_int(find_text(run, s, first, false));
    else
        return jinja_fail(run, "a string has no method %s that fits these arguments", name);
    return true;
}

/* ---- dictionaries and lists ---- */

static bool dict_method(struct run *run, struct value self, const char *name,
                        const struct arguments *args, struct value *out)
{
    const struct dict *d = self.dict;
    struct value key = jinja_argument(args, 0, NULL), fallback = jinja_argument(args, 1, "default");
    bool keys = strcmp(name, "keys") == 0, values = strcmp(name, "values") == 0;

    if (strcmp(name, "get") == 0) {
        *out = fallback.kind == V_UNDEFINED ? jinja_none() : fallback;
        if (key.kind == V_STR)
            jinja_find(run, d, key.s.text, key.s.length, out);
        return true;
    }
    if (strcmp(name, "copy") == 0) {
        *out = jinja_dict(run);
        for (size_t i = 0; i < d->count; i++)
            if (!jinja_put(run, out->dict, d->pairs[i].key, d->pairs[i].value))
                return false;
        return true;
    }
    if (!keys && !values && strcmp(name, "items") != 0)
        return jinja_fail(run, "a dict has no method %s", name);
    *out = jinja_list(run, d->count, false);
    for (size_t i = 0; i < d->count; i++) {
        struct value item = keys ? d->pairs[i].key : d->pairs[i].value;

        if (!keys && !values) {
            item = jinja_list(run, 2, true);
            if (!jinja_append(run, item.list, d->pairs[i].key) ||
                !jinja_append(run, item.list, d->pairs[i].value))
                return false;
        }
        if (!jinja_append(run, out->list, item))
            return false;
    }
    return true;
}

static bool list_method(struct run *run, struct value self, const char *name,
                        const struct arguments *args, struct value *out)
{
    struct value arg = jinja_argument(args, 0, NULL);

    *out = jinja_none();
    if (strcmp(name, "append") == 0)
        return jinja_append(run, self.list, arg);
    if (strcmp(name, "index") == 0) {
        for (size_t i = 0; i < self.list->count; i++) {
            if (jinja_equal(run, &self.list->items[i], &arg)) {
                *out = jinja_int((int64_t)i);
                return true;
            }
        }
        return jinja_fail(run, "the list does not hold that item");
    }
    if (strcmp(name, "count") == 0) {
        *out = jinja_int(0);
        for (size_t i = 0; i < self.list->count; i++)
            out->i += jinja_equal(run, &self.list->items[i], &arg);
        return true;
    }
    return jinja_fail(run, "a list has no method %s", name);
}

bool jinja_method(struct run *run, struct value self, const char *name,
                  const struct arguments *args, struct value *out)
{
    bool ok = jinja_charge(run, CALL_WORK + args->named->count * STEP_WORK);

    if (!ok)
        return false;
    if (self.kind == V_STR)
        ok = string_method(run, self, name, args, out);
    else if (self.kind == V_DICT)
        ok = dict_method(run, self, name, args, out);
    else if (self.kind == V_LIST)
        ok = list_method(run, self, name, args, out);
    else
        ok = jinja_fail(run, "a %s has no method %s", jinja_kind_name(&self), name);
    return ok && run->err->code == CAP_OK;
}

/* ---- functions ---- */

static bool range(struct run *run, const struct arguments *args, struct value *out)
{
    struct value a = jinja_argument(args, 0, NULL), b = jinja_argument(args, 1, NULL),
                 c = jinja_argument(args, 2, NULL);
    int64_t start = b.kind == V_INT ? a.i : 0, stop = b.kind == V_INT ? b.i : a.i;
    int64_t step = c.kind == V_INT ? c.i : 1;

    if (a.kind != V_INT || step == 0)
        return jinja_fail(run, "range needs integers and a step that is not zero");
    *out = jinja_list(run, 8, false);
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        if (out->list->count == RANGE_MAX)
            return jinja_fail(run, "range is longer than %d", RANGE_MAX);
        if (!jinja_append(run, out->list, jinja_int(i)))
            return false;
        if (__builtin_add_overflow(i, step, &i))
            break;
    }
    return true;
}

static bool make_dict(struct run *run, const struct arguments *args, bool is_namespace,
                      struct value *out)
{
    *out = jinja_dict(run);
    if (run->err->code != CAP_OK)
        return false;
    out->dict->is_namespace = is_namespace;
    for (size_t i = 0; i < args->named->count; i++)
        if (!jinja_put(run, out->dict, args->named->pairs[i].key, args->named->pairs[i].value))
            return false;
    return true;
}

static bool raise_exception(struct run *run, const struct arguments *args)
{
    struct value text = jinja_argument(args, 0, "message");
    CAP_AUTO_BUF(buf, 4096);

    jinja_print(run, &text, &buf);
    if (run->err->code != CAP_OK)
        return false;
    return cap_fail(run->err, CAP_INVALID_ARGUMENT, "%s", buf.data);
}

static bool strftime_now(struct run *run, const struct arguments *args, struct value *out)
{
    struct value format = jinja_argument(args, 0, "format");
    time_t seconds = cap_clock_wall_ms(run->jinja->options.clock) / 1000;
    const char *copy = jinja_copy(run, format);
    char text[256];
    struct tm local;

    localtime_r(&seconds, &local);
    if (!*copy || strftime(text, sizeof text, copy, &local) == 0) /* NOLINT: a template's format */
        return jinja_fail(run, "strftime_now needs a format with a short result");
    *out = jinja_str(jinja_copy(run, jinja_cstr(text)), strlen(text));
    return run->err->code == CAP_OK;
}

bool jinja_function(struct run *run, const char *name, const struct arguments *args,
                    struct value *out)
{
    *out = jinja_none();
    if (strcmp(name, "range") == 0)
        return range(run, args, out);
    if (strcmp(name, "namespace") == 0)
        return make_dict(run, args, true, out);
    if (strcmp(name, "dict") == 0)
        return make_dict(run, args, false, out);
    if (strcmp(name, "raise_exception") == 0)
        return raise_exception(run, args);
    return strftime_now(run, args, out);
}
