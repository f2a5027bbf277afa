/* Log-likelihoods of continuations over HTTP, by servers that score prompts. Pure.
 *
 * A call that scores is several requests, one after the other: the context alone, whose usage says
 * how many tokens it has, then context and each continuation with the log-probabilities of the
 * prompt. A continuation's tokens are those after the context's own (the rule of encode.h, so that
 * figures can be compared); one token is generated each time, for few servers generate none. */
#include "external/inside.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "encode.h"

enum { TEXT_BYTES_MAX = 16 << 20 };

/* ---- what is asked ---- */

/* The context without its last blanks, which belong to the continuation; or all of both. */
static json_t *prompt_of(const struct infer_call *call)
{
    const char *context = call->request->text;
    CAP_AUTO_BUF(text, TEXT_BYTES_MAX);

    if (call->stage == INFER_STAGE_CONTEXT) {
        cap_buf_add(&text, context, infer_encode_context_length(context, strlen(context)));
    } else {
        cap_buf_add_str(&text, context);
        cap_buf_add_str(&text, call->request->continuations[call->continuation]);
    }
    return text.overflowed ? NULL : json_stringn(text.data, text.length);
}

static void set_scoring(json_t *body, const struct infer_external_kind *kind)
{
    if (kind->scoring == INFER_SCORING_PROMPT_LOGPROBS) {
        infer_kind_set_int(body, "prompt_logprobs", 0); /* no alternatives: the rank says enough */
        return;
    }
    infer_kind_set_flag(body, "echo", true);
    infer_kind_set_int(body, "logprobs", 1);
}

char *infer_score_body(const struct infer_server *server, const struct infer_call *call)
{
    json_t *prompt = prompt_of(call);
    json_t *body = prompt ? json_pack("{s:s, s:o, s:i, s:f, s:b}", "model", server->model, "prompt",
                                      prompt, "max_tokens", 1, "temperature", 0.0, "stream", 0)
                          : NULL;
    char *text;

    if (!body)
        return NULL;
    if (call->stage == INFER_STAGE_CONTINUATION)
        set_scoring(body, server->kind);
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

/* ---- log-probabilities of a prompt ---- */

struct token_score {
    double log_likelihood;
    bool greedy;
};

/* vLLM: {"1234": {"logprob": -0.5, "rank": 1, ...}}, the token itself first. */
static bool read_ranked(const json_t *list, size_t i, struct token_score *out)
{
    json_t *entry = json_array_get(list, i);
    const json_t *token = json_object_iter_value(json_object_iter(entry));
    const json_t *value = json_object_get(token, "logprob");

    if (!json_is_number(value))
        return false;
    out->log_likelihood = json_number_value(value);
    out->greedy = json_integer_value(json_object_get(token, "rank")) == 1;
    return true;
}

/* Of tokens that decode to one text only the last is left of two: servers write the likeliest last.
 */
static bool likeliest(const json_t *alternatives, double *out)
{
    const char *text;
    json_t *value;
    bool any = false;

    json_object_foreach((json_t *)alternatives, text, value)
    {
        if (!json_is_number(value))
            continue;
        *out = any ? fmax(*out, json_number_value(value)) : json_number_value(value);
        any = true;
    }
    return any;
}

/* OpenAI: token_logprobs and top_logprobs, one a token. */
static bool read_echoed(const json_t *logprobs, size_t i, struct token_score *out)
{
    const json_t *value = json_array_get(json_object_get(logprobs, "token_logprobs"), i);
    double best;

    if (!json_is_number(value) ||
        !likeliest(json_array_get(json_object_get(logprobs, "top_logprobs"), i), &best))
        return false;
    out->log_likelihood = json_number_value(value);
    out->greedy = out->log_likelihood >= best;
    return true;
}

/* Rounding may put a certain token above 0. */
static bool is_possible(const struct infer_score *score)
{
    return isfinite(score->log_likelihood) && score->log_likelihood < 0.01 * (score->tokens + 1);
}

static bool read_continuation(const struct infer_server *server, const struct infer_call *call,
                              const json_t *reply, int prompt_tokens, struct infer_score *out)
{
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    bool ranked = server->kind->scoring == INFER_SCORING_PROMPT_LOGPROBS;
    const json_t *list = json_object_get(choice, ranked ? "prompt_logprobs" : "logprobs");
    struct infer_score score = {.greedy = true};

    if (!list) /* vLLM's, at the top of the reply in some versions */
        list = json_object_get(reply, "prompt_logprobs");
    for (int i = call->context_tokens; i < prompt_tokens; i++) {
        struct token_score token;

        if (!(ranked ? read_ranked(list, (size_t)i, &token) : read_echoed(list, (size_t)i, &token)))
            return false;
        score.log_likelihood += token.log_likelihood;
        score.greedy = score.greedy && token.greedy;
        score.tokens++;
    }
    *out = score;
    return true;
}

/* ---- the steps ---- */

static bool take_context(struct infer_call *call, int prompt_tokens)
{
    call->context_tokens = prompt_tokens;
    call->counts.prompt = prompt_tokens;
    call->stage = INFER_STAGE_CONTINUATION;
    call->continuation = 0;
    return true;
}

static bool take_continuation(const struct infer_server *server, struct infer_call *call,
                              const json_t *reply, int prompt_tokens, struct cap_err *err)
{
    struct infer_score *out = &call->scores[call->continuation];

    if (prompt_tokens <= call->context_tokens)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "continuation %d (\"%.40s\") joins the context's last token, and the "
                        "server cannot score it apart",
                        call->continuation, call->request->continuations[call->continuation]);
    if (!read_continuation(server, call, reply, prompt_tokens, out))
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "the server reports no log-probabilities of a prompt, which scoring "
                        "continuations needs; use a task that generates");
    if (!is_possible(out))
        return cap_fail(err, CAP_DATA_LOSS,
                        "the server reports a log-likelihood of %g, which is impossible",
                        out->log_likelihood);
    call->continuation++;
    return true;
}

static int prompt_tokens_of(const json_t *reply)
{
    const json_t *count = json_object_get(json_object_get(reply, "usage"), "prompt_tokens");
    json_int_t value = json_integer_value(count);

    return value > 0 && value <= INT32_MAX ? (int)value : -1;
}

bool infer_score_take(const struct infer_server *server, struct infer_call *call, const char *body,
                      size_t length, struct cap_err *err)
{
    json_t *reply = infer_reply_json(body, length);
    int prompt_tokens = prompt_tokens_of(reply);
    char words[INFER_REPLY_REASON_BYTES];
    bool ok;

    if (infer_reply_error(reply, words, sizeof words))
        ok = cap_fail(err, CAP_FAILED_PRECONDITION, "the server answered with an error: %s", words);
    else if (prompt_tokens < 0)
        ok = cap_fail(err, CAP_UNIMPLEMENTED,
                      "the server does not count a prompt's tokens, which scoring continuations "
                      "needs");
    else if (call->stage == INFER_STAGE_CONTEXT)
        ok = take_context(call, prompt_tokens);
    else
        ok = take_continuation(server, call, reply, prompt_tokens, err);
    json_decref(reply);
    return ok;
}

bool infer_score_is_done(const struct infer_call *call)
{
    return call->stage == INFER_STAGE_CONTINUATION &&
           call->continuation == call->request->continuation_count;
}
