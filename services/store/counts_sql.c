/* How often the router chose each expert: pages by phase, layer and batch bucket. */
#include <stdio.h>
#include <string.h>

#include "pg.h"
#include "report.h"
#include "run.h"

struct counts_work {
    const char *run_id;
    unsigned after[3]; /* phase, layer, bucket; phases begin at 1 */
    uint32_t limit;
    struct cap_arena *arena;
    struct store_counts_page page;
};

static bool read_counts(struct counts_work *work, const struct store_rows *rows,
                        struct cap_err *err)
{
    struct store_expert_counts *out = &work->page.counts;
    size_t count = store_rows_count(rows), before = cap_arena_used(work->arena);

    work->page = (struct store_counts_page){0};
    out->items = cap_arena_array(work->arena, count + 1, sizeof *out->items);
    for (; out->items && out->count < count && out->count < work->limit; out->count++) {
        struct store_expert_count *row = &out->items[out->count];

        if (out->count > 0 && cap_arena_used(work->arena) - before > STORE_COUNTS_BYTES_MAX)
            break;
        row->phase = store_rows_u32(rows, out->count, 0);
        row->layer = store_rows_u32(rows, out->count, 1);
        row->batch_bucket = store_rows_u32(rows, out->count, 2);
        if (!store_rows_u64s(rows, out->count, 3, work->arena, &row->counts))
            return store_fail_full(err);
    }
    work->page.more = out->count < count;
    return out->items || store_fail_full(err);
}

static bool ask_counts(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct counts_work *work = arg;
    struct store_run run;

    if (!store_run_find(conn, work->run_id, &run, err))
        return false;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT phase, layer, batch_bucket, counts FROM expert_count"
                     " WHERE run_no = $1 AND (phase, layer, batch_bucket) >"
                     "  ($2::bigint, $3::bigint, $4::bigint)"
                     " ORDER BY phase, layer, batch_bucket LIMIT $5",
                     STORE_ARGS(store_arg_int(run.run_no), store_arg_int(work->after[0]),
                                store_arg_int(work->after[1]), store_arg_int(work->after[2]),
                                store_arg_int((int64_t)work->limit + 1)));
    return rows && read_counts(work, rows, err);
}

static bool read_after(const char *after, unsigned out[3], struct cap_err *err)
{
    char end;

    if (!*after || (strspn(after, "0123456789.") == strlen(after) &&
                    sscanf(after, "%9u.%9u.%9u%c", &out[0], &out[1], &out[2], &end) == 3))
        return true;
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, "after",
                          "after: \"%.40s\" is no place in this list; begin without it", after);
}

bool store_report_counts(struct store_pg *pg, const char *run_id, const char *after, uint32_t limit,
                         struct cap_arena *arena, struct store_counts_page *out_page,
                         struct cap_err *err)
{
    struct counts_work work = {
        .run_id = run_id, .limit = limit ? limit : STORE_COUNTS_MAX, .arena = arena};

    if (limit > STORE_COUNTS_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "limit", "limit is %u, at most %d", limit,
                              STORE_COUNTS_MAX);
    if (!read_after(after, work.after, err) ||
        !store_pg_tx(pg, STORE_TX_READ, ask_counts, &work, err))
        return false;
    *out_page = work.page;
    return true;
}
