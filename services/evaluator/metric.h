/* metric.h — metrics: from a filtered answer, or from log-likelihoods, to right or wrong.
 *
 * A metric is a row of a table (metric.c) with a name, a version that goes into every verdict, and
 * the kind of answer it needs. Adding one: docs/adding-a-grader.md. Opened metrics are immutable;
 * any thread.
 */
#ifndef EVAL_METRIC_H
#define EVAL_METRIC_H

#include <jansson.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "text/regex.h"
#include "text/text.h"

enum eval_needs { EVAL_NEEDS_TEXT, EVAL_NEEDS_SCORES };

/* What is right. */
struct eval_gold {
    const struct eval_text *texts; /* any of these */
    size_t text_count;
    const size_t *indices; /* any of these choices */
    size_t index_count;
    const struct eval_text *choices;
    size_t choice_count;
};

struct eval_score {
    double log_likelihood;
    bool greedy;
};

struct eval_metric_input {
    struct cap_arena *arena;
    struct eval_regex_work *work;
    const struct eval_gold *gold;
    struct eval_text answer;         /* EVAL_NEEDS_TEXT: what the filter left */
    const struct eval_score *scores; /* EVAL_NEEDS_SCORES: one for each choice */
};

struct eval_metric_result {
    double score;
    struct eval_text extracted; /* EVAL_NEEDS_SCORES: the choice taken, as a letter */
};

struct eval_metric_ops {
    const char *name;
    const char *version; /* of verdicts: a change of meaning is a new version */
    enum eval_needs needs;
    const char *const *keys;                                   /* the options that only it has */
    void *(*open)(const json_t *options, struct cap_err *err); /* NULL: no options */
    bool (*grade)(const void *state, const struct eval_metric_input *in,
                  struct eval_metric_result *out, struct cap_err *err);
    void (*free)(void *state);
};

extern const struct eval_metric_ops eval_metric_exact_match, eval_metric_acc, eval_metric_acc_norm,
    eval_metric_acc_bytes, eval_metric_greedy_match;

struct eval_metric {
    const struct eval_metric_ops *ops;
    void *state;
};

/* `options` is an entry of metric_list. */
bool eval_metric_open(const json_t *options, enum eval_needs needs, struct eval_metric *out,
                      struct cap_err *err);
void eval_metric_done(struct eval_metric *metric);

#endif
