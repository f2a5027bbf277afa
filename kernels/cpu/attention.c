/* The KV cache, what happens to q, k and v before they meet, and attention.
 *
 * A page holds MOE_PAGE_TOKENS tokens of one layer: keys as [kv_head][head_dim][token], so that the
 * scores of a page are sums of whole vectors, values as [kv_head][token][width], width = head_dim
 * rounded up. Attention walks a row's pages in order and keeps a running maximum and sum (the
 * online softmax of Milakov and Gimelshein, arXiv 1805.02867), so a row costs no memory of its
 * context's length. A unit of work is one row and one kv head: the query heads that share it read
 * each page once.
 */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/numbers.h"

static size_t number_bytes(enum moe_type type)
{
    return type == MOE_BF16 ? 2 : 4;
}

static int value_width(int head_dim)
{
    return cpu_round_up(head_dim, CPU_PANEL);
}

size_t cpu_page_bytes(enum moe_type type, int kv_heads, int head_dim)
{
    return (size_t)kv_heads * (size_t)value_width(head_dim) * MOE_PAGE_TOKENS * number_bytes(type);
}

enum moe_status cpu_page_copy(struct moe_dev *dev, const struct moe_kv *kv, int to, int from)
{
    (void)dev;
    size_t bytes = cpu_page_bytes(kv->type, kv->kv_heads, kv->head_dim);
    char *k = (char *)(uintptr_t)kv->k.addr, *v = (char *)(uintptr_t)kv->v.addr;
    memcpy(k + (size_t)to * bytes, k + (size_t)from * bytes, bytes);
    memcpy(v + (size_t)to * bytes, v + (size_t)from * bytes, bytes);
    return MOE_OK;
}

/* Where a kv head's keys (or values) of a page begin. */
static char *head_of(const struct moe_kv *kv, struct moe_buf buf, int page, int head)
{
    size_t bytes = cpu_page_bytes(kv->type, kv->kv_heads, kv->head_dim);
    return (char *)(uintptr_t)buf.addr + (size_t)page * bytes +
           (size_t)head * (bytes / (size_t)kv->kv_heads);
}

struct pass {
    const struct cpu_isa *isa;
    const struct moe_batch *batch;
    const struct moe_heads *heads;
    const struct moe_kv *kv;
    float *qkv, *out;
    char *threads; /* scratch, thread_bytes each */
    size_t thread_bytes;
};

static int page_of(const struct pass *p, int row, int position)
{
    int sequence = cpu_i32(p->batch->sequence)[row];
    return cpu_i32(p->batch->table)[(size_t)sequence * (size_t)p->batch->pages_max +
                                    (size_t)(position / MOE_PAGE_TOKENS)];
}

static size_t row_width(const struct moe_heads *h)
{
    return (size_t)(h->heads + 2 * h->kv_heads) * (size_t)h->head_dim;
}

/* ---- before attention ---- */

static void rotate(float *x, const float *rope, int head_dim)
{
    int half = head_dim / 2;
    for (int i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], c = rope[i], s = rope[half + i];
        x[i] = a * c - b * s;
        x[i + half] = b * c + a * s;
    }
}

static void put_number(char *at, enum moe_type type, float x)
{
    uint16_t h = cpu_to_bf16(x);
    memcpy(at, type == MOE_BF16 ? (const void *)&h : (const void *)&x, number_bytes(type));
}

static void cache_write(const struct pass *p, int row, int head, const float *k, const float *v)
{
    const struct moe_kv *kv = p->kv;
    int position = cpu_i32(p->batch->position)[row], page = page_of(p, row, position);
    size_t token = (size_t)position % MOE_PAGE_TOKENS, size = number_bytes(kv->type);
    char *keys = head_of(kv, kv->k, page, head), *values = head_of(kv, kv->v, page, head);
    values += token * (size_t)value_width(kv->head_dim) * size;
    for (int d = 0; d < kv->head_dim; d++) {
        put_number(keys + ((size_t)d * MOE_PAGE_TOKENS + token) * size, kv->type, k[d]);
        put_number(values + (size_t)d * size, kv->type, v[d]);
    }
}

static void post_job(void *context, int row, int thread)
{
    (void)thread;
    const struct pass *p = context;
    const struct moe_heads *h = p->heads;
    float *q = p->qkv + (size_t)row * row_width(h);
    float *k = q + (size_t)h->heads * (size_t)h->head_dim;
    float *v = k + (size_t)h->kv_heads * (size_t)h->head_dim;
    const float *rope = cpu_f32(p->batch->rope) + (size_t)row * (size_t)(h->head_dim / 2 * 2);
    for (int i = 0; i < h->heads + h->kv_heads; i++) {
        float *x = q + (size_t)i * (size_t)h->head_dim;
        struct moe_buf norm = i < h->heads ? h->q_norm : h->k_norm;
        if (norm.addr)
            p->isa->rmsnorm(x, cpu_f32(norm), x, h->head_dim, h->eps);
        rotate(x, rope, h->head_dim);
    }
    for (int i = 0; i < h->kv_heads; i++)
        cache_write(p, row, i, k + (size_t)i * (size_t)h->head_dim,
                    v + (size_t)i * (size_t)h->head_dim);
}

