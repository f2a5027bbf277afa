/* admit.h — is this evaluation one we can run? And what is its name, the config hash.
 *
 * Pure functions over a spec and what exists; any thread.
 */
#ifndef SCHED_ADMIT_H
#define SCHED_ADMIT_H

#include "base/arena.h"
#include "base/err.h"
#include "digest/digest.h"
#include "spec.h"

enum {
    SCHED_TASKS_MAX = 64,
    SCHED_CONCURRENCY_MAX = 4096,
    SCHED_REPEATS_MAX = 100,
    SCHED_FEWSHOT_MAX = 64,
    SCHED_MAX_TOKENS_MAX = 1048576,
};

struct sched_names {
    const char *const *names;
    size_t count;
};

/* What exists now. */
struct sched_known {
    struct sched_names tasks;  /* in the store */
    struct sched_names models; /* announced by connected nodes */
    bool any_model_path;       /* a connected node loads models by path */
    size_t nodes;              /* connected */
};

/* All engine kinds, and the precisions of our own engine. */
struct sched_names sched_engine_names(void);
struct sched_names sched_precision_names(void);

/* Fills in what the submitter left out. */
void sched_spec_fill(struct sched_spec *spec);

/* INVALID_ARGUMENT (or NOT_FOUND for a name that does not exist) that names each wrong field, its
 * value and what would be accepted. `spec` is filled. */
bool sched_admit(const struct sched_spec *spec, const struct sched_known *known,
                 struct cap_err *err);

/* The canonical form: JSON with sorted keys, without submitter, priority and note; in the arena. */
const char *sched_spec_json(const struct sched_spec *spec, struct cap_arena *arena,
                            struct cap_err *err);

#endif
