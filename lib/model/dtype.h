/* dtype.h — how the numbers of a tensor are stored: name and size of each type. Pure. */
#ifndef CAP_DTYPE_H
#define CAP_DTYPE_H

#include <stddef.h>

/* name, spelling in safetensors, bytes of one number */
#define CAP_DTYPES(X)                                                                              \
    X(F32, "F32", 4)                                                                               \
    X(F16, "F16", 2)                                                                               \
    X(BF16, "BF16", 2)                                                                             \
    X(F64, "F64", 8)                                                                               \
    X(F8_E4M3, "F8_E4M3", 1)                                                                       \
    X(F8_E5M2, "F8_E5M2", 1)                                                                       \
    X(I64, "I64", 8)                                                                               \
    X(I32, "I32", 4)                                                                               \
    X(I16, "I16", 2)                                                                               \
    X(I8, "I8", 1)                                                                                 \
    X(U64, "U64", 8)                                                                               \
    X(U32, "U32", 4)                                                                               \
    X(U16, "U16", 2)                                                                               \
    X(U8, "U8", 1)                                                                                 \
    X(BOOL, "BOOL", 1)

enum cap_dtype {
    CAP_DTYPE_NONE, /* not said, or a name that we do not know */
#define CAP_DTYPE_ENUM(name, text, bytes) CAP_DTYPE_##name,
    CAP_DTYPES(CAP_DTYPE_ENUM)
#undef CAP_DTYPE_ENUM
        CAP_DTYPE_COUNT
};

/* "BF16"; "none" for CAP_DTYPE_NONE. */
const char *cap_dtype_name(enum cap_dtype dtype);
/* 0 for CAP_DTYPE_NONE. */
size_t cap_dtype_bytes(enum cap_dtype dtype);
/* Accepts the spelling of safetensors ("BF16") and of config.json ("bfloat16", "torch.bfloat16").
 */
enum cap_dtype cap_dtype_from_name(const char *name);

#endif
