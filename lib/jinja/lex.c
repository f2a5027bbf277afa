/* Text to tokens, with Jinja's rules of white space: "-" at a tag strips all blanks on that side,
 * "+" keeps them; trim_blocks drops one newline after a block tag; lstrip_blocks drops the blanks
 * before a block tag or comment that begins its line. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/inside.h"

struct lexer {
    const char *text, *at, *end;
    const struct cap_jinja_options *options;
    struct cap_arena *arena;
    struct token *tokens;
    size_t count, capacity;
    int line;
    bool strip_next, drop_newline; /* what the last tag asks of the text after it */
    struct cap_err *err;
};

static bool fail(struct lexer *lexer, const char *what)
{
    return cap_fail(lexer->err, CAP_INVALID_ARGUMENT, "template line %d: %s", lexer->line, what);
}

static bool push(struct lexer *lexer, struct token token)
{
    if (lexer->count == lexer->capacity) {
        size_t capacity = lexer->capacity ? lexer->capacity * 2 : 64;
        struct token *tokens = cap_arena_array(lexer->arena, capacity, sizeof *tokens);

        if (!tokens)
            return fail(lexer, "the template is too large");
        if (lexer->count > 0)
            memcpy(tokens, lexer->tokens, lexer->count * sizeof *tokens);
        lexer->tokens = tokens;
        lexer->capacity = capacity;
    }
    token.line = lexer->line;
    lexer->tokens[lexer->count++] = token;
    return true;
}

static bool push_text(struct lexer *lexer, enum token_kind kind, const char *text, size_t length)
{
    struct token token = {.kind = kind, .length = length};

    token.text = cap_arena_strndup(lexer->arena, text, length);
    return token.text ? push(lexer, token) : fail(lexer, "the template is too large");
}

static void count_lines(struct lexer *lexer, const char *from, const char *to)
{
    for (; from < to; from++)
        lexer->line += *from == '\n';
}

/* ---- text between tags ---- */

