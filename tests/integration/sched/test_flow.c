/* An evaluation from Submit to its summary, refusals, the queue, and Cancel. */
#include "base/clock.h"
#include "suite.h"

static const Moecap__V1__RunState finished = MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED,
                                  cancelled = MOECAP__V1__RUN_STATE__RUN_STATE_CANCELLED,
                                  failed = MOECAP__V1__RUN_STATE__RUN_STATE_FAILED;

static const char slow[] = "MOECAP_NULL_DELAY_US=20000"; /* a sample in 80 ms */

static void assert_submit_refused(struct suite *s, Moecap__V1__EvaluationSpec *spec,
                                  enum cap_code code, const char *text)
{
    Moecap__V1__SubmitReply *reply;
    struct cap_err err = {0};

    assert_false(suite_submit(s, spec, false, &reply, &err));
    assert_string_equal(err.text, text);
    assert_int_equal(err.code, code);
}

/* ---- the way that everything is for ---- */

static void an_evaluation_runs_is_graded_and_measured(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;
    Moecap__V1__RunProgress *run;
    Moecap__V1__GetRunReply *got;

    suite_node_start(s, 0, "a", NULL);
    must_find_node(s, "a");
    reply = must_submit(s, suite_spec(s));
    assert_false(reply->no_node);
    assert_int_equal(reply->n_runs, 1);
    assert_int_equal(reply->runs[0]->samples, SUITE_SAMPLES);
    run = must_end(s, reply->evaluation_id, finished);
    assert_int_equal(run->samples_answered, SUITE_SAMPLES);
    assert_int_equal(run->samples_graded, SUITE_SAMPLES);
    assert_string_equal(run->node, "a");
    assert_int_equal(run->attempts, 1);
    got = must_get_run(s, run->run_id);
    assert_int_equal(got->row->state, finished);
    assert_int_equal(got->row->n_figures, 1);
    assert_int_equal(got->row->figures[0]->value, SUITE_SAMPLES);
    assert_int_equal(got->n_attempts, 1);
    assert_int_equal(s->evaluator.rendered, SUITE_SAMPLES);
    assert_int_equal(s->evaluator.graded, SUITE_SAMPLES);
    assert_int_equal(s->evaluator.measured, 1);
}

static void repeats_and_a_limit_make_runs_of_their_own(void **state)
{
    struct suite *s = *state;
    Moecap__V1__EvaluationSpec *spec = suite_spec(s);
    Moecap__V1__SubmitReply *reply;

    suite_node_start(s, 0, "a", NULL);
    suite_node_start(s, 1, "b", NULL);
    spec->repeats = 3;
    spec->limit = 7;
    reply = must_submit(s, spec);
    assert_int_equal(reply->n_runs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(reply->runs[i]->repeat, i);
        assert_int_equal(reply->runs[i]->samples, 7);
        must_end(s, reply->runs[i]->run_id, finished);
    }
    assert_int_equal(suite_sql_int(s, "SELECT count(*) FROM sample"), 21);
}

static void an_evaluation_that_ended_long_ago_can_be_watched(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;

    suite_node_start(s, 0, "a", NULL);
    reply = must_submit(s, suite_spec(s));
    must_end(s, reply->evaluation_id, finished);
    suite_end(&s->scheduler, 15);
    suite_scheduler_start(s);
    must_end(s, reply->evaluation_id, finished);
    must_end(s, reply->runs[0]->run_id, finished);
}

/* ---- refusals ---- */

static void a_duplicate_is_answered_with_what_is_queued(void **state)
{
    struct suite *s = *state;
    Moecap__V1__EvaluationSpec *again = suite_spec(s);
    Moecap__V1__SubmitReply *first = must_submit(s, suite_spec(s)), *second;

    again->priority = 5;
    again->note = "the same, in a hurry";
    second = must_submit(s, again);
    assert_true(second->duplicate);
    assert_string_equal(second->evaluation_id, first->evaluation_id);
    assert_string_equal(second->runs[0]->run_id, first->runs[0]->run_id);
    assert_string_equal(second->config_hash, first->config_hash);
    again->seed = 1;
    assert_false(must_submit(s, again)->duplicate);
}

