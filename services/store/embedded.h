/* embedded.h — a private PostgreSQL cluster: made, started, found again, stopped.
 *
 * Everything lies in one folder: DIR/data, DIR/log/postgres.log, the socket in DIR/run (or, when
 * that path is too long for a socket, in a folder of the run-time directory). The server listens on
 * that socket only, so it stands beside any other PostgreSQL. It is not our child: when this
 * program is killed it lives on, and the next start takes it over. initdb refuses root, so root
 * runs the server's programs as the user postgres.
 *
 * One thread, but for the one that watches. Starts processes with posix_spawn only.
 */
#ifndef STORE_EMBEDDED_H
#define STORE_EMBEDDED_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"

struct store_embedded;

struct store_embedded_options {
    const char *dir;    /* made when it does not exist */
    const char *bindir; /* where initdb is; NULL or "": look for it */
    bool volatile_data; /* for tests: no fsync, a crash of the machine loses everything */
};

/* The running cluster of that folder. Fails when another process holds the folder. */
struct store_embedded *store_embedded_open(const struct store_embedded_options *options,
                                           struct cap_err *err);
/* Leaves the server running and lets the folder go. */
void store_embedded_free(struct store_embedded *embedded);
CAP_DEFINE_AUTO(store_embedded)

const char *store_embedded_conninfo(const struct store_embedded *embedded);
bool store_embedded_reused(const struct store_embedded *embedded); /* it ran before */
/* From now on a thread starts the server again, within two seconds, when it died by itself. Its
 * start may wait for a recovery; calls fail with UNAVAILABLE meanwhile. Ends with the next stop or
 * free. */
void store_embedded_watch(struct store_embedded *embedded);
/* Ends connections, writes a checkpoint, waits until the server is gone. */
bool store_embedded_stop(struct store_embedded *embedded, struct cap_err *err);

/* ---- the programs of PostgreSQL: where they are, as whom they run, what they said. process.c ----
 *
 * posix_spawn, never fork: gRPC may have threads by then. */

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
