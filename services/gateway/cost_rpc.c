/* GET /api/v1/runs/ID/cost: what a run costs with the inputs of the query, and nothing is stored.
 *
 * The parameters are the knobs of lib/spec/cost.def, by their ids. One that is left out is what the
 * run has, or with from=defaults what nobody gave. The run comes from the store, the figures from
 * the evaluator. */
#include <string.h>

#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "spec/spec.h"
#include "wire/json.h"

const char *const gate_cost_parameters[] = {
#define KNOB(id, ...) #id,
#include "spec/cost.def"
#undef KNOB
    "from", NULL};

static const enum cap_knob_id knobs[] = {
#define KNOB(id, ...) CAP_KNOB_##id,
#include "spec/cost.def"
#undef KNOB
};

/* The parameter is to blame, by its own name, not by its place in a specification. */
static bool check_inputs(const struct cap_spec_faults *faults, struct cap_err *err)
{
    const struct cap_spec_fault *first = &faults->items[0];
    const char *name = strrchr(first->field, '.');

    return faults->count == 0 ||
           cap_fail_field(err, first->code, name ? name + 1 : first->field, "%s", first->sentence);
}

static bool read_inputs(struct cap_http_request *http, Moecap__V1__EvaluationSpec *io_spec,
                        struct cap_err *err)
{
    static const char *const froms[] = {"run", "defaults", NULL};
    struct cap_spec_faults faults = {.count = 0};
    Moecap__V1__CostInputs *given = cap_arena_alloc(cap_http_arena(http), sizeof *given);
    char *from;

    if (!gate_query_word(http, "from", froms, &from, err))
        return false;
    if (!given)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the reply is larger than one call may use");
    moecap__v1__cost_inputs__init(given);
    if (io_spec->cost && strcmp(from, "defaults") != 0)
        *given = *io_spec->cost;
    io_spec->cost = given;
    for (size_t i = 0; i < CAP_COUNT_OF(knobs); i++) {
        const char *value = cap_http_query(http, cap_knobs[knobs[i]].id);

        if (value)
            cap_spec_set_text(io_spec, knobs[i], value, cap_http_arena(http), &faults);
    }
    cap_spec_check_group(io_spec, CAP_GROUP_COST, &faults);
    return check_inputs(&faults, err);
}

static bool ask(struct cap_http_request *http, const struct gate_service *service, char *run_id,
                Moecap__V1__CostReply **out_reply, struct cap_err *err)
{
    Moecap__V1__GetRunRequest get = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__CostRequest request = MOECAP__V1__COST_REQUEST__INIT;
    Moecap__V1__GetRunReply *run;

    get.run_id = run_id;
    if (!store_rpc_get_run(service->store, NULL, &get, cap_http_arena(http), &run, err))
        return false;
    if (!run->row || !run->row->spec)
        return cap_fail(err, CAP_INTERNAL, "run %.64s has no specification", run_id);
    if (!read_inputs(http, run->row->spec, err))
        return false;
    cap_wire_add_accuracy(run->row, cap_http_arena(http));
    request.spec = run->row->spec;
    request.report = run->row->report;
    request.n_figures = run->row->n_figures;
    request.figures = run->row->figures;
    return evaluator_rpc_cost(service->evaluator, NULL, &request, cap_http_arena(http), out_reply,
                              err);
}

void gate_run_cost(struct cap_http_request *http, struct gate_service *service, char *run_id)
{
    Moecap__V1__CostReply *reply = NULL;
    struct cap_err err = {0};

    if (ask(http, service, run_id, &reply, &err))
        gate_reply_message(http, 200, &reply->base);
    else
        gate_reply_error(http, &err);
}
