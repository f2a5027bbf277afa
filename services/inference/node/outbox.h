/* outbox.h — batches of answers that the scheduler has not acknowledged yet, in order.
 *
 * A batch is kept until its acknowledgement, byte for byte, so that one sent twice has the same
 * digest and the store can tell a repetition from a contradiction. Not thread-safe: work.c's lock
 * guards it.
 */
#ifndef INFER_OUTBOX_H
#define INFER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "digest/digest.h"

struct infer_batch {
    uint64_t seq;
    uint8_t sha256[CAP_SHA256_BYTES];
    uint8_t *rows; /* owned */
    size_t length;
    uint32_t answers, completed;
    bool last;
};

struct infer_outbox;

struct infer_outbox *infer_outbox_new(size_t bytes_max);
void infer_outbox_free(struct infer_outbox *outbox);
CAP_DEFINE_AUTO(infer_outbox)

/* Takes the batch and its rows. It is taken even past bytes_max: what is measured is never thrown
 * away; infer_outbox_has_room tells the worker to start nothing new. */
void infer_outbox_put(struct infer_outbox *outbox, const struct infer_batch *batch);
bool infer_outbox_has_room(const struct infer_outbox *outbox);
/* The first batch not sent on this connection, then marked sent; NULL when there is none, or when
 * what is sent and not acknowledged would exceed the window with it. Borrowed until the next call.
 */
const struct infer_batch *infer_outbox_next(struct infer_outbox *outbox);
/* Forgets batches up to seq. */
void infer_outbox_ack(struct infer_outbox *outbox, uint64_t seq);
/* A new connection: everything still here is to be sent again, at most window_bytes of it at a time
 * (0 = no limit; one batch always goes). */
void infer_outbox_rewind(struct infer_outbox *outbox, size_t window_bytes);
void infer_outbox_clear(struct infer_outbox *outbox);
size_t infer_outbox_count(const struct infer_outbox *outbox);
size_t infer_outbox_bytes(const struct infer_outbox *outbox);

#endif
