/* task_put.h — a task while its documents arrive; seen by task_put.c and task_sql.c alone. */
#ifndef STORE_TASK_PUT_H
#define STORE_TASK_PUT_H

#include "base/map.h"
#include "copy.h"
#include "digest/digest.h"
#include "task.h"

struct store_task_put {
    struct cap_arena *arena; /* of `task` */
    struct store_task task;
    struct cap_digest *digest;
    struct cap_map
        *uids[2]; /* of the samples, of the few-shot pool: uid -> number of the document */
    uint32_t counts[2];
    size_t bytes, fewshot_bytes; /* of all documents, and of the few-shot pool */
    struct store_copy docs;      /* fewshot, ordinal, uid, doc */
};

/* `task` with its strings in the arena, and its digest computed; refuses what cannot be a task. */
bool store_task_copy_checked(const struct store_task *task, struct cap_arena *arena,
                             struct store_task *out_task, struct cap_err *err);

#endif
