/* The pool of connections, and transactions on it.
 *
 * What it guarantees
 *   A body is run until it committed, until it failed for good, or TRIES_MAX times. Serialization
 *   failures and deadlocks are tried again after a pause that doubles; a lost connection is
 *   replaced and the body run again on the new one. After a connection lost during COMMIT nobody
 *   knows the outcome: the body runs again all the same, so every body must find its own work done.
 *   A failure has a gRPC code and one sentence, from the table of SQLSTATEs (sqlstate_rules).
 *   No call waits without a limit: for a connection acquire_ms_max, for a server that is away
 *   connect_ms_max, for a statement statement_ms_max (the server ends it).
 *
 * How
 *   `idle` holds connections that nobody uses, `open_count` counts all. A transaction takes an idle
 *   one, or makes one while fewer than the maximum exist, or waits. A connection that was lost is
 *   closed, and the idle ones with it (the server went away); nothing watches them in between, and
 *   the next use connects again.
 *   A failed statement records on its connection how it failed (enum failure), which store_pg_tx
 *   reads to decide. Statements are prepared at their first use on a connection, keyed by their
 *   text.
 *
 * Locks: one, over `idle` and `open_count`, never held while a statement runs. A connection has one
 * user at a time, and a thread uses one connection at a time: a body that began another transaction
 * could wait for itself.
 */
#include "pg.h"

#include <assert.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/utf8.h"
#include "log/log.h"
#include "row_map.h"

enum {
    CONNECTIONS_MAX = 256,
    TRIES_MAX = 6,         /* of one transaction */
    CONNECT_MS_MAX = 5000, /* of one attempt to connect */
    RETRY_PAUSE_MS = 5,    /* doubled with each try */
    RECONNECT_PAUSE_MS = 50,
    STATEMENTS_MAX = 256, /* prepared on one connection */
    SQL_BYTES_MAX = 32768,
};

enum failure { FAILURE_NONE, FAILURE_FINAL, FAILURE_AGAIN, FAILURE_LOST };

struct store_conn {
    PGconn *pq;
    enum failure failure;
    struct cap_map *prepared; /* sql text -> its name */
    struct store_conn *next;  /* in pool->idle */
};

struct store_pg {
    struct store_pg_options options;
    char *conninfo, *password;
    pthread_mutex_t lock; /* guards idle and open_count */
    pthread_cond_t freed;
    struct store_conn *idle;
    int open_count;
};

/* ---- errors ---- */

struct sqlstate_rule {
    const char *prefix;
    enum cap_code code;
    enum failure failure;
};

/* First match wins. */
static const struct sqlstate_rule sqlstate_rules[] = {
    {"08", CAP_UNAVAILABLE, FAILURE_LOST},           /* connection exceptions */
    {"57P01", CAP_UNAVAILABLE, FAILURE_LOST},        /* admin shutdown, pg_terminate_backend */
    {"57P02", CAP_UNAVAILABLE, FAILURE_LOST},        /* crash of another backend */
    {"57P03", CAP_UNAVAILABLE, FAILURE_LOST},        /* starting up or shutting down */
    {"57P05", CAP_UNAVAILABLE, FAILURE_LOST},        /* idle session timeout */
    {"57014", CAP_DEADLINE_EXCEEDED, FAILURE_FINAL}, /* statement timeout */
    {"40", CAP_ABORTED, FAILURE_AGAIN},              /* serialization failure, deadlock */
    {"55P03", CAP_ABORTED, FAILURE_AGAIN},           /* lock not available */
    {"25P03", CAP_UNAVAILABLE, FAILURE_LOST},        /* idle in transaction timeout */
    {"53", CAP_RESOURCE_EXHAUSTED, FAILURE_FINAL},   /* disk full, out of memory, connections */
    {"23505", CAP_ALREADY_EXISTS, FAILURE_FINAL},
    {"23", CAP_INVALID_ARGUMENT, FAILURE_FINAL},
    {"22", CAP_INVALID_ARGUMENT, FAILURE_FINAL},
    {"25006", CAP_FAILED_PRECONDITION, FAILURE_FINAL}, /* a standby: read only */
    {"28", CAP_PERMISSION_DENIED, FAILURE_FINAL},
    {"42501", CAP_PERMISSION_DENIED, FAILURE_FINAL},
    {"3D000", CAP_NOT_FOUND, FAILURE_FINAL}, /* no such database */
    {"", CAP_INTERNAL, FAILURE_FINAL},
};

