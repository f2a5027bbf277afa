/* Feeds the scheduler's step one event at a time and keeps the actions of the latest, so that a test
 * reads as event, then what must follow. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct sched_policy policy = {
    .attempts_max = 3,
    .silent_ms_max = 7000,
    .ageing_ms = 60000,
    .retry_ms = 1000,
    .progress_ms_max = 60000,
    .claim_ms_max = 16000,
};

int stage_set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);

    stage->state = sched_state_new(&policy);
    *state = stage;
    return 0;
}

int stage_tear_down(void **state)
{
    struct stage *stage = *state;

    sched_state_free(stage->state);
    sched_actions_done(&stage->actions);
    free(stage);
    return 0;
}

void step(struct stage *stage, struct sched_event event)
{
    sched_actions_done(&stage->actions);
    sched_step(stage->state, &event, stage->now_ms, &stage->actions);
}

int count(const struct stage *stage, enum sched_action_kind kind, const char *run_id)
{
    int found = 0;

    for (size_t i = 0; i < stage->actions.count; i++)
        found += stage->actions.list[i].kind == kind &&
                 strcmp(stage->actions.list[i].run_id, run_id) == 0;
    return found;
}

const struct sched_action *action_of(const struct stage *stage, enum sched_action_kind kind)
{
    for (size_t i = 0; i < stage->actions.count; i++)
        if (stage->actions.list[i].kind == kind)
            return &stage->actions.list[i];
    fail_msg("the step gave no such action");
    return NULL;
}

struct sched_run run_named(const char *id)
{
    struct sched_run run = {.state = SCHED_RUN_QUEUED, .total = 10};

    snprintf(run.id, sizeof run.id, "%s", id);
    snprintf(run.submitter, sizeof run.submitter, "anna");
    snprintf(run.needs.engine, sizeof run.needs.engine, "null");
    return run;
}

void add(struct stage *stage, const struct sched_run *run)
{
    step(stage, (struct sched_event){.kind = SCHED_RUN_ADDED, .run = run});
}

void join_as(struct stage *stage, const struct sched_node *node)
{
    step(stage, (struct sched_event){.kind = SCHED_NODE_JOINED, .node = node});
}

void beat(struct stage *stage, const char *node_id, const char *run_id, uint64_t fence)
{
    step(stage, (struct sched_event){
                    .kind = SCHED_NODE_BEAT, .node_id = node_id, .run_id = run_id, .fence = fence});
}

const char *const null_engine[] = {"null", NULL};

void join(struct stage *stage, const char *id)
{
    struct sched_node node = {.engines = null_engine};

    snprintf(node.id, sizeof node.id, "%s", id);
    snprintf(node.name, sizeof node.name, "%s", id);
    join_as(stage, &node);
    beat(stage, id, NULL, 0);
}

void grant(struct stage *stage, const char *run_id, uint64_t fence)
{
    step(stage,
         (struct sched_event){.kind = SCHED_LEASE_GRANTED, .run_id = run_id, .fence = fence});
}

void store(struct stage *stage, const char *run_id, uint64_t fence, uint32_t answered)
{
    step(stage, (struct sched_event){.kind = SCHED_ANSWERS_STORED,
                                     .run_id = run_id,
                                     .fence = fence,
                                     .count = answered,
                                     .final = answered == 10});
}

void cancel(struct stage *stage, const char *run_id)
{
    step(stage, (struct sched_event){
                    .kind = SCHED_CANCEL_ASKED, .run_id = run_id, .reason = "not needed"});
}

const struct sched_run *run_of(const struct stage *stage, const char *id)
{
    const struct sched_run *run = sched_find_run(stage->state, id);

    assert_non_null(run);
    return run;
}

void assert_state(const struct stage *stage, const char *id, enum sched_run_state state)
{
    assert_string_equal(sched_state_name(run_of(stage, id)->state), sched_state_name(state));
}

void assert_node_has(const struct stage *stage, const char *node_id, const char *run_id)
{
    const struct sched_node *node = sched_find_node(stage->state, node_id);

    assert_non_null(node);
    assert_string_equal(node->run_id, run_id);
}

void bring_to(struct stage *stage, enum sched_run_state state)
{
    struct sched_run run = run_named("r");

    add(stage, &run);
    if (state == SCHED_RUN_QUEUED)
        return;
    join(stage, "n");
    grant(stage, "r", 1);
    if (state >= SCHED_RUN_RUNNING)
        store(stage, "r", 1, 4);
    if (state >= SCHED_RUN_GRADING)
        store(stage, "r", 1, 10);
    assert_state(stage, "r", state);
}

void fail_on_node(struct stage *stage, uint64_t fence, const char *reason, bool final)
{
    step(stage, (struct sched_event){.kind = SCHED_SHARD_FAILED,
                                     .run_id = "r",
                                     .node_id = "n",
                                     .fence = fence,
                                     .reason = reason,
                                     .final = final});
}
