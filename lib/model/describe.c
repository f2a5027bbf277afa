/* From any config.json whose family is in shapes.def to a description that can be costed.
 *
 * shape.c has read how many experts there are and which layers have them; here the widths join
 * them. It is the same description that our engine loads by (model.h), but less is read (no
 * positions, no end tokens) and far more families: bytes and operations need widths only. A key
 * that would change the widths in a way that the family's row does not know is refused, since a
 * number that is quietly wrong is worse than none. */
#include "model/shape.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/family.h"

/* Within these no count of parameters is beyond an int64_t. */
enum { WIDTH_MAX = 1 << 20, DIM_MAX = 1 << 14, HEADS_MAX = 4096, VOCAB_MAX = 1 << 24 };

enum trait {
    TRAIT_BIAS_QKV = 1,
    TRAIT_BIAS_ALL = 2, /* q, k, v, output, router, experts */
    TRAIT_BIAS_ROUTER = 4,
    TRAIT_SINKS = 8,
    TRAIT_NORM_HEAD = 16,
    TRAIT_NORM_WHOLE = 32,
    TRAIT_SWITCH = 64, /* the shared part has a gate of its own */
    TRAIT_GATED = 128,
    TRAIT_LIGHTNING = 256,    /* linear attention with the heads of the other layers */
    TRAIT_INDEXED = 1024,     /* an indexer chooses the keys */
    TRAIT_PLAIN_OUTPUT = 512, /* "attention_bias" does not mean the output's matrix */
};

struct shape_row {
    const char *type;
    const char *experts, *dense, *shared_key;
    enum { GQA, MLA, HYBRID } attention;
    enum { SHARED_NONE, SHARED_WIDTH, SHARED_COUNT } shared;
    unsigned traits;
};

static const struct shape_row rows[] = {
#define NONE NULL, SHARED_NONE
#define WIDTH(key) key, SHARED_WIDTH
#define COUNT NULL, SHARED_COUNT
#define ROW(type, attention, experts, dense, key, shared, traits)                                  \
    {type, experts, dense, key, attention, shared, traits},
#define SHAPE(...) ROW(__VA_ARGS__)
#include "model/shapes.def"
#undef SHAPE
#undef ROW
#undef COUNT
#undef WIDTH
#undef NONE
};

/* ---- keys that have several spellings, DBRX's in objects of their own ---- */

static const json_t *find_any(const json_t *config, const char *const *keys, const char **out_key)
{
    static const char *const objects[] = {"attn_config", "ffn_config"};

    for (; *keys; keys++) {
        *out_key = *keys;
        if (cap_keys_has(config, *keys))
            return config;
        for (size_t i = 0; i < CAP_COUNT_OF(objects); i++)
            if (cap_keys_has(json_object_get(config, objects[i]), *keys))
                return json_object_get(config, objects[i]);
    }
    return NULL;
}

/* Keeps *out where no key is there. */
static bool read_any(const json_t *config, const char *const *keys, int max, int *out,
                     struct cap_err *err)
{
    const char *key = keys[0];
    const json_t *object = find_any(config, keys, &key);

    return !object || cap_keys_int(object, key, 1, max, out, err);
}

static bool need_any(const json_t *config, const char *const *keys, int max, int *out,
                     struct cap_err *err)
{
    *out = 0;
    if (!read_any(config, keys, max, out, err))
        return false;
    return *out > 0 || cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is missing", keys[0]);
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool need_width(const json_t *config, const char *key, int *out, struct cap_err *err)
{
    return need_any(config, KEYS(key), WIDTH_MAX, out, err);
}

/* Of a head. */
static bool need_dim(const json_t *config, const char *key, int *out, struct cap_err *err)
{
    return need_any(config, KEYS(key), DIM_MAX, out, err);
}

/* ---- attention ---- */

static bool read_gqa(const json_t *config, const struct shape_row *row,
                     const struct cap_model *model, struct cap_model_attention *out,
                     struct cap_err *err)
{
    struct cap_model_attention a = {.kind = CAP_ATTENTION_GQA};
    bool qkv_bias = row->traits & (TRAIT_BIAS_ALL | TRAIT_BIAS_QKV), norm = false;
    bool bias = row->traits & TRAIT_BIAS_ALL;