static const char *find_tag(const char *at, const char *end)
{
    for (; at + 1 < end; at++)
        if (at[0] == '{' && (at[1] == '{' || at[1] == '%' || at[1] == '#'))
            return at;
    return end;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Where the text before a tag ends, after the tag's own mark and lstrip_blocks. */
static const char *end_of_text(const struct lexer *lexer, const char *start, const char *tag)
{
    const char *end = tag;
    char kind = tag < lexer->end ? tag[1] : 0, mark = tag + 2 < lexer->end ? tag[2] : 0;

    if (tag == lexer->end)
        return end;
    if (mark == '-') {
        while (end > start && is_blank(end[-1]))
            end--;
    } else if (lexer->options->lstrip_blocks && kind != '{' && mark != '+') {
        const char *p = tag;

        while (p > lexer->text && (p[-1] == ' ' || p[-1] == '\t'))
            p--;
        if ((p == lexer->text || p[-1] == '\n') && p >= start)
            end = p;
    }
    return end;
}

static bool lex_text(struct lexer *lexer, const char *tag)
{
    const char *start = lexer->at, *end;

    if (lexer->strip_next)
        while (start < tag && is_blank(*start))
            start++;
    else if (lexer->drop_newline && start < tag && *start == '\n')
        start++;
    lexer->strip_next = lexer->drop_newline = false;
    end = end_of_text(lexer, start, tag);
    if (end > start && !push_text(lexer, T_TEXT, start, (size_t)(end - start)))
        return false;
    count_lines(lexer, lexer->at, tag);
    lexer->at = tag;
    return true;
}

/* ---- inside tags ---- */

static void append_code_point(struct cap_buf *buf, unsigned c)
{
    if (c < 0x80) {
        cap_buf_add_char(buf, (char)c);
    } else if (c < 0x800) {
        cap_buf_add_char(buf, (char)(0xc0 | (c >> 6)));
        cap_buf_add_char(buf, (char)(0x80 | (c & 63)));
    } else {
        cap_buf_add_char(buf, (char)(0xe0 | (c >> 12)));
        cap_buf_add_char(buf, (char)(0x80 | ((c >> 6) & 63)));
        cap_buf_add_char(buf, (char)(0x80 | (c & 63)));
    }
}

/* The escape after a backslash at `at`; returns what follows it. */
static const char *add_escape(struct cap_buf *buf, const char *at, const char *end)
{
    static const char from[] = "ntrbfv0", to[] = "\n\t\r\b\f\v";
    const char *known = *at ? strchr(from, *at) : NULL;
    char hex[5] = "";

    if ((*at == 'u' && end - at > 4) || (*at == 'x' && end - at > 2)) {
        size_t digits = *at == 'u' ? 4 : 2;

        memcpy(hex, at + 1, digits);
        append_code_point(buf, (unsigned)strtoul(hex, NULL, 16));
        return at + 1 + digits;
    }
    if (known && *known != '0')
        cap_buf_add_char(buf, to[known - from]);
    else if (*at == '\\' || *at == '\'' || *at == '"')
        cap_buf_add_char(buf, *at);
    else {
        cap_buf_add_char(buf, '\\');
        cap_buf_add_char(buf, *at);
    }
    return at + 1;
}

static bool lex_string(struct lexer *lexer)
{
    char quote = *lexer->at;
    const char *at = lexer->at + 1;
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    while (at < lexer->end && *at != quote) {
        if (*at == '\\' && at + 1 < lexer->end) {
            at = add_escape(&text, at + 1, lexer->end);
        } else {
            lexer->line += *at == '\n';
            cap_buf_add_char(&text, *at++);
        }
    }
    if (at == lexer->end)
        return fail(lexer, "a string does not end");
    lexer->at = at + 1;
    return push_text(lexer, T_STRING, text.data, text.length);
}

/* 0x1f, 0o17, 0b11; true when one was here. */
static bool take_based(struct lexer *lexer, bool *out_ok)
{
    int base = lexer->at[0] != '0'                          ? 0
               : lexer->at[1] == 'x' || lexer->at[1] == 'X' ? 16
               : lexer->at[1] == 'o' || lexer->at[1] == 'O' ? 8
               : lexer->at[1] == 'b' || lexer->at[1] == 'B' ? 2
                                                            : 0;
    struct token token = {.kind = T_INT};
    char *end;

    if (base == 0)
        return false;
    errno = 0;
    token.i = strtoll(lexer->at + 2, &end, base);
    if (errno || end == lexer->at + 2)
        *out_ok = fail(lexer, "a number is too large or has no digits");
    else
        *out_ok = push(lexer, token);
    lexer->at = end;
    return true;
}

static bool lex_number(struct lexer *lexer)
{
    struct token token = {.kind = T_INT};
    const char *start = lexer->at, *at = start + strspn(start, "0123456789_");
    size_t length = 0;
    char copy[64];
    bool ok;

    if (take_based(lexer, &ok))
        return ok;
    if (*at == '.' && isdigit((unsigned char)at[1])) {
        token.kind = T_FLOAT;
        at += 1 + strspn(at + 1, "0123456789_");
    }
    if ((*at == 'e' || *at == 'E') &&
        (isdigit((unsigned char)at[1]) ||
         ((at[1] == '-' || at[1] == '+') && isdigit((unsigned char)at[2])))) {
        token.kind = T_FLOAT;
        at += 2;
        at += strspn(at, "0123456789_");
    }
    for (const char *p = start; p < at && length < sizeof copy; p++)
        if (*p != '_')
            copy[length++] = *p;
    if (length >= sizeof copy)
        return fail(lexer, "a number is too long");
    copy[length] = '\0';
    errno = 0;
    token.i = strtoll(copy, NULL, 10);
    if (token.kind == T_INT && errno)
        return fail(lexer, "a number is too large");
    token.f = strtod(copy, NULL);
    lexer->at = at;
    return push(lexer, token);
}

static bool lex_symbol(struct lexer *lexer)
{
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "//", "**", "+", "-", "*",
                                          "/",  "%",  "~",  "<",  ">",  "=",  "(", ")", "[",
                                          "]",  "{",  "}",  ",",  ".",  ":",  "|"};

    for (size_t i = 0; i < CAP_COUNT_OF(symbols); i++) {
        size_t length = strlen(symbols[i]);

        if (strncmp(lexer->at, symbols[i], length) == 0) {
            lexer->at += length;
            return push(lexer,
                        (struct token){.kind = T_SYMBOL, .text = symbols[i], .length = length});
        }
    }
    return cap_fail(lexer->err, CAP_INVALID_ARGUMENT, "template line %d: unexpected \"%.1s\"",
                    lexer->line, lexer->at);
}

/* Names may be written in any script: fields of data are. */
static bool is_beyond_ascii(char c)
{
    return (unsigned char)c >= 0x80;
}

static bool lex_word(struct lexer *lexer)
{
    const char *start = lexer->at;

    while (isalnum((unsigned char)*lexer->at) || *lexer->at == '_' || is_beyond_ascii(*lexer->at))
        lexer->at++;
    return push_text(lexer, T_NAME, start, (size_t)(lexer->at - start));
}

/* True at the tag's end, which it then takes. A bracket inside the tag keeps "}}" from ending it.
 */
static bool take_close(struct lexer *lexer, char kind, int brackets)
{
    const char *at = lexer->at;
    char mark = *at == '-' || *at == '+' ? *at : 0;
    const char *close = at + (mark != 0);

    if (close[0] != kind || close[1] != '}' || (kind == '}' && brackets > 0))
        return false;
    lexer->at = close + 2;
    lexer->strip_next = mark == '-';
    lexer->drop_newline = kind == '%' && lexer->options->trim_blocks && mark != '+';
    return true;
}

