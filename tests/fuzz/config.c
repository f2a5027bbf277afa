/* config.json from a stranger: whatever is accepted must be safe to compute with. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/python_json.h"
#include "estimate/estimate.h"
#include "model/cost.h"
#include "model/shape.h"

static void compute(const struct cap_model *model)
{
    struct cap_cost_format format = cap_cost_format_of(CAP_PRECISION_INT8, model->dtype);
    struct cap_cost_parameters parameters;

    if (model->layer_count > 64)
        return;
    cap_cost_parameters(model, &parameters);
    cap_cost_weight_bytes_per_token(model, &format);
    if (model->layers[0].attention.head_dim <= 256) {
        double frequencies[128];

        cap_rope_frequencies(&model->rope, model->layers[0].attention.head_dim, 100, frequencies);
    }
}

/* Costs of every family are counted from it, and what weights are stored in. */
static void estimate(const json_t *config)
{
    struct cap_estimate_ask ask = {.config = config,
                                   .hardware = "8x H100-SXM",
                                   .batch = CAP_ESTIMATE_BATCH_MAX,
                                   .context = CAP_ESTIMATE_CONTEXT_MAX,
                                   .activated = -1,
                                   .step_time_s = 1,
                                   .prefill = true};
    struct cap_estimate out;
    struct cap_err err = {0};

    if (!cap_estimate_make(&ask, &out, &err))
        return;
    for (int i = 0; i < CAP_ESTIMATE_COUNT; i++)
        if (out.figures[i].known && !(out.figures[i].value >= 0 && isfinite(out.figures[i].value)))
            abort();
}

static void check_shape(const json_t *config)
{
    struct cap_err err = {0};
    struct cap_shape shape;

    if (!cap_shape_read(config, &shape, &err))
        return;
    if (shape.moe_layers.value > shape.layers || shape.top_k.value > CAP_SHAPE_EXPERTS_MAX)
        abort();
    for (int i = 0; i < shape.moe_layers.value; i++)
        if (shape.moe_layer_ids[i] < 0 || shape.moe_layer_ids[i] >= shape.layers)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_err err = {0};
    size_t length;
    CAP_AUTO_MEM char *strict = cap_python_json((const char *)data, size, &length);
    json_t *config = json_loadb(strict, length, 0, NULL);
    struct cap_model *model = json_is_object(config) ? cap_model_parse(config, config, &err) : NULL;

    if (json_is_object(config))
        check_shape(config);
    if (json_is_object(config))
        estimate(config);
    if (model)
        compute(model);
    cap_model_free(model);
    json_decref(config);
    return 0;
}
