/* The native engine behind the vtable, with the model that the repository ships. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "inference/engine.h"

static const char hens[] = "Question: 9 hens lay 7 eggs each. Nora sells 13 of the eggs. How many "
                           "eggs are left?\nAnswer:";
static const char hens_answer[] =
    " The hens lay 9*7=63 eggs.\nThere are 63-13=50 eggs left.\n#### 50";
static const char oven[] = "Question: An oven shows 16 degrees. It goes up by 21 degrees and then "
                           "down by 22 degrees. How many degrees does it show now?\nAnswer:";

enum { LAYERS = 5, TOP_K = 2 }; /* of the shipped model */

/* What came of one request. */
struct outcome {
    struct cap_buf text;
    int tokens, pieces;
    char finish[16], error[CAP_ERR_TEXT_BYTES_MAX];
    int prompt_tokens, output_tokens;
    struct infer_score scores[8];
    int score_count;
    int64_t prefill_chosen, decode_chosen; /* -1 = its routing is unknown */
    bool ended;
};

/* What the passes said. */
struct passes {
    int prefill, decode;
    int64_t prefill_tokens, decode_tokens, selections;
    bool sane;
};

static struct infer_engine *open_engine(int concurrency, const char *precision)
{
    struct cap_err err = {0};
    char path[512];
    struct infer_engine_options options = {
        .model = path, .precision = precision, .concurrency = concurrency, .threads = 2};
    struct infer_engine *engine;

    snprintf(path, sizeof path, "%s/models/moecap-tiny", getenv("MOECAP_SOURCE_DIR"));
    engine = infer_engine_find("native")->open(&options, &err);
    if (!engine)
        fail_msg("%s", err.text);
    return engine;
}

static void take_pass(const struct infer_pass *pass, struct passes *passes)
{
    int64_t selections = 0;

    for (int i = 0; i < pass->moe_layers * pass->experts; i++)
        selections += pass->expert_counts[i];
    for (int i = 0; i < pass->moe_layers; i++)
        passes->sane &= pass->distinct_experts[i] >= 2 && (int)pass->distinct_experts[i] <= 16;
    passes->sane &= selections == 2LL * pass->tokens * pass->moe_layers && pass->duration_ns > 0;
    passes->selections += selections;
    if (pass->phase == INFER_PREFILL) {
        passes->prefill++;
        passes->prefill_tokens += pass->tokens;
    } else {
        passes->decode++;
        passes->decode_tokens += pass->tokens;
    }
}

static int64_t sum(const uint32_t *counts, int count)
{
    int64_t total = 0;

    for (int i = 0; i < count; i++)
        total += counts[i];
    return total;
}

static void take_event(const struct infer_event *event, struct outcome *out)
{
    switch (event->kind) {
    case INFER_TOKENS:
        assert_false(out->ended);
        cap_buf_add_str(&out->text, event->piece);
        out->tokens += event->tokens;
        out->pieces++;
        break;
    case INFER_DONE:
        snprintf(out->finish, sizeof out->finish, "%s", event->finish_reason);
        out->prompt_tokens = event->prompt_tokens;
        out->output_tokens = event->output_tokens;
        out->score_count = event->score_count;
        for (int i = 0; i < event->score_count; i++)
            out->scores[i] = event->scores[i];
        out->prefill_chosen = out->decode_chosen = -1;
        if (event->routing) {
            int cells = event->routing->moe_layers * event->routing->experts;
            out->prefill_chosen = sum(event->routing->prefill, cells);
            out->decode_chosen = sum(event->routing->decode, cells);
        }
        out->ended = true;
        break;
    default:
        snprintf(out->error, sizeof out->error, "%s", event->failure.text);
        out->ended = true;
        break;
    }
}

/* Runs the requests together; their ids are their places. */
static void run(struct infer_engine *engine, struct infer_request *requests, int count,
                struct outcome *outcomes, struct passes *passes)
{
    struct infer_event event;
    struct cap_err err = {0};
    int left = 0;

    *passes = (struct passes){.sane = true};
    for (int i = 0; i < count; i++) {
        requests[i].id = (uint64_t)i;
        outcomes[i] = (struct outcome){0};
        cap_buf_init(&outcomes[i].text, 1 << 16);
        if (!engine->ops->submit(engine, &requests[i], &err))
            fail_msg("%s", err.text);
        left++;
    }
    while (left > 0) {
        assert_true(engine->ops->wait(engine, 100, &event, &err));
        if (event.kind == INFER_PASS) {
            take_pass(&event.pass, passes);
            continue;
        }
        take_event(&event, &outcomes[event.id]);
        left -= outcomes[event.id].ended;
    }
}

