/* One forward pass: embedding, layers, and on request the head.
 *
 * A layer is the usual one of a decoder (pre-norm, residual):
 *
 *     x += O attention(rope(norm(Q n)), rope(norm(K n)), V n)    n = rmsnorm(x); norms of q and k
 *                                                                where the family has them
 *     x += sum over chosen experts e of w_e down_e(silu(gate_e m) * up_e m)      m = rmsnorm(x)
 *
 * and the chosen experts with their weights are those of the router over m (Shazeer et al., arXiv
 * 1701.06538; the exact variants are the kinds of model.h). A dense layer is one expert with weight
 * 1. Attention is grouped (arXiv 2305.13245), scaled by cap_model_attention.scale, and sees a
 * window where the layer has one. Rotation is half-split, by angles made here in double. Each
 * operator is defined in kernels/moe_backend.h; HF Transformers' models of the same families are
 * the reference that tests/unit/native/test_golden.c compares with.
 *
 * What goes up to the device before a pass: ids, positions, the page table, cosines and sines. What
 * comes down: the logits that were asked for, and once after the last layer the expert ids of all
 * layers, which lie one layer after another in one buffer. So nothing waits for the device between
 * two layers. The counts are made on the host from those ids: they are the router's final choices,
 * the same that the experts were computed with.
 *
 * Numbers do not depend on the rows that share the pass: moe_backend.h promises it for each
 * operator, and nothing here mixes rows.
 */
#include "native/inside.h"

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
    int32_t *chosen;       /* of all layers: as expert_ids */
    size_t *chosen_at;     /* [moe_layers + 1] where a layer's choices begin, [rows][top_k] */
    float *chosen_weights; /* as chosen */
    int32_t *table_host;
    float *rope_host;
    double *frequencies; /* [head_dim / 2] */
    uint32_t *counts;    /* [moe_layers][experts] */
    native_experts_fn watch;
    void *watch_context;
    bool (*unwanted)(void *arg);
    void *unwanted_arg;
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
    size_t choices = rows * (size_t)m->top_k * (size_t)m->moe_layers + 1;
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
        {&fw->expert_ids, choices},
        {&fw->expert_weights, choices},
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
    size_t rows = (size_t)fw->rows_max;
    size_t choices = rows * (size_t)m->top_k * (size_t)m->moe_layers + 1;
    fw->chosen = calloc(choices, sizeof(*fw->chosen));
    fw->chosen_at = calloc((size_t)m->moe_layers + 1, sizeof(*fw->chosen_at));
    fw->chosen_weights = calloc(choices, sizeof(*fw->chosen_weights));
    fw->table_host = calloc(rows * (size_t)fw->table_max + 1, sizeof(*fw->table_host));
    fw->rope_host = calloc(rows * w.head_dim + 1, sizeof(*fw->rope_host));
    fw->frequencies = calloc(w.head_dim / 2 + 1, sizeof(*fw->frequencies));
    fw->counts = calloc((size_t)m->moe_layers * (size_t)m->experts + 1, sizeof(*fw->counts));
    return fw->chosen && fw->chosen_at && fw->chosen_weights && fw->table_host && fw->rope_host &&
           fw->frequencies && fw->counts;
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
    free(fw->chosen_at);
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

const int32_t *native_forward_chosen(const struct native_forward *fw, int moe_layer)
{
    return fw->chosen + fw->chosen_at[moe_layer];
}

void native_forward_ask(struct native_forward *fw, bool (*unwanted)(void *arg), void *arg)
{
    fw->unwanted = unwanted;
    fw->unwanted_arg = arg;
}

static bool still_wanted(const struct native_forward *fw, struct cap_err *err)
{
    return !fw->unwanted || !fw->unwanted(fw->unwanted_arg) ||
           cap_fail(err, CAP_CANCELLED, "nobody waits for the pass any more");
}

static bool check(const struct native_forward *fw, enum moe_status status, struct cap_err *err)
{
    const struct native_model *m = fw->model;
    if (status == MOE_OK)
        return true;
    if (status == MOE_NO_MEMORY)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for a forward pass");
    return cap_fail(err, CAP_UNAVAILABLE, "backend %s: the forward pass failed: %s",
                    m->backend->name, m->backend->failure(m->dev));
}

/* ---- what the rows need on the device ---- */

/* Angles in double: at position 100000 a float's angle is off by a hundredth. Under dynamic rope
 * the frequencies depend on the sequence, so they are made again when the sequence changes. */
static enum moe_status upload_rope(struct native_forward *fw, const struct native_rows *rows,
                                   int head_dim)
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
    return fw->model->backend->upload(fw->model->dev, fw->rope, 0, fw->rope_host,
                                      (size_t)rows->count * (size_t)head_dim * sizeof(float));
}

/* The pages of every sequence, in rows of the longest. */
static enum moe_status upload_table(struct native_forward *fw, const struct native_rows *rows,
                                    int *out_pages_max)
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
    *out_pages_max = pages_max;
    return fw->model->backend->upload(fw->model->dev, fw->table, 0, fw->table_host,
                                      (size_t)rows->sequence_count * (size_t)pages_max *
                                          sizeof(int32_t));
}

