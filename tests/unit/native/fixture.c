/* Golden checkpoints, changed copies of them, and sessions for the tests of the native engine. */
#include "fixture.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static char *read_file(const char *path, size_t *out_length)
{
    struct cap_err err = {0};
    char *text = cap_file_read(path, 64 << 20, out_length, &err);
    if (!text)
        fail_msg("%s", err.text);
    return text;
}

static json_t *read_json(const char *dir, const char *name)
{
    char path[700];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    json_error_t why;
    json_t *root = json_load_file(path, 0, &why);
    if (!root)
        fail_msg("%s: %s", path, why.text);
    return root;
}

static void read_logits(struct golden *g)
{
    char path[700];
    size_t length;
    snprintf(path, sizeof(path), "%s/logits.npy", g->dir);
    char *bytes = read_file(path, &length);
    size_t header = 10 + (size_t)(unsigned char)bytes[8] + 256 * (size_t)(unsigned char)bytes[9];
    size_t numbers = (length - header) / sizeof(float);
    g->logits = malloc(numbers * sizeof(float));
    memcpy(g->logits, bytes + header, numbers * sizeof(float));
    g->vocab = (int)numbers / g->count;
    free(bytes);
}

void golden_open(struct golden *g, const char *name)
{
    *g = (struct golden){0};
    snprintf(g->dir, sizeof(g->dir), "%s/tests/golden/models/%s", getenv("MOECAP_SOURCE_DIR"),
             name);
    g->expected = read_json(g->dir, "expected.json");
    const json_t *tokens = json_object_get(g->expected, "tokens");
    g->count = (int)json_array_size(tokens);
    for (int i = 0; i < g->count; i++)
        g->tokens[i] = (int32_t)json_integer_value(json_array_get(tokens, (size_t)i));
    g->logits_std = json_number_value(json_object_get(g->expected, "logits_std"));
    read_logits(g);
}

void golden_close(struct golden *g)
{
    free(g->logits);
    json_decref(g->expected);
}

static int copies;

static void copy_path(int number, const char *file, char out[700])
{
    snprintf(out, 700, "/tmp/moecap-native-%d-%d%s", (int)getpid(), number, file);
}

static void remove_copies(void)
{
    static const char *const files[] = {"/config.json", "/model.safetensors", ""};
    for (int i = 0; i < copies; i++)
        for (size_t f = 0; f < CAP_COUNT_OF(files); f++) {
            char path[700];
            copy_path(i, files[f], path);
            remove(path);
        }
}

const char *golden_copy(const char *name, const char *changes)
{
    static char dir[700];
    char from[700], to[800];
    if (copies == 0)
        atexit(remove_copies);
    copy_path(copies++, "", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(from, sizeof(from), "%s/tests/golden/models/%s", getenv("MOECAP_SOURCE_DIR"), name);
    json_t *config = read_json(from, "config.json");
    if (changes) {
        json_t *more = json_loads(changes, 0, NULL);
        assert_non_null(more);
        json_object_update(config, more);
        json_decref(more);
    }
    snprintf(to, sizeof(to), "%s/config.json", dir);
    assert_int_equal(json_dump_file(config, to, 0), 0);
    json_decref(config);
    strcat(from, "/model.safetensors");
    size_t length;
    char *weights = read_file(from, &length);
    struct cap_err err = {0};
    snprintf(to, sizeof(to), "%s/model.safetensors", dir);
    assert_true(cap_file_write(to, weights, length, &err));
    free(weights);
    return dir;
}

void golden_poke(const char *dir, const char *tensor, size_t offset, uint16_t bits)
{
    char path[700];
    size_t length;
    snprintf(path, sizeof(path), "%s/model.safetensors", dir);
    char *bytes = read_file(path, &length);
    uint64_t header;
    memcpy(&header, bytes, 8);
    json_t *root = json_loadb(bytes + 8, header, 0, NULL);
    json_int_t begin = json_integer_value(
        json_array_get(json_object_get(json_object_get(root, tensor), "data_offsets"), 0));
    memcpy(bytes + 8 + header + (size_t)begin + offset * 2, &bits, 2);
    json_decref(root);
    struct cap_err err = {0};
    assert_true(cap_file_write(path, bytes, length, &err));
    free(bytes);
}

struct native_model *model_open(const char *dir, enum native_precision precision, const char *isa)
{
    struct cap_err err = {0};
    struct native_model_options options = {.precision = precision, .isa = isa, .threads = 2};
    struct native_model *model = native_model_open(dir, &options, &err);
    if (!model)
        fail_msg("%s", err.text);
    return model;
}

void each_isa(void (*test)(const char *isa))
{
    for (int i = 0; moe_backend_find("cpu")->level_at(i); i++) {
        if (moe_backend_find("cpu")->level_lacks(i))
            printf("skip: ISA level %s: this CPU lacks %s\n", moe_backend_find("cpu")->level_at(i),
                   moe_backend_find("cpu")->level_lacks(i));
        else
            test(moe_backend_find("cpu")->level_at(i));
    }
}

void greedy_alone(struct native_model *model, const int32_t *prompt, int prompt_count, int count,
                  int32_t *out)
{
    struct cap_err err = {0};
    CAP_AUTO(native_session) session =
        native_session_open(model, &(struct native_session_options){.concurrency = 1}, &err);
    assert_non_null(session);
    struct native_request request = {
        .id = 1, .prompt = {prompt, prompt_count}, .max_tokens = count, .ignore_eos = true};
    assert_true(native_session_submit(session, &request, &err));
    struct native_step step;
    int got = 0;
    while (native_session_step(session, &step, &err))
        for (int i = 0; i < step.event_count; i++)
            if (step.events[i].kind == INFER_TOKENS)
                out[got++] = (int32_t)step.events[i].token_ids[0];
    assert_int_equal(err.code, CAP_OK);
    assert_int_equal(got, count);
}
