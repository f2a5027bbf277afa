#include "evidence.h"
#include "handlers_rpc.h"
#include "report.h"
#include "run.h"
#include "store_wire.h"

bool store_handle_board(struct cap_rpc_call *call, const Moecap__V1__BoardRequest *request,
                        Moecap__V1__BoardReply *reply, struct cap_err *err)
{
    const struct store_board_filter filter = {
        .model = request->model,
        .task = request->task,
        .engine = request->engine,
        .precision = request->precision,
        .evaluation_id = request->evaluation_id,
        .with_unfinished = request->with_unfinished,
        .without_report = request->without_report,
        .state = (enum store_state)request->state,
        .after = request->after,
        .figures = (const char *const *)request->figures,
        .figure_count = request->n_figures,
        .limit = request->limit,
    };
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_board board;

    if (request->state < 0 || (int)request->state >= STORE_STATE_COUNT)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "state", "%d is no state of a run",
                              (int)request->state);
    if (!store_report_board(store_pg_of(call), &filter, arena, &board, err))
        return false;
    reply->more = board.more;
    if (board.more) {
        reply->opt_next_case = MOECAP__V1__BOARD_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after = (char *)board.rows[board.count - 1].run_id;
    }
    reply->rows = cap_arena_array(arena, board.count + 1, sizeof *reply->rows);
    for (size_t i = 0; reply->rows && i < board.count; i++, reply->n_rows++)
        if (!(reply->rows[i] = store_board_row_to_wire(&board.rows[i], arena)))
            return store_fail_full(err);
    return reply->rows || store_fail_full(err);
}

/* ---- GetRun ---- */

static Moecap__V1__Attempt *attempt_to_wire(const struct store_attempt *attempt,
                                            struct cap_arena *arena)
{
    Moecap__V1__Attempt *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__attempt__init(wire);
    wire->attempt = (uint32_t)attempt->fence; /* fences count the leases of a shard */
    wire->shard = attempt->shard;
    wire->fence = attempt->fence;
    wire->node = (char *)attempt->node;
    wire->started_at_ms = attempt->started_at_ms;
    wire->ended_at_ms = attempt->ended_at_ms;
    wire->outcome = (char *)attempt->outcome;
    return wire;
}

static bool attempts_to_wire(const struct store_run_report *report, struct cap_arena *arena,
                             Moecap__V1__GetRunReply *reply)
{
    reply->attempts = cap_arena_array(arena, report->attempt_count + 1, sizeof *reply->attempts);
    for (size_t i = 0; reply->attempts && i < report->attempt_count; i++, reply->n_attempts++)
        if (!(reply->attempts[i] = attempt_to_wire(&report->attempts[i], arena)))
            return false;
    return reply->attempts != NULL;
}

bool store_handle_get_run(struct cap_rpc_call *call, const Moecap__V1__GetRunRequest *request,
                          Moecap__V1__GetRunReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_run_report report;

    if (!store_report_run(store_pg_of(call), request->run_id, arena, &report, err))
        return false;
    reply->row = store_board_row_to_wire(&report.row, arena);
    reply->task = store_task_to_wire(&report.task, arena);
    reply->n_histograms = report.histograms.count;
    reply->samples_total = report.row.samples_total;
    reply->samples_answered = report.row.samples_answered;
    reply->samples_graded = report.row.samples_graded;
    return (reply->row && reply->task && attempts_to_wire(&report, arena, reply) &&
            store_histograms_to_wire(report.histograms, arena, &reply->histograms)) ||
           store_fail_full(err);
}

/* ---- ListSamples ---- */

static Moecap__V1__SampleRow *sample_to_wire(const struct store_sample_row *row,
                                             struct cap_arena *arena)
{
    Moecap__V1__SampleRow *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__sample_row__init(wire);
    wire->answer = store_answer_to_wire(&row->answer, arena);
    wire->n_verdicts = row->verdicts.count;
    wire->escaped = row->answer.escaped;
    wire->fence = row->answer.fence;
    if (row->doc_json)
        wire->doc_json = (char *)row->doc_json;
    return wire->answer && store_verdicts_to_wire(row->verdicts, arena, &wire->verdicts) ? wire
                                                                                         : NULL;
}

bool store_handle_list_samples(struct cap_rpc_call *call,
                               const Moecap__V1__ListSamplesRequest *request,
                               Moecap__V1__ListSamplesReply *reply, struct cap_err *err)
{
    const struct store_sample_filter filter = {
        .run_id = request->run_id,
        .after_ordinal = request->opt_after_case ? (int64_t)request->after_ordinal : -1,
        .limit = request->limit,
        .verdict = request->verdict,
        .status = request->status,
        .search = request->search,
        .with_texts = request->with_texts,
        .with_gold = request->with_gold,
        .with_routing = request->with_routing,
    };
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_sample_page page;

    if (!store_report_samples(store_pg_of(call), &filter, arena, &page, err))
        return false;
    reply->samples = cap_arena_array(arena, page.count + 1, sizeof *reply->samples);
    for (size_t i = 0; reply->samples && i < page.count; i++, reply->n_samples++)
        if (!(reply->samples[i] = sample_to_wire(&page.rows[i], arena)))
            return store_fail_full(err);
    if (page.more) {
        reply->opt_next_case = MOECAP__V1__LIST_SAMPLES_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after = page.rows[page.count - 1].answer.ordinal;
    }
    return reply->samples || store_fail_full(err);
}

/* ---- GetExpertCounts ---- */

bool store_handle_get_expert_counts(struct cap_rpc_call *call,
                                    const Moecap__V1__GetExpertCountsRequest *request,
                                    Moecap__V1__GetExpertCountsReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_counts_page page;
    const struct store_expert_count *last;

    if (!store_report_counts(store_pg_of(call), request->run_id, request->after, request->limit,
                             arena, &page, err))
        return false;
    reply->n_counts = page.counts.count;
    if (page.more) {
        last = &page.counts.items[page.counts.count - 1];
        reply->opt_next_case = MOECAP__V1__GET_EXPERT_COUNTS_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after =
            cap_arena_printf(arena, "%u.%u.%u", last->phase, last->layer, last->batch_bucket);
        if (!reply->next_after)
            return store_fail_full(err);
    }
    return store_counts_to_wire(page.counts, arena, &reply->counts) || store_fail_full(err);
}
