/* world.h — a store with a task, an evaluation and runs, for the tests of this folder.
 *
 * Every test gets a database of its own: world_setup and world_teardown are cmocka's fixtures, the
 * test finds the world in *state. Helpers with must_ fail the test when the store refuses.
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

#include "base/arena.h"
#include "harness.h"
#include "store/append.h"
#include "store/grade.h"
#include "store/lease.h"
#include "store/pg.h"
#include "store/queue.h"
#include "store/report.h"
#include "store/run.h"
#include "store/task.h"

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
/* One run of the first `samples` in shards of at most `shard_size`; the run's id. `tag` tells
 * configurations apart. */
const char *must_enqueue(struct world *world, uint32_t samples, uint32_t shard_size, int tag);
struct store_lease must_lease(struct world *world, const char *run_id, uint32_t shard,
                              const char *node);

/* A batch of plain answers to `count` ordinals from `first`; `seed` varies the rows and digest. */
struct store_batch *batch_of(struct world *world, const char *run_id, uint32_t shard,
                             uint64_t fence, uint64_t seq, uint32_t first, uint32_t count,
                             bool last, int seed);
bool append(struct world *world, const struct store_batch *batch, struct store_appended *out,
            struct cap_err *err);
void must_append(struct world *world, const struct store_batch *batch);

/* Lease, one last batch, for every shard: the run is grading. */
void must_answer_all(struct world *world, const char *run_id, uint32_t samples,
                     uint32_t shard_size);
/* A verdict "correct" for all that has none, then a summary of two figures: the run is finished. */
void must_grade_all(struct world *world, const char *run_id);
void must_finish(struct world *world, const char *run_id);

/* The first value that a query answers, as an integer. */
long long sql_int(struct world *world, const char *sql);

#endif
