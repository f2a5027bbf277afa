/* Parameters, bytes and FLOPs: sums over the table of weights.
 *
 * Each weight of the table belongs to one part (parts.def) and is kept in the precision of its
 * kind. A pass reads every weight of its layers once, but of the experts only the distinct ones;
 * it multiplies every token with each matrix, but of the experts only with top_k. */
#include "model/cost.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/auto.h"
#include "model/weights.h"
#include "words/words.h"

enum { GROUP_DEFAULT = 32, SCALE_BITS = 16, STATE_BYTES = 4 };

static const struct {
    const char *name;
    int bits;
    struct cap_cost_scales own; /* that the format is defined with */
} precisions[CAP_PRECISION_COUNT] = {
#define PRECISION(id, word, ...) [CAP_PRECISION_##id].name = word,
#include "words/precisions.def"
#undef PRECISION
    [CAP_PRECISION_F32].bits = 32,          [CAP_PRECISION_F16].bits = 16,
    [CAP_PRECISION_BF16].bits = 16,         [CAP_PRECISION_INT8].bits = 8,
    [CAP_PRECISION_INT4].bits = 4,          [CAP_PRECISION_FP8].bits = 8,
    [CAP_PRECISION_FP4].bits = 4,           [CAP_PRECISION_MXFP4].bits = 4,
    [CAP_PRECISION_MXFP4].own = {1, 32, 8}, [CAP_PRECISION_NVFP4].bits = 4,
    [CAP_PRECISION_NVFP4].own = {1, 16, 8},
};

const char *cap_precision_name(enum cap_precision precision)
{
    return precisions[precision].name;
}

enum cap_precision cap_precision_find(const char *spelling)
{
    const char *word = cap_precision_from(spelling);
    int p = 0;

    while (p < CAP_PRECISION_COUNT && (!word || strcmp(precisions[p].name, word) != 0))
        p++;
    return (enum cap_precision)p;
}

static bool is_scaled(enum cap_precision precision)
{
    return precisions[precision].bits <= 8;
}

struct cap_cost_format cap_cost_format_of(enum cap_precision precision, enum cap_dtype stored)
{
    enum cap_precision kept = precision, beside;

    if (precision == CAP_PRECISION_F32 && stored == CAP_DTYPE_BF16)
        kept = CAP_PRECISION_BF16;
    beside = is_scaled(precision) ? CAP_PRECISION_BF16 : kept;
    return (struct cap_cost_format){.attention = beside,
                                    .experts = kept,
                                    .shared = kept,
                                    .dense = kept,
                                    .router = CAP_PRECISION_F32,
                                    .head = beside,
                                    .vectors = CAP_PRECISION_F32,
                                    .scales = {1, GROUP_DEFAULT, SCALE_BITS}};
}

struct cap_cost_format cap_cost_format_plain(enum cap_precision p)
{
    return (struct cap_cost_format){.attention = p,
                                    .experts = p,
                                    .shared = p,
                                    .dense = p,
                                    .router = p,
                                    .head = p,
                                    .vectors = is_scaled(p) ? CAP_PRECISION_BF16 : p,
                                    .scales = precisions[p].own};
}

uint64_t cap_cost_matrix_bytes(enum cap_precision precision, const struct cap_cost_scales *scales,
                               int64_t rows, int64_t columns)
{
    uint64_t row_bytes = ((uint64_t)columns * (uint64_t)precisions[precision].bits + 7) / 8;
    uint64_t blocks;

    if (!is_scaled(precision) || scales->columns == 0)
        return (uint64_t)rows * row_bytes;
    blocks = (uint64_t)((rows + scales->rows - 1) / scales->rows) *
             (uint64_t)((columns + scales->columns - 1) / scales->columns);
    return (uint64_t)rows * row_bytes + (blocks * (uint64_t)scales->bits + 7) / 8;
}

/* ---- the table's weights, by part ---- */

/* Vectors are read; what is computed with them is not worth counting. */
enum kind { MATRIX, NORM, BIAS };

