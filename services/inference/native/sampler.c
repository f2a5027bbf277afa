#include "native/sampler.h"

#include <math.h>
#include <stdlib.h>

int32_t native_sample_greedy(const float *logits, int vocab)
{
    int32_t best = 0;
    for (int32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

double native_log_likelihood(const float *logits, int vocab, int32_t id)
{
    double max = (double)logits[native_sample_greedy(logits, vocab)], sum = 0;
    for (int i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - max);
    /* cppcheck-suppress invalidFunctionArg; the likeliest alone makes the sum 1 */
    return (double)logits[id] - max - log(sum);
}

static int likelier_first(const void *a, const void *b)
{
    const struct native_candidate *x = a, *y = b;
    if (x->probability != y->probability)
        return x->probability > y->probability ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Softmax at the temperature, not divided by its sum; returns the sum. */
static double weigh(const float *logits, int vocab, double temperature,
                    struct native_candidate *out)
{
    double max = (double)logits[native_sample_greedy(logits, vocab)], sum = 0;
    for (int i = 0; i < vocab; i++) {
        double p = exp(((double)logits[i] - max) / temperature);
        out[i] = (struct native_candidate){(float)p, i};
        sum += p;
    }
    return sum;
}

/* The shortest run of the likeliest that holds `share` of `sum`; its own sum in out_sum. */
static int nucleus(const struct native_candidate *sorted, int count, double sum, double share,
                   double *out_sum)
{
    double so_far = 0;
    int kept = 0;
    while (kept < count && (kept == 0 || so_far < share * sum))
        so_far += (double)sorted[kept++].probability;
    *out_sum = so_far;
    return kept;
}

int32_t native_sample(const float *logits, int vocab, const struct native_sampling *sampling,
                      struct cap_rand *rand, struct native_candidate *scratch)
{
    if (!(sampling->temperature > 0))
        return native_sample_greedy(logits, vocab);
    double sum = weigh(logits, vocab, sampling->temperature, scratch);
    bool by_k = sampling->top_k > 0 && sampling->top_k < vocab;
    bool by_p = sampling->top_p > 0 && sampling->top_p < 1;
    int count = vocab;
    if (by_k || by_p)
        qsort(scratch, (size_t)vocab, sizeof(*scratch), likelier_first);
    if (by_k) {
        count = sampling->top_k;
        sum = 0;
        for (int i = 0; i < count; i++)
            sum += (double)scratch[i].probability;
    }
    if (by_p)
        count = nucleus(scratch, count, sum, sampling->top_p, &sum);
    double draw = cap_rand_unit(rand) * sum;
    for (int i = 0; i < count - 1; i++) {
        draw -= (double)scratch[i].probability;
        if (draw < 0)
            return scratch[i].id;
    }
    return scratch[count - 1].id;
}
