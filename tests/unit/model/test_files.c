/* Checkpoint files: sound ones in every layout, and every way of being broken with its sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "checkpoint.h"
#include "model/weights.h"

static bool load(const char *dir, struct cap_err *err)
{
    CAP_AUTO(cap_model) model = cap_model_open(dir, err);
    CAP_AUTO(cap_tensors) tensors = model ? cap_tensors_open(dir, err) : NULL;

    return tensors && cap_weights_check(model, tensors, err) &&
           cap_weights_check_values(model, tensors, err);
}

/* Writes the checkpoint, and expects the sentence; NULL: that it loads. */
static void expect(struct checkpoint *c, const char *sentence)
{
    struct cap_err err = {0};
    bool ok;

    checkpoint_write(c);
    ok = load(c->dir, &err);
    if (!sentence && !ok)
        fail_msg("%s", err.text);
    if (sentence && ok)
        fail_msg("loaded; expected \"%s\"", sentence);
    if (sentence && !strstr(err.text, sentence))
        fail_msg("wanted \"%s\", got \"%s\"", sentence, err.text);
    checkpoint_done(c);
}

static void sound_checkpoint_loads(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    expect(&c, NULL);
}

static void missing_tensor_is_named(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    checkpoint_drop(&c, "model.norm.weight");
    expect(&c, "model.safetensors\": tensor \"model.norm.weight\" [8] is missing");
    checkpoint_make(&c);
    checkpoint_drop(&c, "model.layers.1.mlp.experts.2.up_proj.weight");
    expect(&c, "tensor \"model.layers.1.mlp.experts.2.up_proj.weight\" [4, 8] is missing, and so "
               "is \"model.layers.1.mlp.experts.gate_up_proj\", which could hold it");
}

static void wrong_shape_names_expected_and_found(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    checkpoint_reshape(&c, "model.layers.0.self_attn.q_proj.weight", json_pack("[i, i]", 8, 7));
    expect(&c, "tensor \"model.layers.0.self_attn.q_proj.weight\" has shape [8, 7], but "
               "config.json asks for [8, 8]");
    checkpoint_make(&c);
    checkpoint_reshape(&c, "lm_head.weight", json_pack("[i]", 128));
    expect(&c, "tensor \"lm_head.weight\" has shape [128], but config.json asks for [16, 8]");
}

static void other_dtype_is_refused(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    checkpoint_add(&c, "lm_head.weight", "F8_E4M3", json_pack("[i, i]", 16, 8));
    expect(&c, "tensor \"lm_head.weight\" is stored in F8_E4M3, supported: F32, F16, BF16");
    checkpoint_make(&c);
    checkpoint_add(&c, "lm_head.weight", "F32", json_pack("[i, i]", 16, 8));
    expect(&c, NULL);
    checkpoint_make(&c);
    json_object_set_new(json_object_get(c.header, "lm_head.weight"), "dtype", json_string("Q4"));
    expect(&c, "tensor \"lm_head.weight\": dtype \"Q4\" is not known");
}

static void truncated_file_is_refused(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    c.file_bytes = 3;
    expect(&c, "it has 3 bytes, too few for a header");
    checkpoint_make(&c);
    c.file_bytes = 1000;
    expect(&c, "but the file has 1000: it is truncated or not a safetensors file");
    checkpoint_make(&c);
    char *text = json_dumps(c.header, JSON_COMPACT);
    c.file_bytes = (long long)(8 + strlen(text) + c.bytes - 10);
    free(text);
    expect(&c, "it is truncated or damaged");
}

static void absurd_header_length_is_refused(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    c.header_length = 2147483648LL;
    expect(&c, "its header claims 2147483648 bytes, more than the limit of 33554432");
    checkpoint_make(&c);
    c.header_length = 30000000LL;
    expect(&c, "its header claims 30000000 bytes, but the file has");
    checkpoint_make(&c);
    c.header_length = 0;
    expect(&c, "the header is not JSON");
}

