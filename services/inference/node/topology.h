/* topology.h — sockets, NUMA nodes, last-level cache and throttling of the processors that this
 * process may run on, from the kernel's files. Pure reads. */
#ifndef INFER_TOPOLOGY_H
#define INFER_TOPOLOGY_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct infer_topology {
    int sockets, numa_nodes; /* 0 = unknown */
    uint64_t cache_bytes;    /* last level, all that belong to these processors; 0 = unknown */
    bool has_throttled;      /* the kernel counts it: */
    uint64_t throttled;      /* how often a core or package was slowed down, the most of any */
};

/* `root` is /sys/devices/system. What is not there is unknown. */
void infer_topology_read(const char *root, const cpu_set_t *processors, struct infer_topology *out);

#endif
