/* Each request is one streamed POST; all of them are driven by `wait`, on the worker's thread.
 *
 * Order of an ending: the event of the request first, then, if it was the last straw, the loss of
 * the engine as a whole. A server counts as lost when LOST_MAX requests in a row lost their
 * connection; one that is slow does not, for its silence has a limit of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "external/body.h"
#include "external/call.h"
#include "external/external.h"
#include "external/notes.h"
#include "external/refusal.h"
#include "external/routing.h"
#include "external/score.h"
#include "log/log.h"

enum {
    ANSWER_BYTES_MAX = 64 << 20,
    EVENT_BYTES_MAX =
        48 << 20, /* routing is one event: 4,096 tokens of 60 layers of 8 are 10 MiB */
    METRICS_BYTES_MAX = 8 << 20,
    METRICS_MS = 1000, /* at most so often */
    METRICS_DEADLINE_MS = 5000,
    REQUEST_BYTES_MAX = 64 << 20,
    SILENCE_S_MAX = 600,
    LOST_MAX = 8,
};

struct external_engine {
    struct infer_engine base;
    struct infer_server server;
    struct infer_declared declared;
    const char *declared_fields[INFER_DECLARED_FIELDS_MAX];
    struct infer_notes notes;
    struct infer_routing_state routing;
    struct infer_scrape scrape;
    int64_t scrape_due_ns; /* INT64_MAX = never: it is on its way, or there are no metrics */
    struct cap_http_client *client;
    char *completions_url, *chat_url, *metrics_url;
    struct infer_call *calls; /* [call_count]; the index is the HTTP request's id */
    int call_count;
    int retries;
    int lost_in_a_row;
    struct cap_err lost; /* the server is gone; OK = it is not */
    /* of the event that was handed out last */
    struct infer_chunk chunk;
    char finish_reason[32];
    struct infer_score *scores;
};

static int64_t now_ns(void)
{
    return cap_clock_ns(cap_clock_system());
}

/* ---- opening ---- */

static void free_external(struct infer_engine *base)
{
    struct external_engine *engine = (struct external_engine *)base;

    if (!engine)
        return;
    cap_http_client_free(engine->client);
    for (int i = 0; i < engine->call_count; i++)
        infer_call_end(&engine->calls[i]);
    infer_chunk_done(&engine->chunk);
    infer_server_done(&engine->server);
    free(engine->calls);
    free(engine->scores);
    free(engine->completions_url);
    free(engine->chat_url);
    free(engine->metrics_url);
    infer_routing_done(&engine->routing);
    free(engine);
}

static struct infer_engine *open_external(const struct infer_engine_options *options,
                                          struct cap_err *err)
{
    const struct infer_external_kind *kind = infer_kind_find(options->kind);
    struct external_engine *engine = calloc(1, sizeof *engine);

    if (!engine)
        abort();
    engine->base.ops = infer_engine_find(options->kind);
    engine->client = cap_http_client_new();
    engine->call_count = options->concurrency > 0 ? options->concurrency : 1;
    engine->calls = calloc((size_t)engine->call_count, sizeof *engine->calls);
    if (!engine->calls)
        abort();
    if (infer_declared_read(options->model_config, &engine->declared, err) &&
        infer_server_init(&engine->server, kind, options, err) &&
        infer_server_wait(&engine->server, options, err) &&
        infer_server_identify(&engine->server, err)) {
        if (engine->server.context_tokens_max == 0)
            engine->server.context_tokens_max = engine->declared.context_tokens_max;
        engine->completions_url = infer_server_url(&engine->server, "/v1/completions");
        engine->chat_url = infer_server_url(&engine->server, "/v1/chat/completions");
        engine->metrics_url = infer_server_url(&engine->server, "/metrics");
        engine->scrape_due_ns = INT64_MAX;
        infer_routing_decide(&engine->routing, &engine->server, &engine->declared,
                             options->routing_again);
        return &engine->base;
    }
    free_external(&engine->base);
    return NULL;
}

static void begin_external(struct infer_engine *base)
{
    struct external_engine *engine = (struct external_engine *)base;

    engine->retries = 0;
    engine->lost_in_a_row = 0;
    infer_notes_begin(&engine->notes);
    infer_routing_begin(&engine->routing);
    infer_scrape_begin(&engine->scrape);
    cap_http_client_cancel(engine->client, (uint64_t)engine->call_count);
    engine->scrape_due_ns = engine->server.kind->series ? now_ns() : INT64_MAX;
}

/* Unknown is -1 here. */
static int or_unknown(int count)
{
    return count > 0 ? count : -1;
}

