/* Replies: JSON as OpenAI writes it, made of served requests that have ended, or of pieces. What is
 * unknown is null: a count of tokens, a finish reason. Log-probabilities of a prompt come from a
 * second served request, the scorer, which scored the same prompt. */
#include "serve/inside.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { TOKEN_NAME_BYTES_MAX = 1 << 20 };

/* Takes the value. */
static void add_json(struct cap_buf *out, json_t *value)
{
    CAP_AUTO_MEM char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

    assert(text && "our own values are valid UTF-8");
    cap_buf_add_str(out, text);
    json_decref(value);
}

static void add_event(struct cap_buf *out, json_t *value)
{
    cap_buf_add_str(out, "data: ");
    add_json(out, value);
    cap_buf_add_str(out, "\n\n");
}

/* Texts come from models and folders: text that is not UTF-8 must not end the program. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);

    return value ? value : json_string("(not UTF-8)");
}

static json_t *count_or_null(int count)
{
    return count >= 0 ? json_integer(count) : json_null();
}

/* ---- parts ---- */

/* A sum is known only if each of its parts is. */
static int add_count(int sum, int count)
{
    return sum < 0 || count < 0 ? -1 : sum + count;
}

static json_t *make_usage(const struct infer_served *served, int count)
{
    int prompt = 0, output = 0, cached = 0;
    json_t *usage;

    for (int i = 0; i < count; i++) {
        prompt = add_count(prompt, served[i].prompt_tokens);
        output = add_count(output, served[i].output_tokens);
        cached = add_count(cached, served[i].cached_tokens);
    }
    usage =
        json_pack("{s:o, s:o, s:o}", "prompt_tokens", count_or_null(prompt), "completion_tokens",
                  count_or_null(output), "total_tokens", count_or_null(add_count(prompt, output)));
    if (cached >= 0)
        json_object_set_new(usage, "prompt_tokens_details",
                            json_pack("{s:i}", "cached_tokens", cached));
    return usage;
}

/* OpenAI has no word for "eos": a model that ends by itself has stopped. Other reasons are carried
 * as the engine gave them; one that it did not give is null. */
static json_t *finish_reason(const struct infer_served *served)
{
    if (strcmp(served->finish_reason, "eos") == 0)
        return json_string("stop");
    return *served->finish_reason ? text_json(served->finish_reason) : json_null();
}

static json_t *make_head(const struct infer_serve_reply *reply, const char *object)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", reply->id, "object", object, "created",
                     (json_int_t)reply->created_s, "model", reply->model, "system_fingerprint",
                     "moecap-" MOECAP_VERSION);
}

/* Tokens are named by their text. Those that are none, being part of a character, are named by
 * their bytes, as OpenAI does: U+FFFD for all of them would make one of many. */
static const char *name_token(struct infer_token_bytes token, struct cap_buf *name)
{
    cap_buf_clear(name);
    if (cap_utf8_bad(token.data, token.length) == token.length &&
        !memchr(token.data, 0, token.length)) {
        cap_buf_add(name, token.data, token.length);
        return name->data;
    }
    cap_buf_add_str(name, "bytes:");
    for (size_t i = 0; i < token.length; i++)
        cap_buf_printf(name, "\\x%02x", (unsigned char)token.data[i]);
    return name->data;
}

