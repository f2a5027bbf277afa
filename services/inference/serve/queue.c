/* The queue of served requests, shared by connection threads and the worker.
 *
 * One lock guards the list of waiting requests and every request that was submitted. Each request
 * has its own condition, on which only its connection's thread waits: a token wakes that one
 * thread and no other, so that a hundred open streams cost a token nothing and disturb no timing.
 *
 * A request is in the list while it waits, then the worker holds it. Its memory is its
 * connection's; leave() therefore blocks until the worker has let go. What can interleave: the
 * client leaves while the request waits (it is taken out of the list), while it runs (the worker
 * sees `abandoned` and ends it), or after its end (nothing to do); the worker refuses the whole
 * list when a shard comes, and each waiting connection finds its failure. */
#include "serve/queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Of one answer: a client that reads slowly costs this much memory at most. */
enum { TEXT_BYTES_MAX = 16 << 20, TOKEN_TEXTS_BYTES_MAX = 256 << 20 };

struct infer_queue {
    int waiting_max;
    void (*wake)(void *arg);
    void *wake_arg;

    pthread_mutex_t lock; /* guards what follows, and every request that was submitted */
    struct infer_served *first, *last; /* WAITING, in order of arrival */
    int waiting;
    const char *refusal;
};

struct infer_queue *infer_queue_new(int waiting_max, void (*wake)(void *arg), void *wake_arg)
{
    struct infer_queue *queue = calloc(1, sizeof *queue);

    assert(queue);
    queue->waiting_max = waiting_max;
    queue->wake = wake;
    queue->wake_arg = wake_arg;
    pthread_mutex_init(&queue->lock, NULL);
    return queue;
}

void infer_queue_free(struct infer_queue *queue)
{
    if (!queue)
        return;
    assert(queue->waiting == 0);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* ---- connection threads ---- */

static bool admit_locked(struct infer_queue *queue, struct cap_err *err)
{
    if (queue->refusal)
        return cap_fail(err, CAP_UNAVAILABLE, "%s", queue->refusal);
    if (queue->waiting >= queue->waiting_max)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are waiting already",
                        queue->waiting_max);
    return true;
}

static void append_locked(struct infer_queue *queue, struct infer_served *served)
{
    served->state = INFER_SERVED_WAITING;
    served->next = NULL;
    if (queue->last)
        queue->last->next = served;
    else
        queue->first = served;
    queue->last = served;
    queue->waiting++;
}

bool infer_queue_submit(struct infer_queue *queue, struct infer_served *served, struct cap_err *err)
{
    bool admitted;

    pthread_mutex_lock(&queue->lock);
    admitted = admit_locked(queue, err);
    if (admitted) {
        pthread_cond_init(&served->changed, NULL);
        cap_buf_init(&served->text, TEXT_BYTES_MAX);
        append_locked(queue, served);
    }
    pthread_mutex_unlock(&queue->lock);
    if (admitted)
        queue->wake(queue->wake_arg);
    return admitted;
}

static bool has_piece_locked(const struct infer_served *served)
{
    return served->piece_at < served->piece_count;
}

enum infer_next infer_queue_next(struct infer_queue *queue, struct infer_served *served,
                                 int wait_ms, struct cap_buf *out_text)
{
    enum infer_next result = INFER_NEXT_NOTHING;
    struct timespec end = cap_wait_end(wait_ms);

    pthread_mutex_lock(&queue->lock);
    while (!has_piece_locked(served) && served->state != INFER_SERVED_ENDED)
        if (!cap_wait_until(&served->changed, &queue->lock, &end))
            break;
    if (has_piece_locked(served)) {
        size_t length = served->pieces[served->piece_at++].length;

        cap_buf_add(out_text, served->text.data + served->text_at, length);
        served->text_at += length;
        result = INFER_NEXT_PIECE;
    } else if (served->state == INFER_SERVED_ENDED) {
        result = INFER_NEXT_END;
    }
    pthread_mutex_unlock(&queue->lock);
    return result;
}

static void remove_locked(struct infer_queue *queue, struct infer_served *served)
{
    struct infer_served **at = &queue->first, *before = NULL;

    while (*at != served) {
        before = *at;
        at = &(*at)->next;
    }
    *at = served->next;
    if (queue->last == served)
        queue->last = before;
    queue->waiting--;
}

