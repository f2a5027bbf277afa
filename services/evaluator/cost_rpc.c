/* The call that prices a stored run again, with other inputs and without its evidence. */
#include <math.h>
#include <string.h>

#include "measure.h"
#include "moecap/v1/evaluator.rpc.h"
#include "service.h"

static bool figures_to_wire(struct eval_figures *f, Moecap__V1__CostReply *reply)
{
    const size_t first = EVAL_FIGURE_machine_price, last = EVAL_FIGURE_cost_per_correct;

    if (!(reply->figures = cap_arena_array(f->arena, last - first + 1, sizeof *reply->figures)))
        return false;
    for (size_t id = first; id <= last; id++) {
        if (!f->rows[id].reason) /* no memory for it */
            return false;
        reply->figures[reply->n_figures++] = &f->rows[id];
    }
    return true;
}

/* Whoever calls may not have gone past the scheduler, which judges what is submitted: a price below
 * nothing would be a gain. */
static bool check_inputs(const double given[EVAL_COST_INPUTS], struct cap_err *err)
{
    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        if (isinf(given[i]) || given[i] < 0)
            return cap_fail_field(err, CAP_INVALID_ARGUMENT, "spec.cost",
                                  "cost.%s is %g, not a number from 0 up",
                                  eval_cost_input_id((enum eval_cost_input)i), given[i]);
    return true;
}

bool eval_handle_cost(struct cap_rpc_call *call, const Moecap__V1__CostRequest *request,
                      Moecap__V1__CostReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct eval_figures *f = eval_figures_new(arena);
    struct eval_cost_run run;

    if (!request->spec)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "spec", "the request holds no spec");
    if (!f || !eval_cost_run_read(request->spec, request->report, arena, &run))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the request needs too much memory");
    if (!check_inputs(run.given, err))
        return false;
    /* What the request does not bring: the run goes on, or is older than the figure. */
    for (int id = 0; id < EVAL_FIGURE_COUNT; id++)
        eval_figure_none(f, (enum eval_figure_id)id, "not measured");
    eval_figures_take(f, request->figures, request->n_figures);
    eval_cost_figures(&run, f);
    reply->basis = eval_cost_basis(&run, f);
    return (reply->basis && figures_to_wire(f, reply)) ||
           cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the request needs too much memory");
}
