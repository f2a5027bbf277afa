/* The scheduler in its world: what it hears, and how its actions reach whom they are meant for. */
#include "world_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- its actions ---- */

static void check_places(struct world *w)
{
    for (size_t i = 0; i < sched_run_count(w->state); i++) {
        const struct sched_run *run = sched_run_at(w->state, i);
        const struct sched_node *node = sched_find_node(w->state, run->node_id);
        bool active = run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING;

        if (!active && !run->leasing)
            assert_string_equal(run->node_id, "");
        if (active && *run->node_id) {
            assert_non_null(node);
            assert_string_equal(node->run_id, run->id);
            assert_false(node->stopping);
        }
        if (run->grading || run->finishing)
            assert_true(sched_state_ended(run->state) || run->state == SCHED_RUN_GRADING);
        assert_false(run->grading && run->finishing);
    }
    for (size_t i = 0; i < sched_node_count(w->state); i++) {
        const struct sched_node *node = sched_node_at(w->state, i);
        const struct sched_run *run = sched_find_run(w->state, node->run_id);

        if (!*node->run_id || node->stopping)
            continue;
        assert_non_null(run); /* one node, one run, and both say so */
        assert_string_equal(run->node_id, node->id);
    }
}

/* Each run that waits has one position; no idle node was passed over. */
static void check_order(struct world *w)
{
    const struct sched_run *order[RUNS];
    size_t count = sched_order(w->state, w->now, order, RUNS);

    assert_int_equal(count, sched_waiting_count(w->state));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(sched_position(w->state, order[i], w->now), i + 1);
    for (size_t n = 0; n < sched_node_count(w->state); n++) {
        const struct sched_node *node = sched_node_at(w->state, n);

        for (size_t i = 0; i < count && node->ready && !*node->run_id; i++)
            assert_true(order[i]->not_before_ms > w->now || w->now < w->passed_over_until);
    }
}

static void note_move(struct world *w, const struct sched_action *a)
{
    int run = run_index(w, a->run_id);

    assert_int_equal(w->seen[run], a->from);
    assert_true(sched_may_move(a->from, a->to));
    assert_false(sched_state_ended(a->from)); /* exactly one terminal state */
    w->seen[run] = a->to;
}

void feed(struct world *w, const struct sched_event *event)
{
    struct sched_actions actions = {0};

    sched_step(w->state, event, w->now, &actions);
    w->result->steps++;
    for (size_t i = 0; i < actions.count; i++) {
        struct message m = {.kind = M_ACTION, .scheduler = w->scheduler};

        if (actions.list[i].kind == SCHED_NOTE_MOVE) {
            note_move(w, &actions.list[i]);
            continue;
        }
        m.action = actions.list[i];
        push(w, w->now + 1 + upto(w, 40), m);
    }
    sched_actions_done(&actions);
    if (event->kind == SCHED_LEASE_REFUSED && event->away)
        w->passed_over_until = w->now + RETRY_MS;
    check_places(w);
    check_order(w);
}

/* Under the stream's order, as work_rpc.c does: what reaches a node is what is still wanted. */
static void send_down(struct world *w, int index, struct message m)
{
    struct node *node = &w->nodes[index];

    if (!node->heard)
        return;
    node->down_due = (node->down_due > w->now ? node->down_due : w->now) + 1 + upto(w, 30);
    m.node = index;
    m.generation = node->generation;
    push(w, node->down_due, m);
}

static void carry_lease(struct world *w, const struct message *m, bool applied, bool answered)
{
    int index = run_index(w, m->action.run_id);
    struct store_run *run = &w->runs[index];
    bool given = applied && store_lease(w, run);
    struct sched_event event = {.kind = given ? SCHED_LEASE_GRANTED : SCHED_LEASE_REFUSED,
                                .run_id = run->id,
                                .node_id = m->action.node_id,
                                .reason = "refused",
                                .fence = run->fence};

    if (!answered) {
        event.kind = SCHED_LEASE_REFUSED;
        event.away = true;
    }
    feed(w, &event);
    if (answered && !given) {
        struct sched_event says = {.kind = SCHED_STORE_SAYS,
                                   .run_id = run->id,
                                   .seen = run->state,
                                   .count = run->answered,
                                   .graded = run->graded};

        feed(w, &says);
    }
}

static bool still_wanted(struct world *w, const struct sched_action *a)
{
    const struct sched_run *run = sched_find_run(w->state, a->run_id);

    return run && run->fence == a->fence &&
           (run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING);
}

static void carry_grade(struct world *w, const struct message *m)
{
    struct store_run *run = &w->runs[run_index(w, m->action.run_id)];
    struct sched_event event = {.kind = SCHED_GRADED, .run_id = run->id};
    const struct sched_run *known = sched_find_run(w->state, run->id);

    if (known->state != SCHED_RUN_GRADING)
        return;
    assert_int_equal(run->answered, run->total); /* nothing is graded before all is stored */
    if (run->state != SCHED_RUN_GRADING && run->state != SCHED_RUN_FINISHED)
        return;
    run->graded +=
        run->graded < run->total ? 1 + (uint32_t)upto(w, run->total - run->graded - 1) : 0;
    event.count = run->graded;
    event.final = run->graded == run->total;
    feed(w, &event);
    if (!event.final)
        push(w, w->now + 20, *m);
}

