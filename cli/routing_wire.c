#include "routing_wire.h"

#include <stdlib.h>

static uint32_t count_at(const uint32_t *counts, size_t count, size_t expert)
{
    return expert < count ? counts[expert] : 0;
}

/* False when nothing was chosen in the layer. */
static bool sum_up(const Moecap__V1__LayerRouting *layer, double *out_distinct, double *out_share)
{
    size_t experts = layer->n_prefill > layer->n_decode ? layer->n_prefill : layer->n_decode;
    uint64_t total = 0, most = 0, distinct = 0;

    for (size_t e = 0; e < experts; e++) {
        uint64_t chosen = (uint64_t)count_at(layer->prefill, layer->n_prefill, e) +
                          count_at(layer->decode, layer->n_decode, e);
        total += chosen;
        distinct += chosen > 0;
        most = chosen > most ? chosen : most;
    }
    if (total == 0)
        return false;
    *out_distinct = (double)distinct;
    *out_share = (double)most / (double)total;
    return true;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct cli_routing cli_routing_of(const Moecap__V1__SampleRouting *routing)
{
    double distinct[CLI_ROUTING_LAYERS_MAX], share[CLI_ROUTING_LAYERS_MAX];
    size_t count = 0;

    for (size_t i = 0; routing && i < routing->n_layers && count < CLI_ROUTING_LAYERS_MAX; i++)
        if (sum_up(routing->layers[i], &distinct[count], &share[count]))
            count++;
    if (count == 0)
        return (struct cli_routing){.known = false};
    return (struct cli_routing){.known = true,
                                .distinct = median(distinct, count),
                                .busiest_share = median(share, count),
                                .experts = routing->experts};
}
