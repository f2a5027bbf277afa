/* The endpoint: requests that are read or refused, replies as OpenAI writes them, and the queue
 * between its connections and the engine. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "inference/serve/inside.h"

/* ---- requests ---- */

struct parsed {
    struct cap_arena *arena;
    struct infer_serve_request request;
    const char *param;
    struct cap_err err;
    bool ok;
};

static struct parsed parse(const char *body, bool chat)
{
    struct parsed out = {.arena = cap_arena_new(1 << 20)};

    out.ok =
        infer_serve_parse(body, strlen(body), chat, out.arena, &out.request, &out.param, &out.err);
    return out;
}

static void refused(const char *body, bool chat, const char *param, const char *why)
{
    struct parsed got = parse(body, chat);

    assert_false(got.ok);
    assert_int_equal(got.err.code, CAP_INVALID_ARGUMENT);
    if (param)
        assert_string_equal(got.param, param);
    else
        assert_null(got.param);
    if (!strstr(got.err.text, why))
        fail_msg("\"%s\" is not in \"%s\"", why, got.err.text);
    cap_arena_free(got.arena);
}

static void a_prompt_is_text_or_ids_or_a_list_of_these(void **state)
{
    struct parsed text = parse("{\"prompt\": \"hello\"}", false);
    struct parsed ids = parse("{\"prompt\": [5, 6]}", false);
    struct parsed list = parse("{\"prompt\": [[5], \"b\", [7, 8, 9]]}", false);

    (void)state;
    assert_true(text.ok && ids.ok && list.ok);
    assert_string_equal(text.request.prompts[0].text, "hello");
    assert_int_equal(ids.request.prompt_count, 1);
    assert_int_equal(ids.request.prompts[0].prompt_ids[1], 6);
    assert_int_equal(list.request.prompt_count, 3);
    assert_string_equal(list.request.prompts[1].text, "b");
    assert_int_equal(list.request.prompts[2].prompt_id_count, 3);
    cap_arena_free(text.arena);
    cap_arena_free(ids.arena);
    cap_arena_free(list.arena);
}

static void what_harnesses_send_for_a_likelihood_is_read(void **state)
{
    struct parsed got = parse("{\"model\": \"m\", \"prompt\": [[1, 2, 3]], \"temperature\": 0, "
                              "\"max_tokens\": 1, \"logprobs\": 1, \"seed\": 1234, \"echo\": true}",
                              false);

    (void)state;
    assert_true(got.ok);
    assert_true(got.request.echo);
    assert_int_equal(got.request.logprobs, 1);
    assert_int_equal(got.request.prompts[0].seed, 1234);
    assert_int_equal(got.request.prompts[0].max_tokens, 1);
    cap_arena_free(got.arena);
}

static void a_chat_takes_parts_of_text(void **state)
{
    struct parsed got = parse("{\"messages\": [{\"role\": \"user\", \"content\": "
                              "[{\"type\": \"text\", \"text\": \"a\"}, {\"text\": \"b\"}]}]}",
                              true);

    (void)state;
    assert_true(got.ok);
    assert_string_equal(got.request.prompts[0].messages[0].content, "ab");
    assert_int_equal(got.request.prompts[0].max_tokens, 0);
    cap_arena_free(got.arena);
}

static void a_refusal_names_the_field(void **state)
{
    (void)state;
    refused("{\"prompt\": \"a\", \"max_tokens\": -1}", false, "max_tokens", "whole number from 1");
    refused("{\"prompt\": \"a\", \"max_tokens\": 0}", false, "max_tokens", "whole number from 1");
    refused("{\"prompt\": \"a\", \"temperature\": \"hot\"}", false, "temperature", "not a number");
    refused("{\"prompt\": \"a\", \"n\": 2}", false, "n", "only as 1");
    refused("{\"prompt\": \"a\", \"logit_bias\": {\"5\": 1}}", false, "logit_bias",
            "not supported");
    refused("{\"prompt\": \"a\", \"stop\": [\"\"]}", false, "stop", "an empty text");
    refused("{\"prompt\": []}", false, "prompt", "missing or empty");
    refused("{\"prompt\": [\"a\", \"b\"], \"stream\": true}", false, "stream", "one prompt only");
    refused("{\"prompt\": \"a\", \"logprobs\": 1}", false, "logprobs", "together with echo");
    refused("{\"prompt\": \"a\", \"min_tokens\": 4}", false, "min_tokens",
            "together with ignore_eos");
    refused("{\"messages\": [{\"content\": \"a\"}]}", true, "messages", "without a role");
    refused("{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}",
            true, "messages", "a part that is not text");
    refused("[1]", false, NULL, "not a JSON object");
    refused("{\"prompt\": ", false, NULL, "not JSON");
}

static void null_is_absent(void **state)
{
    struct parsed got =
        parse("{\"prompt\": \"a\", \"stop\": null, \"max_tokens\": null, \"n\": null, "
              "\"logprobs\": null, \"presence_penalty\": 0, \"tools\": []}",
              false);

    (void)state;
    assert_true(got.ok);
    assert_int_equal(got.request.prompts[0].max_tokens, 16);
    cap_arena_free(got.arena);
}

