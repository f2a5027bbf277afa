/* The lease, and everything that waits to be said about it.
 *
 * A node holds at most one lease. Its life is the enum in work.h, and every change of state is
 * made here, under the one lock:
 *
 *     IDLE --assign--> COLLECTING --last prompt--> READY --take--> RUNNING --end--> DRAINING
 *      ^                                                                                |
 *      +----------------------- last batch acknowledged, or failure said ---------------+
 *
 * From any state, a stop or another assignment leads out: the lease is dropped with its prompts,
 * its batches and its failure, because the scheduler knows better than we do whose the shard is.
 *
 * What is guaranteed:
 *   1. A batch leaves the outbox only when it was acknowledged as stored, or with its lease.
 *   2. Batches go out in order. Of those that are not acknowledged at most window_bytes are on
 *      their way, so that a beat never stands behind megabytes that a slow store has not taken
 *      yet.
 *   3. A failure is said after every batch before it was acknowledged: what was answered counts.
 *   4. A stop is confirmed when the worker no longer works for that lease; while it loads a model
 *      the stop is confirmed at once, because nothing of the lease will run.
 *   5. Whatever the worker puts here names its lease. If that is not the current one it is thrown
 *      away: a worker that is slow to notice can never write into the next run.
 *
 * Locks: work->lock is the only one, it is held for moments, and nothing is called while it is
 * held but plain data (assignment.c, and the outbox at the end of this file). `changed` is
 * broadcast; the sender, the worker and infer_work_close's waiters each look again.
 *
 * What can interleave. A stop, an assignment or a lost stream may come between any two calls of
 * the worker, which is why the worker asks infer_work_wanted() and why rule 5 exists. The sender
 * works for one generation of the stream: when the stream is lost the generation moves on, the old
 * sender finds nothing more to send, and the next one starts with a beat and the whole outbox. A
 * sender takes a copy of a batch, so that an acknowledgement may free the batch while the copy is
 * on its way. When a stop and the end of the shard cross, whichever takes the lock first decides;
 * the scheduler's fence settles it in either case. */
#include "node/work.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"

enum { BEAT_MS_DEFAULT = 3000 };

struct infer_work {
    const struct cap_clock *clock;
    size_t prompt_bytes_max;

    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t changed;
    bool closed, poked;

    enum infer_work_state state;
    struct infer_lease lease;            /* meaningless while IDLE */
    struct infer_assignment *assignment; /* COLLECTING and READY */
    struct infer_outbox *outbox;
    bool has_failure; /* goes out when the outbox is empty, and ends the lease */
    struct cap_err failure;
    bool has_progress;
    struct infer_progress progress;

    bool has_stopped; /* a stop to confirm ... */
    struct infer_lease stopped;
    bool worker_busy, worker_loading; /* ... once the worker is not busy with that lease */
    struct infer_lease worker_lease;

    uint64_t generation; /* of the stream; odd = one is up */
    int beat_ms;
    int64_t beat_due_ms;
};

struct infer_work *infer_work_new(const struct cap_clock *clock, size_t prompt_bytes_max,
                                  size_t outbox_bytes_max)
{
    struct infer_work *work = calloc(1, sizeof *work);

    assert(work);
    work->clock = clock;
    work->prompt_bytes_max = prompt_bytes_max;
    work->outbox = infer_outbox_new(outbox_bytes_max);
    work->beat_ms = BEAT_MS_DEFAULT;
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->changed, NULL);
    return work;
}

void infer_work_free(struct infer_work *work)
{
    if (!work)
        return;
    infer_assignment_free(work->assignment);
    infer_outbox_free(work->outbox);
    pthread_cond_destroy(&work->changed);
    pthread_mutex_destroy(&work->lock);
    free(work);
}

static void wake_locked(struct infer_work *work)
{
    pthread_cond_broadcast(&work->changed);
}

static void wait_ms_locked(struct infer_work *work, int64_t wait_ms)
{
    if (wait_ms > 0)
        cap_wait_ms(&work->changed, &work->lock, wait_ms);
}

void infer_work_close(struct infer_work *work)
{
    pthread_mutex_lock(&work->lock);
    work->closed = true;
    wake_locked(work);
    pthread_mutex_unlock(&work->lock);
}

/* ---- the lease ---- */

/* The lease is no longer ours, or has come to its end. The worker, if busy with it, finds out by
 * infer_work_wanted. */
static void drop_lease_locked(struct infer_work *work)
{
    infer_assignment_free(cap_take(work->assignment));
    infer_outbox_clear(work->outbox);
    work->has_failure = work->has_progress = false;
    cap_err_clear(&work->failure);
    work->state = INFER_WORK_IDLE;
}

