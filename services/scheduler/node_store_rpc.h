/* node_store_rpc.h — what connected nodes have for the store: their answers, and leases to renew.
 *
 * The thread that reads a node's stream must never wait for the store: beats come in the same
 * stream, and a node whose beats are not read looks dead. So the reader only hands over what it has
 * read, and other threads take it to the store.
 */
#ifndef SCHED_NODE_STORE_RPC_H
#define SCHED_NODE_STORE_RPC_H

#include <stdint.h>

#include "moecap/v1/inference.pb-c.h"

struct cap_rpc_channel;
struct sched_dispatcher;
struct sched_service;
struct sched_stream;

/* ---- the answers of one node ----
 *
 * The reader puts each batch into a queue and reads on; one thread per node takes them out in
 * order, appends each to the store, and acknowledges it to the node when, and only when, the store
 * has it.
 *
 *     append = sched_append_new(&options);
 *     while (message = next message)
 *         if (it is a batch) sched_append_put(append, batch);
 *     sched_append_free(append);
 *
 * The queue has a limit in bytes. A node of ours never meets it: it keeps what is sent and not
 * acknowledged within SCHED_WINDOW_BYTES, which its Welcome names. With one that does not, the
 * reader waits after all; the silence and the lease are then ours to account for, so the reader
 * tells the dispatcher that the node waits, and renews its lease for it.
 */

enum { SCHED_WINDOW_BYTES = 4 << 20, SCHED_APPEND_QUEUE_BYTES_MAX = 12 << 20 };

struct sched_append;

struct sched_append_options {
    struct sched_service *service;
    struct sched_stream *stream; /* acknowledgements go out on it */
    const char *node_id, *node_name;
};

/* Strings are borrowed until the free. The thread is made with the first batch. */
struct sched_append *sched_append_new(const struct sched_append_options *options);
/* Copies the batch. Waits while the queue is full; what comes after the stream has ended is
 * dropped. */
void sched_append_put(struct sched_append *append, const Moecap__V1__AnswerBatch *batch);
/* The stream has ended. What waits is still stored while the store takes it without a failure, for
 * a moment: those answers are made, and another node would have to make them again. */
void sched_append_free(struct sched_append *append);

/* ---- leases, renewed together ----
 *
 * A beat only notes its lease here, in O(1); one thread renews everything that was noted since its
 * last call with one Renew. So a beat never waits for the store, and a thousand nodes cost the
 * store one transaction at a time. A lease that the store no longer knows is fed back as lost. When
 * the store is away nothing is kept for later: the next beat notes the lease again, and no lease is
 * swept before nodes had the time to (dispatcher.c).
 */

struct sched_renewals;

struct sched_renewals *sched_renewals_new(struct cap_rpc_channel *store,
                                          struct sched_dispatcher *dispatcher, int64_t lease_ms);
void sched_renewals_free(struct sched_renewals *renewals);
/* Any thread. */
void sched_renewals_note(struct sched_renewals *renewals, const char *run_id, uint64_t fence);

#endif
