/* One request from submit to its event: sent, streamed, tried again, ended.
 *
 * A request is tried again only while no byte of its reply has come, after a connection that
 * failed, 429 or 503; the pause doubles. A stream has ended well when the server said so: by
 * [DONE], or by a finish reason and then the end of the connection. Everything else fails the
 * sample with its reason: an error in any form, a connection that closes early, a request that the
 * server gave up. A finish reason that the server did not give stays unknown.
 *
 * A server that takes too long is not lost by that alone, but three limits hold for each request:
 * until its first token, between two tokens, and for all of it. Only tokens are progress; comments,
 * pings and empty chunks keep a connection open and say nothing. An answer far longer than its
 * max_tokens allow does not end: it is cut off, too.
 *
 * Order of an ending: the event of the request first, then, if it was the last straw, the loss of
 * the engine as a whole: LOST_MAX requests in a row lost their connection or met overload at every
 * try, or LATE_MAX were too late. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "external/inside.h"
#include "log/log.h"

enum {
    TRIES_MAX = 6,
    PAUSE_MS_MIN = 250,
    PAUSE_MS_MAX = 30000,
    LOST_MAX = 8,
    LATE_MAX = 2,
    REQUEST_BYTES_MAX = 64 << 20,
    REPLY_BYTES_MAX = 64 << 20,
    EVENT_BYTES_MAX = 48 << 20, /* routing is one: 4,096 tokens of 60 layers of 8 are 10 MiB */
    TEXT_BYTES_MAX = 1 << 20,   /* that are kept to compare with a second answer */
    /* an answer to a request for n tokens may have n times as much, and this more */
    BYTES_A_TOKEN_MAX = 64,
    BYTES_MORE_MAX = 64 << 10,
    CHUNKS_A_TOKEN_MAX = 4,
    CHUNKS_MORE_MAX = 256,
};

static int64_t now_ns(void)
{
    return cap_clock_ns(cap_clock_system());
}

/* ---- its life ---- */

void infer_call_init(struct infer_call *call, const struct infer_server *server,
                     const struct infer_request *request)
{
    bool scores = request->continuation_count > 0;

    *call = (struct infer_call){
        .request = request,
        .stage = scores ? INFER_STAGE_CONTEXT : INFER_STAGE_GENERATE,
        .started_ns = now_ns(),
        .seen = {.prompt_bytes = infer_body_prompt_bytes(request),
                 .prompt_ids = request->prompt_id_count,
                 .is_chat = request->message_count > 0,
                 .max_tokens = request->max_tokens,
                 .context_tokens_max = server->context_tokens_max},
        .counts = {INFER_COUNT_UNKNOWN, INFER_COUNT_UNKNOWN, INFER_COUNT_UNKNOWN,
                   INFER_COUNT_UNKNOWN},
        .counting = true,
    };
    infer_output_text_start(&call->flow, request->stop, request->stop_count);
    cap_buf_init(&call->text, TEXT_BYTES_MAX);
    cap_buf_init(&call->rest, TEXT_BYTES_MAX);
    if (scores)
        call->scores = calloc((size_t)request->continuation_count, sizeof *call->scores);
    assert(!scores || call->scores);
}

void infer_call_end(struct infer_call *call)
{
    if (call->request) {
        infer_output_text_done(&call->flow);
        cap_buf_done(&call->text);
        cap_buf_done(&call->rest);
    }
    free(call->routed);
    free(call->body);
    free(call->scores);
    *call = (struct infer_call){0};
}

static int slot_of(const struct infer_external *engine, const struct infer_call *call)
{
    return (int)(call - engine->calls);
}

/* ---- sending ---- */

static char *make_body(const struct infer_external *engine, const struct infer_call *call)
{
    if (call->stage == INFER_STAGE_ROUTING)
        return infer_body_generate(&engine->server, call->request, INFER_BODY_WHOLE);
    if (call->stage != INFER_STAGE_GENERATE)
        return infer_score_body(&engine->server, call);
    return infer_body_generate(&engine->server, call->request,
                               engine->routing.in_stream ? INFER_BODY_STREAM_ROUTED
                                                         : INFER_BODY_STREAM);
}

