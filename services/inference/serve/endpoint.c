/* From an HTTP request to its reply.
 *
 * The body is parsed, and each of its prompts becomes one served request in the queue (queue.h); a
 * second one, the scorer, is added where log-probabilities of the prompt are wanted. Then the
 * connection's thread waits. A whole reply is written when all of them have ended. A streamed reply
 * begins with the first token, so that what fails before it still gets an HTTP status. When the
 * client leaves early, its requests are cancelled. */
#include "serve/endpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"
#include "counters.h"
#include "http/guard.h"
#include "serve/inside.h"

enum {
    TEXT_BYTES_MAX = 16 << 20,
    REPLY_BYTES_MAX = 64 << 20,
    WAIT_MS = 100,
    HOSTS_BYTES = 2400,
    SHORT_CONNECTIONS = 64, /* besides those that wait for answers */
    CONNECTIONS_MAX = 4096,
};

struct infer_serve {
    struct infer_serve_options options;
    char allowed_hosts[HOSTS_BYTES];
    struct cap_http_server *server;
};

/* One HTTP request with its served requests; in the arena of the HTTP request. */
struct exchange {
    struct infer_serve *serve;
    struct infer_serve_request request;
    struct infer_serve_reply reply;
    struct infer_served *served; /* [2][request.prompt_count]: generating, scoring the prompt */
    bool *submitted;             /* which of them */
    struct cap_buf *texts;
    struct cap_buf piece; /* streams: the token not sent yet */
    bool began, piece_ready;
    char id[CAP_ID_BYTES];
};

/* ---- answers ---- */

static void reply_failure(struct cap_http_request *http, const struct cap_err *err,
                          const char *param)
{
    CAP_AUTO_BUF(body, 1 << 16);

    infer_serve_reply_error(err, param, &body);
    if (err->code == CAP_UNAVAILABLE)
        cap_http_reply_header(http, "Retry-After", "5");
    cap_http_reply(http, cap_http_status_of(err->code), "application/json", body.data, body.length);
}

/* ---- served requests ---- */

static void leave_all(struct exchange *exchange)
{
    for (int i = 0; i < 2 * exchange->request.prompt_count; i++)
        if (exchange->submitted[i])
            infer_queue_leave(exchange->serve->options.queue, &exchange->served[i]);
    for (int i = 0; i < exchange->request.prompt_count; i++)
        cap_buf_done(&exchange->texts[i]);
    cap_buf_done(&exchange->piece);
}

static bool submit_one(struct exchange *exchange, int index, const struct infer_request *request,
                       struct cap_err *err)
{
    struct infer_served *served = &exchange->served[index];

    *served = (struct infer_served){.model = exchange->reply.model, .request = *request};
    exchange->submitted[index] = infer_queue_submit(exchange->serve->options.queue, served, err);
    if (!exchange->submitted[index])
        infer_count(INFER_M_outside_refused_total, 1);
    return exchange->submitted[index];
}

/* max_tokens is 0 only when an echoed prompt is all that is wanted; then nothing is generated. */
static bool generates(const struct exchange *exchange, int index)
{
    return !exchange->request.echo || exchange->request.prompts[index].max_tokens > 0;
}

static bool submit_all(struct exchange *exchange, struct cap_err *err)
{
    int count = exchange->request.prompt_count;

    for (int i = 0; i < count; i++) {
        struct infer_request scored = exchange->request.prompts[i];

        scored.score_prompt = true;
        if ((generates(exchange, i) &&
             !submit_one(exchange, i, &exchange->request.prompts[i], err)) ||
            (exchange->request.logprobs >= 0 && !submit_one(exchange, count + i, &scored, err)))
            return false;
    }
    return true;
}

/* Waits for the next token or the end; false when the client has gone. */
static bool wait_next(struct cap_http_request *http, struct exchange *exchange, int index,
                      struct cap_buf *out_text, enum infer_next *out_next)
{
    do {
        *out_next = infer_queue_next(exchange->serve->options.queue, &exchange->served[index],
                                     WAIT_MS, out_text);
        if (*out_next != INFER_NEXT_NOTHING)
            return true;
    } while (!cap_http_gone(http));
    return false;
}

static bool fail_large(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                    "the reply is too large; ask for fewer prompts or tokens at a time");
}

/* Reads a served request to its end; one that was not submitted has nothing to read. */
static bool read_all(struct cap_http_request *http, struct exchange *exchange, int index,
                     struct cap_err *err)
{
    enum infer_next next;
    struct cap_buf *text = &exchange->texts[index % exchange->request.prompt_count];

    if (!exchange->submitted[index])
        return true;
    do
        if (!wait_next(http, exchange, index, text, &next))
            return cap_fail(err, CAP_CANCELLED, "the client has gone");
    while (next != INFER_NEXT_END);
    if (text->overflowed)
        return fail_large(err);
    *err = exchange->served[index].failure;
    return err->code == CAP_OK;
}

/* ---- whole replies ---- */

static void note_nothing_generated(struct infer_served *served, const struct infer_served *scorer)
{
    served->prompt_tokens = scorer->prompt_tokens;
    snprintf(served->finish_reason, sizeof served->finish_reason, "length");
}

