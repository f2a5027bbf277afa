/* Append: batches of evidence, each stored exactly once.
 *
 * What it guarantees
 *   A batch is stored with all of its rows and its row in batch_ledger, or not at all: they are one
 *   transaction. The ledger's key is (run, shard, seq). Sent again with the same digest under the
 *   same fence, a batch is acknowledged and nothing is written; with another digest, or under an
 *   older fence, it is refused. So a sender may repeat a batch for as long as it has no answer.
 *   Batches of a shard come in order: `seq` is shard.seq_next, which goes on over all leases, so
 *   that the next holder continues after the last batch that was stored.
 *   Only the node that the attempt names may send, when the request says who sends.
 *   A stored batch is a sign of life: it extends the lease by its length from now on, in the same
 *   transaction. Beats of the node stand behind its batches, so a store that is slow must not let
 *   the lease of a node run out that it is busy storing for.
 *
 * Locks, in this order
 *   the run's row (store_run_lock), then the shard's row. Every transaction that changes a run
 *   takes them in this order, so that no two wait for each other. The run's row is held to the end
 *   of the transaction: batches of one run are stored one after the other, those of different runs
 *   side by side.
 *
 * What can interleave
 *   Renew touches the shard's row without the run's: its deadline and ours are both from the
 *   database's clock, and the later statement wins. Sweep, Release, Lease and MoveRun wait for the
 *   run's row; they come before us (then the fence or the state refuses the batch) or after us. The
 *   same batch sent twice at once: the second waits for the run's row and then finds the ledger.
 *   A connection lost during COMMIT: store_pg_tx runs the body again, which finds the ledger.
 */
#include <stdio.h>
#include <string.h>

#include "answer_rows.pb-c.h"
#include "base/map.h"
#include "digest/digest.h"
#include "row_map.h"
#include "rpc/rpc.h"
#include "run.h"
#include "store.h"

enum {
    /* Lines are longer than the packed rows: small numbers are a byte there and up to 20 here, a
     * byte outside UTF-8 becomes six. */
    LINES_BYTES_MAX = 16 * STORE_BATCH_BYTES_MAX,
    SUMS_BYTES_MAX = 64 << 20, /* expert counts of a batch, with those that are stored */
    COUNT_KEY_BYTES = 48,
};

struct work {
    const Moecap__V1__AppendRequest *request;
    const Moecap__V1__AnswerBatch *batch;
    const Moecap__V1__LeaseRef *lease;
    const Moecap__Store__RawRows *rows;
    const char *ordinals; /* of the answers, as an array */
    struct cap_arena *arena;
    Moecap__V1__AppendReply *reply;
    struct store_run run;
    bool held; /* the fence still holds the lease */
    uint64_t seq_next;
};

/* ---- the batch by itself ---- */

static bool check_digest(const Moecap__V1__AnswerBatch *batch, struct cap_err *err)
{
    uint8_t digest[CAP_SHA256_BYTES];

    if (batch->rows.len > STORE_BATCH_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch has %zu bytes of rows, at most %d",
                        batch->rows.len, STORE_BATCH_BYTES_MAX);
    if (batch->sha256.len != CAP_SHA256_BYTES)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "sha256 has %zu bytes, must be %d",
                        batch->sha256.len, CAP_SHA256_BYTES);
    cap_sha256(batch->rows.data, batch->rows.len, digest);
    if (memcmp(digest, batch->sha256.data, sizeof digest) != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the rows of the batch do not have the sha256 that came with them");
    return true;
}

/* What is kept packed must be what a reader will take it for. */
static bool check_routing(const Moecap__Store__RawAnswer *answer, struct cap_arena *arena,
                          struct cap_err *err)
{
    ProtobufCBinaryData routing = answer->routing;

    if (routing.len > STORE_ROUTING_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the routing of sample %u has %zu bytes, at most %d", answer->ordinal,
                        routing.len, STORE_ROUTING_BYTES_MAX);
    if (routing.len == 0 ||
        moecap__v1__sample_routing__unpack(cap_rpc_allocator(arena), routing.len, routing.data))
        return true;
    return cap_fail(
        err, CAP_INVALID_ARGUMENT,
        "the routing of sample %u is not a valid SampleRouting, or the batch is too large",
        answer->ordinal);
}

