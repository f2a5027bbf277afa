/* One step of the session yields a pass and then events for several requests; infer_native_wait
 * hands them out one by one and steps again when all are used up. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine_native_inside.h"

/* ---- slots whose request has ended ---- */

void infer_native_free_answer(struct infer_native_answer *answer)
{
    if (!answer->inner_id)
        return;
    infer_output_text_done(&answer->flow);
    infer_tokens_done(&answer->scored);
    cap_buf_done(&answer->prompt);
    *answer = (struct infer_native_answer){0};
}

void infer_native_forget_ended(struct infer_native *engine)
{
    if (engine->ended)
        infer_native_free_answer(engine->ended);
    engine->ended = NULL;
}

/* ---- events ---- */

/* NULL when the request was cancelled meanwhile. */
static struct infer_native_answer *answer_of(struct infer_native *engine, uint64_t inner_id)
{
    struct infer_native_answer *answer =
        &engine->answers[inner_id & ((1 << INFER_NATIVE_SLOT_BITS) - 1)];

    return answer->inner_id == inner_id ? answer : NULL;
}

static void make_pass(const struct native_pass *pass, struct infer_event *out)
{
    out->kind = INFER_PASS;
    out->at_ns = pass->started_ns + pass->duration_ns;
    out->pass = (struct infer_pass){
        .phase = pass->decode ? INFER_DECODE : INFER_PREFILL,
        .sequences = pass->sequences,
        .tokens = pass->tokens,
        .context_sum = pass->context_sum,
        .started_ns = pass->started_ns,
        .duration_ns = pass->duration_ns,
        .moe_layers = pass->moe_layers,
        .distinct_experts = pass->distinct_experts,
        .moe_layer_ids = pass->moe_layer_ids,
        .experts = pass->experts,
        .expert_counts = pass->expert_counts,
        .has_bytes = true,
        .weight_bytes = pass->weight_bytes,
        .kv_bytes = pass->kv_bytes,
        .flops = pass->flops,
    };
}

/* Nothing of a model without experts. */
static const struct infer_routing *make_routing(struct infer_native *engine,
                                                const struct native_routing *routing)
{
    const struct native_model *model = engine->model;

    engine->routing = (struct infer_routing){.source = "engine",
                                             .moe_layers = model->moe_layers,
                                             .experts = model->experts,
                                             .top_k = model->top_k,
                                             .moe_layer_ids = engine->step.pass.moe_layer_ids,
                                             .prefill = routing->prefill,
                                             .decode = routing->decode};
    return routing->prefill ? &engine->routing : NULL;
}

static void make_done(struct infer_native *engine, struct infer_native_answer *answer,
                      const char *why, const struct native_routing *routing,
                      struct infer_event *out)
{
    out->kind = INFER_DONE;
    out->id = answer->id;
    out->prompt = answer->prompt.length ? answer->prompt.data : NULL;
    out->finish_reason = why;
    out->prompt_tokens = answer->prompt_tokens;
    out->output_tokens = answer->tokens;
    out->cached_tokens = 0;
    out->routing = make_routing(engine, routing);
    engine->ended = answer;
}

/* Whether the step's next event ends this answer: then nothing may be held back. */
static bool is_last_token(const struct infer_native *engine, const struct native_event *token)
{
    const struct native_event *next = &engine->step.events[engine->event_at];

    return token->is_eos || (engine->event_at < engine->step.event_count &&
                             next->kind == NATIVE_EVENT_DONE && next->id == token->id);
}

/* What a request chose whose stop string came with this token. With the token it may have reached
 * its length too; then it runs no more and its end is the next event. */
static struct native_routing routing_at_stop(const struct infer_native *engine,
                                             const struct native_event *token)
{
    const struct native_event *next = &engine->step.events[engine->event_at];

    if (engine->event_at < engine->step.event_count && next->id == token->id)
        return next->routing;
    return native_session_routing(engine->session, token->id);
}

