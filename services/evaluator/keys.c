/* Values as people and Python write them: near misses of names, typed keys, str() and literals. */
#include "keys.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/near.h"
#include "base/python_json.h"

/* ---- names ---- */

const char *eval_key_nearest(const char *const *names, const char *word)
{
    struct cap_near near = {.word = word};

    for (; *names; names++)
        cap_near_try(&near, *names);
    return near.best;
}

bool eval_keys_known(const json_t *object, const char *const *names, struct cap_err *err)
{
    const char *key, *nearest;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        const char *const *name = names;

        while (*name && strcmp(*name, key) != 0)
            name++;
        if (*name)
            continue;
        nearest = eval_key_nearest(names, key);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "unknown key \"%.100s\"%s%s%s", key,
                        nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
    }
    return true;
}

/* ---- values ---- */

bool eval_key_bool(const json_t *object, const char *key, bool *out, struct cap_err *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return true;
    if (!json_is_boolean(value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s must be true or false", key);
    *out = json_is_true(value);
    return true;
}

bool eval_key_int(const json_t *object, const char *key, long min, long max, long *out,
                  struct cap_err *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s must be a whole number from %ld to %ld", key,
                        min, max);
    *out = (long)json_integer_value(value);
    return true;
}

bool eval_key_real(const json_t *object, const char *key, double min, double max, double *out,
                   struct cap_err *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return true;
    if (!json_is_number(value) || json_number_value(value) < min || json_number_value(value) > max)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s must be a number from %g to %g", key, min,
                        max);
    *out = json_number_value(value);
    return true;
}

