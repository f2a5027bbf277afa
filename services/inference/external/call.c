#include "external/call.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "external/sent.h"

enum { PAUSE_MS_MIN = 250, PAUSE_MS_MAX = 30000, TEXT_BYTES_MAX = 1 << 20 };

void infer_call_start(struct infer_call *call, const struct infer_request *request)
{
    bool scores = request->continuation_count > 0;

    *call = (struct infer_call){.request = request,
                                .stage = scores ? INFER_STAGE_CONTEXT : INFER_STAGE_GENERATE,
                                .prompt_tokens = -1,
                                .output_tokens = -1,
                                .cached_tokens = -1};
    infer_output_text_start(&call->flow, request->stop, request->stop_count);
    cap_buf_init(&call->text, TEXT_BYTES_MAX);
    if (scores)
        call->scores = calloc((size_t)request->continuation_count, sizeof *call->scores);
    assert(!scores || call->scores);
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

void infer_call_set_body(struct infer_call *call, char *body)
{
    free(call->body);
    call->body = body;
    call->tries = 0;
    call->began = false;
}

void infer_call_end(struct infer_call *call)
{
    if (call->request) {
        infer_output_text_done(&call->flow);
        cap_buf_done(&call->text);
    }
    free(call->routed);
    free(call->body);
    free(call->scores);
    *call = (struct infer_call){0};
}

bool infer_call_plan_retry(struct infer_call *call, int64_t now_ns, int retry_after_s)
{
    int64_t pause_ms = (int64_t)PAUSE_MS_MIN << (call->tries - 1);

    if (call->began || call->tries >= INFER_CALL_TRIES_MAX)
        return false;
    if (retry_after_s >= 0)
        pause_ms = (int64_t)retry_after_s * 1000;
    if (pause_ms > PAUSE_MS_MAX)
        pause_ms = PAUSE_MS_MAX;
    call->due_ns = now_ns + pause_ms * 1000000;
    return true;
}

static void note_facts(struct infer_call *call, const struct infer_chunk *chunk)
{
    if (chunk->has_usage) {
        call->prompt_tokens = chunk->prompt_tokens;
        call->output_tokens = chunk->output_tokens;
        call->cached_tokens = chunk->cached_tokens;
    }
    if (chunk->finish_reason)
        infer_sent_words(call->finish_reason, sizeof call->finish_reason, chunk->finish_reason);
    if (chunk->id && !*call->server_id)
        infer_sent_words(call->server_id, sizeof call->server_id, chunk->id);
}

/* Some servers leave the stop string in the text: whatever came from it on is cut here. */
bool infer_call_take_chunk(struct infer_call *call, const struct infer_chunk *chunk, int64_t at_ns,
                           struct infer_event *out)
{
    call->began = true;
    note_facts(call, chunk);
    cap_buf_add(&call->text, chunk->text, chunk->text_length);
    if (chunk->routed_experts)
        infer_call_keep_routed(call, chunk->routed_experts, chunk->routed_length);
    if (!chunk->has_choice)
        return false;
    *out = (struct infer_event){
        .kind = INFER_TOKENS,
        .id = call->request->id,
        .at_ns = at_ns,
        .piece = infer_output_text_feed(&call->flow, chunk->text, chunk->text_length,
                                        chunk->finish_reason != NULL),
        .reasoning_piece = chunk->reasoning,
        .is_closing = chunk->is_closing,
    };
    return true;
}

/* [DONE] without a reason: the count tells whether it was the limit. */
static void guess_reason(struct infer_call *call)
{
    bool full = call->output_tokens >= 0 && call->output_tokens >= call->request->max_tokens;

    snprintf(call->finish_reason, sizeof call->finish_reason, "%s", full ? "length" : "stop");
}

bool infer_call_check_end(struct infer_call *call, bool marked, struct cap_err *err)
{
    if (!*call->finish_reason && !marked)
        return cap_fail(err, CAP_UNAVAILABLE, "the server closed the stream before its end");
    if (!*call->finish_reason)
        guess_reason(call);
    if (strcmp(call->finish_reason, "abort") == 0 || strcmp(call->finish_reason, "error") == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "the server gave the request up (%s)",
                        call->finish_reason);
    return true;
}
