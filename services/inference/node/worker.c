#include "node/worker.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "counters.h"
#include "log/log.h"
#include "node/open_engine.h"
#include "node/shard.h"

enum {
    IDLE_WAIT_MS = 500,
    SERVE_WAIT_MS = 20,
    OUTSIDE_GRACE_MS = 5000, /* outside requests may end before a shard begins */
};

struct infer_worker {
    struct infer_worker_options options;
    pthread_t thread;
    /* the thread's own */
    struct infer_holder holder;
    struct infer_served **guests; /* [serve_concurrency] outside requests that run; NULL = free */
    int guest_count;
    struct infer_served *held; /* wants another model: waits until no guest is left */
    uint64_t guest_id;
};

/* ---- outside requests ---- */

static void end_guest(struct infer_worker *worker, struct infer_served **guest,
                      const struct infer_event *done, const struct cap_err *failure)
{
    infer_queue_end(worker->options.queue, cap_take(*guest), done, failure);
    worker->guest_count--;
}

static void end_all_guests(struct infer_worker *worker, const struct cap_err *failure)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->guests[i])
            end_guest(worker, &worker->guests[i], NULL, failure);
}

static struct infer_served **guest_by_id(struct infer_worker *worker, uint64_t id)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->guests[i] && worker->guests[i]->request.id == id)
            return &worker->guests[i];
    return NULL;
}

static struct infer_served **free_guest(struct infer_worker *worker)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (!worker->guests[i])
            return &worker->guests[i];
    return NULL;
}

static bool is_ending(void *arg)
{
    return infer_work_closed(arg);
}

static void outside_wish(const struct infer_worker *worker, const char *model,
                         struct infer_wish *out)
{
    *out = (struct infer_wish){.engine = worker->options.serve_engine,
                               .model = model,
                               .precision = worker->options.serve_precision,
                               .concurrency = worker->options.serve_concurrency,
                               .threads = worker->options.threads,
                               .unwanted = is_ending,
                               .unwanted_arg = worker->options.work};
}

/* The engine takes the ticket's request, or the ticket ends with the reason. */
static void start_guest(struct infer_worker *worker, struct infer_served *ticket)
{
    struct infer_served **guest = free_guest(worker);
    struct infer_engine *engine = worker->holder.engine;
    struct cap_err err = {0};

    ticket->request.id = ++worker->guest_id;
    if (!engine->ops->submit(engine, &ticket->request, &err)) {
        infer_queue_end(worker->options.queue, ticket, NULL, &err);
        return;
    }
    infer_count(INFER_M_outside_requests_total, 1);
    *guest = ticket;
    worker->guest_count++;
}

/* False: the ticket must wait until the engine is free to be replaced. */
static bool admit_ticket(struct infer_worker *worker, struct infer_served *ticket)
{
    struct infer_wish wish;
    struct cap_err err = {0};

    outside_wish(worker, ticket->model, &wish);
    if (!infer_holder_fits(&worker->holder, &wish)) {
        if (worker->guest_count > 0)
            return false;
        if (!infer_holder_open(&worker->holder, worker->options.models,
                               worker->options.any_model_path, &wish, &err)) {
            infer_queue_end(worker->options.queue, ticket, NULL, &err);
            return true;
        }
    }
    start_guest(worker, ticket);
    return true;
}

static void admit_tickets(struct infer_worker *worker)
{
    while (worker->guest_count < worker->options.serve_concurrency) {
        struct infer_served *ticket = worker->held;

        if (!ticket)
            ticket = infer_queue_take(worker->options.queue);
        worker->held = NULL;
        if (!ticket)
            return;
        if (!admit_ticket(worker, ticket)) {
            worker->held = ticket;
            return;
        }
    }
}

static void cancel_guest(struct infer_worker *worker, struct infer_served **guest, const char *why)
{
    struct infer_engine *engine = worker->holder.engine;
    struct cap_err err = {0};

    engine->ops->cancel(engine, (*guest)->request.id);
    cap_fail(&err, CAP_UNAVAILABLE, "%s", why);
    end_guest(worker, guest, NULL, &err);
}

static void cancel_abandoned(struct infer_worker *worker)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->guests[i] && infer_queue_abandoned(worker->options.queue, worker->guests[i]))
            cancel_guest(worker, &worker->guests[i], "the client has gone");
}

