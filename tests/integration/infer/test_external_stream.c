/* External engines against a scripted server: streams as servers send them, whole and not, their
 * counts, and the limits of time and size. docs/engines.md names the test of each point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "drive.h"

/* ---- streams ---- */

static void a_stream_is_read_whatever_its_line_ends_and_splits(void **state)
{
    struct outcome out;

    drive_stream(*state, "openai",
                 STREAM(": ping\r\n\r\nda", "ta: {\"choices\":[{\"te", "xt\":\" 4\"}]}\r\n", "\r",
                        "\n: a comment\n",
                        "event: ping\ndata: {\"choices\":[{\"text\":\"2\","
                        "\"finish_reason\":\"length\"}]}\n\n",
                        DONE_MARK),
                 &out);
    assert_true(out.done);
    assert_string_equal(out.text, " 42");
    assert_string_equal(out.finish, "length");
    assert_int_equal(out.pieces, 2);
}

static void usage_comes_in_a_chunk_of_its_own(void **state)
{
    struct outcome out;

    drive_stream(*state, "vllm", STREAM(TOKEN_A, TOKEN_END, USAGE_CHUNK, DONE_MARK), &out);
    assert_true(out.done);
    assert_int_equal(out.pieces, 2);
    assert_int_equal(out.prompt_tokens, 5);
    assert_int_equal(out.output_tokens, 2);
    assert_int_equal(out.cached_tokens, 3);
}

static void usage_comes_with_the_last_choice_and_no_mark_follows(void **state)
{
    struct outcome out;

    drive_stream(
        *state, "transformers",
        STREAM("data: {\"choices\":[{\"text\":\"forty two\"}]}\n\n",
               "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}],\"usage\":"
               "{\"prompt_tokens\":5,\"completion_tokens\":4}}\n\n"),
        &out);
    assert_true(out.done);
    assert_int_equal(out.output_tokens, 4);
    assert_int_equal(out.cached_tokens, -1);
}

static void without_usage_nothing_is_counted(void **state)
{
    struct outcome out;

    drive_stream(*state, "openai", STREAM(TOKEN_A, TOKEN_END, DONE_MARK), &out);
    assert_true(out.done);
    assert_int_equal(out.prompt_tokens, -1);
    assert_int_equal(out.output_tokens, -1);
}

/* "\n" might have become the stop string: at the end it is text. */
static void a_mark_without_a_reason_is_an_end_whose_reason_is_unknown(void **state)
{
    static const char *const stops[] = {"\n\n"};
    struct infer_request request = drive_request("x");
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct infer_engine_report report;
    struct outcome out;

    request.stop = stops;
    request.stop_count = 1;
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){
                   .pieces = STREAM("data: {\"choices\":[{\"text\":\" 4\\n\"}]}\n\n", DONE_MARK)});
    engine->ops->begin(engine);
    drive_run(engine, &request, &out);
    assert_true(out.done);
    assert_string_equal(out.finish, "");
    assert_string_equal(out.text, " 4\n");
    assert_int_equal(out.pieces, 1);
    engine->ops->report(engine, &report);
    assert_true(drive_has_note(&report, "gave no finish reason for 1 of 1 answers"));
    engine->ops->free(engine);
}

static void a_stream_that_is_no_whole_answer_fails_its_sample(void **state)
{
    static const struct {
        const char *pieces[4], *says;
    } rows[] = {
        {{TOKEN_A}, "closed the stream before its end (request cmpl-7)"},
        {{TOKEN_A, USAGE_CHUNK}, "closed the stream before its end (request cmpl-7)"},
        {{TOKEN_A, "data: {\"choices\":[{\"text\":\"2"}, "that is not a JSON object"},
        {{"data: {\"choices\":[{\"text\":\"4\",\"finish_reason\":\"\"}]}\n\n"},
         "closed the stream before its end"},
        {{DONE_MARK}, "ended the stream without an answer"},
        {{USAGE_CHUNK, DONE_MARK}, "ended the stream without an answer"},
        {{"event: ping\ndata: {\"type\":\"ping\"}\n\n", DONE_MARK},
         "ended the stream without an answer"},
        {{TOKEN_A, "event: error\ndata: out of pages\n\n", DONE_MARK},
         "failed in the middle: out of pages"},
        {{TOKEN_A, TOKEN_END, "event: error\ndata: {\"message\":\"out of pages\"}\n\n"},
         "failed in the middle: out of pages"},
        {{"event: error\n\n"}, "failed in the middle: no reason given"},
        {{"{\"error\":{\"message\":\"out of pages\"}}"}, "out of pages"},
        {{"{\n \"error\": {\n  \"message\": \"out of pages\"\n }\n}\n"},
         "answered with an error: out of pages"},
        {{TOKEN_A, "{\"error\":{\"message\":\"out of pages\"}}\n"},
         "failed in the middle: out of pages"},
        {{"<html>secret</html>\n"}, "closed the stream before its end"},
    };
    struct infer_request request = drive_request("x");
    struct infer_engine *engine = drive_open_m("vllm", *state);
    struct outcome out;

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = rows[i].pieces});
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        drive_run(engine, &request, &out);
        if (!out.failed || !strstr(out.failure.text, rows[i].says))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, out.failure.text, rows[i].says);
    }
    engine->ops->free(engine);
}

