/* Shares of right answers, and how many samples went which way. The denominator is every sample of
 * the run: one that failed, or that was never answered, is wrong and stays in it. */
#include <math.h>

#include "measure/measure.h"

void eval_wilson(uint64_t correct, uint64_t count, double *out_low, double *out_high)
{
    const double z = 1.959963984540054; /* 97.5 % of the normal distribution */
    double n = (double)count, p = (double)correct / n, denominator = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / denominator;
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / denominator;

    *out_low = correct == 0 ? 0 : middle - half;
    *out_high = correct == count ? 1 : middle + half;
}

struct eval_figure eval_measure_accuracy(const struct eval_evidence *e, size_t metric)
{
    struct eval_figure figure = {
        .id = e->header.metrics[metric], .unit = "ratio", .basis = "unavailable", .reason = ""};
    uint64_t verdicts = e->verdicts[metric], attempted = e->header.attempted;

    if (attempted == 0) {
        figure.reason = "no samples";
    } else if (verdicts > attempted) {
        figure.reason = "more verdicts than samples";
        figure.invalid = true;
    } else if (verdicts < attempted) {
        figure.reason = "not every sample is graded";
    } else {
        figure.basis = "measured";
        figure.has_value = figure.has_interval = true;
        figure.value = (double)e->correct[metric] / (double)attempted;
        eval_wilson(e->correct[metric], attempted, &figure.low, &figure.high);
        /* A model that was never asked has no accuracy of 0 %. */
        figure.invalid = e->failed == attempted;
        figure.reason = figure.invalid ? "every request failed" : "";
    }
    return figure;
}

void eval_measure_counts(const struct eval_evidence *e, struct eval_figures *f)
{
    uint64_t attempted = e->header.attempted;

    eval_figure_set(f, EVAL_FIGURE_attempted, (double)attempted);
    eval_figure_set(f, EVAL_FIGURE_served, (double)e->served);
    eval_figure_set(f, EVAL_FIGURE_completed, (double)e->completed);
    eval_figure_set(f, EVAL_FIGURE_failed, (double)e->failed);
    eval_figure_set(f, EVAL_FIGURE_truncated, (double)e->truncated);
    if (e->header.metric_count > 0 && e->verdicts[0] == attempted)
        eval_figure_set(f, EVAL_FIGURE_unanswered, (double)e->unanswered);
    else
        eval_figure_none(f, EVAL_FIGURE_unanswered, "not every sample is graded");
    if (e->answers > attempted)
        eval_figure_invalid(f, EVAL_FIGURE_served, "%llu answers to %llu samples",
                            (unsigned long long)e->answers, (unsigned long long)attempted);
}
