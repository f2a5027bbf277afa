/* admit.h — what becomes of a submission: is it one that can run here, and which samples does each
 * of its runs take. Pure functions; any thread. */
#ifndef SCHED_ADMIT_H
#define SCHED_ADMIT_H

#include "base/arena.h"
#include "base/err.h"
#include "spec/spec.h"
#include "words/words.h"

enum { SCHED_SAMPLES_MAX = 2000000 }; /* of all runs together: one message to the store */

/* What exists now. */
struct sched_known {
    struct cap_words tasks;         /* in the store */
    const uint32_t *task_pools;     /* [tasks.count] their few-shot examples */
    struct cap_words models;        /* announced by connected nodes */
    const uint32_t *model_contexts; /* [models.count] in tokens, the largest; 0 = not announced */
    bool any_model_path;            /* a connected node loads models by path */
    bool link_local;                /* a connected node asks link-local addresses */
    size_t nodes;                   /* connected */
};

/* Adds every fault of a filled evaluation: those that it shows itself (lib/spec), and where it asks
 * for what does not exist or cannot fit. */
void sched_admit(const Moecap__V1__EvaluationSpec *spec, const struct sched_known *known,
                 struct cap_spec_faults *io_faults);

/* Why utilisation and cost of this evaluation will have no peaks or prices: a sentence in the
 * arena; NULL when the declared hardware is known, or none was declared. It runs all the same. */
const char *sched_hardware_doubt(const Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena);

struct sched_selection {
    uint32_t *ordinals; /* ascending, in the arena */
    size_t count;
};

/* The seeded share first, then the first `limit` of what is left. The same seed gives the same
 * samples of the same task, on every repeat and machine. Fails when nothing would be left. */
bool sched_select(const Moecap__V1__EvaluationSpec *spec, const char *task, uint32_t samples,
                  struct cap_arena *arena, struct sched_selection *out, struct cap_err *err);

#endif
