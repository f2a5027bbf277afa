/* weights.h — a model loaded for computing: its description, and its weights packed for a backend.
 *
 * Opened once from a Hugging Face directory, then immutable. The weights live on the model's
 * device, and a device is driven by one thread: the one that owns the session (session.h) made from
 * it.
 *
 *     CAP_AUTO(native_model) model = native_model_open(dir, &(struct native_model_options){0},
 * err);
 */
#ifndef NATIVE_WEIGHTS_H
#define NATIVE_WEIGHTS_H

#include "base/auto.h"
#include "base/err.h"
#include "model/model.h"
#include "moe_backend.h"

/* How weights are kept and what may be rounded. docs/kernels.md has the measured errors.
 *   f32   weights as stored (f16 widened), everything else in f32
 *   bf16  weights and KV cache in bf16; activations too where the CPU multiplies bf16
 *   int8  as bf16, with the experts (and dense MLPs) in int8, a scale for each 32
 */
enum native_precision {
#define NATIVE_PRECISION_COMPUTES(id) NATIVE_##id,
#define NATIVE_PRECISION_COSTED(id)
#define PRECISION(id, word, known, ...) NATIVE_PRECISION_##known(id)
#include "words/precisions.def"
#undef PRECISION
    NATIVE_PRECISION_COUNT
};

const char *native_precision_name(enum native_precision precision);
/* "" is bf16. False when there is no such precision. */
bool native_precision_from_name(const char *name, enum native_precision *out_precision);

struct native_model_options {
    enum native_precision precision;
    const char *backend;       /* NULL or "" = "cpu" */
    int threads;               /* 0 = every core the process may use */
    const char *isa;           /* NULL = MOECAP_ISA of the environment, else the best there is */
    uint64_t memory_bytes_max; /* for the weights; 0 = what the machine has free */
    /* asked before each tensor: true ends the opening (CANCELLED); NULL = never */
    bool (*unwanted)(void *arg);
    void *unwanted_arg;
};

struct native_layer {
    struct moe_buf attention_norm, mlp_norm, q_norm, k_norm, qkv_bias, o_bias;
    struct moe_weight *qkv, *o;
    struct moe_weight *router;         /* NULL: dense */
    struct moe_weight *gate_up, *down; /* of all experts, or of the dense MLP */
};

struct native_model {
    struct cap_model *shape;
    enum native_precision precision;
    const struct moe_backend *backend;
    struct moe_dev *dev;
    struct native_layer *layers; /* [shape->layer_count] */
    struct moe_weight *embed, *head;
    struct moe_buf norm;
    int moe_layers, experts, top_k; /* experts and top_k: the most of any layer */
    /* bytes as kept in memory, padding left out */
    uint64_t bytes_every_pass; /* read by any pass: attention, norms, routers, dense MLPs */
    uint64_t bytes_head;       /* read when logits are made */
};

/* Fails with a sentence that names file, tensor and reason; NaN and infinities are refused. */
struct native_model *native_model_open(const char *dir, const struct native_model_options *options,
                                       struct cap_err *err);
void native_model_free(struct native_model *model);
CAP_DEFINE_AUTO(native_model)

/* The devices of this machine that a backend could open, of all backends; how many, at most `max`.
 * None where only the processors compute. */
int native_devices(struct moe_device *out, int max);

/* Bytes of memory that may still be had where the model lives. */
uint64_t native_model_memory(const struct native_model *model);

/* Of one expert of the layer, as kept in memory; 0 for a dense layer. */
uint64_t native_model_expert_bytes(const struct native_model *model, int layer);

#endif
