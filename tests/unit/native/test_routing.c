/* What each request chose: its own rows, all of them, whichever others ran beside it. */
#include "fixture.h"

enum { REQUESTS = 8, ANSWER = 9, LAYERS_MAX = 4, EXPERTS_MAX = 16 };

struct tally {
    uint32_t of[2][LAYERS_MAX * EXPERTS_MAX]; /* prefill, decode */
};

struct outcome {
    struct tally requests[REQUESTS], passes;
    int ended;
};

static size_t cells_of(const struct native_model *model)
{
    size_t cells = (size_t)model->moe_layers * (size_t)model->experts;
    assert_true(cells > 0 && cells <= LAYERS_MAX * EXPERTS_MAX);
    return cells;
}

static void keep(struct tally *out, const struct infer_routing *routing, size_t cells)
{
    assert_non_null(routing);
    assert_string_equal(routing->source, "engine");
    memcpy(out->of[0], routing->prefill, cells * sizeof(uint32_t));
    memcpy(out->of[1], routing->decode, cells * sizeof(uint32_t));
}

static void take_step(const struct native_model *model, const struct native_step *step,
                      struct outcome *out)
{
    size_t cells = cells_of(model);
    for (size_t i = 0; i < cells; i++)
        out->passes.of[pass_of(step)->phase == INFER_DECODE][i] += pass_of(step)->expert_counts[i];
    for (int i = 1; i < step->event_count; i++) {
        const struct infer_event *event = &step->events[i];
        if (event->kind == INFER_TOKENS)
            continue;
        keep(&out->requests[event->id], event->routing, cells);
        out->ended++;
    }
}

/* Prompts of 1, 7, 13, ... tokens; the fourth is scored with two continuations of 3 and 1 tokens.
 */
static int prompt_of(int number, int32_t out[64])
{
    int count = 1 + 6 * number;
    for (int i = 0; i < count; i++)
        out[i] = 3 + (number * 29 + i * 13) % 120;
    return count;
}

static void submit(struct native_session *session, int number)
{
    static const int32_t words[] = {5, 6, 7};
    struct native_tokens continuations[] = {{words, 3}, {words + 2, 1}};
    struct cap_err err = {0};
    int32_t prompt[64];
    struct native_request request = {.id = (uint64_t)number,
                                     .prompt = {prompt, prompt_of(number, prompt)},
                                     .max_tokens = ANSWER,
                                     .ignore_eos = true};
    if (number == 3) {
        request.continuations = continuations;
        request.continuation_count = 2;
    }
    if (!native_session_submit(session, &request, &err))
        fail_msg("%s", err.text);
}

static struct native_session *open_session(struct native_model *model, int concurrency)
{
    struct cap_err err = {0};
    struct native_session *session = native_session_open(
        model, &(struct native_session_options){.concurrency = concurrency}, &err);
    if (!session)
        fail_msg("%s", err.text);
    return session;
}

static void run(struct native_model *model, int concurrency, struct outcome *out)
{
    CAP_AUTO(native_session) session = open_session(model, concurrency);
    struct cap_err err = {0};
    struct native_step step;
    *out = (struct outcome){0};
    for (int i = 0; i < REQUESTS; i++)
        submit(session, i);
    while (native_session_step(session, &step, &err))
        take_step(model, &step, out);
    assert_int_equal(err.code, CAP_OK);
    assert_int_equal(out->ended, REQUESTS);
}

static uint32_t sum(const uint32_t *counts, int experts)
{
    uint32_t total = 0;
    for (int i = 0; i < experts; i++)
        total += counts[i];
    return total;
}

/* ---- tests ---- */

static void check_rows(const struct native_model *model, const struct outcome *out)
{
    int experts = model->experts;
    for (int r = 0; r < REQUESTS; r++)
        for (int l = 0; l < model->moe_layers; l++) {
            uint32_t prompt = 1 + 6 * (uint32_t)r, top_k = (uint32_t)model->top_k;
            /* of the continuations, 3 and 1 tokens, two and none are fed */
            uint32_t prefill = r == 3 ? prompt + 2 : prompt, decode = r == 3 ? 0 : ANSWER - 1;
            assert_int_equal(sum(out->requests[r].of[0] + l * experts, experts), prefill * top_k);
            assert_int_equal(sum(out->requests[r].of[1] + l * experts, experts), decode * top_k);
        }
}