static enum moe_status upload_rows(struct native_forward *fw, const struct native_rows *rows,
                                   struct moe_batch *out)
{
    const struct moe_backend *b = fw->model->backend;
    size_t bytes = (size_t)rows->count * sizeof(int32_t);
    *out = (struct moe_batch){.rows = rows->count,
                              .position = fw->position,
                              .sequence = fw->sequence,
                              .table = fw->table,
                              .rope = fw->rope};
    enum moe_status status = b->upload(fw->model->dev, fw->ids, 0, rows->ids, bytes);
    if (status == MOE_OK)
        status = b->upload(fw->model->dev, fw->position, 0, rows->positions, bytes);
    if (status == MOE_OK)
        status = b->upload(fw->model->dev, fw->sequence, 0, rows->sequence_of, bytes);
    if (status == MOE_OK)
        status = upload_table(fw, rows, &out->pages_max);
    return status;
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

static struct moe_buf part_of(struct moe_buf buf, size_t numbers)
{
    return (struct moe_buf){buf.addr + numbers * 4, buf.bytes - numbers * 4};
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
    struct moe_buf ids = part_of(fw->expert_ids, fw->chosen_at[moe_layer]);
    struct moe_buf weights = part_of(fw->expert_weights, fw->chosen_at[moe_layer]);
    status = b->router(m->dev, fw->normed, l->router, ids, weights, rows, r->top_k, r->renormalize,
                       (float)r->scale);
    if (status != MOE_OK)
        return status;
    return b->moe(m->dev, fw->normed, ids, weights, l->gate_up, l->down, fw->x, rows, r->top_k);
}

/* ---- what the routers chose ---- */

/* Where each layer's choices lie in this pass: packed, so that one download takes them all. */
static void lay_out_choices(struct native_forward *fw, int rows)
{
    const struct native_model *m = fw->model;
    size_t at = 0;
    for (int i = 0, moe_layer = 0; i < m->shape->layer_count; i++) {
        if (!m->layers[i].router)
            continue;
        fw->chosen_at[moe_layer++] = at;
        at += (size_t)rows * (size_t)m->shape->layers[i].router.top_k;
    }
    fw->chosen_at[m->moe_layers] = at;
}

static void tell_watcher(const struct native_forward *fw, int rows)
{
    const struct native_model *m = fw->model;
    for (int i = 0, moe_layer = 0; i < m->shape->layer_count; i++) {
        if (!m->layers[i].router)
            continue;
        size_t at = fw->chosen_at[moe_layer++];
        fw->watch(fw->watch_context, i, fw->chosen + at, fw->chosen_weights + at, rows,
                  m->shape->layers[i].router.top_k);
    }
}

static enum moe_status take_choices(struct native_forward *fw, int rows)
{
    const struct native_model *m = fw->model;
    size_t count = fw->chosen_at[m->moe_layers];
    enum moe_status status =
        m->backend->download(m->dev, fw->chosen, fw->expert_ids, 0, count * sizeof(int32_t));
    if (status == MOE_OK && fw->watch)
        status = m->backend->download(m->dev, fw->chosen_weights, fw->expert_weights, 0,
                                      count * sizeof(float));
    if (status != MOE_OK)
        return status;
    memset(fw->counts, 0, (size_t)m->moe_layers * (size_t)m->experts * sizeof(*fw->counts));
    for (int l = 0; l < m->moe_layers; l++)
        for (size_t i = fw->chosen_at[l]; i < fw->chosen_at[l + 1]; i++)
            fw->counts[(size_t)l * (size_t)m->experts + (size_t)fw->chosen[i]]++;
    if (fw->watch)
        tell_watcher(fw, rows);
    return MOE_OK;
}

/* ---- the pass ---- */

bool native_forward_run(struct native_forward *fw, struct native_kv *kv,
                        const struct native_rows *rows, struct cap_err *err)
{
    const struct native_model *m = fw->model;
    struct moe_batch batch;
    enum moe_status status = upload_rows(fw, rows, &batch);
    lay_out_choices(fw, rows->count);
    if (status == MOE_OK)
        status = m->backend->embed(m->dev, fw->ids, m->embed, fw->x, rows->count);
    int moe_layer = 0, rope_dim = 0;
    for (int i = 0; status == MOE_OK && i < m->shape->layer_count; i++) {
        int head_dim = m->shape->layers[i].attention.head_dim;
        if (!still_wanted(fw, err))
            return false;
        if (head_dim != rope_dim)
            status = upload_rope(fw, rows, rope_dim = head_dim);
        if (status == MOE_OK)
            status = attention(fw, &batch, i, &kv->layers[i]);
        if (status == MOE_OK)
            status = mlp(fw, i, moe_layer, rows->count);
        moe_layer += m->layers[i].router != NULL;
    }
    if (status == MOE_OK)
        status = take_choices(fw, rows->count);
    return check(fw, status, err);
}

bool native_forward_logits(struct native_forward *fw, const int32_t *pick, int count, float *out,
                           struct cap_err *err)
{
    const struct native_model *m = fw->model;
    if (!still_wanted(fw, err))
        return false;
    enum moe_status status =
        m->backend->upload(m->dev, fw->pick, 0, pick, (size_t)count * sizeof(*pick));
    if (status == MOE_OK)
        status = m->backend->rmsnorm(m->dev, fw->x, fw->pick, m->norm, fw->normed, count,
                                     m->shape->hidden, (float)m->shape->norm_eps);
    if (status == MOE_OK)
        status = m->backend->linear(m->dev, fw->normed, m->head, (struct moe_buf){0}, fw->logits,
                                    count, false);
    if (status == MOE_OK)
        status = m->backend->download(m->dev, out, fw->logits, 0,
                                      (size_t)count * (size_t)m->shape->vocab * sizeof(float));
    return check(fw, status, err);
}
