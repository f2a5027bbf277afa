/* Ids back to text. A token may end in the middle of a character, so bytes wait until they are one.
 */
#include "text/tokenizer.h"

void infer_detokenizer_init(struct infer_detokenizer *d, const struct infer_tokenizer *tokenizer,
                            enum infer_skip skip)
{
    *d = (struct infer_detokenizer){.tokenizer = tokenizer, .skip = skip};
}

void infer_detokenizer_add(struct infer_detokenizer *d, uint32_t id, struct cap_buf *out)
{
    size_t length = 0;
    const char *bytes = infer_tokenizer_bytes(d->tokenizer, id, &length);

    if (!bytes || (d->skip == INFER_SKIP_SPECIAL && infer_tokenizer_is_special(d->tokenizer, id)))
        return;
    cap_utf8_mend(&d->mender, bytes, length, out);
}

void infer_detokenizer_end(struct infer_detokenizer *d, struct cap_buf *out)
{
    cap_utf8_mend_end(&d->mender, out);
}

void infer_tokenizer_decode(const struct infer_tokenizer *tokenizer, const uint32_t *ids,
                            size_t count, enum infer_skip skip, struct cap_buf *out)
{
    struct infer_detokenizer d;

    infer_detokenizer_init(&d, tokenizer, skip);
    for (size_t i = 0; i < count; i++)
        infer_detokenizer_add(&d, ids[i], out);
    infer_detokenizer_end(&d, out);
}