static bool check_answers(const struct work *work, struct cap_err *err)
{
    const Moecap__Store__RawRows *rows = work->rows;
    size_t completed = 0;

    for (size_t i = 0; i < rows->n_answers; i++) {
        const Moecap__Store__RawAnswer *answer = rows->answers[i];
        bool done = answer->status == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
        if (!done && answer->status != MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "sample %u has the status %d, must be completed or failed",
                            answer->ordinal, (int)answer->status);
        if (!check_routing(answer, work->arena, err))
            return false;
        completed += done;
    }
    if (rows->n_answers != work->batch->answers || completed != work->batch->completed)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the batch announces %u answers, %u of them completed, but holds %zu and "
                        "%zu",
                        work->batch->answers, work->batch->completed, rows->n_answers, completed);
    return true;
}

static bool unpack_rows(struct work *work, struct cap_err *err)
{
    const ProtobufCBinaryData *packed = &work->batch->rows, *report;

    work->rows =
        moecap__store__raw_rows__unpack(cap_rpc_allocator(work->arena), packed->len, packed->data);
    if (!work->rows)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the rows of the batch are not valid AnswerRows, or too large");
    report = &work->rows->report;
    if (report->len > 0 && !moecap__v1__shard_report__unpack(cap_rpc_allocator(work->arena),
                                                             report->len, report->data))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the report of the batch is not a valid ShardReport");
    return check_answers(work, err);
}

/* ---- the checks, in order ---- */

/* Asked of the attempt, which knows its node after the lease's end, too. */
static bool check_sender(const struct work *work, const char *holder, struct cap_err *err)
{
    const char *sender = work->request->node_id;

    if (!*sender || strcmp(sender, holder) == 0)
        return true;
    return cap_fail(err, CAP_PERMISSION_DENIED,
                    "the lease of shard %u of run %s belongs to another node than \"%.64s\"",
                    work->lease->shard, work->run.run_id, sender);
}

static bool read_shard(struct store_conn *conn, struct work *work, struct cap_err *err)
{
    const Moecap__V1__LeaseRef *lease = work->lease;
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
    work->reply->shard_done = store_rows_bool(shard, 0, 2);
    work->seq_next = (uint64_t)store_rows_int(shard, 0, 3);
    return check_sender(work, store_rows_text(shard, 0, 4), err);
}

/* Sets repeated_batch when the ledger has this very batch. */
static bool look_up(struct store_conn *conn, struct work *work, struct cap_err *err)
{
    const Moecap__V1__AnswerBatch *batch = work->batch;
    struct store_bytes sha256 = {batch->sha256.data, batch->sha256.len};
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT fence, sha256 = $4 FROM batch_ledger"
                     " WHERE run_no = $1 AND shard = $2 AND seq = $3",
                     STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(work->lease->shard),
                                store_arg_uint(batch->seq), store_arg_bytes(sha256)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return true;
    if (!store_rows_bool(rows, 0, 1) || (uint64_t)store_rows_int(rows, 0, 0) != work->lease->fence)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "batch %llu of shard %u of run %s is stored already, with other rows",
                        (unsigned long long)batch->seq, work->lease->shard, work->run.run_id);
    work->reply->repeated_batch = true;
    return true;
}

static bool check_welcome(const struct work *work, struct cap_err *err)
{
    const struct store_run *run = &work->run;

    if (run->state != STORE_STATE_LEASED && run->state != STORE_STATE_RUNNING)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is %s and takes no answers",
                        run->run_id, store_state_name(run->state));
    if (!work->held)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the lease of shard %u of run %s with fence %llu has ended",
                        work->lease->shard, run->run_id, (unsigned long long)work->lease->fence);
    if (work->batch->seq != work->seq_next)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "batch %llu of shard %u of run %s is out of order, the next is %llu",
                        (unsigned long long)work->batch->seq, work->lease->shard, run->run_id,
                        (unsigned long long)work->seq_next);
    return true;
}

/* Each answer is of the shard, new, and there once. EXCEPT and scalar subqueries, not joins: the
 * planner knows neither how long our arrays are nor, in a young database, how many samples a run
 * has, and the joins it chose took 170 ms a batch in a run of 14,000 samples. */
