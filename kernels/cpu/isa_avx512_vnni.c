/* AVX-512 with VNNI: vpdpwssd multiplies pairs and adds in one instruction. */
#include "cpu/isa_avx512.h"

const struct cpu_isa cpu_isa_avx512_vnni = {
    .name = "avx512_vnni", .tile_rows = 6, LANES_TABLE, .tile_i8 = tile_i8};
