/* Quantised checkpoints, by the words of those that make them.
 *
 * Each method says bits and blocks in its own keys; read_method() makes one `scheme` of them. Then
 * each kind of weight is asked whether the scheme holds for it: lists of modules to leave out are
 * matched with the names that a module of this kind has in one family or another, for every layer
 * that has one. */
#include "model/stored.h"

#include <ctype.h>
#include <fnmatch.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/python_json.h"
#include "model/family.h"
#include "model/shape.h"
#include "words/words.h"

enum { NAME_BYTES = 160, PATTERN_BYTES = 512, F32_BITS = 32, F16_BITS = 16 };
/* Of lists of modules; published files have a few hundred names. */
enum { ENTRIES_MAX = 4096, REGEXES_MAX = 64 };

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
        if (get(object, keys[i]))
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

/* What is left out: entries of lists, compiled once, since every layer asks for each. */
struct left_out {
    struct entry {
        const char *text;
        regex_t *regex; /* NULL: the text itself, or a glob */
    } * entries;
    size_t count;
};

static void left_out_done(struct left_out *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].regex) {
            regfree(list->entries[i].regex);
            free(list->entries[i].regex);
        }
    free(list->entries);
}

/* Repeated groups and references back may take for ever, and a config.json comes from strangers. */
static bool is_costly(const char *pattern)
{
    for (; *pattern; pattern++)
        if (*pattern == '{' || (*pattern == '\\' && isdigit((unsigned char)pattern[1])))
            return true;
    return false;
}

/* Python's patterns, as far as they are POSIX's. */
static regex_t *compile(const char *pattern, struct cap_err *err)
{
    regex_t *regex = calloc(1, sizeof *regex);
    char anchored[PATTERN_BYTES];

    if (!regex)
        abort();
    if (!is_costly(pattern) &&
        snprintf(anchored, sizeof anchored, "^(%s)", pattern) < (int)sizeof anchored &&
        regcomp(regex, anchored, REG_EXTENDED | REG_NOSUB) == 0)
        return regex;
    free(regex);
    cap_fail(err, CAP_UNIMPLEMENTED, "the pattern \"%.100s\" is not understood", pattern);
    return NULL;
}

static bool add_entry(struct left_out *io, const char *text, bool is_regex, struct cap_err *err)
{
    struct entry *entry;
    size_t regexes = 0;

    for (size_t i = 0; i < io->count; i++)
        regexes += io->entries[i].regex != NULL;
    if (io->count == ENTRIES_MAX || (is_regex && regexes == REGEXES_MAX))
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "more than %d modules, or %d patterns, are left out of the quantisation",
                        ENTRIES_MAX, REGEXES_MAX);
    entry = &io->entries[io->count];
    *entry = (struct entry){.text = text};
    if (is_regex && !(entry->regex = compile(text, err)))
        return false;
    io->count++;
    return true;
}

/* "re:.*self_attn.*", "model.layers.*.self_attn", "mlp.gate", a whole name. */
static bool add_list(struct left_out *io, const json_t *list, struct cap_err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        bool is_regex = text && strncmp(text, "re:", 3) == 0;

        if (text && !add_entry(io, is_regex ? text + 3 : text, is_regex, err))
            return false;
    }
    return true;
}

/* GPTQ's "dynamic": keys "-:REGEX" are left out. */
static bool add_dynamic(struct left_out *io, const json_t *dynamic, struct cap_err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)dynamic, key, value)
    {
        if (strncmp(key, "-:", 2) == 0 && !add_entry(io, key + 2, true, err))
            return false;
    }
    return true;
}

static bool read_left_out(const json_t *q, struct left_out *out, struct cap_err *err)
{
    static const char *const keys[] = {"modules_to_not_convert", "ignore", "ignored_layers",
                                       "exclude_modules", "llm_int8_skip_modules"};
    const json_t *inner = get(q, "quantization");

    out->entries = calloc(ENTRIES_MAX, sizeof *out->entries);
    if (!out->entries)
        abort();
    for (size_t i = 0; i < CAP_COUNT_OF(keys); i++)
        if (!add_list(out, get(q, keys[i]), err) || !add_list(out, get(inner, keys[i]), err))
            return false;
    return add_dynamic(out, get(q, "dynamic"), err);
}

