/* model inspect DIR: what a model directory holds, and whether our engine would take it.
 *
 * Everything is gathered as one JSON object, which --json prints; the text is made from it, with
 * every string made plain first. Of a family that our engine does not run, the shape is told as far
 * as its keys are known (model/shape.h). */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/file.h"
#include "model/cost.h"
#include "model/shape.h"
#include "model/weights.h"
#include "offline/offline.h"
#include "text/chat.h"
#include "text/tokenizer.h"
#include "words/words.h"

enum { KV_BYTES = 2, NAMES_SHOWN_MAX = 20, NUMBER_BYTES = 32 };

static const char verb[] = "model inspect";

static const char help[] =
    "usage: moecap model inspect DIR [--json] [--values]\n"
    "\n"
    "Says what a Hugging Face directory holds: family, shapes, parameters in total and active per\n"
    "token, bytes read per token by precision, tokenizer, ignored tensors, problems.\n"
    "\n"
    "  --json     one JSON object instead of text\n"
    "  --values   read every weight and look for NaN and infinity\n"
    "\n"
    "Exit status 0: our engine would load it; 1: it would not, and the problems say why;\n"
    "3: there is no such directory.\n"
    "\n"
    "  moecap model inspect models/moecap-tiny\n";

struct inspection {
    json_t *out, *problems, *notes;
};

static void add_problem(struct inspection *in, struct cap_err *err)
{
    json_array_append_new(in->problems, json_string(err->text));
    cap_err_clear(err);
}

static void add_note(struct inspection *in, const char *text)
{
    json_array_append_new(in->notes, json_string(text));
}

/* ---- the description ---- */

static json_t *describe_rope(const struct cap_rope *rope)
{
    json_t *out =
        json_pack("{s:s, s:f}", "type", cap_rope_kind_name(rope->kind), "theta", rope->theta);

    if (rope->kind != CAP_ROPE_DEFAULT) {
        json_object_set_new(out, "factor", json_real(rope->factor));
        json_object_set_new(out, "original_context", json_integer(rope->original));
    }
    if (rope->kind == CAP_ROPE_YARN)
        json_object_set_new(out, "attention_factor", json_real(rope->attention_factor));
    return out;
}

static json_t *describe_layer(const struct cap_model_layer *layer)
{
    const struct cap_model_attention *a = &layer->attention;
    const struct cap_model_router *r = &layer->router;

    return json_pack("{s:{s:i, s:i, s:i, s:o, s:s, s:b, s:b}, s:o, s:i}", "attention", "heads",
                     a->heads, "kv_heads", a->kv_heads, "head_dim", a->head_dim, "window",
                     a->window ? json_integer(a->window) : json_null(), "qk_norm",
                     a->qk_norm == CAP_QK_NORM_PER_HEAD ? "per_head" : "none", "qkv_bias",
                     a->qkv_bias, "o_bias", a->o_bias, "router",
                     r->kind == CAP_ROUTER_NONE
                         ? json_null()
                         : json_pack("{s:i, s:i, s:b}", "experts", r->experts, "top_k", r->top_k,
                                     "renormalize", r->renormalize),
                     "mlp_inner", layer->mlp.inner);
}

static json_t *describe_parameters(const struct cap_model *model)
{
    struct cap_cost_parameters p;

    cap_cost_parameters(model, &p);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "total",
                     (json_int_t)p.total, "active", (json_int_t)p.active,
                     "active_without_embedding", (json_int_t)p.active_without_embedding,
                     "embedding", (json_int_t)p.embedding, "head", (json_int_t)p.head, "attention",
                     (json_int_t)p.attention, "norms", (json_int_t)p.norms, "biases",
                     (json_int_t)p.biases, "routers", (json_int_t)p.routers, "dense",
                     (json_int_t)p.dense, "experts", (json_int_t)p.experts, "per_expert",
                     (json_int_t)p.per_expert);
}