static void carry_finish(struct world *w, const struct message *m, bool answered)
{
    struct store_run *run = &w->runs[run_index(w, m->action.run_id)];
    const struct sched_run *known = sched_find_run(w->state, run->id);
    struct sched_event event = {.kind = SCHED_RUN_DONE, .run_id = run->id, .reason = ""};

    if (known->state != SCHED_RUN_GRADING || known->cancelling) {
        /* an earlier try may have been stored: then the cancel is too late */
        if (run->state != SCHED_RUN_FINISHED && run->state != SCHED_RUN_INVALID)
            event.kind = SCHED_GRADING_FAILED;
        else if (run->state == SCHED_RUN_INVALID)
            event.reason = "no sample completed";
        feed(w, &event);
        return;
    }
    assert_int_equal(run->graded, run->total);
    if (run->state == SCHED_RUN_GRADING && chance(w, 5)) {
        event.kind = SCHED_GRADING_FAILED;
        event.reason = "poison";
        event.final = true;
        feed(w, &event);
        return;
    }
    if (run->state == SCHED_RUN_GRADING)
        store_set(run, chance(w, 5) ? SCHED_RUN_INVALID : SCHED_RUN_FINISHED);
    if (run->state == SCHED_RUN_INVALID)
        event.reason = "no sample completed";
    if (!answered)
        push(w, w->now + RETRY_MS, *m);
    else
        feed(w, &event);
}

/* As actions.c does: from where the store has the run, if it may go from there. */
static void carry_move(struct world *w, const struct message *m, bool answered)
{
    struct store_run *run = &w->runs[run_index(w, m->action.run_id)];

    if (run->state != m->action.to && !sched_state_ended(run->state))
        store_set(run, m->action.to);
    if (!answered)
        push(w, w->now + RETRY_MS, *m);
}

static void carry_release(struct world *w, const struct message *m, bool answered)
{
    struct store_run *run = &w->runs[run_index(w, m->action.run_id)];

    if (run->held && run->fence == m->action.fence)
        store_expire(w, run);
    if (!answered)
        push(w, w->now + RETRY_MS, *m);
}

static void close_up(struct world *w, int index, int64_t due)
{
    push(w, due,
         (struct message){.kind = M_LEFT, .node = index, .generation = w->nodes[index].generation});
}

void disconnect(struct world *w, int index)
{
    struct node *node = &w->nodes[index];

    if (!node->connected)
        return;
    node->connected = false;
    close_up(w, index,
             chance(w, 50) ? (node->up_due > w->now ? node->up_due : w->now) + 1
                           : w->now + 1 + upto(w, 20));
    push(w, w->now + 200 + upto(w, 3000), (struct message){.kind = M_CONNECT, .node = index});
}

static void assign(struct world *w, int index, const struct sched_action *a)
{
    struct sched_event sent = {.kind = SCHED_ASSIGN_SENT,
                               .run_id = a->run_id,
                               .node_id = a->node_id,
                               .fence = a->fence,
                               .final = true};

    send_down(
        w, index,
        (struct message){.kind = M_ASSIGN, .run = run_index(w, a->run_id), .fence = a->fence});
    feed(w, &sent);
}

void carry_out(struct world *w, struct message *m)
{
    const struct sched_action *a = &m->action;
    bool away = store_away(w), lost = away && chance(w, 50);
    bool applied = !away || lost, answered = !away;
    int index = node_index(w, a->node_id);

    if (a->kind == SCHED_DO_ASSIGN) {
        if (index >= 0 && still_wanted(w, a))
            assign(w, index, a);
        return;
    }
    if (a->kind == SCHED_DO_STOP) {
        if (index >= 0)
            send_down(w, index, (struct message){.kind = M_STOP, .run = run_index(w, a->run_id)});
        return;
    }
    if (a->kind == SCHED_DO_DROP) {
        if (index >= 0)
            disconnect(w, index);
        return;
    }
    if (lost)
        w->result->lost_replies++;
    if (a->kind == SCHED_DO_LEASE)
        carry_lease(w, m, applied, answered);
    else if (!applied)
        push(w, w->now + RETRY_MS, *m);
    else if (a->kind == SCHED_DO_RELEASE)
        carry_release(w, m, answered);
    else if (a->kind == SCHED_DO_MOVE)
        carry_move(w, m, answered);
    else if (a->kind == SCHED_DO_GRADE)
        carry_grade(w, m);
    else if (a->kind == SCHED_DO_FINISH)
        carry_finish(w, m, answered);
}

void carry_orphan(struct world *w, const struct message *m)
{
    struct store_run *run = &w->runs[run_index(w, m->action.run_id)];

    if (store_away(w) || chance(w, 50))
        return;
    if (m->action.kind == SCHED_DO_LEASE)
        store_lease(w, run);
    else if (m->action.kind == SCHED_DO_RELEASE && run->held && run->fence == m->action.fence)
        store_expire(w, run);
}

