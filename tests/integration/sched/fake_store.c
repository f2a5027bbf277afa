#include "fakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "moecap/v1/evaluator.pb-c.h"
#include "moecap/v1/store.rpc.h"
#include "rpc/rpc.h"

#define STATE(name) MOECAP__V1__RUN_STATE__RUN_STATE_##name

static int64_t now_ms(void)
{
    return cap_clock_ms(cap_clock_system());
}

static bool roll(struct fake_store *store, int percent)
{
    bool hit;

    pthread_mutex_lock(&store->lock);
    hit = percent > 0 && cap_rand_below(&store->rand, 100) < (uint64_t)percent;
    pthread_mutex_unlock(&store->lock);
    store->calls_failed += hit;
    return hit;
}

/* Before and after what a handler does. */
static bool let_in(struct cap_rpc_call *call, struct fake_store **out_store, struct cap_err *err)
{
    *out_store = cap_rpc_self(call);
    return !roll(*out_store, (*out_store)->fail_percent) ||
           cap_fail(err, CAP_UNAVAILABLE, "the database is away");
}

static bool let_out(struct fake_store *store, struct cap_err *err)
{
    return !roll(store, store->lose_percent) ||
           cap_fail(err, CAP_UNAVAILABLE, "the connection broke");
}

static struct fake_run *find(struct fake_store *store, const char *run_id)
{
    for (int i = 0; i < store->run_count; i++)
        if (strcmp(store->runs[i].id, run_id) == 0)
            return &store->runs[i];
    return NULL;
}

static bool is_over(int state)
{
    return state >= STATE(FINISHED);
}

static void set_state(struct fake_run *run, int state)
{
    assert_false(is_over(run->state));
    run->state = state;
    if (state != STATE(LEASED) && state != STATE(RUNNING))
        run->held = false;
}

static void end_lease(struct fake_run *run)
{
    run->held = false;
    if (run->state == STATE(LEASED) || run->state == STATE(RUNNING))
        set_state(run, STATE(QUEUED));
}

/* ---- tasks ---- */

static void fill_task(Moecap__V1__TaskInfo *task)
{
    moecap__v1__task_info__init(task);
    task->name = "counting";
    task->definition = "{}";
    task->samples = FAKE_SAMPLES;
}

static bool list_tasks(struct cap_rpc_call *call, const Moecap__V1__ListTasksRequest *request,
                       Moecap__V1__ListTasksReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_store *store;

    (void)request;
    if (!let_in(call, &store, err))
        return false;
    reply->tasks = cap_arena_array(arena, 1, sizeof *reply->tasks);
    reply->tasks[0] = cap_arena_alloc(arena, sizeof **reply->tasks);
    fill_task(reply->tasks[0]);
    reply->n_tasks = 1;
    return true;
}

static bool get_task(struct cap_rpc_call *call, const Moecap__V1__GetTaskRequest *request,
                     Moecap__V1__GetTaskReply *reply, struct cap_err *err)
{
    struct fake_store *store;

    (void)request;
    if (!let_in(call, &store, err))
        return false;
    reply->task = cap_arena_alloc(cap_rpc_arena(call), sizeof *reply->task);
    fill_task(reply->task);
    reply->task_id = 1;
    return true;
}

static bool read_docs(struct cap_rpc_call *call, const Moecap__V1__ReadDocsRequest *request,
                      Moecap__V1__ReadDocsReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_store *store;

    if (!let_in(call, &store, err))
        return false;
    reply->docs = cap_arena_array(arena, request->n_ordinals, sizeof *reply->docs);
    for (size_t i = 0; i < request->n_ordinals; i++) {
        reply->docs[i] = cap_arena_alloc(arena, sizeof **reply->docs);
        moecap__v1__task_doc__init(reply->docs[i]);
        reply->docs[i]->ordinal = request->ordinals[i];
        reply->docs[i]->uid = cap_arena_printf(arena, "u%u", request->ordinals[i]);
        reply->docs[i]->json = "{}";
    }
    reply->n_docs = request->n_ordinals;
    return true;
}

/* ---- the queue ---- */

static void keep_spec(struct fake_run *run, const Moecap__V1__EvaluationSpec *spec)
{
    run->spec_bytes = moecap__v1__evaluation_spec__get_packed_size(spec);
    run->spec = malloc(run->spec_bytes + 1);
    assert_non_null(run->spec);
    moecap__v1__evaluation_spec__pack(spec, run->spec);
}

