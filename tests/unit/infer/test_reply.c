/* What servers send: chunks of a stream, the forms in which they say no, and counts that cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "inference/external/server.h"

static struct infer_chunk chunk_of(const char *data)
{
    struct infer_chunk chunk = {0};
    struct cap_err err = {0};

    assert_true(infer_chunk_read("", data, strlen(data), &chunk, &err));
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
    assert_int_equal(chunk.counts.prompt, 7);
    assert_int_equal(chunk.counts.output, 3);
    assert_int_equal(chunk.counts.cached, -1);
    infer_chunk_done(&chunk);
    chunk = chunk_of("{\"choices\": [{\"text\": \"\"}], \"usage\": "
                     "{\"prompt_tokens_details\": {\"cached_tokens\": 5}}}");
    assert_int_equal(chunk.counts.cached, 5);
    assert_int_equal(chunk.counts.prompt, -1);
    infer_chunk_done(&chunk);
}

struct bad_event {
    const char *name, *data, *says;
};

static void assert_refused(const struct bad_event *event)
{
    struct infer_chunk chunk;
    struct cap_err err = {0};

    if (infer_chunk_read(event->name, event->data, strlen(event->data), &chunk, &err))
        fail_msg("%s: %s was taken", event->name, event->data);
    if (!strstr(err.text, event->says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, event->says);
}

static void an_error_in_any_form_is_told_with_its_words(void **state)
{
    static const struct bad_event rows[] = {
        {"", "{\"error\": {\"message\": \"out of memory\", \"code\": 500}}",
         "middle: out of memory"},
        {"", "{\"error\": \"gone\"}", "middle: gone"},
        {"", "{\"error\": true, \"choices\": [{\"text\": \"a\"}]}", "middle: no reason given"},
        {"", "{\"error\": {\"type\": \"server_error\"}}", "middle: server_error"},
        {"", "{\"errors\": [{\"message\": \"gone\"}]}", "middle: gone"},
        {"", "{\"object\": \"error\", \"message\": \"gone\", \"code\": 400}", "middle: gone"},
        {"", "{\"type\": \"error\", \"error\": {\"type\": \"a\", \"message\": \"Overloaded\"}}",
         "middle: Overloaded"},
        {"", "{\"detail\": \"gone\"}", "middle: gone"},
        {"", "{\"detail\": [{\"loc\": [\"body\", \"n\"], \"msg\": \"bad\"}]}",
         "middle: body.n: bad"},
        {"", "{\"code\": 500, \"message\": \"gone\", \"data\": null}", "middle: gone"},
        {"", "{\"success\": false, \"msg\": \"gone\"}", "middle: gone"},
        {"", "{\"choices\": [{\"text\": \"\", \"error\": {\"message\": \"gone\"}}]}",
         "middle: gone"},
        {"error", "{\"error\": {\"message\": \"gone\"}}", "middle: gone"},
        {"error", "{\"message\": \"gone\"}", "middle: gone"},
        {"error", "{\"choices\": [{\"text\": \"a\"}]}", "middle: no reason given"},
        {"error", "gone for good", "middle: gone for good"},
        {"error", "", "middle: no reason given"},
        {"response.error", "{\"reason\": 1}", "middle: no reason given"},
        {"ping", "{\"error\": \"gone\"}", "middle: gone"},
        {"", "[ERROR] CUDA out of memory", "middle: [ERROR] CUDA out of memory"},
        {"", "<html>error: secret", "that is not a JSON object (19 bytes)"},
        {"exception", "{\"x\": 1}", "middle: no reason given"},
        {"response.failed", "{\"response\": {\"status\": \"failed\"}}", "middle: no reason given"},
        {"", "{\"status\": \"failed\", \"choices\": []}", "middle: no reason given"},
        {"", "{\"type\": \"response.failed\", \"message\": \"gone\"}", "middle: gone"},
        {"", "<html>", "that is not a JSON object (6 bytes)"},
        {"", "[1]", "that is not a JSON object (3 bytes)"},
        {"", "{\"choices\": [{\"text\": \"a", "that is not a JSON object"},
        {"", "{\"choices\": [{\"text\": \"a\", \"logprobs\": NaN}]}",
         "(45 bytes): line 1, column 42: invalid token"},
        {"", "{\"choices\": [{\"text\": \"\\ud83d\"}]}",
         "(33 bytes): line 1, column 30: invalid Unicode"},
        {"", "{\"created\": 123456789012345678901234567890}",
         "(43 bytes): line 1, column 42: too big integer"},
        {"", "{\"choices\": [{\"delta\": {\"content\": [{\"text\": \"a\"}]}}]}", "not a text"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        assert_refused(&rows[i]);
}

static void what_says_nothing_is_no_error_and_no_token(void **state)
{
    static const struct bad_event rows[] = {
        {"", "", ""},
        {"", "  ", ""},
        {"", "{\"type\": \"ping\"}", ""},
        {"", "{\"error\": null, \"choices\": []}", ""},
        {"", "{\"choices\": [], \"error\": {}, \"detail\": \"\"}", ""},
        {"ping", "", ""},
        {"ping", "{\"type\": \"ping\"}", ""},
        {"heartbeat", "12:00", ""},
        {"status", "{\"message\": \"the model is warming up\", \"detail\": \"soon\"}", ""},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct infer_chunk chunk;
        struct cap_err err = {0};

        if (!infer_chunk_read(rows[i].name, rows[i].data, strlen(rows[i].data), &chunk, &err))
            fail_msg("%s: %s", rows[i].data, err.text);
        assert_false(chunk.has_choice);
        infer_chunk_done(&chunk);
    }
}

static void what_a_server_gave_up_has_many_words(void **state)
{
    static const char *const failures[] = {"abort",       "ERROR",
                                           "cancelled",   "network_error",
                                           "overloaded",  "insufficient_system_resource",
                                           "interrupted", "request_timeout"};
    static const char *const ends[] = {"stop",       "length",         "end_turn",
                                       "tool_calls", "content_filter", "banana"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(failures); i++)
        assert_true(infer_reason_is_failure(failures[i]));
    for (size_t i = 0; i < CAP_COUNT_OF(ends); i++)
        assert_false(infer_reason_is_failure(ends[i]));
}

static void a_choice_of_another_index_is_another_answer(void **state)
{
    struct infer_chunk chunk = chunk_of("{\"choices\": [{\"index\": 1, \"text\": \"b\"}]}");

    (void)state;
    assert_false(chunk.has_choice);
    assert_string_equal(chunk.text, "");
    infer_chunk_done(&chunk);
    chunk = chunk_of(
        "{\"choices\": [{\"index\": 1, \"text\": \"b\"}, {\"index\": 0, \"text\": \"a\"}]}");
    assert_string_equal(chunk.text, "a");
    infer_chunk_done(&chunk);
}

static void a_finish_reason_is_a_word_or_none(void **state)
{
    static const struct {
        const char *json, *reason;
    } rows[] = {
        {"\"stop\"", "stop"},
        {"\"end_turn\"", "end_turn"},
        {"{\"type\": \"abort\"}", "abort"},
        {"\"\"", NULL},
        {"\"null\"", NULL},
        {"null", NULL},
        {"false", NULL},
        {"0", NULL},
    };
    char data[100];

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct infer_chunk chunk;

        snprintf(data, sizeof data, "{\"choices\": [{\"text\": \"a\", \"finish_reason\": %s}]}",
                 rows[i].json);
        chunk = chunk_of(data);
        if (rows[i].reason)
            assert_string_equal(chunk.finish_reason, rows[i].reason);
        else
            assert_null(chunk.finish_reason);
        infer_chunk_done(&chunk);
    }
    assert_true(infer_reason_is_failure("abort"));
    assert_true(infer_reason_is_failure("Error"));
    assert_false(infer_reason_is_failure("length"));
}

static void a_refusal_is_read_in_every_shape(void **state)
{
    static const char *const bodies[] = {
        "{\"error\": {\"message\": \"too long\", \"type\": \"BadRequest\"}}",
        "{\"error\": \"too long\"}",
        "{\"object\": \"error\", \"message\": \"too long\"}",
        "{\"detail\": \"too long\"}",
        "{\"detail\": [{\"msg\": \"too long\"}]}",
        "data: {\"error\": {\"message\": \"too long\"}}\n\n",
        "event: error\ndata: {\"error\": {\"message\": \"too long\"}}\n\n",
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(bodies); i++) {
        assert_true(infer_reply_body_error(bodies[i], strlen(bodies[i]), text, sizeof text));
        assert_string_equal(text, "too long");
    }
    assert_true(infer_reply_body_error(bodies[0], strlen(bodies[0]), text, 4));
    assert_string_equal(text, "too");
}

/* A URL may lead to a page of somebody else's, and reasons are read by everybody. */
static void a_foreign_body_is_not_quoted(void **state)
{
    static const char *const bodies[] = {
        "<html>secret internal page token=abc123</html>",
        "secret token=abc123",
        "{\"token\": \"abc123\", \"secret\": true}",
        "[\"secret abc123\"]",
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(bodies); i++) {
        struct cap_err err = {0};

        infer_reply_refusal(500, "text/html", bodies[i], strlen(bodies[i]), &err);
        assert_null(strstr(err.text, "abc123"));
        assert_null(strstr(err.text, "secret"));
        assert_non_null(strstr(err.text, "answered 500: without an error message ("));
        assert_non_null(strstr(err.text, "bytes of text/html"));
    }
}

