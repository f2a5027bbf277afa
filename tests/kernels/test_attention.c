/* What happens between the projections, against the definitions: norms, rotation, cache, attention.
 */
#include "kernels.h"

struct attention_case {
    int heads, kv_heads, head_dim, tokens, window;
    bool norms;
    enum moe_type cache;
};

/* One head, grouped heads, odd widths; one token, a page less one, a page, over a page; windows. */
static const struct attention_case cases[] = {
    {1, 1, 2, 1, 0, false, MOE_F32},     {4, 2, 16, 63, 0, true, MOE_F32},
    {4, 4, 32, 64, 0, true, MOE_F32},    {6, 2, 34, 65, 0, false, MOE_F32},
    {8, 1, 128, 150, 0, true, MOE_F32},  {4, 2, 16, 200, 5, true, MOE_F32},
    {2, 2, 18, 131, 64, false, MOE_F32}, {3, 1, 256, 70, 65, true, MOE_F32},
    {8, 2, 64, 130, 0, true, MOE_BF16},  {4, 2, 20, 67, 3, true, MOE_BF16},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static size_t size_of(int a, int b, int c)
{
    return (size_t)a * (size_t)b * (size_t)c;
}

static void angles(float *rope, int tokens, int head_dim)
{
    for (int t = 0; t < tokens; t++)
        for (int i = 0; i < head_dim / 2; i++) {
            double angle = t / pow(10000, 2.0 * i / head_dim);
            rope[t * head_dim + i] = (float)cos(angle);
            rope[t * head_dim + head_dim / 2 + i] = (float)sin(angle);
        }
}

/* The definition over the same qkv: `wanted` [tokens][heads][head_dim]. */
static void define(const struct attention_case *c, float *qkv, const float *rope,
                   const float *q_norm, const float *k_norm, float *wanted)
{
    int width = (c->heads + 2 * c->kv_heads) * c->head_dim, kv = c->kv_heads * c->head_dim;
    float *keys = random_floats(size_of(c->tokens, kv, 1), 1);
    float *values = random_floats(size_of(c->tokens, kv, 1), 1);
    for (int t = 0; t < c->tokens; t++) {
        float *row = qkv + (size_t)t * (size_t)width;
        moe_qkv_post_ref(row, c->heads, c->kv_heads, c->head_dim, c->norms ? q_norm : NULL,
                         c->norms ? k_norm : NULL, 1e-6f, rope + t * c->head_dim);
        memcpy(keys + (size_t)(t * kv), row + c->heads * c->head_dim, (size_t)kv * 4);
        memcpy(values + (size_t)(t * kv), row + c->heads * c->head_dim + kv, (size_t)kv * 4);
    }
    round_as(c->cache, keys, c->tokens, kv);
    round_as(c->cache, values, c->tokens, kv);
    for (int t = 0; t < c->tokens; t++)
        moe_attention_ref(qkv + (size_t)t * (size_t)width, keys, values, t, c->heads, c->kv_heads,
                          c->head_dim, 0.3f, c->window, wanted + size_of(t, c->heads, c->head_dim));
    free(keys), free(values);
}

static void check_case(const struct level *l, const struct attention_case *c)
{
    int width = (c->heads + 2 * c->kv_heads) * c->head_dim;
    int pages = (c->tokens + MOE_PAGE_TOKENS - 1) / MOE_PAGE_TOKENS;
    size_t out_count = size_of(c->tokens, c->heads, c->head_dim);
    float *qkv = random_floats(size_of(c->tokens, width, 1), 11);
    float *q_norm = random_floats((size_t)c->head_dim, 12),
          *k_norm = random_floats((size_t)c->head_dim, 13);
    float *rope = random_floats(size_of(c->tokens, c->head_dim, 1), 1);
    float *got = random_floats(out_count, 1), *wanted = random_floats(out_count, 1);
    int32_t position[256], sequence[256] = {0}, table[8];
    angles(rope, c->tokens, c->head_dim);
    for (int t = 0; t < c->tokens; t++)
        position[t] = t;
    for (int i = 0; i < pages; i++)
        table[i] = pages - 1 - i; /* pages need not be in order */
    struct moe_kv kv = {.type = c->cache, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
    size_t page = l->b->page_bytes(c->cache, c->kv_heads, c->head_dim);
    assert_int_equal(l->b->alloc(l->dev, page * (size_t)pages, &kv.k), MOE_OK);
    assert_int_equal(l->b->alloc(l->dev, page * (size_t)pages, &kv.v), MOE_OK);
    struct moe_buf bq = put(l, qkv, size_of(c->tokens, width, 1)), bo = put(l, got, out_count);
    struct moe_batch batch = {.rows = c->tokens,
                              .pages_max = pages,
                              .position = put(l, position, (size_t)c->tokens),
                              .sequence = put(l, sequence, (size_t)c->tokens),
                              .table = put(l, table, (size_t)pages),
                              .rope = put(l, rope, size_of(c->tokens, c->head_dim, 1))};
    struct moe_heads heads = {.heads = c->heads,
                              .kv_heads = c->kv_heads,
                              .head_dim = c->head_dim,
                              .eps = 1e-6f,
                              .scale = 0.3f,
                              .window = c->window};
    if (c->norms) {
        heads.q_norm = put(l, q_norm, (size_t)c->head_dim);
        heads.k_norm = put(l, k_norm, (size_t)c->head_dim);
    }
    assert_int_equal(l->b->qkv_post(l->dev, &batch, bq, &heads, &kv), MOE_OK);
    assert_int_equal(l->b->attention(l->dev, &batch, bq, &heads, &kv, bo), MOE_OK);
    l->b->download(l->dev, got, bo, 0, out_count * 4);
    define(c, qkv, rope, q_norm, k_norm, wanted);
    char what[80];
    snprintf(what, sizeof(what), "%s attention %d/%d x %d, %d tokens", l->name, c->heads,
             c->kv_heads, c->head_dim, c->tokens);
    /* f32: roundings of scores up to about 10. bf16: a number near a tie may round either way after
     * norms that differ in the last bit. */
    assert_close(what, got, wanted, out_count, c->cache == MOE_F32 ? 1e-5 : 4e-3);
    struct moe_buf *bufs[] = {&kv.k,           &kv.v,           &bq,          &bo,
                              &batch.position, &batch.sequence, &batch.table, &batch.rope,
                              &heads.q_norm,   &heads.k_norm};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
        l->b->release(l->dev, bufs[i]);
    free(qkv), free(q_norm), free(k_norm), free(rope), free(got), free(wanted);
}

static void all_cases(const struct level *l)
{
    for (int i = 0; i < CASES; i++)
        check_case(l, &cases[i]);
}

static void attention_agrees_with_its_definition(void **state)
{
    (void)state;
    each_level(all_cases);
}

static void copies_page(const struct level *l)
{
    struct moe_kv kv = {.type = MOE_BF16, .kv_heads = 3, .head_dim = 20};
    size_t page = l->b->page_bytes(kv.type, 3, 20);
    char *bytes = malloc(page), *back = malloc(page);
    for (size_t i = 0; i < page; i++)
        bytes[i] = (char)i;
    assert_int_equal(l->b->alloc(l->dev, page * 3, &kv.k), MOE_OK);
    assert_int_equal(l->b->alloc(l->dev, page * 3, &kv.v), MOE_OK);
    l->b->upload(l->dev, kv.v, page, bytes, page);
    l->b->page_copy(l->dev, &kv, 2, 1);
    l->b->download(l->dev, back, kv.v, page * 2, page);
    assert_memory_equal(back, bytes, page);
    l->b->release(l->dev, &kv.k);
    l->b->release(l->dev, &kv.v);
    free(bytes), free(back);
}

static void a_copied_page_holds_the_same(void **state)
{
    (void)state;
    each_level(copies_page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_agrees_with_its_definition),
        cmocka_unit_test(a_copied_page_holds_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
