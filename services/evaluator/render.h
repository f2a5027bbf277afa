/* render.h — samples to prompts, as lm-evaluation-harness makes them.
 *
 * A prompt is description, few-shot examples with their answers, and the question; the sample's own
 * answer never goes in. Few-shot examples are drawn by one generator for the whole task, in the
 * order of its documents: the draw for the document at `ordinal` is found by drawing for those
 * before it, so any replica gives the same prompt for any batch. Any thread; one arena a batch.
 *
 *     CAP_AUTO(eval_render) render = eval_render_open(task, &settings, pool, pool_count, err);
 *     ok = render && eval_render_prompt(render, &document, arena, &prompt, err);
 */
#ifndef EVAL_RENDER_H
#define EVAL_RENDER_H

#include <stdint.h>

#include "doc.h"

enum {
    EVAL_PROMPT_BYTES_MAX = 4 << 20,
    EVAL_ORDINAL_MAX = 10 * 1000 * 1000, /* draws are repeated up to here */
    EVAL_FEWSHOT_SEED = 1234,            /* lm-eval's, where none is asked for */
};

/* What an evaluation asks for beyond the task's own settings. */
struct eval_settings {
    bool has_num_fewshot, has_temperature, has_top_p;
    uint32_t num_fewshot;
    double temperature, top_p;
    uint32_t max_tokens; /* 0: the task's */
    uint32_t top_k;
    bool ignore_eos; /* exact lengths: no stop strings then */
    bool chat;       /* messages for the model's chat template instead of one text */
    uint64_t seed;   /* 0: EVAL_FEWSHOT_SEED for the draws */
    uint32_t repeat;
};

struct eval_document {
    uint32_t ordinal;
    const char *uid;
    const char *json;
};

struct eval_message {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
};

struct eval_prompt {
    uint32_t ordinal;
    const char *uid;
    const char *text; /* "" when there are messages */
    const struct eval_message *messages;
    size_t message_count;
    const char *const *continuations; /* to be scored; none: generate */
    size_t continuation_count;
    const char *const *stops;
    size_t stop_count;
    uint32_t max_tokens, top_k;
    double temperature, top_p;
    bool has_top_p, ignore_eos;
    uint64_t seed;
};

struct eval_render;

/* The task, the settings and the pool are borrowed. Fails when the pool is too small. */
struct eval_render *eval_render_open(const struct eval_task *task,
                                     const struct eval_settings *settings,
                                     const struct eval_document *pool, size_t pool_count,
                                     struct cap_err *err);
void eval_render_free(struct eval_render *render);
CAP_DEFINE_AUTO(eval_render)

/* Documents in rising order of ordinals are cheapest. Also checks that the document has a right
 * answer. Failures name the document. */
bool eval_render_prompt(struct eval_render *render, const struct eval_document *document,
                        struct cap_arena *arena, struct eval_prompt *out, struct cap_err *err);

#endif
