/* world.h — a store with a task, an evaluation and runs, for the tests of this folder.
 *
 * Every test gets a database of its own: world_setup and world_teardown are cmocka's fixtures, the
 * test finds the world in *state. Helpers with must_ fail the test when the store refuses; what
 * they answer lies in the world's arena.
 */
#ifndef WORLD_H
#define WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer_rows.pb-c.h"
#include "base/arena.h"
#include "harness.h"
#include "store/pg.h"
#include "store/run.h"
#include "store/store.h"

struct world {
    char *db;
    struct store_pg *pg;
    struct cap_arena *arena;
    uint64_t task_id; /* of the task "mini", once must_put_task made it */
};

int world_setup(void **state);
int world_teardown(void **state);

/* err is clean, or the test fails with its sentence. */
void assert_ok(bool ok, const struct cap_err *err);
/* It failed, with this code and sentence. */
void assert_refused(bool ok, const struct cap_err *err, enum cap_code code, const char *text);

/* Task "mini" of `samples` documents {"id":"s0","question":…,"answer":0}, metric "exact". */
void must_put_task(struct world *world, uint32_t samples);
Moecap__V1__GetTaskReply *must_get_task(struct world *world, const char *name, bool with_fewshot);

/* An evaluation of one run, as a scheduler would ask for it; `request` points to the rest. */
struct draft_evaluation {
    Moecap__V1__EnqueueRequest request;
    Moecap__V1__EvaluationSpec spec;
    Moecap__V1__EnqueueRun run, *runs[1];
    char *tasks[1], hash[65];
    uint32_t *ordinals, shard_size[1];
};
struct draft_evaluation *draft(struct world *world, uint32_t samples, int tag);
/* One run of the first `samples`; the run's id. `tag` tells configurations apart. A smaller
 * shard_size cuts the run into several shards, which Enqueue refuses but older databases may hold.
 */
char *must_enqueue(struct world *world, uint32_t samples, uint32_t shard_size, int tag);

bool lease(struct world *world, const char *run_id, uint32_t shard, const char *node, uint32_t ms,
           Moecap__V1__LeaseReply *out_reply, struct cap_err *err);
Moecap__V1__LeaseReply must_lease(struct world *world, const char *run_id, uint32_t shard,
                                  const char *node);
bool release(struct world *world, const char *run_id, uint32_t shard, uint64_t fence,
             const char *outcome, struct cap_err *err);
bool move_run(struct world *world, const char *run_id, int from, int to, const char *reason,
              struct cap_err *err);
Moecap__V1__GetRunReply *must_get_run(struct world *world, const char *run_id);

/* A batch of plain answers to `count` ordinals from `first`; `seed` varies the rows. They may be
 * changed until they are sent. */
struct batch {
    const char *node_id;
    Moecap__V1__LeaseRef lease;
    uint64_t seq;
    uint32_t announced_more; /* answers than there are */
    bool last;
    Moecap__Store__RawRows rows;
    Moecap__Store__RawAnswer *answers; /* rows.answers point here */
    Moecap__V1__Timing *timings;
};
struct batch *batch_of(struct world *world, const char *run_id, uint32_t shard, uint64_t fence,
                       uint64_t seq, uint32_t first, uint32_t count, bool last, int seed);
/* Its expert counts; only these fields of a row are taken. */
#define COUNTS(phase_, bucket, items, n)                                                           \
    {                                                                                              \
        .phase = (Moecap__V1__Phase)phase_, .batch_bucket = bucket, .n_counts = n, .counts = items \
    }
void set_counts(struct world *world, struct batch *batch, const Moecap__V1__ExpertCount *rows,
                size_t count);
/* Packs and sends it; any thread. */
bool append(struct world *world, const struct batch *batch, Moecap__V1__AppendReply *out_reply,
            struct cap_err *err);
void must_append(struct world *world, const struct batch *batch);

/* Lease, one last batch, for every shard: the run is grading. */
void must_answer_all(struct world *world, const char *run_id, uint32_t samples,
                     uint32_t shard_size);
/* Verdicts for all that has none, every second one wrong, then a summary of two figures: the run is
 * finished. */
void must_grade_all(struct world *world, const char *run_id);
void must_finish(struct world *world, const char *run_id);

Moecap__V1__ListSamplesReply *must_list(struct world *world,
                                        const Moecap__V1__ListSamplesRequest *request);
/* Of the run, with texts. */
Moecap__V1__ListSamplesReply *must_list_all(struct world *world, const char *run_id);

/* All messages of ReadEvidence as one; rows of a kind in their order. */
Moecap__V1__Evidence *must_read_evidence(struct world *world, const char *run_id);

/* The first value that a query answers, as an integer. */
long long sql_int(struct world *world, const char *sql);

#endif