void infer_queue_leave(struct infer_queue *queue, struct infer_served *served)
{
    pthread_mutex_lock(&queue->lock);
    served->abandoned = true;
    if (served->state == INFER_SERVED_WAITING)
        remove_locked(queue, served);
    else
        while (served->state == INFER_SERVED_RUNNING)
            pthread_cond_wait(&served->changed, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_destroy(&served->changed);
    cap_buf_done(&served->text);
    free(cap_take(served->pieces));
    free(cap_take(served->scores));
    cap_arena_free(cap_take(served->token_texts));
}

/* ---- the worker ---- */

static void end_locked(struct infer_served *served)
{
    served->state = INFER_SERVED_ENDED;
    pthread_cond_signal(&served->changed);
}

void infer_queue_refuse(struct infer_queue *queue, const char *why)
{
    pthread_mutex_lock(&queue->lock);
    queue->refusal = why;
    while (why && queue->first) {
        struct infer_served *served = queue->first;

        remove_locked(queue, served);
        cap_fail(&served->failure, CAP_UNAVAILABLE, "%s", why);
        end_locked(served);
    }
    pthread_mutex_unlock(&queue->lock);
}

struct infer_served *infer_queue_take(struct infer_queue *queue)
{
    struct infer_served *served;

    pthread_mutex_lock(&queue->lock);
    served = queue->first;
    if (served) { /* from here on leaving waits for us */
        remove_locked(queue, served);
        served->state = INFER_SERVED_RUNNING;
    }
    pthread_mutex_unlock(&queue->lock);
    return served;
}

bool infer_queue_abandoned(struct infer_queue *queue, const struct infer_served *served)
{
    bool abandoned;

    pthread_mutex_lock(&queue->lock);
    abandoned = served->abandoned;
    pthread_mutex_unlock(&queue->lock);
    return abandoned;
}

static void add_piece_locked(struct infer_served *served, const char *piece, int tokens)
{
    size_t length = piece ? strlen(piece) : 0;

    if (served->piece_count == served->piece_capacity) {
        served->piece_capacity = served->piece_capacity ? 2 * served->piece_capacity : 32;
        served->pieces = realloc(served->pieces, served->piece_capacity * sizeof *served->pieces);
        assert(served->pieces);
    }
    cap_buf_add(&served->text, piece ? piece : "", length);
    if (!served->text.overflowed)
        served->pieces[served->piece_count++] = (struct infer_piece){length, tokens};
}

void infer_queue_tokens(struct infer_queue *queue, struct infer_served *served,
                        const struct infer_event *event)
{
    pthread_mutex_lock(&queue->lock);
    add_piece_locked(served, event->piece, event->tokens);
    pthread_cond_signal(&served->changed);
    pthread_mutex_unlock(&queue->lock);
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

static void copy_token_scores(struct infer_served *served, const struct infer_event *done)
{
    size_t count = (size_t)done->token_score_count;

    if (count == 0)
        return;
    served->token_texts = cap_arena_new(TOKEN_TEXTS_BYTES_MAX);
    served->token_scores =
        cap_arena_array(served->token_texts, count, sizeof *served->token_scores);
    for (size_t i = 0; i < count && served->token_scores; i++) {
        const struct infer_token_score *from = &done->token_scores[i];

        served->token_scores[i] = *from;
        served->token_scores[i].token = copy_bytes(served->token_texts, from->token);
        served->token_scores[i].best = copy_bytes(served->token_texts, from->best);
    }
    served->token_score_count = served->token_scores ? (int)count : 0;
}

static void copy_outcome(struct infer_served *served, const struct infer_event *done)
{
    size_t bytes = (size_t)done->score_count * sizeof *served->scores;

    snprintf(served->finish_reason, sizeof served->finish_reason, "%s",
             done->finish_reason ? done->finish_reason : "");
    served->prompt_tokens = done->prompt_tokens;
    served->output_tokens = done->output_tokens;
    served->cached_tokens = done->cached_tokens;
    served->score_count = done->score_count;
    copy_token_scores(served, done);
    if (bytes) {
        served->scores = malloc(bytes);
        assert(served->scores);
        memcpy(served->scores, done->scores, bytes);
    }
}

void infer_queue_end(struct infer_queue *queue, struct infer_served *served,
                     const struct infer_event *done, const struct cap_err *failure)
{
    assert(done || failure);
    pthread_mutex_lock(&queue->lock);
    if (done && done->piece)
        add_piece_locked(served, done->piece, 0);
    if (done)
        copy_outcome(served, done);
    else
        served->failure = *failure;
    end_locked(served);
    pthread_mutex_unlock(&queue->lock);
}
