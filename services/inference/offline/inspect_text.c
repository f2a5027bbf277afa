#include "offline/inspect_text.h"

#include <inttypes.h>
#include <stdint.h>
#include <string.h>

enum { NAMES_SHOWN_MAX = 20, NUMBER_BYTES = 32 };

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

    fprintf(out, "read        for each decoded token, weights:");
    json_object_foreach(bytes, precision, value)
        fprintf(out, "\n  %-10s%15s bytes", precision, grouped(json_integer_value(value), n));
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

void infer_inspect_print(const json_t *found, FILE *out)
{
    fprintf(out, "model       %s\n", text(found, "model"));
    if (json_object_get(found, "family")) {
        print_description(found, out);
        print_bytes(found, out);
        print_tokenizer(found, out);
    }
    if (json_object_get(found, "ignored_tensors") &&
        json_array_size(json_object_get(found, "ignored_tensors")) == 0)
        fprintf(out, "ignored     no tensor\n");
    print_list(found, "ignored_tensors", "ignored", out);
    print_list(found, "notes", "note", out);
    if (json_array_size(json_object_get(found, "problems")) == 0)
        fprintf(out, "problems    none\n");
    print_list(found, "problems", "problem", out);
}