/* Its usage, which would come behind it, may be missing. */
static void a_reason_without_the_mark_is_an_end_with_a_note(void **state)
{
    struct infer_request request = drive_request("x");
    struct infer_engine *engine = drive_open_m("vllm", *state);
    struct infer_engine_report report;
    struct outcome out;

    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = STREAM(TOKEN_A, TOKEN_END)});
    engine->ops->begin(engine);
    drive_run(engine, &request, &out);
    assert_true(out.done);
    assert_string_equal(out.finish, "length");
    engine->ops->report(engine, &report);
    assert_true(drive_has_note(&report, "1 of 1 streams ended after their finish reason"));
    engine->ops->free(engine);
}

static void an_answer_that_is_not_streamed_is_told_as_what_it_is(void **state)
{
    static const struct {
        const char *type, *body, *says;
    } rows[] = {
        {NULL, "{\"error\":{\"message\":\"out of pages\"}}", "with an error: out of pages"},
        {NULL, "{\"object\":\"error\",\"message\":\"out of pages\"}",
         "with an error: out of pages"},
        {NULL, "{\"detail\":\"out of pages\"}", "with an error: out of pages"},
        {NULL, "{\"choices\":[{\"text\":\"4\"}]}", "did not stream its answer"},
        {"text/html", "<html>secret</html>", "without an error message (19 bytes of text/html)"},
        {NULL, "", "did not stream its answer: no reason given"},
    };
    struct infer_request request = drive_request("x");
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct outcome out;

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        stub_reply(*state, COMPLETIONS,
                   &(struct stub_reply){.type = rows[i].type, .body = rows[i].body});
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        drive_run(engine, &request, &out);
        if (!out.failed || !strstr(out.failure.text, rows[i].says))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, out.failure.text, rows[i].says);
    }
    engine->ops->free(engine);
}

/* A gateway in front of the server wrote zeros. */
static void counts_that_cannot_be_are_unknown_and_the_report_says_why(void **state)
{
    struct infer_request request = drive_request("2 * 21 =");
    struct infer_engine *engine = drive_open_m("vllm", *state);
    struct infer_engine_report report;
    struct outcome out;

    stub_reply(
        *state, COMPLETIONS,
        &(struct stub_reply){
            .pieces = STREAM("data: {\"choices\":[{\"text\":\" so\",\"finish_reason\":\"\"}],"
                             "\"usage\":null}\n\n",
                             "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}],"
                             "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,"
                             "\"total_tokens\":0}}\n\n",
                             DONE_MARK)});
    engine->ops->begin(engine);
    drive_run(engine, &request, &out);
    assert_true(out.done);
    assert_string_equal(out.text, " so");
    assert_string_equal(out.finish, "stop");
    assert_int_equal(out.prompt_tokens, -1);
    assert_int_equal(out.output_tokens, -1);
    engine->ops->report(engine, &report);
    assert_non_null(report.counts_unknown);
    assert_string_equal(report.counts_unknown,
                        "the server's counts are impossible for 1 of 1 answers: it counts 0 output "
                        "tokens where 3 bytes of text came; it counts 0 prompt tokens of 8 bytes "
                        "of text");
    assert_true(drive_has_note(&report, "the server's counts are impossible for 1 of 1 answers"));
    engine->ops->free(engine);
}

#define COUNTED(text, tokens)                                                                      \
    "data: {\"choices\":[{\"text\":\"" text "\"}],\"usage\":{\"prompt_tokens\":5,"                 \
    "\"completion_tokens\":" #tokens "}}\n\n"

/* Where each chunk tells the tokens so far, they are counted as they come. */
static void tokens_are_counted_by_usage_in_every_chunk(void **state)
{
    struct outcome out;

    drive_stream(*state, "vllm",
                 STREAM(COUNTED("a b c", 3), COUNTED("", 4), COUNTED(" e", 5),
                        "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}],\"usage\":"
                        "{\"prompt_tokens\":5,\"completion_tokens\":5}}\n\n",
                        DONE_MARK),
                 &out);
    assert_true(out.done);
    assert_int_equal(out.pieces, 3); /* the last chunk has no token of its own */
    assert_int_equal(out.counted, 5);
    assert_int_equal(out.output_tokens, 5);
}

