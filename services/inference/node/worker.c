/* The one thread that owns the engine, and what it does with it.
 *
 *     loop: an assignment? -> requests over HTTP make way -> open the engine -> run the shard
 *           none?          -> admit requests over HTTP    -> one event of the engine
 *
 * What is guaranteed:
 *   1. No other thread touches the engine, a session of it, or a request in flight. So none of
 *      them has a lock, and a shard is measured with nothing beside it.
 *   2. A leased shard goes first. Requests over HTTP that run get SERVED_GRACE_MS to end, new
 *      ones are refused until the shard has ended.
 *   3. An engine is kept open from one piece of work to the next that fits it (engine_slot.c).
 *      After a shard failed it is closed: it may be lost.
 *   4. Cancelling works also where the worker is busy with something long: opening a model,
 *      reading it for its digest and rendering a chat template all ask is_unwanted() as they go; a
 *      shard asks between events.
 *
 * Locks: the worker holds none of its own. It calls into infer_work (work.c) and infer_queue
 * (serve/queue.c), each with one lock that is held for moments; never into one from inside the
 * other.
 *
 * What can interleave: the lease may be stopped or replaced at any time. The worker notices at its
 * next question; what it puts down until then is thrown away by work.c. A request over HTTP may
 * lose its client at any time; the next turn cancels it in the engine. infer_work_close() ends the
 * loop at its next turn, and everything that runs with a reason. */
#include "node/worker.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "counters.h"
#include "http/url.h"
#include "log/log.h"
#include "node/fixed.h"
#include "node/shard.h"
#include "power/power.h"
#include "words/words.h"

enum {
    IDLE_WAIT_MS = 500,
    SERVE_WAIT_MS = 20,
    SERVED_GRACE_MS = 5000, /* for served requests to end before a shard begins */
};

struct infer_worker {
    struct infer_worker_options options;
    pthread_t thread;
    /* the thread's own */
    struct infer_engine_slot slot;
    struct infer_served **running; /* [serve_concurrency] requests over HTTP; NULL = free */
    int running_count;
    struct infer_served *waiting; /* wants another model: until none runs */
    uint64_t last_id;
};

/* Idle power is measured while nothing is under way. */
static void set_busy(struct infer_worker *worker, bool busy)
{
    if (worker->options.power)
        infer_power_set_busy(worker->options.power, busy);
}

/* ---- served requests: those of the HTTP endpoint ---- */

static void end_served(struct infer_worker *worker, struct infer_served **served,
                       const struct infer_event *done, const struct cap_err *failure)
{
    infer_queue_end(worker->options.queue, cap_take(*served), done, failure);
    worker->running_count--;
    set_busy(worker, worker->running_count > 0);
}

static void end_all_running(struct infer_worker *worker, const struct cap_err *failure)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->running[i])
            end_served(worker, &worker->running[i], NULL, failure);
}

static struct infer_served **running_by_id(struct infer_worker *worker, uint64_t id)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->running[i] && worker->running[i]->request.id == id)
            return &worker->running[i];
    return NULL;
}

static struct infer_served **free_place(struct infer_worker *worker)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (!worker->running[i])
            return &worker->running[i];
    return NULL;
}

static bool is_ending(void *arg)
{
    return infer_work_closed(arg);
}

static void outside_choice(const struct infer_worker *worker, const char *model,
                           struct infer_engine_choice *out)
{
    *out = (struct infer_engine_choice){.engine = worker->options.serve_engine,
                                        .model = model,
                                        .precision = worker->options.serve_precision,
                                        .concurrency = worker->options.serve_concurrency,
                                        .threads = worker->options.threads,
                                        .unwanted = is_ending,
                                        .unwanted_arg = worker->options.work};
}

/* The engine takes the request, or it ends with the reason. */
static void start_served(struct infer_worker *worker, struct infer_served *served)
{
    struct infer_served **place = free_place(worker);
    struct infer_engine *engine = worker->slot.engine;
    struct cap_err err = {0};

    served->request.id = ++worker->last_id;
    if (!engine->ops->submit(engine, &served->request, &err)) {
        infer_queue_end(worker->options.queue, served, NULL, &err);
        return;
    }
    infer_count(INFER_M_outside_requests_total, 1);
    *place = served;
    worker->running_count++;
    set_busy(worker, true);
}

