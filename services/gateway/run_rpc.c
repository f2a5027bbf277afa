/* What is below /api/v1/runs/ID, and info. */
#include <string.h>

#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "table.h"
#include "wire/json.h"

enum { SAMPLES_MAX = 500, COUNTS_MAX = 20000, ID_BYTES_MAX = 64 };

static const char run_prefix[] = "/api/v1/runs/";
static const char *const no_parameters[] = {NULL};

static void answer(struct cap_http_request *http, bool ok, const ProtobufCMessage *reply,
                   const struct cap_err *err)
{
    if (ok)
        gate_reply_message(http, 200, reply);
    else
        gate_reply_error(http, err);
}

void gate_info(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__InfoReply *reply = NULL;
    struct cap_err err = {0};

    if (!gate_accept(http, no_parameters))
        return;
    bool ok =
        scheduler_rpc_info(service->scheduler, NULL, &request, cap_http_arena(http), &reply, &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

static void answer_run(struct cap_http_request *http, struct gate_service *service, char *id)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    request.run_id = id;
    ok = store_rpc_get_run(service->store, NULL, &request, cap_http_arena(http), &reply, &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

/* ---- experts ---- */

static const struct gate_column count_columns[] = {
    {"phase", "phase"},
    {"layer", "layer"},
    {"batch_bucket", "batch_bucket"},
    {"counts", "counts"},
};

static const struct gate_table count_table = {"experts", "counts", count_columns,
                                              CAP_COUNT_OF(count_columns), NULL};

static void answer_experts(struct cap_http_request *http, struct gate_service *service, char *id)
{
    Moecap__V1__GetExpertCountsRequest request = MOECAP__V1__GET_EXPERT_COUNTS_REQUEST__INIT;
    Moecap__V1__GetExpertCountsReply *reply = NULL;
    struct cap_err err = {0};

    request.run_id = id;
    request.after = gate_query_text(http, "after");
    if (gate_query_page(http, COUNTS_MAX, COUNTS_MAX, &request.limit, &err) &&
        store_rpc_get_expert_counts(service->store, NULL, &request, cap_http_arena(http), &reply,
                                    &err))
        gate_reply_table(http, &count_table, "", &reply->base);
    else
        gate_reply_error(http, &err);
}

/* ---- samples ---- */

static const struct gate_column sample_columns[] = {
    {"ordinal", "answer.ordinal"},
    {"uid", "answer.uid"},
    {"status", "answer.status"},
    {"error", "answer.error"},
    {"finish_reason", "answer.finish_reason"},
    {"prompt_tokens", "answer.prompt_tokens"},
    {"output_tokens", "answer.output_tokens"},
    {"cached_tokens", "answer.cached_tokens"},
    {"submitted_us", "answer.timing.submitted_us"},
    {"first_token_us", "answer.timing.first_token_us"},
    {"last_token_us", "answer.timing.last_token_us"},
    {"ended_us", "answer.timing.ended_us"},
    {"fence", "fence"},
    {"prompt", "answer.prompt"},
    {"text", "answer.text"},
    {"reasoning", "answer.reasoning"},
    {"doc_json", "doc_json"},
};

static const struct gate_group verdict_group = {"verdicts",
                                                "metric",
                                                {{"", "kind", NULL},
                                                 {"_score", "score", NULL},
                                                 {"_extracted", "extracted", NULL},
                                                 {"_reason", "reason", NULL},
                                                 {"_version", "version", NULL}}};

static const struct gate_table sample_table = {"samples", "samples", sample_columns,
                                               CAP_COUNT_OF(sample_columns), &verdict_group};

static bool read_samples(struct cap_http_request *http, Moecap__V1__ListSamplesRequest *request,
                         struct cap_err *err)
{
    static const char *const statuses[] = {"completed", "failed", NULL};
    int64_t after, routing;

    if (!gate_query_page(http, SAMPLES_MAX, 100, &request->limit, err) ||
        !gate_query_int(http, "after", 0, UINT32_MAX, -1, &after, err) ||
        !gate_query_int(http, "routing", 0, 1, 0, &routing, err) ||
        !gate_query_word(http, "verdict", verdict_kind_words, &request->verdict, err) ||
        !gate_query_word(http, "status", statuses, &request->status, err))
        return false;
    request->search = gate_query_text(http, "search");
    request->with_texts = request->with_gold = true; /* gold: once the run has ended */
    request->with_routing = routing == 1;
    if (after >= 0) {
        request->opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
        request->after_ordinal = (uint32_t)after;
    }
    return true;
}

static void answer_samples(struct cap_http_request *http, struct gate_service *service, char *id)
{
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    Moecap__V1__ListSamplesReply *reply = NULL;
    struct cap_err err = {0};

    request.run_id = id;
    if (read_samples(http, &request, &err) &&
        store_rpc_list_samples(service->store, NULL, &request, cap_http_arena(http), &reply, &err))
        gate_reply_table(http, &sample_table, "", &reply->base);
    else
        gate_reply_error(http, &err);
}

/* ---- the paths below a run ---- */

struct run_route {
    const char *rest; /* after the id */
    const char *const *parameters;
    void (*answer)(struct cap_http_request *http, struct gate_service *service, char *id);
};

static const char *const page_parameters[] = {"limit", "after", "format", NULL};
static const char *const sample_parameters[] = {"limit",  "after",   "verdict", "status",
                                                "search", "routing", "format",  NULL};

static const struct run_route run_routes[] = {
    {"", no_parameters, answer_run},
    {"/samples", sample_parameters, answer_samples},
    {"/experts", page_parameters, answer_experts},
    {"/events", page_parameters, gate_reply_events},
};

void gate_run(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    const char *id = cap_http_path(http) + strlen(run_prefix), *rest = strchrnul(id, '/');
    size_t length = (size_t)(rest - id);
    struct cap_err err = {0};

    for (size_t i = 0; i < CAP_COUNT_OF(run_routes); i++) {
        const struct run_route *route = &run_routes[i];

        if (strcmp(rest, route->rest) != 0 || length == 0 || length > ID_BYTES_MAX)
            continue;
        if (gate_accept(http, route->parameters))
            route->answer(http, service, cap_arena_strndup(cap_http_arena(http), id, length));
        return;
    }
    cap_fail(&err, CAP_NOT_FOUND, "%sID has no \"%.60s\"", run_prefix, *rest ? rest : id);
    gate_reply_error(http, &err);
}
