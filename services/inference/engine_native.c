/* Our own engine (native/) and text (text/) behind the vtable of engine.h.
 *
 * The session deals in tokens; here texts become tokens and tokens texts: chat template, special
 * tokens, whole characters, stop strings that span tokens. A request past the context is refused
 * with its numbers. An answer's tokens are counted with the eos that ended it.
 *
 * The session makes the events of engine.h itself, without texts; one step of it yields a pass and
 * the events of several requests. `wait` hands them out one by one, adds the texts, and steps again
 * when all are used up.
 *
 * A request is an answer in a slot. Its id inside the session is the slot and a serial number, so
 * that an event of a request that we cancelled (a stop string was seen in the same step) can never
 * be taken for one of the slot's next request. The strings of an answer that ended stay until the
 * next wait, as the vtable promises. Everything belongs to the worker's thread.
 */
#include "engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "encode.h"
#include "log/log.h"
#include "model/cost.h"
#include "native/session.h"
#include "text/output.h"

enum {
    WORDS_BYTES_MAX = 64 << 20,
    PROMPT_BYTES_MAX = 64 << 20,
    TOKEN_SCORES_BYTES_MAX = 256 << 20
};
enum { SLOT_BITS = 13 }; /* of a request's id inside: which slot */

/* One request in flight. */
struct infer_native_answer {
    uint64_t inner_id; /* 0 = the slot is free */
    uint64_t id;       /* the caller's */
    struct infer_output_text flow;
    struct cap_buf prompt; /* what the model sees; empty for tokens */
    int prompt_tokens, tokens;
    int64_t started_ns;
    struct infer_tokens scored; /* score_prompt: its tokens; all but the first are scored */
};

struct infer_native {
    struct infer_engine base;
    struct native_model *model;
    struct native_session *session;
    struct infer_tokenizer *tokenizer;
    struct infer_chat *chat;
    struct infer_codec codec;
    struct infer_native_answer *answers; /* [slot_count] */
    int slot_count;
    uint64_t serial;
    /* the step whose events are being handed out */
    struct native_step step;
    int event_at;
    bool done_left; /* a stop string ended the answer whose token went out last */
    struct infer_native_answer *ended;   /* its strings are in the event handed out last */
    const struct infer_routing *stopped; /* what it chose, when a stop string ended it */
    struct cap_arena *token_scores;
    /* of the vocabulary, once somebody asked */
    struct cap_arena *word_texts;
    const char **words;
    int word_count;
};

/* ---- slots ---- */

static void free_answer(struct infer_native_answer *answer)
{
    if (!answer->inner_id)
        return;
    infer_output_text_done(&answer->flow);
    infer_tokens_done(&answer->scored);
    cap_buf_done(&answer->prompt);
    *answer = (struct infer_native_answer){0};
}

/* Frees the slot whose DONE went out: its strings have been read by now. */
static void forget_ended(struct infer_native *engine)
{
    if (engine->ended)
        free_answer(engine->ended);
    engine->ended = NULL;
}

/* NULL when the request was cancelled meanwhile. */
static struct infer_native_answer *answer_of(struct infer_native *engine, uint64_t inner_id)
{
    struct infer_native_answer *answer = &engine->answers[inner_id & ((1 << SLOT_BITS) - 1)];

    return answer->inner_id == inner_id ? answer : NULL;
}

/* ---- opening ---- */

static void free_native(struct infer_engine *base)
{
    struct infer_native *engine = (struct infer_native *)base;

    if (!engine)
        return;
    for (int i = 0; i < engine->slot_count; i++)
        free_answer(&engine->answers[i]);
    free(engine->answers);
    cap_arena_free(engine->token_scores);
    cap_arena_free(engine->word_texts);
    free(engine->words);
    native_session_free(engine->session);
    native_model_free(engine->model);
    infer_chat_free(engine->chat);
    infer_tokenizer_free(engine->tokenizer);
    free(engine);
}

static bool read_precision(const char *name, enum native_precision *out, struct cap_err *err)
{
    CAP_AUTO_BUF(names, 256);

    if (native_precision_from_name(name, out))
        return true;
    for (int i = 0; i < NATIVE_PRECISION_COUNT; i++)
        cap_buf_printf(&names, "%s%s", i ? ", " : "",
                       native_precision_name((enum native_precision)i));
    return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no precision \"%.32s\"; there are: %s",
                    name, names.data);
}

