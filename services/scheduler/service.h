/* service.h — what the handlers share. */
#ifndef SCHED_SERVICE_H
#define SCHED_SERVICE_H

#include <pthread.h>

#include "dispatcher.h"
#include "rpc/rpc.h"

struct sched_service {
    struct sched_dispatcher *dispatcher;
    struct sched_streams *streams;
    struct sched_clients clients;
    const char *store_address, *evaluator_address;
    int64_t beat_ms, lease_ms, retry_ms, started_at_ms;
    int nodes_max;
    _Atomic int node_count;
    _Atomic bool draining, restored;
    pthread_t restorer;
};

/* Adds the handlers of moecap.v1.Scheduler; `service` is borrowed. */
void sched_service_add(struct sched_service *service, struct cap_rpc_server *server);
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

#endif
