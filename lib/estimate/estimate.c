/* In this order: the model and what it is stored in, the pass, its experts, its costs, the
 * hardware, times and shares of peaks. Figures are computed one by one, so that what is missing for
 * one (a peak, a step time) leaves the others. */
#include "estimate/estimate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/shape.h"
#include "model/stored.h"

static const struct {
    const char *name, *unit, *basis, *text;
} table[CAP_ESTIMATE_COUNT] = {
#define ESTIMATE(id, unit, basis, text) {#id, unit, basis, text},
#include "estimate/figures.def"
#undef ESTIMATE
};

const char *cap_estimate_name(enum cap_estimate_id id)
{
    return table[id].name;
}

const char *cap_estimate_unit(enum cap_estimate_id id)
{
    return table[id].unit;
}

const char *cap_estimate_text(enum cap_estimate_id id)
{
    return table[id].text;
}

/* ---- figures and notes ---- */

static void set_none(struct cap_estimate *e, enum cap_estimate_id id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A step time or a peak that is next to nothing makes figures that no number holds. */
static void set(struct cap_estimate *e, enum cap_estimate_id id, double value)
{
    if (!isfinite(value)) {
        set_none(e, id, "too large for a number: step time or peaks are not what was said");
        return;
    }
    e->figures[id] = (struct cap_estimate_figure){
        .known = true, .value = value, .low = value, .high = value, .basis = table[id].basis};
}

static void set_range(struct cap_estimate *e, enum cap_estimate_id id, double low, double high)
{
    struct cap_estimate_figure *f = &e->figures[id];

    f->low = fmin(low, high);
    f->high = fmax(low, high);
    f->ranged = f->known && isfinite(low) && isfinite(high) && f->low < f->high;
}

static void set_none(struct cap_estimate *e, enum cap_estimate_id id, const char *fmt, ...)
{
    struct cap_estimate_figure *f = &e->figures[id];
    va_list args;

    *f = (struct cap_estimate_figure){.basis = "unavailable"};
    va_start(args, fmt);
    vsnprintf(f->reason, sizeof f->reason, fmt, args);
    va_end(args);
}

static void note(struct cap_estimate *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct cap_estimate *e, const char *fmt, ...)
{
    va_list args;

    if (e->note_count == CAP_ESTIMATE_NOTES_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(e->notes[e->note_count++], CAP_ESTIMATE_TEXT_BYTES, fmt, args);
    va_end(args);
}

/* ---- what is asked for ---- */

static bool check_whole(const char *field, int64_t value, int64_t min, int64_t max,
                        struct cap_err *err)
{
    return (value >= min && value <= max) ||
           cap_fail_field(err, CAP_INVALID_ARGUMENT, field, "%s is %lld, not from %lld to %lld",
                          field, (long long)value, (long long)min, (long long)max);
}

static bool check_positive(const char *field, double value, struct cap_err *err)
{
    return (isfinite(value) && value >= 0) ||
           cap_fail_field(err, CAP_INVALID_ARGUMENT, field, "%s is %g, not a positive number",
                          field, value);
}

/* Names the field of a failure that does not know of requests. */
static bool blame(const char *field, struct cap_err *err)
{
    snprintf(err->field, sizeof err->field, "%s", field);
    return false;
}

static bool check_ask(const struct cap_estimate_ask *ask, struct cap_err *err)
{
    if (!check_whole("batch", ask->batch, 1, CAP_ESTIMATE_BATCH_MAX, err) ||
        !check_whole("context_tokens", ask->context, 1, CAP_ESTIMATE_CONTEXT_MAX, err) ||
        !check_whole("devices", ask->devices, 0, CAP_ESTIMATE_DEVICES_MAX, err) ||
        !check_positive("step_time_s", ask->step_time_s, err) ||
        !check_positive("peak_gb_s", ask->peak_gb_s, err) ||
        !check_positive("peak_tflops", ask->peak_tflops, err))
        return false;
    if (ask->cached != 0 && !ask->prefill)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "cached_tokens",
                              "cached_tokens is of prefill: a decode pass finds all but its own "
                              "token in the cache");
    return check_whole("cached_tokens", ask->cached, 0, ask->context - 1, err);
}

/* ---- the pass ---- */

static int window_of(const struct cap_model *model)
{
    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].attention.window > 0)
            return model->layers[i].attention.window;
    return 0;
}

