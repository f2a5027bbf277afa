/* Linear, embedding and RMS norm against their definitions, at every ISA level. */
#include "kernels.h"

/* rows, n, k: nothing, one, primes, a block, more than a block of rows, panels and groups */
static const int shapes[][3] = {{0, 5, 7},     {3, 0, 8},   {2, 3, 0},   {1, 1, 1},
                                {1, 17, 31},   {5, 16, 32}, {7, 67, 97}, {1, 64, 256},
                                {13, 129, 65}, {6, 64, 64}, {2, 48, 33}, {19, 31, 127}};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

/* Numbers are below 1, so a sum of k products is wrong by at most about k half-steps of f32; random
 * signs leave sqrt(k). int8: int16 activations, half a step of 1/32767 each. Rounded to bf16: 2^-9.
 */
static double tolerance(enum moe_type type, bool rounded, int k)
{
    if (rounded && type == MOE_BF16)
        return 3e-3 * sqrt(k + 1.0);
    return (type == MOE_I8 ? 3e-5 : 1e-6) * sqrt(k + 1.0);
}

static void check_linear(const struct level *l, enum moe_type type, const int *shape, bool rounded,
                         bool accumulate)
{
    int rows = shape[0], n = shape[1], k = shape[2];
    size_t out = (size_t)rows * (size_t)n;
    float *x = random_floats((size_t)rows * (size_t)k, 1),
          *w = random_floats((size_t)n * (size_t)k, 2);
    float *bias = random_floats((size_t)n, 3), *wanted = random_floats(out, 4);
    float *got = random_floats(out, 4);
    struct moe_weight *weight =
        weight_of(l, (struct moe_shape){.type = type, .experts = 1, .n = n, .k = k}, w);
    struct moe_buf bx = put(l, x, (size_t)rows * (size_t)k), by = put(l, got, out);
    struct moe_buf bb = put(l, bias, (size_t)n), none = {0};
    assert_int_equal(l->b->linear(l->dev, bx, weight, accumulate ? none : bb, by, rows, accumulate),
                     MOE_OK);
    l->b->download(l->dev, got, by, 0, out * 4);
    round_as(type, w, n, k);
    moe_linear_ref(x, w, accumulate ? NULL : bias, wanted, rows, n, k, accumulate);
    char what[80];
    snprintf(what, sizeof(what), "%s type %d %dx%dx%d", l->name, type, rows, n, k);
    assert_close(what, got, wanted, out, tolerance(type, rounded, k));
    l->b->weight_free(l->dev, weight);
    l->b->release(l->dev, &bx);
    l->b->release(l->dev, &by);
    l->b->release(l->dev, &bb);
    free(x), free(w), free(bias), free(wanted), free(got);
}

static void all_shapes(const struct level *l, bool rounded)
{
    static const enum moe_type types[] = {MOE_F32, MOE_BF16, MOE_I8};
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < SHAPES; i++) {
            check_linear(l, types[t], shapes[i], rounded, false);
            check_linear(l, types[t], shapes[i], rounded, true);
        }
}

static void exact_shapes(const struct level *l)
{
    all_shapes(l, false);
}

static void rounded_shapes(const struct level *l)
{
    all_shapes(l, true);
}

static void linear_agrees_with_its_definition(void **state)
{
    (void)state;
    each_level(exact_shapes);
}

static void linear_with_rounded_activations_agrees_within_bf16(void **state)
{
    (void)state;
    each_level_rounding(rounded_shapes, true, 2);
}

/* The property that makes answers independent of neighbours: bit for bit. */
static void same_alone_and_together(const struct level *l)
{
    enum { ROWS = 16, N = 83, K = 211 };
    static const enum moe_type types[] = {MOE_F32, MOE_BF16, MOE_I8};
    float *x = random_floats(ROWS * K, 5), *w = random_floats(N * K, 6);
    float together[ROWS * N], alone[N];
    struct moe_buf bx = put(l, x, ROWS * K), by = put(l, together, ROWS * N), none = {0};
    for (int t = 0; t < 3; t++) {
        struct moe_weight *weight =
            weight_of(l, (struct moe_shape){.type = types[t], .experts = 1, .n = N, .k = K}, w);
        for (int rows = 2; rows <= ROWS; rows++) {
            l->b->linear(l->dev, bx, weight, none, by, rows, false);
            l->b->download(l->dev, together, by, 0, sizeof(together));
            for (int row = 0; row < rows; row++) {
                l->b->upload(l->dev, bx, 0, x + row * K, K * 4);
                l->b->linear(l->dev, bx, weight, none, by, 1, false);
                l->b->download(l->dev, alone, by, 0, sizeof(alone));
                if (memcmp(alone, together + row * N, sizeof(alone)) != 0)
                    fail_msg("%s type %d: row %d of %d differs from itself alone", l->name,
                             types[t], row, rows);
            }
            l->b->upload(l->dev, bx, 0, x, K * 4);
        }
        l->b->weight_free(l->dev, weight);
    }
    l->b->release(l->dev, &bx);
    l->b->release(l->dev, &by);
    free(x), free(w);
}

