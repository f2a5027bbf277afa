#include "node.h"

#include <string.h>

#include "base/buf.h"
#include "pg.h"
#include "report.h"
#include "run.h"

/* Answers one row when the node is new or its connection changed. */
static struct store_rows *upsert(struct store_conn *conn, const struct store_node *node,
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
        STORE_ARGS(store_arg_text(node->node_id), store_arg_text(node->name),
                   store_arg_bytes(node->hello), store_arg_bool(node->connected)));
}

static bool put_node(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct store_node *node = arg;
    CAP_AUTO(store_rows) rows = upsert(conn, node, err);
    CAP_AUTO_BUF(text, 1024);

    if (!rows || store_rows_count(rows) == 0)
        return rows != NULL;
    cap_buf_printf(&text, "%s (%s) %s", store_rows_text(rows, 0, 0), node->node_id,
                   node->connected ? "connected" : "gone");
    return store_event_add(conn, NULL, "node", text.data, err);
}

bool store_node_put(struct store_pg *pg, const struct store_node *node, struct cap_err *err)
{
    enum { NAME_BYTES_MAX = 256 };

    if (!*node->node_id || strlen(node->node_id) > NAME_BYTES_MAX ||
        strlen(node->name) > NAME_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a node has an id of 1 to %d bytes and a name of at most %d",
                        NAME_BYTES_MAX, NAME_BYTES_MAX);
    return store_pg_tx(pg, STORE_TX_WRITE, put_node, (void *)node, err);
}

/* ---- events ---- */

struct events_work {
    const char *run_id;
    uint64_t after_id;
    uint32_t limit;
    struct cap_arena *arena;
    struct store_event_page page;
};

static bool read_events(struct events_work *work, const struct store_rows *rows,
                        struct cap_err *err)
{
    struct store_event_page *page = &work->page;

    page->count = store_rows_count(rows);
    page->more = page->count > work->limit;
    page->count -= page->more;
    page->events = cap_arena_array(work->arena, page->count + 1, sizeof *page->events);
    for (size_t i = 0; page->events && i < page->count; i++) {
        page->events[i] = (struct store_event){
            .id = (uint64_t)store_rows_int(rows, i, 0),
            .at_ms = store_rows_int(rows, i, 1),
            .run_id = store_rows_text_copy(rows, i, 2, work->arena),
            .kind = store_rows_text_copy(rows, i, 3, work->arena),
            .text = store_rows_text_copy(rows, i, 4, work->arena),
        };
        if (!page->events[i].run_id || !page->events[i].kind || !page->events[i].text)
            return store_fail_full(err);
    }
    return page->events || store_fail_full(err);
}

static bool list_events(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct events_work *work = arg;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT event_id, (extract(epoch FROM at) * 1000)::bigint, run_id, kind, text FROM event"
        " WHERE event_id > $2 AND ($1 = '' OR run_id = $1) ORDER BY event_id LIMIT $3",
        STORE_ARGS(store_arg_text(work->run_id), store_arg_uint(work->after_id),
                   store_arg_int((int64_t)work->limit + 1)));

    return rows && read_events(work, rows, err);
}

bool store_event_list(struct store_pg *pg, const char *run_id, uint64_t after_id, uint32_t limit,
                      struct cap_arena *arena, struct store_event_page *out_page,
                      struct cap_err *err)
{
    struct events_work work = {.run_id = run_id,
                               .after_id = after_id,
                               .limit = limit ? limit : STORE_EVENTS_DEFAULT,
                               .arena = arena};

    if (limit > STORE_EVENTS_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "limit", "limit is %u, at most %d", limit,
                              STORE_EVENTS_MAX);
    if (!store_pg_tx(pg, STORE_TX_READ, list_events, &work, err))
        return false;
    *out_page = work.page;
    return true;
}
