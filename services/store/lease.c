/* Leases: the right to work on a shard, given, extended, ended.
 *
 * What it guarantees
 *   At most one lease of a shard is valid. Its fence counts the leases of the shard and grows with
 *   each; every write of evidence carries it. Every lease is a row of `attempt`, with how it ended.
 *   Only the database's clock judges a deadline: no time of any host enters a statement.
 *   A lease past its deadline may be taken away, by Sweep or by the next Lease, and holds until
 *   that happens: Renew and Append still extend it. Nobody else has worked on the shard by then, so
 *   nothing is lost by being late, and after a stall of the database no work is repeated
 *   needlessly.
 *   A deadline is never further ahead than the length of its lease (shard.lease_ms, which Lease and
 *   Renew set): when the database's clock was set back, Sweep cuts it, so that no run stands still
 *   for as long as the clock went back.
 *   A run of which no shard is leased any more waits in the queue again, in the same transaction.
 *
 * Locks: the run's row, then its shards in order. Renew, which changes nothing but a deadline, and
 * the cut of Sweep lock shards only, in the order of run and shard, one statement for each lease.
 *
 * What can interleave
 *   Two nodes that ask for one shard: the run's row lets one in first, the other then finds the
 *   lease.
 *   The holder itself may ask again (its reply was lost): it gets a new fence, and the old one
 *   dies.
 *   Renew and the end of a lease meet at the shard's row: Renew first extends what then ends, or
 *   finds that the fence holds nothing and reports it lost. Of a shard that is done under this
 *   fence nothing is lost: its last batch came meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "row_map.h"
#include "run.h"
#include "store.h"

/* ---- ending ---- */

enum { EVERY_SHARD = -1 };

/* Takes leases away and closes their attempts; answers shard, fence and node of those it ended.
 * With expired_max, only leases past their deadline, and at most that many. The shards are locked
 * in order, as Renew does, so that the two cannot wait for each other. */
static struct store_rows *end_leases(struct store_conn *conn, const struct store_run *run,
                                     int64_t shard, size_t expired_max, const char *outcome,
                                     struct cap_err *err)
{
    return store_pg_ask(
        conn, err,
        "WITH over AS (SELECT shard, fence FROM shard WHERE run_no = $1 AND node_id IS NOT NULL"
        "    AND ($2 = -1 OR shard = $2) AND ($3 = 0 OR lease_until <= clock_timestamp())"
        "    ORDER BY shard LIMIT nullif($3, 0) FOR UPDATE),"
        " freed AS (UPDATE shard s SET node_id = NULL, node = NULL, lease_until = NULL FROM over o"
        "    WHERE s.run_no = $1 AND s.shard = o.shard RETURNING s.shard, s.fence)"
        " UPDATE attempt a SET ended_at = clock_timestamp(), outcome = $4 FROM freed f"
        " WHERE a.run_no = $1 AND a.shard = f.shard AND a.fence = f.fence"
        " RETURNING a.shard, a.fence, a.node",
        STORE_ARGS(store_arg_int(run->run_no), store_arg_int(shard), store_arg_uint(expired_max),
                   store_arg_text(outcome)));
}

static bool write_end_events(struct store_conn *conn, const struct store_run *run,
                             const struct store_rows *ended, const char *outcome,
                             struct cap_err *err)
{
    for (size_t i = 0; i < store_rows_count(ended); i++) {
        CAP_AUTO_BUF(text, 8192);
        cap_buf_printf(&text, "shard %s of node %s, attempt %s: %s", store_rows_text(ended, i, 0),
                       store_rows_text(ended, i, 2), store_rows_text(ended, i, 1), outcome);
        if (!store_event_add(conn, run->run_id, "release", text.data, err))
            return false;
    }
    return true;
}

static bool end_and_tell(struct store_conn *conn, const struct store_run *run, int64_t shard,
                         const char *outcome, struct cap_err *err)
{
    CAP_AUTO(store_rows) ended = end_leases(conn, run, shard, 0, outcome, err);

    return ended && write_end_events(conn, run, ended, outcome, err);
}

