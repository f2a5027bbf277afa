/* Intervals in closed form: of a mean, a share, a percentile, a difference. */
#include <assert.h>
#include <math.h>

#include "stats/stats.h"

static const double z975 = 1.959963984540054; /* of the normal distribution */

bool cap_stats_mean(const double *values, size_t count, double *out_mean, struct cap_interval *out)
{
    double sum = 0, squares = 0, mean, half;

    assert(count > 0);
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    *out_mean = mean = sum / (double)count;
    *out = (struct cap_interval){NAN, NAN};
    if (count < 2)
        return false;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    half = cap_stats_t975((double)count - 1) * sqrt(squares / (double)(count - 1) / (double)count);
    *out = (struct cap_interval){mean - half, mean + half};
    return true;
}

/* The ratio estimator of a sample of clusters, with its linearised variance. */
bool cap_stats_grouped(const double *sums, const double *sizes, size_t groups, double *out_ratio,
                       struct cap_interval *out)
{
    double sum = 0, size = 0, squares = 0, m = (double)groups, half;

    for (size_t i = 0; i < groups; i++) {
        sum += sums[i];
        size += sizes[i];
    }
    assert(size > 0);
    *out_ratio = sum / size;
    *out = (struct cap_interval){NAN, NAN};
    if (groups < 2)
        return false;
    for (size_t i = 0; i < groups; i++) {
        double rest = sums[i] - *out_ratio * sizes[i];

        squares += rest * rest;
    }
    half = cap_stats_t975(m - 1) * sqrt(m / (m - 1) * squares) / size;
    *out = (struct cap_interval){*out_ratio - half, *out_ratio + half};
    return true;
}

struct cap_interval cap_stats_wilson(uint64_t successes, uint64_t count)
{
    double n = (double)count, p = (double)successes / n, denominator = 1 + z975 * z975 / n;
    double middle = (p + z975 * z975 / (2 * n)) / denominator;
    double half = z975 * sqrt(p * (1 - p) / n + z975 * z975 / (4 * n * n)) / denominator;

    return (struct cap_interval){successes == 0 ? 0 : middle - half,
                                 successes == count ? 1 : middle + half};
}

/* ---- percentiles ---- */

/* The value at a place from 0 to count - 1, between two by linear interpolation. */
static double value_at(const double *sorted, size_t count, double place)
{
    size_t below = (size_t)place;

    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

double cap_stats_percentile(const double *sorted, size_t count, double percent)
{
    return value_at(sorted, count, percent / 100 * (double)(count - 1));
}

/* The k-th of `count` values drawn from the sample is the value at the share U of it, where U, the
 * k-th of as many uniform numbers, is a Beta(k, count + 1 - k). The percentile lies at a fractional
 * k, which the distribution takes as it is. */
struct cap_interval cap_stats_percentile_interval(const double *sorted, size_t count,
                                                  double percent)
{
    double n = (double)count, k = 1 + percent / 100 * (n - 1);
    const double tails[] = {0.025, 0.975};
    double ends[2];

    for (int i = 0; i < 2; i++) {
        double place = ceil(n * cap_stats_beta_quantile(k, n + 1 - k, tails[i])) - 1;

        ends[i] = value_at(sorted, count, fmax(place, 0));
    }
    return (struct cap_interval){ends[0], ends[1]};
}

static const double doubt = 0.01; /* the chance that a certified bound is too low, at most */

/* Whether the true percentile is, but for the doubt, below a value that `above` of `count` exceed:
 * otherwise so few above it would have been luck. */
static bool is_certain(size_t above, size_t count, double percent)
{
    return cap_stats_binomial(above, count, 1 - percent / 100) <= doubt;
}

size_t cap_stats_percentile_needs(double percent)
{
    size_t count = 2;

    while (!is_certain(1, count, percent))
        count++;
    return count;
}

/* LoadGen discards the largest t - 1 values, for the largest t that is certain, and takes the
 * next. */
bool cap_stats_certified(const double *sorted, size_t count, double percent, double *out_bound)
{
    size_t low = 1, high = count; /* low is certain, high is not */

    if (count < 2 || !is_certain(1, count, percent))
        return false;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (is_certain(middle, count, percent))
            low = middle;
        else
            high = middle;
    }
    *out_bound = sorted[count - low];
    return true;
}

/* ---- differences ---- */

struct cap_interval cap_stats_difference(double a, struct cap_interval of_a, double b,
                                         struct cap_interval of_b)
{
    return (struct cap_interval){a - b - hypot(a - of_a.low, of_b.high - b),
                                 a - b + hypot(of_a.high - a, b - of_b.low)};
}
