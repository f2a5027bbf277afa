/* Calls of the evaluator: Keep, Render, Grade and Measure, each between begin_ask and end_ask.
 *
 * begin_ask lets calls pass side by side, but for a call of a suspect, which is alone (`calls`,
 * `waiting_alone`, `alone`); suspects that wait go before calls that come later, so that they are
 * not starved. end_ask decides what a call that failed says about its run. The digests of each task
 * that was sent are remembered by the task's id. The lock guards both and is held for no call.
 */
#include "clients.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "digest/digest.h"
#include "log/log.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "rpc/rpc.h"

enum {
    CALL_ARENA_BYTES = 256 << 20,
    ASK_MS_MAX = 30000,      /* of one Render, Grade or message of Keep */
    MEASURE_MS_MAX = 600000, /* of all evidence of a run */
    KEEP_PIECE_BYTES = 1 << 20,
    POOL_ARENA_BYTES = 256 << 20, /* of a pool of 64 MiB */
    TASKS_NAMED_MAX = 1024,       /* whose names are remembered */
    GONE_MS_MAX = 100, /* so soon after a call a connection that broke is seen to be broken */
    GONE_STEP_MS = 10,
    AWAY_MS_MAX = 200, /* so long a suspect waits for the evaluator to be there */
};

struct names { /* of a task and its pool, as the evaluator keeps them */
    char definition[CAP_SHA256_HEX_BYTES], fewshot[CAP_SHA256_HEX_BYTES];
};

struct sched_evaluator {
    struct cap_rpc_channel *channel, *store;
    pthread_mutex_t lock; /* guards what follows; held for no call */
    pthread_cond_t left;
    int calls, waiting_alone; /* on their way; suspects that wait to be alone */
    bool alone;
    struct cap_map *names; /* task id -> struct names */
};

/* ---- whom to blame ---- */

static void enter(struct sched_evaluator *e, bool alone)
{
    pthread_mutex_lock(&e->lock);
    e->waiting_alone += alone;
    while (e->alone || (alone ? e->calls > 0 : e->waiting_alone > 0))
        pthread_cond_wait(&e->left, &e->lock);
    e->waiting_alone -= alone;
    e->alone = alone;
    e->calls++;
    pthread_mutex_unlock(&e->lock);
}

static void leave(struct sched_evaluator *e)
{
    pthread_mutex_lock(&e->lock);
    e->calls--;
    e->alone = false;
    pthread_cond_broadcast(&e->left);
    pthread_mutex_unlock(&e->lock);
}

/* One that refuses a call because it is busy or about to end is still there a moment later. */
static bool is_gone(struct sched_evaluator *e)
{
    for (int left = GONE_MS_MAX; left > 0; left -= GONE_STEP_MS) {
        struct cap_err ignored = {0};

        if (!cap_rpc_channel_wait(e->channel, 0, &ignored))
            return true;
        cap_sleep_ms(GONE_STEP_MS);
    }
    return false;
}

/* A call for a run, between begin_ask and end_ask. */
struct ask {
    struct sched_evaluator *evaluator;
    struct sched_job *job;
    const char *doing; /* "rendered" */
    bool alone;
    struct cap_arena *arena; /* of the reply, if it is kept */
    struct names names;      /* of the job's task: the request borrows them */
};

static bool begin_ask(struct ask *ask, struct cap_err *err)
{
    ask->alone = ask->job->suspect;
    enter(ask->evaluator, ask->alone);
    if (!ask->alone || cap_rpc_channel_wait(ask->evaluator->channel, AWAY_MS_MAX, err))
        return true;
    leave(ask->evaluator);
    return false;
}

/* Passes on how the call ended; blames the run when it was alone. */
static bool end_ask(const struct ask *ask, bool ok, struct cap_err *err)
{
    bool late = !ok && err->code == CAP_DEADLINE_EXCEEDED;
    bool gone = !ok && !late && err->code == CAP_UNAVAILABLE && is_gone(ask->evaluator);

    leave(ask->evaluator);
    if (ok)
        ask->job->suspect = false;
    if (!late && !gone)
        return ok;
    if (!ask->alone) {
        ask->job->suspect = true;
        return false;
    }
    cap_log(ERROR, "evaluator_ended", "run=%s doing=%s reason=%s", ask->job->run_id, ask->doing,
            CAP_LOG_Q(err->text));
    cap_err_clear(err);
    if (late)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the evaluator, asked twice, did not answer in time when it %s this run",
                        ask->doing);
    return cap_fail(err, CAP_FAILED_PRECONDITION, "the evaluator ended twice while it %s this run",
                    ask->doing);
}

