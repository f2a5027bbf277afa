/* The queue: evaluations on their way in, and what a scheduler starts from.
 *
 * What it guarantees
 *   An evaluation, its runs, their shards and the event "queued" of each are one transaction.
 *   Of one configuration at most one evaluation is open (the unique index evaluation_open): the
 *   second submitter gets the ids of the first. When that evaluation ends
 *   between our INSERT and our look, we insert again (the loop in `enqueue`).
 *   Nothing waits in the queue that no scheduler takes: a run has one shard, its task and repeat
 *   are of its spec and come once, its samples exist. What does not fit is refused with the place.
 *
 * Locks: none but the unique index; the rows are new. ListActive reads a page of evaluations and
 * their runs in one snapshot; between pages runs may move on, so a scheduler that starts asks for
 * each run's state again where it matters (Lease, MoveRun compare and set).
 */
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "row_map.h"
#include "run.h"
#include "store.h"

/* ---- checks ---- */

static int by_value(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

/* The first ordinal that comes twice, or -1. */
static int64_t find_twice(const uint32_t *ordinals, size_t count)
{
    CAP_AUTO_MEM uint32_t *sorted = malloc(count * sizeof *sorted);

    if (!sorted)
        abort();
    memcpy(sorted, ordinals, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    for (size_t i = 1; i < count; i++)
        if (sorted[i] == sorted[i - 1])
            return sorted[i];
    return -1;
}

static bool check_samples(const Moecap__V1__EnqueueRun *run, struct cap_err *err)
{
    size_t sum = 0;

    if (run->n_ordinals == 0 || run->n_ordinals > STORE_RUN_SAMPLES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has %zu samples, must have 1 to %d",
                        run->n_ordinals, STORE_RUN_SAMPLES_MAX);
    if (run->n_shard_sizes > STORE_RUN_SHARDS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has %zu shards, a scheduler takes %d",
                        run->n_shard_sizes, STORE_RUN_SHARDS_MAX);
    for (size_t i = 0; i < run->n_shard_sizes; i++) {
        if (run->shard_sizes[i] == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "its shard %zu is empty", i);
        sum += run->shard_sizes[i];
    }
    if (sum != run->n_ordinals)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "its shards have %zu samples, the run has %zu",
                        sum, run->n_ordinals);
    if (find_twice(run->ordinals, run->n_ordinals) >= 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has sample %lld twice",
                        (long long)find_twice(run->ordinals, run->n_ordinals));
    return true;
}

/* The run is one that the spec asks for. */
static bool check_fits(const Moecap__V1__EvaluationSpec *spec, const Moecap__V1__EnqueueRun *run,
                       struct cap_err *err)
{
    uint32_t repeats = spec->repeats ? spec->repeats : 1;
    size_t at = 0;

    while (at < spec->n_tasks && strcmp(spec->tasks[at], run->task) != 0)
        at++;
    if (at == spec->n_tasks)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the spec does not name its task");
    if (run->repeat >= repeats)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it is repeat %u, the spec asks for %u from 0",
                        run->repeat, repeats);
    if (spec->limit > 0 && run->n_ordinals > spec->limit)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has %zu samples, the spec's limit is %u",
                        run->n_ordinals, spec->limit);
    return true;
}

static int by_task_and_repeat(const void *a, const void *b)
{
    const Moecap__V1__EnqueueRun *left = *(Moecap__V1__EnqueueRun *const *)a,
                                 *right = *(Moecap__V1__EnqueueRun *const *)b;
    int order = strcmp(left->task, right->task);

    return order ? order : (left->repeat > right->repeat) - (left->repeat < right->repeat);
}

static bool check_once(const Moecap__V1__EnqueueRequest *request, struct cap_err *err)
{
    CAP_AUTO_MEM Moecap__V1__EnqueueRun **sorted = malloc(request->n_runs * sizeof *sorted);

    if (!sorted)
        abort();
    memcpy(sorted, request->runs, request->n_runs * sizeof *sorted);
    qsort(sorted, request->n_runs, sizeof *sorted, by_task_and_repeat);
    for (size_t i = 1; i < request->n_runs; i++)
        if (by_task_and_repeat(&sorted[i - 1], &sorted[i]) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "repeat %u of task \"%.128s\" appears twice",
                            sorted[i]->repeat, sorted[i]->task);
    return true;
}