/* The call's body, once more or for the first time. */
static bool send_body(struct infer_external *engine, struct infer_call *call, struct cap_err *err)
{
    const struct cap_http_ask ask = {
        .id = (uint64_t)slot_of(engine, call),
        .url = call->request->message_count > 0 ? engine->chat_url : engine->completions_url,
        .headers = engine->server.headers,
        .body = call->body,
        .deadline_ms = INT32_MAX, /* infer_call_check_time keeps the time */
        .reply_bytes_max = REPLY_BYTES_MAX,
        .event_bytes_max = EVENT_BYTES_MAX,
    };

    call->due_ns = 0;
    call->sent_ns = now_ns();
    call->progress_ns = 0;
    engine->retries += call->tries > 0;
    call->tries++;
    return cap_http_client_add(engine->client, &ask, err);
}

/* The first request of the call's stage. */
static bool send_stage(struct infer_external *engine, struct infer_call *call, struct cap_err *err)
{
    char *body = make_body(engine, call);

    if (!body || strlen(body) > REQUEST_BYTES_MAX) {
        free(body);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt is not UTF-8, or larger than %d MiB",
                        REQUEST_BYTES_MAX >> 20);
    }
    free(call->body);
    call->body = body;
    call->tries = 0;
    call->began = false;
    return send_body(engine, call, err);
}

bool infer_call_start(struct infer_external *engine, struct infer_call *call,
                      const struct infer_request *request, struct cap_err *err)
{
    infer_call_init(call, &engine->server, request);
    if (send_stage(engine, call, err))
        return true;
    infer_call_end(call);
    return false;
}

/* True: it is to be sent again at call->due_ns. */
static bool plan_retry(struct infer_call *call, int retry_after_s)
{
    int64_t pause_ms = (int64_t)PAUSE_MS_MIN << (call->tries - 1);

    if (call->began || call->tries >= TRIES_MAX)
        return false;
    if (retry_after_s >= 0)
        pause_ms = (int64_t)retry_after_s * 1000;
    if (pause_ms > PAUSE_MS_MAX)
        pause_ms = PAUSE_MS_MAX;
    call->due_ns = now_ns() + pause_ms * 1000000;
    return true;
}

/* ---- failing ---- */

/* The server's name of a request is how its owner finds it in the log. */
static void add_server_id(const struct infer_call *call, struct cap_err *why)
{
    size_t length = strlen(why->text);

    if (*call->server_id)
        snprintf(why->text + length, sizeof why->text - length, " (request %s)", call->server_id);
    cap_utf8_tidy(why->text);
}

static void count_loss(struct infer_external *engine, const struct cap_err *why)
{
    if (engine->lost.code != CAP_OK)
        return;
    if ((why->code == CAP_UNAVAILABLE || why->code == CAP_RESOURCE_EXHAUSTED) &&
        ++engine->lost_in_a_row >= LOST_MAX)
        cap_fail(&engine->lost, CAP_UNAVAILABLE,
                 why->code == CAP_UNAVAILABLE
                     ? "the server is gone: %d requests in a row lost it, the last one: %.300s"
                     : "the server stays overloaded: %d requests in a row were given up, the last "
                       "one: %.300s",
                 engine->lost_in_a_row, why->text);
    if (why->code == CAP_DEADLINE_EXCEEDED && ++engine->late_in_a_row >= LATE_MAX)
        cap_fail(&engine->lost, CAP_UNAVAILABLE,
                 "the server makes no progress: %d requests in a row were given up, the last one: "
                 "%.300s",
                 engine->late_in_a_row, why->text);
}

static bool fail_call(struct infer_external *engine, struct infer_call *call, int64_t at_ns,
                      const struct cap_err *why, struct infer_event *out)
{
    *out = (struct infer_event){
        .kind = INFER_FAILED, .id = call->request->id, .at_ns = at_ns, .failure = *why};
    add_server_id(call, &out->failure);
    count_loss(engine, why);
    infer_call_end(call);
    return true;
}

/* The same in the middle of a reply. */
static bool cut_off(struct infer_external *engine, struct infer_call *call, int64_t at_ns,
                    const struct cap_err *why, struct infer_event *out)
{
    cap_http_client_cancel(engine->client, (uint64_t)slot_of(engine, call));
    return fail_call(engine, call, at_ns, why, out);
}

/* ---- pieces of a stream ---- */

