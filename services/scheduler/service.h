/* service.h — what the handlers share. */
#ifndef SCHED_SERVICE_H
#define SCHED_SERVICE_H

#include <pthread.h>

#include "dispatcher.h"
#include "renew.h"
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

/* Makes everything and begins to take over what the store knows; the handlers are added to `server`,
 * which is not started yet. Settings' strings are borrowed. */
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

#endif