static void a_long_message_is_cut(void **state)
{
    char body[2000], text[INFER_REPLY_REASON_BYTES], filler[1500];

    (void)state;
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    snprintf(body, sizeof body, "{\"error\": {\"message\": \"%s\"}}", filler);
    assert_true(infer_reply_body_error(body, strlen(body), text, sizeof text));
    assert_int_equal(strlen(text), sizeof text - 1);
}

/* ---- counts ---- */

struct counted {
    struct infer_counts told;
    struct infer_seen seen;
    int prompt, output, cached; /* what is left */
    const char *why;
};

/* 40 bytes of prompt, 60 of text in 10 chunks, of at most 16 tokens. */
#define SEEN .prompt_bytes = 40, .text_bytes = 60, .text_chunks = 10, .max_tokens = 16

static void counts_that_cannot_be_are_unknown_and_say_why(void **state)
{
    static const struct counted rows[] = {
        {{9, 12, 3, 21}, {SEEN}, 9, 12, 3, NULL},
        {{9, 12, -1, -1}, {SEEN}, 9, 12, -1, NULL},
        {{-1, -1, -1, -1}, {SEEN}, -1, -1, -1, NULL},
        {{9, 0, 0, 9}, {SEEN}, 9, -1, 0, "0 output tokens where 60 bytes of text came"},
        {{0, 12, 0, 12}, {SEEN}, -1, 12, -1, "0 prompt tokens of 40 bytes"},
        {{9, 7, 0, 16}, {SEEN}, 9, -1, 0, "7 output tokens where text came in 10 chunks"},
        {{9, -2, 0, -1}, {SEEN}, 9, -1, 0, "output tokens is not a whole number"},
        {{-2, 12, 0, -1}, {SEEN}, -1, 12, -1, "prompt tokens is not a whole number"},
        {{9, 12, -2, 21}, {SEEN}, 9, 12, -1, "cached tokens is not a whole number"},
        {{9, 12, 10, 21}, {SEEN}, 9, 12, -1, "10 cached tokens of 9 prompt tokens"},
        {{9, 12, 0, 35}, {SEEN}, -1, -1, -1, "9 prompt and 12 output tokens, and 35 in all"},
        {{9, 2000000000, 0, -1}, {SEEN}, 9, -1, 0, "at most 16 were asked for"},
        {{2000000, 12, 0, -1}, {SEEN}, -1, 12, -1, "2000000 prompt tokens of 40 bytes"},
        {{9000, 12, 0, -1}, {SEEN, .is_chat = true}, 9000, 12, 0, NULL}, /* its template */
        {{9000, 12, 0, -1},
         {SEEN, .is_chat = true, .context_tokens_max = 4096},
         -1,
         12,
         -1,
         "9000 prompt tokens in a context of 4096"},
        {{2, 12, 0, -1}, {SEEN, .prompt_ids = 3}, -1, 12, -1, "2 prompt tokens where 3 were sent"},
        {{9, 12, 0, -1}, {SEEN, .output_before = 13}, 9, -1, 0, "after it had counted 13"},
        {{9, 1, 0, -1},
         {.prompt_bytes = 40, .text_bytes = 9000, .text_chunks = 1, .max_tokens = 16},
         9,
         -1,
         0,
         "1 output tokens where 9000 bytes of text came"},
        /* tokens without text: an answer of special tokens, or of a server that hides reasoning */
        {{9, 16, 0, 25}, {.prompt_bytes = 40, .max_tokens = 16}, 9, 16, 0, NULL},
        {{9, 0, 0, 9}, {.prompt_bytes = 40, .max_tokens = 16}, 9, 0, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct infer_counts counts = rows[i].told;
        char why[240] = "";

        assert_int_equal(infer_counts_check(&counts, &rows[i].seen, why, sizeof why),
                         rows[i].why == NULL);
        if (rows[i].why && !strstr(why, rows[i].why))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, why, rows[i].why);
        if (counts.prompt != rows[i].prompt || counts.output != rows[i].output ||
            counts.cached != rows[i].cached)
            fail_msg("row %zu: %d, %d, %d are left (%s)", i, counts.prompt, counts.output,
                     counts.cached, why);
    }
}

