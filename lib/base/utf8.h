/* utf8.h — whether bytes are UTF-8, and making them so.
 *
 * Overlong forms, surrogates and code points past U+10FFFF are not UTF-8. Text that arrives in
 * pieces, which may end in the middle of a character, goes through a mender: what can never become
 * a character comes out as U+FFFD, one for each longest beginning of one, however the bytes were
 * divided.
 *
 *     struct cap_utf8_mender mender = {0};
 *     cap_utf8_mend(&mender, bytes, length, &out);   for each piece
 *     cap_utf8_mend_end(&mender, &out);
 *
 * Nothing is owned; a mender belongs to one thread.
 */
#ifndef CAP_UTF8_H
#define CAP_UTF8_H

#include <stddef.h>

struct cap_buf;

#define CAP_UTF8_REPLACEMENT "\xef\xbf\xbd"

/* Bytes of the character that starts at text; 0 = not UTF-8; -1 = more bytes are needed. `length`
 * is at least 1. */
int cap_utf8_character(const void *text, size_t length);

/* Offset of the first byte that is not UTF-8; `length` when there is none. */
size_t cap_utf8_bad(const char *text, size_t length);

/* Characters of UTF-8 text. */
size_t cap_utf8_count(const char *text);

/* How much of a text that is longer than `bytes_max` fits in there without cutting a character. */
size_t cap_utf8_cut(const char *text, size_t bytes_max);

/* In place: '?' for what is not UTF-8, one for each longest beginning of a character. For short
 * texts of ours that quote others'; what is shown whole goes through a mender. */
void cap_utf8_tidy(char *text);

struct cap_utf8_mender {
    unsigned char held[4]; /* the beginning of a character */
    int held_count;
};

void cap_utf8_mend(struct cap_utf8_mender *mender, const void *bytes, size_t length,
                   struct cap_buf *out);
/* What is held will not become a character any more. */
void cap_utf8_mend_end(struct cap_utf8_mender *mender, struct cap_buf *out);

#endif
