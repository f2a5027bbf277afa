/* Who is next: priority, age, fairness, and which node can run what. */
#include "stage.h"

#include <stdio.h>
#include <string.h>

/* ---- order ---- */

static void assert_order(struct stage *stage, const char *expected)
{
    const struct sched_run *order[16];
    size_t total = sched_order(stage->state, stage->now_ms, order, 16);
    char text[256] = "";

    for (size_t i = 0; i < total; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                 order[i]->id);
    assert_string_equal(text, expected);
}

static void add_for(struct stage *stage, const char *id, const char *submitter, int priority)
{
    struct sched_run run = run_named(id);

    snprintf(run.submitter, sizeof run.submitter, "%s", submitter);
    run.priority = priority;
    run.queued_at_ms = stage->now_ms;
    add(stage, &run);
}

static void higher_priority_goes_first_then_the_older(void **state)
{
    struct stage *stage = *state;

    add_for(stage, "a", "anna", 0);
    stage->now_ms += 10;
    add_for(stage, "b", "anna", 5);
    stage->now_ms += 10;
    add_for(stage, "c", "anna", 0);
    assert_order(stage, "b a c");
}

static void waiting_is_worth_priority(void **state)
{
    struct stage *stage = *state;

    add_for(stage, "old", "anna", 0);
    stage->now_ms += 5 * policy.ageing_ms;
    add_for(stage, "urgent", "bert", 4);
    assert_order(stage, "old urgent");
}

static void submitters_take_turns(void **state)
{
    struct stage *stage = *state;
    char got[64] = "";

    add_for(stage, "a1", "anna", 0);
    add_for(stage, "a2", "anna", 0);
    add_for(stage, "a3", "anna", 0);
    add_for(stage, "b1", "bert", 0);
    add_for(stage, "b2", "bert", 0);
    join(stage, "n");
    for (uint64_t i = 1; i <= 5; i++) {
        const char *id = action_of(stage, SCHED_DO_LEASE)->run_id;
        char run_id[CAP_ID_BYTES];

        snprintf(run_id, sizeof run_id, "%s", id);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", run_id);
        grant(stage, run_id, i);
        stage->now_ms += 100;
        store(stage, run_id, i, 10);
    }
    assert_string_equal(got, "a1 b1 a2 b2 a3 ");
}

static void who_has_fewer_runs_on_nodes_goes_first(void **state)
{
    struct stage *stage = *state;

    add_for(stage, "a1", "anna", 0);
    join(stage, "n");
    stage->now_ms += 10;
    add_for(stage, "a2", "anna", 0);
    add_for(stage, "b1", "bert", 0);
    assert_order(stage, "b1 a2");
}

/* Somebody's thousand old runs all have aged; they are still one submitter's. */
static void a_long_queue_of_one_does_not_outwait_another(void **state)
{
    struct stage *stage = *state;

    add_for(stage, "a1", "anna", 0);
    add_for(stage, "a2", "anna", 0);
    add_for(stage, "a3", "anna", 0);
    stage->now_ms += 100 * policy.ageing_ms;
    join(stage, "n");
    assert_int_equal(count(stage, SCHED_DO_LEASE, "a1"), 1);
    stage->now_ms += 10;
    add_for(stage, "b1", "bert", 0);
    assert_order(stage, "b1 a2 a3");
}

/* Submitters choose their names: what is kept of them has a limit. */
static void any_number_of_submitters_is_put_in_order(void **state)
{
    struct stage *stage = *state;
    const struct sched_run *order[1];
    char id[32];

    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "r%04d", i);
        add_for(stage, id, id, 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sched_order(stage->state, 0, order, 1), 1);
        assert_string_equal(order[0]->id, "r0000");
    }
}

static void each_node_gets_one_run(void **state)
{
    struct stage *stage = *state;

    add_for(stage, "a1", "anna", 0);
    add_for(stage, "a2", "anna", 0);
    add_for(stage, "a3", "anna", 0);
    join(stage, "n");
    assert_int_equal(stage->actions.count, 1);
    join(stage, "m");
    assert_int_equal(stage->actions.count, 1);
    assert_order(stage, "a3");
}

/* ---- capability ---- */

static const char *const native_engine[] = {"native", "null", "moe-gen" SCHED_AT_URL, NULL};
static const char *const precisions[] = {"f32", "bf16", NULL};
static const char *const models[] = {"moecap-tiny", NULL};

static void join_native(struct stage *stage, const char *id, int64_t devices, bool any_path)
{
    struct sched_node node = {.engines = native_engine,
                              .precisions = precisions,
                              .models = models,
                              .device_count = devices,
                              .any_model_path = any_path};

    snprintf(node.id, sizeof node.id, "%s", id);
    join_as(stage, &node);
    beat(stage, id, NULL, 0);
}

static struct sched_needs needs_of(const char *engine, const char *precision, const char *device,
                                   const char *model)
{
    struct sched_needs needs = {.model_on_node = strcmp(engine, "native") == 0};

    snprintf(needs.engine, sizeof needs.engine, "%s", engine);
    snprintf(needs.precision, sizeof needs.precision, "%s", precision);
    snprintf(needs.device, sizeof needs.device, "%s", device);
    snprintf(needs.model, sizeof needs.model, "%s", model);
    return needs;
}

static void assert_why(struct stage *stage, struct sched_needs needs, const char *expected)
{
    char reason[SCHED_REASON_BYTES];

    sched_why_none(stage->state, &needs, reason);
    assert_string_equal(reason, expected);
}

