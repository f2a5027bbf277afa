/* Sessions: batching that changes nothing, ends, limits, cancelling, and what passes record. */
#include "fixture.h"

enum { PROMPTS = 16, ANSWER = 12 };

static struct native_session *session_open(struct native_model *model, int concurrency)
{
    struct cap_err err = {0};
    struct native_session *session = native_session_open(
        model, &(struct native_session_options){.concurrency = concurrency}, &err);
    if (!session)
        fail_msg("%s", err.text);
    return session;
}

static void submit(struct native_session *session, const struct native_request *request)
{
    struct cap_err err = {0};
    if (!native_session_submit(session, request, &err))
        fail_msg("%s", err.text);
}

/* Prompts of different lengths, from one token to two pages. */
static int make_prompt(int number, int32_t *out)
{
    int count = 1 + number * number % 97;
    for (int i = 0; i < count; i++)
        out[i] = 3 + (number * 31 + i * 17) % 120;
    return count;
}

/* ---- neighbours ---- */

static void run_together(struct native_model *model, int count, int32_t out[PROMPTS][ANSWER])
{
    CAP_AUTO(native_session) session = session_open(model, count);
    struct cap_err err = {0};
    int got[PROMPTS] = {0};
    for (int i = 0; i < count; i++) {
        int32_t prompt[128];
        int length = make_prompt(i, prompt);
        submit(session, &(struct native_request){.id = (uint64_t)i,
                                                 .prompt = {prompt, length},
                                                 .max_tokens = ANSWER,
                                                 .ignore_eos = true});
    }
    struct native_step step;
    while (native_session_step(session, &step, &err))
        for (int i = 0; i < step.event_count; i++)
            if (step.events[i].kind == INFER_TOKENS)
                out[step.events[i].id][got[step.events[i].id]++] =
                    (int32_t)step.events[i].token_ids[0];
    for (int i = 0; i < count; i++)
        assert_int_equal(got[i], ANSWER);
}

static void check_neighbours(const char *isa)
{
    struct golden g;
    golden_open(&g, "qwen3_moe");
    for (int p = 0; p < NATIVE_PRECISION_COUNT; p++) {
        CAP_AUTO(native_model) model = model_open(g.dir, (enum native_precision)p, isa);
        int32_t alone[PROMPTS][ANSWER], together[PROMPTS][ANSWER], prompt[128];
        for (int i = 0; i < PROMPTS; i++)
            greedy_alone(model, prompt, make_prompt(i, prompt), ANSWER, alone[i]);
        for (int count = 4; count <= PROMPTS; count *= 4) {
            run_together(model, count, together);
            if (memcmp(alone, together, (size_t)count * sizeof(alone[0])) != 0)
                fail_msg("%s: answers of %d together differ from those alone", isa, count);
        }
    }
    golden_close(&g);
}

static void an_answer_is_the_same_alone_and_in_a_batch_of_4_and_16(void **state)
{
    (void)state;
    each_isa(check_neighbours);
}

/* One decode row of each of `count` sequences after their prompts: logits [count][vocab]. */
static void decode_logits(struct native_model *model, const int *numbers, int count, float *out)
{
    struct cap_err err = {0};
    CAP_AUTO(native_kv) kv = native_kv_open(model, 4 * count, &err);
    CAP_AUTO(native_forward) fw = native_forward_open(model, 1024, 64, 256, &err);
    struct native_sequence sequences[PROMPTS] = {0}, *pointers[PROMPTS];
    int32_t ids[1024], positions[1024], sequence_of[1024], pick[PROMPTS];
    int rows = 0;
    for (int i = 0; i < count; i++) {
        int32_t prompt[128];
        int length = make_prompt(numbers[i], prompt);
        assert_true(native_kv_grow(kv, &sequences[i], length + 1));
        pointers[i] = &sequences[i];
        for (int t = 0; t < length; t++, rows++) {
            ids[rows] = prompt[t];
            positions[rows] = t;
            sequence_of[rows] = i;
        }
        sequences[i].length = length;
    }
    struct native_rows all = {rows, ids, positions, sequence_of, pointers, count};
    assert_true(native_forward_run(fw, kv, &all, &err));
    for (int i = 0; i < count; i++) {
        ids[i] = 7 + numbers[i];
        positions[i] = sequences[i].length;
        sequence_of[i] = pick[i] = i;
    }
    all.count = count;
    assert_true(native_forward_run(fw, kv, &all, &err));
    assert_true(native_forward_logits(fw, pick, count, out, &err));
    for (int i = 0; i < count; i++)
        native_kv_drop(kv, &sequences[i]);
}

