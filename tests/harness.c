/* A private PostgreSQL for a run of the tests: made once, as an unprivileged user, and a fresh database
 * of it for every test that asks. */
#include "harness.h"

#include <ftw.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/rand.h"
#include "store/embedded.h"
#include "store/migrate.h"
#include "store/pg.h"

static const char template_name[] = "moecap_template";

static void must(bool ok, const char *what, const struct cap_err *err)
{
    if (ok)
        return;
    fprintf(stderr, "harness: %s: %s\n", what, err->text);
    abort();
}

/* ---- folders ---- */

char *harness_dir_new(void)
{
    char *dir = strdup("/tmp/moecap-test-XXXXXX");

    if (!mkdtemp(dir) || chmod(dir, 0755) != 0) {
        perror("harness: mkdtemp");
        abort();
    }
    return dir;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void harness_dir_remove(char *dir)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

/* ---- statements ---- */

char *harness_sql(const char *conninfo, const char *sql)
{
    PGconn *conn = PQconnectdb(conninfo);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    char *first = NULL;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "harness: %s: %s\n", sql, PQerrorMessage(conn));
        abort();
    }
    if (status == PGRES_TUPLES_OK && PQntuples(result) > 0)
        first = strdup(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(conn);
    return first;
}

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    va_end(args);
    return text;
}

/* ---- the cluster ---- */

static char *make_template(const char *conninfo)
{
    struct cap_err err = {0};
    char *sql = format("CREATE DATABASE %s", template_name);
    char *target = format("%s dbname=%s", conninfo, template_name);
    int applied;

    free(harness_sql(conninfo, sql));
    struct store_pg *pg = harness_store_open(target);
    must(store_migrate(pg, &applied, &err), "migrate", &err);
    store_pg_free(pg);
    free(sql);
    return target;
}

static struct store_embedded *start_cluster(const char *dir)
{
    struct cap_err err = {0};
    struct store_embedded *cluster =
        store_embedded_open(&(struct store_embedded_options){dir, NULL, true}, &err);

    must(cluster != NULL, "start PostgreSQL", &err);
    return cluster;
}

void harness_cluster_start(const char *state_file)
{
    struct cap_err err = {0};

    if (cap_file_exists(state_file)) /* of a ctest that was killed */
        harness_cluster_stop(state_file);
    char *dir = harness_dir_new();
    struct store_embedded *cluster = start_cluster(dir);
    const char *conninfo = store_embedded_conninfo(cluster);
    char *state = format("%s\n%s\n", dir, conninfo);

    free(make_template(conninfo));
    must(cap_file_write(state_file, state, strlen(state), &err), "write the state", &err);
    store_embedded_free(cluster);
    free(state);
    free(dir);
}

static void stop_cluster(char *dir)
{
    struct cap_err err = {0};
    struct store_embedded *cluster = start_cluster(dir);

    must(store_embedded_stop(cluster, &err), "stop PostgreSQL", &err);
    store_embedded_free(cluster);
    harness_dir_remove(dir);
}

/* Lines 1 and 2 of the state file: folder, conninfo. */
static void read_state(const char *state_file, char **out_dir, char **out_conninfo)
{
    struct cap_err err = {0};
    char *text = cap_file_read(state_file, 65536, NULL, &err), *rest = text;

    must(text != NULL, "the fixture of ctest has not run", &err);
    *out_dir = strdup(strsep(&rest, "\n"));
    *out_conninfo = strdup(strsep(&rest, "\n"));
    free(text);
}

void harness_cluster_stop(const char *state_file)
{
    char *dir, *conninfo;

    read_state(state_file, &dir, &conninfo);
    stop_cluster(dir);
    free(conninfo);
    remove(state_file);
}

/* ---- databases ---- */

static char *cluster_conninfo, *own_dir;

static void end_own_cluster(void)
{
    stop_cluster(own_dir);
    free(cluster_conninfo);
}

static const char *find_cluster(void)
{
    const char *state_file = getenv("MOECAP_TEST_PG");
    char *dir;

    if (cluster_conninfo)
        return cluster_conninfo;
    if (state_file) {
        read_state(state_file, &dir, &cluster_conninfo);
        free(dir);
        return cluster_conninfo;
    }
    own_dir = harness_dir_new();
    struct store_embedded *cluster = start_cluster(own_dir);
    cluster_conninfo = strdup(store_embedded_conninfo(cluster));
    store_embedded_free(cluster);
    free(make_template(cluster_conninfo));
    atexit(end_own_cluster);
    return cluster_conninfo;
}

static char *new_database(const char *from)
{
    char name[CAP_ID_BYTES];
    const char *cluster = find_cluster();

    cap_rand_id("t_", name);
    char *sql = format("CREATE DATABASE \"%s\" TEMPLATE %s", name, from);
    free(harness_sql(cluster, sql));
    free(sql);
    /* The last dbname of a list counts. */
    return format("%s dbname=%s", cluster, name);
}

char *harness_database_new(void)
{
    return new_database(template_name);
}

char *harness_database_new_empty(void)
{
    return new_database("template0");
}

void harness_database_drop(char *conninfo)
{
    char *sql = format("DROP DATABASE \"%s\" WITH (FORCE)", strrchr(conninfo, '=') + 1);

    free(harness_sql(find_cluster(), sql));
    free(sql);
    free(conninfo);
}

struct store_pg *harness_store_open(const char *conninfo)
{
    struct cap_err err = {0};
    struct store_pg *pg = store_pg_open(&(struct store_pg_options){.conninfo = conninfo}, &err);

    must(pg != NULL, "connect", &err);
    return pg;
}
