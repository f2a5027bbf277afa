/* Migrations, applied under an advisory lock: of any number of stores that start together one
 * applies what is missing, and the others wait and find it done. All that is missing is one
 * transaction, so that a failed start leaves the schema as it was.
 */
#include "migrate.h"

#include <string.h>

#include "digest/digest.h"
#include "pg.h"
#include "run.h"

struct work {
    const struct store_migration *list;
    size_t count;
    int applied;
};

/* Two stores may start at once on one database. The number is the bytes of "moecap" and 1. */
static bool lock_schema(struct store_conn *conn, struct cap_err *err)
{
    return store_pg_do(conn, err, "SELECT pg_advisory_xact_lock(7885632950059925505)",
                       STORE_NO_ARGS);
}

static bool make_version_table(struct store_conn *conn, struct cap_err *err)
{
    return store_pg_script(conn,
                           "CREATE SCHEMA IF NOT EXISTS moecap;"
                           "CREATE TABLE IF NOT EXISTS moecap.schema_version ("
                           "    version integer PRIMARY KEY, name text NOT NULL,"
                           "    sha256 text NOT NULL,"
                           "    applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
                           err);
}

/* What is there must be the beginning of our list. */
static bool check_applied(const struct work *work, const struct store_rows *rows,
                          struct cap_err *err)
{
    size_t there = store_rows_count(rows);

    if (there > work->count)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the database has schema version %lld, this program knows up to %zu: start "
                        "a moecap-store at least as new as the one that made it",
                        (long long)store_rows_int(rows, there - 1, 0), work->count);
    for (size_t i = 0; i < there; i++) {
        char sha256[CAP_SHA256_HEX_BYTES];
        cap_sha256_hex(work->list[i].sql, strlen(work->list[i].sql), sha256);
        if (store_rows_int(rows, i, 0) != work->list[i].version ||
            strcmp(store_rows_text(rows, i, 2), sha256) != 0)
            return cap_fail(err, CAP_FAILED_PRECONDITION,
                            "the database was made by migration %s, which differs from this "
                            "program's %s: cannot use this database",
                            store_rows_text(rows, i, 1), work->list[i].name);
    }
    return true;
}

static bool apply(struct store_conn *conn, const struct store_migration *migration,
                  struct cap_err *err)
{
    char sha256[CAP_SHA256_HEX_BYTES];

    cap_sha256_hex(migration->sql, strlen(migration->sql), sha256);
    if (!store_pg_script(conn, migration->sql, err))
        return cap_fail_in(err, "migration %s", migration->name);
    return store_pg_do(conn, err,
                       "INSERT INTO schema_version (version, name, sha256) VALUES ($1, $2, $3)",
                       STORE_ARGS(store_arg_int(migration->version),
                                  store_arg_text(migration->name), store_arg_text(sha256)));
}

static bool migrate(struct store_conn *conn, void *arg, struct cap_err *err)
{
    struct work *work = arg;

    work->applied = 0;
    if (!lock_schema(conn, err) || !make_version_table(conn, err))
        return false;
    CAP_AUTO(store_rows) rows = store_pg_ask(
        conn, err, "SELECT version, name, sha256 FROM schema_version ORDER BY 1", STORE_NO_ARGS);
    if (!rows || !check_applied(work, rows, err))
        return false;
    for (size_t i = store_rows_count(rows); i < work->count; i++, work->applied++)
        if (!apply(conn, &work->list[i], err))
            return false;
    return true;
}

bool store_migrate_to(struct store_pg *pg, const struct store_migration *list, size_t count,
                      int *out_applied, struct cap_err *err)
{
    struct work work = {list, count, 0};

    if (!store_pg_tx(pg, STORE_TX_WRITE, migrate, &work, err))
        return cap_fail_in(err, "prepare the database");
    *out_applied = work.applied;
    return true;
}

bool store_migrate(struct store_pg *pg, int *out_applied, struct cap_err *err)
{
    return store_migrate_to(pg, store_migrations, store_migration_count, out_applied, err) &&
           store_questions(pg, err);
}