static void keep_count(int *count, int told)
{
    if (told != INFER_COUNT_UNKNOWN)
        *count = told;
}

/* Usage may come in parts, and again and again: what is told last counts. */
static void keep_counts(struct infer_call *call, const struct infer_counts *told)
{
    if (call->counts.output > call->seen.output_before)
        call->seen.output_before = call->counts.output;
    keep_count(&call->counts.prompt, told->prompt);
    keep_count(&call->counts.output, told->output);
    keep_count(&call->counts.cached, told->cached);
    keep_count(&call->counts.total, told->total);
}

void infer_call_keep_routed(struct infer_call *call, const char *base64, size_t length)
{
    free(call->routed);
    call->routed = malloc(length + 1); /* not strndup: it may hold NULs */
    assert(call->routed);
    memcpy(call->routed, base64, length);
    call->routed[length] = '\0';
    call->routed_length = length;
}

static void keep_facts(struct infer_call *call, const struct infer_chunk *chunk)
{
    size_t reasoning = chunk->reasoning ? strlen(chunk->reasoning) : 0;

    if (chunk->has_usage)
        keep_counts(call, &chunk->counts);
    if (chunk->finish_reason)
        infer_reply_words(call->finish_reason, sizeof call->finish_reason, chunk->finish_reason);
    if (chunk->id && !*call->server_id)
        infer_reply_words(call->server_id, sizeof call->server_id, chunk->id);
    if (chunk->routed_experts)
        infer_call_keep_routed(call, chunk->routed_experts, chunk->routed_length);
    cap_buf_add(&call->text, chunk->text, chunk->text_length);
    call->chunks += chunk->has_choice;
    call->seen.text_bytes += chunk->text_length + reasoning;
    call->seen.text_chunks += chunk->text_length + reasoning > 0;
}

/* Tokens that came with this chunk, where each chunk so far told how many there were; 0 = none, or
 * unknown. */
static int count_tokens(struct infer_call *call, const struct infer_chunk *chunk)
{
    int before = call->counted;

    if (!chunk->has_usage || chunk->counts.output < before)
        call->counting = false;
    if (!call->counting)
        return 0;
    call->counted = chunk->counts.output;
    return call->counted - before;
}

/* True when it is an event; its strings belong to chunk and call. Some servers leave the stop
 * string in the text: whatever came from it on is cut here. */
bool infer_call_take_chunk(struct infer_call *call, const struct infer_chunk *chunk, int64_t at_ns,
                           struct infer_event *out)
{
    const char *piece;
    int tokens;

    keep_facts(call, chunk);
    if (!chunk->has_choice)
        return false;
    tokens = count_tokens(call, chunk);
    if (*chunk->text || (chunk->reasoning && *chunk->reasoning) || tokens > 0)
        call->progress_ns = at_ns;
    piece = infer_output_text_feed(&call->flow, chunk->text, chunk->text_length,
                                   chunk->finish_reason != NULL);
    if (chunk->is_closing && call->counting && tokens == 0) { /* by the server's count no token */
        cap_buf_add_str(&call->rest, piece);
        return false;
    }
    *out = (struct infer_event){
        .kind = INFER_TOKENS,
        .id = call->request->id,
        .at_ns = at_ns,
        .piece = piece,
        .reasoning_piece = chunk->reasoning,
        .tokens = tokens,
        .is_closing = chunk->is_closing,
    };
    return true;
}

static bool check_size(const struct infer_call *call, struct cap_err *err)
{
    size_t tokens = (size_t)call->request->max_tokens;

    return call->request->max_tokens <= 0 ||
           (call->seen.text_bytes <= tokens * BYTES_A_TOKEN_MAX + BYTES_MORE_MAX &&
            (size_t)call->chunks <= tokens * CHUNKS_A_TOKEN_MAX + CHUNKS_MORE_MAX) ||
           cap_fail(err, CAP_FAILED_PRECONDITION,
                    "the answer does not end: %zu bytes came in %d chunks where at most %zu tokens "
                    "were asked for",
                    call->seen.text_bytes, call->chunks, tokens);
}

/* The build, from those that have no other way to tell it. */
static void note_version(struct infer_server *server, const struct infer_chunk *chunk)
{
    if (chunk->fingerprint && !*server->version)
        infer_server_keep_version(server, chunk->fingerprint);
}

