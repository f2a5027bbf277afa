#include "tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void infer_tally_done(struct infer_tally *tally)
{
    for (int phase = 0; phase < 2; phase++)
        for (int i = 0; i < INFER_TALLY_BUCKETS; i++)
            free(tally->sums[phase][i]);
    free(tally->layer_ids);
    *tally = (struct infer_tally){0};
}

/* The first pass tells the shape; it is the same for all of an engine's passes. */
static void learn_shape(struct infer_tally *tally, const struct infer_pass *pass)
{
    size_t layers = (size_t)pass->moe_layers;

    if (tally->layer_ids) {
        assert(tally->moe_layers == pass->moe_layers && tally->experts == pass->experts);
        return;
    }
    tally->moe_layers = pass->moe_layers;
    tally->experts = pass->experts;
    tally->layer_ids = calloc(layers, sizeof *tally->layer_ids);
    assert(tally->layer_ids);
    memcpy(tally->layer_ids, pass->moe_layer_ids, layers * sizeof *tally->layer_ids);
}

static int bucket_of(int sequences)
{
    int bucket = 0;

    while (bucket < INFER_TALLY_BUCKETS - 1 && 1 << bucket < sequences)
        bucket++;
    return bucket;
}

static size_t cells(const struct infer_tally *tally)
{
    return (size_t)tally->moe_layers * (size_t)tally->experts;
}

void infer_tally_pass(struct infer_tally *tally, const struct infer_pass *pass)
{
    int phase = (int)pass->phase - 1, bucket = bucket_of(pass->sequences);
    uint64_t **sums = &tally->sums[phase][bucket];

    if (!pass->expert_counts || pass->moe_layers == 0)
        return;
    learn_shape(tally, pass);
    if (!*sums)
        *sums = calloc(cells(tally), sizeof **sums);
    assert(*sums);
    for (size_t i = 0; i < cells(tally); i++)
        (*sums)[i] += pass->expert_counts[i];
    tally->touched[phase][bucket] = true;
}

static void flush_bucket(struct infer_tally *tally, int phase, int bucket, struct infer_rows *rows,
                         void (*full)(void *arg), void *arg)
{
    uint64_t *sums = tally->sums[phase][bucket];

    for (int layer = 0; layer < tally->moe_layers; layer++) {
        infer_rows_experts(rows, (enum infer_phase)(phase + 1), tally->layer_ids[layer],
                           (uint32_t)1 << bucket, sums + (size_t)layer * (size_t)tally->experts,
                           tally->experts);
        if (rows->bytes.length >= INFER_ROWS_FLUSH_BYTES)
            full(arg);
    }
    memset(sums, 0, cells(tally) * sizeof *sums);
    tally->touched[phase][bucket] = false;
}

void infer_tally_flush(struct infer_tally *tally, struct infer_rows *rows, void (*full)(void *arg),
                       void *arg)
{
    for (int phase = 0; phase < 2; phase++)
        for (int bucket = 0; bucket < INFER_TALLY_BUCKETS; bucket++)
            if (tally->touched[phase][bucket])
                flush_bucket(tally, phase, bucket, rows, full, arg);
}
