/* The store over gRPC: one call a function, from plain arguments to a message and back.
 *
 * No state and no lock: any number of threads, each call with its own arena. Nothing is tried again
 * here; who asks knows how long it is worth waiting (actions.c). A reply that was lost leaves open
 * whether the store has done it: each call may be repeated, under the same fence or from the same
 * state, and sched_client_look says what became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

enum {
    CALL_ARENA_BYTES = 256 << 20,
    LEASE_MS_ANY = 9000, /* of a renewal without leases */
};

bool sched_client_lease(const struct sched_clients *clients, const char *run_id,
                        const char *node_id, const char *node_name, int64_t lease_ms,
                        struct sched_grant *out_grant, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__LeaseRequest request = MOECAP__V1__LEASE_REQUEST__INIT;
    Moecap__V1__LeaseReply *reply;
    size_t bytes;

    request.run_id = (char *)run_id;
    request.shard = SCHED_SHARD;
    request.node_id = (char *)node_id;
    request.node_name = (char *)node_name;
    request.lease_ms = (uint32_t)lease_ms;
    if (!store_rpc_lease(clients->store, NULL, &request, arena, &reply, err))
        return false;
    bytes = reply->n_ordinals_left * sizeof(uint32_t);
    *out_grant = (struct sched_grant){.fence = reply->fence,
                                      .seq_next = reply->seq_next,
                                      .ordinals_left = malloc(bytes + 1),
                                      .ordinal_count = reply->n_ordinals_left,
                                      .total = reply->samples_total,
                                      .attempt = reply->attempt};
    if (!out_grant->ordinals_left)
        abort();
    if (bytes > 0)
        memcpy(out_grant->ordinals_left, reply->ordinals_left, bytes);
    return true;
}

static void fill_lease(Moecap__V1__LeaseRef *lease, const char *run_id, uint64_t fence)
{
    moecap__v1__lease_ref__init(lease);
    lease->run_id = (char *)run_id;
    lease->shard = SCHED_SHARD;
    lease->fence = fence;
}

bool sched_client_release(const struct sched_clients *clients, const char *run_id, uint64_t fence,
                          const char *outcome, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__ReleaseRequest request = MOECAP__V1__RELEASE_REQUEST__INIT;
    Moecap__V1__LeaseRef lease;
    Moecap__V1__Empty *reply;

    fill_lease(&lease, run_id, fence);
    request.lease = &lease;
    request.outcome = (char *)outcome;
    return store_rpc_release(clients->store, NULL, &request, arena, &reply, err);
}

bool sched_client_move(const struct sched_clients *clients, const char *run_id,
                       enum sched_run_state from, enum sched_run_state to, const char *reason,
                       struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__MoveRunRequest request = MOECAP__V1__MOVE_RUN_REQUEST__INIT;
    Moecap__V1__Empty *reply;

    request.run_id = (char *)run_id;
    request.from = sched_state_to_wire(from);
    request.to = sched_state_to_wire(to);
    request.reason = (char *)reason;
    return store_rpc_move_run(clients->store, NULL, &request, arena, &reply, err);
}

bool sched_client_look(const struct sched_clients *clients, const char *run_id,
                       struct sched_seen *out_seen, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply *reply;

    request.run_id = (char *)run_id;
    if (!store_rpc_get_run(clients->store, NULL, &request, arena, &reply, err))
        return false;
    if (!reply->row)
        return cap_fail(err, CAP_INTERNAL, "the store knows run %s but not its state", run_id);
    out_seen->state = sched_state_from_wire(reply->row->state);
    out_seen->answered = reply->samples_answered;
    out_seen->graded = reply->samples_graded;
    snprintf(out_seen->reason, sizeof out_seen->reason, "%s", reply->row->reason);
    return true;
}

/* Any write that changes nothing shows that the database takes writes. */
bool sched_client_reach(const struct sched_clients *clients)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 16);
    Moecap__V1__RenewRequest request = MOECAP__V1__RENEW_REQUEST__INIT;
    Moecap__V1__RenewReply *reply;
    struct cap_err err = {0};

    request.lease_ms = LEASE_MS_ANY;
    return store_rpc_renew(clients->store, NULL, &request, arena, &reply, &err);
}

/* ---- leases ---- */

bool sched_client_sweep(const struct sched_clients *clients, struct sched_lost **out_lost,
                        size_t *out_count, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__SweepReply *reply;

    if (!store_rpc_sweep(clients->store, NULL, &request, arena, &reply, err))
        return false;
    *out_lost = calloc(reply->n_expired + 1, sizeof **out_lost);
    if (!*out_lost)
        abort();
    for (size_t i = 0; i < reply->n_expired; i++) {
        snprintf((*out_lost)[i].run_id, CAP_ID_BYTES, "%s", reply->expired[i]->run_id);
        (*out_lost)[i].fence = reply->expired[i]->fence;
    }
    *out_count = reply->n_expired;
    return true;
}
