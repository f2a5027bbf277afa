/* One action at a time: ask the store, the evaluator or a node, and feed back what came of it.
 *
 * Patience. Whatever may pass by itself (sched_may_pass: away, overloaded, too late, a broken
 * connection) is asked again with growing pauses, for as long as the run is still in the state that
 * asked for it; nothing of a run is lost meanwhile, since everything here may be repeated. What can
 * never pass is an event with `final`, and its sentence becomes the run's reason.
 *
 * Lost replies. A deed whose reply was lost looks refused when it is asked for again: so after a
 * refusal the store is asked how it has the run (ask_store, find_from, end_finishing), and the
 * scheduler goes on from there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatcher_inside.h"
#include "log/log.h"
#include "service.h"

enum { PAUSE_GROWTH_MAX = 8, GRADE_BATCH = 128 };

static struct sched_job *hold_job(struct sched_dispatcher *d, const char *run_id)
{
    struct sched_job *job;

    pthread_mutex_lock(&d->lock);
    job = cap_map_get(d->jobs, run_id);
    if (job)
        sched_job_hold(job);
    pthread_mutex_unlock(&d->lock);
    return job;
}

bool sched_may_pass(const struct cap_err *err)
{
    return cap_code_retryable(err->code) || err->code == CAP_DEADLINE_EXCEEDED ||
           err->code == CAP_CANCELLED || err->code == CAP_UNKNOWN;
}

uint32_t sched_smaller_batch(uint32_t batch, const struct cap_err *err)
{
    uint32_t smaller = err->code == CAP_RESOURCE_EXHAUSTED  ? batch / 2 /* long texts */
                       : err->code == CAP_DEADLINE_EXCEEDED ? batch / 8 /* slow ones */
                                                            : batch;

    return smaller > 0 ? smaller : 1;
}

/* Pauses before the next try, longer after each; false when the program ends. */
static bool pause_before_retry(struct sched_dispatcher *d, const char *what, const char *run_id,
                               int tries, const struct cap_err *err)
{
    int growth = tries < 3 ? 1 << tries : PAUSE_GROWTH_MAX;

    sched_count(SCHED_METRIC_store_retries_total, 1);
    cap_log(WARN, "retry", "what=%s run=%s reason=%s", what, run_id, CAP_LOG_Q(err->text));
    return sched_dispatcher_pause(d, d->options.policy.retry_ms * growth);
}

/* ---- leases ---- */

static void keep_grant(struct sched_dispatcher *d, struct sched_job *job, const char *node_name,
                       const struct sched_grant *grant)
{
    pthread_mutex_lock(&d->lock);
    free(job->grant.ordinals_left);
    job->grant = *grant;
    snprintf(job->node_name, sizeof job->node_name, "%s", node_name);
    snprintf(job->phase, sizeof job->phase, "assigned");
    if (job->started_at_ms == 0)
        job->started_at_ms = cap_clock_wall_ms(cap_clock_system());
    pthread_mutex_unlock(&d->lock);
}

static void read_node_name(struct sched_dispatcher *d, const char *node_id,
                           char out[SCHED_NAME_BYTES])
{
    const struct sched_node *node;

    pthread_mutex_lock(&d->lock);
    node = sched_find_node(d->state, node_id);
    snprintf(out, SCHED_NAME_BYTES, "%s", node ? node->name : "");
    pthread_mutex_unlock(&d->lock);
}

/* The store refused what should have been possible: what does it know that we do not? */
static void ask_store(struct sched_dispatcher *d, const char *run_id)
{
    struct sched_event event = {.kind = SCHED_STORE_SAYS, .run_id = run_id};
    struct sched_seen seen;
    struct cap_err err = {0};

    if (!sched_client_look(&d->options.clients, run_id, &seen, &err)) {
        cap_log(WARN, "look_failed", "run=%s reason=%s", run_id, CAP_LOG_Q(err.text));
        return; /* the next refusal leads here again */
    }
    event.seen = seen.state;
    event.count = seen.answered;
    event.graded = seen.graded;
    event.reason = seen.reason;
    sched_dispatcher_event(d, &event);
}

