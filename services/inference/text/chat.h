/* chat.h — a model's chat template: messages in, the text that the model was trained on out.
 *
 * Where it comes from, first found: chat_template.jinja, then "chat_template" of
 * tokenizer_config.json (a text, or a list of named ones, of which "default" is taken). A model
 * without one, or with one that does not compile, can be opened all the same: it may be asked for
 * texts. Rendering then says why there is no chat. Immutable; any thread.
 *
 *     CAP_AUTO(infer_chat) chat = infer_chat_open(dir, NULL, err);
 *     if (chat && infer_chat_render(chat, &turns, &text, err)) ...
 */
#ifndef INFER_CHAT_H
#define INFER_CHAT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

struct infer_chat;

/* `clock` is what strftime_now tells; NULL = the system's. */
struct infer_chat *infer_chat_open(const char *dir, const struct cap_clock *clock,
                                   struct cap_err *err);
void infer_chat_free(struct infer_chat *chat);
CAP_DEFINE_AUTO(infer_chat)

bool infer_chat_has_template(const struct infer_chat *chat); /* also one that does not compile */
/* Why the template does not compile; NULL = it does, or there is none. */
const char *infer_chat_problem(const struct infer_chat *chat);
/* "chat_template.jinja", "tokenizer_config.json", or "none". */
const char *infer_chat_source(const struct infer_chat *chat);

/* A conversation: either plain texts or, for content parts and tool calls, a JSON list. */
struct infer_chat_turns {
    const char *const *roles, *const *contents; /* [count] */
    int count;
    const json_t *messages; /* used instead when not NULL; borrowed */
    const json_t *extra;    /* more names for the template (tools, enable_thinking); may be NULL */
    bool continue_without_cue;   /* leave out the cue that the assistant speaks next */
    bool (*unwanted)(void *arg); /* asked now and then: true ends the rendering; NULL = never */
    void *unwanted_arg;
};

/* Adds to `out`. What the template itself refuses is INVALID_ARGUMENT with its own words; without a
 * template that compiles it is NOT_FOUND or UNIMPLEMENTED: no conversation can be rendered. */
bool infer_chat_render(const struct infer_chat *chat, const struct infer_chat_turns *turns,
                       struct cap_buf *out, struct cap_err *err);

/* True when tokenizer_config.json wants the first token of a plain text to be its bos token
 * (add_bos_token); the post-processor of tokenizer.json may do so as well. */
bool infer_chat_adds_bos(const struct infer_chat *chat);
/* Text of a special token by its key ("bos_token"); NULL = none. */
const char *infer_chat_special(const struct infer_chat *chat, const char *key);

#endif
