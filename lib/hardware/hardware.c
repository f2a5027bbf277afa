/* The table of devices, and which of its peaks bounds weights of a given format.
 *
 * A format is how weights are kept; what they are multiplied in is another matter. Each row of
 * `paths` names, for one format, what a device would compute it in, the best first: the first that
 * the device has is its bound. Never a narrower one, and never an unrelated one: a card of which
 * only the FP4 peak is known has no known peak for bf16. */
#include "hardware/hardware.h"

#include <string.h>

#include "base/auto.h"
#include "words/words.h"

#define X 0
#define PEAKS(...)                                                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define DEVICE(name, vendor, kind, words, forms, memory, bandwidth, link, peaks, board, price,     \
               source, date)                                                                       \
    {name,   vendor,    CAP_DEVICE_##kind,                                                         \
     X,      words,     forms,                                                                     \
     memory, bandwidth, link,                                                                      \
     peaks,  board,     price,                                                                     \
     source, date},
#define PROCESSOR(name, vendor, words, cores, bandwidth, peaks, board, price, source, date)        \
    {name,      vendor, CAP_DEVICE_CPU, cores, words, "",     X,                                   \
     bandwidth, X,      peaks,          board, price, source, date},
static const struct cap_device devices[] = {
#include "hardware/hardware.def"
};
#undef DEVICE
#undef PROCESSOR
#undef PEAKS
#undef X

const struct cap_device *cap_hardware_devices(size_t *out_count)
{
    *out_count = CAP_COUNT_OF(devices);
    return devices;
}

const char *cap_device_kind_word(enum cap_device_kind kind)
{
    static const char *const words[] = {"gpu", "cpu", "system"};

    return words[kind];
}

const char *cap_compute_word(enum cap_compute compute)
{
    static const char *const words[CAP_COMPUTE_COUNT] = {"f32", "tf32", "f16",  "bf16",
                                                         "fp8", "fp4",  "int8", "int4"};

    return words[compute];
}

enum { PATHS_MAX = 4, NONE = -1 };

static const struct {
    const char *format;
    int computed_in[PATHS_MAX];
} paths[] = {
    {"f32", {CAP_COMPUTE_F32, NONE}},
    {"tf32", {CAP_COMPUTE_TF32, NONE}},
    {"f16", {CAP_COMPUTE_F16, NONE}},
    {"bf16", {CAP_COMPUTE_BF16, NONE}},
    {"fp8", {CAP_COMPUTE_FP8, CAP_COMPUTE_BF16, NONE}},
    {"int8", {CAP_COMPUTE_INT8, CAP_COMPUTE_BF16, NONE}},
    {"fp4", {CAP_COMPUTE_FP4, CAP_COMPUTE_BF16, NONE}},
    {"mxfp4", {CAP_COMPUTE_FP4, CAP_COMPUTE_BF16, NONE}},
    {"nvfp4", {CAP_COMPUTE_FP4, CAP_COMPUTE_BF16, NONE}},
    {"int4", {CAP_COMPUTE_BF16, NONE}},
    {"awq", {CAP_COMPUTE_F16, NONE}},
    {"gptq", {CAP_COMPUTE_F16, NONE}},
};

bool cap_hardware_peak(const struct cap_device *device, const char *precision, struct cap_peak *out,
                       struct cap_err *why)
{
    const char *word = cap_precision_from(precision);
    const int *computed_in = NULL;
    int compute;

    if (*precision == '\0')
        return cap_fail(why, CAP_NOT_FOUND, "the precision is not declared; --precision says it");
    if (!word)
        word = precision;
    for (size_t i = 0; i < CAP_COUNT_OF(paths); i++)
        if (strcmp(paths[i].format, word) == 0)
            computed_in = paths[i].computed_in;
    if (!computed_in)
        return cap_fail(why, CAP_NOT_FOUND,
                        "what weights in \"%.64s\" are computed in is not known", precision);
    while (*computed_in != NONE && device->tflops[*computed_in] <= 0)
        computed_in++;
    /* a processor unpacks to f32 what it cannot multiply */
    compute =
        *computed_in == NONE && device->kind == CAP_DEVICE_CPU ? CAP_COMPUTE_F32 : *computed_in;
    if (compute == NONE || device->tflops[compute] <= 0)
        return cap_fail(why, CAP_NOT_FOUND, "the peak of %s for %s is not known", device->name,
                        word);
    *out = (struct cap_peak){(enum cap_compute)compute, device->tflops[compute]};
    return true;
}
