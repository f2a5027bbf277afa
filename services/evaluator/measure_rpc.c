#include <string.h>

#include "handlers_rpc.h"
#include "measure/measure.h"

/* ---- from the wire ---- */

static bool header_from_wire(struct cap_rpc_call *call, const Moecap__V1__EvidenceHeader *wire,
                             struct eval_run_header *out, struct cap_err *err)
{
    const Moecap__V1__Generation *generation = wire->spec ? wire->spec->generation : NULL;
    const char **metrics;

    if (!wire->task)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the header holds no task");
    /* Messages live until the next one: what stays is copied. */
    if (!(metrics =
              cap_arena_array(cap_rpc_arena(call), wire->task->n_metrics + 1, sizeof *metrics)))
        return eval_fail_full(err);
    for (size_t i = 0; i < wire->task->n_metrics; i++)
        if (!(metrics[i] = cap_arena_strdup(cap_rpc_arena(call), wire->task->metrics[i])))
            return eval_fail_full(err);
    *out = (struct eval_run_header){
        .attempted = wire->attempted,
        .attempts = wire->attempts,
        .scoring = strcmp(wire->task->output_type, "generate_until") != 0,
        .metrics = metrics,
        .metric_count = wire->task->n_metrics,
        .exact_tokens = generation && generation->ignore_eos ? generation->max_tokens : 0,
        .reported = wire->report != NULL,
    };
    if (!wire->report)
        return true;
    out->moe_layers = wire->report->moe_layers;
    out->experts = wire->report->experts;
    out->top_k = wire->report->top_k;
    for (size_t i = 0; i < wire->report->n_declared; i++)
        if (strcmp(wire->report->declared[i], "experts") == 0)
            out->shape_declared = true;
    out->in_engine = strcmp(wire->report->timing_boundary, "engine") == 0;
    return true;
}

static struct eval_timing timing_from_wire(const Moecap__V1__Timing *wire)
{
    return (struct eval_timing){
        .submitted_us = wire->submitted_us,
        .ended_us = wire->ended_us,
        .has_first = wire->opt_first_case == MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US,
        .has_last = wire->opt_last_case == MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US,
        .first_token_us = wire->first_token_us,
        .last_token_us = wire->last_token_us,
        .gaps_us = wire->itl_us,
        .gap_count = wire->n_itl_us,
    };
}

static void add_answer(struct eval_evidence *evidence, const Moecap__V1__SampleAnswer *wire)
{
    struct eval_timing timing;
    struct eval_run_answer answer = {
        .completed = wire->status == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED,
        .truncated = strcmp(wire->finish_reason, "length") == 0,
        .has_prompt_tokens = wire->opt_prompt_tokens_case ==
                             MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS,
        .has_output_tokens = wire->opt_output_tokens_case ==
                             MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS,
        .prompt_tokens = wire->prompt_tokens,
        .output_tokens = wire->output_tokens,
    };

    if (wire->timing) {
        timing = timing_from_wire(wire->timing);
        answer.timing = &timing;
    }
    eval_evidence_add_answer(evidence, &answer);
}

static void add_verdict(struct eval_evidence *evidence, const Moecap__V1__Verdict *wire)
{
    struct eval_run_verdict verdict = {
        .metric = wire->metric,
        .correct = wire->kind == MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT,
        .unanswered = wire->unanswered,
    };

    eval_evidence_add_verdict(evidence, &verdict);
}

static void add_pass(struct eval_evidence *evidence, const Moecap__V1__Pass *wire)
{
    struct eval_pass pass = {
        .phase = wire->phase == MOECAP__V1__PHASE__PHASE_DECODE ? EVAL_DECODE : EVAL_PREFILL,
        .warm_up = wire->warm_up,
        .sequences = wire->sequences,
        .tokens = wire->tokens,
        .duration_ns = wire->duration_ns,
        .distinct_experts = wire->distinct_experts,
        .layer_count = wire->n_distinct_experts,
    };

    eval_evidence_add_pass(evidence, &pass);
}