static bool take_piece(struct infer_external *engine, struct infer_call *call,
                       const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};
    bool is_event;

    infer_chunk_done(&engine->chunk);
    call->began = true;
    call->events++;
    if (!infer_chunk_read(http->name, http->data, http->length, &engine->chunk, &err))
        return cut_off(engine, call, http->at_ns, &err, out);
    note_version(&engine->server, &engine->chunk);
    is_event = infer_call_take_chunk(call, &engine->chunk, http->at_ns, out);
    return check_size(call, &err) ? is_event : cut_off(engine, call, http->at_ns, &err, out);
}

/* ---- ends ---- */

static void set_done(struct infer_external *engine, struct infer_call *call, int64_t at_ns,
                     struct infer_event *out)
{
    char why[INFER_NOTE_BYTES] = "";
    bool possible = call->request->continuation_count > 0 ||
                    infer_counts_check(&call->counts, &call->seen, why, sizeof why);

    engine->lost_in_a_row = engine->late_in_a_row = 0;
    infer_notes_answer(&engine->notes, call->request, &call->counts, *call->finish_reason != '\0',
                       possible ? NULL : why);
    memcpy(engine->finish_reason, call->finish_reason, sizeof engine->finish_reason);
    free(engine->rest);
    engine->rest = call->rest.length > 0 ? strdup(call->rest.data) : NULL;
    *out =
        (struct infer_event){.kind = INFER_DONE,
                             .id = call->request->id,
                             .at_ns = at_ns,
                             .piece = engine->rest,
                             .prompt = call->request->text,
                             .finish_reason = *engine->finish_reason ? engine->finish_reason : NULL,
                             .prompt_tokens = call->counts.prompt,
                             .output_tokens = call->counts.output,
                             .cached_tokens = call->counts.cached};
}

/* The answer is complete, with its routing or without. */
static bool end_answer(struct infer_external *engine, struct infer_call *call,
                       struct infer_event *out)
{
    set_done(engine, call, call->ended_ns, out);
    out->routing = infer_routing_take(&engine->routing, &engine->declared, call);
    infer_call_end(call);
    return true;
}

/* The same once more, for its experts only. */
static bool send_routing(struct infer_external *engine, struct infer_call *call)
{
    struct cap_err err = {0};

    call->stage = INFER_STAGE_ROUTING;
    return send_stage(engine, call, &err);
}

/* One step of scoring has ended: the next one, or the scores. */
static bool take_scored(struct infer_external *engine, struct infer_call *call,
                        const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    if (!infer_score_take(&engine->server, call, http->data, http->length, &err))
        return fail_call(engine, call, http->at_ns, &err, out);
    if (!infer_score_is_done(call))
        return !send_stage(engine, call, &err) && fail_call(engine, call, http->at_ns, &err, out);
    snprintf(call->finish_reason, sizeof call->finish_reason, "stop");
    call->counts.output = 0;
    set_done(engine, call, http->at_ns, out);
    free(engine->scores);
    out->scores = engine->scores = cap_take(call->scores);
    out->score_count = call->request->continuation_count;
    infer_call_end(call);
    return true;
}

static bool take_refusal(struct infer_external *engine, struct infer_call *call,
                         const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    if ((http->status == 429 || http->status == 503) && plan_retry(call, http->retry_after_s))
        return false;
    infer_reply_refusal(http->status, http->type, http->data, http->length, &err);
    cap_log(DEBUG, "server_refused", "status=%d body=%s", http->status, CAP_LOG_Q(http->data));
    return fail_call(engine, call, http->at_ns, &err, out);
}

/* Status 200, but no stream: an error after all, or a server that does not stream. */
static void explain_unstreamed(const struct cap_http_event *http, struct cap_err *err)
{
    char words[INFER_REPLY_REASON_BYTES];

    if (infer_reply_body_error(http->data, http->length, words, sizeof words)) {
        cap_fail(err, CAP_FAILED_PRECONDITION, "the server answered with an error: %s", words);
        return;
    }
    infer_reply_describe(http->type, http->length, words, sizeof words);
    cap_fail(err, CAP_FAILED_PRECONDITION, "the server did not stream its answer: %s", words);
}

