/* From stored answers to verdicts and a summary.
 *
 * What it guarantees
 *   Gold meets an answer by (task, ordinal, uid), never by position.
 *   A verdict is a row keyed by (run, ordinal, metric, version): the first of a version stays, and
 *   grading again with a new version adds to them. Of several versions the latest counts.
 *   A run finishes once, with figures, histograms and the state in one transaction, and only when
 *   every sample of it is graded. A figure has a finite value or a reason.
 *
 * run.graded_below is where the search for ungraded samples begins: no sample below it waits for a
 * verdict. It only grows, so that reading the next batch of a long run does not walk over those
 * that are graded.
 *
 * Locks: the run's row, for both writes. ReadUngraded takes none: what it answers may be graded by
 * another call meanwhile, whose verdicts then stay and ours are skipped.
 */
#include <math.h>
#include <string.h>

#include "base/map.h"
#include "moecap/v1/evaluator.rpc.h"
#include "row_map.h"
#include "run.h"
#include "store.h"

/* ---- ReadUngraded ---- */

struct ungraded_work {
    const Moecap__V1__ReadUngradedRequest *request;
    uint32_t limit;
    struct cap_arena *arena;
    Moecap__V1__ReadUngradedReply *reply;
};

/* A task without metrics has nothing to grade. What does not fit comes with the next call. */
static bool read_ungraded(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct ungraded_work *work = arg;
    struct store_cut cut = {.rows_max = work->limit, .bytes_max = STORE_UNGRADED_BYTES_MAX};
    struct store_run run;

    if (!store_run_find(conn, work->request->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT {answer.base s answer.}, {answer.texts s answer.}, {doc d doc.} FROM sample s"
        " JOIN task_sample d ON d.task_id = $2 AND NOT d.fewshot AND d.ordinal = s.ordinal"
        "  AND d.uid = s.uid"
        " WHERE s.run_no = $1 AND s.ordinal >= (SELECT graded_below FROM run WHERE run_no = $1)"
        "  AND (SELECT cardinality(metrics) > 0 FROM task WHERE task_id = $2) AND (SELECT true"
        "   FROM verdict v WHERE v.run_no = $1 AND v.ordinal = s.ordinal LIMIT 1) IS NULL"
        " ORDER BY s.ordinal LIMIT $3",
        STORE_ARGS(store_arg_int(run.run_no), store_arg_int(run.task_id),
                   store_arg_int(work->limit)));
    return rows &&
           (work->reply->items = store_rows_list(rows, &moecap__v1__grade_item__descriptor, &cut,
                                                 work->arena, &work->reply->n_items, err));
}

bool store_read_ungraded(struct store_pg *pg, const Moecap__V1__ReadUngradedRequest *request,
                         struct cap_arena *arena, Moecap__V1__ReadUngradedReply *reply,
                         struct cap_err *err)
{
    struct ungraded_work work = {request, request->limit ? request->limit : STORE_UNGRADED_MAX,
                                 arena, reply};

    if (request->limit > STORE_UNGRADED_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "limit is %u, at most %d", request->limit,
                        STORE_UNGRADED_MAX);
    return store_pg_tx(pg, STORE_TX_READ, read_ungraded, &work, err);
}

/* ---- PutVerdicts ---- */

struct put_work {
    const Moecap__V1__PutVerdictsRequest *request;
    const char *ordinals; /* of the verdicts, as an array */
    struct cap_arena *arena;
    Moecap__V1__PutVerdictsReply *reply;
};

static bool check_answered(struct store_conn *conn, const struct put_work *work,
                           const struct store_run *run, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT o FROM unnest($2::bigint[]) AS u(o) WHERE"
                     " (SELECT true FROM sample WHERE run_no = $1 AND ordinal = o) IS NULL"
                     " LIMIT 1",
                     STORE_ARGS(store_arg_int(run->run_no), store_arg_text(work->ordinals)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %s of run %s has no answer to grade",
                    store_rows_text(rows, 0, 0), run->run_id);
}

/* False when the key was there. */
static bool note(struct cap_map *keys, const char *key)
{
    if (cap_map_get(keys, key))
        return false;
    cap_map_put(keys, key, keys); /* any value */
    return true;
}

/* What is graded, before and with this call: verdicts by "ordinal metric version", samples by
 * "ordinal". */
struct graded {
    struct cap_map *verdicts, *samples;
    uint32_t samples_new;
};

/* False when there is such a verdict. */
static bool note_verdict(struct graded *graded, uint32_t ordinal, const char *metric,
                         const char *version, bool is_new)
{
    CAP_AUTO_BUF(key, 1 << 20);

    cap_buf_printf(&key, "%u", ordinal);
    graded->samples_new += note(graded->samples, key.data) && is_new;
    cap_buf_printf(&key, "\n%s\n%s", metric, version);
    return note(graded->verdicts, key.data);
}

/* Notes the verdicts of these samples that are stored. LATERAL with OFFSET 0: one look into the
 * index for each sample, whatever the planner thinks of a table that it has no statistics of. */
static bool find_stored(struct store_conn *conn, const struct put_work *work,
                        const struct store_run *run, struct graded *graded, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT o, v.metric, v.version FROM unnest($2::bigint[]) AS u(o), LATERAL"
        " (SELECT metric, version FROM verdict WHERE run_no = $1 AND ordinal = o OFFSET 0) AS v",
        STORE_ARGS(store_arg_int(run->run_no), store_arg_text(work->ordinals)));

    for (size_t i = 0; rows && i < store_rows_count(rows); i++)
        note_verdict(graded, store_rows_u32(rows, i, 0), store_rows_text(rows, i, 1),
                     store_rows_text(rows, i, 2), false);
    return rows != NULL;
}

