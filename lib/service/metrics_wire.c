#include "service/metrics_wire.h"

static Moecap__V1__Metric *one_to_wire(const struct cap_metrics *metrics, int row,
                                       struct cap_arena *arena)
{
    static const char *const kinds[] = {"counter", "gauge"};
    Moecap__V1__Metric *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__metric__init(wire);
    wire->name = cap_arena_printf(arena, "moecap_%s_%s", metrics->program, metrics->rows[row].name);
    wire->kind = (char *)kinds[metrics->rows[row].kind];
    wire->help = (char *)metrics->rows[row].help;
    wire->value = cap_metric_get(metrics, row);
    return wire->name ? wire : NULL;
}

bool cap_metrics_to_wire(const struct cap_metrics *metrics, struct cap_arena *arena,
                         Moecap__V1__Metric ***out_list, size_t *out_count)
{
    Moecap__V1__Metric **list = cap_arena_array(arena, metrics->row_count + 1, sizeof(void *));

    for (size_t i = 0; list && i < metrics->row_count; i++)
        if (!(list[i] = one_to_wire(metrics, (int)i, arena)))
            return false;
    *out_list = list;
    *out_count = list ? metrics->row_count : 0;
    return list != NULL;
}