static void reply_whole(struct cap_http_request *http, struct exchange *exchange)
{
    struct infer_served *scorers = exchange->served + exchange->request.prompt_count;
    CAP_AUTO_BUF(body, REPLY_BYTES_MAX);
    struct cap_err err = {0};
    bool ok = true;

    for (int i = 0; i < 2 * exchange->request.prompt_count && ok; i++)
        ok = read_all(http, exchange, i, &err);
    if (ok) {
        for (int i = 0; i < exchange->request.prompt_count; i++)
            if (!generates(exchange, i))
                note_nothing_generated(&exchange->served[i], &scorers[i]);
        infer_serve_reply_whole(&exchange->reply, exchange->served, scorers, exchange->texts,
                                &body);
        ok = !body.overflowed || fail_large(&err);
    }
    if (ok)
        cap_http_reply(http, 200, "application/json", body.data, body.length);
    else
        reply_failure(http, &err, NULL);
    leave_all(exchange);
}

/* ---- streamed replies ---- */

static bool next_event(struct cap_http_request *http, void *state, struct cap_buf *out)
{
    struct exchange *exchange = state;
    enum infer_next next = INFER_NEXT_PIECE;

    if (!exchange->began)
        infer_serve_reply_role(&exchange->reply, out);
    exchange->began = true;
    if (!exchange->piece_ready) {
        cap_buf_clear(&exchange->piece);
        if (!wait_next(http, exchange, 0, &exchange->piece, &next))
            return false;
    }
    exchange->piece_ready = false;
    if (next == INFER_NEXT_PIECE)
        infer_serve_reply_piece(&exchange->reply, exchange->piece.data, out);
    else
        infer_serve_reply_end(&exchange->reply, &exchange->served[0], out);
    return next == INFER_NEXT_PIECE;
}

static void end_stream(struct cap_http_request *http, void *state)
{
    (void)http;
    leave_all(state);
}

static void reply_stream(struct cap_http_request *http, struct exchange *exchange)
{
    struct cap_http_stream stream = {.next = next_event, .done = end_stream, .state = exchange};
    enum infer_next next = INFER_NEXT_END;
    struct cap_err err = {0};

    if (!wait_next(http, exchange, 0, &exchange->piece, &next))
        cap_fail(&err, CAP_CANCELLED, "the client has gone");
    else if (next == INFER_NEXT_END)
        err = exchange->served[0].failure;
    if (err.code != CAP_OK) {
        reply_failure(http, &err, NULL);
        leave_all(exchange);
        return;
    }
    exchange->piece_ready = next == INFER_NEXT_PIECE;
    cap_http_reply_header(http, "Cache-Control", "no-cache");
    cap_http_reply_stream(http, 200, "text/event-stream; charset=utf-8", &stream);
}

/* ---- the routes ---- */

static bool choose_model(struct exchange *exchange, struct cap_err *err)
{
    const struct infer_serve_options *options = &exchange->serve->options;
    const char *name = exchange->request.model;

    if (!name && !*options->model)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "model is missing, and this node has no default");
    exchange->reply.model = name ? name : options->model;
    return options->any_model ||
           infer_models_resolve(options->models, exchange->reply.model, false, err);
}

static bool make_room(struct exchange *exchange, struct cap_arena *arena, struct cap_err *err)
{
    size_t count = (size_t)exchange->request.prompt_count;

    exchange->served = cap_arena_array(arena, 2 * count, sizeof *exchange->served);
    exchange->submitted = cap_arena_array(arena, 2 * count, sizeof *exchange->submitted);
    exchange->texts = cap_arena_array(arena, count, sizeof *exchange->texts);
    if (!exchange->served || !exchange->submitted || !exchange->texts)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the request is too large");
    for (size_t i = 0; i < count; i++)
        cap_buf_init(&exchange->texts[i], TEXT_BYTES_MAX);
    cap_buf_init(&exchange->piece, TEXT_BYTES_MAX);
    return true;
}

static struct exchange *make_exchange(struct cap_http_request *http, struct infer_serve *serve,
                                      bool chat, const char **out_param, struct cap_err *err)
{
    struct cap_arena *arena = cap_http_arena(http);
    struct exchange *exchange = cap_arena_alloc(arena, sizeof *exchange);
    size_t length;
    const char *body = cap_http_body(http, &length);

    exchange->serve = serve;
    if (!infer_serve_parse(body, length, chat, arena, &exchange->request, out_param, err))
        return NULL;
    *out_param = "model";
    if (!choose_model(exchange, err))
        return NULL;
    cap_rand_id(chat ? "chatcmpl" : "cmpl", exchange->id);
    exchange->reply.id = exchange->id;
    exchange->reply.request = &exchange->request;
    exchange->reply.created_s = cap_clock_wall_ms(cap_clock_system()) / 1000;
    *out_param = NULL;
    return make_room(exchange, arena, err) ? exchange : NULL;
}

