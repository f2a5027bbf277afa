/* The handlers of moecap.v1.Evaluator.
 *
 * Each checks how much is asked for, finds the task, and leaves the work to the other files of this
 * folder, one document at a time, directly on the messages. A task with its few-shot pool comes
 * whole or under its digests (proto/moecap/v1/evaluator.proto says how a caller does that); here
 * both become a kit that is pinned for the call. Work ends with the call: a handler looks between
 * two documents whether anybody still waits. */
#include <stdlib.h>
#include <string.h>

#include "digest/digest.h"
#include "estimate/message.h"
#include "grade.h"
#include "jinja/jinja.h"
#include "kept.h"
#include "keys.h"
#include "measure.h"
#include "metrics/metrics.h"
#include "moecap/v1/evaluator.rpc.h"
#include "render.h"
#include "service.h"
#include "task.h"

/* ---- counters ---- */

static const struct cap_metric_row rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t values[EVAL_COUNTER_COUNT];
static struct cap_metrics counters = {"evaluator", rows, values, CAP_COUNT_OF(rows)};

struct cap_metrics *eval_counters(void)
{
    return &counters;
}

void eval_count(enum eval_counter counter, int64_t amount)
{
    cap_metric_add(&counters, (int)counter, amount);
}

/* ---- replies ---- */

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                    "the request needs more memory than a call may use");
}

/* The lists of pointers that protobuf-c wants, with room for `count` messages; NULL when full. */
#define NEW_LIST(call, type, count)                                                                \
    ((type **)cap_arena_array(cap_rpc_arena(call), (count) + 1, sizeof(type *)))
#define NEW(call, type) ((type *)cap_arena_alloc(cap_rpc_arena(call), sizeof(type)))

/* ---- the task of a call ---- */

static struct eval_service *service_of(struct cap_rpc_call *call)
{
    return cap_rpc_self(call);
}

static bool check_batch(struct cap_rpc_call *call, size_t count, struct cap_err *err)
{
    size_t max = service_of(call)->batch_max;

    return count <= max ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "%zu items in one request, at most %zu", count, max);
}

static bool check_waiting(struct cap_rpc_call *call, struct cap_err *err)
{
    return !cap_rpc_cancelled(call) || cap_fail(err, CAP_CANCELLED, "the caller is gone");
}

/* A kit for the length of a handler. */
struct borrowed {
    struct eval_kept *kept;
    struct eval_kit *kit;
};

static void give_back(struct borrowed *b)
{
    eval_kept_release(b->kept, b->kit);
}

#define BORROWED(name, call)                                                                       \
    __attribute__((cleanup(give_back))) struct borrowed name = {service_of(call)->kept, NULL}

static bool add_examples(struct eval_kit *kit, Moecap__V1__TaskDoc *const *docs, size_t count,
                         struct cap_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (!eval_pool_add(kit->pool, docs[i]->uid, docs[i]->json, err))
            return false;
    return true;
}

static void keep(struct borrowed *b, struct eval_kit **io_kit)
{
    b->kit = eval_kept_add(b->kept, *io_kit);
    *io_kit = NULL;
}

/* The task of a request: whole (then it is kept for the next call), or under its digests. */
struct sent_task {
    const char *definition, *definition_sha256;
    const char *fewshot_sha256; /* NULL: any pool */
    Moecap__V1__TaskDoc *const *fewshot;
    size_t fewshot_count;
};

/* A task that was sent whole may be kept from an earlier call: its digests cost much less than
 * reading each document. */
static bool find_whole(struct borrowed *b, const struct sent_task *sent)
{
    CAP_AUTO(cap_digest) digest = cap_digest_new();
    char task[CAP_SHA256_HEX_BYTES], pool[CAP_SHA256_HEX_BYTES] = "";
    uint8_t bytes[CAP_SHA256_BYTES];
    struct cap_err ignored = {0};

    cap_sha256_hex(sent->definition, strlen(sent->definition), task);
    for (size_t i = 0; i < sent->fewshot_count; i++)
        eval_pool_digest_add(digest, sent->fewshot[i]->json);
    cap_digest_end(digest, bytes);
    if (sent->fewshot_count > 0)
        cap_hex(bytes, sizeof bytes, pool);
    b->kit = eval_kept_find(b->kept, task, pool, &ignored);
    return b->kit != NULL;
}

