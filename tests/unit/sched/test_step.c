/* Every state, what may follow it, and what each program's death means to it. */
#include "stage.h"

#include <stdio.h>
#include <string.h>

/* ---- states and moves ---- */

static void only_these_moves_are_legal(void **state)
{
    static const char *const legal[] = {
        "queued leased",    "queued grading",   "queued failed",     "queued cancelled",
        "queued invalid",   "leased queued",    "leased running",    "leased grading",
        "leased failed",    "leased cancelled", "leased invalid",    "running queued",
        "running grading",  "running failed",   "running cancelled", "running invalid",
        "grading finished", "grading failed",   "grading cancelled", "grading invalid",
        "finished invalid",
    };
    size_t found = 0;

    (void)state;
    for (enum sched_run_state from = 0; from < SCHED_RUN_STATE_COUNT; from++)
        for (enum sched_run_state to = 0; to < SCHED_RUN_STATE_COUNT; to++) {
            char text[64];
            bool listed = false;

            snprintf(text, sizeof text, "%s %s", sched_state_name(from), sched_state_name(to));
            for (size_t i = 0; i < sizeof legal / sizeof *legal; i++)
                listed = listed || strcmp(text, legal[i]) == 0;
            assert_int_equal(sched_may_move(from, to), listed);
            found += listed;
        }
    assert_int_equal(found, sizeof legal / sizeof *legal);
}

static void a_run_goes_from_the_queue_to_its_summary(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    assert_int_equal(stage->actions.count, 0);
    join(stage, "n");
    assert_int_equal(count(stage, SCHED_DO_LEASE, "r"), 1);
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    grant(stage, "r", 7);
    assert_int_equal(count(stage, SCHED_DO_ASSIGN, "r"), 1);
    assert_int_equal(action_of(stage, SCHED_DO_ASSIGN)->fence, 7);
    assert_string_equal(action_of(stage, SCHED_DO_ASSIGN)->node_id, "n");
    store(stage, "r", 7, 4);
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    store(stage, "r", 7, 10);
    assert_int_equal(count(stage, SCHED_DO_GRADE, "r"), 1);
    assert_node_has(stage, "n", "");
    step(stage, (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 5});
    assert_int_equal(stage->actions.count, 0);
    step(stage,
         (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true});
    assert_int_equal(count(stage, SCHED_DO_FINISH, "r"), 1);
    step(stage,
         (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true});
    assert_int_equal(stage->actions.count, 0); /* never finished twice */
    step(stage, (struct sched_event){.kind = SCHED_RUN_DONE, .run_id = "r"});
    assert_state(stage, "r", SCHED_RUN_FINISHED);
    assert_int_equal(count(stage, SCHED_DO_MOVE, "r"), 0); /* the store made these moves itself */
}

static void events_that_come_twice_or_too_late_change_nothing(void **state)
{
    struct stage *stage = *state;
    const struct sched_event late[] = {
        {.kind = SCHED_RUN_DONE, .run_id = "r"},
        {.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true},
        {.kind = SCHED_GRADING_FAILED, .run_id = "r", .reason = "late", .final = true},
        {.kind = SCHED_ANSWERS_STORED, .run_id = "r", .fence = 1, .count = 3},
        {.kind = SCHED_SHARD_FAILED, .run_id = "r", .node_id = "n", .fence = 1, .reason = "late"},
        {.kind = SCHED_SHARD_REFUSED, .run_id = "r", .node_id = "x", .fence = 1, .reason = "late"},
        {.kind = SCHED_LEASE_LOST, .run_id = "r", .fence = 1},
        {.kind = SCHED_LEASE_GRANTED, .run_id = "r", .fence = 2},
        {.kind = SCHED_LEASE_REFUSED, .run_id = "r", .reason = "late", .final = true},
        {.kind = SCHED_STORE_SAYS, .run_id = "r", .seen = SCHED_RUN_GRADING},
        {.kind = SCHED_NODE_STOPPED, .run_id = "r", .node_id = "n", .fence = 1},
        {.kind = SCHED_CANCEL_ASKED, .run_id = "r"},
        {.kind = SCHED_NODE_LEFT, .node_id = "nobody"},
        {.kind = SCHED_RUN_DONE, .run_id = "nothing"},
    };

    bring_to(stage, SCHED_RUN_GRADING);
    step(stage,
         (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true});
    step(stage, (struct sched_event){.kind = SCHED_RUN_DONE, .run_id = "r"});
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        step(stage, late[i]);
        assert_int_equal(stage->actions.count, 0);
        assert_state(stage, "r", SCHED_RUN_FINISHED);
    }
}

