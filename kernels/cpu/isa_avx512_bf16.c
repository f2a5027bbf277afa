/* AVX-512 with VNNI and BF16: vdpbf16ps on activations rounded to bf16, twice the rate of f32. */
#include "cpu/isa_avx512.h"

FLAT void bf16_rounded_tile(const char *w, size_t panel_bytes, const char *const *a, int k,
                            float *c, const int R, const int P)
{
    __m512 acc[CPU_TILE_ROWS][CPU_TILE_PANELS] = {0};
    for (int i = 0; i < k; i += 2) {
        __m512i b[CPU_TILE_PANELS];
        EACH (p, P)
            look_ahead(w + (size_t)p * panel_bytes + (size_t)i * CPU_PANEL * 2, P);
        EACH (j, P)
            b[j] = _mm512_loadu_si512(w + (size_t)j * panel_bytes + (size_t)i * CPU_PANEL * 2);
        EACH (r, R) {
            int32_t pair;
            memcpy(&pair, a[r] + (size_t)i * 2, 4);
            __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
            EACH (j, P)
                acc[r][j] = _mm512_dpbf16_ps(acc[r][j], x, (__m512bh)b[j]);
        }
    }
    EACH (r, R)
        EACH (j, P)
            _mm512_storeu_ps(c + r * CPU_TILE_COLS + j * CPU_PANEL, acc[r][j]);
}

DEFINE_TILE(tile_bf16_rounded, bf16_rounded_tile)

const struct cpu_isa cpu_isa_avx512_bf16 = {.name = "avx512_bf16",
                                            .tile_rows = 6,
                                            LANES_TABLE,
                                            .tile_i8 = tile_i8,
                                            .tile_bf16_rounded = tile_bf16_rounded};
