/* Intervals and tests against values of SciPy 1.17 and of MLPerf's LoadGen; simulation where there
 * is no closed form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

#include "base/auto.h"
#include "stats/stats.h"

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.12g is not %.12g", value, expected);
}

/* Uniform in (0, 1], the same in every run. */
static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*state >> 11) + 1) / 9007199254740992.0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- distributions ---- */

static void distributions_agree_with_scipy(void **state)
{
    (void)state;
    assert_near(cap_stats_beta(2, 3, 0.4), 0.5248, 1e-12);
    assert_near(cap_stats_beta(0.5, 0.5, 0.1), 0.20483276469913345, 1e-12);
    assert_near(cap_stats_beta(500, 20, 0.95), 0.09270315864937875, 1e-10);
    assert_near(cap_stats_beta(9e4, 1e4, 0.9), 0.4988786056430611, 1e-8);
    assert_true(cap_stats_beta(2, 3, 0) == 0 && cap_stats_beta(2, 3, 1) == 1);
    assert_near(cap_stats_beta_quantile(90, 11, 0.025), 0.8237774022599773, 1e-12);
    assert_near(cap_stats_beta_quantile(655, 8, 0.975), 0.9947686877767811, 1e-12);
    assert_near(cap_stats_binomial(3, 20, 0.5), 0.0012884140014648438, 1e-15);
    assert_true(cap_stats_binomial(20, 20, 0.5) == 1);
    assert_near(cap_stats_t975(1), 12.706204736174694, 1e-9);
    assert_near(cap_stats_t975(4), 2.7764451051977934, 1e-10);
    assert_near(cap_stats_t975(99), 1.9842169515864174, 1e-10);
}

/* ---- intervals ---- */

static void values_are_sorted_as_qsort_does(void **state)
{
    enum { COUNT = 5000 };
    double values[COUNT], expected[COUNT];
    uint64_t random = 5;

    (void)state;
    for (int i = 0; i < COUNT; i++)
        values[i] = expected[i] = i % 7 == 0   ? (double)(i % 50)
                                  : i % 5 == 0 ? -1e6 * uniform(&random)
                                               : 1e9 * uniform(&random) * uniform(&random);
    qsort(expected, COUNT, sizeof *expected, compare);
    cap_stats_sort(values, COUNT);
    assert_memory_equal(values, expected, sizeof values);
    cap_stats_sort(values, 0);
    cap_stats_sort(values, 1);
}

/* Groups of one value are values; a group that is alike in itself counts once. */
static void a_group_is_one_observation(void **state)
{
    const double values[] = {2, 4, 4, 4, 5, 5, 7, 9}, ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    double tenfold[8], tens[8], ratio;
    struct cap_interval single, grouped;

    (void)state;
    assert_true(cap_stats_grouped(values, ones, 8, &ratio, &single));
    assert_near(ratio, 5, 0);
    assert_near(single.low, 3.21251208176379, 1e-9);
    for (int i = 0; i < 8; i++) {
        tenfold[i] = 10 * values[i];
        tens[i] = 10;
    }
    assert_true(cap_stats_grouped(tenfold, tens, 8, &ratio, &grouped));
    assert_near(grouped.low, single.low, 1e-9);
    assert_near(grouped.high, single.high, 1e-9);
    assert_false(cap_stats_grouped(values, ones, 1, &ratio, &single));
}

static void a_mean_has_students_interval(void **state)
{
    const double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct cap_interval i;
    double mean;

    (void)state;
    assert_true(cap_stats_mean(values, 8, &mean, &i));
    assert_near(mean, 5, 0);
    assert_near(i.low, 3.21251208176379, 1e-9);
    assert_near(i.high, 6.787487918236209, 1e-9);
    assert_false(cap_stats_mean(values, 1, &mean, &i));
    assert_near(mean, 2, 0);
}

