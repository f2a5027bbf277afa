/* How a call ended, on the wire and in sentences. */
#include <stdio.h>
#include <string.h>

#include "google/protobuf/any.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/internal.h"

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
    {CAP_DEADLINE_EXCEEDED, "Deadline Exceeded", "", " did not end within its deadline"},
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

static bool fail_with_sentence(const struct cap_rpc_call *call, size_t row, const char *text,
                               struct cap_err *err)
{
    bool of_peer = core_texts[row].code == CAP_UNAVAILABLE;
    const char *reason = of_peer ? strrchr(text, ':') : NULL; /* "...: Connection refused" */

    return cap_fail(err, core_texts[row].code, "%s%s%s%s", core_texts[row].before,
                    of_peer ? call->target : call->method->path, core_texts[row].after,
                    reason ? reason : "");
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
