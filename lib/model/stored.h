/* stored.h — what the weights of a checkpoint are kept in, as its config.json says.
 *
 * A quantised checkpoint still has "torch_dtype": "bfloat16": it is what the rest is kept in. What
 * counts is quantization_config, wherever it stands and whether or not it names its method. Some
 * modules are left out of it; so each kind of weight has its own answer.
 *
 *     struct cap_stored stored;
 *     if (cap_stored_read(config, model, &stored, err))
 *         pass.format = stored.format;
 *
 * Pure; any thread.
 */
#ifndef CAP_STORED_H
#define CAP_STORED_H

#include <jansson.h>

#include "model/cost.h"

enum { CAP_STORED_NOTE_BYTES = 160 };

struct cap_stored {
    struct cap_cost_format format;
    enum cap_precision weights; /* of the experts; of a dense model, its MLPs */
    enum cap_precision cache;   /* what config.json asks for; else 16 bits, whatever weights are */
    bool quantised;
    char note[CAP_STORED_NOTE_BYTES]; /* how it was found out, for people */
};

/* `config` is the whole file, `model` its shape. Fails with a sentence when the file does not say,
 * in a way that is understood, what a kind of weight is kept in. */
bool cap_stored_read(const json_t *config, const struct cap_model *model, struct cap_stored *out,
                     struct cap_err *err);

/* The word for `weights`, of a config.json as text; "" when it does not say it. */
const char *cap_stored_precision(const char *config);

#endif
