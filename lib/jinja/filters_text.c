/* Filters on texts and numbers. */
#include <ctype.h>
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/filters.h"

bool jinja_fail_kind(struct run *run, const char *filter, const struct value *v)
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

bool jinja_f_trim(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    struct value set = jinja_argument(args, 0, "chars");
    const char *chars =
        set.kind == V_STR ? cap_arena_strndup(run->arena, set.s.text, set.s.length) : NULL;

    *out = jinja_strip(as_text(run, in), chars, true, true);
    return true;
}

bool jinja_f_upper(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    (void)args;
    *out = jinja_change_case(run, as_text(run, in), true);
    return true;
}

bool jinja_f_lower(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    (void)args;
    *out = jinja_change_case(run, as_text(run, in), false);
    return true;
}

bool jinja_f_string(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    (void)args;
    *out = as_text(run, in);
    return true;
}

bool jinja_f_capitalize(struct run *run, struct value in, const struct arguments *args,
                        struct value *out)
{
    return jinja_method(run, as_text(run, in), "capitalize", args, out);
}

/* Every word begins with a capital; a word begins behind a blank or one of -([{<. */
bool jinja_f_title(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    struct value text = jinja_change_case(run, as_text(run, in), false);
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);
    bool start = true;

    (void)args;
    for (size_t at = 0; at < text.s.length;) {
        size_t n = jinja_utf8_next(text.s.text + at, text.s.length - at);
        struct value c = jinja_str(text.s.text + at, n);

        if (start)
            c = jinja_change_case(run, c, true);
        cap_buf_add(&buf, c.s.text, c.s.length);
        start = strchr("-([{< \t\n\r\f\v", text.s.text[at]) != NULL;
        at += n;
    }
    *out = jinja_take_buf(run, &buf);
    return true;
}

bool jinja_f_replace(struct run *run, struct value in, const struct arguments *args,
                     struct value *out)
{
    struct value count = jinja_argument(args, 2, "count");

    *out = jinja_replace(run, as_text(run, in), as_text(run, jinja_argument(args, 0, "old")),
                         as_text(run, jinja_argument(args, 1, "new")),
                         count.kind == V_INT && count.i >= 0 ? count.i : INT64_MAX);
    return true;
}

static void add_blanks(struct cap_buf *out, int64_t count)
{
    for (int64_t i = 0; i < count && !out->overflowed; i++)
        cap_buf_add_char(out, ' ');
}

/* indent(width=4, first=false, blank=false) */
bool jinja_f_indent(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    struct value width = jinja_argument(args, 0, "width"), first = jinja_argument(args, 1, "first"),
                 blank = jinja_argument(args, 2, "blank"), text = as_text(run, in);
    int64_t count = width.kind == V_INT ? width.i : 4;
    bool by_text = width.kind == V_STR;
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    for (size_t at = 0; at <= text.s.length;) {
        const char *line = text.s.text + at;
        const char *end = memchr(line, '\n', text.s.length - at);
        size_t length = end ? (size_t)(end - line) : text.s.length - at;

        if ((at > 0 || jinja_truthy(&first)) && (length > 0 || jinja_truthy(&blank)))
            by_text ? cap_buf_add(&buf, width.s.text, width.s.length) : add_blanks(&buf, count);
        cap_buf_add(&buf, line, length);
        if (end)
            cap_buf_add_char(&buf, '\n');
        at += length + 1;
    }
    *out = jinja_take_buf(run, &buf);
    return true;
}

bool jinja_f_format(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    if (in.kind != V_STR)
        return jinja_fail_kind(run, "format", &in);
    return jinja_format_percent(run, in, args, out);
}

bool jinja_f_tojson(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    struct value indent = jinja_argument(args, 0, "indent");
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    jinja_to_json(&in, indent.kind == V_INT ? (int)indent.i : -1, 0, &buf);
    *out = jinja_take_buf(run, &buf);
    return true;
}

bool jinja_f_wordcount(struct run *run, struct value in, const struct arguments *args,
                       struct value *out)
{
    struct value words;
    const struct arguments none = {NULL, 0, args->named};

    if (!jinja_method(run, as_text(run, in), "split", &none, &words))
        return false;
    *out = jinja_int((int64_t)words.list->count);
    return true;
}

bool jinja_f_escape(struct run *run, struct value in, const struct arguments *args,
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
bool jinja_f_regex_replace(struct run *run, struct value in, const struct arguments *args,
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
    with = jinja_replace(run, with, backslash, dollar, INT64_MAX);
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

bool jinja_f_int(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    struct value fallback = jinja_argument(args, 0, "default");
    char *end, *text;
    double f;

    *out = fallback.kind == V_UNDEFINED ? jinja_int(0) : fallback;
    if (in.kind == V_INT || in.kind == V_BOOL)
        *out = jinja_int(in.kind == V_INT ? in.i : in.b);
    else if (in.kind == V_FLOAT)
        *out = fabs(in.f) < 9e18 ? jinja_int((int64_t)in.f) : *out;
    else if (in.kind == V_STR) {
        struct value bare = jinja_strip(in, NULL, true, true);

        text = cap_arena_strndup(run->arena, bare.s.text, bare.s.length);
        f = text ? strtod(text, &end) : 0;
        if (text && *text && !*end && fabs(f) < 9e18)
            *out = jinja_int(strspn(text, "+-0123456789") == strlen(text) ? strtoll(text, NULL, 10)
                                                                          : (int64_t)f);
    }
    return true;
}

bool jinja_f_float(struct run *run, struct value in, const struct arguments *args,
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

bool jinja_f_abs(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    (void)args;
    if (in.kind != V_INT && in.kind != V_FLOAT)
        return jinja_fail_kind(run, "abs", &in);
    *out = in;
    if (in.kind == V_INT)
        out->i = in.i < 0 && in.i != INT64_MIN ? -in.i : in.i;
    else
        out->f = fabs(in.f);
    return true;
}

/* round(precision=0, method='common'): or 'ceil' or 'floor' */
bool jinja_f_round(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    struct value digits = jinja_argument(args, 0, "precision"),
                 method = jinja_argument(args, 1, "method");
    double scale = pow(10, digits.kind == V_INT ? (double)digits.i : 0), scaled;
    char how = method.kind == V_STR && method.s.length > 0 ? method.s.text[0] : 'c';

    if (in.kind != V_INT && in.kind != V_FLOAT)
        return jinja_fail_kind(run, "round", &in);
    scaled = (in.kind == V_INT ? (double)in.i : in.f) * scale;
    if (how == 'f')
        scaled = floor(scaled);
    else
        scaled = how == 'c' && method.kind == V_STR && method.s.length == 4 ? ceil(scaled)
                                                                            : rint(scaled);
    *out = (struct value){.kind = V_FLOAT, .f = scaled / scale};
    return true;
}
