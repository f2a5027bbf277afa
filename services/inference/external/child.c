/* A started server is a process group: the shell, its watcher, and whatever the command starts. The
 * node stops all of it, by the group's number, which stays ours until the shell has been waited
 * for; so that is the last thing done. The watcher waits for the end of a pipe whose other end the
 * node holds: should the node be killed, the kernel closes it, and the watcher stops the group. */
#include "external/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/spawn.h"
#include "log/log.h"

extern char **environ;

enum {
    STOP_MS = 10000,
    SWEEP_MS = 5000, /* after SIGKILL */
    POLL_MS = 20,
    WATCH_FD = 3,
    PATH_BYTES = 1024,
    COMMAND_BYTES_MAX = 16384,
    LOG_TAIL_BYTES = 160,
    PROC_BYTES_MAX = 65536,
    VARIABLES_MAX = 8,
};

struct infer_child {
    pid_t pid; /* also the group's */
    int watch; /* closing it tells the watcher that the node is gone */
    int64_t start_ms;
    bool ended;       /* but not waited for until infer_child_free: its number stays its own */
    siginfo_t ending; /* once ended */
    char url[64], log[PATH_BYTES];
    char added[512]; /* to its environment */
};

/* ---- its surroundings ---- */

static bool find_port(int *out, struct cap_err *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    CAP_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return cap_fail(err, CAP_UNAVAILABLE, "could not find a free port: %s", strerror(errno));
    *out = ntohs(address.sin_port);
    return true;
}

/* In the node's own folder the last one of a kind; in one that nodes share, one a port. */
static void name_log(struct infer_child *child, const struct infer_child_options *options, int port)
{
    const char *shared = getenv("TMPDIR");

    if (options->log_dir && *options->log_dir)
        snprintf(child->log, sizeof child->log, "%.900s/external-%.40s.log", options->log_dir,
                 options->kind);
    else
        snprintf(child->log, sizeof child->log, "%.900s/moecap-external-%.40s-%d.log",
                 shared ? shared : "/tmp", options->kind, port);
}

static int open_log(struct infer_child *child, const struct infer_child_options *options, int port,
                    struct cap_err *err)
{
    int fd;

