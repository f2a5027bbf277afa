/* stage.h — one scheduler's state, the events that the tests of its steps feed it, and what came of
 * the latest. Shared by test_step.c and test_order.c. */
#ifndef SCHED_TEST_STAGE_H
#define SCHED_TEST_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/step.h"

struct stage {
    struct sched_state *state;
    int64_t now_ms;
    struct sched_actions actions; /* of the latest step */
};

extern const struct sched_policy policy;
extern const char *const null_engine[]; /* for a node that has only that */

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)

int stage_set_up(void **state);
int stage_tear_down(void **state);
void step(struct stage *stage, struct sched_event event);
/* How many actions of that kind, for that run, the latest step gave. */
int count(const struct stage *stage, enum sched_action_kind kind, const char *run_id);
const struct sched_action *action_of(const struct stage *stage, enum sched_action_kind kind);
struct sched_run run_named(const char *id);
void add(struct stage *stage, const struct sched_run *run);
void join_as(struct stage *stage, const struct sched_node *node);
void beat(struct stage *stage, const char *node_id, const char *run_id, uint64_t fence);
void join(struct stage *stage, const char *id);
void grant(struct stage *stage, const char *run_id, uint64_t fence);
void store(struct stage *stage, const char *run_id, uint64_t fence, uint32_t answered);
void cancel(struct stage *stage, const char *run_id);
const struct sched_run *run_of(const struct stage *stage, const char *id);
void assert_state(const struct stage *stage, const char *id, enum sched_run_state state);
void assert_node_has(const struct stage *stage, const char *node_id, const char *run_id);
/* A run "r" brought to the state, on node "n" under fence 1 where there is one. */
void bring_to(struct stage *stage, enum sched_run_state state);
void fail_on_node(struct stage *stage, uint64_t fence, const char *reason, bool final);

#endif
