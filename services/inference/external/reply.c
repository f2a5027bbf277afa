/* Reads what servers send, from the outside in: bytes become JSON, JSON becomes an error or a
 * chunk, and the counts of a chunk are checked against what has come. Nothing here keeps state;
 * call.c does. */
#include "external/server.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/json_why.h"
#include "base/utf8.h"

enum { LOCATION_BYTES_MAX = 120 };

/* ---- JSON and words ---- */

/* Every value but the first of a list follows a comma, the first one a bracket or a brace. */
static size_t count_values(const char *text, size_t length)
{
    size_t count = 1;
    bool quoted = false;

    for (size_t i = 0; i < length; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted)
            count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    }
    return count;
}

json_t *infer_reply_json(const char *text, size_t length)
{
    if (count_values(text, length) > INFER_REPLY_VALUES_MAX)
        return NULL;
    return json_loadb(text, length, JSON_ALLOW_NUL, NULL);
}

/* Why infer_reply_json gave none, without a word of the body's. */
static const char *why_no_json(const char *text, size_t length, char *out, size_t room)
{
    json_error_t error;
    json_t *json;

    if (count_values(text, length) > INFER_REPLY_VALUES_MAX) {
        snprintf(out, room, "it has more than %d values", INFER_REPLY_VALUES_MAX);
        return out;
    }
    json = json_loadb(text, length, JSON_ALLOW_NUL, &error);
    if (json)
        snprintf(out, room, "it is JSON, but no object");
    else
        cap_json_why(&error, out, room);
    json_decref(json);
    return out;
}

/* Length of the control character at `at`; 0 = it is none. U+0080 to U+009F are controls, too. */
static size_t control_length(const char *at)
{
    unsigned char first = (unsigned char)at[0], second = first ? (unsigned char)at[1] : 0;

    if (first == 0xc2 && second >= 0x80 && second < 0xa0)
        return 2;
    return first < 0x20 || first == 0x7f;
}

void infer_reply_words(char *out, size_t room, const char *text)
{
    char *to = out;

    snprintf(out, room, "%s", text ? text : "");
    cap_utf8_tidy(out);
    for (const char *from = out; *from;) {
        size_t length = control_length(from);

        *to++ = length ? ' ' : *from;
        from += length ? length : 1;
    }
    *to = '\0';
}

/* ---- errors ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text && *text ? text : NULL;
}

/* The first of these fields that is a text. */
static const char *first_text(const json_t *object, const char *const *names)
{
    const char *text = NULL;

    for (; *names && !text; names++)
        text = text_of(object, *names);
    return text;
}

static const char *const message_names[] = {"message",       "msg",   "detail",
                                            "error_message", "error", NULL};

/* Servers write "error": null, "", false or {} to say that nothing failed. */
static bool is_something(const json_t *value)
{
    return json_is_true(value) || json_string_length(value) > 0 || json_object_size(value) > 0 ||
           json_array_size(value) > 0 || (json_is_number(value) && json_number_value(value) != 0);
}

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

static void say(char *out, size_t room, const char *where, const char *words)
{
    char text[4 * INFER_REPLY_REASON_BYTES];

    snprintf(text, sizeof text, "%s%s%s", where, *where ? ": " : "",
             words ? words : "no reason given");
    infer_reply_words(out, room, text);
}

/* The words of what stands where an error stands: a text, an object, or a list of which the first
 * is told. FastAPI's entries are {loc, msg}. */
static void say_error(const json_t *error, char *out, size_t room)
{
    const json_t *first = json_is_array(error) ? json_array_get(error, 0) : error;
    const char *words =
        json_is_string(first) ? json_string_value(first) : first_text(first, message_names);
    CAP_AUTO_BUF(location, LOCATION_BYTES_MAX);

    if (!words) /* {"error": {"error": {...}}}, or only its kind */
        words = first_text(json_object_get(first, "error"), message_names);
    if (!words)
        words = first_text(first, (const char *const[]){"type", "code", NULL});
    add_location(json_object_get(first, "loc"), &location);
    say(out, room, location.data, words);
}

/* "error", "response.failed", "exception": the last part of the name tells, so that "error_rate"
 * or "failover" are not failures. */
