/* What each fault means: of the store, behind its shim; of the evaluator; of nodes. */
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "house.h"

extern char **environ;

static void a_run_goes_all_the_way(void **state)
{
    struct house *house = *state;
    static struct node node = {0};
    char run_id[ID_MAX];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(house->suite->evaluator.rendered, SUITE_SAMPLES);
    assert_int_equal(house->suite->evaluator.evidence_answers, SUITE_SAMPLES);
    assert_int_equal(house_stored(house, run_id).attempts, 1);
    node_stop(&node);
}

static void many_runs_on_several_nodes_end_although_the_store_fails_now_and_then(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    static struct node nodes[3] = {{.twice = true}, {.pace_ms = 3}, {.die_after = 4}};
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};

    for (int i = 0; i < 3; i++)
        house_add_node(house, &nodes[i], i == 0 ? "twice" : i == 1 ? "slow" : "dying");
    assert_true(house_submit(house, 1, 12, false, arena, &reply, &err));
    house->shim.fail_percent = 15;
    house->shim.lose_percent = 10;
    assert_int_equal(house_watch(house, reply->evaluation_id, NULL), STATE(FINISHED));
    for (size_t i = 0; i < reply->n_runs; i++)
        assert_all_stored_once(house, reply->runs[i]->run_id);
    print_message("%d calls failed, %d batches repeated, %d leases for 12 runs\n",
                  house->shim.calls_failed, house->shim.repeated, house->shim.leases);
    assert_true(house->shim.calls_failed > 0);
    assert_true(house->shim.repeated > 0);
    for (int i = 0; i < 3; i++)
        node_stop(&nodes[i]);
}

static void a_node_that_vanishes_is_replaced_and_nothing_is_done_twice(void **state)
{
    struct house *house = *state;
    static struct node first = {.die_after = 2, .pace_ms = 10}, second = {0};
    char run_id[ID_MAX];

    house_add_node(house, &first, "first");
    house_submit_one(house, 1, run_id);
    house_wait_until(house, some_answers, run_id);
    house_add_node(house, &second, "second");
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_true(house_stored(house, run_id).attempts >= 2);
    node_stop(&first);
    node_stop(&second);
}

static void a_silent_node_loses_its_run_and_registers_again(void **state)
{
    struct house *house = *state;
    static struct node silent = {.pace_ms = 30}, other = {0};
    char run_id[ID_MAX];

    house_add_node(house, &silent, "silent");
    house_submit_one(house, 1, run_id);
    house_wait_until(house, some_answers, run_id);
    silent.deaf = true;
    house_add_node(house, &other, "other");
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_true(other.batches > 0);
    silent.deaf = false;
    for (int i = 0; i < 1000 && silent.streams < 2; i++)
        cap_sleep_ms(5);
    assert_true(silent.streams >= 2);
    node_stop(&other);
    house_submit_one(house, 2, run_id); /* and takes work again */
    silent.pace_ms = 0;
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    node_stop(&silent);
}

/* Each Append takes longer than a lease lasts and than a node may be silent. */
static void a_node_that_beats_keeps_its_lease_however_long_the_store_takes(void **state)
{
    struct house *house = *state;
    static struct node node = {0};
    char run_id[ID_MAX];

    house->shim.append_ms = 1000;
    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(house_stored(house, run_id).attempts, 1);
    assert_int_equal(node.streams, 1);
    node_stop(&node);
}

/* ---- a node that speaks for another ---- */

static struct cap_rpc_call *open_stranger(struct house *house)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;
    struct cap_rpc_call *call = scheduler_rpc_work_open(house->channel, NULL);

    hello.name = (char *)"stranger";
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    assert_true(scheduler_rpc_work_send_request(call, &message));
    assert_non_null(scheduler_rpc_work_next_reply(call)); /* the welcome */
    return call;
}

/* An answer to sample 39 under a lease that is another node's. */
static void send_forged(struct cap_rpc_call *call, const char *run_id, uint64_t seq)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__AnswerRows rows = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT, *answers = &answer;
    Moecap__V1__LeaseRef lease = MOECAP__V1__LEASE_REF__INIT;
    uint8_t packed[256];

    answer.ordinal = SUITE_SAMPLES - 1;
    rows.answers = &answers;
    rows.n_answers = 1;
    lease.run_id = (char *)run_id;
    lease.fence = 1;
    batch.lease = &lease;
    batch.seq = seq;
    batch.rows = (ProtobufCBinaryData){moecap__v1__answer_rows__pack(&rows, packed), packed};
    batch.answers = 1;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_ANSWERS;
    message.answers = &batch;
    scheduler_rpc_work_send_request(call, &message);
}

