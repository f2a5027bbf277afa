/* Prompts to token ids. The split of context and continuation is the harness's rule, to the letter:
 * a choice's score is compared with figures made by it. */
#include "encode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 64 << 20 };

/* ---- the prompt ---- */

static bool render_messages(const struct infer_codec *codec, const struct infer_request *request,
                            struct cap_buf *out, struct cap_err *err)
{
    size_t count = (size_t)request->message_count;
    CAP_AUTO_MEM const char **roles = calloc(2 * count, sizeof *roles);
    const char **contents = roles + count;
    struct infer_chat_turns turns = {.roles = roles,
                                     .contents = contents,
                                     .count = request->message_count,
                                     .unwanted = request->unwanted,
                                     .unwanted_arg = request->unwanted_arg};

    assert(roles);
    for (size_t i = 0; i < count; i++) {
        roles[i] = request->messages[i].role;
        contents[i] = request->messages[i].content;
    }
    return infer_chat_render(codec->chat, &turns, out, err);
}

/* -1 = the model has none. */
static int64_t bos_id(const struct infer_codec *codec)
{
    const char *text = infer_chat_special(codec->chat, "bos_token");
    int64_t id = text ? infer_tokenizer_added_id(codec->tokenizer, text) : -1;

    return id >= 0 ? id : codec->model->bos_id;
}

static bool encode_text(const struct infer_codec *codec, const char *text, size_t length,
                        bool with_specials, struct infer_tokens *out, struct cap_err *err)
{
    int64_t bos = bos_id(codec);

    if (!infer_tokenizer_encode(codec->tokenizer, text, length,
                                with_specials ? INFER_WITH_SPECIALS : INFER_WITHOUT_SPECIALS, out,
                                err))
        return false;
    if (!with_specials || !infer_chat_adds_bos(codec->chat) || bos < 0 ||
        (out->count && out->ids[0] == (uint32_t)bos))
        return true;
    infer_tokens_add(out, 0);
    memmove(out->ids + 1, out->ids, (out->count - 1) * sizeof *out->ids);
    out->ids[0] = (uint32_t)bos;
    return true;
}

/* The text that the model will see. */
static bool make_text(const struct infer_codec *codec, const struct infer_request *request,
                      struct cap_buf *out, struct cap_err *err)
{
    if (request->message_count)
        return render_messages(codec, request, out, err);
    cap_buf_add_str(out, request->text ? request->text : "");
    return true;
}

bool infer_encode_prompt(const struct infer_codec *codec, const struct infer_request *request,
                         struct infer_tokens *out_ids, struct cap_buf *out_text,
                         struct cap_err *err)
{
    for (int i = 0; i < request->prompt_id_count; i++)
        infer_tokens_add(out_ids, request->prompt_ids[i]);
    if (request->prompt_id_count)
        return true;
    if (!make_text(codec, request, out_text, err))
        return false;
    if (out_text->overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt is larger than %zu MiB",
                        out_text->bytes_max >> 20);
    if (!encode_text(codec, out_text->data, out_text->length, request->message_count == 0, out_ids,
                     err))
        return false;
    return out_ids->count > 0 || cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt has no tokens");
}

/* ---- context and continuation ---- */

/* Bytes of the blank character that ends the text; 0 when it ends otherwise. */
static size_t blank_at_end(const char *text, size_t length)
{
    static const char *const wide[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80",
                                       "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
                                       "\xE2\x81\x9F", "\xE3\x80\x80"};
    const unsigned char *end = (const unsigned char *)text + length;

    if (length && (end[-1] == ' ' || (end[-1] >= 0x09 && end[-1] <= 0x0D) ||
                   (end[-1] >= 0x1C && end[-1] <= 0x1F)))
        return 1;
    if (length >= 3 && end[-3] == 0xE2 && end[-2] == 0x80 && end[-1] >= 0x80 && end[-1] <= 0x8A)
        return 3; /* U+2000 to U+200A */
    for (size_t i = 0; i < CAP_COUNT_OF(wide); i++) {
        size_t n = strlen(wide[i]);

        if (length >= n && memcmp(end - n, wide[i], n) == 0)
            return n;
    }
    return 0;
}

size_t infer_encode_context_length(const char *text, size_t length)
{
    size_t n;

    while ((n = blank_at_end(text, length)) > 0)
        length -= n;
    return length;
}

/* What stands in for an empty context: bos, or eos of a model without one; -1 = neither. */
static int64_t prefix_id(const struct infer_codec *codec)
{
    int64_t bos = bos_id(codec);

    return bos >= 0 || codec->model->eos_count == 0 ? bos : codec->model->eos_ids[0];
}

struct context {
    const struct cap_buf *text; /* as the model sees it */
    size_t length;              /* without the blanks at its end */
    size_t tokens;
    bool plain; /* no chat template made it, and it is not empty: it gets the special tokens */
};

/* The tokens of context + continuation that are after the context's. Where one token spans both
 * texts there may be none: then the continuation is encoded alone. */
static bool encode_continuation(const struct infer_codec *codec, const struct context *context,
                                const char *continuation, struct infer_tokens *out,
                                struct cap_err *err)
{
    CAP_AUTO_BUF(whole, TEXT_BYTES_MAX);
    struct infer_tokens ids = {0};
    size_t from = context->tokens;
    bool ok;

    cap_buf_add(&whole, context->text->data, context->text->length);
    cap_buf_add_str(&whole, continuation);
    ok = encode_text(codec, whole.data, whole.length, context->plain, &ids, err);
    if (context->length == 0 && ids.count > 1 && ids.ids[0] == (uint64_t)prefix_id(codec))
        from = 1; /* it stands in for the context already */
    for (size_t i = from; ok && i < ids.count; i++)
        infer_tokens_add(out, ids.ids[i]);
    if (ok && out->count == 0)
        ok = encode_text(codec, whole.data + context->length, whole.length - context->length, false,
                         out, err);
    infer_tokens_done(&ids);
    return ok;
}

static bool encode_each(const struct infer_codec *codec, const struct infer_request *request,
                        const struct context *context, struct infer_tokens *out_continuations,
                        struct cap_err *err)
{
    for (int i = 0; i < request->continuation_count; i++) {
        if (!encode_continuation(codec, context, request->continuations[i], &out_continuations[i],
                                 err))
            return false;
        if (out_continuations[i].count == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "continuation %d (\"%.40s\") has no tokens",
                            i, request->continuations[i]);
    }
    return true;
}

bool infer_encode_scored(const struct infer_codec *codec, const struct infer_request *request,
                         struct infer_tokens *out_context, struct infer_tokens *out_continuations,
                         struct cap_buf *out_text, struct cap_err *err)
{
    struct context context = {.text = out_text, .plain = request->message_count == 0};

    if (!make_text(codec, request, out_text, err))
        return false;
    context.length = infer_encode_context_length(out_text->data, out_text->length);
    if (context.length &&
        !encode_text(codec, out_text->data, context.length, context.plain, out_context, err))
        return false;
    context.tokens = out_context->count;
    context.plain = context.plain && context.length > 0;
    if (!encode_each(codec, request, &context, out_continuations, err))
        return false;
    if (out_context->count > 0)
        return true;
    if (prefix_id(codec) < 0)
        return cap_fail(
            err, CAP_INVALID_ARGUMENT,
            "the context is empty, and the model has neither bos nor eos to begin with");
    infer_tokens_add(out_context, (uint32_t)prefix_id(codec));
    return true;
}
