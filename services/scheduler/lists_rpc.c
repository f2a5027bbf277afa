/* What waits and runs, and who is connected. */
#include <stdlib.h>

#include "base/clock.h"
#include "handlers_rpc.h"
#include "link.h"
#include "spec_wire.h"

enum { QUEUE_LIMIT_DEFAULT = 100, QUEUE_LIMIT_MAX = 1000, NODES_SHOWN_MAX = 4096 };

static Moecap__V1__QueueEntry *entry_of(struct cap_arena *arena, const struct sched_view *view)
{
    Moecap__V1__QueueEntry *entry = cap_arena_alloc(arena, sizeof *entry);
    Moecap__V1__RunProgress *run = cap_arena_alloc(arena, sizeof *run);
    struct sched_view *copy = cap_arena_alloc(arena, sizeof *copy);

    if (!entry || !run || !copy)
        return NULL;
    *copy = *view;
    moecap__v1__queue_entry__init(entry);
    sched_view_to_wire(copy, run);
    run->task = cap_arena_strdup(arena, run->task);
    run->model = cap_arena_strdup(arena, run->model);
    run->engine = cap_arena_strdup(arena, run->engine);
    run->precision = cap_arena_strdup(arena, run->precision);
    entry->run = run;
    entry->submitter = copy->run.submitter;
    entry->priority = copy->run.priority;
    entry->position = copy->position;
    entry->waiting_for = copy->position > 0 ? copy->phase : (char *)"";
    return entry;
}

bool sched_handle_list_queue(struct cap_rpc_call *call, const Moecap__V1__ListQueueRequest *request,
                             Moecap__V1__ListQueueReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    size_t limit = request->limit ? request->limit : QUEUE_LIMIT_DEFAULT, count;
    struct sched_view *views;
    bool ok = true;

    if (!sched_restore_wait(service, call, err))
        return false;
    if (limit > QUEUE_LIMIT_MAX)
        limit = QUEUE_LIMIT_MAX;
    count = sched_conduct_views(service->conduct, "", &views);
    reply->entries = cap_arena_array(arena, limit + 1, sizeof *reply->entries);
    for (size_t i = 0; i < count; i++) {
        reply->queued += views[i].position > 0;
        reply->running += views[i].position == 0;
        if (reply->entries && reply->n_entries < limit && ok) {
            reply->entries[reply->n_entries] = entry_of(arena, &views[i]);
            ok = reply->entries[reply->n_entries] != NULL;
            reply->n_entries += ok; /* what fits the reply is shown; the counts are whole */
        }
    }
    sched_views_free(views, count);
    return reply->entries || cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the queue is too long to list");
}

struct node_list {
    struct cap_arena *arena;
    Moecap__V1__NodeEntry **list;
    size_t count;
    int64_t now_ms;
};

/* Under the conduct's lock: copies only. */
static void list_node(void *argument, const struct sched_node *node)
{
    struct node_list *l = argument;
    Moecap__V1__NodeEntry *entry = cap_arena_alloc(l->arena, sizeof *entry);

    if (!entry || l->count == NODES_SHOWN_MAX)
        return;
    moecap__v1__node_entry__init(entry);
    entry->node_id = cap_arena_strdup(l->arena, node->id);
    entry->run_id = cap_arena_strdup(l->arena, node->run_id);
    entry->last_beat_ms_ago = l->now_ms - node->beat_at_ms;
    if (entry->node_id && entry->run_id)
        l->list[l->count++] = entry;
}

/* What the node said of itself; one that has left meanwhile is left out. */
static bool fill_entry(struct sched_links *links, struct cap_arena *arena,
                       Moecap__V1__NodeEntry *entry)
{
    struct sched_link *link = sched_link_use(links, entry->node_id);
    const void *hello;
    size_t bytes;

    if (!link)
        return false;
    hello = sched_link_hello(link, &bytes);
    entry->hello = moecap__v1__node_hello__unpack(cap_rpc_allocator(arena), bytes, hello);
    entry->connected_at_ms = sched_link_since_ms(link);
    entry->peer = cap_arena_strdup(arena, cap_rpc_peer(sched_link_call(link)));
    sched_link_done(links, link);
    return entry->hello && entry->peer;
}

bool sched_node_entries(struct sched_service *service, struct cap_arena *arena,
                        Moecap__V1__NodeEntry ***out_entries, size_t *out_count,
                        struct cap_err *err)
{
    struct node_list list = {.arena = arena, .now_ms = cap_clock_ms(cap_clock_system())};
    size_t count = 0;

    list.list = cap_arena_array(arena, NODES_SHOWN_MAX, sizeof *list.list);
    if (!list.list)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many nodes to list");
    sched_conduct_nodes(service->conduct, list_node, &list);
    for (size_t i = 0; i < list.count; i++)
        if (fill_entry(service->links, arena, list.list[i]))
            list.list[count++] = list.list[i];
    *out_entries = list.list;
    *out_count = count;
    return true;
}

bool sched_handle_list_nodes(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                             Moecap__V1__ListNodesReply *reply, struct cap_err *err)
{
    (void)request;
    return sched_node_entries(cap_rpc_self(call), cap_rpc_arena(call), &reply->nodes,
                              &reply->n_nodes, err);
}
