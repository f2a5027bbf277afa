#include "render.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/rand.h"
#include "keys.h"
#include "text/pyrandom.h"

/* One example of the pool, as it is shown. */
struct example {
    bool made;
    struct eval_text text, target;
};

struct eval_render {
    const struct eval_task *task;
    const struct eval_settings *settings;
    const struct eval_document *pool;
    size_t pool_count, shots;
    struct example *examples;
    struct cap_arena *arena;      /* of the examples */
    struct eval_pyrandom *random; /* NULL while nothing is drawn */
    uint64_t drawn_to;            /* draws made: those of the documents below this ordinal */
    size_t chosen[EVAL_FEWSHOT_MAX];
};

enum { EXAMPLES_BYTES_MAX = 64 << 20 };

struct eval_render *eval_render_open(const struct eval_task *task,
                                     const struct eval_settings *settings,
                                     const struct eval_document *pool, size_t pool_count,
                                     struct cap_err *err)
{
    struct eval_render *render;
    size_t shots = settings->has_num_fewshot ? settings->num_fewshot : (size_t)task->num_fewshot;

    if (shots > EVAL_FEWSHOT_MAX || shots > pool_count) {
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "task \"%s\" cannot show %zu examples: its few-shot pool has %zu, and %d is the "
                 "most",
                 task->name, shots, pool_count, EVAL_FEWSHOT_MAX);
        return NULL;
    }
    if (!(render = calloc(1, sizeof *render)))
        abort();
    *render = (struct eval_render){
        .task = task,
        .settings = settings,
        .pool = pool,
        .pool_count = pool_count,
        .shots = shots,
        .examples = calloc(pool_count + 1, sizeof *render->examples),
        .arena = cap_arena_new(EXAMPLES_BYTES_MAX),
    };
    if (!render->examples)
        abort();
    return render;
}

void eval_render_free(struct eval_render *render)
{
    if (!render)
        return;
    free(render->examples);
    free(render->random);
    cap_arena_free(render->arena);
    free(render);
}

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the prompts need too much memory");
}

/* ---- which examples ---- */

static void start_drawing(struct eval_render *r)
{
    if (!r->random && !(r->random = malloc(sizeof *r->random)))
        abort();
    eval_pyrandom_seed(r->random, r->settings->seed ? r->settings->seed : EVAL_FEWSHOT_SEED);
    r->drawn_to = 0;
}

/* Leaves the draw of the document at `ordinal` in r->chosen. */
static void choose(struct eval_render *r, uint32_t ordinal)
{
    if (r->task->fewshot_first || r->shots == 0) {
        for (size_t i = 0; i < r->shots; i++)
            r->chosen[i] = i;
        return;
    }
    if (!r->random || ordinal + 1 < r->drawn_to)
        start_drawing(r);
    while (r->drawn_to < (uint64_t)ordinal + 1) {
        eval_pyrandom_sample(r->random, r->pool_count, r->shots, r->chosen);
        r->drawn_to++;
    }
}

/* ---- examples ---- */

static bool copy_text(struct cap_arena *arena, struct eval_text text, struct eval_text *out,
                      struct cap_err *err)
{
    const char *copy = eval_text_c(arena, text);

    if (!copy)
        return fail_full(err);
    *out = (struct eval_text){copy, text.length};
    return true;
}

/* Examples are made once, when first chosen. */
static bool make_example(struct eval_render *r, size_t index, struct cap_err *err)
{
    const struct eval_document *document = &r->pool[index];
    struct example *example = &r->examples[index];
    struct eval_text text, target;
    struct eval_doc doc;
    bool ok;

    if (example->made)
        return true;
    ok = eval_doc_open(&doc, r->task, document->json, strlen(document->json), r->arena, err);
    if (ok) {
        ok = eval_doc_text(&doc, &text, err) && eval_doc_shown_target(&doc, &target, err) &&
             copy_text(r->arena, text, &example->text, err) &&
             copy_text(r->arena, target, &example->target, err);
        eval_doc_done(&doc);
    }
    example->made = ok;
    return ok || cap_fail_in(err, "few-shot document %zu (\"%s\")", index + 1, document->uid);
}

/* ---- one text ---- */

static void add(struct cap_buf *buf, struct eval_text text)
{
    cap_buf_add(buf, text.data, text.length);
}

static bool finish(struct cap_buf *buf, struct cap_arena *arena, const char **out,
                   struct cap_err *err)
{
    if (buf->overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt exceeds %d bytes",
                        EVAL_PROMPT_BYTES_MAX);
    if (memchr(buf->data, '\0', buf->length))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt holds U+0000");
    *out = cap_arena_strndup(arena, buf->data, buf->length);
    return *out ? true : fail_full(err);
}

static bool render_text(struct eval_render *r, struct eval_text description,
                        struct eval_text question, struct cap_arena *arena, struct eval_prompt *out,
                        struct cap_err *err)
{
    CAP_AUTO_BUF(buf, EVAL_PROMPT_BYTES_MAX);

    add(&buf, description);
    for (size_t i = 0; i < r->shots; i++) {
        const struct example *example = &r->examples[r->chosen[i]];

        add(&buf, example->text);
        add(&buf, r->task->target_delimiter);
        add(&buf, example->target);
        add(&buf, r->task->fewshot_delimiter);
    }
    add(&buf, question);
    return finish(&buf, arena, &out->text, err);
}

/* ---- messages ---- */

static bool add_message(struct eval_message *messages, size_t *io_count, const char *role,
                        struct eval_text content, struct cap_arena *arena, struct cap_err *err)
{
    CAP_AUTO_BUF(buf, EVAL_PROMPT_BYTES_MAX);

