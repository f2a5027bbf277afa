/* The table of sources, and which GPUs count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "power/source.h"

static const struct infer_power_source_ops *const table[] = {
    &infer_power_nvml,
    &infer_power_rapl,
    &infer_power_prometheus,
};

const struct infer_power_source_ops *infer_power_source_at(int i)
{
    return i >= 0 && (size_t)i < CAP_COUNT_OF(table) ? table[i] : NULL;
}

bool infer_power_gpu_counts(const char *gpus, int index, const char *uuid)
{
    char number[16];

    if (!gpus || !*gpus)
        return true;
    snprintf(number, sizeof number, "%d", index);
    for (const char *at = gpus; *at; at += *at == ',') {
        size_t length = strcspn(at, ",");

        if ((length == strlen(number) && strncmp(at, number, length) == 0) ||
            (length > 0 && length == strlen(uuid) && strncmp(at, uuid, length) == 0))
            return true;
        at += length;
    }
    return false;
}
