/* tensors.h — the tensors of a model directory: one safetensors file, or shards with an index.
 *
 * Opening reads and checks every header; the numbers stay in the files until somebody reads them.
 * Names, shapes and borders are checked hard, so that a tensor may be read without looking again.
 * The files belong to others, who may change them at any time: only regular files are opened, never
 * waited for, and each reading makes sure that the file is still the one whose header was checked.
 * They are read and not mapped: a mapped file that somebody cuts short ends the whole process.
 * Immutable after opening; any thread.
 *
 *     CAP_AUTO(cap_tensors) tensors = cap_tensors_open(dir, err);
 *     const struct cap_tensor *t = tensors ? cap_tensors_find(tensors, "lm_head.weight") : NULL;
 *     t && cap_tensors_read(tensors, t, 0, t->bytes, out, err);
 */
#ifndef CAP_TENSORS_H
#define CAP_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

/* ---- how numbers are stored ---- */

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

/* ---- tensors ---- */

/* The header's limit holds whatever is in it. Of published checkpoints the largest headers have a
 * few MiB; the format's own limit is 100 MB. */
enum {
    CAP_TENSORS_RANK_MAX = 8,
    CAP_TENSORS_COUNT_MAX = 1 << 20,
    CAP_TENSORS_FILES_MAX = 4096,
    CAP_TENSORS_HEADER_BYTES_MAX = 32 << 20,
    CAP_TENSORS_INDEX_BYTES_MAX = 64 << 20,
};

struct cap_tensors;

struct cap_tensor {
    const char *name;
    const char *file; /* path, for messages */
    enum cap_dtype dtype;
    int rank;
    int64_t shape[CAP_TENSORS_RANK_MAX];
    size_t bytes;
    int file_index;
    uint64_t offset; /* of its numbers in the file */
};

/* Fails with a sentence that names file, tensor and reason; CAP_DATA_LOSS for damaged files. */
struct cap_tensors *cap_tensors_open(const char *dir, struct cap_err *err);
void cap_tensors_free(struct cap_tensors *tensors);
CAP_DEFINE_AUTO(cap_tensors)

const struct cap_tensor *cap_tensors_find(const struct cap_tensors *tensors, const char *name);
size_t cap_tensors_count(const struct cap_tensors *tensors);
const struct cap_tensor *cap_tensors_at(const struct cap_tensors *tensors, size_t index);
uint64_t cap_tensors_bytes(const struct cap_tensors *tensors);

/* `bytes` of the tensor from its byte `first` on. Fails when the file was cut short, replaced or
 * taken away after its header was read; the sentence names it. */
bool cap_tensors_read(const struct cap_tensors *tensors, const struct cap_tensor *tensor,
                      uint64_t first, size_t bytes, void *out, struct cap_err *err);

/* The one file, or the index of several: for messages. */
const char *cap_tensors_source(const struct cap_tensors *tensors);

/* "[128, 256]" into out. */
enum { CAP_TENSORS_SHAPE_BYTES = 160 };
const char *cap_tensors_shape_text(const int64_t *shape, int rank,
                                   char out[CAP_TENSORS_SHAPE_BYTES]);

/* Checks a safetensors header (without its length) against the bytes of data after it. `name` is
 * the file's, for messages. For tests and fuzzing; cap_tensors_open does the same for every file.
 */
bool cap_tensors_check_header(const char *json, size_t length, uint64_t data_bytes,
                              const char *name, struct cap_err *err);

#endif
