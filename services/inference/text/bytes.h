/* bytes.h — GPT-2's table of printable characters for the 256 bytes, and UTF-8 checks. Pure. */
#ifndef INFER_BYTES_H
#define INFER_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* A vocabulary entry as bytes; `out` holds `length` bytes. An entry with a character outside the
 * table stands for its own UTF-8. Returns how many bytes. */
size_t infer_bytes_from_text(const char *text, size_t length, char *out);

/* Offset of the first byte that is not UTF-8; `length` when there is none. */
size_t infer_bytes_bad_utf8(const char *text, size_t length);

/* Bytes of the character that starts at text; 0 = not UTF-8; -1 = more bytes are needed. */
int infer_bytes_character(const unsigned char *text, size_t length);

#endif