static struct cap_cost_pass pass_of(const struct cap_estimate_ask *ask,
                                    const struct cap_model *model)
{
    int64_t fresh = ask->prefill ? ask->context - ask->cached : 1, first = ask->context - fresh + 1;
    int64_t window = window_of(model) ? window_of(model) : ask->context;
    int64_t seen = window - 1 + fresh; /* a windowed layer reads what any of the tokens sees */

    return (struct cap_cost_pass){
        .tokens = ask->batch * fresh,
        .sequences = ask->batch,
        .logits_tokens = ask->batch,
        .context_sum = ask->batch * ask->context,
        .context_sum_windowed = ask->batch * (seen < ask->context ? seen : ask->context),
        .attended_sum = (double)ask->batch * cap_cost_attended(first, ask->context, ask->context),
        .attended_sum_windowed =
            (double)ask->batch * cap_cost_attended(first, ask->context, window),
        .absorbed = ask->absorbed,
    };
}

/* ---- what numbers are kept in ---- */

static bool find_precision(const char *field, const char *word, enum cap_precision *out,
                           struct cap_err *err)
{
    *out = cap_precision_find(word);
    return *out != CAP_PRECISION_COUNT ||
           cap_fail_field(err, CAP_INVALID_ARGUMENT, field,
                          "%s \"%.60s\" is not known: f32, f16, bf16, int8, int4, fp8, fp4, mxfp4 "
                          "or nvfp4",
                          field, word);
}

static bool is_given(const char *text)
{
    return text && *text;
}

/* What was said counts for all matrices; what was not is as the checkpoint says. */
static bool read_format(const struct cap_estimate_ask *ask, const struct cap_model *model,
                        struct cap_cost_pass *io, struct cap_estimate *e, struct cap_err *err)
{
    enum cap_precision weights, cache = CAP_PRECISION_BF16;
    struct cap_stored stored;
    bool given = is_given(ask->precision);

    if (given) {
        if (!find_precision("precision", ask->precision, &weights, err))
            return false;
        io->format = cap_cost_format_plain(weights);
        note(e, "every matrix is counted in %s%s, as asked for", cap_precision_name(weights),
             io->format.scales.columns ? " with its scales" : ", without scales");
    } else {
        if (!cap_stored_read(ask->config, model, &stored, err))
            return blame("precision", err);
        weights = stored.weights;
        cache = stored.cache;
        io->format = stored.format;
        note(e, "%s", stored.note);
    }
    if (is_given(ask->cache_precision) &&
        !find_precision("cache_precision", ask->cache_precision, &cache, err))
        return false;
    io->kv_element_bytes =
        (double)cap_cost_matrix_bytes(cache, &(struct cap_cost_scales){.columns = 0}, 1, 1000) /
        1000;
    e->precision = cap_precision_name(weights);
    e->cache_precision = cap_precision_name(cache);
    return true;
}

/* ---- how many experts ---- */

/* The least and the most distinct experts that a pass of so many tokens can choose. */
struct range {
    double low, high;
};

static struct range possible_experts(const struct cap_estimate *e)
{
    return (struct range){e->top_k, fmin(e->experts, (double)e->top_k * (double)e->tokens)};
}

static bool read_experts(const struct cap_estimate_ask *ask, struct cap_cost_pass *io,
                         struct cap_estimate *e, struct cap_err *err)
{
    struct range r = possible_experts(e);

