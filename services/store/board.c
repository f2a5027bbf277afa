/* The board and one run: what people look at. It reads figures, never samples, so it costs the same
 * however many samples the runs have.
 *
 * The order never changes under a reader who follows the pages: by the time of the end, or, with
 * unfinished runs or by state, in the order of queueing. A page begins after a run ("after"), and
 * where a run stands never changes, so pages neither repeat nor drop one.
 */
#include <string.h>

#include "base/near.h"
#include "row_map.h"
#include "run.h"
#include "store.h"
#include "words/words.h"

/* ---- figures ---- */

/* Rows of a reply, and the result that they were read from, with each run's number in its first
 * column. */
struct page {
    const struct store_rows *runs;
    Moecap__V1__BoardRow **rows;
    size_t count;
};

static void add_run_nos(struct cap_buf *out, const struct page *page)
{
    cap_buf_add_char(out, '{');
    for (size_t i = 0; i < page->count; i++) {
        cap_buf_add_str(out, i ? "," : "");
        store_add_int(out, store_rows_int(page->runs, i, 0));
    }
    cap_buf_add_char(out, '}');
}

/* Gives the rows of a page their figures, all with one statement, in the page's order. `ids` are
 * the figures that are wanted beside the headline metric, one on each line, or "" for all. */
static bool add_figures(struct store_conn *conn, const struct page *page, const char *ids,
                        struct cap_arena *arena, struct cap_err *err)
{
    CAP_AUTO_BUF(run_nos, 32 * STORE_BOARD_ROWS_MAX);
    Moecap__V1__Figure **figures;
    size_t total, at = 0;

    add_run_nos(&run_nos, page);
    CAP_AUTO(store_rows) found =
        store_pg_ask(conn, err,
                     "SELECT f.run_no AS _run_no, {figure f}"
                     " FROM figure f JOIN unnest($1::bigint[]) WITH ORDINALITY AS u(run_no, i)"
                     " USING (run_no) WHERE $2 = '' OR id = ANY (string_to_array($2, E'\\n'))"
                     "  OR id = (SELECT t.metrics[1] FROM run r JOIN task t USING (task_id)"
                     "   WHERE r.run_no = u.run_no)"
                     " ORDER BY i, position",
                     STORE_ARGS(store_arg_text(run_nos.data), store_arg_text(ids)));
    if (!found || !(figures = store_rows_list(found, &moecap__v1__figure__descriptor, NULL, arena,
                                              &total, err)))
        return false;
    for (size_t i = 0; i < page->count; i++) {
        Moecap__V1__BoardRow *row = page->rows[i];

        row->figures = &figures[at];
        while (at < total && store_rows_int(found, at, 0) == store_rows_int(page->runs, i, 0)) {
            row->n_figures++;
            at++;
        }
    }
    return true;
}

/* Gives the rows of a page their marks, likewise. */
static bool add_marks(struct store_conn *conn, const struct page *page, struct cap_arena *arena,
                      struct cap_err *err)
{
    CAP_AUTO_BUF(run_nos, 32 * STORE_BOARD_ROWS_MAX);
    Moecap__V1__Mark **marks;
    size_t total, at = 0;

    add_run_nos(&run_nos, page);
    CAP_AUTO(store_rows) found = store_pg_ask(
        conn, err,
        "SELECT m.run_no AS _run_no, {mark m}"
        " FROM mark m JOIN unnest($1::bigint[]) WITH ORDINALITY AS u(run_no, i) USING (run_no)"
        " ORDER BY i, position",
        STORE_ARGS(store_arg_text(run_nos.data)));
    if (!found ||
        !(marks = store_rows_list(found, &moecap__v1__mark__descriptor, NULL, arena, &total, err)))
        return false;
    for (size_t i = 0; i < page->count; i++) {
        Moecap__V1__BoardRow *row = page->rows[i];

        row->marks = &marks[at];
        while (at < total && store_rows_int(found, at, 0) == store_rows_int(page->runs, i, 0)) {
            row->n_marks++;
            at++;
        }
    }
    return true;
}

/* ---- Board ---- */

struct board_work {
    const Moecap__V1__BoardRequest *request;
    uint32_t limit;
    bool by_end;                                       /* the order; else by run_no */
    const char *figures;                               /* wanted ids, a line each */
    const char *models, *tasks, *engines, *precisions; /* any of these, likewise; "" = all */
    int64_t after_no;                                  /* 0 = the first page */
    const char *after_end; /* its ended_at as PostgreSQL writes it; "" when not by_end */
    struct cap_arena *arena;
    Moecap__V1__BoardReply *reply;
};

