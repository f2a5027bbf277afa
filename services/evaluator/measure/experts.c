/* How many experts a pass wakes, and how evenly the router spreads the load.
 *
 * Neither depends on time. But the counts of an interrupted run hold samples that were under way
 * when it was interrupted, and were asked again: they count twice, so there is no load then. */
#include <math.h>

#include "measure.h"

/* ---- activated experts ---- */

static const char *why_none(const struct eval_evidence *e, enum eval_phase phase)
{
    const char *problem = eval_passes_problem(e, phase, false);

    if (!e->run.scoring || phase != EVAL_DECODE)
        if (e->run.reported && e->run.in_engine && e->run.moe_layers == 0)
            return "no layer with experts was reported";
    if (problem)
        return problem;
    return e->phases[phase].layer_values == 0 ? "passes without experts" : NULL;
}

/* What cannot be: fewer experts than one token chooses, more than there are, other layers. */
static void check_activated(const struct eval_evidence *e, const struct eval_phase_sums *sums,
                            enum eval_figure_id id, struct eval_figures *f)
{
    double value = eval_figure_value(f, id);

    if (!e->run.reported)
        return;
    if (sums->wrong_layers > 0)
        eval_figure_invalid(f, id, "%llu passes do not report the model's %u MoE layers",
                            (unsigned long long)sums->wrong_layers, e->run.moe_layers);
    else if (e->run.top_k > 0 && value < e->run.top_k)
        eval_figure_invalid(f, id, "below the %u experts that each token chooses", e->run.top_k);
    else if (e->run.experts > 0 && value > e->run.experts)
        eval_figure_invalid(f, id, "above the %u experts that there are", e->run.experts);
}

static void measure_activated(const struct eval_evidence *e, enum eval_phase phase,
                              enum eval_figure_id id, struct eval_figures *f)
{
    const struct eval_phase_sums *sums = &e->phases[phase];
    const char *problem = why_none(e, phase);

    if (problem) {
        eval_figure_none(f, id, problem);
        return;
    }
    eval_figure_set(f, id, (double)sums->distinct_experts / (double)sums->layer_values);
    check_activated(e, sums, id, f);
}

/* ---- load ---- */

struct load {
    double entropy, max_ratio; /* sums over layers */
    size_t layers;
};

static void add_layer(struct load *load, const struct eval_layer_counts *layer)
{
    double total = 0, largest = 0, entropy = 0, experts = (double)layer->experts;

    for (size_t i = 0; i < layer->experts; i++) {
        total += (double)layer->counts[i];
        largest = fmax(largest, (double)layer->counts[i]);
    }
    if (total == 0 || layer->experts < 2)
        return;
    for (size_t i = 0; i < layer->experts; i++) {
        double share = (double)layer->counts[i] / total;

        if (share > 0)
            entropy -= share * log(share);
    }
    load->entropy += entropy / log(experts);
    load->max_ratio += largest / total * experts;
    load->layers++;
}

static void measure_load(const struct eval_evidence *e, struct eval_figures *f)
{
    struct load load = {0};
    const char *problem = NULL;

    for (size_t i = 0; i < EVAL_LAYERS_MAX; i++)
        add_layer(&load, &e->layers[i]);
    if (e->run.attempts > 1 && load.layers > 0)
        problem = "interrupted: samples that were asked again are counted twice";
    else if (e->counts_overflowed)
        problem = "too many layers or experts";
    else if (load.layers == 0)
        problem = e->run.reported && !e->run.in_engine ? "engine does not report routing"
                                                       : "no routing records";
    if (problem) {
        eval_figure_none(f, EVAL_FIGURE_expert_load_entropy, problem);
        eval_figure_none(f, EVAL_FIGURE_expert_load_max_ratio, problem);
        return;
    }
    eval_figure_set(f, EVAL_FIGURE_expert_load_entropy, load.entropy / (double)load.layers);
    eval_figure_set(f, EVAL_FIGURE_expert_load_max_ratio, load.max_ratio / (double)load.layers);
    if (e->run.shape_declared) { /* the number of experts is in both */
        eval_figure_declared(f, EVAL_FIGURE_expert_load_entropy);
        eval_figure_declared(f, EVAL_FIGURE_expert_load_max_ratio);
    }
}

void eval_measure_experts(struct eval_evidence *e, struct eval_figures *f)
{
    measure_activated(e, EVAL_PREFILL, EVAL_FIGURE_activated_experts_prefill, f);
    measure_activated(e, EVAL_DECODE, EVAL_FIGURE_activated_experts_decode, f);
    measure_load(e, f);
}