static void check_bits(const char *isa)
{
    struct golden g;
    golden_open(&g, "qwen3_moe");
    for (int p = 0; p < NATIVE_PRECISION_COUNT; p++) {
        CAP_AUTO(native_model) model = model_open(g.dir, (enum native_precision)p, isa);
        float together[PROMPTS * 128], alone[128];
        int numbers[PROMPTS];
        for (int i = 0; i < PROMPTS; i++)
            numbers[i] = i;
        for (int count = 4; count <= PROMPTS; count *= 4) {
            decode_logits(model, numbers, count, together);
            for (int i = 0; i < count; i++) {
                decode_logits(model, &i, 1, alone);
                assert_memory_equal(alone, together + i * 128, sizeof(alone));
            }
        }
    }
    golden_close(&g);
}

static void logits_are_bit_equal_alone_and_in_a_batch(void **state)
{
    (void)state;
    each_isa(check_bits);
}

/* ---- long prompts, many requests ---- */

static void a_prompt_longer_than_a_pass_is_read_in_chunks(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", "{\"max_position_embeddings\": 2000}");
    CAP_AUTO(native_model) model = model_open(dir, NATIVE_F32, NULL);
    CAP_AUTO(native_session) session = session_open(model, 2);
    struct cap_err err = {0};
    int32_t prompt[1100];
    for (int i = 0; i < 1100; i++)
        prompt[i] = 3 + i % 100;
    submit(session, &(struct native_request){.id = 9, .prompt = {prompt, 1100}, .max_tokens = 2});
    static const int wanted[] = {512, 512, 76, 1};
    struct native_step step;
    for (int i = 0; i < 4; i++) {
        assert_true(native_session_step(session, &step, &err));
        assert_int_equal(pass_of(&step)->tokens, wanted[i]);
        assert_int_equal(pass_of(&step)->phase, i == 3 ? INFER_DECODE : INFER_PREFILL);
        assert_int_equal(pass_of(&step)->logits_tokens, i >= 2);
        assert_int_equal(step.event_count, i < 2 ? 1 : i);
    }
    assert_int_equal(pass_of(&step)->context_sum, 1101);
    assert_false(native_session_step(session, &step, &err));
    assert_int_equal(err.code, CAP_OK);
}

static void requests_beyond_the_concurrency_wait_their_turn(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_BF16, NULL);
    CAP_AUTO(native_session) session = session_open(model, 3);
    struct cap_err err = {0};
    for (uint64_t i = 0; i < 10; i++)
        submit(session, &(struct native_request){
                            .id = i, .prompt = {g.tokens, 5}, .max_tokens = 4, .ignore_eos = true});
    struct native_step step;
    int done = 0, most = 0;
    while (native_session_step(session, &step, &err)) {
        most = pass_of(&step)->sequences > most ? pass_of(&step)->sequences : most;
        for (int i = 0; i < step.event_count; i++)
            done += step.events[i].kind == INFER_DONE;
    }
    assert_int_equal(done, 10);
    assert_int_equal(most, 3);
    golden_close(&g);
}

static void requests_wait_when_the_cache_is_smaller_than_the_concurrency(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_BF16, NULL);
    struct cap_err err = {0};
    /* five pages: one full context of 256 tokens and a spare one */
    struct native_session_options options = {.concurrency = 8,
                                             .kv_bytes_max = 5 * native_kv_page_bytes(model)};
    CAP_AUTO(native_session) session = native_session_open(model, &options, &err);
    assert_non_null(session);
    for (uint64_t i = 0; i < 6; i++)
        submit(session,
               &(struct native_request){
                   .id = i, .prompt = {g.tokens, 14}, .max_tokens = 100, .ignore_eos = true});
    struct native_step step;
    int done = 0, most = 0;
    while (native_session_step(session, &step, &err)) {
        most = pass_of(&step)->sequences > most ? pass_of(&step)->sequences : most;
        for (int i = 0; i < step.event_count; i++)
            done += step.events[i].kind == INFER_DONE;
    }
    assert_int_equal(done, 6);
    assert_int_equal(most, 2); /* two pages each, promised in full */
    options.kv_bytes_max = 2 * native_kv_page_bytes(model);
    assert_null(native_session_open(model, &options, &err));
    assert_non_null(strstr(err.text, "a context of 256 tokens needs"));
    golden_close(&g);
}

