/* routing.h — which experts two runs of one model chose: how far their loads overlap, layer by
 * layer, and how many selections moved where both answered the same prompts.
 *
 * Two precisions of a model send some tokens to other experts; of two tasks the busiest experts
 * may differ. Loads are compared as shares of a layer's selections. A sample that both runs have is
 * compared by its own selections: the share that moved is the total variation of the two, which
 * for a prompt of n tokens is the least number of its n * k selections that must have changed.
 *
 * Samples of each run come in rising order of ordinals; what waits for the other run is bounded.
 * Pure, one user at a time.
 *
 *     CAP_AUTO(eval_routing) r = eval_routing_open(runs, same_model, err);
 *     eval_routing_add_counts(r, 0, EVAL_DECODE, layer, counts, experts);
 *     eval_routing_add_sample(r, 1, &sample, err);
 *     eval_routing_end(r, &result);
 */
#ifndef EVAL_ROUTING_H
#define EVAL_ROUTING_H

#include "activation.h"

enum {
    EVAL_ROUTING_WAITING_BYTES_MAX = 512 << 20, /* samples of one run that the other has not yet */
    EVAL_ROUTING_MOST_MOVED = 20,
    EVAL_UID_BYTES = 128,
};

/* Strings are borrowed for the life of the comparison. */
struct eval_routing_run {
    const char *run_id, *model, *model_sha256; /* sha "" = unknown */
    const char *task, *task_sha256, *data_sha256, *prompt_format;
    int64_t num_fewshot;                 /* -1: the task's own */
    uint32_t moe_layers, experts, top_k; /* 0 = unknown */
    const char *routing_unknown;         /* why its samples have no routing; "" = they have */
    const char *source;                  /* whose choices it is, words/words.h; "" = nobody says */
    bool interrupted;
};

/* Selections of one sample; verdict: by the headline metric. */
struct eval_routing_layer {
    uint32_t layer;
    const uint32_t *counts[EVAL_PURE_PHASES];
    size_t experts[EVAL_PURE_PHASES]; /* 0: none in this phase */
};
struct eval_routing_sample {
    uint32_t ordinal;
    const char *uid;
    bool graded, correct;
    const struct eval_routing_layer *layers; /* none: unknown */
    size_t layer_count;
};

struct eval_routing;
/* Fails (CAP_FAILED_PRECONDITION) when the two are not runs of one model. */
struct eval_routing *eval_routing_open(const struct eval_routing_run runs[2], bool same_model,
                                       struct cap_err *err);
void eval_routing_free(struct eval_routing *r);
CAP_DEFINE_AUTO(eval_routing)

void eval_routing_add_counts(struct eval_routing *r, int run, enum eval_phase phase, uint32_t layer,
                             const uint64_t *counts, size_t experts);
/* Copied. */
bool eval_routing_add_sample(struct eval_routing *r, int run,
                             const struct eval_routing_sample *sample, struct cap_err *err);

/* ---- the result ---- */

struct eval_overlap {
    double cosine, jaccard, jensen_shannon, total_variation;
};

struct eval_routing_row {
    enum eval_phase phase;
    uint32_t layer;
    struct eval_overlap overlap;
    double moved; /* NAN: not compared */
};

struct eval_routing_moved {
    uint32_t ordinal;
    char uid[EVAL_UID_BYTES];
    double moved;
};

/* A number, or why there is none. */
struct eval_routing_figure {
    const char *id, *unit;
    double value; /* NAN: see reason */
    const char *reason;
};

/* ROUTING_FIGURE(id, unit, what it is): the table of docs/activation.md */
#define EVAL_ROUTING_FIGURES(X)                                                                    \
    X(routing_cosine_prefill, "ratio")                                                             \
    X(routing_jaccard_prefill, "ratio")                                                            \
    X(routing_jensen_shannon_prefill, "bits")                                                      \
    X(routing_total_variation_prefill, "ratio")                                                    \
    X(routing_moved_prefill, "ratio")                                                              \
    X(routing_cosine_decode, "ratio")                                                              \
    X(routing_jaccard_decode, "ratio")                                                             \
    X(routing_jensen_shannon_decode, "bits")                                                       \
    X(routing_total_variation_decode, "ratio")                                                     \
    X(routing_moved_decode, "ratio")                                                               \
    X(routing_samples, "samples")                                                                  \
    X(routing_samples_moved, "ratio")                                                              \
    X(accuracy_a, "ratio")                                                                         \
    X(accuracy_b, "ratio")                                                                         \
    X(accuracy_change, "ratio")

enum eval_routing_figure_id {
#define ID(id, unit) EVAL_ROUTING_##id,
    EVAL_ROUTING_FIGURES(ID)
#undef ID
        EVAL_ROUTING_FIGURE_COUNT
};

struct eval_routing_result {
    struct eval_routing_row *rows; /* by phase, layer; lives with the comparison */
    size_t row_count, top;
    bool declared; /* rests on the word of who asked */
    struct eval_routing_figure figures[EVAL_ROUTING_FIGURE_COUNT];
    struct eval_routing_moved most_moved[EVAL_ROUTING_MOST_MOVED]; /* the most first */
    size_t most_moved_count;
    const char *notes[4];
    size_t note_count;
};
void eval_routing_end(struct eval_routing *r, struct eval_routing_result *out);

/* For tests: two lists of selections as shares; false when one has none. */
bool eval_overlap_of(const struct eval_layer_counts *a, const struct eval_layer_counts *b,
                     size_t top, struct eval_overlap *out);

#endif
