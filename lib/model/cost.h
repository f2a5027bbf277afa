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

/* What one kind of numbers is kept in. */
enum cap_precision {
#define PRECISION(id, ...) CAP_PRECISION_##id,
#include "words/precisions.def"
#undef PRECISION
    CAP_PRECISION_COUNT
};

const char *cap_precision_name(enum cap_precision precision);
/* By its word or another spelling, "torch.bfloat16"; CAP_PRECISION_COUNT when there is none. */
enum cap_precision cap_precision_find(const char *spelling);

/* One scale, with its zero point, for each block of rows x columns numbers of a matrix in 8 bits or
 * fewer. */
struct cap_cost_scales {
    int rows, columns; /* columns 0: no scales are counted; INT_MAX: the whole row */
    int bits;
};

/* What is really stored, by kind of weight. */
struct cap_cost_format {
    enum cap_precision attention; /* its matrices */
    enum cap_precision experts, shared, dense;
    enum cap_precision router, head;
    enum cap_precision vectors; /* norms and biases */
    struct cap_cost_scales scales;
};

/* As our engine keeps a checkpoint that is stored as `stored`: router and vectors in f32; under
 * f32 what was stored in bf16 stays so, which loses nothing; int8 means the experts and dense MLPs,
 * in groups of 32, beside bf16. Those that it does not offer are counted the same way. */
struct cap_cost_format cap_cost_format_of(enum cap_precision precision, enum cap_dtype stored);
/* Every matrix in one precision, without scales, but for the formats that are defined with theirs
 * (mxfp4, nvfp4); vectors in 16 bits at least. */
struct cap_cost_format cap_cost_format_plain(enum cap_precision precision);

struct cap_cost_parameters {
    int64_t total;
    int64_t active;                   /* touched by one token, input embedding included */
    int64_t active_without_embedding; /* the usual figure beside a model's name */
    int64_t embedding, head;          /* head is 0 when tied */
    /* sums over all layers; biases are apart */
    int64_t attention, norms, routers, dense, shared, experts, biases;
    int64_t per_expert; /* 0 when all layers are dense */
};

void cap_cost_parameters(const struct cap_model *model, struct cap_cost_parameters *out);

/* Bytes of a [rows, columns] matrix, scales included. */
uint64_t cap_cost_matrix_bytes(enum cap_precision precision, const struct cap_cost_scales *scales,
                               int64_t rows, int64_t columns);
/* All weights as they are stored, the input embedding (as the head is) included. */
double cap_cost_stored_bytes(const struct cap_model *model, const struct cap_cost_format *format);

/* What one token leaves in the cache, in all layers, `element_bytes` each number. */
uint64_t cap_cost_kv_bytes_per_token(const struct cap_model *model, int element_bytes);
/* The states of one sequence in the layers of linear attention, kept in f32. */
uint64_t cap_cost_state_bytes(const struct cap_model *model);

/* One forward step. The `_windowed` sums count only keys within a layer's window and are used for
 * layers that have one. */
struct cap_cost_pass {
    int64_t tokens;        /* scheduled */
    int64_t sequences;     /* they matter to linear attention, whose states are read and written */
    int64_t logits_tokens; /* for which the head ran */
    /* over sequences: keys present after the pass, which are read once */
    int64_t context_sum, context_sum_windowed;
    /* over tokens: keys that each attends to; they grow with the square of the context */
    double attended_sum, attended_sum_windowed;
    const uint32_t *distinct_experts; /* [moe layers], in order of layers; NULL: */
    double distinct_mean;             /* in each of them */
    struct cap_cost_format format;
    double kv_element_bytes;
    bool absorbed; /* MLA: scores are made with the latent vectors themselves */
};

enum cap_part {
#define PART(id, what) CAP_PART_##id,
#include "model/parts.def"
#undef PART
    CAP_PART_COUNT
};

/* "kv_read", and what it is. */
const char *cap_part_name(enum cap_part part);
const char *cap_part_text(enum cap_part part);

struct cap_cost_parts {
    double bytes[CAP_PART_COUNT], flops[CAP_PART_COUNT];
};

/* Weights: every matrix and vector outside the experts once, each distinct expert once, the head if
 * logits were made. The embedding is a look-up and not counted. KV: contexts read, tokens written.
 */
void cap_cost_by_part(const struct cap_model *model, const struct cap_cost_pass *pass,
                      struct cap_cost_parts *out);

struct cap_cost {
    uint64_t weight_bytes, kv_bytes;
    double flops;
};

/* The same, summed up. */
void cap_cost_of_pass(const struct cap_model *model, const struct cap_cost_pass *pass,
                      struct cap_cost *out);

/* Weights read for one decoded token of a single sequence. */
uint64_t cap_cost_weight_bytes_per_token(const struct cap_model *model,
                                         const struct cap_cost_format *format);

/* Of `experts`, how many of which each of `tokens` chooses `top_k`, if every choice were as likely
 * as any other: E (1 - (1 - k / E)^T). */
double cap_cost_uniform_experts(int experts, int top_k, double tokens);

/* Keys that the tokens first..last of a sequence (its first token is 1) attend to together: each
 * those before it and itself, `most` at a time. */
double cap_cost_attended(int64_t first, int64_t last, int64_t most);

#endif