static void what_is_no_number_of_tokens_is_told_apart_from_nothing(void **state)
{
    static const struct {
        const char *value;
        int count;
    } rows[] = {{"7", 7},
                {"0", 0},
                {"null", INFER_COUNT_UNKNOWN},
                {"-1", INFER_COUNT_BAD},
                {"7.0", INFER_COUNT_BAD},
                {"\"7\"", INFER_COUNT_BAD},
                {"99999999999", INFER_COUNT_BAD}};
    char data[100];

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct infer_chunk chunk;

        snprintf(data, sizeof data, "{\"choices\": [], \"usage\": {\"completion_tokens\": %s}}",
                 rows[i].value);
        chunk = chunk_of(data);
        assert_int_equal(chunk.counts.output, rows[i].count);
        assert_int_equal(chunk.counts.prompt, INFER_COUNT_UNKNOWN);
        infer_chunk_done(&chunk);
    }
}

/* ---- words and sizes ---- */

static void words_are_cut_at_a_character_and_move_no_cursor(void **state)
{
    char words[8];

    (void)state;
    infer_reply_words(words, sizeof words, "stop\xc3\xa9\xc3\xa9"); /* the last one is cut */
    assert_string_equal(words, "stop\xc3\xa9?");
    infer_reply_words(words, sizeof words, "a\x1b[2\nb");
    assert_string_equal(words, "a [2 b");
    infer_reply_words(words, sizeof words,
                      "\xc2\x9b"
                      "A\x7f");
    assert_string_equal(words, " A ");
    infer_reply_words(words, sizeof words, NULL);
    assert_string_equal(words, "");
}

