/* safetensors.h — one safetensors header: JSON between an 8-byte length and the tensors' bytes.
 *
 * Inside lib/model. Pure: no file is touched, so that the check can be fuzzed. What the format's
 * own reader refuses is refused: overlaps, gaps, bytes behind the last tensor, wrong lengths.
 */
#ifndef CAP_SAFETENSORS_H
#define CAP_SAFETENSORS_H

#include "base/arena.h"
#include "model/tensors.h"

struct cap_safetensors {
    struct cap_tensor *items; /* in the arena; `offset` counts from the first byte after the header,
                                 data and file are not set; sorted by offset */
    size_t count;
};

bool cap_safetensors_parse(const char *json, size_t length, uint64_t data_bytes,
                           struct cap_arena *arena, struct cap_safetensors *out,
                           struct cap_err *err);

#endif