static void an_old_fence_moves_nothing(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    store(stage, "r", 99, 10);
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    assert_int_equal(run_of(stage, "r")->answered, 4);
    step(stage, (struct sched_event){.kind = SCHED_SHARD_FAILED,
                                     .run_id = "r",
                                     .node_id = "n",
                                     .fence = 99,
                                     .reason = "old",
                                     .final = true});
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    step(stage, (struct sched_event){.kind = SCHED_LEASE_LOST, .run_id = "r", .fence = 99});
    assert_state(stage, "r", SCHED_RUN_RUNNING);
}

/* ---- the node dies, in each state ---- */

static void lose_node(struct stage *stage)
{
    step(stage, (struct sched_event){
                    .kind = SCHED_NODE_LEFT, .node_id = "n", .reason = "the node has gone"});
}

static void a_node_that_dies_gives_its_run_back(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    lose_node(stage);
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_int_equal(count(stage, SCHED_DO_RELEASE, "r"), 1);
    assert_string_equal(run_of(stage, "r")->reason, "the node has gone");
    join(stage, "m");
    assert_int_equal(count(stage, SCHED_DO_LEASE, "r"), 0); /* not at once */
    stage->now_ms += 1000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_int_equal(count(stage, SCHED_DO_LEASE, "r"), 1);
}

static void a_node_that_dies_while_loading_gives_its_run_back(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    lose_node(stage);
    assert_state(stage, "r", SCHED_RUN_QUEUED);
}

static void a_node_that_dies_before_the_lease_comes_never_gets_it(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    join(stage, "n");
    lose_node(stage);
    grant(stage, "r", 1);
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_int_equal(count(stage, SCHED_DO_ASSIGN, "r"), 0);
    assert_int_equal(count(stage, SCHED_DO_RELEASE, "r"), 1);
}

static void a_node_that_dies_after_the_last_answer_costs_nothing(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_GRADING);
    lose_node(stage);
    assert_state(stage, "r", SCHED_RUN_GRADING);
    assert_int_equal(stage->actions.count, 0);
}

static void a_silent_node_is_dropped_and_its_run_given_away(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    stage->now_ms += 7000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    stage->now_ms += 1;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_string_equal(action_of(stage, SCHED_DO_DROP)->node_id, "n");
    assert_null(sched_find_node(stage->state, "n"));
}

static void silence_while_the_store_is_away_is_not_the_nodes(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    step(stage, (struct sched_event){.kind = SCHED_NODE_WAITS, .node_id = "n"});
    stage->now_ms += 60000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    step(stage, (struct sched_event){.kind = SCHED_NODE_HEARD, .node_id = "n"});
    stage->now_ms += 7001;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_state(stage, "r", SCHED_RUN_QUEUED);
}

/* ---- cancel, in each state ---- */

static void cancel_in_the_queue_ends_at_once(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_QUEUED);
    cancel(stage, "r");
    assert_state(stage, "r", SCHED_RUN_CANCELLED);
    assert_string_equal(action_of(stage, SCHED_DO_MOVE)->reason, "not needed");
    assert_int_equal(action_of(stage, SCHED_DO_MOVE)->from, SCHED_RUN_QUEUED);
}

static void cancel_while_leasing_waits_for_the_store(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    join(stage, "n");
    cancel(stage, "r");
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    grant(stage, "r", 1);
    assert_state(stage, "r", SCHED_RUN_CANCELLED);
    assert_int_equal(count(stage, SCHED_DO_ASSIGN, "r"), 0);
    assert_string_equal(run_of(stage, "r")->reason, "not needed");
    assert_node_has(stage, "n", "");
}

static void cancel_of_a_refused_lease_ends_too(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    join(stage, "n");
    cancel(stage, "r");
    step(stage, (struct sched_event){
                    .kind = SCHED_LEASE_REFUSED, .run_id = "r", .reason = "away", .away = true});
    assert_state(stage, "r", SCHED_RUN_CANCELLED);
}

