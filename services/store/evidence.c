/* ReadEvidence: everything that the measures of a run are computed from, in pages of bounded size.
 *
 * The header comes first, then one kind of rows after the other (the table `kinds`), each page a
 * transaction of its own that begins after the key of the last row. A run that is grading does not
 * change any more, so that pages need no common snapshot and no connection is held between them.
 */
#include <string.h>

#include "row_map.h"
#include "run.h"
#include "store.h"

enum {
    KEY_PARTS_MAX = 3,
    PAGE_BYTES_MAX = 256 << 20, /* in memory, one kind at a time */
    MESSAGE_BYTES = 1 << 20, /* rows with long lists are split over messages of about this size */
};

/* One kind of rows. `sql` takes the run's id, the parts of the key that the page begins after, and
 * how many rows; its first columns are the key. */
struct kind {
    const char *sql;
    int key_parts, rows_max;
    const ProtobufCMessageDescriptor *type;
    size_t list, count; /* where Evidence has them */
};

#define INTO(member)                                                                               \
    offsetof(Moecap__V1__Evidence, member), offsetof(Moecap__V1__Evidence, n_##member)
#define OF_RUN " WHERE run_no = (SELECT run_no FROM run WHERE run_id = $1)"

static const struct kind kinds[] = {
    /* Without texts and token ids. */
    {"SELECT s.ordinal AS _ordinal, {answer.base s} FROM sample s" OF_RUN
     " AND s.ordinal > $2 ORDER BY s.ordinal LIMIT $3",
     1, STORE_EVIDENCE_ANSWERS_MAX, &moecap__v1__sample_answer__descriptor, INTO(answers)},
    /* The latest version of each sample and metric. Pages are cut by ordinal and hold whole
     * samples. */
    {"WITH r AS (SELECT run_no FROM run WHERE run_id = $1),"
     " o AS (SELECT DISTINCT ordinal FROM verdict WHERE run_no = (SELECT run_no FROM r)"
     "   AND ordinal > $2 ORDER BY ordinal LIMIT $3)"
     " SELECT DISTINCT ON (v.ordinal, v.metric) v.ordinal AS _ordinal, {verdict v} FROM verdict v"
     " WHERE v.run_no = (SELECT run_no FROM r) AND v.ordinal > $2"
     "   AND v.ordinal <= (SELECT max(ordinal) FROM o)"
     " ORDER BY v.ordinal, v.metric, v.graded_at DESC, v.version DESC",
     1, STORE_EVIDENCE_ANSWERS_MAX, &moecap__v1__verdict__descriptor, INTO(verdicts)},
    {"SELECT shard AS _shard, seq AS _seq, item AS _item, {pass p} FROM pass p" OF_RUN
     " AND (shard, seq, item) > ($2, $3, $4) ORDER BY shard, seq, item LIMIT $5",
     3, STORE_EVIDENCE_ROWS_MAX, &moecap__v1__pass__descriptor, INTO(passes)},
    {"SELECT phase AS _phase, layer AS _layer, batch_bucket AS _bucket, {expert_count e}"
     " FROM expert_count e" OF_RUN " AND (phase, layer, batch_bucket) > ($2, $3, $4)"
     " ORDER BY phase, layer, batch_bucket LIMIT $5",
     3, STORE_EVIDENCE_ROWS_MAX, &moecap__v1__expert_count__descriptor, INTO(expert_counts)},
    {"SELECT shard AS _shard, seq AS _seq, item AS _item, {power p} FROM power p" OF_RUN
     " AND (shard, seq, item) > ($2, $3, $4) ORDER BY shard, seq, item LIMIT $5",
     3, STORE_EVIDENCE_ROWS_MAX, &moecap__v1__power_sample__descriptor, INTO(power)},
};

struct reading {
    const char *run_id;
    const struct kind *kind;
    int64_t key[KEY_PARTS_MAX];  /* the page begins after it; -1 is below every key */
    int64_t last[KEY_PARTS_MAX]; /* of the page; a body may run twice, so it does not move `key` */
    struct cap_arena *arena;     /* emptied for each page */
    ProtobufCMessage **items;
    size_t count;
};

static bool read_header(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct reading *r = arg;
    Moecap__V1__EvidenceHeader *header = cap_arena_alloc(r->arena, sizeof *header);
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT r.run_id AS run_id, {task t task.}, e.spec AS spec, r.samples_total AS attempted,"
        " r.report AS report, (SELECT count(DISTINCT (shard, fence)) FROM batch_ledger b"
        "   WHERE b.run_no = r.run_no) AS attempts"
        " FROM run r JOIN evaluation e USING (evaluation_no) JOIN task t USING (task_id)"
        " WHERE r.run_id = $1",
        STORE_ARGS(store_arg_text(r->run_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run \"%.64s\" does not exist", r->run_id);
    if (!header)
        return store_fail_full(err);
    moecap__v1__evidence_header__init(header);
    r->items = cap_arena_array(r->arena, 1, sizeof *r->items);
    if (!r->items)
        return store_fail_full(err);
    r->items[0] = &header->base;
    return store_row_fill(rows, 0, &header->base, r->arena, err);
}

static bool read_page(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct reading *r = arg;
    struct store_arg args[KEY_PARTS_MAX + 2] = {store_arg_text(r->run_id)};
    size_t n = 1;

    for (int i = 0; i < r->kind->key_parts; i++)
        args[n++] = store_arg_int(r->key[i]);
    args[n++] = store_arg_int(r->kind->rows_max);
    CAP_AUTO(store_rows) rows = store_pg_ask(conn, err, r->kind->sql, args, n);
    if (!rows || !(r->items = store_rows_list(rows, r->kind->type, NULL, r->arena, &r->count, err)))
        return false;
    for (int i = 0; r->count > 0 && i < r->kind->key_parts; i++)
        r->last[i] = store_rows_int(rows, r->count - 1, i);
    return true;
}

/* A page, in messages of bounded size. */
static bool send_page(const struct reading *r, store_sink *sink, void *arg, struct cap_err *err)
{
    for (size_t from = 0, to; from < r->count; from = to) {
        Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
        size_t bytes = 0;
        for (to = from; to < r->count && bytes < MESSAGE_BYTES; to++)
            bytes += protobuf_c_message_get_packed_size(r->items[to]);
        *(ProtobufCMessage ***)((char *)&evidence + r->kind->list) = r->items + from;
        *(size_t *)((char *)&evidence + r->kind->count) = to - from;
        if (!sink(arg, &evidence.base, err))
            return false;
    }
    return true;
}

bool store_read_evidence(struct store_pg *pg, const char *run_id, store_sink *sink, void *arg,
                         struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(PAGE_BYTES_MAX);
    struct reading r = {.run_id = run_id, .arena = arena};
    Moecap__V1__Evidence first = MOECAP__V1__EVIDENCE__INIT;

    if (!store_pg_tx(pg, STORE_TX_READ, read_header, &r, err))
        return false;
    first.header = (Moecap__V1__EvidenceHeader *)r.items[0];
    if (!sink(arg, &first.base, err))
        return false;
    for (size_t i = 0; i < CAP_COUNT_OF(kinds); i++) {
        r.kind = &kinds[i];
        for (int k = 0; k < KEY_PARTS_MAX; k++)
            r.key[k] = -1;
        do {
            cap_arena_reset(arena);
            if (!store_pg_tx(pg, STORE_TX_READ, read_page, &r, err) ||
                !send_page(&r, sink, arg, err))
                return false;
            memcpy(r.key, r.last, sizeof r.key);
        } while (r.count > 0);
    }
    return true;
}
