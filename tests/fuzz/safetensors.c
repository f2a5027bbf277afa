/* A safetensors header from a stranger: first eight bytes are the size of the data behind it. */
#include <stdint.h>
#include <string.h>

#include "model/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_err err = {0};
    uint64_t data_bytes;

    if (size < sizeof data_bytes)
        return 0;
    memcpy(&data_bytes, data, sizeof data_bytes);
    cap_tensors_check_header((const char *)data + sizeof data_bytes, size - sizeof data_bytes,
                             data_bytes, "fuzz", &err);
    return 0;
}
