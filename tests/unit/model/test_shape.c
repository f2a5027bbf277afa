/* The layouts are those of published config.json files, cut to the keys that matter; layer counts
 * are smaller where the rule stays the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "model/shape.h"

enum { ROWS_LAYERS_MAX = 16 };

/* -1 = unknown; `layers` is one letter for each layer, E = experts; NULL = unknown */
struct row {
    const char *name, *config;
    int experts, top_k, shared;
    const char *layers;
};

#define TYPE(type, layers) "\"model_type\":\"" type "\",\"num_hidden_layers\":" #layers ","
#define DEEPSEEK                                                                                   \
    "\"n_routed_experts\":64,\"n_shared_experts\":2,\"num_experts_per_tok\":6,"                    \
    "\"first_k_dense_replace\":1"

static const struct row rows[] = {
    {"no experts a token", TYPE("mixtral", 2) "\"num_local_experts\":8,\"num_experts_per_tok\":0",
     8, -1, -1, "EE"},
    {"mixtral", TYPE("mixtral", 3) "\"num_local_experts\":8,\"num_experts_per_tok\":2", 8, 2, -1,
     "EEE"},
    {"qwen3",
     TYPE("qwen3_moe", 4) "\"num_experts\":128,\"num_experts_per_tok\":8,"
                          "\"decoder_sparse_step\":2,\"mlp_only_layers\":[3]",
     128, 8, -1, "-E--"},
    {"qwen2 shared",
     TYPE("qwen2_moe", 2) "\"num_experts\":60,\"num_experts_per_tok\":4,"
                          "\"shared_expert_intermediate_size\":5632,\"decoder_sparse_step\":1,"
                          "\"mlp_only_layers\":[]",
     60, 4, 1, "EE"},
    {"qwen3.5",
     "\"model_type\":\"qwen3_5_moe\",\"text_config\":{" TYPE(
         "qwen3_5_moe_text", 2) "\"num_experts\":256,\"num_experts_per_tok\":8}",
     256, 8, -1, "EE"},
    {"llama 4 scout",
     "\"model_type\":\"llama4\",\"text_config\":{" TYPE(
         "llama4_text",
         3) "\"num_local_experts\":16,\"num_experts_per_tok\":1,\"interleave_moe_layer_step\":1,"
            "\"moe_layers\":[0,1,2],\"no_rope_layers\":[1,1,0]}",
     16, 1, -1, "EEE"},
    {"llama 4 maverick",
     "\"model_type\":\"llama4\",\"text_config\":{" TYPE(
         "llama4_text",
         4) "\"num_local_experts\":128,\"num_experts_per_tok\":1,\"interleave_moe_layer_step\":2}",
     128, 1, -1, "-E-E"},
    {"deepseek", TYPE("deepseek_v2", 3) DEEPSEEK ",\"moe_layer_freq\":1", 64, 6, 2, "-EE"},
    {"deepseek, every second", TYPE("deepseek_v3", 5) DEEPSEEK ",\"moe_layer_freq\":2", 64, 6, 2,
     "--E-E"},
    {"glm", TYPE("glm4_moe", 3) DEEPSEEK, 64, 6, 2, "-EE"},
    {"dots", TYPE("dots1", 3) DEEPSEEK ",\"moe_layer_freq\":1", 64, 6, 2, "-EE"},
    {"glm in the new spelling",
     TYPE("glm_moe_dsa", 3) DEEPSEEK ",\"mlp_layer_types\":[\"dense\",\"sparse\",\"sparse\"]", 64,
     6, 2, "-EE"},
    {"kimi linear",
     TYPE("kimi_linear",
          3) "\"num_experts\":256,\"num_experts_per_token\":8,"
             "\"num_shared_experts\":1,\"first_k_dense_replace\":1,\"moe_layer_freq\":1",
     256, 8, 1, "-EE"},
    {"mimo",
     TYPE("mimo_v2_flash", 4) "\"n_routed_experts\":256,\"num_experts_per_tok\":8,"
                              "\"n_shared_experts\":null,\"moe_layer_freq\":[0,1,1,1],\"hybrid_"
                              "layer_pattern\":[0,1,1,0]",
     256, 8, -1, "-EEE"},
    {"nemotron",
     TYPE("nemotron_h", 6) "\"n_routed_experts\":128,\"num_experts_per_tok\":6,"
                           "\"n_shared_experts\":1,\"hybrid_override_pattern\":\"MEM*-E\"",
     128, 6, 1, "-E---E"},
    {"nemotron in the new spelling",
     TYPE("nemotron_h", 3) "\"n_routed_experts\":128,"
                           "\"num_experts_per_tok\":6,\"layers_block_type\":[\"linear_attention\","
                           "\"moe\",\"mlp\"]",
     128, 6, -1, "-E-"},
    {"gemma 4",
     "\"model_type\":\"gemma4\",\"text_config\":{" TYPE(
         "gemma4_text", 2) "\"enable_moe_block\":true,\"num_experts\":128,\"top_k_experts\":8}",
     128, 8, -1, "EE"},
    {"gemma 4, dense",
     "\"model_type\":\"gemma4\",\"text_config\":{" TYPE(
         "gemma4_text",
         2) "\"enable_moe_block\":false,\"num_experts\":null,\"top_k_experts\":null}",
     0, 0, 0, "--"},
    {"minimax",
     TYPE("minimax_m2", 2) "\"num_local_experts\":256,\"num_experts_per_tok\":8,"
                           "\"shared_intermediate_size\":0,\"attn_type_list\":[1,1]",
     256, 8, 0, "EE"},
    {"gpt-oss",
     TYPE("gpt_oss", 2) "\"num_local_experts\":32,\"num_experts_per_tok\":4,"
                        "\"experts_per_token\":4",
     32, 4, -1, "EE"},
    {"ernie",
     TYPE("ernie4_5_moe",
          5) "\"moe_num_experts\":64,\"moe_k\":6,\"use_moe\":true,"
             "\"moe_num_shared_experts\":2,\"moe_layer_start_index\":1,\"moe_layer_end_index\":3,"
             "\"moe_layer_interval\":1",
     64, 6, 2, "-EEE-"},
    {"ernie to the last layer",
     TYPE("ernie4_5_moe",
          4) "\"moe_num_experts\":64,\"moe_k\":6,"
             "\"moe_layer_start_index\":1,\"moe_layer_end_index\":-1,\"moe_layer_interval\":2",
     64, 6, -1, "-E-E"},
    {"granite", TYPE("granitemoe", 2) "\"num_local_experts\":32,\"num_experts_per_tok\":8", 32, 8,
     -1, "EE"},
    {"phi", TYPE("phimoe", 2) "\"num_local_experts\":16,\"num_experts_per_tok\":2", 16, 2, -1,
     "EE"},
    {"jamba",
     TYPE("jamba", 5) "\"num_experts\":16,\"num_experts_per_tok\":2,"
                      "\"expert_layer_period\":2,\"expert_layer_offset\":1,\"attn_layer_period\":8",
     16, 2, -1, "-E-E-"},
    {"grok",
     "\"architectures\":[\"Grok1ForCausalLM\"]," TYPE(
         "git", 2) "\"num_local_experts\":8,\"num_experts_per_tok\":2",
     8, 2, -1, "EE"},
    {"dbrx",
     "\"model_type\":\"dbrx\",\"n_layers\":2,\"max_seq_len\":32768,\"ffn_config\":{"
     "\"moe_num_experts\":16,\"moe_top_k\":4}",
     16, 4, -1, "EE"},
    {"hunyuan",
     TYPE("hunyuan_v1_moe", 2) "\"num_experts\":64,\"moe_topk\":[8,8],"
                               "\"num_shared_expert\":[1,1],\"moe_layer_num_skipped\":0",
     64, 8, 1, "EE"},
    {"hunyuan, first layer skipped",
     TYPE("hunyuan_v1_moe", 2) "\"num_experts\":64,"
                               "\"moe_topk\":8,\"moe_layer_num_skipped\":1",
     64, 8, -1, "-E"},
    {"step",
     TYPE("step3_text",
          6) "\"moe_num_experts\":48,\"moe_top_k\":3,"
             "\"share_expert_dim\":5120,\"moe_layers_enum\":\"4,5\",\"moe_every_n_layer\":1",
     48, 3, 1, "----EE"},
    {"arctic",
     TYPE("arctic", 4) "\"num_local_experts\":128,\"num_experts_per_tok\":2,"
                       "\"moe_layer_frequency\":2",
     128, 2, -1, "-E-E"},
    {"lfm2",
     TYPE("lfm2_moe", 4) "\"num_experts\":32,\"num_experts_per_tok\":4,"
                         "\"num_dense_layers\":2",
     32, 4, -1, "--EE"},
    {"exaone",
     TYPE("exaone_moe", 3) "\"num_experts\":128,\"num_experts_per_tok\":8,"
                           "\"is_moe_layer\":[false,true,true]",
     128, 8, -1, "-EE"},
    {"longcat",
     "\"model_type\":\"longcat_flash\",\"num_layers\":2,\"num_hidden_layers\":4,"
     "\"n_routed_experts\":512,\"moe_topk\":12,\"zero_expert_num\":256",
     512, -1, -1, "EE"},
    {"smallthinker",
     TYPE("smallthinker", 3) "\"moe_num_primary_experts\":64,\"moe_num_active_primary_experts\":6,"
                             "\"moe_layer_layout\":[0,1,1]",
     64, 6, -1, "-EE"},
    {"a dense model", TYPE("llama", 3) "\"hidden_size\":64", 0, 0, 0, "---"},
    /* what nobody can read is unknown */
    {"a family that nobody knows",
     TYPE("surprise", 3) "\"num_experts\":8,"
                         "\"num_experts_per_tok\":2",
     8, 2, -1, NULL},
    {"no family", "\"num_hidden_layers\":3,\"num_experts\":8,\"num_experts_per_tok\":2", 8, 2, -1,
     NULL},
    {"a rule that nobody knows",
     TYPE("mixtral", 3) "\"num_local_experts\":8,"
                        "\"num_experts_per_tok\":2,\"moe_layer_stride\":2",
     8, 2, -1, NULL},
    {"half of a rule",
     TYPE("deepseek_v3", 3) "\"n_routed_experts\":8,\"num_experts_per_tok\":2,\"moe_layer_freq\":1",
     8, 2, -1, NULL},
    {"a list that nobody knows", TYPE("deepseek_v3", 3) DEEPSEEK ",\"dense_mlp_idx\":[2]", 64, 6, 2,
     NULL},
    {"other words in a list",
     TYPE("glm4_moe", 2) DEEPSEEK ",\"mlp_layer_types\":[\"dense\",\"soft\"]", 64, 6, 2, NULL},
    {"a list for another number of layers",
     TYPE("mimo_v2_flash", 3) "\"n_routed_experts\":8,"
                              "\"num_experts_per_tok\":2,\"moe_layer_freq\":[0,1]",
     8, 2, -1, NULL},
    {"a pattern with another letter",
     TYPE("nemotron_h", 3) "\"n_routed_experts\":8,"
                           "\"num_experts_per_tok\":2,\"hybrid_override_pattern\":\"MEX\"",
     8, 2, -1, NULL},
    {"layers that are not there",
     TYPE("llama4_text", 2) "\"num_local_experts\":8,"
                            "\"num_experts_per_tok\":1,\"moe_layers\":[0,2]",
     8, 1, -1, NULL},
    {"a list and a rule that disagree",
     TYPE("glm4_moe", 2) DEEPSEEK ",\"mlp_layer_types\":[\"sparse\",\"sparse\"]", 64, 6, 2, NULL},
    {"two counts that disagree",
     TYPE("mixtral", 2) "\"num_local_experts\":8,\"num_experts\":16,"
                        "\"num_experts_per_tok\":2",
     -1, 2, -1, "EE"},
    {"another top-k in each layer",
     TYPE("hunyuan_v1_moe", 2) "\"num_experts\":64,"
                               "\"moe_topk\":[8,4]",
     64, -1, -1, "EE"},
    {"experts under another name", TYPE("surprise", 2) "\"moe\":{\"n\":8}", -1, -1, -1, NULL},
    {"no top-k", TYPE("mixtral", 2) "\"num_local_experts\":8", 8, -1, -1, "EE"},
};

