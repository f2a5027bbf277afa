#include "handlers_rpc.h"
#include "run.h"
#include "store_wire.h"
#include "task.h"

enum { CHUNK_SAMPLES_MAX = 512 };

static bool add_chunk(struct store_task_put *put, const Moecap__V1__PutTaskChunk *chunk,
                      struct cap_err *err)
{
    if (chunk->n_samples + chunk->n_fewshot > CHUNK_SAMPLES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu documents in one message, at most %d",
                        chunk->n_samples + chunk->n_fewshot, CHUNK_SAMPLES_MAX);
    for (size_t i = 0; i < chunk->n_samples; i++)
        if (!store_task_put_add(put, false, chunk->samples[i], err))
            return false;
    for (size_t i = 0; i < chunk->n_fewshot; i++)
        if (!store_task_put_add(put, true, chunk->fewshot[i], err))
            return false;
    return true;
}

static struct store_task_put *open_put(const Moecap__V1__PutTaskChunk *first, struct cap_err *err)
{
    struct store_task task;

    if (!first || !first->task) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "the first message of PutTask holds no task");
        return NULL;
    }
    store_task_from_wire(first->task, &task);
    return store_task_put_open(&task, err);
}

bool store_handle_put_task(struct cap_rpc_call *call, Moecap__V1__PutTaskReply *reply,
                           struct cap_err *err)
{
    Moecap__V1__PutTaskChunk *chunk = store_rpc_put_task_next_request(call);
    CAP_AUTO(store_task_put) put = open_put(chunk, err);
    struct store_task_stored stored;
    struct store_task task;

    for (; put && chunk; chunk = store_rpc_put_task_next_request(call))
        if (!add_chunk(put, chunk, err))
            return false;
    if (!put)
        return false;
    if (cap_rpc_cancelled(call)) /* NULL was not the end of the data */
        return cap_fail(err, CAP_CANCELLED, "the task was not sent to its end");
    if (!store_task_put_end(put, store_pg_of(call), &stored, err) ||
        !store_task_get(store_pg_of(call), stored.task.name, cap_rpc_arena(call), &task, NULL, err))
        return false;
    reply->task = store_task_to_wire(&task, cap_rpc_arena(call));
    reply->replaced = stored.replaced;
    reply->unchanged = stored.unchanged;
    return reply->task || store_fail_full(err);
}

bool store_handle_list_tasks(struct cap_rpc_call *call, const Moecap__V1__ListTasksRequest *request,
                             Moecap__V1__ListTasksReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_task_page page;

    if (!store_task_list(store_pg_of(call), request->after, request->limit,
                         !request->without_definition, arena, &page, err))
        return false;
    reply->tasks = cap_arena_array(arena, page.count + 1, sizeof *reply->tasks);
    for (; reply->tasks && reply->n_tasks < page.count; reply->n_tasks++)
        if (!(reply->tasks[reply->n_tasks] =
                  store_task_to_wire(&page.tasks[reply->n_tasks], arena)))
            return store_fail_full(err);
    if (page.more) {
        reply->opt_next_case = MOECAP__V1__LIST_TASKS_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after = (char *)page.tasks[page.count - 1].name;
    }
    return reply->tasks || store_fail_full(err);
}

bool store_handle_get_task(struct cap_rpc_call *call, const Moecap__V1__GetTaskRequest *request,
                           Moecap__V1__GetTaskReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_docs fewshot = {0};
    struct store_docs *wanted = request->with_fewshot ? &fewshot : NULL;
    struct store_pg *pg = store_pg_of(call);
    struct store_task task;

    if (!(request->task_id > 0
              ? store_task_get_version(pg, request->task_id, arena, &task, wanted, err)
              : store_task_get(pg, request->name, arena, &task, wanted, err)))
        return false;
    reply->task = store_task_to_wire(&task, arena);
    reply->task_id = task.task_id;
    reply->n_fewshot = fewshot.count;
    return (reply->task && store_docs_to_wire(fewshot, arena, &reply->fewshot)) ||
           store_fail_full(err);
}

bool store_handle_read_docs(struct cap_rpc_call *call, const Moecap__V1__ReadDocsRequest *request,
                            Moecap__V1__ReadDocsReply *reply, struct cap_err *err)
{
    struct store_u32s ordinals = {request->ordinals, request->n_ordinals};
    struct store_docs docs;

    if (!store_task_docs(store_pg_of(call), request->task_id, ordinals, cap_rpc_arena(call), &docs,
                         err))
        return false;
    reply->n_docs = docs.count;
    return store_docs_to_wire(docs, cap_rpc_arena(call), &reply->docs) || store_fail_full(err);
}
