/* S-MBU and S-MFU of servers without passes: the worked run, its ranges, and what is not known. */
#include "measuring.h"
#include "model/stored.h"

/* Two layers: attention 12,288 numbers, norms 160, router 512, experts of 6,144 each; the last norm
 * 64, the head 6,400. A step reads 64,768 bytes and 24,576 for each distinct expert of both layers;
 * a token leaves 256 bytes in the cache. */
static const char config[] =
    "{\"model_type\":\"qwen3_moe\",\"hidden_size\":64,\"num_hidden_layers\":2,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":16,\"num_experts\":8,"
    "\"num_experts_per_tok\":2,\"moe_intermediate_size\":32,\"vocab_size\":100,"
    "\"torch_dtype\":\"bfloat16\"}";

static const double step_bytes = 64768, expert_bytes = 24576, token_bytes = 256;
static const double token_flops = 2 * (2 * (12288 + 512 + 2 * 6144) + 6400), key_flops = 512;
static const double h100_bytes_per_s = 3350e9, h100_flops_per_s = 989.5e12;

static struct eval_run served(const char *hardware)
{
    struct eval_run run = generating(2);

    run.in_engine = false;
    run.hardware = (struct eval_hardware){
        .server = true, .declared = hardware, .found = "", .precision = "bf16"};
    run.model_config = config;
    return run;
}

/* Prompt of 10 tokens, 5 tokens written: the first after 10 ms, then one every 10 ms. */
static void add_served(struct eval_evidence *e, int64_t at_us, int cached)
{
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;
    Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;
    uint32_t gaps[] = {10000, 10000, 10000, 10000};

    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    answer.finish_reason = "stop";
    answer.timing = &timing;
    timing.submitted_us = at_us;
    timing.opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
    timing.first_token_us = at_us + 10000;
    timing.opt_last_case = MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US;
    timing.last_token_us = timing.ended_us = at_us + 50000;
    timing.itl_us = gaps;
    timing.n_itl_us = 4;
    answer.opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
    answer.prompt_tokens = 10;
    answer.opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
    answer.output_tokens = 5;
    if (cached >= 0) {
        answer.opt_cached_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_CACHED_TOKENS_CACHED_TOKENS;
        answer.cached_tokens = (uint32_t)cached;
    }
    eval_evidence_add_answer(e, &answer);
}

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want)))
        fail_msg("%.12g, expected %.12g", got, want);
}

static void assert_declared(struct eval_evidence *e, const char *id, double value)
{
    const Moecap__V1__Figure *f = figure(e, id);

    if (!f->opt_value_case)
        fail_msg("%s has no value: %s", id, f->reason);
    assert_near(f->value, value);
    assert_string_equal(f->basis, "declared");
}

static void assert_range(struct eval_evidence *e, const char *id, double low, double high)
{
    const Moecap__V1__Figure *f = figure(e, id);

    assert_false(f->opt_value_case);
    assert_true(*f->reason);
    assert_near(f->low, low);
    assert_near(f->high, high);
    assert_string_equal(f->basis, "declared");
}

/* Both write at the same time: 4 steps of 2 tokens in 40 ms. Their tokens attend to 11 to 14 keys,
 * 100 in all, and 8 are written. */
static void the_worked_server_has_its_range(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&run);
    double possible = 0.04 * h100_bytes_per_s, cache = 108 * token_bytes;

    (void)state;
    add_served(e, 0, 0);
    add_served(e, 0, 0);
    /* 2 experts of each layer at least, 2 x 2 at most */
    assert_range(e, "smbu_decode", (4 * (step_bytes + 2 * expert_bytes) + cache) / possible,
                 (4 * (step_bytes + 4 * expert_bytes) + cache) / possible);
    assert_declared(e, "smfu_decode",
                    (8 * token_flops + 100 * key_flops) / (0.04 * h100_flops_per_s));
    assert_none(e, "smbu_prefill", "into how many passes the server cuts prompts is not known");
}

