/* Accuracy against cost. The frontier are the runs than which no other is both cheaper and more
 * accurate. Where no run knows its cost, the median TPOT stands in its place, and the axis says
 * so. */
#include <math.h>
#include <string.h>

#include "inside.h"

struct points {
    double x[CAP_PICTURE_RUNS_MAX], y[CAP_PICTURE_RUNS_MAX];
    double low[CAP_PICTURE_RUNS_MAX], high[CAP_PICTURE_RUNS_MAX]; /* of y */
    bool shown[CAP_PICTURE_RUNS_MAX];
    size_t count, shown_count;
};

static void read_interval(const Moecap__V1__GetRunReply *run, double *out_low, double *out_high)
{
    *out_low = *out_high = NAN;
    for (size_t i = 0; i < run->row->n_figures; i++) {
        const Moecap__V1__Figure *f = run->row->figures[i];

        if (strcmp(f->id, "accuracy") == 0 && f->opt_low_case && f->opt_high_case) {
            *out_low = f->low;
            *out_high = f->high;
        }
    }
}

static void read_points(const struct cap_picture_ask *ask, const char *cost, struct points *out)
{
    out->count = ask->run_count;
    out->shown_count = 0;
    for (size_t i = 0; i < ask->run_count; i++) {
        out->x[i] = cap_run_figure(ask->runs[i], cost);
        out->y[i] = cap_run_figure(ask->runs[i], "accuracy");
        read_interval(ask->runs[i], &out->low[i], &out->high[i]);
        out->shown[i] = out->x[i] > 0 && isfinite(out->x[i]) && isfinite(out->y[i]);
        out->shown_count += out->shown[i];
    }
}

static bool is_beaten(const struct points *points, size_t which)
{
    for (size_t i = 0; i < points->count; i++)
        if (points->shown[i] && points->x[i] <= points->x[which] &&
            points->y[i] >= points->y[which] &&
            (points->x[i] < points->x[which] || points->y[i] > points->y[which]))
            return true;
    return false;
}

/* From the cheapest to the dearest. */
static void add_frontier(const struct points *points, struct cap_chart_series *series)
{
    double from = 0;

    series->kind = CAP_CHART_STEPS;
    series->dashed = true;
    series->color = CAP_PAPER_SERIES - 1;
    series->name = "frontier";
    for (;;) {
        size_t next = points->count;

        for (size_t i = 0; i < points->count; i++)
            if (points->shown[i] && points->x[i] > from && !is_beaten(points, i) &&
                (next == points->count || points->x[i] < points->x[next]))
                next = i;
        if (next == points->count)
            return;
        cap_series_add(series, points->x[next], points->y[next]);
        from = points->x[next];
    }
}

bool cap_picture_pareto(const struct cap_picture_ask *ask, struct cap_arena *arena,
                        struct cap_plot *out, struct cap_err *err)
{
    struct cap_chart_series *series;
    struct cap_chart *chart =
        cap_chart_make(arena, ask->run_count + 1, CAP_PICTURE_RUNS_MAX, &series);
    struct points *points = cap_arena_alloc(arena, sizeof *points);
    bool priced;

    if (!chart || !points)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture is too large");
    read_points(ask, "cost_per_1m_output_tokens", points);
    priced = points->shown_count > 0;
    if (!priced)
        read_points(ask, "tpot_ms_p50", points);
    if (points->shown_count == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "no run knows its accuracy and one of its cost and its TPOT");
    for (size_t i = 0; i < ask->run_count; i++) {
        series[i].kind = CAP_CHART_POINTS;
        if (!points->shown[i])
            continue;
        series[i].name = cap_run_name(ask, i, arena);
        cap_series_add(&series[i], points->x[i], points->y[i]);
        series[i].y_low = &points->low[i];
        series[i].y_high = &points->high[i];
    }
    add_frontier(points, &series[ask->run_count]);
    chart->series_count = ask->run_count + 1;
    chart->kind = "pareto";
    chart->title = priced ? "Accuracy against cost" : "Accuracy against latency";
    chart->note =
        cap_left_out(ask, points->shown, priced ? "accuracy or cost" : "accuracy or TPOT", arena);
    if (!chart->note)
        chart->note = "bars: 95 % intervals of the accuracy";
    chart->x = (struct cap_chart_side){priced ? "USD per 1M output tokens"
                                              : "TPOT, median (ms); no run knows its cost",
                                       .log = true};
    chart->y = (struct cap_chart_side){"accuracy"};
    *out = cap_chart_plot(chart);
    return true;
}
