#include "node/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct infer_spool {
    struct infer_batch *batches; /* [count], oldest first */
    size_t count, capacity, sent;
    size_t bytes, bytes_max;
    size_t sent_bytes, window_bytes; /* of the batches that are sent; 0 = no limit */
};

struct infer_spool *infer_spool_new(size_t bytes_max)
{
    struct infer_spool *spool = calloc(1, sizeof *spool);

    assert(spool);
    spool->bytes_max = bytes_max;
    return spool;
}

void infer_spool_free(struct infer_spool *spool)
{
    if (!spool)
        return;
    infer_spool_clear(spool);
    free(spool->batches);
    free(spool);
}

void infer_spool_put(struct infer_spool *spool, const struct infer_batch *batch)
{
    assert(spool->count == 0 || spool->batches[spool->count - 1].seq < batch->seq);
    if (spool->count == spool->capacity) {
        spool->capacity = spool->capacity ? 2 * spool->capacity : 16;
        spool->batches = realloc(spool->batches, spool->capacity * sizeof *spool->batches);
        assert(spool->batches);
    }
    spool->batches[spool->count++] = *batch;
    spool->bytes += batch->length;
}

bool infer_spool_has_room(const struct infer_spool *spool)
{
    return spool->bytes < spool->bytes_max;
}

const struct infer_batch *infer_spool_next(struct infer_spool *spool)
{
    const struct infer_batch *next;

    if (spool->sent == spool->count)
        return NULL;
    next = &spool->batches[spool->sent];
    if (spool->sent > 0 && spool->window_bytes > 0 &&
        spool->sent_bytes + next->length > spool->window_bytes)
        return NULL;
    spool->sent++;
    spool->sent_bytes += next->length;
    return next;
}

static void drop_first(struct infer_spool *spool, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        spool->bytes -= spool->batches[i].length;
        if (i < spool->sent)
            spool->sent_bytes -= spool->batches[i].length;
        free(spool->batches[i].rows);
    }
    spool->count -= count;
    if (spool->count)
        memmove(spool->batches, spool->batches + count, spool->count * sizeof *spool->batches);
    spool->sent = spool->sent > count ? spool->sent - count : 0;
}

void infer_spool_ack(struct infer_spool *spool, uint64_t seq)
{
    size_t count = 0;

    while (count < spool->count && spool->batches[count].seq <= seq)
        count++;
    drop_first(spool, count);
}

void infer_spool_rewind(struct infer_spool *spool, size_t window_bytes)
{
    spool->sent = spool->sent_bytes = 0;
    spool->window_bytes = window_bytes;
}

void infer_spool_clear(struct infer_spool *spool)
{
    drop_first(spool, spool->count);
}

size_t infer_spool_count(const struct infer_spool *spool)
{
    return spool->count;
}

size_t infer_spool_bytes(const struct infer_spool *spool)
{
    return spool->bytes;
}