    if (!need_any(config, KEYS("num_attention_heads", "n_heads"), HEADS_MAX, &a.heads, err))
        return false;
    a.kv_heads = a.heads;
    a.head_dim = model->hidden / a.heads;
    if (!read_any(config, KEYS("num_key_value_heads", "kv_n_heads"), HEADS_MAX, &a.kv_heads, err) ||
        !read_any(config, KEYS("head_dim"), DIM_MAX, &a.head_dim, err) ||
        !cap_keys_bool(config, "qkv_bias", &qkv_bias, err) ||
        !cap_keys_bool(config, "attention_bias", &bias, err) ||
        !cap_keys_bool(config, "use_qk_norm", &norm, err))
        return false;
    if (a.head_dim < 1 || a.head_dim > DIM_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d hidden numbers for %d heads", model->hidden,
                        a.heads);
    if (a.heads % a.kv_heads != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d heads are not a multiple of %d for keys",
                        a.heads, a.kv_heads);
    a.qkv_bias = qkv_bias || bias;
    a.o_bias = bias && !(row->traits & TRAIT_PLAIN_OUTPUT);
    a.sinks = row->traits & TRAIT_SINKS;
    a.gated = row->traits & TRAIT_GATED;
    if (row->traits & TRAIT_NORM_WHOLE)
        a.qk_norm = CAP_QK_NORM_WHOLE;
    else if (norm || row->traits & TRAIT_NORM_HEAD)
        a.qk_norm = CAP_QK_NORM_PER_HEAD;
    *out = a;
    return true;
}

/* The chosen keys are as many as a window of that width has. */
static bool read_indexer(const json_t *config, struct cap_model_attention *io, struct cap_err *err)
{
    return need_any(config, KEYS("index_n_heads"), HEADS_MAX, &io->index_heads, err) &&
           need_dim(config, "index_head_dim", &io->index_dim, err) &&
           need_width(config, "index_topk", &io->window, err);
}

static bool read_mla(const json_t *config, const struct shape_row *row,
                     struct cap_model_attention *out, struct cap_err *err)
{
    struct cap_model_attention a = {.kind = CAP_ATTENTION_MLA};
    int nope = 0;

    if (!need_any(config, KEYS("num_attention_heads"), HEADS_MAX, &a.heads, err) ||
        !read_any(config, KEYS("q_lora_rank"), WIDTH_MAX, &a.q_rank, err) ||
        !need_width(config, "kv_lora_rank", &a.kv_rank, err) ||
        !need_dim(config, "qk_nope_head_dim", &nope, err) ||
        !need_dim(config, "qk_rope_head_dim", &a.rope_dim, err) ||
        !need_dim(config, "v_head_dim", &a.value_dim, err))
        return false;
    a.kv_heads = a.heads;
    a.head_dim = nope + a.rope_dim;
    if (row->traits & TRAIT_INDEXED && !read_indexer(config, &a, err))
        return false;
    *out = a;
    return true;
}

/* Qwen3-Next says the widths of its linear layers, MiniMax takes those of the others. */
static bool read_linear(const json_t *config, const struct shape_row *row,
                        const struct cap_model_attention *full, struct cap_model_attention *out,
                        struct cap_err *err)
{
    struct cap_model_attention a = {.kind = CAP_ATTENTION_LINEAR};

