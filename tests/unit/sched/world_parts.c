/* The parts of the made-up world: the store's truth, to which the scheduler's view is compared; nodes;
 * and the queue of messages, which delivers each when it is due. */
#include "world_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool chance(struct world *w, int percent)
{
    return cap_rand_below(&w->rand, 100) < (uint64_t)percent;
}

int64_t upto(struct world *w, int64_t max)
{
    return (int64_t)cap_rand_below(&w->rand, (uint64_t)max + 1);
}

static bool earlier(const struct message *a, const struct message *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

void push_again(struct world *w, const struct message *message)
{
    size_t at = w->count++;

    assert_true(w->count < MESSAGES_MAX);
    for (; at > 0 && earlier(message, &w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = *message;
}

void push(struct world *w, int64_t due, struct message message)
{
    message.due = due;
    message.order = w->order++;
    push_again(w, &message);
}

struct message pop(struct world *w)
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

bool chaos(const struct world *w)
{
    return w->now < CHAOS_MS;
}

bool store_away(const struct world *w)
{
    return w->now < w->store_away_until;
}

int64_t store_now(const struct world *w)
{
    return w->now + w->store_clock;
}

int64_t store_takes(struct world *w)
{
    return 1 + upto(w, w->now < w->store_slow_until ? 4000 : 20);
}

int run_index(struct world *w, const char *run_id)
{
    for (int i = 0; i < RUNS; i++)
        if (strcmp(w->runs[i].id, run_id) == 0)
            return i;
    return -1;
}

int node_index(struct world *w, const char *node_id)
{
    for (int i = 0; i < NODES; i++)
        if (strcmp(w->nodes[i].id, node_id) == 0)
            return i;
    return -1;
}

/* ---- the store's verbs ---- */

void store_set(struct store_run *run, enum sched_run_state to)
{
    assert_true(sched_may_move(run->state, to));
    run->state = to;
    run->ends += sched_state_ended(to);
    assert_true(run->ends <= 1);
    if (to != SCHED_RUN_RUNNING && to != SCHED_RUN_LEASED)
        run->held = false;
}

void store_expire(struct world *w, struct store_run *run)
{
    (void)w;
    run->held = false;
    if (run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING)
        store_set(run, SCHED_RUN_QUEUED);
}

/* A clock that was set back leaves no lease with more time than a lease has. */
static void cut_lease(struct world *w, struct store_run *run)
{
    if (run->held && run->lease_until > store_now(w) + LEASE_MS)
        run->lease_until = store_now(w) + LEASE_MS;
}

bool store_is_over(struct world *w, struct store_run *run)
{
    cut_lease(w, run);
    return run->held && run->lease_until <= store_now(w);
}

bool store_lease(struct world *w, struct store_run *run)
{
    cut_lease(w, run);
    if (run->held && run->lease_until <= store_now(w))
        store_expire(w, run);
    if (run->state != SCHED_RUN_QUEUED || run->held)
        return false;
    run->fence++;
    run->held = true;
    run->lease_until = store_now(w) + LEASE_MS;
    store_set(run, SCHED_RUN_LEASED);
    w->result->leases++;
    return true;
}

bool store_append(struct world *w, struct store_run *run, const struct message *m)
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
