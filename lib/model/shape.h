/* shape.h — the shape of any mixture-of-experts model, as its config.json tells it: how many
 * experts, how many for each token, and which layers have them.
 *
 * A family that our engine runs is described completely by model.h. This module reads far more
 * families and far less of each: what a figure needs when a server runs the model and the submitter
 * hands over its config.json. The families name these things differently (shape.c lists the keys),
 * and some leave them to their code. So each number is either read from a key whose meaning is
 * known, or it is unknown and says why. Nothing is guessed from a key's absence, unless the row of
 * the family says that its code has no such key.
 *
 *     struct cap_shape shape;
 *     if (cap_shape_read(config, &shape, err) && shape.moe_layers.value < 0)
 *         note("%s", shape.moe_layers.why);
 *
 * Pure; any thread.
 */
#ifndef CAP_SHAPE_H
#define CAP_SHAPE_H

#include <jansson.h>

#include "base/err.h"
#include "model/model.h"

enum { CAP_SHAPE_EXPERTS_MAX = 2048, CAP_SHAPE_WHY_BYTES = 200, CAP_SHAPE_FAMILY_BYTES = 48 };

/* A number, or the reason why it is unknown. */
struct cap_known {
    int value; /* -1: unknown */
    char why[CAP_SHAPE_WHY_BYTES];
};

struct cap_shape {
    char family[CAP_SHAPE_FAMILY_BYTES]; /* the model_type; "" = not said */
    int layers;
    int context_max;          /* 0 = not said */
    struct cap_known experts; /* that the router chooses from; 0: the model is dense */
    struct cap_known top_k;   /* chosen for each token; 0: the model is dense */
    struct cap_known shared;  /* that every token uses beside them */
    bool shared_said;         /* a key speaks of them, understood or not */
    struct cap_known moe_layers;
    int moe_layer_ids[CAP_MODEL_LAYERS_MAX]; /* [moe_layers.value] */
};

/* The part of a config.json that describes the language model: text_config and its like in models
 * that also see or hear, else the whole. */
const json_t *cap_shape_text_config(const json_t *config);

/* `config` is the whole file, an object. Fails when a number cannot be (no layers, more experts for
 * a token than there are); what is merely not said is unknown. */
bool cap_shape_read(const json_t *config, struct cap_shape *out, struct cap_err *err);
/* The same of DIR/config.json. */
bool cap_shape_open(const char *dir, struct cap_shape *out, struct cap_err *err);

/* Layers with the widths of their parts, for lib/model/cost.h: of every family in shapes.def,
 * whether our engine runs it or not. How the weights are stored is not looked at (stored.h). NULL
 * with a sentence when a number that is needed is not said, or the family is not known. Free with
 * cap_model_free. */
struct cap_model *cap_shape_model(const json_t *config, struct cap_err *err);
/* The same of DIR/config.json. */
struct cap_model *cap_shape_open_model(const char *dir, struct cap_err *err);

#endif
