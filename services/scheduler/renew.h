/* renew.h — renewing the leases of nodes that beat, together.
 *
 * A beat only notes its lease here, in O(1); one thread renews everything that was noted since its
 * last call with one Renew. So a beat never waits for the store, and a thousand nodes cost the
 * store one transaction at a time. A lease that the store no longer knows is fed back as lost. When
 * the store is away nothing is kept for later: the next beat notes the lease again, and no lease is
 * swept before nodes had the time to (dispatcher.c).
 */
#ifndef SCHED_RENEW_H
#define SCHED_RENEW_H

#include <stdint.h>

struct cap_rpc_channel;
struct sched_dispatcher;
struct sched_renewals;

struct sched_renewals *sched_renewals_new(struct cap_rpc_channel *store,
                                          struct sched_dispatcher *dispatcher, int64_t lease_ms);
void sched_renewals_free(struct sched_renewals *renewals);
/* Any thread. */
void sched_renewals_note(struct sched_renewals *renewals, const char *run_id, uint64_t fence);

#endif
