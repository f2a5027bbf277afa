/* The OpenAI-compatible endpoint, spoken to as its clients do, over plain sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inference/node/work.h"
#include "inference/node/worker.h"
#include "inference/serve/endpoint.h"

struct fixture {
    struct infer_work *work;
    struct infer_queue *queue;
    struct infer_models *models;
    struct infer_hardware hardware;
    struct infer_worker *worker;
    struct infer_serve *serve;
    int port;
};

static void wake(void *arg)
{
    infer_work_poke(arg);
}

static struct fixture *start(const char *engine, const char *models, const char *model)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct infer_worker_options worker;
    struct infer_serve_options serve;
    struct cap_err err = {0};

    f->work = infer_work_new(cap_clock_system(), 1 << 24, 1 << 24);
    f->queue = infer_queue_new(8, wake, f->work);
    f->models = infer_models_open(models, "", 0);
    worker = (struct infer_worker_options){.work = f->work,
                                           .queue = f->queue,
                                           .models = f->models,
                                           .hardware = &f->hardware,
                                           .open_loop_in_flight_max = 4,
                                           .silence_ms_max = 60000,
                                           .serve_engine = engine,
                                           .serve_precision = "",
                                           .serve_concurrency = 2};
    f->worker = infer_worker_start(&worker);
    serve = (struct infer_serve_options){.host = "127.0.0.1",
                                         .queue = f->queue,
                                         .models = f->models,
                                         .model = model,
                                         .any_model = strcmp(engine, "null") == 0};
    f->serve = infer_serve_start(&serve, &f->port, &err);
    assert_non_null(f->serve);
    return f;
}

static int start_null(void **state)
{
    unsetenv("MOECAP_NULL_DELAY_US");
    unsetenv("MOECAP_NULL_TOKENS");
    unsetenv("MOECAP_NULL_TEXT");
    unsetenv("MOECAP_NULL_FAIL_EVERY");
    *state = start("null", "", "peer");
    return 0;
}

static int start_native(void **state)
{
    char models[512];

    snprintf(models, sizeof models, "%s/models", getenv("MOECAP_SOURCE_DIR"));
    *state = start("native", models, "moecap-tiny");
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;

    infer_work_close(f->work);
    infer_serve_free(f->serve);
    infer_worker_free(f->worker);
    infer_queue_free(f->queue);
    infer_work_free(f->work);
    infer_models_free(f->models);
    free(f);
    return 0;
}

/* ---- a client ---- */

static int dial(const struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)f->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_as(int fd, const char *headers, const char *method, const char *path,
                    const char *body)
{
    CAP_AUTO_BUF(text, 1 << 20);

    cap_buf_printf(&text, "%s %s HTTP/1.0\r\n%sContent-Length: %zu\r\n\r\n%s", method, path,
                   headers, strlen(body), body);
    assert_int_equal(write(fd, text.data, text.length), (ssize_t)text.length);
}

static void send_request(int fd, const char *method, const char *path, const char *body)
{
    send_as(fd, "Host: localhost\r\nContent-Type: application/json\r\n", method, path, body);
}

/* The status; the body into out. */
static int say(const struct fixture *f, const char *method, const char *path, const char *body,
               struct cap_buf *out)
{
    CAP_AUTO_FD int fd = dial(f);
    CAP_AUTO_BUF(text, 1 << 24);
    char block[4096];
    ssize_t length;
    int status = 0;

    send_request(fd, method, path, body);
    while ((length = read(fd, block, sizeof block)) > 0)
        cap_buf_add(&text, block, (size_t)length);
    assert_int_equal(sscanf(text.data, "HTTP/1.1 %d", &status), 1);
    cap_buf_clear(out);
    cap_buf_add_str(out, strstr(text.data, "\r\n\r\n") + 4);
    return status;
}

