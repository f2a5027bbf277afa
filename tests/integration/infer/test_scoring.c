/* Log-likelihoods over HTTP: what is asked in which order, the shapes of replies, and servers that
 * tell none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drive.h"

static const char context_reply[] =
    "{\"choices\":[{\"text\":\"x\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}";

static int start_stub(void **state)
{
    *state = stub_start();
    return 0;
}

static int stop_stub(void **state)
{
    stub_stop(*state);
    return 0;
}

static void score(struct stub *stub, const char *kind, const char *const *replies,
                  struct outcome *out)
{
    static const char *const continuations[] = {" four", " five"};
    struct infer_request request = drive_request("2 + 2 is ");
    struct infer_engine *engine = drive_open_m(kind, stub);

    request.continuations = continuations;
    request.continuation_count = 2;
    for (; *replies; replies++)
        stub_reply(stub, COMPLETIONS, &(struct stub_reply){.body = *replies});
    drive_run(engine, &request, out);
    engine->ops->free(engine);
}

#define REPLIES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_scores(const struct outcome *out)
{
    assert_true(out->done);
    assert_int_equal(out->score_count, 2);
    assert_int_equal(out->prompt_tokens, 3);
    assert_int_equal(out->output_tokens, 0);
    assert_float_equal(out->scores[0].log_likelihood, -0.5, 1e-9);
    assert_int_equal(out->scores[0].tokens, 1);
    assert_true(out->scores[0].greedy);
    assert_float_equal(out->scores[1].log_likelihood, -3.25, 1e-9);
    assert_int_equal(out->scores[1].tokens, 2);
    assert_false(out->scores[1].greedy);
}

static void ranks_are_read_as_vllm_writes_them(void **state)
{
    struct outcome out;
    json_t *sent;

    score(*state, "vllm",
          REPLIES(context_reply,
                  "{\"choices\":[{\"prompt_logprobs\":[null,{\"5\":{\"logprob\":-9.0,\"rank\":7}},"
                  "{\"6\":{\"logprob\":-9.0,\"rank\":7}},{\"9\":{\"logprob\":-0.5,\"rank\":1,"
                  "\"decoded_token\":\" four\"}}]}],\"usage\":{\"prompt_tokens\":4}}",
                  "{\"choices\":[{\"prompt_logprobs\":[null,{\"5\":{\"logprob\":-9.0,\"rank\":7}},"
                  "{\"6\":{\"logprob\":-9.0,\"rank\":7}},{\"8\":{\"logprob\":-3.0,\"rank\":2}},"
                  "{\"7\":{\"logprob\":-0.25,\"rank\":1}}]}],\"usage\":{\"prompt_tokens\":5}}"),
          &out);
    assert_scores(&out);
    assert_int_equal(stub_count(*state, COMPLETIONS), 3);
    sent = drive_asked(*state, COMPLETIONS, 0);
    assert_string_equal(json_string_value(json_object_get(sent, "prompt")), "2 + 2 is");
    assert_null(json_object_get(sent, "prompt_logprobs"));
    json_decref(sent);
    sent = drive_asked(*state, COMPLETIONS, 2);
    assert_string_equal(json_string_value(json_object_get(sent, "prompt")), "2 + 2 is  five");
    assert_int_equal(json_integer_value(json_object_get(sent, "prompt_logprobs")), 0);
    assert_int_equal(json_integer_value(json_object_get(sent, "max_tokens")), 1);
    json_decref(sent);
}

/* SGLang: offsets of -1, a generated token behind the prompt's, and twice the key "" for two tokens
 * that are half a character. */
static void echoed_lists_are_read_with_keys_that_are_there_twice(void **state)
{
    struct outcome out;
    json_t *sent;

    score(*state, "sglang",
          REPLIES(context_reply,
                  "{\"choices\":[{\"logprobs\":{\"tokens\":[\"2\",\"+\",\"is\",\" four\",\"!\"],"
                  "\"text_offset\":[-1,-1,-1,-1,-1],\"token_logprobs\":[null,-9,-9,-0.5,-0.1],"
                  "\"top_logprobs\":[null,{\"a\":-1},{\"a\":-1},{\" four\":-0.5},{\"!\":-0.1}]}}],"
                  "\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}",
                  "{\"choices\":[{\"logprobs\":{\"tokens\":[\"2\",\"+\",\"is\",\"\",\"\",\"!\"],"
                  "\"text_offset\":[-1,-1,-1,-1,-1,-1],"
                  "\"token_logprobs\":[null,-9,-9,-3.0,-0.25,-0.1],"
                  "\"top_logprobs\":[null,{\"a\":-1},{\"a\":-1},{\"\":-3.0,\"\":-0.125},"
                  "{\"\":-0.25},{\"!\":-0.1}]}}],"
                  "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}"),
          &out);
    assert_scores(&out);
    sent = drive_asked(*state, COMPLETIONS, 1);
    assert_true(json_is_true(json_object_get(sent, "echo")));
    assert_int_equal(json_integer_value(json_object_get(sent, "logprobs")), 1);
    assert_int_equal(json_integer_value(json_object_get(sent, "max_tokens")), 1);
    json_decref(sent);
}

