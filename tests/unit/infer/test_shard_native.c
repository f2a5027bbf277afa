/* A shard on the native engine with the shipped model: the routing of its samples and the sums of
 * the run are two accounts of the same choices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "inference/node/work.h"
#include "inference/node/worker.h"
#include "inference/serve/queue.h"
#include "moecap/v1/inference.pb-c.h"

enum { PROMPTS = 12, SCORED = 7, LAYERS_MAX = 8, EXPERTS_MAX = 32, TOP_K = 2 };

typedef uint64_t tally[2][LAYERS_MAX][EXPERTS_MAX]; /* prefill, decode; by the model's layer */

struct shard_run {
    tally of_samples[PROMPTS], samples, passes;
    int answers;
    uint32_t finished_by_stop;
    char routing_unknown[96], routing_source[32];
    bool last;
};

static void wake(void *arg)
{
    infer_work_poke(arg);
}

/* ---- the work ---- */

/* Ends by eos, by a stop string, by length; the eighth is scored. */
static void add_prompts(struct infer_work *work, const char *run_id)
{
    static const char *const stops[] = {"\n"}, *const choices[] = {" A car", " 12"};

    for (uint32_t i = 0; i < PROMPTS; i++) {
        char text[160], uid[16];
        struct infer_prompt prompt = {.ordinal = i, .uid = uid};

        snprintf(uid, sizeof uid, "s%u", i);
        snprintf(text, sizeof text,
                 "Question: %u hens lay %u eggs each. How many eggs are there?\nAnswer:", i + 3,
                 i + 4);
        prompt.request = (struct infer_request){
            .text = text, .max_tokens = i % 3 == 2 ? (int)i : 60, .top_p = 1};
        if (i % 3 == 1) {
            prompt.request.stop = stops;
            prompt.request.stop_count = 1;
        }
        if (i == SCORED) {
            prompt.request.continuations = choices;
            prompt.request.continuation_count = 2;
        }
        infer_work_prompt(work, run_id, 0, &prompt);
    }
    infer_work_prompts_end(work, run_id, 0);
}

static void add(tally out, int phase, uint32_t layer, uint64_t count, size_t expert)
{
    assert_true(layer < LAYERS_MAX && expert < EXPERTS_MAX);
    out[phase][layer][expert] += count;
}

static void take_routing(struct shard_run *run, const Moecap__V1__SampleAnswer *answer)
{
    const Moecap__V1__SampleRouting *routing = answer->routing;

    assert_non_null(routing);
    assert_string_equal(routing->source, "engine");
    assert_int_equal(routing->top_k, TOP_K);
    for (size_t l = 0; l < routing->n_layers; l++) {
        const Moecap__V1__LayerRouting *layer = routing->layers[l];
        for (size_t e = 0; e < layer->n_prefill; e++)
            add(run->of_samples[answer->ordinal], 0, layer->layer, layer->prefill[e], e);
        for (size_t e = 0; e < layer->n_decode; e++)
            add(run->of_samples[answer->ordinal], 1, layer->layer, layer->decode[e], e);
    }
}

static uint64_t sum(const uint64_t counts[EXPERTS_MAX])
{
    uint64_t total = 0;

    for (int e = 0; e < EXPERTS_MAX; e++)
        total += counts[e];
    return total;
}

static void check_answer(struct shard_run *run, const Moecap__V1__SampleAnswer *answer)
{
    uint64_t prefill = answer->prompt_tokens, decode = answer->output_tokens - 1;

    assert_int_equal(answer->status, MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED);
    for (size_t i = 0; i < answer->n_scores; i++)
        prefill += answer->scores[i]->tokens - 1;
    for (size_t l = 0; l < answer->routing->n_layers; l++) {
        uint32_t layer = answer->routing->layers[l]->layer;
        const uint64_t(*mine)[LAYERS_MAX][EXPERTS_MAX] = run->of_samples[answer->ordinal];
        assert_int_equal(sum(mine[0][layer]), TOP_K * prefill);
        assert_int_equal(sum(mine[1][layer]), answer->n_scores ? 0 : TOP_K * decode);
    }
    run->finished_by_stop += strcmp(answer->finish_reason, "stop") == 0;
}

