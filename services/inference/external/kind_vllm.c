/* vLLM. Its defaults are the model's generation_config, so every sampling field is sent. Nothing
 * listens until the model is loaded; then /health answers 200 with an empty body, which does not
 * mean that the model can run: the warm-up request tells. */
#include "external/kind.h"

static void set_fields(json_t *body, const struct infer_request *request)
{
    infer_kind_set_int(body, "top_k", request->top_k > 0 ? request->top_k : 0);
    infer_kind_set_neutral(body, request);
}

static const struct infer_series series = {
    .running = "vllm:num_requests_running",
    .waiting = "vllm:num_requests_waiting",
    .kv_share = "vllm:kv_cache_usage_perc",
    .cached = "vllm:prompt_tokens_cached_total",
    .preempted = "vllm:num_preemptions_total",
};

const struct infer_external_kind infer_kind_vllm = {
    .name = "vllm",
    .ready_path = "/health",
    .version_path = "/version",
    .usage_on_request = true,
    .usage_in_every_chunk = true,
    .marks_end = true,
    .takes_token_ids = true,
    .stop_max = INT32_MAX,
    .seed_max = INT64_MAX,
    .scoring = INFER_SCORING_PROMPT_LOGPROBS,
    .routing = INFER_ROUTING_AGAIN,
    .series = &series,
    .set_fields = set_fields,
};
