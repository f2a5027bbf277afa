/* The roofline. A machine does at most its peak, and at most its bandwidth times what it does with
 * each byte; a run's phase lies below. Solid: by the data sheet, or as declared. Dashed: what the
 * node's probe attained. */
#include <math.h>

#include "inside.h"

enum { ROOFS_MAX = 6, ROOF_POINTS = 3, NAMED_MAX = 3 };

struct roof {
    double gb_s, gflop_s;
    bool attained;
};

struct roofs {
    struct roof items[ROOFS_MAX];
    size_t count;
};

static void add_roof(struct roofs *roofs, double gb_s, double gflop_s, bool attained)
{
    if (!(gb_s > 0 && gflop_s > 0) || roofs->count == ROOFS_MAX)
        return;
    for (size_t i = 0; i < roofs->count; i++)
        if (roofs->items[i].attained == attained && /* of one machine, measured twice */
            fabs(log(roofs->items[i].gb_s / gb_s)) < 0.1 &&
            fabs(log(roofs->items[i].gflop_s / gflop_s)) < 0.1)
            return;
    roofs->items[roofs->count++] = (struct roof){gb_s, gflop_s, attained};
}

/* Bytes a second: of decode a figure; of prefill its share of a bandwidth that is one. */
static double gb_per_s(const Moecap__V1__GetRunReply *run, bool prefill)
{
    double share;

    if (!prefill)
        return cap_run_figure(run, "decode_gb_per_s");
    share = cap_run_figure(run, "smbu_prefill") * cap_run_figure(run, "peak_gb_per_s");
    return isfinite(share) ? share
                           : cap_run_figure(run, "smbu_prefill_attainable") *
                                 cap_run_figure(run, "attainable_gb_per_s");
}

static bool add_run(struct cap_chart_series *series, const Moecap__V1__GetRunReply *run, bool named,
                    double *io_low, double *io_high)
{
    static const char *const names[] = {"decode", "prefill"};

    for (int prefill = 0; prefill <= 1; prefill++) {
        double speed = cap_run_figure(run, prefill ? "prefill_gflop_per_s" : "decode_gflop_per_s");
        double intensity = speed / gb_per_s(run, prefill);

        if (!(intensity > 0 && isfinite(intensity)))
            continue;
        *io_low = fmin(*io_low, intensity);
        *io_high = fmax(*io_high, intensity);
        if (named)
            ((const char **)series->labels)[series->count] = names[prefill];
        cap_series_add(series, intensity, speed);
    }
    return series->count > 0;
}

/* Along the whole of the picture. */
static void draw_roof(struct cap_chart_series *series, const struct roof *roof, double low,
                      double high, struct cap_arena *arena)
{
    CAP_AUTO_BUF(text, 128);

    cap_buf_add_str(&text, roof->attained ? "attained: " : "nameplate: ");
    cap_plot_add_number(&text, roof->gb_s);
    cap_buf_add_str(&text, " GB/s, ");
    cap_plot_add_number(&text, roof->gflop_s);
    cap_buf_add_str(&text, " GFLOP/s");
    series->kind = CAP_CHART_LINE;
    series->dashed = roof->attained;
    series->color = CAP_PAPER_SERIES - 1;
    series->name = cap_arena_strdup(arena, text.data);
    cap_series_add(series, low, roof->gb_s * low);
    cap_series_add(series, roof->gflop_s / roof->gb_s, roof->gflop_s);
    cap_series_add(series, high, roof->gflop_s);
}

/* The intensities that the picture shows: of the points, and of every ridge. */
static void draw_roofs(const struct roofs *roofs, struct cap_chart_series *series, double low,
                       double high, struct cap_arena *arena)
{
    for (size_t i = 0; i < roofs->count; i++) {
        low = fmin(low, roofs->items[i].gflop_s / roofs->items[i].gb_s);
        high = fmax(high, roofs->items[i].gflop_s / roofs->items[i].gb_s);
    }
    for (size_t i = 0; i < roofs->count; i++)
        draw_roof(&series[i], &roofs->items[i], low / 2, high * 2, arena);
}

bool cap_picture_roofline(const struct cap_picture_ask *ask, struct cap_arena *arena,
                          struct cap_plot *out, struct cap_err *err)
{
    struct cap_chart_series *series;
    struct cap_chart *chart =
        cap_chart_make(arena, ask->run_count + ROOFS_MAX, ROOF_POINTS, &series);
    bool shown[CAP_PICTURE_RUNS_MAX], any = false;
    double low = INFINITY, high = -INFINITY;
    struct roofs roofs = {.count = 0};

    if (!chart)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture is too large");
    for (size_t i = 0; i < ask->run_count; i++) {
        const Moecap__V1__GetRunReply *run = ask->runs[i];

        series[i].kind = CAP_CHART_POINTS;
        shown[i] = add_run(&series[i], run, ask->run_count <= NAMED_MAX, &low, &high);
        any = any || shown[i];
        series[i].name = shown[i] ? cap_run_name(ask, i, arena) : NULL;
        add_roof(&roofs, cap_run_figure(run, "peak_gb_per_s"),
                 cap_run_figure(run, "peak_gflop_per_s"), false);
        add_roof(&roofs, cap_run_figure(run, "attainable_gb_per_s"),
                 cap_run_figure(run, "attainable_gflop_per_s"), true);
    }
    if (!any)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "no run knows its operations and bytes a second (decode_gflop_per_s, "
                        "decode_gb_per_s); moecap run show says why");
    draw_roofs(&roofs, &series[ask->run_count], low, high, arena);
    chart->series_count = ask->run_count + roofs.count;
    chart->kind = "roofline";
    chart->title = "Roofline";
    chart->note = cap_left_out(ask, shown, "operations or bytes a second", arena);
    if (!chart->note)
        chart->note = "of each run decode, and prefill to the right of it where it is known";
    chart->x = (struct cap_chart_side){"operations for each byte (FLOP/byte)", .log = true};
    chart->y = (struct cap_chart_side){"operations a second (GFLOP/s)", .log = true};
    *out = cap_chart_plot(chart);
    return true;
}
