/* What the passes of a run say of its experts, summed while they come.
 *
 * A pass tells how many distinct experts each MoE layer used. Passes of one size belong together:
 * the sums are kept by the number of tokens in the pass, so that a curve over the batch can be
 * drawn of them. Numbers up to 16 have a point of their own, above there are 8 points to each
 * doubling. Beside what was measured stands what a router would use that chose uniformly:
 * E (1 - (1 - k/E)^T) of E experts, k for each of T tokens.
 *
 * What cannot be is counted here, pass by pass, since a mean hides it: T tokens use at least k
 * experts of a layer, and at most as many as they choose or as there are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "activation.h"

/* ---- passes ---- */

enum { OWN_POINT_MAX = 16, POINTS_A_DOUBLING = 8 };

static size_t point_of(uint32_t tokens)
{
    size_t point = tokens;

    if (tokens > OWN_POINT_MAX)
        point =
            OWN_POINT_MAX + 1 + (size_t)(log2((double)tokens / OWN_POINT_MAX) * POINTS_A_DOUBLING);
    return point < EVAL_ACTIVATION_POINTS ? point : EVAL_ACTIVATION_POINTS - 1;
}

double eval_uniform_experts(double experts, double top_k, double tokens)
{
    return experts * (1 - pow(1 - top_k / experts, tokens));
}

static bool is_possible(const struct eval_run *run, uint32_t tokens, uint32_t distinct)
{
    uint64_t chosen = (uint64_t)run->top_k * tokens;
    uint64_t most = run->experts > 0 && run->experts < chosen ? run->experts : chosen;

    return run->top_k == 0 || (distinct >= run->top_k && distinct <= most);
}

void eval_activation_add_pass(struct eval_activation *a, const struct eval_run *run,
                              uint32_t tokens, const uint32_t *distinct, size_t layers)
{
    struct eval_activation_point *point = &a->points[point_of(tokens)];
    uint64_t sum = 0;
    bool possible = true;

    a->rows += tokens;
    if (layers == 0)
        return;
    for (size_t i = 0; i < layers; i++) {
        sum += distinct[i];
        possible = possible && is_possible(run, tokens, distinct[i]);
        if (i < EVAL_LAYERS_MAX)
            a->by_layer[i] += distinct[i];
    }
    a->layer_passes++;
    a->layer_count = layers > a->layer_count ? layers : a->layer_count;
    a->impossible_passes += !possible;
    point->passes++;
    point->tokens += tokens;
    point->distinct += (double)sum / (double)layers;
    if (run->experts > 0 && run->top_k > 0)
        point->uniform += eval_uniform_experts(run->experts, run->top_k, tokens);
}

/* ---- selections by expert ---- */

static void grow(struct eval_layer_counts *kept, size_t experts)
{
    if (experts <= kept->experts)
        return;
    kept->counts = realloc(kept->counts, experts * sizeof *kept->counts);
    if (!kept->counts)
        abort();
    memset(kept->counts + kept->experts, 0, (experts - kept->experts) * sizeof *kept->counts);
    kept->experts = experts;
}

bool eval_activation_add_counts(struct eval_activation *a, uint32_t layer, const uint64_t *counts,
                                size_t experts)
{
    struct eval_layer_counts *kept;

    if (layer >= EVAL_LAYERS_MAX || experts > EVAL_EXPERTS_MAX)
        return false;
    kept = &a->layers[layer];
    grow(kept, experts);
    for (size_t i = 0; i < experts; i++)
        kept->counts[i] += counts[i];
    return true;
}

void eval_activation_done(struct eval_activation *a)
{
    for (size_t i = 0; i < EVAL_LAYERS_MAX; i++)
        free(a->layers[i].counts);
}

/* ---- how evenly the selections of a layer fall ---- */

static int by_count(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Gini's coefficient of counts in rising order: half the mean distance of two of them, over the
 * mean. */
static double gini_of(const uint64_t *sorted, size_t count, double total)
{
    double weighted = 0;

    for (size_t i = 0; i < count; i++)
        weighted += (2 * (double)(i + 1) - (double)count - 1) * (double)sorted[i];
    return weighted / ((double)count * total);
}

static double entropy_of(const uint64_t *counts, size_t count, double total)
{
    double entropy = 0;

    for (size_t i = 0; i < count; i++) {
        double share = (double)counts[i] / total;

        if (share > 0)
            entropy -= share * log(share);
    }
    return entropy;
}

bool eval_balance_of(const struct eval_layer_counts *layer, struct eval_balance *out)
{
    uint64_t sorted[EVAL_EXPERTS_MAX];
    double total = 0, squares = 0, experts = (double)layer->experts;

    if (layer->experts < 2)
        return false;
    memcpy(sorted, layer->counts, layer->experts * sizeof *sorted);
    qsort(sorted, layer->experts, sizeof *sorted, by_count);
    for (size_t i = 0; i < layer->experts; i++) {
        total += (double)sorted[i];
        squares += (double)sorted[i] * (double)sorted[i];
    }
    if (total == 0)
        return false;
    *out = (struct eval_balance){
        .max_ratio = (double)sorted[layer->experts - 1] / total * experts,
        .gini = gini_of(sorted, layer->experts, total),
        .jain = total * total / (experts * squares),
        .entropy = entropy_of(sorted, layer->experts, total) / log(experts),
        .selections = total,
    };
    return true;
}
