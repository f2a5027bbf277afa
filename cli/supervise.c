/* The supervisor: starts the programs in order, each when the one before is ready; restarts one
 * that dies, with a pause that doubles; ends them in the opposite order. Programs are started with
 * posix_spawn (never fork: gRPC forbids it) each in its own process group, so that Ctrl-C reaches
 * only the supervisor, which then ends them in order. A program ends by itself when the supervisor
 * dies (--die-with-parent), and what is left is found by `moecap down` through the runtime file.
 * The state folder's lock is held as long as the supervisor lives. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/plain.h"
#include "base/spawn.h"
#include "cmd.h"
#include "suite.h"

extern char **environ;

enum {
    ARGUMENTS_MAX = 32,
    READY_MS_MAX = 60000,
    END_MS_MAX = 15000,
    POLL_MS = 50,
    PAUSE_MS_MIN = 200,
    PAUSE_MS_MAX = 10000,
    STEADY_MS = 30000,        /* a program that lived this long is forgiven its earlier deaths */
    LOG_BYTES_MAX = 64 << 20, /* a larger log is set aside when its program starts */
};

struct program {
    struct cli_process *process; /* in the runtime */
    char arguments[ARGUMENTS_MAX][CLI_FILE_BYTES];
    int argument_count;
    char variable[CLI_FILE_BYTES]; /* NAME=VALUE, for its environment alone; "" = none */
    int64_t started_ms, restart_at_ms, pause_ms;
    off_t log_bytes; /* of earlier lives */
    bool ready;
};

struct supervisor {
    struct cli_context *context;
    const struct cli_up_options *options;
    const char *dir;
    struct cli_runtime runtime;
    struct program programs[CLI_PROCESSES_MAX];
    sigset_t signals;
    bool ending; /* one of the signals came */
};

static int64_t now_ms(void)
{
    return cap_clock_ms(cap_clock_system());
}

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
    CAP_AUTO_BUF(text, 2 * CLI_FILE_BYTES);
    CAP_AUTO_BUF(plain, 2 * CLI_FILE_BYTES);
    va_list args;

    va_start(args, fmt);
    cap_buf_vprintf(&text, fmt, args);
    va_end(args);
    cap_plain_add_lines(&plain, text.data);
    fputs(plain.data, stdout);
    fflush(stdout);
}

/* Waits a little; true as soon as, and after, one of the signals came. */
static bool asked_to_end(struct supervisor *s)
{
    const struct timespec pause = {0, POLL_MS * 1000000};

    if (!s->ending)
        s->ending = sigtimedwait(&s->signals, NULL, &pause) > 0;
    return s->ending;
}

/* ---- what to start ---- */

__attribute__((format(printf, 2, 3))) static void add_argument(struct program *p, const char *fmt,
                                                               ...)
{
    va_list args;

    if (p->argument_count == ARGUMENTS_MAX)
        abort();
    va_start(args, fmt);
    vsnprintf(p->arguments[p->argument_count++], CLI_FILE_BYTES, fmt, args);
    va_end(args);
}

static struct program *add_program(struct supervisor *s, const char *binary, const char *name)
{
    struct program *p = &s->programs[s->runtime.count];

    p->process = &s->runtime.processes[s->runtime.count++];
    p->pause_ms = PAUSE_MS_MIN;
    snprintf(p->process->name, sizeof p->process->name, "%s", name);
    add_argument(p, "%s/moecap-%s", s->context->program_dir, binary);
    add_argument(p, "--die-with-parent");
    add_argument(p, "--ready-file");
    add_argument(p, "%s/ready/%s", s->dir, name);
    if (s->options->log) {
        add_argument(p, "--log");
        add_argument(p, "%s", s->options->log);
    }
    return p;
}

/* --ports auto: every program takes any free port. */
static bool free_ports(const struct supervisor *s)
{
    return s->options->ports && strcmp(s->options->ports, "auto") == 0;
}

/* The address a program should listen on: a fixed port, or any free one. */
static void add_listen(const struct supervisor *s, struct program *p, int offset)
{
    add_argument(p, "--listen");
    add_argument(p, "127.0.0.1:%d", free_ports(s) ? 0 : (int)s->options->port_base + offset);
}

static void add_store(struct supervisor *s)
{
    struct program *p = add_program(s, "store", "store");

    add_listen(s, p, 2);
    if (s->options->postgres) { /* not an argument, which others can read: it may hold a password */
        snprintf(p->variable, sizeof p->variable, "MOECAP_STORE_POSTGRES=%s", s->options->postgres);
    } else {
        add_argument(p, "--embedded");
        add_argument(p, "%s/postgres", s->dir);
    }
}

