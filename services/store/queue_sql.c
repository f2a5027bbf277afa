#include "queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "copy.h"
#include "pg.h"
#include "run.h"

/* ---- checks ---- */

static int by_value(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

/* The first ordinal that comes twice, or -1. */
static int64_t find_twice(struct store_u32s ordinals)
{
    CAP_AUTO_MEM uint32_t *sorted = malloc(ordinals.count * sizeof *sorted);

    if (!sorted)
        abort();
    memcpy(sorted, ordinals.items, ordinals.count * sizeof *sorted);
    qsort(sorted, ordinals.count, sizeof *sorted, by_value);
    for (size_t i = 1; i < ordinals.count; i++)
        if (sorted[i] == sorted[i - 1])
            return sorted[i];
    return -1;
}

static bool check_run(const struct store_enqueue_run *run, struct cap_err *err)
{
    size_t sum = 0;

    if (run->ordinals.count == 0 || run->ordinals.count > STORE_RUN_SAMPLES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has %zu samples, must have 1 to %d",
                        run->ordinals.count, STORE_RUN_SAMPLES_MAX);
    for (size_t i = 0; i < run->shard_sizes.count; i++) {
        if (run->shard_sizes.items[i] == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "its shard %zu is empty", i);
        sum += run->shard_sizes.items[i];
    }
    if (sum != run->ordinals.count)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "its shards have %zu samples, the run has %zu",
                        sum, run->ordinals.count);
    if (find_twice(run->ordinals) >= 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has sample %lld twice",
                        (long long)find_twice(run->ordinals));
    return true;
}

static bool check_enqueue(const struct store_enqueue *request, struct cap_err *err)
{
    if (strlen(request->config_hash) != 64 ||
        strspn(request->config_hash, "0123456789abcdef") != 64)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "config_hash is not 64 hexadecimal digits");
    if (request->run_count == 0 || request->run_count > STORE_RUNS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu runs, an evaluation has 1 to %d",
                        request->run_count, STORE_RUNS_MAX);
    for (size_t i = 0; i < request->run_count; i++)
        if (!check_run(&request->runs[i], err))
            return cap_fail_in(err, "run %zu, task \"%.128s\"", i, request->runs[i].task);
    return true;
}

/* ---- Enqueue ---- */

struct enqueue_work {
    const struct store_enqueue *request;
    struct cap_arena *arena;
    struct store_enqueued *out;
};

/* Answers one row, evaluation_no, or none when the configuration is open already. */
static struct store_rows *insert_evaluation(struct store_conn *conn,
                                            const struct store_enqueue *request,
                                            const char *evaluation_id, struct cap_err *err)
{
    return store_pg_ask(
        conn, err,
        "INSERT INTO evaluation (evaluation_id, config_hash, spec, spec_json, model, engine,"
        " precision, submitter, priority) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " ON CONFLICT (config_hash) WHERE ended_at IS NULL DO NOTHING RETURNING evaluation_no",
        STORE_ARGS(store_arg_text(evaluation_id), store_arg_text(request->config_hash),
                   store_arg_bytes(request->spec), store_arg_text(request->spec_json),
                   store_arg_text(request->model), store_arg_text(request->engine),
                   store_arg_text(request->precision), store_arg_text(request->submitter),
                   store_arg_int(request->priority)));
}

static bool note_ids(struct enqueue_work *work, const struct store_rows *rows, struct cap_err *err)
{
    struct store_enqueued *out = work->out;

    out->run_count = store_rows_count(rows);
    out->duplicate = true;
    out->evaluation_id = store_rows_text_copy(rows, 0, 0, work->arena);
    out->run_ids = cap_arena_array(work->arena, out->run_count, sizeof *out->run_ids);
    if (!out->evaluation_id || !out->run_ids)
        return store_fail_full(err);
    for (size_t i = 0; i < out->run_count; i++)
        if (!(out->run_ids[i] = store_rows_text_copy(rows, i, 1, work->arena)))
            return store_fail_full(err);
    return true;
}

/* The open evaluation of the same configuration. It may have ended a moment ago: out_found. */
static bool find_open(struct store_conn *conn, struct enqueue_work *work, bool *out_found,
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

static bool check_task(struct store_conn *conn, const struct store_enqueue_run *run,
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
    for (size_t i = 0; i < run->ordinals.count; i++)
        if (run->ordinals.items[i] > highest)
            highest = run->ordinals.items[i];
    if (highest < store_rows_u32(rows, 0, 1))
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "task \"%s\" has %s samples, so none with ordinal %u", run->task,
                    store_rows_text(rows, 0, 1), highest);
}

