/* activation.h — which experts a run chose: distinct ones by the size of a pass, selections by
 * layer and expert. activation.c says how it is summed; docs/activation.md what is made of it.
 */
#ifndef EVAL_ACTIVATION_H
#define EVAL_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run.h"

enum { EVAL_LAYERS_MAX = 1024, EVAL_EXPERTS_MAX = 4096 };

/* A mixed pass reads prompts and writes answers: it is in the figures of neither. */
enum eval_phase { EVAL_PREFILL, EVAL_DECODE, EVAL_MIXED, EVAL_PHASE_COUNT };
enum { EVAL_PURE_PHASES = EVAL_MIXED };

struct eval_layer_counts {
    uint64_t *counts; /* by expert */
    size_t experts;
};

/* Passes of about one size: sums over them. */
struct eval_activation_point {
    uint64_t passes, tokens;
    double distinct; /* experts of a layer, a mean over layers */
    double uniform;  /* what a uniform router would use */
};

enum { EVAL_ACTIVATION_POINTS = 160 };

struct eval_activation { /* of one phase, without warm-up */
    struct eval_activation_point points[EVAL_ACTIVATION_POINTS];
    uint64_t rows;                      /* tokens of all passes */
    uint64_t impossible_passes;         /* see activation.c */
    uint64_t by_layer[EVAL_LAYERS_MAX]; /* distinct experts, over passes; MoE layers only */
    uint64_t layer_passes;              /* that said them */
    size_t layer_count;                 /* the most that one said */
    struct eval_layer_counts layers[EVAL_LAYERS_MAX];
};

void eval_activation_add_pass(struct eval_activation *a, const struct eval_run *run,
                              uint32_t tokens, const uint32_t *distinct, size_t layers);
/* Selections of a layer by expert; false past a limit, then nothing is added. */
bool eval_activation_add_counts(struct eval_activation *a, uint32_t layer, const uint64_t *counts,
                                size_t experts);
void eval_activation_done(struct eval_activation *a);

/* Distinct experts of a layer if each of `tokens` chose top_k of them uniformly. */
double eval_uniform_experts(double experts, double top_k, double tokens);

struct eval_balance {
    double max_ratio;  /* the busiest expert's selections / the mean; 1 = even */
    double gini;       /* 0 = even */
    double jain;       /* (sum)^2 / (experts * sum of squares); 1 = even */
    double entropy;    /* of the shares, / ln(experts); 1 = even */
    double selections; /* in all */
};
/* False when nothing was chosen, or there is one expert: then there is no balance. */
bool eval_balance_of(const struct eval_layer_counts *layer, struct eval_balance *out);

#endif
