/* A run's row, the moves between its states, and events.
 *
 * What it guarantees
 *   A state changes by the table `may_follow` only, by store_run_move_locked only, in the
 *   transaction that gives the reason for it, and with an event. Every state says where the run is:
 *   of a queued run no shard is leased, of a leased or running one at least one is, of one that
 *   grades or has ended none. So every move but those to leased and running ends the run's leases.
 *   A run that has ended stays as it is; only a finished one may yet turn out invalid. An invalid
 *   run keeps its figures and the time of its end.
 *   An evaluation has ended when its last run has: from then on the same configuration makes a new
 *   one.
 *
 * Locks: the run's row, then its shards, then the row of its evaluation.
 *
 * What can interleave
 *   A caller that stops a run saw it a moment ago; Lease, Append and Sweep may have moved it on.
 *   The order to stop holds for every state but the ends (is_from).
 *   Two last runs of an evaluation that end at once: the evaluation's row is locked before its runs
 *   are counted, so the second sees the first.
 */
#include "run.h"

#include <assert.h>
#include <string.h>

#include "store.h"

/* ---- states ---- */

#define BIT(state) (1U << STORE_STATE_##state)
#define BITS_STOPPED (BIT(FAILED) | BIT(CANCELLED) | BIT(INVALID))

/* What may follow a state. A finished run may yet turn out invalid; nothing else leaves an end. */
static const unsigned may_follow[STORE_STATE_COUNT] = {
    [STORE_STATE_QUEUED] = BIT(LEASED) | BITS_STOPPED,
    [STORE_STATE_LEASED] = BIT(RUNNING) | BIT(QUEUED) | BITS_STOPPED,
    [STORE_STATE_RUNNING] = BIT(GRADING) | BIT(QUEUED) | BITS_STOPPED,
    [STORE_STATE_GRADING] = BIT(FINISHED) | BITS_STOPPED,
    [STORE_STATE_FINISHED] = BIT(INVALID),
};

bool store_state_ended(enum store_state state)
{
    return state >= STORE_STATE_FINISHED && state < STORE_STATE_COUNT;
}

bool store_state_may_follow(enum store_state from, enum store_state to)
{
    return from < STORE_STATE_COUNT && to < STORE_STATE_COUNT && (may_follow[from] >> to & 1U) != 0;
}

/* ---- rows ---- */

static enum store_state state_of(const char *word)
{
    Moecap__V1__RunState state = MOECAP__V1__RUN_STATE__RUN_STATE_UNSPECIFIED;

    run_state_from_word(word, &state);
    return (enum store_state)state;
}

static bool read_run(const struct store_rows *rows, const char *run_id, struct store_run *out_run,
                     struct cap_err *err)
{
    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run \"%.64s\" does not exist", run_id);
    *out_run = (struct store_run){
        .run_id = run_id,
        .run_no = store_rows_int(rows, 0, 0),
        .evaluation_no = store_rows_int(rows, 0, 1),
        .task_id = store_rows_int(rows, 0, 2),
        .state = state_of(store_rows_text(rows, 0, 3)),
        .samples_total = store_rows_u32(rows, 0, 4),
        .samples_answered = store_rows_u32(rows, 0, 5),
        .samples_graded = store_rows_u32(rows, 0, 6),
    };
    return true;
}

#define RUN_COLUMNS                                                                                \
    "run_no, evaluation_no, task_id, state, samples_total, samples_answered, samples_graded"

bool store_run_lock(struct store_conn *conn, const char *run_id, struct store_run *out_run,
                    struct cap_err *err)
{
    /* NO KEY: rows that point here may be added meanwhile. */
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err, "SELECT " RUN_COLUMNS " FROM run WHERE run_id = $1 FOR NO KEY UPDATE",
        STORE_ARGS(store_arg_text(run_id)));

    return read_run(rows, run_id, out_run, err);
}

bool store_run_find(struct store_conn *conn, const char *run_id, struct store_run *out_run,
                    struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, "SELECT " RUN_COLUMNS " FROM run WHERE run_id = $1",
                     STORE_ARGS(store_arg_text(run_id)));

    return read_run(rows, run_id, out_run, err);
}

bool store_event_add(struct store_conn *conn, const char *run_id, const char *kind,
                     const char *text, struct cap_err *err)
{
    return store_pg_do(conn, err, "INSERT INTO event (run_id, kind, text) VALUES ($1, $2, $3)",
                       STORE_ARGS(store_arg_text(run_id ? run_id : ""), store_arg_text(kind),
                                  store_arg_text(text)));
}

bool store_fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the reply is larger than one call may use");
}

bool store_check_limit(uint32_t limit, uint32_t max, struct cap_err *err)
{
    return limit <= max || cap_fail_field(err, CAP_INVALID_ARGUMENT, "limit",
                                          "limit is %u, at most %u", limit, max);
}

/* ---- moves ---- */

/* The row of the evaluation is locked before its runs are counted: of two last runs that end at
 * once, the second sees the first. */
