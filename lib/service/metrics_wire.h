/* metrics_wire.h — a program's counters as messages. */
#ifndef CAP_METRICS_WIRE_H
#define CAP_METRICS_WIRE_H

#include "base/arena.h"
#include "metrics/metrics.h"
#include "moecap/v1/common.pb-c.h"

/* Everything in the arena; false when it is full. */
bool cap_metrics_to_wire(const struct cap_metrics *metrics, struct cap_arena *arena,
                         Moecap__V1__Metric ***out_list, size_t *out_count);

#endif