static json_t *say_json(const struct fixture *f, const char *path, const char *body,
                        int *out_status)
{
    CAP_AUTO_BUF(text, 1 << 24);
    json_error_t where;
    json_t *value;

    *out_status = say(f, "POST", path, body, &text);
    value = json_loads(text.data, 0, &where);
    if (!value)
        fail_msg("not JSON: %s", text.data);
    return value;
}

static const char *text_at(const json_t *value, const char *a, const char *b)
{
    return json_string_value(json_object_get(json_object_get(value, a), b));
}

static json_t *choice(const json_t *value, size_t index)
{
    return json_array_get(json_object_get(value, "choices"), index);
}

/* ---- whole replies ---- */

static void a_completion_has_text_finish_reason_and_usage(void **state)
{
    int status;
    json_t *reply = say_json(*state, "/v1/completions",
                             "{\"model\": \"peer\", \"prompt\": \"hi\", \"max_tokens\": 3, "
                             "\"temperature\": 0.0, \"seed\": 1234}",
                             &status);
    json_t *usage = json_object_get(reply, "usage");

    assert_int_equal(status, 200);
    assert_string_equal(json_string_value(json_object_get(reply, "object")), "text_completion");
    assert_string_equal(json_string_value(json_object_get(choice(reply, 0), "finish_reason")),
                        "length");
    assert_true(json_string_length(json_object_get(choice(reply, 0), "text")) > 0);
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 3);
    assert_int_equal(json_integer_value(json_object_get(usage, "total_tokens")),
                     json_integer_value(json_object_get(usage, "prompt_tokens")) + 3);
    json_decref(reply);
}

static void several_prompts_give_as_many_choices(void **state)
{
    int status;
    json_t *reply =
        say_json(*state, "/v1/completions",
                 "{\"prompt\": [\"a\", [1, 2, 3], \"c\"], \"max_tokens\": 20, \"stop\": [\"\\n\"]}",
                 &status);

    assert_int_equal(status, 200);
    assert_int_equal(json_array_size(json_object_get(reply, "choices")), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(json_integer_value(json_object_get(choice(reply, i), "index")), i);
        assert_string_equal(json_string_value(json_object_get(choice(reply, i), "text")),
                            "The answer is as good as any other.");
        assert_string_equal(json_string_value(json_object_get(choice(reply, i), "finish_reason")),
                            "stop");
    }
    json_decref(reply);
}

static void a_chat_takes_texts_and_parts(void **state)
{
    int status;
    json_t *reply = say_json(*state, "/v1/chat/completions",
                             "{\"messages\": [{\"role\": \"system\", \"content\": \"be brief\"}, "
                             "{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
                             "\"hi\"}]}]}",
                             &status);
    json_t *message = json_object_get(choice(reply, 0), "message");

    assert_int_equal(status, 200);
    assert_string_equal(json_string_value(json_object_get(message, "role")), "assistant");
    assert_non_null(strstr(json_string_value(json_object_get(message, "content")), "####"));
    json_decref(reply);
}

/* ---- streams ---- */

/* Counts the events and hands out each one's JSON; the last must be [DONE]. */
static int read_events(const char *text, json_t *events[], int max)
{
    int count = 0;
    const char *at = text;

    while (strncmp(at, "data: ", 6) == 0) {
        const char *end = strstr(at, "\n\n");

        assert_non_null(end);
        if (strncmp(at + 6, "[DONE]", 6) == 0) {
            assert_string_equal(end, "\n\n");
            return count;
        }
        assert_true(count < max);
        events[count] = json_loadb(at + 6, (size_t)(end - at - 6), 0, NULL);
        assert_non_null(events[count++]);
        at = end + 2;
    }
    fail_msg("no [DONE]: %s", at);
    return 0;
}

