/* What the kernel says of the machine and of our share of it. */
#include "node/hardware.h"

#include <assert.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/auto.h"
#include "hardware/hardware.h"
#include "native/weights.h"
#include "node/probe.h"

static void copy_trimmed(char *out, size_t out_bytes, const char *text)
{
    size_t length;

    text += strspn(text, " \t");
    length = strcspn(text, "\n");
    snprintf(out, out_bytes, "%.*s", (int)length, text);
}

/* ---- what the kernel says ---- */

static void read_cpu_name(struct infer_hardware *out)
{
    CAP_AUTO_STREAM FILE *file = fopen("/proc/cpuinfo", "r");
    char line[512];

    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');

        if (colon && strncmp(line, "model name", 10) == 0) {
            copy_trimmed(out->cpu, sizeof out->cpu, colon + 1);
            return;
        }
    }
}

static void read_governor(struct infer_hardware *out)
{
    CAP_AUTO_STREAM FILE *file =
        fopen("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "r");
    char line[64];

    if (file && fgets(line, sizeof line, file))
        copy_trimmed(out->governor, sizeof out->governor, line);
}

static void read_kernel(struct infer_hardware *out)
{
    struct utsname name;

    if (uname(&name) == 0)
        snprintf(out->kernel, sizeof out->kernel, "%.20s %.70s", name.sysname, name.release);
}

static void read_isa(struct infer_hardware *out)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
#define ADD_IF(feature)                                                                            \
    if (__builtin_cpu_supports(feature))                                                           \
    out->isa[out->isa_count++] = feature
    ADD_IF("avx");
    ADD_IF("avx2");
    ADD_IF("fma");
    ADD_IF("avx512f");
    ADD_IF("avx512bw");
    ADD_IF("avx512vl");
    ADD_IF("avx512vnni");
    ADD_IF("avx512bf16");
#undef ADD_IF
#endif
}

static void read_devices(struct infer_hardware *out)
{
    struct moe_device found[INFER_DEVICES_MAX];

    out->device_count = native_devices(found, INFER_DEVICES_MAX);
    for (int i = 0; i < out->device_count; i++) {
        snprintf(out->devices[i], sizeof out->devices[i], "%.95s", found[i].name);
        out->device_memory_bytes += found[i].memory_bytes;
    }
}

/* A processor of which this machine has a part is known, too: its cores stand beside. */
static void read_known_as(struct infer_hardware *out)
{
    struct cap_hardware found;
    struct cap_err ignored = {0};
    const char *text = out->device_count > 0 ? out->devices[0] : out->cpu;

    double memory_gb =
        out->device_count > 0 ? (double)out->device_memory_bytes / out->device_count / 1e9 : 0;

    out->known_as = cap_hardware_find(text, memory_gb, &found, &ignored) ? found.device->name : "";
}

static void read_topology(struct infer_hardware *out)
{
    cpu_set_t processors;

    if (sched_getaffinity(0, sizeof processors, &processors) == 0)
        infer_topology_read("/sys/devices/system", &processors, &out->topology);
}

void infer_hardware_read(struct infer_hardware *out, bool probe)
{
    struct sysinfo info;
    struct infer_allowed allowed;

    infer_allowed_read("/sys/fs/cgroup", &allowed);
    *out = (struct infer_hardware){.cores = allowed.cores};
    read_cpu_name(out);
    read_governor(out);
    read_kernel(out);
    read_isa(out);
    read_devices(out);
    read_known_as(out);
    read_topology(out);
    if (sysinfo(&info) == 0)
        out->memory_bytes = (uint64_t)info.totalram * info.mem_unit;
    if (allowed.memory_bytes < out->memory_bytes)
        out->memory_bytes = allowed.memory_bytes;
    if (probe)
        infer_probe(out);
}

/* ---- what of it this process may use ---- */

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