static bool check_enqueue(const Moecap__V1__EnqueueRequest *request, struct cap_err *err)
{
    const Moecap__V1__EvaluationSpec *spec = request->spec;

    if (!spec)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the request holds no spec");
    if (!*spec->model || !*spec->engine)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the spec names no model or no engine");
    if (strlen(request->config_hash) != 64 ||
        strspn(request->config_hash, "0123456789abcdef") != 64)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "config_hash is not 64 hexadecimal digits");
    if (request->n_runs == 0 || request->n_runs > STORE_RUNS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu runs, an evaluation has 1 to %d",
                        request->n_runs, STORE_RUNS_MAX);
    for (size_t i = 0; i < request->n_runs; i++)
        if (!check_samples(request->runs[i], err) || !check_fits(spec, request->runs[i], err))
            return cap_fail_in(err, "run %zu, task \"%.128s\"", i, request->runs[i]->task);
    return check_once(request, err);
}

/* ---- Enqueue ---- */

struct enqueue_work {
    const Moecap__V1__EnqueueRequest *request;
    struct store_bytes spec; /* packed */
    struct cap_arena *arena;
    Moecap__V1__EnqueueReply *reply;
};

/* Answers one row, evaluation_no, or none when the configuration is open already. */
static struct store_rows *insert_evaluation(struct store_conn *conn,
                                            const struct enqueue_work *work,
                                            const char *evaluation_id, struct cap_err *err)
{
    const Moecap__V1__EnqueueRequest *request = work->request;
    const Moecap__V1__EvaluationSpec *spec = request->spec;

    return store_pg_ask(
        conn, err,
        "INSERT INTO evaluation (evaluation_id, config_hash, spec, spec_json, model, engine,"
        " precision, submitter, priority) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " ON CONFLICT (config_hash) WHERE ended_at IS NULL DO NOTHING RETURNING evaluation_no",
        STORE_ARGS(store_arg_text(evaluation_id), store_arg_text(request->config_hash),
                   store_arg_bytes(work->spec), store_arg_text(request->spec_json),
                   store_arg_text(spec->model), store_arg_text(spec->engine),
                   store_arg_text(spec->precision), store_arg_text(spec->submitter),
                   store_arg_int(spec->priority)));
}

static bool note_ids(const struct enqueue_work *work, const struct store_rows *rows,
                     struct cap_err *err)
{
    Moecap__V1__EnqueueReply *reply = work->reply;

    reply->duplicate = true;
    reply->n_run_ids = 0;
    reply->evaluation_id = store_rows_text_copy(rows, 0, 0, work->arena);
    reply->run_ids = cap_arena_array(work->arena, store_rows_count(rows), sizeof *reply->run_ids);
    if (!reply->evaluation_id || !reply->run_ids)
        return store_fail_full(err);
    for (size_t i = 0; i < store_rows_count(rows); i++)
        if (!(reply->run_ids[reply->n_run_ids++] = store_rows_text_copy(rows, i, 1, work->arena)))
            return store_fail_full(err);
    return true;
}

/* The open evaluation of the same configuration. It may have ended a moment ago: out_found. */
static bool find_open(struct store_conn *conn, const struct enqueue_work *work, bool *out_found,
                      struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT evaluation_id, run_id FROM evaluation JOIN run USING (evaluation_no)"
                     " WHERE config_hash = $1 AND evaluation.ended_at IS NULL ORDER BY position",
                     STORE_ARGS(store_arg_text(work->request->config_hash)));

    if (!rows)
        return false;
    *out_found = store_rows_count(rows) > 0;
    return !*out_found || note_ids(work, rows, err);
}

static bool check_task(struct store_conn *conn, const Moecap__V1__EnqueueRun *run,
                       struct cap_err *err)
{
    uint32_t highest = 0;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, "SELECT name, samples FROM task WHERE task_id = $1",
                     STORE_ARGS(store_arg_uint(run->task_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0 || strcmp(store_rows_text(rows, 0, 0), run->task) != 0)
        return cap_fail(err, CAP_NOT_FOUND, "task \"%.128s\" with task_id %llu does not exist",
                        run->task, (unsigned long long)run->task_id);
    for (size_t i = 0; i < run->n_ordinals; i++)
        if (run->ordinals[i] > highest)
            highest = run->ordinals[i];
    if (highest < store_rows_u32(rows, 0, 1))
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "task \"%s\" has %s samples, so none with ordinal %u", run->task,
                    store_rows_text(rows, 0, 1), highest);
}