static void a_percentiles_interval_is_that_of_an_endless_bootstrap(void **state)
{
    enum { COUNT = 200, RESAMPLES = 4000 };
    static const double percents[] = {50, 90, 99};
    double values[COUNT], drawn[COUNT];
    CAP_AUTO_MEM double *found = malloc(RESAMPLES * sizeof *found);
    uint64_t random = 1;

    (void)state;
    assert_non_null(found);
    for (int i = 0; i < COUNT; i++)
        values[i] = -log(uniform(&random));
    qsort(values, COUNT, sizeof *values, compare);
    for (size_t p = 0; p < CAP_COUNT_OF(percents); p++) {
        struct cap_interval i = cap_stats_percentile_interval(values, COUNT, percents[p]);
        double spread;

        for (int r = 0; r < RESAMPLES; r++) {
            for (int k = 0; k < COUNT; k++)
                drawn[k] = values[(int)(uniform(&random) * COUNT) % COUNT];
            qsort(drawn, COUNT, sizeof *drawn, compare);
            found[r] = cap_stats_percentile(drawn, COUNT, percents[p]);
        }
        qsort(found, RESAMPLES, sizeof *found, compare);
        spread = found[RESAMPLES - 1 - RESAMPLES / 40] - found[RESAMPLES / 40];
        assert_near(i.low, found[RESAMPLES / 40], 0.15 * spread);
        assert_near(i.high, found[RESAMPLES - 1 - RESAMPLES / 40], 0.15 * spread);
    }
}

static void p90_needs_64_values_and_p99_needs_662(void **state)
{
    double values[662], bound;

    (void)state;
    for (int i = 0; i < 662; i++)
        values[i] = i + 1;
    assert_int_equal(cap_stats_percentile_needs(90), 64);
    assert_int_equal(cap_stats_percentile_needs(99), 662);
    assert_int_equal(cap_stats_percentile_needs(50), 11);
    assert_false(cap_stats_certified(values, 63, 90, &bound));
    assert_true(cap_stats_certified(values, 64, 90, &bound));
    assert_near(bound, 64, 0); /* nothing can be discarded */
    assert_false(cap_stats_certified(values, 661, 99, &bound));
    assert_true(cap_stats_certified(values, 662, 99, &bound));
    assert_near(bound, 662, 0);
}

/* What LoadGen itself says: of 2048 queries it discards 172 for the 90th percentile, of 2145 181. */
static void a_certified_bound_is_loadgens(void **state)
{
    double values[2145], bound;

    (void)state;
    for (int i = 0; i < 2145; i++)
        values[i] = i + 1;
    assert_true(cap_stats_certified(values, 2048, 90, &bound));
    assert_near(bound, 2048 - 172, 0);
    assert_true(cap_stats_certified(values, 2145, 90, &bound));
    assert_near(bound, 2145 - 181, 0);
}

static void a_difference_is_as_uncertain_as_both_together(void **state)
{
    struct cap_interval i =
        cap_stats_difference(10, (struct cap_interval){7, 13}, 5, (struct cap_interval){1, 9});

    (void)state;
    assert_near(i.low, 0, 1e-12);
    assert_near(i.high, 10, 1e-12);
}

/* ---- resampling ---- */

static void a_rates_interval_covers_the_rate_it_came_from(void **state)
{
    enum { RUNS = 200, COUNT = 400 };
    double one[COUNT], gap[COUNT];
    struct cap_interval i, again;
    uint64_t random = 7;
    int covered = 0;

    (void)state;
    for (int run = 0; run < RUNS; run++) {
        for (int k = 0; k < COUNT; k++) {
            one[k] = 1;
            gap[k] = -log(uniform(&random)) / 50; /* 50 a second */
        }
        assert_true(cap_stats_ratio(one, gap, COUNT, cap_stats_block(COUNT), &i));
        covered += i.low <= 50 && 50 <= i.high;
    }
    if (covered < RUNS * 90 / 100 || covered > RUNS * 99 / 100)
        fail_msg("%d of %d intervals cover the rate", covered, RUNS);
    assert_true(cap_stats_ratio(one, gap, COUNT, cap_stats_block(COUNT), &again));
    assert_true(i.low == again.low && i.high == again.high);
    assert_false(cap_stats_ratio(one, gap, 7, 1, &i));
}

