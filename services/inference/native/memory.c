#include "native/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"

/* The number after `key` in a file of lines, or the file's only number for "". */
static bool read_number(const char *path, const char *key, uint64_t *out)
{
    CAP_AUTO_STREAM FILE *file = fopen(path, "re");
    char line[256];
    while (file && fgets(line, sizeof(line), file)) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && sscanf(line + length, "%" SCNu64, out) == 1)
            return true;
    }
    return false;
}

uint64_t native_memory_available(void)
{
    uint64_t kib = 0, most = 0, used = 0;
    uint64_t free_bytes =
        read_number("/proc/meminfo", "MemAvailable:", &kib) ? kib * 1024 : UINT64_MAX;
    if (read_number("/sys/fs/cgroup/memory.max", "", &most) &&
        read_number("/sys/fs/cgroup/memory.current", "", &used)) {
        uint64_t left = most > used ? most - used : 0;
        return left < free_bytes ? left : free_bytes;
    }
    return free_bytes;
}
