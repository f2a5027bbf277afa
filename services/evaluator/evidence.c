/* From the messages of Measure to sums; the header, which comes first, is read in run.c.
 *
 * What a server says of itself is checked here once, so that no family has to: counts that cannot
 * be are unknown, times that cannot be are counted and left out. */
#include "evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "grade.h"

struct eval_evidence *eval_evidence_new(const struct eval_run *run)
{
    struct eval_evidence *e = calloc(1, sizeof *e);

    if (!e)
        abort();
    e->run = *run;
    if (e->run.metric_count > EVAL_METRICS_MAX)
        e->run.metric_count = EVAL_METRICS_MAX;
    return e;
}

void eval_evidence_free(struct eval_evidence *evidence)
{
    if (!evidence)
        return;
    eval_requests_done(&evidence->requests);
    free(evidence->right.bits);
    free(evidence->ttft.items);
    free(evidence->tpot.items);
    free(evidence->itl.items);
    free(evidence->e2e.items);
    free(evidence->queue.items);
    free(evidence->service_ttft.items);
    free(evidence->schedule_delay.items);
    for (int phase = 0; phase < EVAL_PHASE_COUNT; phase++)
        eval_activation_done(&evidence->activation[phase]);
    free(evidence);
}

/* ---- answers ---- */

/* What an answer says, after it was looked at whether it can be. */
struct counts {
    bool has_prompt, has_output, impossible;
    uint32_t prompt, output;
};

static bool has_first(const Moecap__V1__SampleAnswer *a)
{
    return a->timing && a->timing->opt_first_case == MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
}

/* A server that counts 0 tokens of a prompt, or of an answer of which a piece came, does not count.
 */
static struct counts counts_of(const struct eval_evidence *e, const Moecap__V1__SampleAnswer *a)
{
    bool of_server = e->run.reported && !e->run.in_engine;
    struct counts c = {
        .has_prompt =
            a->opt_prompt_tokens_case == MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS,
        .has_output =
            a->opt_output_tokens_case == MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS,
        .prompt = a->prompt_tokens,
        .output = a->output_tokens,
    };
    bool no_prompt = of_server && c.has_prompt && c.prompt == 0;
    bool no_output = of_server && c.has_output && c.output == 0 && has_first(a);

    c.impossible = no_prompt || no_output;
    c.has_prompt &= !no_prompt;
    c.has_output &= !no_output;
    return c;
}

/* Below 0: not known. */
static int64_t sent_of(const Moecap__V1__Timing *t)
{
    return t->opt_sent_case == MOECAP__V1__TIMING__OPT_SENT_SENT_US ? t->sent_us : -1;
}

static int64_t started_of(const Moecap__V1__Timing *t)
{
    return t->opt_started_case == MOECAP__V1__TIMING__OPT_STARTED_STARTED_US ? t->started_us : -1;
}

static bool is_within(const Moecap__V1__Timing *t, int64_t at_us)
{
    return at_us < 0 || (at_us >= t->submitted_us && at_us <= t->ended_us);
}

static bool in_order(const Moecap__V1__SampleAnswer *a)
{
    const Moecap__V1__Timing *t = a->timing;
    bool first = has_first(a);

    if (t->ended_us < t->submitted_us || !is_within(t, sent_of(t)) || !is_within(t, started_of(t)))
        return false;
    if (first && started_of(t) > t->first_token_us)
        return false;
    if (first && (t->first_token_us < t->submitted_us || t->first_token_us > t->ended_us))
        return false;
    return t->opt_last_case != MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US ||
           (t->last_token_us <= t->ended_us && (!first || t->last_token_us >= t->first_token_us));
}

/* How many tokens the first piece of an answer brought; 0: not known. In an engine, and where each
 * token has its own gap, it is one. */
static uint32_t first_tokens(const struct eval_evidence *e, const Moecap__V1__SampleAnswer *a,
                             uint32_t output_tokens)
{
    if (a->opt_first_chunk_tokens_case ==
        MOECAP__V1__SAMPLE_ANSWER__OPT_FIRST_CHUNK_TOKENS_FIRST_CHUNK_TOKENS)
        return a->first_chunk_tokens <= output_tokens ? a->first_chunk_tokens : 0;
    return !e->run.reported || e->run.in_engine || a->timing->n_itl_us + 1 == output_tokens;
}

/* Time per token after the first piece; below 0: not known. */
static double tpot_of(struct eval_evidence *e, const Moecap__V1__SampleAnswer *a,
                      uint32_t output_tokens)
{
    const Moecap__V1__Timing *t = a->timing;
    uint32_t first = first_tokens(e, a, output_tokens);

    e->decoded++;
    e->without_gaps += t->n_itl_us == 0;
    e->without_first_count += first == 0;
    if (first == 0 || output_tokens <= first ||
        t->opt_last_case != MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US)
        return -1;
    return (double)(t->last_token_us - t->first_token_us) / (double)(output_tokens - first);
}