static bool check_ordinals(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "(SELECT o, 'is not of this shard' FROM (SELECT unnest($3::bigint[]) AS o EXCEPT"
        "   SELECT unnest(ordinals)::bigint FROM shard WHERE run_no = $1 AND shard = $2) AS f)"
        " UNION ALL (SELECT o, 'has an answer already' FROM unnest($3::bigint[]) AS u(o)"
        "   WHERE (SELECT true FROM sample WHERE run_no = $1 AND ordinal = o))"
        " UNION ALL (SELECT o, 'appears twice' FROM unnest($3::bigint[]) AS u(o)"
        "   GROUP BY o HAVING count(*) > 1)"
        " LIMIT 1",
        STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(work->lease->shard),
                   store_arg_text(work->ordinals)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %s %s", store_rows_text(rows, 0, 0),
                    store_rows_text(rows, 0, 1));
}

/* ---- the writes ---- */

/* Rows with a place of their own carry the batch's number and theirs in it. */
static bool copy_rows(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    const Moecap__Store__RawRows *rows = work->rows;
    const int64_t keys[] = {work->run.run_no, work->lease->shard, (int64_t)work->lease->fence,
                            (int64_t)work->batch->seq};
    const struct store_map_rows
        answers = {STORE_MAP_answer, rows->answers, rows->n_answers, keys, 3},
        passes = {STORE_MAP_pass, rows->passes, rows->n_passes, keys, 4, true},
        power = {STORE_MAP_power, rows->power, rows->n_power, keys, 4, true};

    return store_map_copy(conn, "COPY sample (run_no, shard, fence, {answer}) FROM STDIN", &answers,
                          LINES_BYTES_MAX, err) &&
           store_map_copy(conn, "COPY pass (run_no, shard, fence, seq, item, {pass}) FROM STDIN",
                          &passes, LINES_BYTES_MAX, err) &&
           store_map_copy(conn, "COPY power (run_no, shard, fence, seq, item, {power}) FROM STDIN",
                          &power, LINES_BYTES_MAX, err);
}

/* An answer carries the uid of the sample it answers: a node that mixed two up is found here. */
static bool check_uids(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT o, left(theirs, 64), ours FROM (SELECT o,"
        "   (SELECT uid FROM sample WHERE run_no = $1 AND ordinal = o) AS theirs,"
        "   (SELECT uid FROM task_sample WHERE task_id = $2 AND NOT fewshot AND ordinal = o)"
        "     AS ours"
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

static bool write_ledger(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    const Moecap__V1__AnswerBatch *batch = work->batch;
    struct store_bytes sha256 = {batch->sha256.data, batch->sha256.len};

    return store_pg_do(conn, err,
                       "INSERT INTO batch_ledger (run_no, shard, fence, seq, sha256, answers, last)"
                       " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                       STORE_ARGS(store_arg_int(work->run.run_no),
                                  store_arg_int(work->lease->shard),
                                  store_arg_uint(work->lease->fence), store_arg_uint(batch->seq),
                                  store_arg_bytes(sha256), store_arg_uint(work->rows->n_answers),
                                  store_arg_bool(batch->last)));
}

/* The batch is a sign of life. */
static bool extend_lease(struct store_conn *conn, const struct work *work, uint64_t seq_next,
                         struct cap_err *err)
{
    return store_pg_do(conn, err,
                       "UPDATE shard SET seq_next = $3, lease_until = CASE WHEN lease_ms IS NULL"
                       "  THEN lease_until"
                       "  ELSE clock_timestamp() + lease_ms * interval '1 millisecond' END"
                       " WHERE run_no = $1 AND shard = $2",
                       STORE_ARGS(store_arg_int(work->run.run_no),
                                  store_arg_int(work->lease->shard), store_arg_uint(seq_next)));
}

static bool count_answers(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    work->reply->samples_answered = work->run.samples_answered + (uint32_t)work->rows->n_answers;
    return store_pg_do(
        conn, err, "UPDATE run SET samples_answered = $2 WHERE run_no = $1",
        STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(work->reply->samples_answered)));
}

/* ---- expert counts ----
 *
 * Selections of the router are summed over the run. The transaction holds the run's row, so nobody
 * else touches these rows: they are taken out of the table, added to here, and written back. Adding
 * arrays in SQL cost five times as much (0.12 ms for a row of 128 experts). */

struct sums {
    struct cap_arena *arena;
    struct cap_map *by_key; /* "phase layer bucket" -> Moecap__V1__ExpertCount */
};

static Moecap__V1__ExpertCount *find_or_make(struct sums *sums, const Moecap__V1__ExpertCount *like)
{
    char key[COUNT_KEY_BYTES];
    Moecap__V1__ExpertCount *row;

    snprintf(key, sizeof key, "%u %u %u", (unsigned)like->phase, like->layer, like->batch_bucket);
    row = cap_map_get(sums->by_key, key);
    if (row || !(row = cap_arena_alloc(sums->arena, sizeof *row)))
        return row;
    *row = *like;
    row->counts = NULL;
    row->n_counts = 0;
    cap_map_put(sums->by_key, key, row);
    return row;
}

