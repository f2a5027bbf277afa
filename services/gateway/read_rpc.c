/* What can be read: each route is one call of a service, its reply as JSON. */
#include <stdio.h>
#include <string.h>

#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "wire/json.h"

enum { BOARD_ROWS_MAX = 1000, SAMPLES_MAX = 500, ID_BYTES_MAX = 64 };

static const char run_prefix[] = "/api/v1/runs/";

static char *query(struct cap_http_request *http, const char *name)
{
    const char *value = cap_http_query(http, name);

    return (char *)(value ? value : "");
}

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

    if (!gate_guard(http, service))
        return;
    bool ok =
        scheduler_rpc_info(service->scheduler, NULL, &request, cap_http_arena(http), &reply, &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}

void gate_board(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *reply = NULL;
    struct cap_err err = {0};
    int64_t limit, all;
    bool ok;

    if (!gate_guard(http, service))
        return;
    ok = gate_query_int(http, "limit", 1, BOARD_ROWS_MAX, BOARD_ROWS_MAX, &limit, &err) &&
         gate_query_int(http, "all", 0, 1, 0, &all, &err);
    if (ok) {
        request.model = query(http, "model");
        request.task = query(http, "task");
        request.engine = query(http, "engine");
        request.evaluation_id = query(http, "evaluation");
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
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    Moecap__V1__ListSamplesReply *reply = NULL;
    struct cap_err err = {0};
    int64_t limit, after, routing;
    bool ok = gate_query_int(http, "limit", 1, SAMPLES_MAX, 100, &limit, &err) &&
              gate_query_int(http, "after", 0, UINT32_MAX, -1, &after, &err) &&
              gate_query_int(http, "routing", 0, 1, 0, &routing, &err);

    if (ok) {
        request.run_id = id;
        request.limit = (uint32_t)limit;
        request.verdict = query(http, "verdict");
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

void gate_run(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    const char *rest = cap_http_path(http) + strlen(run_prefix), *slash = strchr(rest, '/');
    size_t length = slash ? (size_t)(slash - rest) : strlen(rest);
    struct cap_err err = {0};
    char *id;

    if (!gate_guard(http, service))
        return;
    id = length > 0 && length <= ID_BYTES_MAX
             ? cap_arena_strndup(cap_http_arena(http), rest, length)
             : NULL;
    if (id && !slash)
        answer_run(http, service, id);
    else if (id && strcmp(slash, "/samples") == 0)
        answer_samples(http, service, id);
    else if (id && strcmp(slash, "/experts") == 0)
        answer_experts(http, service, id);
    else {
        cap_fail(&err, CAP_NOT_FOUND, "%sID has no \"%.60s\"", run_prefix, slash ? slash : rest);
        gate_reply_error(http, &err);
    }
}

void gate_queue(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    if (!gate_guard(http, service))
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

    if (!gate_guard(http, service))
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

    if (!gate_guard(http, service))
        return;
    ok = store_rpc_list_tasks(service->store, NULL, &request, cap_http_arena(http), &reply, &err);
    answer(http, ok, ok ? &reply->base : NULL, &err);
}
