/* figure.h — what can be said of a run's figures and marks. One row of words/figures.def is one
 * figure. Unknown is never 0: a figure that cannot be computed has no value and a reason; one that
 * is beyond what is possible is marked invalid and says why.
 */
#ifndef EVAL_FIGURE_H
#define EVAL_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "moecap/v1/evaluator.pb-c.h"
#include "sums.h"

enum eval_figure_id {
#define FIGURE(id, unit, basis, formula, source) EVAL_FIGURE_##id,
#include "words/figures.def"
#undef FIGURE
    EVAL_FIGURE_COUNT
};

enum { EVAL_MARKS_MAX = 32 };

struct eval_figures {
    Moecap__V1__Figure rows[EVAL_FIGURE_COUNT];
    Moecap__V1__Mark marks[EVAL_MARKS_MAX];
    size_t mark_count;
    struct cap_arena *arena;
};

/* A row for each figure, none of them set yet. In the arena; NULL when it is full. */
struct eval_figures *eval_figures_new(struct cap_arena *arena);
/* Setting, or saying why there is none, forgets what was said of the figure before. */
void eval_figure_set(struct eval_figures *f, enum eval_figure_id id, double value);
void eval_figure_none(struct eval_figures *f, enum eval_figure_id id, const char *reason);
/* Takes over the figures of a measured run whose ids are in the table. */
void eval_figures_take(struct eval_figures *f, Moecap__V1__Figure *const *figures, size_t count);
/* A value that rests on what the submitter declared. */
void eval_figure_declared(struct eval_figures *f, enum eval_figure_id id);
/* Keeps the value, if there is one. */
void eval_figure_invalid(struct eval_figures *f, enum eval_figure_id id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What a reader must know beside the figures: a short word, and the sentence why. A bad one says
 * that figures are not to be trusted as they stand. The first mark of a word stays. */
void eval_mark(struct eval_figures *f, const char *id, bool bad, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* False when there is none. */
bool eval_figure_interval(const struct eval_figures *f, enum eval_figure_id id, double *out_low,
                          double *out_high);
/* The interval of a value that is set, at 95 %. */
void eval_figure_between(struct eval_figures *f, enum eval_figure_id id, double low, double high);
/* The interval of scale * sum(over) / sum(under), by a bootstrap of blocks. */
void eval_figure_between_series(struct eval_figures *f, enum eval_figure_id id,
                                const struct eval_series *series, double scale);
/* What the true percentile is at most, with 99 % confidence. */
void eval_figure_certified(struct eval_figures *f, enum eval_figure_id id, double bound);
/* No value, but where it must lie, by what was declared; the reason says why there is no more. */
void eval_figure_range(struct eval_figures *f, enum eval_figure_id id, double low, double high,
                       const char *reason);
bool eval_figure_has(const struct eval_figures *f, enum eval_figure_id id);
double eval_figure_value(const struct eval_figures *f, enum eval_figure_id id);

/* The table of figures as Markdown. */
void eval_figures_markdown(struct cap_buf *out);

#endif
