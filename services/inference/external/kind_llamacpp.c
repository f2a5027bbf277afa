/* llama.cpp's own server. Its sampling defaults are not neutral, so every field is sent; its prompt
 * cache is turned off, for a cached prompt is not a prefill. It answers any model's name. */
#include "external/kind.h"

static void set_fields(json_t *body, const struct infer_request *request)
{
    infer_kind_set_int(body, "top_k", request->top_k > 0 ? request->top_k : 0);
    infer_kind_set_real(body, "min_p", 0);
    infer_kind_set_real(body, "typical_p", 1);
    infer_kind_set_real(body, "repeat_penalty", 1);
    infer_kind_set_real(body, "presence_penalty", 0);
    infer_kind_set_real(body, "frequency_penalty", 0);
    infer_kind_set_flag(body, "cache_prompt", false);
    if (request->ignore_eos)
        infer_kind_set_flag(body, "ignore_eos", true);
}

static const struct infer_series series = {
    .running = "llamacpp:requests_processing",
    .waiting = "llamacpp:requests_deferred",
    .cached = "llamacpp:prompt_tokens_cached_total",
};

const struct infer_external_kind infer_kind_llamacpp = {
    .name = "llamacpp",
    .ready_path = "/health",
    .usage_on_request = true,
    .marks_end = true,
    .takes_token_ids = true,
    .stop_max = INT32_MAX,
    .seed_max = UINT32_MAX - 1, /* the largest means "any" */
    .series = &series,
    .set_fields = set_fields,
};
