/* Two runs' selections side by side. Whole runs by their sums; samples one by one, as soon as both
 * runs have them: a sample that came first waits in a list, and since each run's come in rising
 * order, one that the other run has passed will never be met. */
#include "routing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sample that waits for the other run's: one block, its counts behind it. */
struct waiting {
    struct waiting *next;
    size_t bytes;
    struct eval_routing_sample sample;
    char uid[EVAL_UID_BYTES];
};

struct side {
    struct eval_routing_run run;
    struct eval_activation phases[EVAL_PURE_PHASES];
    struct waiting *first, **end;
    size_t bytes;
};

struct moved_sum {
    double sum;
    uint64_t samples;
};

struct eval_routing {
    struct side sides[2];
    const char *no_drift; /* why samples are not compared; NULL: they are */
    bool other_task, declared;
    struct moved_sum moved[EVAL_PURE_PHASES][EVAL_LAYERS_MAX];
    uint64_t compared, changed; /* samples with routing in both; in which something moved */
    uint64_t graded, correct[2];
    struct eval_routing_moved most[EVAL_ROUTING_MOST_MOVED];
    size_t most_count;
    struct eval_routing_row *rows;
};

/* ---- may they be compared? ---- */

static bool is_one_model(const struct eval_routing_run *a, const struct eval_routing_run *b)
{
    if (*a->model_sha256 && *b->model_sha256)
        return strcmp(a->model_sha256, b->model_sha256) == 0;
    return strcmp(a->model, b->model) == 0;
}

static bool check_models(const struct eval_routing_run runs[2], bool same_model,
                         struct cap_err *err)
{
    const struct eval_routing_run *a = &runs[0], *b = &runs[1];

    for (int i = 0; i < 2; i++)
        if (runs[i].moe_layers == 0 || runs[i].experts == 0)
            return cap_fail(err, CAP_FAILED_PRECONDITION,
                            "run %s reports no layers with experts: there is no routing to compare",
                            runs[i].run_id);
    if (a->moe_layers != b->moe_layers || a->experts != b->experts || a->top_k != b->top_k)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the models have other shapes: %u layers of %u experts, top-%u, and %u "
                        "layers of %u experts, top-%u",
                        a->moe_layers, a->experts, a->top_k, b->moe_layers, b->experts, b->top_k);
    return same_model || is_one_model(a, b) ||
           cap_fail(err, CAP_FAILED_PRECONDITION,
                    "run %s is of \"%.80s\" and run %s of \"%.80s\", from other files: experts of "
                    "two models are not the same experts; if it is one model at two precisions, "
                    "say so with --same-model",
                    a->run_id, a->model, b->run_id, b->model);
}

static bool is_one_task(const struct eval_routing_run *a, const struct eval_routing_run *b)
{
    return strcmp(a->task_sha256, b->task_sha256) == 0 &&
           strcmp(a->data_sha256, b->data_sha256) == 0;
}

static const char *why_no_drift(const struct eval_routing_run *a, const struct eval_routing_run *b)
{
    if (!is_one_task(a, b))
        return strcmp(a->task, b->task) == 0 ? "the runs are of two versions of the task"
                                             : "the runs are of two tasks";
    if (a->num_fewshot != b->num_fewshot)
        return "the prompts differ: not the same number of examples in them";
    if (strcmp(a->prompt_format, b->prompt_format) != 0)
        return "the prompts differ: text and chat";
    if (*a->routing_unknown)
        return a->routing_unknown;
    return *b->routing_unknown ? b->routing_unknown : NULL;
}

struct eval_routing *eval_routing_open(const struct eval_routing_run runs[2], bool same_model,
                                       struct cap_err *err)
{
    struct eval_routing *r;

    if (!check_models(runs, same_model, err))
        return NULL;
    if (!(r = calloc(1, sizeof *r)))
        abort();
    for (int i = 0; i < 2; i++) {
        r->sides[i].run = runs[i];
        r->sides[i].end = &r->sides[i].first;
    }
    r->no_drift = why_no_drift(&runs[0], &runs[1]);
    r->other_task = !is_one_task(&runs[0], &runs[1]);
    r->declared = !is_one_model(&runs[0], &runs[1]);
    return r;
}

/* ---- waiting samples ---- */

static void drop_first(struct side *side)
{
    struct waiting *first = side->first;

    side->first = first->next;
    side->bytes -= first->bytes;
    if (!side->first)
        side->end = &side->first;
    free(first);
}

void eval_routing_free(struct eval_routing *r)
{
    if (!r)
        return;
    for (int i = 0; i < 2; i++) {
        while (r->sides[i].first)
            drop_first(&r->sides[i]);
        for (int phase = 0; phase < EVAL_PURE_PHASES; phase++)
            eval_activation_done(&r->sides[i].phases[phase]);
    }
    free(r->rows);
    free(r);
}

