/* render.h — samples to prompts, as lm-evaluation-harness makes them.
 *
 * A prompt is description, few-shot examples with their answers, and the question; the sample's own
 * answer never goes in (fewshot.h). Any replica gives the same prompt for any batch. Any thread;
 * one render a batch.
 *
 *     CAP_AUTO(eval_render) render = eval_render_open(task, pool, spec, repeat, err);
 *     ok = render && eval_render_prompt(render, doc, arena, &prompt, err);
 */
#ifndef EVAL_RENDER_H
#define EVAL_RENDER_H

#include "fewshot.h"
#include "moecap/v1/evaluator.pb-c.h"

enum {
    EVAL_PROMPT_BYTES_MAX = 4 << 20,
    EVAL_ORDINAL_MAX = 10 * 1000 * 1000, /* draws are repeated up to here */
};

struct eval_render;

/* All are borrowed; a spec of NULL asks for nothing beyond the task's own settings. Fails where the
 * spec does not fit the task. */
struct eval_render *eval_render_open(const struct eval_task *task, struct eval_pool *pool,
                                     const Moecap__V1__EvaluationSpec *spec, uint32_t repeat,
                                     struct cap_err *err);
void eval_render_free(struct eval_render *render);
CAP_DEFINE_AUTO(eval_render)

/* Who may lose interest in the prompts: then rendering fails with CAP_CANCELLED. Borrowed. */
void eval_render_until(struct eval_render *render, const struct cap_jinja_stop *stop);

/* Documents in rising order of ordinals are cheapest. Also checks that the document has a right
 * answer. Failures name the document. `out` is filled from the arena, but for doc's own texts. */
bool eval_render_prompt(struct eval_render *render, const Moecap__V1__TaskDoc *doc,
                        struct cap_arena *arena, Moecap__V1__Prompt *out, struct cap_err *err);

#endif
