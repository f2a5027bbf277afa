/* Random words, counted until there are as many tokens as were asked for; see fixed.h. */
#include "node/fixed.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/rand.h"
#include "node/word_costs.h"

enum {
    COUNTS_MAX = 16,  /* of one prompt, until its words fit */
    LETTERS_MAX = 64, /* then no text of that length is found */
    WORDS_MIN = 16,   /* fewer would repeat themselves */
};

/* For an engine that does not show its vocabulary: short words, most of which are one token of any
 * tokenizer for English. The first 32 are in small vocabularies, too. */
static const char *const common_words[] = {
    " the",    " of",     " and",    " to",     " in",    " is",     " that",   " it",
    " was",    " for",    " on",     " are",    " as",    " with",   " his",    " they",
    " at",     " be",     " this",   " have",   " from",  " or",     " one",    " had",
    " by",     " but",    " not",    " what",   " all",   " were",   " we",     " when",
    " time",   " year",   " people", " way",    " day",   " man",    " thing",  " woman",
    " life",   " child",  " world",  " school", " state", " group",  " hand",   " part",
    " place",  " case",   " week",   " work",   " point", " home",   " water",  " room",
    " area",   " money",  " story",  " fact",   " month", " lot",    " right",  " study",
    " book",   " eye",    " job",    " word",   " issue", " side",   " kind",   " head",
    " house",  " power",  " hour",   " game",   " line",  " end",    " law",    " car",
    " city",   " name",   " team",   " idea",   " body",  " back",   " face",   " level",
    " office", " door",   " health", " person", " art",   " war",    " party",  " result",
    " change", " reason", " girl",   " guy",    " food",  " moment", " air",    " force",
    " boy",    " age",    " policy", " music",  " sense", " market", " nation", " plan",
    " class",  " fire",   " future", " field",  " paper", " space",  " ground", " form",
    " event",  " matter", " center", " star",   " table", " summer", " road",   " north",
    " color",  " price",  " river",  " tree",   " stone", " wind",   " green",  " light",
    " sound",  " letter", " glass",  " horse",  " train", " bank",   " winter", " south",
    " east",   " west",   " king",   " stage",  " model", " voice",  " board",  " rest",
    " paint",  " plant",  " radio",  " ship",   " skin",  " snow",
};

void infer_fixed_text(const char *const *words, int word_count, uint64_t seed, int count,
                      struct cap_buf *out)
{
    struct cap_rand rand;

    cap_rand_seed(&rand, seed);
    for (int i = 0; i < count; i++)
        cap_buf_add_str(out, words[cap_rand_below(&rand, (uint64_t)word_count)]);
}

struct words {
    const char *const *list;
    int count;
};

static struct words words_of(struct infer_engine *engine)
{
    struct words words = {.list = common_words, .count = (int)CAP_COUNT_OF(common_words)};

    if (engine->ops->words)
        words.count = engine->ops->words(engine, &words.list);
    return words;
}

/* ---- one prompt ---- */

void infer_fixed_set_text(const struct infer_request *request, const char *text,
                          struct infer_message *messages, struct infer_request *out)
{
    *out = *request;
    if (request->message_count == 0) {
        out->text = text;
        return;
    }
    memcpy(messages, request->messages, (size_t)request->message_count * sizeof *messages);
    messages[request->message_count - 1].content = text;
    out->messages = messages;
}

static bool count_text(struct infer_engine *engine, const struct infer_request *request,
                       const char *text, int *out_tokens, struct cap_err *err)
{
    size_t room = (size_t)request->message_count + 1;
    CAP_AUTO_MEM struct infer_message *messages = calloc(room, sizeof *messages);
    struct infer_request counted;

    if (!messages)
        abort();
    infer_fixed_set_text(request, text, messages, &counted);
    return engine->ops->count_prompt(engine, &counted, out_tokens, err);
}

/* One prompt on its way to the right length. */
struct draft {
    const struct infer_fixed *fixed;
    const struct infer_prompt *prompt;
    struct words words;
    int wanted, count, tokens; /* words drawn, and what they come to */
    struct cap_buf *text;
};

/* Writes the words anew, with `letters` behind them, and counts. */
static bool count_draft(struct draft *d, int letters, struct cap_err *err)
{
    cap_buf_clear(d->text);
    infer_fixed_text(d->words.list, d->words.count, d->prompt->request.seed, d->count, d->text);
    for (int i = 0; i < letters; i++)
        cap_buf_add_str(d->text, i % 4 == 0 ? " x" : "x");
    if (d->text->overflowed)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "a prompt of %d tokens is longer than %d MiB",
                        d->wanted, INFER_FIXED_BYTES_MAX >> 20);
    return count_text(d->fixed->engine, &d->prompt->request, d->text->data, &d->tokens, err);
}