static void read_row(const struct row *row, struct cap_shape *out)
{
    struct cap_err err = {0};
    char text[1024];
    json_error_t why;
    json_t *config;

    snprintf(text, sizeof text, "{%s}", row->config);
    config = json_loads(text, 0, &why);
    if (!config)
        fail_msg("%s: %s", row->name, why.text);
    if (!cap_shape_read(config, out, &err))
        fail_msg("%s: %s", row->name, err.text);
    json_decref(config);
}

static void check_number(const char *name, const char *what, const struct cap_known *got, int want)
{
    if (got->value != want)
        fail_msg("%s: %s is %d (%s), wanted %d", name, what, got->value, got->why, want);
    if (got->value < 0 && !got->why[0])
        fail_msg("%s: %s is unknown without a reason", name, what);
}

static void every_layout_gives_its_numbers_or_the_reason_why_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct cap_shape shape;
        char layers[ROWS_LAYERS_MAX + 1] = "";

        read_row(row, &shape);
        check_number(row->name, "experts", &shape.experts, row->experts);
        check_number(row->name, "top_k", &shape.top_k, row->top_k);
        check_number(row->name, "shared", &shape.shared, row->shared);
        if (!row->layers) {
            check_number(row->name, "moe_layers", &shape.moe_layers, -1);
            continue;
        }
        assert_true(shape.layers <= ROWS_LAYERS_MAX);
        memset(layers, '-', (size_t)shape.layers);
        for (int k = 0; k < shape.moe_layers.value; k++)
            layers[shape.moe_layer_ids[k]] = 'E';
        if (shape.moe_layers.value < 0 || strcmp(layers, row->layers) != 0)
            fail_msg("%s: experts in %s (%s), wanted %s", row->name, layers, shape.moe_layers.why,
                     row->layers);
    }
}

