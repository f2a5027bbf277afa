/* lanes.h — the kernels of one ISA level, written once over vectors of LANES floats.
 *
 * A translation unit defines LANES, TILE_FITS(rows, panels) (which accumulators fit its registers)
 * and includes this file; it is compiled with the flags of its level, and the compiler's generic
 * vectors become that level's instructions. Only what those cannot say (int16 and bf16 dot
 * products) is written with intrinsics, in the level's own file.
 *
 * `static inline` and constants for rows and panels: every case becomes straight code with the
 * accumulators in registers.
 */
#include <math.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/numbers.h"

typedef float lanes __attribute__((vector_size(LANES * 4)));
typedef uint32_t lanes_u __attribute__((vector_size(LANES * 4)));
typedef int32_t lanes_i __attribute__((vector_size(LANES * 4)));
typedef uint16_t lanes_h __attribute__((vector_size(LANES * 2)));

enum { VECTORS = CPU_PANEL / LANES }; /* of one panel */

#define FLAT static inline __attribute__((always_inline))
/* A loop over a constant number, always written out: its variables become registers. */
#ifdef __clang__
#define EACH(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) _Pragma("GCC unroll 32") for (int i = 0; i < (n); i++)
#endif

FLAT lanes load(const void *p)
{
    lanes v;
    memcpy(&v, p, sizeof(v));
    return v;
}

FLAT lanes_u load_u(const void *p)
{
    lanes_u v;
    memcpy(&v, p, sizeof(v));
    return v;
}

FLAT void store(void *p, lanes v)
{
    memcpy(p, &v, sizeof(v));
}

FLAT lanes widen(const void *p) /* LANES bf16 */
{
    lanes_h h;
    memcpy(&h, p, sizeof(h));
    return (lanes)(__builtin_convertvector(h, lanes_u) << 16);
}

/* Asks for what a panel holds further on: it is longer than a page, where the hardware stops to
 * look ahead. Only while few panels are walked at once; four streams feed themselves, and int8 lost
 * a quarter of its speed to the extra instructions. */
enum { AHEAD_BYTES = 2048, AHEAD_PANELS_MAX = 2 };

FLAT void look_ahead(const char *panel, int panels)
{
    if (panels <= AHEAD_PANELS_MAX)
        __builtin_prefetch(panel + AHEAD_BYTES);
}

FLAT float at(const char *row, int k)
{
    float x;
    memcpy(&x, row + 4 * (size_t)k, sizeof(x));
    return x;
}

/* Calls the case (rows, panels) of a tile, both constants there. A tile that does not fit the
 * registers is done in parts; the parts' outputs are independent, so nothing changes. */
#define TILE_CASE(tile, R, P)                                                                      \
    case (R)*8 + (P):                                                                              \
        if (TILE_FITS(R, P)) {                                                                     \
            tile(w, panel_bytes, a, k, c, R, P);                                                   \
            return;                                                                                \
        }                                                                                          \
        break;
#define TILE_CASES(tile, R) TILE_CASE(tile, R, 1) TILE_CASE(tile, R, 2) TILE_CASE(tile, R, 4)
#define DEFINE_TILE(name, tile)                                                                    \
    static void name(const char *w, size_t panel_bytes, int panels, const char *const *a,          \
                     int rows, int k, float *c)                                                    \
    {                                                                                              \
        switch (rows * 8 + panels) {                                                               \
            TILE_CASES(tile, 1)                                                                    \
            TILE_CASES(tile, 2)                                                                    \
            TILE_CASES(tile, 3)                                                                    \
            TILE_CASES(tile, 4)                                                                    \
            TILE_CASES(tile, 5)                                                                    \
            TILE_CASES(tile, 6)                                                                    \
        }                                                                                          \
        int half = panels / 2;                                                                     \
        if (panels == 1) { /* one panel never fails to fit but for its rows */                     \
            half = rows / 2;                                                                       \
            name(w, panel_bytes, 1, a, half, k, c);                                                \
            name(w, panel_bytes, 1, a + half, rows - half, k, c + half * CPU_TILE_COLS);           \
            return;                                                                                \
        }                                                                                          \
        half = panels == 3 ? 2 : half;                                                             \
        name(w, panel_bytes, half, a, rows, k, c);                                                 \
        name(w + (size_t)half * panel_bytes, panel_bytes, panels - half, a, rows, k,               \
             c + half * CPU_PANEL);                                                                \
    }

/* ---- f32 and bf16 weights, f32 activations ---- */

