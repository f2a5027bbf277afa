/* The samples of a run and its expert counts, page by page: a page begins after a key, so that
 * page 1,000 costs what page 1 does. Gold is shown only once the run has ended.
 */
#include <stdio.h>
#include <string.h>

#include "moecap/v1/evaluator.rpc.h"
#include "row_map.h"
#include "run.h"
#include "store.h"

/* ---- ListSamples ---- */

struct samples_work {
    const Moecap__V1__ListSamplesRequest *request;
    uint32_t limit;
    struct cap_arena *arena;
    Moecap__V1__ListSamplesReply *reply;
};

/* One sample more than the page has, to know whether there are more. */
static struct store_rows *ask_samples(struct store_conn *conn, const struct samples_work *work,
                                      const struct store_run *run, struct cap_err *err)
{
    const Moecap__V1__ListSamplesRequest *r = work->request;
    /* Viewers of unfinished runs do not see gold. */
    bool with_gold = r->with_gold && store_state_ended(run->state);
#define SELECT_SAMPLES                                                                             \
    "SELECT s.ordinal AS _ordinal, {answer.base s answer.}, s.escaped AS escaped,"                 \
    " s.fence AS fence"
#define FROM_SAMPLES                                                                               \
    ", CASE WHEN $4::boolean THEN (SELECT doc FROM task_sample d WHERE d.task_id = $5"             \
    "   AND NOT d.fewshot AND d.ordinal = s.ordinal AND d.uid = s.uid) END AS doc_json"            \
    ", CASE WHEN $7::boolean THEN s.routing END AS \"answer.routing\""                             \
    " FROM sample s WHERE s.run_no = $1 AND s.ordinal > $2 AND ($6 = '' OR $6 ="                   \
    "   (SELECT v.kind FROM verdict v WHERE v.run_no = $1 AND v.ordinal = s.ordinal"               \
    "    AND v.metric = (SELECT metrics[1] FROM task WHERE task_id = $5)"                          \
    "    ORDER BY v.graded_at DESC, v.version DESC LIMIT 1))"                                      \
    " AND ($8 = '' OR s.completed = ($8 = 'completed'))"                                           \
    " AND ($9 = '' OR strpos(lower(s.uid), lower($9)) > 0"                                         \
    "   OR strpos(lower(s.text), lower($9)) > 0 OR strpos(lower(s.prompt), lower($9)) > 0"         \
    "   OR strpos(lower(s.reasoning), lower($9)) > 0)"                                             \
    " ORDER BY s.ordinal LIMIT $3"
    const char *sql = r->with_texts ? SELECT_SAMPLES ", {answer.texts s answer.}" FROM_SAMPLES
                                    : SELECT_SAMPLES FROM_SAMPLES;

    return store_pg_ask(
        conn, err, sql,
        STORE_ARGS(store_arg_int(run->run_no),
                   store_arg_int(r->opt_after_case ? (int64_t)r->after_ordinal : -1),
                   store_arg_int((int64_t)work->limit + 1), store_arg_bool(with_gold),
                   store_arg_int(run->task_id), store_arg_text(r->verdict),
                   store_arg_bool(r->with_routing), store_arg_text(r->status),
                   store_arg_text(r->search)));
#undef SELECT_SAMPLES
#undef FROM_SAMPLES
}

/* All versions, the oldest first; those of samples that a filter left out are passed over. */
static bool add_verdicts(struct store_conn *conn, const struct samples_work *work,
                         const struct store_run *run, struct cap_err *err)
{
    Moecap__V1__ListSamplesReply *reply = work->reply;
    Moecap__V1__Verdict **verdicts;
    size_t count, at = 0;

    if (reply->n_samples == 0)
        return true;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT {verdict v} FROM verdict v WHERE v.run_no = $1"
        " AND v.ordinal BETWEEN $2 AND $3"
        " ORDER BY v.ordinal, v.graded_at, v.metric, v.version",
        STORE_ARGS(store_arg_int(run->run_no), store_arg_int(reply->samples[0]->answer->ordinal),
                   store_arg_int(reply->samples[reply->n_samples - 1]->answer->ordinal)));
    if (!rows || !(verdicts = store_rows_list(rows, &moecap__v1__verdict__descriptor, NULL,
                                              work->arena, &count, err)))
        return false;
    for (size_t i = 0; i < reply->n_samples; i++) {
        Moecap__V1__SampleRow *row = reply->samples[i];
        while (at < count && verdicts[at]->ordinal < row->answer->ordinal)
            at++;
        row->verdicts = &verdicts[at];
        while (at < count && verdicts[at]->ordinal == row->answer->ordinal) {
            row->n_verdicts++;
            at++;
        }
    }
    return true;
}

