/* Quantised checkpoints, by the words of those that make them.
 *
 * Each method says bits and blocks in its own keys; read_method() makes one `scheme` of them. Then
 * each kind of weight is asked whether the scheme holds for it: lists of modules to leave out are
 * matched with the names that a module of this kind has in one family or another, for every layer
 * that has one. */
#include "model/stored.h"

#include <fnmatch.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "model/family.h"
#include "model/shape.h"
#include "words/words.h"

enum { NAME_BYTES = 160, F32_BITS = 32, F16_BITS = 16 };

struct scheme {
    enum cap_precision precision;
    struct cap_cost_scales scales;
    bool experts_only; /* the method knows no other matrices */
    bool router, head; /* also these, unless they are left out */
};

static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(get(object, key));

    return text ? text : "";
}

static int number_of(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(get(object, key));

    return number < 0 || number > INT_MAX ? 0 : (int)number;
}

/* ---- where it stands ---- */

static const json_t *find_in(const json_t *object)
{
    static const char *const keys[] = {"quantization_config", "compression_config"};

    for (size_t i = 0; i < CAP_COUNT_OF(keys); i++)
        if (json_is_object(get(object, keys[i])))
            return get(object, keys[i]);
    return NULL;
}

static const json_t *find_quantisation(const json_t *whole)
{
    static const char *const parts[] = {"text_config", "thinker_config", "language_config"};
    const json_t *found = find_in(cap_shape_text_config(whole));

    if (!found)
        found = find_in(whole);
    for (size_t i = 0; !found && i < CAP_COUNT_OF(parts); i++)
        found = find_in(get(whole, parts[i]));
    return found;
}

/* What is not quantised. CAP_PRECISION_COUNT: nothing is said, or another word. */
static enum cap_precision read_dtype(const json_t *whole)
{
    const json_t *places[] = {cap_shape_text_config(whole), whole};
    static const char *const keys[] = {"torch_dtype", "dtype"};

    for (size_t i = 0; i < CAP_COUNT_OF(places); i++)
        for (size_t k = 0; k < CAP_COUNT_OF(keys); k++)
            if (*text_of(places[i], keys[k]))
                return cap_precision_find(text_of(places[i], keys[k]));
    return CAP_PRECISION_COUNT;
}

/* ---- the methods ---- */

static bool fail_bits(const char *method, int bits, struct cap_err *err)
{
    return cap_fail(err, CAP_UNIMPLEMENTED, "%.40s weights of %d bits are not known", method, bits);
}

/* 128, or -1: one for the whole row. */
static int group_of(const json_t *object, const char *key)
{
    return json_integer_value(get(object, key)) == -1 ? INT_MAX : number_of(object, key);
}

static void set_blocks(const json_t *list, int bits, struct cap_cost_scales *out)
{
    json_int_t rows = json_integer_value(json_array_get(list, 0));
    json_int_t columns = json_integer_value(json_array_get(list, 1));

    if (rows > 0 && rows <= INT_MAX && columns > 0 && columns <= INT_MAX)
        *out = (struct cap_cost_scales){(int)rows, (int)columns, bits};
}

/* Scales of f16 and zero points of as many bits as the weights. */
static bool read_grouped(const json_t *q, const char *method, struct scheme *out,
                         struct cap_err *err)
{
    int bits = number_of(q, get(q, "bits") ? "bits" : "w_bit");

    if (bits != 4 && bits != 8)
        return fail_bits(method, bits, err);
    out->precision = bits == 4 ? CAP_PRECISION_INT4 : CAP_PRECISION_INT8;
    out->scales = (struct cap_cost_scales){
        1, group_of(q, get(q, "group_size") ? "group_size" : "q_group_size"), F16_BITS + bits};
    out->router = true;
    out->head = json_is_true(get(q, "lm_head"));
    return true;
}

static bool read_fp8(const json_t *q, const char *method, struct scheme *out, struct cap_err *err)
{
    (void)method;
    (void)err;
    out->precision = CAP_PRECISION_FP8;
    set_blocks(get(q, "weight_block_size"), F32_BITS, &out->scales);
    return true;
}

static bool read_mxfp4(const json_t *q, const char *method, struct scheme *out, struct cap_err *err)
{
    (void)q;
    (void)method;
    (void)err;
    *out = (struct scheme){.precision = CAP_PRECISION_MXFP4, .experts_only = true};
    out->scales = cap_cost_format_plain(CAP_PRECISION_MXFP4).scales;
    return true;
}

static bool read_bitsandbytes(const json_t *q, const char *method, struct scheme *out,
                              struct cap_err *err)
{
    bool four = json_is_true(get(q, "load_in_4bit")) || json_is_true(get(q, "_load_in_4bit"));
    bool eight = json_is_true(get(q, "load_in_8bit")) || json_is_true(get(q, "_load_in_8bit"));

