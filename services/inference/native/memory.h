/* memory.h — how much memory a large allocation may count on. */
#ifndef NATIVE_MEMORY_H
#define NATIVE_MEMORY_H

#include <stdint.h>

/* Free and reclaimable bytes of the machine, or of the process's control groups when that is less.
 * Asked before large allocations, because the kernel grants them all and kills later. */
uint64_t native_memory_available(void);

/* What the control groups leave: UINT64_MAX when they set no limit. `root` is /sys/fs/cgroup,
 * `membership` is /proc/self/cgroup; for tests. */
uint64_t native_memory_of_groups(const char *root, const char *membership);

#endif
