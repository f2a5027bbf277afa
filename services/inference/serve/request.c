/* Reads a request's body, field by field, into what an engine takes.
 *
 * There are three rules. A field that we know but do not support is refused, since to ignore it
 * would change the answer. A field that we do not know is ignored, as other servers do. Absent and
 * null are the same. Reading ends at the first wrong field, and the client gets its name as
 * OpenAI's "param". */
#include "serve/inside.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/json_why.h"

enum {
    STOPS_MAX = 16,
    MESSAGES_MAX = 4096,
    TOKENS_MAX_DEFAULT = 16, /* of /v1/completions, as OpenAI has it */
};

/* What a field's reader needs; `param` is the field at fault. */
struct reading {
    json_t *body;
    struct cap_arena *arena;
    const char *param;
    struct cap_err *err;
};

static bool refuse(struct reading *reading, const char *param, const char *why)
{
    reading->param = param;
    return cap_fail(reading->err, CAP_INVALID_ARGUMENT, "%s %s", param, why);
}

static bool refuse_more(struct reading *reading, const char *param, int max)
{
    reading->param = param;
    return cap_fail(reading->err, CAP_INVALID_ARGUMENT, "%s has more than %d entries", param, max);
}

static bool fail_full(struct reading *reading)
{
    return cap_fail(reading->err, CAP_RESOURCE_EXHAUSTED, "the request is too large");
}

/* ---- plain fields: absent and null leave *out as it is ---- */

static json_t *field(const struct reading *reading, const char *name)
{
    json_t *value = json_object_get(reading->body, name);

    return json_is_null(value) ? NULL : value;
}

static bool read_bool(struct reading *reading, const char *name, bool *out)
{
    json_t *value = field(reading, name);

    if (value && !json_is_boolean(value))
        return refuse(reading, name, "is not true or false");
    if (value)
        *out = json_is_true(value);
    return true;
}

static bool read_int(struct reading *reading, const char *name, int min, int *out)
{
    json_t *value = field(reading, name);

    if (!value)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > INT_MAX) {
        reading->param = name;
        return cap_fail(reading->err, CAP_INVALID_ARGUMENT, "%s is not a whole number from %d up",
                        name, min);
    }
    *out = (int)json_integer_value(value);
    return true;
}

static bool read_number(struct reading *reading, const char *name, double min, double max,
                        double *out)
{
    json_t *value = field(reading, name);
    double number = json_number_value(value);

    if (!value)
        return true;
    if (!json_is_number(value) || !isfinite(number) || number < min || number > max) {
        reading->param = name;
        return cap_fail(reading->err, CAP_INVALID_ARGUMENT, "%s is not a number from %g to %g",
                        name, min, max);
    }
    *out = number;
    return true;
}

static bool copy_text(struct reading *reading, const json_t *value, const char **out)
{
    *out = cap_arena_strdup(reading->arena, json_string_value(value));
    return *out || fail_full(reading);
}

/* ---- fields that we know but do not support: to ignore them would change the answer ---- */