/* Neighbours that are alike tell less than their number: blocks see it, single pairs do not. */
static void blocks_see_what_neighbours_have_in_common(void **state)
{
    enum { COUNT = 900 };
    double work[COUNT], time[COUNT];
    struct cap_interval blocks, singles;
    uint64_t random = 3;
    double level = 1;

    (void)state;
    for (int k = 0; k < COUNT; k++) {
        level = k % 30 == 0 ? uniform(&random) : level;
        work[k] = level;
        time[k] = 1;
    }
    assert_true(cap_stats_ratio(work, time, COUNT, 60, &blocks));
    assert_true(cap_stats_ratio(work, time, COUNT, 1, &singles));
    assert_true(blocks.high - blocks.low > 3 * (singles.high - singles.low));
}

static void two_runs_on_the_same_samples_are_compared_in_pairs(void **state)
{
    struct cap_paired p = cap_stats_paired(15, 5, 200);

    (void)state;
    assert_near(p.difference, 0.05, 1e-15);
    assert_near(p.p_exact, 0.04138946533203125, 1e-15);
    assert_near(p.p_mid, 0.026603698730468753, 1e-15);
    assert_near(p.interval.low, 0.01, 0.006);
    assert_near(p.interval.high, 0.095, 0.006);
    assert_near(p.detectable, 2.8015852 * sqrt(0.1 / 200), 1e-7);
    assert_near(cap_stats_paired(5, 15, 200).p_exact, p.p_exact, 0);
    assert_near(cap_stats_paired(5, 15, 200).difference, -0.05, 1e-15);
    /* Nothing differs: nothing is shown, and a difference of a few samples would not be found. */
    p = cap_stats_paired(0, 0, 100);
    assert_true(p.p_exact == 1 && p.p_mid == 1 && p.interval.low == 0 && p.interval.high == 0);
    assert_near(p.detectable, 0.028015852, 1e-7);
    assert_true(cap_stats_paired(4, 4, 100).p_mid == 1);
}

/* ---- trends ---- */

static void a_trend_is_not_moved_by_an_outlier(void **state)
{
    const double y[] = {1, 2.2, 2.9, 4.3, 5.1, 40, 7.2, 7.8, 9.1, 9.9, 11.2, 11.9};
    const double flat[] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
    double x[12], slope;
    struct cap_interval i;

    (void)state;
    for (int k = 0; k < 12; k++)
        x[k] = k;
    assert_true(cap_stats_trend(x, y, 12, &slope, &i));
    assert_near(slope, 0.98989898989899, 1e-9);
    assert_near(i.low, 0.95, 0.01);
    assert_near(i.high, 1.0333, 0.01);
    assert_true(cap_stats_trend(x, flat, 12, &slope, &i));
    assert_true(slope == 0 && i.low == 0 && i.high == 0);
    assert_false(cap_stats_trend(x, y, 3, &slope, &i));
    assert_false(cap_stats_trend(flat, y, 12, &slope, &i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions_agree_with_scipy),
        cmocka_unit_test(values_are_sorted_as_qsort_does),
        cmocka_unit_test(a_group_is_one_observation),
        cmocka_unit_test(a_mean_has_students_interval),
        cmocka_unit_test(a_percentiles_interval_is_that_of_an_endless_bootstrap),
        cmocka_unit_test(p90_needs_64_values_and_p99_needs_662),
        cmocka_unit_test(a_certified_bound_is_loadgens),
        cmocka_unit_test(a_difference_is_as_uncertain_as_both_together),
        cmocka_unit_test(a_rates_interval_covers_the_rate_it_came_from),
        cmocka_unit_test(blocks_see_what_neighbours_have_in_common),
        cmocka_unit_test(two_runs_on_the_same_samples_are_compared_in_pairs),
        cmocka_unit_test(a_trend_is_not_moved_by_an_outlier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
