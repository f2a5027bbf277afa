/* The definition of each operator: plain loops, sums in double. Nothing here is fast, and nothing
 * here follows what a backend does: when the two disagree, this file is right (tests/kernels). */
#include "cpu/ref.h"

#include <math.h>
#include <stddef.h>

#include "moe_backend.h"

/* ---- linear ---- */

void moe_linear_ref(const float *x, const float *weight, const float *bias, float *y, int rows,
                    int n, int k, bool accumulate)
{
    for (int row = 0; row < rows; row++) {
        for (int i = 0; i < n; i++) {
            double sum = bias ? (double)bias[i] : 0;
            for (int j = 0; j < k; j++)
                sum += (double)weight[(size_t)i * (size_t)k + (size_t)j] *
                       (double)x[(size_t)row * (size_t)k + (size_t)j];
            float *to = &y[(size_t)row * (size_t)n + (size_t)i];
            *to = (float)(accumulate ? (double)*to + sum : sum);
        }
    }
}

/* ---- norm ---- */

void moe_rmsnorm_ref(const float *x, const float *w, float *y, int cols, float eps)
{
    double sum = 0;
    for (int i = 0; i < cols; i++)
        sum += (double)x[i] * (double)x[i];
    double scale = 1 / sqrt(sum / cols + (double)eps);
    for (int i = 0; i < cols; i++)
        y[i] = (float)((double)x[i] * scale * (double)w[i]);
}

/* ---- attention ---- */

static void rotate_ref(float *x, int head_dim, const float *rope)
{
    int half = head_dim / 2;
    for (int i = 0; i < half; i++) {
        double a = (double)x[i], b = (double)x[i + half];
        double c = (double)rope[i], s = (double)rope[half + i];
        x[i] = (float)(a * c - b * s);
        x[i + half] = (float)(b * c + a * s);
    }
}

void moe_qkv_post_ref(float *qkv, int heads, int kv_heads, int head_dim, const float *q_norm,
                      const float *k_norm, float eps, const float *rope)
{
    for (int i = 0; i < heads + kv_heads; i++) {
        float *x = qkv + (size_t)i * (size_t)head_dim;
        const float *norm = i < heads ? q_norm : k_norm;
        if (norm)
            moe_rmsnorm_ref(x, norm, x, head_dim, eps);
        rotate_ref(x, head_dim, rope);
    }
}

static double score(const float *q, const float *key, int head_dim, float scale)
{
    double sum = 0;
    for (int d = 0; d < head_dim; d++)
        sum += (double)q[d] * (double)key[d];
    return sum * (double)scale;
}

/* Two walks over the keys: the largest score, then weights and values. */
static void head_ref(const float *q, const float *keys, const float *values, size_t stride,
                     int from, int to, int head_dim, float scale, float *out)
{
    double max = -INFINITY, sum = 0, weighted[MOE_HEAD_DIM_MAX] = {0};
    for (int t = from; t <= to; t++)
        max = fmax(max, score(q, keys + (size_t)t * stride, head_dim, scale));
    for (int t = from; t <= to; t++) {
        double p = exp(score(q, keys + (size_t)t * stride, head_dim, scale) - max);
        sum += p;
        for (int d = 0; d < head_dim; d++)
            weighted[d] += p * (double)values[(size_t)t * stride + (size_t)d];
    }
    for (int d = 0; d < head_dim; d++)
        out[d] = (float)(weighted[d] / sum);
}

void moe_attention_ref(const float *q, const float *keys, const float *values, int position,
                       int heads, int kv_heads, int head_dim, float scale, int window, float *out)
{
    int from = window > 0 && position - window + 1 > 0 ? position - window + 1 : 0;
    size_t dim = (size_t)head_dim, stride = (size_t)kv_heads * dim;
    for (int h = 0; h < heads; h++) {
        size_t shared = (size_t)(h / (heads / kv_heads)) * dim;
        head_ref(q + (size_t)h * dim, keys + shared, values + shared, stride, from, position,
                 head_dim, scale, out + (size_t)h * dim);
    }
}

/* ---- router and experts ---- */

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