bool eval_key_text(const json_t *object, const char *key, struct eval_text *out,
                   struct cap_err *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return true;
    if (!json_is_string(value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s must be a text", key);
    *out = eval_json_text(value);
    return true;
}

struct eval_text eval_json_text(const json_t *string)
{
    return (struct eval_text){json_string_value(string), json_string_length(string)};
}

/* ---- Python's texts of values ---- */

enum { NUMBER_BYTES = 400 }; /* the largest double has 309 digits before the point */

/* repr(float): the fewest digits that read back the same. */
static void print_real(double value, char *out, size_t room)
{
    char digits[40];
    int precision = 1, exponent;

    if (!isfinite(value)) {
        snprintf(out, room, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    do
        snprintf(digits, sizeof digits, "%.*e", precision - 1, value);
    while (strtod(digits, NULL) != value && ++precision <= 17);
    exponent = value == 0 ? 0 : (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16)
        snprintf(out, room, "%s", digits);
    else
        snprintf(out, room, "%.*f", precision - 1 - exponent > 1 ? precision - 1 - exponent : 1,
                 value);
}

struct eval_text eval_json_str(struct cap_arena *arena, const json_t *value)
{
    char number[NUMBER_BYTES];

    if (json_is_string(value))
        return eval_json_text(value);
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        print_real(json_real_value(value), number, sizeof number);
    else if (json_is_boolean(value))
        snprintf(number, sizeof number, "%s", json_is_true(value) ? "True" : "False");
    else
        snprintf(number, sizeof number, "None");
    {
        char *copy = cap_arena_strdup(arena, number);

        return copy ? eval_text_of(copy) : EVAL_TEXT_NONE;
    }
}

/* ---- Python's literal lists ---- */

struct literal {
    const char *at, *end;
};

static void skip_blanks(struct literal *l)
{
    while (l->at < l->end && strchr(" \t\n\r", *l->at) && *l->at)
        l->at++;
}

/* The code point of \xhh, \uhhhh or \Uhhhhhhhh, or of up to three octal digits; false: not one. */
static bool read_code_point(struct literal *l, struct cap_buf *out)
{
    size_t digits = *l->at == 'x' ? 2 : *l->at == 'u' ? 4 : *l->at == 'U' ? 8 : 0, length = 0;
    int base = digits ? 16 : 8;
    char text[9], *end, utf8[4];
    long point;
    utf8proc_ssize_t size;

    l->at += digits > 0;
    digits = digits ? digits : 3;
    while (length < digits && l->at < l->end && isxdigit((unsigned char)*l->at) &&
           (base == 16 || (*l->at >= '0' && *l->at <= '7')))
        text[length++] = *l->at++;
    text[length] = '\0';
    point = strtol(text, &end, base);
    if (length == 0 || (base == 16 && length < digits) || !utf8proc_codepoint_valid((int)point))
        return false;
    size = utf8proc_encode_char((int)point, (utf8proc_uint8_t *)utf8);
    cap_buf_add(out, utf8, (size_t)size);
    return true;
}

/* Behind a backslash; as Python, an unknown escape stays as it is written. */
static bool read_escape(struct literal *l, struct cap_buf *out)
{
    static const char from[] = "abfnrtv'\"\\", to[] = "\a\b\f\n\r\t\v'\"\\";
    const char *known = *l->at ? strchr(from, *l->at) : NULL;

    if (*l->at == 'x' || *l->at == 'u' || *l->at == 'U' || (*l->at >= '0' && *l->at <= '7'))
        return read_code_point(l, out);
    if (*l->at != '\n') { /* which goes, with its backslash */
        if (!known)
            cap_buf_add_char(out, '\\');
        cap_buf_add_char(out, known ? to[known - from] : *l->at);
    }
    l->at++;
    return true;
}

static json_t *read_string(struct literal *l)
{
    CAP_AUTO_BUF(text, 1 << 20);
    char quote = *l->at++;

    while (l->at < l->end && *l->at != quote) {
        char c = *l->at++;

        if (c == '\n')
            return NULL;
        if (c != '\\' || l->at == l->end)
            cap_buf_add_char(&text, c);
        else if (!read_escape(l, &text))
            return NULL;
    }
    if (l->at == l->end || text.overflowed)
        return NULL;
    l->at++;
    return json_stringn(text.data, text.length);
}

static json_t *read_word(struct literal *l)
{
    static const char *const words[] = {"True", "False", "None"};

    for (size_t i = 0; i < CAP_COUNT_OF(words); i++) {
        size_t length = strlen(words[i]);

        if ((size_t)(l->end - l->at) >= length && memcmp(l->at, words[i], length) == 0) {
            l->at += length;
            return i == 2 ? json_null() : json_boolean(i == 0);
        }
    }
    return NULL;
}

static json_t *read_number(struct literal *l)
{
    char text[64], *end_i, *end_r;
    size_t length = 0;
    long long integer;
    double real;

    while (l->at + length < l->end && length < sizeof text - 1 &&
           strchr("+-0123456789.eE", l->at[length]) && l->at[length])
        length++;
    memcpy(text, l->at, length);
    text[length] = '\0';
    integer = strtoll(text, &end_i, 10);
    real = strtod(text, &end_r);
    l->at += length;
    if (length > 0 && *end_i == '\0')
        return json_integer(integer);
    return length > 0 && *end_r == '\0' ? json_real(real) : NULL;
}

static bool read_items(struct literal *l, char close, json_t *list)
{
    for (;;) {
        json_t *item;

        skip_blanks(l);
        if (l->at < l->end && *l->at == close) {
            l->at++;
            return true;
        }
        if (l->at == l->end)
            return false;
        item = *l->at == '\'' || *l->at == '"'  ? read_string(l)
               : isupper((unsigned char)*l->at) ? read_word(l)
                                                : read_number(l);
        if (!item || json_array_append_new(list, item) != 0)
            return false;
        skip_blanks(l);
        if (l->at < l->end && *l->at == ',')
            l->at++;
        else if (l->at == l->end || *l->at != close)
            return false;
    }
}

json_t *eval_python_list(struct eval_text text)
{
    struct literal l = {text.data, text.data + text.length};
    json_t *list;
    char open;

    skip_blanks(&l);
    if (l.at == l.end || (*l.at != '[' && *l.at != '('))
        return NULL;
    open = *l.at++;
    list = json_array();
    if (read_items(&l, open == '[' ? ']' : ')', list)) {
        skip_blanks(&l);
        if (l.at == l.end)
            return list;
    }
    json_decref(list);
    return NULL;
}

json_t *eval_python_json(const char *text, size_t length)
{
    size_t strict_length;
    CAP_AUTO_MEM char *strict = cap_python_json(text, length, &strict_length);

    return json_loadb(strict, strict_length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}