    if (e->moe_layers == 0) {
        set_none(e, CAP_ESTIMATE_activated_experts, "the model has no layers with experts");
        return true;
    }
    if (ask->activated < 0) {
        io->distinct_mean = cap_cost_uniform_experts(e->experts, e->top_k, (double)e->tokens);
        set(e, CAP_ESTIMATE_activated_experts, io->distinct_mean);
        set_range(e, CAP_ESTIMATE_activated_experts, r.low, r.high);
        note(e,
             "activated experts are not given: %.4g of %d is what uniform choices would wake, "
             "E (1 - (1 - k/E)^T); real routers wake fewer",
             io->distinct_mean, e->experts);
        if (r.low < r.high)
            note(e,
                 "ranges are from %g to %g activated experts, the fewest and the most that can "
                 "be",
                 r.low, r.high);
        return true;
    }
    if (!(ask->activated >= r.low && ask->activated <= r.high))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "activated",
                              "%g activated experts cannot be: %lld tokens that choose %d of %d "
                              "each wake from %g to %g",
                              ask->activated, (long long)e->tokens, e->top_k, e->experts, r.low,
                              r.high);
    io->distinct_mean = ask->activated;
    set(e, CAP_ESTIMATE_activated_experts, ask->activated);
    e->figures[CAP_ESTIMATE_activated_experts].basis = "declared";
    return true;
}

/* ---- costs ---- */

static double sum_of(const double *items)
{
    double sum = 0;

    for (int i = 0; i < CAP_PART_COUNT; i++)
        sum += items[i];
    return sum;
}

static double bytes_at(const struct cap_model *model, struct cap_cost_pass pass, double distinct)
{
    struct cap_cost_parts parts;

    pass.distinct_mean = distinct;
    cap_cost_by_part(model, &pass, &parts);
    return sum_of(parts.bytes);
}

static void count(const struct cap_model *model, const struct cap_cost_pass *pass,
                  const struct cap_estimate_ask *ask, struct cap_estimate *e)
{
    struct range r = possible_experts(e);
    double batch = (double)ask->batch;
    double kv_bytes = (double)cap_cost_kv_bytes_per_token(model, 1) * pass->kv_element_bytes;

    cap_cost_by_part(model, pass, &e->parts);
    set(e, CAP_ESTIMATE_bytes, sum_of(e->parts.bytes));
    set(e, CAP_ESTIMATE_flops, sum_of(e->parts.flops));
    if (e->figures[CAP_ESTIMATE_activated_experts].ranged)
        set_range(e, CAP_ESTIMATE_bytes, bytes_at(model, *pass, r.low),
                  bytes_at(model, *pass, r.high));
    set(e, CAP_ESTIMATE_weights_bytes, cap_cost_stored_bytes(model, &pass->format));
    set(e, CAP_ESTIMATE_cache_bytes,
        batch * ((double)ask->context * kv_bytes + (double)cap_cost_state_bytes(model)));
}

/* ---- hardware ---- */

static bool read_hardware(const struct cap_estimate_ask *ask, struct cap_estimate *e,
                          struct cap_err *err)
{
    struct cap_hardware found = {NULL, 1};

    if (is_given(ask->hardware) && !cap_hardware_find(ask->hardware, 0, &found, err))
        return blame("hardware", err);
    e->device = found.device;
    e->devices = ask->devices ? ask->devices : found.count;
    return true;
}

static void read_peaks(const struct cap_estimate_ask *ask, struct cap_estimate *e, char *out_why,
                       size_t room)
{
    double bandwidth = ask->peak_gb_s, tflops = ask->peak_tflops;
    struct cap_err why = {0};
    struct cap_peak peak;

    e->compute = "";
    snprintf(out_why, room, "no hardware was named");
    if (bandwidth == 0 && e->device)
        bandwidth = e->device->bandwidth_gb_s;
    if (tflops == 0 && e->device) {
        if (cap_hardware_peak(e->device, e->precision, &peak, &why)) {
            tflops = peak.tflops;
            e->compute = cap_compute_word(peak.compute);
        } else {
            snprintf(out_why, room, "%.*s", (int)room - 1, why.text);
        }
    }
    e->bandwidth_gb_s = bandwidth * (double)e->devices;
    e->tflops = tflops * (double)e->devices;
    if (e->device && e->device->kind == CAP_DEVICE_CPU)
        note(e,
             "of a CPU, what fits in its last-level cache is not read from memory: the bytes are "
             "an upper bound");
    if (e->devices > 1)
        note(e,
             "weights and cache are shared out to %lld devices; copies of the cache and the "
             "traffic between devices are not counted",
             (long long)e->devices);
}

