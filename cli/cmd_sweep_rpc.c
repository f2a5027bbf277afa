/* sweep: the evaluations of a sweep side by side, and the highest load within the service level.
 *
 * A row for each run, in the order of the knobs that differ between them, which are the first
 * columns: so it does not matter whether the evaluations were submitted together. A load meets the
 * objective when the share of requests that do (slo_met) reaches --attain. The highest one that
 * does is printed with the next one above it, which does not: alone it could be luck. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "cmd.h"
#include "moecap/v1/common.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "out.h"
#include "suite.h"
#include "wire/table.h"

enum { ROWS_MAX = 4096, VARIED_MAX = 4 };

struct cli_sweep_options cli_sweep_options;

static const struct {
    const char *heading, *figure;
    double scale;
} figures[] = {
    {"req/s", "requests_per_s", 1},    {"out tok/s", "output_tokens_per_s", 1},
    {"TTFT p50 ms", "ttft_ms_p50", 1}, {"TTFT p99 ms", "ttft_ms_p99", 1},
    {"TPOT p50 ms", "tpot_ms_p50", 1}, {"e2e p50 ms", "e2e_ms_p50", 1},
    {"SLO met %", "slo_met", 100},     {"goodput/s", "goodput_per_s", 1},
    {"accuracy %", "accuracy", 100},
};

struct rows {
    const Moecap__V1__BoardRow **items;
    size_t count;
    enum cap_knob_id varied[VARIED_MAX];
    size_t varied_count;
};

/* ---- what differs ---- */

void cli_add_knob(struct cap_buf *out, const Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id)
{
    struct cap_knob_value value = cap_spec_get(spec, id);

    if (!value.is_set)
        return;
    switch (cap_knobs[id].kind) {
    case CAP_KNOB_WHOLE:
        cap_buf_printf(out, "%lld", (long long)value.whole);
        break;
    case CAP_KNOB_REAL:
        cap_buf_printf(out, "%g", value.real);
        break;
    case CAP_KNOB_SWITCH:
        cap_buf_add_str(out, value.whole ? "on" : "off");
        break;
    case CAP_KNOB_LIST:
        for (size_t i = 0; i < value.count; i++)
            cap_buf_printf(out, "%s%s", i ? "," : "", value.items[i]);
        break;
    default:
        cap_buf_printf(out, "%.64s", value.text);
        break;
    }
}

static bool differs(const struct rows *rows, enum cap_knob_id id)
{
    CAP_AUTO_BUF(first, 4096);

    cli_add_knob(&first, rows->items[0]->spec, id);
    for (size_t i = 1; i < rows->count; i++) {
        CAP_AUTO_BUF(other, 4096);

        cli_add_knob(&other, rows->items[i]->spec, id);
        if (strcmp(first.data, other.data) != 0)
            return true;
    }
    return false;
}

/* Of the knobs that change what is run. */
static void find_varied(struct rows *rows)
{
    for (int id = 0; id < CAP_KNOB_COUNT && rows->varied_count < VARIED_MAX; id++)
        if (cap_knobs[id].hash != CAP_NOT_HASHED && differs(rows, (enum cap_knob_id)id))
            rows->varied[rows->varied_count++] = (enum cap_knob_id)id;
}

static const struct rows *ordered; /* for qsort */

static int by_values(const void *a, const void *b)
{
    const Moecap__V1__BoardRow *const *x = a, *const *y = b;

    for (size_t i = 0; i < ordered->varied_count; i++) {
        struct cap_knob_value left = cap_spec_get((*x)->spec, ordered->varied[i]);
        struct cap_knob_value right = cap_spec_get((*y)->spec, ordered->varied[i]);
        double apart = (double)(left.whole - right.whole) + left.real - right.real;
        int texts = strcmp(left.text, right.text);

        if (apart != 0 || texts != 0)
            return apart != 0 ? (apart > 0) - (apart < 0) : texts;
    }
    return strcmp((*x)->run_id, (*y)->run_id);
}

/* ---- the highest load ---- */

static const Moecap__V1__Figure *find_figure(const Moecap__V1__BoardRow *row, const char *id)
{
    for (size_t i = 0; i < row->n_figures; i++)
        if (strcmp(row->figures[i]->id, id) == 0)
            return row->figures[i];
    return NULL;
}