/* Times of requests that failed say nothing about the engine; the wall clock ran for them, too. */
static void add_timing(struct eval_evidence *e, const Moecap__V1__SampleAnswer *a, bool completed,
                       const struct counts *counts)
{
    const Moecap__V1__Timing *t = a->timing;
    struct eval_request r = {.submitted_us = t->submitted_us,
                             .ended_us = t->ended_us,
                             .sent_us = sent_of(t),
                             .started_us = started_of(t),
                             .ttft_us = -1,
                             .tpot_us = -1,
                             .ordinal = a->ordinal,
                             .prompt_tokens = counts->has_prompt ? counts->prompt : 0,
                             .output_tokens = counts->has_output ? counts->output : 0,
                             .cached_known = a->opt_cached_tokens_case != 0,
                             .cached_tokens = a->cached_tokens,
                             .completed = completed};

    if (!in_order(a)) {
        e->disordered++;
        return;
    }
    if (e->timed == 0 || t->submitted_us < e->first_submitted_us)
        e->first_submitted_us = t->submitted_us;
    if (e->timed == 0 || t->ended_us > e->last_ended_us)
        e->last_ended_us = t->ended_us;
    e->timed++;
    if (!completed || e->run.scoring || !has_first(a)) {
        eval_requests_add(&e->requests, &r, NULL, 0);
        return;
    }
    r.ttft_us = (double)(t->first_token_us - t->submitted_us);
    if (counts->has_output && counts->output > 1)
        r.tpot_us = tpot_of(e, a, counts->output);
    eval_requests_add(&e->requests, &r, t->itl_us, t->n_itl_us);
}

/* Prompts of a server are made to its usage of others: a few tokens may be missing. */
static void add_input(struct eval_evidence *e, const struct counts *c)
{
    uint32_t wanted = e->run.exact_input;
    uint32_t apart = c->prompt > wanted ? c->prompt - wanted : wanted - c->prompt;
    uint32_t most = e->run.in_engine ? 0 : (uint32_t)(wanted * EVAL_INPUT_APART_MAX);

    if (!c->has_prompt)
        return; /* nobody can tell; counted as such */
    e->input_apart_max = apart > e->input_apart_max ? apart : e->input_apart_max;
    e->other_input += apart > most;
}

static void add_tokens(struct eval_evidence *e, const struct counts *c)
{
    if (c->has_prompt)
        e->prompt_tokens += c->prompt;
    else
        e->without_prompt_tokens++;
    if (c->has_output)
        e->output_tokens += c->output;
    else
        e->without_output_tokens++;
    e->impossible_counts += c->impossible;
    if (e->run.exact_tokens && (!c->has_output || c->output != e->run.exact_tokens))
        e->other_length++;
    if (e->run.exact_input)
        add_input(e, c);
}

void eval_evidence_add_answer(struct eval_evidence *e, const Moecap__V1__SampleAnswer *a)
{
    bool completed = a->status == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    enum eval_end end = eval_end_of(a->finish_reason);
    struct counts counts = counts_of(e, a);

    e->answers++;
    e->served += completed || (counts.has_output && counts.output > 0) || has_first(a);
    e->completed += completed;
    e->failed += !completed;
    e->truncated += completed && end == EVAL_END_CUT;
    e->without_reason += completed && *a->finish_reason == '\0';
    e->strange_reason += completed && *a->finish_reason && end == EVAL_END_UNKNOWN;
    if (completed)
        add_tokens(e, &counts);
    if (a->timing)
        add_timing(e, a, completed, &counts);
    eval_audit_add_answer(e, a);
}

void eval_evidence_add_verdict(struct eval_evidence *e, const Moecap__V1__Verdict *verdict)
{
    eval_audit_add_verdict(e, verdict);
    if (e->run.exact_input) /* random text: no answer is right or wrong */
        return;
    for (size_t i = 0; i < e->run.metric_count; i++)
        if (strcmp(e->run.metrics[i], verdict->metric) == 0) {
            e->verdicts[i]++;
            e->correct[i] += verdict->kind == MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
            e->unanswered += i == 0 && verdict->unanswered;
            if (i == 0 && verdict->kind == MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT)
                eval_right_add(&e->right, verdict->ordinal);
            return;
        }
}

/* ---- passes ---- */

/* Of what a pass reads, the cache may still hold at most its own size from the pass before. */
static void add_traffic(struct eval_phase_sums *sums, uint64_t bytes, uint64_t ns,
                        uint64_t cache_bytes)
{
    uint64_t of_memory = bytes > cache_bytes ? bytes - cache_bytes : 0;

    sums->memory_bytes += of_memory;
    sums->in_cache_passes += bytes <= cache_bytes;
    eval_series_add(&sums->memory_by_ns, (double)of_memory, (double)ns);
}

