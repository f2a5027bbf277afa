/* shard.h — running one shard on an engine: warm-up, load, time stamps, answers in batches.
 *
 * The worker's thread; it returns when the shard is done, stopped, or cannot go on. Order:
 *   1. warm-up, by one rule for every engine: the shard's first prompt is run once, alone, for at
 *      most 8 tokens. It does not count as an answer; its passes are kept and marked, and no
 *      measure uses them.
 *   2. the clock starts; the load (below) says when requests start; every event is stamped by the
 *      engine where the token appeared.
 *   3. an answer becomes a row at once; rows go out (work.h) as numbered batches.
 *   4. the last batch carries the report.
 * A request that fails is a FAILED answer with its reason, and the shard goes on; a warm-up that
 * fails as every request would (no such model, nothing of this kind, the server dead) fails the
 * shard with its reason. An engine that is lost fails the shard; what was answered before is
 * delivered first.
 */
#ifndef INFER_SHARD_H
#define INFER_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "load/arrivals.h"
#include "node/rows.h"
#include "node/work.h"

enum infer_shard_outcome {
    INFER_SHARD_DONE,
    INFER_SHARD_UNWANTED, /* stopped, or the lease is no longer ours */
    INFER_SHARD_FAILED,   /* err says why; the engine may be lost */
};

struct infer_shard_setup {
    struct infer_work *work;
    const struct infer_assignment *assignment;
    struct infer_engine *engine;
    const struct infer_hardware *hardware;
    const char *model_sha256; /* NULL = unknown */
    const struct cap_clock *clock;
    int open_loop_in_flight_max;
    int silence_ms_max;        /* an engine that says nothing for this long is lost */
    struct infer_power *power; /* NULL = nobody measures it */
    enum infer_power_scope power_scope;
};

enum infer_shard_outcome infer_shard_run(const struct infer_shard_setup *setup,
                                         struct cap_err *err);

/* ==== its requests (requests.c) ====
 *
 * When the next may start, when the tokens of one became visible, and what it has given until its
 * answer. The worker's thread only.
 */

/* ---- when the next request may start: the shape of the traffic ----
 *
 * Closed loop: a fixed number of requests is in flight; one that ends makes room for the next. Open
 * loop: arrivals by a process and a rate, or at given times (load/arrivals.h), whether or not
 * earlier ones have ended. An open-loop request counts as submitted when it was due, not when the
 * node got round to it: otherwise a slow engine would slow its own load and its waiting time would
 * vanish from the figures ("coordinated omission"). What holds an arrival back is counted: the
 * limit of requests in flight turns an open loop into a closed one.
 *
 * Pure: no clock, no thread; the caller says what time it is. Same seed, same arrivals.
 *
 *     while (left > 0 && infer_load_due(&load, now, &due_ns))
 *         start_request(due_ns), infer_load_started(&load);
 *     wait(infer_load_wait_ns(&load, now));
 */

struct infer_load {
    int in_flight_max;
    bool is_open;
    struct cap_arrivals arrivals;
    int64_t start_ns;
    int in_flight;
    int64_t next_due_ns; /* open loop: the arrival that has not started yet; INT64_MAX = none */
    bool is_held;        /* it is due, and there is no room for it */
    int64_t held_count;  /* arrivals that were */
};

void infer_load_closed(struct infer_load *load, int concurrency);
/* in_flight_max bounds what the engine holds at once; arrivals beyond it wait, and that counts. */
void infer_load_open(struct infer_load *load, const struct cap_arrivals_form *form,
                     int in_flight_max, uint64_t seed, int64_t now_ns);

/* True when a request may start now; *out_due_ns is the time it counts as submitted. */
bool infer_load_due(struct infer_load *load, int64_t now_ns, int64_t *out_due_ns);
void infer_load_started(struct infer_load *load);
void infer_load_ended(struct infer_load *load);
/* When a request that is handed over now counts as sent. An engine that computes in this thread
 * takes nothing while it does: what was due during its last pass waited in its queue, and only
 * what came after the pass is the node's delay. No pass: pass_started_ns = pass_ended_ns = 0. */
