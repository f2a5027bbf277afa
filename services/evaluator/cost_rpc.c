/* Cost on the wire: the machine and the inputs of a run out of its messages, the basis of the
 * figures into one, and the call that prices a stored run again. */
#include <math.h>
#include <string.h>

#include "measure.h"
#include "moecap/v1/evaluator.rpc.h"
#include "service.h"

/* ---- from messages ---- */

/* The fields of CostInputs have the names of the inputs, each in a oneof of its own. */
static void read_given(const Moecap__V1__CostInputs *wire, double out[EVAL_COST_INPUTS])
{
    const ProtobufCMessageDescriptor *type = &moecap__v1__cost_inputs__descriptor;

    for (int i = 0; i < EVAL_COST_INPUTS; i++) {
        const char *id = eval_cost_input_id((enum eval_cost_input)i);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(type, id);
        const char *base = (const char *)wire;

        out[i] = NAN;
        if (wire && *(const uint32_t *)(base + field->quantifier_offset) == field->id)
            out[i] = *(const double *)(base + field->offset);
    }
}

bool eval_cost_run_read(const Moecap__V1__EvaluationSpec *spec,
                        const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_cost_run *out)
{
    const Moecap__V1__Load *load = spec ? spec->load : NULL;
    struct eval_hardware h;

    if (!eval_hardware_read(spec, report, arena, &h))
        return false;
    read_given(spec ? spec->cost : NULL, out->given);
    out->alone =
        load && load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY && load->concurrency == 1;
    return h.server
               ? eval_cost_machine_declared(h.declared, h.parallel, arena, &out->machine)
               : eval_cost_machine_found(h.found, h.found_count, h.cores, arena, &out->machine);
}

/* ---- to messages ---- */

static Moecap__V1__CostTerm *input_to_wire(enum eval_cost_input input,
                                           const struct eval_cost_term *term,
                                           struct cap_arena *arena)
{
    Moecap__V1__CostTerm *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__cost_term__init(wire);
    wire->id = (char *)eval_cost_input_id(input);
    wire->unit = (char *)eval_cost_input_unit(input);
    wire->source = (char *)eval_cost_source_word(term->source);
    wire->said = (char *)term->said;
    wire->used = term->used;
    if (!isnan(term->value)) {
        wire->opt_value_case = MOECAP__V1__COST_TERM__OPT_VALUE_VALUE;
        wire->value = term->value;
    }
    return wire;
}

Moecap__V1__CostBasis *eval_cost_basis(const struct eval_cost_run *run,
                                       const struct eval_figures *f)
{
    Moecap__V1__CostBasis *basis = cap_arena_alloc(f->arena, sizeof *basis);
    struct eval_cost_term terms[EVAL_COST_INPUTS];

    if (!basis)
        return NULL;
    moecap__v1__cost_basis__init(basis);
    eval_cost_terms_of(run, f, terms);
    basis->device = (char *)run->machine.device;
    basis->devices = run->machine.devices;
    basis->rented = terms[EVAL_COST_rent].used;
    basis->sharing = (char *)eval_cost_sharing(f);
    if (!(basis->terms = cap_arena_array(f->arena, EVAL_COST_INPUTS, sizeof *basis->terms)))
        return NULL;
    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        if (!(basis->terms[basis->n_terms++] =
                  input_to_wire((enum eval_cost_input)i, &terms[i], f->arena)))
            return NULL;
    return basis;
}

/* ---- the call ---- */

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
static bool check_inputs(const Moecap__V1__EvaluationSpec *spec, struct cap_err *err)
{
    double given[EVAL_COST_INPUTS];

    if (!spec)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "spec", "the request holds no spec");
    read_given(spec->cost, given);
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

    if (!check_inputs(request->spec, err))
        return false;
    if (!f || !eval_cost_run_read(request->spec, request->report, arena, &run))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the request needs too much memory");
    for (int id = 0; id < EVAL_FIGURE_COUNT;
         id++) /* of a run that goes on, or is older than they */
        eval_figure_none(f, (enum eval_figure_id)id, "not measured");
    eval_figures_take(f, request->figures, request->n_figures);
    eval_cost_figures(&run, f);
    reply->basis = eval_cost_basis(&run, f);
    return (reply->basis && figures_to_wire(f, reply)) ||
           cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the request needs too much memory");
}
