#include "step.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

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
    state->last_served = cap_map_new();
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
    free_values(state->runs);
    free_values(state->nodes);
    free_values(state->last_served);
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

/* ---- the working set of one step ---- */

struct step {
    struct sched_state *state;
    const struct sched_event *event;
    int64_t now_ms;
    struct sched_actions *out;
};

static void *copy_of(const void *data, size_t size)
{
    void *copy = malloc(size);

    if (!copy)
        abort();
    return memcpy(copy, data, size);
}

static struct sched_action *act(struct step *s, enum sched_action_kind kind,
                                const struct sched_run *run)
{
    struct sched_actions *out = s->out;
    struct sched_action *action;

    if (out->count == out->capacity) {
        out->capacity = out->capacity ? out->capacity * 2 : 8;
        out->list = realloc(out->list, out->capacity * sizeof *out->list);
        if (!out->list)
            abort();
    }
    action = &out->list[out->count++];
    *action = (struct sched_action){.kind = kind, .fence = run->fence};
    snprintf(action->run_id, sizeof action->run_id, "%s", run->id);
    snprintf(action->node_id, sizeof action->node_id, "%s", run->node_id);
    return action;
}

static void set_reason(char *out, const char *reason)
{
    snprintf(out, SCHED_REASON_BYTES, "%s", reason ? reason : "");
}

/* The only writer of run->state. `told`: the store must hear of it; other moves it makes itself. */
static void move(struct step *s, struct sched_run *run, enum sched_run_state to, bool told,
                 const char *reason)
{
    assert(sched_may_move(run->state, to));
    set_reason(run->reason, reason);
    if (told) {
        struct sched_action *action = act(s, SCHED_DO_MOVE, run);

        action->from = run->state;
        action->to = to;
        set_reason(action->reason, reason);
    }
    run->state = to;
}

static struct sched_run *run_of(const struct step *s)
{
    return s->event->run_id ? cap_map_get(s->state->runs, s->event->run_id) : NULL;
}

static struct sched_node *node_of(const struct step *s)
{
    return s->event->node_id ? cap_map_get(s->state->nodes, s->event->node_id) : NULL;
}

static bool is_active(const struct sched_run *run)
{
    return run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING;
}

static bool belongs_to(const struct sched_run *run, const char *node_id)
{
    return node_id && strcmp(run->node_id, node_id) == 0;
}

/* The node is free again; while a Stop is on its way it is not. */
static void free_node(struct step *s, const char *node_id, const char *run_id)
{
    struct sched_node *node = cap_map_get(s->state->nodes, node_id);

    if (node && strcmp(node->run_id, run_id) == 0 && !node->stopping)
        node->run_id[0] = '\0';
}

static void stop_node(struct step *s, const struct sched_run *run, const char *reason)
{
    struct sched_node *node = cap_map_get(s->state->nodes, run->node_id);

    if (!node || strcmp(node->run_id, run->id) != 0)
        return;
    node->stopping = true;
    set_reason(act(s, SCHED_DO_STOP, run)->reason, reason);
}

/* ---- giving work ---- */

static void note_served(struct step *s, const char *submitter)
{
    struct served *served = cap_map_get(s->state->last_served, submitter);

    if (!served) {
        served = copy_of(&(struct served){0}, sizeof *served);
        cap_map_put(s->state->last_served, submitter, served);
    }
    served->at_ms = s->now_ms;
}

static bool lease_to(struct step *s, struct sched_run *run)
{
    for (size_t i = 0; i < cap_map_count(s->state->nodes); i++) {
        struct sched_node *node = cap_map_value_at(s->state->nodes, i);

        if (*node->run_id || !sched_can_run(node, &run->needs))
            continue;
        snprintf(node->run_id, sizeof node->run_id, "%s", run->id);
        snprintf(run->node_id, sizeof run->node_id, "%s", node->id);
        run->leasing = true;
        note_served(s, run->submitter);
        act(s, SCHED_DO_LEASE, run);
        return true;
    }
    return false;
}

static size_t idle_nodes(const struct sched_state *state)
{
    size_t idle = 0;

    for (size_t i = 0; i < cap_map_count(state->nodes); i++)
        idle += !*((const struct sched_node *)cap_map_value_at(state->nodes, i))->run_id;
    return idle;
}

