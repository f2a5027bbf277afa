/* moecap.v1.Evaluator over gRPC, as the scheduler and the command line use it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "evaluator/kept.h"
#include "evaluator/service.h"
#include "moecap/v1/evaluator.rpc.h"
#include "rpc/rpc.h"

static struct eval_service service = {.batch_max = 256};
static struct cap_rpc_server *server;
static struct cap_rpc_channel *channel;
static struct cap_arena *arena;

static int set_up(void **state)
{
    struct cap_err err = {0};
    char address[64];
    int port;

    (void)state;
    cap_rpc_init();
    server = cap_rpc_server_new(NULL);
    service.kept = eval_kept_new(64 << 20, 4);
    eval_service_add(&service, server);
    if (!cap_rpc_server_listen(server, "127.0.0.1:0", &port, &err))
        return -1;
    cap_rpc_server_start(server);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    channel = cap_rpc_channel_new(address, NULL);
    arena = cap_arena_new(256 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_rpc_channel_free(channel);
    cap_rpc_server_free(server);
    eval_kept_free(service.kept);
    cap_arena_free(arena);
    cap_rpc_shutdown();
    return 0;
}

/* ---- ReadTask ---- */

static Moecap__V1__TaskFile file_of(const char *name, const char *text)
{
    Moecap__V1__TaskFile file = MOECAP__V1__TASK_FILE__INIT;

    file.name = (char *)name;
    file.text.data = (uint8_t *)text;
    file.text.len = strlen(text);
    return file;
}

static Moecap__V1__TaskFile shipped(const char *name)
{
    const char *source = getenv("MOECAP_SOURCE_DIR");
    struct cap_err err = {0};
    char path[4096], *text;
    size_t length;
    Moecap__V1__TaskFile file;

    snprintf(path, sizeof path, "%s/tasks/%s", source ? source : ".", name);
    text = cap_file_read(path, 1 << 20, &length, &err);
    assert_non_null(text);
    file = file_of(name, cap_arena_strndup(arena, text, length));
    free(text);
    return file;
}

static bool read_task(const char *main_name, Moecap__V1__TaskFile *files, size_t count,
                      Moecap__V1__ReadTaskReply **out, struct cap_err *err)
{
    Moecap__V1__ReadTaskRequest request = MOECAP__V1__READ_TASK_REQUEST__INIT;
    Moecap__V1__TaskFile *list[8];

    for (size_t i = 0; i < count; i++)
        list[i] = &files[i];
    request.main = (char *)main_name;
    request.n_files = count;
    request.files = list;
    return evaluator_rpc_read_task(channel, NULL, &request, arena, out, err);
}

static Moecap__V1__TaskInfo *read_shipped(const char *name)
{
    Moecap__V1__TaskFile file = shipped(name);
    Moecap__V1__ReadTaskReply *reply = NULL;
    struct cap_err err = {0};

    if (!read_task(name, &file, 1, &reply, &err))
        fail_msg("%s", err.text);
    assert_non_null(reply->task);
    return reply->task;
}

static void a_task_is_read_in_as_many_calls_as_it_has_missing_files(void **state)
{
    Moecap__V1__TaskFile files[2] = {shipped("choice-mini-letter.yaml"),
                                     shipped("choice-mini.yaml")};
    Moecap__V1__ReadTaskReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    assert_true(read_task("choice-mini-letter.yaml", files, 1, &reply, &err));
    assert_null(reply->task);
    assert_int_equal(reply->n_missing_files, 1);
    assert_string_equal(reply->missing_files[0], "choice-mini.yaml");
    assert_true(read_task("choice-mini-letter.yaml", files, 2, &reply, &err));
    assert_int_equal(reply->n_missing_files, 0);
    assert_string_equal(reply->task->name, "choice-mini-letter");
    assert_string_equal(reply->task->samples_file, "choice-mini.jsonl");
    assert_string_equal(reply->task->fewshot_file, "choice-mini.train_shots.jsonl");
    assert_string_equal(reply->task->metrics[0], "exact_match,letter");
    assert_int_equal(strlen(reply->task->definition_sha256), 64);
}

