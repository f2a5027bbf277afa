/* pretokenize.h — text to the words that BPE works on, as tokenizer.json says: the normalizer
 * (Unicode forms, or nothing), then the pre_tokenizer (Split by a pattern, Digits, ByteLevel, and
 * sequences of them).
 *
 * The patterns are Oniguruma's; they run on PCRE2 with `\s` pinned to Unicode's White_Space. Steps
 * are immutable once read; a scratch belongs to one call.
 */
#ifndef INFER_PRETOKENIZE_H
#define INFER_PRETOKENIZE_H

#include <jansson.h>

#include "base/arena.h"
#include "text/tokenizer.h"

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

#endif