static void a_stream_has_a_chunk_a_token_then_reason_usage_and_done(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);
    json_t *events[16];
    int count;

    assert_int_equal(say(*state, "POST", "/v1/completions",
                         "{\"prompt\": \"hi\", \"max_tokens\": 4, \"stream\": true, "
                         "\"stream_options\": {\"include_usage\": true}}",
                         &text),
                     200);
    count = read_events(text.data, events, 16);
    assert_int_equal(count, 6);
    for (int i = 0; i < 4; i++)
        assert_true(json_is_null(json_object_get(choice(events[i], 0), "finish_reason")));
    assert_string_equal(json_string_value(json_object_get(choice(events[4], 0), "finish_reason")),
                        "length");
    assert_int_equal(json_array_size(json_object_get(events[5], "choices")), 0);
    assert_int_equal(json_integer_value(
                         json_object_get(json_object_get(events[5], "usage"), "completion_tokens")),
                     4);
    for (int i = 0; i < count; i++)
        json_decref(events[i]);
}

static void a_chat_stream_begins_with_the_role(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);
    json_t *events[32];
    int count;

    say(*state, "POST", "/v1/chat/completions",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"stream\": true}", &text);
    count = read_events(text.data, events, 32);
    assert_int_equal(count, 1 + 8 + 1);
    assert_string_equal(text_at(choice(events[0], 0), "delta", "role"), "assistant");
    assert_non_null(text_at(choice(events[1], 0), "delta", "content"));
    assert_int_equal(json_object_size(json_object_get(choice(events[9], 0), "delta")), 0);
    for (int i = 0; i < count; i++)
        json_decref(events[i]);
}

static void a_failure_before_the_first_token_is_a_status(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);

    setenv("MOECAP_NULL_FAIL_EVERY", "1", 1);
    assert_int_equal(
        say(*state, "POST", "/v1/completions", "{\"prompt\": \"hi\", \"stream\": true}", &text),
        500);
    assert_non_null(strstr(text.data, "was told to fail"));
    unsetenv("MOECAP_NULL_FAIL_EVERY");
}

static void text_is_whole_characters_in_every_chunk(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);
    CAP_AUTO_BUF(joined, 1000);
    json_t *events[64];
    int count;

    setenv("MOECAP_NULL_TEXT", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80!", 1);
    setenv("MOECAP_NULL_TOKENS", "9", 1); /* about a byte a token */
    say(*state, "POST", "/v1/completions", "{\"prompt\": \"hi\", \"stream\": true}", &text);
    count = read_events(text.data, events, 64);
    for (int i = 0; i < count; i++) {
        cap_buf_add_str(&joined, json_string_value(json_object_get(choice(events[i], 0), "text")));
        json_decref(events[i]);
    }
    assert_string_equal(joined.data, "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80!");
}

static void a_client_that_hangs_up_frees_the_engine(void **state)
{
    struct fixture *f = *state;
    CAP_AUTO_BUF(text, 1 << 20);
    int64_t started_ms;
    int fds[2];

    setenv("MOECAP_NULL_DELAY_US", "10000", 1);
    setenv("MOECAP_NULL_TOKENS", "100000", 1);
    for (int i = 0; i < 2; i++) { /* both places of the engine */
        fds[i] = dial(f);
        send_request(fds[i], "POST", "/v1/completions",
                     "{\"prompt\": \"hi\", \"max_tokens\": 100000, \"stream\": true}");
    }
    cap_sleep_ms(200);
    close(fds[0]);
    close(fds[1]);
    started_ms = cap_clock_ms(cap_clock_system());
    assert_int_equal(
        say(f, "POST", "/v1/completions", "{\"prompt\": \"hi\", \"max_tokens\": 1}", &text), 200);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 2000);
}

/* ---- refusals ---- */

