#include "native/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct native_forward {
    const struct native_model *model;
    int rows_max, logits_max, table_max;
    /* on the device, for rows_max rows */
    struct moe_buf x, normed, qkv, attended, ids, expert_ids, expert_weights;
    struct moe_buf position, sequence, table, rope, pick, logits;
    /* on the host */
    int32_t *chosen; /* [moe_layers][rows_max * top_k] */
    int32_t *table_host;
    float *chosen_weights, *rope_host;
    double *frequencies; /* [head_dim / 2] */
    uint32_t *counts;    /* [moe_layers][experts] */
    native_experts_fn watch;
    void *watch_context;
};

struct widest {
    size_t qkv, heads, head_dim;
};

static struct widest widest_of(const struct cap_model *shape)
{
    struct widest w = {0};
    for (int i = 0; i < shape->layer_count; i++) {
        const struct cap_model_attention *a = &shape->layers[i].attention;
        size_t dim = (size_t)a->head_dim, heads = (size_t)a->heads * dim;
        size_t qkv = heads + 2 * (size_t)a->kv_heads * dim;
        w.qkv = qkv > w.qkv ? qkv : w.qkv;
        w.heads = heads > w.heads ? heads : w.heads;
        w.head_dim = dim > w.head_dim ? dim : w.head_dim;
    }
    return w;
}

static bool alloc_device(struct native_forward *fw, struct widest w)
{
    const struct native_model *m = fw->model;
    size_t rows = (size_t)fw->rows_max, hidden = (size_t)m->shape->hidden;
    size_t top_k = m->top_k > 0 ? (size_t)m->top_k : 1;
    struct {
        struct moe_buf *buf;
        size_t numbers;
    } all[] = {
        {&fw->x, rows * hidden},
        /* also holds the rows picked for logits */
        {&fw->normed, (rows > (size_t)fw->logits_max ? rows : (size_t)fw->logits_max) * hidden},
        {&fw->qkv, rows * w.qkv},
        {&fw->attended, rows * w.heads},
        {&fw->ids, rows},
        {&fw->expert_ids, rows * top_k},
        {&fw->expert_weights, rows * top_k},
        {&fw->position, rows},
        {&fw->sequence, rows},
        {&fw->table, rows * (size_t)fw->table_max},
        {&fw->rope, rows * w.head_dim},
        {&fw->pick, (size_t)fw->logits_max},
        {&fw->logits, (size_t)fw->logits_max * (size_t)m->shape->vocab},
    };
    for (size_t i = 0; i < CAP_COUNT_OF(all); i++)
        if (m->backend->alloc(m->dev, all[i].numbers * 4, all[i].buf) != MOE_OK)
            return false;
    return true;
}

static bool alloc_host(struct native_forward *fw, struct widest w)
{
    const struct native_model *m = fw->model;
    size_t rows = (size_t)fw->rows_max, top_k = m->top_k > 0 ? (size_t)m->top_k : 1;
    fw->chosen = calloc((size_t)m->moe_layers * rows * top_k + 1, sizeof(*fw->chosen));
    fw->chosen_weights = calloc(rows * top_k + 1, sizeof(*fw->chosen_weights));
    fw->table_host = calloc(rows * (size_t)fw->table_max + 1, sizeof(*fw->table_host));
    fw->rope_host = calloc(rows * w.head_dim + 1, sizeof(*fw->rope_host));
    fw->frequencies = calloc(w.head_dim / 2 + 1, sizeof(*fw->frequencies));
    fw->counts = calloc((size_t)m->moe_layers * (size_t)m->experts + 1, sizeof(*fw->counts));
    return fw->chosen && fw->chosen_weights && fw->table_host && fw->rope_host && fw->frequencies &&
           fw->counts;
}

struct native_forward *native_forward_open(const struct native_model *model, int rows_max,
                                           int logits_max, int context_max, struct cap_err *err)
{
    CAP_AUTO(native_forward) fw = calloc(1, sizeof(*fw));
    if (fw) {
        fw->model = model;
        fw->rows_max = rows_max;
        fw->logits_max = logits_max;
        fw->table_max = native_kv_pages_for(context_max);
    }
    struct widest w = widest_of(model->shape);
    if (!fw || !alloc_device(fw, w) || !alloc_host(fw, w)) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for passes of %d rows",
                 rows_max);
        return NULL;
    }
    return cap_take(fw);
}

