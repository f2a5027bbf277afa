/* GET /api/v1/runs/ID/routing?with=ID: which experts this run and another one chose. */
#include "moecap/v1/scheduler.rpc.h"
#include "service.h"

const char *const gate_routing_parameters[] = {"with", "same_model", NULL};

static bool read_query(struct cap_http_request *http, Moecap__V1__CompareRoutingRequest *request,
                       struct cap_err *err)
{
    int64_t same;

    request->run_b = gate_query_text(http, "with");
    if (!*request->run_b)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "with", "with: name the other run");
    if (!gate_query_int(http, "same_model", 0, 1, 0, &same, err))
        return false;
    request->same_model = same == 1;
    return true;
}

void gate_run_routing(struct cap_http_request *http, struct gate_service *service, char *run_id)
{
    Moecap__V1__CompareRoutingRequest request = MOECAP__V1__COMPARE_ROUTING_REQUEST__INIT;
    Moecap__V1__RoutingComparison *reply = NULL;
    struct cap_err err = {0};

    request.run_a = run_id;
    if (read_query(http, &request, &err) &&
        scheduler_rpc_compare_routing(service->scheduler, NULL, &request, cap_http_arena(http),
                                      &reply, &err))
        gate_reply_message(http, 200, &reply->base);
    else
        gate_reply_error(http, &err);
}
