/* A shard on an external engine, through the worker: what its report says, what fails a sample and
 * what the shard, and where a key may go. The test plays the scheduler by calling infer_work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drive.h"
#include "inference/node/hardware.h"
#include "inference/node/work.h"
#include "inference/node/worker.h"
#include "inference/serve/queue.h"
#include "moecap/v1/inference.pb-c.h"

static const char answer[] =
    "data: {\"id\":\"cmpl-7\",\"choices\":[{\"text\":\" 4\"}]}\n\n"
    "data: {\"choices\":[{\"text\":\"2\",\"finish_reason\":\"stop\"}]}\n\n";
static const char usage[] =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,"
    "\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\ndata: [DONE]\n\n";

enum { ANSWERS_MAX = 64, BATCHES_MAX = 64 };

struct node {
    struct stub *stub;
    struct infer_work *work;
    struct infer_queue *queue;
    struct infer_models *models;
    struct infer_hardware hardware;
    struct infer_worker *worker;
    uint64_t generation;
    struct infer_lease lease;
    /* what was sent */
    int answers, failed;
    char errors[ANSWERS_MAX][160];
    int gaps;                /* of the last answer */
    double tokens_per_s_max; /* of the progress that people see */
    bool ended;
    struct cap_err failure; /* of the shard */
    Moecap__V1__AnswerRows *batches[BATCHES_MAX];
    int batch_count;
    const Moecap__V1__AnswerRows *answered; /* the last with answers: the audit comes after them */
    const Moecap__V1__AnswerRows *ended_with; /* the last, which has the report */
};

static void wake(void *arg)
{
    infer_work_poke(arg);
}

static int start_node(void **state)
{
    struct node *node = calloc(1, sizeof *node);
    struct infer_worker_options options;

    node->stub = stub_start();
    stub_reply(node->stub, "/v1/models",
               &(struct stub_reply){.body = "{\"data\":[{\"id\":\"m\"}]}"});
    node->work = infer_work_new(cap_clock_system(), 1 << 24, 1 << 24);
    node->queue = infer_queue_new(4, wake, node->work);
    node->models = infer_models_open("", "", 0);
    options = (struct infer_worker_options){
        .work = node->work,
        .queue = node->queue,
        .models = node->models,
        .hardware = &node->hardware,
        .open_loop_in_flight_max = 16,
        .silence_ms_max = 10000,
        .server_rules = {.refused_ms_max = 300, .loading_ms_max = 300},
        .serve_engine = "null",
        .serve_precision = "",
        .serve_concurrency = 2};
    node->worker = infer_worker_start(&options);
    node->generation = infer_work_connected(node->work, 1000, 0);
    snprintf(node->lease.run_id, sizeof node->lease.run_id, "run-1");
    node->lease.fence = 1;
    *state = node;
    return 0;
}

static int stop_node(void **state)
{
    struct node *node = *state;

    infer_work_close(node->work);
    infer_worker_free(node->worker);
    infer_queue_free(node->queue);
    infer_work_free(node->work);
    infer_models_free(node->models);
    for (int i = 0; i < node->batch_count; i++)
        moecap__v1__answer_rows__free_unpacked(node->batches[i], NULL);
    stub_stop(node->stub);
    free(node);
    return 0;
}

/* ---- the scheduler's part ---- */

static void lease_exact(struct node *node, const struct infer_spec *spec, int prompts, bool exact)
{
    infer_work_assign(node->work, &node->lease, spec, 1, prompts, false);
    for (int i = 0; i < prompts; i++) {
        struct infer_prompt prompt = {.ordinal = (uint32_t)i, .uid = "u"};

        prompt.request = (struct infer_request){
            .text = "2 * 21 =", .max_tokens = 8, .top_p = 1, .ignore_eos = exact};
        infer_work_prompt(node->work, node->lease.run_id, node->lease.shard, &prompt);
    }
    infer_work_prompts_end(node->work, node->lease.run_id, node->lease.shard);
}