static void a_batch_is_taken_from_the_node_that_holds_the_lease_only(void **state)
{
    struct house *house = *state;
    static struct node node = {.pace_ms = 20};
    char run_id[ID_MAX];
    struct cap_rpc_call *stranger = open_stranger(house);
    struct cap_err err = {0};

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    house_wait_until(house, some_answers, run_id);
    for (uint64_t seq = 0; seq < 8; seq++)
        send_forged(stranger, run_id, seq);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(house_stored(house, run_id).attempts, 1);
    cap_rpc_cancel(stranger);
    cap_rpc_close(stranger, &err);
    node_stop(&node);
}

static void cancel_stops_the_node_within_a_second(void **state)
{
    struct house *house = *state;
    static struct node node = {.pace_ms = 200};
    char run_id[ID_MAX], next_id[ID_MAX], reason[512];
    int64_t asked_at;

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    house_wait_until(house, some_answers, run_id);
    asked_at = cap_clock_ms(cap_clock_system());
    house_cancel(house, run_id, 1);
    assert_int_equal(house_watch(house, run_id, reason), STATE(CANCELLED));
    assert_string_equal(reason, "not needed");
    house_wait_until(house, is_cancelled, run_id);
    for (int i = 0; i < 200 && node.stops == 0; i++)
        cap_sleep_ms(5);
    assert_true(node.stops > 0 && node.stopped_at_ms - asked_at < 1000);
    house_cancel(house, run_id, 0); /* again: it has ended */
    node.pace_ms = 0;
    house_submit_one(house, 2, next_id);
    assert_int_equal(house_watch(house, next_id, NULL), STATE(FINISHED));
    node_stop(&node);
}

static void a_node_that_fails_for_good_fails_the_run_with_its_sentence(void **state)
{
    struct house *house = *state;
    static struct node node = {.fail_with = "model.safetensors: tensor x is cut off",
                               .fail_for_good = true};
    char run_id[ID_MAX], reason[512];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "model.safetensors: tensor x is cut off");
    node_stop(&node);
}

static void attempts_come_to_an_end(void **state)
{
    struct house *house = *state;
    static struct node node = {.fail_with = "out of memory"};
    char run_id[ID_MAX], reason[512];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "failed after 3 attempts: out of memory");
    assert_int_equal(house_stored(house, run_id).attempts, 3);
    node_stop(&node);
}

static void an_evaluator_that_is_away_costs_time_and_nothing_else(void **state)
{
    struct house *house = *state;
    static struct node node = {0};
    char run_id[ID_MAX], next_id[ID_MAX];

    house_evaluator_away(house, true);
    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    cap_sleep_ms(900); /* longer than a lease: the beats keep it */
    assert_int_equal(house_stored(house, run_id).attempts, 1);
    house_evaluator_away(house, false);
    node.pace_ms = 5;
    house_wait_until(house, some_answers, run_id);
    house_evaluator_away(house, true);
    node.pace_ms = 0;
    house_wait_until(house, is_grading, run_id); /* the node is free although nobody grades */
    house_evaluator_away(house, false);
    house_submit_one(house, 2, next_id);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_int_equal(house_watch(house, next_id, NULL), STATE(FINISHED));
    assert_int_equal(house_stored(house, run_id).attempts, 1);
    node_stop(&node);
}

static void what_can_never_be_rendered_or_graded_fails_with_the_sentence(void **state)
{
    struct house *house = *state;
    static struct node node = {0};
    char run_id[ID_MAX], reason[512];

    house_add_node(house, &node, "one");
    house->suite->evaluator.render_fails = CAP_INVALID_ARGUMENT;
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "render: the template has a hole");
    house->suite->evaluator.render_fails = CAP_OK;
    house->suite->evaluator.grade_fails = CAP_INVALID_ARGUMENT;
    house_submit_one(house, 2, run_id);
    assert_int_equal(house_watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "grade: the grader has no idea");
    assert_int_equal(house_stored(house, run_id).answered, SUITE_SAMPLES); /* kept */
    node_stop(&node);
}

