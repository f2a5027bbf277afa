/* The store and the evaluator over gRPC. A reply's messages are handed on as they are, so that what
 * a newer program put into them survives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients.h"
#include "handlers_rpc.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "spec_wire.h"

enum {
    CALL_ARENA_BYTES = 256 << 20,
    MEASURE_TIMEOUT_MS = 600000,
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

static Moecap__V1__EvaluationSpec *unpack_spec(const struct sched_job *job, struct cap_arena *arena,
                                               struct cap_err *err)
{
    Moecap__V1__EvaluationSpec *spec =
        moecap__v1__evaluation_spec__unpack(cap_rpc_allocator(arena), job->spec_bytes, job->spec);

    if (!spec)
        cap_fail(err, CAP_INTERNAL, "the evaluation of run %s cannot be read", job->run_id);
    return spec;
}

static bool get_task(const struct sched_clients *clients, const struct sched_job *job,
                     bool with_fewshot, struct cap_arena *arena,
                     Moecap__V1__GetTaskReply **out_task, struct cap_err *err)
{
    Moecap__V1__GetTaskRequest request = MOECAP__V1__GET_TASK_REQUEST__INIT;

    request.name = job->task;
    request.task_id = job->task_id;
    request.with_fewshot = with_fewshot;
    return store_rpc_get_task(clients->store, NULL, &request, arena, out_task, err);
}

/* ---- prompts ---- */

bool sched_client_task(const struct sched_clients *clients, const struct sched_job *job,
                       struct cap_arena *arena, Moecap__V1__GetTaskReply **out_task,
                       struct cap_err *err)
{
    return get_task(clients, job, true, arena, out_task, err);
}

bool sched_client_render(const struct sched_clients *clients, const struct sched_job *job,
                         const Moecap__V1__GetTaskReply *task, const uint32_t *ordinals,
                         size_t count, struct cap_arena *arena, Moecap__V1__RenderReply **out_reply,
                         struct cap_err *err)
{
    Moecap__V1__ReadDocsRequest read = MOECAP__V1__READ_DOCS_REQUEST__INIT;
    Moecap__V1__RenderRequest render = MOECAP__V1__RENDER_REQUEST__INIT;
    Moecap__V1__ReadDocsReply *docs;

    read.task_id = job->task_id;
    read.n_ordinals = count;
    read.ordinals = (uint32_t *)ordinals;
    if (!store_rpc_read_docs(clients->store, NULL, &read, arena, &docs, err) ||
        !(render.spec = unpack_spec(job, arena, err)))
        return false;
    render.definition = task->task->definition;
    render.n_docs = docs->n_docs;
    render.docs = docs->docs;
    render.n_fewshot = task->n_fewshot;
    render.fewshot = task->fewshot;
    render.repeat = job->repeat;
    if (!evaluator_rpc_render(clients->evaluator, NULL, &render, arena, out_reply, err))
        return cap_fail_in(err, "render");
    if ((*out_reply)->n_prompts != count)
        return cap_fail(err, CAP_INTERNAL, "the evaluator rendered %zu prompts of %zu",
                        (*out_reply)->n_prompts, count);
    return true;
}

/* ---- grading ---- */

static bool grade_items(const struct sched_clients *clients, const struct sched_job *job,
                        const Moecap__V1__ReadUngradedReply *ungraded, struct cap_arena *arena,
                        uint32_t *out_graded, struct cap_err *err)
{
    Moecap__V1__GradeRequest grade = MOECAP__V1__GRADE_REQUEST__INIT;
    Moecap__V1__PutVerdictsRequest put = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__PutVerdictsReply *stored;
    Moecap__V1__GetTaskReply *task;
    Moecap__V1__GradeReply *graded;

    if (!get_task(clients, job, false, arena, &task, err) ||
        !(grade.spec = unpack_spec(job, arena, err)))
        return false;
    grade.definition = task->task->definition;
    grade.n_items = ungraded->n_items;
    grade.items = ungraded->items;
    if (!evaluator_rpc_grade(clients->evaluator, NULL, &grade, arena, &graded, err))
        return cap_fail_in(err, "grade");
    put.run_id = (char *)job->run_id;
    put.n_verdicts = graded->n_verdicts;
    put.verdicts = graded->verdicts;
    if (graded->n_verdicts == 0)
        return cap_fail(err, CAP_INTERNAL, "the evaluator gave no verdict for %zu answers",
                        ungraded->n_items);
    if (!store_rpc_put_verdicts(clients->store, NULL, &put, arena, &stored, err))
        return false;
    *out_graded = stored->samples_graded;
    return true;
}

