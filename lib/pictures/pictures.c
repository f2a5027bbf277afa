/* The table of pictures, and what they share. */
#include <math.h>
#include <string.h>

#include "inside.h"

static const struct cap_picture pictures[] = {
    {"radar", "cost, accuracy and performance of runs, on fixed scales", CAP_PAPER_SERIES, false,
     cap_picture_radar},
    {"heatmap", "load of each expert of each layer, of one run", 1, true, cap_picture_heatmap},
    {"roofline", "operations a second against operations for each byte, below what the machine can",
     CAP_PICTURE_RUNS_MAX, false, cap_picture_roofline},
    {"pareto", "accuracy against cost, or latency where a cost is not known, with the frontier",
     CAP_PICTURE_RUNS_MAX, false, cap_picture_pareto},
    {"sweep", "time per output token against output tokens a second, a line for each setting",
     CAP_PICTURE_RUNS_MAX, false, cap_picture_sweep},
    {"activation", "distinct experts of a pass by its tokens, beside a uniform router's",
     CAP_PAPER_SERIES, false, cap_picture_activation},
    {"ecdf", "share of requests that took at most so long", CAP_PAPER_SERIES, false,
     cap_picture_ecdf},
};

const struct cap_picture *cap_pictures(size_t *out_count)
{
    *out_count = CAP_COUNT_OF(pictures);
    return pictures;
}

const struct cap_picture *cap_picture_find(const char *name)
{
    for (size_t i = 0; i < CAP_COUNT_OF(pictures); i++)
        if (strcmp(pictures[i].name, name) == 0)
            return &pictures[i];
    return NULL;
}

bool cap_picture_check(const struct cap_picture *picture, size_t run_count, struct cap_err *err)
{
    return (run_count > 0 && run_count <= picture->runs_max) ||
           cap_fail(err, CAP_INVALID_ARGUMENT,
                    picture->runs_max == 1 ? "%s shows %zu run, not %zu"
                                           : "%s shows at most %zu runs, not %zu",
                    picture->name, picture->runs_max, run_count);
}

bool cap_picture_make(const struct cap_picture *picture, const struct cap_picture_ask *ask,
                      struct cap_arena *arena, struct cap_plot *out, struct cap_err *err)
{
    if (!cap_picture_check(picture, ask->run_count, err))
        return false;
    for (size_t i = 0; i < ask->run_count; i++)
        if (!ask->runs[i]->row || !ask->runs[i]->row->spec)
            return cap_fail(err, CAP_INTERNAL, "run %zu has no description", i + 1);
    return picture->make(ask, arena, out, err);
}

/* ---- what a run knows ---- */

double cap_run_figure(const Moecap__V1__GetRunReply *run, const char *id)
{
    for (size_t i = 0; i < run->row->n_figures; i++) {
        const Moecap__V1__Figure *f = run->row->figures[i];

        if (strcmp(f->id, id) == 0)
            return f->opt_value_case && !f->invalid ? f->value : NAN;
    }
    return NAN;
}

const Moecap__V1__Curve *cap_run_curve(const Moecap__V1__GetRunReply *run, const char *id)
{
    for (size_t i = 0; i < run->n_curves; i++) {
        const Moecap__V1__Curve *curve = run->curves[i];

        if (strcmp(curve->id, id) == 0 && curve->n_x > 0 && curve->n_x == curve->n_y)
            return curve;
    }
    return NULL;
}

static const char *plain_name(const Moecap__V1__GetRunReply *run, struct cap_arena *arena)
{
    const Moecap__V1__EvaluationSpec *spec = run->row->spec;
    bool closed = spec->load && spec->load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY;
    const char *name =
        cap_arena_printf(arena, closed ? "%s, %s %s, batch %u" : "%s, %s %s", spec->model,
                         spec->engine, spec->precision, closed ? spec->load->concurrency : 0);

    return name ? name : run->row->run_id;
}

const char *cap_run_name(const struct cap_picture_ask *ask, size_t run, struct cap_arena *arena)
{
    const char *name = plain_name(ask->runs[run], arena), *id = ask->runs[run]->row->run_id;
    size_t length = strlen(id);

    for (size_t i = 0; i < ask->run_count; i++) {
        const char *longer;

        if (i == run || strcmp(plain_name(ask->runs[i], arena), name) != 0)
            continue;
        longer = cap_arena_printf(arena, "%s (%s)", name, id + (length > 5 ? length - 5 : 0));
        return longer ? longer : name;
    }
    return name;
}

/* ---- charts ---- */

struct cap_chart *cap_chart_make(struct cap_arena *arena, size_t series, size_t points,
                                 struct cap_chart_series **out_series)
{
    struct cap_chart *chart = cap_arena_alloc(arena, sizeof *chart);
    struct cap_chart_series *items = cap_arena_array(arena, series, sizeof *items);

    if (!chart || !items)
        return NULL;
    for (size_t i = 0; i < series; i++) {
        items[i].color = (unsigned)i;
        items[i].x = cap_arena_array(arena, points, sizeof *items[i].x);
        items[i].y = cap_arena_array(arena, points, sizeof *items[i].y);
        items[i].labels = cap_arena_array(arena, points, sizeof *items[i].labels);
        if (!items[i].x || !items[i].y || !items[i].labels)
            return NULL;
    }
    chart->series = items;
    *out_series = items;
    return chart;
}

void cap_series_add(struct cap_chart_series *series, double x, double y)
{
    ((double *)series->x)[series->count] = x;
    ((double *)series->y)[series->count++] = y;
}

const char *cap_left_out(const struct cap_picture_ask *ask, const bool *shown, const char *what,
                         struct cap_arena *arena)
{
    CAP_AUTO_BUF(text, 512);
    size_t count = 0;

    for (size_t i = 0; i < ask->run_count; i++)
        if (!shown[i])
            cap_buf_printf(&text, "%s%s", count++ ? "; " : "", cap_run_name(ask, i, arena));
    return count ? cap_arena_printf(arena, "left out, without %s: %s", what, text.data) : NULL;
}
