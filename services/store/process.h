/* process.h — the programs of PostgreSQL: where they are, as whom they run, what they said.
 *
 * posix_spawn, never fork: gRPC may have threads by then.
 */
#ifndef STORE_PROCESS_H
#define STORE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum { STORE_PATH_BYTES = 4096 };

/* The user that the server's files belong to: ourselves, or postgres when we are root. */
struct store_user {
    bool change; /* we are root */
    uid_t uid;
    gid_t gid;
    const char *name; /* of the user to become; NULL: ourselves */
};
bool store_user_find(struct store_user *out_user, struct cap_err *err);

/* The folder with initdb, pg_ctl and postgres: `wanted` if it is not empty, else the one for
 * `version` ("15") if that is not empty, else the newest there is. */
bool store_bindir_find(const char *wanted, const char *version, char out[STORE_PATH_BYTES],
                       struct cap_err *err);

/* Runs argv (NULL-terminated) as that user with output to the file `log`, waits at most wait_ms. A
 * non-zero exit fails with the last lines of the log. */
bool store_process_run(const struct store_user *user, const char *const *argv, const char *log,
                       int wait_ms, struct cap_err *err);
/* The same, but answers the exit status. */
bool store_process_status(const struct store_user *user, const char *const *argv, const char *log,
                          int wait_ms, int *out_status, struct cap_err *err);

#endif
