/* The database under the store: migrations, and everything that can happen to a connection. The
 * faults run on a cluster of their own with durable settings, which they stop, kill and restart. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/embedded.h"
#include "store/migrate.h"
#include "world.h"

/* ---- migrations ---- */

static void migrations_run_once(void **state)
{
    char *db = harness_database_new_empty();
    struct store_pg *pg = harness_store_open(db);
    struct cap_err err = {0};
    int applied = -1;

    (void)state;
    assert_ok(store_migrate(pg, &applied, &err), &err);
    assert_int_equal(applied, store_migration_count);
    assert_ok(store_migrate(pg, &applied, &err), &err);
    assert_int_equal(applied, 0);
    store_pg_free(pg);
    harness_database_drop(db);
}

struct starter {
    const char *db;
    int applied;
    bool ok;
    struct cap_err err;
};

static void *start_store(void *arg)
{
    struct starter *s = arg;
    struct store_pg *pg = store_pg_open(&(struct store_pg_options){.conninfo = s->db}, &s->err);

    s->ok = pg && store_migrate(pg, &s->applied, &s->err);
    store_pg_free(pg);
    return NULL;
}

static void stores_that_start_together_migrate_once(void **state)
{
    enum { STARTERS = 6 };
    char *db = harness_database_new_empty();
    struct starter s[STARTERS];
    pthread_t threads[STARTERS];
    int applied = 0;

    (void)state;
    for (int i = 0; i < STARTERS; i++) {
        s[i] = (struct starter){.db = db};
        pthread_create(&threads[i], NULL, start_store, &s[i]);
    }
    for (int i = 0; i < STARTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(s[i].ok, &s[i].err);
        applied += s[i].applied;
    }
    assert_int_equal(applied, store_migration_count);
    harness_database_drop(db);
}

static void a_database_that_is_newer_or_different_is_refused(void **state)
{
    static const struct store_migration list[] = {
        {1, "0001_a", "CREATE TABLE a (i integer)"},
        {2, "0002_b", "CREATE TABLE b (i integer)"},
    };
    static const struct store_migration changed[] = {{1, "0001_a", "CREATE TABLE z (i integer)"},
                                                     {2, "0002_b", ""}};
    const struct store_migration broken[] = {list[0], list[1], {3, "0003_c", "CREATE x"}};
    char *db = harness_database_new_empty();
    struct store_pg *pg = harness_store_open(db);
    struct cap_err err = {0};
    int applied;

    (void)state;
    assert_ok(store_migrate_to(pg, list, 1, &applied, &err), &err);
    assert_ok(store_migrate_to(pg, list, 2, &applied, &err), &err);
    assert_int_equal(applied, 1);
    assert_refused(store_migrate_to(pg, list, 1, &applied, &err), &err, CAP_FAILED_PRECONDITION,
                   "prepare the database: the database has schema version 2, this program knows up "
                   "to 1: start a moecap-store at least as new as the one that made it");
    cap_err_clear(&err);
    assert_refused(store_migrate_to(pg, changed, 2, &applied, &err), &err, CAP_FAILED_PRECONDITION,
                   "prepare the database: the database was made by migration 0001_a, which differs "
                   "from this program's 0001_a: cannot use this database");
    cap_err_clear(&err);
    assert_false(store_migrate_to(pg, broken, 3, &applied, &err));
    assert_non_null(strstr(err.text, "migration 0003_c: database: syntax error"));
    cap_err_clear(&err);
    /* The failed one left nothing behind. */
    assert_ok(store_migrate_to(pg, list, 2, &applied, &err), &err);
    assert_int_equal(applied, 0);
    store_pg_free(pg);
    harness_database_drop(db);
}

/* ---- transactions ---- */

struct attempts {
    int count, fail_until;
    const char *sql;
};

static bool fail_at_first(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct attempts *a = arg;

    if (++a->count < a->fail_until)
        return store_pg_script(conn, a->sql, err);
    return store_pg_do(conn, err, "SELECT 1", STORE_NO_ARGS);
}

static void serialization_failures_and_deadlocks_are_tried_again(void **state)
{
    struct world *w = *state;
    static const char *const raises[] = {
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$",
    };

    for (size_t i = 0; i < CAP_COUNT_OF(raises); i++) {
        struct attempts a = {0, 4, raises[i]};
        struct cap_err err = {0};
        assert_ok(store_pg_tx(w->pg, STORE_TX_WRITE, fail_at_first, &a, &err), &err);
        assert_int_equal(a.count, 4);
        a = (struct attempts){0, 1000, raises[i]};
        assert_false(store_pg_tx(w->pg, STORE_TX_WRITE, fail_at_first, &a, &err));
        assert_int_equal(err.code, CAP_ABORTED);
        assert_int_equal(a.count, 6);
    }
}

