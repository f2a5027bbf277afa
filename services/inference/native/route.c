/* What the pass chose, request by request: the rows of an item are its request's, whichever others
 * share the pass. Costs one addition a choice; a pass that made the choice multiplied matrices. */
#include "native/internal.h"

#include <stdlib.h>

static size_t phase_cells(const struct native_model *m)
{
    return (size_t)m->moe_layers * (size_t)m->experts;
}

static int top_k_of(const struct native_session *s, int moe_layer)
{
    return s->model->shape->layers[s->moe_layer_ids[moe_layer]].router.top_k;
}

static void add_item(const struct native_session *s, const struct native_item *item)
{
    const struct native_model *m = s->model;
    uint32_t *counts = item->active->chosen + (s->decode ? phase_cells(m) : 0);
    for (int l = 0; l < m->moe_layers; l++, counts += m->experts) {
        size_t top_k = (size_t)top_k_of(s, l);
        const int32_t *chosen =
            native_forward_chosen(s->forward, l) + (size_t)item->first_row * top_k;
        for (size_t i = 0; i < (size_t)item->rows * top_k; i++)
            counts[chosen[i]]++;
    }
}

bool native_route(struct native_session *s, struct cap_err *err)
{
    size_t cells = 2 * phase_cells(s->model);
    for (int i = 0; cells && i < s->item_count; i++) {
        struct native_active *active = s->items[i].active;
        if (!active->chosen)
            active->chosen = calloc(cells, sizeof(*active->chosen));
        if (!active->chosen)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                            "could not get memory for the routing of a request");
        add_item(s, &s->items[i]);
    }
    return true;
}

struct native_routing native_route_of(const struct native_session *s,
                                      const struct native_active *active)
{
    if (!active || !active->chosen)
        return (struct native_routing){0};
    return (struct native_routing){active->chosen, active->chosen + phase_cells(s->model)};
}