static json_t *describe_bytes(const struct cap_model *model)
{
    json_t *out = json_object();

    for (int p = 0; p < CAP_PRECISION_COUNT; p++) {
        const char *name = cap_precision_name((enum cap_precision)p);
        struct cap_cost_format format =
            cap_words_has(cap_precision_computed(), name)
                ? cap_cost_format_of((enum cap_precision)p, model->dtype)
                : cap_cost_format_plain((enum cap_precision)p);

        json_object_set_new(
            out, name, json_integer((json_int_t)cap_cost_weight_bytes_per_token(model, &format)));
    }
    return out;
}

static void inspect_model(struct inspection *in, const struct cap_model *model)
{
    json_t *layers = json_array(), *eos = json_array();

    for (int i = 0; i < model->layer_count; i++)
        json_array_append_new(layers, describe_layer(&model->layers[i]));
    for (int i = 0; i < model->eos_count; i++)
        json_array_append_new(eos, json_integer(model->eos_ids[i]));
    json_object_update_new(
        in->out,
        json_pack(
            "{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:I}",
            "family", model->family, "architecture", model->architecture, "dtype",
            cap_dtype_name(model->dtype), "layer_count", model->layer_count, "moe_layer_count",
            cap_model_moe_layers(model), "hidden", model->hidden, "vocabulary", model->vocab,
            "context_max", model->context_max, "tied_embeddings", model->tie_embeddings, "rope",
            describe_rope(&model->rope), "bos_id",
            model->bos_id < 0 ? json_null() : json_integer(model->bos_id), "eos_ids", eos,
            "parameters", describe_parameters(model), "layers", layers, "weight_bytes_per_token",
            describe_bytes(model), "kv_bytes_per_token",
            (json_int_t)cap_cost_kv_bytes_per_token(model, KV_BYTES)));
}

/* ---- the weights ---- */

static void note_ignored(const struct cap_tensor *tensor, void *context)
{
    json_array_append_new(context, json_string(tensor->name));
}

static void inspect_weights(struct inspection *in, const char *dir, const struct cap_model *model,
                            bool values, struct cap_err *err)
{
    CAP_AUTO(cap_tensors) tensors = cap_tensors_open(dir, err);
    json_t *ignored = json_array();

    if (!tensors) {
        json_decref(ignored);
        add_problem(in, err);
        return;
    }
    if (!cap_weights_check(model, tensors, err) ||
        (values && !cap_weights_check_values(model, tensors, err)))
        add_problem(in, err);
    cap_weights_unused(model, tensors, note_ignored, ignored);
    json_object_set_new(in->out, "tensors", json_integer((json_int_t)cap_tensors_count(tensors)));
    json_object_set_new(in->out, "tensor_bytes",
                        json_integer((json_int_t)cap_tensors_bytes(tensors)));
    json_object_set_new(in->out, "ignored_tensors", ignored);
}

/* ---- text in and out ---- */

static void check_ids(struct inspection *in, const struct cap_model *model,
                      const struct infer_tokenizer_facts *facts, struct cap_err *err)
{
    if (facts->ids > (uint32_t)model->vocab) {
        cap_fail(err, CAP_DATA_LOSS,
                 "the tokenizer's files have ids up to %" PRIu32
                 ", but config.json says vocab_size %d",
                 facts->ids - 1, model->vocab);
        add_problem(in, err);
    }
    for (int i = 0; i < model->eos_count; i++)
        if (model->eos_ids[i] >= model->vocab)
            add_note(in, "an eos_token_id lies outside the vocabulary and can never occur");
    if (facts->bytes_without_token > 0)
        add_note(in, "some bytes have no token: the tokenizer drops them");
}

static void inspect_tokenizer(struct inspection *in, const char *dir, const struct cap_model *model,
                              struct cap_err *err)
{
    CAP_AUTO(infer_tokenizer) tokenizer = infer_tokenizer_open(dir, err);
    struct infer_tokenizer_facts f;

