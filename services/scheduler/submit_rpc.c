/* Submit and Cancel.
 *
 * Submit: fill in what was left out, collect every fault, make the canonical form and its hash,
 * plan the runs (one a task and repeat, each with its samples), and hand all of it to the store in
 * one call. The store answers with the ids of the same configuration when that is queued or running
 * already, so a reply that got lost does no harm: the call is repeated, and what it queued is taken
 * over from the store. Nothing is kept here before the store has it.
 *
 * Cancel asks the dispatcher and waits a moment for the store to know, so that the reply tells
 * which runs are cancelled and which had ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admit.h"
#include "base/clock.h"
#include "digest/digest.h"
#include "log/log.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

enum {
    LIST_ARENA_BYTES = 64 << 20,
    ENQUEUE_TRIES_MAX = 4,
    CANCEL_WAIT_MS = 1000,
};

/* ---- submit ---- */

/* Said here rather than by a node after a wait in the queue. */
static bool check_replay(const Moecap__V1__EvaluationSpec *spec, const char *task, size_t samples,
                         struct cap_err *err)
{
    size_t times = cap_spec_replay_times(spec);

    return times == 0 || times >= samples ||
           cap_fail_field(err, CAP_INVALID_ARGUMENT, "spec.load.replay",
                          "load.replay has %zu times, and task \"%s\" %zu samples; use limit %zu",
                          times, task, samples, times);
}

/* An evaluation on its way to runs: what the store is asked, and what the submitter is answered. */
struct plan {
    const Moecap__V1__EvaluationSpec *spec;
    Moecap__V1__EnqueueRequest *enqueue;
    Moecap__V1__SubmitReply *reply;
    struct cap_arena *arena;
};

/* One run a task and repeat, in both. */
static bool plan_task(struct sched_service *service, struct plan *plan, const char *task,
                      struct cap_err *err)
{
    const Moecap__V1__EvaluationSpec *spec = plan->spec;
    struct cap_arena *arena = plan->arena;
    Moecap__V1__GetTaskRequest request = MOECAP__V1__GET_TASK_REQUEST__INIT;
    struct sched_selection selection;
    Moecap__V1__GetTaskReply *got;

    request.name = (char *)task;
    if (!store_rpc_get_task(service->clients.store, NULL, &request, arena, &got, err) ||
        !sched_select(spec, task, got->task->samples, arena, &selection, err) ||
        !check_replay(spec, task, selection.count, err))
        return false;
    for (uint32_t repeat = 0; repeat < spec->repeats; repeat++) {
        Moecap__V1__EnqueueRun *run = cap_arena_alloc(arena, sizeof *run);
        Moecap__V1__PlannedRun *planned = cap_arena_alloc(arena, sizeof *planned);
        uint32_t *sizes = cap_arena_array(arena, 1, sizeof *sizes);

        if (!run || !planned || !sizes)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
        moecap__v1__enqueue_run__init(run);
        moecap__v1__planned_run__init(planned);
        run->task = planned->task = (char *)task;
        run->task_id = got->task_id;
        run->repeat = planned->repeat = repeat;
        run->n_ordinals = selection.count;
        run->ordinals = selection.ordinals;
        sizes[0] = planned->samples = (uint32_t)selection.count;
        run->n_shard_sizes = 1;
        run->shard_sizes = sizes;
        plan->enqueue->runs[plan->enqueue->n_runs++] = run;
        plan->reply->runs[plan->reply->n_runs++] = planned;
    }
    return true;
}

