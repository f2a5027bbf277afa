#include "external/guess.h"

#include <stdio.h>
#include <string.h>

#include "external/reply.h"

enum { REPLY_BYTES_MAX = 32 << 20, REFUSAL_MS_MAX = 30000 };

static bool settle(struct infer_guess *out, const char *kind, const char *why)
{
    out->kind = infer_kind_find(kind);
    snprintf(out->why, sizeof out->why, "%s", why);
    return true;
}

/* The model list: who owns its entries, and what only one server writes there. */
static bool by_models(const json_t *models, struct infer_guess *out)
{
    static const char *const owners[] = {"vllm", "sglang", "llamacpp"};
    const json_t *entry = json_array_get(json_object_get(models, "data"), 0);
    const char *owner = json_string_value(json_object_get(entry, "owned_by"));
    char why[100];

    for (size_t i = 0; owner && i < CAP_COUNT_OF(owners); i++)
        if (strcmp(owner, owners[i]) == 0) {
            snprintf(why, sizeof why, "its models are owned by \"%s\"", owner);
            return settle(out, owners[i], why);
        }
    if (owner && strcmp(owner, "moecap") == 0)
        return settle(out, "openai", "this is a moecap node; use --engine openai");
    return json_object_get(json_object_get(entry, "meta"), "n_ctx") &&
           settle(out, "llamacpp", "its model list holds meta.n_ctx");
}

/* A path that answers 200 with an object that has this field. */
static bool by_path(const struct infer_server *server, const char *path, const char *field,
                    const char *kind, struct infer_guess *out)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(REPLY_BYTES_MAX);
    struct cap_http_reply reply;
    struct cap_err err = {0};
    char why[100];
    json_t *json;
    bool has;

    if (!infer_server_get(server, path, arena, &reply, &err) || reply.status != 200)
        return false;
    json = infer_reply_json(reply.body, reply.length);
    has = json_object_get(json, field) != NULL;
    json_decref(json);
    snprintf(why, sizeof why, "%s answers with \"%s\"", path, field);
    return has && settle(out, kind, why);
}

/* Its way to refuse a field that nobody knows. */
static bool by_refusal(const struct infer_server *server, struct infer_guess *out)
{
    static const char body[] = "{\"model\":\"moecap-engine-check\",\"prompt\":\"a\","
                               "\"max_tokens\":1,\"moecap_engine_check\":1}";
    CAP_AUTO(cap_arena) arena = cap_arena_new(REPLY_BYTES_MAX);
    CAP_AUTO_MEM char *url = infer_server_url(server, "/v1/completions");
    const struct cap_http_ask ask = {
        .url = url, .headers = server->headers, .body = body, .deadline_ms = REFUSAL_MS_MAX};
    struct cap_http_reply reply;
    struct cap_err err = {0};

    return cap_http_fetch(&ask, arena, &reply, &err) && reply.status == 422 &&
           strstr(reply.body, "Unexpected fields") &&
           settle(out, "transformers", "it refuses unknown fields with 422, as no other does");
}

void infer_guess_kind(const struct infer_server *server, const json_t *models,
                      struct infer_guess *out)
{
    if (by_models(models, out) || by_path(server, "/server_info", "model_path", "sglang", out) ||
        by_path(server, "/props", "default_generation_settings", "llamacpp", out) ||
        by_path(server, "/version", "version", "vllm", out) || by_refusal(server, out))
        return;
    settle(out, "openai", "nothing speaks for another");
}
