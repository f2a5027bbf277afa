/* Opening, and requests on their way in: texts become tokens here. What comes out is made in
 * engine_native_events.c. A request's id inside is its slot and a serial number, so that an event
 * of a request that we cancelled (a stop string was seen in the same step) can never be taken for
 * one of the slot's next request. */
#include "engine_native.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine_native_inside.h"
#include "model/cost.h"

enum { PROMPT_BYTES_MAX = 64 << 20, TOKEN_SCORES_BYTES_MAX = 256 << 20 };

/* ---- opening ---- */

static void free_native(struct infer_engine *base)
{
    struct infer_native *engine = (struct infer_native *)base;

    if (!engine)
        return;
    for (int i = 0; i < engine->slot_count; i++)
        infer_native_free_answer(&engine->answers[i]);
    free(engine->answers);
    free(engine->scores);
    cap_arena_free(engine->token_scores);
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
    assert(engine->slot_count <= 1 << INFER_NATIVE_SLOT_BITS);
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
        answer->inner_id = ++engine->serial << INFER_NATIVE_SLOT_BITS | (uint64_t)i;
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
        infer_native_forget_ended(engine);
    answer = take_slot(engine, request);
    if (!answer)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are in flight already",
                        engine->slot_count);
    ok = request->score_prompt         ? submit_score_prompt(engine, request, answer, err)
         : request->continuation_count ? submit_score(engine, request, answer, &ids, err)
                                       : submit_generate(engine, request, answer, &ids, err);
    infer_tokens_done(&ids);
    if (!ok)
        infer_native_free_answer(answer);
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
        infer_native_free_answer(answer);
    }
}

const struct infer_engine_ops infer_engine_native_ops = {
    .name = "native",
    .wants_directory = true,
    .open = open_native,
    .report = report,
    .submit = submit,
    .wait = infer_native_wait,
    .cancel = cancel,
    .free = free_native,
};
