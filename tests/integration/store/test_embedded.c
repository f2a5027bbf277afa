/* The private cluster and the program around it: started twice, killed, beside another PostgreSQL,
 * in a folder whose path is too long for a socket, as root and as an ordinary user. */
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "store/embedded.h"
#include "store/migrate.h"
#include "world.h"

extern char **environ;

static int dir_setup(void **state)
{
    *state = harness_dir_new();
    return 0;
}

static int dir_teardown(void **state)
{
    harness_dir_remove(*state);
    return 0;
}

static struct store_embedded *must_open(const char *dir)
{
    struct cap_err err = {0};
    struct store_embedded *e = store_embedded_open(
        &(struct store_embedded_options){.dir = dir, .volatile_data = true}, &err);

    assert_ok(e != NULL, &err);
    return e;
}

static void must_stop(struct store_embedded *e)
{
    struct cap_err err = {0};

    assert_ok(store_embedded_stop(e, &err), &err);
    store_embedded_free(e);
}

/* ---- the cluster ---- */

static void a_cluster_keeps_its_data_from_start_to_start(void **state)
{
    struct store_embedded *e = must_open(*state);

    assert_false(store_embedded_reused(e));
    free(harness_sql(store_embedded_conninfo(e), "CREATE TABLE kept (i integer)"));
    must_stop(e);
    e = must_open(*state);
    assert_false(store_embedded_reused(e));
    free(harness_sql(store_embedded_conninfo(e), "SELECT * FROM kept"));
    must_stop(e);
}

static void a_cluster_that_was_left_running_is_taken_over(void **state)
{
    struct store_embedded *e = must_open(*state);
    char *before, *after;

    before = harness_sql(store_embedded_conninfo(e), "SELECT pg_postmaster_start_time()");
    store_embedded_free(e); /* as a killed store leaves it */
    e = must_open(*state);
    assert_true(store_embedded_reused(e));
    after = harness_sql(store_embedded_conninfo(e), "SELECT pg_postmaster_start_time()");
    assert_string_equal(before, after);
    free(before);
    free(after);
    must_stop(e);
}

static void two_clusters_stand_beside_each_other(void **state)
{
    char *other = harness_dir_new();
    struct store_embedded *a = must_open(*state), *b = must_open(other);
    char *listen = harness_sql(store_embedded_conninfo(a), "SHOW listen_addresses");

    assert_string_equal(listen, "");
    free(listen);
    free(harness_sql(store_embedded_conninfo(a), "CREATE TABLE mine (i integer)"));
    free(harness_sql(store_embedded_conninfo(b), "CREATE TABLE mine (i integer)"));
    must_stop(a);
    must_stop(b);
    harness_dir_remove(other);
}

static void a_folder_serves_one_store(void **state)
{
    struct store_embedded *e = must_open(*state);
    struct cap_err err = {0};
    char text[512];

    snprintf(text, sizeof text, "another moecap-store uses the folder \"%s\"", (char *)*state);
    assert_refused(store_embedded_open(&(struct store_embedded_options){.dir = *state}, &err), &err,
                   CAP_FAILED_PRECONDITION, text);
    must_stop(e);
}

static void a_path_that_is_long_or_odd_is_fine(void **state)
{
    static const char *const names[] = {
        "a folder that has blanks and a very long name so that no socket of the system can lie in "
        "it, since such a path has at most 107 bytes",
        "it's \\ odd",
    };

    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", (char *)*state, names[i]);
        struct store_embedded *e = must_open(path);
        free(harness_sql(store_embedded_conninfo(e), "SELECT 1"));
        CAP_AUTO_MEM char *sockets =
            harness_sql(store_embedded_conninfo(e), "SHOW unix_socket_directories");
        assert_true(cap_file_exists(sockets));
        must_stop(e);
        assert_false(cap_file_exists(sockets));
    }
}

