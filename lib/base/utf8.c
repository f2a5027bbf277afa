/* UTF-8 as Unicode defines it: no longer forms than needed, no surrogates, nothing above U+10FFFF.
 * What is not UTF-8 is found, cut or replaced here, so that everything after it may rely on it. */
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

/* Smallest second byte that keeps a character out of the shorter forms; largest that keeps it below
 * U+110000 and out of the surrogates. */
static bool second_fits(unsigned char first, unsigned char second)
{
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    return second >= low && second <= high;
}

static bool continues(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

int cap_utf8_character(const void *text, size_t length)
{
    const unsigned char *t = text;
    int size = t[0] < 0x80                    ? 1
               : t[0] >= 0xc2 && t[0] <= 0xdf ? 2
               : t[0] >= 0xe0 && t[0] <= 0xef ? 3
               : t[0] >= 0xf0 && t[0] <= 0xf4 ? 4
                                              : 0;

    for (int i = 1; i < size; i++) {
        if ((size_t)i >= length)
            return -1;
        if (i == 1 ? !second_fits(t[0], t[1]) : !continues(t[i]))
            return 0;
    }
    return size;
}

size_t cap_utf8_bad(const char *text, size_t length)
{
    size_t at = 0;

    while (at < length) {
        int size = cap_utf8_character(text + at, length - at);

        if (size <= 0)
            return at;
        at += (size_t)size;
    }
    return length;
}

size_t cap_utf8_count(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += !continues((unsigned char)*text);
    return count;
}

size_t cap_utf8_cut(const char *text, size_t bytes_max)
{
    size_t cut = bytes_max;

    while (cut > 0 && bytes_max - cut < 3 && continues((unsigned char)text[cut]))
        cut--;
    return continues((unsigned char)text[cut]) ? bytes_max : cut;
}

/* Bytes of what begins like a character and does not become one; 1 when it does not even begin. */
static size_t beginning_length(const char *text, size_t length)
{
    size_t n = 1;

    while (n < length && cap_utf8_character(text, n) < 0 && cap_utf8_character(text, n + 1) < 0)
        n++;
    return n;
}

void cap_utf8_tidy(char *text)
{
    size_t length = strlen(text), in = cap_utf8_bad(text, length), out = in;

    while (in < length) {
        int size = cap_utf8_character(text + in, length - in);

        if (size > 0) {
            memmove(text + out, text + in, (size_t)size);
            out += (size_t)size;
            in += (size_t)size;
            continue;
        }
        in += beginning_length(text + in, length - in);
        text[out++] = '?';
    }
    text[out] = '\0';
}

/* ---- mending ---- */

/* The byte that breaks a character may begin the next one. */
static void add_byte(struct cap_utf8_mender *m, unsigned char byte, struct cap_buf *out)
{
    int size, count;

    m->held[m->held_count++] = byte;
    size = cap_utf8_character(m->held, (size_t)m->held_count);
    if (size < 0)
        return;
    count = m->held_count;
    m->held_count = 0;
    if (size > 0) {
        cap_buf_add(out, m->held, (size_t)size);
        return;
    }
    cap_buf_add_str(out, CAP_UTF8_REPLACEMENT);
    if (count > 1)
        add_byte(m, byte, out);
}

void cap_utf8_mend(struct cap_utf8_mender *m, const void *bytes, size_t length, struct cap_buf *out)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < length; i++)
        add_byte(m, byte[i], out);
}

void cap_utf8_mend_end(struct cap_utf8_mender *m, struct cap_buf *out)
{
    if (m->held_count > 0)
        cap_buf_add_str(out, CAP_UTF8_REPLACEMENT);
    m->held_count = 0;
}
