/* NVML, the library that comes with NVIDIA's driver: a counter of millijoules and the power of the
 * moment, for each board. It is opened when the node runs on a machine that has it; nothing here
 * needs it to be built. What a board draws is all of it, its memory and all MIG instances included.
 */
#include <assert.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "power/source.h"

/* Of nvml.h, which is not on every machine: numbers and signatures that NVIDIA keeps. */
enum { NVML_OK = 0, NVML_NO_PERMISSION = 4, NVML_TEXT_BYTES = 96 };

/* function, arguments */
#define NVML_FUNCTIONS(X)                                                                          \
    X(nvmlInit_v2, (void))                                                                         \
    X(nvmlShutdown, (void))                                                                        \
    X(nvmlDeviceGetCount_v2, (unsigned *count))                                                    \
    X(nvmlDeviceGetHandleByIndex_v2, (unsigned index, void **device))                              \
    X(nvmlDeviceGetName, (void *device, char *name, unsigned length))                              \
    X(nvmlDeviceGetUUID, (void *device, char *uuid, unsigned length))                              \
    X(nvmlDeviceGetEnforcedPowerLimit, (void *device, unsigned *milliwatts))                       \
    X(nvmlDeviceGetTotalEnergyConsumption, (void *device, unsigned long long *millijoules))        \
    X(nvmlDeviceGetPowerUsage, (void *device, unsigned *milliwatts))

struct nvml {
    struct infer_power_source base;
    void *library;
    void *handles[INFER_POWER_SOURCE_DEVICES_MAX];
    bool initialised;
    const char *(*nvmlErrorString)(int status); /* may be NULL */
#define X(name, arguments) int(*name) arguments;
    NVML_FUNCTIONS(X)
#undef X
};

static void close_nvml(struct infer_power_source *source)
{
    struct nvml *nvml = (struct nvml *)source;

    if (nvml->initialised)
        nvml->nvmlShutdown();
    if (nvml->library)
        dlclose(nvml->library);
    free(nvml);
}

/* A function pointer out of the data pointer that dlsym gives. */
static bool find_function(const struct nvml *nvml, const char *name, void *out_function)
{
    void *found = dlsym(nvml->library, name);

    memcpy(out_function, &found, sizeof found);
    return found != NULL;
}

static bool find_functions(struct nvml *nvml, const char *library, struct cap_err *err)
{
    find_function(nvml, "nvmlErrorString", &nvml->nvmlErrorString);
#define X(name, arguments)                                                                         \
    if (!find_function(nvml, #name, &nvml->name))                                                  \
        return cap_fail(err, CAP_NOT_FOUND, "%s has no %s: its driver is too old", library, #name);
    NVML_FUNCTIONS(X)
#undef X
    return true;
}

static const char *text_of(const struct nvml *nvml, int status)
{
    const char *text = nvml->nvmlErrorString ? nvml->nvmlErrorString(status) : NULL;

    return text ? text : "unknown error";
}

static bool start(struct nvml *nvml, const char *library, struct cap_err *err)
{
    int status;

    if (!*library)
        return cap_fail(err, CAP_NOT_FOUND, "power_nvml is empty");
    nvml->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library)
        return cap_fail(err, CAP_NOT_FOUND,
                        "no %s: there is no NVIDIA driver here, or a container was not given it",
                        library);
    if (!find_functions(nvml, library, err))
        return false;
    status = nvml->nvmlInit_v2();
    nvml->initialised = status == NVML_OK;
    if (status == NVML_NO_PERMISSION)
        return cap_fail(err, CAP_PERMISSION_DENIED,
                        "NVML may not be used by this user: let it read /dev/nvidiactl and "
                        "/dev/nvidia*");
    return nvml->initialised ||
           cap_fail(err, CAP_NOT_FOUND, "NVML did not start: %s", text_of(nvml, status));
}

static void add_board(struct nvml *nvml, unsigned index, const char *gpus)
{
    int at = nvml->base.device_count;
    struct infer_power_device *device = &nvml->base.devices[at];
    char uuid[NVML_TEXT_BYTES] = "";
    unsigned milliwatts = 0;
    void *handle;

    assert(nvml->nvmlDeviceGetHandleByIndex_v2 && nvml->nvmlDeviceGetUUID &&
           nvml->nvmlDeviceGetName && nvml->nvmlDeviceGetEnforcedPowerLimit);
    if (at == INFER_POWER_SOURCE_DEVICES_MAX ||
        nvml->nvmlDeviceGetHandleByIndex_v2(index, &handle) != NVML_OK)
        return;
    nvml->nvmlDeviceGetUUID(handle, uuid, sizeof uuid);
    if (!infer_power_gpu_counts(gpus, (int)index, uuid))
        return;
    *device = (struct infer_power_device){.kind = INFER_POWER_GPU, .renew_ms = 100};
    snprintf(device->name, sizeof device->name, "gpu%u", index);
    nvml->nvmlDeviceGetName(handle, device->model, sizeof device->model);
    if (nvml->nvmlDeviceGetEnforcedPowerLimit(handle, &milliwatts) == NVML_OK)
        device->limit_watts = milliwatts / 1e3;
    nvml->handles[at] = handle;
    nvml->base.device_count++;
}

static struct infer_power_source *open_nvml(const struct infer_power_options *options,
                                            struct cap_err *err)
{
    struct nvml *nvml = calloc(1, sizeof *nvml);
    unsigned count = 0;

    if (!nvml)
        abort();
    if (start(nvml, options->nvml, err)) {
        assert(nvml->nvmlDeviceGetCount_v2);
        if (nvml->nvmlDeviceGetCount_v2(&count) != NVML_OK)
            count = 0;
        for (unsigned i = 0; i < count; i++)
            add_board(nvml, i, options->gpus);
        if (nvml->base.device_count > 0)
            return &nvml->base;
        if (count > 0)
            cap_fail(err, CAP_NOT_FOUND, "none of the %u GPUs is in power_gpus \"%s\"", count,
                     options->gpus);
        else
            cap_fail(err, CAP_NOT_FOUND, "NVML sees no GPU");
    }
    close_nvml(&nvml->base);
    return NULL;
}

static bool read_nvml(struct infer_power_source *source, struct infer_power_value *out_values,
                      struct cap_err *err)
{
    const struct nvml *nvml = (const struct nvml *)source;
    bool ok = true;

    for (int i = 0; i < source->device_count; i++) {
        unsigned long long millijoules;
        unsigned milliwatts;
        int energy = nvml->nvmlDeviceGetTotalEnergyConsumption(nvml->handles[i], &millijoules);
        int power = nvml->nvmlDeviceGetPowerUsage(nvml->handles[i], &milliwatts);

        /* Boards before Volta have no counter, some have no power sensor. */
        out_values[i].joules = energy == NVML_OK ? (double)millijoules / 1e3 : NAN;
        out_values[i].watts = power == NVML_OK ? milliwatts / 1e3 : NAN;
        if (energy != NVML_OK && power != NVML_OK && ok)
            ok = cap_fail(err, CAP_UNAVAILABLE, "NVML could not read %s: %s",
                          source->devices[i].name, text_of(nvml, power));
    }
    return ok;
}

const struct infer_power_source_ops infer_power_nvml = {
    .name = "nvml",
    .kinds = {[INFER_POWER_GPU] = true},
    .open = open_nvml,
    .read = read_nvml,
    .close = close_nvml,
};