static bool names_error(const char *name)
{
    static const char *const ends[] = {"error", "exception", "failed", "failure", "aborted"};
    size_t length = strlen(name);

    for (size_t i = 0; i < CAP_COUNT_OF(ends); i++)
        if (length >= strlen(ends[i]) && strcasecmp(name + length - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static bool says_error(const json_t *json, const char *name)
{
    const char *value = text_of(json, name);

    return value && names_error(value);
}

/* The part of `json` that tells of a failure; NULL when none does. */
static const json_t *find_error(const json_t *json)
{
    static const char *const names[] = {"error", "errors", "error_message", "error_msg"};
    const json_t *choice = json_array_get(json_object_get(json, "choices"), 0);

    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        if (is_something(json_object_get(json, names[i])))
            return json_object_get(json, names[i]);
    if (is_something(json_object_get(choice, "error")))
        return json_object_get(choice, "error");
    return says_error(json, "object") || says_error(json, "type") || says_error(json, "status") ||
                   json_is_false(json_object_get(json, "success"))
               ? json
               : NULL;
}

/* What stands where a choice should: FastAPI's detail, or only a message. */
static const json_t *find_complaint(const json_t *json)
{
    const json_t *detail = json_object_get(json, "detail");

    if (json_object_get(json, "choices") || json_object_get(json, "usage"))
        return NULL;
    if (is_something(detail))
        return detail;
    return text_of(json, "message") || text_of(json, "msg") ? json : NULL;
}

bool infer_reply_error(const json_t *json, char *out, size_t room)
{
    const json_t *error = find_error(json);

    if (!error)
        error = find_complaint(json);
    if (error)
        say_error(error, out, room);
    return error != NULL;
}

/* The data of an event stream that holds one event. */
static const char *skip_to_data(const char *body, size_t *length)
{
    const char *data = memmem(body, *length, "data:", 5);

    if (!data || (strncmp(body, "data:", 5) != 0 && strncmp(body, "event:", 6) != 0))
        return body;
    data += 5;
    *length = strcspn(data, "\r\n");
    return data;
}

bool infer_reply_body_error(const char *body, size_t length, char *out, size_t room)
{
    const char *data = skip_to_data(body, &length);
    json_t *json = infer_reply_json(data, length);
    bool found = infer_reply_error(json, out, room);

    json_decref(json);
    return found;
}

void infer_reply_describe(const char *type, size_t length, char *out, size_t room)
{
    if (length == 0)
        snprintf(out, room, "no reason given");
    else
        snprintf(out, room, "without an error message (%zu bytes of %s)", length,
                 *type ? type : "an unknown type");
}

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

void infer_reply_refusal(int status, const char *type, const char *body, size_t length,
                         struct cap_err *out)
{
    char reason[INFER_REPLY_REASON_BYTES];

    if (!infer_reply_body_error(body, length, reason, sizeof reason))
        infer_reply_describe(type, length, reason, sizeof reason);
    if (status >= 500 && is_dead(reason))
        cap_fail(out, CAP_UNAVAILABLE, "the server's engine has died; it answered %d: %s", status,
                 reason);
    else if (status == 401 || status == 403)
        cap_fail(out, CAP_PERMISSION_DENIED,
                 "the server refuses access, or wants another key; it answered %d: %s", status,
                 reason);
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

/* ---- counts ---- */

enum {
    TOKEN_BYTES_MAX = 256, /* the longest tokens of today's vocabularies are 128 blanks */
    ADDED_TOKENS_MAX = 64, /* to a prompt that is text: a begin of sequence, and the like */
};

static int count_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    json_int_t count = json_integer_value(value);

    if (!value || json_is_null(value))
        return INFER_COUNT_UNKNOWN;
    return json_is_integer(value) && count >= 0 && count <= INT32_MAX ? (int)count
                                                                      : INFER_COUNT_BAD;
}

static void read_usage(const json_t *json, struct infer_chunk *out)
{
    const json_t *usage = json_object_get(json, "usage");

    if (!json_is_object(usage))
        return;
    out->has_usage = true;
    out->counts.prompt = count_of(usage, "prompt_tokens");
    out->counts.output = count_of(usage, "completion_tokens");
    out->counts.total = count_of(usage, "total_tokens");
    out->counts.cached = count_of(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
}

/* False, with the reason in why, when the output cannot have this many tokens. */
static bool output_can_be(int count, const struct infer_seen *seen, char *why, size_t room)
{
    if (count == INFER_COUNT_BAD)
        snprintf(why, room, "its count of output tokens is not a whole number from 0 up");
    else if (count == 0 && seen->text_bytes > 0)
        snprintf(why, room, "it counts 0 output tokens where %zu bytes of text came",
                 seen->text_bytes);
    else if (count >= 0 && count < seen->output_before)
        snprintf(why, room, "it counts %d output tokens after it had counted %d", count,
                 seen->output_before);
    else if (count >= 0 && count < seen->text_chunks)
        snprintf(why, room, "it counts %d output tokens where text came in %d chunks", count,
                 seen->text_chunks);
    else if (count >= 0 && seen->text_bytes / TOKEN_BYTES_MAX > (size_t)count)
        snprintf(why, room, "it counts %d output tokens where %zu bytes of text came", count,
                 seen->text_bytes);
    else if (count > seen->max_tokens && (size_t)count > seen->text_bytes)
        snprintf(why, room,
                 "it counts %d output tokens where at most %d were asked for and %zu bytes came",
                 count, seen->max_tokens, seen->text_bytes);
    else
        return true;
    return false;
}

static bool prompt_can_be(int count, const struct infer_seen *seen, char *why, size_t room)
{
    size_t bytes = seen->prompt_bytes;

    if (count == INFER_COUNT_BAD)
        snprintf(why, room, "its count of prompt tokens is not a whole number from 0 up");
    else if (count >= 0 && count < seen->prompt_ids)
        snprintf(why, room, "it counts %d prompt tokens where %d were sent", count,
                 seen->prompt_ids);
    else if (count >= 0 && bytes > 0 && (count == 0 || bytes / TOKEN_BYTES_MAX > (size_t)count))
        snprintf(why, room, "it counts %d prompt tokens of %zu bytes of text", count, bytes);
    else if (!seen->is_chat && bytes > 0 && count >= 0 && (size_t)count > bytes + ADDED_TOKENS_MAX)
        snprintf(why, room, "it counts %d prompt tokens of %zu bytes of text", count, bytes);
    else if (seen->context_tokens_max > 0 && count > seen->context_tokens_max)
        snprintf(why, room, "it counts %d prompt tokens in a context of %d", count,
                 seen->context_tokens_max);
    else
        return true;
    return false;
}

static bool cached_can_be(const struct infer_counts *counts, char *why, size_t room)
{
    if (counts->cached == INFER_COUNT_BAD)
        snprintf(why, room, "its count of cached tokens is not a whole number from 0 up");
    else if (counts->prompt >= 0 && counts->cached > counts->prompt)
        snprintf(why, room, "it counts %d cached tokens of %d prompt tokens", counts->cached,
                 counts->prompt);
    else
        return true;
    return false;
}

static bool add_up(const struct infer_counts *counts, char *why, size_t room)
{
    if (counts->prompt < 0 || counts->output < 0 || counts->total < 0 ||
        (int64_t)counts->prompt + counts->output == counts->total)
        return true;
    snprintf(why, room, "it counts %d prompt and %d output tokens, and %d in all", counts->prompt,
             counts->output, counts->total);
    return false;
}

bool infer_counts_check(struct infer_counts *counts, const struct infer_seen *seen, char *why,
                        size_t room)
{
    char reasons[4][INFER_REPLY_REASON_BYTES] = {"", "", "", ""};
    bool output = output_can_be(counts->output, seen, reasons[0], sizeof reasons[0]);
    bool prompt = prompt_can_be(counts->prompt, seen, reasons[1], sizeof reasons[1]);
    bool cached = cached_can_be(counts, reasons[2], sizeof reasons[2]);
    bool sum = add_up(counts, reasons[3], sizeof reasons[3]);
    size_t length = 0;

    if (!output || !sum)
        counts->output = INFER_COUNT_UNKNOWN;
    if (!prompt || !sum)
        counts->prompt = INFER_COUNT_UNKNOWN;
    if (!cached || !prompt || !sum)
        counts->cached = INFER_COUNT_UNKNOWN;
    for (size_t i = 0; i < CAP_COUNT_OF(reasons) && length < room; i++)
        if (*reasons[i])
            length += (size_t)snprintf(why + length, room - length, "%s%s", length ? "; " : "",
                                       reasons[i]);
    return output && prompt && cached && sum;
}

/* ---- chunks ---- */

/* "" and "null" are how some servers write that the answer goes on; an object has its word in
 * "type". */
static const char *finish_reason_of(const json_t *choice)
{
    const json_t *value = json_object_get(choice, "finish_reason");
    const char *reason =
        json_is_object(value) ? text_of(value, "type") : text_of(choice, "finish_reason");

    return reason && strcasecmp(reason, "null") != 0 && strcmp(reason, "None") != 0 ? reason : NULL;
}

/* "insufficient_system_resource", "network_error" and the like: each server has its own. */
bool infer_reason_is_failure(const char *reason)
{
    static const char *const stems[] = {
        "abort",    "error",   "cancel",       "fail",      "timeout",     "timed_out", "interrupt",
        "overload", "preempt", "insufficient", "exception", "unavailable", NULL};

    return has_any(reason, stems);
}

/* One answer is asked for: what stands under another index is another answer. */
static const json_t *first_choice(const json_t *json)
{
    const json_t *choice;
    size_t i;

    json_array_foreach(json_object_get(json, "choices"), i, choice)
    {
        if (json_integer_value(json_object_get(choice, "index")) == 0)
            return choice;
    }
    return NULL;
}

/* A chat's text is in its delta, or in a message where a server sends all at once. The first chunk
 * of a chat often holds nothing but the role: that is not the first token. */
static bool read_choice(const json_t *choice, struct infer_chunk *out, struct cap_err *err)
{
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *said = delta ? delta : json_object_get(choice, "message");
    const json_t *text = json_object_get(said ? said : choice, said ? "content" : "text");
    const char *content = json_string_value(text);

    if (text && !content && !json_is_null(text)) /* else the answer would lose it without a word */
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the server sent an answer whose content is not a text");
    out->finish_reason = finish_reason_of(choice);
    if (said)
        out->reasoning = json_string_value(json_object_get(said, "reasoning_content"));
    if (said && !out->reasoning)
        out->reasoning = json_string_value(json_object_get(said, "reasoning"));
    out->text = content ? content : "";
    out->text_length = content ? json_string_length(text) : 0;
    out->has_choice = out->finish_reason || out->reasoning || !said ||
                      (content && (*content || !json_object_get(said, "role")));
    out->is_closing = out->finish_reason && !out->reasoning && !*out->text;
    return true;
}

static void read_routing(const json_t *json, struct infer_chunk *out)
{
    const json_t *routed = json_object_get(json_object_get(json, "sglext"), "routed_experts");

    out->routed_experts = json_string_value(routed);
    out->routed_length = json_string_length(routed);
}

static bool is_blank(const char *data, size_t length)
{
    return strspn(data, " \t\r\n") == length;
}

static bool fail_midway(const char *words, struct cap_err *err)
{
    return cap_fail(err, is_dead(words) ? CAP_UNAVAILABLE : CAP_FAILED_PRECONDITION,
                    "the server failed in the middle: %s", words);
}

/* Its data may be JSON of any shape, or plain text. */
static bool fail_named(const char *data, size_t length, const json_t *json, struct cap_err *err)
{
    char words[INFER_REPLY_REASON_BYTES];

    if (json && !infer_reply_error(json, words, sizeof words))
        say_error(json, words, sizeof words);
    else if (!json)
        say(words, sizeof words, "", is_blank(data, length) ? NULL : data);
    return fail_midway(words, err);
}

/* "[ERROR] out of memory": plain text among the events of a model server, but not a page of HTML.
 */
static bool is_plain_error(const char *data)
{
    static const char *const words[] = {"error",     "exception",     "failed",
                                        "traceback", "out of memory", NULL};

    return !strpbrk(data, "<{") && has_any(data, words);
}

/* An event whose data is not an object: only a named one may hold anything. */
static bool take_other(const char *name, const char *data, size_t length, struct cap_err *err)
{
    char words[INFER_REPLY_REASON_BYTES];

    if (*name)
        return true;
    if (!is_plain_error(data))
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the server sent an event that is not a JSON object (%zu bytes): %s",
                        length, why_no_json(data, length, words, sizeof words));
    say(words, sizeof words, "", data);
    return fail_midway(words, err);
}

static bool read_json(const char *name, const char *data, size_t length, struct infer_chunk *chunk,
                      struct cap_err *err)
{
    char words[INFER_REPLY_REASON_BYTES];
    const json_t *choice, *error;

    chunk->json = infer_reply_json(data, length);
    if (names_error(name))
        return fail_named(data, length, chunk->json, err);
    if (is_blank(data, length))
        return true;
    if (!json_is_object(chunk->json))
        return take_other(name, data, length, err);
    error = find_error(chunk->json);
    if (!error && !*name) /* a message under another name ("status") may be anything */
        error = find_complaint(chunk->json);
    if (error) {
        say_error(error, words, sizeof words);
        return fail_midway(words, err);
    }
    choice = first_choice(chunk->json);
    if (choice && !read_choice(choice, chunk, err))
        return false;
    read_usage(chunk->json, chunk);
    read_routing(chunk->json, chunk);
    chunk->id = text_of(chunk->json, "id");
    chunk->fingerprint = text_of(chunk->json, "system_fingerprint");
    return true;
}

bool infer_chunk_read(const char *name, const char *data, size_t length, struct infer_chunk *out,
                      struct cap_err *err)
{
    struct infer_chunk chunk = {.text = "",
                                .counts = {INFER_COUNT_UNKNOWN, INFER_COUNT_UNKNOWN,
                                           INFER_COUNT_UNKNOWN, INFER_COUNT_UNKNOWN}};

    if (!read_json(name, data, length, &chunk, err)) {
        json_decref(chunk.json);
        return false;
    }
    *out = chunk;
    return true;
}

void infer_chunk_done(struct infer_chunk *chunk)
{
    json_decref(chunk->json);
    chunk->json = NULL;
}