static void add_evidence(struct eval_evidence *evidence, const Moecap__V1__Evidence *wire)
{
    for (size_t i = 0; i < wire->n_answers; i++)
        add_answer(evidence, wire->answers[i]);
    for (size_t i = 0; i < wire->n_verdicts; i++)
        add_verdict(evidence, wire->verdicts[i]);
    for (size_t i = 0; i < wire->n_passes; i++)
        add_pass(evidence, wire->passes[i]);
    for (size_t i = 0; i < wire->n_expert_counts; i++)
        eval_evidence_add_counts(evidence, wire->expert_counts[i]->layer,
                                 wire->expert_counts[i]->counts, wire->expert_counts[i]->n_counts);
}

/* ---- to the wire ---- */

static Moecap__V1__Figure *figure_to_wire(struct cap_rpc_call *call, const struct eval_figure *f)
{
    Moecap__V1__Figure *wire = EVAL_WIRE(call, Moecap__V1__Figure);

    if (!wire)
        return NULL;
    moecap__v1__figure__init(wire);
    wire->id = (char *)f->id;
    wire->reason = (char *)f->reason;
    wire->unit = (char *)f->unit;
    wire->basis = (char *)f->basis;
    wire->invalid = f->invalid;
    if (f->has_value) {
        wire->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
        wire->value = f->value;
    }
    if (f->has_interval) {
        wire->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
        wire->low = f->low;
        wire->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
        wire->high = f->high;
    }
    return wire;
}

static Moecap__V1__Histogram *histogram_to_wire(struct cap_rpc_call *call,
                                                const struct eval_histogram *h)
{
    Moecap__V1__Histogram *wire = EVAL_WIRE(call, Moecap__V1__Histogram);

    if (!wire)
        return NULL;
    moecap__v1__histogram__init(wire);
    wire->id = (char *)h->id;
    wire->lowest = h->lowest;
    wire->growth = h->growth;
    wire->n_counts = h->count;
    wire->counts = h->counts;
    return wire;
}

static bool summary_to_wire(struct cap_rpc_call *call, const struct eval_summary *summary,
                            Moecap__V1__Summary *wire)
{
    wire->figures = EVAL_WIRE_LIST(call, Moecap__V1__Figure, summary->figure_count);
    wire->histograms = EVAL_WIRE_LIST(call, Moecap__V1__Histogram, summary->histogram_count);
    if (!wire->figures || !wire->histograms)
        return false;
    for (size_t i = 0; i < summary->figure_count; i++)
        if (!(wire->figures[wire->n_figures++] = figure_to_wire(call, &summary->figures[i])))
            return false;
    for (size_t i = 0; i < summary->histogram_count; i++)
        if (!(wire->histograms[wire->n_histograms++] =
                  histogram_to_wire(call, &summary->histograms[i])))
            return false;
    return true;
}

/* ---- Measure ---- */

static bool read_evidence(struct cap_rpc_call *call, struct eval_evidence **out,
                          struct cap_err *err)
{
    Moecap__V1__Evidence *message = evaluator_rpc_measure_next_request(call);
    struct eval_run_header header;

    if (!message || !message->header)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the first message holds no header");
    if (!header_from_wire(call, message->header, &header, err))
        return false;
    *out = eval_evidence_new(&header);
    do
        add_evidence(*out, message);
    while ((message = evaluator_rpc_measure_next_request(call)) != NULL);
    /* Figures of half the evidence would look like a measurement. */
    return !cap_rpc_cancelled(call) || cap_fail(err, CAP_CANCELLED, "the caller is gone");
}

bool eval_handle_measure(struct cap_rpc_call *call, Moecap__V1__MeasureReply *reply,
                         struct cap_err *err)
{
    CAP_AUTO(eval_evidence) evidence = NULL;
    struct eval_summary summary;

    if (!read_evidence(call, &evidence, err))
        return false;
    reply->summary = EVAL_WIRE(call, Moecap__V1__Summary);
    if (!reply->summary)
        return eval_fail_full(err);
    moecap__v1__summary__init(reply->summary);
    if (!eval_measure(evidence, cap_rpc_arena(call), &summary) ||
        !summary_to_wire(call, &summary, reply->summary))
        return eval_fail_full(err);
    eval_count(EVAL_COUNTER_runs_measured_total, 1);
    return true;
}
