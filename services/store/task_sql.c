#include "task.h"

#include <string.h>

#include "pg.h"
#include "run.h"
#include "task_put.h"

/* ---- checks ---- */

static bool check_metrics(const struct store_task *task, struct cap_err *err)
{
    if (task->metric_count > STORE_TASK_METRICS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "task \"%s\" has %zu metrics, at most %d",
                        task->name, task->metric_count, STORE_TASK_METRICS_MAX);
    for (size_t i = 0; i < task->metric_count; i++)
        if (!*task->metrics[i] || strchr(task->metrics[i], '\n'))
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "task \"%s\": a metric's name has one line and is not empty",
                            task->name);
    return true;
}

static bool check_task(const struct store_task *task, struct cap_err *err)
{
    char sha256[CAP_SHA256_HEX_BYTES];

    if (!*task->name || strlen(task->name) > STORE_TASK_NAME_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a task's name has 1 to %d bytes",
                        STORE_TASK_NAME_BYTES_MAX);
    if (strlen(task->definition) > STORE_DEFINITION_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the definition of task \"%s\" has %zu bytes, at most %d", task->name,
                        strlen(task->definition), STORE_DEFINITION_BYTES_MAX);
    cap_sha256_hex(task->definition, strlen(task->definition), sha256);
    if (strcmp(sha256, task->definition_sha256) != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "definition_sha256 of task \"%s\" is not that of its definition",
                        task->name);
    return check_metrics(task, err);
}

bool store_task_copy_checked(const struct store_task *task, struct cap_arena *arena,
                             struct store_task *out_task, struct cap_err *err)
{
    const char **texts[] = {
        &out_task->name,         &out_task->version,      &out_task->output_type,
        &out_task->definition,   &out_task->split,        &out_task->definition_sha256,
        &out_task->samples_file, &out_task->fewshot_file, &out_task->description};

    if (!check_task(task, err))
        return false;
    *out_task = *task;
    for (size_t i = 0; i < CAP_COUNT_OF(texts); i++)
        if (!(*texts[i] = cap_arena_strdup(arena, *texts[i])))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "the description of the task is too large");
    out_task->metrics = cap_arena_array(arena, task->metric_count + 1, sizeof *out_task->metrics);
    for (size_t i = 0; out_task->metrics && i < task->metric_count; i++)
        out_task->metrics[i] = cap_arena_strdup(arena, task->metrics[i]);
    return true;
}

/* ---- put ---- */

struct put_work {
    struct store_task_put *put;
    bool replaced, unchanged;
};

static bool is_current(struct store_conn *conn, const struct store_task *task, bool *out_current,
                       bool *out_any, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT definition_sha256 = $2 AND data_sha256 = $3 FROM task"
                     " WHERE name = $1 AND current",
                     STORE_ARGS(store_arg_text(task->name), store_arg_text(task->definition_sha256),
                                store_arg_text(task->data_sha256)));

    if (!rows)
        return false;
    *out_any = store_rows_count(rows) > 0;
    *out_current = *out_any && store_rows_bool(rows, 0, 0);
    return true;
}

static const char *join_metrics(const struct store_task *task, struct cap_arena *arena)
{
    CAP_AUTO_BUF(text, 1 << 20);

    for (size_t i = 0; i < task->metric_count; i++)
        cap_buf_printf(&text, i ? "\n%s" : "%s", task->metrics[i]);
    return cap_arena_strdup(arena, text.data);
}

/* The row of (name, definition, data), made current; changed is 0 when it was there before. */
static struct store_rows *put_row(struct store_conn *conn, const struct store_task_put *put,
                                  struct cap_err *err)
{
    const struct store_task *t = &put->task;

