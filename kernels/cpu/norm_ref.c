#include <math.h>

#include "cpu/ref.h"

void moe_rmsnorm_ref(const float *x, const float *w, float *y, int cols, float eps)
{
    double sum = 0;
    for (int i = 0; i < cols; i++)
        sum += (double)x[i] * (double)x[i];
    double scale = 1 / sqrt(sum / cols + (double)eps);
    for (int i = 0; i < cols; i++)
        y[i] = (float)((double)x[i] * scale * (double)w[i]);
}