static void log_notes(const char *model, const struct infer_tokenizer *tokenizer)
{
    struct infer_tokenizer_facts facts;

    infer_tokenizer_describe(tokenizer, &facts);
    for (size_t i = 0; i < facts.note_count; i++)
        cap_log(WARN, "tokenizer_note", "model=%s note=\"%s\"", model, facts.notes[i]);
}

static bool load(struct infer_native *engine, const struct infer_engine_options *options,
                 struct cap_err *err)
{
    struct native_model_options model = {.backend = options->device,
                                         .threads = options->threads,
                                         .unwanted = options->unwanted,
                                         .unwanted_arg = options->unwanted_arg};
    struct native_session_options session = {.concurrency = options->concurrency,
                                             .context_tokens_max = options->context_tokens_max};

    if (!read_precision(options->precision, &model.precision, err))
        return false;
    engine->tokenizer = infer_tokenizer_open(options->model, err);
    if (!engine->tokenizer)
        return false;
    log_notes(options->model, engine->tokenizer);
    engine->chat = infer_chat_open(options->model, NULL, err);
    if (!engine->chat)
        return false;
    engine->model = native_model_open(options->model, &model, err);
    if (!engine->model)
        return false;
    engine->session = native_session_open(engine->model, &session, err);
    return engine->session != NULL;
}

static struct infer_engine *open_native(const struct infer_engine_options *options,
                                        struct cap_err *err)
{
    struct infer_native *engine = calloc(1, sizeof *engine);

    assert(engine);
    engine->base.ops = &infer_engine_native_ops;
    if (!load(engine, options, err)) {
        free_native(&engine->base);
        return NULL;
    }
    engine->codec = (struct infer_codec){engine->tokenizer, engine->chat, engine->model->shape};
    engine->slot_count = options->concurrency > 0 ? options->concurrency : 1;
    assert(engine->slot_count <= 1 << SLOT_BITS);
    engine->token_scores = cap_arena_new(TOKEN_SCORES_BYTES_MAX);
    engine->answers = calloc((size_t)engine->slot_count, sizeof *engine->answers);
    assert(engine->answers);
    return &engine->base;
}

static void report(struct infer_engine *base, struct infer_engine_report *out_report)
{
    struct infer_native *engine = (struct infer_native *)base;
    struct cap_cost_parameters parameters;
    struct moe_info info;

    cap_cost_parameters(engine->model->shape, &parameters);
    engine->model->backend->info(engine->model->dev, &info);
    *out_report = (struct infer_engine_report){
        .version = MOECAP_VERSION,
        .timing_boundary = "engine",
        .family = engine->model->shape->family,
        .weights = engine->model->shape->random_weights ? INFER_WEIGHTS_RANDOM : INFER_WEIGHTS_REAL,
        .isa = info.isa,
        .threads = info.threads,
        .moe_layers = engine->model->moe_layers,
        .experts = engine->model->experts,
        .top_k = engine->model->top_k,
        .parameters = parameters.total,
        .active_parameters = parameters.active,
        .context_tokens_max = native_session_context_max(engine->session),
        .can_score = true,
        .routing_unknown = engine->model->moe_layers ? NULL : "the model has no experts",
    };
}

/* ---- submitting ---- */

static bool check_context(const struct infer_native *engine, size_t prompt_tokens, int more,
                          struct cap_err *err)
{
    int context = native_session_context_max(engine->session);

    if (prompt_tokens + (size_t)more <= (size_t)context)
        return true;
    return cap_fail(err, CAP_OUT_OF_RANGE,
                    "the prompt has %zu tokens and %d may follow; the context holds %d",
                    prompt_tokens, more, context);
}

/* The session takes int32 ids; a tokenizer's are below 2^22. */
static struct native_tokens as_native(const struct infer_tokens *tokens)
{
    return (struct native_tokens){(const int32_t *)tokens->ids, (int)tokens->count};
}