static pid_t postmaster_of(const char *dir)
{
    struct cap_err err = {0};
    char path[300];

    snprintf(path, sizeof path, "%s/data/postmaster.pid", dir);
    CAP_AUTO_MEM char *text = cap_file_read(path, 4096, NULL, &err);
    return text ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void a_server_that_dies_is_started_again(void **state)
{
    struct store_embedded *e = must_open(*state);
    pid_t before = postmaster_of(*state);
    struct cap_err err = {0};

    store_embedded_watch(e);
    struct store_pg *pg =
        store_pg_open(&(struct store_pg_options){.conninfo = store_embedded_conninfo(e)}, &err);
    assert_ok(pg != NULL, &err);
    store_pg_free(pg);
    assert_int_equal(kill(before, SIGKILL), 0);
    while (kill(before, 0) == 0)
        cap_sleep_ms(5);
    pg = store_pg_open(
        &(struct store_pg_options){.conninfo = store_embedded_conninfo(e), .connect_ms_max = 10000},
        &err);
    assert_ok(pg != NULL, &err);
    store_pg_free(pg);
    assert_true(postmaster_of(*state) != before);
    must_stop(e);
    assert_int_equal(postmaster_of(*state), 0);
}

/* 'Z' for one that is dead and that nobody reaped, '?' for none. */
static char state_of(pid_t pid)
{
    struct cap_err err = {0};
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    CAP_AUTO_MEM char *text = cap_file_read(path, 4096, NULL, &err);
    return text && strrchr(text, ')') ? strrchr(text, ')')[2] : '?';
}

static void kill_unreaped(const char *dir)
{
    pid_t pid = postmaster_of(dir);

    assert_int_equal(kill(pid, SIGKILL), 0);
    while (state_of(pid) != 'Z')
        cap_sleep_ms(5);
}

/* The store of a container: the server belongs to process 1, which reaps nobody. */
static void be_in_a_container(const char *dir)
{
    struct store_embedded *e = must_open(dir);
    pid_t before;

    /* all killed at once, and started again */
    store_embedded_free(e);
    kill_unreaped(dir);
    e = must_open(dir);
    assert_false(store_embedded_reused(e));
    free(harness_sql(store_embedded_conninfo(e), "SELECT 1"));
    /* killed under a store that lives on */
    store_embedded_watch(e);
    before = postmaster_of(dir);
    kill_unreaped(dir);
    for (int i = 0; postmaster_of(dir) == before || postmaster_of(dir) == 0; i++) {
        assert_true(i < 3000);
        cap_sleep_ms(10);
    }
    must_stop(e);
}

static void a_dead_server_that_nobody_reaps_is_started_again(void **state)
{
    int status;
    pid_t process_1 = fork();

    if (process_1 == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t store = fork();
        if (store == 0) {
            be_in_a_container(*state);
            _exit(0);
        }
        waitpid(store, &status, 0); /* and nobody else */
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    }
    waitpid(process_1, &status, 0);
    assert_int_equal(status, 0);
}

/* The machine was cut off, and the number of the dead server now belongs to another program. */
static void a_pid_that_another_program_has_now_is_no_server(void **state)
{
    struct store_embedded *e = must_open(*state);
    struct cap_err err = {0};
    char path[300], text[400];

    must_stop(e);
    snprintf(path, sizeof path, "%s/data/postmaster.pid", (char *)*state);
    snprintf(text, sizeof text, "%d\n%s/data\n1\n5432\n%s/run\n\n        1        1\nready\n",
             (int)getpid(), (char *)*state, (char *)*state);
    assert_ok(cap_file_write(path, text, strlen(text), &err), &err);
    e = must_open(*state);
    assert_false(store_embedded_reused(e));
    free(harness_sql(store_embedded_conninfo(e), "SELECT 1"));
    must_stop(e);
}

/* A start that was killed in initdb leaves data.new; the next one begins again. */
static void a_half_made_cluster_is_made_again(void **state)
{
    char path[256];
    struct cap_err err = {0};

    snprintf(path, sizeof path, "%s/data.new/base", (char *)*state);
    assert_ok(cap_dir_make(path, &err), &err);
    must_stop(must_open(*state));
}

static void durable_is_the_default(void **state)
{
    struct cap_err err = {0};
    struct store_embedded *e =
        store_embedded_open(&(struct store_embedded_options){.dir = *state}, &err);
    static const char *const settings[] = {"SHOW fsync", "SHOW synchronous_commit",
                                           "SHOW full_page_writes"};

    assert_ok(e != NULL, &err);
    for (size_t i = 0; i < CAP_COUNT_OF(settings); i++) {
        char *value = harness_sql(store_embedded_conninfo(e), settings[i]);
        assert_string_equal(value, "on");
        free(value);
    }
    must_stop(e);
}

static void a_folder_that_the_server_cannot_enter_is_named(void **state)
{
    struct cap_err err = {0};
    char closed[256], path[300], text[512];

    if (geteuid() != 0) {
        printf("skip: this is about root\n");
        skip();
    }
    snprintf(closed, sizeof closed, "%s/closed", (char *)*state);
    snprintf(path, sizeof path, "%s/db", closed);
    assert_int_equal(mkdir(closed, 0700), 0);
    snprintf(text, sizeof text,
             "user postgres, who runs the database for root, cannot enter \"%s\": choose another "
             "folder, such as /var/lib/moecap",
             closed);
    assert_refused(store_embedded_open(&(struct store_embedded_options){.dir = path}, &err), &err,
                   CAP_PERMISSION_DENIED, text);
}

static void programs_that_are_not_there_are_a_sentence(void **state)
{
    struct cap_err err = {0};

    assert_refused(
        store_embedded_open(
            &(struct store_embedded_options){.dir = *state, .bindir = "/nonexistent"}, &err),
        &err, CAP_NOT_FOUND, "no initdb, pg_ctl and postgres in \"/nonexistent\"");
}

/* ---- the program ---- */

struct program {
    pid_t pid;
    char ready[300], log[300];
};

static struct program start_program(const char *dir, const char *const *prefix,
                                    const char *const *more)
{
    const char *bin = getenv("MOECAP_BIN_DIR");
    const char *argv[32];
    char program[512];
    struct program p;
    posix_spawn_file_actions_t files;
    int n = 0;

    snprintf(program, sizeof program, "%s/moecap-store", bin ? bin : "build/dev/bin");
    snprintf(p.ready, sizeof p.ready, "%s/ready", dir);
    snprintf(p.log, sizeof p.log, "%s/store.log", dir);
    remove(p.ready);
    while (prefix && *prefix)
        argv[n++] = *prefix++;
    argv[n++] = program;
    argv[n++] = "--listen";
    argv[n++] = "127.0.0.1:0";
    argv[n++] = "--ready-file";
    argv[n++] = p.ready;
    while (*more)
        argv[n++] = *more++;
    argv[n] = NULL;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, p.log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(posix_spawnp(&p.pid, argv[0], &files, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&files);
    return p;
}

static int wait_program(const struct program *p)
{
    int status;

    waitpid(p->pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wait_ready(const struct program *p)
{
    for (int i = 0; i < 600 && !cap_file_exists(p->ready); i++)
        cap_sleep_ms(50);
    assert_true(cap_file_exists(p->ready));
}

static void assert_logged(const struct program *p, const char *text)
{
    struct cap_err err = {0};
    CAP_AUTO_MEM char *log = cap_file_read(p->log, 1 << 20, NULL, &err);

    assert_ok(log != NULL, &err);
    if (!strstr(log, text))
        fail_msg("no \"%s\" in: %s", text, log);
}

static void assert_all_applied(const struct program *p)
{
    char text[96];

    snprintf(text, sizeof text, "event=schema_ready version=%zu applied=%zu", store_migration_count,
             store_migration_count);
    assert_logged(p, text);
}

static void start_kill_start_stop(const char *dir, const char *const *prefix)
{
    char database[300], pid_file[320];
    snprintf(database, sizeof database, "%s/pg", dir);
    snprintf(pid_file, sizeof pid_file, "%s/data/postmaster.pid", database);
    const char *const more[] = {"--embedded", database, NULL};

    struct program p = start_program(dir, prefix, more);
    wait_ready(&p);
    assert_all_applied(&p);
    kill(p.pid, SIGKILL);
    wait_program(&p);
    p = start_program(dir, prefix, more);
    wait_ready(&p);
    assert_logged(&p, "reused=1");
    assert_logged(&p, "applied=0");
    kill(p.pid, SIGTERM);
    assert_int_equal(wait_program(&p), 0);
    assert_false(cap_file_exists(pid_file)); /* the server went with it */
}

static void the_program_starts_after_a_kill_and_takes_the_server_with_it(void **state)
{
    start_kill_start_stop(*state, NULL);
}

static void the_program_runs_for_an_ordinary_user(void **state)
{
    static const char *const as_nobody[] = {"setpriv", "--reuid=nobody", "--regid=nogroup",
                                            "--clear-groups", NULL};
    const struct passwd *nobody = getpwnam("nobody");
    const char *bin = getenv("MOECAP_BIN_DIR");
    char program[512];

    if (geteuid() != 0 || !nobody) {
        printf("skip: needs root to become user nobody\n");
        skip();
    }
    snprintf(program, sizeof program,
             "setpriv --reuid=nobody --clear-groups test -x %s/moecap-store",
             bin ? bin : "build/dev/bin");
    if (system(program) != 0) {
        printf("skip: user nobody cannot enter the build folder\n");
        skip();
    }
    assert_int_equal(chown(*state, nobody->pw_uid, nobody->pw_gid), 0);
    start_kill_start_stop(*state, as_nobody);
}

static void a_server_of_ones_own_is_used(void **state)
{
    char *db = harness_database_new_empty();
    const char *const more[] = {"--postgres", db, NULL};

    struct program p = start_program(*state, NULL, more);
    wait_ready(&p);
    assert_all_applied(&p);
    kill(p.pid, SIGTERM);
    assert_int_equal(wait_program(&p), 0);
    harness_database_drop(db);
}

/* In place of the private server's own rules: everybody shows a password. */
static void ask_for_passwords(const char *dir, const char *conninfo)
{
    static const char rules[] = "local all all scram-sha-256\n";
    char path[300];
    FILE *file;

    free(harness_sql(conninfo, "CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'open sesame'"));
    snprintf(path, sizeof path, "%s/data/pg_hba.conf", dir);
    file = fopen(path, "w"); /* keeps its owner */
    assert_non_null(file);
    assert_int_equal(fwrite(rules, 1, sizeof rules - 1, file), sizeof rules - 1);
    fclose(file);
    free(harness_sql(conninfo, "SELECT pg_reload_conf()"));
}

static void a_password_comes_from_a_file(void **state)
{
    struct store_embedded *e = must_open(*state);
    char uri[600], password_file[300];
    CAP_AUTO_MEM char *socket =
        harness_sql(store_embedded_conninfo(e), "SHOW unix_socket_directories");
    const char *const more[] = {"--postgres", uri, "--postgres-password-file", password_file, NULL};
    const char *const wrong[] = {"--postgres", uri, "--connect-ms-max", "1", NULL};
    struct cap_err err = {0};

    snprintf(uri, sizeof uri, "host=%s user=guarded dbname=postgres password=wrong", socket);
    snprintf(password_file, sizeof password_file, "%s/password", (char *)*state);
    assert_ok(cap_file_write(password_file, "open sesame\n", 12, &err), &err);
    ask_for_passwords(*state, store_embedded_conninfo(e));

    struct program p = start_program(*state, NULL, wrong);
    assert_int_equal(wait_program(&p), 1);
    assert_logged(&p, "password authentication failed");
    p = start_program(*state, NULL, more);
    wait_ready(&p);
    kill(p.pid, SIGTERM);
    assert_int_equal(wait_program(&p), 0);
    must_stop(e);
}

static void a_start_that_cannot_work_ends_with_a_sentence(void **state)
{
    const char *const both[] = {"--postgres", "x", "--embedded", "y", NULL};
    const char *const lonely[] = {"--postgres-password-file", "x", NULL};
    const char *const away[] = {"--postgres", "host=/nonexistent", "--connect-ms-max", "1", NULL};

    struct program p = start_program(*state, NULL, both);
    assert_int_equal(wait_program(&p), 1);
    assert_logged(&p, "--postgres and --embedded exclude each other: name one");
    p = start_program(*state, NULL, lonely);
    assert_int_equal(wait_program(&p), 1);
    assert_logged(&p, "--postgres-password-file is for the server that --postgres names");
    p = start_program(*state, NULL, away);
    assert_int_equal(wait_program(&p), 1);
    assert_logged(&p, "could not connect to the database: ");
}

int main(void)
{
#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, dir_setup, dir_teardown)
    const struct CMUnitTest tests[] = {
        DIR_TEST(a_cluster_keeps_its_data_from_start_to_start),
        DIR_TEST(a_cluster_that_was_left_running_is_taken_over),
        DIR_TEST(a_server_that_dies_is_started_again),
        DIR_TEST(a_dead_server_that_nobody_reaps_is_started_again),
        DIR_TEST(a_pid_that_another_program_has_now_is_no_server),
        DIR_TEST(two_clusters_stand_beside_each_other),
        DIR_TEST(a_folder_serves_one_store),
        DIR_TEST(a_path_that_is_long_or_odd_is_fine),
        DIR_TEST(a_half_made_cluster_is_made_again),
        DIR_TEST(durable_is_the_default),
        DIR_TEST(a_folder_that_the_server_cannot_enter_is_named),
        DIR_TEST(programs_that_are_not_there_are_a_sentence),
        DIR_TEST(the_program_starts_after_a_kill_and_takes_the_server_with_it),
        DIR_TEST(the_program_runs_for_an_ordinary_user),
        DIR_TEST(a_server_of_ones_own_is_used),
        DIR_TEST(a_password_comes_from_a_file),
        DIR_TEST(a_start_that_cannot_work_ends_with_a_sentence),
    };

    return cmocka_run_group_tests_name("store embedded", tests, NULL, NULL);
}
