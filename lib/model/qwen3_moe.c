/* Qwen3-MoE: softmax router, experts without a shared one, a norm of each head of q and k. The
 * tensors have the usual names. */
#include "model/family.h"

/* The default of HF Transformers where a window is switched on and its width is not said. */
enum { WINDOW_DEFAULT = 4096 };

static bool read_attention(const json_t *config, const struct cap_model *model, int layer,
                           struct cap_model_attention *out, struct cap_err *err)
{
    bool bias = false;

    (void)layer;
    if (!cap_part_gqa(config, model, out, err) ||
        !cap_part_window(config, "use_sliding_window", WINDOW_DEFAULT, &out->window, err) ||
        !cap_keys_bool(config, "attention_bias", &bias, err))
        return false;
    out->qk_norm = CAP_QK_NORM_PER_HEAD;
    out->qkv_bias = out->o_bias = bias;
    return true;
}

static bool read_router(const json_t *config, struct cap_model_router *out, struct cap_err *err)
{
    return cap_part_softmax_router(config, "num_experts", false, out, err) &&
           cap_keys_bool(config, "norm_topk_prob", &out->renormalize, err);
}

const struct cap_family cap_family_qwen3_moe = {
    .model_type = "qwen3_moe",
    .architecture = "Qwen3MoeForCausalLM",
    .read_attention = read_attention,
    .read_router = read_router,
    .expert_inner_key = "moe_intermediate_size",
    .dense_inner_key = "intermediate_size",
};
