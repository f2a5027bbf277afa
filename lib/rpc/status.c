/* How a call ended, on the wire and in sentences: a status with its details (google.rpc.Status),
 * and among them the fields of the request that are wrong (google.rpc.BadRequest). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "google/protobuf/any.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/inside.h"

/* ---- the server's side: google.rpc.Status ---- */

static Google__Rpc__Status *rich_status(struct cap_rpc_call *call)
{
    Google__Rpc__Status *status = call->rich_status;

    if (status)
        return status;
    status = cap_arena_alloc(call->arena, sizeof *status);
    if (!status)
        return NULL;
    google__rpc__status__init(status);
    status->details = cap_arena_array(call->arena, DETAILS_MAX, sizeof *status->details);
    return call->rich_status = status->details ? status : NULL;
}

/* "type.googleapis.com/NAME", as every google.protobuf.Any spells it. */
static Google__Protobuf__Any *pack_any(const ProtobufCMessage *message, struct cap_arena *arena)
{
    Google__Protobuf__Any *any = cap_arena_alloc(arena, sizeof *any);
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = length <= STATUS_DETAIL_BYTES_MAX ? cap_arena_alloc(arena, length + 1) : NULL;

    if (!any || !bytes)
        return NULL;
    google__protobuf__any__init(any);
    any->type_url = cap_arena_printf(arena, "type.googleapis.com/%s", message->descriptor->name);
    any->value = (ProtobufCBinaryData){length, bytes};
    protobuf_c_message_pack(message, bytes);
    return any->type_url ? any : NULL;
}

void cap_rpc_detail(struct cap_rpc_call *call, const ProtobufCMessage *detail)
{
    Google__Rpc__Status *status = rich_status(call);
    Google__Protobuf__Any *any = status ? pack_any(detail, call->arena) : NULL;

    if (!any || status->n_details == DETAILS_MAX)
        return;
    status->details[status->n_details++] = any;
    if (google__rpc__status__get_packed_size(status) > STATUS_DETAIL_BYTES_MAX)
        status->n_details--;
}

void rpc_status_add_trailer_locked(struct cap_rpc_call *call, const struct cap_err *err)
{
    uint8_t packed[STATUS_DETAIL_BYTES_MAX + CAP_ERR_TEXT_BYTES_MAX + 32];
    Google__Rpc__Status *status = call->rich_status;

    if (!status || err->code == CAP_OK)
        return;
    status->code = (int32_t)err->code;
    status->message = (char *)err->text;
    if (google__rpc__status__get_packed_size(status) <= sizeof packed)
        rpc_metadata_add(&call->trailers, "grpc-status-details-bin", packed,
                         google__rpc__status__pack(status, packed));
}

/* ---- the client's side: sentences ---- */

/* gRPC's own texts; what a server says itself passes unchanged. */
static const struct {
    enum cap_code code;
    const char *core_text; /* or its beginning */
    const char *before, *after;
} core_texts[] = {
    {CAP_DEADLINE_EXCEEDED, "Deadline Exceeded", "the ", " does not respond"},
    {CAP_CANCELLED, "CANCELLED", "", " was cancelled"},
    {CAP_CANCELLED, "Cancelled", "", " was cancelled"},
    {CAP_UNAVAILABLE, "failed to connect", "could not reach ", ""},
    {CAP_UNAVAILABLE, "DNS resolution failed", "could not find ", ""},
    {CAP_UNAVAILABLE, "Socket closed", "the connection to ", " was lost"},
    {CAP_UNAVAILABLE, "recvmsg:", "the connection to ", " was lost"},
    {CAP_UNAVAILABLE, "sendmsg:", "the connection to ", " was lost"},
    {CAP_UNAVAILABLE, "keepalive watchdog timeout", "", " is silent"},
    {CAP_UNAVAILABLE, "Cancelling all calls", "", " is shutting down"},
    {CAP_UNAVAILABLE, "Server shutdown", "", " is shutting down"},
};

