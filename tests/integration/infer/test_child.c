/* Servers that the node starts by a command of its own: the wait, the end, what they are given. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "inference/engine.h"
#include "inference/external/server.h"

struct fixture {
    char dir[64];
};

static int make_dir(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/moecap-child-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    *state = fixture;
    return 0;
}

static int remove_dir(void **state)
{
    struct fixture *fixture = *state;
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", fixture->dir);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static struct infer_child *start(const struct fixture *fixture, const char *command)
{
    const struct infer_child_options options = {
        .kind = "moe-gen", .command = command, .log_dir = fixture->dir, .threads = 2};
    struct cap_err err = {0};
    struct infer_child *child = infer_child_start(&options, &err);

    if (!child)
        fail_msg("%s", err.text);
    return child;
}

/* What a file in the folder says, once it is there and whole. */
static char *read_soon(const struct fixture *fixture, const char *name)
{
    char path[128];
    struct cap_err err = {0};

    snprintf(path, sizeof path, "%s/%s", fixture->dir, name);
    for (int i = 0; i < 500 && !cap_file_exists(path); i++)
        cap_sleep_ms(10);
    return cap_file_read(path, 1 << 16, NULL, &err);
}

static struct infer_engine *open_engine(const struct fixture *fixture, const char *command,
                                        int loading_ms, struct cap_err *err)
{
    struct infer_engine_options options = {.kind = "moe-gen",
                                           .model = "m",
                                           .command = command,
                                           .log_dir = fixture->dir,
                                           .refused_ms_max = 100,
                                           .loading_ms_max = loading_ms};

    return infer_engine_find("moe-gen")->open(&options, err);
}

/* ---- what it is given ---- */

static void the_command_gets_port_and_quiet_settings_but_no_keys(void **state)
{
    const struct fixture *fixture = *state;
    struct infer_child *child;
    char command[512], expected[64];
    char *seen;

    setenv("MOECAP_KEY_X", "s3cret", 1);
    setenv("HF_HUB_OFFLINE", "0", 1); /* the operator's own setting wins */
    snprintf(command, sizeof command, "env > %s/tmp; mv %s/tmp %s/env; sleep 60", fixture->dir,
             fixture->dir, fixture->dir);
    child = start(fixture, command);
    seen = read_soon(fixture, "env");
    assert_non_null(seen);
    snprintf(expected, sizeof expected, "MOECAP_URL=%s\n", infer_child_url(child));
    assert_non_null(strstr(seen, expected));
    assert_non_null(strstr(seen, "OMP_NUM_THREADS=2\n"));
    assert_non_null(strstr(seen, "OMP_WAIT_POLICY=PASSIVE\n"));
    assert_non_null(strstr(seen, "HF_HUB_OFFLINE=0\n"));
    assert_null(strstr(seen, "s3cret"));
    free(seen);
    infer_child_free(child);
    unsetenv("MOECAP_KEY_X");
    unsetenv("HF_HUB_OFFLINE");
}

static void its_processes_memory_and_threads_can_be_told(void **state)
{
    struct infer_child *child = start(*state, "sleep 60 & sleep 60");
    struct infer_child_usage usage = {0};

    for (int i = 0; i < 300 && usage.processes < 4; i++, cap_sleep_ms(10))
        infer_child_usage(child, &usage);
    assert_int_equal(usage.processes, 4); /* the shell, two sleeps, the watcher */
    assert_int_equal(usage.threads, 4);
    assert_true(usage.peak_bytes > 4096);
    assert_true(*usage.affinity);
    assert_non_null(strstr(usage.environment, "OMP_WAIT_POLICY=PASSIVE"));
    infer_child_free(child);
}

/* ---- the wait ---- */

static void an_end_ends_the_wait_at_once_with_the_logs_last_words(void **state)
{
    int64_t start_ms = cap_clock_ms(cap_clock_system());
    struct cap_err err = {0};

    assert_null(open_engine(*state, "echo no such flag; exit 3", 60000, &err));
    assert_true(cap_clock_ms(cap_clock_system()) - start_ms < 5000);
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the server that the node started ended after 0 s with status "
                                     "3; its log "));
    assert_non_null(strstr(err.text, "ends: no such flag"));
}

static void a_server_that_is_never_ready_is_given_up_and_stopped(void **state)
{
    const struct fixture *fixture = *state;
    char command[512];
    struct cap_err err = {0};
    char *pid;

    snprintf(command, sizeof command, "echo $$ > %s/tmp; mv %s/tmp %s/pid; sleep 600", fixture->dir,
             fixture->dir, fixture->dir);
    assert_null(open_engine(fixture, command, 700, &err));
    assert_non_null(strstr(err.text, "not ready after 0 s"));
    pid = read_soon(fixture, "pid");
    assert_non_null(pid);
    assert_int_equal(kill((pid_t)strtol(pid, NULL, 10), 0), -1);
    free(pid);
}

static void without_url_and_command_there_is_nothing_to_ask(void **state)
{
    struct cap_err err = {0};

    assert_null(open_engine(*state, NULL, 100, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
    assert_string_equal(err.text, "no URL was given, and this node has no command that starts one");
}

/* ---- the end ---- */

static void what_does_not_obey_is_killed_with_all_its_children(void **state)
{
    const struct fixture *fixture = *state;
    struct infer_child *child;
    char command[512];
    int64_t start_ms, took_ms;
    char *pid;

    snprintf(command, sizeof command,
             "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $$ > %s/tmp; "
             "mv %s/tmp %s/pid; while :; do sleep 1; done",
             fixture->dir, fixture->dir, fixture->dir);
    child = start(fixture, command);
    pid = read_soon(fixture, "pid");
    assert_non_null(pid);
    start_ms = cap_clock_ms(cap_clock_system());
    infer_child_free(child);
    took_ms = cap_clock_ms(cap_clock_system()) - start_ms;
    assert_in_range(took_ms, 9900, 16000);
    for (int i = 0; i < 500 && kill(-(pid_t)strtol(pid, NULL, 10), 0) == 0; i++)
        cap_sleep_ms(10); /* the dead, until they are reaped */
    assert_int_equal(kill(-(pid_t)strtol(pid, NULL, 10), 0), -1);
    free(pid);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_command_gets_port_and_quiet_settings_but_no_keys),
        TEST(its_processes_memory_and_threads_can_be_told),
        TEST(an_end_ends_the_wait_at_once_with_the_logs_last_words),
        TEST(a_server_that_is_never_ready_is_given_up_and_stopped),
        TEST(without_url_and_command_there_is_nothing_to_ask),
        TEST(what_does_not_obey_is_killed_with_all_its_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
