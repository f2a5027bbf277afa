/* meter.h — from what a source says of one device, now and then, to the energy of an exact window.
 *
 * A source tells a counter of joules, the power of the moment, or both; they are kept apart, so
 * that one can vouch for the other. Readings come in the order of their times; the first is from
 * before the window, the last from after it. Between two readings a counter is taken to grow
 * evenly, and power to lie on a line (trapezoids), so that the window may begin and end between
 * them. Pure: no clock, no thread.
 *
 *     infer_meter_start(&meter, &device, from_ns);
 *     infer_meter_add(&meter, at_ns, &value);          // ... and again
 *     infer_meter_stop(&meter, until_ns);
 *     infer_meter_add(&meter, at_ns, &value);          // the one behind the end
 *     infer_meter_result(&meter, &out);
 */
#ifndef INFER_POWER_METER_H
#define INFER_POWER_METER_H

#include "power/power.h"

/* What one reading says; NAN = not said. */
struct infer_power_value {
    double joules; /* since whenever: only differences count */
    double watts;
};

/* What is known of a device before it is read. */
struct infer_power_device {
    char name[48];  /* "gpu0", "package-0", "dram-0" */
    char model[96]; /* "" = unknown */
    enum infer_power_kind kind;
    double limit_watts;  /* 0 = unknown */
    double range_joules; /* the counter begins again at 0 here; 0 = it does not */
    int renew_ms;        /* how often the source makes a new value */
};

enum {
    INFER_METER_GAP_MS_MAX = 3000,    /* without a reading */
    INFER_METER_RENEWALS_MIN = 20,    /* a window holds so many new values of its source */
    INFER_METER_WATTS_UNKNOWN = 1000, /* a device without a known limit draws at most this */
    INFER_METER_WRAP_TIMES = 10, /* a counter that began again grew by at most so many times that */
    INFER_METER_ROW_MS = 1000,
};

/* One of the two accounts. */
struct infer_meter_account {
    bool any;
    int64_t at_ns; /* the last reading that was new */
    double value;
    double watts;   /* of the last stretch */
    double joules;  /* in the window until then */
    int64_t gap_ns; /* the longest stretch whose energy is a guess */
};

struct infer_meter {
    double range_joules, limit_watts;
    int renew_ms;
    int64_t from_ns, until_ns, last_ns;
    struct infer_meter_account counter, power;
    double watts_min, watts_max; /* of readings, and of whole stretches of a row */
    bool seen_watts;
    int64_t row_ns;
    double row_joules;
    enum infer_power_validity problem;
    const char *why;
};

void infer_meter_start(struct infer_meter *meter, const struct infer_power_device *device,
                       int64_t from_ns);
void infer_meter_add(struct infer_meter *meter, int64_t at_ns,
                     const struct infer_power_value *value);
void infer_meter_stop(struct infer_meter *meter, int64_t until_ns);
/* Sets validity, reason, joules and the like of *out, not who it is. */
void infer_meter_result(const struct infer_meter *meter, struct infer_energy *out);
/* True with the mean power since the last row, when that is long enough ago. */
bool infer_meter_row(struct infer_meter *meter, int64_t *out_at_ns, double *out_watts);

#endif