static void add_runs(struct fake_store *store, const Moecap__V1__EnqueueRequest *request)
{
    char evaluation_id[CAP_ID_BYTES];

    cap_rand_id("eval", evaluation_id);
    for (size_t i = 0; i < request->n_runs; i++) {
        struct fake_run *run = &store->runs[store->run_count++];

        assert_true(store->run_count <= FAKE_RUNS_MAX);
        cap_rand_id("run", run->id);
        memcpy(run->evaluation_id, evaluation_id, sizeof run->evaluation_id);
        snprintf(run->hash, sizeof run->hash, "%s", request->config_hash);
        snprintf(run->task, sizeof run->task, "%s", request->runs[i]->task);
        run->state = STATE(QUEUED);
        run->total = (uint32_t)request->runs[i]->n_ordinals;
        keep_spec(run, request->spec);
    }
}

static bool enqueue(struct cap_rpc_call *call, const Moecap__V1__EnqueueRequest *request,
                    Moecap__V1__EnqueueReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_store *store;

    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    for (int i = 0; i < store->run_count; i++)
        reply->duplicate =
            reply->duplicate || (strcmp(store->runs[i].hash, request->config_hash) == 0 &&
                                 !is_over(store->runs[i].state));
    if (!reply->duplicate)
        add_runs(store, request);
    reply->run_ids = cap_arena_array(arena, FAKE_RUNS_MAX, sizeof *reply->run_ids);
    for (int i = 0; i < store->run_count; i++) {
        struct fake_run *run = &store->runs[i];

        if (strcmp(run->hash, request->config_hash) != 0 || is_over(run->state))
            continue;
        reply->evaluation_id = cap_arena_strdup(arena, run->evaluation_id);
        reply->run_ids[reply->n_run_ids++] = cap_arena_strdup(arena, run->id);
    }
    pthread_mutex_unlock(&store->lock);
    return let_out(store, err);
}

static void send_active(struct cap_rpc_call *call, const struct fake_run *run)
{
    Moecap__V1__ActiveEvaluation evaluation = MOECAP__V1__ACTIVE_EVALUATION__INIT;
    Moecap__V1__ActiveRun active = MOECAP__V1__ACTIVE_RUN__INIT, *runs = &active;
    Moecap__V1__ActiveShard shard = MOECAP__V1__ACTIVE_SHARD__INIT, *shards = &shard;
    Moecap__V1__LeaseRef lease = MOECAP__V1__LEASE_REF__INIT;

    evaluation.evaluation_id = (char *)run->evaluation_id;
    evaluation.spec = moecap__v1__evaluation_spec__unpack(NULL, run->spec_bytes, run->spec);
    evaluation.runs = &runs;
    evaluation.n_runs = 1;
    active.run_id = (char *)run->id;
    active.task = (char *)run->task;
    active.task_id = 1;
    active.state = (Moecap__V1__RunState)run->state;
    active.samples_total = run->total;
    active.samples_answered = run->answered;
    active.samples_graded = run->graded;
    active.shards = &shards;
    active.n_shards = 1;
    lease.run_id = (char *)run->id;
    lease.fence = run->fence;
    shard.lease = run->held ? &lease : NULL;
    store_rpc_list_active_send_reply(call, &evaluation);
    moecap__v1__evaluation_spec__free_unpacked(evaluation.spec, NULL);
}

static bool list_active(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                        struct cap_err *err)
{
    struct fake_store *store;

    (void)request;
    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    for (int i = 0; i < store->run_count; i++)
        if (!is_over(store->runs[i].state))
            send_active(call, &store->runs[i]);
    pthread_mutex_unlock(&store->lock);
    return true;
}

static bool lease_locked(struct fake_store *store, struct cap_arena *arena,
                         const Moecap__V1__LeaseRequest *request, Moecap__V1__LeaseReply *reply,
                         struct cap_err *err)
{
    struct fake_run *run = find(store, request->run_id);

    if (!run)
        return cap_fail(err, CAP_NOT_FOUND, "run %s does not exist", request->run_id);
    if (run->held && run->lease_until <= now_ms())
        end_lease(run);
    if (run->held || run->state != STATE(QUEUED))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s cannot be leased", run->id);
    run->fence++;
    run->attempts++;
    run->held = true;
    run->lease_until = now_ms() + request->lease_ms;
    set_state(run, STATE(LEASED));
    store->leases++;
    reply->fence = run->fence;
    reply->seq_next = run->seq;
    reply->samples_total = run->total;
    reply->attempt = (uint32_t)run->attempts;
    reply->ordinals_left = cap_arena_array(arena, FAKE_SAMPLES, sizeof(uint32_t));
    for (uint32_t i = 0; i < run->total; i++)
        if (!run->stored[i])
            reply->ordinals_left[reply->n_ordinals_left++] = i;
    return true;
}

