#include "grade.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "copy.h"
#include "pg.h"
#include "run.h"

/* ---- ReadUngraded ---- */

enum { UNGRADED_BYTES_MAX = 4 << 20 }; /* texts and documents of one reply */

struct ungraded_work {
    const char *run_id;
    uint32_t limit;
    struct cap_arena *arena;
    struct store_ungraded *out;
};

static bool read_item(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                      struct store_doc *doc, struct store_answer *answer)
{
    if (!store_answer_read(rows, row, 0, arena, answer))
        return false;
    *doc = (struct store_doc){answer->ordinal, answer->uid,
                              store_rows_text_copy(rows, row, STORE_ANSWER_COLUMN_COUNT, arena)};
    return doc->json != NULL;
}

static bool read_items(struct ungraded_work *work, const struct store_rows *rows,
                       struct cap_err *err)
{
    struct store_ungraded *out = work->out;
    size_t count = store_rows_count(rows), before = cap_arena_used(work->arena);

    out->docs = cap_arena_array(work->arena, count + 1, sizeof *out->docs);
    out->answers = cap_arena_array(work->arena, count + 1, sizeof *out->answers);
    if (!out->docs || !out->answers)
        return store_fail_full(err);
    for (; out->count < count; out->count++) {
        if (out->count > 0 && cap_arena_used(work->arena) - before > UNGRADED_BYTES_MAX)
            break; /* the rest comes with the next call */
        if (!read_item(rows, out->count, work->arena, &out->docs[out->count],
                       &out->answers[out->count]))
            return store_fail_full(err);
    }
    return true;
}

/* A task without metrics has nothing to grade. */
static bool read_ungraded(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct ungraded_work *work = arg;
    struct store_run run;

    *work->out = (struct store_ungraded){0};
    if (!store_run_find(conn, work->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT " STORE_ANSWER_COLUMNS ", d.doc FROM sample s"
        " JOIN task_sample d ON d.task_id = $2 AND NOT d.fewshot AND d.ordinal = s.ordinal"
        "  AND d.uid = s.uid"
        " WHERE s.run_no = $1 AND s.ordinal >= (SELECT graded_below FROM run WHERE run_no = $1)"
        "  AND (SELECT cardinality(metrics) > 0 FROM task WHERE task_id = $2) AND (SELECT true"
        "   FROM verdict v WHERE v.run_no = $1 AND v.ordinal = s.ordinal LIMIT 1) IS NULL"
        " ORDER BY s.ordinal LIMIT $3",
        STORE_ARGS(store_arg_int(run.run_no), store_arg_int(run.task_id),
                   store_arg_int(work->limit)));
    return rows && read_items(work, rows, err);
}

bool store_grade_ungraded(struct store_pg *pg, const char *run_id, uint32_t limit,
                          struct cap_arena *arena, struct store_ungraded *out_items,
                          struct cap_err *err)
{
    struct store_ungraded items;
    struct ungraded_work work = {run_id, limit ? limit : STORE_UNGRADED_MAX, arena, &items};

    if (limit > STORE_UNGRADED_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "limit is %u, at most %d", limit,
                        STORE_UNGRADED_MAX);
    if (!store_pg_tx(pg, STORE_TX_READ, read_ungraded, &work, err))
        return false;
    *out_items = items;
    return true;
}

/* ---- PutVerdicts ---- */

struct put_work {
    const char *run_id;
    const char *json;     /* the verdicts, as parameter */
    const char *ordinals; /* and what they are about */
    uint32_t samples_graded;
};

#define VERDICT_RECORDS                                                                            \
    "jsonb_to_recordset($2::jsonb) AS v(ordinal bigint, metric text, version text, kind text,"     \
    " extracted text, reason text, score float8, unanswered boolean, truncated boolean)"

static bool check_answered(struct store_conn *conn, const struct store_run *run,
                           const char *ordinals, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT o FROM unnest($2::bigint[]) AS u(o) WHERE"
                     " (SELECT true FROM sample WHERE run_no = $1 AND ordinal = o) IS NULL"
                     " LIMIT 1",
                     STORE_ARGS(store_arg_int(run->run_no), store_arg_text(ordinals)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %s of run %s has no answer to grade",
                    store_rows_text(rows, 0, 0), run->run_id);
}

static bool insert_verdicts(struct store_conn *conn, const struct store_run *run, const char *json,
                            struct cap_err *err)
{
    return store_pg_do(conn, err,
                       "INSERT INTO verdict (run_no, ordinal, metric, version, kind, extracted,"
                       " reason, score, unanswered, truncated)"
                       " SELECT $1, ordinal, metric, version, kind, extracted, reason, score,"
                       " unanswered, truncated FROM " VERDICT_RECORDS " ON CONFLICT DO NOTHING",
                       STORE_ARGS(store_arg_int(run->run_no), store_arg_text(json)));
}

static bool count_graded(struct store_conn *conn, const struct store_run *run, uint32_t *out_count,
                         struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "UPDATE run SET samples_graded ="
                     "  (SELECT count(DISTINCT ordinal) FROM verdict WHERE run_no = $1),"
                     " graded_below = coalesce((SELECT ordinal FROM sample s WHERE run_no = $1"
                     "   AND ordinal >= graded_below AND (SELECT true FROM verdict v"
                     "    WHERE v.run_no = $1 AND v.ordinal = s.ordinal LIMIT 1) IS NULL"
                     "   ORDER BY ordinal LIMIT 1), graded_below)"
                     " WHERE run_no = $1 RETURNING samples_graded",
                     STORE_ARGS(store_arg_int(run->run_no)));

    if (!rows)
        return false;
    *out_count = store_rows_u32(rows, 0, 0);
    return true;
}

