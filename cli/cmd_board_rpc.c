/* board, run show, run export: what the store has. An unknown figure is a dash; its reason is below
 * the table and in --json, never a zero. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd.h"
#include "moecap/v1/store.rpc.h"
#include "out.h"
#include "suite.h"

enum { SAMPLES_PAGE = 200, REASONS_MAX = 64 };

struct cli_board_options cli_board_options;
struct cli_export_options cli_export_options;

/* The columns that hold figures: heading, figure id, digits after the point. */
static const struct column {
    const char *heading, *figure;
    int digits;
} columns[] = {
    {"TTFT ms", "ttft_ms_p50", 1},
    {"TPOT ms", "tpot_ms_p50", 2},
    {"out tok/s", "output_tokens_per_s", 0},
    {"pre tok/s", "prefill_tokens_per_s", 0},
    {"exp pre", "activated_experts_prefill", 2},
    {"exp dec", "activated_experts_decode", 2},
};

/* The board's columns in order; the figures stand between accuracy and state. */
enum {
    MODEL,
    ENGINE,
    PRECISION,
    TASK,
    BATCH,
    ACCURACY,
    FIGURES,
    STATE = FIGURES + CAP_COUNT_OF(columns),
    RUN,
    BOARD_COLUMNS
};
/* What a narrow terminal does without, the first first. */
static const size_t dispensable[] = {STATE,       ENGINE,      RUN,     FIGURES + 4,
                                     FIGURES + 3, FIGURES + 5, FIGURES, FIGURES + 1};

static const Moecap__V1__Figure *find_figure(Moecap__V1__Figure *const *figures, size_t count,
                                             const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(figures[i]->id, id) == 0)
            return figures[i];
    return NULL;
}

static bool has_value(const Moecap__V1__Figure *f)
{
    return f && f->opt_value_case == MOECAP__V1__FIGURE__OPT_VALUE_VALUE && !f->invalid;
}

/* Reasons why cells are empty, each once, with the columns they explain. */
struct reasons {
    char text[REASONS_MAX][160];
    uint32_t columns[REASONS_MAX];
    int count;
};

static void note_reason(struct reasons *reasons, size_t column, const char *text)
{
    int i = 0;

    if (!*text)
        return;
    while (i < reasons->count && strncmp(reasons->text[i], text, sizeof reasons->text[0] - 1) != 0)
        i++;
    if (i == REASONS_MAX)
        return;
    if (i == reasons->count)
        snprintf(reasons->text[reasons->count++], sizeof reasons->text[0], "%s", text);
    reasons->columns[i] |= 1u << column;
}

static void add_missing(struct cli_table_out *table, size_t column, const Moecap__V1__Figure *f,
                        struct reasons *reasons)
{
    if (f)
        note_reason(reasons, column, f->reason);
    cli_table_add(table, f && f->invalid ? "invalid" : "-");
}

static void add_accuracy(struct cli_table_out *table, const Moecap__V1__BoardRow *row,
                         struct reasons *reasons)
{
    const Moecap__V1__Figure *f = find_figure(row->figures, row->n_figures, row->headline_metric);

    if (!has_value(f))
        add_missing(table, ACCURACY, f, reasons);
    else if (f->opt_low_case && f->opt_high_case)
        cli_table_addf(table, "%.1f [%.1f, %.1f]", f->value * 100, f->low * 100, f->high * 100);
    else
        cli_table_addf(table, "%.1f", f->value * 100);
}

static void add_figure(struct cli_table_out *table, const Moecap__V1__BoardRow *row, size_t index,
                       struct reasons *reasons)
{
    const struct column *column = &columns[index];
    const Moecap__V1__Figure *f = find_figure(row->figures, row->n_figures, column->figure);

    if (has_value(f))
        cli_table_addf(table, "%.*f", column->digits, f->value);
    else
        add_missing(table, FIGURES + index, f, reasons);
}

