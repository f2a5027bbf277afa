/* Paths to handlers; docs/api.md describes each. */
#include "service.h"

static const struct cap_metric_row metric_rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t metric_values[GATE_METRIC_COUNT];
static struct cap_metrics metrics = {"gateway", metric_rows, metric_values,
                                     CAP_COUNT_OF(metric_rows)};

struct cap_metrics *gate_metrics(void)
{
    return &metrics;
}

void gate_count(enum gate_metric metric, int64_t amount)
{
    cap_metric_add(&metrics, (int)metric, amount);
}

static void health(struct cap_http_request *http, void *self)
{
    if (gate_guard(http, self))
        gate_reply_json(http, 200,
                        json_pack("{s:s,s:s}", "status", "serving", "version", MOECAP_VERSION));
}

static const struct cap_http_route routes[] = {
    {"GET", "/api/v1/info", gate_info},
    {"GET", "/api/v1/board", gate_board},
    {"GET", "/api/v1/runs/*", gate_run},
    {"GET", "/api/v1/queue", gate_queue},
    {"GET", "/api/v1/nodes", gate_nodes},
    {"GET", "/api/v1/tasks", gate_tasks},
    {"GET", "/api/v1/events", gate_events},
    {"GET", "/api/v1/watch/*", gate_watch},
    {"POST", "/api/v1/evaluations", gate_submit},
    {"POST", "/api/v1/cancel", gate_cancel},
    {"GET", "/metrics", gate_prometheus},
    {"GET", "/healthz", health},
    {"GET", "/*", gate_page},
};

bool gate_start(struct gate_service *service, const char *host, int port, size_t body_bytes_max,
                int connections_max, int *out_port, struct cap_err *err)
{
    const struct cap_http_server_options options = {
        .host = host,
        .port = port,
        .routes = routes,
        .route_count = CAP_COUNT_OF(routes),
        .self = service,
        .connections_max = connections_max,
        .body_bytes_max = body_bytes_max,
    };

    service->http = cap_http_server_start(&options, out_port, err);
    return service->http != NULL;
}