static void add_scheduler(struct supervisor *s)
{
    struct program *p = add_program(s, "scheduler", "scheduler");

    add_listen(s, p, 1);
    add_argument(p, "--store");
    add_argument(p, "%s", cli_runtime_find(&s->runtime, "store")->address);
    add_argument(p, "--evaluator");
    add_argument(p, "%s", cli_runtime_find(&s->runtime, "evaluator")->address);
}

static void add_gateway(struct supervisor *s)
{
    struct program *p = add_program(s, "gateway", "gateway");

    for (const char *const *name = (const char *const[]){"store", "evaluator", "scheduler", NULL};
         *name; name++) {
        add_argument(p, "--%s", *name);
        add_argument(p, "%s", cli_runtime_find(&s->runtime, *name)->address);
    }
    add_argument(p, "--http-port");
    add_argument(p, "%d", free_ports(s) ? 0 : (int)s->options->port_base);
}

static void add_node(struct supervisor *s, int number)
{
    const struct cli_up_options *o = s->options;
    char name[CLI_PROCESS_NAME_BYTES];
    CAP_AUTO_BUF(models, CLI_PATH_BYTES - 1);
    struct program *p;

    snprintf(name, sizeof name, "node-%d", number);
    p = add_program(s, "inference", name);
    add_argument(p, "--scheduler");
    add_argument(p, "%s", cli_runtime_find(&s->runtime, "scheduler")->address);
    add_argument(p, "--name");
    add_argument(p, "%s", name);
    add_argument(p, "--state");
    add_argument(p, "%s/%s", s->dir, name);
    for (size_t i = 0; i < o->models.count; i++)
        cap_buf_printf(&models, "%s%s", i ? ":" : "", o->models.items[i]);
    add_argument(p, "--models");
    add_argument(p, "%s", models.data);
    if (o->any_model_path)
        add_argument(p, "--any-model-path");
    if (o->openai_port >= 0) {
        add_argument(p, "--openai-port");
        add_argument(p, "%d", o->openai_port == 0 ? 0 : (int)o->openai_port + number - 1);
    }
}

/* ---- one program ---- */

static void log_path(const struct supervisor *s, const struct program *p, char out[CLI_FILE_BYTES])
{
    snprintf(out, CLI_FILE_BYTES, "%s/logs/%s.log", s->dir, p->process->name);
}

/* One older log is kept beside the one that is written. */
static void set_log_aside(const char *path, struct program *p)
{
    char older[CLI_FILE_BYTES + 2];
    struct stat stat_;

    p->log_bytes = stat(path, &stat_) == 0 ? stat_.st_size : 0;
    if (p->log_bytes <= LOG_BYTES_MAX)
        return;
    snprintf(older, sizeof older, "%s.1", path);
    if (rename(path, older) == 0)
        p->log_bytes = 0;
}

static bool open_log(posix_spawn_file_actions_t *actions, const char *path)
{
    return posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
           posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, path,
                                            O_WRONLY | O_CREAT | O_APPEND, 0644) == 0 &&
           posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, STDERR_FILENO) == 0;
}

/* Ours, with the program's own variable in front, which is then the one that counts. */
static char **make_environment(struct program *p)
{
    size_t count = 0, kept = 0, name = strcspn(p->variable, "=") + 1;
    char **list;

    while (environ[count])
        count++;
    if (!(list = calloc(count + 2, sizeof *list)))
        abort();
    if (*p->variable)
        list[kept++] = p->variable;
    for (size_t i = 0; i < count; i++)
        if (!*p->variable || strncmp(environ[i], p->variable, name) != 0)
            list[kept++] = environ[i];
    return list;
}

static bool spawn(struct supervisor *s, struct program *p, struct cap_err *err)
{
    CAP_AUTO_MEM char **environment = make_environment(p);
    char *argv[ARGUMENTS_MAX + 1];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char log[CLI_FILE_BYTES];
    int rc;

    for (int i = 0; i < p->argument_count; i++)
        argv[i] = p->arguments[i];
    argv[p->argument_count] = NULL;
    unlink(p->arguments[3]); /* the ready file of an earlier life */
    p->ready = false;
    log_path(s, p, log);
    set_log_aside(log, p);
    posix_spawn_file_actions_init(&actions);
    cap_spawn_attributes(&attributes, POSIX_SPAWN_SETPGROUP);
    rc = open_log(&actions, log)
             ? posix_spawn(&p->process->pid, argv[0], &actions, &attributes, argv, environment)
             : ENOMEM;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "cannot start \"%s\": %s", argv[0],
                        strerror(rc));
    p->started_ms = now_ms();
    p->process->start_time = cli_process_start_time(p->process->pid);
    return true;
}