    if (row->traits & TRAIT_LIGHTNING) {
        a.heads = a.kv_heads = full->heads;
        a.head_dim = a.value_dim = full->head_dim;
        a.qk_norm = CAP_QK_NORM_WHOLE;
    } else if (!need_any(config, KEYS("linear_num_value_heads"), HEADS_MAX, &a.heads, err) ||
               !need_any(config, KEYS("linear_num_key_heads"), HEADS_MAX, &a.kv_heads, err) ||
               !need_dim(config, "linear_key_head_dim", &a.head_dim, err) ||
               !need_dim(config, "linear_value_head_dim", &a.value_dim, err) ||
               !need_dim(config, "linear_conv_kernel_dim", &a.conv, err)) {
        return false;
    }
    *out = a;
    return true;
}

/* ---- what differs from layer to layer ---- */

enum layer_kind { LAYER_FULL, LAYER_WINDOW, LAYER_LINEAR, LAYER_STRANGE };

static enum layer_kind kind_of(const json_t *item)
{
    static const struct {
        const char *word;
        enum layer_kind kind;
    } words[] = {
        {"full_attention", LAYER_FULL},
        {"attention", LAYER_FULL},
        {"sliding_attention", LAYER_WINDOW},
        {"linear_attention", LAYER_LINEAR},
    };

    if (json_is_integer(item)) /* MiniMax: 1 = softmax */
        return json_integer_value(item) == 1   ? LAYER_FULL
               : json_integer_value(item) == 0 ? LAYER_LINEAR
                                               : LAYER_STRANGE;
    for (size_t i = 0; json_is_string(item) && i < CAP_COUNT_OF(words); i++)
        if (strcmp(json_string_value(item), words[i].word) == 0)
            return words[i].kind;
    return LAYER_STRANGE;
}

static bool read_kind_list(const char *key, const json_t *list, int layers,
                           enum layer_kind *out_kinds, struct cap_err *err)
{
    if (json_array_size(list) != (size_t)layers)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" has %zu items, the model %d layers", key,
                        json_array_size(list), layers);
    for (int i = 0; i < layers; i++)
        if ((out_kinds[i] = kind_of(json_array_get(list, (size_t)i))) == LAYER_STRANGE)
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "item %d of \"%s\" is an attention whose bytes and operations are "
                            "not known here",
                            i, key);
    return true;
}

/* Qwen3-Next's rule, where no list says it: every n-th layer is full. */
static bool read_interval(const json_t *config, int layers, enum layer_kind *out_kinds,
                          struct cap_err *err)
{
    int interval = 0;

    if (!read_any(config, KEYS("full_attention_interval"), CAP_MODEL_LAYERS_MAX, &interval, err))
        return false;
    if (interval == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "neither \"layer_types\" nor \"full_attention_interval\" says which "
                        "layers have linear attention");
    for (int i = 0; i < layers; i++)
        out_kinds[i] = (i + 1) % interval == 0 ? LAYER_FULL : LAYER_LINEAR;
    return true;
}

static bool read_kinds(const json_t *config, const struct shape_row *row, int layers,
                       enum layer_kind *out_kinds, struct cap_err *err)
{
    static const char *const lists[] = {"layer_types", "attn_type_list", "layers_block_type"};
    bool windows = false;
    int width = 0;

    for (size_t i = 0; i < CAP_COUNT_OF(lists); i++)
        if (json_is_array(json_object_get(config, lists[i])))
            return read_kind_list(lists[i], json_object_get(config, lists[i]), layers, out_kinds,
                                  err);
    if (row->attention == HYBRID)
        return read_interval(config, layers, out_kinds, err);
    /* Mixtral and others give a width alone: it holds for every layer, unless a switch is off */
    if (!read_any(config, KEYS("sliding_window"), 1 << 30, &width, err))
        return false;
    windows = width > 0;
    if (!cap_keys_bool(config, "use_sliding_window", &windows, err))
        return false;
    for (int i = 0; i < layers; i++) /* gpt-oss: every second, beginning with the first */
        out_kinds[i] =
            !windows || (row->traits & TRAIT_SINKS && i % 2 == 1) ? LAYER_FULL : LAYER_WINDOW;
    return true;
}

