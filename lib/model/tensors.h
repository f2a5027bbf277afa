/* tensors.h — the tensors of a model directory: one safetensors file or shards with an index.
 *
 * Opening reads and checks every header and maps every file; nothing else is read until somebody
 * touches the bytes. Names, shapes and borders are checked hard, so that whoever got a view may use
 * its bytes without looking again. Immutable after opening; any thread.
 *
 *     CAP_AUTO(cap_tensors) tensors = cap_tensors_open(dir, err);
 *     const struct cap_tensor *t = tensors ? cap_tensors_find(tensors, "lm_head.weight") : NULL;
 */
#ifndef CAP_TENSORS_H
#define CAP_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "model/dtype.h"

enum {
    CAP_TENSORS_RANK_MAX = 8,
    CAP_TENSORS_COUNT_MAX = 1 << 20,
    CAP_TENSORS_FILES_MAX = 4096,
    CAP_TENSORS_HEADER_BYTES_MAX = 100 << 20, /* the format's own limit */
};

struct cap_tensors;

struct cap_tensor {
    const char *name;
    const char *file; /* path, for messages */
    enum cap_dtype dtype;
    int rank;
    int64_t shape[CAP_TENSORS_RANK_MAX];
    const void *data; /* in the mapped file; aligned to the type only by the writer's courtesy */
    size_t bytes;
    int file_index;
    uint64_t offset; /* of data in the file */
};

/* Fails with a sentence that names file, tensor and reason; CAP_DATA_LOSS for damaged files. */
struct cap_tensors *cap_tensors_open(const char *dir, struct cap_err *err);
void cap_tensors_free(struct cap_tensors *tensors);
CAP_DEFINE_AUTO(cap_tensors)

const struct cap_tensor *cap_tensors_find(const struct cap_tensors *tensors, const char *name);
size_t cap_tensors_count(const struct cap_tensors *tensors);
const struct cap_tensor *cap_tensors_at(const struct cap_tensors *tensors, size_t index);
uint64_t cap_tensors_bytes(const struct cap_tensors *tensors);

/* The one file, or the index of several: for messages. */
const char *cap_tensors_source(const struct cap_tensors *tensors);

/* "[128, 256]" into out. */
enum { CAP_TENSORS_SHAPE_BYTES = 160 };
const char *cap_tensors_shape_text(const int64_t *shape, int rank,
                                   char out[CAP_TENSORS_SHAPE_BYTES]);

/* Checks a safetensors header (without its length) against the bytes of data behind it. `name` is
 * the file's, for messages. For tests and fuzzing; cap_tensors_open calls it for every file. */
bool cap_tensors_check_header(const char *json, size_t length, uint64_t data_bytes,
                              const char *name, struct cap_err *err);

#endif
