/* power.h — how much energy this machine draws while a shard runs, and while nothing runs.
 *
 * Sources (source.h) tell it: NVML, RAPL, a server's Prometheus endpoint. A thread reads those that
 * work, a few times a second; meters (meter.h) make energy of it. What no source tells is unknown,
 * with the reason; it is never estimated here.
 *
 *     infer_power_set_busy(power, true);
 *     infer_power_begin(power, INFER_POWER_HOST);    // the window begins
 *     ... infer_power_rows(power, rows, max) ...     // now and then
 *     count = infer_power_end(power, energy);        // it has ended
 *     infer_power_set_busy(power, false);
 *
 * infer_power_begin and _end wait for a reading that is under way; infer_power_rows does not. One
 * window at a time; any thread.
 */
#ifndef INFER_POWER_H
#define INFER_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/clock.h"

enum infer_power_kind { INFER_POWER_GPU, INFER_POWER_CPU, INFER_POWER_DRAM, INFER_POWER_KINDS };

/* Why there is, or is no, energy of a device. The numbers are those of the wire. */
enum infer_power_validity {
    INFER_POWER_OK = 1,
    INFER_POWER_NO_SOURCE,  /* nothing measures it */
    INFER_POWER_PERMISSION, /* something would, and may not be read */
    INFER_POWER_WRAPPED, /* the counter may have begun again more than once between two readings */
    INFER_POWER_GAPS,    /* too long without a reading, or too few of them */
    INFER_POWER_CLOCK,   /* time went back, or the machine slept */
    INFER_POWER_RESET,   /* the counter was set back */
};

/* What a shard's engine draws on. */
enum infer_power_scope {
    INFER_POWER_PROCESSOR, /* our engine on the processor: its packages and memory */
    INFER_POWER_HOST,      /* a server on this machine: everything */
    INFER_POWER_ELSEWHERE, /* a server on another machine: only what power_url reports */
};

enum { INFER_POWER_DEVICES_MAX = 64, INFER_POWER_SOURCES_MAX = 8, INFER_POWER_WHY_BYTES = 256 };

/* The energy of one device in the window; NAN = unknown. */
struct infer_energy {
    char device[48], model[96];
    enum infer_power_kind kind;
    const char *source; /* its name; "" = none */
    enum infer_power_validity validity;
    char why[INFER_POWER_WHY_BYTES]; /* of a validity that is not OK */
    double joules;                   /* by the counter; by integration where there is none */
    double integrated;               /* by integration, where there is a counter as well */
    double seconds;                  /* of the window */
    double watts_min, watts_max;     /* the least and the most that was read */
    double limit_watts;
    double idle_watts;
    char idle_unknown[INFER_POWER_WHY_BYTES]; /* why, where that is NAN */
};

/* Mean power of a device since its row before. */
struct infer_power_row {
    int64_t at_ns;
    char device[48];
    enum infer_power_kind kind;
    const char *source;
    double watts;
};

/* Whether a source works, and why not. */
struct infer_power_state {
    const char *source;
    bool works;
    char why[INFER_POWER_WHY_BYTES];     /* "" = it works */
    char devices[INFER_POWER_WHY_BYTES]; /* "package-0, dram-0"; of many the first ones */
};

struct infer_power_options {
    const char *rapl; /* folder, /sys/class/powercap; "" = do not ask */
    const char *nvml; /* library, libnvidia-ml.so.1; "" = do not ask */
    const char *url;  /* of a Prometheus endpoint; "" = none */
    const char *gpus; /* those that count: numbers or UUIDs, by commas; "" = all */
    int interval_ms;  /* between readings; 0 = only when infer_power_read is called (tests) */
    int idle_ms;      /* how long nothing must run for idle power; 0 = it is not measured */
    const char *dev;  /* "/dev": what there says that the machine has GPUs */
    const struct cap_clock *clock;
    int64_t (*slept_ns)(void); /* how long the machine has slept; NULL = as the kernel says */
};

struct infer_power;

/* Never fails: without a source everything is unknown. */
struct infer_power *infer_power_open(const struct infer_power_options *options);
void infer_power_free(struct infer_power *power);
CAP_DEFINE_AUTO(infer_power)

/* Every source there could be; how many. */
int infer_power_states(struct infer_power *power,
                       struct infer_power_state out[INFER_POWER_SOURCES_MAX]);
/* While nothing is busy, idle power is measured. */
void infer_power_set_busy(struct infer_power *power, bool busy);
/* Waits until idle power is known, if nobody knows it yet and somebody could: at most the time that
 * it takes, and only the first time. Ends early when `unwanted` says so. One thread. */
bool infer_power_awaits_idle(struct infer_power *power); /* it would wait now */
void infer_power_await_idle(struct infer_power *power, bool (*unwanted)(void *arg), void *arg);

void infer_power_begin(struct infer_power *power, enum infer_power_scope scope);
/* Rows since the last call; how many. */
int infer_power_rows(struct infer_power *power, struct infer_power_row *out, int max);
/* One for each device, and one for each kind that should be known and is not. How many. */
int infer_power_end(struct infer_power *power, struct infer_energy out[INFER_POWER_DEVICES_MAX]);

/* Reads every source once, as the thread does. */
void infer_power_read(struct infer_power *power);

const char *infer_power_kind_word(enum infer_power_kind kind); /* "gpu", "cpu", "dram" */

#endif
