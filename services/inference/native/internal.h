/* internal.h — the session's state, shared by the files of its phases:
 *
 *     session.c  life cycle, submit, cancel, and the step that calls the others
 *     plan.c     admit; which rows the next pass holds
 *     route.c    what the pass chose, request by request
 *     settle.c   logits to tokens, scores and events
 *     record.c   what the pass cost
 */
#ifndef NATIVE_INTERNAL_H
#define NATIVE_INTERNAL_H

#include "native/forward.h"
#include "native/request.h"

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
    struct native_event *events;
    int event_count, event_capacity, logits_tokens;
    uint32_t *distinct; /* [moe_layers] */
    int *moe_layer_ids;
};

static inline struct native_sequence *native_item_sequence(const struct native_item *item)
{
    return item->continuation ? &item->continuation->sequence : &item->active->sequence;
}

/* plan.c: admits what may run and lays out the next pass; false when there is nothing to do. */
bool native_plan(struct native_session *session);
/* Takes a request out of the running ones and gives back what it held. */
void native_plan_remove(struct native_session *session, struct native_active *active);
void native_plan_close(struct native_session *session, struct native_continuation *continuation);
void native_list_push(struct native_list *list, struct native_active *active);
void native_list_remove(struct native_list *list, struct native_active *active);

/* route.c: after the forward pass, before requests end. */
bool native_route(struct native_session *session, struct cap_err *err);
struct native_routing native_route_of(const struct native_session *session,
                                      const struct native_active *active);

/* settle.c: after that. */
bool native_settle(struct native_session *session, struct cap_err *err);
/* Out of the running ones; kept until the next step for what points into it. */
void native_retire(struct native_session *session, struct native_active *active);

/* record.c */
void native_record(struct native_session *session, int64_t started_ns, struct native_pass *out);

#endif