/* ---- a task is sent once ---- */

static const char *task_key(const struct sched_job *job, char out[24])
{
    snprintf(out, 24, "%llu", (unsigned long long)job->task_id);
    return out;
}

static bool find_names(struct sched_evaluator *e, const struct sched_job *job, struct names *out)
{
    const struct names *found;
    char key[24];

    pthread_mutex_lock(&e->lock);
    found = cap_map_get(e->names, task_key(job, key));
    if (found)
        *out = *found;
    pthread_mutex_unlock(&e->lock);
    return found != NULL;
}

static void remember_names(struct sched_evaluator *e, const struct sched_job *job,
                           const struct names *names)
{
    struct names *copy = malloc(sizeof *copy);
    char key[24];

    if (!copy)
        abort();
    *copy = *names;
    pthread_mutex_lock(&e->lock);
    while (cap_map_count(e->names) >= TASKS_NAMED_MAX)
        free(cap_map_remove(e->names, cap_map_key_at(e->names, 0)));
    free(cap_map_put(e->names, task_key(job, key), copy));
    pthread_mutex_unlock(&e->lock);
}

/* The task's few-shot pool, which may be larger than a message, put beside it. */
static bool read_pool(const struct sched_evaluator *e, Moecap__V1__GetTaskReply *task,
                      struct cap_arena *arena, struct cap_err *err)
{
    size_t count = task->task->fewshot_samples;

    task->fewshot = cap_arena_array(arena, count + 1, sizeof *task->fewshot);
    while (task->fewshot && task->n_fewshot < count) {
        Moecap__V1__ReadDocsRequest request = MOECAP__V1__READ_DOCS_REQUEST__INIT;
        Moecap__V1__ReadDocsReply *piece;

        request.task_id = task->task_id;
        request.opt_pool_case = MOECAP__V1__READ_DOCS_REQUEST__OPT_POOL_POOL_FROM;
        request.pool_from = (uint32_t)task->n_fewshot;
        if (!store_rpc_read_docs(e->store, NULL, &request, arena, &piece, err))
            return false;
        if (piece->n_docs == 0 || piece->n_docs > count - task->n_fewshot)
            return cap_fail(err, CAP_INTERNAL,
                            "the few-shot pool does not have the %zu examples that were announced",
                            count);
        memcpy(task->fewshot + task->n_fewshot, piece->docs, piece->n_docs * sizeof *piece->docs);
        task->n_fewshot += piece->n_docs;
    }
    return task->fewshot || cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the few-shot pool is too large");
}

/* In pieces, since a pool may be larger than a message. */
static bool send_pool(struct cap_rpc_call *call, const Moecap__V1__GetTaskReply *task)
{
    size_t from = 0;
    bool first = true;

    while (first || from < task->n_fewshot) {
        Moecap__V1__KeepRequest piece = MOECAP__V1__KEEP_REQUEST__INIT;
        size_t bytes = 0;

        if (first)
            piece.definition = task->task->definition;
        piece.fewshot = task->fewshot + from;
        while (from < task->n_fewshot && bytes < KEEP_PIECE_BYTES) {
            bytes += strlen(task->fewshot[from++]->json);
            piece.n_fewshot++;
        }
        if (!evaluator_rpc_keep_send_request(call, &piece))
            return false;
        first = false;
    }
    return cap_rpc_send_done(call);
}

