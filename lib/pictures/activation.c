/* How many experts a pass uses, by its tokens; dashed what a router would use that chose
 * uniformly. */
#include "inside.h"

static size_t most_points(const struct cap_picture_ask *ask, const char *id)
{
    size_t most = 0;

    for (size_t i = 0; i < ask->run_count; i++) {
        const Moecap__V1__Curve *curve = cap_run_curve(ask->runs[i], id);

        if (curve && curve->n_x > most)
            most = curve->n_x;
    }
    return most;
}

static void add_curve(const Moecap__V1__Curve *curve, struct cap_chart_series *measured,
                      struct cap_chart_series *uniform)
{
    measured->signs = true;
    uniform->dashed = true;
    uniform->color = measured->color;
    for (size_t k = 0; k < curve->n_x; k++) {
        cap_series_add(measured, curve->x[k], curve->y[k]);
        if (curve->n_reference == curve->n_x)
            cap_series_add(uniform, curve->x[k], curve->reference[k]);
    }
}

bool cap_picture_activation(const struct cap_picture_ask *ask, struct cap_arena *arena,
                            struct cap_plot *out, struct cap_err *err)
{
    const char *id = ask->prefill ? "activation_batch_prefill" : "activation_batch_decode";
    size_t points = most_points(ask, id);
    struct cap_chart_series *series;
    struct cap_chart *chart =
        points ? cap_chart_make(arena, 2 * ask->run_count, points, &series) : NULL;
    bool shown[CAP_PICTURE_RUNS_MAX];

    if (points == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "no run has the curve %s; only engines that tell their routing have it "
                        "(docs/activation.md)",
                        id);
    if (!chart)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture is too large");
    for (size_t i = 0; i < ask->run_count; i++) {
        const Moecap__V1__Curve *curve = cap_run_curve(ask->runs[i], id);
        struct cap_chart_series *measured = &series[2 * i];

        measured->color = (unsigned)i;
        shown[i] = curve != NULL;
        if (!curve)
            continue;
        add_curve(curve, measured, measured + 1);
        measured->name = cap_run_name(ask, i, arena);
        measured[1].name = i == 0 && measured[1].count ? "dashed: a uniform router" : NULL;
    }
    chart->series_count = 2 * ask->run_count;
    chart->kind = "activation";
    chart->title = ask->prefill ? "Activated experts, prefill" : "Activated experts, decode";
    chart->note = cap_left_out(ask, shown, "the curve", arena);
    chart->x = (struct cap_chart_side){"tokens in a pass", .log = true};
    chart->y = (struct cap_chart_side){"distinct experts of a layer, mean"};
    *out = cap_chart_plot(chart);
    return true;
}
