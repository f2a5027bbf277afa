/* self.h — what the load generator does to what it measures.
 *
 * The worker's thread sends requests, stamps what comes back, and makes rows of it. While it does,
 * an engine in this process computes nothing, and a chunk from a server waits for its stamp. So the
 * node measures itself: how much of the run it was busy with its own work, how much CPU that took,
 * and how many threads wanted the host's cores meanwhile.
 *
 *     infer_self_start(&self, clock, in_process);
 *     infer_self_out(&self); engine->ops->wait(...); infer_self_back(&self);
 *     infer_self_report(&self, &report);
 *
 * The worker's thread only.
 */
#ifndef INFER_SELF_H
#define INFER_SELF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct infer_self {
    const struct cap_clock *clock;
    bool in_process;          /* the engine computes in this thread */
    int64_t start_ns, out_ns; /* of the clock: when it began; when the thread left for the engine */
    int64_t away_ns;          /* in the engine, or asleep */
    int64_t cpu_start_ns, cpu_out_ns, cpu_away_ns; /* of the thread's CPU time */
    int64_t sampled_ns;
    double runnable_sum;
    int64_t samples;
};

struct infer_self_report {
    double busy_share; /* of the time: neither in the engine nor asleep */
    double cpu_share;  /* CPU time of this thread / time; of an engine in it without the engine */
    double host_load;  /* mean of the threads that wanted a core; negative = unknown */
    int host_cores;    /* 0 = unknown */
};

void infer_self_start(struct infer_self *self, const struct cap_clock *clock, bool in_process);
/* The thread goes into the engine, or to sleep; and is back. */
void infer_self_out(struct infer_self *self);
void infer_self_back(struct infer_self *self);
/* Looks at the host's load, at most twice a second; call it now and then. */
void infer_self_look(struct infer_self *self);
void infer_self_report(struct infer_self *self, struct infer_self_report *out);

/* The number of threads that run or want to, of a line of /proc/loadavg: "0.1 0.2 0.3 2/172 99";
 * -1 when it does not say. */
int infer_runnable(const char *loadavg);

#endif
