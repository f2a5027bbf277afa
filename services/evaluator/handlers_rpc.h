/* handlers_rpc.h — what the files that answer calls share. cap_rpc_self() is the struct
 * eval_service. */
#ifndef EVAL_HANDLERS_RPC_H
#define EVAL_HANDLERS_RPC_H

#include "moecap/v1/evaluator.rpc.h"
#include "service.h"

/* measure_rpc.c */
bool eval_handle_measure(struct cap_rpc_call *call, Moecap__V1__MeasureReply *reply,
                         struct cap_err *err);

static inline bool eval_fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                    "the request needs more memory than a call may use");
}

/* The lists of pointers that protobuf-c wants, with room for `count` messages; NULL when full. */
#define EVAL_WIRE_LIST(call, type, count)                                                          \
    ((type **)cap_arena_array(cap_rpc_arena(call), (count) + 1, sizeof(type *)))
#define EVAL_WIRE(call, type) ((type *)cap_arena_alloc(cap_rpc_arena(call), sizeof(type)))

#endif
