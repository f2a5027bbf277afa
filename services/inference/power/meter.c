/* Two accounts of one device: what its counter grew, and its power integrated over time.
 *
 * A counter is renewed now and then: the same value again is the old one, not a stretch of no
 * power, so a stretch goes from one new value to the next. What lies between the last new value and
 * the end of the window is taken to go on as before; how much that may be is a limit
 * (INFER_METER_GAP_MS_MAX). A counter that nobody read for a while has lost nothing, unless it may
 * have begun again at 0 twice; power that nobody read is lost. */
#include "power/meter.h"

#include <math.h>
#include <stdio.h>

void infer_meter_start(struct infer_meter *meter, const struct infer_power_device *device,
                       int64_t from_ns)
{
    *meter = (struct infer_meter){.range_joules = device->range_joules,
                                  .limit_watts = device->limit_watts,
                                  .renew_ms = device->renew_ms,
                                  .from_ns = from_ns,
                                  .until_ns = INT64_MAX,
                                  .last_ns = INT64_MIN,
                                  .problem = INFER_POWER_OK};
}

void infer_meter_stop(struct infer_meter *meter, int64_t until_ns)
{
    meter->until_ns = until_ns;
}

/* The first problem stays: what follows is a consequence. */
static void set_problem(struct infer_meter *meter, enum infer_power_validity problem,
                        const char *why)
{
    if (meter->problem != INFER_POWER_OK)
        return;
    meter->problem = problem;
    meter->why = why;
}

