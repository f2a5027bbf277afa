/* kept.h — compiled tasks and few-shot pools that stay between calls, under their digests.
 *
 * A kit is a task with one pool of its examples. Keeping it saves the caller megabytes a call and
 * this program the compiling; forgetting it is always allowed, since a caller who hears NOT_FOUND
 * sends the task whole. Kits are immutable and are shared by any number of calls: a call pins the
 * kit while it works (the pins are counted here, under the lock). Beyond bytes_max or
 * count_max the kit that was used longest ago goes, unless it is pinned.
 *
 *     struct eval_kit *kit = eval_kept_find(kept, definition_sha256, fewshot_sha256, err);
 *     ...
 *     eval_kept_release(kept, kit);
 */
#ifndef EVAL_KEPT_H
#define EVAL_KEPT_H

#include "fewshot.h"

struct eval_kept;

struct eval_kit {
    struct eval_task *task;
    struct eval_pool *pool; /* ended; may hold nothing */
    char definition_sha256[CAP_SHA256_HEX_BYTES];
    const char *fewshot_sha256; /* the pool's */
    size_t own_bytes, bytes;    /* of memory, about: of the task; of all, by kept.c's lock */
};

struct eval_kept *eval_kept_new(size_t bytes_max, size_t count_max);
void eval_kept_free(struct eval_kept *kept); /* nothing may be pinned */
CAP_DEFINE_AUTO(eval_kept)

/* A kit of the definition with an empty pool, the caller's until it is kept or freed. */
struct eval_kit *eval_kit_open(const char *definition, struct cap_err *err);
void eval_kit_free(struct eval_kit *kit);
CAP_DEFINE_AUTO(eval_kit)
/* Closes the pool; where nothing was added, the examples in the definition become the pool. */
bool eval_kit_end(struct eval_kit *kit, struct cap_err *err);

/* The kit of that task and pool, pinned; fewshot_sha256 NULL: with any pool. NOT_FOUND: not kept.
 */
struct eval_kit *eval_kept_find(struct eval_kept *kept, const char *definition_sha256,
                                const char *fewshot_sha256, struct cap_err *err);
/* Keeps an ended kit, which is not the caller's any more, and pins it; where another of its name is
 * kept already, that one. */
struct eval_kit *eval_kept_add(struct eval_kept *kept, struct eval_kit *kit);
void eval_kept_release(struct eval_kept *kept, struct eval_kit *kit); /* NULL is fine */

size_t eval_kept_count(struct eval_kept *kept);

#endif