static void every_shipped_task_says_what_it_is(void **state)
{
    static const char *const names[] = {"gsm-mini.yaml", "choice-mini.yaml", "gsm8k.yaml"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        assert_true(strlen(read_shipped(names[i])->description) > 20);
}

static void a_bad_task_is_refused_with_file_and_line(void **state)
{
    Moecap__V1__TaskFile file = file_of("x.yaml", "task: x\ndoc_to_text: a\ndoc_to_targt: b\n");
    Moecap__V1__ReadTaskReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    assert_false(read_task("x.yaml", &file, 1, &reply, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "x.yaml:3: unknown key \"doc_to_targt\"; did you mean \"doc_to_target\"?");
}

/* ---- Render and Grade ---- */

static Moecap__V1__TaskDoc doc_of(uint32_t ordinal, const char *uid, const char *json)
{
    Moecap__V1__TaskDoc doc = MOECAP__V1__TASK_DOC__INIT;

    doc.ordinal = ordinal;
    doc.uid = (char *)uid;
    doc.json = (char *)json;
    return doc;
}

static void prompts_come_in_the_order_of_the_documents(void **state)
{
    Moecap__V1__RenderRequest request = MOECAP__V1__RENDER_REQUEST__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__TaskDoc docs[] = {
        doc_of(4, "four", "{\"question\": \"2+2?\", \"answer\": \"#### 4\"}"),
        doc_of(2, "two", "{\"question\": \"1+1?\", \"answer\": \"#### 2\"}")};
    Moecap__V1__TaskDoc *list[] = {&docs[0], &docs[1]};
    Moecap__V1__RenderReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    request.definition = read_shipped("gsm-mini.yaml")->definition;
    request.spec = &spec;
    request.n_docs = 2;
    request.docs = list;
    if (!evaluator_rpc_render(channel, NULL, &request, arena, &reply, &err))
        fail_msg("%s", err.text);
    assert_int_equal(reply->n_prompts, 2);
    assert_int_equal(reply->prompts[0]->ordinal, 4);
    assert_string_equal(reply->prompts[0]->uid, "four");
    assert_string_equal(reply->prompts[1]->text, "Question: 1+1?\nAnswer:");
    assert_string_equal(reply->prompts[1]->stop[0], "Question:");
    spec.prompt_format = "html";
    assert_false(evaluator_rpc_render(channel, NULL, &request, arena, &reply, &err));
    assert_string_equal(err.text, "prompt_format \"html\" is neither text nor chat");
}

static Moecap__V1__SampleAnswer answer_of(uint32_t ordinal, const char *uid, const char *text)
{
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;

    answer.ordinal = ordinal;
    answer.uid = (char *)uid;
    answer.text = (char *)text;
    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    answer.finish_reason = "stop";
    return answer;
}

static bool grade_one(const char *definition, Moecap__V1__TaskDoc *doc,
                      Moecap__V1__SampleAnswer *answer, Moecap__V1__GradeReply **out,
                      struct cap_err *err)
{
    Moecap__V1__GradeRequest request = MOECAP__V1__GRADE_REQUEST__INIT;
    Moecap__V1__GradeItem item = MOECAP__V1__GRADE_ITEM__INIT, *items = &item;

    item.doc = doc;
    item.answer = answer;
    request.definition = (char *)definition;
    request.n_items = 1;
    request.items = &items;
    return evaluator_rpc_grade(channel, NULL, &request, arena, out, err);
}

static void an_answer_gets_a_verdict_for_every_metric(void **state)
{
    Moecap__V1__TaskDoc doc = doc_of(1, "u", "{\"question\": \"?\", \"answer\": \"so\\n#### 18\"}");
    /* Bytes that are not UTF-8, and a text past the stop string: both as models and servers do. */
    Moecap__V1__SampleAnswer answer = answer_of(1, "u", "\xFF it is #### 18\n\nQuestion: 99");
    Moecap__V1__GradeReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    if (!grade_one(read_shipped("gsm-mini.yaml")->definition, &doc, &answer, &reply, &err))
        fail_msg("%s", err.text);
    assert_int_equal(reply->n_verdicts, 2);
    assert_string_equal(reply->verdicts[0]->metric, "exact_match,strict-match");
    assert_string_equal(reply->verdicts[1]->metric, "exact_match,flexible-extract");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(reply->verdicts[i]->kind, MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT);
        assert_string_equal(reply->verdicts[i]->extracted, "18");
        assert_true(reply->verdicts[i]->score == 1);
    }
}

static void an_answer_to_another_document_is_refused(void **state)
{
    Moecap__V1__TaskDoc doc = doc_of(1, "u", "{\"question\": \"?\", \"answer\": \"#### 18\"}");
    Moecap__V1__SampleAnswer answer = answer_of(1, "v", "#### 18");
    Moecap__V1__GradeReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    assert_false(grade_one(read_shipped("gsm-mini.yaml")->definition, &doc, &answer, &reply, &err));
    assert_string_equal(err.text, "the answer to 1 (\"v\") came with document 1 (\"u\")");
}

static void scores_take_the_likeliest_choice(void **state)
{
    Moecap__V1__TaskDoc doc = doc_of(
        0, "u", "{\"question\": \"?\", \"choices\": [\"a\",\"b\",\"c\",\"d\"], \"answer\": 2}");
    Moecap__V1__SampleAnswer answer = answer_of(0, "u", "");
    Moecap__V1__Score scores[4], *list[4];
    Moecap__V1__GradeReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        moecap__v1__score__init(&scores[i]);
        scores[i].log_likelihood = i == 2 ? -0.1 : -3;
        list[i] = &scores[i];
    }
    answer.n_scores = 4;
    answer.scores = list;
    if (!grade_one(read_shipped("choice-mini.yaml")->definition, &doc, &answer, &reply, &err))
        fail_msg("%s", err.text);
    assert_int_equal(reply->n_verdicts, 2);
    assert_string_equal(reply->verdicts[0]->metric, "acc");
    assert_string_equal(reply->verdicts[0]->extracted, "C");
    assert_int_equal(reply->verdicts[0]->kind, MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT);
}

