/* tokenizer.h — text to token ids and back, as a model's tokenizer.json says.
 *
 * Byte-level BPE: the Qwen, DeepSeek, o200k, Llama-3 and GPT-NeoX kinds. What a file asks for and
 * we do not do is refused when opening, with a sentence; nothing is silently left out. Added tokens
 * may stand in any of four files: tokenizer.json, tokenizer_config.json (added_tokens_decoder, and
 * bos_token and its like), added_tokens.json and special_tokens_map.json. Files that disagree about
 * a token are refused with both their names. Immutable after opening; any thread.
 *
 *     CAP_AUTO(infer_tokenizer) t = infer_tokenizer_open("/models/moecap-tiny", err);
 *     struct infer_tokens ids = {0};
 *     if (t && infer_tokenizer_encode(t, text, strlen(text), INFER_WITH_SPECIALS, &ids, err))
 *         infer_tokenizer_decode(t, ids.ids, ids.count, INFER_SKIP_SPECIAL, &out);
 *     infer_tokens_done(&ids);
 */
#ifndef INFER_TOKENIZER_H
#define INFER_TOKENIZER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"

enum {
    INFER_TOKENIZER_FILE_BYTES_MAX = 128 << 20,
    INFER_TOKENIZER_TEXT_BYTES_MAX = 64 << 20, /* of one call */
    INFER_TOKENIZER_IDS_MAX = 1 << 22,         /* ids of a vocabulary are below it */
};

struct infer_tokenizer;

/* Grows; the caller's. All zero is empty. */
struct infer_tokens {
    uint32_t *ids;
    size_t count, capacity;
};

void infer_tokens_add(struct infer_tokens *tokens, uint32_t id);
void infer_tokens_done(struct infer_tokens *tokens);

/* Reads DIR/tokenizer.json, and the files beside it that hold tokens. */
struct infer_tokenizer *infer_tokenizer_open(const char *dir, struct cap_err *err);
/* From tokenizer.json alone; borrowed. */
struct infer_tokenizer *infer_tokenizer_parse(const json_t *json, struct cap_err *err);
void infer_tokenizer_free(struct infer_tokenizer *tokenizer);
CAP_DEFINE_AUTO(infer_tokenizer)

enum infer_specials { INFER_WITHOUT_SPECIALS, INFER_WITH_SPECIALS };

/* Adds the text's ids to `tokens`. Special tokens that are spelled out in the text become their
 * ids; with specials, those of the post-processor (such as a first <s>) are put around it. The text
 * must be UTF-8. */
bool infer_tokenizer_encode(const struct infer_tokenizer *tokenizer, const char *text,
                            size_t length, enum infer_specials specials,
                            struct infer_tokens *tokens, struct cap_err *err);

enum infer_skip { INFER_KEEP_SPECIAL, INFER_SKIP_SPECIAL };

/* Adds the ids' text; bytes that are not UTF-8 become U+FFFD, ids that do not exist nothing. */
void infer_tokenizer_decode(const struct infer_tokenizer *tokenizer, const uint32_t *ids,
                            size_t count, enum infer_skip skip, struct cap_buf *out);

/* The bytes of one token, borrowed; NULL when there is none with that id. They need not be whole
 * UTF-8. */
const char *infer_tokenizer_bytes(const struct infer_tokenizer *tokenizer, uint32_t id,
                                  size_t *out_length);
bool infer_tokenizer_is_special(const struct infer_tokenizer *tokenizer, uint32_t id);
/* The id of an added token by its exact text; -1 = none. */
int64_t infer_tokenizer_added_id(const struct infer_tokenizer *tokenizer, const char *content);

enum { INFER_TOKENIZER_NOTES_MAX = 8 };

/* For `model inspect`. */
struct infer_tokenizer_facts {
    uint32_t ids; /* largest id + 1 */
    size_t vocabulary, merges, added, specials;
    int bytes_without_token; /* such bytes of a text are dropped */
    bool adds_specials;      /* encoding with specials differs from without */
    /* What its files say that cannot be followed, and what happens instead; the tokenizer's. */
    const char *const *notes;
    size_t note_count;
};

void infer_tokenizer_describe(const struct infer_tokenizer *tokenizer,
                              struct infer_tokenizer_facts *out);

/* ---- one token at a time ---- */

/* Holds back bytes until they are whole characters. One user at a time. */
struct infer_detokenizer {
    const struct infer_tokenizer *tokenizer;
    enum infer_skip skip;
    struct cap_utf8_mender mender;
};

void infer_detokenizer_init(struct infer_detokenizer *d, const struct infer_tokenizer *tokenizer,
                            enum infer_skip skip);
/* Adds what the token completes to `out`: possibly nothing. */
void infer_detokenizer_add(struct infer_detokenizer *d, uint32_t id, struct cap_buf *out);
/* What is still held becomes U+FFFD. */
void infer_detokenizer_end(struct infer_detokenizer *d, struct cap_buf *out);

#endif
