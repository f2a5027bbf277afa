#include "grade.h"
#include "handlers_rpc.h"
#include "run.h"
#include "store_wire.h"

static Moecap__V1__GradeItem *item_to_wire(const struct store_doc *doc,
                                           const struct store_answer *answer,
                                           struct cap_arena *arena)
{
    Moecap__V1__GradeItem *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__grade_item__init(wire);
    wire->doc = store_doc_to_wire(doc, arena);
    wire->answer = store_answer_to_wire(answer, arena);
    return wire->doc && wire->answer ? wire : NULL;
}

bool store_handle_read_ungraded(struct cap_rpc_call *call,
                                const Moecap__V1__ReadUngradedRequest *request,
                                Moecap__V1__ReadUngradedReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_ungraded items;

    if (!store_grade_ungraded(store_pg_of(call), request->run_id, request->limit, arena, &items,
                              err))
        return false;
    reply->items = cap_arena_array(arena, items.count + 1, sizeof *reply->items);
    for (size_t i = 0; reply->items && i < items.count; i++, reply->n_items++)
        if (!(reply->items[i] = item_to_wire(&items.docs[i], &items.answers[i], arena)))
            return store_fail_full(err);
    return reply->items || store_fail_full(err);
}

bool store_handle_put_verdicts(struct cap_rpc_call *call,
                               const Moecap__V1__PutVerdictsRequest *request,
                               Moecap__V1__PutVerdictsReply *reply, struct cap_err *err)
{
    struct store_verdicts verdicts;

    if (!store_verdicts_from_wire(request->verdicts, request->n_verdicts, cap_rpc_arena(call),
                                  &verdicts))
        return store_fail_full(err);
    return store_grade_put(store_pg_of(call), request->run_id, verdicts, &reply->samples_graded,
                           err);
}

bool store_handle_finish_run(struct cap_rpc_call *call, const Moecap__V1__FinishRunRequest *request,
                             Moecap__V1__Empty *reply, struct cap_err *err)
{
    const Moecap__V1__Summary *summary = request->summary;
    struct store_figures figures;
    struct store_histograms histograms;

    (void)reply;
    if (!summary)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the request holds no summary");
    if (!store_figures_from_wire(summary->figures, summary->n_figures, cap_rpc_arena(call),
                                 &figures) ||
        !store_histograms_from_wire(summary->histograms, summary->n_histograms, cap_rpc_arena(call),
                                    &histograms))
        return store_fail_full(err);
    if (!store_grade_finish(store_pg_of(call), request->run_id, figures, histograms, err))
        return false;
    store_count(STORE_METRIC_runs_finished_total, 1);
    return true;
}
