/* run samples: a page of a run's samples, a line each. */
#include <string.h>

#include "cmd.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "out.h"
#include "routing_wire.h"
#include "suite.h"

enum {
    SAMPLES_DEFAULT = 50,
    COLUMNS = 8,
    NUMBERS = 1 | 0xf0, /* the columns that are aligned to the right: the first, the last four */
    TABLE_BYTES_MAX = 4 << 20,
};

struct cli_samples_options cli_samples_options;

static const char *verdict_word(const Moecap__V1__SampleRow *sample, const char *metric)
{
    const char *word = "";

    for (size_t i = 0; i < sample->n_verdicts; i++) { /* the latest version is the last */
        const Moecap__V1__Verdict *verdict = sample->verdicts[i];
        if (strcmp(verdict->metric, metric) == 0)
            word = verdict_kind_word(verdict->kind);
    }
    return *word ? word : "-";
}

static void add_count(struct cli_table_out *table, bool known, uint32_t count)
{
    if (known)
        cli_table_addf(table, "%u", count);
    else
        cli_table_add(table, "-");
}

static void add_routing(struct cli_table_out *table, const Moecap__V1__SampleRouting *wire)
{
    struct cli_routing routing = cli_routing_of(wire);

    if (!routing.known) {
        cli_table_add(table, "-");
        cli_table_add(table, "-");
        return;
    }
    cli_table_addf(table, "%g/%u", routing.distinct, routing.experts);
    cli_table_addf(table, "%.0f%%", 100 * routing.busiest_share);
}

static void add_row(struct cli_table_out *table, const Moecap__V1__SampleRow *sample,
                    const char *metric)
{
    const Moecap__V1__SampleAnswer *answer = sample->answer;
    bool failed = answer->status == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED;

    cli_table_addf(table, "%u", answer->ordinal);
    cli_table_add(table, answer->uid);
    cli_table_add(table, verdict_word(sample, metric));
    cli_table_add(table, failed ? answer->error : answer->finish_reason);
    add_count(table, answer->opt_prompt_tokens_case != 0, answer->prompt_tokens);
    add_count(table, answer->opt_output_tokens_case != 0, answer->output_tokens);
    add_routing(table, answer->routing);
}

static void print_page(const Moecap__V1__GetRunReply *run, const Moecap__V1__ListSamplesReply *page)
{
    static const char *const heading[COLUMNS] = {"SAMPLE", "UID", "VERDICT", "END",
                                                 "IN",     "OUT", "EXPERTS", "BUSIEST"};
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_table_init(&table, COLUMNS, NUMBERS);
    for (int i = 0; i < COLUMNS; i++)
        cli_table_add(&table, heading[i]);
    for (size_t i = 0; i < page->n_samples; i++)
        add_row(&table, page->samples[i], run->row->headline_metric);
    cli_table_print(&table, &out);
    cli_table_done(&table);
    printf("%s", out.data);
    if (run->row->report && *run->row->report->routing_unknown)
        cli_say("experts are unknown: %s", run->row->report->routing_unknown);
    if (page->opt_next_case)
        cli_say("more: --after %u", page->next_after);
}

static bool ask(struct cli_suite *suite, const char *run_id, Moecap__V1__GetRunReply **out_run,
                Moecap__V1__ListSamplesReply **out_page, struct cap_err *err)
{
    const struct cli_samples_options *options = &cli_samples_options;
    Moecap__V1__GetRunRequest run = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__ListSamplesRequest list = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;

    if (options->limit < 0 || options->limit > UINT32_MAX || options->after < 0 ||
        options->after > UINT32_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--limit and --after are numbers from 0 on");
    run.run_id = list.run_id = (char *)run_id;
    list.limit = options->limit ? (uint32_t)options->limit : SAMPLES_DEFAULT;
    list.verdict = (char *)(options->verdict ? options->verdict : "");
    list.with_routing = true;
    if (options->has_after) {
        list.opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
        list.after_ordinal = (uint32_t)options->after;
    }
    return store_rpc_get_run(suite->store, NULL, &run, suite->arena, out_run, err) &&
           store_rpc_list_samples(suite->store, NULL, &list, suite->arena, out_page, err);
}

int cli_cmd_run_samples(struct cli_context *context, const struct cli_words *words,
                        struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__GetRunReply *run = NULL;
    Moecap__V1__ListSamplesReply *page = NULL;

    if (!suite || !ask(suite, words->items[0], &run, &page, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&page->base));
    else
        print_page(run, page);
    return CLI_OK;
}