bool sched_client_grade(const struct sched_clients *clients, const struct sched_job *job,
                        uint32_t batch, uint32_t *out_graded, bool *out_all, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__ReadUngradedRequest read = MOECAP__V1__READ_UNGRADED_REQUEST__INIT;
    Moecap__V1__PutVerdictsRequest nothing = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__PutVerdictsReply *stored;
    Moecap__V1__ReadUngradedReply *ungraded;

    read.run_id = nothing.run_id = (char *)job->run_id;
    read.limit = batch;
    if (!store_rpc_read_ungraded(clients->store, NULL, &read, arena, &ungraded, err))
        return false;
    if (ungraded->n_items > 0) {
        if (!grade_items(clients, job, ungraded, arena, out_graded, err))
            return false;
        *out_all = false;
        return true;
    }
    /* asks how many there are: a restart may have come in between */
    if (!store_rpc_put_verdicts(clients->store, NULL, &nothing, arena, &stored, err))
        return false;
    *out_graded = stored->samples_graded;
    *out_all = true;
    return true;
}

/* ---- measuring: the store's stream is the evaluator's ---- */

static bool pipe_evidence(struct cap_rpc_call *from, struct cap_rpc_call *to)
{
    Moecap__V1__Evidence *evidence;

    while ((evidence = store_rpc_read_evidence_next_reply(from)) != NULL)
        if (!evaluator_rpc_measure_send_request(to, evidence))
            return false;
    return true;
}

static bool finish_with(const struct sched_clients *clients, const struct sched_job *job,
                        Moecap__V1__Summary *summary, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__FinishRunRequest request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__Empty *reply;

    request.run_id = (char *)job->run_id;
    request.summary = summary;
    return store_rpc_finish_run(clients->store, NULL, &request, arena, &reply, err);
}

bool sched_client_finish(const struct sched_clients *clients, const struct sched_job *job,
                         struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = MEASURE_TIMEOUT_MS};
    Moecap__V1__ReadEvidenceRequest read = MOECAP__V1__READ_EVIDENCE_REQUEST__INIT;
    struct cap_err reading = {0}, measuring = {0};
    struct cap_rpc_call *from, *to;
    Moecap__V1__MeasureReply *reply;
    bool ok;

    read.run_id = (char *)job->run_id;
    from = store_rpc_read_evidence_open(clients->store, &options, &read);
    to = evaluator_rpc_measure_open(clients->evaluator, &options);
    if (!pipe_evidence(from, to))
        cap_rpc_cancel(from);
    ok = cap_rpc_close(from, &reading);
    if (!ok && !(reading.code == CAP_CANCELLED))
        cap_rpc_cancel(to);
    cap_rpc_send_done(to);
    reply = evaluator_rpc_measure_next_reply(to);
    ok = ok && reply && finish_with(clients, job, reply->summary, err);
    if (!cap_rpc_close(to, &measuring) && err->code == CAP_OK && !ok) {
        const struct cap_err *why =
            reading.code != CAP_OK && reading.code != CAP_CANCELLED ? &reading : &measuring;

        return cap_fail(err, why->code, "measure: %s", why->text);
    }
    if (!ok && err->code == CAP_OK)
        return cap_fail(err, CAP_UNAVAILABLE, "measure: %s",
                        *reading.text ? reading.text : "no reply");
    return ok;
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
