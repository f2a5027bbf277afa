/* The gateway's own counters: metrics.def. */
#include "service.h"

static const struct cap_metric_row metric_rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t metric_values[GATE_METRIC_COUNT];
static struct cap_metrics metrics = {"gateway", metric_rows, metric_values,
                                     CAP_COUNT_OF(metric_rows)};

struct cap_metrics *gate_metrics(void)
{
    return &metrics;
}

void gate_count(enum gate_metric metric, int64_t amount)
{
    cap_metric_add(&metrics, (int)metric, amount);
}