static void write_notes(struct external_engine *engine)
{
    char line[INFER_NOTE_BYTES];

    infer_notes_write(&engine->notes, &engine->server, &engine->declared);
    infer_routing_note(&engine->routing, &engine->notes);
    if (infer_scrape_tell(&engine->scrape, line, sizeof line))
        infer_notes_add(&engine->notes, "%s", line);
}

static void report_external(struct infer_engine *base, struct infer_engine_report *out_report)
{
    struct external_engine *engine = (struct external_engine *)base;
    const struct infer_server *server = &engine->server;
    const struct infer_declared *declared = &engine->declared;

    write_notes(engine);
    *out_report = (struct infer_engine_report){
        .version = *server->version ? server->version : NULL,
        .timing_boundary = "http",
        .family = *declared->family ? declared->family : NULL,
        .moe_layers = or_unknown(declared->moe_layers),
        .experts = or_unknown(declared->experts),
        .top_k = or_unknown(declared->top_k),
        .threads = -1,
        .parameters = declared->parameters,
        .active_parameters = declared->active_parameters,
        .context_tokens_max = or_unknown(server->context_tokens_max),
        .can_score = server->kind->scoring != INFER_SCORING_NONE,
        .routing_unknown = engine->routing.unknown,
        .declared = engine->declared_fields,
        .declared_count = infer_declared_fields(declared, engine->declared_fields),
        .retries = engine->retries,
        .notes = engine->notes.list,
        .note_count = engine->notes.count,
    };
}

/* ---- sending ---- */

static bool post(struct external_engine *engine, int slot, struct cap_err *err)
{
    struct infer_call *call = &engine->calls[slot];
    const struct cap_http_ask ask = {
        .id = (uint64_t)slot,
        .url = call->request->message_count > 0 ? engine->chat_url : engine->completions_url,
        .headers = engine->server.headers,
        .body = call->body,
        .deadline_ms = INT32_MAX,
        .silence_s_max = SILENCE_S_MAX,
        .reply_bytes_max = ANSWER_BYTES_MAX,
        .event_bytes_max = EVENT_BYTES_MAX,
    };

    call->due_ns = 0;
    engine->retries += call->tries > 0;
    call->tries++;
    return cap_http_client_add(engine->client, &ask, err);
}

static char *make_body(const struct external_engine *engine, const struct infer_call *call)
{
    if (call->stage == INFER_STAGE_ROUTING)
        return infer_body_generate(&engine->server, call->request, INFER_BODY_WHOLE);
    if (call->stage != INFER_STAGE_GENERATE)
        return infer_score_body(&engine->server, call);
    return infer_body_generate(&engine->server, call->request,
                               engine->routing.in_stream ? INFER_BODY_STREAM_ROUTED
                                                         : INFER_BODY_STREAM);
}

/* Sends the first request of the call's stage. */
static bool send_stage(struct external_engine *engine, int slot, struct cap_err *err)
{
    struct infer_call *call = &engine->calls[slot];
    char *body = make_body(engine, call);

    if (!body || strlen(body) > REQUEST_BYTES_MAX) {
        free(body);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt is not UTF-8, or larger than %d MiB",
                        REQUEST_BYTES_MAX >> 20);
    }
    infer_call_set_body(call, body);
    return post(engine, slot, err);
}

static bool submit_external(struct infer_engine *base, const struct infer_request *request,
                            struct cap_err *err)
{
    struct external_engine *engine = (struct external_engine *)base;
    int slot = 0;

    if (!infer_body_check(&engine->server, request, err))
        return false;
    while (slot < engine->call_count && engine->calls[slot].request)
        slot++;
    if (slot == engine->call_count)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are in flight",
                        engine->call_count);
    infer_call_start(&engine->calls[slot], request);
    if (send_stage(engine, slot, err))
        return true;
    infer_call_end(&engine->calls[slot]);
    return false;
}

/* ---- what comes back ---- */

/* The server's name of a request is how its owner finds it in the log. */
static void add_server_id(const struct infer_call *call, struct cap_err *why)
{
    size_t length = strlen(why->text);

    if (*call->server_id)
        snprintf(why->text + length, sizeof why->text - length, " (request %s)", call->server_id);
    cap_utf8_tidy(why->text);
}

static void count_loss(struct external_engine *engine, const struct cap_err *why)
{
    if (why->code != CAP_UNAVAILABLE)
        return;
    engine->lost_in_a_row++;
    if (engine->lost_in_a_row >= LOST_MAX && engine->lost.code == CAP_OK)
        cap_fail(&engine->lost, CAP_UNAVAILABLE,
                 "the server is gone: %d requests in a row lost it, the last one: %.300s",
                 engine->lost_in_a_row, why->text);
}

