/* Each request is one streamed POST; all of them are driven by `wait`, on the worker's thread. A
 * flight is a request on its way: being sent, waiting to be tried again, or streaming. */
#include "engine_openai.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "http/client.h"
#include "openai_chunk.h"

enum {
    ANSWER_BYTES_MAX = 16 << 20,
    REQUEST_BYTES_MAX = 64 << 20,
    MODELS_BYTES_MAX = 16 << 20,
    TRIES_MAX = 6,
    PAUSE_MS_MIN = 250,
    PAUSE_MS_MAX = 30000,
    READY_MS = 10000,
    SILENCE_S_MAX = 600,
    STOP_MAX = 4, /* as OpenAI takes */
};

struct flight {
    const struct infer_request *request; /* NULL = the slot is free */
    char *body;
    int tries;
    int64_t due_ns; /* when to try again; 0 = on its way */
    bool began;     /* a byte of the reply has come: no second try */
    int prompt_tokens, output_tokens, cached_tokens;
    char finish_reason[32];
};

struct openai_engine {
    struct infer_engine base;
    struct cap_http_client *client;
    char *completions_url, *chat_url, *model;
    char authorization[512];
    const char *headers[2];
    struct flight *flights; /* [slot_count]; the index is the HTTP request's id */
    int slot_count;
    /* of the event that was handed out last */
    struct infer_openai_chunk chunk;
    char finish_reason[32];
};

static int64_t now_ns(void)
{
    return cap_clock_ns(cap_clock_system());
}

/* ---- opening: is it there, and what does it serve? ---- */

static char *copy_text(const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        abort();
    return copy;
}

/* The base URL may or may not end in /v1. */
static char *join_url(const char *url, const char *path)
{
    CAP_AUTO_BUF(out, 4096);
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/')
        length--;
    if (length >= 3 && strncmp(url + length - 3, "/v1", 3) == 0)
        length -= 3;
    cap_buf_add(&out, url, length);
    cap_buf_add_str(&out, path);
    return copy_text(out.data);
}

/* A name that the server does not list would be answered by another model, by some. */
static bool find_model(const json_t *list, const char *wanted, struct cap_err *err)
{
    const json_t *data = json_object_get(list, "data"), *entry;
    const char *other = NULL;
    size_t i;

    json_array_foreach(data, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "id"));

        if (name && strcmp(name, wanted) == 0)
            return true;
        other = name ? name : other;
    }
    return cap_fail(err, CAP_NOT_FOUND,
                    "the server does not offer \"%s\" but %zu others, such as \"%s\": name one "
                    "with --served-model",
                    wanted, json_array_size(data), other ? other : "");
}

static bool ask_models(struct openai_engine *engine, const struct infer_engine_options *options,
                       struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(MODELS_BYTES_MAX);
    CAP_AUTO_MEM char *url = join_url(options->url, "/v1/models");
    const struct cap_http_ask ask = {
        .url = url, .headers = engine->headers, .deadline_ms = READY_MS, .tries_max = 3};
    struct cap_http_reply reply;
    char reason[200];
    json_t *list;
    bool ok;

    if (!cap_http_fetch(&ask, arena, &reply, err))
        return false;
    if (reply.status != 200) {
        infer_openai_error_text(reply.body, reply.length, reason, sizeof reason);
        return cap_fail(err, reply.status == 503 ? CAP_UNAVAILABLE : CAP_FAILED_PRECONDITION,
                        "%s answered %d: %s", url, reply.status, reason);
    }
    list = json_loadb(reply.body, reply.length, 0, NULL);
    ok = find_model(list, engine->model, err);
    json_decref(list);
    return ok;
}

static void free_openai(struct infer_engine *base)
{
    struct openai_engine *engine = (struct openai_engine *)base;

    if (!engine)
        return;
    cap_http_client_free(engine->client);
    for (int i = 0; i < engine->slot_count; i++)
        free(engine->flights[i].body);
    infer_openai_chunk_done(&engine->chunk);
    free(engine->flights);
    free(engine->completions_url);
    free(engine->chat_url);
    free(engine->model);
    free(engine);
}

static struct infer_engine *open_openai(const struct infer_engine_options *options,
                                        struct cap_err *err)
{
    struct openai_engine *engine;

    if (!options->url || !*options->url) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "a server's URL is needed");
        return NULL;
    }
    engine = calloc(1, sizeof *engine);
    if (!engine)
        abort();
    engine->base.ops = &infer_engine_openai_ops;
    engine->slot_count = options->concurrency > 0 ? options->concurrency : 1;
    engine->flights = calloc((size_t)engine->slot_count, sizeof *engine->flights);
    if (!engine->flights)
        abort();
    if (options->api_key && *options->api_key) {
        snprintf(engine->authorization, sizeof engine->authorization, "Authorization: Bearer %s",
                 options->api_key);
        engine->headers[0] = engine->authorization;
    }
    engine->model = copy_text(
        options->served_model && *options->served_model ? options->served_model : options->model);
    engine->completions_url = join_url(options->url, "/v1/completions");
    engine->chat_url = join_url(options->url, "/v1/chat/completions");
    engine->client = cap_http_client_new();
    if (ask_models(engine, options, err))
        return &engine->base;
    free_openai(&engine->base);
    return NULL;
}

