/* The router and the experts.
 *
 * Rows are grouped by expert, so that an expert's weights are read once for all its rows. First
 * every (expert, slice of its inner width) is a unit: gates and ups together, silu(gate) * up at
 * once. Then every slice of the output is a unit, which walks all experts in order of their number
 * and adds into its own columns of y: no two threads share an output, and a row's sum has one
 * order, whatever rows are beside it.
 */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/numbers.h"

/* ---- router ---- */

struct route {
    const float *logits;
    int32_t *ids;
    float *weights, scale;
    int rows, experts, top_k;
    bool renormalize;
};

/* The largest logit not chosen yet, ties to the lower index. The softmax keeps the order. */
static int largest(const float *logits, int experts, const int32_t *chosen, int count)
{
    int best = -1;
    for (int e = 0; e < experts; e++) {
        bool taken = false;
        for (int i = 0; i < count && !taken; i++)
            taken = chosen[i] == e;
        if (!taken && (best < 0 || logits[e] > logits[best]))
            best = e;
    }
    return best;
}

static void route_job(void *context, int row, int thread)
{
    (void)thread;
    const struct route *r = context;
    const float *logits = r->logits + (size_t)row * (size_t)r->experts;
    int32_t *ids = r->ids + (size_t)row * (size_t)r->top_k;
    float *weights = r->weights + (size_t)row * (size_t)r->top_k;
    for (int i = 0; i < r->top_k; i++)
        ids[i] = largest(logits, r->experts, ids, i);
    float max = logits[ids[0]], all = 0, chosen = 0;
    for (int e = 0; e < r->experts; e++)
        all += expf(logits[e] - max);
    for (int i = 0; i < r->top_k; i++) {
        weights[i] = expf(logits[ids[i]] - max) / all;
        chosen += weights[i];
    }
    for (int i = 0; i < r->top_k; i++)
        weights[i] = weights[i] / (r->renormalize ? chosen : 1.0f) * r->scale;
}

enum moe_status cpu_router(struct moe_dev *dev, struct moe_buf x, const struct moe_weight *gate,
                           struct moe_buf ids, struct moe_buf weights, int rows, int top_k,
                           bool renormalize, float scale)
{
    int experts = gate->shape.n;
    if (!cpu_scratch_fit(&dev->inner, (size_t)rows * (size_t)experts * sizeof(float)))
        return MOE_NO_MEMORY;
    struct moe_buf logits = {(uintptr_t)dev->inner.data, dev->inner.bytes};
    if (cpu_linear(dev, x, gate, (struct moe_buf){0}, logits, rows, false) != MOE_OK)
        return MOE_NO_MEMORY;
    struct route job = {.logits = cpu_f32(logits),
                        .ids = cpu_i32(ids),
                        .weights = cpu_f32(weights),
                        .scale = scale,
                        .rows = rows,
                        .experts = experts,
                        .top_k = top_k,
                        .renormalize = renormalize};
    cpu_run(dev, (size_t)rows * (size_t)experts * (size_t)(top_k + 8), route_job, &job, rows);
    return MOE_OK;
}

/* ---- experts ---- */

/* Pairs (row, slot) sorted by expert: those of the active expert a are first[a] to first[a + 1]. */
struct groups {
    int active;
    int32_t *expert, *first; /* [experts], [experts + 1] */
    int32_t *row;            /* [pairs] */
    float *weight;           /* [pairs] */
};

struct experts {
    const struct cpu_isa *isa;
    const struct moe_weight *gate_up, *down;
    cpu_tile up_tile, down_tile;
    struct groups groups;
    struct cpu_rows x, inner_rows;
    float *inner, *y;                     /* inner: [pairs][inner width] */
    int up_panels, down_panels, up_units; /* of a unit; units of one expert */
};

