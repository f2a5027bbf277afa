/* AVX-512 F, BW, VL, DQ. */
#include "cpu/isa_avx512.h"

const struct cpu_isa cpu_isa_avx512 = {
    .name = "avx512", .tile_rows = 6, LANES_TABLE, .tile_i8 = tile_i8};
