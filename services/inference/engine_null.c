/* The engine that runs no model: it answers at once.
 *
 * What is left when no model runs is our own overhead, so it measures that; and it carries tests of
 * everything around an engine. It has no experts, so it reports no passes, and figures made from
 * passes are null for it. Its answers are plausible but mean nothing: a number, or a pseudo
 * log-likelihood, from a hash of prompt and seed.
 *
 * Tests steer it by environment: MOECAP_NULL_TOKENS tokens per answer (default 8),
 * MOECAP_NULL_DELAY_US before each token (0), MOECAP_NULL_TEXT the text of every answer,
 * MOECAP_NULL_FAIL_EVERY every Nth request fails (0 = none), MOECAP_NULL_LOST_AFTER the engine is
 * lost after N requests (0 = never), MOECAP_NULL_LOAD_MS time that opening takes.
 *
 * A request is taken into a free slot; every wait gives the next token, or the end, of one of them.
 */
#include "engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "text/output.h"

enum { TOKENS_DEFAULT = 8, TEXT_BYTES_MAX = 65536, TOKEN_ID_BASE = 1000 };

/* One request being answered: its text is cut into `tokens` pieces, one every delay_ns. */
struct answer {
    const struct infer_request *request;
    char *text;
    size_t text_at;
    int tokens, token_at;
    int64_t started_ns, due_ns;
    bool fails;
    struct infer_output_text flow;
    struct infer_score scores[1]; /* [continuation_count], grown */
};

struct null_engine {
    struct infer_engine base;
    const struct cap_clock *clock;
    int tokens, fail_every, lost_after;
    int64_t delay_ns;
    const char *text;
    int64_t taken;         /* requests so far */
    struct answer **slots; /* [slot_count]; NULL = free */
    int slot_count, next_slot;
    struct answer *ended; /* its strings are in the event that was handed out */
    uint32_t token_id;
};

static int64_t env_int(const char *name, int64_t fallback)
{
    const char *text = getenv(name);
    char *end;
    long long value;

    if (!text || !*text)
        return fallback;
    value = strtoll(text, &end, 10);
    return *end || value < 0 ? fallback : value;
}

static struct infer_engine *open_null(const struct infer_engine_options *options,
                                      struct cap_err *err)
{
    struct null_engine *engine = calloc(1, sizeof *engine);

    (void)err;
    assert(engine);
    engine->base.ops = &infer_engine_null_ops;
    engine->clock = cap_clock_system();
    engine->tokens = (int)env_int("MOECAP_NULL_TOKENS", TOKENS_DEFAULT);
    engine->delay_ns = env_int("MOECAP_NULL_DELAY_US", 0) * 1000;
    engine->fail_every = (int)env_int("MOECAP_NULL_FAIL_EVERY", 0);
    engine->lost_after = (int)env_int("MOECAP_NULL_LOST_AFTER", 0);
    engine->text = getenv("MOECAP_NULL_TEXT");
    engine->slot_count = options->concurrency > 0 ? options->concurrency : 1;
    engine->slots = calloc((size_t)engine->slot_count, sizeof(struct answer *));
    assert(engine->slots);
    cap_sleep_ms(env_int("MOECAP_NULL_LOAD_MS", 0));
    return &engine->base;
}

static void report(struct infer_engine *engine, struct infer_engine_report *out_report)
{
    (void)engine;
    *out_report = (struct infer_engine_report){.version = MOECAP_VERSION,
                                               .timing_boundary = "engine",
                                               .weights = INFER_WEIGHTS_NONE,
                                               .parameters = -1,
                                               .active_parameters = -1,
                                               .context_tokens_max = 1 << 20,
                                               .can_score = true};
}

/* About four bytes a token, as in English; at least one. */
static int count_tokens(const char *text)
{
    return text ? (int)(strlen(text) / 4) + 1 : 0;
}

static int count_prompt_tokens(const struct infer_request *request)
{
    int tokens = count_tokens(request->text) + request->prompt_id_count;

    for (int i = 0; i < request->message_count; i++)
        tokens += count_tokens(request->messages[i].content);
    return tokens;
}