static bool is_nothing(const json_t *value)
{
    return !value || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static bool check_unsupported(struct reading *reading)
{
    static const char *const names[] = {
        "suffix",
        "logit_bias",
        "presence_penalty",
        "frequency_penalty",
        "tools",
        "functions",
        "top_logprobs",
        "audio",
        "prompt_logprobs",
        "guided_json",
        "min_p",
        "use_beam_search",
        "prediction",
    };
    const char *format = json_string_value(
        json_object_get(json_object_get(reading->body, "response_format"), "type"));

    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        if (!is_nothing(field(reading, names[i])))
            return refuse(reading, names[i], "is not supported");
    if (format && strcmp(format, "text") != 0)
        return refuse(reading, "response_format", "is supported only as type \"text\"");
    return true;
}

static bool check_one(struct reading *reading, const char *name)
{
    int value = 1;

    return read_int(reading, name, 0, &value) &&
           (value == 1 || refuse(reading, name, "is supported only as 1"));
}

/* ---- settings shared by the prompts of a request ---- */

static bool read_stop(struct reading *reading, struct infer_request *out)
{
    json_t *value = field(reading, "stop");
    size_t count = json_is_string(value) ? 1 : json_array_size(value);
    const char **stops = cap_arena_array(reading->arena, count + 1, sizeof *stops);

    if (!value)
        return true;
    if (!json_is_string(value) && !json_is_array(value))
        return refuse(reading, "stop", "is not a string or a list of strings");
    if (count > STOPS_MAX)
        return refuse_more(reading, "stop", STOPS_MAX);
    if (!stops)
        return fail_full(reading);
    for (size_t i = 0; i < count; i++) {
        json_t *text = json_is_string(value) ? value : json_array_get(value, i);

        if (!json_is_string(text) || json_string_length(text) == 0)
            return refuse(reading, "stop", "holds something that is not text, or an empty text");
        if (!copy_text(reading, text, &stops[i]))
            return false;
    }
    out->stop = stops;
    out->stop_count = (int)count;
    return true;
}

static bool read_seed(struct reading *reading, uint64_t *out)
{
    json_t *value = field(reading, "seed");

    if (value && !json_is_integer(value))
        return refuse(reading, "seed", "is not a whole number");
    if (value)
        *out = (uint64_t)json_integer_value(value);
    else if (getrandom(out, sizeof *out, 0) != sizeof *out)
        *out = 0;
    return true;
}

/* Without max_tokens a completion ends after 16 tokens and a chat at the end of the context. */
static bool read_length(struct reading *reading, bool chat, struct infer_request *out)
{
    bool echo = json_is_true(field(reading, "echo")); /* only then an answer may have no token */
    int min_tokens = 0;

    out->max_tokens = chat ? 0 : TOKENS_MAX_DEFAULT;
    if (!read_int(reading, "max_tokens", echo ? 0 : 1, &out->max_tokens) ||
        !read_int(reading, "max_completion_tokens", 1, &out->max_tokens) ||
        !read_int(reading, "min_tokens", 0, &min_tokens) ||
        !read_bool(reading, "ignore_eos", &out->ignore_eos))
        return false;
    if (min_tokens > 0 && !out->ignore_eos)
        return refuse(reading, "min_tokens", "is supported only together with ignore_eos");
    return true;
}

static bool read_settings(struct reading *reading, bool chat, struct infer_request *out)
{
    *out = (struct infer_request){.temperature = 1, .top_p = 1};
    return check_unsupported(reading) && check_one(reading, "n") && check_one(reading, "best_of") &&
           read_length(reading, chat, out) &&
           read_number(reading, "temperature", 0, 100, &out->temperature) &&
           read_number(reading, "top_p", 1e-9, 1, &out->top_p) &&
           read_int(reading, "top_k", -1, &out->top_k) && read_stop(reading, out) &&
           read_seed(reading, &out->seed);
}

static bool read_stream(struct reading *reading, struct infer_serve_request *out)
{
    json_t *options = field(reading, "stream_options");
    json_t *usage = json_object_get(options, "include_usage");

    if (options && !json_is_object(options))
        return refuse(reading, "stream_options", "is not an object");
    out->include_usage = json_is_true(usage);
    return read_bool(reading, "stream", &out->stream);
}

static bool read_logprobs(struct reading *reading, struct infer_serve_request *out)
{
    bool wanted = false;

    out->logprobs = -1;
    if (!out->chat)
        return read_int(reading, "logprobs", 0, &out->logprobs) &&
               read_bool(reading, "echo", &out->echo);
    return read_bool(reading, "logprobs", &wanted) &&
           (!wanted || refuse(reading, "logprobs", "is not supported for chats"));
}

/* ---- the prompt ---- */

static bool read_ids(struct reading *reading, const json_t *list, struct infer_request *out)
{
    size_t count = json_array_size(list);
    uint32_t *ids = cap_arena_array(reading->arena, count, sizeof *ids);

    if (count == 0)
        return refuse(reading, "prompt", "is an empty list");
    if (!ids)
        return fail_full(reading);
    for (size_t i = 0; i < count; i++) {
        json_t *id = json_array_get(list, i);

        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT_MAX)
            return refuse(reading, "prompt", "holds something that is not a token id");
        ids[i] = (uint32_t)json_integer_value(id);
    }
    out->prompt_ids = ids;
    out->prompt_id_count = (int)count;
    return true;
}

static bool read_one_prompt(struct reading *reading, const json_t *value, struct infer_request *out)
{
    if (json_is_string(value))
        return copy_text(reading, value, &out->text);
    if (json_is_array(value))
        return read_ids(reading, value, out);
    return refuse(reading, "prompt", "is neither text, nor token ids, nor a list of these");
}

/* Text, [text, ...], [id, ...] or [[id, ...], ...]. */
static bool read_prompts(struct reading *reading, const struct infer_request *settings,
                         struct infer_serve_request *out)
{
    json_t *value = field(reading, "prompt");
    bool many = json_is_array(value) && !json_is_integer(json_array_get(value, 0));
    size_t count = many ? json_array_size(value) : 1;

    if (!value || count == 0)
        return refuse(reading, "prompt", "is missing or empty");
    if (count > INFER_SERVE_PROMPTS_MAX)
        return refuse_more(reading, "prompt", INFER_SERVE_PROMPTS_MAX);
    out->prompts = cap_arena_array(reading->arena, count, sizeof *out->prompts);
    if (!out->prompts)
        return fail_full(reading);
    out->prompt_count = (int)count;
    for (size_t i = 0; i < count; i++) {
        out->prompts[i] = *settings;
        if (!read_one_prompt(reading, many ? json_array_get(value, i) : value, &out->prompts[i]))
            return false;
    }
    return true;
}