static bool borrow(struct borrowed *b, const struct sent_task *sent, struct cap_err *err)
{
    CAP_AUTO(eval_kit) kit = NULL;

    if (!*sent->definition && *sent->definition_sha256) {
        if (sent->fewshot_count > 0)
            return cap_fail(
                err, CAP_INVALID_ARGUMENT,
                "send few-shot documents with the task's definition, not with its digest");
        b->kit = eval_kept_find(b->kept, sent->definition_sha256, sent->fewshot_sha256, err);
        return b->kit != NULL;
    }
    if (find_whole(b, sent))
        return true;
    if (!(kit = eval_kit_open(sent->definition, err)) ||
        !add_examples(kit, sent->fewshot, sent->fewshot_count, err) || !eval_kit_end(kit, err))
        return false;
    keep(b, &kit);
    return true;
}

/* ---- Keep ---- */

/* Makes every example once: one that fails would otherwise be found by the first document that is
 * shown it. */
static bool check_examples(struct cap_rpc_call *call, struct eval_kit *kit, struct cap_err *err)
{
    for (size_t i = 0; i < eval_pool_count(kit->pool); i++) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(EVAL_EXAMPLES_BYTES_MAX);
        struct eval_example ignored;

        if (!check_waiting(call, err) || !eval_pool_example(kit->pool, i, arena, &ignored, err))
            return false;
    }
    return true;
}

static bool receive_kit(struct cap_rpc_call *call, struct eval_kit **out, bool *out_check,
                        struct cap_err *err)
{
    const Moecap__V1__KeepRequest *request = evaluator_rpc_keep_next_request(call);

    if (!request || !*request->definition)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the first message holds no definition");
    if (!(*out = eval_kit_open(request->definition, err)))
        return false;
    *out_check = false;
    do {
        *out_check |= request->check;
        if (!add_examples(*out, request->fewshot, request->n_fewshot, err))
            return false;
    } while ((request = evaluator_rpc_keep_next_request(call)) != NULL);
    return check_waiting(call, err);
}

static bool handle_keep(struct cap_rpc_call *call, Moecap__V1__KeepReply *reply,
                        struct cap_err *err)
{
    CAP_AUTO(eval_kit) kit = NULL;
    BORROWED(b, call);
    bool check = false;

    if (!receive_kit(call, &kit, &check, err) || !eval_kit_end(kit, err) ||
        (check && !check_examples(call, kit, err)))
        return false;
    keep(&b, &kit);
    reply->definition_sha256 = cap_arena_strdup(cap_rpc_arena(call), b.kit->definition_sha256);
    reply->fewshot_sha256 = cap_arena_strdup(cap_rpc_arena(call), b.kit->fewshot_sha256);
    reply->fewshot = (uint32_t)eval_pool_count(b.kit->pool);
    return (reply->definition_sha256 && reply->fewshot_sha256) || fail_full(err);
}

/* ---- Render ---- */

static bool is_gone(void *call)
{
    return cap_rpc_cancelled(call);
}

static bool render_all(struct cap_rpc_call *call, const Moecap__V1__RenderRequest *request,
                       struct eval_render *render, Moecap__V1__RenderReply *reply,
                       struct cap_err *err)
{
    reply->prompts = NEW_LIST(call, Moecap__V1__Prompt, request->n_docs);
    if (!reply->prompts)
        return fail_full(err);
    for (size_t i = 0; i < request->n_docs; i++) {
        Moecap__V1__Prompt *prompt = NEW(call, Moecap__V1__Prompt);

        if (!prompt)
            return fail_full(err);
        if (!eval_render_prompt(render, request->docs[i], cap_rpc_arena(call), prompt, err))
            return false;
        reply->prompts[reply->n_prompts++] = prompt;
    }
    eval_count(EVAL_COUNTER_prompts_rendered_total, (int64_t)reply->n_prompts);
    return true;
}

static bool handle_render(struct cap_rpc_call *call, const Moecap__V1__RenderRequest *request,
                          Moecap__V1__RenderReply *reply, struct cap_err *err)
{
    const struct cap_jinja_stop stop = {is_gone, call};
    const struct sent_task sent = {request->definition, request->definition_sha256,
                                   request->fewshot_sha256, request->fewshot, request->n_fewshot};
    BORROWED(b, call);
    CAP_AUTO(eval_render) render = NULL;

    if (!check_batch(call, request->n_docs, err) || !borrow(&b, &sent, err) ||
        !(render = eval_render_open(b.kit->task, b.kit->pool, request->spec, request->repeat, err)))
        return false;
    eval_render_until(render, &stop);
    if (!render_all(call, request, render, reply, err))
        return false;
    reply->definition_sha256 = cap_arena_strdup(cap_rpc_arena(call), b.kit->definition_sha256);
    reply->fewshot_sha256 = cap_arena_strdup(cap_rpc_arena(call), b.kit->fewshot_sha256);
    return (reply->definition_sha256 && reply->fewshot_sha256) || fail_full(err);
}