/* Leases what idle nodes can take. The order is made anew after each, for fair share. */
static void give_work(struct step *s)
{
    size_t total = cap_map_count(s->state->runs);
    CAP_AUTO_MEM const struct sched_run **order = NULL;
    bool again = total > 0 && idle_nodes(s->state) > 0;

    if (!again)
        return;
    order = calloc(total, sizeof *order);
    if (!order)
        abort();
    while (again && idle_nodes(s->state) > 0) {
        size_t count = sched_order(s->state, s->now_ms, order, total);

        again = false;
        for (size_t i = 0; i < count && !again; i++) {
            struct sched_run *run = cap_map_get(s->state->runs, order[i]->id);

            again = run->not_before_ms <= s->now_ms && !run->cancelling && lease_to(s, run);
        }
    }
}

/* Back to the queue, or failed when this was the last attempt. `released`: the store knows already.
 */
static void try_again(struct step *s, struct sched_run *run, bool released, const char *reason)
{
    char text[SCHED_REASON_BYTES];

    if (run->attempts >= s->state->policy.attempts_max) {
        snprintf(text, sizeof text, "given up after %d attempts, the last: %.420s", run->attempts,
                 reason);
        move(s, run, SCHED_RUN_FAILED, true, text);
    } else {
        if (!released)
            set_reason(act(s, SCHED_DO_RELEASE, run)->reason, reason);
        move(s, run, SCHED_RUN_QUEUED, false, reason);
        run->not_before_ms = s->now_ms + s->state->policy.retry_ms;
    }
    free_node(s, run->node_id, run->id);
    run->node_id[0] = '\0';
}

static void end_cancelled(struct step *s, struct sched_run *run)
{
    char reason[SCHED_REASON_BYTES];

    set_reason(reason, run->reason);
    move(s, run, SCHED_RUN_CANCELLED, true, reason);
    free_node(s, run->node_id, run->id);
    run->node_id[0] = '\0';
}

/* ---- events ---- */

static void start_grading(struct step *s, struct sched_run *run)
{
    if (run->state != SCHED_RUN_GRADING || run->grading || run->finishing)
        return;
    run->grading = true;
    act(s, SCHED_DO_GRADE, run);
}

static void on_run_added(struct step *s)
{
    struct sched_run *run;

    if (cap_map_get(s->state->runs, s->event->run->id))
        return;
    run = copy_of(s->event->run, sizeof *run);
    cap_map_put(s->state->runs, run->id, run);
    start_grading(s, run);
}

static void on_node_joined(struct step *s)
{
    struct sched_node *node = copy_of(s->event->node, sizeof *node);

    node->beat_at_ms = s->now_ms;
    free(cap_map_put(s->state->nodes, node->id, node));
}

static void lose_node(struct step *s, struct sched_node *node, const char *reason)
{
    struct sched_run *run = cap_map_get(s->state->runs, node->run_id);
    char id[CAP_ID_BYTES];

    memcpy(id, node->id, sizeof id);
    free(cap_map_remove(s->state->nodes, id));
    if (!run || !belongs_to(run, id) || !is_active(run))
        return; /* a lease still being asked for comes back as granted, to nobody */
    if (run->cancelling)
        end_cancelled(s, run);
    else
        try_again(s, run, false, reason);
}

static void on_node_left(struct step *s)
{
    struct sched_node *node = node_of(s);

    if (node)
        lose_node(s, node, s->event->reason ? s->event->reason : "the node has gone");
}

static void on_tick(struct step *s)
{
    for (size_t i = cap_map_count(s->state->nodes); i > 0; i--) {
        struct sched_node *node = cap_map_value_at(s->state->nodes, i - 1);

        if (s->now_ms - node->beat_at_ms > s->state->policy.silent_ms_max)
            lose_node(s, node, "the node fell silent");
    }
}

static void on_lease_granted(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (!run || !run->leasing)
        return;
    run->leasing = false;
    run->fence = s->event->fence;
    run->attempts++;
    move(s, run, SCHED_RUN_LEASED, false, "");
    if (run->cancelling) {
        set_reason(run->reason, "cancelled while it was being leased");
        end_cancelled(s, run);
    } else if (!cap_map_get(s->state->nodes, run->node_id)) {
        try_again(s, run, false, "the node has gone");
    } else {
        act(s, SCHED_DO_ASSIGN, run);
    }
}

static void on_lease_refused(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (!run || !run->leasing)
        return;
    run->leasing = false;
    free_node(s, run->node_id, run->id);
    run->node_id[0] = '\0';
    set_reason(run->reason, s->event->reason);
    run->not_before_ms = s->now_ms + s->state->policy.retry_ms;
    if (run->cancelling)
        move(s, run, SCHED_RUN_CANCELLED, true, "cancelled");
    else if (s->event->final)
        move(s, run, SCHED_RUN_FAILED, true, s->event->reason);
}

