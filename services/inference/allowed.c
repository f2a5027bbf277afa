#include "allowed.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"

/* The file's first line; false when there is none. */
static bool read_line(const char *root, const char *name, char *line, int room)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", root, name);
    CAP_AUTO_STREAM FILE *file = fopen(path, "r");
    return file && fgets(line, room, file) != NULL;
}

/* A whole number above 0; false for "max", -1 and what is not there. */
static bool read_number(const char *root, const char *name, uint64_t *out)
{
    char line[64], *end;
    long long value;

    if (!read_line(root, name, line, sizeof line))
        return false;
    value = strtoll(line, &end, 10);
    if (end == line || value <= 0)
        return false;
    *out = (uint64_t)value;
    return true;
}

/* Microseconds of processor time a period: version 2 in one file, version 1 in two. */
static bool read_quota(const char *root, uint64_t *quota, uint64_t *period)
{
    char line[64];

    if (read_line(root, "cpu.max", line, sizeof line))
        return sscanf(line, "%" SCNu64 " %" SCNu64, quota, period) == 2 && *period > 0;
    return read_number(root, "cpu/cpu.cfs_quota_us", quota) &&
           read_number(root, "cpu/cpu.cfs_period_us", period);
}

static int allowed_cores(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    return online > 0 ? (int)online : 1; /* more cores than a set holds */
}

void infer_allowed_read(const char *cgroup_root, struct infer_allowed *out)
{
    uint64_t quota, period;

    *out = (struct infer_allowed){.cores = allowed_cores(), .memory_bytes = UINT64_MAX};
    if (read_quota(cgroup_root, &quota, &period)) {
        uint64_t cores = (quota + period - 1) / period;
        if (cores < (uint64_t)out->cores)
            out->cores = cores > 0 ? (int)cores : 1;
    }
    if (!read_number(cgroup_root, "memory.max", &out->memory_bytes))
        read_number(cgroup_root, "memory/memory.limit_in_bytes", &out->memory_bytes);
}
