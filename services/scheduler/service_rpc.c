/* The service's life, and the table of its handlers. */
#include "base/clock.h"
#include "service.h"

enum { POOL_BYTES_MAX = 72 << 20 };

static void add_handlers(struct sched_service *service, struct cap_rpc_server *server)
{
    static const struct scheduler_rpc_handlers handlers = {
        .submit = sched_handle_submit,
        .watch = sched_handle_watch,
        .cancel = sched_handle_cancel,
        .list_queue = sched_handle_list_queue,
        .list_nodes = sched_handle_list_nodes,
        .node_metrics = sched_handle_node_metrics,
        .info = sched_handle_info,
        .work = sched_handle_work,
    };

    cap_rpc_server_add(server, &scheduler_rpc_service, &handlers, service);
}

void sched_service_start(struct sched_service *service, const struct sched_settings *settings,
                         struct cap_rpc_server *server)
{
    /* a task comes with its whole few-shot pool */
    const struct cap_rpc_channel_options store_options = {.receive_bytes_max = POOL_BYTES_MAX};
    struct sched_dispatcher_options options = {
        .policy = {.attempts_max = (int)settings->attempts_max,
                   .silent_ms_max = settings->silent_ms_max,
                   .ageing_ms = settings->ageing_ms,
                   .progress_ms_max = settings->progress_ms_max,
                   .claim_ms_max = settings->lease_ms + settings->silent_ms_max,
                   .retry_ms = settings->retry_ms},
        .lease_ms = settings->lease_ms,
        .tick_ms = settings->tick_ms,
        .prompt_batch = (int)settings->prompt_batch,
        .assign = sched_work_assign,
        .stop_shard = sched_work_stop,
    };

    *service = (struct sched_service){
        .clients = {.store = cap_rpc_channel_new(settings->store, &store_options)},
        .streams = sched_streams_new(),
        .offers = sched_offers_new(),
        .store_address = settings->store,
        .evaluator_address = settings->evaluator,
        .beat_ms = settings->beat_ms,
        .lease_ms = settings->lease_ms,
        .retry_ms = settings->retry_ms,
        .nodes_max = (int)settings->nodes_max,
        .started_at_ms = cap_clock_wall_ms(cap_clock_system()),
    };
    service->clients.evaluator = sched_evaluator_new(settings->evaluator, service->clients.store);
    options.clients = service->clients;
    options.streams = service->streams;
    service->dispatcher = sched_dispatcher_new(&options);
    service->renewals =
        sched_renewals_new(service->clients.store, service->dispatcher, service->lease_ms);
    add_handlers(service, server);
    sched_restore_start(service);
}

void sched_service_drain(struct sched_service *service)
{
    service->draining = true;
    sched_streams_cancel(service->streams);
}

void sched_service_stop(struct sched_service *service)
{
    sched_restore_stop(service);
    sched_renewals_free(service->renewals);
    sched_dispatcher_stop(service->dispatcher);
    sched_dispatcher_free(service->dispatcher);
    sched_streams_free(service->streams);
    sched_offers_free(service->offers);
    sched_evaluator_free(service->clients.evaluator);
    cap_rpc_channel_free(service->clients.store);
}
