/* measure.h — from a run's evidence to its figures, each with its reason where there is none.
 *
 * evidence.h has what is kept of a run, figure.h what can be said of a figure. One row of
 * families.def computes some figures from the evidence. Formulas and their sources:
 * docs/metrics.md; how to add one: docs/adding-a-figure.md.
 */
#ifndef EVAL_MEASURE_H
#define EVAL_MEASURE_H

#include "evidence.h"
#include "figure.h"

enum { EVAL_HISTOGRAMS_MAX = 8 };

/* Fills the summary: a figure for each of the task's metrics, then the table's rows in order. Texts
 * live in the arena or with the evidence. False when the arena is full. */
bool eval_measure(struct eval_evidence *evidence, struct cap_arena *arena,
                  Moecap__V1__Summary *out);

/* ---- for the files of measure/ ---- */

#define FAMILY(name, reads)                                                                        \
    void eval_measure_##name(struct eval_evidence *e, struct eval_figures *f);
#include "measure/families.def"
#undef FAMILY

/* The accuracy by one of the run's metrics, under that metric's id. */
void eval_measure_metric(const struct eval_evidence *e, size_t metric, Moecap__V1__Figure *out);

/* The four figures of a duration, the first of which is `first`; `nothing` is why there may be no
 * value at all. Values are in microseconds, figures in milliseconds. */
void eval_measure_duration(const struct eval_evidence *e, struct eval_values *values,
                           unsigned first, const char *nothing, struct eval_figures *f);

/* What a server's experts are kept in, by its declared config.json: that of a quantised checkpoint
 * wins over what the submitter says. NULL when nobody declared one that is understood. bounds.c */
const char *eval_server_precision(const struct eval_run *run, struct eval_figures *f);

/* ---- curves (measure/curves.c) ---- */

enum { EVAL_CURVES_MAX = 16, EVAL_POINTS_MAX = EVAL_LAYERS_MAX };

struct eval_curve {
    const char *id, *x_unit, *y_unit;
    double *x, *y, *reference; /* reference NULL: nothing to compare with */
    size_t count;
};
struct eval_curves {
    struct eval_curve rows[EVAL_CURVES_MAX];
    size_t count;
    struct cap_arena *arena;
};
/* For x, y and reference of a curve: seconds, watts, and idle power where it is known; how many
 * points. Only what every device was measured over. */
size_t eval_power_points(const struct eval_evidence *e, double *out_s, double *out_watts);
/* Idle power of the devices that were measured; NAN when it is not known of one. */
double eval_power_idle(const struct eval_evidence *e);

/* Every curve that has a point. False when the arena is full. */
bool eval_curves_of(const struct eval_evidence *e, struct eval_curves *out);

/* ---- cost (measure/cost.c) ---- */

/* The rows from machine_price to cost_per_correct, from other rows. */
void eval_cost_figures(const struct eval_cost_run *run, struct eval_figures *f);
/* Its inputs, with what was measured of the machine's power. */
void eval_cost_terms_of(const struct eval_cost_run *run, const struct eval_figures *f,
                        struct eval_cost_term out[EVAL_COST_INPUTS]);
/* How input and output share the cost of a run with these figures. */
const char *eval_cost_sharing(const struct eval_figures *f);
/* What those figures rest on; NULL when the arena is full. */
Moecap__V1__CostBasis *eval_cost_basis(const struct eval_cost_run *run,
                                       const struct eval_figures *f);

/* The tables of figures and families as Markdown. */
void eval_measure_markdown(struct cap_buf *out);

#endif
