/* Requests that are one call of a service: what a suite accepts, one run, submit, cancel. A body is
 * the request message as JSON; the answer is the reply message. */
#include <string.h>

#include "base/json_why.h"
#include "http/guard.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "spec/spec.h"
#include "wire/json.h"

enum { JSON_FLAGS = JSON_REJECT_DUPLICATES, ID_BYTES_MAX = 64 };

static const char run_prefix[] = "/api/v1/runs/";
static const char *const no_parameters[] = {NULL};

/* ---- reading ---- */

void gate_info(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__InfoReply *reply;
    struct cap_err err = {0};

    if (!gate_accept(http, no_parameters))
        return;
    if (scheduler_rpc_info(service->scheduler, NULL, &request, cap_http_arena(http), &reply, &err))
        gate_reply_message(http, 200, &reply->base);
    else
        gate_reply_error(http, &err);
}

static void answer_run(struct cap_http_request *http, struct gate_service *service, char *id)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply *reply;
    struct cap_err err = {0};

    request.run_id = id;
    if (!store_rpc_get_run(service->store, NULL, &request, cap_http_arena(http), &reply, &err)) {
        gate_reply_error(http, &err);
        return;
    }
    if (reply->row)
        cap_wire_add_accuracy(reply->row, cap_http_arena(http));
    gate_reply_message(http, 200, &reply->base);
}

/* The paths below a run; all but the run itself, cost, routing and pictures are lists. */
struct run_route {
    const char *rest; /* after the id */
    const char *const *parameters;
    void (*answer)(struct cap_http_request *http, struct gate_service *service, char *id);
};

static const char *const page_parameters[] = {"limit", "after", "format", NULL};
static const char *const sample_parameters[] = {"limit",  "after",   "verdict", "status",
                                                "search", "routing", "format",  NULL};

static const char plot_path[] = "/plot/"; /* and the name of a picture */

static const struct run_route run_routes[] = {
    {"", no_parameters, answer_run},
    {"/samples", sample_parameters, gate_run_samples},
    {"/experts", page_parameters, gate_run_experts},
    {"/events", page_parameters, gate_run_events},
    {"/cost", gate_cost_parameters, gate_run_cost},
    {"/routing", gate_routing_parameters, gate_run_routing},
    {plot_path, gate_run_plot_parameters, gate_run_plot},
};

static bool leads_to(const struct run_route *route, const char *rest)
{
    size_t length = strlen(plot_path);

    return route->rest == plot_path
               ? strncmp(rest, plot_path, length) == 0 && !strchr(rest + length, '/')
               : strcmp(rest, route->rest) == 0;
}

void gate_run(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    const char *id = cap_http_path(http) + strlen(run_prefix), *rest = strchrnul(id, '/');
    size_t length = (size_t)(rest - id);
    struct cap_err err = {0};

    for (size_t i = 0; i < CAP_COUNT_OF(run_routes); i++) {
        const struct run_route *route = &run_routes[i];

        if (!leads_to(route, rest) || length == 0 || length > ID_BYTES_MAX)
            continue;
        if (gate_accept(http, route->parameters))
            route->answer(http, service, cap_arena_strndup(cap_http_arena(http), id, length));
        return;
    }
    cap_fail(&err, CAP_NOT_FOUND, "%sID has no \"%.60s\"", run_prefix, *rest ? rest : id);
    gate_reply_error(http, &err);
}

/* ---- changing ---- */

/* A page of another site can post forms and plain text without asking; JSON it cannot. */
static bool accept_post(struct cap_http_request *http)
{
    struct cap_err err = {0};

    if (!gate_accept(http, no_parameters))
        return false;
    if (cap_http_is_json(http))
        return true;
    gate_count(GATE_METRIC_refused_total, 1);
    cap_fail(&err, CAP_INVALID_ARGUMENT, "Content-Type must be application/json");
    gate_reply_error_as(http, 415, &err);
    return false;
}

static json_t *read_json(struct cap_http_request *http, struct cap_err *err)
{
    json_error_t error;
    char why[JSON_ERROR_TEXT_LENGTH];
    size_t length;
    const char *body = cap_http_body(http, &length);
    json_t *json = json_loadb(body ? body : "", body ? length : 0, JSON_FLAGS, &error);

    if (!json)
        cap_fail(err, CAP_INVALID_ARGUMENT, "the body is not JSON: %s",
                 cap_json_why(&error, why, sizeof why));
    return json;
}

