/* Reading tasks: a list by pages, one version of one task, some of its documents. The current
 * version of a name is what a new evaluation uses; older ones are read by task_id, for the runs
 * that used them.
 */
#include "row_map.h"
#include "run.h"
#include "store.h"

/* ---- ListTasks ---- */

struct list_work {
    const Moecap__V1__ListTasksRequest *request;
    uint32_t limit;
    struct cap_arena *arena;
    Moecap__V1__ListTasksReply *reply;
};

static bool list_tasks(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct list_work *work = arg;
    struct store_cut cut = {.rows_max = work->limit, .bytes_max = STORE_TASKS_BYTES_MAX};
    const char *sql = work->request->without_definition
                          ? "SELECT {task.base t} FROM task t WHERE current AND ($1 = '' OR name >"
                            " $1) ORDER BY name LIMIT $2"
                          : "SELECT {task t} FROM task t WHERE current AND ($1 = '' OR name > $1)"
                            " ORDER BY name LIMIT $2";
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err, sql,
        STORE_ARGS(store_arg_text(work->request->after), store_arg_int((int64_t)work->limit + 1)));

    moecap__v1__list_tasks_reply__init(work->reply);
    if (!rows ||
        !(work->reply->tasks = store_rows_list(rows, &moecap__v1__task_info__descriptor, &cut,
                                               work->arena, &work->reply->n_tasks, err)))
        return false;
    if (cut.more) {
        work->reply->opt_next_case = MOECAP__V1__LIST_TASKS_REPLY__OPT_NEXT_NEXT_AFTER;
        work->reply->next_after = work->reply->tasks[work->reply->n_tasks - 1]->name;
    }
    return true;
}

bool store_list_tasks(struct store_pg *pg, const Moecap__V1__ListTasksRequest *request,
                      struct cap_arena *arena, Moecap__V1__ListTasksReply *reply,
                      struct cap_err *err)
{
    struct list_work work = {request, request->limit ? request->limit : STORE_TASKS_MAX, arena,
                             reply};

    return store_check_limit(request->limit, STORE_TASKS_MAX, err) &&
           store_pg_tx(pg, STORE_TX_READ, list_tasks, &work, err);
}

/* ---- GetTask ---- */

struct get_work {
    const Moecap__V1__GetTaskRequest *request;
    struct cap_arena *arena;
    Moecap__V1__GetTaskReply *reply;
};

static bool check_pool_fits(struct store_conn *conn, const struct get_work *work,
                            struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT 1 FROM task_sample WHERE task_id = $1 AND fewshot"
                     " HAVING sum(octet_length(doc::text)) > $2",
                     STORE_ARGS(store_arg_uint(work->reply->task_id),
                                store_arg_int(STORE_POOL_WHOLE_BYTES_MAX)));

    if (rows && store_rows_count(rows) > 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the few-shot pool has more than %d MiB: read it in pieces, by ReadDocs",
                        STORE_POOL_WHOLE_BYTES_MAX >> 20);
    return rows != NULL;
}

static bool get_fewshot(struct store_conn *conn, const struct get_work *work, struct cap_err *err)
{
    if (!check_pool_fits(conn, work, err))
        return false;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT {doc d} FROM task_sample d WHERE task_id = $1 AND fewshot"
                     " ORDER BY ordinal",
                     STORE_ARGS(store_arg_uint(work->reply->task_id)));

    return rows &&
           (work->reply->fewshot = store_rows_list(rows, &moecap__v1__task_doc__descriptor, NULL,
                                                   work->arena, &work->reply->n_fewshot, err));
}

static bool get_task(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct get_work *work = arg;
    const Moecap__V1__GetTaskRequest *request = work->request;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT t.task_id AS task_id, {task t task.} FROM task t WHERE"
                     " CASE WHEN $2::bigint > 0 THEN task_id = $2 ELSE name = $1 AND current END",
                     STORE_ARGS(store_arg_text(request->name), store_arg_uint(request->task_id)));

    moecap__v1__get_task_reply__init(work->reply);
    if (!rows)
        return false;
    if (store_rows_count(rows) == 0 && request->task_id > 0)
        return cap_fail(err, CAP_NOT_FOUND, "task %llu does not exist",
                        (unsigned long long)request->task_id);
    if (store_rows_count(rows) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "task \"%.128s\" does not exist", request->name);
    return store_row_fill(rows, 0, &work->reply->base, work->arena, err) &&
           (!request->with_fewshot || get_fewshot(conn, work, err));
}

