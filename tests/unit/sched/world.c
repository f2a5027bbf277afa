/* Time is a number; everything that happens is a message in one queue, ordered by when it is due.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "scheduler/step.h"

enum {
    RUNS = 6,
    NODES = 3,
    MESSAGES_MAX = 1 << 14,
    UNACKED_MAX = 64,
    CHAOS_MS = 60000,
    END_MS = 400000, /* nothing may take longer */
    BEAT_MS = 3000,
    LEASE_MS = 9000,
    RETRY_MS = 1000,
};

static const struct sched_policy policy = {
    .attempts_max = 50, .silent_ms_max = 7000, .ageing_ms = 60000, .retry_ms = RETRY_MS};

/* ---- the store: what is true ---- */

struct store_run {
    char id[CAP_ID_BYTES];
    enum sched_run_state state;
    uint32_t total, answered, graded;
    uint64_t fence, seq;
    uint64_t seq_fence[UNACKED_MAX * 8]; /* the ledger: under which fence a batch came */
    bool held;
    int64_t lease_until;
    int ends; /* how often it came to an end */
};

/* ---- nodes ---- */

struct batch {
    uint64_t seq;
    uint32_t from, count;
    bool last;
};

struct node {
    char id[CAP_ID_BYTES]; /* of the present connection */
    int generation;        /* connections so far */
    bool connected;        /* the node's side */
    bool heard;            /* the scheduler's side */
    int64_t stalled_until, blocked_until, up_due, down_due;
    bool holds;
    int run;
    uint64_t fence, seq;
    uint32_t next, total;
    struct batch unacked[UNACKED_MAX];
    int unacked_count;
};

/* ---- messages ---- */

enum kind {
    M_CONNECT, /* a node dials */
    M_BEAT_DUE,
    M_WORK_DUE,
    M_HELLO,
    M_BEAT,
    M_BATCH,
    M_FAILED,
    M_STOPPED,
    M_LEFT,
    M_ASSIGN,
    M_STOP,
    M_ACK,
    M_TICK,
    M_ACTION, /* an action of the scheduler reaches whom it is meant for */
    M_CHAOS,
    M_RESTART_DONE,
    M_CANCEL,
};

struct message {
    int64_t due;
    uint64_t order;
    enum kind kind;
    int node, generation; /* of the node's connection */
    int scheduler;        /* which life of the scheduler */
    int run;
    uint64_t fence, seq;
    uint32_t from, count;
    bool last, final;
    struct sched_action action;
};

struct world {
    struct cap_rand rand;
    int64_t now;
    uint64_t order;
    struct message *heap;
    size_t count;
    struct sched_state *state;
    int scheduler; /* its life; odd = it is up */
    struct store_run runs[RUNS];
    enum sched_run_state seen[RUNS]; /* by the scheduler's own notes */
    struct node nodes[NODES];
    int64_t store_away_until, sweep_after;
    struct world_result *result;
};

static bool chance(struct world *w, int percent)
{
    return cap_rand_below(&w->rand, 100) < (uint64_t)percent;
}

static int64_t upto(struct world *w, int64_t max)
{
    return (int64_t)cap_rand_below(&w->rand, (uint64_t)max + 1);
}

