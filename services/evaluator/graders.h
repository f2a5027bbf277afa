/* graders.h — what a grader is made of: filters, from what a model wrote to what is compared, and
 * metrics, from that or from log-likelihoods to right or wrong.
 *
 * Both are tables; each row has its options. Adding one: docs/adding-a-grader.md. Opened
 * ones are immutable and may be used from any thread; a run's texts live in the arena.
 */
#ifndef EVAL_GRADERS_H
#define EVAL_GRADERS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "text/regex.h"
#include "text/text.h"

/* ---- filters ----
 *
 * A pipeline is a named list of steps; each step is a row of a table (filter.c) and works on all
 * responses to one document, as in lm-evaluation-harness.
 */

enum { EVAL_FILTER_STEPS_MAX = 16, EVAL_RESPONSES_MAX = 1024 };

struct eval_response {
    struct eval_text text;
    bool missing; /* a step found nothing and put its fallback here */
};

/* What a run of a pipeline works with. */
struct eval_filtering {
    struct cap_arena *arena;
    struct eval_regex_work *work;
    const struct eval_text *choices; /* of the document; multi_choice_regex alone asks */
    size_t choice_count;
    struct eval_response *responses;
    size_t count;
};

struct eval_filter_ops {
    const char *name;
    const char *const *keys; /* besides "function"; NULL-terminated */
    void *(*open)(const json_t *options, struct cap_err *err); /* NULL: no options */
    bool (*apply)(const void *state, struct eval_filtering *f, struct cap_err *err);
    void (*free)(void *state);
};

extern const struct eval_filter_ops eval_filter_regex, eval_filter_first_match, eval_filter_remove,
    eval_filter_multi_choice_regex, eval_filter_moecap_number;

struct eval_pipeline;

/* `options` is an entry of filter_list: {name, filter: [{function, ...}, ...]}; NULL: take_first.
 */
struct eval_pipeline *eval_pipeline_open(const json_t *options, struct cap_err *err);
void eval_pipeline_free(struct eval_pipeline *pipeline);
CAP_DEFINE_AUTO(eval_pipeline)

const char *eval_pipeline_name(const struct eval_pipeline *pipeline); /* "none" without one */

/* Changes f->responses; afterwards there is at least one. Fails (RESOURCE_EXHAUSTED) when a pattern
 * needed too much work on this text or the arena is full. */
bool eval_pipeline_run(const struct eval_pipeline *pipeline, struct eval_filtering *f,
                       struct cap_err *err);

/* What every step says when the arena has no more room, or a pattern gave up. */
bool eval_filter_fail_effort(struct cap_err *err);

/* ---- metrics ----
 *
 * A metric is a row of a table (metric.c) with a name, a version that goes into every verdict, and
 * the kind of answer it needs.
 */

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