/* ---- ends ---- */

struct ending {
    int tokens, eos;
    const char *finish;
    int output_tokens;
};

static struct ending run_one(struct native_model *model, struct native_request request)
{
    CAP_AUTO(native_session) session = session_open(model, 1);
    struct cap_err err = {0};
    struct native_step step;
    struct ending end = {.finish = ""};
    submit(session, &request);
    while (native_session_step(session, &step, &err)) {
        for (int i = 0; i < step.event_count; i++) {
            const struct infer_event *e = &step.events[i];
            end.tokens += e->kind == INFER_TOKENS;
            end.eos +=
                e->kind == INFER_TOKENS && cap_model_is_eos(model->shape, (int)e->token_ids[0]);
            if (e->kind == INFER_DONE) {
                end.finish = e->finish_reason;
                end.output_tokens = e->output_tokens;
            }
        }
    }
    return end;
}

/* With the eos set to the token that comes third, the answer ends there. */
static void an_answer_ends_at_eos_at_its_length_or_at_the_context(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    json_int_t third = json_integer_value(json_array_get(json_object_get(g.expected, "greedy"), 2));
    char changes[64];
    snprintf(changes, sizeof(changes), "{\"eos_token_id\": [127, %d]}", (int)third);
    CAP_AUTO(native_model) model = model_open(golden_copy("qwen3_moe", changes), NATIVE_F32, NULL);
    struct native_request request = {.prompt = {g.tokens, g.count}, .max_tokens = 8};
    struct ending end = run_one(model, request);
    assert_string_equal(end.finish, "eos");
    assert_int_equal(end.tokens, 3);
    assert_int_equal(end.output_tokens, 3);
    assert_int_equal(end.eos, 1);
    request.ignore_eos = true;
    end = run_one(model, request);
    assert_string_equal(end.finish, "length");
    assert_int_equal(end.tokens, 8);
    request.max_tokens = 0;
    end = run_one(model, request);
    assert_int_equal(end.tokens, 256 - g.count);
    assert_string_equal(end.finish, "length");
    golden_close(&g);
}

static void a_cancelled_request_says_nothing_more(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_INT8, NULL);
    CAP_AUTO(native_session) session = session_open(model, 2);
    struct cap_err err = {0};
    for (uint64_t i = 1; i <= 3; i++)
        submit(session, &(struct native_request){
                            .id = i, .prompt = {g.tokens, 6}, .max_tokens = 5, .ignore_eos = true});
    struct native_step step;
    assert_true(native_session_step(session, &step, &err));
    native_session_cancel(session, 1); /* running */
    native_session_cancel(session, 3); /* waiting */
    native_session_cancel(session, 77);
    int tokens = 0;
    while (native_session_step(session, &step, &err))
        for (int i = 1; i < step.event_count; i++) {
            assert_int_equal(step.events[i].id, 2);
            tokens += step.events[i].kind == INFER_TOKENS;
        }
    assert_int_equal(tokens, 4);
    golden_close(&g);
}

/* Counts how often it was asked, and says "unwanted" from the last-th time on. */
struct asked {
    int times, last;
};

static bool is_unwanted(void *arg)
{
    struct asked *asked = arg;
    return ++asked->times >= asked->last;
}