/* ---- times ---- */

static void set_scaled(struct cap_estimate *e, enum cap_estimate_id id, enum cap_estimate_id of,
                       double factor)
{
    const struct cap_estimate_figure *f = &e->figures[of];

    set(e, id, f->value * factor);
    set_range(e, id, f->low * factor, f->high * factor);
}

static void set_floor(struct cap_estimate *e)
{
    const struct cap_estimate_figure *m = &e->figures[CAP_ESTIMATE_memory_ms];
    const struct cap_estimate_figure *c = &e->figures[CAP_ESTIMATE_compute_ms];
    double per_s = 1e3 * (double)e->tokens;

    e->bound = "";
    if (!m->known || !c->known) {
        set_none(e, CAP_ESTIMATE_floor_ms, "%s", (m->known ? c : m)->reason);
        set_none(e, CAP_ESTIMATE_floor_tokens_per_s, "%s", (m->known ? c : m)->reason);
        return;
    }
    e->bound = m->value >= c->value ? "memory" : "compute";
    set(e, CAP_ESTIMATE_floor_ms, fmax(m->value, c->value));
    set_range(e, CAP_ESTIMATE_floor_ms, fmax(m->low, c->value), fmax(m->high, c->value));
    set(e, CAP_ESTIMATE_floor_tokens_per_s, per_s / fmax(m->value, c->value));
    set_range(e, CAP_ESTIMATE_floor_tokens_per_s, per_s / fmax(m->high, c->value),
              per_s / fmax(m->low, c->value));
}

static void check_possible(struct cap_estimate *e, enum cap_estimate_id id, const char *what)
{
    struct cap_estimate_figure *f = &e->figures[id];

    if (!f->known || f->value <= 1)
        return;
    f->invalid = true;
    snprintf(f->reason, sizeof f->reason,
             "above 1: so many %s cannot be in this step time; one of step time, experts, "
             "precision and hardware is not what was said",
             what);
}

/* Bytes (GB/s) and operations (TFLOP/s) differ in their peaks only. `left_out` is what a share of
 * the layers alone does not have. */
static const struct side {
    enum cap_estimate_id of, time, share, layers;
    const char *what;
    enum cap_part left_out[4];
    size_t left_out_count;
} sides[] = {
    {CAP_ESTIMATE_bytes,
     CAP_ESTIMATE_memory_ms,
     CAP_ESTIMATE_smbu,
     CAP_ESTIMATE_smbu_layers,
     "bytes",
     {CAP_PART_norms, CAP_PART_head, CAP_PART_kv_write},
     3},
    {CAP_ESTIMATE_flops,
     CAP_ESTIMATE_compute_ms,
     CAP_ESTIMATE_smfu,
     CAP_ESTIMATE_smfu_layers,
     "operations",
     {CAP_PART_norms, CAP_PART_head},
     2},
};

static void set_share(struct cap_estimate *e, const struct side *side, double possible)
{
    const double *parts = side->of == CAP_ESTIMATE_bytes ? e->parts.bytes : e->parts.flops;
    double left_out = 0;

    for (size_t i = 0; i < side->left_out_count; i++)
        left_out += parts[side->left_out[i]];
    set_scaled(e, side->share, side->of, 1 / possible);
    if (!e->figures[side->share].known) {
        e->figures[side->layers] = e->figures[side->share];
        return;
    }
    set(e, side->layers, e->figures[side->share].value - left_out / possible);
    set_range(e, side->layers, e->figures[side->share].low - left_out / possible,
              e->figures[side->share].high - left_out / possible);
    check_possible(e, side->share, side->what);
    check_possible(e, side->layers, side->what);
}