/* ---- Grade ---- */

struct batch {
    struct cap_rpc_call *call;
    const struct eval_task *task;
    struct eval_regex_work *work;
    Moecap__V1__GradeReply *reply;
};

static bool scores_from_wire(const Moecap__V1__SampleAnswer *wire, struct cap_arena *arena,
                             struct eval_answer *out)
{
    struct eval_score *scores = cap_arena_array(arena, wire->n_scores + 1, sizeof *scores);

    if (!scores)
        return false;
    for (size_t i = 0; i < wire->n_scores; i++)
        scores[i] = (struct eval_score){wire->scores[i]->log_likelihood, wire->scores[i]->greedy};
    out->scores = scores;
    out->score_count = wire->n_scores;
    return true;
}

static bool answer_from_wire(const Moecap__V1__SampleAnswer *wire, const struct eval_task *task,
                             struct cap_arena *arena, struct eval_answer *out)
{
    struct eval_text *text = cap_arena_alloc(arena, sizeof *text), error;

    if (!text)
        return false;
    *text = eval_text_valid(arena, wire->text, strlen(wire->text));
    if (!text->data)
        return false;
    *text = eval_answer_text(task, *text);
    error = eval_text_valid(arena, wire->error, strlen(wire->error));
    *out = (struct eval_answer){
        .failed = wire->status != MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED,
        .error = eval_text_c(arena, error),
        .texts = text,
        .text_count = 1,
        .finish_reason = wire->finish_reason,
    };
    return scores_from_wire(wire, arena, out);
}

static void count_verdict(const struct eval_verdict *v)
{
    if (v->kind == EVAL_CORRECT)
        eval_count(EVAL_COUNTER_verdicts_correct_total, 1);
    if (v->kind == EVAL_UNDECIDED)
        eval_count(EVAL_COUNTER_verdicts_undecided_total, 1);
}

static Moecap__V1__Verdict *verdict_to_wire(const struct batch *b, uint32_t ordinal,
                                            const struct eval_verdict *v)
{
    struct cap_arena *arena = cap_rpc_arena(b->call);
    Moecap__V1__Verdict *wire = NEW(b->call, Moecap__V1__Verdict);

    if (!wire)
        return NULL;
    moecap__v1__verdict__init(wire);
    wire->ordinal = ordinal;
    wire->metric =
        cap_arena_strdup(arena, v->metric); /* the task may be forgotten before the reply */
    wire->version = (char *)v->version;
    wire->kind = (Moecap__V1__VerdictKind)v->kind;
    wire->extracted = (char *)eval_text_c(arena, v->extracted);
    wire->reason = (char *)v->reason;
    wire->score = v->score;
    wire->unanswered = v->unanswered;
    wire->truncated = v->truncated;
    count_verdict(v);
    return wire->metric && wire->extracted ? wire : NULL;
}

/* Answers belong to documents by id, never by place in a list. */
static bool check_pair(const Moecap__V1__GradeItem *item, struct cap_err *err)
{
    if (!item->doc || !item->answer)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "an item lacks its %s",
                        item->doc ? "answer" : "document");
    if (item->doc->ordinal != item->answer->ordinal ||
        strcmp(item->doc->uid, item->answer->uid) != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the answer to %u (\"%.60s\") came with document %u (\"%.60s\")",
                        item->answer->ordinal, item->answer->uid, item->doc->ordinal,
                        item->doc->uid);
    return true;
}

static bool grade_doc(struct batch *b, struct eval_doc *doc, const Moecap__V1__GradeItem *item,
                      struct cap_err *err)
{
    struct eval_verdict verdicts[EVAL_COLUMNS_MAX];
    struct eval_answer answer;
    struct eval_gold gold;

    if (!eval_doc_gold(doc, &gold, err))
        return false;
    if (!answer_from_wire(item->answer, b->task, cap_rpc_arena(b->call), &answer))
        return fail_full(err);
    if (!eval_grade(&(struct eval_grade_input){doc, &gold, &answer, b->work}, verdicts, err))
        return false;
    for (size_t i = 0; i < b->task->column_count; i++)
        if (!(b->reply->verdicts[b->reply->n_verdicts++] =
                  verdict_to_wire(b, item->doc->ordinal, &verdicts[i])))
            return fail_full(err);
    return true;
}

