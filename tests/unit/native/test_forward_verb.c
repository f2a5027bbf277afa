/* `model forward` as its users see it: files, exit statuses, sentences. */
#include <unistd.h>

#include "fixture.h"

#include "inference/offline/forward.c"

static char scratch[64], said[4096];

static const char *in_scratch(const char *name)
{
    static char paths[4][128];
    static int at;
    char *path = paths[at++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
    return path;
}

/* Runs the verb with what it says on stderr in `said`. */
static int run(const char *const *words)
{
    const char *argv[24] = {"forward"};
    int argc = 1;
    while (*words)
        argv[argc++] = *words++;
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    FILE *file = freopen(in_scratch("stderr"), "w", stderr);
    assert_non_null(file);
    int status = infer_cmd_forward(argc, (char **)argv);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    FILE *back = fopen(in_scratch("stderr"), "r");
    said[fread(said, 1, sizeof(said) - 1, back)] = 0;
    fclose(back);
    return status;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static void files_hold_logits_experts_and_the_continuation(void **state)
{
    (void)state;
    struct golden g;
    char tokens[700];
    golden_open(&g, "qwen3_moe");
    snprintf(tokens, sizeof(tokens), "%s/tokens.json", g.dir);
    assert_int_equal(RUN(g.dir, "--tokens", tokens, "--logits", in_scratch("l.npy"), "--experts",
                         in_scratch("e.json"), "--greedy", "8", "--threads", "1"),
                     0);
    json_t *got = json_load_file(in_scratch("e.json"), 0, NULL);
    assert_true(json_equal(json_object_get(got, "greedy"), json_object_get(g.expected, "greedy")));
    for (size_t i = 0; i < 2; i++)
        assert_true(json_equal(
            json_object_get(json_array_get(json_object_get(got, "layers"), i), "experts"),
            json_object_get(json_array_get(json_object_get(g.expected, "layers"), i), "experts")));
    json_decref(got);
    FILE *npy = fopen(in_scratch("l.npy"), "rb");
    char head[128];
    assert_int_equal(fread(head, 1, 128, npy), 128);
    assert_non_null(
        strstr(head + 10, "'descr': '<f4', 'fortran_order': False, 'shape': (14, 128)"));
    float logits[14 * 128];
    assert_int_equal(fread(logits, sizeof(float), 14 * 128, npy), 14 * 128);
    assert_int_equal(fgetc(npy), EOF);
    fclose(npy);
    for (int i = 0; i < 14 * 128; i++)
        assert_true(logits[i] - g.logits[i] < 1e-4f && g.logits[i] - logits[i] < 1e-4f);
    golden_close(&g);
}

static void a_plain_list_is_accepted_and_precision_is_too(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe_f32");
    write_text(in_scratch("t.json"), "[5, 6, 7]");
    assert_int_equal(RUN(g.dir, "--tokens", in_scratch("t.json"), "--precision", "int8"), 0);
    assert_int_equal(RUN("--help"), 0);
    golden_close(&g);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    static const struct {
        const char *text, *says;
    } bad[] = {{"[5, 6", "is not JSON: line 1"}, {"[]", "at least one id"},
               {"{\"ids\": [1]}", "\"tokens\""}, {"[1, -2]", "must hold"},
               {"[1, 2.5]", "must hold"},        {"[1, 128]", "token id 128 is outside"},
               {"[1, 99999999999]", "must hold"}};
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++) {
        write_text(in_scratch("t.json"), bad[i].text);
        assert_int_equal(RUN(g.dir, "--tokens", in_scratch("t.json")), 3);
        if (!strstr(said, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", said, bad[i].says);
    }
    write_text(in_scratch("t.json"), "[1, 2]");
    assert_int_equal(RUN("/nowhere", "--tokens", in_scratch("t.json")), 3);
    assert_non_null(strstr(said, "/nowhere"));
    assert_int_equal(RUN(g.dir, "--tokens", "/nowhere/t.json"), 3);
    assert_int_equal(RUN(g.dir, "--tokens", in_scratch("t.json"), "--logits", "/nowhere/l.npy"), 3);
    assert_non_null(strstr(said, "/nowhere/l.npy"));
    assert_int_equal(RUN(g.dir, "--tokens", in_scratch("t.json"), "--experts", "/nowhere/e"), 3);
    assert_int_equal(RUN(g.dir, "--tokens", in_scratch("t.json"), "--backend", "cuda"), 3);
    assert_non_null(strstr(said, "there is no backend \"cuda\""));
    golden_close(&g);
}

static void wrong_arguments_are_told_from_wrong_models(void **state)
{
    (void)state;
    assert_int_equal(RUN("dir"), 2);
    assert_int_equal(RUN("--tokens", "t.json"), 2);
    assert_int_equal(RUN("dir", "--tokens", "t.json", "--precision", "int3"), 2);
    assert_non_null(strstr(said, "int3"));
    assert_int_equal(RUN("dir", "--tokens", "t.json", "--greedy", "-1"), 2);
    assert_int_equal(RUN("dir", "--tokens", "t.json", "--greedy", "x"), 2);
    assert_int_equal(RUN("dir", "--tokens", "t.json", "--colour", "red"), 2);
    assert_int_equal(RUN("dir", "more", "--tokens", "t.json"), 2);
}

static int make_scratch(void **state)
{
    (void)state;
    strcpy(scratch, "/tmp/moecap-forward-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    static const char *const names[] = {"l.npy", "e.json", "t.json", "stderr"};
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        remove(in_scratch(names[i]));
    return rmdir(scratch);
}

static void a_long_input_tells_how_far_it_is(void **state)
{
    (void)state;
    struct run run = {.total = 2000000, .started_ms = 1000, .told_ms = 1000};
    char line[96] = "";
    run.sequence.length = 512;
    assert_false(make_progress(&run, 1000 + PROGRESS_MS - 1, line, sizeof(line)));
    run.sequence.length = 12800;
    assert_true(make_progress(&run, 1000 + PROGRESS_MS, line, sizeof(line)));
    assert_string_equal(line, "model forward: 12800 of 2000000 tokens in 5 s");
    assert_false(make_progress(&run, 1000 + PROGRESS_MS + 1, line, sizeof(line)));
    assert_true(make_progress(&run, 1000 + 2 * PROGRESS_MS, line, sizeof(line)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_hold_logits_experts_and_the_continuation),
        cmocka_unit_test(a_plain_list_is_accepted_and_precision_is_too),
        cmocka_unit_test(a_long_input_tells_how_far_it_is),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(wrong_arguments_are_told_from_wrong_models),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