/* The run's row is locked, so nobody adds verdicts meanwhile: what is not stored can be copied. */
static bool copy_new(struct store_conn *conn, const struct put_work *work,
                     const struct store_run *run, uint32_t *out_samples_new, struct cap_err *err)
{
    enum { BYTES_MAX = 64 << 20 };
    const Moecap__V1__PutVerdictsRequest *request = work->request;
    CAP_AUTO(cap_map) verdicts = cap_map_new();
    CAP_AUTO(cap_map) samples = cap_map_new();
    struct graded graded = {verdicts, samples, 0};
    Moecap__V1__Verdict **list =
        cap_arena_array(work->arena, request->n_verdicts + 1, sizeof *list);
    struct store_map_rows rows = {STORE_MAP_verdict, list, 0, &run->run_no, 1};

    if (!list)
        return store_fail_full(err);
    if (!find_stored(conn, work, run, &graded, err))
        return false;
    for (size_t i = 0; i < request->n_verdicts; i++) {
        Moecap__V1__Verdict *v = request->verdicts[i];
        if (note_verdict(&graded, v->ordinal, v->metric, v->version, true))
            list[rows.count++] = v;
    }
    *out_samples_new = graded.samples_new;
    return store_map_copy(conn, "COPY verdict (run_no, {verdict}) FROM STDIN", &rows, BYTES_MAX,
                          err);
}

static bool count_graded(struct store_conn *conn, const struct store_run *run, uint32_t samples_new,
                         uint32_t *out_count, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "UPDATE run SET samples_graded = samples_graded + $2,"
                     " graded_below = coalesce((SELECT ordinal FROM sample s WHERE run_no = $1"
                     "   AND ordinal >= graded_below AND (SELECT true FROM verdict v"
                     "    WHERE v.run_no = $1 AND v.ordinal = s.ordinal LIMIT 1) IS NULL"
                     "   ORDER BY ordinal LIMIT 1), graded_below)"
                     " WHERE run_no = $1 RETURNING samples_graded",
                     STORE_ARGS(store_arg_int(run->run_no), store_arg_int(samples_new)));

    if (!rows)
        return false;
    *out_count = store_rows_u32(rows, 0, 0);
    return true;
}

static bool put_verdicts(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct put_work *work = arg;
    struct store_run run;
    uint32_t samples_new = 0;

    if (!store_run_lock(conn, work->request->run_id, &run, err))
        return false;
    if (run.state != STORE_STATE_GRADING && run.state != STORE_STATE_FINISHED)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "run %s is %s; verdicts are taken while it is grading or after it finished",
                        run.run_id, store_state_name(run.state));
    return check_answered(conn, work, &run, err) && copy_new(conn, work, &run, &samples_new, err) &&
           count_graded(conn, &run, samples_new, &work->reply->samples_graded, err);
}

static bool check_verdict(const Moecap__V1__Verdict *v, struct cap_err *err)
{
    if (!*verdict_kind_word(v->kind))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %u has no kind of verdict", v->ordinal);
    if (!*v->metric || !*v->version)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the verdict of sample %u names no metric or no grader version",
                        v->ordinal);
    /* Texts get stand-ins; names are somebody's mistake. */
    if (!store_text_fits(v->metric, strlen(v->metric)) ||
        !store_text_fits(v->version, strlen(v->version)))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the verdict of sample %u has a metric or version that is not UTF-8",
                        v->ordinal);
    if (!isfinite(v->score))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the score of sample %u is not a number",
                        v->ordinal);
    return true;
}

