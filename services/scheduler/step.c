/* One event in, the state changed, actions out: nothing else happens here.
 *
 * What it guarantees, whatever events come, late, twice or never:
 *
 *   - A run's state changes in move() alone, along the moves of sched_may_move(), and comes to one
 *     end. A run that has not ended is in exactly one place (state.h).
 *   - A node has at most one run, and the run says the same: run->node_id and node->run_id agree,
 *     but for a node that is told to stop; that one keeps the name of what it has to let go of.
 *   - An event that speaks of a lease carries its fence. One that is not the fence the run has now
 *     changes nothing.
 *   - After each step no idle node could take a run that may be leased now, unless the store is
 *     away.
 *
 * Who holds a run. The store is asked for a lease (leasing), grants it (leased), the node is told
 * and gets the prompts, batches are stored (running), the last batch is stored (grading), verdicts
 * and summary are stored. What ends a lease before that: the node leaves, falls silent, lets go,
 * says in its beats for too long that it does not hold the run, or stores nothing for too long; the
 * store takes the lease away; or somebody cancels. Then the run waits again, or has ended.
 *
 * Whose fault it is. An attempt that stored nothing counts against the run (attempts_max in a row).
 * What ends a node twice in the same phase, or fails twice with the same sentence of a server that
 * does not answer, is the run's own doing: it fails with that reason, and others go on. While the
 * store does not take a node's answers (waits), neither silence nor standing still is the node's.
 */
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
    sched_queue_place(s->state, run, s->now_ms);
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

static void set_idle(struct step *s, struct sched_node *node)
{
    node->run_id[0] = '\0';
    node->fence = 0;
    node->stopping = false;
    sched_queue_place_node(s->state, node);
}

/* The run is no longer this node's; a node that was told to stop is idle only when it says so. */
static void leave_node(struct step *s, struct sched_run *run)
{
    struct sched_node *node = find_node(s, run->node_id);

    if (node && strcmp(node->run_id, run->id) == 0 && !node->stopping)
        set_idle(s, node);
    run->node_id[0] = '\0';
}

static void send_stop(struct step *s, struct sched_node *node, const char *run_id, uint64_t fence,
                      const char *reason)
{
    snprintf(node->run_id, sizeof node->run_id, "%s", run_id);
    node->fence = fence;
    node->stopping = true;
    node->stop_sent_ms = s->now_ms;
    sched_queue_place_node(s->state, node);
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
    bool again = node->stopping && strcmp(node->run_id, run_id) == 0;

    /* a node that goes on beating with it is told again, but not with every beat: it may not read
     */
    if (again && node->fence == fence && s->now_ms - node->stop_sent_ms < s->state->policy.retry_ms)
        return;
    if (!*node->run_id || again)
        send_stop(s, node, run_id, fence, reason);
}

/* ---- giving work ---- */

static void lease_to(struct step *s, struct sched_node *node, struct sched_run *run)
{
    snprintf(node->run_id, sizeof node->run_id, "%s", run->id);
    snprintf(run->node_id, sizeof run->node_id, "%s", node->id);
    run->line->share->served_ms = s->now_ms;
    run->leasing = true;
    sched_queue_place(s->state, run, s->now_ms);
    sched_queue_place_node(s->state, node);
    act(s, SCHED_DO_LEASE, run);
}

/* Leases what idle nodes can take: only those that may see something new (state.h). */
static void give_work(struct step *s)
{
    bool away = s->now_ms < s->state->store_away_until;
    struct sched_node *node;

    sched_queue_wake_due(s->state, s->now_ms);
    if (!away && s->state->store_was_away)
        sched_queue_wake_all(s->state);
    s->state->store_was_away = away;
    while ((node = sched_queue_next_woken(s->state)) != NULL) {
        struct sched_run *run = away ? NULL : sched_queue_best(s->state, node, s->now_ms);

        if (!run)
            continue;
        lease_to(s, node, run);
        sched_queue_pass_on(s->state, node);
    }
}

