/* How config.json files tell which layers have experts, and how many.
 *
 * There is no common form. What is known is in tables: the spellings of each number; the lists that
 * name every layer with experts; the rules that say it in numbers ("every n-th", "from the k-th
 * on"). A layer has experts when all rules of the file say so; where a list names the layers, the
 * rules of the same file must agree with it. A key that looks like such a rule and is in no table
 * makes the layers unknown, since the model's code may follow it.
 *
 * Some families have no key because all their layers have experts; they are in a table, too. Of a
 * family in no table, a file without any rule tells nothing about its layers.
 *
 * Where the keys come from: the configuration classes of HF Transformers and of the models' own
 * repositories, by family, in the comments beside the tables.
 */
#include "model/shape.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/utf8.h"
#include "model/family.h"

static void set_unknown(struct cap_known *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void set_unknown(struct cap_known *out, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(out->why, sizeof out->why, fmt, args);
    va_end(args);
    cap_utf8_tidy(out->why);
    out->value = -1;
}

/* NULL for a key that is absent or null. */
static const json_t *find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

/* ---- how many ---- */

static const char *const experts_keys[] = {
    "num_experts",             /* Qwen, OLMoE, Jamba, Hunyuan, Ling, Gemma 4, LFM2, Kimi-Linear */
    "n_routed_experts",        /* DeepSeek, Kimi-K2, GLM, dots, MiMo, Nemotron, LongCat */
    "num_local_experts",       /* Mixtral, gpt-oss, Llama 4, Granite, Phi, MiniMax, Grok, Arctic */
    "moe_num_experts",         /* ERNIE, Step, DBRX, Aria */
    "moe_num_primary_experts", /* SmallThinker */
    "num_routed_experts",
    NULL};
static const char *const top_k_keys[] = {"num_experts_per_tok",
                                         "num_experts_per_token",
                                         "experts_per_token",
                                         "moe_topk",      /* Hunyuan, LongCat, Aria */
                                         "moe_top_k",     /* Step, DBRX */
                                         "moe_k",         /* ERNIE */
                                         "top_k_experts", /* Gemma 4 */
                                         "moe_num_active_primary_experts", /* SmallThinker */
                                         "num_selected_experts",
                                         NULL};
static const char *const shared_keys[] = {"n_shared_experts", "num_shared_experts",
                                          "moe_num_shared_experts", "num_shared_expert", NULL};
/* One shared expert, whose width is given. */
static const char *const shared_width_keys[] = {
    "shared_expert_intermediate_size",     /* Qwen */
    "moe_shared_expert_intermediate_size", /* Nemotron */
    "shared_intermediate_size",            /* Granite, MiniMax */
    "share_expert_dim",                    /* Step */
    NULL};

/* One number for all layers: a number, or a list that has the same one for each layer. */
static bool one_number(const json_t *value, int layers, int *out)
{
    const json_t *first = json_is_array(value) ? json_array_get(value, 0) : value;
    json_int_t number = json_integer_value(first);

    if (!json_is_integer(first) || number < 0 || number > INT_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_integer_value(json_array_get(value, i)) != number)
            return false;
    if (json_is_array(value) && json_array_size(value) != (size_t)layers)
        return false;
    *out = (int)number;
    return true;
}

/* The number that one of the keys gives. Several spellings in one file must agree. */
static void read_number(const json_t *config, const char *const *keys, int layers,
                        struct cap_known *out)
{
    const char *from = NULL;

    set_unknown(out, "config.json has no \"%s\" nor another key for it", keys[0]);
    for (; *keys; keys++) {
        const json_t *value = find(config, *keys);
        int number;

        if (!value)
            continue;
        if (!one_number(value, layers, &number)) {
            set_unknown(out,
                        json_is_array(value)
                            ? "\"%s\" is a list, and not of one number for every layer"
                            : "\"%s\" is not a count",
                        *keys);
            return;
        }
        if (from && number != out->value) {
            set_unknown(out, "\"%s\" and \"%s\" disagree", from, *keys);
            return;
        }
        from = *keys;
        out->value = number;
    }
}

/* ---- which layers: lists that name them ---- */

enum { NO, YES, BAD };

static int is_word(const json_t *item, const char *yes, const char *const *no)
{
    const char *word = json_string_value(item);

    if (word && strcmp(word, yes) == 0)
        return YES;
    for (; word && *no; no++)
        if (strcmp(word, *no) == 0)
            return NO;
    return BAD;
}

/* "sparse" or "dense": Transformers 5 writes it for GLM, EXAONE, Laguna and others. */
static int is_sparse_word(const json_t *item)
{
    return is_word(item, "sparse", (const char *const[]){"dense", NULL});
}

/* Nemotron-H in the spelling of Transformers 5; the older names of the parts are read, too. */
static int is_moe_block(const json_t *item)
{
    return is_word(item, "moe",
                   (const char *const[]){"linear_attention", "full_attention", "mamba", "attention",
                                         "mlp", NULL});
}

/* 0 or 1, true or false: MiMo's moe_layer_freq, EXAONE's is_moe_layer. */
static int is_one(const json_t *item)
{
    if (json_is_boolean(item))
        return json_is_true(item) ? YES : NO;
    if (!json_is_integer(item) || json_integer_value(item) < 0 || json_integer_value(item) > 1)
        return BAD;
    return json_integer_value(item) == 1 ? YES : NO;
}

/* What a file says of its layers: `has` by a list, or by the rules. */
struct layers {
    int count;
    bool has[CAP_MODEL_LAYERS_MAX];
    const char *from; /* the key of the list or of the last rule; NULL = nothing is said */
};

/* A list with one item for each layer. */
static bool read_flags(const char *key, const json_t *list, int (*judge)(const json_t *item),
                       struct layers *out, struct cap_known *why)
{
    size_t count = json_array_size(list);

    if (count != (size_t)out->count) {
        set_unknown(why, "\"%s\" has %zu items, the model %d layers", key, count, out->count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        int answer = judge(json_array_get(list, i));

        if (answer == BAD) {
            set_unknown(why, "item %zu of \"%s\" is not understood", i, key);
            return false;
        }
        out->has[i] = answer == YES;
    }
    return true;
}

/* Nemotron-H: one letter for each layer, E = experts. */
static bool read_pattern(const char *key, const json_t *value, struct layers *out,
                         struct cap_known *why)
{
    const char *pattern = json_string_value(value);

    if (strlen(pattern) != (size_t)out->count || strspn(pattern, "ME*-") != strlen(pattern)) {
        set_unknown(why, "\"%s\" is not one of M, E, * and - for each of %d layers", key,
                    out->count);
        return false;
    }
    for (int i = 0; i < out->count; i++)
        out->has[i] = pattern[i] == 'E';
    return true;
}

static bool add_layer(const char *key, json_int_t layer, struct layers *out, struct cap_known *why)
{
    if (layer < 0 || layer >= out->count) {
        set_unknown(why, "\"%s\" names layer %lld of %d", key, (long long)layer, out->count);
        return false;
    }
    out->has[layer] = true;
    return true;
}

/* Llama 4: the numbers of the layers with experts. */
static bool read_numbers(const char *key, const json_t *list, struct layers *out,
                         struct cap_known *why)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_integer(item)) {
            set_unknown(why, "item %zu of \"%s\" is not understood", i, key);
            return false;
        }
        if (!add_layer(key, json_integer_value(item), out, why))
            return false;
    }
    return true;
}

