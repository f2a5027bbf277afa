/* From config.json to a description: keys that all families share are read here, the layers by the
 * parts that the family's row names. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "model/family.h"
#include "model/shape.h"

enum {
    HIDDEN_MAX = 1 << 20,
    WIDTH_MAX = 1 << 20,
    VOCAB_MAX = 1 << 24,
    CONTEXT_MAX = 1 << 30,
    CONTEXT_DEFAULT = 32768,
    TOP_K_DEFAULT = 50, /* of HF Transformers, when sampling */
};

/* ---- files ---- */

struct cap_model *cap_model_open(const char *dir, struct cap_err *err)
{
    json_t *config = cap_keys_read_file(dir, "config.json", err), *generation = NULL;
    struct cap_model *model = NULL;

    if (config) {
        generation = cap_keys_read_file(dir, "generation_config.json", err);
        if (!generation && err->code == CAP_NOT_FOUND)
            cap_err_clear(err);
        if (err->code == CAP_OK)
            model = cap_model_parse(config, generation, err);
    }
    json_decref(config);
    json_decref(generation);
    if (!model)
        cap_fail_in(err, "model \"%s\"", dir);
    return model;
}

/* ---- the keys of config.json ---- */

static bool read_shape(const json_t *config, struct cap_model *model, struct cap_err *err)
{
    const char *dtype = "", *activation = "silu";

    model->norm_eps = 1e-6;
    model->context_max = CONTEXT_DEFAULT;
    if (!cap_keys_need_int(config, "num_hidden_layers", 1, CAP_MODEL_LAYERS_MAX,
                           &model->layer_count, err) ||
        !cap_keys_need_int(config, "hidden_size", 1, HIDDEN_MAX, &model->hidden, err) ||
        !cap_keys_need_int(config, "vocab_size", 1, VOCAB_MAX, &model->vocab, err) ||
        !cap_keys_int(config, "max_position_embeddings", 1, CONTEXT_MAX, &model->context_max,
                      err) ||
        !cap_keys_double(config, "rms_norm_eps", 0, 1, &model->norm_eps, err) ||
        !cap_keys_bool(config, "tie_word_embeddings", &model->tie_embeddings, err) ||
        !cap_keys_bool(config, "random_weights", &model->random_weights, err) ||
        !cap_keys_string(config, "torch_dtype", &dtype, err) ||
        !cap_keys_string(config, "dtype", &dtype, err) ||
        !cap_keys_string(config, "hidden_act", &activation, err))
        return false;
    if (strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0)
        return cap_fail(err, CAP_UNIMPLEMENTED, "\"hidden_act\" is \"%.40s\", supported: silu",
                        activation);
    model->dtype = cap_dtype_from_name(dtype);
    return true;
}

/* Weights that are not plain numbers would be read as noise, so their keys are not passed over. */
static bool refuse_quantised(const json_t *config, struct cap_err *err)
{
    const json_t *quantisation = json_object_get(config, "quantization_config");
    const char *method = json_string_value(json_object_get(quantisation, "quant_method"));

    if (!cap_keys_has(config, "quantization_config"))
        return true;
    return cap_fail(err, CAP_UNIMPLEMENTED,
                    "the checkpoint is quantised (%.40s), supported: weights in f32, f16 or bf16",
                    method ? method : "method not said");
}

/* eos_token_id: a number, a list of numbers, or nothing. */
static bool read_eos(const json_t *object, struct cap_model *model, struct cap_err *err)
{
    const json_t *value = json_object_get(object, "eos_token_id");
    size_t count = json_is_array(value) ? json_array_size(value) : 1;

    if (!cap_keys_has(object, "eos_token_id"))
        return true;
    if (count > CAP_MODEL_EOS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"eos_token_id\" has %zu ids, more than %d",
                        count, CAP_MODEL_EOS_MAX);
    model->eos_count = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;

        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= VOCAB_MAX)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "\"eos_token_id\" holds something that is not a token id");
        model->eos_ids[model->eos_count++] = (int)json_integer_value(id);
    }
    return true;
}

static bool read_bos(const json_t *object, struct cap_model *model, struct cap_err *err)
{
    const json_t *value = json_object_get(object, "bos_token_id");

    /* some files spell "none" as an empty list or a list of one */
    if (json_is_array(value))
        value = json_array_get(value, 0);
    if (!value || json_is_null(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= VOCAB_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"bos_token_id\" is not a token id");
    model->bos_id = (int)json_integer_value(value);
    return true;
}

/* ---- generation_config.json ---- */

static bool read_generation(const json_t *object, struct cap_model *model, struct cap_err *err)
{
    struct cap_model_generation g = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};

    if (!cap_keys_bool(object, "do_sample", &g.do_sample, err))
        return false;
    g.top_k = g.do_sample ? TOP_K_DEFAULT : 0;
    if (!cap_keys_double(object, "temperature", 0, 1e3, &g.temperature, err) ||
        !cap_keys_double(object, "top_p", 0, 1, &g.top_p, err) ||
        !cap_keys_int(object, "top_k", 0, VOCAB_MAX, &g.top_k, err) ||
        !cap_keys_double(object, "min_p", 0, 1, &g.min_p, err) ||
        !cap_keys_double(object, "repetition_penalty", 1e-3, 1e3, &g.repetition_penalty, err) ||
        !cap_keys_int(object, "max_new_tokens", 1, CONTEXT_MAX, &g.max_new_tokens, err))
        return false;
    model->generation = g;
    return read_eos(object, model, err) && read_bos(object, model, err);
}

