/* External engines against a scripted server: readiness, identity, what is sent, refusals, loss.
 * The replies are written after what real servers send. docs/engines.md has the 22 points that an
 * adapter must handle and names the test of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "drive.h"

/* ---- what is sent ---- */

static void send_one(struct stub *stub, const char *kind, const struct infer_request *request)
{
    struct infer_engine *engine = drive_open_m(kind, stub);
    struct outcome out;

    stub_reply(stub, COMPLETIONS, &(struct stub_reply){.pieces = STREAM(TOKEN_END, DONE_MARK)});
    drive_run(engine, request, &out);
    assert_true(out.done);
    engine->ops->free(engine);
}

static void each_kind_is_sent_what_it_honours(void **state)
{
    static const struct {
        const char *kind, *body;
    } rows[] = {
        {"openai", "{\"stream_options\":{\"include_usage\":true},\"ignore_eos\":true}"},
        {"vllm", "{\"stream_options\":{\"include_usage\":true,\"continuous_usage_stats\":true},"
                 "\"top_k\":0,\"min_p\":0.0,\"repetition_penalty\":1.0,\"presence_penalty\":0.0,"
                 "\"frequency_penalty\":0.0,"
                 "\"ignore_eos\":true,\"min_tokens\":8}"},
        {"sglang", "{\"stream_options\":{\"include_usage\":true},\"top_k\":-1,\"min_p\":0.0,"
                   "\"repetition_penalty\":1.0,\"presence_penalty\":0.0,\"frequency_penalty\":0.0,"
                   "\"ignore_eos\":true,\"min_tokens\":8}"},
        {"llamacpp", "{\"stream_options\":{\"include_usage\":true},\"top_k\":0,\"min_p\":0.0,"
                     "\"typical_p\":1.0,\"repeat_penalty\":1.0,\"presence_penalty\":0.0,"
                     "\"frequency_penalty\":0.0,\"cache_prompt\":false,\"ignore_eos\":true}"},
        {"transformers",
         "{\"frequency_penalty\":0.0,\"generation_config\":\"{\\\"do_sample\\\":false,"
         "\\\"max_new_tokens\\\":8,\\\"min_new_tokens\\\":8}\"}"},
    };
    struct infer_request request = drive_request("2 * 21 =");

    request.ignore_eos = true;
    request.seed = 7;
    for (int i = 0; i < (int)CAP_COUNT_OF(rows); i++) {
        json_t *expected = json_loads(rows[i].body, 0, NULL), *sent;

        send_one(*state, rows[i].kind, &request);
        sent = drive_asked(*state, COMPLETIONS, i);
        json_object_update_new(expected,
                               json_pack("{s:s,s:s,s:i,s:f,s:f,s:i,s:b}", "model", "m", "prompt",
                                         "2 * 21 =", "max_tokens", 8, "temperature", 0.0, "top_p",
                                         1.0, "seed", 7, "stream", 1));
        if (!json_equal(sent, expected))
            fail_msg("%s: sent %s, not %s", rows[i].kind, json_dumps(sent, JSON_SORT_KEYS),
                     json_dumps(expected, JSON_SORT_KEYS));
        json_decref(sent);
        json_decref(expected);
    }
}

static void sampling_is_asked_for_as_the_kind_wants_it(void **state)
{
    struct infer_request request = drive_request("x");
    json_t *sent, *config;

    request.temperature = 0.7;
    request.top_p = 0.9;
    request.top_k = 40;
    request.seed = 0x1234567890;
    send_one(*state, "transformers", &request);
    sent = drive_asked(*state, COMPLETIONS, 0);
    assert_null(json_object_get(sent, "top_k")); /* it would be refused */
    assert_int_equal(json_integer_value(json_object_get(sent, "seed")), 0x34567890);
    config = json_loads(json_string_value(json_object_get(sent, "generation_config")), 0, NULL);
    assert_true(json_is_true(json_object_get(config, "do_sample")));
    assert_int_equal(json_integer_value(json_object_get(config, "top_k")), 40);
    assert_true(json_real_value(json_object_get(config, "temperature")) == 0.7);
    json_decref(config);
    json_decref(sent);
    send_one(*state, "vllm", &request);
    sent = drive_asked(*state, COMPLETIONS, 1);
    assert_int_equal(json_integer_value(json_object_get(sent, "top_k")), 40);
    assert_int_equal(json_integer_value(json_object_get(sent, "seed")), 0x1234567890);
    json_decref(sent);
}

