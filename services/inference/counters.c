#include "counters.h"

static const struct cap_metric_row rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t values[INFER_M_COUNT];

struct cap_metrics infer_counters = {
    .program = "inference", .rows = rows, .values = values, .row_count = INFER_M_COUNT};
