/* Shares of right answers, and how many samples went which way. The denominator is every sample of
 * the run: one that failed, or that was never answered, is wrong and stays in it. */
#include "measure.h"
#include "stats/stats.h"

void eval_measure_metric(const struct eval_evidence *e, size_t metric, Moecap__V1__Figure *out)
{
    uint64_t verdicts = e->verdicts[metric], attempted = e->run.attempted;
    struct cap_interval interval;

    moecap__v1__figure__init(out);
    out->id = (char *)e->run.metrics[metric];
    out->unit = "ratio";
    out->basis = "unavailable";
    if (e->run.exact_input) {
        out->reason = "random text: no answer is right or wrong";
    } else if (attempted == 0) {
        out->reason = "no samples";
    } else if (verdicts > attempted) {
        out->reason = "more verdicts than samples";
        out->invalid = true;
    } else if (verdicts < attempted) {
        out->reason = "not every sample is graded";
    } else {
        out->basis = "measured";
        out->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
        out->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
        out->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
        out->value = (double)e->correct[metric] / (double)attempted;
        interval = cap_stats_wilson(e->correct[metric], attempted);
        out->low = interval.low;
        out->high = interval.high;
        /* A model that was never asked has no accuracy of 0 %. */
        out->invalid = e->failed == attempted;
        out->reason = out->invalid ? "every request failed" : "";
    }
}

/* The headline under a name that is the same for every task. */
void eval_measure_accuracy(struct eval_evidence *e, struct eval_figures *f)
{
    Moecap__V1__Figure *row = &f->rows[EVAL_FIGURE_accuracy];
    char *id = row->id;

    if (e->run.metric_count == 0) {
        eval_figure_none(f, EVAL_FIGURE_accuracy, "the task has no metric");
        return;
    }
    eval_measure_metric(e, 0, row);
    row->id = id;
}

void eval_measure_counts(struct eval_evidence *e, struct eval_figures *f)
{
    uint64_t attempted = e->run.attempted;

    eval_figure_set(f, EVAL_FIGURE_attempted, (double)attempted);
    eval_figure_set(f, EVAL_FIGURE_served, (double)e->served);
    eval_figure_set(f, EVAL_FIGURE_completed, (double)e->completed);
    eval_figure_set(f, EVAL_FIGURE_failed, (double)e->failed);
    if (e->without_reason > 0)
        eval_figure_none(f, EVAL_FIGURE_truncated,
                         "the server gave no finish reason for some of the samples");
    else if (e->strange_reason > 0)
        eval_figure_none(f, EVAL_FIGURE_truncated,
                         "the server gave a finish reason that we do not know for some of the "
                         "samples");
    else
        eval_figure_set(f, EVAL_FIGURE_truncated, (double)e->truncated);
    if (e->run.exact_input)
        eval_figure_none(f, EVAL_FIGURE_unanswered, "random text: no answer is right or wrong");
    else if (e->run.metric_count > 0 && e->verdicts[0] == attempted)
        eval_figure_set(f, EVAL_FIGURE_unanswered, (double)e->unanswered);
    else
        eval_figure_none(f, EVAL_FIGURE_unanswered, "not every sample is graded");
    if (e->answers > attempted)
        eval_figure_invalid(f, EVAL_FIGURE_served, "%llu answers to %llu samples",
                            (unsigned long long)e->answers, (unsigned long long)attempted);
}
