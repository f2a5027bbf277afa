/* PairVerdicts: what two runs of one task made of the same samples, pair by pair.
 *
 * Pairs are made by the sample, never by the place in a list, and only of runs whose task is one
 * row of `task`: the same definition and the same data, byte by byte. A sample that one of the runs
 * lacks is a refusal; leaving it out would compare what happened to be there. */
#include <string.h>

#include "run.h"
#include "store.h"

struct pair_work {
    const Moecap__V1__PairVerdictsRequest *request;
    struct cap_arena *arena;
    Moecap__V1__PairVerdictsReply *reply;
};

static bool check_ended(const struct store_run *run, struct cap_err *err)
{
    if (run->state == STORE_STATE_FINISHED || run->state == STORE_STATE_INVALID)
        return true;
    return cap_fail(err, CAP_FAILED_PRECONDITION,
                    "run %.64s is %s; only finished runs can be compared", run->run_id,
                    store_state_name(run->state));
}

/* Of what task each run is, in words that tell them apart. */
static bool fail_task(struct store_conn *conn, const struct store_run *a, const struct store_run *b,
                      struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT format('%s (version %s, definition %s, data %s)', name, version,"
                     "  left(definition_sha256, 12), left(data_sha256, 12))"
                     " FROM task WHERE task_id IN ($1, $2) ORDER BY task_id = $2",
                     STORE_ARGS(store_arg_int(a->task_id), store_arg_int(b->task_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) != 2)
        return cap_fail(err, CAP_INTERNAL, "the task of a run is gone");
    return cap_fail(err, CAP_FAILED_PRECONDITION,
                    "the runs are not on the same samples: %.64s is of %.160s, %.64s of %.160s; "
                    "run both on one task",
                    a->run_id, store_rows_text(rows, 0, 0), b->run_id, store_rows_text(rows, 1, 0));
}

static bool fail_sample(const struct store_run *only, const struct store_run *lacks,
                        uint32_t ordinal, struct cap_err *err)
{
    return cap_fail(err, CAP_FAILED_PRECONDITION,
                    "the runs are not on the same samples: sample %u has a verdict in %.64s and "
                    "none in %.64s; submit both with the same limit, sampling and seed",
                    ordinal, only->run_id, lacks->run_id);
}

#define LATEST(run)                                                                                \
    "(SELECT DISTINCT ON (ordinal) ordinal, kind = 'correct' AS is_right FROM verdict"             \
    "  WHERE run_no = " run " AND metric = $3 ORDER BY ordinal, graded_at DESC, version DESC)"

static bool read_pairs(struct store_conn *conn, const struct pair_work *work,
                       const struct store_run *a, const struct store_run *b, struct cap_err *err)
{
    Moecap__V1__PairVerdictsReply *reply = work->reply;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT ordinal, a.is_right, b.is_right FROM " LATEST(
                         "$1") " a FULL JOIN " LATEST("$2") " b USING (ordinal) ORDER BY ordinal",
                     STORE_ARGS(store_arg_int(a->run_no), store_arg_int(b->run_no),
                                store_arg_text(reply->metric)));
    size_t count;

    if (!rows)
        return false;
    count = store_rows_count(rows);
    if (count == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "neither run has a verdict by %.64s",
                        reply->metric);
    reply->ordinals = cap_arena_array(work->arena, count, sizeof *reply->ordinals);
    reply->right_a = cap_arena_array(work->arena, count, sizeof *reply->right_a);
    reply->right_b = cap_arena_array(work->arena, count, sizeof *reply->right_b);
    if (!reply->ordinals || !reply->right_a || !reply->right_b)
        return store_fail_full(err);
    for (size_t i = 0; i < count; i++) {
        reply->ordinals[i] = store_rows_u32(rows, i, 0);
        if (store_rows_null(rows, i, 1) || store_rows_null(rows, i, 2))
            return store_rows_null(rows, i, 2) ? fail_sample(a, b, reply->ordinals[i], err)
                                               : fail_sample(b, a, reply->ordinals[i], err);
        reply->right_a[i] = store_rows_bool(rows, i, 1);
        reply->right_b[i] = store_rows_bool(rows, i, 2);
    }
    reply->n_ordinals = reply->n_right_a = reply->n_right_b = count;
    return true;
}

static bool read_task(struct store_conn *conn, const struct pair_work *work, int64_t task_id,
                      struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, "SELECT name, metrics[1] FROM task WHERE task_id = $1",
                     STORE_ARGS(store_arg_int(task_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0 || store_rows_null(rows, 0, 1))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "the task of the runs has no metric");
    work->reply->task = store_rows_text_copy(rows, 0, 0, work->arena);
    work->reply->metric = store_rows_text_copy(rows, 0, 1, work->arena);
    return (work->reply->task && work->reply->metric) || store_fail_full(err);
}

static bool pair(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct pair_work *work = arg;
    struct store_run a, b;

    moecap__v1__pair_verdicts_reply__init(work->reply);
    if (!store_run_find(conn, work->request->run_a, &a, err) ||
        !store_run_find(conn, work->request->run_b, &b, err) || !check_ended(&a, err) ||
        !check_ended(&b, err))
        return false;
    if (a.run_no == b.run_no)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "both runs are %.64s; name two", a.run_id);
    if (a.task_id != b.task_id)
        return fail_task(conn, &a, &b, err);
    return read_task(conn, work, a.task_id, err) && read_pairs(conn, work, &a, &b, err);
}

bool store_pair_verdicts(struct store_pg *pg, const Moecap__V1__PairVerdictsRequest *request,
                         struct cap_arena *arena, Moecap__V1__PairVerdictsReply *reply,
                         struct cap_err *err)
{
    struct pair_work work = {request, arena, reply};

    return store_pg_tx(pg, STORE_TX_READ, pair, &work, err);
}