static bool lease(struct cap_rpc_call *call, const Moecap__V1__LeaseRequest *request,
                  Moecap__V1__LeaseReply *reply, struct cap_err *err)
{
    struct fake_store *store;
    bool ok;

    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    ok = lease_locked(store, cap_rpc_arena(call), request, reply, err);
    pthread_mutex_unlock(&store->lock);
    return ok && let_out(store, err);
}

static bool renew(struct cap_rpc_call *call, const Moecap__V1__RenewRequest *request,
                  Moecap__V1__RenewReply *reply, struct cap_err *err)
{
    struct fake_store *store;

    if (!let_in(call, &store, err))
        return false;
    reply->lost = cap_arena_array(cap_rpc_arena(call), request->n_leases + 1, sizeof *reply->lost);
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < request->n_leases; i++) {
        struct fake_run *run = find(store, request->leases[i]->run_id);

        if (run && run->fence == request->leases[i]->fence && run->held)
            run->lease_until = now_ms() + request->lease_ms;
        else if (!run || run->fence != request->leases[i]->fence || run->answered < run->total)
            reply->lost[reply->n_lost++] = request->leases[i];
    }
    pthread_mutex_unlock(&store->lock);
    return true;
}

static bool release(struct cap_rpc_call *call, const Moecap__V1__ReleaseRequest *request,
                    Moecap__V1__Empty *reply, struct cap_err *err)
{
    struct fake_store *store;
    struct fake_run *run;

    (void)reply;
    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    run = find(store, request->lease->run_id);
    if (run && run->held && run->fence == request->lease->fence)
        end_lease(run);
    pthread_mutex_unlock(&store->lock);
    return let_out(store, err);
}

static bool sweep(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                  Moecap__V1__SweepReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_store *store;

    (void)request;
    if (!let_in(call, &store, err))
        return false;
    reply->expired = cap_arena_array(arena, FAKE_RUNS_MAX, sizeof *reply->expired);
    pthread_mutex_lock(&store->lock);
    for (int i = 0; i < store->run_count; i++) {
        struct fake_run *run = &store->runs[i];
        Moecap__V1__LeaseRef *ref = cap_arena_alloc(arena, sizeof *ref);

        if (!run->held || run->lease_until > now_ms())
            continue;
        moecap__v1__lease_ref__init(ref);
        ref->run_id = cap_arena_strdup(arena, run->id);
        ref->fence = run->fence;
        reply->expired[reply->n_expired++] = ref;
        end_lease(run);
    }
    pthread_mutex_unlock(&store->lock);
    return true;
}

static bool move_run(struct cap_rpc_call *call, const Moecap__V1__MoveRunRequest *request,
                     Moecap__V1__Empty *reply, struct cap_err *err)
{
    struct fake_store *store;
    struct fake_run *run;

    (void)reply;
    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    run = find(store, request->run_id);
    if (!run)
        cap_fail(err, CAP_NOT_FOUND, "run %s does not exist", request->run_id);
    else if (run->state != (int)request->to && run->state != (int)request->from)
        cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is in state %d", run->id, run->state);
    else if (run->state != (int)request->to) {
        snprintf(run->reason, sizeof run->reason, "%s", request->reason);
        set_state(run, (int)request->to);
    }
    pthread_mutex_unlock(&store->lock);
    return err->code == CAP_OK && let_out(store, err);
}

/* ---- evidence ---- */

/* False when the batch does not fit. */
static bool store_rows(struct fake_run *run, const Moecap__V1__AnswerBatch *batch)
{
    Moecap__V1__AnswerRows *rows =
        moecap__v1__answer_rows__unpack(NULL, batch->rows.len, batch->rows.data);

    assert_non_null(rows);
    assert_int_equal(rows->n_answers, batch->answers);
    for (size_t i = 0; i < rows->n_answers; i++) {
        assert_true(rows->answers[i]->ordinal < run->total);
        run->stored[rows->answers[i]->ordinal]++;
    }
    run->answered += batch->answers;
    moecap__v1__answer_rows__free_unpacked(rows, NULL);
    return true;
}

