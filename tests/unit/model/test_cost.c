/* Parameters, bytes and FLOPs against numbers worked out by hand (docs/models.md). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/cost.h"

static struct cap_model *tiny(void)
{
    struct cap_err err = {0};
    char path[1024];
    struct cap_model *model;

    snprintf(path, sizeof path, "%s/models/moecap-tiny", getenv("MOECAP_SOURCE_DIR"));
    model = cap_model_open(path, &err);
    if (!model)
        fail_msg("%s", err.text);
    return model;
}

static void tiny_has_the_parameters_of_its_card(void **state)
{
    CAP_AUTO(cap_model) model = tiny();
    struct cap_cost_parameters p;

    (void)state;
    cap_cost_parameters(model, &p);
    assert_int_equal(p.total, 4452032);
    assert_int_equal(p.active, 1011392);
    assert_int_equal(p.active_without_embedding, 880320);
    assert_int_equal(p.embedding, 1024 * 128);
    assert_int_equal(p.attention, 5 * (2 * 128 * 128 + 2 * 64 * 128));
    assert_int_equal(p.per_expert, 3 * 128 * 128);
    assert_int_equal(p.experts, 5 * 16 * 3 * 128 * 128);
    assert_int_equal(p.routers, 5 * 16 * 128);
    assert_int_equal(p.norms, 128 + 5 * (2 * 128 + 2 * 32));
}

/* One token of context 57 at bf16: two experts in each of five layers. */
static void one_decoded_token_costs_what_the_page_works_out(void **state)
{
    CAP_AUTO(cap_model) model = tiny();
    uint32_t distinct[5] = {2, 2, 2, 2, 2};
    struct cap_cost_pass pass = {.tokens = 1,
                                 .logits_tokens = 1,
                                 .context_sum = 57,
                                 .attended_sum = 57,
                                 .distinct_experts = distinct,
                                 .format = cap_cost_format_of(CAP_PRECISION_BF16, CAP_DTYPE_BF16),
                                 .kv_element_bytes = 2};
    struct cap_cost cost;

    (void)state;
    cap_cost_of_pass(model, &pass, &cost);
    /* routers and norms are kept in f32 */
    assert_int_equal(cost.weight_bytes, 2 * (880320 - 10240 - 1728) + 4 * (10240 + 1728));
    assert_int_equal(cost.kv_bytes, (57 + 1) * 1280);
    /* 2 * (all matrices but the embedding) + 4 * layers * heads * head_dim * context */
    assert_true(cost.flops == 2.0 * (880320 - 1728) + 4.0 * 5 * 4 * 32 * 57);
    assert_int_equal(cap_cost_weight_bytes_per_token(model, &pass.format), cost.weight_bytes);
}

/* A chunk of 10 prompt tokens that woke 7 experts a layer; no logits. */
static void prefill_chunk_reads_each_distinct_expert_once(void **state)
{
    CAP_AUTO(cap_model) model = tiny();
    uint32_t distinct[5] = {7, 7, 7, 7, 7};
    struct cap_cost_pass pass = {.tokens = 10,
                                 .context_sum = 10,
                                 .attended_sum = 55,
                                 .distinct_experts = distinct,
                                 .format = cap_cost_format_of(CAP_PRECISION_BF16, CAP_DTYPE_BF16),
                                 .kv_element_bytes = 4};
    struct cap_cost cost;
    int64_t outside = 2 * 245760 + 4 * (1728 + 10240);

    (void)state;
    cap_cost_of_pass(model, &pass, &cost);
    assert_int_equal(cost.weight_bytes, outside + 2 * 5 * 7 * 49152);
    assert_int_equal(cost.kv_bytes, 20 * 5 * 2 * 64 * 4);
    assert_true(cost.flops == 2.0 * 10 * (245760 + 10240 + 5 * 2 * 49152) + 4.0 * 5 * 4 * 32 * 55);
}