/* ---- tasks that are named ---- */

static const char named_yaml[] = "task: named\ntest_split: test\nfewshot_split: train\n"
                                 "doc_to_text: q\ndoc_to_target: a\nnum_fewshot: 1\n"
                                 "fewshot_config: {sampler: first_n}\n";

static Moecap__V1__TaskInfo *read_yaml(const char *yaml)
{
    Moecap__V1__TaskFile file = file_of("t.yaml", yaml);
    Moecap__V1__ReadTaskReply *reply = NULL;
    struct cap_err err = {0};

    if (!read_task("t.yaml", &file, 1, &reply, &err))
        fail_msg("%s", err.text);
    return reply->task;
}

/* Sends the pool in messages of one document each. */
static Moecap__V1__KeepReply *keep(const char *definition, Moecap__V1__TaskDoc *docs, size_t count)
{
    struct cap_rpc_call *call = evaluator_rpc_keep_open(channel, NULL);
    Moecap__V1__KeepRequest request = MOECAP__V1__KEEP_REQUEST__INIT;
    Moecap__V1__KeepReply *reply, *copy;
    struct cap_err err = {0};

    request.definition = (char *)definition;
    assert_true(evaluator_rpc_keep_send_request(call, &request));
    for (size_t i = 0; i < count; i++) {
        Moecap__V1__TaskDoc *one = &docs[i];

        request.definition = "";
        request.n_fewshot = 1;
        request.fewshot = &one;
        evaluator_rpc_keep_send_request(call, &request);
    }
    cap_rpc_send_done(call);
    reply = evaluator_rpc_keep_next_reply(call);
    copy = reply ? (Moecap__V1__KeepReply *)cap_rpc_copy(&reply->base, arena) : NULL;
    if (!cap_rpc_close(call, &err))
        fail_msg("%s", err.text);
    return copy;
}

