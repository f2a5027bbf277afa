/* hardware.h — what a device can do at best, found by whatever people and drivers call it.
 *
 * The table is hardware.def, one row a device, with its sources. Peaks are dense and of one device.
 * A number that nobody knows is 0 in a row: ask for it through the functions below, which say so.
 *
 *     struct cap_hardware found;
 *     if (cap_hardware_find("8x H100-SXM", 0, &found, err))        // 8 of H100-SXM-80GB
 *         if (cap_hardware_peak(found.device, "mxfp4", &peak))     // computed in bf16: 989.5
 *             flops_max = found.count * peak.tflops * 1e12;
 *
 * Immutable; any thread.
 */
#ifndef CAP_HARDWARE_H
#define CAP_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum cap_device_kind { CAP_DEVICE_GPU, CAP_DEVICE_CPU, CAP_DEVICE_SYSTEM };

/* What a device multiplies in. */
enum cap_compute {
    CAP_COMPUTE_F32,
    CAP_COMPUTE_TF32,
    CAP_COMPUTE_F16,
    CAP_COMPUTE_BF16,
    CAP_COMPUTE_FP8,
    CAP_COMPUTE_FP4,
    CAP_COMPUTE_INT8,
    CAP_COMPUTE_INT4,
    CAP_COMPUTE_COUNT
};

struct cap_device {
    const char *name, *vendor;
    enum cap_device_kind kind;
    unsigned cores;            /* of a processor; a machine with fewer has a part of one */
    const char *words, *forms; /* how a text means it: identify.c */
    double memory_gb, bandwidth_gb_s, link_gb_s; /* 0 = not known, as in all that follow */
    double tflops[CAP_COMPUTE_COUNT];            /* or TOPS; dense */
    double board_w, price_usd;
    const char *source, *date;
};

const struct cap_device *cap_hardware_devices(size_t *out_count);
const char *cap_device_kind_word(enum cap_device_kind kind); /* "gpu" */
const char *cap_compute_word(enum cap_compute compute);      /* "bf16" */

struct cap_hardware {
    const struct cap_device *device;
    unsigned count; /* as the text says, at most CAP_HARDWARE_COUNT_MAX; 1 when it does not: */
    bool counted;
};

enum { CAP_HARDWARE_COUNT_MAX = 4096, CAP_HARDWARE_TEXT_MAX = 512 };

/* Finds the device that a text means: "NVIDIA H100 80GB HBM3", "H100-SXM", "8x H100 PCIe", what
 * lspci and /proc/cpuinfo say. `memory_gb` helps where the text has none; 0 = not known. Never a
 * guess: what may be two devices, or is none, fails with CAP_NOT_FOUND and the nearest names. */
bool cap_hardware_find(const char *text, double memory_gb, struct cap_hardware *out,
                       struct cap_err *err);

struct cap_peak {
    enum cap_compute compute; /* that the weights are multiplied in */
    double tflops;            /* of one device */
};

/* The peak for weights kept in `precision` (a word or spelling of words/precisions.def, or "tf32",
 * "awq", "gptq"). Weights in a format that the device has no path for are computed in the next
 * wider one: mxfp4 on H100 in bf16; int4 weights, which engines unpack, always in 16 bits. False:
 * the peak is not known, and `why` says so. */
bool cap_hardware_peak(const struct cap_device *device, const char *precision, struct cap_peak *out,
                       struct cap_err *why);

#endif
