/* counters.h — this program's counters; metrics.def says what each counts. Any thread. */
#ifndef INFER_COUNTERS_H
#define INFER_COUNTERS_H

#include "metrics/metrics.h"

enum infer_counter {
#define METRIC(name, kind, help) INFER_M_##name,
#include "metrics.def"
#undef METRIC
    INFER_M_COUNT
};

extern struct cap_metrics infer_counters;

static inline void infer_count(enum infer_counter counter, int64_t amount)
{
    cap_metric_add(&infer_counters, (int)counter, amount);
}

#endif
