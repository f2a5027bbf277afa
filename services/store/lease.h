/* lease.h — the right to work on a shard: given, extended, ended.
 *
 * A lease runs until a deadline that only the database's clock judges; its fence counts the leases
 * of the shard. A lease past its deadline may be taken away, by Sweep or by the next Lease, but
 * holds until that happens. Every lease is a row of `attempt`, with how it ended.
 */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "base/arena.h"
#include "base/err.h"
#include "types.h"

struct store_conn;
struct store_pg;
struct store_run;

enum { STORE_LEASE_MS_MAX = 3600000, STORE_RENEW_MAX = 4096, STORE_SWEEP_MAX = 1000 };

struct store_lease_request {
    const char *run_id;
    uint32_t shard;
    const char *node_id, *node; /* id and name */
    uint32_t lease_ms;
};

struct store_lease {
    uint64_t fence, seq_next;
    struct store_u32s ordinals_left; /* without an answer, in the order they are run */
    uint32_t samples_total, attempt;
};

bool store_lease(struct store_pg *pg, const struct store_lease_request *request,
                 struct cap_arena *arena, struct store_lease *out_lease, struct cap_err *err);
/* out_lost: those of `refs` that are no longer valid. */
bool store_lease_renew(struct store_pg *pg, struct store_lease_refs refs, uint32_t lease_ms,
                       struct cap_arena *arena, struct store_lease_refs *out_lost,
                       struct cap_err *err);
bool store_lease_release(struct store_pg *pg, const struct store_lease_ref *ref,
                         const char *outcome, struct cap_err *err);
/* Ends what is past its deadline, at most STORE_SWEEP_MAX a call. */
bool store_lease_sweep(struct store_pg *pg, struct cap_arena *arena,
                       struct store_lease_refs *out_expired, struct cap_err *err);

/* Inside a transaction that has locked the run: ends all its leases, or the one of a shard. */
bool store_lease_end_all_locked(struct store_conn *conn, const struct store_run *run,
                                const char *outcome, struct cap_err *err);
bool store_lease_end_locked(struct store_conn *conn, const struct store_run *run, uint32_t shard,
                            const char *outcome, struct cap_err *err);

#endif
