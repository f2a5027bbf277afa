/* A task on its way into the store: its documents come one by one. Each gets its uid and adds its
 * bytes to the digest of the data, then waits as a COPY line until the transaction at the end.
 *
 * A task is (name, definition, data): put again with the same three nothing changes; with others
 * the new row becomes current and the old one stays for the runs that used it. Of two that put
 * tasks of one name at once, the second waits (an advisory lock on the name) and then replaces the
 * first.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "digest/digest.h"
#include "pg.h"
#include "rpc/rpc.h"
#include "store.h"

struct store_task_put {
    struct cap_arena *arena; /* of `task` */
    Moecap__V1__TaskInfo *task;
    struct cap_digest *digest;
    /* of the samples, of the few-shot pool: uid -> number of the document */
    struct cap_map *uids[2];
    uint32_t counts[2];
    size_t bytes, fewshot_bytes; /* of all documents, and of the few-shot pool */
    struct store_copy docs;      /* fewshot, ordinal, uid, doc */
};

/* ---- the description ---- */

static bool check_metrics(const Moecap__V1__TaskInfo *task, struct cap_err *err)
{
    if (task->n_metrics > STORE_TASK_METRICS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "task \"%s\" has %zu metrics, at most %d",
                        task->name, task->n_metrics, STORE_TASK_METRICS_MAX);
    for (size_t i = 0; i < task->n_metrics; i++)
        if (!*task->metrics[i] || strchr(task->metrics[i], '\n'))
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "task \"%s\": a metric's name has one line and is not empty",
                            task->name);
    return true;
}

static bool check_task(const Moecap__V1__TaskInfo *task, struct cap_err *err)
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

struct store_task_put *store_task_put_open(const Moecap__V1__TaskInfo *task, struct cap_err *err)
{
    CAP_AUTO(store_task_put) put = calloc(1, sizeof *put);

    if (!put)
        abort();
    put->arena = cap_arena_new(4 * (size_t)STORE_DEFINITION_BYTES_MAX);
    put->digest = cap_digest_new();
    put->uids[0] = cap_map_new();
    put->uids[1] = cap_map_new();
    store_copy_init(&put->docs, 2 * (size_t)STORE_TASK_BYTES_MAX);
    if (!check_task(task, err))
        return NULL;
    put->task = (Moecap__V1__TaskInfo *)cap_rpc_copy(&task->base, put->arena);
    if (!put->task) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "the description of the task is too large");
        return NULL;
    }
    return cap_take(put);
}

void store_task_put_free(struct store_task_put *put)
{
    if (!put)
        return;
    store_copy_done(&put->docs);
    cap_map_free(put->uids[0]);
    cap_map_free(put->uids[1]);
    cap_digest_free(put->digest);
    cap_arena_free(put->arena);
    free(put);
}

/* ---- uids ---- */

enum { UID_BYTES = STORE_UID_BYTES_MAX + 1 };

/* The document's own id, if it has one; false when that cannot be a uid. */
static bool own_uid(const json_t *doc, char uid[UID_BYTES], struct cap_err *err)
{
    const json_t *id = json_object_get(doc, "id");

    uid[0] = '\0';
    if (json_is_integer(id))
        snprintf(uid, UID_BYTES, "%" PRId64, (int64_t)json_integer_value(id));
    if (!json_is_string(id) || json_string_length(id) == 0)
        return true;
    if (json_string_length(id) > STORE_UID_BYTES_MAX ||
        memchr(json_string_value(id), '\0', json_string_length(id)))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the id has %zu bytes, at most %d and no U+0000",
                        json_string_length(id), STORE_UID_BYTES_MAX);
    snprintf(uid, UID_BYTES, "%s", json_string_value(id));
    return true;
}

/* 16 hex digits of the text's digest, "-2" and so on after them for the same text again. */
static void made_uid(const struct cap_map *taken, const char *json, char uid[UID_BYTES])
{
    char hex[CAP_SHA256_HEX_BYTES];

    cap_sha256_hex(json, strlen(json), hex);
    snprintf(uid, UID_BYTES, "%.16s", hex);
    for (int n = 2; cap_map_get(taken, uid); n++)
        snprintf(uid, UID_BYTES, "%.16s-%d", hex, n);
}

static bool choose_uid(struct cap_map *taken, const json_t *doc, const char *json,
                       char uid[UID_BYTES], struct cap_err *err)
{
    size_t number = cap_map_count(taken) + 1;
    void *before;

    if (!own_uid(doc, uid, err))
        return false;
    if (!*uid)
        made_uid(taken, json, uid);
    /* The values are the documents' numbers from 1, as pointers. */
    before = cap_map_get(taken, uid);
    if (before)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has the id \"%s\" of document %zu", uid,
                        (size_t)(uintptr_t)before);
    cap_map_put(taken, uid, (void *)(uintptr_t)number);
    return true;
}

/* ---- documents ---- */

