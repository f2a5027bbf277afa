#include <math.h>
#include <string.h>

#include "handlers_rpc.h"
#include "render.h"

/* ---- from the wire ---- */

static bool generation_from_wire(const Moecap__V1__Generation *wire, struct eval_settings *out,
                                 struct cap_err *err)
{
    if (!wire)
        return true;
    out->max_tokens = wire->max_tokens;
    out->top_k = wire->top_k;
    out->ignore_eos = wire->ignore_eos;
    out->has_temperature =
        wire->opt_temperature_case == MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE;
    out->temperature = out->has_temperature ? wire->temperature : 0;
    out->has_top_p = wire->opt_top_p_case == MOECAP__V1__GENERATION__OPT_TOP_P_TOP_P;
    out->top_p = out->has_top_p ? wire->top_p : 0;
    if (!isfinite(out->temperature) || out->temperature < 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "temperature %g is below 0", out->temperature);
    if (wire->max_tokens > EVAL_MAX_TOKENS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "max_tokens %u is above %d", wire->max_tokens,
                        EVAL_MAX_TOKENS_MAX);
    return true;
}

static bool settings_from_wire(const Moecap__V1__RenderRequest *request, struct eval_settings *out,
                               struct cap_err *err)
{
    const Moecap__V1__EvaluationSpec *spec = request->spec;

    *out = (struct eval_settings){.repeat = request->repeat};
    if (!spec)
        return true;
    out->seed = spec->seed;
    out->has_num_fewshot =
        spec->opt_num_fewshot_case == MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT;
    out->num_fewshot = out->has_num_fewshot ? spec->num_fewshot : 0;
    out->chat = strcmp(spec->prompt_format, "chat") == 0;
    if (!out->chat && *spec->prompt_format && strcmp(spec->prompt_format, "text") != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "prompt_format \"%.40s\" is neither text nor chat", spec->prompt_format);
    return generation_from_wire(spec->generation, out, err);
}

static struct eval_document document_from_wire(const Moecap__V1__TaskDoc *wire)
{
    return (struct eval_document){wire->ordinal, wire->uid, wire->json};
}

/* ---- to the wire ---- */

static bool messages_to_wire(struct cap_rpc_call *call, const struct eval_prompt *prompt,
                             Moecap__V1__Prompt *wire)
{
    wire->messages = EVAL_WIRE_LIST(call, Moecap__V1__ChatMessage, prompt->message_count);
    if (!wire->messages)
        return false;
    for (size_t i = 0; i < prompt->message_count; i++) {
        Moecap__V1__ChatMessage *message = EVAL_WIRE(call, Moecap__V1__ChatMessage);

        if (!message)
            return false;
        moecap__v1__chat_message__init(message);
        message->role = (char *)prompt->messages[i].role;
        message->content = (char *)prompt->messages[i].content;
        wire->messages[wire->n_messages++] = message;
    }
    return true;
}

/* Copies the texts that belong to the task, which ends with the handler. */
static bool stops_to_wire(struct cap_rpc_call *call, const struct eval_prompt *prompt,
                          Moecap__V1__Prompt *wire)
{
    wire->stop = EVAL_WIRE_LIST(call, char, prompt->stop_count);
    for (size_t i = 0; wire->stop && i < prompt->stop_count; i++)
        wire->stop[wire->n_stop++] = (char *)prompt->stops[i];
    return wire->stop != NULL;
}

static Moecap__V1__Prompt *prompt_to_wire(struct cap_rpc_call *call,
                                          const struct eval_prompt *prompt)
{
    Moecap__V1__Prompt *wire = EVAL_WIRE(call, Moecap__V1__Prompt);

    if (!wire)
        return NULL;
    moecap__v1__prompt__init(wire);
    wire->ordinal = prompt->ordinal;
    wire->uid = (char *)prompt->uid;
    wire->text = (char *)prompt->text;
    wire->n_continuations = prompt->continuation_count;
    wire->continuations = (char **)prompt->continuations;
    wire->max_tokens = prompt->max_tokens;
    wire->temperature = prompt->temperature;
    wire->top_k = prompt->top_k;
    wire->seed = prompt->seed;
    wire->ignore_eos = prompt->ignore_eos;
    if (prompt->has_top_p) {
        wire->opt_top_p_case = MOECAP__V1__PROMPT__OPT_TOP_P_TOP_P;
        wire->top_p = prompt->top_p;
    }
    return messages_to_wire(call, prompt, wire) && stops_to_wire(call, prompt, wire) ? wire : NULL;
}

/* ---- Render ---- */

static bool render_all(struct cap_rpc_call *call, const Moecap__V1__RenderRequest *request,
                       struct eval_render *render, Moecap__V1__RenderReply *reply,
                       struct cap_err *err)
{
    reply->prompts = EVAL_WIRE_LIST(call, Moecap__V1__Prompt, request->n_docs);
    if (!reply->prompts)
        return eval_fail_full(err);
    for (size_t i = 0; i < request->n_docs; i++) {
        struct eval_document document = document_from_wire(request->docs[i]);
        struct eval_prompt prompt;

        if (!eval_render_prompt(render, &document, cap_rpc_arena(call), &prompt, err))
            return false;
        if (!(reply->prompts[reply->n_prompts++] = prompt_to_wire(call, &prompt)))
            return eval_fail_full(err);
    }
    eval_count(EVAL_COUNTER_prompts_rendered_total, (int64_t)reply->n_prompts);
    return true;
}

bool eval_handle_render(struct cap_rpc_call *call, const Moecap__V1__RenderRequest *request,
                        Moecap__V1__RenderReply *reply, struct cap_err *err)
{
    struct eval_settings settings;
    struct eval_document *pool =
        cap_arena_array(cap_rpc_arena(call), request->n_fewshot + 1, sizeof *pool);
    CAP_AUTO(eval_task) task = NULL;
    CAP_AUTO(eval_render) render = NULL;

    if (!pool)
        return eval_fail_full(err);
    for (size_t i = 0; i < request->n_fewshot; i++)
        pool[i] = document_from_wire(request->fewshot[i]);
    return eval_check_batch(call, request->n_docs, err) &&
           settings_from_wire(request, &settings, err) &&
           (task = eval_task_open(request->definition, NULL, err)) &&
           (render = eval_render_open(task, &settings, pool, request->n_fewshot, err)) &&
           render_all(call, request, render, reply, err);
}
