/* session.h — requests running on a native model: batched, one forward pass a step.
 *
 * A session owns the KV cache and everything else that changes. One thread owns the session and
 * calls everything. A step runs ONE pass: either a prefill pass (prompt tokens of requests that
 * were just admitted, and continuations to be scored; at most prefill_tokens_max of them) or a
 * decode pass (one token for every running request). Prefill goes first. What a request gets does
 * not depend on which others share its passes.
 *
 * Token ids in, the engine's events (engine.h) out, without texts: text, templates and stop strings
 * are the caller's, who cancels a request that has said enough.
 *
 *     native_session_submit(session, &request, err);
 *     while (native_session_step(session, &step, err))
 *         for (int i = 0; i < step.event_count; i++)
 *             handle(&step.events[i]);
 */
#ifndef NATIVE_SESSION_H
#define NATIVE_SESSION_H

#include "engine.h"
#include "native/weights.h"

enum {
    NATIVE_CONCURRENCY_MAX = 4096,
    NATIVE_PREFILL_TOKENS_MAX = 512,
    NATIVE_WAITING_MAX = 1 << 16, /* requests not admitted yet; one more is refused */
    NATIVE_CONTINUATIONS_MAX = 1024
};

struct native_session_options {
    int concurrency;        /* most requests in flight; 0 = 1. More wait their turn */
    int context_tokens_max; /* of one request, prompt and answer; 0 = the model's own */
    uint64_t kv_bytes_max;  /* 0 = half of the machine's memory. When it cannot hold `concurrency`
                               full contexts, requests wait for pages */
};

struct native_sampling {
    double temperature; /* 0 = greedy */
    int top_k;          /* 0 = off */
    double top_p;       /* 1 (or 0) = off */
    uint64_t seed;      /* the same seed and logits give the same tokens */
};

struct native_tokens {
    const int32_t *ids;
    int count;
};

/* Everything is copied by submit. */
struct native_request {
    uint64_t id; /* the caller's; unique among those in flight */
    struct native_tokens prompt;
    /* generate: at most max_tokens (0 = as many as the context holds) */
    int max_tokens;
    bool ignore_eos;
    struct native_sampling sampling;
    /* score, when there are any: the log-likelihood of each after the prompt */
    const struct native_tokens *continuations;
    int continuation_count;
};

/* What one pass brought, in this order: the INFER_PASS, then for each running request its
 * INFER_TOKENS with the id of one token (also the eos that ends an answer) and, when it ended, its
 * INFER_DONE. Texts are not set. A scored request has an INFER_DONE alone, with the scores of its
 * continuations and, in token_scores, those of all their tokens one after another, by ids. Valid
 * until the next call on the session. */
struct native_step {
    const struct infer_event *events;
    int event_count;
};

struct native_session;

/* The model is borrowed and must outlive the session; one session per model at a time. */
struct native_session *native_session_open(struct native_model *model,
                                           const struct native_session_options *options,
                                           struct cap_err *err);
void native_session_free(struct native_session *session);
CAP_DEFINE_AUTO(native_session)

int native_session_context_max(const struct native_session *session);

/* Takes the request in. Refuses at once what can never work: no tokens, an id outside the
 * vocabulary, a prompt that fills the context, more pages than the cache has. */
bool native_session_submit(struct native_session *session, const struct native_request *request,
                           struct cap_err *err);

/* Asked between two layers and between two blocks of logits: true = nobody waits for anything that
 * this session does. Then the pass ends there, every request is forgotten without an event, and the
 * step says that there is nothing to do. NULL = never. */
void native_session_ask(struct native_session *session, bool (*unwanted)(void *arg), void *arg);

/* Runs one pass. False with err clean: nothing to do. False with err set: the session is lost. */
bool native_session_step(struct native_session *session, struct native_step *out_step,
                         struct cap_err *err);

/* How often the router chose each expert for the rows of a request that runs, so far; NULL when it
 * does not run, or the model has no experts. Valid until the next step, cancelled or not. */
const struct infer_routing *native_session_routing(const struct native_session *session,
                                                   uint64_t id);

/* The request's place is free at the next step and no event of it follows; an unknown id is fine.
 */
void native_session_cancel(struct native_session *session, uint64_t id);

#endif
