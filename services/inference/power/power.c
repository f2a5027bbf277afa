/* The sources that work, the thread that reads them, and two windows over their readings: that of
 * the shard that runs, and those in which nothing runs.
 *
 * Two locks, always taken in this order:
 *   reading   guards the sources themselves. Held while they are asked, which may take as long as a
 *             server takes to answer; infer_power_begin and _end wait for it.
 *   lock      guards everything else (meters, rows, idle power). Held for moments; infer_power_rows
 *             takes only this one, so that a shard that is measured never waits for a source.
 *
 * A window begins between two readings: begin() reads once and then takes the time; end() takes the
 * time and then reads once more. Of a counter that is renewed rarely the last new value before the
 * window is known as well, because the thread reads all the time.
 *
 * Idle power is that of the last stretch of idle_ms in which the node had nothing to do, after
 * SETTLE_MS in which fans and clocks come down; stretches follow each other as long as that lasts.
 * A source that does not work is tried again when a window begins: permissions can be given, an
 * exporter started, while the node runs. */
#include "power/power.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "counters.h"
#include "power/source.h"

enum {
    SETTLE_MS = 1000,
    ROWS_MAX = 4096, /* between two calls of infer_power_rows; past it the newest are dropped */
    AWAIT_STEP_MS = 20,
    SLEPT_MS_MAX = 100,
};

/* The last new value of a device's counter, and its last power; NAN = none. */
struct reading {
    int64_t joules_ns, watts_ns;
    double joules, watts;
};

/* One source, and what is known through it. */
struct slot {
    const struct infer_power_source_ops *ops;
    struct infer_power_source *source; /* NULL: it does not work, because: */
    struct cap_err why;
    int64_t read_ns;
    /* by device */
    struct reading last[INFER_POWER_SOURCE_DEVICES_MAX];
    struct infer_meter shard[INFER_POWER_SOURCE_DEVICES_MAX];
    struct infer_meter idle[INFER_POWER_SOURCE_DEVICES_MAX];
    double idle_watts[INFER_POWER_SOURCE_DEVICES_MAX]; /* NAN = unknown */
    bool counts[INFER_POWER_KINDS];                    /* in this window */
    int64_t idle_from_ns;                              /* 0 = no stretch is measured */
    char trouble[INFER_POWER_WHY_BYTES];               /* of the last reading that failed */
};

struct infer_power {
    struct infer_power_options options;
    pthread_mutex_t reading, lock;
    pthread_cond_t ending_came;
    pthread_t thread;
    bool has_thread, ending;
    struct slot slots[INFER_POWER_SOURCES_MAX];
    int slot_count;
    bool in_window;
    enum infer_power_scope scope;
    int64_t slept_ns;   /* when the window began */
    bool busy, awaited; /* awaited: the worker's own */
    int64_t idle_since_ns;
    struct infer_power_row rows[ROWS_MAX];
    int row_count;
};

const char *infer_power_kind_word(enum infer_power_kind kind)
{
    static const char *const words[] = {"gpu", "cpu", "dram"};

    return words[kind];
}

static int64_t now_ns(const struct infer_power *power)
{
    return cap_clock_ns(power->options.clock);
}

/* Of the kernel's two clocks that never go back only one goes on while the machine sleeps. */
static int64_t slept_by_kernel(void)
{
    struct timespec with, without;

    clock_gettime(CLOCK_BOOTTIME, &with);
    clock_gettime(CLOCK_MONOTONIC, &without);
    return (with.tv_sec - without.tv_sec) * 1000000000 + with.tv_nsec - without.tv_nsec;
}

/* Behind what is there already, with `between` before it. */
static void add_text(char out[INFER_POWER_WHY_BYTES], const char *between, const char *text)
{
    size_t length = strlen(out);

    snprintf(out + length, INFER_POWER_WHY_BYTES - length, "%s%s", length ? between : "", text);
}

/* ---- sources ---- */

/* Holds `reading` and `lock`, or nobody else knows of the slot. */
static void open_slot(struct infer_power *power, struct slot *slot)
{
    slot->why = (struct cap_err){0};
    slot->source = slot->ops->open(&power->options, &slot->why);
    slot->idle_from_ns = 0;
    if (!slot->source)
        return;
    slot->source->ops = slot->ops;
    for (int i = 0; i < slot->source->device_count; i++) {
        slot->last[i].joules = slot->last[i].watts = NAN;
        slot->idle_watts[i] = NAN;
    }
}

