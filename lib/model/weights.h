/* weights.h — which weights a model has: their names, their shapes, and where they lie.
 *
 * One table (weights.c) gives every weight a shape in terms of the description and the name that
 * most families use; a family's row has the names that differ. Checking a directory, counting
 * parameters and loading all walk that table. Experts may be stored one tensor each or fused
 * ([E, 2I, H] gate above up, and [E, H, I]); a view hides the difference.
 *
 * Numbers are read in blocks of whole rows, and each block is searched for NaN and infinities,
 * which no sound checkpoint has.
 *
 *     struct cap_weight_reader reader = {.tensors = tensors};
 *     cap_weights_view(model, tensors, CAP_WEIGHT_EXPERT_GATE, layer, expert, &view);
 *     for (int64_t row = 0; row < view.rows; row += block.rows)
 *         if (!cap_weights_read(&reader, &view, row, &block, err)) ...
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
    CAP_WEIGHT_Q,              /* [heads * head_dim, hidden]; twice as many rows with a gate */
    CAP_WEIGHT_K,              /* [kv_heads * head_dim, hidden] */
    CAP_WEIGHT_V,
    CAP_WEIGHT_O, /* [hidden, heads * value_dim] */
    CAP_WEIGHT_Q_BIAS,
    CAP_WEIGHT_K_BIAS,
    CAP_WEIGHT_V_BIAS,
    CAP_WEIGHT_O_BIAS,
    CAP_WEIGHT_SINKS,  /* [heads] */
    CAP_WEIGHT_Q_NORM, /* [head_dim], or of the whole projection */
    CAP_WEIGHT_K_NORM,
    CAP_WEIGHT_Q_A, /* latent attention: [q_rank, hidden] */
    CAP_WEIGHT_Q_A_NORM,
    CAP_WEIGHT_Q_B,  /* [heads * head_dim, q_rank] */
    CAP_WEIGHT_KV_A, /* [kv_rank + rope_dim, hidden] */
    CAP_WEIGHT_KV_A_NORM,
    CAP_WEIGHT_KV_B,         /* [heads * (head_dim - rope_dim + value_dim), kv_rank] */
    CAP_WEIGHT_INDEX_Q,      /* [index_heads * index_dim, q_rank] */
    CAP_WEIGHT_INDEX_K,      /* [index_dim, hidden] */
    CAP_WEIGHT_INDEX_HEADS,  /* [index_heads, hidden] */
    CAP_WEIGHT_LINEAR_IN,    /* linear attention: q, k, v and the gate of the output */
    CAP_WEIGHT_LINEAR_RATES, /* [2 * heads, hidden] */
    CAP_WEIGHT_LINEAR_CONV,  /* [q, k and v, conv] */
    CAP_WEIGHT_LINEAR_NORM,  /* [value_dim], or of the whole projection */
    CAP_WEIGHT_MLP_NORM,     /* [hidden] */
    CAP_WEIGHT_GATE,         /* dense layers: [inner, hidden] */
    CAP_WEIGHT_UP,
    CAP_WEIGHT_DOWN,   /* [hidden, inner] */
    CAP_WEIGHT_ROUTER, /* [experts, hidden] */
    CAP_WEIGHT_ROUTER_BIAS,
    CAP_WEIGHT_SHARED_GATE, /* [shared_inner, hidden] */
    CAP_WEIGHT_SHARED_UP,
    CAP_WEIGHT_SHARED_DOWN,
    CAP_WEIGHT_SHARED_SWITCH, /* [1, hidden] */
    /* of an expert */
    CAP_WEIGHT_EXPERT_GATE, /* [inner, hidden] */
    CAP_WEIGHT_EXPERT_UP,
    CAP_WEIGHT_EXPERT_DOWN, /* [hidden, inner] */
    CAP_WEIGHT_EXPERT_GATE_BIAS,
    CAP_WEIGHT_EXPERT_UP_BIAS,
    CAP_WEIGHT_EXPERT_DOWN_BIAS,
    /* where all experts of a layer may lie together; only a family's names speak of these */
    CAP_WEIGHT_FUSED_GATE_UP,
    CAP_WEIGHT_FUSED_DOWN,
    CAP_WEIGHT_COUNT
};

enum { CAP_WEIGHTS_NAME_BYTES = 128, CAP_WEIGHTS_BLOCK_BYTES = 8 << 20 };

/* A weight, or its part of a tensor. A vector has one column; rows are contiguous. */
struct cap_weight_view {
    enum cap_dtype dtype;
    int64_t rows, columns;
    const struct cap_tensor *tensor;
    uint64_t first;                    /* byte of the tensor */
    char name[CAP_WEIGHTS_NAME_BYTES]; /* for messages */
};

/* Memory that the blocks of one view after another are read into. */
struct cap_weight_reader {
    const struct cap_tensors *tensors;
    char *data;
    size_t capacity;
};

struct cap_weight_block {
    int64_t row, rows;
    const char *data; /* until the reader's next block */
};

/* False when the layer has no such weight (a bias, a router of a dense layer). `layer` is ignored
 * for weights of the model; columns are 1 for vectors. The outputs may be NULL. */
bool cap_weights_shape(const struct cap_model *model, enum cap_weight weight, int layer,
                       int64_t *out_rows, int64_t *out_columns);

/* "model.layers.3.mlp.experts.7.up_proj.weight" into out. */
const char *cap_weights_name(const struct cap_model *model, enum cap_weight weight, int layer,
                             int expert, char out[CAP_WEIGHTS_NAME_BYTES]);

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

/* The block that begins at `row`: about CAP_WEIGHTS_BLOCK_BYTES, one row at least. Fails when the
 * file cannot be read any more, or a number is NaN or infinite. */
bool cap_weights_read(struct cap_weight_reader *reader, const struct cap_weight_view *view,
                      int64_t row, struct cap_weight_block *out, struct cap_err *err);
void cap_weights_reader_done(struct cap_weight_reader *reader);

/* Reads every weight so: one pass over all bytes. The engine does the same while it loads; this is
 * for `model inspect --values`. */
bool cap_weights_check_values(const struct cap_model *model, const struct cap_tensors *tensors,
                              struct cap_err *err);

#endif
