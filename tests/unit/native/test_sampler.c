#include <math.h>

#include "fixture.h"

enum { DRAWS = 20000 };

static const float logits[] = {0, 2, 1, 2, -1};

static void greedy_takes_the_first_of_the_largest(void **state)
{
    (void)state;
    assert_int_equal(native_sample_greedy(logits, 5), 1);
    struct cap_rand rand;
    struct native_candidate scratch[5];
    cap_rand_seed(&rand, 1);
    assert_int_equal(native_sample(logits, 5, &(struct native_sampling){0}, &rand, scratch), 1);
}

static void count_draws(struct native_sampling sampling, int *out)
{
    struct cap_rand rand;
    struct native_candidate scratch[5];
    cap_rand_seed(&rand, sampling.seed);
    for (int i = 0; i < DRAWS; i++)
        out[native_sample(logits, 5, &sampling, &rand, scratch)]++;
}

/* Four standard deviations of a binomial around the wanted share. */
static void assert_share(int count, double share)
{
    double deviation = sqrt(share * (1 - share) / DRAWS);
    assert_true(fabs((double)count / DRAWS - share) <= 4 * deviation + 1e-12);
}

static void draws_follow_the_softmax_at_the_temperature(void **state)
{
    (void)state;
    for (double t = 0.5; t < 3; t *= 2) {
        int counts[5] = {0};
        double sum = 0;
        count_draws((struct native_sampling){.temperature = t, .seed = 3}, counts);
        for (int i = 0; i < 5; i++)
            sum += exp((double)logits[i] / t);
        for (int i = 0; i < 5; i++)
            assert_share(counts[i], exp((double)logits[i] / t) / sum);
    }
}

static void top_k_keeps_the_k_largest(void **state)
{
    (void)state;
    int counts[5] = {0};
    count_draws((struct native_sampling){.temperature = 1, .top_k = 2, .seed = 4}, counts);
    assert_share(counts[1], 0.5);
    assert_share(counts[3], 0.5);
    int one[5] = {0};
    count_draws((struct native_sampling){.temperature = 9, .top_k = 1, .seed = 4}, one);
    assert_int_equal(one[1], DRAWS);
}

static void top_p_keeps_the_shortest_run_that_holds_the_share(void **state)
{
    (void)state;
    /* shares: 0.385 0.385 0.142 0.052 0.036, so 0.8 needs three */
    int counts[5] = {0};
    count_draws((struct native_sampling){.temperature = 1, .top_p = 0.8, .seed = 5}, counts);
    assert_int_equal(counts[0] + counts[4], 0);
    assert_share(counts[2], exp(1) / (exp(1) + 2 * exp(2)));
    int tiny[5] = {0};
    count_draws((struct native_sampling){.temperature = 1, .top_p = 1e-9, .seed = 5}, tiny);
    assert_int_equal(tiny[1], DRAWS);
}

static void log_likelihood_is_log_softmax(void **state)
{
    (void)state;
    const float far[] = {1000, 0, -1000};
    double sum = 0;
    for (int i = 0; i < 5; i++)
        sum += exp((double)logits[i]);
    for (int i = 0; i < 5; i++)
        assert_true(fabs(native_log_likelihood(logits, 5, i) - log(exp((double)logits[i]) / sum)) <
                    1e-12);
    assert_true(native_log_likelihood(far, 3, 0) == 0);
    assert_true(native_log_likelihood(far, 3, 2) == -2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
        cmocka_unit_test(draws_follow_the_softmax_at_the_temperature),
        cmocka_unit_test(top_k_keeps_the_k_largest),
        cmocka_unit_test(top_p_keeps_the_shortest_run_that_holds_the_share),
        cmocka_unit_test(log_likelihood_is_log_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
