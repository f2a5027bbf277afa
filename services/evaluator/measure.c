/* The tables of figures and families, and the summary made of them.
 *
 * Every row of the table becomes a figure of the summary, whether a family set it or not. A family
 * is called once, with all the evidence, and sets its own rows: this file knows none of them. */
#include "measure.h"

#include <math.h>
#include <stdarg.h>

static const struct {
    const char *id, *unit, *basis, *formula, *source;
} table[] = {
#define FIGURE(id, unit, basis, formula, source) {#id, unit, basis, formula, source},
#include "words/figures.def"
#undef FIGURE
};

static const struct {
    const char *name, *reads;
    void (*compute)(struct eval_evidence *e, struct eval_figures *f);
} families[] = {
#define FAMILY(name, reads) {#name, reads, eval_measure_##name},
#include "measure/families.def"
#undef FAMILY
};

/* ---- one figure ---- */

void eval_figure_set(struct eval_figures *f, enum eval_figure_id id, double value)
{
    Moecap__V1__Figure *figure = &f->rows[id];

    if (!isfinite(value)) {
        eval_figure_none(f, id, "not a number");
        return;
    }
    figure->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    figure->value = value;
    figure->reason = "";
    figure->basis = (char *)table[id].basis;
}

void eval_figure_none(struct eval_figures *f, enum eval_figure_id id, const char *reason)
{
    f->rows[id].opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE__NOT_SET;
    f->rows[id].reason = (char *)reason;
    f->rows[id].basis = "unavailable";
}

bool eval_figure_has(const struct eval_figures *f, enum eval_figure_id id)
{
    return f->rows[id].opt_value_case == MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
}

double eval_figure_value(const struct eval_figures *f, enum eval_figure_id id)
{
    return f->rows[id].value;
}

void eval_figure_declared(struct eval_figures *f, enum eval_figure_id id)
{
    if (eval_figure_has(f, id))
        f->rows[id].basis = "declared";
}

void eval_figure_invalid(struct eval_figures *f, enum eval_figure_id id, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    f->rows[id].reason = cap_arena_vprintf(f->arena, fmt, args);
    va_end(args);
    f->rows[id].invalid = true;
}

/* ---- histograms ---- */

/* Buckets of 10 %: fine enough for a curve, and those of runs can be added. */
enum { HISTOGRAM_LOWEST_US = 1 };
static const double histogram_growth = 1.1;

static bool add_histogram(const struct eval_values *values, const char *id, struct cap_arena *arena,
                          Moecap__V1__Summary *out)
{
    Moecap__V1__Histogram *h;

    if (values->count == 0)
        return true;
    if (!(h = cap_arena_alloc(arena, sizeof *h)))
        return false;
    moecap__v1__histogram__init(h);
    h->id = (char *)id;
    h->lowest = HISTOGRAM_LOWEST_US;
    h->growth = histogram_growth;
    h->counts = cap_arena_array(arena, EVAL_HISTOGRAM_BUCKETS_MAX, sizeof *h->counts);
    if (!h->counts)
        return false;
    for (size_t i = 0; i < values->count; i++) {
        double v = values->items[i];
        size_t bucket = v > HISTOGRAM_LOWEST_US ? (size_t)(log(v) / log(histogram_growth)) : 0;

        if (bucket >= EVAL_HISTOGRAM_BUCKETS_MAX)
            bucket = EVAL_HISTOGRAM_BUCKETS_MAX - 1;
        h->counts[bucket]++;
        if (bucket + 1 > h->n_counts)
            h->n_counts = bucket + 1;
    }
    out->histograms[out->n_histograms++] = h;
    return true;
}

/* A run that was interrupted has no times, so it has no curve of them either. */
static bool add_histograms(const struct eval_evidence *e, struct cap_arena *arena,
                           Moecap__V1__Summary *out)
{
    out->histograms = cap_arena_array(arena, EVAL_HISTOGRAMS_MAX, sizeof *out->histograms);
    return out->histograms &&
           (eval_timing_problem(e) || (add_histogram(&e->ttft, "ttft_us", arena, out) &&
                                       add_histogram(&e->tpot, "tpot_us", arena, out) &&
                                       add_histogram(&e->itl, "itl_us", arena, out) &&
                                       add_histogram(&e->e2e, "e2e_us", arena, out)));
}

/* ---- the whole ---- */

static struct eval_figures *new_figures(struct cap_arena *arena)
{
    struct eval_figures *f = cap_arena_alloc(arena, sizeof *f);

    if (!f)
        return NULL;
    f->arena = arena;
    for (int i = 0; i < EVAL_FIGURE_COUNT; i++) {
        moecap__v1__figure__init(&f->rows[i]);
        f->rows[i].id = (char *)table[i].id;
        f->rows[i].unit = (char *)table[i].unit;
        f->rows[i].basis = "unavailable";
    }
    return f;
}

static bool add_figures(struct eval_evidence *e, struct eval_figures *f, Moecap__V1__Summary *out)
{
    size_t metrics = e->run.metric_count;
    Moecap__V1__Figure *of_metrics = cap_arena_array(f->arena, metrics, sizeof *of_metrics);

    out->figures = cap_arena_array(f->arena, metrics + EVAL_FIGURE_COUNT, sizeof *out->figures);
    if (!of_metrics || !out->figures)
        return false;
    for (size_t i = 0; i < metrics; i++) {
        eval_measure_metric(e, i, &of_metrics[i]);
        out->figures[out->n_figures++] = &of_metrics[i];
    }
    for (size_t i = 0; i < EVAL_FIGURE_COUNT; i++) {
        if (!f->rows[i].reason) /* no memory for it */
            return false;
        out->figures[out->n_figures++] = &f->rows[i];
    }
    return true;
}

bool eval_measure(struct eval_evidence *evidence, struct cap_arena *arena, Moecap__V1__Summary *out)
{
    struct eval_figures *f = new_figures(arena);

    moecap__v1__summary__init(out);
    if (!f)
        return false;
    for (size_t i = 0; i < CAP_COUNT_OF(families); i++)
        families[i].compute(evidence, f);
    return add_figures(evidence, f, out) && add_histograms(evidence, arena, out);
}

/* ---- documentation ---- */

void eval_measure_markdown(struct cap_buf *out)
{
    cap_buf_add_str(out, "| figure | unit | formula | from | basis |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < CAP_COUNT_OF(table); i++)
        cap_buf_printf(out, "| `%s` | %s | %s | %s | %s |\n", table[i].id, table[i].unit,
                       table[i].formula, table[i].source, table[i].basis);
    cap_buf_add_str(out, "\n| family | reads |\n|---|---|\n");
    for (size_t i = 0; i < CAP_COUNT_OF(families); i++)
        cap_buf_printf(out, "| %s | %s |\n", families[i].name, families[i].reads);
}
