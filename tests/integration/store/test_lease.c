/* Who may work on a shard: one, until the database's clock says otherwise. */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "world.h"

/* ---- a host whose clock is wrong ---- */

static time_t wrong_by_s;

/* Stands in front of libc's, for everything in this program, libpq included. */
int clock_gettime(clockid_t clock, struct timespec *out_time)
{
    int status = (int)syscall(SYS_clock_gettime, clock, out_time);

    if (clock == CLOCK_REALTIME)
        out_time->tv_sec += wrong_by_s;
    return status;
}

time_t time(time_t *out_time)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out_time)
        *out_time = now.tv_sec;
    return now.tv_sec;
}

/* ---- helpers ---- */

static const char *world_with_run(void **state, struct world **out_world)
{
    *out_world = *state;
    must_put_task(*out_world, 4);
    return must_enqueue(*out_world, 4, 2, 1);
}

static void expire_all(struct world *w)
{
    free(harness_sql(w->db, "UPDATE moecap.shard SET lease_until = clock_timestamp() - interval"
                            " '1 millisecond' WHERE lease_until IS NOT NULL"));
}

static Moecap__V1__SweepReply *must_sweep(struct world *w)
{
    const Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__SweepReply *reply = cap_arena_alloc(w->arena, sizeof *reply);
    struct cap_err err = {0};

    moecap__v1__sweep_reply__init(reply);
    assert_ok(store_sweep(w->pg, &request, w->arena, reply, &err), &err);
    return reply;
}

/* How many leases were lost: 0 or 1. */
static size_t must_renew(struct world *w, const char *run, uint32_t shard, uint64_t fence)
{
    Moecap__V1__RenewRequest request = MOECAP__V1__RENEW_REQUEST__INIT;
    Moecap__V1__RenewReply reply = MOECAP__V1__RENEW_REPLY__INIT;
    Moecap__V1__LeaseRef ref = MOECAP__V1__LEASE_REF__INIT, *refs[] = {&ref};
    struct cap_err err = {0};

    ref.run_id = (char *)run;
    ref.shard = shard;
    ref.fence = fence;
    request.leases = refs;
    request.n_leases = 1;
    request.lease_ms = 60000;
    assert_ok(store_renew(w->pg, &request, w->arena, &reply, &err), &err);
    return reply.n_lost;
}

static void assert_state(struct world *w, const char *run, enum store_state state)
{
    assert_string_equal(run_state_word(must_get_run(w, run)->row->state), store_state_name(state));
}

/* ---- tests ---- */

static void a_live_lease_keeps_others_out(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got;
    struct cap_err err = {0};

    got = must_lease(w, run, 0, "node-a");
    assert_int_equal(got.fence, 1);
    assert_int_equal(got.attempt, 1);
    assert_int_equal(got.samples_total, 2);
    assert_int_equal(got.n_ordinals_left, 2);
    assert_state(w, run, STORE_STATE_LEASED);
    assert_false(lease(w, run, 0, "node-b", 1000, &got, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.text, "is leased to node node-a for another "));
    /* Another shard of the same run is free. */
    assert_int_equal(must_lease(w, run, 1, "node-b").fence, 1);
}

static void the_holder_may_lease_again_and_the_old_fence_dies(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};

    assert_int_equal(must_lease(w, run, 0, "node-a").fence, 1);
    assert_int_equal(must_lease(w, run, 0, "node-a").fence, 2);
    assert_false(append(w, batch_of(w, run, 0, 1, 1, 0, 1, false, 0), &appended, &err));
    must_append(w, batch_of(w, run, 0, 2, 1, 0, 1, false, 0));
}

static void a_lease_past_its_deadline_is_taken_over(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);

    must_lease(w, run, 0, "node-a");
    expire_all(w);
    assert_int_equal(must_lease(w, run, 0, "node-b").fence, 2);
    Moecap__V1__GetRunReply *report = must_get_run(w, run);
    assert_int_equal(report->n_attempts, 2);
    assert_string_equal(report->attempts[0]->node, "node-a");
    assert_string_equal(report->attempts[0]->outcome, "expired");
    assert_true(report->attempts[0]->ended_at_ms > 0);
    assert_int_equal(report->attempts[1]->ended_at_ms, 0);
}

static void a_sweep_ends_what_is_overdue_and_nothing_else(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__SweepReply *expired;

    Moecap__V1__LeaseReply first = must_lease(w, run, 0, "node-a");
    assert_int_equal(must_sweep(w)->n_expired, 0);
    expire_all(w);
    must_lease(w, run, 1, "node-b");
    expired = must_sweep(w);
    assert_int_equal(expired->n_expired, 1);
    assert_string_equal(expired->expired[0]->run_id, run);
    assert_int_equal(expired->expired[0]->shard, 0);
    assert_int_equal(expired->expired[0]->fence, first.fence);
    assert_state(w, run, STORE_STATE_LEASED); /* node-b still works */
    assert_int_equal(must_sweep(w)->n_expired, 0);
    expire_all(w);
    assert_int_equal(must_sweep(w)->n_expired, 1);
    assert_state(w, run, STORE_STATE_QUEUED);
}