/* "/moecap.v1.Scheduler/ListQueue" -> "scheduler" */
static void name_service(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *method = slash ? slash : path, *name = method;

    while (name > path && name[-1] != '.' && name[-1] != '/')
        name--;
    snprintf(out, size, "%.*s", (int)(method - name), name);
    for (char *c = out; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

static bool fail_with_sentence(const struct cap_rpc_call *call, size_t row, const char *text,
                               struct cap_err *err)
{
    enum cap_code code = core_texts[row].code;
    bool of_peer = code == CAP_UNAVAILABLE;
    char service[64];
    const char *reason = of_peer ? strrchr(text, ':') : NULL; /* "...: Connection refused" */

    name_service(call->method->path, service, sizeof service);
    return cap_fail(err, code, "%s%s%s%s", core_texts[row].before,
                    of_peer                         ? call->target
                    : code == CAP_DEADLINE_EXCEEDED ? service
                                                    : call->method->path,
                    core_texts[row].after, reason ? reason : "");
}

bool rpc_status_fail(const struct cap_rpc_call *call, struct cap_err *err)
{
    enum cap_code code = (enum cap_code)call->status_code;
    char text[CAP_ERR_TEXT_BYTES_MAX];

    snprintf(text, sizeof text, "%.*s", (int)GRPC_SLICE_LENGTH(call->status_text),
             (const char *)GRPC_SLICE_START_PTR(call->status_text));
    for (size_t i = 0; i < CAP_COUNT_OF(core_texts); i++)
        if (core_texts[i].code == code &&
            strncmp(text, core_texts[i].core_text, strlen(core_texts[i].core_text)) == 0)
            return fail_with_sentence(call, i, text, err);
    return cap_fail(err, code < CAP_CODE_COUNT ? code : CAP_UNKNOWN, "%s", text);
}

/* ---- wrong fields: google.rpc.BadRequest ---- */

enum { READ_ARENA_BYTES = 256 << 10 };

/* The server's side. */

static Google__Rpc__BadRequest *bad_request(struct cap_rpc_call *call)
{
    Google__Rpc__BadRequest *bad = call->bad_request;

    if (bad)
        return bad;
    bad = cap_arena_alloc(call->arena, sizeof *bad);
    if (!bad)
        return NULL;
    google__rpc__bad_request__init(bad);
    bad->field_violations =
        cap_arena_array(call->arena, CAP_RPC_FAULTS_MAX, sizeof *bad->field_violations);
    return call->bad_request = bad->field_violations ? bad : NULL;
}

void cap_rpc_fault(struct cap_rpc_call *call, const char *field, const char *sentence)
{
    Google__Rpc__BadRequest *bad = bad_request(call);
    Google__Rpc__BadRequest__FieldViolation *fault = cap_arena_alloc(call->arena, sizeof *fault);

    if (!bad || !fault || bad->n_field_violations == CAP_RPC_FAULTS_MAX)
        return;
    google__rpc__bad_request__field_violation__init(fault);
    fault->field = cap_arena_strdup(call->arena, field);
    fault->description = cap_arena_strdup(call->arena, sentence);
    if (!fault->field || !fault->description)
        return;
    bad->field_violations[bad->n_field_violations++] = fault;
    if (google__rpc__bad_request__get_packed_size(bad) > STATUS_DETAIL_BYTES_MAX * 3 / 4)
        bad->n_field_violations--;
}

void rpc_fault_add_detail(struct cap_rpc_call *call, const struct cap_err *err)
{
    Google__Rpc__BadRequest *bad = call->bad_request;

    if (*err->field && (!bad || bad->n_field_violations == 0))
        cap_rpc_fault(call, err->field, err->text);
    if (call->bad_request)
        cap_rpc_detail(call, &call->bad_request->base);
}

/* ---- the client's side ---- */

static Google__Rpc__BadRequest *read_bad_request(const Google__Protobuf__Any *any,
                                                 struct cap_arena *arena)
{
    if (strcmp(any->type_url, "type.googleapis.com/google.rpc.BadRequest") != 0)
        return NULL;
    return google__rpc__bad_request__unpack(cap_rpc_allocator(arena), any->value.len,
                                            any->value.data);
}

/* NULL when the peer blames no field. */
static Google__Rpc__BadRequest *find_bad_request(const struct cap_rpc_call *call,
                                                 struct cap_arena *arena)
{
    Google__Rpc__BadRequest *bad = NULL;
    Google__Rpc__Status *status = NULL;
    const char *details;
    size_t length;

    details = rpc_metadata_find(&call->in_trailers, "grpc-status-details-bin", &length);
    if (details)
        status =
            google__rpc__status__unpack(cap_rpc_allocator(arena), length, (const uint8_t *)details);
    for (size_t i = 0; status && !bad && i < status->n_details; i++)
        bad = read_bad_request(status->details[i], arena);
    return bad;
}

void rpc_fault_read(const struct cap_rpc_call *call, struct cap_arena *arena,
                    struct cap_rpc_faults *out_faults)
{
    const Google__Rpc__BadRequest *bad = find_bad_request(call, arena);
    size_t count = bad ? bad->n_field_violations : 0;
    struct cap_rpc_fault *items = cap_arena_array(arena, count + 1, sizeof *items);

    *out_faults = (struct cap_rpc_faults){items, items ? count : 0};
    for (size_t i = 0; i < out_faults->count; i++)
        items[i] = (struct cap_rpc_fault){bad->field_violations[i]->field,
                                          bad->field_violations[i]->description};
}

void rpc_fault_read_first(const struct cap_rpc_call *call, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(READ_ARENA_BYTES);
    struct cap_rpc_faults faults;

    rpc_fault_read(call, arena, &faults);
    if (faults.count > 0 && strlen(faults.items[0].field) < sizeof err->field)
        memcpy(err->field, faults.items[0].field, strlen(faults.items[0].field) + 1);
}
