/* What libpq answered, read by type; and COPY lines, written column by column. The escapes of
 * COPY's text format and the stand-ins for bytes that PostgreSQL does not take are made in one pass
 * over a text (store_copy_text); texts that fit, nearly all, are added in one piece.
 */
#include "rows.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* ---- results ---- */

struct store_rows {
    PGresult *result;
};

struct store_rows *store_rows_new(struct pg_result *result)
{
    struct store_rows *rows = malloc(sizeof *rows);

    if (!rows)
        abort();
    rows->result = result;
    return rows;
}

void store_rows_free(struct store_rows *rows)
{
    if (!rows)
        return;
    PQclear(rows->result);
    free(rows);
}

size_t store_rows_count(const struct store_rows *rows)
{
    return (size_t)PQntuples(rows->result);
}

size_t store_rows_changed(const struct store_rows *rows)
{
    return strtoull(PQcmdTuples(rows->result), NULL, 10);
}

size_t store_rows_columns(const struct store_rows *rows)
{
    return (size_t)PQnfields(rows->result);
}

const char *store_rows_column_name(const struct store_rows *rows, int column)
{
    return PQfname(rows->result, column);
}

bool store_rows_null(const struct store_rows *rows, size_t row, int column)
{
    return PQgetisnull(rows->result, (int)row, column) == 1;
}

const char *store_rows_text(const struct store_rows *rows, size_t row, int column)
{
    const char *text = PQgetvalue(rows->result, (int)row, column);

    assert(text && "no such row or column");
    return text;
}

int64_t store_rows_int(const struct store_rows *rows, size_t row, int column)
{
    const char *text = store_rows_text(rows, row, column);
    char *end;
    int64_t value = strtoll(text, &end, 10);

    assert(*end == '\0' && "not an integer");
    return value;
}

uint32_t store_rows_u32(const struct store_rows *rows, size_t row, int column)
{
    int64_t value = store_rows_int(rows, row, column);

    assert(value >= 0 && value <= UINT32_MAX);
    return (uint32_t)value;
}

bool store_rows_bool(const struct store_rows *rows, size_t row, int column)
{
    return *store_rows_text(rows, row, column) == 't';
}

char *store_rows_text_copy(const struct store_rows *rows, size_t row, int column,
                           struct cap_arena *arena)
{
    return cap_arena_strdup(arena, store_rows_text(rows, row, column));
}

static uint8_t hex_value(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

bool store_bytes_read(const char *hex, struct cap_arena *arena, struct store_bytes *out_bytes)
{
    size_t length = strlen(hex);
    uint8_t *data;

    if (length == 0) {
        *out_bytes = (struct store_bytes){0};
        return true;
    }
    assert(hex[0] == '\\' && hex[1] == 'x' && length % 2 == 0 && "not bytea");
    length = (length - 2) / 2;
    data = cap_arena_alloc(arena, length ? length : 1);
    if (!data)
        return false;
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)(hex_value(hex[2 + 2 * i]) << 4 | hex_value(hex[3 + 2 * i]));
    *out_bytes = (struct store_bytes){data, length};
    return true;
}

/* ---- texts ---- */

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

/* ---- numbers ---- */

void store_add_uint(struct cap_buf *out, uint64_t value)
{
    char digits[20], *at = digits + sizeof digits;

    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    cap_buf_add(out, at, (size_t)(digits + sizeof digits - at));
}

void store_add_int(struct cap_buf *out, int64_t value)
{
    if (value < 0)
        cap_buf_add_char(out, '-');
    store_add_uint(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void store_add_u32s(struct cap_buf *out, const uint32_t *items, size_t count)
{
    cap_buf_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            cap_buf_add_char(out, ',');
        store_add_uint(out, items[i]);
    }
    cap_buf_add_char(out, '}');
}

/* ---- lines ---- */

void store_copy_init(struct store_copy *copy, size_t bytes_max)
{
    cap_buf_init(&copy->lines, bytes_max);
    copy->row_begun = false;
    copy->stand_ins = false;
}

void store_copy_done(struct store_copy *copy)
{
    cap_buf_done(&copy->lines);
}

void store_copy_column(struct store_copy *copy)
{
    if (copy->row_begun)
        cap_buf_add_char(&copy->lines, '\t');
    copy->row_begun = true;
}

void store_copy_end_row(struct store_copy *copy)
{
    cap_buf_add_char(&copy->lines, '\n');
    copy->row_begun = false;
    copy->stand_ins = false;
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

    store_copy_column(copy);
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
        if (n == 0) {
            add_stand_in(&copy->lines, (uint8_t)text[i]);
            copy->stand_ins = true;
        } else
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
    store_copy_column(copy);
    store_add_int(&copy->lines, value);
}

void store_copy_uint(struct store_copy *copy, uint64_t value)
{
    store_copy_column(copy);
    store_add_uint(&copy->lines, value);
}

void store_copy_null(struct store_copy *copy)
{
    store_copy_column(copy);
    cap_buf_add(&copy->lines, "\\N", 2);
}

void store_copy_bool(struct store_copy *copy, bool value)
{
    store_copy_column(copy);
    cap_buf_add_char(&copy->lines, value ? 't' : 'f');
}

void store_copy_bytes(struct store_copy *copy, struct store_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";

    if (bytes.length == 0) {
        store_copy_null(copy);
        return;
    }
    store_copy_column(copy);
    cap_buf_add(&copy->lines, "\\\\x", 3); /* COPY halves the backslash: \x... */
    for (size_t i = 0; i < bytes.length; i++)
        cap_buf_add(&copy->lines, (char[]){digits[bytes.data[i] >> 4], digits[bytes.data[i] & 15]},
                    2);
}
