/* Theil and Sen's slope. Its interval is Sen's: if there were no trend, Kendall's count of rising
 * pairs would be normal with a known spread, so the slopes that far from the middle bound it. */
#include <math.h>
#include <stdlib.h>

#include "stats/stats.h"

enum {
    POINTS_MIN = 4,
    PAIRS_MAX = CAP_STATS_TREND_POINTS_MAX * (CAP_STATS_TREND_POINTS_MAX - 1) / 2
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

bool cap_stats_trend(const double *x, const double *y, size_t count, double *out_slope,
                     struct cap_interval *out)
{
    double slopes[PAIRS_MAX], n = (double)count, spread;
    size_t pairs = 0, low;

    if (count < POINTS_MIN || count > CAP_STATS_TREND_POINTS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (x[i] != x[k])
                slopes[pairs++] = (y[k] - y[i]) / (x[k] - x[i]);
    if (pairs == 0)
        return false;
    qsort(slopes, pairs, sizeof *slopes, compare);
    *out_slope = cap_stats_percentile(slopes, pairs, 50);
    spread = 1.959963984540054 * sqrt(n * (n - 1) * (2 * n + 5) / 18);
    low = (size_t)fmax(0, floor(((double)pairs - spread) / 2));
    *out = (struct cap_interval){slopes[low], slopes[pairs - 1 - low]};
    return true;
}