#define HEADLINE "accuracy" /* whatever the first metric of the task is called */
/* Figures of a row take about 100 bytes each, a few dozen a row. */
enum { FIGURE_BYTES = 160, FIGURES_BYTES = 6 << 10 };

static size_t figures_bytes(const Moecap__V1__BoardRequest *request)
{
    size_t few = request->n_figures * FIGURE_BYTES;

    return request->n_figures > 0 && few < FIGURES_BYTES ? few : FIGURES_BYTES;
}

static bool fail_after(const struct board_work *work, const char *why, struct cap_err *err)
{
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, "after",
                          "after: \"%.64s\" is not a valid cursor: %s", work->request->after, why);
}

/* A place in the list is a run; where it stands never changes. */
static bool find_after(struct store_conn *conn, struct board_work *work, struct cap_err *err)
{
    work->after_no = 0;
    work->after_end = "";
    if (!*work->request->after)
        return true;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, "SELECT run_no, ended_at::text FROM run WHERE run_id = $1",
                     STORE_ARGS(store_arg_text(work->request->after)));
    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return fail_after(work, "that run does not exist", err);
    if (work->by_end && store_rows_null(rows, 0, 1))
        return fail_after(work, "that run has not ended", err);
    work->after_no = store_rows_int(rows, 0, 0);
    if (work->by_end)
        work->after_end = store_rows_text_copy(rows, 0, 1, work->arena);
    return work->after_end || store_fail_full(err);
}

#define BOARD_SELECT "SELECT r.run_no AS _run_no, {run.base r}, {run_task t}, {evaluation e}"
#define BOARD_REPORT ", CASE WHEN $11::boolean THEN r.report END AS report"
#define BOARD_FROM                                                                                 \
    " FROM run r JOIN evaluation e USING (evaluation_no) JOIN task t USING (task_id) "
#define BOARD_FILTER                                                                               \
    "WHERE ($1 = '' OR e.model = ANY (string_to_array($1, E'\\n')))"                               \
    " AND ($2 = '' OR t.name = ANY (string_to_array($2, E'\\n')))"                                 \
    " AND ($3 = '' OR e.engine = ANY (string_to_array($3, E'\\n')))"                               \
    " AND ($4 = '' OR e.precision = ANY (string_to_array($4, E'\\n')))"                            \
    " AND ($5 = '' OR e.evaluation_id = $5) AND ($12 = '' OR r.question = $12)"                    \
    " AND CASE WHEN $6 = '' THEN $7::boolean OR r.state IN ('finished', 'invalid')"                \
    "   ELSE r.state = $6 END"

/* A plan for any filters is slow for each: it cannot know that "" lets every run through, and sorts
 * what an index has in order. */
static bool plan_each(struct store_conn *conn, struct cap_err *err)
{
    return store_pg_do(conn, err, "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)",
                       STORE_NO_ARGS);
}

static struct store_rows *ask_board(struct store_conn *conn, const struct board_work *work,
                                    struct cap_err *err)
{
    const Moecap__V1__BoardRequest *f = work->request;
    const char *sql = work->by_end ? BOARD_SELECT BOARD_REPORT BOARD_FROM BOARD_FILTER
                          " AND r.ended_at IS NOT NULL AND ($8::bigint = 0 OR"
                          "  (r.ended_at, r.run_no) < (nullif($9, '')::timestamptz, $8::bigint))"
                          " ORDER BY r.ended_at DESC, r.run_no DESC LIMIT $10"
                                   : BOARD_SELECT BOARD_REPORT BOARD_FROM BOARD_FILTER
                          " AND ($8::bigint = 0 OR r.run_no < $8::bigint) AND $9 = ''"
                          " ORDER BY r.run_no DESC LIMIT $10";

    return store_pg_ask(
        conn, err, sql,
        STORE_ARGS(store_arg_text(work->models), store_arg_text(work->tasks),
                   store_arg_text(work->engines), store_arg_text(work->precisions),
                   store_arg_text(f->evaluation_id), store_arg_text(run_state_word(f->state)),
                   store_arg_bool(f->with_unfinished), store_arg_int(work->after_no),
                   store_arg_text(work->after_end), store_arg_int((int64_t)work->limit + 1),
                   store_arg_bool(!f->without_report), store_arg_text(f->question)));
}