/* One after the other: one sequence in a step, so the experts are known. */
static void alone_a_request_reads_top_k_experts(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&run);

    (void)state;
    add_served(e, 0, 0);
    add_served(e, 100000, 0);
    assert_declared(e, "smbu_decode",
                    (8 * (step_bytes + 2 * expert_bytes) + 108 * token_bytes) /
                        (0.08 * h100_bytes_per_s));
}

/* Two replicas with one request each read their weights both. */
static void replicas_read_their_own_weights(void **state)
{
    struct eval_run run = served("2x H100-SXM");
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    run.replicas = 2;
    run.hardware.parallel = 2;
    e = eval_evidence_new(&run);
    add_served(e, 0, 0);
    add_served(e, 0, 0);
    assert_declared(e, "smbu_decode",
                    (8 * (step_bytes + 2 * expert_bytes) + 108 * token_bytes) /
                        (0.04 * 2 * h100_bytes_per_s));
}

/* ---- prefill ---- */

static double prompt_flops(int first, int last)
{
    int tokens = last - first + 1;

    return tokens * (token_flops - 2 * 6400) + 2 * 6400 + key_flops * (first + last) * tokens / 2;
}

static void prefill_counts_uncached_tokens_only(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&run);

    (void)state;
    add_served(e, 0, 0);
    add_served(e, 0, 6);
    assert_declared(e, "smfu_prefill",
                    (prompt_flops(1, 10) + prompt_flops(7, 10)) / (0.01 * h100_flops_per_s));
}

static void prompts_of_unknown_caching_have_a_range(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&run);

    (void)state;
    add_served(e, 0, -1);
    assert_range(e, "smfu_prefill", prompt_flops(10, 10) / (0.01 * h100_flops_per_s),
                 prompt_flops(1, 10) / (0.01 * h100_flops_per_s));
}

/* ---- what is not known ---- */

/* L2: a run starts and is measured without any profile of its experts. T3: none of another run
 * takes its place, so there is a range and no value. */
static void trap_l2_a_run_needs_no_profile(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&run);

    (void)state;
    add_served(e, 0, 0);
    add_served(e, 0, 0);
    assert_false(figure(e, "smbu_decode")->opt_value_case);
    assert_true(figure(e, "smbu_decode")->opt_high_case);
    assert_true(figure(e, "smfu_decode")->opt_value_case);
}

static void a_profile_gives_the_value_within_the_range(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = NULL;
    const Moecap__V1__Figure *f;

    (void)state;
    run.activation_profile = "dataset,batch_size,average_activated_experts\nx,1,2\nx,4,5\n";
    e = eval_evidence_new(&run);
    add_served(e, 0, 0);
    add_served(e, 0, 0);
    /* at 2 sequences 3 experts, on the line from (1, 2) to (4, 5) */
    assert_declared(e, "smbu_decode",
                    (4 * (step_bytes + 3 * expert_bytes) + 108 * token_bytes) /
                        (0.04 * h100_bytes_per_s));
    f = figure(e, "smbu_decode");
    assert_true(f->low < f->value && f->value < f->high);
}

