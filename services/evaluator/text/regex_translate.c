/* From Python's syntax to PCRE2's (UTF, UCP, newline LF). Both speak nearly the same language; this
 * rewrites the words that have another meaning there and refuses those that Python does not know.
 * Classes are spelled out instead of \s, \w and \b, because PCRE2's members of them differ from
 * Python's and change between its versions. */
#include <string.h>

#include "base/buf.h"
#include "text/regex.h"

/* str.isspace(): what \s means. */
#define SPACE_SET                                                                                  \
    "\\x{09}-\\x{0d}\\x{1c}-\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"   \
    "\\x{202f}\\x{205f}\\x{3000}"
/* str.isalnum() or "_": what \w means. */
#define WORD_SET "\\p{L}\\p{N}_"
#define WORD "[" WORD_SET "]"

struct translation {
    const char *at, *end, *begin;
    struct cap_buf *out;
    struct cap_err *err;
};

static bool refuse(struct translation *t, const char *why)
{
    return cap_fail(t->err, CAP_INVALID_ARGUMENT, "%s at byte %td", why, t->at - t->begin + 1);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* \xhh, \uhhhh, \Uhhhhhhhh; `at` is on the letter. */
static bool put_code_point(struct translation *t, int digits)
{
    if (t->end - t->at <= digits)
        return refuse(t, "an escape has too few digits");
    for (int i = 1; i <= digits; i++)
        if (!is_hex(t->at[i]))
            return refuse(t, "an escape has too few digits");
    cap_buf_printf(t->out, "\\x{%.*s}", digits, t->at + 1);
    t->at += 1 + digits;
    return true;
}

static bool is_octal(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '7';
}

/* \0, \07, \101: octal as in Python; anything else with digits is a back reference. */
static bool put_number(struct translation *t, bool in_class)
{
    const char *p = t->at;
    unsigned value = 0;

    if (*p == '0' || in_class ||
        (is_octal(p, t->end) && is_octal(p + 1, t->end) && is_octal(p + 2, t->end))) {
        for (int i = 0; i < 3 && is_octal(p, t->end); i++)
            value = value * 8 + (unsigned)(*p++ - '0');
        if (p == t->at || value > 0377)
            return refuse(t, "there is no such octal escape");
        cap_buf_printf(t->out, "\\x{%x}", value);
    } else {
        while (p < t->end && p < t->at + 2 && *p >= '0' && *p <= '9')
            p++;
        cap_buf_printf(t->out, "\\g{%.*s}", (int)(p - t->at), t->at);
    }
    t->at = p;
    return true;
}

static const char *outside_class(char c)
{
    switch (c) {
    case 's':
        return "[" SPACE_SET "]";
    case 'S':
        return "[^" SPACE_SET "]";
    case 'w':
        return WORD;
    case 'W':
        return "[^" WORD_SET "]";
    case 'b':
        return "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))";
    case 'B':
        return "(?:(?<=" WORD ")(?=" WORD ")|(?<!" WORD ")(?!" WORD "))";
    case 'Z':
        return "\\z";
    case 'A':
        return "\\A";
    default:
        return NULL;
    }
}

static const char *inside_class(char c)
{
    switch (c) {
    case 's':
        return SPACE_SET;
    case 'w':
        return WORD_SET;
    case 'S': /* complements inside a class: PCRE2's own, which differ in rare characters only */
        return "\\S";
    case 'W':
        return "\\W";
    case 'b':
        return "\\x{08}";
    default:
        return NULL;
    }
}

static const char *anywhere(char c)
{
    switch (c) {
    case 'd':
        return "\\p{Nd}";
    case 'D':
        return "\\P{Nd}";
    case 'a':
        return "\\x{07}";
    case 'v':
        return "\\x{0b}";
    case 'f':
        return "\\x{0c}";
    case 'n':
        return "\\n";
    case 'r':
        return "\\r";
    case 't':
        return "\\t";
    default:
        return NULL;
    }
}

/* `at` is on the backslash. */
static bool translate_escape(struct translation *t, bool in_class)
{
    const char *known;
    char c;

    if (++t->at == t->end)
        return refuse(t, "the pattern ends in a backslash");
    c = *t->at;
    known = in_class ? inside_class(c) : outside_class(c);
    if (!known)
        known = anywhere(c);
    if (known) {
        cap_buf_add_str(t->out, known);
        t->at++;
        return true;
    }
    if (c == 'x' || c == 'u' || c == 'U')
        return put_code_point(t, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    if (c >= '0' && c <= '9')
        return put_number(t, in_class);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return refuse(t, "Python knows no such escape");
    cap_buf_add_char(t->out, '\\');
    cap_buf_add_char(t->out, c); /* the first byte of a longer character stands alone well enough */
    t->at++;
    return true;
}

/* `at` is on the "[". */
static bool translate_class(struct translation *t)
{
    const char *first;

    cap_buf_add_char(t->out, *t->at++);
    if (t->at < t->end && *t->at == '^')
        cap_buf_add_char(t->out, *t->at++);
    for (first = t->at; t->at < t->end;) {
        if (*t->at == ']' && t->at != first) {
            cap_buf_add_char(t->out, *t->at++);
            return true;
        }
        if (*t->at == '\\') {
            if (!translate_escape(t, true))
                return false;
            continue;
        }
        if (*t->at == '[' || *t->at == ']')
            cap_buf_add_char(t->out, '\\'); /* "[:alpha:]" are characters in Python */
        cap_buf_add_char(t->out, *t->at++);
    }
    return refuse(t, "a character class has no end");
}

/* `at` is on the "(". */
static bool translate_group(struct translation *t)
{
    const char *p = t->at + 1;

    if (p < t->end && *p == '*')
        return refuse(t, "\"(*\" has nothing to repeat");
    if (p + 1 < t->end && *p == '?') {
        p++;
        if (!strchr("P:=!<#imsx-(>", *p) || (*p == 'P' && p + 1 < t->end && p[1] == '>'))
            return refuse(t, "Python's strings know no such group");
        if (*p == '<' && (p + 1 == t->end || (p[1] != '=' && p[1] != '!')))
            return refuse(t, "a named group is written (?P<name>...)");
    }
    cap_buf_add_char(t->out, *t->at++);
    return true;
}

/* `at` is on a "{": Python's {,n} is {0,n}. */
static void translate_brace(struct translation *t)
{
    const char *p = t->at + 1;

    cap_buf_add_char(t->out, *t->at++);
    if (p == t->end || *p != ',')
        return;
    for (p++; p < t->end && *p >= '0' && *p <= '9';)
        p++;
    if (p < t->end && *p == '}')
        cap_buf_add_char(t->out, '0');
}

bool eval_regex_translate(struct eval_text pattern, struct cap_buf *out, struct cap_err *err)
{
    struct translation t = {pattern.data, pattern.data + pattern.length, pattern.data, out, err};

    while (t.at < t.end) {
        if (*t.at == '\\') {
            if (!translate_escape(&t, false))
                return false;
        } else if (*t.at == '[') {
            if (!translate_class(&t))
                return false;
        } else if (*t.at == '(') {
            if (!translate_group(&t))
                return false;
        } else if (*t.at == '{') {
            translate_brace(&t);
        } else {
            cap_buf_add_char(out, *t.at++);
        }
    }
    return true;
}

void eval_regex_escape(struct eval_text text, struct cap_buf *out)
{
    for (size_t i = 0; i < text.length; i++) {
        if (strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", text.data[i]) && text.data[i] != '\0')
            cap_buf_add_char(out, '\\');
        cap_buf_add_char(out, text.data[i]);
    }
}
