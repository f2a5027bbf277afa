/* What checkpoints are kept in: the forms of quantization_config that published files have, and the
 * bytes of real (small) checkpoints. */
#include <limits.h>
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
#include "model/shape.h"
#include "model/stored.h"
#include "model/tensors.h"
#include "published.h"

#define SHAPE                                                                                      \
    "'model_type':'deepseek_v3','hidden_size':64,'intermediate_size':128,'num_hidden_layers':3,"   \
    "'num_attention_heads':4,'n_routed_experts':8,'n_shared_experts':1,'num_experts_per_tok':2,"   \
    "'moe_intermediate_size':32,'first_k_dense_replace':1,'kv_lora_rank':16,"                      \
    "'qk_nope_head_dim':16,'qk_rope_head_dim':8,'v_head_dim':16,'vocab_size':128"

static bool read_stored(const char *config, struct cap_stored *out, struct cap_err *err)
{
    json_t *json = published_json(config);
    CAP_AUTO(cap_model) model = NULL;
    bool ok;

    if (!json)
        fail_msg("not JSON: %s", config);
    model = cap_shape_model(json, err);
    if (!model)
        fail_msg("%s", err->text);
    ok = cap_stored_read(json, model, out, err);
    json_decref(json);
    return ok;
}

/* One word for each kind: attention, experts, shared, dense, router, head. */
struct row {
    const char *name, *config, *kinds;
    struct cap_cost_scales scales;
};

#define COMPRESSED(bits, type, rest)                                                               \
    "'config_groups':{'group_0':{'targets':['Linear'],'weights':{'num_bits':" #bits                \
    ",'type':'" type "'," rest "}}}"

static const struct row rows[] = {
    {"plain", "'torch_dtype':'bfloat16'", "bf16 bf16 bf16 bf16 bf16 bf16", {0, 0, 0}},
    {"the newer key", "'dtype':'float32'", "f32 f32 f32 f32 f32 f32", {0, 0, 0}},
    {"fp8 in blocks",
     "'torch_dtype':'bfloat16','quantization_config':{'quant_method':'fp8',"
     "'weight_block_size':[128,128]}",
     "fp8 fp8 fp8 fp8 bf16 bf16",
     {128, 128, 32}},
    {"mxfp4 is of the experts",
     "'quantization_config':{'quant_method':'mxfp4','modules_to_not_convert':"
     "['model.layers.*.self_attn','model.layers.*.mlp.router','model.embed_tokens','lm_head']}",
     "bf16 mxfp4 bf16 bf16 bf16 bf16",
     {1, 32, 8}},
    {"awq",
     "'torch_dtype':'float16','quantization_config':{'quant_method':'awq','bits':4,"
     "'group_size':128,'modules_to_not_convert':['gate']}",
     "int4 int4 int4 int4 f16 f16",
     {1, 128, 20}},
    {"gptq with exceptions",
     "'torch_dtype':'bfloat16','quantization_config':{'quant_method':'gptq','bits':8,"
     "'group_size':-1,'dynamic':{'-:.*mlp\\\\.gate$':{},'-:.*shared_experts.*':{}}}",
     "int8 int8 bf16 int8 bf16 bf16",
     {1, INT_MAX, 24}},
    {"compressed int4, only the experts",
     "'torch_dtype':'bfloat16','quantization_config':{'quant_method':'compressed-tensors',"
     "'format':'pack-quantized'," COMPRESSED(
         4, "int", "'strategy':'group','group_size':32") ","
                                                         "'ignore':['lm_head','re:.*self_attn.*','"
                                                         "re:.*shared_experts.*',"
                                                         "'re:.*mlp\\\\.(gate|up|gate_up|down)_"
                                                         "proj.*','re:.*mlp.gate$']}",
     "bf16 int4 bf16 bf16 bf16 bf16",
     {1, 32, 16}},
    {"compressed fp8, without a method",
     "'torch_dtype':'bfloat16','quantization_config':{" COMPRESSED(
         8, "float", "'strategy':'channel'") ","
                                             "'ignore':['lm_head','model.layers.1.mlp.gate','model."
                                             "layers.2.mlp.gate']}",
     "fp8 fp8 fp8 fp8 bf16 bf16",
     {1, INT_MAX, 16}},
    {"compressed nvfp4",
     "'torch_dtype':'bfloat16','quantization_config':{'quant_method':'compressed-tensors','format':"
     "'nvfp4-pack-quantized'," COMPRESSED(4, "float", "'group_size':16") ",'ignore':['lm_head',"
                                                                         "'re:.*mlp.gate$']}",
     "nvfp4 nvfp4 nvfp4 nvfp4 bf16 bf16",
     {1, 16, 8}},
    {"compressed fp4 is mxfp4",
     "'torch_dtype':'bfloat16','quantization_config':{'format':'mxfp4-pack-quantized'," COMPRESSED(
         4, "float", "'group_size':32") ",'ignore':['lm_head','re:.*mlp.gate$']}",
     "mxfp4 mxfp4 mxfp4 mxfp4 bf16 bf16",
     {1, 32, 8}},
    {"modelopt nvfp4",
     "'torch_dtype':'bfloat16','quantization_config':{'quant_method':'modelopt','quant_algo':"
     "'NVFP4','ignore':['lm_head','model.layers.0.self_attn*','model.layers.1.self_attn*',"
     "'model.layers.2.self_attn*','model.layers.1.mlp.gate','model.layers.2.mlp.gate']}",
     "bf16 nvfp4 nvfp4 nvfp4 bf16 bf16",
     {1, 16, 8}},
    {"bitsandbytes",
     "'torch_dtype':'bfloat16','quantization_config':{'quant_method':'bitsandbytes',"
     "'load_in_4bit':true,'llm_int8_skip_modules':['lm_head','gate']}",
     "int4 int4 int4 int4 bf16 bf16",
     {1, 64, 32}},
    {"a method that is a precision",
     "'torch_dtype':'bfloat16','quantization_config':{'quant_method':'int8'}",
     "int8 int8 int8 int8 int8 int8",
     {0, 0, 0}},
};

