/* What people see of runs and nodes: copies made under the lock. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "dispatcher_inside.h"

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
