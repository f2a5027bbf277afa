/* rows_wire.h — a batch's bytes: a packed AnswerRows, built up row by row.
 *
 * Protocol Buffers define the concatenation of two packed messages as their merge, so each row is
 * packed as an AnswerRows of its own and appended: a batch is never held twice, and its bytes are
 * final the moment they are written. Not thread-safe.
 */
#ifndef INFER_ROWS_WIRE_H
#define INFER_ROWS_WIRE_H

#include "answer.h"
#include "base/buf.h"

/* Limits of one answer, so that no batch passes the 2 MiB of the wire. A longer text fails the
 * sample; a longer prompt, or ids past the limit, are left out of its row. */
enum {
    INFER_ROWS_FLUSH_BYTES = 512 << 10, /* a batch this large goes out */
    INFER_ROWS_BYTES_MAX = 2 << 20,
    INFER_TEXT_BYTES_MAX = 512 << 10, /* answer and reasoning together */
    INFER_PROMPT_BYTES_MAX = 256 << 10,
    INFER_OUTPUT_IDS_MAX = 65536,
    INFER_ROUTING_BYTES_MAX = 256 << 10, /* packed; 61 layers of 256 experts have up to 94 KiB */
};

struct infer_rows {
    struct cap_buf bytes;
    uint32_t answers, completed;
    bool routing_left_out; /* of an answer, ever: it was past its limit */
    bool routing_seen;     /* an answer came with its routing, ever */
};

void infer_rows_init(struct infer_rows *rows);
void infer_rows_done(struct infer_rows *rows);
void infer_rows_answer(struct infer_rows *rows, const struct infer_answer *answer);
void infer_rows_pass(struct infer_rows *rows, const struct infer_pass *pass, int64_t started_us,
                     bool warm_up);
void infer_rows_experts(struct infer_rows *rows, enum infer_phase phase, int layer,
                        uint32_t batch_bucket, const uint64_t *counts, int experts);
void infer_rows_report(struct infer_rows *rows, const struct infer_shard_report *report);

#endif