    return store_pg_ask(
        conn, err,
        "INSERT INTO task (name, version, output_type, definition, definition_sha256, samples_file,"
        " fewshot_file, split, num_fewshot, metrics, description, samples, fewshot, data_sha256,"
        " current) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
        " coalesce(string_to_array($10, E'\\n'), '{}'), $11, $12, $13, $14, true)"
        " ON CONFLICT (name, definition_sha256, data_sha256) DO UPDATE SET current = true"
        " RETURNING task_id, xmax = 0", /* xmax = 0: the row is new */
        STORE_ARGS(store_arg_text(t->name), store_arg_text(t->version),
                   store_arg_text(t->output_type), store_arg_text(t->definition),
                   store_arg_text(t->definition_sha256), store_arg_text(t->samples_file),
                   store_arg_text(t->fewshot_file), store_arg_text(t->split),
                   store_arg_int(t->num_fewshot), store_arg_text(join_metrics(t, put->arena)),
                   store_arg_text(t->description), store_arg_int(put->counts[0]),
                   store_arg_int(put->counts[1]), store_arg_text(t->data_sha256)));
}

/* COPY has no place for a constant: the documents pass through a table of the transaction. */
static bool put_docs(struct store_conn *conn, const struct store_task_put *put, int64_t task_id,
                     struct cap_err *err)
{
    return store_pg_script(conn,
                           "CREATE TEMPORARY TABLE new_doc (fewshot boolean, ordinal integer,"
                           " uid text, doc text) ON COMMIT DROP",
                           err) &&
           store_pg_copy(conn, "COPY new_doc (fewshot, ordinal, uid, doc) FROM STDIN",
                         put->docs.lines.data, put->docs.lines.length, err) &&
           store_pg_do(conn, err,
                       "INSERT INTO task_sample (task_id, fewshot, ordinal, uid, doc)"
                       " SELECT $1::bigint, fewshot, ordinal, uid, doc FROM new_doc",
                       STORE_ARGS(store_arg_int(task_id)));
}

static bool put_task(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct put_work *work = arg;
    struct store_task *task = &work->put->task;

    if (!store_pg_do(conn, err, "SELECT pg_advisory_xact_lock(hashtextextended('task ' || $1, 0))",
                     STORE_ARGS(store_arg_text(task->name))) ||
        !is_current(conn, task, &work->unchanged, &work->replaced, err))
        return false;
    work->replaced = work->replaced && !work->unchanged;
    if (work->unchanged)
        return true;
    if (!store_pg_do(conn, err, "UPDATE task SET current = false WHERE name = $1 AND current",
                     STORE_ARGS(store_arg_text(task->name))))
        return false;
    CAP_AUTO(store_rows) row = put_row(conn, work->put, err);
    if (!row)
        return false;
    return !store_rows_bool(row, 0, 1) || put_docs(conn, work->put, store_rows_int(row, 0, 0), err);
}

bool store_task_put_end(struct store_task_put *put, struct store_pg *pg,
                        struct store_task_stored *out_stored, struct cap_err *err)
{
    struct put_work work = {.put = put};
    uint8_t sha256[CAP_SHA256_BYTES];
    char hex[CAP_SHA256_HEX_BYTES];

    if (put->counts[0] == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "task \"%s\" has no documents", put->task.name);
    if (put->docs.lines.overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the data of task \"%s\" are too large",
                        put->task.name);
    cap_digest_end(put->digest, sha256);
    cap_hex(sha256, sizeof sha256, hex);
    put->task.data_sha256 = cap_arena_strdup(put->arena, hex);
    put->task.samples = put->counts[0];
    put->task.fewshot_samples = put->counts[1];
    if (!store_pg_tx(pg, STORE_TX_WRITE, put_task, &work, err))
        return cap_fail_in(err, "store task \"%s\"", put->task.name);
    *out_stored = (struct store_task_stored){put->task, work.replaced, work.unchanged};
    return true;
}

/* ---- reads ---- */

