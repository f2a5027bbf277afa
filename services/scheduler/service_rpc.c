/* The service's life: makes everything, takes over what the store knows, ends in the opposite
 * order. Also the table of its handlers, and its counters.
 *
 * Handlers are served at once, but those that speak of runs or nodes wait until one thread has
 * restored what the store knows to be unfinished (sched_restore_wait). At the end the restorer and
 * the renewals stop before the dispatcher, which they feed, and the dispatcher before the streams
 * and channels on which its actions send. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "moecap/v1/store.rpc.h"
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
        .compare = sched_handle_compare,
        .repeats = sched_handle_repeats,
        .compare_routing = sched_handle_compare_routing,
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

/* ==== restore ====
 *
 * Taking over what the store knows to be unfinished: at the start, and when a run turns up of which
 * nobody here has heard.
 */

enum { RESTORE_PAUSE_MS = 500, WAIT_MS_MAX = 5000, SLICE_MS = 20, SPEC_ARENA_BYTES = 4 << 20 };

/* A lease that the store still has may belong to a node that goes on with the run: its first beat
 * will say so. If none does, the sweep takes it. */
static void restore_lease(const Moecap__V1__ActiveRun *wire, struct sched_run *run,
                          struct sched_job *job)
{
    for (size_t i = 0; i < wire->n_shards; i++) {
        const Moecap__V1__ActiveShard *shard = wire->shards[i];

        if (shard->shard != SCHED_SHARD || !shard->lease)
            continue;
        run->fence = shard->lease->fence;
        snprintf(run->holder, sizeof run->holder, "%s", shard->node);
        snprintf(job->node_name, sizeof job->node_name, "%s", shard->node);
        return;
    }
    if (run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING)
        run->state = SCHED_RUN_QUEUED;
}

static void restore_run(struct sched_service *service,
                        const Moecap__V1__ActiveEvaluation *evaluation,
                        const Moecap__V1__ActiveRun *wire)
{
    struct sched_job *job =
        sched_job_from_wire(evaluation->spec, wire->run_id, evaluation->evaluation_id, wire->task,
                            wire->task_id, wire->repeat);
    int64_t now = cap_clock_wall_ms(cap_clock_system());
    struct sched_run run;

    sched_run_from_spec(evaluation->spec, job, &run);
    run.state = sched_state_from_wire(wire->state);
    snprintf(run.reason, sizeof run.reason, "%s", wire->reason);
    run.queued_at_ms = cap_clock_ms(cap_clock_system()) - (now - wire->queued_at_ms);
    run.attempts = (int)wire->attempts;
    run.total = wire->samples_total;
    run.answered = wire->samples_answered;
    run.graded = wire->samples_graded;
    job->queued_at_ms = wire->queued_at_ms;
    job->started_at_ms = wire->started_at_ms;
    job->ended_at_ms = wire->ended_at_ms;
    restore_lease(wire, &run, job);
    sched_dispatcher_add(service->dispatcher, job, &run);
}

bool sched_restore_once(struct sched_service *service, struct cap_err *err)
{
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    struct cap_rpc_call *call = store_rpc_list_active_open(service->clients.store, NULL, &request);
    Moecap__V1__ActiveEvaluation *evaluation;
    size_t runs = 0;

    while ((evaluation = store_rpc_list_active_next_reply(call)) != NULL) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(SPEC_ARENA_BYTES);

        if (!evaluation->spec || !cap_spec_fill(evaluation->spec, arena))
            continue;
        for (size_t i = 0; i < evaluation->n_runs; i++) {
            if (sched_dispatcher_knows(service->dispatcher, evaluation->runs[i]->run_id))
                continue;
            restore_run(service, evaluation, evaluation->runs[i]);
            runs++;
        }
    }
    if (!cap_rpc_close(call, err))
        return false;
    cap_log(INFO, "restored", "runs=%zu", runs);
    return true;
}

static void *restore(void *argument)
{
    struct sched_service *service = argument;

    while (!service->draining && !service->restored) {
        struct cap_err err = {0};

        service->restored = sched_restore_once(service, &err);
        if (service->restored)
            break;
        cap_log(WARN, "store_away", "reason=%s", CAP_LOG_Q(err.text));
        for (int left = RESTORE_PAUSE_MS; left > 0 && !service->draining; left -= SLICE_MS)
            cap_sleep_ms(SLICE_MS);
    }
    return NULL;
}

void sched_restore_start(struct sched_service *service)
{
    if (pthread_create(&service->restorer, NULL, restore, service) != 0)
        abort();
}

void sched_restore_stop(struct sched_service *service)
{
    pthread_join(service->restorer, NULL);
}

bool sched_restore_wait(struct sched_service *service, struct cap_rpc_call *call,
                        struct cap_err *err)
{
    for (int left = WAIT_MS_MAX; left > 0 && !service->restored; left -= SLICE_MS) {
        if (service->draining || cap_rpc_cancelled(call))
            break;
        cap_sleep_ms(SLICE_MS);
    }
    if (service->draining)
        return cap_fail(err, CAP_UNAVAILABLE, "the scheduler is going away");
    return service->restored ||
           cap_fail(err, CAP_UNAVAILABLE,
                    "the scheduler is starting: the store at %s has not answered yet",
                    service->store_address);
}

/* ==== counters ==== */

static const struct cap_metric_row rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t values[SCHED_METRIC_COUNT];
static struct cap_metrics metrics = {"scheduler", rows, values, CAP_COUNT_OF(rows)};

struct cap_metrics *sched_metrics(void)
{
    return &metrics;
}

void sched_count(enum sched_metric metric, int64_t amount)
{
    cap_metric_add(&metrics, (int)metric, amount);
}