static void what_cannot_be_asked_is_refused_before_it_is_sent(void **state)
{
    static const char *const stops[] = {"a", "b", "c", "d", "e"};
    static const uint32_t ids[] = {1, 2, 3};
    struct infer_request request = drive_request("x"), tokens = {.id = 2, .max_tokens = 1};
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct outcome out;

    request.stop = stops;
    request.stop_count = 5;
    drive_run(engine, &request, &out);
    assert_string_equal(out.failure.text, "engine openai takes 4 stop strings, not 5");
    request = drive_request("\xff");
    drive_run(engine, &request, &out);
    assert_non_null(strstr(out.failure.text, "not UTF-8"));
    engine->ops->free(engine);
    engine = drive_open_m("transformers", *state);
    tokens.prompt_ids = ids;
    tokens.prompt_id_count = 3;
    drive_run(engine, &tokens, &out);
    assert_string_equal(out.failure.text, "engine transformers takes text, not tokens");
    engine->ops->free(engine);
    assert_int_equal(stub_count(*state, COMPLETIONS), 0);
}

/* ---- readiness, identity, limits ---- */

static void nobody_there_is_waited_for_only_so_long(void **state)
{
    int64_t start_ms = cap_clock_ms(cap_clock_system()), took_ms;
    struct cap_err err = {0};

    stub_hang_up(*state);
    assert_null(drive_open("vllm", stub_url(*state), "m", &err));
    took_ms = cap_clock_ms(cap_clock_system()) - start_ms;
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_non_null(strstr(err.text, "could not connect to http://127.0.0.1"));
    assert_in_range(took_ms, 200, 5000);
}

static void a_server_that_loads_is_waited_for(void **state)
{
    const struct stub_reply loading = {
        .status = 503,
        .body = "{\"error\":{\"message\":\"Loading model\",\"type\":\"unavailable_error\","
                "\"code\":503}}"};
    struct infer_engine *engine;
    struct cap_err err = {0};

    stub_reply(*state, "/health", &loading);
    stub_reply(*state, "/health", &loading);
    stub_reply(*state, "/health", &(struct stub_reply){.body = ""}); /* as vLLM does */
    engine = drive_open_m("llamacpp", *state);
    assert_int_equal(stub_count(*state, "/health"), 3);
    engine->ops->free(engine);

    stub_reply(*state, "/ready", &loading);
    assert_null(drive_open("sglang", stub_url(*state), "m", &err));
    assert_non_null(strstr(err.text, "/ready answers 503: Loading model"));
}

static void sglangs_health_is_never_asked(void **state)
{
    struct outcome out;

    drive_stream(*state, "sglang", STREAM(TOKEN_A, TOKEN_END, USAGE_CHUNK, DONE_MARK), &out);
    assert_true(out.done);
    assert_int_equal(stub_count(*state, "/ready"), 1);
    assert_int_equal(stub_count(*state, "/health"), 0);
}

static void a_model_that_is_not_listed_is_refused_with_one_that_is(void **state)
{
    static const char long_name[] =
        "{\"data\":[{\"id\":\"a\\u001b[2J"
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}]}";
    struct cap_err err = {0};
    struct infer_engine *engine;

    stub_reply(*state, "/v1/models",
               &(struct stub_reply){.body = "{\"data\":[{\"id\":\"other\"}]}"});
    assert_null(drive_open("llamacpp", stub_url(*state), "m", &err));
    assert_int_equal(err.code, CAP_NOT_FOUND);
    assert_non_null(strstr(err.text, "the server offers \"other\", not \"m\": "));
    cap_err_clear(&err);
    stub_reply(*state, "/v1/models", &(struct stub_reply){.body = long_name});
    stub_reply(*state, "/v1/models", &(struct stub_reply){.body = long_name});
    assert_null(drive_open("llamacpp", stub_url(*state), "m", &err)); /* uses up the first list */
    cap_err_clear(&err);
    assert_null(drive_open("llamacpp", stub_url(*state), "m", &err));
    assert_non_null(strstr(err.text, "offers \"a [2J\xc3\xa9\xc3\xa9")); /* cut, and harmless */
    assert_non_null(strstr(err.text, "or as --served-model"));
    cap_err_clear(&err);
    /* a kind that refuses other names itself may serve what it does not list */
    engine = drive_open("transformers", stub_url(*state), "/models/m", &err);
    assert_non_null(engine);
    engine->ops->free(engine);
}

