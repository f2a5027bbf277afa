/* The one lock around the one state: events go in, actions are handed to the lanes. */
#include "conduct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "inside.h"
#include "log/log.h"
#include "metrics.h"

enum { ENDED_KEPT_MAX = 4096, SLICE_MS = 50 };

static const enum sched_lane_name lane_of[SCHED_ACTION_COUNT] = {
    [SCHED_DO_LEASE] = SCHED_LANE_STORE, [SCHED_DO_RELEASE] = SCHED_LANE_STORE,
    [SCHED_DO_MOVE] = SCHED_LANE_STORE,  [SCHED_DO_ASSIGN] = SCHED_LANE_ASSIGN,
    [SCHED_DO_STOP] = SCHED_LANE_STOP,   [SCHED_DO_DROP] = SCHED_LANE_STOP,
    [SCHED_DO_GRADE] = SCHED_LANE_GRADE, [SCHED_DO_FINISH] = SCHED_LANE_GRADE,
};
static const int lane_threads[SCHED_LANE_COUNT] = {
    [SCHED_LANE_STORE] = 16,
    [SCHED_LANE_ASSIGN] = 64,
    [SCHED_LANE_STOP] = 8,
    [SCHED_LANE_GRADE] = 8,
};

/* ---- lanes ---- */

static struct sched_task *take_head_locked(struct sched_lane *lane)
{
    struct sched_task *task = lane->head;

    lane->head = task->next;
    lane->waiting--;
    if (!lane->head)
        lane->tail = &lane->head;
    return task;
}

/* NULL when we stop and nothing is left that somebody was told has happened. */
static struct sched_task *next_task_locked(struct sched_lane *lane)
{
    while (!lane->head && !lane->conduct->stopping) {
        lane->idle++;
        pthread_cond_wait(&lane->came, &lane->conduct->lock);
        lane->idle--;
    }
    while (lane->conduct->stopping && lane->head && lane->head->action.kind != SCHED_DO_MOVE)
        free(take_head_locked(lane));
    return lane->head ? take_head_locked(lane) : NULL;
}

/* A move that waited for the store has now been made, refused, or given up because we stop. */
static void note_told_locked(struct sched_conduct *c, const struct sched_action *move)
{
    struct sched_job *job = cap_map_get(c->jobs, move->run_id);

    if (job)
        job->moves_pending--;
    c->version++;
    pthread_cond_broadcast(&c->changed);
}