static void report_openai(struct infer_engine *base, struct infer_engine_report *out_report)
{
    (void)base;
    *out_report = (struct infer_engine_report){.timing_boundary = "http",
                                               .moe_layers = -1,
                                               .experts = -1,
                                               .top_k = -1,
                                               .threads = -1,
                                               .parameters = -1,
                                               .active_parameters = -1,
                                               .context_tokens_max = -1};
}

/* ---- sending ---- */

static json_t *messages_json(const struct infer_request *request)
{
    json_t *list = json_array();

    for (int i = 0; i < request->message_count; i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "role", request->messages[i].role,
                                              "content", request->messages[i].content));
    return list;
}

/* Every sampling field is sent: servers' defaults differ. */
static char *make_body(const struct openai_engine *engine, const struct infer_request *request)
{
    json_t *json = json_pack("{s:s,s:i,s:f,s:f,s:I,s:b,s:{s:b}}", "model", engine->model,
                             "max_tokens", request->max_tokens, "temperature", request->temperature,
                             "top_p", request->top_p > 0 ? request->top_p : 1.0, "seed",
                             (json_int_t)(request->seed & INT64_MAX), "stream", 1, "stream_options",
                             "include_usage", 1);
    json_t *stops = json_array();
    char *text;

    if (!json)
        return NULL;
    for (int i = 0; i < request->stop_count; i++)
        json_array_append_new(stops, json_string(request->stop[i]));
    if (request->stop_count > 0)
        json_object_set(json, "stop", stops);
    json_decref(stops);
    if (request->top_k > 0)
        json_object_set_new(json, "top_k", json_integer(request->top_k));
    if (request->ignore_eos)
        json_object_set_new(json, "ignore_eos", json_true());
    if (request->message_count > 0)
        json_object_set_new(json, "messages", messages_json(request));
    else
        json_object_set_new(json, "prompt", json_string(request->text ? request->text : ""));
    text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static bool post(struct openai_engine *engine, int slot, struct cap_err *err)
{
    struct flight *flight = &engine->flights[slot];
    const struct cap_http_ask ask = {
        .id = (uint64_t)slot,
        .url = flight->request->message_count > 0 ? engine->chat_url : engine->completions_url,
        .headers = engine->headers,
        .body = flight->body,
        .silence_s_max = SILENCE_S_MAX,
        .reply_bytes_max = ANSWER_BYTES_MAX,
    };

    flight->due_ns = 0;
    flight->tries++;
    return cap_http_client_add(engine->client, &ask, err);
}

static bool refuse_unsupported(const struct infer_request *request, struct cap_err *err)
{
    if (request->continuation_count > 0 || request->score_prompt)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "engine openai cannot score log-likelihoods; use a task that generates");
    if (request->prompt_id_count > 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "engine openai takes text, not tokens");
    if (request->stop_count > STOP_MAX)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "engine openai takes %d stop strings, not %d",
                        STOP_MAX, request->stop_count);
    return true;
}

static bool submit_openai(struct infer_engine *base, const struct infer_request *request,
                          struct cap_err *err)
{
    struct openai_engine *engine = (struct openai_engine *)base;
    struct flight *flight = NULL;
    int slot = 0;

    if (!refuse_unsupported(request, err))
        return false;
    while (slot < engine->slot_count && engine->flights[slot].request)
        slot++;
    if (slot == engine->slot_count)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are in flight",
                        engine->slot_count);
    flight = &engine->flights[slot];
    *flight = (struct flight){.request = request,
                              .body = make_body(engine, request),
                              .prompt_tokens = -1,
                              .output_tokens = -1,
                              .cached_tokens = -1};
    if (flight->body && strlen(flight->body) <= REQUEST_BYTES_MAX && post(engine, slot, err))
        return true;
    free(flight->body);
    *flight = (struct flight){0};
    return err->code != CAP_OK ? false
                               : cap_fail(err, CAP_INVALID_ARGUMENT,
                                          "the prompt is not UTF-8, or larger than %d MiB",
                                          REQUEST_BYTES_MAX >> 20);
}

/* ---- what comes back ---- */

static void end_flight(struct flight *flight)
{
    free(flight->body);
    *flight = (struct flight){0};
}

static bool fail_flight(struct flight *flight, int64_t at_ns, const struct cap_err *why,
                        struct infer_event *out)
{
    *out = (struct infer_event){
        .kind = INFER_FAILED, .id = flight->request->id, .at_ns = at_ns, .failure = *why};
    end_flight(flight);
    return true;
}

/* True: it will be tried again. Only while nothing of the reply has been seen. */
static bool plan_retry(struct flight *flight, int retry_after_s)
{
    int64_t pause_ms = (int64_t)PAUSE_MS_MIN << (flight->tries - 1);

    if (flight->began || flight->tries >= TRIES_MAX)
        return false;
    if (retry_after_s >= 0)
        pause_ms = (int64_t)retry_after_s * 1000;
    if (pause_ms > PAUSE_MS_MAX)
        pause_ms = PAUSE_MS_MAX;
    flight->due_ns = now_ns() + pause_ms * 1000000;
    return true;
}

