/* What people see of runs and nodes: copies made under the lock. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "dispatcher_inside.h"

static bool matches(const struct sched_run *run, const char *id)
{
    if (!*id)
        return !sched_state_ended(run->state);
    return strcmp(run->id, id) == 0 || strcmp(run->evaluation_id, id) == 0;
}

static void fill_view_locked(struct sched_dispatcher *d, const struct sched_run *run,
                             struct sched_view *out)
{
    struct sched_job *job = cap_map_get(d->jobs, run->id);

    __atomic_add_fetch(&job->references, 1, __ATOMIC_ACQ_REL);
    *out = (struct sched_view){.job = job,
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

struct place {
    const char *run_id;
    uint32_t position;
};

static int by_id(const void *left, const void *right)
{
    return strcmp(((const struct place *)left)->run_id, ((const struct place *)right)->run_id);
}

static void set_positions_locked(struct sched_dispatcher *d, struct sched_view *views, size_t count)
{
    size_t total = sched_run_count(d->state), queued;
    CAP_AUTO_MEM const struct sched_run **order = calloc(total + 1, sizeof *order);
    CAP_AUTO_MEM struct place *places = calloc(total + 1, sizeof *places);

    if (!order || !places)
        abort();
    queued = sched_order(d->state, cap_clock_ms(cap_clock_system()), order, total);
    for (size_t i = 0; i < queued; i++)
        places[i] = (struct place){order[i]->id, (uint32_t)i + 1};
    qsort(places, queued, sizeof *places, by_id);
    for (size_t i = 0; i < count; i++) {
        const struct place key = {views[i].run.id, 0};
        const struct place *found = bsearch(&key, places, queued, sizeof *places, by_id);

        views[i].position = found ? found->position : 0;
    }
}

static int by_position(const void *left, const void *right)
{
    const struct sched_view *a = left, *b = right;

    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    if (a->queued_at_ms != b->queued_at_ms)
        return a->queued_at_ms < b->queued_at_ms ? -1 : 1;
    return strcmp(a->run.id, b->run.id);
}

size_t sched_dispatcher_views(struct sched_dispatcher *d, const char *id, struct sched_view **out)
{
    struct sched_view *views;
    size_t count = 0;

    pthread_mutex_lock(&d->lock);
    views = calloc(cap_map_count(d->jobs) + 1, sizeof *views);
    if (!views)
        abort();
    for (size_t i = 0; i < cap_map_count(d->jobs); i++) {
        const struct sched_run *run = sched_find_run(d->state, cap_map_key_at(d->jobs, i));

        if (run && matches(run, id))
            fill_view_locked(d, run, &views[count++]);
    }
    set_positions_locked(d, views, count);
    pthread_mutex_unlock(&d->lock);
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
