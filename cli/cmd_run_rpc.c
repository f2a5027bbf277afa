/* run show, run samples, run export: one run with everything that is known about it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/plain.h"
#include "cmd.h"
#include "machine_rpc.h"
#include "moecap/v1/common.rpc.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "out.h"
#include "spec/spec.h"
#include "suite.h"
#include "wire/table.h"

enum {
    EXPORT_PAGE = 200,
    SAMPLES_DEFAULT = 50,
    SAMPLE_COLUMNS = 8,
    SAMPLE_NUMBERS = 1 | 0xf0, /* columns aligned to the right: the first, the last four */
    TABLE_BYTES_MAX = 4 << 20,
    LAYERS_MAX = 1024,
    CURVE_POINTS = 10, /* shown of one */
    IDS_WIDTH = 92,    /* of a line of ids */
};

struct cli_export_options cli_export_options;
struct cli_samples_options cli_samples_options;

bool cli_get_run(struct cli_suite *suite, const char *word, Moecap__V1__GetRunReply **out,
                 struct cap_err *err)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    const char *id;

    if (strncmp(word, "eval-", 5) == 0) {
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "\"%s\" is an evaluation; moecap board --all --evaluation %s lists its runs", word,
                 word);
        return false;
    }
    if (!cli_full_id(suite, word, &id, err))
        return false;
    request.run_id = (char *)id;
    if (!store_rpc_get_run(suite->store, NULL, &request, suite->arena, out, err))
        return false;
    assert(*out && (*out)->row); /* the store fills both */
    cap_wire_add_accuracy((*out)->row, suite->arena);
    return true;
}

static const char *why_no_figures(Moecap__V1__RunState state)
{
    switch (state) {
    case MOECAP__V1__RUN_STATE__RUN_STATE_FAILED:
        return ": the run failed";
    case MOECAP__V1__RUN_STATE__RUN_STATE_CANCELLED:
        return ": the run was cancelled";
    case MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED:
        return "";
    default:
        return " yet";
    }
}

/* ---- figures: those that say something, then what is missing, each reason once ---- */

static bool says_something(const Moecap__V1__Figure *f)
{
    return f->opt_value_case || (f->opt_low_case && f->opt_high_case);
}

static void add_known(struct cli_table_out *table, const Moecap__V1__Figure *f)
{
    cli_table_addf(table, "  %s", f->id);
    if (f->opt_value_case)
        cli_table_addf(table, "%.6g", f->value);
    else
        cli_table_add(table, "-");
    cli_table_add(table, f->unit);
    if (f->opt_low_case && f->opt_high_case && f->opt_certified_case)
        cli_table_addf(table, "[%.4g, %.4g] <= %.4g at 99 %%", f->low, f->high, f->certified);
    else if (f->opt_low_case && f->opt_high_case)
        cli_table_addf(table, "[%.4g, %.4g]", f->low, f->high);
    else
        cli_table_add(table, "");
    cli_table_addf(table, "%s%s%s%s", f->invalid ? "invalid, " : "", f->basis,
                   *f->reason ? ": " : "", f->reason);
}

static bool is_first_of_its_reason(Moecap__V1__Figure *const *figures, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (!says_something(figures[i]) && strcmp(figures[i]->reason, figures[at]->reason) == 0)
            return false;
    return true;
}

/* The ids of all figures without a value for the reason of figures[from], in lines. */
static void add_without(Moecap__V1__Figure *const *figures, size_t count, size_t from,
                        struct cap_buf *out)
{
    size_t taken = 0;

    cap_buf_add_str(out, "  ");
    cap_plain_add(out, *figures[from]->reason ? figures[from]->reason : "no reason was given");
    for (size_t i = from; i < count; i++) {
        size_t length = strlen(figures[i]->id);

        if (says_something(figures[i]) || strcmp(figures[i]->reason, figures[from]->reason) != 0)
            continue;
        cap_buf_add_str(out, taken == 0                   ? ":\n    "
                             : taken + length > IDS_WIDTH ? ",\n    "
                                                          : ", ");
        taken = taken + length > IDS_WIDTH ? length : taken + length + 2;
        cap_plain_add(out, figures[i]->id);
    }
    cap_buf_add_char(out, '\n');
}

static void render_figures(Moecap__V1__Figure *const *figures, size_t count, const char *why_none,
                           struct cap_buf *out)
{
    struct cli_table_out table;
    bool any_missing = false;