static bool end_evaluation(struct store_conn *conn, const struct store_run *run,
                           struct cap_err *err)
{
    return store_pg_do(conn, err,
                       "SELECT FROM evaluation WHERE evaluation_no = $1 FOR NO KEY UPDATE",
                       STORE_ARGS(store_arg_int(run->evaluation_no))) &&
           store_pg_do(conn, err,
                       "UPDATE evaluation SET ended_at = clock_timestamp()"
                       " WHERE evaluation_no = $1 AND ended_at IS NULL AND NOT EXISTS"
                       "  (SELECT FROM run WHERE evaluation_no = $1 AND ended_at IS NULL)",
                       STORE_ARGS(store_arg_int(run->evaluation_no)));
}

static bool write_state(struct store_conn *conn, const struct store_run *run, enum store_state to,
                        const char *reason, struct cap_err *err)
{
    return store_pg_do(
        conn, err,
        "UPDATE run SET state = $2, reason = $3,"
        " started_at = CASE WHEN $2 = 'running' THEN coalesce(started_at, clock_timestamp())"
        "                   ELSE started_at END,"
        " ended_at = CASE WHEN $4 THEN coalesce(ended_at, clock_timestamp()) END WHERE run_no = $1",
        STORE_ARGS(store_arg_int(run->run_no), store_arg_text(store_state_name(to)),
                   store_arg_text(reason), store_arg_bool(store_state_ended(to))));
}

static bool write_event(struct store_conn *conn, const struct store_run *run, enum store_state to,
                        const char *reason, struct cap_err *err)
{
    CAP_AUTO_BUF(text, 8192);

    cap_buf_printf(&text, "%s -> %s", store_state_name(run->state), store_state_name(to));
    if (*reason)
        cap_buf_printf(&text, ": %s", reason);
    return store_event_add(conn, run->run_id, "state", text.data, err);
}

bool store_run_move_locked(struct store_conn *conn, struct store_run *run, enum store_state to,
                           const char *reason, struct cap_err *err)
{
    bool keeps_leases = to == STORE_STATE_LEASED || to == STORE_STATE_RUNNING;

    if (!store_state_may_follow(run->state, to))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is %s and cannot become %s",
                        run->run_id, store_state_name(run->state), store_state_name(to));
    if (!keeps_leases &&
        !store_lease_end_all_locked(conn, run, *reason ? reason : store_state_name(to), err))
        return false;
    if (!write_state(conn, run, to, reason, err) || !write_event(conn, run, to, reason, err))
        return false;
    run->state = to;
    return !store_state_ended(to) || end_evaluation(conn, run, err);
}

/* ---- MoveRun ---- */

struct move {
    const char *run_id, *reason;
    enum store_state from, to;
};

/* The verb that alone makes this move, or NULL. */
static const char *verb_of(enum store_state to)
{
    switch (to) {
    case STORE_STATE_LEASED:
        return "Lease";
    case STORE_STATE_GRADING:
        return "Append";
    case STORE_STATE_FINISHED:
        return "FinishRun";
    default:
        return NULL;
    }
}

/* A caller that stops a run may be a step behind: Lease, Append and Sweep move it between queue and
 * grading meanwhile. The order to stop holds for every state but the ends. */
static bool is_from(const struct move *move, enum store_state state)
{
    bool stops = (BITS_STOPPED >> move->to & 1U) != 0;

    return state == move->from ||
           (stops && !store_state_ended(state) && !store_state_ended(move->from));
}

static bool move_run(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct move *move = arg;
    struct store_run run = {0};

    if (!store_run_lock(conn, move->run_id, &run, err))
        return false;
    if (run.state == move->to)
        return true;
    if (!is_from(move, run.state))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s is %s, not %s", run.run_id,
                        store_state_name(run.state), store_state_name(move->from));
    if (verb_of(move->to))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "run %s becomes %s by %s alone", run.run_id,
                        store_state_name(move->to), verb_of(move->to));
    return store_run_move_locked(conn, &run, move->to, move->reason, err);
}

bool store_move_run(struct store_pg *pg, const Moecap__V1__MoveRunRequest *request,
                    struct cap_arena *arena, Moecap__V1__Empty *reply, struct cap_err *err)
{
    int from = (int)request->from, to = (int)request->to;
    /* A reason may quote a file or an answer: never a cause to refuse that a run failed. */
    struct move move = {request->run_id, store_text_fit(arena, request->reason),
                        (enum store_state)from, (enum store_state)to};

    (void)reply;
    if (!move.reason)
        return store_fail_full(err);
    if (from <= STORE_STATE_NONE || from >= STORE_STATE_COUNT || to <= STORE_STATE_NONE ||
        to >= STORE_STATE_COUNT)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "from %d to %d: no such state", from, to);
    if (strlen(move.reason) > STORE_REASON_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the reason has %zu bytes, at most %d",
                        strlen(move.reason), STORE_REASON_BYTES_MAX);
    return store_pg_tx(pg, STORE_TX_WRITE, move_run, &move, err);
}
