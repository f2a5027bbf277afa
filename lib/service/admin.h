/* admin.h — what every program that serves tells and is asked: moecap.v1.Admin (settings, counters,
 * log level), its counters as messages, and whether a program is well, as container health checks
 * ask. */
#ifndef CAP_ADMIN_H
#define CAP_ADMIN_H

#include "base/arena.h"
#include "config/config.h"
#include "metrics/metrics.h"
#include "moecap/v1/common.pb-c.h"
#include "rpc/rpc.h"

struct cap_service_spec;

struct cap_admin {
    const struct cap_service_spec *spec;
    const enum cap_config_source *sources; /* one a setting */
};

/* Answers moecap.v1.Admin. `admin` is borrowed for the server's life. */
void cap_admin_add(struct cap_rpc_server *server, struct cap_admin *admin);

/* A program's counters. Everything in the arena; false when it is full. */
bool cap_metrics_to_wire(const struct cap_metrics *metrics, struct cap_arena *arena,
                         Moecap__V1__Metric ***out_list, size_t *out_count);

/* gRPC's health service at `address` says SERVING, within three seconds. A process that calls this
 * serves nothing itself: gRPC is initialised and shut down in here. */
bool cap_check_health(const char *address, struct cap_err *err);

#endif
