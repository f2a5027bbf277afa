/* One event in, the state changed, actions out: nothing else happens here. */
#include "step.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

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

static void set_reason(char *out, const char *reason)
{
    snprintf(out, SCHED_REASON_BYTES, "%s", reason ? reason : "");
}

static struct sched_action *add_action(struct step *s, enum sched_action_kind kind,
                                       const char *run_id, const char *node_id, uint64_t fence)
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
    *action = (struct sched_action){.kind = kind, .fence = fence};
    snprintf(action->run_id, sizeof action->run_id, "%s", run_id);
    snprintf(action->node_id, sizeof action->node_id, "%s", node_id);
    return action;
}

static struct sched_action *act(struct step *s, enum sched_action_kind kind,
                                const struct sched_run *run)
{
    return add_action(s, kind, run->id, run->node_id, run->fence);
}

static void add_move(struct step *s, enum sched_action_kind kind, const struct sched_run *run,
                     enum sched_run_state to, const char *reason)
{
    struct sched_action *action = act(s, kind, run);

    action->from = run->state;
    action->to = to;
    set_reason(action->reason, reason);
}

/* The only writer of run->state. `told`: the store must hear of it; other moves it makes itself. */
static void move(struct step *s, struct sched_run *run, enum sched_run_state to, bool told,
                 const char *reason)
{
    char text[SCHED_REASON_BYTES]; /* `reason` may be run->reason itself */

    assert(sched_may_move(run->state, to));
    set_reason(text, reason);
    add_move(s, SCHED_NOTE_MOVE, run, to, text);
    if (told)
        add_move(s, SCHED_DO_MOVE, run, to, text);
    set_reason(run->reason, text);
    run->state = to;
}

static struct sched_run *find_run(const struct step *s, const char *run_id)
{
    return run_id ? cap_map_get(s->state->runs, run_id) : NULL;
}

static struct sched_node *find_node(const struct step *s, const char *node_id)
{
    return node_id ? cap_map_get(s->state->nodes, node_id) : NULL;
}

static bool is_active(const struct sched_run *run)
{
    return run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING;
}

/* The run of the event, if the lease it speaks of is the one that the run has. */
static struct sched_run *run_under_fence(const struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);

    return run && is_active(run) && run->fence == s->event->fence ? run : NULL;
}

/* Of a lease that outlived a scheduler it is not known yet who holds it. */
static bool may_be_held_by(const struct sched_run *run, const char *node_id)
{
    return node_id && (!*run->node_id || strcmp(run->node_id, node_id) == 0);
}

/* ---- the node's side ---- */

static void set_idle(struct sched_node *node)
{
    node->run_id[0] = '\0';
    node->fence = 0;
    node->stopping = false;
}

/* The run is no longer this node's; a node that was told to stop is idle only when it says so. */
static void leave_node(struct step *s, struct sched_run *run)
{
    struct sched_node *node = find_node(s, run->node_id);

    if (node && strcmp(node->run_id, run->id) == 0 && !node->stopping)
        set_idle(node);
    run->node_id[0] = '\0';
}

static void send_stop(struct step *s, struct sched_node *node, const char *run_id, uint64_t fence,
                      const char *reason)
{
    snprintf(node->run_id, sizeof node->run_id, "%s", run_id);
    node->fence = fence;
    node->stopping = true;
    set_reason(add_action(s, SCHED_DO_STOP, run_id, node->id, fence)->reason, reason);
}

static void stop_run(struct step *s, const struct sched_run *run, const char *reason)
{
    struct sched_node *node = find_node(s, run->node_id);

    if (node && strcmp(node->run_id, run->id) == 0)
        send_stop(s, node, run->id, run->fence, reason);
}

/* The node holds what it should not. When it has been given something else meanwhile, that
 * assignment is on its way and will replace this one; a Stop could end it, on a node that is too
 * old to look at the fence. */
static void evict(struct step *s, struct sched_node *node, const char *run_id, uint64_t fence,
                  const char *reason)
{
    if (!*node->run_id || (node->stopping && strcmp(node->run_id, run_id) == 0))
        send_stop(s, node, run_id, fence, reason);
}

/* ---- giving work ---- */

static bool lease_to(struct step *s, struct sched_run *run)
{
    for (size_t i = 0; i < cap_map_count(s->state->nodes); i++) {
        struct sched_node *node = cap_map_value_at(s->state->nodes, i);

        if (*node->run_id || !node->ready || !sched_can_run(node, &run->needs))
            continue;
        snprintf(node->run_id, sizeof node->run_id, "%s", run->id);
        snprintf(run->node_id, sizeof run->node_id, "%s", node->id);
        run->leasing = true;
        sched_share_of(s->state->shares, run->submitter)->served_ms = s->now_ms;
        act(s, SCHED_DO_LEASE, run);
        return true;
    }
    return false;
}

