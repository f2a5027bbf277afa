/* Filters on texts and numbers. Each charges the budget of the run (inside.h) for the bytes it
 * touches before it touches them, since one filter on a long text costs more than a thousand short
 * steps. Regular expressions run with PCRE2's own limits on matching and memory. */
#include <ctype.h>
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/inside.h"

enum {
    PATTERN_BYTES_MAX = 16 << 10,
    COMPILE_WORK = 1 << 15, /* of compiling the smallest pattern */
    MATCH_HEAP_KIB_MAX = 16 << 10,
};

bool jinja_fail_kind(struct run *run, const char *filter, const struct value *v)
{
    return jinja_fail(run, "%s cannot work on a %s", filter, jinja_kind_name(v));
}

static struct value as_text(struct run *run, struct value v)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    if (v.kind == V_STR)
        return v;
    jinja_print(run, &v, &text);
    return jinja_take_buf(run, &text);
}

/* ---- texts ---- */

bool jinja_f_trim(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    *out = jinja_strip(run, as_text(run, in), jinja_argument(args, 0, "chars"), true, true);
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

/* Every word begins with a capital; a word begins after a blank or one of -([{<. */
bool jinja_f_title(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    struct value text = jinja_change_case(run, as_text(run, in), false);
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);
    bool start = true;

    (void)args;
    for (size_t at = 0; at < text.s.length && jinja_charge(run, 2);) {
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

/* indent(width=4, first=false, blank=false) */
bool jinja_f_indent(struct run *run, struct value in, const struct arguments *args,
                    struct value *out)
{
    struct value width = jinja_argument(args, 0, "width"), first = jinja_argument(args, 1, "first"),
                 blank = jinja_argument(args, 2, "blank"), text = as_text(run, in);
    int64_t count = width.kind == V_INT ? width.i : 4;
    bool by_text = width.kind == V_STR;
    CAP_AUTO_BUF(buf, TEMPLATE_BYTES_MAX);

    for (size_t at = 0; at <= text.s.length && !buf.overflowed;) {
        const char *line = text.s.text + at;
        const char *end = memchr(line, '\n', text.s.length - at);
        size_t length = end ? (size_t)(end - line) : text.s.length - at;

        if ((at > 0 || jinja_truthy(&first)) && (length > 0 || jinja_truthy(&blank)))
            by_text ? jinja_print(run, &width, &buf) : jinja_pad(run, ' ', count, &buf);
        if (!jinja_charge(run, length + 1))
            return false;
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

    jinja_to_json(run, &in, indent.kind != V_INT ? -1 : indent.i < 0 ? 0 : indent.i, &buf);
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
    if (!jinja_charge(run, text.s.length))
        return false;
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

/* ---- regex_replace(find, replace), as Python's re.sub ---- */

struct payer {
    struct run *run;
    size_t last; /* where the match was when it paid last */
};

/* PCRE2 comes by here before every item of the pattern: a match that goes back and forth without
 * end pays for each item and for the way it went, like everything else. */
static int pay_for_match(pcre2_callout_block *block, void *self)
{
    struct payer *payer = self;
    size_t at = block->current_position;
    size_t way = at > payer->last ? at - payer->last : payer->last - at;

    payer->last = at;
    return jinja_charge(payer->run, STEP_WORK + way) ? 0 : PCRE2_ERROR_CALLOUT;
}

/* The replacement: \1, \g<1> and \g<name> are groups, \n and \\ what they are in Python. */
static bool add_replacement(struct run *run, struct value with, const char *text,
                            const pcre2_code *code, pcre2_match_data *match, struct cap_buf *out)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(match);
    const char *w = with.s.text, *end = w + with.s.length;

    for (; w < end && jinja_charge(run, 1) && !out->overflowed; w++) {
        long group = -1;

        if (*w != '\\' || w + 1 == end) {
            cap_buf_add_char(out, *w);
            continue;
        }
        w++;
        if (isdigit((unsigned char)*w)) {
            group = *w - '0';
            if (w + 1 < end && isdigit((unsigned char)w[1]))
                group = group * 10 + (*++w - '0');
        } else if (*w == 'g' && w + 1 < end && w[1] == '<') {
            const char *close = memchr(w, '>', (size_t)(end - w));
            const char *name =
                close ? jinja_copy(run, jinja_str(w + 2, (size_t)(close - w - 2))) : "";

            group = isdigit((unsigned char)*name)
                        ? strtol(name, NULL, 10)
                        : pcre2_substring_number_from_name(code, (PCRE2_SPTR)name);
            w = close ? close : w;
        } else {
            cap_buf_add_char(out, *w == 'n' ? '\n' : *w == 't' ? '\t' : *w);
            continue;
        }
        if (group < 0 || group >= (long)pcre2_get_ovector_count(match))
            return jinja_fail(run, "regex_replace: the pattern has no such group");
        if (at[2 * group] != PCRE2_UNSET && jinja_charge(run, at[2 * group + 1] - at[2 * group]))
            cap_buf_add(out, text + at[2 * group], at[2 * group + 1] - at[2 * group]);
    }
    return run->err->code == CAP_OK;
}

/* Everything that the pattern finds in the text is replaced. */
static bool substitute(struct run *run, const pcre2_code *code, pcre2_match_context *limits,
                       pcre2_match_data *match, struct value text, struct value with,
                       struct cap_buf *out)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(match);
    size_t from = 0, copied = 0;

    while (from <= text.s.length && !out->overflowed && jinja_charge(run, CALL_WORK)) {
        int rc = pcre2_match(code, (PCRE2_SPTR)text.s.text, text.s.length, from,
                             from > 0 ? PCRE2_NO_UTF_CHECK : 0, match, limits);

        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0)
            return jinja_fail(run, "regex_replace failed with PCRE2's error %d", rc);
        if (at[0] < from) /* \K in a look-behind */
            return jinja_fail(run, "regex_replace: a match begins before the last one ended");
        cap_buf_add(out, text.s.text + copied, at[0] - copied);
        if (!add_replacement(run, with, text.s.text, code, match, out))
            return false;
        copied = at[1];
        from = at[1];
        if (at[1] == at[0]) /* an empty match: go on after the next character */
            from += from < text.s.length ? jinja_utf8_next(text.s.text + from, text.s.length - from)
                                         : 1;
    }
    cap_buf_add(out, text.s.text + copied, text.s.length - copied);
    return run->err->code == CAP_OK;
}

bool jinja_f_regex_replace(struct run *run, struct value in, const struct arguments *args,
                           struct value *out)
{
    struct value text = as_text(run, in), pattern = as_text(run, jinja_argument(args, 0, "find")),
                 with = as_text(run, jinja_argument(args, 1, "replace"));
    CAP_AUTO_BUF(replaced, TEMPLATE_BYTES_MAX);
    struct payer payer = {run, 0};
    pcre2_match_context *limits;
    pcre2_match_data *match;
    PCRE2_SIZE offset;
    pcre2_code *code;
    int number;
    bool ok;

    if (pattern.s.length > PATTERN_BYTES_MAX)
        return jinja_fail(run, "regex_replace: a pattern has at most %d bytes", PATTERN_BYTES_MAX);
    if (!jinja_charge(run, COMPILE_WORK + pattern.s.length * CALL_WORK + text.s.length))
        return false;
    code = pcre2_compile((PCRE2_SPTR)pattern.s.text, pattern.s.length,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_AUTO_CALLOUT, &number, &offset, NULL);
    if (!code)
        return jinja_fail(run, "regex_replace: the pattern is wrong at %zu", (size_t)offset);
    limits = pcre2_match_context_create(NULL);
    match = pcre2_match_data_create_from_pattern(code, NULL);
    if (!limits || !match)
        abort();
    pcre2_set_callout(limits, pay_for_match, &payer);
    pcre2_set_heap_limit(limits, MATCH_HEAP_KIB_MAX);
    ok = substitute(run, code, limits, match, text, with, &replaced);
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
    if (ok)
        *out = jinja_take_buf(run, &replaced);
    return ok;
}

/* ---- numbers ---- */

bool jinja_f_int(struct run *run, struct value in, const struct arguments *args, struct value *out)
{
    struct value fallback = jinja_argument(args, 0, "default");
    const char *text;
    char *end;
    double f;

    *out = fallback.kind == V_UNDEFINED ? jinja_int(0) : fallback;
    if (in.kind == V_INT || in.kind == V_BOOL)
        *out = jinja_int(in.kind == V_INT ? in.i : in.b);
    else if (in.kind == V_FLOAT)
        *out = fabs(in.f) < 9e18 ? jinja_int((int64_t)in.f) : *out;
    else if (in.kind == V_STR) {
        text = jinja_copy(run, jinja_strip(run, in, jinja_none(), true, true));
        f = strtod(text, &end);
        if (*text && !*end && fabs(f) < 9e18)
            *out = jinja_int(strspn(text, "+-0123456789") == strlen(text) ? strtoll(text, NULL, 10)
                                                                          : (int64_t)f);
    }
    return true;
}

bool jinja_f_float(struct run *run, struct value in, const struct arguments *args,
                   struct value *out)
{
    (void)args;
    *out = (struct value){.kind = V_FLOAT, .f = 0};
    if (in.kind == V_INT)
        out->f = (double)in.i;
    else if (in.kind == V_FLOAT)
        out->f = in.f;
    else if (in.kind == V_STR)
        out->f = strtod(jinja_copy(run, in), NULL);
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
