#include "conduct.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/map.h"
#include "log/log.h"
#include "metrics.h"

enum { EXECUTORS_MAX = 32, ENDED_KEPT_MAX = 4096 };

struct task { /* an action that waits for an executor */
    struct task *next;
    struct sched_action action;
};

struct sched_conduct {
    struct sched_conduct_options options;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t work_came, changed;
    struct sched_state *state;
    struct cap_map *jobs; /* run id -> job, also of ended runs, the oldest forgotten first */
    struct task *head, **tail;
    int idle, executor_count;
    pthread_t executors[EXECUTORS_MAX], ticker;
    uint64_t version;
    bool stopping;
};

static void *execute(void *argument);

/* ---- feeding ---- */

static void add_executor_locked(struct sched_conduct *c)
{
    if (pthread_create(&c->executors[c->executor_count], NULL, execute, c) == 0)
        c->executor_count++;
}

static void queue_actions_locked(struct sched_conduct *c, const struct sched_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        struct task *task = calloc(1, sizeof *task);

        if (!task)
            abort();
        task->action = actions->list[i];
        *c->tail = task;
        c->tail = &task->next;
        if (c->idle <= (int)i && c->executor_count < EXECUTORS_MAX)
            add_executor_locked(c);
    }
    pthread_cond_broadcast(&c->work_came);
}

static void note_end_locked(struct sched_conduct *c, const struct sched_run *run, bool ended_before)
{
    struct sched_job *job = run ? cap_map_get(c->jobs, run->id) : NULL;

    if (!job || ended_before || !sched_state_ended(run->state))
        return;
    job->ended_at_ms = cap_clock_wall_ms(cap_clock_system());
    job->phase[0] = '\0';
    sched_count(run->state == SCHED_RUN_FINISHED    ? SCHED_METRIC_runs_finished_total
                : run->state == SCHED_RUN_CANCELLED ? SCHED_METRIC_runs_cancelled_total
                                                    : SCHED_METRIC_runs_failed_total,
                1);
    cap_log(INFO, "run_ended", "run=%s state=%s reason=%s", run->id, sched_state_name(run->state),
            CAP_LOG_Q(run->reason));
}