static void an_error_inside_a_stream_fails_the_request_with_its_words(void **state)
{
    static const char *const streams[][3] = {
        {TOKEN_A, "data: {\"error\":{\"message\":\"out of pages\",\"code\":500}}\n\n", NULL},
        {TOKEN_A, "data: {\"object\":\"error\",\"message\":\"out of pages\"}\n\n", NULL},
        {TOKEN_A, "data: {\"error\": \"out of pages\"}\n\n", NULL},
    };
    struct infer_request request = drive_request("x");
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct outcome out;

    for (size_t i = 0; i < CAP_COUNT_OF(streams); i++) {
        stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = streams[i]});
    }
    for (size_t i = 0; i < CAP_COUNT_OF(streams); i++) {
        drive_run(engine, &request, &out);
        assert_true(out.failed);
        assert_int_equal(out.pieces, 1);
        assert_string_equal(out.failure.text,
                            "the server failed in the middle: out of pages (request cmpl-7)");
    }
    engine->ops->free(engine);
}

static void a_role_is_no_token_and_reasoning_is_the_first_one(void **state)
{
    const struct infer_message message = {"user", "2 * 21?"};
    struct infer_request request = {
        .id = 1, .messages = &message, .message_count = 1, .max_tokens = 8, .top_p = 1};
    struct infer_engine *engine = drive_open_m("sglang", *state);
    struct outcome out;
    int64_t before_ns;

    stub_reply(
        *state, CHAT,
        &(struct stub_reply){
            .pause_ms = 30,
            .pieces = STREAM(
                "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],"
                "\"usage\":null}\n\n",
                "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"twice \"}}]}\n\n",
                "data: {\"choices\":[{\"delta\":{\"content\":\"42\"}}]}\n\n",
                "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", DONE_MARK)});
    before_ns = cap_clock_ns(cap_clock_system());
    drive_run(engine, &request, &out);
    assert_true(out.done);
    assert_string_equal(out.reasoning, "twice ");
    assert_string_equal(out.text, "42");
    assert_int_equal(out.pieces, 3);
    assert_true(out.at_ns[0] - before_ns > 50000000); /* not the role's time */
    engine->ops->free(engine);
}

static void a_stop_string_that_the_server_leaves_in_the_text_is_cut(void **state)
{
    static const char *const stops[] = {"\n\nQ:"};
    struct infer_request request = drive_request("x");
    struct infer_engine *engine = drive_open_m("transformers", *state);
    struct outcome out;

    request.stop = stops;
    request.stop_count = 1;
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){
                   .pieces = STREAM("data: {\"choices\":[{\"text\":\"42\\n\"}]}\n\n",
                                    "data: {\"choices\":[{\"text\":\"\\nQ:\"}]}\n\n",
                                    "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":"
                                    "\"stop\"}]}\n\n")});
    drive_run(engine, &request, &out);
    assert_true(out.done);
    assert_string_equal(out.text, "42");
    engine->ops->free(engine);
}

static void half_characters_and_empty_texts_pass(void **state)
{
    struct outcome out;

    drive_stream(*state, "vllm",
                 STREAM("data: {\"choices\":[{\"text\":\"\"}]}\n\n",
                        "data: {\"choices\":[{\"text\":\"\\ufffd\"}]}\n\n", TOKEN_END, DONE_MARK),
                 &out);
    assert_true(out.done);
    assert_int_equal(out.pieces, 3);
    assert_string_equal(out.text, "\xef\xbf\xbd"
                                  "2");
}

static void what_the_server_gave_up_is_no_answer(void **state)
{
    struct outcome out;

    drive_stream(
        *state, "sglang",
        STREAM("data: {\"choices\":[{\"text\":\"4\",\"finish_reason\":\"abort\"}]}\n\n", DONE_MARK),
        &out);
    assert_true(out.failed);
    assert_string_equal(out.failure.text, "the server gave the request up (abort)");
}

/* ---- limits of time and size ---- */

enum { TRICKLE = 200 };

/* The same piece again and again; the reader must leave before it ends. */
static const char *const *trickle(const char *first, const char *piece)
{
    static const char *pieces[TRICKLE + 2];
    int count = 0;

    if (first)
        pieces[count++] = first;
    while (count < TRICKLE)
        pieces[count++] = piece;
    pieces[count] = NULL;
    return pieces;
}

/* How a request to a server that sends this ends, with these limits. */
static void assert_given_up(struct stub *stub, const struct stub_reply *reply,
                            struct drive_limits limits, const char *says)
{
    struct infer_request request = drive_request("x");
    struct infer_engine *engine;
    struct outcome out;
    int abandoned = stub_abandoned(stub);

