/* S-MBU and S-MFU of a server that reports no passes: what its answers leave possible.
 *
 * The model's shape is declared, the machine too; prompts, answers and times are known of every
 * request. While requests write, each step writes one token of each of them. So over the time in
 * which anything was written:
 *
 *   sequences = sum of the requests' writing times / that time        (on average in one step)
 *   steps     = tokens written / sequences
 *   bytes     = steps * weights of a step + keys and values of every token written
 *
 * A step reads the weights of its distinct experts, which nobody counted: top-k at least, when all
 * tokens choose the same, min(E, k * sequences) at most. So S-MBU is a range; it has a value where
 * the submitter gave a profile of activated experts. Operations do not depend on it: S-MFU has a
 * value. Of prefill the operations are known for the tokens that the server had not cached; into
 * how many passes it cuts prompts is not, so there is no S-MBU. docs/metrics.md says what all of
 * this leaves out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/python_json.h"
#include "measure.h"
#include "model/profile.h"
#include "model/shape.h"
#include "model/stored.h"

/* ---- the declared model ---- */

struct server {
    struct cap_model *model;
    struct cap_cost_format format;
    double cache_number_bytes;
    unsigned replicas;  /* each has all weights, and its share of the requests */
    const char *reason; /* why the model is not known; NULL: it is */
};

static const char *text_of(struct eval_figures *f, const struct cap_err *err)
{
    const char *text = cap_arena_printf(f->arena, "the declared model: %s", err->text);

    return text ? text : "no memory for the reason";
}

/* A quantised checkpoint is what it is, whatever 16 bits the rest is in: C19. Else what was
 * declared counts, if config.json says something else. */
static bool read_format(const struct eval_run *run, const json_t *config, struct server *io,
                        struct cap_err *err)
{
    enum cap_precision declared = cap_precision_find(run->hardware.precision);
    struct cap_err unknown = {0};
    struct cap_stored stored;
    bool known = cap_stored_read(config, io->model, &stored, &unknown);

    if (!known && declared == CAP_PRECISION_COUNT)
        return cap_fail(err, unknown.code, "%s", unknown.text);
    io->cache_number_bytes = known && stored.cache == CAP_PRECISION_FP8 ? 1 : 2;
    if (known && (declared == CAP_PRECISION_COUNT || stored.weights == declared ||
                  (stored.quantised && declared == CAP_PRECISION_BF16)))
        io->format = stored.format;
    else
        io->format = cap_cost_format_plain(declared);
    return true;
}

static json_t *parse_config(const char *text)
{
    size_t length;
    CAP_AUTO_MEM char *strict = cap_python_json(text, strlen(text), &length);

    return json_loadb(strict, length, 0, NULL);
}

static bool read_model(const struct eval_run *run, struct server *out, struct cap_err *err)
{
    json_t *config = parse_config(run->model_config);
    bool ok;

    if (!config)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "config.json is not JSON");
    out->model = cap_shape_model(config, err);
    ok = out->model && read_format(run, config, out, err);
    json_decref(config);
    return ok;
}

static struct server open_server(const struct eval_run *run, struct eval_figures *f)
{
    struct server s = {.replicas = run->replicas > 0 ? run->replicas : 1};
    struct cap_err err = {0};

    if (!run->model_config || !*run->model_config)
        s.reason = "the model's shape is not declared; --model-config says it";
    else if (!read_model(run, &s, &err))
        s.reason = text_of(f, &err);
    return s;
}

const char *eval_server_precision(const struct eval_run *run, struct eval_figures *f)
{
    struct server s = open_server(run, f);
    const char *word = s.reason ? NULL : cap_precision_name(s.format.experts);

    cap_model_free(s.model);
    return word;
}

static int window_of(const struct cap_model *model)
{
    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].attention.window > 0)
            return model->layers[i].attention.window;
    return 0;
}

/* ---- the time in which requests did something ---- */

struct span {
    double from, to;
};

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

/* How long at least one of them lasted; sorts them. */
static double union_of(struct span *spans, size_t count)
{
    double sum = 0, until = -INFINITY;

    qsort(spans, count, sizeof *spans, by_start);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].to <= until)
            continue;
        sum += spans[i].to - fmax(spans[i].from, until);
        until = spans[i].to;
    }
    return sum;
}

