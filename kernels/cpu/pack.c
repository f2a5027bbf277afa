/* Weights: rows of a file's numbers into panels (cpu.h), converted or quantised on the way.
 * Quantising is symmetric, round to nearest: the largest of a group becomes 127 steps, the step is
 * rounded to bf16 first, so that what is stored is what was rounded against. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/cpu.h"
#include "cpu/numbers.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

void *cpu_pages_alloc(size_t bytes)
{
    bytes = bytes ? bytes : 1;
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE_PAGE_BYTES)
        madvise(data, bytes, MADV_HUGEPAGE); /* faster streams where the kernel grants it */
    return data;
}

void cpu_pages_free(void *data, size_t bytes)
{
    if (data)
        munmap(data, bytes ? bytes : 1);
}

bool cpu_scratch_fit(struct cpu_scratch *scratch, size_t bytes)
{
    if (bytes <= scratch->bytes)
        return true;
    bytes += bytes / 2;
    char *data = cpu_pages_alloc(bytes);
    if (!data)
        return false;
    cpu_pages_free(scratch->data, scratch->bytes);
    *scratch = (struct cpu_scratch){data, bytes};
    return true;
}

static size_t panel_bytes(enum moe_type type, int k_padded)
{
    if (type == MOE_I8)
        return (size_t)k_padded / MOE_I8_GROUP * CPU_I8_BLOCK_BYTES;
    return (size_t)k_padded * CPU_PANEL * (type == MOE_F32 ? 4 : 2);
}

static int panels_of(const struct moe_shape *shape)
{
    if (shape->layout == MOE_PAIRED)
        return 2 * (cpu_round_up(shape->n / 2, CPU_PANEL) / CPU_PANEL);
    return cpu_round_up(shape->n, CPU_PANEL) / CPU_PANEL;
}

enum moe_status cpu_weight_new(struct moe_dev *dev, const struct moe_shape *shape,
                               struct moe_weight **out_weight)
{
    (void)dev;
    bool fits = shape->experts > 0 && shape->n >= 0 && shape->k >= 0 && shape->type != MOE_F16 &&
                (shape->layout != MOE_PAIRED || shape->n % 2 == 0) &&
                (shape->layout != MOE_ROWS || shape->type != MOE_I8);
    if (!fits)
        return MOE_INVALID;
    struct moe_weight *weight = calloc(1, sizeof(*weight));
    if (!weight)
        return MOE_NO_MEMORY;
    weight->shape = *shape;
    weight->k_padded = cpu_round_up(shape->k, CPU_K_PAD);
    weight->panels = panels_of(shape);
    weight->panel_bytes = panel_bytes(shape->type, weight->k_padded);
    weight->expert_bytes = (size_t)weight->panels * weight->panel_bytes;
    if (shape->layout == MOE_ROWS)
        weight->expert_bytes =
            (size_t)shape->n * (size_t)shape->k * (shape->type == MOE_F32 ? 4 : 2);
    weight->data_bytes = weight->expert_bytes * (size_t)shape->experts;
    weight->data = cpu_pages_alloc(weight->data_bytes);
    if (!weight->data) {
        free(weight);
        return MOE_NO_MEMORY;
    }
    *out_weight = weight;
    return MOE_OK;
}

void cpu_weight_free(struct moe_dev *dev, struct moe_weight *weight)
{
    (void)dev;
    if (!weight)
        return;
    cpu_pages_free(weight->data, weight->data_bytes);
    free(weight);
}

uint64_t cpu_weight_bytes(const struct moe_weight *weight)
{
    const struct moe_shape *s = &weight->shape;
    uint64_t n = (uint64_t)s->n, k = (uint64_t)s->k;
    if (s->type == MOE_I8)
        return n * k + n * ((k + MOE_I8_GROUP - 1) / MOE_I8_GROUP) * 2;
    return n * k * (s->type == MOE_F32 ? 4 : 2);
}

/* ---- filling ---- */

struct put {
    struct moe_weight *weight;
    char *expert;
    int row, rows;
    const char *src;
    enum moe_type from;
};

/* Rounds to a whole number by a sum that has no bits for less: rintf, but one that becomes vectors.
 */
static inline float to_whole(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    return x + shift - shift;
}

