/* What waits and runs, and who is connected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "service.h"
#include "stream.h"

enum { QUEUE_LIMIT_DEFAULT = 100, QUEUE_LIMIT_MAX = 1000, NODES_SHOWN_MAX = 4096 };

/* ---- the queue ---- */

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

/* "1764065821345.run-k3v5n7x2m4p8q9wz" */
static bool read_after(const Moecap__V1__ListQueueRequest *request, struct sched_page *page,
                       struct cap_err *err)
{
    const char *dot = strchr(request->after, '.');

    page->after_ms = INT64_MIN;
    if (!*request->after)
        return true;
    if (!request->by_arrival)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "after",
                              "after: only the order of arrival has pages");
    if (!dot || dot == request->after || dot - request->after > 15 || strlen(dot) > CAP_ID_BYTES ||
        strspn(request->after, "0123456789") != (size_t)(dot - request->after) ||
        strncmp(dot, ".run-", 5) != 0)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "after",
                              "after: \"%.64s\" is not a place in this list; begin without it",
                              request->after);
    page->after_ms = strtoll(request->after, NULL, 10);
    snprintf(page->after_run_id, sizeof page->after_run_id, "%s", dot + 1);
    return true;
}

static bool set_next(struct cap_arena *arena, Moecap__V1__ListQueueReply *reply)
{
    const Moecap__V1__RunProgress *last = reply->entries[reply->n_entries - 1]->run;

    reply->next_after =
        cap_arena_printf(arena, "%lld.%s", (long long)last->queued_at_ms, last->run_id);
    if (reply->next_after)
        reply->opt_next_case = MOECAP__V1__LIST_QUEUE_REPLY__OPT_NEXT_NEXT_AFTER;
    return reply->next_after != NULL;
}

/* What fits the reply is shown; the counts are whole. */
static bool fill_queue(struct cap_arena *arena, const struct sched_page *page,
                       Moecap__V1__ListQueueReply *reply)
{
    bool fits = true;

    reply->queued = (uint32_t)page->waiting;
    reply->running = (uint32_t)(page->open - page->waiting);
    reply->entries = cap_arena_array(arena, page->count + 1, sizeof *reply->entries);
    for (size_t i = 0; reply->entries && i < page->count && fits; i++) {
        Moecap__V1__QueueEntry *entry = entry_of(arena, &page->views[i]);

        fits = entry != NULL;
        if (fits)
            reply->entries[reply->n_entries++] = entry;
    }
    return reply->entries && (!page->by_arrival || reply->n_entries == 0 || (fits && !page->more) ||
                              set_next(arena, reply));
}

bool sched_handle_list_queue(struct cap_rpc_call *call, const Moecap__V1__ListQueueRequest *request,
                             Moecap__V1__ListQueueReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct sched_page page = {.by_arrival = request->by_arrival,
                              .limit = request->limit ? request->limit : QUEUE_LIMIT_DEFAULT};
    bool ok;

    if (!read_after(request, &page, err) || !sched_restore_wait(service, call, err))
        return false;
    page.limit = page.limit < QUEUE_LIMIT_MAX ? page.limit : QUEUE_LIMIT_MAX;
    sched_dispatcher_page(service->dispatcher, &page);
    ok = fill_queue(cap_rpc_arena(call), &page, reply);
    sched_views_free(page.views, page.count);
    return ok || cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the queue is too long to list");
}

/* ---- nodes ---- */

struct node_list {
    struct cap_arena *arena;
    Moecap__V1__NodeEntry **list;
    size_t count;
    int64_t now_ms;
};

/* Under the dispatcher's lock: copies only. */
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
static bool fill_entry(struct sched_streams *streams, struct cap_arena *arena,
                       Moecap__V1__NodeEntry *entry)
{
    struct sched_stream *stream = sched_stream_use(streams, entry->node_id);
    const void *hello;
    size_t bytes;

    if (!stream)
        return false;
    hello = sched_stream_hello(stream, &bytes);
    entry->hello = moecap__v1__node_hello__unpack(cap_rpc_allocator(arena), bytes, hello);
    entry->connected_at_ms = sched_stream_since_ms(stream);
    entry->peer = cap_arena_strdup(arena, cap_rpc_peer(sched_stream_call(stream)));
    sched_stream_done(streams, stream);
    return entry->hello && entry->peer;
}

bool sched_node_entries(struct sched_service *service, struct cap_arena *arena,
                        Moecap__V1__NodeEntry ***out_entries, size_t *out_count,
                        struct cap_err *err)
{
    struct node_list list = {.arena = arena, .now_ms = cap_clock_ms(cap_clock_system())};
    size_t count = 0;

