/* Compare: the store pairs the verdicts and has the figures, the evaluator does the mathematics. */
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