static void *work_lane(void *argument)
{
    struct sched_lane *lane = argument;
    struct sched_conduct *c = lane->conduct;
    struct sched_task *task;

    pthread_mutex_lock(&c->lock);
    while ((task = next_task_locked(lane)) != NULL) {
        pthread_mutex_unlock(&c->lock);
        sched_carry_out(c, &task->action);
        pthread_mutex_lock(&c->lock);
        if (task->action.kind == SCHED_DO_MOVE)
            note_told_locked(c, &task->action);
        free(task);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void hand_over_locked(struct sched_conduct *c, const struct sched_action *action)
{
    struct sched_lane *lane = &c->lanes[lane_of[action->kind]];
    struct sched_task *task = calloc(1, sizeof *task);
    struct sched_job *job = cap_map_get(c->jobs, action->run_id);

    if (!task)
        abort();
    task->action = *action;
    if (job && action->kind == SCHED_DO_MOVE)
        job->moves_pending++;
    *lane->tail = task;
    lane->tail = &task->next;
    lane->waiting++;
    if (lane->idle < lane->waiting && lane->thread_count < lane->thread_max &&
        pthread_create(&lane->threads[lane->thread_count], NULL, work_lane, lane) == 0)
        lane->thread_count++;
    pthread_cond_signal(&lane->came);
}

/* ---- feeding ---- */

static void count_end(enum sched_run_state run_state)
{
    sched_count(run_state == SCHED_RUN_FINISHED    ? SCHED_METRIC_runs_finished_total
                : run_state == SCHED_RUN_CANCELLED ? SCHED_METRIC_runs_cancelled_total
                                                   : SCHED_METRIC_runs_failed_total,
                1);
}

static void note_move_locked(struct sched_conduct *c, const struct sched_action *move)
{
    struct sched_job *job = cap_map_get(c->jobs, move->run_id);

    cap_log(INFO, "run_moved", "run=%s from=%s to=%s reason=%s", move->run_id,
            sched_state_name(move->from), sched_state_name(move->to), CAP_LOG_Q(move->reason));
    if (job) {
        snprintf(job->phase, sizeof job->phase, "%s",
                 move->to == SCHED_RUN_GRADING ? "grading" : "");
        job->output_tokens_per_s = 0;
    }
    if (!sched_state_ended(move->to))
        return;
    if (job)
        job->ended_at_ms = cap_clock_wall_ms(cap_clock_system());
    count_end(move->to);
}

static void feed_locked(struct sched_conduct *c, const struct sched_event *event)
{
    struct sched_actions actions = {0};

    sched_step(c->state, event, cap_clock_ms(cap_clock_system()), &actions);
    for (size_t i = 0; i < actions.count; i++)
        if (actions.list[i].kind == SCHED_NOTE_MOVE)
            note_move_locked(c, &actions.list[i]);
        else
            hand_over_locked(c, &actions.list[i]);
    if (actions.count > 0 || event->kind == SCHED_ANSWERS_STORED || event->kind == SCHED_GRADED ||
        event->kind == SCHED_RUN_ADDED) {
        c->version++;
        pthread_cond_broadcast(&c->changed);
    }
    sched_actions_done(&actions);
}

void sched_conduct_event(struct sched_conduct *c, const struct sched_event *event)
{
    pthread_mutex_lock(&c->lock);
    if (!c->stopping)
        feed_locked(c, event);
    pthread_mutex_unlock(&c->lock);
}

/* Ended runs are kept for those who watch; the store has them anyway. */
static void forget_old_locked(struct sched_conduct *c)
{
    for (size_t i = 0; cap_map_count(c->jobs) > ENDED_KEPT_MAX && i < cap_map_count(c->jobs); i++) {
        struct sched_job *job = cap_map_value_at(c->jobs, i);

        if (job->ended_at_ms == 0)
            continue;
        sched_forget(c->state, job->run_id);
        cap_map_remove(c->jobs, job->run_id);
        sched_job_free(job);
    }
}

void sched_conduct_add(struct sched_conduct *c, struct sched_job *job, const struct sched_run *run)
{
    struct sched_event event = {.kind = SCHED_RUN_ADDED, .run = run};

    pthread_mutex_lock(&c->lock);
    if (cap_map_get(c->jobs, job->run_id)) {
        sched_job_free(job);
    } else {
        forget_old_locked(c);
        cap_map_put(c->jobs, job->run_id, job);
        feed_locked(c, &event);
    }
    pthread_mutex_unlock(&c->lock);
}

bool sched_conduct_knows(struct sched_conduct *c, const char *run_id)
{
    bool known;

    pthread_mutex_lock(&c->lock);
    known = cap_map_get(c->jobs, run_id) != NULL;
    pthread_mutex_unlock(&c->lock);
    return known;
}

void sched_conduct_note(struct sched_conduct *c, const char *node_id, const char *run_id,
                        const char *phase, double output_tokens_per_s)
{
    const struct sched_run *run;
    struct sched_job *job;

    pthread_mutex_lock(&c->lock);
    job = cap_map_get(c->jobs, run_id);
    run = sched_find_run(c->state, run_id);
    if (job && run && strcmp(run->node_id, node_id) == 0) {
        snprintf(job->phase, sizeof job->phase, "%s", phase);
        job->output_tokens_per_s = output_tokens_per_s;
        c->version++;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- time ---- */

bool sched_conduct_pause(struct sched_conduct *c, int64_t wait_ms)
{
    bool stopping = false;

    for (int64_t left = wait_ms; left > 0 && !stopping; left -= SLICE_MS) {
        cap_sleep_ms(left < SLICE_MS ? left : SLICE_MS);
        pthread_mutex_lock(&c->lock);
        stopping = c->stopping;
        pthread_mutex_unlock(&c->lock);
    }
    return !stopping;
}

/* False when the store is away. */
static bool sweep(struct sched_conduct *c)
{
    struct sched_lost *lost = NULL;
    struct cap_err err = {0};
    size_t count = 0;

    if (!sched_outside_sweep(&c->options.outside, &lost, &count, &err)) {
        cap_log(DEBUG, "sweep_failed", "reason=%s", CAP_LOG_Q(err.text));
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sched_event event = {
            .kind = SCHED_LEASE_LOST, .run_id = lost[i].run_id, .fence = lost[i].fence};

        sched_conduct_event(c, &event);
    }
    free(lost);
    return true;
}

/* While the store or this program is away no lease can be renewed. When both are there, nodes get
 * the time to do so before anything is taken from them. */
static void *tick(void *argument)
{
    struct sched_conduct *c = argument;
    const struct sched_event event = {.kind = SCHED_TICK};
    int64_t sweep_after_ms = cap_clock_ms(cap_clock_system()) + c->options.lease_ms;

    while (sched_conduct_pause(c, c->options.tick_ms)) {
        int64_t now_ms = cap_clock_ms(cap_clock_system());

        sched_conduct_event(c, &event);
        if (now_ms < sweep_after_ms && sched_outside_reach(&c->options.outside))
            continue;
        if (now_ms < sweep_after_ms || !sweep(c))
            sweep_after_ms = cap_clock_ms(cap_clock_system()) + c->options.lease_ms;
    }
    return NULL;
}

/* ---- life ---- */

struct sched_conduct *sched_conduct_new(const struct sched_conduct_options *options)
{
    struct sched_conduct *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->options = *options;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->state = sched_state_new(&options->policy);
    c->jobs = cap_map_new();
    for (int i = 0; i < SCHED_LANE_COUNT; i++) {
        struct sched_lane *lane = &c->lanes[i];

        lane->conduct = c;
        lane->tail = &lane->head;
        lane->thread_max = lane_threads[i];
        pthread_cond_init(&lane->came, NULL);
    }
    if (pthread_create(&c->ticker, NULL, tick, c) != 0)
        abort();
    return c;
}

void sched_conduct_stop(struct sched_conduct *c)
{
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    for (int i = 0; i < SCHED_LANE_COUNT; i++)
        pthread_cond_broadcast(&c->lanes[i].came);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->ticker, NULL);
    for (int i = 0; i < SCHED_LANE_COUNT; i++)
        for (; c->lanes[i].thread_count > 0; c->lanes[i].thread_count--)
            pthread_join(c->lanes[i].threads[c->lanes[i].thread_count - 1], NULL);
}

static void free_lane(struct sched_lane *lane)
{
    while (lane->head) {
        struct sched_task *next = lane->head->next;

        free(lane->head);
        lane->head = next;
    }
    pthread_cond_destroy(&lane->came);
}

void sched_conduct_free(struct sched_conduct *c)
{
    if (!c)
        return;
    for (int i = 0; i < SCHED_LANE_COUNT; i++)
        free_lane(&c->lanes[i]);
    for (size_t i = 0; i < cap_map_count(c->jobs); i++)
        sched_job_free(cap_map_value_at(c->jobs, i));
    cap_map_free(c->jobs);
    sched_state_free(c->state);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c);
}
