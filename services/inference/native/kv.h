/* kv.h — the KV cache: pages of MOE_PAGE_TOKENS tokens, one page number for all layers.
 *
 * A sequence is a list of pages. A fork shares the full pages of its origin and copies the last one
 * when that is partly filled, so that continuations of one prefix cost their own tokens only. One
 * owner, one thread. Memory is touched when a page is first used.
 */
#ifndef NATIVE_KV_H
#define NATIVE_KV_H

#include "native/weights.h"

struct native_kv {
    const struct native_model *model;
    struct moe_kv *layers; /* [layer_count] */
    int pages, free_count;
    int32_t *free_pages; /* a stack */
    int32_t *uses;       /* [pages] sequences that hold it */
};

struct native_sequence {
    int32_t *pages;
    int page_count;
    int length;      /* tokens in the cache */
    int rope_length; /* of the whole prompt while that is read in; for dynamic rope */
};

struct native_kv *native_kv_open(const struct native_model *model, int pages, struct cap_err *err);
void native_kv_free(struct native_kv *kv);
CAP_DEFINE_AUTO(native_kv)

/* Bytes of one page over all layers, keys and values. */
uint64_t native_kv_page_bytes(const struct native_model *model);
/* Bytes of one number of it. */
int native_kv_number_bytes(const struct native_model *model);
int native_kv_pages_for(int tokens);

/* Pages for `length` tokens in all; false when the cache has no more, the sequence unchanged. */
bool native_kv_grow(struct native_kv *kv, struct native_sequence *sequence, int length);
/* `out` must be empty. Fails when the cache has no page for the copy, or the device fails. */
bool native_kv_fork(struct native_kv *kv, const struct native_sequence *from,
                    struct native_sequence *out, struct cap_err *err);
/* Gives the pages back and leaves the sequence empty. */
void native_kv_drop(struct native_kv *kv, struct native_sequence *sequence);

#endif
