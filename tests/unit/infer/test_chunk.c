/* What servers send: chunks of a stream, and the shapes in which they say no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "inference/external/chunk.h"
#include "inference/external/refusal.h"
#include "inference/external/sent.h"

static struct infer_chunk chunk_of(const char *data)
{
    struct infer_chunk chunk = {0};
    struct cap_err err = {0};

    assert_true(infer_chunk_read(data, strlen(data), &chunk, &err));
    return chunk;
}

static void a_role_alone_is_not_the_first_token(void **state)
{
    struct infer_chunk chunk =
        chunk_of("{\"choices\": [{\"delta\": {\"role\": \"assistant\", \"content\": \"\"}}], "
                 "\"usage\": null}");

    (void)state;
    assert_false(chunk.has_choice);
    assert_false(chunk.has_usage);
    infer_chunk_done(&chunk);
}

static void an_empty_text_is_a_token(void **state)
{
    struct infer_chunk chunk = chunk_of("{\"choices\": [{\"delta\": {\"content\": \"\"}}]}");

    (void)state;
    assert_true(chunk.has_choice);
    assert_string_equal(chunk.text, "");
    infer_chunk_done(&chunk);
    chunk = chunk_of("{\"choices\": [{\"text\": \" 4\", \"finish_reason\": \"stop\"}]}");
    assert_true(chunk.has_choice);
    assert_string_equal(chunk.text, " 4");
    assert_string_equal(chunk.finish_reason, "stop");
    infer_chunk_done(&chunk);
}

static void reasoning_is_read_under_both_names(void **state)
{
    struct infer_chunk chunk =
        chunk_of("{\"choices\": [{\"delta\": {\"reasoning_content\": \"so\"}}]}");

    (void)state;
    assert_string_equal(chunk.reasoning, "so");
    assert_true(chunk.has_choice);
    infer_chunk_done(&chunk);
    chunk =
        chunk_of("{\"choices\": [{\"delta\": {\"reasoning\": \"so\", \"role\": \"assistant\"}}]}");
    assert_string_equal(chunk.reasoning, "so");
    infer_chunk_done(&chunk);
}

static void usage_comes_alone_and_what_it_omits_is_unknown(void **state)
{
    struct infer_chunk chunk =
        chunk_of("{\"choices\": [], \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 3}}");

    (void)state;
    assert_false(chunk.has_choice);
    assert_true(chunk.has_usage);
    assert_int_equal(chunk.prompt_tokens, 7);
    assert_int_equal(chunk.output_tokens, 3);
    assert_int_equal(chunk.cached_tokens, -1);
    infer_chunk_done(&chunk);
    chunk = chunk_of("{\"choices\": [{\"text\": \"\"}], \"usage\": "
                     "{\"prompt_tokens_details\": {\"cached_tokens\": 5}}}");
    assert_int_equal(chunk.cached_tokens, 5);
    assert_int_equal(chunk.prompt_tokens, -1);
    infer_chunk_done(&chunk);
}

static void what_is_no_chunk_is_refused_with_its_words(void **state)
{
    static const struct {
        const char *data, *says;
    } rows[] = {
        {"<html>", "no JSON: <html>"},
        {"[1]", "no JSON: [1]"},
        {"", "no JSON"},
        {"{\"error\": {\"message\": \"out of memory\", \"code\": 500}}", "out of memory"},
        {"{\"error\": \"gone\"}", "gone"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct infer_chunk chunk;
        struct cap_err err = {0};

        assert_false(infer_chunk_read(rows[i].data, strlen(rows[i].data), &chunk, &err));
        assert_int_equal(err.code, CAP_UNAVAILABLE);
        assert_non_null(strstr(err.text, rows[i].says));
    }
}

static void a_refusal_is_read_in_every_shape(void **state)
{
    static const char *const bodies[] = {
        "{\"error\": {\"message\": \"too long\", \"type\": \"BadRequest\"}}",
        "{\"error\": \"too long\"}",
        "{\"object\": \"error\", \"message\": \"too long\"}",
        "{\"detail\": \"too long\"}",
        "{\"detail\": [{\"msg\": \"too long\"}]}",
        "too long",
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        infer_refusal_text(bodies[i], strlen(bodies[i]), text, sizeof text);
        assert_string_equal(text, "too long");
    }
    infer_refusal_text("", 0, text, sizeof text);
    assert_string_equal(text, "no reason given");
    infer_refusal_text(bodies[0], strlen(bodies[0]), text, 4);
    assert_string_equal(text, "too");
}

static void words_are_cut_at_a_character_and_move_no_cursor(void **state)
{
    char words[8];

    (void)state;
    infer_sent_words(words, sizeof words, "stop\xc3\xa9\xc3\xa9"); /* the last one is cut */
    assert_string_equal(words, "stop\xc3\xa9?");
    infer_sent_words(words, sizeof words, "a\x1b[2\nb");
    assert_string_equal(words, "a [2 b");
    infer_sent_words(words, sizeof words,
                     "\xc2\x9b"
                     "A\x7f");
    assert_string_equal(words, " A ");
    infer_sent_words(words, sizeof words, NULL);
    assert_string_equal(words, "");
}

/* 3 bytes of text would become 150 of memory. */
static void values_are_counted_before_they_are_made(void **state)
{
    size_t length = 3 * (size_t)INFER_SENT_VALUES_MAX + 1;
    char *text = malloc(length + 1);
    json_t *json;

    (void)state;
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 0; i < INFER_SENT_VALUES_MAX; i++)
        memcpy(text + 1 + 3 * i, "[],", 3);
    text[length - 1] = ']';
    assert_null(infer_sent_json(text, length));
    memset(text, ',', length); /* in a string they are no values */
    memcpy(text, "[\"\\\"", 4);
    memcpy(text + length - 2, "\"]", 2);
    json = infer_sent_json(text, length);
    assert_int_equal(json_array_size(json), 1);
    json_decref(json);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_alone_is_not_the_first_token),
        cmocka_unit_test(an_empty_text_is_a_token),
        cmocka_unit_test(reasoning_is_read_under_both_names),
        cmocka_unit_test(usage_comes_alone_and_what_it_omits_is_unknown),
        cmocka_unit_test(what_is_no_chunk_is_refused_with_its_words),
        cmocka_unit_test(a_refusal_is_read_in_every_shape),
        cmocka_unit_test(words_are_cut_at_a_character_and_move_no_cursor),
        cmocka_unit_test(values_are_counted_before_they_are_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
