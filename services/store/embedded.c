/* The private cluster.
 *
 * Start, in this order: take DIR/lock; make the folders; initdb into DIR/data.new and rename, so
 * that a kill in between leaves no half cluster; write DIR/data/moecap.conf; look for a server that
 * runs; start one if there is none. Where the socket is, a running server knows best: line 5 of its
 * postmaster.pid.
 *
 * What it guarantees
 *   The server outlives this program: killed with -9, the next start finds it and uses it. Asked to
 *   stop, this program stops it, too. A server that dies by itself is started again by the thread
 *   of store_embedded_watch.
 *   A dead server is never taken for a live one: not one that nobody has reaped, and not another
 *   program that has its number now (is_server). So the first start after a crash of everything
 *   works.
 *   Two servers never run on one cluster: PostgreSQL itself refuses while a backend of the old one
 *   is left, and DIR/lock lets one store in.
 *
 * Threads: one, and after store_embedded_watch the watcher, which owns the server from then on
 * until store_embedded_stop or _free has joined it. Programs are started by posix_spawn only
 * (process.c).
 */
#include "embedded.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "digest/digest.h"
#include "log/log.h"

enum {
    START_MS = 120000,
    STOP_MS = 60000,
    INIT_MS = 120000,
    STATUS_MS = 10000,
    BACKENDS_MS = 10000, /* how long those of a server that was killed are waited for */
    WATCH_STEP_MS = 50,
    WATCH_EVERY_MS = 1000,
    WATCH_FAILED_MS = 5000,
};

struct store_embedded {
    char dir[STORE_PATH_BYTES], data[STORE_PATH_BYTES], log[STORE_PATH_BYTES],
        socket_dir[STORE_PATH_BYTES], bindir[STORE_PATH_BYTES];
    char *conninfo;
    struct store_user user;
    bool volatile_data, reused;
    int lock_fd;
    pthread_t watcher;
    bool watched;
    atomic_bool stop_watching;
};

/* ---- paths ---- */

static bool join(char out[STORE_PATH_BYTES], const char *dir, const char *name, struct cap_err *err)
{
    if (snprintf(out, STORE_PATH_BYTES, "%s/%s", dir, name) < STORE_PATH_BYTES)
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT, "the path \"%.100s...\" is too long", dir);
}

/* Absolute, since the server is started in another folder. */
static bool set_dir(struct store_embedded *e, const char *dir, struct cap_err *err)
{
    char real[PATH_MAX];

    if (!cap_dir_make(dir, err))
        return false;
    if (!realpath(dir, real))
        return cap_fail(err, CAP_INTERNAL, "could not resolve \"%s\": %s", dir, strerror(errno));
    snprintf(e->dir, sizeof e->dir, "%s", real);
    return join(e->data, e->dir, "data", err) && join(e->log, e->dir, "log", err);
}

/* A folder of the server's user, closed to others. */
static bool make_own_dir(const struct store_embedded *e, const char *path, struct cap_err *err)
{
    struct stat info;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "could not make \"%s\": %s", path,
                        strerror(errno));
    if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return cap_fail(err, CAP_FAILED_PRECONDITION, "\"%s\" is not a folder", path);
    if (info.st_uid != e->user.uid && info.st_uid != geteuid())
        return cap_fail(err, CAP_PERMISSION_DENIED, "\"%s\" belongs to another user", path);
    if (chmod(path, 0700) != 0 || (e->user.change && chown(path, e->user.uid, e->user.gid) != 0))
        return cap_fail(err, CAP_PERMISSION_DENIED, "could not take over \"%s\": %s", path,
                        strerror(errno));
    return true;
}

static bool may_enter(const struct store_user *user, const struct stat *info)
{
    if (info->st_uid == user->uid)
        return (info->st_mode & S_IXUSR) != 0;
    if (info->st_gid == user->gid)
        return (info->st_mode & S_IXGRP) != 0;
    return (info->st_mode & S_IXOTH) != 0;
}

