/* The nodes: they dial, beat, work, keep what is not acknowledged, and do as they are told. */
#include "world_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void beat(struct world *w, int index)
{
    struct node *node = &w->nodes[index];

    send_up(w, index,
            (struct message){.kind = M_BEAT,
                             .run = node->holds ? node->run : 0,
                             .fence = node->holds ? node->fence : 0});
}

void let_go(struct node *node)
{
    node->holds = false;
    node->unacked_count = 0;
}

void dial(struct world *w, int index)
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

void work(struct world *w, int index)
{
    struct node *node = &w->nodes[index];
    struct batch batch = {.seq = node->seq, .from = node->next};

    if (!node->holds || node->unacked_count == UNACKED_MAX || node->next > node->total ||
        w->now < node->lazy_until)
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

void take(struct world *w, struct message *m)
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
