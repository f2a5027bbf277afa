/* Python's two ways to put values into a text: "%5.2f" % x and "{:>5}".format(x). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/inside.h"

enum {
    SIZE_MAX_OF_FORMAT = TEMPLATE_BYTES_MAX + 1, /* a text of that size is refused */
    PRECISION_MAX = 100,                         /* of a number */
    NUMBER_BYTES = 512,
};

struct spec {
    char align; /* '<', '>', '^'; 0 = by kind */
    bool plus, zero;
    int width, precision; /* precision -1 = not given */
    char verb;            /* 0 = as printed */
};

static struct value as_printed(struct run *run, const struct value *v, bool repr)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    if (repr)
        jinja_repr(run, v, &text);
    else
        jinja_print(run, v, &text);
    return jinja_take_buf(run, &text);
}

static bool to_number(const struct value *v, double *out)
{
    if (v->kind != V_INT && v->kind != V_FLOAT && v->kind != V_BOOL)
        return false;
    *out = v->kind == V_FLOAT ? v->f : v->kind == V_INT ? (double)v->i : v->b;
    return true;
}

/* The digits without sign, padding and alignment; the sign goes to *out_negative. */
static bool print_number(struct run *run, const struct spec *spec, const struct value *v,
                         char out[NUMBER_BYTES], bool *out_negative)
{
    int precision = spec->precision < 0 ? 6 : spec->precision;
    double x;
    uint64_t whole;

    if (!to_number(v, &x))
        return jinja_fail(run, "%%%c needs a number, not a %s", spec->verb, jinja_kind_name(v));
    if (!isfinite(x) && strchr("dixXo", spec->verb))
        return jinja_fail(run, "%%%c needs a finite number", spec->verb);
    if (precision > PRECISION_MAX)
        return jinja_fail(run, "a format writes at most %d digits after the point", PRECISION_MAX);
    *out_negative = signbit(x) && x != 0;
    x = fabs(x);
    whole =
        v->kind == V_INT ? (v->i < 0 ? -(uint64_t)v->i : (uint64_t)v->i) : (uint64_t)fmin(x, 9e18);
    switch (spec->verb) {
    case 'd':
    case 'i':
        snprintf(out, NUMBER_BYTES, "%llu", (unsigned long long)whole);
        return true;
    case 'x':
        snprintf(out, NUMBER_BYTES, "%llx", (unsigned long long)whole);
        return true;
    case 'X':
        snprintf(out, NUMBER_BYTES, "%llX", (unsigned long long)whole);
        return true;
    case 'o':
        snprintf(out, NUMBER_BYTES, "%llo", (unsigned long long)whole);
        return true;
    case 'e':
        snprintf(out, NUMBER_BYTES, "%.*e", precision, x);
        return true;
    case 'g':
        snprintf(out, NUMBER_BYTES, "%.*g", precision, x);
        return true;
    case '%':
        snprintf(out, NUMBER_BYTES, "%.*f%%", precision, x * 100);
        return true;
    default:
        snprintf(out, NUMBER_BYTES, "%.*f", precision, x);
        return true;
    }
}

static void add_aligned(struct run *run, struct cap_buf *out, const struct spec *spec, char align,
                        struct value text)
{
    int64_t missing = spec->width - (int64_t)jinja_utf8_count(run, text);
    int64_t left = missing <= 0 || align == '<' ? 0 : align == '^' ? missing / 2 : missing;

    jinja_pad(run, ' ', left, out);
    cap_buf_add(out, text.s.text, text.s.length);
    jinja_pad(run, ' ', missing - left, out);
}

static bool add_number(struct run *run, struct cap_buf *out, const struct spec *spec,
                       const struct value *v)
{
    char digits[NUMBER_BYTES];
    CAP_AUTO_BUF(whole, TEMPLATE_BYTES_MAX + NUMBER_BYTES);
    bool negative = false;

    if (!jinja_charge(run, NUMBER_BYTES) || !print_number(run, spec, v, digits, &negative))
        return false;
    cap_buf_add_str(&whole, negative ? "-" : spec->plus ? "+" : "");
    if (spec->zero && !spec->align)
        jinja_pad(run, '0', spec->width - (int64_t)strlen(digits) - (int64_t)whole.length, &whole);
    cap_buf_add_str(&whole, digits);
    add_aligned(run, out, spec, spec->align ? spec->align : '>',
                jinja_str(whole.data, whole.length));
    return true;
}

static bool add_value(struct run *run, struct cap_buf *out, const struct spec *spec,
                      const struct value *v, char text_align)
{
    struct value text;

    if (spec->verb && strchr("dixXoeEfFgG%", spec->verb))
        return add_number(run, out, spec, v);
    if (spec->verb && spec->verb != 's' && spec->verb != 'r')
        return jinja_fail(run, "a format does not understand %%%c", spec->verb);
    text = as_printed(run, v, spec->verb == 'r');
    if (spec->precision >= 0)
        text.s.length = jinja_utf8_offset(text.s.text, text.s.length, (size_t)spec->precision);
    add_aligned(run, out, spec, spec->align ? spec->align : text_align, text);
    return true;
}