/* As root: the other user must be able to reach the folder. */
static bool check_reach(const struct store_embedded *e, struct cap_err *err)
{
    char path[STORE_PATH_BYTES];
    struct stat info;

    if (!e->user.change)
        return true;
    snprintf(path, sizeof path, "%s", e->dir);
    while (*path) {
        if (stat(path, &info) != 0 || !may_enter(&e->user, &info))
            return cap_fail(err, CAP_PERMISSION_DENIED,
                            "user %s, who runs the database for root, cannot enter \"%s\": choose "
                            "another folder, such as /var/lib/moecap",
                            e->user.name, path);
        *strrchr(path, '/') = '\0';
    }
    return true;
}

/* ---- the socket ---- */

static bool socket_fits(const char *dir)
{
    struct sockaddr_un address;

    return strlen(dir) + strlen("/.s.PGSQL.5432") < sizeof address.sun_path;
}

/* DIR/run, or a short folder that is named after DIR. */
static bool choose_socket_dir(struct store_embedded *e, struct cap_err *err)
{
    const char *runtime = e->user.change ? NULL : getenv("XDG_RUNTIME_DIR");
    char hex[CAP_SHA256_HEX_BYTES];

    if (!join(e->socket_dir, e->dir, "run", err))
        return false;
    if (!socket_fits(e->socket_dir)) {
        cap_sha256_hex(e->dir, strlen(e->dir), hex);
        snprintf(e->socket_dir, sizeof e->socket_dir, "%s/moecap-%.12s",
                 runtime && *runtime && strlen(runtime) < 64 ? runtime : "/tmp", hex);
    }
    return make_own_dir(e, e->socket_dir, err);
}

/* ---- the cluster's files ---- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static bool exists(const char *dir, const char *name)
{
    char path[STORE_PATH_BYTES];

    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

static bool init_cluster(const struct store_embedded *e, struct cap_err *err)
{
    char fresh[STORE_PATH_BYTES], initdb[STORE_PATH_BYTES], log[STORE_PATH_BYTES];
    const char *const argv[] = {initdb,
                                "-D",
                                fresh,
                                "-U",
                                "moecap",
                                "-A",
                                "trust",
                                "-E",
                                "UTF8",
                                "--locale=C",
                                e->volatile_data ? "--no-sync" : "--no-instructions",
                                NULL};

    if (!join(fresh, e->dir, "data.new", err) || !join(initdb, e->bindir, "initdb", err) ||
        !join(log, e->log, "initdb.log", err))
        return false;
    nftw(fresh, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* what a killed start left */
    if (!make_own_dir(e, fresh, err) || !store_process_run(&e->user, argv, log, INIT_MS, err))
        return cap_fail_in(err, "make a database in \"%s\"", e->dir);
    if (rename(fresh, e->data) != 0)
        return cap_fail(err, CAP_INTERNAL, "could not rename \"%s\": %s", fresh, strerror(errno));
    return true;
}

static void add_quoted(struct cap_buf *buf, const char *text, const char *escape_of_quote)
{
    cap_buf_add_char(buf, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            cap_buf_add_str(buf, escape_of_quote);
        else if (*text == '\\')
            cap_buf_add_str(buf, "\\\\");
        else
            cap_buf_add_char(buf, *text);
    }
    cap_buf_add_char(buf, '\'');
}

/* Written at each start, since the folder may have been moved. */
static bool write_settings(const struct store_embedded *e, struct cap_err *err)
{
    char path[STORE_PATH_BYTES];
    CAP_AUTO_BUF(conf, 16384);

    cap_buf_add_str(&conf, "# Written by moecap-store at each start; changes are lost.\n"
                           "listen_addresses = ''\nport = 5432\nunix_socket_permissions = 0700\n"
                           "unix_socket_directories = ");
    add_quoted(&conf, e->socket_dir, "''");
    cap_buf_add_str(&conf, "\nlc_messages = 'C'\nmax_connections = 100\nmax_wal_size = '1GB'\n");
    cap_buf_add_str(&conf, e->volatile_data
                               ? "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
                               : "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n");
    if (!join(path, e->data, "moecap.conf", err) ||
        !cap_file_write(path, conf.data, conf.length, err))
        return false;
    if (chmod(path, 0644) != 0)
        return cap_fail(err, CAP_INTERNAL, "could not open up \"%s\": %s", path, strerror(errno));
    return true;
}

