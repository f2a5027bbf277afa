/* fake_nvml.h — what the fake library answers. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

enum { FAKE_NVML_BOARDS_MAX = 4 };

struct fake_nvml {
    int init_status, energy_status, power_status;
    unsigned boards;
    unsigned long long millijoules[FAKE_NVML_BOARDS_MAX];
    unsigned milliwatts[FAKE_NVML_BOARDS_MAX];
    int started, ended;
};

extern struct fake_nvml fake_nvml;

#endif