static bool plan_all(struct sched_service *service, struct plan *plan, struct cap_err *err)
{
    const Moecap__V1__EvaluationSpec *spec = plan->spec;
    Moecap__V1__EnqueueRequest *enqueue = plan->enqueue;
    Moecap__V1__SubmitReply *reply = plan->reply;
    size_t runs = spec->n_tasks * spec->repeats, slots = 0;

    enqueue->runs = cap_arena_array(plan->arena, runs, sizeof *enqueue->runs);
    reply->runs = cap_arena_array(plan->arena, runs, sizeof *reply->runs);
    if (!enqueue->runs || !reply->runs)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation has too many runs");
    for (size_t i = 0; i < spec->n_tasks; i++)
        if (!plan_task(service, plan, spec->tasks[i], err))
            return false;
    for (size_t i = 0; i < enqueue->n_runs; i++)
        slots += enqueue->runs[i]->n_ordinals;
    if (slots > SCHED_SAMPLES_MAX)
        return cap_fail_field(
            err, CAP_INVALID_ARGUMENT, "spec.limit",
            "%zu runs have %zu samples together, more than %d; use limit, sampling or "
            "fewer repeats",
            enqueue->n_runs, slots, SCHED_SAMPLES_MAX);
    return true;
}

enum { WARNINGS_MAX = 3 };

static void warn(Moecap__V1__SubmitReply *reply, const char *text)
{
    if (text && reply->warnings && reply->n_warnings < WARNINGS_MAX)
        reply->warnings[reply->n_warnings++] = (char *)text;
}

static void add_warnings(struct sched_service *service, const Moecap__V1__EvaluationSpec *spec,
                         struct cap_arena *arena, Moecap__V1__SubmitReply *reply)
{
    char reason[SCHED_REASON_BYTES];
    struct sched_needs needs;

    reply->warnings = cap_arena_array(arena, WARNINGS_MAX, sizeof *reply->warnings);
    sched_needs_of(spec, &needs);
    sched_dispatcher_why_none(service->dispatcher, &needs, reason);
    reply->no_node = *reason != '\0';
    if (reply->no_node)
        warn(reply, cap_arena_printf(arena, "nothing runs yet: %s", reason));
    warn(reply, sched_hardware_doubt(spec, arena));
}

static void add_runs(struct sched_service *service, const Moecap__V1__EvaluationSpec *spec,
                     const Moecap__V1__EnqueueRequest *enqueue,
                     const Moecap__V1__EnqueueReply *done)
{
    for (size_t i = 0; i < done->n_run_ids && i < enqueue->n_runs; i++) {
        const Moecap__V1__EnqueueRun *wire = enqueue->runs[i];
        struct sched_job *job =
            sched_job_from_wire(enqueue->spec, done->run_ids[i], done->evaluation_id, wire->task,
                                wire->task_id, wire->repeat);
        struct sched_run run;

        job->queued_at_ms = cap_clock_wall_ms(cap_clock_system());
        sched_run_from_spec(spec, job, &run);
        run.queued_at_ms = cap_clock_ms(cap_clock_system());
        run.total = (uint32_t)wire->n_ordinals;
        sched_dispatcher_add(service->dispatcher, job, &run);
    }
}

/* A reply that got lost may hide that the store took it: asked again it answers with the same ids.
 */
static bool enqueue_surely(struct sched_service *service, const Moecap__V1__EnqueueRequest *enqueue,
                           struct cap_arena *arena, Moecap__V1__EnqueueReply **out_done,
                           struct cap_err *err)
{
    for (int tries = 1;; tries++) {
        if (store_rpc_enqueue(service->clients.store, NULL, enqueue, arena, out_done, err))
            return true;
        if (tries == ENQUEUE_TRIES_MAX || !sched_may_pass(err) ||
            !sched_dispatcher_pause(service->dispatcher, service->retry_ms))
            return false;
        cap_err_clear(err);
    }
}

/* Prices are not in the config hash: those of the first submission stay. */
static const char *price_doubt(const Moecap__V1__EvaluationSpec *spec)
{
    return spec->cost
               ? "it keeps the prices that it was submitted with first; `moecap cost` counts "
                 "with others, without running it again"
               : NULL;
}