    if (!tokenizer) {
        json_object_set_new(in->out, "tokenizer", json_null());
        if (err->code == CAP_NOT_FOUND) {
            add_note(in, "there is no tokenizer.json: only token ids can be given");
            cap_err_clear(err);
        } else {
            add_problem(in, err);
        }
        return;
    }
    infer_tokenizer_describe(tokenizer, &f);
    json_object_set_new(in->out, "tokenizer",
                        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "kind", "byte-level BPE",
                                  "ids", (json_int_t)f.ids, "vocabulary", (json_int_t)f.vocabulary,
                                  "merges", (json_int_t)f.merges, "added", (json_int_t)f.added,
                                  "special", (json_int_t)f.specials, "adds_specials",
                                  f.adds_specials));
    check_ids(in, model, &f, err);
    for (size_t i = 0; i < f.note_count; i++)
        add_note(in, f.notes[i]);
}

static void inspect_chat(struct inspection *in, const char *dir, struct cap_err *err)
{
    CAP_AUTO(infer_chat) chat = infer_chat_open(dir, NULL, err);

    json_object_set_new(in->out, "chat_template",
                        chat && infer_chat_has_template(chat) ? json_string(infer_chat_source(chat))
                                                              : json_null());
    if (!chat)
        add_problem(in, err);
    else if (infer_chat_problem(chat))
        json_array_append_new(in->notes, json_sprintf("%s: this model cannot be used with --chat",
                                                      infer_chat_problem(chat)));
}

/* A number, or null with the reason as a note. */
static void add_known(struct inspection *in, json_t *shape, const char *key,
                      const struct cap_known *known)
{
    json_object_set_new(shape, key, known->value < 0 ? json_null() : json_integer(known->value));
    if (known->value < 0)
        json_array_append_new(in->notes, json_sprintf("%s is unknown: %s", key, known->why));
}

/* Of every family whose widths are known, whether our engine runs it or not. */
static void add_sizes(struct inspection *in, json_t *shape, const char *dir)
{
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = cap_shape_open_model(dir, &err);

    if (model)
        json_object_set_new(shape, "parameters", describe_parameters(model));
    else
        json_array_append_new(in->notes, json_sprintf("parameters are unknown: %s", err.text));
}

static void inspect_shape(struct inspection *in, const char *dir)
{
    struct cap_shape shape;
    struct cap_err err = {0};
    json_t *out, *layers;

    if (!cap_shape_open(dir, &shape, &err))
        return; /* the problem that is there already says why */
    out = json_pack("{s:s, s:i}", "family", shape.family, "layers", shape.layers);
    if (shape.experts.value == 0) {
        json_object_set_new(out, "experts", json_integer(0));
    } else {
        add_known(in, out, "experts", &shape.experts);
        add_known(in, out, "top_k", &shape.top_k);
        add_known(in, out, "moe_layers", &shape.moe_layers);
        if (shape.shared.value >= 0)
            json_object_set_new(out, "shared_experts", json_integer(shape.shared.value));
        layers = shape.moe_layers.value < 0 ? json_null() : json_array();
        for (int i = 0; i < shape.moe_layers.value; i++)
            json_array_append_new(layers, json_integer(shape.moe_layer_ids[i]));
        json_object_set_new(out, "moe_layer_ids", layers);
    }
    add_sizes(in, out, dir);
    json_object_set_new(in->out, "shape", out);
}

static json_t *inspect(const char *dir, bool values)
{
    struct inspection in = {json_object(), json_array(), json_array()};
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = cap_model_open(dir, &err);

    json_object_set_new(in.out, "model", json_string(dir));
    if (model) {
        inspect_model(&in, model);
        inspect_weights(&in, dir, model, values, &err);
        inspect_tokenizer(&in, dir, model, &err);
        inspect_chat(&in, dir, &err);
    } else {
        add_problem(&in, &err);
        inspect_shape(&in, dir);
    }
    json_object_set_new(in.out, "notes", in.notes);
    json_object_set_new(in.out, "problems", in.problems);
    return in.out;
}

/* ---- as text ---- */

