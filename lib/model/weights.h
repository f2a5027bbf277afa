/* weights.h — which weights a model has: their names, their shapes, and where they lie.
 *
 * One table (weights.c) gives every weight a name pattern and a shape in terms of the description.
 * Checking a directory, counting parameters and loading all walk that table. Experts may be stored
 * one tensor each or fused ([E, 2I, H] gate above up, and [E, H, I]); a view hides the difference.
 *
 *     if (!cap_weights_check(model, tensors, err)) ...
 *     cap_weights_view(model, tensors, CAP_WEIGHT_EXPERT_GATE, layer, expert, &view);
 */
#ifndef CAP_WEIGHTS_H
#define CAP_WEIGHTS_H

#include "model/model.h"
#include "model/tensors.h"

enum cap_weight {
    /* of the model */
    CAP_WEIGHT_EMBED,   /* [vocab, hidden] */
    CAP_WEIGHT_NORM,    /* [hidden] */
    CAP_WEIGHT_LM_HEAD, /* [vocab, hidden]; the embedding when tied */
    /* of a layer */
    CAP_WEIGHT_ATTENTION_NORM, /* [hidden] */
    CAP_WEIGHT_Q,              /* [heads * head_dim, hidden] */
    CAP_WEIGHT_K,              /* [kv_heads * head_dim, hidden] */
    CAP_WEIGHT_V,
    CAP_WEIGHT_O, /* [hidden, heads * head_dim] */
    CAP_WEIGHT_Q_BIAS,
    CAP_WEIGHT_K_BIAS,
    CAP_WEIGHT_V_BIAS,
    CAP_WEIGHT_O_BIAS,
    CAP_WEIGHT_Q_NORM, /* [head_dim] */
    CAP_WEIGHT_K_NORM,
    CAP_WEIGHT_MLP_NORM, /* [hidden] */
    CAP_WEIGHT_GATE,     /* dense layers: [inner, hidden] */
    CAP_WEIGHT_UP,
    CAP_WEIGHT_DOWN,   /* [hidden, inner] */
    CAP_WEIGHT_ROUTER, /* [experts, hidden] */
    /* of an expert */
    CAP_WEIGHT_EXPERT_GATE, /* [inner, hidden] */
    CAP_WEIGHT_EXPERT_UP,
    CAP_WEIGHT_EXPERT_DOWN, /* [hidden, inner] */
    CAP_WEIGHT_COUNT
};

/* Part of a mapped tensor. A vector has one column; rows are contiguous. */
struct cap_weight_view {
    const void *data;
    enum cap_dtype dtype;
    int64_t rows, columns;
    const struct cap_tensor *tensor; /* that it is a part of: for messages */
};

/* False when the layer has no such weight (a bias, a router of a dense layer). `layer` is ignored
 * for weights of the model; columns are 1 for vectors. The outputs may be NULL. */
bool cap_weights_shape(const struct cap_model *model, enum cap_weight weight, int layer,
                       int64_t *out_rows, int64_t *out_columns);

/* "model.layers.3.mlp.experts.7.up_proj.weight" into out. */
enum { CAP_WEIGHTS_NAME_BYTES = 128 };
const char *cap_weights_name(enum cap_weight weight, int layer, int expert,
                             char out[CAP_WEIGHTS_NAME_BYTES]);

/* Every weight is there with its shape, in f32, f16 or bf16, and the description's own numbers are
 * consistent with them. One sentence: file, tensor, expected, found. */
bool cap_weights_check(const struct cap_model *model, const struct cap_tensors *tensors,
                       struct cap_err *err);

/* False, with no message, when the model has no such weight. After cap_weights_check it succeeds
 * for every weight that cap_weights_shape knows. */
bool cap_weights_view(const struct cap_model *model, const struct cap_tensors *tensors,
                      enum cap_weight weight, int layer, int expert,
                      struct cap_weight_view *out_view);

/* Tensors of the directory that no weight of the model uses, in the order of the files: calls
 * `each` for every one; returns how many. `each` may be NULL. */
size_t cap_weights_unused(const struct cap_model *model, const struct cap_tensors *tensors,
                          void (*each)(const struct cap_tensor *tensor, void *context),
                          void *context);

/* Looks for NaN and infinities in every weight: one pass over all bytes. The engine does the same
 * while it repacks; this is for `model inspect --values`. */
bool cap_weights_check_values(const struct cap_model *model, const struct cap_tensors *tensors,
                              struct cap_err *err);
/* The same for one view; `name` for the message. */
bool cap_weights_check_view(const struct cap_weight_view *view, const char *name,
                            struct cap_err *err);

#endif