static struct infer_request greedy(const char *text, int max_tokens)
{
    return (struct infer_request){.text = text, .max_tokens = max_tokens, .top_p = 1};
}

/* ---- tests ---- */

static void a_problem_is_solved_and_its_eos_counted(void **state)
{
    struct infer_engine *engine = *state;
    struct infer_request request = greedy(hens, 100);
    struct outcome out;
    struct passes passes;

    run(engine, &request, 1, &out, &passes);
    assert_string_equal(out.text.data, hens_answer);
    assert_string_equal(out.finish, "eos");
    assert_int_equal(out.output_tokens, out.tokens);
    assert_true(passes.sane);
    assert_int_equal(passes.prefill_tokens, out.prompt_tokens);
    assert_int_equal(passes.decode_tokens, out.output_tokens - 1); /* prefill made the first */
    cap_buf_done(&out.text);
}

static void an_answer_does_not_depend_on_its_neighbours(void **state)
{
    struct infer_engine *engine = *state;
    struct infer_request alone = greedy(oven, 100);
    struct infer_request together[] = {greedy(hens, 100), greedy(oven, 100), greedy(hens, 3),
                                       greedy("Question: 2 + 2 =", 20)};
    struct outcome one, four[4];
    struct passes passes;

    run(engine, &alone, 1, &one, &passes);
    run(engine, together, 4, four, &passes);
    assert_string_equal(four[1].text.data, one.text.data);
    assert_string_equal(four[0].text.data, hens_answer);
    assert_string_equal(four[2].finish, "length");
    assert_int_equal(four[2].output_tokens, 3);
    cap_buf_done(&one.text);
    for (int i = 0; i < 4; i++)
        cap_buf_done(&four[i].text);
}

static void a_stop_string_that_spans_tokens_is_cut(void **state)
{
    struct infer_engine *engine = *state;
    static const char *const stops[] = {"eggs.\nThere", "never"};
    struct infer_request requests[] = {greedy(hens, 100), greedy(hens, 100)};
    struct outcome out[2];
    struct passes passes;

    requests[0].stop = stops;
    requests[0].stop_count = 2;
    run(engine, requests, 2, out, &passes);
    assert_string_equal(out[0].text.data, " The hens lay 9*7=63 ");
    assert_string_equal(out[0].finish, "stop");
    assert_true(out[0].output_tokens < out[1].output_tokens);
    assert_string_equal(out[1].text.data, hens_answer); /* its neighbour is not disturbed */
    cap_buf_done(&out[0].text);
    cap_buf_done(&out[1].text);
}

/* The stop string may be complete with the very token that reaches the length. */
static void an_answer_that_is_stopped_keeps_its_routing(void **state)
{
    static const char *const stops[] = {"63"};
    struct infer_engine *engine = open_engine(1, "f32");
    int stopped = 0;

    (void)state;
    for (int max_tokens = 1; max_tokens <= 24; max_tokens++) {
        struct infer_request request = greedy(hens, max_tokens);
        struct outcome out;
        struct passes passes;

        request.stop = stops;
        request.stop_count = 1;
        run(engine, &request, 1, &out, &passes);
        stopped += strcmp(out.finish, "stop") == 0;
        assert_int_equal(out.prefill_chosen, TOP_K * LAYERS * out.prompt_tokens);
        assert_int_equal(out.decode_chosen, TOP_K * LAYERS * (out.output_tokens - 1));
        cap_buf_done(&out.text);
    }
    assert_in_range(stopped, 2, 23);
    engine->ops->free(engine);
}

static void a_slot_is_free_again_after_a_stop(void **state)
{
    struct infer_engine *engine = *state;
    static const char *const stops[] = {"hens"};
    struct outcome out;
    struct passes passes;

    for (int i = 0; i < 12; i++) {
        struct infer_request request = greedy(hens, 100);

        request.stop = stops;
        request.stop_count = 1;
        run(engine, &request, 1, &out, &passes);
        assert_string_equal(out.text.data, " The ");
        cap_buf_done(&out.text);
    }
}

