/* Finds out whether a server can be used, and what it is.
 *
 * A server that refuses connections may be starting; one that answers 503 is loading a model. Both
 * are waited for, each with its own limit. Then the model's name must be in the server's list,
 * since some servers answer to any name. */
#include "external/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
    GET_MS = 10000,
    CONNECT_MS = 3000,
    REPLY_BYTES_MAX = 16 << 20,
    PAUSE_MS_MIN = 100,
    PAUSE_MS_MAX = 1000,
    REFUSED_MS = 10000, /* defaults of the options */
    LOADING_MS = 600000,
    REFUSAL_MS_MAX = 30000,
    NAME_BYTES = 96, /* of a model's name in a sentence */
    WHY_BYTES = 100, /* why a kind is taken for the server's */
};

static char *copy_text(const char *text, size_t length)
{
    char *copy = strndup(text, length);

    if (!copy)
        abort();
    return copy;
}

/* The base URL may or may not end in /v1. */
static char *base_of(const char *url)
{
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/')
        length--;
    if (length >= 3 && strncmp(url + length - 3, "/v1", 3) == 0)
        length -= 3;
    return copy_text(url, length);
}

static bool start_child(struct infer_server *server, const struct infer_engine_options *options,
                        struct cap_err *err)
{
    struct infer_child_options child = {.kind = server->kind->name,
                                        .command = options->command,
                                        .log_dir = options->log_dir,
                                        .threads = options->threads};

    if (options->api_key && *options->api_key)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a key is for a server at a URL, not for one that the node starts");
    server->child = infer_child_start(&child, err);
    return server->child != NULL;
}

/* The submission's, or that of a server which the node starts for it. */
static bool find_url(struct infer_server *server, const struct infer_engine_options *options,
                     const char **out, struct cap_err *err)
{
    *out = options->url;
    if (*out && **out)
        return true;
    if (!options->command)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "no URL was given, and this node has no command that starts one");
    if (!start_child(server, options, err))
        return false;
    *out = infer_child_url(server->child);
    return true;
}

bool infer_server_init(struct infer_server *server, const struct infer_external_kind *kind,
                       const struct infer_engine_options *options, struct cap_err *err)
{
    const char *model =
        options->served_model && *options->served_model ? options->served_model : options->model;
    const char *url;
    int length;

    *server = (struct infer_server){.kind = kind};
    if (!find_url(server, options, &url, err))
        return false;
    if (options->api_key && *options->api_key) {
        length = snprintf(server->authorization, sizeof server->authorization,
                          "Authorization: Bearer %s", options->api_key);
        if (length >= (int)sizeof server->authorization)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "the API key has more than %zu bytes",
                            sizeof server->authorization - sizeof "Authorization: Bearer ");
        server->headers[0] = server->authorization;
    }
    server->base = base_of(url);
    server->model = copy_text(model, strlen(model));
    return true;
}

void infer_server_done(struct infer_server *server)
{
    infer_child_free(server->child);
    free(server->base);
    free(server->model);
    *server = (struct infer_server){0};
}

char *infer_server_url(const struct infer_server *server, const char *path)
{
    char *url = NULL;

    if (asprintf(&url, "%s%s", server->base, path) < 0)
        abort();
    return url;
}

bool infer_server_get(const struct infer_server *server, const char *path, struct cap_arena *arena,
                      struct cap_http_reply *out_reply, struct cap_err *err)
{
    CAP_AUTO_MEM char *url = infer_server_url(server, path);
    const struct cap_http_ask ask = {.url = url,
                                     .headers = server->headers,
                                     .deadline_ms = GET_MS,
                                     .connect_ms_max = CONNECT_MS,
                                     .reply_bytes_max = REPLY_BYTES_MAX};

    return cap_http_fetch(&ask, arena, out_reply, err);
}

/* ---- readiness ---- */

/* The server's own words, or what stands in their place. */
static void say_reason(const struct cap_http_reply *reply, char *out, size_t room)
{
    if (!infer_reply_body_error(reply->body, reply->length, out, room))
        infer_reply_describe(reply->type, reply->length, out, room);
}

enum readiness { READY, REFUSED, LOADING };

/* What it answers to anything but 503 is for infer_server_identify to judge: a path that it does
 * not have, a key that it does not like. */
static enum readiness ask_ready(const struct infer_server *server, struct cap_err *why)
{
    const char *path = server->kind->ready_path ? server->kind->ready_path : "/v1/models";
    CAP_AUTO(cap_arena) arena = cap_arena_new(2 * REPLY_BYTES_MAX);
    struct cap_http_reply reply;
    char reason[INFER_REPLY_REASON_BYTES];

    if (!infer_server_get(server, path, arena, &reply, why))
        return why->code == CAP_DEADLINE_EXCEEDED ? LOADING : REFUSED;
    if (reply.status != 503)
        return READY;
    say_reason(&reply, reason, sizeof reason);
    cap_fail(why, CAP_UNAVAILABLE, "%s%s answers 503: %s", server->base, path, reason);
    return LOADING;
}

