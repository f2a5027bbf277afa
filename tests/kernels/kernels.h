/* kernels.h — what the kernel tests share: a device for every ISA level of this machine, buffers of
 * random numbers, comparison. A level that the CPU lacks is skipped aloud. */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/numbers.h"
#include "cpu/ref.h"
#include "moe_backend.h"

struct level {
    const struct moe_backend *b;
    struct moe_dev *dev;
    const char *name;
};

typedef void (*level_test)(const struct level *level);

static inline void each_level_rounding(level_test test, bool round_activations, int threads)
{
    const struct moe_backend *b = moe_backend_find("cpu");
    for (int i = 0; b->level_at(i); i++) {
        const char *lacks = b->level_lacks(i);
        if (lacks) {
            printf("skip: ISA level %s: this CPU lacks %s\n", b->level_at(i), lacks);
            continue;
        }
        struct level level = {.b = b, .name = b->level_at(i)};
        struct moe_options options = {
            .threads = threads, .isa = level.name, .round_activations = round_activations};
        char why[200] = "";
        if (b->open(&options, &level.dev, why, sizeof(why)) != MOE_OK)
            fail_msg("%s: %s", level.name, why);
        test(&level);
        b->close(level.dev);
    }
}

static inline void each_level(level_test test)
{
    each_level_rounding(test, false, 2);
}

/* The same numbers for the same seed; between -1 and 1. */
static inline float *random_floats(size_t count, uint64_t seed)
{
    float *x = malloc((count + 1) * sizeof(float));
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)((double)(int64_t)state / 9.3e18);
    }
    return x;
}

static inline struct moe_buf put(const struct level *l, const void *data, size_t numbers)
{
    struct moe_buf buf;
    assert_int_equal(l->b->alloc(l->dev, numbers * 4, &buf), MOE_OK);
    l->b->upload(l->dev, buf, 0, data, numbers * 4);
    return buf;
}

static inline struct moe_weight *weight_of(const struct level *l, struct moe_shape shape,
                                           const float *rows)
{
    struct moe_weight *w = NULL;
    assert_int_equal(l->b->weight_new(l->dev, &shape, &w), MOE_OK);
    size_t bytes = (size_t)shape.n * (size_t)shape.k;
    for (int e = 0; e < shape.experts; e++)
        l->b->weight_put(l->dev, w, e, 0, shape.n, rows + (size_t)e * bytes, MOE_F32);
    return w;
}

/* What the weight really holds after packing: the numbers rounded as its type rounds them. */
static inline void round_as(enum moe_type type, float *x, int rows, int k)
{
    for (int row = 0; row < rows; row++, x += k) {
        for (int i = 0; i < k && type == MOE_BF16; i++)
            x[i] = cpu_from_bf16(cpu_to_bf16(x[i]));
        for (int from = 0; from < k && type == MOE_I8; from += MOE_I8_GROUP) {
            int end = from + MOE_I8_GROUP < k ? from + MOE_I8_GROUP : k;
            float peak = 0;
            for (int i = from; i < end; i++)
                peak = fmaxf(peak, fabsf(x[i]));
            float scale = cpu_from_bf16(cpu_to_bf16(peak / 127.0f));
            for (int i = from; i < end && scale > 0; i++)
                x[i] = fminf(fmaxf(rintf(x[i] * (1 / scale)), -127), 127) * scale;
        }
    }
}

static inline void assert_close(const char *what, const float *got, const float *wanted,
                                size_t count, double tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - (double)wanted[i]) <= tolerance))
            fail_msg("%s: number %zu is %g, wanted %g within %g", what, i, (double)got[i],
                     (double)wanted[i], tolerance);
}

#endif
