/* up and down: the suite on this machine. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "cmd.h"
#include "out.h"
#include "suite.h"

extern char **environ;

enum { DETACH_MS_MAX = 180000, POLL_MS = 50, URI_BYTES = 2049 };

/* Carries the URI of --postgres: every user of the machine can read arguments. */
static const char postgres_variable[] = "MOECAP_UP_POSTGRES";

struct cli_up_options cli_up_options = {.nodes = 1, .port_base = 7860, .openai_port = -1};

/* A node gets them as one list with colons between. */
static bool check_models(struct cli_list *list, char paths[][CLI_PATH_BYTES], struct cap_err *err)
{
    size_t length = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (!realpath(list->items[i], paths[i]))
            return cap_fail(err, CAP_NOT_FOUND, "--models \"%s\": %s", list->items[i],
                            strerror(errno));
        if (strchr(paths[i], ':'))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "--models \"%s\" has a colon in its path",
                            paths[i]);
        list->items[i] = paths[i];
        length += strlen(paths[i]) + 1;
    }
    return length < CLI_PATH_BYTES || cap_fail(err, CAP_INVALID_ARGUMENT,
                                               "the paths of --models are too long together; put "
                                               "the models into one folder");
}

/* A URI may hold a password: it leaves the command line, and comes by the environment. */
static bool hide_postgres(struct cli_up_options *o, struct cap_err *err)
{
    static char uri[URI_BYTES];
    const char *given = o->postgres ? o->postgres : getenv(postgres_variable);

    if (!given || (!*given && !o->postgres))
        return true;
    if (!*given || strlen(given) >= sizeof uri)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--postgres: a URI has 1 to %d bytes",
                        URI_BYTES - 1);
    snprintf(uri, sizeof uri, "%s", given);
    if (o->postgres)
        memset((char *)o->postgres, '*', strlen(o->postgres)); /* our own argument */
    o->postgres = uri;
    return unsetenv(postgres_variable) == 0;
}

static bool fill_in(struct cli_context *context, struct cap_err *err)
{
    static char models[CLI_LIST_MAX][CLI_PATH_BYTES], shipped_models[CLI_PATH_BYTES],
        tasks[CLI_PATH_BYTES];
    struct cli_up_options *o = &cli_up_options;

    if (o->nodes < 0 || o->nodes > CLI_PROCESSES_MAX - 8)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--nodes %lld is not from 0 to %d",
                        (long long)o->nodes, CLI_PROCESSES_MAX - 8);
    if (o->port_base < 1 || o->port_base > 65000)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--port-base %lld is not from 1 to 65000",
                        (long long)o->port_base);
    if (o->ports && strcmp(o->ports, "auto") != 0 && strcmp(o->ports, "default") != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--ports \"%s\" is neither default nor auto",
                        o->ports);
    if (!check_models(&o->models, models, err) || !hide_postgres(o, err))
        return false;
    if (o->models.count == 0 && cli_find_shipped(context, "models", shipped_models))
        o->models.items[o->models.count++] = shipped_models;
    if (!o->tasks && cli_find_shipped(context, "tasks", tasks))
        o->tasks = tasks;
    return true;
}

/* ---- detached: the supervisor as a separate program ---- */

static bool spawn_supervisor(const struct cli_context *context, const char *dir, pid_t *out_pid,
                             struct cap_err *err)
{
    const struct cli_up_options *o = &cli_up_options;
    char program[CLI_FILE_BYTES], numbers[3][32], log[CLI_FILE_BYTES];
    char *argv[32 + 2 * CLI_LIST_MAX];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int n = 0, rc;

    snprintf(program, sizeof program, "%s/moecap", context->program_dir);
    snprintf(log, sizeof log, "%s/logs/supervisor.log", dir);
    snprintf(numbers[0], 32, "%lld", (long long)o->nodes);
    snprintf(numbers[1], 32, "%lld", (long long)o->port_base);
    snprintf(numbers[2], 32, "%lld", (long long)o->openai_port);
    const char *const fixed[] = {program,         "--state",  dir,           "up",
                                 "--nodes",       numbers[0], "--port-base", numbers[1],
                                 "--openai-port", numbers[2]};