static void the_reason_why_nobody_can_run_it_names_what_is_there(void **state)
{
    struct stage *stage = *state;
    struct sched_needs many = needs_of("native", "bf16", "cuda", "moecap-tiny");
    struct sched_needs started = needs_of("moe-gen", "", "", "m");

    assert_why(stage, needs_of("null", "", "", "x"), "no node is connected");
    join_native(stage, "n", 0, false);
    assert_why(stage, needs_of("vllm", "fp8", "cuda", "x"),
               "no connected node has engine \"vllm\" (connected: native, null)");
    assert_why(stage, needs_of("moe-gen" SCHED_AT_URL, "", "", "m"), ""); /* any node */
    started.starts_server = true;
    assert_why(stage, started,
               "no connected node has a command that starts engine \"moe-gen\": set "
               "external_command_moe_gen of a node, or give the URL of a server that runs");
    assert_why(stage, needs_of("native", "int8", "", "moecap-tiny"),
               "no connected node with engine \"native\" has precision \"int8\" (they have: f32, "
               "bf16)");
    assert_why(stage, many,
               "no connected node with engine \"native\" and precision \"bf16\" has 1 CUDA device");
    assert_why(stage, needs_of("native", "bf16", "", "mixtral"),
               "no connected node that could run it has model \"mixtral\"; they offer: "
               "moecap-tiny");
    assert_why(stage, needs_of("native", "bf16", "", "/m"),
               "no connected node that could run it loads the path \"/m\" (a node started "
               "with --any-model-path does); they offer: moecap-tiny");
    assert_why(stage, needs_of("native", "bf16", "cpu", "moecap-tiny"), "");
    assert_why(stage, needs_of("null", "anything", "cuda", "whatever"), "");
    join_native(stage, "g", 2, true);
    assert_why(stage, needs_of("native", "bf16", "", "/m"), "");
    assert_why(stage, many, "");
    many.device_count = 4;
    assert_why(
        stage, many,
        "no connected node with engine \"native\" and precision \"bf16\" has 4 CUDA devices");
}

static void a_run_waits_for_a_node_that_can_run_it_and_others_pass(void **state)
{
    struct stage *stage = *state;
    struct sched_run first = run_named("gpu"), second = run_named("any");
    char waits[SCHED_REASON_BYTES];

    first.needs = needs_of("native", "bf16", "cuda", "moecap-tiny");
    first.priority = 9;
    add(stage, &first);
    add(stage, &second);
    join_native(stage, "n", 0, false);
    assert_int_equal(count(stage, SCHED_DO_LEASE, "any"), 1);
    assert_int_equal(count(stage, SCHED_DO_LEASE, "gpu"), 0);
    sched_waiting_for(stage->state, run_of(stage, "gpu"), 0, waits);
    assert_non_null(strstr(waits, "has 1 CUDA device"));
    join_native(stage, "g", 1, false);
    assert_int_equal(count(stage, SCHED_DO_LEASE, "gpu"), 1);
    assert_string_equal(action_of(stage, SCHED_DO_LEASE)->node_id, "g");
}

static void assert_waits_for(const struct stage *stage, const char *run_id, const char *text)
{
    char waits[SCHED_REASON_BYTES];

    sched_waiting_for(stage->state, run_of(stage, run_id), stage->now_ms, waits);
    assert_string_equal(waits, text);
}

/* The disk is full: no run gets a lease, though a node is free. */
static void runs_say_that_they_wait_for_the_store(void **state)
{
    struct stage *stage = *state;
    struct sched_run first = run_named("r"), next = run_named("s");
    const struct sched_event refused = {.kind = SCHED_LEASE_REFUSED,
                                        .run_id = "r",
                                        .reason = "store: could not extend file: disk full",
                                        .away = true};

    join(stage, "n");
    add(stage, &first);
    add(stage, &next);
    assert_waits_for(stage, "r", "its assignment to a node");
    step(stage, refused);
    assert_waits_for(stage, "r",
                     "another try in 1 s, after: store: could not extend file: disk full");
    assert_waits_for(stage, "s",
                     "the store, which gives no lease: store: could not extend file: disk full");
    stage->now_ms += 1000;
    step(stage, (struct sched_event){.kind = SCHED_TICK});
    grant(stage, "r", 1);
    assert_waits_for(stage, "s", "a free node (1 can run it)");
    step(stage, (struct sched_event){.kind = SCHED_NODE_WAITS, .node_id = "n"});
    assert_waits_for(stage, "s",
                     "a free node (1 can run it; 1 waits for the store to take its answers)");
}

static void a_waiting_run_says_what_for(void **state)
{
    struct stage *stage = *state;
    struct sched_run next = run_named("s");
    char waits[SCHED_REASON_BYTES];

    bring_to(stage, SCHED_RUN_LEASED);
    add(stage, &next);
    sched_waiting_for(stage->state, run_of(stage, "s"), 0, waits);
    assert_string_equal(waits, "a free node (1 can run it)");
    fail_on_node(stage, 1, "out of memory", false);
    sched_waiting_for(stage->state, run_of(stage, "r"), 0, waits);
    assert_string_equal(waits, "another try in 1 s, after: out of memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(higher_priority_goes_first_then_the_older),
        ON_STAGE(waiting_is_worth_priority),
        ON_STAGE(submitters_take_turns),
        ON_STAGE(who_has_fewer_runs_on_nodes_goes_first),
        ON_STAGE(a_long_queue_of_one_does_not_outwait_another),
        ON_STAGE(any_number_of_submitters_is_put_in_order),
        ON_STAGE(each_node_gets_one_run),
        ON_STAGE(the_reason_why_nobody_can_run_it_names_what_is_there),
        ON_STAGE(a_run_waits_for_a_node_that_can_run_it_and_others_pass),
        ON_STAGE(a_waiting_run_says_what_for),
        ON_STAGE(runs_say_that_they_wait_for_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
