/* One walk over the text finds the longest stretch that may be shown as it is and the character
 * that ends it; plain text puts a question mark there, JSON an escape. */
#include "base/plain.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/utf8.h"

enum { LINE_BYTES_MAX = 64 << 10 };

/* Sorted. What a terminal, or the algorithm that orders left-to-right and right-to-left text, takes
 * as an order: C0, DEL and C1 controls; the Arabic letter mark; the direction marks; line and
 * paragraph separator, embeddings and overrides; isolates and deprecated format controls;
 * interlinear annotation. Joiners (U+200C, U+200D) stay: names in many scripts need them. */
static const struct {
    uint32_t first, last;
} acting[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200e, 0x200f},
    {0x2028, 0x202e}, {0x2066, 0x206f}, {0xfff9, 0xfffb},
};

static bool acts(uint32_t character)
{
    for (size_t i = 0; i < sizeof acting / sizeof *acting; i++)
        if (character <= acting[i].last)
            return character >= acting[i].first;
    return false;
}

/* The character of `size` bytes at text, which is UTF-8. */
static uint32_t decode(const unsigned char *text, int size)
{
    uint32_t character = size == 1 ? text[0] : text[0] & (0x7fU >> size);

    for (int i = 1; i < size; i++)
        character = character << 6 | (text[i] & 0x3f);
    return character;
}

/* Bytes at the beginning of `text` that may be shown as they are. What ends them is one character
 * of *out_size bytes, *out_character (or U+FFFD for a byte that is not UTF-8); 0 bytes at the end
 * of the text. Characters in `keep` may be shown, too. */
static size_t harmless(const char *text, size_t length, const char *keep, size_t *out_size,
                       uint32_t *out_character)
{
    size_t at = 0;

    while (at < length) {
        int size = cap_utf8_character(text + at, length - at);
        uint32_t character = size > 0 ? decode((const unsigned char *)text + at, size) : 0xfffd;

        *out_size = size > 0 ? (size_t)size : 1;
        *out_character = character;
        if (size <= 0 || (acts(character) && !(character < 0x80 && strchr(keep, (int)character))))
            return at;
        at += *out_size;
    }
    *out_size = 0;
    return at;
}

static void add(struct cap_buf *out, const char *text, const char *keep)
{
    size_t left = strlen(text), plain, size;
    uint32_t character;

    while (left > 0) {
        plain = harmless(text, left, keep, &size, &character);
        cap_buf_add(out, text, plain);
        if (size > 0)
            cap_buf_add_char(out, '?');
        text += plain + size;
        left -= plain + size;
    }
}

void cap_plain_add(struct cap_buf *out, const char *text)
{
    add(out, text, "");
}

void cap_plain_add_lines(struct cap_buf *out, const char *text)
{
    add(out, text, "\n");
}

void cap_plain_vline(FILE *out, const char *fmt, va_list args)
{
    CAP_AUTO_BUF(plain, LINE_BYTES_MAX + 1);
    CAP_AUTO_MEM char *text = NULL;

    if (vasprintf(&text, fmt, args) < 0)
        abort();
    if (strlen(text) > LINE_BYTES_MAX)
        text[cap_utf8_cut(text, LINE_BYTES_MAX)] = '\0';
    cap_plain_add(&plain, text);
    cap_buf_add_char(&plain, '\n');
    fwrite(plain.data, 1, plain.length, out);
}

void cap_plain_line(FILE *out, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    cap_plain_vline(out, fmt, args);
    va_end(args);
}

void cap_plain_json(FILE *out, const char *json)
{
    size_t left = strlen(json), plain, size;
    uint32_t character;

    while (left > 0) {
        plain = harmless(json, left, "\n\t\r", &size, &character);
        fwrite(json, 1, plain, out);
        if (size > 0)
            fprintf(out, "\\u%04x", (unsigned)character);
        json += plain + size;
        left -= plain + size;
    }
}
