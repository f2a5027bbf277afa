/* config.json to description: every key of the family, both rope spellings, and the refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "digest/digest.h"
#include "model/model.h"

static const char base_text[] =
    "{\"model_type\": \"qwen3_moe\", \"architectures\": [\"Qwen3MoeForCausalLM\"],"
    " \"num_hidden_layers\": 4, \"hidden_size\": 64, \"vocab_size\": 100,"
    " \"num_attention_heads\": 4, \"num_experts\": 8, \"num_experts_per_tok\": 2,"
    " \"moe_intermediate_size\": 32, \"intermediate_size\": 96}";

/* The base with the keys of `changes` put over it; a null takes a key away. */
static struct cap_model *parse(const char *changes, const char *generation, struct cap_err *err)
{
    json_t *config = json_loads(base_text, 0, NULL), *over = json_loads(changes, 0, NULL);
    json_t *generated = generation ? json_loads(generation, 0, NULL) : NULL;
    struct cap_model *model;

    assert_non_null(config);
    assert_non_null(over);
    json_object_update(config, over);
    model = cap_model_parse(config, generated, err);
    json_decref(config);
    json_decref(over);
    json_decref(generated);
    return model;
}

static struct cap_model *must_parse(const char *changes, const char *generation)
{
    struct cap_err err = {0};
    struct cap_model *model = parse(changes, generation, &err);

    if (!model)
        fail_msg("%s: %s", changes, err.text);
    return model;
}

static void absent_keys_have_their_defaults(void **state)
{
    CAP_AUTO(cap_model) m = must_parse("{}", NULL);
    const struct cap_model_layer *l = &m->layers[3];

    (void)state;
    assert_string_equal(m->family, "qwen3_moe");
    assert_string_equal(m->architecture, "Qwen3MoeForCausalLM");
    assert_int_equal(l->attention.kv_heads, 4);
    assert_int_equal(l->attention.head_dim, 16);
    assert_int_equal(l->attention.window, 0);
    assert_int_equal(l->attention.qk_norm, CAP_QK_NORM_PER_HEAD);
    assert_false(l->attention.qkv_bias || l->attention.o_bias);
    assert_int_equal(l->router.experts, 8);
    assert_false(l->router.renormalize);
    assert_int_equal(l->mlp.inner, 32);
    assert_true(m->norm_eps == 1e-6 && m->rope.theta == 10000);
    assert_int_equal(m->bos_id, -1);
    assert_int_equal(m->eos_count, 0);
    assert_int_equal(m->dtype, CAP_DTYPE_NONE);
    assert_false(m->tie_embeddings);
    assert_int_equal(cap_model_moe_layers(m), 4);
}

static void every_key_is_read(void **state)
{
    CAP_AUTO(cap_model) m = must_parse(
        "{\"num_key_value_heads\": 2, \"head_dim\": 24, \"rms_norm_eps\": 1e-5,"
        " \"tie_word_embeddings\": true, \"attention_bias\": true, \"norm_topk_prob\": true,"
        " \"use_sliding_window\": true, \"sliding_window\": 7, \"torch_dtype\": \"bfloat16\","
        " \"max_position_embeddings\": 512, \"bos_token_id\": 1, \"eos_token_id\": [2, 3],"
        " \"random_weights\": true}",
        NULL);
    const struct cap_model_attention *a = &m->layers[0].attention;

    (void)state;
    assert_int_equal(a->kv_heads, 2);
    assert_int_equal(a->head_dim, 24);
    assert_true(fabs(a->scale - 1 / sqrt(24)) < 1e-15);
    assert_true(a->qkv_bias && a->o_bias && m->tie_embeddings && m->norm_eps == 1e-5);
    assert_true(m->random_weights);
    assert_int_equal(a->window, 7);
    assert_true(m->layers[0].router.renormalize);
    assert_int_equal(m->dtype, CAP_DTYPE_BF16);
    assert_int_equal(m->context_max, 512);
    assert_int_equal(m->bos_id, 1);
    assert_int_equal(m->eos_count, 2);
    assert_true(cap_model_is_eos(m, 3) && !cap_model_is_eos(m, 4));
}