static void a_renewed_lease_outlives_its_first_deadline(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got = must_lease(w, run, 0, "node-a");

    expire_all(w);
    /* Late, but nobody took it away: it goes on. */
    assert_int_equal(must_renew(w, run, 0, got.fence), 0);
    assert_int_equal(must_sweep(w)->n_expired, 0);
    expire_all(w);
    must_sweep(w);
    assert_int_equal(must_renew(w, run, 0, got.fence), 1);
    assert_int_equal(must_renew(w, "no such run", 0, 1), 1);
    assert_int_equal(must_renew(w, run, 7, 1), 1);
}

/* A store that is slow keeps a node busy, and its beats stand behind its batches. */
static void a_stored_batch_extends_the_lease(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got = must_lease(w, run, 0, "node-a");
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};

    for (int i = 0; i < 2; i++) { /* stored, then repeated */
        expire_all(w);
        assert_ok(append(w, batch_of(w, run, 0, got.fence, 1, 0, 1, false, 0), &appended, &err),
                  &err);
        assert_int_equal(appended.repeated_batch, i);
        assert_int_equal(must_sweep(w)->n_expired, 0);
        /* by the length that the lease was given for: 60 s */
        assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.shard WHERE lease_until BETWEEN"
                                    " clock_timestamp() + interval '50 seconds' AND"
                                    " clock_timestamp() + interval '60 seconds'"),
                         1);
    }
}

/* The database's clock was set back by an hour while node and scheduler died. */
static void a_deadline_further_ahead_than_its_lease_is_cut(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got;
    struct cap_err err = {0};

    assert_ok(lease(w, run, 0, "node-a", 80, &got, &err), &err);
    free(harness_sql(w->db, "UPDATE moecap.shard SET lease_until = lease_until + interval '1 hour'"
                            " WHERE lease_until IS NOT NULL"));
    assert_false(lease(w, run, 0, "node-b", 1000, &got, &err));
    assert_null(strstr(err.text, "3600")); /* it says 80 ms at most */
    assert_int_equal(must_sweep(w)->n_expired, 0);
    cap_sleep_ms(90);
    assert_int_equal(must_sweep(w)->n_expired, 1);
    assert_state(w, run, STORE_STATE_QUEUED);
}

static void a_lease_whose_shard_is_done_is_not_lost(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got = must_lease(w, run, 0, "node-a");

    must_append(w, batch_of(w, run, 0, got.fence, 1, 0, 2, true, 0));
    assert_int_equal(must_renew(w, run, 0, got.fence), 0);
    assert_int_equal(must_sweep(w)->n_expired, 0);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.shard WHERE lease_until IS NOT NULL"),
                     0);
}

static void a_done_shard_is_not_leased_again(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got = must_lease(w, run, 0, "node-a");
    struct cap_err err = {0};
    char text[128];

    must_append(w, batch_of(w, run, 0, got.fence, 1, 0, 2, true, 0));
    assert_state(w, run, STORE_STATE_QUEUED); /* its other shard waits */
    snprintf(text, sizeof text, "shard 0 of run %s is done", run);
    assert_refused(lease(w, run, 0, "node-b", 1000, &got, &err), &err, CAP_FAILED_PRECONDITION,
                   text);
}

static void release_frees_the_shard_once(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got = must_lease(w, run, 0, "node-a");
    const Moecap__V1__LeaseRef ref = {.run_id = (char *)run, .fence = got.fence};
    struct cap_err err = {0};
    char text[128];

    assert_ok(release(w, ref.run_id, ref.shard, ref.fence, "failed: out of memory", &err), &err);
    assert_ok(release(w, ref.run_id, ref.shard, ref.fence, "again", &err), &err);
    assert_state(w, run, STORE_STATE_QUEUED);
    must_lease(w, run, 0, "node-b");
    snprintf(text, sizeof text, "fence 1 of shard 0 of run %s is not valid, the shard's is 2", run);
    assert_refused(release(w, ref.run_id, ref.shard, ref.fence, "late", &err), &err,
                   CAP_FAILED_PRECONDITION, text);
    assert_state(w, run, STORE_STATE_LEASED);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.attempt"
                                " WHERE outcome = 'failed: out of memory'"),
                     1);
}