static void cancel_on_a_node_stops_it_and_the_node_is_free_when_it_says_so(void **state)
{
    struct stage *stage = *state;
    struct sched_run next = run_named("s");

    bring_to(stage, SCHED_RUN_RUNNING);
    add(stage, &next);
    cancel(stage, "r");
    assert_state(stage, "r", SCHED_RUN_CANCELLED);
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 1);
    assert_int_equal(count(stage, SCHED_DO_LEASE, "s"), 0);
    step(stage, (struct sched_event){
                    .kind = SCHED_NODE_STOPPED, .node_id = "n", .run_id = "r", .fence = 1});
    assert_int_equal(count(stage, SCHED_DO_LEASE, "s"), 1);
}

static void a_beat_that_no_longer_names_the_run_frees_the_node_too(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    cancel(stage, "r");
    beat(stage, "n", "r", 1); /* crossed the Stop: not told again with every beat */
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 0);
    stage->now_ms += policy.retry_ms;
    beat(stage, "n", "r", 1);
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 1);
    assert_node_has(stage, "n", "r");
    beat(stage, "n", NULL, 0);
    assert_node_has(stage, "n", "");
}

static void cancel_while_grading_ends_it(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_GRADING);
    cancel(stage, "r");
    assert_state(stage, "r", SCHED_RUN_CANCELLED);
    step(stage,
         (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true});
    assert_int_equal(stage->actions.count, 0);
}

static void cancel_while_finishing_is_decided_by_the_store(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_GRADING);
    step(stage,
         (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true});
    cancel(stage, "r");
    assert_state(stage, "r", SCHED_RUN_GRADING);
    step(stage, (struct sched_event){.kind = SCHED_RUN_DONE, .run_id = "r"});
    assert_state(stage, "r", SCHED_RUN_FINISHED); /* too late */
}

static void cancel_of_a_finishing_that_is_given_up_ends_cancelled(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_GRADING);
    step(stage,
         (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true});
    cancel(stage, "r");
    step(stage, (struct sched_event){.kind = SCHED_GRADING_FAILED, .run_id = "r"});
    assert_state(stage, "r", SCHED_RUN_CANCELLED);
    assert_string_equal(run_of(stage, "r")->reason, "not needed");
}

/* ---- failures ---- */

static void a_bad_model_fails_the_run_with_the_nodes_sentence(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    fail_on_node(stage, 1, "model.safetensors is cut off", true);
    assert_state(stage, "r", SCHED_RUN_FAILED);
    assert_string_equal(run_of(stage, "r")->reason, "model.safetensors is cut off");
    assert_int_equal(count(stage, SCHED_DO_MOVE, "r"), 1);
    assert_node_has(stage, "n", ""); /* and the node stays up, free for others */
}

static void attempts_that_store_nothing_are_counted_and_end(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    join(stage, "n");
    for (uint64_t fence = 1; fence <= 3; fence++) {
        grant(stage, "r", fence);
        fail_on_node(stage, fence, "out of memory", false);
        if (fence < 3)
            assert_state(stage, "r", SCHED_RUN_QUEUED);
        stage->now_ms += 1000;
        step(stage, (struct sched_event){.kind = SCHED_TICK});
        beat(stage, "n", NULL, 0);
    }
    assert_state(stage, "r", SCHED_RUN_FAILED);
    assert_string_equal(run_of(stage, "r")->reason, "failed after 3 attempts: out of memory");
}

static void an_attempt_that_stored_answers_starts_the_count_again(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    join(stage, "n");
    for (uint64_t fence = 1; fence <= 9; fence++) {
        grant(stage, "r", fence);
        store(stage, "r", fence, (uint32_t)fence);
        fail_on_node(stage, fence, "the engine broke", false);
        assert_state(stage, "r", SCHED_RUN_QUEUED);
        stage->now_ms += 1000;
        beat(stage, "n", NULL, 0);
        step(stage, (struct sched_event){.kind = SCHED_TICK});
    }
    assert_int_equal(run_of(stage, "r")->attempts, 9);
}