    if (options->log_dir && *options->log_dir && !cap_dir_make(options->log_dir, err))
        return -1;
    name_log(child, options, port);
    fd = open(child->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        cap_fail(err, CAP_FAILED_PRECONDITION, "cannot write \"%s\": %s", child->log,
                 strerror(errno));
    return fd;
}

struct environment {
    const char **list;
    int count;
    char port[32], url[96], threads[32];
};

/* The operator's own setting wins. */
static void add_variable(struct environment *out, struct infer_child *child, const char *variable)
{
    char name[64];
    size_t length = strlen(child->added);

    snprintf(name, sizeof name, "%.*s", (int)strcspn(variable, "="), variable);
    if (getenv(name))
        return;
    out->list[out->count++] = variable;
    snprintf(child->added + length, sizeof child->added - length, "%s%s", length ? " " : "",
             variable);
}

/* The node's, without its secrets, and what keeps servers from spinning and from phoning home. */
static void make_environment(struct environment *out, struct infer_child *child,
                             const struct infer_child_options *options, int port)
{
    int count = 0;

    while (environ[count])
        count++;
    *out = (struct environment){0};
    out->list = calloc((size_t)count + VARIABLES_MAX + 1, sizeof *out->list);
    assert(out->list);
    for (int i = 0; i < count; i++)
        if (strncmp(environ[i], "MOECAP_", 7) != 0 && strncmp(environ[i], "PGPASSWORD=", 11) != 0)
            out->list[out->count++] = environ[i];
    snprintf(out->port, sizeof out->port, "MOECAP_PORT=%d", port);
    snprintf(out->url, sizeof out->url, "MOECAP_URL=%s", child->url);
    snprintf(out->threads, sizeof out->threads, "OMP_NUM_THREADS=%d", options->threads);
    out->list[out->count++] = out->port;
    out->list[out->count++] = out->url;
    if (options->threads > 0)
        add_variable(out, child, out->threads);
    add_variable(out, child, "OMP_WAIT_POLICY=PASSIVE");
    add_variable(out, child, "HF_HUB_OFFLINE=1");
    add_variable(out, child, "HF_HUB_DISABLE_TELEMETRY=1");
    add_variable(out, child, "VLLM_NO_USAGE_STATS=1");
    add_variable(out, child, "DO_NOT_TRACK=1");
}

/* ---- starting ---- */

/* The watcher holds the other end of a pipe; its end means that nobody is left to stop the group.
 */
static void make_script(const char *command, struct cap_buf *out)
{
    cap_buf_printf(out,
                   "(read -r gone <&%d; trap '' TERM; kill -TERM 0; sleep %d; kill -KILL 0) &\n"
                   "exec %d<&-\n%s\n",
                   WATCH_FD, STOP_MS / 1000, WATCH_FD, command);
}

static bool spawn(struct infer_child *child, const char *script, const char *const *environment,
                  int log, int watch, struct cap_err *err)
{
    char *const arguments[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int failure;

    cap_spawn_attributes(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, log, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, log, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&files, watch, WATCH_FD);
    failure = posix_spawn(&child->pid, "/bin/sh", &files, &attributes, arguments,
                          (char *const *)environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return failure == 0 ||
           cap_fail(err, CAP_FAILED_PRECONDITION, "cannot start /bin/sh: %s", strerror(failure));
}

static bool start(struct infer_child *child, const struct infer_child_options *options,
                  struct cap_err *err)
{
    struct environment environment;
    CAP_AUTO_BUF(script, COMMAND_BYTES_MAX);
    CAP_AUTO_FD int log = -1;
    int ends[2], port = 0;
    bool ok;

    if (!find_port(&port, err))
        return false;
    snprintf(child->url, sizeof child->url, "http://127.0.0.1:%d", port);
    log = open_log(child, options, port, err);
    if (log < 0)
        return false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return cap_fail(err, CAP_UNAVAILABLE, "could not make a pipe: %s", strerror(errno));
    make_environment(&environment, child, options, port);
    make_script(options->command, &script);
    ok = spawn(child, script.data, environment.list, log, ends[0], err);
    free(environment.list);
    close(ends[0]);
    child->watch = ends[1];
    return ok;
}

struct infer_child *infer_child_start(const struct infer_child_options *options,
                                      struct cap_err *err)
{
    struct infer_child *child = calloc(1, sizeof *child);

    assert(child);
    child->watch = -1;
    child->start_ms = cap_clock_ms(cap_clock_system());
    if (!start(child, options, err)) {
        infer_child_free(child);
        return NULL;
    }
    cap_log(INFO, "server_started", "engine=%s pid=%d url=%s log=%s", options->kind,
            (int)child->pid, child->url, CAP_LOG_Q(child->log));
    return child;
}

const char *infer_child_url(const struct infer_child *child)
{
    return child->url;
}

/* ---- the processes of its group ---- */

/* /proc/PID/stat is "pid (name) state ppid pgrp ..."; a name may hold anything. The dead that
 * nobody has waited for yet are in no group. */
static pid_t group_of(const char *pid)
{
    char path[64], state;
    struct cap_err err = {0};
    CAP_AUTO_MEM char *text = NULL;
    const char *at;
    int parent, group;

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    text = cap_file_read(path, PROC_BYTES_MAX, NULL, &err);
    at = text ? strrchr(text, ')') : NULL;
    if (!at || sscanf(at + 1, " %c %d %d", &state, &parent, &group) != 3 || state == 'Z')
        return -1;
    return group;
}

/* Calls `each` for the living; how many there are. */
static int visit_group(const struct infer_child *child,
                       void (*each)(const char *pid, struct infer_child_usage *usage),
                       struct infer_child_usage *usage)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int count = 0;

    while (proc && (entry = readdir(proc)) != NULL) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
            group_of(entry->d_name) != child->pid)
            continue;
        count++;
        if (each)
            each(entry->d_name, usage);
    }
    if (proc)
        closedir(proc);
    return count;
}

