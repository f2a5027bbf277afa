/* What loading refuses, each with one sentence. */
#include "fixture.h"

#include "model/cost.h"

static void refuse(const char *dir, struct native_model_options options, const char *const *says)
{
    struct cap_err err = {0};
    struct native_model *model = native_model_open(dir, &options, &err);
    if (model)
        fail_msg("\"%s\" was opened", dir);
    for (; *says; says++)
        if (!strstr(err.text, *says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, *says);
}

static void nan_and_infinite_weights_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *tensor;
        uint16_t bits;
    } bad[] = {{"model.layers.1.mlp.experts.5.up_proj.weight", 0x7fc0},
               {"lm_head.weight", 0x7f80},
               {"model.layers.0.self_attn.k_norm.weight", 0xff80},
               {"model.layers.0.mlp.gate.weight", 0xffff}};
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++) {
        const char *dir = golden_copy("qwen3_moe", NULL);
        golden_poke(dir, bad[i].tensor, 7, bad[i].bits);
        refuse(dir, (struct native_model_options){0},
               (const char *const[]){bad[i].tensor, "model.safetensors", NULL});
    }
}

static void wrong_shapes_and_missing_tensors_are_refused_by_name(void **state)
{
    (void)state;
    refuse(golden_copy("qwen3_moe", "{\"moe_intermediate_size\": 31}"),
           (struct native_model_options){0}, (const char *const[]){"mlp.experts", "31", NULL});
    refuse(golden_copy("qwen3_moe", "{\"num_hidden_layers\": 3}"), (struct native_model_options){0},
           (const char *const[]){"model.layers.2.", NULL});
    refuse(golden_copy("qwen3_moe", "{\"model_type\": \"gpt9\"}"), (struct native_model_options){0},
           (const char *const[]){"gpt9", "qwen3_moe", NULL});
}

static void too_little_memory_is_a_sentence(void **state)
{
    (void)state;
    refuse(golden_copy("qwen3_moe", NULL), (struct native_model_options){.memory_bytes_max = 1000},
           (const char *const[]){"the weights need", "of memory may be used", NULL});
}

/* True from the call on that `*arg` counts down to. */
static bool count_down(void *arg)
{
    int *left = arg;
    return --*left <= 0;
}

static void a_model_that_nobody_waits_for_stops_loading_at_the_next_tensor(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", NULL);
    int left = 1 << 20, tensors;
    struct native_model_options options = {.unwanted = count_down, .unwanted_arg = &left};
    struct cap_err err = {0};
    CAP_AUTO(native_model) model = native_model_open(dir, &options, &err);
    assert_non_null(model);
    tensors = (1 << 20) - left;
    /* two layers of 8 experts in three matrices, and what is beside them */
    assert_true(tensors > 2 * 8 * 3);
    for (int stop_at = 1; stop_at <= tensors; stop_at += 7) {
        left = stop_at;
        err = (struct cap_err){0};
        assert_null(native_model_open(dir, &options, &err));
        assert_int_equal(err.code, CAP_CANCELLED);
        assert_non_null(strstr(err.text, "nobody waits for the model any more"));
        assert_int_equal(left, 0); /* not asked again */
    }
}

static void an_isa_level_or_backend_that_is_not_there_is_a_sentence(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", NULL);
    refuse(dir, (struct native_model_options){.isa = "mmx"},
           (const char *const[]){"there is no ISA level \"mmx\"", "avx2", NULL});
    refuse(dir, (struct native_model_options){.backend = "cuda"},
           (const char *const[]){"there is no backend \"cuda\"", "cpu", NULL});
    for (int i = 0; moe_backend_find("cpu")->level_at(i); i++)
        if (moe_backend_find("cpu")->level_lacks(i))
            refuse(dir, (struct native_model_options){.isa = moe_backend_find("cpu")->level_at(i)},
                   (const char *const[]){"this CPU cannot run",
                                         moe_backend_find("cpu")->level_lacks(i), NULL});
}

