/* tally.h — how often the router chose each expert, summed between two batches.
 *
 * Sums are kept per phase, batch bucket (sequences in the pass rounded up to a power of two), MoE
 * layer and expert, and made only for buckets that occur. Not thread-safe: the worker's.
 */
#ifndef INFER_TALLY_H
#define INFER_TALLY_H

#include "rows_wire.h"

/* Buckets 1, 2, 4, ... 2^20: more sequences in one pass count into the last. */
enum { INFER_TALLY_BUCKETS = 21, INFER_TALLY_NO_BUCKET = INFER_TALLY_BUCKETS };

struct infer_tally {
    int moe_layers, experts;
    int *layer_ids; /* [moe_layers] */
    /* [phase - 1][log2 bucket, or NO_BUCKET]: [moe_layers][experts] */
    uint64_t *sums[2][INFER_TALLY_BUCKETS + 1];
    bool touched[2][INFER_TALLY_BUCKETS + 1];
};

void infer_tally_done(struct infer_tally *tally); /* {0} is a new tally */
/* A pass without expert counts adds nothing. */
void infer_tally_pass(struct infer_tally *tally, const struct infer_pass *pass);
/* A request's experts, of an engine that has no passes to show: nobody knows what else ran with it,
 * so they are counted in a bucket of their own, 0 on the wire. */
void infer_tally_routing(struct infer_tally *tally, const struct infer_routing *routing);
/* Writes the sums since the last flush as rows, and begins anew. Calls `full`, which must empty the
 * rows, whenever they have grown to INFER_ROWS_FLUSH_BYTES: of a large model the sums alone can be
 * more than a batch holds. */
void infer_tally_flush(struct infer_tally *tally, struct infer_rows *rows, void (*full)(void *arg),
                       void *arg);

#endif