static bool is_current_locked(const struct infer_work *work, const struct infer_lease *lease)
{
    return work->state != INFER_WORK_IDLE && infer_lease_same(&work->lease, lease);
}

static bool names_current_locked(const struct infer_work *work, const char *run_id, uint32_t shard)
{
    return work->state != INFER_WORK_IDLE && work->lease.shard == shard &&
           strcmp(work->lease.run_id, run_id) == 0;
}

/* The failure is what is left to say about this lease. */
static void fail_lease_locked(struct infer_work *work, const struct cap_err *failure)
{
    infer_assignment_free(cap_take(work->assignment));
    work->failure = *failure;
    work->has_failure = true;
    work->has_progress = false;
    work->state = INFER_WORK_DRAINING;
}

void infer_work_assign(struct infer_work *work, const struct infer_lease *lease,
                       const struct infer_spec *spec, uint64_t seq_next, int samples_left,
                       bool resumed)
{
    struct infer_assignment *assignment = infer_assignment_new(lease, work->prompt_bytes_max);
    struct cap_err err = {0};

    assignment->seq_next = seq_next;
    assignment->prompts_expected = samples_left;
    assignment->resumed = resumed;
    pthread_mutex_lock(&work->lock);
    drop_lease_locked(work);
    work->lease = *lease;
    work->assignment = assignment;
    work->state = INFER_WORK_COLLECTING;
    if (!infer_assignment_spec(assignment, spec, &err))
        fail_lease_locked(work, &err);
    wake_locked(work);
    pthread_mutex_unlock(&work->lock);
}

void infer_work_prompt(struct infer_work *work, const char *run_id, uint32_t shard,
                       const struct infer_prompt *prompt)
{
    struct cap_err err = {0};

    pthread_mutex_lock(&work->lock);
    if (names_current_locked(work, run_id, shard) && work->state == INFER_WORK_COLLECTING &&
        !infer_assignment_add(work->assignment, prompt, &err)) {
        fail_lease_locked(work, &err);
        wake_locked(work);
    }
    pthread_mutex_unlock(&work->lock);
}

void infer_work_prompts_end(struct infer_work *work, const char *run_id, uint32_t shard)
{
    struct cap_err err = {0};

    pthread_mutex_lock(&work->lock);
    if (names_current_locked(work, run_id, shard) && work->state == INFER_WORK_COLLECTING) {
        work->state = INFER_WORK_READY;
        if (work->assignment->prompt_count != work->assignment->prompts_expected) {
            cap_fail(&err, CAP_ABORTED, "%d prompts arrived of the %d announced",
                     work->assignment->prompt_count, work->assignment->prompts_expected);
            fail_lease_locked(work, &err);
        }
        wake_locked(work);
    }
    pthread_mutex_unlock(&work->lock);
}

/* A drained lease whose last batch is stored has nothing left to say. */
static void end_if_drained_locked(struct infer_work *work)
{
    if (work->state == INFER_WORK_DRAINING && !work->has_failure &&
        infer_outbox_count(work->outbox) == 0)
        drop_lease_locked(work);
}

void infer_work_ack(struct infer_work *work, const char *run_id, uint32_t shard, uint64_t seq)
{
    pthread_mutex_lock(&work->lock);
    if (names_current_locked(work, run_id, shard)) {
        infer_outbox_ack(work->outbox, seq);
        end_if_drained_locked(work);
        wake_locked(work);
    }
    pthread_mutex_unlock(&work->lock);
}

bool infer_work_stop(struct infer_work *work, const char *run_id, uint32_t shard, uint64_t fence)
{
    bool held;

    pthread_mutex_lock(&work->lock);
    held = names_current_locked(work, run_id, shard) && (!fence || work->lease.fence <= fence);
    if (held) {
        work->stopped = work->lease;
        work->has_stopped = true;
        drop_lease_locked(work);
        wake_locked(work);
    }
    pthread_mutex_unlock(&work->lock);
    return held;
}

/* ---- the stream ---- */

uint64_t infer_work_connected(struct infer_work *work, int beat_ms, size_t window_bytes)
{
    uint64_t generation;

    pthread_mutex_lock(&work->lock);
    work->beat_ms = beat_ms > 0 ? beat_ms : BEAT_MS_DEFAULT;
    work->beat_due_ms = 0;
    generation = ++work->generation;
    infer_outbox_rewind(work->outbox, window_bytes);
    pthread_mutex_unlock(&work->lock);
    return generation;
}

