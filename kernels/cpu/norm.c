/* Fetching embedding rows, and RMS norm. */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/numbers.h"

enum moe_status cpu_embed(struct moe_dev *dev, struct moe_buf ids, const struct moe_weight *weight,
                          struct moe_buf out, int rows)
{
    (void)dev;
    size_t k = (size_t)weight->shape.k;
    for (int row = 0; row < rows; row++) {
        float *to = cpu_f32(out) + (size_t)row * k;
        size_t from = (size_t)cpu_i32(ids)[row] * k;
        if (weight->shape.type == MOE_F32) {
            memcpy(to, weight->data + from * 4, k * 4);
            continue;
        }
        const uint16_t *halves = (const uint16_t *)(const void *)weight->data + from;
        for (size_t i = 0; i < k; i++)
            to[i] = cpu_from_bf16(halves[i]);
    }
    return MOE_OK;
}

struct norm {
    const struct cpu_isa *isa;
    const float *x, *w;
    const int32_t *pick;
    float *y, eps;
    int rows, cols;
};

enum { ROWS_OF_UNIT = 8 };

static void norm_job(void *context, int unit, int thread)
{
    (void)thread;
    const struct norm *n = context;
    for (int i = unit * ROWS_OF_UNIT; i < n->rows && i < (unit + 1) * ROWS_OF_UNIT; i++) {
        size_t from = n->pick ? (size_t)n->pick[i] : (size_t)i;
        n->isa->rmsnorm(n->x + from * (size_t)n->cols, n->w, n->y + (size_t)i * (size_t)n->cols,
                        n->cols, n->eps);
    }
}

enum moe_status cpu_rmsnorm(struct moe_dev *dev, struct moe_buf x, struct moe_buf pick,
                            struct moe_buf w, struct moe_buf y, int rows, int cols, float eps)
{
    struct norm job = {.isa = dev->isa,
                       .x = cpu_f32(x),
                       .w = cpu_f32(w),
                       .pick = cpu_i32(pick),
                       .y = cpu_f32(y),
                       .eps = eps,
                       .rows = rows,
                       .cols = cols};
    cpu_run(dev, (size_t)rows * (size_t)cols, norm_job, &job,
            (rows + ROWS_OF_UNIT - 1) / ROWS_OF_UNIT);
    return MOE_OK;
}
