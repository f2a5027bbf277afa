/* Documents on their way into the store: each gets its uid and adds its bytes to the digest of the
 * data, then waits as a COPY line until the transaction. */
#include "task_put.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store_task_put *store_task_put_open(const struct store_task *task, struct cap_err *err)
{
    CAP_AUTO(store_task_put) put = calloc(1, sizeof *put);

    if (!put)
        abort();
    put->arena = cap_arena_new(4 * (size_t)STORE_DEFINITION_BYTES_MAX);
    put->digest = cap_digest_new();
    put->uids[0] = cap_map_new();
    put->uids[1] = cap_map_new();
    store_copy_init(&put->docs, 2 * (size_t)STORE_TASK_BYTES_MAX);
    if (!store_task_copy_checked(task, put->arena, &put->task, err))
        return NULL;
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

/* 16 hex digits of the text's digest, "-2" and so on behind them for the same text again. */
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
    /* The whole pool goes to the evaluator with each batch of samples. */
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
    return cap_fail_in(err, "task \"%s\", %s %u", put->task.name,
                       fewshot ? "few-shot document" : "document", put->counts[fewshot] + 1);
}