static void lease(struct node *node, const struct infer_spec *spec, int prompts)
{
    lease_exact(node, spec, prompts, false);
}

static void take_rows(struct node *node, const struct infer_batch *batch)
{
    Moecap__V1__AnswerRows *rows =
        moecap__v1__answer_rows__unpack(NULL, batch->length, batch->rows);

    assert_non_null(rows);
    for (size_t i = 0; i < rows->n_answers; i++) {
        Moecap__V1__SampleAnswer *row = rows->answers[i];

        assert_true(node->answers < ANSWERS_MAX);
        snprintf(node->errors[node->answers++], sizeof node->errors[0], "%s", row->error);
        node->failed += *row->error != '\0';
        node->gaps = (int)row->timing->n_itl_us;
    }
    node->ended = batch->last;
    assert_true(node->batch_count < BATCHES_MAX);
    node->batches[node->batch_count++] = rows;
    if (rows->n_answers > 0)
        node->answered = rows;
    node->ended_with = rows;
}

/* Until the shard is done, or has failed. */
static void drain(struct node *node)
{
    struct infer_outgoing out;

    while (!node->ended) {
        assert_true(infer_work_next(node->work, node->generation, &out));
        if (out.kind == INFER_SEND_BATCH) {
            take_rows(node, &out.batch);
            infer_work_ack(node->work, out.lease.run_id, out.lease.shard, out.batch.seq);
        } else if (out.kind == INFER_SEND_FAILED) {
            node->failure = out.failure;
            node->ended = true;
        } else if (out.kind == INFER_SEND_PROGRESS &&
                   out.progress.output_tokens_per_s > node->tokens_per_s_max) {
            node->tokens_per_s_max = out.progress.output_tokens_per_s;
        }
        infer_outgoing_done(&out);
    }
}

static struct infer_spec spec_for(const struct node *node, const char *kind)
{
    return (struct infer_spec){
        .engine = kind, .model = "m", .url = stub_url(node->stub), .concurrency = 1};
}

static const struct stub_reply good = {.pieces = (const char *const[]){answer, usage, NULL}};

static bool has_note(const struct node *node, const char *text)
{
    const Moecap__V1__ShardReport *report = node->ended_with->report;

    for (size_t i = 0; report && i < report->n_notes; i++)
        if (strstr(report->notes[i], text))
            return true;
    return false;
}

/* ---- the report ---- */

static void the_report_says_what_was_seen_and_what_was_declared(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "vllm");
    const Moecap__V1__ShardReport *report;

    spec.model_config = "{\"model_type\":\"mixtral\",\"num_hidden_layers\":32,"
                        "\"num_local_experts\":8,\"num_experts_per_tok\":2}";
    stub_reply(node->stub, "/version", &(struct stub_reply){.body = "{\"version\":\"0.32.0\"}"});
    stub_reply(node->stub, COMPLETIONS, &good); /* the warm-up */
    stub_reply(node->stub, COMPLETIONS, &(struct stub_reply){.status = 503, .body = "{}"});
    stub_reply(node->stub, COMPLETIONS, &good);
    lease(node, &spec, 2);
    drain(node);
    assert_int_equal(node->answers, 2);
    assert_int_equal(node->failed, 0);
    report = node->ended_with->report;
    assert_non_null(report);
    assert_string_equal(report->engine_version, "0.32.0");
    assert_string_equal(report->timing_boundary, "http");
    assert_int_equal(report->retries, 1);
    assert_int_equal(report->experts, 8);
    assert_int_equal(report->moe_layers, 32);
    assert_int_equal(report->top_k, 2);
    assert_int_equal(report->n_declared, 4);
    assert_string_equal(report->declared[0], "model_family");
    assert_true(has_note(node, "prefix cache held 6 of 10 prompt tokens"));
    assert_true(has_note(node, "declared by the submitter, not reported by the server"));
    assert_true(has_note(node, "parameters are unknown: "));
    assert_int_equal(node->gaps, 1); /* two chunks, two tokens */
}