static void set_side(struct cap_estimate *e, const struct side *side, double peak, double step_s,
                     const char *why)
{
    const char *why_no_share = peak > 0 ? "no step time was given" : why;

    if (peak > 0)
        set_scaled(e, side->time, side->of, 1e3 / peak);
    else
        set_none(e, side->time, "%s", why);
    if (peak > 0 && step_s > 0) {
        set_share(e, side, step_s * peak);
        return;
    }
    set_none(e, side->share, "%s", why_no_share);
    set_none(e, side->layers, "%s", why_no_share);
}

static void set_times(const struct cap_estimate_ask *ask, struct cap_estimate *e)
{
    const char *no_bandwidth =
        e->device ? "the device's bandwidth is not known" : "no hardware was named";
    char no_peak[CAP_ESTIMATE_TEXT_BYTES];

    read_peaks(ask, e, no_peak, sizeof no_peak);
    set(e, CAP_ESTIMATE_intensity,
        e->figures[CAP_ESTIMATE_flops].value / e->figures[CAP_ESTIMATE_bytes].value);
    set_side(e, &sides[0], e->bandwidth_gb_s * 1e9, ask->step_time_s, no_bandwidth);
    set_side(e, &sides[1], e->tflops * 1e12, ask->step_time_s, no_peak);
    set_floor(e);
    if (ask->step_time_s > 0)
        set(e, CAP_ESTIMATE_tokens_per_s, (double)e->tokens / ask->step_time_s);
    else
        set_none(e, CAP_ESTIMATE_tokens_per_s, "no step time was given");
}

static void check_memory(struct cap_estimate *e)
{
    double need =
        e->figures[CAP_ESTIMATE_weights_bytes].value + e->figures[CAP_ESTIMATE_cache_bytes].value;
    double have;

    if (!e->device || e->device->memory_gb <= 0)
        return;
    have = e->device->memory_gb * 1e9 * (double)e->devices;
    if (need > have)
        note(e,
             "weights and cache need %.4g GB and %lld x %s have %.4g: without offloading the model "
             "does not fit",
             need / 1e9, (long long)e->devices, e->device->name, have / 1e9);
}

/* ---- the whole ---- */

static void describe(const struct cap_model *model, struct cap_estimate *e)
{
    struct cap_cost_parameters p;

    cap_cost_parameters(model, &p);
    snprintf(e->family, sizeof e->family, "%s", model->family);
    e->layers = model->layer_count;
    e->moe_layers = cap_model_moe_layers(model);
    e->experts = cap_model_experts(model);
    e->top_k = cap_model_top_k(model);
    e->parameters = p.total;
    e->active_parameters = p.active;
}

bool cap_estimate_make(const struct cap_estimate_ask *ask, struct cap_estimate *out,
                       struct cap_err *err)
{
    struct cap_estimate e = {.note_count = 0};
    CAP_AUTO(cap_model) model = NULL;
    struct cap_cost_pass pass;

    if (!check_ask(ask, err))
        return false;
    if (!(model = cap_shape_model(ask->config, err)))
        return blame("model_config", err);
    describe(model, &e);
    pass = pass_of(ask, model);
    e.tokens = pass.tokens;
    if (!read_format(ask, model, &pass, &e, err) || !read_experts(ask, &pass, &e, err) ||
        !read_hardware(ask, &e, err))
        return false;
    count(model, &pass, ask, &e);
    set_times(ask, &e);
    check_memory(&e);
    if (model->context_max > 0 && ask->context > model->context_max)
        note(&e, "the context is longer than the %d tokens that config.json allows",
             model->context_max);
    *out = e;
    return true;
}
