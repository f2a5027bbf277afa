#include "rows.h"

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

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

double store_rows_real(const struct store_rows *rows, size_t row, int column)
{
    const char *text = store_rows_text(rows, row, column);
    char *end;
    double value = strtod(text, &end); /* knows NaN and Infinity as PostgreSQL writes them */

    assert(*end == '\0' && "not a number");
    return value;
}

bool store_rows_bool(const struct store_rows *rows, size_t row, int column)
{
    return *store_rows_text(rows, row, column) == 't';
}

struct store_opt_int store_rows_opt_int(const struct store_rows *rows, size_t row, int column)
{
    if (store_rows_null(rows, row, column))
        return (struct store_opt_int){0};
    return (struct store_opt_int){true, store_rows_int(rows, row, column)};
}

struct store_opt_real store_rows_opt_real(const struct store_rows *rows, size_t row, int column)
{
    if (store_rows_null(rows, row, column))
        return (struct store_opt_real){0};
    return (struct store_opt_real){true, store_rows_real(rows, row, column)};
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

bool store_rows_bytes(const struct store_rows *rows, size_t row, int column,
                      struct cap_arena *arena, struct store_bytes *out_bytes)
{
    const char *hex = store_rows_text(rows, row, column);
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

/* Items of an array as PostgreSQL writes it: {1,2,3}. */
static size_t count_items(const char *array)
{
    size_t count = array[0] == '{' && array[1] != '}';

    for (const char *c = array; *c; c++)
        count += *c == ',';
    return count;
}

bool store_rows_u32s(const struct store_rows *rows, size_t row, int column, struct cap_arena *arena,
                     struct store_u32s *out_items)
{
    const char *text = store_rows_text(rows, row, column);
    size_t count = count_items(text);
    uint32_t *items = cap_arena_array(arena, count ? count : 1, sizeof *items);

    if (!items)
        return false;
    for (size_t i = 0; i < count; i++) {
        char *end;
        items[i] = (uint32_t)strtoul(text + 1, &end, 10);
        text = end;
    }
    *out_items = (struct store_u32s){items, count};
    return true;
}

bool store_rows_u64s(const struct store_rows *rows, size_t row, int column, struct cap_arena *arena,
                     struct store_u64s *out_items)
{
    const char *text = store_rows_text(rows, row, column);
    size_t count = count_items(text);
    uint64_t *items = cap_arena_array(arena, count ? count : 1, sizeof *items);

    if (!items)
        return false;
    for (size_t i = 0; i < count; i++) {
        char *end;
        items[i] = strtoull(text + 1, &end, 10);
        text = end;
    }
    *out_items = (struct store_u64s){items, count};
    return true;
}

bool store_rows_reals(const struct store_rows *rows, size_t row, int column,
                      struct cap_arena *arena, struct store_reals *out_items)
{
    const char *text = store_rows_text(rows, row, column);
    size_t count = count_items(text);
    double *items = cap_arena_array(arena, count ? count : 1, sizeof *items);

    if (!items)
        return false;
    for (size_t i = 0; i < count; i++) {
        char *end;
        items[i] = strtod(text + 1, &end);
        text = end;
    }
    *out_items = (struct store_reals){items, count};
    return true;
}