static size_t block_bytes(const struct eval_routing_sample *s)
{
    size_t bytes = sizeof(struct waiting) + s->layer_count * sizeof *s->layers;

    for (size_t i = 0; i < s->layer_count; i++)
        for (int phase = 0; phase < EVAL_PURE_PHASES; phase++)
            bytes += s->layers[i].experts[phase] * sizeof(uint32_t);
    return bytes;
}

static struct waiting *copy_sample(const struct eval_routing_sample *s)
{
    size_t bytes = block_bytes(s);
    struct waiting *w = calloc(1, bytes);
    struct eval_routing_layer *layers;
    uint32_t *counts;

    if (!w)
        abort();
    layers = (struct eval_routing_layer *)(w + 1);
    counts = (uint32_t *)(layers + s->layer_count);
    w->bytes = bytes;
    w->sample = *s;
    w->sample.layers = layers;
    snprintf(w->uid, sizeof w->uid, "%s", s->uid);
    w->sample.uid = w->uid;
    for (size_t i = 0; i < s->layer_count; i++) {
        layers[i] = s->layers[i];
        for (int phase = 0; phase < EVAL_PURE_PHASES; phase++) {
            size_t n = layers[i].experts[phase];

            if (n > 0)
                memcpy(counts, s->layers[i].counts[phase], n * sizeof *counts);
            layers[i].counts[phase] = counts;
            counts += n;
        }
    }
    return w;
}

/* ---- one sample in both runs ---- */

static double sum_of(const uint32_t *counts, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += counts[i];
    return sum;
}

/* Half the sum of the differences of shares; NAN when one of them chose nothing. */
static double moved_of(const struct eval_routing_layer *a, const struct eval_routing_layer *b,
                       int phase)
{
    size_t na = a->experts[phase], nb = b->experts[phase], n = na > nb ? na : nb;
    double sum_a = sum_of(a->counts[phase], na), sum_b = sum_of(b->counts[phase], nb), sum = 0;

    if (sum_a == 0 || sum_b == 0)
        return NAN;
    for (size_t i = 0; i < n; i++)
        sum += fabs((i < na ? a->counts[phase][i] / sum_a : 0) -
                    (i < nb ? b->counts[phase][i] / sum_b : 0));
    return sum / 2;
}

static void keep_moved(struct eval_routing *r, const struct eval_routing_sample *s, double moved)
{
    size_t at = r->most_count;

    if (moved <= 0)
        return;
    while (at > 0 && r->most[at - 1].moved < moved)
        at--;
    if (at == EVAL_ROUTING_MOST_MOVED)
        return;
    if (r->most_count < EVAL_ROUTING_MOST_MOVED)
        r->most_count++;
    memmove(&r->most[at + 1], &r->most[at], (r->most_count - at - 1) * sizeof r->most[0]);
    r->most[at] = (struct eval_routing_moved){.ordinal = s->ordinal, .moved = moved};
    snprintf(r->most[at].uid, sizeof r->most[at].uid, "%s", s->uid);
}

static void compare_layers(struct eval_routing *r, const struct eval_routing_sample *a,
                           const struct eval_routing_sample *b)
{
    double sum = 0;
    size_t values = 0;

    for (size_t i = 0; i < a->layer_count && i < b->layer_count; i++)
        for (int phase = 0; phase < EVAL_PURE_PHASES; phase++) {
            double moved = a->layers[i].layer == b->layers[i].layer
                               ? moved_of(&a->layers[i], &b->layers[i], phase)
                               : NAN;

            if (isnan(moved) || a->layers[i].layer >= EVAL_LAYERS_MAX)
                continue;
            r->moved[phase][a->layers[i].layer].sum += moved;
            r->moved[phase][a->layers[i].layer].samples++;
            sum += moved;
            values++;
        }
    if (values == 0)
        return;
    r->compared++;
    r->changed += sum > 0;
    keep_moved(r, a, sum / (double)values);
}

static void compare_samples(struct eval_routing *r, const struct eval_routing_sample *a,
                            const struct eval_routing_sample *b)
{
    if (a->graded && b->graded) {
        r->graded++;
        r->correct[0] += a->correct;
        r->correct[1] += b->correct;
    }
    if (!r->no_drift)
        compare_layers(r, a, b);
}

