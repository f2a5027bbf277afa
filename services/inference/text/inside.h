/* inside.h — the steps of the tokenizer, for this folder's own files, in the order in which a text
 * goes through them.
 *
 *     added.c        cuts out the tokens that stand for themselves
 *     pretokenize.c  what lies between them becomes words
 *     bpe.c          a word becomes ids
 *
 * tokenizer.c reads tokenizer.json and calls them. What is read is immutable afterwards; any
 * thread.
 */
#ifndef INFER_TEXT_INSIDE_H
#define INFER_TEXT_INSIDE_H

#include <jansson.h>

#include "base/arena.h"
#include "text/tokenizer.h"

/* ==== added tokens ====
 *
 * Tokens that are cut out of the text before anything else: <|im_start|>, <think>, ...
 *
 * At each place the longest one wins; then its flags: `single_word` wants no word character on
 * either side, `lstrip` and `rstrip` swallow the white space beside it. Immutable; any thread.
 */

enum { INFER_ADDED_MAX = 1 << 17 };

struct infer_added_token {
    const char *content;
    size_t length;
    uint32_t id;
    bool special, lstrip, rstrip, single_word, normalized;
};

struct infer_added;

struct infer_added *infer_added_new(void);
void infer_added_free(struct infer_added *added);
CAP_DEFINE_AUTO(infer_added)

/* Borrows the token; `match` is the text to look for: its content, normalized or not. */
void infer_added_put(struct infer_added *added, const struct infer_added_token *token,
                     const char *match, size_t match_length);

/* A stretch of text: a token, or what lies between tokens. */
struct infer_added_piece {
    const char *text;
    size_t length;
    const struct infer_added_token *token; /* NULL = text */
};

/* The first piece of the text from `*at`, which moves behind it; false at the end. */
struct infer_added_cursor {
    const char *text;
    size_t length, at;
    struct infer_added_piece pending; /* the token behind a text that was handed out */
    bool has_pending;
};

bool infer_added_next(const struct infer_added *added, struct infer_added_cursor *cursor,
                      struct infer_added_piece *out);

/* ==== words ====
 *
 * Text to the words that BPE works on, as tokenizer.json says: the normalizer (Unicode forms, or
 * nothing), then the pre_tokenizer (Split by a pattern, Digits, ByteLevel, and sequences of them).
 *
 * The patterns are Oniguruma's; they run on PCRE2 with `\s` pinned to Unicode's White_Space. Steps
 * are immutable once read; a scratch belongs to one call.
 */

/* ---- the normalizer ---- */

enum { INFER_NORMALIZE_STEPS_MAX = 8 };

struct infer_normalizer {
    int steps[INFER_NORMALIZE_STEPS_MAX]; /* utf8proc options */
    int step_count;
};

/* `json` may be NULL or null. */
bool infer_normalizer_read(const json_t *json, struct infer_normalizer *out, struct cap_err *err);

/* The text itself when there is nothing to do, else a copy in the arena. */
bool infer_normalize(const struct infer_normalizer *normalizer, struct cap_arena *arena,
                     const char **text, size_t *length, struct cap_err *err);

/* ---- the pre-tokenizer ---- */

struct infer_pretokenizer;

/* Fails unless one of the steps is ByteLevel: this tokenizer knows bytes only. */
struct infer_pretokenizer *infer_pretokenizer_open(const json_t *json, struct cap_err *err);
void infer_pretokenizer_free(struct infer_pretokenizer *p);
CAP_DEFINE_AUTO(infer_pretokenizer)

struct infer_word {
    const char *text;
    size_t length;
};

struct infer_words {
    struct infer_word *items;
    size_t count, capacity;
};

void infer_words_done(struct infer_words *words);

/* Replaces what is in `out`. Words point into the text or into the arena. */
bool infer_pretokenize(const struct infer_pretokenizer *p, struct cap_arena *arena,
                       const char *text, size_t length, struct infer_words *out,
                       struct cap_err *err);

/* ==== byte-pair encoding of one word ====
 *
 * A vocabulary of byte strings and ranked merges.
 *
 * The merge of lowest rank goes first, the leftmost of equals. A heap of candidate pairs keeps a
 * word of n bytes at O(n log n), whatever is in it. Immutable once read; a scratch has one user.
 */

struct infer_bpe;
struct infer_bpe_scratch;

/* `model` is the object of that name in tokenizer.json. */
struct infer_bpe *infer_bpe_open(const json_t *model, struct cap_err *err);
void infer_bpe_free(struct infer_bpe *bpe);
CAP_DEFINE_AUTO(infer_bpe)

struct infer_bpe_scratch *infer_bpe_scratch_new(void);
void infer_bpe_scratch_free(struct infer_bpe_scratch *scratch);
CAP_DEFINE_AUTO(infer_bpe_scratch)

void infer_bpe_encode(const struct infer_bpe *bpe, struct infer_bpe_scratch *scratch,
                      const char *word, size_t length, struct infer_tokens *out);

/* The id of the vocabulary's entry that is written so: as a key, not as bytes. -1 = none. */
int64_t infer_bpe_id_of_text(const struct infer_bpe *bpe, const char *text, size_t length);
/* Bytes of the token, NULL when the vocabulary has none with that id. */
const char *infer_bpe_bytes(const struct infer_bpe *bpe, uint32_t id, size_t *out_length);
uint32_t infer_bpe_id_count(const struct infer_bpe *bpe); /* largest id + 1 */
size_t infer_bpe_vocabulary(const struct infer_bpe *bpe);
size_t infer_bpe_merges(const struct infer_bpe *bpe);
int infer_bpe_bytes_without_token(const struct infer_bpe *bpe);
int64_t infer_bpe_double(const struct infer_bpe *bpe); /* an id of two entries; -1 = none */

#endif
