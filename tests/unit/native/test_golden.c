/* The forward pass against a float64 reference, for every precision and ISA level. Built twice: the
 * second time with the family of mixtral.c. */
#include <math.h>

#include "fixture.h"

#ifndef GOLDEN_CASES
#define GOLDEN_CASES "qwen3_moe", "qwen3_moe_f32", "qwen3_moe_yarn"
#endif

struct watched {
    int32_t ids[8][64 * 8];
    int layers;
};

static void watch(void *context, int layer, const int32_t *ids, const float *weights, int rows,
                  int top_k)
{
    (void)weights;
    struct watched *w = context;
    memcpy(w->ids[layer], ids, (size_t)(rows * top_k) * sizeof(*ids));
    w->layers++;
}

static float *run(struct native_model *model, const struct golden *g, struct watched *watched)
{
    struct cap_err err = {0};
    CAP_AUTO(native_kv) kv = native_kv_open(model, 1, &err);
    CAP_AUTO(native_forward) fw = native_forward_open(model, 64, 64, 64, &err);
    assert_true(kv && fw);
    struct native_sequence sequence = {.rope_length = g->count}, *sequences[] = {&sequence};
    int32_t positions[64], sequence_of[64] = {0}, pick[64];
    for (int i = 0; i < g->count; i++)
        positions[i] = pick[i] = i;
    assert_true(native_kv_grow(kv, &sequence, g->count));
    struct native_rows rows = {g->count, g->tokens, positions, sequence_of, sequences, 1};
    native_forward_watch(fw, watch, watched);
    assert_true(native_forward_run(fw, kv, &rows, &err));
    float *logits = malloc((size_t)g->count * (size_t)g->vocab * sizeof(float));
    assert_true(native_forward_logits(fw, pick, g->count, logits, &err));
    native_kv_drop(kv, &sequence);
    return logits;
}

static void check_logits(const struct golden *g, const float *got, double limit, const char *what)
{
    for (int row = 0; row < g->count; row++) {
        const float *have = got + row * g->vocab, *want = g->logits + row * g->vocab;
        int best = native_sample_greedy(want, g->vocab),
            mine = native_sample_greedy(have, g->vocab);
        for (int i = 0; i < g->vocab; i++)
            if (!(fabs((double)have[i] - (double)want[i]) <= limit * g->logits_std))
                fail_msg("%s: logit %d of token %d is %g, wanted %g", what, i, row, (double)have[i],
                         (double)want[i]);
        if ((double)(want[best] - want[mine]) > limit * g->logits_std)
            fail_msg("%s: token %d continues with %d, wanted %d", what, row, mine, best);
    }
}

static void check_experts(const struct golden *g, const struct watched *watched, const char *what)
{
    size_t layer;
    json_t *want;
    json_array_foreach(json_object_get(g->expected, "layers"), layer, want)
    {
        if (json_number_value(json_object_get(want, "min_gap")) <= 1e-3)
            continue;
        const json_t *experts = json_object_get(want, "experts");
        for (size_t row = 0, at = 0; row < (size_t)g->count; row++) {
            const json_t *chosen = json_array_get(experts, row);
            for (size_t i = 0; i < json_array_size(chosen); i++, at++)
                if (watched->ids[layer][at] != json_integer_value(json_array_get(chosen, i)))
                    fail_msg("%s: layer %zu token %zu goes to other experts", what, layer, row);
        }
    }
}

static void check_case(const char *name, enum native_precision precision, const char *isa)
{
    struct golden g;
    struct watched watched = {.layers = 0};
    char what[128];
    snprintf(what, sizeof(what), "%s in %s on %s", name, native_precision_name(precision), isa);
    golden_open(&g, name);
    CAP_AUTO(native_model) model = model_open(g.dir, precision, isa);
    float *logits = run(model, &g, &watched);
    /* f32 differs by roundings alone; 5e-2 is what rounding weights and activations may cost */
    check_logits(&g, logits, precision == NATIVE_F32 ? 1e-4 : 5e-2, what);
    if (precision == NATIVE_F32)
        check_experts(&g, &watched, what);
    const json_t *greedy = json_object_get(g.expected, "greedy");
    int count = (int)json_array_size(greedy);
    int32_t ids[64];
    greedy_alone(model, g.tokens, g.count, count, ids);
    for (int i = 0; precision == NATIVE_F32 && i < count; i++)
        assert_int_equal(ids[i], json_integer_value(json_array_get(greedy, (size_t)i)));
    free(logits);
    golden_close(&g);
}

static void all_cases(const char *isa)
{
    static const char *const names[] = {GOLDEN_CASES};
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        for (int p = 0; p < NATIVE_PRECISION_COUNT; p++)
            check_case(names[i], (enum native_precision)p, isa);
}

static void logits_experts_and_continuation_are_the_references(void **state)
{
    (void)state;
    each_isa(all_cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_experts_and_continuation_are_the_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
