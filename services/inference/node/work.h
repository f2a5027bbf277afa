/* work.h — what lies between the scheduler's stream and the worker: the one lease of this node.
 *
 * Three threads meet here, and only here. The receiving thread brings what the scheduler says
 * (assign, prompts, ack, stop). The worker takes a complete assignment, and puts down what it has
 * made: batches, progress, the end. The sending thread takes what is to go out. One lock; no wire
 * types; no call leaves while it is held, except into plain data: an assignment (assignment.c) and
 * the outbox (work.c).
 *
 * Invariants: a batch stays in the outbox until the scheduler acknowledged it as stored; a lost
 * stream loses nothing, for the next one sends the outbox again; what belongs to a lease that is no
 * longer ours is dropped at once. A lease whose prompts had not all arrived when the stream broke
 * is given up: nothing was run, and the scheduler leases it again. More on top of work.c.
 *
 *     worker:    while (infer_work_take(work, wait_ms, &a)) run(a), infer_work_put_batch(...);
 *     sender:    while (infer_work_next(work, generation, &message)) send(&message);
 *
 * In reading order: what the scheduler assigned, what it has not acknowledged yet, and the lease
 * that holds both.
 */
#ifndef INFER_WORK_H
#define INFER_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/err.h"
#include "digest/digest.h"
#include "engine.h"
#include "load/arrivals.h"

/* ==== an assignment: one shard of work, and its prompts as they arrive ====
 *
 * Filled by the thread that talks to the scheduler; handed over whole to the worker when the last
 * prompt is there, so no two threads ever hold one. Strings and prompts live in its arena, whose
 * limit is what keeps a scheduler from filling this node's memory.
 */

enum {
    INFER_RUN_ID_BYTES = 64,
    INFER_STOPS_MAX = 16,
    INFER_MESSAGES_MAX = 4096,
    INFER_CONTINUATIONS_MAX = 256,
    INFER_CONCURRENCY_MAX = 4096
};

struct infer_lease {
    char run_id[INFER_RUN_ID_BYTES];
    uint32_t shard;
    uint64_t fence;
};

/* The parts of an EvaluationSpec that a node acts on. */
struct infer_spec {
    const char *engine, *model, *precision, *device;
    int concurrency;                                      /* closed loop; 0 = open loop: */
    double rate_per_s, burstiness, ramp_to_per_s, ramp_s; /* load/arrivals.h; 0 = not set */
    const char *arrivals, *replay; /* a process by its word, times as a text; NULL or "" = none */
    int input_tokens; /* fixed.h makes prompts of this length; 0 = they come with their texts */
    uint64_t seed;
    bool no_audit;
    const char *url, *served_model, *api_key_env, *model_config; /* external servers */
};

struct infer_prompt {
    uint32_t ordinal;
    const char *uid;
    struct infer_request request; /* its id is the prompt's index + 1 */
};

struct infer_assignment {
    struct infer_lease lease;
    struct infer_spec spec;
    struct cap_arrivals_form arrivals; /* open loop */
    uint64_t seq_next;
    int prompts_expected;
    bool resumed;
    struct infer_prompt *prompts;
    int prompt_count, prompt_capacity;
    struct cap_arena *arena;
};

struct infer_assignment *infer_assignment_new(const struct infer_lease *lease, size_t bytes_max);
void infer_assignment_free(struct infer_assignment *assignment);
CAP_DEFINE_AUTO(infer_assignment)

/* Copies the spec's strings into the assignment and checks what a node must know to run it. */
bool infer_assignment_spec(struct infer_assignment *assignment, const struct infer_spec *spec,
                           struct cap_err *err);
/* Copies a prompt in, keeping the order. Fails past the byte limit, and on a prompt that has too
 * many messages, stop strings or continuations. One without a text has an empty one. */
bool infer_assignment_add(struct infer_assignment *assignment, const struct infer_prompt *prompt,
                          struct cap_err *err);

bool infer_lease_same(const struct infer_lease *a, const struct infer_lease *b);

/* ==== the outbox: batches that the scheduler has not acknowledged yet, in order ====
 *
 * A batch is kept until its acknowledgement, byte for byte, so that one sent twice has the same
 * digest and the store can tell a repetition from a contradiction. Not thread-safe: work.c's lock
 * guards it.
 */

struct infer_batch {
    uint64_t seq;
    uint8_t sha256[CAP_SHA256_BYTES];
    uint8_t *rows; /* owned */
    size_t length;
    uint32_t answers, completed;
    bool last;
};

struct infer_outbox;

struct infer_outbox *infer_outbox_new(size_t bytes_max);
void infer_outbox_free(struct infer_outbox *outbox);
CAP_DEFINE_AUTO(infer_outbox)

/* Takes the batch and its rows. It is taken even past bytes_max: what is measured is never thrown
 * away; infer_outbox_has_room tells the worker to start nothing new. */
void infer_outbox_put(struct infer_outbox *outbox, const struct infer_batch *batch);
bool infer_outbox_has_room(const struct infer_outbox *outbox);
/* The first batch not sent on this connection, then marked sent; NULL when there is none, or when
 * what is sent and not acknowledged would exceed the window with it. Borrowed until the next call.
 */
