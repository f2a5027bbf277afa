/* Compare and Repeats: the store pairs verdicts and has the figures, the evaluator does the
 * mathematics. */
#include <stdlib.h>
#include <string.h>

#include "clients.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

static bool read_figures(struct sched_service *service, char *run_id, struct cap_arena *arena,
                         Moecap__V1__ComparedRun **out, struct cap_err *err)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__ComparedRun *run = cap_arena_alloc(arena, sizeof *run);
    Moecap__V1__GetRunReply *reply;

    request.run_id = run_id;
    if (!store_rpc_get_run(service->clients.store, NULL, &request, arena, &reply, err))
        return false;
    if (!run || !reply->row)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "run %.64s is too large to compare", run_id);
    moecap__v1__compared_run__init(run);
    run->run_id = run_id;
    run->figures = reply->row->figures;
    run->n_figures = reply->row->n_figures;
    *out = run;
    return true;
}

bool sched_handle_compare(struct cap_rpc_call *call, const Moecap__V1__CompareRunsRequest *request,
                          Moecap__V1__CompareReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    Moecap__V1__PairVerdictsRequest pair = MOECAP__V1__PAIR_VERDICTS_REQUEST__INIT;
    Moecap__V1__CompareRequest compare = MOECAP__V1__COMPARE_REQUEST__INIT;
    Moecap__V1__PairVerdictsReply *pairs;
    Moecap__V1__CompareReply *compared;

    pair.run_a = request->run_a;
    pair.run_b = request->run_b;
    if (!store_rpc_pair_verdicts(service->clients.store, NULL, &pair, arena, &pairs, err) ||
        !read_figures(service, request->run_a, arena, &compare.a, err) ||
        !read_figures(service, request->run_b, arena, &compare.b, err))
        return false;
    compare.task = pairs->task;
    compare.metric = pairs->metric;
    compare.ordinals = pairs->ordinals;
    compare.n_ordinals = pairs->n_ordinals;
    compare.right_a = pairs->right_a;
    compare.n_right_a = pairs->n_right_a;
    compare.right_b = pairs->right_b;
    compare.n_right_b = pairs->n_right_b;
    if (!sched_evaluator_compare(service->clients.evaluator, &compare, arena, &compared, err))
        return false;
    *reply = *compared;
    return true;
}

/* ---- repeats ---- */

struct finished { /* runs of an evaluation, in the arena */
    Moecap__V1__BoardRow **rows;
    size_t count, room;
};

static bool keep_finished(struct finished *runs, const Moecap__V1__BoardReply *page,
                          struct cap_arena *arena)
{
    if (runs->count + page->n_rows > runs->room) {
        size_t room = 2 * (runs->count + page->n_rows);
        Moecap__V1__BoardRow **rows = cap_arena_array(arena, room, sizeof *rows);

        if (!rows)
            return false;
        if (runs->count > 0)
            memcpy(rows, runs->rows, runs->count * sizeof *rows);
        runs->rows = rows;
        runs->room = room;
    }
    for (size_t i = 0; i < page->n_rows; i++)
        if (page->rows[i]->state == MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED)
            runs->rows[runs->count++] = page->rows[i];
    return true;
}

static int by_task(const void *a, const void *b)
{
    const Moecap__V1__BoardRow *x = *(Moecap__V1__BoardRow *const *)a,
                               *y = *(Moecap__V1__BoardRow *const *)b;
    int order = strcmp(x->task, y->task);

    return order ? order : (x->repeat > y->repeat) - (x->repeat < y->repeat);
}

static bool read_finished(struct sched_service *service, const char *evaluation_id,
                          struct cap_arena *arena, struct finished *out, struct cap_err *err)
{
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *page;

    *out = (struct finished){NULL, 0, 0};
    request.evaluation_id = (char *)evaluation_id;
    request.without_report = true;
    do {
        if (!store_rpc_board(service->clients.store, NULL, &request, arena, &page, err))
            return false;
        if (!keep_finished(out, page, arena))
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
        request.after = page->next_after;
    } while (page->opt_next_case != MOECAP__V1__BOARD_REPLY__OPT_NEXT__NOT_SET);
    if (out->count == 0)
        return cap_fail(err, CAP_NOT_FOUND, "evaluation \"%.64s\" has no finished run",
                        evaluation_id);
    qsort(out->rows, out->count, sizeof(Moecap__V1__BoardRow *), by_task);
    return true;
}

/* The mean over `count` rows of one task. */
static Moecap__V1__RepeatGroup *group_of(struct sched_service *service,
                                         Moecap__V1__BoardRow *const *rows, size_t count,
                                         struct cap_arena *arena, struct cap_err *err)
{
    Moecap__V1__RepeatGroup *group = cap_arena_alloc(arena, sizeof *group);
    Moecap__V1__RepeatsRequest request = MOECAP__V1__REPEATS_REQUEST__INIT;
    Moecap__V1__ComparedRun *runs = cap_arena_array(arena, count, sizeof *runs);
    Moecap__V1__RepeatsReply *reply;

    request.runs = cap_arena_array(arena, count, sizeof *request.runs);
    if (!group || !runs || !request.runs) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
        return NULL;
    }
    moecap__v1__repeat_group__init(group);
    group->task = rows[0]->task;
    group->headline_metric = rows[0]->headline_metric;
    if (!(group->run_ids = cap_arena_array(arena, count, sizeof *group->run_ids))) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        moecap__v1__compared_run__init(&runs[i]);
        runs[i].run_id = group->run_ids[group->n_run_ids++] = rows[i]->run_id;
        runs[i].figures = rows[i]->figures;
        runs[i].n_figures = rows[i]->n_figures;
        request.runs[request.n_runs++] = &runs[i];
    }
    if (!sched_evaluator_repeats(service->clients.evaluator, &request, arena, &reply, err))
        return NULL;
    group->figures = reply->figures;
    group->n_figures = reply->n_figures;
    return group;
}

bool sched_handle_repeats(struct cap_rpc_call *call, const Moecap__V1__RepeatsOfRequest *request,
                          Moecap__V1__RepeatsOfReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct finished runs;

    if (!read_finished(cap_rpc_self(call), request->evaluation_id, arena, &runs, err))
        return false;
    if (!(reply->groups = cap_arena_array(arena, runs.count, sizeof *reply->groups)))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
    for (size_t from = 0, to; from < runs.count; from = to) {
        Moecap__V1__RepeatGroup *group;

        for (to = from + 1; to < runs.count; to++)
            if (strcmp(runs.rows[to]->task, runs.rows[from]->task) != 0)
                break;
        group = group_of(cap_rpc_self(call), runs.rows + from, to - from, arena, err);
        if (!group)
            return false;
        reply->groups[reply->n_groups++] = group;
    }
    return true;
}