static bool widen(struct sums *sums, Moecap__V1__ExpertCount *row, size_t count)
{
    uint64_t *wider;

    if (count <= row->n_counts)
        return true;
    wider = cap_arena_array(sums->arena, count, sizeof *wider); /* zeroed */
    for (size_t i = 0; wider && i < row->n_counts; i++)
        wider[i] = row->counts[i];
    row->counts = wider;
    row->n_counts = wider ? count : 0;
    return wider != NULL;
}

static bool add_counts(struct sums *sums, const Moecap__V1__ExpertCount *from, struct cap_err *err)
{
    Moecap__V1__ExpertCount *row = find_or_make(sums, from);

    if (!row || from->n_counts > STORE_EXPERTS_MAX || !widen(sums, row, from->n_counts))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch has too many expert counts to store");
    for (size_t i = 0; i < from->n_counts; i++)
        if (__builtin_add_overflow(row->counts[i], from->counts[i], &row->counts[i]) ||
            row->counts[i] > INT64_MAX)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "the selections of expert %zu in layer %u exceed 63 bits", i,
                            from->layer);
    return true;
}

/* Takes the rows that are there out of the table; they come back with the sums. */
static bool take_stored(struct store_conn *conn, const struct work *work, struct sums *sums,
                        struct cap_err *err)
{
    CAP_AUTO_BUF(phases, SUMS_BYTES_MAX);
    CAP_AUTO_BUF(layers, SUMS_BYTES_MAX);
    CAP_AUTO_BUF(buckets, SUMS_BYTES_MAX);
    size_t count;

    for (size_t i = 0; i < cap_map_count(sums->by_key); i++) {
        const Moecap__V1__ExpertCount *row = cap_map_value_at(sums->by_key, i);
        const char *comma = i ? "," : "{";
        cap_buf_printf(&phases, "%s%u", comma, (unsigned)row->phase);
        cap_buf_printf(&layers, "%s%u", comma, row->layer);
        cap_buf_printf(&buckets, "%s%u", comma, row->batch_bucket);
    }
    cap_buf_add_char(&phases, '}');
    cap_buf_add_char(&layers, '}');
    cap_buf_add_char(&buckets, '}');
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "DELETE FROM expert_count e"
                     " USING unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS k(p, l, b)"
                     " WHERE run_no = $1 AND phase = p AND layer = l AND batch_bucket = b"
                     " RETURNING {expert_count e}",
                     STORE_ARGS(store_arg_int(work->run.run_no), store_arg_text(phases.data),
                                store_arg_text(layers.data), store_arg_text(buckets.data)));
    Moecap__V1__ExpertCount **stored =
        rows ? store_rows_list(rows, &moecap__v1__expert_count__descriptor, NULL, sums->arena,
                               &count, err)
             : NULL;
    if (!stored)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!add_counts(sums, stored[i], err))
            return false;
    return true;
}

static bool write_sums(struct store_conn *conn, const struct work *work, const struct sums *sums,
                       struct cap_err *err)
{
    size_t count = cap_map_count(sums->by_key);
    const Moecap__V1__ExpertCount **list = cap_arena_array(sums->arena, count, sizeof *list);
    const struct store_map_rows rows = {STORE_MAP_expert_count, list, count, &work->run.run_no, 1};

    for (size_t i = 0; list && i < count; i++)
        list[i] = cap_map_value_at(sums->by_key, i);
    if (!list)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch has too many expert counts to store");
    return store_map_copy(conn, "COPY expert_count (run_no, {expert_count}) FROM STDIN", &rows,
                          SUMS_BYTES_MAX, err);
}

static bool add_expert_counts(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(SUMS_BYTES_MAX);
    CAP_AUTO(cap_map) by_key = cap_map_new();
    struct sums sums = {arena, by_key};

    if (work->rows->n_expert_counts == 0)
        return true;
    for (size_t i = 0; i < work->rows->n_expert_counts; i++)
        if (!add_counts(&sums, work->rows->expert_counts[i], err))
            return false;
    return take_stored(conn, work, &sums, err) && write_sums(conn, work, &sums, err);
}

/* ---- the end of a shard ---- */

