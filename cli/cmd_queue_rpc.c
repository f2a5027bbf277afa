/* queue, cancel, node list: what waits and runs, stopping it, and who runs it. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "machine_rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "suite.h"

struct cli_cancel_options cli_cancel_options;

/* ---- cancel ---- */

int cli_cmd_cancel(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    struct cli_words ids;
    Moecap__V1__CancelRequest request = MOECAP__V1__CANCEL_REQUEST__INIT;

    if (!suite || !cli_full_ids(context, words, &ids, err))
        return cli_exit_of(err->code);
    for (int i = 0; i < ids.count; i++) {
        Moecap__V1__CancelReply *reply;

        request.id = (char *)ids.items[i];
        request.reason = (char *)(cli_cancel_options.reason ? cli_cancel_options.reason
                                                            : "cancelled on the command line");
        if (!scheduler_rpc_cancel(suite->scheduler, NULL, &request, suite->arena, &reply, err))
            return cli_exit_of(err->code);
        if (context->globals.json) {
            cli_print_json(cap_wire_to_json(&reply->base));
            continue;
        }
        for (size_t k = 0; k < reply->n_run_ids; k++)
            cli_say("%s cancelled", reply->run_ids[k]);
        for (size_t k = 0; k < reply->n_ended_ids; k++)
            cli_say("%s had already ended; nothing to cancel", reply->ended_ids[k]);
    }
    return CLI_OK;
}

/* ---- queue ---- */

static void print_queue(const Moecap__V1__ListQueueReply *reply)
{
    static const char *const head[] = {"",          "run",  "model", "precision", "task",
                                       "submitter", "done", "node",  "state"};
    CAP_AUTO_BUF(out, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), 1u | 1u << 6);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (size_t i = 0; i < reply->n_entries; i++) {
        const Moecap__V1__QueueEntry *e = reply->entries[i];

        if (e->position > 0)
            cli_table_addf(&table, "%u", e->position);
        else
            cli_table_add(&table, "*");
        cli_table_add(&table, e->run->run_id);
        cli_table_add(&table, e->run->model);
        cli_table_add(&table, e->run->precision);
        cli_table_add(&table, e->run->task);
        cli_table_add(&table, e->submitter);
        cli_table_addf(&table, "%u/%u", e->run->samples_answered, e->run->samples_total);
        cli_table_add(&table, e->run->node);
        if (strncmp(e->waiting_for, "no connected node", strlen("no connected node")) == 0)
            cli_table_addf(&table, "blocked: %s", e->waiting_for);
        else if (*e->waiting_for)
            cli_table_addf(&table, "waiting for %s", e->waiting_for);
        else
            cli_table_add(&table, *e->run->phase ? e->run->phase : "grading");
    }
    cli_table_print(&table, &out);
    printf("%s%u waiting, %u running\n", reply->n_entries ? out.data : "", reply->queued,
           reply->running);
    cli_table_done(&table);
}

int cli_cmd_queue(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply;

    (void)words;
    request.limit = 1000;
    if (!suite ||
        !scheduler_rpc_list_queue(suite->scheduler, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_queue(reply);
    return CLI_OK;
}

/* ---- nodes ---- */

enum { REASONS_OF_NODES_MAX = 8 }; /* of more nodes the page and --json tell */

static void add_names(struct cli_table_out *table, char *const *names, size_t count)
{
    CAP_AUTO_BUF(list, 4000);

    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&list, "%s%s", i ? "," : "", names[i]);
    cli_table_add(table, list.data);
}

static void print_nodes(const Moecap__V1__ListNodesReply *reply)
{
    static const char *const head[] = {"node",    "engines", "precisions", "models",
                                       "attains", "power",   "works on",   "last seen"};
    static const size_t order[] = {2, 4, 1}; /* the least important first */
    CAP_AUTO_BUF(out, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), 1u << 7);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (size_t i = 0; i < reply->n_nodes; i++) {
        const Moecap__V1__NodeEntry *n = reply->nodes[i];
        CAP_AUTO_BUF(models, 4000);
        CAP_AUTO_BUF(attained, 512);
        CAP_AUTO_BUF(power, 256);

        cli_table_add(&table, n->hello->name);
        add_names(&table, n->hello->engines, n->hello->n_engines);
        add_names(&table, n->hello->precisions, n->hello->n_precisions);
        for (size_t k = 0; k < n->hello->n_models; k++)
            cap_buf_printf(&models, "%s%s", k ? "," : "", n->hello->models[k]->name);
        cli_table_add(&table, models.data);
        if (n->hello->hardware)
            cli_add_attained(&attained, n->hello->hardware);
        cli_table_add(&table, attained.data);
        if (n->hello->hardware)
            cli_add_power(&power, n->hello->hardware);
        cli_table_add(&table, power.data);
        cli_table_add(&table, *n->run_id ? n->run_id : "nothing");
        cli_table_addf(&table, "%.1f s ago", (double)n->last_beat_ms_ago / 1000);
    }
    cli_table_fit(&table, cli_is_terminal() ? cli_terminal_width() : 0, order, CAP_COUNT_OF(order));
    cli_table_print(&table, &out);
    printf("%s%zu connected\n", reply->n_nodes ? out.data : "", reply->n_nodes);
    cli_table_done(&table);
    for (size_t i = 0; i < reply->n_nodes && i < REASONS_OF_NODES_MAX; i++)
        if (reply->nodes[i]->hello->hardware)
            cli_say_no_power(reply->nodes[i]->hello->name, reply->nodes[i]->hello->hardware);
}

int cli_cmd_node_list(struct cli_context *context, const struct cli_words *words,
                      struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    Moecap__V1__ListNodesRequest request = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *reply;

    (void)words;
    if (!suite ||
        !scheduler_rpc_list_nodes(suite->scheduler, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_nodes(reply);
    return CLI_OK;
}