/* postgresql.conf ends with our include, once. */
static bool add_include(const struct store_embedded *e, struct cap_err *err)
{
    static const char line[] = "\ninclude 'moecap.conf'\n";
    char path[STORE_PATH_BYTES];

    if (!join(path, e->data, "postgresql.conf", err))
        return false;
    CAP_AUTO_MEM char *text = cap_file_read(path, 1 << 20, NULL, err);
    if (!text)
        return false;
    if (strstr(text, line))
        return true;
    CAP_AUTO_STREAM FILE *file = fopen(path, "a");
    if (!file || fputs(line, file) < 0 || fflush(file) != 0)
        return cap_fail(err, CAP_INTERNAL, "could not write \"%s\": %s", path, strerror(errno));
    return true;
}

/* ---- the server ---- */

static bool pg_ctl(const struct store_embedded *e, const char *const *verb, const char *log_name,
                   int wait_ms, int *out_status, struct cap_err *err)
{
    char program[STORE_PATH_BYTES], log[STORE_PATH_BYTES];
    const char *argv[16] = {program, "-D", e->data};

    for (size_t i = 0; verb[i]; i++)
        argv[3 + i] = verb[i];
    if (!join(program, e->bindir, "pg_ctl", err) || !join(log, e->log, log_name, err))
        return false;
    return out_status ? store_process_status(&e->user, argv, log, wait_ms, out_status, err)
                      : store_process_run(&e->user, argv, log, wait_ms, err);
}

/* Line `number` (from 1) of postmaster.pid in `out`; false when there is none. */
static bool read_pid_line(const struct store_embedded *e, int number, char out[STORE_PATH_BYTES])
{
    struct cap_err ignored = {0};
    char path[STORE_PATH_BYTES], *rest, *line = NULL;

    if (!join(path, e->data, "postmaster.pid", &ignored))
        return false;
    CAP_AUTO_MEM char *text = cap_file_read(path, 65536, NULL, &ignored);
    rest = text;
    for (int i = 0; i < number; i++)
        line = strsep(&rest, "\n");
    if (!line)
        return false;
    snprintf(out, STORE_PATH_BYTES, "%s", line);
    return true;
}

static pid_t read_pid(const struct store_embedded *e)
{
    char line[STORE_PATH_BYTES];

    return read_pid_line(e, 1, line) ? (pid_t)strtol(line, NULL, 10) : 0;
}

/* The process is there, has not ended, and is a PostgreSQL. kill(pid, 0) alone says yes to a server
 * that died but that nobody has reaped, as happens in a container whose process 1 reaps only its
 * own programs, and to another program that has the number now. */
static bool is_server(pid_t pid)
{
    struct cap_err ignored = {0};
    char path[64], *name, *end;

    waitpid(pid, NULL, WNOHANG); /* as process 1 we inherited it */
    if (kill(pid, 0) != 0 && errno != EPERM)
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    CAP_AUTO_MEM char *text = cap_file_read(path, 4096, NULL, &ignored);
    name = text ? strchr(text, '(') : NULL;
    end = text ? strrchr(text, ')') : NULL;
    if (!name || !end || strlen(end) < 3)
        return true; /* no /proc here: kill's word counts */
    return strncmp(name, "(post", strlen("(post")) == 0 && !strchr("ZX", end[2]);
}

static bool is_alive(const struct store_embedded *e)
{
    pid_t pid = read_pid(e);

    return pid > 0 && is_server(pid);
}

