/* Prompts, by the harness's rules (0.4.13, Task.fewshot_context and what it calls).
 *
 * As one text: description, then each example as question, delimiter, answer and the examples'
 * delimiter, then the question. As a chat: the description, as it is written, is the system
 * message; each example is a user's and an assistant's turn. A prefix of the answer (gen_prefix)
 * follows the question, after the delimiter where neither side brings a blank. */
#include "render.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/rand.h"
#include "jinja/jinja.h"
#include "keys.h"

struct eval_render {
    const struct eval_task *task;
    struct eval_pool *pool;
    const Moecap__V1__EvaluationSpec *spec;
    uint32_t repeat;
    bool chat;
    struct eval_draw draw;
    const struct cap_jinja_stop *stop; /* may be NULL */
};

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the prompts need too much memory");
}

/* ---- opening ---- */

static bool check_generation(const Moecap__V1__Generation *g, struct cap_err *err)
{
    if (!g)
        return true;
    if (g->opt_temperature_case == MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE &&
        (!isfinite(g->temperature) || g->temperature < 0))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "temperature %g is below 0", g->temperature);
    if (g->max_tokens > EVAL_MAX_TOKENS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "max_tokens %u is above %d", g->max_tokens,
                        EVAL_MAX_TOKENS_MAX);
    return true;
}

static bool check_spec(const struct eval_render *r, struct cap_err *err)
{
    const Moecap__V1__EvaluationSpec *spec = r->spec;

    if (!r->chat && *spec->prompt_format && strcmp(spec->prompt_format, "text") != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "prompt_format \"%.40s\" is neither text nor chat", spec->prompt_format);
    if (r->chat && r->task->form.gen_prefix)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "task \"%s\" begins the answer itself (gen_prefix): a chat cannot be asked "
                        "so; ask for text",
                        r->task->name);
    if (r->draw.shots > EVAL_FEWSHOT_MAX || r->draw.shots > eval_pool_count(r->pool))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "task \"%s\" cannot show %zu examples: its few-shot pool has %zu, and %d "
                        "is the most",
                        r->task->name, r->draw.shots, eval_pool_count(r->pool), EVAL_FEWSHOT_MAX);
    return check_generation(spec->generation, err);
}

struct eval_render *eval_render_open(const struct eval_task *task, struct eval_pool *pool,
                                     const Moecap__V1__EvaluationSpec *spec, uint32_t repeat,
                                     struct cap_err *err)
{
    static const Moecap__V1__EvaluationSpec nothing = MOECAP__V1__EVALUATION_SPEC__INIT;
    CAP_AUTO(eval_render) render = calloc(1, sizeof *render);

    if (!render)
        abort();
    *render = (struct eval_render){
        .task = task, .pool = pool, .spec = spec ? spec : &nothing, .repeat = repeat};
    spec = render->spec;
    render->chat = strcmp(spec->prompt_format, "chat") == 0;
    render->draw = (struct eval_draw){
        .task = task,
        .pool = pool,
        .seed = spec->seed,
        .shots =
            spec->opt_num_fewshot_case == MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT
                ? spec->num_fewshot
                : (size_t)task->shots.count,
    };
    return check_spec(render, err) ? cap_take(render) : NULL;
}

void eval_render_free(struct eval_render *render)
{
    if (!render)
        return;
    eval_draw_done(&render->draw);
    free(render);
}

void eval_render_until(struct eval_render *render, const struct cap_jinja_stop *stop)
{
    render->stop = stop;
}

static bool check_wanted(const struct eval_render *r, struct cap_err *err)
{
    return !r->stop || !r->stop->asked(r->stop->self) ||
           cap_fail(err, CAP_CANCELLED, "the caller is gone");
}

/* ---- one turn ---- */

static void add(struct cap_buf *buf, struct eval_text text)
{
    cap_buf_add(buf, text.data, text.length);
}

/* Whether a blank stands on either side of the place where the two meet. */
static bool meet_at_blank(struct eval_text before, struct eval_text after)
{
    const struct eval_text left = eval_text_strip(before), right = eval_text_strip_left(after);

    return (before.length > 0 && left.data + left.length != before.data + before.length) ||
           (after.length > 0 && right.data != after.data);
}

/* The question as a text, up to where the answer begins. */
static void add_question(struct cap_buf *buf, const struct eval_form *form,
                         struct eval_text question, struct eval_text prefix, bool answered)
{
    add(buf, question);
    if (prefix.length > 0 ? question.length > 0 && !meet_at_blank(question, prefix) : answered)
        add(buf, form->target_delimiter);
    add(buf, prefix);
}