/* ---- replies ---- */

static struct infer_token_bytes bytes(const char *text)
{
    return (struct infer_token_bytes){text, strlen(text)};
}

static struct infer_token_score score(const char *token, const char *best)
{
    return (struct infer_token_score){
        .token = bytes(token),
        .best = best ? bytes(best) : (struct infer_token_bytes){.data = NULL},
        .log_likelihood = -2,
        .best_log_likelihood = strcmp(token, best ? best : "") == 0 ? -2 : -1};
}

/* The only choice of a whole reply to a request that echoes its prompt with log-probabilities. */
static json_t *echo(struct infer_request *prompt, struct infer_token_score *scores, int count)
{
    struct infer_serve_request request = {
        .echo = true, .logprobs = 1, .prompts = prompt, .prompt_count = 1};
    const struct infer_serve_reply reply = {.request = &request, .id = "cmpl-1", .model = "m"};
    const struct infer_served answered = {.finish_reason = "length", .prompt_tokens = count};
    const struct infer_served scorer = {.token_scores = scores, .token_score_count = count};
    CAP_AUTO_BUF(text, 16);
    CAP_AUTO_BUF(out, 1 << 16);
    json_t *body, *choice;

    infer_serve_reply_whole(&reply, &answered, &scorer, &text, &out);
    body = json_loads(out.data, 0, NULL);
    assert_non_null(body);
    choice = json_incref(json_array_get(json_object_get(body, "choices"), 0));
    json_decref(body);
    return choice;
}

static void says(const json_t *choice, const char *list, const char *wanted)
{
    char *got = json_dumps(json_object_get(json_object_get(choice, "logprobs"), list),
                           JSON_COMPACT | JSON_ENSURE_ASCII);

    assert_string_equal(got, wanted);
    free(got);
}

/* "é" is two tokens here, as in a vocabulary of bytes. */
static void parts_of_a_character_have_names_of_their_own(void **state)
{
    struct infer_token_score scores[] = {score("f", NULL), score("\xc3", "\xe2"),
                                         score("\xa9", "\xa9"), score("!", "!")};
    struct infer_request prompt = {.text = "f\xc3\xa9!"};
    json_t *choice = echo(&prompt, scores, 4);

    (void)state;
    says(choice, "tokens", "[\"f\",\"bytes:\\\\xc3\",\"bytes:\\\\xa9\",\"!\"]");
    says(choice, "top_logprobs",
         "[null,{\"bytes:\\\\xe2\":-1.0,\"bytes:\\\\xc3\":-2.0},{\"bytes:\\\\xa9\":-2.0},{\"!\":-2."
         "0}]");
    says(choice, "token_logprobs", "[null,-2.0,-2.0,-2.0]");
    json_decref(choice);
}

static void offsets_count_characters(void **state)
{
    struct infer_token_score scores[] = {score("f\xc3\xa9", NULL), score("\xe2\x82\xac", "a"),
                                         score("\xc3", "a"), score("\xa9", "a"), score("x", "a")};
    struct infer_request prompt = {.text = "f\xc3\xa9\xe2\x82\xac\xc3\xa9x"};
    json_t *choice = echo(&prompt, scores, 5);

    (void)state;
    says(choice, "text_offset", "[0,2,3,3,4]");
    json_decref(choice);
}

static void echoed_ids_are_read_as_one_text(void **state)
{
    static const uint32_t ids[] = {1, 2, 3};
    struct infer_token_score scores[] = {score("f", NULL), score("\xc3", "a"), score("\xa9", "a")};
    struct infer_request prompt = {.prompt_ids = ids, .prompt_id_count = 3};
    json_t *choice = echo(&prompt, scores, 3);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(choice, "text")), "f\xc3\xa9");
    json_decref(choice);
}

static void a_token_that_holds_a_nul_is_named_by_its_bytes(void **state)
{
    struct infer_token_score scores[] = {score("f", NULL), score("a", "a")};
    struct infer_request prompt = {.text = "f"};
    json_t *choice;

    (void)state;
    scores[1].token = (struct infer_token_bytes){"\0", 1};
    choice = echo(&prompt, scores, 2);
    says(choice, "tokens", "[\"f\",\"bytes:\\\\x00\"]");
    json_decref(choice);
}

static void errors_have_openais_shape(void **state)
{
    struct cap_err err = {0};
    CAP_AUTO_BUF(out, 1 << 12);

    (void)state;
    cap_fail(&err, CAP_OUT_OF_RANGE, "too long");
    infer_serve_reply_error(&err, NULL, &out);
    assert_string_equal(out.data,
                        "{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\","
                        "\"param\":null,\"code\":\"context_length_exceeded\"}}\n");
}

/* ---- counts and reasons ---- */

