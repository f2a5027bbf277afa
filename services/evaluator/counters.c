#include "base/auto.h"
#include "metrics/metrics.h"
#include "service.h"

static const struct cap_metric_row rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t values[EVAL_COUNTER_COUNT];
static struct cap_metrics counters = {"evaluator", rows, values, CAP_COUNT_OF(rows)};

struct cap_metrics *eval_counters(void)
{
    return &counters;
}

void eval_count(enum eval_counter counter, int64_t amount)
{
    cap_metric_add(&counters, (int)counter, amount);
}
