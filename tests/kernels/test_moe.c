/* The router and the experts against their definitions. */
#include "kernels.h"

static void routes(const struct level *l)
{
    static const int shapes[][4] = {{1, 1, 3, 1}, {7, 8, 31, 2}, {5, 64, 128, 8}, {3, 5, 17, 5}};
    for (int i = 0; i < 4; i++) {
        int rows = shapes[i][0], experts = shapes[i][1], k = shapes[i][2], top_k = shapes[i][3];
        float *x = random_floats((size_t)(rows * k), 21);
        float *w = random_floats((size_t)(experts * k), 22);
        int32_t ids[64], wanted_ids[64];
        float weights[64], wanted[64];
        struct moe_weight *gate = weight_of(
            l, (struct moe_shape){.type = MOE_F32, .experts = 1, .n = experts, .k = k}, w);
        struct moe_buf bx = put(l, x, (size_t)(rows * k)), bi = put(l, ids, 64),
                       bw = put(l, weights, 64);
        for (int renormalize = 0; renormalize < 2; renormalize++) {
            assert_int_equal(l->b->router(l->dev, bx, gate, bi, bw, rows, top_k, renormalize, 1.5f),
                             MOE_OK);
            l->b->download(l->dev, ids, bi, 0, sizeof(ids));
            l->b->download(l->dev, weights, bw, 0, sizeof(weights));
            for (int row = 0; row < rows; row++)
                moe_router_ref(x + row * k, w, experts, k, top_k, renormalize, 1.5f,
                               wanted_ids + row * top_k, wanted + row * top_k);
            assert_memory_equal(ids, wanted_ids, (size_t)(rows * top_k) * 4);
            /* logits within 1e-6 * sqrt(k), so shares within that of themselves */
            assert_close("router", weights, wanted, (size_t)(rows * top_k), 2e-5);
        }
        l->b->weight_free(l->dev, gate);
        l->b->release(l->dev, &bx);
        l->b->release(l->dev, &bi);
        l->b->release(l->dev, &bw);
        free(x), free(w);
    }
}

static void router_agrees_with_its_definition(void **state)
{
    (void)state;
    each_level(routes);
}

static void ties(const struct level *l)
{
    float x[4] = {1, 2, 3, 4}, w[6 * 4] = {0};
    int32_t ids[3];
    float weights[3];
    struct moe_weight *gate =
        weight_of(l, (struct moe_shape){.type = MOE_F32, .experts = 1, .n = 6, .k = 4}, w);
    struct moe_buf bx = put(l, x, 4), bi = put(l, ids, 3), bw = put(l, weights, 3);
    l->b->router(l->dev, bx, gate, bi, bw, 1, 3, true, 1);
    l->b->download(l->dev, ids, bi, 0, sizeof(ids));
    assert_true(ids[0] == 0 && ids[1] == 1 && ids[2] == 2);
    l->b->weight_free(l->dev, gate);
    l->b->release(l->dev, &bx);
    l->b->release(l->dev, &bi);
    l->b->release(l->dev, &bw);
}

static void equal_scores_choose_the_lower_expert(void **state)
{
    (void)state;
    each_level(ties);
}

struct moe_case {
    int rows, hidden, inner, experts, top_k;
};

static const struct moe_case cases[] = {{0, 8, 8, 2, 1},    {1, 1, 1, 1, 1},     {1, 64, 32, 8, 2},
                                        {3, 37, 19, 4, 2},  {17, 67, 33, 5, 3},  {40, 96, 64, 3, 1},
                                        {9, 130, 50, 7, 7}, {1, 256, 128, 16, 8}};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* Distinct experts for a row, in no order. */
static void choose(int32_t *ids, const struct moe_case *c)
{
    for (int row = 0; row < c->rows; row++)
        for (int i = 0; i < c->top_k; i++)
            ids[row * c->top_k + i] =
                (row * 5 + (c->top_k - i) * (c->experts > 1 ? 1 : 0)) % c->experts;
}

struct moe_data {
    float *x, *up, *down, *weights, *y;
    int32_t *ids;
    struct moe_weight *gate_up, *out;
    struct moe_buf bx, bi, bw, by;
};

static void open_data(const struct level *l, const struct moe_case *c, enum moe_type type,
                      struct moe_data *d)
{
    size_t h = (size_t)c->hidden, n = (size_t)c->inner, e = (size_t)c->experts;
    size_t rows = (size_t)c->rows, pairs = rows * (size_t)c->top_k;
    *d = (struct moe_data){.x = random_floats(rows * h, 31),
                           .up = random_floats(e * 2 * n * h, 32),
                           .down = random_floats(e * h * n, 33),
                           .weights = random_floats(pairs, 34),
                           .y = random_floats(rows * h, 35),
                           .ids = calloc(pairs + 1, sizeof(int32_t))};
    choose(d->ids, c);
    d->gate_up = weight_of(l,
                           (struct moe_shape){.type = type,
                                              .layout = MOE_PAIRED,
                                              .experts = c->experts,
                                              .n = 2 * c->inner,
                                              .k = c->hidden},
                           d->up);
    d->out = weight_of(
        l, (struct moe_shape){.type = type, .experts = c->experts, .n = c->hidden, .k = c->inner},
        d->down);
    d->bx = put(l, d->x, rows * h);
    d->by = put(l, d->y, rows * h);
    d->bi = put(l, d->ids, pairs);
    d->bw = put(l, d->weights, pairs);
}

