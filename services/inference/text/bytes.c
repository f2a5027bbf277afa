#include "text/bytes.h"

#include <stdbool.h>
#include <string.h>

/* The byte that a character stands for; -1 = none. Printable bytes stand for themselves; the
 * others, in order (0 to 0x20, 0x7f to 0xa0, 0xad), are U+0100 to U+0143. */
static int byte_of(unsigned character)
{
    bool itself = (character >= 0x21 && character <= 0x7e) ||
                  (character >= 0xa1 && character <= 0xff && character != 0xad);

    if (itself)
        return (int)character;
    if (character < 0x100 || character > 0x143)
        return -1;
    if (character <= 0x120)
        return (int)character - 0x100;
    return character <= 0x142 ? 0x7f + (int)character - 0x121 : 0xad;
}

size_t infer_bytes_from_text(const char *text, size_t length, char *out)
{
    const unsigned char *t = (const unsigned char *)text;
    size_t count = 0;

    for (size_t i = 0; i < length;) {
        bool two = (t[i] & 0xe0) == 0xc0 && i + 1 < length;
        int byte = t[i] < 0x80 ? byte_of(t[i])
                   : two       ? byte_of((t[i] & 0x1fu) << 6 | (t[i + 1] & 0x3fu))
                               : -1;

        if (byte < 0) {
            memcpy(out, text, length);
            return length;
        }
        out[count++] = (char)byte;
        i += two ? 2 : 1;
    }
    return count;
}