    list.list = cap_arena_array(arena, NODES_SHOWN_MAX, sizeof *list.list);
    if (!list.list) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many nodes to list");
        return false; /* in words, for the analyser */
    }
    sched_dispatcher_nodes(service->dispatcher, list_node, &list);
    for (size_t i = 0; i < list.count; i++)
        if (fill_entry(service->streams, arena, list.list[i]))
            list.list[count++] = list.list[i];
    *out_entries = list.list;
    *out_count = count;
    return true;
}

/* Names are unique among connected nodes as a rule, not by force. */
static int compare_nodes(const char *name, const char *node_id, const Moecap__V1__NodeEntry *other)
{
    int names = strcmp(name, other->hello->name);

    return names ? names : strcmp(node_id, other->node_id);
}

static int by_name(const void *left, const void *right)
{
    const Moecap__V1__NodeEntry *a = *(Moecap__V1__NodeEntry *const *)left;

    return compare_nodes(a->hello->name, a->node_id, *(Moecap__V1__NodeEntry *const *)right);
}

/* Where the page behind "NAME:NODE_ID" begins in the sorted list; ids have no colon. */
static bool first_after(Moecap__V1__NodeEntry *const *nodes, size_t count, const char *after,
                        struct cap_arena *arena, size_t *out_first, struct cap_err *err)
{
    const char *colon = strrchr(after, ':');
    const char *name = colon ? cap_arena_strndup(arena, after, (size_t)(colon - after)) : NULL;

    *out_first = 0;
    if (!*after)
        return true;
    if (!name)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "after",
                              "after: \"%.80s\" is not a valid cursor", after);
    while (*out_first < count && compare_nodes(name, colon + 1, nodes[*out_first]) >= 0)
        ++*out_first;
    return true;
}

bool sched_handle_list_nodes(struct cap_rpc_call *call, const Moecap__V1__ListNodesRequest *request,
                             Moecap__V1__ListNodesReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    Moecap__V1__NodeEntry **nodes = NULL;
    size_t count = 0, first;

    if (request->limit > NODES_SHOWN_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "limit", "limit is %u, at most %d",
                              request->limit, NODES_SHOWN_MAX);
    if (!sched_node_entries(cap_rpc_self(call), arena, &nodes, &count, err))
        return false;
    qsort(nodes, count, sizeof *nodes, by_name);
    if (!first_after(nodes, count, request->after, arena, &first, err))
        return false;
    reply->nodes = nodes + first;
    reply->n_nodes = count - first;
    if (request->limit == 0 || reply->n_nodes <= request->limit)
        return true;
    reply->n_nodes = request->limit;
    reply->opt_next_case = MOECAP__V1__LIST_NODES_REPLY__OPT_NEXT_NEXT_AFTER;
    reply->next_after =
        cap_arena_printf(arena, "%s:%s", reply->nodes[request->limit - 1]->hello->name,
                         reply->nodes[request->limit - 1]->node_id);
    return reply->next_after || cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many nodes");
}

/* ---- their counters ---- */

/* NULL when it has left meanwhile, or has not told any yet. */
static Moecap__V1__NodeMetrics *metrics_of(struct sched_streams *streams,
                                           const Moecap__V1__NodeEntry *node,
                                           struct cap_arena *arena)
{
    struct sched_stream *stream = sched_stream_use(streams, node->node_id);
    Moecap__V1__NodeMetrics *metrics = cap_arena_alloc(arena, sizeof *metrics);
    Moecap__V1__NodeBeat *beat = NULL;
    const void *packed = NULL;
    size_t bytes = 0;

    if (stream) {
        packed = sched_stream_beat(stream, arena, &bytes);
        sched_stream_done(streams, stream);
    }
    if (packed)
        beat = moecap__v1__node_beat__unpack(cap_rpc_allocator(arena), bytes, packed);
    if (!beat || !metrics)
        return NULL;
    moecap__v1__node_metrics__init(metrics);
    metrics->node_id = node->node_id;
    metrics->name = node->hello->name;
    metrics->metrics = beat->metrics;
    metrics->n_metrics = beat->n_metrics;
    return metrics;
}

bool sched_handle_node_metrics(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                               Moecap__V1__NodeMetricsReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    Moecap__V1__NodeEntry **nodes = NULL;
    size_t count = 0;

    (void)request;
    if (!sched_node_entries(service, arena, &nodes, &count, err))
        return false;
    qsort(nodes, count, sizeof *nodes, by_name);
    reply->nodes = cap_arena_array(arena, count + 1, sizeof *reply->nodes);
    for (size_t i = 0; reply->nodes && i < count; i++)
        if ((reply->nodes[reply->n_nodes] = metrics_of(service->streams, nodes[i], arena)))
            reply->n_nodes++;
    return reply->nodes || cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many nodes");
}