/* Step: the same as text, "4,5,6". */
static bool read_numbers_text(const char *key, const json_t *value, struct layers *out,
                              struct cap_known *why)
{
    const char *at = json_string_value(value);

    while (*at) {
        char *end;
        long layer = strtol(at, &end, 10);

        if (end == at || (*end && *end != ',')) {
            set_unknown(why, "\"%s\" is not a list of layers", key);
            return false;
        }
        if (!add_layer(key, layer, out, why))
            return false;
        at = *end ? end + 1 : end;
    }
    return true;
}

/* False: it could not be understood, and `why` says so. `out->from` tells whether there was one. */
static bool read_list(const json_t *config, const char *key, struct layers *out,
                      struct cap_known *why)
{
    const json_t *value = find(config, key);

    if (json_is_string(value)) {
        out->from = key;
        return strcmp(key, "hybrid_override_pattern") == 0
                   ? read_pattern(key, value, out, why)
                   : read_numbers_text(key, value, out, why);
    }
    if (!json_is_array(value))
        return true; /* moe_layer_freq may be a number: then it is a rule */
    out->from = key;
    if (strcmp(key, "mlp_layer_types") == 0)
        return read_flags(key, value, is_sparse_word, out, why);
    if (strcmp(key, "layers_block_type") == 0)
        return read_flags(key, value, is_moe_block, out, why);
    if (strncmp(key, "moe_layers", 10) == 0)
        return read_numbers(key, value, out, why);
    return read_flags(key, value, is_one, out, why);
}