static bool insert_shards(struct store_conn *conn, const struct store_enqueue_run *run,
                          int64_t run_no, struct cap_err *err)
{
    STORE_AUTO_COPY(copy, 64 * run->ordinals.count + 1024);
    const uint32_t *ordinals = run->ordinals.items;

    for (size_t i = 0; i < run->shard_sizes.count; i++) {
        store_copy_int(&copy, run_no);
        store_copy_uint(&copy, i);
        store_copy_u32s(&copy, ordinals, run->shard_sizes.items[i]);
        store_copy_end_row(&copy);
        ordinals += run->shard_sizes.items[i];
    }
    return store_pg_copy(conn, "COPY shard (run_no, shard, ordinals) FROM STDIN", copy.lines.data,
                         copy.lines.length, err);
}

static bool insert_run(struct store_conn *conn, const struct enqueue_work *work, size_t index,
                       int64_t evaluation_no, struct cap_err *err)
{
    const struct store_enqueue_run *run = &work->request->runs[index];
    char run_id[CAP_ID_BYTES];

    cap_rand_id("run", run_id);
    work->out->run_ids[index] = cap_arena_strdup(work->arena, run_id);
    if (!work->out->run_ids[index])
        return store_fail_full(err);
    if (!check_task(conn, run, err))
        return false;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "INSERT INTO run (run_id, evaluation_no, position, task_id, repeat,"
                     " samples_total) VALUES ($1, $2, $3, $4, $5, $6) RETURNING run_no",
                     STORE_ARGS(store_arg_text(run_id), store_arg_int(evaluation_no),
                                store_arg_uint(index), store_arg_uint(run->task_id),
                                store_arg_int(run->repeat), store_arg_uint(run->ordinals.count)));
    return rows && insert_shards(conn, run, store_rows_int(rows, 0, 0), err) &&
           store_event_add(conn, run_id, "state", "queued", err);
}

static bool insert_runs(struct store_conn *conn, struct enqueue_work *work, int64_t evaluation_no,
                        const char *evaluation_id, struct cap_err *err)
{
    struct store_enqueued *out = work->out;

    out->duplicate = false;
    out->run_count = work->request->run_count;
    out->run_ids = cap_arena_array(work->arena, out->run_count, sizeof *out->run_ids);
    out->evaluation_id = cap_arena_strdup(work->arena, evaluation_id);
    if (!out->run_ids || !out->evaluation_id)
        return store_fail_full(err);
    for (size_t i = 0; i < out->run_count; i++)
        if (!insert_run(conn, work, i, evaluation_no, err))
            return false;
    return true;
}

