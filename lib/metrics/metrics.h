/* metrics.h — counters of a program as a table: one row gives the atomic, the Prometheus text, the
 * docs.
 *
 *     METRIC(appends_total, counter, "Batches stored.")
 *     METRIC(nodes, gauge, "Nodes connected now.")
 *
 *     enum {
 *     #define METRIC(name, kind, help) M_##name,
 *     #include "metrics.def"
 *     #undef METRIC
 *     M_COUNT };
 *
 * Benchmark results are not counters: docs/metrics.md has those. Any thread; relaxed atomics.
 */
#ifndef CAP_METRICS_H
#define CAP_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum cap_metric_kind { CAP_METRIC_counter, CAP_METRIC_gauge };

struct cap_metric_row {
    const char *name;
    enum cap_metric_kind kind;
    const char *help;
};

struct cap_metrics {
    const char *program;
    const struct cap_metric_row *rows;
    _Atomic int64_t *values; /* one a row */
    size_t row_count;
};

static inline void cap_metric_add(struct cap_metrics *metrics, int row, int64_t amount)
{
    atomic_fetch_add_explicit(&metrics->values[row], amount, memory_order_relaxed);
}

static inline void cap_metric_set(struct cap_metrics *metrics, int row, int64_t value)
{
    atomic_store_explicit(&metrics->values[row], value, memory_order_relaxed);
}

static inline int64_t cap_metric_get(const struct cap_metrics *metrics, int row)
{
    return atomic_load_explicit(&metrics->values[row], memory_order_relaxed);
}

/* Prometheus text format, version 0.0.4; names are moecap_<program>_<name>. */
void cap_metrics_text(const struct cap_metrics *metrics, struct cap_buf *out);
void cap_metrics_markdown(const struct cap_metrics *metrics, struct cap_buf *out);

#endif