void native_forward_free(struct native_forward *fw)
{
    if (!fw)
        return;
    struct moe_buf *bufs[] = {
        &fw->x,          &fw->normed,         &fw->qkv,      &fw->attended, &fw->ids,
        &fw->expert_ids, &fw->expert_weights, &fw->position, &fw->sequence, &fw->table,
        &fw->rope,       &fw->pick,           &fw->logits};
    for (size_t i = 0; i < CAP_COUNT_OF(bufs); i++)
        fw->model->backend->release(fw->model->dev, bufs[i]);
    free(fw->chosen);
    free(fw->chosen_weights);
    free(fw->table_host);
    free(fw->rope_host);
    free(fw->frequencies);
    free(fw->counts);
    free(fw);
}

void native_forward_watch(struct native_forward *fw, native_experts_fn fn, void *context)
{
    fw->watch = fn;
    fw->watch_context = context;
}

const uint32_t *native_forward_counts(const struct native_forward *fw)
{
    return fw->counts;
}

static int32_t *chosen_of(const struct native_forward *fw, int moe_layer)
{
    return fw->chosen + (size_t)moe_layer * (size_t)fw->rows_max * (size_t)fw->model->top_k;
}

const int32_t *native_forward_chosen(const struct native_forward *fw, int moe_layer)
{
    return chosen_of(fw, moe_layer);
}

/* ---- what the rows need on the device ---- */

/* Angles in double: at position 100000 a float's angle is off by a hundredth. Under dynamic rope
 * the frequencies depend on the sequence, so they are made again when the sequence changes. */
static void upload_rope(struct native_forward *fw, const struct native_rows *rows, int head_dim)
{
    const struct cap_rope *rope = &fw->model->shape->rope;
    int half = head_dim / 2, last = -1;
    for (int i = 0; i < rows->count; i++) {
        int sequence = rope->kind == CAP_ROPE_DYNAMIC ? rows->sequence_of[i] : 0;
        if (sequence != last) {
            const struct native_sequence *s = rows->sequences[sequence];
            cap_rope_frequencies(rope, head_dim, s->rope_length, fw->frequencies);
            last = sequence;
        }
        float *to = fw->rope_host + (size_t)i * (size_t)head_dim;
        for (int j = 0; j < half; j++) {
            double angle = rows->positions[i] * fw->frequencies[j];
            to[j] = (float)(cos(angle) * rope->attention_factor);
            to[half + j] = (float)(sin(angle) * rope->attention_factor);
        }
    }
    fw->model->backend->upload(fw->model->dev, fw->rope, 0, fw->rope_host,
                               (size_t)rows->count * (size_t)head_dim * sizeof(float));
}

static int upload_table(struct native_forward *fw, const struct native_rows *rows)
{
    int pages_max = 1;
    for (int i = 0; i < rows->sequence_count; i++)
        if (rows->sequences[i]->page_count > pages_max)
            pages_max = rows->sequences[i]->page_count;
    for (int i = 0; i < rows->sequence_count; i++) {
        const struct native_sequence *s = rows->sequences[i];
        memcpy(fw->table_host + (size_t)i * (size_t)pages_max, s->pages,
               (size_t)s->page_count * sizeof(*s->pages));
    }
    fw->model->backend->upload(fw->model->dev, fw->table, 0, fw->table_host,
                               (size_t)rows->sequence_count * (size_t)pages_max * sizeof(int32_t));
    return pages_max;
}

static struct moe_batch upload_rows(struct native_forward *fw, const struct native_rows *rows)
{
    const struct moe_backend *b = fw->model->backend;
    size_t bytes = (size_t)rows->count * sizeof(int32_t);
    b->upload(fw->model->dev, fw->ids, 0, rows->ids, bytes);
    b->upload(fw->model->dev, fw->position, 0, rows->positions, bytes);
    b->upload(fw->model->dev, fw->sequence, 0, rows->sequence_of, bytes);
    return (struct moe_batch){.rows = rows->count,
                              .pages_max = upload_table(fw, rows),
                              .position = fw->position,
                              .sequence = fw->sequence,
                              .table = fw->table,
                              .rope = fw->rope};
}

/* ---- the layers ---- */

static enum moe_status attention(struct native_forward *fw, const struct moe_batch *batch,
                                 int layer, const struct moe_kv *kv)
{
    const struct native_model *m = fw->model;
    const struct moe_backend *b = m->backend;
    const struct native_layer *l = &m->layers[layer];
    const struct cap_model_attention *a = &m->shape->layers[layer].attention;
    struct moe_heads heads = {.heads = a->heads,
                              .kv_heads = a->kv_heads,
                              .head_dim = a->head_dim,
                              .q_norm = l->q_norm,
                              .k_norm = l->k_norm,
                              .eps = (float)m->shape->norm_eps,
                              .scale = (float)a->scale,
                              .window = a->window};
    enum moe_status status = b->rmsnorm(m->dev, fw->x, (struct moe_buf){0}, l->attention_norm,
                                        fw->normed, batch->rows, m->shape->hidden, heads.eps);
    if (status == MOE_OK)
        status = b->linear(m->dev, fw->normed, l->qkv, l->qkv_bias, fw->qkv, batch->rows, false);
    if (status == MOE_OK)
        status = b->qkv_post(m->dev, batch, fw->qkv, &heads, kv);
    if (status == MOE_OK)
        status = b->attention(m->dev, batch, fw->qkv, &heads, kv, fw->attended);
    if (status == MOE_OK)
        status = b->linear(m->dev, fw->attended, l->o, l->o_bias, fw->x, batch->rows, true);
    return status;
}