bool store_lease_end_all_locked(struct store_conn *conn, const struct store_run *run,
                                const char *outcome, struct cap_err *err)
{
    return end_and_tell(conn, run, EVERY_SHARD, outcome, err);
}

bool store_lease_end_locked(struct store_conn *conn, const struct store_run *run, uint32_t shard,
                            const char *outcome, struct cap_err *err)
{
    return end_and_tell(conn, run, shard, outcome, err);
}

/* A run that nobody works on any more waits in the queue again. */
static bool requeue_if_idle(struct store_conn *conn, struct store_run *run, const char *reason,
                            struct cap_err *err)
{
    if (run->state != STORE_STATE_LEASED && run->state != STORE_STATE_RUNNING)
        return true;
    CAP_AUTO(store_rows) leased = store_pg_ask(
        conn, err, "SELECT FROM shard WHERE run_no = $1 AND node_id IS NOT NULL LIMIT 1",
        STORE_ARGS(store_arg_int(run->run_no)));
    if (!leased)
        return false;
    return store_rows_count(leased) > 0 ||
           store_run_move_locked(conn, run, STORE_STATE_QUEUED, reason, err);
}

/* ---- Lease ---- */

struct lease_work {
    const Moecap__V1__LeaseRequest *request;
    struct cap_arena *arena;
    Moecap__V1__LeaseReply *reply;
};

static bool check_free(const Moecap__V1__LeaseRequest *request, const struct store_rows *shard,
                       struct cap_err *err)
{
    if (store_rows_count(shard) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run %s has no shard %u", request->run_id,
                        request->shard);
    if (store_rows_bool(shard, 0, 0))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "shard %u of run %s is done", request->shard,
                        request->run_id);
    /* The holder itself asks again when the reply was lost: it gets a new fence. */
    if (store_rows_null(shard, 0, 1) || store_rows_int(shard, 0, 2) <= 0 ||
        strcmp(store_rows_text(shard, 0, 1), request->node_id) == 0)
        return true;
    return cap_fail(err, CAP_FAILED_PRECONDITION,
                    "shard %u of run %s is leased to node %s for another %lld ms", request->shard,
                    request->run_id, store_rows_text(shard, 0, 3),
                    (long long)store_rows_int(shard, 0, 2));
}

/* Locks the shard and sees that it may be given away; a lease that is over is ended first. */
static bool make_free(struct store_conn *conn, const struct store_run *run,
                      const Moecap__V1__LeaseRequest *request, struct cap_err *err)
{
    CAP_AUTO(store_rows) shard = store_pg_ask(
        conn, err,
        "SELECT done, node_id, least(lease_ms,"
        " ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint), node"
        " FROM shard WHERE run_no = $1 AND shard = $2 FOR UPDATE",
        STORE_ARGS(store_arg_int(run->run_no), store_arg_int(request->shard)));

    return shard && check_free(request, shard, err) &&
           store_lease_end_locked(conn, run, request->shard, "expired", err);
}

static bool give(struct store_conn *conn, const struct store_run *run,
                 const struct lease_work *work, struct cap_err *err)
{
    const Moecap__V1__LeaseRequest *request = work->request;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "UPDATE shard SET fence = fence + 1, node_id = $3, node = $4, lease_ms = $5::integer,"
        " lease_until = clock_timestamp() + $5::integer * interval '1 millisecond'"
        " WHERE run_no = $1 AND shard = $2"
        " RETURNING fence, fence AS attempt, seq_next, cardinality(ordinals) AS samples_total,"
        "  (SELECT array_agg(o ORDER BY i) FROM unnest(ordinals) WITH ORDINALITY AS u(o, i)"
        "   WHERE NOT EXISTS (SELECT FROM sample WHERE sample.run_no = $1 AND ordinal = o))"
        "   AS ordinals_left",
        STORE_ARGS(store_arg_int(run->run_no), store_arg_int(request->shard),
                   store_arg_text(request->node_id), store_arg_text(request->node_name),
                   store_arg_int(request->lease_ms)));

    moecap__v1__lease_reply__init(work->reply);
    return rows && store_row_fill(rows, 0, &work->reply->base, work->arena, err);
}