static void check_row(const struct row *row)
{
    struct cap_err err = {0};
    struct cap_stored s;
    char config[2048], kinds[128];

    snprintf(config, sizeof config, "{%s,%s}", SHAPE, row->config);
    if (!read_stored(config, &s, &err))
        fail_msg("%s: %s", row->name, err.text);
    snprintf(kinds, sizeof kinds, "%s %s %s %s %s %s", cap_precision_name(s.format.attention),
             cap_precision_name(s.format.experts), cap_precision_name(s.format.shared),
             cap_precision_name(s.format.dense), cap_precision_name(s.format.router),
             cap_precision_name(s.format.head));
    if (strcmp(kinds, row->kinds) != 0)
        fail_msg("%s: %s, wanted %s", row->name, kinds, row->kinds);
    if (memcmp(&s.format.scales, &row->scales, sizeof row->scales) != 0)
        fail_msg("%s: scales of %d x %d, %d bits", row->name, s.format.scales.rows,
                 s.format.scales.columns, s.format.scales.bits);
}

/* C19: every row but the first two has a torch_dtype, or none, that tells nothing of its weights. */
static void trap_c19_precision_is_that_of_quantization_config(void **state)
{
    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        check_row(&rows[i]);
}

static void trap_c19_nested_quantization_config_is_found(void **state)
{
    static const char *const forms[] = {
        "{'model_type':'kimi_k25','text_config':{" SHAPE
        ",'torch_dtype':'bfloat16','quantization_config':{'quant_method':'fp8'}}}",
        "{'model_type':'kimi_k25','text_config':{" SHAPE
        "},'torch_dtype':'bfloat16','quantization_config':{'quant_method':'fp8'}}",
        "{'thinker_config':{'text_config':{" SHAPE
        "},'quantization_config':{'quant_method':'fp8'}},'torch_dtype':'bfloat16'}",
    };
    struct cap_stored s;

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(forms); i++) {
        struct cap_err err = {0};

        if (!read_stored(forms[i], &s, &err))
            fail_msg("%s", err.text);
        assert_int_equal(s.weights, CAP_PRECISION_FP8);
    }
}

static void the_cache_is_quantised_only_where_the_file_says_so(void **state)
{
    struct cap_err err = {0};
    struct cap_stored s;

    (void)state;
    assert_true(read_stored("{" SHAPE ",'quantization_config':{'quant_method':'fp8'}}", &s, &err));
    assert_int_equal(s.cache, CAP_PRECISION_BF16);
    assert_true(read_stored("{" SHAPE ",'quantization_config':{'quant_algo':'FP8',"
                            "'kv_cache_quant_algo':'FP8','exclude_modules':['lm_head']}}",
                            &s, &err));
    assert_int_equal(s.cache, CAP_PRECISION_FP8);
}

