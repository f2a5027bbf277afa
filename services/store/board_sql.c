#include <string.h>

#include "base/buf.h"
#include "pg.h"
#include "report.h"
#include "run.h"
#include "task.h"

#define MS(column) "coalesce((extract(epoch FROM " column ") * 1000)::bigint, 0)"

/* ---- rows of the board ---- */

#define BOARD_COLUMNS                                                                              \
    "r.run_no, r.run_id, e.evaluation_id, t.name, r.reason, r.node, e.config_hash,"                \
    " coalesce(t.metrics[1], ''), r.repeat, r.state, " MS("r.queued_at") ", " MS(                  \
        "r.ended_at") ","                                                                          \
                      " e.spec, r.report"
enum { BOARD_COLUMN_COUNT = 14 };
#define BOARD_FROM                                                                                 \
    " FROM run r JOIN evaluation e USING (evaluation_no) JOIN task t USING (task_id) "

static bool read_board_row(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                           struct store_board_row *out_row)
{
    struct store_board_row r = {
        .run_no = store_rows_int(rows, row, 0),
        .repeat = store_rows_u32(rows, row, 8),
        .state = store_state_from_name(store_rows_text(rows, row, 9)),
        .queued_at_ms = store_rows_int(rows, row, 10),
        .ended_at_ms = store_rows_int(rows, row, 11),
    };
    const char **texts[] = {&r.run_id, &r.evaluation_id, &r.task,           &r.reason,
                            &r.node,   &r.config_hash,   &r.headline_metric};

    for (int i = 0; i < (int)CAP_COUNT_OF(texts); i++)
        if (!(*texts[i] = store_rows_text_copy(rows, row, 1 + i, arena)))
            return false;
    if (!store_rows_bytes(rows, row, 12, arena, &r.spec) ||
        !store_rows_bytes(rows, row, 13, arena, &r.report))
        return false;
    *out_row = r;
    return true;
}

/* ---- figures ---- */

static bool read_figure(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                        struct store_figure *out_figure)
{
    struct store_figure f = {
        .id = store_rows_text_copy(rows, row, 1, arena),
        .value = store_rows_opt_real(rows, row, 2),
        .low = store_rows_opt_real(rows, row, 3),
        .high = store_rows_opt_real(rows, row, 4),
        .reason = store_rows_text_copy(rows, row, 5, arena),
        .unit = store_rows_text_copy(rows, row, 6, arena),
        .basis = store_rows_text_copy(rows, row, 7, arena),
        .invalid = store_rows_bool(rows, row, 8),
    };

    *out_figure = f;
    return f.id && f.reason && f.unit && f.basis;
}

/* Figures of all rows of the board, in one statement. They come in the order of the run's number;
 * the board has another, hence the search from the row where the last one was found. */
static bool read_figures(struct store_conn *conn, struct cap_arena *arena,
                         struct store_board *board, const char *run_nos, struct cap_err *err)
{
    CAP_AUTO(store_rows)
    rows = store_pg_ask(conn, err,
                        "SELECT run_no, id, value, low, high, reason, unit, basis, invalid"
                        " FROM figure JOIN unnest($1::bigint[]) WITH ORDINALITY AS u(run_no, i)"
                        " USING (run_no) ORDER BY i, position",
                        STORE_ARGS(store_arg_text(run_nos)));
    struct store_figure *figures;
    size_t at = 0;

    if (!rows)
        return false;
    figures = cap_arena_array(arena, store_rows_count(rows) + 1, sizeof *figures);
    for (size_t i = 0; figures && i < store_rows_count(rows); i++) {
        while (board->rows[at].run_no != store_rows_int(rows, i, 0))
            at++;
        if (board->rows[at].figures.count++ == 0)
            board->rows[at].figures.items = &figures[i];
        if (!read_figure(rows, i, arena, &figures[i]))
            return store_fail_full(err);
    }
    return figures || store_fail_full(err);
}

static bool add_figures(struct store_conn *conn, struct cap_arena *arena, struct store_board *board,
                        struct cap_err *err)
{
    CAP_AUTO_BUF(run_nos, 32 * STORE_BOARD_ROWS_MAX);

    cap_buf_add_char(&run_nos, '{');
    for (size_t i = 0; i < board->count; i++)
        cap_buf_printf(&run_nos, i ? ",%lld" : "%lld", (long long)board->rows[i].run_no);
    cap_buf_add_char(&run_nos, '}');
    return read_figures(conn, arena, board, run_nos.data, err);
}