/* Runs are counted by evaluation and task first, from an index alone; words come after that. */
static bool add_counts(struct store_conn *conn, const struct board_work *work, struct cap_err *err)
{
    const Moecap__V1__BoardRequest *f = work->request;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT e.model AS model, t.name AS task, e.engine AS engine, e.precision AS precision,"
        " sum(r.n)::bigint AS runs FROM (SELECT evaluation_no, task_id, count(*) AS n FROM run"
        "  WHERE CASE WHEN $1 = '' THEN $2::boolean OR state IN ('finished', 'invalid')"
        "   ELSE state = $1 END GROUP BY evaluation_no, task_id) r"
        " JOIN evaluation e USING (evaluation_no) JOIN task t USING (task_id)"
        " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $3",
        STORE_ARGS(store_arg_text(run_state_word(f->state)), store_arg_bool(f->with_unfinished),
                   store_arg_int(STORE_BOARD_COUNTS_MAX)));

    return rows && (work->reply->counts =
                        store_rows_list(rows, &moecap__v1__board_count__descriptor, NULL,
                                        work->arena, &work->reply->n_counts, err)) != NULL;
}

static bool fail_figure(const char *id, struct cap_err *err)
{
    struct cap_words table = cap_figure_words();
    struct cap_near near = {.word = id};

    for (size_t i = 0; i < table.count; i++)
        cap_near_try(&near, table.items[i]);
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, "figures",
                          "figures: unknown figure \"%.80s\"%s%s%s; docs/metrics.md lists them", id,
                          near.best ? ", did you mean \"" : "", near.best ? near.best : "",
                          near.best ? "\"?" : "");
}

/* A name that no figure has would be left out without a word. Figures of every run are a table; any
 * other is a metric of a task, of its current version or an older one. */
static bool check_figures(struct store_conn *conn, const Moecap__V1__BoardRequest *request,
                          struct cap_err *err)
{
    for (size_t i = 0; i < request->n_figures; i++) {
        const char *id = request->figures[i];
        if (cap_words_has(cap_figure_words(), id) || strcmp(id, HEADLINE) == 0)
            continue;
        CAP_AUTO(store_rows) rows =
            store_pg_ask(conn, err, "SELECT FROM task WHERE $1 = ANY (metrics) LIMIT 1",
                         STORE_ARGS(store_arg_text(id)));
        if (!rows || (store_rows_count(rows) == 0 && !fail_figure(id, err)))
            return false;
    }
    return true;
}

static bool read_board(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct board_work *work = arg;
    Moecap__V1__BoardReply *reply = work->reply;
    struct store_cut cut = {.rows_max = work->limit,
                            .bytes_max = STORE_BOARD_BYTES_MAX,
                            .row_bytes = figures_bytes(work->request)};

    moecap__v1__board_reply__init(reply);
    if (!plan_each(conn, err) || !check_figures(conn, work->request, err) ||
        !find_after(conn, work, err))
        return false;
    CAP_AUTO(store_rows) rows = ask_board(conn, work, err);
    if (!rows || !(reply->rows = store_rows_list(rows, &moecap__v1__board_row__descriptor, &cut,
                                                 work->arena, &reply->n_rows, err)))
        return false;
    reply->more = cut.more;
    if (cut.more) {
        reply->opt_next_case = MOECAP__V1__BOARD_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after = reply->rows[reply->n_rows - 1]->run_id;
    }
    const struct page page = {rows, reply->rows, reply->n_rows};
    return add_figures(conn, &page, work->figures, work->arena, err) &&
           add_marks(conn, &page, work->arena, err) &&
           (!work->request->with_counts || add_counts(conn, work, err));
}

/* The values of a filter, a line each; `one` is one more. */
static bool join_filter(const char *name, const char *one, char *const *more, size_t count,
                        struct cap_arena *arena, const char **out, struct cap_err *err)
{
    CAP_AUTO_BUF(text, STORE_BOARD_FILTER_BYTES_MAX);

    cap_buf_add_str(&text, one);
    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&text, text.length ? "\n%s" : "%s", more[i]);
    if (text.overflowed || count > STORE_BOARD_FILTER_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, name,
                              "%s: %zu values are named, at most %d of %d bytes together", name,
                              count, STORE_BOARD_FILTER_MAX, STORE_BOARD_FILTER_BYTES_MAX);
    *out = cap_arena_strdup(arena, text.length ? text.data : "");
    return *out || store_fail_full(err);
}

static bool join_filters(struct board_work *work, struct cap_err *err)
{
    const Moecap__V1__BoardRequest *f = work->request;

    return join_filter("model", f->model, f->models, f->n_models, work->arena, &work->models,
                       err) &&
           join_filter("task", f->task, f->tasks, f->n_tasks, work->arena, &work->tasks, err) &&
           join_filter("engine", f->engine, f->engines, f->n_engines, work->arena, &work->engines,
                       err) &&
           join_filter("precision", f->precision, f->precisions, f->n_precisions, work->arena,
                       &work->precisions, err);
}

static const char *join_figures(const Moecap__V1__BoardRequest *request, struct cap_arena *arena,
                                struct cap_err *err)
{
    CAP_AUTO_BUF(text, STORE_BOARD_FIGURES_BYTES_MAX);
    const char *joined;