static void prompts_that_cannot_be_made_stop_the_node_and_fail_the_run(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    step(stage, (struct sched_event){.kind = SCHED_SHARD_REFUSED,
                                     .run_id = "r",
                                     .node_id = "n",
                                     .fence = 1,
                                     .reason = "render: no such field",
                                     .final = true});
    assert_state(stage, "r", SCHED_RUN_FAILED);
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 1);
    assert_node_has(stage, "n", "r"); /* until it has stopped */
}

static void a_poisoned_grading_fails_the_run(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_GRADING);
    step(stage, (struct sched_event){.kind = SCHED_GRADING_FAILED,
                                     .run_id = "r",
                                     .reason = "grade: no such metric",
                                     .final = true});
    assert_state(stage, "r", SCHED_RUN_FAILED);
    assert_string_equal(run_of(stage, "r")->reason, "grade: no such metric");
}

static void a_node_that_stops_by_itself_gives_the_run_back(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    step(stage, (struct sched_event){
                    .kind = SCHED_NODE_STOPPED, .node_id = "n", .run_id = "r", .fence = 1});
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_node_has(stage, "n", "");
}

/* ---- leases ---- */

static void a_lost_lease_stops_the_node_and_tells_the_store_nothing(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    step(stage, (struct sched_event){.kind = SCHED_LEASE_LOST, .run_id = "r", .fence = 1});
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 1);
    assert_int_equal(count(stage, SCHED_DO_RELEASE, "r"), 0);
}

static void a_store_that_is_away_is_asked_again_later_and_by_nobody_before(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r"), other = run_named("s");

    add(stage, &run);
    add(stage, &other);
    join(stage, "n");
    step(stage, (struct sched_event){.kind = SCHED_LEASE_REFUSED,
                                     .run_id = "r",
                                     .reason = "connection refused",
                                     .away = true});
    assert_int_equal(count(stage, SCHED_DO_LEASE, "s"), 0);
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    stage->now_ms += 1000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_int_equal(stage->actions.count, 1);
    assert_int_equal(stage->actions.list[0].kind, SCHED_DO_LEASE);
    assert_int_equal(run_of(stage, "r")->attempts, 0);
}

static void a_run_that_went_on_behind_a_lost_reply_is_graded(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    lose_node(stage);
    join(stage, "m");
    stage->now_ms += 1000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    step(stage, (struct sched_event){
                    .kind = SCHED_LEASE_REFUSED, .run_id = "r", .reason = "run r is grading"});
    step(stage,
         (struct sched_event){
             .kind = SCHED_STORE_SAYS, .run_id = "r", .seen = SCHED_RUN_GRADING, .count = 10});
    assert_state(stage, "r", SCHED_RUN_GRADING);
    assert_int_equal(count(stage, SCHED_DO_GRADE, "r"), 1);
}

static void a_run_that_the_store_does_not_know_fails(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    join(stage, "n");
    step(stage, (struct sched_event){.kind = SCHED_LEASE_REFUSED,
                                     .run_id = "r",
                                     .reason = "run r does not exist",
                                     .final = true});
    assert_state(stage, "r", SCHED_RUN_FAILED);
}

/* ---- after a restart of the scheduler ---- */

static void a_lease_outlives_the_scheduler_when_its_node_still_holds_it(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r"), next = run_named("s");

    run.state = SCHED_RUN_RUNNING;
    run.fence = 5;
    add(stage, &run);
    add(stage, &next);
    join_as(stage, &(struct sched_node){.id = "n", .name = "n", .engines = null_engine});
    assert_int_equal(count(stage, SCHED_DO_LEASE, "s"), 0); /* it has not said what it holds */
    beat(stage, "n", "r", 5);
    assert_int_equal(stage->actions.count, 0);
    assert_string_equal(run_of(stage, "r")->node_id, "n");
    store(stage, "r", 5, 10);
    assert_state(stage, "r", SCHED_RUN_GRADING);
    assert_int_equal(count(stage, SCHED_DO_LEASE, "s"), 1);
}

