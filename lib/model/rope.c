#include "model/rope.h"

#include <assert.h>
#include <math.h>

static const char *const kind_names[CAP_ROPE_COUNT] = {"default", "linear", "dynamic", "yarn",
                                                       "llama3"};

const char *cap_rope_kind_name(enum cap_rope_kind kind)
{
    return kind_names[kind];
}

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