static void the_reason_names_the_key(void **state)
{
    struct cap_shape shape;

    (void)state;
    read_row(&(struct row){"", TYPE("mixtral", 3) "\"num_local_experts\":8,\"moe_layer_stride\":2",
                           0, 0, 0, NULL},
             &shape);
    assert_string_equal(shape.moe_layers.why, "\"moe_layer_stride\" is not understood, and it may "
                                              "say which layers have experts");
    read_row(&(struct row){"", TYPE("surprise", 3) "\"num_experts\":8", 0, 0, 0, NULL}, &shape);
    assert_non_null(strstr(shape.moe_layers.why, "the family \"surprise\" is not known"));
    assert_non_null(strstr(shape.top_k.why, "\"num_experts_per_tok\""));
}

static void check_refused(const char *text, const char *sentence)
{
    struct cap_err err = {0};
    struct cap_shape shape;
    json_t *config = json_loads(text, 0, NULL);

    assert_non_null(config);
    assert_false(cap_shape_read(config, &shape, &err));
    assert_string_equal(err.text, sentence);
    json_decref(config);
}

static void numbers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    check_refused("{}", "\"num_hidden_layers\" is not a number from 1 to 1024");
    check_refused("{\"num_hidden_layers\":5000}",
                  "\"num_hidden_layers\" is not a number from 1 to 1024");
    check_refused("{\"num_hidden_layers\":1,\"num_experts\":4,\"num_experts_per_tok\":5}",
                  "5 experts a token are more than all 4");
    check_refused("{\"num_hidden_layers\":1,\"num_experts\":3000,\"num_experts_per_tok\":5}",
                  "3000 experts are more than 2048");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_gives_its_numbers_or_the_reason_why_not),
        cmocka_unit_test(the_reason_names_the_key),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