static bool list_samples(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct samples_work *work = arg;
    Moecap__V1__ListSamplesReply *reply = work->reply;
    struct store_cut cut = {.rows_max = work->limit, .bytes_max = STORE_SAMPLES_BYTES_MAX};
    struct store_run run;

    moecap__v1__list_samples_reply__init(reply);
    if (!store_run_find(conn, work->request->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows) rows = ask_samples(conn, work, &run, err);
    if (!rows || !(reply->samples = store_rows_list(rows, &moecap__v1__sample_row__descriptor, &cut,
                                                    work->arena, &reply->n_samples, err)))
        return false;
    if (cut.more) {
        reply->opt_next_case = MOECAP__V1__LIST_SAMPLES_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after = reply->samples[reply->n_samples - 1]->answer->ordinal;
    }
    return add_verdicts(conn, work, &run, err);
}

static bool check_samples(const Moecap__V1__ListSamplesRequest *request, struct cap_err *err)
{
    Moecap__V1__VerdictKind kind;

    if (*request->verdict && !verdict_kind_from_word(request->verdict, &kind))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "verdict",
                              "verdict is \"%.32s\", must be correct, wrong, undecided or empty",
                              request->verdict);
    if (*request->status && strcmp(request->status, "completed") != 0 &&
        strcmp(request->status, "failed") != 0)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "status",
                              "status is \"%.32s\", must be completed, failed or empty",
                              request->status);
    if (strlen(request->search) > STORE_SEARCH_BYTES_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "search",
                              "search has %zu bytes, at most %d", strlen(request->search),
                              STORE_SEARCH_BYTES_MAX);
    return store_check_limit(request->limit, STORE_SAMPLES_MAX, err);
}

bool store_list_samples(struct store_pg *pg, const Moecap__V1__ListSamplesRequest *request,
                        struct cap_arena *arena, Moecap__V1__ListSamplesReply *reply,
                        struct cap_err *err)
{
    struct samples_work work = {request, request->limit ? request->limit : STORE_SAMPLES_DEFAULT,
                                arena, reply};

    return check_samples(request, err) && store_pg_tx(pg, STORE_TX_READ, list_samples, &work, err);
}

/* ---- GetExpertCounts ---- */

struct counts_work {
    const Moecap__V1__GetExpertCountsRequest *request;
    unsigned after[3]; /* phase, layer, bucket; phases begin at 1 */
    uint32_t limit;
    struct cap_arena *arena;
    Moecap__V1__GetExpertCountsReply *reply;
};

static bool get_counts(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct counts_work *work = arg;
    Moecap__V1__GetExpertCountsReply *reply = work->reply;
    struct store_cut cut = {.rows_max = work->limit, .bytes_max = STORE_COUNTS_BYTES_MAX};
    struct store_run run;
    const Moecap__V1__ExpertCount *last;

    moecap__v1__get_expert_counts_reply__init(reply);
    if (!store_run_find(conn, work->request->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT {expert_count e} FROM expert_count e"
                     " WHERE run_no = $1 AND (e.phase, e.layer, e.batch_bucket) >"
                     "  ($2::bigint, $3::bigint, $4::bigint)"
                     " ORDER BY e.phase, e.layer, e.batch_bucket LIMIT $5",
                     STORE_ARGS(store_arg_int(run.run_no), store_arg_int(work->after[0]),
                                store_arg_int(work->after[1]), store_arg_int(work->after[2]),
                                store_arg_int((int64_t)work->limit + 1)));
    if (!rows || !(reply->counts = store_rows_list(rows, &moecap__v1__expert_count__descriptor,
                                                   &cut, work->arena, &reply->n_counts, err)))
        return false;
    if (!cut.more)
        return true;
    last = reply->counts[reply->n_counts - 1];
    reply->opt_next_case = MOECAP__V1__GET_EXPERT_COUNTS_REPLY__OPT_NEXT_NEXT_AFTER;
    reply->next_after = cap_arena_printf(work->arena, "%u.%u.%u", (unsigned)last->phase,
                                         last->layer, last->batch_bucket);
    return reply->next_after || store_fail_full(err);
}

static bool read_after(const char *after, unsigned out[3], struct cap_err *err)
{
    char end;

    if (!*after || (strspn(after, "0123456789.") == strlen(after) &&
                    sscanf(after, "%9u.%9u.%9u%c", &out[0], &out[1], &out[2], &end) == 3))
        return true;
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, "after",
                          "after: \"%.40s\" is not a valid cursor", after);
}

bool store_get_expert_counts(struct store_pg *pg, const Moecap__V1__GetExpertCountsRequest *request,
                             struct cap_arena *arena, Moecap__V1__GetExpertCountsReply *reply,
                             struct cap_err *err)
{
    struct counts_work work = {.request = request,
                               .limit = request->limit ? request->limit : STORE_COUNTS_MAX,
                               .arena = arena,
                               .reply = reply};

    return store_check_limit(request->limit, STORE_COUNTS_MAX, err) &&
           read_after(request->after, work.after, err) &&
           store_pg_tx(pg, STORE_TX_READ, get_counts, &work, err);
}
