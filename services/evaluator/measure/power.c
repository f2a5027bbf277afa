/* Power over the run, for a curve: what each device drew from sample to sample is spread over the
 * stretches of time that it lies in, and the devices are added up. A run of any length has at most
 * EVAL_POWER_STRETCHES of them: when one more is needed, neighbours become one. */
#include <math.h>
#include <string.h>

#include "measure.h"

enum { FIRST_STRETCH_US = 1000 * 1000 };

static void halve(struct eval_power *p)
{
    for (size_t i = 0; i < EVAL_POWER_STRETCHES / 2; i++)
        p->joules[i] = p->joules[2 * i] + p->joules[2 * i + 1];
    memset(p->joules + EVAL_POWER_STRETCHES / 2, 0, sizeof p->joules / 2);
    p->stretch_us *= 2;
}

static void spread(struct eval_power *p, int64_t from_us, int64_t to_us, double watts)
{
    if (p->stretch_us == 0)
        p->stretch_us = FIRST_STRETCH_US;
    while (to_us > p->stretch_us * EVAL_POWER_STRETCHES)
        halve(p);
    while (from_us < to_us) {
        int64_t i = from_us / p->stretch_us, end = (i + 1) * p->stretch_us;

        end = end < to_us ? end : to_us;
        p->joules[i] += watts * (double)(end - from_us) / 1e6;
        from_us = end;
    }
}

void eval_power_add(struct eval_power *p, const char *device, int64_t at_us, double watts)
{
    size_t i = 0;

    while (i < p->device_count && strcmp(p->devices[i].name, device) != 0)
        i++;
    if (i == EVAL_ENERGY_MAX || strlen(device) >= EVAL_POWER_NAME_BYTES || !isfinite(watts) ||
        at_us < 0 || at_us > EVAL_POWER_US_MAX)
        return;
    if (i == p->device_count) {
        p->device_count++;
        memcpy(p->devices[i].name, device, strlen(device) + 1);
        p->devices[i].at_us = 0;
    }
    if (at_us <= p->devices[i].at_us)
        return;
    spread(p, p->devices[i].at_us, at_us, watts);
    p->devices[i].at_us = at_us;
}

size_t eval_power_points(const struct eval_evidence *e, double *out_s, double *out_watts)
{
    const struct eval_power *p = &e->power;
    int64_t until_us = p->device_count > 0 ? INT64_MAX : 0;
    size_t count = 0;

    for (size_t i = 0; i < p->device_count; i++)
        until_us = p->devices[i].at_us < until_us ? p->devices[i].at_us : until_us;
    if (eval_timing_problem(e) || p->stretch_us == 0) /* or there is no sample */
        return 0;
    while (count < EVAL_POWER_STRETCHES && (int64_t)(count + 1) * p->stretch_us <= until_us) {
        out_s[count] = ((double)count + 0.5) * (double)p->stretch_us / 1e6;
        out_watts[count] = p->joules[count] / ((double)p->stretch_us / 1e6);
        count++;
    }
    return count;
}

double eval_power_idle(const struct eval_evidence *e)
{
    double watts = 0;

    for (size_t i = 0; i < e->run.energy_count; i++)
        if (*e->run.energy[i].device)
            watts += e->run.energy[i].idle_watts;
    return watts;
}
