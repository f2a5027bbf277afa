/* The table of weights, and the walks over it: names, shapes, checks, views, what is left over.
 *
 * A weight's shape follows from the parts that its layer has, whatever the family. Its name does
 * not: the table has the name that most families use, and a family's row (family.h) lists those
 * that it calls otherwise.
 */
#include "model/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "model/family.h"

enum scope { OF_NOTHING, OF_MODEL, OF_LAYER, OF_EXPERT };

enum size {
    ONE,
    VOCAB,
    HIDDEN,
    Q_ROWS,
    KV_HEADS,
    OUT,
    HEADS,
    Q_NORMED,
    K_NORMED,
    Q_RANK,
    LATENT,
    KV_RANK,
    EXPANDED,
    INDEX_Q,
    INDEX_DIM,
    INDEX_HEADS,
    LINEAR_ROWS,
    RATES,
    CONVOLVED,
    CONV,
    INNER,
    SHARED_INNER,
    EXPERTS
};

/* `%l` and `%e` stand for layer and expert. A vector has ONE column and is stored with rank 1. */
static const struct row {
    const char *pattern;
    enum scope scope;
    enum size rows, columns;
} table[CAP_WEIGHT_COUNT] = {
#define LAYER "model.layers.%l."
    [CAP_WEIGHT_EMBED] = {"model.embed_tokens.weight", OF_MODEL, VOCAB, HIDDEN},
    [CAP_WEIGHT_NORM] = {"model.norm.weight", OF_MODEL, HIDDEN, ONE},
    [CAP_WEIGHT_LM_HEAD] = {"lm_head.weight", OF_MODEL, VOCAB, HIDDEN},
    [CAP_WEIGHT_ATTENTION_NORM] = {LAYER "input_layernorm.weight", OF_LAYER, HIDDEN, ONE},
    [CAP_WEIGHT_Q] = {LAYER "self_attn.q_proj.weight", OF_LAYER, Q_ROWS, HIDDEN},
    [CAP_WEIGHT_K] = {LAYER "self_attn.k_proj.weight", OF_LAYER, KV_HEADS, HIDDEN},
    [CAP_WEIGHT_V] = {LAYER "self_attn.v_proj.weight", OF_LAYER, KV_HEADS, HIDDEN},
    [CAP_WEIGHT_O] = {LAYER "self_attn.o_proj.weight", OF_LAYER, HIDDEN, OUT},
    [CAP_WEIGHT_Q_BIAS] = {LAYER "self_attn.q_proj.bias", OF_LAYER, Q_ROWS, ONE},
    [CAP_WEIGHT_K_BIAS] = {LAYER "self_attn.k_proj.bias", OF_LAYER, KV_HEADS, ONE},
    [CAP_WEIGHT_V_BIAS] = {LAYER "self_attn.v_proj.bias", OF_LAYER, KV_HEADS, ONE},
    [CAP_WEIGHT_O_BIAS] = {LAYER "self_attn.o_proj.bias", OF_LAYER, HIDDEN, ONE},
    [CAP_WEIGHT_SINKS] = {LAYER "self_attn.sinks", OF_LAYER, HEADS, ONE},
    [CAP_WEIGHT_Q_NORM] = {LAYER "self_attn.q_norm.weight", OF_LAYER, Q_NORMED, ONE},
    [CAP_WEIGHT_K_NORM] = {LAYER "self_attn.k_norm.weight", OF_LAYER, K_NORMED, ONE},
    [CAP_WEIGHT_Q_A] = {LAYER "self_attn.q_a_proj.weight", OF_LAYER, Q_RANK, HIDDEN},
    [CAP_WEIGHT_Q_A_NORM] = {LAYER "self_attn.q_a_layernorm.weight", OF_LAYER, Q_RANK, ONE},
    [CAP_WEIGHT_Q_B] = {LAYER "self_attn.q_b_proj.weight", OF_LAYER, Q_ROWS, Q_RANK},
    [CAP_WEIGHT_KV_A] = {LAYER "self_attn.kv_a_proj_with_mqa.weight", OF_LAYER, LATENT, HIDDEN},
    [CAP_WEIGHT_KV_A_NORM] = {LAYER "self_attn.kv_a_layernorm.weight", OF_LAYER, KV_RANK, ONE},
    [CAP_WEIGHT_KV_B] = {LAYER "self_attn.kv_b_proj.weight", OF_LAYER, EXPANDED, KV_RANK},
    [CAP_WEIGHT_INDEX_Q] = {LAYER "self_attn.indexer.wq_b.weight", OF_LAYER, INDEX_Q, Q_RANK},
    [CAP_WEIGHT_INDEX_K] = {LAYER "self_attn.indexer.wk.weight", OF_LAYER, INDEX_DIM, HIDDEN},
    [CAP_WEIGHT_INDEX_HEADS] = {LAYER "self_attn.indexer.weights_proj.weight", OF_LAYER,
                                INDEX_HEADS, HIDDEN},
    [CAP_WEIGHT_LINEAR_IN] = {LAYER "linear_attn.in_proj_qkvz.weight", OF_LAYER, LINEAR_ROWS,
                              HIDDEN},
    [CAP_WEIGHT_LINEAR_RATES] = {LAYER "linear_attn.in_proj_ba.weight", OF_LAYER, RATES, HIDDEN},
    [CAP_WEIGHT_LINEAR_CONV] = {LAYER "linear_attn.conv1d.weight", OF_LAYER, CONVOLVED, CONV},
    [CAP_WEIGHT_LINEAR_NORM] = {LAYER "linear_attn.norm.weight", OF_LAYER, Q_NORMED, ONE},
    [CAP_WEIGHT_MLP_NORM] = {LAYER "post_attention_layernorm.weight", OF_LAYER, HIDDEN, ONE},
    [CAP_WEIGHT_GATE] = {LAYER "mlp.gate_proj.weight", OF_LAYER, INNER, HIDDEN},
    [CAP_WEIGHT_UP] = {LAYER "mlp.up_proj.weight", OF_LAYER, INNER, HIDDEN},
    [CAP_WEIGHT_DOWN] = {LAYER "mlp.down_proj.weight", OF_LAYER, HIDDEN, INNER},
    [CAP_WEIGHT_ROUTER] = {LAYER "mlp.gate.weight", OF_LAYER, EXPERTS, HIDDEN},
    [CAP_WEIGHT_ROUTER_BIAS] = {LAYER "mlp.gate.bias", OF_LAYER, EXPERTS, ONE},
    [CAP_WEIGHT_SHARED_GATE] = {LAYER "mlp.shared_experts.gate_proj.weight", OF_LAYER, SHARED_INNER,
                                HIDDEN},
    [CAP_WEIGHT_SHARED_UP] = {LAYER "mlp.shared_experts.up_proj.weight", OF_LAYER, SHARED_INNER,
                              HIDDEN},
    [CAP_WEIGHT_SHARED_DOWN] = {LAYER "mlp.shared_experts.down_proj.weight", OF_LAYER, HIDDEN,
                                SHARED_INNER},
    [CAP_WEIGHT_SHARED_SWITCH] = {LAYER "mlp.shared_expert_gate.weight", OF_LAYER, ONE, HIDDEN},
    [CAP_WEIGHT_EXPERT_GATE] = {LAYER "mlp.experts.%e.gate_proj.weight", OF_EXPERT, INNER, HIDDEN},
    [CAP_WEIGHT_EXPERT_UP] = {LAYER "mlp.experts.%e.up_proj.weight", OF_EXPERT, INNER, HIDDEN},
    [CAP_WEIGHT_EXPERT_DOWN] = {LAYER "mlp.experts.%e.down_proj.weight", OF_EXPERT, HIDDEN, INNER},
    [CAP_WEIGHT_EXPERT_GATE_BIAS] = {LAYER "mlp.experts.%e.gate_proj.bias", OF_EXPERT, INNER, ONE},
    [CAP_WEIGHT_EXPERT_UP_BIAS] = {LAYER "mlp.experts.%e.up_proj.bias", OF_EXPERT, INNER, ONE},
    [CAP_WEIGHT_EXPERT_DOWN_BIAS] = {LAYER "mlp.experts.%e.down_proj.bias", OF_EXPERT, HIDDEN, ONE},
    /* all of a layer in one tensor, [experts, rows, columns]: places, not weights of their own */
    [CAP_WEIGHT_FUSED_GATE_UP] = {LAYER "mlp.experts.gate_up_proj", OF_NOTHING, ONE, ONE},
    [CAP_WEIGHT_FUSED_DOWN] = {LAYER "mlp.experts.down_proj", OF_NOTHING, ONE, ONE},
};