static bool remove_lock(const char *dir, const char *name, struct cap_err *err)
{
    char path[STORE_PATH_BYTES];

    if (!join(path, dir, name, err))
        return false;
    if (unlink(path) == 0 || errno == ENOENT)
        return true;
    return cap_fail(err, CAP_PERMISSION_DENIED, "could not remove \"%s\" of a dead server: %s",
                    path, strerror(errno));
}

/* PostgreSQL takes what is_server says no to for a running server and starts no other beside it, so
 * its two locks go: of the cluster and of the socket, which is ours alone. The backends of a killed
 * server end by themselves. They are waited for, and PostgreSQL refuses to start while one is left:
 * it asks the shared memory, as we do. */
static bool drop_dead_locks(const struct store_embedded *e, struct cap_err *err)
{
    char line[STORE_PATH_BYTES];
    unsigned long key;
    struct shmid_ds info;
    int segment;

    if (read_pid_line(e, 7, line) && sscanf(line, "%lu %d", &key, &segment) == 2)
        for (int ms = 0;
             ms < BACKENDS_MS && shmctl(segment, IPC_STAT, &info) == 0 && info.shm_nattch > 0;
             ms += WATCH_STEP_MS)
            cap_sleep_ms(WATCH_STEP_MS);
    if (read_pid_line(e, 5, line) && *line == '/' && !remove_lock(line, ".s.PGSQL.5432.lock", err))
        return false;
    return remove_lock(e->data, "postmaster.pid", err);
}

static bool is_running(const struct store_embedded *e, bool *out_running, struct cap_err *err)
{
    const char *const verb[] = {"status", NULL};
    int status;

    if (!exists(e->data, "postmaster.pid")) {
        *out_running = false;
        return true;
    }
    if (!pg_ctl(e, verb, "pg_ctl.log", STATUS_MS, &status, err))
        return false;
    *out_running = status == 0;
    return true;
}

/* Line 5 of postmaster.pid: where the running server has its socket. */
static bool read_socket_dir(struct store_embedded *e, struct cap_err *err)
{
    char line[STORE_PATH_BYTES];

    if (!read_pid_line(e, 5, line) || *line != '/')
        return cap_fail(err, CAP_INTERNAL, "\"%s/postmaster.pid\" does not say where the socket is",
                        e->data);
    snprintf(e->socket_dir, sizeof e->socket_dir, "%s", line);
    return true;
}

static bool start(const struct store_embedded *e, struct cap_err *err)
{
    char log[STORE_PATH_BYTES];
    const char *const verb[] = {"-l", log, "-w", "-t", "110", "-s", "start", NULL};

    if (!join(log, e->log, "postgres.log", err))
        return false;
    return pg_ctl(e, verb, "pg_ctl.log", START_MS, NULL, err) ||
           cap_fail_in(err, "start the database in \"%s\" (see log/postgres.log there)", e->dir);
}

static bool start_or_reuse(struct store_embedded *e, struct cap_err *err)
{
    if (exists(e->data, "postmaster.pid") && !is_alive(e) && !drop_dead_locks(e, err))
        return false;
    if (!is_running(e, &e->reused, err))
        return false;
    if (e->reused)
        return read_socket_dir(e, err);
    return choose_socket_dir(e, err) && write_settings(e, err) && add_include(e, err) &&
           start(e, err);
}

/* ---- the whole ---- */

