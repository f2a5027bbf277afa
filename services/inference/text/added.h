/* added.h — tokens that are cut out of the text before anything else: <|im_start|>, <think>, ...
 *
 * At each place the longest one wins; then its flags: `single_word` wants no word character on
 * either side, `lstrip` and `rstrip` swallow the white space beside it. Immutable; any thread.
 */
#ifndef INFER_ADDED_H
#define INFER_ADDED_H

#include "text/tokenizer.h"

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

#endif