/* What is measured against is stored with the run; prices can be counted anew. */
static void another_service_level_is_another_evaluation_and_prices_are_not(void **state)
{
    struct suite *s = *state;
    Moecap__V1__EvaluationSpec *again = suite_spec(s);
    Moecap__V1__CostInputs cost = MOECAP__V1__COST_INPUTS__INIT;
    Moecap__V1__Slo slo = MOECAP__V1__SLO__INIT;
    Moecap__V1__SubmitReply *reply;

    assert_false(must_submit(s, suite_spec(s))->duplicate);
    cost.opt_rent_case = MOECAP__V1__COST_INPUTS__OPT_RENT_RENT;
    cost.rent = 2;
    again->cost = &cost;
    reply = must_submit(s, again);
    assert_true(reply->duplicate);
    assert_non_null(
        strstr(reply->warnings[reply->n_warnings - 1], "prices that it was submitted with first"));
    slo.ttft_ms = 500;
    again->slo = &slo;
    assert_false(must_submit(s, again)->duplicate);
}

static void what_does_not_exist_is_named(void **state)
{
    struct suite *s = *state;
    Moecap__V1__EvaluationSpec *spec = suite_spec(s);

    spec->tasks[0] = "minni";
    assert_submit_refused(s, spec, CAP_NOT_FOUND,
                          "task \"minni\" is unknown, did you mean \"mini\"? known: mini");
}

static void a_dry_run_leaves_nothing(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};

    assert_ok(suite_submit(s, suite_spec(s), true, &reply, &err), &err);
    assert_string_equal(reply->evaluation_id, "");
    assert_int_equal(reply->n_runs, 1);
    assert_string_equal(reply->runs[0]->run_id, "");
    assert_int_equal(reply->runs[0]->samples, SUITE_SAMPLES);
    assert_int_equal(suite_sql_int(s, "SELECT count(*) FROM run"), 0);
}

static void watch_and_cancel_refuse_what_nobody_knows(void **state)
{
    struct suite *s = *state;
    Moecap__V1__CancelRequest request = MOECAP__V1__CANCEL_REQUEST__INIT;
    Moecap__V1__CancelReply *reply;
    struct cap_err err = {0};

    request.id = "run-nowhere";
    assert_false(scheduler_rpc_cancel(s->to_scheduler, NULL, &request, s->arena, &reply, &err));
    assert_int_equal(err.code, CAP_NOT_FOUND);
}

/* ---- the queue ---- */

static void a_run_that_no_node_can_take_says_why_and_waits_for_one(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply = must_submit(s, suite_spec(s));

    assert_true(reply->no_node);
    assert_string_equal(reply->warnings[0], "nothing runs yet: no node is connected");
    assert_string_equal(must_list_queue(s)->entries[0]->waiting_for, "no node is connected");
    suite_node_start(s, 0, "late", NULL);
    must_end(s, reply->evaluation_id, finished);
}