static bool check_size(const struct store_task_put *put, bool fewshot, size_t length,
                       struct cap_err *err)
{
    if (fewshot && put->fewshot_bytes + length > STORE_FEWSHOT_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the few-shot pool exceeds %d bytes: keep fewer examples",
                        STORE_FEWSHOT_BYTES_MAX);
    if (length > STORE_DOC_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it has %zu bytes, at most %d", length,
                        STORE_DOC_BYTES_MAX);
    if (put->bytes + length > STORE_TASK_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the task's data exceed %d bytes",
                        STORE_TASK_BYTES_MAX);
    if (put->counts[0] + put->counts[1] >= STORE_TASK_DOCS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the task has more than %d documents",
                        STORE_TASK_DOCS_MAX);
    return true;
}

static json_t *parse_object(const char *json, size_t length, struct cap_err *err)
{
    json_error_t where;
    json_t *doc = json_loadb(json, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);

    if (doc && json_is_object(doc))
        return doc;
    if (doc)
        cap_fail(err, CAP_INVALID_ARGUMENT, "it is not a JSON object");
    else
        cap_fail(err, CAP_INVALID_ARGUMENT, "%.200s, line %d column %d", where.text, where.line,
                 where.column);
    json_decref(doc);
    return NULL;
}

static void keep(struct store_task_put *put, bool fewshot, const char *uid, const char *json,
                 size_t length)
{
    char head[32];

    snprintf(head, sizeof head, "%c%zu:", fewshot ? 'f' : 's', length);
    cap_digest_add(put->digest, head, strlen(head));
    cap_digest_add(put->digest, json, length);
    store_copy_bool(&put->docs, fewshot);
    store_copy_uint(&put->docs, put->counts[fewshot]++);
    store_copy_str(&put->docs, uid);
    store_copy_text(&put->docs, json, length);
    store_copy_end_row(&put->docs);
    put->bytes += length;
    put->fewshot_bytes += fewshot ? length : 0;
}

static bool add(struct store_task_put *put, bool fewshot, const char *json, struct cap_err *err)
{
    size_t length = strlen(json);
    char uid[UID_BYTES];
    json_t *doc;
    bool ok;

    if (!check_size(put, fewshot, length, err) || !(doc = parse_object(json, length, err)))
        return false;
    ok = choose_uid(put->uids[fewshot], doc, json, uid, err);
    json_decref(doc);
    if (ok)
        keep(put, fewshot, uid, json, length);
    return ok;
}

bool store_task_put_add(struct store_task_put *put, bool fewshot, const char *json,
                        struct cap_err *err)
{
    if (add(put, fewshot, json, err))
        return true;
    return cap_fail_in(err, "task \"%s\", %s %u", put->task->name,
                       fewshot ? "few-shot document" : "document", put->counts[fewshot] + 1);
}

/* ---- the transaction ---- */

struct put_work {
    struct store_task_put *put;
    bool replaced, unchanged;
};

static bool is_current(struct store_conn *conn, const Moecap__V1__TaskInfo *task, bool *out_current,
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

static const char *join_metrics(const Moecap__V1__TaskInfo *task, struct cap_arena *arena)
{
    CAP_AUTO_BUF(text, 1 << 20);

    for (size_t i = 0; i < task->n_metrics; i++)
        cap_buf_printf(&text, i ? "\n%s" : "%s", task->metrics[i]);
    return cap_arena_strdup(arena, text.data);
}

/* The row of (name, definition, data), made current; changed is 0 when it was there before. */
static struct store_rows *put_row(struct store_conn *conn, const struct store_task_put *put,
                                  struct cap_err *err)
{
    const Moecap__V1__TaskInfo *t = put->task;

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
    Moecap__V1__TaskInfo *task = work->put->task;

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

bool store_task_put_end(struct store_task_put *put, struct store_pg *pg, struct cap_arena *arena,
                        Moecap__V1__PutTaskReply *reply, struct cap_err *err)
{
    Moecap__V1__GetTaskRequest get = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__GetTaskReply got = MOECAP__V1__GET_TASK_REPLY__INIT;
    struct put_work work = {.put = put};
    uint8_t sha256[CAP_SHA256_BYTES];
    char hex[CAP_SHA256_HEX_BYTES];

    if (put->counts[0] == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "task \"%s\" has no documents", put->task->name);
    if (put->docs.lines.overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the data of task \"%s\" are too large",
                        put->task->name);
    cap_digest_end(put->digest, sha256);
    cap_hex(sha256, sizeof sha256, hex);
    put->task->data_sha256 = hex;
    if (!store_pg_tx(pg, STORE_TX_WRITE, put_task, &work, err))
        return cap_fail_in(err, "store task \"%s\"", put->task->name);
    reply->replaced = work.replaced;
    reply->unchanged = work.unchanged;
    get.name = put->task->name;
    if (!store_get_task(pg, &get, arena, &got, err))
        return false;
    reply->task = got.task;
    return true;
}