static void header_that_is_no_header_is_refused(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"[]", "the header is not a JSON object"},
        {"{\"a\": 1}", "tensor \"a\": its description is not an object"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, \"a\": {}}",
         "duplicate object key"},
        {"{\"\xff\": {}}", "the header is not JSON"},
        {"{\"a\": {\"shape\": [1], \"data_offsets\": [0, 4]}}", "dtype \"(missing)\" is not known"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [-1], \"data_offsets\": [0, 4]}}",
         "shape holds something that is not a size"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1, 1, 1, 1, 1, 1, 1, 1, 1], \"data_offsets\": "
         "[0, 4]}}",
         "shape is not a list of at most 8 numbers"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 0]}}",
         "data_offsets is not a pair of ascending numbers"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 4]}}",
         "shape [2] in F32 takes 8 bytes, but data_offsets span 4"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [4611686018427387904, 4], \"data_offsets\": "
         "[0, 0]}}",
         "data_offsets span 0"},
    };
    struct checkpoint c;

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        checkpoint_make(&c);
        c.header_text = cases[i].text;
        expect(&c, cases[i].sentence);
    }
}

static void set_offsets(struct checkpoint *c, const char *name, long long by)
{
    json_t *offsets = json_object_get(json_object_get(c->header, name), "data_offsets");

    for (size_t i = 0; i < 2; i++)
        json_array_set_new(offsets, i,
                           json_integer(json_integer_value(json_array_get(offsets, i)) + by));
}

static void overlaps_and_gaps_are_refused(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    set_offsets(&c, "model.norm.weight", -2);
    expect(&c, "tensors \"model.embed_tokens.weight\" and \"model.norm.weight\" overlap");
    checkpoint_make(&c);
    json_object_del(c.header, "model.norm.weight");
    expect(&c, "16 bytes before tensor \"lm_head.weight\" belong to no tensor");
    checkpoint_make(&c);
    json_object_del(c.header, "model.layers.1.mlp.experts.2.down_proj.weight");
    expect(&c, "64 bytes after the last tensor belong to no tensor");
    checkpoint_make(&c);
    set_offsets(&c, "model.layers.1.mlp.experts.2.down_proj.weight", 4);
    expect(&c, "bytes of data: it is truncated or damaged");
}

static void nan_and_infinity_are_found_with_their_place(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    c.data[2 * 9] = 0xc0; /* the embedding comes first: row 1, column 1 */
    c.data[2 * 9 + 1] = 0x7f;
    expect(&c, "tensor \"model.embed_tokens.weight\" holds NaN at row 1, column 1");
    checkpoint_make(&c);
    c.data[2 * 9] = 0x80;
    c.data[2 * 9 + 1] = 0xff;
    expect(&c, "holds infinity at row 1, column 1");
}

static void directory_without_weights_says_what_it_lacks(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    c.tensor_file = "weights.bin";
    expect(&c, "has neither model.safetensors nor model.safetensors.index.json");
}

/* ---- shards ---- */

static void write_index(const struct checkpoint *c, const char *extra_name, const char *extra_file)
{
    json_t *map = json_object(), *index, *entry;
    const char *name;
    char *text;

    json_object_foreach(c->header, name, entry)
        json_object_set_new(map, name, json_string(c->tensor_file));
    if (extra_name)
        json_object_set_new(map, extra_name, json_string(extra_file));
    index = json_pack("{s:{s:i}, s:o}", "metadata", "total_size", 1, "weight_map", map);
    text = json_dumps(index, 0);
    checkpoint_put(c, "model.safetensors.index.json", text);
    free(text);
    json_decref(index);
}

static void make_shards(struct checkpoint *c)
{
    checkpoint_make(c);
    c->tensor_file = "model-00001-of-00001.safetensors";
}

static void shards_load_and_must_agree_with_the_index(void **state)
{
    struct checkpoint c;

    (void)state;
    make_shards(&c);
    write_index(&c, NULL, NULL);
    expect(&c, NULL);
    make_shards(&c);
    write_index(&c, "model.ghost.weight", "model-00001-of-00001.safetensors");
    expect(&c, "tensor \"model.ghost.weight\" is not in its file "
               "\"model-00001-of-00001.safetensors\"");
    make_shards(&c);
    write_index(&c, "model.ghost.weight", "../other.safetensors");
    expect(&c, "\"../other.safetensors\", which is not a file of the directory");
    make_shards(&c);
    write_index(&c, "model.ghost.weight", "model-00002-of-00002.safetensors");
    expect(&c, "model-00002-of-00002.safetensors\": could not open it: No such file");
    make_shards(&c);
    checkpoint_put(&c, "model.safetensors.index.json", "{\"weight_map\": []}");
    expect(&c, "model.safetensors.index.json has no object \"weight_map\"");
    make_shards(&c);
    checkpoint_put(&c, "model.safetensors.index.json", "{\"weight_map\": {}}");
    expect(&c, "\"weight_map\" is empty");
}

