/* metrics.h — counters of this program; rows in metrics.def. Any thread. */
#ifndef SCHED_METRICS_H
#define SCHED_METRICS_H

#include "metrics/metrics.h"

enum sched_metric {
#define METRIC(name, kind, help) SCHED_METRIC_##name,
#include "metrics.def"
#undef METRIC
    SCHED_METRIC_COUNT
};

struct cap_metrics *sched_metrics(void);
void sched_count(enum sched_metric metric, int64_t amount);

#endif
