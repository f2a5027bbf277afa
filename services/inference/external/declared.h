/* declared.h — what the submitter says of a server's model: a config.json, for what no server
 * tells.
 *
 * Everything here is a declaration and is marked as such wherever it is shown. Families that
 * lib/model knows give parameters, too; of others the shape is read by the keys that lib/model
 * understands (model/shape.h), and what it does not understand is unknown with the reason.
 */
#ifndef INFER_DECLARED_H
#define INFER_DECLARED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/shape.h"

enum { INFER_DECLARED_FIELDS_MAX = 8, INFER_DECLARED_UNKNOWN_MAX = 3 };

struct infer_declared {
    bool given;
    char family[48];
    int layers, moe_layers, experts, top_k; /* 0 = not said */
    int context_tokens_max;                 /* 0 = not said */
    int64_t parameters, active_parameters;  /* -1 = not known */
    int moe_layer_ids[CAP_MODEL_LAYERS_MAX];
    /* why experts, top_k or moe_layers are not known, although the model has experts */
    char unknown[INFER_DECLARED_UNKNOWN_MAX][CAP_SHAPE_WHY_BYTES];
    int unknown_count;
    char why_no_parameters[200];
};

/* `config` is the text of a config.json; NULL or "" declares nothing. */
bool infer_declared_read(const char *config, struct infer_declared *out, struct cap_err *err);
/* Names of the report's fields that are declared; how many. */
int infer_declared_fields(const struct infer_declared *declared,
                          const char *out[INFER_DECLARED_FIELDS_MAX]);

#endif
