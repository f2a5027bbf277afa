/* Which nodes there have been and what happened, for people and not for decisions; and what
 * retention forgets of it.
 */
#include <string.h>

#include "row_map.h"
#include "run.h"
#include "store.h"

/* ---- PutNode ---- */

struct node_work {
    const Moecap__V1__PutNodeRequest *request;
    const char *name;
    struct store_bytes hello; /* packed; data NULL keeps the one that is there */
};

/* Answers one row when the node is new or its connection changed. */
static struct store_rows *upsert(struct store_conn *conn, const struct node_work *work,
                                 struct cap_err *err)
{
    return store_pg_ask(
        conn, err,
        "WITH before AS (SELECT connected FROM node WHERE node_id = $1 FOR UPDATE),"
        " put AS (INSERT INTO node AS n (node_id, name, hello, connected)"
        "  VALUES ($1, $2, coalesce($3, ''::bytea), $4)"
        "  ON CONFLICT (node_id) DO UPDATE SET name = coalesce(nullif($2, ''), n.name),"
        "   hello = coalesce($3, n.hello), connected = $4, last_seen = clock_timestamp()"
        "  RETURNING name)"
        " SELECT name FROM put WHERE (SELECT connected FROM before) IS DISTINCT FROM $4",
        STORE_ARGS(store_arg_text(work->request->node_id), store_arg_text(work->name),
                   store_arg_bytes(work->hello), store_arg_bool(work->request->connected)));
}

static bool put_node(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct node_work *work = arg;
    CAP_AUTO(store_rows) rows = upsert(conn, work, err);
    CAP_AUTO_BUF(text, 1024);

    if (!rows || store_rows_count(rows) == 0)
        return rows != NULL;
    cap_buf_printf(&text, "%s (%s) %s", store_rows_text(rows, 0, 0), work->request->node_id,
                   work->request->connected ? "connected" : "gone");
    return store_event_add(conn, NULL, "node", text.data, err);
}

bool store_put_node(struct store_pg *pg, const Moecap__V1__PutNodeRequest *request,
                    struct cap_arena *arena, Moecap__V1__Empty *reply, struct cap_err *err)
{
    struct node_work work = {.request = request,
                             .name = request->hello ? request->hello->name : ""};

    (void)reply;
    if (!*request->node_id || strlen(request->node_id) > STORE_NODE_BYTES_MAX ||
        strlen(work.name) > STORE_NODE_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a node has an id of 1 to %d bytes and a name of at most %d",
                        STORE_NODE_BYTES_MAX, STORE_NODE_BYTES_MAX);
    if (request->hello) {
        work.hello = store_packed(&request->hello->base, arena);
        if (!work.hello.data)
            return store_fail_full(err);
    }
    return store_pg_tx(pg, STORE_TX_WRITE, put_node, &work, err);
}

/* ---- ListEvents ---- */

struct events_work {
    const Moecap__V1__ListEventsRequest *request;
    uint32_t limit;
    struct cap_arena *arena;
    Moecap__V1__ListEventsReply *reply;
};

static bool list_events(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct events_work *work = arg;
    Moecap__V1__ListEventsReply *reply = work->reply;
    struct store_cut cut = {.rows_max = work->limit, .bytes_max = STORE_EVENTS_BYTES_MAX};
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT {event e} FROM event e WHERE event_id > $2 AND ($1 = '' OR e.run_id = $1)"
        " ORDER BY event_id LIMIT $3",
        STORE_ARGS(store_arg_text(work->request->run_id), store_arg_uint(work->request->after_id),
                   store_arg_int((int64_t)work->limit + 1)));

    moecap__v1__list_events_reply__init(reply);
    if (!rows || !(reply->events = store_rows_list(rows, &moecap__v1__event__descriptor, &cut,
                                                   work->arena, &reply->n_events, err)))
        return false;
    if (cut.more) {
        reply->opt_next_case = MOECAP__V1__LIST_EVENTS_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after = reply->events[reply->n_events - 1]->id;
    }
    return true;
}

bool store_list_events(struct store_pg *pg, const Moecap__V1__ListEventsRequest *request,
                       struct cap_arena *arena, Moecap__V1__ListEventsReply *reply,
                       struct cap_err *err)
{
    struct events_work work = {request, request->limit ? request->limit : STORE_EVENTS_DEFAULT,
                               arena, reply};

    return store_check_limit(request->limit, STORE_EVENTS_MAX, err) &&
           store_pg_tx(pg, STORE_TX_READ, list_events, &work, err);
}

/* ---- retention ---- */

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
