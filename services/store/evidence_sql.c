#include "evidence.h"

#include "answer.h"
#include "pg.h"
#include "run.h"
#include "task.h"

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
    CAP_AUTO(store_rows)
    rows = store_pg_ask(
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

struct page_work {
    const char *run_id;
    const struct store_evidence_place *from;
    struct store_evidence_place next;
    struct cap_arena *arena;
    union {
        struct store_answers *answers;
        struct store_verdicts *verdicts;
        struct store_passes *passes;
        struct store_powers *power;
        struct store_expert_counts *counts;
    } out;
};

/* Below every key when nothing was answered yet. */
static struct store_arg key(const struct page_work *work, int64_t value)
{
    return store_arg_int(work->from->begun ? value : -1);
}

static bool page(struct store_pg *pg, store_tx_body *body, struct page_work *work,
                 struct store_evidence_place *place, struct cap_err *err)
{
    work->from = place;
    if (!store_pg_tx(pg, STORE_TX_READ, body, work, err))
        return false;
    *place = work->next;
    return true;
}

static bool read_answers(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct page_work *work = arg;
    struct store_answers *out = work->out.answers;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(conn, err,
                        "SELECT " STORE_ANSWER_BARE_COLUMNS " FROM sample s"
                        " WHERE s.run_no = (SELECT run_no FROM run WHERE run_id = $1)"
                        " AND s.ordinal > $2 ORDER BY s.ordinal LIMIT $3",
                        STORE_ARGS(store_arg_text(work->run_id), key(work, work->from->first),
                                   store_arg_int(STORE_EVIDENCE_ANSWERS_MAX)));

    if (!rows)
        return false;
    work->next = *work->from;
    out->count = store_rows_count(rows);
    out->items = cap_arena_array(work->arena, out->count + 1, sizeof *out->items);
    for (size_t i = 0; out->items && i < out->count; i++) {
        if (!store_answer_read(rows, i, 0, work->arena, &out->items[i]))
            return store_fail_full(err);
        work->next = (struct store_evidence_place){true, out->items[i].ordinal, 0, 0};
    }
    return out->items || store_fail_full(err);
}

bool store_evidence_answers(struct store_pg *pg, const char *run_id,
                            struct store_evidence_place *place, struct cap_arena *arena,
                            struct store_answers *out_page, struct cap_err *err)
{
    struct store_answers found;
    struct page_work work = {.run_id = run_id, .arena = arena, .out.answers = &found};

    if (!page(pg, read_answers, &work, place, err))
        return false;
    *out_page = found;
    return true;
}

/* Pages are cut by ordinal. Of several versions the latest counts. */
static bool read_verdicts(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct page_work *work = arg;
    struct store_verdicts *out = work->out.verdicts;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(
        conn, err,
        "WITH r AS (SELECT run_no FROM run WHERE run_id = $1),"
        " o AS (SELECT DISTINCT ordinal FROM verdict WHERE run_no = (SELECT run_no FROM r)"
        "   AND ordinal > $2 ORDER BY ordinal LIMIT $3)"
        " SELECT DISTINCT ON (v.ordinal, v.metric) " STORE_VERDICT_COLUMNS " FROM verdict v"
        " WHERE v.run_no = (SELECT run_no FROM r) AND v.ordinal > $2"
        "   AND v.ordinal <= (SELECT max(ordinal) FROM o)"
        " ORDER BY v.ordinal, v.metric, v.graded_at DESC, v.version DESC",
        STORE_ARGS(store_arg_text(work->run_id), key(work, work->from->first),
                   store_arg_int(STORE_EVIDENCE_ANSWERS_MAX)));

    if (!rows)
        return false;
    work->next = *work->from;
    out->count = store_rows_count(rows);
    out->items = cap_arena_array(work->arena, out->count + 1, sizeof *out->items);
    for (size_t i = 0; out->items && i < out->count; i++) {
        if (!store_verdict_read(rows, i, 0, work->arena, &out->items[i]))
            return store_fail_full(err);
        work->next = (struct store_evidence_place){true, out->items[i].ordinal, 0, 0};
    }
    return out->items || store_fail_full(err);
}

bool store_evidence_verdicts(struct store_pg *pg, const char *run_id,
                             struct store_evidence_place *place, struct cap_arena *arena,
                             struct store_verdicts *out_page, struct cap_err *err)
{
    struct store_verdicts found;
    struct page_work work = {.run_id = run_id, .arena = arena, .out.verdicts = &found};

    if (!page(pg, read_verdicts, &work, place, err))
        return false;
    *out_page = found;
    return true;
}

static bool read_pass(const struct store_rows *rows, size_t row, struct cap_arena *arena,
                      struct store_pass *out_pass)
{
    *out_pass = (struct store_pass){
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
    return store_rows_u32s(rows, row, 9, arena, &out_pass->distinct_experts);
}

static struct store_evidence_place place_of(const struct store_rows *rows, size_t row)
{
    return (struct store_evidence_place){true, store_rows_int(rows, row, 0),
                                         store_rows_int(rows, row, 1),
                                         store_rows_int(rows, row, 2)};
}

static bool read_passes(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct page_work *work = arg;
    struct store_passes *out = work->out.passes;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(
        conn, err,
        "SELECT shard, seq, item, phase, sequences, tokens, context_sum, duration_ns, started_us,"
        " distinct_experts, weight_bytes, kv_bytes, flops, warm_up FROM pass"
        " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1)"
        " AND (shard, seq, item) > ($2, $3, $4) ORDER BY shard, seq, item LIMIT $5",
        STORE_ARGS(store_arg_text(work->run_id), key(work, work->from->first),
                   key(work, work->from->second), key(work, work->from->third),
                   store_arg_int(STORE_EVIDENCE_ROWS_MAX)));

    if (!rows)
        return false;
    work->next = *work->from;
    out->count = store_rows_count(rows);
    out->items = cap_arena_array(work->arena, out->count + 1, sizeof *out->items);
    for (size_t i = 0; out->items && i < out->count; i++) {
        if (!read_pass(rows, i, work->arena, &out->items[i]))
            return store_fail_full(err);
        work->next = place_of(rows, i);
    }
    return out->items || store_fail_full(err);
}

bool store_evidence_passes(struct store_pg *pg, const char *run_id,
                           struct store_evidence_place *place, struct cap_arena *arena,
                           struct store_passes *out_page, struct cap_err *err)
{
    struct store_passes found;
    struct page_work work = {.run_id = run_id, .arena = arena, .out.passes = &found};

    if (!page(pg, read_passes, &work, place, err))
        return false;
    *out_page = found;
    return true;
}

static bool read_power(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct page_work *work = arg;
    struct store_powers *out = work->out.power;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(conn, err,
                        "SELECT shard, seq, item, at_us, device, watts FROM power"
                        " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1)"
                        " AND (shard, seq, item) > ($2, $3, $4) ORDER BY shard, seq, item LIMIT $5",
                        STORE_ARGS(store_arg_text(work->run_id), key(work, work->from->first),
                                   key(work, work->from->second), key(work, work->from->third),
                                   store_arg_int(STORE_EVIDENCE_ROWS_MAX)));

    if (!rows)
        return false;
    work->next = *work->from;
    out->count = store_rows_count(rows);
    out->items = cap_arena_array(work->arena, out->count + 1, sizeof *out->items);
    for (size_t i = 0; out->items && i < out->count; i++) {
        out->items[i] = (struct store_power){store_rows_int(rows, i, 3),
                                             store_rows_text_copy(rows, i, 4, work->arena),
                                             store_rows_real(rows, i, 5)};
        if (!out->items[i].device)
            return store_fail_full(err);
        work->next = place_of(rows, i);
    }
    return out->items || store_fail_full(err);
}

bool store_evidence_power(struct store_pg *pg, const char *run_id,
                          struct store_evidence_place *place, struct cap_arena *arena,
                          struct store_powers *out_page, struct cap_err *err)
{
    struct store_powers found;
    struct page_work work = {.run_id = run_id, .arena = arena, .out.power = &found};

    if (!page(pg, read_power, &work, place, err))
        return false;
    *out_page = found;
    return true;
}

static bool read_counts(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct page_work *work = arg;
    struct store_expert_counts *out = work->out.counts;
    CAP_AUTO(store_rows)
    rows = store_pg_ask(conn, err,
                        "SELECT phase, layer, batch_bucket, counts FROM expert_count"
                        " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1)"
                        " AND (phase, layer, batch_bucket) > ($2, $3, $4)"
                        " ORDER BY phase, layer, batch_bucket LIMIT $5",
                        STORE_ARGS(store_arg_text(work->run_id), key(work, work->from->first),
                                   key(work, work->from->second), key(work, work->from->third),
                                   store_arg_int(STORE_EVIDENCE_ROWS_MAX)));

    if (!rows)
        return false;
    work->next = *work->from;
    out->count = store_rows_count(rows);
    out->items = cap_arena_array(work->arena, out->count + 1, sizeof *out->items);
    for (size_t i = 0; out->items && i < out->count; i++) {
        struct store_expert_count *row = &out->items[i];
        row->phase = store_rows_u32(rows, i, 0);
        row->layer = store_rows_u32(rows, i, 1);
        row->batch_bucket = store_rows_u32(rows, i, 2);
        if (!store_rows_u64s(rows, i, 3, work->arena, &row->counts))
            return store_fail_full(err);
        work->next = place_of(rows, i);
    }
    return out->items || store_fail_full(err);
}

bool store_evidence_counts(struct store_pg *pg, const char *run_id,
                           struct store_evidence_place *place, struct cap_arena *arena,
                           struct store_expert_counts *out_page, struct cap_err *err)
{
    struct store_expert_counts found;
    struct page_work work = {.run_id = run_id, .arena = arena, .out.counts = &found};

    if (!page(pg, read_counts, &work, place, err))
        return false;
    *out_page = found;
    return true;
}