bool eval_routing_add_sample(struct eval_routing *r, int run,
                             const struct eval_routing_sample *sample, struct cap_err *err)
{
    struct side *own = &r->sides[run], *other = &r->sides[!run];
    struct waiting *w;

    while (other->first && other->first->sample.ordinal < sample->ordinal)
        drop_first(other);
    if (other->first && other->first->sample.ordinal == sample->ordinal) {
        const struct eval_routing_sample *met = &other->first->sample;

        compare_samples(r, run == 0 ? sample : met, run == 0 ? met : sample);
        drop_first(other);
        return true;
    }
    w = copy_sample(sample);
    *own->end = w;
    own->end = &w->next;
    own->bytes += w->bytes;
    return own->bytes <= EVAL_ROUTING_WAITING_BYTES_MAX ||
           cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                    "more than %d MiB of samples of run %s wait for those of the other run",
                    EVAL_ROUTING_WAITING_BYTES_MAX >> 20, own->run.run_id);
}

/* ---- whole runs ---- */

void eval_routing_add_counts(struct eval_routing *r, int run, enum eval_phase phase, uint32_t layer,
                             const uint64_t *counts, size_t experts)
{
    if (phase < EVAL_MIXED)
        eval_activation_add_counts(&r->sides[run].phases[phase], layer, counts, experts);
}

static double total_of(const struct eval_layer_counts *layer)
{
    double total = 0;

    for (size_t i = 0; i < layer->experts; i++)
        total += (double)layer->counts[i];
    return total;
}

static double share_of(const struct eval_layer_counts *layer, size_t expert, double total)
{
    return expert < layer->experts ? (double)layer->counts[expert] / total : 0;
}

static double entropy_term(double p, double m)
{
    return p > 0 ? p * log2(p / m) : 0;
}

/* Marks the `top` busiest experts; of equals those with lower numbers. One without selections is
 * in no set. */
static void mark_busiest(const struct eval_layer_counts *layer, size_t top,
                         bool out[EVAL_EXPERTS_MAX])
{
    memset(out, 0, EVAL_EXPERTS_MAX * sizeof *out);
    for (size_t n = 0; n < top; n++) {
        size_t best = SIZE_MAX;

        for (size_t i = 0; i < layer->experts; i++)
            if (!out[i] && layer->counts[i] > 0 &&
                (best == SIZE_MAX || layer->counts[i] > layer->counts[best]))
                best = i;
        if (best == SIZE_MAX)
            return;
        out[best] = true;
    }
}

static double jaccard_of(const struct eval_layer_counts *a, const struct eval_layer_counts *b,
                         size_t top)
{
    bool in_a[EVAL_EXPERTS_MAX], in_b[EVAL_EXPERTS_MAX];
    size_t both = 0, any = 0;

    mark_busiest(a, top, in_a);
    mark_busiest(b, top, in_b);
    for (size_t i = 0; i < EVAL_EXPERTS_MAX; i++) {
        both += in_a[i] && in_b[i];
        any += in_a[i] || in_b[i];
    }
    return (double)both / (double)any;
}

bool eval_overlap_of(const struct eval_layer_counts *a, const struct eval_layer_counts *b,
                     size_t top, struct eval_overlap *out)
{
    double total_a = total_of(a), total_b = total_of(b), dot = 0, aa = 0, bb = 0, js = 0, tv = 0;
    size_t n = a->experts > b->experts ? a->experts : b->experts;

    if (total_a == 0 || total_b == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        double p = share_of(a, i, total_a), q = share_of(b, i, total_b), m = (p + q) / 2;

        dot += p * q;
        aa += p * p;
        bb += q * q;
        js += (entropy_term(p, m) + entropy_term(q, m)) / 2;
        tv += fabs(p - q) / 2;
    }
    *out = (struct eval_overlap){.cosine = dot / sqrt(aa * bb),
                                 .jaccard = jaccard_of(a, b, top),
                                 .jensen_shannon = js,
                                 .total_variation = tv};
    return true;
}

/* ---- the result ---- */

struct means {
    struct eval_overlap sum;
    size_t layers;
    double moved; /* of layers in which samples were compared */
    size_t moved_layers;
};

static void add_row(struct eval_routing *r, enum eval_phase phase, uint32_t layer,
                    struct means *means, struct eval_routing_result *out)
{
    struct eval_routing_row *row = &r->rows[out->row_count];
    const struct moved_sum *moved = &r->moved[phase][layer];

    if (!eval_overlap_of(&r->sides[0].phases[phase].layers[layer],
                         &r->sides[1].phases[phase].layers[layer], out->top, &row->overlap))
        return;
    row->phase = phase;
    row->layer = layer;
    row->moved = moved->samples ? moved->sum / (double)moved->samples : NAN;
    means->sum.cosine += row->overlap.cosine;
    means->sum.jaccard += row->overlap.jaccard;
    means->sum.jensen_shannon += row->overlap.jensen_shannon;
    means->sum.total_variation += row->overlap.total_variation;
    means->layers++;
    if (moved->samples) {
        means->moved += row->moved;
        means->moved_layers++;
    }
    out->row_count++;
}

