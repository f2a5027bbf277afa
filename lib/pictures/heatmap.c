/* The heat map of a run: its counts of one phase, summed over batches. */
#include "plot/heatmap.h"

#include <string.h>

#include "inside.h"

static Moecap__V1__Phase phase_of(const struct cap_picture_ask *ask)
{
    return ask->prefill ? MOECAP__V1__PHASE__PHASE_PREFILL : MOECAP__V1__PHASE__PHASE_DECODE;
}

/* Rows come by layer within a phase. */
static size_t row_of(struct cap_heatmap *map, double *layers, double layer)
{
    for (size_t i = 0; i < map->layer_count; i++)
        if (layers[i] == layer)
            return i;
    layers[map->layer_count] = layer;
    return map->layer_count++;
}

static size_t most_experts(const struct cap_picture_ask *ask)
{
    size_t experts = 0;

    for (size_t i = 0; i < ask->count_count; i++)
        if (ask->counts[i]->phase == phase_of(ask) && ask->counts[i]->n_counts > experts)
            experts = ask->counts[i]->n_counts;
    return experts;
}

static bool fill(const struct cap_picture_ask *ask, struct cap_heatmap *map, double *layers,
                 double *counts, struct cap_err *err)
{
    map->expert_count = most_experts(ask);
    for (size_t i = 0; i < ask->count_count; i++) {
        const Moecap__V1__ExpertCount *count = ask->counts[i];
        size_t row;

        if (count->phase != phase_of(ask))
            continue;
        if (count->layer >= CAP_HEATMAP_LAYERS_MAX || map->layer_count == CAP_HEATMAP_LAYERS_MAX)
            return cap_fail(err, CAP_FAILED_PRECONDITION, "the run has more than %d layers",
                            CAP_HEATMAP_LAYERS_MAX);
        row = row_of(map, layers, count->layer);
        for (size_t e = 0; e < count->n_counts; e++)
            counts[row * map->expert_count + e] += (double)count->counts[e];
    }
    return map->layer_count > 0 ||
           cap_fail(err, CAP_FAILED_PRECONDITION,
                    "the run has no counts of experts in %s; only engines that tell their routing "
                    "have (docs/engines.md)",
                    ask->prefill ? "prefill" : "decode");
}

bool cap_picture_heatmap(const struct cap_picture_ask *ask, struct cap_arena *arena,
                         struct cap_plot *out, struct cap_err *err)
{
    size_t experts = most_experts(ask);
    struct cap_heatmap *map = cap_arena_alloc(arena, sizeof *map);
    double *layers = cap_arena_array(arena, CAP_HEATMAP_LAYERS_MAX, sizeof *layers);
    double *counts = NULL;

    if (experts <= CAP_HEATMAP_EXPERTS_MAX)
        counts = cap_arena_array(arena, CAP_HEATMAP_LAYERS_MAX * (experts + 1), sizeof *counts);
    if (!map || !layers || !counts)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the run has more experts than can be drawn");
    map->absolute = ask->absolute;
    map->sorted = ask->sorted;
    map->layers = layers;
    map->counts = counts;
    map->title = cap_arena_printf(arena, "%s, %s", cap_run_name(ask, 0, arena),
                                  ask->prefill ? "prefill" : "decode");
    if (!map->title)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture is too large");
    if (!fill(ask, map, layers, counts, err))
        return false;
    *out = cap_heatmap_plot(map);
    return true;
}