struct racer {
    struct world *w;
    const char *run, *node;
    struct cap_arena *arena; /* arenas have one user */
    Moecap__V1__LeaseReply reply;
    struct cap_err err;
    bool won;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    Moecap__V1__LeaseRequest request = MOECAP__V1__LEASE_REQUEST__INIT;

    request.run_id = (char *)racer->run;
    request.node_id = request.node_name = (char *)racer->node;
    request.lease_ms = 60000;
    moecap__v1__lease_reply__init(&racer->reply);
    racer->won = store_lease(racer->w->pg, &request, racer->arena, &racer->reply, &racer->err);
    return NULL;
}

static void of_nodes_that_race_for_a_shard_one_wins(void **state)
{
    enum { ROUNDS = 15, NODES = 6 };
    static const char *const names[NODES] = {"n0", "n1", "n2", "n3", "n4", "n5"};
    struct world *w = *state;

    must_put_task(w, 1);
    for (int round = 0; round < ROUNDS; round++) {
        const char *run = must_enqueue(w, 1, 1, round);
        struct racer racers[NODES];
        pthread_t threads[NODES];
        int won = 0;
        for (int i = 0; i < NODES; i++) {
            racers[i] = (struct racer){
                .w = w, .run = run, .node = names[i], .arena = cap_arena_new(1 << 20)};
            pthread_create(&threads[i], NULL, race, &racers[i]);
        }
        for (int i = 0; i < NODES; i++) {
            pthread_join(threads[i], NULL);
            cap_arena_free(racers[i].arena);
            won += racers[i].won;
            if (!racers[i].won)
                assert_int_equal(racers[i].err.code, CAP_FAILED_PRECONDITION);
        }
        assert_int_equal(won, 1);
    }
}

static void a_wrong_clock_of_the_host_changes_nothing(void **state)
{
    static const time_t wrong[] = {-3600, 3600, -10 * 365 * 86400};
    struct world *w = *state;

    must_put_task(w, 1);
    for (size_t i = 0; i < CAP_COUNT_OF(wrong); i++) {
        Moecap__V1__LeaseReply got;
        struct cap_err err = {0};
        const char *run;
        wrong_by_s = wrong[i];
        run = must_enqueue(w, 1, 1, (int)i);
        got = must_lease(w, run, 0, "node-a");
        assert_int_equal(must_sweep(w)->n_expired, 0);
        assert_false(lease(w, run, 0, "node-b", 1000, &got, &err));
        assert_int_equal(must_renew(w, run, 0, 1), 0);
        wrong_by_s = -wrong[i];
        assert_int_equal(must_sweep(w)->n_expired, 0);
        assert_int_equal(must_renew(w, run, 0, 1), 0);
        wrong_by_s = 0;
    }
}

static void a_real_deadline_passes_by_itself(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got;
    struct cap_err err = {0};

    assert_ok(lease(w, run, 0, "node-a", 50, &got, &err), &err);
    assert_int_equal(must_sweep(w)->n_expired, 0);
    cap_sleep_ms(60);
    assert_int_equal(must_sweep(w)->n_expired, 1);
}

static void a_cancelled_run_takes_no_more_and_keeps_its_evidence(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got = must_lease(w, run, 0, "node-a");
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char text[128];

    must_append(w, batch_of(w, run, 0, got.fence, 1, 0, 1, false, 0));
    assert_ok(move_run(w, run, STORE_STATE_RUNNING, STORE_STATE_CANCELLED, "by the user", &err),
              &err);
    /* A repeated call finds its work done. */
    assert_ok(move_run(w, run, STORE_STATE_RUNNING, STORE_STATE_CANCELLED, "by the user", &err),
              &err);
    snprintf(text, sizeof text, "run %s is cancelled and takes no answers", run);
    assert_refused(append(w, batch_of(w, run, 0, got.fence, 2, 1, 1, false, 0), &appended, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    assert_int_equal(must_renew(w, run, 0, got.fence), 1);
    snprintf(text, sizeof text, "run %s is cancelled: nothing to lease", run);
    assert_refused(lease(w, run, 0, "node-b", 1000, &got, &err), &err, CAP_FAILED_PRECONDITION,
                   text);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.sample"), 1);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation WHERE ended_at IS NULL"),
                     0);
}

static void an_order_to_stop_holds_though_the_run_moved_on(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got = must_lease(w, run, 0, "node-a");
    struct cap_err err = {0};
    char text[128];

    must_append(w, batch_of(w, run, 0, got.fence, 1, 0, 1, false, 0));
    assert_ok(move_run(w, run, STORE_STATE_LEASED, STORE_STATE_CANCELLED, "", &err), &err);
    assert_state(w, run, STORE_STATE_CANCELLED);
    snprintf(text, sizeof text, "run %s is cancelled, not running", run);
    assert_refused(move_run(w, run, STORE_STATE_RUNNING, STORE_STATE_FAILED, "", &err), &err,
                   CAP_FAILED_PRECONDITION, text);
}