/* False: it must wait until the engine is free to be replaced. */
static bool admit_one(struct infer_worker *worker, struct infer_served *served)
{
    struct infer_engine_choice choice;
    struct cap_err err = {0};

    outside_choice(worker, served->model, &choice);
    if (!infer_engine_slot_fits(&worker->slot, &choice)) {
        if (worker->running_count > 0)
            return false;
        if (!infer_engine_slot_open(&worker->slot, worker->options.models,
                                    worker->options.any_model_path, &choice, &err)) {
            infer_queue_end(worker->options.queue, served, NULL, &err);
            return true;
        }
    }
    start_served(worker, served);
    return true;
}

static void admit_waiting(struct infer_worker *worker)
{
    while (worker->running_count < worker->options.serve_concurrency) {
        struct infer_served *served = worker->waiting;

        if (!served)
            served = infer_queue_take(worker->options.queue);
        worker->waiting = NULL;
        if (!served)
            return;
        if (!admit_one(worker, served)) {
            worker->waiting = served;
            return;
        }
    }
}

static void cancel_served(struct infer_worker *worker, struct infer_served **served,
                          const char *why)
{
    struct infer_engine *engine = worker->slot.engine;
    struct cap_err err = {0};

    engine->ops->cancel(engine, (*served)->request.id);
    cap_fail(&err, CAP_UNAVAILABLE, "%s", why);
    end_served(worker, served, NULL, &err);
}

static void cancel_abandoned(struct infer_worker *worker)
{
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->running[i] && infer_queue_abandoned(worker->options.queue, worker->running[i]))
            cancel_served(worker, &worker->running[i], "the client has gone");
}

static void take_outside_event(struct infer_worker *worker, const struct infer_event *event)
{
    struct infer_served **served =
        event->kind == INFER_PASS ? NULL : running_by_id(worker, event->id);

    if (!served)
        return;
    if (event->kind == INFER_TOKENS)
        infer_queue_tokens(worker->options.queue, *served, event);
    else if (event->kind == INFER_DONE)
        end_served(worker, served, event, NULL);
    else
        end_served(worker, served, NULL, &event->failure);
}

/* One turn of serving; returns at once when there is nothing to do. */
static void serve(struct infer_worker *worker)
{
    struct infer_engine *engine;
    struct infer_event event;
    struct cap_err err = {0};

    cancel_abandoned(worker);
    if (worker->running_count == 0)
        return;
    engine = worker->slot.engine;
    if (engine->ops->wait(engine, SERVE_WAIT_MS, &event, &err)) {
        take_outside_event(worker, &event);
    } else if (err.code != CAP_OK) {
        cap_log(ERROR, "engine_lost", "reason=%s", CAP_LOG_Q(err.text));
        end_all_running(worker, &err);
        infer_engine_slot_close(&worker->slot);
    }
}