static void do_lease(struct sched_dispatcher *d, struct sched_job *job,
                     const struct sched_action *a)
{
    struct sched_event event = {
        .kind = SCHED_LEASE_REFUSED, .run_id = a->run_id, .node_id = a->node_id};
    char node_name[SCHED_NAME_BYTES];
    struct sched_grant grant;
    struct cap_err err = {0};

    read_node_name(d, a->node_id, node_name);
    if (sched_client_lease(&d->options.clients, a->run_id, a->node_id, node_name,
                           d->options.lease_ms, &grant, &err)) {
        cap_log(INFO, "leased", "run=%s node=%s fence=%llu left=%zu", a->run_id, node_name,
                (unsigned long long)grant.fence, grant.ordinal_count);
        keep_grant(d, job, node_name, &grant);
        sched_count(SCHED_METRIC_leases_total, 1);
        event.kind = SCHED_LEASE_GRANTED;
        event.fence = grant.fence;
        sched_dispatcher_event(d, &event);
        return;
    }
    cap_log(WARN, "lease_refused", "run=%s node=%s reason=%s", a->run_id, node_name,
            CAP_LOG_Q(err.text));
    event.final = err.code == CAP_NOT_FOUND;
    event.away = sched_may_pass(&err);
    event.reason = err.text;
    sched_dispatcher_event(d, &event);
    if (!event.final && !event.away)
        ask_store(d, a->run_id);
}

static void do_release(struct sched_dispatcher *d, const struct sched_action *a)
{
    for (int tries = 0;; tries++) {
        struct cap_err err = {0};

        if (sched_client_release(&d->options.clients, a->run_id, a->fence, a->reason, &err) ||
            !sched_may_pass(&err) || !pause_before_retry(d, "release", a->run_id, tries, &err))
            return; /* if refused, the sweep takes the lease when its time is over */
    }
}

/* ---- moves ---- */

/* The store has the run elsewhere than we thought, as when a reply was lost or a batch came
 * between. True when the move is worth another try, from there. */
static bool find_from(struct sched_dispatcher *d, const struct sched_action *a,
                      enum sched_run_state *io_from, const struct cap_err *why)
{
    struct sched_seen seen;
    struct cap_err err = {0};

    if (!sched_client_look(&d->options.clients, a->run_id, &seen, &err))
        return sched_may_pass(&err);
    if (seen.state == a->to)
        return false;
    if (seen.state == *io_from || !sched_may_move(seen.state, a->to)) {
        cap_log(ERROR, "move_refused", "run=%s from=%s to=%s reason=%s", a->run_id,
                sched_state_name(seen.state), sched_state_name(a->to), CAP_LOG_Q(why->text));
        return false;
    }
    *io_from = seen.state;
    return true;
}

static void do_move(struct sched_dispatcher *d, const struct sched_action *a)
{
    enum sched_run_state from = a->from;

    for (int tries = 0;; tries++) {
        struct cap_err err = {0};

        if (sched_client_move(&d->options.clients, a->run_id, from, a->to, a->reason, &err))
            return;
        if (!sched_may_pass(&err)) {
            if (!find_from(d, a, &from, &err))
                return;
            if (tries == 0)
                continue;
        }
        if (!pause_before_retry(d, "move", a->run_id, tries, &err))
            return;
    }
}

/* ---- nodes ---- */

struct wanted {
    struct sched_dispatcher *dispatcher;
    const struct sched_action *action;
};

/* Does this node still have this run under this fence? */
static bool ask_wanted(void *argument)
{
    const struct wanted *w = argument;
    struct sched_dispatcher *d = w->dispatcher;
    const struct sched_run *run;
    bool yes;

    pthread_mutex_lock(&d->lock);
    run = sched_find_run(d->state, w->action->run_id);
    yes = run && !d->stopping && run->fence == w->action->fence &&
          (run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING);
    pthread_mutex_unlock(&d->lock);
    return yes;
}