static bool read_attention(const json_t *config, const struct shape_row *row,
                           struct cap_model *model, struct cap_err *err)
{
    enum layer_kind kinds[CAP_MODEL_LAYERS_MAX] = {LAYER_FULL};
    struct cap_model_attention full = {.heads = 0}, linear = {.heads = 0};
    int window = 0;

    if (!read_kinds(config, row, model->layer_count, kinds, err) ||
        !(row->attention == MLA ? read_mla(config, row, &full, err)
                                : read_gqa(config, row, model, &full, err)) ||
        (row->attention == HYBRID && !read_linear(config, row, &full, &linear, err)) ||
        !read_any(config, KEYS("sliding_window"), 1 << 30, &window, err))
        return false;
    for (int i = 0; i < model->layer_count; i++) {
        struct cap_model_attention *a = &model->layers[i].attention;

        if (kinds[i] == LAYER_LINEAR && row->attention != HYBRID)
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "layer %d has linear attention, which is not known of this family", i);
        if (kinds[i] == LAYER_WINDOW && window == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "layer %d has a window, and \"sliding_window\" is missing", i);
        *a = kinds[i] == LAYER_LINEAR ? linear : full;
        if (kinds[i] == LAYER_WINDOW)
            a->window = window;
    }
    return true;
}

/* ---- experts ---- */

static bool need_known(const struct cap_known *number, struct cap_err *err)
{
    return number->value >= 0 || cap_fail(err, CAP_INVALID_ARGUMENT, "%s", number->why);
}

static bool read_shared(const json_t *config, const struct shape_row *row,
                        const struct cap_shape *shape, struct cap_model_mlp *io,
                        struct cap_err *err)
{
    const char *key = row->shared_key;

    if (row->shared != SHARED_WIDTH && shape->shared_said && !need_known(&shape->shared, err))
        return false;
    switch (row->shared) {
    case SHARED_NONE:
        if (shape->shared.value > 0)
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "config.json has shared experts, and how wide they are in \"%s\" is "
                            "not known",
                            row->type);
        return true;
    case SHARED_WIDTH:
        io->shared_gate = row->traits & TRAIT_SWITCH;
        return need_width(config, key, &io->shared_inner, err);
    case SHARED_COUNT:
        if (shape->shared.value > WIDTH_MAX / io->inner)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "%d shared experts of %d are too wide",
                            shape->shared.value, io->inner);
        if (shape->shared.value > 0)
            io->shared_inner = shape->shared.value * io->inner;
        return true;
    }
    return true;
}

/* The part that all layers with experts share. */
static bool read_experts(const json_t *config, const struct shape_row *row,
                         const struct cap_shape *shape, struct cap_model_layer *out,
                         struct cap_err *err)
{
    if (!row->experts)
        return cap_fail(err, CAP_UNIMPLEMENTED, "\"%s\" with experts is not known", row->type);
    if (!need_known(&shape->experts, err) || !need_known(&shape->top_k, err) ||
        !need_width(config, row->experts, &out->mlp.inner, err) ||
        !read_shared(config, row, shape, &out->mlp, err))
        return false;
    out->mlp.bias = row->traits & TRAIT_BIAS_ALL;
    out->router =
        (struct cap_model_router){.kind = CAP_ROUTER_SOFTMAX,
                                  .experts = shape->experts.value,
                                  .top_k = shape->top_k.value,
                                  .bias = row->traits & (TRAIT_BIAS_ALL | TRAIT_BIAS_ROUTER),
                                  .scale = 1};
    return true;
}