static void take_outside_event(struct infer_worker *worker, const struct infer_event *event)
{
    struct infer_served **guest = event->kind == INFER_PASS ? NULL : guest_by_id(worker, event->id);

    if (!guest)
        return;
    if (event->kind == INFER_TOKENS)
        infer_queue_tokens(worker->options.queue, *guest, event);
    else if (event->kind == INFER_DONE)
        end_guest(worker, guest, event, NULL);
    else
        end_guest(worker, guest, NULL, &event->failure);
}

/* One turn of serving; returns at once when there is nothing to do. */
static void serve(struct infer_worker *worker)
{
    struct infer_engine *engine;
    struct infer_event event;
    struct cap_err err = {0};

    cancel_abandoned(worker);
    if (worker->guest_count == 0)
        return;
    engine = worker->holder.engine;
    if (engine->ops->wait(engine, SERVE_WAIT_MS, &event, &err)) {
        take_outside_event(worker, &event);
    } else if (err.code != CAP_OK) {
        cap_log(ERROR, "engine_lost", "reason=%s", CAP_LOG_Q(err.text));
        end_all_guests(worker, &err);
        infer_holder_close(&worker->holder);
    }
}

/* Outside requests make way for a shard. */
static void clear_guests(struct infer_worker *worker, const char *why)
{
    int64_t until_ms = cap_clock_ms(cap_clock_system()) + OUTSIDE_GRACE_MS;
    struct cap_err err = {0};

    infer_queue_refuse(worker->options.queue, why);
    if (worker->held) {
        cap_fail(&err, CAP_UNAVAILABLE, "%s", why);
        infer_queue_end(worker->options.queue, cap_take(worker->held), NULL, &err);
    }
    while (worker->guest_count > 0 && cap_clock_ms(cap_clock_system()) < until_ms &&
           !infer_work_closed(worker->options.work))
        serve(worker);
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->guests[i])
            cancel_guest(worker, &worker->guests[i], why);
}

/* ---- leased shards ---- */

struct wanted {
    struct infer_work *work;
    const struct infer_lease *lease;
};

static bool is_unwanted(void *arg)
{
    const struct wanted *wanted = arg;

    return infer_work_closed(wanted->work) || !infer_work_wanted(wanted->work, wanted->lease);
}

static void shard_wish(const struct infer_worker *worker, const struct infer_spec *spec,
                       struct infer_wish *out)
{
    *out = (struct infer_wish){
        .engine = spec->engine,
        .model = spec->model,
        .precision = spec->precision,
        .device = spec->device,
        .concurrency =
            spec->concurrency > 0 ? spec->concurrency : worker->options.open_loop_in_flight_max,
        .threads = worker->options.threads,
        .url = spec->url,
        .served_model = spec->served_model,
        .api_key_env = spec->api_key_env,
        .model_config = spec->model_config,
        .rules = worker->options.server_rules,
    };
}

/* Unknown stays unknown: a model that cannot be digested can still be run. */
static void digest_model(struct infer_worker *worker, struct wanted *wanted,
                         char out[CAP_SHA256_HEX_BYTES])
{
    struct cap_err err = {0};

    out[0] = '\0';
    if (!worker->holder.model_path ||
        infer_models_digest(worker->options.models, worker->holder.model_path, is_unwanted, wanted,
                            out, &err))
        return;
    out[0] = '\0';
    if (err.code != CAP_CANCELLED)
        cap_log(WARN, "model_digest", "reason=%s", CAP_LOG_Q(err.text));
}

/* The engine, and the digest of its model, which is read whole if that was not done before. */
static bool open_for_shard(struct infer_worker *worker, const struct infer_job *job,
                           char out_sha256[CAP_SHA256_HEX_BYTES], struct cap_err *err)
{
    struct infer_progress loading = {.phase = "loading model"};
    struct wanted wanted = {worker->options.work, &job->lease};
    struct infer_wish wish;
    bool ok = true;

    shard_wish(worker, &job->spec, &wish);
    wish.unwanted = is_unwanted;
    wish.unwanted_arg = &wanted;
    infer_work_set_loading(worker->options.work, true);
    if (!infer_holder_fits(&worker->holder, &wish)) {
        infer_work_put_progress(worker->options.work, &job->lease, &loading);
        ok = infer_holder_open(&worker->holder, worker->options.models,
                               worker->options.any_model_path, &wish, err);
    }
    if (ok)
        digest_model(worker, &wanted, out_sha256);
    infer_work_set_loading(worker->options.work, false);
    return ok;
}