static void messages_go_through_the_chat_template(void **state)
{
    struct infer_engine *engine = *state;
    static const struct infer_message messages[] = {
        {"user", "9 hens lay 7 eggs each. Nora sells 13 of the eggs. How many eggs are left?"}};
    struct infer_request request = greedy(NULL, 100);
    struct outcome out;
    struct passes passes;

    request.messages = messages;
    request.message_count = 1;
    run(engine, &request, 1, &out, &passes);
    assert_non_null(strstr(out.text.data, "#### 50"));
    assert_null(strstr(out.text.data, "<|im_end|>"));
    cap_buf_done(&out.text);
}

static void ignoring_eos_gives_the_exact_length(void **state)
{
    struct infer_engine *engine = *state;
    struct infer_request request = greedy(hens, 60);
    struct outcome out;
    struct passes passes;

    request.ignore_eos = true;
    run(engine, &request, 1, &out, &passes);
    assert_int_equal(out.output_tokens, 60);
    assert_string_equal(out.finish, "length");
    cap_buf_done(&out.text);
}

static void the_likeliest_continuation_is_marked_greedy(void **state)
{
    struct infer_engine *engine = *state;
    static const char *const choices[] = {" The hens lay 9*7=63", " 12", " x"};
    struct infer_request request = greedy(hens, 0);
    struct outcome out;
    struct passes passes;

    request.continuations = choices;
    request.continuation_count = 3;
    run(engine, &request, 1, &out, &passes);
    assert_int_equal(out.score_count, 3);
    assert_true(out.scores[0].greedy);
    assert_false(out.scores[1].greedy);
    assert_true(out.scores[0].log_likelihood > out.scores[1].log_likelihood);
    assert_true(out.scores[0].tokens > 5);
    assert_int_equal(out.output_tokens, 0);
    assert_int_equal(passes.decode, 0);
    cap_buf_done(&out.text);
}

/* Blanks at the end of a context belong to the continuation's first token. */
static void a_blank_between_context_and_continuation_may_be_on_either_side(void **state)
{
    struct infer_engine *engine = *state;
    static const char *const with[] = {" The hens"}, *const without[] = {"The hens"};
    char padded[256];
    struct infer_request requests[2] = {greedy(hens, 0), greedy(padded, 0)};
    struct outcome out[2];
    struct passes passes;

    snprintf(padded, sizeof padded, "%s ", hens);
    requests[0].continuations = with;
    requests[1].continuations = without;
    requests[0].continuation_count = requests[1].continuation_count = 1;
    run(engine, requests, 2, out, &passes);
    assert_int_equal(out[0].scores[0].tokens, out[1].scores[0].tokens);
    assert_true(out[0].scores[0].log_likelihood == out[1].scores[0].log_likelihood);
    cap_buf_done(&out[0].text);
    cap_buf_done(&out[1].text);
}

/* "Ans" + "wer" is one token, so that nothing stands behind the context's. */
static void a_choice_that_joins_the_context_is_encoded_alone(void **state)
{
    static const struct {
        const char *context, *choices[2];
    } cases[] = {{"Question: which?\nAnswer: m", {"any", "ost"}},
                 {"Question: which?\nAns", {"wer", "king"}},
                 {"Question: which?\nAnswer:\nQues", {"tion", "tions"}}};
    struct infer_engine *engine = *state;

    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        struct infer_request request = greedy(cases[i].context, 0);
        struct outcome out;
        struct passes passes;

        request.continuations = cases[i].choices;
        request.continuation_count = 2;
        run(engine, &request, 1, &out, &passes);
        assert_int_equal(out.score_count, 2);
        for (int k = 0; k < 2; k++) {
            assert_true(out.scores[k].tokens > 0);
            assert_true(isfinite(out.scores[k].log_likelihood));
            assert_true(out.scores[k].log_likelihood < 0);
        }
        cap_buf_done(&out.text);
    }
}

static void a_prompt_past_the_context_is_refused_with_its_numbers(void **state)
{
    struct infer_engine *engine = *state;
    struct infer_request request = greedy(hens, 1000);
    struct cap_err err = {0};

    assert_false(engine->ops->submit(engine, &request, &err));
    assert_int_equal(err.code, CAP_OUT_OF_RANGE);
    assert_string_equal(err.text,
                        "the prompt has 28 tokens and 1000 may follow; the context holds 1024");
}