static bool matches(const struct entry *entry, const char *name)
{
    char glob[NAME_BYTES + 4];

    if (entry->regex)
        return regexec(entry->regex, name, 0, NULL, 0) == 0;
    if (!strchr(entry->text, '*'))
        return has_words(name, entry->text) || has_words(entry->text, name);
    snprintf(glob, sizeof glob, "%.*s*", NAME_BYTES, entry->text);
    return fnmatch(glob, name, 0) == 0;
}

static bool is_left_out(const struct left_out *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (matches(&list->entries[i], name))
            return true;
    return false;
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

static bool layer_left_out(const struct left_out *list, const struct kind *kind, int layer)
{
    char name[NAME_BYTES];

    for (int i = 0; i < NAMES_MAX && kind->names[i]; i++) {
        const char *rest = strstr(kind->names[i], "%d");

        if (rest)
            snprintf(name, sizeof name, "%.*s%d%s", (int)(rest - kind->names[i]), kind->names[i],
                     layer, rest + 2);
        else
            snprintf(name, sizeof name, "%s", kind->names[i]);
        if (is_left_out(list, name))
            return true;
    }
    return false;
}

/* All layers must agree: one precision for each kind is what costs are counted with. */
static bool kind_left_out(const struct left_out *list, const struct kind *kind,
                          const struct cap_model *model, bool *out, struct cap_err *err)
{
    int asked = 0, left_out = 0;

    if (kind->where == OUTSIDE) {
        *out = layer_left_out(list, kind, 0);
        return true;
    }
    for (int i = 0; i < model->layer_count; i++)
        if (has_kind(kind, &model->layers[i])) {
            asked++;
            left_out += layer_left_out(list, kind, i);
        }
    if (left_out > 0 && left_out < asked)
        return cap_fail(err, CAP_UNIMPLEMENTED, "the %s of %d layers of %d are quantised, not all",
                        kind->what, asked - left_out, asked);
    *out = left_out > 0;
    return true;
}

static bool apply(const struct left_out *list, const struct scheme *scheme,
                  const struct cap_model *model, struct cap_cost_format *io, struct cap_err *err)
{
    enum cap_precision *const targets[CAP_COUNT_OF(kinds)] = {
        &io->attention, &io->experts, &io->shared, &io->dense, &io->router, &io->head};

    for (size_t i = 0; i < CAP_COUNT_OF(kinds); i++) {
        bool left_out = false;

        if ((scheme->experts_only && targets[i] != &io->experts) ||
            (!scheme->router && targets[i] == &io->router) ||
            (!scheme->head && targets[i] == &io->head))
            continue;
        if (!kind_left_out(list, &kinds[i], model, &left_out, err))
            return false;
        if (!left_out)
            *targets[i] = scheme->precision;
    }
    io->scales = scheme->scales;
    return true;
}

static bool read_quantised(const json_t *q, const struct cap_model *model,
                           struct cap_cost_format *io, struct cap_err *err)
{
    struct left_out list = {.count = 0};
    struct scheme scheme;
    bool ok = read_method(q, &scheme, err) && read_left_out(q, &list, err) &&
              apply(&list, &scheme, model, io, err);

    left_out_done(&list);
    return ok;
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

    if (!said && !q)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "config.json has no \"torch_dtype\" that is known and no "
                        "\"quantization_config\": say the precision of the weights");
    if (!said)
        rest = CAP_PRECISION_BF16;
    s.format = cap_cost_format_plain(rest);
    if (q && !read_quantised(q, model, &s.format, err))
        return cap_fail_in(err, "quantization_config");
    s.weights = cap_model_moe_layers(model) > 0 ? s.format.experts : s.format.dense;
    s.cache = read_cache(q, rest);
    add_note(q, rest, said, &s);
    *out = s;
    return true;
}

const char *cap_stored_precision(const char *text)
{
    size_t length;
    CAP_AUTO_MEM char *strict = cap_python_json(text, strlen(text), &length);
    json_t *config = json_loadb(strict, length, 0, NULL);
    struct cap_err ignored = {0};
    CAP_AUTO(cap_model) model = config ? cap_shape_model(config, &ignored) : NULL;
    struct cap_stored stored = {.quantised = false};
    const char *word = "";

    if (model && cap_stored_read(config, model, &stored, &ignored))
        word = cap_precision_name(stored.weights);
    json_decref(config);
    return word;
}