    drive_limits = limits;
    engine = drive_open_m("openai", stub);
    stub_reply(stub, COMPLETIONS, reply);
    drive_run(engine, &request, &out);
    assert_true(out.failed);
    if (!strstr(out.failure.text, says))
        fail_msg("\"%s\" does not say \"%s\"", out.failure.text, says);
    engine->ops->free(engine);
    drive_limits = (struct drive_limits){0};
    for (int i = 0; i < 100 && stub_abandoned(stub) == abandoned; i++)
        cap_sleep_ms(20);
    assert_int_equal(stub_abandoned(stub), abandoned + 1); /* nobody reads it any more */
}

static void a_server_that_never_answers_is_given_up(void **state)
{
    assert_given_up(*state, &(struct stub_reply){.silent_ms = 20000, .body = "{}"},
                    (struct drive_limits){.first_token_ms = 200},
                    "sent no token within 0 s (external_first_token_s_max of the node)");
}

static void comments_pings_and_empty_chunks_are_no_progress(void **state)
{
    static const char *const nothings[] = {
        ": keep-alive\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[]}\n\n",
    };
    char says[100];

    for (size_t i = 0; i < CAP_COUNT_OF(nothings); i++) {
        snprintf(says, sizeof says,
                 "sent no token within 0 s (external_first_token_s_max of the "
                 "node)%s",
                 i > 0 ? ", only events without text" : "");
        assert_given_up(*state,
                        &(struct stub_reply){.pieces = trickle(NULL, nothings[i]), .pause_ms = 20},
                        (struct drive_limits){.first_token_ms = 300}, says);
        stub_stop(*state);
        *state = stub_start();
    }
    assert_given_up(*state,
                    &(struct stub_reply){.pieces = trickle(TOKEN_A, nothings[0]), .pause_ms = 20},
                    (struct drive_limits){.first_token_ms = 5000, .silence_ms = 300},
                    "sent no token for 0 s (external_silence_s_max of the node)");
}

/* Tokens come, and the answer does not end. */
static void an_answer_that_does_not_end_is_cut_off(void **state)
{
    static char huge[100000];
    int length = snprintf(huge, sizeof huge, "data: {\"choices\":[{\"text\":\"");

    memset(huge + length, 'x', 80000);
    strcpy(huge + length + 80000, "\"}]}\n\n");
    assert_given_up(*state, &(struct stub_reply){.pieces = trickle(NULL, TOKEN_A), .pause_ms = 20},
                    (struct drive_limits){.request_ms = 400},
                    "did not end the answer within 0 s (external_request_s_max of the node)");
    stub_stop(*state);
    *state = stub_start();
    assert_given_up(*state, &(struct stub_reply){.pieces = trickle(huge, TOKEN_A), .pause_ms = 20},
                    (struct drive_limits){0},
                    "does not end: 80000 bytes came in 1 chunks where at most 8 tokens");
}

static void a_second_request_without_progress_ends_the_engine(void **state)
{
    struct infer_engine *engine;
    struct cap_err err = {0};

    drive_limits = (struct drive_limits){.first_token_ms = 200};
    engine = drive_open_m("openai", *state);
    drive_limits = (struct drive_limits){0};
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){.pieces = trickle(NULL, ": ping\n\n"), .pause_ms = 20});
    assert_false(drive_until_lost(engine, 1, &err));
    assert_true(drive_until_lost(engine, 1, &err));
    assert_non_null(strstr(err.text, "makes no progress: 2 requests in a row were given up"));
    engine->ops->free(engine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, drive_start_stub, drive_stop_stub)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_is_read_whatever_its_line_ends_and_splits),
        TEST(usage_comes_in_a_chunk_of_its_own),
        TEST(usage_comes_with_the_last_choice_and_no_mark_follows),
        TEST(without_usage_nothing_is_counted),
        TEST(a_mark_without_a_reason_is_an_end_whose_reason_is_unknown),
        TEST(a_stream_that_is_no_whole_answer_fails_its_sample),
        TEST(a_reason_without_the_mark_is_an_end_with_a_note),
        TEST(an_answer_that_is_not_streamed_is_told_as_what_it_is),
        TEST(counts_that_cannot_be_are_unknown_and_the_report_says_why),
        TEST(tokens_are_counted_by_usage_in_every_chunk),
        TEST(an_error_inside_a_stream_fails_the_request_with_its_words),
        TEST(a_role_is_no_token_and_reasoning_is_the_first_one),
        TEST(a_stop_string_that_the_server_leaves_in_the_text_is_cut),
        TEST(half_characters_and_empty_texts_pass),
        TEST(what_the_server_gave_up_is_no_answer),
        TEST(a_server_that_never_answers_is_given_up),
        TEST(comments_pings_and_empty_chunks_are_no_progress),
        TEST(an_answer_that_does_not_end_is_cut_off),
        TEST(a_second_request_without_progress_ends_the_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
