/* moecap-scheduler: settings, the service. Order of life in lib/service/service.h. */
#include "service.h"
#include "service/service.h"

/* the most that nodes_max may be in config.def, and other calls beside them */
enum { NODES_MAX_MAX = 4096, OTHER_CALLS_MAX = 64 };

struct sched_config {
#define CONF(name, type, ...) CAP_CONF_MEMBER_##type(name)
#include "config.def"
#undef CONF
};

static const struct cap_config_row config_rows[] = {
#define CONF(name, type, ...) CAP_CONF_ROW(struct sched_config, name, type, __VA_ARGS__)
#include "config.def"
#undef CONF
};

static struct sched_config config;
static struct sched_service scheduler;

static bool start(struct cap_service *service, struct cap_err *err)
{
    const struct sched_settings settings = {
        .store = config.store,
        .evaluator = config.evaluator,
        .attempts_max = config.attempts_max,
        .beat_ms = config.beat_ms,
        .lease_ms = config.lease_ms,
        .silent_ms_max = config.silent_ms_max,
        .progress_ms_max = config.progress_s_max * 1000,
        .ageing_ms = config.ageing_ms,
        .retry_ms = config.retry_ms,
        .tick_ms = config.tick_ms,
        .nodes_max = config.nodes_max,
        .prompt_batch = config.prompt_batch,
    };

    (void)err;
    sched_service_start(&scheduler, &settings, service->server);
    return true;
}

static void drain(struct cap_service *service)
{
    (void)service;
    sched_service_drain(&scheduler);
}

static void stop(struct cap_service *service)
{
    (void)service;
    sched_service_stop(&scheduler);
}

int main(int argc, char **argv)
{
    /* nodes and watchers each hold a worker for as long as they are connected */
    const struct cap_service_spec spec = {
        .name = "scheduler",
        .summary = "admits evaluations, orders the queue, leases runs to nodes, conducts them",
        .default_listen = "127.0.0.1:7861",
        .config = {"scheduler", config_rows, CAP_COUNT_OF(config_rows)},
        .values = &config,
        .metrics = sched_metrics(),
        .server_options = {.workers_max = NODES_MAX_MAX + OTHER_CALLS_MAX,
                           .streams_max = NODES_MAX_MAX + OTHER_CALLS_MAX / 2,
                           .stream_idle_ms = 10000 /* nodes beat every 3 s */},
        .start = start,
        .draining = drain,
        .stop = stop,
    };

    return cap_service_main(&spec, argc, argv);
}
