/* Writes small checkpoints into a folder of the test's own: safetensors files with a header and data that
 * fit, so that a test can break one thing in them. */
#include "checkpoint.h"

#include <assert.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/weights.h"

static size_t element_bytes(const char *dtype)
{
    return cap_dtype_bytes(cap_dtype_from_name(dtype));
}

/* Offsets anew, in the header's order, and data of small numbers to match. */
static void lay_out(struct checkpoint *c)
{
    const char *name;
    json_t *entry, *size;
    size_t at = 0, i;

    json_object_foreach(c->header, name, entry)
    {
        size_t bytes = element_bytes(json_string_value(json_object_get(entry, "dtype")));

        json_array_foreach(json_object_get(entry, "shape"), i, size) bytes *=
            (size_t)json_integer_value(size);
        json_object_set_new(entry, "data_offsets",
                            json_pack("[I, I]", (json_int_t)at, (json_int_t)(at + bytes)));
        at += bytes;
    }
    free(c->data);
    c->data = calloc(1, at + 1);
    c->bytes = at;
    assert(c->data);
    for (i = 0; i + 1 < at; i += 2)
        c->data[i + 1] = 0x3f; /* 0.5 in bf16 */
}

void checkpoint_add(struct checkpoint *c, const char *name, const char *dtype, json_t *shape)
{
    json_object_set_new(c->header, name, json_pack("{s:s, s:o}", "dtype", dtype, "shape", shape));
    lay_out(c);
}

static void add_weight(struct checkpoint *c, const struct cap_model *model, enum cap_weight w,
                       int layer, int expert)
{
    char name[CAP_WEIGHTS_NAME_BYTES];
    int64_t rows, columns;

    if (!cap_weights_shape(model, w, layer, &rows, &columns))
        return;
    json_object_set_new(
        c->header, cap_weights_name(model, w, layer, expert, name),
        json_pack("{s:s, s:o}", "dtype", "BF16", "shape",
                  columns == 1 ? json_pack("[I]", (json_int_t)rows)
                               : json_pack("[I, I]", (json_int_t)rows, (json_int_t)columns)));
}

static void add_all_weights(struct checkpoint *c, const struct cap_model *model)
{
    for (enum cap_weight w = 0; w < CAP_WEIGHT_COUNT; w++) {
        bool of_expert = w >= CAP_WEIGHT_EXPERT_GATE, of_model = w <= CAP_WEIGHT_LM_HEAD;

        if (w == CAP_WEIGHT_LM_HEAD && model->tie_embeddings)
            continue;
        for (int layer = 0; layer < (of_model ? 1 : model->layer_count); layer++)
            for (int e = 0; e < (of_expert ? model->layers[layer].router.experts : 1); e++)
                add_weight(c, model, w, layer, e);
    }
}

void checkpoint_make(struct checkpoint *c)
{
    struct cap_err err = {0};

    *c = (struct checkpoint){.dir = "/tmp/moecap-checkpoint-XXXXXX",
                             .header_length = -1,
                             .file_bytes = -1,
                             .tensor_file = "model.safetensors"};
    if (!mkdtemp(c->dir))
        abort();
    c->config = json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "model_type", "qwen3_moe",
        "num_hidden_layers", 2, "hidden_size", 8, "vocab_size", 16, "num_attention_heads", 2,
        "num_key_value_heads", 1, "head_dim", 4, "num_experts", 3, "num_experts_per_tok", 2,
        "moe_intermediate_size", 4, "intermediate_size", 12, "max_position_embeddings", 64);
    c->header = json_object();
    CAP_AUTO(cap_model) model = cap_model_parse(c->config, NULL, &err);

    assert(model);
    add_all_weights(c, model);
    lay_out(c);
}

void checkpoint_reshape(struct checkpoint *c, const char *name, json_t *shape)
{
    json_object_set_new(json_object_get(c->header, name), "shape", shape);
    lay_out(c);
}

void checkpoint_drop(struct checkpoint *c, const char *name)
{
    json_object_del(c->header, name);
    lay_out(c);
}

static FILE *create(const struct checkpoint *c, const char *name)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", c->dir, name);
    file = fopen(path, "wb");
    assert(file);
    return file;
}

void checkpoint_put(const struct checkpoint *c, const char *name, const char *text)
{
    FILE *file = create(c, name);

    fputs(text, file);
    fclose(file);
}

static void write_tensors(const struct checkpoint *c)
{
    char *dumped = json_dumps(c->header, JSON_COMPACT);
    const char *header = c->header_text ? c->header_text : dumped;
    uint64_t length = c->header_length >= 0 ? (uint64_t)c->header_length : strlen(header);
    FILE *file = create(c, c->tensor_file);

    for (int i = 0; i < 8; i++)
        fputc((int)(length >> 8 * i & 0xff), file);
    fwrite(header, 1, strlen(header), file);
    fwrite(c->data, 1, c->bytes, file);
    fflush(file);
    if (c->file_bytes >= 0 && ftruncate(fileno(file), c->file_bytes) != 0)
        abort();
    fclose(file);
    free(dumped);
}

void checkpoint_write(const struct checkpoint *c)
{
    char *config = json_dumps(c->config, 0);

    checkpoint_put(c, "config.json", config);
    write_tensors(c);
    free(config);
}

void checkpoint_done(struct checkpoint *c)
{
    DIR *dir = opendir(c->dir);
    struct dirent *entry;
    char path[512];

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", c->dir, entry->d_name);
            unlink(path);
        }
    if (dir)
        closedir(dir);
    rmdir(c->dir);
    json_decref(c->config);
    json_decref(c->header);
    free(c->data);
}