static bool fail_call(struct external_engine *engine, struct infer_call *call, int64_t at_ns,
                      const struct cap_err *why, struct infer_event *out)
{
    *out = (struct infer_event){
        .kind = INFER_FAILED, .id = call->request->id, .at_ns = at_ns, .failure = *why};
    add_server_id(call, &out->failure);
    count_loss(engine, why);
    infer_call_end(call);
    return true;
}

/* The build, from those that have no other way to tell it. */
static void note_version(struct infer_server *server, const struct infer_chunk *chunk)
{
    if (chunk->fingerprint && !*server->version)
        infer_server_keep_version(server, chunk->fingerprint);
}

/* A piece of a stream; false when it holds nothing for the worker. */
static bool take_piece(struct external_engine *engine, struct infer_call *call,
                       const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    infer_chunk_done(&engine->chunk);
    if (!infer_chunk_read(http->data, http->length, &engine->chunk, &err)) {
        cap_http_client_cancel(engine->client, http->id);
        return fail_call(engine, call, http->at_ns, &err, out);
    }
    note_version(&engine->server, &engine->chunk);
    return infer_call_take_chunk(call, &engine->chunk, http->at_ns, out);
}

static bool take_refusal(struct external_engine *engine, struct infer_call *call,
                         const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    if ((http->status == 429 || http->status == 503) &&
        infer_call_plan_retry(call, now_ns(), http->retry_after_s))
        return false;
    infer_refusal_explain(http->status, http->data, http->length, &err);
    cap_log(DEBUG, "server_refused", "status=%d body=%s", http->status, CAP_LOG_Q(http->data));
    return fail_call(engine, call, http->at_ns, &err, out);
}

static void set_done(struct external_engine *engine, const struct infer_call *call, int64_t at_ns,
                     struct infer_event *out)
{
    engine->lost_in_a_row = 0;
    infer_notes_answer(&engine->notes, call);
    memcpy(engine->finish_reason, call->finish_reason, sizeof engine->finish_reason);
    *out = (struct infer_event){.kind = INFER_DONE,
                                .id = call->request->id,
                                .at_ns = at_ns,
                                .prompt = call->request->text,
                                .finish_reason = engine->finish_reason,
                                .prompt_tokens = call->prompt_tokens,
                                .output_tokens = call->output_tokens,
                                .cached_tokens = call->cached_tokens};
}

/* The answer is complete, with its routing or without. */
static bool end_answer(struct external_engine *engine, struct infer_call *call,
                       struct infer_event *out)
{
    set_done(engine, call, call->ended_ns, out);
    out->routing = infer_routing_take(&engine->routing, &engine->declared, call);
    infer_call_end(call);
    return true;
}

/* The same once more, for its experts only. */
static bool send_routing(struct external_engine *engine, int slot)
{
    struct cap_err err = {0};

    engine->calls[slot].stage = INFER_STAGE_ROUTING;
    return send_stage(engine, slot, &err);
}

/* One step of scoring has ended: the next one, or the scores. */
static bool take_scored(struct external_engine *engine, struct infer_call *call,
                        const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    if (!infer_score_take(&engine->server, call, http->data, http->length, &err))
        return fail_call(engine, call, http->at_ns, &err, out);
    if (!infer_score_is_done(call))
        return !send_stage(engine, (int)http->id, &err) &&
               fail_call(engine, call, http->at_ns, &err, out);
    snprintf(call->finish_reason, sizeof call->finish_reason, "stop");
    call->output_tokens = 0;
    set_done(engine, call, http->at_ns, out);
    free(engine->scores);
    out->scores = engine->scores = cap_take(call->scores);
    out->score_count = call->request->continuation_count;
    infer_call_end(call);
    return true;
}

static bool take_end(struct external_engine *engine, struct infer_call *call,
                     const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    if (call->stage == INFER_STAGE_ROUTING) {
        infer_routing_take_again(&engine->routing, call, http->data, http->length);
        return end_answer(engine, call, out);
    }
    if (http->status != 200)
        return take_refusal(engine, call, http, out);
    if (call->stage != INFER_STAGE_GENERATE)
        return take_scored(engine, call, http, out);
    if (!http->streamed) {
        cap_fail(&err, CAP_FAILED_PRECONDITION, "the server did not stream its answer: %.100s",
                 http->data);
        return fail_call(engine, call, http->at_ns, &err, out);
    }
    if (!infer_call_check_end(call, http->marked_end, &err))
        return fail_call(engine, call, http->at_ns, &err, out);
    call->ended_ns = http->at_ns;
    if (engine->routing.again && send_routing(engine, (int)http->id))
        return false;
    return end_answer(engine, call, out);
}