static void take_rows(struct shard_run *run, const struct infer_batch *batch)
{
    Moecap__V1__AnswerRows *rows =
        moecap__v1__answer_rows__unpack(NULL, batch->length, batch->rows);

    assert_non_null(rows);
    for (size_t i = 0; i < rows->n_answers; i++, run->answers++) {
        take_routing(run, rows->answers[i]);
        check_answer(run, rows->answers[i]);
    }
    for (size_t i = 0; i < rows->n_expert_counts; i++) {
        const Moecap__V1__ExpertCount *row = rows->expert_counts[i];
        for (size_t e = 0; e < row->n_counts; e++)
            add(run->passes, (int)row->phase - 1, row->layer, row->counts[e], e);
    }
    if (rows->report) {
        snprintf(run->routing_unknown, sizeof run->routing_unknown, "%s",
                 rows->report->routing_unknown);
        snprintf(run->routing_source, sizeof run->routing_source, "%s",
                 rows->report->routing_source);
    }
    run->last = batch->last;
    moecap__v1__answer_rows__free_unpacked(rows, NULL);
}

/* A node whose worker waits for a shard of the model in `dir`. */
struct node {
    struct infer_work *work;
    struct infer_queue *queue;
    struct infer_models *models;
    struct infer_hardware hardware;
    struct infer_worker *worker;
    uint64_t generation;
    const char *phase; /* told last */
};

static const struct infer_lease lease = {.run_id = "run-1", .fence = 1};

static void start_node(struct node *node)
{
    struct infer_worker_options options = {
        .any_model_path = true, .threads = 2, .silence_ms_max = 60000, .serve_concurrency = 1};

    node->work = options.work = infer_work_new(cap_clock_system(), 1 << 24, 1 << 24);
    node->queue = options.queue = infer_queue_new(4, wake, node->work);
    node->models = options.models = infer_models_open("", "", 0);
    node->hardware = (struct infer_hardware){.cores = 1};
    options.hardware = &node->hardware;
    node->generation = infer_work_connected(node->work, 1000, 0);
    node->worker = infer_worker_start(&options);
}

static void end_node(struct node *node)
{
    infer_work_close(node->work);
    infer_worker_free(node->worker);
    infer_queue_free(node->queue);
    infer_work_free(node->work);
    infer_models_free(node->models);
}

static void assign(struct node *node, const char *dir, int concurrency, int prompts)
{
    const struct infer_spec spec = {
        .engine = "native", .model = dir, .precision = "int8", .concurrency = concurrency};

    infer_work_assign(node->work, &lease, &spec, 1, prompts, false);
}

static void run_to_last(struct node *node, struct shard_run *run)
{
    *run = (struct shard_run){0};
    while (!run->last) {
        struct infer_outgoing out;
        assert_true(infer_work_next(node->work, node->generation, &out));
        if (out.kind == INFER_SEND_FAILED)
            fail_msg("%s", out.failure.text);
        if (out.kind == INFER_SEND_BATCH)
            take_rows(run, &out.batch);
        infer_outgoing_done(&out);
    }
}

static void run_shard(int concurrency, struct shard_run *run)
{
    char model[512];
    struct node node;

    snprintf(model, sizeof model, "%s/models/moecap-tiny", getenv("MOECAP_SOURCE_DIR"));
    start_node(&node);
    assign(&node, model, concurrency, PROMPTS);
    add_prompts(node.work, lease.run_id);
    run_to_last(&node, run);
    end_node(&node);
}

/* ---- chat templates ---- */