static bool is_unwanted(const struct infer_engine_options *options)
{
    return options->unwanted && options->unwanted(options->unwanted_arg);
}

/* One that was started is known to be on its way. */
static int64_t limit_ms(const struct infer_server *server,
                        const struct infer_engine_options *options, enum readiness readiness)
{
    if (readiness == REFUSED && !server->child)
        return options->refused_ms_max > 0 ? options->refused_ms_max : REFUSED_MS;
    return options->loading_ms_max > 0 ? options->loading_ms_max : LOADING_MS;
}

bool infer_server_wait(const struct infer_server *server,
                       const struct infer_engine_options *options, struct cap_err *err)
{
    int64_t start_ms = cap_clock_ms(cap_clock_system()), pause_ms = PAUSE_MS_MIN;

    for (;;) {
        struct cap_err why = {0};
        enum readiness readiness = ask_ready(server, &why);
        int64_t waited_ms = cap_clock_ms(cap_clock_system()) - start_ms;

        if (server->child && infer_child_ended(server->child, err))
            return false;
        if (readiness == READY)
            return true;
        if (why.code == CAP_INVALID_ARGUMENT || why.code == CAP_FAILED_PRECONDITION) {
            *err = why; /* no URL, no HTTP there: waiting does not help */
            return false;
        }
        if (is_unwanted(options))
            return cap_fail(err, CAP_CANCELLED, "the run no longer wants the server");
        if (waited_ms + pause_ms <= limit_ms(server, options, readiness)) {
            cap_sleep_ms(pause_ms);
            pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
            continue;
        }
        if (readiness == LOADING || server->child)
            return cap_fail(err, CAP_UNAVAILABLE, "not ready after %lld s: %s",
                            (long long)(waited_ms / 1000), why.text);
        *err = why; /* nobody listens there: that says enough */
        return false;
    }
}

/* ---- identity ---- */

static int positive(const json_t *value)
{
    json_int_t number = json_integer_value(value);

    return number > 0 && number <= INT32_MAX ? (int)number : 0;
}

/* vLLM and SGLang write max_model_len, llama.cpp meta.n_ctx, which is that of one slot. */
static void read_entry(struct infer_server *server, const json_t *entry)
{
    server->listed = true;
    server->context_tokens_max = positive(json_object_get(entry, "max_model_len"));
    if (server->context_tokens_max == 0)
        server->context_tokens_max =
            positive(json_object_get(json_object_get(entry, "meta"), "n_ctx"));
}

/* A name that the server does not list would be answered by another model, by some. */
static bool find_model(struct infer_server *server, const json_t *list, struct cap_err *err)
{
    const json_t *data = json_object_get(list, "data"), *entry;
    const char *other = NULL;
    char shown[NAME_BYTES], more[32] = "";
    size_t i;

    json_array_foreach(data, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "id"));

        if (name && strcmp(name, server->model) == 0) {
            read_entry(server, entry);
            return true;
        }
        other = name ? name : other;
    }
    if (server->kind->refuses_other_names)
        return true;
    if (!other)
        return cap_fail(err, CAP_NOT_FOUND, "the server lists no model, so not \"%s\" either",
                        server->model);
    infer_reply_words(shown, sizeof shown, other);
    if (json_array_size(data) > 1)
        snprintf(more, sizeof more, " and %zu more", json_array_size(data) - 1);
    return cap_fail(err, CAP_NOT_FOUND,
                    "the server offers \"%s\"%s, not \"%s\": use the server's name as "
                    "--model, or as --served-model to keep your own",
                    shown, more, server->model);
}

json_t *infer_server_models(const struct infer_server *server, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(2 * REPLY_BYTES_MAX);
    struct cap_http_reply reply;
    char reason[INFER_REPLY_REASON_BYTES];
    json_t *list;

    if (!infer_server_get(server, "/v1/models", arena, &reply, err))
        return NULL;
    if (reply.status != 200) {
        say_reason(&reply, reason, sizeof reason);
        cap_fail(err, reply.status == 503 ? CAP_UNAVAILABLE : CAP_FAILED_PRECONDITION,
                 "%s/v1/models answered %d: %s%s", server->base, reply.status, reason,
                 reply.status == 404 ? "; the URL is the server's base, with or without /v1" : "");
        return NULL;
    }
    list = infer_reply_json(reply.body, reply.length);
    if (json_is_array(json_object_get(list, "data")))
        return list;
    json_decref(list);
    say_reason(&reply, reason, sizeof reason);
    cap_fail(err, CAP_FAILED_PRECONDITION, "%s/v1/models did not answer with a list of models: %s",
             server->base, reason);
    return NULL;
}

void infer_server_keep_version(struct infer_server *server, const char *version)
{
    infer_reply_words(server->version, sizeof server->version, version);
}

