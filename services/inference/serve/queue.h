/* outside.h — requests that come over HTTP, from whoever measures or uses this node's engine.
 *
 * Connection threads bring tickets and read their events; the worker, which alone owns the engine,
 * takes them in order of arrival. One lock, and a condition that both sides wait on. While a leased
 * shard is measured outside requests would disturb it: they are refused then (unavailable).
 *
 *     connection:  infer_outside_submit(outside, &ticket, err)
 *                  while (infer_outside_next(outside, &ticket, 1000, &piece)) send(&piece);
 *                  infer_outside_leave(outside, &ticket);      always, after a submit that
 * succeeded
 */
#ifndef INFER_OUTSIDE_H
#define INFER_OUTSIDE_H

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "engine.h"

enum infer_ticket_state {
    INFER_TICKET_WAITING,
    INFER_TICKET_RUNNING,
    INFER_TICKET_ENDED,
};

/* One token's text, as the client will see it. */
struct infer_piece {
    size_t length;
    int tokens;
};

/* Made by the connection's thread, which keeps it until infer_outside_leave. `model` and `request`
 * are set by it and borrowed; the rest belongs to outside.c and worker.c, under the lock. */
struct infer_ticket {
    const char *model; /* as the client wrote it */
    struct infer_request request;

    enum infer_ticket_state state;
    bool abandoned; /* the client has gone */
    struct cap_buf text;
    struct infer_piece *pieces;
    size_t piece_count, piece_capacity, piece_at, text_at;
    /* once ENDED */
    struct cap_err failure;
    char finish_reason[16];
    int prompt_tokens, output_tokens, cached_tokens;
    struct infer_score *scores; /* [score_count] */
    int score_count;
    struct infer_token_score *token_scores; /* [token_score_count] */
    int token_score_count;
    struct cap_arena *token_texts; /* what token_scores points to; NULL = none */
    struct infer_ticket *next;
};

struct infer_outside;

/* `waiting_max` tickets may wait; one more is refused. `wake` is called without a lock, after a
 * ticket has come. */
struct infer_outside *infer_outside_new(int waiting_max, void (*wake)(void *arg), void *wake_arg);
void infer_outside_free(struct infer_outside *outside);
CAP_DEFINE_AUTO(infer_outside)

/* ---- connection threads ---- */

bool infer_outside_submit(struct infer_outside *outside, struct infer_ticket *ticket,
                          struct cap_err *err);
enum infer_next { INFER_NEXT_PIECE, INFER_NEXT_NOTHING, INFER_NEXT_END };
/* The next token's text, appended to *out_text; NOTHING when none came in wait_ms; END when the
 * ticket has ended and every piece was read: then its last fields may be read. */
enum infer_next infer_outside_next(struct infer_outside *outside, struct infer_ticket *ticket,
                                   int wait_ms, struct cap_buf *out_text);
/* Blocks until the worker has let go of the ticket, cancelling it if it still runs. */
void infer_outside_leave(struct infer_outside *outside, struct infer_ticket *ticket);

/* ---- the worker ---- */

/* Refuses what waits and what comes, with this sentence; NULL opens again. A literal. */
void infer_outside_refuse(struct infer_outside *outside, const char *why);
/* The first waiting ticket, which now runs; NULL when none waits. */
struct infer_ticket *infer_outside_take(struct infer_outside *outside);
bool infer_outside_abandoned(struct infer_outside *outside, const struct infer_ticket *ticket);
void infer_outside_tokens(struct infer_outside *outside, struct infer_ticket *ticket,
                          const struct infer_event *event);
/* `done` is the INFER_DONE event, or NULL with the failure. */
void infer_outside_end(struct infer_outside *outside, struct infer_ticket *ticket,
                       const struct infer_event *done, const struct cap_err *failure);

#endif