const struct infer_batch *infer_outbox_next(struct infer_outbox *outbox);
/* Forgets batches up to seq. */
void infer_outbox_ack(struct infer_outbox *outbox, uint64_t seq);
/* A new connection: everything still here is to be sent again, at most window_bytes of it at a time
 * (0 = no limit; one batch always goes). */
void infer_outbox_rewind(struct infer_outbox *outbox, size_t window_bytes);
void infer_outbox_clear(struct infer_outbox *outbox);
size_t infer_outbox_count(const struct infer_outbox *outbox);

/* ==== the lease ==== */

enum infer_work_state {
    INFER_WORK_IDLE,       /* no lease */
    INFER_WORK_COLLECTING, /* assigned; prompts are arriving: this holds the assignment */
    INFER_WORK_READY,      /* the assignment is complete and waits for the worker */
    INFER_WORK_RUNNING,    /* the worker holds the assignment */
    INFER_WORK_DRAINING,   /* the worker has ended; batches wait to be acknowledged */
};

struct infer_progress {
    const char *phase; /* a literal */
    int in_flight;
    double output_tokens_per_s;
};

enum infer_message_kind {
    INFER_SEND_BEAT,
    INFER_SEND_BATCH,
    INFER_SEND_PROGRESS,
    INFER_SEND_FAILED,
    INFER_SEND_STOPPED
};

/* What goes out next. `batch.rows` is a copy, freed by infer_outgoing_done. */
struct infer_outgoing {
    enum infer_message_kind kind;
    bool has_lease; /* of a beat: it may hold none */
    struct infer_lease lease;
    struct infer_batch batch;
    struct infer_progress progress;
    struct cap_err failure;
};

struct infer_work;

struct infer_work *infer_work_new(const struct cap_clock *clock, size_t prompt_bytes_max,
                                  size_t outbox_bytes_max);
void infer_work_free(struct infer_work *work);
CAP_DEFINE_AUTO(infer_work)
/* Everybody who waits returns; for the end of the program. */
void infer_work_close(struct infer_work *work);

/* ---- the receiving thread ---- */

/* A stream is up; returns its generation. A beat goes out first, then the outbox again, of which at
 * most window_bytes are on their way at a time (0 = no limit), so that no beat stands far behind.
 */
uint64_t infer_work_connected(struct infer_work *work, int beat_ms, size_t window_bytes);
void infer_work_disconnected(struct infer_work *work);
/* Replaces a lease that is still here: the scheduler knows better. A bad spec or prompt fails the
 * shard with a sentence; nothing is returned. */
void infer_work_assign(struct infer_work *work, const struct infer_lease *lease,
                       const struct infer_spec *spec, uint64_t seq_next, int samples_left,
                       bool resumed);
void infer_work_prompt(struct infer_work *work, const char *run_id, uint32_t shard,
                       const struct infer_prompt *prompt);
void infer_work_prompts_end(struct infer_work *work, const char *run_id, uint32_t shard);
void infer_work_ack(struct infer_work *work, const char *run_id, uint32_t shard, uint64_t seq);
/* Stops the shard if the lease held is of that fence or an older one; 0 = of any. False: nothing of
 * the kind is held, as when the stop was overtaken by the next assignment. */
bool infer_work_stop(struct infer_work *work, const char *run_id, uint32_t shard, uint64_t fence);

/* ---- the sending thread ---- */

/* Waits for the next thing to send on the stream of that generation; false when it has ended. */
bool infer_work_next(struct infer_work *work, uint64_t generation, struct infer_outgoing *out);
void infer_outgoing_done(struct infer_outgoing *out);

/* ---- the worker ---- */

/* Waits for a complete assignment; the worker owns it. False when none came in wait_ms, or after
 * close. */
bool infer_work_take(struct infer_work *work, int wait_ms,
                     struct infer_assignment **out_assignment);
bool infer_work_closed(struct infer_work *work);
/* Makes infer_work_take return early: something else wants the worker. */
void infer_work_poke(struct infer_work *work);
/* False when the lease was stopped, replaced or given up: let go within a second. */
bool infer_work_wanted(struct infer_work *work, const struct infer_lease *lease);
/* Opening an engine may take long to be interrupted (one tensor, one request to a server); a stop
 * that comes meanwhile is confirmed at once, for nothing of the lease will be run. */
void infer_work_set_loading(struct infer_work *work, bool loading);
bool infer_work_has_room(struct infer_work *work);
/* Takes the batch's rows in any case. */
void infer_work_put_batch(struct infer_work *work, const struct infer_lease *lease,
                          const struct infer_batch *batch);
void infer_work_put_progress(struct infer_work *work, const struct infer_lease *lease,
                             const struct infer_progress *progress);
/* The worker is done with this lease: `failure` is NULL after the last batch and after a stop. */
void infer_work_end(struct infer_work *work, const struct infer_lease *lease,
                    const struct cap_err *failure);

/* ---- for counters, and for the endpoint, which refuses requests during a lease ---- */

enum infer_work_state infer_work_state(struct infer_work *work);

#endif
