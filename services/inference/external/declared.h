/* declared.h — what the submitter says of a server's model: a config.json, for what no server
 * tells.
 *
 * Everything here is a declaration and is marked as such wherever it is shown. Families that
 * lib/model knows give parameters, too; of others the shape is read by the usual keys.
 */
#ifndef INFER_DECLARED_H
#define INFER_DECLARED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* The submitter chooses the shape, and the node keeps counts of layers times experts: about three
 * times what the largest models have. */
enum {
    INFER_DECLARED_LAYERS_MAX = 1024,
    INFER_DECLARED_EXPERTS_MAX = 2048,
    INFER_DECLARED_FIELDS_MAX = 8,
};

struct infer_declared {
    bool given;
    char family[48];
    int layers, moe_layers, experts, top_k; /* 0 = not said */
    int context_tokens_max;                 /* 0 = not said */
    int64_t parameters, active_parameters;  /* -1 = not known */
    int moe_layer_ids[INFER_DECLARED_LAYERS_MAX];
    char why_no_parameters[200];
};

/* `config` is the text of a config.json; NULL or "" declares nothing. */
bool infer_declared_read(const char *config, struct infer_declared *out, struct cap_err *err);
/* Names of the report's fields that are declared; how many. */
int infer_declared_fields(const struct infer_declared *declared,
                          const char *out[INFER_DECLARED_FIELDS_MAX]);

#endif
