/* From the request to plain arguments, from the estimate to the reply. */
#include "estimate/message.h"

#include <string.h>

#include "base/auto.h"
#include "base/python_json.h"
#include "estimate/estimate.h"

enum { CONFIG_BYTES_MAX = 4 << 20 };

/* ---- in ---- */

static json_t *read_config(const char *text, struct cap_err *err)
{
    size_t length = strlen(text);
    CAP_AUTO_MEM char *strict = NULL;
    json_error_t where;
    json_t *json;

    if (length == 0 || length > CONFIG_BYTES_MAX) {
        cap_fail_field(err, CAP_INVALID_ARGUMENT, "model_config",
                       length ? "the config.json is larger than 4 MiB"
                              : "no config.json was given");
        return NULL;
    }
    strict = cap_python_json(text, length, &length);
    json = json_loadb(strict, length, 0, &where);
    if (json && json_is_object(json))
        return json;
    if (json)
        cap_fail_field(err, CAP_INVALID_ARGUMENT, "model_config",
                       "the config.json is not a JSON object");
    else
        cap_fail_field(err, CAP_INVALID_ARGUMENT, "model_config",
                       "the config.json is not JSON: line %d: %.120s", where.line, where.text);
    json_decref(json);
    return NULL;
}

static bool check_phase(Moecap__V1__Phase phase, struct cap_err *err)
{
    return phase == MOECAP__V1__PHASE__PHASE_UNSPECIFIED ||
           phase == MOECAP__V1__PHASE__PHASE_PREFILL || phase == MOECAP__V1__PHASE__PHASE_DECODE ||
           cap_fail_field(err, CAP_INVALID_ARGUMENT, "phase",
                          "phase is neither prefill nor decode");
}

static bool read_request(const Moecap__V1__EstimateRequest *r, const json_t *config,
                         struct cap_estimate_ask *out, struct cap_err *err)
{
    bool has_activated =
        r->opt_activated_case == MOECAP__V1__ESTIMATE_REQUEST__OPT_ACTIVATED_ACTIVATED;
    bool has_time =
        r->opt_step_time_case == MOECAP__V1__ESTIMATE_REQUEST__OPT_STEP_TIME_STEP_TIME_S;

    if (!check_phase(r->phase, err))
        return false;
    if (has_activated && !(r->activated > 0))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "activated",
                              "activated is %g, not a positive number", r->activated);
    if (has_time && !(r->step_time_s > 0))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "step_time_s",
                              "step_time_s is %g, not a positive number", r->step_time_s);
    *out = (struct cap_estimate_ask){
        .config = config,
        .hardware = r->hardware,
        .batch = r->batch ? r->batch : 1,
        .context = r->context_tokens > INT64_MAX ? -1 : (int64_t)r->context_tokens,
        .cached = r->cached_tokens > INT64_MAX ? -1 : (int64_t)r->cached_tokens,
        .activated = has_activated ? r->activated : -1,
        .step_time_s = has_time ? r->step_time_s : 0,
        .precision = r->precision,
        .cache_precision = r->cache_precision,
        .devices = r->devices,
        .prefill = r->phase == MOECAP__V1__PHASE__PHASE_PREFILL,
        .absorbed = r->absorbed,
        .peak_gb_s = r->peak_gb_s,
        .peak_tflops = r->peak_tflops};
    return true;
}

/* ---- out ---- */

static bool add_parts(const struct cap_estimate *e, struct cap_arena *arena,
                      Moecap__V1__EstimateReply *out)
{
    Moecap__V1__EstimatePart *items = cap_arena_array(arena, CAP_PART_COUNT, sizeof *items);

    out->parts = cap_arena_array(arena, CAP_PART_COUNT, sizeof *out->parts);
    if (!items || !out->parts)
        return false;
    for (int i = 0; i < CAP_PART_COUNT; i++) {
        moecap__v1__estimate_part__init(&items[i]);
        items[i].id = (char *)cap_part_name((enum cap_part)i);
        items[i].text = (char *)cap_part_text((enum cap_part)i);
        items[i].bytes = e->parts.bytes[i];
        items[i].flops = e->parts.flops[i];
        out->parts[out->n_parts++] = &items[i];
    }
    return true;
}

