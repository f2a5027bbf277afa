/* The parts that families share: each reads its keys of config.json into the description, with
 * bounds. */
#include <math.h>

#include "model/family.h"

enum { HEADS_MAX = 4096, WIDTH_MAX = 1 << 20, CONTEXT_MAX = 1 << 30 };

bool cap_part_gqa(const json_t *config, const struct cap_model *model,
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

bool cap_part_window(const json_t *config, const char *switch_key, int absent, int *out_window,
                     struct cap_err *err)
{
    bool used = true;
    int window = 0;

    if (switch_key) {
        used = false;
        if (!cap_keys_bool(config, switch_key, &used, err))
            return false;
    }
    if (used && !json_object_get(config, "sliding_window"))
        window = absent;
    if (used && !cap_keys_int(config, "sliding_window", 1, CONTEXT_MAX, &window, err))
        return false;
    *out_window = window;
    return true;
}

bool cap_part_softmax_router(const json_t *config, const char *experts_key, bool renormalize,
                             struct cap_model_router *out, struct cap_err *err)
{
    struct cap_model_router r = {
        .kind = CAP_ROUTER_SOFTMAX, .scale = 1, .renormalize = renormalize};

    if (!cap_keys_need_int(config, experts_key, 0, CAP_MODEL_EXPERTS_MAX, &r.experts, err))
        return false;
    if (r.experts == 0)
        r = (struct cap_model_router){.kind = CAP_ROUTER_NONE};
    else if (!cap_keys_need_int(config, "num_experts_per_tok", 1, r.experts, &r.top_k, err))
        return false;
    *out = r;
    return true;
}