/* ---- what was computed ---- */

/* Sums over requests behind the warm-up, in one phase. */
struct work {
    double tokens, requests, seconds; /* `seconds`: of the union */
    double busy_s;                    /* of all requests together */
    struct cap_cost_pass pass;        /* tokens, keys attended to */
};

static struct span decode_of(const struct eval_request *r)
{
    double first = (double)r->submitted_us + r->ttft_us;

    return (struct span){first, first + r->tpot_us * (r->output_tokens - 1.0)};
}

static bool decodes(const struct eval_request *r)
{
    return r->completed && !r->warm_up && r->ttft_us >= 0 && r->tpot_us >= 0 &&
           r->output_tokens > 1 && r->prompt_tokens > 0;
}

static bool prefills(const struct eval_request *r)
{
    return r->completed && !r->warm_up && r->ttft_us >= 0 && r->prompt_tokens > 0;
}

/* The tokens first..last of a sequence: each attends to those before it and to itself. */
static void add_tokens(const struct cap_model *model, int64_t first, int64_t last, struct work *io)
{
    int64_t window = window_of(model);
    double keys = cap_cost_attended(first, last, last);
    double seen = window ? cap_cost_attended(first, last, window) : keys;

    io->tokens += (double)(last - first + 1);
    io->pass.tokens += last - first + 1;
    io->pass.attended_sum += keys;
    io->pass.attended_sum_windowed += seen;
}

/* A server may count what it likes. */
static int64_t whole(double sum)
{
    return sum < 9e18 ? (int64_t)sum : INT64_MAX;
}

/* Each step of a request reads the keys that its token attends to. */
static struct work decode_work(const struct eval_evidence *e, const struct server *s)
{
    struct span *spans = calloc(e->requests.count + 1, sizeof *spans);
    struct work w = {.tokens = 0};
    size_t count = 0;

    if (!spans)
        abort();
    for (size_t i = 0; i < e->requests.count; i++) {
        const struct eval_request *r = &e->requests.items[i];

        if (!decodes(r))
            continue;
        spans[count] = decode_of(r);
        w.busy_s += (spans[count].to - spans[count].from) / 1e6;
        count++;
        /* the last token is never fed back */
        add_tokens(s->model, r->prompt_tokens + 1, (int64_t)r->prompt_tokens + r->output_tokens - 1,
                   &w);
    }
    w.requests = (double)count;
    w.seconds = union_of(spans, count) / 1e6;
    w.pass.logits_tokens = w.pass.tokens;
    w.pass.context_sum = whole(w.pass.attended_sum);
    w.pass.context_sum_windowed = whole(w.pass.attended_sum_windowed);
    w.pass.absorbed = true; /* as servers decode */
    free(spans);
    return w;
}

/* `all_but_last`: what was cached is not known; then as much as can be. */
static struct work prefill_work(const struct eval_evidence *e, const struct server *s,
                                bool all_but_last)
{
    struct span *spans = calloc(e->requests.count + 1, sizeof *spans);
    struct work w = {.tokens = 0};
    size_t count = 0;

    if (!spans)
        abort();
    for (size_t i = 0; i < e->requests.count; i++) {
        const struct eval_request *r = &e->requests.items[i];
        int64_t cached = r->cached_known ? r->cached_tokens : 0;

        if (!prefills(r))
            continue;
        if ((!r->cached_known && all_but_last) || cached >= r->prompt_tokens)
            cached = (int64_t)r->prompt_tokens - 1;
        spans[count++] =
            (struct span){(double)r->submitted_us, (double)r->submitted_us + r->ttft_us};
        add_tokens(s->model, cached + 1, r->prompt_tokens, &w);
    }
    w.requests = (double)count;
    w.seconds = union_of(spans, count) / 1e6;
    w.pass.logits_tokens = (int64_t)count;
    free(spans);
    return w;
}

static double flops_of(const struct server *s, const struct work *w)
{
    struct cap_cost_pass pass = w->pass;
    struct cap_cost_parts parts;
    double sum = 0;

    pass.format = s->format;
    cap_cost_by_part(s->model, &pass, &parts);
    for (int i = 0; i < CAP_PART_COUNT; i++)
        sum += parts.flops[i];
    return sum;
}