static void tensor_in_two_shards_is_refused(void **state)
{
    struct checkpoint c;

    (void)state;
    make_shards(&c);
    checkpoint_write(&c);
    write_index(&c, "model.ghost.weight", "model-00002-of-00002.safetensors");
    c.tensor_file = "model-00002-of-00002.safetensors";
    expect(&c, "tensor \"model.embed_tokens.weight\" is also in");
}

/* ---- layouts ---- */

static void fuse_layer(struct checkpoint *c, int layer)
{
    char name[128];
    static const char *const parts[] = {"gate", "up", "down"};

    for (int e = 0; e < 3; e++)
        for (int p = 0; p < 3; p++) {
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%d.%s_proj.weight", layer, e,
                     parts[p]);
            checkpoint_drop(c, name);
        }
    snprintf(name, sizeof name, "model.layers.%d.mlp.experts.gate_up_proj", layer);
    checkpoint_add(c, name, "BF16", json_pack("[i, i, i]", 3, 8, 8));
    snprintf(name, sizeof name, "model.layers.%d.mlp.experts.down_proj", layer);
    checkpoint_add(c, name, "BF16", json_pack("[i, i, i]", 3, 8, 4));
}

static void fused_experts_give_the_same_views(void **state)
{
    struct checkpoint c;
    struct cap_err err = {0};
    struct cap_weight_view gate, up, down;

    (void)state;
    checkpoint_make(&c);
    fuse_layer(&c, 1);
    checkpoint_write(&c);
    CAP_AUTO(cap_model) model = cap_model_open(c.dir, &err);
    CAP_AUTO(cap_tensors) tensors = cap_tensors_open(c.dir, &err);

    assert_non_null(tensors);
    if (!cap_weights_check(model, tensors, &err))
        fail_msg("%s", err.text);
    assert_int_equal(cap_weights_unused(model, tensors, NULL, NULL), 0);
    assert_true(cap_weights_view(model, tensors, CAP_WEIGHT_EXPERT_GATE, 1, 2, &gate));
    assert_true(cap_weights_view(model, tensors, CAP_WEIGHT_EXPERT_UP, 1, 2, &up));
    assert_true(cap_weights_view(model, tensors, CAP_WEIGHT_EXPERT_DOWN, 1, 2, &down));
    assert_int_equal(gate.first, 2 * 8 * 8 * 2);
    assert_int_equal(up.first - gate.first, 4 * 8 * 2);
    assert_int_equal(down.first, 2 * 8 * 4 * 2);
    assert_int_equal(down.rows, 8);
    assert_int_equal(down.columns, 4);
    checkpoint_done(&c);
}

static void tied_head_is_the_embedding_and_a_stored_one_is_ignored(void **state)
{
    struct checkpoint c;
    struct cap_err err = {0};
    struct cap_weight_view head;

    (void)state;
    checkpoint_make(&c);
    json_object_set_new(c.config, "tie_word_embeddings", json_true());
    checkpoint_write(&c);
    CAP_AUTO(cap_model) model = cap_model_open(c.dir, &err);
    CAP_AUTO(cap_tensors) tensors = cap_tensors_open(c.dir, &err);

    assert_non_null(tensors);
    assert_true(cap_weights_check(model, tensors, &err));
    assert_true(cap_weights_view(model, tensors, CAP_WEIGHT_LM_HEAD, 0, 0, &head));
    assert_string_equal(head.tensor->name, "model.embed_tokens.weight");
    assert_int_equal(cap_weights_unused(model, tensors, NULL, NULL), 1);
    checkpoint_done(&c);
}

static void biases_and_dense_layers_are_asked_for(void **state)
{
    struct checkpoint c;

    (void)state;
    checkpoint_make(&c);
    json_object_set_new(c.config, "attention_bias", json_true());
    expect(&c, "tensor \"model.layers.0.self_attn.q_proj.bias\" [8] is missing");
    checkpoint_make(&c);
    json_object_set_new(c.config, "mlp_only_layers", json_pack("[i]", 1));
    expect(&c, "tensor \"model.layers.1.mlp.gate_proj.weight\" [12, 8] is missing");
}

/* ---- files that are no files, and files that change ---- */