static bool enqueue(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct enqueue_work *work = arg;

    for (;;) {
        char evaluation_id[CAP_ID_BYTES];
        bool found;
        cap_rand_id("eval", evaluation_id);
        CAP_AUTO(store_rows) rows = insert_evaluation(conn, work->request, evaluation_id, err);
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

bool store_queue_enqueue(struct store_pg *pg, const struct store_enqueue *request,
                         struct cap_arena *arena, struct store_enqueued *out_enqueued,
                         struct cap_err *err)
{
    struct store_enqueued enqueued;
    struct enqueue_work work = {request, arena, &enqueued};

    if (!check_enqueue(request, err) || !store_pg_tx(pg, STORE_TX_WRITE, enqueue, &work, err))
        return false;
    *out_enqueued = enqueued;
    return true;
}

/* ---- ListActive ---- */

struct active_work {
    int64_t after_no;
    struct cap_arena *arena;
    struct store_active *items;
    size_t count;
};

static bool read_evaluations(struct store_conn *conn, struct active_work *work, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT evaluation_no, evaluation_id, config_hash, spec FROM evaluation"
        " WHERE ended_at IS NULL AND evaluation_no > $1"
        " ORDER BY evaluation_no LIMIT $2",
        STORE_ARGS(store_arg_int(work->after_no), store_arg_int(STORE_ACTIVE_PAGE_MAX)));

    if (!rows)
        return false;
    work->count = store_rows_count(rows);
    work->items = cap_arena_array(work->arena, work->count + 1, sizeof *work->items);
    for (size_t i = 0; work->items && i < work->count; i++) {
        struct store_active *item = &work->items[i];
        item->evaluation_no = store_rows_int(rows, i, 0);
        item->evaluation_id = store_rows_text_copy(rows, i, 1, work->arena);
        item->config_hash = store_rows_text_copy(rows, i, 2, work->arena);
        if (!item->evaluation_id || !item->config_hash ||
            !store_rows_bytes(rows, i, 3, work->arena, &item->spec))
            return store_fail_full(err);
    }
    return work->items || store_fail_full(err);
}

static bool read_active_run(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                            struct store_active_run *run)
{
    *run = (struct store_active_run){
        .run_id = store_rows_text_copy(rows, row, 1, arena),
        .task = store_rows_text_copy(rows, row, 2, arena),
        .task_id = (uint64_t)store_rows_int(rows, row, 3),
        .repeat = store_rows_u32(rows, row, 4),
        .state = store_state_from_name(store_rows_text(rows, row, 5)),
        .reason = store_rows_text_copy(rows, row, 6, arena),
        .samples_total = store_rows_u32(rows, row, 7),
        .samples_answered = store_rows_u32(rows, row, 8),
        .samples_graded = store_rows_u32(rows, row, 9),
        .attempts = store_rows_u32(rows, row, 10),
        .queued_at_ms = store_rows_int(rows, row, 11),
        .started_at_ms = store_rows_int(rows, row, 12),
        .ended_at_ms = store_rows_int(rows, row, 13),
    };
    return run->run_id && run->task && run->reason;
}

static bool read_active_shard(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                              struct store_active_shard *shard)
{
    *shard = (struct store_active_shard){
        .shard = store_rows_u32(rows, row, 14),
        .done = store_rows_bool(rows, row, 15),
        .leased = store_rows_bool(rows, row, 16),
        .fence = (uint64_t)store_rows_int(rows, row, 17),
        .node = store_rows_text_copy(rows, row, 18, arena),
        .lease_left_ms = store_rows_int(rows, row, 19),
    };
    return shard->node != NULL;
}

/* Rows are one per shard, in the order of evaluation, run, shard; they become the tree of `items`.
 * Places for all runs and shards are taken in one piece each. */
static bool build_tree(struct active_work *work, const struct store_rows *rows, struct cap_err *err)
{
    size_t count = store_rows_count(rows), run_total = 0;
    struct store_active_run *runs = cap_arena_array(work->arena, count + 1, sizeof *runs);
    struct store_active_shard *shards = cap_arena_array(work->arena, count + 1, sizeof *shards);
    struct store_active *item = work->items;

    if (!runs || !shards)
        return store_fail_full(err);
    for (size_t i = 0; i < count; i++) {
        int64_t evaluation_no = store_rows_int(rows, i, 0);
        bool new_run = i == 0 || store_rows_int(rows, i, 20) != store_rows_int(rows, i - 1, 20);
        while (item->evaluation_no != evaluation_no)
            item++;
        if (new_run) {
            if (!read_active_run(rows, i, work->arena, &runs[run_total]))
                return store_fail_full(err);
            runs[run_total].shards = &shards[i];
            if (item->run_count++ == 0)
                item->runs = &runs[run_total];
            run_total++;
        }
        if (!read_active_shard(rows, i, work->arena, &shards[i]))
            return store_fail_full(err);
        runs[run_total - 1].shard_count++;
    }
    return true;
}

#define MS(column) "coalesce((extract(epoch FROM " column ") * 1000)::bigint, 0)"

static bool list_active(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct active_work *work = arg;

    if (!read_evaluations(conn, work, err))
        return false;
    if (work->count == 0)
        return true;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT e.evaluation_no, run_id, t.name, r.task_id, repeat, state, reason, samples_total,"
        " samples_answered, samples_graded, attempts, " MS("queued_at") ", " MS(
            "started_at") ", " MS("r.ended_at") ", shard, done, node_id IS NOT NULL, fence, "
                                                "coalesce(s.node, ''),"
                                                " coalesce((extract(epoch FROM lease_until - "
                                                "clock_timestamp()) * 1000)::bigint, 0),"
                                                " r.run_no"
                                                " FROM evaluation e JOIN run r USING "
                                                "(evaluation_no) JOIN task t USING (task_id)"
                                                " JOIN shard s USING (run_no)"
                                                " WHERE e.ended_at IS NULL AND e.evaluation_no "
                                                "BETWEEN $1 AND $2"
                                                " ORDER BY e.evaluation_no, r.position, s.shard",
        STORE_ARGS(store_arg_int(work->items[0].evaluation_no),
                   store_arg_int(work->items[work->count - 1].evaluation_no)));
    return rows && build_tree(work, rows, err);
}

bool store_queue_active(struct store_pg *pg, int64_t after_no, struct cap_arena *arena,
                        struct store_active **out_items, size_t *out_count, struct cap_err *err)
{
    struct active_work work = {.after_no = after_no, .arena = arena};

    if (!store_pg_tx(pg, STORE_TX_READ, list_active, &work, err))
        return false;
    *out_items = work.items;
    *out_count = work.count;
    return true;
}
