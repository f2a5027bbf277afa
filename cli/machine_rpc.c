/* What a node says of its machine: what its probe measured, what measures its power, what devices
 * drew in a run. */
#include "machine_rpc.h"

#include "out.h"

void cli_add_attained(struct cap_buf *out, const Moecap__V1__NodeHardware *hardware)
{
    bool read = hardware->opt_read_bandwidth_case ==
                MOECAP__V1__NODE_HARDWARE__OPT_READ_BANDWIDTH_READ_BANDWIDTH_GB_S;

    if (read)
        cap_buf_printf(out, "%.3g GB/s", hardware->read_bandwidth_gb_s);
    for (size_t i = 0; i < hardware->n_compute; i++)
        cap_buf_printf(out, "%s%.16s %.4g", i > 0 ? ", " : (read ? "; " : ""),
                       hardware->compute[i]->precision, hardware->compute[i]->gflop_per_s);
    if (hardware->n_compute > 0)
        cap_buf_add_str(out, " GFLOP/s");
    else if (!read)
        cap_buf_add_str(out, "not measured");
}

/* ---- power ---- */

void cli_add_power(struct cap_buf *out, const Moecap__V1__NodeHardware *hardware)
{
    size_t before = out->length;

    for (size_t i = 0; i < hardware->n_power; i++)
        if (hardware->power[i]->works)
            cap_buf_printf(out, "%s%.32s", out->length > before ? "," : "",
                           hardware->power[i]->source);
    if (out->length == before)
        cap_buf_add_str(out, "none");
}

void cli_say_no_power(const char *node, const Moecap__V1__NodeHardware *hardware)
{
    for (size_t i = 0; i < hardware->n_power; i++)
        if (!hardware->power[i]->works)
            cli_say("power of %s by %s: %s", node, hardware->power[i]->source,
                    hardware->power[i]->reason);
}

static void say_device(const Moecap__V1__EnergyReading *r)
{
    CAP_AUTO_BUF(line, 1024);

    cap_buf_printf(&line, "%.64s: %.6g J in %.4g s by %.32s", r->device, r->joules, r->seconds,
                   r->source);
    if (r->opt_idle_case)
        cap_buf_printf(&line, ", idle %.4g W", r->idle_watts);
    else
        cap_buf_printf(&line, ", idle power unknown: %.256s", r->idle_unknown);
    cli_say("energy      %s", line.data);
}

void cli_say_energy(const Moecap__V1__ShardReport *report)
{
    for (size_t i = 0; i < report->n_energy; i++) {
        const Moecap__V1__EnergyReading *r = report->energy[i];

        if (r->opt_joules_case)
            say_device(r);
        else
            cli_say("energy      %s: unknown: %s", *r->device ? r->device : r->kind, r->reason);
    }
}
