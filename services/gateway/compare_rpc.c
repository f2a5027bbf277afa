/* GET /api/v1/compare?runs=A,B: two runs on the same samples, B against A.
 * GET /api/v1/repeats?evaluation=ID: repeats of a task together, with an interval over runs. */
#include <string.h>

#include "moecap/v1/scheduler.rpc.h"
#include "service.h"

void gate_compare(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"runs", NULL};
    struct gate_service *service = self;
    Moecap__V1__CompareRunsRequest request = MOECAP__V1__COMPARE_RUNS_REQUEST__INIT;
    Moecap__V1__CompareReply *reply;
    struct cap_err err = {0};
    char *runs, *second;

    if (!gate_accept(http, parameters))
        return;
    runs = cap_arena_strdup(cap_http_arena(http), gate_query_text(http, "runs"));
    second = runs ? strchr(runs, ',') : NULL;
    if (!second || second == runs || !second[1] || strchr(second + 1, ',')) {
        cap_fail_field(&err, CAP_INVALID_ARGUMENT, "runs",
                       "runs: expected two runs, as in runs=run-a,run-b");
        gate_reply_error(http, &err);
        return;
    }
    *second = '\0';
    request.run_a = runs;
    request.run_b = second + 1;
    if (scheduler_rpc_compare(service->scheduler, NULL, &request, cap_http_arena(http), &reply,
                              &err))
        gate_reply_message(http, 200, &reply->base);
    else
        gate_reply_error(http, &err);
}

void gate_repeats(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"evaluation", NULL};
    struct gate_service *service = self;
    Moecap__V1__RepeatsOfRequest request = MOECAP__V1__REPEATS_OF_REQUEST__INIT;
    Moecap__V1__RepeatsOfReply *reply;
    struct cap_err err = {0};

    if (!gate_accept(http, parameters))
        return;
    request.evaluation_id = gate_query_text(http, "evaluation");
    if (!*request.evaluation_id)
        cap_fail_field(&err, CAP_INVALID_ARGUMENT, "evaluation",
                       "evaluation: expected an id, as in evaluation=eval-k3v5n7x2m4p8q9wz");
    else if (scheduler_rpc_repeats(service->scheduler, NULL, &request, cap_http_arena(http), &reply,
                                   &err)) {
        gate_reply_message(http, 200, &reply->base);
        return;
    }
    gate_reply_error(http, &err);
}
