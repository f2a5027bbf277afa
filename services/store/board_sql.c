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
                      " e.spec, r.report, r.samples_total, r.samples_answered, r.samples_graded"
enum { BOARD_COLUMN_COUNT = 17 };
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
        .samples_total = store_rows_u32(rows, row, 14),
        .samples_answered = store_rows_u32(rows, row, 15),
        .samples_graded = store_rows_u32(rows, row, 16),
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

/* Figures of all rows of the board, in one statement and in the board's order; `ids` are the wanted
 * ones beside the headline metric, a line each, or "" for all. */
static bool read_figures(struct store_conn *conn, struct cap_arena *arena,
                         struct store_board *board, const char *run_nos, const char *ids,
                         struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT run_no, id, value, low, high, reason, unit, basis, invalid"
                     " FROM figure JOIN unnest($1::bigint[]) WITH ORDINALITY AS u(run_no, i)"
                     " USING (run_no) WHERE $2 = '' OR id = ANY (string_to_array($2, E'\\n'))"
                     "  OR id = (SELECT t.metrics[1] FROM run r JOIN task t USING (task_id)"
                     "   WHERE r.run_no = u.run_no)"
                     " ORDER BY i, position",
                     STORE_ARGS(store_arg_text(run_nos), store_arg_text(ids)));
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
                        const char *ids, struct cap_err *err)
{
    CAP_AUTO_BUF(run_nos, 32 * STORE_BOARD_ROWS_MAX);

    cap_buf_add_char(&run_nos, '{');
    for (size_t i = 0; i < board->count; i++)
        cap_buf_printf(&run_nos, i ? ",%lld" : "%lld", (long long)board->rows[i].run_no);
    cap_buf_add_char(&run_nos, '}');
    return read_figures(conn, arena, board, run_nos.data, ids, err);
}

/* ---- Board ---- */

struct board_work {
    const struct store_board_filter *filter;
    uint32_t limit;
    bool by_end;           /* the order; else by run_no */
    const char *figures;   /* wanted ids, a line each */
    int64_t after_no;      /* 0 = the first page */
    const char *after_end; /* its ended_at as PostgreSQL writes it; "" when not by_end */
    struct cap_arena *arena;
    struct store_board *out;
};

/* Figures of a row take about 100 bytes each, a few dozen a row. */
enum { FIGURE_BYTES = 160, FIGURES_BYTES = 6 << 10 };

static size_t figures_bytes(const struct store_board_filter *filter)
{
    size_t few = filter->figure_count * FIGURE_BYTES;

    return filter->figure_count > 0 && few < FIGURES_BYTES ? few : FIGURES_BYTES;
}

static bool read_board_rows(struct board_work *work, const struct store_rows *rows,
                            struct cap_err *err)
{
    struct store_board *out = work->out;
    size_t count = store_rows_count(rows), before = cap_arena_used(work->arena),
           more_bytes = figures_bytes(work->filter);

    out->rows = cap_arena_array(work->arena, count + 1, sizeof *out->rows);
    if (!out->rows)
        return store_fail_full(err);
    for (; out->count < count && out->count < work->limit; out->count++) {
        if (out->count > 0 &&
            cap_arena_used(work->arena) - before + out->count * more_bytes > STORE_BOARD_BYTES_MAX)
            break;
        if (!read_board_row(rows, out->count, work->arena, &out->rows[out->count]))
            return store_fail_full(err);
    }
    out->more = out->count < count;
    return true;
}

static bool fail_after(const struct board_work *work, const char *why, struct cap_err *err)
{
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, "after",
                          "after: \"%.64s\" is no place in this list: %s; begin without it",
                          work->filter->after, why);
}

/* A place in the list is a run; where it stands never changes. */
static bool find_after(struct store_conn *conn, struct board_work *work, struct cap_err *err)
{
    if (!*work->filter->after)
        return true;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, "SELECT run_no, ended_at::text FROM run WHERE run_id = $1",
                     STORE_ARGS(store_arg_text(work->filter->after)));
    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return fail_after(work, "there is no such run", err);
    if (work->by_end && store_rows_null(rows, 0, 1))
        return fail_after(work, "that run has not ended", err);
    work->after_no = store_rows_int(rows, 0, 0);
    if (work->by_end)
        work->after_end = store_rows_text_copy(rows, 0, 1, work->arena);
    return work->after_end || store_fail_full(err);
}

#define BOARD_FILTER                                                                               \
    "WHERE ($1 = '' OR e.model = $1) AND ($2 = '' OR t.name = $2) AND ($3 = '' OR e.engine = $3)"  \
    " AND ($4 = '' OR e.precision = $4) AND ($5 = '' OR e.evaluation_id = $5)"                     \
    " AND CASE WHEN $6 = '' THEN $7::boolean OR r.state IN ('finished', 'invalid')"                \
    "   ELSE r.state = $6 END"

