#include <math.h>
#include <stddef.h>

#include "cpu/ref.h"
#include "moe_backend.h"

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