/* ---- decode ---- */

/* Distinct experts of a layer. */
struct range {
    double low, high;
};

static double sequences_of(const struct server *s, const struct work *w)
{
    return fmax(1, w->busy_s / w->seconds / s->replicas);
}

/* Weights of every step, and the cache, which is read and written once for each token. */
static double decode_bytes(const struct server *s, const struct work *w, double distinct)
{
    struct cap_cost_pass step = {.logits_tokens = 1, .distinct_mean = distinct}, cache = w->pass;
    struct cap_cost_parts weights, keys;
    double steps = w->tokens / sequences_of(s, w), sum = 0;

    step.format = cache.format = s->format;
    cache.kv_element_bytes = s->cache_number_bytes;
    cache.sequences = w->pass.tokens; /* states are read and written with every token */
    cap_cost_by_part(s->model, &step, &weights);
    cap_cost_by_part(s->model, &cache, &keys);
    for (int i = 0; i < CAP_PART_COUNT; i++)
        sum += weights.bytes[i];
    return steps * sum + keys.bytes[CAP_PART_kv_read] + keys.bytes[CAP_PART_kv_write];
}

static void set_declared(struct eval_figures *f, enum eval_figure_id id, double value,
                         const char *what)
{
    eval_figure_set(f, id, value);
    eval_figure_declared(f, id);
    if (value > 1)
        eval_figure_invalid(f, id,
                            "%.4g times what the declared machine can do: %s, the machine or the "
                            "model is another one",
                            value, what);
}

/* What the profile says of so many sequences, if it can be. NULL: it is in `out`; else why not. */
static const char *profiled(const struct eval_run *run, const struct range *possible,
                            double sequences, struct eval_figures *f, double *out)
{
    struct cap_err err = {0};
    struct cap_profile profile;

    if (!cap_profile_read(run->activation_profile, &profile, &err))
        return cap_arena_strdup(f->arena, err.text);
    if (!cap_profile_at(&profile, sequences, out))
        return cap_arena_printf(f->arena,
                                "the activation profile has batch sizes from %.4g to %.4g, and "
                                "%.4g sequences were in a step",
                                profile.points[0].batch, profile.points[profile.count - 1].batch,
                                sequences);
    if (*out < possible->low || *out > possible->high)
        return cap_arena_printf(f->arena,
                                "the activation profile is of another model: %.4g experts of each "
                                "layer are not from %g to %.4g",
                                *out, possible->low, possible->high);
    return NULL;
}

static const char *why_range(const struct range *possible, double sequences, struct eval_figures *f)
{
    return cap_arena_printf(f->arena,
                            "the server does not say which experts it chose: from %g to %.4g "
                            "distinct ones of each layer are possible at %.4g sequences in a step",
                            possible->low, possible->high, sequences);
}

static void measure_decode_bytes(const struct eval_run *run, const struct server *s,
                                 const struct work *w, struct eval_figures *f)
{
    const enum eval_figure_id id = EVAL_FIGURE_smbu_decode;
    double possible_bytes = w->seconds * eval_figure_value(f, EVAL_FIGURE_peak_gb_per_s) * 1e9;
    double sequences = sequences_of(s, w), distinct;
    int top_k = cap_model_top_k(s->model);
    struct range experts = {top_k, fmin(cap_model_experts(s->model), top_k * sequences)};
    double low = decode_bytes(s, w, experts.low) / possible_bytes;
    double high = decode_bytes(s, w, experts.high) / possible_bytes;
    bool given = run->activation_profile && *run->activation_profile;
    const char *why;

    if (low == high) {
        set_declared(f, id, low, "the precision");
        return;
    }
    why = given ? profiled(run, &experts, sequences, f, &distinct)
                : why_range(&experts, sequences, f);
    if (!why) {
        set_declared(f, id, decode_bytes(s, w, distinct) / possible_bytes, "the profile");
        eval_figure_between(f, id, low, high);
        return;
    }
    eval_figure_range(f, id, low, high, why);
    if (low > 1)
        eval_figure_invalid(f, id,
                            "even with %d experts of each layer %.4g times what the declared "
                            "machine can do: the machine or the model is another one",
                            top_k, low);
}