static void every_bad_field_is_named(void **state)
{
    static const struct {
        const char *path, *body, *param, *says;
    } cases[] = {
        {"/v1/completions", "{\"prompt\": 7}", "prompt", "neither text, nor token ids"},
        {"/v1/completions", "{\"prompt\": []}", "prompt", "missing or empty"},
        {"/v1/completions", "{}", "prompt", "missing or empty"},
        {"/v1/completions", "{\"prompt\": \"a\", \"max_tokens\": 0}", "max_tokens", "from 1 up"},
        {"/v1/completions", "{\"prompt\": \"a\", \"max_tokens\": \"9\"}", "max_tokens", "whole"},
        {"/v1/completions", "{\"prompt\": \"a\", \"temperature\": -1}", "temperature", "from 0"},
        {"/v1/completions", "{\"prompt\": \"a\", \"top_p\": 1.5}", "top_p", "to 1"},
        {"/v1/completions", "{\"prompt\": \"a\", \"n\": 2}", "n", "only as 1"},
        {"/v1/completions", "{\"prompt\": \"a\", \"stop\": [\"\"]}", "stop", "empty"},
        {"/v1/completions", "{\"prompt\": \"a\", \"stop\": 3}", "stop", "list of strings"},
        {"/v1/completions", "{\"prompt\": \"a\", \"stream\": 1}", "stream", "true or false"},
        {"/v1/completions", "{\"prompt\": [\"a\", \"b\"], \"stream\": true}", "stream", "one"},
        {"/v1/completions", "{\"prompt\": \"a\", \"min_tokens\": 3}", "min_tokens", "ignore_eos"},
        {"/v1/completions", "{\"prompt\": \"a\", \"logit_bias\": {\"5\": 1}}", "logit_bias", "not"},
        {"/v1/completions", "{\"prompt\": \"a\", \"model\": 3}", "model", "string"},
        {"/v1/completions", "{\"prompt\": \"a\", \"logprobs\": 1}", "logprobs", "with echo"},
        {"/v1/completions", "{\"prompt\": \"a\", \"echo\": true, \"logprobs\": 5}", "logprobs",
         "0 or 1"},
        {"/v1/completions", "{\"prompt\": [1], \"echo\": true}", "echo", "with logprobs"},
        {"/v1/chat/completions", "{\"messages\": []}", "messages", "empty"},
        {"/v1/chat/completions", "{\"messages\": [{\"content\": \"x\"}]}", "messages", "role"},
        {"/v1/chat/completions",
         "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}",
         "messages", "not text"},
        {"/v1/chat/completions",
         "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tools\": [{}]}", "tools",
         "not supported"},
    };

    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        int status;
        json_t *reply = say_json(*state, cases[i].path, cases[i].body, &status);

        assert_int_equal(status, 400);
        assert_string_equal(text_at(reply, "error", "param"), cases[i].param);
        assert_non_null(strstr(text_at(reply, "error", "message"), cases[i].says));
        assert_string_equal(text_at(reply, "error", "type"), "invalid_request_error");
        json_decref(reply);
    }
}

static void a_body_that_is_not_json_is_refused(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);

    assert_int_equal(say(*state, "POST", "/v1/completions", "{\"prompt\":", &text), 400);
    assert_non_null(strstr(text.data, "the body is not JSON: line 1, column 10: "));
    assert_int_equal(say(*state, "POST", "/v1/completions", "{\"prompt\": \"a\\u0000\"}", &text),
                     400);
    assert_non_null(strstr(text.data, "a text that holds \\\\u0000"));
    assert_null(strstr(text.data, "JSON_ALLOW_NUL"));
    assert_int_equal(say(*state, "POST", "/v1/completions", "[1]", &text), 400);
    assert_non_null(strstr(text.data, "not a JSON object"));
}

static void health_version_models_and_counters_answer(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);

    assert_int_equal(say(*state, "GET", "/health", "", &text), 200);
    assert_int_equal(say(*state, "GET", "/version", "", &text), 200);
    assert_int_equal(say(*state, "GET", "/v1/models", "", &text), 200);
    assert_non_null(strstr(text.data, "\"object\":\"list\""));
    assert_int_equal(say(*state, "GET", "/metrics", "", &text), 200);
    assert_non_null(strstr(text.data, "moecap_inference_outside_requests_total"));
    assert_int_equal(say(*state, "GET", "/v1/models/zzz", "", &text), 404);
    assert_non_null(strstr(text.data, "model_not_found"));
}

