#include "copy.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Bytes of the character at `s`; 0 when PostgreSQL would refuse it: no UTF-8, or U+0000. */
static size_t character(const uint8_t *s, size_t left)
{
    int size = cap_utf8_character(s, left);

    return s[0] && size > 0 ? (size_t)size : 0;
}

bool store_text_fits(const char *text, size_t length)
{
    const uint8_t *s = (const uint8_t *)text;

    for (size_t i = 0, n; i < length; i += n)
        if ((n = character(s + i, length - i)) == 0)
            return false;
    return true;
}

static void add_stand_in(struct cap_buf *buf, uint8_t byte)
{
    cap_buf_printf(buf, "<0x%02X>", byte);
}

const char *store_text_fit(struct cap_arena *arena, const char *text)
{
    size_t length = strlen(text);
    CAP_AUTO_BUF(out, 6 * length + 1);

    if (store_text_fits(text, length))
        return text;
    for (size_t i = 0; i < length;) {
        size_t n = character((const uint8_t *)text + i, length - i);
        if (n > 0)
            cap_buf_add(&out, text + i, n);
        else
            add_stand_in(&out, (uint8_t)text[i]);
        i += n ? n : 1;
    }
    return cap_arena_strndup(arena, out.data, out.length);
}

const char *store_u32s_literal(struct cap_arena *arena, const uint32_t *items, size_t count)
{
    CAP_AUTO_BUF(out, 12 * count + 3);

    cap_buf_add_char(&out, '{');
    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&out, i ? ",%u" : "%u", items[i]);
    cap_buf_add_char(&out, '}');
    return cap_arena_strndup(arena, out.data, out.length);
}

/* ---- lines ---- */

void store_copy_init(struct store_copy *copy, size_t bytes_max)
{
    cap_buf_init(&copy->lines, bytes_max);
    copy->row_begun = false;
}

void store_copy_done(struct store_copy *copy)
{
    cap_buf_done(&copy->lines);
}

static void begin_column(struct store_copy *copy)
{
    if (copy->row_begun)
        cap_buf_add_char(&copy->lines, '\t');
    copy->row_begun = true;
}

void store_copy_end_row(struct store_copy *copy)
{
    cap_buf_add_char(&copy->lines, '\n');
    copy->row_begun = false;
}

/* The letter after a backslash, or 0 for a byte that stands for itself. */
static char copy_escape(char c)
{
    switch (c) {
    case '\\':
        return '\\';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    default:
        return 0;
    }
}

void store_copy_text(struct store_copy *copy, const char *text, size_t length)
{
    size_t plain = 0; /* bytes before i that are not written yet */

    begin_column(copy);
    for (size_t i = 0; i < length;) {
        size_t n = character((const uint8_t *)text + i, length - i);
        char escape = copy_escape(text[i]);
        if (n > 0 && !escape) {
            plain += n;
            i += n;
            continue;
        }
        cap_buf_add(&copy->lines, text + i - plain, plain);
        plain = 0;
        if (n == 0)
            add_stand_in(&copy->lines, (uint8_t)text[i]);
        else
            cap_buf_add(&copy->lines, (char[]){'\\', escape}, 2);
        i++;
    }
    cap_buf_add(&copy->lines, text + length - plain, plain);
}

void store_copy_str(struct store_copy *copy, const char *text)
{
    store_copy_text(copy, text ? text : "", text ? strlen(text) : 0);
}

void store_copy_int(struct store_copy *copy, int64_t value)
{
    begin_column(copy);
    cap_buf_printf(&copy->lines, "%lld", (long long)value);
}

void store_copy_uint(struct store_copy *copy, uint64_t value)
{
    begin_column(copy);
    cap_buf_printf(&copy->lines, "%llu", (unsigned long long)value);
}

void store_copy_null(struct store_copy *copy)
{
    begin_column(copy);
    cap_buf_add(&copy->lines, "\\N", 2);
}

void store_copy_opt_int(struct store_copy *copy, struct store_opt_int value)
{
    if (value.known)
        store_copy_int(copy, value.value);
    else
        store_copy_null(copy);
}

void store_copy_real(struct store_copy *copy, double value)
{
    begin_column(copy);
    cap_buf_printf(&copy->lines, "%.17g", value);
}

void store_copy_opt_real(struct store_copy *copy, struct store_opt_real value)
{
    if (value.known)
        store_copy_real(copy, value.value);
    else
        store_copy_null(copy);
}

void store_copy_bool(struct store_copy *copy, bool value)
{
    begin_column(copy);
    cap_buf_add_char(&copy->lines, value ? 't' : 'f');
}

void store_copy_bytes(struct store_copy *copy, struct store_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";

    if (bytes.length == 0) {
        store_copy_null(copy);
        return;
    }
    begin_column(copy);
    cap_buf_add(&copy->lines, "\\\\x", 3); /* COPY halves the backslash: \x... */
    for (size_t i = 0; i < bytes.length; i++)
        cap_buf_add(&copy->lines, (char[]){digits[bytes.data[i] >> 4], digits[bytes.data[i] & 15]},
                    2);
}

void store_copy_u32s(struct store_copy *copy, const uint32_t *items, size_t count)
{
    begin_column(copy);
    cap_buf_add_char(&copy->lines, '{');
    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&copy->lines, i ? ",%u" : "%u", items[i]);
    cap_buf_add_char(&copy->lines, '}');
}

void store_copy_u64s(struct store_copy *copy, const uint64_t *items, size_t count)
{
    begin_column(copy);
    cap_buf_add_char(&copy->lines, '{');
    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&copy->lines, i ? ",%llu" : "%llu", (unsigned long long)items[i]);
    cap_buf_add_char(&copy->lines, '}');
}

void store_copy_reals(struct store_copy *copy, const double *items, size_t count)
{
    begin_column(copy);
    cap_buf_add_char(&copy->lines, '{');
    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&copy->lines, i ? ",%.17g" : "%.17g", items[i]);
    cap_buf_add_char(&copy->lines, '}');
}
