#include "measure/measure.h"

#include <math.h>
#include <stdarg.h>

static const struct {
    const char *id, *unit, *basis, *formula, *source;
} table[] = {
#define FIGURE(id, unit, basis, formula, source) {#id, unit, basis, formula, source},
#include "words/figures.def"
#undef FIGURE
};

/* ---- one figure ---- */

void eval_figure_set(struct eval_figures *f, enum eval_figure_id id, double value)
{
    struct eval_figure *figure = &f->rows[id];

    figure->has_value = isfinite(value);
    figure->value = value;
    figure->reason = figure->has_value ? "" : "not a number";
    figure->basis = figure->has_value ? table[id].basis : "unavailable";
}

void eval_figure_none(struct eval_figures *f, enum eval_figure_id id, const char *reason)
{
    f->rows[id].has_value = false;
    f->rows[id].reason = reason;
    f->rows[id].basis = "unavailable";
}

void eval_figure_declared(struct eval_figures *f, enum eval_figure_id id)
{
    if (f->rows[id].has_value)
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
                          struct eval_summary *out)
{
    struct eval_histogram *h = &out->histograms[out->histogram_count];

    if (values->count == 0)
        return true;
    *h = (struct eval_histogram){
        .id = id, .lowest = HISTOGRAM_LOWEST_US, .growth = histogram_growth};
    h->counts = cap_arena_array(arena, EVAL_HISTOGRAM_BUCKETS_MAX, sizeof *h->counts);
    if (!h->counts)
        return false;
    for (size_t i = 0; i < values->count; i++) {
        double v = values->items[i];
        size_t bucket = v > HISTOGRAM_LOWEST_US ? (size_t)(log(v) / log(histogram_growth)) : 0;

        if (bucket >= EVAL_HISTOGRAM_BUCKETS_MAX)
            bucket = EVAL_HISTOGRAM_BUCKETS_MAX - 1;
        h->counts[bucket]++;
        if (bucket + 1 > h->count)
            h->count = bucket + 1;
    }
    out->histogram_count++;
    return true;
}

/* A run that was interrupted has no times, so it has no curve of them either. */
static bool add_histograms(const struct eval_evidence *e, struct cap_arena *arena,
                           struct eval_summary *out)
{
    return eval_timing_problem(e) || (add_histogram(&e->ttft, "ttft_us", arena, out) &&
                                      add_histogram(&e->tpot, "tpot_us", arena, out) &&
                                      add_histogram(&e->itl, "itl_us", arena, out) &&
                                      add_histogram(&e->e2e, "e2e_us", arena, out));
}

/* ---- the whole ---- */

bool eval_measure(struct eval_evidence *evidence, struct cap_arena *arena, struct eval_summary *out)
{
    struct eval_figures *f = cap_arena_alloc(arena, sizeof *f);
    size_t metrics = evidence->header.metric_count, count = metrics + EVAL_FIGURE_COUNT;
    struct eval_figure *figures = cap_arena_array(arena, count, sizeof *figures);
    struct eval_summary summary = {.figures = figures, .figure_count = count};

    if (!f || !figures)
        return false;
    f->arena = arena;
    for (int i = 0; i < EVAL_FIGURE_COUNT; i++)
        f->rows[i] = (struct eval_figure){
            .id = table[i].id, .unit = table[i].unit, .basis = "unavailable", .reason = ""};
    eval_measure_counts(evidence, f);
    eval_measure_latency(evidence, f);
    eval_measure_throughput(evidence, f);
    eval_measure_experts(evidence, f);
    for (size_t i = 0; i < metrics; i++)
        figures[i] = eval_measure_accuracy(evidence, i);
    for (size_t i = 0; i < EVAL_FIGURE_COUNT; i++)
        figures[metrics + i] = f->rows[i];
    for (size_t i = 0; i < count; i++)
        if (!figures[i].reason)
            return false;
    if (!add_histograms(evidence, arena, &summary))
        return false;
    *out = summary;
    return true;
}

/* ---- documentation ---- */

void eval_measure_markdown(struct cap_buf *out)
{
    cap_buf_add_str(out, "| figure | unit | formula | from | basis |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < CAP_COUNT_OF(table); i++)
        cap_buf_printf(out, "| `%s` | %s | %s | %s | %s |\n", table[i].id, table[i].unit,
                       table[i].formula, table[i].source, table[i].basis);
}
