/* service.h — what the handlers share: the service and its life, its counters, each handler. */
#ifndef SCHED_SERVICE_H
#define SCHED_SERVICE_H

#include <pthread.h>

#include "dispatcher.h"
#include "metrics/metrics.h"
#include "moecap/v1/evaluator.pb-c.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.pb-c.h"
#include "node_store_rpc.h"
#include "rpc/rpc.h"

struct sched_settings { /* as in config.def */
    const char *store, *evaluator;
    int64_t attempts_max, beat_ms, lease_ms, silent_ms_max, progress_ms_max, ageing_ms, retry_ms,
        tick_ms, nodes_max;
    int64_t prompt_batch;
};

struct sched_service {
    struct sched_dispatcher *dispatcher;
    struct sched_streams *streams;
    struct sched_renewals *renewals;
    struct sched_offers *offers;
    struct sched_clients clients;
    const char *store_address, *evaluator_address;
    int64_t beat_ms, lease_ms, retry_ms, started_at_ms;
    int nodes_max;
    _Atomic int node_count;
    _Atomic bool draining, restored;
    pthread_t restorer;
};

/* Makes everything and begins to take over what the store knows; the handlers are added to
 * `server`, which is not started yet. Settings' strings are borrowed. */
void sched_service_start(struct sched_service *service, const struct sched_settings *settings,
                         struct cap_rpc_server *server);
/* Ends the nodes' streams; each handler returns soon. */
void sched_service_drain(struct sched_service *service);
/* After the server has ended. */
void sched_service_stop(struct sched_service *service);

/* Takes over what the store knows to be unfinished, in a thread that tries until the store answers.
 * Stop after draining was set. */
void sched_restore_start(struct sched_service *service);
void sched_restore_stop(struct sched_service *service);
/* For handlers that speak of runs or nodes: waits a moment for that; UNAVAILABLE when it takes long
 * or the program ends. */
bool sched_restore_wait(struct sched_service *service, struct cap_rpc_call *call,
                        struct cap_err *err);

/* work_rpc.c, for dispatcher's options */
bool sched_work_assign(const struct sched_assignment *assignment, struct sched_stream *stream,
                       struct cap_err *err);
void sched_work_stop(struct sched_stream *stream, const char *run_id, uint64_t fence,
                     const char *reason);
/* The store has the batch: the node may forget it. */
void sched_work_ack(struct sched_stream *stream, const char *run_id, uint64_t seq);

/* ---- counters of this program; rows in metrics.def. Any thread. ---- */

enum sched_metric {
#define METRIC(name, kind, help) SCHED_METRIC_##name,
#include "metrics.def"
#undef METRIC
    SCHED_METRIC_COUNT
};

struct cap_metrics *sched_metrics(void);
void sched_count(enum sched_metric metric, int64_t amount);

/* ---- handlers: one function for each method of moecap.v1.Scheduler ---- */

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
bool sched_handle_compare_routing(struct cap_rpc_call *call,
                                  const Moecap__V1__CompareRoutingRequest *request,
                                  Moecap__V1__RoutingComparison *reply, struct cap_err *err);
bool sched_handle_info(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                       Moecap__V1__InfoReply *reply, struct cap_err *err);
bool sched_handle_compare(struct cap_rpc_call *call, const Moecap__V1__CompareRunsRequest *request,
                          Moecap__V1__CompareReply *reply, struct cap_err *err);
bool sched_handle_repeats(struct cap_rpc_call *call, const Moecap__V1__RepeatsOfRequest *request,
                          Moecap__V1__RepeatsOfReply *reply, struct cap_err *err);
bool sched_handle_work(struct cap_rpc_call *call, struct cap_err *err);

/* watch_rpc.c: everything in the arena, but for an evaluation_id that is `id` itself. */
struct sched_found {
    const char *evaluation_id;
    Moecap__V1__RunProgress **runs;
    size_t count;
    bool ended; /* every one */
};
bool sched_find_in_store(const struct sched_service *service, const char *id,
                         struct cap_arena *arena, struct sched_found *out, struct cap_err *err);
/* Adds what is unknown here; once, failing when the store is away. */
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
/* profile_rpc.c: where the evaluation names a run for its activation profile, what that run
 * counted takes its place; a CSV is looked at. */
bool sched_resolve_profile(struct sched_service *service, Moecap__V1__EvaluationSpec *io_spec,
                           struct cap_arena *arena, struct cap_err *err);

#endif