/* A whole number; one beyond SIZE_MAX_OF_FORMAT is that. */
static const char *read_digits(const char *at, const char *end, int *out)
{
    for (*out = 0; at < end && *at >= '0' && *at <= '9'; at++) {
        *out = *out * 10 + (*at - '0');
        if (*out > SIZE_MAX_OF_FORMAT)
            *out = SIZE_MAX_OF_FORMAT;
    }
    return at;
}

/* Width and precision: "5.2". */
static const char *read_size(const char *at, const char *end, struct spec *spec)
{
    at = read_digits(at, end, &spec->width);
    if (at < end && *at == '.')
        at = read_digits(at + 1, end, &spec->precision);
    return at;
}

/* ---- % ---- */

/* Behind the %: "(name)", flags, size, verb. */
static const char *read_percent(const char *at, const char *end, struct spec *spec,
                                const char **out_name, size_t *out_name_length)
{
    const char *close;

    *out_name = NULL;
    if (at < end && *at == '(' && (close = memchr(at, ')', (size_t)(end - at))) != NULL) {
        *out_name = at + 1;
        *out_name_length = (size_t)(close - at - 1);
        at = close + 1;
    }
    for (; at < end && strchr("-+ 0#", *at) && *at; at++) {
        spec->align = *at == '-' ? '<' : spec->align;
        spec->plus = spec->plus || *at == '+';
        spec->zero = spec->zero || *at == '0';
    }
    at = read_size(at, end, spec);
    spec->verb = at < end ? *at : '\0';
    return at + 1;
}

bool jinja_format_percent(struct run *run, struct value s, const struct arguments *args,
                          struct value *out)
{
    const char *at = s.s.text, *end = at + s.s.length, *name;
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);
    size_t next = 0, name_length = 0;

    while (at < end && jinja_charge(run, 2)) {
        struct spec spec = {.precision = -1};
        struct value v = {.kind = V_UNDEFINED};

        if (*at != '%') {
            cap_buf_add_char(&text, *at++);
            continue;
        }
        if (at + 1 < end && at[1] == '%') {
            cap_buf_add_char(&text, '%');
            at += 2;
            continue;
        }
        at = read_percent(at + 1, end, &spec, &name, &name_length);
        if (!spec.verb)
            return jinja_fail(run, "a format ends inside a %%");
        if (name ? !jinja_find(run, args->named, name, name_length, &v) : next >= args->count)
            return jinja_fail(run, "a format has not enough arguments");
        if (!name)
            v = args->positional[next++];
        if (!add_value(run, &text, &spec, &v, '>'))
            return false;
    }
    *out = jinja_take_buf(run, &text);
    return true;
}

/* ---- {} ---- */

/* "", "0" or a name; then perhaps ":" and what follows. */
static bool find_field(struct run *run, const char *name, size_t length,
                       const struct arguments *args, size_t *io_next, struct value *out)
{
    size_t index = 0;

    if (length == 0) {
        index = (*io_next)++;
    } else if (strspn(name, "0123456789") >= length) {
        for (size_t i = 0; i < length && index < 1000; i++)
            index = index * 10 + (size_t)(name[i] - '0');
    } else {
        return jinja_find(run, args->named, name, length, out) ||
               jinja_fail(run, "format has no argument \"%.*s\"", (int)length, name);
    }
    if (index >= args->count)
        return jinja_fail(run, "format has not enough arguments");
    *out = args->positional[index];
    return true;
}

static bool read_brace_spec(struct run *run, const char *at, const char *end, struct spec *spec)
{
    if (at < end && strchr("<>^", *at))
        spec->align = *at++;
    if (at < end && *at == '+')
        spec->plus = *at++ == '+';
    if (at < end && *at == '0')
        spec->zero = *at++ == '0';
    at = read_size(at, end, spec);
    if (at < end)
        spec->verb = *at++;
    if (spec->precision >= 0 && !spec->verb)
        spec->verb = 'g';
    return at >= end || jinja_fail(run, "format does not understand this specification");
}

static bool add_field(struct run *run, struct cap_buf *text, const char *at, const char *end,
                      const struct arguments *args, size_t *io_next)
{
    const char *colon = memchr(at, ':', (size_t)(end - at)), *name_end = colon ? colon : end;
    struct spec spec = {.precision = -1};
    struct value v = {.kind = V_UNDEFINED};

    if (!find_field(run, at, (size_t)(name_end - at), args, io_next, &v))
        return false;
    if (colon && !read_brace_spec(run, colon + 1, end, &spec))
        return false;
    return add_value(run, text, &spec, &v, v.kind == V_STR ? '<' : '>');
}

bool jinja_format_braces(struct run *run, struct value s, const struct arguments *args,
                         struct value *out)
{
    const char *at = s.s.text, *end = at + s.s.length;
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);
    size_t next = 0;

    while (at < end && jinja_charge(run, 2)) {
        const char *close;

        if ((*at == '{' || *at == '}') && at + 1 < end && at[1] == *at) {
            cap_buf_add_char(&text, *at);
            at += 2;
            continue;
        }
        if (*at != '{') {
            cap_buf_add_char(&text, *at++);
            continue;
        }
        close = memchr(at, '}', (size_t)(end - at));
        if (!close)
            return jinja_fail(run, "a { of a format does not end");
        if (!add_field(run, &text, at + 1, close, args, &next))
            return false;
        at = close + 1;
    }
    *out = jinja_take_buf(run, &text);
    return true;
}