static void null_is_the_same_as_absent(void **state)
{
    CAP_AUTO(cap_model) m =
        must_parse("{\"num_key_value_heads\": null, \"head_dim\": null, \"sliding_window\": null,"
                   " \"use_sliding_window\": true, \"rope_scaling\": null, \"dtype\": null,"
                   " \"quantization_config\": null, \"mlp_only_layers\": null}",
                   NULL);

    (void)state;
    assert_int_equal(m->layers[0].attention.head_dim, 16);
    assert_int_equal(m->layers[0].attention.window, 0);
}

static void window_counts_only_when_switched_on(void **state)
{
    CAP_AUTO(cap_model) m =
        must_parse("{\"use_sliding_window\": false, \"sliding_window\": 7}", NULL);

    (void)state;
    assert_int_equal(m->layers[0].attention.window, 0);
}

static void dense_layers_follow_step_and_list(void **state)
{
    CAP_AUTO(cap_model) m =
        must_parse("{\"decoder_sparse_step\": 2, \"mlp_only_layers\": [1]}", NULL);
    CAP_AUTO(cap_model) none = must_parse("{\"num_experts\": 0}", NULL);

    (void)state;
    for (int i = 0; i < 4; i++) {
        bool sparse = i == 3; /* (i + 1) % 2 == 0, but not 1 */

        assert_int_equal(m->layers[i].router.kind, sparse ? CAP_ROUTER_SOFTMAX : CAP_ROUTER_NONE);
        assert_int_equal(m->layers[i].mlp.inner, sparse ? 32 : 96);
    }
    assert_int_equal(cap_model_moe_layers(m), 1);
    assert_int_equal(cap_model_moe_layers(none), 0);
    assert_int_equal(cap_model_experts(none), 0);
}

static void generation_config_wins_for_eos(void **state)
{
    CAP_AUTO(cap_model) m =
        must_parse("{\"eos_token_id\": 5}", "{\"eos_token_id\": [6, 7], \"do_sample\": true,"
                                            " \"temperature\": 0.6, \"top_p\": 0.95}");
    CAP_AUTO(cap_model) kept = must_parse("{\"eos_token_id\": 5}", "{\"top_k\": 20}");

    (void)state;
    assert_int_equal(m->eos_count, 2);
    assert_true(cap_model_is_eos(m, 6) && cap_model_is_eos(m, 7) && !cap_model_is_eos(m, 5));
    assert_true(m->generation.do_sample && m->generation.temperature == 0.6);
    assert_int_equal(m->generation.top_k, 50);
    assert_true(cap_model_is_eos(kept, 5));
    assert_int_equal(kept->generation.top_k, 20);
    assert_false(kept->generation.do_sample);
}

static void check_failure(const char *changes, const char *sentence)
{
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = parse(changes, NULL, &err);

    assert_null(model);
    if (!strstr(err.text, sentence))
        fail_msg("wanted \"%s\", got \"%s\"", sentence, err.text);
}

static void wrong_configs_are_refused_with_key_and_value(void **state)
{
    (void)state;
    check_failure("{\"model_type\": \"llama\"}",
                  "config.json: architecture \"llama\" is not supported, supported: qwen3_moe");
    check_failure("{\"model_type\": null, \"architectures\": null}",
                  "\"model_type\" and \"architectures\" are missing");
    check_failure("{\"hidden_size\": null}", "\"hidden_size\" is missing");
    check_failure("{\"hidden_size\": \"big\"}", "\"hidden_size\" is \"big\", expected an integer");
    check_failure("{\"hidden_size\": 64.5}", "\"hidden_size\" is 64.5, expected an integer");
    check_failure("{\"num_hidden_layers\": 0}", "expected an integer from 1 to 1024");
    check_failure("{\"num_key_value_heads\": 3}",
                  "\"num_attention_heads\" 4 is not a multiple of \"num_key_value_heads\" 3");
    check_failure("{\"head_dim\": 15}", "\"head_dim\" is 15, expected an even number");
    check_failure("{\"num_experts_per_tok\": 9}", "expected an integer from 1 to 8");
    check_failure("{\"hidden_act\": \"gelu\"}", "\"hidden_act\" is \"gelu\", supported: silu");
    check_failure("{\"quantization_config\": {\"quant_method\": \"awq\"}}",
                  "the checkpoint is quantised (awq)");
    check_failure("{\"moe_intermediate_size\": null}", "\"moe_intermediate_size\" is missing");
    check_failure("{\"attention_bias\": 1}", "\"attention_bias\" is 1, expected true or false");
    check_failure("{\"mlp_only_layers\": [\"a\"]}", "is not a layer number");
    check_failure("{\"eos_token_id\": \"x\"}", "not a token id");
    check_failure("{\"rope_scaling\": {\"rope_type\": \"longrope\"}}",
                  "rope_scaling: rope type \"longrope\" is not supported");
    check_failure("{\"rope_scaling\": {\"type\": \"linear\"}}",
                  "rope_scaling: \"factor\" is missing");
    check_failure("{\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8}}",
                  "rope_parameters: \"low_freq_factor\" is missing");
    check_failure("{\"rope_scaling\": \"yarn\"}", "\"rope_scaling\" is not an object");
    check_failure("{\"partial_rotary_factor\": 0.5}", "only whole heads are supported");
}