static bool is_ready(struct program *p)
{
    struct cap_err ignored = {0};
    CAP_AUTO_MEM char *address = cap_file_read(p->arguments[3], CLI_ADDRESS_BYTES, NULL, &ignored);

    if (!address)
        return false;
    address[strcspn(address, "\n")] = '\0';
    snprintf(p->process->address, sizeof p->process->address, "%s", address);
    return p->ready = true;
}

/* The last thing a program said before it died: its error line. */
static void last_words(const struct supervisor *s, const struct program *p, char *out, size_t size)
{
    char path[CLI_FILE_BYTES];
    struct cap_err ignored = {0};
    CAP_AUTO_MEM char *log = NULL;
    char *line, *reason;
    size_t length;

    log_path(s, p, path);
    snprintf(out, size, "see %s", path);
    log = cap_file_read(path, 2 * (size_t)LOG_BYTES_MAX, &length, &ignored);
    if (!log || (size_t)p->log_bytes > length)
        return;
    line = strstr(log + p->log_bytes, "event=start_failed");
    reason = line ? strstr(line, "reason=") : NULL;
    if (reason)
        snprintf(out, size, "%.*s", (int)strcspn(reason + 7, "\n"), reason + 7);
}

static bool fail_ended(const struct supervisor *s, struct program *p, struct cap_err *err)
{
    char words[CLI_FILE_BYTES + 8]; /* "see " and a path, or a reason */

    last_words(s, p, words, sizeof words);
    p->process->pid = 0;
    return cap_fail(err, CAP_FAILED_PRECONDITION, "%s ended while it started: %s", p->process->name,
                    words);
}

static bool wait_ready(struct supervisor *s, struct program *p, struct cap_err *err)
{
    int status;

    for (int64_t until = now_ms() + READY_MS_MAX; now_ms() < until;) {
        if (is_ready(p))
            return true;
        if (waitpid(p->process->pid, &status, WNOHANG) == p->process->pid)
            return fail_ended(s, p, err);
        if (asked_to_end(s))
            return cap_fail(err, CAP_CANCELLED, "interrupted while %s started", p->process->name);
    }
    return cap_fail(err, CAP_DEADLINE_EXCEEDED, "%s was not ready within %d s; see %s/logs/%s.log",
                    p->process->name, READY_MS_MAX / 1000, s->dir, p->process->name);
}

static bool start_program(struct supervisor *s, struct program *p, struct cap_err *err)
{
    bool ok;

    say("starting %s", p->process->name);
    ok = spawn(s, p, err) && cli_runtime_write(s->dir, &s->runtime, err) && wait_ready(s, p, err);
    if (ok)
        say(": %s", p->process->address);
    say("\n");
    return ok && cli_runtime_write(s->dir, &s->runtime, err);
}

/* ---- all of them ---- */

static bool start_all(struct supervisor *s, struct cap_err *err)
{
    add_store(s);
    if (!start_program(s, &s->programs[0], err))
        return false;
    add_listen(s, add_program(s, "evaluator", "evaluator"), 3);
    if (!start_program(s, &s->programs[1], err))
        return false;
    add_scheduler(s);
    if (!start_program(s, &s->programs[2], err))
        return false;
    add_gateway(s);
    if (!start_program(s, &s->programs[3], err))
        return false;
    for (int i = 1; i <= (int)s->options->nodes; i++) {
        add_node(s, i);
        if (!start_program(s, &s->programs[s->runtime.count - 1], err))
            return false;
    }
    return true;
}

static void end_program(struct program *p)
{
    int64_t until = now_ms() + END_MS_MAX;
    int status;

    if (p->process->pid <= 0)
        return;
    kill(p->process->pid, SIGTERM);
    while (waitpid(p->process->pid, &status, WNOHANG) == 0) {
        if (now_ms() > until)
            kill(p->process->pid, SIGKILL);
        cap_sleep_ms(POLL_MS / 2);
    }
    p->process->pid = 0;
}

static void end_all(struct supervisor *s)
{
    for (int i = s->runtime.count; i > 0; i--)
        end_program(&s->programs[i - 1]);
    cli_runtime_remove(s->dir);
}

/* A dead program: when to start it again. */
static void note_death(struct program *p, int status)
{
    if (now_ms() - p->started_ms > STEADY_MS)
        p->pause_ms = PAUSE_MS_MIN;
    p->restart_at_ms = now_ms() + p->pause_ms;
    say("%s ended (%s %d); starting it again in %lld ms\n", p->process->name,
        WIFSIGNALED(status) ? "signal" : "status",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)p->pause_ms);
    p->pause_ms = p->pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : p->pause_ms * 2;
    p->process->pid = 0;
}