static bool submit_generate(struct infer_native *engine, const struct infer_request *request,
                            struct infer_native_answer *answer, struct infer_tokens *ids,
                            struct cap_err *err)
{
    struct native_request native = {
        .id = answer->inner_id,
        .max_tokens = request->max_tokens,
        .ignore_eos = request->ignore_eos,
        .sampling = {.temperature = request->temperature,
                     .top_k = request->top_k > 0 ? request->top_k : 0,
                     .top_p = request->top_p,
                     .seed = request->seed},
    };

    if (!infer_encode_prompt(&engine->codec, request, ids, &answer->prompt, err) ||
        !check_context(engine, ids->count, request->max_tokens > 0 ? request->max_tokens : 1, err))
        return false;
    native.prompt = as_native(ids);
    answer->prompt_tokens = (int)ids->count;
    return native_session_submit(engine->session, &native, err);
}

static bool submit_encoded(struct infer_native *engine, struct infer_native_answer *answer,
                           const struct infer_tokens *context,
                           const struct infer_tokens *continuations, int count, struct cap_err *err)
{
    CAP_AUTO_MEM struct native_tokens *list = calloc((size_t)count, sizeof *list);
    struct native_request native = {.id = answer->inner_id,
                                    .prompt = as_native(context),
                                    .continuations = list,
                                    .continuation_count = count};

    assert(list);
    for (int i = 0; i < count; i++) {
        list[i] = as_native(&continuations[i]);
        if (!check_context(engine, context->count, list[i].count, err))
            return false;
    }
    answer->prompt_tokens = (int)context->count;
    return native_session_submit(engine->session, &native, err);
}

static bool submit_score(struct infer_native *engine, const struct infer_request *request,
                         struct infer_native_answer *answer, struct infer_tokens *context,
                         struct cap_err *err)
{
    int count = request->continuation_count;
    CAP_AUTO_MEM struct infer_tokens *continuations = calloc((size_t)count, sizeof *continuations);
    bool ok;

    assert(continuations);
    ok = infer_encode_scored(&engine->codec, request, context, continuations, &answer->prompt,
                             err) &&
         submit_encoded(engine, answer, context, continuations, count, err);
    for (int i = 0; i < count; i++)
        infer_tokens_done(&continuations[i]);
    return ok;
}

/* The first token is the context, the others its one continuation. */
static bool submit_score_prompt(struct infer_native *engine, const struct infer_request *request,
                                struct infer_native_answer *answer, struct cap_err *err)
{
    struct infer_tokens *ids = &answer->scored;
    struct infer_tokens first, others;

    if (!infer_encode_prompt(&engine->codec, request, ids, &answer->prompt, err))
        return false;
    if (ids->count < 2)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a prompt of one token has nothing that could be scored");
    first = (struct infer_tokens){.ids = ids->ids, .count = 1};
    others = (struct infer_tokens){.ids = ids->ids + 1, .count = ids->count - 1};
    if (!submit_encoded(engine, answer, &first, &others, 1, err))
        return false;
    answer->prompt_tokens = (int)ids->count;
    return true;
}

static struct infer_native_answer *take_slot(struct infer_native *engine,
                                             const struct infer_request *request)
{
    for (int i = 0; i < engine->slot_count; i++) {
        struct infer_native_answer *answer = &engine->answers[i];

        if (answer->inner_id || answer == engine->ended)
            continue;
        answer->inner_id = ++engine->serial << SLOT_BITS | (uint64_t)i;
        answer->id = request->id;
        infer_output_text_start(&answer->flow, request->stop, request->stop_count);
        cap_buf_init(&answer->prompt, PROMPT_BYTES_MAX);
        return answer;
    }
    return NULL;
}

static bool submit(struct infer_engine *base, const struct infer_request *request,
                   struct cap_err *err)
{
    struct infer_native *engine = (struct infer_native *)base;
    struct infer_tokens ids = {0};
    struct infer_native_answer *answer;
    bool ok;

    if (!engine->done_left)
        forget_ended(engine);
    answer = take_slot(engine, request);
    if (!answer)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are in flight already",
                        engine->slot_count);
    ok = request->score_prompt         ? submit_score_prompt(engine, request, answer, err)
         : request->continuation_count ? submit_score(engine, request, answer, &ids, err)
                                       : submit_generate(engine, request, answer, &ids, err);
    infer_tokens_done(&ids);
    if (!ok)
        free_answer(answer);
    return ok;
}

