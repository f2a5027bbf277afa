/* estimate: what a pass of a model costs, without running it. Needs no suite: lib/estimate answers
 * here what the evaluator answers to the page. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/file.h"
#include "cmd.h"
#include "estimate/message.h"
#include "out.h"

struct cli_estimate_options cli_estimate_options;

enum { CONFIG_BYTES_MAX = 4 << 20, ARENA_BYTES_MAX = 16 << 20 };

/* ---- in ---- */

/* DIR, or a config.json itself. */
static char *read_config(const char *path, struct cap_err *err)
{
    char inside[PATH_MAX];
    struct stat what;
    size_t length;

    if (stat(path, &what) == 0 && S_ISDIR(what.st_mode)) {
        if (snprintf(inside, sizeof inside, "%s/config.json", path) >= (int)sizeof inside) {
            cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", path);
            return NULL;
        }
        path = inside;
    }
    return cap_file_read_regular(path, CONFIG_BYTES_MAX, &length, err);
}

/* "0.04", "0.04s" or "40ms", in seconds. */
static bool read_seconds(const char *text, double *out, struct cap_err *err)
{
    char *end;
    double value = strtod(text, &end);
    double unit = strcmp(end, "ms") == 0 ? 1e-3 : 1;

    if (end == text || (*end && strcmp(end, "ms") != 0 && strcmp(end, "s") != 0) ||
        !(value > 0 && isfinite(value)))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--step-time \"%.40s\" is not a time: 0.04 or 40ms", text);
    *out = value * unit;
    return true;
}

static bool read_phase(const char *text, Moecap__V1__Phase *out, struct cap_err *err)
{
    *out = MOECAP__V1__PHASE__PHASE_DECODE;
    if (!text || strcmp(text, "decode") == 0)
        return true;
    *out = MOECAP__V1__PHASE__PHASE_PREFILL;
    return strcmp(text, "prefill") == 0 ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "--phase \"%.40s\" is neither prefill nor decode",
                    text);
}

static bool read_latent(const char *text, protobuf_c_boolean *out, struct cap_err *err)
{
    *out = text && strcmp(text, "absorbed") == 0;
    return !text || *out || strcmp(text, "expanded") == 0 ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "--mla \"%.40s\" is neither expanded nor absorbed",
                    text);
}

static bool check_count(const char *name, int64_t value, int64_t min, struct cap_err *err)
{
    return (value >= min && value <= UINT32_MAX) ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "--%s %lld is not from %lld to %u", name,
                    (long long)value, (long long)min, UINT32_MAX);
}

static bool read_options(Moecap__V1__EstimateRequest *out, struct cap_err *err)
{
    const struct cli_estimate_options *o = &cli_estimate_options;

    if (!o->model)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--model is missing: a folder or a config.json");
    if (!o->has_context)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--context is missing: how many tokens each sequence has after the pass");
    if (!read_phase(o->phase, &out->phase, err) || !read_latent(o->mla, &out->absorbed, err) ||
        !check_count("batch", o->has_batch ? o->batch : 1, 1, err) ||
        !check_count("context", o->context, 1, err) || !check_count("cached", o->cached, 0, err) ||
        !check_count("tp", o->devices, 0, err))
        return false;
    out->batch = o->has_batch ? (uint32_t)o->batch : 1;
    out->context_tokens = (uint64_t)o->context;
    out->cached_tokens = (uint64_t)o->cached;
    out->devices = (uint32_t)o->devices;
    out->hardware = (char *)(o->hardware ? o->hardware : "");
    out->precision = (char *)(o->precision ? o->precision : "");
    out->cache_precision = (char *)(o->cache_precision ? o->cache_precision : "");
    out->peak_gb_s = o->peak_gb_s;
    out->peak_tflops = o->peak_tflops;
    if (o->has_activated) {
        out->opt_activated_case = MOECAP__V1__ESTIMATE_REQUEST__OPT_ACTIVATED_ACTIVATED;
        out->activated = o->activated;
    }
    if (o->step_time) {
        out->opt_step_time_case = MOECAP__V1__ESTIMATE_REQUEST__OPT_STEP_TIME_STEP_TIME_S;
        return read_seconds(o->step_time, &out->step_time_s, err);
    }
    return true;
}

/* ---- out ---- */

static void print_parts(const Moecap__V1__EstimateReply *reply)
{
    CAP_AUTO_BUF(out, 1 << 16);
    struct cli_table_out table;
    double bytes = 0, flops = 0;

    cli_table_init(&table, 4, 6u);
    for (size_t i = 0; i < 4; i++)
        cli_table_add(&table, (const char *const[]){"part", "MB", "GFLOP", "what it is"}[i]);
    for (size_t i = 0; i < reply->n_parts; i++) {
        const Moecap__V1__EstimatePart *p = reply->parts[i];

        bytes += p->bytes;
        flops += p->flops;
        if (p->bytes == 0 && p->flops == 0)
            continue;
        cli_table_add(&table, p->id);
        cli_table_addf(&table, "%.3f", p->bytes / 1e6);
        cli_table_addf(&table, "%.3f", p->flops / 1e9);
        cli_table_add(&table, p->text);
    }
    cli_table_add(&table, "sum");
    cli_table_addf(&table, "%.3f", bytes / 1e6);
    cli_table_addf(&table, "%.3f", flops / 1e9);
    cli_table_add(&table, "");
    cli_table_print(&table, &out);
    fputs(out.data, stdout);
    cli_table_done(&table);
}

