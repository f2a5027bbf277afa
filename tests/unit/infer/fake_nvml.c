/* A library that answers as libnvidia-ml.so.1 does, with what a test told it: test_power.c opens it
 * by its path and finds fake_nvml in it. */
#include <stdio.h>

#include "fake_nvml.h"

struct fake_nvml fake_nvml;

static int numbers[FAKE_NVML_BOARDS_MAX];

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetName(void *device, char *name, unsigned length);
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length);
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *milliwatts);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules);
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts);
const char *nvmlErrorString(int status);

int nvmlInit_v2(void)
{
    fake_nvml.started++;
    return fake_nvml.init_status;
}

int nvmlShutdown(void)
{
    fake_nvml.ended++;
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = fake_nvml.boards;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    numbers[index] = (int)index;
    *device = &numbers[index];
    return 0;
}

int nvmlDeviceGetName(void *device, char *name, unsigned length)
{
    (void)device;
    snprintf(name, length, "NVIDIA H200");
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length)
{
    snprintf(uuid, length, "GPU-%d", *(int *)device);
    return 0;
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *milliwatts)
{
    (void)device;
    *milliwatts = 700000;
    return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules)
{
    *millijoules = fake_nvml.millijoules[*(int *)device];
    return fake_nvml.energy_status;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts)
{
    *milliwatts = fake_nvml.milliwatts[*(int *)device];
    return fake_nvml.power_status;
}

const char *nvmlErrorString(int status)
{
    return status == 9 ? "Driver Not Loaded" : "Some Error";
}
