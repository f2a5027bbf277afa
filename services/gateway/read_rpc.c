/* What can be read: each route is one call of a service, its reply as JSON. */
#include <stdio.h>
#include <string.h>

#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "wire/json.h"

enum { BOARD_ROWS_MAX = 1000, SAMPLES_MAX = 500, ID_BYTES_MAX = 64 };

static const char run_prefix[] = "/api/v1/runs/";
static const char *const no_parameters[] = {NULL};

static void answer(struct cap_http_request *http, bool ok, const ProtobufCMessage *reply,
                   const struct cap_err *err)
{
    if (ok)
        gate_reply_json(http, 200, cap_wire_to_json(reply));
    else
        gate_reply_error(http, err);
}

void gate_info(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__InfoReply *reply = NULL;
    struct cap_err err = {0};

    if (!gate_accept(http, service, no_parameters))
        return;
    bool ok =
        scheduler_rpc_info(service->scheduler, NULL, &request, cap_http_arena(http), &reply, &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

void gate_board(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"model", "task", "engine", "evaluation",
                                             "limit", "all",  NULL};
    struct gate_service *service = self;
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *reply = NULL;
    struct cap_err err = {0};
    int64_t limit, all;
    bool ok;

    if (!gate_accept(http, service, parameters))
        return;
    ok = gate_query_int(http, "limit", 1, BOARD_ROWS_MAX, BOARD_ROWS_MAX, &limit, &err) &&
         gate_query_int(http, "all", 0, 1, 0, &all, &err);
    if (ok) {
        request.model = gate_query_text(http, "model");
        request.task = gate_query_text(http, "task");
        request.engine = gate_query_text(http, "engine");
        request.evaluation_id = gate_query_text(http, "evaluation");
        request.limit = (uint32_t)limit;
        request.with_unfinished = all == 1;
        ok = store_rpc_board(service->store, NULL, &request, cap_http_arena(http), &reply, &err);
    }
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

static void answer_experts(struct cap_http_request *http, struct gate_service *service, char *id)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetExpertCountsReply *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    request.run_id = id;
    ok = store_rpc_get_expert_counts(service->store, NULL, &request, cap_http_arena(http), &reply,
                                     &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

/* One keyset page: ?after=ORDINAL&limit=N&verdict=correct|wrong|undecided&routing=1; gold once the
 * run has ended. */
static void answer_samples(struct cap_http_request *http, struct gate_service *service, char *id)
{
    static const char *const verdicts[] = {"correct", "wrong", "undecided", NULL};
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    Moecap__V1__ListSamplesReply *reply = NULL;
    struct cap_err err = {0};
    int64_t limit, after, routing;
    char *verdict;
    bool ok = gate_query_int(http, "limit", 1, SAMPLES_MAX, 100, &limit, &err) &&
              gate_query_int(http, "after", 0, UINT32_MAX, -1, &after, &err) &&
              gate_query_int(http, "routing", 0, 1, 0, &routing, &err) &&
              gate_query_word(http, "verdict", verdicts, &verdict, &err);

    if (ok) {
        request.run_id = id;
        request.limit = (uint32_t)limit;
        request.verdict = verdict;
        request.with_texts = request.with_gold = true;
        request.with_routing = routing == 1;
        if (after >= 0) {
            request.opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
            request.after_ordinal = (uint32_t)after;
        }
        ok = store_rpc_list_samples(service->store, NULL, &request, cap_http_arena(http), &reply,
                                    &err);
    }
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

/* One of the paths below a run. */
struct run_route {
    const char *rest; /* after the id */
    const char *const *parameters;
    void (*answer)(struct cap_http_request *http, struct gate_service *service, char *id);
};

static const char *const sample_parameters[] = {"limit", "after", "verdict", "routing", NULL};

static const struct run_route run_routes[] = {
    {"", no_parameters, answer_run},
    {"/samples", sample_parameters, answer_samples},
    {"/experts", no_parameters, answer_experts},
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
        if (gate_accept(http, service, route->parameters))
            route->answer(http, service, cap_arena_strndup(cap_http_arena(http), id, length));
        return;
    }
    if (!gate_guard(http, service))
        return;
    cap_fail(&err, CAP_NOT_FOUND, "%sID has no \"%.60s\"", run_prefix, *rest ? rest : id);
    gate_reply_error(http, &err);
}

void gate_queue(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    if (!gate_accept(http, service, no_parameters))
        return;
    request.limit = BOARD_ROWS_MAX;
    ok = scheduler_rpc_list_queue(service->scheduler, NULL, &request, cap_http_arena(http), &reply,
                                  &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

void gate_nodes(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ListNodesReply *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    if (!gate_accept(http, service, no_parameters))
        return;
    ok = scheduler_rpc_list_nodes(service->scheduler, NULL, &request, cap_http_arena(http), &reply,
                                  &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

void gate_tasks(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ListTasksReply *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    if (!gate_accept(http, service, no_parameters))
        return;
    ok = store_rpc_list_tasks(service->store, NULL, &request, cap_http_arena(http), &reply, &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}