static void the_environment_forces_a_level(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", NULL);
    setenv("MOECAP_ISA", "c", 1);
    CAP_AUTO(native_model) model = model_open(dir, NATIVE_BF16, NULL);
    struct moe_info info;
    model->backend->info(model->dev, &info);
    assert_string_equal(info.isa, "c");
    assert_int_equal(info.threads, 2);
    unsetenv("MOECAP_ISA");
}

static void int8_takes_about_half_the_bytes_of_an_expert(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", NULL);
    CAP_AUTO(native_model) bf16 = model_open(dir, NATIVE_BF16, NULL);
    CAP_AUTO(native_model) int8 = model_open(dir, NATIVE_INT8, NULL);
    assert_int_equal(native_model_expert_bytes(bf16, 1), 3 * 64 * 32 * 2);
    assert_int_equal(native_model_expert_bytes(int8, 1), 3 * 64 * 32 * 34 / 32);
    assert_int_equal(bf16->bytes_every_pass, int8->bytes_every_pass);
}

static uint64_t bytes_of_a_token(const struct native_model *model)
{
    uint64_t bytes = model->bytes_every_pass + model->bytes_head;
    for (int i = 0; i < model->shape->layer_count; i++)
        bytes +=
            (uint64_t)model->shape->layers[i].router.top_k * native_model_expert_bytes(model, i);
    return bytes;
}

static void check_estimate(const char *dir)
{
    static const enum cap_precision precisions[] = {[NATIVE_F32] = CAP_PRECISION_F32,
                                                    [NATIVE_BF16] = CAP_PRECISION_BF16,
                                                    [NATIVE_INT8] = CAP_PRECISION_INT8};
    for (int p = 0; p < NATIVE_PRECISION_COUNT; p++) {
        CAP_AUTO(native_model) model = model_open(dir, (enum native_precision)p, NULL);
        struct cap_cost_format format = cap_cost_format_of(precisions[p], model->shape->dtype);
        uint64_t estimate = cap_cost_weight_bytes_per_token(model->shape, &format);
        if (estimate != bytes_of_a_token(model))
            fail_msg("%s in %s: %llu bytes estimated, %llu held", dir,
                     native_precision_name((enum native_precision)p), (unsigned long long)estimate,
                     (unsigned long long)bytes_of_a_token(model));
    }
}

static void the_estimate_of_lib_model_is_what_the_engine_holds(void **state)
{
    (void)state;
    char shipped[512];
    check_estimate(golden_copy("qwen3_moe", NULL));
    check_estimate(golden_copy("qwen3_moe_f32", NULL));
    check_estimate(golden_copy("qwen3_moe_yarn", NULL));
    snprintf(shipped, sizeof(shipped), "%s/models/moecap-tiny", getenv("MOECAP_SOURCE_DIR"));
    check_estimate(shipped);
}

static void precisions_have_names(void **state)
{
    (void)state;
    enum native_precision p;
    assert_true(native_precision_from_name("int8", &p) && p == NATIVE_INT8);
    assert_true(native_precision_from_name("", &p) && p == NATIVE_BF16);
    assert_false(native_precision_from_name("int3", &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_and_infinite_weights_are_refused_by_name),
        cmocka_unit_test(wrong_shapes_and_missing_tensors_are_refused_by_name),
        cmocka_unit_test(too_little_memory_is_a_sentence),
        cmocka_unit_test(a_model_that_nobody_waits_for_stops_loading_at_the_next_tensor),
        cmocka_unit_test(an_isa_level_or_backend_that_is_not_there_is_a_sentence),
        cmocka_unit_test(the_environment_forces_a_level),
        cmocka_unit_test(int8_takes_about_half_the_bytes_of_an_expert),
        cmocka_unit_test(the_estimate_of_lib_model_is_what_the_engine_holds),
        cmocka_unit_test(precisions_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
