/* rendering.h — documents, pools and what an evaluation asks for, as a test writes them down. */
#ifndef EVAL_TEST_RENDERING_H
#define EVAL_TEST_RENDERING_H

#include "evaluator/render.h"
#include "vectors.h"

static struct cap_arena *arena; /* of the test program */

/* A document as a test writes it. */
struct document {
    uint32_t ordinal;
    const char *uid, *json;
};

static inline Moecap__V1__TaskDoc doc_of(const struct document *document)
{
    Moecap__V1__TaskDoc doc = MOECAP__V1__TASK_DOC__INIT;

    doc.ordinal = document->ordinal;
    doc.uid = (char *)document->uid;
    doc.json = (char *)document->json;
    return doc;
}

/* What an evaluation asks for; the messages live in the arena. */
struct settings {
    bool chat, has_num_fewshot, ignore_eos;
    uint32_t num_fewshot, max_tokens, top_k, repeat;
    double temperature, top_p; /* 0: not set */
    uint64_t seed;
};

static inline Moecap__V1__EvaluationSpec *spec_of(const struct settings *settings)
{
    Moecap__V1__EvaluationSpec *spec = cap_arena_alloc(arena, sizeof *spec);
    Moecap__V1__Generation *g = cap_arena_alloc(arena, sizeof *g);

    moecap__v1__evaluation_spec__init(spec);
    moecap__v1__generation__init(g);
    spec->generation = g;
    spec->seed = settings->seed;
    spec->prompt_format = settings->chat ? "chat" : "";
    if (settings->has_num_fewshot)
        spec->opt_num_fewshot_case = MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT;
    if (settings->has_num_fewshot)
        spec->num_fewshot = settings->num_fewshot;
    g->max_tokens = settings->max_tokens;
    g->top_k = settings->top_k;
    g->ignore_eos = settings->ignore_eos;
    if (settings->temperature > 0) {
        g->opt_temperature_case = MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE;
        g->temperature = settings->temperature;
    }
    if (settings->top_p > 0) {
        g->opt_top_p_case = MOECAP__V1__GENERATION__OPT_TOP_P_TOP_P;
        g->top_p = settings->top_p;
    }
    return spec;
}

static inline struct eval_pool *open_pool(const struct eval_task *task, const struct document *docs,
                                          size_t count)
{
    struct eval_pool *pool = eval_pool_new(task);
    struct cap_err err = {0};

    for (size_t i = 0; i < count; i++)
        if (!eval_pool_add(pool, docs[i].uid, docs[i].json, &err))
            fail_msg("%s", err.text);
    if (count == 0 && !eval_pool_add_samples(pool, &err))
        fail_msg("%s", err.text);
    eval_pool_end(pool);
    return pool;
}

#endif
