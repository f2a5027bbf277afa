/* handlers_rpc.h — the handlers of moecap.v1.Evaluator, by the file they are in. Each translates,
 * calls the core, translates back. cap_rpc_self() is the struct eval_service. */
#ifndef EVAL_HANDLERS_RPC_H
#define EVAL_HANDLERS_RPC_H

#include "moecap/v1/evaluator.rpc.h"
#include "service.h"
#include "task.h"

/* task_rpc.c */
bool eval_handle_read_task(struct cap_rpc_call *call, const Moecap__V1__ReadTaskRequest *request,
                           Moecap__V1__ReadTaskReply *reply, struct cap_err *err);
/* render_rpc.c */
bool eval_handle_render(struct cap_rpc_call *call, const Moecap__V1__RenderRequest *request,
                        Moecap__V1__RenderReply *reply, struct cap_err *err);
/* grade_rpc.c */
bool eval_handle_grade(struct cap_rpc_call *call, const Moecap__V1__GradeRequest *request,
                       Moecap__V1__GradeReply *reply, struct cap_err *err);
/* measure_rpc.c */
bool eval_handle_measure(struct cap_rpc_call *call, Moecap__V1__MeasureReply *reply,
                         struct cap_err *err);

/* Refuses more than the service's batch_max. */
static inline bool eval_check_batch(struct cap_rpc_call *call, size_t count, struct cap_err *err)
{
    size_t max = ((struct eval_service *)cap_rpc_self(call))->batch_max;

    return count <= max ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "%zu items in one request, at most %zu", count, max);
}

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