static const char *const list_keys[] = {
    "moe_layers",              /* Llama 4 */
    "moe_layers_enum",         /* Step */
    "mlp_layer_types",         /* Transformers 5 */
    "is_moe_layer",            /* EXAONE */
    "moe_layer_layout",        /* SmallThinker */
    "moe_layer_freq",          /* MiMo; a number in DeepSeek */
    "hybrid_override_pattern", /* Nemotron-H */
    "layers_block_type",       /* the same in Transformers 5 */
};

/* ---- which layers: rules in numbers ---- */

static bool every_nth(int layer, int n)
{
    return (layer + 1) % n == 0;
}

static bool every_nth_from_first(int layer, int n)
{
    return layer % n == 0;
}

static bool from(int layer, int first)
{
    return layer >= first;
}

static bool up_to(int layer, int last)
{
    return layer <= last;
}

static const struct rule {
    const char *key;
    bool (*holds)(int layer, int value);
    int min;            /* a smaller value is not understood */
    const char *beside; /* without it the file is not whole: the code has a default of its own */
} rules[] = {
    {"decoder_sparse_step", every_nth, 1, NULL},                   /* Qwen */
    {"interleave_moe_layer_step", every_nth, 1, NULL},             /* Llama 4 */
    {"moe_layer_frequency", every_nth, 1, NULL},                   /* Arctic */
    {"moe_layer_interval", every_nth, 1, "moe_layer_start_index"}, /* ERNIE, with the next two */
    {"moe_layer_start_index", from, 0, "moe_layer_interval"},
    {"moe_layer_end_index", up_to, 0, NULL},  /* -1: to the last; see below */
    {"first_k_dense_replace", from, 0, NULL}, /* DeepSeek, Kimi, GLM, dots, Ling */
    {"moe_layer_freq", every_nth_from_first, 1, "first_k_dense_replace"}, /* the same */
    {"num_dense_layers", from, 0, NULL},                                  /* LFM2, AFMoE */
    {"moe_layer_num_skipped", from, 0, NULL},                             /* Hunyuan */
};

static void narrow(struct layers *out, bool (*holds)(int layer, int value), int value)
{
    for (int i = 0; i < out->count; i++)
        out->has[i] = out->has[i] && holds(i, value);
}

/* Qwen: the layers without experts, whatever the step says. */
static bool read_dense_list(const json_t *config, struct layers *out, struct cap_known *why)
{
    const json_t *list = find(config, "mlp_only_layers");

    if (list && !json_is_array(list)) {
        set_unknown(why, "\"mlp_only_layers\" is not a list");
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t layer = json_integer_value(json_array_get(list, i));

        if (!json_is_integer(json_array_get(list, i)) || layer < 0) {
            set_unknown(why, "\"mlp_only_layers\" holds something that is not a layer number");
            return false;
        }
        if (layer < out->count)
            out->has[layer] = false;
    }
    if (list)
        out->from = "mlp_only_layers";
    return true;
}