static void a_pass_asks_before_every_layer_and_every_block_of_logits(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", "{\"max_position_embeddings\": 512}");
    CAP_AUTO(native_model) model = model_open(dir, NATIVE_F32, NULL);
    CAP_AUTO(native_session) session = session_open(model, 1);
    int32_t prompt[300];
    for (int i = 0; i < 300; i++)
        prompt[i] = 3 + i % 100;
    struct native_tokens continuation = {prompt, 290};
    struct native_step step;
    struct cap_err err = {0};
    struct asked asked = {.last = INT32_MAX};
    submit(session, &(struct native_request){.id = 1,
                                             .prompt = {prompt, 5},
                                             .continuations = &continuation,
                                             .continuation_count = 1});
    native_session_ask(session, is_unwanted, &asked);
    assert_true(native_session_step(session, &step, &err)); /* the prompt: 2 layers, 1 block */
    assert_int_equal(asked.times, 2 + 1);
    assert_true(native_session_step(session, &step, &err)); /* 289 rows, 64 a block */
    assert_int_equal(asked.times, 3 + 2 + 5);
}

/* A pass asks before each of the two layers and before each block of logits; it ends where it is
 * told, and what comes after is as if nothing had been. */
static void a_pass_that_nobody_wants_ends_at_the_next_layer(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", "{\"max_position_embeddings\": 512}");
    CAP_AUTO(native_model) model = model_open(dir, NATIVE_F32, NULL);
    int32_t prompt[300], alone[3];
    for (int i = 0; i < 300; i++)
        prompt[i] = 3 + i % 100;
    greedy_alone(model, prompt, 7, 3, alone);
    for (int last = 1; last <= 7; last++) {
        CAP_AUTO(native_session) session = session_open(model, 2);
        struct native_tokens continuation = {prompt, 290};
        struct native_step step;
        struct cap_err err = {0};
        struct asked asked = {.last = last};
        for (uint64_t i = 1; i <= 3; i++) /* one of them waits */
            submit(session, &(struct native_request){.id = i,
                                                     .prompt = {prompt, 5},
                                                     .continuations = &continuation,
                                                     .continuation_count = 1});
        native_session_ask(session, is_unwanted, &asked);
        while (native_session_step(session, &step, &err))
            assert_true(asked.times < last);
        assert_int_equal(err.code, CAP_OK);
        assert_int_equal(asked.times, last);
        native_session_ask(session, NULL, NULL);
        submit(session, &(struct native_request){
                            .id = 9, .prompt = {prompt, 7}, .max_tokens = 3, .ignore_eos = true});
        int got = 0;
        while (native_session_step(session, &step, &err))
            for (int i = 1; i < step.event_count; i++)
                if (step.events[i].kind == INFER_TOKENS)
                    assert_int_equal(step.events[i].token_ids[0], alone[got++]);
        assert_int_equal(got, 3);
    }
}