static size_t count_lines(const char *text)
{
    size_t count = *text != '\0';

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static bool split_metrics(char *text, struct cap_arena *arena, struct store_task *task)
{
    char *line;

    if (!text)
        return false;
    task->metric_count = 0;
    task->metrics = cap_arena_array(arena, count_lines(text) + 1, sizeof *task->metrics);
    while (task->metrics && *text && (line = strsep(&text, "\n"))) {
        task->metrics[task->metric_count++] = line;
        if (!text)
            break;
    }
    return task->metrics != NULL;
}

bool store_task_read(const struct store_rows *rows, size_t row, int column, struct cap_arena *arena,
                     struct store_task *out_task)
{
    struct store_task t = {
        .task_id = (uint64_t)store_rows_int(rows, row, column),
        .num_fewshot = store_rows_u32(rows, row, column + 9),
        .samples = store_rows_u32(rows, row, column + 12),
        .fewshot_samples = store_rows_u32(rows, row, column + 14),
    };
    const char **texts[] = {
        &t.name,         &t.version,      &t.output_type, &t.definition, &t.definition_sha256,
        &t.samples_file, &t.fewshot_file, &t.split};

    for (int i = 0; i < (int)CAP_COUNT_OF(texts); i++)
        if (!(*texts[i] = store_rows_text_copy(rows, row, column + 1 + i, arena)))
            return false;
    t.description = store_rows_text_copy(rows, row, column + 11, arena);
    t.data_sha256 = store_rows_text_copy(rows, row, column + 13, arena);
    if (!t.description || !t.data_sha256 ||
        !split_metrics(store_rows_text_copy(rows, row, column + 10, arena), arena, &t))
        return false;
    *out_task = t;
    return true;
}

struct read_work {
    struct cap_arena *arena;
    const char *name;
    struct store_task *tasks;
    size_t count;
    bool with_fewshot;
    struct store_docs docs;
    uint64_t task_id; /* 0: the current version of that name */
};

struct list_work {
    const char *after;
    uint32_t limit;
    bool with_definition;
    struct cap_arena *arena;
    struct store_task_page page;
};

static bool read_list(struct list_work *work, const struct store_rows *rows, struct cap_err *err)
{
    struct store_task_page *page = &work->page;
    size_t count = store_rows_count(rows), before = cap_arena_used(work->arena);

    *page = (struct store_task_page){
        .tasks = cap_arena_array(work->arena, count + 1, sizeof *page->tasks)};
    for (; page->tasks && page->count < count && page->count < work->limit; page->count++) {
        if (page->count > 0 && cap_arena_used(work->arena) - before > STORE_TASKS_BYTES_MAX)
            break;
        if (!store_task_read(rows, page->count, 0, work->arena, &page->tasks[page->count]))
            return store_fail_full(err);
    }
    page->more = page->count < count;
    return page->tasks || store_fail_full(err);
}

static bool list_tasks(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct list_work *work = arg;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err,
        "SELECT " STORE_TASK_COLUMNS " FROM"
        " (SELECT task_id, name, version, output_type, CASE WHEN $3::boolean"
        "   THEN definition ELSE '' END AS definition, definition_sha256,"
        "   samples_file, fewshot_file, split, num_fewshot, metrics, description,"
        "   samples, data_sha256, fewshot FROM task"
        "  WHERE current AND ($1 = '' OR name > $1) ORDER BY name LIMIT $2) t"
        " ORDER BY name",
        STORE_ARGS(store_arg_text(work->after), store_arg_int((int64_t)work->limit + 1),
                   store_arg_bool(work->with_definition)));

    return rows && read_list(work, rows, err);
}

bool store_task_list(struct store_pg *pg, const char *after, uint32_t limit, bool with_definition,
                     struct cap_arena *arena, struct store_task_page *out_page, struct cap_err *err)
{
    struct list_work work = {.after = after,
                             .limit = limit ? limit : STORE_TASKS_MAX,
                             .with_definition = with_definition,
                             .arena = arena};

    if (limit > STORE_TASKS_MAX)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "limit", "limit is %u, at most %d", limit,
                              STORE_TASKS_MAX);
    if (!store_pg_tx(pg, STORE_TX_READ, list_tasks, &work, err))
        return false;
    *out_page = work.page;
    return true;
}

/* Rows of ordinal, uid, doc. */
static bool read_docs(const struct store_rows *rows, struct cap_arena *arena,
                      struct store_docs *out_docs, struct cap_err *err)
{
    size_t count = store_rows_count(rows);
    struct store_doc *docs = cap_arena_array(arena, count + 1, sizeof *docs);

    for (size_t i = 0; docs && i < count; i++) {
        docs[i] =
            (struct store_doc){store_rows_u32(rows, i, 0), store_rows_text_copy(rows, i, 1, arena),
                               store_rows_text_copy(rows, i, 2, arena)};
        if (!docs[i].uid || !docs[i].json)
            return store_fail_full(err);
    }
    if (!docs)
        return store_fail_full(err);
    *out_docs = (struct store_docs){docs, count};
    return true;
}

