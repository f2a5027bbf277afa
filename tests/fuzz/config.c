/* config.json from a stranger: whatever is accepted must be safe to compute with. */
#include <stdint.h>

#include "model/cost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_err err = {0};
    json_t *config = json_loadb((const char *)data, size, 0, NULL);
    struct cap_model *model = json_is_object(config) ? cap_model_parse(config, config, &err) : NULL;
    struct cap_cost_format format = cap_cost_format_of(CAP_PRECISION_INT8, model->dtype);
    struct cap_cost_parameters parameters;

    if (model && model->layer_count <= 64) {
        cap_cost_parameters(model, &parameters);
        cap_cost_weight_bytes_per_token(model, &format);
        if (model->layers[0].attention.head_dim <= 256) {
            double frequencies[128];

            cap_rope_frequencies(&model->rope, model->layers[0].attention.head_dim, 100,
                                 frequencies);
        }
    }
    cap_model_free(model);
    json_decref(config);
    return 0;
}