static bool check_complete(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    uint32_t shard = work->lease->shard;
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

static bool mark_shard_done(struct store_conn *conn, const struct work *work, struct cap_err *err)
{
    const ProtobufCBinaryData *report = &work->rows->report;
    struct store_bytes packed = {report->len > 0 ? report->data : NULL, report->len};

    return store_lease_end_locked(conn, &work->run, work->lease->shard, "done", err) &&
           store_pg_do(
               conn, err, "UPDATE shard SET done = true WHERE run_no = $1 AND shard = $2",
               STORE_ARGS(store_arg_int(work->run.run_no), store_arg_int(work->lease->shard))) &&
           store_pg_do(
               conn, err,
               "UPDATE run SET report = coalesce($2, report), question = NULL WHERE run_no = $1",
               STORE_ARGS(store_arg_int(work->run.run_no), store_arg_bytes(packed))) &&
           store_question_fill(conn, work->run.evaluation_no, err);
}

static bool end_shard(struct store_conn *conn, struct work *work, struct cap_err *err)
{
    if (!check_complete(conn, work, err) || !mark_shard_done(conn, work, err))
        return false;
    work->reply->shard_done = true;
    CAP_AUTO(store_rows) open = store_pg_ask(
        conn, err, "SELECT count(*), count(node_id) FROM shard WHERE run_no = $1 AND NOT done",
        STORE_ARGS(store_arg_int(work->run.run_no)));
    if (!open)
        return false;
    work->reply->run_done = store_rows_int(open, 0, 0) == 0;
    if (work->reply->run_done)
        return store_run_move_locked(conn, &work->run, STORE_STATE_GRADING, "", err);
    /* Other shards wait, and no node holds one. */
    return store_rows_int(open, 0, 1) > 0 ||
           store_run_move_locked(conn, &work->run, STORE_STATE_QUEUED, "", err);
}

/* ---- Append ---- */

static bool write_batch(struct store_conn *conn, struct work *work, struct cap_err *err)
{
    if (work->run.state == STORE_STATE_LEASED &&
        !store_run_move_locked(conn, &work->run, STORE_STATE_RUNNING, "", err))
        return false;
    return write_ledger(conn, work, err) && copy_rows(conn, work, err) &&
           check_uids(conn, work, err) && add_expert_counts(conn, work, err) &&
           count_answers(conn, work, err) && extend_lease(conn, work, work->batch->seq + 1, err);
}

static bool append(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct work *work = arg;

    moecap__v1__append_reply__init(work->reply);
    if (!store_run_lock(conn, work->lease->run_id, &work->run, err) ||
        !read_shard(conn, work, err) || !look_up(conn, work, err))
        return false;
    if (work->reply->repeated_batch) {
        work->reply->samples_answered = work->run.samples_answered;
        work->reply->run_done = work->run.state >= STORE_STATE_GRADING;
        return !work->held || extend_lease(conn, work, work->seq_next, err);
    }
    return check_welcome(work, err) && check_ordinals(conn, work, err) &&
           write_batch(conn, work, err) && (!work->batch->last || end_shard(conn, work, err));
}

bool store_append(struct store_pg *pg, const Moecap__V1__AppendRequest *request,
                  struct cap_arena *arena, Moecap__V1__AppendReply *reply, struct cap_err *err)
{
    static const Moecap__V1__LeaseRef no_lease = MOECAP__V1__LEASE_REF__INIT;
    const Moecap__V1__AnswerBatch *batch = request->batch;
    struct work work = {.request = request, .batch = batch, .arena = arena, .reply = reply};
    CAP_AUTO_BUF(ordinals, LINES_BYTES_MAX);

    if (!batch)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the request holds no batch");
    work.lease = batch->lease ? batch->lease : &no_lease;
    if (work.lease->shard > INT32_MAX)
        return cap_fail(err, CAP_NOT_FOUND, "run %.64s has no shard %u", work.lease->run_id,
                        work.lease->shard);
    if (!check_digest(batch, err) || !unpack_rows(&work, err))
        return false;
    cap_buf_add_char(&ordinals, '{');
    for (size_t i = 0; i < work.rows->n_answers; i++) {
        cap_buf_add_str(&ordinals, i ? "," : "");
        store_add_uint(&ordinals, work.rows->answers[i]->ordinal);
    }
    cap_buf_add_char(&ordinals, '}');
    work.ordinals = ordinals.data;
    return store_pg_tx(pg, STORE_TX_WRITE, append, &work, err);
}