/* ---- what a node says, at the scheduler ---- */

static const char *const engines[] = {"null", NULL};

static void hear_hello(struct world *w, const struct message *m)
{
    struct node *node = &w->nodes[m->node];
    struct sched_node joined = {.engines = engines};
    struct sched_event event = {.kind = SCHED_NODE_JOINED, .node = &joined};

    node->heard = true;
    node->blocked_until = 0;
    memcpy(joined.id, node->id, sizeof joined.id);
    snprintf(joined.name, sizeof joined.name, "n%d", m->node);
    feed(w, &event);
}

static void hear_beat(struct world *w, const struct message *m)
{
    struct node *node = &w->nodes[m->node];
    struct store_run *run = &w->runs[m->run];
    struct sched_event event = {.kind = SCHED_NODE_BEAT,
                                .node_id = node->id,
                                .run_id = m->fence ? run->id : NULL,
                                .fence = m->fence};

    feed(w, &event);
    if (!m->fence)
        return;
    if (chance(w, 50)) {
        event.kind = SCHED_NODE_SAYS;
        event.reason = "running";
        feed(w, &event);
    }
    push(w, w->now + store_takes(w),
         (struct message){
             .kind = M_RENEW, .scheduler = w->scheduler, .run = m->run, .fence = m->fence});
}

static void hear_renewal(struct world *w, const struct message *m)
{
    struct store_run *run = &w->runs[m->run];
    struct sched_event lost = {.kind = SCHED_LEASE_LOST, .run_id = run->id, .fence = m->fence};

    if (store_away(w))
        return;
    if (run->fence == m->fence && run->held)
        run->lease_until = store_now(w) + LEASE_MS;
    else if (!(run->fence == m->fence && run->answered == run->total))
        feed(w, &lost);
}

static void say_waiting(struct world *w, const struct node *node, bool waiting)
{
    struct sched_event event = {.kind = waiting ? SCHED_NODE_WAITS : SCHED_NODE_HEARD,
                                .node_id = node->id};

    feed(w, &event);
}

static void hear_batch(struct world *w, struct message *m)
{
    struct node *node = &w->nodes[m->node];
    struct store_run *run = &w->runs[m->run];
    struct sched_event event = {.kind = SCHED_ANSWERS_STORED,
                                .node_id = node->id,
                                .run_id = run->id,
                                .fence = m->fence,
                                .reason = "refused"};

    if (store_away(w)) {
        if (chance(w, 30))
            store_append(w, run, m); /* the reply is lost; the batch comes again */
        say_waiting(w, node, true);
        node->blocked_until = w->now + RETRY_MS;
        m->due = node->blocked_until;
        push_again(w, m); /* keeps its place in the order */
        return;
    }
    if (!m->slowed && w->now < w->store_slow_until) {
        m->slowed = true;
        node->blocked_until = m->due = w->now + store_takes(w);
        push_again(w, m);
        return;
    }
    say_waiting(w, node, false);
    if (!store_append(w, run, m)) {
        event.kind = SCHED_SHARD_REFUSED;
        feed(w, &event);
        return;
    }
    event.count = run->answered;
    event.final = run->state >= SCHED_RUN_GRADING;
    feed(w, &event);
    send_down(w, m->node,
              (struct message){.kind = M_ACK, .run = m->run, .fence = m->fence, .seq = m->seq});
}

static void hear_end(struct world *w, const struct message *m)
{
    struct sched_event event = {.kind =
                                    m->kind == M_FAILED ? SCHED_SHARD_FAILED : SCHED_NODE_STOPPED,
                                .node_id = w->nodes[m->node].id,
                                .run_id = w->runs[m->run].id,
                                .fence = m->fence,
                                .reason = "the engine broke",
                                .final = m->final};

    feed(w, &event);
}

void hear(struct world *w, struct message *m)
{
    struct node *node = &w->nodes[m->node];

    if (m->kind == M_RENEW && m->scheduler == w->scheduler)
        hear_renewal(w, m);
    if (m->kind == M_RENEW || m->generation != node->generation || w->scheduler % 2 == 0)
        return;
    if (m->kind == M_HELLO) {
        hear_hello(w, m);
        return;
    }
    if (!node->heard)
        return;
    if (m->kind == M_BATCH && w->now < node->blocked_until) { /* beats pass */
        m->due = node->blocked_until;
        push_again(w, m);
        return;
    }
    if (m->kind == M_BEAT)
        hear_beat(w, m);
    else if (m->kind == M_BATCH)
        hear_batch(w, m);
    else
        hear_end(w, m);
}

void hear_left(struct world *w, const struct message *m)
{
    struct node *node = &w->nodes[m->node];
    struct sched_event event = {.kind = SCHED_NODE_LEFT, .node_id = node->id, .reason = "gone"};

    if (m->generation != node->generation || !node->heard)
        return;
    node->heard = false;
    if (w->scheduler % 2 == 1)
        feed(w, &event);
}
