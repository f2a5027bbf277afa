#include <stdlib.h>
#include <string.h>

#include "external/body.h"
#include "external/client.h"
#include "external/score.h"

enum {
    REQUEST_BYTES_MAX = 64 << 20,
    ANSWER_BYTES_MAX = 64 << 20,
    EVENT_BYTES_MAX = 48 << 20, /* routing is one: 4,096 tokens of 60 layers of 8 are 10 MiB */
    SILENCE_S_MAX = 600,
};

static char *make_body(const struct infer_client *engine, const struct infer_call *call)
{
    if (call->stage == INFER_STAGE_ROUTING)
        return infer_body_generate(&engine->server, call->request, INFER_BODY_WHOLE);
    if (call->stage != INFER_STAGE_GENERATE)
        return infer_score_body(&engine->server, call);
    return infer_body_generate(&engine->server, call->request,
                               engine->routing.in_stream ? INFER_BODY_STREAM_ROUTED
                                                         : INFER_BODY_STREAM);
}

bool infer_send_stage(struct infer_client *engine, int slot, struct cap_err *err)
{
    struct infer_call *call = &engine->calls[slot];
    char *body = make_body(engine, call);

    if (!body || strlen(body) > REQUEST_BYTES_MAX) {
        free(body);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt is not UTF-8, or larger than %d MiB",
                        REQUEST_BYTES_MAX >> 20);
    }
    infer_call_set_body(call, body);
    return infer_send_again(engine, slot, err);
}

bool infer_send_again(struct infer_client *engine, int slot, struct cap_err *err)
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
