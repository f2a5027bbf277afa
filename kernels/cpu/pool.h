/* pool.h — worker threads that share the units of one job after another.
 *
 * One thread at a time, the caller, runs jobs; it works too. Units are claimed one by one from an
 * atomic word, so that a thread the kernel has put aside holds up nobody: the caller waits only for
 * units that were claimed, never for threads that did not come. Waiting is a short spin, then a
 * futex; never a spin without end, which collapses when there are more threads than free cores.
 */
#ifndef MOE_CPU_POOL_H
#define MOE_CPU_POOL_H

#include <stdbool.h>

struct cpu_pool;

/* unit in [0, units), thread in [0, threads) */
typedef void (*cpu_job)(void *context, int unit, int thread);

struct cpu_pool *cpu_pool_open(int threads); /* NULL: a thread could not be started */
void cpu_pool_free(struct cpu_pool *pool);
int cpu_pool_threads(const struct cpu_pool *pool);
/* Returns when every unit has been done. */
void cpu_pool_run(struct cpu_pool *pool, cpu_job job, void *context, int units);

#endif
