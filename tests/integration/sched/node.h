/* node.h — a node that does as the test says: slow, twice, deaf, dying, failing. It speaks real
 * gRPC and lives in this process.
 *
 * Fields marked (any time) may be changed while it runs.
 */
#ifndef SCHED_TEST_NODE_H
#define SCHED_TEST_NODE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"
#include "suite.h"

struct node {
    const char *name, *scheduler;
    const char *fail_with; /* ShardFailed with this sentence instead of work */
    bool fail_for_good;
    bool fails_samples;    /* every answer is a failure: "out of tokens" */
    _Atomic int pace_ms;   /* (any time) between batches */
    _Atomic bool twice;    /* (any time) every batch is sent twice */
    _Atomic bool deaf;     /* (any time) neither beats nor reads: SIGSTOP */
    _Atomic bool lazy;     /* (any time) beats and delivers nothing */
    _Atomic int die_after; /* (any time) > 0: break the stream and forget after that many batches */
    const char *says; /* the phase it tells when it is assigned a run; it breaks the stream then */
    _Atomic int *store_has; /* batches that the store has, to compare with what is acknowledged */
    _Atomic int streams, batches, stops, assigned, acks, early_acks;
    _Atomic int64_t stopped_at_ms;
    _Atomic bool ending;

    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    struct cap_rpc_call *call;
    bool up, holds, complete, waiting_ack;
    char run_id[CAP_ID_BYTES];
    uint64_t fence, seq;
    uint32_t ordinals[SUITE_SAMPLES];
    char uids[SUITE_SAMPLES][16];
    uint32_t count, at, sent;
};

void node_start(struct node *node);
void node_stop(struct node *node);

#endif
