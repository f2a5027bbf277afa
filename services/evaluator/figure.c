/* The table of figures, and what a family may say of one: its value, why there is none, that it was
 * declared, or that it is beyond what is possible; and the marks that stand beside them. Knows no
 * family and no evidence. */
#include "figure.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "stats/stats.h"

static const struct {
    const char *id, *unit, *basis, *formula, *source;
} table[] = {
#define FIGURE(id, unit, basis, formula, source) {#id, unit, basis, formula, source},
#include "words/figures.def"
#undef FIGURE
};

/* Nothing of what was said of the figure before stays. */
static Moecap__V1__Figure *renew(struct eval_figures *f, enum eval_figure_id id)
{
    Moecap__V1__Figure *figure = &f->rows[id];

    moecap__v1__figure__init(figure);
    figure->id = (char *)table[id].id;
    figure->unit = (char *)table[id].unit;
    figure->basis = "unavailable";
    return figure;
}

struct eval_figures *eval_figures_new(struct cap_arena *arena)
{
    struct eval_figures *f = cap_arena_alloc(arena, sizeof *f);

    if (!f)
        return NULL;
    f->arena = arena;
    f->mark_count = 0;
    for (int i = 0; i < EVAL_FIGURE_COUNT; i++)
        renew(f, (enum eval_figure_id)i);
    return f;
}

void eval_figure_set(struct eval_figures *f, enum eval_figure_id id, double value)
{
    Moecap__V1__Figure *figure;

    if (!isfinite(value)) {
        eval_figure_none(f, id, "not a number");
        return;
    }
    figure = renew(f, id);
    figure->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    figure->value = value;
    figure->basis = (char *)table[id].basis;
}

void eval_figure_none(struct eval_figures *f, enum eval_figure_id id, const char *reason)
{
    renew(f, id)->reason = (char *)reason;
}

bool eval_figure_interval(const struct eval_figures *f, enum eval_figure_id id, double *out_low,
                          double *out_high)
{
    const Moecap__V1__Figure *figure = &f->rows[id];

    *out_low = figure->low;
    *out_high = figure->high;
    return figure->opt_low_case && figure->opt_high_case;
}

void eval_figure_between(struct eval_figures *f, enum eval_figure_id id, double low, double high)
{
    Moecap__V1__Figure *figure = &f->rows[id];

    if (!eval_figure_has(f, id) || !isfinite(low) || !isfinite(high))
        return;
    figure->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    figure->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
    figure->low = low;
    figure->high = high;
}

void eval_figure_between_series(struct eval_figures *f, enum eval_figure_id id,
                                const struct eval_series *series, double scale)
{
    size_t block = series->each > 0 ? cap_stats_block(series->pairs) / series->each : 0;
    struct cap_interval i;

    if (cap_stats_ratio(series->over, series->under, series->count, block, &i))
        eval_figure_between(f, id, scale * i.low, scale * i.high);
}

void eval_figure_certified(struct eval_figures *f, enum eval_figure_id id, double bound)
{
    if (!isfinite(bound))
        return;
    f->rows[id].opt_certified_case = MOECAP__V1__FIGURE__OPT_CERTIFIED_CERTIFIED;
    f->rows[id].certified = bound;
}

void eval_figure_range(struct eval_figures *f, enum eval_figure_id id, double low, double high,
                       const char *reason)
{
    Moecap__V1__Figure *figure = &f->rows[id];

    eval_figure_none(f, id, reason);
    if (!isfinite(low) || !isfinite(high))
        return;
    figure->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    figure->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
    figure->low = low;
    figure->high = high;
    figure->basis = "declared";
}

bool eval_figure_has(const struct eval_figures *f, enum eval_figure_id id)
{
    return f->rows[id].opt_value_case == MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
}

double eval_figure_value(const struct eval_figures *f, enum eval_figure_id id)
{
    return f->rows[id].value;
}

void eval_figures_take(struct eval_figures *f, Moecap__V1__Figure *const *figures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int id = 0; id < EVAL_FIGURE_COUNT; id++)
            if (strcmp(figures[i]->id, table[id].id) == 0) {
                f->rows[id] = *figures[i];
                break;
            }
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

void eval_mark(struct eval_figures *f, const char *id, bool bad, const char *fmt, ...)
{
    Moecap__V1__Mark *mark;
    va_list args;

    for (size_t i = 0; i < f->mark_count; i++)
        if (strcmp(f->marks[i].id, id) == 0)
            return;
    assert(f->mark_count < EVAL_MARKS_MAX); /* the words are in our code */
    mark = &f->marks[f->mark_count++];
    moecap__v1__mark__init(mark);
    mark->id = (char *)id;
    mark->bad = bad;
    va_start(args, fmt);
    mark->text = cap_arena_vprintf(f->arena, fmt, args);
    va_end(args);
}

void eval_figures_markdown(struct cap_buf *out)
{
    cap_buf_add_str(out, "| figure | unit | formula | from | basis |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < CAP_COUNT_OF(table); i++)
        cap_buf_printf(out, "| `%s` | %s | %s | %s | %s |\n", table[i].id, table[i].unit,
                       table[i].formula, table[i].source, table[i].basis);
}