static bool put_verdicts(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct put_work *work = arg;
    struct store_run run;

    if (!store_run_lock(conn, work->run_id, &run, err))
        return false;
    if (run.state != STORE_STATE_GRADING && run.state != STORE_STATE_FINISHED)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "run %s is %s; verdicts are taken while it is grading or after it finished",
                        run.run_id, store_state_name(run.state));
    return check_answered(conn, &run, work->ordinals, err) &&
           insert_verdicts(conn, &run, work->json, err) &&
           count_graded(conn, &run, &work->samples_graded, err);
}

static bool check_verdict(const struct store_verdict *v, struct cap_err *err)
{
    if (v->kind <= STORE_VERDICT_NONE || v->kind >= STORE_VERDICT_KIND_COUNT)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %u has no kind of verdict", v->ordinal);
    if (!*v->metric || !*v->version)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the verdict of sample %u names no metric or no grader version",
                        v->ordinal);
    if (!isfinite(v->score))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the score of sample %u is not a number",
                        v->ordinal);
    return true;
}

/* As JSON, for one statement; texts made to fit. NULL when a name is not UTF-8. */
static json_t *verdict_json(const struct store_verdict *v, struct cap_arena *arena)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:f, s:b, s:b}", "ordinal",
                     (json_int_t)v->ordinal, "metric", v->metric, "version", v->version, "kind",
                     store_verdict_kind_name(v->kind), "extracted",
                     store_text_fit(arena, v->extracted), "reason",
                     store_text_fit(arena, v->reason), "score", v->score, "unanswered",
                     (int)v->unanswered, "truncated", (int)v->truncated);
}

static char *verdicts_json(struct store_verdicts verdicts, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(64 << 20);
    json_t *array = json_array();
    char *text = NULL;

    for (size_t i = 0; i < verdicts.count && err->code == CAP_OK; i++)
        if (check_verdict(&verdicts.items[i], err) &&
            json_array_append_new(array, verdict_json(&verdicts.items[i], arena)) != 0)
            cap_fail(err, CAP_INVALID_ARGUMENT,
                     "the verdict of sample %u has a metric or version that is not UTF-8",
                     verdicts.items[i].ordinal);
    if (err->code == CAP_OK)
        text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return text;
}

bool store_grade_put(struct store_pg *pg, const char *run_id, struct store_verdicts verdicts,
                     uint32_t *out_samples_graded, struct cap_err *err)
{
    struct put_work work = {.run_id = run_id};
    CAP_AUTO_MEM char *json = NULL;
    CAP_AUTO_BUF(ordinals, 16 * (STORE_VERDICTS_MAX + 1));

    if (verdicts.count > STORE_VERDICTS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu verdicts, at most %d a call",
                        verdicts.count, STORE_VERDICTS_MAX);
    json = verdicts_json(verdicts, err);
    cap_buf_add_char(&ordinals, '{');
    for (size_t i = 0; i < verdicts.count; i++)
        cap_buf_printf(&ordinals, i ? ",%u" : "%u", verdicts.items[i].ordinal);
    cap_buf_add_char(&ordinals, '}');
    work.json = json;
    work.ordinals = ordinals.data;
    if (!json || !store_pg_tx(pg, STORE_TX_WRITE, put_verdicts, &work, err))
        return false;
    *out_samples_graded = work.samples_graded;
    return true;
}

/* ---- FinishRun ---- */

struct finish_work {
    const char *run_id;
    struct store_figures figures;
    struct store_histograms histograms;
};

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

