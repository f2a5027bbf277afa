/* types.h — the store's nouns as plain structs: what the logic speaks on both sides of SQL.
 *
 * Each mirrors a message of proto/moecap/v1, whose comments hold; *_rpc.c translates. Pointers are
 * borrowed: from the request on the way in, from the arena that was passed on the way out. What
 * only passes through the store is a packed message (spec, report, hello).
 */
#ifndef STORE_TYPES_H
#define STORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_bytes {
    const uint8_t *data;
    size_t length;
};

struct store_u32s {
    uint32_t *items;
    size_t count;
};

struct store_u64s {
    uint64_t *items;
    size_t count;
};

struct store_reals {
    double *items;
    size_t count;
};

/* Unknown is not zero. */
struct store_opt_int {
    bool known;
    int64_t value;
};

struct store_opt_real {
    bool known;
    double value;
};

/* ---- states ---- */

/* The numbers are the wire's. */
#define STORE_STATES(X)                                                                            \
    X(NONE, "")                                                                                    \
    X(QUEUED, "queued")   /* no shard is leased */                                                 \
    X(LEASED, "leased")   /* a shard is leased, nothing stored since */                            \
    X(RUNNING, "running") /* a shard is leased, answers are stored */                              \
    X(GRADING, "grading") /* every shard is done */                                                \
    X(FINISHED, "finished")                                                                        \
    X(FAILED, "failed")                                                                            \
    X(CANCELLED, "cancelled")                                                                      \
    X(INVALID, "invalid")

enum store_state {
#define STORE_STATE_ENUM(name, text) STORE_STATE_##name,
    STORE_STATES(STORE_STATE_ENUM)
#undef STORE_STATE_ENUM
        STORE_STATE_COUNT
};

/* ---- tasks ---- */

struct store_task {
    uint64_t task_id;
    const char *name, *version, *output_type, *definition, *definition_sha256, *samples_file,
        *fewshot_file, *split, *description;
    uint32_t num_fewshot;
    const char **metrics; /* metric_count of them */
    size_t metric_count;
    uint32_t samples, fewshot_samples;
    const char *data_sha256;
};

struct store_doc {
    uint32_t ordinal;
    const char *uid;
    const char *json;
};

struct store_docs {
    struct store_doc *items;
    size_t count;
};

/* ---- leases ---- */

struct store_lease_ref {
    const char *run_id;
    uint32_t shard;
    uint64_t fence;
};

struct store_lease_refs {
    struct store_lease_ref *items;
    size_t count;
};

/* ---- evidence ---- */

struct store_answer {
    uint32_t ordinal;
    const char *uid;
    uint64_t fence;                                    /* of the attempt; read only */
    bool escaped;                                      /* read only */
    bool completed;                                    /* or failed, see error */
    struct store_bytes error, prompt, text, reasoning; /* followed by a NUL where they were read */
    const char *finish_reason;
    struct store_opt_int prompt_tokens, output_tokens, cached_tokens, first_chunk_tokens;
    struct store_u32s output_ids;
    struct store_reals score_logs; /* one per continuation, as in the next two */
    struct store_u32s score_tokens, score_greedy;
    bool timed; /* the answer has a timing; if not, the next five mean nothing */
    int64_t submitted_us, ended_us;
    struct store_opt_int first_token_us, last_token_us;
    struct store_u32s itl_us;
    struct store_bytes routing; /* packed SampleRouting; length 0 = unknown, or not asked for */
};

struct store_answers {
    struct store_answer *items;
    size_t count;
};

struct store_pass {
    uint32_t phase, sequences, tokens;
    uint64_t context_sum, duration_ns;
    int64_t started_us;
    struct store_u32s distinct_experts;
    struct store_opt_int weight_bytes, kv_bytes;
    struct store_opt_real flops;
    bool warm_up;
};

struct store_passes {
    struct store_pass *items;
    size_t count;
};

struct store_expert_count {
    uint32_t phase, layer, batch_bucket;
    struct store_u64s counts; /* by expert */
};

struct store_expert_counts {
    struct store_expert_count *items;
    size_t count;
};

struct store_power {
    int64_t at_us;
    const char *device;
    double watts;
};

struct store_powers {
    struct store_power *items;
    size_t count;
};

/* The numbers are the wire's. */
enum store_verdict_kind {
    STORE_VERDICT_NONE,
    STORE_VERDICT_CORRECT,
    STORE_VERDICT_WRONG,
    STORE_VERDICT_UNDECIDED,
    STORE_VERDICT_KIND_COUNT
};

struct store_verdict {
    uint32_t ordinal;
    const char *metric, *version;
    enum store_verdict_kind kind;
    const char *extracted, *reason;
    double score;
    bool unanswered, truncated;
};

struct store_verdicts {
    struct store_verdict *items;
    size_t count;
};

/* ---- summaries ---- */

struct store_figure {
    const char *id, *reason, *unit, *basis;
    struct store_opt_real value, low, high;
    bool invalid;
};

struct store_figures {
    struct store_figure *items;
    size_t count;
};

struct store_histogram {
    const char *id;
    double lowest, growth;
    struct store_u64s counts;
};

struct store_histograms {
    struct store_histogram *items;
    size_t count;
};

#endif
