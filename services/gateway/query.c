/* Query parameters: known ones, once each, and of the right kind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/near.h"
#include "base/utf8.h"
#include "service.h"

struct check {
    const char *const *names;
    const char *seen[GATE_PARAMETERS_MAX];
    size_t seen_count;
    struct cap_err *err;
};

static bool fail_unknown(const struct check *check, const char *name)
{
    struct cap_near near = {.word = name};
    CAP_AUTO_BUF(list, CAP_ERR_TEXT_BYTES_MAX);

    for (const char *const *known = check->names; *known; known++) {
        cap_near_try(&near, *known);
        cap_buf_printf(&list, "%s%s", list.length ? ", " : "", *known);
    }
    if (!list.length)
        return cap_fail_field(check->err, CAP_INVALID_ARGUMENT, name,
                              "unknown parameter \"%.60s\": this resource takes no parameters",
                              name);
    return cap_fail_field(check->err, CAP_INVALID_ARGUMENT, name,
                          "unknown parameter \"%.60s\"%s%s%s known: %s", name,
                          near.best ? ", did you mean \"" : "", near.best ? near.best : "",
                          near.best ? "\"?" : ";", list.data);
}

static bool check_once(struct check *check, const char *name)
{
    for (size_t i = 0; i < check->seen_count; i++)
        if (strcmp(check->seen[i], name) == 0)
            return cap_fail_field(check->err, CAP_INVALID_ARGUMENT, name, "%s is given twice",
                                  name);
    if (check->seen_count < GATE_PARAMETERS_MAX)
        check->seen[check->seen_count++] = name;
    return true;
}

static bool check_parameter(void *arg, const char *name, const char *value, size_t length)
{
    struct check *check = arg;
    const char *const *known = check->names;

    while (*known && strcmp(*known, name) != 0)
        known++;
    if (!*known)
        return fail_unknown(check, name);
    if (strlen(value) != length || cap_utf8_bad(value, length) < length)
        return cap_fail_field(check->err, CAP_INVALID_ARGUMENT, name,
                              "%s is not UTF-8 text without NUL", name);
    return check_once(check, name);
}

bool gate_accept(struct cap_http_request *http, const char *const *names)
{
    struct cap_err err = {0};
    struct check check = {.names = names, .err = &err};

    cap_http_query_each(http, check_parameter, &check);
    if (err.code == CAP_OK)
        return true;
    gate_reply_error(http, &err);
    return false;
}

char *gate_query_text(struct cap_http_request *http, const char *name)
{
    const char *value = cap_http_query(http, name);

    return (char *)(value ? value : "");
}

bool gate_query_int(struct cap_http_request *http, const char *name, int64_t min, int64_t max,
                    int64_t fallback, int64_t *out, struct cap_err *err)
{
    const char *text = gate_query_text(http, name);
    long long value;
    char *end;

    *out = fallback;
    if (!cap_http_query(http, name))
        return true;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max ||
        strspn(text, "-0123456789") < strlen(text))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, name,
                              "%s: \"%.40s\" is not a whole number from %lld to %lld", name, text,
                              (long long)min, (long long)max);
    *out = value;
    return true;
}

bool gate_query_word(struct cap_http_request *http, const char *name, const char *const *words,
                     char **out, struct cap_err *err)
{
    char *text = gate_query_text(http, name);
    CAP_AUTO_BUF(list, CAP_ERR_TEXT_BYTES_MAX);

    *out = text;
    if (!cap_http_query(http, name))
        return true;
    for (const char *const *word = words; *word; word++) {
        if (strcmp(*word, text) == 0)
            return true;
        cap_buf_printf(&list, "%s%s", list.length ? ", " : "", *word);
    }
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, name, "%s: \"%.40s\" is not one of: %s", name,
                          text, list.data);
}