static bool take_lock(struct store_embedded *e, struct cap_err *err)
{
    char path[STORE_PATH_BYTES];

    if (!join(path, e->dir, "lock", err))
        return false;
    e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (e->lock_fd < 0)
        return cap_fail(err, CAP_PERMISSION_DENIED, "could not open \"%s\": %s", path,
                        strerror(errno));
    if (flock(e->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "another moecap-store uses the folder \"%s\"",
                        e->dir);
    return true;
}

/* "15" of an existing cluster, else "". */
static void read_version(const struct store_embedded *e, char out[16])
{
    struct cap_err ignored = {0};
    char path[STORE_PATH_BYTES];

    out[0] = '\0';
    if (!join(path, e->data, "PG_VERSION", &ignored))
        return;
    CAP_AUTO_MEM char *text = cap_file_read(path, 64, NULL, &ignored);
    if (text)
        snprintf(out, 16, "%.*s", (int)strcspn(text, "\n"), text);
}

static void set_conninfo(struct store_embedded *e)
{
    CAP_AUTO_BUF(text, 16384);

    cap_buf_add_str(&text, "host=");
    add_quoted(&text, e->socket_dir, "\\'");
    cap_buf_add_str(&text, " port=5432 user=moecap dbname=postgres");
    e->conninfo = cap_buf_take(&text);
}

static bool prepare_and_start(struct store_embedded *e,
                              const struct store_embedded_options *options, struct cap_err *err)
{
    char version[16];

    if (!set_dir(e, options->dir, err) || !take_lock(e, err) || !store_user_find(&e->user, err) ||
        !check_reach(e, err))
        return false;
    read_version(e, version);
    if (!store_bindir_find(options->bindir, version, e->bindir, err) ||
        !make_own_dir(e, e->log, err))
        return false;
    if (!*version && !init_cluster(e, err))
        return false;
    return start_or_reuse(e, err);
}

struct store_embedded *store_embedded_open(const struct store_embedded_options *options,
                                           struct cap_err *err)
{
    CAP_AUTO(store_embedded) e = calloc(1, sizeof *e);

    if (!e)
        abort();
    e->lock_fd = -1;
    e->volatile_data = options->volatile_data;
    if (!prepare_and_start(e, options, err))
        return NULL;
    set_conninfo(e);
    return cap_take(e);
}

/* ---- watching ---- */

static void pause_watching(struct store_embedded *e, int ms)
{
    for (; ms > 0 && !atomic_load(&e->stop_watching); ms -= WATCH_STEP_MS)
        cap_sleep_ms(WATCH_STEP_MS);
}

static void *watch(void *arg)
{
    struct store_embedded *e = arg;

    for (;;) {
        struct cap_err err = {0};
        pause_watching(e, WATCH_EVERY_MS);
        if (atomic_load(&e->stop_watching))
            return NULL;
        if (is_alive(e))
            continue;
        cap_log(WARN, "database_died", "dir=%s", CAP_LOG_Q(e->dir));
        if (start_or_reuse(e, &err)) {
            cap_log(INFO, "database_restarted", "dir=%s", CAP_LOG_Q(e->dir));
            continue;
        }
        cap_log(ERROR, "database_restart_failed", "reason=%s", CAP_LOG_Q(err.text));
        pause_watching(e, WATCH_FAILED_MS);
    }
}

void store_embedded_watch(struct store_embedded *embedded)
{
    assert(!embedded->watched);
    atomic_store(&embedded->stop_watching, false);
    embedded->watched = pthread_create(&embedded->watcher, NULL, watch, embedded) == 0;
}

static void stop_watching(struct store_embedded *e)
{
    if (!e->watched)
        return;
    atomic_store(&e->stop_watching, true);
    pthread_join(e->watcher, NULL);
    e->watched = false;
}

void store_embedded_free(struct store_embedded *embedded)
{
    if (!embedded)
        return;
    stop_watching(embedded);
    if (embedded->lock_fd >= 0)
        close(embedded->lock_fd);
    free(embedded->conninfo);
    free(embedded);
}

const char *store_embedded_conninfo(const struct store_embedded *embedded)
{
    return embedded->conninfo;
}

bool store_embedded_reused(const struct store_embedded *embedded)
{
    return embedded->reused;
}

bool store_embedded_stop(struct store_embedded *embedded, struct cap_err *err)
{
    const char *const verb[] = {"-m", "fast", "-w", "-t", "50", "-s", "stop", NULL};

    stop_watching(embedded);
    if (!pg_ctl(embedded, verb, "pg_ctl.log", STOP_MS, NULL, err))
        return false;
    rmdir(embedded->socket_dir); /* empty now; the next start makes it again */
    return true;
}