static void moves_that_are_not_legal_are_refused_with_a_sentence(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    struct cap_err err = {0};
    char text[128];

    snprintf(text, sizeof text, "run %s is queued, not grading", run);
    assert_refused(move_run(w, run, STORE_STATE_GRADING, STORE_STATE_RUNNING, "", &err), &err,
                   CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    snprintf(text, sizeof text, "run %s becomes leased by Lease alone", run);
    assert_refused(move_run(w, run, STORE_STATE_QUEUED, STORE_STATE_LEASED, "", &err), &err,
                   CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    snprintf(text, sizeof text, "run %s is queued and cannot become running", run);
    assert_refused(move_run(w, run, STORE_STATE_QUEUED, STORE_STATE_RUNNING, "", &err), &err,
                   CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    assert_refused(move_run(w, run, STORE_STATE_QUEUED, 99, "", &err), &err, CAP_INVALID_ARGUMENT,
                   "from 1 to 99: no such state");
    cap_err_clear(&err);
    assert_refused(move_run(w, "run-none", STORE_STATE_QUEUED, STORE_STATE_FAILED, "", &err), &err,
                   CAP_NOT_FOUND, "run \"run-none\" does not exist");
    cap_err_clear(&err);
    assert_ok(move_run(w, run, STORE_STATE_QUEUED, STORE_STATE_FAILED,
                       "model \"x\": tensor missing", &err),
              &err);
    assert_state(w, run, STORE_STATE_FAILED);
    snprintf(text, sizeof text, "run %s is failed and cannot become queued", run);
    assert_refused(move_run(w, run, STORE_STATE_FAILED, STORE_STATE_QUEUED, "", &err), &err,
                   CAP_FAILED_PRECONDITION, text);
}

static void what_does_not_exist_is_said_by_name(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, &w);
    Moecap__V1__LeaseReply got;
    struct cap_err err = {0};
    char text[128];

    assert_refused(lease(w, "'; DROP TABLE run; --", 0, "node-a", 1000, &got, &err), &err,
                   CAP_NOT_FOUND, "run \"'; DROP TABLE run; --\" does not exist");
    cap_err_clear(&err);
    snprintf(text, sizeof text, "run %s has no shard 9", run);
    assert_refused(lease(w, run, 9, "node-a", 1000, &got, &err), &err, CAP_NOT_FOUND, text);
    cap_err_clear(&err);
    snprintf(text, sizeof text, "run %s has no shard 4294967295", run);
    assert_refused(lease(w, run, UINT32_MAX, "node-a", 1000, &got, &err), &err, CAP_NOT_FOUND,
                   text);
    cap_err_clear(&err);
    assert_refused(lease(w, run, 0, "node-a", 0, &got, &err), &err, CAP_INVALID_ARGUMENT,
                   "lease_ms is 0, must be 1 to 3600000");
    cap_err_clear(&err);
    assert_refused(lease(w, run, 0, "", 1000, &got, &err), &err, CAP_INVALID_ARGUMENT,
                   "a node has an id of 1 to 256 bytes and a name of at most 256");
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_live_lease_keeps_others_out),
        WORLD_TEST(the_holder_may_lease_again_and_the_old_fence_dies),
        WORLD_TEST(a_lease_past_its_deadline_is_taken_over),
        WORLD_TEST(a_sweep_ends_what_is_overdue_and_nothing_else),
        WORLD_TEST(a_renewed_lease_outlives_its_first_deadline),
        WORLD_TEST(a_stored_batch_extends_the_lease),
        WORLD_TEST(a_deadline_further_ahead_than_its_lease_is_cut),
        WORLD_TEST(a_lease_whose_shard_is_done_is_not_lost),
        WORLD_TEST(a_done_shard_is_not_leased_again),
        WORLD_TEST(release_frees_the_shard_once),
        WORLD_TEST(of_nodes_that_race_for_a_shard_one_wins),
        WORLD_TEST(a_wrong_clock_of_the_host_changes_nothing),
        WORLD_TEST(a_real_deadline_passes_by_itself),
        WORLD_TEST(a_cancelled_run_takes_no_more_and_keeps_its_evidence),
        WORLD_TEST(an_order_to_stop_holds_though_the_run_moved_on),
        WORLD_TEST(moves_that_are_not_legal_are_refused_with_a_sentence),
        WORLD_TEST(what_does_not_exist_is_said_by_name),
    };

    return cmocka_run_group_tests_name("store lease", tests, NULL, NULL);
}