static void parameters_are_counted_from_a_declared_config_of_a_known_family(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");
    const Moecap__V1__ShardReport *report;

    spec.model_config =
        "{\"model_type\":\"qwen3_moe\",\"hidden_size\":64,\"num_hidden_layers\":2,\"vocab_size\":"
        "100,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":16,\"num_experts\":8,"
        "\"num_experts_per_tok\":2,\"moe_intermediate_size\":32,\"intermediate_size\":128,"
        "\"max_position_embeddings\":512,\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0,"
        "\"tie_word_embeddings\":false,\"quantization_config\":{\"quant_method\":\"fp8\"}}";
    stub_reply(node->stub, COMPLETIONS, &good);
    lease(node, &spec, 1);
    drain(node);
    report = node->ended_with->report;
    assert_non_null(report);
    /* experts 2*8*3*64*32, attention 2*(64*64*2 + 64*32*2), routers 2*8*64, norms 2*(2*64 + 2*16)
     * + 64, embedding and head 2*100*64 */
    assert_int_equal(report->parameters, 98304 + 24576 + 1024 + 384 + 12800);
    assert_int_equal(report->active_parameters, 98304 / 4 + 24576 + 1024 + 384 + 12800);
    assert_int_equal(report->n_declared, 6);
    assert_false(has_note(node, "parameters are unknown"));
}

static void what_a_declared_config_does_not_say_plainly_is_unknown_with_its_reason(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");
    const Moecap__V1__ShardReport *report;

    spec.model_config = "{\"model_type\":\"surprise\",\"num_hidden_layers\":4,\"num_experts\":8,"
                        "\"num_experts_per_tok\":2,\"limits\":[0.0,Infinity]}";
    stub_reply(node->stub, COMPLETIONS, &good);
    lease(node, &spec, 1);
    drain(node);
    report = node->ended_with->report;
    assert_non_null(report);
    assert_int_equal(report->experts, 8);
    assert_int_equal(report->moe_layers, 0);
    assert_int_equal(report->n_declared, 3);
    assert_string_equal(report->declared[1], "experts");
    assert_true(has_note(node, "nothing in config.json says which layers have experts"));
}

static void chunks_of_several_tokens_have_no_gaps(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "transformers");

    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){
                   .pieces = STREAM("data: {\"choices\":[{\"text\":\"forty \"}]}\n\n",
                                    "data: {\"choices\":[{\"text\":\"two\"}]}\n\n",
                                    "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":"
                                    "\"stop\"}],\"usage\":{\"prompt_tokens\":5,"
                                    "\"completion_tokens\":6}}\n\n")});
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->failed, 0);
    assert_int_equal(node->gaps, 0);
    assert_int_equal(node->answered->answers[0]->output_tokens, 6);
    assert_true(node->answered->answers[0]->timing->opt_first_case != 0);
}

#define COUNTED(text, tokens)                                                                      \
    "data: {\"choices\":[{\"text\":\"" text "\"}],\"usage\":{\"prompt_tokens\":5,"                 \
    "\"completion_tokens\":" #tokens "}}\n\n"

/* So that a rate over the chunks behind the first counts only what came with them. */
static void tokens_of_the_first_chunk_are_told_where_the_server_counts_them(void **state)
{
    static const struct {
        const char *pieces[5];
        uint32_t first; /* 0 = unknown */
    } rows[] = {
        {{COUNTED("a b c d", 4), COUNTED(" e", 5), COUNTED(" f", 6), "data: [DONE]\n\n"}, 4},
        {{answer, usage}, 1}, /* two chunks, two tokens: a chunk is a token */
        {{"data: {\"choices\":[{\"text\":\"a b c d\"}]}\n\n",
          "data: {\"choices\":[{\"text\":\" e\",\"finish_reason\":\"stop\"}]}\n\n",
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":5}}\n\n",
          "data: [DONE]\n\n"},
         0},
    };
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "vllm");

    stub_reply(node->stub, COMPLETIONS, &good); /* the warm-up */
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        stub_reply(node->stub, COMPLETIONS, &(struct stub_reply){.pieces = rows[i].pieces});
    lease(node, &spec, CAP_COUNT_OF(rows));
    drain(node);
    assert_int_equal(node->failed, 0);
    assert_int_equal(node->answered->n_answers, CAP_COUNT_OF(rows));
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        const Moecap__V1__SampleAnswer *row = node->answered->answers[i];

        assert_int_equal(row->opt_first_chunk_tokens_case != 0, rows[i].first != 0);
        assert_int_equal(row->first_chunk_tokens, rows[i].first);
    }
}

