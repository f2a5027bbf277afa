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
#include "words/words.h"

enum {
    SCHED_TASKS_MAX = 64,
    SCHED_CONCURRENCY_MAX = 4096,
    SCHED_REPEATS_MAX = 100,
    SCHED_FEWSHOT_MAX = 64,
    SCHED_MAX_TOKENS_MAX = 1048576,
    SCHED_TOP_K_MAX = 1000000,
    SCHED_TEMPERATURE_MAX = 100,
    SCHED_RATE_PER_S_MAX = 1000000,
    SCHED_PRIORITY_MIN = -100,
    SCHED_PRIORITY_MAX = 100,
    SCHED_PARALLELISM_MAX = 1024,
    SCHED_DEVICE_COUNT_MAX = 4096,
    SCHED_SAMPLES_MAX = 2000000, /* of all runs together: one message to the store */
    SCHED_MODEL_NAME_BYTES_MAX = 512,
    SCHED_REVISION_BYTES_MAX = 128,
    SCHED_SUBMITTER_BYTES_MAX = 64,
    SCHED_NOTE_BYTES_MAX = 512,
    SCHED_URL_BYTES_MAX = 2048,
    SCHED_CONFIG_BYTES_MAX = 1 << 20,
    SCHED_FAULTS_MAX = 16, /* wrong fields told one by one */
};

/* What exists now. */
struct sched_known {
    struct cap_words tasks;         /* in the store */
    const uint32_t *task_pools;     /* [tasks.count] their few-shot examples */
    struct cap_words models;        /* announced by connected nodes */
    const uint32_t *model_contexts; /* [models.count] in tokens, the largest; 0 = not announced */
    bool any_model_path;            /* a connected node loads models by path */
    size_t nodes;                   /* connected */
};

/* Fills in what the submitter left out. */
void sched_spec_fill(struct sched_spec *spec);

/* The wrong fields, as SubmitRequest has them: "spec.load.concurrency". */
struct sched_faults {
    struct sched_fault {
        char field[64], sentence[256];
    } items[SCHED_FAULTS_MAX];
    size_t count;
};

/* INVALID_ARGUMENT (or NOT_FOUND for a name that does not exist) that names each wrong field, its
 * value and what would be accepted; the same one by one in *out_faults. `spec` is filled. */
bool sched_admit(const struct sched_spec *spec, const struct sched_known *known,
                 struct sched_faults *out_faults, struct cap_err *err);

/* The canonical form: JSON with sorted keys, without submitter, priority and note; in the arena. */
const char *sched_spec_json(const struct sched_spec *spec, struct cap_arena *arena,
                            struct cap_err *err);

#endif