    cli_table_init(&table, 5, 1u << 1);
    for (size_t i = 0; i < count; i++)
        if (says_something(figures[i]))
            add_known(&table, figures[i]);
    cap_buf_add_str(out, "figures:\n");
    if (table.count > 0)
        cli_table_print(&table, out);
    else
        cap_buf_printf(out, "  none%s\n", count > 0 ? " with a value" : why_none);
    cli_table_done(&table);
    for (size_t i = 0; i < count; i++) {
        if (says_something(figures[i]) || !is_first_of_its_reason(figures, i))
            continue;
        if (!any_missing)
            cap_buf_add_str(out, "unavailable:\n");
        any_missing = true;
        add_without(figures, count, i, out);
    }
}

void cli_print_figures(Moecap__V1__Figure *const *figures, size_t count, const char *why_none)
{
    CAP_AUTO_BUF(out, 1 << 20);

    render_figures(figures, count, why_none, &out);
    printf("%s", out.data);
}

/* ---- curves: some points of each ---- */

static void add_point(struct cli_table_out *table, const Moecap__V1__Curve *curve, size_t at)
{
    cli_table_addf(table, "  %.4g", curve->x[at]);
    cli_table_addf(table, "%.4g", curve->y[at]);
    if (curve->n_reference > 0)
        cli_table_addf(table, "%.4g", curve->reference[at]);
    else
        cli_table_add(table, "");
}

/* First and last always, and what lies evenly between; the whole is in --json. */
static void print_curve(const Moecap__V1__Curve *curve)
{
    size_t shown = curve->n_x < CURVE_POINTS ? curve->n_x : CURVE_POINTS;
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_table_init(&table, 3, 0x7);
    cli_table_addf(&table, "  %s", curve->x_unit);
    cli_table_add(&table, curve->y_unit);
    cli_table_add(&table, curve->n_reference > 0 ? "uniform" : "");
    for (size_t i = 0; i < shown; i++)
        add_point(&table, curve, shown > 1 ? i * (curve->n_x - 1) / (shown - 1) : 0);
    cli_table_print(&table, &out);
    cli_table_done(&table);
    cli_say("%s%s", curve->id, shown < curve->n_x ? ", some points of it:" : ":");
    printf("%s", out.data);
}

/* A server that answers nonsense breaks nothing here. */
static void print_curves(const Moecap__V1__GetRunReply *reply)
{
    for (size_t i = 0; i < reply->n_curves; i++) {
        const Moecap__V1__Curve *curve = reply->curves[i];

        if (curve->n_x > 0 && curve->n_y == curve->n_x &&
            (curve->n_reference == 0 || curve->n_reference == curve->n_x))
            print_curve(curve);
    }
}

/* Every knob of generating that was set, as its option calls it. */
static void add_generation(const Moecap__V1__EvaluationSpec *spec, struct cap_buf *out)
{
    for (int id = 0; id < CAP_KNOB_COUNT; id++) {
        const struct cap_knob *knob = &cap_knobs[id];
        struct cap_knob_value value = cap_spec_get(spec, (enum cap_knob_id)id);

        if (knob->group != CAP_GROUP_GENERATION || !value.is_set)
            continue;
        cap_buf_printf(out, ", %s", knob->flag);
        if (knob->kind == CAP_KNOB_WHOLE)
            cap_buf_printf(out, " %lld", (long long)value.whole);
        else if (knob->kind == CAP_KNOB_REAL)
            cap_buf_printf(out, " %g", value.real);
        else if (value.text)
            cap_buf_printf(out, " %s", value.text);
    }
}

static void print_settings(const Moecap__V1__EvaluationSpec *spec)
{
    const Moecap__V1__Load *load = spec->load;
    CAP_AUTO_BUF(line, 1024);

    if (load && load->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S)
        cli_say("load        %g requests a second, Poisson", load->rate_per_s);
    else
        cli_say("load        %u in flight", load && load->concurrency ? load->concurrency : 1);
    cap_buf_printf(&line, "prompts     %s", *spec->prompt_format ? spec->prompt_format : "text");
    if (spec->opt_num_fewshot_case)
        cap_buf_printf(&line, ", %u-shot", spec->num_fewshot);
    add_generation(spec, &line);
    if (spec->limit)
        cap_buf_printf(&line, ", first %u samples", spec->limit);
    if (spec->opt_sampling_case)
        cap_buf_printf(&line, ", a share of %g of them", spec->sampling);
    cli_say("%s, seed %llu", line.data, (unsigned long long)spec->seed);
    cli_say("submitter   %s%s%s", *spec->submitter ? spec->submitter : "-",
            *spec->note ? ", note: " : "", spec->note);
}

static bool is_over_http(const Moecap__V1__ShardReport *report)
{
    return strcmp(report->timing_boundary, "http") == 0;
}