/* Jamba: every period-th, counted from the offset. */
static bool read_period(const json_t *config, struct layers *out, struct cap_known *why)
{
    const json_t *period = find(config, "expert_layer_period"),
                 *offset = find(config, "expert_layer_offset");
    json_int_t n = json_integer_value(period), first = json_integer_value(offset);

    if (!period && !offset)
        return true;
    if (!json_is_integer(period) || !json_is_integer(offset) || n < 1 || first < 0) {
        set_unknown(why, "\"expert_layer_period\" and \"expert_layer_offset\" are not both counts");
        return false;
    }
    for (int i = 0; i < out->count; i++)
        out->has[i] = out->has[i] && i % n == first % n;
    out->from = "expert_layer_period";
    return true;
}

static bool read_rules(const json_t *config, struct layers *out, struct cap_known *why)
{
    for (int i = 0; i < out->count; i++)
        out->has[i] = true;
    for (size_t i = 0; i < CAP_COUNT_OF(rules); i++) {
        const json_t *value = find(config, rules[i].key);
        json_int_t number = json_integer_value(value);

        if (!value || (json_is_array(value) && strcmp(rules[i].key, "moe_layer_freq") == 0))
            continue;
        if (rules[i].holds == up_to && json_is_integer(value) && number == -1)
            number = out->count - 1; /* ERNIE counts it from the end */
        if (!json_is_integer(value) || number < rules[i].min || number > INT_MAX) {
            set_unknown(why, "\"%s\" is not understood", rules[i].key);
            return false;
        }
        if (rules[i].beside && !find(config, rules[i].beside)) {
            set_unknown(why, "\"%s\" is missing, although \"%s\" is there", rules[i].beside,
                        rules[i].key);
            return false;
        }
        narrow(out, rules[i].holds, (int)number);
        out->from = rules[i].key;
    }
    return read_dense_list(config, out, why) && read_period(config, out, why);
}

/* ---- which layers: families whose code has no rule, or has one with a default ---- */

static const char *const all_layers_families[] = {
    "mixtral", "olmoe", "flex_olmo", "gpt_oss", "granitemoe", "granitemoeshared",
    "granitemoehybrid", "phimoe", "jetmoe", "dbrx", "aria_text", "longcat_flash", "grok-1",
    "minimax", "minimax_text_01", "minimax_m1", "minimax_m2", "hunyuan", "hunyuan_v1_moe", "gemma4",
    "gemma4_text",
    /* every layer, unless decoder_sparse_step or mlp_only_layers say otherwise */
    "qwen2_moe", "qwen3_moe", "qwen3_next", "qwen3_vl_moe_text", "qwen3_omni_moe_text",
    "qwen3_5_moe", "qwen3_5_moe_text",
    /* every layer, unless moe_layers or interleave_moe_layer_step say otherwise */
    "llama4_text"};
/* Files of xAI have had other model types. */
static const char *const all_layers_architectures[] = {"Grok1ForCausalLM", "Grok1ModelForCausalLM"};

static bool has_all_layers(const json_t *whole, const json_t *config)
{
    const char *type = json_string_value(find(config, "model_type"));
    const char *name = json_string_value(json_array_get(find(whole, "architectures"), 0));

    for (size_t i = 0; type && i < CAP_COUNT_OF(all_layers_families); i++)
        if (strcmp(type, all_layers_families[i]) == 0)
            return true;
    for (size_t i = 0; name && i < CAP_COUNT_OF(all_layers_architectures); i++)
        if (strcmp(name, all_layers_architectures[i]) == 0)
            return true;
    return false;
}

static bool holds_any(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strstr(text, *words))
            return true;
    return false;
}

static bool is_known_rule(const char *key)
{
    for (size_t i = 0; i < CAP_COUNT_OF(rules); i++)
        if (strcmp(key, rules[i].key) == 0)
            return true;
    for (size_t i = 0; i < CAP_COUNT_OF(list_keys); i++)
        if (strcmp(key, list_keys[i]) == 0)
            return true;
    return strcmp(key, "mlp_only_layers") == 0 || strncmp(key, "expert_layer_", 13) == 0;
}

