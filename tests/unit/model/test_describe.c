/* Shapes of published models from their config.json: the totals that their makers publish, and what
 * is refused where a width is not known. */
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
#include "model/cost.h"
#include "model/shape.h"
#include "published.h"

static struct cap_model *describe(const char *config, struct cap_err *err)
{
    json_t *json = published_json(config);
    struct cap_model *model;

    if (!json)
        fail_msg("not JSON: %s", config);
    model = cap_shape_model(json, err);
    json_decref(json);
    return model;
}

static struct cap_model *must_describe(const char *config)
{
    struct cap_err err = {0};
    struct cap_model *model = describe(config, &err);

    if (!model)
        fail_msg("%s", err.text);
    return model;
}

/* ---- model-architectures.csv ---- */

enum {
    COLUMNS = 27,
    LAYERS = 1,
    DENSE,
    EXPERTS = 7,
    TOP_K,
    ATTENTION = 21,
    PER_EXPERT,
    KV,
    TOTAL,
    ACTIVE = 26
};

static int split(char *line, char *fields[COLUMNS])
{
    int count = 0;

    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; at && count < COLUMNS; count++)
        fields[count] = strsep(&at, ",");
    return count;
}

static const char *config_of(const char *name)
{
    for (size_t i = 0; i < CAP_COUNT_OF(published); i++)
        if (strcmp(published[i].name, name) == 0)
            return published[i].config;
    return NULL;
}

static int64_t attention_of(const struct cap_model *model)
{
    struct cap_cost_parameters p;

    cap_cost_parameters(model, &p);
    return p.attention / model->layer_count;
}

static void check_row(char *fields[COLUMNS])
{
    const char *config = config_of(fields[0]);
    CAP_AUTO(cap_model) model = NULL;
    struct cap_cost_parameters p;
    double total, active;

    if (!config)
        fail_msg("no config for %s", fields[0]);
    model = must_describe(config);
    cap_cost_parameters(model, &p);
    /* the table leaves norms and biases out */
    total = (double)(p.total - p.norms - p.biases) / 1e9;
    active = (double)(p.head + p.attention + p.routers + p.dense + p.shared +
                      p.per_expert * cap_model_top_k(model) * cap_model_moe_layers(model)) /
             1e9;
    assert_int_equal(model->layer_count, atoi(fields[LAYERS]));
    assert_int_equal(model->layer_count - cap_model_moe_layers(model), atoi(fields[DENSE]));
    assert_int_equal(cap_model_experts(model), atoi(fields[EXPERTS]));
    assert_int_equal(cap_model_top_k(model), atoi(fields[TOP_K]));
    assert_int_equal(attention_of(model), atoll(fields[ATTENTION]));
    assert_int_equal(p.per_expert, atoll(fields[PER_EXPERT]));
    assert_int_equal(cap_cost_kv_bytes_per_token(model, 1), atoll(fields[KV]));
    if (fabs(total - atof(fields[TOTAL])) > 0.0051)
        fail_msg("%s: %.4f billion parameters, wanted %s", fields[0], total, fields[TOTAL]);
    if (fabs(active - atof(fields[ACTIVE])) > 0.0051)
        fail_msg("%s: %.4f billion active, wanted %s", fields[0], active, fields[ACTIVE]);
}

static void totals_are_those_of_the_published_models(void **state)
{
    char path[1024], line[1024], *fields[COLUMNS];
    int rows = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/unit/model/model-architectures.csv",
             getenv("MOECAP_SOURCE_DIR"));
    CAP_AUTO_STREAM FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    while (fgets(line, sizeof line, file)) {
        assert_int_equal(split(line, fields), COLUMNS);
        check_row(fields);
        rows++;
    }
    assert_int_equal(rows, CAP_COUNT_OF(published));
}

/* ---- shapes that the table does not have ---- */

static void check_total(const char *config, double billions, double active)
{
    CAP_AUTO(cap_model) model = must_describe(config);
    struct cap_cost_parameters p;

    cap_cost_parameters(model, &p);
    if (fabs((double)p.total / 1e9 - billions) > 0.006 * billions ||
        fabs((double)p.active / 1e9 - active) > 0.05 * active)
        fail_msg("%s: %.2f and %.2f billion, wanted %.2f and %.2f", model->family,
                 (double)p.total / 1e9, (double)p.active / 1e9, billions, active);
}