/* Back to the queue, or failed when this was the last attempt. `released`: the store knows. */
static void try_again(struct step *s, struct sched_run *run, bool released, const char *reason)
{
    char text[SCHED_REASON_BYTES];

    if (run->fruitless >= s->state->policy.attempts_max) {
        snprintf(text, sizeof text, "failed after %d attempts: %s", run->fruitless, reason);
        move(s, run, SCHED_RUN_FAILED, true, text);
    } else {
        if (!released)
            set_reason(act(s, SCHED_DO_RELEASE, run)->reason, reason);
        run->not_before_ms = s->now_ms + s->state->policy.retry_ms;
        move(s, run, SCHED_RUN_QUEUED, false, reason);
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

/* A cancel that comes after the summary is stored has come too late. A run of which no sample
 * completed has a summary, and is not a measurement. */
static void on_run_done(struct step *s)
{
    struct sched_run *run = find_run(s, s->event->run_id);
    bool invalid = s->event->reason && *s->event->reason;

    if (!run || run->state != SCHED_RUN_GRADING)
        return;
    run->finishing = run->cancelling = false;
    move(s, run, invalid ? SCHED_RUN_INVALID : SCHED_RUN_FINISHED, false,
         invalid ? s->event->reason : "");
}

/* ---- runs that come, and what the store knows better ---- */

static void on_run_added(struct step *s)
{
    struct sched_run *run;

    if (find_run(s, s->event->run->id))
        return;
    run = copy_of(s->event->run, sizeof *run);
    run->progress_at_ms = s->now_ms;
    cap_map_put(s->state->runs, run->id, run);
    sched_queue_add(s->state, run, s->now_ms);
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

static void forget_node(struct step *s, struct sched_node *node)
{
    s->state->nodes_version++;
    if (!node)
        return;
    sched_queue_remove_node(s->state, node);
    free(cap_map_remove(s->state->nodes, node->id));
}

static void on_node_joined(struct step *s)
{
    struct sched_node *node = copy_of(s->event->node, sizeof *node);

    node->run_id[0] = '\0';
    node->fence = 0;
    node->stopping = node->ready = node->waits = node->idle = node->woken = false;
    node->number = ++s->state->nodes_joined;
    node->beat_at_ms = s->now_ms;
    forget_node(s, find_node(s, node->id));
    cap_map_put(s->state->nodes, node->id, node);
}

/* The run that is this node's, as both say; one that is being leased comes back as granted, to
 * nobody. */
static struct sched_run *run_of(const struct step *s, const struct sched_node *node)
{
    struct sched_run *run = find_run(s, node->run_id);

    return run && is_active(run) && strcmp(run->node_id, node->id) == 0 ? run : NULL;
}

/* Whatever ends a node twice is counted against the run that the node had: what it said it was
 * doing was the same, and nothing was stored between. One that had not begun says nothing. */
static bool ends_nodes(struct sched_run *run)
{
    if (!*run->phase)
        return false;
    run->nodes_ended = strcmp(run->ended_phase, run->phase) == 0 ? run->nodes_ended + 1 : 1;
    memcpy(run->ended_phase, run->phase, sizeof run->ended_phase);
    return run->nodes_ended >= SCHED_ENDINGS_MAX;
}

static void on_node_left(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    const char *reason = s->event->reason ? s->event->reason : "the node has gone";
    struct sched_run *run = node ? run_of(s, node) : NULL;
    char text[SCHED_REASON_BYTES];

    forget_node(s, node);
    if (!run || s->event->final)
        return;
    if (ends_nodes(run)) {
        snprintf(text, sizeof text, "the node ended twice while it ran this (%s)", run->phase);
        end_run(s, run, SCHED_RUN_FAILED, text);
    } else {
        try_again(s, run, false, reason);
    }
}

static void lose_silent_nodes(struct step *s)
{
    for (size_t i = cap_map_count(s->state->nodes); i > 0; i--) {
        struct sched_node *node = cap_map_value_at(s->state->nodes, i - 1);

        if (node->waits || s->now_ms - node->beat_at_ms <= s->state->policy.silent_ms_max)
            continue;
        struct sched_run *run = run_of(s, node);

        set_reason(add_action(s, SCHED_DO_DROP, "", node->id, 0)->reason, "silent for too long");
        forget_node(s, node);
        if (run)
            try_again(s, run, false, "the node fell silent");
    }
}

/* Nobody holds a run for ever: not a node that beats and delivers nothing, nor one that does not
 * come back with the lease that it had from an earlier scheduler. */
static void check_progress(struct step *s, struct sched_run *run)
{
    const struct sched_policy *policy = &s->state->policy;
    const struct sched_node *node = find_node(s, run->node_id);
    int64_t since_ms = s->now_ms - run->progress_at_ms;
    char text[SCHED_REASON_BYTES];

    if (!is_active(run))
        return;
    if (!*run->node_id) {
        if (policy->claim_ms_max > 0 && since_ms > policy->claim_ms_max)
            try_again(s, run, false, "its node has not come back");
    } else if (run->prompted && node && !node->waits && policy->progress_ms_max > 0 &&
               since_ms > policy->progress_ms_max) {
        snprintf(text, sizeof text, "the node has delivered nothing for %lld s (progress_s_max)",
                 (long long)since_ms / 1000);
        stop_run(s, run, text);
        try_again(s, run, false, text);
    }
}

static void on_tick(struct step *s)
{
    struct sched_run *run = NULL, *next;

    lose_silent_nodes(s);
    for (run = cap_sorted_after(s->state->busy, NULL); run; run = next) {
        next = cap_sorted_after(s->state->busy, run);
        check_progress(s, run);
    }
}

static void set_waits(struct step *s, struct sched_node *node, bool waits)
{
    s->state->nodes_version += node->waits != waits;
    node->waits = waits;
}

static void on_node_waits(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);

    if (node)
        set_waits(s, node, true);
}

static void on_node_heard(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run;

    if (!node)
        return;
    node->beat_at_ms = s->now_ms;
    set_waits(s, node, false);
    if ((run = run_of(s, node)) != NULL)
        run->progress_at_ms = s->now_ms;
}

static void on_node_says(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run = node ? run_of(s, node) : NULL;

    if (run && strcmp(run->id, s->event->run_id) == 0)
        snprintf(run->phase, sizeof run->phase, "%s", s->event->reason);
}

/* We believe that the node has a run, and for too long it has not named it: an assignment on its
 * way takes a moment, not that long. */
static void miss_run(struct step *s, struct sched_node *node)
{
    struct sched_run *run = run_of(s, node);

    if (run && run->told && s->now_ms - run->named_at_ms > s->state->policy.silent_ms_max)
        try_again(s, run, false, "the node does not hold the run");
}

/* What the node holds and what we believe it holds, brought together. */
static void compare_leases(struct step *s, struct sched_node *node)
{
    const struct sched_event *event = s->event;
    struct sched_run *run = find_run(s, event->run_id);

    if (!event->run_id) {
        if (node->stopping)
            set_idle(s, node);
    } else if (!run || run->fence != event->fence) {
        evict(s, node, event->run_id, event->fence, "the lease has ended");
    } else if (is_active(run) && !*run->node_id && !*node->run_id &&
               (!*run->holder || strcmp(run->holder, node->name) == 0)) {
        /* it went on while the scheduler was away */
        run->adopted = run->told = run->prompted = true;
        run->named_at_ms = run->progress_at_ms = s->now_ms;
        snprintf(run->node_id, sizeof run->node_id, "%s", node->id);
        snprintf(node->run_id, sizeof node->run_id, "%s", run->id);
        node->fence = run->fence;
        sched_queue_place_node(s->state, node);
    } else if (run->state != SCHED_RUN_GRADING && run->state != SCHED_RUN_FINISHED &&
               !(is_active(run) && strcmp(run->node_id, node->id) == 0)) {
        evict(s, node, event->run_id, event->fence, *run->reason ? run->reason : "not yours");
    } /* else it is in order; of a complete run the acknowledgement is on its way */
}

static void on_beat(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run;

    if (!node)
        return;
    node->beat_at_ms = s->now_ms;
    node->ready = true;
    run = run_of(s, node);
    if (run && s->event->run_id && strcmp(run->id, s->event->run_id) == 0 &&
        run->fence == s->event->fence)
        run->named_at_ms = s->now_ms;
    else
        miss_run(s, node);
    compare_leases(s, node);
    sched_queue_place_node(s->state, node);
}

static void on_node_stopped(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run = run_under_fence(s);

    if (!node || strcmp(node->run_id, s->event->run_id) != 0 || node->fence != s->event->fence)
        return;
    set_idle(s, node);
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
    run->told = run->prompted = false;
    run->progress_at_ms = s->now_ms;
    run->phase[0] = '\0';
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

static void on_assign_sent(struct step *s)
{
    struct sched_run *run = run_under_fence(s);

    if (!run)
        return;
    run->told = true;
    run->prompted = s->event->final;
    run->named_at_ms = run->progress_at_ms = s->now_ms;
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
    else
        sched_queue_place(s->state, run, s->now_ms);
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
        run->fruitless = run->nodes_ended = run->same_failures = 0;
    run->progress_at_ms = s->now_ms;
    run->answered = s->event->count;
    if (run->state == SCHED_RUN_LEASED)
        move(s, run, SCHED_RUN_RUNNING, false, "");
    if (!s->event->final)
        return;
    move(s, run, SCHED_RUN_GRADING, false, "");
    leave_node(s, run);
    start_grading(s, run);
}

/* The beginning of a sentence without its numbers: "not ready after 9 s" is "not ready after 10 s".
 */
static void keep_words(const char *text, char out[SCHED_FAILURE_BYTES])
{
    size_t length = 0;

    for (; *text && length < SCHED_FAILURE_BYTES - 1; text++)
        if (*text < '0' || *text > '9')
            out[length++] = *text;
    out[length] = '\0';
}

/* A server that does not answer is given another chance, not five: each takes the node's time. */
static bool fails_the_same(const struct step *s, struct sched_run *run)
{
    char failure[SCHED_FAILURE_BYTES];

    if (!s->event->away)
        return false;
    keep_words(s->event->reason, failure);
    run->same_failures = strcmp(run->last_failure, failure) == 0 ? run->same_failures + 1 : 1;
    memcpy(run->last_failure, failure, sizeof run->last_failure);
    return run->same_failures >= SCHED_ENDINGS_MAX;
}

static void end_attempt(struct step *s, struct sched_run *run)
{
    char text[SCHED_REASON_BYTES];

    if (s->event->final) {
        end_run(s, run, SCHED_RUN_FAILED, s->event->reason);
    } else if (fails_the_same(s, run)) {
        snprintf(text, sizeof text, "failed after %d attempts: %s", run->same_failures,
                 s->event->reason);
        end_run(s, run, SCHED_RUN_FAILED, text);
    } else {
        try_again(s, run, false, s->event->reason);
    }
}

/* The node has let go of the shard by itself: it is idle, whatever becomes of the run. */
static void on_shard_failed(struct step *s)
{
    struct sched_node *node = find_node(s, s->event->node_id);
    struct sched_run *run = run_under_fence(s);

    if (node && strcmp(node->run_id, s->event->run_id) == 0 && node->fence == s->event->fence)
        set_idle(s, node);
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

static void (*const handlers[SCHED_EVENT_COUNT])(struct step *) = {
    [SCHED_RUN_ADDED] = on_run_added,           [SCHED_NODE_JOINED] = on_node_joined,
    [SCHED_NODE_LEFT] = on_node_left,           [SCHED_NODE_BEAT] = on_beat,
    [SCHED_NODE_WAITS] = on_node_waits,         [SCHED_NODE_HEARD] = on_node_heard,
    [SCHED_NODE_SAYS] = on_node_says,           [SCHED_TICK] = on_tick,
    [SCHED_LEASE_GRANTED] = on_lease_granted,   [SCHED_LEASE_REFUSED] = on_lease_refused,
    [SCHED_ASSIGN_SENT] = on_assign_sent,       [SCHED_STORE_SAYS] = on_store_says,
    [SCHED_ANSWERS_STORED] = on_answers_stored, [SCHED_SHARD_FAILED] = on_shard_failed,
    [SCHED_SHARD_REFUSED] = on_shard_refused,   [SCHED_LEASE_LOST] = on_lease_lost,
    [SCHED_NODE_STOPPED] = on_node_stopped,     [SCHED_GRADED] = on_graded,
    [SCHED_GRADING_FAILED] = on_grading_failed, [SCHED_RUN_DONE] = on_run_done,
    [SCHED_CANCEL_ASKED] = on_cancel,
};

void sched_step(struct sched_state *state, const struct sched_event *event, int64_t now_ms,
                struct sched_actions *out)
{
    struct step step = {state, event, now_ms, out};

    handlers[event->kind](&step);
    give_work(&step);
}