static const struct weight_row {
    enum cap_weight weight;
    enum cap_part part;
    enum kind kind;
    bool of_expert; /* the layer has one for each expert */
} layer_weights[] = {
#define OF_LAYER(weight, part, kind)                                                               \
    {                                                                                              \
        CAP_WEIGHT_##weight, CAP_PART_##part, kind, false                                          \
    }
#define OF_EXPERT(weight, part, kind)                                                              \
    {                                                                                              \
        CAP_WEIGHT_##weight, CAP_PART_##part, kind, true                                           \
    }
    OF_LAYER(ATTENTION_NORM, norms, NORM),
    OF_LAYER(Q, attention, MATRIX),
    OF_LAYER(K, attention, MATRIX),
    OF_LAYER(V, attention, MATRIX),
    OF_LAYER(O, attention, MATRIX),
    OF_LAYER(Q_BIAS, norms, BIAS),
    OF_LAYER(K_BIAS, norms, BIAS),
    OF_LAYER(V_BIAS, norms, BIAS),
    OF_LAYER(O_BIAS, norms, BIAS),
    OF_LAYER(SINKS, norms, BIAS),
    OF_LAYER(Q_NORM, norms, NORM),
    OF_LAYER(K_NORM, norms, NORM),
    OF_LAYER(Q_A, attention, MATRIX),
    OF_LAYER(Q_A_NORM, norms, NORM),
    OF_LAYER(Q_B, attention, MATRIX),
    OF_LAYER(KV_A, attention, MATRIX),
    OF_LAYER(KV_A_NORM, norms, NORM),
    OF_LAYER(KV_B, attention, MATRIX),
    OF_LAYER(INDEX_Q, attention, MATRIX),
    OF_LAYER(INDEX_K, attention, MATRIX),
    OF_LAYER(INDEX_HEADS, attention, MATRIX),
    OF_LAYER(LINEAR_IN, attention, MATRIX),
    OF_LAYER(LINEAR_RATES, attention, MATRIX),
    OF_LAYER(LINEAR_CONV, attention, MATRIX),
    OF_LAYER(LINEAR_NORM, norms, NORM),
    OF_LAYER(MLP_NORM, norms, NORM),
    OF_LAYER(GATE, dense, MATRIX),
    OF_LAYER(UP, dense, MATRIX),
    OF_LAYER(DOWN, dense, MATRIX),
    OF_LAYER(ROUTER, router, MATRIX),
    OF_LAYER(ROUTER_BIAS, norms, BIAS),
    OF_LAYER(SHARED_GATE, shared, MATRIX),
    OF_LAYER(SHARED_UP, shared, MATRIX),
    OF_LAYER(SHARED_DOWN, shared, MATRIX),
    OF_LAYER(SHARED_SWITCH, shared, MATRIX),
    OF_EXPERT(EXPERT_GATE, experts, MATRIX),
    OF_EXPERT(EXPERT_UP, experts, MATRIX),
    OF_EXPERT(EXPERT_DOWN, experts, MATRIX),
    OF_EXPERT(EXPERT_GATE_BIAS, norms, BIAS),
    OF_EXPERT(EXPERT_UP_BIAS, norms, BIAS),
    OF_EXPERT(EXPERT_DOWN_BIAS, norms, BIAS),
#undef OF_LAYER
#undef OF_EXPERT
};

static const struct {
    const char *name, *text;
} parts[CAP_PART_COUNT] = {
#define PART(id, what) {#id, what},
#include "model/parts.def"
#undef PART
};

const char *cap_part_name(enum cap_part part)
{
    return parts[part].name;
}

const char *cap_part_text(enum cap_part part)
{
    return parts[part].text;
}

static int64_t count_of(const struct cap_model *model, enum cap_weight weight, int layer)
{
    int64_t rows, columns;

    return cap_weights_shape(model, weight, layer, &rows, &columns) ? rows * columns : 0;
}

static uint64_t bytes_of(const struct cap_model *model, enum cap_weight weight, int layer,
                         enum cap_precision precision, const struct cap_cost_scales *scales)
{
    int64_t rows, columns;

    if (!cap_weights_shape(model, weight, layer, &rows, &columns))
        return 0;
    return cap_cost_matrix_bytes(precision, scales, rows, columns);
}

static enum cap_precision precision_of(const struct cap_cost_format *f, const struct weight_row *w)
{
    if (w->kind != MATRIX)
        return f->vectors;
    switch (w->part) {
    case CAP_PART_attention:
        return f->attention;
    case CAP_PART_router:
        return f->router;
    case CAP_PART_experts:
        return f->experts;
    case CAP_PART_shared:
        return f->shared;
    default:
        return f->dense;
    }
}

/* ---- parameters ---- */

static void add_parameters(const struct weight_row *w, int64_t count,
                           struct cap_cost_parameters *io)
{
    int64_t *const sums[CAP_PART_COUNT] = {
        [CAP_PART_attention] = &io->attention, [CAP_PART_router] = &io->routers,
        [CAP_PART_experts] = &io->experts,     [CAP_PART_shared] = &io->shared,
        [CAP_PART_dense] = &io->dense,         [CAP_PART_norms] = &io->norms};

    *(w->kind == BIAS ? &io->biases : sums[w->part]) += count;
}