static bool count_prompt(struct infer_engine *engine, const struct infer_request *request,
                         int *out_tokens, struct cap_err *err)
{
    (void)engine;
    (void)err;
    *out_tokens = count_prompt_tokens(request);
    return true;
}

/* ---- plausible nonsense, the same every time ---- */

/* FNV-1a, continued from `hash`. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
    return (hash ^ 0xff) * 0x100000001b3ull;
}

static uint64_t hash_prompt(const struct infer_request *request)
{
    uint64_t hash = hash_text(0xcbf29ce484222325ull ^ request->seed, request->text);

    for (int i = 0; i < request->message_count; i++)
        hash = hash_text(hash, request->messages[i].content);
    for (int i = 0; i < request->prompt_id_count; i++)
        hash = (hash ^ request->prompt_ids[i]) * 0x100000001b3ull;
    return hash;
}

static void fill_scores(struct answer *answer, uint64_t hash)
{
    const struct infer_request *request = answer->request;

    for (int i = 0; i < request->continuation_count; i++) {
        uint64_t h = hash_text(hash, request->continuations[i]);

        answer->scores[i] =
            (struct infer_score){.log_likelihood = -(double)(h >> 40) / (double)(1 << 20) - 0.01,
                                 .tokens = count_tokens(request->continuations[i]),
                                 .greedy = (h & 7) == 0};
    }
}

static char *make_text(const struct null_engine *engine, uint64_t hash)
{
    char *text = NULL;

    if (engine->text)
        text = strndup(engine->text, TEXT_BYTES_MAX);
    else if (asprintf(&text, "The answer is as good as any other.\n#### %d", (int)(hash % 100)) < 0)
        text = NULL;
    assert(text);
    return text;
}

/* ---- the vtable ---- */

static void free_answer(struct answer *answer)
{
    if (!answer)
        return;
    infer_output_text_done(&answer->flow);
    free(answer->text);
    free(answer);
}

static struct answer *make_answer(struct null_engine *engine, const struct infer_request *request)
{
    size_t extra = (size_t)request->continuation_count * sizeof(struct infer_score);
    struct answer *answer = calloc(1, sizeof *answer + extra);
    uint64_t hash = hash_prompt(request);

    assert(answer);
    answer->request = request;
    answer->text = make_text(engine, hash);
    answer->tokens = request->max_tokens > 0 && request->max_tokens < engine->tokens
                         ? request->max_tokens
                         : engine->tokens;
    if (request->ignore_eos && request->max_tokens > 0)
        answer->tokens = request->max_tokens;
    answer->started_ns = cap_clock_ns(engine->clock);
    answer->due_ns = answer->started_ns + engine->delay_ns;
    answer->fails = engine->fail_every && (engine->taken + 1) % engine->fail_every == 0;
    infer_output_text_start(&answer->flow, request->stop, request->stop_count);
    fill_scores(answer, hash);
    return answer;
}

static bool submit(struct infer_engine *base, const struct infer_request *request,
                   struct cap_err *err)
{
    struct null_engine *engine = (struct null_engine *)base;

    if (request->score_prompt)
        return cap_fail(err, CAP_UNIMPLEMENTED, "the null engine cannot score prompts");
    for (int i = 0; i < engine->slot_count; i++)
        if (!engine->slots[i]) {
            engine->slots[i] = make_answer(engine, request);
            engine->taken++;
            return true;
        }
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are in flight already",
                    engine->slot_count);
}

/* The slot whose next event is due first, beginning after the one served last. */
static int earliest(const struct null_engine *engine)
{
    int best = -1;

    for (int n = 0; n < engine->slot_count; n++) {
        int i = (engine->next_slot + n) % engine->slot_count;

        if (engine->slots[i] &&
            (best < 0 || engine->slots[i]->due_ns < engine->slots[best]->due_ns))
            best = i;
    }
    return best;
}

static void end_answer(struct null_engine *engine, int slot)
{
    engine->ended = engine->slots[slot];
    engine->slots[slot] = NULL;
}

