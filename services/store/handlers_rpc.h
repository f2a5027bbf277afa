/* handlers_rpc.h — the handlers of moecap.v1.Store, by the file they are in. Each translates, calls
 * one function of the core, translates back. cap_rpc_self() is the struct store_service. */
#ifndef STORE_HANDLERS_RPC_H
#define STORE_HANDLERS_RPC_H

#include "moecap/v1/store.rpc.h"
#include "service.h"

#define UNARY(name, request_type, reply_type)                                                      \
    bool store_handle_##name(struct cap_rpc_call *call, const Moecap__V1__##request_type *request, \
                             Moecap__V1__##reply_type *reply, struct cap_err *err)
#define SERVER_STREAM(name, request_type)                                                          \
    bool store_handle_##name(struct cap_rpc_call *call, const Moecap__V1__##request_type *request, \
                             struct cap_err *err)

/* task_rpc.c */
bool store_handle_put_task(struct cap_rpc_call *call, Moecap__V1__PutTaskReply *reply,
                           struct cap_err *err);
UNARY(list_tasks, ListTasksRequest, ListTasksReply);
UNARY(get_task, GetTaskRequest, GetTaskReply);
UNARY(read_docs, ReadDocsRequest, ReadDocsReply);
/* queue_rpc.c */
UNARY(enqueue, EnqueueRequest, EnqueueReply);
SERVER_STREAM(list_active, Empty);
UNARY(move_run, MoveRunRequest, Empty);
/* lease_rpc.c */
UNARY(lease, LeaseRequest, LeaseReply);
UNARY(renew, RenewRequest, RenewReply);
UNARY(release, ReleaseRequest, Empty);
UNARY(sweep, Empty, SweepReply);
/* evidence_rpc.c */
UNARY(append, AppendRequest, AppendReply);
SERVER_STREAM(read_evidence, ReadEvidenceRequest);
/* grade_rpc.c */
UNARY(read_ungraded, ReadUngradedRequest, ReadUngradedReply);
UNARY(put_verdicts, PutVerdictsRequest, PutVerdictsReply);
UNARY(finish_run, FinishRunRequest, Empty);
/* report_rpc.c */
UNARY(board, BoardRequest, BoardReply);
UNARY(get_run, GetRunRequest, GetRunReply);
UNARY(list_samples, ListSamplesRequest, ListSamplesReply);
UNARY(get_expert_counts, GetExpertCountsRequest, GetExpertCountsReply);
/* node_rpc.c */
UNARY(put_node, PutNodeRequest, Empty);
UNARY(list_events, ListEventsRequest, ListEventsReply);

/* The database behind a call. */
static inline struct store_pg *store_pg_of(struct cap_rpc_call *call)
{
    return ((struct store_service *)cap_rpc_self(call))->pg;
}

#endif
