/* moecap-scheduler: settings, the service. Order of life in lib/service/service.h. */
#include <string.h>

#include "base/clock.h"
#include "metrics.h"
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
    struct sched_dispatcher_options options = {
        .policy = {.attempts_max = (int)config.attempts_max,
                   .silent_ms_max = config.silent_ms_max,
                   .ageing_ms = config.ageing_ms,
                   .retry_ms = config.retry_ms},
        .lease_ms = config.lease_ms,
        .tick_ms = config.tick_ms,
        .prompt_batch = (int)config.prompt_batch,
        .assign = sched_work_assign,
        .stop_shard = sched_work_stop,
    };

    (void)err;
    scheduler.clients.store = cap_rpc_channel_new(config.store, NULL);
    scheduler.clients.evaluator = cap_rpc_channel_new(config.evaluator, NULL);
    scheduler.streams = sched_streams_new();
    scheduler.store_address = config.store;
    scheduler.evaluator_address = config.evaluator;
    scheduler.beat_ms = config.beat_ms;
    scheduler.lease_ms = config.lease_ms;
    scheduler.retry_ms = config.retry_ms;
    scheduler.nodes_max = (int)config.nodes_max;
    scheduler.started_at_ms = cap_clock_wall_ms(cap_clock_system());
    options.clients = scheduler.clients;
    options.streams = scheduler.streams;
    scheduler.dispatcher = sched_dispatcher_new(&options);
    sched_service_add(&scheduler, service->server);
    sched_restore_start(&scheduler);
    return true;
}

static void drain(struct cap_service *service)
{
    (void)service;
    scheduler.draining = true;
    sched_streams_cancel(scheduler.streams);
}

static void stop(struct cap_service *service)
{
    (void)service;
    sched_restore_stop(&scheduler);
    sched_dispatcher_stop(scheduler.dispatcher);
    sched_dispatcher_free(scheduler.dispatcher);
    sched_streams_free(scheduler.streams);
    cap_rpc_channel_free(scheduler.clients.store);
    cap_rpc_channel_free(scheduler.clients.evaluator);
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
                           .streams_max = NODES_MAX_MAX + OTHER_CALLS_MAX / 2},
        .start = start,
        .draining = drain,
        .stop = stop,
    };

    return cap_service_main(&spec, argc, argv);
}