static bool enqueue_runs(struct sched_service *service, const Moecap__V1__EvaluationSpec *spec,
                         Moecap__V1__EnqueueRequest *enqueue, struct cap_arena *arena,
                         Moecap__V1__SubmitReply *reply, struct cap_err *err)
{
    Moecap__V1__EnqueueReply *done;

    if (!enqueue_surely(service, enqueue, arena, &done, err))
        return cap_fail_in(err, "store");
    reply->evaluation_id = done->evaluation_id;
    reply->duplicate = done->duplicate;
    for (size_t i = 0; i < done->n_run_ids && i < reply->n_runs; i++)
        reply->runs[i]->run_id = done->run_ids[i];
    sched_count(done->duplicate ? SCHED_METRIC_duplicates_total : SCHED_METRIC_submits_total, 1);
    cap_log(INFO, "submitted", "evaluation=%s runs=%zu duplicate=%d submitter=%s model=%s",
            done->evaluation_id, done->n_run_ids, done->duplicate, CAP_LOG_Q(spec->submitter),
            CAP_LOG_Q(spec->model));
    if (done->duplicate)
        warn(reply, price_doubt(spec));
    if (!done->duplicate)
        add_runs(service, spec, enqueue, done);
    else if (done->n_run_ids > 0 && !sched_dispatcher_knows(service->dispatcher, done->run_ids[0]))
        return sched_restore_once(service, err); /* queued by a call whose reply was lost */
    return true;
}

/* A refusal tells the caller of each wrong field. */
static bool admit(struct cap_rpc_call *call, const Moecap__V1__EvaluationSpec *spec,
                  struct cap_arena *arena, struct cap_err *err)
{
    struct cap_spec_faults faults = {.count = 0};
    struct sched_known known;

    if (!sched_gather_known(cap_rpc_self(call), arena, &known, err))
        return false;
    sched_admit(spec, &known, &faults);
    for (size_t i = 0; i < faults.count; i++)
        cap_rpc_fault(call, faults.items[i].field, faults.items[i].sentence);
    return cap_spec_faults_fail(&faults, err);
}

static bool submit(struct cap_rpc_call *call, const Moecap__V1__SubmitRequest *request,
                   struct cap_arena *arena, Moecap__V1__SubmitReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    Moecap__V1__EnqueueRequest enqueue = MOECAP__V1__ENQUEUE_REQUEST__INIT;
    Moecap__V1__EvaluationSpec *spec = request->spec;
    struct plan plan = {spec, &enqueue, reply, arena};
    char hash[CAP_SHA256_HEX_BYTES];
    const char *json;

    if (!spec)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "spec", "the request holds no evaluation");
    if (!cap_spec_fill(spec, arena))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the evaluation is too large");
    if (!admit(call, spec, arena, err) || !sched_resolve_profile(service, spec, arena, err) ||
        !(json = cap_spec_canonical(spec, arena, err)))
        return false;
    cap_sha256_hex(json, strlen(json), hash);
    enqueue.spec = spec;
    enqueue.spec_json = (char *)json;
    enqueue.config_hash = reply->config_hash = cap_arena_strdup(arena, hash);
    add_warnings(service, spec, arena, reply);
    if (!plan_all(service, &plan, err))
        return false;
    return request->dry_run || enqueue_runs(service, spec, &enqueue, arena, reply, err);
}

bool sched_handle_submit(struct cap_rpc_call *call, const Moecap__V1__SubmitRequest *request,
                         Moecap__V1__SubmitReply *reply, struct cap_err *err)
{
    /* a plan of many samples is larger than what one request's size would allow */
    CAP_AUTO(cap_arena) arena = cap_arena_new(LIST_ARENA_BYTES);
    Moecap__V1__SubmitReply made = MOECAP__V1__SUBMIT_REPLY__INIT;
    Moecap__V1__SubmitReply *copy;

    if (!sched_restore_wait(cap_rpc_self(call), call, err) ||
        !submit(call, request, arena, &made, err)) {
        sched_count(SCHED_METRIC_submits_refused_total, 1);
        return false;
    }
    /* the reply must live in the call's arena */
    copy = (Moecap__V1__SubmitReply *)cap_rpc_copy(&made.base, cap_rpc_arena(call));
    if (!copy)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the plan is too large for one reply");
    *reply = *copy;
    return true;
}

