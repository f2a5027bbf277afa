/* isa_avx512.h — what the AVX-512 levels share: thirty-two registers of sixteen floats. */
#include <immintrin.h>

#define LANES 16
#define TILE_FITS(rows, panels) ((rows) * (panels) <= 24)
#include "cpu/lanes.h"

FLAT lanes_i dot_pairs(lanes_i acc, const void *weights, int32_t pair)
{
    __m512i w = _mm512_cvtepi8_epi16(_mm256_loadu_si256(weights));
#ifdef __AVX512VNNI__
    return (lanes_i)_mm512_dpwssd_epi32((__m512i)acc, w, _mm512_set1_epi32(pair));
#else
    return acc + (lanes_i)_mm512_madd_epi16(w, _mm512_set1_epi32(pair));
#endif
}

#include "cpu/i8_tile.h"
#undef TILE_FITS
/* int8 keeps two accumulators an output. */
#define TILE_FITS(rows, panels) ((rows) * (panels) <= 12)
DEFINE_TILE(tile_i8, i8_tile)
#undef TILE_FITS
#define TILE_FITS(rows, panels) ((rows) * (panels) <= 24)