    for (size_t i = 0; i < request->n_figures; i++)
        cap_buf_printf(&text, i ? "\n%s" : "%s", request->figures[i]);
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

static bool check_board(const Moecap__V1__BoardRequest *request, struct cap_err *err)
{
    if (request->state != MOECAP__V1__RUN_STATE__RUN_STATE_UNSPECIFIED &&
        !*run_state_word(request->state))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "state", "%d is not a state of a run",
                              (int)request->state);
    if (request->n_figures > STORE_BOARD_FIGURES_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "figures",
                              "%zu figures are named, at most %d", request->n_figures,
                              STORE_BOARD_FIGURES_MAX);
    return store_check_limit(request->limit, STORE_BOARD_ROWS_MAX, err);
}

bool store_board(struct store_pg *pg, const Moecap__V1__BoardRequest *request,
                 struct cap_arena *arena, Moecap__V1__BoardReply *reply, struct cap_err *err)
{
    struct board_work work = {.request = request,
                              .limit = request->limit ? request->limit : STORE_BOARD_ROWS_MAX,
                              .by_end = !request->with_unfinished && !request->state,
                              .arena = arena,
                              .reply = reply};

    return check_board(request, err) && (work.figures = join_figures(request, arena, err)) &&
           join_filters(&work, err) && store_pg_tx(pg, STORE_TX_READ, read_board, &work, err);
}

/* ---- GetRun ---- */

struct run_work {
    const char *run_id;
    struct cap_arena *arena;
    Moecap__V1__GetRunReply *reply;
};

/* What lies in tables of its own: each becomes a list of the reply. */
static const struct part {
    const char *sql; /* takes the run's number */
    const ProtobufCMessageDescriptor *type;
    size_t list, count; /* where GetRunReply has them */
} parts[] = {
#define PART(member, type, sql)                                                                    \
    {                                                                                              \
        sql, &moecap__v1__##type##__descriptor, offsetof(Moecap__V1__GetRunReply, member),         \
            offsetof(Moecap__V1__GetRunReply, n_##member)                                          \
    }
    PART(attempts, attempt,
         "SELECT {attempt a} FROM attempt a WHERE run_no = $1 ORDER BY a.started_at, shard, fence"),
    PART(histograms, histogram,
         "SELECT {histogram h} FROM histogram h WHERE run_no = $1 ORDER BY id"),
    PART(curves, curve, "SELECT {curve c} FROM curve c WHERE run_no = $1 ORDER BY id"),
#undef PART
};

static bool add_part(struct store_conn *conn, const struct part *part, int64_t run_no,
                     const struct run_work *work, struct cap_err *err)
{
    char *reply = (char *)work->reply;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, part->sql, STORE_ARGS(store_arg_int(run_no)));
    void *list = rows ? store_rows_list(rows, part->type, NULL, work->arena,
                                        (size_t *)(reply + part->count), err)
                      : NULL;

    if (list)
        *(void **)(reply + part->list) = list;
    return list != NULL;
}

static bool get_run(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct run_work *work = arg;
    Moecap__V1__GetRunReply *reply = work->reply;
    CAP_AUTO(store_rows) row =
        store_pg_ask(conn, err,
                     "SELECT r.run_no AS _run_no, {run r row.}, {run_cost r}, {run_task t row.},"
                     " {evaluation e row.}, {task t task.}" BOARD_FROM "WHERE r.run_id = $1",
                     STORE_ARGS(store_arg_text(work->run_id)));

    moecap__v1__get_run_reply__init(reply);
    if (!row)
        return false;
    if (store_rows_count(row) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run \"%.64s\" does not exist", work->run_id);
    if (!store_row_fill(row, 0, &reply->base, work->arena, err))
        return false;
    const struct page page = {row, &reply->row, 1};
    if (!add_figures(conn, &page, "", work->arena, err) ||
        !add_marks(conn, &page, work->arena, err))
        return false;
    reply->samples_total = reply->row->samples_total;
    reply->samples_answered = reply->row->samples_answered;
    reply->samples_graded = reply->row->samples_graded;
    for (size_t i = 0; i < CAP_COUNT_OF(parts); i++)
        if (!add_part(conn, &parts[i], store_rows_int(row, 0, 0), work, err))
            return false;
    return true;
}

bool store_get_run(struct store_pg *pg, const Moecap__V1__GetRunRequest *request,
                   struct cap_arena *arena, Moecap__V1__GetRunReply *reply, struct cap_err *err)
{
    struct run_work work = {request->run_id, arena, reply};

    return store_pg_tx(pg, STORE_TX_READ, get_run, &work, err);
}
