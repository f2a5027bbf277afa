/* What a server sends, made an event of the engine.
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
#include "external/client.h"
#include "external/refusal.h"
#include "external/score.h"
#include "log/log.h"

enum { LOST_MAX = 8 };

/* The server's name of a request is how its owner finds it in the log. */
static void add_server_id(const struct infer_call *call, struct cap_err *why)
{
    size_t length = strlen(why->text);

    if (*call->server_id)
        snprintf(why->text + length, sizeof why->text - length, " (request %s)", call->server_id);
    cap_utf8_tidy(why->text);
}

static void count_loss(struct infer_client *engine, const struct cap_err *why)
{
    if (why->code != CAP_UNAVAILABLE)
        return;
    engine->lost_in_a_row++;
    if (engine->lost_in_a_row >= LOST_MAX && engine->lost.code == CAP_OK)
        cap_fail(&engine->lost, CAP_UNAVAILABLE,
                 "the server is gone: %d requests in a row lost it, the last one: %.300s",
                 engine->lost_in_a_row, why->text);
}

bool infer_reply_fail(struct infer_client *engine, struct infer_call *call, int64_t at_ns,
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
static bool take_piece(struct infer_client *engine, struct infer_call *call,
                       const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    infer_chunk_done(&engine->chunk);
    if (!infer_chunk_read(http->data, http->length, &engine->chunk, &err)) {
        cap_http_client_cancel(engine->client, http->id);
        return infer_reply_fail(engine, call, http->at_ns, &err, out);
    }
    note_version(&engine->server, &engine->chunk);
    return infer_call_take_chunk(call, &engine->chunk, http->at_ns, out);
}

static bool take_refusal(struct infer_client *engine, struct infer_call *call,
                         const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    if ((http->status == 429 || http->status == 503) &&
        infer_call_plan_retry(call, cap_clock_ns(cap_clock_system()), http->retry_after_s))
        return false;
    infer_refusal_explain(http->status, http->data, http->length, &err);
    cap_log(DEBUG, "server_refused", "status=%d body=%s", http->status, CAP_LOG_Q(http->data));
    return infer_reply_fail(engine, call, http->at_ns, &err, out);
}

static void set_done(struct infer_client *engine, const struct infer_call *call, int64_t at_ns,
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
static bool end_answer(struct infer_client *engine, struct infer_call *call,
                       struct infer_event *out)
{
    set_done(engine, call, call->ended_ns, out);
    out->routing = infer_routing_take(&engine->routing, &engine->declared, call);
    infer_call_end(call);
    return true;
}

/* The same once more, for its experts only. */
static bool send_routing(struct infer_client *engine, int slot)
{
    struct cap_err err = {0};

    engine->calls[slot].stage = INFER_STAGE_ROUTING;
    return infer_send_stage(engine, slot, &err);
}

/* One step of scoring has ended: the next one, or the scores. */
static bool take_scored(struct infer_client *engine, struct infer_call *call,
                        const struct cap_http_event *http, struct infer_event *out)
{
    struct cap_err err = {0};

    if (!infer_score_take(&engine->server, call, http->data, http->length, &err))
        return infer_reply_fail(engine, call, http->at_ns, &err, out);
    if (!infer_score_is_done(call))
        return !infer_send_stage(engine, (int)http->id, &err) &&
               infer_reply_fail(engine, call, http->at_ns, &err, out);
    snprintf(call->finish_reason, sizeof call->finish_reason, "stop");
    call->output_tokens = 0;
    set_done(engine, call, http->at_ns, out);
    free(engine->scores);
    out->scores = engine->scores = cap_take(call->scores);
    out->score_count = call->request->continuation_count;
    infer_call_end(call);
    return true;
}

static bool take_end(struct infer_client *engine, struct infer_call *call,
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
        return infer_reply_fail(engine, call, http->at_ns, &err, out);
    }
    if (!infer_call_check_end(call, http->marked_end, &err))
        return infer_reply_fail(engine, call, http->at_ns, &err, out);
    call->ended_ns = http->at_ns;
    if (engine->routing.again && send_routing(engine, (int)http->id))
        return false;
    return end_answer(engine, call, out);
}

/* No reply, or a broken one. Silence is not tried again: the server has the request. */
static bool take_failure(struct infer_client *engine, struct infer_call *call,
                         const struct cap_http_event *http, struct infer_event *out)
{
    if (call->stage == INFER_STAGE_ROUTING) {
        infer_routing_take_again(&engine->routing, call, "", 0);
        return end_answer(engine, call, out);
    }
    if (http->failure->code == CAP_UNAVAILABLE &&
        infer_call_plan_retry(call, cap_clock_ns(cap_clock_system()), -1))
        return false;
    return infer_reply_fail(engine, call, http->at_ns, http->failure, out);
}

bool infer_reply_take(struct infer_client *engine, const struct cap_http_event *http,
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