    if (four == eight)
        return fail_bits(method, 0, err);
    out->precision = four ? CAP_PRECISION_INT4 : CAP_PRECISION_INT8;
    out->scales = (struct cap_cost_scales){1, four ? 64 : INT_MAX, F32_BITS};
    out->router = true;
    return true;
}

/* ModelOpt: {"quant_algo": "NVFP4"}. */
static bool read_modelopt(const json_t *q, const char *method, struct scheme *out,
                          struct cap_err *err)
{
    const json_t *inner = json_is_object(get(q, "quantization")) ? get(q, "quantization") : q;
    const char *word = text_of(inner, "quant_algo");
    enum cap_precision p = cap_precision_find(word);

    (void)method;
    if (p == CAP_PRECISION_COUNT)
        return cap_fail(err, CAP_UNIMPLEMENTED, "\"quant_algo\" \"%.40s\" is not known", word);
    out->precision = p;
    out->scales = cap_cost_format_plain(p).scales;
    out->router = out->head = true;
    return true;
}

/* compressed-tensors: the weights of a group of its config_groups. */
static bool read_weights(const json_t *q, const json_t *weights, struct scheme *out,
                         struct cap_err *err)
{
    const char *strategy = text_of(weights, "strategy"), *type = text_of(weights, "type");
    bool is_float = strcmp(type, "float") == 0;
    int bits = number_of(weights, "num_bits");

    if (bits == 8)
        out->precision = is_float ? CAP_PRECISION_FP8 : CAP_PRECISION_INT8;
    else if (bits == 4 && strstr(text_of(q, "format"), "nvfp4"))
        out->precision = CAP_PRECISION_NVFP4;
    else if (bits == 4)
        out->precision = is_float ? CAP_PRECISION_MXFP4 : CAP_PRECISION_INT4;
    else
        return fail_bits("compressed-tensors", bits, err);
    out->scales = cap_cost_format_plain(out->precision).scales;
    if (out->scales.columns > 0)
        return true;
    if (strcmp(strategy, "group") == 0)
        out->scales = (struct cap_cost_scales){1, group_of(weights, "group_size"), F16_BITS};
    else if (strcmp(strategy, "channel") == 0)
        out->scales = (struct cap_cost_scales){1, INT_MAX, F16_BITS};
    else if (strcmp(strategy, "block") == 0)
        set_blocks(get(weights, "block_structure"), F32_BITS, &out->scales);
    return true;
}

static bool read_compressed(const json_t *q, const char *method, struct scheme *out,
                            struct cap_err *err)
{
    const char *name;
    json_t *group;
    int groups = 0;

    (void)method;
    json_object_foreach((json_t *)get(q, "config_groups"), name, group)
    {
        struct scheme one = {.router = true, .head = true};

        if (!read_weights(q, get(group, "weights"), &one, err))
            return false;
        if (groups++ > 0 && one.precision != out->precision)
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "\"config_groups\" has groups of different precisions");
        *out = one;
    }
    return groups > 0 || cap_fail(err, CAP_INVALID_ARGUMENT, "\"config_groups\" is missing");
}

static const struct {
    const char *name;
    bool (*read)(const json_t *q, const char *method, struct scheme *out, struct cap_err *err);
} methods[] = {
    {"gptq", read_grouped},
    {"awq", read_grouped},
    {"auto-round", read_grouped},
    {"fp8", read_fp8},
    {"fbgemm_fp8", read_fp8},
    {"mxfp4", read_mxfp4},
    {"bitsandbytes", read_bitsandbytes},
    {"modelopt", read_modelopt},
    {"modelopt_fp4", read_modelopt},
    {"compressed-tensors", read_compressed},
};

/* Files without a method are known by what they hold. */
static const char *method_of(const json_t *q)
{
    const char *method = text_of(q, "quant_method");

    if (*method)
        return method;
    if (get(q, "config_groups") || strstr(text_of(q, "format"), "quantized"))
        return "compressed-tensors";
    if (get(q, "quant_algo") || get(q, "quantization"))
        return "modelopt";
    return get(q, "weight_block_size") ? "fp8" : "";
}

static bool read_method(const json_t *q, struct scheme *out, struct cap_err *err)
{
    const char *method = method_of(q);
    enum cap_precision p = cap_precision_find(method);

    *out = (struct scheme){.precision = p};
    for (size_t i = 0; i < CAP_COUNT_OF(methods); i++)
        if (strcmp(method, methods[i].name) == 0)
            return methods[i].read(q, method, out, err);
    if (p == CAP_PRECISION_COUNT)
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        *method ? "the quantisation method \"%.60s\" is not known"
                                : "\"quantization_config\" names no method that is known%s",
                        method);
    *out = (struct scheme){p, cap_cost_format_plain(p).scales, false, true, true};
    return true;
}