/* What stands between a prefix and the answer after it. */
static const char *prefix_blank(const struct eval_example *example)
{
    return example->prefix.length > 0 && example->answer.length > 0 &&
                   !meet_at_blank(example->prefix, example->answer)
               ? " "
               : "";
}

static bool finish(struct cap_buf *buf, struct cap_arena *arena, char **out, struct cap_err *err)
{
    if (buf->overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt exceeds %d bytes",
                        EVAL_PROMPT_BYTES_MAX);
    if (memchr(buf->data, '\0', buf->length))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt holds U+0000");
    *out = cap_arena_strndup(arena, buf->data, buf->length);
    return *out ? true : fail_full(err);
}

/* ---- one text ---- */

struct asked {
    struct eval_text description, question, prefix;
};

static bool render_text(struct eval_render *r, const struct asked *asked,
                        const struct eval_example *examples, struct cap_arena *arena,
                        Moecap__V1__Prompt *out, struct cap_err *err)
{
    const struct eval_shots *shots = &r->task->shots;
    CAP_AUTO_BUF(buf, EVAL_PROMPT_BYTES_MAX);

    add(&buf, asked->description);
    for (size_t i = 0; i < r->draw.shots; i++) {
        const struct eval_example *e = &examples[i];

        assert(examples);
        add_question(&buf, &shots->form, e->question, e->prefix, e->answer.length > 0);
        if (e->answer.length == 0)
            continue; /* the harness leaves the delimiter out as well */
        cap_buf_add_str(&buf, prefix_blank(e));
        add(&buf, e->answer);
        add(&buf, shots->delimiter);
    }
    add_question(&buf, &r->task->form, asked->question, asked->prefix, false);
    return finish(&buf, arena, &out->text, err);
}

/* ---- messages ---- */

struct said { /* what one message says: two texts, with this between them */
    const char *role;
    struct eval_text first;
    const char *blank;
    struct eval_text second;
};

static bool add_message(Moecap__V1__Prompt *out, const struct said *said, struct cap_arena *arena,
                        struct cap_err *err)
{
    CAP_AUTO_BUF(buf, EVAL_PROMPT_BYTES_MAX);
    Moecap__V1__ChatMessage *message = cap_arena_alloc(arena, sizeof *message);

    if (!message)
        return fail_full(err);
    moecap__v1__chat_message__init(message);
    message->role = (char *)said->role;
    add(&buf, said->first);
    cap_buf_add_str(&buf, said->blank);
    add(&buf, said->second);
    out->messages[out->n_messages++] = message;
    return finish(&buf, arena, &message->content, err);
}

static bool render_messages(struct eval_render *r, const struct asked *asked,
                            const struct eval_example *examples, struct cap_arena *arena,
                            Moecap__V1__Prompt *out, struct cap_err *err)
{
    const struct eval_text nothing = eval_text_of("");

    out->messages = cap_arena_array(arena, 2 * r->draw.shots + 2, sizeof *out->messages);
    if (!out->messages)
        return fail_full(err);
    if (asked->description.length > 0 &&
        !add_message(out, &(struct said){"system", asked->description, "", nothing}, arena, err))
        return false;
    for (size_t i = 0; i < r->draw.shots; i++) {
        const struct eval_example *e = &examples[i];

        assert(examples);
        if (!add_message(out, &(struct said){"user", e->question, "", nothing}, arena, err))
            return false;
        if (e->prefix.length + e->answer.length > 0 &&
            !add_message(out, &(struct said){"assistant", e->prefix, prefix_blank(e), e->answer},
                         arena, err))
            return false;
    }
    return add_message(out, &(struct said){"user", asked->question, "", nothing}, arena, err);
}

/* ---- what is asked for ---- */

/* Each choice after the delimiter; after a chat template's own marks there is none. */
static bool add_continuations(struct eval_render *r, const struct eval_doc *doc,
                              struct cap_arena *arena, Moecap__V1__Prompt *out, struct cap_err *err)
{
    out->continuations = cap_arena_array(arena, doc->choice_count, sizeof *out->continuations);
    if (!out->continuations)
        return fail_full(err);
    for (size_t i = 0; i < doc->choice_count; i++) {
        CAP_AUTO_BUF(buf, EVAL_PROMPT_BYTES_MAX);

        if (!r->chat)
            add(&buf, r->task->form.target_delimiter);
        add(&buf, doc->choices[i]);
        if (buf.length == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "choice %zu is empty", i + 1);
        if (!finish(&buf, arena, &out->continuations[out->n_continuations++], err))
            return false;
    }
    return true;
}

