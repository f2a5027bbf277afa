/* The one lock around the one state: events go in, actions are handed to the pools.
 *
 * Threads. Handlers, the store's appenders, the renewer and the ticker feed events, each under the
 * lock, each for as long as a step takes. The actions of a step are put into the queue of a pool
 * before the lock is let go, so actions of one kind begin in the order in which they were decided;
 * they may end in any order, and their outcome comes back as an event that carries the fence or the
 * state that it speaks of. There is a pool for each thing that may be waited for: the store,
 * assignments, stops, the end of streams (which waits for nobody), grading.
 *
 * Locks. The dispatcher's lock is the innermost but for the job's references, which are atomic: no
 * call leaves while it is held, no other lock is taken under it. A stream's order lock may be held
 * while the dispatcher's is taken (work_rpc.c asks whether a run is still wanted), never the other
 * way round.
 *
 * Memory. A run here is two things: what decisions need (struct sched_run, in the state) and what
 * people and calls need (struct sched_job). Both are forgotten when ENDED_KEPT_MAX later runs have
 * ended; who still looks at a job holds a reference.
 *
 * At the end. Actions that wait are dropped, but for moves: somebody may have been told of them, so
 * they are tried once more each.
 */
#include "dispatcher.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatcher_inside.h"
#include "log/log.h"
#include "service.h"

enum {
    ENDED_KEPT_MAX = 4096,
    SLICE_MS = 50,
    STUCK_LEASES = 2, /* a node that reads nothing for the time of two leases is dropped */
};

static const enum sched_pool_name pool_of[SCHED_ACTION_COUNT] = {
    [SCHED_DO_LEASE] = SCHED_POOL_STORE, [SCHED_DO_RELEASE] = SCHED_POOL_STORE,
    [SCHED_DO_MOVE] = SCHED_POOL_STORE,  [SCHED_DO_ASSIGN] = SCHED_POOL_ASSIGN,
    [SCHED_DO_STOP] = SCHED_POOL_STOP,   [SCHED_DO_DROP] = SCHED_POOL_DROP,
    [SCHED_DO_GRADE] = SCHED_POOL_GRADE, [SCHED_DO_FINISH] = SCHED_POOL_GRADE,
};
static const int pool_threads[SCHED_POOL_COUNT] = {
    [SCHED_POOL_STORE] = 16, [SCHED_POOL_ASSIGN] = 64, [SCHED_POOL_STOP] = 8,
    [SCHED_POOL_DROP] = 1,   [SCHED_POOL_GRADE] = 8,
};

/* ---- pools ---- */

static struct sched_waiting_action *take_head_locked(struct sched_pool *pool)
{
    struct sched_waiting_action *task = pool->head;

    pool->head = task->next;
    pool->waiting--;
    if (!pool->head)
        pool->tail = &pool->head;
    return task;
}

/* NULL when we stop and nothing is left that somebody was told has happened. */
static struct sched_waiting_action *next_task_locked(struct sched_pool *pool)
{
    while (!pool->head && !pool->dispatcher->stopping) {
        pool->idle++;
        pthread_cond_wait(&pool->came, &pool->dispatcher->lock);
        pool->idle--;
    }
    while (pool->dispatcher->stopping && pool->head && pool->head->action.kind != SCHED_DO_MOVE)
        free(take_head_locked(pool));
    return pool->head ? take_head_locked(pool) : NULL;
}

/* A move that waited for the store has now been made, refused, or given up because we stop. */
static void note_told_locked(struct sched_dispatcher *d, const struct sched_action *move)
{
    struct sched_job *job = cap_map_get(d->jobs, move->run_id);

    if (job)
        job->moves_pending--;
    d->version++;
    pthread_cond_broadcast(&d->changed);
}

