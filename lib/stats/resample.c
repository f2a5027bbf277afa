/* Intervals by resampling: of a rate whose parts follow each other in time, and of the difference
 * of two runs on the same samples. The numbers are drawn from a fixed seed: the same evidence
 * always gives the same interval. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/auto.h"
#include "stats/stats.h"

enum { PAIRS_MIN = 8 };

/* ---- random numbers: splitmix64, which needs no warm-up ---- */

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* From 0 to below - 1; the bias of a multiplication is below 2^-32 for what we draw. */
static size_t draw_below(uint64_t *state, size_t below)
{
    return (size_t)(((unsigned __int128)draw(state) * below) >> 64);
}

static const uint64_t seed = 0x6d6f65636170; /* "moecap" */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct cap_interval middle_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return (struct cap_interval){cap_stats_percentile(values, count, 2.5),
                                 cap_stats_percentile(values, count, 97.5)};
}

/* ---- a rate ---- */

size_t cap_stats_block(size_t count)
{
    size_t block = (size_t)cbrt((double)count);

    return block > 0 ? block : 1;
}

/* sums[i] is the sum of the first i values, going round once more for blocks that pass the end. */
static double *running_sums(const double *values, size_t count, size_t block)
{
    double *sums = malloc((count + block + 1) * sizeof *sums);

    if (!sums)
        abort();
    sums[0] = 0;
    for (size_t i = 0; i < count + block; i++)
        sums[i + 1] = sums[i] + values[i % count];
    return sums;
}

bool cap_stats_ratio(const double *over, const double *under, size_t count, size_t block,
                     struct cap_interval *out)
{
    double ratios[CAP_STATS_RESAMPLES];
    uint64_t state = seed;
    size_t blocks;

    if (count < PAIRS_MIN)
        return false;
    block = block < 1 ? 1 : block > count / PAIRS_MIN ? count / PAIRS_MIN : block;
    blocks = (count + block - 1) / block;
    CAP_AUTO_MEM double *over_sums = running_sums(over, count, block);
    CAP_AUTO_MEM double *under_sums = running_sums(under, count, block);
    for (size_t r = 0; r < CAP_STATS_RESAMPLES; r++) {
        double a = 0, b = 0;

        for (size_t i = 0; i < blocks; i++) {
            size_t from = draw_below(&state, count);

            a += over_sums[from + block] - over_sums[from];
            b += under_sums[from + block] - under_sums[from];
        }
        if (b <= 0)
            return false;
        ratios[r] = a / b;
    }
    *out = middle_of(ratios, CAP_STATS_RESAMPLES);
    return true;
}

/* ---- two runs on the same samples ---- */

/* Draws for all resamples together, so that a large task is compared in a second. */
enum { DRAWS_MAX = 100 * 1000 * 1000, RESAMPLES_MIN = 200 };

/* A resample of n samples differs by the gained minus the lost that it happens to hold. */
static double resampled(uint64_t gained, uint64_t lost, uint64_t count, uint64_t *state)
{
    int64_t balance = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = draw_below(state, count);

        balance += (at < gained) - (at >= gained && at < gained + lost);
    }
    return (double)balance / (double)count;
}

static struct cap_interval paired_interval(uint64_t gained, uint64_t lost, uint64_t count)
{
    double differences[CAP_STATS_RESAMPLES];
    uint64_t state = seed, most = DRAWS_MAX / count;
    size_t resamples = most > CAP_STATS_RESAMPLES ? CAP_STATS_RESAMPLES
                       : most < RESAMPLES_MIN     ? RESAMPLES_MIN
                                                  : (size_t)most;

    for (size_t r = 0; r < resamples; r++)
        differences[r] = resampled(gained, lost, count, &state);
    return middle_of(differences, resamples);
}

/* McNemar: if neither run is better, each sample on which they differ falls to either side like a
 * coin. mid-p counts half of the chance of exactly this outcome, and is less cautious. */
static void mcnemar(uint64_t gained, uint64_t lost, struct cap_paired *out)
{
    uint64_t fewer = gained < lost ? gained : lost, differ = gained + lost;
    double tail = cap_stats_binomial(fewer, differ, 0.5);
    double below = fewer > 0 ? cap_stats_binomial(fewer - 1, differ, 0.5) : 0;

    out->p_exact = fmin(1, 2 * tail);
    out->p_mid = fmin(1, tail + below);
}

struct cap_paired cap_stats_paired(uint64_t gained, uint64_t lost, uint64_t count)
{
    const double z_both = 1.959963984540054 + 0.8416212335729143; /* 5 % two-sided, 80 % power */
    double n = (double)count, share = (double)(gained + lost) / n;
    struct cap_paired out = {.difference = ((double)gained - (double)lost) / n};

    assert(count > 0 && gained + lost <= count);
    mcnemar(gained, lost, &out);
    out.interval = paired_interval(gained, lost, count);
    /* Connor 1987 under no difference: the variance of a pair's difference is the share of pairs
     * that differ. Where none did, assume that one would. */
    out.detectable = z_both * sqrt(fmax(share, 1 / n) / n);
    return out;
}