/* R9, T3: a profile that has not this batch, or cannot be of this model, gives no value. */
static void trap_t3_a_profile_of_something_else_gives_no_value(void **state)
{
    static const char *const profiles[][2] = {
        {"dataset,batch_size,average_activated_experts\nx,4,5\nx,8,6\n", "batch sizes from 4 to 8"},
        {"dataset,batch_size,average_activated_experts\nx,2,7\n", "of another model"},
        {"nonsense", "first line"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        struct eval_run run = served("H100-SXM");
        CAP_AUTO(eval_evidence) e = NULL;

        run.activation_profile = profiles[i][0];
        e = eval_evidence_new(&run);
        add_served(e, 0, 0);
        add_served(e, 0, 0);
        assert_false(figure(e, "smbu_decode")->opt_value_case);
        assert_true(figure(e, "smbu_decode")->opt_low_case);
        if (!strstr(figure(e, "smbu_decode")->reason, profiles[i][1]))
            fail_msg("\"%s\" does not say \"%s\"", figure(e, "smbu_decode")->reason,
                     profiles[i][1]);
    }
}

static void without_a_shape_or_a_machine_there_is_a_reason(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) shapeless = NULL;
    CAP_AUTO(eval_evidence) strange = NULL;
    CAP_AUTO(eval_evidence) machineless = NULL;

    (void)state;
    run.model_config = "";
    shapeless = eval_evidence_new(&run);
    add_served(shapeless, 0, 0);
    assert_none(shapeless, "smbu_decode",
                "the model's shape is not declared; --model-config says it");
    assert_none(shapeless, "smfu_prefill",
                "the model's shape is not declared; --model-config says it");
    run.model_config = "{\"model_type\":\"x\",\"num_hidden_layers\":2}";
    strange = eval_evidence_new(&run);
    add_served(strange, 0, 0);
    assert_non_null(strstr(figure(strange, "smbu_decode")->reason, "the family \"x\""));
    run = served("");
    machineless = eval_evidence_new(&run);
    add_served(machineless, 0, 0);
    assert_none(machineless, "smbu_decode", "hardware is not declared; --hardware says it");
}

static void more_than_the_machine_can_do_is_invalid(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    run.hardware.peak_gb_s = 0.001;
    run.hardware.peak_gflop_s = 0.001;
    e = eval_evidence_new(&run);
    add_served(e, 0, 0);
    add_served(e, 0, 0);
    assert_true(figure(e, "smbu_decode")->invalid);
    assert_true(figure(e, "smfu_decode")->invalid);
    assert_non_null(strstr(figure(e, "smbu_decode")->reason, "even with 2 experts"));
}

/* C19: the cards of a quantised checkpoint say bfloat16, and so does a submission that says
 * nothing. */
static void trap_c19_a_quantised_server_is_counted_as_stored(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) plain = eval_evidence_new(&run);
    CAP_AUTO(eval_evidence) quantised = NULL;
    char text[sizeof config + 64];

    (void)state;
    snprintf(text, sizeof text, "%.*s,\"quantization_config\":{\"quant_method\":\"fp8\"}}",
             (int)sizeof config - 2, config);
    run.model_config = text;
    quantised = eval_evidence_new(&run);
    add_served(plain, 0, 0);
    add_served(quantised, 0, 0);
    assert_true(figure(quantised, "smbu_decode")->value <
                0.7 * figure(plain, "smbu_decode")->value);
}

/* Nobody said the precision: that of config.json chooses the peak. */
static void the_precision_of_a_server_is_that_of_its_config(void **state)
{
    (void)state;
    assert_string_equal(cap_stored_precision(config), "bf16");
    assert_string_equal(cap_stored_precision("{\"model_type\":\"x\"}"), "");
    assert_string_equal(cap_stored_precision("nonsense"), "");
    assert_string_equal(cap_stored_precision(""), "");
}

/* What the utilisation of passes says of our engine is not touched. */
static void runs_with_passes_are_left_alone(void **state)
{
    struct eval_run run = served("H100-SXM");
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&run);

    (void)state;
    add_served(e, 0, 0);
    add_pass(e, EVAL_DECODE, 1, 1000, 2, 2, false);
    assert_false(figure(e, "smfu_decode")->opt_value_case);
    assert_string_equal(figure(e, "smbu_decode")->basis, "unavailable");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_worked_server_has_its_range),
        TEST(alone_a_request_reads_top_k_experts),
        TEST(replicas_read_their_own_weights),
        TEST(prefill_counts_uncached_tokens_only),
        TEST(prompts_of_unknown_caching_have_a_range),
        TEST(trap_l2_a_run_needs_no_profile),
        TEST(a_profile_gives_the_value_within_the_range),
        TEST(trap_t3_a_profile_of_something_else_gives_no_value),
        TEST(without_a_shape_or_a_machine_there_is_a_reason),
        TEST(more_than_the_machine_can_do_is_invalid),
        TEST(trap_c19_a_quantised_server_is_counted_as_stored),
        TEST(the_precision_of_a_server_is_that_of_its_config),
        TEST(runs_with_passes_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
