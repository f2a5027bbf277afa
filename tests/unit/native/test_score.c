/* Log-likelihoods of continuations against the golden logits; the prompt is computed once. */
#include <math.h>

#include "fixture.h"

/* The sum that the definition gives: row i of the logits predicts token i + 1. */
static double defined(const struct golden *g, int from, int count)
{
    double sum = 0;
    for (int i = from; i < from + count; i++)
        sum += native_log_likelihood(g->logits + (i - 1) * g->vocab, g->vocab, g->tokens[i]);
    return sum;
}

struct scored {
    struct infer_score scores[8];
    int count, prompt_tokens, passes, prefill_tokens;
};

static struct scored score(struct native_model *model, const struct native_request *request,
                           uint64_t kv_bytes_max)
{
    struct cap_err err = {0};
    struct native_session_options options = {.concurrency = 1, .kv_bytes_max = kv_bytes_max};
    CAP_AUTO(native_session) session = native_session_open(model, &options, &err);
    if (!session || !native_session_submit(session, request, &err))
        fail_msg("%s", err.text);
    struct scored out = {0};
    struct native_step step;
    while (native_session_step(session, &step, &err)) {
        out.passes++;
        out.prefill_tokens += pass_of(&step)->tokens;
        assert_int_equal(pass_of(&step)->phase, INFER_PREFILL);
        for (int i = 1; i < step.event_count; i++) {
            assert_int_equal(step.events[i].kind, INFER_DONE);
            out.count = step.events[i].score_count;
            out.prompt_tokens = step.events[i].prompt_tokens;
            memcpy(out.scores, step.events[i].scores, (size_t)out.count * sizeof(out.scores[0]));
        }
    }
    assert_int_equal(err.code, CAP_OK);
    return out;
}

static void sums_are_those_of_the_reference(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_F32, NULL);
    struct native_tokens continuations[] = {
        {g.tokens + 6, 1}, {g.tokens + 6, 4}, {g.tokens + 6, 8}, {g.tokens + 6, 1}};
    struct native_request request = {
        .prompt = {g.tokens, 6}, .continuations = continuations, .continuation_count = 4};
    struct scored s = score(model, &request, 0);
    assert_int_equal(s.count, 4);
    assert_int_equal(s.prompt_tokens, 6);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s.scores[i].tokens, continuations[i].count);
        /* logits are within 1e-4 of their deviation, which is about 1 */
        assert_true(fabs(s.scores[i].log_likelihood - defined(&g, 6, continuations[i].count)) <
                    1e-3);
    }
    /* the prompt once, then all but the last token of each */
    assert_int_equal(s.prefill_tokens, 6 + 3 + 7);
    assert_int_equal(s.passes, 2);
    golden_close(&g);
}

static void the_likeliest_continuation_is_greedy(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_F32, NULL);
    int32_t greedy[8], other[8];
    for (int i = 0; i < 8; i++)
        greedy[i] = other[i] = (int32_t)json_integer_value(
            json_array_get(json_object_get(g.expected, "greedy"), (size_t)i));
    other[7] = greedy[7] == 5 ? 6 : 5;
    struct native_tokens continuations[] = {{greedy, 8}, {other, 8}, {greedy, 1}};
    struct native_request request = {
        .prompt = {g.tokens, g.count}, .continuations = continuations, .continuation_count = 3};
    struct scored s = score(model, &request, 0);
    assert_true(s.scores[0].greedy && !s.scores[1].greedy && s.scores[2].greedy);
    assert_true(s.scores[0].log_likelihood > s.scores[1].log_likelihood);
    golden_close(&g);
}

/* A prompt that ends inside a page, at its border, and continuations over several passes; with so
 * few pages that they run one after another, and with plenty. */
static void the_number_of_free_pages_changes_nothing(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", "{\"max_position_embeddings\": 1024}");
    CAP_AUTO(native_model) model = model_open(dir, NATIVE_BF16, NULL);
    static int32_t text[1024];
    for (int i = 0; i < 1024; i++)
        text[i] = 3 + (i * i + i / 7) % 120;
    for (int prompt = 63; prompt <= 65; prompt++) {
        struct native_tokens continuations[] = {
            {text + 100, 700}, {text + 50, 3}, {text + 90, 130}, {text + 8, 64}, {text + 9, 1}};
        struct native_request request = {
            .prompt = {text, prompt}, .continuations = continuations, .continuation_count = 5};
        struct scored few = score(model, &request, 17 * native_kv_page_bytes(model));
        struct scored many = score(model, &request, 0);
        for (int i = 0; i < 5; i++)
            assert_memory_equal(&few.scores[i].log_likelihood, &many.scores[i].log_likelihood,
                                sizeof(double));
        assert_int_equal(few.prefill_tokens, many.prefill_tokens);
    }
}

static void scoring_and_generating_share_passes(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_F32, NULL);
    struct cap_err err = {0};
    CAP_AUTO(native_session) session =
        native_session_open(model, &(struct native_session_options){.concurrency = 4}, &err);
    struct native_tokens continuation = {g.tokens + 6, 8};
    struct native_request generate = {
        .id = 1, .prompt = {g.tokens, g.count}, .max_tokens = 8, .ignore_eos = true};
    struct native_request scores = {
        .id = 2, .prompt = {g.tokens, 6}, .continuations = &continuation, .continuation_count = 1};
    assert_true(native_session_submit(session, &generate, &err));
    assert_true(native_session_submit(session, &scores, &err));
    struct native_step step;
    int tokens = 0;
    double sum = 0;
    while (native_session_step(session, &step, &err))
        for (int i = 0; i < step.event_count; i++) {
            const struct infer_event *e = &step.events[i];
            if (e->kind == INFER_TOKENS)
                assert_int_equal((json_int_t)e->token_ids[0],
                                 json_integer_value(json_array_get(
                                     json_object_get(g.expected, "greedy"), (size_t)tokens++)));
            if (e->kind == INFER_DONE && e->score_count > 0)
                sum = e->scores[0].log_likelihood;
        }
    assert_int_equal(tokens, 8);
    assert_true(fabs(sum - defined(&g, 6, 8)) < 1e-3);
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_reference),
        cmocka_unit_test(the_likeliest_continuation_is_greedy),
        cmocka_unit_test(the_number_of_free_pages_changes_nothing),
        cmocka_unit_test(scoring_and_generating_share_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
