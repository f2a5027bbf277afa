/* moe_backend.h — the one seam between the model code and what computes: CPU now, CUDA beside it.
 *
 * Plain C, opaque handles, nothing of lib/: a backend is one table of functions and one row in
 * backends.c. A device is driven by one thread at a time; the backend keeps its own workers.
 * Operators are queued in order and may be unfinished on return: `sync` or `download` waits (the
 * CPU computes in place). So a call may report what an earlier one did wrong; after a status that
 * is not MOE_OK the device computes nothing useful any more, `failure` says why, and `close` is all
 * that is left. All numbers that an operator reads, index arrays included, live in device memory
 * (struct moe_buf, f32 or int32 unless said otherwise); weights are packed once into the backend's
 * own layout.
 *
 * Every operator is defined by a plain loop, moe_<op>_ref in cpu/ref.h, and what a row gets never
 * depends on the other rows of the call: each output is one chain of additions along k in an order
 * fixed by the weights alone. Places kept for later: captured graphs and collectives (a `comm`
 * table beside this one), sampling on the device (today logits are downloaded and the host
 * samples).
 *
 *     const struct moe_backend *b = moe_backend_find("cpu");
 *     if (b->open(&options, &dev, why, sizeof(why)) == MOE_OK)
 *         b->linear(dev, x, weight, bias, y, rows, false);
 */
#ifndef MOE_BACKEND_H
#define MOE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum moe_status {
    MOE_OK,
    MOE_NO_DEVICE,
    MOE_NO_MEMORY,
    MOE_INVALID, /* what was asked for cannot be */
    MOE_FAILED,  /* the device or its driver */
};

/* Of numbers in memory and in files. I8: 8 bits with one bf16 scale for MOE_I8_GROUP along k. */
enum moe_type { MOE_F32, MOE_BF16, MOE_F16, MOE_I8 };

enum {
    MOE_I8_GROUP = 32,
    MOE_PAGE_TOKENS = 64, /* of the KV cache */
    MOE_THREADS_MAX = 256,
    MOE_HEAD_DIM_MAX = 512,
    MOE_TOP_K_MAX = 64
};

struct moe_dev;
struct moe_weight;

/* Addresses of a device count bytes: a part of a buffer is {addr + offset, bytes}. */
struct moe_buf {
    uint64_t addr; /* 0 = none */
    size_t bytes;
};

struct moe_options {
    int threads;            /* 0 = as many as the process may use */
    const char *isa;        /* NULL or "": the best the CPU has */
    bool round_activations; /* allow bf16 activations where they are faster; false: always f32 */
};

struct moe_info {
    const char *isa; /* "avx2" ... */
    int threads;
};

/* A device of this machine, beside its processors. */
struct moe_device {
    char name[96];
    uint64_t memory_bytes;
};

/* How a weight is laid out; a backend packs as it likes, the host sees rows. */
enum moe_layout {
    MOE_MATRIX, /* for linear, router and moe: y = W x */
    MOE_PAIRED, /* rows 0 to n/2 are gates, the rest ups; moe computes silu(gate) * up from them */
    MOE_ROWS    /* for embed: rows are fetched */
};

struct moe_shape {
    enum moe_type type;
    enum moe_layout layout;
    int experts, n, k; /* [experts][n][k]; experts is 1 for a plain matrix */
};

/* One layer's cache: k and v hold pages of MOE_PAGE_TOKENS tokens, `page_bytes` each. */
struct moe_kv {
    struct moe_buf k, v;
    enum moe_type type; /* MOE_F32 or MOE_BF16 */
    int kv_heads, head_dim;
};

/* The rows of a pass: one token each. */
struct moe_batch {
    int rows, pages_max;
    struct moe_buf position; /* int32 [rows]: how many tokens come before it */
    struct moe_buf sequence; /* int32 [rows]: its row of `table` */
    struct moe_buf table;    /* int32 [sequences][pages_max]: page numbers */
    struct moe_buf rope;     /* f32 [rows][2][head_dim / 2]: cosines, sines */
};

struct moe_heads {
    int heads, kv_heads, head_dim;
    struct moe_buf q_norm, k_norm; /* [head_dim], both or none */
    float eps;                     /* of the norms */
    float scale;                   /* of q.k */
    int window;                    /* keys with q - k < window; 0 = all */
};

struct moe_backend {
    const char *name; /* as in --device */
    /* The first `max` devices that it could open here; how many. NULL: it computes on the host's
     * processors and has no devices. */
    int (*devices)(struct moe_device *out, int max);
    /* Instruction sets or generations that it has code for, lowest first; NULL past the end. And
     * what this machine lacks for one: NULL when it can run it, else words. */
    const char *(*level_at)(int index);
    const char *(*level_lacks)(int index);
    /* `why` gets a sentence when it fails. */
    enum moe_status (*open)(const struct moe_options *options, struct moe_dev **out_dev, char *why,
                            size_t why_bytes);
    void (*close)(struct moe_dev *dev);
    void (*info)(const struct moe_dev *dev, struct moe_info *out_info);
    /* Words about the call that failed; never NULL. */
    const char *(*failure)(const struct moe_dev *dev);
    /* Bytes that may still be had; NULL: its memory is the host's. */
    uint64_t (*memory_left)(struct moe_dev *dev);