/* The shipped model with another chat template. */
static void make_model(char dir[64], const char *template)
{
    static const char *const names[] = {"config.json", "generation_config.json",
                                        "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};
    char from[512], to[128];
    FILE *file;

    strcpy(dir, "/tmp/moecap-shard-XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        snprintf(from, sizeof from, "%s/models/moecap-tiny/%s", getenv("MOECAP_SOURCE_DIR"),
                 names[i]);
        snprintf(to, sizeof to, "%s/%s", dir, names[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    snprintf(to, sizeof to, "%s/chat_template.jinja", dir);
    file = fopen(to, "w");
    assert_non_null(file);
    fputs(template, file);
    fclose(file);
}

static void remove_model(const char *dir)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void ask(struct node *node, int prompts, bool chat)
{
    static const struct infer_message message = {"user", "How many eggs?"};

    for (uint32_t i = 0; i < (uint32_t)prompts; i++) {
        struct infer_prompt prompt = {.ordinal = i, .uid = "s"};

        prompt.request = (struct infer_request){.max_tokens = 2, .top_p = 1};
        if (chat) {
            prompt.request.messages = &message;
            prompt.request.message_count = 1;
        } else {
            prompt.request.text = "How many eggs?";
        }
        infer_work_prompt(node->work, lease.run_id, lease.shard, &prompt);
    }
    infer_work_prompts_end(node->work, lease.run_id, lease.shard);
}

/* Waits until something of that kind goes out; `failure` gets why, of a failed shard. */
static void await(struct node *node, enum infer_message_kind kind, struct cap_err *failure)
{
    struct infer_outgoing out = {.kind = INFER_SEND_BEAT};

    do {
        assert_true(infer_work_next(node->work, node->generation, &out));
        if (out.kind == INFER_SEND_FAILED) {
            *failure = out.failure;
            if (kind != INFER_SEND_FAILED)
                fail_msg("%s", out.failure.text);
        }
        if (out.kind == INFER_SEND_PROGRESS)
            node->phase = out.progress.phase;
        infer_outgoing_done(&out);
    } while (out.kind != kind);
}

/* ---- tests ---- */

static void the_samples_sum_to_the_run_and_do_not_depend_on_their_neighbours(void **state)
{
    CAP_AUTO_MEM struct shard_run *alone = calloc(1, sizeof *alone),
                                  *batch = calloc(1, sizeof *alone);
    struct shard_run *const runs[] = {alone, batch};

    (void)state;
    run_shard(1, alone);
    run_shard(4, batch);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(runs[r]->answers, PROMPTS);
        assert_string_equal(runs[r]->routing_unknown, "");
        assert_string_equal(runs[r]->routing_source, "real weights and text");
        assert_true(runs[r]->finished_by_stop > 1);
        for (int i = 0; i < PROMPTS; i++)
            for (size_t at = 0; at < sizeof(tally) / sizeof(uint64_t); at++)
                (&runs[r]->samples[0][0][0])[at] += (&runs[r]->of_samples[i][0][0][0])[at];
        assert_true(sum(runs[r]->passes[1][0]) > 0);
        assert_memory_equal(runs[r]->samples, runs[r]->passes, sizeof(tally));
    }
    assert_memory_equal(alone->of_samples, batch->of_samples, sizeof alone->of_samples);
}

/* Untrained weights go before random text: what a router that learned nothing does with either. */
static void whose_choices_they_are_depends_on_weights_and_text(void **state)
{
    CAP_AUTO_MEM struct shard_run *run = calloc(1, sizeof *run);
    struct infer_spec spec = {.engine = "native", .precision = "int8", .concurrency = 2};
    char dir[64], model[512], command[1024];
    struct node node;

    (void)state;
    snprintf(model, sizeof model, "%s/models/moecap-tiny", getenv("MOECAP_SOURCE_DIR"));
    make_model(dir, "{{ messages[0].content }}");
    snprintf(command, sizeof command,
             "rm %s/config.json && sed '1s/{/{\"random_weights\": true,/' %s/config.json "
             ">%s/config.json",
             dir, model, dir);
    assert_int_equal(system(command), 0);
    for (int random = 0; random < 2; random++) {
        start_node(&node);
        spec.model = random ? dir : model;
        spec.input_tokens = 24;
        infer_work_assign(node.work, &lease, &spec, 1, 3, false);
        ask(&node, 3, false);
        run_to_last(&node, run);
        end_node(&node);
        assert_int_equal(run->answers, 3);
        assert_string_equal(run->routing_source, random ? "random weights" : "random text");
    }
    remove_model(dir);
}

static void a_template_that_does_not_compile_fails_only_chat(void **state)
{
    struct cap_err failure = {0};
    struct node node;
    char dir[64];

    (void)state;
    make_model(dir, "a{% training %}b{% endtraining %}");
    start_node(&node);
    assign(&node, dir, 1, 3);
    ask(&node, 3, true);
    await(&node, INFER_SEND_FAILED, &failure);
    assert_non_null(strstr(failure.text, "chat template of chat_template.jinja: template line 1: "
                                         "this tag is not understood: training"));
    assign(&node, dir, 1, 3);
    ask(&node, 3, false);
    await(&node, INFER_SEND_BATCH, &failure);
    end_node(&node);
    remove_model(dir);
}

/* Two thousand prompts, of which each works for as long as a template may: were they all rendered,
 * the test would run into its limit. */
static void a_stop_ends_a_shard_whose_template_burns(void **state)
{
    struct cap_err failure = {0};
    struct node node;
    char dir[64];

    (void)state;
    make_model(dir,
               "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
    start_node(&node);
    assign(&node, dir, 64, 2000);
    ask(&node, 2000, true);
    do
        await(&node, INFER_SEND_PROGRESS, &failure);
    while (strcmp(node.phase, "running") != 0);
    assert_true(infer_work_stop(node.work, lease.run_id, lease.shard, lease.fence));
    await(&node, INFER_SEND_STOPPED, &failure);
    end_node(&node);
    remove_model(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_samples_sum_to_the_run_and_do_not_depend_on_their_neighbours),
        cmocka_unit_test(whose_choices_they_are_depends_on_weights_and_text),
        cmocka_unit_test(a_template_that_does_not_compile_fails_only_chat),
        cmocka_unit_test(a_stop_ends_a_shard_whose_template_burns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
