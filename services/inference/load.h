/* load.h — the shape of the traffic: when the next request may start. Nothing else.
 *
 * Closed loop: so many requests in flight; one that ends makes room for the next. Open loop:
 * Poisson arrivals at a mean rate, whether or not earlier ones have ended. An open-loop request
 * counts as submitted when it was due, not when the node got round to it: otherwise a slow engine
 * would slow its own load and its waiting time would vanish from the figures ("coordinated
 * omission").
 *
 * Pure: no clock, no thread; the caller says what time it is. Same seed, same arrivals.
 *
 *     while (left > 0 && infer_load_due(&load, now, &due_ns))
 *         start_request(due_ns), infer_load_started(&load);
 *     wait(infer_load_wait_ns(&load, now));
 */
#ifndef INFER_LOAD_H
#define INFER_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"

struct infer_load {
    int in_flight_max;
    double rate_per_s; /* 0 = closed loop */
    struct cap_rand rand;
    int in_flight;
    int64_t next_due_ns; /* open loop: the arrival that has not started yet */
};

void infer_load_closed(struct infer_load *load, int concurrency);
/* in_flight_max bounds what the engine holds at once; arrivals beyond it wait, and that counts. */
void infer_load_open(struct infer_load *load, double rate_per_s, int in_flight_max, uint64_t seed,
                     int64_t now_ns);

/* True when a request may start now; *out_due_ns is the time it counts as submitted. */
bool infer_load_due(const struct infer_load *load, int64_t now_ns, int64_t *out_due_ns);
void infer_load_started(struct infer_load *load);
void infer_load_ended(struct infer_load *load);
/* How long until infer_load_due may change by time alone; INT64_MAX when only an end changes it. */
int64_t infer_load_wait_ns(const struct infer_load *load, int64_t now_ns);

#endif
