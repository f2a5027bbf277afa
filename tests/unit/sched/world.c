/* Time is a number; everything that happens is a message in one queue, ordered by when it is due.
 */
#include "world_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sched_policy policy = {
    .attempts_max = 50,
    .silent_ms_max = 7000,
    .ageing_ms = 60000,
    .retry_ms = RETRY_MS,
    .progress_ms_max = PROGRESS_MS_MAX,
    .claim_ms_max = LEASE_MS + 7000,
};

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
    } else if (what < 70) {
        w->result->idlers++;
        node->lazy_until = w->now + upto(w, 60000);
    } else if (what < 80) {
        w->result->outages++;
        w->store_away_until = w->now + upto(w, 12000);
    } else if (what < 88) {
        w->result->slow_times++;
        w->store_slow_until = w->now + upto(w, 30000);
    } else if (what < 91) {
        w->result->clock_jumps++;
        w->store_clock += upto(w, 7200000) - 3600000;
    } else if (what < 97 && w->scheduler % 2 == 1) {
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

        if (!store_is_over(w, run))
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
    case M_RENEW:
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
        out->invalid += w->runs[i].state == SCHED_RUN_INVALID;
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