enum moe_status cpu_qkv_post(struct moe_dev *dev, const struct moe_batch *batch, struct moe_buf qkv,
                             const struct moe_heads *heads, const struct moe_kv *kv)
{
    struct pass p = {
        .isa = dev->isa, .batch = batch, .heads = heads, .kv = kv, .qkv = cpu_f32(qkv)};
    cpu_run(dev, (size_t)batch->rows * row_width(heads) * 8, post_job, &p, batch->rows);
    return MOE_OK;
}

/* ---- attention ---- */

/* Running state of the query heads of one unit; `acc` is [group][width]. */
struct running {
    float *acc, *max, *sum;
};

/* Takes one page in for one query head; tokens from `first` to `last` of it are visible. */
static void take_page(const struct pass *p, const float *q, const char *keys, const char *values,
                      int first, int last, float *acc, float *max, float *sum)
{
    const struct moe_kv *kv = p->kv;
    int width = value_width(kv->head_dim), tokens = last - first + 1;
    float s[MOE_PAGE_TOKENS];
    p->isa->scores(q, keys, kv->type, kv->head_dim, p->heads->scale, s);
    float peak = *max;
    for (int t = first; t <= last; t++)
        peak = s[t] > peak ? s[t] : peak;
    if (peak > *max) {
        float fade = *max < -1e30f ? 0.0f : expf(*max - peak);
        for (int d = 0; d < width; d++)
            acc[d] *= fade;
        *sum *= fade;
        *max = peak;
    }
    *sum += p->isa->exp_sum(s + first, tokens, peak);
    values += (size_t)first * (size_t)width * number_bytes(kv->type);
    p->isa->mix(s + first, tokens, values, kv->type, width, acc);
}

static void attend(const struct pass *p, int row, int kv_head, const struct running *run)
{
    const struct moe_heads *h = p->heads;
    const struct moe_kv *kv = p->kv;
    int group = h->heads / h->kv_heads, width = value_width(h->head_dim);
    int position = cpu_i32(p->batch->position)[row];
    int from = h->window > 0 && position - h->window + 1 > 0 ? position - h->window + 1 : 0;
    const float *q =
        p->qkv + (size_t)row * row_width(h) + (size_t)kv_head * (size_t)group * (size_t)h->head_dim;
    for (int at = from - from % MOE_PAGE_TOKENS; at <= position; at += MOE_PAGE_TOKENS) {
        int page = page_of(p, row, at);
        const char *keys = head_of(kv, kv->k, page, kv_head);
        const char *values = head_of(kv, kv->v, page, kv_head);
        int first = from > at ? from - at : 0;
        int last = position - at < MOE_PAGE_TOKENS - 1 ? position - at : MOE_PAGE_TOKENS - 1;
        for (int g = 0; g < group; g++)
            take_page(p, q + (size_t)g * (size_t)h->head_dim, keys, values, first, last,
                      run->acc + (size_t)g * (size_t)width, &run->max[g], &run->sum[g]);
    }
}

static void attention_job(void *context, int unit, int thread)
{
    const struct pass *p = context;
    const struct moe_heads *h = p->heads;
    int row = unit / h->kv_heads, kv_head = unit % h->kv_heads;
    int group = h->heads / h->kv_heads, width = value_width(h->head_dim);
    struct running run;
    run.acc = (float *)(void *)(p->threads + (size_t)thread * p->thread_bytes);
    run.max = run.acc + (size_t)group * (size_t)width;
    run.sum = run.max + group;
    memset(run.acc, 0, (size_t)group * (size_t)width * sizeof(float));
    for (int g = 0; g < group; g++) {
        run.max[g] = -INFINITY;
        run.sum[g] = 0;
    }
    attend(p, row, kv_head, &run);
    for (int g = 0; g < group; g++) {
        float *out = p->out + ((size_t)row * (size_t)h->heads + (size_t)(kv_head * group + g)) *
                                  (size_t)h->head_dim;
        for (int d = 0; d < h->head_dim; d++)
            out[d] = run.acc[(size_t)g * (size_t)width + (size_t)d] / run.sum[g];
    }
}

enum moe_status cpu_attention(struct moe_dev *dev, const struct moe_batch *batch,
                              struct moe_buf qkv, const struct moe_heads *heads,
                              const struct moe_kv *kv, struct moe_buf out)
{
    struct pass p = {.isa = dev->isa,
                     .batch = batch,
                     .heads = heads,
                     .kv = kv,
                     .qkv = cpu_f32(qkv),
                     .out = cpu_f32(out)};
    size_t group = (size_t)(heads->heads / heads->kv_heads);
    size_t floats = group * ((size_t)value_width(heads->head_dim) + 2);
    p.thread_bytes = (floats * sizeof(float) + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
    if (!cpu_scratch_fit(&dev->threads, p.thread_bytes * (size_t)cpu_pool_threads(dev->pool)))
        return MOE_NO_MEMORY;
    p.threads = dev->threads.data;
    size_t work = (size_t)batch->rows * row_width(heads) * 2 * MOE_PAGE_TOKENS;
    cpu_run(dev, work * (size_t)batch->pages_max, attention_job, &p, batch->rows * heads->kv_heads);
    return MOE_OK;
}