static void errors_of_the_database_have_codes(void **state)
{
    static const struct {
        const char *sqlstate;
        enum cap_code code;
    } cases[] = {
        {"22021", CAP_INVALID_ARGUMENT},   {"23505", CAP_ALREADY_EXISTS},
        {"53100", CAP_RESOURCE_EXHAUSTED}, {"57014", CAP_DEADLINE_EXCEEDED},
        {"42501", CAP_PERMISSION_DENIED},  {"25006", CAP_FAILED_PRECONDITION},
        {"XX000", CAP_INTERNAL},           {"53300", CAP_RESOURCE_EXHAUSTED},
    };
    struct world *w = *state;

    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        char sql[128], text[64];
        struct cap_err err = {0};
        struct attempts a = {0, 1000, sql};
        snprintf(sql, sizeof sql, "DO $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '%s'; END $$",
                 cases[i].sqlstate);
        snprintf(text, sizeof text, "database: so (SQLSTATE %s)", cases[i].sqlstate);
        assert_refused(store_pg_tx(w->pg, STORE_TX_WRITE, fail_at_first, &a, &err), &err,
                       cases[i].code, text);
        assert_int_equal(a.count, 1);
    }
}

static void an_id_that_is_no_text_is_refused_with_a_sentence(void **state)
{
    struct world *w = *state;
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply reply = MOECAP__V1__GET_RUN_REPLY__INIT;
    struct cap_err err = {0};

    request.run_id = "run-\xff\xfe";
    assert_refused(store_get_run(w->pg, &request, w->arena, &reply, &err), &err,
                   CAP_INVALID_ARGUMENT, "\"run-??\" is not UTF-8: its byte number 5 is 0xff");
    cap_err_clear(&err);
    request.run_id = "run-x";
    assert_refused(store_get_run(w->pg, &request, w->arena, &reply, &err), &err, CAP_NOT_FOUND,
                   "run \"run-x\" does not exist");
}

static void a_statement_that_takes_too_long_is_ended(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    struct attempts a = {0, 2, "SELECT pg_sleep(30)"};
    struct store_pg *pg =
        store_pg_open(&(struct store_pg_options){.conninfo = w->db, .statement_ms_max = 100}, &err);

    assert_false(store_pg_tx(pg, STORE_TX_READ, fail_at_first, &a, &err));
    assert_int_equal(err.code, CAP_DEADLINE_EXCEEDED);
    store_pg_free(pg);
}