/* ---- putting it together ---- */

static const struct cap_family *find_family(const json_t *config, const char **out_architecture,
                                            struct cap_err *err)
{
    const json_t *first = json_array_get(json_object_get(config, "architectures"), 0);
    const char *architecture = json_is_string(first) ? json_string_value(first) : "";
    const char *model_type = "";
    CAP_AUTO_BUF(supported, 512);

    if (!cap_keys_string(config, "model_type", &model_type, err))
        return NULL;
    *out_architecture = architecture;
    for (const struct cap_family *const *f = cap_families; *f; f++) {
        if (model_type[0] ? strcmp(model_type, (*f)->model_type) == 0
                          : strcmp(architecture, (*f)->architecture) == 0)
            return *f;
        cap_buf_printf(&supported, "%s%s", f > cap_families ? ", " : "", (*f)->model_type);
    }
    if (!model_type[0] && !architecture[0])
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "\"model_type\" and \"architectures\" are missing, supported: %s", supported.data);
    else
        cap_fail(err, CAP_UNIMPLEMENTED, "architecture \"%.60s\" is not supported, supported: %s",
                 model_type[0] ? model_type : architecture, supported.data);
    return NULL;
}

/* Which layers have experts: the same reading as for models that a server runs (shape.h). */
static bool find_moe_layers(const json_t *config, bool *out_has, struct cap_err *err)
{
    struct cap_shape shape;

    if (!cap_shape_read(config, &shape, err))
        return false;
    if (shape.moe_layers.value < 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s", shape.moe_layers.why);
    for (int i = 0; i < shape.moe_layers.value; i++)
        out_has[shape.moe_layer_ids[i]] = true;
    return true;
}

static bool read_layers(const json_t *config, struct cap_model *model, struct cap_err *err)
{
    const struct cap_family *family = model->parts;
    bool has_experts[CAP_MODEL_LAYERS_MAX] = {false};

    for (int i = 0; i < model->layer_count; i++)
        if (!family->read_attention(config, model, i, &model->layers[i].attention, err))
            return false;
    for (int i = 0; i < model->layer_count; i++)
        if (!family->read_router(config, &model->layers[i].router, err))
            return false;
    if (!find_moe_layers(config, has_experts, err))
        return false;
    for (int i = 0; i < model->layer_count; i++) {
        struct cap_model_layer *layer = &model->layers[i];
        bool routed = has_experts[i] && layer->router.kind != CAP_ROUTER_NONE;

        if (!routed)
            layer->router = (struct cap_model_router){.kind = CAP_ROUTER_NONE};
        if (!cap_keys_need_int(config, routed ? family->expert_inner_key : family->dense_inner_key,
                               1, WIDTH_MAX, &layer->mlp.inner, err))
            return false;
    }
    return true;
}

static bool read_config(const json_t *config, struct cap_model *model, struct cap_err *err)
{
    const char *architecture;
    const struct cap_family *family = find_family(config, &architecture, err);

    if (!family || !refuse_quantised(config, err) || !read_shape(config, model, err))
        return false;
    model->family = family->model_type;
    model->parts = family;
    model->architecture = strdup(architecture);
    model->layers = calloc((size_t)model->layer_count, sizeof *model->layers);
    if (!model->architecture || !model->layers)
        abort();
    return cap_rope_read(config, model->context_max, &model->rope, err) &&
           read_bos(config, model, err) && read_eos(config, model, err) &&
           read_layers(config, model, err);
}

struct cap_model *cap_model_parse(const json_t *config, const json_t *generation,
                                  struct cap_err *err)
{
    CAP_AUTO(cap_model) model = calloc(1, sizeof *model);

    if (!model)
        abort();
    model->bos_id = -1;
    if (!read_config(config, model, err)) {
        cap_fail_in(err, "config.json");
        return NULL;
    }
    if (!read_generation(generation, model, err)) {
        cap_fail_in(err, "generation_config.json");
        return NULL;
    }
    return cap_take(model);
}

void cap_model_free(struct cap_model *model)
{
    if (!model)
        return;
    free(model->architecture);
    free(model->layers);
    free(model);
}

/* ---- questions ---- */

int cap_model_moe_layers(const struct cap_model *model)
{
    int count = 0;

    for (int i = 0; i < model->layer_count; i++)
        count += model->layers[i].router.kind != CAP_ROUTER_NONE;
    return count;
}

int cap_model_experts(const struct cap_model *model)
{
    int most = 0;

    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].router.experts > most)
            most = model->layers[i].router.experts;
    return most;
}

int cap_model_top_k(const struct cap_model *model)
{
    int most = 0;

    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].router.top_k > most)
            most = model->layers[i].router.top_k;
    return most;
}

bool cap_model_is_eos(const struct cap_model *model, int token)
{
    for (int i = 0; i < model->eos_count; i++)
        if (model->eos_ids[i] == token)
            return true;
    return false;
}
