/* Which machine a run is priced by: devices by the table of hardware, the host they usually sit in
 * by hosts.def.
 *
 * A machine that is not understood is not an error here: its price is unknown and may be given.
 * Only what contradicts itself (an engine over 8 devices of a machine with 2) cannot be priced. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cost.h"
#include "hardware/hardware.h"

enum { DEVICES_PER_HOST = 8 };

static const struct {
    const char *device;
    unsigned processors;
    const char *processor;
} hosts[] = {
#define HOST(device, processors, processor) {device, processors, processor},
#include "hosts.def"
#undef HOST
};

static const char own_host[] = "the processor is its own host";

static double known(double value)
{
    return value > 0 ? value : NAN;
}

static const char *copy(struct cap_arena *arena, const char *text)
{
    return cap_arena_strdup(arena, text);
}

static bool set_host(struct eval_cost_machine *m, const struct cap_device *device,
                     struct cap_arena *arena)
{
    struct cap_err ignored = {0};
    struct cap_hardware processor;
    unsigned count = (m->devices + DEVICES_PER_HOST - 1) / DEVICES_PER_HOST;

    if (device->kind != CAP_DEVICE_GPU) {
        m->host_price = m->host_watts = 0;
        m->host_source = device->kind == CAP_DEVICE_CPU ? own_host : "the system is sold whole";
        return true;
    }
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (strncmp(device->name, hosts[i].device, strlen(hosts[i].device)) != 0 ||
            !cap_hardware_find(hosts[i].processor, 0, &processor, &ignored))
            continue;
        m->host_price = processor.device->price_usd * hosts[i].processors * count;
        m->host_watts = processor.device->board_w * hosts[i].processors * count;
        m->host_source = cap_arena_printf(arena, "%u x %s, as TEASBench 2026",
                                          hosts[i].processors * count, hosts[i].processor);
        return m->host_source != NULL;
    }
    return true;
}

static bool set_device(struct eval_cost_machine *m, const struct cap_device *device,
                       struct cap_arena *arena)
{
    m->device = device->name;
    m->source = cap_arena_printf(arena, "%s: %s, %s", device->name, device->source, device->date);
    m->price = known(device->price_usd);
    m->watts = known(device->board_w);
    m->processor = device->kind == CAP_DEVICE_CPU;
    m->overhead = device->kind == CAP_DEVICE_SYSTEM ? 1 : NAN;
    return m->source && set_host(m, device, arena);
}

/* "8x something that the table does not have": a rent is still by device. */
static unsigned leading_count(const char *text)
{
    char *end;
    unsigned long count = strtoul(text, &end, 10);

    end += strspn(end, " ");
    return count > 0 && count <= CAP_HARDWARE_COUNT_MAX && end > text && (*end | 32) == 'x'
               ? (unsigned)count
               : 0;
}

bool eval_cost_machine_declared(const char *text, unsigned parallel, struct cap_arena *arena,
                                struct eval_cost_machine *out)
{
    struct eval_cost_machine m = eval_cost_machine_unknown(parallel > 0 ? parallel : 1);
    struct cap_err ignored = {0};
    struct cap_hardware found;

    m.declared = true;
    if (!(m.device = copy(arena, text)))
        return false;
    if (cap_hardware_find(text, 0, &found, &ignored)) {
        if (found.counted)
            m.devices = found.count;
        if (!set_device(&m, found.device, arena))
            return false;
    } else if (leading_count(text) > 0) {
        m.devices = leading_count(text);
    }
    if (m.devices < parallel &&
        !(m.problem = cap_arena_printf(arena,
                                       "parallelism needs %u devices, \"%.120s\" says %u; correct "
                                       "--hardware or the parallelism",
                                       parallel, text, m.devices)))
        return false;
    *out = m;
    return true;
}

/* A processor has a price, a part of one has none: a virtual machine is rented. */
static bool check_whole(struct eval_cost_machine *m, const struct cap_device *device,
                        unsigned cores, struct cap_arena *arena)
{
    unsigned all = device->cores * m->devices;

    if (cores > 0 && cores < all) {
        m->devices = 1;
        m->price = m->watts = NAN;
        m->device = cap_arena_printf(arena, "%u of the %u cores of %s", cores, all, device->name);
    }
    return m->device != NULL;
}

bool eval_cost_machine_found(const char *text, unsigned count, unsigned cores,
                             struct cap_arena *arena, struct eval_cost_machine *out)
{
    struct eval_cost_machine m = eval_cost_machine_unknown(count > 0 ? count : 1);
    struct cap_err ignored = {0};
    struct cap_hardware found;

    m.processor = cores > 0;
    if (m.processor) {
        m.host_price = m.host_watts = 0;
        m.host_source = own_host;
    }
    if (!(m.device = copy(arena, text)))
        return false;
    if (cap_hardware_find(text, 0, &found, &ignored) &&
        (!set_device(&m, found.device, arena) || !check_whole(&m, found.device, cores, arena)))
        return false;
    *out = m;
    return true;
}
