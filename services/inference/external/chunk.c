#include "openai_chunk.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int count_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_integer(value) ? (int)json_integer_value(value) : -1;
}

static void read_usage(const json_t *json, struct infer_openai_chunk *out)
{
    const json_t *usage = json_object_get(json, "usage");

    if (!json_is_object(usage))
        return;
    out->has_usage = true;
    out->prompt_tokens = count_of(usage, "prompt_tokens");
    out->output_tokens = count_of(usage, "completion_tokens");
    out->cached_tokens = count_of(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
}

/* The first chunk of a chat often holds nothing but the role: that is not the first token. */
static void read_choice(const json_t *choice, struct infer_openai_chunk *out)
{
    const json_t *delta = json_object_get(choice, "delta");
    const char *content = delta ? text_of(delta, "content") : text_of(choice, "text");

    out->finish_reason = text_of(choice, "finish_reason");
    if (delta)
        out->reasoning = text_of(delta, "reasoning_content");
    if (delta && !out->reasoning)
        out->reasoning = text_of(delta, "reasoning");
    out->text = content ? content : "";
    out->has_choice = out->finish_reason || out->reasoning || !delta ||
                      (content && (*content || !json_object_get(delta, "role")));
}

bool infer_openai_chunk_read(const char *data, size_t length, struct infer_openai_chunk *out,
                             struct cap_err *err)
{
    struct infer_openai_chunk chunk = {
        .text = "", .prompt_tokens = -1, .output_tokens = -1, .cached_tokens = -1};
    char reason[200];
    json_t *choice;

    chunk.json = json_loadb(data, length, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(chunk.json)) {
        json_decref(chunk.json);
        return cap_fail(err, CAP_UNAVAILABLE, "the server sent what is no JSON: %.80s", data);
    }
    if (json_object_get(chunk.json, "error")) {
        infer_openai_error_text(data, length, reason, sizeof reason);
        json_decref(chunk.json);
        return cap_fail(err, CAP_UNAVAILABLE, "the server failed in the middle: %s", reason);
    }
    choice = json_array_get(json_object_get(chunk.json, "choices"), 0);
    if (choice)
        read_choice(choice, &chunk);
    read_usage(chunk.json, &chunk);
    *out = chunk;
    return true;
}

void infer_openai_chunk_done(struct infer_openai_chunk *chunk)
{
    json_decref(chunk->json);
    chunk->json = NULL;
}

void infer_openai_error_text(const char *body, size_t length, char *out, size_t room)
{
    json_t *json = json_loadb(body, length, JSON_ALLOW_NUL, NULL);
    const json_t *error = json_object_get(json, "error"), *detail = json_object_get(json, "detail");
    const char *message = text_of(error, "message");

    if (!message)
        message = json_string_value(error);
    if (!message)
        message = text_of(json, "message");
    if (!message)
        message = json_is_array(detail) ? text_of(json_array_get(detail, 0), "msg")
                                        : json_string_value(detail);
    snprintf(out, room, "%s", message ? message : length > 0 ? body : "no reason given");
    json_decref(json);
}
