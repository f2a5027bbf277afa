/* board: what the store has. An unknown figure is a dash; its reason is below the table and in
 * --json, never a zero. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/plain.h"
#include "base/utf8.h"
#include "cmd.h"
#include "moecap/v1/common.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "out.h"
#include "suite.h"
#include "wire/table.h"

enum { REASONS_MAX = 64, MARKED_RUNS_MAX = 4, PAGE_ARENA_BYTES = 256 << 20 };

struct cli_board_options cli_board_options;

/* The columns that hold figures: heading, figure id, digits after the point; SHORT: as many as an
 * amount of any size needs. The figure is shown times `scale`, where that is not 0. */
enum { SHORT = -1 };
static const struct column {
    const char *heading, *figure;
    int digits;
    double scale;
} columns[] = {
    {"TTFT ms", "ttft_ms_p50", 1},
    {"TPOT ms", "tpot_ms_p50", 2},
    {"out tok/s", "output_tokens_per_s", 0},
    {"pre tok/s", "prefill_tokens_per_s", 0},
    {"exp pre", "activated_experts_prefill", 2},
    {"exp dec", "activated_experts_decode", 2},
    {"S-MBU", "smbu_decode", SHORT},
    {"attained", "smbu_decode_attainable", SHORT},
    {"$/1M out", "cost_per_1m_output_tokens", SHORT},
    {"$/1M right", "cost_per_correct", SHORT, 1e6},
    {"J/out", "j_per_output_token", SHORT},
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
static const size_t dispensable[] = {
    STATE,       ENGINE,      FIGURES + 10, FIGURES + 9, FIGURES + 7, FIGURES + 4, FIGURES + 3,
    FIGURES + 6, FIGURES + 5, FIGURES + 8,  FIGURES,     FIGURES + 1, PRECISION};

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
    bool declared; /* a value has a star */
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
    if (i == reasons->count) {
        snprintf(reasons->text[i], sizeof reasons->text[0], "%s", text);
        cap_utf8_tidy(reasons->text[i]);
        reasons->count++;
    }
    reasons->columns[i] |= 1u << column;
}

static void add_missing(struct cli_table_out *table, size_t column, const Moecap__V1__Figure *f,
                        struct reasons *reasons)
{
    if (f)
        note_reason(reasons, column, f->reason);
    cli_table_add(table, f && f->invalid ? "invalid" : "-");
}

/* "gsm-mini, 3-shot, chat": what was asked, as far as it is not the task's own. */
static void add_task(struct cli_table_out *table, const Moecap__V1__BoardRow *row)
{
    CAP_AUTO_BUF(text, 1024);

    cap_buf_add_str(&text, row->task);
    for (size_t i = 0; i < row->n_setting; i++)
        cap_buf_printf(&text, ", %s", row->setting[i]);
    cli_table_add(table, text.data);
}

/* "5 of 600" of a run that took a part of its task's samples. */
static void add_part(const Moecap__V1__BoardRow *row, struct cap_buf *out)
{
    if (row->opt_samples_total_case && row->samples_total < row->task_samples)
        cap_buf_printf(out, " (%u of %u)", row->samples_total, row->task_samples);
}

static void add_accuracy(struct cli_table_out *table, const Moecap__V1__BoardRow *row,
                         struct reasons *reasons)
{
    const Moecap__V1__Figure *f = find_figure(row->figures, row->n_figures, row->headline_metric);
    CAP_AUTO_BUF(text, 128);

    if (!has_value(f)) {
        add_missing(table, ACCURACY, f, reasons);
        return;
    }
    cap_buf_printf(&text, "%.1f", f->value * 100);
    if (f->opt_low_case && f->opt_high_case)
        cap_buf_printf(&text, " [%.1f, %.1f]", f->low * 100, f->high * 100);
    add_part(row, &text);
    cli_table_add(table, text.data);
}

static void add_figure(struct cli_table_out *table, const Moecap__V1__BoardRow *row, size_t index,
                       struct reasons *reasons)
{
    const struct column *column = &columns[index];
    const Moecap__V1__Figure *f = find_figure(row->figures, row->n_figures, column->figure);

    if (has_value(f)) {
        const char *star = strcmp(f->basis, "declared") == 0 ? "*" : "";
        double value = column->scale != 0 ? f->value * column->scale : f->value;
        bool is_large = fabs(value) >= 1000; /* "%.3g" would write 1.23e+03 */

        reasons->declared |= *star != 0;
        if (column->digits == SHORT)
            cli_table_addf(table, is_large ? "%.0f%s" : "%.3g%s", value, star);
        else
            cli_table_addf(table, "%.*f%s", column->digits, value, star);
    } else
        add_missing(table, FIGURES + index, f, reasons);
}

