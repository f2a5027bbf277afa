/* harness.h — a PostgreSQL for tests: one private cluster, one database a test.
 *
 * Under ctest the fixture `pg` starts the cluster once and MOECAP_TEST_PG names the file that says
 * where it is. A test program that is started by hand makes a cluster of its own and ends it at
 * exit. Each database is a clone of a template that has the schema, so making one takes 0.1 s.
 *
 *     char *db = harness_database_new();
 *     struct store_pg *pg = harness_store_open(db);
 *     ...
 *     store_pg_free(pg);
 *     harness_database_drop(db);
 *
 * Everything aborts the program with a sentence when it fails. One thread.
 */
#ifndef HARNESS_H
#define HARNESS_H

struct store_pg;

/* What a libpq client needs to reach a new database; ends with harness_database_drop. */
char *harness_database_new(void);
/* The same without the schema. */
char *harness_database_new_empty(void);
void harness_database_drop(char *conninfo);

struct store_pg *harness_store_open(const char *conninfo);
/* Any statements, in one transaction; answers the first column of the first row, the
 * caller's to free(), or NULL. */
char *harness_sql(const char *conninfo, const char *sql);

/* An empty folder under /tmp that any user may enter; removed by harness_dir_remove. */
char *harness_dir_new(void);
void harness_dir_remove(char *dir);

/* Of the fixture: starts the cluster and writes `state_file`; ends what it names. */
void harness_cluster_start(const char *state_file);
void harness_cluster_stop(const char *state_file);

#endif
