/* source.h — inside services/inference/power: who can tell what a device draws.
 *
 * A source is a row of the table in sources.c: a name, and functions that open it, read all its
 * devices at once, and close it. open fails with CAP_NOT_FOUND when there is no such thing here,
 * CAP_PERMISSION_DENIED when there is and this process may not; the sentence says what to do.
 */
#ifndef INFER_POWER_SOURCE_H
#define INFER_POWER_SOURCE_H

#include "base/err.h"
#include "power/meter.h"
#include "power/power.h"

enum { INFER_POWER_SOURCE_DEVICES_MAX = 32 };

struct infer_power_source {
    const struct infer_power_source_ops *ops;
    struct infer_power_device devices[INFER_POWER_SOURCE_DEVICES_MAX];
    int device_count;
};

struct infer_power_source_ops {
    const char *name;
    bool kinds[INFER_POWER_KINDS];
    bool elsewhere;  /* it may tell of another machine than this */
    int interval_ms; /* not asked more often */
    struct infer_power_source *(*open)(const struct infer_power_options *options,
                                       struct cap_err *err);
    /* Fills a value for each device; one that could not be read is NAN. */
    bool (*read)(struct infer_power_source *source, struct infer_power_value *out_values,
                 struct cap_err *err);
    void (*close)(struct infer_power_source *source);
};

extern const struct infer_power_source_ops infer_power_nvml, infer_power_rapl,
    infer_power_prometheus;

/* The sources, in order: of two that tell the same kind of device the first one counts. NULL past
 * the last. */
const struct infer_power_source_ops *infer_power_source_at(int i);

/* Whether the GPU with this number and UUID is among `gpus`; "" names all. */
bool infer_power_gpu_counts(const char *gpus, int index, const char *uuid);

/* ---- prometheus.c, for its test ---- */

/* The next sample of `metric` in a text of Prometheus: its value, and of its labels what `uuid` and
 * `gpu` say, else "". *io_at moves behind it. False when there is none. */
struct infer_prometheus_sample {
    char gpu[16], uuid[64], model[96], instance[32];
    double value;
};
bool infer_prometheus_next(const char **io_at, const char *metric,
                           struct infer_prometheus_sample *out);

#endif
