/* measuring.h — evidence for the tests of measures, row by row, and what its figures must be.
 *
 *     CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);
 *     add_pass(e, EVAL_DECODE, 2, 1000, 3, 4, false);
 *     assert_value(e, "activated_experts_decode", 3.5);
 *
 * Figures live in `arena`, which set_up and tear_down make and free.
 */
#ifndef EVAL_TEST_MEASURING_H
#define EVAL_TEST_MEASURING_H

#include "vectors.h"

#include <math.h>

#include "evaluator/measure.h"

static struct cap_arena *arena;

static inline int set_up(void **state)
{
    (void)state;
    arena = cap_arena_new(64 << 20);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

static const char *const metrics[] = {"acc", "acc_norm"};

static inline struct eval_run generating(uint32_t attempted)
{
    return (struct eval_run){.attempted = attempted,
                             .attempts = 1,
                             .metrics = metrics,
                             .metric_count = 2,
                             .reported = true,
                             .moe_layers = 2,
                             .experts = 16,
                             .top_k = 2,
                             .in_engine = true};
}

/* A completed answer of a generation; what a test does not say is not known. */
struct told {
    int64_t submitted_us, first_us, last_us, ended_us;    /* first and last below 0: none */
    int prompt_tokens, output_tokens, first_chunk_tokens; /* below 0: not known */
    const uint32_t *gaps_us;
    size_t gap_count;
    uint32_t ordinal;
};

static inline void add_told(struct eval_evidence *e, const struct told *told)
{
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;
    Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;

    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    answer.finish_reason = "stop";
    answer.ordinal = told->ordinal;
    answer.timing = &timing;
    timing.submitted_us = told->submitted_us;
    timing.ended_us = told->ended_us;
    timing.n_itl_us = told->gap_count;
    timing.itl_us = (uint32_t *)told->gaps_us;
    if (told->first_us >= 0) {
        timing.opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
        timing.first_token_us = told->first_us;
    }
    if (told->last_us >= 0) {
        timing.opt_last_case = MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US;
        timing.last_token_us = told->last_us;
    }
    if (told->prompt_tokens >= 0) {
        answer.opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
        answer.prompt_tokens = (uint32_t)told->prompt_tokens;
    }
    if (told->output_tokens >= 0) {
        answer.opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
        answer.output_tokens = (uint32_t)told->output_tokens;
    }
    if (told->first_chunk_tokens >= 0) {
        answer.opt_first_chunk_tokens_case =
            MOECAP__V1__SAMPLE_ANSWER__OPT_FIRST_CHUNK_TOKENS_FIRST_CHUNK_TOKENS;
        answer.first_chunk_tokens = (uint32_t)told->first_chunk_tokens;
    }
    eval_evidence_add_answer(e, &answer);
}

static inline void add_answer(struct eval_evidence *e, int64_t submitted, int64_t first,
                              int64_t last, int64_t ended, uint32_t prompt_tokens,
                              uint32_t output_tokens)
{
    const uint32_t gap = output_tokens > 1 ? (uint32_t)(last - first) / (output_tokens - 1) : 0;
    uint32_t gaps[64];
    struct told told = {submitted,
                        first,
                        last,
                        ended,
                        (int)prompt_tokens,
                        (int)output_tokens,
                        -1,
                        gaps,
                        output_tokens ? output_tokens - 1 : 0};

    for (size_t i = 0; i < told.gap_count; i++)
        gaps[i] = gap;
    add_told(e, &told);
}

static inline void add_failed(struct eval_evidence *e)
{
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;

    eval_evidence_add_answer(e, &answer);
}

static inline void add_verdicts(struct eval_evidence *e, bool correct, bool unanswered)
{
    for (size_t i = 0; i < 2; i++) {
        Moecap__V1__Verdict verdict = MOECAP__V1__VERDICT__INIT;

        verdict.metric = (char *)metrics[i];
        verdict.kind = correct ? MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT
                               : MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG;
        verdict.unanswered = unanswered;
        eval_evidence_add_verdict(e, &verdict);
    }
}

static inline Moecap__V1__Pass pass_of(enum eval_phase phase, uint32_t tokens, uint64_t ns)
{
    Moecap__V1__Pass pass = MOECAP__V1__PASS__INIT;

    pass.phase =
        phase == EVAL_DECODE ? MOECAP__V1__PHASE__PHASE_DECODE : MOECAP__V1__PHASE__PHASE_PREFILL;
    pass.sequences = pass.tokens = tokens;
    pass.duration_ns = ns;
    return pass;
}

static inline void add_pass(struct eval_evidence *e, enum eval_phase phase, uint32_t tokens,
                            uint64_t ns, uint32_t first_layer, uint32_t second_layer, bool warm_up)
{
    uint32_t distinct[] = {first_layer, second_layer};
    Moecap__V1__Pass pass = pass_of(phase, tokens, ns);

    pass.warm_up = warm_up;
    pass.distinct_experts = distinct;
    pass.n_distinct_experts = 2;
    eval_evidence_add_pass(e, &pass);
}

static inline void add_counts(struct eval_evidence *e, uint32_t layer, uint64_t *counts,
                              size_t experts)
{
    Moecap__V1__ExpertCount wire = MOECAP__V1__EXPERT_COUNT__INIT;

    wire.layer = layer;
    wire.counts = counts;
    wire.n_counts = experts;
    eval_evidence_add_counts(e, &wire);
}

static inline const Moecap__V1__Figure *figure(struct eval_evidence *e, const char *id)
{
    Moecap__V1__Summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_figures; i++)
        if (strcmp(summary.figures[i]->id, id) == 0)
            return summary.figures[i];
    fail_msg("there is no figure %s", id);
    return NULL;
}

static inline void assert_value(struct eval_evidence *e, const char *id, double expected)
{
    const Moecap__V1__Figure *f = figure(e, id);

    if (!f->opt_value_case || fabs(f->value - expected) > 1e-9 * fmax(1, fabs(expected)))
        fail_msg("%s is %.17g (%s), expected %.17g", id, f->value, f->reason, expected);
    assert_string_equal(f->reason, "");
    assert_false(f->invalid);
}

static inline void assert_none(struct eval_evidence *e, const char *id, const char *reason)
{
    const Moecap__V1__Figure *f = figure(e, id);

    if (f->opt_value_case || strcmp(f->reason, reason) != 0)
        fail_msg("%s has value %d, reason \"%s\", expected \"%s\"", id, f->opt_value_case,
                 f->reason, reason);
    assert_string_equal(f->basis, "unavailable");
}

static inline void assert_invalid(struct eval_evidence *e, const char *id, const char *reason)
{
    const Moecap__V1__Figure *f = figure(e, id);

    assert_true(f->invalid);
    assert_string_equal(f->reason, reason);
}

#endif
