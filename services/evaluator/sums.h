/* sums.h — what is kept of numbers that come one by one: all of them, sums over neighbours in time,
 * or counts in the buckets of a histogram.
 */
#ifndef EVAL_SUMS_H
#define EVAL_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVAL_VALUES_MAX = 64 * 1000 * 1000 /* of one duration */ };

struct eval_values { /* of one duration, in microseconds */
    double *items;
    size_t count, room;
    bool overflowed;
};

void eval_values_add(struct eval_values *values, double value);

/* Pairs in the order of time, such as the tokens and the duration of passes: so many that only
 * sums over neighbours are kept. For the interval of sum(over) / sum(under). */
enum { EVAL_SERIES_MAX = 1024 };
struct eval_series {
    double over[EVAL_SERIES_MAX], under[EVAL_SERIES_MAX];
    size_t count;     /* sums */
    uint64_t each;    /* pairs in a sum; 0: none came yet */
    uint64_t in_last; /* pairs in the last sum */
    uint64_t pairs;
};

void eval_series_add(struct eval_series *series, double over, double under);

/* Counts of a histogram whose buckets are 10 % wide, the first from `lowest` on. */
enum { EVAL_HISTOGRAM_BUCKETS_MAX = 288 };
#define EVAL_HISTOGRAM_GROWTH 1.1
/* Of rates of passes, in GB/s and GFLOP/s. */
#define EVAL_RATE_LOWEST 1e-3

struct eval_buckets {
    uint64_t counts[EVAL_HISTOGRAM_BUCKETS_MAX];
    size_t used; /* up to the last that holds something */
};

void eval_buckets_add(struct eval_buckets *buckets, double lowest, double value);

#endif
