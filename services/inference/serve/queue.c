#include "serve/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wait.h"

/* Of one answer; a client that reads slowly costs no more. */
enum { TEXT_BYTES_MAX = 16 << 20, TOKEN_TEXTS_BYTES_MAX = 256 << 20 };

struct infer_outside {
    int waiting_max;
    void (*wake)(void *arg);
    void *wake_arg;

    pthread_mutex_t lock; /* guards what follows, and every ticket that was submitted */
    pthread_cond_t changed;
    struct infer_ticket *first, *last; /* WAITING, in order of arrival */
    int waiting;
    const char *refusal;
};

struct infer_outside *infer_outside_new(int waiting_max, void (*wake)(void *arg), void *wake_arg)
{
    struct infer_outside *outside = calloc(1, sizeof *outside);

    assert(outside);
    outside->waiting_max = waiting_max;
    outside->wake = wake;
    outside->wake_arg = wake_arg;
    pthread_mutex_init(&outside->lock, NULL);
    pthread_cond_init(&outside->changed, NULL);
    return outside;
}

void infer_outside_free(struct infer_outside *outside)
{
    if (!outside)
        return;
    assert(outside->waiting == 0);
    pthread_cond_destroy(&outside->changed);
    pthread_mutex_destroy(&outside->lock);
    free(outside);
}

/* ---- connection threads ---- */

static bool admit_locked(struct infer_outside *outside, struct cap_err *err)
{
    if (outside->refusal)
        return cap_fail(err, CAP_UNAVAILABLE, "%s", outside->refusal);
    if (outside->waiting >= outside->waiting_max)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are waiting already",
                        outside->waiting_max);
    return true;
}

static void append_locked(struct infer_outside *outside, struct infer_ticket *ticket)
{
    ticket->state = INFER_TICKET_WAITING;
    ticket->next = NULL;
    if (outside->last)
        outside->last->next = ticket;
    else
        outside->first = ticket;
    outside->last = ticket;
    outside->waiting++;
}

bool infer_outside_submit(struct infer_outside *outside, struct infer_ticket *ticket,
                          struct cap_err *err)
{
    bool admitted;

    pthread_mutex_lock(&outside->lock);
    admitted = admit_locked(outside, err);
    if (admitted) {
        cap_buf_init(&ticket->text, TEXT_BYTES_MAX);
        append_locked(outside, ticket);
    }
    pthread_mutex_unlock(&outside->lock);
    if (admitted)
        outside->wake(outside->wake_arg);
    return admitted;
}

static bool has_piece_locked(const struct infer_ticket *ticket)
{
    return ticket->piece_at < ticket->piece_count;
}

enum infer_next infer_outside_next(struct infer_outside *outside, struct infer_ticket *ticket,
                                   int wait_ms, struct cap_buf *out_text)
{
    enum infer_next result = INFER_NEXT_NOTHING;

    pthread_mutex_lock(&outside->lock);
    if (!has_piece_locked(ticket) && ticket->state != INFER_TICKET_ENDED)
        cap_wait_ms(&outside->changed, &outside->lock, wait_ms);
    if (has_piece_locked(ticket)) {
        size_t length = ticket->pieces[ticket->piece_at++].length;

        cap_buf_add(out_text, ticket->text.data + ticket->text_at, length);
        ticket->text_at += length;
        result = INFER_NEXT_PIECE;
    } else if (ticket->state == INFER_TICKET_ENDED) {
        result = INFER_NEXT_END;
    }
    pthread_mutex_unlock(&outside->lock);
    return result;
}

static void remove_locked(struct infer_outside *outside, struct infer_ticket *ticket)
{
    struct infer_ticket **at = &outside->first, *before = NULL;

    while (*at != ticket) {
        before = *at;
        at = &(*at)->next;
    }
    *at = ticket->next;
    if (outside->last == ticket)
        outside->last = before;
    outside->waiting--;
}

void infer_outside_leave(struct infer_outside *outside, struct infer_ticket *ticket)
{
    pthread_mutex_lock(&outside->lock);
    ticket->abandoned = true;
    if (ticket->state == INFER_TICKET_WAITING)
        remove_locked(outside, ticket);
    else
        while (ticket->state == INFER_TICKET_RUNNING)
            pthread_cond_wait(&outside->changed, &outside->lock);
    pthread_mutex_unlock(&outside->lock);
    cap_buf_done(&ticket->text);
    free(cap_take(ticket->pieces));
    free(cap_take(ticket->scores));
    cap_arena_free(cap_take(ticket->token_texts));
}

/* ---- the worker ---- */