static void complete(struct cap_http_request *http, struct infer_serve *serve, bool chat)
{
    struct cap_err err = {0};
    const char *param = NULL;
    struct exchange *exchange = make_exchange(http, serve, chat, &param, &err);

    if (!exchange) {
        reply_failure(http, &err, param);
    } else if (!submit_all(exchange, &err)) {
        reply_failure(http, &err, NULL);
        leave_all(exchange);
    } else if (exchange->request.stream) {
        reply_stream(http, exchange);
    } else {
        reply_whole(http, exchange);
    }
}

/* A page of another site may post forms and plain text without asking; JSON it cannot. */
static bool accept_post(struct cap_http_request *http)
{
    if (cap_http_is_json(http))
        return true;
    cap_http_reply_error(http, 415, "Content-Type must be application/json");
    return false;
}

static void completions(struct cap_http_request *http, void *self)
{
    if (accept_post(http))
        complete(http, self, false);
}

static void chat_completions(struct cap_http_request *http, void *self)
{
    if (accept_post(http))
        complete(http, self, true);
}

static void list_models(struct cap_http_request *http, void *self)
{
    struct infer_serve *serve = self;
    CAP_AUTO_BUF(body, 1 << 20);

    infer_serve_reply_models(serve->options.models, NULL, &body);
    cap_http_reply(http, 200, "application/json", body.data, body.length);
}

static void show_model(struct cap_http_request *http, void *self)
{
    struct infer_serve *serve = self;
    const char *name = cap_http_path(http) + strlen("/v1/models/");
    struct cap_err err = {0};
    CAP_AUTO_BUF(body, 1 << 20);

    if (infer_serve_reply_models(serve->options.models, name, &body)) {
        cap_http_reply(http, 200, "application/json", body.data, body.length);
        return;
    }
    cap_fail(&err, CAP_NOT_FOUND, "the model \"%.100s\" does not exist", name);
    reply_failure(http, &err, "model");
}

static void health(struct cap_http_request *http, void *self)
{
    (void)self;
    cap_http_reply(http, 200, "application/json", "{\"status\":\"ok\"}\n", 16);
}

static void version(struct cap_http_request *http, void *self)
{
    static const char text[] = "{\"version\":\"" MOECAP_VERSION "\"}\n";

    (void)self;
    cap_http_reply(http, 200, "application/json", text, sizeof text - 1);
}

static void metrics(struct cap_http_request *http, void *self)
{
    CAP_AUTO_BUF(text, 1 << 20);

    (void)self;
    cap_metrics_text(&infer_counters, &text);
    cap_http_reply(http, 200, "text/plain; version=0.0.4", text.data, text.length);
}

static const struct cap_http_route routes[] = {
    {"POST", "/v1/completions", completions},
    {"POST", "/v1/chat/completions", chat_completions},
    {"GET", "/v1/models", list_models},
    {"GET", "/v1/models/*", show_model},
    {"GET", "/health", health},
    {"GET", "/version", version},
    {"GET", "/metrics", metrics},
};

/* Monitors ask for /health by the address of the machine. */
static bool admit(struct cap_http_request *http, void *self)
{
    const struct infer_serve *serve = self;
    struct cap_err err = {0};

    if (strcmp(cap_http_path(http), "/health") == 0 ||
        cap_http_guard(http, serve->allowed_hosts, "--openai-allowed-hosts", &err))
        return true;
    infer_count(INFER_M_outside_refused_total, 1);
    cap_http_reply_error(http, 403, err.text);
    return false;
}

/* The address at which it listens is one of its names, unless that means all addresses. */
static void list_hosts(struct infer_serve *serve)
{
    const struct infer_serve_options *options = &serve->options;
    bool any = strcmp(options->host, "0.0.0.0") == 0 || strcmp(options->host, "::") == 0;
    bool v6 = strchr(options->host, ':') != NULL;

    snprintf(serve->allowed_hosts, sizeof serve->allowed_hosts, "%s,%s%s%s",
             options->allowed_hosts ? options->allowed_hosts : "", v6 ? "[" : "",
             any ? "" : options->host, v6 ? "]" : "");
}

static int connections_max(const struct infer_serve_options *options)
{
    int count = options->concurrency + options->waiting_max + SHORT_CONNECTIONS;

    return count < CONNECTIONS_MAX ? count : CONNECTIONS_MAX;
}

struct infer_serve *infer_serve_start(const struct infer_serve_options *options, int *out_port,
                                      struct cap_err *err)
{
    struct infer_serve *serve = calloc(1, sizeof *serve);
    struct cap_http_server_options http = {.host = options->host,
                                           .port = options->port,
                                           .routes = routes,
                                           .route_count = CAP_COUNT_OF(routes),
                                           .admit = admit,
                                           .connections_max = connections_max(options),
                                           .self = serve};

    assert(serve);
    serve->options = *options;
    list_hosts(serve);
    serve->server = cap_http_server_start(&http, out_port, err);
    if (serve->server)
        return serve;
    free(serve);
    return NULL;
}

void infer_serve_free(struct infer_serve *serve)
{
    if (!serve)
        return;
    cap_http_server_free(serve->server);
    free(serve);
}
