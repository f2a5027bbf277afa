/* measure.h — figures of a run, each with its reason where there is none.
 *
 * One row of words/figures.def is one figure, one row of families.def computes some of them from
 * the evidence. Unknown is never 0: a figure that cannot be computed has no value and a reason; one
 * that is beyond what is possible is marked invalid and says why. Formulas and their sources:
 * docs/metrics.md; how to add one: docs/adding-a-figure.md. Pure functions; any thread.
 */
#ifndef EVAL_MEASURE_H
#define EVAL_MEASURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "evidence.h"

enum eval_figure_id {
#define FIGURE(id, unit, basis, formula, source) EVAL_FIGURE_##id,
#include "words/figures.def"
#undef FIGURE
    EVAL_FIGURE_COUNT
};

enum { EVAL_HISTOGRAMS_MAX = 4, EVAL_HISTOGRAM_BUCKETS_MAX = 288 };

/* Fills the summary: a figure for each of the task's metrics, then the table's rows in order. Texts
 * live in the arena or with the evidence. False when the arena is full. */
bool eval_measure(struct eval_evidence *evidence, struct cap_arena *arena,
                  Moecap__V1__Summary *out);

/* ---- for the files of this folder ---- */

struct eval_figures {
    Moecap__V1__Figure rows[EVAL_FIGURE_COUNT];
    struct cap_arena *arena;
};

void eval_figure_set(struct eval_figures *f, enum eval_figure_id id, double value);
void eval_figure_none(struct eval_figures *f, enum eval_figure_id id, const char *reason);
/* A value that rests on what the submitter declared. */
void eval_figure_declared(struct eval_figures *f, enum eval_figure_id id);
/* Keeps the value, if there is one. */
void eval_figure_invalid(struct eval_figures *f, enum eval_figure_id id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool eval_figure_has(const struct eval_figures *f, enum eval_figure_id id);
double eval_figure_value(const struct eval_figures *f, enum eval_figure_id id);

#define FAMILY(name, reads)                                                                        \
    void eval_measure_##name(struct eval_evidence *e, struct eval_figures *f);
#include "measure/families.def"
#undef FAMILY

/* The accuracy by one of the run's metrics, under that metric's id. */
void eval_measure_metric(const struct eval_evidence *e, size_t metric, Moecap__V1__Figure *out);

/* Wilson's interval for `correct` of `count`, at 95 %. */
void eval_wilson(uint64_t correct, uint64_t count, double *out_low, double *out_high);
/* Percentile of sorted values, between two of them by linear interpolation. */
double eval_percentile(const double *sorted, size_t count, double percent);
/* Why times of this run are no measurement; NULL: they are. */
const char *eval_timing_problem(const struct eval_evidence *e);

/* Why there is no figure of these passes; NULL: there can be one. Only a rate needs times. */
const char *eval_passes_problem(const struct eval_evidence *e, enum eval_phase phase, bool rate);
/* Why token counts are not known. */
const char *eval_counts_problem(const struct eval_evidence *e);

/* Table of figures.def as Markdown. */
void eval_measure_markdown(struct cap_buf *out);

#endif
