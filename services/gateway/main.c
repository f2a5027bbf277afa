/* moecap-gateway: settings, the service. Order of life in lib/service/service.h. */
#include <stdio.h>
#include <string.h>

#include "service.h"
#include "service/service.h"

struct gate_config {
#define CONF(name, type, ...) CAP_CONF_MEMBER_##type(name)
#include "config.def"
#undef CONF
};

static const struct cap_config_row config_rows[] = {
#define CONF(name, type, ...) CAP_CONF_ROW(struct gate_config, name, type, __VA_ARGS__)
#include "config.def"
#undef CONF
};

static struct gate_config config;
static struct gate_service gateway;

static bool start(struct cap_service *service, struct cap_err *err)
{
    (void)service;
    (void)err;
    gateway.scheduler = cap_rpc_channel_new(config.scheduler, NULL);
    gateway.store = cap_rpc_channel_new(config.store, NULL);
    gateway.evaluator = cap_rpc_channel_new(config.evaluator, NULL);
    gateway.allowed_hosts = config.allowed_hosts;
    return true;
}

/* People look for the page, so its address is the one that the ready file names. */
static bool serve(struct cap_service *service, struct cap_err *err)
{
    int port;

    if (!gate_start(&gateway, config.http_host, (int)config.http_port,
                    (size_t)config.body_kib_max << 10, (int)config.connections_max, &port, err))
        return false;
    snprintf(service->address, sizeof service->address, "http://%s:%d", config.http_host, port);
    return true;
}

static void stop(struct cap_service *service)
{
    (void)service;
    cap_http_server_free(gateway.http);
    cap_rpc_channel_free(gateway.scheduler);
    cap_rpc_channel_free(gateway.store);
    cap_rpc_channel_free(gateway.evaluator);
}

int main(int argc, char **argv)
{
    const struct cap_service_spec spec = {
        .name = "gateway",
        .summary = "the page, the JSON API, live progress and counters over HTTP",
        .default_listen = "127.0.0.1:0",
        .config = {"gateway", config_rows, CAP_COUNT_OF(config_rows)},
        .values = &config,
        .metrics = gate_metrics(),
        .start = start,
        .serving = serve,
        .stop = stop,
    };

    return cap_service_main(&spec, argc, argv);
}