static const struct sqlstate_rule *find_rule(const char *sqlstate)
{
    const struct sqlstate_rule *rule = sqlstate_rules;

    while (strncmp(rule->prefix, sqlstate, strlen(rule->prefix)) != 0)
        rule++;
    return rule;
}

/* libpq's messages are lines; ours is one. */
static void flatten(const char *text, char out[static CAP_ERR_TEXT_BYTES_MAX])
{
    size_t n = 0;

    for (; *text && n + 1 < CAP_ERR_TEXT_BYTES_MAX; text++)
        out[n++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'))
        n--;
    out[n] = '\0';
}

static bool fail_lost(struct store_conn *conn, struct cap_err *err)
{
    char text[CAP_ERR_TEXT_BYTES_MAX];

    conn->failure = FAILURE_LOST;
    flatten(PQerrorMessage(conn->pq), text);
    return cap_fail(err, CAP_UNAVAILABLE, "lost the connection to the database: %.400s", text);
}

static bool fail_statement(struct store_conn *conn, const PGresult *result, struct cap_err *err)
{
    const char *sqlstate = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const struct sqlstate_rule *rule;
    const char *primary, *detail;
    char text[CAP_ERR_TEXT_BYTES_MAX];

    if (!sqlstate)
        return fail_lost(conn, err);
    rule = find_rule(sqlstate);
    conn->failure = PQstatus(conn->pq) == CONNECTION_BAD ? FAILURE_LOST : rule->failure;
    primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    flatten(primary ? primary : "no message", text);
    return cap_fail(err, rule->code, "database: %.200s%s%.200s (SQLSTATE %s)", text,
                    detail ? ": " : "", detail ? detail : "", sqlstate);
}

/* ---- connections ---- */

static void close_conn(struct store_conn *conn)
{
    for (size_t i = 0; i < cap_map_count(conn->prepared); i++)
        free(cap_map_value_at(conn->prepared, i));
    cap_map_free(conn->prepared);
    PQfinish(conn->pq);
    free(conn);
}

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

/* Settings of the session. Durations are numbers of ours, so that they can stand in the text.
 * Bitmap scans are off since we read by key, in its order, a page at a time: while the database has
 * no statistics of a young run, the planner would rather fetch and sort all of it for each page. */
static bool set_up_session(const struct store_pg *pg, struct store_conn *conn, struct cap_err *err)
{
    char sql[512];

    snprintf(sql, sizeof sql,
             "SET search_path TO moecap; SET statement_timeout TO %d;"
             "SET idle_in_transaction_session_timeout TO %d; SET timezone TO 'UTC';"
             "SET client_min_messages TO warning; SET bytea_output TO hex;"
             "SET enable_bitmapscan TO off",
             pg->options.statement_ms_max, 2 * pg->options.statement_ms_max);
    return store_pg_script(conn, sql, err);
}

/* As PQconnectdbParams does, but with our notice receiver from the beginning: libpq's own writes to
 * stderr, into the middle of the log. */
static PGconn *connect_quietly(const char *const *keys, const char *const *values)
{
    int64_t until_ms = cap_clock_ms(cap_clock_system()) + CONNECT_MS_MAX;
    PGconn *pq = PQconnectStartParams(keys, values, 1);
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;

    PQsetNoticeReceiver(pq, ignore_notice, NULL);
    while (PQstatus(pq) != CONNECTION_BAD && wants != PGRES_POLLING_OK &&
           wants != PGRES_POLLING_FAILED) {
        struct pollfd fd = {PQsocket(pq), wants == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};
        int64_t left_ms = until_ms - cap_clock_ms(cap_clock_system());
        if (left_ms <= 0 || poll(&fd, 1, (int)left_ms) == 0)
            break;
        wants = PQconnectPoll(pq);
    }
    return pq;
}

static struct store_conn *open_conn(const struct store_pg *pg, enum failure *out_failure,
                                    struct cap_err *err)
{
    struct store_conn *conn = calloc(1, sizeof *conn);
    /* a later key wins over an earlier one; NULL is not a value */
    const char *const keys[] = {"dbname", "application_name", "client_encoding", "password", NULL};
    const char *const values[] = {pg->conninfo, "moecap-store", "UTF8", pg->password, NULL};

    if (!conn)
        abort();
    conn->prepared = cap_map_new();
    conn->pq = connect_quietly(keys, values);
    if (PQstatus(conn->pq) == CONNECTION_OK && set_up_session(pg, conn, err))
        return conn;
    if (err->code == CAP_OK) {
        char text[CAP_ERR_TEXT_BYTES_MAX];
        flatten(PQerrorMessage(conn->pq), text);
        cap_fail(err, CAP_UNAVAILABLE, "could not connect to the database: %.400s",
                 *text ? text : "no answer");
        conn->failure = FAILURE_LOST;
    }
    *out_failure = conn->failure;
    close_conn(conn);
    return NULL;
}

/* Until it works, or connect_ms_max is over: a server that restarts is back within seconds. */
static struct store_conn *connect_patiently(const struct store_pg *pg, struct cap_err *err)
{
    int64_t give_up_ms = cap_clock_ms(cap_clock_system()) + pg->options.connect_ms_max;

    for (;;) {
        enum failure failure = FAILURE_NONE;
        struct store_conn *conn = open_conn(pg, &failure, err);
        if (conn || failure != FAILURE_LOST || cap_clock_ms(cap_clock_system()) >= give_up_ms)
            return conn;
        cap_err_clear(err);
        cap_sleep_ms(RECONNECT_PAUSE_MS);
    }
}

/* ---- the pool ---- */

static int default_to(int value, int fallback)
{
    return value > 0 ? value : fallback;
}

struct store_pg *store_pg_open(const struct store_pg_options *options, struct cap_err *err)
{
    struct store_pg *pg = calloc(1, sizeof *pg);
    struct store_conn *conn;

    if (!pg || !(pg->conninfo = strdup(options->conninfo)))
        abort();
    if (options->password && !(pg->password = strdup(options->password)))
        abort();
    pg->options = (struct store_pg_options){
        .connections_max = default_to(options->connections_max, 16),
        .acquire_ms_max = default_to(options->acquire_ms_max, 10000),
        .connect_ms_max = default_to(options->connect_ms_max, 5000),
        .statement_ms_max = default_to(options->statement_ms_max, 30000),
    };
    assert(pg->options.connections_max <= CONNECTIONS_MAX);
    pthread_mutex_init(&pg->lock, NULL);
    pthread_cond_init(&pg->freed, NULL);
    conn = connect_patiently(pg, err);
    if (!conn) {
        store_pg_free(pg);
        return NULL;
    }
    pg->idle = conn;
    pg->open_count = 1;
    return pg;
}

void store_pg_free(struct store_pg *pg)
{
    if (!pg)
        return;
    while (pg->idle) {
        struct store_conn *conn = pg->idle;
        pg->idle = conn->next;
        pg->open_count--;
        close_conn(conn);
    }
    assert(pg->open_count == 0 && "a transaction is still running");
    pthread_cond_destroy(&pg->freed);
    pthread_mutex_destroy(&pg->lock);
    free(pg->conninfo);
    free(pg->password);
    free(pg);
}

/* An idle connection, or NULL with the right to open one. False when neither came in time. */
static bool take_place(struct store_pg *pg, struct store_conn **out_idle, struct cap_err *err)
{
    struct timespec until = cap_wait_end(pg->options.acquire_ms_max);
    bool late = false;

    pthread_mutex_lock(&pg->lock);
    while (!pg->idle && pg->open_count >= pg->options.connections_max && !late)
        late = !cap_wait_until(&pg->freed, &pg->lock, &until);
    *out_idle = pg->idle;
    if (pg->idle)
        pg->idle = pg->idle->next;
    else if (pg->open_count < pg->options.connections_max)
        pg->open_count++;
    else
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "all %d database connections are in use",
                 pg->options.connections_max);
    pthread_mutex_unlock(&pg->lock);
    return err->code == CAP_OK;
}