static void what_is_no_model_list_is_told(void **state)
{
    struct cap_err err = {0};

    stub_reply(*state, "/v1/models", &(struct stub_reply){.body = "<html>hello</html>"});
    stub_reply(*state, "/v1/models",
               &(struct stub_reply){.status = 401, .body = "{\"error\":{\"message\":\"no key\"}}"});
    assert_null(drive_open("openai", stub_url(*state), "m", &err));
    cap_err_clear(&err);
    assert_null(drive_open("openai", stub_url(*state), "m", &err));
    assert_non_null(strstr(err.text, "/v1/models answered 401: no key"));
    cap_err_clear(&err);
    stub_reply(*state, "/v1/models", &(struct stub_reply){.body = "{\"data\":[]}"});
    assert_null(drive_open("openai", stub_url(*state), "m", &err)); /* uses up the 401 */
    cap_err_clear(&err);
    assert_null(drive_open("openai", stub_url(*state), "m", &err));
    assert_int_equal(err.code, CAP_NOT_FOUND);
    assert_string_equal(err.text, "the server lists no model, so not \"m\" either");
}

static void version_and_context_are_read_where_each_kind_tells_them(void **state)
{
    struct infer_engine_report report;
    struct infer_engine *engine;
    struct cap_err err = {0};
    struct infer_request request = drive_request("x");
    struct outcome out;

    stub_reply(*state, "/version", &(struct stub_reply){.body = "{\"version\":\"0.32.0\"}"});
    stub_reply(*state, "/v1/models",
               &(struct stub_reply){.body = "{\"data\":[{\"id\":\"m\",\"max_model_len\":4096}]}"});
    engine = drive_open("vllm", stub_url(*state), "m", &err);
    assert_non_null(engine);
    engine->ops->report(engine, &report);
    assert_string_equal(report.version, "0.32.0");
    assert_int_equal(report.context_tokens_max, 4096);
    assert_string_equal(report.timing_boundary, "http");
    engine->ops->free(engine);

    stub_reply(
        *state, "/v1/models",
        &(struct stub_reply){.body = "{\"data\":[{\"id\":\"m\",\"meta\":{\"n_ctx\":1024}}]}"});
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){
                   .pieces = STREAM("data: {\"system_fingerprint\":\"b7000-abc\",\"choices\":"
                                    "[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n",
                                    DONE_MARK)});
    engine = drive_open("openai", stub_url(*state), "m", &err); /* uses up the first list */
    engine->ops->free(engine);
    engine = drive_open("llamacpp", stub_url(*state), "m", &err);
    engine->ops->report(engine, &report);
    assert_null(report.version);
    assert_int_equal(report.context_tokens_max, 1024);
    drive_run(engine, &request, &out);
    engine->ops->report(engine, &report);
    assert_string_equal(report.version, "b7000-abc");
    engine->ops->free(engine);
}

static void a_server_of_another_kind_is_told_to_readers(void **state)
{
    static const struct {
        const char *kind, *models, *path, *body, *says;
    } rows[] = {
        {"vllm", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\"}]}", NULL, NULL, NULL},
        {"openai", "{\"data\":[{\"id\":\"m\"}]}", NULL, NULL, NULL},
        {"vllm", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"sglang\"}]}", NULL, NULL,
         "SGLang (its models are owned by \"sglang\")"},
        {"ktransformers", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"sglang\"}]}", NULL, NULL, NULL},
        {"vllm", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"moecap\"}]}", NULL, NULL,
         "a node of moecap (this is a moecap node"},
        {"sglang", "{\"data\":[{\"id\":\"m\"}]}", "/props",
         "{\"default_generation_settings\":{\"n_ctx\":4}}",
         "llama.cpp (/props answers with \"default_generation_settings\")"},
        {"openai", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\"}]}", NULL, NULL,
         "vLLM (its models are owned by \"vllm\")"},
    };

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct infer_engine_report report;
        struct infer_engine *engine;
        struct cap_err err = {0};

        stub_stop(*state);
        *state = stub_start();
        stub_reply(*state, "/v1/models", &(struct stub_reply){.body = rows[i].models});
        if (rows[i].path)
            stub_reply(*state, rows[i].path, &(struct stub_reply){.body = rows[i].body});
        engine = drive_open(rows[i].kind, stub_url(*state), "m", &err);
        assert_non_null(engine);
        engine->ops->report(engine, &report);
        if ((report.server_says == NULL) != (rows[i].says == NULL) ||
            (rows[i].says && strncmp(report.server_says, rows[i].says, strlen(rows[i].says)) != 0))
            fail_msg("row %zu: %s", i, report.server_says ? report.server_says : "nothing");
        assert_true(drive_has_note(&report, "and the server says it is: ") ==
                    (rows[i].says != NULL));
        engine->ops->free(engine);
    }
}

