/* expand.h — which samples of a task a run takes, and how they are cut into shards. Pure. */
#ifndef SCHED_EXPAND_H
#define SCHED_EXPAND_H

#include "base/arena.h"
#include "base/err.h"
#include "spec.h"

struct sched_selection {
    uint32_t *ordinals; /* ascending, in the arena */
    size_t count;
};

/* The seeded share first, then the first `limit` of what is left. The same seed gives the same
 * samples of the same task, on every repeat and machine. Fails when nothing would be left. */
bool sched_select(const struct sched_spec *spec, const char *task, uint32_t samples,
                  struct cap_arena *arena, struct sched_selection *out, struct cap_err *err);

#endif
