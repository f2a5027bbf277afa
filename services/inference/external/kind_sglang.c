/* SGLang. /health computes a token and is never asked; /ready is what we wait for. It answers any
 * model's name and echoes it, so the list is what we believe. */
#include "external/kind.h"

void infer_kind_sglang_fields(json_t *body, const struct infer_request *request)
{
    infer_kind_set_int(body, "top_k", request->top_k > 0 ? request->top_k : -1);
    infer_kind_set_neutral(body, request);
}

const struct infer_series infer_kind_sglang_series = {
    .running = "sglang:num_running_reqs",
    .waiting = "sglang:num_queue_reqs",
    .kv_share = "sglang:token_usage",
    .cached = "sglang:cached_tokens_total",
};

const struct infer_external_kind infer_kind_sglang = {
    .name = "sglang",
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
