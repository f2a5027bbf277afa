/* y = W x: the columns of the result are split between threads, each walks all rows. */
#include <string.h>

#include "cpu/cpu.h"

static enum cpu_act act_of(const struct moe_dev *dev, const struct moe_weight *weight)
{
    if (weight->shape.type == MOE_I8)
        return CPU_ACT_I16;
    bool rounded =
        weight->shape.type == MOE_BF16 && dev->round_activations && dev->isa->tile_bf16_rounded;
    return rounded ? CPU_ACT_BF16 : CPU_ACT_F32;
}

static size_t act_bytes(enum cpu_act act, int k_padded)
{
    size_t k = (size_t)k_padded;
    if (act == CPU_ACT_F32)
        return k * 4;
    return act == CPU_ACT_BF16 ? k * 2 : k * 2 + k / MOE_I8_GROUP * 4;
}

cpu_tile cpu_tile_of(const struct moe_dev *dev, const struct moe_weight *weight)
{
    switch (act_of(dev, weight)) {
    case CPU_ACT_I16:
        return dev->isa->tile_i8;
    case CPU_ACT_BF16:
        return dev->isa->tile_bf16_rounded;
    case CPU_ACT_F32:
        break;
    }
    return weight->shape.type == MOE_F32 ? dev->isa->tile_f32 : dev->isa->tile_bf16;
}

struct prepare {
    const struct cpu_isa *isa;
    enum cpu_act act;
    const float *x;
    int rows, k, k_padded;
    char *out;
    size_t stride;
};

enum { ROWS_OF_UNIT = 8 };

static void prepare_job(void *context, int unit, int thread)
{
    (void)thread;
    const struct prepare *p = context;
    for (int i = unit * ROWS_OF_UNIT; i < p->rows && i < (unit + 1) * ROWS_OF_UNIT; i++)
        p->isa->prepare(p->act, p->x + (size_t)i * (size_t)p->k, p->k, p->k_padded,
                        p->out + (size_t)i * p->stride);
}

bool cpu_rows_prepare(struct moe_dev *dev, const float *x, int rows,
                      const struct moe_weight *weight, struct cpu_scratch *scratch,
                      struct cpu_rows *out_rows)
{
    struct prepare p = {.isa = dev->isa,
                        .act = act_of(dev, weight),
                        .x = x,
                        .rows = rows,
                        .k = weight->shape.k,
                        .k_padded = weight->k_padded};
    p.stride = act_bytes(p.act, p.k_padded);
    if (p.act == CPU_ACT_F32 && p.k == p.k_padded) {
        *out_rows = (struct cpu_rows){(const char *)x, p.stride};
        return true;
    }
    if (!cpu_scratch_fit(scratch, p.stride * (size_t)rows))
        return false;
    p.out = scratch->data;
    cpu_run(dev, (size_t)rows * (size_t)p.k, prepare_job, &p,
            (rows + ROWS_OF_UNIT - 1) / ROWS_OF_UNIT);
    *out_rows = (struct cpu_rows){p.out, p.stride};
    return true;
}

struct linear {
    const struct moe_weight *weight;
    cpu_tile tile;
    struct cpu_rows x;
    const float *bias;
    float *y;
    int rows, tile_rows, panels_of_unit;
    bool accumulate;
};

static void put_out(const struct linear *job, int row, int col, const float *c)
{
    int n = job->weight->shape.n;
    float *y = job->y + (size_t)row * (size_t)n + col;
    int cols =
        n - col < job->panels_of_unit * CPU_PANEL ? n - col : job->panels_of_unit * CPU_PANEL;
    const float *bias = job->bias ? job->bias + col : NULL;
    for (int i = 0; i < cols; i++) {
        float value = bias ? c[i] + bias[i] : c[i];
        y[i] = job->accumulate ? y[i] + value : value;
    }
}

static void linear_job(void *context, int unit, int thread)
{
    (void)thread;
    const struct linear *job = context;
    const struct moe_weight *weight = job->weight;
    int panel = unit * job->panels_of_unit;
    int panels =
        weight->panels - panel < job->panels_of_unit ? weight->panels - panel : job->panels_of_unit;
    float c[CPU_TILE_ROWS * CPU_TILE_COLS];
    for (int row = 0; row < job->rows; row += job->tile_rows) {
        const char *a[CPU_TILE_ROWS];
        int rows = job->rows - row < job->tile_rows ? job->rows - row : job->tile_rows;
        for (int r = 0; r < rows; r++)
            a[r] = job->x.data + (size_t)(row + r) * job->x.stride;
        job->tile(weight->data + (size_t)panel * weight->panel_bytes, weight->panel_bytes, panels,
                  a, rows, weight->k_padded, c);
        for (int r = 0; r < rows; r++)
            put_out(job, row + r, panel * CPU_PANEL, c + r * CPU_TILE_COLS);
    }
}

enum moe_status cpu_linear(struct moe_dev *dev, struct moe_buf x, const struct moe_weight *weight,
                           struct moe_buf bias, struct moe_buf y, int rows, bool accumulate)
{
    struct linear job = {.weight = weight,
                         .tile = cpu_tile_of(dev, weight),
                         .bias = cpu_f32(bias),
                         .y = cpu_f32(y),
                         .rows = rows,
                         .tile_rows = dev->isa->tile_rows,
                         .panels_of_unit = CPU_TILE_PANELS,
                         .accumulate = accumulate};
    if (rows == 0 || weight->panels == 0)
        return MOE_OK;
    if (!cpu_rows_prepare(dev, cpu_f32(x), rows, weight, &dev->activations, &job.x))
        return MOE_NO_MEMORY;
    /* Narrow matrices are cut finer, so that every thread gets several units. */
    while (job.panels_of_unit > 1 &&
           weight->panels < job.panels_of_unit * 4 * cpu_pool_threads(dev->pool))
        job.panels_of_unit /= 2;
    int units = (weight->panels + job.panels_of_unit - 1) / job.panels_of_unit;
    size_t work = (size_t)rows * (size_t)weight->shape.n * (size_t)weight->shape.k;
    cpu_run(dev, work, linear_job, &job, units);
    return MOE_OK;
}
