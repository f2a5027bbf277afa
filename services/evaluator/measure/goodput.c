/* Requests that were good enough: those that met the service level objective, and of these the
 * right ones. A server that is fast and wrong has a goodput and no quality-gated one; one that is
 * right and late has neither. */
#include <math.h>

#include "base/auto.h"
#include "measure.h"
#include "stats/stats.h"

static bool is_within(double value_us, double limit_ms)
{
    return limit_ms <= 0 || value_us <= limit_ms * 1000;
}

/* An answer of one token has no time per token, so it cannot miss it. */
static bool has_tpot(const struct eval_evidence *e, const struct eval_request *r)
{
    return r->tpot_us >= 0 || r->output_tokens > 1 ||
           (r->output_tokens == 0 && e->without_output_tokens > 0);
}

static bool is_good(const struct eval_evidence *e, const struct eval_request *r)
{
    const struct eval_slo *slo = &e->run.slo;

    return r->completed && is_within(r->ttft_us, slo->ttft_ms) &&
           (!has_tpot(e, r) || is_within(r->tpot_us, slo->tpot_ms)) &&
           is_within((double)(r->ended_us - r->submitted_us), slo->e2e_ms);
}

/* A limit on what nobody saw was neither met nor missed. */
static const char *why_unknown(const struct eval_evidence *e)
{
    const struct eval_slo *slo = &e->run.slo;

    for (size_t i = 0; i < e->requests.count; i++) {
        const struct eval_request *r = &e->requests.items[i];

        if (!r->completed)
            continue;
        if (slo->ttft_ms > 0 && r->ttft_us < 0)
            return "the objective limits TTFT, and not every request has one";
        if (slo->tpot_ms > 0 && r->tpot_us < 0 && has_tpot(e, r))
            return "the objective limits TPOT, and it is not known for every request";
    }
    return NULL;
}

static const char *why_none(const struct eval_evidence *e)
{
    const struct eval_slo *slo = &e->run.slo;
    const char *problem = eval_timing_problem(e);

    if (slo->ttft_ms <= 0 && slo->tpot_ms <= 0 && slo->e2e_ms <= 0)
        return "no objective was asked for; --slo says what a good request is";
    if (problem)
        return problem;
    if (e->requests.count == 0)
        return "no times";
    if (e->requests.overflowed)
        return "too many values";
    if (e->disordered > 0)
        return "answers with times out of order";
    return eval_window_of(e).seconds > 0 ? why_unknown(e) : "the run took no time";
}

static const char *why_no_quality(const struct eval_evidence *e)
{
    if (e->run.metric_count == 0)
        return "the task has no metric";
    if (e->right.overflowed)
        return "too many values";
    return e->verdicts[0] == e->run.attempted ? NULL : "not every sample is graded";
}

/* Of all requests behind the warm-up; one that failed did not meet it. */
static void measure_share(const struct eval_evidence *e, struct eval_figures *f)
{
    uint64_t requests = e->run.attempted - e->settling.warm_up, good = 0;
    struct cap_interval i;

    for (size_t k = 0; k < e->requests.count; k++)
        good += !e->requests.items[k].warm_up && is_good(e, &e->requests.items[k]);
    if (e->run.attempted <= e->settling.warm_up || good > requests) {
        eval_figure_none(f, EVAL_FIGURE_slo_met, "more answers than samples");
        return;
    }
    i = cap_stats_wilson(good, requests);
    eval_figure_set(f, EVAL_FIGURE_slo_met, (double)good / (double)requests);
    eval_figure_between(f, EVAL_FIGURE_slo_met, i.low, i.high);
}

static void measure_rate(const struct eval_evidence *e, struct eval_ends *ends, bool right,
                         struct eval_figures *f)
{
    enum eval_figure_id id = right ? EVAL_FIGURE_quality_goodput_per_s : EVAL_FIGURE_goodput_per_s;
    struct cap_interval between;
    double good = 0;

    for (size_t i = 0; i < ends->count; i++) {
        const struct eval_request *r = ends->items[i];

        ends->amounts[i] = is_good(e, r) && (!right || eval_is_right(&e->right, r->ordinal));
        good += ends->amounts[i];
    }
    eval_figure_set(f, id, good / eval_window_of(e).seconds);
    if (eval_ends_interval(ends, &between))
        eval_figure_between(f, id, between.low, between.high);
}

/* A rate over the mean power: good requests for each kilojoule. */
static void measure_by_energy(enum eval_figure_id id, enum eval_figure_id rate,
                              struct eval_figures *f)
{
    double kw, low, high;

    if (!eval_figure_has(f, rate)) {
        eval_figure_none(f, id, f->rows[rate].reason);
        return;
    }
    if (!eval_figure_has(f, EVAL_FIGURE_power_w_mean)) {
        eval_figure_none(f, id, f->rows[EVAL_FIGURE_power_w_mean].reason);
        return;
    }
    kw = eval_figure_value(f, EVAL_FIGURE_power_w_mean) / 1000;
    if (kw <= 0) {
        eval_figure_none(f, id, "no power was drawn");
        return;
    }
    eval_figure_set(f, id, eval_figure_value(f, rate) / kw);
    if (eval_figure_interval(f, rate, &low, &high))
        eval_figure_between(f, id, low / kw, high / kw);
    if (f->rows[EVAL_FIGURE_power_w_mean].invalid)
        eval_figure_invalid(f, id, "%s", f->rows[EVAL_FIGURE_power_w_mean].reason);
}

void eval_measure_goodput(struct eval_evidence *e, struct eval_figures *f)
{
    const char *problem = why_none(e), *no_quality = problem ? problem : why_no_quality(e);

    if (problem) {
        eval_figure_none(f, EVAL_FIGURE_slo_met, problem);
        eval_figure_none(f, EVAL_FIGURE_goodput_per_s, problem);
    }
    if (no_quality)
        eval_figure_none(f, EVAL_FIGURE_quality_goodput_per_s, no_quality);
    if (!problem) {
        CAP_AUTO(eval_ends) ends = eval_ends_new(e);

        measure_share(e, f);
        measure_rate(e, ends, false, f);
        if (!no_quality)
            measure_rate(e, ends, true, f);
    }
    measure_by_energy(EVAL_FIGURE_goodput_per_kj, EVAL_FIGURE_goodput_per_s, f);
    measure_by_energy(EVAL_FIGURE_quality_goodput_per_kj, EVAL_FIGURE_quality_goodput_per_s, f);
}
