/* The kinds of servers, and a request as each of them wants it: what may be asked, and the JSON
 * that is posted. Every field that changes an answer is sent, since servers' defaults differ; what
 * only one kind knows is in its row. Pure. */
#include "external/inside.h"

#include <string.h>

#include "encode.h"

static const struct infer_external_kind *const kinds[] = {
#define KIND(id, name) &infer_kind_##id,
#include "external/kinds.def"
#undef KIND
};

const struct infer_external_kind *infer_kind_find(const char *name)
{
    for (size_t i = 0; i < CAP_COUNT_OF(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

void infer_kind_set_int(json_t *body, const char *name, int64_t value)
{
    json_object_set_new(body, name, json_integer((json_int_t)value));
}

void infer_kind_set_real(json_t *body, const char *name, double value)
{
    json_object_set_new(body, name, json_real(value));
}

void infer_kind_set_flag(json_t *body, const char *name, bool value)
{
    json_object_set_new(body, name, json_boolean(value));
}

void infer_kind_set_neutral(json_t *body, const struct infer_request *request)
{
    infer_kind_set_real(body, "min_p", 0);
    infer_kind_set_real(body, "repetition_penalty", 1);
    infer_kind_set_real(body, "presence_penalty", 0);
    infer_kind_set_real(body, "frequency_penalty", 0);
    if (!request->ignore_eos)
        return;
    infer_kind_set_flag(body, "ignore_eos", true);
    infer_kind_set_int(body, "min_tokens", request->max_tokens);
}

/* No tokenizer that we know makes fewer tokens of a long text: for servers that never refuse a
 * prompt, text that is past its context by this measure is past it. */
enum { BYTES_PER_TOKEN_MAX = 16 };

/* ---- what cannot be asked ---- */

size_t infer_body_prompt_bytes(const struct infer_request *request)
{
    size_t bytes = request->text ? strlen(request->text) : 0;

    for (int i = 0; i < request->message_count; i++)
        bytes += strlen(request->messages[i].content);
    return bytes;
}

/* Fewer it cannot be; 1 where only the server could count. */
static int64_t prompt_tokens_min(const struct infer_server *server,
                                 const struct infer_request *request)
{
    if (request->prompt_id_count > 0)
        return request->prompt_id_count;
    if (!server->kind->accepts_overlong)
        return 1;
    return 1 + (int64_t)(infer_body_prompt_bytes(request) / BYTES_PER_TOKEN_MAX);
}

static bool check_context(const struct infer_server *server, const struct infer_request *request,
                          struct cap_err *err)
{
    int64_t prompt = prompt_tokens_min(server, request);

    if (server->context_tokens_max == 0 ||
        prompt + request->max_tokens <= server->context_tokens_max)
        return true;
    return cap_fail(err, CAP_OUT_OF_RANGE,
                    "a prompt of %lld tokens or more and %d to generate do not fit into the "
                    "server's context of %d",
                    (long long)prompt, request->max_tokens, server->context_tokens_max);
}

static bool check_scoring(const struct infer_external_kind *kind,
                          const struct infer_request *request, struct cap_err *err)
{
    if (request->continuation_count == 0 && !request->score_prompt)
        return true;
    if (kind->scoring == INFER_SCORING_NONE || request->score_prompt)
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "engine %s cannot score log-likelihoods; use a task that generates",
                        kind->name);
    if (request->message_count > 0 || !request->text)
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "engine %s scores continuations of a text only, not of a chat", kind->name);
    return infer_encode_context_length(request->text, strlen(request->text)) > 0 ||
           cap_fail(err, CAP_INVALID_ARGUMENT,
                    "a server cannot score continuations of an empty context");
}

bool infer_body_check(const struct infer_server *server, const struct infer_request *request,
                      struct cap_err *err)
{
    const struct infer_external_kind *kind = server->kind;

    if (!check_scoring(kind, request, err))
        return false;
    if (request->prompt_id_count > 0 && !kind->takes_token_ids)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "engine %s takes text, not tokens",
                        kind->name);
    if (request->stop_count > kind->stop_max)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "engine %s takes %d stop strings, not %d",
                        kind->name, kind->stop_max, request->stop_count);
    return check_context(server, request, err);
}

/* ---- the body ---- */

static json_t *messages_json(const struct infer_request *request)
{
    json_t *list = json_array();

    for (int i = 0; i < request->message_count; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "role", request->messages[i].role,
                                              "content", request->messages[i].content));
    if (json_array_size(list) == (size_t)request->message_count)
        return list;
    json_decref(list); /* one is not UTF-8 */
    return NULL;
}

static json_t *ids_json(const struct infer_request *request)
{
    json_t *list = json_array();

    for (int i = 0; i < request->prompt_id_count; i++)
        json_array_append_new(list, json_integer(request->prompt_ids[i]));
    return list;
}

static void set_prompt(json_t *body, const struct infer_request *request)
{
    if (request->message_count > 0)
        json_object_set_new(body, "messages", messages_json(request));
    else if (request->prompt_id_count > 0)
        json_object_set_new(body, "prompt", ids_json(request));
    else
        json_object_set_new(body, "prompt", json_string(request->text ? request->text : ""));
}

static void set_stops(json_t *body, const struct infer_request *request)
{
    json_t *stops = json_array();

    for (int i = 0; i < request->stop_count; i++)
        json_array_append_new(stops, json_string(request->stop[i]));
    if (request->stop_count > 0)
        json_object_set(body, "stop", stops);
    json_decref(stops);
}

static json_t *stream_options_json(const struct infer_external_kind *kind)
{
    json_t *options = json_pack("{s:b}", "include_usage", 1);

    if (kind->usage_in_every_chunk)
        infer_kind_set_flag(options, "continuous_usage_stats", true);
    return options;
}

/* Every sampling field is sent: servers' defaults differ. */
char *infer_body_generate(const struct infer_server *server, const struct infer_request *request,
                          enum infer_body_way way)
{
    bool streamed = way != INFER_BODY_WHOLE;
    uint64_t seed = request->seed % (server->kind->seed_max + 1);
    json_t *body = json_pack("{s:s,s:i,s:f,s:f,s:I,s:b}", "model", server->model, "max_tokens",
                             request->max_tokens, "temperature", request->temperature, "top_p",
                             request->top_p > 0 ? request->top_p : 1.0, "seed", (json_int_t)seed,
                             "stream", streamed);
    const char *prompt_key = request->message_count > 0 ? "messages" : "prompt";
    char *text = NULL;

    if (!body)
        return NULL;
    if (way == INFER_BODY_STREAM_ROUTED)
        infer_kind_set_flag(body, "return_routed_experts", true);
    if (streamed && server->kind->usage_on_request)
        json_object_set_new(body, "stream_options", stream_options_json(server->kind));
    set_prompt(body, request);
    set_stops(body, request);
    server->kind->set_fields(body, request);
    if (json_object_get(body, prompt_key))
        text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}