/* "16", "2.5/s" for arrivals at a rate, "2-20/s" where it ramps */
static void add_load(struct cli_table_out *table, const Moecap__V1__Load *load)
{
    if (load && load->kind_case == MOECAP__V1__LOAD__KIND_REPLAY)
        cli_table_add(table, "replay");
    else if (load && load->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S && load->opt_ramp_to_case)
        cli_table_addf(table, "%g-%g/s", load->rate_per_s, load->ramp_to_per_s);
    else if (load && load->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S)
        cli_table_addf(table, "%g/s", load->rate_per_s);
    else
        cli_table_addf(table, "%u", load && load->concurrency ? load->concurrency : 1);
}

static void add_row(struct cli_table_out *table, const Moecap__V1__BoardRow *row,
                    struct reasons *reasons)
{
    const Moecap__V1__EvaluationSpec *spec = row->spec;
    bool of_server = spec->external && *spec->external->url; /* which one is somebody's word */

    cli_table_add(table, spec->model);
    cli_table_addf(table, "%s%s", spec->engine, of_server ? "*" : "");
    reasons->declared |= of_server;
    cli_table_add(table, *spec->precision ? spec->precision : "-");
    add_task(table, row);
    add_load(table, spec->load);
    add_accuracy(table, row, reasons);
    for (size_t i = 0; i < CAP_COUNT_OF(columns); i++)
        add_figure(table, row, i, reasons);
    cli_table_add(table, run_state_word(row->state));
    cli_table_add(table, row->run_id);
    if (row->state != MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED && *row->reason) {
        CAP_AUTO_BUF(text, 1024);

        cap_buf_printf(&text, "%.64s %s: %.400s", row->run_id, run_state_word(row->state),
                       row->reason);
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

/* "- TPOT ms, out tok/s: no decode"; of a run that did not finish "run-a failed: no memory" */
static void add_reasons(const struct cli_table_out *table, const struct reasons *reasons,
                        struct cap_buf *out)
{
    for (int i = 0; i < reasons->count; i++) {
        uint32_t shown = reasons->columns[i] & ~table->dropped;
        const char *separator = "- ";

        if (!shown && reasons->columns[i] != 1u << STATE)
            continue;
        for (size_t c = ACCURACY; c < STATE; c++) {
            if (!(shown >> c & 1))
                continue;
            cap_buf_printf(out, "%s%s", separator, table->cells[c]);
            separator = ", ";
        }
        cap_buf_add_str(out, *separator == ',' ? ": " : "");
        cap_plain_add(out, reasons->text[i]);
        cap_buf_add_char(out, '\n');
    }
    if (reasons->declared)
        cap_buf_add_str(out, "* rests on what the submitter declared\n");
}

static bool has_mark(const Moecap__V1__BoardRow *row, const char *id)
{
    for (size_t i = 0; i < row->n_marks; i++)
        if (strcmp(row->marks[i]->id, id) == 0)
            return true;
    return false;
}

/* Whether a row above `at` has it: then its line is there. */
static bool was_said(const Moecap__V1__BoardReply *reply, size_t at, const char *id)
{
    for (size_t i = 0; i < at; i++)
        if (has_mark(reply->rows[i], id))
            return true;
    return false;
}

/* "! unsettled: run-a, run-b", a line for each bad mark; `moecap run show` has the sentences. */
static void add_marks(const Moecap__V1__BoardReply *reply, struct cap_buf *out)
{
    for (size_t i = 0; i < reply->n_rows; i++)
        for (size_t m = 0; m < reply->rows[i]->n_marks; m++) {
            const Moecap__V1__Mark *mark = reply->rows[i]->marks[m];
            size_t runs = 0;

            if (!mark->bad || was_said(reply, i, mark->id))
                continue;
            cap_buf_add_str(out, "! ");
            cap_plain_add(out, mark->id);
            for (size_t r = i; r < reply->n_rows; r++) {
                if (!has_mark(reply->rows[r], mark->id))
                    continue;
                if (runs++ < MARKED_RUNS_MAX)
                    cap_buf_printf(out, runs == 1 ? ": %s" : ", %s", reply->rows[r]->run_id);
            }
            if (runs > MARKED_RUNS_MAX)
                cap_buf_printf(out, " and %zu more", runs - MARKED_RUNS_MAX);
            cap_buf_add_str(out, "; moecap run show RUN says why\n");
        }
}

static void add_dropped(const struct cli_table_out *table, struct cap_buf *out)
{
    const char *separator = "not shown at this width: ";

    for (size_t c = 0; c < table->columns; c++) {
        if (!(table->dropped >> c & 1))
            continue;
        cap_buf_printf(out, "%s%s", separator, table->cells[c]);
        separator = ", ";
    }
    if (table->dropped)
        cap_buf_add_char(out, '\n');
}

/* An empty answer to a question with filters does not mean an empty board. */
static void add_empty(struct cap_buf *out)
{
    const struct cli_board_options *o = &cli_board_options;
    const struct {
        const char *option, *value;
    } filters[] = {{"--model", o->model},
                   {"--task", o->task},
                   {"--engine", o->engine},
                   {"--precision", o->precision},
                   {"--evaluation", o->evaluation}};
    const char *separator = "no finished run has ";
    CAP_AUTO_BUF(text, 4096);

    for (size_t i = 0; i < CAP_COUNT_OF(filters); i++) {
        if (!filters[i].value)
            continue;
        cap_buf_printf(&text, "%s%s %s", separator, filters[i].option, filters[i].value);
        separator = " and ";
    }
    if (text.length == 0)
        cap_buf_add_str(&text, "the board is empty; moecap submit --help shows how to fill it");
    else if (!o->all)
        cap_buf_add_str(&text, "; --all includes unfinished and failed runs");
    cap_plain_add(out, text.data);
    cap_buf_add_char(out, '\n');
}

/* width 0: as wide as it gets */
static void render_board(const Moecap__V1__BoardReply *reply, unsigned width, struct cap_buf *out)
{
    struct reasons reasons = {.count = 0};
    struct cli_table_out table;

    if (reply->n_rows == 0) {
        add_empty(out);
        return;
    }
    cli_table_init(&table, BOARD_COLUMNS, ((1u << STATE) - 1) & ~((1u << BATCH) - 1));
    add_headings(&table);
    for (size_t i = 0; i < reply->n_rows; i++)
        add_row(&table, reply->rows[i], &reasons);
    cli_table_fit(&table, width, dispensable, CAP_COUNT_OF(dispensable));
    cli_table_print(&table, out);
    add_reasons(&table, &reasons, out);
    add_marks(reply, out);
    add_dropped(&table, out);
    if (reply->more)
        cap_buf_printf(out, "the latest %zu runs; there are more: --csv has all\n", reply->n_rows);
    cli_table_done(&table);
}

static void print_board(const Moecap__V1__BoardReply *reply)
{
    CAP_AUTO_BUF(out, 16 << 20);

    render_board(reply, cli_is_terminal() ? cli_terminal_width() : 0, &out);
    fwrite(out.data, 1, out.length, stdout);
}

/* ---- CSV: the API's table, all of it unless --limit says how many ---- */

struct pages {
    struct cli_suite *suite;
    Moecap__V1__BoardRequest *request;
    bool more;
};

static json_t *next_page(void *arg, bool first, struct cap_err *err)
{
    struct pages *pages = arg;
    CAP_AUTO(cap_arena) arena = NULL;
    Moecap__V1__BoardReply *reply;

    if (first)
        pages->request->after = "";
    else if (!pages->more)
        return NULL;
    arena = cap_arena_new(PAGE_ARENA_BYTES);
    if (!store_rpc_board(pages->suite->store, NULL, pages->request, arena, &reply, err))
        return NULL;
    for (size_t i = 0; i < reply->n_rows; i++)
        cap_wire_add_accuracy(reply->rows[i], arena);
    pages->more = pages->request->limit == 0 && cap_wire_follow(&reply->base, &pages->request->base,
                                                                "after", pages->suite->arena);
    return cap_wire_to_json(&reply->base);
}

static bool print_csv(struct cli_suite *suite, Moecap__V1__BoardRequest *request,
                      struct cap_err *err)
{
    CAP_AUTO_BUF(text, CLI_CSV_BYTES_MAX);
    struct pages pages = {.suite = suite, .request = request};

    if (!cap_table_write(&cap_board_table, NULL, 0, next_page, &pages, &text, err))
        return false;
    cli_print_csv(text.data);
    return true;
}

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
    request.precision = (char *)(o->precision ? o->precision : "");
    request.evaluation_id = (char *)(o->evaluation ? o->evaluation : "");
    request.limit = (uint32_t)o->limit;
    request.with_unfinished = o->all;
    if (!suite)
        return cli_exit_of(err->code);
    if (o->csv && !context->globals.json)
        return print_csv(suite, &request, err) ? CLI_OK : cli_exit_of(err->code);
    if (!store_rpc_board(suite->store, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    for (size_t i = 0; i < reply->n_rows; i++)
        cap_wire_add_accuracy(reply->rows[i], suite->arena);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_board(reply);
    return CLI_OK;
}