/* A restarted program must be found where the others look for it. */
static void keep_address(struct program *p)
{
    const char *port = strrchr(p->process->address, ':');

    for (int i = 0; port && i + 1 < p->argument_count; i++) {
        if (strcmp(p->arguments[i], "--listen") == 0)
            snprintf(p->arguments[i + 1], CLI_FILE_BYTES, "%s", p->process->address);
        else if (strcmp(p->arguments[i], "--http-port") == 0)
            snprintf(p->arguments[i + 1], CLI_FILE_BYTES, "%s", port + 1);
    }
}

static void start_again(struct supervisor *s, struct program *p)
{
    struct cap_err err = {0};

    p->restart_at_ms = 0;
    p->process->restarts++;
    keep_address(p);
    if (!spawn(s, p, &err) || !cli_runtime_write(s->dir, &s->runtime, &err)) {
        say("%s\n", err.text);
        p->restart_at_ms = now_ms() + p->pause_ms;
    }
}

/* A node may have another address than before. */
static void note_ready(struct supervisor *s, struct program *p)
{
    struct cap_err err = {0};

    say("%s: %s\n", p->process->name, p->process->address);
    if (!cli_runtime_write(s->dir, &s->runtime, &err))
        say("%s\n", err.text);
}

/* Also of processes that are not ours: as the first process of a container we get every orphan (a
 * PostgreSQL whose store was killed), and one that nobody waits for looks alive to everybody. */
static void reap(struct supervisor *s)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < s->runtime.count; i++)
            if (s->programs[i].process->pid == pid)
                note_death(&s->programs[i], status);
}

static void look_after(struct supervisor *s)
{
    reap(s);
    for (int i = 0; i < s->runtime.count; i++) {
        struct program *p = &s->programs[i];

        if (p->process->pid == 0 && p->restart_at_ms > 0 && now_ms() >= p->restart_at_ms)
            start_again(s, p);
        if (p->process->pid > 0 && !p->ready && is_ready(p))
            note_ready(s, p);
    }
}

static bool make_dirs(const char *dir, struct cap_err *err)
{
    char path[CLI_FILE_BYTES];

    snprintf(path, sizeof path, "%s/ready", dir);
    if (!cap_dir_make(path, err))
        return false;
    snprintf(path, sizeof path, "%s/logs", dir);
    return cap_dir_make(path, err);
}

static bool add_tasks(struct supervisor *s, struct cap_err *err)
{
    char address[CLI_ADDRESS_BYTES];
    struct cli_context context = *s->context;

    if (s->options->no_tasks || !s->options->tasks)
        return true;
    snprintf(address, sizeof address, "%s", cli_runtime_find(&s->runtime, "scheduler")->address);
    context.globals.server = address;
    return cli_add_shipped_tasks(&context, s->options->tasks, err);
}

/* Held until this process ends, however it ends. */
static bool lock_state(const char *dir, struct cap_err *err)
{
    char path[CLI_FILE_BYTES];
    int fd;

    snprintf(path, sizeof path, "%s/lock", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "cannot write in \"%s\": %s", dir,
                        strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true; /* and fd stays open */
    close(fd);
    return cap_fail(err, CAP_ALREADY_EXISTS, "a suite already runs in \"%s\"", dir);
}

static void init_supervisor(struct supervisor *s, struct cli_context *context,
                            const struct cli_up_options *options, const char *dir)
{
    s->context = context;
    s->options = options;
    s->dir = dir;
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGINT);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &s->signals, NULL);
    s->runtime.supervisor = (struct cli_process){.name = "supervisor", .pid = getpid()};
    s->runtime.supervisor.start_time = cli_process_start_time(getpid());
}

static bool start_suite(struct supervisor *s, struct cap_err *err)
{
    char ready[CLI_FILE_BYTES];

    snprintf(ready, sizeof ready, "%s/ready/suite", s->dir);
    unlink(ready);
    if (!make_dirs(s->dir, err) || !cli_runtime_write(s->dir, &s->runtime, err) ||
        !start_all(s, err) || !add_tasks(s, err) || !cap_file_write(ready, "ready\n", 6, err))
        return false;
    say("the suite is ready; state and logs in %s; Ctrl-C ends it\n", s->dir);
    return true;
}

int cli_supervise(struct cli_context *context, const struct cli_up_options *options,
                  const char *state_dir, struct cap_err *err)
{
    CAP_AUTO_MEM struct supervisor *s = calloc(1, sizeof *s);
    bool ok;

    if (!s)
        abort();
    if (!lock_state(state_dir, err))
        return cli_exit_of(err->code);
    cli_runtime_end(state_dir, &(int){0},
                    &(struct cap_err){0}); /* what a killed supervisor left running */
    init_supervisor(s, context, options, state_dir);
    ok = start_suite(s, err);
    while (ok && !asked_to_end(s))
        look_after(s);
    say("ending\n");
    end_all(s);
    return ok ? CLI_OK : cli_exit_of(err->code);
}
