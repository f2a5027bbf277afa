/* encode.h — a request's texts as token ids: prompt, and the split of context and continuation.
 *
 * Plain text gets the tokenizer's special tokens (a bos where the model wants one); what a chat
 * template made already has them. For scoring, blanks at the end of the context move to the
 * continuation and the two are encoded together, because tokens do not end where texts do: the
 * continuation's tokens are those after the context's own (the rule of lm-eval, so that figures
 * can be compared). A continuation that disappears in the context's last token ("Ans" + "wer") is
 * encoded alone. An empty context is one bos token, or eos for a model without bos. Any thread.
 */
#ifndef INFER_ENCODE_H
#define INFER_ENCODE_H

#include "engine.h"
#include "model/model.h"
#include "text/chat.h"
#include "text/tokenizer.h"

struct infer_codec {
    const struct infer_tokenizer *tokenizer;
    const struct infer_chat *chat;
    const struct cap_model *model;
};

/* `out_text` gets the text that the model sees; empty for a prompt of tokens. */
bool infer_encode_prompt(const struct infer_codec *codec, const struct infer_request *request,
                         struct infer_tokens *out_ids, struct cap_buf *out_text,
                         struct cap_err *err);
/* Bytes of a context without the blanks at its end, which move to the continuation. */
size_t infer_encode_context_length(const char *text, size_t length);
/* Context and each continuation; out_continuations is [continuation_count], zeroed by the caller,
 * who frees what is in it also after a failure. */
bool infer_encode_scored(const struct infer_codec *codec, const struct infer_request *request,
                         struct infer_tokens *out_context, struct infer_tokens *out_continuations,
                         struct cap_buf *out_text, struct cap_err *err);

#endif