static const char *state_of(const Moecap__V1__BoardRow *row)
{
    static const char *const names[] = {"?",        "queued", "leased",    "running", "grading",
                                        "finished", "failed", "cancelled", "invalid"};

    return (size_t)row->state < CAP_COUNT_OF(names) ? names[row->state] : "?";
}

/* "16", or "2.5/s" for arrivals at a rate */
static void add_load(struct cli_table_out *table, const Moecap__V1__Load *load)
{
    if (load && load->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S)
        cli_table_addf(table, "%g/s", load->rate_per_s);
    else
        cli_table_addf(table, "%u", load && load->concurrency ? load->concurrency : 1);
}

static void add_row(struct cli_table_out *table, const Moecap__V1__BoardRow *row,
                    struct reasons *reasons)
{
    const Moecap__V1__EvaluationSpec *spec = row->spec;

    cli_table_add(table, spec->model);
    cli_table_add(table, spec->engine);
    cli_table_add(table, *spec->precision ? spec->precision : "-");
    cli_table_add(table, row->task);
    add_load(table, spec->load);
    add_accuracy(table, row, reasons);
    for (size_t i = 0; i < CAP_COUNT_OF(columns); i++)
        add_figure(table, row, i, reasons);
    cli_table_add(table, state_of(row));
    cli_table_add(table, row->run_id);
    if (row->state != MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED && *row->reason) {
        CAP_AUTO_BUF(text, 1024);

        cap_buf_printf(&text, "%.64s %s: %.400s", row->run_id, state_of(row), row->reason);
        note_reason(reasons, STATE, text.data);
    }
}

static void add_headings(struct cli_table_out *table)
{
    static const char *const before[] = {"model", "engine", "prec",
                                         "task",  "batch",  "acc % [95 %]"};

    for (size_t i = 0; i < CAP_COUNT_OF(before); i++)
        cli_table_add(table, before[i]);
    for (size_t i = 0; i < CAP_COUNT_OF(columns); i++)
        cli_table_add(table, columns[i].heading);
    cli_table_add(table, "state");
    cli_table_add(table, "run");
}

/* "- : no decode (TPOT ms, out tok/s)" */
static void add_reasons(const struct cli_table_out *table, const struct reasons *reasons,
                        struct cap_buf *out)
{
    for (int i = 0; i < reasons->count; i++) {
        uint32_t shown = reasons->columns[i] & ~table->dropped;
        const char *separator = " (";

        if (!shown && reasons->columns[i] != 1u << STATE)
            continue;
        cap_buf_add_str(out, reasons->columns[i] == 1u << STATE ? "" : "- : ");
        cli_add_plain(out, reasons->text[i]);
        for (size_t c = ACCURACY; c < STATE; c++) {
            if (!(shown >> c & 1))
                continue;
            cap_buf_printf(out, "%s%s", separator, table->cells[c]);
            separator = ", ";
        }
        cap_buf_add_str(out, *separator == ',' ? ")\n" : "\n");
    }
}

static void add_dropped(const struct cli_table_out *table, struct cap_buf *out)
{
    const char *separator = "not shown in this width: ";

    for (size_t c = 0; c < table->columns; c++) {
        if (!(table->dropped >> c & 1))
            continue;
        cap_buf_printf(out, "%s%s", separator, table->cells[c]);
        separator = ", ";
    }
    if (table->dropped)
        cap_buf_add_char(out, '\n');
}

/* width 0: as wide as it gets */
static void render_board(const Moecap__V1__BoardReply *reply, unsigned width, struct cap_buf *out)
{
    struct reasons reasons = {.count = 0};
    struct cli_table_out table;

    if (reply->n_rows == 0) {
        cap_buf_add_str(out, "the board is empty; moecap submit --help shows how to fill it\n");
        return;
    }
    cli_table_init(&table, BOARD_COLUMNS, ((1u << STATE) - 1) & ~((1u << BATCH) - 1));
    add_headings(&table);
    for (size_t i = 0; i < reply->n_rows; i++)
        add_row(&table, reply->rows[i], &reasons);
    cli_table_fit(&table, width, dispensable, CAP_COUNT_OF(dispensable));
    cli_table_print(&table, out);
    add_reasons(&table, &reasons, out);
    add_dropped(&table, out);
    if (reply->more)
        cap_buf_add_str(out, "(more rows than shown: narrow it with --model or --task)\n");
    cli_table_done(&table);
}

