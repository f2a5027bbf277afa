/* Watch: the progress of an evaluation or a run, until it ends; and what the store knows of one
 * that is not (or no longer) known here.
 *
 * A watcher looks when something has changed, at most every WATCH_STEP_MS; a change of state is
 * sent at once, counts alone every WATCH_PAUSE_MS. It ends when the store knows the end, so that no
 * death of this program undoes what was told. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

/* ---- what the store knows ---- */

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

/* ---- watching ---- */

enum {
    WATCH_PAUSE_MS = 500,
    WATCH_STEP_MS = 50,
};

static bool send_views(struct cap_rpc_call *call, const char *evaluation_id,
                       const struct sched_view *views, size_t count, bool *out_ended)
{
    CAP_AUTO_MEM Moecap__V1__RunProgress *runs = calloc(count + 1, sizeof *runs);
    CAP_AUTO_MEM Moecap__V1__RunProgress **list = calloc(count + 1, sizeof *list);
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;

    if (!runs || !list)
        abort();
    progress.ended = true;
    for (size_t i = 0; i < count; i++) {
        sched_view_to_wire(&views[i], &runs[i]);
        list[i] = &runs[i];
        progress.ended = progress.ended && sched_state_ended(views[i].run.state) && views[i].stored;
    }
    progress.evaluation_id = (char *)evaluation_id;
    progress.runs = list;
    progress.n_runs = count;
    *out_ended = progress.ended;
    return scheduler_rpc_watch_send_reply(call, &progress);
}

/* Nobody here knows the id: an evaluation or run that ended before this program started. */
static bool send_from_store(struct cap_rpc_call *call, const char *id, struct cap_err *err)
{
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;
    struct sched_found found;

    if (!sched_find_in_store(cap_rpc_self(call), id, cap_rpc_arena(call), &found, err))
        return false;
    progress.evaluation_id = (char *)found.evaluation_id;
    progress.runs = found.runs;
    progress.n_runs = found.count;
    progress.ended = found.ended;
    scheduler_rpc_watch_send_reply(call, &progress);
    return found.ended ||
           cap_fail(err, CAP_UNAVAILABLE, "\"%.64s\" has not been taken over yet", id);
}

/* A number that differs when a run has changed its state; counts alone may wait. */
static uint64_t sum_states(const struct sched_view *views, size_t count)
{
    uint64_t sum = count;

    for (size_t i = 0; i < count; i++)
        sum = sum * 31 + 2 * (uint64_t)views[i].run.state + views[i].stored;
    return sum;
}

struct watch {
    struct cap_rpc_call *call;
    const char *id;
    uint64_t states;
    int64_t sent_at_ms;
    bool known, ended;
};

/* Sends what there is now, if it is time to or a state has changed. False: the watching ends. */
static bool look(struct watch *w, struct sched_dispatcher *dispatcher)
{
    int64_t now_ms = cap_clock_ms(cap_clock_system());
    struct sched_view *views;
    size_t count = sched_dispatcher_views(dispatcher, w->id, &views);
    uint64_t states = sum_states(views, count);
    bool ok = true;

    w->known = count > 0;
    if (count > 0 && (states != w->states || now_ms - w->sent_at_ms >= WATCH_PAUSE_MS)) {
        ok = send_views(w->call, views[0].run.evaluation_id, views, count, &w->ended);
        w->states = states;
        w->sent_at_ms = now_ms;
    }
    sched_views_free(views, count);
    return ok && w->known && !w->ended;
}

bool sched_handle_watch(struct cap_rpc_call *call, const Moecap__V1__WatchRequest *request,
                        struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct watch watch = {.call = call, .id = request->id};
    uint64_t version = 0;

    if (!*request->id)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "id",
                              "watch needs the id of a run or an evaluation");
    if (!sched_restore_wait(service, call, err))
        return false;
    while (look(&watch, service->dispatcher) && !cap_rpc_cancelled(call)) {
        if (service->draining)
            return cap_fail(err, CAP_UNAVAILABLE, "the scheduler is going away");
        cap_sleep_ms(WATCH_STEP_MS); /* changes in bursts are one change to people */
        sched_dispatcher_wait(service->dispatcher, &version, WATCH_PAUSE_MS);
    }
    return watch.known || send_from_store(call, request->id, err);
}
