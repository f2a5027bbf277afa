/* service.h — moecap.v1.Store on a database.
 *
 *     struct store_service service = {.pg = pg};
 *     store_service_add(&service, server);   // before the server starts
 *
 * Handlers run on the server's workers and share the pool of connections.
 */
#ifndef STORE_SERVICE_H
#define STORE_SERVICE_H

#include <stdint.h>

struct cap_metrics;
struct cap_rpc_server;
struct store_pg;

struct store_service {
    struct store_pg *pg; /* borrowed */
    int retention_days;  /* 0 = keep all */
};

enum store_metric {
#define METRIC(name, kind, help) STORE_METRIC_##name,
#include "metrics.def"
#undef METRIC
    STORE_METRIC_COUNT
};

/* The program's counters; any thread. */
struct cap_metrics *store_metrics(void);
void store_count(enum store_metric metric, int64_t amount);

/* `service` is borrowed for the server's life. */
void store_service_add(struct store_service *service, struct cap_rpc_server *server);

#endif
