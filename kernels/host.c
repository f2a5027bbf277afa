/* What needs no device: finding a backend, and the numbers of files. */
#include <string.h>

#include "cpu/numbers.h"
#include "moe_backend.h"

const struct moe_backend *moe_backend_find(const char *name)
{
    for (int i = 0; moe_backends[i]; i++)
        if (strcmp(moe_backends[i]->name, name) == 0)
            return moe_backends[i];
    return NULL;
}

void moe_to_f32(const void *src, enum moe_type from, size_t count, float *out)
{
    if (from == MOE_F32) {
        memcpy(out, src, count * 4);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t h;
        memcpy(&h, (const char *)src + i * 2, 2);
        out[i] = from == MOE_BF16 ? cpu_from_bf16(h) : cpu_from_f16(h);
    }
}
