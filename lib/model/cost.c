/* Parameters, bytes and FLOPs: sums over the table of weights. */
#include "model/cost.h"

#include <string.h>

#include "base/auto.h"
#include "model/weights.h"

enum { GROUP_DEFAULT = 32, SCALE_BYTES = 2 };

static const struct {
    int bits;
    bool scaled;
} precisions[CAP_PRECISION_COUNT] = {
    [CAP_PRECISION_F32] = {32, false},  [CAP_PRECISION_F16] = {16, false},
    [CAP_PRECISION_BF16] = {16, false}, [CAP_PRECISION_INT8] = {8, true},
    [CAP_PRECISION_INT4] = {4, true},
};

const char *cap_precision_name(enum cap_precision precision)
{
    static const char *const words[CAP_PRECISION_COUNT] = {
#define WORD_COMPUTES(id, word) [CAP_PRECISION_##id] = word,
#define WORD_COSTED(id, word) [CAP_PRECISION_##id] = word,
#define WORD_DECLARED(id, word)
#define PRECISION(id, word, known, ...) WORD_##known(id, word)
#include "words/precisions.def"
#undef PRECISION
    };

    return words[precision];
}

struct cap_cost_format cap_cost_format_of(enum cap_precision precision, enum cap_dtype stored)
{
    enum cap_precision kept = precision;

    if (precision == CAP_PRECISION_F32 && stored == CAP_DTYPE_BF16)
        kept = CAP_PRECISION_BF16;
    return (struct cap_cost_format){
        .attention = precisions[precision].scaled ? CAP_PRECISION_BF16 : kept,
        .mlp = kept,
        .router = CAP_PRECISION_F32,
        .head = precisions[precision].scaled ? CAP_PRECISION_BF16 : kept,
        .vectors = CAP_PRECISION_F32,
        .group = GROUP_DEFAULT};
}

uint64_t cap_cost_matrix_bytes(enum cap_precision precision, int group, int64_t rows,
                               int64_t columns)
{
    uint64_t row_bytes = ((uint64_t)columns * (uint64_t)precisions[precision].bits + 7) / 8;

    if (precisions[precision].scaled)
        row_bytes += (uint64_t)((columns + group - 1) / group) * SCALE_BYTES;
    return (uint64_t)rows * row_bytes;
}

/* ---- one weight, one layer ---- */

static const enum cap_weight attention_matrices[] = {CAP_WEIGHT_Q, CAP_WEIGHT_K, CAP_WEIGHT_V,
                                                     CAP_WEIGHT_O};
static const enum cap_weight attention_biases[] = {CAP_WEIGHT_Q_BIAS, CAP_WEIGHT_K_BIAS,
                                                   CAP_WEIGHT_V_BIAS, CAP_WEIGHT_O_BIAS};
static const enum cap_weight layer_norms[] = {CAP_WEIGHT_ATTENTION_NORM, CAP_WEIGHT_Q_NORM,
                                              CAP_WEIGHT_K_NORM, CAP_WEIGHT_MLP_NORM};
static const enum cap_weight dense_matrices[] = {CAP_WEIGHT_GATE, CAP_WEIGHT_UP, CAP_WEIGHT_DOWN};
static const enum cap_weight expert_matrices[] = {CAP_WEIGHT_EXPERT_GATE, CAP_WEIGHT_EXPERT_UP,
                                                  CAP_WEIGHT_EXPERT_DOWN};

static int64_t count_of(const struct cap_model *model, enum cap_weight weight, int layer)
{
    int64_t rows, columns;

    return cap_weights_shape(model, weight, layer, &rows, &columns) ? rows * columns : 0;
}

static uint64_t bytes_of(const struct cap_model *model, enum cap_weight weight, int layer,
                         enum cap_precision precision, int group)
{
    int64_t rows, columns;

    if (!cap_weights_shape(model, weight, layer, &rows, &columns))
        return 0;
    return cap_cost_matrix_bytes(precision, group, rows, columns);
}

#define SUM_COUNT(list, model, layer)                                                              \
    ({                                                                                             \
        int64_t sum_ = 0;                                                                          \
        for (size_t i_ = 0; i_ < CAP_COUNT_OF(list); i_++)                                         \
            sum_ += count_of(model, (list)[i_], layer);                                            \
        sum_;                                                                                      \
    })

#define SUM_BYTES(list, model, layer, precision, group)                                            \
    ({                                                                                             \
        uint64_t sum_ = 0;                                                                         \
        for (size_t i_ = 0; i_ < CAP_COUNT_OF(list); i_++)                                         \
            sum_ += bytes_of(model, (list)[i_], layer, precision, group);                          \
        sum_;                                                                                      \
    })

/* ---- parameters ---- */