static void set(struct eval_routing_result *out, enum eval_routing_figure_id id, double value)
{
    out->figures[id].value = value;
    out->figures[id].reason = "";
}

static void unset(struct eval_routing_result *out, enum eval_routing_figure_id id,
                  const char *reason)
{
    out->figures[id].value = NAN;
    out->figures[id].reason = reason;
}

static void set_phase(const struct eval_routing *r, enum eval_phase phase,
                      const struct means *means, struct eval_routing_result *out)
{
    /* five figures a phase, in the order of the table */
    int first = phase == EVAL_PREFILL ? EVAL_ROUTING_routing_cosine_prefill
                                      : EVAL_ROUTING_routing_cosine_decode;
    double n = (double)means->layers;
    const double values[] = {means->sum.cosine / n, means->sum.jaccard / n,
                             means->sum.jensen_shannon / n, means->sum.total_variation / n};

    for (int i = 0; i < 4; i++) {
        if (means->layers > 0)
            set(out, (enum eval_routing_figure_id)(first + i), values[i]);
        else
            unset(out, (enum eval_routing_figure_id)(first + i),
                  "one of the runs has no selections in this phase");
    }
    if (means->moved_layers > 0)
        set(out, (enum eval_routing_figure_id)(first + 4),
            means->moved / (double)means->moved_layers);
    else
        unset(out, (enum eval_routing_figure_id)(first + 4),
              r->no_drift ? r->no_drift : "no sample has selections of both runs in this phase");
}

static void set_samples(const struct eval_routing *r, struct eval_routing_result *out)
{
    const char *none = r->no_drift ? r->no_drift : "no sample has routing in both runs";

    if (r->compared > 0) {
        set(out, EVAL_ROUTING_routing_samples, (double)r->compared);
        set(out, EVAL_ROUTING_routing_samples_moved, (double)r->changed / (double)r->compared);
    } else {
        unset(out, EVAL_ROUTING_routing_samples, none);
        unset(out, EVAL_ROUTING_routing_samples_moved, none);
    }
}

static void set_accuracy(const struct eval_routing *r, struct eval_routing_result *out)
{
    for (int i = EVAL_ROUTING_accuracy_a; i <= EVAL_ROUTING_accuracy_change; i++)
        unset(out, (enum eval_routing_figure_id)i,
              r->other_task ? r->no_drift : "no sample is graded in both runs");
    if (r->graded == 0 || r->other_task)
        return;
    double a = (double)r->correct[0] / (double)r->graded,
           b = (double)r->correct[1] / (double)r->graded;
    set(out, EVAL_ROUTING_accuracy_a, a);
    set(out, EVAL_ROUTING_accuracy_b, b);
    set(out, EVAL_ROUTING_accuracy_change, b - a);
}

static void add_notes(const struct eval_routing *r, struct eval_routing_result *out)
{
    if (r->declared)
        out->notes[out->note_count++] =
            "that both runs are of one model is the word of who asked: their files differ";
    if (strcmp(r->sides[0].run.source, r->sides[1].run.source) != 0)
        out->notes[out->note_count++] = "the routing of the two is of different sources: see "
                                        "routing of each run (moecap run show)";
    if (r->sides[0].run.interrupted || r->sides[1].run.interrupted)
        out->notes[out->note_count++] = "a run was interrupted: its counts hold some samples twice";
    if (r->no_drift)
        out->notes[out->note_count++] = r->no_drift;
}

void eval_routing_end(struct eval_routing *r, struct eval_routing_result *out)
{
    static const struct eval_routing_figure figures[] = {
#define ROW(id, unit) {#id, unit, NAN, ""},
        EVAL_ROUTING_FIGURES(ROW)
#undef ROW
    };
    size_t quarter = (r->sides[0].run.experts + 3) / 4, top_k = r->sides[0].run.top_k;

    *out = (struct eval_routing_result){.top = quarter > top_k ? quarter : top_k};
    out->declared = r->declared;
    memcpy(out->figures, figures, sizeof figures);
    free(r->rows);
    r->rows = calloc((size_t)EVAL_PURE_PHASES * EVAL_LAYERS_MAX, sizeof *r->rows);
    if (!r->rows)
        abort();
    out->rows = r->rows;
    for (int phase = 0; phase < EVAL_PURE_PHASES; phase++) {
        struct means means = {.layers = 0};

        for (uint32_t layer = 0; layer < EVAL_LAYERS_MAX; layer++)
            add_row(r, (enum eval_phase)phase, layer, &means, out);
        set_phase(r, (enum eval_phase)phase, &means, out);
    }
    set_samples(r, out);
    set_accuracy(r, out);
    memcpy(out->most_moved, r->most, sizeof r->most);
    out->most_moved_count = r->most_count;
    add_notes(r, out);
}
