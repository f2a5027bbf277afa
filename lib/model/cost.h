/* cost.h — parameters, bytes and FLOPs of a model, exactly and without running it.
 *
 * Formulas and worked numbers: docs/models.md. Pure functions; any thread.
 *
 *     struct cap_cost_pass pass = {.tokens = 1, .logits_tokens = 1, .context_sum = 57, ...};
 *     cap_cost_of_pass(model, &pass, &cost);
 */
#ifndef CAP_COST_H
#define CAP_COST_H

#include "model/model.h"

/* How an engine keeps one kind of numbers. */
/* int8 and int4 have one 16-bit scale for each group of a row. */
enum cap_precision {
#define CAP_PRECISION_COMPUTES(id) CAP_PRECISION_##id,
#define CAP_PRECISION_COSTED(id) CAP_PRECISION_##id,
#define CAP_PRECISION_DECLARED(id)
#define PRECISION(id, word, known, ...) CAP_PRECISION_##known(id)
#include "words/precisions.def"
#undef PRECISION
    CAP_PRECISION_COUNT
};

const char *cap_precision_name(enum cap_precision precision);

/* What an engine really does, by kind of weight. */
struct cap_cost_format {
    enum cap_precision attention; /* its matrices */
    enum cap_precision mlp;       /* experts, shared and dense MLPs */
    enum cap_precision router, head;
    enum cap_precision vectors; /* norms and biases */
    int group;                  /* numbers that share a scale */
};

/* As our engine keeps a checkpoint that is stored as `stored`: router and vectors in f32; under
 * f32 what was stored in bf16 stays so, which loses nothing; int8 means the experts and dense MLPs,
 * in groups of 32, beside bf16. f16 and int4, which it does not offer, are counted the same way. */
struct cap_cost_format cap_cost_format_of(enum cap_precision precision, enum cap_dtype stored);

struct cap_cost_parameters {
    int64_t total;
    int64_t active;                   /* touched by one token, input embedding included */
    int64_t active_without_embedding; /* the usual figure beside a model's name */
    int64_t embedding, head;          /* head is 0 when tied */
    int64_t attention, norms, routers, dense, shared, experts; /* sums over all layers */
    int64_t per_expert;                                        /* 0 when all layers are dense */
};

void cap_cost_parameters(const struct cap_model *model, struct cap_cost_parameters *out);

/* Bytes of a [rows, columns] matrix, scales included. */
uint64_t cap_cost_matrix_bytes(enum cap_precision precision, int group, int64_t rows,
                               int64_t columns);

/* Key and value of one token in all layers, `element_bytes` each number. */
uint64_t cap_cost_kv_bytes_per_token(const struct cap_model *model, int element_bytes);

/* One forward step. The `_windowed` sums count only keys within a layer's window and are used for
 * layers that have one. */
struct cap_cost_pass {
    int64_t tokens;        /* scheduled */
    int64_t logits_tokens; /* for which the head ran */
    /* over sequences: keys present after the pass, which are read once */
    int64_t context_sum, context_sum_windowed;
    /* over tokens: keys that each attends to */
    int64_t attended_sum, attended_sum_windowed;
    const uint32_t *distinct_experts; /* [moe layers], in order of layers */
    struct cap_cost_format format;
    int kv_element_bytes;
};

struct cap_cost {
    uint64_t weight_bytes, kv_bytes;
    double flops;
};

/* Weights: every matrix and vector outside the experts once, each distinct expert once, the head if
 * logits were made. The embedding is a look-up and not counted. KV: contexts read, tokens written.
 */
void cap_cost_of_pass(const struct cap_model *model, const struct cap_cost_pass *pass,
                      struct cap_cost *out);

/* Weights read for one decoded token of a single sequence. */
uint64_t cap_cost_weight_bytes_per_token(const struct cap_model *model,
                                         const struct cap_cost_format *format);

#endif
