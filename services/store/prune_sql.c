#include "prune.h"

#include "pg.h"

struct prune_work {
    int days;
    struct store_pruned pruned;
};

/* A run that somebody holds now waits for the next sweep. */
static bool prune_runs(struct store_conn *conn, struct prune_work *work, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "WITH old AS (SELECT run_no, run_id FROM run WHERE NOT pruned"
        "    AND ended_at < clock_timestamp() - $1 * interval '1 day'"
        "    ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED),"
        "  gone AS (DELETE FROM event USING old WHERE event.run_id = old.run_id RETURNING 1),"
        "  acknowledged AS (DELETE FROM batch_ledger b USING old WHERE b.run_no = old.run_no"
        "    AND EXISTS (SELECT 1 FROM batch_ledger later WHERE later.run_no = b.run_no"
        "      AND later.shard = b.shard AND later.fence = b.fence AND later.seq > b.seq)"
        "    RETURNING 1),"
        "  marked AS (UPDATE run SET pruned = true FROM old WHERE run.run_no = old.run_no)"
        " SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM gone),"
        "  (SELECT count(*) FROM acknowledged)",
        STORE_ARGS(store_arg_int(work->days), store_arg_int(STORE_PRUNE_RUNS_MAX)));

    if (!rows)
        return false;
    work->pruned = (struct store_pruned){.runs = store_rows_int(rows, 0, 0),
                                         .events = store_rows_int(rows, 0, 1),
                                         .ledger_rows = store_rows_int(rows, 0, 2)};
    return true;
}

static bool prune_suite(struct store_conn *conn, struct prune_work *work, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "DELETE FROM event WHERE event_id IN (SELECT event_id FROM event"
                     "  WHERE run_id = '' AND at < clock_timestamp() - $1 * interval '1 day'"
                     "  ORDER BY event_id LIMIT $2)",
                     STORE_ARGS(store_arg_int(work->days), store_arg_int(STORE_PRUNE_EVENTS_MAX)));

    if (rows)
        work->pruned.events += (int64_t)store_rows_changed(rows);
    return rows != NULL;
}

static bool prune(struct store_conn *conn, void *arg, struct cap_err *err)
{
    return prune_runs(conn, arg, err) && prune_suite(conn, arg, err);
}

bool store_prune(struct store_pg *pg, int days, struct store_pruned *out_pruned,
                 struct cap_err *err)
{
    struct prune_work work = {.days = days};

    if (!store_pg_tx(pg, STORE_TX_WRITE, prune, &work, err))
        return false;
    *out_pruned = work.pruned;
    return true;
}