static bool is_due(const struct step *s, const struct sched_run *run)
{
    return run->state == SCHED_RUN_QUEUED && !run->leasing && run->not_before_ms <= s->now_ms;
}

/* Is there a run for which some node is idle? Asked before the queue is put in order, which takes
 * longer, and mostly in vain. */
static bool has_work(const struct step *s)
{
    const struct cap_map *nodes = s->state->nodes, *runs = s->state->runs;

    for (size_t i = 0; i < cap_map_count(nodes); i++) {
        const struct sched_node *node = cap_map_value_at(nodes, i);

        if (*node->run_id || !node->ready)
            continue;
        for (size_t k = 0; k < cap_map_count(runs); k++) {
            const struct sched_run *run = cap_map_value_at(runs, k);

            if (is_due(s, run) && sched_can_run(node, &run->needs))
                return true;
        }
    }
    return false;
}

/* Leases what idle nodes can take. The order is made anew after each, for fair share. */
static void give_work(struct step *s)
{
    size_t total = cap_map_count(s->state->runs);
    CAP_AUTO_MEM const struct sched_run **order = NULL;
    bool again = s->now_ms >= s->state->store_away_until;

    if (!again || !has_work(s))
        return;
    order = calloc(total + 1, sizeof *order);
    if (!order)
        abort();
    while (again && has_work(s)) {
        size_t count = sched_order(s->state, s->now_ms, order, total);

        again = false;
        for (size_t i = 0; i < count && !again; i++) {
            struct sched_run *run = find_run(s, order[i]->id);

            again = is_due(s, run) && lease_to(s, run);
        }
    }
}

/* Back to the queue, or failed when this was the last attempt. `released`: the store knows already.
 */
static void try_again(struct step *s, struct sched_run *run, bool released, const char *reason)
{
    char text[SCHED_REASON_BYTES];

    if (run->fruitless >= s->state->policy.attempts_max) {
        snprintf(text, sizeof text, "given up after %d attempts that stored nothing, the last: %s",
                 run->fruitless, reason);
        move(s, run, SCHED_RUN_FAILED, true, text);
    } else {
        if (!released)
            set_reason(act(s, SCHED_DO_RELEASE, run)->reason, reason);
        move(s, run, SCHED_RUN_QUEUED, false, reason);
        run->not_before_ms = s->now_ms + s->state->policy.retry_ms;
    }
    leave_node(s, run);
}

static void end_run(struct step *s, struct sched_run *run, enum sched_run_state to,
                    const char *reason)
{
    move(s, run, to, true, reason);
    leave_node(s, run);
}

/* ---- grading ---- */

static void start_grading(struct step *s, struct sched_run *run)
{
    if (run->state != SCHED_RUN_GRADING || run->grading || run->finishing)
        return;
    run->grading = true;
    act(s, SCHED_DO_GRADE, run);
}

static void on_graded(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);

    if (!run || run->state != SCHED_RUN_GRADING || run->finishing)
        return;
    run->graded = s->event->count;
    if (!s->event->final)
        return;
    run->grading = false;
    run->finishing = true;
    act(s, SCHED_DO_FINISH, run);
}

static void on_grading_failed(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);

    if (!run || run->state != SCHED_RUN_GRADING)
        return;
    run->grading = run->finishing = false;
    if (run->cancelling)
        end_run(s, run, SCHED_RUN_CANCELLED, run->reason);
    else if (s->event->final)
        end_run(s, run, SCHED_RUN_FAILED, s->event->reason);
    else
        start_grading(s, run);
}

/* A cancel that comes after the summary is stored has come too late. */
static void on_run_done(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);

    if (!run || run->state != SCHED_RUN_GRADING)
        return;
    run->finishing = run->cancelling = false;
    move(s, run, SCHED_RUN_FINISHED, false, "");
}

/* ---- runs that come, and what the store knows better ---- */

static void on_run_added(struct step *s)
{
    struct sched_run *run;

    if (find_run(s, s->event->run->id))
        return;
    run = copy_of(s->event->run, sizeof *run);
    cap_map_put(s->state->runs, run->id, run);
    start_grading(s, run);
}

/* After a refused lease: a reply that was lost may have told us that the run had gone on. */
static void on_store_says(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);
    enum sched_run_state seen = s->event->seen;

    if (!run || run->state != SCHED_RUN_QUEUED || run->leasing)
        return;
    run->answered = s->event->count;
    run->graded = s->event->graded;
    if (seen == SCHED_RUN_GRADING || seen == SCHED_RUN_FINISHED)
        move(s, run, SCHED_RUN_GRADING, false, "");
    if (sched_state_ended(seen))
        move(s, run, seen, false, s->event->reason);
    start_grading(s, run);
}