/* Its closing chunk is no token: the answer has 0 tokens, which is a count, and no first one. */
static void an_answer_of_nothing_has_no_first_token(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "vllm");
    const Moecap__V1__SampleAnswer *row;

    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){
                   .pieces = STREAM("data: {\"choices\":[{\"text\":\"\",\"finish_reason\":"
                                    "\"stop\"}]}\n\n",
                                    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,"
                                    "\"completion_tokens\":0,\"total_tokens\":5}}\n\n",
                                    "data: [DONE]\n\n")});
    lease(node, &spec, 1);
    drain(node);
    row = node->answered->answers[0];
    assert_int_equal(node->failed, 0);
    assert_true(row->opt_output_tokens_case != 0);
    assert_int_equal(row->output_tokens, 0);
    assert_int_equal(row->timing->opt_first_case, 0);
    assert_int_equal(row->timing->opt_last_case, 0);
}

static void counts_that_cannot_be_are_absent_and_the_report_says_why(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "vllm");

    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){
                   .pieces = STREAM("data: {\"choices\":[{\"text\":\"42\",\"finish_reason\":"
                                    "\"stop\"}],\"usage\":{\"prompt_tokens\":0,"
                                    "\"completion_tokens\":0,\"total_tokens\":0}}\n\n",
                                    "data: [DONE]\n\n")});
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->failed, 0);
    assert_int_equal(node->answered->answers[0]->opt_output_tokens_case, 0);
    assert_int_equal(node->answered->answers[0]->opt_prompt_tokens_case, 0);
    assert_non_null(
        strstr(node->ended_with->report->counts_unknown,
               "are impossible for 1 of 1 answers: it counts 0 output tokens where 2 bytes"));
    assert_true(has_note(node, "the server's counts are impossible for 1 of 1 answers"));
}

/* Experts 0, 1 and 1 of two, in one layer: two rows of the prompt, one of the answer. */
static void a_servers_routing_reaches_its_sample_and_the_counts_of_the_run(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "sglang");
    const Moecap__V1__AnswerRows *rows;

    spec.model_config = "{\"model_type\":\"olmoe\",\"num_hidden_layers\":1,\"num_experts\":2,"
                        "\"num_experts_per_tok\":1}";
    stub_reply(node->stub, "/server_info",
               &(struct stub_reply){.body = "{\"enable_return_routed_experts\":true}"});
    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){
                   .pieces = STREAM("data: {\"choices\":[{\"text\":\"42\",\"finish_reason\":"
                                    "\"stop\"}]}\n\n",
                                    "data: {\"choices\":[],\"sglext\":{\"routed_experts\":"
                                    "\"AAAAAAEAAAABAAAA\"}}\n\n",
                                    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2,"
                                    "\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")});
    lease(node, &spec, 1);
    drain(node);
    assert_string_equal(node->ended_with->report->routing_unknown, "");
    assert_string_equal(node->ended_with->report->routing_source, "server per request");
    rows = node->answered;
    assert_string_equal(rows->answers[0]->routing->source, "server per request");
    assert_int_equal(rows->answers[0]->routing->layers[0]->prefill[0], 1);
    assert_int_equal(rows->answers[0]->routing->layers[0]->prefill[1], 1);
    assert_int_equal(rows->answers[0]->routing->layers[0]->decode[1], 1);
    assert_int_equal(rows->n_expert_counts, 2); /* not the warm-up's */
    assert_int_equal(rows->expert_counts[0]->batch_bucket, 0);
    assert_int_equal(rows->expert_counts[0]->counts[1], 1);
    assert_int_equal(rows->expert_counts[1]->phase, MOECAP__V1__PHASE__PHASE_DECODE);
    assert_int_equal(rows->expert_counts[1]->counts[1], 1);
}