/* The body as a message of that type; NULL with a sentence that names the field. */
static ProtobufCMessage *read_body(struct cap_http_request *http,
                                   const ProtobufCMessageDescriptor *type, struct cap_err *err)
{
    json_t *json = read_json(http, err);
    ProtobufCMessage *message =
        json ? cap_wire_from_json(json, type, cap_http_arena(http), err) : NULL;

    json_decref(json);
    return message;
}

/* The evaluation is read by the table of knobs, which tells every wrong value, and the rest as any
 * message. NULL with a sentence when nothing can be asked of the scheduler. */
static Moecap__V1__SubmitRequest *read_submission(struct cap_http_request *http,
                                                  struct cap_spec_faults *io_faults,
                                                  struct cap_err *err)
{
    json_t *json = read_json(http, err), *spec = json_incref(json_object_get(json, "spec"));
    Moecap__V1__SubmitRequest *request = NULL;

    json_object_del(json, "spec");
    if (json)
        request = (Moecap__V1__SubmitRequest *)cap_wire_from_json(
            json, &moecap__v1__submit_request__descriptor, cap_http_arena(http), err);
    if (request && json_is_object(spec))
        request->spec = cap_spec_from_json(spec, cap_http_arena(http), io_faults);
    else if (request && spec && !json_is_null(spec)) {
        cap_fail_field(err, CAP_INVALID_ARGUMENT, "spec", "spec: expected an object");
        request = NULL;
    }
    if (request && io_faults->count > 0)
        request->dry_run = true; /* for what the scheduler has to say of the rest */
    json_decref(spec);
    json_decref(json);
    return request;
}

static void reply_faults(struct cap_http_request *http, const struct cap_spec_faults *faults)
{
    struct cap_rpc_fault items[CAP_SPEC_FAULTS_MAX];
    struct cap_err err = {0};

    for (size_t i = 0; i < faults->count; i++)
        items[i] = (struct cap_rpc_fault){faults->items[i].field, faults->items[i].sentence};
    cap_spec_faults_fail(faults, &err);
    gate_reply_refusal(http, &err, &(struct cap_rpc_faults){items, faults->count});
}

void gate_submit(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__SubmitRequest *request;
    Moecap__V1__SubmitReply *reply;
    struct cap_spec_faults faults = {.count = 0};
    struct cap_rpc_faults told = {0};
    const struct cap_rpc_options options = {.out_faults = &told};
    struct cap_err err = {0};
    bool ok;

    if (!accept_post(http))
        return;
    request = read_submission(http, &faults, &err);
    ok = request && scheduler_rpc_submit(service->scheduler, &options, request,
                                         cap_http_arena(http), &reply, &err);
    for (size_t i = 0; i < told.count; i++)
        cap_spec_add_told(&faults, err.code, told.items[i].field, told.items[i].sentence);
    if (faults.count > 0)
        reply_faults(http, &faults);
    else if (ok)
        gate_reply_message(http, request->dry_run || reply->duplicate ? 200 : 201, &reply->base);
    else
        gate_reply_refusal(http, &err, &told);
}

void gate_cancel(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__CancelRequest *request;
    Moecap__V1__CancelReply *reply;
    struct cap_err err = {0};

    if (!accept_post(http))
        return;
    request =
        (Moecap__V1__CancelRequest *)read_body(http, &moecap__v1__cancel_request__descriptor, &err);
    if (request &&
        scheduler_rpc_cancel(service->scheduler, NULL, request, cap_http_arena(http), &reply, &err))
        gate_reply_message(http, 200, &reply->base);
    else
        gate_reply_error(http, &err);
}

/* Changes nothing; a POST because a config.json has no room in an address. */
void gate_estimate(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__EstimateRequest *request;
    Moecap__V1__EstimateReply *reply;
    struct cap_rpc_faults told = {0};
    const struct cap_rpc_options options = {.out_faults = &told};
    struct cap_err err = {0};

    if (!accept_post(http))
        return;
    request = (Moecap__V1__EstimateRequest *)read_body(
        http, &moecap__v1__estimate_request__descriptor, &err);
    if (request && evaluator_rpc_estimate(service->evaluator, &options, request,
                                          cap_http_arena(http), &reply, &err))
        gate_reply_message(http, 200, &reply->base);
    else
        gate_reply_refusal(http, &err, &told);
}
