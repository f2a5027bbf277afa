#include "answer.h"

#include <string.h>

#include "grade.h"
#include "pg.h"
#include "report.h"
#include "run.h"

struct samples_work {
    const struct store_sample_filter *filter;
    uint32_t limit;
    struct cap_arena *arena;
    struct store_sample_page *out;
};

/* One sample more than the page has, to know whether there are more. */
static struct store_rows *ask_samples(struct store_conn *conn, const struct samples_work *work,
                                      const struct store_run *run, struct cap_err *err)
{
    const struct store_sample_filter *f = work->filter;
    /* Viewers of unfinished runs do not see gold. */
    bool with_gold = f->with_gold && store_state_ended(run->state);
#define FROM_SAMPLES                                                                               \
    ", CASE WHEN $4::boolean THEN (SELECT doc FROM task_sample d WHERE d.task_id = $5"             \
    "   AND NOT d.fewshot AND d.ordinal = s.ordinal AND d.uid = s.uid) END"                        \
    ", CASE WHEN $7::boolean THEN s.routing END"                                                   \
    " FROM sample s WHERE s.run_no = $1 AND s.ordinal > $2 AND ($6 = '' OR $6 ="                   \
    "   (SELECT v.kind FROM verdict v WHERE v.run_no = $1 AND v.ordinal = s.ordinal"               \
    "    AND v.metric = (SELECT metrics[1] FROM task WHERE task_id = $5)"                          \
    "    ORDER BY v.graded_at DESC, v.version DESC LIMIT 1))"                                      \
    " AND ($8 = '' OR s.completed = ($8 = 'completed'))"                                           \
    " AND ($9 = '' OR strpos(lower(s.uid), lower($9)) > 0"                                         \
    "   OR strpos(lower(s.text), lower($9)) > 0 OR strpos(lower(s.prompt), lower($9)) > 0"         \
    "   OR strpos(lower(s.reasoning), lower($9)) > 0)"                                             \
    " ORDER BY s.ordinal LIMIT $3"
    const char *sql = f->with_texts ? "SELECT " STORE_ANSWER_COLUMNS FROM_SAMPLES
                                    : "SELECT " STORE_ANSWER_BARE_COLUMNS FROM_SAMPLES;

    return store_pg_ask(conn, err, sql,
                        STORE_ARGS(store_arg_int(run->run_no), store_arg_int(f->after_ordinal),
                                   store_arg_int((int64_t)work->limit + 1),
                                   store_arg_bool(with_gold), store_arg_int(run->task_id),
                                   store_arg_text(f->verdict), store_arg_bool(f->with_routing),
                                   store_arg_text(f->status), store_arg_text(f->search)));
#undef FROM_SAMPLES
}

static bool read_sample(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                        struct store_sample_row *out_row)
{
    enum { DOC = STORE_ANSWER_COLUMN_COUNT, ROUTING };

    *out_row = (struct store_sample_row){0};
    if (!store_answer_read(rows, row, 0, arena, &out_row->answer) ||
        !store_rows_bytes(rows, row, ROUTING, arena, &out_row->answer.routing))
        return false;
    if (store_rows_null(rows, row, DOC))
        return true;
    out_row->doc_json = store_rows_text_copy(rows, row, DOC, arena);
    return out_row->doc_json != NULL;
}

static bool read_page(struct samples_work *work, const struct store_rows *rows, struct cap_err *err)
{
    struct store_sample_page *out = work->out;
    size_t count = store_rows_count(rows), before = cap_arena_used(work->arena);

    *out = (struct store_sample_page){0};
    out->rows = cap_arena_array(work->arena, count + 1, sizeof *out->rows);
    if (!out->rows)
        return store_fail_full(err);
    for (; out->count < count && out->count < work->limit; out->count++) {
        if (out->count > 0 && cap_arena_used(work->arena) - before > STORE_SAMPLES_BYTES_MAX)
            break;
        if (!read_sample(rows, out->count, work->arena, &out->rows[out->count]))
            return store_fail_full(err);
    }
    out->more = out->count < count;
    return true;
}

/* All versions, the oldest first. */
static bool add_verdicts(struct store_conn *conn, const struct samples_work *work,
                         const struct store_run *run, struct cap_err *err)
{
    struct store_sample_page *page = work->out;
    struct store_verdict *verdicts;
    size_t at = 0;

    if (page->count == 0)
        return true;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT " STORE_VERDICT_COLUMNS " FROM verdict v WHERE v.run_no = $1"
        " AND v.ordinal BETWEEN $2 AND $3"
        " ORDER BY v.ordinal, v.graded_at, v.metric, v.version",
        STORE_ARGS(store_arg_int(run->run_no), store_arg_int(page->rows[0].answer.ordinal),
                   store_arg_int(page->rows[page->count - 1].answer.ordinal)));
    if (!rows)
        return false;
    verdicts = cap_arena_array(work->arena, store_rows_count(rows) + 1, sizeof *verdicts);
    for (size_t i = 0; verdicts && i < store_rows_count(rows); i++) {
        uint32_t ordinal = store_rows_u32(rows, i, 0);
        while (at < page->count && page->rows[at].answer.ordinal < ordinal)
            at++;
        if (at == page->count || page->rows[at].answer.ordinal != ordinal)
            continue; /* of a sample that the filter left out */
        if (!store_verdict_read(rows, i, 0, work->arena, &verdicts[i]))
            return store_fail_full(err);
        if (page->rows[at].verdicts.count++ == 0)
            page->rows[at].verdicts.items = &verdicts[i];
    }
    return verdicts || store_fail_full(err);
}

static bool list_samples(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct samples_work *work = arg;
    struct store_run run;

    if (!store_run_find(conn, work->filter->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows) rows = ask_samples(conn, work, &run, err);
    return rows && read_page(work, rows, err) && add_verdicts(conn, work, &run, err);
}

static bool check_filter(const struct store_sample_filter *filter, struct cap_err *err)
{
    if (filter->limit > STORE_SAMPLES_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "limit", "limit is %u, at most %d",
                              filter->limit, STORE_SAMPLES_MAX);
    if (*filter->verdict && !store_verdict_kind_from_name(filter->verdict))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "verdict",
                              "verdict is \"%.32s\", must be correct, wrong, undecided or empty",
                              filter->verdict);
    if (*filter->status && strcmp(filter->status, "completed") != 0 &&
        strcmp(filter->status, "failed") != 0)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "status",
                              "status is \"%.32s\", must be completed, failed or empty",
                              filter->status);
    if (strlen(filter->search) > STORE_SEARCH_BYTES_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "search",
                              "search has %zu bytes, at most %d", strlen(filter->search),
                              STORE_SEARCH_BYTES_MAX);
    return true;
}

bool store_report_samples(struct store_pg *pg, const struct store_sample_filter *filter,
                          struct cap_arena *arena, struct store_sample_page *out_page,
                          struct cap_err *err)
{
    struct store_sample_page page;
    struct samples_work work = {filter, filter->limit ? filter->limit : STORE_SAMPLES_DEFAULT,
                                arena, &page};

    if (!check_filter(filter, err))
        return false;
    if (!store_pg_tx(pg, STORE_TX_READ, list_samples, &work, err))
        return false;
    *out_page = page;
    return true;
}
