/* inside.h — what the files of this room share, in reading order: from a page of the cache up to
 * the state of a session.
 *
 *     memory.c   how much memory a large allocation may count on
 *     kv.c       the cache
 *     forward.c  one pass over rows
 *     sampler.c  from logits to a token
 *     session.c  life cycle, submit, cancel, and the step that calls the three below
 *     plan.c     admit; which rows the next pass holds
 *     record.c   what the pass chose, request by request, and what it cost
 *     outputs.c  logits to tokens, scores and events
 *
 * Other rooms see weights.h (a model) and session.h (requests that run on it). `model forward` and
 * the tests stand inside: they run single passes without a session.
 */
#ifndef NATIVE_INSIDE_H
#define NATIVE_INSIDE_H

#include "base/rand.h"
#include "native/session.h"

/* ==== how much memory a large allocation may count on ==== */

/* Free and reclaimable bytes of the machine, or of the process's control groups when that is less.
 * Asked before large allocations, because the kernel grants them all and kills later. */
uint64_t native_memory_available(void);

/* What the control groups leave: UINT64_MAX when they set no limit. `root` is /sys/fs/cgroup,
 * `membership` is /proc/self/cgroup; for tests. */
uint64_t native_memory_of_groups(const char *root, const char *membership);

/* ==== the KV cache ====
 *
 * Pages of MOE_PAGE_TOKENS tokens, one page number for all layers.
 *
 * A sequence is a list of pages. A fork shares the full pages of its origin and copies the last one
 * when that is partly filled, so that continuations of one prefix cost their own tokens only. One
 * owner, one thread. Memory is touched when a page is first used.
 */

struct native_kv {
    const struct native_model *model;
    struct moe_kv *layers; /* [layer_count] */
    int pages, free_count;
    int32_t *free_pages; /* a stack */
    int32_t *uses;       /* [pages] sequences that hold it */
};

struct native_sequence {
    int32_t *pages;
    int page_count;
    int length;      /* tokens in the cache */
    int rope_length; /* of the whole prompt while that is read in; for dynamic rope */
};

struct native_kv *native_kv_open(const struct native_model *model, int pages, struct cap_err *err);
void native_kv_free(struct native_kv *kv);
CAP_DEFINE_AUTO(native_kv)

/* Bytes of one page over all layers, keys and values. */
uint64_t native_kv_page_bytes(const struct native_model *model);
/* Bytes of one number of it. */
int native_kv_number_bytes(const struct native_model *model);
int native_kv_pages_for(int tokens);

/* Pages for `length` tokens in all; false when the cache has no more, the sequence unchanged. */
bool native_kv_grow(struct native_kv *kv, struct native_sequence *sequence, int length);
/* `out` must be empty. Fails when the cache has no page for the copy, or the device fails. */
bool native_kv_fork(struct native_kv *kv, const struct native_sequence *from,
                    struct native_sequence *out, struct cap_err *err);
/* Gives the pages back and leaves the sequence empty. */
void native_kv_drop(struct native_kv *kv, struct native_sequence *sequence);

/* ==== one forward pass over rows of any mixture of sequences ====
 *
 * A row is one token at one position of one sequence; its keys and values go to the sequence's
 * pages, which must be there (native_kv_grow). Rows of a sequence come in order of position and
 * attend to everything before them, earlier rows of the same pass included. One thread, the
 * model's.
 *
 *     native_forward_run(fw, kv, &rows, err) && native_forward_logits(fw, pick, n, logits, err);
 *
 * A pass over many rows of a large model takes seconds. So the forward pass asks between two layers
 * whether it is still wanted (native_forward_ask), and ends there when it is not: CANCELLED. What
 * its rows wrote to their pages is then of no use.
 */

struct native_forward;

struct native_rows {
    int count;
    const int32_t *ids, *positions;           /* [count] */
    const int32_t *sequence_of;               /* [count] index into `sequences` */
    struct native_sequence *const *sequences; /* [sequence_count] */
    int sequence_count;
};

/* Told the router's final choices of every MoE layer of a pass: ids and weights [rows][top_k]. */
typedef void (*native_experts_fn)(void *context, int layer, const int32_t *ids,
                                  const float *weights, int rows, int top_k);

/* Room for passes of rows_max rows and for the logits of logits_max rows at once. */
struct native_forward *native_forward_open(const struct native_model *model, int rows_max,
                                           int logits_max, int context_max, struct cap_err *err);
void native_forward_free(struct native_forward *fw);
CAP_DEFINE_AUTO(native_forward)

void native_forward_watch(struct native_forward *fw, native_experts_fn fn, void *context);
/* `unwanted` is asked before each layer, and before the head; NULL = never. */
void native_forward_ask(struct native_forward *fw, bool (*unwanted)(void *arg), void *arg);

/* Fails when the device does, or with CANCELLED. Does not move the sequences' lengths. */
bool native_forward_run(struct native_forward *fw, struct native_kv *kv,
                        const struct native_rows *rows, struct cap_err *err);

/* Logits [count][vocab] of rows `pick` of the last pass; count <= logits_max. */
bool native_forward_logits(struct native_forward *fw, const int32_t *pick, int count, float *out,
                           struct cap_err *err);

/* Selections of the last pass: [moe_layers][experts]. */
const uint32_t *native_forward_counts(const struct native_forward *fw);
/* What the rows of the last pass chose in a MoE layer, counted without the dense ones:
 * [rows][top_k of the layer]. */
const int32_t *native_forward_chosen(const struct native_forward *fw, int moe_layer);

/* ==== the next token from its logits ====
 *
 * Pure but for the generator's state.
 */

/* Ties go to the lower index. */
int32_t native_sample_greedy(const float *logits, int vocab);

/* Temperature, then top-k, then top-p, then one draw. `scratch` holds vocab pairs. */
struct native_candidate {
    float probability;
    int32_t id;
};
int32_t native_sample(const float *logits, int vocab, const struct native_sampling *sampling,
                      struct cap_rand *rand, struct native_candidate *scratch);

/* log softmax(logits)[id], in double. */
double native_log_likelihood(const float *logits, int vocab, int32_t id);

/* ==== the state of a session ====
 *
 * Shared by the files of its phases: session.c, plan.c, record.c, outputs.c.
 */

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
    int64_t started_ns;       /* of its first pass; 0 = none yet */
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
