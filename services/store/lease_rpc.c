#include "copy.h"
#include "handlers_rpc.h"
#include "lease.h"
#include "log/log.h"
#include "prune.h"
#include "run.h"
#include "store_wire.h"

bool store_handle_lease(struct cap_rpc_call *call, const Moecap__V1__LeaseRequest *request,
                        Moecap__V1__LeaseReply *reply, struct cap_err *err)
{
    const struct store_lease_request plain = {request->run_id, request->shard, request->node_id,
                                              request->node_name, request->lease_ms};
    struct store_lease lease;

    if (!store_lease(store_pg_of(call), &plain, cap_rpc_arena(call), &lease, err))
        return false;
    store_count(STORE_METRIC_leases_given_total, 1);
    reply->fence = lease.fence;
    reply->seq_next = lease.seq_next;
    reply->ordinals_left = lease.ordinals_left.items;
    reply->n_ordinals_left = lease.ordinals_left.count;
    reply->samples_total = lease.samples_total;
    reply->attempt = lease.attempt;
    return true;
}

bool store_handle_renew(struct cap_rpc_call *call, const Moecap__V1__RenewRequest *request,
                        Moecap__V1__RenewReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_lease_refs refs, lost;

    if (!store_lease_refs_from_wire(request->leases, request->n_leases, arena, &refs))
        return store_fail_full(err);
    if (!store_lease_renew(store_pg_of(call), refs, request->lease_ms, arena, &lost, err))
        return false;
    reply->n_lost = lost.count;
    return store_lease_refs_to_wire(lost, arena, &reply->lost) || store_fail_full(err);
}

bool store_handle_release(struct cap_rpc_call *call, const Moecap__V1__ReleaseRequest *request,
                          Moecap__V1__Empty *reply, struct cap_err *err)
{
    const struct store_lease_ref ref = store_lease_ref_from_wire(request->lease);
    const char *outcome = store_text_fit(cap_rpc_arena(call), request->outcome);

    (void)reply;
    if (!outcome)
        return store_fail_full(err);
    return store_lease_release(store_pg_of(call), &ref, outcome, err);
}

/* Forgetting may wait for the next sweep; leases may not. */
static void prune(struct cap_rpc_call *call)
{
    const struct store_service *service = cap_rpc_self(call);
    struct store_pruned pruned;
    struct cap_err err = {0};

    if (service->retention_days == 0)
        return;
    if (!store_prune(service->pg, service->retention_days, &pruned, &err)) {
        cap_log(WARN, "prune_failed", "reason=%s", CAP_LOG_Q(err.text));
        return;
    }
    store_count(STORE_METRIC_rows_pruned_total, pruned.events + pruned.ledger_rows);
    if (pruned.runs > 0)
        cap_log(INFO, "pruned", "runs=%lld events=%lld ledger_rows=%lld", (long long)pruned.runs,
                (long long)pruned.events, (long long)pruned.ledger_rows);
}

bool store_handle_sweep(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                        Moecap__V1__SweepReply *reply, struct cap_err *err)
{
    struct store_lease_refs expired;

    (void)request;
    if (!store_lease_sweep(store_pg_of(call), cap_rpc_arena(call), &expired, err))
        return false;
    store_count(STORE_METRIC_leases_expired_total, (int64_t)expired.count);
    prune(call);
    reply->n_expired = expired.count;
    return store_lease_refs_to_wire(expired, cap_rpc_arena(call), &reply->expired) ||
           store_fail_full(err);
}
