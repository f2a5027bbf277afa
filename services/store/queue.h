/* queue.h — evaluations on their way in, and what a scheduler starts from. */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "base/arena.h"
#include "base/err.h"
#include "types.h"

struct store_pg;

enum {
    STORE_RUNS_MAX = 6400, /* of an evaluation: 64 tasks, 100 repeats */
    STORE_RUN_SAMPLES_MAX = 1000000,
    STORE_ACTIVE_PAGE_MAX = 100, /* evaluations a call of store_queue_active answers */
};

struct store_enqueue_run {
    const char *task;
    uint64_t task_id;
    uint32_t repeat;
    struct store_u32s ordinals, shard_sizes; /* the sizes add up to the ordinals */
};

struct store_enqueue {
    struct store_bytes spec; /* packed EvaluationSpec */
    const char *spec_json, *config_hash;
    const char *model, *engine, *precision, *submitter; /* out of the spec */
    int32_t priority;
    const struct store_enqueue_run *runs;
    size_t run_count;
};

struct store_enqueued {
    const char *evaluation_id;
    const char **run_ids; /* in the order of the request */
    size_t run_count;
    bool duplicate; /* the ids are those of an evaluation that has not ended */
};

/* Evaluation, runs and shards in one transaction. */
bool store_queue_enqueue(struct store_pg *pg, const struct store_enqueue *request,
                         struct cap_arena *arena, struct store_enqueued *out_enqueued,
                         struct cap_err *err);

struct store_active_shard {
    uint32_t shard;
    bool done, leased;
    uint64_t fence;
    const char *node;
    int64_t lease_left_ms;
};

struct store_active_run {
    const char *run_id, *task, *reason;
    uint64_t task_id;
    uint32_t repeat;
    enum store_state state;
    uint32_t samples_total, samples_answered, samples_graded, attempts;
    int64_t queued_at_ms, started_at_ms, ended_at_ms; /* 0: not yet */
    struct store_active_shard *shards;
    size_t shard_count;
};

struct store_active {
    int64_t evaluation_no; /* grows with age of arrival */
    const char *evaluation_id, *config_hash;
    struct store_bytes spec;
    struct store_active_run *runs;
    size_t run_count;
};

/* The next evaluations with a run that has not ended, above `after_no`; none: that was all. */
bool store_queue_active(struct store_pg *pg, int64_t after_no, struct cap_arena *arena,
                        struct store_active **out_items, size_t *out_count, struct cap_err *err);

#endif