static void a_row_is_the_same_alone_and_in_a_batch(void **state)
{
    (void)state;
    each_level(same_alone_and_together);
    each_level_rounding(same_alone_and_together, true, 2);
}

static void norms(const struct level *l)
{
    static const int cols[] = {1, 2, 7, 16, 17, 64, 129, 2048};
    for (int i = 0; i < 8; i++) {
        int n = cols[i], rows = 11, pick[11] = {10, 0, 3, 3, 9, 1, 2, 4, 5, 6, 7};
        size_t all = (size_t)(rows * n);
        float *x = random_floats(all, 7), *w = random_floats((size_t)n, 8);
        float *got = random_floats(all, 9), *wanted = random_floats(all, 9);
        struct moe_buf bx = put(l, x, all), bw = put(l, w, (size_t)n), by = put(l, got, all);
        struct moe_buf bp = put(l, pick, (size_t)rows);
        assert_int_equal(l->b->rmsnorm(l->dev, bx, bp, bw, by, rows, n, 1e-6f), MOE_OK);
        l->b->download(l->dev, got, by, 0, all * 4);
        for (int row = 0; row < rows; row++)
            moe_rmsnorm_ref(x + pick[row] * n, w, wanted + row * n, n, 1e-6f);
        assert_close("rmsnorm", got, wanted, all, 3e-6); /* a few roundings of numbers near 1 */
        l->b->release(l->dev, &bx);
        l->b->release(l->dev, &bw);
        l->b->release(l->dev, &by);
        l->b->release(l->dev, &bp);
        free(x), free(w), free(got), free(wanted);
    }
}

static void rmsnorm_agrees_with_its_definition(void **state)
{
    (void)state;
    each_level(norms);
}

static void embeds(const struct level *l)
{
    enum { N = 13, K = 37 };
    static const enum moe_type types[] = {MOE_F32, MOE_BF16};
    int32_t ids[] = {12, 0, 5, 5};
    float *w = random_floats(N * K, 10), got[4 * K];
    for (int t = 0; t < 2; t++) {
        struct moe_shape shape = {
            .type = types[t], .layout = MOE_ROWS, .experts = 1, .n = N, .k = K};
        struct moe_weight *weight = weight_of(l, shape, w);
        struct moe_buf bi = put(l, ids, 4), bo = put(l, got, 4 * K);
        assert_int_equal(l->b->embed(l->dev, bi, weight, bo, 4), MOE_OK);
        l->b->download(l->dev, got, bo, 0, sizeof(got));
        round_as(types[t], w, N, K);
        for (int i = 0; i < 4; i++)
            assert_memory_equal(got + i * K, w + ids[i] * K, K * 4);
        l->b->release(l->dev, &bi);
        l->b->release(l->dev, &bo);
        l->b->weight_free(l->dev, weight);
    }
    free(w);
}

static void embedding_fetches_rows_as_stored(void **state)
{
    (void)state;
    each_level(embeds);
}