/* Unknown is fine. */
static void ask_version(struct infer_server *server)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(2 * REPLY_BYTES_MAX);
    struct cap_http_reply reply;
    struct cap_err err = {0};
    const char *version, *format;
    json_t *json;

    if (!server->kind->version_path ||
        !infer_server_get(server, server->kind->version_path, arena, &reply, &err) ||
        reply.status != 200)
        return;
    json = infer_reply_json(reply.body, reply.length);
    version = json_string_value(json_object_get(json, "version"));
    server->offers_routing = json_is_true(json_object_get(json, "enable_return_routed_experts"));
    format = json_string_value(json_object_get(json, "load_format"));
    server->random_weights = format && strcmp(format, "dummy") == 0;
    if (version)
        infer_server_keep_version(server, version);
    json_decref(json);
}

/* ---- which kind is it? ---- */

static bool take(struct infer_guess *out, const char *kind, const char *name, const char *why)
{
    out->kind = infer_kind_find(kind);
    out->name = name;
    snprintf(out->why, sizeof out->why, "%s", why);
    return true;
}

/* The model list: who owns its entries, and what only one server writes there. */
static bool by_models(const json_t *models, struct infer_guess *out)
{
    static const struct {
        const char *owner, *name;
    } owners[] = {{"vllm", "vLLM"}, {"sglang", "SGLang"}, {"llamacpp", "llama.cpp"}};
    const json_t *entry = json_array_get(json_object_get(models, "data"), 0);
    const char *owner = json_string_value(json_object_get(entry, "owned_by"));
    char why[WHY_BYTES];

    for (size_t i = 0; owner && i < CAP_COUNT_OF(owners); i++)
        if (strcmp(owner, owners[i].owner) == 0) {
            snprintf(why, sizeof why, "its models are owned by \"%s\"", owner);
            return take(out, owner, owners[i].name, why);
        }
    if (owner && strcmp(owner, "moecap") == 0)
        return take(out, "openai", "a node of moecap",
                    "this is a moecap node; use --engine openai");
    return json_object_get(json_object_get(entry, "meta"), "n_ctx") &&
           take(out, "llamacpp", "llama.cpp", "its model list holds meta.n_ctx");
}

/* A path that answers 200 with an object that has this field. */
static bool by_path(const struct infer_server *server, const char *path, const char *field,
                    const char *kind, const char *name, struct infer_guess *out)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(2 * REPLY_BYTES_MAX);
    struct cap_http_reply reply;
    struct cap_err err = {0};
    char why[WHY_BYTES];
    json_t *json;
    bool has;

    if (!infer_server_get(server, path, arena, &reply, &err) || reply.status != 200)
        return false;
    json = infer_reply_json(reply.body, reply.length);
    has = json_object_get(json, field) != NULL;
    json_decref(json);
    snprintf(why, sizeof why, "%s answers with \"%s\"", path, field);
    return has && take(out, kind, name, why);
}

/* How it refuses a field that no server has. */
static bool by_refusal(const struct infer_server *server, struct infer_guess *out)
{
    static const char body[] = "{\"model\":\"moecap-engine-check\",\"prompt\":\"a\","
                               "\"max_tokens\":1,\"moecap_engine_check\":1}";
    CAP_AUTO(cap_arena) arena = cap_arena_new(2 * REPLY_BYTES_MAX);
    CAP_AUTO_MEM char *url = infer_server_url(server, "/v1/completions");
    const struct cap_http_ask ask = {
        .url = url, .headers = server->headers, .body = body, .deadline_ms = REFUSAL_MS_MAX};
    struct cap_http_reply reply;
    struct cap_err err = {0};

    return cap_http_fetch(&ask, arena, &reply, &err) && reply.status == 422 &&
           strstr(reply.body, "Unexpected fields") &&
           take(out, "transformers", "transformers serve",
                "it refuses unknown fields with 422, as no other does");
}

/* What the server itself says. */
static bool by_its_word(const struct infer_server *server, const json_t *models,
                        struct infer_guess *out)
{
    return by_models(models, out) ||
           by_path(server, "/server_info", "model_path", "sglang", "SGLang", out) ||
           by_path(server, "/props", "default_generation_settings", "llamacpp", "llama.cpp", out);
}

void infer_guess_kind(const struct infer_server *server, const json_t *models,
                      struct infer_guess *out)
{
    if (!by_its_word(server, models, out) &&
        !by_path(server, "/version", "version", "vllm", "vLLM", out) && !by_refusal(server, out))
        take(out, "openai", NULL, "nothing speaks for another");
}

/* A run is named after the engine that its submitter named: a reader must see when the server says
 * something else. */
static void note_other_kind(struct infer_server *server, const json_t *models)
{
    const struct infer_external_kind *kind = server->kind;
    struct infer_guess guess;

    if (by_its_word(server, models, &guess) && guess.kind != kind &&
        (!kind->speaks_as || strcmp(kind->speaks_as, guess.kind->name) != 0))
        snprintf(server->says, sizeof server->says, "%s (%.120s)", guess.name, guess.why);
}

bool infer_server_identify(struct infer_server *server, struct cap_err *err)
{
    json_t *models = infer_server_models(server, err);
    bool found = models && find_model(server, models, err);

    if (found) {
        ask_version(server);
        note_other_kind(server, models);
    }
    json_decref(models);
    return found;
}