static void close_data(const struct level *l, struct moe_data *d)
{
    l->b->weight_free(l->dev, d->gate_up);
    l->b->weight_free(l->dev, d->out);
    struct moe_buf *bufs[] = {&d->bx, &d->by, &d->bi, &d->bw};
    for (int i = 0; i < 4; i++)
        l->b->release(l->dev, bufs[i]);
    free(d->x), free(d->up), free(d->down), free(d->weights), free(d->y), free(d->ids);
}

static void check_moe(const struct level *l, const struct moe_case *c, enum moe_type type,
                      double unit)
{
    struct moe_data d;
    open_data(l, c, type, &d);
    assert_int_equal(l->b->moe(l->dev, d.bx, d.bi, d.bw, d.gate_up, d.out, d.by, c->rows, c->top_k),
                     MOE_OK);
    size_t count = (size_t)c->rows * (size_t)c->hidden;
    float *got = random_floats(count, 1);
    l->b->download(l->dev, got, d.by, 0, count * 4);
    round_as(type, d.up, c->experts * 2 * c->inner, c->hidden);
    round_as(type, d.down, c->experts * c->hidden, c->inner);
    for (int row = 0; row < c->rows; row++)
        moe_moe_ref(d.x + row * c->hidden, d.ids + row * c->top_k, d.weights + row * c->top_k,
                    c->top_k, d.up, d.down, c->hidden, c->inner, d.y + row * c->hidden);
    char what[80];
    snprintf(what, sizeof(what), "%s moe type %d, %d rows, %d to %d, %d of %d", l->name, type,
             c->rows, c->hidden, c->inner, c->top_k, c->experts);
    /* inner values are of size `hidden`/10 at most here, and `inner` of them are summed */
    assert_close(what, got, d.y, count, unit * (c->hidden + 10.0) * sqrt(c->inner) * c->top_k);
    free(got);
    close_data(l, &d);
}

static void all_moe(const struct level *l)
{
    for (int i = 0; i < CASES; i++) {
        check_moe(l, &cases[i], MOE_F32, 1e-6);
        check_moe(l, &cases[i], MOE_BF16, 1e-6);
        check_moe(l, &cases[i], MOE_I8, 1e-5); /* int16 activations */
    }
}

static void all_moe_rounded(const struct level *l)
{
    for (int i = 0; i < CASES; i++)
        check_moe(l, &cases[i], MOE_BF16, 2e-3);
}

static void experts_agree_with_their_definition(void **state)
{
    (void)state;
    each_level(all_moe);
    each_level_rounding(all_moe_rounded, true, 2);
}

/* Whoever else is in the batch, and however many threads: the same bits. */
static void alone_or_together(const struct level *l)
{
    static const struct moe_case c = {23, 70, 45, 6, 3};
    static const enum moe_type types[] = {MOE_F32, MOE_BF16, MOE_I8};
    for (int t = 0; t < 3; t++) {
        struct moe_data d;
        open_data(l, &c, types[t], &d);
        float *got = random_floats((size_t)(c.rows * c.hidden), 1), one[70];
        l->b->moe(l->dev, d.bx, d.bi, d.bw, d.gate_up, d.out, d.by, c.rows, c.top_k);
        l->b->download(l->dev, got, d.by, 0, (size_t)(c.rows * c.hidden) * 4);
        for (int row = 0; row < c.rows; row++) {
            l->b->upload(l->dev, d.bx, 0, d.x + row * c.hidden, (size_t)c.hidden * 4);
            l->b->upload(l->dev, d.by, 0, d.y + row * c.hidden, (size_t)c.hidden * 4);
            l->b->upload(l->dev, d.bi, 0, d.ids + row * c.top_k, (size_t)c.top_k * 4);
            l->b->upload(l->dev, d.bw, 0, d.weights + row * c.top_k, (size_t)c.top_k * 4);
            l->b->moe(l->dev, d.bx, d.bi, d.bw, d.gate_up, d.out, d.by, 1, c.top_k);
            l->b->download(l->dev, one, d.by, 0, (size_t)c.hidden * 4);
            assert_memory_equal(one, got + row * c.hidden, (size_t)c.hidden * 4);
        }
        free(got);
        close_data(l, &d);
    }
}

static void a_row_is_the_same_alone_and_in_a_batch(void **state)
{
    (void)state;
    each_level_rounding(alone_or_together, false, 1);
    each_level_rounding(alone_or_together, true, 3);
}

static void dense(const struct level *l)
{
    static const struct moe_case c = {5, 40, 24, 1, 1};
    struct moe_data d;
    struct moe_buf none = {0};
    open_data(l, &c, MOE_F32, &d);
    float got[5 * 40], one = 1;
    int32_t zero = 0;
    assert_int_equal(l->b->moe(l->dev, d.bx, none, none, d.gate_up, d.out, d.by, 5, 1), MOE_OK);
    l->b->download(l->dev, got, d.by, 0, sizeof(got));
    for (int row = 0; row < 5; row++)
        moe_moe_ref(d.x + row * 40, &zero, &one, 1, d.up, d.down, 40, 24, d.y + row * 40);
    assert_close("dense", got, d.y, 5 * 40, 3e-4);
    close_data(l, &d);
}

static void without_ids_it_is_a_dense_mlp(void **state)
{
    (void)state;
    each_level(dense);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(router_agrees_with_its_definition),
        cmocka_unit_test(equal_scores_choose_the_lower_expert),
        cmocka_unit_test(experts_agree_with_their_definition),
        cmocka_unit_test(a_row_is_the_same_alone_and_in_a_batch),
        cmocka_unit_test(without_ids_it_is_a_dense_mlp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
