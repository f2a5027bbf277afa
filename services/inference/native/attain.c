/* The best of several rounds of y = W x with matrices of a prefill pass: large enough to be split
 * between all threads, small enough to stay in caches, so that what is measured is computing. */
#include "native/attain.h"

#include <stdlib.h>

#include "base/clock.h"

enum { ROWS = 256, DEPTH = 1024, COLUMNS_MIN = 1024, COLUMNS_PER_THREAD = 64, ROUNDS_MIN = 3 };

struct bench {
    const struct moe_backend *backend;
    struct moe_dev *dev;
    struct moe_weight *weight;
    struct moe_buf x, y;
    int columns;
};

static const enum moe_type types[NATIVE_PRECISION_COUNT] = {
    [NATIVE_F32] = MOE_F32, [NATIVE_BF16] = MOE_BF16, [NATIVE_INT8] = MOE_I8};

static bool fill(struct bench *b)
{
    float row[DEPTH];
    bool ok = true;

    for (int i = 0; i < DEPTH; i++)
        row[i] = (float)(i % 13 - 6) / 16;
    for (int i = 0; ok && i < b->columns; i++)
        ok = b->backend->weight_put(b->dev, b->weight, 0, i, 1, row, MOE_F32) == MOE_OK;
    for (size_t i = 0; ok && i < ROWS; i++)
        ok = b->backend->upload(b->dev, b->x, i * sizeof row, row, sizeof row) == MOE_OK;
    return ok;
}

static bool open_bench(struct bench *b, enum native_precision precision, int threads)
{
    char why[256];
    struct moe_options options = {.threads = threads,
                                  .isa = getenv("MOECAP_ISA"),
                                  .round_activations = precision != NATIVE_F32};
    struct moe_info info;
    struct moe_shape shape = {.type = types[precision], .experts = 1, .k = DEPTH};

    b->backend = moe_backend_find("cpu");
    if (b->backend->open(&options, &b->dev, why, sizeof why) != MOE_OK)
        return false;
    b->backend->info(b->dev, &info);
    b->columns = info.threads * COLUMNS_PER_THREAD;
    shape.n = b->columns = b->columns > COLUMNS_MIN ? b->columns : COLUMNS_MIN;
    return b->backend->weight_new(b->dev, &shape, &b->weight) == MOE_OK &&
           b->backend->alloc(b->dev, sizeof(float) * ROWS * DEPTH, &b->x) == MOE_OK &&
           b->backend->alloc(b->dev, sizeof(float) * ROWS * (size_t)b->columns, &b->y) == MOE_OK &&
           fill(b);
}

static void close_bench(struct bench *b)
{
    if (!b->dev)
        return;
    b->backend->weight_free(b->dev, b->weight);
    b->backend->release(b->dev, &b->x);
    b->backend->release(b->dev, &b->y);
    b->backend->close(b->dev);
}

static bool run_once(struct bench *b, double *io_best)
{
    const struct cap_clock *clock = cap_clock_system();
    int64_t started = cap_clock_ns(clock), took;
    bool ok = b->backend->linear(b->dev, b->x, b->weight, (struct moe_buf){0}, b->y, ROWS, false) ==
                  MOE_OK &&
              b->backend->sync(b->dev) == MOE_OK;
    double gflop_s;

    took = cap_clock_ns(clock) - started;
    gflop_s = took > 0 ? 2.0 * ROWS * DEPTH * b->columns / (double)took : 0;
    *io_best = gflop_s > *io_best ? gflop_s : *io_best;
    return ok;
}

void native_attain(int threads, int budget_ms, double out_gflop_s[NATIVE_PRECISION_COUNT])
{
    for (int p = 0; p < NATIVE_PRECISION_COUNT; p++) {
        struct bench bench = {0};
        int64_t until = cap_clock_ns(cap_clock_system()) + budget_ms * INT64_C(1000000);
        double best = 0;
        bool ok = open_bench(&bench, (enum native_precision)p, threads);

        for (int i = 0; ok && (i < ROUNDS_MIN || cap_clock_ns(cap_clock_system()) < until); i++)
            ok = run_once(&bench, &best);
        close_bench(&bench);
        out_gflop_s[p] = ok ? best : 0;
    }
}
