/* append_rpc.h — the answers of one node on their way to the store.
 *
 * The thread that reads a node's stream must never wait for the store: beats come in the same
 * stream, and a node whose beats are not read looks dead. So the reader puts each batch into this
 * queue and reads on; one thread per node takes them out in order, appends each to the store, and
 * acknowledges it to the node when, and only when, the store has it.
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
#ifndef SCHED_APPEND_RPC_H
#define SCHED_APPEND_RPC_H

#include "moecap/v1/inference.pb-c.h"
#include "service.h"

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

#endif
