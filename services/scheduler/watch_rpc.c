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
        progress.ended = progress.ended && sched_state_ended(views[i].run.state);
    }
    progress.evaluation_id = (char *)evaluation_id;
    progress.runs = list;
    progress.n_runs = count;
    *out_ended = progress.ended;
    return scheduler_rpc_watch_send_reply(call, &progress);
}

static void progress_of_row(const Moecap__V1__BoardRow *row, Moecap__V1__RunProgress *out)
{
    moecap__v1__run_progress__init(out);
    out->run_id = row->run_id;
    out->task = row->task;
    out->repeat = row->repeat;
    out->state = row->state;
    out->reason = row->reason;
    out->node = row->node;
    out->queued_at_ms = row->queued_at_ms;
    out->ended_at_ms = row->ended_at_ms;
    if (!row->spec)
        return;
    out->model = row->spec->model;
    out->engine = row->spec->engine;
    out->precision = row->spec->precision;
}

/* Nobody here knows the id: an evaluation or run that ended before this program started. */
static bool send_from_store(struct cap_rpc_call *call, struct sched_service *service,
                            const char *id, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    Moecap__V1__BoardRequest board = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__GetRunRequest get = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;
    Moecap__V1__BoardReply *rows;
    Moecap__V1__GetRunReply *run;
    Moecap__V1__RunProgress *one, **list;

    if (strncmp(id, "run-", 4) == 0) {
        get.run_id = (char *)id;
        if (!store_rpc_get_run(service->outside.store, NULL, &get, arena, &run, err))
            return false;
        board.evaluation_id = run->row->evaluation_id;
    } else {
        board.evaluation_id = (char *)id;
    }
    board.with_unfinished = true;
    if (!store_rpc_board(service->outside.store, NULL, &board, arena, &rows, err))
        return false;
    list = cap_arena_array(arena, rows->n_rows + 1, sizeof *list);
    for (size_t i = 0; list && i < rows->n_rows; i++) {
        if (strncmp(id, "run-", 4) == 0 && strcmp(rows->rows[i]->run_id, id) != 0)
            continue;
        one = cap_arena_alloc(arena, sizeof *one);
        if (!one)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
        progress_of_row(rows->rows[i], one);
        list[progress.n_runs++] = one;
    }
    if (progress.n_runs == 0)
        return cap_fail(err, CAP_NOT_FOUND, "run or evaluation \"%.64s\" does not exist", id);
    progress.evaluation_id = board.evaluation_id;
    progress.runs = list;
    progress.ended = true;
    scheduler_rpc_watch_send_reply(call, &progress);
    return true;
}

bool sched_handle_watch(struct cap_rpc_call *call, const Moecap__V1__WatchRequest *request,
                        struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    uint64_t version = 0;
    bool ended = false;

    if (!*request->id)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "watch needs the id of a run or an evaluation");
    while (!ended && !cap_rpc_cancelled(call)) {
        struct sched_view *views;
        size_t count = sched_conduct_views(service->conduct, request->id, &views);
        bool sent = count > 0 && send_views(call, views[0].run.evaluation_id, views, count, &ended);

        sched_views_free(views, count);
        if (count == 0)
            return send_from_store(call, service, request->id, err);
        if (!sent)
            break;
        if (service->draining)
            return cap_fail(err, CAP_UNAVAILABLE, "the scheduler is going away");
        if (!ended) {
            cap_sleep_ms(WATCH_PAUSE_MS / 5); /* not more often than people can read */
            sched_conduct_wait(service->conduct, &version, WATCH_PAUSE_MS);
        }
    }
    return true;
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
    Moecap__V1__ListNodesReply *reply;
    int64_t now_ms;
};

static void copy_names(struct cap_arena *arena, const char *const *names, char ***out,
                       size_t *out_count)
{
    size_t count = 0;

    while (names && names[count])
        count++;
    *out = cap_arena_array(arena, count + 1, sizeof **out);
    for (size_t i = 0; *out && i < count; i++)
        (*out)[(*out_count)++] = cap_arena_strdup(arena, names[i]);
}

static void copy_models(struct cap_arena *arena, const char *const *names,
                        Moecap__V1__NodeHello *hello)
{
    size_t count = 0;

    while (names && names[count])
        count++;
    hello->models = cap_arena_array(arena, count + 1, sizeof *hello->models);
    for (size_t i = 0; hello->models && i < count; i++) {
        Moecap__V1__NodeModel *model = cap_arena_alloc(arena, sizeof *model);

        if (!model)
            return;
        moecap__v1__node_model__init(model);
        model->name = cap_arena_strdup(arena, names[i]);
        hello->models[hello->n_models++] = model;
    }
}

static void list_node(void *argument, const struct sched_node *node)
{
    struct node_list *l = argument;
    Moecap__V1__NodeEntry *entry = cap_arena_alloc(l->arena, sizeof *entry);
    Moecap__V1__NodeHello *hello = cap_arena_alloc(l->arena, sizeof *hello);

    if (!entry || !hello || l->reply->n_nodes == NODES_SHOWN_MAX)
        return;
    moecap__v1__node_entry__init(entry);
    moecap__v1__node_hello__init(hello);
    hello->name = cap_arena_strdup(l->arena, node->name);
    hello->any_model_path = node->any_model_path;
    copy_names(l->arena, node->engines, &hello->engines, &hello->n_engines);
    copy_names(l->arena, node->precisions, &hello->precisions, &hello->n_precisions);
    copy_models(l->arena, node->models, hello);
    entry->node_id = cap_arena_strdup(l->arena, node->id);
    entry->hello = hello;
    entry->last_beat_ms_ago = l->now_ms - node->beat_at_ms;
    entry->run_id = cap_arena_strdup(l->arena, node->run_id);
    if (hello->name && entry->node_id && entry->run_id && l->reply->nodes)
        l->reply->nodes[l->reply->n_nodes++] = entry;
}

bool sched_handle_list_nodes(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                             Moecap__V1__ListNodesReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct node_list list = {cap_rpc_arena(call), reply, cap_clock_ms(cap_clock_system())};

    (void)request;
    reply->nodes = cap_arena_array(list.arena, NODES_SHOWN_MAX, sizeof *reply->nodes);
    if (!reply->nodes)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many nodes to list");
    sched_conduct_nodes(service->conduct, list_node, &list);
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
