#include "cpu/ref.h"

#include <stddef.h>

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
