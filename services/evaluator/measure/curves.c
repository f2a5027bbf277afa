/* Curves of a run: what one number cannot say.
 *
 *     activation_batch_PHASE   distinct experts of a layer over the tokens in a pass, with what a
 *                              uniform router would use
 *     activation_layer_PHASE   distinct experts of each layer in a pass, likewise
 *     expert_load_PHASE        the busiest expert's selections / the mean, layer by layer
 *
 *     power_over_time          what all devices that were measured drew together, beside idle power
 *
 * A curve without a point is left out: the figure of the same thing says why. */
#include <math.h>

#include "measure.h"

static const struct {
    const char *batch, *layer, *load;
} ids[EVAL_PURE_PHASES] = {
    [EVAL_PREFILL] = {"activation_batch_prefill", "activation_layer_prefill",
                      "expert_load_prefill"},
    [EVAL_DECODE] = {"activation_batch_decode", "activation_layer_decode", "expert_load_decode"},
};

/* NULL when the arena is full. */
static struct eval_curve *begin(struct eval_curves *curves, const struct eval_curve *what)
{
    struct eval_curve *curve = &curves->rows[curves->count];

    *curve = *what;
    curve->x = cap_arena_array(curves->arena, EVAL_POINTS_MAX, sizeof *curve->x);
    curve->y = cap_arena_array(curves->arena, EVAL_POINTS_MAX, sizeof *curve->y);
    return curve->x && curve->y ? curve : NULL;
}

/* What is no number has no place in a picture: its point is left out, not the run's summary. */
static void end(struct eval_curves *curves, struct eval_curve *curve)
{
    size_t kept = 0;

    for (size_t i = 0; i < curve->count; i++) {
        if (!isfinite(curve->x[i]) || !isfinite(curve->y[i]) ||
            (curve->reference && !isfinite(curve->reference[i])))
            continue;
        curve->x[kept] = curve->x[i];
        curve->y[kept] = curve->y[i];
        if (curve->reference)
            curve->reference[kept] = curve->reference[i];
        kept++;
    }
    curve->count = kept;
    if (kept > 0)
        curves->count++;
}

/* Each value is a mean over the passes of the point: the prediction, too, so that both bend alike
 * where passes of several sizes share a point. */
static bool add_batch(const struct eval_evidence *e, enum eval_phase phase,
                      struct eval_curves *curves)
{
    const struct eval_activation *a = &e->activation[phase];
    struct eval_curve *curve = begin(
        curves,
        &(struct eval_curve){.id = ids[phase].batch, .x_unit = "tokens", .y_unit = "experts"});

    if (!curve)
        return false;
    if (e->run.experts > 0 && e->run.top_k > 0 &&
        !(curve->reference =
              cap_arena_array(curves->arena, EVAL_POINTS_MAX, sizeof *curve->reference)))
        return false;
    for (size_t i = 0; i < EVAL_ACTIVATION_POINTS; i++) {
        const struct eval_activation_point *point = &a->points[i];
        double passes = (double)point->passes;

        if (point->passes == 0)
            continue;
        curve->x[curve->count] = (double)point->tokens / passes;
        curve->y[curve->count] = point->distinct / passes;
        if (curve->reference)
            curve->reference[curve->count] = point->uniform / passes;
        curve->count++;
    }
    end(curves, curve);
    return true;
}

/* The model's numbers of its layers with experts, from the counts, when they are of as many layers
 * as the passes; otherwise layers are numbered among themselves. */
static void number_layers(const struct eval_activation *a, double *out)
{
    size_t found = 0;

    for (size_t layer = 0; layer < EVAL_LAYERS_MAX && found <= a->layer_count; layer++)
        if (a->layers[layer].experts > 0 && found++ < a->layer_count)
            out[found - 1] = (double)layer;
    for (size_t i = 0; found != a->layer_count && i < a->layer_count; i++)
        out[i] = (double)i;
}

static double mean_uniform(const struct eval_activation *a)
{
    double sum = 0;

    for (size_t i = 0; i < EVAL_ACTIVATION_POINTS; i++)
        sum += a->points[i].uniform;
    return sum / (double)a->layer_passes;
}

static bool add_layers(const struct eval_evidence *e, enum eval_phase phase,
                       struct eval_curves *curves)
{
    const struct eval_activation *a = &e->activation[phase];
    struct eval_curve *curve =
        begin(curves,
              &(struct eval_curve){.id = ids[phase].layer, .x_unit = "layer", .y_unit = "experts"});

    if (!curve)
        return false;
    if (a->layer_count == 0 || a->layer_count > EVAL_LAYERS_MAX ||
        e->phases[phase].wrong_layers > 0)
        return true; /* passes of several numbers of layers do not add up */
    if (e->run.experts > 0 && e->run.top_k > 0 &&
        !(curve->reference =
              cap_arena_array(curves->arena, EVAL_POINTS_MAX, sizeof *curve->reference)))
        return false;
    number_layers(a, curve->x);
    for (size_t i = 0; i < a->layer_count; i++) {
        curve->y[i] = (double)a->by_layer[i] / (double)a->layer_passes;
        if (curve->reference)
            curve->reference[i] = mean_uniform(a);
    }
    curve->count = a->layer_count;
    end(curves, curve);
    return true;
}

static bool add_load(const struct eval_evidence *e, enum eval_phase phase,
                     struct eval_curves *curves)
{
    const struct eval_activation *a = &e->activation[phase];
    struct eval_curve *curve = begin(
        curves, &(struct eval_curve){.id = ids[phase].load, .x_unit = "layer", .y_unit = "ratio"});
    struct eval_balance balance;

    if (!curve)
        return false;
    for (size_t layer = 0; layer < EVAL_LAYERS_MAX; layer++)
        if (eval_balance_of(&a->layers[layer], &balance)) {
            curve->x[curve->count] = (double)layer;
            curve->y[curve->count++] = balance.max_ratio;
        }
    end(curves, curve);
    return true;
}

/* Beside it a line for what the same devices draw while nothing runs. */
static bool add_power(const struct eval_evidence *e, struct eval_curves *curves)
{
    struct eval_curve *curve =
        begin(curves, &(struct eval_curve){.id = "power_over_time", .x_unit = "s", .y_unit = "W"});
    double idle = eval_power_idle(e);

    if (!curve)
        return false;
    curve->count = eval_power_points(e, curve->x, curve->y);
    if (curve->count > 0 && isfinite(idle)) {
        curve->reference =
            cap_arena_array(curves->arena, EVAL_POINTS_MAX, sizeof *curve->reference);
        if (!curve->reference)
            return false;
        for (size_t i = 0; i < curve->count; i++)
            curve->reference[i] = idle;
    }
    end(curves, curve);
    return true;
}

bool eval_curves_of(const struct eval_evidence *e, struct eval_curves *out)
{
    bool counted_twice = e->run.attempts > 1; /* see experts.c */

    for (int phase = 0; phase < EVAL_PURE_PHASES; phase++)
        if (!add_batch(e, (enum eval_phase)phase, out) ||
            !add_layers(e, (enum eval_phase)phase, out) ||
            (!counted_twice && !add_load(e, (enum eval_phase)phase, out)))
            return false;
    return add_power(e, out);
}