static bool append_locked(struct fake_store *store, const Moecap__V1__AnswerBatch *batch,
                          Moecap__V1__AppendReply *reply, struct cap_err *err)
{
    struct fake_run *run = find(store, batch->lease->run_id);

    if (!run || run->fence != batch->lease->fence)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "the fence is not valid");
    if (batch->seq < run->seq && run->ledger[batch->seq] == batch->lease->fence) {
        store->repeated++;
        reply->repeated_batch = true;
    } else if (!run->held || batch->seq != run->seq) {
        return cap_fail(err, CAP_FAILED_PRECONDITION, "batch %llu is not welcome",
                        (unsigned long long)batch->seq);
    } else {
        if (run->state == STATE(LEASED))
            set_state(run, STATE(RUNNING));
        run->ledger[run->seq++] = batch->lease->fence;
        store_rows(run, batch);
        if (batch->last) {
            assert_int_equal(run->answered, run->total);
            set_state(run, STATE(GRADING));
        }
    }
    reply->samples_answered = run->answered;
    reply->run_done = run->state >= STATE(GRADING);
    return true;
}

static bool append(struct cap_rpc_call *call, const Moecap__V1__AppendRequest *request,
                   Moecap__V1__AppendReply *reply, struct cap_err *err)
{
    struct fake_store *store;
    bool ok;

    if (!let_in(call, &store, err))
        return false;
    cap_sleep_ms(store->append_ms);
    pthread_mutex_lock(&store->lock);
    ok = append_locked(store, request->batch, reply, err);
    store->refused += !ok;
    pthread_mutex_unlock(&store->lock);
    return ok && let_out(store, err);
}

static bool read_ungraded(struct cap_rpc_call *call, const Moecap__V1__ReadUngradedRequest *request,
                          Moecap__V1__ReadUngradedReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_store *store;
    struct fake_run *run;

    if (!let_in(call, &store, err))
        return false;
    reply->items = cap_arena_array(arena, FAKE_SAMPLES, sizeof *reply->items);
    pthread_mutex_lock(&store->lock);
    run = find(store, request->run_id);
    assert_int_equal(run->answered, run->total); /* nothing is graded before all is stored */
    for (uint32_t i = run->graded; i < run->total && reply->n_items < request->limit; i++) {
        Moecap__V1__GradeItem *item = cap_arena_alloc(arena, sizeof *item);

        moecap__v1__grade_item__init(item);
        item->answer = cap_arena_alloc(arena, sizeof *item->answer);
        moecap__v1__sample_answer__init(item->answer);
        item->answer->ordinal = i;
        reply->items[reply->n_items++] = item;
    }
    pthread_mutex_unlock(&store->lock);
    return true;
}

static bool put_verdicts(struct cap_rpc_call *call, const Moecap__V1__PutVerdictsRequest *request,
                         Moecap__V1__PutVerdictsReply *reply, struct cap_err *err)
{
    struct fake_store *store;
    struct fake_run *run;

    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    run = find(store, request->run_id);
    for (size_t i = 0; i < request->n_verdicts; i++)
        if (request->verdicts[i]->ordinal == run->graded)
            run->graded++;
    reply->samples_graded = run->graded;
    pthread_mutex_unlock(&store->lock);
    return let_out(store, err);
}

static bool read_evidence(struct cap_rpc_call *call, const Moecap__V1__ReadEvidenceRequest *request,
                          struct cap_err *err)
{
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT, *answers = &answer;
    struct fake_store *store;
    uint32_t total;

    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    total = find(store, request->run_id)->total;
    pthread_mutex_unlock(&store->lock);
    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    evidence.answers = &answers;
    evidence.n_answers = 1;
    for (uint32_t i = 0; i < total; i++)
        store_rpc_read_evidence_send_reply(call, &evidence);
    return let_out(store, err);
}

static bool finish_run(struct cap_rpc_call *call, const Moecap__V1__FinishRunRequest *request,
                       Moecap__V1__Empty *reply, struct cap_err *err)
{
    struct fake_store *store;
    struct fake_run *run;

    (void)reply;
    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    run = find(store, request->run_id);
    if (run->state == STATE(GRADING)) {
        assert_int_equal(run->graded, run->total);
        set_state(run, STATE(FINISHED));
    } else if (run->state != STATE(FINISHED)) {
        cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is not grading", run->id);
    }
    pthread_mutex_unlock(&store->lock);
    return err->code == CAP_OK && let_out(store, err);
}

/* ---- reads ---- */

