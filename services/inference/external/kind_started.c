/* Engines that we could not run ourselves yet: the node starts them by a command of its own
 * configuration, or a URL is given; what they speak is OpenAI's HTTP, KTransformers SGLang's. */
#include "external/kind.h"

static void set_fields(json_t *body, const struct infer_request *request)
{
    infer_kind_openai.set_fields(body, request);
}

const struct infer_external_kind infer_kind_ktransformers = {
    .name = "ktransformers",
    .speaks_as = "sglang",
    .ready_path = "/ready",
    .version_path = "/server_info",
    .usage_on_request = true,
    .marks_end = true,
    .takes_token_ids = true,
    .stop_max = INT32_MAX,
    .seed_max = INT64_MAX,
    .scoring = INFER_SCORING_ECHO,
    .routing = INFER_ROUTING_IN_STREAM,
    .series = &infer_kind_sglang_series,
    .set_fields = infer_kind_sglang_fields,
};

#define GENERIC(kind_name)                                                                         \
    {                                                                                              \
        .name = kind_name, .usage_on_request = true, .takes_token_ids = true, .stop_max = 4,       \
        .seed_max = INT64_MAX, .scoring = INFER_SCORING_ECHO, .set_fields = set_fields,            \
    }

const struct infer_external_kind infer_kind_moe_infinity = GENERIC("moe-infinity");
const struct infer_external_kind infer_kind_moe_gen = GENERIC("moe-gen");
const struct infer_external_kind infer_kind_tensorrt_llm = GENERIC("tensorrt-llm");
