/* Durations of requests: time to first token, per output token, between tokens, end to end; each
 * with the interval that its observations give it (docs/methodology.md says which). */
#include <math.h>
#include <stdlib.h>

#include "base/auto.h"
#include "measure.h"
#include "stats/stats.h"

/* This share of the answers may be silent about gaps or first tokens. Beyond it the others do not
 * represent the run. */
enum { WITHOUT_GAPS_PERCENT_MAX = 2 };

/* Over HTTP, a time per token below this is none: the client read many tokens at once. */
static const double TOGETHER_MS = 0.02;

/* A percentile of a tail needs as many values as a bound of it can be certified with
 * (cap_stats_percentile_needs); a median is no tail. */
static const struct {
    double percent;
    size_t needed;
} percentiles[] = {{50, 2}, {90, 64}, {99, 662}};

enum { FIGURES = 1 + CAP_COUNT_OF(percentiles) }; /* of a duration: the mean is the first */

/* A request that only scores has no first token, but it is sent, begun and ended. */
static bool is_of_tokens(const struct eval_evidence *e, const struct eval_values *values)
{
    return values == &e->ttft || values == &e->tpot || values == &e->itl ||
           values == &e->service_ttft;
}

/* Why a duration has no figures; NULL: it has. */
static const char *problem_of(const struct eval_evidence *e, const struct eval_values *values,
                              const char *nothing)
{
    const char *problem = e->run.scoring && is_of_tokens(e, values) ? "no decode" : NULL;

    if (!problem)
        problem = eval_timing_problem(e);
    if (!problem && (values->overflowed || e->requests.overflowed))
        problem = "too many values";
    return !problem && values->count == 0 ? nothing : problem;
}

static void none(struct eval_figures *f, unsigned first, const char *reason)
{
    for (unsigned i = 0; i < FIGURES; i++)
        eval_figure_none(f, first + i, reason);
}

static void invalid_if_disordered(const struct eval_evidence *e, unsigned first,
                                  struct eval_figures *f)
{
    for (unsigned i = 0; e->disordered > 0 && i < FIGURES; i++)
        if (eval_figure_has(f, first + i))
            eval_figure_invalid(f, first + i, "%llu answers with times out of order",
                                (unsigned long long)e->disordered);
}

static void set_between(struct eval_figures *f, unsigned id, double value_us,
                        const struct cap_interval *i)
{
    eval_figure_set(f, id, value_us / 1000);
    if (i)
        eval_figure_between(f, id, fmax(i->low, 0) / 1000, i->high / 1000);
}

/* ---- durations of requests: each is one observation ---- */

static void set_percentile(const struct eval_values *values, size_t which, unsigned id,
                           struct eval_figures *f)
{
    double percent = percentiles[which].percent, bound;
    struct cap_interval i;

    if (values->count < percentiles[which].needed) {
        eval_figure_none(f, id, "not enough samples");
        return;
    }
    i = cap_stats_percentile_interval(values->items, values->count, percent);
    set_between(f, id, cap_stats_percentile(values->items, values->count, percent), &i);
    if (cap_stats_certified(values->items, values->count, percent, &bound))
        eval_figure_certified(f, id, bound / 1000);
}

void eval_measure_duration(const struct eval_evidence *e, struct eval_values *values,
                           unsigned first, const char *nothing, struct eval_figures *f)
{
    const char *problem = problem_of(e, values, nothing);
    struct cap_interval i;
    double mean;
    bool sure;

    if (problem) {
        none(f, first, problem);
        return;
    }
    sure = cap_stats_mean(values->items, values->count, &mean, &i);
    set_between(f, first, mean, sure ? &i : NULL);
    cap_stats_sort(values->items, values->count);
    for (unsigned p = 0; p < CAP_COUNT_OF(percentiles); p++)
        set_percentile(values, p, first + 1 + p, f);
    invalid_if_disordered(e, first, f);
}

/* ---- gaps between tokens: those of one request are alike, so a request is one observation ---- */

struct groups {
    double *sums, *sizes; /* by request: of its gaps, and how many they are */
    size_t count;
};

/* Sums of gaps, or of those that are at most `limit_us`: how many. */
static void group(const struct eval_evidence *e, double limit_us, struct groups *out)
{
    out->count = 0;
    for (size_t i = 0; i < e->requests.count; i++) {
        const struct eval_request *r = &e->requests.items[i];
        const uint32_t *gaps = e->requests.gaps + r->gaps_at;
        double sum = 0;

        if (r->warm_up || !r->completed || r->gap_count == 0)
            continue;
        for (size_t k = 0; k < r->gap_count; k++)
            sum += limit_us < 0 ? (double)gaps[k] : (double)gaps[k] <= limit_us;
        out->sums[out->count] = sum;
        out->sizes[out->count++] = (double)r->gap_count;
    }
}

/* Where the share of gaps below a percentile lies says between which gaps the percentile lies
 * (Woodruff). Gaps depend on each other, so no bound of them is certified. */