/* With what is known from before the window. */
static void start_meters(const struct slot *slot, struct infer_meter *meters, int64_t from_ns)
{
    for (int i = 0; i < slot->source->device_count; i++) {
        const struct reading *last = &slot->last[i];
        const struct infer_power_value joules = {last->joules, NAN}, watts = {NAN, last->watts};
        bool counter_first = last->joules_ns <= last->watts_ns;

        infer_meter_start(&meters[i], &slot->source->devices[i], from_ns);
        if (counter_first)
            infer_meter_add(&meters[i], last->joules_ns, &joules);
        infer_meter_add(&meters[i], last->watts_ns, &watts);
        if (!counter_first)
            infer_meter_add(&meters[i], last->joules_ns, &joules);
    }
}

static void push_row(struct infer_power *power, struct slot *slot, int device)
{
    const struct infer_power_device *d = &slot->source->devices[device];
    struct infer_power_row row = {.kind = d->kind, .source = slot->ops->name};

    if (!infer_meter_row(&slot->shard[device], &row.at_ns, &row.watts))
        return;
    memcpy(row.device, d->name, sizeof row.device);
    if (power->row_count < ROWS_MAX)
        power->rows[power->row_count++] = row;
}

/* ---- idle power ---- */

static int64_t idle_ns_of(const struct infer_power *power, const struct slot *slot)
{
    int64_t ms = power->options.idle_ms;

    for (int i = 0; i < slot->source->device_count; i++)
        if (slot->source->devices[i].renew_ms * INFER_METER_RENEWALS_MIN > ms)
            ms = slot->source->devices[i].renew_ms * INFER_METER_RENEWALS_MIN;
    return ms * 1000000;
}

static void start_idle(struct slot *slot, int64_t at_ns)
{
    slot->idle_from_ns = at_ns;
    start_meters(slot, slot->idle, at_ns);
}

static void end_idle(struct slot *slot)
{
    for (int i = 0; i < slot->source->device_count; i++) {
        struct infer_energy energy;

        infer_meter_result(&slot->idle[i], &energy);
        if (energy.validity == INFER_POWER_OK)
            slot->idle_watts[i] = energy.joules / energy.seconds;
    }
}

/* A reading of a node that has nothing to do. */
static void take_idle(struct infer_power *power, struct slot *slot, int64_t at_ns,
                      const struct infer_power_value *values)
{
    bool ends = slot->idle_from_ns && at_ns - slot->idle_from_ns >= idle_ns_of(power, slot);

    if (!slot->idle_from_ns) {
        if (at_ns - power->idle_since_ns < (int64_t)SETTLE_MS * 1000000)
            return;
        start_idle(slot, at_ns);
    }
    for (int i = 0; i < slot->source->device_count; i++) {
        if (ends)
            infer_meter_stop(&slot->idle[i], at_ns);
        infer_meter_add(&slot->idle[i], at_ns, &values[i]);
    }
    if (!ends)
        return;
    end_idle(slot);
    slot->idle_from_ns = 0;
}

void infer_power_set_busy(struct infer_power *power, bool busy)
{
    pthread_mutex_lock(&power->lock);
    if (power->busy != busy)
        power->idle_since_ns = now_ns(power);
    power->busy = busy;
    for (int i = 0; busy && i < power->slot_count; i++)
        power->slots[i].idle_from_ns = 0;
    pthread_mutex_unlock(&power->lock);
}

/* How long until idle power is known; 0 when it is, or when nobody can know it. */
static int64_t idle_missing_ns(struct infer_power *power)
{
    int64_t most = 0;

    pthread_mutex_lock(&power->lock);
    for (int s = 0; s < power->slot_count && power->options.idle_ms > 0; s++) {
        const struct slot *slot = &power->slots[s];
        int64_t left;

        if (!slot->source || isfinite(slot->idle_watts[0]))
            continue;
        left = power->idle_since_ns + (int64_t)SETTLE_MS * 1000000 + idle_ns_of(power, slot) +
               (int64_t)INFER_METER_GAP_MS_MAX * 1000000 - now_ns(power);
        most = left > most ? left : most;
    }
    pthread_mutex_unlock(&power->lock);
    return most;
}