static int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* 4452032 -> "4,452,032" */
static const char *grouped(int64_t n, char out[NUMBER_BYTES])
{
    char digits[NUMBER_BYTES];
    int length = snprintf(digits, sizeof digits, "%" PRId64, n), at = 0;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static void print_layers(const json_t *found, FILE *out)
{
    json_t *layers = json_object_get(found, "layers"), *layer;
    const json_t *previous = NULL;
    size_t i;

    json_array_foreach(layers, i, layer)
    {
        const json_t *a = json_object_get(layer, "attention"),
                     *r = json_object_get(layer, "router");

        if (previous && json_equal(layer, previous))
            continue; /* a line for each change */
        fprintf(out, "  from %-4zu %" PRId64 " heads of %" PRId64 ", %" PRId64 " key-value", i,
                number(a, "heads"), number(a, "head_dim"), number(a, "kv_heads"));
        if (json_is_integer(json_object_get(a, "window")))
            fprintf(out, ", window %" PRId64, number(a, "window"));
        if (json_is_true(json_object_get(a, "qkv_bias")))
            fprintf(out, ", bias");
        if (json_is_null(r))
            fprintf(out, "; dense, inner %" PRId64 "\n", number(layer, "mlp_inner"));
        else
            fprintf(out, "; %" PRId64 " experts, top %" PRId64 "%s, inner %" PRId64 "\n",
                    number(r, "experts"), number(r, "top_k"),
                    json_is_true(json_object_get(r, "renormalize")) ? " renormalized" : "",
                    number(layer, "mlp_inner"));
        previous = layer;
    }
}

static void print_description(const json_t *found, FILE *out)
{
    const json_t *p = json_object_get(found, "parameters"), *rope = json_object_get(found, "rope");
    char a[NUMBER_BYTES], b[NUMBER_BYTES], c[NUMBER_BYTES];

    fprintf(out, "family      %s (%s)\n", text(found, "family"), text(found, "architecture"));
    fprintf(out,
            "shape       %" PRId64 " layers (%" PRId64 " with experts), hidden %" PRId64
            ", vocabulary %" PRId64 ", context %" PRId64 "%s\n",
            number(found, "layer_count"), number(found, "moe_layer_count"), number(found, "hidden"),
            number(found, "vocabulary"), number(found, "context_max"),
            json_is_true(json_object_get(found, "tied_embeddings")) ? ", tied embeddings" : "");
    print_layers(found, out);
    fprintf(out, "positions   rope %s, theta %g\n", text(rope, "type"),
            json_number_value(json_object_get(rope, "theta")));
    fprintf(out, "parameters  %s in total, %s active per token (%s without the input embedding)\n",
            grouped(number(p, "total"), a), grouped(number(p, "active"), b),
            grouped(number(p, "active_without_embedding"), c));
}

static void print_bytes(const json_t *found, FILE *out)
{
    json_t *bytes = json_object_get(found, "weight_bytes_per_token"), *value;
    const char *precision;
    char n[NUMBER_BYTES];

    /* f32 and bf16 read the same of a bf16 file */
    fprintf(out, "read        for each decoded token, weights, in the file's %s or narrower:",
            text(found, "dtype"));
    json_object_foreach(bytes, precision, value)
        fprintf(out, "\n  %-10s%15s bytes%s", precision, grouped(json_integer_value(value), n),
                cap_words_has(cap_precision_computed(), precision)
                    ? ""
                    : " (in a server; our engine does not compute in it)");
    fprintf(out, "\n            and %s bytes of keys and values per token of context (16 bits)\n",
            grouped(number(found, "kv_bytes_per_token"), n));
    if (json_object_get(found, "tensors"))
        fprintf(out, "files       %" PRId64 " tensors, %s bytes\n", number(found, "tensors"),
                grouped(number(found, "tensor_bytes"), n));
}

static void print_tokenizer(const json_t *found, FILE *out)
{
    const json_t *t = json_object_get(found, "tokenizer");
    const json_t *template = json_object_get(found, "chat_template");

    if (json_is_object(t))
        fprintf(out,
                "tokenizer   %s, %" PRId64 " entries, %" PRId64 " merges, %" PRId64
                " added (%" PRId64 " special)\n",
                text(t, "kind"), number(t, "vocabulary"), number(t, "merges"), number(t, "added"),
                number(t, "special"));
    fprintf(out, "chat        %s%s\n", json_is_string(template) ? "template of " : "no template",
            json_is_string(template) ? json_string_value(template) : "");
}

static void print_list(const json_t *found, const char *key, const char *title, FILE *out)
{
    const json_t *list = json_object_get(found, key);
    size_t count = json_array_size(list);

    for (size_t i = 0; i < count && i < NAMES_SHOWN_MAX; i++)
        fprintf(out, "%-11s %s\n", title, json_string_value(json_array_get(list, i)));
    if (count > NAMES_SHOWN_MAX)
        fprintf(out, "%-11s and %zu more\n", title, count - NAMES_SHOWN_MAX);
}

static void print_shape(const json_t *found, FILE *out)
{
    static const char *const keys[] = {"experts", "top_k", "shared_experts", "moe_layers"};
    static const char *const words[] = {"experts", "for each token", "shared",
                                        "layers with experts"};
    const json_t *shape = json_object_get(found, "shape");
    const json_t *parameters = json_object_get(shape, "parameters");
    char total[NUMBER_BYTES];

    if (!shape)
        return;
    fprintf(out, "shape       %s, %" PRId64 " layers", text(shape, "family"),
            number(shape, "layers"));
    for (size_t i = 0; i < CAP_COUNT_OF(keys); i++)
        if (json_is_integer(json_object_get(shape, keys[i])))
            fprintf(out, ", %" PRId64 " %s", number(shape, keys[i]), words[i]);
    if (parameters)
        fprintf(out, ", %s parameters", grouped(number(parameters, "total"), total));
    if (parameters)
        fprintf(out, " (%s active)", grouped(number(parameters, "active"), total));
    fputc('\n', out);
}

static void print_text(const json_t *found, FILE *out)
{
    fprintf(out, "model       %s\n", text(found, "model"));
    if (json_object_get(found, "family")) {
        print_description(found, out);
        print_bytes(found, out);
        print_tokenizer(found, out);
    }
    print_shape(found, out);
    if (json_object_get(found, "ignored_tensors") &&
        json_array_size(json_object_get(found, "ignored_tensors")) == 0)
        fprintf(out, "ignored     no tensor\n");
    print_list(found, "ignored_tensors", "ignored", out);
    print_list(found, "notes", "note", out);
    if (json_array_size(json_object_get(found, "problems")) == 0)
        fprintf(out, "problems    none\n");
    print_list(found, "problems", "problem", out);
}

/* ---- the verb ---- */

int infer_cmd_inspect(int argc, char **argv)
{
    const char *dir = NULL;
    bool as_json = infer_says_json(argc, argv), values = false, ok;
    struct cap_err err = {0};
    json_t *found;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--values") == 0) {
            values = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return CAP_EXIT_OK;
        } else if (argv[i][0] != '-' && !dir) {
            dir = argv[i];
        } else if (strcmp(argv[i], "--json") != 0) {
            return infer_say_usage(as_json, verb, help, "\"%s\" is not accepted here", argv[i]);
        }
    if (!dir)
        return infer_say_usage(as_json, verb, help, "a model directory is needed");
    if (!cap_file_exists(dir)) {
        cap_fail(&err, CAP_NOT_FOUND, "there is no \"%s\"", dir);
        infer_say_failure(as_json, verb, &err);
        return CAP_EXIT_REFUSED;
    }
    found = inspect(dir, values);
    if (as_json) {
        infer_say_json(found);
    } else {
        json_t *plain = infer_plain_json(found);

        print_text(plain, stdout);
        json_decref(plain);
    }
    ok = json_array_size(json_object_get(found, "problems")) == 0;
    json_decref(found);
    return ok ? CAP_EXIT_OK : CAP_EXIT_FAILED;
}
