/* Reads a declared config.json: the shape of any model, by lib/model's table of keys, and its
 * parameters where the family is known.
 * What the config does not say plainly is unknown, with the sentence that says why. */
#include "external/server.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/python_json.h"
#include "base/utf8.h"
#include "model/cost.h"

/* ---- the shape ---- */

static int known_or_0(const struct cap_known *number)
{
    return number->value > 0 ? number->value : 0;
}

static bool read_shape(const json_t *config, struct infer_declared *out, struct cap_err *err)
{
    struct cap_shape shape;
    const struct cap_known *const numbers[] = {&shape.experts, &shape.top_k, &shape.moe_layers};

    if (!cap_shape_read(config, &shape, err))
        return false;
    snprintf(out->family, sizeof out->family, "%s", shape.family);
    out->layers = shape.layers;
    out->context_tokens_max = shape.context_max;
    out->experts = known_or_0(&shape.experts);
    out->top_k = known_or_0(&shape.top_k);
    out->moe_layers = known_or_0(&shape.moe_layers);
    for (int i = 0; i < out->moe_layers; i++)
        out->moe_layer_ids[i] = shape.moe_layer_ids[i];
    for (size_t i = 0; i < CAP_COUNT_OF(numbers); i++)
        if (numbers[i]->value < 0)
            snprintf(out->unknown[out->unknown_count++], CAP_SHAPE_WHY_BYTES, "%s",
                     numbers[i]->why);
    return true;
}

/* ---- parameters, of families that we know ---- */

static void read_parameters(const json_t *config, struct infer_declared *out)
{
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = cap_shape_model(config, &err);
    struct cap_cost_parameters parameters;

    if (!model) {
        snprintf(out->why_no_parameters, sizeof out->why_no_parameters, "%.*s",
                 (int)sizeof out->why_no_parameters - 1, err.text);
        cap_utf8_tidy(out->why_no_parameters);
        return;
    }
    cap_cost_parameters(model, &parameters);
    out->parameters = parameters.total;
    out->active_parameters = parameters.active;
}

bool infer_declared_read(const char *config, struct infer_declared *out, struct cap_err *err)
{
    struct infer_declared declared = {
        .given = config && *config, .parameters = -1, .active_parameters = -1};
    json_error_t where;
    json_t *json;
    bool ok = true;

    if (declared.given) {
        size_t length;
        CAP_AUTO_MEM char *strict = cap_python_json(config, strlen(config), &length);

        json = json_loadb(strict, length, 0, &where);
        if (!json)
            ok = cap_fail(err, CAP_INVALID_ARGUMENT, "not JSON: line %d: %.120s", where.line,
                          where.text);
        else if (!json_is_object(json))
            ok = cap_fail(err, CAP_INVALID_ARGUMENT, "not a JSON object");
        else if ((ok = read_shape(json, &declared, err)))
            read_parameters(json, &declared);
        json_decref(json);
    }
    if (ok)
        *out = declared;
    return ok || cap_fail_in(err, "the declared config.json");
}

int infer_declared_fields(const struct infer_declared *declared,
                          const char *out[INFER_DECLARED_FIELDS_MAX])
{
    const struct {
        bool known;
        const char *name;
    } fields[] = {
        {*declared->family, "model_family"},
        {declared->moe_layers > 0, "moe_layers"},
        {declared->experts > 0, "experts"},
        {declared->top_k > 0, "top_k"},
        {declared->parameters >= 0, "parameters"},
        {declared->active_parameters >= 0, "active_parameters"},
    };
    int count = 0;

    for (size_t i = 0; declared->given && i < CAP_COUNT_OF(fields); i++)
        if (fields[i].known)
            out[count++] = fields[i].name;
    return count;
}