/* Text, null, or a list of parts of which each is text. */
static bool read_content(struct reading *reading, const json_t *content, const char **out)
{
    CAP_AUTO_BUF(text, 16 << 20);

    if (!content || json_is_null(content)) {
        *out = "";
        return true;
    }
    if (json_is_string(content))
        return copy_text(reading, content, out);
    if (!json_is_array(content))
        return refuse(reading, "messages",
                      "has a content that is neither text nor a list of parts");
    for (size_t i = 0; i < json_array_size(content); i++) {
        const char *part = json_string_value(json_object_get(json_array_get(content, i), "text"));

        if (!part)
            return refuse(reading, "messages", "has a part that is not text");
        cap_buf_add_str(&text, part);
    }
    *out = cap_arena_strdup(reading->arena, text.data);
    return *out || fail_full(reading);
}

static bool read_messages(struct reading *reading, const struct infer_request *settings,
                          struct infer_serve_request *out)
{
    json_t *value = field(reading, "messages");
    size_t count = json_array_size(value);
    struct infer_message *messages = cap_arena_array(reading->arena, count + 1, sizeof *messages);

    if (count == 0)
        return refuse(reading, "messages", "is missing or empty");
    if (count > MESSAGES_MAX)
        return refuse_more(reading, "messages", MESSAGES_MAX);
    out->prompts = cap_arena_alloc(reading->arena, sizeof *out->prompts);
    if (!messages || !out->prompts)
        return fail_full(reading);
    for (size_t i = 0; i < count; i++) {
        json_t *message = json_array_get(value, i);
        json_t *role = json_object_get(message, "role");

        if (!json_is_string(role))
            return refuse(reading, "messages", "has an entry without a role");
        if (!copy_text(reading, role, &messages[i].role) ||
            !read_content(reading, json_object_get(message, "content"), &messages[i].content))
            return false;
    }
    *out->prompts = *settings;
    out->prompts->messages = messages;
    out->prompts->message_count = (int)count;
    out->prompt_count = 1;
    return true;
}

static bool read_model(struct reading *reading, struct infer_serve_request *out)
{
    json_t *value = field(reading, "model");

    if (value && !json_is_string(value))
        return refuse(reading, "model", "is not a string");
    return !value || json_string_length(value) == 0 || copy_text(reading, value, &out->model);
}

/* What harnesses ask for to get the log-likelihood of a text: its tokens, each with its own. */
static bool check_echo(struct reading *reading, const struct infer_serve_request *out)
{
    if (out->logprobs >= 0 && !out->echo)
        return refuse(reading, "logprobs", "is supported only together with echo");
    if (out->logprobs > 1)
        return refuse(reading, "logprobs", "is supported only as 0 or 1");
    if (out->echo && out->stream)
        return refuse(reading, "echo", "is not supported in streams");
    for (int i = 0; i < out->prompt_count && out->echo && out->logprobs < 0; i++)
        if (out->prompts[i].prompt_id_count)
            return refuse(reading, "echo", "of token ids is supported only together with logprobs");
    return true;
}

static bool read_body(struct reading *reading, struct infer_serve_request *out)
{
    struct infer_request settings;

    if (!json_is_object(reading->body))
        return cap_fail(reading->err, CAP_INVALID_ARGUMENT, "the body is not a JSON object");
    if (!read_settings(reading, out->chat, &settings) || !read_model(reading, out) ||
        !read_stream(reading, out) || !read_logprobs(reading, out) ||
        !(out->chat ? read_messages(reading, &settings, out)
                    : read_prompts(reading, &settings, out)))
        return false;
    if (out->stream && out->prompt_count > 1)
        return refuse(reading, "stream", "is supported for one prompt only");
    return out->chat || check_echo(reading, out);
}

bool infer_serve_parse(const char *body, size_t length, bool chat, struct cap_arena *arena,
                       struct infer_serve_request *out, const char **out_param, struct cap_err *err)
{
    json_error_t where;
    char why[JSON_ERROR_TEXT_LENGTH];
    struct reading reading = {.arena = arena, .err = err};
    bool ok;

    *out_param = NULL;
    *out = (struct infer_serve_request){.chat = chat};
    reading.body = json_loadb(body, length, 0, &where);
    if (!reading.body)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the body is not JSON: %s",
                        cap_json_why(&where, why, sizeof why));
    ok = read_body(&reading, out);
    json_decref(reading.body);
    *out_param = reading.param;
    return ok;
}