static void tell_sent(void *argument, bool complete)
{
    const struct wanted *w = argument;
    const struct sched_event event = {.kind = SCHED_ASSIGN_SENT,
                                      .run_id = w->action->run_id,
                                      .node_id = w->action->node_id,
                                      .fence = w->action->fence,
                                      .final = complete};

    sched_dispatcher_event(w->dispatcher, &event);
}

/* A copy, because the next lease replaces the job's. */
static bool copy_grant(struct sched_dispatcher *d, const struct sched_job *job, uint64_t fence,
                       struct sched_grant *out)
{
    bool same;
    size_t bytes;

    pthread_mutex_lock(&d->lock);
    *out = job->grant;
    same = out->fence == fence;
    bytes = out->ordinal_count * sizeof *out->ordinals_left;
    out->ordinals_left = malloc(bytes + 1);
    if (!out->ordinals_left)
        abort();
    if (bytes > 0)
        memcpy(out->ordinals_left, job->grant.ordinals_left, bytes);
    pthread_mutex_unlock(&d->lock);
    return same;
}

static void do_assign(struct sched_dispatcher *d, struct sched_job *job,
                      const struct sched_action *a)
{
    struct wanted wanted = {d, a};
    struct sched_assignment assignment = {.job = job,
                                          .evaluator = d->options.clients.evaluator,
                                          .prompt_batch = d->options.prompt_batch,
                                          .retry_ms = d->options.policy.retry_ms,
                                          .wanted = ask_wanted,
                                          .sent = tell_sent,
                                          .arg = &wanted};
    struct sched_stream *stream = sched_stream_use(d->options.streams, a->node_id);
    struct cap_err err = {0};

    if (!stream)
        return; /* that it left is another event */
    if (copy_grant(d, job, a->fence, &assignment.grant) &&
        !d->options.assign(&assignment, stream, &err) && ask_wanted(&wanted)) {
        const struct sched_event event = {.kind = SCHED_SHARD_REFUSED,
                                          .run_id = a->run_id,
                                          .node_id = a->node_id,
                                          .fence = a->fence,
                                          .reason = err.text,
                                          .final = !sched_may_pass(&err)};

        cap_log(WARN, "assign_failed", "run=%s reason=%s", a->run_id, CAP_LOG_Q(err.text));
        sched_dispatcher_event(d, &event);
    }
    free(assignment.grant.ordinals_left);
    sched_stream_done(d->options.streams, stream);
}

static void do_stop(struct sched_dispatcher *d, const struct sched_action *a)
{
    struct sched_stream *stream = sched_stream_use(d->options.streams, a->node_id);
    int untold;

    if (!stream)
        return;
    /* a node that goes on beating with what it should not hold is told again with each beat */
    if (sched_stream_may_log(d->options.streams, stream, &untold))
        cap_log(INFO, "stop", "run=%s node=%s reason=%s untold=%d", a->run_id, a->node_id,
                CAP_LOG_Q(a->reason), untold);
    if (sched_stream_begin_stop(stream)) {
        d->options.stop_shard(stream, a->run_id, a->fence, a->reason);
        sched_stream_end_stop(stream);
    }
    sched_stream_done(d->options.streams, stream);
}

static void do_drop(struct sched_dispatcher *d, const struct sched_action *a)
{
    cap_log(WARN, "node_dropped", "id=%s reason=%s", a->node_id, CAP_LOG_Q(a->reason));
    sched_streams_drop(d->options.streams, a->node_id);
}

/* ---- grading ---- */

static bool is_grading(struct sched_dispatcher *d, const char *run_id)
{
    const struct sched_run *run;
    bool yes;

    pthread_mutex_lock(&d->lock);
    run = sched_find_run(d->state, run_id);
    yes = run && run->state == SCHED_RUN_GRADING && !run->cancelling && !d->stopping;
    pthread_mutex_unlock(&d->lock);
    return yes;
}

static void give_up_grading(struct sched_dispatcher *d, const char *run_id, bool final,
                            const char *reason)
{
    const struct sched_event event = {
        .kind = SCHED_GRADING_FAILED, .run_id = run_id, .reason = reason, .final = final};

    sched_dispatcher_event(d, &event);
}