static void add_work(struct eval_phase_sums *sums, const Moecap__V1__Pass *pass,
                     uint64_t cache_bytes)
{
    if (pass->opt_weight_bytes_case == MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES &&
        pass->opt_kv_bytes_case == MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES) {
        sums->weight_bytes += pass->weight_bytes;
        sums->kv_bytes += pass->kv_bytes;
        sums->bytes_passes++;
        sums->bytes_ns += pass->duration_ns;
        add_traffic(sums, pass->weight_bytes + pass->kv_bytes, pass->duration_ns, cache_bytes);
        eval_buckets_add(&sums->gb_s, EVAL_RATE_LOWEST,
                         ((double)pass->weight_bytes + (double)pass->kv_bytes) /
                             (double)pass->duration_ns);
        eval_series_add(&sums->bytes_by_ns, (double)pass->weight_bytes + (double)pass->kv_bytes,
                        (double)pass->duration_ns);
        eval_series_add(&sums->bytes_by_pass, (double)pass->weight_bytes + (double)pass->kv_bytes,
                        1);
    }
    if (pass->opt_flops_case == MOECAP__V1__PASS__OPT_FLOPS_FLOPS && isfinite(pass->flops) &&
        pass->flops >= 0) {
        sums->flops += pass->flops;
        sums->flops_passes++;
        sums->flops_ns += pass->duration_ns;
        eval_buckets_add(&sums->gflop_s, EVAL_RATE_LOWEST, pass->flops / (double)pass->duration_ns);
        eval_series_add(&sums->flops_by_ns, pass->flops, (double)pass->duration_ns);
    }
}

/* A pass that does not say what it did is in no figure of prefill or decode either. */
static enum eval_phase phase_of(Moecap__V1__Phase phase)
{
    return phase == MOECAP__V1__PHASE__PHASE_PREFILL  ? EVAL_PREFILL
           : phase == MOECAP__V1__PHASE__PHASE_DECODE ? EVAL_DECODE
                                                      : EVAL_MIXED;
}

static void add_distinct(const struct eval_evidence *e, struct eval_phase_sums *sums,
                         const Moecap__V1__Pass *pass)
{
    uint64_t distinct = 0;

    if (pass->n_distinct_experts == 0)
        sums->without_experts++;
    else if (e->run.reported && pass->n_distinct_experts != e->run.moe_layers)
        sums->wrong_layers++;
    for (size_t i = 0; i < pass->n_distinct_experts; i++)
        distinct += pass->distinct_experts[i];
    sums->distinct_experts += distinct;
    sums->layer_values += pass->n_distinct_experts;
    eval_series_add(&sums->experts_by_layer, (double)distinct, (double)pass->n_distinct_experts);
}

void eval_evidence_add_pass(struct eval_evidence *e, const Moecap__V1__Pass *pass)
{
    enum eval_phase phase = phase_of(pass->phase);
    struct eval_phase_sums *sums = &e->phases[phase];

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
        eval_series_add(&sums->tokens_by_ns, pass->tokens, (double)pass->duration_ns);
        add_work(sums, pass, e->run.hardware.cache_bytes);
    }
    sums->sequences += pass->sequences;
    eval_series_add(&sums->sequences_by_pass, pass->sequences, 1);
    add_distinct(e, sums, pass);
    eval_activation_add_pass(&e->activation[phase], &e->run, pass->tokens, pass->distinct_experts,
                             pass->n_distinct_experts);
}

void eval_evidence_add_counts(struct eval_evidence *e, const Moecap__V1__ExpertCount *counts)
{
    if (!eval_activation_add_counts(&e->activation[phase_of(counts->phase)], counts->layer,
                                    counts->counts, counts->n_counts))
        e->counts_overflowed = true;
}

void eval_evidence_add(struct eval_evidence *e, const Moecap__V1__Evidence *evidence)
{
    for (size_t i = 0; i < evidence->n_answers; i++)
        eval_evidence_add_answer(e, evidence->answers[i]);
    for (size_t i = 0; i < evidence->n_verdicts; i++)
        eval_evidence_add_verdict(e, evidence->verdicts[i]);
    for (size_t i = 0; i < evidence->n_passes; i++)
        eval_evidence_add_pass(e, evidence->passes[i]);
    for (size_t i = 0; i < evidence->n_expert_counts; i++)
        eval_evidence_add_counts(e, evidence->expert_counts[i]);
    for (size_t i = 0; i < evidence->n_power; i++)
        eval_power_add(&e->power, evidence->power[i]->device, evidence->power[i]->at_us,
                       evidence->power[i]->watts);
}