static bool groups_make(struct moe_dev *dev, const int32_t *ids, const float *weights, int rows,
                        int top_k, int experts, struct groups *g)
{
    size_t pairs = (size_t)rows * (size_t)top_k, e = (size_t)experts;
    if (!cpu_scratch_fit(&dev->groups, (pairs * 2 + e * 3 + 2) * 4))
        return false;
    g->expert = (int32_t *)(void *)dev->groups.data;
    g->first = g->expert + e;
    int32_t *fill = g->first + e + 1;
    g->row = fill + e;
    g->weight = (float *)(void *)(g->row + pairs);
    memset(fill, 0, e * sizeof(*fill));
    for (size_t i = 0; i < pairs; i++)
        fill[ids ? ids[i] : 0]++;
    g->active = 0;
    int32_t at = 0;
    for (int i = 0; i < experts; i++) {
        int32_t count = fill[i];
        fill[i] = at; /* from here on: where the next pair of this expert goes */
        if (count == 0)
            continue;
        g->expert[g->active] = i;
        g->first[g->active++] = at;
        at += count;
    }
    g->first[g->active] = at;
    for (size_t i = 0; i < pairs; i++) {
        int32_t to = fill[ids ? ids[i] : 0]++;
        g->row[to] = (int32_t)(i / (size_t)top_k);
        g->weight[to] = weights ? weights[i] : 1.0f;
    }
    return true;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* silu(gate) * up of a tile whose panels alternate, into the columns from `col` on. */
static void put_inner(const struct experts *job, int pair, int col, int panels, const float *c)
{
    int width = job->down->shape.k;
    float *out = job->inner + (size_t)pair * (size_t)width;
    for (int panel = 0; panel < panels; panel += 2, col += CPU_PANEL)
        job->isa->silu_mul(out + col, c + panel * CPU_PANEL, c + (panel + 1) * CPU_PANEL,
                           smaller(CPU_PANEL, width - col));
}

static void up_job(void *context, int unit, int thread)
{
    (void)thread;
    const struct experts *job = context;
    const struct moe_weight *w = job->gate_up;
    const struct groups *g = &job->groups;
    int a = unit / job->up_units, panel = unit % job->up_units * job->up_panels;
    int panels = smaller(job->up_panels, w->panels - panel);
    const char *data =
        w->data + (size_t)g->expert[a] * w->expert_bytes + (size_t)panel * w->panel_bytes;
    float c[CPU_TILE_ROWS * CPU_TILE_COLS];
    for (int pair = g->first[a]; pair < g->first[a + 1]; pair += job->isa->tile_rows) {
        const char *rows[CPU_TILE_ROWS];
        int count = smaller(job->isa->tile_rows, g->first[a + 1] - pair);
        for (int r = 0; r < count; r++)
            rows[r] = job->x.data + (size_t)g->row[pair + r] * job->x.stride;
        job->up_tile(data, w->panel_bytes, panels, rows, count, w->k_padded, c);
        for (int r = 0; r < count; r++)
            put_inner(job, pair + r, panel / 2 * CPU_PANEL, panels, c + r * CPU_TILE_COLS);
    }
}

static void down_expert(const struct experts *job, int a, int panel, int panels)
{
    const struct moe_weight *w = job->down;
    const struct groups *g = &job->groups;
    const char *data =
        w->data + (size_t)g->expert[a] * w->expert_bytes + (size_t)panel * w->panel_bytes;
    int n = w->shape.n, col = panel * CPU_PANEL, cols = smaller(panels * CPU_PANEL, n - col);
    float c[CPU_TILE_ROWS * CPU_TILE_COLS];
    for (int pair = g->first[a]; pair < g->first[a + 1]; pair += job->isa->tile_rows) {
        const char *rows[CPU_TILE_ROWS];
        int count = smaller(job->isa->tile_rows, g->first[a + 1] - pair);
        for (int r = 0; r < count; r++)
            rows[r] = job->inner_rows.data + (size_t)(pair + r) * job->inner_rows.stride;
        job->down_tile(data, w->panel_bytes, panels, rows, count, w->k_padded, c);
        for (int r = 0; r < count; r++)
            job->isa->axpy(job->y + (size_t)g->row[pair + r] * (size_t)n + col, g->weight[pair + r],
                           c + r * CPU_TILE_COLS, cols);
    }
}

static void down_job(void *context, int unit, int thread)
{
    (void)thread;
    const struct experts *job = context;
    int panel = unit * job->down_panels;
    for (int a = 0; a < job->groups.active; a++)
        down_expert(job, a, panel, smaller(job->down_panels, job->down->panels - panel));
}

enum moe_status cpu_moe(struct moe_dev *dev, struct moe_buf x, struct moe_buf ids,
                        struct moe_buf weights, const struct moe_weight *gate_up,
                        const struct moe_weight *down, struct moe_buf y, int rows, int top_k)
{
    struct experts job = {.isa = dev->isa,
                          .gate_up = gate_up,
                          .down = down,
                          .up_tile = cpu_tile_of(dev, gate_up),
                          .down_tile = cpu_tile_of(dev, down),
                          .y = cpu_f32(y),
                          .up_panels = CPU_TILE_PANELS,
                          .down_panels = CPU_TILE_PANELS};
    if (!ids.addr)
        top_k = 1;
    size_t pairs = (size_t)rows * (size_t)top_k;
    if (pairs == 0 || gate_up->panels == 0 || down->panels == 0)
        return MOE_OK;
    if (!groups_make(dev, cpu_i32(ids), cpu_f32(weights), rows, top_k, gate_up->shape.experts,
                     &job.groups) ||
        !cpu_scratch_fit(&dev->inner, pairs * (size_t)down->shape.k * sizeof(float)) ||
        !cpu_rows_prepare(dev, cpu_f32(x), rows, gate_up, &dev->activations, &job.x))
        return MOE_NO_MEMORY;
    job.inner = (float *)(void *)dev->inner.data;
    int threads = cpu_pool_threads(dev->pool);
    while (job.up_panels > 2 && gate_up->panels * job.groups.active < job.up_panels * 4 * threads)
        job.up_panels /= 2;
    job.up_units = (gate_up->panels + job.up_panels - 1) / job.up_panels;
    size_t work = pairs * (size_t)down->shape.n * (size_t)down->shape.k;
    cpu_run(dev, work * 2, up_job, &job, job.up_units * job.groups.active);
    if (!cpu_rows_prepare(dev, job.inner, (int)pairs, down, &dev->inner_packed, &job.inner_rows))
        return MOE_NO_MEMORY;
    while (job.down_panels > 1 && down->panels < job.down_panels * 4 * threads)
        job.down_panels /= 2;
    int units = (down->panels + job.down_panels - 1) / job.down_panels;
    cpu_run(dev, work, down_job, &job, units);
    return MOE_OK;
}