static bool insert_shards(struct store_conn *conn, const Moecap__V1__EnqueueRun *run,
                          int64_t run_no, struct cap_err *err)
{
    enum { BYTES_MAX = 32 << 20 };
    STORE_AUTO_COPY(copy, BYTES_MAX);
    const uint32_t *ordinals = run->ordinals;

    for (size_t i = 0; i < run->n_shard_sizes; i++) {
        store_copy_int(&copy, run_no);
        store_copy_uint(&copy, i);
        store_copy_column(&copy);
        store_add_u32s(&copy.lines, ordinals, run->shard_sizes[i]);
        store_copy_end_row(&copy);
        ordinals += run->shard_sizes[i];
    }
    return store_pg_copy(conn, "COPY shard (run_no, shard, ordinals) FROM STDIN", copy.lines.data,
                         copy.lines.length, err);
}

static bool insert_run(struct store_conn *conn, const struct enqueue_work *work, size_t index,
                       int64_t evaluation_no, struct cap_err *err)
{
    const Moecap__V1__EnqueueRun *run = work->request->runs[index];
    char run_id[CAP_ID_BYTES];

    cap_rand_id("run", run_id);
    work->reply->run_ids[index] = cap_arena_strdup(work->arena, run_id);
    if (!work->reply->run_ids[index])
        return store_fail_full(err);
    if (!check_task(conn, run, err))
        return false;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "INSERT INTO run (run_id, evaluation_no, position, task_id, repeat,"
                     " samples_total) VALUES ($1, $2, $3, $4, $5, $6) RETURNING run_no",
                     STORE_ARGS(store_arg_text(run_id), store_arg_int(evaluation_no),
                                store_arg_uint(index), store_arg_uint(run->task_id),
                                store_arg_int(run->repeat), store_arg_uint(run->n_ordinals)));
    return rows && insert_shards(conn, run, store_rows_int(rows, 0, 0), err) &&
           store_event_add(conn, run_id, "state", "queued", err);
}

static bool insert_runs(struct store_conn *conn, const struct enqueue_work *work,
                        int64_t evaluation_no, const char *evaluation_id, struct cap_err *err)
{
    Moecap__V1__EnqueueReply *reply = work->reply;

    reply->duplicate = false;
    reply->n_run_ids = work->request->n_runs;
    reply->run_ids = cap_arena_array(work->arena, reply->n_run_ids, sizeof *reply->run_ids);
    reply->evaluation_id = cap_arena_strdup(work->arena, evaluation_id);
    if (!reply->run_ids || !reply->evaluation_id)
        return store_fail_full(err);
    for (size_t i = 0; i < reply->n_run_ids; i++)
        if (!insert_run(conn, work, i, evaluation_no, err))
            return false;
    return store_question_fill(conn, evaluation_no, err);
}

static bool enqueue(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct enqueue_work *work = arg;

    for (;;) {
        char evaluation_id[CAP_ID_BYTES];
        bool found;
        cap_rand_id("eval", evaluation_id);
        CAP_AUTO(store_rows) rows = insert_evaluation(conn, work, evaluation_id, err);
        if (!rows)
            return false;
        if (store_rows_count(rows) > 0)
            return insert_runs(conn, work, store_rows_int(rows, 0, 0), evaluation_id, err);
        if (!find_open(conn, work, &found, err))
            return false;
        if (found)
            return true;
    }
}

bool store_enqueue(struct store_pg *pg, const Moecap__V1__EnqueueRequest *request,
                   struct cap_arena *arena, Moecap__V1__EnqueueReply *reply, struct cap_err *err)
{
    struct enqueue_work work = {.request = request, .arena = arena, .reply = reply};

    if (!check_enqueue(request, err))
        return false;
    work.spec = store_packed(&request->spec->base, arena);
    return work.spec.data ? store_pg_tx(pg, STORE_TX_WRITE, enqueue, &work, err)
                          : store_fail_full(err);
}

/* ---- ListActive ---- */

struct active_work {
    int64_t after_no;
    struct cap_arena *arena;
    Moecap__V1__ActiveEvaluation **items;
    size_t count;
    int64_t last_no; /* evaluation_no of the last */
};

/* Shards of all runs of the page come in one list, runs of all evaluations in another, in the same
 * order; each run and evaluation takes its piece. */
