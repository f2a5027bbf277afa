/* internal.h — the session's state, shared by the files of its phases:
 *
 *     session.c  life cycle, submit, cancel, and the step that calls the others
 *     plan.c     admit; which rows the next pass holds
 *     record.c   what the pass chose, request by request, and what it cost
 *     outputs.c  logits to tokens, scores and events
 */
#ifndef NATIVE_INTERNAL_H
#define NATIVE_INTERNAL_H

#include "native/forward.h"
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
    struct infer_routing routing; /* points into it */
    /* generate */
    int output_max, output_count;
    bool ignore_eos;
    struct native_sampling sampling;
    struct cap_rand rand;
    int32_t last; /* the token to feed next */
    /* score */
    struct native_continuation *continuations;
    struct infer_score *scores;
    struct infer_token_score *token_scores; /* one block: of all continuations, as the tokens */
    int continuation_count, scored;         /* scored: continuations that are complete */
};

/* session.c. NULL when there is no memory. `context_max` bounds prompt and answer. */
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

/* A run of rows of one sequence in the pass. */
struct native_item {
    struct native_active *active;
    struct native_continuation *continuation; /* NULL: prompt, or the last generated token */
    int first_row, rows;
};

struct native_list {
    struct native_active *first, **end;
    int count;
};

struct native_session {
    struct native_model *model;
    struct native_kv *kv;
    struct native_forward *forward;
    int concurrency, context_max, rows_max, logits_max;
    int pages_unreserved; /* that no admitted request may need */
    struct native_list waiting, running;
    struct native_active *retired; /* ended in the last step; its events point into them */
    /* the pass being made */
    bool decode;
    struct native_item *items; /* [rows_max] */
    int item_count, row_count;
    int32_t *ids, *positions, *sequence_of, *pick; /* [rows_max] */
    struct native_sequence **sequences;            /* [rows_max] */
    /* its outcome */
    float *logits; /* [logits_max][vocab] */
    struct native_candidate *candidates;
    struct infer_event *events; /* [1 + 2 * concurrency], the pass first */
    uint32_t *token_ids;        /* [1 + 2 * concurrency] of the events */
    int event_count, logits_tokens;
    uint32_t *distinct; /* [moe_layers] */
    int *moe_layer_ids;
};

static inline struct native_sequence *native_item_sequence(const struct native_item *item)
{
    return item->continuation ? &item->continuation->sequence : &item->active->sequence;
}

/* plan.c: admits what may run and lays out the next pass; false when there is nothing to do (err is
 * clean) or the device failed. */
bool native_plan(struct native_session *session, struct cap_err *err);
/* Takes a request out of the running ones and gives back what it held. */
void native_plan_remove(struct native_session *session, struct native_active *active);
void native_plan_close(struct native_session *session, struct native_continuation *continuation);
void native_list_push(struct native_list *list, struct native_active *active);
void native_list_remove(struct native_list *list, struct native_active *active);

/* record.c. The routing: after the forward pass, before requests end; the cost: after all. */
bool native_record_routing(struct native_session *session, struct cap_err *err);
/* NULL when it has none. */
const struct infer_routing *native_routing_of(const struct native_active *active);
void native_record_pass(struct native_session *session, int64_t started_ns, struct infer_pass *out);

/* outputs.c: between them. */
bool native_outputs(struct native_session *session, struct cap_err *err);
/* Out of the running ones; kept until the next step for what points into it. */
void native_retire(struct native_session *session, struct native_active *active);

#endif
