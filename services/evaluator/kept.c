/* Kits lie in a list of places, which is searched from its beginning: there are some dozens at
 * most.
 *
 * Everything is decided under one lock, and no work is done there: kits are opened, filled and
 * freed outside, so that a pool of megabytes holds nobody up. Two callers may compile the same task
 * at once; the second finds the first one's kit under its digests and drops its own. A pinned kit
 * is never taken out, so the limits may be exceeded for as long as calls need what they pinned. */
#include "kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A compiled definition takes several times its text: nodes of templates, code of patterns. */
enum { BYTES_PER_DEFINITION_BYTE = 16, KIT_BYTES = 64 << 10 };

struct place {
    struct eval_kit *kit; /* NULL: free */
    int pins;
    uint64_t used; /* by the clock below */
};

struct eval_kept {
    size_t bytes_max, count_max;
    pthread_mutex_t lock; /* guards what follows; held for looking and moving, never for work */
    struct place *places; /* count_max, and one for each call that found no room */
    size_t place_count, count, bytes;
    uint64_t clock;
};

struct eval_kept *eval_kept_new(size_t bytes_max, size_t count_max)
{
    struct eval_kept *kept = calloc(1, sizeof *kept);

    if (!kept)
        abort();
    kept->bytes_max = bytes_max;
    kept->count_max = count_max;
    pthread_mutex_init(&kept->lock, NULL);
    return kept;
}

void eval_kept_free(struct eval_kept *kept)
{
    if (!kept)
        return;
    for (size_t i = 0; i < kept->place_count; i++)
        eval_kit_free(kept->places[i].kit);
    free(kept->places);
    pthread_mutex_destroy(&kept->lock);
    free(kept);
}

/* ---- one kit ---- */

struct eval_kit *eval_kit_open(const char *definition, struct cap_err *err)
{
    struct eval_task *task = eval_task_open(definition, NULL, err);
    struct eval_kit *kit;

    if (!task)
        return NULL;
    if (!(kit = calloc(1, sizeof *kit)))
        abort();
    kit->task = task;
    kit->pool = eval_pool_new(task);
    kit->own_bytes = KIT_BYTES + BYTES_PER_DEFINITION_BYTE * strlen(definition);
    cap_sha256_hex(definition, strlen(definition), kit->definition_sha256);
    return kit;
}

void eval_kit_free(struct eval_kit *kit)
{
    if (!kit)
        return;
    eval_pool_free(kit->pool);
    eval_task_free(kit->task);
    free(kit);
}

bool eval_kit_end(struct eval_kit *kit, struct cap_err *err)
{
    if (eval_pool_count(kit->pool) == 0 && !eval_pool_add_samples(kit->pool, err))
        return false;
    kit->fewshot_sha256 = eval_pool_end(kit->pool);
    kit->bytes = kit->own_bytes + eval_pool_bytes(kit->pool);
    return true;
}

/* ---- places ---- */

static bool has_name(const struct eval_kit *kit, const char *definition, const char *fewshot)
{
    return kit && strcmp(kit->definition_sha256, definition) == 0 &&
           (!fewshot || strcmp(kit->fewshot_sha256, fewshot) == 0);
}

static struct eval_kit *pin_locked(struct eval_kept *kept, const char *definition,
                                   const char *fewshot)
{
    for (size_t i = 0; i < kept->place_count; i++)
        if (has_name(kept->places[i].kit, definition, fewshot)) {
            kept->places[i].pins++;
            kept->places[i].used = ++kept->clock;
            return kept->places[i].kit;
        }
    return NULL;
}

/* Takes out what was used longest ago; NULL while nothing has to go or all is pinned. */
static struct eval_kit *evict_locked(struct eval_kept *kept)
{
    struct place *oldest = NULL;
    struct eval_kit *kit;

    if (kept->count <= kept->count_max && kept->bytes <= kept->bytes_max)
        return NULL;
    for (size_t i = 0; i < kept->place_count; i++) {
        struct place *place = &kept->places[i];

        if (place->kit && place->pins == 0 && (!oldest || place->used < oldest->used))
            oldest = place;
    }
    if (!oldest)
        return NULL;
    kit = oldest->kit;
    oldest->kit = NULL;
    kept->count--;
    kept->bytes -= kit->bytes;
    return kit;
}

/* Frees outside the lock: a large pool takes a while. */
static void shrink(struct eval_kept *kept)
{
    struct eval_kit *kit;

    do {
        pthread_mutex_lock(&kept->lock);
        kit = evict_locked(kept);
        pthread_mutex_unlock(&kept->lock);
        eval_kit_free(kit);
    } while (kit);
}

static struct place *free_place_locked(struct eval_kept *kept)
{
    for (size_t i = 0; i < kept->place_count; i++)
        if (!kept->places[i].kit)
            return &kept->places[i];
    kept->places = realloc(kept->places, (kept->place_count + 1) * sizeof *kept->places);
    if (!kept->places)
        abort();
    return &kept->places[kept->place_count++];
}

/* ---- what calls do ---- */

struct eval_kit *eval_kept_find(struct eval_kept *kept, const char *definition_sha256,
                                const char *fewshot_sha256, struct cap_err *err)
{
    struct eval_kit *kit;

    pthread_mutex_lock(&kept->lock);
    kit = pin_locked(kept, definition_sha256, fewshot_sha256);
    pthread_mutex_unlock(&kept->lock);
    if (!kit)
        cap_fail(err, CAP_NOT_FOUND,
                 "the task with definition %.16s%s%.16s is not kept here; send it whole",
                 definition_sha256, fewshot_sha256 && *fewshot_sha256 ? " and pool " : "",
                 fewshot_sha256 ? fewshot_sha256 : "");
    return kit;
}

struct eval_kit *eval_kept_add(struct eval_kept *kept, struct eval_kit *kit)
{
    struct eval_kit *known;

    pthread_mutex_lock(&kept->lock);
    known = pin_locked(kept, kit->definition_sha256, kit->fewshot_sha256);
    if (!known) {
        *free_place_locked(kept) = (struct place){kit, 1, ++kept->clock};
        kept->count++;
        kept->bytes += kit->bytes;
    }
    pthread_mutex_unlock(&kept->lock);
    if (known)
        eval_kit_free(kit);
    shrink(kept);
    return known ? known : kit;
}

void eval_kept_release(struct eval_kept *kept, struct eval_kit *kit)
{
    size_t bytes;

    if (!kit)
        return;
    bytes = kit->own_bytes + eval_pool_bytes(kit->pool);
    pthread_mutex_lock(&kept->lock);
    kept->bytes += bytes - kit->bytes; /* examples may have been made */
    kit->bytes = bytes;
    for (size_t i = 0; i < kept->place_count; i++)
        if (kept->places[i].kit == kit)
            kept->places[i].pins--;
    pthread_mutex_unlock(&kept->lock);
    shrink(kept);
}

size_t eval_kept_count(struct eval_kept *kept)
{
    size_t count;

    pthread_mutex_lock(&kept->lock);
    count = kept->count;
    pthread_mutex_unlock(&kept->lock);
    return count;
}
