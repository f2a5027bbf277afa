/* estimate.h — what one forward pass of a model costs, and what hardware makes of it at best.
 *
 * A config.json, a batch and a context give bytes and operations by part (lib/model/cost.h). With a
 * device (lib/hardware) they give the time below which no pass can come: the longer of the time
 * that its bytes and that its operations take. With a step time they give S-MBU and S-MFU.
 *
 * How many distinct experts a pass reads is not known without running it. Unless the caller says
 * it, choices are taken as uniform, and what rests on them has a range: from top-k, all tokens
 * choosing the same, to min(E, k * tokens).
 *
 *     struct cap_estimate_ask ask = {.config = json, .hardware = "8x H100-SXM", .batch = 32,
 *                                    .context = 1024, .activated = -1};
 *     struct cap_estimate estimate;
 *     if (cap_estimate_make(&ask, &estimate, err)) ...
 *
 * Pure; any thread.
 */
#ifndef CAP_ESTIMATE_H
#define CAP_ESTIMATE_H

#include <jansson.h>

#include "hardware/hardware.h"
#include "model/cost.h"

enum {
    CAP_ESTIMATE_BATCH_MAX = 1 << 20,
    CAP_ESTIMATE_CONTEXT_MAX = 1 << 28,
    CAP_ESTIMATE_DEVICES_MAX = CAP_HARDWARE_COUNT_MAX,
    CAP_ESTIMATE_NOTES_MAX = 8,
    CAP_ESTIMATE_TEXT_BYTES = 256,
};

struct cap_estimate_ask {
    const json_t *config; /* the whole config.json */
    const char *hardware; /* "" or NULL: none, and no times */
    int64_t batch;        /* sequences of the pass */
    int64_t context;      /* of each, after the pass */
    int64_t cached;       /* prefill: of each, what the cache has already */
    double activated;     /* distinct experts of each MoE layer; below 0: not known */
    double step_time_s;   /* 0: not known */
    const char *precision, *cache_precision; /* "" or NULL: as the checkpoint is stored */
    int64_t devices; /* that share the model (tensor parallel); 0: as many as `hardware` says */
    bool prefill;
    bool absorbed;                 /* latent attention with its projections absorbed */
    double peak_gb_s, peak_tflops; /* of one device, instead of the table's; 0: the table's */
};

enum cap_estimate_id {
#define ESTIMATE(id, unit, basis, text) CAP_ESTIMATE_##id,
#include "estimate/figures.def"
#undef ESTIMATE
    CAP_ESTIMATE_COUNT
};

struct cap_estimate_figure {
    bool known, ranged, invalid;
    double value, low, high;
    const char *basis;                    /* "unavailable" when it is not known */
    char reason[CAP_ESTIMATE_TEXT_BYTES]; /* why it is not known, or invalid */
};

const char *cap_estimate_name(enum cap_estimate_id id);
const char *cap_estimate_unit(enum cap_estimate_id id);
const char *cap_estimate_text(enum cap_estimate_id id);

struct cap_estimate {
    char family[64];
    int layers, moe_layers, experts, top_k;
    int64_t parameters, active_parameters;
    int64_t tokens; /* of the pass */
    const char *precision, *cache_precision;
    const struct cap_device *device; /* NULL: none was named */
    int64_t devices;
    double bandwidth_gb_s, tflops; /* of all of them; 0 = not known */
    const char *compute;           /* what the peak is of, "" = not known */
    const char *bound;             /* "memory", "compute"; "" = not known */
    struct cap_cost_parts parts;
    struct cap_estimate_figure figures[CAP_ESTIMATE_COUNT];
    char notes[CAP_ESTIMATE_NOTES_MAX][CAP_ESTIMATE_TEXT_BYTES]; /* what a reader must know */
    int note_count;
};

/* Fails when something cannot be, with err->field the name of the field of EstimateRequest. */
bool cap_estimate_make(const struct cap_estimate_ask *ask, struct cap_estimate *out,
                       struct cap_err *err);

#endif