static void a_store_that_is_away_for_longer_than_a_lease_loses_nothing(void **state)
{
    struct house *house = *state;
    static struct node node = {.pace_ms = 20};
    char run_id[ID_MAX];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    house_wait_until(house, some_answers, run_id);
    shim_stop(&house->shim);
    cap_sleep_ms(1500);
    shim_start(&house->shim, house->suite->store.address);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(house_stored(house, run_id).attempts, 1); /* nor its timing */
    assert_int_equal(node.streams, 1);
    node_stop(&node);
}

static void a_node_goes_on_with_its_run_when_the_scheduler_comes_back(void **state)
{
    struct house *house = *state;
    static struct node node = {.pace_ms = 20};
    char run_id[ID_MAX], waiting_id[ID_MAX];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    house_submit_one(house, 2, waiting_id);
    house_wait_until(house, some_answers, run_id);
    house_stop_scheduler(house);
    house_come_back(house);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    assert_int_equal(house_stored(house, run_id).attempts, 1);
    assert_int_equal(house_watch(house, waiting_id, NULL), STATE(FINISHED));
    node_stop(&node);
}

static void grading_goes_on_when_the_scheduler_comes_back(void **state)
{
    struct house *house = *state;
    static struct node node = {0};
    char run_id[ID_MAX];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    house_wait_until(house, some_answers, run_id);
    house_evaluator_away(house, true);
    house_wait_until(house, is_grading, run_id);
    house_stop_scheduler(house);
    house_evaluator_away(house, false);
    house_come_back(house);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    node_stop(&node);
}

/* Whatever a submitter is told, the runs that the store took are conducted. */
static void a_submission_whose_reply_is_lost_is_conducted_all_the_same(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    static struct node node = {0};
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};
    char run_id[ID_MAX];

    house->shim.lose_percent = 100;
    assert_false(house_submit(house, 1, 1, false, arena, &reply, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    house->shim.lose_percent = 0;
    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id); /* the user tries again */
    assert_int_equal(suite_sql_int(house->suite, "SELECT count(*) FROM run"), 1);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    node_stop(&node);
}

/* ---- what a batch's acknowledgement means ---- */

/* A node forgets what is acknowledged: a batch that only the scheduler has would be lost with it.
 */
static void a_batch_is_acknowledged_when_the_store_has_it(void **state)
{
    struct house *house = *state;
    static struct node node = {0};
    char run_id[ID_MAX];

    house->shim.append_ms = 30;
    node.store_has = &house->shim.appended;
    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_true(node.acks > 0);
    assert_int_equal(node.early_acks, 0);
    node_stop(&node);
}

/* ---- nobody holds a run for ever ---- */

static void a_node_that_beats_and_delivers_nothing_gives_way_to_another(void **state)
{
    struct house *house = *state;
    static struct node lazy = {.lazy = true}, other = {0};
    char run_id[ID_MAX];

    house_add_node(house, &lazy, "lazy");
    house_submit_one(house, 1, run_id);
    for (int i = 0; i < 2000 && lazy.stops == 0; i++)
        cap_sleep_ms(5);
    assert_true(lazy.stops > 0);
    node_stop(&lazy); /* it would take the run again */
    house_add_node(house, &other, "other");
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_all_stored_once(house, run_id);
    node_stop(&other);
}

static void a_run_that_ends_its_node_twice_fails_and_others_go_on(void **state)
{
    struct house *house = *state;
    static struct node poisoned = {.says = "loading model"}, well = {0};
    char run_id[ID_MAX], other_id[ID_MAX], reason[512];

    house_add_node(house, &poisoned, "poisoned");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, reason), STATE(FAILED));
    assert_string_equal(reason, "the node ended twice while it ran this (loading model)");
    node_stop(&poisoned);
    house_submit_one(house, 2, other_id);
    house_add_node(house, &well, "well");
    assert_int_equal(house_watch(house, other_id, NULL), STATE(FINISHED));
    node_stop(&well);
}

static void a_run_of_which_no_sample_completed_is_invalid_with_its_summary(void **state)
{
    struct house *house = *state;
    static struct node node = {.fails_samples = true};
    char run_id[ID_MAX], reason[512];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, reason), STATE(INVALID));
    assert_string_equal(reason,
                        "no sample completed; the first failed with: the server is out of tokens");
    assert_int_equal(house_stored(house, run_id).state, STATE(INVALID));
    assert_int_equal(must_get_run(house->suite, run_id)->row->n_figures, 1);
    node_stop(&node);
}