/* ---- names and shapes ---- */

static const char *spell(const char *pattern, int layer, int expert,
                         char out[CAP_WEIGHTS_NAME_BYTES])
{
    size_t at = 0;

    for (const char *p = pattern; *p && at < CAP_WEIGHTS_NAME_BYTES - 12; p++)
        if (*p == '%')
            at += (size_t)snprintf(out + at, CAP_WEIGHTS_NAME_BYTES - at, "%d",
                                   *++p == 'l' ? layer : expert);
        else
            out[at++] = *p;
    out[at] = '\0';
    return out;
}

const char *cap_weights_name(const struct cap_model *model, enum cap_weight weight, int layer,
                             int expert, char out[CAP_WEIGHTS_NAME_BYTES])
{
    const char *pattern = table[weight].pattern;

    for (const struct cap_weight_name *n = model->parts->names; n && n->pattern; n++)
        if (n->weight == weight)
            pattern = n->pattern;
    return spell(pattern, layer, expert, out);
}

static bool attention_has(const struct cap_model_attention *a, enum cap_weight weight)
{
    bool plain = a->kind == CAP_ATTENTION_GQA, latent = a->kind == CAP_ATTENTION_MLA;

    switch (weight) {
    case CAP_WEIGHT_Q:
        return plain || (latent && a->q_rank == 0);
    case CAP_WEIGHT_K:
    case CAP_WEIGHT_V:
        return plain;
    case CAP_WEIGHT_Q_BIAS:
    case CAP_WEIGHT_K_BIAS:
    case CAP_WEIGHT_V_BIAS:
        return plain && a->qkv_bias;
    case CAP_WEIGHT_O_BIAS:
        return a->o_bias;
    case CAP_WEIGHT_SINKS:
        return a->sinks;
    case CAP_WEIGHT_Q_NORM:
    case CAP_WEIGHT_K_NORM:
        return plain && a->qk_norm != CAP_QK_NORM_NONE;
    case CAP_WEIGHT_Q_A:
    case CAP_WEIGHT_Q_A_NORM:
    case CAP_WEIGHT_Q_B:
        return latent && a->q_rank > 0;
    case CAP_WEIGHT_KV_A:
    case CAP_WEIGHT_KV_A_NORM:
    case CAP_WEIGHT_KV_B:
        return latent;
    case CAP_WEIGHT_INDEX_Q:
    case CAP_WEIGHT_INDEX_K:
    case CAP_WEIGHT_INDEX_HEADS:
        return a->index_heads > 0;
    case CAP_WEIGHT_LINEAR_RATES:
    case CAP_WEIGHT_LINEAR_CONV:
        return a->kind == CAP_ATTENTION_LINEAR && a->conv > 0;
    case CAP_WEIGHT_LINEAR_IN:
    case CAP_WEIGHT_LINEAR_NORM:
        return a->kind == CAP_ATTENTION_LINEAR;
    default:
        return true;
    }
}