static bool read_mlps(const json_t *config, const struct shape_row *row,
                      const struct cap_shape *shape, struct cap_model *model, struct cap_err *err)
{
    struct cap_model_layer routed = {.router = {.kind = CAP_ROUTER_NONE}};
    struct cap_model_mlp dense = {.inner = 0};
    bool has[CAP_MODEL_LAYERS_MAX] = {false};

    if (!need_known(&shape->moe_layers, err))
        return false;
    if (shape->moe_layers.value > 0 && !read_experts(config, row, shape, &routed, err))
        return false;
    if (shape->moe_layers.value < model->layer_count) {
        if (!row->dense)
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "some layers have no experts, and how wide they are in \"%s\" is not "
                            "known",
                            row->type);
        if (!need_width(config, row->dense, &dense.inner, err))
            return false;
    }
    for (int i = 0; i < shape->moe_layers.value; i++)
        has[shape->moe_layer_ids[i]] = true;
    for (int i = 0; i < model->layer_count; i++) {
        model->layers[i].router = has[i] ? routed.router : (struct cap_model_router){.scale = 1};
        model->layers[i].mlp = has[i] ? routed.mlp : dense;
    }
    return true;
}

/* ---- the whole ---- */

static const struct shape_row *find_row(const char *family, struct cap_err *err)
{
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        if (strcmp(rows[i].type, family) == 0)
            return &rows[i];
    cap_fail(err, CAP_UNIMPLEMENTED,
             *family ? "bytes and operations of the family \"%s\" are not known: no row of "
                       "lib/model/shapes.def says which keys give its widths"
                     : "config.json has no \"model_type\"%s",
             family);
    return NULL;
}

/* Keys that change widths, and that the row does not speak of. */
static bool refuse_others(const json_t *config, const struct shape_row *row, struct cap_err *err)
{
    static const char *const sparse[] = {"index_topk", "index_n_heads"};

    if (row->attention != MLA && cap_keys_has(config, "kv_lora_rank"))
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "\"kv_lora_rank\" is there, and \"%s\" is known without latent attention",
                        row->type);
    if (row->experts && strcmp(row->experts, "intermediate_size") == 0 &&
        cap_keys_has(config, "moe_intermediate_size"))
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "\"moe_intermediate_size\" is there, and in \"%s\" it is "
                        "\"intermediate_size\" that gives the width of an expert",
                        row->type);
    for (size_t i = 0; !(row->traits & TRAIT_INDEXED) && i < CAP_COUNT_OF(sparse); i++)
        if (cap_keys_has(config, sparse[i]))
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "\"%s\": attention that chooses its keys is not known here", sparse[i]);
    return true;
}

static bool read_model(const json_t *whole, const struct cap_shape *shape, struct cap_model *out,
                       struct cap_err *err)
{
    const json_t *config = cap_shape_text_config(whole);
    const struct shape_row *row = find_row(shape->family, err);

    if (!row)
        return false;
    out->family = row->type;
    out->layer_count = shape->layers;
    out->context_max = shape->context_max;
    out->layers = calloc((size_t)shape->layers, sizeof *out->layers);
    if (!out->layers)
        abort();
    return refuse_others(config, row, err) &&
           need_any(config, KEYS("hidden_size", "d_model"), WIDTH_MAX, &out->hidden, err) &&
           need_any(config, KEYS("vocab_size"), VOCAB_MAX, &out->vocab, err) &&
           cap_keys_bool(whole, "tie_word_embeddings", &out->tie_embeddings, err) &&
           cap_keys_bool(config, "tie_word_embeddings", &out->tie_embeddings, err) &&
           read_attention(config, row, out, err) && read_mlps(config, row, shape, out, err);
}

struct cap_model *cap_shape_model(const json_t *config, struct cap_err *err)
{
    CAP_AUTO(cap_model) model = calloc(1, sizeof *model);
    struct cap_shape shape;

    if (!model)
        abort();
    if (!cap_shape_read(config, &shape, err) || !read_model(config, &shape, model, err)) {
        cap_fail_in(err, "config.json");
        return NULL;
    }
    return cap_take(model);
}

struct cap_model *cap_shape_open_model(const char *dir, struct cap_err *err)
{
    json_t *config = cap_keys_read_file(dir, "config.json", err);
    struct cap_model *model = config ? cap_shape_model(config, err) : NULL;

    json_decref(config);
    return model;
}
