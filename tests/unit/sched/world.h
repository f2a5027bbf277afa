/* world.h — a made-up world around sched_step: a store that goes away, loses replies, is slow, and
 * whose clock jumps; nodes that crash, stall, deliver nothing and repeat themselves; a scheduler
 * that is killed. Driven by one seed.
 *
 *     world_run(seed, &result);   // asserts every invariant on the way
 */
#ifndef SCHED_TEST_WORLD_H
#define SCHED_TEST_WORLD_H

#include <stdint.h>

struct world_result {
    int runs, finished, failed, cancelled, invalid;
    int leases, steps, crashes, stalls, outages, restarts, lost_replies, repeated_batches;
    int slow_times, clock_jumps, idlers;
    int64_t ended_ms; /* when the last run ended, on the world's clock */
};

void world_run(uint64_t seed, struct world_result *out);

#endif
