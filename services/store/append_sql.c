#include "append.h"

#include <string.h>

#include "append_rows.h"
#include "digest/digest.h"
#include "expert_counts.h"
#include "lease.h"
#include "pg.h"
#include "run.h"

enum {
    /* Lines are longer than the packed rows: small numbers are a byte there and up to 20 here, a
     * byte that is no text becomes six. */
    LINES_BYTES_MAX = 16 * STORE_BATCH_BYTES_MAX,
};

bool store_batch_check(struct store_bytes rows, struct store_bytes sha256, struct cap_err *err)
{
    uint8_t digest[CAP_SHA256_BYTES];

    if (rows.length > STORE_BATCH_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch has %zu bytes of rows, at most %d",
                        rows.length, STORE_BATCH_BYTES_MAX);
    if (sha256.length != CAP_SHA256_BYTES)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "sha256 has %zu bytes, must be %d",
                        sha256.length, CAP_SHA256_BYTES);
    cap_sha256(rows.data, rows.length, digest);
    if (memcmp(digest, sha256.data, sizeof digest) != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the rows of the batch do not have the sha256 that came with them");
    return true;
}

/* ---- the checks, in order ---- */

struct append_work {
    const struct store_batch *batch;
    const char *ordinals; /* of the answers, as an array literal */
    struct store_appended *out;
    struct store_run run;
    bool held;         /* the fence still holds the lease */
    uint64_t seq_next; /* of the shard */
};

/* The lease is the sender's. Asked of the attempt, which knows its node after the lease's end, too. */
static bool check_sender(const struct append_work *work, const char *holder, struct cap_err *err)
{
    const struct store_batch *batch = work->batch;

    if (!batch->node_id || !*batch->node_id || strcmp(batch->node_id, holder) == 0)
        return true;
    return cap_fail(err, CAP_PERMISSION_DENIED,
                    "the lease of shard %u of run %s belongs to another node than \"%.64s\"",
                    batch->lease.shard, work->run.run_id, batch->node_id);
}

static bool read_shard(struct store_conn *conn, struct append_work *work, struct cap_err *err)
{
    const struct store_lease_ref *lease = &work->batch->lease;
    CAP_AUTO(store_rows) shard =
        store_pg_ask(conn, err,
                     "SELECT s.fence, s.node_id IS NOT NULL, s.done, s.seq_next,"
                     " coalesce(a.node_id, '') FROM shard s"
                     " LEFT JOIN attempt a USING (run_no, shard, fence)"
                     " WHERE run_no = $1 AND shard = $2 FOR UPDATE OF s",
                     STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(lease->shard)));

    if (!shard)
        return false;
    if (store_rows_count(shard) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run %s has no shard %u", work->run.run_id,
                        lease->shard);
    if ((uint64_t)store_rows_int(shard, 0, 0) != lease->fence)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "fence %llu of shard %u of run %s is not valid, the shard's is %s",
                        (unsigned long long)lease->fence, lease->shard, work->run.run_id,
                        store_rows_text(shard, 0, 0));
    work->held = store_rows_bool(shard, 0, 1);
    work->out->shard_done = store_rows_bool(shard, 0, 2);
    work->seq_next = (uint64_t)store_rows_int(shard, 0, 3);
    return check_sender(work, store_rows_text(shard, 0, 4), err);
}

/* Sets out->repeated when the ledger has this very batch. */
static bool look_up(struct store_conn *conn, struct append_work *work, struct cap_err *err)
{
    const struct store_batch *batch = work->batch;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT fence, sha256 = $4 FROM batch_ledger"
                     " WHERE run_no = $1 AND shard = $2 AND seq = $3",
                     STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(batch->lease.shard),
                                store_arg_uint(batch->seq), store_arg_bytes(batch->sha256)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return true;
    if (!store_rows_bool(rows, 0, 1) || (uint64_t)store_rows_int(rows, 0, 0) != batch->lease.fence)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "batch %llu of shard %u of run %s is stored already, with other rows",
                        (unsigned long long)batch->seq, batch->lease.shard, work->run.run_id);
    work->out->repeated = true;
    return true;
}

static bool check_welcome(const struct append_work *work, struct cap_err *err)
{
    const struct store_batch *batch = work->batch;
    const struct store_run *run = &work->run;

    if (run->state != STORE_STATE_LEASED && run->state != STORE_STATE_RUNNING)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is %s and takes no answers",
                        run->run_id, store_state_name(run->state));
    if (!work->held)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the lease of shard %u of run %s with fence %llu has ended",
                        batch->lease.shard, run->run_id, (unsigned long long)batch->lease.fence);
    if (batch->seq != work->seq_next)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "batch %llu of shard %u of run %s is out of order, the next is %llu",
                        (unsigned long long)batch->seq, batch->lease.shard, run->run_id,
                        (unsigned long long)work->seq_next);
    return true;
}