static void what_cannot_fit_into_the_context_is_not_sent(void **state)
{
    static char long_text[40001];
    struct infer_engine *engine;
    struct cap_err err = {0};
    struct infer_request request;
    struct outcome out;

    memset(long_text, 'a', sizeof long_text - 1);
    stub_reply(*state, "/v1/models",
               &(struct stub_reply){.body = "{\"data\":[{\"id\":\"m\",\"max_model_len\":2048}]}"});
    engine = drive_open("transformers", stub_url(*state), "m", &err);
    request = drive_request(long_text);
    drive_run(engine, &request, &out);
    assert_int_equal(out.failure.code, CAP_OUT_OF_RANGE);
    assert_string_equal(out.failure.text, "a prompt of 2501 tokens or more and 8 to generate do "
                                          "not fit into the server's context of 2048");
    request = drive_request("short");
    request.max_tokens = 4096;
    drive_run(engine, &request, &out);
    assert_int_equal(out.failure.code, CAP_OUT_OF_RANGE);
    assert_int_equal(stub_count(*state, COMPLETIONS), 0);
    engine->ops->free(engine);
}

/* ---- refusals, overload, loss ---- */

static void a_refusal_is_mapped_to_what_it_means(void **state)
{
    static const struct {
        int status;
        const char *body, *says;
        enum cap_code code;
    } rows[] = {
        {400,
         "{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context "
         "size\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":60001,\"n_ctx\":4096}}",
         "too long for the server; it answered 400", CAP_OUT_OF_RANGE},
        {400,
         "{\"object\":\"error\",\"message\":\"The input (60001 tokens) is longer than the model's "
         "context length\",\"type\":\"BadRequest\",\"param\":null,\"code\":400}",
         "too long for the server", CAP_OUT_OF_RANGE},
        {404,
         "{\"error\":{\"message\":\"The model `x` does not exist.\",\"type\":\"NotFoundError\"}}",
         "no such model; it answered 404", CAP_NOT_FOUND},
        {400, "{\"detail\":\"Server is pinned to 'a'; requested 'b'\"}", "no such model",
         CAP_NOT_FOUND},
        {422, "{\"detail\":\"Unexpected fields in the request: {'ignore_eos'}\"}",
         "refuses a field; it answered 422: Unexpected fields in the request: {'ignore_eos'}",
         CAP_INVALID_ARGUMENT},
        {422, "{\"detail\":[{\"loc\":[\"body\",\"stop\",0],\"msg\":\"not a string\"}]}",
         "body.stop.0: not a string", CAP_INVALID_ARGUMENT},
        {500,
         "{\"error\":{\"message\":\"EngineCore encountered an issue. See stack trace\",\"type\":"
         "\"InternalServerError\",\"code\":500}}",
         "the server's engine has died; it answered 500", CAP_UNAVAILABLE},
        {500, "Internal Server Error", "answered 500: without an error message (21 bytes",
         CAP_FAILED_PRECONDITION},
    };
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct infer_request request = drive_request("x");
    struct outcome out;

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        stub_reply(*state, COMPLETIONS,
                   &(struct stub_reply){.status = rows[i].status, .body = rows[i].body});
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        drive_run(engine, &request, &out);
        assert_true(out.failed);
        assert_int_equal(out.failure.code, rows[i].code);
        if (!strstr(out.failure.text, rows[i].says))
            fail_msg("\"%s\" does not say \"%s\"", out.failure.text, rows[i].says);
    }
    engine->ops->free(engine);
}