static void make_failure(struct null_engine *engine, int slot, struct infer_event *out_event)
{
    out_event->kind = INFER_FAILED;
    out_event->failure.code = CAP_INTERNAL;
    snprintf(out_event->failure.text, sizeof out_event->failure.text,
             "the null engine was told to fail every %d requests", engine->fail_every);
    end_answer(engine, slot);
}

static void make_done(struct null_engine *engine, int slot, struct infer_event *out_event)
{
    struct answer *answer = engine->slots[slot];
    const struct infer_request *request = answer->request;
    bool cut = request->max_tokens > 0 && answer->token_at >= request->max_tokens;

    out_event->kind = INFER_DONE;
    out_event->prompt = request->text;
    out_event->prompt_tokens = count_prompt_tokens(request);
    out_event->output_tokens = answer->token_at;
    out_event->cached_tokens = 0;
    out_event->started_ns = answer->started_ns;
    out_event->finish_reason = answer->flow.stopped ? "stop" : cut ? "length" : "eos";
    out_event->scores = request->continuation_count ? answer->scores : NULL;
    out_event->score_count = request->continuation_count;
    end_answer(engine, slot);
}

/* The text in equal pieces of bytes; the last token also brings what was held back. */
static void make_token(struct null_engine *engine, struct answer *answer,
                       struct infer_event *out_event)
{
    size_t length = strlen(answer->text);
    bool is_last = ++answer->token_at == answer->tokens;
    size_t until = is_last ? length : length * (size_t)answer->token_at / (size_t)answer->tokens;

    out_event->kind = INFER_TOKENS;
    out_event->tokens = 1;
    out_event->token_ids = &engine->token_id;
    engine->token_id = TOKEN_ID_BASE + (uint32_t)answer->token_at;
    out_event->piece = infer_output_text_feed(&answer->flow, answer->text + answer->text_at,
                                              until - answer->text_at, is_last);
    answer->text_at = until;
    answer->due_ns += engine->delay_ns;
}

static bool wait_event(struct infer_engine *base, int wait_ms, struct infer_event *out_event,
                       struct cap_err *err)
{
    struct null_engine *engine = (struct null_engine *)base;
    int64_t now_ns = cap_clock_ns(engine->clock);
    int slot = earliest(engine);
    int64_t left_ns = slot < 0 ? INT64_MAX : engine->slots[slot]->due_ns - now_ns;
    struct answer *answer;

    free_answer(engine->ended);
    engine->ended = NULL;
    if (engine->lost_after && engine->taken > engine->lost_after)
        return cap_fail(err, CAP_UNAVAILABLE,
                        "the null engine was told to be lost after %d requests",
                        engine->lost_after);
    if (left_ns > (int64_t)wait_ms * 1000000) {
        cap_sleep_ms(wait_ms);
        return false;
    }
    if (left_ns > 0)
        cap_sleep_ms((left_ns + 999999) / 1000000);
    answer = engine->slots[slot];
    engine->next_slot = slot + 1;
    *out_event =
        (struct infer_event){.id = answer->request->id, .at_ns = cap_clock_ns(engine->clock)};
    if (answer->fails)
        make_failure(engine, slot, out_event);
    else if (answer->request->continuation_count || answer->flow.stopped ||
             answer->token_at == answer->tokens)
        make_done(engine, slot, out_event);
    else
        make_token(engine, answer, out_event);
    return true;
}

static void cancel(struct infer_engine *base, uint64_t id)
{
    struct null_engine *engine = (struct null_engine *)base;

    for (int i = 0; i < engine->slot_count; i++)
        if (engine->slots[i] && engine->slots[i]->request->id == id) {
            free_answer(engine->slots[i]);
            engine->slots[i] = NULL;
        }
}

static void free_null(struct infer_engine *base)
{
    struct null_engine *engine = (struct null_engine *)base;

    if (!engine)
        return;
    for (int i = 0; i < engine->slot_count; i++)
        free_answer(engine->slots[i]);
    free_answer(engine->ended);
    free(engine->slots);
    free(engine);
}

const struct infer_engine_ops infer_engine_null_ops = {
    .name = "null",
    .open = open_null,
    .report = report,
    .submit = submit,
    .wait = wait_event,
    .cancel = cancel,
    .count_prompt = count_prompt,
    .free = free_null,
};