static struct store_rows *ask_board(struct store_conn *conn, const struct board_work *work,
                                    struct cap_err *err)
{
    const struct store_board_filter *f = work->filter;
    const char *state = f->state == STORE_STATE_NONE ? "" : store_state_name(f->state);
    const char *sql = work->by_end ? "SELECT " BOARD_COLUMNS BOARD_FROM BOARD_FILTER
                                     " AND r.ended_at IS NOT NULL"
                                     " AND ($8::bigint = 0 OR (r.ended_at, r.run_no) <"
                                     "   (nullif($9, '')::timestamptz, $8::bigint))"
                                     " ORDER BY r.ended_at DESC, r.run_no DESC LIMIT $10"
                                   : "SELECT " BOARD_COLUMNS BOARD_FROM BOARD_FILTER
                                     " AND ($8::bigint = 0 OR r.run_no < $8::bigint) AND $9 = ''"
                                     " ORDER BY r.run_no DESC LIMIT $10";

    return store_pg_ask(conn, err, sql,
                        STORE_ARGS(store_arg_text(f->model), store_arg_text(f->task),
                                   store_arg_text(f->engine), store_arg_text(f->precision),
                                   store_arg_text(f->evaluation_id), store_arg_text(state),
                                   store_arg_bool(f->with_unfinished),
                                   store_arg_int(work->after_no), store_arg_text(work->after_end),
                                   store_arg_int((int64_t)work->limit + 1)));
}

static bool read_board(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct board_work *work = arg;

    *work->out = (struct store_board){0};
    work->after_no = 0;
    work->after_end = "";
    if (!find_after(conn, work, err))
        return false;
    CAP_AUTO(store_rows) rows = ask_board(conn, work, err);
    return rows && read_board_rows(work, rows, err) &&
           add_figures(conn, work->arena, work->out, work->figures, err);
}

static const char *join_figures(const struct store_board_filter *filter, struct cap_arena *arena,
                                struct cap_err *err)
{
    CAP_AUTO_BUF(text, STORE_BOARD_FIGURES_BYTES_MAX);
    const char *joined;

    for (size_t i = 0; i < filter->figure_count; i++)
        cap_buf_printf(&text, i ? "\n%s" : "%s", filter->figures[i]);
    if (text.overflowed) {
        cap_fail_field(err, CAP_INVALID_ARGUMENT, "figures",
                       "the names of the figures have more than %d bytes together",
                       STORE_BOARD_FIGURES_BYTES_MAX);
        return NULL;
    }
    joined = cap_arena_strdup(arena, text.length ? text.data : "");
    if (!joined)
        store_fail_full(err);
    return joined;
}

static bool check_board(const struct store_board_filter *filter, struct cap_err *err)
{
    if (filter->limit > STORE_BOARD_ROWS_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "limit", "limit is %u, at most %d",
                              filter->limit, STORE_BOARD_ROWS_MAX);
    if (filter->figure_count > STORE_BOARD_FIGURES_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "figures",
                              "%zu figures are named, at most %d", filter->figure_count,
                              STORE_BOARD_FIGURES_MAX);
    return true;
}

bool store_report_board(struct store_pg *pg, const struct store_board_filter *filter,
                        struct cap_arena *arena, struct store_board *out_board, struct cap_err *err)
{
    struct store_board board;
    struct board_work work = {.filter = filter,
                              .limit = filter->limit ? filter->limit : STORE_BOARD_ROWS_MAX,
                              .by_end = !filter->with_unfinished && !filter->state,
                              .arena = arena,
                              .out = &board};

    if (!check_board(filter, err) || !(work.figures = join_figures(filter, arena, err)))
        return false;
    if (!store_pg_tx(pg, STORE_TX_READ, read_board, &work, err))
        return false;
    for (size_t i = 0; filter->without_report && i < board.count; i++)
        board.rows[i].report = (struct store_bytes){0};
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
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err, "SELECT " BOARD_COLUMNS ", " STORE_TASK_COLUMNS BOARD_FROM "WHERE r.run_id = $1",
        STORE_ARGS(store_arg_text(work->run_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run \"%.64s\" does not exist", work->run_id);
    if (!read_board_row(rows, 0, work->arena, &out->row) ||
        !store_task_read(rows, 0, BOARD_COLUMN_COUNT, work->arena, &out->task))
        return store_fail_full(err);
    struct store_board board = {&out->row, 1, false};
    return add_figures(conn, work->arena, &board, "", err);
}

static bool read_attempts(struct store_conn *conn, struct run_work *work, struct cap_err *err)
{
    struct store_run_report *out = work->out;
    CAP_AUTO(store_rows) rows = store_pg_ask(
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
    CAP_AUTO(store_rows) rows = store_pg_ask(
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