/* Each answer is of the shard, new, and there once. EXCEPT and scalar subqueries, not joins: the
 * planner knows neither how long our arrays are nor, in a young database, how many samples a run
 * has, and the joins it chose took 170 ms a batch in a run of 14,000 samples. */
static bool check_ordinals(struct store_conn *conn, const struct append_work *work,
                           struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "(SELECT o, 'is not of this shard' FROM (SELECT unnest($3::bigint[]) AS o EXCEPT"
        "   SELECT unnest(ordinals)::bigint FROM shard WHERE run_no = $1 AND shard = $2) AS f)"
        " UNION ALL (SELECT o, 'has an answer already' FROM unnest($3::bigint[]) AS u(o)"
        "   WHERE (SELECT true FROM sample WHERE run_no = $1 AND ordinal = o))"
        " UNION ALL (SELECT o, 'comes twice' FROM unnest($3::bigint[]) AS u(o)"
        "   GROUP BY o HAVING count(*) > 1)"
        " LIMIT 1",
        STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(work->batch->lease.shard),
                   store_arg_text(work->ordinals)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %s %s", store_rows_text(rows, 0, 0),
                    store_rows_text(rows, 0, 1));
}

/* ---- the writes ---- */

static bool copy_lines(struct store_conn *conn, const char *sql, const struct store_copy *copy,
                       struct cap_err *err)
{
    if (copy->lines.overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch is too large to store");
    return copy->lines.length == 0 ||
           store_pg_copy(conn, sql, copy->lines.data, copy->lines.length, err);
}

static bool copy_samples(struct store_conn *conn, const struct append_work *work,
                         struct cap_err *err)
{
    STORE_AUTO_COPY(copy, LINES_BYTES_MAX);
    store_append_samples(&copy, work->run.run_no, work->batch);
    return copy_lines(conn, "COPY sample (" STORE_SAMPLE_COLUMNS ") FROM STDIN", &copy, err);
}

static bool copy_passes(struct store_conn *conn, const struct append_work *work,
                        struct cap_err *err)
{
    STORE_AUTO_COPY(copy, LINES_BYTES_MAX);
    store_append_passes(&copy, work->run.run_no, work->batch);
    return copy_lines(conn, "COPY pass (" STORE_PASS_COLUMNS ") FROM STDIN", &copy, err);
}

static bool copy_power(struct store_conn *conn, const struct append_work *work, struct cap_err *err)
{
    STORE_AUTO_COPY(copy, LINES_BYTES_MAX);
    store_append_power(&copy, work->run.run_no, work->batch);
    return copy_lines(conn, "COPY power (" STORE_POWER_COLUMNS ") FROM STDIN", &copy, err);
}

/* An answer carries the uid of the sample it answers: a node that mixed two up is found here. */
static bool check_uids(struct store_conn *conn, const struct append_work *work, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT o, left(theirs, 64), ours FROM (SELECT o,"
        "   (SELECT uid FROM sample WHERE run_no = $1 AND ordinal = o) AS theirs,"
        "   (SELECT uid FROM task_sample WHERE task_id = $2 AND NOT fewshot AND ordinal = o) AS "
        "ours"
        "  FROM unnest($3::integer[]) AS u(o)) AS f WHERE theirs IS DISTINCT FROM ours LIMIT 1",
        STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(work->run.task_id),
                   store_arg_text(work->ordinals)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %s has the uid \"%s\", not \"%s\"",
                    store_rows_text(rows, 0, 0), store_rows_text(rows, 0, 2),
                    store_rows_text(rows, 0, 1));
}

static bool write_ledger(struct store_conn *conn, const struct append_work *work,
                         struct cap_err *err)
{
    const struct store_batch *batch = work->batch;

    return store_pg_do(
               conn, err,
               "INSERT INTO batch_ledger (run_no, shard, fence, seq, sha256, answers, last)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7)",
               STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(batch->lease.shard),
                          store_arg_uint(batch->lease.fence), store_arg_uint(batch->seq),
                          store_arg_bytes(batch->sha256), store_arg_uint(batch->answers.count),
                          store_arg_bool(batch->last))) &&
           store_pg_do(conn, err,
                       "UPDATE shard SET seq_next = $3 + 1 WHERE run_no = $1 AND shard = $2",
                       STORE_ARGS(store_arg_int(work->run.run_no),
                                  store_arg_int(batch->lease.shard), store_arg_uint(batch->seq)));
}

static bool count_answers(struct store_conn *conn, const struct append_work *work,
                          struct cap_err *err)
{
    work->out->samples_answered = work->run.samples_answered + (uint32_t)work->batch->answers.count;
    return store_pg_do(
        conn, err, "UPDATE run SET samples_answered = $2 WHERE run_no = $1",
        STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(work->out->samples_answered)));
}