/* ---- an evaluator that a run ends ---- */

/* This program again, as an evaluator that ends when it is asked for a run whose seed is POISON. */
enum { POISON = 666 };

static pid_t evaluator_pid;
static _Atomic bool evaluator_over;
static _Atomic int evaluator_starts;

static void *keep_evaluator_up(void *argument)
{
    const struct house *house = argument;
    char port[16], *const argv[] = {"/proc/self/exe", "--evaluator", port, NULL};

    snprintf(port, sizeof port, "%d", house->suite->evaluator.port);
    while (!evaluator_over) {
        if (posix_spawn(&evaluator_pid, argv[0], NULL, NULL, argv, environ) != 0)
            abort();
        evaluator_starts++;
        waitpid(evaluator_pid, NULL, 0);
        cap_sleep_ms(300); /* as a supervisor does */
    }
    return NULL;
}

static void a_run_that_ends_the_evaluator_twice_fails_and_others_go_on(void **state)
{
    struct house *house = *state;
    static struct node nodes[2] = {{0}};
    char poisoned_id[ID_MAX], other_id[ID_MAX], reason[512];
    pthread_t supervisor;

    suite_evaluator_stop(house->suite);
    assert_int_equal(pthread_create(&supervisor, NULL, keep_evaluator_up, house), 0);
    house_add_node(house, &nodes[0], "one");
    house_add_node(house, &nodes[1], "two");
    house_submit_one(house, POISON, poisoned_id);
    house_submit_one(house, 1, other_id);
    assert_int_equal(house_watch(house, poisoned_id, reason), STATE(FAILED));
    assert_string_equal(reason,
                        "render: the evaluator ended twice while it made prompts for this run");
    assert_int_equal(house_watch(house, other_id, NULL), STATE(FINISHED));
    assert_in_range(evaluator_starts, 2, 4);
    assert_int_equal(house_stored(house, other_id).attempts, 1);
    for (int i = 0; i < 2; i++)
        node_stop(&nodes[i]);
    evaluator_over = true;
    kill(evaluator_pid, SIGKILL);
    pthread_join(supervisor, NULL);
    suite_evaluator_start(house->suite);
}

__attribute__((noreturn)) static int serve_evaluator(const char *port)
{
    struct suite s = {.evaluator = {.port = atoi(port), .ends_for_seed = POISON}};

    cap_rpc_init();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    suite_evaluator_start(&s);
    for (;;)
        pause();
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        IN_HOUSE(a_run_goes_all_the_way),
        IN_HOUSE(many_runs_on_several_nodes_end_although_the_store_fails_now_and_then),
        IN_HOUSE(a_node_that_vanishes_is_replaced_and_nothing_is_done_twice),
        IN_HOUSE(a_silent_node_loses_its_run_and_registers_again),
        IN_HOUSE(a_node_that_beats_keeps_its_lease_however_long_the_store_takes),
        IN_HOUSE(a_batch_is_taken_from_the_node_that_holds_the_lease_only),
        IN_HOUSE(cancel_stops_the_node_within_a_second),
        IN_HOUSE(a_node_that_fails_for_good_fails_the_run_with_its_sentence),
        IN_HOUSE(attempts_come_to_an_end),
        IN_HOUSE(an_evaluator_that_is_away_costs_time_and_nothing_else),
        IN_HOUSE(what_can_never_be_rendered_or_graded_fails_with_the_sentence),
        IN_HOUSE(a_store_that_is_away_for_longer_than_a_lease_loses_nothing),
        IN_HOUSE(a_node_goes_on_with_its_run_when_the_scheduler_comes_back),
        IN_HOUSE(grading_goes_on_when_the_scheduler_comes_back),
        IN_HOUSE(a_submission_whose_reply_is_lost_is_conducted_all_the_same),
        IN_HOUSE(a_batch_is_acknowledged_when_the_store_has_it),
        IN_HOUSE(a_node_that_beats_and_delivers_nothing_gives_way_to_another),
        IN_HOUSE(a_run_that_ends_its_node_twice_fails_and_others_go_on),
        IN_HOUSE(a_run_of_which_no_sample_completed_is_invalid_with_its_summary),
        IN_HOUSE(a_run_that_ends_the_evaluator_twice_fails_and_others_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--evaluator") == 0)
        return serve_evaluator(argv[2]);
    return house_run(run_group);
}
