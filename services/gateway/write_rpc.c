/* What changes something: submit and cancel. The body is the request message as JSON. */
#include <string.h>

#include "moecap/v1/scheduler.rpc.h"
#include "service.h"
#include "wire/json.h"

enum { JSON_FLAGS = JSON_REJECT_DUPLICATES };

static const char *const no_parameters[] = {NULL};

/* "application/json", with parameters or without. */
static bool is_json(const char *type)
{
    static const char json[] = "application/json";

    return type && strncasecmp(type, json, strlen(json)) == 0 &&
           strchr("; \t", type[strlen(json)]); /* or its end */
}

/* A page of another site can post forms and plain text without asking; JSON it cannot. */
static bool accept_post(struct cap_http_request *http)
{
    struct cap_err err = {0};

    if (!gate_accept(http, no_parameters))
        return false;
    if (is_json(cap_http_header(http, "Content-Type")))
        return true;
    gate_count(GATE_METRIC_refused_total, 1);
    cap_fail(&err, CAP_INVALID_ARGUMENT, "Content-Type must be application/json");
    gate_reply_error_as(http, 415, &err);
    return false;
}

/* The body as a message of that type; NULL with a sentence that names the field. */
static ProtobufCMessage *read_body(struct cap_http_request *http,
                                   const ProtobufCMessageDescriptor *type, struct cap_err *err)
{
    ProtobufCMessage *message;
    json_error_t error;
    size_t length;
    const char *body = cap_http_body(http, &length);
    json_t *json = json_loadb(body ? body : "", body ? length : 0, JSON_FLAGS, &error);

    if (!json) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "the body is not JSON: line %d, column %d: %s",
                 error.line, error.column, error.text);
        return NULL;
    }
    message = cap_wire_from_json(json, type, cap_http_arena(http), err);
    json_decref(json);
    return message;
}

void gate_submit(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    Moecap__V1__SubmitRequest *request;
    Moecap__V1__SubmitReply *reply;
    struct cap_rpc_faults faults = {0};
    const struct cap_rpc_options options = {.out_faults = &faults};
    struct cap_err err = {0};

    if (!accept_post(http))
        return;
    request =
        (Moecap__V1__SubmitRequest *)read_body(http, &moecap__v1__submit_request__descriptor, &err);
    if (request && scheduler_rpc_submit(service->scheduler, &options, request, cap_http_arena(http),
                                        &reply, &err))
        gate_reply_message(http, request->dry_run || reply->duplicate ? 200 : 201, &reply->base);
    else
        gate_reply_refusal(http, &err, &faults);
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
