/* cost: a measured run priced with other inputs.
 *
 * Options are the rows of lib/spec/cost.def. They are written over what the run's own evaluation
 * has, and the evaluator computes the figures of cost again from the run's others; nothing is
 * stored. */
#include <stdio.h>

#include "cmd.h"
#include "moecap/v1/evaluator.rpc.h"
#include "out.h"
#include "suite.h"

enum { TABLE_BYTES_MAX = 1 << 20 };

struct cli_cost_options cli_cost_options;

/* ---- asking ---- */

static bool set_inputs(Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena,
                       struct cap_spec_faults *io_faults)
{
    if (cli_cost_options.defaults)
        spec->cost = NULL;
    for (int id = 0; id < CAP_KNOB_COUNT; id++)
        if (cli_cost_options.texts[id])
            cap_spec_set_text(spec, (enum cap_knob_id)id, cli_cost_options.texts[id], arena,
                              io_faults);
    cap_spec_check_group(spec, CAP_GROUP_COST, io_faults);
    return io_faults->count == 0;
}

static bool ask(struct cli_suite *suite, const Moecap__V1__BoardRow *row,
                Moecap__V1__CostReply **out, struct cap_err *err)
{
    Moecap__V1__CostRequest request = MOECAP__V1__COST_REQUEST__INIT;

    request.spec = row->spec;
    request.report = row->report;
    request.n_figures = row->n_figures;
    request.figures = row->figures;
    return evaluator_rpc_cost(suite->evaluator, NULL, &request, suite->arena, out, err);
}

/* ---- telling ---- */

static void print_inputs(const Moecap__V1__CostBasis *basis)
{
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_table_init(&table, 4, 1u << 1);
    for (size_t i = 0; i < basis->n_terms; i++) {
        const Moecap__V1__CostTerm *input = basis->terms[i];

        cli_table_addf(&table, "  %s", input->id);
        if (input->opt_value_case)
            cli_table_addf(&table, "%.6g", input->value);
        else
            cli_table_add(&table, "-");
        cli_table_add(&table, input->unit);
        cli_table_addf(&table, "%s%s%s%s", input->source, *input->said ? ": " : "", input->said,
                       input->used ? "" : " (without effect)");
    }
    cli_table_print(&table, &out);
    printf("inputs:\n%s", out.data);
    cli_table_done(&table);
}

static void print_reply(const Moecap__V1__BoardRow *row, const Moecap__V1__CostReply *reply)
{
    const Moecap__V1__CostBasis *basis = reply->basis;

    cli_say("run         %s: %s on %s", row->run_id, row->spec->model, row->task);
    cli_say("machine     %u x %s, %s", basis->devices,
            *basis->device ? basis->device : "a device that is not known",
            basis->rented ? "rented" : "bought");
    cli_say("tokens      %s", basis->sharing);
    print_inputs(basis);
    cli_print_figures(reply->figures, reply->n_figures, "");
}

int cli_cmd_cost(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    struct cap_spec_faults faults = {.count = 0};
    Moecap__V1__GetRunReply *run = NULL;
    Moecap__V1__CostReply *reply = NULL;

    if (!suite || !cli_get_run(suite, words->items[0], &run, err))
        return cli_exit_of(err->code);
    if (!set_inputs(run->row->spec, suite->arena, &faults))
        return cli_refuse(context, &faults, err);
    if (!ask(suite, run->row, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_reply(run->row, reply);
    return CLI_OK;
}
