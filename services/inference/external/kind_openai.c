/* Any server that speaks OpenAI's HTTP: only what OpenAI's own API knows, and what was asked for
 * beyond it. A server that refuses such a field says so. */
#include "external/kind.h"

static void set_fields(json_t *body, const struct infer_request *request)
{
    if (request->top_k > 0)
        infer_kind_set_int(body, "top_k", request->top_k);
    if (request->ignore_eos)
        infer_kind_set_flag(body, "ignore_eos", true);
}

const struct infer_external_kind infer_kind_openai = {
    .name = "openai",
    .usage_on_request = true,
    .takes_token_ids = true,
    .stop_max = 4,
    .seed_max = INT64_MAX,
    .scoring = INFER_SCORING_ECHO,
    .set_fields = set_fields,
};