/* False, with why, when the stream has not ended as it should. */
static bool check_end(struct infer_external *engine, struct infer_call *call,
                      const struct cap_http_event *http, struct cap_err *err)
{
    const char *reason = call->finish_reason;
    char words[INFER_REPLY_REASON_BYTES];
    bool marked = http->marked_end;

    if (call->events == 0 && infer_reply_body_error(http->data, http->length, words, sizeof words))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "the server answered with an error: %s",
                        words);
    if (!*reason && !marked)
        return cap_fail(err, CAP_UNAVAILABLE, "the server closed the stream before its end");
    if (call->chunks == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the server ended the stream without an answer");
    if (infer_reason_is_failure(reason))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "the server gave the request up (%s)",
                        reason);
    engine->notes.unmarked += !marked && engine->server.kind->marks_end;
    return true;
}

static bool take_end(struct infer_external *engine, struct infer_call *call,
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
        explain_unstreamed(http, &err);
        return fail_call(engine, call, http->at_ns, &err, out);
    }
    if (!check_end(engine, call, http, &err))
        return fail_call(engine, call, http->at_ns, &err, out);
    call->ended_ns = http->at_ns;
    if (!*call->finish_reason) /* [DONE] alone: what could have become a stop string is text */
        cap_buf_add_str(&call->rest, infer_output_text_feed(&call->flow, "", 0, true));
    if (engine->routing.again && send_routing(engine, call))
        return false;
    return end_answer(engine, call, out);
}

/* No reply, or a broken one. */
static bool take_failure(struct infer_external *engine, struct infer_call *call,
                         const struct cap_http_event *http, struct infer_event *out)
{
    if (call->stage == INFER_STAGE_ROUTING) {
        infer_routing_take_again(&engine->routing, call, "", 0);
        return end_answer(engine, call, out);
    }
    if (http->failure->code == CAP_UNAVAILABLE && plan_retry(call, -1))
        return false;
    return fail_call(engine, call, http->at_ns, http->failure, out);
}

bool infer_call_take(struct infer_external *engine, const struct cap_http_event *http,
                     struct infer_event *out)
{
    struct infer_call *call = &engine->calls[http->id];

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

/* ---- time ---- */

static bool is_past(int64_t since_ns, int limit_ms, int64_t at_ns)
{
    return limit_ms > 0 && at_ns - since_ns > (int64_t)limit_ms * 1000000;
}

/* A reply that comes whole has no tokens on the way: its limit is the first token's. */
static bool is_late(const struct infer_external *engine, const struct infer_call *call,
                    int64_t at_ns, struct cap_err *out)
{
    const struct infer_time_limits *limits = &engine->limits;

    if (is_past(call->started_ns, limits->request_ms, at_ns))
        return !cap_fail(out, CAP_DEADLINE_EXCEEDED,
                         "the server did not end the answer within %d s "
                         "(external_request_s_max of the node)",
                         limits->request_ms / 1000);
    if (call->progress_ns > 0)
        return is_past(call->progress_ns, limits->silence_ms, at_ns) &&
               !cap_fail(out, CAP_DEADLINE_EXCEEDED,
                         "the server sent no token for %d s (external_silence_s_max of the node)",
                         limits->silence_ms / 1000);
    return is_past(call->sent_ns, limits->first_token_ms, at_ns) &&
           !cap_fail(out, CAP_DEADLINE_EXCEEDED,
                     "the server sent no token within %d s (external_first_token_s_max of the "
                     "node)%s",
                     limits->first_token_ms / 1000,
                     call->events > 0 ? ", only events without text" : "");
}

bool infer_call_check_time(struct infer_external *engine, struct infer_call *call, int64_t at_ns,
                           struct infer_event *out)
{
    struct cap_err err = {0};

    if (!call->request)
        return false;
    if (call->due_ns > 0)
        return call->due_ns <= at_ns && !send_body(engine, call, &err) &&
               fail_call(engine, call, at_ns, &err, out);
    if (!is_late(engine, call, at_ns, &err))
        return false;
    if (call->stage != INFER_STAGE_ROUTING)
        return cut_off(engine, call, at_ns, &err, out);
    cap_http_client_cancel(engine->client, (uint64_t)slot_of(engine, call));
    infer_routing_take_again(&engine->routing, call, "", 0);
    return end_answer(engine, call, out);
}
