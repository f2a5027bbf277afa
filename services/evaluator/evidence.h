/* evidence.h — a run's evidence on its way to figures: sums and values, one message at a time.
 *
 * The messages of Measure are read here and nowhere else: what the families need of them is kept as
 * sums, and as lists of durations. What is kept is bounded (limits below; past one the figures that
 * it feeds say so). One user at a time.
 *
 *     CAP_AUTO(eval_evidence) evidence = eval_evidence_new(&run);
 *     eval_evidence_add(evidence, message);  // ... until there are no more
 *     ok = eval_measure(evidence, arena, summary);
 */
#ifndef EVAL_EVIDENCE_H
#define EVAL_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "moecap/v1/evaluator.pb-c.h"

enum {
    EVAL_VALUES_MAX = 64 * 1000 * 1000, /* of one duration */
    EVAL_METRICS_MAX = 64,
    EVAL_LAYERS_MAX = 1024,
    EVAL_EXPERTS_MAX = 4096,
};

/* ---- what is known of the run ---- */

struct eval_run {
    uint32_t attempted;         /* samples of the run */
    uint32_t attempts;          /* leases that stored something */
    bool scoring;               /* log-likelihoods: there is no decode */
    const char *const *metrics; /* ids, the first is the headline; borrowed */
    size_t metric_count;
    uint32_t exact_tokens; /* every answer was to have this many; 0: no */
    bool reported;         /* a shard's report is there: */
    uint32_t moe_layers, experts, top_k;
    bool shape_declared; /* experts and top_k are what the submitter said */
    bool in_engine;      /* times were taken in the engine, not at an HTTP client */
};

/* From the header; texts are copied into the arena. */
bool eval_run_read(const Moecap__V1__EvidenceHeader *header, struct cap_arena *arena,
                   struct eval_run *out, struct cap_err *err);

/* ---- what is kept ---- */

enum eval_phase { EVAL_PREFILL, EVAL_DECODE, EVAL_PHASE_COUNT };

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
    /* what the engine counted of its work, and over which passes and time it did */
    uint64_t weight_bytes, kv_bytes, bytes_passes, bytes_ns;
    double flops;
    uint64_t flops_passes, flops_ns;
};

struct eval_layer_counts {
    uint64_t *counts; /* by expert */
    size_t experts;
};

struct eval_evidence {
    struct eval_run run;
    uint64_t answers, served, completed, truncated, failed;
    uint64_t prompt_tokens, output_tokens;
    uint64_t without_prompt_tokens, without_output_tokens; /* completed answers that do not say */
    uint64_t impossible_counts; /* of these, answers whose server said what cannot be */
    uint64_t other_length;      /* completed, not exact_tokens long */
    uint64_t timed, disordered; /* answers with times; with impossible ones */
    uint64_t decoded;           /* timed, of two tokens or more; of these: */
    uint64_t without_gaps, without_first_count; /* how many tokens came first is not known */
    int64_t first_submitted_us, last_ended_us;
    struct eval_values ttft, tpot, itl, e2e;
    uint64_t verdicts[EVAL_METRICS_MAX], correct[EVAL_METRICS_MAX], unanswered;
    uint64_t passes, warm_up_passes;
    struct eval_phase_sums phases[EVAL_PHASE_COUNT];
    struct eval_layer_counts layers[EVAL_LAYERS_MAX];
    bool has_counts, counts_overflowed;
};

struct eval_evidence *eval_evidence_new(const struct eval_run *run);
void eval_evidence_free(struct eval_evidence *evidence);
CAP_DEFINE_AUTO(eval_evidence)

void eval_evidence_add_answer(struct eval_evidence *e, const Moecap__V1__SampleAnswer *answer);
void eval_evidence_add_verdict(struct eval_evidence *e, const Moecap__V1__Verdict *verdict);
void eval_evidence_add_pass(struct eval_evidence *e, const Moecap__V1__Pass *pass);
/* Selections of the experts of one layer. */
void eval_evidence_add_counts(struct eval_evidence *e, const Moecap__V1__ExpertCount *counts);
/* All that a message holds. */
void eval_evidence_add(struct eval_evidence *e, const Moecap__V1__Evidence *evidence);

#endif
