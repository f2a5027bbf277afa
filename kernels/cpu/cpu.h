/* cpu.h — what the files of the CPU backend share: the packed layouts, the table of an ISA level,
 * the device.
 *
 * A matrix is packed in panels of 16 rows of W (16 outputs), each a run along k that is read once
 * from front to back:
 *
 *     F32   [k][16] f32
 *     BF16  [k / 2][16][2] bf16: pairs along k, as vdpbf16ps wants them, and cheap to widen
 *     I8    [k / 32] blocks of { [16 pairs][16][2] int8, [16] bf16 scales }
 *
 * k is padded with zeros to CPU_K_PAD, rows to whole panels. The layout is the same at every level.
 * In an MOE_PAIRED weight, panels of gates and of ups alternate.
 *
 * A tile multiplies up to CPU_TILE_ROWS activations by up to CPU_TILE_PANELS panels. Each output is
 * one chain of additions along k, the same for any number of rows and panels: that is why a row's
 * result does not depend on its neighbours.
 */
#ifndef MOE_CPU_H
#define MOE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/pool.h"
#include "moe_backend.h"

enum {
    CPU_PANEL = 16,
    CPU_TILE_ROWS = 6,
    CPU_TILE_PANELS = 4,
    CPU_TILE_COLS = CPU_PANEL * CPU_TILE_PANELS,
    CPU_K_PAD = 32,
    CPU_I8_BLOCK_BYTES = MOE_I8_GROUP * CPU_PANEL + 2 * CPU_PANEL,
    CPU_ALIGN = 64
};

/* c[row][16 * panel + col], rows CPU_TILE_COLS apart. a[row]: an activation that `prepare` made. */
typedef void (*cpu_tile)(const char *panels, size_t panel_bytes, int panel_count,
                         const char *const *a, int rows, int k_padded, float *c);

/* How a tile wants its activations. */
enum cpu_act {
    CPU_ACT_F32,
    CPU_ACT_BF16, /* rounded to nearest */
    CPU_ACT_I16   /* [k_padded] int16, then a f32 scale for each MOE_I8_GROUP */
};

/* One ISA level: filled by its own translation unit, compiled with its own flags. */
struct cpu_isa {
    const char *name;
    int tile_rows; /* that run fastest; at most CPU_TILE_ROWS */
    cpu_tile tile_f32, tile_bf16, tile_bf16_rounded /* or NULL */, tile_i8;
    /* x [k] to k_padded numbers of the kind, zeros after */
    void (*prepare)(enum cpu_act act, const float *x, int k, int k_padded, char *out);
    void (*silu_mul)(float *out, const float *gate, const float *up, int n);
    void (*axpy)(float *y, float a, const float *x, int n); /* y += a x */
    void (*rmsnorm)(const float *x, const float *w, float *y, int n, float eps);
    /* s[token] = scale * q . k[token] for a page; keys are [head_dim][MOE_PAGE_TOKENS] */
    void (*scores)(const float *q, const char *keys, enum moe_type type, int head_dim, float scale,
                   float *s);
    /* s[i] = exp(s[i] - max); returns their sum */
    float (*exp_sum)(float *s, int n, float max);
    /* acc[d] += sum of p[t] * v[t][d]; values are [MOE_PAGE_TOKENS][width], acc [width] */
    void (*mix)(const float *p, int tokens, const char *values, enum moe_type type, int width,
                float *acc);
};

extern const struct cpu_isa cpu_isa_c;
#ifdef MOE_CPU_X86
extern const struct cpu_isa cpu_isa_avx2, cpu_isa_avx512, cpu_isa_avx512_vnni, cpu_isa_avx512_bf16;
#endif

/* The level called `name`, or the best one for NULL or ""; NULL and a sentence if this CPU cannot.
 */
const struct cpu_isa *cpu_isa_pick(const char *name, char *why, size_t why_bytes);

/* ISA levels, lowest first: "c", "avx2", ...; NULL past the end. */
const char *cpu_isa_at(int index);
/* NULL when this CPU can run the level, else what it lacks. */
const char *cpu_isa_lacks(int index);

/* The row of backends.c. */
extern const struct moe_backend moe_backend_cpu;

/* Scratch that grows to what was asked most; contents do not survive the next call. */
struct cpu_scratch {
    char *data;
    size_t bytes;
};