static void a_lease_that_nobody_holds_any_more_is_given_away_by_the_sweep(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    run.state = SCHED_RUN_LEASED;
    run.fence = 5;
    add(stage, &run);
    step(stage, (struct sched_event){.kind = SCHED_LEASE_LOST, .run_id = "r", .fence = 5});
    assert_state(stage, "r", SCHED_RUN_QUEUED);
}

static void a_node_that_holds_what_it_should_not_is_told_to_stop_before_it_gets_work(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    join_as(stage, &(struct sched_node){.id = "n", .name = "n", .engines = null_engine});
    beat(stage, "n", "r", 5);
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 1);
    assert_int_equal(count(stage, SCHED_DO_LEASE, "r"), 0);
    step(stage, (struct sched_event){
                    .kind = SCHED_NODE_STOPPED, .node_id = "n", .run_id = "r", .fence = 5});
    assert_int_equal(count(stage, SCHED_DO_LEASE, "r"), 1);
}

static void an_old_beat_does_not_stop_the_new_lease_of_the_same_run(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    fail_on_node(stage, 1, "out of memory", false);
    stage->now_ms += 1000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    grant(stage, "r", 2);
    beat(stage, "n", "r", 1);
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 0);
    assert_state(stage, "r", SCHED_RUN_LEASED);
}

static void grading_goes_on_after_a_restart(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    run.state = SCHED_RUN_GRADING;
    add(stage, &run);
    assert_int_equal(count(stage, SCHED_DO_GRADE, "r"), 1);
    add(stage, &run); /* a second time, as a duplicate's restore may */
    assert_int_equal(stage->actions.count, 0);
}

/* ---- nobody holds a run for ever, and nobody is blamed for another's fault ---- */

static void tell_assigned(struct stage *stage, uint64_t fence, bool complete)
{
    step(stage, (struct sched_event){
                    .kind = SCHED_ASSIGN_SENT, .run_id = "r", .fence = fence, .final = complete});
}

static void say(struct stage *stage, const char *node_id, const char *phase)
{
    step(stage, (struct sched_event){
                    .kind = SCHED_NODE_SAYS, .node_id = node_id, .run_id = "r", .reason = phase});
}

/* The node beats all the while. */
static void let_pass(struct stage *stage, int64_t ms)
{
    for (; ms > 0; ms -= 3000) {
        stage->now_ms += 3000;
        beat(stage, "n", "r", 1);
        step(stage, (struct sched_event){.kind = SCHED_TICK});
    }
}

static void a_node_that_beats_and_delivers_nothing_loses_the_run(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_RUNNING);
    tell_assigned(stage, 1, true);
    let_pass(stage, policy.progress_ms_max - 3000);
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    store(stage, "r", 1, 5); /* it delivers: the time begins again */
    let_pass(stage, policy.progress_ms_max);
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    stage->now_ms += 3000;
    beat(stage, "n", "r", 1);
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_string_equal(run_of(stage, "r")->reason,
                        "the node has delivered nothing for 63 s (progress_s_max)");
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 1);
    assert_int_equal(count(stage, SCHED_DO_RELEASE, "r"), 1);
    assert_int_equal(run_of(stage, "r")->attempts, 1);
}

/* The evaluator is away, so the prompts are not there; or the store does not take the answers. */
static void waiting_for_prompts_or_for_the_store_is_not_the_nodes_delay(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    tell_assigned(stage, 1, false);
    let_pass(stage, 3 * policy.progress_ms_max);
    assert_state(stage, "r", SCHED_RUN_LEASED);
    tell_assigned(stage, 1, true);
    step(stage, (struct sched_event){.kind = SCHED_NODE_WAITS, .node_id = "n"});
    let_pass(stage, 3 * policy.progress_ms_max);
    assert_state(stage, "r", SCHED_RUN_LEASED);
    step(stage, (struct sched_event){.kind = SCHED_NODE_HEARD, .node_id = "n"});
    let_pass(stage, policy.progress_ms_max - 3000);
    assert_state(stage, "r", SCHED_RUN_LEASED);
}

static void a_node_that_never_names_its_run_does_not_hold_it(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    tell_assigned(stage, 1, true);
    beat(stage, "n", NULL, 0); /* sent before the assignment arrived */
    assert_state(stage, "r", SCHED_RUN_LEASED);
    stage->now_ms += policy.silent_ms_max;
    beat(stage, "n", NULL, 0);
    assert_state(stage, "r", SCHED_RUN_LEASED);
    stage->now_ms += 1;
    beat(stage, "n", NULL, 0);
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_int_equal(count(stage, SCHED_DO_RELEASE, "r"), 1);
    assert_node_has(stage, "n", "");
}