static void cancel(struct infer_engine *base, uint64_t id)
{
    struct infer_native *engine = (struct infer_native *)base;

    for (int i = 0; i < engine->slot_count; i++) {
        struct infer_native_answer *answer = &engine->answers[i];

        if (!answer->inner_id || answer->id != id)
            continue;
        native_session_cancel(engine->session, answer->inner_id);
        if (engine->ended == answer) {
            engine->ended = NULL;
            engine->done_left = false;
        }
        free_answer(answer);
    }
}

/* ---- lengths ---- */

static bool count_prompt(struct infer_engine *base, const struct infer_request *request,
                         int *out_tokens, struct cap_err *err)
{
    struct infer_native *engine = (struct infer_native *)base;
    struct infer_tokens ids = {0};
    CAP_AUTO_BUF(text, PROMPT_BYTES_MAX);
    bool ok = infer_encode_prompt(&engine->codec, request, &ids, &text, err);

    *out_tokens = (int)ids.count;
    infer_tokens_done(&ids);
    return ok;
}

/* A blank and letters. What stands before and behind it is another word, and pre-tokenizers part
 * words at their blanks. */
static bool is_word(const struct infer_native *engine, uint32_t id, const char *text, size_t length)
{
    struct infer_tokens ids = {0};
    struct cap_err err = {0};
    bool is_one;

    if (!text || length < 2 || *text != ' ' || infer_tokenizer_is_special(engine->tokenizer, id))
        return false;
    for (size_t i = 1; i < length; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z')))
            return false;
    is_one = infer_tokenizer_encode(engine->tokenizer, text, length, INFER_WITHOUT_SPECIALS, &ids,
                                    &err) &&
             ids.count == 1 && ids.ids[0] == id;
    infer_tokens_done(&ids);
    return is_one;
}

static void find_words(struct infer_native *engine)
{
    struct infer_tokenizer_facts facts;

    infer_tokenizer_describe(engine->tokenizer, &facts);
    engine->word_texts = cap_arena_new(WORDS_BYTES_MAX);
    engine->words = calloc((size_t)facts.ids + 1, sizeof *engine->words);
    assert(engine->words);
    for (uint32_t id = 0; id < facts.ids; id++) {
        size_t length = 0;
        const char *bytes = infer_tokenizer_bytes(engine->tokenizer, id, &length);
        const char *copy;

        if (is_word(engine, id, bytes, length) &&
            (copy = cap_arena_strndup(engine->word_texts, bytes, length)))
            engine->words[engine->word_count++] = copy;
    }
}

static int words(struct infer_engine *base, const char *const **out_words)
{
    struct infer_native *engine = (struct infer_native *)base;

    if (!engine->words)
        find_words(engine);
    *out_words = engine->words;
    return engine->word_count;
}

/* ---- events ---- */

/* What every end has; the session's event has the rest. */
static void make_done(struct infer_native *engine, struct infer_native_answer *answer,
                      struct infer_event *out)
{
    out->kind = INFER_DONE;
    out->id = answer->id;
    out->prompt = answer->prompt.length ? answer->prompt.data : NULL;
    out->prompt_tokens = answer->prompt_tokens;
    out->output_tokens = answer->tokens;
    out->started_ns = answer->started_ns;
    engine->ended = answer;
}

/* The step's next event, if it is of the same request. */
static const struct infer_event *next_of_request(const struct infer_native *engine, uint64_t id)
{
    const struct infer_event *next = &engine->step.events[engine->event_at];

    return engine->event_at < engine->step.event_count && next->id == id ? next : NULL;
}

/* What a request chose whose stop string came with this token. With the token it may have reached
 * its length too; then it runs no more and its end is the next event. */
static const struct infer_routing *routing_at_stop(const struct infer_native *engine,
                                                   uint64_t inner_id)
{
    const struct infer_event *next = next_of_request(engine, inner_id);

    return next ? next->routing : native_session_routing(engine->session, inner_id);
}

/* The text of a token. Nothing may be held back of an answer that ends with it. */
static void make_token(struct infer_native *engine, struct infer_native_answer *answer,
                       struct infer_event *out)
{
    uint32_t token = *out->token_ids;
    uint64_t inner_id = out->id;
    bool is_last = cap_model_is_eos(engine->model->shape, (int)token) ||
                   next_of_request(engine, inner_id) != NULL;
    size_t length = 0;
    const char *bytes = "";

    if (!infer_tokenizer_is_special(engine->tokenizer, token)) {
        bytes = infer_tokenizer_bytes(engine->tokenizer, token, &length);
        length = bytes ? length : 0;
    }
    answer->tokens++;
    out->id = answer->id;
    out->piece = infer_output_text_feed(&answer->flow, bytes, length, is_last);
    if (answer->flow.stopped) {
        engine->stopped = routing_at_stop(engine, inner_id);
        native_session_cancel(engine->session, inner_id);
        engine->done_left = true;
        engine->ended = answer;
    }
}

static struct infer_token_bytes token_bytes(const struct infer_native *engine, uint32_t id)
{
    struct infer_token_bytes bytes = {.data = NULL};

    bytes.data = infer_tokenizer_bytes(engine->tokenizer, id, &bytes.length);
    return bytes.data ? bytes : (struct infer_token_bytes){"", 0};
}

/* One for each token of the prompt, with texts; the session scored all but the first. */
static void make_token_scores(struct infer_native *engine, const struct infer_native_answer *answer,
                              struct infer_event *out)
{
    size_t count = answer->scored.count;
    struct infer_token_score *list;

    cap_arena_reset(engine->token_scores);
    list = cap_arena_array(engine->token_scores, count, sizeof *list);
    for (size_t i = 0; i < count && list; i++) {
        if (i > 0) {
            list[i] = out->token_scores[i - 1];
            list[i].best = token_bytes(engine, list[i].best_id);
        }
        list[i].id = answer->scored.ids[i];
        list[i].token = token_bytes(engine, list[i].id);
    }
    out->token_scores = list;
    out->token_score_count = list ? (int)count : 0;
    out->scores = NULL;
    out->score_count = 0;
}

/* A scored request's tokens interest its user only where they are the prompt's own. */
static void finish_scores(struct infer_native *engine, const struct infer_native_answer *answer,
                          struct infer_event *out)
{
    if (answer->scored.count) {
        make_token_scores(engine, answer, out);
        return;
    }
    out->token_scores = NULL;
    out->token_score_count = 0;
}

/* The next event of the current step; false when it has none left. */
static bool next_of_step(struct infer_native *engine, struct infer_event *out)
{
    while (engine->event_at < engine->step.event_count) {
        const struct infer_event *event = &engine->step.events[engine->event_at++];
        struct infer_native_answer *answer;

        *out = *event;
        if (event->kind == INFER_PASS)
            return true;
        answer = answer_of(engine, event->id);
        if (!answer)
            continue;
        answer->started_ns = event->started_ns;
        if (event->kind == INFER_TOKENS) {
            make_token(engine, answer, out);
        } else {
            finish_scores(engine, answer, out);
            make_done(engine, answer, out);
        }
        return true;
    }
    return false;
}

static bool wait_event(struct infer_engine *base, int wait_ms, struct infer_event *out_event,
                       struct cap_err *err)
{
    struct infer_native *engine = (struct infer_native *)base;

    if (engine->done_left) {
        engine->done_left = false;
        *out_event = (struct infer_event){.at_ns = engine->step.events[0].at_ns,
                                          .finish_reason = "stop",
                                          .routing = engine->stopped};
        make_done(engine, engine->ended, out_event);
        return true;
    }
    forget_ended(engine);
    if (next_of_step(engine, out_event))
        return true;
    engine->event_at = 0;
    native_session_ask(engine->session, base->unwanted, base->unwanted_arg);
    if (!native_session_step(engine->session, &engine->step, err)) {
        engine->step = (struct native_step){0};
        if (err->code == CAP_OK && !(base->unwanted && base->unwanted(base->unwanted_arg)))
            cap_sleep_ms(wait_ms);
        return false;
    }
    return next_of_step(engine, out_event);
}

const struct infer_engine_ops infer_engine_native_ops = {
    .name = "native",
    .wants_directory = true,
    .open = open_native,
    .report = report,
    .submit = submit,
    .wait = wait_event,
    .cancel = cancel,
    .count_prompt = count_prompt,
    .words = words,
    .free = free_native,
};