static void a_pipe_among_the_files_is_refused_and_not_waited_for(void **state)
{
    static const char *const names[] = {"config.json", "generation_config.json",
                                        "model.safetensors"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        struct checkpoint c;
        struct cap_err err = {0};
        char path[128];

        checkpoint_make(&c);
        checkpoint_write(&c);
        snprintf(path, sizeof path, "%s/%s", c.dir, names[i]);
        unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_false(load(c.dir, &err));
        assert_non_null(strstr(err.text, names[i]));
        assert_non_null(strstr(err.text, "is not a regular file"));
        unlink(path);
        checkpoint_done(&c);
    }
}

static void an_index_that_is_a_pipe_is_refused(void **state)
{
    struct checkpoint c;
    struct cap_err err = {0};
    char path[128];

    (void)state;
    checkpoint_make(&c);
    c.tensor_file = "other.safetensors";
    checkpoint_write(&c);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", c.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(load(c.dir, &err));
    assert_non_null(strstr(err.text, "is not a regular file"));
    unlink(path);
    checkpoint_done(&c);
}

static void a_header_of_blanks_meets_the_limit(void **state)
{
    struct checkpoint c;
    char *blanks = malloc(CAP_TENSORS_HEADER_BYTES_MAX + 2);

    (void)state;
    memset(blanks, ' ', CAP_TENSORS_HEADER_BYTES_MAX + 1);
    blanks[CAP_TENSORS_HEADER_BYTES_MAX + 1] = '\0';
    checkpoint_make(&c);
    c.header_text = blanks;
    expect(&c, "its header claims 33554433 bytes, more than the limit of 33554432");
    free(blanks);
}

static struct cap_tensors *open_sound(struct checkpoint *c, char path[128])
{
    struct cap_err err = {0};
    struct cap_tensors *tensors;

    checkpoint_make(c);
    checkpoint_write(c);
    snprintf(path, 128, "%s/model.safetensors", c->dir);
    tensors = cap_tensors_open(c->dir, &err);
    assert_non_null(tensors);
    return tensors;
}

static void check_unreadable(const struct cap_tensors *tensors, const char *sentence)
{
    const struct cap_tensor *t = cap_tensors_find(tensors, "lm_head.weight");
    struct cap_err err = {0};
    char bytes[16 * 8 * 2];

    assert_non_null(t);
    assert_int_equal(t->bytes, sizeof bytes);
    assert_false(cap_tensors_read(tensors, t, 0, sizeof bytes, bytes, &err));
    assert_non_null(strstr(err.text, "model.safetensors\": "));
    if (!strstr(err.text, sentence))
        fail_msg("%s", err.text);
}

static void a_file_that_changes_after_its_header_was_read_is_a_sentence(void **state)
{
    struct checkpoint c;
    char path[128], other[160];

    (void)state;
    CAP_AUTO(cap_tensors) cut = open_sound(&c, path);
    assert_int_equal(truncate(path, 600), 0);
    check_unreadable(cut, "it has 600 bytes, but had ");
    checkpoint_done(&c);
    CAP_AUTO(cap_tensors) replaced = open_sound(&c, path);
    snprintf(other, sizeof other, "%s.other", path);
    rename(path, other);
    checkpoint_write(&c);
    check_unreadable(replaced, "it was replaced while the model was read");
    unlink(other);
    unlink(path);
    check_unreadable(replaced, "could not open it: No such file");
    checkpoint_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_checkpoint_loads),
        cmocka_unit_test(missing_tensor_is_named),
        cmocka_unit_test(wrong_shape_names_expected_and_found),
        cmocka_unit_test(other_dtype_is_refused),
        cmocka_unit_test(truncated_file_is_refused),
        cmocka_unit_test(absurd_header_length_is_refused),
        cmocka_unit_test(header_that_is_no_header_is_refused),
        cmocka_unit_test(overlaps_and_gaps_are_refused),
        cmocka_unit_test(nan_and_infinity_are_found_with_their_place),
        cmocka_unit_test(directory_without_weights_says_what_it_lacks),
        cmocka_unit_test(shards_load_and_must_agree_with_the_index),
        cmocka_unit_test(tensor_in_two_shards_is_refused),
        cmocka_unit_test(fused_experts_give_the_same_views),
        cmocka_unit_test(tied_head_is_the_embedding_and_a_stored_one_is_ignored),
        cmocka_unit_test(biases_and_dense_layers_are_asked_for),
        cmocka_unit_test(a_pipe_among_the_files_is_refused_and_not_waited_for),
        cmocka_unit_test(an_index_that_is_a_pipe_is_refused),
        cmocka_unit_test(a_header_of_blanks_meets_the_limit),
        cmocka_unit_test(a_file_that_changes_after_its_header_was_read_is_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
