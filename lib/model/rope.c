/* Rotary positions: read from config.json, and turned into angles.
 *
 * Two spellings occur: rope_theta beside rope_scaling {type or rope_type, ...}, and rope_parameters
 * {rope_type, rope_theta, ...}. The formulas are those of HF Transformers; yarn is Peng et al.,
 * arXiv 2309.00071.
 */
#include "model/family.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { CONTEXT_MAX = 1 << 30 };

static const char *const kind_names[CAP_ROPE_COUNT] = {"default", "linear", "dynamic", "yarn",
                                                       "llama3"};

const char *cap_rope_kind_name(enum cap_rope_kind kind)
{
    return kind_names[kind];
}

/* ---- angles ---- */

/* NTK-aware scaling: the base that stretches the slowest pair over the whole sequence. */
static double dynamic_base(const struct cap_rope *rope, int dim, int64_t length)
{
    double n = (double)(length > rope->original ? length : rope->original);
    double stretch = rope->factor * n / rope->original - (rope->factor - 1);

    return rope->theta * pow(stretch, (double)dim / (dim - 2));
}

/* The pair whose wave makes `rotations` turns within the original length, as a fraction. */
static double yarn_pair(const struct cap_rope *rope, int dim, double rotations)
{
    return dim * log(rope->original / (rotations * 2 * M_PI)) / (2 * log(rope->theta));
}

/* Fast pairs stay, slow pairs are stretched, a ramp lies between (Peng et al., arXiv 2309.00071).
 */
static void scale_yarn(const struct cap_rope *rope, int dim, double *out)
{
    double low = yarn_pair(rope, dim, rope->beta_fast);
    double high = yarn_pair(rope, dim, rope->beta_slow);

    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, dim - 1);
    if (low == high)
        high += 0.001;
    for (int i = 0; i < dim / 2; i++) {
        double ramp = fmin(fmax((i - low) / (high - low), 0), 1);

        out[i] = out[i] / rope->factor * ramp + out[i] * (1 - ramp);
    }
}

static void scale_llama3(const struct cap_rope *rope, int dim, double *out)
{
    double longest = rope->original / rope->low_factor;
    double shortest = rope->original / rope->high_factor;

    for (int i = 0; i < dim / 2; i++) {
        double wave = 2 * M_PI / out[i];
        double smooth =
            (rope->original / wave - rope->low_factor) / (rope->high_factor - rope->low_factor);

        if (wave > longest)
            out[i] /= rope->factor;
        else if (wave >= shortest)
            out[i] = (1 - smooth) * out[i] / rope->factor + smooth * out[i];
    }
}

void cap_rope_frequencies(const struct cap_rope *rope, int dim, int64_t length, double *out)
{
    double base = rope->kind == CAP_ROPE_DYNAMIC ? dynamic_base(rope, dim, length) : rope->theta;

    assert(dim > 0 && dim % 2 == 0);
    for (int i = 0; i < dim / 2; i++)
        out[i] = pow(base, -2.0 * i / dim);
    if (rope->kind == CAP_ROPE_LINEAR)
        for (int i = 0; i < dim / 2; i++)
            out[i] /= rope->factor;
    else if (rope->kind == CAP_ROPE_YARN)
        scale_yarn(rope, dim, out);
    else if (rope->kind == CAP_ROPE_LLAMA3)
        scale_llama3(rope, dim, out);
}

/* ---- config.json ---- */

static bool read_kind(const json_t *scaling, enum cap_rope_kind *out_kind, struct cap_err *err)
{
    const char *name = "default";

    if (!cap_keys_string(scaling, "type", &name, err) ||
        !cap_keys_string(scaling, "rope_type", &name, err))
        return false;
    for (int kind = 0; kind < CAP_ROPE_COUNT; kind++)
        if (strcmp(name, cap_rope_kind_name((enum cap_rope_kind)kind)) == 0) {
            *out_kind = (enum cap_rope_kind)kind;
            return true;
        }
    return cap_fail(err, CAP_UNIMPLEMENTED,
                    "rope type \"%.40s\" is not supported; supported: default, linear, dynamic, "
                    "yarn, llama3",
                    name);
}

static double magnitude(double factor, double weight)
{
    return factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1;
}

