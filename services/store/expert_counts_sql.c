#include "expert_counts.h"

#include <stdio.h>

#include "base/map.h"
#include "copy.h"
#include "pg.h"
#include "run.h"

enum { KEY_BYTES = 48, SUMS_BYTES_MAX = 64 << 20 };

/* The rows to write: one for each (phase, layer, batch bucket) of the batch. */
struct sums {
    struct cap_arena *arena;
    struct cap_map *by_key; /* "phase layer bucket" -> struct store_expert_count */
};

static struct store_expert_count *find_or_make(struct sums *sums,
                                               const struct store_expert_count *like)
{
    char key[KEY_BYTES];
    struct store_expert_count *row;

    snprintf(key, sizeof key, "%u %u %u", like->phase, like->layer, like->batch_bucket);
    row = cap_map_get(sums->by_key, key);
    if (row || !(row = cap_arena_alloc(sums->arena, sizeof *row)))
        return row;
    *row = *like;
    row->counts = (struct store_u64s){0};
    cap_map_put(sums->by_key, key, row);
    return row;
}

static bool widen(struct sums *sums, struct store_expert_count *row, size_t count)
{
    uint64_t *wider;

    if (count <= row->counts.count)
        return true;
    wider = cap_arena_array(sums->arena, count, sizeof *wider); /* zeroed */
    for (size_t i = 0; wider && i < row->counts.count; i++)
        wider[i] = row->counts.items[i];
    row->counts = (struct store_u64s){wider, wider ? count : 0};
    return wider != NULL;
}

static bool add_row(struct sums *sums, const struct store_expert_count *from, struct cap_err *err)
{
    struct store_expert_count *row = find_or_make(sums, from);

    if (!row || from->counts.count > STORE_EXPERTS_MAX || !widen(sums, row, from->counts.count))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch has too many expert counts to store");
    for (size_t i = 0; i < from->counts.count; i++)
        if (__builtin_add_overflow(row->counts.items[i], from->counts.items[i],
                                   &row->counts.items[i]) ||
            row->counts.items[i] > INT64_MAX)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "the selections of expert %zu in layer %u exceed 63 bits", i,
                            from->layer);
    return true;
}

/* Three array literals: the keys of the rows. */
struct keys {
    const char *phases, *layers, *buckets;
};

static bool list_keys(const struct sums *sums, struct keys *out_keys)
{
    size_t count = cap_map_count(sums->by_key);
    uint32_t *columns[3];

    for (int c = 0; c < 3; c++)
        if (!(columns[c] = cap_arena_array(sums->arena, count, sizeof *columns[c])))
            return false;
    for (size_t i = 0; i < count; i++) {
        const struct store_expert_count *row = cap_map_value_at(sums->by_key, i);
        columns[0][i] = row->phase;
        columns[1][i] = row->layer;
        columns[2][i] = row->batch_bucket;
    }
    *out_keys = (struct keys){store_u32s_literal(sums->arena, columns[0], count),
                              store_u32s_literal(sums->arena, columns[1], count),
                              store_u32s_literal(sums->arena, columns[2], count)};
    return out_keys->phases && out_keys->layers && out_keys->buckets;
}

/* Takes the rows that are there out of the table; they come back with the sums. */
static bool take_stored(struct store_conn *conn, int64_t run_no, struct sums *sums,
                        struct cap_err *err)
{
    struct keys keys;

    if (!list_keys(sums, &keys))
        return store_fail_full(err);
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "DELETE FROM expert_count e"
                     " USING unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS k(p, l, b)"
                     " WHERE run_no = $1 AND phase = p AND layer = l AND batch_bucket = b"
                     " RETURNING phase, layer, batch_bucket, counts",
                     STORE_ARGS(store_arg_int(run_no), store_arg_text(keys.phases),
                                store_arg_text(keys.layers), store_arg_text(keys.buckets)));
    if (!rows)
        return false;
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        struct store_expert_count row = {store_rows_u32(rows, i, 0),
                                         store_rows_u32(rows, i, 1),
                                         store_rows_u32(rows, i, 2),
                                         {0}};
        if (!store_rows_u64s(rows, i, 3, sums->arena, &row.counts))
            return store_fail_full(err);
        if (!add_row(sums, &row, err))
            return false;
    }
    return true;
}

static bool write_sums(struct store_conn *conn, int64_t run_no, const struct sums *sums,
                       struct cap_err *err)
{
    STORE_AUTO_COPY(copy, SUMS_BYTES_MAX);

    for (size_t i = 0; i < cap_map_count(sums->by_key); i++) {
        const struct store_expert_count *row = cap_map_value_at(sums->by_key, i);
        store_copy_int(&copy, run_no);
        store_copy_uint(&copy, row->phase);
        store_copy_uint(&copy, row->layer);
        store_copy_uint(&copy, row->batch_bucket);
        store_copy_u64s(&copy, row->counts.items, row->counts.count);
        store_copy_end_row(&copy);
    }
    if (copy.lines.overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch has too many expert counts to store");
    return store_pg_copy(
        conn, "COPY expert_count (run_no, phase, layer, batch_bucket, counts) FROM STDIN",
        copy.lines.data, copy.lines.length, err);
}

bool store_expert_counts_add(struct store_conn *conn, int64_t run_no,
                             struct store_expert_counts batch, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(SUMS_BYTES_MAX);
    CAP_AUTO(cap_map) by_key = cap_map_new();
    struct sums sums = {arena, by_key};

    if (batch.count == 0)
        return true;
    for (size_t i = 0; i < batch.count; i++)
        if (!add_row(&sums, &batch.items[i], err))
            return false;
    return take_stored(conn, run_no, &sums, err) && write_sums(conn, run_no, &sums, err);
}
