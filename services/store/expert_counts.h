/* expert_counts.h — adds a batch's router selections to the sums of its run.
 *
 * Inside Append's transaction, which holds the run's row: nobody else touches these rows, so they
 * are read, added to here, and written back by DELETE and COPY. Adding arrays in SQL cost five
 * times as much (0.12 ms for a row of 128 experts).
 */
#ifndef STORE_EXPERT_COUNTS_H
#define STORE_EXPERT_COUNTS_H

#include "base/err.h"
#include "types.h"

struct store_conn;

/* INVALID_ARGUMENT when a sum exceeds 63 bits or a row has more than STORE_EXPERTS_MAX experts. */
enum { STORE_EXPERTS_MAX = 65536 };
bool store_expert_counts_add(struct store_conn *conn, int64_t run_no,
                             struct store_expert_counts batch, struct cap_err *err);

#endif
