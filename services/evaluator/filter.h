/* filter.h — filter pipelines: from what a model wrote to what is compared.
 *
 * A pipeline is a named list of steps; each step is a row of a table (filter.c) and works on all
 * responses to one document, as in lm-evaluation-harness. Adding one: docs/adding-a-grader.md.
 * Pipelines are immutable and may be run from any thread; a run's texts live in the arena.
 */
#ifndef EVAL_FILTER_H
#define EVAL_FILTER_H

#include <jansson.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "text/regex.h"
#include "text/text.h"

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

#endif
