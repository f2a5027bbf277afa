#include "metrics/metrics.h"

#include "base/auto.h"
#include "service.h"

static const struct cap_metric_row rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t values[STORE_METRIC_COUNT];
static struct cap_metrics metrics = {"store", rows, values, CAP_COUNT_OF(rows)};

struct cap_metrics *store_metrics(void)
{
    return &metrics;
}

void store_count(enum store_metric metric, int64_t amount)
{
    cap_metric_add(&metrics, (int)metric, amount);
}
