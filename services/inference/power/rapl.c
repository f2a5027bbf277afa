/* RAPL through the kernel's powercap: counters of microjoules of processor packages and of memory.
 *
 * A zone is a folder, `intel-rapl:0` (AMD's are called so, too), with `name`, `energy_uj` and
 * `max_energy_range_uj`, at which the counter begins again. Packages are "package-0", "package-1";
 * memory is "dram", a zone inside its package's ("intel-rapl:0:2") that the package's counter does
 * not hold. "core" and "uncore" are parts of a package, "psys" is the whole board, packages
 * included, and `intel-rapl-mmio` is another way to the same counters: none of them may be added.
 * Since Linux 5.10 only root may read energy_uj. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "power/source.h"

enum { ZONES_MAX = INFER_POWER_SOURCE_DEVICES_MAX, LIMITS_MAX = 3, PATH_BYTES = 1024 };

struct rapl {
    struct infer_power_source base;
    int fds[ZONES_MAX]; /* energy_uj, one a device */
};

/* ---- one zone ---- */

/* The first line of a file of the zone; false when it cannot be read. */
static bool read_text(const char *root, const char *zone, const char *file, char *out, int room)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s/%s", root, zone, file);
    CAP_AUTO_STREAM FILE *stream = fopen(path, "r");
    if (!stream || !fgets(out, room, stream))
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}

/* A whole number above 0, as the kernel writes them; 0 when there is none. */
static double read_micro(const char *root, const char *zone, const char *file)
{
    char text[32], *end;
    unsigned long long value;

    if (!read_text(root, zone, file, text, sizeof text))
        return 0;
    value = strtoull(text, &end, 10);
    return *text && *end == '\0' ? (double)value / 1e6 : 0;
}

/* The highest of the limits, over seconds and over milliseconds; unknown where the kernel does not
 * enforce them. */
static double limit_of(const char *root, const char *zone)
{
    char file[64], enabled[8];
    double most = 0;

    if (read_text(root, zone, "enabled", enabled, sizeof enabled) && strcmp(enabled, "0") == 0)
        return 0;

    for (int i = 0; i < LIMITS_MAX; i++) {
        snprintf(file, sizeof file, "constraint_%d_power_limit_uw", i);
        most = fmax(most, read_micro(root, zone, file));
    }
    return most;
}

static bool fail_unreadable(const char *path, int error, struct cap_err *err)
{
    if (error == EACCES || error == EPERM)
        return cap_fail(err, CAP_PERMISSION_DENIED,
                        "%s may not be read by this user: run the node as root, or once as root "
                        "\"chmod a+r %.*s*/energy_uj\"",
                        path, (int)(strstr(path, "intel-rapl") - path) + 10, path);
    return cap_fail(err, CAP_UNAVAILABLE, "%s could not be read: %s", path, strerror(error));
}

static bool add_zone(struct rapl *rapl, const char *root, const char *zone, struct cap_err *err)
{
    struct infer_power_device *device = &rapl->base.devices[rapl->base.device_count];
    char name[32], path[PATH_BYTES];
    bool dram;

    if (!read_text(root, zone, "name", name, sizeof name))
        return true;
    dram = strcmp(name, "dram") == 0;
    if ((!dram && strncmp(name, "package-", 8) != 0) || rapl->base.device_count == ZONES_MAX)
        return true;
    snprintf(path, sizeof path, "%s/%s/energy_uj", root, zone);
    rapl->fds[rapl->base.device_count] = open(path, O_RDONLY | O_CLOEXEC);
    if (rapl->fds[rapl->base.device_count] < 0)
        return fail_unreadable(path, errno, err);
    *device =
        (struct infer_power_device){.kind = dram ? INFER_POWER_DRAM : INFER_POWER_CPU,
                                    .range_joules = read_micro(root, zone, "max_energy_range_uj"),
                                    .limit_watts = limit_of(root, zone),
                                    .renew_ms = 1};
    if (dram) /* of package 0: intel-rapl:0:2 */
        snprintf(device->name, sizeof device->name, "dram-%ld",
                 strtol(strchr(zone, ':') + 1, NULL, 10));
    else
        snprintf(device->name, sizeof device->name, "%s", name);
    rapl->base.device_count++;
    return true;
}

/* ---- the source ---- */

static void close_rapl(struct infer_power_source *source)
{
    struct rapl *rapl = (struct rapl *)source;

    for (int i = 0; i < source->device_count; i++)
        close(rapl->fds[i]);
    free(rapl);
}

static int is_zone(const struct dirent *entry)
{
    return strncmp(entry->d_name, "intel-rapl:", 11) == 0;
}

static struct infer_power_source *open_rapl(const struct infer_power_options *options,
                                            struct cap_err *err)
{
    struct rapl *rapl;
    struct dirent **zones = NULL;
    int count;
    bool ok = true;

    if (!*options->rapl) {
        cap_fail(err, CAP_NOT_FOUND, "power_rapl is empty");
        return NULL;
    }
    rapl = calloc(1, sizeof *rapl);
    if (!rapl)
        abort();
    count = scandir(options->rapl, &zones, is_zone, alphasort);
    for (int i = 0; i < count; i++) {
        ok = ok && add_zone(rapl, options->rapl, zones[i]->d_name, err);
        free(zones[i]);
    }
    free(zones);
    if (ok && rapl->base.device_count > 0)
        return &rapl->base;
    close_rapl(&rapl->base);
    if (ok)
        cap_fail(err, CAP_NOT_FOUND,
                 "no RAPL at %s: a virtual machine has none, a container must be given it "
                 "(docs/energy.md)",
                 options->rapl);
    return NULL;
}

static bool read_rapl(struct infer_power_source *source, struct infer_power_value *out_values,
                      struct cap_err *err)
{
    const struct rapl *rapl = (const struct rapl *)source;
    bool ok = true;

    for (int i = 0; i < source->device_count; i++) {
        char text[32] = "", *end;
        ssize_t length = pread(rapl->fds[i], text, sizeof text - 1, 0);
        unsigned long long micro = strtoull(text, &end, 10);
        bool read = length > 0 && end != text;

        out_values[i] = (struct infer_power_value){read ? (double)micro / 1e6 : NAN, NAN};
        if (!read && ok)
            ok = cap_fail(err, CAP_UNAVAILABLE, "energy_uj of %s could not be read",
                          source->devices[i].name);
    }
    return ok;
}

const struct infer_power_source_ops infer_power_rapl = {
    .name = "rapl",
    .kinds = {[INFER_POWER_CPU] = true, [INFER_POWER_DRAM] = true},
    .open = open_rapl,
    .read = read_rapl,
    .close = close_rapl,
};