/* A model that stopped loading because nobody waits for it is no failure. */
static enum infer_shard_outcome end_unopened(struct infer_worker *worker,
                                             const struct infer_job *job, struct cap_err *err)
{
    struct wanted wanted = {worker->options.work, &job->lease};

    if (!is_unwanted(&wanted))
        return INFER_SHARD_FAILED;
    cap_err_clear(err);
    return INFER_SHARD_UNWANTED;
}

static enum infer_shard_outcome run_job(struct infer_worker *worker, const struct infer_job *job,
                                        struct cap_err *err)
{
    char sha256[CAP_SHA256_HEX_BYTES];
    struct infer_shard_setup setup = {
        .work = worker->options.work,
        .job = job,
        .model_sha256 = sha256,
        .hardware = worker->options.hardware,
        .clock = cap_clock_system(),
        .open_loop_in_flight_max = worker->options.open_loop_in_flight_max,
        .silence_ms_max = worker->options.silence_ms_max,
    };
    enum infer_shard_outcome outcome;

    if (!open_for_shard(worker, job, sha256, err))
        return end_unopened(worker, job, err);
    setup.engine = worker->holder.engine;

    outcome = infer_shard_run(&setup, err);
    if (outcome == INFER_SHARD_FAILED) /* it may be lost; the next shard opens it anew */
        infer_holder_close(&worker->holder);
    return outcome;
}

static const char *const outcome_names[] = {
    [INFER_SHARD_DONE] = "done",
    [INFER_SHARD_UNWANTED] = "unwanted",
    [INFER_SHARD_FAILED] = "failed",
};
static const enum infer_counter outcome_counters[] = {
    [INFER_SHARD_DONE] = INFER_M_shards_done_total,
    [INFER_SHARD_UNWANTED] = INFER_M_shards_unwanted_total,
    [INFER_SHARD_FAILED] = INFER_M_shards_failed_total,
};

static void take_job(struct infer_worker *worker, struct infer_job *job)
{
    int64_t started_ms = cap_clock_ms(cap_clock_system());
    struct cap_err err = {0};
    enum infer_shard_outcome outcome;

    cap_log(INFO, "shard_started", "run=%s shard=%u fence=%llu prompts=%d resumed=%d",
            job->lease.run_id, job->lease.shard, (unsigned long long)job->lease.fence,
            job->prompt_count, job->resumed);
    clear_guests(worker, "this node is measuring a run; try again when it has ended");
    outcome = run_job(worker, job, &err);
    infer_queue_refuse(worker->options.queue, NULL);
    infer_count(outcome_counters[outcome], 1);
    cap_log(INFO, "shard_ended", "run=%s shard=%u outcome=%s ms=%lld reason=%s", job->lease.run_id,
            job->lease.shard, outcome_names[outcome],
            (long long)(cap_clock_ms(cap_clock_system()) - started_ms), CAP_LOG_Q(err.text));
    infer_work_end(worker->options.work, &job->lease, outcome == INFER_SHARD_FAILED ? &err : NULL);
    infer_job_free(job);
}

/* ---- the thread ---- */

/* So that the first request is answered as fast as the others. */
static void open_served_model(struct infer_worker *worker)
{
    struct infer_wish wish;
    struct cap_err err = {0};

    if (!worker->options.serve_model || !*worker->options.serve_model)
        return;
    outside_wish(worker, worker->options.serve_model, &wish);
    if (!infer_holder_open(&worker->holder, worker->options.models, worker->options.any_model_path,
                           &wish, &err))
        cap_log(ERROR, "model_not_served", "reason=%s", CAP_LOG_Q(err.text));
}

static void *run_worker(void *arg)
{
    struct infer_worker *worker = arg;
    struct infer_work *work = worker->options.work;

    open_served_model(worker);
    while (!infer_work_closed(work)) {
        struct infer_job *job;

        if (infer_work_take(work, worker->guest_count || worker->held ? 0 : IDLE_WAIT_MS, &job)) {
            take_job(worker, job);
            continue;
        }
        admit_tickets(worker);
        serve(worker);
    }
    clear_guests(worker, "this node is ending");
    return NULL;
}

struct infer_worker *infer_worker_start(const struct infer_worker_options *options)
{
    struct infer_worker *worker = calloc(1, sizeof *worker);

    assert(worker);
    worker->options = *options;
    worker->guests = calloc((size_t)options->serve_concurrency, sizeof *worker->guests);
    assert(worker->guests);
    if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
        abort();
    return worker;
}

void infer_worker_free(struct infer_worker *worker)
{
    if (!worker)
        return;
    pthread_join(worker->thread, NULL);
    infer_holder_close(&worker->holder);
    free(worker->guests);
    free(worker);
}
