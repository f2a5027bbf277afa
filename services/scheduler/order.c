/* Which run comes next, and which node can run it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "state.h"

/* ---- capability ---- */

static bool has(const char *const *list, const char *name)
{
    for (; list && *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static bool has_engine(const struct sched_node *node, const struct sched_needs *needs)
{
    return has(node->engines, needs->engine);
}

static bool has_precision(const struct sched_node *node, const struct sched_needs *needs)
{
    return !needs->model_on_node || !*needs->precision || has(node->precisions, needs->precision);
}

static bool has_device(const struct sched_node *node, const struct sched_needs *needs)
{
    return strcmp(needs->device, "cuda") != 0 || node->has_cuda;
}

static bool has_model(const struct sched_node *node, const struct sched_needs *needs)
{
    if (!needs->model_on_node || has(node->models, needs->model))
        return true;
    return *needs->model == '/' && node->any_model_path;
}

bool sched_can_run(const struct sched_node *node, const struct sched_needs *needs)
{
    return has_engine(node, needs) && has_precision(node, needs) && has_device(node, needs) &&
           has_model(node, needs);
}

/* One requirement after the other: the first that no node (of those still left) meets is the
 * reason. */
void sched_why_none(const struct sched_state *state, const struct sched_needs *needs,
                    char out[SCHED_REASON_BYTES])
{
    const struct {
        bool (*meets)(const struct sched_node *, const struct sched_needs *);
        const char *what, *value;
    } checks[] = {{has_engine, "engine", needs->engine},
                  {has_precision, "precision", needs->precision},
                  {has_device, "device", needs->device},
                  {has_model, "model", needs->model}};
    size_t total = cap_map_count(state->nodes);

    out[0] = '\0';
    if (total == 0) {
        snprintf(out, SCHED_REASON_BYTES, "no node is connected");
        return;
    }
    for (size_t upto = 1; upto <= CAP_COUNT_OF(checks); upto++) {
        size_t left = 0;

        for (size_t i = 0; i < total; i++) {
            const struct sched_node *node = cap_map_value_at(state->nodes, i);
            bool all = true;

            for (size_t k = 0; k < upto; k++)
                all = all && checks[k].meets(node, needs);
            left += all;
        }
        if (left == 0) {
            snprintf(out, SCHED_REASON_BYTES, "no connected node has %s \"%s\"%s",
                     checks[upto - 1].what, checks[upto - 1].value,
                     upto > 1 ? " together with what comes before it" : "");
            return;
        }
    }
}

void sched_waiting_for(const struct sched_state *state, const struct sched_run *run, int64_t now_ms,
                       char out[SCHED_REASON_BYTES])
{
    sched_why_none(state, &run->needs, out);
    if (*out)
        return;
    if (run->not_before_ms > now_ms)
        snprintf(out, SCHED_REASON_BYTES, "retry in %lld s after: %.400s",
                 (long long)(run->not_before_ms - now_ms + 999) / 1000, run->reason);
    else
        snprintf(out, SCHED_REASON_BYTES, "a free node");
}

/* ---- order ---- */

static int64_t level(const struct sched_state *state, const struct sched_run *run, int64_t now_ms)
{
    int64_t waited = now_ms - run->queued_at_ms;

    return run->priority + (waited > 0 ? waited / state->policy.ageing_ms : 0);
}

static int active_runs(const struct sched_state *state, const char *submitter)
{
    int active = 0;

    for (size_t i = 0; i < cap_map_count(state->runs); i++) {
        const struct sched_run *run = cap_map_value_at(state->runs, i);

        active +=
            strcmp(run->submitter, submitter) == 0 &&
            (run->leasing || run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING);
    }
    return active;
}

struct rank {
    const struct sched_run *run;
    int64_t level, served_ms;
    int active;
};

static int compare_ranks(const void *left, const void *right)
{
    const struct rank *a = left, *b = right;

    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    if (a->active != b->active)
        return a->active < b->active ? -1 : 1;
    if (a->served_ms != b->served_ms)
        return a->served_ms < b->served_ms ? -1 : 1;
    if (a->run->queued_at_ms != b->run->queued_at_ms)
        return a->run->queued_at_ms < b->run->queued_at_ms ? -1 : 1;
    return strcmp(a->run->id, b->run->id);
}

size_t sched_order(const struct sched_state *state, int64_t now_ms, const struct sched_run **out,
                   size_t room)
{
    size_t total = cap_map_count(state->runs), count = 0;
    CAP_AUTO_MEM struct rank *ranks = calloc(total + 1, sizeof *ranks);

    if (!ranks)
        abort();
    for (size_t i = 0; i < total; i++) {
        const struct sched_run *run = cap_map_value_at(state->runs, i);
        const struct served *served = cap_map_get(state->last_served, run->submitter);

        if (run->state == SCHED_RUN_QUEUED && !run->leasing)
            ranks[count++] =
                (struct rank){run, level(state, run, now_ms), served ? served->at_ms : 0,
                              active_runs(state, run->submitter)};
    }
    qsort(ranks, count, sizeof *ranks, compare_ranks);
    for (size_t i = 0; i < count && i < room; i++)
        out[i] = ranks[i].run;
    return count < room ? count : room;
}