static bool same_token(struct infer_token_bytes a, struct infer_token_bytes b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static json_t *make_alternatives(const struct infer_token_score *score, int alternatives)
{
    CAP_AUTO_BUF(name, TOKEN_NAME_BYTES_MAX);
    json_t *object;

    if (!score->best.data || alternatives == 0)
        return json_null();
    object = json_object();
    json_object_set_new(object, name_token(score->best, &name),
                        json_real(score->best_log_likelihood));
    if (!same_token(score->best, score->token)) /* as OpenAI does: the token itself, too */
        json_object_set_new(object, name_token(score->token, &name),
                            json_real(score->log_likelihood));
    return object;
}

/* The four lists of a completion's logprobs, token by token. */
struct logprobs {
    json_t *tokens, *scores, *best, *offsets;
    size_t characters; /* that have begun */
};

static bool continues_character(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Takes score and best. An offset is that of the character in which the token begins. */
static void add_logprob(struct logprobs *out, struct infer_token_bytes token, json_t *score,
                        json_t *best)
{
    CAP_AUTO_BUF(name, TOKEN_NAME_BYTES_MAX);
    bool inside = out->characters > 0 && token.length > 0 && continues_character(token.data[0]);

    json_array_append_new(out->tokens, text_json(name_token(token, &name)));
    json_array_append_new(out->offsets, json_integer((json_int_t)(out->characters - inside)));
    json_array_append_new(out->scores, score);
    json_array_append_new(out->best, best);
    for (size_t i = 0; i < token.length; i++)
        out->characters += !continues_character(token.data[i]);
}

/* A generated token has no score here, but it has its place, an eos without text too: harnesses ask
 * for one token more than they score, and cut it off. */
static void add_generated(struct logprobs *out, const struct infer_served *served)
{
    const char *at = served->text.data;

    for (size_t i = 0; i < served->piece_count; i++) {
        struct infer_token_bytes piece = {at, served->pieces[i].length};

        add_logprob(out, piece, json_null(), json_null());
        at += piece.length;
    }
}

static json_t *make_logprobs(const struct infer_served *scorer, const struct infer_served *served,
                             int alternatives)
{
    struct logprobs out = {json_array(), json_array(), json_array(), json_array(), 0};

    for (int i = 0; i < scorer->token_score_count; i++) {
        const struct infer_token_score *score = &scorer->token_scores[i];

        add_logprob(&out, score->token,
                    score->best.data ? json_real(score->log_likelihood) : json_null(),
                    make_alternatives(score, alternatives));
    }
    add_generated(&out, served);
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", out.tokens, "token_logprobs", out.scores,
                     "top_logprobs", out.best, "text_offset", out.offsets);
}

static json_t *make_choice(const struct infer_serve_reply *reply, int index, const char *text,
                           const struct infer_served *served)
{
    json_t *choice = json_pack("{s:i, s:o, s:n}", "index", index, "finish_reason",
                               finish_reason(served), "logprobs");

    if (reply->request->chat)
        json_object_set_new(
            choice, "message",
            json_pack("{s:s, s:o}", "role", "assistant", "content", text_json(text)));
    else
        json_object_set_new(choice, "text", text_json(text));
    return choice;
}

/* A character may be spread over tokens. */
static void add_tokens(struct cap_buf *out, const struct infer_served *scorer)
{
    struct cap_utf8_mender mender = {0};

    for (int i = 0; i < scorer->token_score_count; i++) {
        struct infer_token_bytes token = scorer->token_scores[i].token;

        cap_utf8_mend(&mender, token.data, token.length, out);
    }
    cap_utf8_mend_end(&mender, out);
}

/* The text of the prompt in front of what was generated. */
static void add_echo(const struct infer_serve_reply *reply, json_t *choice, int index,
                     const struct infer_served *served, const struct infer_served *scorer,
                     const char *generated)
{
    const struct infer_request *prompt = &reply->request->prompts[index];
    CAP_AUTO_BUF(text, 64 << 20);

    if (prompt->text)
        cap_buf_add_str(&text, prompt->text);
    else
        add_tokens(&text, scorer);
    cap_buf_add_str(&text, generated);
    json_object_set_new(choice, "text", text_json(text.data));
    if (reply->request->logprobs >= 0)
        json_object_set_new(choice, "logprobs",
                            make_logprobs(scorer, served, reply->request->logprobs));
}

void infer_serve_reply_whole(const struct infer_serve_reply *reply,
                             const struct infer_served *served, const struct infer_served *scorers,
                             const struct cap_buf *texts, struct cap_buf *out)
{
    json_t *body = make_head(reply, reply->request->chat ? "chat.completion" : "text_completion");
    json_t *choices = json_array();

    for (int i = 0; i < reply->request->prompt_count; i++) {
        json_t *choice = make_choice(reply, i, texts[i].data, &served[i]);

        if (reply->request->echo)
            add_echo(reply, choice, i, &served[i], &scorers[i], texts[i].data);
        json_array_append_new(choices, choice);
    }
    json_object_set_new(body, "choices", choices);
    json_object_set_new(body, "usage", make_usage(served, reply->request->prompt_count));
    add_json(out, body);
    cap_buf_add_char(out, '\n');
}

/* ---- streams ---- */

/* `what` is the delta or the text, `why` the reason of an end or null; both are taken. */
static json_t *make_chunk(const struct infer_serve_reply *reply, json_t *what, json_t *why)
{
    bool chat = reply->request->chat;
    json_t *chunk = make_head(reply, chat ? "chat.completion.chunk" : "text_completion");

    json_object_set_new(chunk, "choices",
                        json_pack("[{s:i, s:o, s:n, s:o}]", "index", 0, chat ? "delta" : "text",
                                  what, "logprobs", "finish_reason", why));
    if (reply->request->include_usage)
        json_object_set_new(chunk, "usage", json_null());
    return chunk;
}

void infer_serve_reply_role(const struct infer_serve_reply *reply, struct cap_buf *out)
{
    if (reply->request->chat)
        add_event(out,
                  make_chunk(reply, json_pack("{s:s, s:s}", "role", "assistant", "content", ""),
                             json_null()));
}

void infer_serve_reply_piece(const struct infer_serve_reply *reply, const char *text,
                             struct cap_buf *out)
{
    add_event(out, make_chunk(reply,
                              reply->request->chat ? json_pack("{s:o}", "content", text_json(text))
                                                   : text_json(text),
                              json_null()));
}

void infer_serve_reply_end(const struct infer_serve_reply *reply, const struct infer_served *served,
                           struct cap_buf *out)
{
    if (served->failure.code != CAP_OK) {
        cap_buf_add_str(out, "data: ");
        infer_serve_reply_error(&served->failure, NULL, out);
        cap_buf_add_str(out, "\n");
        return;
    }
    add_event(out, make_chunk(reply, reply->request->chat ? json_object() : json_string(""),
                              finish_reason(served)));
    if (reply->request->include_usage) {
        json_t *chunk =
            make_head(reply, reply->request->chat ? "chat.completion.chunk" : "text_completion");

        json_object_set_new(chunk, "choices", json_array());
        json_object_set_new(chunk, "usage", make_usage(served, 1));
        add_event(out, chunk);
    }
    cap_buf_add_str(out, "data: [DONE]\n\n");
}

/* ---- errors and models ---- */

static const char *error_code(const struct cap_err *err, const char *param)
{
    if (err->code == CAP_OUT_OF_RANGE)
        return "context_length_exceeded";
    if (err->code == CAP_NOT_FOUND && param && strcmp(param, "model") == 0)
        return "model_not_found";
    return NULL;
}

static const char *error_type(enum cap_code code)
{
    switch (code) {
    case CAP_INVALID_ARGUMENT:
    case CAP_OUT_OF_RANGE:
    case CAP_NOT_FOUND:
    case CAP_FAILED_PRECONDITION:
    case CAP_UNIMPLEMENTED:
        return "invalid_request_error";
    case CAP_RESOURCE_EXHAUSTED:
        return "rate_limit_error";
    default:
        return "server_error";
    }
}

void infer_serve_reply_error(const struct cap_err *err, const char *param, struct cap_buf *out)
{
    add_json(out, json_pack("{s:{s:o, s:s, s:s?, s:s?}}", "error", "message", text_json(err->text),
                            "type", error_type(err->code), "param", param, "code",
                            error_code(err, param)));
    cap_buf_add_char(out, '\n');
}

static json_t *make_model(const struct infer_model *model)
{
    json_t *entry = json_pack("{s:o, s:s, s:i, s:s, s:s}", "id", text_json(model->name), "object",
                              "model", "created", 0, "owned_by", "moecap", "family", model->family);

    if (model->context_max >
        0) /* of prompt and answer together, under the name that vLLM gave it */
        json_object_set_new(entry, "max_model_len", json_integer(model->context_max));
    return entry;
}

bool infer_serve_reply_models(const struct infer_models *models, const char *name,
                              struct cap_buf *out)
{
    json_t *list;

    for (int i = 0; i < models->count && name; i++)
        if (strcmp(models->list[i].name, name) == 0) {
            add_json(out, make_model(&models->list[i]));
            return true;
        }
    if (name)
        return false;
    list = json_array();
    for (int i = 0; i < models->count; i++)
        if (!*models->list[i].problem)
            json_array_append_new(list, make_model(&models->list[i]));
    add_json(out, json_pack("{s:s, s:o}", "object", "list", "data", list));
    return true;
}