static void answers_without_usage_have_no_counts_and_the_report_says_so(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");

    stub_reply(node->stub, COMPLETIONS, &(struct stub_reply){.pieces = STREAM(answer)});
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->failed, 0);
    assert_int_equal(node->answered->answers[0]->opt_output_tokens_case, 0);
    assert_int_equal(node->gaps, 0);
    assert_true(has_note(node, "the server sent no usage with 1 of 1 answers"));
    assert_true(has_note(node, "the server's version is unknown"));
}

static void a_length_that_was_not_kept_is_noted(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");

    stub_reply(node->stub, COMPLETIONS, &good); /* two tokens, whatever was asked for */
    lease_exact(node, &spec, 2, true);
    drain(node);
    assert_int_equal(node->failed, 0);
    assert_true(has_note(node, "2 of 2 answers do not have the length that was asked for"));
}

/* Its chunks cannot be counted in tokens while they come, and people wait before the page. */
static void progress_shows_tokens_also_of_a_server_that_counts_them_at_the_end(void **state)
{
    static const char token[] = "data: {\"choices\":[{\"text\":\"a \"}]}\n\n";
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");

    stub_reply(node->stub, COMPLETIONS, &good);
    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){.pieces = STREAM(token, token, token, token, answer, usage),
                                    .pause_ms = 200});
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->answers, 1);
    assert_true(node->tokens_per_s_max > 0);
}

/* ---- failures ---- */

static void a_warm_up_that_kills_the_server_fails_the_shard(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "vllm");

    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){.status = 500,
                                    .body = "{\"error\":{\"message\":\"EngineCore encountered an "
                                            "issue\",\"code\":500}}"});
    lease(node, &spec, 3);
    drain(node);
    assert_int_equal(node->answers, 0);
    assert_int_equal(node->failure.code, CAP_UNAVAILABLE);
    assert_string_equal(node->failure.text,
                        "the warm-up request failed: the server's engine has died; it answered "
                        "500: EngineCore encountered an issue");
}

static void a_connection_that_breaks_fails_its_sample_and_not_the_run(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");

    stub_reply(node->stub, COMPLETIONS, &good);
    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){.pieces = STREAM(answer), .broken = true, .pause_ms = 5});
    stub_reply(node->stub, COMPLETIONS, &good);
    lease(node, &spec, 3);
    drain(node);
    assert_int_equal(node->answers, 3);
    assert_int_equal(node->failed, 1);
    assert_non_null(strstr(node->errors[0], "the connection to"));
    assert_non_null(strstr(node->errors[0], "(request cmpl-7)"));
    assert_int_equal(node->failure.code, CAP_OK);
}

static void a_server_that_stays_away_fails_the_shard_after_eight_samples(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");

    stub_reply(node->stub, COMPLETIONS, &good);
    stub_reply(node->stub, COMPLETIONS,
               &(struct stub_reply){.pieces = STREAM(answer), .broken = true, .pause_ms = 2});
    lease(node, &spec, 20);
    drain(node);
    assert_int_equal(node->answers, 8); /* delivered before the shard fails */
    assert_int_equal(node->failed, 8);
    assert_int_equal(node->failure.code, CAP_UNAVAILABLE);
    assert_non_null(strstr(node->failure.text, "the server is gone: 8 requests in a row lost it"));
}

static void a_bad_declaration_fails_with_its_reason(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");

    spec.model_config = "{\"num_hidden_layers\": ";
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->failure.code, CAP_INVALID_ARGUMENT);
    assert_non_null(strstr(node->failure.text, "the declared config.json: not JSON: line 1: "));
}