static bool value_of(const Moecap__V1__BoardRow *row, const char *id, double *out)
{
    const Moecap__V1__Figure *f = find_figure(row, id);

    if (!f || f->opt_value_case != MOECAP__V1__FIGURE__OPT_VALUE_VALUE || f->invalid)
        return false;
    *out = f->value;
    return true;
}

/* The knob of the load that was swept; CAP_KNOB_COUNT: none was, or more than it. */
static enum cap_knob_id load_of(const struct rows *rows)
{
    bool one = rows->varied_count == 1 &&
               (rows->varied[0] == CAP_KNOB_rate || rows->varied[0] == CAP_KNOB_concurrency);

    return one ? rows->varied[0] : CAP_KNOB_COUNT;
}

static double amount(const Moecap__V1__BoardRow *row, enum cap_knob_id id)
{
    struct cap_knob_value value = cap_spec_get(row->spec, id);

    return value.real + (double)value.whole;
}

/* A load that meets the objective above one that does not: nobody would believe the line otherwise,
 * with the table above it. */
static void add_luck(const struct rows *rows, double attain, double failed, struct cap_buf *out)
{
    enum cap_knob_id load = load_of(rows);
    double met;

    for (size_t i = 0; i < rows->count; i++) {
        double at = amount(rows->items[i], load);

        if (at <= failed || !value_of(rows->items[i], "slo_met", &met) || met < attain)
            continue;
        cap_buf_printf(
            out, "; that %g meets it may be luck, or the failure below it is: --repeats 3 tells",
            at);
        return;
    }
}

/* Rows are in the order of the load. All repeats of a value must meet the objective, and so must
 * every value below. */
static void add_highest(const struct rows *rows, double attain, struct cap_buf *out)
{
    enum cap_knob_id load = load_of(rows);
    double met, best = 0, below = 0, next = 0, next_met = 0;
    bool any_known = false, next_known = false;

    for (size_t i = 0; i < rows->count && load != CAP_KNOB_COUNT; i++) {
        double at = amount(rows->items[i], load);
        bool is_known = value_of(rows->items[i], "slo_met", &met);

        any_known |= is_known;
        if (next > 0)
            continue;
        if (is_known && met >= attain) {
            below = at > best ? best : below;
            best = at;
        } else { /* a load of which nobody knows does not meet it either */
            next = at;
            next_known = is_known;
            next_met = is_known ? met : 0;
            best = best == at ? below : best; /* another repeat of it met the objective */
        }
    }
    if (!any_known)
        return;
    cap_buf_printf(out, "highest %s at which %g %% of the requests meet the objective: ",
                   cap_knobs[load].flag, attain * 100);
    if (best > 0)
        cap_buf_printf(out, "%g", best);
    else
        cap_buf_add_str(out, "none of these");
    if (next > 0 && !next_known)
        cap_buf_printf(out, " (at %g it is not known)", next);
    else if (next > 0)
        cap_buf_printf(out, " (at %g it is %.1f %%)", next, next_met * 100);
    else
        cap_buf_add_str(out, " (nothing above it was run: it may be higher)");
    if (next > 0)
        add_luck(rows, attain, next, out);
    cap_buf_add_char(out, '\n');
}

/* ---- the table ---- */

static void add_marks(struct cli_table_out *table, const Moecap__V1__BoardRow *row)
{
    CAP_AUTO_BUF(text, 1024);

    for (size_t i = 0; i < row->n_marks; i++)
        if (row->marks[i]->bad)
            cap_buf_printf(&text, "%s%.64s", text.length ? " " : "", row->marks[i]->id);
    cli_table_add(table, text.length ? text.data : "-");
}

static void add_row(struct cli_table_out *table, const struct rows *rows,
                    const Moecap__V1__BoardRow *row)
{
    double value;

    for (size_t i = 0; i < rows->varied_count; i++) {
        CAP_AUTO_BUF(text, 4096);

        cli_add_knob(&text, row->spec, rows->varied[i]);
        cli_table_add(table, text.length ? text.data : "-");
    }
    for (size_t i = 0; i < CAP_COUNT_OF(figures); i++)
        if (value_of(row, figures[i].figure, &value))
            cli_table_addf(table, "%.4g", value * figures[i].scale);
        else
            cli_table_add(table, "-");
    add_marks(table, row);
    cli_table_add(table, run_state_word(row->state));
    cli_table_add(table, row->run_id);
}