bool store_put_verdicts(struct store_pg *pg, const Moecap__V1__PutVerdictsRequest *request,
                        struct cap_arena *arena, Moecap__V1__PutVerdictsReply *reply,
                        struct cap_err *err)
{
    struct put_work work = {.request = request, .arena = arena, .reply = reply};
    uint32_t last = UINT32_MAX;
    CAP_AUTO_BUF(ordinals, 16 * (STORE_VERDICTS_MAX + 1));

    if (request->n_verdicts > STORE_VERDICTS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu verdicts, at most %d a call",
                        request->n_verdicts, STORE_VERDICTS_MAX);
    cap_buf_add_char(&ordinals, '{');
    for (size_t i = 0; i < request->n_verdicts; i++) {
        const Moecap__V1__Verdict *v = request->verdicts[i];
        if (!check_verdict(v, err))
            return false;
        if (i > 0 && v->ordinal == last) /* another metric of the same sample */
            continue;
        cap_buf_add_str(&ordinals, ordinals.length > 1 ? "," : "");
        store_add_uint(&ordinals, last = v->ordinal);
    }
    cap_buf_add_char(&ordinals, '}');
    work.ordinals = ordinals.data;
    return store_pg_tx(pg, STORE_TX_WRITE, put_verdicts, &work, err);
}

/* ---- FinishRun ---- */

static bool check_graded(struct store_conn *conn, const struct store_run *run, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, "SELECT cardinality(metrics) > 0 FROM task WHERE task_id = $1",
                     STORE_ARGS(store_arg_int(run->task_id)));

    if (!rows)
        return false;
    if (!store_rows_bool(rows, 0, 0) || run->samples_graded == run->samples_total)
        return true;
    return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s has %u samples without a verdict",
                    run->run_id, run->samples_total - run->samples_graded);
}

static bool copy_summary(struct store_conn *conn, const struct store_run *run,
                         const Moecap__V1__Summary *summary, struct cap_err *err)
{
    enum { BYTES_MAX = 16 << 20 };
    const struct store_map_rows
        figures = {STORE_MAP_figure, summary->figures, summary->n_figures, &run->run_no, 1, true},
        histograms = {STORE_MAP_histogram, summary->histograms, summary->n_histograms, &run->run_no,
                      1},
        curves = {STORE_MAP_curve, summary->curves, summary->n_curves, &run->run_no, 1},
        marks = {STORE_MAP_mark, summary->marks, summary->n_marks, &run->run_no, 1, true};

    return store_map_copy(conn, "COPY figure (run_no, position, {figure}) FROM STDIN", &figures,
                          BYTES_MAX, err) &&
           store_map_copy(conn, "COPY histogram (run_no, {histogram}) FROM STDIN", &histograms,
                          BYTES_MAX, err) &&
           store_map_copy(conn, "COPY curve (run_no, {curve}) FROM STDIN", &curves, BYTES_MAX,
                          err) &&
           store_map_copy(conn, "COPY mark (run_no, position, {mark}) FROM STDIN", &marks,
                          BYTES_MAX, err);
}

/* Not asked for by its parts, so kept as it came. */
static bool write_cost(struct store_conn *conn, const struct store_run *run,
                       const Moecap__V1__Summary *summary, struct cap_arena *arena,
                       struct cap_err *err)
{
    const Moecap__V1__CostBasis *cost = summary->cost;
    struct store_bytes packed = {0};
    uint8_t *bytes;

    if (!cost)
        return true;
    packed.length = moecap__v1__cost_basis__get_packed_size(cost);
    if (!(bytes = cap_arena_alloc(arena, packed.length + 1)))
        return store_fail_full(err);
    moecap__v1__cost_basis__pack(cost, bytes);
    packed.data = bytes;
    return store_pg_do(conn, err, "UPDATE run SET cost = $2 WHERE run_no = $1",
                       STORE_ARGS(store_arg_int(run->run_no), store_arg_bytes(packed)));
}

struct finish_work {
    const Moecap__V1__FinishRunRequest *request;
    const char *invalid; /* why the run does not count as a measurement, "" = it does */
    struct cap_arena *arena;
};

static bool finish(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct finish_work *work = arg;
    struct store_run run;

    if (!store_run_lock(conn, work->request->run_id, &run, err))
        return false;
    if (run.state == STORE_STATE_FINISHED || run.state == STORE_STATE_INVALID)
        return true;
    if (run.state != STORE_STATE_GRADING)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is %s and cannot become finished",
                        run.run_id, store_state_name(run.state));
    return check_graded(conn, &run, err) && copy_summary(conn, &run, work->request->summary, err) &&
           write_cost(conn, &run, work->request->summary, work->arena, err) &&
           store_run_move_locked(conn, &run,
                                 *work->invalid ? STORE_STATE_INVALID : STORE_STATE_FINISHED,
                                 work->invalid, err);
}

