/* Ids back to text. A token may end in the middle of a character, so bytes wait until they are one;
 * bytes that can never be one become U+FFFD, one for each longest beginning of a character. */
#include <string.h>

#include "text/bytes.h"
#include "text/tokenizer.h"

static const char replacement[] = "\xef\xbf\xbd";

void infer_detokenizer_init(struct infer_detokenizer *d, const struct infer_tokenizer *tokenizer,
                            enum infer_skip skip)
{
    *d = (struct infer_detokenizer){.tokenizer = tokenizer, .skip = skip};
}

/* The byte that breaks a character may begin the next one. */
static void add_byte(struct infer_detokenizer *d, unsigned char byte, struct cap_buf *out)
{
    int size;

    d->held[d->held_count++] = byte;
    size = infer_bytes_character(d->held, (size_t)d->held_count);
    if (size < 0)
        return;
    if (size > 0) {
        cap_buf_add(out, d->held, (size_t)size);
        d->held_count = 0;
        return;
    }
    cap_buf_add_str(out, replacement);
    if (d->held_count == 1) {
        d->held_count = 0;
        return;
    }
    d->held_count = 0;
    add_byte(d, byte, out);
}

void infer_detokenizer_add(struct infer_detokenizer *d, uint32_t id, struct cap_buf *out)
{
    size_t length = 0;
    const char *bytes = infer_tokenizer_bytes(d->tokenizer, id, &length);

    if (!bytes || (d->skip == INFER_SKIP_SPECIAL && infer_tokenizer_is_special(d->tokenizer, id)))
        return;
    for (size_t i = 0; i < length; i++)
        add_byte(d, (unsigned char)bytes[i], out);
}

void infer_detokenizer_end(struct infer_detokenizer *d, struct cap_buf *out)
{
    if (d->held_count > 0)
        cap_buf_add_str(out, replacement);
    d->held_count = 0;
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