/* ---- its end ---- */

/* A process that is waited for frees its number, and a signal to the group could hit others. */
static bool has_ended(struct infer_child *child)
{
    if (!child->ended)
        child->ended =
            waitid(P_PID, (id_t)child->pid, &child->ending, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            child->ending.si_pid == child->pid;
    return child->ended;
}

/* The last words of the log, on one line. */
static void read_tail(const struct infer_child *child, char out[LOG_TAIL_BYTES + 1])
{
    CAP_AUTO_FD int fd = open(child->log, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t got;

    *out = '\0';
    if (size <= 0)
        return;
    lseek(fd, size > LOG_TAIL_BYTES ? size - LOG_TAIL_BYTES : 0, SEEK_SET);
    got = read(fd, out, LOG_TAIL_BYTES);
    out[got > 0 ? got : 0] = '\0';
    while (got > 0 && out[got - 1] == '\n')
        out[--got] = '\0';
    for (char *at = out; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
}

bool infer_child_ended(struct infer_child *child, struct cap_err *err)
{
    char tail[LOG_TAIL_BYTES + 1];
    int64_t after_ms = cap_clock_ms(cap_clock_system()) - child->start_ms;

    if (!has_ended(child))
        return false;
    read_tail(child, tail);
    cap_fail(err, CAP_UNAVAILABLE,
             "the server that the node started ended after %lld s with %s %d; "
             "its log %s ends: %s",
             (long long)after_ms / 1000, child->ending.si_code == CLD_EXITED ? "status" : "signal",
             child->ending.si_status, child->log, tail);
    return true;
}

/* True when no process of the group is left. Where nobody reaps orphans (a container whose first
 * process does not), the dead stay in the list for ever and do not count. */
static bool wait_for_group(struct infer_child *child, int64_t ms)
{
    int64_t until_ms = cap_clock_ms(cap_clock_system()) + ms;

    for (;;) {
        if (has_ended(child) && visit_group(child, NULL, NULL) == 0)
            return true;
        if (cap_clock_ms(cap_clock_system()) >= until_ms)
            return false;
        cap_sleep_ms(POLL_MS);
    }
}

void infer_child_free(struct infer_child *child)
{
    if (!child)
        return;
    if (child->pid > 0) {
        kill(-child->pid, SIGTERM);
        if (!wait_for_group(child, STOP_MS)) {
            cap_log(WARN, "server_killed", "pid=%d reason=\"it did not end within %d s\"",
                    (int)child->pid, STOP_MS / 1000);
            kill(-child->pid, SIGKILL);
            wait_for_group(child, SWEEP_MS);
        }
        waitpid(child->pid, NULL, WNOHANG);
    }
    if (child->watch >= 0)
        close(child->watch);
    free(child);
}

/* ---- what it uses ---- */

static uint64_t number_behind(const char *text, const char *label)
{
    const char *at = strstr(text, label);

    return at ? strtoull(at + strlen(label), NULL, 10) : 0;
}

static void add_process(const char *pid, struct infer_child_usage *out)
{
    char path[64];
    struct cap_err err = {0};
    CAP_AUTO_MEM char *text = NULL;
    const char *affinity;

    snprintf(path, sizeof path, "/proc/%.20s/status", pid);
    text = cap_file_read(path, PROC_BYTES_MAX, NULL, &err);
    if (!text)
        return;
    out->processes++;
    out->threads += (int)number_behind(text, "\nThreads:");
    out->peak_bytes += number_behind(text, "\nVmHWM:") << 10;
    affinity = strstr(text, "\nCpus_allowed_list:\t");
    if (affinity && !*out->affinity) {
        affinity += strlen("\nCpus_allowed_list:\t");
        snprintf(out->affinity, sizeof out->affinity, "%.*s", (int)strcspn(affinity, "\n"),
                 affinity);
    }
}

bool infer_child_usage(const struct infer_child *child, struct infer_child_usage *out)
{
    struct infer_child_usage usage = {.environment = child->added};

    visit_group(child, add_process, &usage);
    *out = usage;
    return usage.processes > 0;
}