static void print_board(const Moecap__V1__BoardReply *reply)
{
    CAP_AUTO_BUF(out, 16 << 20);

    render_board(reply, cli_is_terminal() ? cli_terminal_width() : 0, &out);
    fwrite(out.data, 1, out.length, stdout);
}

static void print_csv_cell(const char *text)
{
    if (!strpbrk(text, ",\"\n")) {
        printf("%s", text);
        return;
    }
    putchar('"');
    for (; *text; text++)
        printf(*text == '"' ? "\"\"" : "%c", *text);
    putchar('"');
}

/* One line a figure: long format takes new figures without new columns. */
static void print_figures_csv(const Moecap__V1__BoardRow *row)
{
    for (size_t i = 0; i < row->n_figures; i++) {
        const Moecap__V1__Figure *f = row->figures[i];
        const char *const cells[] = {row->run_id,          row->spec->model, row->spec->engine,
                                     row->spec->precision, row->task,        f->id};

        for (size_t k = 0; k < CAP_COUNT_OF(cells); k++) {
            print_csv_cell(cells[k]);
            putchar(',');
        }
        if (f->opt_value_case)
            printf("%.17g", f->value);
        printf(",");
        if (f->opt_low_case)
            printf("%.17g", f->low);
        printf(",");
        if (f->opt_high_case)
            printf("%.17g", f->high);
        printf(",%s,%s,%s,", f->unit, f->basis, f->invalid ? "true" : "false");
        print_csv_cell(f->reason);
        putchar('\n');
    }
}

static const char csv_head[] =
    "run,model,engine,precision,task,figure,value,low,high,unit,basis,invalid,reason\n";

int cli_cmd_board(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    const struct cli_board_options *o = &cli_board_options;
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *reply;

    (void)words;
    if (o->limit < 0 || o->limit > 1000) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "--limit %lld is not from 0 to 1000",
                 (long long)o->limit);
        return CLI_USAGE;
    }
    request.model = (char *)(o->model ? o->model : "");
    request.task = (char *)(o->task ? o->task : "");
    request.engine = (char *)(o->engine ? o->engine : "");
    request.evaluation_id = (char *)(o->evaluation ? o->evaluation : "");
    request.limit = (uint32_t)o->limit;
    request.with_unfinished = o->all;
    if (!suite || !store_rpc_board(suite->store, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json) {
        cli_print_json(cap_wire_to_json(&reply->base));
    } else if (o->csv) {
        printf("%s", csv_head);
        for (size_t i = 0; i < reply->n_rows; i++)
            print_figures_csv(reply->rows[i]);
    } else {
        print_board(reply);
    }
    return CLI_OK;
}

/* ---- one run ---- */

static bool get_run(struct cli_suite *suite, const char *id, Moecap__V1__GetRunReply **out,
                    struct cap_err *err)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;

    request.run_id = (char *)id;
    return store_rpc_get_run(suite->store, NULL, &request, suite->arena, out, err);
}

static void print_figures(const Moecap__V1__BoardRow *row)
{
    CAP_AUTO_BUF(out, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, 5, 1u << 1);
    for (size_t i = 0; i < row->n_figures; i++) {
        const Moecap__V1__Figure *f = row->figures[i];

        cli_table_addf(&table, "  %s", f->id);
        if (f->opt_value_case)
            cli_table_addf(&table, "%.6g", f->value);
        else
            cli_table_add(&table, "-");
        cli_table_add(&table, f->unit);
        if (f->opt_low_case && f->opt_high_case)
            cli_table_addf(&table, "[%.4g, %.4g]", f->low, f->high);
        else
            cli_table_add(&table, "");
        cli_table_addf(&table, "%s%s%s", f->basis, *f->reason ? ": " : "", f->reason);
    }
    if (row->n_figures > 0)
        cli_table_print(&table, &out);
    printf("figures:\n%s", row->n_figures ? out.data : "  none yet\n");
    cli_table_done(&table);
}

