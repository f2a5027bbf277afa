/* Which fields of a request are wrong, as google.rpc.BadRequest among the details of a status. */
#include <string.h>

#include "google/protobuf/any.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/internal.h"

enum { READ_ARENA_BYTES = 256 << 10 };

/* ---- the server's side ---- */

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
    if (google__rpc__bad_request__get_packed_size(bad) > STATUS_DETAIL_BYTES_MAX / 2)
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