static void render_sweep(struct rows *rows, double attain, unsigned width, struct cap_buf *out)
{
    enum { BEHIND = 3 }; /* marks, state, run */
    const size_t numbers = CAP_COUNT_OF(figures);
    struct cli_table_out table;
    size_t dispensable[3];

    assert(rows->count > 0); /* an evaluation without runs is refused */
    find_varied(rows);
    ordered = rows;
    qsort(rows->items, rows->count, sizeof(void *), by_values);
    cli_table_init(&table, rows->varied_count + numbers + BEHIND,
                   (1u << (rows->varied_count + numbers)) - 1);
    for (size_t i = 0; i < rows->varied_count; i++)
        cli_table_add(&table, cap_knobs[rows->varied[i]].flag);
    for (size_t i = 0; i < numbers; i++)
        cli_table_add(&table, figures[i].heading);
    cli_table_add(&table, "marks");
    cli_table_add(&table, "state");
    cli_table_add(&table, "run");
    for (size_t i = 0; i < rows->count; i++)
        add_row(&table, rows, rows->items[i]);
    dispensable[0] = rows->varied_count + numbers + 1; /* the state */
    dispensable[1] = rows->varied_count + 5;           /* e2e */
    dispensable[2] = rows->varied_count + 1;           /* out tok/s */
    cli_table_fit(&table, width, dispensable, CAP_COUNT_OF(dispensable));
    cli_table_print(&table, out);
    cli_table_done(&table);
    add_highest(rows, attain, out);
}

/* ---- the command ---- */

static bool fetch(struct cli_suite *suite, const char *word, struct rows *rows, struct cap_err *err)
{
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *reply;
    const char *id;

    if (!cli_full_id(suite, word, &id, err))
        return false;
    request.evaluation_id = (char *)id;
    request.with_unfinished = true;
    request.without_report = true;
    if (!store_rpc_board(suite->store, NULL, &request, suite->arena, &reply, err))
        return false;
    if (reply->n_rows == 0)
        return cap_fail(err, CAP_NOT_FOUND, "%.64s is no evaluation with runs", word);
    for (size_t i = 0; i < reply->n_rows && rows->count < ROWS_MAX; i++) {
        cap_wire_add_accuracy(reply->rows[i], suite->arena);
        rows->items[rows->count++] = reply->rows[i];
    }
    return true;
}

static void print_json(const struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        cli_print_json(cap_wire_to_json(&rows->items[i]->base));
}

int cli_print_sweep(struct cli_context *context, const char *const *ids, int count, double attain,
                    struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    CAP_AUTO_MEM const Moecap__V1__BoardRow **items = calloc(ROWS_MAX, sizeof(void *));
    struct rows rows = {.items = items};
    CAP_AUTO_BUF(out, 16 << 20);

    if (!items)
        abort();
    if (!suite)
        return cli_exit_of(err->code);
    for (int i = 0; i < count; i++)
        if (!fetch(suite, ids[i], &rows, err))
            return cli_exit_of(err->code);
    if (context->globals.json) {
        print_json(&rows);
        return CLI_OK;
    }
    render_sweep(&rows, attain, cli_is_terminal() ? cli_terminal_width() : 0, &out);
    fwrite(out.data, 1, out.length, stdout);
    return CLI_OK;
}

bool cli_meets_slo(struct cli_context *context, const char *id, double attain, bool *out_met,
                   struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    CAP_AUTO_MEM const Moecap__V1__BoardRow **items = calloc(ROWS_MAX, sizeof(void *));
    struct rows rows = {.items = items};
    double met;

    if (!items)
        abort();
    if (!suite || !fetch(suite, id, &rows, err))
        return false;
    *out_met = true;
    for (size_t i = 0; i < rows.count; i++) {
        const Moecap__V1__Figure *f = find_figure(rows.items[i], "slo_met");

        if (!value_of(rows.items[i], "slo_met", &met))
            return cap_fail(err, CAP_FAILED_PRECONDITION,
                            "%.64s does not say how many requests met the objective: %s",
                            rows.items[i]->run_id, f ? f->reason : "it has no such figure");
        *out_met &= met >= attain;
    }
    return true;
}

int cli_cmd_sweep(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    const struct cli_sweep_options *o = &cli_sweep_options;

    if (o->has_attain && !(o->attain > 0 && o->attain <= 1)) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "--attain %g is not above 0 and up to 1", o->attain);
        return CLI_USAGE;
    }
    return cli_print_sweep(context, words->items, words->count,
                           o->has_attain ? o->attain : CLI_ATTAIN_DEFAULT, err);
}
