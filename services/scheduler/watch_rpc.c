/* What people see of the queue and the nodes: Watch, ListQueue, ListNodes, Info. */
#include <stdlib.h>
#include <string.h>

#include "admit.h"
#include "base/clock.h"
#include "handlers_rpc.h"
#include "moecap/v1/store.rpc.h"
#include "spec_wire.h"

enum {
    WATCH_PAUSE_MS = 500,
    WATCH_STEP_MS = 50,
    QUEUE_LIMIT_DEFAULT = 100,
    QUEUE_LIMIT_MAX = 1000,
    NODES_SHOWN_MAX = 4096
};

/* ---- watch ---- */

static bool send_views(struct cap_rpc_call *call, const char *evaluation_id,
                       const struct sched_view *views, size_t count, bool *out_ended)
{
    CAP_AUTO_MEM Moecap__V1__RunProgress *runs = calloc(count + 1, sizeof *runs);
    CAP_AUTO_MEM Moecap__V1__RunProgress **list = calloc(count + 1, sizeof *list);
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;

    if (!runs || !list)
        abort();
    progress.ended = true;
    for (size_t i = 0; i < count; i++) {
        sched_view_to_wire(&views[i], &runs[i]);
        list[i] = &runs[i];
        progress.ended = progress.ended && sched_state_ended(views[i].run.state) && views[i].stored;
    }
    progress.evaluation_id = (char *)evaluation_id;
    progress.runs = list;
    progress.n_runs = count;
    *out_ended = progress.ended;
    return scheduler_rpc_watch_send_reply(call, &progress);
}

/* Nobody here knows the id: an evaluation or run that ended before this program started. */
static bool send_from_store(struct cap_rpc_call *call, const char *id, struct cap_err *err)
{
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;
    struct sched_found found;

    if (!sched_find_in_store(cap_rpc_self(call), id, cap_rpc_arena(call), &found, err))
        return false;
    progress.evaluation_id = (char *)found.evaluation_id;
    progress.runs = found.runs;
    progress.n_runs = found.count;
    progress.ended = found.ended;
    scheduler_rpc_watch_send_reply(call, &progress);
    return found.ended ||
           cap_fail(err, CAP_UNAVAILABLE, "\"%.64s\" has not been taken over yet", id);
}

/* A number that differs when a run has changed its state; counts alone may wait. */
static uint64_t sum_states(const struct sched_view *views, size_t count)
{
    uint64_t sum = count;

    for (size_t i = 0; i < count; i++)
        sum = sum * 31 + 2 * (uint64_t)views[i].run.state + views[i].stored;
    return sum;
}

struct watch {
    struct cap_rpc_call *call;
    const char *id;
    uint64_t states;
    int64_t sent_at_ms;
    bool known, ended;
};

/* Sends what there is now, if it is time to or a state has changed. False: the watching ends. */
static bool look(struct watch *w, struct sched_conduct *conduct)
{
    int64_t now_ms = cap_clock_ms(cap_clock_system());
    struct sched_view *views;
    size_t count = sched_conduct_views(conduct, w->id, &views);
    uint64_t states = sum_states(views, count);
    bool ok = true;

    w->known = count > 0;
    if (count > 0 && (states != w->states || now_ms - w->sent_at_ms >= WATCH_PAUSE_MS)) {
        ok = send_views(w->call, views[0].run.evaluation_id, views, count, &w->ended);
        w->states = states;
        w->sent_at_ms = now_ms;
    }
    sched_views_free(views, count);
    return ok && w->known && !w->ended;
}

bool sched_handle_watch(struct cap_rpc_call *call, const Moecap__V1__WatchRequest *request,
                        struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct watch watch = {.call = call, .id = request->id};
    uint64_t version = 0;

    if (!*request->id)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "watch needs the id of a run or an evaluation");
    if (!sched_restore_wait(service, call, err))
        return false;
    while (look(&watch, service->conduct) && !cap_rpc_cancelled(call)) {
        if (service->draining)
            return cap_fail(err, CAP_UNAVAILABLE, "the scheduler is going away");
        cap_sleep_ms(WATCH_STEP_MS); /* changes in bursts are one change to people */
        sched_conduct_wait(service->conduct, &version, WATCH_PAUSE_MS);
    }
    return watch.known || send_from_store(call, request->id, err);
}

/* ---- lists ---- */

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

bool sched_handle_list_nodes(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                             Moecap__V1__ListNodesReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct node_list list = {.arena = cap_rpc_arena(call),
                             .now_ms = cap_clock_ms(cap_clock_system())};

    (void)request;
    list.list = cap_arena_array(list.arena, NODES_SHOWN_MAX, sizeof *list.list);
    if (!list.list)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many nodes to list");
    sched_conduct_nodes(service->conduct, list_node, &list);
    reply->nodes = list.list;
    for (size_t i = 0; i < list.count; i++)
        if (fill_entry(service->links, list.arena, list.list[i]))
            reply->nodes[reply->n_nodes++] = list.list[i];
    return true;
}

static void set_names(struct sched_names names, char ***out, size_t *out_count)
{
    *out = (char **)names.names;
    *out_count = names.count;
}

bool sched_handle_info(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                       Moecap__V1__InfoReply *reply, struct cap_err *err)
{
    static const char *const formats[] = {"text", "chat"};
    struct sched_service *service = cap_rpc_self(call);
    struct sched_known known;
    struct cap_err ignored = {0};

    (void)request;
    (void)err;
    reply->version = MOECAP_VERSION;
    reply->store_address = (char *)service->store_address;
    reply->evaluator_address = (char *)service->evaluator_address;
    reply->started_at_ms = service->started_at_ms;
    set_names(sched_engine_names(), &reply->engines, &reply->n_engines);
    set_names(sched_precision_names(), &reply->precisions, &reply->n_precisions);
    set_names((struct sched_names){formats, CAP_COUNT_OF(formats)}, &reply->prompt_formats,
              &reply->n_prompt_formats);
    if (sched_gather_known(service, cap_rpc_arena(call), &known, &ignored)) {
        set_names(known.tasks, &reply->tasks, &reply->n_tasks);
        set_names(known.models, &reply->models, &reply->n_models);
    }
    return true; /* without the store the rest is still worth knowing */
}