static void give_up_place(struct store_pg *pg)
{
    pthread_mutex_lock(&pg->lock);
    pg->open_count--;
    pthread_cond_signal(&pg->freed);
    pthread_mutex_unlock(&pg->lock);
}

static struct store_conn *acquire(struct store_pg *pg, struct cap_err *err)
{
    struct store_conn *conn;

    if (!take_place(pg, &conn, err))
        return NULL;
    if (!conn && !(conn = connect_patiently(pg, err)))
        give_up_place(pg);
    return conn;
}

/* When one connection is lost, the idle ones count as lost, too: the server went away. */
static void drop_idle(struct store_pg *pg)
{
    struct store_conn *idle;

    pthread_mutex_lock(&pg->lock);
    idle = pg->idle;
    pg->idle = NULL;
    pthread_mutex_unlock(&pg->lock);
    while (idle) {
        struct store_conn *next = idle->next;
        close_conn(idle);
        give_up_place(pg);
        idle = next;
    }
}

static void release(struct store_pg *pg, struct store_conn *conn)
{
    if (conn->failure == FAILURE_LOST || PQstatus(conn->pq) == CONNECTION_BAD ||
        PQtransactionStatus(conn->pq) != PQTRANS_IDLE) {
        close_conn(conn);
        give_up_place(pg);
        drop_idle(pg);
        return;
    }
    pthread_mutex_lock(&pg->lock);
    conn->next = pg->idle;
    pg->idle = conn;
    pthread_cond_signal(&pg->freed);
    pthread_mutex_unlock(&pg->lock);
}