static bool read_yarn(const json_t *scaling, struct cap_rope *rope, struct cap_err *err)
{
    double mscale = 0, mscale_all = 0;

    rope->beta_fast = 32;
    rope->beta_slow = 1;
    rope->truncate = true;
    if (!cap_keys_double(scaling, "beta_fast", 1e-6, 1e6, &rope->beta_fast, err) ||
        !cap_keys_double(scaling, "beta_slow", 1e-6, 1e6, &rope->beta_slow, err) ||
        !cap_keys_bool(scaling, "truncate", &rope->truncate, err) ||
        !cap_keys_double(scaling, "mscale", 0, 1e3, &mscale, err) ||
        !cap_keys_double(scaling, "mscale_all_dim", 0, 1e3, &mscale_all, err))
        return false;
    if (mscale > 0 && mscale_all > 0)
        rope->attention_factor =
            magnitude(rope->factor, mscale) / magnitude(rope->factor, mscale_all);
    else
        rope->attention_factor = magnitude(rope->factor, 1);
    return cap_keys_double(scaling, "attention_factor", 1e-6, 1e3, &rope->attention_factor, err);
}

static bool read_llama3(const json_t *scaling, struct cap_rope *rope, struct cap_err *err)
{
    if (!cap_keys_need(scaling, "low_freq_factor", err) ||
        !cap_keys_need(scaling, "high_freq_factor", err) ||
        !cap_keys_need(scaling, "original_max_position_embeddings", err) ||
        !cap_keys_double(scaling, "low_freq_factor", 1e-6, 1e6, &rope->low_factor, err) ||
        !cap_keys_double(scaling, "high_freq_factor", 1e-6, 1e6, &rope->high_factor, err))
        return false;
    if (rope->high_factor <= rope->low_factor)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "\"high_freq_factor\" is %g, expected more than \"low_freq_factor\" %g",
                        rope->high_factor, rope->low_factor);
    return true;
}

static bool read_scaling(const json_t *scaling, int context_max, struct cap_rope *rope,
                         struct cap_err *err)
{
    /* the fixed base of dynamic is the model's own context, whatever else is written */
    bool has_original = rope->kind == CAP_ROPE_YARN || rope->kind == CAP_ROPE_LLAMA3;

    if (has_original && !cap_keys_int(scaling, "original_max_position_embeddings", 1, CONTEXT_MAX,
                                      &rope->original, err))
        return false;
    if (rope->kind == CAP_ROPE_YARN)
        rope->factor = (double)context_max / rope->original;
    else if (!cap_keys_need(scaling, "factor", err))
        return false;
    if (!cap_keys_double(scaling, "factor", 1e-3, 1e6, &rope->factor, err))
        return false;
    if (rope->kind == CAP_ROPE_YARN)
        return read_yarn(scaling, rope, err);
    return rope->kind != CAP_ROPE_LLAMA3 || read_llama3(scaling, rope, err);
}

static bool check_whole_head(const json_t *object, struct cap_err *err)
{
    double share = 1;

    if (!cap_keys_double(object, "partial_rotary_factor", 0, 1, &share, err))
        return false;
    return share == 1 ||
           cap_fail(err, CAP_UNIMPLEMENTED,
                    "\"partial_rotary_factor\" is %g; only whole heads are supported", share);
}

bool cap_rope_read(const json_t *config, int context_max, struct cap_rope *out_rope,
                   struct cap_err *err)
{
    struct cap_rope rope = {.theta = 10000, .factor = 1, .attention_factor = 1};
    const json_t *parameters = json_object_get(config, "rope_parameters");
    const char *key = json_object_size(parameters) > 0 ? "rope_parameters" : "rope_scaling";
    const json_t *scaling = json_object_get(config, key);

    rope.original = context_max;
    if (scaling && !json_is_null(scaling) && !json_is_object(scaling))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is not an object", key);
    if (!cap_keys_double(config, "rope_theta", 1, 1e12, &rope.theta, err) ||
        !check_whole_head(config, err))
        return false;
    if (json_is_object(scaling) &&
        (!cap_keys_double(scaling, "rope_theta", 1, 1e12, &rope.theta, err) ||
         !check_whole_head(scaling, err) || !read_kind(scaling, &rope.kind, err) ||
         (rope.kind != CAP_ROPE_DEFAULT && !read_scaling(scaling, context_max, &rope, err))))
        return cap_fail_in(err, "%s", key);
    *out_rope = rope;
    return true;
}