/* What the router chose, counted where it is final. */
static void record_experts(struct native_forward *fw, int layer, int moe_layer, int rows)
{
    const struct native_model *m = fw->model;
    int top_k = m->shape->layers[layer].router.top_k;
    size_t pairs = (size_t)rows * (size_t)top_k;
    int32_t *chosen = chosen_of(fw, moe_layer);
    m->backend->download(m->dev, chosen, fw->expert_ids, 0, pairs * sizeof(int32_t));
    uint32_t *counts = fw->counts + (size_t)moe_layer * (size_t)m->experts;
    for (size_t i = 0; i < pairs; i++)
        counts[chosen[i]]++;
    if (!fw->watch)
        return;
    m->backend->download(m->dev, fw->chosen_weights, fw->expert_weights, 0, pairs * sizeof(float));
    fw->watch(fw->watch_context, layer, chosen, fw->chosen_weights, rows, top_k);
}

static enum moe_status mlp(struct native_forward *fw, int layer, int moe_layer, int rows)
{
    const struct native_model *m = fw->model;
    const struct moe_backend *b = m->backend;
    const struct native_layer *l = &m->layers[layer];
    const struct cap_model_router *r = &m->shape->layers[layer].router;
    struct moe_buf none = {0};
    enum moe_status status = b->rmsnorm(m->dev, fw->x, none, l->mlp_norm, fw->normed, rows,
                                        m->shape->hidden, (float)m->shape->norm_eps);
    if (status != MOE_OK)
        return status;
    if (!l->router)
        return b->moe(m->dev, fw->normed, none, none, l->gate_up, l->down, fw->x, rows, 1);
    status = b->router(m->dev, fw->normed, l->router, fw->expert_ids, fw->expert_weights, rows,
                       r->top_k, r->renormalize, (float)r->scale);
    if (status != MOE_OK)
        return status;
    record_experts(fw, layer, moe_layer, rows);
    return b->moe(m->dev, fw->normed, fw->expert_ids, fw->expert_weights, l->gate_up, l->down,
                  fw->x, rows, r->top_k);
}

static bool check(enum moe_status status, struct cap_err *err)
{
    return status == MOE_OK ||
           cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for a forward pass");
}

bool native_forward_run(struct native_forward *fw, struct native_kv *kv,
                        const struct native_rows *rows, struct cap_err *err)
{
    const struct native_model *m = fw->model;
    memset(fw->counts, 0, (size_t)m->moe_layers * (size_t)m->experts * sizeof(*fw->counts));
    struct moe_batch batch = upload_rows(fw, rows);
    enum moe_status status = m->backend->embed(m->dev, fw->ids, m->embed, fw->x, rows->count);
    int moe_layer = 0, rope_dim = 0;
    for (int i = 0; status == MOE_OK && i < m->shape->layer_count; i++) {
        int head_dim = m->shape->layers[i].attention.head_dim;
        if (head_dim != rope_dim)
            upload_rope(fw, rows, rope_dim = head_dim);
        status = attention(fw, &batch, i, &kv->layers[i]);
        if (status == MOE_OK)
            status = mlp(fw, i, moe_layer, rows->count);
        moe_layer += m->layers[i].router != NULL;
    }
    return check(status, err);
}

bool native_forward_logits(struct native_forward *fw, const int32_t *pick, int count, float *out,
                           struct cap_err *err)
{
    const struct native_model *m = fw->model;
    m->backend->upload(m->dev, fw->pick, 0, pick, (size_t)count * sizeof(*pick));
    enum moe_status status =
        m->backend->rmsnorm(m->dev, fw->x, fw->pick, m->norm, fw->normed, count, m->shape->hidden,
                            (float)m->shape->norm_eps);
    if (status == MOE_OK)
        status = m->backend->linear(m->dev, fw->normed, m->head, (struct moe_buf){0}, fw->logits,
                                    count, false);
    if (!check(status, err))
        return false;
    m->backend->download(m->dev, out, fw->logits, 0,
                         (size_t)count * (size_t)m->shape->vocab * sizeof(float));
    return true;
}