/* ---- transactions ---- */

static bool run_once(struct store_conn *conn, enum store_tx kind, store_tx_body *body, void *arg,
                     struct cap_err *err)
{
    const char *begin = kind == STORE_TX_READ ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                                              : "BEGIN ISOLATION LEVEL READ COMMITTED";
    struct cap_err ignored = {0};

    conn->failure = FAILURE_NONE;
    if (!store_pg_script(conn, begin, err))
        return false;
    if (body(conn, arg, err)) {
        /* COMMIT of a failed transaction "succeeds" by rolling back. */
        assert(PQtransactionStatus(conn->pq) == PQTRANS_INTRANS && "a body hid a failure");
        return store_pg_script(conn, "COMMIT", err);
    }
    assert(err->code != CAP_OK && "a body failed without saying why");
    if (conn->failure != FAILURE_LOST && !store_pg_script(conn, "ROLLBACK", &ignored))
        conn->failure = FAILURE_LOST;
    return false;
}

bool store_pg_tx(struct store_pg *pg, enum store_tx kind, store_tx_body *body, void *arg,
                 struct cap_err *err)
{
    for (int try = 1;; try++) {
        struct store_conn *conn = acquire(pg, err);
        enum failure failure;
        bool done;

        if (!conn)
            return false;
        done = run_once(conn, kind, body, arg, err);
        failure = conn->failure;
        release(pg, conn);
        if (done || failure <= FAILURE_FINAL || try == TRIES_MAX)
            return done;
        cap_log(DEBUG, "tx_again", "try=%d reason=%s", try, CAP_LOG_Q(err->text));
        cap_err_clear(err);
        if (failure == FAILURE_AGAIN)
            cap_sleep_ms(RETRY_PAUSE_MS << try);
    }
}

/* ---- statements ---- */

struct store_arg store_arg_text(const char *text)
{
    return text ? (struct store_arg){STORE_ARG_TEXT, {.text = text}} : (struct store_arg){0};
}

struct store_arg store_arg_int(int64_t value)
{
    return (struct store_arg){STORE_ARG_INT, {.integer = value}};
}

struct store_arg store_arg_uint(uint64_t value)
{
    /* A column holds 63 bits. Beyond them stands a number that no bigint takes. */
    return value <= INT64_MAX ? store_arg_int((int64_t)value)
                              : store_arg_text("18446744073709551615");
}

struct store_arg store_arg_bool(bool value)
{
    return store_arg_text(value ? "t" : "f");
}

struct store_arg store_arg_bytes(struct store_bytes bytes)
{
    return bytes.data ? (struct store_arg){STORE_ARG_BYTES, {.bytes = bytes}}
                      : (struct store_arg){0};
}

enum { NUMBER_TEXT_BYTES = 32 };

struct params {
    const char *values[STORE_ARGS_MAX];
    int lengths[STORE_ARGS_MAX];
    int formats[STORE_ARGS_MAX];
    char numbers[STORE_ARGS_MAX][NUMBER_TEXT_BYTES];
};

static void set_param(struct params *p, size_t i, const struct store_arg *arg)
{
    switch (arg->kind) {
    case STORE_ARG_NULL:
        break;
    case STORE_ARG_TEXT:
        p->values[i] = arg->text;
        break;
    case STORE_ARG_INT:
        snprintf(p->numbers[i], NUMBER_TEXT_BYTES, "%lld", (long long)arg->integer);
        p->values[i] = p->numbers[i];
        break;
    case STORE_ARG_BYTES:
        p->values[i] = (const char *)arg->bytes.data;
        p->lengths[i] = (int)arg->bytes.length;
        p->formats[i] = 1;
        break;
    }
}

/* The name of the prepared statement, prepared now if need be; NULL on failure. */
static const char *prepare(struct store_conn *conn, const char *sql, struct cap_err *err)
{
    char *name = cap_map_get(conn->prepared, sql);
    CAP_AUTO_BUF(text, SQL_BYTES_MAX);
    PGresult *result;
    bool ok;

    if (name)
        return name;
    assert(cap_map_count(conn->prepared) < STATEMENTS_MAX && "sql is a literal");
    if (asprintf(&name, "s%zu", cap_map_count(conn->prepared)) < 0)
        abort();
    store_map_expand(sql, &text);
    result = PQprepare(conn->pq, name, text.data, 0, NULL);
    ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (ok)
        cap_map_put(conn->prepared, sql, name);
    else
        fail_statement(conn, result, err);
    PQclear(result);
    if (!ok)
        free(name);
    return ok ? name : NULL;
}

