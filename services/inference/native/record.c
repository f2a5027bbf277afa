/* What a pass cost: exact bytes of weights as this engine keeps them, the rest by lib/model's
 * formulas (docs/models.md). */
#include "native/internal.h"

#include "base/clock.h"
#include "model/cost.h"

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
        cost->attended_sum += keys;
        cost->attended_sum_windowed += within(keys, window);
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
void native_record(struct native_session *s, int64_t started_ns, struct native_pass *out)
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
    *out = (struct native_pass){.decode = s->decode,
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
                                .weight_bytes = weight_bytes(s),
                                .kv_bytes = sum.kv_bytes,
                                .flops = sum.flops};
}
