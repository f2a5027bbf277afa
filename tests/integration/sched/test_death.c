/* Programs die or go away while a run is on, and the run finishes: no stored answer is lost, none
 * is made twice. */
#include <signal.h>

#include "base/clock.h"
#include "suite.h"

static const Moecap__V1__RunState finished = MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED;
static const char slow[] = "MOECAP_NULL_DELAY_US=10000"; /* a sample in 40 ms */

/* Every sample has one answer, of a lease that was live when it was stored, and one verdict. */
static void assert_whole(struct suite *s, const char *run_id)
{
    Moecap__V1__GetRunReply *run = must_get_run(s, run_id);

    assert_int_equal(run->samples_answered, SUITE_SAMPLES);
    assert_int_equal(run->samples_graded, SUITE_SAMPLES);
    assert_int_equal(suite_sql_int(s, "SELECT count(*) FROM sample"), SUITE_SAMPLES);
    assert_int_equal(suite_sql_int(s, "SELECT count(DISTINCT ordinal) FROM sample"), SUITE_SAMPLES);
    assert_int_equal(suite_sql_int(s, "SELECT count(*) FROM verdict"), SUITE_SAMPLES);
}

/* Samples that were stored before the death were not made again: who stored them is what it was. */
static long long stored_under(struct suite *s, int fence)
{
    char sql[120];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM sample WHERE fence = %d", fence);
    return suite_sql_int(s, sql);
}

static void a_node_killed_mid_run_is_replaced(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;
    Moecap__V1__GetRunReply *run;
    long long before;

    suite_node_start(s, 0, "first", slow);
    must_find_node(s, "first");
    reply = must_submit(s, suite_spec(s));
    must_answer(s, reply->runs[0]->run_id, 5);
    suite_end(&s->nodes[0], SIGKILL);
    before = stored_under(s, 1);
    assert_in_range(before, 5, SUITE_SAMPLES - 1);
    suite_node_start(s, 1, "second", NULL);
    must_end(s, reply->evaluation_id, finished);
    assert_whole(s, reply->runs[0]->run_id);
    run = must_get_run(s, reply->runs[0]->run_id);
    assert_int_equal(run->n_attempts, 2);
    assert_string_equal(run->attempts[1]->node, "second");
    assert_true(stored_under(s, 1) >= before);
    assert_int_equal(stored_under(s, 1) + stored_under(s, 2), SUITE_SAMPLES);
}

static void a_node_that_hangs_loses_its_run_and_comes_back(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;

    suite_node_start(s, 0, "sleeper", slow);
    must_find_node(s, "sleeper");
    reply = must_submit(s, suite_spec(s));
    must_answer(s, reply->runs[0]->run_id, 5);
    kill(s->nodes[0].pid, SIGSTOP);
    suite_node_start(s, 1, "second", NULL);
    must_end(s, reply->evaluation_id, finished);
    assert_whole(s, reply->runs[0]->run_id);
    kill(s->nodes[0].pid, SIGCONT);
    must_find_node(s, "sleeper"); /* and it is of use again */
    suite_end(&s->nodes[1], SIGKILL);
    MUST_COME(10, suite_find_node(s, "second") == NULL);
    Moecap__V1__EvaluationSpec *spec = suite_spec(s);
    spec->limit = 3;
    reply = must_submit(s, spec);
    must_end(s, reply->evaluation_id, finished);
}

static void restart_scheduler_mid_run(struct suite *s, int signal_number)
{
    Moecap__V1__SubmitReply *reply;
    long long before;

    suite_node_start(s, 0, "a", slow);
    must_find_node(s, "a");
    reply = must_submit(s, suite_spec(s));
    must_answer(s, reply->runs[0]->run_id, 5);
    suite_end(&s->scheduler, signal_number);
    before = stored_under(s, 1);
    suite_scheduler_start(s);
    must_end(s, reply->evaluation_id, finished);
    assert_whole(s, reply->runs[0]->run_id);
    assert_true(stored_under(s, 1) >= before);
}

static void a_scheduler_killed_mid_run_goes_on(void **state)
{
    restart_scheduler_mid_run(*state, SIGKILL);
}

static void a_scheduler_ended_mid_run_goes_on(void **state)
{
    restart_scheduler_mid_run(*state, SIGTERM);
}