/* What is known of the model's size, and whether somebody only said so. */
static void print_model(const Moecap__V1__ShardReport *report)
{
    CAP_AUTO_BUF(line, 1024);

    if (report->opt_parameters_case)
        cap_buf_printf(&line, ", %.4g B parameters", (double)report->parameters / 1e9);
    if (report->opt_active_parameters_case)
        cap_buf_printf(&line, ", %.4g B active", (double)report->active_parameters / 1e9);
    if (report->experts > 0)
        cap_buf_printf(&line, ", %u experts in %u layers, top-k %u", report->experts,
                       report->moe_layers, report->top_k);
    if (line.length > 0)
        cli_say("shape       %s%s%s", *report->model_family ? report->model_family : "model",
                line.data, report->n_declared > 0 ? " (declared)" : "");
}

/* Nobody knows more of a server than its submitter says; what is reported is the client. */
static void print_hardware(const Moecap__V1__ShardReport *report,
                           const Moecap__V1__EvaluationSpec *spec)
{
    const char *declared = spec->hardware ? spec->hardware->description : "";
    bool over_http = is_over_http(report);

    if (over_http)
        cli_say("hardware    %s%s", *declared ? declared : "not declared",
                *declared ? " (declared)" : "");
    if (!report->hardware)
        return;
    cli_say("%s    %s, %u cores", over_http ? "client  " : "hardware", report->hardware->cpu,
            report->hardware->cores);
    if (!over_http) {
        CAP_AUTO_BUF(attained, 512);

        cli_add_attained(&attained, report->hardware);
        cli_say("attains     %s", attained.data);
    }
}

static void print_report(const Moecap__V1__ShardReport *report,
                         const Moecap__V1__EvaluationSpec *spec)
{
    char threads[16] = "-";

    if (report->threads > 0)
        snprintf(threads, sizeof threads, "%u", report->threads);
    cli_say("engine      %s, kernels %s, threads %s, timing boundary %s",
            *report->engine_version ? report->engine_version : "-",
            *report->isa ? report->isa : "-", threads, report->timing_boundary);
    print_model(report);
    print_hardware(report, spec);
    cli_say_energy(report);
    if (report->retries > 0)
        cli_say("retries     %u requests were sent again before their first byte", report->retries);
    if (*report->routing_source)
        cli_say("routing     %s", report->routing_source);
    if (*report->routing_unknown)
        cli_say("routing     unknown: %s", report->routing_unknown);
    for (size_t i = 0; i < report->n_notes; i++)
        cli_say("note        %s", report->notes[i]);
}

/* What the figures of cost rest on; `moecap cost` shows all of it and tries other prices. */
static void print_cost(const Moecap__V1__CostBasis *cost)
{
    CAP_AUTO_BUF(line, 2048);

    cap_buf_printf(&line, "%u x %.256s, %s", cost->devices,
                   *cost->device ? cost->device : "a device that is not known",
                   cost->rented ? "rented" : "bought");
    for (size_t i = 0; i < cost->n_terms; i++) {
        const Moecap__V1__CostTerm *term = cost->terms[i];

        if (!term->used)
            continue;
        if (!term->opt_value_case)
            cap_buf_printf(&line, ", %s unknown", term->id);
        else if (strcmp(term->source, "given") == 0)
            cap_buf_printf(&line, ", %s %g%s%s (declared)", term->id, term->value,
                           *term->unit ? " " : "", term->unit);
    }
    cli_say("cost        %s", line.data);
}

static void print_hashes(const Moecap__V1__GetRunReply *reply)
{
    const Moecap__V1__ShardReport *report = reply->row->report;
    const Moecap__V1__TaskInfo *task = reply->task;

    cli_say("hashes      model %.12s, task %.12s, its data %.12s",
            report && *report->model_sha256 ? report->model_sha256 : "-",
            task ? task->definition_sha256 : "-", task ? task->data_sha256 : "-");
}

static void print_marks(const Moecap__V1__BoardRow *row)
{
    for (size_t i = 0; i < row->n_marks; i++)
        cli_say("%s %s: %s", row->marks[i]->bad ? "warning    " : "mark       ", row->marks[i]->id,
                row->marks[i]->text);
}

static void print_attempts(const Moecap__V1__GetRunReply *reply)
{
    printf("attempts:\n");
    for (size_t i = 0; i < reply->n_attempts; i++) {
        const Moecap__V1__Attempt *a = reply->attempts[i];

        cli_say("  %u on %s, fence %llu: %s", a->attempt, a->node, (unsigned long long)a->fence,
                *a->outcome ? a->outcome : "in progress");
    }
}

