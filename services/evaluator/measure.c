/* The table of families, and the summary made of what they compute.
 *
 * Every row of the table of figures (figure.c) becomes a figure of the summary, whether or not a
 * family set it. A family is called once, with all the evidence, and sets its own rows: this file
 * knows none of them. */
#include "measure.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name, *reads;
    void (*compute)(struct eval_evidence *e, struct eval_figures *f);
} families[] = {
#define FAMILY(name, reads) {#name, reads, eval_measure_##name},
#include "measure/families.def"
#undef FAMILY
};

/* ---- histograms ---- */

enum { HISTOGRAM_LOWEST_US = 1 };

/* An empty one is left out. */
static bool add_buckets(const struct eval_buckets *buckets, double lowest, const char *id,
                        struct cap_arena *arena, Moecap__V1__Summary *out)
{
    Moecap__V1__Histogram *h;

    if (buckets->used == 0)
        return true;
    if (!(h = cap_arena_alloc(arena, sizeof *h)))
        return false;
    moecap__v1__histogram__init(h);
    h->id = (char *)id;
    h->lowest = lowest;
    h->growth = EVAL_HISTOGRAM_GROWTH;
    h->n_counts = buckets->used;
    h->counts = cap_arena_array(arena, buckets->used, sizeof *h->counts);
    if (!h->counts)
        return false;
    memcpy(h->counts, buckets->counts, buckets->used * sizeof *h->counts);
    out->histograms[out->n_histograms++] = h;
    return true;
}

static bool add_times(const struct eval_values *values, const char *id, struct cap_arena *arena,
                      Moecap__V1__Summary *out)
{
    struct eval_buckets buckets = {.used = 0};

    for (size_t i = 0; i < values->count; i++)
        eval_buckets_add(&buckets, HISTOGRAM_LOWEST_US, values->items[i]);
    return add_buckets(&buckets, HISTOGRAM_LOWEST_US, id, arena, out);
}

static bool add_rates(const struct eval_evidence *e, struct cap_arena *arena,
                      Moecap__V1__Summary *out)
{
    const struct eval_phase_sums *prefill = &e->phases[EVAL_PREFILL];
    const struct eval_phase_sums *decode = &e->phases[EVAL_DECODE];

    return add_buckets(&prefill->gb_s, EVAL_RATE_LOWEST, "prefill_gb_per_s", arena, out) &&
           add_buckets(&prefill->gflop_s, EVAL_RATE_LOWEST, "prefill_gflop_per_s", arena, out) &&
           add_buckets(&decode->gb_s, EVAL_RATE_LOWEST, "decode_gb_per_s", arena, out) &&
           add_buckets(&decode->gflop_s, EVAL_RATE_LOWEST, "decode_gflop_per_s", arena, out);
}

/* A run that was interrupted has no times, so it has no curve of them either. */
static bool add_histograms(const struct eval_evidence *e, struct cap_arena *arena,
                           Moecap__V1__Summary *out)
{
    out->histograms = cap_arena_array(arena, EVAL_HISTOGRAMS_MAX, sizeof *out->histograms);
    return out->histograms &&
           (eval_timing_problem(e) ||
            (add_times(&e->ttft, "ttft_us", arena, out) &&
             add_times(&e->tpot, "tpot_us", arena, out) &&
             add_times(&e->itl, "itl_us", arena, out) && add_times(&e->e2e, "e2e_us", arena, out) &&
             add_rates(e, arena, out)));
}

/* ---- curves ---- */