int64_t infer_load_sent_ns(int64_t due_ns, int64_t now_ns, int64_t pass_started_ns,
                           int64_t pass_ended_ns);
/* How long until infer_load_due may change by time alone; INT64_MAX when only an end changes it. */
int64_t infer_load_wait_ns(const struct infer_load *load, int64_t now_ns);

/* ---- when the tokens of a request became visible, and what may be said about the gaps ----
 *
 * A gap between two events is a gap between two tokens only if each event carried exactly one. One
 * event of several tokens and the request has no inter-token gaps at all. A server's chunks cannot
 * be counted while they come; they pass for tokens only if in the end they were as many as the
 * server says that it made, within 2 %. A last chunk that only says "ended" is a token or not,
 * whichever makes the counts agree better. Times are the engine's stamps, monotonic nanoseconds.
 */

/* Gaps kept per request; a longer answer reports none rather than the first ones only. */
enum { INFER_GAPS_MAX = 65536, INFER_CHUNKS_APART_PERCENT = 2 };

struct infer_timing {
    int64_t submitted_ns, sent_ns;
    int64_t first_ns, last_ns; /* 0 = no token yet */
    int first_tokens;          /* that came with the first event; 0 = unknown */
    bool chunks_are_tokens;
    bool uncounted;         /* an event came without a number of tokens */
    bool is_closed;         /* the last event only said "ended"; */
    int64_t before_last_ns; /* the one before it */
    size_t events;
    uint32_t *gaps_us;
    size_t gap_count, gap_capacity;
};

/* It was due, and was handed to the engine. */
void infer_timing_start(struct infer_timing *timing, int64_t submitted_ns, int64_t sent_ns);
/* An event with `tokens` tokens (0 = cannot be counted) became visible. */
void infer_timing_tokens(struct infer_timing *timing, int64_t at_ns, int tokens);
/* The last event only said "ended". */
void infer_timing_closing(struct infer_timing *timing);
/* The request has ended, with this many tokens; -1 = unknown. */
void infer_timing_end(struct infer_timing *timing, int output_tokens);
/* Tokens of the first event, after the end; 0 = unknown: a rate over the events after it counts
 * the others. */
int infer_timing_first_tokens(const struct infer_timing *timing);
/* The gaps, or none where chunks are not tokens. Borrowed. */
size_t infer_timing_gaps(const struct infer_timing *timing, const uint32_t **out_gaps_us);
void infer_timing_done(struct infer_timing *timing);

/* ---- one request between its start and its answer ---- */

struct infer_in_flight {
    const struct infer_prompt *prompt;
    struct infer_timing timing;
    struct cap_buf text, reasoning;
    uint32_t *ids;
    size_t id_count, id_capacity;
    int tokens;        /* seen in events */
    int shown;         /* counted in the shard's progress */
    bool ids_complete; /* every token came with its id */
};

struct infer_in_flight *infer_in_flight_new(const struct infer_prompt *prompt, int64_t submitted_ns,
                                            int64_t sent_ns);
void infer_in_flight_free(struct infer_in_flight *in_flight);
CAP_DEFINE_AUTO(infer_in_flight)

/* Adds an INFER_TOKENS event. False when the answer has become too long to be kept. */
bool infer_in_flight_tokens(struct infer_in_flight *in_flight, const struct infer_event *event);
/* The answer as it stands at `ended_ns`; borrows from in_flight. `done` is the INFER_DONE event, or
 * NULL with `error`. Times count from start_ns. */
void infer_in_flight_answer(struct infer_in_flight *in_flight, const struct infer_event *done,
                            const char *error, int64_t start_ns, int64_t ended_ns,
                            struct infer_answer *out_answer);

#endif