bool infer_power_awaits_idle(struct infer_power *power)
{
    return !power->awaited && power->has_thread && idle_missing_ns(power) > 0;
}

void infer_power_await_idle(struct infer_power *power, bool (*unwanted)(void *arg), void *arg)
{
    while (infer_power_awaits_idle(power) && !unwanted(arg))
        cap_sleep_ms(AWAIT_STEP_MS);
    power->awaited = true; /* in vain or not: no later run waits again */
}

/* ---- reading ---- */

static void keep_reading(struct reading *last, int64_t at_ns, const struct infer_power_value *value)
{
    if (isfinite(value->joules) && !(value->joules == last->joules)) {
        last->joules = value->joules;
        last->joules_ns = at_ns;
    }
    if (isfinite(value->watts)) {
        last->watts = value->watts;
        last->watts_ns = at_ns;
    }
}

static void take_values(struct infer_power *power, struct slot *slot, int64_t at_ns,
                        const struct infer_power_value *values)
{
    for (int i = 0; i < slot->source->device_count; i++) {
        if (power->in_window) {
            infer_meter_add(&slot->shard[i], at_ns, &values[i]);
            if (slot->counts[slot->source->devices[i].kind])
                push_row(power, slot, i);
        }
        keep_reading(&slot->last[i], at_ns, &values[i]);
    }
    if (!power->busy && power->options.idle_ms > 0)
        take_idle(power, slot, at_ns, values);
}

/* Holds `reading`. */
static void read_slot(struct infer_power *power, struct slot *slot)
{
    struct infer_power_value values[INFER_POWER_SOURCE_DEVICES_MAX];
    int64_t before = now_ns(power), after;
    struct cap_err err = {0};
    bool ok;

    for (size_t i = 0; i < CAP_COUNT_OF(values); i++)
        values[i] = (struct infer_power_value){NAN, NAN};
    ok = slot->ops->read(slot->source, values, &err);
    after = now_ns(power);
    infer_count(INFER_M_power_reads_total, 1);
    infer_count(INFER_M_power_reads_failed_total, !ok);
    pthread_mutex_lock(&power->lock);
    slot->read_ns = before;
    snprintf(slot->trouble, sizeof slot->trouble, "%.*s", INFER_POWER_WHY_BYTES - 1, err.text);
    take_values(power, slot, before + (after - before) / 2, values);
    pthread_mutex_unlock(&power->lock);
}

static void read_all(struct infer_power *power, bool due_only)
{
    for (int i = 0; i < power->slot_count; i++) {
        struct slot *slot = &power->slots[i];
        int64_t since_ms = (now_ns(power) - slot->read_ns) / 1000000;

        if (slot->source && (!due_only || since_ms >= slot->ops->interval_ms))
            read_slot(power, slot);
    }
}

void infer_power_read(struct infer_power *power)
{
    pthread_mutex_lock(&power->reading);
    read_all(power, true);
    pthread_mutex_unlock(&power->reading);
}

static void *run_reader(void *arg)
{
    struct infer_power *power = arg;

    pthread_mutex_lock(&power->lock);
    while (!power->ending) {
        pthread_mutex_unlock(&power->lock);
        infer_power_read(power);
        pthread_mutex_lock(&power->lock);
        if (!power->ending)
            cap_wait_ms(&power->ending_came, &power->lock, power->options.interval_ms);
    }
    pthread_mutex_unlock(&power->lock);
    return NULL;
}

/* ---- the window of a shard ---- */

/* Of two sources that tell the same kind of device the first one counts: not both. */
static void choose_sources(struct infer_power *power)
{
    bool taken[INFER_POWER_KINDS] = {false};

    taken[INFER_POWER_GPU] = power->scope == INFER_POWER_PROCESSOR;
    for (int s = 0; s < power->slot_count; s++) {
        struct slot *slot = &power->slots[s];
        bool found[INFER_POWER_KINDS] = {false};

        memset(slot->counts, 0, sizeof slot->counts);
        if (!slot->source || (power->scope == INFER_POWER_ELSEWHERE && !slot->ops->elsewhere))
            continue;
        for (int i = 0; i < slot->source->device_count; i++)
            found[slot->source->devices[i].kind] = true;
        for (int kind = 0; kind < INFER_POWER_KINDS; kind++) {
            slot->counts[kind] = found[kind] && !taken[kind];
            taken[kind] |= found[kind];
        }
    }
}

