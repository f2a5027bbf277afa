/* Durations of requests: time to first token, per output token, between tokens, end to end. */
#include <math.h>
#include <stdlib.h>

#include "measure.h"

/* This share of the answers may be silent about gaps or first tokens. Beyond it the others do not
 * represent the run. */
enum { WITHOUT_GAPS_PERCENT_MAX = 2 };

const char *eval_timing_problem(const struct eval_evidence *e)
{
    /* Times of two attempts are of two clocks, and of two states of a machine. */
    return e->run.attempts > 1 ? "interrupted" : NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double eval_percentile(const double *sorted, size_t count, double percent)
{
    double at = percent / 100 * (double)(count - 1);
    size_t below = (size_t)at;

    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

static double mean(const struct eval_values *values)
{
    double sum = 0;

    for (size_t i = 0; i < values->count; i++)
        sum += values->items[i];
    return sum / (double)values->count;
}

/* A percentile needs enough values that one is expected beyond it. */
static const struct {
    double percent;
    size_t needed;
} percentiles[] = {{50, 2}, {90, 10}, {99, 100}};

/* The four figures of a duration, the first of which is `first`; `nothing` is why there may be no
 * value at all. Values are in microseconds, figures in milliseconds. */
static void measure_duration(const struct eval_evidence *e, struct eval_values *values,
                             enum eval_figure_id first, const char *nothing, struct eval_figures *f)
{
    const char *problem = e->run.scoring && values != &e->e2e ? "no decode" : NULL;

    if (!problem)
        problem = eval_timing_problem(e);
    if (!problem && values->overflowed)
        problem = "too many values";
    if (!problem && values->count == 0)
        problem = nothing;
    if (problem) {
        for (unsigned i = 0; i <= CAP_COUNT_OF(percentiles); i++)
            eval_figure_none(f, first + i, problem);
        return;
    }
    eval_figure_set(f, first, mean(values) / 1000);
    qsort(values->items, values->count, sizeof *values->items, compare);
    for (unsigned i = 0; i < CAP_COUNT_OF(percentiles); i++)
        if (values->count < percentiles[i].needed)
            eval_figure_none(f, first + 1 + i, "not enough samples");
        else
            eval_figure_set(f, first + 1 + i,
                            eval_percentile(values->items, values->count, percentiles[i].percent) /
                                1000);
    for (unsigned i = 0; e->disordered > 0 && i <= CAP_COUNT_OF(percentiles); i++)
        if (eval_figure_has(f, first + i))
            eval_figure_invalid(f, first + i, "%llu answers with times out of order",
                                (unsigned long long)e->disordered);
}

static const char *why_no_tokens(const struct eval_evidence *e)
{
    if (e->completed == 0)
        return "no completed samples";
    return e->timed == 0 ? "no times" : "no token times";
}

static const char *why_no_gaps(const struct eval_evidence *e)
{
    const char *why = why_no_tokens(e);

    if (e->ttft.count == 0)
        return why;
    /* There was a first token: was there a second? */
    if (e->without_output_tokens == 0 && e->output_tokens <= e->completed)
        return "no decode";
    return e->without_output_tokens > 0 && e->itl.count == 0 ? eval_counts_problem(e)
                                                             : "no token times";
}

/* The first piece of an answer may bring several tokens, whose time nobody saw. Where that number
 * is not known for more than a few answers, there is no time per token. */
static bool drop_tpot(struct eval_evidence *e)
{
    if (e->without_first_count * 100 <= e->decoded * WITHOUT_GAPS_PERCENT_MAX)
        return false;
    e->tpot.count = 0;
    return true;
}

/* Over HTTP a chunk may hold several tokens: such answers have no gaps. Where they are more than a
 * few, the gaps of the others are those that happened to be smooth, and are dropped. */
static bool drop_gaps(struct eval_evidence *e)
{
    if (!e->run.reported || e->run.in_engine || e->without_output_tokens > 0 ||
        e->without_gaps * 100 <= e->decoded * WITHOUT_GAPS_PERCENT_MAX)
        return false;
    e->itl.count = 0;
    return true;
}

void eval_measure_latency(struct eval_evidence *e, struct eval_figures *f)
{
    const char *no_gaps = why_no_gaps(e);

    if (e->run.attempts > 1)
        eval_mark(f, "interrupted", false,
                  "the run took %u leases: it was interrupted, and its times are not measurements",
                  e->run.attempts);
    measure_duration(e, &e->ttft, EVAL_FIGURE_ttft_ms_mean, why_no_tokens(e), f);
    measure_duration(
        e, &e->tpot, EVAL_FIGURE_tpot_ms_mean,
        drop_tpot(e) ? "how many tokens came with the first chunk is not known" : no_gaps, f);
    measure_duration(e, &e->itl, EVAL_FIGURE_itl_ms_mean,
                     drop_gaps(e) ? "chunks are not tokens" : no_gaps, f);
    measure_duration(e, &e->e2e, EVAL_FIGURE_e2e_ms_mean,
                     e->completed ? "no times" : "no completed samples", f);
    if (e->other_length == 0)
        return;
    /* Asked for exact lengths and did not get them: these are times of another experiment. */
    for (unsigned id = EVAL_FIGURE_ttft_ms_mean; id <= EVAL_FIGURE_e2e_ms_p99; id++)
        if (eval_figure_has(f, id))
            eval_figure_invalid(f, id, "%llu answers do not have the %u tokens that were asked for",
                                (unsigned long long)e->other_length, e->run.exact_tokens);
}