/* ---- nodes that come, speak and go ---- */

static void on_node_joined(struct step *s)
{
    struct sched_node *node = copy_of(s->event->node, sizeof *node);

    set_idle(node);
    node->ready = node->waits = false;
    node->beat_at_ms = s->now_ms;
    free(cap_map_put(s->state->nodes, node->id, node));
}

static void lose_node(struct step *s, struct sched_node *node, const char *reason)
{
    struct sched_run *run = find_run(s, node->run_id);
    bool has_run = run && is_active(run) && strcmp(run->node_id, node->id) == 0;

    free(cap_map_remove(s->state->nodes, node->id));
    if (has_run) /* one that is being leased comes back as granted, to nobody */
        try_again(s, run, false, reason);
}

static void on_node_left(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);

    if (node && s->event->final)
        free(cap_map_remove(s->state->nodes, node->id));
    else if (node)
        lose_node(s, node, s->event->reason ? s->event->reason : "the node has gone");
}

static void on_tick(struct step *s)
{
    for (size_t i = cap_map_count(s->state->nodes); i > 0; i--) {
        struct sched_node *node = cap_map_value_at(s->state->nodes, i - 1);

        if (node->waits || s->now_ms - node->beat_at_ms <= s->state->policy.silent_ms_max)
            continue;
        set_reason(add_action(s, SCHED_DO_DROP, "", node->id, 0)->reason, "silent for too long");
        lose_node(s, node, "the node fell silent");
    }
}

static void on_node_waits(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);

    if (node)
        node->waits = true;
}

static void on_node_heard(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);

    if (!node)
        return;
    node->beat_at_ms = s->now_ms;
    node->waits = false;
}

/* What the node holds and what we believe it holds, brought together. */
static void compare_leases(struct step *s, struct sched_node *node)
{
    const struct sched_event *event = s->event;
    struct sched_run *run = find_run(s, event->run_id);

    if (!event->run_id) {
        if (node->stopping)
            set_idle(node);
    } else if (!run || run->fence != event->fence) {
        evict(s, node, event->run_id, event->fence, "the lease has ended");
    } else if (is_active(run) && !*run->node_id && !*node->run_id &&
               (!*run->holder || strcmp(run->holder, node->name) == 0)) {
        /* it went on while the scheduler was away */
        run->adopted = true;
        snprintf(run->node_id, sizeof run->node_id, "%s", node->id);
        snprintf(node->run_id, sizeof node->run_id, "%s", run->id);
        node->fence = run->fence;
    } else if (run->state != SCHED_RUN_GRADING && run->state != SCHED_RUN_FINISHED &&
               !(is_active(run) && strcmp(run->node_id, node->id) == 0)) {
        evict(s, node, event->run_id, event->fence, *run->reason ? run->reason : "not yours");
    } /* else it is in order; of a complete run the acknowledgement is on its way */
}

static void on_beat(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);

    if (!node)
        return;
    node->beat_at_ms = s->now_ms;
    node->ready = true;
    compare_leases(s, node);
}

static void on_node_stopped(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run = run_under_fence(s);

    if (!node || strcmp(node->run_id, s->event->run_id) != 0 || node->fence != s->event->fence)
        return;
    set_idle(node);
    if (run && strcmp(run->node_id, node->id) == 0)
        try_again(s, run, false, "the node stopped by itself");
}

/* ---- leases ---- */

static void on_lease_granted(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);
    struct sched_node *node;

    s->state->store_reason[0] = '\0';
    if (!run || !run->leasing)
        return;
    run->leasing = run->adopted = false;
    run->fence = s->event->fence;
    run->attempts++;
    run->fruitless++;
    node = find_node(s, run->node_id);
    if (run->cancelling) {
        char reason[SCHED_REASON_BYTES];

        set_reason(reason, run->reason);
        move(s, run, SCHED_RUN_LEASED, false, "");
        end_run(s, run, SCHED_RUN_CANCELLED, reason);
        return;
    }
    move(s, run, SCHED_RUN_LEASED, false, "");
    if (!node || strcmp(node->run_id, run->id) != 0) {
        try_again(s, run, false, "the node has gone");
        return;
    }
    node->fence = run->fence;
    act(s, SCHED_DO_ASSIGN, run);
}