/* ---- figures ---- */

/* Whether the peak is known; the figures that it would be needed for say why it is not. */
static bool has_peak(struct eval_figures *f, enum eval_figure_id peak, enum eval_figure_id of)
{
    if (!eval_figure_has(f, peak))
        eval_figure_none(f, of, f->rows[peak].reason);
    return eval_figure_has(f, peak);
}

static const char *decode_problem(const struct eval_evidence *e, const struct work *w)
{
    const char *timing = eval_timing_problem(e);

    if (timing)
        return timing;
    if (e->run.scoring)
        return "no decode";
    if (e->without_prompt_tokens > 0 || e->without_output_tokens > 0)
        return eval_counts_problem(e);
    if (w->requests == 0 || w->seconds <= 0)
        return "no answer has the times and counts of its tokens";
    return NULL;
}

static void measure_decode(const struct eval_evidence *e, const struct server *s,
                           struct eval_figures *f)
{
    struct work w = decode_work(e, s);
    const char *problem = decode_problem(e, &w);
    double flops;

    if (problem) {
        eval_figure_none(f, EVAL_FIGURE_smbu_decode, problem);
        eval_figure_none(f, EVAL_FIGURE_smfu_decode, problem);
        return;
    }
    if (has_peak(f, EVAL_FIGURE_peak_gb_per_s, EVAL_FIGURE_smbu_decode))
        measure_decode_bytes(&e->run, s, &w, f);
    if (!has_peak(f, EVAL_FIGURE_peak_gflop_per_s, EVAL_FIGURE_smfu_decode))
        return;
    flops = flops_of(s, &w);
    set_declared(f, EVAL_FIGURE_smfu_decode,
                 flops / (w.seconds * eval_figure_value(f, EVAL_FIGURE_peak_gflop_per_s) * 1e9),
                 "the precision");
}

static bool cached_known(const struct eval_evidence *e)
{
    for (size_t i = 0; i < e->requests.count; i++)
        if (prefills(&e->requests.items[i]) && !e->requests.items[i].cached_known)
            return false;
    return true;
}

/* Of prompts that were scored there are no first tokens, so no times either. */
static void measure_prefill(const struct eval_evidence *e, const struct server *s,
                            struct eval_figures *f)
{
    const enum eval_figure_id id = EVAL_FIGURE_smfu_prefill;
    struct work least = prefill_work(e, s, true), most = prefill_work(e, s, false);
    const char *problem = decode_problem(e, &most);
    double possible;

    eval_figure_none(f, EVAL_FIGURE_smbu_prefill,
                     "into how many passes the server cuts prompts is not known");
    if (problem) {
        eval_figure_none(f, id, problem);
        return;
    }
    if (!has_peak(f, EVAL_FIGURE_peak_gflop_per_s, id))
        return;
    possible = most.seconds * eval_figure_value(f, EVAL_FIGURE_peak_gflop_per_s) * 1e9;
    if (cached_known(e)) {
        set_declared(f, id, flops_of(s, &most) / possible, "the precision");
        return;
    }
    eval_figure_range(f, id, flops_of(s, &least) / possible, flops_of(s, &most) / possible,
                      "the server does not say how many tokens of the prompts it had cached: from "
                      "all but one to none");
}

static void none_of_all(struct eval_figures *f, const char *reason)
{
    eval_figure_none(f, EVAL_FIGURE_smbu_decode, reason);
    eval_figure_none(f, EVAL_FIGURE_smfu_decode, reason);
    eval_figure_none(f, EVAL_FIGURE_smbu_prefill, reason);
    eval_figure_none(f, EVAL_FIGURE_smfu_prefill, reason);
}

/* After the utilisation of passes, which knows the peaks; where one is not known it said so. */
void eval_measure_bounds(struct eval_evidence *e, struct eval_figures *f)
{
    struct server s;

    if (!e->run.hardware.server || e->passes > 0)
        return;
    s = open_server(&e->run, f);
    if (!s.model) {
        none_of_all(f, s.reason);
    } else {
        measure_decode(e, &s, f);
        measure_prefill(e, &s, f);
    }
    cap_model_free(s.model);
}