static int status_as(const struct fixture *f, const char *headers, const char *method,
                     const char *path)
{
    CAP_AUTO_FD int fd = dial(f);
    char reply[1024] = "";
    int status = 0;

    send_as(fd, headers, method, path, "{\"prompt\": \"a\", \"max_tokens\": 1}");
    assert_true(read(fd, reply, sizeof reply - 1) > 0);
    assert_int_equal(sscanf(reply, "HTTP/1.1 %d", &status), 1);
    return status;
}

/* As the gateway keeps them out: a page's name that leads here, a page that posts without asking.
 */
static void a_foreign_page_neither_reads_nor_runs_the_model(void **state)
{
#define JSON "Content-Type: application/json\r\n"
    static const struct {
        const char *headers, *method, *path;
        int status;
    } rows[] = {
        {"Host: localhost\r\n" JSON, "POST", "/v1/completions", 200},
        {"Host: 127.0.0.1:7870\r\n" JSON, "POST", "/v1/completions", 200},
        {"Host: evil.com\r\n" JSON, "POST", "/v1/completions", 403},
        {"Host: evil.com\r\n", "GET", "/v1/models", 403},
        {"Host: localhost\r\nHost: evil.com\r\n", "GET", "/v1/models", 403},
        {"Host: localhost\r\nOrigin: http://evil.com\r\n" JSON, "POST", "/v1/completions", 403},
        {"Host: localhost\r\nContent-Type: text/plain\r\n", "POST", "/v1/completions", 415},
        {"Host: localhost\r\nContent-Type: text/plain\r\n", "POST", "/v1/chat/completions", 415},
        {"Host: localhost\r\n", "POST", "/v1/completions", 415},
        {"Host: node-7.cluster\r\n", "GET", "/health", 200},
    };

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        int status = status_as(*state, rows[i].headers, rows[i].method, rows[i].path);

        if (status != rows[i].status)
            fail_msg("%d to %s %s", status, rows[i].path, rows[i].headers);
    }
#undef JSON
}

/* ---- with a real model ---- */

static void the_shipped_model_answers_over_http(void **state)
{
    int status;
    json_t *reply = say_json(
        *state, "/v1/chat/completions",
        "{\"model\": \"moecap-tiny\", \"temperature\": 0, \"max_tokens\": 100, \"messages\": "
        "[{\"role\": \"user\", \"content\": \"9 hens lay 7 eggs each. Nora sells 13 of "
        "the eggs. How many eggs are left?\"}]}",
        &status);

    assert_int_equal(status, 200);
    assert_non_null(strstr(text_at(choice(reply, 0), "message", "content"), "#### 50"));
    json_decref(reply);
}

/* As lm-eval asks for log-likelihoods: echo, one token more, the sum over the continuation's part.
 */
static void an_echoed_prompt_has_a_log_probability_a_token(void **state)
{
    int status;
    json_t *reply = say_json(*state, "/v1/completions",
                             "{\"prompt\": \"Question: 9 hens lay 7 eggs\", \"max_tokens\": 1, "
                             "\"temperature\": 0, \"logprobs\": 1, \"echo\": true}",
                             &status);
    json_t *logprobs = json_object_get(choice(reply, 0), "logprobs");
    json_t *scores = json_object_get(logprobs, "token_logprobs");
    json_t *best = json_object_get(logprobs, "top_logprobs");
    size_t count = json_array_size(scores);
    int greedy = 0;

    assert_int_equal(status, 200);
    assert_int_equal(count, json_array_size(json_object_get(logprobs, "tokens")));
    assert_true(json_is_null(json_array_get(scores, 0)));
    for (size_t i = 1; i + 1 < count; i++) {
        double score = json_real_value(json_array_get(scores, i)), top = -1e9, value;
        const char *token;
        json_t *alternative;

        json_object_foreach(json_array_get(best, i), token, alternative)
        {
            value = json_real_value(alternative);
            top = value > top ? value : top;
        }
        assert_true(score <= top && top <= 0);
        greedy += score == top;
    }
    assert_in_range(greedy, 1, (int)count - 2);
    assert_int_equal(strncmp(json_string_value(json_object_get(choice(reply, 0), "text")),
                             "Question: 9 hens lay 7 eggs", 27),
                     0);
    json_decref(reply);
}

