/* append.h — batches of evidence, each stored exactly once.
 *
 * One transaction holds the run, looks the batch up in the ledger, checks fence, order and samples,
 * copies the rows, adds to the sums, and moves the run along. Whatever happens to sender, store or
 * database in between, the batch is in the ledger with all of its rows, or nowhere.
 */
#ifndef STORE_APPEND_H
#define STORE_APPEND_H

#include "base/err.h"
#include "types.h"

struct store_pg;

enum { STORE_BATCH_BYTES_MAX = 2 << 20, STORE_ROUTING_BYTES_MAX = 256 << 10 /* of a sample */ };

struct store_batch {
    struct store_lease_ref lease;
    const char *node_id; /* who sent it; "" or NULL: not told, and not compared */
    uint64_t seq;
    struct store_bytes sha256; /* of the packed rows; checked by store_batch_check */
    uint32_t answers_declared, completed_declared;
    bool last;
    struct store_answers answers;
    struct store_passes passes;
    struct store_expert_counts expert_counts;
    struct store_powers power;
    struct store_bytes report; /* packed ShardReport; data NULL when there is none */
};

struct store_appended {
    bool repeated, shard_done, run_done;
    uint32_t samples_answered; /* of the run */
};

/* The rows as they came are those of the digest, and no more than a batch may have. */
bool store_batch_check(struct store_bytes rows, struct store_bytes sha256, struct cap_err *err);

/* PERMISSION_DENIED: the lease is another node's. FAILED_PRECONDITION: this sender can do nothing more for the shard (old fence, other batch under
 * the number, out of order, ended run). INVALID_ARGUMENT: the batch itself is wrong. */
bool store_append(struct store_pg *pg, const struct store_batch *batch,
                  struct store_appended *out_appended, struct cap_err *err);

#endif