static void print_run(const Moecap__V1__GetRunReply *reply)
{
    const Moecap__V1__BoardRow *row = reply->row;
    const Moecap__V1__EvaluationSpec *spec = row->spec;
    char queued[CAP_TIME_TEXT_BYTES], ended[CAP_TIME_TEXT_BYTES] = "-";

    cap_time_text(row->queued_at_ms, queued);
    if (row->ended_at_ms > 0)
        cap_time_text(row->ended_at_ms, ended);
    cli_say("run         %s (evaluation %s, config %.12s)", row->run_id, row->evaluation_id,
            row->config_hash);
    cli_say("state       %s%s%s", run_state_word(row->state), *row->reason ? ": " : "",
            row->reason);
    cli_say("model       %s, engine %s, precision %s", spec->model, spec->engine,
            *spec->precision ? spec->precision : "-");
    cli_say("task        %s, repeat %u, %u/%u answered, %u graded", row->task, row->repeat + 1,
            reply->samples_answered, reply->samples_total, reply->samples_graded);
    print_settings(spec);
    print_hashes(reply);
    cli_say("times       queued %s, ended %s", queued, ended);
    if (row->report)
        print_report(row->report, spec);
    if (reply->cost)
        print_cost(reply->cost);
    print_marks(row);
    print_attempts(reply);
    cli_print_figures(row->figures, row->n_figures, why_no_figures(row->state));
    print_curves(reply);
}

