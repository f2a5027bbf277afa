/* The engine: opening, requests, waiting, the report and the server's own metrics. Each request is
 * a call (call.c); all of them are driven by `wait`, on the worker's thread: one poll of their
 * sockets, a look at the clock, and the first event that comes of it. */
#include "external/inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "external/external.h"

enum {
    METRICS_BYTES_MAX = 8 << 20,
    METRICS_MS = 1000, /* at most so often */
    METRICS_DEADLINE_MS = 5000,
};

/* ---- opening ---- */

static void free_external(struct infer_engine *base)
{
    struct infer_external *engine = (struct infer_external *)base;

    if (!engine)
        return;
    cap_http_client_free(engine->client);
    for (int i = 0; i < engine->call_count; i++)
        infer_call_end(&engine->calls[i]);
    infer_chunk_done(&engine->chunk);
    infer_server_done(&engine->server);
    free(engine->calls);
    free(engine->scores);
    free(engine->rest);
    free(engine->completions_url);
    free(engine->chat_url);
    free(engine->metrics_url);
    infer_routing_done(&engine->routing);
    free(engine);
}

/* Whom the engine talks to: found, waited for until it is ready, asked who it is. */
static bool find_server(struct infer_external *engine, const struct infer_engine_options *options,
                        struct cap_err *err)
{
    struct infer_server *server = &engine->server;

    if (!infer_declared_read(options->model_config, &engine->declared, err) ||
        !infer_server_init(server, infer_kind_find(options->kind), options, err) ||
        !infer_server_wait(server, options, err) || !infer_server_identify(server, err))
        return false;
    if (server->context_tokens_max == 0)
        server->context_tokens_max = engine->declared.context_tokens_max;
    engine->completions_url = infer_server_url(server, "/v1/completions");
    engine->chat_url = infer_server_url(server, "/v1/chat/completions");
    engine->metrics_url = infer_server_url(server, "/metrics");
    return true;
}

static struct infer_engine *open_external(const struct infer_engine_options *options,
                                          struct cap_err *err)
{
    struct infer_external *engine = calloc(1, sizeof *engine);

    if (!engine)
        abort();
    engine->base.ops = infer_external_find(options->kind);
    engine->client = cap_http_client_new();
    engine->call_count = options->concurrency > 0 ? options->concurrency : 1;
    engine->calls = calloc((size_t)engine->call_count, sizeof *engine->calls);
    if (!engine->calls)
        abort();
    if (!find_server(engine, options, err)) {
        free_external(&engine->base);
        return NULL;
    }
    engine->scrape_due_ns = INT64_MAX;
    engine->limits = (struct infer_time_limits){.first_token_ms = options->first_token_ms_max,
                                                .silence_ms = options->silence_ms_max,
                                                .request_ms = options->request_ms_max};
    infer_routing_decide(&engine->routing, &engine->server, &engine->declared,
                         options->routing_again);
    return &engine->base;
}

static void begin_external(struct infer_engine *base)
{
    struct infer_external *engine = (struct infer_external *)base;

    engine->retries = 0;
    engine->lost_in_a_row = engine->late_in_a_row = 0;
    infer_notes_begin(&engine->notes);
    infer_routing_begin(&engine->routing);
    infer_scrape_begin(&engine->scrape);
    cap_http_client_cancel(engine->client, (uint64_t)engine->call_count);
    engine->scrape_due_ns =
        engine->server.kind->series ? cap_clock_ns(cap_clock_system()) : INT64_MAX;
}

/* Unknown is -1 here. */
static int or_unknown(int count)
{
    return count > 0 ? count : -1;
}

static void write_notes(struct infer_external *engine)
{
    char line[INFER_NOTE_BYTES];

    infer_notes_write(&engine->notes, &engine->server, &engine->declared);
    infer_routing_note(&engine->routing, &engine->notes);
    if (infer_scrape_tell(&engine->scrape, line, sizeof line))
        infer_notes_add(&engine->notes, "%s", line);
}