static bool write_lease(struct store_conn *conn, const struct store_run *run,
                        const struct lease_work *work, struct cap_err *err)
{
    const Moecap__V1__LeaseRequest *request = work->request;
    CAP_AUTO_BUF(text, 1024);

    cap_buf_printf(&text, "shard %u to node %s, attempt %u, %zu of %u samples left", request->shard,
                   request->node_name, work->reply->attempt, work->reply->n_ordinals_left,
                   work->reply->samples_total);
    return store_pg_do(conn, err,
                       "INSERT INTO attempt (run_no, shard, fence, node_id, node)"
                       " VALUES ($1, $2, $3, $4, $5)",
                       STORE_ARGS(store_arg_int(run->run_no), store_arg_int(request->shard),
                                  store_arg_uint(work->reply->fence),
                                  store_arg_text(request->node_id),
                                  store_arg_text(request->node_name))) &&
           store_pg_do(
               conn, err, "UPDATE run SET attempts = attempts + 1, node = $2 WHERE run_no = $1",
               STORE_ARGS(store_arg_int(run->run_no), store_arg_text(request->node_name))) &&
           store_event_add(conn, run->run_id, "lease", text.data, err);
}

static bool lease(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct lease_work *work = arg;
    struct store_run run;

    if (!store_run_lock(conn, work->request->run_id, &run, err))
        return false;
    if (run.state != STORE_STATE_QUEUED && run.state != STORE_STATE_LEASED &&
        run.state != STORE_STATE_RUNNING)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is %s: nothing to lease", run.run_id,
                        store_state_name(run.state));
    return make_free(conn, &run, work->request, err) && give(conn, &run, work, err) &&
           write_lease(conn, &run, work, err) &&
           (run.state != STORE_STATE_QUEUED ||
            store_run_move_locked(conn, &run, STORE_STATE_LEASED, "", err));
}

static bool check_lease_ms(uint32_t lease_ms, struct cap_err *err)
{
    return (lease_ms > 0 && lease_ms <= STORE_LEASE_MS_MAX) ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "lease_ms is %u, must be 1 to %d", lease_ms,
                    STORE_LEASE_MS_MAX);
}

static bool check_shard(const char *run_id, uint32_t shard, struct cap_err *err)
{
    return shard <= INT32_MAX ||
           cap_fail(err, CAP_NOT_FOUND, "run %.64s has no shard %u", run_id, shard);
}

bool store_lease(struct store_pg *pg, const Moecap__V1__LeaseRequest *request,
                 struct cap_arena *arena, Moecap__V1__LeaseReply *reply, struct cap_err *err)
{
    struct lease_work work = {request, arena, reply};

    if (!check_lease_ms(request->lease_ms, err))
        return false;
    if (!*request->node_id || strlen(request->node_id) > STORE_NODE_BYTES_MAX ||
        strlen(request->node_name) > STORE_NODE_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a node has an id of 1 to %d bytes and a name of at most %d",
                        STORE_NODE_BYTES_MAX, STORE_NODE_BYTES_MAX);
    return check_shard(request->run_id, request->shard, err) &&
           store_pg_tx(pg, STORE_TX_WRITE, lease, &work, err);
}

/* ---- Renew ---- */

struct renew_work {
    Moecap__V1__LeaseRef **refs; /* in order of run and shard */
    size_t count;
    uint32_t lease_ms;
    Moecap__V1__RenewReply *reply;
};

static int by_run_and_shard(const void *a, const void *b)
{
    const Moecap__V1__LeaseRef *left = *(Moecap__V1__LeaseRef *const *)a,
                               *right = *(Moecap__V1__LeaseRef *const *)b;
    int order = strcmp(left->run_id, right->run_id);

    return order ? order : (left->shard > right->shard) - (left->shard < right->shard);
}