static void no_directory_and_no_json_are_refused(void **state)
{
    struct cap_err err = {0};

    (void)state;
    assert_null(cap_model_open("/nowhere", &err));
    assert_non_null(strstr(err.text, "could not open \"/nowhere/config.json\""));
    assert_int_equal(err.code, CAP_NOT_FOUND);
}

/* ---- rope ---- */

static json_t *golden(const char *name)
{
    char path[1024];
    json_t *json;

    snprintf(path, sizeof path, "%s/tests/golden/model/%s", getenv("MOECAP_SOURCE_DIR"), name);
    json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    return json;
}

static void check_rope(const json_t *item)
{
    json_t *expected = json_object_get(item, "frequencies");
    int dim = (int)json_integer_value(json_object_get(item, "dim"));
    char *changes = json_dumps(json_object_get(item, "config"), 0);
    CAP_AUTO(cap_model) model = must_parse(changes, NULL);
    double out[64];

    cap_rope_frequencies(&model->rope, dim, json_integer_value(json_object_get(item, "length")),
                         out);
    for (int i = 0; i < dim / 2; i++) {
        double wanted = json_number_value(json_array_get(expected, (size_t)i));

        if (fabs(out[i] - wanted) > 1e-12 * fabs(wanted))
            fail_msg("%s: pair %d is %.17g, not %.17g",
                     json_string_value(json_object_get(item, "name")), i, out[i], wanted);
    }
    assert_true(fabs(model->rope.attention_factor -
                     json_number_value(json_object_get(item, "attention_factor"))) < 1e-12);
    free(changes);
}

static void rope_agrees_with_the_reference_in_both_spellings(void **state)
{
    json_t *file = golden("rope.json"), *item;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(file, "cases"), i, item) check_rope(item);
    assert_int_equal(i, 13);
    json_decref(file);
}

/* ---- the shipped model ---- */

static void shipped_model_is_what_its_checksums_say(void **state)
{
    char path[1024], line[512], found[CAP_SHA256_HEX_BYTES];
    struct cap_err err = {0};
    int count = 0;
    FILE *list;

    (void)state;
    snprintf(path, sizeof path, "%s/models/moecap-tiny/SHA256SUMS", getenv("MOECAP_SOURCE_DIR"));
    list = fopen(path, "r");
    assert_non_null(list);
    for (; fgets(line, sizeof line, list); count++) {
        char *name = line + 66;

        name[strcspn(name, "\n")] = '\0';
        line[64] = '\0';
        snprintf(path, sizeof path, "%s/models/moecap-tiny/%s", getenv("MOECAP_SOURCE_DIR"), name);
        if (!cap_sha256_file_unless(path, NULL, NULL, found, &err))
            fail_msg("%s", err.text);
        assert_string_equal(found, line);
    }
    fclose(list);
    assert_int_equal(count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_have_their_defaults),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(null_is_the_same_as_absent),
        cmocka_unit_test(window_counts_only_when_switched_on),
        cmocka_unit_test(dense_layers_follow_step_and_list),
        cmocka_unit_test(generation_config_wins_for_eos),
        cmocka_unit_test(wrong_configs_are_refused_with_key_and_value),
        cmocka_unit_test(no_directory_and_no_json_are_refused),
        cmocka_unit_test(rope_agrees_with_the_reference_in_both_spellings),
        cmocka_unit_test(shipped_model_is_what_its_checksums_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