static void a_cancelled_request_says_nothing_more(void **state)
{
    struct infer_engine *engine = *state;
    struct infer_request first = greedy(hens, 100), second = greedy(oven, 5);
    struct infer_event event;
    struct cap_err err = {0};
    bool done = false;

    first.id = 7;
    second.id = 8;
    assert_true(engine->ops->submit(engine, &first, &err));
    assert_true(engine->ops->wait(engine, 100, &event, &err));
    engine->ops->cancel(engine, 7);
    assert_true(engine->ops->submit(engine, &second, &err));
    while (!done) {
        assert_true(engine->ops->wait(engine, 100, &event, &err));
        assert_true(event.kind == INFER_PASS || event.id == 8);
        done = event.kind == INFER_DONE;
    }
}

static bool nobody_waits(void *arg)
{
    int *asked = arg;

    return ++*asked >= 3; /* of 5 layers */
}

static void a_stop_ends_the_pass_and_the_engine_goes_on(void **state)
{
    struct infer_engine *engine = *state;
    struct infer_request first = greedy(hens, 100);
    struct infer_event event;
    struct cap_err err = {0};
    struct outcome out;
    struct passes passes;
    int asked = 0;

    first.id = 7;
    assert_true(engine->ops->submit(engine, &first, &err));
    engine->unwanted = nobody_waits;
    engine->unwanted_arg = &asked;
    assert_false(engine->ops->wait(engine, 100, &event, &err));
    assert_int_equal(err.code, CAP_OK);
    assert_in_range(asked, 3, 4); /* the third layer, and whether to sleep */
    engine->unwanted = NULL;
    engine->ops->cancel(engine, 7);
    run(engine, &first, 1, &out, &passes);
    assert_string_equal(out.text.data, hens_answer);
    cap_buf_done(&out.text);
}

static void the_engine_knows_its_model(void **state)
{
    struct infer_engine *engine = *state;
    struct infer_engine_report report;

    engine->ops->report(engine, &report);
    assert_string_equal(report.family, "qwen3_moe");
    assert_int_equal(report.parameters, 4452032);
    assert_int_equal(report.active_parameters, 1011392);
    assert_int_equal(report.experts, 16);
    assert_int_equal(report.top_k, 2);
    assert_true(report.can_score);
    assert_int_equal(report.context_tokens_max, 1024);
}

static void int8_solves_the_problem_too(void **state)
{
    struct infer_engine *engine = open_engine(1, "int8");
    struct infer_request request = greedy(hens, 100);
    struct outcome out;
    struct passes passes;

    (void)state;
    run(engine, &request, 1, &out, &passes);
    assert_non_null(strstr(out.text.data, "#### 50"));
    cap_buf_done(&out.text);
    engine->ops->free(engine);
}

static void what_cannot_be_opened_is_a_sentence(void **state)
{
    struct infer_engine_options options = {.model = "/nonexistent", .precision = "", .device = ""};
    const struct infer_engine_ops *native = infer_engine_find("native");
    struct cap_err err = {0};

    (void)state;
    assert_null(native->open(&options, &err));
    assert_non_null(strstr(err.text, "/nonexistent"));
    cap_err_clear(&err);
    options.precision = "fp3";
    assert_null(native->open(&options, &err));
    assert_string_equal(err.text, "there is no precision \"fp3\"; there are: f32, bf16, int8");
}

static int set_up(void **state)
{
    *state = open_engine(4, "bf16");
    return 0;
}

static int tear_down(void **state)
{
    struct infer_engine *engine = *state;

    engine->ops->free(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_is_solved_and_its_eos_counted),
        cmocka_unit_test(an_answer_does_not_depend_on_its_neighbours),
        cmocka_unit_test(a_stop_string_that_spans_tokens_is_cut),
        cmocka_unit_test(an_answer_that_is_stopped_keeps_its_routing),
        cmocka_unit_test(a_slot_is_free_again_after_a_stop),
        cmocka_unit_test(messages_go_through_the_chat_template),
        cmocka_unit_test(ignoring_eos_gives_the_exact_length),
        cmocka_unit_test(the_likeliest_continuation_is_marked_greedy),
        cmocka_unit_test(a_blank_between_context_and_continuation_may_be_on_either_side),
        cmocka_unit_test(a_choice_that_joins_the_context_is_encoded_alone),
        cmocka_unit_test(a_prompt_past_the_context_is_refused_with_its_numbers),
        cmocka_unit_test(a_cancelled_request_says_nothing_more),
        cmocka_unit_test(a_stop_ends_the_pass_and_the_engine_goes_on),
        cmocka_unit_test(the_engine_knows_its_model),
        cmocka_unit_test(int8_solves_the_problem_too),
        cmocka_unit_test(what_cannot_be_opened_is_a_sentence),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