static void check_refused(const char *rest, const char *expected)
{
    struct cap_err err = {0};
    struct cap_stored s;
    char config[2048];

    snprintf(config, sizeof config, "{%s%s}", SHAPE, rest);
    assert_false(read_stored(config, &s, &err));
    if (!strstr(err.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", err.text, expected);
}

/* A list with more entries, or a pattern that may take for ever, is refused before it is tried. */
static void what_strangers_write_takes_no_time(void **state)
{
    json_t *config = published_json("{" SHAPE ",'torch_dtype':'bfloat16'}");
    json_t *q = json_pack("{s:s, s:[]}", "quant_method", "fp8", "ignore");
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = cap_shape_model(config, &err);
    struct cap_stored s;

    (void)state;
    for (int i = 0; i < 65; i++)
        json_array_append_new(json_object_get(q, "ignore"), json_string("re:.*x"));
    json_object_set_new(config, "quantization_config", q);
    assert_false(cap_stored_read(config, model, &s, &err));
    assert_non_null(strstr(err.text, "64 patterns"));
    json_decref(config);
    check_refused(",'quantization_config':{'quant_method':'fp8','ignore':['re:(a{999}){999}']}",
                  "is not understood");
    check_refused(",'quantization_config':{'quant_method':'fp8','ignore':['re:(a*)*\\\\1']}",
                  "is not understood");
}

static void what_is_not_understood_is_a_sentence(void **state)
{
    (void)state;
    check_refused("", "say the precision of the weights");
    check_refused(",'torch_dtype':'strange'", "say the precision of the weights");
    check_refused(",'quantization_config':{'quant_method':'hqq'}", "\"hqq\" is not known");
    check_refused(",'quantization_config':{}", "names no method");
    check_refused(",'torch_dtype':'bfloat16','quantization_config':'fp8'", "names no method");
    check_refused(",'torch_dtype':'bfloat16','quantization_config':8", "names no method");
    check_refused(",'quantization_config':{'quant_method':'gptq','bits':3}", "3 bits");
    check_refused(",'quantization_config':{'quant_method':'compressed-tensors'}",
                  "\"config_groups\" is missing");
    check_refused(",'quantization_config':{'quant_method':'fp8','ignored_layers':"
                  "['model.layers.1.mlp.experts']}",
                  "the experts of 1 layers of 2");
    check_refused(",'quantization_config':{'quant_method':'fp8','ignored_layers':['re:(']}",
                  "is not understood");
}

/* ---- real checkpoints ---- */

static double tensor_bytes(const char *dir)
{
    struct cap_err err = {0};
    CAP_AUTO(cap_tensors) tensors = cap_tensors_open(dir, &err);
    double bytes = 0;

    if (!tensors)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < cap_tensors_count(tensors); i++) {
        const struct cap_tensor *t = cap_tensors_at(tensors, i);

        /* the order of GPTQ's columns, which engines drop where it is the natural one */
        if (!strstr(t->name, ".g_idx"))
            bytes += (double)t->bytes;
    }
    return bytes;
}

static void check_bytes(const char *dir)
{
    struct cap_err err = {0};
    char path[1100];
    json_t *json;
    CAP_AUTO(cap_model) model = NULL;
    struct cap_stored s;
    double stored, real;

    snprintf(path, sizeof path, "%s/config.json", dir);
    json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    model = cap_shape_model(json, &err);
    if (!model || !cap_stored_read(json, model, &s, &err))
        fail_msg("%s: %s", dir, err.text);
    json_decref(json);
    stored = cap_cost_stored_bytes(model, &s.format);
    real = tensor_bytes(dir);
    if (fabs(stored - real) > 0.02 * real)
        fail_msg("%s: %.0f bytes, the file has %.0f", dir, stored, real);
}

/* What is counted from config.json is what lies on the disk, scales and all, within 2 %: shapes of
 * packed tensors and a few vectors are not counted. */
static void bytes_are_those_of_the_files(void **state)
{
    static const char *const names[] = {"qwen3_moe",   "qwen2_moe",      "mixtral",
                                        "olmoe",       "deepseek_v2",    "deepseek_v3",
                                        "gpt_oss",     "qwen3_moe_f32",  "qwen3_moe_fp8",
                                        "mixtral_awq", "deepseek_v3_w4", "qwen3_moe_gptq"};
    const char *shared = getenv("MOECAP_SHARED");
    char path[1024];

    (void)state;
    snprintf(path, sizeof path, "%s/models/moecap-tiny", getenv("MOECAP_SOURCE_DIR"));
    check_bytes(path);
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/data/golden/%s", shared ? shared : "../shared", names[i]);
        CAP_AUTO_STREAM FILE *there = fopen(path, "r");
        if (!there) {
            printf("skip: %s not found; set MOECAP_SHARED\n", path);
            return;
        }
        check_bytes(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_c19_precision_is_that_of_quantization_config),
        cmocka_unit_test(trap_c19_nested_quantization_config_is_found),
        cmocka_unit_test(the_cache_is_quantised_only_where_the_file_says_so),
        cmocka_unit_test(what_is_not_understood_is_a_sentence),
        cmocka_unit_test(what_strangers_write_takes_no_time),
        cmocka_unit_test(bytes_are_those_of_the_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