bool store_get_task(struct store_pg *pg, const Moecap__V1__GetTaskRequest *request,
                    struct cap_arena *arena, Moecap__V1__GetTaskReply *reply, struct cap_err *err)
{
    struct get_work work = {request, arena, reply};

    return store_pg_tx(pg, STORE_TX_READ, get_task, &work, err);
}

/* ---- ReadDocs ---- */

struct docs_work {
    const Moecap__V1__ReadDocsRequest *request;
    const char *ordinals; /* as an array */
    struct cap_arena *arena;
    Moecap__V1__ReadDocsReply *reply;
};

static bool read_docs(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct docs_work *work = arg;
    const Moecap__V1__ReadDocsRequest *request = work->request;
    Moecap__V1__ReadDocsReply *reply = work->reply;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT {doc d} FROM unnest($2::bigint[]) WITH ORDINALITY AS u(o, i)"
                     " JOIN task_sample d ON task_id = $1 AND NOT fewshot AND ordinal = o"
                     " ORDER BY i",
                     STORE_ARGS(store_arg_uint(request->task_id), store_arg_text(work->ordinals)));

    if (!rows || !(reply->docs = store_rows_list(rows, &moecap__v1__task_doc__descriptor, NULL,
                                                 work->arena, &reply->n_docs, err)))
        return false;
    for (size_t i = 0; i < request->n_ordinals; i++)
        if (i >= reply->n_docs || reply->docs[i]->ordinal != request->ordinals[i])
            return cap_fail(err, CAP_NOT_FOUND, "task %llu has no sample %u",
                            (unsigned long long)request->task_id, request->ordinals[i]);
    return true;
}

static bool read_pool(struct store_conn *conn, void *arg, struct cap_err *err)
{
    const struct docs_work *work = arg;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT {doc d} FROM"
        " (SELECT *, sum(octet_length(doc::text)) OVER (ORDER BY ordinal) AS bytes"
        "   FROM task_sample WHERE task_id = $1 AND fewshot AND ordinal >= $2"
        "   ORDER BY ordinal LIMIT $3) d"
        " WHERE bytes <= $4 OR ordinal = $2 ORDER BY ordinal",
        STORE_ARGS(store_arg_uint(work->request->task_id), store_arg_uint(work->request->pool_from),
                   store_arg_int(STORE_DOCS_READ_MAX), store_arg_int(STORE_POOL_PIECE_BYTES)));

    return rows &&
           (work->reply->docs = store_rows_list(rows, &moecap__v1__task_doc__descriptor, NULL,
                                                work->arena, &work->reply->n_docs, err));
}

bool store_read_docs(struct store_pg *pg, const Moecap__V1__ReadDocsRequest *request,
                     struct cap_arena *arena, Moecap__V1__ReadDocsReply *reply, struct cap_err *err)
{
    struct docs_work work = {.request = request, .arena = arena, .reply = reply};
    CAP_AUTO_BUF(ordinals, 12 * (STORE_DOCS_READ_MAX + 1));

    if (request->opt_pool_case == MOECAP__V1__READ_DOCS_REQUEST__OPT_POOL_POOL_FROM)
        return store_pg_tx(pg, STORE_TX_READ, read_pool, &work, err);
    if (request->n_ordinals > STORE_DOCS_READ_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu documents asked for, at most %d a call",
                        request->n_ordinals, STORE_DOCS_READ_MAX);
    store_add_u32s(&ordinals, request->ordinals, request->n_ordinals);
    work.ordinals = ordinals.data;
    return store_pg_tx(pg, STORE_TX_READ, read_docs, &work, err);
}
