/* `transformers serve`, and the same with Accelerate's device map. It refuses fields that it does
 * not know (422) and ignores others; what goes beyond them is a generation_config, a JSON text that
 * replaces the model's own. It keeps stop strings in the text, ends streams without a mark, and
 * computes prompts past its context for as long as they take. */
#include <stdlib.h>

#include "external/kind.h"

/* Greedy needs only temperature 0. Sampling is off unless do_sample says otherwise; an exact length
 * is a least number of tokens. */
static void set_generation(json_t *body, const struct infer_request *request)
{
    bool samples = request->temperature > 0;
    json_t *config = json_object();
    char *text;

    infer_kind_set_flag(config, "do_sample", samples);
    infer_kind_set_int(config, "max_new_tokens", request->max_tokens);
    if (request->ignore_eos)
        infer_kind_set_int(config, "min_new_tokens", request->max_tokens);
    if (samples) {
        infer_kind_set_real(config, "temperature", request->temperature);
        infer_kind_set_real(config, "top_p", request->top_p > 0 ? request->top_p : 1);
        infer_kind_set_int(config, "top_k", request->top_k);
    }
    text = json_dumps(config, JSON_COMPACT);
    json_object_set_new(body, "generation_config", json_string(text));
    free(text);
    json_decref(config);
}

static void set_fields(json_t *body, const struct infer_request *request)
{
    infer_kind_set_real(body, "frequency_penalty", 0); /* which it takes for a repetition penalty */
    if (request->ignore_eos || request->temperature > 0)
        set_generation(body, request);
}

#define TRANSFORMERS(kind_name)                                                                    \
    {                                                                                              \
        .name = kind_name, .speaks_as = "transformers", .ready_path = "/health",                   \
        .refuses_other_names = true, .accepts_overlong = true, .stop_max = INT32_MAX,              \
        .seed_max = UINT32_MAX, .set_fields = set_fields,                                          \
    }

const struct infer_external_kind infer_kind_transformers = TRANSFORMERS("transformers");
const struct infer_external_kind infer_kind_accelerate = TRANSFORMERS("accelerate");
