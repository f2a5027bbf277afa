/* model inspect DIR: what a model directory holds, and whether our engine would take it.
 *
 * Everything is gathered as one JSON object, which --json prints; the text is made from it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/file.h"
#include "model/cost.h"
#include "model/weights.h"
#include "offline/inspect_text.h"
#include "offline/offline.h"
#include "text/chat.h"
#include "text/tokenizer.h"

enum { KV_BYTES = 2 };

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
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "total",
                     (json_int_t)p.total, "active", (json_int_t)p.active,
                     "active_without_embedding", (json_int_t)p.active_without_embedding,
                     "embedding", (json_int_t)p.embedding, "head", (json_int_t)p.head, "attention",
                     (json_int_t)p.attention, "norms", (json_int_t)p.norms, "routers",
                     (json_int_t)p.routers, "dense", (json_int_t)p.dense, "experts",
                     (json_int_t)p.experts, "per_expert", (json_int_t)p.per_expert);
}

static json_t *describe_bytes(const struct cap_model *model)
{
    json_t *out = json_object();

    for (int p = 0; p < CAP_PRECISION_COUNT; p++) {
        struct cap_cost_format format = cap_cost_format_of((enum cap_precision)p, model->dtype);

        json_object_set_new(
            out, cap_precision_name((enum cap_precision)p),
            json_integer((json_int_t)cap_cost_weight_bytes_per_token(model, &format)));
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
                 "tokenizer.json has ids up to %" PRIu32 ", but config.json says vocab_size %d",
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
    }
    json_object_set_new(in.out, "notes", in.notes);
    json_object_set_new(in.out, "problems", in.problems);
    return in.out;
}

int infer_cmd_inspect(int argc, char **argv)
{
    const char *dir = NULL;
    bool as_json = false, values = false, ok = true;
    json_t *found;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            as_json = true;
        else if (strcmp(argv[i], "--values") == 0)
            values = true;
        else if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return CAP_EXIT_OK;
        } else if (argv[i][0] == '-' || dir)
            ok = false;
        else
            dir = argv[i];
    if (!ok || !dir) {
        fputs(help, stderr);
        return CAP_EXIT_USAGE;
    }
    if (!cap_file_exists(dir)) {
        fprintf(stderr, "moecap model inspect: there is no \"%s\"\n", dir);
        return CAP_EXIT_REFUSED;
    }
    found = inspect(dir, values);
    if (as_json) {
        json_dumpf(found, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        infer_inspect_print(found, stdout);
    }
    ok = json_array_size(json_object_get(found, "problems")) == 0;
    json_decref(found);
    return ok ? CAP_EXIT_OK : CAP_EXIT_FAILED;
}
