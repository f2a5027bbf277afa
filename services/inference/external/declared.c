#include "external/declared.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "model/cost.h"

enum { NUMBER_MAX = 1 << 30 };

/* ---- by the usual keys ---- */

static int number(const json_t *config, const char *const *names)
{
    for (; *names; names++) {
        json_int_t value = json_integer_value(json_object_get(config, *names));

        if (value > 0 && value <= NUMBER_MAX)
            return (int)value;
    }
    return 0;
}

#define NUMBER(config, ...) number(config, (const char *const[]){__VA_ARGS__, NULL})

static bool lists_layer(const json_t *list, int layer)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) if (json_integer_value(item) == layer) return true;
    return false;
}

/* The first ones may be dense, or all but every n-th, or those of a list. */
static bool has_experts(const json_t *config, int layer)
{
    int every = NUMBER(config, "decoder_sparse_step"),
        from_first = NUMBER(config, "moe_layer_freq");

    if (layer < NUMBER(config, "first_k_dense_replace") ||
        lists_layer(json_object_get(config, "mlp_only_layers"), layer))
        return false;
    if (every > 1)
        return (layer + 1) % every == 0;
    return from_first <= 1 || layer % from_first == 0;
}

static void read_layers(const json_t *config, struct infer_declared *out)
{
    for (int i = 0; i < out->layers && out->experts > 0; i++)
        if (has_experts(config, i))
            out->moe_layer_ids[out->moe_layers++] = i;
}

static bool read_shape(const json_t *config, struct infer_declared *out, struct cap_err *err)
{
    const char *family = json_string_value(json_object_get(config, "model_type"));

    snprintf(out->family, sizeof out->family, "%s", family ? family : "");
    cap_utf8_tidy(out->family);
    out->layers = NUMBER(config, "num_hidden_layers");
    out->experts = NUMBER(config, "num_experts", "n_routed_experts", "num_local_experts");
    out->top_k = NUMBER(config, "num_experts_per_tok", "num_experts_per_token", "moe_topk");
    out->context_tokens_max = NUMBER(config, "max_position_embeddings");
    if (out->layers == 0 || out->layers > INFER_DECLARED_LAYERS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "\"num_hidden_layers\" is not a number from 1 to %d",
                        INFER_DECLARED_LAYERS_MAX);
    if (out->experts > INFER_DECLARED_EXPERTS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d experts are more than %d", out->experts,
                        INFER_DECLARED_EXPERTS_MAX);
    if (out->top_k > out->experts)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d experts a token are more than all %d",
                        out->top_k, out->experts);
    read_layers(config, out);
    return true;
}

/* ---- parameters, of families that we know ---- */

/* How the weights are stored changes no count. */
static void read_parameters(const json_t *config, struct infer_declared *out)
{
    json_t *plain = json_deep_copy(config);
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = NULL;
    struct cap_cost_parameters parameters;

    json_object_del(plain, "quantization_config");
    model = cap_model_parse(plain, NULL, &err);
    json_decref(plain);
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
    const json_t *text;
    bool ok = true;

    if (declared.given) {
        json = json_loads(config, 0, &where);
        text = json_object_get(json, "text_config"); /* of models that also see */
        if (!json)
            ok = cap_fail(err, CAP_INVALID_ARGUMENT, "not JSON: line %d: %.120s", where.line,
                          where.text);
        else if (!json_is_object(json))
            ok = cap_fail(err, CAP_INVALID_ARGUMENT, "not a JSON object");
        else if ((ok = read_shape(text ? text : json, &declared, err)))
            read_parameters(text ? text : json, &declared);
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
        {declared->experts > 0, "moe_layers"},
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