static bool has(const struct cap_model *model, enum cap_weight weight, int layer)
{
    const struct cap_model_layer *l = &model->layers[layer];
    bool routed = l->router.kind != CAP_ROUTER_NONE;

    switch (weight) {
    case CAP_WEIGHT_GATE:
    case CAP_WEIGHT_UP:
    case CAP_WEIGHT_DOWN:
        return !routed;
    case CAP_WEIGHT_ROUTER:
    case CAP_WEIGHT_EXPERT_GATE:
    case CAP_WEIGHT_EXPERT_UP:
    case CAP_WEIGHT_EXPERT_DOWN:
        return routed;
    case CAP_WEIGHT_ROUTER_BIAS:
        return routed && l->router.bias;
    case CAP_WEIGHT_EXPERT_GATE_BIAS:
    case CAP_WEIGHT_EXPERT_UP_BIAS:
    case CAP_WEIGHT_EXPERT_DOWN_BIAS:
        return routed && l->mlp.bias;
    case CAP_WEIGHT_SHARED_GATE:
    case CAP_WEIGHT_SHARED_UP:
    case CAP_WEIGHT_SHARED_DOWN:
        return routed && l->mlp.shared_inner > 0;
    case CAP_WEIGHT_SHARED_SWITCH:
        return routed && l->mlp.shared_gate;
    default:
        return attention_has(&l->attention, weight);
    }
}

