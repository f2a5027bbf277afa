#include "expand.h"

#include <math.h>

#include "base/rand.h"
#include "digest/digest.h"

#include <string.h>

/* The seed of a task's draw: another task of the same evaluation draws differently. */
static uint64_t task_seed(uint64_t seed, const char *task)
{
    uint8_t digest[CAP_SHA256_BYTES];
    uint64_t mixed;

    cap_sha256(task, strlen(task), digest);
    memcpy(&mixed, digest, sizeof mixed);
    return seed ^ mixed;
}

/* Knuth's selection sampling (The Art of Computer Programming 2, 3.4.2, algorithm S): `wanted` of
 * `total`, in order. */
static void draw(uint64_t seed, uint32_t total, uint32_t wanted, struct sched_selection *out)
{
    struct cap_rand rand;

    cap_rand_seed(&rand, seed);
    for (uint32_t i = 0; i < total && out->count < wanted; i++)
        if (cap_rand_below(&rand, total - i) < wanted - out->count)
            out->ordinals[out->count++] = i;
}

bool sched_select(const struct sched_spec *spec, const char *task, uint32_t samples,
                  struct cap_arena *arena, struct sched_selection *out, struct cap_err *err)
{
    struct sched_selection all = {cap_arena_array(arena, (size_t)samples + 1, sizeof(uint32_t)), 0};
    double share = spec->has_sampling ? spec->sampling : 1;
    uint32_t wanted = (uint32_t)lround(share * samples);

    if (!all.ordinals)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "task \"%s\" has too many samples: %u", task,
                        samples);
    if (wanted == 0 && samples > 0)
        wanted = 1; /* a share above zero is at least one sample */
    draw(task_seed(spec->seed, task), samples, wanted, &all);
    if (spec->limit > 0 && (int64_t)all.count > spec->limit)
        all.count = (size_t)spec->limit;
    if (all.count == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "task \"%s\" has no samples", task);
    *out = all;
    return true;
}