static void feed_locked(struct sched_conduct *c, const struct sched_event *event)
{
    struct sched_actions actions = {0};
    const struct sched_run *run = event->run_id ? sched_find_run(c->state, event->run_id) : NULL;
    bool ended_before = run && sched_state_ended(run->state);

    sched_step(c->state, event, cap_clock_ms(cap_clock_system()), &actions);
    queue_actions_locked(c, &actions);
    sched_actions_done(&actions);
    note_end_locked(c, run, ended_before);
    c->version++;
    pthread_cond_broadcast(&c->changed);
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

void sched_conduct_note(struct sched_conduct *c, const char *run_id, const char *phase,
                        double output_tokens_per_s)
{
    struct sched_job *job;

    pthread_mutex_lock(&c->lock);
    job = cap_map_get(c->jobs, run_id);
    if (job && job->ended_at_ms == 0) {
        snprintf(job->phase, sizeof job->phase, "%s", phase);
        job->output_tokens_per_s = output_tokens_per_s;
        c->version++;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- carrying out ---- */

static struct sched_job *hold_job(struct sched_conduct *c, const char *run_id)
{
    struct sched_job *job;

    pthread_mutex_lock(&c->lock);
    job = cap_map_get(c->jobs, run_id);
    if (job)
        __atomic_add_fetch(&job->references, 1, __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(&c->lock);
    return job;
}

/* The pause between two tries; false when the program ends. */
static bool pause_before_retry(struct sched_conduct *c, const char *what, const char *run_id,
                               const struct cap_err *err)
{
    bool stopping;

    sched_count(SCHED_METRIC_store_retries_total, 1);
    cap_log(WARN, "retry", "what=%s run=%s reason=%s", what, run_id, CAP_LOG_Q(err->text));
    for (int64_t left = c->options.policy.retry_ms; left > 0; left -= 50) {
        cap_sleep_ms(left < 50 ? left : 50);
        pthread_mutex_lock(&c->lock);
        stopping = c->stopping;
        pthread_mutex_unlock(&c->lock);
        if (stopping)
            return false;
    }
    return true;
}

static bool may_pass(const struct cap_err *err)
{
    return cap_code_retryable(err->code) || err->code == CAP_DEADLINE_EXCEEDED ||
           err->code == CAP_CANCELLED || err->code == CAP_UNKNOWN;
}

static bool run_is(struct sched_conduct *c, const char *run_id, enum sched_run_state a,
                   enum sched_run_state b)
{
    const struct sched_run *run;
    bool is;

    pthread_mutex_lock(&c->lock);
    run = sched_find_run(c->state, run_id);
    is = run && (run->state == a || run->state == b) && !c->stopping;
    pthread_mutex_unlock(&c->lock);
    return is;
}

static void keep_grant(struct sched_conduct *c, struct sched_job *job, const char *node_name,
                       const struct sched_grant *grant)
{
    pthread_mutex_lock(&c->lock);
    free(job->ordinals_left);
    job->ordinals_left = grant->ordinals_left;
    job->ordinal_count = grant->ordinal_count;
    job->seq_next = grant->seq_next;
    job->shard_total = grant->total;
    job->resumed = grant->attempt > 1 && grant->ordinal_count < grant->total;
    snprintf(job->node_name, sizeof job->node_name, "%s", node_name);
    snprintf(job->phase, sizeof job->phase, "assigned");
    if (job->started_at_ms == 0)
        job->started_at_ms = cap_clock_wall_ms(cap_clock_system());
    pthread_mutex_unlock(&c->lock);
}

static void do_lease(struct sched_conduct *c, struct sched_job *job, const struct sched_action *a)
{
    struct sched_event event = {
        .kind = SCHED_LEASE_REFUSED, .run_id = a->run_id, .node_id = a->node_id};
    char node_name[SCHED_NAME_BYTES] = "";
    const struct sched_node *node;
    struct sched_grant grant;
    struct cap_err err = {0};

    pthread_mutex_lock(&c->lock);
    node = sched_find_node(c->state, a->node_id);
    if (node)
        memcpy(node_name, node->name, sizeof node_name);
    pthread_mutex_unlock(&c->lock);
    if (sched_outside_lease(&c->options.outside, a->run_id, a->node_id, node_name,
                            c->options.lease_ms, &grant, &err)) {
        keep_grant(c, job, node_name, &grant);
        sched_count(SCHED_METRIC_leases_total, 1);
        cap_log(INFO, "leased", "run=%s node=%s fence=%llu left=%zu", a->run_id, node_name,
                (unsigned long long)grant.fence, grant.ordinal_count);
        event.kind = SCHED_LEASE_GRANTED;
        event.fence = grant.fence;
    } else {
        cap_log(WARN, "lease_refused", "run=%s node=%s reason=%s", a->run_id, node_name,
                CAP_LOG_Q(err.text));
        event.final = err.code == CAP_NOT_FOUND;
        event.reason = err.text;
    }
    sched_conduct_event(c, &event);
}

struct wanted {
    struct sched_conduct *conduct;
    const struct sched_action *action;
};

/* Does this node still have this run under this fence? */
static bool still_wanted(void *argument)
{
    const struct wanted *w = argument;
    struct sched_conduct *c = w->conduct;
    const struct sched_run *run;
    bool yes;

    pthread_mutex_lock(&c->lock);
    run = sched_find_run(c->state, w->action->run_id);
    yes = run && !c->stopping && run->fence == w->action->fence &&
          (run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING);
    pthread_mutex_unlock(&c->lock);
    return yes;
}

static void do_assign(struct sched_conduct *c, struct sched_job *job, const struct sched_action *a)
{
    struct sched_event event = {
        .kind = SCHED_SHARD_FAILED, .run_id = a->run_id, .node_id = a->node_id};
    struct wanted wanted = {c, a};
    struct sched_link *link;
    struct cap_rpc_call *call = sched_link_use(c->options.links, a->node_id, &link);
    struct cap_err err = {0};

    if (!call)
        return; /* its leaving is an event of its own */
    if (!c->options.assign(&c->options.outside, call, job, a->fence, c->options.prompt_batch,
                           still_wanted, &wanted, &err) &&
        still_wanted(&wanted)) {
        cap_log(WARN, "assign_failed", "run=%s reason=%s", a->run_id, CAP_LOG_Q(err.text));
        c->options.stop_shard(call, a->run_id, err.text);
        event.reason = err.text;
        event.final = !may_pass(&err);
        sched_conduct_event(c, &event);
    }
    sched_link_done(c->options.links, link);
}

static void do_stop(struct sched_conduct *c, const struct sched_action *a)
{
    struct sched_link *link;
    struct cap_rpc_call *call = sched_link_use(c->options.links, a->node_id, &link);

    if (!call)
        return;
    c->options.stop_shard(call, a->run_id, a->reason);
    sched_link_done(c->options.links, link);
}

static void do_release(struct sched_conduct *c, const struct sched_action *a)
{
    struct cap_err err = {0};

    while (!sched_outside_release(&c->options.outside, a->run_id, a->fence, a->reason, &err)) {
        if (!may_pass(&err) || !pause_before_retry(c, "release", a->run_id, &err))
            return; /* the sweep takes it when its time is over */
        cap_err_clear(&err);
    }
}

static void do_move(struct sched_conduct *c, const struct sched_action *a)
{
    struct cap_err err = {0};

    while (!sched_outside_move(&c->options.outside, a->run_id, a->from, a->to, a->reason, &err)) {
        if (!may_pass(&err)) {
            cap_log(ERROR, "move_refused", "run=%s to=%s reason=%s", a->run_id,
                    sched_state_name(a->to), CAP_LOG_Q(err.text));
            return;
        }
        if (!pause_before_retry(c, "move", a->run_id, &err))
            return;
        cap_err_clear(&err);
    }
}

static void fail_grading(struct sched_conduct *c, const char *run_id, const struct cap_err *err)
{
    const struct sched_event event = {
        .kind = SCHED_GRADING_FAILED, .run_id = run_id, .reason = err->text, .final = true};

    sched_conduct_event(c, &event);
}

static void do_grade(struct sched_conduct *c, struct sched_job *job, const struct sched_action *a)
{
    struct sched_event event = {.kind = SCHED_GRADED, .run_id = a->run_id};

    while (!event.final && run_is(c, a->run_id, SCHED_RUN_GRADING, SCHED_RUN_GRADING)) {
        struct cap_err err = {0};
        uint32_t graded;
        bool all;

        if (sched_outside_grade(&c->options.outside, job, &graded, &all, &err)) {
            event.count = graded;
            event.final = all;
            sched_conduct_event(c, &event);
        } else if (!may_pass(&err)) {
            fail_grading(c, a->run_id, &err);
            return;
        } else if (!pause_before_retry(c, "grade", a->run_id, &err)) {
            return;
        }
    }
}

static void do_finish(struct sched_conduct *c, struct sched_job *job, const struct sched_action *a)
{
    const struct sched_event done = {.kind = SCHED_RUN_DONE, .run_id = a->run_id};
    struct cap_err err = {0};

    while (!sched_outside_finish(&c->options.outside, job, &err)) {
        if (!may_pass(&err)) {
            fail_grading(c, a->run_id, &err);
            return;
        }
        if (!run_is(c, a->run_id, SCHED_RUN_GRADING, SCHED_RUN_GRADING) ||
            !pause_before_retry(c, "finish", a->run_id, &err))
            return;
        cap_err_clear(&err);
    }
    sched_conduct_event(c, &done);
}

static void carry_out(struct sched_conduct *c, const struct sched_action *a)
{
    CAP_AUTO(sched_job) job = hold_job(c, a->run_id);

    if (!job)
        return;
    switch (a->kind) {
    case SCHED_DO_LEASE:
        do_lease(c, job, a);
        break;
    case SCHED_DO_ASSIGN:
        do_assign(c, job, a);
        break;
    case SCHED_DO_STOP:
        do_stop(c, a);
        break;
    case SCHED_DO_RELEASE:
        do_release(c, a);
        break;
    case SCHED_DO_GRADE:
        do_grade(c, job, a);
        break;
    case SCHED_DO_FINISH:
        do_finish(c, job, a);
        break;
    case SCHED_DO_MOVE:
        do_move(c, a);
        break;
    }
}

static struct task *next_task_locked(struct sched_conduct *c)
{
    struct task *task;

    while (!c->head && !c->stopping) {
        c->idle++;
        pthread_cond_wait(&c->work_came, &c->lock);
        c->idle--;
    }
    if (c->stopping)
        return NULL;
    task = c->head;
    c->head = task->next;
    if (!c->head)
        c->tail = &c->head;
    return task;
}

static void *execute(void *argument)
{
    struct sched_conduct *c = argument;
    struct task *task;

    pthread_mutex_lock(&c->lock);
    while ((task = next_task_locked(c)) != NULL) {
        pthread_mutex_unlock(&c->lock);
        carry_out(c, &task->action);
        free(task);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- time ---- */

static void sweep(struct sched_conduct *c)
{
    struct sched_lost *lost = NULL;
    struct cap_err err = {0};
    size_t count = 0;

    if (!sched_outside_sweep(&c->options.outside, &lost, &count, &err)) {
        cap_log(DEBUG, "sweep_failed", "reason=%s", CAP_LOG_Q(err.text));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sched_event event = {
            .kind = SCHED_LEASE_LOST, .run_id = lost[i].run_id, .fence = lost[i].fence};

        sched_conduct_event(c, &event);
    }
    free(lost);
}

static void *tick(void *argument)
{
    struct sched_conduct *c = argument;
    const struct sched_event event = {.kind = SCHED_TICK};
    bool stopping = false;

    while (!stopping) {
        for (int64_t left = c->options.tick_ms; left > 0 && !stopping; left -= 50) {
            cap_sleep_ms(left < 50 ? left : 50);
            pthread_mutex_lock(&c->lock);
            stopping = c->stopping;
            pthread_mutex_unlock(&c->lock);
        }
        if (stopping)
            break;
        sched_conduct_event(c, &event);
        sweep(c);
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
    pthread_cond_init(&c->work_came, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->state = sched_state_new(&options->policy);
    c->jobs = cap_map_new();
    c->tail = &c->head;
    if (pthread_create(&c->ticker, NULL, tick, c) != 0)
        abort();
    return c;
}

void sched_conduct_stop(struct sched_conduct *c)
{
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->work_came);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->ticker, NULL);
    for (int i = 0; i < c->executor_count; i++)
        pthread_join(c->executors[i], NULL);
    c->executor_count = 0;
}

void sched_conduct_free(struct sched_conduct *c)
{
    if (!c)
        return;
    while (c->head) {
        struct task *next = c->head->next;

        free(c->head);
        c->head = next;
    }
    for (size_t i = 0; i < cap_map_count(c->jobs); i++)
        sched_job_free(cap_map_value_at(c->jobs, i));
    cap_map_free(c->jobs);
    sched_state_free(c->state);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->work_came);
    pthread_cond_destroy(&c->changed);
    free(c);
}

/* ---- views ---- */

static bool matches(const struct sched_run *run, const char *id)
{
    if (!*id)
        return !sched_state_ended(run->state);
    return strcmp(run->id, id) == 0 || strcmp(run->evaluation_id, id) == 0;
}

static void fill_view_locked(struct sched_conduct *c, const struct sched_run *run,
                             struct sched_view *out)
{
    struct sched_job *job = cap_map_get(c->jobs, run->id);

    __atomic_add_fetch(&job->references, 1, __ATOMIC_ACQ_REL);
    *out = (struct sched_view){.job = job,
                               .run = *run,
                               .queued_at_ms = job->queued_at_ms,
                               .started_at_ms = job->started_at_ms,
                               .ended_at_ms = job->ended_at_ms,
                               .output_tokens_per_s = job->output_tokens_per_s};
    memcpy(out->node, job->node_name, sizeof out->node);
    if (run->state == SCHED_RUN_QUEUED)
        sched_waiting_for(c->state, run, cap_clock_ms(cap_clock_system()), out->phase);
    else
        snprintf(out->phase, sizeof out->phase, "%s", job->phase);
}

static void set_positions_locked(struct sched_conduct *c, struct sched_view *views, size_t count)
{
    size_t total = sched_run_count(c->state);
    CAP_AUTO_MEM const struct sched_run **order = calloc(total + 1, sizeof *order);
    size_t queued;

    if (!order)
        abort();
    queued = sched_order(c->state, cap_clock_ms(cap_clock_system()), order, total);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < queued; k++)
            if (strcmp(views[i].run.id, order[k]->id) == 0)
                views[i].position = (uint32_t)k + 1;
}

static int by_position(const void *left, const void *right)
{
    const struct sched_view *a = left, *b = right;

    return a->position < b->position ? -1 : a->position > b->position;
}

size_t sched_conduct_views(struct sched_conduct *c, const char *id, struct sched_view **out)
{
    struct sched_view *views;
    size_t count = 0;

    pthread_mutex_lock(&c->lock);
    views = calloc(cap_map_count(c->jobs) + 1, sizeof *views);
    if (!views)
        abort();
    for (size_t i = 0; i < cap_map_count(c->jobs); i++) {
        const struct sched_run *run = sched_find_run(c->state, cap_map_key_at(c->jobs, i));

        if (run && matches(run, id))
            fill_view_locked(c, run, &views[count++]);
    }
    set_positions_locked(c, views, count);
    pthread_mutex_unlock(&c->lock);
    if (!*id)
        qsort(views, count, sizeof *views, by_position);
    *out = views;
    return count;
}

void sched_views_free(struct sched_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sched_job_free(views[i].job);
    free(views);
}

void sched_conduct_wait(struct sched_conduct *c, uint64_t *io_version, int64_t wait_ms)
{
    int64_t until = cap_clock_wall_ms(cap_clock_system()) + wait_ms;
    struct timespec deadline = {until / 1000, (until % 1000) * 1000000};

    pthread_mutex_lock(&c->lock);
    while (c->version == *io_version && !c->stopping)
        if (pthread_cond_timedwait(&c->changed, &c->lock, &deadline) != 0)
            break;
    *io_version = c->version;
    pthread_mutex_unlock(&c->lock);
}

void sched_conduct_why_none(struct sched_conduct *c, const struct sched_needs *needs,
                            char out[SCHED_REASON_BYTES])
{
    pthread_mutex_lock(&c->lock);
    sched_why_none(c->state, needs, out);
    pthread_mutex_unlock(&c->lock);
}

void sched_conduct_nodes(struct sched_conduct *c,
                         void (*visit)(void *arg, const struct sched_node *node), void *arg)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < sched_node_count(c->state); i++)
        visit(arg, sched_node_at(c->state, i));
    pthread_mutex_unlock(&c->lock);
}
