/* Estimates: the golden steps as a user would ask for them, the floor, ranges, and what is refused.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "estimate/estimate.h"
#include "estimate/message.h"

/* Qwen3-30B-A3B */
static const char qwen[] =
    "{\"model_type\":\"qwen3_moe\",\"hidden_size\":2048,\"intermediate_size\":6144,"
    "\"num_hidden_layers\":48,\"num_attention_heads\":32,\"num_key_value_heads\":4,"
    "\"head_dim\":128,\"num_experts\":128,\"num_experts_per_tok\":8,"
    "\"moe_intermediate_size\":768,\"vocab_size\":151936,\"max_position_embeddings\":40960,"
    "\"torch_dtype\":\"bfloat16\"}";

static json_t *config_of(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

static struct cap_estimate_ask ask_of(const json_t *config)
{
    return (struct cap_estimate_ask){
        .config = config, .hardware = "H100-SXM", .batch = 32, .context = 1024, .activated = -1};
}

static struct cap_estimate must_make(const struct cap_estimate_ask *ask)
{
    struct cap_err err = {0};
    struct cap_estimate e;

    if (!cap_estimate_make(ask, &e, &err))
        fail_msg("%s", err.text);
    return e;
}

static const struct cap_estimate_figure *figure(const struct cap_estimate *e,
                                                enum cap_estimate_id id)
{
    return &e->figures[id];
}

static void check_near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("%.9g, wanted %.9g", got, want);
}

/* ---- shares of peaks ---- */

/* A row of golden-metrics.csv, which counts the layers alone. */
static void a_golden_step_gives_its_shares(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e;

    (void)state;
    ask.activated = 111.771;
    ask.step_time_s = 0.04;
    e = must_make(&ask);
    check_near(figure(&e, CAP_ESTIMATE_smbu_layers)->value, 0.415589, 1e-6);
    check_near(figure(&e, CAP_ESTIMATE_smfu_layers)->value, 0.005066, 1e-6);
    /* with norms, LM head and the keys that are written there is more */
    check_near(figure(&e, CAP_ESTIMATE_smbu)->value - figure(&e, CAP_ESTIMATE_smbu_layers)->value,
               (2.0 * 151936 * 2048 + 2 * (48 * (2 * 2048 + 2 * 128) + 2048) + 2 * 49152 * 32) /
                   0.04 / 3350e9,
               1e-9);
    check_near(figure(&e, CAP_ESTIMATE_tokens_per_s)->value, 800, 1e-9);
    assert_string_equal(figure(&e, CAP_ESTIMATE_smbu)->basis, "declared");
    assert_false(figure(&e, CAP_ESTIMATE_smbu)->ranged);
    json_decref(config);
}

static void a_share_above_one_is_invalid_and_says_why(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e;

    (void)state;
    ask.activated = 100;
    ask.step_time_s = 0.001;
    e = must_make(&ask);
    assert_true(figure(&e, CAP_ESTIMATE_smbu)->value > 1);
    assert_true(figure(&e, CAP_ESTIMATE_smbu)->invalid);
    assert_non_null(strstr(figure(&e, CAP_ESTIMATE_smbu)->reason, "above 1"));
    assert_false(figure(&e, CAP_ESTIMATE_smfu)->invalid);
    json_decref(config);
}

/* ---- the floor ---- */

static void decode_is_bound_by_memory_and_a_long_prefill_by_compute(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate decode = must_make(&ask), prefill;

    (void)state;
    ask.prefill = true;
    ask.batch = 4;
    ask.context = 8192;
    prefill = must_make(&ask);
    assert_string_equal(decode.bound, "memory");
    check_near(figure(&decode, CAP_ESTIMATE_floor_ms)->value,
               figure(&decode, CAP_ESTIMATE_bytes)->value / 3350e9 * 1e3, 1e-9);
    check_near(figure(&decode, CAP_ESTIMATE_floor_tokens_per_s)->value,
               32e3 / figure(&decode, CAP_ESTIMATE_floor_ms)->value, 1e-6);
    assert_string_equal(prefill.bound, "compute");
    assert_int_equal(prefill.tokens, 4 * 8192);
    json_decref(config);
}

/* Each token attends to those before it and itself; cached ones are not computed again. */
static void prefill_counts_the_causal_half_and_only_uncached_tokens(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate whole, rest;
    double per_key = 4.0 * 48 * 32 * 128;

    (void)state;
    ask.prefill = true;
    ask.batch = 1;
    ask.context = 1000;
    whole = must_make(&ask);
    ask.cached = 900;
    rest = must_make(&ask);
    assert_true(whole.parts.flops[CAP_PART_scores] == per_key * 1000 * 1001 / 2);
    assert_true(rest.parts.flops[CAP_PART_scores] == per_key * (901 + 1000) / 2 * 100);
    assert_int_equal(rest.tokens, 100);
    assert_true(rest.parts.flops[CAP_PART_attention] * 10 == whole.parts.flops[CAP_PART_attention]);
    assert_true(rest.parts.bytes[CAP_PART_kv_read] == whole.parts.bytes[CAP_PART_kv_read]);
    json_decref(config);
}

