/* fakes.h — a store, an evaluator and nodes that speak real gRPC and live in this process, so that
 * the scheduler's whole service can be tested in seconds, with faults at will.
 *
 * Each is started on a port of its own; start it again on the same port to play a restart. Fields
 * marked (any time) may be changed while it runs.
 */
#ifndef SCHED_TEST_FAKES_H
#define SCHED_TEST_FAKES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"

struct cap_rpc_server;

enum { FAKE_SAMPLES = 40, FAKE_RUNS_MAX = 32, FAKE_BATCHES_MAX = 256 };

/* ---- store ---- */

struct fake_run {
    char id[CAP_ID_BYTES], evaluation_id[CAP_ID_BYTES], hash[65], task[65], reason[512];
    uint8_t *spec;
    size_t spec_bytes;
    int state; /* as on the wire */
    uint32_t total, answered, graded;
    uint8_t stored[FAKE_SAMPLES]; /* how often each sample was stored */
    uint64_t fence, seq;
    uint64_t ledger[FAKE_BATCHES_MAX]; /* fence of each batch */
    bool held;
    int64_t lease_until;
    int attempts;
};

struct fake_store {
    pthread_mutex_t lock; /* guards runs and counts */
    struct fake_run runs[FAKE_RUNS_MAX];
    int run_count, leases, repeated, refused;
    _Atomic int fail_percent; /* (any time) calls that are refused with UNAVAILABLE ... */
    _Atomic int lose_percent; /* (any time) ... and calls that are done, but whose reply is lost */
    _Atomic int append_ms;    /* (any time) how long an Append takes before it is done */
    _Atomic int calls_failed;
    struct cap_rand rand;
    struct cap_rpc_server *server;
    int port;
};

void fake_store_start(struct fake_store *store);
void fake_store_stop(struct fake_store *store); /* keeps its data */
void fake_store_done(struct fake_store *store);
/* A copy of the run, found by its id. */
struct fake_run fake_store_run(struct fake_store *store, const char *run_id);

/* ---- evaluator ---- */

struct fake_evaluator {
    _Atomic bool away;       /* (any time) */
    _Atomic bool poison;     /* (any time) grading is refused for good */
    _Atomic bool unreadable; /* (any time) rendering is refused for good */
    _Atomic int rendered, graded, measured, kept, evidence_answers;
    struct cap_rpc_server *server;
    int port;
};

void fake_evaluator_start(struct fake_evaluator *evaluator);
void fake_evaluator_stop(struct fake_evaluator *evaluator);

/* ---- node ---- */

struct fake_node {
    const char *name;
    int scheduler_port;
    const char *fail_with; /* ShardFailed with this sentence instead of work */
    bool fail_for_good;
    _Atomic int pace_ms;   /* (any time) between batches */
    _Atomic bool twice;    /* (any time) every batch is sent twice */
    _Atomic bool deaf;     /* (any time) neither beats nor reads: SIGSTOP */
    _Atomic int die_after; /* (any time) > 0: break the stream and forget after so many */
    _Atomic int streams, batches, stops, assigned;
    _Atomic int64_t stopped_at_ms;
    _Atomic bool ending;

    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    struct cap_rpc_call *call;
    bool up, holds, complete, waiting_ack;
    char run_id[CAP_ID_BYTES];
    uint64_t fence, seq;
    uint32_t ordinals[FAKE_SAMPLES];
    char uids[FAKE_SAMPLES][16];
    uint32_t count, at, sent;
};

void fake_node_start(struct fake_node *node);
void fake_node_stop(struct fake_node *node);

#endif
