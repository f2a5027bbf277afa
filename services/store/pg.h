/* pg.h — transactions on PostgreSQL: the only header of the tree behind which libpq is.
 *
 * A pool of connections that are made when needed and replaced after the server went away. All work
 * happens in store_pg_tx(): it begins, calls the body, commits, and does it again when the database
 * says that trying again may help (serialization failure, deadlock, lost connection). A body
 * therefore may run more than once: it sets its outputs from scratch and has no other effects.
 *
 * Any thread; a connection has one user at a time. Rows belong to the caller. Errors carry gRPC
 * codes: UNAVAILABLE the server is away, DEADLINE_EXCEEDED a statement took too long,
 * RESOURCE_EXHAUSTED no connection or no disk, INVALID_ARGUMENT a value that no column takes.
 *
 *     static bool count_runs(struct store_conn *conn, void *arg, struct cap_err *err)
 *     {
 *         CAP_AUTO(store_rows) rows =
 *             store_pg_ask(conn, err, "SELECT count(*) FROM run WHERE state = $1",
 *                          STORE_ARGS(store_arg_text("queued")));
 *         if (!rows)
 *             return false;
 *         *(int64_t *)arg = store_rows_int(rows, 0, 0);
 *         return true;
 *     }
 *     if (!store_pg_tx(pg, STORE_TX_READ, count_runs, &count, err)) ...
 */
#ifndef STORE_PG_H
#define STORE_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "rows.h"

struct store_pg;
struct store_conn;

struct store_pg_options { /* zero means the default in brackets */
    const char *conninfo; /* a libpq URI or key=value list; always names the host */
    const char *password; /* wins over conninfo's; NULL: as libpq finds it */
    int connections_max;  /* [16] */
    int acquire_ms_max;   /* [10000] wait for a free connection */
    int connect_ms_max;   /* [5000] go on trying to reach a server that is away */
    int statement_ms_max; /* [30000] per statement, by the server */
};

/* The password as container platforms mount secrets: the file's first line without its end, for the
 * caller to free. NULL when there is no such file, when that line is empty, or when another line
 * with text follows: then it is not a password file. No sentence holds any of its text. */
char *store_pg_password_read(const char *path, struct cap_err *err);

/* Connects once, so that a wrong address fails here. */
struct store_pg *store_pg_open(const struct store_pg_options *options, struct cap_err *err);
void store_pg_free(struct store_pg *pg); /* when no transaction runs */
CAP_DEFINE_AUTO(store_pg)

enum store_tx {
    STORE_TX_READ, /* one snapshot for all its statements; cannot write */
    STORE_TX_WRITE /* read committed: rows are locked by what reads them FOR UPDATE */
};
typedef bool store_tx_body(struct store_conn *conn, void *arg, struct cap_err *err);

/* After a connection lost during COMMIT the outcome is unknown; the body runs again all the same,
 * so that every body must find its own work done and leave it so. */
bool store_pg_tx(struct store_pg *pg, enum store_tx kind, store_tx_body *body, void *arg,
                 struct cap_err *err);

/* ---- inside a body ---- */

/* A statement's parameters, $1 and up. Borrowed until the call returns. */
struct store_arg {
    enum { STORE_ARG_NULL, STORE_ARG_TEXT, STORE_ARG_INT, STORE_ARG_BYTES } kind;
    union {
        const char *text;
        int64_t integer;
        struct store_bytes bytes;
    };
};
struct store_arg store_arg_text(const char *text); /* NULL is NULL */
struct store_arg store_arg_int(int64_t value);
struct store_arg
store_arg_uint(uint64_t value); /* above INT64_MAX it is refused by the statement */
struct store_arg store_arg_bool(bool value);
struct store_arg store_arg_bytes(struct store_bytes bytes); /* data NULL is NULL */

enum { STORE_ARGS_MAX = 24 };
#define STORE_ARGS(...)                                                                            \
    (const struct store_arg[]){__VA_ARGS__},                                                       \
        sizeof((const struct store_arg[]){__VA_ARGS__}) / sizeof(struct store_arg)
#define STORE_NO_ARGS NULL, 0

/* One statement, prepared at its first use on a connection; `sql` is a literal, in which braces
 * stand for the columns of a map (row_map.h). NULL on failure. */
struct store_rows *store_pg_ask(struct store_conn *conn, struct cap_err *err, const char *sql,
                                const struct store_arg *args, size_t count);
/* The same when only success matters. */
bool store_pg_do(struct store_conn *conn, struct cap_err *err, const char *sql,
                 const struct store_arg *args, size_t count);
/* Any text, several statements too, without parameters or preparation: migrations. */
bool store_pg_script(struct store_conn *conn, const char *sql, struct cap_err *err);
/* `sql` is COPY … FROM STDIN, with braces as above; data are the lines of its text format (rows.h).
 */
bool store_pg_copy(struct store_conn *conn, const char *sql, const char *data, size_t length,
                   struct cap_err *err);

#endif
