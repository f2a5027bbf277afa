/* rows.h — values between C and PostgreSQL's text format: what a statement answered, and lines for
 * COPY … FROM STDIN.
 *
 * Results. Columns are counted from 0 in the order of the SELECT; statements with more than a few
 * are read by name into messages (row_map.h). Reading the wrong type is a mistake of ours and
 * asserts; a NULL is 0, "" or false: ask store_rows_null first where it matters. Texts are borrowed
 * until the rows are freed; what takes an arena is copied and is NULL past its limit.
 *
 * Lines. One call a column, in the order of the COPY statement's list, then store_copy_end_row.
 * Whatever bytes come in, what goes out is UTF-8 without U+0000, as PostgreSQL wants its text: a
 * byte that does not fit becomes "<0xNN>", the notation of byte tokens. Nothing fails until the
 * end: ask `lines.overflowed` once.
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"

struct store_bytes {
    const uint8_t *data;
    size_t length;
};

/* ---- results ---- */

struct store_rows;
struct pg_result;

struct store_rows *store_rows_new(struct pg_result *result); /* takes it */
void store_rows_free(struct store_rows *rows);
CAP_DEFINE_AUTO(store_rows)

size_t store_rows_count(const struct store_rows *rows);
size_t store_rows_changed(const struct store_rows *rows); /* by INSERT, UPDATE, DELETE */
size_t store_rows_columns(const struct store_rows *rows);
const char *store_rows_column_name(const struct store_rows *rows, int column);

bool store_rows_null(const struct store_rows *rows, size_t row, int column);
const char *store_rows_text(const struct store_rows *rows, size_t row, int column);
int64_t store_rows_int(const struct store_rows *rows, size_t row, int column);
uint32_t store_rows_u32(const struct store_rows *rows, size_t row, int column);
bool store_rows_bool(const struct store_rows *rows, size_t row, int column);
char *store_rows_text_copy(const struct store_rows *rows, size_t row, int column,
                           struct cap_arena *arena);

/* A bytea as the database writes it ("\x00ff"), "" for none. False when the arena is full. */
bool store_bytes_read(const char *hex, struct cap_arena *arena, struct store_bytes *out_bytes);

/* ---- lines ---- */

struct store_copy {
    struct cap_buf lines;
    bool row_begun;
    bool stand_ins; /* a text of this row got one */
};

void store_copy_init(struct store_copy *copy, size_t bytes_max);
void store_copy_done(struct store_copy *copy);
#define STORE_AUTO_COPY(name, max)                                                                 \
    __attribute__((cleanup(store_copy_done))) struct store_copy name;                              \
    store_copy_init(&name, max)

void store_copy_text(struct store_copy *copy, const char *text, size_t length);
void store_copy_str(struct store_copy *copy, const char *text); /* NULL counts as "" */
void store_copy_int(struct store_copy *copy, int64_t value);
void store_copy_uint(struct store_copy *copy, uint64_t value);
void store_copy_bool(struct store_copy *copy, bool value);
void store_copy_null(struct store_copy *copy);
void store_copy_bytes(struct store_copy *copy, struct store_bytes bytes); /* none: NULL */
/* Begins a column whose text the caller adds to `lines`: digits, braces and commas need no escapes.
 */
void store_copy_column(struct store_copy *copy);
void store_copy_end_row(struct store_copy *copy);

/* Decimal digits, several times faster than printf. */
void store_add_int(struct cap_buf *out, int64_t value);
void store_add_uint(struct cap_buf *out, uint64_t value);
/* An array's text: {1,5,9}. */
void store_add_u32s(struct cap_buf *out, const uint32_t *items, size_t count);

/* ---- the rule for texts, by itself ---- */

/* Nothing of it needs a stand-in. */
bool store_text_fits(const char *text, size_t length);
/* `text` itself if it fits, else a copy with stand-ins in the arena; NULL when that is full. */
const char *store_text_fit(struct cap_arena *arena, const char *text);

#endif