static bool check_figure(const Moecap__V1__Summary *summary, size_t index, struct cap_err *err)
{
    const Moecap__V1__Figure *f = summary->figures[index];

    if (!*f->id)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "figure %zu has no id", index);
    if (f->opt_value_case ? !isfinite(f->value) : !*f->reason)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "figure \"%.64s\" has neither a finite value nor a reason", f->id);
    if ((f->opt_low_case && !isfinite(f->low)) || (f->opt_high_case && !isfinite(f->high)) ||
        (f->opt_certified_case && !isfinite(f->certified)))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the interval of figure \"%.64s\" is not finite",
                        f->id);
    for (size_t i = 0; i < index; i++)
        if (strcmp(summary->figures[i]->id, f->id) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "figure \"%.64s\" appears twice", f->id);
    return true;
}

static bool check_histogram(const Moecap__V1__Summary *summary, size_t index, struct cap_err *err)
{
    const Moecap__V1__Histogram *h = summary->histograms[index];

    if (!*h->id || h->n_counts > STORE_BUCKETS_MAX || !isfinite(h->lowest) || !isfinite(h->growth))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "histogram %zu needs an id, finite bounds and at most %d buckets", index,
                        STORE_BUCKETS_MAX);
    for (size_t i = 0; i < index; i++)
        if (strcmp(summary->histograms[i]->id, h->id) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "histogram \"%.64s\" appears twice", h->id);
    return true;
}

static bool all_finite(const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static bool check_curve(const Moecap__V1__Summary *summary, size_t index, struct cap_err *err)
{
    const Moecap__V1__Curve *c = summary->curves[index];

    if (!*c->id || c->n_x > STORE_POINTS_MAX || c->n_y != c->n_x ||
        (c->n_reference > 0 && c->n_reference != c->n_x))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "curve %zu needs an id, at most %d points, and lists of one length", index,
                        STORE_POINTS_MAX);
    if (!all_finite(c->x, c->n_x) || !all_finite(c->y, c->n_y) ||
        !all_finite(c->reference, c->n_reference))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a point of curve \"%.64s\" is not finite",
                        c->id);
    for (size_t i = 0; i < index; i++)
        if (strcmp(summary->curves[i]->id, c->id) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "curve \"%.64s\" appears twice", c->id);
    return true;
}

static bool check_mark(const Moecap__V1__Summary *summary, size_t index, struct cap_err *err)
{
    const Moecap__V1__Mark *m = summary->marks[index];

    if (!*m->id || strlen(m->id) > STORE_MARK_ID_BYTES_MAX || !*m->text ||
        strlen(m->text) > STORE_MARK_TEXT_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "mark %zu needs an id of at most %d bytes and a text of at most %d", index,
                        STORE_MARK_ID_BYTES_MAX, STORE_MARK_TEXT_BYTES_MAX);
    for (size_t i = 0; i < index; i++)
        if (strcmp(summary->marks[i]->id, m->id) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "mark \"%.64s\" appears twice", m->id);
    return true;
}

/* What the database would refuse, with a sentence that names it. */
static bool check_summary(const Moecap__V1__Summary *summary, struct cap_err *err)
{
    if (!summary)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the request holds no summary");
    if (summary->n_figures > STORE_FIGURES_MAX || summary->n_histograms > STORE_HISTOGRAMS_MAX ||
        summary->n_curves > STORE_CURVES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a summary has at most %d figures, %d histograms and %d curves",
                        STORE_FIGURES_MAX, STORE_HISTOGRAMS_MAX, STORE_CURVES_MAX);
    if (summary->n_marks > STORE_MARKS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a summary has at most %d marks",
                        STORE_MARKS_MAX);
    for (size_t i = 0; i < summary->n_figures; i++)
        if (!check_figure(summary, i, err))
            return false;
    for (size_t i = 0; i < summary->n_histograms; i++)
        if (!check_histogram(summary, i, err))
            return false;
    for (size_t i = 0; i < summary->n_curves; i++)
        if (!check_curve(summary, i, err))
            return false;
    for (size_t i = 0; i < summary->n_marks; i++)
        if (!check_mark(summary, i, err))
            return false;
    return true;
}

bool store_finish_run(struct store_pg *pg, const Moecap__V1__FinishRunRequest *request,
                      struct cap_arena *arena, Moecap__V1__Empty *reply, struct cap_err *err)
{
    struct finish_work work = {request, store_text_fit(arena, request->invalid_reason), arena};

    (void)reply;
    if (!work.invalid)
        return store_fail_full(err);
    if (strlen(work.invalid) > STORE_REASON_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the reason has %zu bytes, at most %d",
                        strlen(work.invalid), STORE_REASON_BYTES_MAX);
    return check_summary(request->summary, err) &&
           store_pg_tx(pg, STORE_TX_WRITE, finish, &work, err);
}
