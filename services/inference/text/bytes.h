/* bytes.h — GPT-2's table of printable characters for the 256 bytes. Pure. */
#ifndef INFER_BYTES_H
#define INFER_BYTES_H

#include <stddef.h>

/* A vocabulary entry as bytes; `out` holds `length` bytes. An entry with a character outside the
 * table stands for its own UTF-8. Returns how many bytes. */
size_t infer_bytes_from_text(const char *text, size_t length, char *out);

#endif
