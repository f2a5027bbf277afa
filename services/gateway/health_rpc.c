/* GET /healthz: we live. GET /readyz: who of our neighbours answers, each asked for something that
 * it must look up. Without the scheduler or the store there is nothing we can do: 503. */
#include "moecap/v1/admin.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

enum { ASK_MS = 2000 };

static const struct cap_rpc_options soon = {.timeout_ms = ASK_MS};
static const char *const no_parameters[] = {NULL};

void gate_health(struct cap_http_request *http, void *self)
{
    (void)self;
    if (gate_accept(http, no_parameters))
        gate_reply_json(http, 200,
                        json_pack("{s:s,s:s}", "status", "serving", "version", MOECAP_VERSION));
}

static bool ask_scheduler(const struct gate_service *service, struct cap_arena *arena,
                          struct cap_err *err)
{
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply;

    request.limit = 1;
    return scheduler_rpc_list_queue(service->scheduler, &soon, &request, arena, &reply, err);
}

static bool ask_store(const struct gate_service *service, struct cap_arena *arena,
                      struct cap_err *err)
{
    Moecap__V1__ListTasksRequest request = MOECAP__V1__LIST_TASKS_REQUEST__INIT;
    Moecap__V1__ListTasksReply *reply;

    request.limit = 1;
    request.without_definition = true;
    return store_rpc_list_tasks(service->store, &soon, &request, arena, &reply, err);
}

static bool ask_evaluator(const struct gate_service *service, struct cap_arena *arena,
                          struct cap_err *err)
{
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ShowMetricsReply *reply;

    return admin_rpc_show_metrics(service->evaluator, &soon, &request, arena, &reply, err);
}

void gate_ready(struct cap_http_request *http, void *self)
{
    static const struct {
        const char *name;
        bool needed;
        bool (*ask)(const struct gate_service *service, struct cap_arena *arena,
                    struct cap_err *err);
    } neighbours[] = {
        {"scheduler", true, ask_scheduler},
        {"store", true, ask_store},
        {"evaluator", false, ask_evaluator},
    };
    json_t *list = json_array();
    bool ready = true;

    if (!gate_accept(http, no_parameters)) {
        json_decref(list);
        return;
    }
    for (size_t i = 0; i < CAP_COUNT_OF(neighbours); i++) {
        struct cap_err err = {0};
        bool ok = neighbours[i].ask(self, cap_http_arena(http), &err);

        ready = ready && (ok || !neighbours[i].needed);
        json_array_append_new(list,
                              json_pack("{s:s,s:b,s:b,s:s}", "name", neighbours[i].name, "needed",
                                        neighbours[i].needed, "answers", ok, "reason", err.text));
    }
    gate_reply_json(
        http, ready ? 200 : 503,
        json_pack("{s:s,s:o}", "status", ready ? "ready" : "not ready", "services", list));
}