static void what_can_never_work_is_refused_at_once(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_BF16, NULL);
    CAP_AUTO(native_session) session = session_open(model, 1);
    int32_t many[300] = {0}, bad[] = {3, 128};
    struct native_tokens none = {many, 0}, longish = {many, 250};
    const struct {
        struct native_request request;
        const char *says;
    } refused[] = {
        {{.prompt = none}, "the prompt has no tokens"},
        {{.prompt = {many, 256}}, "a prompt of 256 tokens leaves no room in the context of 256"},
        {{.prompt = {bad, 2}}, "token id 128 is outside the vocabulary of 128"},
        {{.prompt = {many, 5}, .continuations = &none, .continuation_count = 1}, "has no tokens"},
        {{.prompt = {many, 9}, .continuations = &longish, .continuation_count = 1}, "do not fit"},
    };
    for (size_t i = 0; i < CAP_COUNT_OF(refused); i++) {
        struct cap_err err = {0};
        assert_false(native_session_submit(session, &refused[i].request, &err));
        if (!strstr(err.text, refused[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, refused[i].says);
    }
    struct cap_err err = {0};
    assert_null(native_session_open(
        model, &(struct native_session_options){.context_tokens_max = 1000}, &err));
    assert_non_null(strstr(err.text, "the model has 256 positions"));
    golden_close(&g);
}

/* ---- records ---- */

static void a_pass_records_what_it_did(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_BF16, NULL);
    CAP_AUTO(native_session) session = session_open(model, 2);
    struct cap_err err = {0};
    for (uint64_t i = 0; i < 2; i++)
        submit(session,
               &(struct native_request){
                   .id = i, .prompt = {g.tokens, 10}, .max_tokens = 3, .ignore_eos = true});
    struct native_step step;
    for (int pass = 0; pass < 3; pass++) {
        assert_true(native_session_step(session, &step, &err));
        const struct infer_pass *p = pass_of(&step);
        int rows = pass == 0 ? 20 : 2;
        assert_int_equal(p->phase, pass > 0 ? INFER_DECODE : INFER_PREFILL);
        assert_int_equal(p->sequences, 2);
        assert_int_equal(p->tokens, rows);
        assert_int_equal(p->context_sum, 2 * (10 + pass));
        assert_int_equal(p->moe_layers, 2);
        uint64_t weights = model->bytes_every_pass + model->bytes_head;
        for (int l = 0; l < 2; l++) {
            uint32_t sum = 0, distinct = 0;
            for (int e = 0; e < p->experts; e++) {
                sum += p->expert_counts[l * p->experts + e];
                distinct += p->expert_counts[l * p->experts + e] > 0;
            }
            assert_int_equal(sum, 2 * rows);
            assert_int_equal(distinct, p->distinct_experts[l]);
            assert_int_equal(p->moe_layer_ids[l], l);
            /* an expert is 3 matrices of 64 x 32 in bf16 */
            weights += distinct * 3 * 64 * 32 * 2;
        }
        assert_int_equal(p->weight_bytes, weights);
        /* a token's key and value in 2 layers of 2 heads of 16 in bf16: contexts read, rows written
         */
        assert_int_equal(p->kv_bytes, (uint64_t)(2 * (10 + pass) + rows) * 2 * 2 * 2 * 16 * 2);
        assert_true(p->flops > 0 && p->duration_ns > 0 && p->started_ns > 0);
    }
    golden_close(&g);
}

static void the_same_seed_samples_the_same_answer(void **state)
{
    (void)state;
    struct golden g;
    golden_open(&g, "qwen3_moe");
    CAP_AUTO(native_model) model = model_open(g.dir, NATIVE_BF16, NULL);
    int32_t answers[4][16];
    for (int i = 0; i < 4; i++) { /* the last two have another seed each */
        CAP_AUTO(native_session) session = session_open(model, 2);
        struct cap_err err = {0};
        struct native_request request = {
            .id = 1,
            .prompt = {g.tokens, 6},
            .max_tokens = 16,
            .ignore_eos = true,
            .sampling = {.temperature = 1.2, .top_p = 0.95, .seed = i < 2 ? 5 : (uint64_t)i}};
        submit(session, &request);
        request.id = 2; /* a neighbour, in the second only */
        if (i == 1)
            submit(session, &request);
        struct native_step step;
        int got = 0;
        while (native_session_step(session, &step, &err))
            for (int e = 0; e < step.event_count; e++)
                if (step.events[e].id == 1 && step.events[e].kind == INFER_TOKENS)
                    answers[i][got++] = (int32_t)step.events[e].token_ids[0];
    }
    assert_memory_equal(answers[0], answers[1], sizeof(answers[0]));
    assert_memory_not_equal(answers[0], answers[2], sizeof(answers[0]));
    assert_memory_not_equal(answers[2], answers[3], sizeof(answers[0]));
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_the_same_alone_and_in_a_batch_of_4_and_16),
        cmocka_unit_test(logits_are_bit_equal_alone_and_in_a_batch),
        cmocka_unit_test(a_prompt_longer_than_a_pass_is_read_in_chunks),
        cmocka_unit_test(requests_beyond_the_concurrency_wait_their_turn),
        cmocka_unit_test(requests_wait_when_the_cache_is_smaller_than_the_concurrency),
        cmocka_unit_test(an_answer_ends_at_eos_at_its_length_or_at_the_context),
        cmocka_unit_test(a_cancelled_request_says_nothing_more),
        cmocka_unit_test(a_pass_asks_before_every_layer_and_every_block_of_logits),
        cmocka_unit_test(a_pass_that_nobody_wants_ends_at_the_next_layer),
        cmocka_unit_test(what_can_never_work_is_refused_at_once),
        cmocka_unit_test(a_pass_records_what_it_did),
        cmocka_unit_test(the_same_seed_samples_the_same_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
