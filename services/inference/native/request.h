/* request.h — inside the session: one request from submit to its end. */
#ifndef NATIVE_REQUEST_H
#define NATIVE_REQUEST_H

#include "native/kv.h"
#include "native/session.h"

/* A continuation to be scored: its tokens, and the fork of the prompt that reads them. */
struct native_continuation {
    const int32_t *ids;
    int count;
    int fed;         /* tokens in the cache of `sequence`; the last token never needs to be */
    bool open;       /* `sequence` is a fork that holds pages */
    int extra_pages; /* that it holds beyond the request's reservation */
    struct native_sequence sequence;
};

struct native_active {
    struct native_active *next; /* in the list it is in */
    uint64_t id;
    int32_t *prompt, *tokens; /* one block: prompt, then all continuations */
    int prompt_count, fed;    /* fed: prompt tokens in the cache */
    int pages_reserved;       /* from admission on: all it may need at once */
    struct native_sequence sequence;
    uint32_t
        *chosen; /* [2][moe_layers][experts] in prefill, in decode; NULL before its first pass */
    /* generate */
    int output_max, output_count;
    bool ignore_eos;
    struct native_sampling sampling;
    struct cap_rand rand;
    int32_t last; /* the token to feed next */
    /* score */
    struct native_continuation *continuations;
    struct native_score *scores;
    struct native_token_score *token_scores; /* one block: of all continuations */
    int continuation_count, scored;          /* scored: continuations that are complete */
};

/* NULL when there is no memory. `context_max` bounds prompt and answer. */
struct native_active *native_active_new(const struct native_request *request, int context_max);
void native_active_free(struct native_active *active); /* holds no pages any more */
CAP_DEFINE_AUTO(native_active)

/* The most pages it can hold at once, one continuation at a time. */
int native_active_pages(const struct native_active *active);

static inline bool native_active_scores(const struct native_active *active)
{
    return active->continuation_count > 0;
}

static inline bool native_active_prefilled(const struct native_active *active)
{
    return active->fed == active->prompt_count;
}

#endif