/* ---- keys ---- */

static void a_key_is_sent_as_a_bearer_token(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");

    setenv("MOECAP_KEY_TEST", "s3cret", 1);
    setenv("MOECAP_KEY_TEST_URL", stub_url(node->stub), 1);
    spec.api_key_env = "MOECAP_KEY_TEST";
    stub_reply(node->stub, COMPLETIONS, &good);
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->failed, 0);
    assert_non_null(strstr(stub_headers(node->stub, "/v1/models", 0), "Bearer s3cret"));
    assert_non_null(strstr(stub_headers(node->stub, COMPLETIONS, 0), "Bearer s3cret"));
    unsetenv("MOECAP_KEY_TEST");
    unsetenv("MOECAP_KEY_TEST_URL");
}

static void a_key_goes_only_where_it_is_tied_to(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");
    char tie[80];

    /* a beginning of the text, but another port */
    snprintf(tie, sizeof tie, "%.*s", (int)strlen(stub_url(node->stub)) - 1, stub_url(node->stub));
    setenv("MOECAP_KEY_TEST", "s3cret", 1);
    setenv("MOECAP_KEY_TEST_URL", tie, 1);
    spec.api_key_env = "MOECAP_KEY_TEST";
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->failure.code, CAP_PERMISSION_DENIED);
    assert_non_null(strstr(node->failure.text, "sends MOECAP_KEY_TEST only to URLs that begin"));
    assert_int_equal(stub_count(node->stub, "/v1/models"), 0);
    unsetenv("MOECAP_KEY_TEST");
    unsetenv("MOECAP_KEY_TEST_URL");
}

static void dots_do_not_lead_a_key_out_of_its_path(void **state)
{
    struct node *node = *state;
    struct infer_spec spec = spec_for(node, "openai");
    char tie[80], url[96];

    snprintf(tie, sizeof tie, "%s/mine", stub_url(node->stub));
    snprintf(url, sizeof url, "%s/../others", tie);
    setenv("MOECAP_KEY_TEST", "s3cret", 1);
    setenv("MOECAP_KEY_TEST_URL", tie, 1);
    spec.api_key_env = "MOECAP_KEY_TEST";
    spec.url = url;
    lease(node, &spec, 1);
    drain(node);
    assert_int_equal(node->failure.code, CAP_PERMISSION_DENIED);
    assert_int_equal(stub_count(node->stub, "/others/v1/models"), 0);
    unsetenv("MOECAP_KEY_TEST");
    unsetenv("MOECAP_KEY_TEST_URL");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_node, stop_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_report_says_what_was_seen_and_what_was_declared),
        TEST(parameters_are_counted_from_a_declared_config_of_a_known_family),
        TEST(what_a_declared_config_does_not_say_plainly_is_unknown_with_its_reason),
        TEST(chunks_of_several_tokens_have_no_gaps),
        TEST(tokens_of_the_first_chunk_are_told_where_the_server_counts_them),
        TEST(an_answer_of_nothing_has_no_first_token),
        TEST(counts_that_cannot_be_are_absent_and_the_report_says_why),
        TEST(a_servers_routing_reaches_its_sample_and_the_counts_of_the_run),
        TEST(answers_without_usage_have_no_counts_and_the_report_says_so),
        TEST(a_length_that_was_not_kept_is_noted),
        TEST(progress_shows_tokens_also_of_a_server_that_counts_them_at_the_end),
        TEST(a_warm_up_that_kills_the_server_fails_the_shard),
        TEST(a_connection_that_breaks_fails_its_sample_and_not_the_run),
        TEST(a_server_that_stays_away_fails_the_shard_after_eight_samples),
        TEST(a_bad_declaration_fails_with_its_reason),
        TEST(a_key_is_sent_as_a_bearer_token),
        TEST(a_key_goes_only_where_it_is_tied_to),
        TEST(dots_do_not_lead_a_key_out_of_its_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