/* ---- Board ---- */

struct board_work {
    const struct store_board_filter *filter;
    uint32_t limit;
    struct cap_arena *arena;
    struct store_board *out;
};

/* Figures of a row take about 100 bytes each, a few dozen a row. */
enum { FIGURES_BYTES = 6 << 10 };

static bool read_board_rows(struct board_work *work, const struct store_rows *rows,
                            struct cap_err *err)
{
    struct store_board *out = work->out;
    size_t count = store_rows_count(rows), before = cap_arena_used(work->arena);

    out->rows = cap_arena_array(work->arena, count + 1, sizeof *out->rows);
    if (!out->rows)
        return store_fail_full(err);
    for (; out->count < count && out->count < work->limit; out->count++) {
        if (out->count > 0 && cap_arena_used(work->arena) - before + out->count * FIGURES_BYTES >
                                  STORE_BOARD_BYTES_MAX)
            break;
        if (!read_board_row(rows, out->count, work->arena, &out->rows[out->count]))
            return store_fail_full(err);
    }
    out->more = out->count < count;
    return true;
}

static bool read_board(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct board_work *work = arg;
    const struct store_board_filter *f = work->filter;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(conn, err,
                        "SELECT " BOARD_COLUMNS BOARD_FROM
                        "WHERE ($1 = '' OR e.model = $1) AND ($2 = '' OR t.name = $2)"
                        " AND ($3 = '' OR e.engine = $3) AND ($4 = '' OR e.evaluation_id = $4)"
                        " AND ($5::boolean OR r.state IN ('finished', 'invalid'))"
                        " ORDER BY r.ended_at DESC NULLS FIRST, r.run_no DESC LIMIT $6",
                        STORE_ARGS(store_arg_text(f->model), store_arg_text(f->task),
                                   store_arg_text(f->engine), store_arg_text(f->evaluation_id),
                                   store_arg_bool(f->with_unfinished),
                                   store_arg_int((int64_t)work->limit + 1)));

    *work->out = (struct store_board){0};
    return rows && read_board_rows(work, rows, err) &&
           add_figures(conn, work->arena, work->out, err);
}

bool store_report_board(struct store_pg *pg, const struct store_board_filter *filter,
                        struct cap_arena *arena, struct store_board *out_board, struct cap_err *err)
{
    struct store_board board;
    struct board_work work = {filter, filter->limit ? filter->limit : STORE_BOARD_ROWS_MAX, arena,
                              &board};

    if (filter->limit > STORE_BOARD_ROWS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "limit is %u, at most %d", filter->limit,
                        STORE_BOARD_ROWS_MAX);
    if (!store_pg_tx(pg, STORE_TX_READ, read_board, &work, err))
        return false;
    *out_board = board;
    return true;
}

/* ---- GetRun ---- */

struct run_work {
    const char *run_id;
    struct cap_arena *arena;
    struct store_run_report *out;
};

