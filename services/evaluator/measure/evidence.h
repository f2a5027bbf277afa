/* evidence.h — a run's evidence on its way to figures: sums and values, one message at a time.
 *
 * What is kept is bounded (limits below; past one the figures it feeds say so). One user at a time.
 *
 *     CAP_AUTO(eval_evidence) evidence = eval_evidence_new(&header);
 *     eval_evidence_add_answer(evidence, &answer);  // ... passes, verdicts, counts
 *     eval_measure(evidence, figures);
 */
#ifndef EVAL_EVIDENCE_H
#define EVAL_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"

enum {
    EVAL_VALUES_MAX = 64 * 1000 * 1000, /* of one duration */
    EVAL_METRICS_MAX = 64,
    EVAL_LAYERS_MAX = 1024,
    EVAL_EXPERTS_MAX = 4096,
};

/* ---- what comes in ---- */

struct eval_run_header {
    uint32_t attempted;         /* samples of the run */
    uint32_t attempts;          /* leases that stored something */
    bool scoring;               /* log-likelihoods: there is no decode */
    const char *const *metrics; /* ids, the first is the headline; borrowed */
    size_t metric_count;
    uint32_t exact_tokens; /* every answer was to have so many; 0: no */
    bool reported;         /* a shard's report is there: */
    uint32_t moe_layers, experts, top_k;
    bool shape_declared; /* experts and top_k are somebody's word */
    bool in_engine;      /* times were taken in the engine, not at an HTTP client */
};

struct eval_timing {
    int64_t submitted_us, ended_us;
    bool has_first, has_last;
    int64_t first_token_us, last_token_us;
    const uint32_t *gaps_us;
    size_t gap_count;
};

struct eval_run_answer {
    bool completed, truncated;
    bool has_prompt_tokens, has_output_tokens;
    uint32_t prompt_tokens, output_tokens;
    const struct eval_timing *timing; /* NULL: none */
};

struct eval_run_verdict {
    const char *metric;
    bool correct, unanswered;
};

enum eval_phase { EVAL_PREFILL, EVAL_DECODE, EVAL_PHASE_COUNT };

struct eval_pass {
    enum eval_phase phase;
    bool warm_up;
    uint32_t sequences, tokens;
    uint64_t duration_ns;
    const uint32_t *distinct_experts; /* one a MoE layer */
    size_t layer_count;
};

/* ---- what is kept ---- */

struct eval_values { /* of one duration, in microseconds */
    double *items;
    size_t count, room;
    bool overflowed;
};

struct eval_phase_sums {
    uint64_t passes, tokens, sequences, duration_ns;
    uint64_t without_duration;               /* passes that say 0 ns: left out, and counted here */
    uint64_t layer_values, distinct_experts; /* over passes and layers */
    uint64_t wrong_layers;    /* passes with another number of layers than the model */
    uint64_t without_experts; /* passes that say nothing of experts */
};

struct eval_layer_counts {
    uint64_t *counts; /* by expert */
    size_t experts;
};

struct eval_evidence {
    struct eval_run_header header;
    uint64_t answers, served, completed, truncated, failed;
    uint64_t prompt_tokens, output_tokens;
    uint64_t without_prompt_tokens, without_output_tokens; /* completed answers that do not say */
    uint64_t other_length;                                 /* completed, not exact_tokens long */
    uint64_t timed, disordered;     /* answers with times; with impossible ones */
    uint64_t decoded, without_gaps; /* timed, of two tokens or more; of these, without gaps */
    int64_t first_submitted_us, last_ended_us;
    struct eval_values ttft, tpot, itl, e2e;
    uint64_t verdicts[EVAL_METRICS_MAX], correct[EVAL_METRICS_MAX], unanswered;
    uint64_t passes, warm_up_passes;
    struct eval_phase_sums phases[EVAL_PHASE_COUNT];
    struct eval_layer_counts layers[EVAL_LAYERS_MAX];
    bool has_counts, counts_overflowed;
};

struct eval_evidence *eval_evidence_new(const struct eval_run_header *header);
void eval_evidence_free(struct eval_evidence *evidence);
CAP_DEFINE_AUTO(eval_evidence)

void eval_evidence_add_answer(struct eval_evidence *e, const struct eval_run_answer *answer);
void eval_evidence_add_verdict(struct eval_evidence *e, const struct eval_run_verdict *verdict);
void eval_evidence_add_pass(struct eval_evidence *e, const struct eval_pass *pass);
/* Selections of the experts of one layer. */
void eval_evidence_add_counts(struct eval_evidence *e, uint32_t layer, const uint64_t *counts,
                              size_t experts);

#endif