static void set_gap_percentile(const struct eval_evidence *e, size_t which, struct groups *groups,
                               struct eval_figures *f)
{
    const struct eval_values *gaps = &e->itl;
    unsigned id = EVAL_FIGURE_itl_ms_p50 + (unsigned)which;
    struct cap_interval share, between;
    double value, ignored;

    if (gaps->count < percentiles[which].needed) {
        eval_figure_none(f, id, "not enough samples");
        return;
    }
    value = cap_stats_percentile(gaps->items, gaps->count, percentiles[which].percent);
    group(e, value, groups);
    if (!cap_stats_grouped(groups->sums, groups->sizes, groups->count, &ignored, &share)) {
        set_between(f, id, value, NULL);
        return;
    }
    double half = (share.high - share.low) / 2 * 100, percent = percentiles[which].percent;
    between.low = cap_stats_percentile(gaps->items, gaps->count, fmax(percent - half, 0));
    between.high = cap_stats_percentile(gaps->items, gaps->count, fmin(percent + half, 100));
    set_between(f, id, value, &between);
}

static void measure_gaps(struct eval_evidence *e, const char *nothing, struct eval_figures *f)
{
    const char *problem = problem_of(e, &e->itl, nothing);
    size_t room = e->requests.count + 1;
    struct cap_interval i;
    double mean;
    bool sure;

    if (problem) {
        none(f, EVAL_FIGURE_itl_ms_mean, problem);
        return;
    }
    CAP_AUTO_MEM double *sums = malloc(room * sizeof *sums);
    CAP_AUTO_MEM double *sizes = malloc(room * sizeof *sizes);
    struct groups groups = {sums, sizes, 0};
    if (!sums || !sizes)
        abort();
    group(e, -1, &groups);
    sure = cap_stats_grouped(sums, sizes, groups.count, &mean, &i);
    set_between(f, EVAL_FIGURE_itl_ms_mean, mean, sure ? &i : NULL);
    cap_stats_sort(e->itl.items, e->itl.count);
    for (unsigned p = 0; p < CAP_COUNT_OF(percentiles); p++)
        set_gap_percentile(e, p, &groups, f);
    invalid_if_disordered(e, EVAL_FIGURE_itl_ms_mean, f);
}

/* ---- why there are none ---- */

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

/* Asked for exact lengths and did not get them: these are times of another experiment. */
static void check_lengths(const struct eval_evidence *e, struct eval_figures *f)
{
    for (unsigned id = EVAL_FIGURE_ttft_ms_mean; id <= EVAL_FIGURE_e2e_ms_p99; id++)
        if (eval_figure_has(f, id) && e->other_length > 0)
            eval_figure_invalid(f, id, "%llu answers do not have the %u tokens that were asked for",
                                (unsigned long long)e->other_length, e->run.exact_tokens);
        else if (eval_figure_has(f, id) && e->other_input > 0)
            eval_figure_invalid(f, id,
                                "%llu prompts are up to %u tokens away from the %u that "
                                "were asked for",
                                (unsigned long long)e->other_input, e->input_apart_max,
                                e->run.exact_input);
}

/* A fast server's tokens wait in a buffer on the way and are read at one time: the gaps between
 * them are of the transport. */
static void check_together(const struct eval_evidence *e, struct eval_figures *f)
{
    const enum eval_figure_id median = EVAL_FIGURE_tpot_ms_p50;

    if (!e->run.reported || e->run.in_engine || !eval_figure_has(f, median) ||
        eval_figure_value(f, median) >= TOGETHER_MS)
        return;
    for (unsigned id = EVAL_FIGURE_tpot_ms_mean; id <= EVAL_FIGURE_itl_ms_p99; id++)
        if (eval_figure_has(f, id))
            eval_figure_invalid(f, id,
                                "the tokens of an answer arrive together over HTTP (below %g ms "
                                "each): these are times of the transport, not of the model",
                                TOGETHER_MS);
}

void eval_measure_latency(struct eval_evidence *e, struct eval_figures *f)
{
    const char *no_gaps = why_no_gaps(e);

    if (e->run.attempts > 1)
        eval_mark(f, "interrupted", false,
                  "the run took %u leases: it was interrupted, and its times are not measurements",
                  e->run.attempts);
    eval_measure_duration(e, &e->ttft, EVAL_FIGURE_ttft_ms_mean, why_no_tokens(e), f);
    eval_measure_duration(
        e, &e->tpot, EVAL_FIGURE_tpot_ms_mean,
        drop_tpot(e) ? "how many tokens came with the first chunk is not known" : no_gaps, f);
    measure_gaps(e, drop_gaps(e) ? "chunks are not tokens" : no_gaps, f);
    eval_measure_duration(e, &e->e2e, EVAL_FIGURE_e2e_ms_mean,
                          e->completed ? "no times" : "no completed samples", f);
    check_together(e, f);
    check_lengths(e, f);
}