void infer_work_disconnected(struct infer_work *work)
{
    pthread_mutex_lock(&work->lock);
    if (work->generation % 2 == 1)
        work->generation++;
    if (work->state == INFER_WORK_COLLECTING)
        drop_lease_locked(work);
    work->has_stopped = false; /* the scheduler sees it in the next beat */
    wake_locked(work);
    pthread_mutex_unlock(&work->lock);
}

static bool stop_has_taken_effect_locked(const struct infer_work *work)
{
    return work->has_stopped && !(work->worker_busy && !work->worker_loading &&
                                  infer_lease_same(&work->worker_lease, &work->stopped));
}

static void copy_batch(struct infer_outgoing *out, const struct infer_batch *batch)
{
    out->kind = INFER_SEND_BATCH;
    out->batch = *batch;
    out->batch.rows = malloc(batch->length ? batch->length : 1);
    assert(out->batch.rows);
    memcpy(out->batch.rows, batch->rows, batch->length);
}

/* In order of urgency: a beat keeps the lease, a stop frees it, batches carry the work, a failure
 * comes when every batch before it is stored, progress is for people. */
static bool pick_locked(struct infer_work *work, struct infer_outgoing *out)
{
    int64_t now_ms = cap_clock_ms(work->clock);
    const struct infer_batch *batch;

    *out =
        (struct infer_outgoing){.lease = work->lease, .has_lease = work->state != INFER_WORK_IDLE};
    if (now_ms >= work->beat_due_ms) {
        out->kind = INFER_SEND_BEAT;
        work->beat_due_ms = now_ms + work->beat_ms;
    } else if (stop_has_taken_effect_locked(work)) {
        out->kind = INFER_SEND_STOPPED;
        out->lease = work->stopped;
        work->has_stopped = false;
    } else if ((batch = infer_outbox_next(work->outbox)) != NULL) {
        copy_batch(out, batch);
    } else if (work->has_failure && infer_outbox_count(work->outbox) == 0) {
        out->kind = INFER_SEND_FAILED;
        out->failure = work->failure;
        drop_lease_locked(work);
    } else if (work->has_progress) {
        out->kind = INFER_SEND_PROGRESS;
        out->progress = work->progress;
        work->has_progress = false;
    } else {
        return false;
    }
    return true;
}

bool infer_work_next(struct infer_work *work, uint64_t generation, struct infer_outgoing *out)
{
    bool picked = false;

    pthread_mutex_lock(&work->lock);
    while (!work->closed && work->generation == generation && !(picked = pick_locked(work, out)))
        wait_ms_locked(work, work->beat_due_ms - cap_clock_ms(work->clock));
    pthread_mutex_unlock(&work->lock);
    return picked;
}

void infer_outgoing_done(struct infer_outgoing *out)
{
    if (out->kind == INFER_SEND_BATCH)
        free(cap_take(out->batch.rows));
}

/* ---- the worker ---- */

bool infer_work_take(struct infer_work *work, int wait_ms, struct infer_assignment **out_assignment)
{
    bool taken;

    pthread_mutex_lock(&work->lock);
    if (!work->closed && !work->poked && work->state != INFER_WORK_READY)
        wait_ms_locked(work, wait_ms);
    work->poked = false;
    taken = !work->closed && work->state == INFER_WORK_READY;
    if (taken) {
        *out_assignment = cap_take(work->assignment);
        work->worker_lease = work->lease;
        work->worker_busy = true;
        work->worker_loading = false;
        work->state = INFER_WORK_RUNNING;
    }
    pthread_mutex_unlock(&work->lock);
    return taken;
}

bool infer_work_closed(struct infer_work *work)
{
    bool closed;

    pthread_mutex_lock(&work->lock);
    closed = work->closed;
    pthread_mutex_unlock(&work->lock);
    return closed;
}

void infer_work_poke(struct infer_work *work)
{
    pthread_mutex_lock(&work->lock);
    work->poked = true;
    wake_locked(work);
    pthread_mutex_unlock(&work->lock);
}

bool infer_work_wanted(struct infer_work *work, const struct infer_lease *lease)
{
    bool wanted;

    pthread_mutex_lock(&work->lock);
    wanted = !work->closed && is_current_locked(work, lease);
    pthread_mutex_unlock(&work->lock);
    return wanted;
}

bool infer_work_has_room(struct infer_work *work)
{
    bool has_room;

    pthread_mutex_lock(&work->lock);
    has_room = infer_outbox_has_room(work->outbox);
    pthread_mutex_unlock(&work->lock);
    return has_room;
}

void infer_work_put_batch(struct infer_work *work, const struct infer_lease *lease,
                          const struct infer_batch *batch)
{
    pthread_mutex_lock(&work->lock);
    if (is_current_locked(work, lease)) {
        infer_outbox_put(work->outbox, batch);
        wake_locked(work);
    } else {
        free(batch->rows);
    }
    pthread_mutex_unlock(&work->lock);
}