static bool fill_figure(const struct cap_estimate *e, enum cap_estimate_id id,
                        struct cap_arena *arena, Moecap__V1__Figure *out)
{
    const struct cap_estimate_figure *f = &e->figures[id];

    moecap__v1__figure__init(out);
    out->id = (char *)cap_estimate_name(id);
    out->unit = (char *)cap_estimate_unit(id);
    out->basis = (char *)f->basis;
    out->reason = cap_arena_strdup(arena, f->reason);
    out->invalid = f->invalid;
    if (f->known) {
        out->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
        out->value = f->value;
    }
    if (f->known && f->ranged) {
        out->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
        out->low = f->low;
        out->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
        out->high = f->high;
    }
    return out->reason != NULL;
}

static bool add_figures(const struct cap_estimate *e, struct cap_arena *arena,
                        Moecap__V1__EstimateReply *out)
{
    Moecap__V1__Figure *items = cap_arena_array(arena, CAP_ESTIMATE_COUNT, sizeof *items);

    out->figures = cap_arena_array(arena, CAP_ESTIMATE_COUNT, sizeof *out->figures);
    if (!items || !out->figures)
        return false;
    for (int i = 0; i < CAP_ESTIMATE_COUNT; i++) {
        if (!fill_figure(e, (enum cap_estimate_id)i, arena, &items[i]))
            return false;
        out->figures[out->n_figures++] = &items[i];
    }
    return true;
}

static bool add_notes(const struct cap_estimate *e, struct cap_arena *arena,
                      Moecap__V1__EstimateReply *out)
{
    out->notes = cap_arena_array(arena, CAP_ESTIMATE_NOTES_MAX, sizeof *out->notes);
    if (!out->notes)
        return false;
    for (int i = 0; i < e->note_count; i++)
        if (!(out->notes[out->n_notes++] = cap_arena_strdup(arena, e->notes[i])))
            return false;
    return true;
}

static void fill_peaks(const struct cap_estimate *e, Moecap__V1__EstimateReply *out)
{
    if (e->bandwidth_gb_s > 0) {
        out->opt_bandwidth_case = MOECAP__V1__ESTIMATE_REPLY__OPT_BANDWIDTH_BANDWIDTH_GB_S;
        out->bandwidth_gb_s = e->bandwidth_gb_s;
    }
    if (e->tflops > 0) {
        out->opt_tflops_case = MOECAP__V1__ESTIMATE_REPLY__OPT_TFLOPS_TFLOPS;
        out->tflops = e->tflops;
    }
}

static bool fill_reply(const struct cap_estimate *e, struct cap_arena *arena,
                       Moecap__V1__EstimateReply *out)
{
    out->family = cap_arena_strdup(arena, e->family);
    out->layers = (uint32_t)e->layers;
    out->moe_layers = (uint32_t)e->moe_layers;
    out->experts = (uint32_t)e->experts;
    out->top_k = (uint32_t)e->top_k;
    out->parameters = (uint64_t)e->parameters;
    out->active_parameters = (uint64_t)e->active_parameters;
    out->precision = (char *)e->precision;
    out->cache_precision = (char *)e->cache_precision;
    out->device = (char *)(e->device ? e->device->name : "");
    out->source = (char *)(e->device ? e->device->source : "");
    out->devices = (uint32_t)e->devices;
    fill_peaks(e, out);
    out->compute = (char *)e->compute;
    out->bound = (char *)e->bound;
    out->tokens = (uint64_t)e->tokens;
    return out->family && add_parts(e, arena, out) && add_figures(e, arena, out) &&
           add_notes(e, arena, out);
}

bool cap_estimate_answer(const Moecap__V1__EstimateRequest *request, struct cap_arena *arena,
                         Moecap__V1__EstimateReply *out, struct cap_err *err)
{
    json_t *config = read_config(request->model_config, err);
    struct cap_estimate_ask ask;
    struct cap_estimate estimate;
    bool ok = config && read_request(request, config, &ask, err) &&
              cap_estimate_make(&ask, &estimate, err);

    json_decref(config);
    if (!ok)
        return false;
    return fill_reply(&estimate, arena, out) ||
           cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the reply needs more memory than it may use");
}