FLAT void f32_tile(const char *w, size_t panel_bytes, const char *const *a, int k, float *c,
                   const int R, const int P)
{
    lanes acc[CPU_TILE_ROWS][CPU_TILE_PANELS * VECTORS] = {0};
    for (int i = 0; i < k; i++) {
        lanes b[CPU_TILE_PANELS * VECTORS];
        EACH (p, P)
            look_ahead(w + (size_t)p * panel_bytes + (size_t)i * CPU_PANEL * 4, P);
        EACH (j, P * VECTORS)
            b[j] = load(w + (size_t)(j / VECTORS) * panel_bytes + (size_t)i * CPU_PANEL * 4 +
                        (size_t)(j % VECTORS) * LANES * 4);
        EACH (r, R) {
            float x = at(a[r], i);
            EACH (j, P * VECTORS)
                acc[r][j] += b[j] * x;
        }
    }
    EACH (r, R)
        EACH (j, P * VECTORS)
            store(c + r * CPU_TILE_COLS + j * LANES, acc[r][j]);
}

FLAT void bf16_tile(const char *w, size_t panel_bytes, const char *const *a, int k, float *c,
                    const int R, const int P)
{
    lanes acc[CPU_TILE_ROWS][CPU_TILE_PANELS * VECTORS] = {0};
    for (int i = 0; i < k; i += 2) {
        lanes b[CPU_TILE_PANELS * VECTORS];
        const char *at_i = w + (size_t)i * CPU_PANEL * 2;
        EACH (p, P)
            look_ahead(at_i + (size_t)p * panel_bytes, P);
        EACH (j, P * VECTORS)
            b[j] = (lanes)(load_u(at_i + (size_t)(j / VECTORS) * panel_bytes +
                                  (size_t)(j % VECTORS) * LANES * 4)
                           << 16);
        EACH (r, R) {
            float x = at(a[r], i);
            EACH (j, P * VECTORS)
                acc[r][j] += b[j] * x;
        }
        EACH (j, P * VECTORS)
            b[j] = (lanes)(load_u(at_i + (size_t)(j / VECTORS) * panel_bytes +
                                  (size_t)(j % VECTORS) * LANES * 4) &
                           0xffff0000u);
        EACH (r, R) {
            float x = at(a[r], i + 1);
            EACH (j, P * VECTORS)
                acc[r][j] += b[j] * x;
        }
    }
    EACH (r, R)
        EACH (j, P * VECTORS)
            store(c + r * CPU_TILE_COLS + j * LANES, acc[r][j]);
}

DEFINE_TILE(tile_f32, f32_tile)
DEFINE_TILE(tile_bf16, bf16_tile)

/* ---- activations made ready ---- */

static void prepare_f32(const float *x, int k, int k_padded, char *out)
{
    memcpy(out, x, (size_t)k * 4);
    memset(out + (size_t)k * 4, 0, (size_t)(k_padded - k) * 4);
}

static void prepare_bf16(const float *x, int k, int k_padded, char *out)
{
    uint16_t *to = (uint16_t *)(void *)out;
    for (int i = 0; i < k; i++)
        to[i] = cpu_to_bf16(x[i]);
    memset(to + k, 0, (size_t)(k_padded - k) * 2);
}

/* One group: the largest becomes 32767, the scale is what one step is worth. */
static float group_i16(const float *x, int n, int16_t *out)
{
    float peak = 0;
    for (int i = 0; i < n; i++) {
        float size = x[i] < 0 ? -x[i] : x[i];
        peak = size > peak ? size : peak;
    }
    float steps = peak > 0x1p-100f ? 32767.0f / peak : 0; /* below that: as good as nothing */
    for (int i = 0; i < n; i++) {
        float scaled = x[i] * steps;
        out[i] = (int16_t)(int32_t)(scaled + (scaled < 0 ? -0.5f : 0.5f));
    }
    return steps > 0 ? peak / 32767.0f : 0;
}

static void prepare_i16(const float *x, int k, int k_padded, char *out)
{
    int16_t *to = (int16_t *)(void *)out;
    float *scales = (float *)(void *)(out + (size_t)k_padded * 2);
    for (int i = 0; i < k_padded; i += MOE_I8_GROUP) {
        if (i + MOE_I8_GROUP <= k) {
            scales[i / MOE_I8_GROUP] = group_i16(x + i, MOE_I8_GROUP, to + i);
            continue;
        }
        float last[MOE_I8_GROUP] = {0};
        if (i < k)
            memcpy(last, x + i, (size_t)(k - i) * 4);
        scales[i / MOE_I8_GROUP] = group_i16(last, MOE_I8_GROUP, to + i);
    }
}

static void prepare(enum cpu_act act, const float *x, int k, int k_padded, char *out)
{
    if (act == CPU_ACT_F32)
        prepare_f32(x, k, k_padded, out);
    else if (act == CPU_ACT_BF16)
        prepare_bf16(x, k, k_padded, out);
    else
        prepare_i16(x, k, k_padded, out);
}

/* ---- element by element ---- */