static bool add_curves(const struct eval_evidence *e, struct cap_arena *arena,
                       Moecap__V1__Summary *out)
{
    struct eval_curves *curves = cap_arena_alloc(arena, sizeof *curves);

    if (!curves)
        return false;
    curves->arena = arena;
    out->curves = cap_arena_array(arena, EVAL_CURVES_MAX, sizeof *out->curves);
    if (!out->curves || !eval_curves_of(e, curves))
        return false;
    for (size_t i = 0; i < curves->count; i++) {
        const struct eval_curve *curve = &curves->rows[i];
        Moecap__V1__Curve *wire = cap_arena_alloc(arena, sizeof *wire);

        if (!wire)
            return false;
        moecap__v1__curve__init(wire);
        wire->id = (char *)curve->id;
        wire->x_unit = (char *)curve->x_unit;
        wire->y_unit = (char *)curve->y_unit;
        wire->x = curve->x;
        wire->y = curve->y;
        wire->reference = curve->reference;
        wire->n_x = wire->n_y = curve->count;
        wire->n_reference = curve->reference ? curve->count : 0;
        out->curves[out->n_curves++] = wire;
    }
    return true;
}

/* ---- the whole ---- */

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

static bool add_marks(struct eval_figures *f, Moecap__V1__Summary *out)
{
    out->marks = cap_arena_array(f->arena, f->mark_count + 1, sizeof *out->marks);
    if (!out->marks)
        return false;
    for (size_t i = 0; i < f->mark_count; i++) {
        if (!f->marks[i].text) /* no memory for it */
            return false;
        out->marks[out->n_marks++] = &f->marks[i];
    }
    return true;
}

/* ---- cost ---- */

static Moecap__V1__CostTerm *input_to_wire(enum eval_cost_input input,
                                           const struct eval_cost_term *term,
                                           struct cap_arena *arena)
{
    Moecap__V1__CostTerm *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__cost_term__init(wire);
    wire->id = (char *)eval_cost_input_id(input);
    wire->unit = (char *)eval_cost_input_unit(input);
    wire->source = (char *)eval_cost_source_word(term->source);
    wire->said = (char *)term->said;
    wire->used = term->used;
    if (!isnan(term->value)) {
        wire->opt_value_case = MOECAP__V1__COST_TERM__OPT_VALUE_VALUE;
        wire->value = term->value;
    }
    return wire;
}

Moecap__V1__CostBasis *eval_cost_basis(const struct eval_cost_run *run,
                                       const struct eval_figures *f)
{
    Moecap__V1__CostBasis *basis = cap_arena_alloc(f->arena, sizeof *basis);
    struct eval_cost_term terms[EVAL_COST_INPUTS];

    if (!basis)
        return NULL;
    moecap__v1__cost_basis__init(basis);
    eval_cost_terms_of(run, f, terms);
    basis->device = (char *)run->machine.device;
    basis->devices = run->machine.devices;
    basis->rented = terms[EVAL_COST_rent].used;
    basis->sharing = (char *)eval_cost_sharing(f);
    if (!(basis->terms = cap_arena_array(f->arena, EVAL_COST_INPUTS, sizeof *basis->terms)))
        return NULL;
    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        if (!(basis->terms[basis->n_terms++] =
                  input_to_wire((enum eval_cost_input)i, &terms[i], f->arena)))
            return NULL;
    return basis;
}

/* ---- all of it ---- */

bool eval_measure(struct eval_evidence *evidence, struct cap_arena *arena, Moecap__V1__Summary *out)
{
    struct eval_figures *f = eval_figures_new(arena);

    moecap__v1__summary__init(out);
    if (!f)
        return false;
    eval_settle(evidence);
    for (size_t i = 0; i < CAP_COUNT_OF(families); i++)
        families[i].compute(evidence, f);
    out->cost = eval_cost_basis(&evidence->run.cost, f);
    return out->cost && add_figures(evidence, f, out) && add_marks(f, out) &&
           add_histograms(evidence, arena, out) && add_curves(evidence, arena, out);
}

/* ---- documentation ---- */

void eval_measure_markdown(struct cap_buf *out)
{
    eval_figures_markdown(out);
    cap_buf_add_str(out, "\n| family | reads |\n|---|---|\n");
    for (size_t i = 0; i < CAP_COUNT_OF(families); i++)
        cap_buf_printf(out, "| %s | %s |\n", families[i].name, families[i].reads);
}
