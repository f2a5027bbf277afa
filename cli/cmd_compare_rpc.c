/* compare: two runs on the same samples; the second against the first. repeats: runs of one
 * configuration, with an interval over runs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "suite.h"

enum { TABLE_BYTES_MAX = 1 << 20, FLIPS_SHOWN = 20, REPEATS_WANTED = 3 };

/* ---- what is compared ---- */

/* "precision int8, bf16": of what was asked for, a's value and b's. */
static void print_differences(const Moecap__V1__EvaluationSpec *a,
                              const Moecap__V1__EvaluationSpec *b)
{
    CAP_AUTO_BUF(line, 8192);

    for (int id = 0; id < CAP_KNOB_COUNT; id++) {
        CAP_AUTO_BUF(left, 4096);
        CAP_AUTO_BUF(right, 4096);

        cli_add_knob(&left, a, (enum cap_knob_id)id);
        cli_add_knob(&right, b, (enum cap_knob_id)id);
        if (cap_knobs[id].hash != CAP_NOT_HASHED && strcmp(left.data, right.data) != 0)
            cap_buf_printf(&line, "%s%s %s, %s", line.length ? "; " : "", cap_knobs[id].id,
                           left.length ? left.data : "-", right.length ? right.data : "-");
    }
    cli_say("differ      %s", line.length ? line.data : "in nothing that was asked for");
}

/* Bad marks: figures of such a run are not to be trusted as they stand. */
static void print_run(const char *name, const Moecap__V1__BoardRow *row)
{
    CAP_AUTO_BUF(marks, 2048);

    for (size_t i = 0; i < row->n_marks; i++)
        if (row->marks[i]->bad)
            cap_buf_printf(&marks, " %.64s", row->marks[i]->id);
    cli_say("%s           %s: %s, %s%s%s%s%s", name, row->run_id, row->spec->model,
            row->spec->engine, *row->spec->precision ? ", " : "", row->spec->precision,
            marks.length ? "; marked" : "", marks.data);
}

static bool print_runs(struct cli_suite *suite, const Moecap__V1__CompareReply *reply,
                       struct cap_err *err)
{
    Moecap__V1__GetRunReply *a, *b;

    if (!cli_get_run(suite, reply->run_a, &a, err) || !cli_get_run(suite, reply->run_b, &b, err))
        return false;
    print_run("a", a->row);
    print_run("b", b->row);
    print_differences(a->row->spec, b->row->spec);
    return true;
}

static void print_accuracy(const Moecap__V1__CompareReply *reply)
{
    const Moecap__V1__Figure *d = reply->accuracy;

    cli_say("samples     %u of %s by %s: both right %u, only a %u, only b %u, both wrong %u",
            reply->samples, reply->task, reply->metric, reply->right_both, reply->right_a_only,
            reply->right_b_only, reply->wrong_both);
    cli_say("accuracy    b - a: %+.1f points, 95 %% interval %+.1f to %+.1f", d->value * 100,
            d->low * 100, d->high * 100);
    cli_say("McNemar     p = %.3g (exact), %.3g (mid-p): %s", reply->p_exact, reply->p_mid,
            reply->p_mid < 0.05 ? "the runs differ"
                                : "no evidence that one is better than the other");
    cli_say("power       a difference of %.1f points would be found with 80 %% chance",
            reply->detectable * 100);
}

static void print_flips(const char *what, const uint32_t *ordinals, size_t listed, uint32_t all)
{
    CAP_AUTO_BUF(line, 4096);

    for (size_t i = 0; i < listed && i < FLIPS_SHOWN; i++)
        cap_buf_printf(&line, i ? ", %u" : "%u", ordinals[i]);
    if (all > FLIPS_SHOWN)
        cap_buf_printf(&line, " and %u more", all - FLIPS_SHOWN);
    cli_say("%s%s", what, all > 0 ? line.data : "none");
}

static void print_figures(const Moecap__V1__CompareReply *reply)
{
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_table_init(&table, 4, 1u << 1);
    for (size_t i = 0; i < reply->n_figures; i++) {
        const Moecap__V1__Figure *f = reply->figures[i];

        cli_table_addf(&table, "  %s", f->id);
        if (f->opt_value_case)
            cli_table_addf(&table, "%+.4g", f->value);
        else
            cli_table_add(&table, "-");
        cli_table_add(&table, f->unit);
        if (f->opt_low_case && f->opt_high_case)
            cli_table_addf(&table, "[%+.4g, %+.4g]%s", f->low, f->high,
                           f->low > 0 || f->high < 0 ? "" : " may be none");
        else
            cli_table_add(&table, f->reason);
    }
    cli_table_print(&table, &out);
    printf("figures, b - a:\n%s", out.data);
    cli_table_done(&table);
}

int cli_cmd_compare(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__CompareRunsRequest request = MOECAP__V1__COMPARE_RUNS_REQUEST__INIT;
    Moecap__V1__CompareReply *reply;
    const char *a, *b;

    if (!suite || !cli_full_id(suite, words->items[0], &a, err) ||
        !cli_full_id(suite, words->items[1], &b, err))
        return cli_exit_of(err->code);
    request.run_a = (char *)a;
    request.run_b = (char *)b;
    if (!scheduler_rpc_compare(suite->scheduler, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json) {
        cli_print_json(cap_wire_to_json(&reply->base));
        return CLI_OK;
    }
    if (!reply->accuracy) {
        cap_fail(err, CAP_INTERNAL, "the reply has no accuracy");
        return cli_exit_of(err->code);
    }
    if (!print_runs(suite, reply, err))
        return cli_exit_of(err->code);
    print_accuracy(reply);
    print_flips("lost        samples that only a has right: ", reply->lost, reply->n_lost,
                reply->right_a_only);
    print_flips("gained      samples that only b has right: ", reply->gained, reply->n_gained,
                reply->right_b_only);
    print_figures(reply);
    return CLI_OK;
}

/* ---- repeats ---- */

static void print_group(const Moecap__V1__RepeatGroup *group)
{
    CAP_AUTO_BUF(out, TABLE_BYTES_MAX);
    struct cli_table_out table;

    cli_say("%s, %zu finished runs%s:", group->task, group->n_run_ids,
            group->n_run_ids < REPEATS_WANTED
                ? "; three make an interval worth reading, five a winner"
                : "");
    cli_table_init(&table, 4, 1u << 1);
    for (size_t i = 0; i < group->n_figures; i++) {
        const Moecap__V1__Figure *f = group->figures[i];

        if (!f->opt_value_case)
            continue; /* each run says why; --json has them */
        cli_table_addf(&table, "  %s", f->id);
        cli_table_addf(&table, "%.6g", f->value);
        cli_table_add(&table, f->unit);
        if (f->opt_low_case && f->opt_high_case)
            cli_table_addf(&table, "[%.4g, %.4g]", f->low, f->high);
        else
            cli_table_add(&table, "");
    }
    if (table.count > 0)
        cli_table_print(&table, &out);
    printf("%s", out.data);
    cli_table_done(&table);
}

int cli_cmd_repeats(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__RepeatsOfRequest request = MOECAP__V1__REPEATS_OF_REQUEST__INIT;
    Moecap__V1__RepeatsOfReply *reply;
    const char *id;

    if (!suite || !cli_full_id(suite, words->items[0], &id, err))
        return cli_exit_of(err->code);
    request.evaluation_id = (char *)id;
    if (!scheduler_rpc_repeats(suite->scheduler, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        for (size_t i = 0; i < reply->n_groups; i++)
            print_group(reply->groups[i]);
    return CLI_OK;
}
