/* memory.h — how much memory a large allocation may count on. */
#ifndef NATIVE_MEMORY_H
#define NATIVE_MEMORY_H

#include <stdint.h>

/* Free and reclaimable bytes of the machine, or of the process's control group when that is less.
 * Asked before large allocations, because the kernel grants them all and kills later. */
uint64_t native_memory_available(void);

#endif