static bool read_row(struct store_conn *conn, struct run_work *work, struct cap_err *err)
{
    struct store_run_report *out = work->out;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(conn, err,
                        "SELECT " BOARD_COLUMNS ", r.samples_total, r.samples_answered,"
                        " r.samples_graded, " STORE_TASK_COLUMNS BOARD_FROM "WHERE r.run_id = $1",
                        STORE_ARGS(store_arg_text(work->run_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run \"%.64s\" does not exist", work->run_id);
    out->samples_total = store_rows_u32(rows, 0, BOARD_COLUMN_COUNT);
    out->samples_answered = store_rows_u32(rows, 0, BOARD_COLUMN_COUNT + 1);
    out->samples_graded = store_rows_u32(rows, 0, BOARD_COLUMN_COUNT + 2);
    if (!read_board_row(rows, 0, work->arena, &out->row) ||
        !store_task_read(rows, 0, BOARD_COLUMN_COUNT + 3, work->arena, &out->task))
        return store_fail_full(err);
    struct store_board board = {&out->row, 1, false};
    return add_figures(conn, work->arena, &board, err);
}

static bool read_attempts(struct store_conn *conn, struct run_work *work, struct cap_err *err)
{
    struct store_run_report *out = work->out;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(
        conn, err,
        "SELECT shard, fence, node, outcome, " MS("started_at") ", " MS(
            "ended_at") " FROM attempt WHERE run_no = $1 ORDER BY started_at, shard, fence",
        STORE_ARGS(store_arg_int(out->row.run_no)));

    if (!rows)
        return false;
    out->attempt_count = store_rows_count(rows);
    out->attempts = cap_arena_array(work->arena, out->attempt_count + 1, sizeof *out->attempts);
    for (size_t i = 0; out->attempts && i < out->attempt_count; i++) {
        struct store_attempt *a = &out->attempts[i];
        *a = (struct store_attempt){
            store_rows_u32(rows, i, 0),
            (uint64_t)store_rows_int(rows, i, 1),
            store_rows_text_copy(rows, i, 2, work->arena),
            store_rows_text_copy(rows, i, 3, work->arena),
            store_rows_int(rows, i, 4),
            store_rows_int(rows, i, 5),
        };
        if (!a->node || !a->outcome)
            return store_fail_full(err);
    }
    return out->attempts || store_fail_full(err);
}

static bool read_histograms(struct store_conn *conn, struct run_work *work, struct cap_err *err)
{
    struct store_histograms *out = &work->out->histograms;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(
        conn, err, "SELECT id, lowest, growth, counts FROM histogram WHERE run_no = $1 ORDER BY id",
        STORE_ARGS(store_arg_int(work->out->row.run_no)));

    if (!rows)
        return false;
    out->count = store_rows_count(rows);
    out->items = cap_arena_array(work->arena, out->count + 1, sizeof *out->items);
    for (size_t i = 0; out->items && i < out->count; i++) {
        struct store_histogram *h = &out->items[i];
        h->id = store_rows_text_copy(rows, i, 0, work->arena);
        h->lowest = store_rows_real(rows, i, 1);
        h->growth = store_rows_real(rows, i, 2);
        if (!h->id || !store_rows_u64s(rows, i, 3, work->arena, &h->counts))
            return store_fail_full(err);
    }
    return out->items || store_fail_full(err);
}

static bool read_report(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct run_work *work = arg;

    *work->out = (struct store_run_report){0};
    return read_row(conn, work, err) && read_attempts(conn, work, err) &&
           read_histograms(conn, work, err);
}

bool store_report_run(struct store_pg *pg, const char *run_id, struct cap_arena *arena,
                      struct store_run_report *out_report, struct cap_err *err)
{
    struct store_run_report report;
    struct run_work work = {run_id, arena, &report};

    if (!store_pg_tx(pg, STORE_TX_READ, read_report, &work, err))
        return false;
    *out_report = report;
    return true;
}

/* ---- GetExpertCounts ---- */

struct counts_work {
    const char *run_id;
    struct cap_arena *arena;
    struct store_expert_counts out;
};

static bool read_counts(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct counts_work *work = arg;
    struct store_run run;

    if (!store_run_find(conn, work->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(conn, err,
                        "SELECT phase, layer, batch_bucket, counts FROM expert_count"
                        " WHERE run_no = $1 ORDER BY phase, layer, batch_bucket LIMIT $2",
                        STORE_ARGS(store_arg_int(run.run_no), store_arg_int(STORE_COUNTS_MAX)));
    if (!rows)
        return false;
    work->out.count = store_rows_count(rows);
    work->out.items = cap_arena_array(work->arena, work->out.count + 1, sizeof *work->out.items);
    for (size_t i = 0; work->out.items && i < work->out.count; i++) {
        struct store_expert_count *row = &work->out.items[i];
        row->phase = store_rows_u32(rows, i, 0);
        row->layer = store_rows_u32(rows, i, 1);
        row->batch_bucket = store_rows_u32(rows, i, 2);
        if (!store_rows_u64s(rows, i, 3, work->arena, &row->counts))
            return store_fail_full(err);
    }
    return work->out.items || store_fail_full(err);
}

bool store_report_counts(struct store_pg *pg, const char *run_id, struct cap_arena *arena,
                         struct store_expert_counts *out_counts, struct cap_err *err)
{
    struct counts_work work = {.run_id = run_id, .arena = arena};

    if (!store_pg_tx(pg, STORE_TX_READ, read_counts, &work, err))
        return false;
    *out_counts = work.out;
    return true;
}
