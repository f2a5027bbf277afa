/* The programs of PostgreSQL: as whom they run (never as root), where they are (the newest, or the
 * version that made the cluster), and running one with its output in a file, whose last lines are
 * the reason when it fails.
 */
#include "embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/spawn.h"

extern char **environ;

bool store_user_find(struct store_user *out_user, struct cap_err *err)
{
    static const char name[] = "postgres";
    const struct passwd *entry;

    *out_user = (struct store_user){.uid = geteuid(), .gid = getegid()};
    if (geteuid() != 0)
        return true;
    entry = getpwnam(name); /* at start, before there are threads */
    if (!entry)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "PostgreSQL does not run as root and there is no user \"%s\": install the "
                        "package postgresql, or run this as an ordinary user",
                        name);
    *out_user = (struct store_user){true, entry->pw_uid, entry->pw_gid, name};
    return true;
}

/* ---- where the programs are ---- */

static bool has_programs(const char *dir)
{
    static const char *const programs[] = {"initdb", "pg_ctl", "postgres"};

    for (size_t i = 0; i < CAP_COUNT_OF(programs); i++) {
        char path[STORE_PATH_BYTES];
        if (snprintf(path, sizeof path, "%s/%s", dir, programs[i]) >= (int)sizeof path ||
            access(path, X_OK) != 0)
            return false;
    }
    return true;
}

static bool take_if_usable(const char *dir, char out[STORE_PATH_BYTES])
{
    return has_programs(dir) && snprintf(out, STORE_PATH_BYTES, "%s", dir) < STORE_PATH_BYTES;
}

/* The number in "/usr/lib/postgresql/15/bin". */
static long version_of(const char *dir)
{
    const char *digits = strpbrk(dir, "0123456789");

    return digits ? strtol(digits, NULL, 10) : 0;
}

static bool find_newest(const char *pattern, char out[STORE_PATH_BYTES])
{
    glob_t found = {0};
    long best = -1;

    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (version_of(found.gl_pathv[i]) > best && take_if_usable(found.gl_pathv[i], out))
                best = version_of(found.gl_pathv[i]);
    globfree(&found);
    return best >= 0;
}

static bool find_in_path(char out[STORE_PATH_BYTES])
{
    const char *path = getenv("PATH");
    CAP_AUTO_MEM char *copy = strdup(path ? path : "");
    char *rest = copy, *dir;

    while ((dir = strsep(&rest, ":")) != NULL)
        if (*dir && take_if_usable(dir, out))
            return true;
    return false;
}

bool store_bindir_find(const char *wanted, const char *version, char out[STORE_PATH_BYTES],
                       struct cap_err *err)
{
    char dir[64];

    if (wanted && *wanted)
        return take_if_usable(wanted, out) ||
               cap_fail(err, CAP_NOT_FOUND, "no initdb, pg_ctl and postgres in \"%s\"", wanted);
    if (*version) {
        snprintf(dir, sizeof dir, "/usr/lib/postgresql/%.16s/bin", version);
        if (take_if_usable(dir, out))
            return true;
    }
    if (find_newest("/usr/lib/postgresql/*/bin", out) || find_newest("/usr/pgsql-*/bin", out) ||
        find_in_path(out))
        return true;
    return cap_fail(err, CAP_NOT_FOUND,
                    "no PostgreSQL server is installed: install one (Debian: apt install "
                    "postgresql), name its folder with --pg-bindir, or use a server you have with "
                    "--postgres URI");
}

/* ---- running one ---- */

enum { ARGS_MAX = 32, LOG_BYTES_MAX = 1 << 20 };

static bool spawn(const struct store_user *user, const char *const *argv, const char *log,
                  pid_t *out_pid, struct cap_err *err)
{
    char uid[32], gid[32];
    const char *args[ARGS_MAX] = {"setpriv", uid, gid, "--init-groups"};
    size_t n = user->change ? 4 : 0;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int failed;

    snprintf(uid, sizeof uid, "--reuid=%u", (unsigned)user->uid);
    snprintf(gid, sizeof gid, "--regid=%u", (unsigned)user->gid);
    for (size_t i = 0; argv[i] && n + 1 < ARGS_MAX; i++)
        args[n++] = argv[i];
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC,
                                     0644);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    /* The server must not find itself in a folder that its user cannot enter. */
    posix_spawn_file_actions_addchdir_np(&files, "/");
    cap_spawn_attributes(&attributes, 0);
    failed = posix_spawnp(out_pid, args[0], &files, &attributes, (char *const *)args, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (failed)
        return cap_fail(err, CAP_INTERNAL, "could not start \"%s\": %s", args[0], strerror(failed));
    return true;
}

static bool wait_for(pid_t pid, const char *program, int wait_ms, int *out_status,
                     struct cap_err *err)
{
    int64_t until_ms = cap_clock_ms(cap_clock_system()) + wait_ms;
    int status;
    pid_t got;

    while ((got = waitpid(pid, &status, WNOHANG)) == 0) {
        if (cap_clock_ms(cap_clock_system()) > until_ms) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return cap_fail(err, CAP_DEADLINE_EXCEEDED, "\"%s\" took longer than %d ms", program,
                            wait_ms);
        }
        cap_sleep_ms(5);
    }
    if (got < 0)
        return cap_fail(err, CAP_INTERNAL, "could not wait for \"%s\": %s", program,
                        strerror(errno));
    *out_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

bool store_process_status(const struct store_user *user, const char *const *argv, const char *log,
                          int wait_ms, int *out_status, struct cap_err *err)
{
    pid_t pid;

    return spawn(user, argv, log, &pid, err) && wait_for(pid, argv[0], wait_ms, out_status, err);
}

/* The last lines of what it said, as one. */
static void read_tail(const char *log, char out[static 257])
{
    struct cap_err ignored = {0};
    size_t length = 0, from;
    CAP_AUTO_MEM char *text = cap_file_read(log, LOG_BYTES_MAX, &length, &ignored);

    out[0] = '\0';
    if (!text)
        return;
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    from = length > 256 ? length - 256 : 0;
    snprintf(out, 257, "%s", text + from);
    for (char *c = out; *c; c++)
        if (*c == '\n')
            *c = ' ';
}

bool store_process_run(const struct store_user *user, const char *const *argv, const char *log,
                       int wait_ms, struct cap_err *err)
{
    char tail[257];
    int status = -1;

    if (!store_process_status(user, argv, log, wait_ms, &status, err))
        return false;
    if (status == 0)
        return true;
    read_tail(log, tail);
    return cap_fail(err, CAP_INTERNAL, "\"%s\" ended with status %d: %s", argv[0], status, tail);
}