    /* memory: zeroed */
    enum moe_status (*alloc)(struct moe_dev *dev, size_t bytes, struct moe_buf *out_buf);
    void (*release)(struct moe_dev *dev, struct moe_buf *buf); /* and clears it; none is fine */
    /* `from` may be used again on return */
    enum moe_status (*upload)(struct moe_dev *dev, struct moe_buf to, size_t offset,
                              const void *from, size_t bytes);
    enum moe_status (*download)(struct moe_dev *dev, void *to, struct moe_buf from, size_t offset,
                                size_t bytes);
    enum moe_status (*sync)(struct moe_dev *dev);

    /* weights: made empty, then filled by rows from numbers of type `from` (F32, BF16 or F16) */
    enum moe_status (*weight_new)(struct moe_dev *dev, const struct moe_shape *shape,
                                  struct moe_weight **out_weight);
    enum moe_status (*weight_put)(struct moe_dev *dev, struct moe_weight *weight, int expert,
                                  int row, int rows, const void *src, enum moe_type from);
    void (*weight_free)(struct moe_dev *dev, struct moe_weight *weight);
    /* of one expert as stored: numbers and scales, padding left out */
    uint64_t (*weight_bytes)(const struct moe_weight *weight);

    /* cache: bytes of one page of k (v needs the same), and copying pages within a layer */
    size_t (*page_bytes)(enum moe_type type, int kv_heads, int head_dim);
    enum moe_status (*page_copy)(struct moe_dev *dev, const struct moe_kv *kv, int to, int from);

    /* operators: MOE_NO_MEMORY when scratch could not grow. Buffers must not overlap unless said
     * otherwise. */

    /* out [rows][k] = rows `ids` (int32 [rows]) of an MOE_ROWS weight */
    enum moe_status (*embed)(struct moe_dev *dev, struct moe_buf ids,
                             const struct moe_weight *weight, struct moe_buf out, int rows);
    /* y[i] = x[pick[i]] / rms(x[pick[i]]) * w; pick int32 [rows], or none for x[i]. y may be x if
     * none */
    enum moe_status (*rmsnorm)(struct moe_dev *dev, struct moe_buf x, struct moe_buf pick,
                               struct moe_buf w, struct moe_buf y, int rows, int cols, float eps);
    /* y [rows][n] = W x + bias (or none); with `accumulate` y += */
    enum moe_status (*linear)(struct moe_dev *dev, struct moe_buf x,
                              const struct moe_weight *weight, struct moe_buf bias,
                              struct moe_buf y, int rows, bool accumulate);
    /* qkv [rows][(heads + 2 kv_heads) * head_dim]: norms, rotates (half-split) q and k in place,
     * and writes k and v to the cache at each row's position. */
    enum moe_status (*qkv_post)(struct moe_dev *dev, const struct moe_batch *batch,
                                struct moe_buf qkv, const struct moe_heads *heads,
                                const struct moe_kv *kv);
    /* out [rows][heads * head_dim]; q is the first part of each row of qkv */
    enum moe_status (*attention)(struct moe_dev *dev, const struct moe_batch *batch,
                                 struct moe_buf qkv, const struct moe_heads *heads,
                                 const struct moe_kv *kv, struct moe_buf out);
    /* softmax over W x, the top_k largest (ties: lower index), largest first: ids int32
     * [rows][top_k], weights [rows][top_k], divided by their sum if `renormalize`, times `scale` */
    enum moe_status (*router)(struct moe_dev *dev, struct moe_buf x, const struct moe_weight *gate,
                              struct moe_buf ids, struct moe_buf weights, int rows, int top_k,
                              bool renormalize, float scale);
    /* y[row] += sum over the row's experts, in order of expert number, of weight * down(silu(gate)
     * * up). `ids` none: every row uses expert 0 with weight 1 (a dense MLP). */
    enum moe_status (*moe)(struct moe_dev *dev, struct moe_buf x, struct moe_buf ids,
                           struct moe_buf weights, const struct moe_weight *gate_up,
                           const struct moe_weight *down, struct moe_buf y, int rows, int top_k);
};

/* The rows, ended by NULL: backends.c. */
extern const struct moe_backend *const moe_backends[];
/* NULL when there is no such backend. */
const struct moe_backend *moe_backend_find(const char *name);

/* count numbers of a file's type (F32, BF16, F16; any alignment) as f32, on the host. */
void moe_to_f32(const void *src, enum moe_type from, size_t count, float *out);

#endif