/* The database would refuse it with words of its own. What models wrote is mended before
 * (store_text_fit); names and ids are somebody's mistake. */
static bool check_texts(struct store_conn *conn, const struct store_arg *args, size_t count,
                        struct cap_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = args[i].kind == STORE_ARG_TEXT ? args[i].text : "";
        size_t length = strlen(text), bad = cap_utf8_bad(text, length);

        if (bad == length)
            continue;
        conn->failure = FAILURE_FINAL;
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "\"%.64s\" is not UTF-8: its byte number %zu is 0x%02x", text, bad + 1,
                        (unsigned char)text[bad]);
    }
    return true;
}

struct store_rows *store_pg_ask(struct store_conn *conn, struct cap_err *err, const char *sql,
                                const struct store_arg *args, size_t count)
{
    const char *name = prepare(conn, sql, err);
    struct params p = {0};
    PGresult *result;
    ExecStatusType status;

    assert(count <= STORE_ARGS_MAX);
    if (!name || !check_texts(conn, args, count, err))
        return NULL;
    for (size_t i = 0; i < count; i++)
        set_param(&p, i, &args[i]);
    result = PQexecPrepared(conn->pq, name, (int)count, p.values, p.lengths, p.formats, 0);
    status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return store_rows_new(result);
    fail_statement(conn, result, err);
    PQclear(result);
    return NULL;
}

bool store_pg_do(struct store_conn *conn, struct cap_err *err, const char *sql,
                 const struct store_arg *args, size_t count)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(conn, err, sql, args, count);

    return rows != NULL;
}

bool store_pg_script(struct store_conn *conn, const char *sql, struct cap_err *err)
{
    PGresult *result = PQexec(conn->pq, sql);
    ExecStatusType status = PQresultStatus(result);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

    if (!ok)
        fail_statement(conn, result, err);
    PQclear(result);
    return ok;
}

/* Everything the server still has to say about a COPY; the first failure is the reason. */
static bool finish_copy(struct store_conn *conn, struct cap_err *err)
{
    PGresult *result;

    while ((result = PQgetResult(conn->pq)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && err->code == CAP_OK)
            fail_statement(conn, result, err);
        PQclear(result);
        if (PQstatus(conn->pq) == CONNECTION_BAD)
            break;
    }
    return err->code == CAP_OK;
}

bool store_pg_copy(struct store_conn *conn, const char *sql, const char *data, size_t length,
                   struct cap_err *err)
{
    enum { PIECE_BYTES = 1 << 20 };
    CAP_AUTO_BUF(text, SQL_BYTES_MAX);
    PGresult *result;
    bool ok;

    store_map_expand(sql, &text);
    result = PQexec(conn->pq, text.data);
    ok = PQresultStatus(result) == PGRES_COPY_IN;
    if (!ok)
        fail_statement(conn, result, err);
    PQclear(result);
    while (ok && length > 0) {
        int piece = length < PIECE_BYTES ? (int)length : PIECE_BYTES;
        ok = PQputCopyData(conn->pq, data, piece) == 1;
        data += piece;
        length -= (size_t)piece;
    }
    if (err->code != CAP_OK)
        return false;
    if (!ok || PQputCopyEnd(conn->pq, NULL) != 1)
        return fail_lost(conn, err);
    return finish_copy(conn, err);
}

/* ---- the password ---- */

enum { PASSWORD_BYTES_MAX = 4096 };

/* Blanks at its end are part of a password; line ends are not. */
static bool is_one_line(const char *text, size_t line, size_t length)
{
    return line + strspn(text + line, "\r\n") == length;
}

char *store_pg_password_read(const char *path, struct cap_err *err)
{
    size_t length = 0, line;
    CAP_AUTO_MEM char *text = cap_file_read(path, PASSWORD_BYTES_MAX, &length, err);

    if (!text) {
        cap_fail_in(err, "postgres_password_file");
        return NULL;
    }
    line = strcspn(text, "\r\n");
    if (line == 0)
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "postgres_password_file: \"%s\" has an empty first line", path);
    else if (!is_one_line(text, line, length))
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "postgres_password_file: \"%s\" is not one line of text", path);
    if (err->code != CAP_OK)
        return NULL;
    text[line] = '\0';
    return cap_take(text);
}