    messages[*io_count].role = role;
    add(&buf, content);
    return finish(&buf, arena, &messages[(*io_count)++].content, err);
}

static bool render_messages(struct eval_render *r, struct eval_text description,
                            struct eval_text question, struct cap_arena *arena,
                            struct eval_prompt *out, struct cap_err *err)
{
    struct eval_message *messages = cap_arena_array(arena, 2 * r->shots + 2, sizeof *messages);
    size_t count = 0;

    if (!messages)
        return fail_full(err);
    description = eval_text_strip(description);
    if (description.length > 0 && !add_message(messages, &count, "system", description, arena, err))
        return false;
    for (size_t i = 0; i < r->shots; i++) {
        const struct example *example = &r->examples[r->chosen[i]];

        if (!add_message(messages, &count, "user", example->text, arena, err) ||
            !add_message(messages, &count, "assistant", example->target, arena, err))
            return false;
    }
    if (!add_message(messages, &count, "user", question, arena, err))
        return false;
    out->text = "";
    out->messages = messages;
    out->message_count = count;
    return true;
}

/* ---- what is asked for ---- */

/* Each choice behind the delimiter; behind a chat template's own marks there is none. */
static bool add_continuations(struct eval_render *r, const struct eval_doc *doc,
                              struct cap_arena *arena, struct eval_prompt *out, struct cap_err *err)
{
    const char **texts = cap_arena_array(arena, doc->choice_count, sizeof *texts);

    if (!texts)
        return fail_full(err);
    for (size_t i = 0; i < doc->choice_count; i++) {
        CAP_AUTO_BUF(buf, EVAL_PROMPT_BYTES_MAX);

        if (!r->settings->chat)
            add(&buf, r->task->target_delimiter);
        add(&buf, doc->choices[i]);
        if (buf.length == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "choice %zu is empty", i + 1);
        if (!finish(&buf, arena, &texts[i], err))
            return false;
    }
    out->continuations = texts;
    out->continuation_count = doc->choice_count;
    return true;
}

static bool add_stops(struct eval_render *r, struct cap_arena *arena, struct eval_prompt *out,
                      struct cap_err *err)
{
    const char **texts = cap_arena_array(arena, r->task->stop_count + 1, sizeof *texts);

    if (!texts)
        return fail_full(err);
    for (size_t i = 0; i < r->task->stop_count; i++)
        if (!(texts[i] = eval_text_c(arena, r->task->stops[i])))
            return fail_full(err);
    out->stops = texts;
    out->stop_count = r->settings->ignore_eos ? 0 : r->task->stop_count;
    return true;
}

/* One seed for each sample and repeat, so that sampled answers do not depend on the order of work.
 */
static uint64_t sample_seed(const struct eval_settings *settings, uint32_t ordinal)
{
    struct cap_rand rand;

    cap_rand_seed(&rand, settings->seed);
    cap_rand_seed(&rand, cap_rand_u64(&rand) ^ ((uint64_t)settings->repeat << 32 | ordinal));
    return cap_rand_u64(&rand);
}

static void add_generation(const struct eval_render *r, struct eval_prompt *out)
{
    const struct eval_settings *s = r->settings;

    out->max_tokens = s->max_tokens ? s->max_tokens : (uint32_t)r->task->max_tokens;
    out->temperature = s->has_temperature ? s->temperature : r->task->temperature;
    out->has_top_p = s->has_top_p || r->task->top_p > 0;
    out->top_p = s->has_top_p ? s->top_p : r->task->top_p;
    out->top_k = s->top_k;
    out->ignore_eos = s->ignore_eos;
}

/* ---- prompts ---- */

static bool render_doc(struct eval_render *r, struct eval_doc *doc, struct cap_arena *arena,
                       struct eval_prompt *out, struct cap_err *err)
{
    struct eval_text description, question;
    struct eval_gold gold;

    if (!eval_doc_description(doc, &description, err) || !eval_doc_text(doc, &question, err) ||
        !eval_doc_gold(doc, &gold, err))
        return false;
    if (question.length == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_text gives an empty text");
    if (!(r->settings->chat ? render_messages : render_text)(r, description, question, arena, out,
                                                             err))
        return false;
    if (r->task->output == EVAL_MULTIPLE_CHOICE)
        return add_continuations(r, doc, arena, out, err);
    add_generation(r, out);
    return add_stops(r, arena, out, err);
}

bool eval_render_prompt(struct eval_render *render, const struct eval_document *document,
                        struct cap_arena *arena, struct eval_prompt *out, struct cap_err *err)
{
    struct eval_prompt prompt = {
        .ordinal = document->ordinal,
        .uid = document->uid,
        .seed = sample_seed(render->settings, document->ordinal),
    };
    struct eval_doc doc;
    bool ok;

    if (document->ordinal > EVAL_ORDINAL_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "ordinal %u is above %d", document->ordinal,
                        EVAL_ORDINAL_MAX);
    choose(render, document->ordinal);
    for (size_t i = 0; i < render->shots; i++)
        if (!make_example(render, render->chosen[i], err))
            return false;
    ok = eval_doc_open(&doc, render->task, document->json, strlen(document->json), arena, err);
    if (ok) {
        ok = render_doc(render, &doc, arena, &prompt, err);
        eval_doc_done(&doc);
    }
    if (!ok)
        return cap_fail_in(err, "document %u (\"%s\")", document->ordinal, document->uid);
    *out = prompt;
    return true;
}
