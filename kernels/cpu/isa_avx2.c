/* AVX2 with FMA and F16C: sixteen registers of eight floats, twelve of them accumulators. */
#include <immintrin.h>

#define LANES 8
#define TILE_FITS(rows, panels) ((panels) == 1 || ((rows) <= 2 && (rows) * (panels) <= 4))
#include "cpu/lanes.h"

FLAT lanes_i dot_pairs(lanes_i acc, const void *weights, int32_t pair)
{
    __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights));
    return acc + (lanes_i)_mm256_madd_epi16(w, _mm256_set1_epi32(pair));
}

#include "cpu/i8_tile.h"
#undef TILE_FITS
/* int8 keeps two accumulators an output. */
#define TILE_FITS(rows, panels) ((rows) * (panels) <= 4 && ((rows) == 1 || (panels) == 1))
DEFINE_TILE(tile_i8, i8_tile)

/* Five rows: with six, bf16's two constants make gcc spill in the innermost loop. */
const struct cpu_isa cpu_isa_avx2 = {
    .name = "avx2", .tile_rows = 5, LANES_TABLE, .tile_i8 = tile_i8};