static void add_value(struct cap_buf *out, const Moecap__V1__Figure *f, double value)
{
    if (strcmp(f->unit, "ratio") == 0)
        cap_buf_printf(out, "%.4g %%", 100 * value);
    else if (strcmp(f->unit, "bytes") == 0)
        cap_buf_printf(out, value < 1e9 ? "%.4g MB" : "%.4g GB", value / (value < 1e9 ? 1e6 : 1e9));
    else if (strcmp(f->unit, "FLOP") == 0)
        cap_buf_printf(out, "%.4g GFLOP", value / 1e9);
    else
        cap_buf_printf(out, "%.4g %s", value, f->unit);
}

static void print_figure(const Moecap__V1__Figure *f)
{
    CAP_AUTO_BUF(text, 4096);

    if (f->opt_value_case != MOECAP__V1__FIGURE__OPT_VALUE_VALUE) {
        cli_say("%-20s-  (%s)", f->id, f->reason);
        return;
    }
    add_value(&text, f, f->value);
    if (f->opt_low_case == MOECAP__V1__FIGURE__OPT_LOW_LOW) {
        cap_buf_add_str(&text, ", from ");
        add_value(&text, f, f->low);
        cap_buf_add_str(&text, " to ");
        add_value(&text, f, f->high);
    }
    cli_say("%-20s%s  (%s%s%s)", f->id, text.data, f->basis, f->invalid ? "; invalid: " : "",
            f->invalid ? f->reason : "");
}

static void print_head(const Moecap__V1__EstimateReply *r)
{
    cli_say("model               %s: %.6g million parameters, %.6g million active; %u layers, %u "
            "with %u experts, top-%u",
            r->family, (double)r->parameters / 1e6, (double)r->active_parameters / 1e6, r->layers,
            r->moe_layers, r->experts, r->top_k);
    cli_say("kept in             %s, cache %s", r->precision, r->cache_precision);
    if (!*r->device)
        return;
    cli_say("hardware            %u x %s (%s)", r->devices, r->device, r->source);
    if (r->bandwidth_gb_s > 0)
        cli_say("bandwidth           %.6g GB/s", r->bandwidth_gb_s);
    if (r->tflops > 0)
        cli_say("peak                %.6g TFLOP/s%s%s, dense", r->tflops, *r->compute ? " in " : "",
                r->compute);
}

static void print_reply(const Moecap__V1__EstimateReply *reply)
{
    print_head(reply);
    cli_say("%s", "");
    print_parts(reply);
    cli_say("%s", "");
    for (size_t i = 0; i < reply->n_figures; i++)
        print_figure(reply->figures[i]);
    if (*reply->bound)
        cli_say("bound by            %s", reply->bound);
    for (size_t i = 0; i < reply->n_notes; i++)
        cli_say("note: %s", reply->notes[i]);
}

/* The option of a field that is to blame, in front of the sentence. */
static int refuse(struct cap_err *err)
{
    static const char *const options[][2] = {
        {"model_config", "--model"},
        {"hardware", "--hardware"},
        {"batch", "--batch"},
        {"context_tokens", "--context"},
        {"cached_tokens", "--cached"},
        {"activated", "--activated"},
        {"step_time_s", "--step-time"},
        {"precision", "--precision"},
        {"devices", "--tp"},
        {"cache_precision", "--cache-precision"},
        {"peak_gb_s", "--peak-bandwidth"},
        {"peak_tflops", "--peak-flops"},
    };

    for (size_t i = 0; i < CAP_COUNT_OF(options); i++)
        if (strcmp(err->field, options[i][0]) == 0)
            cap_fail_in(err, "%s", options[i][1]);
    return cli_exit_of(err->code);
}

int cli_cmd_estimate(struct cli_context *context, const struct cli_words *words,
                     struct cap_err *err)
{
    Moecap__V1__EstimateRequest request = MOECAP__V1__ESTIMATE_REQUEST__INIT;
    Moecap__V1__EstimateReply reply = MOECAP__V1__ESTIMATE_REPLY__INIT;
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES_MAX);
    CAP_AUTO_MEM char *config = NULL;

    (void)words;
    if (!read_options(&request, err))
        return CLI_USAGE;
    if (!(config = read_config(cli_estimate_options.model, err)))
        return cli_exit_of(err->code);
    request.model_config = config;
    if (!cap_estimate_answer(&request, arena, &reply, err))
        return refuse(err);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply.base));
    else
        print_reply(&reply);
    return CLI_OK;
}
