#include "evidence.h"

#include <assert.h>

#include "answer.h"
#include "pg.h"
#include "run.h"
#include "task.h"

enum { KEY_PARTS_MAX = 3 };

/* ---- header ---- */

struct header_work {
    const char *run_id;
    struct cap_arena *arena;
    struct store_evidence_header *out;
};

static bool read_header(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct header_work *work = arg;
    struct store_evidence_header *out = work->out;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT " STORE_TASK_COLUMNS ", e.spec, r.samples_total, r.report,"
        " (SELECT count(DISTINCT (shard, fence)) FROM batch_ledger b WHERE b.run_no = r.run_no)"
        " FROM run r JOIN evaluation e USING (evaluation_no) JOIN task t USING (task_id)"
        " WHERE r.run_id = $1",
        STORE_ARGS(store_arg_text(work->run_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run \"%.64s\" does not exist", work->run_id);
    if (!store_task_read(rows, 0, 0, work->arena, &out->task) ||
        !store_rows_bytes(rows, 0, STORE_TASK_COLUMN_COUNT, work->arena, &out->spec) ||
        !store_rows_bytes(rows, 0, STORE_TASK_COLUMN_COUNT + 2, work->arena, &out->report))
        return store_fail_full(err);
    out->attempted = store_rows_u32(rows, 0, STORE_TASK_COLUMN_COUNT + 1);
    out->attempts = store_rows_u32(rows, 0, STORE_TASK_COLUMN_COUNT + 3);
    return true;
}

bool store_evidence_header(struct store_pg *pg, const char *run_id, struct cap_arena *arena,
                           struct store_evidence_header *out_header, struct cap_err *err)
{
    struct store_evidence_header header;
    struct header_work work = {run_id, arena, &header};

    if (!store_pg_tx(pg, STORE_TX_READ, read_header, &work, err))
        return false;
    *out_header = header;
    return true;
}

/* ---- pages ---- */

/* One kind of rows. `sql` takes the run's id, the parts of the key that the page begins behind, and
 * how many rows; its first columns are the key. */
struct page_kind {
    const char *sql;
    int key_parts, rows_max;
    size_t item_bytes;
    /* False when the arena is full. */
    bool (*read)(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                 void *out_item);
};

struct page_work {
    const struct page_kind *kind;
    const char *run_id;
    struct store_evidence_place from, next;
    struct cap_arena *arena;
    char *items;
    size_t count;
};

static struct store_evidence_place place_of(const struct store_rows *rows, size_t row, int parts)
{
    return (struct store_evidence_place){true, store_rows_int(rows, row, 0),
                                         parts > 1 ? store_rows_int(rows, row, 1) : 0,
                                         parts > 1 ? store_rows_int(rows, row, 2) : 0};
}

static struct store_rows *ask(struct store_conn *conn, const struct page_work *work,
                              struct cap_err *err)
{
    const int64_t parts[KEY_PARTS_MAX] = {work->from.first, work->from.second, work->from.third};
    struct store_arg args[KEY_PARTS_MAX + 2] = {store_arg_text(work->run_id)};
    size_t count = 1;

    assert(work->kind->key_parts <= KEY_PARTS_MAX);
    /* below every key when nothing was answered yet */
    for (int i = 0; i < work->kind->key_parts; i++)
        args[count++] = store_arg_int(work->from.begun ? parts[i] : -1);
    args[count++] = store_arg_int(work->kind->rows_max);
    return store_pg_ask(conn, err, work->kind->sql, args, count);
}

static bool read_page(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct page_work *work = arg;
    CAP_AUTO(store_rows) rows = ask(conn, work, err);

    if (!rows)
        return false;
    work->next = work->from;
    work->count = store_rows_count(rows);
    work->items = cap_arena_array(work->arena, work->count + 1, work->kind->item_bytes);
    if (!work->items)
        return store_fail_full(err);
    for (size_t i = 0; i < work->count; i++) {
        if (!work->kind->read(rows, i, work->arena, work->items + i * work->kind->item_bytes))
            return store_fail_full(err);
        work->next = place_of(rows, i, work->kind->key_parts);
    }
    return true;
}

static bool page(struct store_pg *pg, struct page_work *work, struct store_evidence_place *place,
                 struct cap_err *err)
{
    work->from = *place;
    if (!store_pg_tx(pg, STORE_TX_READ, read_page, work, err))
        return false;
    *place = work->next;
    return true;
}

/* store_evidence_<name>: a page of that kind, typed. */
#define DEFINE_PAGES(name, list)                                                                   \
    bool store_evidence_##name(struct store_pg *pg, const char *run_id,                            \
                               struct store_evidence_place *place, struct cap_arena *arena,        \
                               list *out_page, struct cap_err *err)                                \
    {                                                                                              \
        struct page_work work = {.kind = &name##_kind, .run_id = run_id, .arena = arena};          \
                                                                                                   \
        if (!page(pg, &work, place, err))                                                          \
            return false;                                                                          \
        *out_page = (list){(void *)work.items, work.count};                                        \
        return true;                                                                               \
    }

/* ---- the kinds ---- */

static bool read_answer(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                        void *out_item)
{
    return store_answer_read(rows, row, 0, arena, out_item);
}

static const struct page_kind answers_kind = {
    .sql = "SELECT " STORE_ANSWER_BARE_COLUMNS " FROM sample s"
           " WHERE s.run_no = (SELECT run_no FROM run WHERE run_id = $1)"
           " AND s.ordinal > $2 ORDER BY s.ordinal LIMIT $3",
    .key_parts = 1,
    .rows_max = STORE_EVIDENCE_ANSWERS_MAX,
    .item_bytes = sizeof(struct store_answer),
    .read = read_answer,
};
DEFINE_PAGES(answers, struct store_answers)

static bool read_verdict(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                         void *out_item)
{
    return store_verdict_read(rows, row, 0, arena, out_item);
}

/* Pages are cut by ordinal. Of several versions the latest counts. */
static const struct page_kind verdicts_kind = {
    .sql = "WITH r AS (SELECT run_no FROM run WHERE run_id = $1),"
           " o AS (SELECT DISTINCT ordinal FROM verdict WHERE run_no = (SELECT run_no FROM r)"
           "   AND ordinal > $2 ORDER BY ordinal LIMIT $3)"
           " SELECT DISTINCT ON (v.ordinal, v.metric) " STORE_VERDICT_COLUMNS " FROM verdict v"
           " WHERE v.run_no = (SELECT run_no FROM r) AND v.ordinal > $2"
           "   AND v.ordinal <= (SELECT max(ordinal) FROM o)"
           " ORDER BY v.ordinal, v.metric, v.graded_at DESC, v.version DESC",
    .key_parts = 1,
    .rows_max = STORE_EVIDENCE_ANSWERS_MAX,
    .item_bytes = sizeof(struct store_verdict),
    .read = read_verdict,
};
DEFINE_PAGES(verdicts, struct store_verdicts)

static bool read_pass(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                      void *out_item)
{
    struct store_pass *pass = out_item;

    *pass = (struct store_pass){
        .phase = store_rows_u32(rows, row, 3),
        .sequences = store_rows_u32(rows, row, 4),
        .tokens = store_rows_u32(rows, row, 5),
        .context_sum = (uint64_t)store_rows_int(rows, row, 6),
        .duration_ns = (uint64_t)store_rows_int(rows, row, 7),
        .started_us = store_rows_int(rows, row, 8),
        .weight_bytes = store_rows_opt_int(rows, row, 10),
        .kv_bytes = store_rows_opt_int(rows, row, 11),
        .flops = store_rows_opt_real(rows, row, 12),
        .warm_up = store_rows_bool(rows, row, 13),
    };
    return store_rows_u32s(rows, row, 9, arena, &pass->distinct_experts);
}

static const struct page_kind passes_kind = {
    .sql = "SELECT shard, seq, item, phase, sequences, tokens, context_sum, duration_ns,"
           " started_us, distinct_experts, weight_bytes, kv_bytes, flops, warm_up FROM pass"
           " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1)"
           " AND (shard, seq, item) > ($2, $3, $4) ORDER BY shard, seq, item LIMIT $5",
    .key_parts = 3,
    .rows_max = STORE_EVIDENCE_ROWS_MAX,
    .item_bytes = sizeof(struct store_pass),
    .read = read_pass,
};
DEFINE_PAGES(passes, struct store_passes)

static bool read_power(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                       void *out_item)
{
    struct store_power *power = out_item;

    *power = (struct store_power){store_rows_int(rows, row, 3),
                                  store_rows_text_copy(rows, row, 4, arena),
                                  store_rows_real(rows, row, 5)};
    return power->device != NULL;
}

static const struct page_kind power_kind = {
    .sql = "SELECT shard, seq, item, at_us, device, watts FROM power"
           " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1)"
           " AND (shard, seq, item) > ($2, $3, $4) ORDER BY shard, seq, item LIMIT $5",
    .key_parts = 3,
    .rows_max = STORE_EVIDENCE_ROWS_MAX,
    .item_bytes = sizeof(struct store_power),
    .read = read_power,
};
DEFINE_PAGES(power, struct store_powers)

static bool read_count(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                       void *out_item)
{
    struct store_expert_count *count = out_item;

    count->phase = store_rows_u32(rows, row, 0);
    count->layer = store_rows_u32(rows, row, 1);
    count->batch_bucket = store_rows_u32(rows, row, 2);
    return store_rows_u64s(rows, row, 3, arena, &count->counts);
}

static const struct page_kind counts_kind = {
    .sql = "SELECT phase, layer, batch_bucket, counts FROM expert_count"
           " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1)"
           " AND (phase, layer, batch_bucket) > ($2, $3, $4)"
           " ORDER BY phase, layer, batch_bucket LIMIT $5",
    .key_parts = 3,
    .rows_max = STORE_EVIDENCE_ROWS_MAX,
    .item_bytes = sizeof(struct store_expert_count),
    .read = read_count,
};
DEFINE_PAGES(counts, struct store_expert_counts)
