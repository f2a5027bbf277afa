#include "external/refusal.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "external/sent.h"

enum { REASON_BYTES = 360, LOCATION_BYTES_MAX = 120 };

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* ---- the words ---- */

/* "body.stop" of ["body", "stop"] */
static void add_location(const json_t *location, struct cap_buf *out)
{
    const json_t *part;
    size_t i;

    json_array_foreach(location, i, part)
    {
        cap_buf_add_str(out, i > 0 ? "." : "");
        if (json_is_string(part))
            cap_buf_add_str(out, json_string_value(part));
        else
            cap_buf_printf(out, "%lld", (long long)json_integer_value(part));
    }
}

/* FastAPI: a text, or a list of {loc, msg}, of which the first is told. */
static bool read_detail(const json_t *detail, char *out, size_t room)
{
    const json_t *first = json_array_get(detail, 0);
    const char *message = first ? text_of(first, "msg") : json_string_value(detail);
    CAP_AUTO_BUF(location, LOCATION_BYTES_MAX);

    if (!message)
        return false;
    add_location(json_object_get(first, "loc"), &location);
    snprintf(out, room, "%s%s%s", location.data, location.length ? ": " : "", message);
    return true;
}

void infer_refusal_text(const char *body, size_t length, char *out, size_t room)
{
    json_t *json = infer_sent_json(body, length);
    const json_t *error = json_object_get(json, "error");
    const char *message = text_of(error, "message");

    if (!message)
        message = json_string_value(error);
    if (!message)
        message = text_of(json, "message");
    if (message || !read_detail(json_object_get(json, "detail"), out, room))
        snprintf(out, room, "%s", message ? message : length > 0 ? body : "no reason given");
    json_decref(json);
}

/* ---- what they mean ---- */

static bool has_any(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

static bool is_overlong(const char *body, const char *reason)
{
    static const char *const words[] = {"maximum context length", "context length", "context size",
                                        "is longer than",         "too long",       NULL};

    return strstr(body, "exceed_context_size_error") || has_any(reason, words);
}

static bool is_dead(const char *reason)
{
    static const char *const words[] = {"EngineCore", "engine is dead", "EngineDeadError",
                                        "cb_worker_dead", NULL};

    return has_any(reason, words);
}

static bool is_unknown_model(int status, const char *reason)
{
    static const char *const words[] = {"pinned to", "does not exist", "model not found", NULL};

    return (status == 404 && strcasestr(reason, "model")) ||
           (status == 400 && has_any(reason, words));
}

void infer_refusal_explain(int status, const char *body, size_t length, struct cap_err *out)
{
    char reason[REASON_BYTES];

    infer_refusal_text(body, length, reason, sizeof reason);
    if (status >= 500 && is_dead(reason))
        cap_fail(out, CAP_UNAVAILABLE, "the server's engine has died; it answered %d: %s", status,
                 reason);
    else if (status == 401 || status == 403)
        cap_fail(out, CAP_PERMISSION_DENIED,
                 "the server wants a key, or another; it answered %d: "
                 "%s",
                 status, reason);
    else if (status == 429 || status == 503)
        cap_fail(out, CAP_RESOURCE_EXHAUSTED, "the server is overloaded; it answered %d: %s",
                 status, reason);
    else if (status >= 400 && status < 500 && is_overlong(body, reason))
        cap_fail(out, CAP_OUT_OF_RANGE,
                 "the prompt and its answer are too long for the server; it answered %d: %s",
                 status, reason);
    else if (is_unknown_model(status, reason))
        cap_fail(out, CAP_NOT_FOUND, "the server has no such model; it answered %d: %s", status,
                 reason);
    else if (status == 422)
        cap_fail(out, CAP_INVALID_ARGUMENT, "the server refuses a field; it answered 422: %s",
                 reason);
    else
        cap_fail(out, status == 400 ? CAP_INVALID_ARGUMENT : CAP_FAILED_PRECONDITION,
                 "the server answered %d: %s", status, reason);
}
