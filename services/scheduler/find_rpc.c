/* What the store knows of a run or evaluation that is not (or no longer) known here. */
#include <string.h>

#include "handlers_rpc.h"
#include "moecap/v1/store.rpc.h"

enum { EVALUATION_RUNS_MAX = 64 * 100 }; /* tasks and repeats: spec.def */

static void fill_progress(const Moecap__V1__BoardRow *row, Moecap__V1__RunProgress *out)
{
    moecap__v1__run_progress__init(out);
    out->run_id = row->run_id;
    out->evaluation_id = row->evaluation_id;
    out->task = row->task;
    out->repeat = row->repeat;
    out->state = row->state;
    out->reason = row->reason;
    out->node = row->node;
    out->queued_at_ms = row->queued_at_ms;
    out->ended_at_ms = row->ended_at_ms;
    out->samples_total = row->samples_total;
    out->samples_answered = row->samples_answered;
    out->samples_graded = row->samples_graded;
    out->attempts = row->attempt_count;
    if (!row->spec)
        return;
    out->model = row->spec->model;
    out->engine = row->spec->engine;
    out->precision = row->spec->precision;
    if (row->spec->load && row->spec->load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY)
        out->concurrency = row->spec->load->concurrency;
}

static bool get_run(const struct sched_service *service, const char *run_id,
                    struct cap_arena *arena, Moecap__V1__GetRunReply **out_run, struct cap_err *err)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;

    request.run_id = (char *)run_id;
    return store_rpc_get_run(service->clients.store, NULL, &request, arena, out_run, err);
}

static bool add_row(const Moecap__V1__BoardRow *row, struct cap_arena *arena,
                    struct sched_found *found, struct cap_err *err)
{
    Moecap__V1__RunProgress *one = cap_arena_alloc(arena, sizeof *one);

    if (!one)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
    fill_progress(row, one);
    found->runs[found->count++] = one;
    found->ended = found->ended && sched_state_ended(sched_state_from_wire(row->state));
    return true;
}

struct rows {
    Moecap__V1__BoardRow *list[EVALUATION_RUNS_MAX];
    size_t count;
};

/* Page by page; only what progress needs. */
static bool read_rows(const struct sched_service *service, const char *id, struct cap_arena *arena,
                      struct rows *rows, struct cap_err *err)
{
    static char *one_figure[] = {"attempted"}; /* the fewest: none is not a list of figures */
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *page;

    request.evaluation_id = (char *)id;
    request.with_unfinished = request.without_report = true;
    request.figures = one_figure;
    request.n_figures = 1;
    do {
        if (!store_rpc_board(service->clients.store, NULL, &request, arena, &page, err))
            return false;
        for (size_t i = 0; i < page->n_rows && rows->count < EVALUATION_RUNS_MAX; i++)
            rows->list[rows->count++] = page->rows[i];
        request.after = page->next_after;
    } while (page->opt_next_case == MOECAP__V1__BOARD_REPLY__OPT_NEXT_NEXT_AFTER);
    return true;
}

/* The board lists the latest run first; people read them in the order they were planned. */
static bool find_evaluation(const struct sched_service *service, const char *id,
                            struct cap_arena *arena, struct sched_found *found, struct cap_err *err)
{
    struct rows *rows = cap_arena_alloc(arena, sizeof *rows);

    if (!rows)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
    if (!read_rows(service, id, arena, rows, err))
        return false;
    found->evaluation_id = id;
    found->runs = cap_arena_array(arena, rows->count + 1, sizeof *found->runs);
    if (!found->runs)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
    for (size_t i = rows->count; i > 0; i--)
        if (!add_row(rows->list[i - 1], arena, found, err))
            return false;
    return found->count > 0 ||
           cap_fail(err, CAP_NOT_FOUND, "no run or evaluation \"%.64s\" exists", id);
}

bool sched_find_in_store(const struct sched_service *service, const char *id,
                         struct cap_arena *arena, struct sched_found *out, struct cap_err *err)
{
    struct sched_found found = {.ended = true};
    Moecap__V1__GetRunReply *run;

    if (strncmp(id, "run-", 4) != 0) {
        if (!find_evaluation(service, id, arena, &found, err))
            return false;
    } else {
        if (!get_run(service, id, arena, &run, err))
            return false;
        found.runs = cap_arena_array(arena, 1, sizeof *found.runs);
        if (!found.runs || !run->row)
            return cap_fail(err, CAP_INTERNAL, "the store's answer about run %.64s is empty", id);
        found.evaluation_id = run->row->evaluation_id;
        if (!add_row(run->row, arena, &found, err))
            return false;
    }
    *out = found;
    return true;
}
