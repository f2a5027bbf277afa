/* Failures as sentences. A text may quote what others chose, so every way of writing one ends in
 * finish_text: cut to the size with "...", and UTF-8 again, because it goes into messages that must
 * be. */
#include "base/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Texts quote names that others chose, and formats cut them (%.80s): what is left is made UTF-8
 * again, as it goes into messages that must be. */
static void finish_text(struct cap_err *err, bool too_long)
{
    if (too_long)
        memcpy(err->text + cap_utf8_cut(err->text, sizeof err->text - 4), "...", 4);
    cap_utf8_tidy(err->text);
}

__attribute__((format(printf, 2, 0))) static void write_text(struct cap_err *err, const char *fmt,
                                                             va_list args)
{
    finish_text(err, vsnprintf(err->text, sizeof err->text, fmt, args) >= (int)sizeof err->text);
}

bool cap_fail_v(struct cap_err *err, enum cap_code code, const char *fmt, va_list args)
{
    assert(err->code == CAP_OK && "a failure would overwrite an earlier one");
    assert(code != CAP_OK);
    err->code = code;
    write_text(err, fmt, args);
    return false;
}

bool cap_fail(struct cap_err *err, enum cap_code code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    cap_fail_v(err, code, fmt, args);
    va_end(args);
    return false;
}

bool cap_fail_field(struct cap_err *err, enum cap_code code, const char *field, const char *fmt,
                    ...)
{
    va_list args;

    va_start(args, fmt);
    cap_fail_v(err, code, fmt, args);
    va_end(args);
    if (strlen(field) < sizeof err->field)
        memcpy(err->field, field, strlen(field) + 1);
    return false;
}

bool cap_fail_in(struct cap_err *err, const char *fmt, ...)
{
    char reason[CAP_ERR_TEXT_BYTES_MAX];
    size_t used;
    va_list args;

    assert(err->code != CAP_OK && "context for a failure that did not happen");
    memcpy(reason, err->text, sizeof reason);
    va_start(args, fmt);
    write_text(err, fmt, args);
    va_end(args);
    used = strlen(err->text);
    finish_text(err, snprintf(err->text + used, sizeof err->text - used, ": %s", reason) >=
                         (int)(sizeof err->text - used));
    return false;
}

void cap_err_clear(struct cap_err *err)
{
    err->code = CAP_OK;
    err->text[0] = '\0';
    err->field[0] = '\0';
}

static const char *const code_names[CAP_CODE_COUNT] = {
#define CAP_CODE_TEXT(name, number, text) [number] = text,
    CAP_CODES(CAP_CODE_TEXT)
#undef CAP_CODE_TEXT
};

const char *cap_code_name(enum cap_code code)
{
    return code >= 0 && code < CAP_CODE_COUNT ? code_names[code] : "unknown";
}

bool cap_code_retryable(enum cap_code code)
{
    return code == CAP_UNAVAILABLE || code == CAP_ABORTED || code == CAP_RESOURCE_EXHAUSTED;
}