/* A key that seems to choose layers and is in no table; NULL = none. */
static const char *strange_rule(const json_t *config)
{
    static const char *const experts[] = {"moe", "expert", "sparse", "dense", NULL};
    static const char *const layers[] = {"layer",   "step",   "freq",  "period",   "interval",
                                         "every",   "skip",   "start", "_end",     "replace",
                                         "pattern", "offset", "first", "last",     "only",
                                         "stride",  "_idx",   "index", "schedule", NULL};
    static const char *const others[] = {"attention", "attn",  "fake_token", "recompute",
                                         "mtp",       "nextn", NULL};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)config, key, value)
    {
        if (json_is_boolean(value) || json_is_null(value) || json_is_object(value) ||
            json_is_real(value))
            continue;
        if (holds_any(key, experts) && holds_any(key, layers) && !holds_any(key, others) &&
            !is_known_rule(key))
            return key;
    }
    return NULL;
}

/* ---- which layers: all of it ---- */

/* The lists of the file into `out`; false when one is not understood or two disagree. */
static bool read_lists(const json_t *config, struct layers *out, struct cap_known *why)
{
    for (size_t i = 0; i < CAP_COUNT_OF(list_keys); i++) {
        struct layers one = {.count = out->count};

        if (!read_list(config, list_keys[i], &one, why))
            return false;
        if (one.from && out->from && memcmp(one.has, out->has, sizeof one.has) != 0) {
            set_unknown(why, "\"%s\" and \"%s\" disagree about the layers with experts", out->from,
                        one.from);
            return false;
        }
        if (one.from)
            *out = one;
    }
    return true;
}

static void read_layers(const json_t *whole, const json_t *config, struct cap_shape *out)
{
    struct cap_known *why = &out->moe_layers;
    struct layers listed = {.count = out->layers}, ruled = {.count = out->layers};
    const char *strange = strange_rule(config);

    if (!read_lists(config, &listed, why) || !read_rules(config, &ruled, why))
        return;
    if (!listed.from && strange) {
        set_unknown(why, "\"%.60s\" is not understood, and it may say which layers have experts",
                    strange);
        return;
    }
    if (!listed.from && !ruled.from && !has_all_layers(whole, config)) {
        set_unknown(why,
                    "nothing in config.json says which layers have experts, and the family "
                    "\"%s\" is not known",
                    out->family);
        return;
    }
    if (listed.from && ruled.from && memcmp(listed.has, ruled.has, sizeof listed.has) != 0) {
        set_unknown(why, "\"%s\" and \"%s\" disagree about the layers with experts", listed.from,
                    ruled.from);
        return;
    }
    why->value = 0;
    for (int i = 0; i < out->layers; i++)
        if ((listed.from ? listed : ruled).has[i])
            out->moe_layer_ids[why->value++] = i;
}

/* ---- the whole ---- */

/* No experts: no key speaks of them, or one switches them off. */
static bool is_dense(const json_t *config, const struct cap_known *experts)
{
    const char *key;
    json_t *value;

    if (json_is_false(find(config, "use_moe")) || json_is_false(find(config, "enable_moe_block")))
        return true;
    if (experts->value >= 0)
        return experts->value == 0;
    json_object_foreach((json_t *)config, key, value)
    {
        if ((strstr(key, "expert") || strstr(key, "moe")) && !json_is_null(value))
            return false;
    }
    return true;
}

static void read_shared(const json_t *config, struct cap_shape *out)
{
    read_number(config, shared_keys, out->layers, &out->shared);
    for (size_t i = 0; shared_keys[i]; i++)
        out->shared_said |= find(config, shared_keys[i]) != NULL;
    for (size_t i = 0; shared_width_keys[i]; i++)
        if (out->shared.value < 0 && json_is_integer(find(config, shared_width_keys[i])))
            out->shared.value = json_integer_value(find(config, shared_width_keys[i])) > 0;
}