static void check_sums(const struct native_model *model, const struct outcome *out)
{
    for (int phase = 0; phase < 2; phase++)
        for (size_t i = 0; i < cells_of(model); i++) {
            uint32_t requests = 0;
            for (int r = 0; r < REQUESTS; r++)
                requests += out->requests[r].of[phase][i];
            assert_int_equal(requests, out->passes.of[phase][i]);
        }
}

static void selections_are_top_k_a_row_and_sum_to_those_of_the_passes(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_INT8, NULL);
    for (int concurrency = 1; concurrency <= 16; concurrency *= 4) {
        struct outcome out;
        run(model, concurrency, &out);
        check_rows(model, &out);
        check_sums(model, &out);
    }
    golden_close(&g);
}

static void a_request_chooses_the_same_alone_and_in_a_batch_of_4(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    for (int p = 0; p < NATIVE_PRECISION_COUNT; p++) {
        CAP_AUTO(native_model) model = model_open(g.dir, (enum native_precision)p, NULL);
        struct outcome alone, together;
        run(model, 1, &alone);
        run(model, 4, &together);
        for (int r = 0; r < REQUESTS; r++)
            if (memcmp(&alone.requests[r], &together.requests[r], sizeof(alone.requests[r])) != 0)
                fail_msg("%s: request %d chose others in a batch",
                         native_precision_name((enum native_precision)p), r);
    }
    golden_close(&g);
}

static void check_layer(const json_t *experts, const uint32_t *have, int count, int expert_count)
{
    uint32_t want[EXPERTS_MAX] = {0};
    for (int row = 0; row < count; row++) {
        const json_t *chosen = json_array_get(experts, (size_t)row);
        for (size_t i = 0; i < json_array_size(chosen); i++)
            want[json_integer_value(json_array_get(chosen, i))]++;
    }
    assert_memory_equal(have, want, (size_t)expert_count * sizeof(*want));
}

/* expected.json has the experts of each token and layer, by a float64 reference. */
static void a_prompt_chooses_the_experts_of_the_reference(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_F32, NULL);
    CAP_AUTO(native_session) session = open_session(model, 1);
    struct native_request request = {.prompt = {g.tokens, g.count}, .max_tokens = 1};
    struct native_step step;
    struct cap_err err = {0};
    assert_true(native_session_submit(session, &request, &err));
    assert_true(native_session_step(session, &step, &err));
    assert_int_equal(step.event_count, 3);
    assert_int_equal(step.events[2].kind, INFER_DONE);
    size_t layer;
    const json_t *want;
    int checked = 0;
    json_array_foreach(json_object_get(g.expected, "layers"), layer, want)
    {
        if (json_number_value(json_object_get(want, "min_gap")) <= 1e-3)
            continue;
        check_layer(json_object_get(want, "experts"),
                    step.events[2].routing->prefill + layer * (size_t)model->experts, g.count,
                    model->experts);
        checked++;
    }
    assert_true(checked > 0);
    golden_close(&g);
}

static void a_cancelled_request_takes_nothing_from_its_neighbour(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_INT8, NULL);
    struct outcome undisturbed, out = {0};
    run(model, 1, &undisturbed);
    CAP_AUTO(native_session) session = open_session(model, 2);
    struct native_step step;
    struct cap_err err = {0};
    submit(session, 1);
    submit(session, 2);
    for (int i = 0; i < 3; i++)
        assert_true(native_session_step(session, &step, &err));
    const struct infer_routing *so_far = native_session_routing(session, 1);
    assert_non_null(so_far);
    native_session_cancel(session, 1);
    /* a prompt of 7, then two passes; still there after the cancel */
    assert_int_equal(sum(so_far->prefill, model->experts), 7 * model->top_k);
    assert_int_equal(sum(so_far->decode, model->experts), 2 * model->top_k);
    assert_null(native_session_routing(session, 1));
    while (native_session_step(session, &step, &err))
        take_step(model, &step, &out);
    assert_int_equal(out.ended, 1);
    assert_memory_equal(&out.requests[2], &undisturbed.requests[2], sizeof(struct tally));
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selections_are_top_k_a_row_and_sum_to_those_of_the_passes),
        cmocka_unit_test(a_request_chooses_the_same_alone_and_in_a_batch_of_4),
        cmocka_unit_test(a_prompt_chooses_the_experts_of_the_reference),
        cmocka_unit_test(a_cancelled_request_takes_nothing_from_its_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