static void end_locked(struct infer_outside *outside, struct infer_ticket *ticket)
{
    ticket->state = INFER_TICKET_ENDED;
    pthread_cond_broadcast(&outside->changed);
}

void infer_outside_refuse(struct infer_outside *outside, const char *why)
{
    pthread_mutex_lock(&outside->lock);
    outside->refusal = why;
    while (why && outside->first) {
        struct infer_ticket *ticket = outside->first;

        remove_locked(outside, ticket);
        cap_fail(&ticket->failure, CAP_UNAVAILABLE, "%s", why);
        end_locked(outside, ticket);
    }
    pthread_mutex_unlock(&outside->lock);
}

struct infer_ticket *infer_outside_take(struct infer_outside *outside)
{
    struct infer_ticket *ticket;

    pthread_mutex_lock(&outside->lock);
    ticket = outside->first;
    if (ticket) { /* from here on leaving waits for us */
        remove_locked(outside, ticket);
        ticket->state = INFER_TICKET_RUNNING;
    }
    pthread_mutex_unlock(&outside->lock);
    return ticket;
}

bool infer_outside_abandoned(struct infer_outside *outside, const struct infer_ticket *ticket)
{
    bool abandoned;

    pthread_mutex_lock(&outside->lock);
    abandoned = ticket->abandoned;
    pthread_mutex_unlock(&outside->lock);
    return abandoned;
}

void infer_outside_tokens(struct infer_outside *outside, struct infer_ticket *ticket,
                          const struct infer_event *event)
{
    size_t length = event->piece ? strlen(event->piece) : 0;

    pthread_mutex_lock(&outside->lock);
    if (ticket->piece_count == ticket->piece_capacity) {
        ticket->piece_capacity = ticket->piece_capacity ? 2 * ticket->piece_capacity : 32;
        ticket->pieces = realloc(ticket->pieces, ticket->piece_capacity * sizeof *ticket->pieces);
        assert(ticket->pieces);
    }
    cap_buf_add(&ticket->text, event->piece ? event->piece : "", length);
    if (!ticket->text.overflowed)
        ticket->pieces[ticket->piece_count++] = (struct infer_piece){length, event->tokens};
    pthread_cond_broadcast(&outside->changed);
    pthread_mutex_unlock(&outside->lock);
}

static struct infer_token_bytes copy_bytes(struct cap_arena *arena, struct infer_token_bytes from)
{
    char *data;

    if (!from.data)
        return from;
    data = cap_arena_alloc(arena, from.length + 1);
    assert(data && "a request is far smaller than the arena");
    memcpy(data, from.data, from.length);
    return (struct infer_token_bytes){data, from.length};
}

static void copy_token_scores(struct infer_ticket *ticket, const struct infer_event *done)
{
    size_t count = (size_t)done->token_score_count;

    if (count == 0)
        return;
    ticket->token_texts = cap_arena_new(TOKEN_TEXTS_BYTES_MAX);
    ticket->token_scores =
        cap_arena_array(ticket->token_texts, count, sizeof *ticket->token_scores);
    for (size_t i = 0; i < count && ticket->token_scores; i++) {
        const struct infer_token_score *from = &done->token_scores[i];

        ticket->token_scores[i] = *from;
        ticket->token_scores[i].token = copy_bytes(ticket->token_texts, from->token);
        ticket->token_scores[i].best = copy_bytes(ticket->token_texts, from->best);
    }
    ticket->token_score_count = ticket->token_scores ? (int)count : 0;
}

static void copy_outcome(struct infer_ticket *ticket, const struct infer_event *done)
{
    size_t bytes = (size_t)done->score_count * sizeof *ticket->scores;

    snprintf(ticket->finish_reason, sizeof ticket->finish_reason, "%s", done->finish_reason);
    ticket->prompt_tokens = done->prompt_tokens;
    ticket->output_tokens = done->output_tokens;
    ticket->cached_tokens = done->cached_tokens;
    ticket->score_count = done->score_count;
    copy_token_scores(ticket, done);
    if (bytes) {
        ticket->scores = malloc(bytes);
        assert(ticket->scores);
        memcpy(ticket->scores, done->scores, bytes);
    }
}

void infer_outside_end(struct infer_outside *outside, struct infer_ticket *ticket,
                       const struct infer_event *done, const struct cap_err *failure)
{
    assert(done || failure);
    pthread_mutex_lock(&outside->lock);
    if (done)
        copy_outcome(ticket, done);
    else
        ticket->failure = *failure;
    end_locked(outside, ticket);
    pthread_mutex_unlock(&outside->lock);
}
