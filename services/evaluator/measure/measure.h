/* measure.h — figures of a run, each with its reason where there is none.
 *
 * One row of figures.def is one figure. Unknown is never 0: a figure that cannot be computed has no
 * value and a reason; one that is beyond what is possible is marked invalid and says why. Formulas
 * and their sources: docs/metrics.md. Pure functions; any thread.
 */
#ifndef EVAL_MEASURE_H
#define EVAL_MEASURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "measure/evidence.h"

enum eval_figure_id {
#define FIGURE(id, unit, basis, formula, source) EVAL_FIGURE_##id,
#include "words/figures.def"
#undef FIGURE
    EVAL_FIGURE_COUNT
};

struct eval_figure {
    const char *id, *unit, *basis;
    bool has_value, has_interval, invalid;
    double value, low, high;
    const char *reason; /* "" where there is a value and it is possible */
};

struct eval_histogram {
    const char *id;
    double lowest, growth;
    uint64_t *counts;
    size_t count;
};

enum { EVAL_HISTOGRAMS_MAX = 4, EVAL_HISTOGRAM_BUCKETS_MAX = 288 };

struct eval_summary {
    struct eval_figure *figures; /* accuracies first, then the table's rows in order */
    size_t figure_count;
    struct eval_histogram histograms[EVAL_HISTOGRAMS_MAX];
    size_t histogram_count;
};

/* Texts live in the arena or with the evidence. False when the arena is full. */
bool eval_measure(struct eval_evidence *evidence, struct cap_arena *arena,
                  struct eval_summary *out);

/* ---- for the files of this folder ---- */

struct eval_figures {
    struct eval_figure rows[EVAL_FIGURE_COUNT];
    struct cap_arena *arena;
};

void eval_figure_set(struct eval_figures *f, enum eval_figure_id id, double value);
void eval_figure_none(struct eval_figures *f, enum eval_figure_id id, const char *reason);
/* A value that rests on what the submitter declared. */
void eval_figure_declared(struct eval_figures *f, enum eval_figure_id id);
/* Keeps the value, if there is one. */
void eval_figure_invalid(struct eval_figures *f, enum eval_figure_id id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void eval_measure_counts(const struct eval_evidence *e, struct eval_figures *f);
void eval_measure_latency(struct eval_evidence *e, struct eval_figures *f);
void eval_measure_throughput(const struct eval_evidence *e, struct eval_figures *f);
void eval_measure_experts(const struct eval_evidence *e, struct eval_figures *f);
/* The accuracy of one of the run's metrics. */
struct eval_figure eval_measure_accuracy(const struct eval_evidence *e, size_t metric);

/* Wilson's interval for `correct` of `count`, at 95 %. */
void eval_wilson(uint64_t correct, uint64_t count, double *out_low, double *out_high);
/* Percentile of sorted values, between two of them by linear interpolation. */
double eval_percentile(const double *sorted, size_t count, double percent);
/* Why times of this run are no measurement; NULL: they are. */
const char *eval_timing_problem(const struct eval_evidence *e);

/* Table of figures.def as Markdown. */
void eval_measure_markdown(struct cap_buf *out);

#endif
