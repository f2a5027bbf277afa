/* queue.h — the requests of the endpoint's clients, waiting for the engine or being answered by it.
 *
 * Connection threads bring requests and read their tokens; the worker, which alone owns the engine,
 * takes them in order of arrival. While a leased shard is measured these requests would disturb its
 * times: they are refused then (unavailable).
 *
 *     connection:  infer_queue_submit(queue, &served, err)
 *                  while (infer_queue_next(queue, &served, 1000, &text) != INFER_NEXT_END)
 *                      send(&text);
 *                  infer_queue_leave(queue, &served);    always, after a submit that succeeded
 */
#ifndef INFER_SERVE_QUEUE_H
#define INFER_SERVE_QUEUE_H

#include <pthread.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "engine.h"

enum infer_served_state {
    INFER_SERVED_WAITING, /* in the queue's list */
    INFER_SERVED_RUNNING, /* the worker has it; the engine may */
    INFER_SERVED_ENDED,   /* only its connection knows it */
};

/* One token's text, as the client will see it. */
struct infer_piece {
    size_t length;
    int tokens;
};

/* One request that is served, of one prompt. Made by the connection's thread, which keeps it until
 * infer_queue_leave. `model` and `request` are set by it and borrowed; the rest belongs to queue.c
 * and the worker, under the queue's lock. */
struct infer_served {
    const char *model; /* as the client wrote it */
    struct infer_request request;

    pthread_cond_t changed; /* for its connection only: a token, or the end */
    enum infer_served_state state;
    bool abandoned; /* the client has gone */
    struct cap_buf text;
    struct infer_piece *pieces;
    size_t piece_count, piece_capacity, piece_at, text_at;
    /* once ENDED */
    struct cap_err failure;
    char finish_reason[INFER_FINISH_REASON_BYTES];   /* "" = unknown */
    int prompt_tokens, output_tokens, cached_tokens; /* -1 = unknown */
    struct infer_score *scores;                      /* [score_count] */
    int score_count;
    struct infer_token_score *token_scores; /* [token_score_count] */
    int token_score_count;
    struct cap_arena *token_texts; /* what token_scores points to; NULL = none */
    struct infer_served *next;
};

struct infer_queue;

/* `waiting_max` requests may wait; one more is refused. `wake` is called without a lock, after a
 * request has come. */
struct infer_queue *infer_queue_new(int waiting_max, void (*wake)(void *arg), void *wake_arg);
void infer_queue_free(struct infer_queue *queue);
CAP_DEFINE_AUTO(infer_queue)

/* ---- connection threads ---- */

bool infer_queue_submit(struct infer_queue *queue, struct infer_served *served,
                        struct cap_err *err);
enum infer_next { INFER_NEXT_PIECE, INFER_NEXT_NOTHING, INFER_NEXT_END };
/* The next token's text, appended to *out_text; NOTHING when none came in wait_ms; END when the
 * request has ended and every piece was read: then its last fields may be read. */
enum infer_next infer_queue_next(struct infer_queue *queue, struct infer_served *served,
                                 int wait_ms, struct cap_buf *out_text);
/* Blocks until the worker has let go of the request, cancelling it if it still runs. */
void infer_queue_leave(struct infer_queue *queue, struct infer_served *served);

/* ---- the worker ---- */

/* Refuses what waits and what comes, with this sentence; NULL opens again. A literal. */
void infer_queue_refuse(struct infer_queue *queue, const char *why);
/* The first waiting request, which now runs; NULL when none waits. */
struct infer_served *infer_queue_take(struct infer_queue *queue);
bool infer_queue_abandoned(struct infer_queue *queue, const struct infer_served *served);
void infer_queue_tokens(struct infer_queue *queue, struct infer_served *served,
                        const struct infer_event *event);
/* `done` is the INFER_DONE event, or NULL with the failure. */
void infer_queue_end(struct infer_queue *queue, struct infer_served *served,
                     const struct infer_event *done, const struct cap_err *failure);

#endif
