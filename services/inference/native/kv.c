/* Pages of the cache: who holds which. A page is free (on the stack), or held by one sequence, or
 * shared by a prompt and its forks, which only read it. */
#include "native/inside.h"

#include <stdlib.h>
#include <string.h>

static enum moe_type number_type(const struct native_model *model)
{
    return model->precision == NATIVE_F32 ? MOE_F32 : MOE_BF16;
}

int native_kv_number_bytes(const struct native_model *model)
{
    return number_type(model) == MOE_F32 ? 4 : 2;
}

int native_kv_pages_for(int tokens)
{
    return tokens / MOE_PAGE_TOKENS + (tokens % MOE_PAGE_TOKENS > 0);
}

static size_t layer_page_bytes(const struct native_model *model, int layer)
{
    const struct cap_model_attention *a = &model->shape->layers[layer].attention;
    return model->backend->page_bytes(number_type(model), a->kv_heads, a->head_dim);
}

uint64_t native_kv_page_bytes(const struct native_model *model)
{
    uint64_t bytes = 0;
    for (int i = 0; i < model->shape->layer_count; i++)
        bytes += 2 * (uint64_t)layer_page_bytes(model, i);
    return bytes;
}

struct native_kv *native_kv_open(const struct native_model *model, int pages, struct cap_err *err)
{
    CAP_AUTO(native_kv) kv = calloc(1, sizeof(*kv));
    int layers = model->shape->layer_count;
    bool ok = kv != NULL;
    if (ok) {
        *kv = (struct native_kv){.model = model, .pages = pages, .free_count = pages};
        kv->layers = calloc((size_t)layers, sizeof(*kv->layers));
        kv->free_pages = calloc((size_t)pages, sizeof(*kv->free_pages));
        kv->uses = calloc((size_t)pages, sizeof(*kv->uses));
        ok = kv->layers && kv->free_pages && kv->uses;
    }
    for (int i = 0; ok && i < layers; i++) {
        const struct cap_model_attention *a = &model->shape->layers[i].attention;
        struct moe_kv *to = &kv->layers[i];
        size_t bytes = layer_page_bytes(model, i) * (size_t)pages;
        *to = (struct moe_kv){
            .type = number_type(model), .kv_heads = a->kv_heads, .head_dim = a->head_dim};
        ok = model->backend->alloc(model->dev, bytes, &to->k) == MOE_OK &&
             model->backend->alloc(model->dev, bytes, &to->v) == MOE_OK;
    }
    if (!ok) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for %d pages of KV cache",
                 pages);
        return NULL;
    }
    for (int i = 0; i < pages; i++)
        kv->free_pages[i] = pages - 1 - i; /* low numbers first */
    return cap_take(kv);
}

void native_kv_free(struct native_kv *kv)
{
    if (!kv)
        return;
    for (int i = 0; kv->layers && i < kv->model->shape->layer_count; i++) {
        kv->model->backend->release(kv->model->dev, &kv->layers[i].k);
        kv->model->backend->release(kv->model->dev, &kv->layers[i].v);
    }
    free(kv->layers);
    free(kv->free_pages);
    free(kv->uses);
    free(kv);
}

bool native_kv_grow(struct native_kv *kv, struct native_sequence *sequence, int length)
{
    int count = native_kv_pages_for(length);
    if (count <= sequence->page_count)
        return true;
    if (count - sequence->page_count > kv->free_count)
        return false;
    int32_t *pages = realloc(sequence->pages, (size_t)count * sizeof(*pages));
    if (!pages)
        return false;
    sequence->pages = pages;
    while (sequence->page_count < count) {
        int32_t page = kv->free_pages[--kv->free_count];
        kv->uses[page] = 1;
        pages[sequence->page_count++] = page;
    }
    return true;
}

/* The keys and values of a partly filled page, in every layer. */
static bool copy_page(struct native_kv *kv, int to, int from, struct cap_err *err)
{
    const struct native_model *m = kv->model;
    for (int i = 0; i < m->shape->layer_count; i++)
        if (m->backend->page_copy(m->dev, &kv->layers[i], to, from) != MOE_OK)
            return cap_fail(err, CAP_UNAVAILABLE, "backend %s: could not copy a page: %s",
                            m->backend->name, m->backend->failure(m->dev));
    return true;
}

bool native_kv_fork(struct native_kv *kv, const struct native_sequence *from,
                    struct native_sequence *out, struct cap_err *err)
{
    int full = from->length / MOE_PAGE_TOKENS;
    bool partial = from->length % MOE_PAGE_TOKENS > 0;
    if (partial && kv->free_count == 0)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the KV cache has no page left");
    int32_t *pages = calloc((size_t)full + 1, sizeof(*pages));
    if (!pages)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for a list of pages");
    for (int i = 0; i < full; i++) {
        pages[i] = from->pages[i];
        kv->uses[pages[i]]++;
    }
    if (partial) {
        pages[full] = kv->free_pages[--kv->free_count];
        kv->uses[pages[full]] = 1;
    }
    *out = (struct native_sequence){.pages = pages,
                                    .page_count = full + partial,
                                    .length = from->length,
                                    .rope_length = from->rope_length};
    if (!partial || copy_page(kv, pages[full], from->pages[full], err))
        return true;
    native_kv_drop(kv, out);
    return false;
}

void native_kv_drop(struct native_kv *kv, struct native_sequence *sequence)
{
    for (int i = 0; i < sequence->page_count; i++) {
        int32_t page = sequence->pages[i];
        if (--kv->uses[page] == 0)
            kv->free_pages[kv->free_count++] = page;
    }
    free(sequence->pages);
    *sequence = (struct native_sequence){0};
}
