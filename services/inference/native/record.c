/* What a pass chose and what it cost.
 *
 * The choices are counted for each request: the rows of an item are its request's, whichever others
 * share the pass. That costs one addition a choice; the pass that made the choice multiplied
 * matrices. The cost is exact bytes of weights as this engine keeps them, the rest by lib/model's
 * formulas (docs/models.md). A pass lasts from before its rows were laid out until its last token
 * was sampled.
 */
#include "native/inside.h"

#include <stdlib.h>

#include "base/clock.h"
#include "model/cost.h"

/* ---- choices ---- */

static size_t phase_cells(const struct native_model *m)
{
    return (size_t)m->moe_layers * (size_t)m->experts;
}

static int top_k_of(const struct native_session *s, int moe_layer)
{
    return s->model->shape->layers[s->moe_layer_ids[moe_layer]].router.top_k;
}

static void add_choices(const struct native_session *s, const struct native_item *item)
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

static struct infer_routing routing_in(const struct native_session *s, const uint32_t *chosen)
{
    const struct native_model *m = s->model;
    return (struct infer_routing){.source = "engine",
                                  .moe_layers = m->moe_layers,
                                  .experts = m->experts,
                                  .top_k = m->top_k,
                                  .moe_layer_ids = s->moe_layer_ids,
                                  .prefill = chosen,
                                  .decode = chosen + phase_cells(m)};
}

bool native_record_routing(struct native_session *s, struct cap_err *err)
{
    size_t cells = 2 * phase_cells(s->model);
    for (int i = 0; cells && i < s->item_count; i++) {
        struct native_active *active = s->items[i].active;
        if (!active->chosen)
            active->chosen = calloc(cells, sizeof(*active->chosen));
        if (!active->chosen)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                            "could not get memory for the routing of a request");
        active->routing = routing_in(s, active->chosen);
        add_choices(s, &s->items[i]);
    }
    return true;
}

const struct infer_routing *native_routing_of(const struct native_active *active)
{
    return active && active->chosen ? &active->routing : NULL;
}

/* ---- cost ---- */

static int window_of(const struct cap_model *shape)
{
    for (int i = 0; i < shape->layer_count; i++)
        if (shape->layers[i].attention.window > 0)
            return shape->layers[i].attention.window;
    return 0;
}

static int64_t within(int64_t keys, int window)
{
    return window > 0 && keys > window ? window : keys;
}

/* Lengths were moved when the pass was planned, so they are those after it. */
static void add_item(struct cap_cost_pass *cost, const struct native_item *item, int64_t length,
                     int window)
{
    cost->context_sum += length;
    /* a windowed layer reads the keys that any of the item's rows sees */
    cost->context_sum_windowed += within(length, window > 0 ? window + item->rows - 1 : 0);
    for (int i = 0; i < item->rows; i++) {
        int64_t keys = length - i;
        cost->attended_sum += (double)keys;
        cost->attended_sum_windowed += (double)within(keys, window);
    }
}

static uint64_t weight_bytes(const struct native_session *s)
{
    const struct native_model *m = s->model;
    uint64_t bytes = m->bytes_every_pass + (s->logits_tokens > 0 ? m->bytes_head : 0);
    for (int i = 0; i < m->moe_layers; i++)
        bytes += s->distinct[i] * native_model_expert_bytes(m, s->moe_layer_ids[i]);
    return bytes;
}

static void count_distinct(struct native_session *s)
{
    const uint32_t *counts = native_forward_counts(s->forward);
    for (int i = 0; i < s->model->moe_layers; i++) {
        s->distinct[i] = 0;
        for (int e = 0; e < s->model->experts; e++)
            s->distinct[i] += counts[(size_t)i * (size_t)s->model->experts + (size_t)e] > 0;
    }
}

/* `lengths` before requests ended are gone by now; the plan kept what is needed in positions. */
void native_record_pass(struct native_session *s, int64_t started_ns, struct infer_pass *out)
{
    const struct native_model *m = s->model;
    count_distinct(s);
    struct cap_cost_pass cost = {.tokens = s->row_count,
                                 .logits_tokens = s->logits_tokens,
                                 .distinct_experts = s->distinct,
                                 .format = cap_cost_format_of(CAP_PRECISION_BF16, m->shape->dtype),
                                 .kv_element_bytes = native_kv_number_bytes(m)};
    for (int i = 0; i < s->item_count; i++) {
        const struct native_item *item = &s->items[i];
        add_item(&cost, item, s->positions[item->first_row] + item->rows, window_of(m->shape));
    }
    struct cap_cost sum;
    cap_cost_of_pass(m->shape, &cost, &sum);
    *out = (struct infer_pass){.phase = s->decode ? INFER_DECODE : INFER_PREFILL,
                               .sequences = s->item_count,
                               .tokens = s->row_count,
                               .logits_tokens = s->logits_tokens,
                               .context_sum = cost.context_sum,
                               .started_ns = started_ns,
                               .duration_ns = cap_clock_ns(cap_clock_system()) - started_ns,
                               .moe_layers = m->moe_layers,
                               .experts = m->experts,
                               .moe_layer_ids = s->moe_layer_ids,
                               .distinct_experts = s->distinct,
                               .expert_counts = native_forward_counts(s->forward),
                               .has_bytes = true,
                               .weight_bytes = weight_bytes(s),
                               .kv_bytes = sum.kv_bytes,
                               .flops = sum.flops};
}