static void quantised_matrices_carry_their_scales(void **state)
{
    const struct cap_cost_scales of_32 = {1, 32, 16}, of_64 = {1, 64, 16};
    const struct cap_cost_scales blocks = {128, 128, 32}, none = {.columns = 0};

    (void)state;
    assert_int_equal(cap_cost_matrix_bytes(CAP_PRECISION_INT8, &of_32, 3, 64), 3 * (64 + 2 * 2));
    assert_int_equal(cap_cost_matrix_bytes(CAP_PRECISION_INT8, &of_32, 3, 65), 3 * (65 + 3 * 2));
    assert_int_equal(cap_cost_matrix_bytes(CAP_PRECISION_INT4, &of_64, 2, 64), 2 * (32 + 2));
    assert_int_equal(cap_cost_matrix_bytes(CAP_PRECISION_F32, &of_32, 3, 5), 60);
    assert_int_equal(cap_cost_matrix_bytes(CAP_PRECISION_FP8, &blocks, 129, 256),
                     129 * 256 + 2 * 2 * 4);
    assert_int_equal(cap_cost_matrix_bytes(CAP_PRECISION_INT8, &none, 3, 64), 3 * 64);
}

static void windows_bound_what_their_layers_read(void **state)
{
    json_t *config =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:i}", "model_type", "qwen3_moe",
                  "num_hidden_layers", 3, "hidden_size", 8, "vocab_size", 16, "num_attention_heads",
                  2, "num_experts", 2, "num_experts_per_tok", 1, "moe_intermediate_size", 4,
                  "use_sliding_window", 1, "sliding_window", 4);
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = cap_model_parse(config, NULL, &err);
    uint32_t distinct[3] = {1, 1, 1};
    struct cap_cost_pass pass = {.tokens = 1,
                                 .context_sum = 100,
                                 .context_sum_windowed = 4,
                                 .attended_sum = 100,
                                 .attended_sum_windowed = 4,
                                 .distinct_experts = distinct,
                                 .format = cap_cost_format_of(CAP_PRECISION_F32, CAP_DTYPE_F32),
                                 .kv_element_bytes = 4};
    struct cap_cost cost;

    (void)state;
    assert_non_null(model);
    cap_cost_of_pass(model, &pass, &cost);
    assert_int_equal(cost.kv_bytes, (4 + 1) * 3 * 2 * 8 * 4);
    json_decref(config);
}

/* ---- published shapes ---- */

static struct cap_model *qwen3(int layers, int hidden, int heads, int inner)
{
    json_t *config =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "model_type", "qwen3_moe",
                  "num_hidden_layers", layers, "hidden_size", hidden, "vocab_size", 151936,
                  "num_attention_heads", heads, "num_key_value_heads", 4, "head_dim", 128,
                  "num_experts", 128, "num_experts_per_tok", 8, "moe_intermediate_size", inner);
    struct cap_err err = {0};
    struct cap_model *model = cap_model_parse(config, NULL, &err);

    json_decref(config);
    assert_non_null(model);
    return model;
}

static void check_published(struct cap_model *model, double total, double without_head,
                            double with_head, uint64_t kv_numbers)
{
    struct cap_cost_parameters p;

    cap_cost_parameters(model, &p);
    assert_true(fabs((double)p.total / 1e9 - total) < 0.005);
    assert_true(fabs((double)(p.active_without_embedding - p.head) / 1e9 - without_head) < 0.005);
    assert_true(fabs((double)p.active_without_embedding / 1e9 - with_head) < 0.005);
    assert_int_equal(cap_cost_kv_bytes_per_token(model, 1), kv_numbers);
}

/* Qwen3-30B-A3B and Qwen3-235B-A22B: the names' figures, rounded as published. */
static void published_models_have_their_published_sizes(void **state)
{
    CAP_AUTO(cap_model) small = qwen3(48, 2048, 32, 768);
    CAP_AUTO(cap_model) large = qwen3(94, 4096, 64, 1536);

    (void)state;
    check_published(small, 30.53, 2.73, 3.04, 49152);
    check_published(large, 235.09, 20.95, 21.57, 96256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_has_the_parameters_of_its_card),
        cmocka_unit_test(one_decoded_token_costs_what_the_page_works_out),
        cmocka_unit_test(prefill_chunk_reads_each_distinct_expert_once),
        cmocka_unit_test(quantised_matrices_carry_their_scales),
        cmocka_unit_test(windows_bound_what_their_layers_read),
        cmocka_unit_test(published_models_have_their_published_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
