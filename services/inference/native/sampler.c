/* The next token from its logits: weigh, keep the likeliest, draw.
 *
 * The order of the candidates is part of the result, since the draw walks through them: likeliest
 * first, ties by the lower id. Top-k and top-p mostly keep a few of a vocabulary of 150,000, so
 * that sorting all of them would cost more than the pass of a small model. A heap gives as many as
 * are kept, in the same order: linear to build, and a logarithm for each that is taken.
 */
#include "native/inside.h"

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

static bool is_likelier(const struct native_candidate *a, const struct native_candidate *b)
{
    return a->probability != b->probability ? a->probability > b->probability : a->id < b->id;
}

static void swap(struct native_candidate *a, struct native_candidate *b)
{
    struct native_candidate held = *a;
    *a = *b;
    *b = held;
}

/* The parent of two heap entries is likelier than both; entry `at` may not be. */
static void sift_down(struct native_candidate *heap, int count, int at)
{
    for (int child = 2 * at + 1; child < count; at = child, child = 2 * at + 1) {
        if (child + 1 < count && is_likelier(&heap[child + 1], &heap[child]))
            child++;
        if (!is_likelier(&heap[child], &heap[at]))
            return;
        swap(&heap[at], &heap[child]);
    }
}

static void make_heap(struct native_candidate *heap, int count)
{
    for (int i = count / 2 - 1; i >= 0; i--)
        sift_down(heap, count, i);
}

/* The likeliest of the first `count` goes to their end. */
static const struct native_candidate *take_likeliest(struct native_candidate *heap, int count)
{
    swap(&heap[0], &heap[count - 1]);
    sift_down(heap, count - 1, 0);
    return &heap[count - 1];
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

/* The candidates that top-k and top-p leave, likeliest first, end up at the end of `all`, in
 * reverse: rank r is all[vocab - 1 - r]. Returns how many, and their sum. Only these are put in
 * order. */
static int keep_likeliest(struct native_candidate *all, int vocab,
                          const struct native_sampling *sampling, double sum, double *out_sum)
{
    bool by_k = sampling->top_k > 0 && sampling->top_k < vocab;
    bool by_p = sampling->top_p > 0 && sampling->top_p < 1;
    int most = by_k ? sampling->top_k : vocab, ranked = 0, kept;
    double so_far = 0;
    make_heap(all, vocab);
    if (by_k) { /* top-p takes its share of what top-k left */
        sum = 0;
        for (; ranked < most; ranked++)
            sum += (double)take_likeliest(all, vocab - ranked)->probability;
    }
    for (kept = 0; by_p && kept < most && (kept == 0 || so_far < sampling->top_p * sum); kept++) {
        if (kept == ranked)
            take_likeliest(all, vocab - ranked++);
        so_far += (double)all[vocab - 1 - kept].probability;
    }
    *out_sum = by_p ? so_far : sum;
    return by_p ? kept : most;
}

int32_t native_sample(const float *logits, int vocab, const struct native_sampling *sampling,
                      struct cap_rand *rand, struct native_candidate *scratch)
{
    if (!(sampling->temperature > 0))
        return native_sample_greedy(logits, vocab);
    double sum = weigh(logits, vocab, sampling->temperature, scratch);
    bool cut = (sampling->top_k > 0 && sampling->top_k < vocab) ||
               (sampling->top_p > 0 && sampling->top_p < 1);
    int count = cut ? keep_likeliest(scratch, vocab, sampling, sum, &sum) : vocab;
    double draw = cap_rand_unit(rand) * sum;
    for (int i = 0; i < count - 1; i++) {
        const struct native_candidate *c = &scratch[cut ? vocab - 1 - i : i];
        draw -= (double)c->probability;
        if (draw < 0)
            return c->id;
    }
    return scratch[cut ? vocab - count : count - 1].id;
}