static Moecap__V1__BoardRow *row_of(const struct fake_run *run, struct cap_arena *arena)
{
    Moecap__V1__BoardRow *row = cap_arena_alloc(arena, sizeof *row);

    moecap__v1__board_row__init(row);
    row->run_id = cap_arena_strdup(arena, run->id);
    row->evaluation_id = cap_arena_strdup(arena, run->evaluation_id);
    row->reason = cap_arena_strdup(arena, run->reason);
    row->task = "counting";
    row->state = (Moecap__V1__RunState)run->state;
    return row;
}

static bool get_run(struct cap_rpc_call *call, const Moecap__V1__GetRunRequest *request,
                    Moecap__V1__GetRunReply *reply, struct cap_err *err)
{
    struct fake_store *store;
    struct fake_run *run;

    if (!let_in(call, &store, err))
        return false;
    pthread_mutex_lock(&store->lock);
    run = find(store, request->run_id);
    if (run) {
        reply->row = row_of(run, cap_rpc_arena(call));
        reply->samples_total = run->total;
        reply->samples_answered = run->answered;
        reply->samples_graded = run->graded;
    } else {
        cap_fail(err, CAP_NOT_FOUND, "run \"%s\" does not exist", request->run_id);
    }
    pthread_mutex_unlock(&store->lock);
    return err->code == CAP_OK;
}

enum { BOARD_PAGE = 2 }; /* short, so that readers must go on */

static bool board(struct cap_rpc_call *call, const Moecap__V1__BoardRequest *request,
                  Moecap__V1__BoardReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_store *store;
    bool behind = !*request->after;

    if (!let_in(call, &store, err))
        return false;
    reply->rows = cap_arena_array(arena, BOARD_PAGE, sizeof *reply->rows);
    pthread_mutex_lock(&store->lock);
    for (int i = store->run_count - 1; i >= 0 && !reply->opt_next_case; i--) {
        if (strcmp(store->runs[i].evaluation_id, request->evaluation_id) != 0)
            continue;
        if (behind && reply->n_rows == BOARD_PAGE) {
            reply->opt_next_case = MOECAP__V1__BOARD_REPLY__OPT_NEXT_NEXT_AFTER;
            reply->next_after = reply->rows[BOARD_PAGE - 1]->run_id;
        } else if (behind) {
            reply->rows[reply->n_rows++] = row_of(&store->runs[i], arena);
        }
        behind = behind || strcmp(store->runs[i].id, request->after) == 0;
    }
    pthread_mutex_unlock(&store->lock);
    return true;
}

static bool put_node(struct cap_rpc_call *call, const Moecap__V1__PutNodeRequest *request,
                     Moecap__V1__Empty *reply, struct cap_err *err)
{
    struct fake_store *store;

    (void)request;
    (void)reply;
    return let_in(call, &store, err);
}

static const struct store_rpc_handlers handlers = {
    .list_tasks = list_tasks,
    .get_task = get_task,
    .read_docs = read_docs,
    .enqueue = enqueue,
    .list_active = list_active,
    .lease = lease,
    .renew = renew,
    .release = release,
    .sweep = sweep,
    .move_run = move_run,
    .append = append,
    .read_ungraded = read_ungraded,
    .put_verdicts = put_verdicts,
    .read_evidence = read_evidence,
    .finish_run = finish_run,
    .board = board,
    .get_run = get_run,
    .put_node = put_node,
};

/* ---- life ---- */

void fake_store_start(struct fake_store *store)
{
    struct cap_err err = {0};
    char address[32];

    if (store->port == 0) {
        pthread_mutex_init(&store->lock, NULL);
        cap_rand_seed(&store->rand, 1);
    }
    snprintf(address, sizeof address, "127.0.0.1:%d", store->port);
    store->server = cap_rpc_server_new(&(struct cap_rpc_server_options){0});
    cap_rpc_server_add(store->server, &store_rpc_service, &handlers, store);
    assert_true(cap_rpc_server_listen(store->server, address, &store->port, &err));
    cap_rpc_server_start(store->server);
}

void fake_store_stop(struct fake_store *store)
{
    cap_rpc_server_drain(store->server, 0);
    cap_rpc_server_free(store->server);
    store->server = NULL;
}

void fake_store_done(struct fake_store *store)
{
    if (store->server)
        fake_store_stop(store);
    for (int i = 0; i < store->run_count; i++)
        free(store->runs[i].spec);
    pthread_mutex_destroy(&store->lock);
}

struct fake_run fake_store_run(struct fake_store *store, const char *run_id)
{
    struct fake_run copy, *run;

    pthread_mutex_lock(&store->lock);
    run = find(store, run_id);
    assert_non_null(run);
    copy = *run;
    pthread_mutex_unlock(&store->lock);
    return copy;
}