    for (size_t i = 0; i < CAP_COUNT_OF(fixed); i++)
        argv[n++] = (char *)fixed[i];
    for (size_t i = 0; i < o->models.count; i++) {
        argv[n++] = "--models";
        argv[n++] = (char *)o->models.items[i];
    }
    const char *const optional[][2] = {
        {"--ports", o->ports}, {"--log", o->log}, {"--tasks", o->tasks}};
    for (size_t i = 0; i < CAP_COUNT_OF(optional); i++) {
        if (!optional[i][1])
            continue;
        argv[n++] = (char *)optional[i][0];
        argv[n++] = (char *)optional[i][1];
    }
    if (o->no_tasks)
        argv[n++] = "--no-tasks";
    if (o->any_model_path)
        argv[n++] = "--any-model-path";
    argv[n] = NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC,
                                     0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    /* What the caller has open, such as the lock of a script, is not the suite's to keep. */
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    if (o->postgres)
        setenv(postgres_variable, o->postgres, 1);
    rc = posix_spawn(out_pid, program, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ||
           cap_fail(err, CAP_FAILED_PRECONDITION, "cannot start \"%s\": %s", program, strerror(rc));
}

/* What the supervisor wrote last, when it could not start everything. */
static void read_failure(const char *dir, struct cap_err *err)
{
    char path[CLI_FILE_BYTES];
    struct cap_err ignored = {0};
    CAP_AUTO_MEM char *log = NULL;
    char *line;

    snprintf(path, sizeof path, "%s/logs/supervisor.log", dir);
    log = cap_file_read(path, 1 << 20, NULL, &ignored);
    line = log ? strstr(log, "moecap: ") : NULL;
    if (line) {
        line[strcspn(line, "\n")] = '\0';
        cap_fail(err, CAP_FAILED_PRECONDITION, "%s", line + 8);
    } else {
        cap_fail(err, CAP_FAILED_PRECONDITION, "the suite did not start; see %s", path);
    }
}

static int detach(struct cli_context *context, const char *dir, struct cap_err *err)
{
    char ready[CLI_FILE_BYTES], logs[CLI_FILE_BYTES];
    int64_t until = cap_clock_ms(cap_clock_system()) + DETACH_MS_MAX;
    pid_t pid;
    int status;

    snprintf(ready, sizeof ready, "%s/ready/suite", dir);
    snprintf(logs, sizeof logs, "%s/logs", dir);
    unlink(ready);
    if (!cap_dir_make(logs, err) || !spawn_supervisor(context, dir, &pid, err))
        return cli_exit_of(err->code);
    while (!cap_file_exists(ready)) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            read_failure(dir, err);
            return cli_exit_of(err->code);
        }
        if (cap_clock_ms(cap_clock_system()) > until) {
            cap_fail(err, CAP_DEADLINE_EXCEEDED, "the suite was not ready within %d s; see %s",
                     DETACH_MS_MAX / 1000, logs);
            return cli_exit_of(err->code);
        }
        cap_sleep_ms(POLL_MS);
    }
    return cli_cmd_status(context, NULL, err);
}

int cli_cmd_up(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    char given[CLI_PATH_BYTES], dir[CLI_PATH_BYTES];
    struct cli_runtime runtime;
    struct cap_err ignored = {0};

    (void)words;
    if (!cli_state_dir(context, given, err) || !fill_in(context, err) || !cap_dir_make(given, err))
        return cli_exit_of(err->code);
    if (!realpath(given, dir)) {
        cap_fail(err, CAP_FAILED_PRECONDITION, "cannot use \"%s\": %s", given, strerror(errno));
        return CLI_REFUSED;
    }
    if (cli_runtime_read(dir, &runtime, &ignored) && cli_process_alive(&runtime.supervisor)) {
        cap_fail(err, CAP_ALREADY_EXISTS, "a suite already runs in \"%s\" (process %d)", dir,
                 (int)runtime.supervisor.pid);
        return CLI_REFUSED;
    }
    return cli_up_options.detach ? detach(context, dir, err)
                                 : cli_supervise(context, &cli_up_options, dir, err);
}

/* ---- down ---- */

int cli_cmd_down(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    char dir[CLI_PATH_BYTES];
    int count;

    (void)words;
    if (!cli_state_dir(context, dir, err))
        return cli_exit_of(err->code);
    if (!cli_runtime_end(dir, &count, err) || count == 0) {
        cap_err_clear(err);
        cap_fail(err, CAP_UNAVAILABLE, "no suite runs in \"%s\"", dir);
        return CLI_UNREACHABLE;
    }
    if (context->globals.json)
        cli_print_json(json_pack("{s:i}", "ended", count));
    else
        printf("the suite has ended\n");
    return CLI_OK;
}
