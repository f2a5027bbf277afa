/* Sampling: shares, cuts, ties, and the same draw as by sorting everything. */
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

/* ---- what is drawn is what sorting everything would draw ---- */

enum { VOCAB = 997 };

static int likelier_first(const void *a, const void *b)
{
    const struct native_candidate *x = a, *y = b;
    if (x->probability != y->probability)
        return x->probability > y->probability ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* The definition: all candidates in order, then top-k, then top-p of what it left, then one draw.
 */
static int32_t sample_by_sorting(const float *values, const struct native_sampling *s,
                                 struct cap_rand *rand)
{
    struct native_candidate all[VOCAB];
    double max = -INFINITY, sum = 0, so_far = 0;
    int count = VOCAB;
    for (int i = 0; i < VOCAB; i++)
        max = fmax(max, (double)values[i]);
    for (int i = 0; i < VOCAB; i++) {
        double p = exp(((double)values[i] - max) / s->temperature);
        all[i] = (struct native_candidate){(float)p, i};
        sum += p;
    }
    if ((s->top_k > 0 && s->top_k < VOCAB) || (s->top_p > 0 && s->top_p < 1))
        qsort(all, VOCAB, sizeof(all[0]), likelier_first);
    if (s->top_k > 0 && s->top_k < VOCAB) {
        count = s->top_k;
        sum = 0;
        for (int i = 0; i < count; i++)
            sum += (double)all[i].probability;
    }
    if (s->top_p > 0 && s->top_p < 1) {
        int kept = 0;
        while (kept < count && (kept == 0 || so_far < s->top_p * sum))
            so_far += (double)all[kept++].probability;
        count = kept;
        sum = so_far;
    }
    double draw = cap_rand_unit(rand) * sum;
    for (int i = 0; i < count - 1; i++) {
        draw -= (double)all[i].probability;
        if (draw < 0)
            return all[i].id;
    }
    return all[count - 1].id;
}

static void a_seed_draws_the_tokens_that_sorting_all_candidates_would_draw(void **state)
{
    (void)state;
    static const struct native_sampling ways[] = {
        {.temperature = 1},
        {.temperature = 1, .top_k = 1},
        {.temperature = 0.7, .top_k = 20},
        {.temperature = 1, .top_k = VOCAB - 1},
        {.temperature = 1.5, .top_p = 0.9},
        {.temperature = 1, .top_p = 0.999},
        {.temperature = 1, .top_p = 1e-6},
        {.temperature = 2, .top_k = 50, .top_p = 0.95},
        {.temperature = 1, .top_k = 3, .top_p = 0.5},
    };
    float values[VOCAB];
    struct native_candidate scratch[VOCAB];
    struct cap_rand make, mine, theirs;
    cap_rand_seed(&make, 7);
    for (int i = 0; i < VOCAB; i++) /* steps of a quarter: many ties */
        values[i] = (float)cap_rand_below(&make, 40) / 4;
    for (size_t w = 0; w < CAP_COUNT_OF(ways); w++) {
        cap_rand_seed(&mine, w);
        cap_rand_seed(&theirs, w);
        for (int i = 0; i < 200; i++)
            assert_int_equal(native_sample(values, VOCAB, &ways[w], &mine, scratch),
                             sample_by_sorting(values, &ways[w], &theirs));
    }
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
        cmocka_unit_test(a_seed_draws_the_tokens_that_sorting_all_candidates_would_draw),
        cmocka_unit_test(log_likelihood_is_log_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