static bool get_fewshot(struct store_conn *conn, struct read_work *work, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT ordinal, uid, doc FROM task_sample WHERE task_id = $1 AND fewshot"
                     " ORDER BY ordinal",
                     STORE_ARGS(store_arg_uint(work->tasks->task_id)));

    return rows && read_docs(rows, work->arena, &work->docs, err);
}

static bool get_task(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct read_work *work = arg;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT " STORE_TASK_COLUMNS " FROM task t WHERE"
                     " CASE WHEN $2::bigint > 0 THEN task_id = $2 ELSE name = $1 AND current END",
                     STORE_ARGS(store_arg_text(work->name), store_arg_uint(work->task_id)));

    if (!rows)
        return false;
    if (store_rows_count(rows) == 0 && work->task_id > 0)
        return cap_fail(err, CAP_NOT_FOUND, "task %llu does not exist",
                        (unsigned long long)work->task_id);
    if (store_rows_count(rows) == 0)
        return cap_fail(err, CAP_NOT_FOUND, "task \"%.128s\" does not exist", work->name);
    if (!store_task_read(rows, 0, 0, work->arena, work->tasks))
        return store_fail_full(err);
    return !work->with_fewshot || get_fewshot(conn, work, err);
}

static bool run_get(struct store_pg *pg, struct read_work *work, struct store_task *out_task,
                    struct store_docs *out_fewshot, struct cap_err *err)
{
    work->tasks = cap_arena_alloc(work->arena, sizeof *work->tasks);
    work->with_fewshot = out_fewshot != NULL;
    if (!work->tasks)
        return store_fail_full(err);
    if (!store_pg_tx(pg, STORE_TX_READ, get_task, work, err))
        return false;
    *out_task = *work->tasks;
    if (out_fewshot)
        *out_fewshot = work->docs;
    return true;
}

bool store_task_get(struct store_pg *pg, const char *name, struct cap_arena *arena,
                    struct store_task *out_task, struct store_docs *out_fewshot,
                    struct cap_err *err)
{
    struct read_work work = {.arena = arena, .name = name};

    return run_get(pg, &work, out_task, out_fewshot, err);
}

bool store_task_get_version(struct store_pg *pg, uint64_t task_id, struct cap_arena *arena,
                            struct store_task *out_task, struct store_docs *out_fewshot,
                            struct cap_err *err)
{
    struct read_work work = {.arena = arena, .name = "", .task_id = task_id};

    return run_get(pg, &work, out_task, out_fewshot, err);
}

struct docs_work {
    struct cap_arena *arena;
    uint64_t task_id;
    struct store_u32s ordinals;
    struct store_docs docs;
};

static bool get_docs(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct docs_work *work = arg;
    const char *ordinals =
        store_u32s_literal(work->arena, work->ordinals.items, work->ordinals.count);
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err,
                     "SELECT o, uid, doc FROM unnest($2::bigint[]) WITH ORDINALITY AS u(o, i)"
                     " JOIN task_sample ON task_id = $1 AND NOT fewshot AND ordinal = o ORDER BY i",
                     STORE_ARGS(store_arg_uint(work->task_id), store_arg_text(ordinals)));

    if (!rows || !read_docs(rows, work->arena, &work->docs, err))
        return false;
    for (size_t i = 0; i < work->ordinals.count; i++)
        if (i >= work->docs.count || work->docs.items[i].ordinal != work->ordinals.items[i])
            return cap_fail(err, CAP_NOT_FOUND, "task %llu has no sample %u",
                            (unsigned long long)work->task_id, work->ordinals.items[i]);
    return true;
}

bool store_task_docs(struct store_pg *pg, uint64_t task_id, struct store_u32s ordinals,
                     struct cap_arena *arena, struct store_docs *out_docs, struct cap_err *err)
{
    struct docs_work work = {arena, task_id, ordinals, {0}};

    if (ordinals.count > STORE_DOCS_READ_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%zu documents asked for, at most %d a call",
                        ordinals.count, STORE_DOCS_READ_MAX);
    if (!store_pg_tx(pg, STORE_TX_READ, get_docs, &work, err))
        return false;
    *out_docs = work.docs;
    return true;
}
