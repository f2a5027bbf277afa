/* stats.h — what can be said of a few numbers, and how sure one may be of it.
 *
 * Plain numbers in, plain numbers out; no state, any thread. Intervals are two-sided at 95 % unless
 * a name says otherwise. Nothing is random from call to call: what resamples has a fixed seed.
 * Which interval stands for which figure, and why: docs/methodology.md.
 *
 *     struct cap_interval i;
 *     if (cap_stats_mean(values, count, &mean, &i))
 *         printf("%g [%g, %g]", mean, i.low, i.high);
 */
#ifndef CAP_STATS_STATS_H
#define CAP_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cap_interval {
    double low, high;
};

/* ---- distributions (distribution.c) ---- */

/* The regularised incomplete beta function I_x(a, b): the chance that a Beta(a, b) is below x. */
double cap_stats_beta(double a, double b, double x);
/* The x below which a Beta(a, b) lies with chance p. */
double cap_stats_beta_quantile(double a, double b, double p);
/* The chance of at most k successes of n, each with chance p. */
double cap_stats_binomial(uint64_t k, uint64_t n, double p);
/* Student's t: the value that is exceeded with chance 2.5 %, with df > 0 degrees of freedom. */
double cap_stats_t975(double df);

/* ---- intervals (interval.c) ---- */

/* Mean with Student's interval. False, and an interval of nothing, for fewer than two values. */
bool cap_stats_mean(const double *values, size_t count, double *out_mean, struct cap_interval *out);
/* sum(sums) / sum(sizes) with Student's interval over groups, each of which is one observation
 * however many values it has: what is alike within a group tells nothing new. False as above. */
bool cap_stats_grouped(const double *sums, const double *sizes, size_t groups, double *out_ratio,
                       struct cap_interval *out);
/* Wilson's interval of a share; count > 0. */
struct cap_interval cap_stats_wilson(uint64_t successes, uint64_t count);

/* Ascending, faster than qsort for many values; no NaN. */
void cap_stats_sort(double *values, size_t count);
/* Percentile of sorted values, between two of them by linear interpolation; count > 0. */
double cap_stats_percentile(const double *sorted, size_t count, double percent);
/* The interval that a bootstrap of this percentile would give if it resampled without end: where a
 * resample's order statistic lies is a Beta distribution, so that nothing needs to be drawn. */
struct cap_interval cap_stats_percentile_interval(const double *sorted, size_t count,
                                                  double percent);
/* How many values a percentile needs before a bound of it can be certified: 64 for p90, 662 for
 * p99. MLPerf's early stopping: with one value above, the chance that the true percentile is
 * higher still must be at most 1 %. */
size_t cap_stats_percentile_needs(double percent);
/* MLPerf's early-stopping estimate: the true percentile is at most this with 99 % confidence.
 * False for fewer values than it needs. */
bool cap_stats_certified(const double *sorted, size_t count, double percent, double *out_bound);

/* The interval of a - b, from their own, for two independent numbers (the method of variance
 * estimates recovery, Zou and Donner 2008). */
struct cap_interval cap_stats_difference(double a, struct cap_interval of_a, double b,
                                         struct cap_interval of_b);

/* ---- resampling (resample.c) ---- */

enum { CAP_STATS_RESAMPLES = 1000 };

/* The interval of sum(over) / sum(under) by a bootstrap of blocks of `block` neighbours, which keep
 * what correlation in time there is. False where there are fewer than eight pairs: that few tell
 * nothing of their spread. */
bool cap_stats_ratio(const double *over, const double *under, size_t count, size_t block,
                     struct cap_interval *out);
/* How long a block is for `count` items in time: count^(1/3), the usual order. */
size_t cap_stats_block(size_t count);

/* Two runs on the same samples: `gained` right only in the second, `lost` right only in the first,
 * of `count`. */
struct cap_paired {
    double difference;            /* (gained - lost) / count: second minus first */
    struct cap_interval interval; /* by a paired bootstrap */
    double p_exact, p_mid;        /* McNemar's test, two-sided: exact binomial, and its mid-p */
    double detectable;            /* the difference that would be found with 80 % power at 5 % */
};
/* count > 0, gained + lost <= count. */
struct cap_paired cap_stats_paired(uint64_t gained, uint64_t lost, uint64_t count);

/* ---- trends (trend.c) ---- */

enum { CAP_STATS_TREND_POINTS_MAX = 64 };

/* A slope of y over x with its interval: Theil and Sen's, the median of the slopes of all pairs,
 * which a few outliers do not move. False for fewer than 4 points, more than the most, or all at
 * one x. */
bool cap_stats_trend(const double *x, const double *y, size_t count, double *out_slope,
                     struct cap_interval *out);

#endif