/* A shard that is done under this fence has not lost it: its last batch came meanwhile. */
static struct store_rows *extend(struct store_conn *conn, const Moecap__V1__LeaseRef *ref,
                                 uint32_t lease_ms, struct cap_err *err)
{
    return store_pg_ask(
        conn, err,
        "UPDATE shard SET lease_ms = $4::integer, lease_until = CASE WHEN node_id IS NOT NULL"
        "   THEN clock_timestamp() + $4::integer * interval '1 millisecond' END"
        " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1) AND shard = $2 AND fence = $3"
        "   AND (node_id IS NOT NULL OR done)",
        STORE_ARGS(store_arg_text(ref->run_id), store_arg_int(ref->shard),
                   store_arg_uint(ref->fence), store_arg_int(lease_ms)));
}

static bool renew(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct renew_work *work = arg;

    work->reply->n_lost = 0;
    for (size_t i = 0; i < work->count; i++) {
        CAP_AUTO(store_rows) rows = extend(conn, work->refs[i], work->lease_ms, err);
        if (!rows)
            return false;
        if (store_rows_changed(rows) == 0)
            work->reply->lost[work->reply->n_lost++] = work->refs[i];
    }
    return true;
}

bool store_renew(struct store_pg *pg, const Moecap__V1__RenewRequest *request,
                 struct cap_arena *arena, Moecap__V1__RenewReply *reply, struct cap_err *err)
{
    size_t count = request->n_leases;
    struct renew_work work = {.count = count, .lease_ms = request->lease_ms, .reply = reply};

    if (!check_lease_ms(request->lease_ms, err))
        return false;
    if (count > STORE_RENEW_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu leases to renew, at most %d a call", count,
                        STORE_RENEW_MAX);
    work.refs = cap_arena_array(arena, count + 1, sizeof *work.refs);
    reply->lost = cap_arena_array(arena, count + 1, sizeof *reply->lost);
    if (!work.refs || !reply->lost)
        return store_fail_full(err);
    for (size_t i = 0; i < count; i++)
        work.refs[i] = request->leases[i];
    qsort(work.refs, count, sizeof *work.refs, by_run_and_shard);
    return store_pg_tx(pg, STORE_TX_WRITE, renew, &work, err);
}

/* ---- Release ---- */

struct release_work {
    const Moecap__V1__LeaseRef *ref;
    const char *outcome;
};

/* True, with out_held false, for a lease that has ended already under this very fence. */
static bool check_fence(struct store_conn *conn, const struct store_run *run,
                        const Moecap__V1__LeaseRef *ref, bool *out_held, struct cap_err *err)
{
    CAP_AUTO(store_rows) shard =
        store_pg_ask(conn, err,
                     "SELECT fence, node_id IS NOT NULL FROM shard"
                     " WHERE run_no = $1 AND shard = $2 FOR UPDATE",
                     STORE_ARGS(store_arg_int(run->run_no), store_arg_int(ref->shard)));

    if (!shard)
        return false;
    if (store_rows_count(shard) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run %s has no shard %u", run->run_id, ref->shard);
    if ((uint64_t)store_rows_int(shard, 0, 0) != ref->fence)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "fence %llu of shard %u of run %s is not valid, the shard's is %s",
                        (unsigned long long)ref->fence, ref->shard, run->run_id,
                        store_rows_text(shard, 0, 0));
    *out_held = store_rows_bool(shard, 0, 1);
    return true;
}

static bool release_lease(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct release_work *work = arg;
    struct store_run run;
    bool held = false;

    if (!store_run_lock(conn, work->ref->run_id, &run, err) ||
        !check_fence(conn, &run, work->ref, &held, err))
        return false;
    return !held || (store_lease_end_locked(conn, &run, work->ref->shard, work->outcome, err) &&
                     requeue_if_idle(conn, &run, work->outcome, err));
}

bool store_release(struct store_pg *pg, const Moecap__V1__ReleaseRequest *request,
                   struct cap_arena *arena, Moecap__V1__Empty *reply, struct cap_err *err)
{
    static const Moecap__V1__LeaseRef no_lease = MOECAP__V1__LEASE_REF__INIT;
    struct release_work work = {request->lease ? request->lease : &no_lease,
                                store_text_fit(arena, request->outcome)};