static bool add_generation(const struct eval_render *r, struct cap_arena *arena,
                           Moecap__V1__Prompt *out, struct cap_err *err)
{
    static const Moecap__V1__Generation nothing = MOECAP__V1__GENERATION__INIT;
    const Moecap__V1__Generation *g = r->spec->generation ? r->spec->generation : &nothing;
    bool has_top_p = g->opt_top_p_case == MOECAP__V1__GENERATION__OPT_TOP_P_TOP_P;

    out->max_tokens = g->max_tokens ? g->max_tokens : (uint32_t)r->task->max_tokens;
    out->temperature =
        g->opt_temperature_case == MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE
            ? g->temperature
            : r->task->temperature;
    if (has_top_p || r->task->top_p > 0) {
        out->opt_top_p_case = MOECAP__V1__PROMPT__OPT_TOP_P_TOP_P;
        out->top_p = has_top_p ? g->top_p : r->task->top_p;
    }
    out->top_k = g->top_k;
    out->ignore_eos = g->ignore_eos;
    if (r->spec->load && r->spec->load->output_tokens) {
        out->max_tokens = r->spec->load->output_tokens;
        out->ignore_eos = true;
    }
    if (out->ignore_eos) /* exact lengths: nothing ends an answer early */
        return true;
    out->stop = cap_arena_array(arena, r->task->stop_count + 1, sizeof *out->stop);
    if (!out->stop)
        return fail_full(err);
    for (size_t i = 0; i < r->task->stop_count; i++)
        if (!(out->stop[out->n_stop++] = (char *)eval_text_c(arena, r->task->stops[i])))
            return fail_full(err);
    return true;
}

/* One seed for each sample and repeat, so that sampled answers do not depend on the order of work.
 */
static uint64_t sample_seed(const struct eval_render *r, uint32_t ordinal)
{
    struct cap_rand rand;

    cap_rand_seed(&rand, r->spec->seed);
    cap_rand_seed(&rand, cap_rand_u64(&rand) ^ ((uint64_t)r->repeat << 32 | ordinal));
    return cap_rand_u64(&rand);
}

/* ---- prompts ---- */

static bool choose_examples(struct eval_render *r, const Moecap__V1__TaskDoc *doc,
                            struct cap_arena *arena, const struct eval_example **out,
                            struct cap_err *err)
{
    struct eval_example *examples = cap_arena_array(arena, r->draw.shots + 1, sizeof *examples);
    struct eval_doc_key key;
    bool keyed = eval_draw_needs_key(&r->draw);

    if (!examples)
        return fail_full(err);
    if ((keyed && !eval_doc_key(doc->json, strlen(doc->json), &key, err)) ||
        !eval_draw_choose(&r->draw, doc->ordinal, keyed ? &key : NULL, err))
        return false;
    for (size_t i = 0; i < r->draw.shots; i++)
        if (!check_wanted(r, err) ||
            !eval_pool_example(r->pool, r->draw.chosen[i], arena, &examples[i], err))
            return false;
    *out = examples;
    return true;
}

static bool render_doc(struct eval_render *r, struct eval_doc *doc,
                       const struct eval_example *examples, struct cap_arena *arena,
                       Moecap__V1__Prompt *out, struct cap_err *err)
{
    struct asked asked;
    struct eval_gold gold;

    if (!eval_doc_description(doc, &asked.description, err) ||
        !eval_doc_text(doc, &asked.question, err) || !eval_doc_prefix(doc, &asked.prefix, err) ||
        !eval_doc_gold(doc, &gold, err))
        return false;
    if (asked.question.length == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_text gives an empty text");
    if (!(r->chat ? render_messages : render_text)(r, &asked, examples, arena, out, err))
        return false;
    return r->task->output == EVAL_MULTIPLE_CHOICE ? add_continuations(r, doc, arena, out, err)
                                                   : add_generation(r, arena, out, err);
}

bool eval_render_prompt(struct eval_render *r, const Moecap__V1__TaskDoc *wire,
                        struct cap_arena *arena, Moecap__V1__Prompt *out, struct cap_err *err)
{
    const struct eval_example *examples = NULL;
    struct eval_doc doc;
    bool ok;

    moecap__v1__prompt__init(out);
    out->ordinal = wire->ordinal;
    out->uid = wire->uid;
    out->seed = sample_seed(r, wire->ordinal);
    if (wire->ordinal > EVAL_ORDINAL_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "ordinal %u is above %d", wire->ordinal,
                        EVAL_ORDINAL_MAX);
    ok = check_wanted(r, err) && choose_examples(r, wire, arena, &examples, err) &&
         eval_doc_open(&doc, r->task, &r->task->form, wire->json, strlen(wire->json), arena, err);
    if (ok) {
        doc.stop = r->stop;
        ok = render_doc(r, &doc, examples, arena, out, err);
        eval_doc_done(&doc);
    }
    return ok || cap_fail_in(err, "document %u (\"%s\")", wire->ordinal, wire->uid);
}
