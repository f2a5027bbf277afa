/* published.h — config.json files of published models, cut to the keys that give shapes. The names
 * are those of model-architectures.csv and golden-metrics.csv. */
#ifndef TEST_PUBLISHED_H
#define TEST_PUBLISHED_H

#include <jansson.h>

struct published {
    const char *name;   /* in model-architectures.csv; NULL: not there */
    const char *golden; /* in golden-metrics.csv; NULL: not there */
    const char *config;
};

static const struct published published[] = {
    {"Mixtral-8x7B", "mistralai/Mixtral-8x7B-Instruct-v0.1",
     "{'model_type':'mixtral','hidden_size':4096,'intermediate_size':14336,'num_hidden_layers':32,"
     "'num_attention_heads':32,'num_key_value_heads':8,'num_local_experts':8,"
     "'num_experts_per_tok':2,'sliding_window':null,'vocab_size':32000,'torch_dtype':'bfloat16'}"},
    {"Mixtral-8x22B", NULL,
     "{'model_type':'mixtral','hidden_size':6144,'intermediate_size':16384,'num_hidden_layers':56,"
     "'num_attention_heads':48,'num_key_value_heads':8,'num_local_experts':8,"
     "'num_experts_per_tok':2,'vocab_size':32768}"},
    {"DBRX", NULL,
     "{'model_type':'dbrx','d_model':6144,'n_heads':48,'n_layers':40,'vocab_size':100352,"
     "'attn_config':{'kv_n_heads':8,'clip_qkv':8,'rope_theta':500000},"
     "'ffn_config':{'ffn_hidden_size':10752,'moe_num_experts':16,'moe_top_k':4}}"},
    {"Qwen1.5-MoE-A2.7B", "Qwen/Qwen1.5-MoE-A2.7B-Chat",
     "{'model_type':'qwen2_moe','hidden_size':2048,'intermediate_size':5632,'num_hidden_layers':24,"
     "'num_attention_heads':16,'num_key_value_heads':16,'num_experts':60,'num_experts_per_tok':4,"
     "'moe_intermediate_size':1408,'shared_expert_intermediate_size':5632,'decoder_sparse_step':1,"
     "'use_sliding_window':false,'sliding_window':32768,'vocab_size':151936}"},
    {"Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B",
     "{'model_type':'qwen3_moe','hidden_size':2048,'intermediate_size':6144,'num_hidden_layers':48,"
     "'num_attention_heads':32,'num_key_value_heads':4,'head_dim':128,'num_experts':128,"
     "'num_experts_per_tok':8,'moe_intermediate_size':768,'decoder_sparse_step':1,"
     "'mlp_only_layers':[],'vocab_size':151936,'attention_bias':false}"},
    {"Qwen3-235B-A22B", NULL,
     "{'model_type':'qwen3_moe','hidden_size':4096,'intermediate_size':12288,"
     "'num_hidden_layers':94,'num_attention_heads':64,'num_key_value_heads':4,'head_dim':128,"
     "'num_experts':128,'num_experts_per_tok':8,'moe_intermediate_size':1536,"
     "'vocab_size':151936}"},
    {"DeepSeek-V2-Lite", "deepseek-ai/DeepSeek-V2-Lite-Chat",
     "{'model_type':'deepseek_v2','hidden_size':2048,'intermediate_size':10944,"
     "'num_hidden_layers':27,'num_attention_heads':16,'num_key_value_heads':16,"
     "'n_routed_experts':64,'n_shared_experts':2,'num_experts_per_tok':6,"
     "'moe_intermediate_size':1408,'first_k_dense_replace':1,'moe_layer_freq':1,"
     "'kv_lora_rank':512,'q_lora_rank':null,'qk_nope_head_dim':128,'qk_rope_head_dim':64,"
     "'v_head_dim':128,'vocab_size':102400}"},
    {"DeepSeek-V3/R1", "deepseek-ai/DeepSeek-R1",
     "{'model_type':'deepseek_v3','hidden_size':7168,'intermediate_size':18432,"
     "'num_hidden_layers':61,'num_attention_heads':128,'num_key_value_heads':128,"
     "'n_routed_experts':256,'n_shared_experts':1,'num_experts_per_tok':8,"
     "'moe_intermediate_size':2048,'first_k_dense_replace':3,'moe_layer_freq':1,"
     "'num_nextn_predict_layers':1,'kv_lora_rank':512,'q_lora_rank':1536,'qk_nope_head_dim':128,"
     "'qk_rope_head_dim':64,'v_head_dim':128,'vocab_size':129280,'torch_dtype':'bfloat16',"
     "'quantization_config':{'activation_scheme':'dynamic','fmt':'e4m3','quant_method':'fp8',"
     "'weight_block_size':[128,128]}}"},
    {"Kimi-K2.5 (text)", NULL,
     "{'model_type':'kimi_k25','text_config':{'model_type':'kimi_k2','hidden_size':7168,"
     "'intermediate_size':18432,'num_hidden_layers':61,'num_attention_heads':64,"
     "'num_key_value_heads':64,'n_routed_experts':384,'n_shared_experts':1,"
     "'num_experts_per_tok':8,'moe_intermediate_size':2048,'first_k_dense_replace':1,"
     "'moe_layer_freq':1,'kv_lora_rank':512,'q_lora_rank':1536,'qk_nope_head_dim':128,"
     "'qk_rope_head_dim':64,'v_head_dim':128,'vocab_size':163840}}"},
    {"gpt-oss-120b", NULL,
     "{'model_type':'gpt_oss','hidden_size':2880,'intermediate_size':2880,'num_hidden_layers':36,"
     "'num_attention_heads':64,'num_key_value_heads':8,'head_dim':64,'num_local_experts':128,"
     "'num_experts_per_tok':4,'experts_per_token':4,'sliding_window':128,'attention_bias':true,"
     "'vocab_size':201088}"},
    {"gpt-oss-20b", NULL,
     "{'model_type':'gpt_oss','hidden_size':2880,'intermediate_size':2880,'num_hidden_layers':24,"
     "'num_attention_heads':64,'num_key_value_heads':8,'head_dim':64,'num_local_experts':32,"
     "'num_experts_per_tok':4,'sliding_window':128,'attention_bias':true,'vocab_size':201088}"},
};

/* The caller's reference. JSON with ' for ", so that it can stand in a C text. */
static inline json_t *published_json(const char *text)
{
    char strict[4096];
    size_t i = 0;

    for (; text[i] && i + 1 < sizeof strict; i++)
        strict[i] = text[i] == '\'' ? '"' : text[i];
    strict[i] = '\0';
    return json_loads(strict, 0, NULL);
}

#endif
