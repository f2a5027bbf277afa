/* The share of requests that took at most so long, from the histograms that a run keeps: at each
 * bucket's upper end, so that a share is never said too early. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "inside.h"

static const struct metric {
    const char *word, *id, *text;
} metrics[] = {
    {"ttft", "ttft_us", "TTFT"},
    {"tpot", "tpot_us", "TPOT"},
    {"itl", "itl_us", "ITL"},
    {"e2e", "e2e_us", "end to end"},
};

static const Moecap__V1__Histogram *histogram_of(const Moecap__V1__GetRunReply *run, const char *id)
{
    for (size_t i = 0; i < run->n_histograms; i++)
        if (strcmp(run->histograms[i]->id, id) == 0)
            return run->histograms[i];
    return NULL;
}

static bool add_histogram(const Moecap__V1__Histogram *h, struct cap_chart_series *series,
                          struct cap_arena *arena)
{
    double total = 0, sum = 0;
    double *x, *y;

    if (!h)
        return false;
    for (size_t i = 0; i < h->n_counts; i++)
        total += (double)h->counts[i];
    if (!(total > 0))
        return false;
    x = cap_arena_array(arena, h->n_counts + 1, sizeof *x);
    y = cap_arena_array(arena, h->n_counts + 1, sizeof *y);
    if (!x || !y)
        return false;
    series->kind = CAP_CHART_STEPS;
    series->x = x;
    series->y = y;
    series->labels = NULL;
    for (size_t i = 0; i < h->n_counts; i++) {
        if (h->counts[i] > 0 && sum == 0)
            cap_series_add(series, h->lowest * pow(h->growth, (double)i) / 1000, 0);
        sum += (double)h->counts[i];
        if (h->counts[i] > 0)
            cap_series_add(series, h->lowest * pow(h->growth, (double)i + 1) / 1000, sum / total);
    }
    return true;
}

/* One run: every metric a line. */
static void add_metrics(const struct cap_picture_ask *ask, struct cap_chart *chart,
                        struct cap_chart_series *series, struct cap_arena *arena)
{
    for (size_t m = 0; m < CAP_COUNT_OF(metrics); m++) {
        struct cap_chart_series *line = &series[chart->series_count];

        if (!add_histogram(histogram_of(ask->runs[0], metrics[m].id), line, arena))
            continue;
        line->name = metrics[m].text;
        chart->series_count++;
    }
    chart->title = cap_run_name(ask, 0, arena);
    chart->x.title = "at most (ms)";
}

static void add_runs(const struct cap_picture_ask *ask, const struct metric *metric,
                     struct cap_chart *chart, struct cap_chart_series *series,
                     struct cap_arena *arena)
{
    bool shown[CAP_PICTURE_RUNS_MAX];

    for (size_t i = 0; i < ask->run_count; i++) {
        struct cap_chart_series *line = &series[chart->series_count];

        shown[i] = add_histogram(histogram_of(ask->runs[i], metric->id), line, arena);
        if (!shown[i])
            continue;
        line->color = (unsigned)i;
        line->name = cap_run_name(ask, i, arena);
        chart->series_count++;
    }
    chart->title = metric->text;
    chart->note = cap_left_out(ask, shown, metric->text, arena);
    chart->x.title = cap_arena_printf(arena, "%s of at most (ms)", metric->text);
}

static const struct metric *find_metric(const char *word)
{
    for (size_t i = 0; i < CAP_COUNT_OF(metrics); i++)
        if (strcmp(metrics[i].word, word) == 0)
            return &metrics[i];
    return NULL;
}

bool cap_picture_ecdf(const struct cap_picture_ask *ask, struct cap_arena *arena,
                      struct cap_plot *out, struct cap_err *err)
{
    const char *word = ask->metric && *ask->metric ? ask->metric : NULL;
    const struct metric *metric = find_metric(word ? word : "ttft");
    struct cap_chart_series *series;
    struct cap_chart *chart =
        cap_chart_make(arena, ask->run_count + CAP_COUNT_OF(metrics), 1, &series);

    if (!metric)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "metric",
                              "metric \"%.40s\" is not ttft, tpot, itl or e2e", word);
    if (!chart)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture is too large");
    chart->kind = "ecdf";
    chart->x.log = true;
    chart->y = (struct cap_chart_side){"share of them", .low = 0, .high = 1};
    if (ask->run_count == 1 && !word)
        add_metrics(ask, chart, series, arena);
    else
        add_runs(ask, metric, chart, series, arena);
    if (chart->series_count == 0 || !chart->x.title)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "no run has times of requests");
    *out = cap_chart_plot(chart);
    return true;
}
