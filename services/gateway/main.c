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
    const struct cap_http_server_options limits = {
        .host = config.http_host,
        .port = (int)config.http_port,
        .connections_max = (int)config.connections_max,
        .connections_per_peer_max = (int)config.connections_per_peer_max,
        .url_bytes_max = (size_t)config.url_bytes_max,
        .head_bytes_max = (size_t)config.head_kib_max << 10,
        .body_bytes_max = (size_t)config.body_kib_max << 10,
        .head_s_max = (int)config.head_s_max,
        .body_s_max = (int)config.body_s_max,
        .reply_s_max = (int)config.reply_s_max,
        .idle_s_max = (int)config.idle_s_max,
    };
    int port;

    gateway.watchers_max = (int)config.watchers_max;
    gateway.heartbeat_ms = (int)config.heartbeat_s * 1000;
    if (!gate_start(&gateway, &limits, &port, err))
        return false;
    snprintf(service->address, sizeof service->address, "http://%s:%d", config.http_host, port);
    return true;
}

static void stop(struct cap_service *service)
{
    (void)service;
    gate_stop(&gateway);
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