static void a_read_cannot_write(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    struct attempts a = {0, 2, "DELETE FROM run"};

    assert_false(store_pg_tx(w->pg, STORE_TX_READ, fail_at_first, &a, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
}

static bool hold_connection(struct store_conn *conn, void *arg, struct cap_err *err)
{
    (void)arg;
    return store_pg_do(conn, err, "SELECT pg_sleep(0.5)", STORE_NO_ARGS);
}

static void *hold(void *pg)
{
    struct cap_err err = {0};

    store_pg_tx(pg, STORE_TX_READ, hold_connection, NULL, &err);
    return NULL;
}

static void when_all_connections_are_in_use_the_wait_ends(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    struct attempts a = {0, 0, ""};
    pthread_t thread;
    struct store_pg *pg = store_pg_open(
        &(struct store_pg_options){.conninfo = w->db, .connections_max = 1, .acquire_ms_max = 50},
        &err);

    pthread_create(&thread, NULL, hold, pg);
    cap_sleep_ms(150);
    assert_refused(store_pg_tx(pg, STORE_TX_READ, fail_at_first, &a, &err), &err,
                   CAP_RESOURCE_EXHAUSTED, "all 1 database connections are in use");
    pthread_join(thread, NULL);
    cap_err_clear(&err);
    assert_ok(store_pg_tx(pg, STORE_TX_READ, fail_at_first, &a, &err), &err);
    store_pg_free(pg);
}

static void a_wrong_address_is_a_sentence(void **state)
{
    struct cap_err err = {0};

    (void)state;
    assert_null(store_pg_open(
        &(struct store_pg_options){.conninfo = "host=/nonexistent dbname=x", .connect_ms_max = 1},
        &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_non_null(strstr(err.text, "could not connect to the database: "));
    assert_non_null(strstr(err.text, "/nonexistent"));
    cap_err_clear(&err);
    assert_null(store_pg_open(
        &(struct store_pg_options){.conninfo = "no = such = option", .connect_ms_max = 1}, &err));
    assert_non_null(strstr(err.text, "could not connect to the database: "));
}

/* ---- backends that die ---- */

static void idle_connections_that_were_ended_are_replaced(void **state)
{
    struct world *w = *state;

    must_put_task(w, 1);
    for (int i = 0; i < 5; i++) {
        free(harness_sql(w->db, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                " WHERE datname = current_database() AND pid <> pg_backend_pid()"));
        must_enqueue(w, 1, 1, i);
    }
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.run"), 5);
}

struct terminator {
    const char *db;
    atomic_bool stop;
    int count;
};

static void *terminate_often(void *arg)
{
    struct terminator *t = arg;

    while (!atomic_load(&t->stop)) {
        char *n =
            harness_sql(t->db, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                               " WHERE datname = current_database() AND pid <> pg_backend_pid()");
        t->count += n ? (int)strtol(n, NULL, 10) : 0;
        free(n);
        cap_sleep_ms(12);
    }
    return NULL;
}

/* A sender that sends again until it hears an answer, as the scheduler does. */
static void append_stubbornly(struct world *w, const struct batch *batch)
{
    for (int tries = 0;; tries++) {
        Moecap__V1__AppendReply appended;
        struct cap_err err = {0};
        if (append(w, batch, &appended, &err))
            return;
        if (!cap_code_retryable(err.code) || tries == 200)
            fail_msg("%s: %s", cap_code_name(err.code), err.text);
        cap_sleep_ms(5);
    }
}

static void batches_are_stored_once_while_backends_are_killed(void **state)
{
    enum { BATCHES = 150, SIZE = 4 };
    struct world *w = *state;
    struct terminator t = {.db = w->db};
    uint64_t selections[] = {1, 2};
    const Moecap__V1__ExpertCount row = COUNTS(2, 4, selections, 2);
    pthread_t thread;

    must_put_task(w, BATCHES * SIZE);
    const char *run = must_enqueue(w, BATCHES * SIZE, BATCHES * SIZE, 1);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    pthread_create(&thread, NULL, terminate_often, &t);
    for (uint32_t i = 0; i < BATCHES; i++) {
        struct batch *batch =
            batch_of(w, run, 0, held.fence, i + 1, i * SIZE, SIZE, i + 1 == BATCHES, 0);
        set_counts(w, batch, &row, 1);
        append_stubbornly(w, batch);
    }
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    printf("%d backends were ended under %d batches\n", t.count, BATCHES);
    assert_true(t.count > 10);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.sample"), BATCHES * SIZE);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.batch_ledger"), BATCHES);
    assert_int_equal(sql_int(w, "SELECT samples_answered FROM moecap.run"), BATCHES * SIZE);
    assert_int_equal(sql_int(w, "SELECT counts[2] FROM moecap.expert_count"), 2 * BATCHES);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.run WHERE state = 'grading'"), 1);
}

/* ---- a server that goes away ---- */

struct durable {
    struct world world;
    char *dir;
};

static struct store_embedded *must_start(const char *dir)
{
    struct cap_err err = {0};
    struct store_embedded *cluster =
        store_embedded_open(&(struct store_embedded_options){.dir = dir}, &err);

    assert_ok(cluster != NULL, &err);
    return cluster;
}

static int durable_setup(void **state)
{
    struct durable *d = calloc(1, sizeof *d);
    struct cap_err err = {0};
    int applied;

    d->dir = harness_dir_new();
    struct store_embedded *cluster = must_start(d->dir);
    d->world.db = strdup(store_embedded_conninfo(cluster));
    store_embedded_free(cluster);
    d->world.pg = store_pg_open(
        &(struct store_pg_options){.conninfo = d->world.db, .connect_ms_max = 200}, &err);
    assert_ok(d->world.pg && store_migrate(d->world.pg, &applied, &err), &err);
    d->world.arena = cap_arena_new(64 << 20);
    *state = d;
    return 0;
}

static int durable_teardown(void **state)
{
    struct durable *d = *state;
    struct cap_err err = {0};

    store_pg_free(d->world.pg);
    struct store_embedded *cluster = must_start(d->dir);
    assert_ok(store_embedded_stop(cluster, &err), &err);
    store_embedded_free(cluster);
    harness_dir_remove(d->dir);
    free(d->world.db);
    cap_arena_free(d->world.arena);
    free(d);
    return 0;
}

static pid_t postmaster_of(const struct durable *d)
{
    struct cap_err err = {0};
    char path[256];

    snprintf(path, sizeof path, "%s/data/postmaster.pid", d->dir);
    CAP_AUTO_MEM char *text = cap_file_read(path, 4096, NULL, &err);
    assert_ok(text != NULL, &err);
    return (pid_t)strtol(text, NULL, 10);
}

static void kill_server(const struct durable *d)
{
    pid_t pid = postmaster_of(d);

    kill(pid, SIGKILL);
    while (kill(pid, 0) == 0)
        cap_sleep_ms(5);
}

static void a_server_that_is_away_is_unavailable_and_back_when_it_is_back(void **state)
{
    struct durable *d = *state;
    struct world *w = &d->world;
    struct cap_err err = {0};
    struct attempts a = {0, 0, ""};

    must_put_task(w, 1);
    struct store_embedded *cluster = must_start(d->dir);
    assert_true(store_embedded_reused(cluster));
    assert_ok(store_embedded_stop(cluster, &err), &err);
    assert_false(store_pg_tx(w->pg, STORE_TX_READ, fail_at_first, &a, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_non_null(strstr(err.text, "could not connect to the database: "));
    store_embedded_free(cluster);

    cluster = must_start(d->dir);
    assert_false(store_embedded_reused(cluster));
    store_embedded_free(cluster);
    must_enqueue(w, 1, 1, 1);
}

/* kill -9 of the whole server between and during batches; what was acknowledged is there after it.
 */
static void acknowledged_batches_survive_a_kill_of_the_server(void **state)
{
    enum { BATCHES = 16, SIZE = 2, EVERY = 8 };
    struct durable *d = *state;
    struct world *w = &d->world;

    must_put_task(w, BATCHES * SIZE);
    const char *run = must_enqueue(w, BATCHES * SIZE, BATCHES * SIZE, 1);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    for (uint32_t i = 0; i < BATCHES; i++) {
        const struct batch *batch =
            batch_of(w, run, 0, held.fence, i + 1, i * SIZE, SIZE, i + 1 == BATCHES, 0);
        append_stubbornly(w, batch);
        if (i % EVERY == EVERY - 1) {
            kill_server(d);
            store_embedded_free(must_start(d->dir));
            append_stubbornly(w, batch); /* as if the acknowledgement had been lost too */
        }
    }
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.sample"), BATCHES * SIZE);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.batch_ledger"), BATCHES);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.run WHERE state = 'grading'"), 1);
}

struct killer {
    const struct durable *d;
    atomic_bool done;
};

static void *kill_four_times(void *arg)
{
    struct killer *k = arg;

    for (int i = 0; i < 4; i++) {
        cap_sleep_ms(30 + 37 * i);
        kill_server(k->d);
        store_embedded_free(must_start(k->d->dir));
    }
    atomic_store(&k->done, true);
    return NULL;
}

static void batches_are_stored_once_while_the_server_is_killed(void **state)
{
    enum { SAMPLES = 5000 };
    struct durable *d = *state;
    struct world *w = &d->world;
    struct killer k = {.d = d};
    pthread_t thread;
    uint32_t sent = 0;

    must_put_task(w, SAMPLES);
    const char *run = must_enqueue(w, SAMPLES, SAMPLES, 1);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    pthread_create(&thread, NULL, kill_four_times, &k);
    for (; !atomic_load(&k.done) && sent < SAMPLES - 1; sent++)
        append_stubbornly(w, batch_of(w, run, 0, held.fence, sent + 1, sent, 1, false, 0));
    pthread_join(thread, NULL);
    append_stubbornly(w, batch_of(w, run, 0, held.fence, sent + 1, sent, SAMPLES - sent, true, 0));
    printf("the server was killed 4 times under %u batches\n", sent);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.sample"), SAMPLES);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.batch_ledger"), sent + 1);
    assert_int_equal(sql_int(w, "SELECT samples_answered FROM moecap.run"), SAMPLES);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.run WHERE state = 'grading'"), 1);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
#define DURABLE_TEST(f) cmocka_unit_test_setup_teardown(f, durable_setup, durable_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_run_once),
        cmocka_unit_test(stores_that_start_together_migrate_once),
        cmocka_unit_test(a_database_that_is_newer_or_different_is_refused),
        WORLD_TEST(serialization_failures_and_deadlocks_are_tried_again),
        WORLD_TEST(errors_of_the_database_have_codes),
        WORLD_TEST(an_id_that_is_no_text_is_refused_with_a_sentence),
        WORLD_TEST(a_statement_that_takes_too_long_is_ended),
        WORLD_TEST(a_read_cannot_write),
        WORLD_TEST(when_all_connections_are_in_use_the_wait_ends),
        cmocka_unit_test(a_wrong_address_is_a_sentence),
        WORLD_TEST(idle_connections_that_were_ended_are_replaced),
        WORLD_TEST(batches_are_stored_once_while_backends_are_killed),
        DURABLE_TEST(a_server_that_is_away_is_unavailable_and_back_when_it_is_back),
        DURABLE_TEST(acknowledged_batches_survive_a_kill_of_the_server),
        DURABLE_TEST(batches_are_stored_once_while_the_server_is_killed),
    };

    return cmocka_run_group_tests_name("store pg", tests, NULL, NULL);
}
