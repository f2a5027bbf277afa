/* Mixtral as a family of this test alone: parts that exist, under other keys and names. It shows
 * what docs/adding-a-family.md promises: one file and one row. The table at the end takes the place
 * of lib/model's. */
#include "model/family.h"

static bool read_attention(const json_t *config, const struct cap_model *model, int layer,
                           struct cap_model_attention *out, struct cap_err *err)
{
    (void)layer;
    return cap_part_gqa(config, model, out, err) &&
           cap_part_window(config, NULL, 0, &out->window, err);
}

static bool read_router(const json_t *config, struct cap_model_router *out, struct cap_err *err)
{
    return cap_part_softmax_router(config, "num_local_experts", true, out, err);
}

static const struct cap_weight_name names[] = {
    {CAP_WEIGHT_ROUTER, "model.layers.%l.block_sparse_moe.gate.weight"},
    {CAP_WEIGHT_EXPERT_GATE, "model.layers.%l.block_sparse_moe.experts.%e.w1.weight"},
    {CAP_WEIGHT_EXPERT_UP, "model.layers.%l.block_sparse_moe.experts.%e.w3.weight"},
    {CAP_WEIGHT_EXPERT_DOWN, "model.layers.%l.block_sparse_moe.experts.%e.w2.weight"},
    {0},
};

static const struct cap_family mixtral = {
    .model_type = "mixtral",
    .architecture = "MixtralForCausalLM",
    .read_attention = read_attention,
    .read_router = read_router,
    .expert_inner_key = "intermediate_size",
    .dense_inner_key = "intermediate_size",
    .names = names,
};

const struct cap_family *const cap_families[] = {
    &cap_family_qwen3_moe,
    &mixtral,
    NULL,
};