static void *work_pool(void *argument)
{
    struct sched_pool *pool = argument;
    struct sched_dispatcher *d = pool->dispatcher;
    struct sched_waiting_action *task;

    pthread_mutex_lock(&d->lock);
    while ((task = next_task_locked(pool)) != NULL) {
        pthread_mutex_unlock(&d->lock);
        sched_action_perform(d, &task->action);
        pthread_mutex_lock(&d->lock);
        if (task->action.kind == SCHED_DO_MOVE)
            note_told_locked(d, &task->action);
        free(task);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void hand_over_locked(struct sched_dispatcher *d, const struct sched_action *action)
{
    struct sched_pool *pool = &d->pools[pool_of[action->kind]];
    struct sched_waiting_action *task = calloc(1, sizeof *task);
    struct sched_job *job = cap_map_get(d->jobs, action->run_id);

    if (!task)
        abort();
    task->action = *action;
    if (job && action->kind == SCHED_DO_MOVE)
        job->moves_pending++;
    *pool->tail = task;
    pool->tail = &task->next;
    pool->waiting++;
    if (pool->idle < pool->waiting && pool->thread_count < pool->thread_max &&
        pthread_create(&pool->threads[pool->thread_count], NULL, work_pool, pool) == 0)
        pool->thread_count++;
    pthread_cond_signal(&pool->came);
}

/* ---- feeding ---- */

static void count_end(enum sched_run_state run_state)
{
    sched_count(run_state == SCHED_RUN_FINISHED    ? SCHED_METRIC_runs_finished_total
                : run_state == SCHED_RUN_CANCELLED ? SCHED_METRIC_runs_cancelled_total
                                                   : SCHED_METRIC_runs_failed_total,
                1);
}

static void note_end_locked(struct sched_dispatcher *d, struct sched_job *job)
{
    if (job->ended)
        return;
    job->ended = true;
    cap_sorted_remove(d->arrivals, job);
    *d->last_ended = job;
    d->last_ended = &job->next_ended;
    d->ended_count++;
}

static void note_move_locked(struct sched_dispatcher *d, const struct sched_action *move)
{
    struct sched_job *job = cap_map_get(d->jobs, move->run_id);

    cap_log(INFO, "run_moved", "run=%s from=%s to=%s reason=%s", move->run_id,
            sched_state_name(move->from), sched_state_name(move->to), CAP_LOG_Q(move->reason));
    if (job) {
        snprintf(job->phase, sizeof job->phase, "%s",
                 move->to == SCHED_RUN_GRADING ? "grading" : "");
        job->output_tokens_per_s = 0;
    }
    if (!sched_state_ended(move->to))
        return;
    count_end(move->to);
    if (!job)
        return;
    job->ended_at_ms = cap_clock_wall_ms(cap_clock_system());
    note_end_locked(d, job);
}

static void feed_locked(struct sched_dispatcher *d, const struct sched_event *event)
{
    struct sched_actions actions = {0};

    sched_step(d->state, event, cap_clock_ms(cap_clock_system()), &actions);
    for (size_t i = 0; i < actions.count; i++)
        if (actions.list[i].kind == SCHED_NOTE_MOVE)
            note_move_locked(d, &actions.list[i]);
        else
            hand_over_locked(d, &actions.list[i]);
    if (actions.count > 0 || event->kind == SCHED_ANSWERS_STORED || event->kind == SCHED_GRADED ||
        event->kind == SCHED_RUN_ADDED) {
        d->version++;
        pthread_cond_broadcast(&d->changed);
    }
    sched_actions_done(&actions);
}

void sched_dispatcher_event(struct sched_dispatcher *d, const struct sched_event *event)
{
    pthread_mutex_lock(&d->lock);
    if (!d->stopping)
        feed_locked(d, event);
    pthread_mutex_unlock(&d->lock);
}

/* ---- jobs ---- */

static int by_arrival(const void *left, const void *right)
{
    const struct sched_job *a = left, *b = right;

    if (a->queued_at_ms != b->queued_at_ms)
        return a->queued_at_ms < b->queued_at_ms ? -1 : 1;
    return strcmp(a->run_id, b->run_id);
}

static void join_evaluation_locked(struct sched_dispatcher *d, struct sched_job *job)
{
    struct sched_evaluation *evaluation = cap_map_get(d->evaluations, job->evaluation_id);

    if (!evaluation) {
        evaluation = calloc(1, sizeof *evaluation);
        if (!evaluation)
            abort();
        cap_map_put(d->evaluations, job->evaluation_id, evaluation);
    }
    if (evaluation->count == evaluation->room) {
        evaluation->room = evaluation->room ? evaluation->room * 2 : 4;
        evaluation->jobs = realloc(evaluation->jobs, evaluation->room * sizeof *evaluation->jobs);
        if (!evaluation->jobs)
            abort();
    }
    evaluation->jobs[evaluation->count++] = job;
}

static void leave_evaluation_locked(struct sched_dispatcher *d, const struct sched_job *job)
{
    struct sched_evaluation *evaluation = cap_map_get(d->evaluations, job->evaluation_id);
    size_t at = 0;

    while (evaluation->jobs[at] != job)
        at++;
    memmove(&evaluation->jobs[at], &evaluation->jobs[at + 1],
            (--evaluation->count - at) * sizeof *evaluation->jobs);
    if (evaluation->count > 0)
        return;
    cap_map_remove(d->evaluations, job->evaluation_id);
    free(evaluation->jobs);
    free(evaluation);
}

/* Ended runs are kept for those who watch, the latest of them; the store has them all. One of which
 * the store has not heard yet is not forgotten. */
static void forget_old_locked(struct sched_dispatcher *d)
{
    while (d->ended_count > ENDED_KEPT_MAX && d->first_ended &&
           d->first_ended->moves_pending == 0) {
        struct sched_job *job = d->first_ended;

        d->first_ended = job->next_ended;
        if (!d->first_ended)
            d->last_ended = &d->first_ended;
        d->ended_count--;
        sched_forget(d->state, job->run_id);
        leave_evaluation_locked(d, job);
        cap_map_remove(d->jobs, job->run_id);
        sched_job_free(job);
    }
}

void sched_dispatcher_add(struct sched_dispatcher *d, struct sched_job *job,
                          const struct sched_run *run)
{
    struct sched_event event = {.kind = SCHED_RUN_ADDED, .run = run};

    pthread_mutex_lock(&d->lock);
    if (cap_map_get(d->jobs, job->run_id)) {
        sched_job_free(job);
    } else {
        forget_old_locked(d);
        cap_map_put(d->jobs, job->run_id, job);
        join_evaluation_locked(d, job);
        cap_sorted_put(d->arrivals, job);
        if (sched_state_ended(run->state))
            note_end_locked(d, job);
        feed_locked(d, &event);
    }
    pthread_mutex_unlock(&d->lock);
}

bool sched_dispatcher_knows(struct sched_dispatcher *d, const char *run_id)
{
    bool known;

    pthread_mutex_lock(&d->lock);
    known = cap_map_get(d->jobs, run_id) != NULL;
    pthread_mutex_unlock(&d->lock);
    return known;
}

static enum sched_holder holder_locked(struct sched_dispatcher *d, const char *node_id,
                                       const char *run_id, uint64_t fence)
{
    const struct sched_run *run = sched_find_run(d->state, run_id);

    if (!run || run->fence != fence)
        return SCHED_HELD_BY_NOBODY;
    if (run->state == SCHED_RUN_GRADING || run->state == SCHED_RUN_FINISHED)
        return SCHED_HELD_SINCE_BEFORE;
    if (run->state != SCHED_RUN_LEASED && run->state != SCHED_RUN_RUNNING)
        return SCHED_HELD_BY_NOBODY;
    if (strcmp(run->node_id, node_id) != 0)
        return SCHED_HELD_BY_ANOTHER;
    return run->adopted ? SCHED_HELD_SINCE_BEFORE : SCHED_HELD;
}

enum sched_holder sched_dispatcher_holder(struct sched_dispatcher *d, const char *node_id,
                                          const char *run_id, uint64_t fence)
{
    enum sched_holder holder;

    pthread_mutex_lock(&d->lock);
    holder = holder_locked(d, node_id, run_id, fence);
    pthread_mutex_unlock(&d->lock);
    return holder;
}

void sched_dispatcher_note(struct sched_dispatcher *d, const char *node_id, const char *run_id,
                           const char *phase, double output_tokens_per_s)
{
    const struct sched_event event = {
        .kind = SCHED_NODE_SAYS, .node_id = node_id, .run_id = run_id, .reason = phase};
    const struct sched_run *run;
    struct sched_job *job;

    pthread_mutex_lock(&d->lock);
    job = cap_map_get(d->jobs, run_id);
    run = sched_find_run(d->state, run_id);
    if (!d->stopping)
        feed_locked(d, &event);
    if (job && run && strcmp(run->node_id, node_id) == 0) {
        snprintf(job->phase, sizeof job->phase, "%s", phase);
        job->output_tokens_per_s = output_tokens_per_s;
        d->version++;
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
}

/* ---- time ---- */

bool sched_dispatcher_pause(struct sched_dispatcher *d, int64_t wait_ms)
{
    bool stopping = false;

    for (int64_t left = wait_ms; left > 0 && !stopping; left -= SLICE_MS) {
        cap_sleep_ms(left < SLICE_MS ? left : SLICE_MS);
        pthread_mutex_lock(&d->lock);
        stopping = d->stopping;
        pthread_mutex_unlock(&d->lock);
    }
    return !stopping;
}

/* False when the store is away. */
static bool sweep(struct sched_dispatcher *d)
{
    struct sched_lost *lost = NULL;
    struct cap_err err = {0};
    size_t count = 0;

    if (!sched_client_sweep(&d->options.clients, &lost, &count, &err)) {
        cap_log(DEBUG, "sweep_failed", "reason=%s", CAP_LOG_Q(err.text));
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sched_event event = {
            .kind = SCHED_LEASE_LOST, .run_id = lost[i].run_id, .fence = lost[i].fence};

        sched_dispatcher_event(d, &event);
    }
    free(lost);
    return true;
}

/* While the store or this program is away no lease can be renewed. When both are there, nodes get
 * the time to do so before anything is taken from them. */
static void *tick(void *argument)
{
    struct sched_dispatcher *d = argument;
    const struct sched_event event = {.kind = SCHED_TICK};
    int64_t sweep_after_ms = cap_clock_ms(cap_clock_system()) + d->options.lease_ms;

    while (sched_dispatcher_pause(d, d->options.tick_ms)) {
        int64_t now_ms = cap_clock_ms(cap_clock_system());

        sched_dispatcher_event(d, &event);
        sched_streams_drop_stuck(d->options.streams, STUCK_LEASES * d->options.lease_ms);
        if (now_ms < sweep_after_ms && sched_client_reach(&d->options.clients))
            continue;
        if (now_ms < sweep_after_ms || !sweep(d))
            sweep_after_ms = cap_clock_ms(cap_clock_system()) + d->options.lease_ms;
    }
    return NULL;
}

/* ---- life ---- */

struct sched_dispatcher *sched_dispatcher_new(const struct sched_dispatcher_options *options)
{
    struct sched_dispatcher *d = calloc(1, sizeof *d);

    if (!d)
        abort();
    d->options = *options;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    d->state = sched_state_new(&options->policy);
    d->jobs = cap_map_new();
    d->evaluations = cap_map_new();
    d->arrivals = cap_sorted_new(by_arrival);
    d->last_ended = &d->first_ended;
    for (int i = 0; i < SCHED_POOL_COUNT; i++) {
        struct sched_pool *pool = &d->pools[i];

        pool->dispatcher = d;
        pool->tail = &pool->head;
        pool->thread_max = pool_threads[i];
        pthread_cond_init(&pool->came, NULL);
    }
    if (pthread_create(&d->ticker, NULL, tick, d) != 0)
        abort();
    return d;
}

void sched_dispatcher_stop(struct sched_dispatcher *d)
{
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    for (int i = 0; i < SCHED_POOL_COUNT; i++)
        pthread_cond_broadcast(&d->pools[i].came);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->ticker, NULL);
    for (int i = 0; i < SCHED_POOL_COUNT; i++)
        for (; d->pools[i].thread_count > 0; d->pools[i].thread_count--)
            pthread_join(d->pools[i].threads[d->pools[i].thread_count - 1], NULL);
}

static void free_pool(struct sched_pool *pool)
{
    while (pool->head) {
        struct sched_waiting_action *next = pool->head->next;

        free(pool->head);
        pool->head = next;
    }
    pthread_cond_destroy(&pool->came);
}

void sched_dispatcher_free(struct sched_dispatcher *d)
{
    if (!d)
        return;
    for (int i = 0; i < SCHED_POOL_COUNT; i++)
        free_pool(&d->pools[i]);
    for (size_t i = 0; i < cap_map_count(d->jobs); i++)
        sched_job_free(cap_map_value_at(d->jobs, i));
    cap_map_free(d->jobs);
    for (size_t i = 0; i < cap_map_count(d->evaluations); i++) {
        struct sched_evaluation *evaluation = cap_map_value_at(d->evaluations, i);

        free(evaluation->jobs);
        free(evaluation);
    }
    cap_map_free(d->evaluations);
    cap_sorted_free(d->arrivals);
    sched_state_free(d->state);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    free(d);
}

/* ==== what people see of runs and nodes: copies made under the lock ==== */

static void fill_view_locked(struct sched_dispatcher *d, const struct sched_run *run,
                             struct sched_view *out)
{
    struct sched_job *job = cap_map_get(d->jobs, run->id);

    *out = (struct sched_view){.job = sched_job_hold(job),
                               .run = *run,
                               .queued_at_ms = job->queued_at_ms,
                               .started_at_ms = job->started_at_ms,
                               .ended_at_ms = job->ended_at_ms,
                               .output_tokens_per_s = job->output_tokens_per_s,
                               .stored = job->moves_pending == 0};
    memcpy(out->node, job->node_name, sizeof out->node);
    if (run->state == SCHED_RUN_QUEUED)
        sched_waiting_for(d->state, run, cap_clock_ms(cap_clock_system()), out->phase);
    else
        snprintf(out->phase, sizeof out->phase, "%s", job->phase);
}

static struct sched_view *new_views(size_t count)
{
    struct sched_view *views = calloc(count + 1, sizeof *views);

    if (!views)
        abort();
    return views;
}

static void add_view_locked(struct sched_dispatcher *d, const char *run_id,
                            struct sched_view *views, size_t *io_count)
{
    const struct sched_run *run = sched_find_run(d->state, run_id);

    if (run)
        fill_view_locked(d, run, &views[(*io_count)++]);
}

size_t sched_dispatcher_views(struct sched_dispatcher *d, const char *id, struct sched_view **out)
{
    const struct sched_evaluation *evaluation;
    size_t count = 0;

    pthread_mutex_lock(&d->lock);
    evaluation = cap_map_get(d->evaluations, id);
    *out = new_views(evaluation ? evaluation->count : 1);
    for (size_t i = 0; evaluation && i < evaluation->count; i++)
        add_view_locked(d, evaluation->jobs[i]->run_id, *out, &count);
    if (!evaluation)
        add_view_locked(d, id, *out, &count);
    pthread_mutex_unlock(&d->lock);
    return count;
}

/* ---- pages of the queue ---- */

static void page_by_arrival_locked(struct sched_dispatcher *d, struct sched_page *page)
{
    int64_t now_ms = cap_clock_ms(cap_clock_system());
    struct sched_job key = {.queued_at_ms = page->after_ms};
    const struct sched_job *job;

    memcpy(key.run_id, page->after_run_id, sizeof key.run_id);
    for (job = cap_sorted_after(d->arrivals, &key); job && page->count < page->limit;
         job = cap_sorted_after(d->arrivals, job)) {
        struct sched_view *view = &page->views[page->count];

        add_view_locked(d, job->run_id, page->views, &page->count);
        view->position = (uint32_t)sched_position(d->state, &view->run, now_ms);
    }
    page->more = job != NULL;
}

/* Those that do not wait come first. */
static void page_by_position_locked(struct sched_dispatcher *d, struct sched_page *page)
{
    int64_t now_ms = cap_clock_ms(cap_clock_system());
    CAP_AUTO_MEM const struct sched_run **order = calloc(page->limit + 1, sizeof *order);
    const struct sched_run *run = NULL;
    size_t waiting;

    if (!order)
        abort();
    while (page->count < page->limit && (run = sched_busy_after(d->state, run)) != NULL)
        add_view_locked(d, run->id, page->views, &page->count);
    waiting = sched_order(d->state, now_ms, order, page->limit - page->count);
    for (size_t i = 0; i < waiting; i++) {
        fill_view_locked(d, order[i], &page->views[page->count]);
        page->views[page->count++].position = (uint32_t)i + 1;
    }
}

void sched_dispatcher_page(struct sched_dispatcher *d, struct sched_page *page)
{
    page->views = new_views(page->limit);
    page->count = 0;
    page->more = false;
    pthread_mutex_lock(&d->lock);
    page->waiting = sched_waiting_count(d->state);
    page->open = sched_open_count(d->state);
    if (page->by_arrival)
        page_by_arrival_locked(d, page);
    else
        page_by_position_locked(d, page);
    pthread_mutex_unlock(&d->lock);
}

void sched_views_free(struct sched_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sched_job_free(views[i].job);
    free(views);
}

void sched_dispatcher_wait(struct sched_dispatcher *d, uint64_t *io_version, int64_t wait_ms)
{
    struct timespec end = cap_wait_end(wait_ms);

    pthread_mutex_lock(&d->lock);
    while (d->version == *io_version && !d->stopping)
        if (!cap_wait_until(&d->changed, &d->lock, &end))
            break;
    *io_version = d->version;
    pthread_mutex_unlock(&d->lock);
}

void sched_dispatcher_why_none(struct sched_dispatcher *d, const struct sched_needs *needs,
                               char out[SCHED_REASON_BYTES])
{
    pthread_mutex_lock(&d->lock);
    sched_why_none(d->state, needs, out);
    pthread_mutex_unlock(&d->lock);
}

void sched_dispatcher_nodes(struct sched_dispatcher *d,
                            void (*visit)(void *arg, const struct sched_node *node), void *arg)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < sched_node_count(d->state); i++)
        visit(arg, sched_node_at(d->state, i));
    pthread_mutex_unlock(&d->lock);
}

void sched_view_to_wire(const struct sched_view *view, Moecap__V1__RunProgress *out)
{
    const struct sched_job *job = view->job;

    moecap__v1__run_progress__init(out);
    out->run_id = (char *)view->run.id;
    out->evaluation_id = (char *)view->run.evaluation_id;
    out->task = job->task;
    out->repeat = job->repeat;
    out->state = sched_state_to_wire(view->run.state);
    out->reason = (char *)view->run.reason;
    out->samples_total = view->run.total;
    out->samples_answered = view->run.answered;
    out->samples_graded = view->run.graded;
    out->node = (char *)view->node;
    out->phase = (char *)view->phase;
    out->output_tokens_per_s = view->output_tokens_per_s;
    out->queued_at_ms = view->queued_at_ms;
    out->started_at_ms = view->started_at_ms;
    out->ended_at_ms = view->ended_at_ms;
    out->attempts = (uint32_t)view->run.attempts;
    out->model = job->spec->model;
    out->engine = job->spec->engine;
    out->precision = job->spec->precision;
    out->concurrency = (uint32_t)cap_spec_get(job->spec, CAP_KNOB_concurrency).whole;
}
