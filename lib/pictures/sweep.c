/* Latency against throughput: what a batch, or a rate, buys. Runs that differ in nothing but their
 * load are one line, in the order of throughput, and each point has its batch or rate beside it. */
#include <math.h>
#include <string.h>

#include "inside.h"

static const char *load_text(const Moecap__V1__GetRunReply *run, struct cap_arena *arena)
{
    const Moecap__V1__Load *load = run->row->spec->load;

    if (load && load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY)
        return cap_arena_printf(arena, "%u", load->concurrency);
    if (load && load->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S)
        return cap_arena_printf(arena, "%.4g/s", load->rate_per_s);
    return NULL;
}

static const char *line_name(const Moecap__V1__GetRunReply *run, struct cap_arena *arena)
{
    const Moecap__V1__EvaluationSpec *spec = run->row->spec;

    return cap_arena_printf(arena, "%s, %s %s, %s", spec->model, spec->engine, spec->precision,
                            run->row->task);
}

static void add_sorted(struct cap_chart_series *line, double x, double y, const char *label)
{
    double *xs = (double *)line->x, *ys = (double *)line->y;
    const char **labels = (const char **)line->labels;
    size_t at = line->count++;

    for (; at > 0 && xs[at - 1] > x; at--) {
        xs[at] = xs[at - 1];
        ys[at] = ys[at - 1];
        labels[at] = labels[at - 1];
    }
    xs[at] = x;
    ys[at] = y;
    labels[at] = label;
}

static struct cap_chart_series *line_of(struct cap_chart *chart, struct cap_chart_series *lines,
                                        const char *name)
{
    for (size_t i = 0; i < chart->series_count; i++)
        if (strcmp(lines[i].name, name) == 0)
            return &lines[i];
    lines[chart->series_count].name = name;
    lines[chart->series_count].signs = true;
    return &lines[chart->series_count++];
}

bool cap_picture_sweep(const struct cap_picture_ask *ask, struct cap_arena *arena,
                       struct cap_plot *out, struct cap_err *err)
{
    struct cap_chart_series *lines;
    struct cap_chart *chart = cap_chart_make(arena, ask->run_count, CAP_PICTURE_RUNS_MAX, &lines);
    bool shown[CAP_PICTURE_RUNS_MAX];

    if (!chart)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture is too large");
    for (size_t i = 0; i < ask->run_count; i++) {
        double x = cap_run_figure(ask->runs[i], "output_tokens_per_s");
        double y = cap_run_figure(ask->runs[i], "tpot_ms_p50");
        const char *name = line_name(ask->runs[i], arena);

        shown[i] = isfinite(x) && isfinite(y) && name;
        if (shown[i])
            add_sorted(line_of(chart, lines, name), x, y, load_text(ask->runs[i], arena));
    }
    if (chart->series_count == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "no run knows its output tokens a second and its median TPOT");
    chart->kind = "sweep";
    chart->title = "Latency against throughput";
    chart->note = cap_left_out(ask, shown, "throughput or TPOT", arena);
    if (!chart->note)
        chart->note = "beside a point: its batch size, or its rate";
    chart->x = (struct cap_chart_side){"output tokens a second"};
    chart->y = (struct cap_chart_side){"TPOT, median (ms)"};
    *out = cap_chart_plot(chart);
    return true;
}