/* LongCat: some of the chosen experts compute nothing, another number for each token. */
static void refuse_zero_experts(const json_t *config, struct cap_shape *out)
{
    json_int_t zero = json_integer_value(find(config, "zero_expert_num"));

    if (zero > 0 && out->top_k.value >= 0)
        set_unknown(&out->top_k,
                    "%d are chosen for each token, but %lld of the choices compute nothing "
                    "(\"zero_expert_num\"): how many do differs from token to token",
                    out->top_k.value, (long long)zero);
}

static bool read_counts(const json_t *config, int *out_layers, int *out_context,
                        struct cap_err *err)
{
    /* num_layers is LongCat's: its num_hidden_layers, where there is one, counts halves */
    static const char *const layer_keys[] = {"num_hidden_layers", "n_layers", "num_layers"};
    static const char *const context_keys[] = {"max_position_embeddings", "max_seq_len"};
    const char *type = json_string_value(find(config, "model_type"));
    bool halves = type && strcmp(type, "longcat_flash") == 0;

    *out_layers = *out_context = 0;
    for (size_t i = halves ? 2 : 0; *out_layers == 0 && i < CAP_COUNT_OF(layer_keys); i++)
        if (find(config, layer_keys[i]) && !one_number(find(config, layer_keys[i]), 0, out_layers))
            break;
    for (size_t i = 0; *out_context == 0 && i < CAP_COUNT_OF(context_keys); i++)
        one_number(find(config, context_keys[i]), 0, out_context);
    return (*out_layers >= 1 && *out_layers <= CAP_MODEL_LAYERS_MAX) ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "\"num_hidden_layers\" is not a number from 1 to %d",
                    CAP_MODEL_LAYERS_MAX);
}

const json_t *cap_shape_text_config(const json_t *config)
{
    static const char *const keys[] = {"text_config", "language_config", "llm_config"};
    const json_t *thinker = find(config, "thinker_config");

    for (size_t i = 0; i < CAP_COUNT_OF(keys); i++)
        if (json_is_object(find(config, keys[i])))
            return find(config, keys[i]);
    return json_is_object(thinker) ? cap_shape_text_config(thinker) : config;
}

bool cap_shape_open(const char *dir, struct cap_shape *out, struct cap_err *err)
{
    json_t *config = cap_keys_read_file(dir, "config.json", err);
    bool ok = config && (cap_shape_read(config, out, err) || cap_fail_in(err, "config.json"));

    json_decref(config);
    return ok;
}

bool cap_shape_read(const json_t *whole, struct cap_shape *out, struct cap_err *err)
{
    const json_t *config = cap_shape_text_config(whole);
    const json_t *part =
        json_is_object(find(config, "ffn_config")) ? find(config, "ffn_config") : config; /* DBRX */
    const char *family = json_string_value(find(config, "model_type"));

    *out = (struct cap_shape){.context_max = 0};
    if (!family)
        family = json_string_value(find(whole, "model_type"));
    snprintf(out->family, sizeof out->family, "%s", family ? family : "");
    cap_utf8_tidy(out->family);
    if (!read_counts(config, &out->layers, &out->context_max, err))
        return false;
    read_number(part, experts_keys, out->layers, &out->experts);
    if (is_dense(part, &out->experts)) {
        out->experts = out->top_k = out->shared = out->moe_layers = (struct cap_known){.value = 0};
        return true;
    }
    read_number(part, top_k_keys, out->layers, &out->top_k);
    if (out->experts.value > CAP_SHAPE_EXPERTS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d experts are more than %d",
                        out->experts.value, CAP_SHAPE_EXPERTS_MAX);
    if (out->top_k.value > CAP_SHAPE_EXPERTS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d experts a token are more than %d",
                        out->top_k.value, CAP_SHAPE_EXPERTS_MAX);
    if (out->experts.value >= 0 && out->top_k.value > out->experts.value)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d experts a token are more than all %d",
                        out->top_k.value, out->experts.value);
    if (out->top_k.value == 0)
        set_unknown(&out->top_k, "config.json says 0 experts a token");
    read_shared(part, out);
    refuse_zero_experts(part, out);
    read_layers(whole, config, out);
    return true;
}