void infer_power_begin(struct infer_power *power, enum infer_power_scope scope)
{
    pthread_mutex_lock(&power->reading);
    pthread_mutex_lock(&power->lock);
    for (int i = 0; i < power->slot_count; i++)
        if (!power->slots[i].source)
            open_slot(power, &power->slots[i]);
    pthread_mutex_unlock(&power->lock);
    read_all(power, false);
    pthread_mutex_lock(&power->lock);
    power->scope = scope;
    power->row_count = 0;
    choose_sources(power);
    power->slept_ns = power->options.slept_ns();
    for (int i = 0; i < power->slot_count; i++)
        if (power->slots[i].source)
            start_meters(&power->slots[i], power->slots[i].shard, now_ns(power));
    power->in_window = true;
    pthread_mutex_unlock(&power->lock);
    pthread_mutex_unlock(&power->reading);
}

int infer_power_rows(struct infer_power *power, struct infer_power_row *out, int max)
{
    int count;

    pthread_mutex_lock(&power->lock);
    count = power->row_count < max ? power->row_count : max;
    memcpy(out, power->rows, (size_t)count * sizeof *out);
    power->row_count -= count;
    memmove(power->rows, power->rows + count, (size_t)power->row_count * sizeof *out);
    pthread_mutex_unlock(&power->lock);
    return count;
}

/* ---- its end ---- */

static void tell_device(const struct infer_power *power, const struct slot *slot, int device,
                        struct infer_energy *out)
{
    const struct infer_power_device *d = &slot->source->devices[device];

    infer_meter_result(&slot->shard[device], out);
    memcpy(out->device, d->name, sizeof out->device);
    memcpy(out->model, d->model, sizeof out->model);
    out->kind = d->kind;
    out->source = slot->ops->name;
    out->idle_watts = slot->idle_watts[device];
    out->idle_unknown[0] = '\0';
    if (isnan(out->idle_watts))
        snprintf(out->idle_unknown, sizeof out->idle_unknown, "%s",
                 power->options.idle_ms > 0
                     ? "the node was never idle for long enough before this run"
                     : "idle power is not measured: power_idle_s is 0");
    if (out->validity == INFER_POWER_GAPS && *slot->trouble)
        add_text(out->why, "; ", slot->trouble);
    if (power->options.slept_ns() - power->slept_ns > (int64_t)SLEPT_MS_MAX * 1000000) {
        out->validity = INFER_POWER_CLOCK;
        out->joules = out->integrated = NAN;
        snprintf(out->why, sizeof out->why, "the machine slept during the run");
    }
}

/* What was tried to know this kind of device. */
static void tell_missing(const struct infer_power *power, enum infer_power_kind kind,
                         struct infer_energy *out)
{
    bool elsewhere = power->scope == INFER_POWER_ELSEWHERE;

    *out = (struct infer_energy){.kind = kind,
                                 .source = "",
                                 .validity = INFER_POWER_NO_SOURCE,
                                 .joules = NAN,
                                 .integrated = NAN,
                                 .watts_min = NAN,
                                 .watts_max = NAN,
                                 .limit_watts = NAN,
                                 .idle_watts = NAN};
    if (elsewhere)
        add_text(out->why, "", "the server is on another machine");
    for (int s = 0; s < power->slot_count; s++) {
        const struct slot *slot = &power->slots[s];

        if (!slot->ops->kinds[kind] || (elsewhere && !slot->ops->elsewhere))
            continue;
        if (slot->source) {
            add_text(out->why, "; ", slot->ops->name);
            add_text(out->why, "", " tells nothing of it here");
        } else {
            add_text(out->why, "; ", slot->why.text);
        }
        if (slot->why.code == CAP_PERMISSION_DENIED)
            out->validity = INFER_POWER_PERMISSION;
    }
    snprintf(out->idle_unknown, sizeof out->idle_unknown, "%s", out->why);
}

static bool has_gpus(const struct infer_power *power)
{
    static const char *const nodes[] = {"nvidiactl", "kfd", "dxg"};
    char path[1024];

    for (size_t i = 0; i < CAP_COUNT_OF(nodes); i++) {
        snprintf(path, sizeof path, "%s/%s", power->options.dev, nodes[i]);
        if (cap_file_exists(path))
            return true;
    }
    return false;
}