/* In linear attention kv_heads count the keys, heads the values. */
static int64_t measure_attention(const struct cap_model_attention *a, enum size size)
{
    int64_t q = (int64_t)a->heads * a->head_dim, k = (int64_t)a->kv_heads * a->head_dim;
    int64_t out = (int64_t)a->heads * (a->value_dim ? a->value_dim : a->head_dim);
    bool whole = a->qk_norm == CAP_QK_NORM_WHOLE;

    switch (size) {
    case Q_ROWS:
        return a->gated ? 2 * q : q;
    case KV_HEADS:
        return k;
    case OUT:
        return out;
    case HEADS:
        return a->heads;
    case Q_NORMED:
        return a->kind == CAP_ATTENTION_LINEAR ? (whole ? out : a->value_dim)
                                               : (whole ? q : a->head_dim);
    case K_NORMED:
        return whole ? k : a->head_dim;
    case Q_RANK:
        return a->q_rank;
    case LATENT:
        return a->kv_rank + a->rope_dim;
    case KV_RANK:
        return a->kv_rank;
    case EXPANDED:
        return (int64_t)a->heads * (a->head_dim - a->rope_dim + a->value_dim);
    case INDEX_Q:
        return (int64_t)a->index_heads * a->index_dim;
    case INDEX_DIM:
        return a->index_dim;
    case INDEX_HEADS:
        return a->index_heads;
    case LINEAR_ROWS:
        return 2 * k + 2 * out;
    case RATES:
        return 2 * (int64_t)a->heads;
    case CONVOLVED:
        return 2 * k + out;
    case CONV:
        return a->conv;
    default:
        return 1;
    }
}

static int64_t measure(const struct cap_model *model, int layer, enum size size)
{
    const struct cap_model_layer *l = &model->layers[layer];

    switch (size) {
    case VOCAB:
        return model->vocab;
    case HIDDEN:
        return model->hidden;
    case INNER:
        return l->mlp.inner;
    case SHARED_INNER:
        return l->mlp.shared_inner;
    case EXPERTS:
        return l->router.experts;
    default:
        return measure_attention(&l->attention, size);
    }
}

bool cap_weights_shape(const struct cap_model *model, enum cap_weight weight, int layer,
                       int64_t *out_rows, int64_t *out_columns)
{
    const struct row *row = &table[weight];

    if (row->scope == OF_NOTHING)
        return false;
    if (row->scope == OF_MODEL)
        layer = 0;
    if (row->scope != OF_MODEL && !has(model, weight, layer))
        return false;
    if (out_rows)
        *out_rows = measure(model, layer, row->rows);
    if (out_columns)
        *out_columns = measure(model, layer, row->columns);
    return true;
}

