#include "external/chunk.h"

#include <stdint.h>
#include <string.h>

#include "external/refusal.h"
#include "external/sent.h"

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int count_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    json_int_t count = json_is_integer(value) ? json_integer_value(value) : -1;

    return count >= 0 && count <= INT32_MAX ? (int)count : -1;
}

static void read_usage(const json_t *json, struct infer_chunk *out)
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
static void read_choice(const json_t *choice, struct infer_chunk *out)
{
    const json_t *delta = json_object_get(choice, "delta");
    const json_t *text = json_object_get(delta ? delta : choice, delta ? "content" : "text");
    const char *content = json_string_value(text);

    out->finish_reason = text_of(choice, "finish_reason");
    if (delta)
        out->reasoning = text_of(delta, "reasoning_content");
    if (delta && !out->reasoning)
        out->reasoning = text_of(delta, "reasoning");
    out->text = content ? content : "";
    out->text_length = content ? json_string_length(text) : 0;
    out->has_choice = out->finish_reason || out->reasoning || !delta ||
                      (content && (*content || !json_object_get(delta, "role")));
    out->is_closing = out->finish_reason && !out->reasoning && !*out->text;
}

static void read_routing(const json_t *json, struct infer_chunk *out)
{
    const json_t *routed = json_object_get(json_object_get(json, "sglext"), "routed_experts");

    out->routed_experts = json_string_value(routed);
    out->routed_length = json_string_length(routed);
}

static bool is_error(const json_t *json)
{
    const json_t *error = json_object_get(json, "error");
    const char *object = text_of(json, "object");

    return (error && !json_is_null(error)) || (object && strcmp(object, "error") == 0);
}

bool infer_chunk_read(const char *data, size_t length, struct infer_chunk *out, struct cap_err *err)
{
    struct infer_chunk chunk = {
        .text = "", .prompt_tokens = -1, .output_tokens = -1, .cached_tokens = -1};
    char reason[200];
    json_t *choice;

    chunk.json = infer_sent_json(data, length);
    if (!json_is_object(chunk.json)) {
        json_decref(chunk.json);
        return cap_fail(err, CAP_UNAVAILABLE, "the server sent what is no JSON: %.80s", data);
    }
    if (is_error(chunk.json)) {
        infer_refusal_text(data, length, reason, sizeof reason);
        json_decref(chunk.json);
        return cap_fail(err, CAP_UNAVAILABLE, "the server failed in the middle: %s", reason);
    }
    choice = json_array_get(json_object_get(chunk.json, "choices"), 0);
    if (choice)
        read_choice(choice, &chunk);
    read_usage(chunk.json, &chunk);
    read_routing(chunk.json, &chunk);
    chunk.id = text_of(chunk.json, "id");
    chunk.fingerprint = text_of(chunk.json, "system_fingerprint");
    *out = chunk;
    return true;
}

void infer_chunk_done(struct infer_chunk *chunk)
{
    json_decref(chunk->json);
    chunk->json = NULL;
}
