/* hardware.h — what this machine is: processor, memory, instruction sets, how fast it reads; and
 * what of it this process may use, when it runs in a container or on some of the cores. Pure reads.
 */
#ifndef INFER_HARDWARE_H
#define INFER_HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

#include "power/power.h"

enum { INFER_DEVICES_MAX = 16 };

/* Cores and memory are those that this process may use: a container's, not its host's. */
struct infer_hardware {
    char cpu[128], kernel[96], governor[32];
    int cores;
    uint64_t memory_bytes;
    const char *isa[16]; /* literals */
    int isa_count;
    double read_bandwidth_gb_s; /* 0 = not probed */
    /* of all backends of our engine; none where only the processors compute */
    char devices[INFER_DEVICES_MAX][96];
    int device_count;
    uint64_t device_memory_bytes; /* of all together */
    /* what could tell its power, as it was at start; infer_hardware_read leaves it empty */
    struct infer_power_state power[INFER_POWER_SOURCES_MAX];
    int power_count;
};

/* Never fails; what cannot be found out is empty, 0 or unknown. With `probe`, the read bandwidth of
 * main memory is measured with all cores, for well under a second. One thread, at start. */
void infer_hardware_read(struct infer_hardware *out, bool probe);

struct infer_allowed {
    int cores;             /* at least 1; a share of a core counts as one */
    uint64_t memory_bytes; /* UINT64_MAX = no limit */
};

/* `cgroup_root` is where a container sees its own control group, /sys/fs/cgroup; both versions are
 * understood. What is not there limits nothing. */
void infer_allowed_read(const char *cgroup_root, struct infer_allowed *out);

#endif