static void on_answers_stored(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (!run || !is_active(run) || s->event->fence != run->fence)
        return;
    run->answered = s->event->count;
    if (run->state == SCHED_RUN_LEASED)
        move(s, run, SCHED_RUN_RUNNING, false, "");
    if (!s->event->final)
        return;
    move(s, run, SCHED_RUN_GRADING, false, "");
    free_node(s, run->node_id, run->id);
    run->node_id[0] = '\0';
    if (run->cancelling)
        move(s, run, SCHED_RUN_CANCELLED, true, "cancelled when every answer was stored");
    else
        start_grading(s, run);
}

static void on_shard_failed(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (!run || !is_active(run) || !belongs_to(run, s->event->node_id))
        return;
    if (run->cancelling) {
        end_cancelled(s, run);
    } else if (s->event->final) {
        move(s, run, SCHED_RUN_FAILED, true, s->event->reason);
        free_node(s, run->node_id, run->id);
        run->node_id[0] = '\0';
    } else {
        try_again(s, run, false, s->event->reason);
    }
}

static void on_lease_lost(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (!run || !is_active(run) || s->event->fence != run->fence)
        return;
    stop_node(s, run, "the lease has ended");
    if (run->cancelling)
        end_cancelled(s, run);
    else
        try_again(s, run, true, "the lease has ended: the node was silent for too long");
}

static void on_node_stopped(struct step *s)
{
    struct sched_node *node = node_of(s);

    if (!node)
        return;
    node->stopping = false;
    node->run_id[0] = '\0';
}

static void on_graded(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (!run || run->state != SCHED_RUN_GRADING)
        return;
    run->graded = s->event->count;
    if (!s->event->final || run->finishing)
        return;
    run->grading = false;
    run->finishing = true;
    act(s, SCHED_DO_FINISH, run);
}

static void on_grading_failed(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (!run || run->state != SCHED_RUN_GRADING)
        return;
    run->grading = run->finishing = false;
    if (s->event->final)
        move(s, run, SCHED_RUN_FAILED, true, s->event->reason);
    else
        start_grading(s, run);
}

static void on_run_done(struct step *s)
{
    struct sched_run *run = run_of(s);

    if (run && run->state == SCHED_RUN_GRADING)
        move(s, run, SCHED_RUN_FINISHED, false, "");
}

static void on_cancel(struct step *s)
{
    struct sched_run *run = run_of(s);
    const char *reason = s->event->reason && *s->event->reason ? s->event->reason : "cancelled";

    if (!run || sched_state_ended(run->state) || run->cancelling)
        return;
    run->cancelling = true;
    if (is_active(run)) {
        /* the store ends the lease with the move; the node is free when it says so */
        stop_node(s, run, reason);
        set_reason(run->reason, reason);
        end_cancelled(s, run);
    } else if (!run->leasing) {
        move(s, run, SCHED_RUN_CANCELLED, true, reason);
    } else {
        set_reason(run->reason, reason);
    }
}

static void on_beat(struct step *s)
{
    struct sched_node *node = node_of(s);

    if (node)
        node->beat_at_ms = s->now_ms;
}

void sched_step(struct sched_state *state, const struct sched_event *event, int64_t now_ms,
                struct sched_actions *out)
{
    static void (*const handlers[])(struct step *) = {
        [SCHED_RUN_ADDED] = on_run_added,
        [SCHED_NODE_JOINED] = on_node_joined,
        [SCHED_NODE_LEFT] = on_node_left,
        [SCHED_NODE_BEAT] = on_beat,
        [SCHED_TICK] = on_tick,
        [SCHED_LEASE_GRANTED] = on_lease_granted,
        [SCHED_LEASE_REFUSED] = on_lease_refused,
        [SCHED_ANSWERS_STORED] = on_answers_stored,
        [SCHED_SHARD_FAILED] = on_shard_failed,
        [SCHED_LEASE_LOST] = on_lease_lost,
        [SCHED_NODE_STOPPED] = on_node_stopped,
        [SCHED_GRADED] = on_graded,
        [SCHED_GRADING_FAILED] = on_grading_failed,
        [SCHED_RUN_DONE] = on_run_done,
        [SCHED_CANCEL_ASKED] = on_cancel,
    };
    struct step step = {state, event, now_ms, out};

    handlers[event->kind](&step);
    give_work(&step);
}