int cli_cmd_run_show(struct cli_context *context, const struct cli_words *words,
                     struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__GetRunReply *reply = NULL;

    if (!suite || !cli_get_run(suite, words->items[0], &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_run(reply);
    return CLI_OK;
}

/* ---- run samples: a page of them, a line each ---- */

/* The routing of a sample in a few words: medians over the layers, prefill and decode together. */
struct routing {
    bool known;           /* there is a layer in which something was chosen */
    double distinct;      /* experts that were chosen */
    double busiest_share; /* selections that went to the busiest expert, 0..1 */
    uint32_t experts;     /* of the model */
};

static uint32_t count_at(const uint32_t *counts, size_t count, size_t expert)
{
    return expert < count ? counts[expert] : 0;
}

/* False when nothing was chosen in the layer. */
static bool sum_up(const Moecap__V1__LayerRouting *layer, double *out_distinct, double *out_share)
{
    size_t experts = layer->n_prefill > layer->n_decode ? layer->n_prefill : layer->n_decode;
    uint64_t total = 0, most = 0, distinct = 0;

    for (size_t e = 0; e < experts; e++) {
        uint64_t chosen = (uint64_t)count_at(layer->prefill, layer->n_prefill, e) +
                          count_at(layer->decode, layer->n_decode, e);
        total += chosen;
        distinct += chosen > 0;
        most = chosen > most ? chosen : most;
    }
    if (total == 0)
        return false;
    *out_distinct = (double)distinct;
    *out_share = (double)most / (double)total;
    return true;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* `routing` may be NULL. Of more than LAYERS_MAX layers the first count. */
static struct routing routing_of(const Moecap__V1__SampleRouting *routing)
{
    double distinct[LAYERS_MAX], share[LAYERS_MAX];
    size_t count = 0;

    for (size_t i = 0; routing && i < routing->n_layers && count < LAYERS_MAX; i++)
        if (sum_up(routing->layers[i], &distinct[count], &share[count]))
            count++;
    if (count == 0)
        return (struct routing){.known = false};
    return (struct routing){.known = true,
                            .distinct = median(distinct, count),
                            .busiest_share = median(share, count),
                            .experts = routing->experts};
}

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
    struct routing routing = routing_of(wire);

    if (!routing.known) {
        cli_table_add(table, "-");
        cli_table_add(table, "-");
        return;
    }
    cli_table_addf(table, "%g/%u", routing.distinct, routing.experts);
    cli_table_addf(table, "%.0f%%", 100 * routing.busiest_share);
}

static void add_sample(struct cli_table_out *table, const Moecap__V1__SampleRow *sample,
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

static void print_samples(const Moecap__V1__GetRunReply *run,
                          const Moecap__V1__ListSamplesReply *page)
{
    static const char *const heading[SAMPLE_COLUMNS] = {"SAMPLE", "UID", "VERDICT", "END",
                                                        "IN",     "OUT", "EXPERTS", "BUSIEST"};
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_table_init(&table, SAMPLE_COLUMNS, SAMPLE_NUMBERS);
    for (int i = 0; i < SAMPLE_COLUMNS; i++)
        cli_table_add(&table, heading[i]);
    for (size_t i = 0; i < page->n_samples; i++)
        add_sample(&table, page->samples[i], run->row->headline_metric);
    cli_table_print(&table, &out);
    cli_table_done(&table);
    printf("%s", out.data);
    if (run->row->report && *run->row->report->routing_unknown)
        cli_say("experts are unknown: %s", run->row->report->routing_unknown);
    if (page->opt_next_case)
        cli_say("more: --after %u", page->next_after);
}

static bool ask_samples(struct cli_suite *suite, const char *run_id, bool json,
                        Moecap__V1__GetRunReply **out_run, Moecap__V1__ListSamplesReply **out_page,
                        struct cap_err *err)
{
    const struct cli_samples_options *options = &cli_samples_options;
    Moecap__V1__ListSamplesRequest list = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;

    if (options->limit < 0 || options->limit > UINT32_MAX || options->after < 0 ||
        options->after > UINT32_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--limit and --after are numbers from 0 on");
    if (!cli_get_run(suite, run_id, out_run, err))
        return false;
    list.run_id = (*out_run)->row->run_id;
    list.limit = options->limit ? (uint32_t)options->limit : SAMPLES_DEFAULT;
    list.verdict = (char *)(options->verdict ? options->verdict : "");
    list.with_routing = true;
    list.with_texts = json; /* a line of a table has no room for them */
    if (options->has_after) {
        list.opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
        list.after_ordinal = (uint32_t)options->after;
    }
    return store_rpc_list_samples(suite->store, NULL, &list, suite->arena, out_page, err);
}

int cli_cmd_run_samples(struct cli_context *context, const struct cli_words *words,
                        struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__GetRunReply *run = NULL;
    Moecap__V1__ListSamplesReply *page = NULL;

    if (!suite || !ask_samples(suite, words->items[0], context->globals.json, &run, &page, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&page->base));
    else
        print_samples(run, page);
    return CLI_OK;
}

/* ---- export: one JSON object a line: the run, then its samples ---- */

static bool export_samples(struct cli_suite *suite, const char *run_id, struct cap_err *err)
{
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    bool more = true;

    request.run_id = (char *)run_id;
    request.limit = EXPORT_PAGE;
    request.with_texts = request.with_gold = request.with_routing = true;
    while (more) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(256 << 20);
        Moecap__V1__ListSamplesReply *page;

        if (!store_rpc_list_samples(suite->store, NULL, &request, arena, &page, err))
            return false;
        for (size_t i = 0; i < page->n_samples; i++)
            cli_print_json(json_pack("{s:s,s:o}", "kind", "sample", "sample",
                                     cap_wire_to_json(&page->samples[i]->base)));
        more = page->opt_next_case == MOECAP__V1__LIST_SAMPLES_REPLY__OPT_NEXT_NEXT_AFTER;
        request.opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
        request.after_ordinal = page->next_after;
    }
    return true;
}

/* ---- figures as CSV: the board's table of these runs ---- */

struct runs {
    struct cli_suite *suite;
    const struct cli_words *words;
    int next;
};

static json_t *next_run(void *arg, bool first, struct cap_err *err)
{
    struct runs *runs = arg;
    Moecap__V1__GetRunReply *reply = NULL;

    runs->next = first ? 0 : runs->next;
    if (runs->next == runs->words->count ||
        !cli_get_run(runs->suite, runs->words->items[runs->next++], &reply, err))
        return NULL;
    return json_pack("{s:[o]}", cap_board_table.rows, cap_wire_to_json(&reply->row->base));
}

static bool export_figures(struct cli_suite *suite, const struct cli_words *words,
                           struct cap_err *err)
{
    struct runs runs = {.suite = suite, .words = words};
    CAP_AUTO_BUF(text, CLI_CSV_BYTES_MAX);

    if (!cap_table_write(&cap_board_table, NULL, 0, next_run, &runs, &text, err))
        return false;
    cli_print_csv(text.data);
    return true;
}

int cli_cmd_run_export(struct cli_context *context, const struct cli_words *words,
                       struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);

    if (!suite)
        return cli_exit_of(err->code);
    if (cli_export_options.csv)
        return export_figures(suite, words, err) ? CLI_OK : cli_exit_of(err->code);
    for (int i = 0; i < words->count; i++) {
        Moecap__V1__GetRunReply *reply = NULL;

        if (!cli_get_run(suite, words->items[i], &reply, err))
            return cli_exit_of(err->code);
        cli_print_json(
            json_pack("{s:s,s:o}", "kind", "run", "run", cap_wire_to_json(&reply->base)));
        if (!cli_export_options.no_samples && !export_samples(suite, reply->row->run_id, err))
            return cli_exit_of(err->code);
    }
    return CLI_OK;
}
