/* task.h — tasks and their documents.
 *
 * A task is kept once per (name, definition, data); the newest of a name is current, the older ones
 * stay for the runs that used them. New data comes in pieces into a store_task_put, which gives
 * each document its uid and computes the digest, and goes into the database in one transaction.
 *
 *     CAP_AUTO(store_task_put) put = store_task_put_open(&task, err);
 *     put && store_task_put_add(put, false, json, err) && store_task_put_end(put, pg, arena, &out,
 * err)
 */
#ifndef STORE_TASK_H
#define STORE_TASK_H

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "types.h"

struct store_pg;

enum {
    STORE_TASK_NAME_BYTES_MAX = 128,
    STORE_TASK_METRICS_MAX = 64,
    STORE_TASK_DOCS_MAX = 1000000,
    STORE_TASK_BYTES_MAX = 256 << 20,  /* of all documents of a task */
    STORE_FEWSHOT_BYTES_MAX = 6 << 20, /* of its few-shot pool */
    STORE_DEFINITION_BYTES_MAX = 1 << 20,
    STORE_DOC_BYTES_MAX = 1 << 20,
    STORE_DOCS_READ_MAX = 256,
    STORE_TASKS_MAX = 10000,
    STORE_TASKS_BYTES_MAX = 4 << 20, /* of a list, roughly; a message holds 8 MiB */
    STORE_UID_BYTES_MAX = 128,
};

struct store_task_put;

/* Copies `task` and checks it. */
struct store_task_put *store_task_put_open(const struct store_task *task, struct cap_err *err);
void store_task_put_free(struct store_task_put *put);
CAP_DEFINE_AUTO(store_task_put)
bool store_task_put_add(struct store_task_put *put, bool fewshot, const char *json,
                        struct cap_err *err);

struct store_task_stored {
    struct store_task task; /* as stored, its strings those of `put` */
    bool replaced, unchanged;
};
bool store_task_put_end(struct store_task_put *put, struct store_pg *pg,
                        struct store_task_stored *out_stored, struct cap_err *err);

struct store_task_page {
    struct store_task *tasks;
    size_t count;
    bool more; /* the next page begins after the last name of this one */
};

/* The current ones with a name above `after`, by name, at most `limit` (0 = the most) in
 * STORE_TASKS_BYTES_MAX; without their definitions unless asked for. */
bool store_task_list(struct store_pg *pg, const char *after, uint32_t limit, bool with_definition,
                     struct cap_arena *arena, struct store_task_page *out_page,
                     struct cap_err *err);
/* The current one of that name; its few-shot pool too if out_fewshot is not NULL. */
bool store_task_get(struct store_pg *pg, const char *name, struct cap_arena *arena,
                    struct store_task *out_task, struct store_docs *out_fewshot,
                    struct cap_err *err);
/* The same for one version, current or not. */
bool store_task_get_version(struct store_pg *pg, uint64_t task_id, struct cap_arena *arena,
                            struct store_task *out_task, struct store_docs *out_fewshot,
                            struct cap_err *err);
/* In the order of `ordinals`. NOT_FOUND when one does not exist. */
bool store_task_docs(struct store_pg *pg, uint64_t task_id, struct store_u32s ordinals,
                     struct cap_arena *arena, struct store_docs *out_docs, struct cap_err *err);

/* For statements that join task: the columns and their reader. */
#define STORE_TASK_COLUMNS                                                                         \
    "t.task_id, t.name, t.version, t.output_type, t.definition, t.definition_sha256,"              \
    " t.samples_file, t.fewshot_file, t.split, t.num_fewshot, array_to_string(t.metrics, E'\\n')," \
    " t.description, t.samples, t.data_sha256, t.fewshot"
enum { STORE_TASK_COLUMN_COUNT = 15 };
struct store_rows;
bool store_task_read(const struct store_rows *rows, size_t row, int column, struct cap_arena *arena,
                     struct store_task *out_task);

#endif
