/* world_parts.h — what the made-up world is made of: the store's truth, nodes, and messages in one
 * queue, ordered by when they are due. Only for the world's own files. */
#ifndef SCHED_TEST_WORLD_PARTS_H
#define SCHED_TEST_WORLD_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "scheduler/step.h"
#include "world.h"

enum {
    RUNS = 6,
    NODES = 3,
    MESSAGES_MAX = 1 << 14,
    UNACKED_MAX = 64,
    CHAOS_MS = 60000,
    END_MS = 400000, /* nothing may take longer */
    BEAT_MS = 3000,
    LEASE_MS = 9000,
    RETRY_MS = 1000,
    PROGRESS_MS_MAX = 40000,
};

/* ---- the store: what is true ---- */

struct store_run {
    char id[CAP_ID_BYTES];
    enum sched_run_state state;
    uint32_t total, answered, graded;
    uint64_t fence, seq;
    uint64_t seq_fence[UNACKED_MAX * 8]; /* the ledger: under which fence a batch came */
    bool held;
    int64_t lease_until;
    int ends; /* how often it came to an end */
};

/* ---- nodes ---- */

struct batch {
    uint64_t seq;
    uint32_t from, count;
    bool last;
};

struct node {
    char id[CAP_ID_BYTES];             /* of the present connection */
    int generation;                    /* connections so far */
    bool connected;                    /* the node's side */
    bool heard;                        /* the scheduler's side */
    int64_t stalled_until, lazy_until; /* stopped; beats, but delivers nothing */
    int64_t blocked_until, up_due, down_due;
    bool holds;
    int run;
    uint64_t fence, seq;
    uint32_t next, total;
    struct batch unacked[UNACKED_MAX];
    int unacked_count;
};

/* ---- messages ---- */

enum kind {
    M_CONNECT, /* a node dials */
    M_BEAT_DUE,
    M_WORK_DUE,
    M_HELLO,
    M_BEAT,
    M_RENEW, /* what a beat noted reaches the store */
    M_BATCH,
    M_FAILED,
    M_STOPPED,
    M_LEFT,
    M_ASSIGN,
    M_STOP,
    M_ACK,
    M_TICK,
    M_ACTION, /* an action of the scheduler reaches whom it is meant for */
    M_CHAOS,
    M_RESTART_DONE,
    M_CANCEL,
};

struct message {
    int64_t due;
    uint64_t order;
    enum kind kind;
    int node, generation; /* of the node's connection */
    int scheduler;        /* which life of the scheduler */
    int run;
    uint64_t fence, seq;
    uint32_t from, count;
    bool last, final, slowed;
    struct sched_action action;
};

struct world {
    struct cap_rand rand;
    int64_t now;
    uint64_t order;
    struct message *heap;
    size_t count;
    struct sched_state *state;
    int scheduler; /* its life; odd = it is up */
    struct store_run runs[RUNS];
    enum sched_run_state seen[RUNS]; /* by the scheduler's own notes */
    struct node nodes[NODES];
    int64_t store_away_until, store_slow_until, sweep_after;
    int64_t passed_over_until; /* the scheduler gives no work */
    int64_t store_clock;       /* how far the database's clock is ahead */
    struct world_result *result;
};

/* world_parts.c: chance, the queue, the store */
bool chance(struct world *w, int percent);
int64_t upto(struct world *w, int64_t max);
void push_again(struct world *w, const struct message *message);
void push(struct world *w, int64_t due, struct message message);
struct message pop(struct world *w);
bool chaos(const struct world *w);
bool store_away(const struct world *w);
int64_t store_now(const struct world *w);
/* How long something that the store does takes now. */
int64_t store_takes(struct world *w);
int run_index(struct world *w, const char *run_id);
int node_index(struct world *w, const char *node_id);
void store_set(struct store_run *run, enum sched_run_state to);
void store_expire(struct world *w, struct store_run *run);
bool store_lease(struct world *w, struct store_run *run);
bool store_is_over(struct world *w, struct store_run *run); /* the lease it has */
bool store_append(struct world *w, struct store_run *run, const struct message *m);

/* world_scheduler.c: around sched_step */
void feed(struct world *w, const struct sched_event *event);
/* The node's side of the connection ends; the scheduler hears of it later. */
void disconnect(struct world *w, int index);
void carry_out(struct world *w, struct message *m);
/* What a killed scheduler had asked for may still come true. */
void carry_orphan(struct world *w, const struct message *m);
void hear(struct world *w, struct message *m);
void hear_left(struct world *w, const struct message *m);

/* world_node.c */
void beat(struct world *w, int index);
void let_go(struct node *node);
void dial(struct world *w, int index);
/* Some of the samples that are left, as a numbered batch. */
void work(struct world *w, int index);
void take(struct world *w, struct message *m);

#endif