static int bracket_of(const struct lexer *lexer)
{
    const struct token *last = &lexer->tokens[lexer->count - 1];

    if (last->kind != T_SYMBOL || last->length != 1)
        return 0;
    return strchr("([{", *last->text) ? 1 : strchr(")]}", *last->text) ? -1 : 0;
}

static bool lex_tag(struct lexer *lexer)
{
    char kind = lexer->at[1] == '{' ? '}' : '%';
    int brackets = 0;

    lexer->at += 2;
    if (*lexer->at == '-' || (*lexer->at == '+' && kind == '%'))
        lexer->at++;
    if (!push(lexer, (struct token){.kind = kind == '}' ? T_OPEN_OUTPUT : T_OPEN_BLOCK}))
        return false;
    for (;;) {
        bool ok;

        while (lexer->at < lexer->end && is_blank(*lexer->at))
            lexer->line += *lexer->at++ == '\n';
        if (lexer->at >= lexer->end)
            return fail(lexer, "a tag does not end");
        if (take_close(lexer, kind, brackets))
            return push(lexer,
                        (struct token){.kind = kind == '}' ? T_CLOSE_OUTPUT : T_CLOSE_BLOCK});
        if (*lexer->at == '"' || *lexer->at == '\'')
            ok = lex_string(lexer);
        else if (isdigit((unsigned char)*lexer->at))
            ok = lex_number(lexer);
        else if (isalpha((unsigned char)*lexer->at) || *lexer->at == '_' ||
                 is_beyond_ascii(*lexer->at))
            ok = lex_word(lexer);
        else
            ok = lex_symbol(lexer);
        if (!ok)
            return false;
        brackets += bracket_of(lexer);
    }
}

static bool lex_comment(struct lexer *lexer)
{
    const char *close = strstr(lexer->at + 2, "#}");

    if (!close)
        return fail(lexer, "a comment does not end");
    lexer->strip_next = close[-1] == '-';
    lexer->drop_newline = lexer->options->trim_blocks && close[-1] != '+';
    count_lines(lexer, lexer->at, close);
    lexer->at = close + 2;
    return true;
}

/* {% raw %} ... {% endraw %}: the text inside is one text token. True when a raw block was here. */
static bool take_raw(struct lexer *lexer, bool *out_ok)
{
    const char *at = lexer->at + 2, *start, *close;

    at += *at == '-' || *at == '+';
    at += strspn(at, " \t\n");
    if (strncmp(at, "raw", 3) != 0 || !strchr(" -+%", at[3]))
        return false;
    start = strstr(at, "%}");
    close = start ? strstr(start, "endraw") : NULL;
    if (!close) {
        *out_ok = fail(lexer, "a raw block does not end");
        return true;
    }
    start += 2;
    while (close > start && !(close[0] == '{' && close[1] == '%'))
        close--;
    *out_ok = push_text(lexer, T_TEXT, start, (size_t)(close - start));
    count_lines(lexer, lexer->at, close);
    lexer->at = strstr(close, "%}");
    lexer->at = lexer->at ? lexer->at + 2 : lexer->end;
    lexer->drop_newline = lexer->options->trim_blocks;
    return true;
}

/* A copy in which every line ends with \n alone, as jinja2 reads it; without the last newline
 * unless it is to be kept. NULL when it is too large. */
static char *prepare(const char *text, const struct cap_jinja_options *options,
                     struct cap_arena *arena, size_t *out_length)
{
    size_t length = strlen(text), count = 0;
    char *copy = length > TEMPLATE_BYTES_MAX ? NULL : cap_arena_alloc(arena, length + 1);

    if (!copy)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        copy[count++] = text[i] == '\r' ? '\n' : text[i];
        if (text[i] == '\r' && text[i + 1] == '\n')
            i++;
    }
    if (!options->keep_trailing_newline && count > 0 && copy[count - 1] == '\n')
        count--;
    copy[count] = '\0';
    *out_length = count;
    return copy;
}

struct token *jinja_lex(const char *text, const struct cap_jinja_options *options,
                        struct cap_arena *arena, struct cap_err *err)
{
    size_t length = 0;
    const char *copy = prepare(text, options, arena, &length);
    struct lexer lexer = {
        .text = copy, .at = copy, .options = options, .arena = arena, .line = 1, .err = err};
    bool ok = true;

    if (!copy) {
        fail(&lexer, "the template is too large");
        return NULL;
    }
    lexer.end = copy + length;
    while (ok && lexer.at < lexer.end) {
        ok = lex_text(&lexer, find_tag(lexer.at, lexer.end));
        if (!ok || lexer.at == lexer.end)
            break;
        if (lexer.at[1] == '#')
            ok = lex_comment(&lexer);
        else if (lexer.at[1] != '%' || !take_raw(&lexer, &ok))
            ok = lex_tag(&lexer);
    }
    return ok && push(&lexer, (struct token){.kind = T_END}) ? lexer.tokens : NULL;
}
