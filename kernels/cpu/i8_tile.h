/* i8_tile.h — the int8 tile of the levels with vectors; included after lanes.h by a file that
 * defines FLAT lanes_i dot_pairs(lanes_i acc, const void *weights, int32_t pair) which adds to each
 * 32-bit lane the dot product of its two int8 weights and the two int16 of `pair`.
 *
 * A group's sum stays exact: 16 steps of two products below 127 * 32767 fit 32 bits. It is then
 * scaled into the f32 sum.
 */
FLAT void i8_tile(const char *w, size_t panel_bytes, const char *const *a, int k, float *c,
                  const int R, const int P)
{
    lanes acc[CPU_TILE_ROWS][CPU_TILE_PANELS * VECTORS] = {0};
    for (int g = 0; g < k / MOE_I8_GROUP; g++) {
        const char *block = w + (size_t)g * CPU_I8_BLOCK_BYTES;
        lanes_i dot[CPU_TILE_ROWS][CPU_TILE_PANELS * VECTORS] = {0};
        EACH (p, P)
            for (int line = 0; line < CPU_I8_BLOCK_BYTES; line += 64)
                look_ahead(block + (size_t)p * panel_bytes + line, P);
        for (int i = 0; i < MOE_I8_GROUP; i += 2) {
            EACH (j, P * VECTORS) {
                const char *q = block + (size_t)(j / VECTORS) * panel_bytes + i * CPU_PANEL +
                                j % VECTORS * LANES * 2;
                EACH (r, R) {
                    int32_t pair;
                    memcpy(&pair, a[r] + ((size_t)g * MOE_I8_GROUP + (size_t)i) * 2, 4);
                    dot[r][j] = dot_pairs(dot[r][j], q, pair);
                }
            }
        }
        EACH (j, P * VECTORS) {
            lanes scale = widen(block + (size_t)(j / VECTORS) * panel_bytes +
                                MOE_I8_GROUP * CPU_PANEL + j % VECTORS * LANES * 2);
            EACH (r, R) {
                float x_scale = at(a[r] + (size_t)k * 2, g);
                acc[r][j] += __builtin_convertvector(dot[r][j], lanes) * (scale * x_scale);
            }
        }
    }
    EACH (r, R)
        EACH (j, P * VECTORS)
            store(c + r * CPU_TILE_COLS + j * LANES, acc[r][j]);
}