static void a_lease_whose_node_does_not_come_back_is_given_away(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    run.state = SCHED_RUN_RUNNING;
    run.fence = 5;
    add(stage, &run);
    stage->now_ms += policy.claim_ms_max;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_state(stage, "r", SCHED_RUN_RUNNING);
    stage->now_ms += 1;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    assert_int_equal(action_of(stage, SCHED_DO_RELEASE)->fence, 5);
}

static void only_the_node_of_that_name_takes_a_lease_from_before(void **state)
{
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    run.state = SCHED_RUN_RUNNING;
    run.fence = 5;
    snprintf(run.holder, sizeof run.holder, "n");
    add(stage, &run);
    join_as(stage, &(struct sched_node){.id = "x", .name = "x", .engines = null_engine});
    beat(stage, "x", "r", 5);
    assert_string_equal(run_of(stage, "r")->node_id, "");
    assert_int_equal(count(stage, SCHED_DO_STOP, "r"), 1);
    join_as(stage, &(struct sched_node){.id = "n", .name = "n", .engines = null_engine});
    beat(stage, "n", "r", 5);
    assert_string_equal(run_of(stage, "r")->node_id, "n");
}

/* A chat template that ends the process, for example. */
static void a_run_that_ends_its_node_twice_fails_with_that_reason(void **state)
{
    struct stage *stage = *state;
    struct sched_run next = run_named("s");

    bring_to(stage, SCHED_RUN_LEASED);
    add(stage, &next);
    say(stage, "n", "loading model");
    lose_node(stage);
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    stage->now_ms += 1000;
    join(stage, "n"); /* started again: the other run's turn, then this one's */
    grant(stage, "s", 1);
    store(stage, "s", 1, 10);
    grant(stage, "r", 2);
    say(stage, "n", "loading model");
    lose_node(stage);
    assert_state(stage, "r", SCHED_RUN_FAILED);
    assert_string_equal(run_of(stage, "r")->reason,
                        "the node ended twice while it ran this (loading model)");
    assert_int_equal(count(stage, SCHED_DO_MOVE, "r"), 1);
}

static void nodes_that_end_in_different_phases_or_with_answers_between_are_bad_luck(void **state)
{
    static const char *const phases[] = {"loading model", "running", "running", "running"};
    struct stage *stage = *state;
    struct sched_run run = run_named("r");

    add(stage, &run);
    for (uint64_t fence = 1; fence <= 4; fence++) {
        join(stage, "n");
        stage->now_ms += 1000;
        step(stage, (struct sched_event){.kind = SCHED_TICK});
        grant(stage, "r", fence);
        say(stage, "n", phases[fence - 1]);
        if (fence >= 3)
            store(stage, "r", fence, (uint32_t)fence);
        lose_node(stage);
        assert_state(stage, "r", SCHED_RUN_QUEUED);
    }
}

static void fail_unanswered(struct stage *stage, uint64_t fence, const char *reason)
{
    step(stage, (struct sched_event){.kind = SCHED_SHARD_FAILED,
                                     .run_id = "r",
                                     .node_id = "n",
                                     .fence = fence,
                                     .reason = reason,
                                     .away = true});
}

static void a_server_that_fails_the_same_way_twice_fails_the_run(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_LEASED);
    fail_unanswered(stage, 1, "could not connect to http://x (connection refused) after 9 s");
    assert_state(stage, "r", SCHED_RUN_QUEUED);
    stage->now_ms += 1000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    grant(stage, "r", 2);
    fail_unanswered(stage, 2, "could not connect to http://x (connection refused) after 10 s");
    assert_state(stage, "r", SCHED_RUN_FAILED);
    assert_string_equal(run_of(stage, "r")->reason,
                        "failed after 2 attempts: could not connect to http://x (connection "
                        "refused) after 10 s");
}