static bool write_batch(struct store_conn *conn, struct append_work *work, struct cap_err *err)
{
    if (work->run.state == STORE_STATE_LEASED &&
        !store_run_move_locked(conn, &work->run, STORE_STATE_RUNNING, "", err))
        return false;
    return write_ledger(conn, work, err) && copy_samples(conn, work, err) &&
           check_uids(conn, work, err) && copy_passes(conn, work, err) &&
           copy_power(conn, work, err) &&
           store_expert_counts_add(conn, work->run.run_no, work->batch->expert_counts, err) &&
           count_answers(conn, work, err);
}

/* ---- the end of a shard ---- */

static bool check_complete(struct store_conn *conn, const struct append_work *work,
                           struct cap_err *err)
{
    uint32_t shard = work->batch->lease.shard;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT cardinality(ordinals) -"
                     "  (SELECT count(*) FROM sample WHERE run_no = $1 AND shard = $2)"
                     " FROM shard WHERE run_no = $1 AND shard = $2",
                     STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(shard)));

    if (!rows)
        return false;
    if (store_rows_int(rows, 0, 0) == 0)
        return true;
    return cap_fail(err, CAP_FAILED_PRECONDITION,
                    "the batch is marked last, but %s samples of shard %u of run %s have no answer",
                    store_rows_text(rows, 0, 0), shard, work->run.run_id);
}

static bool mark_shard_done(struct store_conn *conn, const struct append_work *work,
                            struct cap_err *err)
{
    const struct store_batch *batch = work->batch;

    return store_lease_end_locked(conn, &work->run, batch->lease.shard, "done", err) &&
           store_pg_do(
               conn, err, "UPDATE shard SET done = true WHERE run_no = $1 AND shard = $2",
               STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(batch->lease.shard))) &&
           store_pg_do(conn, err, "UPDATE run SET report = coalesce($2, report) WHERE run_no = $1",
                       STORE_ARGS(store_arg_int(work->run.run_no), store_arg_bytes(batch->report)));
}

static bool end_shard(struct store_conn *conn, struct append_work *work, struct cap_err *err)
{
    if (!check_complete(conn, work, err) || !mark_shard_done(conn, work, err))
        return false;
    work->out->shard_done = true;
    CAP_AUTO(store_rows) open = store_pg_ask(
        conn, err, "SELECT count(*), count(node_id) FROM shard WHERE run_no = $1 AND NOT done",
        STORE_ARGS(store_arg_int(work->run.run_no)));
    if (!open)
        return false;
    work->out->run_done = store_rows_int(open, 0, 0) == 0;
    if (work->out->run_done)
        return store_run_move_locked(conn, &work->run, STORE_STATE_GRADING, "", err);
    /* Other shards wait, and no node holds one. */
    return store_rows_int(open, 0, 1) > 0 ||
           store_run_move_locked(conn, &work->run, STORE_STATE_QUEUED, "", err);
}

/* ---- Append ---- */

static bool append(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct append_work *work = arg;
    const struct store_batch *batch = work->batch;

    *work->out = (struct store_appended){0};
    if (!store_run_lock(conn, batch->lease.run_id, &work->run, err) ||
        !read_shard(conn, work, err) || !look_up(conn, work, err))
        return false;
    if (work->out->repeated) {
        work->out->samples_answered = work->run.samples_answered;
        work->out->run_done = work->run.state >= STORE_STATE_GRADING;
        return true;
    }
    return check_welcome(work, err) && check_ordinals(conn, work, err) &&
           write_batch(conn, work, err) && (!batch->last || end_shard(conn, work, err));
}

static bool check_counts(const struct store_batch *batch, struct cap_err *err)
{
    size_t completed = 0;

    for (size_t i = 0; i < batch->answers.count; i++)
        completed += batch->answers.items[i].completed;
    if (batch->answers.count != batch->answers_declared || completed != batch->completed_declared)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the batch announces %u answers, %u of them completed, but holds %zu and "
                        "%zu",
                        batch->answers_declared, batch->completed_declared, batch->answers.count,
                        completed);
    return true;
}

bool store_append(struct store_pg *pg, const struct store_batch *batch,
                  struct store_appended *out_appended, struct cap_err *err)
{
    struct store_appended appended;
    struct append_work work = {.batch = batch, .out = &appended};
    CAP_AUTO_BUF(ordinals, LINES_BYTES_MAX);

    if (batch->lease.shard > INT32_MAX)
        return cap_fail(err, CAP_NOT_FOUND, "run %.64s has no shard %u", batch->lease.run_id,
                        batch->lease.shard);
    store_append_ordinals(&ordinals, batch);
    work.ordinals = ordinals.data;
    if (!check_counts(batch, err) || !store_pg_tx(pg, STORE_TX_WRITE, append, &work, err))
        return false;
    *out_appended = appended;
    return true;
}