/* ---- which modules it holds for ---- */

/* The words of `part`, between dots, stand in `name` one after the other. */
static bool has_words(const char *name, const char *part)
{
    size_t length = strlen(part);

    for (const char *at = name; length > 0 && (at = strstr(at, part)); at++)
        if ((at == name || at[-1] == '.') && (at[length] == '\0' || at[length] == '.'))
            return true;
    return false;
}

static bool matches_regex(const char *pattern, const char *name, bool *out, struct cap_err *err)
{
    char anchored[512];
    regex_t regex;

    if (snprintf(anchored, sizeof anchored, "^(%s)", pattern) >= (int)sizeof anchored ||
        regcomp(&regex, anchored, REG_EXTENDED | REG_NOSUB) != 0)
        return cap_fail(err, CAP_UNIMPLEMENTED, "the pattern \"%.100s\" is not understood",
                        pattern);
    *out = regexec(&regex, name, 0, NULL, 0) == 0;
    regfree(&regex);
    return true;
}

/* "re:.*self_attn.*", "model.layers.*.self_attn", "mlp.gate", a whole name. */
static bool matches(const char *entry, const char *name, bool *out, struct cap_err *err)
{
    char glob[NAME_BYTES + 4];

    if (strncmp(entry, "re:", 3) == 0)
        return matches_regex(entry + 3, name, out, err);
    if (strchr(entry, '*')) {
        snprintf(glob, sizeof glob, "%.*s*", NAME_BYTES, entry);
        *out = fnmatch(entry, name, 0) == 0 || fnmatch(glob, name, 0) == 0;
        return true;
    }
    *out = has_words(name, entry) || has_words(entry, name);
    return true;
}

static bool matches_any(const json_t *list, const char *name, bool *out, struct cap_err *err)
{
    for (size_t i = 0; !*out && i < json_array_size(list); i++) {
        const char *entry = json_string_value(json_array_get(list, i));

        if (entry && !matches(entry, name, out, err))
            return false;
    }
    return true;
}

/* GPTQ's "dynamic": keys "-:REGEX" are left out. */
static bool matches_dynamic(const json_t *dynamic, const char *name, bool *out, struct cap_err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)dynamic, key, value)
    {
        if (!*out && strncmp(key, "-:", 2) == 0 && !matches_regex(key + 2, name, out, err))
            return false;
    }
    return true;
}

static bool is_left_out(const json_t *q, const char *name, bool *out, struct cap_err *err)
{
    static const char *const keys[] = {"modules_to_not_convert", "ignore", "ignored_layers",
                                       "exclude_modules", "llm_int8_skip_modules"};
    const json_t *inner = get(q, "quantization");

    for (size_t i = 0; i < CAP_COUNT_OF(keys); i++)
        if (!matches_any(get(q, keys[i]), name, out, err) ||
            !matches_any(get(inner, keys[i]), name, out, err))
            return false;
    return matches_dynamic(get(q, "dynamic"), name, out, err);
}

/* The names that a module of a kind has in one family or another, `%d` is the layer. */
enum { NAMES_MAX = 4 };

static const struct kind {
    const char *what;
    enum { IN_ALL, IN_ROUTED, IN_DENSE, IN_SHARED, OUTSIDE } where;
    const char *names[NAMES_MAX];
} kinds[] = {
    {"attention", IN_ALL, {"model.layers.%d.self_attn.o_proj"}},
    {"experts",
     IN_ROUTED,
     {"model.layers.%d.mlp.experts.0.down_proj", "model.layers.%d.block_sparse_moe.experts.0.w2"}},
    {"shared experts",
     IN_SHARED,
     {"model.layers.%d.mlp.shared_experts.down_proj",
      "model.layers.%d.mlp.shared_expert.down_proj"}},
    {"dense MLPs", IN_DENSE, {"model.layers.%d.mlp.down_proj"}},
    {"routers",
     IN_ROUTED,
     {"model.layers.%d.mlp.gate", "model.layers.%d.block_sparse_moe.gate",
      "model.layers.%d.mlp.router"}},
    {"LM head", OUTSIDE, {"lm_head"}},
};

static bool has_kind(const struct kind *kind, const struct cap_model_layer *l)
{
    bool routed = l->router.kind != CAP_ROUTER_NONE;

    return kind->where == IN_ALL || (kind->where == IN_ROUTED && routed) ||
           (kind->where == IN_DENSE && !routed) ||
           (kind->where == IN_SHARED && routed && l->mlp.shared_inner > 0);
}

