#include "metrics.h"

#include "base/auto.h"

static const struct cap_metric_row rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t values[SCHED_METRIC_COUNT];
static struct cap_metrics metrics = {"scheduler", rows, values, CAP_COUNT_OF(rows)};

struct cap_metrics *sched_metrics(void)
{
    return &metrics;
}

void sched_count(enum sched_metric metric, int64_t amount)
{
    cap_metric_add(&metrics, (int)metric, amount);
}