/* As their model cards say, rounded as they are. */
static void other_families_have_their_published_sizes(void **state)
{
    (void)state;
    check_total("{'model_type':'minimax_text_01','hidden_size':6144,'intermediate_size':9216,"
                "'num_hidden_layers':8,'num_attention_heads':64,'num_key_value_heads':8,"
                "'head_dim':128,'num_local_experts':32,'num_experts_per_tok':2,'vocab_size':200064,"
                "'shared_intermediate_size':0,'attn_type_list':[0,0,0,0,0,0,0,1]}",
                47.82, 7.051); /* of its 80 layers the first 8 */
    check_total("{'model_type':'qwen3_next','hidden_size':2048,'intermediate_size':5120,"
                "'num_hidden_layers':48,'num_attention_heads':16,'num_key_value_heads':2,"
                "'head_dim':256,'num_experts':512,'num_experts_per_tok':10,"
                "'moe_intermediate_size':512,'shared_expert_intermediate_size':512,"
                "'decoder_sparse_step':1,'mlp_only_layers':[],'full_attention_interval':4,"
                "'linear_num_value_heads':32,'linear_num_key_heads':16,'linear_key_head_dim':128,"
                "'linear_value_head_dim':128,'linear_conv_kernel_dim':4,'vocab_size':151936}",
                79.7, 3.87);
    check_total("{'model_type':'glm4_moe','hidden_size':4096,'intermediate_size':10944,"
                "'num_hidden_layers':46,'num_attention_heads':96,'num_key_value_heads':8,"
                "'head_dim':128,'n_routed_experts':128,'n_shared_experts':1,"
                "'num_experts_per_tok':8,'moe_intermediate_size':1408,'first_k_dense_replace':1,"
                "'attention_bias':true,'vocab_size':151552}",
                106.85, 13.5);
    check_total("{'model_type':'olmoe','hidden_size':2048,'intermediate_size':1024,"
                "'num_hidden_layers':16,'num_attention_heads':16,'num_key_value_heads':16,"
                "'num_experts':64,'num_experts_per_tok':8,'vocab_size':50304}",
                6.92, 1.28);
    check_total("{'model_type':'phimoe','hidden_size':4096,'intermediate_size':6400,"
                "'num_hidden_layers':32,'num_attention_heads':32,'num_key_value_heads':8,"
                "'num_local_experts':16,'num_experts_per_tok':2,'attention_bias':true,"
                "'vocab_size':32064}",
                41.87, 6.64);
    check_total("{'model_type':'minimax_m2','hidden_size':3072,'intermediate_size':1536,"
                "'num_hidden_layers':62,'num_attention_heads':48,'num_key_value_heads':8,"
                "'head_dim':128,'num_local_experts':256,'num_experts_per_tok':8,"
                "'shared_intermediate_size':0,'vocab_size':200064}",
                228.7, 10.8);
}

/* ---- what differs from layer to layer ---- */

static void a_dense_layer_has_the_width_of_its_own_key(void **state)
{
    CAP_AUTO(cap_model) model = must_describe(
        "{'model_type':'qwen3_moe','hidden_size':64,'intermediate_size':96,'num_hidden_layers':4,"
        "'num_attention_heads':4,'num_experts':8,'num_experts_per_tok':2,'vocab_size':10,"
        "'moe_intermediate_size':32,'decoder_sparse_step':2,'mlp_only_layers':[3]}");

    (void)state;
    assert_int_equal(cap_model_moe_layers(model), 1);
    assert_int_equal(model->layers[1].mlp.inner, 32);
    assert_int_equal(model->layers[3].mlp.inner, 96);
}

static void windows_are_those_of_the_list_or_of_the_familys_rule(void **state)
{
    CAP_AUTO(cap_model) ruled = must_describe(config_of("gpt-oss-20b"));
    CAP_AUTO(cap_model) listed = must_describe(
        "{'model_type':'gpt_oss','hidden_size':64,'intermediate_size':64,'num_hidden_layers':3,"
        "'num_attention_heads':4,'num_local_experts':8,'num_experts_per_tok':2,'vocab_size':10,"
        "'sliding_window':16,"
        "'layer_types':['full_attention','sliding_attention','sliding_attention']}");

    (void)state;
    assert_int_equal(ruled->layers[0].attention.window, 128);
    assert_int_equal(ruled->layers[1].attention.window, 0);
    assert_int_equal(listed->layers[0].attention.window, 0);
    assert_int_equal(listed->layers[2].attention.window, 16);
}

/* ---- what is not understood ---- */