static bool keep(struct sched_evaluator *e, struct sched_job *job,
                 const Moecap__V1__GetTaskReply *task, struct names *out, struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = ASK_MS_MAX};
    struct ask ask = {e, job, "prepared the task of"};
    const Moecap__V1__KeepReply *reply;
    struct cap_rpc_call *call;
    bool ok;

    if (!begin_ask(&ask, err))
        return false;
    call = evaluator_rpc_keep_open(e->channel, &options);
    send_pool(call, task); /* if it breaks, closing says why */
    reply = evaluator_rpc_keep_next_reply(call);
    if (reply) {
        snprintf(out->definition, sizeof out->definition, "%s", reply->definition_sha256);
        snprintf(out->fewshot, sizeof out->fewshot, "%s", reply->fewshot_sha256);
    }
    ok = cap_rpc_close(call, err) && reply;
    if (!ok && err->code == CAP_OK)
        cap_fail(err, CAP_INTERNAL, "the evaluator does not say what it keeps of the task");
    return end_ask(&ask, ok, err);
}

/* The names of the run's task; `again`: the evaluator did not know those that it had. */
static bool name_task(struct sched_evaluator *e, struct sched_job *job, bool again,
                      struct names *out, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = NULL;
    Moecap__V1__GetTaskRequest request = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__GetTaskReply *task;

    if (!again && find_names(e, job, out))
        return true;
    arena = cap_arena_new(POOL_ARENA_BYTES);
    request.name = job->task;
    request.task_id = job->task_id;
    if (!store_rpc_get_task(e->store, NULL, &request, arena, &task, err) ||
        !read_pool(e, task, arena, err) || !keep(e, job, task, out, err))
        return false;
    remember_names(e, job, out);
    return true;
}

/* The evaluator does not keep the task: worth sending it again, at once the first time. Later it is
 * short of room for all the tasks in use, which passes. */
static bool send_again(int tries, struct cap_err *err)
{
    if (err->code != CAP_NOT_FOUND)
        return false;
    cap_err_clear(err);
    return tries == 0 ||
           cap_fail(err, CAP_UNAVAILABLE, "the evaluator does not keep the task that it was sent");
}

/* ---- prompts ---- */

static bool render(struct ask *ask, Moecap__V1__RenderRequest *request,
                   Moecap__V1__RenderReply **out_reply, struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = ASK_MS_MAX};
    struct cap_rpc_channel *channel = ask->evaluator->channel;
    bool ok;

    request->definition_sha256 = ask->names.definition;
    request->fewshot_sha256 = ask->names.fewshot;
    if (!begin_ask(ask, err))
        return false;
    ok = evaluator_rpc_render(channel, &options, request, ask->arena, out_reply, err);
    return end_ask(ask, ok, err);
}

/* Sends the task as often as the evaluator needs it. */
static bool render_named(struct ask *ask, Moecap__V1__RenderRequest *request,
                         Moecap__V1__RenderReply **out_reply, struct cap_err *err)
{
    for (int tries = 0;; tries++) {
        if (!name_task(ask->evaluator, ask->job, tries > 0, &ask->names, err))
            return false;
        if (render(ask, request, out_reply, err))
            return true;
        if (!send_again(tries, err))
            return cap_fail_in(err, "render");
    }
}

bool sched_evaluator_render(struct sched_evaluator *e, struct sched_job *job,
                            const struct sched_ordinals *which, struct cap_arena *arena,
                            Moecap__V1__RenderReply **out_reply, struct cap_err *err)
{
    Moecap__V1__ReadDocsRequest read = MOECAP__V1__READ_DOCS_REQUEST__INIT;
    Moecap__V1__RenderRequest request = MOECAP__V1__RENDER_REQUEST__INIT;
    struct ask ask = {e, job, "made prompts for", .arena = arena};
    Moecap__V1__ReadDocsReply *docs;

    read.task_id = job->task_id;
    read.n_ordinals = which->count;
    read.ordinals = (uint32_t *)which->items;
    if (!store_rpc_read_docs(e->store, NULL, &read, arena, &docs, err))
        return false;
    request.spec = job->spec;
    request.n_docs = docs->n_docs;
    request.docs = docs->docs;
    request.repeat = job->repeat;
    if (!render_named(&ask, &request, out_reply, err))
        return false;
    return (*out_reply)->n_prompts == which->count ||
           cap_fail(err, CAP_INTERNAL, "the evaluator rendered %zu prompts of %zu",
                    (*out_reply)->n_prompts, which->count);
}

/* ---- verdicts ---- */

