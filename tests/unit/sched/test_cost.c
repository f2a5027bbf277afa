/* What a step costs, counted in runs, lines, classes and nodes looked at: numbers, not times. */
#include "stage.h"

#include <stdio.h>
#include <string.h>

#include "base/rand.h"

enum { NODES = 1000, RUNS = 100000, SUBMITTERS = 8 };

static const char *const engines_of_nodes[] = {"native", "null", "openai", NULL};
static const char *const models_of_nodes[] = {"moecap-tiny", "mixtral", NULL};

static void join_many(struct stage *stage, int count)
{
    for (int i = 0; i < count; i++) {
        struct sched_node node = {.engines = engines_of_nodes, .models = models_of_nodes};

        snprintf(node.id, sizeof node.id, "n%d", i);
        join_as(stage, &node);
        beat(stage, node.id, NULL, 0);
    }
}

/* Runs that none of these nodes can take; with `apart`, each needs another model. */
static void add_many(struct stage *stage, int from, int count, bool apart)
{
    for (int i = from; i < from + count; i++) {
        struct sched_run run = run_named("");

        snprintf(run.id, sizeof run.id, "r%06d", i);
        snprintf(run.submitter, sizeof run.submitter, "s%d", i % SUBMITTERS);
        run.queued_at_ms = i;
        snprintf(run.needs.engine, sizeof run.needs.engine, "native");
        run.needs.model_on_node = true;
        snprintf(run.needs.model, sizeof run.needs.model, "elsewhere-%d", apart ? i : 0);
        add(stage, &run);
    }
}

static uint64_t cost_of_beats(struct stage *stage, int nodes)
{
    uint64_t before = sched_looked_at(stage->state);

    for (int i = 0; i < nodes; i++) {
        char id[16];

        snprintf(id, sizeof id, "n%d", i);
        stage->now_ms++;
        beat(stage, id, NULL, 0);
    }
    return sched_looked_at(stage->state) - before;
}

static void a_beat_of_an_idle_node_looks_at_nothing_however_many_runs_wait(void **state)
{
    struct stage *stage = *state;

    join_many(stage, NODES);
    add_many(stage, 0, RUNS, false);
    assert_int_equal(sched_waiting_count(stage->state), RUNS);
    assert_int_equal(cost_of_beats(stage, NODES), 0);
}

static void a_tick_looks_at_no_run_that_waits(void **state)
{
    struct stage *stage = *state;
    uint64_t before;

    join_many(stage, 10);
    add_many(stage, 0, 10000, true);
    before = sched_looked_at(stage->state);
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    assert_int_equal(sched_looked_at(stage->state), before);
}

/* The first run of its kind asks the idle nodes; those behind it know the answer. */
static void a_run_that_joins_a_line_asks_no_node(void **state)
{
    struct stage *stage = *state;
    uint64_t before;

    join_many(stage, NODES);
    add_many(stage, 0, SUBMITTERS, false);
    before = sched_looked_at(stage->state);
    add_many(stage, SUBMITTERS, 10000, false);
    assert_int_equal(sched_looked_at(stage->state), before);
}

static uint64_t cost_of_a_choice(struct stage *stage, const char *node_id)
{
    struct sched_node node = {.engines = null_engine};
    uint64_t before = sched_looked_at(stage->state);

    snprintf(node.id, sizeof node.id, "%s", node_id);
    join_as(stage, &node);
    beat(stage, node.id, NULL, 0);
    assert_int_equal(action_of(stage, SCHED_DO_LEASE)->kind, SCHED_DO_LEASE);
    return sched_looked_at(stage->state) - before;
}

/* With a hundred times the runs, lines are looked at, not what stands in them. */
static void a_choice_looks_at_the_heads_of_lines(void **state)
{
    struct stage *stage = *state;
    uint64_t few;

    add_many(stage, 0, 1000, true); /* others, which it cannot run */
    for (int i = 0; i < 1000; i++) {
        struct sched_run run = run_named("");

        snprintf(run.id, sizeof run.id, "q%06d", i);
        snprintf(run.submitter, sizeof run.submitter, "s%d", i % SUBMITTERS);
        add(stage, &run);
    }
    few = cost_of_a_choice(stage, "a");
    assert_true(few <= 2 * SUBMITTERS);
    for (int i = 1000; i < RUNS; i++) {
        struct sched_run run = run_named("");

        snprintf(run.id, sizeof run.id, "q%06d", i);
        snprintf(run.submitter, sizeof run.submitter, "s%d", i % SUBMITTERS);
        add(stage, &run);
    }
    assert_int_equal(cost_of_a_choice(stage, "b"), few);
}

/* Nodes and runs of all kinds in any order: whatever is given work is what the whole order says. */
static void the_head_that_is_chosen_is_the_first_of_the_whole_order(void **state)
{
    struct stage *stage = *state;
    struct cap_rand rand;

    cap_rand_seed(&rand, 7);
    for (int i = 0; i < 3000; i++) {
        struct sched_run run = run_named("");

        snprintf(run.id, sizeof run.id, "q%06d", i);
        snprintf(run.submitter, sizeof run.submitter, "s%d", (int)cap_rand_below(&rand, 40));
        run.priority = (int)cap_rand_below(&rand, 5);
        run.queued_at_ms = (int64_t)cap_rand_below(&rand, 500000);
        add(stage, &run);
    }
    for (int i = 0; i < 300; i++) {
        const struct sched_run *first;
        char expected[CAP_ID_BYTES], node_id[16];

        stage->now_ms += (int64_t)cap_rand_below(&rand, 60000);
        assert_int_equal(sched_order(stage->state, stage->now_ms, &first, 1), 1);
        assert_int_equal(sched_position(stage->state, first, stage->now_ms), 1);
        snprintf(expected, sizeof expected, "%s", first->id);
        snprintf(node_id, sizeof node_id, "m%d", i);
        join(stage, node_id);
        assert_string_equal(action_of(stage, SCHED_DO_LEASE)->run_id, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_beat_of_an_idle_node_looks_at_nothing_however_many_runs_wait),
        ON_STAGE(a_tick_looks_at_no_run_that_waits),
        ON_STAGE(a_run_that_joins_a_line_asks_no_node),
        ON_STAGE(a_choice_looks_at_the_heads_of_lines),
        ON_STAGE(the_head_that_is_chosen_is_the_first_of_the_whole_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