static bool grade_item(struct batch *b, const Moecap__V1__GradeItem *item, struct cap_err *err)
{
    struct eval_doc doc;
    bool ok;

    if (!check_pair(item, err))
        return false;
    ok = eval_doc_open(&doc, b->task, &b->task->form, item->doc->json, strlen(item->doc->json),
                       cap_rpc_arena(b->call), err);
    if (ok) {
        ok = grade_doc(b, &doc, item, err);
        eval_doc_done(&doc);
    }
    return ok || cap_fail_in(err, "document %u (\"%s\")", item->doc->ordinal, item->doc->uid);
}

static bool handle_grade(struct cap_rpc_call *call, const Moecap__V1__GradeRequest *request,
                         Moecap__V1__GradeReply *reply, struct cap_err *err)
{
    const struct sent_task sent = {request->definition, request->definition_sha256};
    BORROWED(borrowed, call);
    CAP_AUTO(eval_regex_work) work = eval_regex_work_new();
    struct batch b = {call, NULL, work, reply};

    if (!check_batch(call, request->n_items, err) || !borrow(&borrowed, &sent, err))
        return false;
    b.task = borrowed.kit->task;
    reply->verdicts = NEW_LIST(call, Moecap__V1__Verdict, request->n_items * b.task->column_count);
    if (!reply->verdicts)
        return fail_full(err);
    for (size_t i = 0; i < request->n_items; i++)
        if (!check_waiting(call, err) || !grade_item(&b, request->items[i], err))
            return false;
    eval_count(EVAL_COUNTER_answers_graded_total, (int64_t)request->n_items);
    return true;
}

/* ---- ReadTask ---- */

static bool files_from_wire(const Moecap__V1__ReadTaskRequest *request,
                            struct eval_task_file out[EVAL_TASK_FILES_MAX], struct cap_err *err)
{
    if (request->n_files > EVAL_TASK_FILES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a task has at most %d files",
                        EVAL_TASK_FILES_MAX);
    if (!*request->main)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "main names no file");
    for (size_t i = 0; i < request->n_files; i++)
        out[i] = (struct eval_task_file){request->files[i]->name, request->files[i]->text.data,
                                         request->files[i]->text.len};
    return true;
}

static bool metrics_to_wire(struct cap_rpc_call *call, const struct eval_task *task,
                            Moecap__V1__TaskInfo *wire)
{
    wire->metrics = NEW_LIST(call, char, task->column_count);
    if (!wire->metrics)
        return false;
    for (size_t i = 0; i < task->column_count; i++)
        if (!(wire->metrics[wire->n_metrics++] =
                  cap_arena_strdup(cap_rpc_arena(call), task->columns[i].id)))
            return false;
    return true;
}

/* What a reader is told of the task; else what its prompts begin with, as written. */
static const char *description_of(const struct eval_task *task)
{
    const json_t *metadata = json_object_get(task->definition, "metadata");
    const char *text = json_string_value(json_object_get(metadata, "description"));

    if (!text)
        text = json_string_value(json_object_get(task->definition, "description"));
    return text ? text : "";
}

static bool task_to_wire(struct cap_rpc_call *call, const struct eval_task_source *source,
                         Moecap__V1__TaskInfo *wire)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    const struct eval_task *task = source->task;
    char sha256[CAP_SHA256_HEX_BYTES];

    cap_sha256_hex(source->definition, strlen(source->definition), sha256);
    wire->name = cap_arena_strdup(arena, task->name);
    wire->version = cap_arena_strdup(arena, task->version);
    wire->output_type = (char *)eval_output_name(task->output);
    wire->definition = cap_arena_strdup(arena, source->definition);
    wire->definition_sha256 = cap_arena_strdup(arena, sha256);
    wire->samples_file = cap_arena_strdup(arena, task->samples_file);
    wire->fewshot_file = cap_arena_strdup(arena, task->fewshot_file);
    wire->split = cap_arena_strdup(arena, task->split);
    wire->num_fewshot = (uint32_t)task->shots.count;
    wire->description = cap_arena_strdup(arena, description_of(task));
    return wire->name && wire->version && wire->definition && wire->definition_sha256 &&
           wire->samples_file && wire->fewshot_file && wire->split && wire->description &&
           metrics_to_wire(call, task, wire);
}

