/* routing: which experts two runs of one model chose, and how many selections moved. */
#include <stdio.h>

#include "cmd.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "suite.h"

enum { TABLE_BYTES_MAX = 1 << 20 };

struct cli_routing_options cli_routing_options;

static bool ask(struct cli_suite *suite, const struct cli_words *words,
                Moecap__V1__RoutingComparison **out, struct cap_err *err)
{
    Moecap__V1__CompareRoutingRequest request = MOECAP__V1__COMPARE_ROUTING_REQUEST__INIT;
    const char *a, *b;

    if (!cli_full_id(suite, words->items[0], &a, err) ||
        !cli_full_id(suite, words->items[1], &b, err))
        return false;
    request.run_a = (char *)a;
    request.run_b = (char *)b;
    request.same_model = cli_routing_options.same_model;
    return scheduler_rpc_compare_routing(suite->scheduler, NULL, &request, suite->arena, out, err);
}

static void print_figures(const Moecap__V1__RoutingComparison *reply)
{
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_table_init(&table, 4, 1u << 1);
    for (size_t i = 0; i < reply->n_figures; i++) {
        const Moecap__V1__Figure *f = reply->figures[i];

        cli_table_add(&table, f->id);
        if (f->opt_value_case)
            cli_table_addf(&table, "%.6g", f->value);
        else
            cli_table_add(&table, "-");
        cli_table_add(&table, f->unit);
        cli_table_addf(&table, "%s%s%s", f->basis, *f->reason ? ": " : "", f->reason);
    }
    cli_table_print(&table, &out);
    printf("%s", out.data);
    cli_table_done(&table);
}

static void print_layers(const Moecap__V1__RoutingComparison *reply)
{
    static const char *const head[] = {"phase",   "layer",           "cosine", "jaccard",
                                       "JS bits", "total variation", "moved"};
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), 0x7e);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (size_t i = 0; i < reply->n_layers; i++) {
        const Moecap__V1__RoutingLayer *l = reply->layers[i];

        cli_table_add(&table, l->phase == MOECAP__V1__PHASE__PHASE_DECODE ? "decode" : "prefill");
        cli_table_addf(&table, "%u", l->layer);
        cli_table_addf(&table, "%.4f", l->cosine);
        cli_table_addf(&table, "%.3f", l->jaccard);
        cli_table_addf(&table, "%.5f", l->jensen_shannon);
        cli_table_addf(&table, "%.4f", l->total_variation);
        if (l->opt_moved_case)
            cli_table_addf(&table, "%.4f", l->moved);
        else
            cli_table_add(&table, "-");
    }
    cli_table_print(&table, &out);
    printf("%s", out.data);
    cli_table_done(&table);
}

static void print_reply(const Moecap__V1__RoutingComparison *reply)
{
    if (reply->n_run_ids == 2)
        cli_say("%s (a) and %s (b); jaccard is of the %u busiest experts", reply->run_ids[0],
                reply->run_ids[1], reply->top);
    print_figures(reply);
    print_layers(reply);
    for (size_t i = 0; i < reply->n_most_moved && i < 5; i++)
        cli_say("%s sample %u (%s): %.1f %% of its selections",
                i ? "           " : "moved most:", reply->most_moved[i]->ordinal,
                reply->most_moved[i]->uid, 100 * reply->most_moved[i]->moved);
    for (size_t i = 0; i < reply->n_notes; i++)
        cli_say("note: %s", reply->notes[i]);
}

int cli_cmd_routing(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__RoutingComparison *reply = NULL;

    if (!suite || !ask(suite, words, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_reply(reply);
    return CLI_OK;
}