/* As many words as fit. Where a word is a token, the first correction is right. */
static bool fit_words(struct draft *d, struct cap_err *err)
{
    for (int tries = 0; tries < COUNTS_MAX; tries++) {
        int missing = d->wanted - d->tokens;

        if (tries > 0 && (missing == 0 || (missing == 1 && tries > COUNTS_MAX / 2)))
            return true;
        if (tries > 0)
            d->count += missing > -d->count ? missing : -d->count;
        if (!count_draft(d, 0, err))
            return false;
    }
    while (d->tokens > d->wanted && d->count > 0) {
        d->count--;
        if (!count_draft(d, 0, err))
            return false;
    }
    return true;
}

/* Words, then single letters: a tokenizer whose tokens are no words needs them. */
static bool make_exact(struct draft *d, struct cap_err *err)
{
    if (!fit_words(d, err))
        return false;
    for (int letters = 1; d->tokens < d->wanted && letters <= LETTERS_MAX; letters++)
        if (!count_draft(d, letters, err))
            return false;
    return d->tokens == d->wanted ||
           cap_fail(err, CAP_FAILED_PRECONDITION,
                    "no prompt of %d tokens was found for sample %s: the nearest has %d, chat "
                    "template and BOS included; take another --input-tokens",
                    d->wanted, d->prompt->uid, d->tokens);
}

/* ---- all prompts ---- */

/* The text becomes the prompt's, in the assignment's arena. */
static bool keep_text(const struct infer_fixed *fixed, struct infer_prompt *prompt,
                      const struct cap_buf *text, struct cap_err *err)
{
    struct cap_arena *arena = fixed->assignment->arena;
    size_t count = (size_t)prompt->request.message_count;
    struct infer_message *messages = cap_arena_array(arena, count, sizeof *messages);
    const char *copy = cap_arena_strdup(arena, text->data);

    if (!copy || (count && !messages))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                        "prompts of %d tokens need more than %zu MiB on the node (setting "
                        "prompt_mib_max)",
                        fixed->assignment->spec.input_tokens, cap_arena_used(arena) >> 20);
    infer_fixed_set_text(&prompt->request, copy, messages, &prompt->request);
    return true;
}

/* Counted by the engine: the next one has as many words. */
static bool fill_counted(const struct infer_fixed *fixed, struct words words, int *io_count,
                         struct infer_prompt *prompt, struct cap_err *err)
{
    CAP_AUTO_BUF(text, INFER_FIXED_BYTES_MAX);
    struct draft draft = {.fixed = fixed,
                          .prompt = prompt,
                          .words = words,
                          .wanted = fixed->assignment->spec.input_tokens,
                          .count = *io_count,
                          .text = &text};

    if (!make_exact(&draft, err))
        return false;
    *io_count = draft.count;
    return keep_text(fixed, prompt, &text, err);
}

/* A server that does not say its usage gets as many words as tokens were asked for. */
static bool fill_by_usage(const struct infer_fixed *fixed, const struct infer_word_costs *costs,
                          struct infer_prompt *prompt, struct cap_err *err)
{
    CAP_AUTO_BUF(text, INFER_FIXED_BYTES_MAX);

    if (costs->count > 0)
        infer_word_costs_text(costs, prompt->request.seed, &text);
    else
        infer_fixed_text(common_words, CAP_COUNT_OF(common_words), prompt->request.seed,
                         fixed->assignment->spec.input_tokens, &text);
    return keep_text(fixed, prompt, &text, err);
}

static bool fill_all(const struct infer_fixed *fixed, const struct infer_word_costs *costs,
                     struct cap_err *err)
{
    struct infer_assignment *assignment = fixed->assignment;
    struct words words = words_of(fixed->engine);
    int count = assignment->spec.input_tokens;

    if (words.count < WORDS_MIN)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the model's vocabulary has %d words that are one token; prompts of exact "
                        "lengths need %d",
                        words.count, WORDS_MIN);
    for (int i = 0; i < assignment->prompt_count; i++) {
        struct infer_prompt *prompt = &assignment->prompts[i];

        if (fixed->unwanted && fixed->unwanted(fixed->unwanted_arg))
            return cap_fail(err, CAP_CANCELLED, "nobody waits for this run any more");
        if (!(fixed->engine->ops->count_prompt ? fill_counted(fixed, words, &count, prompt, err)
                                               : fill_by_usage(fixed, costs, prompt, err)))
            return false;
    }
    return true;
}

bool infer_fixed_fill(const struct infer_fixed *fixed, struct cap_err *err)
{
    struct infer_word_costs costs = {0};
    bool is_server = !fixed->engine->ops->count_prompt, ok;

    if (fixed->assignment->prompt_count == 0)
        return true;
    ok = !is_server ||
         infer_word_costs_learn(fixed, common_words, CAP_COUNT_OF(common_words), &costs, err);
    ok = ok && fill_all(fixed, &costs, err);
    infer_word_costs_done(&costs);
    return ok;
}
