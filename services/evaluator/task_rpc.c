#include <string.h>

#include "digest/digest.h"
#include "handlers_rpc.h"
#include "keys.h"
#include "task_read.h"

static bool files_from_wire(const Moecap__V1__ReadTaskRequest *request,
                            struct eval_task_file out[EVAL_TASK_FILES_MAX], struct cap_err *err)
{
    if (request->n_files > EVAL_TASK_FILES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a task has at most %d files",
                        EVAL_TASK_FILES_MAX);
    if (!*request->main)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "main names no file");
    for (size_t i = 0; i < request->n_files; i++)
        out[i] = (struct eval_task_file){request->files[i]->name, request->files[i]->text.data,
                                         request->files[i]->text.len};
    return true;
}

static bool metrics_to_wire(struct cap_rpc_call *call, const struct eval_task *task,
                            Moecap__V1__TaskInfo *wire)
{
    wire->metrics = EVAL_WIRE_LIST(call, char, task->column_count);
    if (!wire->metrics)
        return false;
    for (size_t i = 0; i < task->column_count; i++)
        if (!(wire->metrics[wire->n_metrics++] =
                  cap_arena_strdup(cap_rpc_arena(call), task->columns[i].id)))
            return false;
    return true;
}

/* The description as written: it may be a template. */
static const char *description_of(const struct eval_task *task)
{
    const char *text = json_string_value(json_object_get(task->definition, "description"));

    return text ? text : "";
}

static bool task_to_wire(struct cap_rpc_call *call, const struct eval_task_source *source,
                         Moecap__V1__TaskInfo *wire)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    const struct eval_task *task = source->task;
    char sha256[CAP_SHA256_HEX_BYTES];

    cap_sha256_hex(source->definition, strlen(source->definition), sha256);
    wire->name = cap_arena_strdup(arena, task->name);
    wire->version = cap_arena_strdup(arena, task->version);
    wire->output_type = (char *)eval_output_name(task->output);
    wire->definition = cap_arena_strdup(arena, source->definition);
    wire->definition_sha256 = cap_arena_strdup(arena, sha256);
    wire->samples_file = cap_arena_strdup(arena, task->samples_file);
    wire->fewshot_file = cap_arena_strdup(arena, task->fewshot_file);
    wire->split = cap_arena_strdup(arena, task->split);
    wire->num_fewshot = (uint32_t)task->num_fewshot;
    wire->description = cap_arena_strdup(arena, description_of(task));
    return wire->name && wire->version && wire->definition && wire->definition_sha256 &&
           wire->samples_file && wire->fewshot_file && wire->split && wire->description &&
           metrics_to_wire(call, task, wire);
}

static bool missing_to_wire(struct cap_rpc_call *call, const struct eval_task_source *source,
                            Moecap__V1__ReadTaskReply *reply)
{
    reply->missing_files = EVAL_WIRE_LIST(call, char, source->missing_count);
    if (!reply->missing_files)
        return false;
    for (size_t i = 0; i < source->missing_count; i++)
        if (!(reply->missing_files[reply->n_missing_files++] =
                  cap_arena_strdup(cap_rpc_arena(call), source->missing[i])))
            return false;
    return true;
}

bool eval_handle_read_task(struct cap_rpc_call *call, const Moecap__V1__ReadTaskRequest *request,
                           Moecap__V1__ReadTaskReply *reply, struct cap_err *err)
{
    struct eval_task_file files[EVAL_TASK_FILES_MAX];
    struct eval_task_source source;
    bool ok;

    if (!files_from_wire(request, files, err) ||
        !eval_task_read(request->main, files, request->n_files, &source, err))
        return false;
    if (source.task) {
        ok = (reply->task = EVAL_WIRE(call, Moecap__V1__TaskInfo)) != NULL;
        if (ok) {
            moecap__v1__task_info__init(reply->task);
            ok = task_to_wire(call, &source, reply->task);
        }
        eval_count(EVAL_COUNTER_tasks_read_total, 1);
    } else {
        ok = missing_to_wire(call, &source, reply);
    }
    eval_task_source_done(&source);
    return ok || eval_fail_full(err);
}
