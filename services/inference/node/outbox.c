/* A list, oldest first, of which the first `sent` batches are on their way. An acknowledgement
 * drops from the front; a new stream begins again at the front. */
#include "node/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct infer_outbox {
    struct infer_batch *batches; /* [count], oldest first */
    size_t count, capacity, sent;
    size_t bytes, bytes_max;
    size_t sent_bytes, window_bytes; /* of the batches that are sent; 0 = no limit */
};

struct infer_outbox *infer_outbox_new(size_t bytes_max)
{
    struct infer_outbox *outbox = calloc(1, sizeof *outbox);

    assert(outbox);
    outbox->bytes_max = bytes_max;
    return outbox;
}

void infer_outbox_free(struct infer_outbox *outbox)
{
    if (!outbox)
        return;
    infer_outbox_clear(outbox);
    free(outbox->batches);
    free(outbox);
}

void infer_outbox_put(struct infer_outbox *outbox, const struct infer_batch *batch)
{
    assert(outbox->count == 0 || outbox->batches[outbox->count - 1].seq < batch->seq);
    if (outbox->count == outbox->capacity) {
        outbox->capacity = outbox->capacity ? 2 * outbox->capacity : 16;
        outbox->batches = realloc(outbox->batches, outbox->capacity * sizeof *outbox->batches);
        assert(outbox->batches);
    }
    outbox->batches[outbox->count++] = *batch;
    outbox->bytes += batch->length;
}

bool infer_outbox_has_room(const struct infer_outbox *outbox)
{
    return outbox->bytes < outbox->bytes_max;
}

const struct infer_batch *infer_outbox_next(struct infer_outbox *outbox)
{
    const struct infer_batch *next;

    if (outbox->sent == outbox->count)
        return NULL;
    next = &outbox->batches[outbox->sent];
    if (outbox->sent > 0 && outbox->window_bytes > 0 &&
        outbox->sent_bytes + next->length > outbox->window_bytes)
        return NULL;
    outbox->sent++;
    outbox->sent_bytes += next->length;
    return next;
}

static void drop_first(struct infer_outbox *outbox, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        outbox->bytes -= outbox->batches[i].length;
        if (i < outbox->sent)
            outbox->sent_bytes -= outbox->batches[i].length;
        free(outbox->batches[i].rows);
    }
    outbox->count -= count;
    if (outbox->count)
        memmove(outbox->batches, outbox->batches + count, outbox->count * sizeof *outbox->batches);
    outbox->sent = outbox->sent > count ? outbox->sent - count : 0;
}

void infer_outbox_ack(struct infer_outbox *outbox, uint64_t seq)
{
    size_t count = 0;

    while (count < outbox->count && outbox->batches[count].seq <= seq)
        count++;
    drop_first(outbox, count);
}

void infer_outbox_rewind(struct infer_outbox *outbox, size_t window_bytes)
{
    outbox->sent = outbox->sent_bytes = 0;
    outbox->window_bytes = window_bytes;
}

void infer_outbox_clear(struct infer_outbox *outbox)
{
    drop_first(outbox, outbox->count);
}

size_t infer_outbox_count(const struct infer_outbox *outbox)
{
    return outbox->count;
}

size_t infer_outbox_bytes(const struct infer_outbox *outbox)
{
    return outbox->bytes;
}
