#include "model/family.h"

#include <math.h>
#include <string.h>

#include "model/keys.h"

enum {
    HEADS_MAX = 4096,
    WIDTH_MAX = 1 << 20,
    CONTEXT_MAX = 1 << 30,
    SLIDING_WINDOW_DEFAULT = 4096
};

/* ---- parts that several families share ---- */

/* Grouped-query attention with rotary positions; the caller adds window, norms and biases. */
static bool read_gqa(const json_t *config, const struct cap_model *model,
                     struct cap_model_attention *out, struct cap_err *err)
{
    struct cap_model_attention a = {0};

    if (!cap_keys_need_int(config, "num_attention_heads", 1, HEADS_MAX, &a.heads, err))
        return false;
    a.kv_heads = a.heads;
    a.head_dim = model->hidden / a.heads;
    if (!cap_keys_int(config, "num_key_value_heads", 1, HEADS_MAX, &a.kv_heads, err) ||
        !cap_keys_int(config, "head_dim", 2, WIDTH_MAX, &a.head_dim, err))
        return false;
    if (a.heads % a.kv_heads != 0)
        return cap_fail(
            err, CAP_INVALID_ARGUMENT,
            "\"num_attention_heads\" %d is not a multiple of \"num_key_value_heads\" %d", a.heads,
            a.kv_heads);
    if (a.head_dim < 2 || a.head_dim % 2 != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"head_dim\" is %d, expected an even number",
                        a.head_dim);
    a.scale = 1 / sqrt(a.head_dim);
    *out = a;
    return true;
}

/* One window for every layer, if the config turns it on. */
static bool read_window(const json_t *config, int *out_window, struct cap_err *err)
{
    bool used = false;
    int window = 0;

    if (!cap_keys_bool(config, "use_sliding_window", &used, err))
        return false;
    if (used && !json_object_get(config, "sliding_window"))
        window = SLIDING_WINDOW_DEFAULT;
    if (used && !cap_keys_int(config, "sliding_window", 1, CONTEXT_MAX, &window, err))
        return false;
    *out_window = window;
    return true;
}

static bool read_softmax_router(const json_t *config, struct cap_model_router *out,
                                struct cap_err *err)
{
    struct cap_model_router r = {.kind = CAP_ROUTER_SOFTMAX, .scale = 1};

    if (!cap_keys_need_int(config, "num_experts", 0, CAP_MODEL_EXPERTS_MAX, &r.experts, err))
        return false;
    if (r.experts == 0)
        r = (struct cap_model_router){.kind = CAP_ROUTER_NONE};
    else if (!cap_keys_need_int(config, "num_experts_per_tok", 1, r.experts, &r.top_k, err) ||
             !cap_keys_bool(config, "norm_topk_prob", &r.renormalize, err))
        return false;
    *out = r;
    return true;
}

/* Which layers have experts, as the Qwen families say it: every step-th, but for a list. */
struct sparse_layers {
    const json_t *dense; /* array or NULL */
    int step;
};

static bool read_sparse_layers(const json_t *config, struct sparse_layers *out, struct cap_err *err)
{
    struct sparse_layers s = {.dense = json_object_get(config, "mlp_only_layers"), .step = 1};
    json_t *item;
    size_t i;

    if (!cap_keys_int(config, "decoder_sparse_step", 1, CAP_MODEL_LAYERS_MAX, &s.step, err))
        return false;
    if (s.dense && !json_is_null(s.dense) && !json_is_array(s.dense))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"mlp_only_layers\" is not a list");
    json_array_foreach((json_t *)s.dense, i, item)
    {
        if (!json_is_integer(item))
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "\"mlp_only_layers\" holds something that is not a layer number");
    }
    *out = s;
    return true;
}

static bool is_sparse(const struct sparse_layers *s, int layer)
{
    for (size_t i = 0; i < json_array_size(s->dense); i++)
        if (json_integer_value(json_array_get(s->dense, i)) == layer)
            return false;
    return (layer + 1) % s->step == 0;
}

/* ---- qwen3_moe ---- */

static bool read_qwen3_moe(const json_t *config, struct cap_model *model, struct cap_err *err)
{
    struct cap_model_layer moe = {0}, dense = {0};
    struct sparse_layers sparse = {.step = 1};
    bool bias = false;

    if (!read_gqa(config, model, &moe.attention, err) ||
        !read_window(config, &moe.attention.window, err) ||
        !cap_keys_bool(config, "attention_bias", &bias, err) ||
        !read_softmax_router(config, &moe.router, err) || !read_sparse_layers(config, &sparse, err))
        return false;
    moe.attention.qk_norm = CAP_QK_NORM_PER_HEAD;
    moe.attention.qkv_bias = moe.attention.o_bias = bias;
    dense.attention = moe.attention;
    for (int i = 0; i < model->layer_count; i++) {
        bool routed = moe.router.experts > 0 && is_sparse(&sparse, i);
        struct cap_model_layer *kind = routed ? &moe : &dense;
        const char *key = routed ? "moe_intermediate_size" : "intermediate_size";

        if (kind->mlp.inner == 0 &&
            !cap_keys_need_int(config, key, 1, WIDTH_MAX, &kind->mlp.inner, err))
            return false;
        model->layers[i] = *kind;
    }
    return true;
}

/* ---- the table ---- */

static const struct cap_family families[] = {
    {"qwen3_moe", "Qwen3MoeForCausalLM", read_qwen3_moe},
};

const struct cap_family *cap_family_at(int index)
{
    return index >= 0 && index < (int)CAP_COUNT_OF(families) ? &families[index] : NULL;
}

const struct cap_family *cap_family_find(const char *model_type, const char *architecture)
{
    for (size_t i = 0; i < CAP_COUNT_OF(families); i++)
        if (model_type[0] ? strcmp(model_type, families[i].model_type) == 0
                          : strcmp(architecture, families[i].architecture) == 0)
            return &families[i];
    return NULL;
}
