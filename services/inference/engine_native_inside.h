/* engine_native_inside.h — what engine_native.c and engine_native_events.c share; nobody else
 * includes it. Everything belongs to the worker's thread. */
#ifndef INFER_ENGINE_NATIVE_INSIDE_H
#define INFER_ENGINE_NATIVE_INSIDE_H

#include "base/arena.h"
#include "native/session.h"
#include "encode.h"
#include "text/output.h"

enum { INFER_NATIVE_SLOT_BITS = 13 }; /* of a request's id inside: which slot */

/* One request in flight. */
struct infer_native_answer {
    uint64_t inner_id; /* 0 = the slot is free */
    uint64_t id;       /* the caller's */
    struct infer_output_text flow;
    struct cap_buf prompt; /* what the model sees; empty for tokens */
    int prompt_tokens, tokens;
    struct infer_tokens scored; /* score_prompt: its tokens; all but the first are scored */
};

struct infer_native {
    struct infer_engine base;
    struct native_model *model;
    struct native_session *session;
    struct infer_tokenizer *tokenizer;
    struct infer_chat *chat;
    struct infer_codec codec;
    struct infer_native_answer *answers; /* [slot_count] */
    int slot_count;
    uint64_t serial;
    /* the step whose events are being handed out */
    struct native_step step;
    bool pass_left;
    int event_at;
    bool done_left; /* a stop string ended the answer whose token went out last */
    struct infer_native_answer *ended; /* its strings are in the event handed out last */
    struct native_routing stopped;     /* what it chose, when a stop string ended it */
    struct infer_routing routing;      /* of the event that was handed out last, as the next */
    uint32_t token_id;
    struct infer_score *scores;
    int score_capacity;
    struct cap_arena *token_scores;
};

void infer_native_free_answer(struct infer_native_answer *answer);
/* Frees the slot whose DONE went out: its strings have been read by now. */
void infer_native_forget_ended(struct infer_native *engine);
/* The vtable's wait. */
bool infer_native_wait(struct infer_engine *base, int wait_ms, struct infer_event *out_event,
                       struct cap_err *err);

#endif