static void on_lease_refused(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);

    if (!run || !run->leasing)
        return;
    run->leasing = false;
    leave_node(s, run);
    run->not_before_ms = s->now_ms + s->state->policy.retry_ms;
    if (s->event->away)
        s->state->store_away_until = run->not_before_ms;
    set_reason(s->state->store_reason, s->event->away ? s->event->reason : "");
    if (run->cancelling) {
        move(s, run, SCHED_RUN_CANCELLED, true, run->reason);
        return;
    }
    set_reason(run->reason, s->event->reason);
    if (s->event->final)
        move(s, run, SCHED_RUN_FAILED, true, s->event->reason);
}

static void on_lease_lost(struct step *s)
{
    struct sched_run *run = run_under_fence(s);

    if (!run)
        return;
    stop_run(s, run, "the lease has ended");
    try_again(s, run, true, "the lease has ended: no beat came in time");
}

/* ---- the shard ---- */

static void on_answers_stored(struct step *s)
{
    struct sched_run *run = run_under_fence(s);

    if (!run)
        return;
    if (s->event->count > run->answered)
        run->fruitless = 0;
    run->answered = s->event->count;
    if (run->state == SCHED_RUN_LEASED)
        move(s, run, SCHED_RUN_RUNNING, false, "");
    if (!s->event->final)
        return;
    move(s, run, SCHED_RUN_GRADING, false, "");
    leave_node(s, run);
    start_grading(s, run);
}

static void end_attempt(struct step *s, struct sched_run *run)
{
    if (s->event->final)
        end_run(s, run, SCHED_RUN_FAILED, s->event->reason);
    else
        try_again(s, run, false, s->event->reason);
}

/* The node has let go of the shard by itself: it is idle, whatever becomes of the run. */
static void on_shard_failed(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run = run_under_fence(s);

    if (node && strcmp(node->run_id, s->event->run_id) == 0 && node->fence == s->event->fence)
        set_idle(node);
    if (run && may_be_held_by(run, s->event->node_id))
        end_attempt(s, run);
}

static void on_shard_refused(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run = run_under_fence(s);

    if (run && may_be_held_by(run, s->event->node_id)) {
        stop_run(s, run, s->event->reason);
        end_attempt(s, run);
    } else if (node) {
        evict(s, node, s->event->run_id, s->event->fence, s->event->reason);
    }
}

/* ---- cancel ---- */

static void on_cancel(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);
    const char *reason = s->event->reason && *s->event->reason ? s->event->reason : "cancelled";

    if (!run || sched_state_ended(run->state) || run->cancelling)
        return;
    if (run->leasing || run->finishing) {
        /* the store is being asked; what it answers decides */
        run->cancelling = true;
        set_reason(run->reason, reason);
        return;
    }
    if (is_active(run)) /* the store ends the lease with the move */
        stop_run(s, run, reason);
    end_run(s, run, SCHED_RUN_CANCELLED, reason);
}

/* ---- the step ---- */

static const struct {
    void (*handle)(struct step *);
    bool frees; /* may make work or a node available; the frequent ones do not */
} handlers[SCHED_EVENT_COUNT] = {
    [SCHED_RUN_ADDED] = {on_run_added, true},
    [SCHED_NODE_JOINED] = {on_node_joined, false},
    [SCHED_NODE_LEFT] = {on_node_left, true},
    [SCHED_NODE_BEAT] = {on_beat, true},
    [SCHED_NODE_WAITS] = {on_node_waits, false},
    [SCHED_NODE_HEARD] = {on_node_heard, false},
    [SCHED_TICK] = {on_tick, true},
    [SCHED_LEASE_GRANTED] = {on_lease_granted, true},
    [SCHED_LEASE_REFUSED] = {on_lease_refused, true},
    [SCHED_STORE_SAYS] = {on_store_says, false},
    [SCHED_ANSWERS_STORED] = {on_answers_stored, true},
    [SCHED_SHARD_FAILED] = {on_shard_failed, true},
    [SCHED_SHARD_REFUSED] = {on_shard_refused, true},
    [SCHED_LEASE_LOST] = {on_lease_lost, true},
    [SCHED_NODE_STOPPED] = {on_node_stopped, true},
    [SCHED_GRADED] = {on_graded, false},
    [SCHED_GRADING_FAILED] = {on_grading_failed, false},
    [SCHED_RUN_DONE] = {on_run_done, false},
    [SCHED_CANCEL_ASKED] = {on_cancel, true},
};

void sched_step(struct sched_state *state, const struct sched_event *event, int64_t now_ms,
                struct sched_actions *out)
{
    struct step step = {state, event, now_ms, out};

    handlers[event->kind].handle(&step);
    if (handlers[event->kind].frees)
        give_work(&step);
}
