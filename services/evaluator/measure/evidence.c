#include "measure/evidence.h"

#include <stdlib.h>
#include <string.h>

struct eval_evidence *eval_evidence_new(const struct eval_run_header *header)
{
    struct eval_evidence *e = calloc(1, sizeof *e);

    if (!e)
        abort();
    e->header = *header;
    if (e->header.metric_count > EVAL_METRICS_MAX)
        e->header.metric_count = EVAL_METRICS_MAX;
    return e;
}

void eval_evidence_free(struct eval_evidence *evidence)
{
    if (!evidence)
        return;
    free(evidence->ttft.items);
    free(evidence->tpot.items);
    free(evidence->itl.items);
    free(evidence->e2e.items);
    for (size_t i = 0; i < EVAL_LAYERS_MAX; i++)
        free(evidence->layers[i].counts);
    free(evidence);
}

/* ---- answers ---- */

static void keep(struct eval_values *values, double value)
{
    if (values->count == EVAL_VALUES_MAX) {
        values->overflowed = true;
        return;
    }
    if (values->count == values->room) {
        values->room = values->room ? 2 * values->room : 256;
        values->items = realloc(values->items, values->room * sizeof *values->items);
        if (!values->items)
            abort();
    }
    values->items[values->count++] = value;
}

static bool in_order(const struct eval_timing *t)
{
    if (t->ended_us < t->submitted_us)
        return false;
    if (t->has_first && (t->first_token_us < t->submitted_us || t->first_token_us > t->ended_us))
        return false;
    return !t->has_last || (t->last_token_us <= t->ended_us &&
                            (!t->has_first || t->last_token_us >= t->first_token_us));
}

/* Times of requests that failed say nothing about the engine; the wall clock ran for them, too. */
static void add_timing(struct eval_evidence *e, const struct eval_run_answer *a)
{
    const struct eval_timing *t = a->timing;

    if (!in_order(t)) {
        e->disordered++;
        return;
    }
    if (e->timed == 0 || t->submitted_us < e->first_submitted_us)
        e->first_submitted_us = t->submitted_us;
    if (e->timed == 0 || t->ended_us > e->last_ended_us)
        e->last_ended_us = t->ended_us;
    e->timed++;
    if (!a->completed)
        return;
    keep(&e->e2e, (double)(t->ended_us - t->submitted_us));
    if (e->header.scoring || !t->has_first)
        return;
    keep(&e->ttft, (double)(t->first_token_us - t->submitted_us));
    if (t->has_last && a->has_output_tokens && a->output_tokens > 1)
        keep(&e->tpot,
             (double)(t->last_token_us - t->first_token_us) / (double)(a->output_tokens - 1));
    if (a->has_output_tokens && a->output_tokens > 1) {
        e->decoded++;
        e->without_gaps += t->gap_count == 0;
    }
    for (size_t i = 0; i < t->gap_count; i++)
        keep(&e->itl, (double)t->gaps_us[i]);
}

static void add_tokens(struct eval_evidence *e, const struct eval_run_answer *a)
{
    if (a->has_prompt_tokens)
        e->prompt_tokens += a->prompt_tokens;
    else
        e->without_prompt_tokens++;
    if (a->has_output_tokens)
        e->output_tokens += a->output_tokens;
    else
        e->without_output_tokens++;
    if (e->header.exact_tokens &&
        (!a->has_output_tokens || a->output_tokens != e->header.exact_tokens))
        e->other_length++;
}

void eval_evidence_add_answer(struct eval_evidence *e, const struct eval_run_answer *answer)
{
    bool brought_tokens = (answer->has_output_tokens && answer->output_tokens > 0) ||
                          (answer->timing && answer->timing->has_first);

    e->answers++;
    e->served += answer->completed || brought_tokens;
    e->completed += answer->completed;
    e->failed += !answer->completed;
    e->truncated += answer->completed && answer->truncated;
    if (answer->completed)
        add_tokens(e, answer);
    if (answer->timing)
        add_timing(e, answer);
}

void eval_evidence_add_verdict(struct eval_evidence *e, const struct eval_run_verdict *verdict)
{
    for (size_t i = 0; i < e->header.metric_count; i++)
        if (strcmp(e->header.metrics[i], verdict->metric) == 0) {
            e->verdicts[i]++;
            e->correct[i] += verdict->correct;
            e->unanswered += i == 0 && verdict->unanswered;
            return;
        }
}

/* ---- passes ---- */

void eval_evidence_add_pass(struct eval_evidence *e, const struct eval_pass *pass)
{
    struct eval_phase_sums *sums = &e->phases[pass->phase];

    e->passes++;
    if (pass->warm_up) {
        e->warm_up_passes++;
        return;
    }
    sums->passes++;
    if (pass->duration_ns == 0) {
        sums->without_duration++; /* its tokens took time, too: neither goes into the rates */
    } else {
        sums->tokens += pass->tokens;
        sums->duration_ns += pass->duration_ns;
    }
    sums->sequences += pass->sequences;
    if (pass->layer_count == 0)
        sums->without_experts++;
    else if (e->header.reported && pass->layer_count != e->header.moe_layers)
        sums->wrong_layers++;
    for (size_t i = 0; i < pass->layer_count; i++)
        sums->distinct_experts += pass->distinct_experts[i];
    sums->layer_values += pass->layer_count;
}

void eval_evidence_add_counts(struct eval_evidence *e, uint32_t layer, const uint64_t *counts,
                              size_t experts)
{
    struct eval_layer_counts *kept;

    if (layer >= EVAL_LAYERS_MAX || experts > EVAL_EXPERTS_MAX) {
        e->counts_overflowed = true;
        return;
    }
    kept = &e->layers[layer];
    if (experts > kept->experts) {
        kept->counts = realloc(kept->counts, experts * sizeof *kept->counts);
        if (!kept->counts)
            abort();
        memset(kept->counts + kept->experts, 0, (experts - kept->experts) * sizeof *kept->counts);
        kept->experts = experts;
    }
    for (size_t i = 0; i < experts; i++)
        kept->counts[i] += counts[i];
    e->has_counts = true;
}