/* A piece of a stream; false when it holds nothing for the worker. */
static bool take_piece(struct openai_engine *engine, struct flight *flight,
                       const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    flight->began = true;
    infer_openai_chunk_done(&engine->chunk);
    if (!infer_openai_chunk_read(http->data, http->length, &engine->chunk, &err)) {
        cap_http_client_cancel(engine->client, http->id);
        return fail_flight(flight, http->at_ns, &err, out);
    }
    if (engine->chunk.has_usage) {
        flight->prompt_tokens = engine->chunk.prompt_tokens;
        flight->output_tokens = engine->chunk.output_tokens;
        flight->cached_tokens = engine->chunk.cached_tokens;
    }
    if (engine->chunk.finish_reason)
        snprintf(flight->finish_reason, sizeof flight->finish_reason, "%s",
                 engine->chunk.finish_reason);
    if (!engine->chunk.has_choice)
        return false;
    *out = (struct infer_event){.kind = INFER_TOKENS,
                                .id = flight->request->id,
                                .at_ns = http->at_ns,
                                .piece = engine->chunk.text,
                                .reasoning_piece = engine->chunk.reasoning};
    return true;
}

static bool take_end(struct openai_engine *engine, struct flight *flight,
                     const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};
    char reason[300];

    if (http->status != 200) {
        if ((http->status == 429 || http->status == 503) && plan_retry(flight, http->retry_after_s))
            return false;
        infer_openai_error_text(http->data, http->length, reason, sizeof reason);
        cap_fail(&err, CAP_FAILED_PRECONDITION, "the server answered %d: %s", http->status, reason);
        return fail_flight(flight, http->at_ns, &err, out);
    }
    if (!http->streamed || !*flight->finish_reason) {
        cap_fail(&err, CAP_UNAVAILABLE,
                 http->streamed ? "the server closed the stream before its end"
                                : "the server did not stream its answer");
        return fail_flight(flight, http->at_ns, &err, out);
    }
    memcpy(engine->finish_reason, flight->finish_reason, sizeof engine->finish_reason);
    *out = (struct infer_event){.kind = INFER_DONE,
                                .id = flight->request->id,
                                .at_ns = http->at_ns,
                                .prompt = flight->request->text,
                                .finish_reason = engine->finish_reason,
                                .prompt_tokens = flight->prompt_tokens,
                                .output_tokens = flight->output_tokens,
                                .cached_tokens = flight->cached_tokens};
    end_flight(flight);
    return true;
}

static bool take_http(struct openai_engine *engine, const struct cap_http_event *http,
                      struct infer_event *out)
{
    struct flight *flight = &engine->flights[http->id];

    if (!flight->request)
        return false;
    switch (http->kind) {
    case CAP_HTTP_PIECE:
        return take_piece(engine, flight, http, out);
    case CAP_HTTP_DONE:
        return take_end(engine, flight, http, out);
    case CAP_HTTP_FAILED:
        return !plan_retry(flight, -1) && fail_flight(flight, http->at_ns, &http->failure, out);
    }
    return false;
}

/* Sends what is due again; fails a flight whose request cannot even be sent. */
static bool retry_due(struct openai_engine *engine, struct infer_event *out)
{
    for (int i = 0; i < engine->slot_count; i++) {
        struct flight *flight = &engine->flights[i];
        struct cap_err err = {0};

        if (flight->request && flight->due_ns > 0 && flight->due_ns <= now_ns() &&
            !post(engine, i, &err))
            return fail_flight(flight, now_ns(), &err, out);
    }
    return false;
}

static bool wait_openai(struct infer_engine *base, int wait_ms, struct infer_event *out_event,
                        struct cap_err *err)
{
    struct openai_engine *engine = (struct openai_engine *)base;
    int64_t until = now_ns() + (int64_t)wait_ms * 1000000;

    (void)err;
    do {
        int64_t left_ms = (until - now_ns()) / 1000000;
        struct cap_http_event http;

        if (retry_due(engine, out_event))
            return true;
        if (cap_http_client_pending(engine->client) == 0)
            cap_sleep_ms(left_ms < 10 ? left_ms : 10);
        else if (cap_http_client_wait(engine->client, left_ms > 100 ? 100 : (int)left_ms, &http) &&
                 take_http(engine, &http, out_event))
            return true;
    } while (now_ns() < until);
    return false;
}

static void cancel_openai(struct infer_engine *base, uint64_t id)
{
    struct openai_engine *engine = (struct openai_engine *)base;

    for (int i = 0; i < engine->slot_count; i++) {
        if (!engine->flights[i].request || engine->flights[i].request->id != id)
            continue;
        cap_http_client_cancel(engine->client, (uint64_t)i);
        end_flight(&engine->flights[i]);
    }
}

const struct infer_engine_ops infer_engine_openai_ops = {
    .name = "openai",
    .open = open_openai,
    .report = report_openai,
    .submit = submit_openai,
    .wait = wait_openai,
    .cancel = cancel_openai,
    .free = free_openai,
};
