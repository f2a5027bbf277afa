#include "model/dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} types[CAP_DTYPE_COUNT] = {{"none", 0},
#define CAP_DTYPE_ROW(name, text, bytes) {text, bytes},
                            CAP_DTYPES(CAP_DTYPE_ROW)
#undef CAP_DTYPE_ROW
};

static const struct {
    const char *name;
    enum cap_dtype dtype;
} config_names[] = {
    {"float32", CAP_DTYPE_F32},
    {"float16", CAP_DTYPE_F16},
    {"bfloat16", CAP_DTYPE_BF16},
    {"float64", CAP_DTYPE_F64},
    {"float", CAP_DTYPE_F32},
    {"half", CAP_DTYPE_F16},
    {"float8_e4m3fn", CAP_DTYPE_F8_E4M3},
    {"float8_e5m2", CAP_DTYPE_F8_E5M2},
};

const char *cap_dtype_name(enum cap_dtype dtype)
{
    return types[dtype].name;
}

size_t cap_dtype_bytes(enum cap_dtype dtype)
{
    return types[dtype].bytes;
}

enum cap_dtype cap_dtype_from_name(const char *name)
{
    for (int i = CAP_DTYPE_NONE + 1; i < CAP_DTYPE_COUNT; i++)
        if (strcmp(name, types[i].name) == 0)
            return (enum cap_dtype)i;
    if (strncmp(name, "torch.", 6) == 0)
        name += 6;
    for (size_t i = 0; i < sizeof config_names / sizeof config_names[0]; i++)
        if (strcmp(name, config_names[i].name) == 0)
            return config_names[i].dtype;
    return CAP_DTYPE_NONE;
}