/* No reply, or a broken one. Silence is not tried again: the server has the request. */
static bool take_failure(struct external_engine *engine, struct infer_call *call,
                         const struct cap_http_event *http, struct infer_event *out)
{
    if (call->stage == INFER_STAGE_ROUTING) {
        infer_routing_take_again(&engine->routing, call, "", 0);
        return end_answer(engine, call, out);
    }
    if (http->failure.code == CAP_UNAVAILABLE && infer_call_plan_retry(call, now_ns(), -1))
        return false;
    return fail_call(engine, call, http->at_ns, &http->failure, out);
}

/* ---- metrics ---- */

/* Their request has the id behind the calls'. A server without metrics is asked once. */
static void ask_metrics(struct external_engine *engine)
{
    const struct cap_http_ask ask = {
        .id = (uint64_t)engine->call_count,
        .url = engine->metrics_url,
        .headers = engine->server.headers,
        .deadline_ms = METRICS_DEADLINE_MS,
        .reply_bytes_max = METRICS_BYTES_MAX,
    };
    struct cap_err err = {0};

    if (now_ns() < engine->scrape_due_ns)
        return;
    engine->scrape_due_ns = INT64_MAX;
    cap_http_client_add(engine->client, &ask, &err);
}

static void take_metrics(struct external_engine *engine, const struct cap_http_event *http)
{
    if (http->kind != CAP_HTTP_DONE || http->status != 200)
        return;
    infer_scrape_take(&engine->scrape, engine->server.kind->series, http->data);
    engine->scrape_due_ns = now_ns() + (int64_t)METRICS_MS * 1000000;
}

static bool take_http(struct external_engine *engine, const struct cap_http_event *http,
                      struct infer_event *out)
{
    struct infer_call *call;

    if (http->id == (uint64_t)engine->call_count) {
        take_metrics(engine, http);
        return false;
    }
    call = &engine->calls[http->id];
    if (!call->request)
        return false;
    switch (http->kind) {
    case CAP_HTTP_PIECE: /* a reply that should have come whole is judged at its end */
        return call->stage == INFER_STAGE_GENERATE && take_piece(engine, call, http, out);
    case CAP_HTTP_DONE:
        return take_end(engine, call, http, out);
    case CAP_HTTP_FAILED:
        return take_failure(engine, call, http, out);
    }
    return false;
}

/* Sends what is due again; fails a call whose request cannot even be sent. */
static bool retry_due(struct external_engine *engine, struct infer_event *out)
{
    for (int i = 0; i < engine->call_count; i++) {
        struct infer_call *call = &engine->calls[i];
        struct cap_err err = {0};

        if (call->request && call->due_ns > 0 && call->due_ns <= now_ns() && !post(engine, i, &err))
            return fail_call(engine, call, now_ns(), &err, out);
    }
    return false;
}

static bool wait_external(struct infer_engine *base, int wait_ms, struct infer_event *out_event,
                          struct cap_err *err)
{
    struct external_engine *engine = (struct external_engine *)base;
    int64_t until = now_ns() + (int64_t)wait_ms * 1000000;

    if (engine->lost.code == CAP_OK && engine->server.child)
        infer_child_ended(engine->server.child, &engine->lost);
    if (engine->lost.code != CAP_OK) {
        *err = engine->lost;
        return false;
    }
    do {
        int64_t left_ms = (until - now_ns()) / 1000000;
        struct cap_http_event http;

        if (retry_due(engine, out_event))
            return true;
        ask_metrics(engine);
        if (cap_http_client_pending(engine->client) == 0)
            cap_sleep_ms(left_ms < 10 ? left_ms : 10);
        else if (cap_http_client_wait(engine->client, left_ms > 100 ? 100 : (int)left_ms, &http) &&
                 take_http(engine, &http, out_event))
            return true;
    } while (now_ns() < until);
    return false;
}

static void cancel_external(struct infer_engine *base, uint64_t id)
{
    struct external_engine *engine = (struct external_engine *)base;

    for (int i = 0; i < engine->call_count; i++) {
        if (!engine->calls[i].request || engine->calls[i].request->id != id)
            continue;
        cap_http_client_cancel(engine->client, (uint64_t)i);
        infer_call_end(&engine->calls[i]);
    }
}

/* ---- the rows ---- */

static const struct infer_engine_ops rows[] = {
#define KIND(id, kind_name)                                                                        \
    {                                                                                              \
        .name = kind_name,                                                                         \
        .open = open_external,                                                                     \
        .begin = begin_external,                                                                   \
        .report = report_external,                                                                 \
        .submit = submit_external,                                                                 \
        .wait = wait_external,                                                                     \
        .cancel = cancel_external,                                                                 \
        .free = free_external,                                                                     \
    },
#include "external/kinds.def"
#undef KIND
};

const struct infer_engine_ops *infer_external_ops_at(int index)
{
    return index >= 0 && (size_t)index < CAP_COUNT_OF(rows) ? &rows[index] : NULL;
}