/* ---- where a weight lies ---- */

/* A weight as the files hold it: a tensor of its own, or a slice of a fused one. */
struct place {
    char name[CAP_WEIGHTS_NAME_BYTES]; /* of the tensor */
    int rank;
    int64_t shape[3]; /* that the tensor must have */
    int64_t first;    /* element in the tensor */
};

static struct place place_alone(const struct cap_model *model, enum cap_weight weight, int layer,
                                int expert)
{
    struct place p = {.rank = table[weight].columns == ONE ? 1 : 2};

    if (weight == CAP_WEIGHT_LM_HEAD && model->tie_embeddings)
        weight = CAP_WEIGHT_EMBED;
    cap_weights_shape(model, weight, layer, &p.shape[0], &p.shape[1]);
    cap_weights_name(model, weight, layer, expert, p.name);
    return p;
}

static struct place place_fused(const struct cap_model *model, enum cap_weight weight, int layer,
                                int expert)
{
    bool down = weight == CAP_WEIGHT_EXPERT_DOWN;
    struct place p = {.rank = 3, .shape = {model->layers[layer].router.experts}};
    int64_t rows = 0, columns = 0;

    cap_weights_shape(model, weight, layer, &rows, &columns);
    p.shape[1] = down ? rows : 2 * rows;
    p.shape[2] = columns;
    p.first = expert * p.shape[1] * columns;
    if (weight == CAP_WEIGHT_EXPERT_UP)
        p.first += rows * columns;
    cap_weights_name(model, down ? CAP_WEIGHT_FUSED_DOWN : CAP_WEIGHT_FUSED_GATE_UP, layer, 0,
                     p.name);
    return p;
}

/* The layout is asked of the files for each tensor; a tensor of its own wins. */
static struct place find_place(const struct cap_model *model, const struct cap_tensors *tensors,
                               enum cap_weight weight, int layer, int expert)
{
    struct place alone = place_alone(model, weight, layer, expert);

    if (table[weight].scope == OF_EXPERT && !cap_tensors_find(tensors, alone.name)) {
        struct place fused = place_fused(model, weight, layer, expert);

        if (cap_tensors_find(tensors, fused.name))
            return fused;
    }
    return alone;
}

bool cap_weights_view(const struct cap_model *model, const struct cap_tensors *tensors,
                      enum cap_weight weight, int layer, int expert,
                      struct cap_weight_view *out_view)
{
    struct cap_weight_view view;
    const struct cap_tensor *tensor;
    struct place place;

    if (!cap_weights_shape(model, weight, layer, &view.rows, &view.columns))
        return false;
    place = find_place(model, tensors, weight, layer, expert);
    tensor = cap_tensors_find(tensors, place.name);
    if (!tensor)
        return false;
    view.tensor = tensor;
    cap_weights_name(model, weight, layer, expert, view.name);
    view.dtype = tensor->dtype;
    view.first = (uint64_t)place.first * cap_dtype_bytes(tensor->dtype);
    *out_view = view;
    return true;
}

/* ---- walking all weights of a model ---- */

struct walk {
    const struct cap_model *model;
    const struct cap_tensors *tensors;
    bool (*visit)(const struct walk *walk, enum cap_weight weight, int layer, int expert,
                  struct cap_err *err);
    void *context;
};

static bool walk_layer(const struct walk *walk, enum cap_weight weight, int layer,
                       struct cap_err *err)
{
    int experts = table[weight].scope == OF_EXPERT ? walk->model->layers[layer].router.experts : 1;

    for (int e = 0; e < experts; e++)
        if (!walk->visit(walk, weight, layer, e, err))
            return false;
    return true;
}

static bool walk_all(const struct walk *walk, struct cap_err *err)
{
    for (enum cap_weight w = 0; w < CAP_WEIGHT_COUNT; w++) {
        int layers = table[w].scope == OF_NOTHING ? 0
                     : table[w].scope == OF_MODEL ? 1
                                                  : walk->model->layer_count;

        for (int layer = 0; layer < layers; layer++)
            if (cap_weights_shape(walk->model, w, layer, NULL, NULL) &&
                !walk_layer(walk, w, layer, err))
                return false;
    }
    return true;
}