static void print_run(const Moecap__V1__GetRunReply *reply)
{
    const Moecap__V1__BoardRow *row = reply->row;
    const Moecap__V1__ShardReport *report = row->report;
    char queued[CAP_TIME_TEXT_BYTES], ended[CAP_TIME_TEXT_BYTES] = "-", threads[16] = "-";

    cap_time_text(row->queued_at_ms, queued);
    if (row->ended_at_ms > 0)
        cap_time_text(row->ended_at_ms, ended);
    printf("run         %s (evaluation %s, config %.12s)\n", row->run_id, row->evaluation_id,
           row->config_hash);
    printf("state       %s%s%s\n", state_of(row), *row->reason ? ": " : "", row->reason);
    printf("model       %s, engine %s, precision %s\n", row->spec->model, row->spec->engine,
           row->spec->precision);
    printf("task        %s, repeat %u, seed %llu, %u/%u answered, %u graded\n", row->task,
           row->repeat, (unsigned long long)row->spec->seed, reply->samples_answered,
           reply->samples_total, reply->samples_graded);
    printf("hashes      model %.12s, task %.12s, its data %.12s\n",
           report && *report->model_sha256 ? report->model_sha256 : "-",
           reply->task ? reply->task->definition_sha256 : "-",
           reply->task ? reply->task->data_sha256 : "-");
    printf("times       queued %s, ended %s\n", queued, ended);
    if (report) {
        if (report->threads > 0)
            snprintf(threads, sizeof threads, "%u", report->threads);
        printf("engine      %s, kernels %s, threads %s, timing boundary %s\n",
               *report->engine_version ? report->engine_version : "-",
               *report->isa ? report->isa : "-", threads, report->timing_boundary);
    }
    if (report && report->hardware)
        printf("hardware    %s, %u cores\n", report->hardware->cpu, report->hardware->cores);
    printf("attempts:\n");
    for (size_t i = 0; i < reply->n_attempts; i++)
        printf("  %u on %s, fence %llu: %s\n", reply->attempts[i]->attempt,
               reply->attempts[i]->node, (unsigned long long)reply->attempts[i]->fence,
               *reply->attempts[i]->outcome ? reply->attempts[i]->outcome : "going on");
    print_figures(row);
}

int cli_cmd_run_show(struct cli_context *context, const struct cli_words *words,
                     struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__GetRunReply *reply;

    if (!suite || !get_run(suite, words->items[0], &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_run(reply);
    return CLI_OK;
}

/* ---- export: one JSON object a line: the run, then its samples ---- */

static bool export_samples(struct cli_suite *suite, const char *run_id, struct cap_err *err)
{
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    bool more = true;

    request.run_id = (char *)run_id;
    request.limit = SAMPLES_PAGE;
    request.with_texts = request.with_gold = true;
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

int cli_cmd_run_export(struct cli_context *context, const struct cli_words *words,
                       struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);

    if (!suite)
        return cli_exit_of(err->code);
    if (cli_export_options.csv)
        printf("%s", csv_head);
    for (int i = 0; i < words->count; i++) {
        Moecap__V1__GetRunReply *reply;

        if (!get_run(suite, words->items[i], &reply, err))
            return cli_exit_of(err->code);
        if (cli_export_options.csv) {
            print_figures_csv(reply->row);
            continue;
        }
        cli_print_json(
            json_pack("{s:s,s:o}", "kind", "run", "run", cap_wire_to_json(&reply->base)));
        if (!cli_export_options.no_samples && !export_samples(suite, words->items[i], err))
            return cli_exit_of(err->code);
    }
    return CLI_OK;
}
