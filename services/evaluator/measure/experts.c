/* How many experts a pass wakes, and how evenly the router spreads the load.
 *
 * Neither depends on time. But the counts of an interrupted run hold samples that were under way
 * when it was interrupted, and were asked again: they count twice, so there is no load then. */
#include <math.h>
#include <string.h>

#include "measure.h"
#include "words/words.h"

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

/* What cannot be: fewer experts than one token chooses, more than there are or than the pass's
 * tokens choose, other layers. */
static void check_activated(const struct eval_evidence *e, enum eval_phase phase,
                            enum eval_figure_id id, struct eval_figures *f)
{
    const struct eval_phase_sums *sums = &e->phases[phase];
    uint64_t impossible = e->activation[phase].impossible_passes;
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
    else if (impossible > 0)
        eval_figure_invalid(f, id,
                            "%llu passes in which a layer used fewer experts than one token "
                            "chooses (%u), or more than its tokens can (%u)",
                            (unsigned long long)impossible, e->run.top_k, e->run.experts);
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
    eval_figure_between_series(f, id, &sums->experts_by_layer, 1);
    check_activated(e, phase, id, f);
}

/* ---- load ---- */

/* Means over layers, and the layer whose busiest expert stands out most. */
struct load {
    struct eval_balance sum;
    double worst;
    size_t layers, worst_layer;
    size_t strange_layer,
        strange_experts;  /* a layer with another number of experts than the model */
    double expected;      /* selections of each layer; 0: nobody knows */
    bool strange, uneven; /* uneven: a layer has another number of selections */
};

static void add_layer(struct load *load, const struct eval_run *run, size_t number,
                      const struct eval_layer_counts *layer)
{
    struct eval_balance balance;

    if (!eval_balance_of(layer, &balance))
        return;
    load->sum.max_ratio += balance.max_ratio;
    load->sum.gini += balance.gini;
    load->sum.jain += balance.jain;
    load->sum.entropy += balance.entropy;
    load->layers++;
    if (balance.max_ratio > load->worst) {
        load->worst = balance.max_ratio;
        load->worst_layer = number;
    }
    if (run->reported && run->experts > 0 && layer->experts != run->experts && !load->strange) {
        load->strange = true;
        load->strange_layer = number;
        load->strange_experts = layer->experts;
    }
    load->uneven |= load->expected > 0 && balance.selections != load->expected;
}

static const char *load_problem(const struct eval_evidence *e, const struct load *load)
{
    if (e->run.attempts > 1 && load->layers > 0)
        return "interrupted: samples that were asked again are counted twice";
    if (e->counts_overflowed)
        return "too many layers or experts";
    if (load->layers == 0)
        return e->run.reported && !e->run.in_engine ? "engine does not report routing"
                                                    : "no routing records";
    return NULL;
}

/* The number of experts is in all of them. */
static void set_load(const struct eval_evidence *e, enum eval_figure_id id, double value,
                     struct eval_figures *f)
{
    eval_figure_set(f, id, value);
    if (e->run.shape_declared)
        eval_figure_declared(f, id);
}

/* Over both phases. */
static void measure_whole_load(const struct eval_evidence *e, struct eval_figures *f)
{
    struct eval_activation both = {0};
    struct load load = {0};
    const char *problem;

    for (int phase = 0; phase < EVAL_PHASE_COUNT; phase++)
        for (size_t i = 0; i < EVAL_LAYERS_MAX; i++)
            eval_activation_add_counts(&both, (uint32_t)i, e->activation[phase].layers[i].counts,
                                       e->activation[phase].layers[i].experts);
    for (size_t i = 0; i < EVAL_LAYERS_MAX; i++)
        add_layer(&load, &e->run, i, &both.layers[i]);
    eval_activation_done(&both);
    if ((problem = load_problem(e, &load))) {
        eval_figure_none(f, EVAL_FIGURE_expert_load_entropy, problem);
        eval_figure_none(f, EVAL_FIGURE_expert_load_max_ratio, problem);
        return;
    }
    set_load(e, EVAL_FIGURE_expert_load_entropy, load.sum.entropy / (double)load.layers, f);
    set_load(e, EVAL_FIGURE_expert_load_max_ratio, load.sum.max_ratio / (double)load.layers, f);
}

/* ---- one phase ---- */

enum { LOAD_FIGURES = 6 };