static void weights_come_from_f16_bf16_and_unaligned_bytes(void **state)
{
    (void)state;
    const uint16_t f16[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000}; /* 1 -2 2^-24 65504 -0 */
    const uint16_t bf16[] = {0x3f80, 0xc000, 0x0001, 0x7f7f, 0x8000};
    char bytes[1 + sizeof(f16)];
    float out[5];
    memcpy(bytes + 1, f16, sizeof(f16));
    moe_to_f32(bytes + 1, MOE_F16, 5, out);
    const float wanted[] = {1, -2, 0x1p-24f, 65504, -0.0f};
    assert_memory_equal(out, wanted, sizeof(out));
    memcpy(bytes + 1, bf16, sizeof(bf16));
    moe_to_f32(bytes + 1, MOE_BF16, 5, out);
    assert_true(out[0] == 1 && out[1] == -2 && cpu_to_bf16(out[2]) == 1 && isfinite(out[3]));
    assert_int_equal(cpu_to_bf16(3.4e38f), 0x7f7f);     /* a finite number stays finite */
    assert_int_equal(cpu_to_bf16(1.00390625f), 0x3f80); /* a tie goes to even */
}

static void tiny_weights(const struct level *l)
{
    float w[32 * 3] = {0}, x[32], y[3], none = 0;
    for (int i = 0; i < 32; i++) {
        x[i] = i % 2 ? 1e-39f : 1; /* a group of next to nothing must not become NaN */
        w[i] = 1e-40f;
        w[32 + i] = 1e-30f;
    }
    struct moe_weight *weight =
        weight_of(l, (struct moe_shape){.type = MOE_I8, .experts = 1, .n = 3, .k = 32}, w);
    struct moe_buf bx = put(l, x, 32), by = put(l, y, 3), no_bias = {0};
    l->b->linear(l->dev, bx, weight, no_bias, by, 1, false);
    l->b->download(l->dev, y, by, 0, sizeof(y));
    assert_close("tiny", y, &none, 1, 1e-37);
    assert_true(y[1] > 1.5e-29f && y[1] < 1.7e-29f && y[2] == 0);
    l->b->weight_free(l->dev, weight);
    l->b->release(l->dev, &bx);
    l->b->release(l->dev, &by);
}

static void numbers_near_zero_stay_numbers_in_int8(void **state)
{
    (void)state;
    each_level(tiny_weights);
}

static void a_level_that_is_not_known_or_not_there_is_refused(void **state)
{
    (void)state;
    const struct moe_backend *b = moe_backend_find("cpu");
    struct moe_dev *dev = NULL;
    char why[200];
    struct moe_options options = {.isa = "sse9"};
    assert_int_equal(b->open(&options, &dev, why, sizeof(why)), MOE_NO_DEVICE);
    assert_non_null(strstr(why, "\"sse9\""));
    assert_non_null(strstr(why, "avx2"));
    options = (struct moe_options){.threads = MOE_THREADS_MAX + 1};
    assert_int_equal(b->open(&options, &dev, why, sizeof(why)), MOE_INVALID);
    assert_null(moe_backend_find("cuda"));
}

static void shapes_that_cannot_be_packed_are_refused(void **state)
{
    (void)state;
    const struct moe_backend *b = moe_backend_find("cpu");
    struct moe_options options = {.threads = 1};
    struct moe_dev *dev;
    struct moe_weight *w;
    char why[200];
    assert_int_equal(b->open(&options, &dev, why, sizeof(why)), MOE_OK);
    struct moe_shape odd_pair = {.layout = MOE_PAIRED, .experts = 1, .n = 3, .k = 4};
    struct moe_shape half = {.type = MOE_F16, .experts = 1, .n = 4, .k = 4};
    struct moe_shape i8_rows = {.type = MOE_I8, .layout = MOE_ROWS, .experts = 1, .n = 4, .k = 4};
    assert_int_equal(b->weight_new(dev, &odd_pair, &w), MOE_INVALID);
    assert_int_equal(b->weight_new(dev, &half, &w), MOE_INVALID);
    assert_int_equal(b->weight_new(dev, &i8_rows, &w), MOE_INVALID);
    b->close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_agrees_with_its_definition),
        cmocka_unit_test(linear_with_rounded_activations_agrees_within_bf16),
        cmocka_unit_test(a_row_is_the_same_alone_and_in_a_batch),
        cmocka_unit_test(rmsnorm_agrees_with_its_definition),
        cmocka_unit_test(embedding_fetches_rows_as_stored),
        cmocka_unit_test(weights_come_from_f16_bf16_and_unaligned_bytes),
        cmocka_unit_test(numbers_near_zero_stay_numbers_in_int8),
        cmocka_unit_test(a_level_that_is_not_known_or_not_there_is_refused),
        cmocka_unit_test(shapes_that_cannot_be_packed_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
