#include "copy.h"
#include "handlers_rpc.h"
#include "queue.h"
#include "run.h"
#include "store_wire.h"

/* ---- Enqueue ---- */

static struct store_enqueue_run *runs_from_wire(const Moecap__V1__EnqueueRequest *request,
                                                struct cap_arena *arena)
{
    struct store_enqueue_run *runs = cap_arena_array(arena, request->n_runs + 1, sizeof *runs);

    for (size_t i = 0; runs && i < request->n_runs; i++) {
        const Moecap__V1__EnqueueRun *wire = request->runs[i];
        runs[i] = (struct store_enqueue_run){wire->task,
                                             wire->task_id,
                                             wire->repeat,
                                             {wire->ordinals, wire->n_ordinals},
                                             {wire->shard_sizes, wire->n_shard_sizes}};
    }
    return runs;
}

static bool enqueue_from_wire(const Moecap__V1__EnqueueRequest *request, struct cap_arena *arena,
                              struct store_enqueue *out_request, struct cap_err *err)
{
    const Moecap__V1__EvaluationSpec *spec = request->spec;

    if (!spec)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the request holds no spec");
    *out_request = (struct store_enqueue){
        .spec = store_packed(&spec->base, arena),
        .spec_json = request->spec_json,
        .config_hash = request->config_hash,
        .model = spec->model,
        .engine = spec->engine,
        .precision = spec->precision,
        .submitter = spec->submitter,
        .priority = spec->priority,
        .runs = runs_from_wire(request, arena),
        .run_count = request->n_runs,
    };
    return (out_request->spec.data && out_request->runs) || store_fail_full(err);
}

bool store_handle_enqueue(struct cap_rpc_call *call, const Moecap__V1__EnqueueRequest *request,
                          Moecap__V1__EnqueueReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_enqueued made;
    struct store_enqueue plain;

    if (!enqueue_from_wire(request, arena, &plain, err) ||
        !store_queue_enqueue(store_pg_of(call), &plain, arena, &made, err))
        return false;
    reply->evaluation_id = (char *)made.evaluation_id;
    reply->run_ids = (char **)made.run_ids;
    reply->n_run_ids = made.run_count;
    reply->duplicate = made.duplicate;
    return true;
}

/* ---- ListActive ---- */

static Moecap__V1__ActiveShard *shard_to_wire(const struct store_active_shard *shard,
                                              const char *run_id, struct cap_arena *arena)
{
    Moecap__V1__ActiveShard *wire = cap_arena_alloc(arena, sizeof *wire);
    const struct store_lease_ref lease = {run_id, shard->shard, shard->fence};

    if (!wire)
        return NULL;
    moecap__v1__active_shard__init(wire);
    wire->shard = shard->shard;
    wire->done = shard->done;
    if (!shard->leased)
        return wire;
    wire->lease = store_lease_ref_to_wire(&lease, arena);
    wire->node = (char *)shard->node;
    wire->lease_left_ms = shard->lease_left_ms;
    return wire->lease ? wire : NULL;
}

static Moecap__V1__ActiveRun *run_to_wire(const struct store_active_run *run,
                                          struct cap_arena *arena)
{
    Moecap__V1__ActiveRun *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__active_run__init(wire);
    wire->run_id = (char *)run->run_id;
    wire->task = (char *)run->task;
    wire->task_id = run->task_id;
    wire->repeat = run->repeat;
    wire->state = (Moecap__V1__RunState)run->state;
    wire->reason = (char *)run->reason;
    wire->samples_total = run->samples_total;
    wire->samples_answered = run->samples_answered;
    wire->samples_graded = run->samples_graded;
    wire->queued_at_ms = run->queued_at_ms;
    wire->started_at_ms = run->started_at_ms;
    wire->ended_at_ms = run->ended_at_ms;
    wire->attempts = run->attempts;
    wire->shards = cap_arena_array(arena, run->shard_count + 1, sizeof *wire->shards);
    for (; wire->shards && wire->n_shards < run->shard_count; wire->n_shards++)
        if (!(wire->shards[wire->n_shards] =
                  shard_to_wire(&run->shards[wire->n_shards], run->run_id, arena)))
            return NULL;
    return wire->shards ? wire : NULL;
}

static bool send_active(struct cap_rpc_call *call, const struct store_active *item,
                        struct cap_arena *arena, struct cap_err *err)
{
    Moecap__V1__ActiveEvaluation wire = MOECAP__V1__ACTIVE_EVALUATION__INIT;

    wire.evaluation_id = (char *)item->evaluation_id;
    wire.config_hash = (char *)item->config_hash;
    wire.spec = store_spec_to_wire(item->spec, arena);
    wire.runs = cap_arena_array(arena, item->run_count + 1, sizeof *wire.runs);
    if (!wire.spec || !wire.runs)
        return store_fail_full(err);
    for (; wire.n_runs < item->run_count; wire.n_runs++)
        if (!(wire.runs[wire.n_runs] = run_to_wire(&item->runs[wire.n_runs], arena)))
            return store_fail_full(err);
    return store_rpc_list_active_send_reply(call, &wire) ||
           cap_fail(err, CAP_CANCELLED, "the caller is gone");
}

bool store_handle_list_active(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                              struct cap_err *err)
{
    enum { PAGE_BYTES_MAX = 256 << 20 };
    CAP_AUTO(cap_arena) page = cap_arena_new(PAGE_BYTES_MAX);
    int64_t after_no = 0;
    struct store_active *items;
    size_t count;

    (void)request;
    do {
        cap_arena_reset(page);
        if (!store_queue_active(store_pg_of(call), after_no, page, &items, &count, err))
            return false;
        for (size_t i = 0; i < count; i++)
            if (!send_active(call, &items[i], page, err))
                return false;
        after_no = count > 0 ? items[count - 1].evaluation_no : after_no;
    } while (count > 0);
    return true;
}

/* ---- MoveRun ---- */

bool store_handle_move_run(struct cap_rpc_call *call, const Moecap__V1__MoveRunRequest *request,
                           Moecap__V1__Empty *reply, struct cap_err *err)
{
    /* A reason may quote a file or an answer: never a cause to refuse that a run failed. */
    const char *reason = store_text_fit(cap_rpc_arena(call), request->reason);

    (void)reply;
    if (!reason)
        return store_fail_full(err);
    return store_run_move(store_pg_of(call), request->run_id, (enum store_state)request->from,
                          (enum store_state)request->to, reason, err);
}