static bool ask_verdicts(struct ask *ask, Moecap__V1__GradeRequest *request,
                         Moecap__V1__GradeReply **out_reply, struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = ASK_MS_MAX};
    struct cap_rpc_channel *channel = ask->evaluator->channel;
    bool ok;

    request->definition_sha256 = ask->names.definition;
    if (!begin_ask(ask, err))
        return false;
    ok = evaluator_rpc_grade(channel, &options, request, ask->arena, out_reply, err);
    return end_ask(ask, ok, err);
}

static bool grade_items(struct ask *ask, const Moecap__V1__ReadUngradedReply *ungraded,
                        Moecap__V1__GradeReply **out_reply, struct cap_err *err)
{
    Moecap__V1__GradeRequest request = MOECAP__V1__GRADE_REQUEST__INIT;

    request.spec = ask->job->spec;
    request.n_items = ungraded->n_items;
    request.items = ungraded->items;
    for (int tries = 0;; tries++) {
        if (!name_task(ask->evaluator, ask->job, tries > 0, &ask->names, err))
            return false;
        if (ask_verdicts(ask, &request, out_reply, err))
            return true;
        if (!send_again(tries, err))
            return cap_fail_in(err, "grade");
    }
}

/* With no verdicts it only asks how many there are: a restart may have come in between. */
static bool put_verdicts(struct sched_evaluator *e, const struct sched_job *job,
                         const Moecap__V1__GradeReply *graded, struct cap_arena *arena,
                         uint32_t *out_graded, struct cap_err *err)
{
    Moecap__V1__PutVerdictsRequest put = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__PutVerdictsReply *stored;

    put.run_id = (char *)job->run_id;
    put.n_verdicts = graded ? graded->n_verdicts : 0;
    put.verdicts = graded ? graded->verdicts : NULL;
    if (!store_rpc_put_verdicts(e->store, NULL, &put, arena, &stored, err))
        return false;
    *out_graded = stored->samples_graded;
    return true;
}

bool sched_evaluator_grade(struct sched_evaluator *e, struct sched_job *job, uint32_t batch,
                           uint32_t *out_graded, bool *out_all, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__ReadUngradedRequest read = MOECAP__V1__READ_UNGRADED_REQUEST__INIT;
    Moecap__V1__ReadUngradedReply *ungraded;
    Moecap__V1__GradeReply *graded = NULL;
    struct ask ask = {e, job, "graded", .arena = arena};

    read.run_id = (char *)job->run_id;
    read.limit = batch;
    if (!store_rpc_read_ungraded(e->store, NULL, &read, arena, &ungraded, err))
        return false;
    if (ungraded->n_items > 0 && !grade_items(&ask, ungraded, &graded, err))
        return false;
    if (graded && graded->n_verdicts == 0)
        return cap_fail(err, CAP_INTERNAL, "the evaluator gave no verdict for %zu answers",
                        ungraded->n_items);
    if (!put_verdicts(e, job, graded, arena, out_graded, err))
        return false;
    *out_all = ungraded->n_items == 0;
    return true;
}

/* ---- figures: the store's stream is the evaluator's ---- */

/* What the answers have to say about the run as a whole. */
struct outcome {
    size_t answers, completed;
    char first_error[SCHED_REASON_BYTES / 2];
};

static void note_answers(const Moecap__V1__Evidence *evidence, struct outcome *outcome)
{
    for (size_t i = 0; i < evidence->n_answers; i++) {
        const Moecap__V1__SampleAnswer *answer = evidence->answers[i];

        outcome->answers++;
        if (answer->status == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED)
            outcome->completed++;
        else if (!*outcome->first_error)
            snprintf(outcome->first_error, sizeof outcome->first_error, "%s", answer->error);
    }
}

static bool pipe_evidence(struct cap_rpc_call *from, struct cap_rpc_call *to,
                          struct outcome *outcome)
{
    Moecap__V1__Evidence *evidence;

    while ((evidence = store_rpc_read_evidence_next_reply(from)) != NULL) {
        note_answers(evidence, outcome);
        if (!evaluator_rpc_measure_send_request(to, evidence))
            return false;
    }
    return true;
}