/* The token that follows is an eos, which has no text: it still has its place behind the prompt's.
 */
static void a_generated_eos_has_its_place_among_the_log_probabilities(void **state)
{
    int status;
    json_t *reply = say_json(
        *state, "/v1/completions",
        "{\"prompt\": \"What is half of 44?\\nA. 27\\nB. 22\\nC. 32\\nD. 20\\nAnswer: B\", "
        "\"max_tokens\": 1, \"temperature\": 0, \"logprobs\": 1, \"echo\": true}",
        &status);
    json_t *logprobs = json_object_get(choice(reply, 0), "logprobs");
    json_t *tokens = json_object_get(logprobs, "tokens");
    size_t count = json_array_size(tokens);

    assert_int_equal(status, 200);
    assert_string_equal(json_string_value(json_array_get(tokens, count - 1)), "");
    assert_string_equal(json_string_value(json_array_get(tokens, count - 2)), " B");
    assert_true(json_real_value(
                    json_array_get(json_object_get(logprobs, "token_logprobs"), count - 2)) > -0.7);
    json_decref(reply);
}

/* Clients that know vLLM look for it there, ours too. */
static void the_model_list_tells_the_context(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);

    assert_int_equal(say(*state, "GET", "/v1/models", "", &text), 200);
    assert_non_null(strstr(text.data, "\"max_model_len\":1024"));
}

static void an_unknown_model_is_404_with_the_known_names(void **state)
{
    int status;
    json_t *reply =
        say_json(*state, "/v1/completions", "{\"model\": \"gpt\", \"prompt\": \"x\"}", &status);

    assert_int_equal(status, 404);
    assert_string_equal(text_at(reply, "error", "message"),
                        "this node has no model \"gpt\"; it has: moecap-tiny");
    assert_string_equal(text_at(reply, "error", "code"), "model_not_found");
    json_decref(reply);
}

static void a_prompt_past_the_context_is_400_with_openais_code(void **state)
{
    int status;
    json_t *reply =
        say_json(*state, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 5000}", &status);

    assert_int_equal(status, 400);
    assert_string_equal(text_at(reply, "error", "code"), "context_length_exceeded");
    json_decref(reply);
}

int main(void)
{
#define NULL_TEST(name) cmocka_unit_test_setup_teardown(name, start_null, stop)
#define NATIVE_TEST(name) cmocka_unit_test_setup_teardown(name, start_native, stop)
    const struct CMUnitTest tests[] = {
        NULL_TEST(a_completion_has_text_finish_reason_and_usage),
        NULL_TEST(several_prompts_give_as_many_choices),
        NULL_TEST(a_chat_takes_texts_and_parts),
        NULL_TEST(a_stream_has_a_chunk_a_token_then_reason_usage_and_done),
        NULL_TEST(a_chat_stream_begins_with_the_role),
        NULL_TEST(a_failure_before_the_first_token_is_a_status),
        NULL_TEST(text_is_whole_characters_in_every_chunk),
        NULL_TEST(a_client_that_hangs_up_frees_the_engine),
        NULL_TEST(every_bad_field_is_named),
        NULL_TEST(a_body_that_is_not_json_is_refused),
        NULL_TEST(health_version_models_and_counters_answer),
        NULL_TEST(a_foreign_page_neither_reads_nor_runs_the_model),
        NATIVE_TEST(the_shipped_model_answers_over_http),
        NATIVE_TEST(an_echoed_prompt_has_a_log_probability_a_token),
        NATIVE_TEST(a_generated_eos_has_its_place_among_the_log_probabilities),
        NATIVE_TEST(the_model_list_tells_the_context),
        NATIVE_TEST(an_unknown_model_is_404_with_the_known_names),
        NATIVE_TEST(a_prompt_past_the_context_is_400_with_openais_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
