/* handlers_rpc.h — one function a method of moecap.v1.Scheduler. */
#ifndef SCHED_HANDLERS_RPC_H
#define SCHED_HANDLERS_RPC_H

#include "moecap/v1/evaluator.pb-c.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.pb-c.h"
#include "service.h"

bool sched_handle_submit(struct cap_rpc_call *call, const Moecap__V1__SubmitRequest *request,
                         Moecap__V1__SubmitReply *reply, struct cap_err *err);
bool sched_handle_watch(struct cap_rpc_call *call, const Moecap__V1__WatchRequest *request,
                        struct cap_err *err);
bool sched_handle_cancel(struct cap_rpc_call *call, const Moecap__V1__CancelRequest *request,
                         Moecap__V1__CancelReply *reply, struct cap_err *err);
bool sched_handle_list_queue(struct cap_rpc_call *call, const Moecap__V1__ListQueueRequest *request,
                             Moecap__V1__ListQueueReply *reply, struct cap_err *err);
bool sched_handle_list_nodes(struct cap_rpc_call *call, const Moecap__V1__ListNodesRequest *request,
                             Moecap__V1__ListNodesReply *reply, struct cap_err *err);
bool sched_handle_node_metrics(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                               Moecap__V1__NodeMetricsReply *reply, struct cap_err *err);
bool sched_handle_info(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                       Moecap__V1__InfoReply *reply, struct cap_err *err);
bool sched_handle_work(struct cap_rpc_call *call, struct cap_err *err);

/* find_rpc.c: everything in the arena, but for an evaluation_id that is `id` itself. */
struct sched_found {
    const char *evaluation_id;
    Moecap__V1__RunProgress **runs;
    size_t count;
    bool ended; /* every one */
};
bool sched_find_in_store(const struct sched_service *service, const char *id,
                         struct cap_arena *arena, struct sched_found *out, struct cap_err *err);
/* restore_rpc.c: adds what is unknown here; once, failing when the store is away. */
bool sched_restore_once(struct sched_service *service, struct cap_err *err);
/* lists_rpc.c: connected nodes with what each said of itself, in the arena. */
bool sched_node_entries(struct sched_service *service, struct cap_arena *arena,
                        Moecap__V1__NodeEntry ***out_entries, size_t *out_count,
                        struct cap_err *err);
/* info_rpc.c: what exists now: tasks in the store, models on nodes. In the arena. */
struct sched_offers *sched_offers_new(void);
void sched_offers_free(struct sched_offers *offers);
struct sched_known;
bool sched_gather_known(struct sched_service *service, struct cap_arena *arena,
                        struct sched_known *out, struct cap_err *err);

#endif