/* Served requests make way for a shard. */
static void clear_running(struct infer_worker *worker, const char *why)
{
    int64_t until_ms = cap_clock_ms(cap_clock_system()) + SERVED_GRACE_MS;
    struct cap_err err = {0};

    infer_queue_refuse(worker->options.queue, why);
    if (worker->waiting) {
        cap_fail(&err, CAP_UNAVAILABLE, "%s", why);
        infer_queue_end(worker->options.queue, cap_take(worker->waiting), NULL, &err);
    }
    while (worker->running_count > 0 && cap_clock_ms(cap_clock_system()) < until_ms &&
           !infer_work_closed(worker->options.work))
        serve(worker);
    for (int i = 0; i < worker->options.serve_concurrency; i++)
        if (worker->running[i])
            cancel_served(worker, &worker->running[i], why);
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

static void shard_choice(const struct infer_worker *worker, const struct infer_spec *spec,
                         struct infer_engine_choice *out)
{
    *out = (struct infer_engine_choice){
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
    if (!worker->slot.model_path ||
        infer_models_digest(worker->options.models, worker->slot.model_path, is_unwanted, wanted,
                            out, &err))
        return;
    out[0] = '\0';
    if (err.code != CAP_CANCELLED)
        cap_log(WARN, "model_digest", "reason=%s", CAP_LOG_Q(err.text));
}

/* The engine, and the digest of its model, which is read whole if that was not done before. */
static bool open_for_shard(struct infer_worker *worker, const struct infer_assignment *assignment,
                           char out_sha256[CAP_SHA256_HEX_BYTES], struct cap_err *err)
{
    struct infer_progress loading = {.phase = "loading model"};
    struct wanted wanted = {worker->options.work, &assignment->lease};
    struct infer_engine_choice choice;
    bool ok = true;

    shard_choice(worker, &assignment->spec, &choice);
    choice.unwanted = is_unwanted;
    choice.unwanted_arg = &wanted;
    infer_work_set_loading(worker->options.work, true);
    if (!infer_engine_slot_fits(&worker->slot, &choice)) {
        infer_work_put_progress(worker->options.work, &assignment->lease, &loading);
        ok = infer_engine_slot_open(&worker->slot, worker->options.models,
                                    worker->options.any_model_path, &choice, err);
    }
    if (ok)
        digest_model(worker, &wanted, out_sha256);
    infer_work_set_loading(worker->options.work, false);
    return ok;
}

/* A model that stopped loading because nobody waits for it has not failed. */
static enum infer_shard_outcome end_unopened(struct infer_worker *worker,
                                             const struct infer_assignment *assignment,
                                             struct cap_err *err)
{
    struct wanted wanted = {worker->options.work, &assignment->lease};

    if (!is_unwanted(&wanted))
        return INFER_SHARD_FAILED;
    cap_err_clear(err);
    return INFER_SHARD_UNWANTED;
}

/* A server behind a URL may be anywhere; our engine and a server that the node starts are here. */
static enum infer_power_scope power_scope(const struct infer_spec *spec)
{
    const struct cap_engine *engine = cap_engine_find(spec->engine);

    if (!engine || !engine->server)
        return INFER_POWER_PROCESSOR;
    return !spec->url || !*spec->url || cap_url_is_loopback(spec->url) ? INFER_POWER_HOST
                                                                       : INFER_POWER_ELSEWHERE;
}

/* Before the engine is opened: what the machine draws while it does nothing. */
static void await_idle_power(struct infer_worker *worker, struct wanted *wanted)
{
    struct infer_progress progress = {.phase = "measuring idle power"};
    struct infer_power *power = worker->options.power;

    if (power && infer_power_awaits_idle(power))
        infer_work_put_progress(wanted->work, wanted->lease, &progress);
    if (power)
        infer_power_await_idle(power, is_unwanted, wanted);
    set_busy(worker, true);
}

/* Of a run with fixed lengths. */
static bool make_prompts(struct infer_worker *worker, struct infer_assignment *assignment,
                         struct wanted *wanted, struct cap_err *err)
{
    const struct infer_fixed fixed = {.engine = worker->slot.engine,
                                      .assignment = assignment,
                                      .unwanted = is_unwanted,
                                      .unwanted_arg = wanted,
                                      .silence_ms_max = worker->options.silence_ms_max};

    return assignment->spec.input_tokens == 0 || infer_fixed_fill(&fixed, err);
}

static enum infer_shard_outcome run_assignment(struct infer_worker *worker,
                                               struct infer_assignment *assignment,
                                               struct cap_err *err)
{
    char sha256[CAP_SHA256_HEX_BYTES];
    struct infer_shard_setup setup = {
        .work = worker->options.work,
        .assignment = assignment,
        .model_sha256 = sha256,
        .hardware = worker->options.hardware,
        .clock = cap_clock_system(),
        .open_loop_in_flight_max = worker->options.open_loop_in_flight_max,
        .silence_ms_max = worker->options.silence_ms_max,
        .power = worker->options.power,
        .power_scope = power_scope(&assignment->spec),
    };
    struct wanted wanted = {worker->options.work, &assignment->lease};
    enum infer_shard_outcome outcome;

    await_idle_power(worker, &wanted);
    if (!open_for_shard(worker, assignment, sha256, err))
        return end_unopened(worker, assignment, err);
    setup.engine = worker->slot.engine;
    for (int i = 0; i < assignment->prompt_count; i++) {
        assignment->prompts[i].request.unwanted = is_unwanted;
        assignment->prompts[i].request.unwanted_arg = &wanted;
    }
    setup.engine->unwanted = is_unwanted; /* a stop ends a long step in its middle, too */
    setup.engine->unwanted_arg = &wanted;
    outcome = make_prompts(worker, assignment, &wanted, err) ? infer_shard_run(&setup, err)
              : is_unwanted(&wanted)                         ? INFER_SHARD_UNWANTED
                                                             : INFER_SHARD_FAILED;
    setup.engine->unwanted = NULL;
    if (outcome == INFER_SHARD_FAILED) /* it may be lost; the next shard opens it again */
        infer_engine_slot_close(&worker->slot);
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

static void take_assignment(struct infer_worker *worker, struct infer_assignment *assignment)
{
    int64_t started_ms = cap_clock_ms(cap_clock_system());
    struct cap_err err = {0};
    enum infer_shard_outcome outcome;

    cap_log(INFO, "shard_started", "run=%s shard=%u fence=%llu prompts=%d resumed=%d",
            assignment->lease.run_id, assignment->lease.shard,
            (unsigned long long)assignment->lease.fence, assignment->prompt_count,
            assignment->resumed);
    clear_running(worker, "this node is measuring a run; try again when it has ended");
    outcome = run_assignment(worker, assignment, &err);
    set_busy(worker, false);
    infer_queue_refuse(worker->options.queue, NULL);
    infer_count(outcome_counters[outcome], 1);
    cap_log(INFO, "shard_ended", "run=%s shard=%u outcome=%s ms=%lld reason=%s",
            assignment->lease.run_id, assignment->lease.shard, outcome_names[outcome],
            (long long)(cap_clock_ms(cap_clock_system()) - started_ms), CAP_LOG_Q(err.text));
    infer_work_end(worker->options.work, &assignment->lease,
                   outcome == INFER_SHARD_FAILED ? &err : NULL);
    infer_assignment_free(assignment);
}

/* ---- the thread ---- */

/* So that the first request is answered as fast as the others. */
static void open_served_model(struct infer_worker *worker)
{
    struct infer_engine_choice choice;
    struct cap_err err = {0};

    if (!worker->options.serve_model || !*worker->options.serve_model)
        return;
    outside_choice(worker, worker->options.serve_model, &choice);
    if (!infer_engine_slot_open(&worker->slot, worker->options.models,
                                worker->options.any_model_path, &choice, &err) &&
        err.code != CAP_CANCELLED) /* the node ends, which says why itself */
        cap_log(ERROR, "model_not_served", "reason=%s", CAP_LOG_Q(err.text));
}

static void *run_worker(void *arg)
{
    struct infer_worker *worker = arg;
    struct infer_work *work = worker->options.work;

    set_busy(worker, true);
    open_served_model(worker);
    set_busy(worker, false);
    while (!infer_work_closed(work)) {
        struct infer_assignment *assignment;

        if (infer_work_take(work, worker->running_count || worker->waiting ? 0 : IDLE_WAIT_MS,
                            &assignment)) {
            take_assignment(worker, assignment);
            continue;
        }
        admit_waiting(worker);
        serve(worker);
    }
    clear_running(worker, "this node is ending");
    return NULL;
}

struct infer_worker *infer_worker_start(const struct infer_worker_options *options)
{
    struct infer_worker *worker = calloc(1, sizeof *worker);

    assert(worker);
    worker->options = *options;
    worker->running = calloc((size_t)options->serve_concurrency, sizeof *worker->running);
    assert(worker->running);
    if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
        abort();
    return worker;
}

void infer_worker_free(struct infer_worker *worker)
{
    if (!worker)
        return;
    pthread_join(worker->thread, NULL);
    infer_engine_slot_close(&worker->slot);
    free(worker->running);
    free(worker);
}