static bool samples_to_wire(struct cap_rpc_call *call, const struct eval_task *task,
                            Moecap__V1__ReadTaskReply *reply)
{
    size_t count = json_array_size(task->shots.samples);

    reply->fewshot = NEW_LIST(call, char, count);
    for (size_t i = 0; reply->fewshot && i < count; i++) {
        char *text = json_dumps(json_array_get(task->shots.samples, i), JSON_COMPACT);

        reply->fewshot[i] = text ? cap_arena_strdup(cap_rpc_arena(call), text) : NULL;
        free(text);
        if (!reply->fewshot[i])
            return false;
        reply->n_fewshot++;
    }
    return reply->fewshot != NULL;
}

static bool missing_to_wire(struct cap_rpc_call *call, const struct eval_task_source *source,
                            Moecap__V1__ReadTaskReply *reply)
{
    reply->missing_files = NEW_LIST(call, char, source->missing_count);
    if (!reply->missing_files)
        return false;
    for (size_t i = 0; i < source->missing_count; i++)
        if (!(reply->missing_files[reply->n_missing_files++] =
                  cap_arena_strdup(cap_rpc_arena(call), source->missing[i])))
            return false;
    return true;
}

static bool handle_read_task(struct cap_rpc_call *call, const Moecap__V1__ReadTaskRequest *request,
                             Moecap__V1__ReadTaskReply *reply, struct cap_err *err)
{
    struct eval_task_file files[EVAL_TASK_FILES_MAX];
    struct eval_task_source source;
    bool ok;

    if (!files_from_wire(request, files, err) ||
        !eval_task_read(request->main, files, request->n_files, &source, err))
        return false;
    if (source.task) {
        ok = (reply->task = NEW(call, Moecap__V1__TaskInfo)) != NULL;
        if (ok) {
            moecap__v1__task_info__init(reply->task);
            ok = task_to_wire(call, &source, reply->task) &&
                 samples_to_wire(call, source.task, reply);
        }
        eval_count(EVAL_COUNTER_tasks_read_total, 1);
    } else {
        ok = missing_to_wire(call, &source, reply);
    }
    eval_task_source_done(&source);
    return ok || fail_full(err);
}

/* ---- Estimate ---- */

static bool handle_estimate(struct cap_rpc_call *call, const Moecap__V1__EstimateRequest *request,
                            Moecap__V1__EstimateReply *reply, struct cap_err *err)
{
    return cap_estimate_answer(request, cap_rpc_arena(call), reply, err);
}

/* ---- Measure ---- */

static bool read_evidence(struct cap_rpc_call *call, struct eval_evidence **out,
                          struct cap_err *err)
{
    Moecap__V1__Evidence *message = evaluator_rpc_measure_next_request(call);
    struct eval_run run;

    if (!message || !message->header)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the first message holds no header");
    if (!eval_run_read(message->header, cap_rpc_arena(call), &run, err))
        return false;
    *out = eval_evidence_new(&run);
    do
        eval_evidence_add(*out, message);
    while ((message = evaluator_rpc_measure_next_request(call)) != NULL);
    /* Figures of half the evidence would look like a measurement. */
    return check_waiting(call, err);
}

static bool handle_measure(struct cap_rpc_call *call, Moecap__V1__MeasureReply *reply,
                           struct cap_err *err)
{
    CAP_AUTO(eval_evidence) evidence = NULL;

    if (!read_evidence(call, &evidence, err))
        return false;
    reply->summary = NEW(call, Moecap__V1__Summary);
    if (!reply->summary || !eval_measure(evidence, cap_rpc_arena(call), reply->summary))
        return fail_full(err);
    eval_count(EVAL_COUNTER_runs_measured_total, 1);
    return true;
}

/* ---- the service ---- */

static const struct evaluator_rpc_handlers handlers = {
    .read_task = handle_read_task,
    .keep = handle_keep,
    .render = handle_render,
    .grade = handle_grade,
    .estimate = handle_estimate,
    .measure = handle_measure,
    .cost = eval_handle_cost,
    .compare = eval_handle_compare,
    .repeats = eval_handle_repeats,
    .compare_routing = eval_handle_compare_routing,
};

void eval_service_add(struct eval_service *service, struct cap_rpc_server *server)
{
    cap_rpc_server_add(server, &evaluator_rpc_service, &handlers, service);
}