static void report_external(struct infer_engine *base, struct infer_engine_report *out_report)
{
    struct infer_external *engine = (struct infer_external *)base;
    const struct infer_server *server = &engine->server;
    const struct infer_declared *declared = &engine->declared;

    write_notes(engine);
    *out_report = (struct infer_engine_report){
        .version = *server->version ? server->version : NULL,
        .timing_boundary = "http",
        .weights = server->random_weights ? INFER_WEIGHTS_RANDOM : INFER_WEIGHTS_REAL,
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
        .server_says = *server->says ? server->says : NULL,
        .counts_unknown = infer_notes_counts_unknown(&engine->notes, engine->counts_unknown,
                                                     sizeof engine->counts_unknown)
                              ? engine->counts_unknown
                              : NULL,
        .declared = engine->declared_fields,
        .declared_count = infer_declared_fields(declared, engine->declared_fields),
        .retries = engine->retries,
        .notes = engine->notes.list,
        .note_count = engine->notes.count,
    };
}

/* ---- requests ---- */

static bool submit_external(struct infer_engine *base, const struct infer_request *request,
                            struct cap_err *err)
{
    struct infer_external *engine = (struct infer_external *)base;
    int slot = 0;

    if (!infer_body_check(&engine->server, request, err))
        return false;
    while (slot < engine->call_count && engine->calls[slot].request)
        slot++;
    if (slot == engine->call_count)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are in flight",
                        engine->call_count);
    return infer_call_start(engine, &engine->calls[slot], request, err);
}

/* ---- metrics ---- */

/* Their request has the id after the calls'. A server without metrics is asked once. */
static void ask_metrics(struct infer_external *engine)
{
    const struct cap_http_ask ask = {
        .id = (uint64_t)engine->call_count,
        .url = engine->metrics_url,
        .headers = engine->server.headers,
        .deadline_ms = METRICS_DEADLINE_MS,
        .reply_bytes_max = METRICS_BYTES_MAX,
    };
    struct cap_err err = {0};

    if (cap_clock_ns(cap_clock_system()) < engine->scrape_due_ns)
        return;
    engine->scrape_due_ns = INT64_MAX;
    cap_http_client_add(engine->client, &ask, &err);
}

static void take_metrics(struct infer_external *engine, const struct cap_http_event *http)
{
    if (http->kind != CAP_HTTP_DONE || http->status != 200)
        return;
    infer_scrape_take(&engine->scrape, engine->server.kind->series, http->data);
    engine->scrape_due_ns = cap_clock_ns(cap_clock_system()) + (int64_t)METRICS_MS * 1000000;
}

static bool take_http(struct infer_external *engine, const struct cap_http_event *http,
                      struct infer_event *out)
{
    if (http->id != (uint64_t)engine->call_count)
        return infer_call_take(engine, http, out);
    take_metrics(engine, http);
    return false;
}

/* What is due again, and what takes too long. */
static bool look_at_calls(struct infer_external *engine, struct infer_event *out)
{
    int64_t now_ns = cap_clock_ns(cap_clock_system());

    for (int i = 0; i < engine->call_count; i++)
        if (infer_call_check_time(engine, &engine->calls[i], now_ns, out))
            return true;
    return false;
}

static bool wait_external(struct infer_engine *base, int wait_ms, struct infer_event *out_event,
                          struct cap_err *err)
{
    struct infer_external *engine = (struct infer_external *)base;
    int64_t until = cap_clock_ns(cap_clock_system()) + (int64_t)wait_ms * 1000000;

    if (engine->lost.code == CAP_OK && engine->server.child)
        infer_child_ended(engine->server.child, &engine->lost);
    if (engine->lost.code != CAP_OK) {
        *err = engine->lost;
        return false;
    }
    do {
        int64_t left_ms = (until - cap_clock_ns(cap_clock_system())) / 1000000;
        struct cap_http_event http;

        if (look_at_calls(engine, out_event))
            return true;
        ask_metrics(engine);
        if (cap_http_client_pending(engine->client) == 0)
            cap_sleep_ms(left_ms < 10 ? left_ms : 10);
        else if (cap_http_client_wait(engine->client, left_ms > 100 ? 100 : (int)left_ms, &http) &&
                 take_http(engine, &http, out_event))
            return true;
    } while (cap_clock_ns(cap_clock_system()) < until);
    return false;
}

static void cancel_external(struct infer_engine *base, uint64_t id)
{
    struct infer_external *engine = (struct infer_external *)base;

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

const struct infer_engine_ops *infer_external_find(const char *kind)
{
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        if (strcmp(rows[i].name, kind) == 0)
            return &rows[i];
    return NULL;
}

const struct infer_engine_ops *infer_external_ops_at(int index)
{
    return index >= 0 && (size_t)index < CAP_COUNT_OF(rows) ? &rows[index] : NULL;
}