static bool render_named(const char *definition, const char *fewshot, Moecap__V1__RenderReply **out,
                         struct cap_err *err)
{
    Moecap__V1__RenderRequest request = MOECAP__V1__RENDER_REQUEST__INIT;
    Moecap__V1__TaskDoc doc = doc_of(0, "u", "{\"q\": \"last?\", \"a\": \"x\"}"), *docs = &doc;

    request.definition_sha256 = (char *)definition;
    request.fewshot_sha256 = (char *)fewshot;
    request.n_docs = 1;
    request.docs = &docs;
    return evaluator_rpc_render(channel, NULL, &request, arena, out, err);
}

static void a_task_that_is_kept_needs_its_name_only(void **state)
{
    Moecap__V1__TaskInfo *task = read_yaml(named_yaml);
    Moecap__V1__TaskDoc pool[] = {doc_of(0, "a", "{\"q\": \"one?\", \"a\": \"1\"}"),
                                  doc_of(1, "b", "{\"q\": \"two?\", \"a\": \"2\"}")};
    Moecap__V1__KeepReply *kept = keep(task->definition, pool, 2);
    Moecap__V1__RenderReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    assert_string_equal(kept->definition_sha256, task->definition_sha256);
    assert_int_equal(strlen(kept->fewshot_sha256), 64);
    assert_int_equal(kept->fewshot, 2);
    if (!render_named(kept->definition_sha256, kept->fewshot_sha256, &reply, &err))
        fail_msg("%s", err.text);
    assert_string_equal(reply->prompts[0]->text, "one? 1\n\nlast?");
    assert_string_equal(reply->fewshot_sha256, kept->fewshot_sha256);
}

static void what_came_whole_once_is_named_afterwards(void **state)
{
    Moecap__V1__RenderRequest whole = MOECAP__V1__RENDER_REQUEST__INIT;
    Moecap__V1__TaskDoc example = doc_of(0, "a", "{\"q\": \"three?\", \"a\": \"3\"}"),
                        *pool = &example;
    Moecap__V1__RenderReply *first = NULL, *second = NULL;
    struct cap_err err = {0};

    (void)state;
    whole.definition = read_yaml(named_yaml)->definition;
    whole.n_fewshot = 1;
    whole.fewshot = &pool;
    if (!evaluator_rpc_render(channel, NULL, &whole, arena, &first, &err) ||
        !render_named(first->definition_sha256, first->fewshot_sha256, &second, &err))
        fail_msg("%s", err.text);
    assert_string_equal(second->prompts[0]->text, "three? 3\n\nlast?");
}

static void an_answer_is_graded_under_the_tasks_name(void **state)
{
    Moecap__V1__TaskInfo *task = read_shipped("gsm-mini.yaml");
    Moecap__V1__GradeRequest request = MOECAP__V1__GRADE_REQUEST__INIT;
    Moecap__V1__GradeItem item = MOECAP__V1__GRADE_ITEM__INIT, *items = &item;
    Moecap__V1__TaskDoc doc = doc_of(1, "u", "{\"question\": \"?\", \"answer\": \"#### 18\"}");
    Moecap__V1__SampleAnswer answer = answer_of(1, "u", "#### 18");
    Moecap__V1__GradeReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    keep(task->definition, NULL, 0);
    item.doc = &doc;
    item.answer = &answer;
    request.definition_sha256 = task->definition_sha256;
    request.n_items = 1;
    request.items = &items;
    if (!evaluator_rpc_grade(channel, NULL, &request, arena, &reply, &err))
        fail_msg("%s", err.text);
    assert_int_equal(reply->verdicts[0]->kind, MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT);
}

static void an_unknown_name_is_answered_with_send_it_whole(void **state)
{
    Moecap__V1__RenderReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    assert_false(render_named("0123456789abcdef0123", "", &reply, &err));
    assert_int_equal(err.code, CAP_NOT_FOUND);
    assert_string_equal(err.text, "the task with definition 0123456789abcdef is not kept here; "
                                  "send it whole");
}