struct moe_dev {
    const struct cpu_isa *isa;
    struct cpu_pool *pool;
    bool round_activations;
    struct cpu_scratch activations, inner, inner_packed, groups, threads;
};

struct moe_weight {
    struct moe_shape shape;
    int k_padded, panels; /* of one expert */
    size_t panel_bytes, expert_bytes;
    char *data;
    size_t data_bytes;
};

void *
cpu_pages_alloc(size_t bytes); /* zeroed, huge pages when large; NULL when there is no memory */
void cpu_pages_free(void *data, size_t bytes);
bool cpu_scratch_fit(struct cpu_scratch *scratch, size_t bytes);

static inline float *cpu_f32(struct moe_buf buf)
{
    return (float *)(uintptr_t)buf.addr;
}

static inline int32_t *cpu_i32(struct moe_buf buf)
{
    return (int32_t *)(uintptr_t)buf.addr;
}

/* Below this many multiply-adds (about a microsecond) waking another thread costs more than it
 * saves. */
enum { CPU_WORK_SHARED_MIN = 1 << 16 };

/* Runs the units of a job of about `work` multiply-adds, shared if that pays. */
static inline void cpu_run(struct moe_dev *dev, size_t work, cpu_job job, void *context, int units)
{
    if (work >= CPU_WORK_SHARED_MIN) {
        cpu_pool_run(dev->pool, job, context, units);
        return;
    }
    for (int unit = 0; unit < units; unit++)
        job(context, unit, 0);
}

static inline int cpu_round_up(int n, int to)
{
    return (n + to - 1) / to * to;
}

/* linear.c: activations made ready for a weight, and where each row lies. */
struct cpu_rows {
    const char *data;
    size_t stride;
};

cpu_tile cpu_tile_of(const struct moe_dev *dev, const struct moe_weight *weight);
/* The rows of x for `weight`: x itself where it fits as it is, else `scratch` filled. False: no
 * memory. */
bool cpu_rows_prepare(struct moe_dev *dev, const float *x, int rows,
                      const struct moe_weight *weight, struct cpu_scratch *scratch,
                      struct cpu_rows *out_rows);

/* the operators, one family a file; signatures are those of struct moe_backend */
enum moe_status cpu_weight_new(struct moe_dev *dev, const struct moe_shape *shape,
                               struct moe_weight **out_weight);
enum moe_status cpu_weight_put(struct moe_dev *dev, struct moe_weight *weight, int expert, int row,
                               int rows, const void *src, enum moe_type from);
void cpu_weight_free(struct moe_dev *dev, struct moe_weight *weight);
uint64_t cpu_weight_bytes(const struct moe_weight *weight);
enum moe_status cpu_embed(struct moe_dev *dev, struct moe_buf ids, const struct moe_weight *weight,
                          struct moe_buf out, int rows);
enum moe_status cpu_rmsnorm(struct moe_dev *dev, struct moe_buf x, struct moe_buf pick,
                            struct moe_buf w, struct moe_buf y, int rows, int cols, float eps);
enum moe_status cpu_linear(struct moe_dev *dev, struct moe_buf x, const struct moe_weight *weight,
                           struct moe_buf bias, struct moe_buf y, int rows, bool accumulate);
size_t cpu_page_bytes(enum moe_type type, int kv_heads, int head_dim);
enum moe_status cpu_page_copy(struct moe_dev *dev, const struct moe_kv *kv, int to, int from);
enum moe_status cpu_qkv_post(struct moe_dev *dev, const struct moe_batch *batch, struct moe_buf qkv,
                             const struct moe_heads *heads, const struct moe_kv *kv);
enum moe_status cpu_attention(struct moe_dev *dev, const struct moe_batch *batch,
                              struct moe_buf qkv, const struct moe_heads *heads,
                              const struct moe_kv *kv, struct moe_buf out);
enum moe_status cpu_router(struct moe_dev *dev, struct moe_buf x, const struct moe_weight *gate,
                           struct moe_buf ids, struct moe_buf weights, int rows, int top_k,
                           bool renormalize, float scale);
enum moe_status cpu_moe(struct moe_dev *dev, struct moe_buf x, struct moe_buf ids,
                        struct moe_buf weights, const struct moe_weight *gate_up,
                        const struct moe_weight *down, struct moe_buf y, int rows, int top_k);

#endif