void cap_cost_parameters(const struct cap_model *model, struct cap_cost_parameters *out)
{
    struct cap_cost_parameters p = {
        .embedding = count_of(model, CAP_WEIGHT_EMBED, 0),
        .head = model->tie_embeddings ? 0 : count_of(model, CAP_WEIGHT_LM_HEAD, 0),
        .norms = count_of(model, CAP_WEIGHT_NORM, 0),
    };
    int64_t idle = 0; /* of experts that a token does not use */

    for (int i = 0; i < model->layer_count; i++) {
        const struct cap_model_router *router = &model->layers[i].router;
        int64_t expert = 0;

        for (size_t w = 0; w < CAP_COUNT_OF(layer_weights); w++) {
            const struct weight_row *row = &layer_weights[w];
            int64_t count = count_of(model, row->weight, i);

            if (row->of_expert) {
                idle += count * (router->experts - router->top_k);
                expert += row->kind == MATRIX ? count : 0;
                count *= router->experts;
            }
            add_parameters(row, count, &p);
        }
        if (expert > p.per_expert)
            p.per_expert = expert;
    }
    p.total = p.embedding + p.head + p.attention + p.norms + p.routers + p.dense + p.shared +
              p.experts + p.biases;
    p.active = p.total - idle;
    p.active_without_embedding = p.active - (model->tie_embeddings ? 0 : p.embedding);
    *out = p;
}

double cap_cost_stored_bytes(const struct cap_model *model, const struct cap_cost_format *format)
{
    const struct cap_cost_scales *scales = &format->scales;
    double bytes = (double)bytes_of(model, CAP_WEIGHT_NORM, 0, format->vectors, scales);

    bytes += (model->tie_embeddings ? 1 : 2) *
             (double)bytes_of(model, CAP_WEIGHT_LM_HEAD, 0, format->head, scales);
    for (int i = 0; i < model->layer_count; i++)
        for (size_t w = 0; w < CAP_COUNT_OF(layer_weights); w++) {
            const struct weight_row *row = &layer_weights[w];

            bytes += (double)bytes_of(model, row->weight, i, precision_of(format, row), scales) *
                     (row->of_expert ? model->layers[i].router.experts : 1);
        }
    return bytes;
}

/* ---- the cache ---- */

static double kv_numbers_per_token(const struct cap_model_attention *a)
{
    switch (a->kind) {
    case CAP_ATTENTION_GQA:
        return (double)a->kv_heads * (a->head_dim + (a->value_dim ? a->value_dim : a->head_dim));
    case CAP_ATTENTION_MLA:
        return a->kv_rank + a->rope_dim;
    case CAP_ATTENTION_LINEAR:
        break;
    }
    return 0;
}

/* The matrix of each head, and what the convolution remembers. */
static double state_numbers(const struct cap_model_attention *a)
{
    double keys = 2.0 * a->kv_heads * a->head_dim, values = (double)a->heads * a->value_dim;

    if (a->kind != CAP_ATTENTION_LINEAR)
        return 0;
    return values * a->head_dim + (a->conv > 1 ? (a->conv - 1) * (keys + values) : 0);
}

static void add_cache(const struct cap_model_attention *a, const struct cap_cost_pass *pass,
                      struct cap_cost_parts *io)
{
    double read = (double)(a->window ? pass->context_sum_windowed : pass->context_sum);
    double number = kv_numbers_per_token(a) * pass->kv_element_bytes;
    double states = state_numbers(a) * STATE_BYTES * (double)pass->sequences;

    /* an indexer looks at every key before it chooses */
    double index = a->index_dim * pass->kv_element_bytes;

    io->bytes[CAP_PART_kv_read] += read * number + (double)pass->context_sum * index + states;
    io->bytes[CAP_PART_kv_write] += (double)pass->tokens * (number + index) + states;
}

uint64_t cap_cost_kv_bytes_per_token(const struct cap_model *model, int element_bytes)
{
    double numbers = 0;

    for (int i = 0; i < model->layer_count; i++)
        numbers += kv_numbers_per_token(&model->layers[i].attention) +
                   model->layers[i].attention.index_dim;
    return (uint64_t)numbers * (uint64_t)element_bytes;
}

uint64_t cap_cost_state_bytes(const struct cap_model *model)
{
    double numbers = 0;

    for (int i = 0; i < model->layer_count; i++)
        numbers += state_numbers(&model->layers[i].attention);
    return (uint64_t)numbers * STATE_BYTES;
}

/* ---- a pass ---- */

/* Of each key that a token attends to. A multiply-add is 2. */
static double score_flops(const struct cap_model_attention *a, bool absorbed)
{
    if (a->kind == CAP_ATTENTION_MLA && absorbed)
        return 2.0 * a->heads * (2.0 * a->kv_rank + a->rope_dim);
    return 2.0 * a->heads * (a->head_dim + (a->value_dim ? a->value_dim : a->head_dim));
}