static void a_run_of_which_no_sample_completed_is_invalid_and_keeps_its_summary(void **state)
{
    struct stage *stage = *state;

    bring_to(stage, SCHED_RUN_GRADING);
    step(stage,
         (struct sched_event){.kind = SCHED_GRADED, .run_id = "r", .count = 10, .final = true});
    step(stage, (struct sched_event){
                    .kind = SCHED_RUN_DONE, .run_id = "r", .reason = "no sample completed: 500"});
    assert_state(stage, "r", SCHED_RUN_INVALID);
    assert_string_equal(run_of(stage, "r")->reason, "no sample completed: 500");
    assert_int_equal(count(stage, SCHED_DO_MOVE, "r"), 0); /* the store made the move itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_these_moves_are_legal),
        ON_STAGE(a_run_goes_from_the_queue_to_its_summary),
        ON_STAGE(events_that_come_twice_or_too_late_change_nothing),
        ON_STAGE(an_old_fence_moves_nothing),
        ON_STAGE(a_node_that_dies_gives_its_run_back),
        ON_STAGE(a_node_that_dies_while_loading_gives_its_run_back),
        ON_STAGE(a_node_that_dies_before_the_lease_comes_never_gets_it),
        ON_STAGE(a_node_that_dies_after_the_last_answer_costs_nothing),
        ON_STAGE(a_silent_node_is_dropped_and_its_run_given_away),
        ON_STAGE(silence_while_the_store_is_away_is_not_the_nodes),
        ON_STAGE(cancel_in_the_queue_ends_at_once),
        ON_STAGE(cancel_while_leasing_waits_for_the_store),
        ON_STAGE(cancel_of_a_refused_lease_ends_too),
        ON_STAGE(cancel_on_a_node_stops_it_and_the_node_is_free_when_it_says_so),
        ON_STAGE(a_beat_that_no_longer_names_the_run_frees_the_node_too),
        ON_STAGE(cancel_while_grading_ends_it),
        ON_STAGE(cancel_while_finishing_is_decided_by_the_store),
        ON_STAGE(cancel_of_a_finishing_that_is_given_up_ends_cancelled),
        ON_STAGE(a_bad_model_fails_the_run_with_the_nodes_sentence),
        ON_STAGE(attempts_that_store_nothing_are_counted_and_end),
        ON_STAGE(an_attempt_that_stored_answers_starts_the_count_again),
        ON_STAGE(prompts_that_cannot_be_made_stop_the_node_and_fail_the_run),
        ON_STAGE(a_poisoned_grading_fails_the_run),
        ON_STAGE(a_node_that_stops_by_itself_gives_the_run_back),
        ON_STAGE(a_lost_lease_stops_the_node_and_tells_the_store_nothing),
        ON_STAGE(a_store_that_is_away_is_asked_again_later_and_by_nobody_before),
        ON_STAGE(a_run_that_went_on_behind_a_lost_reply_is_graded),
        ON_STAGE(a_run_that_the_store_does_not_know_fails),
        ON_STAGE(a_lease_outlives_the_scheduler_when_its_node_still_holds_it),
        ON_STAGE(a_lease_that_nobody_holds_any_more_is_given_away_by_the_sweep),
        ON_STAGE(a_node_that_holds_what_it_should_not_is_told_to_stop_before_it_gets_work),
        ON_STAGE(an_old_beat_does_not_stop_the_new_lease_of_the_same_run),
        ON_STAGE(grading_goes_on_after_a_restart),
        ON_STAGE(a_node_that_beats_and_delivers_nothing_loses_the_run),
        ON_STAGE(waiting_for_prompts_or_for_the_store_is_not_the_nodes_delay),
        ON_STAGE(a_node_that_never_names_its_run_does_not_hold_it),
        ON_STAGE(a_lease_whose_node_does_not_come_back_is_given_away),
        ON_STAGE(only_the_node_of_that_name_takes_a_lease_from_before),
        ON_STAGE(a_run_that_ends_its_node_twice_fails_with_that_reason),
        ON_STAGE(nodes_that_end_in_different_phases_or_with_answers_between_are_bad_luck),
        ON_STAGE(a_server_that_fails_the_same_way_twice_fails_the_run),
        ON_STAGE(a_run_of_which_no_sample_completed_is_invalid_and_keeps_its_summary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
