/* ref.h — what each operator means: plain loops over host arrays, sums in double.
 *
 * The definition that every backend is tested against (tests/kernels). Weights are f32 rows as the
 * host sees them, not packed; the cache of attention is plain [tokens][kv_heads][head_dim].
 */
#ifndef MOE_REF_H
#define MOE_REF_H

#include <stdbool.h>
#include <stdint.h>

/* y [rows][n] = W x + bias (NULL: none); with `accumulate` y +=. W [n][k], x [rows][k] */
void moe_linear_ref(const float *x, const float *weight, const float *bias, float *y, int rows,
                    int n, int k, bool accumulate);

/* y [cols] = x / sqrt(mean(x^2) + eps) * w; y may be x */
void moe_rmsnorm_ref(const float *x, const float *w, float *y, int cols, float eps);

/* One row's heads after the projection: norms q and k (norms may be NULL), rotates them half-split
 * by rope [2][head_dim / 2] (cosines, sines). qkv [(heads + 2 kv_heads) * head_dim], in place. */
void moe_qkv_post_ref(float *qkv, int heads, int kv_heads, int head_dim, const float *q_norm,
                      const float *k_norm, float eps, const float *rope);

/* One query row at `position` over keys and values [position + 1][kv_heads][head_dim]. Sees keys
 * with position - k < window (0: all). out [heads][head_dim] */
void moe_attention_ref(const float *q, const float *keys, const float *values, int position,
                       int heads, int kv_heads, int head_dim, float scale, int window, float *out);

/* The top_k of softmax(W x), largest first, ties to the lower index; one row. */
void moe_router_ref(const float *x, const float *gate, int experts, int k, int top_k,
                    bool renormalize, float scale, int32_t *ids, float *weights);

/* One row through its experts: y [hidden] += sum of weight * down(silu(gate x) * up x).
 * gate_up [experts][2 inner][hidden] (gates above ups), down [experts][hidden][inner] */
void moe_moe_ref(const float *x, const int32_t *ids, const float *weights, int top_k,
                 const float *gate_up, const float *down, int hidden, int inner, float *y);

#endif
