/* moecap-store: settings, the database, the service. Order of life in lib/service/service.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "embedded.h"
#include "log/log.h"
#include "migrate.h"
#include "pg.h"
#include "service/service.h"
#include "store.h"

struct store_config {
#define CONF(name, type, ...) CAP_CONF_MEMBER_##type(name)
#include "config.def"
#undef CONF
};

static const struct cap_config_row config_rows[] = {
#define CONF(name, type, ...) CAP_CONF_ROW(struct store_config, name, type, __VA_ARGS__)
#include "config.def"
#undef CONF
};

static struct store_config config;
static struct store_embedded *embedded;
static struct store_service store;

/* $XDG_STATE_HOME/moecap/postgres, ~/.local/state/…, or for root /var/lib/moecap/postgres. */
static bool default_dir(struct cap_buf *out, struct cap_err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (geteuid() == 0)
        cap_buf_add_str(out, "/var/lib/moecap/postgres");
    else if (state && *state)
        cap_buf_printf(out, "%s/moecap/postgres", state);
    else if (home && *home)
        cap_buf_printf(out, "%s/.local/state/moecap/postgres", home);
    else
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "neither XDG_STATE_HOME nor HOME is set: name a folder with --embedded");
    return true;
}

/* Before there are threads: the private server's programs are started here. */
static bool start_database(struct cap_service *service, struct cap_err *err)
{
    CAP_AUTO_BUF(dir, 4096);

    (void)service;
    if (*config.postgres && *config.embedded)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--postgres and --embedded exclude each other: name one");
    if (*config.postgres_password_file && !*config.postgres)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--postgres-password-file is for the server that --postgres names");
    if (*config.postgres)
        return true;
    if (*config.embedded)
        cap_buf_add_str(&dir, config.embedded);
    else if (!default_dir(&dir, err))
        return false;
    embedded = store_embedded_open(
        &(struct store_embedded_options){.dir = dir.data, .bindir = config.pg_bindir}, err);
    if (!embedded)
        return false;
    cap_log(INFO, "database_ready", "dir=%s reused=%d", CAP_LOG_Q(dir.data),
            store_embedded_reused(embedded));
    return true;
}

static bool start(struct cap_service *service, struct cap_err *err)
{
    CAP_AUTO_MEM char *password = NULL;
    struct store_pg_options options = {
        .conninfo = embedded ? store_embedded_conninfo(embedded) : config.postgres,
        .connections_max = (int)config.connections_max,
        .acquire_ms_max = (int)config.acquire_ms_max,
        .connect_ms_max = (int)config.connect_ms_max,
        .statement_ms_max = (int)config.statement_ms_max,
    };
    int applied;

    if (*config.postgres_password_file) {
        password = store_pg_password_read(config.postgres_password_file, err);
        if (!password)
            return false;
        options.password = password;
    }
    store.retention_days = (int)config.retention_days;
    store.pg = store_pg_open(&options, err);
    if (!store.pg || !store_migrate(store.pg, &applied, err))
        return false;
    cap_log(INFO, "schema_ready", "version=%zu applied=%d", store_migration_count, applied);
    store_service_add(&store, service->server);
    if (embedded)
        store_embedded_watch(embedded);
    return true;
}

static void stop(struct cap_service *service)
{
    (void)service;
    store_pg_free(store.pg);
}

static void stop_database(struct cap_service *service)
{
    struct cap_err err = {0};

    (void)service;
    if (embedded && !store_embedded_stop(embedded, &err))
        cap_log(ERROR, "database_stop_failed", "reason=%s", CAP_LOG_Q(err.text));
    store_embedded_free(embedded);
}

int main(int argc, char **argv)
{
    const struct cap_service_spec spec = {
        .name = "store",
        .summary = "tasks, queue, evidence and results, in PostgreSQL",
        .default_listen = "127.0.0.1:7862",
        .config = {"store", config_rows, CAP_COUNT_OF(config_rows)},
        .values = &config,
        .metrics = store_metrics(),
        .counts_calls = true,
        .calls_row = STORE_METRIC_calls_total,
        .failed_calls_row = STORE_METRIC_calls_failed_total,
        .before = start_database,
        .start = start,
        .stop = stop,
        .after = stop_database,
    };

    return cap_service_main(&spec, argc, argv);
}