/* e^x for x <= 88, relative error about 2e-7; 0 far below. x = n ln 2 + r, a polynomial for e^r
 * (Cephes' coefficients), and n put into the exponent. Written so that compilers make vectors of
 * it. */
FLAT float exp_fast(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to a whole number */
    uint32_t bits = cpu_to_bits(n);
    n -= 12582912.0f;
    float r = x - n * 0.693359375f;
    r += n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * cpu_from_bits((bits + 127) << 23);
}

static void silu_mul(float *out, const float *gate, const float *up, int n)
{
    for (int i = 0; i < n; i++) {
        float negated = gate[i] < -87.0f ? 87.0f : -gate[i];
        out[i] = gate[i] / (1.0f + exp_fast(negated)) * up[i];
    }
}

static void axpy(float *y, float a, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += a * x[i];
}

/* Sixteen sums side by side, added up in a fixed order: the same at any vector width. */
static void rmsnorm(const float *x, const float *w, float *y, int n, float eps)
{
    float sums[16] = {0};
    int whole = n / 16 * 16;
    for (int i = 0; i < whole; i += 16)
        for (int j = 0; j < 16; j++)
            sums[j] += x[i + j] * x[i + j];
    for (int i = whole; i < n; i++)
        sums[i - whole] += x[i] * x[i];
    double sum = 0;
    for (int j = 0; j < 16; j++)
        sum += (double)sums[j];
    float scale = (float)(1.0 / sqrt(sum / n + (double)eps));
    for (int i = 0; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

/* ---- attention over one page ---- */

enum {
    PAGE_VECTORS = MOE_PAGE_TOKENS / LANES,
    SCORE_VECTORS = PAGE_VECTORS < 8 ? PAGE_VECTORS : 8
};

FLAT void scores_of(const float *q, const char *keys, const bool is_bf16, int head_dim, float scale,
                    float *s)
{
    const size_t size = is_bf16 ? 2 : 4;
    for (int from = 0; from < PAGE_VECTORS; from += SCORE_VECTORS) {
        lanes acc[SCORE_VECTORS] = {0};
        const char *at_d = keys + (size_t)from * LANES * size;
        for (int d = 0; d < head_dim; d++, at_d += MOE_PAGE_TOKENS * size) {
            EACH (j, SCORE_VECTORS) {
                const char *p = at_d + (size_t)j * LANES * size;
                acc[j] += (is_bf16 ? widen(p) : load(p)) * q[d];
            }
        }
        EACH (j, SCORE_VECTORS)
            store(s + (from + j) * LANES, acc[j] * scale);
    }
}

static void scores(const float *q, const char *keys, enum moe_type type, int head_dim, float scale,
                   float *s)
{
    if (type == MOE_BF16)
        scores_of(q, keys, true, head_dim, scale, s);
    else
        scores_of(q, keys, false, head_dim, scale, s);
}

static float exp_sum(float *s, int n, float max)
{
    for (int i = 0; i < n; i++)
        s[i] = s[i] < -1e30f ? 0.0f : exp_fast(s[i] - max);
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += s[i];
    return sum;
}

FLAT void mix_part(const float *p, int tokens, const char *values, const bool is_bf16,
                   size_t stride, float *acc, const int V)
{
    const size_t size = is_bf16 ? 2 : 4;
    lanes sum[8];
    EACH (j, V)
        sum[j] = load(acc + j * LANES);
    for (int t = 0; t < tokens; t++, values += stride) {
        EACH (j, V) {
            const char *v = values + (size_t)j * LANES * size;
            sum[j] += (is_bf16 ? widen(v) : load(v)) * p[t];
        }
    }
    EACH (j, V)
        store(acc + j * LANES, sum[j]);
}

FLAT void mix_of(const float *p, int tokens, const char *values, const bool is_bf16, int width,
                 float *acc)
{
    const size_t size = is_bf16 ? 2 : 4, stride = (size_t)width * size;
    int d = 0;
    for (; d + 8 * LANES <= width; d += 8 * LANES)
        mix_part(p, tokens, values + (size_t)d * size, is_bf16, stride, acc + d, 8);
    for (; d < width; d += LANES)
        mix_part(p, tokens, values + (size_t)d * size, is_bf16, stride, acc + d, 1);
}

static void mix(const float *p, int tokens, const char *values, enum moe_type type, int width,
                float *acc)
{
    if (type == MOE_BF16)
        mix_of(p, tokens, values, true, width, acc);
    else
        mix_of(p, tokens, values, false, width, acc);
}

#define LANES_TABLE                                                                                \
    .tile_f32 = tile_f32, .tile_bf16 = tile_bf16, .prepare = prepare, .silu_mul = silu_mul,        \
    .axpy = axpy, .rmsnorm = rmsnorm, .scores = scores, .exp_sum = exp_sum, .mix = mix