static void windowed_layers_see_their_window(void **state)
{
    json_t *config = config_of(
        "{\"model_type\":\"gpt_oss\",\"hidden_size\":64,\"intermediate_size\":64,"
        "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
        "\"head_dim\":16,\"num_local_experts\":8,\"num_experts_per_tok\":2,\"vocab_size\":100,"
        "\"sliding_window\":8,\"torch_dtype\":\"bfloat16\"}");
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e;

    (void)state;
    ask.batch = 1;
    ask.context = 100;
    e = must_make(&ask);
    assert_true(e.parts.bytes[CAP_PART_kv_read] == 2.0 * 64 * (100 + 8));
    ask.prefill = true;
    e = must_make(&ask);
    /* 1 + 2 + ... + 8, then 92 tokens that see 8 */
    assert_true(e.parts.flops[CAP_PART_scores] == 4.0 * 4 * 16 * (100 * 101 / 2 + 36 + 92 * 8));
    json_decref(config);
}

/* ---- experts ---- */

static void unknown_activation_is_uniform_with_the_range_of_what_can_be(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e, low, high;

    (void)state;
    e = must_make(&ask);
    check_near(figure(&e, CAP_ESTIMATE_activated_experts)->value, 111.771, 1e-3);
    assert_string_equal(figure(&e, CAP_ESTIMATE_activated_experts)->basis, "derived");
    ask.activated = 8;
    low = must_make(&ask);
    ask.activated = 128;
    high = must_make(&ask);
    assert_true(figure(&e, CAP_ESTIMATE_bytes)->low == figure(&low, CAP_ESTIMATE_bytes)->value);
    assert_true(figure(&e, CAP_ESTIMATE_bytes)->high == figure(&high, CAP_ESTIMATE_bytes)->value);
    assert_true(figure(&e, CAP_ESTIMATE_floor_tokens_per_s)->low <
                figure(&e, CAP_ESTIMATE_floor_tokens_per_s)->high);
    json_decref(config);
}

/* ---- what is missing leaves the rest ---- */

static void trap_c25_a_missing_peak_leaves_the_other_figures(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e;

    (void)state;
    ask.hardware = "";
    ask.peak_gb_s = 100;
    ask.step_time_s = 1;
    e = must_make(&ask);
    assert_true(figure(&e, CAP_ESTIMATE_smbu)->known);
    assert_false(figure(&e, CAP_ESTIMATE_smfu)->known);
    assert_string_equal(figure(&e, CAP_ESTIMATE_smfu)->reason, "no hardware was named");
    assert_false(figure(&e, CAP_ESTIMATE_floor_ms)->known);
    assert_true(figure(&e, CAP_ESTIMATE_flops)->known);
    json_decref(config);
}

/* C1: weights in mxfp4 are multiplied in bf16 where the card has nothing narrower. */
static void trap_c1_a_storage_format_has_a_computing_peak(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e;

    (void)state;
    ask.precision = "mxfp4";
    e = must_make(&ask);
    assert_string_equal(e.compute, "bf16");
    check_near(e.tflops, 989.5, 1e-9);
    /* scales are part of the format: 4 bits and a byte for each 32 */
    check_near(e.parts.bytes[CAP_PART_router], 48.0 * 128 * 2048 * (0.5 + 1.0 / 32), 1);
    assert_string_equal(e.cache_precision, "bf16");
    json_decref(config);
}

static void devices_multiply_peaks(void **state)
{
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e;

    (void)state;
    ask.hardware = "8x H100-SXM";
    e = must_make(&ask);
    check_near(e.bandwidth_gb_s, 8 * 3350, 1e-9);
    ask.devices = 2;
    e = must_make(&ask);
    check_near(e.bandwidth_gb_s, 2 * 3350, 1e-9);
    json_decref(config);
}

/* ---- what cannot be ---- */

