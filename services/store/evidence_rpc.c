#include "append.h"
#include "evidence.h"
#include "handlers_rpc.h"
#include "run.h"
#include "store_wire.h"

/* ---- Append ---- */

static bool batch_from_wire(const Moecap__V1__AnswerBatch *wire, struct cap_arena *arena,
                            struct store_batch *out_batch, struct cap_err *err)
{
    struct store_bytes rows = {wire->rows.data, wire->rows.len};

    *out_batch = (struct store_batch){
        .lease = store_lease_ref_from_wire(wire->lease),
        .seq = wire->seq,
        .sha256 = {wire->sha256.data, wire->sha256.len},
        .answers_declared = wire->answers,
        .completed_declared = wire->completed,
        .last = wire->last,
    };
    return store_batch_check(rows, out_batch->sha256, err) &&
           store_rows_from_wire(rows, arena, out_batch, err);
}

static void count_batch(bool ok, const struct store_batch *batch,
                        const struct store_appended *appended)
{
    if (!ok)
        store_count(STORE_METRIC_batches_refused_total, 1);
    else if (appended->repeated)
        store_count(STORE_METRIC_batches_repeated_total, 1);
    else {
        store_count(STORE_METRIC_batches_stored_total, 1);
        store_count(STORE_METRIC_answers_stored_total, (int64_t)batch->answers.count);
    }
}

bool store_handle_append(struct cap_rpc_call *call, const Moecap__V1__AppendRequest *request,
                         Moecap__V1__AppendReply *reply, struct cap_err *err)
{
    struct store_batch batch;
    struct store_appended appended;
    bool ok;

    if (!request->batch)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the request holds no batch");
    ok = batch_from_wire(request->batch, cap_rpc_arena(call), &batch, err);
    batch.node_id = request->node_id;
    ok = ok && store_append(store_pg_of(call), &batch, &appended, err);
    count_batch(ok, &batch, &appended);
    if (!ok)
        return false;
    reply->repeated_batch = appended.repeated;
    reply->samples_answered = appended.samples_answered;
    reply->shard_done = appended.shard_done;
    reply->run_done = appended.run_done;
    return true;
}

/* ---- ReadEvidence: header, answers, verdicts, passes, counts, power ---- */

enum {
    PAGE_BYTES_MAX = 256 << 20, /* in memory, one kind at a time */
    MESSAGE_BYTES = 1 << 20,    /* answers with long lists of gaps are split at about this size */
};

struct reading {
    struct cap_rpc_call *call;
    struct store_pg *pg;
    const char *run_id;
    struct cap_arena *page; /* emptied for each page */
};

static bool send(const struct reading *r, const Moecap__V1__Evidence *evidence, struct cap_err *err)
{
    return store_rpc_read_evidence_send_reply(r->call, evidence) ||
           cap_fail(err, CAP_CANCELLED, "the caller is gone");
}

static bool send_header(const struct reading *r, struct cap_err *err)
{
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
    Moecap__V1__EvidenceHeader header = MOECAP__V1__EVIDENCE_HEADER__INIT;
    struct store_evidence_header plain;

    if (!store_evidence_header(r->pg, r->run_id, r->page, &plain, err))
        return false;
    header.run_id = (char *)r->run_id;
    header.spec = store_spec_to_wire(plain.spec, r->page);
    header.task = store_task_to_wire(&plain.task, r->page);
    header.attempted = plain.attempted;
    header.attempts = plain.attempts;
    if (plain.report.data)
        header.report = store_report_to_wire(plain.report, r->page);
    if (!header.spec || !header.task || (plain.report.data && !header.report))
        return store_fail_full(err);
    evidence.header = &header;
    return send(r, &evidence, err);
}

/* A page of answers, in messages of bounded size. */
static bool send_answer_page(const struct reading *r, struct store_answers answers,
                             struct cap_err *err)
{
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
    size_t bytes = 0;

    evidence.answers = cap_arena_array(r->page, answers.count + 1, sizeof *evidence.answers);
    for (size_t i = 0; evidence.answers && i < answers.count; i++) {
        Moecap__V1__SampleAnswer *wire = store_answer_to_wire(&answers.items[i], r->page);
        if (!wire)
            return store_fail_full(err);
        bytes += protobuf_c_message_get_packed_size(&wire->base);
        evidence.answers[evidence.n_answers++] = wire;
        if (bytes < MESSAGE_BYTES && i + 1 < answers.count)
            continue;
        if (!send(r, &evidence, err))
            return false;
        evidence.n_answers = 0;
        bytes = 0;
    }
    return evidence.answers || store_fail_full(err);
}

static bool send_answers(const struct reading *r, struct cap_err *err)
{
    struct store_evidence_place place = {0};
    struct store_answers page;

    do {
        cap_arena_reset(r->page);
        if (!store_evidence_answers(r->pg, r->run_id, &place, r->page, &page, err) ||
            !send_answer_page(r, page, err))
            return false;
    } while (page.count > 0);
    return true;
}

/* bool send_X(r, err): pages of one kind, a message each. */
#define DEFINE_SEND(name, list, read, to_wire, member)                                             \
    static bool name(const struct reading *r, struct cap_err *err)                                 \
    {                                                                                              \
        struct store_evidence_place place = {0};                                                   \
        for (;;) {                                                                                 \
            Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;                            \
            list page;                                                                             \
            cap_arena_reset(r->page);                                                              \
            if (!read(r->pg, r->run_id, &place, r->page, &page, err))                              \
                return false;                                                                      \
            if (page.count == 0)                                                                   \
                return true;                                                                       \
            if (!to_wire(page, r->page, &evidence.member))                                         \
                return store_fail_full(err);                                                       \
            evidence.n_##member = page.count;                                                      \
            if (!send(r, &evidence, err))                                                          \
                return false;                                                                      \
        }                                                                                          \
    }

DEFINE_SEND(send_verdicts, struct store_verdicts, store_evidence_verdicts, store_verdicts_to_wire,
            verdicts)
DEFINE_SEND(send_passes, struct store_passes, store_evidence_passes, store_passes_to_wire, passes)
DEFINE_SEND(send_counts, struct store_expert_counts, store_evidence_counts, store_counts_to_wire,
            expert_counts)
DEFINE_SEND(send_power, struct store_powers, store_evidence_power, store_powers_to_wire, power)

bool store_handle_read_evidence(struct cap_rpc_call *call,
                                const Moecap__V1__ReadEvidenceRequest *request, struct cap_err *err)
{
    CAP_AUTO(cap_arena) page = cap_arena_new(PAGE_BYTES_MAX);
    const struct reading r = {call, store_pg_of(call), request->run_id, page};

    return send_header(&r, err) && send_answers(&r, err) && send_verdicts(&r, err) &&
           send_passes(&r, err) && send_counts(&r, err) && send_power(&r, err);
}