/* 3 bytes of text would become 150 of memory. */
static void values_are_counted_before_they_are_made(void **state)
{
    size_t length = 3 * (size_t)INFER_REPLY_VALUES_MAX + 1;
    char *text = malloc(length + 1);
    json_t *json;

    (void)state;
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 0; i < INFER_REPLY_VALUES_MAX; i++)
        memcpy(text + 1 + 3 * i, "[],", 3);
    text[length - 1] = ']';
    assert_null(infer_reply_json(text, length));
    memset(text, ',', length); /* in a string they are no values */
    memcpy(text, "[\"\\\"", 4);
    memcpy(text + length - 2, "\"]", 2);
    json = infer_reply_json(text, length);
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
        cmocka_unit_test(an_error_in_any_form_is_told_with_its_words),
        cmocka_unit_test(what_says_nothing_is_no_error_and_no_token),
        cmocka_unit_test(a_finish_reason_is_a_word_or_none),
        cmocka_unit_test(what_a_server_gave_up_has_many_words),
        cmocka_unit_test(a_choice_of_another_index_is_another_answer),
        cmocka_unit_test(a_refusal_is_read_in_every_shape),
        cmocka_unit_test(a_foreign_body_is_not_quoted),
        cmocka_unit_test(a_long_message_is_cut),
        cmocka_unit_test(counts_that_cannot_be_are_unknown_and_say_why),
        cmocka_unit_test(what_is_no_number_of_tokens_is_told_apart_from_nothing),
        cmocka_unit_test(words_are_cut_at_a_character_and_move_no_cursor),
        cmocka_unit_test(values_are_counted_before_they_are_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