static bool copy_figures(struct store_conn *conn, const struct store_run *run,
                         struct store_figures figures, struct cap_err *err)
{
    STORE_AUTO_COPY(copy, 16 << 20);

    for (size_t i = 0; i < figures.count; i++) {
        const struct store_figure *f = &figures.items[i];
        store_copy_int(&copy, run->run_no);
        store_copy_uint(&copy, i);
        store_copy_str(&copy, f->id);
        store_copy_opt_real(&copy, f->value);
        store_copy_opt_real(&copy, f->low);
        store_copy_opt_real(&copy, f->high);
        store_copy_str(&copy, f->reason);
        store_copy_str(&copy, f->unit);
        store_copy_str(&copy, f->basis);
        store_copy_bool(&copy, f->invalid);
        store_copy_end_row(&copy);
    }
    if (copy.lines.overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the summary is too large");
    return store_pg_copy(conn,
                         "COPY figure (run_no, position, id, value, low, high, reason, unit, basis,"
                         " invalid) FROM STDIN",
                         copy.lines.data, copy.lines.length, err);
}

static bool copy_histograms(struct store_conn *conn, const struct store_run *run,
                            struct store_histograms histograms, struct cap_err *err)
{
    STORE_AUTO_COPY(copy, 16 << 20);

    for (size_t i = 0; i < histograms.count; i++) {
        const struct store_histogram *h = &histograms.items[i];
        store_copy_int(&copy, run->run_no);
        store_copy_str(&copy, h->id);
        store_copy_real(&copy, h->lowest);
        store_copy_real(&copy, h->growth);
        store_copy_u64s(&copy, h->counts.items, h->counts.count);
        store_copy_end_row(&copy);
    }
    return store_pg_copy(conn, "COPY histogram (run_no, id, lowest, growth, counts) FROM STDIN",
                         copy.lines.data, copy.lines.length, err);
}

static bool finish(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct finish_work *work = arg;
    struct store_run run;

    if (!store_run_lock(conn, work->run_id, &run, err))
        return false;
    if (run.state == STORE_STATE_FINISHED)
        return true;
    if (run.state != STORE_STATE_GRADING)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is %s and cannot become finished",
                        run.run_id, store_state_name(run.state));
    return check_graded(conn, &run, err) && copy_figures(conn, &run, work->figures, err) &&
           copy_histograms(conn, &run, work->histograms, err) &&
           store_run_move_locked(conn, &run, STORE_STATE_FINISHED, "", err);
}

static bool check_figure(const struct store_figures *figures, size_t index, struct cap_err *err)
{
    const struct store_figure *f = &figures->items[index];

    if (!*f->id)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "figure %zu has no id", index);
    if (f->value.known ? !isfinite(f->value.value) : !*f->reason)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "figure \"%.64s\" has neither a finite value nor a reason", f->id);
    if ((f->low.known && !isfinite(f->low.value)) || (f->high.known && !isfinite(f->high.value)))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the interval of figure \"%.64s\" is not finite",
                        f->id);
    for (size_t i = 0; i < index; i++)
        if (strcmp(figures->items[i].id, f->id) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "figure \"%.64s\" comes twice", f->id);
    return true;
}

static bool check_histogram(const struct store_histograms *histograms, size_t index,
                            struct cap_err *err)
{
    const struct store_histogram *h = &histograms->items[index];

    if (!*h->id || h->counts.count > STORE_BUCKETS_MAX || !isfinite(h->lowest) ||
        !isfinite(h->growth))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "histogram %zu needs an id, finite bounds and at most %d buckets", index,
                        STORE_BUCKETS_MAX);
    for (size_t i = 0; i < index; i++)
        if (strcmp(histograms->items[i].id, h->id) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "histogram \"%.64s\" comes twice", h->id);
    return true;
}

bool store_grade_finish(struct store_pg *pg, const char *run_id, struct store_figures figures,
                        struct store_histograms histograms, struct cap_err *err)
{
    struct finish_work work = {run_id, figures, histograms};

    if (figures.count > STORE_FIGURES_MAX || histograms.count > STORE_HISTOGRAMS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a summary has at most %d figures and %d histograms", STORE_FIGURES_MAX,
                        STORE_HISTOGRAMS_MAX);
    for (size_t i = 0; i < figures.count; i++)
        if (!check_figure(&figures, i, err))
            return false;
    for (size_t i = 0; i < histograms.count; i++)
        if (!check_histogram(&histograms, i, err))
            return false;
    return store_pg_tx(pg, STORE_TX_WRITE, finish, &work, err);
}
