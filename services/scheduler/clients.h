/* clients.h — the store, as the dispatcher asks it (the evaluator: evaluator.h). Blocking calls; any
 * thread.
 *
 * UNAVAILABLE and its like mean: try again. Everything here may be repeated safely.
 */
#ifndef SCHED_CLIENTS_H
#define SCHED_CLIENTS_H

#include "base/err.h"
#include "job.h"
#include "step.h"

struct cap_rpc_channel;
struct sched_evaluator;

struct sched_clients {
    struct cap_rpc_channel *store;
    struct sched_evaluator *evaluator;
};

/* The grant's list is the caller's to free(). */
bool sched_client_lease(const struct sched_clients *clients, const char *run_id,
                        const char *node_id, const char *node_name, int64_t lease_ms,
                        struct sched_grant *out_grant, struct cap_err *err);
bool sched_client_release(const struct sched_clients *clients, const char *run_id, uint64_t fence,
                          const char *outcome, struct cap_err *err);
bool sched_client_move(const struct sched_clients *clients, const char *run_id,
                       enum sched_run_state from, enum sched_run_state to, const char *reason,
                       struct cap_err *err);
struct sched_seen {
    enum sched_run_state state;
    uint32_t answered, graded;
    char reason[SCHED_REASON_BYTES];
};
/* How the store has the run. */
bool sched_client_look(const struct sched_clients *clients, const char *run_id,
                       struct sched_seen *out_seen, struct cap_err *err);
/* Is the store there? */
bool sched_client_reach(const struct sched_clients *clients);
struct sched_lost {
    char run_id[CAP_ID_BYTES];
    uint64_t fence;
};
/* Leases that the database clock has ended. *out_lost is the caller's to free(). */
bool sched_client_sweep(const struct sched_clients *clients, struct sched_lost **out_lost,
                        size_t *out_count, struct cap_err *err);

#endif
