/* assignment.h — one shard of work: what the scheduler assigned, and its prompts as they arrive.
 *
 * Filled by the thread that talks to the scheduler; handed over whole to the worker when the last
 * prompt is there, so no two threads ever hold one. Strings and prompts live in its arena, whose
 * limit is what keeps a scheduler from filling this node's memory.
 */
#ifndef INFER_ASSIGNMENT_H
#define INFER_ASSIGNMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "engine.h"

enum {
    INFER_RUN_ID_BYTES = 64,
    INFER_STOPS_MAX = 16,
    INFER_MESSAGES_MAX = 4096,
    INFER_CONTINUATIONS_MAX = 256,
    INFER_CONCURRENCY_MAX = 4096
};

struct infer_lease {
    char run_id[INFER_RUN_ID_BYTES];
    uint32_t shard;
    uint64_t fence;
};

/* The parts of an EvaluationSpec that a node acts on. */
struct infer_spec {
    const char *engine, *model, *precision, *device;
    int concurrency;   /* closed loop; 0 = open loop */
    double rate_per_s; /* open loop: mean arrivals a second */
    uint64_t seed;
    const char *url, *served_model, *api_key_env, *model_config; /* external servers */
};

struct infer_prompt {
    uint32_t ordinal;
    const char *uid;
    struct infer_request request; /* its id is the prompt's index + 1 */
};

struct infer_assignment {
    struct infer_lease lease;
    struct infer_spec spec;
    uint64_t seq_next;
    int prompts_expected;
    bool resumed;
    struct infer_prompt *prompts;
    int prompt_count, prompt_capacity;
    struct cap_arena *arena;
};

struct infer_assignment *infer_assignment_new(const struct infer_lease *lease, size_t bytes_max);
void infer_assignment_free(struct infer_assignment *assignment);
CAP_DEFINE_AUTO(infer_assignment)

/* Copies the spec's strings into the assignment and checks what a node must know to run it. */
bool infer_assignment_spec(struct infer_assignment *assignment, const struct infer_spec *spec,
                           struct cap_err *err);
/* Copies a prompt in, keeping the order. Fails past the byte limit, and on a prompt that has too
 * many messages, stop strings or continuations. One without a text has an empty one. */
bool infer_assignment_add(struct infer_assignment *assignment, const struct infer_prompt *prompt,
                          struct cap_err *err);

bool infer_lease_same(const struct infer_lease *a, const struct infer_lease *b);

#endif