/* Whether somebody will ask for the energy of this kind of device. */
static bool is_wanted(const struct infer_power *power, enum infer_power_kind kind)
{
    if (kind != INFER_POWER_GPU)
        return true;
    return power->scope == INFER_POWER_ELSEWHERE ||
           (power->scope == INFER_POWER_HOST && has_gpus(power));
}

static int tell_kind(const struct infer_power *power, enum infer_power_kind kind,
                     struct infer_energy *out, int room)
{
    int count = 0;

    for (int s = 0; s < power->slot_count; s++) {
        const struct slot *slot = &power->slots[s];

        for (int i = 0; slot->counts[kind] && i < slot->source->device_count; i++)
            if (slot->source->devices[i].kind == kind && count < room)
                tell_device(power, slot, i, &out[count++]);
    }
    if (count == 0 && room > 0 && is_wanted(power, kind))
        tell_missing(power, kind, &out[count++]);
    return count;
}

int infer_power_end(struct infer_power *power, struct infer_energy out[INFER_POWER_DEVICES_MAX])
{
    int count = 0;
    int64_t until_ns;

    pthread_mutex_lock(&power->reading);
    until_ns = now_ns(power);
    pthread_mutex_lock(&power->lock);
    for (int s = 0; s < power->slot_count; s++)
        for (int i = 0; power->slots[s].source && i < power->slots[s].source->device_count; i++)
            infer_meter_stop(&power->slots[s].shard[i], until_ns);
    pthread_mutex_unlock(&power->lock);
    read_all(power, false);
    pthread_mutex_lock(&power->lock);
    power->in_window = false;
    for (int kind = 0; kind < INFER_POWER_KINDS; kind++)
        count += tell_kind(power, (enum infer_power_kind)kind, out + count,
                           INFER_POWER_DEVICES_MAX - count);
    pthread_mutex_unlock(&power->lock);
    pthread_mutex_unlock(&power->reading);
    return count;
}

/* ---- life ---- */

int infer_power_states(struct infer_power *power,
                       struct infer_power_state out[INFER_POWER_SOURCES_MAX])
{
    pthread_mutex_lock(&power->lock);
    for (int s = 0; s < power->slot_count; s++) {
        const struct slot *slot = &power->slots[s];

        out[s] =
            (struct infer_power_state){.source = slot->ops->name, .works = slot->source != NULL};
        if (!slot->source)
            snprintf(out[s].why, sizeof out[s].why, "%.*s", INFER_POWER_WHY_BYTES - 1,
                     slot->why.text);
        for (int i = 0; slot->source && i < slot->source->device_count; i++)
            add_text(out[s].devices, ", ", slot->source->devices[i].name);
    }
    pthread_mutex_unlock(&power->lock);
    return power->slot_count;
}

struct infer_power *infer_power_open(const struct infer_power_options *options)
{
    struct infer_power *power = calloc(1, sizeof *power);
    const struct infer_power_source_ops *ops;

    if (!power)
        abort();
    power->options = *options;
    if (!power->options.slept_ns)
        power->options.slept_ns = slept_by_kernel;
    pthread_mutex_init(&power->reading, NULL);
    pthread_mutex_init(&power->lock, NULL);
    pthread_cond_init(&power->ending_came, NULL);
    power->idle_since_ns = now_ns(power);
    while ((ops = infer_power_source_at(power->slot_count)) != NULL) {
        assert(power->slot_count < INFER_POWER_SOURCES_MAX);
        power->slots[power->slot_count].ops = ops;
        open_slot(power, &power->slots[power->slot_count++]);
    }
    power->has_thread = options->interval_ms > 0;
    if (power->has_thread && pthread_create(&power->thread, NULL, run_reader, power) != 0)
        abort();
    return power;
}

void infer_power_free(struct infer_power *power)
{
    if (!power)
        return;
    pthread_mutex_lock(&power->lock);
    power->ending = true;
    pthread_cond_signal(&power->ending_came);
    pthread_mutex_unlock(&power->lock);
    if (power->has_thread)
        pthread_join(power->thread, NULL);
    for (int i = 0; i < power->slot_count; i++)
        if (power->slots[i].source)
            power->slots[i].ops->close(power->slots[i].source);
    pthread_cond_destroy(&power->ending_came);
    pthread_mutex_destroy(&power->lock);
    pthread_mutex_destroy(&power->reading);
    free(power);
}
