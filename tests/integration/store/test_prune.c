/* What a retention takes away, and what it never does. */
#include "world.h"

#define COUNT(table) sql_int(w, "SELECT count(*) FROM moecap." table)

static const char *must_end(struct world *w, int tag)
{
    const char *run = must_enqueue(w, 6, 6, tag);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");

    for (uint32_t i = 0; i < 3; i++)
        must_append(w, batch_of(w, run, 0, held.fence, i + 1, 2 * i, 2, i == 2, tag));
    must_grade_all(w, run);
    must_finish(w, run);
    return run;
}

static void age(struct world *w, int days)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "UPDATE moecap.run SET ended_at = ended_at - interval '%d days';"
             "UPDATE moecap.event SET at = at - interval '%d days'",
             days, days);
    free(harness_sql(w->db, sql));
}

static struct store_pruned must_prune(struct world *w, int days)
{
    struct store_pruned pruned;
    struct cap_err err = {0};

    assert_ok(store_prune(w->pg, days, &pruned, &err), &err);
    return pruned;
}

static void an_old_run_loses_events_and_ledger_and_keeps_its_evidence(void **state)
{
    struct world *w = *state;
    struct store_pruned pruned;

    must_put_task(w, 6);
    must_end(w, 1);
    age(w, 31);
    must_end(w, 2); /* today */
    long long young = sql_int(w, "SELECT count(*) FROM moecap.event WHERE at > now() - interval"
                                 " '1 day'");
    pruned = must_prune(w, 30);
    assert_int_equal(pruned.runs, 1);
    assert_true(pruned.events > 0);
    assert_int_equal(pruned.ledger_rows, 2);
    assert_int_equal(COUNT("event"), young);
    assert_int_equal(COUNT("batch_ledger"), 1 + 3); /* of the old one the last of its attempt */
    assert_int_equal(COUNT("sample"), 12);
    assert_int_equal(COUNT("verdict"), 12);
    assert_int_equal(COUNT("attempt"), 2);
    assert_int_equal(COUNT("figure"), 4);
    pruned = must_prune(w, 30);
    assert_int_equal(pruned.runs + pruned.events + pruned.ledger_rows, 0);
}

static void a_run_that_has_not_ended_loses_nothing(void **state)
{
    struct world *w = *state;
    const char *run;

    must_put_task(w, 6);
    run = must_enqueue(w, 6, 6, 1);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    must_append(w, batch_of(w, run, 0, held.fence, 1, 0, 2, false, 0));
    must_append(w, batch_of(w, run, 0, held.fence, 2, 2, 2, false, 0));
    age(w, 400);
    assert_int_equal(must_prune(w, 1).runs, 0);
    assert_int_equal(COUNT("batch_ledger"), 2);
    assert_true(COUNT("event WHERE run_id <> ''") > 0);
}

static void each_call_is_bounded_and_the_next_goes_on(void **state)
{
    struct world *w = *state;
    int64_t runs = 0, events = 0;

    must_put_task(w, 6);
    for (int i = 0; i < STORE_PRUNE_RUNS_MAX + 1; i++)
        must_end(w, i);
    free(harness_sql(w->db, "INSERT INTO moecap.event (kind, text)"
                            " SELECT 'node', 'n' FROM generate_series(1, 1500)"));
    age(w, 10);
    for (int calls = 0; calls < 3; calls++) {
        struct store_pruned pruned = must_prune(w, 7);
        assert_true(pruned.runs <= STORE_PRUNE_RUNS_MAX);
        runs += pruned.runs;
        events += pruned.events;
    }
    assert_int_equal(runs, STORE_PRUNE_RUNS_MAX + 1);
    assert_true(events >= 1500);
    assert_int_equal(COUNT("event"), 0);
}

/* The sender of a batch whose acknowledgement was lost is told that the run has ended. */
static void a_batch_repeated_long_after_is_refused(void **state)
{
    struct world *w = *state;
    const char *run;
    struct batch *batch;
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};

    must_put_task(w, 6);
    run = must_end(w, 1);
    batch = batch_of(w, run, 0, 1, 1, 0, 2, false, 1);
    assert_ok(append(w, batch, &appended, &err), &err);
    assert_true(appended.repeated_batch);
    age(w, 10);
    must_prune(w, 7);
    assert_false(append(w, batch, &appended, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.text, "is finished and takes no answers"));
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_old_run_loses_events_and_ledger_and_keeps_its_evidence),
        IN_WORLD(a_run_that_has_not_ended_loses_nothing),
        IN_WORLD(each_call_is_bounded_and_the_next_goes_on),
        IN_WORLD(a_batch_repeated_long_after_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
