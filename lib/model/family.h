/* family.h — one row for each architecture: its parts, their keys, the names of its tensors; and
 * how keys and parts are read. Inside lib/model.
 *
 * To add a family whose parts exist: a file with its row (qwen3_moe.c is the example), and the
 * row's address in families.c. A part that no family has used yet gets a kind in model.h, its
 * weights become rows of weights.c, and the engine's forward pass learns the kind.
 * docs/adding-a-family.md walks through both.
 *
 * Which layers have experts is read by shape.h, the same for all families.
 */
#ifndef CAP_FAMILY_H
#define CAP_FAMILY_H

#include "model/model.h"
#include "model/weights.h"

/* `%l` and `%e` in the pattern stand for layer and expert. */
struct cap_weight_name {
    enum cap_weight weight;
    const char *pattern;
};

struct cap_family {
    const char *model_type;
    const char *architecture;
    /* The part of one layer. Everything that all families share is already in `model`. */
    bool (*read_attention)(const json_t *config, const struct cap_model *model, int layer,
                           struct cap_model_attention *out, struct cap_err *err);
    /* Of the layers that have experts. CAP_ROUTER_NONE: no layer has any. */
    bool (*read_router)(const json_t *config, struct cap_model_router *out, struct cap_err *err);
    const char *expert_inner_key, *dense_inner_key; /* widths of the MLPs */
    /* tensors that it calls otherwise than the table of weights.c, up to {0}; NULL: none */
    const struct cap_weight_name *names;
};

/* Ends with NULL. */
extern const struct cap_family *const cap_families[];

extern const struct cap_family cap_family_qwen3_moe;

/* ---- keys.c: keys of config.json by their type, with bounds and sentences ----
 *
 * A key that is absent or null leaves `*out` as it was: callers put the default there first, or ask
 * cap_keys_need beforehand.
 */

/* DIR/NAME as an object, the caller's reference; read as Python's json reads it (python_json.h).
 * NULL with a sentence: no regular file, no JSON, no object. */
json_t *cap_keys_read_file(const char *dir, const char *name, struct cap_err *err);

bool cap_keys_has(const json_t *object, const char *key);
/* Fails when the key is absent or null. */
bool cap_keys_need(const json_t *object, const char *key, struct cap_err *err);

bool cap_keys_int(const json_t *object, const char *key, int min, int max, int *out,
                  struct cap_err *err);
bool cap_keys_need_int(const json_t *object, const char *key, int min, int max, int *out,
                       struct cap_err *err);
bool cap_keys_double(const json_t *object, const char *key, double min, double max, double *out,
                     struct cap_err *err);
bool cap_keys_bool(const json_t *object, const char *key, bool *out, struct cap_err *err);
/* Borrowed from the object. */
bool cap_keys_string(const json_t *object, const char *key, const char **out, struct cap_err *err);

/* ---- keys.c: the parts that families share ---- */

/* Grouped-query attention with rotary positions; the family adds window, norms and biases. */
bool cap_part_gqa(const json_t *config, const struct cap_model *model,
                  struct cap_model_attention *out, struct cap_err *err);
/* sliding_window, the same for every layer. Off unless `switch_key` (NULL: there is none) is true;
 * `absent` is its width when the file does not say one. */
bool cap_part_window(const json_t *config, const char *switch_key, int absent, int *out_window,
                     struct cap_err *err);
/* Softmax over all experts, the num_experts_per_tok largest. */
bool cap_part_softmax_router(const json_t *config, const char *experts_key, bool renormalize,
                             struct cap_model_router *out, struct cap_err *err);

/* rope.c: either spelling. context_max stands in for an absent original length. */
bool cap_rope_read(const json_t *config, int context_max, struct cap_rope *out_rope,
                   struct cap_err *err);

#endif