static void tasks_used_longest_ago_are_forgotten(void **state)
{
    Moecap__V1__RenderReply *reply = NULL;
    Moecap__V1__KeepReply *kept[6];
    struct cap_err err = {0};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(kept); i++)
        kept[i] = keep(cap_arena_printf(arena,
                                        "{\"task\":\"t%zu\",\"doc_to_text\":\"q\","
                                        "\"doc_to_target\":\"a\"}",
                                        i),
                       NULL, 0);
    assert_int_equal(eval_kept_count(service.kept), 4);
    assert_false(render_named(kept[0]->definition_sha256, "", &reply, &err));
    assert_int_equal(err.code, CAP_NOT_FOUND);
    cap_err_clear(&err);
    assert_true(render_named(kept[5]->definition_sha256, "", &reply, &err));
}

/* ---- Measure ---- */

static const Moecap__V1__Figure *figure(const Moecap__V1__Summary *summary, const char *id)
{
    for (size_t i = 0; i < summary->n_figures; i++)
        if (strcmp(summary->figures[i]->id, id) == 0)
            return summary->figures[i];
    fail_msg("there is no figure %s", id);
    return NULL;
}

static void send_header(struct cap_rpc_call *call, Moecap__V1__TaskInfo *task)
{
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
    Moecap__V1__EvidenceHeader header = MOECAP__V1__EVIDENCE_HEADER__INIT;
    Moecap__V1__ShardReport report = MOECAP__V1__SHARD_REPORT__INIT;

    report.timing_boundary = "engine";
    report.moe_layers = 1;
    report.experts = 4;
    report.top_k = 1;
    header.task = task;
    header.attempted = 1;
    header.attempts = 1;
    header.report = &report;
    evidence.header = &header;
    assert_true(evaluator_rpc_measure_send_request(call, &evidence));
}

static void send_rows(struct cap_rpc_call *call)
{
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
    Moecap__V1__SampleAnswer answer = answer_of(0, "u", ""), *answers = &answer;
    Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;
    Moecap__V1__Verdict verdict = MOECAP__V1__VERDICT__INIT, *verdicts = &verdict;
    Moecap__V1__Pass pass = MOECAP__V1__PASS__INIT, *passes = &pass;
    uint32_t distinct = 2;

    timing.ended_us = 500000;
    timing.opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
    timing.first_token_us = 100000;
    answer.timing = &timing;
    answer.opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
    answer.output_tokens = 5;
    verdict.metric = "exact_match,strict-match";
    verdict.kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
    pass.phase = MOECAP__V1__PHASE__PHASE_DECODE;
    pass.tokens = 5;
    pass.duration_ns = 1000000;
    pass.n_distinct_experts = 1;
    pass.distinct_experts = &distinct;
    evidence.n_answers = evidence.n_verdicts = evidence.n_passes = 1;
    evidence.answers = &answers;
    evidence.verdicts = &verdicts;
    evidence.passes = &passes;
    assert_true(evaluator_rpc_measure_send_request(call, &evidence));
}

static void evidence_in_pieces_becomes_one_summary(void **state)
{
    struct cap_rpc_call *call = evaluator_rpc_measure_open(channel, NULL);
    Moecap__V1__MeasureReply *reply = NULL;
    const Moecap__V1__Figure *f;
    struct cap_err err = {0};

    (void)state;
    send_header(call, read_shipped("gsm-mini.yaml"));
    send_rows(call);
    cap_rpc_send_done(call);
    reply = evaluator_rpc_measure_next_reply(call);
    assert_non_null(reply);
    f = figure(reply->summary, "exact_match,strict-match");
    assert_true(f->value == 1);
    assert_int_equal(f->opt_low_case, MOECAP__V1__FIGURE__OPT_LOW_LOW);
    assert_string_equal(f->basis, "measured");
    f = figure(reply->summary, "exact_match,flexible-extract");
    assert_int_equal(f->opt_value_case, MOECAP__V1__FIGURE__OPT_VALUE__NOT_SET);
    assert_string_equal(f->reason, "not every sample is graded");
    assert_true(figure(reply->summary, "ttft_ms_mean")->value == 100);
    assert_true(figure(reply->summary, "output_tokens_per_s")->value == 10);
    assert_string_equal(figure(reply->summary, "input_tokens_per_s")->reason,
                        "token counts are not known");
    assert_true(figure(reply->summary, "activated_experts_decode")->value == 2);
    assert_int_equal(reply->summary->n_histograms, 2);
    assert_true(cap_rpc_close(call, &err));
}

