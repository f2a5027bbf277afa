/* prune.h — forgetting what only helped while it was new, a little at a time.
 *
 * Events of the suite that are older than `days`; of runs that ended longer ago their events, and
 * the ledger's rows but the last of each attempt. Never: evidence, attempts, figures, anything of a
 * run that has not ended. Called with each sweep, so each call is bounded.
 */
#ifndef STORE_PRUNE_H
#define STORE_PRUNE_H

#include <stdint.h>

#include "base/err.h"

struct store_pg;

enum {
    STORE_PRUNE_RUNS_MAX = 4,      /* of one call */
    STORE_PRUNE_EVENTS_MAX = 1000, /* of the suite, of one call */
};

struct store_pruned {
    int64_t runs, events, ledger_rows;
};

/* days > 0. */
bool store_prune(struct store_pg *pg, int days, struct store_pruned *out_pruned,
                 struct cap_err *err);

#endif
