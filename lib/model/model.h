/* model.h — what a model is, from its config.json: layers, attention, router, experts, positions.
 *
 * Read once, then immutable; any thread. A layer is three separate parts (attention, router, MLP),
 * each with its own kind. A family (family.h) is a row that says which parts its layers have, which
 * keys of config.json describe them and what its tensors are called; so a family that recombines
 * known parts is one file and one row, and no new code path. The model's name decides nothing.
 * Weights are not touched here: weights.h names and checks them.
 *
 *     CAP_AUTO(cap_model) model = cap_model_open("/models/moecap-tiny", err);
 *     for (int i = 0; model && i < model->layer_count; i++)
 *         plan_layer(&model->layers[i]);
 */
#ifndef CAP_MODEL_H
#define CAP_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "model/tensors.h"

enum { CAP_MODEL_EOS_MAX = 16, CAP_MODEL_LAYERS_MAX = 1024, CAP_MODEL_EXPERTS_MAX = 65536 };

/* ---- positions ---- */

/* Rotary positions: how a position turns into the angles of a head. The description is complete:
 * everything that config.json leaves out is filled in when it is read, in either spelling
 * (rope_theta + rope_scaling, or rope_parameters). */
enum cap_rope_kind {
    CAP_ROPE_DEFAULT,
    CAP_ROPE_LINEAR,
    CAP_ROPE_DYNAMIC, /* the base grows with the sequence, once it is longer than `original` */
    CAP_ROPE_YARN,
    CAP_ROPE_LLAMA3,
    CAP_ROPE_COUNT
};

struct cap_rope {
    enum cap_rope_kind kind;
    double theta;
    double factor;                  /* all but default */
    int original;                   /* positions of the training before scaling */
    double beta_fast, beta_slow;    /* yarn */
    bool truncate;                  /* yarn: whole dimensions as borders of the ramp */
    double attention_factor;        /* cos and sin are multiplied by it; 1 but for yarn */
    double low_factor, high_factor; /* llama3: low_freq_factor, high_freq_factor */
};

const char *cap_rope_kind_name(enum cap_rope_kind kind);

/* out[i], i < dim / 2: radians a position of the pair (i, i + dim / 2). `length` is the number of
 * positions of the sequence and matters to dynamic only. */
void cap_rope_frequencies(const struct cap_rope *rope, int dim, int64_t length, double *out);

/* ---- layers ---- */

/* RMS norm of q and k before the rotation: of each head, or of all heads together. */
enum cap_model_qk_norm { CAP_QK_NORM_NONE, CAP_QK_NORM_PER_HEAD, CAP_QK_NORM_WHOLE };

/* Our engine runs the first; the others have shapes that can be costed (shape.h). */
enum cap_model_attention_kind {
    CAP_ATTENTION_GQA,    /* keys and values of kv_heads heads are cached */
    CAP_ATTENTION_MLA,    /* DeepSeek: one latent vector of kv_rank + rope_dim numbers is */
    CAP_ATTENTION_LINEAR, /* Qwen3-Next, MiniMax-01: a state of heads * head_dim * value_dim, of any
                             context; kv_heads count the keys, heads the values */
};

/* A query sees keys with q - k < window. */
struct cap_model_attention {
    enum cap_model_attention_kind kind;
    int heads, kv_heads;
    int head_dim;                  /* of a query and a key; MLA: rope_dim included */
    int value_dim;                 /* 0 = head_dim */
    int q_rank, kv_rank, rope_dim; /* MLA; q_rank 0: queries are not compressed */
    int conv;                      /* linear: width of the convolution before it; 0 = none */
    int window;                    /* 0 = every key before it */
    int index_heads, index_dim; /* DeepSeek V3.2: an indexer with one key of its own for each token
                                   chooses the keys that are attended to, at most `window` */
    enum cap_model_qk_norm qk_norm;
    bool qkv_bias, o_bias;
    bool gated;   /* the queries' matrix has a gate of the output beside them */
    bool sinks;   /* one number for each head */
    double scale; /* of q·k */
};

enum cap_model_router_kind {
    CAP_ROUTER_NONE,    /* the layer is dense */
    CAP_ROUTER_SOFTMAX, /* softmax over all experts, the top_k largest, ties to the lower index */
};

struct cap_model_router {
    enum cap_model_router_kind kind;
    int experts, top_k;
    bool bias;
    bool renormalize; /* weights of the chosen divided by their sum */
    double scale;     /* the weights are multiplied by it last */
};

/* down(silu(gate(x)) * up(x)) */
struct cap_model_mlp {
    int inner;        /* of each expert, or of the dense MLP */
    int shared_inner; /* of the experts that every token uses, together; 0 = none */
    bool shared_gate; /* the shared part is multiplied by sigmoid(shared_gate(x)) */
    bool bias;        /* of each expert */
};

struct cap_model_layer {
    struct cap_model_attention attention;
    struct cap_model_router router;
    struct cap_model_mlp mlp;
};

/* ---- the model ---- */

/* What generation_config.json asks for when the user says nothing. */
struct cap_model_generation {
    bool do_sample;            /* false: greedy, whatever the others say */
    double temperature;        /* 1 = off */
    double top_p;              /* 1 = off */
    int top_k;                 /* 0 = off; 50 when sampling and not said, as in HF Transformers */
    double min_p;              /* 0 = off */
    double repetition_penalty; /* 1 = off */
    int max_new_tokens;        /* 0 = not said */
};

struct cap_family;

struct cap_model {
    const char *family;             /* "qwen3_moe" */
    const struct cap_family *parts; /* its row, family.h */
    char *architecture;             /* as in config.json, "" = not said */
    int layer_count, hidden, vocab, context_max;
    double norm_eps;
    bool tie_embeddings; /* the head is the embedding; a stored lm_head is ignored */
    bool random_weights; /* "random_weights": true, our own key: nothing was learned */
    struct cap_rope rope;
    struct cap_model_layer *layers; /* [layer_count] */
    enum cap_dtype dtype;           /* as config.json says; each tensor has its own */
    int bos_id;                     /* -1 = none */
    int eos_ids[CAP_MODEL_EOS_MAX];
    int eos_count;
    struct cap_model_generation generation;
};

/* Reads DIR/config.json and DIR/generation_config.json (optional). An architecture that is not
 * supported is CAP_UNIMPLEMENTED and the sentence lists those that are. */
struct cap_model *cap_model_open(const char *dir, struct cap_err *err);
/* The same from JSON objects, borrowed; `generation` may be NULL. */
struct cap_model *cap_model_parse(const json_t *config, const json_t *generation,
                                  struct cap_err *err);
void cap_model_free(struct cap_model *model);
CAP_DEFINE_AUTO(cap_model)

/* Layers with experts; the largest number of experts and top_k among them (0 when all are dense).
 */
int cap_model_moe_layers(const struct cap_model *model);
int cap_model_experts(const struct cap_model *model);
int cap_model_top_k(const struct cap_model *model);
bool cap_model_is_eos(const struct cap_model *model, int token);

#endif
