/* probe.h — how fast this machine reads memory, measured now: the yardstick beside every figure. */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

/* Gigabytes (10^9) a second that `threads` threads read together from memory far larger than the
 * caches, four streams each; the best of three rounds. 0 when there is no memory for it. */
double bench_probe_read_gbs(int threads);

#endif