static void quantise_group(const float *x, char *block, int col)
{
    float peak = 0;
    for (int i = 0; i < MOE_I8_GROUP; i++) {
        float size = x[i] < 0 ? -x[i] : x[i];
        peak = size > peak ? size : peak;
    }
    /* below 2^-100 a step has no reciprocal, and is as good as nothing */
    uint16_t scale = peak > 0x1p-100f ? cpu_to_bf16(peak / 127.0f) : 0;
    float steps = scale > 0 ? 1.0f / cpu_from_bf16(scale) : 0;
    int8_t q[MOE_I8_GROUP];
    for (int i = 0; i < MOE_I8_GROUP; i++) {
        float whole = to_whole(x[i] * steps);
        whole = whole > 127 ? 127 : whole;
        q[i] = (int8_t)(int)(whole < -127 ? -127 : whole);
    }
    for (int i = 0; i < MOE_I8_GROUP; i += 2)
        memcpy(block + i * CPU_PANEL + col * 2, q + i, 2);
    memcpy(block + MOE_I8_GROUP * CPU_PANEL + col * 2, &scale, 2);
}

static void put_in_panel(const struct moe_weight *weight, char *panel, int col, const float *x)
{
    int k = weight->k_padded;
    if (weight->shape.type == MOE_I8) {
        for (int i = 0; i < k; i += MOE_I8_GROUP, panel += CPU_I8_BLOCK_BYTES)
            quantise_group(x + i, panel, col);
    } else if (weight->shape.type == MOE_F32) {
        for (int i = 0; i < k; i++)
            memcpy(panel + ((size_t)i * CPU_PANEL + (size_t)col) * 4, &x[i], 4);
    } else {
        for (int i = 0; i < k; i++) {
            uint16_t h = cpu_to_bf16(x[i]);
            memcpy(panel + ((size_t)(i / 2) * CPU_PANEL * 2 + (size_t)(col * 2 + i % 2)) * 2, &h,
                   2);
        }
    }
}

static void put_row(const struct put *put, int row, const float *x)
{
    const struct moe_weight *weight = put->weight;
    int n = weight->shape.n, k = weight->shape.k;
    if (weight->shape.layout == MOE_ROWS) {
        size_t size = weight->shape.type == MOE_F32 ? 4 : 2;
        char *to = put->expert + (size_t)row * (size_t)k * size;
        for (int i = 0; i < k; i++) {
            uint16_t h = cpu_to_bf16(x[i]);
            memcpy(to + (size_t)i * size, size == 4 ? (const void *)&x[i] : (const void *)&h, size);
        }
        return;
    }
    int panel = row / CPU_PANEL, col = row % CPU_PANEL;
    if (weight->shape.layout == MOE_PAIRED) {
        int is_up = row >= n / 2, within = row - is_up * (n / 2);
        panel = within / CPU_PANEL * 2 + is_up;
        col = within % CPU_PANEL;
    }
    put_in_panel(weight, put->expert + (size_t)panel * weight->panel_bytes, col, x);
}

enum { ROWS_OF_UNIT = 16 };

static void put_job(void *context, int unit, int thread)
{
    (void)thread;
    const struct put *put = context;
    const struct moe_weight *weight = put->weight;
    size_t src_bytes = (size_t)weight->shape.k * (put->from == MOE_F32 ? 4 : 2);
    float *x = calloc((size_t)weight->k_padded + 1, sizeof(float));
    if (!x)
        abort(); /* a few kilobytes: nothing would work any more */
    for (int i = unit * ROWS_OF_UNIT; i < put->rows && i < (unit + 1) * ROWS_OF_UNIT; i++) {
        moe_to_f32(put->src + (size_t)i * src_bytes, put->from, (size_t)weight->shape.k, x);
        put_row(put, put->row + i, x);
    }
    free(x);
}

enum moe_status cpu_weight_put(struct moe_dev *dev, struct moe_weight *weight, int expert, int row,
                               int rows, const void *src, enum moe_type from)
{
    struct put put = {.weight = weight,
                      .expert = weight->data + (size_t)expert * weight->expert_bytes,
                      .row = row,
                      .rows = rows,
                      .src = src,
                      .from = from};
    cpu_pool_run(dev->pool, put_job, &put, (rows + ROWS_OF_UNIT - 1) / ROWS_OF_UNIT);
    return MOE_OK;
}