/* The whole reply to `count` prompts that were answered so. */
static json_t *whole(const struct infer_served *served, int count)
{
    struct infer_request prompts[2] = {{.text = "a"}, {.text = "b"}};
    struct infer_serve_request request = {
        .logprobs = -1, .prompts = prompts, .prompt_count = count};
    const struct infer_serve_reply reply = {.request = &request, .id = "cmpl-1", .model = "m"};
    struct cap_buf texts[2] = {{.data = (char *)"x"}, {.data = (char *)"y"}};
    CAP_AUTO_BUF(out, 1 << 16);
    json_t *body;

    infer_serve_reply_whole(&reply, served, served, texts, &out);
    body = json_loads(out.data, 0, NULL);
    assert_non_null(body);
    return body;
}

static void a_sum_with_an_unknown_count_is_unknown(void **state)
{
    const struct infer_served served[2] = {
        {.finish_reason = "eos", .prompt_tokens = 3, .output_tokens = 4, .cached_tokens = 2},
        {.finish_reason = "eos", .prompt_tokens = 5, .output_tokens = -1, .cached_tokens = -1},
    };
    json_t *body = whole(served, 2), *usage = json_object_get(body, "usage");

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(usage, "prompt_tokens")), 8);
    assert_true(json_is_null(json_object_get(usage, "completion_tokens")));
    assert_true(json_is_null(json_object_get(usage, "total_tokens")));
    assert_null(json_object_get(usage, "prompt_tokens_details"));
    json_decref(body);
    body = whole(served, 1);
    usage = json_object_get(body, "usage");
    assert_int_equal(json_integer_value(json_object_get(usage, "total_tokens")), 7);
    json_decref(body);
}

static void a_finish_reason_is_carried_and_never_made_up(void **state)
{
    static const struct {
        const char *engine, *client;
    } rows[] = {{"eos", "stop"}, {"length", "length"}, {"content_filter", "content_filter"}};
    struct infer_served served = {.finish_reason = ""};
    json_t *body = whole(&served, 1);

    (void)state;
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(body, "choices"), 0), "finish_reason")));
    json_decref(body);
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        snprintf(served.finish_reason, sizeof served.finish_reason, "%s", rows[i].engine);
        body = whole(&served, 1);
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(json_object_get(body, "choices"), 0),
                                              "finish_reason")),
            rows[i].client);
        json_decref(body);
    }
}

/* ---- the queue ---- */

static void no_wake(void *arg)
{
    (void)arg;
}

struct reader {
    struct infer_queue *queue;
    struct infer_served *served;
    enum infer_next first; /* what its first wait brought */
};

static void *read_one(void *arg)
{
    struct reader *reader = arg;
    CAP_AUTO_BUF(text, 64);

    reader->first = infer_queue_next(reader->queue, reader->served, 60000, &text);
    return NULL;
}

/* Each of a hundred tokens of one request would end the wait of the other with nothing. */
static void a_token_wakes_only_the_one_who_waits_for_it(void **state)
{
    CAP_AUTO(infer_queue) queue = infer_queue_new(4, no_wake, NULL);
    struct infer_served quiet = {.model = "m"}, busy = {.model = "m"};
    const struct infer_event token = {.kind = INFER_TOKENS, .piece = "x", .tokens = 1};
    const struct infer_event done = {.kind = INFER_DONE, .finish_reason = "eos"};
    struct reader reader = {queue, &quiet, INFER_NEXT_NOTHING};
    struct cap_err err = {0};
    pthread_t thread;

    (void)state;
    assert_true(infer_queue_submit(queue, &quiet, &err));
    assert_true(infer_queue_submit(queue, &busy, &err));
    assert_ptr_equal(infer_queue_take(queue), &quiet);
    assert_ptr_equal(infer_queue_take(queue), &busy);
    assert_int_equal(pthread_create(&thread, NULL, read_one, &reader), 0);
    for (int i = 0; i < 100; i++) {
        cap_sleep_ms(1);
        infer_queue_tokens(queue, &busy, &token);
    }
    infer_queue_tokens(queue, &quiet, &token);
    pthread_join(thread, NULL);
    assert_int_equal(reader.first, INFER_NEXT_PIECE);
    infer_queue_end(queue, &quiet, &done, NULL);
    infer_queue_end(queue, &busy, &done, NULL);
    infer_queue_leave(queue, &quiet);
    infer_queue_leave(queue, &busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_text_or_ids_or_a_list_of_these),
        cmocka_unit_test(what_harnesses_send_for_a_likelihood_is_read),
        cmocka_unit_test(a_chat_takes_parts_of_text),
        cmocka_unit_test(a_refusal_names_the_field),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(parts_of_a_character_have_names_of_their_own),
        cmocka_unit_test(offsets_count_characters),
        cmocka_unit_test(echoed_ids_are_read_as_one_text),
        cmocka_unit_test(a_token_that_holds_a_nul_is_named_by_its_bytes),
        cmocka_unit_test(errors_have_openais_shape),
        cmocka_unit_test(a_sum_with_an_unknown_count_is_unknown),
        cmocka_unit_test(a_finish_reason_is_carried_and_never_made_up),
        cmocka_unit_test(a_token_wakes_only_the_one_who_waits_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
