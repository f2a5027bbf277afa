/* A list of words is halved until each is known; see word_costs.h. */
#include "node/word_costs.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/rand.h"

enum {
    GROUP = 32,     /* words of a request; the first group is learned word by word if need be */
    CHECKS_MAX = 3, /* requests of whole texts, once the words are known */
    WAIT_MS = 100,
};

/* ---- one request ---- */

/* Waits for the end of the one request under way. */
static bool wait_for_usage(const struct infer_fixed *fixed, int *out_tokens, struct cap_err *err)
{
    struct infer_engine *engine = fixed->engine;
    const struct cap_clock *clock = cap_clock_system();
    int64_t heard_ms = cap_clock_ms(clock);
    struct infer_event event;

    for (;;) {
        if (fixed->unwanted && fixed->unwanted(fixed->unwanted_arg))
            return cap_fail(err, CAP_CANCELLED, "nobody waits for this run any more");
        if (!engine->ops->wait(engine, WAIT_MS, &event, err)) {
            if (err->code != CAP_OK)
                return false;
            if (cap_clock_ms(clock) - heard_ms > fixed->silence_ms_max)
                return cap_fail(err, CAP_UNAVAILABLE, "the server has not said anything for %d s",
                                fixed->silence_ms_max / 1000);
            continue;
        }
        heard_ms = cap_clock_ms(clock);
        if (event.kind == INFER_FAILED)
            *err = event.failure;
        if (event.kind == INFER_DONE)
            *out_tokens = event.prompt_tokens;
        if (event.kind == INFER_DONE || event.kind == INFER_FAILED)
            return event.kind == INFER_DONE;
    }
}

/* What the server counts for a text; 0 or less: it does not say. */
static bool ask(const struct infer_fixed *fixed, const char *text, int *out_tokens,
                struct cap_err *err)
{
    const struct infer_request *like = &fixed->assignment->prompts[0].request;
    size_t room = (size_t)like->message_count + 1;
    CAP_AUTO_MEM struct infer_message *messages = calloc(room, sizeof *messages);
    struct infer_request request;

    if (!messages)
        abort();
    infer_fixed_set_text(like, text, messages, &request);
    request.max_tokens = 1;
    if (!fixed->engine->ops->submit(fixed->engine, &request, err) ||
        !wait_for_usage(fixed, out_tokens, err)) {
        fixed->engine->ops->cancel(fixed->engine, request.id);
        return cap_fail_in(err, "a request to learn how long a prompt must be");
    }
    return true;
}

/* ---- words ---- */

struct group {
    const char *const *words;
    int count;
};