static void evidence_without_header_is_refused(void **state)
{
    struct cap_rpc_call *call = evaluator_rpc_measure_open(channel, NULL);
    struct cap_err err = {0};

    (void)state;
    send_rows(call);
    cap_rpc_send_done(call);
    assert_null(evaluator_rpc_measure_next_reply(call));
    assert_false(cap_rpc_close(call, &err));
    assert_string_equal(err.text, "the first message holds no header");
}

/* A caller of its own has no scheduler in front: a rent below nothing would earn money. */
static void cost_inputs_that_cannot_be_are_refused(void **state)
{
    static const double impossible[] = {-1, INFINITY, -INFINITY};
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__CostInputs inputs = MOECAP__V1__COST_INPUTS__INIT;
    Moecap__V1__CostRequest request = MOECAP__V1__COST_REQUEST__INIT;
    Moecap__V1__CostReply *reply = NULL;

    (void)state;
    request.spec = &spec;
    spec.cost = &inputs;
    inputs.opt_rent_case = MOECAP__V1__COST_INPUTS__OPT_RENT_RENT;
    for (size_t i = 0; i < CAP_COUNT_OF(impossible); i++) {
        struct cap_err err = {0};

        inputs.rent = impossible[i];
        assert_false(evaluator_rpc_cost(channel, NULL, &request, arena, &reply, &err));
        assert_non_null(strstr(err.text, "cost.rent is "));
    }
}

static void too_many_items_are_refused(void **state)
{
    Moecap__V1__RenderRequest request = MOECAP__V1__RENDER_REQUEST__INIT;
    Moecap__V1__TaskDoc doc = doc_of(0, "u", "{}"), *list[257];
    Moecap__V1__RenderReply *reply = NULL;
    struct cap_err err = {0};

    (void)state;
    for (size_t i = 0; i < 257; i++)
        list[i] = &doc;
    request.definition = "{}";
    request.n_docs = 257;
    request.docs = list;
    assert_false(evaluator_rpc_render(channel, NULL, &request, arena, &reply, &err));
    assert_string_equal(err.text, "257 items in one request, at most 256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_read_in_as_many_calls_as_it_has_missing_files),
        cmocka_unit_test(every_shipped_task_says_what_it_is),
        cmocka_unit_test(a_bad_task_is_refused_with_file_and_line),
        cmocka_unit_test(prompts_come_in_the_order_of_the_documents),
        cmocka_unit_test(an_answer_gets_a_verdict_for_every_metric),
        cmocka_unit_test(an_answer_to_another_document_is_refused),
        cmocka_unit_test(scores_take_the_likeliest_choice),
        cmocka_unit_test(a_task_that_is_kept_needs_its_name_only),
        cmocka_unit_test(what_came_whole_once_is_named_afterwards),
        cmocka_unit_test(an_answer_is_graded_under_the_tasks_name),
        cmocka_unit_test(an_unknown_name_is_answered_with_send_it_whole),
        cmocka_unit_test(tasks_used_longest_ago_are_forgotten),
        cmocka_unit_test(evidence_in_pieces_becomes_one_summary),
        cmocka_unit_test(evidence_without_header_is_refused),
        cmocka_unit_test(cost_inputs_that_cannot_be_are_refused),
        cmocka_unit_test(too_many_items_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