static void a_scheduler_starts_and_ends_while_the_store_is_away(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply = must_submit(s, suite_spec(s));
    int64_t since_ms;

    suite_end(&s->scheduler, SIGKILL);
    suite_end(&s->store, SIGKILL);
    suite_scheduler_start(s);
    since_ms = cap_clock_ms(cap_clock_system());
    suite_end(&s->scheduler, SIGTERM);
    assert_in_range(cap_clock_ms(cap_clock_system()) - since_ms, 0, 8000);
    suite_scheduler_start(s);
    suite_store_start(s);
    suite_node_start(s, 0, "a", NULL);
    must_end(s, reply->evaluation_id, finished);
    assert_whole(s, reply->runs[0]->run_id);
}

static void a_store_killed_mid_run_is_waited_for(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;

    suite_node_start(s, 0, "a", slow);
    must_find_node(s, "a");
    reply = must_submit(s, suite_spec(s));
    must_answer(s, reply->runs[0]->run_id, 5);
    suite_end(&s->store, SIGKILL);
    cap_sleep_ms(1500); /* longer than a lease */
    suite_store_start(s);
    must_end(s, reply->evaluation_id, finished);
    assert_whole(s, reply->runs[0]->run_id);
}

static void an_absent_evaluator_is_waited_for_before_and_after(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;

    suite_evaluator_stop(s);
    suite_node_start(s, 0, "a", slow);
    reply = must_submit(s, suite_spec(s));
    cap_sleep_ms(2500); /* longer than attempts_max retries */
    assert_int_equal(s->evaluator.rendered, 0);
    suite_evaluator_start(s);
    must_answer(s, reply->runs[0]->run_id, 20); /* every prompt has been sent */
    MUST_COME(10, s->evaluator.rendered >= SUITE_SAMPLES);
    suite_evaluator_stop(s);
    MUST_COME(20, must_get_run(s, reply->runs[0]->run_id)->row->state ==
                      MOECAP__V1__RUN_STATE__RUN_STATE_GRADING);
    MUST_COME(5, *must_find_node(s, "a")->run_id == '\0'); /* grading holds no node */
    cap_sleep_ms(500);
    suite_evaluator_start(s);
    must_end(s, reply->evaluation_id, finished);
    assert_whole(s, reply->runs[0]->run_id);
}

static void everybody_dies_in_turn_and_the_run_finishes(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;

    suite_node_start(s, 0, "a", slow);
    suite_node_start(s, 1, "b", slow);
    reply = must_submit(s, suite_spec(s));
    must_answer(s, reply->runs[0]->run_id, 5);
    suite_end(&s->scheduler, SIGKILL);
    suite_end(&s->nodes[0], SIGKILL);
    suite_scheduler_start(s);
    must_answer(s, reply->runs[0]->run_id, 15);
    suite_end(&s->store, SIGKILL);
    suite_store_start(s);
    must_answer(s, reply->runs[0]->run_id, 25);
    suite_node_start(s, 0, "a", slow);
    suite_end(&s->nodes[1], SIGKILL);
    must_end(s, reply->evaluation_id, finished);
    assert_whole(s, reply->runs[0]->run_id);
}

int main(void)
{
#define SUITE_TEST(f) cmocka_unit_test_setup_teardown(f, suite_setup, suite_teardown)
    const struct CMUnitTest tests[] = {
        SUITE_TEST(a_node_killed_mid_run_is_replaced),
        SUITE_TEST(a_node_that_hangs_loses_its_run_and_comes_back),
        SUITE_TEST(a_scheduler_killed_mid_run_goes_on),
        SUITE_TEST(a_scheduler_ended_mid_run_goes_on),
        SUITE_TEST(a_scheduler_starts_and_ends_while_the_store_is_away),
        SUITE_TEST(a_store_killed_mid_run_is_waited_for),
        SUITE_TEST(an_absent_evaluator_is_waited_for_before_and_after),
        SUITE_TEST(everybody_dies_in_turn_and_the_run_finishes),
    };
    int bad;

    cap_rpc_init();
    bad = cmocka_run_group_tests_name("scheduler death", tests, NULL, NULL);
    cap_rpc_shutdown();
    return bad;
}