static bool earlier(const struct message *a, const struct message *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void push_again(struct world *w, const struct message *message)
{
    size_t at = w->count++;

    assert_true(w->count < MESSAGES_MAX);
    for (; at > 0 && earlier(message, &w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = *message;
}

static void push(struct world *w, int64_t due, struct message message)
{
    message.due = due;
    message.order = w->order++;
    push_again(w, &message);
}

static struct message pop(struct world *w)
{
    struct message top = w->heap[0], last = w->heap[--w->count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < w->count) {
        if (child + 1 < w->count && earlier(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!earlier(&w->heap[child], &last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    return top;
}

static bool chaos(const struct world *w)
{
    return w->now < CHAOS_MS;
}

static bool store_away(const struct world *w)
{
    return w->now < w->store_away_until;
}

static int run_index(struct world *w, const char *run_id)
{
    for (int i = 0; i < RUNS; i++)
        if (strcmp(w->runs[i].id, run_id) == 0)
            return i;
    return -1;
}

static int node_index(struct world *w, const char *node_id)
{
    for (int i = 0; i < NODES; i++)
        if (strcmp(w->nodes[i].id, node_id) == 0)
            return i;
    return -1;
}

/* ---- the store's verbs ---- */

static void store_set(struct store_run *run, enum sched_run_state to)
{
    assert_true(sched_may_move(run->state, to));
    run->state = to;
    run->ends += sched_state_ended(to);
    assert_true(run->ends <= 1);
    if (to != SCHED_RUN_RUNNING && to != SCHED_RUN_LEASED)
        run->held = false;
}

static void store_expire(struct world *w, struct store_run *run)
{
    (void)w;
    run->held = false;
    if (run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING)
        store_set(run, SCHED_RUN_QUEUED);
}

static bool store_lease(struct world *w, struct store_run *run)
{
    if (run->held && run->lease_until <= w->now)
        store_expire(w, run);
    if (run->state != SCHED_RUN_QUEUED || run->held)
        return false;
    run->fence++;
    run->held = true;
    run->lease_until = w->now + LEASE_MS;
    store_set(run, SCHED_RUN_LEASED);
    w->result->leases++;
    return true;
}

static bool store_append(struct world *w, struct store_run *run, const struct message *m)
{
    if (run->fence != m->fence)
        return false;
    if (m->seq < run->seq) {
        w->result->repeated_batches++;
        return run->seq_fence[m->seq] == m->fence;
    }
    if ((run->state != SCHED_RUN_LEASED && run->state != SCHED_RUN_RUNNING) || !run->held ||
        m->seq != run->seq)
        return false;
    assert_int_equal(m->from, run->answered); /* no sample twice, none left out */
    if (run->state == SCHED_RUN_LEASED)
        store_set(run, SCHED_RUN_RUNNING);
    run->seq_fence[run->seq++] = m->fence;
    run->answered += m->count;
    if (m->last) {
        assert_int_equal(run->answered, run->total);
        store_set(run, SCHED_RUN_GRADING);
    }
    return true;
}

/* ---- the scheduler ---- */

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

static void note_move(struct world *w, const struct sched_action *a)
{
    int run = run_index(w, a->run_id);

    assert_int_equal(w->seen[run], a->from);
    assert_true(sched_may_move(a->from, a->to));
    assert_false(sched_state_ended(a->from)); /* exactly one terminal state */
    w->seen[run] = a->to;
}

static void feed(struct world *w, const struct sched_event *event)
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
    check_places(w);
}

/* Under the link's order, as work_rpc.c does: what reaches a node is what is still wanted. */
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
    struct sched_event event = {.kind = SCHED_RUN_DONE, .run_id = run->id, .reason = "poison"};

    if (known->state != SCHED_RUN_GRADING || known->cancelling) {
        /* an earlier try may have been stored: then the cancel is too late */
        if (run->state != SCHED_RUN_FINISHED)
            event.kind = SCHED_GRADING_FAILED;
        feed(w, &event);
        return;
    }
    assert_int_equal(run->graded, run->total);
    if (run->state == SCHED_RUN_GRADING && chance(w, 5)) {
        event.kind = SCHED_GRADING_FAILED;
        event.final = true;
        feed(w, &event);
        return;
    }
    if (run->state == SCHED_RUN_GRADING)
        store_set(run, SCHED_RUN_FINISHED);
    if (!answered)
        push(w, w->now + RETRY_MS, *m);
    else
        feed(w, &event);
}

/* As carry.c does: from where the store has the run, if it may go from there. */
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

/* The node's side of the connection ends; the scheduler hears of it later. */
static void disconnect(struct world *w, int index)
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

static void carry_out(struct world *w, struct message *m)
{
    const struct sched_action *a = &m->action;
    bool away = store_away(w), lost = away && chance(w, 50);
    bool applied = !away || lost, answered = !away;
    int index = node_index(w, a->node_id);

    if (a->kind == SCHED_DO_ASSIGN) {
        if (index >= 0 && still_wanted(w, a))
            send_down(w, index,
                      (struct message){
                          .kind = M_ASSIGN, .run = run_index(w, a->run_id), .fence = a->fence});
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

/* What a killed scheduler had asked for may still come true. */
static void carry_orphan(struct world *w, const struct message *m)
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

    if (m->fence && !store_away(w)) {
        if (run->fence == m->fence && run->held) {
            run->lease_until = w->now + LEASE_MS;
        } else if (!(run->fence == m->fence && run->answered == run->total)) {
            struct sched_event lost = {
                .kind = SCHED_LEASE_LOST, .run_id = run->id, .fence = m->fence};

            feed(w, &lost);
        }
    }
    feed(w, &event);
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

static void hear(struct world *w, struct message *m)
{
    struct node *node = &w->nodes[m->node];

    if (m->generation != node->generation || w->scheduler % 2 == 0)
        return;
    if (m->kind == M_HELLO) {
        hear_hello(w, m);
        return;
    }
    if (!node->heard)
        return;
    if (w->now < node->blocked_until) {
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

static void hear_left(struct world *w, const struct message *m)
{
    struct node *node = &w->nodes[m->node];
    struct sched_event event = {.kind = SCHED_NODE_LEFT, .node_id = node->id, .reason = "gone"};

    if (m->generation != node->generation || !node->heard)
        return;
    node->heard = false;
    if (w->scheduler % 2 == 1)
        feed(w, &event);
}

/* ---- the node itself ---- */

static void send_up(struct world *w, int index, struct message m)
{
    struct node *node = &w->nodes[index];

    if (!node->connected)
        return;
    node->up_due = (node->up_due > w->now ? node->up_due : w->now) + 1 + upto(w, 30);
    m.node = index;
    m.generation = node->generation;
    push(w, node->up_due, m);
}

static void send_batch(struct world *w, int index, const struct batch *batch)
{
    struct node *node = &w->nodes[index];

    send_up(w, index,
            (struct message){.kind = M_BATCH,
                             .run = node->run,
                             .fence = node->fence,
                             .seq = batch->seq,
                             .from = batch->from,
                             .count = batch->count,
                             .last = batch->last});
}

static void beat(struct world *w, int index)
{
    struct node *node = &w->nodes[index];

    send_up(w, index,
            (struct message){.kind = M_BEAT,
                             .run = node->holds ? node->run : 0,
                             .fence = node->holds ? node->fence : 0});
}

static void let_go(struct node *node)
{
    node->holds = false;
    node->unacked_count = 0;
}

static void dial(struct world *w, int index)
{
    struct node *node = &w->nodes[index];

    if (node->connected)
        return;
    if (w->scheduler % 2 == 0 || w->now < node->stalled_until || node->heard) {
        push(w, w->now + 300 + upto(w, 1000), (struct message){.kind = M_CONNECT, .node = index});
        return;
    }
    node->generation++;
    snprintf(node->id, sizeof node->id, "node-%d-%d", index, node->generation);
    node->connected = true;
    node->up_due = node->down_due = w->now;
    send_up(w, index, (struct message){.kind = M_HELLO});
    beat(w, index);
    for (int i = 0; node->holds && i < node->unacked_count; i++)
        send_batch(w, index, &node->unacked[i]);
}

/* Some of the samples that are left, as a numbered batch. */
static void work(struct world *w, int index)
{
    struct node *node = &w->nodes[index];
    struct batch batch = {.seq = node->seq, .from = node->next};

    if (!node->holds || node->unacked_count == UNACKED_MAX || node->next > node->total)
        return;
    if (chaos(w) && chance(w, 1)) {
        send_up(
            w, index,
            (struct message){
                .kind = M_FAILED, .run = node->run, .fence = node->fence, .final = chance(w, 10)});
        let_go(node);
        return;
    }
    batch.count = 1 + (uint32_t)upto(w, 4);
    if (batch.from + batch.count >= node->total) {
        batch.count = node->total - batch.from;
        batch.last = true;
        node->next = node->total + 1; /* nothing comes after it */
    } else {
        node->next += batch.count;
    }
    node->seq++;
    node->unacked[node->unacked_count++] = batch;
    send_batch(w, index, &batch);
    if (chance(w, 3))
        send_batch(w, index, &batch); /* twice */
}

static void take_assign(struct world *w, const struct message *m)
{
    struct node *node = &w->nodes[m->node];
    const struct store_run *run = &w->runs[m->run], *old = &w->runs[node->run];

    if (node->holds && node->run != m->run) /* nobody is given a second run while one lives */
        assert_false(old->held && old->fence == node->fence);
    let_go(node);
    node->holds = true;
    node->run = m->run;
    node->fence = m->fence;
    node->next = run->answered; /* only what has no stored answer */
    node->total = run->total;
    node->seq = run->seq;
}

static void take_ack(struct node *node, const struct message *m)
{
    int kept = 0;

    if (!node->holds || node->run != m->run || node->fence != m->fence)
        return;
    for (int i = 0; i < node->unacked_count; i++)
        if (node->unacked[i].seq > m->seq)
            node->unacked[kept++] = node->unacked[i];
    node->unacked_count = kept;
    if (kept == 0 && node->next > node->total)
        let_go(node);
}

static void take(struct world *w, struct message *m)
{
    struct node *node = &w->nodes[m->node];

    if (m->generation != node->generation || !node->connected)
        return;
    if (w->now < node->stalled_until) {
        m->due = node->stalled_until;
        push_again(w, m);
        return;
    }
    if (m->kind == M_ASSIGN) {
        /* a copy of what the grant said: the store has not changed the shard since, or the fence */
        if (w->runs[m->run].fence == m->fence && w->runs[m->run].held)
            take_assign(w, m);
    } else if (m->kind == M_ACK) {
        take_ack(node, m);
    } else if (node->holds && node->run == m->run) {
        uint64_t fence = node->fence;

        let_go(node);
        send_up(w, m->node, (struct message){.kind = M_STOPPED, .run = m->run, .fence = fence});
    }
}

/* ---- what goes wrong ---- */

static void kill_scheduler(struct world *w)
{
    w->scheduler++;
    w->result->restarts++;
    sched_state_free(w->state);
    w->state = NULL;
    for (int i = 0; i < NODES; i++) {
        w->nodes[i].heard = false;
        if (w->nodes[i].connected) {
            w->nodes[i].connected = false;
            push(w, w->now + 200 + upto(w, 2000), (struct message){.kind = M_CONNECT, .node = i});
        }
    }
    push(w, w->now + 500 + upto(w, 12000), (struct message){.kind = M_RESTART_DONE});
}

static void restart_scheduler(struct world *w)
{
    if (store_away(w)) { /* it waits for the store before it serves */
        push(w, w->now + 500, (struct message){.kind = M_RESTART_DONE});
        return;
    }
    w->scheduler++;
    w->state = sched_state_new(&policy);
    w->sweep_after = w->now + LEASE_MS;
    for (int i = 0; i < RUNS; i++) {
        const struct store_run *stored = &w->runs[i];
        struct sched_run run = {.state = stored->state,
                                .fence = stored->held ? stored->fence : 0,
                                .total = stored->total,
                                .answered = stored->answered,
                                .graded = stored->graded,
                                .needs = {.engine = "null"}};
        struct sched_event event = {.kind = SCHED_RUN_ADDED, .run = &run};

        memcpy(run.id, stored->id, sizeof run.id);
        snprintf(run.submitter, sizeof run.submitter, "s%d", i % 2);
        w->seen[i] = stored->state;
        feed(w, &event);
    }
}

static void stir(struct world *w)
{
    int index = (int)upto(w, NODES - 1);
    struct node *node = &w->nodes[index];
    int what = (int)upto(w, 99);

    if (!chaos(w))
        return;
    if (what < 30) { /* SIGKILL: it forgets what it held */
        w->result->crashes++;
        let_go(node);
        disconnect(w, index);
    } else if (what < 45) { /* the line breaks; the node goes on */
        disconnect(w, index);
    } else if (what < 65) { /* SIGSTOP */
        w->result->stalls++;
        node->stalled_until = w->now + upto(w, 20000);
    } else if (what < 85) {
        w->result->outages++;
        w->store_away_until = w->now + upto(w, 12000);
    } else if (what < 92 && w->scheduler % 2 == 1) {
        kill_scheduler(w);
    }
    push(w, w->now + 1000 + upto(w, 6000), (struct message){.kind = M_CHAOS});
}

static void tick(struct world *w)
{
    struct sched_event event = {.kind = SCHED_TICK};

    push(w, w->now + 1000, (struct message){.kind = M_TICK});
    if (w->scheduler % 2 == 0)
        return;
    feed(w, &event);
    if (store_away(w)) {
        w->sweep_after = w->now + LEASE_MS;
        return;
    }
    for (int i = 0; i < RUNS && w->now >= w->sweep_after; i++) {
        struct store_run *run = &w->runs[i];
        struct sched_event lost = {
            .kind = SCHED_LEASE_LOST, .run_id = run->id, .fence = run->fence};

        if (!run->held || run->lease_until > w->now)
            continue;
        store_expire(w, run);
        feed(w, &lost);
    }
}

static void cancel(struct world *w, int run)
{
    struct sched_event event = {
        .kind = SCHED_CANCEL_ASKED, .run_id = w->runs[run].id, .reason = "not needed"};

    if (w->scheduler % 2 == 1)
        feed(w, &event);
}

/* ---- the run of the world ---- */

static void dispatch(struct world *w, struct message *m)
{
    struct node *node = &w->nodes[m->node];
    bool stalled = w->now < node->stalled_until;

    switch (m->kind) {
    case M_CONNECT:
        dial(w, m->node);
        break;
    case M_BEAT_DUE:
        push(w, w->now + BEAT_MS, *m);
        if (!stalled)
            beat(w, m->node);
        break;
    case M_WORK_DUE:
        push(w, w->now + 100 + upto(w, 400), *m);
        if (!stalled)
            work(w, m->node);
        break;
    case M_HELLO:
    case M_BEAT:
    case M_BATCH:
    case M_FAILED:
    case M_STOPPED:
        hear(w, m);
        break;
    case M_LEFT:
        hear_left(w, m);
        break;
    case M_ASSIGN:
    case M_STOP:
    case M_ACK:
        take(w, m);
        break;
    case M_TICK:
        tick(w);
        break;
    case M_ACTION:
        if (m->scheduler == w->scheduler)
            carry_out(w, m);
        else if (*m->action.run_id)
            carry_orphan(w, m);
        break;
    case M_CHAOS:
        stir(w);
        break;
    case M_RESTART_DONE:
        restart_scheduler(w);
        break;
    case M_CANCEL:
        cancel(w, m->run);
        break;
    }
}

static bool all_ended(const struct world *w)
{
    for (int i = 0; i < RUNS; i++)
        if (!sched_state_ended(w->runs[i].state) ||
            (w->scheduler % 2 == 1 && w->seen[i] != w->runs[i].state))
            return false;
    return w->scheduler % 2 == 1;
}

static void begin(struct world *w, uint64_t seed)
{
    cap_rand_seed(&w->rand, seed);
    w->heap = calloc(MESSAGES_MAX, sizeof *w->heap);
    assert_non_null(w->heap);
    for (int i = 0; i < RUNS; i++) {
        snprintf(w->runs[i].id, CAP_ID_BYTES, "run-%d", i);
        w->runs[i].total = 1 + (uint32_t)upto(w, 60);
        if (chance(w, 40))
            push(w, upto(w, CHAOS_MS / 2), (struct message){.kind = M_CANCEL, .run = i});
    }
    for (int i = 0; i < NODES; i++) {
        push(w, upto(w, 1000), (struct message){.kind = M_CONNECT, .node = i});
        push(w, upto(w, BEAT_MS), (struct message){.kind = M_BEAT_DUE, .node = i});
        push(w, upto(w, 500), (struct message){.kind = M_WORK_DUE, .node = i});
    }
    push(w, 0, (struct message){.kind = M_RESTART_DONE});
    push(w, 500, (struct message){.kind = M_TICK});
    push(w, 1000 + upto(w, 4000), (struct message){.kind = M_CHAOS});
}

static void count_ends(const struct world *w, struct world_result *out)
{
    out->runs = RUNS;
    for (int i = 0; i < RUNS; i++) {
        assert_int_equal(w->runs[i].ends, 1);
        out->finished += w->runs[i].state == SCHED_RUN_FINISHED;
        out->failed += w->runs[i].state == SCHED_RUN_FAILED;
        out->cancelled += w->runs[i].state == SCHED_RUN_CANCELLED;
    }
}

static void tell_stuck(const struct world *w, uint64_t seed)
{
    for (int i = 0; i < RUNS; i++) {
        const struct store_run *run = &w->runs[i];

        print_message("%s: %s in the store, %s here, %u of %u answered, fence %llu%s\n", run->id,
                      sched_state_name(run->state), sched_state_name(w->seen[i]), run->answered,
                      run->total, (unsigned long long)run->fence, run->held ? ", held" : "");
    }
    for (int i = 0; i < NODES; i++) {
        const struct node *node = &w->nodes[i];
        const struct sched_node *known = w->state ? sched_find_node(w->state, node->id) : NULL;

        print_message("%s: %s, holds run %d under %llu; here %s%s\n", node->id,
                      node->connected ? "connected" : "away", node->holds ? node->run : -1,
                      (unsigned long long)node->fence, known ? known->run_id : "unknown",
                      known && known->stopping ? ", stopping" : "");
    }
    fail_msg("seed %llu: a run has not ended", (unsigned long long)seed);
}

void world_run(uint64_t seed, struct world_result *out)
{
    struct world w = {.result = out};

    *out = (struct world_result){0};
    begin(&w, seed);
    while (!all_ended(&w)) {
        struct message m = pop(&w);

        w.now = m.due;
        if (w.now > END_MS)
            tell_stuck(&w, seed);
        dispatch(&w, &m);
    }
    out->ended_ms = w.now;
    count_ends(&w, out);
    sched_state_free(w.state);
    free(w.heap);
}
