/* What runs and nodes there are, and which moves a run may make. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* ---- states ---- */

static const char *const state_names[SCHED_RUN_STATE_COUNT] = {
    "queued", "leased", "running", "grading", "finished", "failed", "cancelled", "invalid"};

const char *sched_state_name(enum sched_run_state run_state)
{
    return state_names[run_state];
}

bool sched_state_ended(enum sched_run_state run_state)
{
    return run_state >= SCHED_RUN_FINISHED;
}

bool sched_may_move(enum sched_run_state from, enum sched_run_state to)
{
    static const bool legal[SCHED_RUN_STATE_COUNT][SCHED_RUN_STATE_COUNT] = {
        [SCHED_RUN_QUEUED] = {[SCHED_RUN_LEASED] = true,
                              /* the last answers were stored, but the reply was lost */
                              [SCHED_RUN_GRADING] = true,
                              [SCHED_RUN_FAILED] = true,
                              [SCHED_RUN_CANCELLED] = true,
                              [SCHED_RUN_INVALID] = true},
        [SCHED_RUN_LEASED] = {[SCHED_RUN_QUEUED] = true,
                              [SCHED_RUN_RUNNING] = true,
                              [SCHED_RUN_GRADING] = true,
                              [SCHED_RUN_FAILED] = true,
                              [SCHED_RUN_CANCELLED] = true,
                              [SCHED_RUN_INVALID] = true},
        [SCHED_RUN_RUNNING] = {[SCHED_RUN_QUEUED] = true,
                               [SCHED_RUN_GRADING] = true,
                               [SCHED_RUN_FAILED] = true,
                               [SCHED_RUN_CANCELLED] = true,
                               [SCHED_RUN_INVALID] = true},
        [SCHED_RUN_GRADING] = {[SCHED_RUN_FINISHED] = true,
                               [SCHED_RUN_FAILED] = true,
                               [SCHED_RUN_CANCELLED] = true,
                               [SCHED_RUN_INVALID] = true},
        [SCHED_RUN_FINISHED] = {[SCHED_RUN_INVALID] = true},
    };

    return legal[from][to];
}

/* ---- life ---- */

struct sched_state *sched_state_new(const struct sched_policy *policy)
{
    struct sched_state *state = calloc(1, sizeof *state);

    if (!state)
        abort();
    state->policy = *policy;
    state->runs = cap_map_new();
    state->nodes = cap_map_new();
    state->shares = cap_map_new();
    state->classes = cap_map_new();
    state->buckets = cap_map_new();
    state->later = cap_sorted_new(sched_compare_due);
    state->busy = cap_sorted_new(sched_compare_queued);
    state->idle = cap_sorted_new(sched_compare_joined);
    return state;
}

static void free_values(struct cap_map *map)
{
    for (size_t i = 0; i < cap_map_count(map); i++)
        free(cap_map_value_at(map, i));
    cap_map_free(map);
}

void sched_state_free(struct sched_state *state)
{
    if (!state)
        return;
    sched_queue_free(state);
    free_values(state->runs);
    free_values(state->nodes);
    free_values(state->shares);
    free(state);
}

void sched_actions_done(struct sched_actions *actions)
{
    free(actions->list);
    *actions = (struct sched_actions){0};
}

const struct sched_run *sched_find_run(const struct sched_state *state, const char *run_id)
{
    return cap_map_get(state->runs, run_id);
}

const struct sched_node *sched_find_node(const struct sched_state *state, const char *node_id)
{
    return cap_map_get(state->nodes, node_id);
}

size_t sched_run_count(const struct sched_state *state)
{
    return cap_map_count(state->runs);
}

size_t sched_waiting_count(const struct sched_state *state)
{
    return state->waiting;
}

size_t sched_open_count(const struct sched_state *state)
{
    return state->open;
}

const struct sched_run *sched_busy_after(const struct sched_state *state,
                                         const struct sched_run *run)
{
    return cap_sorted_after(state->busy, run);
}

uint64_t sched_looked_at(const struct sched_state *state)
{
    return state->looked_at;
}

const struct sched_run *sched_run_at(const struct sched_state *state, size_t index)
{
    return cap_map_value_at(state->runs, index);
}

size_t sched_node_count(const struct sched_state *state)
{
    return cap_map_count(state->nodes);
}

const struct sched_node *sched_node_at(const struct sched_state *state, size_t index)
{
    return cap_map_value_at(state->nodes, index);
}

void sched_forget(struct sched_state *state, const char *run_id)
{
    const struct sched_run *run = sched_find_run(state, run_id);

    if (run && sched_state_ended(run->state))
        free(cap_map_remove(state->runs, run_id));
}