    (void)reply;
    if (!work.outcome)
        return store_fail_full(err);
    if (strlen(work.outcome) > STORE_REASON_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the outcome has %zu bytes, at most %d",
                        strlen(work.outcome), STORE_REASON_BYTES_MAX);
    return check_shard(work.ref->run_id, work.ref->shard, err) &&
           store_pg_tx(pg, STORE_TX_WRITE, release_lease, &work, err);
}

/* ---- Sweep ---- */

struct overdue {
    struct cap_arena *arena;
    char **run_ids;
    size_t count;
};

/* The runs with a lease that is past its deadline. What a clock that was set back left too far
 * ahead is cut first; it is overdue after its own length, as if it had been extended now. */
static bool find_overdue(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct overdue *found = arg;

    if (!store_pg_do(conn, err,
                     "UPDATE shard SET lease_until = clock_timestamp() + lease_ms *"
                     " interval '1 millisecond' WHERE lease_until > clock_timestamp() + lease_ms *"
                     " interval '1 millisecond'",
                     STORE_NO_ARGS))
        return false;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT DISTINCT run_id FROM shard JOIN run USING (run_no)"
                     " WHERE lease_until <= clock_timestamp() LIMIT $1",
                     STORE_ARGS(store_arg_int(STORE_SWEEP_MAX)));
    if (!rows)
        return false;
    found->count = store_rows_count(rows);
    found->run_ids = cap_arena_array(found->arena, found->count + 1, sizeof *found->run_ids);
    for (size_t i = 0; found->run_ids && i < found->count; i++)
        if (!(found->run_ids[i] = store_rows_text_copy(rows, i, 0, found->arena)))
            return store_fail_full(err);
    return found->run_ids || store_fail_full(err);
}

struct sweep_work { /* of one run */
    char *run_id;
    struct cap_arena *arena;
    Moecap__V1__SweepReply *reply;
    size_t before; /* entries of the reply that are of other runs */
};

static bool note_expired(const struct sweep_work *work, const struct store_rows *ended,
                         struct cap_err *err)
{
    Moecap__V1__SweepReply *reply = work->reply;

    reply->n_expired = work->before;
    for (size_t i = 0; i < store_rows_count(ended); i++) {
        Moecap__V1__LeaseRef *ref = cap_arena_alloc(work->arena, sizeof *ref);
        if (!ref)
            return store_fail_full(err);
        moecap__v1__lease_ref__init(ref);
        ref->run_id = work->run_id;
        ref->shard = store_rows_u32(ended, i, 0);
        ref->fence = (uint64_t)store_rows_int(ended, i, 1);
        reply->expired[reply->n_expired++] = ref;
    }
    return true;
}

static bool sweep_run(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct sweep_work *work = arg;
    struct store_run run;

    if (!store_run_lock(conn, work->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows) ended =
        end_leases(conn, &run, EVERY_SHARD, STORE_SWEEP_MAX - work->before, "expired", err);
    return ended && note_expired(work, ended, err) &&
           write_end_events(conn, &run, ended, "expired", err) &&
           requeue_if_idle(conn, &run, "lease expired", err);
}

bool store_sweep(struct store_pg *pg, const Moecap__V1__Empty *request, struct cap_arena *arena,
                 Moecap__V1__SweepReply *reply, struct cap_err *err)
{
    struct overdue found = {.arena = arena};

    (void)request;
    reply->expired = cap_arena_array(arena, STORE_SWEEP_MAX, sizeof *reply->expired);
    if (!reply->expired)
        return store_fail_full(err);
    if (!store_pg_tx(pg, STORE_TX_WRITE, find_overdue, &found, err))
        return false;
    for (size_t i = 0; i < found.count && reply->n_expired < STORE_SWEEP_MAX; i++) {
        struct sweep_work work = {found.run_ids[i], arena, reply, reply->n_expired};
        if (!store_pg_tx(pg, STORE_TX_WRITE, sweep_run, &work, err))
            return false;
    }
    return true;
}
