#include <math.h>
#include <stddef.h>

#include "cpu/ref.h"

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double gate_logit(const float *x, const float *gate, int expert, int k)
{
    return dot(x, gate + (size_t)expert * (size_t)k, k);
}

static bool chosen_before(const int32_t *ids, int count, int expert)
{
    for (int i = 0; i < count; i++)
        if (ids[i] == expert)
            return true;
    return false;
}

void moe_router_ref(const float *x, const float *gate, int experts, int k, int top_k,
                    bool renormalize, float scale, int32_t *ids, float *weights)
{
    for (int i = 0; i < top_k; i++) {
        ids[i] = -1;
        for (int e = 0; e < experts; e++)
            if (!chosen_before(ids, i, e) &&
                (ids[i] < 0 || gate_logit(x, gate, e, k) > gate_logit(x, gate, ids[i], k)))
                ids[i] = e;
    }
    double max = gate_logit(x, gate, ids[0], k), all = 0, chosen = 0;
    for (int e = 0; e < experts; e++)
        all += exp(gate_logit(x, gate, e, k) - max);
    for (int i = 0; i < top_k; i++)
        chosen += exp(gate_logit(x, gate, ids[i], k) - max) / all;
    for (int i = 0; i < top_k; i++) {
        double p = exp(gate_logit(x, gate, ids[i], k) - max) / all;
        weights[i] = (float)(p / (renormalize ? chosen : 1) * (double)scale);
    }
}

/* The sum walks the inner width outside, so that nothing has to be stored. */
void moe_moe_ref(const float *x, const int32_t *ids, const float *weights, int top_k,
                 const float *gate_up, const float *down, int hidden, int inner, float *y)
{
    size_t h = (size_t)hidden, n = (size_t)inner;
    for (int i = 0; i < top_k; i++) {
        const float *up_rows = gate_up + (size_t)ids[i] * 2 * n * h;
        const float *down_rows = down + (size_t)ids[i] * h * n;
        for (size_t j = 0; j < n; j++) {
            double g = dot(x, up_rows + j * h, hidden), u = dot(x, up_rows + (n + j) * h, hidden);
            double active = g / (1 + exp(-g)) * u * (double)weights[i];
            for (size_t o = 0; o < h; o++)
                y[o] = (float)((double)y[o] + active * (double)down_rows[o * n + j]);
        }
    }
}