/* Linear attention makes three products of each token with the state of each head: what the key
 * recalls, what it writes, what the query reads. */
static double state_flops(const struct cap_model_attention *a)
{
    return 6.0 * a->heads * a->head_dim * a->value_dim;
}

static void add_scores(const struct cap_model_attention *a, const struct cap_cost_pass *pass,
                       struct cap_cost_parts *io)
{
    double attended = a->window ? pass->attended_sum_windowed : pass->attended_sum;

    io->flops[CAP_PART_scores] += a->kind == CAP_ATTENTION_LINEAR
                                      ? state_flops(a) * (double)pass->tokens
                                      : score_flops(a, pass->absorbed) * attended;
    io->flops[CAP_PART_scores] += 2.0 * a->index_heads * a->index_dim * pass->attended_sum;
}

static void add_weights(const struct cap_model *model, int layer, double distinct,
                        const struct cap_cost_pass *pass, struct cap_cost_parts *io)
{
    const struct cap_cost_format *f = &pass->format;
    int top_k = model->layers[layer].router.top_k;

    for (size_t i = 0; i < CAP_COUNT_OF(layer_weights); i++) {
        const struct weight_row *w = &layer_weights[i];
        bool expert = w->of_expert;
        double bytes = (double)bytes_of(model, w->weight, layer, precision_of(f, w), &f->scales);

        io->bytes[w->part] += bytes * (expert ? distinct : 1);
        if (w->kind == MATRIX)
            io->flops[w->part] += 2.0 * (double)count_of(model, w->weight, layer) *
                                  (expert ? top_k : 1) * (double)pass->tokens;
    }
}

void cap_cost_by_part(const struct cap_model *model, const struct cap_cost_pass *pass,
                      struct cap_cost_parts *out)
{
    const struct cap_cost_format *f = &pass->format;
    struct cap_cost_parts sum = {.bytes = {0}};
    int routed = 0;

    sum.bytes[CAP_PART_norms] = (double)bytes_of(model, CAP_WEIGHT_NORM, 0, f->vectors, &f->scales);
    if (pass->logits_tokens > 0)
        sum.bytes[CAP_PART_head] =
            (double)bytes_of(model, CAP_WEIGHT_LM_HEAD, 0, f->head, &f->scales);
    sum.flops[CAP_PART_head] =
        2.0 * (double)count_of(model, CAP_WEIGHT_LM_HEAD, 0) * (double)pass->logits_tokens;
    for (int i = 0; i < model->layer_count; i++) {
        double distinct = 0;

        if (model->layers[i].router.kind != CAP_ROUTER_NONE)
            distinct =
                pass->distinct_experts ? pass->distinct_experts[routed++] : pass->distinct_mean;
        add_weights(model, i, distinct, pass, &sum);
        add_cache(&model->layers[i].attention, pass, &sum);
        add_scores(&model->layers[i].attention, pass, &sum);
    }
    *out = sum;
}

void cap_cost_of_pass(const struct cap_model *model, const struct cap_cost_pass *pass,
                      struct cap_cost *out)
{
    struct cap_cost_parts by_part;
    double bytes = 0, kv, flops = 0;

    cap_cost_by_part(model, pass, &by_part);
    for (int i = 0; i < CAP_PART_COUNT; i++) {
        bytes += by_part.bytes[i];
        flops += by_part.flops[i];
    }
    kv = by_part.bytes[CAP_PART_kv_read] + by_part.bytes[CAP_PART_kv_write];
    *out = (struct cap_cost){(uint64_t)(bytes - kv), (uint64_t)kv, flops};
}

uint64_t cap_cost_weight_bytes_per_token(const struct cap_model *model,
                                         const struct cap_cost_format *format)
{
    uint32_t top_k[CAP_MODEL_LAYERS_MAX];
    struct cap_cost_pass pass = {
        .tokens = 1, .logits_tokens = 1, .distinct_experts = top_k, .format = *format};
    struct cap_cost cost;
    int routed = 0;

    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].router.kind != CAP_ROUTER_NONE)
            top_k[routed++] = (uint32_t)model->layers[i].router.top_k;
    cap_cost_of_pass(model, &pass, &cost);
    return cost.weight_bytes;
}

double cap_cost_uniform_experts(int experts, int top_k, double tokens)
{
    return experts * (1 - pow(1 - (double)top_k / experts, tokens));
}

double cap_cost_attended(int64_t first, int64_t last, int64_t most)
{
    int64_t growing = last < most ? last : most; /* the last token that sees all before it */
    double sum = 0;

    if (first <= growing)
        sum += 0.5 * (double)(first + growing) * (double)(growing - first + 1);
    if (last > growing)
        sum += (double)most * (double)(last - (first > growing ? first - 1 : growing));
    return sum;
}