static void see_watts(struct infer_meter *meter, double watts)
{
    if (!meter->seen_watts || watts < meter->watts_min)
        meter->watts_min = watts;
    if (!meter->seen_watts || watts > meter->watts_max)
        meter->watts_max = watts;
    meter->seen_watts = true;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void widen_gap(struct infer_meter_account *account, int64_t ns)
{
    account->gap_ns = later(account->gap_ns, ns);
}

/* ---- the counter ---- */

/* What the counter grew; NAN when that cannot be told. */
static double growth(struct infer_meter *meter, int64_t ns, double joules)
{
    double watts = meter->limit_watts > 0 ? 1.2 * meter->limit_watts : INFER_METER_WATTS_UNKNOWN;
    double delta = joules - meter->counter.value;

    if (meter->range_joules > 0 && watts * (double)ns / 1e9 >= meter->range_joules) {
        set_problem(meter, INFER_POWER_WRAPPED,
                    "the counter was not read for so long that it may have begun again at 0 more "
                    "than once");
        return NAN;
    }
    if (delta >= 0)
        return delta;
    /* One that began again grew by what can be drawn, one that was set back by its range. */
    if (meter->range_joules > 0 &&
        delta + meter->range_joules <= INFER_METER_WRAP_TIMES * watts * (double)ns / 1e9)
        return delta + meter->range_joules;
    set_problem(meter, INFER_POWER_RESET, "the counter went back: its driver was loaded again");
    return NAN;
}

static void count(struct infer_meter *meter, int64_t at_ns, double joules)
{
    struct infer_meter_account *a = &meter->counter;
    int64_t ns = at_ns - a->at_ns, inside;
    double grown;

    if (a->any && joules == a->value)
        return; /* not renewed */
    if (a->any && ns > 0) {
        grown = growth(meter, ns, joules);
        inside = earlier(at_ns, meter->until_ns) - later(a->at_ns, meter->from_ns);
        if (inside > 0 && isfinite(grown)) {
            a->joules += grown * (double)inside / (double)ns;
            a->watts = grown / ((double)ns / 1e9);
            if (inside < ns) /* its share of the window is a guess */
                widen_gap(a, ns);
        }
    } else if (!a->any && at_ns > meter->from_ns) {
        widen_gap(a, at_ns - meter->from_ns);
    }
    a->any = true;
    a->at_ns = at_ns;
    a->value = joules;
}

/* ---- power ---- */

static double between(int64_t at, int64_t from_ns, double from, int64_t to_ns, double to)
{
    return from + (to - from) * (double)(at - from_ns) / (double)(to_ns - from_ns);
}

static void integrate(struct infer_meter *meter, int64_t at_ns, double watts)
{
    struct infer_meter_account *a = &meter->power;
    int64_t from = later(a->at_ns, meter->from_ns), to = earlier(at_ns, meter->until_ns);

    if (a->any && at_ns > a->at_ns && to > from) {
        double w0 = between(from, a->at_ns, a->value, at_ns, watts);
        double w1 = between(to, a->at_ns, a->value, at_ns, watts);

        a->joules += (w0 + w1) / 2 * (double)(to - from) / 1e9;
        widen_gap(a, at_ns - a->at_ns);
    } else if (!a->any && at_ns > meter->from_ns) {
        widen_gap(a, at_ns - meter->from_ns);
    }
    a->any = true;
    a->at_ns = at_ns;
    a->value = a->watts = watts;
}

void infer_meter_add(struct infer_meter *meter, int64_t at_ns,
                     const struct infer_power_value *value)
{
    if (at_ns < meter->last_ns) {
        set_problem(meter, INFER_POWER_CLOCK, "the clock went back");
        return;
    }
    meter->last_ns = at_ns;
    if (isfinite(value->joules))
        count(meter, at_ns, value->joules);
    if (isfinite(value->watts)) {
        integrate(meter, at_ns, value->watts);
        if (at_ns >= meter->from_ns && at_ns <= meter->until_ns)
            see_watts(meter, value->watts);
    }
}

/* ---- rows ---- */

static const struct infer_meter_account *leading(const struct infer_meter *meter)
{
    return meter->counter.any ? &meter->counter : &meter->power;
}

bool infer_meter_row(struct infer_meter *meter, int64_t *out_at_ns, double *out_watts)
{
    const struct infer_meter_account *a = leading(meter);
    int64_t at_ns = earlier(a->at_ns, meter->until_ns),
            since = later(meter->row_ns, meter->from_ns);

    if (!a->any || at_ns - since < (int64_t)INFER_METER_ROW_MS * 1000000)
        return false;
    *out_at_ns = at_ns;
    *out_watts = (a->joules - meter->row_joules) / ((double)(at_ns - since) / 1e9);
    see_watts(meter, *out_watts);
    meter->row_ns = at_ns;
    meter->row_joules = a->joules;
    return true;
}

/* ---- the result ---- */

/* What the account says of the window, with its last stretch carried on to the end. */
static struct infer_meter_account closed(const struct infer_meter *meter,
                                         const struct infer_meter_account *account)
{
    struct infer_meter_account a = *account;
    int64_t tail = meter->until_ns - later(a.at_ns, meter->from_ns);

    if (tail > 0) {
        a.joules += a.watts * (double)tail / 1e9;
        widen_gap(&a, meter->until_ns - a.at_ns);
    }
    return a;
}

static void set_invalid(struct infer_energy *out, enum infer_power_validity validity,
                        const char *why)
{
    out->validity = validity;
    out->joules = out->integrated = NAN;
    snprintf(out->why, sizeof out->why, "%s", why);
}

static void judge(const struct infer_meter *meter, const struct infer_meter_account *a,
                  struct infer_energy *out)
{
    char why[INFER_POWER_WHY_BYTES];
    double renew_s = meter->renew_ms / 1e3;

    if (meter->problem != INFER_POWER_OK) {
        set_invalid(out, meter->problem, meter->why);
    } else if (!a->any) {
        set_invalid(out, INFER_POWER_GAPS, "it could not be read");
    } else if (out->seconds < INFER_METER_RENEWALS_MIN * renew_s) {
        snprintf(why, sizeof why,
                 "%.3g s are too short: the source makes a new value every %.3g s, and %d of them "
                 "are needed",
                 out->seconds, renew_s, INFER_METER_RENEWALS_MIN);
        set_invalid(out, INFER_POWER_GAPS, why);
    } else if (a->gap_ns > (int64_t)INFER_METER_GAP_MS_MAX * 1000000) {
        snprintf(why, sizeof why, "%.3g s without a new value; at most %d s",
                 (double)a->gap_ns / 1e9, INFER_METER_GAP_MS_MAX / 1000);
        set_invalid(out, INFER_POWER_GAPS, why);
    }
}

void infer_meter_result(const struct infer_meter *meter, struct infer_energy *out)
{
    struct infer_meter_account counter = closed(meter, &meter->counter);
    struct infer_meter_account power = closed(meter, &meter->power);
    const struct infer_meter_account *first = counter.any ? &counter : &power;

    out->validity = INFER_POWER_OK;
    out->why[0] = '\0';
    out->seconds = (double)(meter->until_ns - meter->from_ns) / 1e9;
    out->joules = first->joules;
    out->integrated =
        counter.any && power.any && power.gap_ns <= (int64_t)INFER_METER_GAP_MS_MAX * 1000000
            ? power.joules
            : NAN;
    out->limit_watts = meter->limit_watts > 0 ? meter->limit_watts : NAN;
    out->watts_min = meter->seen_watts ? meter->watts_min : NAN;
    out->watts_max = meter->seen_watts ? meter->watts_max : NAN;
    judge(meter, first, out);
}
