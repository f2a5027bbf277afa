/* Compiled patterns and matching, by PCRE2 with its compiler for machine code.
 *
 * A pattern is translated first (regex_translate.c). Matching walks a text as Python's finditer
 * does: after an empty match it may not match empty at the same place again. A limit on steps and
 * memory ends any match; then the answer is undecided, not wrong. */
#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum {
    PATTERN_OUT_BYTES_MAX = 64 * EVAL_REGEX_PATTERN_BYTES_MAX,
    MATCH_LIMIT = 10 * 1000 * 1000, /* PCRE2's own default, written down */
    HEAP_LIMIT_KIB = 64 * 1024,
    JIT_STACK_BYTES = 32 * 1024,
    JIT_STACK_BYTES_MAX = 8 * 1024 * 1024,
};

struct eval_regex {
    pcre2_code *code;
};

struct eval_regex_work {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *jit_stack;
};

/* ---- patterns ---- */

static pcre2_code *compile(const struct cap_buf *pattern, struct cap_err *err)
{
    int code;
    size_t at;
    char text[128];
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_code *compiled;

    if (!context)
        abort();
    pcre2_set_newline(context, PCRE2_NEWLINE_LF); /* "." stops at \n alone, as in Python */
    compiled = pcre2_compile((PCRE2_SPTR)pattern->data, pattern->length,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!compiled) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        cap_fail(err, CAP_INVALID_ARGUMENT, "%s", text);
    }
    return compiled;
}

struct eval_regex *eval_regex_open(struct eval_text pattern, struct cap_err *err)
{
    CAP_AUTO_BUF(translated, PATTERN_OUT_BYTES_MAX);
    struct eval_regex *regex;
    pcre2_code *code = NULL;
    int shown = pattern.length > 100 ? 100 : (int)pattern.length;

    if (pattern.length > EVAL_REGEX_PATTERN_BYTES_MAX) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "the pattern has %zu bytes, at most %d", pattern.length,
                 EVAL_REGEX_PATTERN_BYTES_MAX);
        return NULL;
    }
    if (!eval_regex_translate(pattern, &translated, err) || !(code = compile(&translated, err))) {
        cap_fail_in(err, "pattern \"%.*s\"", shown, pattern.data);
        return NULL;
    }
    if (!(regex = calloc(1, sizeof *regex)))
        abort();
    regex->code = code;
    if (eval_regex_group_count(regex) > EVAL_REGEX_GROUPS_MAX) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "pattern \"%.*s\" has %u groups, at most %d", shown,
                 pattern.data, eval_regex_group_count(regex), EVAL_REGEX_GROUPS_MAX);
        eval_regex_free(regex);
        return NULL;
    }
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
    return regex;
}

void eval_regex_free(struct eval_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

unsigned eval_regex_group_count(const struct eval_regex *regex)
{
    uint32_t count = 0;

    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &count);
    return count;
}

/* ---- matching ---- */

struct eval_regex_work *eval_regex_work_new(void)
{
    struct eval_regex_work *work = calloc(1, sizeof *work);

    if (!work)
        abort();
    work->match = pcre2_match_data_create(EVAL_REGEX_GROUPS_MAX + 1, NULL);
    work->context = pcre2_match_context_create(NULL);
    work->jit_stack = pcre2_jit_stack_create(JIT_STACK_BYTES, JIT_STACK_BYTES_MAX, NULL);
    if (!work->match || !work->context)
        abort();
    pcre2_set_match_limit(work->context, MATCH_LIMIT);
    pcre2_set_depth_limit(work->context, MATCH_LIMIT);
    pcre2_set_heap_limit(work->context, HEAP_LIMIT_KIB);
    pcre2_jit_stack_assign(work->context, NULL, work->jit_stack);
    return work;
}

void eval_regex_work_free(struct eval_regex_work *work)
{
    if (!work)
        return;
    pcre2_match_data_free(work->match);
    pcre2_match_context_free(work->context);
    if (work->jit_stack)
        pcre2_jit_stack_free(work->jit_stack);
    free(work);
}

enum eval_regex_found eval_regex_find(const struct eval_regex *regex, struct eval_regex_work *work,
                                      struct eval_text text, struct eval_regex_cursor *cursor)
{
    uint32_t options =
        PCRE2_NO_UTF_CHECK | (cursor->must_advance ? (uint32_t)PCRE2_NOTEMPTY_ATSTART : 0);
    const size_t *span;
    int count;

    if (cursor->at > text.length)
        return EVAL_REGEX_NONE;
    count = pcre2_match(regex->code, (PCRE2_SPTR)text.data, text.length, cursor->at, options,
                        work->match, work->context);
    if (count == PCRE2_ERROR_NOMATCH)
        return EVAL_REGEX_NONE;
    if (count < 0)
        return EVAL_REGEX_GAVE_UP;
    span = pcre2_get_ovector_pointer(work->match);
    cursor->at = span[1];
    cursor->must_advance = span[0] == span[1];
    return EVAL_REGEX_FOUND;
}

struct eval_text eval_regex_group(const struct eval_regex_work *work, struct eval_text text,
                                  unsigned group)
{
    const size_t *span = pcre2_get_ovector_pointer(work->match);
    size_t from = span[2 * group], to = span[2 * group + 1];

    if (from == PCRE2_UNSET || to < from)
        return (struct eval_text){text.data, 0};
    return (struct eval_text){text.data + from, to - from};
}

bool eval_regex_remove(const struct eval_regex *regex, struct eval_regex_work *work,
                       struct cap_arena *arena, struct eval_text text, struct eval_text *out_text)
{
    struct eval_regex_cursor cursor = {0};
    enum eval_regex_found found;
    size_t kept_to = 0, length = 0;
    char *out = NULL;

    while ((found = eval_regex_find(regex, work, text, &cursor)) == EVAL_REGEX_FOUND) {
        const size_t *span = pcre2_get_ovector_pointer(work->match);

        if (!out && !(out = cap_arena_alloc(arena, text.length + 1)))
            return false;
        memcpy(out + length, text.data + kept_to, span[0] - kept_to);
        length += span[0] - kept_to;
        kept_to = span[1];
    }
    if (found == EVAL_REGEX_GAVE_UP)
        return false;
    if (out) {
        memcpy(out + length, text.data + kept_to, text.length - kept_to);
        text = (struct eval_text){out, length + text.length - kept_to};
    }
    *out_text = text;
    return true;
}