static void do_grade(struct sched_dispatcher *d, struct sched_job *job,
                     const struct sched_action *a)
{
    struct sched_event event = {.kind = SCHED_GRADED, .run_id = a->run_id};
    uint32_t batch = GRADE_BATCH, before = 0;
    int tries = 0;

    while (!event.final && is_grading(d, a->run_id)) {
        struct cap_err err = {0};

        if (sched_evaluator_grade(d->options.clients.evaluator, job, batch, &event.count,
                                  &event.final, &err)) {
            tries = 0;
            if (!event.final && event.count <= before) {
                give_up_grading(d, a->run_id, true, "the verdicts are not of the answers sent");
                return;
            }
            before = event.count;
            sched_dispatcher_event(d, &event);
        } else if (!sched_may_pass(&err)) {
            give_up_grading(d, a->run_id, true, err.text);
            return;
        } else if (!pause_before_retry(d, "grade", a->run_id, tries++, &err)) {
            return;
        } else {
            batch = sched_smaller_batch(batch, &err);
        }
    }
}

/* A cancel came while the run was being finished. An earlier try may have been stored although its
 * reply was lost: then the cancel is too late. False when the store could not say. */
static bool end_finishing(struct sched_dispatcher *d, const char *run_id, bool tried)
{
    struct sched_event done = {.kind = SCHED_RUN_DONE, .run_id = run_id};
    struct sched_seen seen = {.state = SCHED_RUN_GRADING};
    struct cap_err err = {0};

    if (tried && !sched_client_look(&d->options.clients, run_id, &seen, &err) &&
        sched_may_pass(&err))
        return false;
    done.reason = seen.state == SCHED_RUN_INVALID ? seen.reason : "";
    if (seen.state == SCHED_RUN_FINISHED || seen.state == SCHED_RUN_INVALID)
        sched_dispatcher_event(d, &done);
    else
        give_up_grading(d, run_id, false, "cancelled");
    return true;
}

static void do_finish(struct sched_dispatcher *d, struct sched_job *job,
                      const struct sched_action *a)
{
    char invalid[SCHED_REASON_BYTES];
    const struct sched_event done = {
        .kind = SCHED_RUN_DONE, .run_id = a->run_id, .reason = invalid};

    for (int tries = 0;; tries++) {
        struct cap_err err = {0};

        if (!is_grading(d, a->run_id)) {
            if (end_finishing(d, a->run_id, tries > 0))
                return;
            cap_fail(&err, CAP_UNAVAILABLE, "the store does not say whether the run is finished");
        } else if (sched_evaluator_finish(d->options.clients.evaluator, job, invalid, &err)) {
            sched_dispatcher_event(d, &done);
            return;
        } else if (!sched_may_pass(&err)) {
            give_up_grading(d, a->run_id, true, err.text);
            return;
        }
        if (!pause_before_retry(d, "finish", a->run_id, tries, &err))
            return;
    }
}

/* ---- all of them ---- */

void sched_action_perform(struct sched_dispatcher *d, const struct sched_action *a)
{
    CAP_AUTO(sched_job) job = hold_job(d, a->run_id);

    switch (a->kind) {
    case SCHED_DO_STOP:
        do_stop(d, a);
        return;
    case SCHED_DO_DROP:
        do_drop(d, a);
        return;
    case SCHED_DO_RELEASE:
        do_release(d, a);
        return;
    case SCHED_DO_MOVE:
        do_move(d, a);
        return;
    default:
        break;
    }
    if (!job)
        return; /* forgotten: it has ended */
    if (a->kind == SCHED_DO_LEASE)
        do_lease(d, job, a);
    else if (a->kind == SCHED_DO_ASSIGN)
        do_assign(d, job, a);
    else if (a->kind == SCHED_DO_GRADE)
        do_grade(d, job, a);
    else if (a->kind == SCHED_DO_FINISH)
        do_finish(d, job, a);
}