static void check_refused(const struct cap_estimate_ask *ask, const char *field, const char *text)
{
    struct cap_err err = {0};
    struct cap_estimate e;

    assert_false(cap_estimate_make(ask, &e, &err));
    assert_string_equal(err.field, field);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void what_cannot_be_is_refused_by_field(void **state)
{
    json_t *config = config_of(qwen), *other = config_of("{\"model_type\":\"x\"}");
    struct cap_estimate_ask ask;

    (void)state;
#define REFUSED(change, field, text)                                                               \
    ask = ask_of(config);                                                                          \
    ask.change;                                                                                    \
    check_refused(&ask, field, text)
    REFUSED(batch = 0, "batch", "not from 1");
    REFUSED(context = 0, "context_tokens", "not from 1");
    REFUSED(context = INT64_MAX, "context_tokens", "not from 1");
    REFUSED(cached = 5, "cached_tokens", "is of prefill");
    REFUSED(activated = 7.9, "activated", "wake from 8 to 128");
    REFUSED(activated = 129, "activated", "cannot be");
    REFUSED(activated = NAN, "activated", "cannot be");
    REFUSED(step_time_s = INFINITY, "step_time_s", "not a positive number");
    REFUSED(precision = "int3", "precision", "\"int3\" is not known");
    REFUSED(cache_precision = "?", "cache_precision", "is not known");
    REFUSED(hardware = "RTX 99", "hardware", "RTX 99");
    REFUSED(devices = 1 << 20, "devices", "not from 0");
    REFUSED(config = other, "model_config", "num_hidden_layers");
#undef REFUSED
    json_decref(config);
    json_decref(other);
}

/* ---- as messages ---- */

static void the_reply_carries_value_range_and_reason(void **state)
{
    Moecap__V1__EstimateRequest request = MOECAP__V1__ESTIMATE_REQUEST__INIT;
    Moecap__V1__EstimateReply reply = MOECAP__V1__ESTIMATE_REPLY__INIT;
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_err err = {0};
    const Moecap__V1__Figure *bytes, *smbu;

    (void)state;
    request.model_config = (char *)qwen;
    request.context_tokens = 1024;
    request.batch = 32;
    assert_true(cap_estimate_answer(&request, arena, &reply, &err));
    assert_int_equal(reply.n_parts, CAP_PART_COUNT);
    assert_int_equal(reply.n_figures, CAP_ESTIMATE_COUNT);
    bytes = reply.figures[CAP_ESTIMATE_bytes];
    smbu = reply.figures[CAP_ESTIMATE_smbu];
    assert_true(bytes->low < bytes->value && bytes->value < bytes->high);
    assert_int_equal(smbu->opt_value_case, MOECAP__V1__FIGURE__OPT_VALUE__NOT_SET);
    assert_string_equal(smbu->reason, "no hardware was named");
    assert_string_equal(smbu->basis, "unavailable");
    assert_int_equal(reply.opt_bandwidth_case, MOECAP__V1__ESTIMATE_REPLY__OPT_BANDWIDTH__NOT_SET);
}

static void a_bad_request_is_a_sentence(void **state)
{
    static const char *const configs[] = {"", "[]", "{", "nonsense", "{\"a\":Infinity}"};
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(configs); i++) {
        Moecap__V1__EstimateRequest request = MOECAP__V1__ESTIMATE_REQUEST__INIT;
        Moecap__V1__EstimateReply reply = MOECAP__V1__ESTIMATE_REPLY__INIT;
        struct cap_err err = {0};

        request.model_config = (char *)configs[i];
        request.context_tokens = 1;
        assert_false(cap_estimate_answer(&request, arena, &reply, &err));
        assert_string_equal(err.field, "model_config");
    }
}

/* Infinity is no figure, and JSON has no word for it. */
static void what_no_number_holds_has_a_reason(void **state)
{
    static const enum cap_estimate_id ids[] = {CAP_ESTIMATE_tokens_per_s, CAP_ESTIMATE_smbu,
                                               CAP_ESTIMATE_smfu, CAP_ESTIMATE_smbu_layers,
                                               CAP_ESTIMATE_smfu_layers};
    json_t *config = config_of(qwen);
    struct cap_estimate_ask ask = ask_of(config);
    struct cap_estimate e;

    (void)state;
    ask.step_time_s = 1e-320;
    e = must_make(&ask);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_false(figure(&e, ids[i])->known);
        assert_false(figure(&e, ids[i])->ranged);
        assert_non_null(strstr(figure(&e, ids[i])->reason, "too large for a number"));
    }
    assert_true(figure(&e, CAP_ESTIMATE_floor_ms)->known);
    ask.step_time_s = 0;
    ask.peak_gb_s = 1e-320;
    e = must_make(&ask);
    assert_non_null(strstr(figure(&e, CAP_ESTIMATE_floor_ms)->reason, "too large for a number"));
    json_decref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_golden_step_gives_its_shares),
        cmocka_unit_test(a_share_above_one_is_invalid_and_says_why),
        cmocka_unit_test(decode_is_bound_by_memory_and_a_long_prefill_by_compute),
        cmocka_unit_test(prefill_counts_the_causal_half_and_only_uncached_tokens),
        cmocka_unit_test(windowed_layers_see_their_window),
        cmocka_unit_test(unknown_activation_is_uniform_with_the_range_of_what_can_be),
        cmocka_unit_test(trap_c25_a_missing_peak_leaves_the_other_figures),
        cmocka_unit_test(trap_c1_a_storage_format_has_a_computing_peak),
        cmocka_unit_test(devices_multiply_peaks),
        cmocka_unit_test(what_no_number_holds_has_a_reason),
        cmocka_unit_test(what_cannot_be_is_refused_by_field),
        cmocka_unit_test(the_reply_carries_value_range_and_reason),
        cmocka_unit_test(a_bad_request_is_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
