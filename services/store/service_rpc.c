/* The handlers of moecap.v1.Store. A unary one calls its verb of store.h and nothing else; what is
 * counted, streamed or done beside is here.
 */
#include "log/log.h"
#include "metrics/metrics.h"
#include "moecap/v1/store.rpc.h"
#include "store.h"

/* ---- counters ---- */

static const struct cap_metric_row metric_rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};
static _Atomic int64_t metric_values[STORE_METRIC_COUNT];
static struct cap_metrics metrics = {"store", metric_rows, metric_values,
                                     CAP_COUNT_OF(metric_rows)};

struct cap_metrics *store_metrics(void)
{
    return &metrics;
}

static void count(enum store_metric metric, int64_t amount)
{
    cap_metric_add(&metrics, (int)metric, amount);
}

/* ---- unary ---- */

static struct store_pg *pg_of(struct cap_rpc_call *call)
{
    return ((struct store_service *)cap_rpc_self(call))->pg;
}

/* Forgetting may wait for the next sweep; leases may not. */
static void prune(const struct store_service *service)
{
    struct store_pruned pruned;
    struct cap_err err = {0};

    if (service->retention_days == 0)
        return;
    if (!store_prune(service->pg, service->retention_days, &pruned, &err)) {
        cap_log(WARN, "prune_failed", "reason=%s", CAP_LOG_Q(err.text));
        return;
    }
    count(STORE_METRIC_rows_pruned_total, pruned.events + pruned.ledger_rows);
    if (pruned.runs > 0)
        cap_log(INFO, "pruned", "runs=%lld events=%lld ledger_rows=%lld", (long long)pruned.runs,
                (long long)pruned.events, (long long)pruned.ledger_rows);
}

#define HANDLER(verb, request_type, reply_type)                                                    \
    static bool handle_##verb(struct cap_rpc_call *call,                                           \
                              const Moecap__V1__##request_type *request,                           \
                              Moecap__V1__##reply_type *reply, struct cap_err *err)
#define PLAIN_HANDLER(verb, request_type, reply_type)                                              \
    HANDLER(verb, request_type, reply_type)                                                        \
    {                                                                                              \
        return store_##verb(pg_of(call), request, cap_rpc_arena(call), reply, err);                \
    }
STORE_PLAIN_VERBS(PLAIN_HANDLER)

HANDLER(append, AppendRequest, AppendReply)
{
    bool ok = store_append(pg_of(call), request, cap_rpc_arena(call), reply, err);

    count(STORE_METRIC_batches_refused_total, !ok);
    count(STORE_METRIC_batches_repeated_total, ok && reply->repeated_batch);
    if (ok && !reply->repeated_batch) {
        count(STORE_METRIC_batches_stored_total, 1);
        count(STORE_METRIC_answers_stored_total, request->batch->answers);
    }
    return ok;
}

HANDLER(lease, LeaseRequest, LeaseReply)
{
    bool ok = store_lease(pg_of(call), request, cap_rpc_arena(call), reply, err);

    count(STORE_METRIC_leases_given_total, ok);
    return ok;
}

HANDLER(sweep, Empty, SweepReply)
{
    if (!store_sweep(pg_of(call), request, cap_rpc_arena(call), reply, err))
        return false;
    count(STORE_METRIC_leases_expired_total, (int64_t)reply->n_expired);
    prune(cap_rpc_self(call));
    return true;
}

HANDLER(finish_run, FinishRunRequest, Empty)
{
    bool ok = store_finish_run(pg_of(call), request, cap_rpc_arena(call), reply, err);

    count(STORE_METRIC_runs_finished_total, ok);
    return ok;
}

/* ---- streams ---- */

static bool add_chunk(struct store_task_put *put, const Moecap__V1__PutTaskChunk *chunk,
                      struct cap_err *err)
{
    if (chunk->n_samples + chunk->n_fewshot > STORE_CHUNK_DOCS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu documents in one message, at most %d",
                        chunk->n_samples + chunk->n_fewshot, STORE_CHUNK_DOCS_MAX);
    for (size_t i = 0; i < chunk->n_samples; i++)
        if (!store_task_put_add(put, false, chunk->samples[i], err))
            return false;
    for (size_t i = 0; i < chunk->n_fewshot; i++)
        if (!store_task_put_add(put, true, chunk->fewshot[i], err))
            return false;
    return true;
}

static bool handle_put_task(struct cap_rpc_call *call, Moecap__V1__PutTaskReply *reply,
                            struct cap_err *err)
{
    Moecap__V1__PutTaskChunk *chunk = store_rpc_put_task_next_request(call);

    if (!chunk || !chunk->task)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the first message of PutTask holds no task");
    CAP_AUTO(store_task_put) put = store_task_put_open(chunk->task, err);
    if (!put)
        return false;
    for (; chunk; chunk = store_rpc_put_task_next_request(call))
        if (!add_chunk(put, chunk, err))
            return false;
    if (cap_rpc_cancelled(call)) /* NULL was not the end of the data */
        return cap_fail(err, CAP_CANCELLED, "the task was not sent to its end");
    return store_task_put_end(put, pg_of(call), cap_rpc_arena(call), reply, err);
}

static bool send_active(void *call, const ProtobufCMessage *message, struct cap_err *err)
{
    return store_rpc_list_active_send_reply(call, (const void *)message) ||
           cap_fail(err, CAP_CANCELLED, "the caller is gone");
}

static bool handle_list_active(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                               struct cap_err *err)
{
    (void)request;
    return store_list_active(pg_of(call), send_active, call, err);
}

static bool send_evidence(void *call, const ProtobufCMessage *message, struct cap_err *err)
{
    return store_rpc_read_evidence_send_reply(call, (const void *)message) ||
           cap_fail(err, CAP_CANCELLED, "the caller is gone");
}

static bool handle_read_evidence(struct cap_rpc_call *call,
                                 const Moecap__V1__ReadEvidenceRequest *request,
                                 struct cap_err *err)
{
    return store_read_evidence(pg_of(call), request->run_id, send_evidence, call, err);
}

static const struct store_rpc_handlers handlers = {
#define SLOT(verb, request_type, reply_type) .verb = handle_##verb,
    STORE_PLAIN_VERBS(SLOT) STORE_COUNTED_VERBS(SLOT)
#undef SLOT
        .put_task = handle_put_task,
    .list_active = handle_list_active,
    .read_evidence = handle_read_evidence,
};

void store_service_add(struct store_service *service, struct cap_rpc_server *server)
{
    cap_rpc_server_add(server, &store_rpc_service, &handlers, service);
}
