#include "tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void infer_tally_done(struct infer_tally *tally)
{
    for (int phase = 0; phase < 2; phase++)
        for (int i = 0; i <= INFER_TALLY_NO_BUCKET; i++)
            free(tally->sums[phase][i]);
    free(tally->layer_ids);
    *tally = (struct infer_tally){0};
}

/* The first one tells the shape; it is the same for all that an engine tells. */
static void learn_shape(struct infer_tally *tally, int moe_layers, int experts,
                        const int *layer_ids)
{
    size_t layers = (size_t)moe_layers;

    if (tally->layer_ids) {
        assert(tally->moe_layers == moe_layers && tally->experts == experts);
        return;
    }
    tally->moe_layers = moe_layers;
    tally->experts = experts;
    tally->layer_ids = calloc(layers, sizeof *tally->layer_ids);
    assert(tally->layer_ids);
    memcpy(tally->layer_ids, layer_ids, layers * sizeof *tally->layer_ids);
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

static void add_counts(struct infer_tally *tally, int phase, int bucket, const uint32_t *counts)
{
    uint64_t **sums = &tally->sums[phase][bucket];

    if (!*sums)
        *sums = calloc(cells(tally) + 1, sizeof **sums);
    assert(*sums);
    for (size_t i = 0; i < cells(tally); i++)
        (*sums)[i] += counts[i];
    tally->touched[phase][bucket] = true;
}

void infer_tally_pass(struct infer_tally *tally, const struct infer_pass *pass)
{
    if (!pass->expert_counts || pass->moe_layers == 0)
        return;
    learn_shape(tally, pass->moe_layers, pass->experts, pass->moe_layer_ids);
    add_counts(tally, (int)pass->phase - 1, bucket_of(pass->sequences), pass->expert_counts);
}

void infer_tally_routing(struct infer_tally *tally, const struct infer_routing *routing)
{
    if (routing->moe_layers == 0)
        return;
    learn_shape(tally, routing->moe_layers, routing->experts, routing->moe_layer_ids);
    if (routing->prefill)
        add_counts(tally, INFER_PREFILL - 1, INFER_TALLY_NO_BUCKET, routing->prefill);
    if (routing->decode)
        add_counts(tally, INFER_DECODE - 1, INFER_TALLY_NO_BUCKET, routing->decode);
}

static void flush_bucket(struct infer_tally *tally, int phase, int bucket, struct infer_rows *rows,
                         void (*full)(void *arg), void *arg)
{
    uint64_t *sums = tally->sums[phase][bucket];

    for (int layer = 0; layer < tally->moe_layers; layer++) {
        infer_rows_experts(rows, (enum infer_phase)(phase + 1), tally->layer_ids[layer],
                           bucket == INFER_TALLY_NO_BUCKET ? 0 : (uint32_t)1 << bucket,
                           sums + (size_t)layer * (size_t)tally->experts, tally->experts);
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
        for (int bucket = 0; bucket <= INFER_TALLY_NO_BUCKET; bucket++)
            if (tally->touched[phase][bucket])
                flush_bucket(tally, phase, bucket, rows, full, arg);
}