static bool ask_group(const struct infer_fixed *fixed, struct group group, int times,
                      int *out_tokens, struct cap_err *err)
{
    CAP_AUTO_BUF(text, INFER_FIXED_BYTES_MAX);

    for (int i = 0; i < times * group.count; i++)
        cap_buf_add_str(&text, group.words[i % group.count]);
    return ask(fixed, text.data, out_tokens, err);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static void add_word(struct infer_word_costs *costs, const char *word, int cost)
{
    costs->words[costs->count] = word;
    costs->costs[costs->count++] = cost;
}

/* A group whose words cost so much together. A word is a token at least. */
static bool learn_group(const struct infer_fixed *fixed, struct group group, int cost,
                        struct infer_word_costs *out, struct cap_err *err)
{
    struct group left = {group.words, group.count / 2};
    struct group right = {group.words + left.count, group.count - left.count};
    int tokens = 0;

    if (group.count == 1 || cost <= group.count) {
        for (int i = 0; i < group.count; i++)
            add_word(out, group.words[i], cost > group.count ? cost : 1);
        return true;
    }
    return ask_group(fixed, left, 1, &tokens, err) &&
           learn_group(fixed, left, tokens - out->around, out, err) &&
           learn_group(fixed, right, cost - (tokens - out->around), out, err);
}

/* The first group says what stands around it. Of the others, those whose words are a token each. */
static bool learn_words(const struct infer_fixed *fixed, const char *const *words, int word_count,
                        struct infer_word_costs *out, struct cap_err *err)
{
    for (int from = 0; from < word_count; from += GROUP) {
        int left = word_count - from;
        struct group group = {words + from, left < GROUP ? left : GROUP};
        int once = 0, twice = 0;

        if (!ask_group(fixed, group, 1, &once, err))
            return false;
        if (once <= 0)
            return true;
        if (from == 0 && !ask_group(fixed, group, 2, &twice, err))
            return false;
        if (from == 0)
            out->around = larger(2 * once - twice, 0);
        if ((from == 0 || once - out->around == group.count) &&
            !learn_group(fixed, group, once - out->around, out, err))
            return false;
    }
    return true;
}

/* ---- texts ---- */

static bool fits(const struct infer_word_costs *costs, int word, int left)
{
    return costs->costs[word] <= left && costs->can[left - costs->costs[word]];
}

/* Or the nearest below it that the words can make. */
static bool set_target(const struct infer_fixed *fixed, struct infer_word_costs *costs, int target,
                       struct cap_err *err)
{
    target = larger(target, 0);
    free(costs->can);
    costs->can = calloc((size_t)target + 1, sizeof *costs->can);
    if (!costs->can)
        abort();
    costs->can[0] = true;
    for (int n = 1; n <= target; n++)
        for (int i = 0; i < costs->count && !costs->can[n]; i++)
            costs->can[n] = fits(costs, i, n);
    while (!costs->can[target])
        target--;
    costs->target = target;
    return target > 0 ||
           cap_fail(err, CAP_FAILED_PRECONDITION,
                    "no prompt can have %d tokens: the server counts %d around every prompt (BOS, "
                    "chat template); take more --input-tokens",
                    fixed->assignment->spec.input_tokens, costs->around);
}

void infer_word_costs_text(const struct infer_word_costs *costs, uint64_t seed, struct cap_buf *out)
{
    struct cap_rand rand;

    cap_rand_seed(&rand, seed);
    for (int left = costs->target; left > 0;) {
        int word = (int)cap_rand_below(&rand, (uint64_t)costs->count);

        if (!fits(costs, word, left)) /* the rest could not be made any more: another one */
            continue;
        cap_buf_add_str(out, costs->words[word]);
        left -= costs->costs[word];
    }
}

/* Whole texts: each corrects the one before by what it missed. */
static bool correct_target(const struct infer_fixed *fixed, struct infer_word_costs *costs,
                           struct cap_err *err)
{
    const struct infer_assignment *assignment = fixed->assignment;
    int wanted = assignment->spec.input_tokens;

    for (int i = 1; i <= CHECKS_MAX; i++) {
        CAP_AUTO_BUF(text, INFER_FIXED_BYTES_MAX);
        int tokens = 0, step;

        /* other words than the samples': a prefix cache must not know these */
        infer_word_costs_text(costs, ~assignment->prompts[0].request.seed ^ (uint64_t)i, &text);
        if (!ask(fixed, text.data, &tokens, err))
            return false;
        if (tokens <= 0 || tokens == wanted)
            return true;
        step =
            (int)((int64_t)(wanted - tokens) * costs->target / larger(tokens - costs->around, 1));
        if (step == 0)
            step = wanted > tokens ? 1 : -1;
        if (!set_target(fixed, costs, costs->target + step, err))
            return false;
    }
    return true;
}

bool infer_word_costs_learn(const struct infer_fixed *fixed, const char *const *words,
                            int word_count, struct infer_word_costs *out, struct cap_err *err)
{
    *out = (struct infer_word_costs){0};
    if (word_count > INFER_WORD_COSTS_MAX)
        word_count = INFER_WORD_COSTS_MAX;
    if (!learn_words(fixed, words, word_count, out, err))
        return false;
    return out->count == 0 ||
           (set_target(fixed, out, fixed->assignment->spec.input_tokens - out->around, err) &&
            correct_target(fixed, out, err));
}

void infer_word_costs_done(struct infer_word_costs *costs)
{
    free(costs->can);
    costs->can = NULL;
}