void infer_work_put_progress(struct infer_work *work, const struct infer_lease *lease,
                             const struct infer_progress *progress)
{
    pthread_mutex_lock(&work->lock);
    if (is_current_locked(work, lease)) {
        work->progress = *progress;
        work->has_progress = true;
        wake_locked(work);
    }
    pthread_mutex_unlock(&work->lock);
}

void infer_work_set_loading(struct infer_work *work, bool loading)
{
    pthread_mutex_lock(&work->lock);
    work->worker_loading = loading;
    wake_locked(work);
    pthread_mutex_unlock(&work->lock);
}

void infer_work_end(struct infer_work *work, const struct infer_lease *lease,
                    const struct cap_err *failure)
{
    pthread_mutex_lock(&work->lock);
    work->worker_busy = false;
    if (is_current_locked(work, lease)) {
        if (failure)
            fail_lease_locked(work, failure);
        else
            work->state = INFER_WORK_DRAINING;
        end_if_drained_locked(work);
    }
    wake_locked(work);
    pthread_mutex_unlock(&work->lock);
}

/* ---- looking ---- */

enum infer_work_state infer_work_state(struct infer_work *work)
{
    enum infer_work_state state;

    pthread_mutex_lock(&work->lock);
    state = work->state;
    pthread_mutex_unlock(&work->lock);
    return state;
}

/* ==== the outbox ====
 *
 * A list, oldest first, of which the first `sent` batches are on their way. An acknowledgement
 * drops from the front; a new stream begins again at the front.
 */

struct infer_outbox {
    struct infer_batch *batches; /* [count], oldest first */
    size_t count, capacity, sent;
    size_t bytes, bytes_max;
    size_t sent_bytes, window_bytes; /* of the batches that are sent; 0 = no limit */
};

struct infer_outbox *infer_outbox_new(size_t bytes_max)
{
    struct infer_outbox *outbox = calloc(1, sizeof *outbox);

    assert(outbox);
    outbox->bytes_max = bytes_max;
    return outbox;
}

void infer_outbox_free(struct infer_outbox *outbox)
{
    if (!outbox)
        return;
    infer_outbox_clear(outbox);
    free(outbox->batches);
    free(outbox);
}

void infer_outbox_put(struct infer_outbox *outbox, const struct infer_batch *batch)
{
    assert(outbox->count == 0 || outbox->batches[outbox->count - 1].seq < batch->seq);
    if (outbox->count == outbox->capacity) {
        outbox->capacity = outbox->capacity ? 2 * outbox->capacity : 16;
        outbox->batches = realloc(outbox->batches, outbox->capacity * sizeof *outbox->batches);
        assert(outbox->batches);
    }
    outbox->batches[outbox->count++] = *batch;
    outbox->bytes += batch->length;
}

bool infer_outbox_has_room(const struct infer_outbox *outbox)
{
    return outbox->bytes < outbox->bytes_max;
}

const struct infer_batch *infer_outbox_next(struct infer_outbox *outbox)
{
    const struct infer_batch *next;

    if (outbox->sent == outbox->count)
        return NULL;
    next = &outbox->batches[outbox->sent];
    if (outbox->sent > 0 && outbox->window_bytes > 0 &&
        outbox->sent_bytes + next->length > outbox->window_bytes)
        return NULL;
    outbox->sent++;
    outbox->sent_bytes += next->length;
    return next;
}

static void drop_first(struct infer_outbox *outbox, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        outbox->bytes -= outbox->batches[i].length;
        if (i < outbox->sent)
            outbox->sent_bytes -= outbox->batches[i].length;
        free(outbox->batches[i].rows);
    }
    outbox->count -= count;
    if (outbox->count)
        memmove(outbox->batches, outbox->batches + count, outbox->count * sizeof *outbox->batches);
    outbox->sent = outbox->sent > count ? outbox->sent - count : 0;
}

void infer_outbox_ack(struct infer_outbox *outbox, uint64_t seq)
{
    size_t count = 0;

    while (count < outbox->count && outbox->batches[count].seq <= seq)
        count++;
    drop_first(outbox, count);
}

void infer_outbox_rewind(struct infer_outbox *outbox, size_t window_bytes)
{
    outbox->sent = outbox->sent_bytes = 0;
    outbox->window_bytes = window_bytes;
}

void infer_outbox_clear(struct infer_outbox *outbox)
{
    drop_first(outbox, outbox->count);
}

size_t infer_outbox_count(const struct infer_outbox *outbox)
{
    return outbox->count;
}