static void the_queue_is_listed_in_the_order_of_priority(void **state)
{
    static const int priorities[] = {0, 3, -1};
    struct suite *s = *state;
    Moecap__V1__ListQueueReply *queue;

    for (size_t i = 0; i < 3; i++) {
        Moecap__V1__EvaluationSpec *spec = suite_spec(s);

        spec->seed = i;
        spec->priority = priorities[i];
        must_submit(s, spec);
    }
    queue = must_list_queue(s);
    assert_int_equal(queue->queued, 3);
    assert_int_equal(queue->running, 0);
    assert_int_equal(queue->entries[0]->priority, 3);
    assert_int_equal(queue->entries[1]->priority, 0);
    assert_int_equal(queue->entries[2]->priority, -1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(queue->entries[i]->position, i + 1);
}

/* ---- cancel ---- */

static Moecap__V1__CancelReply *must_cancel(struct suite *s, const char *id)
{
    Moecap__V1__CancelRequest request = MOECAP__V1__CANCEL_REQUEST__INIT;
    Moecap__V1__CancelReply *reply = NULL;
    struct cap_err err = {0};

    request.id = (char *)id;
    request.reason = "changed my mind";
    assert_ok(scheduler_rpc_cancel(s->to_scheduler, NULL, &request, s->arena, &reply, &err), &err);
    return reply;
}

static void a_queued_run_is_cancelled_before_it_begins(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply = must_submit(s, suite_spec(s));

    assert_int_equal(must_cancel(s, reply->evaluation_id)->n_run_ids, 1);
    assert_string_equal(must_end(s, reply->evaluation_id, cancelled)->reason, "changed my mind");
    MUST_COME(5, must_get_run(s, reply->runs[0]->run_id)->row->state == cancelled);
    suite_node_start(s, 0, "a", NULL);
    must_find_node(s, "a");
    cap_sleep_ms(500);
    assert_int_equal(suite_sql_int(s, "SELECT count(*) FROM attempt"), 0);
    assert_int_equal(must_cancel(s, reply->evaluation_id)->n_ended_ids, 1);
}

static void a_running_run_is_stopped_within_a_second(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;
    int64_t asked_ms;

    suite_node_start(s, 0, "a", slow);
    reply = must_submit(s, suite_spec(s));
    must_answer(s, reply->runs[0]->run_id, 1);
    assert_true(*must_find_node(s, "a")->run_id != '\0');
    asked_ms = cap_clock_ms(cap_clock_system());
    must_cancel(s, reply->evaluation_id);
    MUST_COME(5, *must_find_node(s, "a")->run_id == '\0'); /* it has said that it stopped */
    assert_in_range(cap_clock_ms(cap_clock_system()) - asked_ms, 0, 1000);
    MUST_COME(5, must_get_run(s, reply->runs[0]->run_id)->row->state == cancelled);
    assert_string_equal(must_end(s, reply->evaluation_id, cancelled)->reason, "changed my mind");
    cap_sleep_ms(300);
    assert_int_equal(must_get_run(s, reply->runs[0]->run_id)->row->state, cancelled);
}

static void a_node_that_was_stopped_takes_the_next_run(void **state)
{
    struct suite *s = *state;
    Moecap__V1__EvaluationSpec *next = suite_spec(s);
    Moecap__V1__SubmitReply *first, *second;

    suite_node_start(s, 0, "a", slow);
    first = must_submit(s, suite_spec(s));
    next->limit = 3;
    second = must_submit(s, next);
    must_answer(s, first->runs[0]->run_id, 1);
    must_cancel(s, first->evaluation_id);
    must_end(s, second->evaluation_id, finished);
    assert_int_equal(must_get_run(s, second->runs[0]->run_id)->n_attempts, 1);
}

static void cancel_races_with_every_moment_of_a_run(void **state)
{
    struct suite *s = *state;

    suite_node_start(s, 0, "a", "MOECAP_NULL_DELAY_US=500");
    must_find_node(s, "a");
    for (int i = 0; i < 25; i++) {
        Moecap__V1__EvaluationSpec *spec = suite_spec(s);
        Moecap__V1__SubmitReply *reply;
        Moecap__V1__RunState seen;

        spec->seed = (uint64_t)i;
        reply = must_submit(s, spec);
        cap_sleep_ms(i * 6);
        must_cancel(s, reply->evaluation_id);
        MUST_COME(10, must_get_run(s, reply->runs[0]->run_id)->row->state >= finished);
        seen = must_get_run(s, reply->runs[0]->run_id)->row->state;
        assert_true(seen == finished || seen == cancelled);
        must_end(s, reply->evaluation_id, seen); /* store and scheduler agree */
    }
}

/* ---- what cannot go well ends ---- */

static void a_prompt_that_cannot_be_made_fails_the_run_with_the_sentence(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;

    s->evaluator.render_fails = CAP_INVALID_ARGUMENT;
    suite_node_start(s, 0, "a", NULL);
    reply = must_submit(s, suite_spec(s));
    assert_non_null(
        strstr(must_end(s, reply->evaluation_id, failed)->reason, "the template has a hole"));
    MUST_COME(5, must_get_run(s, reply->runs[0]->run_id)->row->state == failed);
    MUST_COME(5, *must_find_node(s, "a")->run_id == '\0');
}

static void a_grader_or_a_measure_that_refuses_fails_the_run(void **state)
{
    struct suite *s = *state;
    Moecap__V1__EvaluationSpec *spec = suite_spec(s);
    Moecap__V1__SubmitReply *reply;

    suite_node_start(s, 0, "a", NULL);
    s->evaluator.grade_fails = CAP_INVALID_ARGUMENT;
    reply = must_submit(s, spec);
    assert_non_null(
        strstr(must_end(s, reply->evaluation_id, failed)->reason, "the grader has no idea"));
    s->evaluator.grade_fails = 0;
    s->evaluator.measure_fails = CAP_INVALID_ARGUMENT;
    spec->seed = 1;
    reply = must_submit(s, spec);
    assert_non_null(
        strstr(must_end(s, reply->evaluation_id, failed)->reason, "the ruler is broken"));
    MUST_COME(5, must_get_run(s, reply->runs[0]->run_id)->row->state == failed);
}

static void an_engine_that_is_lost_again_and_again_still_gets_there(void **state)
{
    struct suite *s = *state;
    Moecap__V1__SubmitReply *reply;

    suite_node_start(s, 0, "a", "MOECAP_NULL_LOST_AFTER=10");
    reply = must_submit(s, suite_spec(s));
    assert_true(must_end(s, reply->evaluation_id, finished)->attempts > 1);
    assert_int_equal(suite_sql_int(s, "SELECT count(DISTINCT ordinal) FROM sample"), SUITE_SAMPLES);
    assert_int_equal(suite_sql_int(s, "SELECT count(*) FROM sample"), SUITE_SAMPLES);
}

int main(void)
{
#define SUITE_TEST(f) cmocka_unit_test_setup_teardown(f, suite_setup, suite_teardown)
    const struct CMUnitTest tests[] = {
        SUITE_TEST(an_evaluation_runs_is_graded_and_measured),
        SUITE_TEST(repeats_and_a_limit_make_runs_of_their_own),
        SUITE_TEST(an_evaluation_that_ended_long_ago_can_be_watched),
        SUITE_TEST(a_duplicate_is_answered_with_what_is_queued),
        SUITE_TEST(another_service_level_is_another_evaluation_and_prices_are_not),
        SUITE_TEST(what_does_not_exist_is_named),
        SUITE_TEST(a_dry_run_leaves_nothing),
        SUITE_TEST(watch_and_cancel_refuse_what_nobody_knows),
        SUITE_TEST(a_run_that_no_node_can_take_says_why_and_waits_for_one),
        SUITE_TEST(the_queue_is_listed_in_the_order_of_priority),
        SUITE_TEST(a_queued_run_is_cancelled_before_it_begins),
        SUITE_TEST(a_running_run_is_stopped_within_a_second),
        SUITE_TEST(a_node_that_was_stopped_takes_the_next_run),
        SUITE_TEST(cancel_races_with_every_moment_of_a_run),
        SUITE_TEST(a_prompt_that_cannot_be_made_fails_the_run_with_the_sentence),
        SUITE_TEST(a_grader_or_a_measure_that_refuses_fails_the_run),
        SUITE_TEST(an_engine_that_is_lost_again_and_again_still_gets_there),
    };
    int bad;

    cap_rpc_init();
    bad = cmocka_run_group_tests_name("scheduler flow", tests, NULL, NULL);
    cap_rpc_shutdown();
    return bad;
}