static void check_refused(const char *config, const char *expected)
{
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = describe(config, &err);

    assert_null(model);
    if (!strstr(err.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", err.text, expected);
}

#define SMALL                                                                                      \
    "'hidden_size':64,'intermediate_size':64,'num_hidden_layers':2,'num_attention_heads':4,"       \
    "'vocab_size':10,'num_experts_per_tok':2,"

/* L8: the model's name is not looked at, and no family is the fallback of another. */
static void trap_l8_an_unknown_family_is_a_sentence_not_mixtral(void **state)
{
    (void)state;
    check_refused("{'model_type':'surprise','_name_or_path':'Mixtral-8x7B'," SMALL
                  "'num_local_experts':8}",
                  "the family \"surprise\" are not known");
    check_refused("{" SMALL "'num_local_experts':8}", "model_type");
}

static void what_changes_widths_and_is_not_known_is_a_sentence(void **state)
{
    (void)state;
    check_refused("{'model_type':'mixtral'," SMALL "'num_local_experts':8,'n_shared_experts':1}",
                  "how wide they are in \"mixtral\"");
    check_refused("{'model_type':'mixtral'," SMALL "'num_local_experts':8,'n_shared_experts':'2'}",
                  "\"n_shared_experts\" is not a count");
    check_refused("{'model_type':'glm4_moe'," SMALL "'n_routed_experts':8,'n_shared_experts':1.5,"
                  "'moe_intermediate_size':32,'first_k_dense_replace':1}",
                  "\"n_shared_experts\" is not a count");
    check_refused("{'model_type':'mixtral'," SMALL
                  "'num_local_experts':8,'moe_intermediate_size':32}",
                  "moe_intermediate_size");
    check_refused("{'model_type':'mixtral'," SMALL "'num_local_experts':8,'kv_lora_rank':32}",
                  "latent attention");
    check_refused("{'model_type':'qwen3_moe'," SMALL "'num_experts':8}",
                  "\"moe_intermediate_size\" is missing");
    check_refused("{'model_type':'deepseek_v3'," SMALL "'n_routed_experts':8,"
                  "'first_k_dense_replace':1,'index_topk':2048}",
                  "chooses its keys");
    check_refused("{'model_type':'granitemoe'," SMALL "'num_local_experts':8,"
                  "'layer_types':['mamba','attention']}",
                  "not known here");
    check_refused("{'model_type':'llama4_text'," SMALL "'num_local_experts':8}", "llama4_text");
}

static void trap_l9_dbrx_is_read_from_its_nested_objects(void **state)
{
    CAP_AUTO(cap_model) model = must_describe(config_of("DBRX"));

    (void)state;
    assert_int_equal(model->layers[0].mlp.inner, 10752); /* not 4 * 6144 */
    assert_int_equal(model->layers[0].attention.kv_heads, 8);
}

static void trap_l10_shared_experts_are_as_many_as_the_file_says(void **state)
{
    CAP_AUTO(cap_model) lite = must_describe(config_of("DeepSeek-V2-Lite"));
    CAP_AUTO(cap_model) r1 = must_describe(config_of("DeepSeek-V3/R1"));

    (void)state;
    assert_int_equal(lite->layers[1].mlp.shared_inner, 2 * 1408);
    assert_int_equal(r1->layers[3].mlp.shared_inner, 2048);
}

static void trap_l7_query_heads_are_not_key_value_heads(void **state)
{
    CAP_AUTO(cap_model) model = must_describe(config_of("Mixtral-8x7B"));
    const struct cap_model_attention *a = &model->layers[0].attention;
    int64_t wrong = 4096LL * (8 * 128 + 2 * 8 * 128) + 8LL * 128 * 4096;

    (void)state;
    assert_int_equal(a->heads, 32);
    assert_int_equal(a->kv_heads, 8);
    assert_int_equal(attention_of(model), 41943040);
    assert_true(attention_of(model) > 2 * wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_those_of_the_published_models),
        cmocka_unit_test(other_families_have_their_published_sizes),
        cmocka_unit_test(a_dense_layer_has_the_width_of_its_own_key),
        cmocka_unit_test(windows_are_those_of_the_list_or_of_the_familys_rule),
        cmocka_unit_test(what_changes_widths_and_is_not_known_is_a_sentence),
        cmocka_unit_test(trap_l7_query_heads_are_not_key_value_heads),
        cmocka_unit_test(trap_l8_an_unknown_family_is_a_sentence_not_mixtral),
        cmocka_unit_test(trap_l9_dbrx_is_read_from_its_nested_objects),
        cmocka_unit_test(trap_l10_shared_experts_are_as_many_as_the_file_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