/* ---- checking ---- */

static bool fail_missing(const struct walk *walk, enum cap_weight weight, int layer,
                         const struct place *place, struct cap_err *err)
{
    char shape[CAP_TENSORS_SHAPE_BYTES], fused[CAP_WEIGHTS_NAME_BYTES];
    const char *source = cap_tensors_source(walk->tensors);

    cap_tensors_shape_text(place->shape, place->rank, shape);
    if (table[weight].scope != OF_EXPERT)
        return cap_fail(err, CAP_DATA_LOSS, "file \"%s\": tensor \"%s\" %s is missing", source,
                        place->name, shape);
    cap_weights_name(walk->model,
                     weight == CAP_WEIGHT_EXPERT_DOWN ? CAP_WEIGHT_FUSED_DOWN
                                                      : CAP_WEIGHT_FUSED_GATE_UP,
                     layer, 0, fused);
    return cap_fail(err, CAP_DATA_LOSS,
                    "file \"%s\": tensor \"%s\" %s is missing, and so is \"%s\", which could "
                    "hold it",
                    source, place->name, shape, fused);
}

static bool check_weight(const struct walk *walk, enum cap_weight weight, int layer, int expert,
                         struct cap_err *err)
{
    struct place place = find_place(walk->model, walk->tensors, weight, layer, expert);
    const struct cap_tensor *t = cap_tensors_find(walk->tensors, place.name);
    char expected[CAP_TENSORS_SHAPE_BYTES], found[CAP_TENSORS_SHAPE_BYTES];

    if (!t)
        return fail_missing(walk, weight, layer, &place, err);
    if (t->rank != place.rank ||
        memcmp(t->shape, place.shape, (size_t)place.rank * sizeof *t->shape) != 0)
        return cap_fail(err, CAP_DATA_LOSS,
                        "file \"%s\": tensor \"%s\" has shape %s, but config.json asks for %s",
                        t->file, t->name, cap_tensors_shape_text(t->shape, t->rank, found),
                        cap_tensors_shape_text(place.shape, place.rank, expected));
    if (t->dtype != CAP_DTYPE_F32 && t->dtype != CAP_DTYPE_F16 && t->dtype != CAP_DTYPE_BF16)
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "file \"%s\": tensor \"%s\" is stored in %s, supported: F32, F16, BF16",
                        t->file, t->name, cap_dtype_name(t->dtype));
    return true;
}

bool cap_weights_check(const struct cap_model *model, const struct cap_tensors *tensors,
                       struct cap_err *err)
{
    struct walk walk = {model, tensors, check_weight, NULL};

    return walk_all(&walk, err);
}

/* ---- values ---- */

enum value_kind { VALUE_FINITE, VALUE_INFINITE, VALUE_NAN };

static enum value_kind classify16(uint16_t bits, uint16_t exponent)
{
    if ((bits & exponent) != exponent)
        return VALUE_FINITE;
    return bits & (uint16_t) ~(exponent | 0x8000) ? VALUE_NAN : VALUE_INFINITE;
}

static enum value_kind classify(enum cap_dtype dtype, const char *data, int64_t i)
{
    uint32_t wide;
    uint16_t narrow;

    if (dtype == CAP_DTYPE_F32) {
        memcpy(&wide, data + i * 4, sizeof wide);
        if ((wide & 0x7f800000) != 0x7f800000)
            return VALUE_FINITE;
        return wide & 0x7fffff ? VALUE_NAN : VALUE_INFINITE;
    }
    memcpy(&narrow, data + i * 2, sizeof narrow);
    return classify16(narrow, dtype == CAP_DTYPE_BF16 ? 0x7f80 : 0x7c00);
}