void cap_cost_parameters(const struct cap_model *model, struct cap_cost_parameters *out)
{
    struct cap_cost_parameters p = {
        .embedding = count_of(model, CAP_WEIGHT_EMBED, 0),
        .head = model->tie_embeddings ? 0 : count_of(model, CAP_WEIGHT_LM_HEAD, 0),
        .norms = count_of(model, CAP_WEIGHT_NORM, 0),
    };
    int64_t active_experts = 0;

    for (int i = 0; i < model->layer_count; i++) {
        const struct cap_model_router *router = &model->layers[i].router;
        int64_t expert = SUM_COUNT(expert_matrices, model, i);

        p.attention += SUM_COUNT(attention_matrices, model, i);
        p.attention += SUM_COUNT(attention_biases, model, i);
        p.norms += SUM_COUNT(layer_norms, model, i);
        p.dense += SUM_COUNT(dense_matrices, model, i);
        p.routers += count_of(model, CAP_WEIGHT_ROUTER, i);
        p.experts += expert * router->experts;
        active_experts += expert * router->top_k;
        if (expert > p.per_expert)
            p.per_expert = expert;
    }
    p.active = p.embedding + p.head + p.attention + p.norms + p.routers + p.dense + p.shared +
               active_experts;
    p.total = p.active - active_experts + p.experts;
    p.active_without_embedding = p.active - (model->tie_embeddings ? 0 : p.embedding);
    *out = p;
}

/* ---- a pass ---- */

static uint64_t weight_bytes(const struct cap_model *model, const struct cap_cost_pass *pass)
{
    const struct cap_cost_format *f = &pass->format;
    uint64_t bytes = bytes_of(model, CAP_WEIGHT_NORM, 0, f->vectors, f->group);
    int routed = 0;

    if (pass->logits_tokens > 0)
        bytes += bytes_of(model, CAP_WEIGHT_LM_HEAD, 0, f->head, f->group);
    for (int i = 0; i < model->layer_count; i++) {
        bytes += SUM_BYTES(attention_matrices, model, i, f->attention, f->group);
        bytes += SUM_BYTES(attention_biases, model, i, f->vectors, f->group);
        bytes += SUM_BYTES(layer_norms, model, i, f->vectors, f->group);
        bytes += SUM_BYTES(dense_matrices, model, i, f->mlp, f->group);
        bytes += bytes_of(model, CAP_WEIGHT_ROUTER, i, f->router, f->group);
        if (model->layers[i].router.kind != CAP_ROUTER_NONE)
            bytes += pass->distinct_experts[routed++] *
                     SUM_BYTES(expert_matrices, model, i, f->mlp, f->group);
    }
    return bytes;
}

static uint64_t kv_numbers_per_token(const struct cap_model_attention *a)
{
    return 2 * (uint64_t)a->kv_heads * (uint64_t)a->head_dim;
}

static uint64_t kv_bytes(const struct cap_model *model, const struct cap_cost_pass *pass)
{
    uint64_t bytes = 0;

    for (int i = 0; i < model->layer_count; i++) {
        const struct cap_model_attention *a = &model->layers[i].attention;
        int64_t read = a->window ? pass->context_sum_windowed : pass->context_sum;

        bytes += (uint64_t)(read + pass->tokens) * kv_numbers_per_token(a);
    }
    return bytes * (uint64_t)pass->kv_element_bytes;
}

static double flops(const struct cap_model *model, const struct cap_cost_pass *pass)
{
    double head = (double)count_of(model, CAP_WEIGHT_LM_HEAD, 0);
    double sum = 2 * head * (double)pass->logits_tokens;

    for (int i = 0; i < model->layer_count; i++) {
        const struct cap_model_layer *l = &model->layers[i];
        const struct cap_model_attention *a = &l->attention;
        int64_t attended = a->window ? pass->attended_sum_windowed : pass->attended_sum;
        int64_t touched = SUM_COUNT(attention_matrices, model, i) +
                          SUM_COUNT(dense_matrices, model, i) +
                          count_of(model, CAP_WEIGHT_ROUTER, i) +
                          l->router.top_k * SUM_COUNT(expert_matrices, model, i);

        sum += 2 * (double)touched * (double)pass->tokens;
        sum += 4.0 * a->heads * a->head_dim * (double)attended;
    }
    return sum;
}

void cap_cost_of_pass(const struct cap_model *model, const struct cap_cost_pass *pass,
                      struct cap_cost *out)
{
    *out = (struct cap_cost){.weight_bytes = weight_bytes(model, pass),
                             .kv_bytes = kv_bytes(model, pass),
                             .flops = flops(model, pass)};
}

uint64_t cap_cost_kv_bytes_per_token(const struct cap_model *model, int element_bytes)
{
    uint64_t numbers = 0;

    for (int i = 0; i < model->layer_count; i++)
        numbers += kv_numbers_per_token(&model->layers[i].attention);
    return numbers * (uint64_t)element_bytes;
}

uint64_t cap_cost_weight_bytes_per_token(const struct cap_model *model,
                                         const struct cap_cost_format *format)
{
    uint32_t top_k[CAP_MODEL_LAYERS_MAX];
    struct cap_cost_pass pass = {
        .tokens = 1, .logits_tokens = 1, .distinct_experts = top_k, .format = *format};
    int routed = 0;

    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].router.kind != CAP_ROUTER_NONE)
            top_k[routed++] = (uint32_t)model->layers[i].router.top_k;
    return weight_bytes(model, &pass);
}