static void make_token(struct infer_native *engine, struct infer_native_answer *answer,
                       const struct native_event *event, struct infer_event *out)
{
    size_t length = 0;
    const char *bytes = "";

    engine->token_id = (uint32_t)event->token;
    if (!infer_tokenizer_is_special(engine->tokenizer, engine->token_id)) {
        bytes = infer_tokenizer_bytes(engine->tokenizer, engine->token_id, &length);
        length = bytes ? length : 0;
    }
    answer->tokens++;
    out->kind = INFER_TOKENS;
    out->id = answer->id;
    out->tokens = 1;
    out->token_ids = &engine->token_id;
    out->piece = infer_output_text_feed(&answer->flow, bytes, length, is_last_token(engine, event));
    if (answer->flow.stopped) {
        engine->stopped = routing_at_stop(engine, event);
        native_session_cancel(engine->session, answer->inner_id);
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

static void make_token_scores(struct infer_native *engine, const struct infer_native_answer *answer,
                              const struct native_score *score, struct infer_event *out)
{
    size_t count = answer->scored.count;
    struct infer_token_score *list;

    cap_arena_reset(engine->token_scores);
    list = cap_arena_array(engine->token_scores, count, sizeof *list);
    for (size_t i = 0; i < count && list; i++) {
        list[i].token = token_bytes(engine, answer->scored.ids[i]);
        if (i == 0)
            continue;
        list[i].log_likelihood = score->each[i - 1].log_likelihood;
        list[i].best_log_likelihood = score->each[i - 1].best_log_likelihood;
        list[i].best = token_bytes(engine, (uint32_t)score->each[i - 1].best);
    }
    out->token_scores = list;
    out->token_score_count = list ? (int)count : 0;
}

static void make_scored(struct infer_native *engine, struct infer_native_answer *answer,
                        const struct native_event *event, struct infer_event *out)
{
    if (event->score_count > engine->score_capacity) {
        engine->score_capacity = event->score_count;
        engine->scores =
            realloc(engine->scores, (size_t)engine->score_capacity * sizeof *engine->scores);
        assert(engine->scores);
    }
    for (int i = 0; i < event->score_count; i++)
        engine->scores[i] = (struct infer_score){.log_likelihood = event->scores[i].log_likelihood,
                                                 .tokens = event->scores[i].tokens,
                                                 .greedy = event->scores[i].greedy};
    make_done(engine, answer, "stop", &event->routing, out);
    if (answer->scored.count) {
        make_token_scores(engine, answer, &event->scores[0], out);
        return;
    }
    out->scores = engine->scores;
    out->score_count = event->score_count;
}

/* The next event of the current step; false when it has none left. */
static bool next_of_step(struct infer_native *engine, struct infer_event *out)
{
    const struct native_pass *pass = &engine->step.pass;

    *out = (struct infer_event){.at_ns = pass->started_ns + pass->duration_ns};
    if (engine->pass_left) {
        engine->pass_left = false;
        make_pass(pass, out);
        return true;
    }
    while (engine->event_at < engine->step.event_count) {
        const struct native_event *event = &engine->step.events[engine->event_at++];
        struct infer_native_answer *answer = answer_of(engine, event->id);

        if (!answer)
            continue;
        if (event->kind == NATIVE_EVENT_TOKEN)
            make_token(engine, answer, event, out);
        else if (event->kind == NATIVE_EVENT_SCORED)
            make_scored(engine, answer, event, out);
        else
            make_done(engine, answer, event->finish == NATIVE_FINISH_EOS ? "eos" : "length",
                      &event->routing, out);
        return true;
    }
    return false;
}

bool infer_native_wait(struct infer_engine *base, int wait_ms, struct infer_event *out_event,
                       struct cap_err *err)
{
    struct infer_native *engine = (struct infer_native *)base;

    if (engine->done_left) {
        engine->done_left = false;
        *out_event = (struct infer_event){.at_ns = engine->step.pass.started_ns +
                                                   engine->step.pass.duration_ns};
        make_done(engine, engine->ended, "stop", &engine->stopped, out_event);
        return true;
    }
    infer_native_forget_ended(engine);
    if (next_of_step(engine, out_event))
        return true;
    if (!native_session_step(engine->session, &engine->step, err)) {
        engine->step = (struct native_step){0};
        engine->event_at = 0;
        if (err->code == CAP_OK)
            cap_sleep_ms(wait_ms);
        return false;
    }
    engine->pass_left = true;
    engine->event_at = 0;
    return next_of_step(engine, out_event);
}