static void overload_is_tried_again_and_counted(void **state)
{
    struct infer_engine *engine = drive_open_m("vllm", *state);
    struct infer_request request = drive_request("x");
    struct infer_engine_report report;
    struct outcome out;

    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){.status = 429, .extra = "Retry-After: 0\r\n", .body = "{}"});
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.status = 503, .body = "{}"});
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = STREAM(TOKEN_END, DONE_MARK)});
    engine->ops->begin(engine);
    drive_run(engine, &request, &out);
    assert_true(out.done);
    engine->ops->report(engine, &report);
    assert_int_equal(report.retries, 2);
    engine->ops->begin(engine);
    engine->ops->report(engine, &report);
    assert_int_equal(report.retries, 0);
    engine->ops->free(engine);
}

static void nothing_is_sent_twice_once_a_byte_has_come(void **state)
{
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct infer_request request = drive_request("x");
    struct outcome out;

    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){.pieces = STREAM(TOKEN_A), .pause_ms = 5, .broken = true});
    drive_run(engine, &request, &out);
    assert_true(out.failed);
    assert_int_equal(stub_count(*state, COMPLETIONS), 1);
    assert_non_null(strstr(out.failure.text, "(request cmpl-7)"));
    engine->ops->free(engine);
}

static void a_server_that_dies_fails_samples_until_a_limit(void **state)
{
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct cap_err err = {0};

    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){.pieces = STREAM(TOKEN_A), .pause_ms = 2, .broken = true});
    assert_false(drive_until_lost(engine, 7, &err));
    assert_true(drive_until_lost(engine, 1, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the server is gone: 8 requests in a row lost it"));
    engine->ops->free(engine);
}

/* Dead is who breaks the connection; who is silent may be reading a long prompt. */
static void a_server_that_is_slow_is_neither_asked_again_nor_lost(void **state)
{
    struct infer_engine *engine = drive_open_m("vllm", *state);
    struct infer_request request = drive_request("x");
    struct infer_engine_report report;
    struct outcome out;

    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){.pieces = STREAM(TOKEN_END, DONE_MARK), .silent_ms = 1500});
    drive_run(engine, &request, &out);
    assert_true(out.done);
    assert_int_equal(stub_count(*state, COMPLETIONS), 1);
    engine->ops->report(engine, &report);
    assert_int_equal(report.retries, 0);
    engine->ops->free(engine);
}
static void cancelling_closes_the_connection(void **state)
{
    struct infer_engine *engine = drive_open_m("openai", *state);
    struct infer_request request = drive_request("x");
    struct infer_event event;
    struct cap_err err = {0};

    stub_reply(
        *state, COMPLETIONS,
        &(struct stub_reply){.pieces = STREAM(TOKEN_A, TOKEN_A, TOKEN_END), .pause_ms = 300});
    assert_true(engine->ops->submit(engine, &request, &err));
    assert_true(engine->ops->wait(engine, 5000, &event, &err));
    assert_int_equal(event.kind, INFER_TOKENS);
    engine->ops->cancel(engine, request.id);
    for (int i = 0; i < 100 && stub_abandoned(*state) == 0; i++)
        cap_sleep_ms(20);
    assert_int_equal(stub_abandoned(*state), 1);
    assert_false(engine->ops->wait(engine, 20, &event, &err));
    engine->ops->free(engine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, drive_start_stub, drive_stop_stub)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_kind_is_sent_what_it_honours),
        TEST(sampling_is_asked_for_as_the_kind_wants_it),
        TEST(what_cannot_be_asked_is_refused_before_it_is_sent),
        TEST(nobody_there_is_waited_for_only_so_long),
        TEST(a_server_that_loads_is_waited_for),
        TEST(sglangs_health_is_never_asked),
        TEST(a_model_that_is_not_listed_is_refused_with_one_that_is),
        TEST(what_is_no_model_list_is_told),
        TEST(version_and_context_are_read_where_each_kind_tells_them),
        TEST(a_server_of_another_kind_is_told_to_readers),
        TEST(what_cannot_fit_into_the_context_is_not_sent),
        TEST(a_refusal_is_mapped_to_what_it_means),
        TEST(overload_is_tried_again_and_counted),
        TEST(nothing_is_sent_twice_once_a_byte_has_come),
        TEST(a_server_that_dies_fails_samples_until_a_limit),
        TEST(a_server_that_is_slow_is_neither_asked_again_nor_lost),
        TEST(cancelling_closes_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