/* ---- cancel ---- */

static void ask_cancel(struct sched_service *service, const struct sched_view *views, size_t count,
                       const char *reason)
{
    for (size_t i = 0; i < count; i++) {
        const struct sched_event event = {
            .kind = SCHED_CANCEL_ASKED, .run_id = views[i].run.id, .reason = reason};

        sched_dispatcher_event(service->dispatcher, &event);
    }
}

/* A run that is being leased or finished ends a moment later, one way or the other; and once the
 * store knows, no death undoes it. */
static size_t wait_for_cancel(struct sched_service *service, const char *id,
                              struct sched_view **out_views)
{
    int64_t until = cap_clock_ms(cap_clock_system()) + CANCEL_WAIT_MS;
    uint64_t version = 0;

    for (;;) {
        size_t count = sched_dispatcher_views(service->dispatcher, id, out_views);
        bool ended = true;

        for (size_t i = 0; i < count; i++)
            ended = ended && sched_state_ended((*out_views)[i].run.state) && (*out_views)[i].stored;
        if (ended || cap_clock_ms(cap_clock_system()) >= until)
            return count;
        sched_views_free(*out_views, count);
        sched_dispatcher_wait(service->dispatcher, &version, CANCEL_WAIT_MS / 10);
    }
}

static bool cancel_ended(struct cap_rpc_call *call, const char *id, Moecap__V1__CancelReply *reply,
                         struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct sched_found found;

    if (!sched_find_in_store(cap_rpc_self(call), id, arena, &found, err))
        return false;
    reply->ended_ids = cap_arena_array(arena, found.count + 1, sizeof(char *));
    for (size_t i = 0; reply->ended_ids && i < found.count; i++)
        reply->ended_ids[reply->n_ended_ids++] = found.runs[i]->run_id;
    return true;
}

/* The view of that run; `near` is where it was in the list before. NULL: it is forgotten. */
static const struct sched_view *find_view(const struct sched_view *views, size_t count, size_t near,
                                          const char *run_id)
{
    for (size_t i = 0; i < count; i++) {
        const struct sched_view *view = &views[(near + count - i) % count];

        if (strcmp(view->run.id, run_id) == 0)
            return view;
    }
    return NULL;
}

/* It had ended, or has ended otherwise meanwhile. One that is forgotten by now had ended long ago.
 */
static bool came_late(const struct sched_view *before, const struct sched_view *after)
{
    return sched_state_ended(before->run.state) || !after ||
           (sched_state_ended(after->run.state) && after->run.state != SCHED_RUN_CANCELLED);
}

bool sched_handle_cancel(struct cap_rpc_call *call, const Moecap__V1__CancelRequest *request,
                         Moecap__V1__CancelReply *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    struct sched_view *before, *after;
    size_t count, now_count;

    if (!*request->id)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "id",
                              "cancel needs the id of a run or an evaluation");
    if (!sched_restore_wait(service, call, err))
        return false;
    count = sched_dispatcher_views(service->dispatcher, request->id, &before);
    if (count == 0) {
        sched_views_free(before, count);
        return cancel_ended(call, request->id, reply, err);
    }
    ask_cancel(service, before, count, request->reason);
    now_count = wait_for_cancel(service, request->id, &after);
    reply->run_ids = cap_arena_array(arena, count + 1, sizeof(char *));
    reply->ended_ids = cap_arena_array(arena, count + 1, sizeof(char *));
    for (size_t i = 0; reply->run_ids && reply->ended_ids && i < count; i++) {
        char *id = cap_arena_strdup(arena, before[i].run.id);

        if (!id)
            break;
        if (came_late(&before[i], find_view(after, now_count, i, id)))
            reply->ended_ids[reply->n_ended_ids++] = id;
        else
            reply->run_ids[reply->n_run_ids++] = id;
    }
    sched_views_free(before, count);
    sched_views_free(after, now_count);
    return true;
}