static bool add_shards(struct store_conn *conn, const struct active_work *work,
                       const struct store_rows *run_rows, Moecap__V1__ActiveRun **runs,
                       size_t run_count, struct cap_err *err)
{
    Moecap__V1__ActiveShard **shards;
    size_t count, at = 0;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT s.run_no AS _run_no, s.shard AS shard, s.done AS done, s.node AS node,"
        " CASE WHEN s.node_id IS NOT NULL THEN r.run_id END AS \"lease.run_id\","
        " CASE WHEN s.node_id IS NOT NULL THEN s.shard END AS \"lease.shard\","
        " CASE WHEN s.node_id IS NOT NULL THEN s.fence END AS \"lease.fence\","
        " least(lease_ms, (extract(epoch FROM s.lease_until - clock_timestamp()) * 1000)::bigint)"
        "  AS lease_left_ms"
        " FROM evaluation e JOIN run r USING (evaluation_no) JOIN shard s USING (run_no)"
        " WHERE e.ended_at IS NULL AND e.evaluation_no > $1 AND e.evaluation_no <= $2"
        " ORDER BY e.evaluation_no, r.position, s.shard",
        STORE_ARGS(store_arg_int(work->after_no), store_arg_int(work->last_no)));

    if (!rows || !(shards = store_rows_list(rows, &moecap__v1__active_shard__descriptor, NULL,
                                            work->arena, &count, err)))
        return false;
    for (size_t i = 0; i < run_count; i++) {
        runs[i]->shards = &shards[at];
        while (at < count && store_rows_int(rows, at, 0) == store_rows_int(run_rows, i, 1)) {
            runs[i]->n_shards++;
            at++;
        }
    }
    return true;
}

static bool add_runs(struct store_conn *conn, const struct active_work *work,
                     const struct store_rows *evaluations, struct cap_err *err)
{
    Moecap__V1__ActiveRun **runs;
    size_t count, at = 0;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT r.evaluation_no AS _evaluation_no, r.run_no AS _run_no,"
                     " {active_run r}, t.name AS task"
                     " FROM evaluation e JOIN run r USING (evaluation_no) JOIN task t USING"
                     " (task_id) WHERE e.ended_at IS NULL AND e.evaluation_no > $1"
                     " AND e.evaluation_no <= $2 ORDER BY e.evaluation_no, r.position",
                     STORE_ARGS(store_arg_int(work->after_no), store_arg_int(work->last_no)));

    if (!rows || !(runs = store_rows_list(rows, &moecap__v1__active_run__descriptor, NULL,
                                          work->arena, &count, err)))
        return false;
    for (size_t i = 0; i < work->count; i++) {
        work->items[i]->runs = &runs[at];
        while (at < count && store_rows_int(rows, at, 0) == store_rows_int(evaluations, i, 0)) {
            work->items[i]->n_runs++;
            at++;
        }
    }
    return add_shards(conn, work, rows, runs, count, err);
}

static bool list_active(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct active_work *work = arg;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT evaluation_no AS _evaluation_no, {evaluation e} FROM evaluation e"
        " WHERE ended_at IS NULL AND evaluation_no > $1"
        " ORDER BY evaluation_no LIMIT $2",
        STORE_ARGS(store_arg_int(work->after_no), store_arg_int(STORE_ACTIVE_PAGE_MAX)));

    if (!rows || !(work->items = store_rows_list(rows, &moecap__v1__active_evaluation__descriptor,
                                                 NULL, work->arena, &work->count, err)))
        return false;
    if (work->count == 0)
        return true;
    work->last_no = store_rows_int(rows, work->count - 1, 0);
    return add_runs(conn, work, rows, err);
}

bool store_list_active(struct store_pg *pg, store_sink *sink, void *arg, struct cap_err *err)
{
    enum { PAGE_BYTES_MAX = 256 << 20 };
    CAP_AUTO(cap_arena) page = cap_arena_new(PAGE_BYTES_MAX);
    struct active_work work = {.arena = page};

    do {
        cap_arena_reset(page);
        if (!store_pg_tx(pg, STORE_TX_READ, list_active, &work, err))
            return false;
        for (size_t i = 0; i < work.count; i++)
            if (!sink(arg, &work.items[i]->base, err))
                return false;
        work.after_no = work.last_no;
    } while (work.count > 0);
    return true;
}