static bool check_block(const struct cap_weight_view *view, const struct cap_weight_block *block,
                        struct cap_err *err)
{
    for (int64_t i = 0; i < block->rows * view->columns; i++) {
        enum value_kind kind = classify(view->dtype, block->data, i);

        if (kind != VALUE_FINITE)
            return cap_fail(err, CAP_DATA_LOSS,
                            "file \"%s\": tensor \"%s\" holds %s at row %" PRId64
                            ", column %" PRId64,
                            view->tensor->file, view->name, kind == VALUE_NAN ? "NaN" : "infinity",
                            block->row + i / view->columns, i % view->columns);
    }
    return true;
}

static bool fit(struct cap_weight_reader *reader, size_t bytes, struct cap_err *err)
{
    if (bytes <= reader->capacity)
        return true;
    free(reader->data);
    reader->data = malloc(bytes);
    reader->capacity = reader->data ? bytes : 0;
    return reader->data || cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                                    "could not get %zu bytes to read the weights", bytes);
}

bool cap_weights_read(struct cap_weight_reader *reader, const struct cap_weight_view *view,
                      int64_t row, struct cap_weight_block *out, struct cap_err *err)
{
    size_t row_bytes = (size_t)view->columns * cap_dtype_bytes(view->dtype);
    int64_t most = row_bytes < CAP_WEIGHTS_BLOCK_BYTES && row_bytes > 0
                       ? (int64_t)(CAP_WEIGHTS_BLOCK_BYTES / row_bytes)
                       : 1;
    struct cap_weight_block block = {.row = row};

    block.rows = view->rows - row < most ? view->rows - row : most;
    if (!fit(reader, (size_t)block.rows * row_bytes + 1, err) ||
        !cap_tensors_read(reader->tensors, view->tensor, view->first + (uint64_t)row * row_bytes,
                          (size_t)block.rows * row_bytes, reader->data, err))
        return false;
    block.data = reader->data;
    *out = block;
    return check_block(view, &block, err);
}

void cap_weights_reader_done(struct cap_weight_reader *reader)
{
    free(reader->data);
    *reader = (struct cap_weight_reader){0};
}

static bool check_values(const struct walk *walk, enum cap_weight weight, int layer, int expert,
                         struct cap_err *err)
{
    struct cap_weight_block block;
    struct cap_weight_view view;

    if (!cap_weights_view(walk->model, walk->tensors, weight, layer, expert, &view))
        return true;
    for (int64_t row = 0; row < view.rows; row += block.rows)
        if (!cap_weights_read(walk->context, &view, row, &block, err))
            return false;
    return true;
}

bool cap_weights_check_values(const struct cap_model *model, const struct cap_tensors *tensors,
                              struct cap_err *err)
{
    struct cap_weight_reader reader = {.tensors = tensors};
    struct walk walk = {model, tensors, check_values, &reader};
    bool ok = walk_all(&walk, err);

    cap_weights_reader_done(&reader);
    return ok;
}

/* ---- what is left over ---- */

static bool mark_used(const struct walk *walk, enum cap_weight weight, int layer, int expert,
                      struct cap_err *err)
{
    struct place place = find_place(walk->model, walk->tensors, weight, layer, expert);

    (void)err;
    cap_map_put(walk->context, place.name, (void *)walk);
    return true;
}

size_t cap_weights_unused(const struct cap_model *model, const struct cap_tensors *tensors,
                          void (*each)(const struct cap_tensor *tensor, void *context),
                          void *context)
{
    CAP_AUTO(cap_map) used = cap_map_new();
    struct walk walk = {model, tensors, mark_used, used};
    struct cap_err none = {0};
    size_t count = 0;

    walk_all(&walk, &none);
    for (size_t i = 0; i < cap_tensors_count(tensors); i++) {
        const struct cap_tensor *tensor = cap_tensors_at(tensors, i);

        if (cap_map_get(used, tensor->name))
            continue;
        if (each)
            each(tensor, context);
        count++;
    }
    return count;
}
