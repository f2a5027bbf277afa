/* hardware.h — what this machine is: processor, memory, caches, instruction sets, which row of the
 * table of devices; what of it this process may use, when it runs in a container or on some of the
 * cores; and what it attains (probe.h). Pure reads. */
#ifndef INFER_HARDWARE_H
#define INFER_HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

#include "native/weights.h"
#include "node/topology.h"
#include "power/power.h"

enum { INFER_DEVICES_MAX = 16 };

/* Cores and memory are those that this process may use: a container's, not its host's. */
struct infer_hardware {
    char cpu[128], kernel[96], governor[32];
    int cores;
    uint64_t memory_bytes;
    const char *isa[16]; /* literals */
    int isa_count;
    struct infer_topology topology;
    /* measured, 0 = it was not: reading main memory, and matrix multiplication by precision */
    double read_bandwidth_gb_s, gflop_s[NATIVE_PRECISION_COUNT];
    bool has_probe_load; /* the load average when the probe began: */
    double probe_load;
    /* of all backends of our engine; none where only the processors compute */
    char devices[INFER_DEVICES_MAX][96];
    int device_count;
    uint64_t device_memory_bytes; /* of all together */
    const char *known_as;         /* row of the table of devices; "" = none */
    /* what could tell its power, as it was at start; infer_hardware_read leaves it empty */
    struct infer_power_state power[INFER_POWER_SOURCES_MAX];
    int power_count;
};

/* Never fails; what cannot be found out is empty, 0 or unknown. With `probe` it is measured, too.
 * One thread, at start. */
void infer_hardware_read(struct infer_hardware *out, bool probe);

struct infer_allowed {
    int cores;             /* at least 1; a share of a core counts as one */
    uint64_t memory_bytes; /* UINT64_MAX = no limit */
};

/* `cgroup_root` is where a container sees its own control group, /sys/fs/cgroup; both versions are
 * understood. What is not there limits nothing. */
void infer_allowed_read(const char *cgroup_root, struct infer_allowed *out);

#endif