static void assert_unable(const struct outcome *out)
{
    assert_true(out->failed);
    assert_int_equal(out->failure.code, CAP_UNIMPLEMENTED);
    assert_non_null(strstr(out->failure.text, "reports no log-probabilities of a prompt"));
}

/* llama.cpp ignores "echo" and gives the chat's shape for what it generated. */
static void a_server_that_ignores_the_question_cannot_score(void **state)
{
    struct outcome out;

    score(
        *state, "openai",
        REPLIES(context_reply,
                "{\"choices\":[{\"text\":\"!\",\"logprobs\":{\"content\":[{\"id\":9,\"token\":"
                "\"!\",\"logprob\":-0.1,\"top_logprobs\":[]}]}}],\"usage\":{\"prompt_tokens\":4}}"),
        &out);
    assert_unable(&out);
}

static void null_logprobs_are_no_scores(void **state)
{
    struct outcome out;

    score(*state, "openai",
          REPLIES(
              context_reply,
              "{\"choices\":[{\"text\":\"!\",\"logprobs\":null}],\"usage\":{\"prompt_tokens\":4}}"),
          &out);
    assert_unable(&out);
}

static void assert_impossible(struct stub *stub, const char *value)
{
    struct outcome out;
    char reply[256];

    snprintf(reply, sizeof reply,
             "{\"choices\":[{\"prompt_logprobs\":[null,null,null,{\"1\":{\"logprob\":%s}},"
             "{\"1\":{\"logprob\":%s}}]}],\"usage\":{\"prompt_tokens\":5}}",
             value, value);
    score(stub, "vllm", REPLIES(context_reply, reply), &out);
    assert_true(out.failed);
    assert_non_null(strstr(out.failure.text, "which is impossible"));
}

static void a_likelihood_above_one_is_no_score(void **state)
{
    assert_impossible(*state, "2.5");
}

static void an_endless_likelihood_is_no_score(void **state)
{
    assert_impossible(*state, "-1e308"); /* of two tokens */
}

static void kinds_that_cannot_score_say_so_at_once(void **state)
{
    static const char *const kinds[] = {"llamacpp", "transformers"};
    struct outcome out;

    for (size_t i = 0; i < CAP_COUNT_OF(kinds); i++) {
        score(*state, kinds[i], REPLIES("{}"), &out);
        assert_int_equal(out.failure.code, CAP_UNIMPLEMENTED);
        assert_non_null(strstr(out.failure.text, "cannot score log-likelihoods"));
    }
    assert_int_equal(stub_count(*state, COMPLETIONS), 0);
}

static void a_refusal_between_the_steps_fails_the_sample(void **state)
{
    static const char *const continuations[] = {" four"};
    struct infer_request request = drive_request("2 + 2 is");
    struct infer_engine *engine = drive_open_m("vllm", *state);
    struct outcome out;

    request.continuations = continuations;
    request.continuation_count = 1;
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.body = context_reply});
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){
                   .status = 400, .body = "{\"error\":{\"message\":\"prompt_logprobs is off\"}}"});
    drive_run(engine, &request, &out);
    assert_true(out.failed);
    assert_string_equal(out.failure.text, "the server answered 400: prompt_logprobs is off");
    engine->ops->free(engine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_stub, stop_stub)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ranks_are_read_as_vllm_writes_them),
        TEST(echoed_lists_are_read_with_keys_that_are_there_twice),
        TEST(a_server_that_ignores_the_question_cannot_score),
        TEST(null_logprobs_are_no_scores),
        TEST(a_likelihood_above_one_is_no_score),
        TEST(an_endless_likelihood_is_no_score),
        TEST(kinds_that_cannot_score_say_so_at_once),
        TEST(a_refusal_between_the_steps_fails_the_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
