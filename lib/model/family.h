/* family.h — one row per architecture: how its config.json becomes a description. Inside lib/model.
 *
 * To add a family: write its `read`, which fills the layers' parts, and add a row in families.c. A
 * part that no family has used yet gets a kind in model.h and its place in the engine's forward.
 */
#ifndef CAP_FAMILY_H
#define CAP_FAMILY_H

#include "model/model.h"

struct cap_family {
    const char *model_type;
    const char *architecture;
    /* Everything that is the same in all families is already there; layers are allocated. */
    bool (*read)(const json_t *config, struct cap_model *model, struct cap_err *err);
};

/* By model_type, or by the architecture's name when there is no model_type. NULL = not supported.
 */
const struct cap_family *cap_family_find(const char *model_type, const char *architecture);
const struct cap_family *cap_family_at(int index);

/* rope_read.c: either spelling. context_max stands in for an absent original length. */
bool cap_rope_read(const json_t *config, int context_max, struct cap_rope *out_rope,
                   struct cap_err *err);

#endif
