/* service.h — what every program's main does: settings, log, signals, serving, drain, stop.
 *
 *     int main(int argc, char **argv)
 *     {
 *         static struct store_config values;
 *         static const struct cap_service_spec spec = {.name = "store", .summary = "...",
 *             .config = {...}, .values = &values, .start = start, .stop = stop};
 *         return cap_service_main(&spec, argc, argv);
 *     }
 *
 * Order: settings are read, the log is set up, `before` runs (still one thread: fork here, if at
 * all), gRPC is initialised, `start` makes the service and adds its handlers, the server listens
 * and serves, the ready file is written, SIGTERM or SIGINT is awaited; then health turns to
 * NOT_SERVING, running calls get drain_ms, `stop` undoes `start`, `after` undoes `before`. Flags of
 * every program: see print_help in service.c.
 */
#ifndef CAP_SERVICE_H
#define CAP_SERVICE_H

#include "base/arena.h"
#include "base/exit.h"
#include "config/config.h"
#include "metrics/metrics.h"
#include "moecap/v1/common.pb-c.h"
#include "rpc/rpc.h"

struct cap_service {
    const struct cap_service_spec *spec;
    struct cap_rpc_server *server; /* NULL in a program that only dials out */
    char address[256];             /* where it listens; known once it serves */
    void *state;                   /* the program's own, set by before or start */
};

struct cap_service_spec {
    const char *name;           /* "store": the program is moecap-store */
    const char *summary;        /* one sentence, for --help */
    const char *default_listen; /* "127.0.0.1:7862"; NULL: this program has no server */
    struct cap_config config;
    void *values;
    struct cap_metrics *metrics; /* may be NULL */
    /* rows of `metrics` that count the server's calls, all and those that failed; a failed one is
     * logged at debug. Otherwise calls are not counted. */
    bool counts_calls;
    int calls_row, failed_calls_row;
    int64_t drain_ms; /* 0: 5000 */
    struct cap_rpc_server_options server_options;
    bool (*before)(struct cap_service *service, struct cap_err *err); /* may be NULL */
    bool (*start)(struct cap_service *service, struct cap_err *err);
    /* May be NULL: called after listening, with the address known. */
    bool (*serving)(struct cap_service *service, struct cap_err *err);
    /* May be NULL: called first at the end, so that long streams are told to finish. */
    void (*draining)(struct cap_service *service);
    void (*stop)(struct cap_service *service);  /* also after a start that failed half-way */
    void (*after)(struct cap_service *service); /* may be NULL */
};

/* Runs the program; returns its exit status. */
int cap_service_main(const struct cap_service_spec *spec, int argc, char **argv);

/* ---- what every program that serves tells and is asked (admin_rpc.c) ---- */

struct cap_admin {
    const struct cap_service_spec *spec;
    const enum cap_config_source *sources; /* one a setting */
};

/* Answers moecap.v1.Admin: settings, counters, log level. `admin` is borrowed for the server's
 * life. */
void cap_admin_add(struct cap_rpc_server *server, struct cap_admin *admin);

/* A program's counters. Everything in the arena; false when it is full. */
bool cap_metrics_to_wire(const struct cap_metrics *metrics, struct cap_arena *arena,
                         Moecap__V1__Metric ***out_list, size_t *out_count);

/* gRPC's health service at `address` says SERVING, within three seconds. A process that calls this
 * serves nothing itself: gRPC is initialised and shut down in here. */
bool cap_check_health(const char *address, struct cap_err *err);

#endif
