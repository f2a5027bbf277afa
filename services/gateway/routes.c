/* Paths to handlers; docs/api.md describes each. */
#include <string.h>

#include "http/guard.h"
#include "service.h"

static void not_found(struct cap_http_request *http, void *self)
{
    struct cap_err err = {0};

    (void)self;
    cap_fail(&err, CAP_NOT_FOUND, "%.100s does not exist; /api/v1/openapi.json lists what does",
             cap_http_path(http));
    gate_reply_error(http, &err);
}

static void openapi(struct cap_http_request *http, void *self)
{
    static const char *const no_parameters[] = {NULL};

    (void)self;
    if (gate_accept(http, no_parameters))
        gate_reply_text(http, 200, "application/json", gate_openapi, strlen(gate_openapi));
}

static const struct cap_http_route routes[] = {
    {"GET", "/api/v1/openapi.json", openapi},
    {"GET", "/api/v1/info", gate_info},
    {"GET", "/api/v1/board", gate_board},
    {"GET", "/api/v1/runs/*", gate_run},
    {"GET", "/api/v1/plot/*", gate_plot},
    {"GET", "/api/v1/compare", gate_compare},
    {"GET", "/api/v1/repeats", gate_repeats},
    {"GET", "/api/v1/queue", gate_queue},
    {"GET", "/api/v1/queue/watch", gate_watch_queue},
    {"GET", "/api/v1/nodes", gate_nodes},
    {"GET", "/api/v1/tasks", gate_tasks},
    {"GET", "/api/v1/events", gate_events},
    {"GET", "/api/v1/watch/*", gate_watch},
    {"POST", "/api/v1/evaluations", gate_submit},
    {"POST", "/api/v1/cancel", gate_cancel},
    {"POST", "/api/v1/estimate", gate_estimate},
    {NULL, "/api/*", not_found},
    {"GET", "/metrics", gate_prometheus},
    {"GET", "/healthz", gate_health},
    {"GET", "/readyz", gate_ready},
    {"GET", "/*", gate_page},
};

static const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                                  "connect-src 'self'; img-src 'self' data:; "
                                  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* Monitoring asks by the address of the machine, and learns nothing secret. */
static bool is_probe(const char *path)
{
    return strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0;
}

/* Every request comes here first: false when it was refused (and answered). Sets the headers of
 * every reply. */
static bool admit(struct cap_http_request *http, void *self)
{
    const struct gate_service *service = self;
    struct cap_err err = {0};

    gate_count(GATE_METRIC_requests_total, 1);
    cap_http_reply_header(http, "Content-Security-Policy", page_policy);
    cap_http_reply_header(http, "X-Content-Type-Options", "nosniff");
    cap_http_reply_header(http, "Referrer-Policy", "no-referrer");
    if (is_probe(cap_http_path(http)) ||
        cap_http_guard(http, service->allowed_hosts, "--allowed-hosts", &err))
        return true;
    gate_count(GATE_METRIC_refused_total, 1);
    gate_reply_error(http, &err);
    return false;
}

bool gate_start(struct gate_service *service, const struct cap_http_server_options *limits,
                int *out_port, struct cap_err *err)
{
    struct cap_http_server_options options = *limits;

    options.routes = routes;
    options.route_count = CAP_COUNT_OF(routes);
    options.self = service;
    options.admit = admit;
    options.error_body = gate_error_body;
    service->queue_feed = gate_feed_new(service->scheduler);
    service->http = cap_http_server_start(&options, out_port, err);
    return service->http != NULL;
}

void gate_stop(struct gate_service *service)
{
    cap_http_server_free(service->http);
    gate_feed_free(service->queue_feed);
}