/* The summary is in the arena. Whichever of the two streams broke first says why. */
static bool measure(struct sched_evaluator *e, const struct sched_job *job, struct cap_arena *arena,
                    Moecap__V1__Summary **out_summary, struct outcome *outcome, struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = MEASURE_MS_MAX};
    Moecap__V1__ReadEvidenceRequest read = MOECAP__V1__READ_EVIDENCE_REQUEST__INIT;
    struct cap_err reading = {0}, measuring = {0};
    const Moecap__V1__MeasureReply *reply;
    struct cap_rpc_call *from, *to;
    bool read_all;

    read.run_id = (char *)job->run_id;
    from = store_rpc_read_evidence_open(e->store, &options, &read);
    to = evaluator_rpc_measure_open(e->channel, &options);
    if (!pipe_evidence(from, to, outcome))
        cap_rpc_cancel(from);
    read_all = cap_rpc_close(from, &reading);
    if (!read_all && reading.code != CAP_CANCELLED)
        cap_rpc_cancel(to);
    cap_rpc_send_done(to);
    reply = evaluator_rpc_measure_next_reply(to);
    *out_summary = reply && reply->summary
                       ? (Moecap__V1__Summary *)cap_rpc_copy(&reply->summary->base, arena)
                       : NULL;
    cap_rpc_close(to, &measuring);
    if (read_all && *out_summary)
        return true;
    if (!read_all && reading.code != CAP_CANCELLED)
        return cap_fail(err, reading.code, "measure: %s", reading.text);
    return cap_fail(err, measuring.code != CAP_OK ? measuring.code : CAP_UNAVAILABLE, "measure: %s",
                    *measuring.text ? measuring.text : "no reply");
}

bool sched_evaluator_finish(struct sched_evaluator *e, struct sched_job *job,
                            char out_invalid[SCHED_REASON_BYTES], struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CALL_ARENA_BYTES);
    Moecap__V1__FinishRunRequest request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    struct ask ask = {e, job, "measured"};
    struct outcome outcome = {0};
    Moecap__V1__Empty *reply;

    if (!begin_ask(&ask, err) ||
        !end_ask(&ask, measure(e, job, arena, &request.summary, &outcome, err), err))
        return false;
    out_invalid[0] = '\0';
    if (outcome.answers > 0 && outcome.completed == 0)
        snprintf(out_invalid, SCHED_REASON_BYTES, "no sample completed; the first failed with: %s",
                 *outcome.first_error ? outcome.first_error : "no reason");
    request.run_id = (char *)job->run_id;
    request.invalid_reason = out_invalid;
    return store_rpc_finish_run(e->store, NULL, &request, arena, &reply, err);
}

bool sched_evaluator_repeats(struct sched_evaluator *e, const Moecap__V1__RepeatsRequest *request,
                             struct cap_arena *arena, Moecap__V1__RepeatsReply **out_reply,
                             struct cap_err *err)
{
    return evaluator_rpc_repeats(e->channel, NULL, request, arena, out_reply, err);
}

bool sched_evaluator_compare(struct sched_evaluator *e, const Moecap__V1__CompareRequest *request,
                             struct cap_arena *arena, Moecap__V1__CompareReply **out_reply,
                             struct cap_err *err)
{
    return evaluator_rpc_compare(e->channel, NULL, request, arena, out_reply, err);
}

/* ---- life ---- */

struct cap_rpc_channel *sched_evaluator_channel(struct sched_evaluator *e)
{
    return e->channel;
}

struct sched_evaluator *sched_evaluator_new(const char *address, struct cap_rpc_channel *store)
{
    struct sched_evaluator *e = calloc(1, sizeof *e);

    if (!e)
        abort();
    e->channel = cap_rpc_channel_new(address, NULL);
    e->store = store;
    e->names = cap_map_new();
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->left, NULL);
    return e;
}

void sched_evaluator_free(struct sched_evaluator *e)
{
    if (!e)
        return;
    cap_rpc_channel_free(e->channel);
    for (size_t i = 0; i < cap_map_count(e->names); i++)
        free(cap_map_value_at(e->names, i));
    cap_map_free(e->names);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->left);
    free(e);
}
