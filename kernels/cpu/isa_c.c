/* Plain C: what every CPU can do, and the level that the others are compared with. */
#define LANES 4
#define TILE_FITS(rows, panels) ((rows) * (panels) <= 2)
#include "cpu/lanes.h"

/* The integer sums are exact, so every level gives the same ones. */
static void tile_i8(const char *w, size_t panel_bytes, int panels, const char *const *a, int rows,
                    int k, float *c)
{
    for (int r = 0; r < rows; r++) {
        const int16_t *x = (const int16_t *)(const void *)a[r];
        const float *x_scales = (const float *)(const void *)(a[r] + (size_t)k * 2);
        for (int col = 0; col < panels * CPU_PANEL; col++) {
            const char *block = w + (size_t)(col / CPU_PANEL) * panel_bytes;
            float sum = 0;
            for (int g = 0; g < k / MOE_I8_GROUP; g++, block += CPU_I8_BLOCK_BYTES) {
                const int8_t *q = (const int8_t *)block + col % CPU_PANEL * 2;
                int32_t dot = 0;
                for (int i = 0; i < MOE_I8_GROUP; i += 2, q += CPU_PANEL * 2)
                    dot += x[g * MOE_I8_GROUP + i] * q[0] + x[g * MOE_I8_GROUP + i + 1] * q[1];
                uint16_t scale;
                memcpy(&scale, block + MOE_I8_GROUP * CPU_PANEL + col % CPU_PANEL * 2, 2);
                sum += (float)dot * (cpu_from_bf16(scale) * x_scales[g]);
            }
            c[r * CPU_TILE_COLS + col] = sum;
        }
    }
}

const struct cpu_isa cpu_isa_c = {.name = "c", .tile_rows = 2, LANES_TABLE, .tile_i8 = tile_i8};