static bool layer_left_out(const json_t *q, const struct kind *kind, int layer, bool *out,
                           struct cap_err *err)
{
    char name[NAME_BYTES];

    *out = false;
    for (int i = 0; i < NAMES_MAX && kind->names[i]; i++) {
        const char *rest = strstr(kind->names[i], "%d");

        if (rest)
            snprintf(name, sizeof name, "%.*s%d%s", (int)(rest - kind->names[i]), kind->names[i],
                     layer, rest + 2);
        else
            snprintf(name, sizeof name, "%s", kind->names[i]);
        if (!is_left_out(q, name, out, err))
            return false;
    }
    return true;
}

/* All layers must agree: one precision for each kind is what costs are counted with. */
static bool kind_left_out(const json_t *q, const struct kind *kind, const struct cap_model *model,
                          bool *out, struct cap_err *err)
{
    int asked = 0, out_count = 0;
    bool left_out;

    if (kind->where == OUTSIDE)
        return layer_left_out(q, kind, 0, out, err);
    for (int i = 0; i < model->layer_count; i++) {
        if (!has_kind(kind, &model->layers[i]))
            continue;
        if (!layer_left_out(q, kind, i, &left_out, err))
            return false;
        asked++;
        out_count += left_out;
    }
    if (out_count > 0 && out_count < asked)
        return cap_fail(err, CAP_UNIMPLEMENTED, "the %s of %d layers of %d are quantised, not all",
                        kind->what, asked - out_count, asked);
    *out = out_count > 0;
    return true;
}

static bool apply(const json_t *q, const struct scheme *scheme, const struct cap_model *model,
                  struct cap_cost_format *io, struct cap_err *err)
{
    enum cap_precision *const targets[CAP_COUNT_OF(kinds)] = {
        &io->attention, &io->experts, &io->shared, &io->dense, &io->router, &io->head};

    for (size_t i = 0; i < CAP_COUNT_OF(kinds); i++) {
        bool left_out = false;

        if ((scheme->experts_only && targets[i] != &io->experts) ||
            (!scheme->router && targets[i] == &io->router) ||
            (!scheme->head && targets[i] == &io->head))
            continue;
        if (!kind_left_out(q, &kinds[i], model, &left_out, err))
            return false;
        if (!left_out)
            *targets[i] = scheme->precision;
    }
    io->scales = scheme->scales;
    return true;
}

/* ---- the whole ---- */

/* The cache is quantised only where the file says so. */
static enum cap_precision read_cache(const json_t *q, enum cap_precision rest)
{
    const json_t *inner = get(q, "quantization"), *scheme = get(q, "kv_cache_scheme");
    const char *word = text_of(inner ? inner : q, "kv_cache_quant_algo");

    if (cap_precision_find(word) != CAP_PRECISION_COUNT)
        return cap_precision_find(word);
    if (number_of(scheme, "num_bits") == 8)
        return CAP_PRECISION_FP8;
    return rest == CAP_PRECISION_F32 ? CAP_PRECISION_F32 : CAP_PRECISION_BF16;
}

static void add_note(const json_t *q, enum cap_precision rest, bool said, struct cap_stored *out)
{
    char method[48] = "";

    if (q)
        snprintf(method, sizeof method, ", quantised by %s", method_of(q));
    snprintf(out->note, sizeof out->note, "stored as config.json says: %s%s; the rest in %s%s",
             cap_precision_name(out->weights), method, cap_precision_name(rest),
             said ? "" : " (not said, taken for bf16)");
}

bool cap_stored_read(const json_t *config, const struct cap_model *model, struct cap_stored *out,
                     struct cap_err *err)
{
    const json_t *q = find_quantisation(config);
    enum cap_precision rest = read_dtype(config);
    bool said = rest != CAP_PRECISION_COUNT;
    struct cap_stored s = {.quantised = q != NULL};
    struct scheme scheme;

    if (!said && !q)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "config.json has no \"torch_dtype\" that is known and no "
                        "\"quantization_config\": say the precision of the weights");
    if (!said)
        rest = CAP_PRECISION_BF16;
    s.format = cap_cost_format_plain(rest);
    if (q && (!read_method(q, &scheme, err) || !apply(q, &scheme, model, &s.format, err)))
        return cap_fail_in(err, "quantization_config");
    s.weights = cap_model_moe_layers(model) > 0 ? s.format.experts : s.format.dense;
    s.cache = read_cache(q, rest);
    add_note(q, rest, said, &s);
    *out = s;
    return true;
}