static const struct {
    enum eval_figure_id activated, share, load[LOAD_FIGURES]; /* in the order of `values` below */
} ids[EVAL_PURE_PHASES] = {
#define IDS(phase)                                                                                 \
    {                                                                                              \
        EVAL_FIGURE_activated_experts_##phase, EVAL_FIGURE_activated_share_##phase,                \
        {                                                                                          \
            EVAL_FIGURE_expert_load_max_ratio_##phase, EVAL_FIGURE_expert_load_gini_##phase,       \
                EVAL_FIGURE_expert_load_jain_##phase, EVAL_FIGURE_expert_load_entropy_##phase,     \
                EVAL_FIGURE_expert_load_worst_##phase, EVAL_FIGURE_expert_load_worst_layer_##phase \
        }                                                                                          \
    }
    [EVAL_PREFILL] = IDS(prefill),
    [EVAL_DECODE] = IDS(decode),
#undef IDS
};

/* Every token chooses k experts in every layer: a pass that several ranks or stages recorded, or
 * rows of padding, would make more of them. */
static void check_load(const struct eval_evidence *e, const struct load *load,
                       enum eval_figure_id id, struct eval_figures *f)
{
    if (load->strange)
        eval_figure_invalid(f, id, "layer %zu has counts of %zu experts, the model has %u",
                            load->strange_layer, load->strange_experts, e->run.experts);
    else if (load->uneven)
        eval_figure_invalid(f, id,
                            "a layer does not have the %.0f selections that %u for each token of "
                            "the passes make",
                            load->expected, e->run.top_k);
}

static void measure_load(const struct eval_evidence *e, enum eval_phase phase,
                         struct eval_figures *f)
{
    const struct eval_activation *a = &e->activation[phase];
    struct load load = {.expected = (double)e->run.top_k * (double)a->rows};
    const char *problem;

    for (size_t i = 0; i < EVAL_LAYERS_MAX; i++)
        add_layer(&load, &e->run, i, &a->layers[i]);
    problem = phase == EVAL_DECODE && e->run.scoring && load.layers == 0 ? "no decode"
                                                                         : load_problem(e, &load);
    double n = (double)load.layers;
    const double values[LOAD_FIGURES] = {
        load.sum.max_ratio / n, load.sum.gini / n, load.sum.jain / n,
        load.sum.entropy / n,   load.worst,        (double)load.worst_layer};
    for (int i = 0; i < LOAD_FIGURES; i++) {
        if (problem) {
            eval_figure_none(f, ids[phase].load[i], problem);
            continue;
        }
        set_load(e, ids[phase].load[i], values[i], f);
        check_load(e, &load, ids[phase].load[i], f);
    }
}

static void set_share(const struct eval_evidence *e, enum eval_phase phase, enum eval_figure_id id,
                      struct eval_figures *f)
{
    set_load(e, id, eval_figure_value(f, ids[phase].activated) / e->run.experts, f);
    eval_figure_between_series(f, id, &e->phases[phase].experts_by_layer, 1.0 / e->run.experts);
}

/* The share of the model's experts that a pass wakes: as valid as the number of them. */
static void measure_share(const struct eval_evidence *e, enum eval_phase phase,
                          struct eval_figures *f)
{
    enum eval_figure_id id = ids[phase].share, of = ids[phase].activated;

    if (!eval_figure_has(f, of))
        eval_figure_none(f, id, f->rows[of].reason);
    else if (e->run.experts == 0)
        eval_figure_none(f, id, "how many experts the model has is not known");
    else
        set_share(e, phase, id, f);
    if (f->rows[of].invalid)
        eval_figure_invalid(f, id, "%s", f->rows[of].reason);
}

/* What nobody trained chooses almost uniformly: no figure of its experts is one of a real model. */
static void mark_source(const struct eval_evidence *e, struct eval_figures *f)
{
    if (e->run.routing_source && strcmp(e->run.routing_source, CAP_ROUTING_WEIGHTS) == 0)
        eval_mark(f, "random-weights", false,
                  "the model's weights are random: its router chooses as no trained one does");
}

void eval_measure_experts(struct eval_evidence *e, struct eval_figures *f)
{
    mark_source(e, f);
    measure_whole_load(e, f);
    for (int i = 0; i < EVAL_PURE_PHASES; i++) {
        enum eval_phase phase = (enum eval_phase)i;

        measure_activated(e, phase, ids[phase].activated, f);
        measure_share(e, phase, f);
        measure_load(e, phase, f);
    }
}
