/* allowed.h — what of the machine this process may use: a container's limits, a set of allowed
 * cores. Pure reads. */
#ifndef INFER_ALLOWED_H
#define INFER_ALLOWED_H

#include <stdint.h>

struct infer_allowed {
    int cores;             /* at least 1; a share of a core counts as one */
    uint64_t memory_bytes; /* UINT64_MAX = no limit */
};

/* `cgroup_root` is where a container sees its own control group, /sys/fs/cgroup; both versions are
 * understood. What is not there limits nothing. */
void infer_allowed_read(const char *cgroup_root, struct infer_allowed *out);

#endif
